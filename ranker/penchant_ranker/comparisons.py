"""Labelled lists as comparisons: each labelled row against those that its label puts below it, or above it.

A row that was used is the best of itself and the rows of lower rungs; one that was rejected is the worst of itself
and the unlabelled rows. Rows of the same rung are never compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .labels import REJECTED, UNLABELLED, LabelledLists

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Comparisons, their entries one after another; the first entry of each is the row that it is about.

    :param values: (n_entries, n_features) float64; of comparisons about a rejected row they are negated, so that
        in each comparison the row that it is about should have the highest score.
    :param offsets: (n + 1,) where each comparison starts.
    :param of: (n_entries,) the comparison of each entry.
    :param log_counts: (n_entries,) log of how much each entry counts as an opponent; 0 for the first.
    :param targets: (n_entries,) how probable each entry is the highest; they sum to 1 in each comparison.
    :param weights: (n,) how much each comparison counts.
    :param rows: (n,) the row of the lists that each is about.
    :param lists: (n,) the list of each.
    """

    values: _Floats
    offsets: _Ints
    of: _Ints
    log_counts: _Floats
    targets: _Floats
    weights: _Floats
    rows: _Ints
    lists: _Ints

    def __len__(self) -> int:
        return len(self.rows)

    def margins(self, scores: _Floats) -> _Floats:
        """By how much each row is ahead of the mean of its opponents, by their counts: (n,).

        :param scores: (n_entries,) of `values`, negated like them.
        """
        counts = np.exp(self.log_counts)
        counts[self.offsets[:-1]] = 0.0
        totals = np.add.reduceat(counts, self.offsets[:-1])
        others = np.add.reduceat(counts * scores, self.offsets[:-1]) / totals
        return np.asarray(scores[self.offsets[:-1]] - others)


def comparisons(lists: LabelledLists) -> Comparisons:
    """All comparisons of some lists; none where all rows of a list have the same rung.

    A comparison weighs as much as the row that it is about, and less when its opponents together count less than
    one row: what was not used is seldom really bad.
    """
    entries: list[_Ints] = []
    rows: list[int] = []
    for i in range(lists.n_lists):
        first, end = int(lists.offsets[i]), int(lists.offsets[i + 1])
        rungs, weights = lists.rungs[first:end], lists.weights[first:end]
        for row in np.flatnonzero((rungs != UNLABELLED) & (weights > 0)).tolist():
            below = rungs < rungs[row] if rungs[row] > UNLABELLED else rungs == UNLABELLED
            against = np.flatnonzero(below & (weights > 0))
            if len(against):
                rows.append(first + row)
                entries.append(np.concatenate(([row], against)) + first)
    sizes = np.array([len(e) for e in entries], dtype=np.int64)
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    about = np.array(rows, dtype=np.int64)
    of = np.repeat(np.arange(len(rows)), sizes)
    entry = np.concatenate([np.zeros(0, np.int64), *entries])
    values = lists.values[entry].astype(np.float64)
    values[(lists.rungs[about] == REJECTED)[of]] *= -1.0
    counts = lists.weights[entry].copy()
    counts[offsets[:-1]] = 0.0
    # A praised row can weigh more than 1, and still be one opponent.
    counts = np.minimum(counts, 1.0)
    totals = np.add.reduceat(counts, offsets[:-1]) if len(rows) else np.zeros(0)
    certainty = lists.certainty[about]
    targets = counts / totals[of] * (1.0 - certainty)[of]
    targets[offsets[:-1]] = certainty
    counts[offsets[:-1]] = 1.0
    return Comparisons(
        values=values,
        offsets=offsets,
        of=of,
        log_counts=np.log(counts),
        targets=targets,
        weights=lists.weights[about] * np.minimum(totals, 1.0),
        rows=about,
        lists=lists.list_of[about] if len(rows) else about,
    )
