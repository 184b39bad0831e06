"""A run's result as text for people and JSON for programs; both begin with how it was measured."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from typing import Any

from penchant_daemon import __version__
from penchant_daemon.evaluation.baselines import RRF_K
from penchant_daemon.evaluation.machine import machine
from penchant_daemon.evaluation.measures import DEPTH, SESSION_WEIGHTS, Figure, Outcomes
from penchant_daemon.evaluation.recall import N_WITHIN_BUDGET, Result

__all__ = ["as_json", "protocol", "text_of", "way_name"]

_NAMES = {
    "grep": "grep",
    "bm25": "bm25 (FTS5)",
    "vector": "vector",
    "fusion": "equal fusion",
    "learned": "learned",
}
_SHORT = 13  # columns of a way's name
_CELL = 20
_WIDTH = 118


def way_name(way: str) -> str:
    """What a way of ranking is called in tables and plots."""
    return _NAMES[way]


def protocol(result: Result) -> dict[str, str]:
    """How it was measured: what a reader must know before comparing a figure."""
    plan, dataset, notes = result.plan, result.dataset, result.notes
    first = next(iter(result.outcomes.values()))
    n_none = sum(not question.is_answerable for question in first.questions)
    where = "all in one data directory" if plan.is_pooled or len(dataset.pools) == 1 else "each in its own"
    looked_for = "turns and memories"
    if plan.unit == "session":
        weights = ", ".join(f"{weight:g}" for weight in SESSION_WEIGHTS)
        looked_for = (
            f"sessions, each by {weights} of its best turns among the first {plan.n_results}; "
            "a session is right when a right turn is in it or the set names it"
        )
    said = {
        "texts": f"{dataset.n_texts:,}: {dataset.texts_are}",
        "questions": f"{first.n():,} with an answer, {n_none:,} without: {dataset.questions_are}",
        "looked for": looked_for,
        "pools": f"{len(dataset.pools)} ({where})",
        "recall@k": "fractional: the share of what is right among the first k; "
        f"hit@{DEPTH} any of it, all@{DEPTH} all of it; mrr over the first {plan.n_results}",
        "learned": _path(result),
        "others": "on the same texts, without speaker, time or scope: grep counts the question's words "
        "found in a text; bm25 is SQLite's FTS5 (porter, stop words left out)"
        + (
            "; vector is the cosine of the packaged embedder's vectors of what the daemon embeds"
            f"; fusion is reciprocal rank (k {RRF_K}) of bm25 and vector at equal weight"
            if {"vector", "fusion"} & set(plan.all_ways)
            else ""
        ),
        "intervals": "95 %, drawing "
        + (f"{result.n_groups} conversations" if result.n_groups > 1 else "questions")
        + f" anew, seed {plan.seed}",
    }
    if plan.unit == "turn" and plan.budgets:
        said["budgets"] = (
            f"most tokens in all, at most {N_WITHIN_BUDGET} results; what does not fit is skipped, as the daemon does"
        )
    stored = [
        f"{n:,} {what}"
        for n, what in (
            (notes.n_duplicates, "recognised as stored already"),
            (notes.n_references, "taken for Penchant's own words (never recalled)"),
            (notes.n_masked, "secrets masked"),
        )
        if n
    ]
    if stored:
        said["stored"] = "; ".join(stored)
    for warning, n in notes.warnings.items():
        said["warning"] = f"{n:,} times: {warning}"
    return said


def _path(result: Result) -> str:
    plan = result.plan
    if "learned" not in plan.all_ways:
        return "not run"
    if plan.is_in_process:
        path = "Recall in this process, on a data directory that was kept"
    else:
        path = (
            "a daemon on a data directory of its own; texts by POST /v1/events and /v1/memories, "
            "indexed, asked by POST /v1/recall on its socket"
        )
    times = [pool.asked_at for pool in result.dataset.pools]
    when = "asked as of a day after the last turn" if all(times) else "asked as of now"
    models = ", ".join(result.notes.models) or "unnamed"
    return f"{path}; {when}; ranked by {models}"


def text_of(result: Result) -> str:
    """The whole report as plain text, at most 120 columns wide with five ways."""
    lines = [f"{result.dataset.name}", ""]
    for name, said in protocol(result).items():
        lines += textwrap.wrap(said, _WIDTH, initial_indent=f"  {name:<11} ", subsequent_indent=" " * 14)
    first = next(iter(result.outcomes.values()))
    lines += ["", *_overall(result, first.n()), "", *_by_type(result)]
    for part in (_abstention(result), _updates(result), _exact(result)):
        if part:
            lines += ["", *part]
    return "\n".join(lines)


def _overall(result: Result, n: int) -> list[str]:
    ways = result.plan.all_ways
    lines = [f"{f'all {n:,} questions':<18}" + "".join(f"{way_name(way):>{_CELL}}" for way in ways)]
    for measure in result.measures:
        cells = [_with_interval(result.outcomes[way].figure(measure, result.plan.seed)) for way in ways]
        lines.append(f"{measure:<18}" + "".join(f"{cell:>{_CELL}}" for cell in cells))
    for label, cells in (
        (f"tokens@{DEPTH}", [f"{result.outcomes[way].n_tokens():,.0f}" for way in ways]),
        ("p50 ms", [_ms(result.outcomes[way].took_ms(50)) for way in ways]),
        ("p99 ms", [_ms(result.outcomes[way].took_ms(99)) for way in ways]),
    ):
        lines.append(f"{label:<18}" + "".join(f"{cell:>{_CELL}}" for cell in cells))
    return lines


def _by_type(result: Result) -> list[str]:
    columns = [measure.replace("recall@", "r@").replace("tokens", "t") for measure in result.measures]
    columns += [f"tok@{DEPTH}", "p50 ms", "p99 ms"]
    width = max(8, *(len(column) + 1 for column in columns))
    lines = [f"{'by type':<{_SHORT}}" + "".join(f"{column:>{width}}" for column in columns)]
    for type_ in result.types:
        first = next(iter(result.outcomes.values()))
        lines.append(f"{type_} ({first.n(type_):,})")
        for way in result.plan.all_ways:
            outcomes = result.outcomes[way]
            cells = [_plain(outcomes.figure(m, result.plan.seed, type_).value) for m in result.measures]
            cells += [f"{outcomes.n_tokens(type_):,.0f}"]
            cells += [_ms(outcomes.took_ms(50, type_)), _ms(outcomes.took_ms(99, type_))]
            name = f"  {way}"
            lines.append(f"{name:<{_SHORT}}" + "".join(f"{cell:>{width}}" for cell in cells))
    return lines


def _abstention(result: Result) -> list[str]:
    lines = []
    for way in result.plan.all_ways:
        share = result.outcomes[way].abstention(result.plan.seed)
        if share is not None:
            outcomes = result.outcomes[way]
            n_rest, n_lost = (outcomes.n_nothing(is_answerable=flag) for flag in (False, True))
            lines.append(
                f"  {way_name(way):<{_SHORT}}{_with_interval(share.figure)}   by {_confidence(result, way)};"
                f" returned nothing for {n_rest:,} of them, and for {n_lost:,} with an answer"
            )
    if not lines:
        return []
    first = next(iter(result.outcomes.values()))
    n_none = sum(not question.is_answerable for question in first.questions)
    head = (
        f"surer where there is an answer than in the {n_none:,} questions without one: AUROC, 0.5 is chance"
    )
    if "learned" in result.plan.all_ways and not result.outcomes["learned"].has_relevance:
        head += " (the API gives no calibrated relevance: the best score stands for it)"
    return [head, *lines]


def _updates(result: Result) -> list[str]:
    lines = []
    head = ""
    for way in result.plan.all_ways:
        share = result.outcomes[way].updates(result.plan.seed)
        by_question = result.outcomes[way].updated_questions(result.plan.seed)
        if share is not None and by_question is not None:
            head = (
                f"what is true now above what was: share of {share.n:,} pairs, and of {by_question.n:,} questions by"
                " the first of each; neither found counts as wrong"
            )
            lines.append(
                f"  {way_name(way):<{_SHORT}}{_with_interval(share.figure)}   by question"
                f" {_with_interval(by_question.figure)}   {share.n_undecided:,} pairs neither found"
            )
    return [head, *lines] if lines else []


def _exact(result: Result) -> list[str]:
    lines = []
    head = ""
    for way in result.plan.all_ways:
        sets = result.outcomes[way].exact_sets()
        if sets is not None:
            head = f"sets that should be returned, all of it and nothing else: {sets.n:,} questions"
            lines.append(
                f"  {way_name(way):<{_SHORT}}precision {_plain(sets.precision)}   recall {_plain(sets.recall)}"
                f"   exactly this set {_plain(sets.is_exact)}"
            )
    return [head, *lines] if lines else []


def _plain(value: float) -> str:
    return f"{value:.3f}"


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _with_interval(figure: Figure) -> str:
    return f"{figure.value:.3f} [{_short(figure.low)} {_short(figure.high)}]"


def _short(value: float) -> str:
    """`.797`, `1.00`: three characters after the point where there are any to show."""
    return "1.00" if value >= 0.9995 else f"{value:.3f}"[1:]


# ---- JSON


def as_json(result: Result) -> dict[str, Any]:
    """All figures with their intervals, over all questions and by type; the contract is in docs/evaluation.md."""
    plan = result.plan
    first = next(iter(result.outcomes.values()))
    return {
        "evaluation": "recall",
        "dataset": result.dataset.name,
        "version": __version__,
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine(),
        "protocol": protocol(result),
        "unit": plan.unit,
        "pooled": plan.is_pooled,
        "in_process": plan.is_in_process,
        "seed": plan.seed,
        "n_texts": result.dataset.n_texts,
        "n_questions": first.n(),
        "n_unanswerable": sum(not question.is_answerable for question in first.questions),
        "models": dict(result.notes.models),
        "all": {way: _figures(result, result.outcomes[way], None) for way in plan.all_ways},
        "types": {
            type_: {
                "n_questions": first.n(type_),
                "ways": {way: _figures(result, result.outcomes[way], type_) for way in plan.all_ways},
            }
            for type_ in result.types
        },
        "abstention": {
            way: {
                **_figure(share.figure),
                "n_unanswerable": share.n,
                "by": _confidence(result, way),
                "n_nothing_returned": result.outcomes[way].n_nothing(is_answerable=False),
                "n_nothing_returned_answerable": result.outcomes[way].n_nothing(is_answerable=True),
            }
            for way in plan.all_ways
            if (share := result.outcomes[way].abstention(plan.seed)) is not None
        },
        "updates": {
            way: {
                **_figure(share.figure),
                "n_pairs": share.n,
                "n_neither_found": share.n_undecided,
                "by_question": {**_figure(by_question.figure), "n_questions": by_question.n},
            }
            for way in plan.all_ways
            if (share := result.outcomes[way].updates(plan.seed)) is not None
            and (by_question := result.outcomes[way].updated_questions(plan.seed)) is not None
        },
        "exact_sets": {
            way: {
                "precision": sets.precision,
                "recall": sets.recall,
                "exact": sets.is_exact,
                "n_questions": sets.n,
            }
            for way in plan.all_ways
            if (sets := result.outcomes[way].exact_sets()) is not None
        },
    }


def _figures(result: Result, outcomes: Outcomes, type_: str | None) -> dict[str, Any]:
    figures: dict[str, Any] = {
        measure: _figure(outcomes.figure(measure, result.plan.seed, type_)) for measure in result.measures
    }
    figures[f"tokens@{DEPTH}"] = round(outcomes.n_tokens(type_), 1)
    figures["p50_ms"] = round(outcomes.took_ms(50, type_), 3)
    figures["p99_ms"] = round(outcomes.took_ms(99, type_), 3)
    return figures


def _figure(figure: Figure) -> dict[str, float]:
    return {"value": round(figure.value, 5), "low": round(figure.low, 5), "high": round(figure.high, 5)}


def _confidence(result: Result, way: str) -> str:
    return "relevance" if result.outcomes[way].has_relevance else "best score"
