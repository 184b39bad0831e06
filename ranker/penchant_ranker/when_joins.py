"""What joins times: "Q3 of last year", "from March to May", "since Monday", "the week before 5 May"."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime

from .when_calendar import (
    Span,
    around,
    calendar_span,
    day_span,
    iso_week,
    latest_month,
    months_span,
    season_span,
    shifted,
    third,
    vague_span,
    weekday_of,
)
from .when_guards import ARTICLE_PT, ENGLISH
from .when_said import NO_TIME, Found, Said, on_calendar, spanning
from .when_tokens import Tokens, pattern
from .when_words import Unit

Match = re.Match[str]


@dataclass(frozen=True, slots=True)
class _Joined:
    """Tokens and the times found among them, as one row of marks: a time's is its form.

    :param marks: one character per piece.
    :param pieces: the time of each, or None where the piece is a token.
    :param first: which token each starts at; the row's last entry is the end.
    """

    tokens: Tokens
    marks: str
    pieces: list[Found | None]
    first: list[int]

    def said(self, at: int) -> Said:
        """The time at a place."""
        found = self.pieces[at]
        assert found is not None
        return found.said

    def senses_before(self, m: Match, name: str) -> dict[str, float]:
        """What the token in front of a group can mean, nothing where a time stands there."""
        at = m.start(name) - 1
        return {} if at < 0 or self.pieces[at] is not None else self.senses(at)

    def senses(self, at: int) -> dict[str, float]:
        """What the token at a place can mean."""
        return self.tokens.senses[self.first[at]]


Joiner = Callable[[_Joined, Match, datetime], Said | None]


def joined_times(t: Tokens, whole: list[Found], now: datetime) -> list[Found]:
    """The same times, joined where words between them say so."""
    row = _row(t, whole)
    for one, joiner in _COMPILED_JOINS:
        at = 0
        while (m := one.search(row.marks, at)) is not None:
            said = on_calendar(joiner(row, m, now))
            if said is None:
                at = m.start() + 1
                continue
            row = _replaced(row, m.start(), m.end(), said)
            at = m.start() + 1
    return [piece for piece in row.pieces if piece is not None and piece.said.form != "x"]


def _row(t: Tokens, whole: list[Found]) -> _Joined:
    marks: list[str] = []
    pieces: list[Found | None] = []
    first: list[int] = []
    by_start = {found.first: found for found in whole}
    at = 0
    while at < len(t.marks):
        found = by_start.get(at)
        marks.append(found.said.form if found else t.marks[at])
        pieces.append(found)
        first.append(at)
        at = found.end if found else at + 1
    return _Joined(t, "".join(marks), pieces, [*first, at])


def _replaced(row: _Joined, start: int, end: int, said: Said) -> _Joined:
    found = Found(said, row.first[start], row.first[end])
    return _Joined(
        row.tokens,
        row.marks[:start] + said.form + row.marks[end:],
        [*row.pieces[:start], found, *row.pieces[end:]],
        [*row.first[: start + 1], *row.first[end:]],
    )


def _closed(said: Said, now: datetime) -> Span | None:
    """The days of a time with two ends; a month of any year is the latest one."""
    if said.literal is not None:
        return said.literal
    if said.month is not None:
        return latest_month(said.month, said.day, now.date())
    if said.span is None or said.span[0] is None or said.span[1] is None:
        return None
    return said.span[0], said.span[1]


def _in_year(said: Said, year: int) -> Said:
    month = said.month or 1
    span = months_span(year, month) if said.day is None else day_span(year, month, said.day)
    return Said("N" if said.day is None else "S", span) if span else NO_TIME


def _month_in_year(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "March of last year", "去年5月"."""
    span = _closed(row.said(m.start("y")), now)
    return _in_year(row.said(m.start("m")), date.fromordinal(span[0]).year) if span else None


def _day_in_month(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "the 3rd of last month", "上个月3号"."""
    span, senses = _closed(row.said(m.start("a")), now), row.senses(m.start("d"))
    if span is None:
        return None
    day = span[0] + int(senses.get("day", senses.get("num", 0))) - 1
    return Said("S", (day, day + 1)) if span[0] <= day < span[1] else NO_TIME


def _weekday_in_week(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "Monday of last week", "先週の月曜日"."""
    week, day = _closed(row.said(m.start("k")), now), _closed(row.said(m.start("w")), now)
    if week is None or day is None:
        return None
    chosen = week[0] + weekday_of(day[0])
    return Said("S", (chosen, chosen + 1))


def _weekdays(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "last week from Wednesday to Friday"."""
    week, *days = (_closed(row.said(m.start(name)), now) for name in ("k", "a", "b"))
    if week is None or days[0] is None or days[1] is None:
        return None
    return Said("S", (week[0] + weekday_of(days[0][0]), week[0] + weekday_of(days[1][0]) + 1))


def _week_of(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "the week of 30 November": the calendar week with that day."""
    span, unit = _closed(row.said(m.start("a")), now), int(row.senses(m.start("u"))["unit"])
    if span is None or span[1] - span[0] != 1 or unit != Unit.WEEK:
        return None
    monday = span[0] - weekday_of(span[0])
    return Said("K", (monday, monday + 7))


def _part_of_year(row: _Joined, m: Match, now: datetime) -> Said | None:
    """Quarters and halves: "Q3 2024", "上半年"."""
    senses = row.senses(m.start("q"))
    is_bare = m["a"] is None
    if is_bare and not ("quarter" in senses or "half" in senses):
        return None
    year = _year_at(row, m, now)
    if year is None:
        return None
    number = next(int(senses[k]) for k in ("quarter", "quarter_of", "half", "half_of") if k in senses)
    n = 6 if "half" in senses or "half_of" in senses else 3
    return spanning("S", months_span(year, n * (number - 1) + 1, n))


def _numbered_part(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "第三季度", "2024年第32周", "一季度", "十月的第一周"."""
    number, unit = int(row.senses(m.start("x"))["num"]), Unit(int(row.senses(m.start("u"))["unit"]))
    word, is_nth = row.tokens.word(row.first[m.start("u")]), "nth" in row.senses_before(m, "x")
    if word.isascii() or not (is_nth or word == "季度"):
        return None
    if m["a"] is not None and (whole := row.said(m.start("a"))).form != "Y":
        span = _closed(whole, now)
        return _within(whole, _nth_in(unit, None, number, span)) if span and unit is Unit.WEEK else None
    year = _year_at(row, m, now)
    if year is None:
        return None
    if unit is Unit.QUARTER and 1 <= number <= 4:
        return spanning("S", months_span(year, 3 * number - 2, 3))
    return spanning("K", iso_week(year, number)) if unit is Unit.WEEK else None


def _year_at(row: _Joined, m: Match, now: datetime) -> int | None:
    if m["a"] is None:
        return now.year
    span = _closed(row.said(m.start("a")), now)
    return date.fromordinal(span[0]).year if span else None


def _nth(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "the third quarter of 2024", "the first week of March", "the last Monday of May"."""
    senses = row.senses(m.start("o"))
    which = int(senses["ordinal"]) if "ordinal" in senses else -1
    unit = Unit(int(row.senses(m.start("u"))["unit"])) if m["u"] is not None else None
    if unit in (Unit.QUARTER, Unit.HALF):
        if m["a"] is None and row.tokens.means(row.first[m.end()], "of"):
            return None  # "the first quarter of the file"
        year, n = _year_at(row, m, now), 3 if unit is Unit.QUARTER else 6
        inside = 1 <= which <= 12 // n and (m["a"] is None or row.said(m.start("a")).form == "Y")
        return (
            spanning("S", months_span(year, n * (which - 1) + 1, n)) if year is not None and inside else None
        )
    if m["a"] is None:
        return None
    span = _closed(row.said(m.start("a")), now)
    if span is None or span[1] - span[0] < 28:
        return None
    weekday = _closed(row.said(m.start("d")), now) if m.groupdict().get("d") else None
    return _within(row.said(m.start("a")), _nth_in(unit, weekday, which, span))


def _nth_in(unit: Unit | None, weekday: Span | None, which: int, span: Span) -> Said | None:
    """The nth (-1 the last) day, week, weekend, month or weekday of a stretch."""
    first, end = span
    match unit:
        case Unit.MONTH:
            start = date.fromordinal(first if which > 0 else end - 1)
            return spanning("N", months_span(start.year, start.month + (which - 1 if which > 0 else 0)))
        case Unit.DAY | Unit.WEEK:
            n = 1 if unit is Unit.DAY else 7
            start_day = first + n * (which - 1) if which > 0 else end - n
            return Said("S", (start_day, start_day + n)) if first <= start_day < end else None
        case Unit.WEEKEND | None:
            wanted = 5 if unit is not None else weekday_of(weekday[0]) if weekday else 0
            days = [d for d in range(first, end) if weekday_of(d) == wanted]
            if not -1 <= which - 1 < len(days) and which > 0:
                return None
            chosen = days[which - 1 if which > 0 else -1]
            return Said("S", (chosen, chosen + (2 if unit is not None else 1)))
        case _:
            return None


def _half_of(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "the first half of 2024", "the second half of last month"."""
    span, which = _closed(row.said(m.start("a")), now), int(row.senses(m.start("o"))["ordinal"])
    if span is None or which > 2 or span[1] - span[0] < 7:
        return None
    start = date.fromordinal(span[0])
    middle = span[0] + (span[1] - span[0]) // 2
    if row.said(m.start("a")).form == "Y":
        middle = start.replace(month=7).toordinal()
    half = Said("S", (span[0], middle) if which == 1 else (middle, span[1]))
    return _within(row.said(m.start("a")), half)


def _season(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "summer of 2023", "last winter", "l'été dernier"."""
    season = int(row.senses(m.start("s"))["season"])
    if m["a"] is not None:
        year = _year_at(row, m, now)
        return spanning("S", season_span(year, season)) if year is not None else None
    which, today = row.senses(m.start("w")), now.date().toordinal()
    spans = [s for year in range(now.year - 2, now.year + 2) if (s := season_span(year, season)) is not None]
    if "next" in which or "next_after" in which:
        chosen = next((s for s in spans if s[0] > today), None)
    elif "this" in which:
        chosen = next((s for s in spans if s[1] > today), None)
    else:
        chosen = next((s for s in reversed(spans) if s[1] <= today), None)
    return Said("S", chosen) if chosen else None


def _edge(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "early March 2024", "Ende letzten Jahres", "去年年底"; a month of any year stays whole."""
    said, senses = row.said(m.start("a")), row.senses(m.start("e"))
    said_with = (row.tokens.word(row.first[m.start(name)]) for name in ("e", "a"))
    if next(said_with) == "fine" and next(said_with) in ENGLISH:
        return None  # "it was fine last week"
    which = next(int(senses[kind]) for kind in ("edge", "edge_of", "edge_after") if kind in senses)
    span = _closed(said, now)
    return _within(said, Said("S", third(span, which))) if span else None


def _within(whole: Said, part: Said | None) -> Said | None:
    """A part of a time; of a month of any year it is the part by the letter only, the month is what recurs."""
    if whole.form != "M" or part is None or part.span is None or part.span[0] is None or part.span[1] is None:
        return part
    return replace(whole, literal=(part.span[0], part.span[1]))


def _edge_of_unit(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "end of the month", "年底": of the current one."""
    senses, unit = row.senses(m.start("e")), Unit(int(row.senses(m.start("u")).get("unit", Unit.MONTH)))
    span = calendar_span(unit, now.date(), 0)
    words = [row.tokens.word(row.first[m.start(name)]) for name in ("e", "u")]
    if span is None or unit < Unit.WEEK or (words[0] == "fine" and words[1] in ENGLISH):
        return None
    return Said("S", third(span, next(int(senses[k]) for k in ("edge", "edge_after") if k in senses)))


def _moved(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "3 days after 5 May 2023", "the week before 2024-01-15"."""
    anchor = _closed(row.said(m.start("a")), now)
    unit = Unit(int(row.senses(m.start("u"))["unit"]))
    if anchor is None or unit < Unit.DAY:
        return None
    is_before = "before" in row.senses(m.start("w"))
    at = date.fromordinal(anchor[0] if is_before else anchor[1] - 1)
    from_day = datetime(at.year, at.month, at.day)
    counted = row.senses(m.start("n")) if m["n"] is not None else {}
    if "vague" in counted:
        return spanning("S", vague_span(from_day, unit, int(counted["vague"]), -1 if is_before else 1))
    if unit is Unit.WEEKEND:
        return _weekday_near(anchor, 5, is_before, int(counted.get("count", 1)), 2)
    far = shifted(from_day, unit, (-1 if is_before else 1) * counted.get("count", 1.0))
    if far is None:
        return NO_TIME
    if m["n"] is None and unit is not Unit.DAY:
        span = (far.toordinal(), at.toordinal()) if is_before else (at.toordinal() + 1, far.toordinal() + 1)
        return Said("S", span)
    literal = far.toordinal(), far.toordinal() + 1
    # what happened then is often told at the time that it is counted from
    meant = (around(far, unit)[0], anchor[1]) if is_before else (anchor[0], around(far, unit)[1])
    return Said("S", meant, literal)


def _weekday_near(anchor: Span, weekday: int, is_before: bool, n: int, days: int) -> Said:
    """So many days from the nth such weekday before or after a time."""
    if is_before:
        last = anchor[0] - days
        day = last - (weekday_of(last) - weekday) % 7 - 7 * (n - 1)
    else:
        day = anchor[1] + (weekday - weekday_of(anchor[1])) % 7 + 7 * (n - 1)
    return Said("S", (day, day + days))


def _weekday_moved(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "the Sunday before October 25, 2022"."""
    anchor, day = _closed(row.said(m.start("a")), now), _closed(row.said(m.start("d")), now)
    if anchor is None or day is None:
        return None
    is_before = "before" in row.senses(m.start("w"))
    return _weekday_near(anchor, weekday_of(day[0]), is_before, 1, 1)


def _range(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "between X and Y", "from X to Y"; a year that only one of them names counts for both."""
    a, b = row.said(m.start("a")), row.said(m.start("b"))
    first, last = _closed(a, now), _closed(b, now)
    if first is None or last is None:
        return None
    if a.month is not None and b.month is None:
        year = date.fromordinal(last[0]).year
        first = _closed(_in_year(a, year), now)
        if first is not None and first[0] > last[0]:
            first = _closed(_in_year(a, year - 1), now)
    elif b.month is not None and first is not None:
        year = date.fromordinal(first[0]).year
        spans = [_closed(_in_year(b, y), now) for y in (year, year + 1)]
        last = next((s for s in spans if s is not None and s[1] > first[0]), None)
    if first is None or last is None:
        return None
    if b.form == "W" and last[0] < first[0]:
        weeks = -(-(first[0] - last[0]) // 7)
        last = last[0] + 7 * weeks, last[1] + 7 * weeks
    return Said("S", (first[0], last[1])) if first[0] < last[1] and first[0] <= last[0] else None


def _open(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "since May", "before 2023", "until yesterday", "昨天以前": one end stays open."""
    span = _closed(row.said(m.start("a")), now)
    word = m.start("w")
    if span is None:
        return None
    kinds = row.senses(word)
    if row.tokens.word(row.first[word]) == "da" and row.tokens.word(row.first[word] + 1) in ARTICLE_PT:
        return None  # Portuguese "of the": "a reunião da semana passada"
    # "до" and "前" mean before, though they end ranges too
    if "since" in kinds or "since_after" in kinds:
        return Said("S", (span[0], None))
    if "before" in kinds or "before_after" in kinds:
        return Said("S", (None, span[0]))
    if "after" in kinds or "after_after" in kinds:
        return Said("S", (span[1], None))
    return Said("S", (None, span[1]))


def _every(row: _Joined, m: Match, now: datetime) -> Said | None:
    """ "every Monday" names no time."""
    return NO_TIME


_A = "(?P<a>[YNMDKWS])"
_B = "(?P<b>[YNMDKWS])"
_LINK = "{of}*{comma}?{of}*"
_JOINS: tuple[tuple[str, Joiner], ...] = (
    ("{every}{of}?{unit}?{in}?{of}*[YNMDKWS]", _every),
    ("(?P<m>[MD])" + _LINK + "(?P<y>Y)", _month_in_year),
    ("(?P<y>Y)" + _LINK + "(?P<m>[MD])", _month_in_year),
    ("(?P<d>{day}){of}+(?P<a>N)", _day_in_month),
    ("(?P<a>N){of}*(?P<d>{num}){ri}", _day_in_month),
    ("(?P<k>K)" + _LINK + "{from|between|in|since}?{of}*(?P<a>W){to|until|dash|and}+{of}*(?P<b>W)", _weekdays),
    ("(?P<w>W)" + _LINK + "(?P<k>K)", _weekday_in_week),
    ("(?P<k>K)" + _LINK + "{in}?{of}*(?P<w>W)", _weekday_in_week),
    ("(?P<a>Y)" + _LINK + "(?P<o>{ordinal}){of}?(?P<u>{unit})", _nth),
    ("(?P<o>{ordinal}){of}?(?P<u>{unit})(?:" + _LINK + "(?P<a>Y))?", _nth),
    ("(?P<o>{ordinal|last|rolling}){of}?(?:(?P<u>{unit})|(?P<d>W)){of|in}+(?P<a>[YNM])", _nth),
    ("(?P<o>{ordinal}){of}?{split}{of}*(?P<a>[YNMKS])", _half_of),
    ("(?P<a>Y)" + _LINK + "(?P<q>{quarter|quarter_of|half|half_of})", _part_of_year),
    ("(?P<q>{quarter|quarter_of|half|half_of})(?:" + _LINK + "(?P<a>Y))?", _part_of_year),
    ("(?:(?P<a>[YMN]){of}*)?{nth}?(?P<x>{num})(?P<u>{unit})", _numbered_part),
    ("(?P<s>{season})" + _LINK + "(?P<a>Y)(?P<w>{last})?", _season),
    ("(?P<a>Y)" + _LINK + "{in}?(?P<s>{season})(?P<w>{last})?", _season),
    ("(?P<a>Y)?(?P<w>{last|this|next})(?P<s>{season})", _season),
    ("(?P<a>Y)?(?P<s>{season})(?P<w>{last_after|next_after})", _season),
    ("(?P<e>{edge}){of|dash}*(?P<a>[YNMKS])", _edge),
    ("(?P<e>{edge_of}){dash}?(?P<a>[YNM])", _edge),
    ("(?P<a>[YNMKS]){of|unit}?(?P<e>{edge_after})", _edge),
    ("(?P<e>{edge}){of}*(?P<u>{unit})", _edge_of_unit),
    ("(?P<u>{unit|yue})(?P<e>{edge_after})", _edge_of_unit),
    ("(?P<n>{count|vague})?{last}?{of}?(?P<u>{unit})(?P<w>{before|after}){of}*" + _A, _moved),
    ("(?P<d>W)(?P<w>{before|after}){of}*" + _A, _weekday_moved),
    ("(?P<u>{unit}){of|from}+(?P<a>[DSW])", _week_of),
    ("{between}{of}*" + _A + "{and|to|dash}+{of}*" + _B + "{between_after}?", _range),
    ("{from|since|in|until}?{of}*" + _A + "{to|until|dash}+{of}*" + _B + "{until_after}?", _range),
    ("(?P<w>{since|after|before|until}){of}*" + _A + "(?!{between_after})", _open),
    ("{from|since|in}?" + _A + "(?P<w>{since_after|after_after|before_after|until_after})", _open),
)  # fmt: skip
_COMPILED_JOINS = tuple((pattern(text), joiner) for text, joiner in _JOINS)
