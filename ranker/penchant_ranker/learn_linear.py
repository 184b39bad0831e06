"""Weights from the first outcome on: a Bayesian update of the prior's weights that can only leave them for a reason.

How far a person's taste is from the prior is not known, so several answers are weighed by how well each explains the
outcomes; "not at all" has half of the belief beforehand. Few or contradictory outcomes therefore change next to
nothing, and a clear taste is followed within tens of lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .comparisons import Comparisons, comparisons
from .errors import BadTrainingData
from .labels import LabelledLists
from .model import LinearModel, Scaling, TrainedOn

#: How far weights may be from the prior's: standard deviations, as shares of the prior's root mean square weight.
SPREADS = (0.06, 0.1, 0.2, 0.35, 0.6)
#: Belief, before any outcome, that the prior's weights are right as they are.
UNCHANGED = 0.5
#: A project's weights are held to those of all projects as if by so many lists of its own.
PROJECT_LISTS = 5.0
#: How decided outcomes are, that is, by what a difference in score is multiplied to be a logit.
_SHARPNESS = np.geomspace(0.25, 12.0, 30)
_SHARPNESS_CENTRE, _SHARPNESS_SPREAD = 4.0, 0.5
_MAX_STEPS = 50
_TOLERANCE = 1e-8

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Posterior:
    """What the outcomes say about the weights.

    :param features: what each weight is of.
    :param mean: (n_features,)
    :param covariance: (n_features, n_features) of Laplace's approximation, over all answers to how far the weights are
        from the prior's.
    :param signs: (n_features,) 1 for a weight that is never below 0, -1 for one that is never above, 0 free.
    :param unchanged: the belief, 0 to 1, that the prior's weights are right as they are.
    :param sharpness: how decided the outcomes are; small when they contradict each other.
    :param information: (n_features, n_features) what one list tells on average.
    :param n_lists: those that put one row above another.
    """

    features: tuple[str, ...]
    scaling: Scaling
    mean: _Floats
    covariance: _Floats
    signs: tuple[int, ...]
    unchanged: float
    sharpness: float
    information: _Floats
    n_lists: int
    n_comparisons: int

    def model(self, name: str, trained_on: TrainedOn | None = None) -> LinearModel:
        """The mean weights as a model."""
        weights = tuple(float(w) for w in self.mean)
        return LinearModel(name, self.features, weights, self.scaling, dict(trained_on or {}))


def update(
    prior: LinearModel | Posterior, lists: LabelledLists, signs: Mapping[str, int] | None = None
) -> Posterior:
    """The prior's weights after some outcomes.

    :param prior: the hand-set weights; or what all projects taught, and then `lists` are those of one project, which
        differs from it only as far as about five lists' worth of evidence pulls it away.
    :param lists: with no outcome, or with outcomes that put no row above another, the prior comes back.
    :param signs: of features: 1 never counts against a row, -1 never for it, 0 free. Unnamed ones keep the sign that
        they have in the prior, and are free when they weigh nothing in it.
    :raises BadTrainingData: if the prior needs a feature that the lists do not have.

    The likelihood of a comparison is that of a softmax over its rows, with the outcome's certainty as soft target.

    Source: MacKay (1992), Bayesian interpolation, for weighing the spreads by their evidence under Laplace's
    approximation; Cao et al. (2007), Learning to rank: from pairwise approach to listwise approach, for the likelihood.
    """
    missing = set(prior.needs if isinstance(prior, LinearModel) else prior.features) - set(lists.features)
    if missing:
        raise BadTrainingData(
            "lists", f"have no values of {', '.join(sorted(missing))}, which the prior weighs"
        )
    centre = weights_in(prior, lists.features)
    sign = signs_of(prior, lists.features, signs)
    compared = comparisons(lists)
    n_lists = len(np.unique(compared.lists))
    held = np.zeros((len(centre), len(centre)))
    around = _SHARPNESS_CENTRE
    if isinstance(prior, Posterior):
        place = [lists.features.index(f) for f in prior.features]
        held[np.ix_(place, place)] = PROJECT_LISTS * prior.information
        around = prior.sharpness
    scale = size_of(centre)
    precisions = [held + np.eye(len(centre)) / (spread * scale) ** 2 for spread in SPREADS]
    if not len(compared):
        return Posterior(
            features=lists.features,
            scaling=prior.scaling,
            mean=centre,
            covariance=np.asarray(np.linalg.inv(precisions[-1])),
            signs=sign,
            unchanged=UNCHANGED,
            sharpness=around,
            information=np.zeros_like(held),
            n_lists=0,
            n_comparisons=0,
        )
    sharpness = _sharpness(compared, centre, around)
    bounds = bounds_of(sign)
    likelihood = _Likelihood(replace(compared, values=compared.values * sharpness))
    found = []
    weights = centre
    for precision in precisions:  # the tightest first: each starts from the last one's answer
        weights, loss, hessian = _mode(likelihood, centre, precision, bounds, weights)
        evidence = -loss - 0.5 * (np.linalg.slogdet(hessian)[1] - np.linalg.slogdet(precision)[1])
        found.append((weights, np.linalg.inv(hessian), float(evidence)))
    unchanged, information = likelihood.at(centre)[0], likelihood.hessian(centre)
    beliefs = np.array([-unchanged, *(evidence for _, _, evidence in found)])
    beliefs += np.log([UNCHANGED, *([(1.0 - UNCHANGED) / len(SPREADS)] * len(SPREADS))])
    beliefs = np.exp(beliefs - beliefs.max())
    beliefs /= beliefs.sum()
    modes = np.array([centre, *(mode for mode, _, _ in found)])
    mean = beliefs @ modes
    covariance = (modes - mean).T @ (beliefs[:, None] * (modes - mean))
    for belief, (_, spread, _) in zip(beliefs[1:], found, strict=True):
        covariance += belief * spread
    return Posterior(
        features=lists.features,
        scaling=prior.scaling,
        mean=mean,
        covariance=covariance,
        signs=sign,
        unchanged=float(beliefs[0]),
        sharpness=sharpness,
        information=information / n_lists,
        n_lists=n_lists,
        n_comparisons=len(compared),
    )


def fitted(compared: Comparisons, centre: _Floats, spread: float, bounds: tuple[_Floats, _Floats]) -> _Floats:
    """The most probable weights for one spread around a centre, without weighing others: (n_features,).

    :param spread: standard deviation of a weight around the centre.
    :param bounds: the lowest and highest that each weight may be.
    """
    if not len(compared):
        return centre
    sharpness = _sharpness(compared, centre, _SHARPNESS_CENTRE)
    likelihood = _Likelihood(replace(compared, values=compared.values * sharpness))
    return _mode(likelihood, centre, np.eye(len(centre)) / spread**2, bounds, centre)[0]


def size_of(weights: _Floats) -> float:
    """The root mean square of the weights that are not 0; 1 when all are."""
    return float(np.sqrt(np.mean(weights[weights != 0.0] ** 2))) if weights.any() else 1.0


class _Likelihood:
    """Minus the log-likelihood of weights, given comparisons, and its derivatives."""

    def __init__(self, compared: Comparisons) -> None:
        self._c = compared
        self._starts = compared.offsets[:-1]
        self._weights = compared.weights[compared.of]
        self._pulled = (self._weights * compared.targets) @ compared.values

    def at(self, weights: _Floats) -> tuple[float, _Floats]:
        """The loss, and how probable each entry is the best of its comparison."""
        c = self._c
        logits = c.values @ weights + c.log_counts
        highest = np.maximum.reduceat(logits, self._starts)
        odds = np.exp(logits - highest[c.of])
        totals = np.add.reduceat(odds, self._starts)
        loss = c.weights @ (highest + np.log(totals)) - self._pulled @ weights
        return float(loss), odds / totals[c.of]

    def gradient(self, chances: _Floats) -> _Floats:
        return np.asarray((self._weights * chances) @ self._c.values - self._pulled)

    def hessian(self, weights: _Floats) -> _Floats:
        """The curvature: the covariance of the features under the softmax, summed over comparisons."""
        c = self._c
        chances = self.at(weights)[1]
        means = np.add.reduceat(c.values * chances[:, None], self._starts)
        each = (c.values * (self._weights * chances)[:, None]).T @ c.values
        return np.asarray(each - (means * c.weights[:, None]).T @ means)


def _mode(
    likelihood: _Likelihood,
    centre: _Floats,
    precision: _Floats,
    bounds: tuple[_Floats, _Floats],
    start: _Floats,
) -> tuple[_Floats, float, _Floats]:
    """The most probable weights, minus the log of their unnormalised probability, and its curvature there.

    Newton's method with the weights at a bound, and pushed against it, held fixed; the loss is convex.

    Source: Bertsekas (1982), Projected Newton methods for optimization problems with simple constraints.
    """
    lowest, highest = bounds
    weights = np.clip(start, lowest, highest)

    def loss_at(w: _Floats) -> tuple[float, _Floats]:
        loss, chances = likelihood.at(w)
        return loss + 0.5 * float((w - centre) @ precision @ (w - centre)), chances

    loss, chances = loss_at(weights)
    hessian = likelihood.hessian(weights) + precision
    for _ in range(_MAX_STEPS):
        gradient = likelihood.gradient(chances) + precision @ (weights - centre)
        is_free = ~(((weights <= lowest) & (gradient > 0)) | ((weights >= highest) & (gradient < 0)))
        step = np.zeros_like(weights)
        step[is_free] = -np.linalg.solve(hessian[np.ix_(is_free, is_free)], gradient[is_free])
        size = 1.0
        while True:
            ahead = np.clip(weights + size * step, lowest, highest)
            loss_ahead, chances_ahead = loss_at(ahead)
            if loss_ahead <= loss + 1e-4 * float(gradient @ (ahead - weights)) or size < 1e-6:
                break
            size /= 2.0
        moved = float(np.abs(ahead - weights).max())
        if loss_ahead <= loss:
            weights, loss, chances = ahead, loss_ahead, chances_ahead
            hessian = likelihood.hessian(weights) + precision
        if moved < _TOLERANCE or size < 1e-6:
            break
    return weights, loss, hessian


def _sharpness(compared: Comparisons, centre: _Floats, around: float) -> float:
    """How decided the outcomes are under the prior's order: the most probable of a grid.

    Contradictory outcomes make it small, and then each outcome counts less.
    """
    scores = compared.values @ centre
    starts = compared.offsets[:-1]
    pulled = float((compared.weights[compared.of] * compared.targets) @ scores)
    best, least = around, np.inf
    for sharpness in _SHARPNESS:
        logits = sharpness * scores + compared.log_counts
        highest = np.maximum.reduceat(logits, starts)
        totals = np.add.reduceat(np.exp(logits - highest[compared.of]), starts)
        loss = float(compared.weights @ (highest + np.log(totals))) - sharpness * pulled
        loss += 0.5 * (np.log(sharpness / around) / _SHARPNESS_SPREAD) ** 2
        if loss < least:
            best, least = float(sharpness), loss
    return best


def weights_in(prior: LinearModel | Posterior, features: tuple[str, ...]) -> _Floats:
    """The prior's weights in the order of the features, 0 for those that it does not weigh."""
    if isinstance(prior, LinearModel):
        return prior.weights_for(features)
    by_name = dict(zip(prior.features, prior.mean.tolist(), strict=True))
    return np.array([by_name.get(f, 0.0) for f in features])


def signs_of(
    prior: LinearModel | Posterior, features: tuple[str, ...], signs: Mapping[str, int] | None = None
) -> tuple[int, ...]:
    """The sign that each weight is held to, in the order of the features: those named, else the prior's."""
    if isinstance(prior, LinearModel):
        known = {f: int(np.sign(w)) for f, w in zip(prior.features, prior.weights, strict=True)}
    else:
        known = dict(zip(prior.features, prior.signs, strict=True))
    known.update(signs or {})
    return tuple(known.get(f, 0) for f in features)


def bounds_of(signs: tuple[int, ...]) -> tuple[_Floats, _Floats]:
    """The lowest and highest that each weight may be."""
    sign = np.array(signs)
    return np.where(sign > 0, 0.0, -np.inf), np.where(sign < 0, 0.0, np.inf)
