"""What `penchant eval personalization` found, as text for people and JSON for programs; intervals are over people."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant_daemon import __version__
from penchant_daemon.evaluation.machine import machine
from penchant_daemon.evaluation.measures import Figure
from penchant_daemon.evaluation.personalization import DEPTH, N_RESULTS, PER_SESSION, Arm, Result
from penchant_daemon.evaluation.personas import GAINS, N_STATEMENTS

__all__ = ["GROUPS", "Gain", "as_json", "by_luck", "gain_of", "members", "protocol", "text_of"]

N_DRAWS = 2_000
GROUPS = ("with a taste", "without", "all")
_WIDTH = 118


@dataclass(frozen=True, slots=True)
class Gain:
    """What some people gained between no interaction and so many.

    :param before: the mean figure with none, `after` with all; `knowing_taste` of the ranking by the taste itself.
    :param points: after less before.
    :param percent: points, of the mean before.
    :param share: points, of what was to be gained: knowing the taste less before. None where that is nothing.
    """

    before: Figure
    after: Figure
    knowing_taste: Figure
    points: Figure
    percent: Figure
    share: Figure | None


def members(result: Result, wrong: float, group: str) -> list[Arm]:
    """The people of one group, in one arm."""
    chosen = {"with a taste": (True,), "without": (False,), "all": (True, False)}[group]
    return [arm for arm in result.arms if arm.wrong == wrong and bool(arm.traits) in chosen]


def gain_of(arms: Sequence[Arm], n: int, seed: int, measure: str = "ndcg") -> Gain:
    """What these people gained within `n` interactions; intervals by drawing people anew."""
    before = _values(arms, 0, measure)
    after = _values(arms, n, measure)
    # There is no reciprocal rank of the taste: what is wanted by luck makes it say little.
    taste = np.array([arm.knowing_taste for arm in arms])
    drawn = np.random.default_rng(seed).integers(0, len(arms), size=(N_DRAWS, len(arms)))

    def figure(of: NDArray[np.float64], over: NDArray[np.float64] | None = None) -> Figure:
        totals, value = of[drawn].mean(axis=1), float(of.mean())
        if over is not None:
            totals, value = totals / over[drawn].mean(axis=1), value / float(over.mean())
        low, high = np.percentile(totals, [2.5, 97.5])
        return Figure(value, float(low), float(high))

    possible = taste - before
    is_defined = measure == "ndcg" and bool((possible[drawn].mean(axis=1) > 0.02).all())
    return Gain(
        before=figure(before),
        after=figure(after),
        knowing_taste=figure(taste),
        points=figure(after - before),
        percent=figure(100.0 * (after - before), before),
        share=figure(after - before, possible) if is_defined else None,
    )


def _values(arms: Sequence[Arm], n: int, measure: str) -> NDArray[np.float64]:
    return np.array([getattr(arm.served[n], measure) for arm in arms], dtype=np.float64)


def by_luck() -> float:
    """The NDCG that a topic's statements have in the mean of all their orders."""
    discounts = 1.0 / np.log2(np.arange(2, DEPTH + 2))
    best = float(np.array(GAINS) @ discounts[: len(GAINS)])
    return float(discounts.sum()) * sum(GAINS) / N_STATEMENTS / best


def protocol(result: Result) -> dict[str, str]:
    """How it was measured: what a reader must know before comparing a figure."""
    plan = result.plan
    n_without = sum(not arm.traits for arm in result.arms if arm.wrong == plan.wrong[0])
    return {
        "people": f"{plan.n_users}, simulated, seed {plan.seed}; {n_without} of them without a taste: they want what"
        " the question names. The others like some statements more by one to three traits of: kind, who said it, kept"
        " or said, age, whose agent wrote it, project, importance, length; both ends of each as often",
        "memory": f"{result.n_texts:,} statements each, {N_STATEMENTS} on a topic, which all name it once: eight"
        " memories of four kinds, four turns; by POST /v1/memories and /v1/events, on a data directory of its own",
        "wanted": f"the {len(GAINS)} of a topic that fit the taste best, with a little luck; gains "
        + ", ".join(map(str, GAINS)),
        "feedback": f"up to {plan.n_interactions} recalls of {N_RESULTS} results, {PER_SESSION} a session, each of"
        " a topic of its own; one verdict: the best of what is wanted helped (none, where nothing wanted is shown).",
        "contradictory": "that share of the verdicts says the contrary: the best was wrong, or something else helped",
        "asked": f"{plan.n_held_out} questions of each person about other topics, of other parts of other programs in"
        " other words: no word of them is in a judged question, none of their topics in a judged topic's memories",
        "learning": "by the daemon's own job; its settings as shipped, without the language model",
        "base": f"the same daemon before any feedback, by {result.prior}; an order of luck of a topic's statements has"
        f" {by_luck():.3f}",
        "knowing it": "the ranking by the taste itself, without the luck: what a learner could reach at best",
        "intervals": "95 %, drawing people anew",
    }


def text_of(result: Result) -> str:
    """The whole report as plain text, at most 120 columns wide."""
    plan = result.plan
    lines = ["personalization", ""]
    for name, said in protocol(result).items():
        lines += textwrap.wrap(said, _WIDTH, initial_indent=f"  {name:<14} ", subsequent_indent=" " * 17)
    for wrong in plan.wrong:
        lines += ["", f"{_name(wrong)}:", "", *_curve(result, wrong), "", *_gains(result, wrong)]
        lines += ["", *_by_trait(result, wrong)]
    lines += ["", f"took {result.took_s:,.0f} s"]
    return "\n".join(lines)


def _name(wrong: float) -> str:
    return f"{wrong:.0%} contradictory feedback" if wrong else "feedback that is true"


def _curve(result: Result, wrong: float) -> list[str]:
    plan = result.plan
    head = f"{f'NDCG@{DEPTH} after … recalls':<26}" + "".join(f"{n:>20}" for n in plan.checkpoints)
    lines = [head + f"{'knowing it':>12}"]
    for group in GROUPS:
        arms = members(result, wrong, group)
        if not arms:
            continue
        cells = [_with_interval(gain_of(arms, n, plan.seed).after) for n in plan.checkpoints]
        taste = gain_of(arms, 0, plan.seed).knowing_taste
        label = f"{group} ({len(arms)})"
        lines.append(f"{label:<26}" + "".join(f"{cell:>20}" for cell in cells) + f"{taste.value:>12.3f}")
    return lines


def _gains(result: Result, wrong: float) -> list[str]:
    plan = result.plan
    lines = [
        f"{f'gain after {plan.n_interactions} recalls':<26}{f'NDCG@{DEPTH}, points':>24}{'percent':>22}"
        f"{'of the possible':>20}{'MRR':>16}{'worse off':>12}"
    ]
    for group in GROUPS:
        arms = members(result, wrong, group)
        if not arms:
            continue
        gain = gain_of(arms, plan.n_interactions, plan.seed)
        mrr = gain_of(arms, plan.n_interactions, plan.seed, "mrr")
        points = f"{gain.points.value:+.3f} [{gain.points.low:+.3f} {gain.points.high:+.3f}]"
        percent = f"{gain.percent.value:+.0f} % [{gain.percent.low:+.0f} {gain.percent.high:+.0f}]"
        share = "" if gain.share is None else f"{gain.share.value:.0%}"
        n_worse = sum(arm.served[plan.n_interactions].ndcg < arm.served[0].ndcg for arm in arms)
        lines.append(
            f"{f'{group} ({len(arms)})':<26}{points:>24}{percent:>22}{share:>20}"
            f"{f'{mrr.before.value:.3f} → {mrr.after.value:.3f}':>16}{n_worse:>12}"
        )
    return lines


def _by_trait(result: Result, wrong: float) -> list[str]:
    """People count at each of their traits."""
    n = result.plan.n_interactions
    arms = members(result, wrong, "with a taste")
    lines = [f"{'by trait':<26}{'people':>8}{'base':>10}{'learned':>10}{'knowing it':>12}"]
    for trait in sorted({str(trait) for arm in arms for trait in arm.traits}):
        own = [arm for arm in arms if trait in map(str, arm.traits)]
        cells = [_values(own, 0, "ndcg").mean(), _values(own, n, "ndcg").mean()]
        taste = float(np.mean([arm.knowing_taste for arm in own]))
        lines.append(f"{trait:<26}{len(own):>8}{cells[0]:>10.3f}{cells[1]:>10.3f}{taste:>12.3f}")
    return lines


def _with_interval(figure: Figure) -> str:
    return f"{figure.value:.3f} [{figure.low:.3f} {figure.high:.3f}]"


# ---- JSON


def as_json(result: Result) -> dict[str, Any]:
    """All figures with their intervals, and each person's; the contract is in docs/evaluation.md."""
    plan = result.plan
    return {
        "evaluation": "personalization",
        "version": __version__,
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine(),
        "protocol": protocol(result),
        "n_users": plan.n_users,
        "n_interactions": plan.n_interactions,
        "n_held_out": plan.n_held_out,
        "seed": plan.seed,
        "prior": result.prior,
        "took_s": round(result.took_s, 1),
        "arms": [
            {
                "wrong": wrong,
                "groups": {
                    group: _group(members(result, wrong, group), result)
                    for group in GROUPS
                    if members(result, wrong, group)
                },
                "people": [_person(arm) for arm in result.arms if arm.wrong == wrong],
            }
            for wrong in plan.wrong
        ],
    }


def _group(arms: Sequence[Arm], result: Result) -> dict[str, Any]:
    plan = result.plan
    found: dict[str, Any] = {"n_people": len(arms)}
    for measure in ("ndcg", "mrr"):
        found[measure] = {}
        for n in plan.checkpoints:
            gain = gain_of(arms, n, plan.seed, measure)
            found[measure][str(n)] = {
                "value": _figure(gain.after),
                "points": _figure(gain.points),
                "percent": _figure(gain.percent),
                "share_of_possible": None if gain.share is None else _figure(gain.share),
            }
    found["knowing_taste"] = _figure(gain_of(arms, 0, plan.seed).knowing_taste)
    return found


def _person(arm: Arm) -> dict[str, Any]:
    return {
        "number": arm.number,
        "traits": [str(trait) for trait in arm.traits],
        "served": {
            str(n): {"ndcg": round(one.ndcg, 5), "mrr": round(one.mrr, 5), "n_outcomes": one.n_outcomes}
            for n, one in arm.served.items()
        },
        "knowing_taste": round(arm.knowing_taste, 5),
        "weights_moved": arm.weights,
        "state": arm.state,
        "detail": arm.detail,
    }


def _figure(figure: Figure) -> dict[str, float]:
    return {"value": round(figure.value, 5), "low": round(figure.low, 5), "high": round(figure.high, 5)}
