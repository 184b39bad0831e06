"""Simulated people with a hidden taste: what they are shown, look at, use and reject; and how well a model serves them.

Nothing of a person is known to a learner but the outcomes. What a model is worth is measured on other queries of the
same person, over all candidates, by what they would really have wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant_ranker.hand_set import HandSet, Weight
from penchant_ranker.labels import Impression, Kind, LabelledLists, Outcome, labelled, propensity
from penchant_ranker.model import LinearModel

Floats = NDArray[np.float64]
Score = Callable[[Floats], Floats]

PRIOR = LinearModel.of(
    HandSet(
        name="prior",
        scaling="best",
        weights=(
            Weight("words", 1.5, ""),
            Weight("answer", 0.75, ""),
            Weight("meaning", 0.75, ""),
            Weight("near", 0.4, ""),
            Weight("speaker", 0.4, ""),
            Weight("date", 0.4, ""),
            Weight("time", 0.3, ""),
            Weight("length", 0.25, ""),
            Weight("statement", 0.2, ""),
            Weight("role", 0.5, ""),
            Weight("kept", 0.3, ""),
        ),
    )
)
#: One feature that the prior does not weigh.
NAMES = (*PRIOR.features, "recent")
PRIOR_WEIGHTS = PRIOR.weights_for(NAMES)
N_CONTINUOUS = 4
EVERY_S = 600.0


@dataclass(frozen=True)
class Person:
    """A hidden taste: weights, and whether wishes depend on two things at once."""

    weights: Floats
    is_twisted: bool = False

    def wants(self, values: Floats) -> Floats:
        wish = values @ self.weights
        if self.is_twisted:
            words, meaning, date, role = (values[..., i] for i in (0, 2, 5, 9))
            wish = wish + 1.5 * ((words > 0.6) & (meaning > 0.6)) + 0.8 * (date > 0.5) * (role > 0.5)
        return wish


def person(seed: int, shift: float, is_twisted: bool = False) -> Person:
    """Someone whose weights are that far from the prior's; 0 is someone who wants just what the prior ranks."""
    rng = np.random.default_rng(1000 + seed)
    return Person(np.maximum(PRIOR_WEIGHTS + rng.normal(0.0, shift, len(NAMES)), 0.0), is_twisted)


@dataclass(frozen=True)
class Queries:
    """(n_queries, n_candidates, n_features) values, and what of each is really wanted."""

    values: Floats
    wish: Floats
    is_wanted: NDArray[np.bool_]


def queries(who: Person, n: int, seed: int, n_candidates: int = 40, noise: float = 0.2) -> Queries:
    rng = np.random.default_rng(seed)
    values = np.zeros((n, n_candidates, len(NAMES)))
    common = rng.beta(2, 4, (n, n_candidates, 1))
    continuous = 0.5 * common + 0.5 * rng.beta(2, 3, (n, n_candidates, N_CONTINUOUS))
    values[:, :, :N_CONTINUOUS] = continuous / continuous.max(axis=1, keepdims=True)
    values[:, :, N_CONTINUOUS:] = rng.random((n, n_candidates, len(NAMES) - N_CONTINUOUS)) < 0.3
    values[:, :, 7] = np.clip(rng.normal(0.5, 0.25, (n, n_candidates)), 0.0, 1.0)
    values[:, :, -1] = rng.random((n, n_candidates))
    says_nothing = rng.random((n, 1, 3)) < 0.5  # no one is named, no time is named, no time is asked for
    values[:, :, 4:7] = np.where(says_nothing, 0.5, values[:, :, 4:7])
    wish = who.wants(values) + rng.normal(0.0, noise, (n, n_candidates))
    ranks = np.argsort(np.argsort(-wish, axis=1), axis=1)
    return Queries(values, wish, ranks < rng.integers(1, 4, (n, 1)))


def impressions(
    who: Person,
    n: int,
    seed: int,
    contradictory: float = 0.0,
    agent: int = 1,
    n_shown: int = 10,
    n_kept: int = 20,
    score: Score = lambda values: values @ PRIOR_WEIGHTS,
) -> list[Impression]:
    """Recalls of one person, three to a session, every ten minutes; with outcomes of what they looked at.

    :param contradictory: share of outcomes that say the opposite of what is true.
    """
    rng = np.random.default_rng(seed)
    asked = queries(who, n, seed + 77)
    ranks = np.arange(1, n_kept + 1)
    is_shown = ranks <= n_shown
    chances = np.where(is_shown, propensity(ranks), propensity(np.array([n_shown])))
    middle = np.median(asked.wish, axis=1)
    found = []
    for i in range(n):
        order = np.argsort(-score(asked.values[i]), kind="stable")[:n_kept]
        looked_at = is_shown & (rng.random(n_kept) < chances)
        outcomes = []
        for row in np.flatnonzero(looked_at).tolist():
            candidate, luck = order[row], rng.random()
            if asked.is_wanted[i, candidate]:
                kind = Kind.HELPED if luck < 0.3 else Kind.USED
            elif luck < 0.02:
                kind = Kind.USED
            elif luck < 0.2 and asked.wish[i, candidate] < middle[i]:
                kind = Kind.WRONG
            else:
                continue
            if rng.random() < contradictory:
                kind = Kind.HELPED if kind is Kind.WRONG else Kind.WRONG
            outcomes.append(Outcome(row, kind, agent, i * EVERY_S, 0.6 if kind is Kind.USED else 1.0))
        values = asked.values[i, order].astype(np.float32)
        found.append(Impression(NAMES, values, is_shown, chances, tuple(outcomes), i // 3, 0, i * EVERY_S))
    return found


def lists_of(found: list[Impression]) -> LabelledLists:
    return labelled(NAMES, found, now=max((p.at for p in found), default=0.0), per_day=100_000)


def ndcg(score: Score, tests: Queries) -> float:
    """Mean NDCG@10 over all candidates."""
    scores = score(tests.values.reshape(-1, len(NAMES))).reshape(tests.wish.shape)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    wanted = np.take_along_axis(tests.is_wanted, order, axis=1)
    discounts = 1.0 / np.log2(np.arange(2, 12))
    best = np.cumsum(discounts)[tests.is_wanted.sum(axis=1) - 1]
    return float(((wanted @ discounts) / best).mean())


def worth(model: object, tests: Queries) -> float:
    """NDCG@10 of a model (or of weights in the order of `NAMES`) less that of the prior."""
    if isinstance(model, np.ndarray):
        got = ndcg(lambda values: values @ model, tests)
    else:
        got = ndcg(lambda values: model.score(values.astype(np.float32), NAMES), tests)  # type: ignore[attr-defined]
    return got - ndcg(lambda values: values @ PRIOR_WEIGHTS, tests)
