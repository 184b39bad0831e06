"""How good a ranking is: recall, NDCG, reciprocal rank, AUROC, and intervals by resampling."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def recall_at(ranked: Sequence[Hashable], relevant: Sequence[Hashable], k: int) -> float:
    """The share of what is relevant that is among the first k.

    >>> recall_at(["a", "b", "c"], ["c", "a"], 2)
    0.5
    """
    wanted = set(relevant)
    return len(wanted & set(ranked[:k])) / len(wanted) if wanted else 0.0


def hit_at(ranked: Sequence[Hashable], relevant: Sequence[Hashable], k: int) -> float:
    """1 if anything relevant is among the first k, else 0."""
    return float(bool(set(relevant) & set(ranked[:k])))


def all_at(ranked: Sequence[Hashable], relevant: Sequence[Hashable], k: int) -> float:
    """1 if all that is relevant is among the first k, else 0; 0 if nothing is relevant.

    >>> all_at(["a", "b", "c"], ["c", "a"], 2), all_at(["a", "b", "c"], ["c", "a"], 3)
    (0.0, 1.0)
    """
    wanted = set(relevant)
    return float(bool(wanted) and wanted <= set(ranked[:k]))


def ndcg_at(ranked: Sequence[Hashable], relevant: Sequence[Hashable], k: int) -> float:
    """Normalised discounted cumulative gain of the first k with gains 0 or 1.

    >>> round(ndcg_at(["x", "a"], ["a"], 10), 3)
    0.631

    Source: Järvelin and Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques;
    with log2(rank + 1).
    """
    wanted = set(relevant)
    if not wanted:
        return 0.0
    gain = sum(1.0 / np.log2(i + 2) for i, x in enumerate(ranked[:k]) if x in wanted)
    ideal = sum(1.0 / np.log2(i + 2) for i in range(min(len(wanted), k)))
    return float(gain / ideal)


def graded_ndcg_at(ranked: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """The same with a gain of its own for each that is relevant; 0 where nothing is.

    :param gains: above 0; what is not among them gains nothing.

    >>> round(graded_ndcg_at(["x", "a", "b"], {"a": 3, "b": 1}, 5), 3), graded_ndcg_at(["a", "b"], {"a": 3, "b": 1}, 5)
    (0.659, 1.0)
    """
    best = sorted(gains.values(), reverse=True)
    gain, ideal = (
        sum(float(g) / np.log2(i + 2) for i, g in enumerate(found[:k]))
        for found in ([gains.get(x, 0.0) for x in ranked], best)
    )
    return float(gain / ideal) if ideal else 0.0


def reciprocal_rank(ranked: Sequence[Hashable], relevant: Sequence[Hashable]) -> float:
    """1 / rank of the first relevant one, 0 if there is none.

    >>> reciprocal_rank(["x", "a"], ["a"])
    0.5
    """
    wanted = set(relevant)
    return next((1.0 / (i + 1) for i, x in enumerate(ranked) if x in wanted), 0.0)


def bootstrap_interval(
    values: NDArray[np.float64], groups: NDArray[np.int64], rng: np.random.Generator, n_samples: int = 2000
) -> tuple[float, float]:
    """The 95 % interval of the mean when whole groups (conversations) are drawn anew.

    :param values: (n,) one per question.
    :param groups: (n,) which conversation each belongs to; one group alone is resampled by question.
    :param rng: the source of randomness.
    :return: the 2.5 and 97.5 percentiles.

    >>> bootstrap_interval(np.ones(4), np.array([0, 0, 1, 1]), np.random.default_rng(0))
    (1.0, 1.0)
    """
    names, index = np.unique(groups, return_inverse=True)
    if len(names) == 1:
        names, index = np.arange(len(values)), np.arange(len(values))
    totals = np.bincount(index, weights=values, minlength=len(names))
    counts = np.bincount(index, minlength=len(names))
    drawn = rng.integers(0, len(names), size=(n_samples, len(names)))
    means = totals[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def auroc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """How often a positive score is above a negative one; ties count half. 0.5 is chance.

    :param positive: (n,) scores of what should score high; `negative` (m,) of what should not. Neither is empty.

    >>> auroc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875

    Source: Hanley and McNeil (1982), The meaning and use of the area under a ROC curve: the Mann-Whitney
    statistic.
    """
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).sum() / (2.0 * len(positive) * len(negative)))


def auroc_interval(
    scores: NDArray[np.float64],
    is_positive: NDArray[np.bool_],
    groups: NDArray[np.int64],
    rng: np.random.Generator,
    n_samples: int = 1000,
) -> tuple[float, float]:
    """The 95 % interval of the AUROC when whole groups (conversations) are drawn anew.

    Draws without a positive or without a negative say nothing and are left out.

    :param groups: (n,) which conversation each score belongs to; one group alone is resampled by score.

    >>> flags = np.array([True, False, True, False])
    >>> auroc_interval(np.array([1.0, 0.0, 1.0, 0.0]), flags, np.array([0, 0, 1, 1]), np.random.default_rng(0))
    (1.0, 1.0)
    """
    names, index = np.unique(groups, return_inverse=True)
    if len(names) == 1:
        names, index = np.arange(len(scores)), np.arange(len(scores))
    members = [np.flatnonzero(index == i) for i in range(len(names))]
    found = []
    for _ in range(n_samples):
        drawn = np.concatenate([members[i] for i in rng.integers(0, len(names), len(names))])
        flags = is_positive[drawn]
        if flags.any() and not flags.all():
            found.append(auroc(scores[drawn][flags], scores[drawn][~flags]))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
