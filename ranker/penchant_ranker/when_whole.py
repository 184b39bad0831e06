"""Whole times over the meanings of words, and the calendar each stands for: "3 March 2025", "上周", "il y a 5 jours".

The patterns are the same for every language. The longest comes first, so that no word counts twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime

from .when_calendar import (
    around,
    calendar_span,
    day_span,
    iso_week,
    latest_day,
    latest_month,
    months_span,
    rolling_span,
    shifted,
    vague_span,
    year_span,
)
from .when_guards import (
    GERMAN,
    MAY_MARCH,
    NAMES_EN,
    NUMBERED,
    ORDINALS_EN,
    PLURAL,
    is_content,
    is_month,
    is_unit,
    is_year,
)
from .when_said import NO_TIME, Found, Said, on_calendar, spanning
from .when_tokens import Tokens, pattern
from .when_words import Unit

Match = re.Match[str]
Reader = Callable[[Tokens, Match, datetime], Said | None]


def _written(t: Tokens, m: Match, now: datetime) -> Said | None:
    first, end = t.spans[m.start("date")]
    return Said("S" if end - first == 1 else "K" if end - first == 7 else "N", (first, end))


def _month(t: Tokens, at: int) -> int:
    return next(t.value(at, kind) for kind in ("month", "weak", "short", "num") if kind in t.senses[at])


def _day_month(t: Tokens, m: Match, now: datetime) -> Said | None:
    """A day of a month, with or without its year."""
    groups = m.groupdict()
    day_at, month_at = m.start("d"), m.start("m")
    has_year = groups.get("y") is not None
    if not t.means(day_at, "day") and not _counts_days(t, day_at, month_at):
        return None
    if "f" in groups and groups["f"] and not (t.word(month_at + 1) == "the" and t.means(day_at, "ordinal")):
        return None
    if not has_year and t.word(month_at) in NAMES_EN and t.word(day_at).endswith("."):
        return None  # "step 3. May we go on?"
    if not has_year and not t.means(month_at, "month"):
        last = max(day_at, month_at) + 1
        if t.word(month_at) in MAY_MARCH and not t.is_capital(month_at) and is_content(t, last):
            return None
    day = t.value(day_at, "day" if t.means(day_at, "day") else "ordinal")
    month = _month(t, month_at)
    if not has_year:
        return Said("D", month=month, day=day) if day_span(2024, month, day) else NO_TIME
    span = day_span(t.value(m.start("y"), "year"), month, day)
    return Said("S", span) if span else NO_TIME


def _counts_days(t: Tokens, day_at: int, month_at: int) -> bool:
    """Whether an ordinal in words is a month's day: "the second of May", "March the eleventh", "le premier mai"."""
    if day_at > month_at:
        is_named = t.means(month_at, "month") or t.is_capital(month_at)
        return day_at > month_at + 1 or (is_named and not is_content(t, day_at + 1))
    return month_at - day_at > 1 or t.word(day_at) not in ORDINALS_EN


def _month_and_day(t: Tokens, m: Match, now: datetime) -> Said | None:
    value = t.value(m.start("x"), "monthday")
    return Said("D", month=value // 100, day=value % 100)


def _day_alone(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "on the 22nd", "Friday the 22nd": the latest; only where it ends what is said, so not "on the 2nd try"."""
    at = m.start("d")
    has_weekday = t.means(m.start(), "weekday", "brief")
    if not t.means(at, "day") or is_content(t, m.end()) or not (has_weekday or t.word(m.start()) == "on"):
        return None
    day = latest_day(t.value(at, "day"), now.date())
    return Said("S", (day, day + 1)) if day is not None else None


def _days_of_month(t: Tokens, m: Match, now: datetime) -> Said | None:
    """Days of one month: "3-5 March", "March 3 to 5, 2025"."""
    month, is_numbered = _month(t, m.start("m")), t.means(m.start("m"), "num")
    days = [t.value(m.start(name), "num" if is_numbered else "day") for name in ("d", "e")]
    if not is_numbered and not is_month(t, m.start("m")) and not t.is_capital(m.start("m")):
        return None
    if m["y"] is not None:
        spans = [day_span(t.value(m.start("y"), "year"), month, day) for day in days]
    else:
        spans = [latest_month(month, days[0], now.date()), None]
        if spans[0] is not None:
            spans[1] = day_span(date.fromordinal(spans[0][0]).year, month, days[1])
    if spans[0] is None or spans[1] is None or spans[1][0] < spans[0][0]:
        return NO_TIME
    return Said("S", (spans[0][0], spans[1][1]))


def _month_year(t: Tokens, m: Match, now: datetime) -> Said | None:
    span = months_span(t.value(m.start("y"), "year"), _month(t, m.start("m")))
    return Said("N", span) if span else NO_TIME


def _month_alone(t: Tokens, m: Match, now: datetime) -> Said | None:
    at = m.start("m")
    return Said("M", month=_month(t, at)) if is_month(t, at) else None


def _month_chosen(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "last May", "mars dernier", "next March"."""
    at, which = m.start("m"), m.start("w")
    if t.word(which) in ("this", "next") and not t.means(at, "month") and not is_month(t, at):
        return None
    month, today = _month(t, at), now.date()
    if t.means(which, "this"):
        span = months_span(today.year, month)
    elif t.means(which, "next", "next_after"):
        span = months_span(today.year + (month <= today.month), month)
    else:
        span = months_span(today.year - (month >= today.month), month)
    return Said("N", span) if span else NO_TIME


def _numbered_date(t: Tokens, m: Match, now: datetime) -> Said | None:
    """2024年3月3日, 3月3日, 3月."""
    groups = m.groupdict()
    year = t.value(m.start("y"), "year") if groups.get("y") else None
    month = t.value(m.start("m"), "num") if m["m"] else None
    day = t.value(m.start("d"), "num") if m["d"] else None
    if month is None:
        span = year_span(year) if year is not None else None
        return Said("Y", span) if span else NO_TIME
    if year is not None:
        span = months_span(year, month) if day is None else day_span(year, month, day)
        return Said("N" if day is None else "S", span) if span and 1 <= month <= 12 else NO_TIME
    if not 1 <= month <= 12 or (day is not None and day_span(2024, month, day) is None):
        return NO_TIME
    return Said("M" if day is None else "D", month=month, day=day)


_FORMS = {Unit.YEAR: "Y", Unit.MONTH: "N", Unit.WEEK: "K"}


def _of_calendar(unit: Unit, now: datetime, offset: int) -> Said:
    span = calendar_span(unit, now.date(), offset)
    return Said(_FORMS.get(unit, "S"), span) if span else NO_TIME


def _offset(t: Tokens, at: int) -> int:
    kinds = ("last", "last_after", "this", "this_after", "next", "next_after")
    return next((t.value(at, kind) for kind in kinds if kind in t.senses[at]), -1)


def _chosen_unit(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "last week", "la semaine dernière", "this quarter", "下周"."""
    at, unit = m.start("w"), Unit(t.value(m.start("u"), "unit"))
    offset = _offset(t, at)
    if t.means(at, "last") and m.start("u") > at and unit is not Unit.YEAR and _is_last_of(t, m.end()):
        return None
    is_over = t.word(at) == "last" and t.word(at - 1) == "the" and t.means(at - 2, "over")
    if is_over and unit is not Unit.WEEKEND:
        return spanning("S", rolling_span(now, unit, 1))
    if unit < Unit.DAY or (unit is Unit.DAY and offset != 0):
        return None
    if _plural_stretch(t, at, m.start("u")):
        return spanning("S", rolling_span(now, unit, 5))
    return _of_calendar(unit, now, offset)


def _is_last_of(t: Tokens, end: int) -> bool:
    """Whether "last" picks from what follows: "the last week of May", "the last weekend before May 5"."""
    after = end
    while t.means(after, "of", "in"):
        after += 1
    if after > end:
        return t.means(after, "month", "weak", "year", "of_year", "of_month")
    return t.means(end, "before", "after") and t.means(end + 1, "date", "month", "weak", "day", "year")


def _before_last(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "the week before last", "the month after next"."""
    if t.means(m.end(), "unit", "weekday", "month", "weak"):
        return None
    offset = -2 if t.means(m.start("w"), "before") else 2
    return _of_calendar(Unit(t.value(m.start("u"), "unit")), now, offset)


def _plural_stretch(t: Tokens, at: int, unit_at: int) -> bool:
    """Whether a stretch is named in the plural without a count: "in den letzten Tagen", "les derniers mois"."""
    return t.word(at) in PLURAL or (t.means(at, "last", "rolling") and t.word(unit_at) in PLURAL)


def _rolling_unit(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "the past week", "la última semana": up to today."""
    unit = Unit(t.value(m.start("u"), "unit"))
    if unit is Unit.WEEKEND:
        return _of_calendar(unit, now, -1)
    if unit < Unit.HOUR or (len(t.word(m.start("u"))) == 1 and not t.word(m.start("u")).isascii()):
        return None  # "最近天…" goes on as another word
    return spanning("S", rolling_span(now, unit, 5 if _plural_stretch(t, m.start("w"), m.start("u")) else 1))


def _rolling_count(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "the last 3 days", "les 3 derniers jours", "最近三天", "the next two weeks"."""
    at, unit = m.start("w"), Unit(t.value(m.start("u"), "unit"))
    if m.start("n") < at and t.word(at) in ("last", "past", "previous", "this", "next", "current"):
        return None
    n = _count(t, m, "n", {2: 3, 3: 5})
    if t.means(at, "next", "next_after"):
        end = shifted(now, unit, n)
        return NO_TIME if end is None else Said("S", (now.date().toordinal(), end.toordinal() + 1))
    if unit is Unit.WEEKEND:
        first, last = (calendar_span(unit, now.date(), -int(k)) for k in (n, 1))
        return Said("S", (first[0], last[1])) if first and last else NO_TIME
    return spanning("S", rolling_span(now, unit, n))


def _count(t: Tokens, m: Match, name: str, vague: dict[int, int]) -> float:
    senses = t.senses[m.start(name)]
    return _tens(t, m) + senses["count"] if "count" in senses else vague[int(senses["vague"])]


def _tens(t: Tokens, m: Match) -> float:
    """What stands in front of the count: the twenty of "twenty-one"."""
    return t.senses[m.start("tens")]["tens"] if m.groupdict().get("tens") else 0.0


def _ago(t: Tokens, m: Match, now: datetime) -> Said | None:
    return _counted(t, m, now, -1)


def _ago_by_parts(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "1 month and 3 days ago"."""
    day: date | None = now.date()
    for at in range(m.start(), m.end() - 1):
        if day is not None and t.means(at, "count") and t.means(at + 1, "unit"):
            from_day = datetime(day.year, day.month, day.day, now.hour, now.minute, now.second)
            day = shifted(from_day, Unit(t.value(at + 1, "unit")), -t.senses[at]["count"])
    return spanning("S", (day.toordinal(), day.toordinal() + 1) if day is not None else None)


def _ahead(t: Tokens, m: Match, now: datetime) -> Said | None:
    is_in = "i" in m.re.groupindex and t.word(m.start("i")) == "in"
    if is_in and (t.word(m.start("n")) in ("a", "an") or t.value(m.start("u"), "unit") < Unit.DAY):
        return None
    return _counted(t, m, now, 1)


def _counted(t: Tokens, m: Match, now: datetime, direction: int) -> Said | None:
    """So many units before or after now; "a few" and "2 or 3" are stretches."""
    groups = m.groupdict()
    unit = Unit(t.value(m.start("u"), "unit"))
    if groups.get("n") and "count" not in t.senses[m.start("n")]:
        return spanning("S", vague_span(now, unit, t.value(m.start("n"), "vague"), direction))
    n = _tens(t, m) + t.senses[m.start("n")]["count"] if groups.get("n") else 1.0
    n += 0.5 if groups.get("h") else 0.0
    n *= t.senses[m.start("half")]["count"] if groups.get("half") else 1.0
    if groups.get("k"):
        ends = [shifted(now, unit, direction * k) for k in (n, t.senses[m.start("k")]["count"])]
        days = sorted(day.toordinal() for day in ends if day is not None)
        return Said("S", (days[0], days[1] + 1)) if len(days) == 2 else NO_TIME
    if unit is Unit.WEEKEND:
        return _of_calendar(unit, now, direction * int(n))
    day = shifted(now, unit, direction * n)
    if day is None:
        return NO_TIME
    literal = day.toordinal(), day.toordinal() + 1
    meant = around(day, Unit.MONTH if unit is Unit.YEAR and n % 1 else unit)
    return Said("S", meant, literal if literal != meant else None)


def _day(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "yesterday", "gestern Abend", "昨天晚上"."""
    at = m.start("r")
    if t.means(at, "part") and (t.means(at - 1, "of", "in", "every") or t.word(at - 1) == "guten"):
        return None  # "por la mañana", "am Morgen"
    if t.word(at) == "hier" and not GERMAN.isdisjoint(t.words):
        return None
    return _of_calendar(Unit.DAY, now, t.value(at, "relday"))


def _part_of_day(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "last night" and "this morning" as their whole days."""
    offset = _offset(t, m.start("w"))
    return _of_calendar(Unit.DAY, now, max(offset, -1)) if offset <= 0 else None  # "the next morning" is told


def _named_period(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "先週", "去年", "l'an dernier"."""
    units = {"of_week": Unit.WEEK, "of_weekend": Unit.WEEKEND, "of_month": Unit.MONTH, "of_year": Unit.YEAR}
    kind = next(kind for kind in units if t.means(m.start(), kind))
    return _of_calendar(units[kind], now, t.value(m.start(), kind))


def _weekend(t: Tokens, m: Match, now: datetime) -> Said | None:
    """The weekend that is on or was last: "over the weekend", "周末"."""
    at = m.start("u")
    if not is_unit(t, at, Unit.WEEKEND) or t.word(at).endswith("ends") or t.word(at - 1) == "a":
        return None
    if m.start() == at and t.word(at).isascii():
        return None
    today = now.date()
    offset = 0 if today.weekday() >= 5 else -1
    return _of_calendar(Unit.WEEKEND, now, offset)


def _weekday(t: Tokens, at: int) -> int:
    return t.value(at, "weekday" if t.means(at, "weekday") else "brief")


def _weekday_of_week(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "上周一": the Monday of last week."""
    monday = now.date().toordinal() - now.weekday() + 7 * t.value(m.start("w"), "weekof")
    day = monday + _weekday(t, m.start("d"))
    return Said("S", (day, day + 1))


def _weekday_chosen(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "last Friday" (before today), "next Friday" (after today), "this Friday" (of this week)."""
    if not t.means(m.start("d"), "weekday") and is_content(t, m.end()):
        return None  # "this sun exposure"
    at, which, today = m.start("d"), m.start("w"), now.date().toordinal()
    if t.means(which, "last") and at > which and _is_last_of(t, m.end()):
        return None
    ahead = (_weekday(t, at) - now.weekday()) % 7
    if t.means(which, "this"):
        day = today - now.weekday() + _weekday(t, at)
    elif t.means(which, "next", "next_after"):
        day = today + (ahead or 7)
    else:
        day = today + ahead - 7
    return Said("S", (day, day + 1))


def _weekday_alone(t: Tokens, m: Match, now: datetime) -> Said | None:
    """The latest, today included."""
    at = m.start("d")
    if not t.means(at, "weekday") and t.word(at - 1) != "on":
        return None
    day = now.date().toordinal() - (now.weekday() - _weekday(t, at)) % 7
    return Said("W", (day, day + 1))


def _weekdays_ago(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "two Fridays ago"."""
    back = (now.weekday() - t.value(m.start("d"), "weekdays")) % 7 or 7
    n = int(t.senses[m.start("n")].get("count", 0))
    day = now.date().toordinal() - back - 7 * (n - 1)
    return Said("S", (day, day + 1)) if n >= 1 else None


def _years(t: Tokens, m: Match, now: datetime) -> Said | None:
    first, last = (t.value(m.start(name), "year") for name in ("y", "z"))
    spans = year_span(first), year_span(last)
    if not (1900 <= first < last <= now.year + 10) or t.word(m.start() - 1) in NUMBERED or not all(spans):
        return None
    return Said("S", (spans[0][0], spans[1][1])) if spans[0] and spans[1] else None


def _year_named(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "the year 2023", "im Jahr 2023"."""
    if not is_unit(t, m.start("u"), Unit.YEAR) or t.word(m.start("u")) == "an":
        return None
    return spanning("Y", year_span(t.value(m.start("y"), "year")))


def _year_alone(t: Tokens, m: Match, now: datetime) -> Said | None:
    at = m.start("y")
    return spanning("Y", year_span(t.value(at, "year"))) if is_year(t, at, now) else None


def _decade(t: Tokens, m: Match, now: datetime) -> Said | None:
    return spanning("S", months_span(t.value(m.start("d"), "decade"), 1, 120))


def _numbered_week(t: Tokens, m: Match, now: datetime) -> Said | None:
    """ "KW 32", "week 32 of 2024"."""
    if m["u"] is not None and (m["y"] is None or not is_unit(t, m.start("u"), Unit.WEEK)):
        return None
    year = t.value(m.start("y"), "year") if m["y"] else now.isocalendar().year
    return spanning("K", iso_week(year, t.value(m.start("n"), "num")))


def _clock_alone(t: Tokens, m: Match, now: datetime) -> Said | None:
    """A text that names nothing but an hour means the latest one: "midnight", "at 3pm"."""
    at = m.start("c")
    hour = t.senses[at]["clock" if t.means(at, "clock") else "clockword"]
    if hour >= 24:
        return None
    passed = now.hour + now.minute / 60 >= hour
    return _of_calendar(Unit.DAY, now, 0 if passed else -1)


_M = "(?P<m>{month|weak})"
_Y = "(?P<y>{year})"
_U = "{of}?{measure}?(?P<u>{unit})"
_N = "(?:(?P<tens>{tens}){and|dash}?)?(?P<n>{count|vague})"
_TO = "{dash|to|and|until}"
_BEGIN = "{from|since|between|in}?"
_WEEKDAY = "(?:{weekday|brief}{comma}?{of}*)?"
_PART = "(?:{of|in}{0,2}{part})?"
_OR = "(?:{dash|or|to}(?P<k>{count}))?"

#: Ties in length go to the earlier one.
_WHOLE: tuple[tuple[str, Reader], ...] = (
    ("(?P<date>{date})", _written),
    (_WEEKDAY + "(?P<d>{day|ordinal}){of}*(?P<m>{month|weak|short}){comma}?{of}*" + _Y + "{yearmark}?", _day_month),
    (_WEEKDAY + _M + "(?P<d>{day}){comma}?{of}*" + _Y, _day_month),
    (_Y + "{comma}?" + _M + "(?P<d>{day})", _day_month),
    (_BEGIN + "(?P<d>{day})" + _TO + "{of}*(?P<e>{day}){of}*" + _M + "(?:{comma}?{of}*" + _Y + ")?", _days_of_month),
    (_BEGIN + _M + "(?P<d>{day})" + _TO + "(?P<e>{day})(?:{comma}?{of}*" + _Y + ")?", _days_of_month),
    ("{from|since}?(?:" + _Y + "{nian})?(?P<m>{num}){yue}(?P<d>{num}){ri}?{to|dash}(?P<e>{num}){ri}", _days_of_month),
    (_Y + "{nian}(?:(?P<m>{num}){yue}(?:(?P<d>{num}){ri})?)?", _numbered_date),
    ("(?P<m>{num}){yue}(?:(?P<d>{num}){ri})?", _numbered_date),
    ("(?P<m>{month|weak|short}){comma}?{of}*" + _Y + "{yearmark}?", _month_year),
    (_Y + "{comma}?" + _M, _month_year),
    (_WEEKDAY + "(?P<d>{day|ordinal}){of}*" + _M, _day_month),
    (_WEEKDAY + _M + "(?P<f>{of})?(?P<d>{day|ordinal})", _day_month),
    ("{in}?{of}?(?P<x>{monthday})", _month_and_day),
    ("(?:{weekday|brief}{comma}?|{in}){of}(?P<d>{ordinal})", _day_alone),
    ("(?P<w>{last|this|next})" + _M, _month_chosen),
    (_M + "(?P<w>{last_after|next_after})", _month_chosen),
    ("{in}?" + _M, _month_alone),
    ("(?P<w>{last|this|next})" + _U, _chosen_unit),
    ("(?P<u>{unit})(?P<w>{last_after|this_after|next_after})", _chosen_unit),
    ("(?P<u>{unit})(?P<w>{before}{last}|{after}{next})", _before_last),
    ("(?P<w>{rolling})" + _U, _rolling_unit),
    ("(?P<w>{rolling|last|this|next}){of}?" + _N + _U, _rolling_count),
    (_N + "{of}?(?P<w>{rolling|last|next})" + _U, _rolling_count),
    (_N + _OR + _U + "(?P<h>{plus_half})?{of}?{ago}", _ago),
    ("(?P<n>{count})(?P<h>{plus_half})" + _U + "{ago}", _ago),
    ("{ago_before}{of}?" + _N + _OR + "(?P<half>{count})?" + _U + "(?P<h>{plus_half})?{ago}?", _ago),
    ("(?P<u>{unit}){ago_one}", _ago),
    ("(?:{count}{unit}{and|comma}?)+{count}{unit}{ago}", _ago_by_parts),
    (_N + _OR + _U + "{later}", _ahead),
    ("(?P<i>{ahead}){of}?" + _N + _OR + _U, _ahead),
    ("(?P<r>{relday})" + _PART, _day),
    ("(?P<w>{last|this|next}){part}", _part_of_day),
    ("{part}(?P<w>{last_after})", _part_of_day),
    ("{of_week|of_weekend|of_month|of_year}", _named_period),
    ("{of|in}{0,2}(?P<u>{unit})", _weekend),
    ("(?P<w>{weekof})(?P<d>{weekday})", _weekday_of_week),
    ("(?P<w>{last|this|next|rolling})(?P<d>{weekday|brief})" + _PART, _weekday_chosen),
    ("(?P<d>{weekday|brief})(?P<w>{last_after|next_after})" + _PART, _weekday_chosen),
    ("(?P<d>{weekday|brief})" + _PART, _weekday_alone),
    (_N + "(?P<d>{weekdays}){ago}", _weekdays_ago),
    (_Y + "{dash|to}(?P<z>{year})", _years),
    ("{in}?(?P<u>{unit})" + _Y + "{yearmark}?", _year_named),
    ("{in}?" + _Y + "{yearmark}?", _year_alone),
    ("{in|since|from}{of}(?P<d>{decade})", _decade),
    ("(?:{week_number}|(?P<u>{unit}))(?P<n>{num})(?:{of|comma}*" + _Y + ")?", _numbered_week),
    ("^{in}?{of}?(?P<c>{clockword})$", _clock_alone),
    ("^{in}(?P<c>{clock})$", _clock_alone),
)  # fmt: skip


def whole_times(t: Tokens, now: datetime) -> list[Found]:
    """The times in a row of tokens, none overlapping, in their order."""
    candidates = [
        (m.start() - m.end(), rank, m, reader)
        for rank, (one, reader) in enumerate(_COMPILED)
        for m in one.finditer(t.marks)
    ]
    candidates.sort(key=lambda c: (c[0], c[1], c[2].start()))
    taken = bytearray(len(t.marks))
    found: list[Found] = []
    for _, _, m, reader in candidates:
        if any(taken[m.start() : m.end()]):
            continue
        said = on_calendar(reader(t, m, now))
        if said is not None:
            taken[m.start() : m.end()] = b"\x01" * (m.end() - m.start())
            found.append(Found(said, m.start(), m.end()))
    return sorted(found, key=lambda f: f.first)


_COMPILED = tuple((pattern(text), reader) for text, reader in _WHOLE)
