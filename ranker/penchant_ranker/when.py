"""Times that a query names, as ranges: "on 8 May 2023", "in March", "上周", "il y a 5 jours", "since Monday".

A grammar of our own over the words of nine languages (`when_words`); times without a year recur ("in May" is any May).
Days are those of UTC. Weeks start on Monday; "03/04/2024" is 4 March; "last weekend" on a Sunday is this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray

from .when_calendar import latest_month
from .when_joins import joined_times
from .when_said import Found
from .when_tokens import Tokens, may_hold_time, normal, read, windows
from .when_whole import whole_times

DAY_S = 86_400
#: How far outside a named day something still counts as "about then" (people report a day or a week later).
NEAR_S = 7 * DAY_S
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Either a stretch of time, which may be open at one end, or a month (and day) of any year.

    :param start: first second, UTC; None for a recurring month and for "until May".
    :param end: first second after it; None for a recurring month and for "since May".
    :param month: 1 to 12 when no year was given.
    :param day: day of that month, or None for the whole month.
    :param words: the query's words that say it.
    :param literal: the first second and the first after what is said by the letter, where people mean more: "3 weeks
        ago" counts to a day but is about that week, "early in May" may be a little later.
    """

    words: str
    start: int | None = None
    end: int | None = None
    month: int | None = None
    day: int | None = None
    literal: tuple[int, int] | None = None

    def resolved(self, now: int) -> tuple[int | None, int | None]:
        """The first second and the first after it, by the letter; an open end is None.

        :param now: the asking time; a month without a year is the latest one that has begun by then.

        >>> start, end = time_ranges("in May", 0)[0].resolved(1786545045)
        >>> datetime.fromtimestamp(start, UTC).isoformat(), (end - start) // DAY_S
        ('2026-05-01T00:00:00+00:00', 31)
        """
        if self.literal is not None:
            return self.literal
        if self.month is None:
            return self.start, self.end
        span = latest_month(self.month, self.day, datetime.fromtimestamp(now, UTC).date())
        return (None, None) if span is None else (_second(span[0]), _second(span[1]))


def time_ranges(text: str, now: int) -> tuple[TimeRange, ...]:
    """The times that a query names, in the order of the text, each once.

    :param now: the asking time, seconds since 1970, UTC; "last week" counts from it.

    >>> [(r.words, r.month, r.day) for r in time_ranges("What happened in May?", 0)]
    [('in May', 5, None)]
    >>> r = time_ranges("What broke 3 days ago?", 1683554160)[0]
    >>> datetime.fromtimestamp(r.start, UTC).isoformat(), r.end - r.start
    ('2023-05-05T00:00:00+00:00', 86400)
    >>> time_ranges("You may march on", 0)
    ()
    """
    if not may_hold_time(text):
        return ()
    at = datetime.fromtimestamp(now, UTC)
    found: dict[tuple[object, ...], TimeRange] = {}
    for part in windows(normal(text)):
        tokens = read(part)
        for one in joined_times(tokens, whole_times(tokens, at), at):
            ranged = _ranged(tokens, one)
            found.setdefault((ranged.start, ranged.end, ranged.month, ranged.day, ranged.literal), ranged)
    return tuple(found.values())


def _ranged(tokens: Tokens, found: Found) -> TimeRange:
    said, words = found.said, tokens.said(found.first, found.end)
    literal = None if said.literal is None else (_second(said.literal[0]), _second(said.literal[1]))
    if said.span is None:
        return TimeRange(words, month=said.month, day=said.day, literal=literal)
    start, end = (None if day is None else _second(day) for day in said.span)
    return TimeRange(words, start, end, literal=literal)


def _second(day: int) -> int:
    return (day - _EPOCH) * DAY_S


def match_ranges(ranges: tuple[TimeRange, ...], occurred_at: NDArray[np.int64]) -> NDArray[np.float32]:
    """How well each time fits the named ones: 1 inside, 0.75 near a named day, 0 elsewhere, 0.5 when none
    is named.

    :param occurred_at: (n,) seconds since 1970, UTC; 0 means unknown and gives 0.5.

    >>> match_ranges(time_ranges("in May", 0), np.array([1683554160, 1686232560, 0])).tolist()
    [1.0, 0.0, 0.5]
    """
    fit = np.full(len(occurred_at), 0.5, dtype=np.float32)
    if not ranges:
        return fit
    fit[:] = 0.0
    days = occurred_at.astype("datetime64[s]").astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    month = months.astype(np.int64) % 12 + 1
    for r in ranges:
        if r.month is None:
            inside = np.ones(len(occurred_at), dtype=np.bool_)
            if r.start is not None:
                inside &= occurred_at >= r.start
            if r.end is not None:
                inside &= occurred_at < r.end
            if r.start is not None and r.end is not None and r.end - r.start <= 7 * DAY_S:
                near = (occurred_at >= r.start - NEAR_S) & (occurred_at < r.end + NEAR_S)
                fit = np.maximum(fit, np.where(near, np.float32(0.75), np.float32(0.0)))
        else:
            inside = month == r.month
            if r.day is not None:
                day = (days - months).astype(np.int64) + 1
                fit = np.maximum(fit, np.where(inside, np.float32(0.75), np.float32(0.0)))
                inside = inside & (np.abs(day - r.day) <= 1)
        fit[inside] = 1.0
    fit[occurred_at == 0] = 0.5
    return fit
