"""A time that was said, before it becomes seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from .when_calendar import Span

OpenSpan = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Said:
    """One time.

    :param form: what it can be joined to: Y a year, N a month of a year, M a month of any year, D a day of any
        year, K a calendar week, W a day of the week, S another stretch; x is a time that no calendar has.
    :param span: its days; an end that is None is open. None for M and D.
    :param literal: the one day that is counted to, where people mean the stretch around it ("3 weeks ago").
    :param month: for M and D, with the day for D.
    """

    form: str
    span: OpenSpan | None = None
    literal: Span | None = None
    month: int | None = None
    day: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A time and which tokens say it, the first and the one after the last."""

    said: Said
    first: int
    end: int


NO_TIME = Said("x")
_DAYS = range(1, date.max.toordinal() + 2)


def on_calendar(said: Said | None) -> Said | None:
    """The same, or NO_TIME for what reaches out of the years 1 to 9999 or ends before it begins ("last 0 weekends")."""
    if said is None or said.span is None:
        return said
    first, end = said.span
    fits = all(day is None or day in _DAYS for day in said.span)
    return said if fits and (first is None or end is None or first < end) else NO_TIME


def spanning(form: str, span: Span | None) -> Said:
    """A stretch as a time, NO_TIME where no calendar has it."""
    return Said(form, span) if span else NO_TIME
