"""What one answer is worth, and what many are: means, intervals, and how each kind of question fared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from penchant_daemon.evaluation.datasets import Question, Unit
from penchant_ranker import (
    all_at,
    auroc,
    auroc_interval,
    bootstrap_interval,
    hit_at,
    ndcg_at,
    recall_at,
    reciprocal_rank,
)

__all__ = [
    "Answer",
    "ExactSets",
    "Figure",
    "Outcomes",
    "Share",
    "quality_names",
    "ranked_sessions",
    "worth",
]

#: What a session is worth by its turns: the best, the second and the third count so much. A session of which
#: three turns fit is likelier meant than one of which a single turn does (measured on LoCoMo's other questions).
SESSION_WEIGHTS = (1.0, 0.3, 0.15)
#: How far down ndcg, hits and the cost in tokens look.
DEPTH = 10

#: Keys of what is true now, and of what was.
Pair = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one way of ranking gave for one question.

    :param ranked: keys (turns, memories or sessions), best first.
    :param by_budget: per token budget, the keys that fit it.
    :param n_tokens: of the first ten, about.
    :param took_ms: from the question to the ranking.
    :param best_score: of what is ranked first, on any scale; 0 when nothing is.
    :param shown: what was returned at the question's own limit.
    :param relevance: how sure it is to have found an answer, calibrated; None where it does not say.
    """

    ranked: Sequence[str]
    by_budget: Mapping[int, Sequence[str]]
    n_tokens: int
    took_ms: float
    best_score: float
    shown: Sequence[str]
    relevance: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Share:
    """A figure over some questions (or pairs).

    :param n: how many.
    :param n_undecided: of them, pairs of which neither was found (they count as wrong).
    """

    figure: Figure
    n: int
    n_undecided: int = 0


@dataclass(frozen=True, slots=True)
class ExactSets:
    """How near what was returned came to what should be, all of it and nothing else."""

    precision: float
    recall: float
    is_exact: float
    n: int


def quality_names(unit: Unit, ks: Sequence[int], budgets: Sequence[int]) -> tuple[str, ...]:
    """The measures of a run, in the order in which they are shown."""
    recalls = tuple(f"recall@{k}" for k in ks)
    if unit == "session":
        return (*recalls, "mrr", f"hit@{DEPTH}")
    by_budget = tuple(f"recall@{budget}tokens" for budget in budgets)
    return (*recalls, f"ndcg@{DEPTH}", "mrr", f"hit@{DEPTH}", f"all@{DEPTH}", *by_budget)


def worth(answer: Answer, right: Sequence[str], unit: Unit, ks: Sequence[int]) -> dict[str, float]:
    """The measures of one answer; names as in `quality_names`."""
    values = {f"recall@{k}": recall_at(answer.ranked, right, k) for k in ks}
    values["mrr"] = reciprocal_rank(answer.ranked, right)
    values[f"hit@{DEPTH}"] = hit_at(answer.ranked, right, DEPTH)
    if unit == "turn":
        values[f"ndcg@{DEPTH}"] = ndcg_at(answer.ranked, right, DEPTH)
        values[f"all@{DEPTH}"] = all_at(answer.ranked, right, DEPTH)
        for budget, keys in answer.by_budget.items():
            values[f"recall@{budget}tokens"] = recall_at(keys, right, len(keys))
    return values


def ranked_sessions(scored: Sequence[tuple[str, float]], session_of: Mapping[str, str]) -> list[str]:
    """Sessions, best first, by the scores of their turns.

    :param scored: turns with their scores, best first.

    >>> turns = [("a1", 1.0), ("b1", 0.9), ("b2", 0.8), ("b3", 0.8)]
    >>> ranked_sessions(turns, {"a1": "a", "b1": "b", "b2": "b", "b3": "b"})
    ['b', 'a']
    """
    scores: dict[str, list[float]] = defaultdict(list)
    for key, score in scored:
        own = scores[session_of[key]]
        if len(own) < len(SESSION_WEIGHTS):
            own.append(score)
    total = {s: sum(w * x for w, x in zip(SESSION_WEIGHTS, own, strict=False)) for s, own in scores.items()}
    return sorted(total, key=lambda session: -total[session])


@dataclass(slots=True)
class Outcomes:
    """What one way of ranking gave, question by question.

    :param unit: what was looked for; `ks` how far down.
    """

    unit: Unit
    ks: Sequence[int]
    questions: list[Question] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    _values: list[dict[str, float]] = field(default_factory=list)

    def note(self, question: Question, answer: Answer, right: Sequence[str]) -> None:
        """Take one answer.

        :param right: keys of the right turns, memories or sessions; empty when there is nothing to find.
        """
        self.questions.append(question)
        self.answers.append(answer)
        self._values.append(worth(answer, right, self.unit, self.ks) if right else {})

    def n(self, type_: str | None = None) -> int:
        """How many questions with an answer there are, of a type."""
        return len(self._rows(type_))

    def figure(self, measure: str, seed: int, type_: str | None = None) -> Figure:
        """The mean of a measure over the questions with an answer, of a type; intervals by conversation."""
        rows = self._rows(type_)
        values = np.array([self._values[row][measure] for row in rows])
        low, high = bootstrap_interval(values, self._groups(rows), np.random.default_rng(seed))
        return Figure(float(values.mean()), low, high)

    def n_tokens(self, type_: str | None = None) -> float:
        """What the first ten cost, in the mean."""
        return float(np.mean([self.answers[row].n_tokens for row in self._rows(type_)]))

    def took_ms(self, percentile: float, type_: str | None = None) -> float:
        """How long an answer took; all questions of a type count, those without an answer too."""
        rows = [i for i, one in enumerate(self.questions) if type_ in (None, one.type)]
        return float(np.percentile([self.answers[row].took_ms for row in rows], percentile))

    @property
    def has_relevance(self) -> bool:
        """Whether each answer says how sure it is; 0 in all of them says nothing."""
        said = [answer.relevance for answer in self.answers]
        return all(one is not None for one in said) and any(said)

    def n_nothing(self, *, is_answerable: bool) -> int:
        """For how many questions with an answer (or without one) nothing at all was returned."""
        pairs = zip(self.questions, self.answers, strict=True)
        return sum(not said.ranked for one, said in pairs if one.is_answerable is is_answerable)

    def abstention(self, seed: int) -> Share | None:
        """AUROC of relevance, else of the best score: questions with an answer against those without; None if there
        are none of either."""
        has_answer = np.array([bool(values) for values in self._values])
        if has_answer.all() or not has_answer.any():
            return None
        by = [one.relevance if self.has_relevance else one.best_score for one in self.answers]
        confidence = np.array(by, dtype=np.float64)
        rows = list(range(len(confidence)))
        low, high = auroc_interval(confidence, has_answer, self._groups(rows), np.random.default_rng(seed))
        figure = Figure(auroc(confidence[has_answer], confidence[~has_answer]), low, high)
        return Share(figure, int((~has_answer).sum()))

    def updates(self, seed: int) -> Share | None:
        """How often what is true now is ranked above what was, pair by pair; None where nothing was replaced."""
        return self._in_order(
            seed, lambda question: [((a,), (b,)) for a in question.fresh for b in question.stale]
        )

    def updated_questions(self, seed: int) -> Share | None:
        """The same, question by question: the first of what is true now above the first of what was."""
        return self._in_order(
            seed,
            lambda question: [(question.fresh, question.stale)] if question.fresh and question.stale else [],
        )

    def _in_order(self, seed: int, pairs_of: Callable[[Question], Sequence[Pair]]) -> Share | None:
        right: list[float] = []
        rows: list[int] = []
        n_undecided = 0
        for row, (question, answer) in enumerate(zip(self.questions, self.answers, strict=True)):
            rank = {key: i for i, key in enumerate(answer.ranked)}
            last = len(rank)
            for pair in pairs_of(question):
                a, b = (min(rank.get(key, last) for key in keys) for keys in pair)
                right.append(float(a < b))
                rows.append(row)
                n_undecided += a == b
        if not right:
            return None
        values = np.array(right)
        low, high = bootstrap_interval(values, self._groups(rows), np.random.default_rng(seed))
        return Share(Figure(float(values.mean()), low, high), len(right), n_undecided)

    def exact_sets(self) -> ExactSets | None:
        """Of the questions that name all that should be returned; None where none does."""
        found = []
        for question, answer in zip(self.questions, self.answers, strict=True):
            if question.is_exact:
                wanted, got = set(question.answers), set(answer.shown)
                both = len(wanted & got)
                precision = both / len(got) if got else float(not wanted)
                found.append((precision, both / len(wanted) if wanted else 1.0, float(wanted == got)))
        if not found:
            return None
        precision, recall, is_exact = np.array(found).mean(axis=0).tolist()
        return ExactSets(precision, recall, is_exact, len(found))

    def _rows(self, type_: str | None) -> list[int]:
        pairs = zip(self.questions, self._values, strict=True)
        return [i for i, (one, values) in enumerate(pairs) if values and type_ in (None, one.type)]

    def _groups(self, rows: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        numbers: dict[str | None, int] = {}
        return np.array(
            [numbers.setdefault(self.questions[row].group, len(numbers)) for row in rows], dtype=np.int64
        )
