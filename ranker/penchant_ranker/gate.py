"""Whether a new model may rank: it has to beat the one that does on the newest outcomes, which it has not seen.

And the other way round: whether a learned model that ranks is still better than the weights it started from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .calibrate import Quality
from .labels import REJECTED, UNLABELLED, LabelledLists
from .model import Model

#: Share of the lists, the newest, that a new model is tried on and does not learn from.
HELD_OUT = 0.2
#: Below so many lists' worth of evidence nothing is decided.
MIN_EFFECTIVE = 50.0
MIN_EFFECTIVE_SHADOW = 30.0
#: One-sided 95 %: so many standard errors worse, and a learned model steps back.
FALL_BACK_ERRORS = 1.645
MAX_CALIBRATION_ERROR = 0.10
_N_DRAWS = 2_000
_TOP = 10

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same lists.

    :param ndcg: of the first and the second model, at 10, weighed by inverse propensity.
    :param difference: first minus second.
    :param error: standard error of the difference.
    :param interval: 95 % of it, of a paired bootstrap over lists.
    :param rejected_difference: first minus second of how high rejected rows rank, lower is better; with its error.
    :param n_lists: those with anything to tell.
    :param n_effective: to how many equally weighed lists they amount.
    """

    ndcg: tuple[float, float]
    difference: float
    error: float
    interval: tuple[float, float]
    rejected_difference: float
    rejected_error: float
    n_lists: int
    n_effective: float


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the new model ranks from now on, and why.

    :param reason: in words that a person reads.
    """

    is_accepted: bool
    reason: str
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Shadow:
    """Whether a learned model is to step back for the prior, and why."""

    is_falling_back: bool
    reason: str
    comparison: Comparison


def split_by_time(lists: LabelledLists, held_out: float = HELD_OUT) -> tuple[LabelledLists, LabelledLists]:
    """The older lists to learn from, and the newest to be tried on; a session is never in both.

    :param held_out: at least this share of the lists that tell anything is held out, in whole sessions.
    :return: with one session only, all lists are to learn from and none is left to be tried on.
    """
    names, number = np.unique(lists.sessions, return_inverse=True)
    latest = np.full(len(names), -np.inf)
    np.maximum.at(latest, number, lists.at)
    tells = np.bincount(number, weights=lists.is_informative, minlength=len(names))
    order = np.lexsort((names, -latest))
    n_sessions = int(np.searchsorted(np.cumsum(tells[order]), held_out * tells.sum())) + 1
    if len(names) < 2 or not tells.any():
        return lists, lists.take(np.zeros(0, dtype=np.int64))
    is_new = np.isin(number, order[: min(n_sessions, len(names) - 1)])
    return lists.where(~is_new), lists.where(is_new)


def compare(first: Model, second: Model, lists: LabelledLists, rng: np.random.Generator) -> Comparison:
    """Two models on the same lists, each list weighed by its rarest outcome's inverse propensity, age and trust.

    :param rng: the source of randomness of the bootstrap.

    Source: Swaminathan and Joachims (2015), The self-normalized estimator for counterfactual learning; the effective
    number of lists is (sum w)^2 / sum w^2.
    """
    lists = lists.where(lists.is_informative)
    values = [per_list(model.score(lists.values, lists.features), lists) for model in (first, second)]
    weights = list_weights(lists)
    has_gain, has_rejected = (~np.isnan(values[0][:, i]) for i in (0, 1))
    difference, error, interval = _paired(values[0][:, 0] - values[1][:, 0], weights, has_gain, rng)
    worse, worse_error, _ = _paired(values[0][:, 1] - values[1][:, 1], weights, has_rejected, rng)
    used = weights[has_gain]
    mean = [float(np.average(v[has_gain, 0], weights=used)) if used.sum() else 0.0 for v in values]
    return Comparison(
        ndcg=(mean[0], mean[1]),
        difference=difference,
        error=error,
        interval=interval,
        rejected_difference=worse,
        rejected_error=worse_error,
        n_lists=lists.n_lists,
        n_effective=float(used.sum() ** 2 / (used**2).sum()) if used.sum() else 0.0,
    )


def decide(
    challenger: Model,
    incumbent: Model,
    held_out: LabelledLists,
    rng: np.random.Generator,
    calibration: tuple[Quality, Quality] | None = None,
    min_effective: float = MIN_EFFECTIVE,
) -> Decision:
    """Whether a new model ranks from now on.

    It does when, on lists that it has not seen, its NDCG@10 is better in the mean, the rejected do not rank higher by
    more than a standard error, there is enough evidence, and its probabilities (where a decision hangs on them) are
    calibrated and no worse.

    :param held_out: see `split_by_time`.
    :param calibration: of the challenger's and the incumbent's probabilities on held-out cases; None where none are
        used.
    :param min_effective: how many lists' worth of evidence are needed.
    """
    c = compare(challenger, incumbent, held_out, rng)
    figures = (
        f"NDCG@10 {c.ndcg[0]:.3f} against {c.ndcg[1]:.3f} ({c.difference:+.3f} ± {c.error:.3f})"
        f" on {c.n_lists} newer recalls with outcomes"
    )
    kept = f"{incumbent.name} stays: "
    if c.n_effective < min_effective:
        why = (
            f"the newer recalls with outcomes amount to {c.n_effective:.0f} equally telling ones,"
            f" and {min_effective:.0f} are needed ({figures})"
        )
        return Decision(False, kept + why, c)
    if c.difference <= 0.0:
        return Decision(False, f"{kept}{challenger.name} is not better, {figures}", c)
    if c.rejected_difference > c.rejected_error:
        why = f"{challenger.name} ranks what was rejected higher by {c.rejected_difference:.3f}, though {figures}"
        return Decision(False, kept + why, c)
    if calibration is not None:
        new, old = calibration
        if new.ece > MAX_CALIBRATION_ERROR or new.brier > old.brier:
            why = (
                f"the probabilities of {challenger.name} are off by {new.ece:.3f}, where at most"
                f" {MAX_CALIBRATION_ERROR:.2f} is allowed; Brier score {new.brier:.3f} against {old.brier:.3f}"
            )
            return Decision(False, kept + why, c)
    return Decision(True, f"{challenger.name} ranks from now on: better than {incumbent.name}, {figures}", c)


def shadow(
    learned: Model,
    prior: Model,
    lists: LabelledLists,
    rng: np.random.Generator,
    min_effective: float = MIN_EFFECTIVE_SHADOW,
) -> Shadow:
    """Whether a learned model that ranks has become worse than the weights it started from.

    :param lists: those that came after it was trained.
    """
    c = compare(learned, prior, lists, rng)
    figures = (
        f"NDCG@10 {c.ndcg[0]:.3f} against {c.ndcg[1]:.3f} of {prior.name} ({c.difference:+.3f} ± {c.error:.3f})"
        f" on {c.n_lists} recalls with outcomes since it was trained"
    )
    if c.n_effective < min_effective:
        return Shadow(False, f"{learned.name} stays: too few recalls with outcomes to tell, {figures}", c)
    if c.difference < -FALL_BACK_ERRORS * c.error:
        return Shadow(True, f"{prior.name} ranks again: {learned.name} has become worse, {figures}", c)
    return Shadow(False, f"{learned.name} stays: not worse than {prior.name}, {figures}", c)


def list_weights(lists: LabelledLists) -> _Floats:
    """How much each list counts: as much as the weightiest outcome in it."""
    weights = np.zeros(lists.n_lists)
    np.maximum.at(weights, lists.list_of, np.where(lists.rungs != UNLABELLED, lists.weights, 0.0))
    return weights


def per_list(scores: _Floats, lists: LabelledLists) -> _Floats:
    """For each list its NDCG@10 (NaN without any gain), and how high its rejected rows are, 0 last to 1 first.

    :param scores: (n,) of the lists' rows.
    :return: (n_lists, 2)
    """
    out = np.full((lists.n_lists, 2), np.nan)
    gains = lists.gains
    for i in range(lists.n_lists):
        rows = slice(int(lists.offsets[i]), int(lists.offsets[i + 1]))
        order = np.argsort(-scores[rows], kind="stable")
        ranked = gains[rows][order].astype(np.float64)
        discounts = 1.0 / np.log2(np.arange(2, min(len(ranked), _TOP) + 2))
        best = float(np.sort(ranked)[::-1][:_TOP] @ discounts)
        if best > 0.0:
            out[i, 0] = float(ranked[:_TOP] @ discounts) / best
        is_rejected = (lists.rungs[rows] == REJECTED)[order]
        if is_rejected.any() and len(order) > 1:
            out[i, 1] = float(1.0 - np.flatnonzero(is_rejected).mean() / (len(order) - 1))
    return out


def _paired(
    differences: _Floats, weights: _Floats, is_used: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[float, float, tuple[float, float]]:
    """The weighed mean, its standard error and its 95 % interval, by drawing lists anew."""
    values, used = differences[is_used], weights[is_used]
    if not len(values) or not used.sum():
        return 0.0, 0.0, (0.0, 0.0)
    mean = float(np.average(values, weights=used))
    drawn = rng.integers(0, len(values), size=(_N_DRAWS, len(values)))
    totals = used[drawn].sum(axis=1)
    is_defined = totals > 0
    means = (used * values)[drawn].sum(axis=1)[is_defined] / totals[is_defined]
    low, high = np.percentile(means, [2.5, 97.5])
    return mean, float(means.std()), (float(low), float(high))
