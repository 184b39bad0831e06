"""Learning to rank alone, in process: processor time of fitting and scoring, and what a simulated person gains by when.

python -m benchmarks.ranker_learning
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from tests.ranker.people import NAMES, PRIOR, impressions, lists_of, person, queries, worth

from benchmarks.report import Report
from penchant_ranker import TreeModel, train_trees, update, vote
from penchant_ranker.forest import MAX_LEAVES

SEED = 0
N_PEOPLE = 10
N_TESTS = 200
SIZES = (10, 25, 50, 100, 300, 1000)
N_CANDIDATES = 300


def main() -> None:
    """Measure and keep the figures."""
    what = (
        f"simulated people with a hidden taste, lists of 20 rows and {len(NAMES)} features, 10 of them shown"
    )
    report = Report("ranker_learning", what, SEED)
    _times(report)
    for shift, share in ((0.0, 0.0), (0.15, 0.0), (0.4, 0.0), (0.4, 0.2)):
        _curve(report, shift, share)
    _trees(report)
    report.save()


def _timed(report: Report, name: str, unit: str, run: Callable[[], object], n: int, at_most: float) -> None:
    scale = {"s": 1.0, "ms": 1e3}[unit]
    run()
    values = []
    for _ in range(n):
        start = time.thread_time()
        run()
        values.append((time.thread_time() - start) * scale)
    report.add(name, values, unit, at_most=at_most)


def _times(report: Report) -> None:
    lists = lists_of(impressions(person(1, 0.3, is_twisted=True), 1100, SEED))

    def time_parts(n: int) -> None:
        part = lists.take(np.arange(n))
        _timed(report, f"weights from {n} lists", "s", lambda: update(PRIOR, part), 5, 1.0)

    def time_trees(n: int) -> None:
        part = lists.take(np.arange(n))
        margin = update(PRIOR, part)
        name = f"trees from {int(part.is_informative.sum())} lists that tell anything"
        _timed(report, name, "s", lambda: train_trees(part, margin, "trees", SEED, min_lists=100), 3, 5.0)

    for n in (50, 300, 1000):
        time_parts(n)
    part = lists.take(np.arange(1000))
    run = partial(vote, part, PRIOR)
    _timed(report, "votes on the labels of 1000 lists", "s", lambda: run(np.random.default_rng(0)), 3, 5.0)
    for n in (330, 1060):
        time_trees(n)
    values = np.random.default_rng(SEED).random((N_CANDIDATES, len(NAMES))).astype(np.float32)
    model = update(PRIOR, part).model("weights")
    _timed(report, f"scoring {N_CANDIDATES}, weights", "ms", lambda: model.score(values, NAMES), 300, 0.05)
    trees = _many_trees()
    what = f"{len(trees.forest.leaves) // MAX_LEAVES} trees"
    _timed(report, f"scoring {N_CANDIDATES}, {what}", "ms", lambda: trees.score(values, NAMES), 300, 0.5)
    few = values[:10]
    _timed(report, f"contributions to 10, {what}", "ms", lambda: trees.contributions(few, NAMES), 100, 5.0)


def _many_trees() -> TreeModel:
    """A forest of the full size: a person whose wishes depend on two things at once, and many recalls."""
    lists = lists_of(impressions(person(1, 0.3, is_twisted=True), 1500, SEED))
    return train_trees(lists, update(PRIOR, lists), "trees", SEED)


def _curve(report: Report, shift: float, share: float) -> None:
    """NDCG@10 on queries that were not learned from, less the prior's, by how many recalls there were."""
    gains: dict[int, list[float]] = {n: [] for n in SIZES}
    for seed in range(N_PEOPLE):
        who = person(seed, shift)
        tests = queries(who, N_TESTS, 9000 + seed)
        lists = lists_of(impressions(who, SIZES[-1], seed, contradictory=share))
        for n in SIZES:
            votes = vote(lists.take(np.arange(n)), PRIOR, np.random.default_rng(seed))
            gains[n].append(0.0 if votes.is_frozen else worth(update(PRIOR, votes.lists).mean, tests))
    about = f"taste {shift:g} from the prior" + (f", {share:.0%} contradictory" if share else "")
    for n, values in gains.items():
        report.add(f"{about}: gain after {n} recalls", values, "NDCG@10", at_least=-0.005)


def _trees(report: Report) -> None:
    """Weights and trees where wishes depend on two things at once; and trees without the weights as a margin."""
    for n in (350, 1000):
        weights, trees, alone = [], [], []
        for seed in range(N_PEOPLE // 2):
            who = person(seed, 0.3, is_twisted=True)
            tests, lists = queries(who, N_TESTS, 9000 + seed), lists_of(impressions(who, n, seed))
            margin = update(PRIOR, lists)
            weights.append(worth(margin.mean, tests))
            trees.append(worth(train_trees(lists, margin, "trees", SEED, min_lists=250), tests))
            nothing = replace(margin, mean=np.zeros(len(NAMES)))
            alone.append(worth(train_trees(lists, nothing, "trees", SEED, min_lists=250), tests))
        report.add(f"twisted taste, {n} recalls: gain of weights", weights, "NDCG@10")
        report.add(f"twisted taste, {n} recalls: gain of trees", trees, "NDCG@10")
        report.add(f"twisted taste, {n} recalls: gain of trees from nothing", alone, "NDCG@10")


if __name__ == "__main__":
    main()
