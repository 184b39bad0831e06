"""What recalls showed and what came of it, as something to learn from: gains, weights and how sure each is.

A result that was shown and not used is not bad: it is unlabelled, and weighs little. One that was called wrong
belongs below those. Who says more than their share is heard no louder for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from .errors import BadTrainingData

#: Below unlabelled, unlabelled, used, praised: `LabelledLists.rungs`, and what a ranking gains by each.
REJECTED, UNLABELLED, USED, PRAISED = 0, 1, 2, 3
GAINS: tuple[int, ...] = (0, 0, 2, 4)
#: Of a result that was shown and not used; the same after which the question was asked again; and of a candidate
#: that was not shown, which nobody could use.
UNLABELLED_WEIGHT = 0.2
REASKED_WEIGHT = 0.3
UNSEEN_WEIGHT = 0.1
#: Strength of a use by what was seen of it: an edit or command that follows it, or its words in the answer.
ACTED_ON_STRENGTH = 0.7
QUOTED_STRENGTH = 0.5
#: Nothing that anyone says is surer than this.
MAX_CERTAINTY = 0.95
#: An outcome is weighed by 1 / propensity, and by no more than this.
MAX_INVERSE_PROPENSITY = 10.0
HALF_LIFE_DAYS = 30.0
#: Outcomes of one agent that count: one recall can have ten at once, and a day's work a few hundred.
PER_MINUTE, PER_DAY = 30, 300
#: The agent number of the person: their own verdicts are never cut.
PERSON = -1
#: The agent number of a row that no outcome is about.
NOBODY = -2

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]
_Bools = NDArray[np.bool_]
_DAY_S = 86_400.0


class Kind(StrEnum):
    """What came of a result; the first three are verdicts, which somebody gave."""

    HELPED = "helped"
    WRONG = "wrong"
    OUTDATED = "outdated"
    USED = "used"
    #: A correction named it, and it had not been shown.
    WANTED = "wanted"
    #: It was shown where a wanted one should have been.
    DISPLACED = "displaced"
    #: The same was asked again: about the whole list, not about one result.
    REASKED = "reasked"


#: Where a result belongs by what came of it, and how much that counts. An outdated memory answered the question
#: once, so that the order was not all wrong.
LESSONS: dict[Kind, tuple[int, float]] = {
    Kind.HELPED: (PRAISED, 1.0),
    Kind.WRONG: (REJECTED, 1.0),
    Kind.OUTDATED: (REJECTED, 0.5),
    Kind.USED: (USED, 1.0),
    Kind.WANTED: (USED, 0.6),
    Kind.DISPLACED: (REJECTED, 0.6),
}
_VERDICTS = frozenset((Kind.HELPED, Kind.WRONG, Kind.OUTDATED))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one result of an impression.

    :param row: which row of the impression; ignored for REASKED.
    :param agent: number of the agent that says so, `PERSON` for the person.
    :param at: seconds since 1970, UTC.
    :param strength: how sure it is, 0 to 1.
    :param trust: 0 to 1, of that agent.
    """

    row: int
    kind: Kind
    agent: int
    at: float
    strength: float = 1.0
    trust: float = 1.0


@dataclass(frozen=True, slots=True)
class Impression:
    """What one recall found, what of it was shown, and what came of it.

    :param names: the features that it was ranked by.
    :param values: (k, len(names)) those features as the model saw them: scaled over all candidates of that recall.
    :param is_shown: (k,) of candidates that were not shown, some are kept to learn from.
    :param propensity: (k,) how probable it was that each was looked at, above 0, at most 1; see `propensity`.
    :param session: number of the session, which is kept or drawn as a whole.
    :param project: number of the project, 0 for none.
    :param at: seconds since 1970, UTC.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]
    is_shown: _Bools
    propensity: _Floats
    outcomes: tuple[Outcome, ...]
    session: int
    project: int
    at: float


@dataclass(frozen=True, slots=True)
class LabelledLists:
    """Impressions as training data: their rows one after another.

    :param features: what each column is.
    :param values: (n, len(features)) float32, scaled.
    :param offsets: (n_lists + 1,) where each list starts.
    :param rungs: (n,) REJECTED to PRAISED.
    :param weights: (n,) >= 0: how much each row counts.
    :param certainty: (n,) 0.5 to 1: how probable the row's rung is.
    :param agents: (n,) whose outcome a row's rung is, `NOBODY` for none.
    :param sessions: (n_lists,)
    :param projects: (n_lists,)
    :param at: (n_lists,) seconds since 1970.
    """

    features: tuple[str, ...]
    values: NDArray[np.float32]
    offsets: _Ints
    rungs: _Ints
    weights: _Floats
    certainty: _Floats
    agents: _Ints
    sessions: _Ints
    projects: _Ints
    at: _Floats

    @property
    def n_lists(self) -> int:
        return len(self.offsets) - 1

    @property
    def gains(self) -> _Ints:
        """(n,) what a ranking gains by each row: whole numbers always."""
        return np.array(GAINS, dtype=np.int64)[self.rungs]

    @property
    def list_of(self) -> _Ints:
        """(n,) the list of each row."""
        return np.repeat(np.arange(self.n_lists), np.diff(self.offsets))

    @property
    def is_informative(self) -> _Bools:
        """(n_lists,) whether a list puts any row that counts above another."""
        counts = self.weights > 0
        lists = self.list_of
        highest, lowest = np.full(self.n_lists, -1), np.full(self.n_lists, PRAISED + 1)
        np.maximum.at(highest, lists[counts], self.rungs[counts])
        np.minimum.at(lowest, lists[counts], self.rungs[counts])
        return highest > lowest

    def take(self, lists: _Ints) -> LabelledLists:
        """The lists with these numbers, in that order; one that is named twice comes twice."""
        sizes = np.diff(self.offsets)[lists]
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[lists] - offsets[:-1], sizes)
        return replace(
            self._rows(rows),
            offsets=offsets,
            sessions=self.sessions[lists],
            projects=self.projects[lists],
            at=self.at[lists],
        )

    def where(self, is_wanted: _Bools) -> LabelledLists:
        """The lists for which it is true, in their order."""
        return self.take(np.flatnonzero(is_wanted))

    def without_rows(self, is_gone: _Bools) -> LabelledLists:
        """All lists, without some of their rows."""
        sizes = np.bincount(self.list_of[~is_gone], minlength=self.n_lists)
        kept = self._rows(np.flatnonzero(~is_gone))
        return replace(kept, offsets=np.concatenate(([0], np.cumsum(sizes))))

    def _rows(self, rows: _Ints) -> LabelledLists:
        return replace(
            self,
            values=self.values[rows],
            rungs=self.rungs[rows],
            weights=self.weights[rows],
            certainty=self.certainty[rows],
            agents=self.agents[rows],
        )


def propensity(ranks: _Ints) -> _Floats:
    """How probable it is that a result at a rank (from 1) is looked at: 1 / (1 + 0.3 (rank - 1)).

    >>> propensity(np.array([1, 2, 11])).round(3).tolist()
    [1.0, 0.769, 0.25]
    """
    return 1.0 / (1.0 + 0.3 * (np.asarray(ranks, dtype=np.float64) - 1.0))


def decay(age_days: _Floats, half_life_days: float = HALF_LIFE_DAYS) -> _Floats:
    """How much an outcome still counts; a shorter half-life forgets faster. What is not past counts in full."""
    return np.asarray(0.5 ** (np.maximum(age_days, 0.0) / half_life_days))


def within_rate(agents: _Ints, at: _Floats, per_minute: int = PER_MINUTE, per_day: int = PER_DAY) -> _Bools:
    """Which outcomes are counted: of each agent so many in any 60 seconds and any 24 hours, the earliest first.

    :param agents: (n,) the person's own (`PERSON`) are all counted.
    :param at: (n,) seconds since 1970, in any order.
    :return: (n,) False for what comes too fast; it is kept, and weighs nothing.

    >>> within_rate(np.array([5, 5, 5, 7]), np.array([0.0, 1.0, 61.0, 1.0]), per_minute=1).tolist()
    [True, False, True, True]
    """
    counted = np.zeros(len(agents), dtype=np.bool_)
    recent: dict[int, list[float]] = {}
    for i in np.argsort(at, kind="stable").tolist():
        agent, now = int(agents[i]), float(at[i])
        times = recent.setdefault(agent, [])
        while times and times[0] <= now - _DAY_S:
            times.pop(0)
        in_minute = sum(1 for t in times[-per_minute:] if t > now - 60.0)
        if agent == PERSON or (in_minute < per_minute and len(times) < per_day):
            counted[i] = True
            times.append(now)
    return counted


def capped_shares(
    weights: _Floats,
    agents: _Ints,
    at: _Floats,
    max_share: float = 0.25,
    n_free: float = 20.0,
    n_free_first: float = 100.0,
) -> _Floats:
    """Weights such that no agent outweighs those that were heard before it.

    :param weights: (n,) of rows.
    :param agents: (n,) rows of `NOBODY` and of `PERSON` are left as they are.
    :param at: (n,) seconds since 1970: an agent's record is on how many days, then in how many hours it was heard.
    :param max_share: the largest part that an agent may have of its own weight and that of those with a longer record.
    :param n_free: up to this weight a newcomer is not cut.
    :param n_free_first: the same for those that share the longest record; they have at most as much as all others of
        them together. One whose record is the longest alone is not cut: there is nobody to hold it against, and most
        people work with one assistant.

    An agent over its share is cut to it, all its rows by the same factor. A flood makes no record: it is a day's work
    however much of it there is.
    """
    out = weights.copy()
    numbers = [agent for agent in np.unique(agents).tolist() if agent >= 0]
    rows = {agent: agents == agent for agent in numbers}
    totals = {agent: float(weights[rows[agent]].sum()) for agent in numbers}
    records = {
        agent: (len(np.unique(at[own] // _DAY_S)), len(np.unique(at[own] // 3600.0)))
        for agent, own in rows.items()
    }
    person = float(weights[agents == PERSON].sum())
    longest = max(records.values(), default=(0, 0))
    allowed: dict[int, float] = {}
    for agent in sorted(numbers, key=lambda a: records[a], reverse=True):
        before = person + sum(allowed[a] for a in allowed if records[a] > records[agent])
        beside = person + sum(totals[a] for a in numbers if a != agent and records[a] == longest)
        if records[agent] < longest:
            limit = max(n_free, max_share / (1.0 - max_share) * before)
        else:
            limit = max(n_free_first, beside) if beside > person else np.inf
        allowed[agent] = min(totals[agent], limit)
        if totals[agent] > limit:
            out[rows[agent]] *= limit / totals[agent]
    return out


def regret(
    is_shown: _Bools, is_match: _Bools, agent: int, at: float, trust: float = 1.0
) -> tuple[Outcome, ...]:
    """What a correction teaches when what it names was a candidate and was not shown.

    :param is_shown: (k,) of the impression's rows, best first.
    :param is_match: (k,) whether a row is about what the correction says.
    :return: the matches were wanted, and the best shown one that is no match took their place; nothing when a
        match was shown, or when there was none: then no order would have helped, and a memory is missing.
    """
    if not is_match.any() or (is_match & is_shown).any():
        return ()
    wanted = tuple(Outcome(int(i), Kind.WANTED, agent, at, 0.7, trust) for i in np.flatnonzero(is_match))
    displaced = tuple(
        Outcome(int(i), Kind.DISPLACED, agent, at, 0.5, trust) for i in np.flatnonzero(is_shown)[:1]
    )
    return wanted + displaced


def labelled(
    features: Sequence[str],
    impressions: Sequence[Impression],
    now: float,
    per_minute: int = PER_MINUTE,
    per_day: int = PER_DAY,
    max_share: float = 0.25,
) -> LabelledLists:
    """Impressions and their outcomes as training data.

    :param features: the columns of the training data. One that is newer than an impression is 0 in all of its rows:
        it tells none of them from another. One that only impressions have is left out.
    :param now: seconds since 1970; older outcomes count less.
    :param per_minute: see `within_rate`, as `per_day`.
    :param max_share: see `capped_shares`.
    :raises BadTrainingData: if values, ranks or outcomes do not fit together.

    What somebody said of a result counts before what was done with it. Of one agent, the latest verdict counts.
    Verdicts of several agents that contradict each other cancel out by their weight and trust; where they are
    equal, the row teaches nothing.
    """
    for i, impression in enumerate(impressions):
        _check(impression, i)
    said = [o for impression in impressions for o in impression.outcomes]
    counted = within_rate(
        np.array([o.agent for o in said], dtype=np.int64),
        np.array([o.at for o in said], dtype=np.float64),
        per_minute,
        per_day,
    )
    sizes = [len(impression.is_shown) for impression in impressions]
    offsets = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).astype(np.int64)
    is_shown = np.concatenate([np.zeros(0, np.bool_), *(p.is_shown for p in impressions)])
    chances = np.concatenate([np.zeros(0), *(p.propensity for p in impressions)])
    lists = LabelledLists(
        features=tuple(features),
        values=_aligned(features, impressions, int(offsets[-1])),
        offsets=offsets,
        rungs=np.full(offsets[-1], UNLABELLED, dtype=np.int64),
        weights=np.where(is_shown, UNLABELLED_WEIGHT, UNSEEN_WEIGHT),
        certainty=np.full(offsets[-1], 0.5),
        agents=np.full(offsets[-1], NOBODY, dtype=np.int64),
        sessions=np.array([p.session for p in impressions], dtype=np.int64),
        projects=np.array([p.project for p in impressions], dtype=np.int64),
        at=np.array([p.at for p in impressions], dtype=np.float64),
    )
    first = 0
    for i, impression in enumerate(impressions):
        heard = counted[first : first + len(impression.outcomes)]
        first += len(impression.outcomes)
        outcomes = [o for o, is_heard in zip(impression.outcomes, heard, strict=True) if is_heard]
        _teach(lists, int(offsets[i]), impression.is_shown, outcomes)
        # What came too fast is not heard; but of those rows it is known that they are not unlabelled.
        heard_rows = {o.row for o in outcomes}
        unheard = [
            o.row for o in impression.outcomes if o.kind is not Kind.REASKED and o.row not in heard_rows
        ]
        lists.weights[offsets[i] + np.array(unheard, dtype=np.int64)] = 0.0
    is_labelled = lists.rungs != UNLABELLED
    # What was wanted and not shown needs no correction for where it stood.
    seen = is_labelled & is_shown
    lists.weights[seen] *= np.minimum(1.0 / chances[seen], MAX_INVERSE_PROPENSITY)
    lists.weights[:] *= decay((now - lists.at) / _DAY_S)[lists.list_of]
    times = lists.at[lists.list_of]
    return replace(lists, weights=capped_shares(lists.weights, lists.agents, times, max_share))


def _teach(lists: LabelledLists, first: int, is_shown: _Bools, outcomes: Sequence[Outcome]) -> None:
    """Writes the rungs, weights and certainties of one list, whose rows begin at `first`."""
    is_reasked = any(o.kind is Kind.REASKED for o in outcomes)
    if is_reasked:
        lists.weights[first + np.flatnonzero(is_shown)] = REASKED_WEIGHT
    by_row: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.kind is not Kind.REASKED:
            by_row.setdefault(outcome.row, []).append(outcome)
    for row, about in by_row.items():
        decided, left = _decided(about)
        at = first + row
        if decided is None:
            lists.weights[at] = 0.0
            continue
        rung, weight = LESSONS[decided.kind]
        # It was used, and did not answer the question.
        is_half = is_reasked and decided.kind is Kind.USED
        lists.rungs[at], lists.agents[at] = rung, decided.agent
        lists.certainty[at] = min(0.5 + 0.5 * decided.strength, MAX_CERTAINTY)
        lists.weights[at] = weight * left * decided.trust * (0.5 if is_half else 1.0)


def _decided(outcomes: Sequence[Outcome]) -> tuple[Outcome | None, float]:
    """The outcome that decides where a row belongs, and the share of it that others leave standing."""
    latest: dict[tuple[int, bool], Outcome] = {}
    for outcome in sorted(outcomes, key=lambda o: o.at):
        latest[outcome.agent, outcome.kind in _VERDICTS] = outcome
    verdicts = [o for (_, is_verdict), o in latest.items() if is_verdict]
    good: list[Outcome] = []
    bad: list[Outcome] = []
    for o in verdicts or latest.values():
        (good if LESSONS[o.kind][0] > UNLABELLED else bad).append(o)

    def said(side: Sequence[Outcome]) -> float:
        return sum(LESSONS[o.kind][1] * o.strength * o.trust for o in side)

    more, less = (good, bad) if said(good) >= said(bad) else (bad, good)
    if said(more) == said(less):
        return None, 0.0
    # Several of the same mind don't add up to more than one.
    decided = max(more, key=lambda o: (o.strength * o.trust, LESSONS[o.kind], -o.agent))
    return decided, 1.0 - said(less) / said(more)


def _aligned(features: Sequence[str], impressions: Sequence[Impression], n_rows: int) -> NDArray[np.float32]:
    """The impressions' values under other columns."""
    values = np.zeros((n_rows, len(features)), dtype=np.float32)
    first = 0
    for impression in impressions:
        end = first + len(impression.is_shown)
        place = {name: i for i, name in enumerate(impression.names)}
        known = [i for i, name in enumerate(features) if name in place]
        values[first:end, known] = impression.values[:, [place[features[i]] for i in known]]
        first = end
    return values


def _check(impression: Impression, number: int) -> None:
    n, n_features = len(impression.is_shown), len(impression.names)
    where = f"impression {number}"
    if impression.values.shape != (n, n_features):
        raise BadTrainingData(
            "values", f"{where} has shape {impression.values.shape} where ({n}, {n_features}) is needed"
        )
    if not np.isfinite(impression.values).all():
        raise BadTrainingData("values", f"{where} has one that is not finite")
    chances = impression.propensity
    if chances.shape != (n,) or not ((chances > 0.0) & (chances <= 1.0)).all():
        raise BadTrainingData("propensity", f"{where} must have one above 0 and at most 1 for each row")
    for o in impression.outcomes:
        if o.kind is not Kind.REASKED and not 0 <= o.row < n:
            raise BadTrainingData("outcomes", f"{where} has one about row {o.row} of {n}")
        if not (0.0 <= o.trust <= 1.0 and 0.0 <= o.strength <= 1.0):
            raise BadTrainingData(
                "outcomes", f"{where} has trust {o.trust} and strength {o.strength}, not 0 to 1"
            )
