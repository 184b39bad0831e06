"""A whole run: each pool of a data set is stored, its questions are asked of the daemon and of the baselines.

pool -> a daemon on a data directory of its own -> texts in by its routes -> index -> questions by its socket
     -> the daemon ends -> the same texts to grep, FTS5 and (by the daemon's own vectors) cosine and fusion
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

from penchant_daemon.evaluation import front_door, in_process
from penchant_daemon.evaluation.baselines import Grep, PlainSearch, Ranked, Vectors, fused
from penchant_daemon.evaluation.datasets import Dataset, Pool, Question, Unit, pooled
from penchant_daemon.evaluation.errors import EvaluationError
from penchant_daemon.evaluation.front_door import Asked, Filled
from penchant_daemon.evaluation.measures import DEPTH, Answer, Outcomes, quality_names, ranked_sessions
from penchant_daemon.wire import RecallRequest, RecallResponse, utc_text
from penchant_ranker import estimated_tokens, select

__all__ = ["BUDGETS", "WAYS", "Notes", "Plan", "Progress", "Result", "evaluate"]

T = TypeVar("T")

#: Ways of ranking, in the order in which they are shown; grep and bm25 are always run.
WAYS = ("grep", "bm25", "vector", "fusion", "learned")
ALWAYS = ("grep", "bm25")
BUDGETS = (500, 1_000, 2_000)
#: Results that are asked for, turn by turn; more where a measure looks further down.
N_RESULTS = 20
#: For sessions: turns whose scores count. Under a budget: the most results, so that tokens decide.
N_TURNS_OF_SESSIONS = 200
N_WITHIN_BUDGET = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """How a data set is asked.

    :param unit: turns (and memories), or the sessions that they are of.
    :param is_pooled: all conversations in one data directory, or each in its own.
    :param ks: how far down recall looks.
    :param ways: which rankings beside grep and FTS5.
    :param budgets: tokens at which recall is compared; each is one more question to the daemon.
    :param keep: a folder in which filled data directories stay for the next run; None removes them.
    :param is_in_process: ask `Recall` in this process rather than a daemon (for tuning; needs `keep`).
    """

    unit: Unit = "turn"
    is_pooled: bool = False
    ks: tuple[int, ...] = (5, 10, 20)
    ways: tuple[str, ...] = WAYS
    budgets: tuple[int, ...] = BUDGETS
    seed: int = 0
    keep: Path | None = None
    is_in_process: bool = False

    @property
    def n_results(self) -> int:
        """How many results are asked for."""
        return N_TURNS_OF_SESSIONS if self.unit == "session" else max(N_RESULTS, *self.ks)

    @property
    def needs_daemon(self) -> bool:
        """Whether anything but grep and FTS5 is run: vectors too are those that the daemon makes."""
        return not set(self.all_ways) <= set(ALWAYS)

    @property
    def all_ways(self) -> tuple[str, ...]:
        """What is run, in the order in which it is shown."""
        return tuple(way for way in WAYS if way in ALWAYS or way in self.ways)


@dataclass(slots=True)
class Notes:
    """What happened on the way and belongs in the report.

    :param models: what the daemon's answers were ranked by, and how often.
    :param warnings: what the daemon warned of, and how often.
    """

    n_duplicates: int = 0
    n_references: int = 0
    n_masked: int = 0
    models: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)

    def add(self, filled: Filled) -> None:
        """Count what became of a pool's texts."""
        self.n_duplicates += filled.n_duplicates
        self.n_references += filled.n_references
        self.n_masked += filled.n_masked


@dataclass(frozen=True, slots=True)
class Result:
    """All that was measured."""

    dataset: Dataset
    plan: Plan
    outcomes: Mapping[str, Outcomes]
    notes: Notes

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what was measured, in the order in which they are shown."""
        return quality_names(self.plan.unit, self.plan.ks, self.plan.budgets)

    @property
    def types(self) -> list[str]:
        """Types of questions that have answers, in the data set's order."""
        first = next(iter(self.outcomes.values()))
        return [type_ for type_ in dict.fromkeys(one.type for one in first.questions) if first.n(type_)]

    @property
    def n_groups(self) -> int:
        """Conversations that are drawn anew for the intervals; 1: questions are drawn."""
        first = next(iter(self.outcomes.values()))
        return len({one.group for one in first.questions})


class Progress(Protocol):
    """Is told how far a run is."""

    def pool(self, name: str, number: int, n_pools: int) -> None:
        """A pool is begun."""

    def step(self, what: str, done: int, total: int) -> None:
        """So much of the pool's present step is done."""


def evaluate(dataset: Dataset, plan: Plan, progress: Progress) -> Result:
    """Run a data set.

    :raises EvaluationError: it cannot be run this way; the message says why.
    """
    _check(dataset, plan)
    asked = pooled(dataset) if plan.is_pooled else dataset
    asked = replace(asked, pools=tuple(pool for pool in asked.pools if pool.questions))
    outcomes = {way: Outcomes(plan.unit, plan.ks) for way in plan.all_ways}
    notes = Notes()
    for number, pool in enumerate(asked.pools, 1):
        progress.pool(pool.name, number, len(asked.pools))
        name = f"{dataset.name}-{pool.name}" if plan.keep is not None else str(number)
        with _home(plan.keep, name) as home:
            if plan.needs_daemon:
                _ask_all(pool, home, plan, outcomes, notes, progress)
            else:
                _ask_baselines(pool, plan, _Judge(pool, plan.unit, {}), outcomes, None, progress)
    return Result(asked, plan, outcomes, notes)


def _check(dataset: Dataset, plan: Plan) -> None:
    if plan.unit == "session" and any(text.session is None for pool in dataset.pools for text in pool.texts):
        raise EvaluationError(f"{dataset.name} holds memories, which are of no session", "--unit turn")
    if plan.is_in_process and plan.keep is None:
        raise EvaluationError("in process only data directories are asked that were kept", "--keep FOLDER")
    judges = [(pool, _Judge(pool, plan.unit, {})) for pool in dataset.pools]
    if not any(judge.right(question) for pool, judge in judges for question in pool.questions):
        raise EvaluationError(f"no question of {dataset.name} has an answer that could be found")


# ---- one pool


class _Judge:
    """Says what is right, and turns rankings of a pool's texts into what is measured.

    :param same_as: the key that stands for each key: texts that the store recognised as one have one.
    """

    def __init__(self, pool: Pool, unit: Unit, same_as: Mapping[str, str]) -> None:
        self._unit = unit
        self._same_as = same_as
        self._session_of = {text.key: text.session or "" for text in pool.texts}

    def right(self, question: Question) -> tuple[str, ...] | None:
        """Keys of what should be found; none: nothing is right. None: the set says it of the other unit alone."""
        if not question.is_answerable:
            return ()
        if self._unit == "session":
            return question.sessions or tuple(
                dict.fromkeys(self._session_of[key] for key in question.answers)
            )
        return tuple(dict.fromkeys(map(self.key, question.answers))) or None

    def key(self, key: str) -> str:
        """The key that stands for a text."""
        return self._same_as.get(key, key)

    def ranked(self, scored: Sequence[tuple[str, float]]) -> list[str]:
        """What is measured, best first, from turns and memories with their scores."""
        if self._unit == "session":
            return ranked_sessions(scored, self._session_of)
        return list(dict.fromkeys(self.key(key) for key, _ in scored))


def _ask_all(
    pool: Pool,
    home: Path,
    plan: Plan,
    outcomes: Mapping[str, Outcomes],
    notes: Notes,
    progress: Progress,
) -> None:
    """Fill the data directory, ask the daemon, then rank the same texts without it."""
    answers: list[_Said] = []
    filled = _filled(pool, home, plan)
    if filled is None or not plan.is_in_process:
        with front_door.daemon_on(home) as client:
            if filled is None:
                filled = front_door.fill(client, home, pool, progress.step)
            front_door.wait_for_index(client, progress.step)
            if not plan.is_in_process and "learned" in plan.all_ways:
                asked = front_door.first_answer(client, pool)
                answers = _ask(asked, pool, plan, notes, progress)
    notes.add(filled)
    with in_process.opened(home, is_indexed=not plan.is_in_process) as (store, embedder):
        if plan.is_in_process and "learned" in plan.all_ways:
            recall = in_process.InProcess(store, embedder)
            answers = _ask(recall, pool, plan, notes, progress)
            recall.close()
        key_of: dict[str, str] = {}
        for text in pool.texts:
            key_of.setdefault(filled.ids[text.key], text.key)
        judge = _Judge(pool, plan.unit, {key: key_of[id_] for key, id_ in filled.ids.items()})
        for said in answers:
            right = judge.right(said.question)
            if right is not None:
                outcomes["learned"].note(said.question, said.answer(judge, key_of), right)
            impression = store.impression(said.response.impression_id)
            if impression is not None and impression.model is not None:
                notes.models[impression.model] += 1
        vectors = None
        if {"vector", "fusion"} & set(plan.all_ways):
            ids = [filled.ids[text.key] for text in pool.texts]
            vectors = in_process.VectorsOf(store, embedder, ids)
        _ask_baselines(pool, plan, judge, outcomes, vectors, progress)


def _filled(pool: Pool, home: Path, plan: Plan) -> Filled | None:
    """What a kept data directory holds of a pool; None when it is to be filled."""
    if plan.is_in_process and (home / "memory.db").exists() and not front_door.is_noted(home):
        with in_process.opened(home) as (store, _):
            return in_process.ids_in(store, pool)
    return front_door.filled(home, pool)


@dataclass(frozen=True, slots=True)
class _Said:
    """What the daemon answered to one question, and the ids that it answered within each token budget."""

    question: Question
    response: RecallResponse
    by_budget: Mapping[int, Sequence[str]]
    took_ms: float

    def answer(self, judge: _Judge, key_of: Mapping[str, str]) -> Answer:
        """The same as it is measured.

        :param key_of: the key of each id.
        """
        results = self.response.results
        return Answer(
            ranked=judge.ranked([(key_of[one.id], one.score) for one in results]),
            by_budget={
                budget: list(dict.fromkeys(judge.key(key_of[id_]) for id_ in ids))
                for budget, ids in self.by_budget.items()
            },
            n_tokens=sum(estimated_tokens(one.content) for one in results[:DEPTH]),
            took_ms=self.took_ms,
            best_score=results[0].score if results else 0.0,
            shown=[judge.key(key_of[one.id]) for one in results[: self.question.limit or DEPTH]],
            relevance=_relevance(self.response),
        )


def _ask(asked: Asked, pool: Pool, plan: Plan, notes: Notes, progress: Progress) -> list[_Said]:
    answers: list[_Said] = []
    asked_at = pool.asked_at
    for number, question in enumerate(pool.questions, 1):
        as_of = question.as_of or asked_at
        request = RecallRequest(
            query=question.text,
            limit=max(plan.n_results, question.limit or 1),
            project=question.project,
            as_of=None if as_of is None else utc_text(as_of),
            min_relevance=question.min_relevance,
        )
        agent = question.agent or front_door.AGENT
        response, took_ms = _timed(lambda: asked.recall(request, agent))  # noqa: B023 - called at once
        for warning in response.warnings:
            if front_door.is_by_words(warning):
                raise EvaluationError(f"{question.text[:80]!r} was {warning}", "penchant models list")
            if not response.held_back:  # what is held back is counted, question by question
                notes.warnings[warning] += 1
        within: dict[int, list[str]] = {}
        if plan.unit == "turn" and question.is_answerable:
            for budget in plan.budgets:
                limited = {"budget_tokens": budget, "limit": max(N_WITHIN_BUDGET, request.limit)}
                fitting = asked.recall(request.model_copy(update=limited), agent)
                within[budget] = [one.id for one in fitting.results]
        answers.append(_Said(question, response, within, took_ms))
        progress.step("asked", number, len(pool.questions))
    return answers


def _relevance(response: RecallResponse) -> float | None:
    """How sure the daemon is that it found an answer, calibrated; None while its API does not say."""
    said = response.model_dump(include={"relevance"}).get("relevance")
    return float(said) if isinstance(said, int | float) else None


# ---- baselines


def _ask_baselines(
    pool: Pool,
    plan: Plan,
    judge: _Judge,
    outcomes: Mapping[str, Outcomes],
    vectors: in_process.VectorsOf | None,
    progress: Progress,
) -> None:
    texts = [text.text for text in pool.texts]
    n_tokens = [estimated_tokens(text) for text in texts]
    grep, plain = Grep(texts), PlainSearch(texts)
    for number, question in enumerate(pool.questions, 1):
        right = judge.right(question)
        for way, (ranked, took_ms) in _rankings(question, grep, plain, vectors).items():
            if right is None or way not in plan.all_ways:
                continue
            scored = [(pool.texts[place].key, score) for place, score in ranked]
            first = select([texts[i] for i, _ in ranked], [n_tokens[i] for i, _ in ranked], plan.n_results)
            best = judge.ranked([scored[i] for i in first])
            answer = Answer(
                ranked=best,
                by_budget=_within(plan, judge, scored, [(texts[i], n_tokens[i]) for i, _ in ranked]),
                n_tokens=sum(n_tokens[ranked[i][0]] for i in first[:DEPTH]),
                took_ms=took_ms,
                best_score=ranked[0][1] if ranked else 0.0,
                shown=best[: question.limit or DEPTH],
            )
            outcomes[way].note(question, answer, right)
        progress.step("compared", number, len(pool.questions))
    plain.close()


def _rankings(
    question: Question, grep: Grep, plain: PlainSearch, vectors: in_process.VectorsOf | None
) -> dict[str, tuple[Ranked, float]]:
    """Each baseline's ranking of all texts, and how long it took in milliseconds."""
    found = {
        "grep": _timed(lambda: grep.ranked(question.text)),
        "bm25": _timed(lambda: plain.ranked(question.text)),
    }
    if vectors is not None:
        by_vector, ms = _timed(lambda: Vectors(vectors.cosine(question.text)).ranked())
        by_words, words_ms = found["bm25"]
        both, fusion_ms = _timed(lambda: fused([by_words, by_vector]))
        found |= {"vector": (by_vector, ms), "fusion": (both, ms + words_ms + fusion_ms)}
    return found


def _within(
    plan: Plan, judge: _Judge, scored: Sequence[tuple[str, float]], sizes: Sequence[tuple[str, int]]
) -> dict[int, list[str]]:
    """What fits each budget, chosen as the daemon chooses."""
    if plan.unit == "session":
        return {}
    texts, n_tokens = [text for text, _ in sizes], [n for _, n in sizes]
    limit = max(N_WITHIN_BUDGET, plan.n_results)
    chosen = {budget: select(texts, n_tokens, limit, budget) for budget in plan.budgets}
    return {budget: judge.ranked([scored[i] for i in places]) for budget, places in chosen.items()}


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What a piece of work gives, and how long it took in milliseconds."""
    started = time.perf_counter()
    result = work()
    return result, (time.perf_counter() - started) * 1000


@contextlib.contextmanager
def _home(keep: Path | None, name: str) -> Iterator[Path]:
    """A data directory: one that is kept is filled once, whatever is asked of it later."""
    if keep is not None:
        yield keep / name
        return
    # Short, because the path of a Unix socket ends at 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pe-"))
    try:
        yield folder / name
    finally:
        shutil.rmtree(folder, ignore_errors=True)
