"""Calibrated relevance: how probable it is that what is shown is right, and from which probability on it is shown."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .errors import BadTrainingData, ModelCorrupt, TooFewOutcomes

#: With fewer labelled cases probabilities are as the scores say, and thresholds higher.
MIN_CASES = 50
FEW_CASES_MARGIN = 0.05
#: With more cases the curve's shape is learned instead of assumed.
ISOTONIC_CASES = 1_000
N_BINS = 10
#: Pull of the coefficients of standardised features towards 0.
RIDGE = 0.1

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """From named figures of a recall (a score, a gap, a coverage) to a probability.

    :param names: what each column is.
    :param means: of each column, and `spreads`: by which it is standardised.
    :param coefficients: one for each column.
    :param intercept: log-odds where all columns are at their mean.
    :param curve: logistic probabilities, ascending, and the probability of each, where enough cases showed the shape;
        empty otherwise.
    :param n_cases: how many labelled cases it is from.
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    curve: tuple[tuple[float, float], ...]
    n_cases: int

    def probability(self, values: _Floats) -> _Floats:
        """(n,) for (n, len(names)) values."""
        standard = (np.asarray(values, dtype=np.float64) - self.means) / self.spreads
        chances = _logistic(standard @ np.array(self.coefficients) + self.intercept)
        if not self.curve:
            return chances
        at, to = np.array(self.curve).T
        return np.asarray(np.interp(chances, at, to))

    def moved(self, scale: float, move: float = 0.0) -> Calibration:
        """The same with log-odds `scale` times as large, plus `move`; less than 1 is less sure of itself."""
        return replace(
            self,
            coefficients=tuple(scale * c for c in self.coefficients),
            intercept=scale * self.intercept + move,
        )

    def rounded(self, digits: int = 4) -> Calibration:
        """The same with as many digits as a person reads."""
        return replace(
            self,
            means=tuple(round(x, digits) for x in self.means),
            spreads=tuple(round(x, digits) for x in self.spreads),
            coefficients=tuple(round(x, digits) for x in self.coefficients),
            intercept=round(self.intercept, digits),
        )


@dataclass(frozen=True, slots=True)
class Quality:
    """How good probabilities are.

    :param ece: expected calibration error over ten bins: by how much they are off.
    :param brier: mean squared error.
    """

    ece: float
    brier: float
    n_cases: int


def calibrate(names: Sequence[str], values: _Floats, is_right: NDArray[np.bool_]) -> Calibration:
    """A calibration from labelled cases.

    :param names: what each column is: the model's score alone, or with it what else tells that nothing fits (its lead
        over the fifth, the share of the query's words covered, the cosine of the best, by how much the best of other
        speakers is ahead of the one asked about).
    :param values: (n, len(names)), finite.
    :param is_right: (n,) whether what was shown was right.
    :raises TooFewOutcomes: with fewer than 50 cases.
    :raises BadTrainingData: if the arrays do not fit.

    With one column this is Platt scaling, with his targets that never reach 0 or 1; with more a ridge logistic
    regression. From 1,000 cases on, an isotonic curve over it takes the shape from the cases.

    Source: Platt (1999), Probabilistic outputs for support vector machines; Zadrozny and Elkan (2002), Transforming
    classifier scores into accurate multiclass probability estimates.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(is_right), len(names)) or not np.isfinite(values).all():
        raise BadTrainingData("values", f"must be finite and of shape ({len(is_right)}, {len(names)})")
    if len(is_right) < MIN_CASES:
        raise TooFewOutcomes("labelled cases", len(is_right), MIN_CASES)
    means, spreads = values.mean(axis=0), values.std(axis=0)
    spreads = np.where(spreads > 1e-9, spreads, 1.0)
    standard = (values - means) / spreads
    coefficients = _logistic_fit(standard, is_right)
    chances = _logistic(standard @ coefficients[1:] + coefficients[0])
    curve = _curve(chances, is_right) if len(is_right) >= ISOTONIC_CASES else ()
    return Calibration(
        names=tuple(names),
        means=tuple(means.tolist()),
        spreads=tuple(spreads.tolist()),
        coefficients=tuple(coefficients[1:].tolist()),
        intercept=float(coefficients[0]),
        curve=curve,
        n_cases=len(is_right),
    )


def isotonic(values: _Floats, weights: _Floats | None = None) -> _Floats:
    """The non-decreasing sequence nearest to another in squares, by pooling adjacent violators.

    :param weights: (n,) > 0, 1 each when None.

    >>> isotonic(np.array([1.0, 3.0, 2.0, 4.0])).tolist()
    [1.0, 2.5, 2.5, 4.0]

    Source: Ayer et al. (1955), An empirical distribution function for sampling with incomplete information.
    """
    weights = np.ones(len(values)) if weights is None else weights
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (m1, w1, n1), (m2, w2, n2) = pools[-2:]
            pools[-2:] = [((m1 * w1 + m2 * w2) / (w1 + w2), w1 + w2, n1 + n2)]
    return np.repeat([mean for mean, _, _ in pools], [n for _, _, n in pools])


def quality(chances: _Floats, is_right: NDArray[np.bool_], n_bins: int = N_BINS) -> Quality:
    """How good probabilities are on labelled cases; all 0 without any.

    :param n_bins: equally wide; a probability of 1 is in the last.

    >>> quality(np.array([0.2, 0.2, 0.8, 0.8]), np.array([False, False, True, True])).ece
    0.2
    """
    if not len(chances):
        return Quality(0.0, 0.0, 0)
    bins = np.minimum((chances * n_bins).astype(np.int64), n_bins - 1)
    said = np.bincount(bins, weights=chances, minlength=n_bins)
    was = np.bincount(bins, weights=is_right, minlength=n_bins)
    ece = float(np.abs(said - was).sum() / len(chances))
    return Quality(round(ece, 12), float(np.mean((chances - is_right) ** 2)), len(chances))


def threshold(chances: _Floats, is_right: NDArray[np.bool_], precision: float) -> float | None:
    """The lowest probability such that what is at least as probable is right often enough.

    :param precision: the wanted share of right ones among those at or above the threshold.
    :return: None when no threshold reaches it; with fewer than 50 cases 0.05 higher than they say.

    >>> threshold(np.array([0.1, 0.4, 0.6, 0.9] * 20), np.array([False, False, True, True] * 20), 0.9)
    0.6
    """
    if not len(chances):
        return None
    order = np.argsort(-chances, kind="stable")
    sorted_chances = chances[order]
    reached = np.cumsum(is_right[order]) / np.arange(1, len(order) + 1)
    # Equally probable ones are shown or not shown together.
    is_last = np.append(sorted_chances[1:] != sorted_chances[:-1], True)
    good = np.flatnonzero(is_last & (reached >= precision))
    if not len(good):
        return None
    found = float(sorted_chances[good[-1]])
    return min(1.0, found + FEW_CASES_MARGIN) if len(chances) < MIN_CASES else found


def write_calibration(calibration: Calibration) -> str:
    """A calibration as JSON."""
    c = calibration
    return json.dumps(
        {
            "names": c.names,
            "means": c.means,
            "spreads": c.spreads,
            "coefficients": c.coefficients,
            "intercept": c.intercept,
            "curve": c.curve,
            "n_cases": c.n_cases,
        },
        allow_nan=False,
    )


def read_calibration(text: str) -> Calibration:
    """The calibration that `write_calibration` wrote.

    :raises ModelCorrupt: if it is not one.
    """
    try:
        found = json.loads(text)
        names = tuple(found["names"]) if isinstance(found["names"], list) else (None,)
        means, spreads, coefficients = (
            _numbers(found[key], len(names)) for key in ("means", "spreads", "coefficients")
        )
        curve = tuple((a, b) for a, b in (_numbers(point, 2) for point in found["curve"]))
        (intercept,) = _numbers([found["intercept"]], 1)
        n_cases = int(found["n_cases"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelCorrupt("not a calibration of Penchant's") from error
    if not all(isinstance(name, str) for name in names) or not all(s > 0 for s in spreads):
        raise ModelCorrupt("a calibration whose names or spreads cannot be")
    if any(a >= b for (a, _), (b, _) in zip(curve, curve[1:], strict=False)):
        raise ModelCorrupt("a calibration whose curve does not ascend")
    return Calibration(names, means, spreads, coefficients, intercept, curve, n_cases)


def _numbers(found: object, n: int) -> tuple[float, ...]:
    if not isinstance(found, list) or len(found) != n:
        raise ValueError(f"not a list of {n}")
    numbers = tuple(float(x) for x in found)
    if not all(map(math.isfinite, numbers)):
        raise ValueError("not finite")
    return numbers


def _logistic(x: _Floats) -> _Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _logistic_fit(standard: _Floats, is_right: NDArray[np.bool_]) -> _Floats:
    """Intercept and coefficients, by Newton's method."""
    n_right = int(is_right.sum())
    n_wrong = len(is_right) - n_right
    targets = np.where(is_right, (n_right + 1.0) / (n_right + 2.0), 1.0 / (n_wrong + 2.0))
    columns = np.column_stack([np.ones(len(standard)), standard])
    ridge = np.full(columns.shape[1], RIDGE)
    ridge[0] = 0.0
    coefficients = np.zeros(columns.shape[1])
    coefficients[0] = math.log(float(targets.mean()) / (1.0 - float(targets.mean())))
    loss = _loss(columns, targets, ridge, coefficients)
    for _ in range(100):
        chances = _logistic(columns @ coefficients)
        gradient = columns.T @ (chances - targets) + ridge * coefficients
        curvature = (columns * (chances * (1.0 - chances))[:, None]).T @ columns + np.diag(ridge + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        # A full step overshoots where nearly all chances are 0 or 1, and would never come back.
        while True:
            reached = _loss(columns, targets, ridge, coefficients - step)
            if reached <= loss or float(np.abs(step).max()) < 1e-9:
                break
            step = step / 2.0
        coefficients, loss = coefficients - step, reached
        if float(np.abs(step).max()) < 1e-9:
            break
    return coefficients


def _loss(columns: _Floats, targets: _Floats, ridge: _Floats, coefficients: _Floats) -> float:
    """The penalised negative log-likelihood."""
    odds = columns @ coefficients
    return float((np.logaddexp(0.0, odds) - targets * odds).sum() + 0.5 * (ridge * coefficients**2).sum())


def _curve(chances: _Floats, is_right: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """The isotonic curve's corners: the first and the last point of each level."""
    at, index, counts = np.unique(chances, return_inverse=True, return_counts=True)
    share = np.bincount(index, weights=is_right) / counts
    levels = isotonic(share, counts.astype(np.float64))
    starts = np.flatnonzero(np.append(True, levels[1:] != levels[:-1]))
    ends = np.append(starts[1:], len(levels))
    n = np.add.reduceat(counts, starts)
    # No level is so sure that nothing could be otherwise.
    smoothed = isotonic((levels[starts] * n + 1.0) / (n + 2.0), n.astype(np.float64))
    points = {}
    for start, end, level in zip(starts.tolist(), ends.tolist(), smoothed.tolist(), strict=True):
        points[float(at[start])] = points[float(at[end - 1])] = level
    return tuple(points.items())
