"""A text as a row of marks, one per word, number or sign, each standing for all that it can mean for a time.

Patterns over such a row are ordinary regular expressions: `{last}{unit}` is any word that can mean "last" before any
word that can mean a unit, in whatever language.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import cache

from .when_calendar import Span, day_span, iso_week, months_span
from .when_words import HEAD_CHARACTERS, HEADS, PHRASES, SURE_HEADS, UNSPACED, WORDS

#: Words that are a weekday, month or year of a file, address or identifier rather than of a time.
_GLUE_BEFORE = frozenset("./\\@#_=$€£:&")
_GLUE_AFTER = frozenset("/\\@_=(")
#: How much of a text is read for times at most, and how much of it around one head.
MAX_READ_CHARS = 480
_WINDOW_CHARS = 60

_WHOLE_MONTHS = frozenset(("may", "mai", "mars", "mayo"))
_BEFORE_DAY = frozenset(
    ("am", "den", "dem", "vom", "zum", "bis", "seit", "ab", "nach", "vor", "le", "il", "el")
)
_SIGNS = str.maketrans({chr(c): " " for c in range(128) if not chr(c).isalnum()})
_DIGIT = re.compile(r"\d")
_SPACED_WORD = re.compile(r"[a-zà-ÿā-ɏ\u0430-\u045f0-9]+")
_NUMERAL_VALUE = {c: n for n, c in enumerate("〇一二三四五六七八九")} | {"零": 0, "两": 2, "兩": 2}
_NUMERAL_TENS = {"十": 10, "百": 100, "千": 1_000}
_NUMERAL_MYRIADS = {"万": 10_000, "萬": 10_000, "亿": 100_000_000, "億": 100_000_000}
_NUMERAL = frozenset((*_NUMERAL_VALUE, *_NUMERAL_TENS, *_NUMERAL_MYRIADS))

#: What looks like a date or a year in digits.
_DATED = re.compile(
    r"(?<!\d)(?:\d{4}[-/.年]\d|\d{1,2}[/.-]\d{1,2}[/.-]\d\d|\d{1,2}/\d{4}|20\d{6}(?!\d)|(?:19|20)\d\d(?!\d)|"
    r"\d{1,2}\.\d{1,2}\.(?!\w)|\d{1,2} ?(?:[ap]m|st|nd|rd|th)\b)|['’]\d\d\b"
)
_ZONE = r"(?:[t ]\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?:z|[+-]\d\d:?\d\d)?)?"
_TOKEN = re.compile(
    r"(?P<word>[a-zà-öø-ɏ\u0430-\u045f][a-z0-9_à-öø-ɏ\u0430-\u045f]*)"
    r"|(?P<space>\s+)"  # early, so that a space is not tried against all that follows
    rf"|(?P<ymd>(?<!\d)\d{{4}}(?:(?P<by>[-/])\d{{1,2}}(?P=by)\d{{1,2}}|\.\d\d\.\d\d)(?![\d/]|[-.]\d){_ZONE})"
    r"|(?P<slashed>(?<![\d/])\d{1,2}/\d{1,2}/(?:\d{4}|\d\d)(?![\d/]))"
    r"|(?P<dotted>(?<![\d.])\d{1,2}(?P<sep>[.-])\d{1,2}(?P=sep)(?:19|20)\d\d(?![\d-]|\.\d))"
    r"|(?P<week>(?<![\w-])\d{4}-?w\d\d(?!\w))"
    r"|(?P<my>(?<![\w./-])(?:0?[1-9]|1[0-2])/(?:19|20)\d\d(?![\w/-]|\.\d))"
    r"|(?P<ym>(?<![\w./-])(?:19|20)\d\d[-/](?:0[1-9]|1[0-2])(?![\w/-]|\.\d))"
    r"|(?P<compact>(?<![\w.-])20\d{6}(?![\w.-]))"
    r"|(?P<decade>(?<![\w.-])(?:19|20)\d0s\b)"
    r"|(?P<clock>\d{1,2}:\d\d(?::\d\d)?(?:\s?[ap]\.?m\b\.?)?|(?<![\d.])\d{1,2}\s?[ap]\.?m\b\.?)"
    r"|(?P<dm>(?<![\w.-])\d{1,2}\.\d{1,2}\.(?![\w.-]))"
    r"|(?P<version>\d+(?:\.\d+|,\d{3}(?!\d))+)"
    r"|(?P<ordinal>\d{1,2}(?:st|nd|rd|th|er|re|ère|e|º|°|ª|-?го|-?й|-?е|-?м)\b|\d{1,2}\.(?=\s+[^\W\d_]))"
    r"|(?P<number>\d+)"
    r"|(?P<comma>[,、，])"
    r"|(?P<dash>[-–—~〜～])"
    r"|(?P<short>['’]\d\d(?!\w))"
    r"|(?P<quote>['’])"
    r"|(?P<unspaced>[\u3005-\u3007\u3040-\u30ff\u3400-\u9fff]+)"
    r"|(?P<sign>.)"
)

_NOTHING: dict[str, float] = {}
#: Characters that stand for meanings: below U+0100, where classes compile fast, and none that `re` reads otherwise.
_MARKS = "abcdefghijklmnopqrstuvwxyz0123456789" + "".join(map(chr, range(0xA1, 0x100)))
_MARK_OF: dict[frozenset[str], str] = {frozenset(): "_"}


def _mark(kinds: frozenset[str]) -> str:
    """The character that stands for a set of meanings."""
    if kinds not in _MARK_OF:
        _MARK_OF[kinds] = _MARKS[len(_MARK_OF)]
    return _MARK_OF[kinds]


#: The mark of the tables' own entries, which live as long as the module.
_MARK_BY_ID = {id(senses): _mark(frozenset(senses)) for senses in WORDS.values()}
for _phrases in PHRASES.values():
    _MARK_BY_ID |= {id(senses): _mark(frozenset(senses)) for _, senses in _phrases}
for _kinds in (
    {"count", "num", "day"}, {"count", "num"}, {"count", "num", "year"}, {"num", "year"}, {"count"}, {"ordinal", "day"},
    {"date"}, {"year"}, {"monthday"}, {"decade"}, {"clock"}, {"comma"}, {"dash"}, {"unit"}, {"dash", "to"},
):  # fmt: skip
    _mark(frozenset(_kinds))


@cache
def pattern(text: str) -> re.Pattern[str]:
    """A pattern over marks: `{last|next}` is any mark with one of these meanings, the rest is `re`'s own language.

    :raises KeyError: no word has such a meaning.
    """
    return re.compile(re.sub(r"\{([a-z_|]+)\}", lambda m: f"[{_marks(m[1].split('|'))}]", text))


def _marks(kinds: list[str]) -> str:
    for kind in kinds:
        if not any(kind in own for own in _MARK_OF):
            raise KeyError(f"no word means {kind}")
    return "".join(mark for own, mark in _MARK_OF.items() if not own.isdisjoint(kinds))


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text's words, numbers and signs.

    :param text: the text that the places count in.
    :param marks: one character per token.
    :param senses: what each can mean: kind -> value.
    :param words: each in lower case.
    :param places: where each starts and ends in the text.
    :param spans: the stretch of those that are whole dates, by their number.
    """

    text: str
    marks: str
    senses: list[dict[str, float]]
    words: list[str]
    places: list[tuple[int, int]]
    spans: dict[int, Span]

    def value(self, at: int, kind: str) -> int:
        """The value of a token's meaning."""
        return int(self.senses[at][kind])

    def means(self, at: int, *kinds: str) -> bool:
        """Whether a token (if there is one at that place) can mean one of these."""
        return 0 <= at < len(self.senses) and any(kind in self.senses[at] for kind in kinds)

    def word(self, at: int) -> str:
        """A token in lower case, "" outside the text."""
        return self.words[at] if 0 <= at < len(self.words) else ""

    def is_capital(self, at: int) -> bool:
        """Whether a word is written with a capital."""
        return self.text[self.places[at][0]].isupper()

    def is_end(self, at: int) -> bool:
        """Whether nothing but a sign or the end stands at that place."""
        return not 0 <= at < len(self.words) or not (self.words[at][0].isalnum() or self.words[at][0] == "_")

    def said(self, first: int, end: int) -> str:
        """The text from one token to before another."""
        return self.text[self.places[first][0] : self.places[end - 1][1]]


def may_hold_time(text: str) -> bool:
    """Whether a text holds any word or number without which it can name no time; fast, for the many that do not.

    >>> may_hold_time("what did we decide about pgvector"), may_hold_time("what did we decide in mars 2025")
    (False, True)
    """
    lower = text.lower()
    words = lower.translate(_SIGNS).split() if text.isascii() else _SPACED_WORD.findall(lower)
    if not HEADS.isdisjoint(words) or (_DIGIT.search(text) and _DATED.search(text)):
        return True
    return not text.isascii() and not HEAD_CHARACTERS.isdisjoint(text)


def normal(text: str) -> str:
    """Full-width digits and composed accents as the tables spell them.

    >>> normal("２０２４年３月")
    '2024年3月'
    """
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def windows(text: str) -> list[str]:
    """The parts of a text that can hold times: all of a short one, what stands around its heads in a long one.

    A long text is pasted rather than asked: at most MAX_READ_CHARS of it are read, surer heads first, and less for
    heads that may be other words.
    """
    if len(text) <= MAX_READ_CHARS:
        return [text]
    lower = text.lower() if len(text.lower()) == len(text) else text
    places = [(m[0] not in SURE_HEADS, m.start()) for m in _SPACED_WORD.finditer(lower) if m[0] in HEADS]
    places += [(len(m[0]) == 4, m.start()) for m in _DATED.finditer(text)]  # four digits may be a year
    if not text.isascii():
        places += [(True, i) for i, c in enumerate(text) if c in HEAD_CHARACTERS]
    chosen: list[tuple[int, int]] = []
    for is_unsure, place in sorted(places):
        if any(start <= place < end for start, end in chosen):
            continue
        if len(chosen) * 2 * _WINDOW_CHARS >= (MAX_READ_CHARS // 2 if is_unsure else MAX_READ_CHARS):
            break
        chosen.append((max(place - _WINDOW_CHARS, 0), min(place + _WINDOW_CHARS, len(text))))
    return [text[start:end] for start, end in _whole_words(text, sorted(chosen))]


def _whole_words(text: str, parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Parts of a text that begin and end between words, those that touch as one."""
    whole: list[tuple[int, int]] = []
    for start, end in parts:
        while 0 < start < end and not text[start - 1].isspace():
            start += 1
        while start < end < len(text) and not text[end].isspace():
            end -= 1
        if whole and start <= whole[-1][1]:
            whole[-1] = whole[-1][0], max(end, whole[-1][1])
        elif start < end:
            whole.append((start, end))
    return whole


def read(text: str) -> Tokens:
    """Split a text (as `normal` gives it) into what its parts can mean."""
    lower = text.lower()
    if len(lower) != len(text):  # "İ" grows; its places would no longer fit
        text = lower
    tokens = Tokens(text, "", [], [], [], {})
    senses, words, places = tokens.senses, tokens.words, tokens.places
    for m in _TOKEN.finditer(lower):
        kind = m.lastgroup
        if kind == "space" or kind == "quote":
            continue
        if kind == "unspaced":
            _split_unspaced(m[0], m.start(), tokens)
            continue
        if m[0] == "." and senses and _is_shortened(words[-1], senses[-1]):
            continue
        found = _word(m, lower, senses) if kind == "word" else _sign(kind or "sign", m, lower, tokens)
        senses.append(found)
        words.append(m[0])
        places.append(m.span())
    return _with_phrases(tokens)


def _is_shortened(word: str, senses: dict[str, float]) -> bool:
    """Whether a point belongs to the word before it: "Sept. 2024", "Fri."."""
    return (
        len(word) < 5
        and not senses.keys().isdisjoint(("weak", "short", "brief"))
        and word not in _WHOLE_MONTHS
    )


def _word(m: re.Match[str], text: str, earlier: list[dict[str, float]]) -> dict[str, float]:
    """What a word can mean; nothing where it is part of a path, an address, an identifier or "10x"."""
    senses = WORDS.get(m[0])
    start, end = m.span()
    before = text[start - 1] if start else " "
    if before == " " and senses is None:
        return _NOTHING
    if before.isdigit() and earlier and "count" in earlier[-1]:
        if senses is not None and "glued" in senses:
            return {"unit": senses["glued"]}
        if senses is None or ("unit" not in senses and "month" not in senses and "weak" not in senses):
            earlier[-1] = _NOTHING
    if senses is None or before in _GLUE_BEFORE:
        return _NOTHING
    after = text[end] if end < len(text) else " "
    if after in _GLUE_AFTER or (after == "." and text[end + 1 : end + 2].isalnum()):
        return _NOTHING
    return senses


def _split_unspaced(run: str, start: int, tokens: Tokens) -> None:
    """Take a run of Chinese or Japanese apart: the longest known word at each place, numbers, single characters."""
    at = 0
    while at < len(run):
        lengths = UNSPACED.get(run[at], ())
        end = next((at + n for n in lengths if run[at : at + n] in WORDS), at + 1)
        senses = WORDS.get(run[at:end], _NOTHING)
        if senses is _NOTHING and run[at] in _NUMERAL:
            while end < len(run) and run[end] in _NUMERAL:
                end += 1
            senses = _numeral(run[at:end])
        tokens.senses.append(senses)
        tokens.words.append(run[at:end])
        tokens.places.append((start + at, start + end))
        at = end


def _sign(kind: str, m: re.Match[str], text: str, tokens: Tokens) -> dict[str, float]:
    """What a number, a date in digits or a sign can mean."""
    match kind:
        case "sign" | "version":
            return _NOTHING
        case "comma" | "dash":
            return {kind: 0}
        case "number" | "ordinal":
            return _number(m, text, kind)
        case "clock":
            return {"clock": _hour(m[0])}
        case "dm":
            return _day_and_month(m[0], tokens.words[-1] if tokens.words else "")
        case "short":
            n = int(m[0][1:])
            return {"year": n + (2000 if n < 70 else 1900)}
        case "decade":
            return {"decade": int(m[0][:4])}
        case _:
            span = _written_date(kind, m[0])
            if span is None:
                return _NOTHING
            tokens.spans[len(tokens.words)] = span
            return {"date": 0}


def _number(m: re.Match[str], text: str, kind: str) -> dict[str, float]:
    digits = re.match(r"\d+", m[0])
    before, after = text[: m.start()][-2:], text[m.end() : m.end() + 1]
    if digits is None or len(digits[0]) > 6:
        return _NOTHING
    if (
        before[-1:] in _GLUE_BEFORE
        or (before[-1:] == "-" and before[:1].isalpha())
        or after in ("%", "_", "/", "°")
    ):
        return _NOTHING
    n = int(digits[0])
    if kind == "ordinal":
        return {"ordinal": n, "day": n} if 1 <= n <= 31 else _NOTHING
    if 1 <= n <= 31 and len(digits[0]) < 3:
        return {"count": n, "num": n, "day": n}
    return {"count": n, "num": n, "year": n} if len(digits[0]) == 4 else {"count": n, "num": n}


def _day_and_month(text: str, before: str) -> dict[str, float]:
    """ "28.10." as German writes a day without its year; only behind a word that says so, or it is a version."""
    day, month = (int(n) for n in re.findall(r"\d+", text))
    is_day = before in _BEFORE_DAY and day_span(2024, month, day) is not None
    return {"monthday": month * 100 + day} if is_day else _NOTHING


def _numeral(digits: str) -> dict[str, float]:
    """A Chinese or Japanese number: by its places (十二, 三百) or digit by digit (二〇二四).

    >>> _numeral("二十三")["count"], _numeral("二〇二四"), _numeral("十万")
    (23, {'num': 2024, 'year': 2024}, {'count': 100000, 'num': 100000})
    """
    if len(digits) == 4 and all(c in _NUMERAL_VALUE for c in digits):
        year = int("".join(str(_NUMERAL_VALUE[c]) for c in digits))
        return {"num": year, "year": year}
    total = section = ones = 0
    for c in digits:
        if c in _NUMERAL_VALUE:
            if ones:
                return _NOTHING  # 两三天: no number
            ones = _NUMERAL_VALUE[c]
        elif c in _NUMERAL_TENS:
            section, ones = section + (ones or 1) * _NUMERAL_TENS[c], 0
        else:
            total, section, ones = total + (section + ones or 1) * _NUMERAL_MYRIADS[c], 0, 0
    n = total + section + ones
    return {"count": n, "num": n}


def _hour(text: str) -> float:
    """An hour of the day from "3pm", "15:30", "3:30 pm"; 24 and more for none."""
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    hour = numbers[0] + (numbers[1] / 60 if len(numbers) > 1 else 0)
    half = re.search(r"[ap]", text)
    if half is None:
        return hour
    return 24.0 if hour >= 13 else hour % 12 + (12 if half[0] == "p" else 0)


def _written_date(kind: str, text: str) -> Span | None:
    """The span of a date in digits. "03/04/2024" is March (the month first) unless only the day can be above 12."""
    n = [int(part) for part in re.findall(r"\d+", text)]
    match kind:
        case "ymd":
            return day_span(n[0], n[1], n[2])
        case "slashed":
            year = n[2] if n[2] > 99 else 2000 + n[2]
            return day_span(year, n[1], n[0]) if n[0] > 12 else day_span(year, n[0], n[1])
        case "dotted":
            return day_span(n[2], n[1], n[0])
        case "week":
            return iso_week(int(text[:4]), int(text[-2:]))
        case "ym":
            return months_span(n[0], n[1])
        case "my":
            return months_span(n[1], n[0])
        case _:
            return day_span(n[0] // 10_000, n[0] // 100 % 100, n[0] % 100)


def _with_phrases(tokens: Tokens) -> Tokens:
    """The same with the words of each known phrase as one token; hyphens and apostrophes in them do not count."""
    if PHRASES.keys().isdisjoint(tokens.words):
        return replace(tokens, marks=_marked(tokens.senses))
    joined = Tokens(tokens.text, "", [], [], [], {})
    at = 0
    while at < len(tokens.words):
        end, senses = _phrase_at(tokens, at)
        if at in tokens.spans:
            joined.spans[len(joined.words)] = tokens.spans[at]
        joined.senses.append(senses)
        joined.words.append(tokens.words[at])
        joined.places.append((tokens.places[at][0], tokens.places[end - 1][1]))
        at = end
    return replace(joined, marks=_marked(joined.senses))


def _marked(senses: list[dict[str, float]]) -> str:
    return "".join(_MARK_BY_ID.get(id(one)) or _mark(frozenset(one)) for one in senses)


def _phrase_at(tokens: Tokens, at: int) -> tuple[int, dict[str, float]]:
    """Where the token or phrase at a place ends, and what it can mean."""
    for rest, senses in PHRASES.get(tokens.words[at], ()):
        end = at + 1
        for word in rest:
            if end < len(tokens.words) and tokens.words[end] == "-":
                end += 1
            if end >= len(tokens.words) or tokens.words[end] != word:
                break
            end += 1
        else:
            return end, senses
    return at + 1, tokens.senses[at]
