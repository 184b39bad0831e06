"""Stretches of the calendar in days: weeks from Monday, months, quarters, halves, years, and so many units from a day.

A span is two day numbers as `date.toordinal` counts them, the first day and the first after it.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta

from .when_words import Unit

Span = tuple[int, int]

_MONTHS_OF = {Unit.MONTH: 1, Unit.QUARTER: 3, Unit.HALF: 6, Unit.YEAR: 12}
_DAYS_OF = {Unit.DAY: 1, Unit.WEEK: 7, Unit.FORTNIGHT: 14, Unit.WEEKEND: 7, Unit.MONTH: 30}
_SECONDS_OF = {Unit.SECOND: 1, Unit.MINUTE: 60, Unit.HOUR: 3_600}
#: From and to how many units ago vague counts reach: "a couple of" (2) and "a few" (3).
_VAGUE = {2: (3, 1), 3: (5, 2)}


def day_span(year: int, month: int, day: int) -> Span | None:
    """One day; None for one that no calendar has.

    >>> day_span(2023, 2, 29) is None
    True
    """
    try:
        first = date(year, month, day).toordinal()
    except ValueError:
        return None
    return first, first + 1


def weekday_of(day: int) -> int:
    """The day of the week of a day number, Monday 0."""
    return (day - 1) % 7


def months_span(year: int, month: int, n: int = 1) -> Span | None:
    """n whole months from one on; None outside the years 1 to 9999.

    >>> first, end = months_span(2024, 2)
    >>> end - first
    29
    """
    first, last = year * 12 + month - 1, year * 12 + month - 2 + n
    if first < 12 or last >= 120_000:
        return None
    end_year, end_month = last // 12, last % 12 + 1
    end = date(end_year, end_month, monthrange(end_year, end_month)[1]).toordinal() + 1
    return date(first // 12, first % 12 + 1, 1).toordinal(), end


def year_span(year: int) -> Span | None:
    """A whole year."""
    return months_span(year, 1, 12)


def calendar_span(unit: Unit, today: date, offset: int) -> Span | None:
    """The calendar week, month, ... that lies offset of them from the current one.

    A past weekend counts from the latest Saturday before today, so on a Sunday "last weekend" is this one.

    >>> first, end = calendar_span(Unit.WEEK, date(2026, 8, 12), -1)
    >>> date.fromordinal(first).isoformat(), end - first
    ('2026-08-03', 7)
    """
    monday = today.toordinal() - today.weekday()
    match unit:
        case Unit.DAY:
            return today.toordinal() + offset, today.toordinal() + offset + 1
        case Unit.WEEK:
            return monday + 7 * offset, monday + 7 * offset + 7
        case Unit.FORTNIGHT:
            return monday + 14 * offset, monday + 14 * offset + 14
        case Unit.WEEKEND:
            saturday = monday + 5 + 7 * offset
            if offset < 0 and today.weekday() == 6:
                saturday += 7
            return saturday, saturday + 2
        case Unit.MONTH | Unit.QUARTER | Unit.HALF | Unit.YEAR:
            n = _MONTHS_OF[unit]
            first = (today.year * 12 + today.month - 1) // n * n + n * offset
            return months_span(first // 12, first % 12 + 1, n)
        case _:
            return None


def shifted(now: datetime, unit: Unit, n: float) -> date | None:
    """The day that is n units from now (before it when negative); a month's last day where it has no such day.

    >>> shifted(datetime(2024, 2, 29, 12), Unit.YEAR, -2)
    datetime.date(2022, 2, 28)
    """
    try:
        if unit in _SECONDS_OF:
            return (now + timedelta(seconds=n * _SECONDS_OF[unit])).date()
        if unit not in _MONTHS_OF:
            return (now + timedelta(days=round(n * _DAYS_OF[unit]))).date()
        months = n * _MONTHS_OF[unit]
        whole = now.year * 12 + now.month - 1 + int(months)
        year, month = whole // 12, whole % 12 + 1
        day = now.date().replace(year, month, min(now.day, monthrange(year, month)[1]))
        return day + timedelta(days=round((months - int(months)) * _DAYS_OF[Unit.MONTH]))
    except (ValueError, OverflowError):
        return None


def vague_span(now: datetime, unit: Unit, vague: int, direction: int) -> Span | None:
    """What "a few days ago" (direction -1) or "in a couple of weeks" (1) spans; None for years, which say too little.

    >>> first, end = vague_span(datetime(2026, 8, 3), Unit.DAY, 3, -1)
    >>> date.fromordinal(first).isoformat(), date.fromordinal(end - 1).isoformat()
    ('2026-07-29', '2026-08-01')
    """
    far, near = _VAGUE[vague]
    today = now.date().toordinal()
    if unit in _SECONDS_OF:
        days = sorted(d.toordinal() for d in (shifted(now, unit, direction * n) for n in (far, near)) if d)
        return days[0], days[-1] + 1
    if unit not in _DAYS_OF:
        return None
    ends = sorted(today + direction * n * _DAYS_OF[unit] for n in (far, near))
    return ends[0], ends[1] + 1


def rolling_span(now: datetime, unit: Unit, n: float) -> Span | None:
    """The last n units up to and with today."""
    first = shifted(now, unit, -n)
    return None if first is None else (first.toordinal(), now.date().toordinal() + 1)


def around(day: date, unit: Unit) -> Span:
    """What people mean by a day that they name in coarser units: "3 weeks ago" is about that week."""
    n = day.toordinal()
    if unit in (Unit.WEEK, Unit.FORTNIGHT, Unit.WEEKEND):
        return n - 3, n + 4
    if unit in _MONTHS_OF:
        whole = Unit.YEAR if unit is Unit.YEAR else Unit.MONTH
        return calendar_span(whole, day, 0) or (n, n + 1)
    return n, n + 1


def third(span: Span, which: int) -> Span:
    """The early (0), middle (1) or late (2) third: of a month by tens of days, of a year by four months.

    >>> first, end = third(months_span(2024, 2), 2)
    >>> date.fromordinal(first).day, end - first
    (21, 9)
    """
    first, end = span
    length = end - first
    if length > 360:
        year = date.fromordinal(first).year
        cuts = [first, date(year, 5, 1).toordinal(), date(year, 9, 1).toordinal(), end]
    elif 28 <= length <= 31:
        cuts = [first, first + 10, first + 20, end]
    elif length < 3:
        return span
    else:
        cuts = [first, first + length // 3, end - length // 3, end]
    return cuts[which], cuts[which + 1]


def season_span(year: int, season: int) -> Span | None:
    """A season of the northern calendar, spring 0 to winter 3; a winter is named by the year it begins in."""
    return months_span(year, 3 + 3 * season, 3) if season < 3 else months_span(year, 12, 3)


def latest_month(month: int, day: int | None, today: date, offset: int = 0) -> Span | None:
    """The latest time that a month (or a day of it) had begun; with an offset, as many years from that one.

    >>> date.fromordinal(latest_month(12, None, date(2026, 8, 3))[0]).isoformat()
    '2025-12-01'
    """
    for year in range(today.year, max(today.year - 9, 0), -1):  # 9: 29 February skips 1900
        span = months_span(year, month) if day is None else day_span(year, month, day)
        if span is not None and span[0] <= today.toordinal():
            return months_span(year + offset, month) if day is None else day_span(year + offset, month, day)
    return None


def latest_day(day: int, today: date) -> int | None:
    """The latest day of that number in any month, today included."""
    for months in range(3):  # of three months in a row one has 31 days
        first = today.year * 12 + today.month - 1 - months
        span = day_span(first // 12, first % 12 + 1, day)
        if span is not None and span[0] <= today.toordinal():
            return span[0]
    return None


def iso_week(year: int, week: int) -> Span | None:
    """A week by its number in ISO 8601."""
    try:
        monday = date.fromisocalendar(year, week, 1).toordinal()
    except ValueError:
        return None
    return monday, monday + 7
