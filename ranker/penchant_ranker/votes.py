"""Votes on outcomes before anything is trained on them: models that have not seen a label say whether it can be right.

Labels that contradict the rest are dropped, doubtful ones count little. When too many are suspect, nothing is: then
either the person changed, or somebody poisons, and training waits until that is known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from .comparisons import Comparisons, comparisons
from .labels import NOBODY, PERSON, PRAISED, REJECTED, UNLABELLED, USED, LabelledLists
from .learn_linear import bounds_of, fitted, signs_of, size_of, weights_in
from .model import LinearModel

N_MODELS = 10
#: In the second round suspects have no say in who else is suspect: it regains 85 % of what a fifth of wrong labels
#: costs, where one round regains 65 % (150 simulated lists, 10 people).
N_ROUNDS = 2
#: Of the majority's labels of a week, or of all, at most this share may be suspect, and as much more as chance gives in
#: one of twenty cases (one-sided 95 %, in standard errors); a week counts from so many labels on.
MAX_SUSPECT = 0.25
CHANCE_ERRORS = 1.645
MIN_WEEK_LABELS = 40
#: How far the voting models may be from the prior: wider than what is served, they have to see a changed taste.
SPREAD = 0.6
#: A label is ambiguous when its margin is at most this share of the median, strong in the highest tenth.
AMBIGUOUS_MARGIN = 0.25
STRONG_SHARE = 0.1
AMBIGUOUS_CERTAINTY = 0.6
AMBIGUOUS_WEIGHT = 0.3
STRONG_SMOOTHING = 0.1
#: From so many labels on, a source whose suspect rate is more than twice the median of the others (and than twice this)
#: loses trust, by this likelihood ratio for each suspect label.
MIN_SOURCE_LABELS = 20
LEAST_RATE = 0.05
SUSPECT_LIKELIHOOD_RATIO = 3.0

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]
_WEEK_S = 7 * 86_400.0


class Standing(StrEnum):
    """What the votes say of a label."""

    SUSPECT = "suspect"
    AMBIGUOUS = "ambiguous"
    NORMAL = "normal"
    STRONG = "strong"


@dataclass(frozen=True, slots=True)
class Source:
    """How an agent's labels stand.

    :param rate: suspect ones among those that were voted on.
    :param is_losing_trust: whether it has enough of them to say that it is worse than the others.
    """

    agent: int
    n_labels: int
    n_suspect: int
    rate: float
    is_losing_trust: bool


@dataclass(frozen=True, slots=True)
class Votes:
    """What the votes say, and the lists to train on.

    :param lists: with suspect labels dropped (or turned round) and doubtful ones weakened; as they came when frozen.
    :param is_frozen: too many labels of those who have most of the say are suspect: train nothing, and say `reason`.
    :param reason: in words.
    :param rows: (n_labels,) the row of the lists that each label is of.
    :param standing: (n_labels,)
    :param margins: (n_labels,) mean of the votes: by how much the row is where its label says; NaN without votes.
    :param spreads: (n_labels,) their standard deviation.
    :param sources: by agent.
    """

    lists: LabelledLists
    is_frozen: bool
    reason: str
    rows: _Ints
    standing: tuple[Standing, ...]
    margins: _Floats
    spreads: _Floats
    sources: tuple[Source, ...]


def vote(
    lists: LabelledLists,
    prior: LinearModel,
    rng: np.random.Generator,
    trusts: Mapping[int, float] | None = None,
    signs: Mapping[str, int] | None = None,
) -> Votes:
    """Votes on every label that can be compared with something.

    Ten linear models are each fitted to sessions drawn with replacement; a label is voted on only by those that did not
    see its session, for one that did has learned the error. They are fitted to the labels of the agents that together
    have the most weight, so that a few who agree with each other and with nobody else do not vote for each other.

    :param rng: the source of randomness.
    :param trusts: of agents, 0 to 1; a suspect label of one below 0.5 is turned round instead of dropped.
    :param signs: see `learn_linear.update`.

    With fewer than two sessions there are no votes, and all labels are normal.

    Source: Wang et al. (2024), Secrets of RLHF in large language models part II, section 2; there the votes are of
    models trained on the labels that they judge.
    """
    compared = comparisons(lists)
    mean, spread = np.full((2, len(compared)), np.nan)
    standing: tuple[Standing, ...] = (Standing.NORMAL,) * len(compared)
    is_suspect = np.zeros(len(compared), dtype=np.bool_)
    is_heard = _majority(lists.agents[compared.rows], compared.weights)
    for _ in range(N_ROUNDS):
        heard = replace(compared, weights=np.where(is_heard & ~is_suspect, compared.weights, 0.0))
        mean, spread = _votes(heard, lists, prior, rng, signs)
        standing = _standing(mean, spread)
        is_suspect = np.array([s is Standing.SUSPECT for s in standing], dtype=np.bool_)
    is_voted = ~np.isnan(spread)
    agents = lists.agents[compared.rows]
    # Others' labels are dropped without end: nobody shall be able to stop the learning from what the majority says.
    reason = _too_many(is_suspect, is_voted & is_heard, lists.at[compared.lists] if len(compared) else mean)
    treated = lists if reason else _treated(lists, compared.rows, standing, trusts or {})
    n_dropped = int(is_suspect.sum())
    return Votes(
        lists=treated,
        is_frozen=bool(reason),
        reason=reason
        or f"{n_dropped} of {int(is_voted.sum())} labels contradict the others and are left out",
        rows=compared.rows,
        standing=standing,
        margins=mean,
        spreads=spread,
        sources=_sources(agents, is_suspect, is_voted),
    )


def _majority(agents: _Ints, weights: _Floats) -> NDArray[np.bool_]:
    """The labels of the fewest agents that together have more than half of the weight, the person always."""
    totals = {agent: float(weights[agents == agent].sum()) for agent in np.unique(agents).tolist()}
    chosen = {PERSON}
    for agent in sorted(totals, key=lambda a: (-totals[a], a)):
        if sum(totals.get(a, 0.0) for a in chosen) > 0.5 * sum(totals.values()):
            break
        chosen.add(agent)
    return np.isin(agents, list(chosen))


def _votes(
    compared: Comparisons,
    lists: LabelledLists,
    prior: LinearModel,
    rng: np.random.Generator,
    signs: Mapping[str, int] | None,
) -> tuple[_Floats, _Floats]:
    """The mean and the standard deviation of the votes on each label, NaN with fewer than two of them."""
    margins = np.full((N_MODELS, len(compared)), np.nan)
    names, number = np.unique(lists.sessions[compared.lists], return_inverse=True)
    if len(names) > 1:
        centre = weights_in(prior, lists.features)
        bounds = bounds_of(signs_of(prior, lists.features, signs))
        for i in range(N_MODELS):
            drawn = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))[number]
            resampled = replace(compared, weights=compared.weights * drawn)
            model = fitted(resampled, centre, SPREAD * size_of(centre), bounds)
            margins[i] = np.where(drawn == 0, compared.margins(compared.values @ model), np.nan)
    is_vote = ~np.isnan(margins)
    n_votes = is_vote.sum(axis=0)
    mean = np.nan_to_num(margins).sum(axis=0) / np.maximum(n_votes, 1)
    squares = np.where(is_vote, (np.nan_to_num(margins) - mean) ** 2, 0.0).sum(axis=0)
    spread = np.sqrt(squares / np.maximum(n_votes - 1, 1))
    return np.where(n_votes > 1, mean, np.nan), np.where(n_votes > 1, spread, np.nan)


def _standing(mean: _Floats, spread: _Floats) -> tuple[Standing, ...]:
    """Suspect: clearly on the wrong side; ambiguous: hardly on any; strong: the tenth that is furthest ahead."""
    is_voted = ~np.isnan(spread)
    if not is_voted.any():
        return (Standing.NORMAL,) * len(mean)
    sizes = np.abs(mean[is_voted])
    hardly = AMBIGUOUS_MARGIN * float(np.median(sizes))
    far = float(np.quantile(mean[is_voted], 1.0 - STRONG_SHARE))

    def of(margin: float, varies: float) -> Standing:
        if np.isnan(varies):
            return Standing.NORMAL
        if margin < 0.0 and -margin > varies:
            return Standing.SUSPECT
        if abs(margin) <= hardly:
            return Standing.AMBIGUOUS
        return Standing.STRONG if margin > far and margin > 0.0 else Standing.NORMAL

    return tuple(of(m, v) for m, v in zip(mean.tolist(), spread.tolist(), strict=True))


def _too_many(is_suspect: NDArray[np.bool_], is_voted: NDArray[np.bool_], at: _Floats) -> str:
    """Why nothing may be trained, in words; empty when it may."""
    if not is_voted.any():
        return ""
    weeks = np.floor((at.max() - at) / _WEEK_S).astype(np.int64)
    parts = [(is_voted, "all labels")]
    parts += [
        (is_voted & (weeks == week), f"the labels of {_ago(week)}") for week in np.unique(weeks).tolist()
    ]
    for chosen, what in parts:
        n, n_suspect = int(chosen.sum()), int(is_suspect[chosen].sum())
        by_chance = CHANCE_ERRORS * math.sqrt(MAX_SUSPECT * (1.0 - MAX_SUSPECT) * n)
        if n >= MIN_WEEK_LABELS and n_suspect > MAX_SUSPECT * n + by_chance:
            return (
                f"{n_suspect} of {what} ({n}) contradict the others, more than {MAX_SUSPECT:.0%}: nothing is learned"
                " until it is known whether the wishes changed or somebody gives wrong feedback"
            )
    return ""


def _ago(week: int) -> str:
    return "the last week" if week == 0 else f"the week {week} weeks before"


def _treated(
    lists: LabelledLists, rows: _Ints, standing: tuple[Standing, ...], trusts: Mapping[int, float]
) -> LabelledLists:
    rungs, weights, certainty = lists.rungs.copy(), lists.weights.copy(), lists.certainty.copy()
    agents = lists.agents.copy()
    for row, stands in zip(rows.tolist(), standing, strict=True):
        match stands:
            case Standing.SUSPECT if trusts.get(int(agents[row]), 1.0) < 0.5:
                rungs[row] = USED if rungs[row] == REJECTED else REJECTED
            case Standing.SUSPECT:
                rungs[row], weights[row], agents[row] = UNLABELLED, 0.0, NOBODY
            case Standing.AMBIGUOUS:
                certainty[row] = min(certainty[row], AMBIGUOUS_CERTAINTY)
                weights[row] *= AMBIGUOUS_WEIGHT
            case Standing.STRONG:
                certainty[row] = (1.0 - STRONG_SMOOTHING) * certainty[row] + STRONG_SMOOTHING / 2.0
            case Standing.NORMAL:
                pass
    assert rungs.max(initial=0) <= PRAISED
    return replace(lists, rungs=rungs, weights=weights, certainty=certainty, agents=agents)


def _sources(agents: _Ints, is_suspect: NDArray[np.bool_], is_voted: NDArray[np.bool_]) -> tuple[Source, ...]:
    counted: list[tuple[int, int, int]] = []
    for agent in np.unique(agents[is_voted]).tolist():
        own = is_voted & (agents == agent)
        counted.append((agent, int(own.sum()), int(is_suspect[own].sum())))
    sources = []
    for agent, n, n_suspect in counted:
        others = [m_suspect / m for other, m, m_suspect in counted if other != agent]
        limit = 2.0 * max(float(np.median(others)), LEAST_RATE) if others else 1.0
        is_losing_trust = n >= MIN_SOURCE_LABELS and n_suspect / n > limit
        sources.append(Source(agent, n, n_suspect, n_suspect / n, is_losing_trust))
    return tuple(sources)
