"""What a query term is worth when it stands not in a turn but near it: in its neighbours, its session, its question.

Terms are words (scored by BM25) or tokens (scored by nearness): a column each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: What a term is worth when it stands 2 turns before, 1 before, in the turn itself, 1 after, 2 after.
WINDOW: tuple[float, ...] = (0.5, 0.7, 1.0, 0.7, 0.5)
#: What a term is worth anywhere in the session.
SESSION = 0.35
#: What a term is worth in the question that a turn answers.
QUESTION = 0.85


def windowed(
    parts: NDArray[np.float32], around: NDArray[np.int64], session_best: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Each candidate's sum over terms of the best place where the term stands, at a discount by distance.

    :param parts: (n + 1, n_terms) contributions; the last row is zero and stands for "no such turn".
    :param around: (k, 5) rows of `parts`: the turns -2, -1, 0, +1, +2 of each candidate.
    :param session_best: (k, n_terms) each term's best contribution in the candidate's session.
    :return: (k,) float32.
    """
    best = parts[around[:, 2]]
    for column, discount in enumerate(WINDOW):
        if column != 2:
            np.maximum(best, parts[around[:, column]] * np.float32(discount), out=best)
    np.maximum(best, session_best * np.float32(SESSION), out=best)
    return np.asarray(best.sum(axis=1), dtype=np.float32)


def answering(
    parts: NDArray[np.float32], around: NDArray[np.int64], asked_before: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Each candidate's sum over terms, where a term may also stand in the question just before it.

    :param asked_before: (k,) bool, whether the turn before puts a question.
    :return: (k,) float32.
    """
    own = parts[around[:, 2]]
    before = parts[around[:, 1]] * np.float32(QUESTION)
    before[~asked_before] = 0.0
    return np.asarray(np.maximum(own, before).sum(axis=1), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows sorted into groups, to be used for several tables.

    :param order: rows in a group, group by group.
    :param first: where each group starts in `order`.
    """

    order: NDArray[np.int64]
    first: NDArray[np.int64]

    @staticmethod
    def of(groups: NDArray[np.int64]) -> Groups:
        """The groups of (n,) any integers; rows of a negative number are in none."""
        rows = np.flatnonzero(groups >= 0)
        order = rows[np.argsort(groups[rows], kind="stable")]
        of_row = groups[order]
        first = np.flatnonzero(np.concatenate((np.ones(len(order[:1]), np.bool_), of_row[1:] != of_row[:-1])))
        return Groups(order, first)


def group_best(values: NDArray[np.float32], groups: Groups) -> NDArray[np.float32]:
    """Each row replaced by the column-wise best of its group; rows in no group stay alone.

    :param values: (n, m).

    >>> values = np.array([[1.0], [3.0], [2.0]], dtype=np.float32)
    >>> group_best(values, Groups.of(np.array([4, 4, -1]))).ravel().tolist()
    [3.0, 3.0, 2.0]
    """
    best = values.copy()
    if len(groups.order):
        top = np.maximum.reduceat(values[groups.order], groups.first, axis=0)
        best[groups.order] = np.repeat(top, np.diff(np.append(groups.first, len(groups.order))), axis=0)
    return best
