"""Times that a query names, as ranges: "on 8 May 2023", "in March", "last week", "3 days ago".

A small grammar of our own; times without a year recur ("in May" is any May).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from .cues import MONTHS

DAY_S = 86_400
#: How far outside a named day something still counts as "about then" (people report a day or a week later).
NEAR_S = 7 * DAY_S


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Either a stretch of time or a month (and day) of any year.

    :param start: first second, UTC; None for a recurring month.
    :param end: first second after it.
    :param month: 1 to 12 when no year was given.
    :param day: day of that month, or None for the whole month.
    :param words: the query's words that say it.
    """

    words: str
    start: int | None = None
    end: int | None = None
    month: int | None = None
    day: int | None = None


_MONTH = "(?P<month>" + "|".join(f"{m}|{m[:3]}\\.?" for m in MONTHS if m != "may") + "|may|sept\\.?)"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "couple": 2, "couple of": 2, "few": 3, "several": 4,
    "ein": 1, "eine": 1, "einem": 1, "einer": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5,
    "un": 1, "una": 1, "dos": 2, "tres": 3, "cuatro": 4,
}  # fmt: skip
_COUNT = r"(?P<n>\d{1,3}|" + "|".join(sorted(_NUMBERS, key=len, reverse=True)) + ")"
_UNIT = r"(?P<unit>day|week|weekend|month|year)s?"
_UNITS_ABROAD = {
    "tag": "day", "tage": "day", "tagen": "day", "woche": "week", "wochen": "week", "monat": "month",
    "monate": "month", "monaten": "month", "jahr": "year", "jahre": "year", "jahren": "year", "día": "day",
    "días": "day", "dia": "day", "dias": "day", "semana": "week", "semanas": "week", "mes": "month",
    "meses": "month", "año": "year", "años": "year",
}  # fmt: skip
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_ISO = re.compile(r"\b(?P<year>(?:19|20)\d\d)-(?P<month>[01]\d)(?:-(?P<day>[0-3]\d))?\b")
_DAY_MONTH = re.compile(rf"\b{_DAY}(?:\s+of)?\s+{_MONTH},?(?:\s+{_YEAR})?\b", re.IGNORECASE)
_MONTH_DAY = re.compile(rf"\b{_MONTH}\s+{_DAY}\b(?!:)(?:,?\s+{_YEAR}\b)?", re.IGNORECASE)
_MONTH_YEAR = re.compile(rf"\b{_MONTH},?\s+(?:of\s+)?{_YEAR}\b", re.IGNORECASE)
_MONTH_ONLY = re.compile(rf"\b(?P<before>\w+\s+)?{_MONTH}(?!\w)", re.IGNORECASE)
_YEAR_ONLY = re.compile(rf"(?<![-\d/.]){_YEAR}(?![-\d/]|\.\d)")
_AGO = re.compile(rf"\b{_COUNT}\s+{_UNIT}\s+(?:ago|back|earlier)\b", re.IGNORECASE)
_AGO_ABROAD = re.compile(
    rf"\b(?:vor|hace)\s+{_COUNT}\s+(?P<unit>{'|'.join(sorted(_UNITS_ABROAD, key=len, reverse=True))})\b",
    re.IGNORECASE,
)
_PAST_N = re.compile(
    rf"\b(?:in|over|during|within)?\s*the\s+(?:last|past)\s+{_COUNT}\s+{_UNIT}\b", re.IGNORECASE
)
_LAST = re.compile(
    rf"\b(?P<which>last|this|past|previous)\s+(?:{_UNIT}|(?P<weekday>{'|'.join(_WEEKDAYS)})|(?P<night>night|morning|evening))\b",
    re.IGNORECASE,
)
_FIXED: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"\b(?:day before yesterday|vorgestern|anteayer)\b|前天|一昨日|おととい", re.IGNORECASE), 2),
    (re.compile(r"(?<!before )\b(?:yesterday|gestern|ayer)\b|昨天|昨日", re.IGNORECASE), 1),
    (re.compile(r"\b(?:today|tonight|heute|hoy)\b|今天|今日", re.IGNORECASE), 0),
)
_PERIODS: tuple[tuple[re.Pattern[str], str, int], ...] = (
    (
        re.compile(r"\bletzte[nr]?\s+woche\b|\bla\s+semana\s+pasada\b|上周|上星期|先週", re.IGNORECASE),
        "week",
        1,
    ),
    (re.compile(r"\bletzte[nr]?\s+monat\b|\bel\s+mes\s+pasado\b|上个月|先月", re.IGNORECASE), "month", 1),
    (re.compile(r"\bletzte[nrs]?\s+jahr\b|\bel\s+año\s+pasado\b|去年|昨年", re.IGNORECASE), "year", 1),
    (re.compile(r"\bdiese[nr]?\s+woche\b|\besta\s+semana\b|这周|本周|今週", re.IGNORECASE), "week", 0),
    (re.compile(r"\bdiese[nr]?\s+monat\b|\beste\s+mes\b|这个月|本月|今月", re.IGNORECASE), "month", 0),
)
_BEFORE_MONTH = frozenset(
    ("in", "of", "during", "since", "until", "till", "by", "last", "this", "next", "early", "late", "mid")
    + ("from", "before", "after", "on")
)


def time_ranges(text: str, now: int) -> tuple[TimeRange, ...]:
    """The times that a query names, in the order of the text; each word is used once.

    :param now: the asking time, seconds since 1970, UTC; "last week" counts from it.

    >>> [(r.words, r.month, r.day) for r in time_ranges("What happened in May?", 0)]
    [('in May', 5, None)]
    >>> r = time_ranges("What broke 3 days ago?", 1683554160)[0]
    >>> datetime.fromtimestamp(r.start, UTC).isoformat(), r.end - r.start
    ('2023-05-05T00:00:00+00:00', 86400)
    >>> time_ranges("You may march on", 0)
    ()
    """
    used: list[tuple[int, int]] = []
    found: list[tuple[int, TimeRange]] = []
    for start, end, ranged in _mentions(text, datetime.fromtimestamp(now, UTC)):
        if ranged is not None and all(end <= a or start >= b for a, b in used):
            used.append((start, end))
            found.append((start, ranged))
    return tuple(r for _, r in sorted(found, key=lambda pair: pair[0]))


def _mentions(text: str, now: datetime) -> Iterator[tuple[int, int, TimeRange | None]]:
    """Every reading with its place in the text, the more exact ones first."""
    for pattern in (_ISO, _DAY_MONTH, _MONTH_DAY, _MONTH_YEAR):
        for m in pattern.finditer(text):
            yield m.start(), m.end(), _calendar(m)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for m in _AGO.finditer(text):
        yield m.start(), m.end(), _stretch(m.group(), *_units_ago(today, m["unit"].lower(), _count(m["n"])))
    for m in _AGO_ABROAD.finditer(text):
        unit = _UNITS_ABROAD[m["unit"].lower()]
        yield m.start(), m.end(), _stretch(m.group(), *_units_ago(today, unit, _count(m["n"])))
    for m in _PAST_N.finditer(text):
        begin = _units_ago(today, m["unit"].lower(), _count(m["n"]))[0]
        yield m.start(), m.end(), _stretch(m.group().strip(), begin, today + timedelta(days=1))
    for m in _LAST.finditer(text):
        yield m.start(), m.end(), _last(m, today)
    for fixed, days in _FIXED:
        for m in fixed.finditer(text):
            day = today - timedelta(days=days)
            yield m.start(), m.end(), _stretch(m.group(), day, day + timedelta(days=1))
    for period, unit, n in _PERIODS:
        for m in period.finditer(text):
            yield m.start(), m.end(), _stretch(m.group(), *_period(today, unit, n))
    for m in _MONTH_ONLY.finditer(text):
        yield m.start(), m.end(), _month_alone(m)
    for m in _YEAR_ONLY.finditer(text):
        year = int(m["year"])
        yield (
            m.start(),
            m.end(),
            _stretch(m.group(), datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)),
        )


def _stretch(words: str, start: datetime, end: datetime) -> TimeRange:
    return TimeRange(words, int(start.timestamp()), int(end.timestamp()))


def _count(words: str) -> int:
    return int(words) if words.isdigit() else _NUMBERS[words.lower()]


def _month_number(words: str) -> int:
    if words.isdigit():
        return int(words)
    return next(i for i, m in enumerate(MONTHS, 1) if m[:3] == words[:3].lower())


def _calendar(m: re.Match[str]) -> TimeRange | None:
    """A month with a day, a year or both; None for a day that no calendar has."""
    groups = m.groupdict()
    month, year = _month_number(m["month"]), groups.get("year")
    day = int(groups["day"]) if groups.get("day") else None
    if not 1 <= month <= 12 or (day is not None and not 1 <= day <= 31):
        return None
    if year is None:
        return TimeRange(m.group(), month=month, day=day)
    try:
        start = datetime(int(year), month, day or 1, tzinfo=UTC)
    except ValueError:
        return None
    end = start + timedelta(days=1) if day else _months_later(start, 1)
    return _stretch(m.group(), start, end)


def _month_alone(m: re.Match[str]) -> TimeRange | None:
    """A month's name alone; "may" and "march" and short forms only where they cannot be another word."""
    name, before = m["month"], (m["before"] or "").strip().lower()
    named = before in _BEFORE_MONTH
    full = name.lower() in MONTHS
    ambiguous = name.lower() in ("may", "march") or not full
    if ambiguous and not (named and (full or name[0].isupper())):
        return None
    words = m.group() if named else m.group()[len(m["before"] or "") :]
    return TimeRange(words, month=_month_number(name))


def _months_later(t: datetime, n: int) -> datetime:
    months = t.year * 12 + t.month - 1 + n
    year = min(max(months // 12, 1), 9999)
    return t.replace(year=year, month=months % 12 + 1, day=1)


def _units_ago(today: datetime, unit: str, n: int) -> tuple[datetime, datetime]:
    """The day, or the week, month or year around it, n units before today."""
    if unit == "day":
        return today - timedelta(days=n), today - timedelta(days=n - 1)
    if unit in ("week", "weekend"):
        middle = today - timedelta(days=7 * n)
        return middle - timedelta(days=3), middle + timedelta(days=4)
    return _period(today, unit, n)


def _period(today: datetime, unit: str, n: int) -> tuple[datetime, datetime]:
    """The calendar week, weekend, month or year that is n before the current one."""
    if unit == "day":
        return today - timedelta(days=n), today - timedelta(days=n - 1)
    if unit == "week":
        monday = today - timedelta(days=today.weekday() + 7 * n)
        return monday, monday + timedelta(days=7)
    if unit == "weekend":
        saturday = today - timedelta(days=today.weekday() + 7 * n) + timedelta(days=5)
        return saturday, saturday + timedelta(days=2)
    if unit == "month":
        start = _months_later(today, -n)
        return start, _months_later(start, 1)
    start = today.replace(year=max(today.year - n, 1), month=1, day=1)
    return start, start.replace(year=start.year + 1)


def _last(m: re.Match[str], today: datetime) -> TimeRange:
    n = 0 if m["which"].lower() == "this" else 1
    if m["weekday"]:
        back = (today.weekday() - _WEEKDAYS.index(m["weekday"].lower())) % 7 or 7 * n
        day = today - timedelta(days=back)
        return _stretch(m.group(), day, day + timedelta(days=1))
    if m["night"]:
        return _stretch(m.group(), today - timedelta(days=n), today + timedelta(days=1 - n))
    return _stretch(m.group(), *_period(today, m["unit"].lower(), n))


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
        if r.start is not None and r.end is not None:
            inside = (occurred_at >= r.start) & (occurred_at < r.end)
            near = (occurred_at >= r.start - NEAR_S) & (occurred_at < r.end + NEAR_S)
            if r.end - r.start <= 7 * DAY_S:
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
