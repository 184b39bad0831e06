"""What keeps ordinary text from being read as a time: "may", "march", 2000 tokens, port 2019."""

from __future__ import annotations

import re
from datetime import datetime

from .when_tokens import Tokens
from .when_words import Unit

#: Months that are other words or names somewhere.
MAY_MARCH = frozenset((
    "may", "march", "mar", "mars", "mai", "mayo", "marco", "julio",
))  # fmt: skip
#: English words after which "may" and "march" are months.
_BEFORE_MONTH_EN = frozenset((
    "in", "of", "during", "since", "until", "till", "by", "last", "this", "next", "early", "late", "mid",
    "past", "from", "before", "after", "on", "between", "start", "end",
))  # fmt: skip
#: Months that are English words of another kind.
NAMES_EN = frozenset((
    "may", "march",
))  # fmt: skip
#: Words in front of a number that make it no year.
NUMBERED = frozenset((
    "port", "ports", "error", "code", "issue", "pr", "bug", "ticket", "line", "lines", "version", "exit",
    "size", "limit", "id", "no", "number", "nr", "http", "room", "page", "build", "rfc", "chunk", "max", "min",
    "model", "fehler", "about", "than", "only", "exactly", "nearly", "almost", "x", "rev", "revision",
    "timeout", "status", "case",
))  # fmt: skip
#: Words behind a number that make it a count.
_COUNTED = re.compile(
    r"(?:tokens?|bytes?|chars?|characters?|files?|lines?|rows?|users?|requests?|items?|words?|records?|entries|ms|px|"
    r"kb|mb|gb|hz|mhz|ghz|usd|eur|euros?|dollars?|times|tests|points|messages|memories|events|queries|documents|zeilen|"
    r"dateien|lignes|fichiers|líneas|archivos|righe|linhas|строк|файлов|токенов)$"
)
#: German around "hier" (here), which is French for yesterday.
GERMAN = frozenset((
    "ist", "sind", "war", "wie", "was", "wo", "wer", "warum", "und", "oder", "nicht", "ich", "wir", "der",
    "die", "das", "ein", "eine", "mit", "für", "es", "im", "den", "dem", "auf", "bitte", "kann", "gibt",
    "steht", "läuft", "mir", "liegt", "geht", "haben", "hat", "wird", "werden", "noch", "auch", "von", "zu",
    "etwas",
))  # fmt: skip
#: English ordinals, which need "of" before a month.
ORDINALS_EN = frozenset((
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth",
    "nineteenth", "twentieth", "twenty", "thirtieth", "thirty", "i", "ii", "iii", "iv",
))  # fmt: skip
#: Plurals that make "last" a stretch up to today: "in den letzten Tagen".
PLURAL = frozenset((
    "days", "weeks", "months", "tage", "tagen", "wochen", "monate", "monaten", "derniers", "dernières",
    "dernieres", "últimos", "ultimos", "últimas", "ultimas", "ultimi", "ultime", "последние", "последних",
))  # fmt: skip
#: English times after "fine", which is Italian for an end.
ENGLISH = frozenset((
    "last", "this", "next", "past", "previous", "yesterday", "today", "on", "in", "monday", "friday", "week",
    "weekend", "month", "year", "quarter",
))  # fmt: skip
#: After "da", which is Italian for since, these make it Portuguese "of the".
ARTICLE_PT = frozenset((
    "semana", "noite", "manhã", "manha", "tarde", "última", "ultima", "próxima", "proxima", "segunda", "terça",
    "quarta", "quinta", "sexta",
))  # fmt: skip


def is_content(t: Tokens, at: int) -> bool:
    """Whether a word of the text's subject stands at that place, rather than a sign, a number or a small word."""
    return not t.is_end(at) and not t.senses[at] and t.words[at] not in _SMALL


#: Words that may follow a time and are not what a text is about.
_SMALL = frozenset((
    "with", "about", "when", "what", "where", "who", "how", "did", "do", "does", "i", "we", "you", "he", "she",
    "they", "was", "were", "is", "but", "so", "because", "as", "while", "without", "regarding", "concerning",
    "after",
))  # fmt: skip


def is_month(t: Tokens, at: int) -> bool:
    """Whether a word that is also another ("may", "mar", "mars") stands for the month without any day or year."""
    if t.means(at, "month"):
        return True
    word, before = t.word(at), t.word(at - 1)
    if _year_follows(t, at + 1):
        return True
    after = at + 1
    if word in NAMES_EN:
        if before == "this" and is_content(t, after):
            return t.is_capital(at)
        if before == "the":
            return is_content(t, after) and (word == "may" or t.is_capital(at))
        if before in _BEFORE_MONTH_EN:
            return True
    elif before in _BEFORE_MONTH_EN:
        return word not in ("mars", "mai", "mayo", "marco") and t.is_capital(at)
    elif t.means(at - 1, "in", "of", "since", "until", "edge", "from", "before", "after", "between"):
        return len(word) > 3 or word == "mai"
    joins = t.means(at - 1, "to", "and", "dash")
    return joins and any(t.means(i, "month", "weak") for i in range(max(at - 4, 0), at - 1))


def _year_follows(t: Tokens, at: int) -> bool:
    while t.means(at, "of", "comma"):
        at += 1
    if t.means(at, "year", "of_year"):
        return True
    return (t.means(at, "last", "this", "next") and is_unit(t, at + 1, Unit.YEAR)) or (
        is_unit(t, at, Unit.YEAR) and t.means(at + 1, "last_after", "this_after", "next_after")
    )


def is_unit(t: Tokens, at: int, unit: Unit) -> bool:
    """Whether the word at a place can mean that unit."""
    return t.means(at, "unit") and t.value(at, "unit") == unit


#: In front of four digits these make them a year; the weaker ones stand before amounts too.
_BEFORE_YEAR = frozenset((
    "in", "during", "since", "until", "till", "before", "after", "throughout", "im", "seit", "bis", "vor",
    "nach", "en", "depuis", "avant", "après", "apres", "desde", "hasta", "nel", "dal", "dopo", "em", "até",
    "в", "с", "до", "после", "за", "在",
))  # fmt: skip
_WEAK_BEFORE_YEAR = frozenset((
    "from", "of", "for", "by", "to", "and", "between", "von", "aus", "für", "de", "du", "del", "di",
    "zwischen", "entre", "par", "por", "para", "tra", "fra", "и", "между", "-", "–", "the", "my", "our", "s",
))  # fmt: skip


def is_year(t: Tokens, at: int, now: datetime) -> bool:
    """Whether four digits by themselves are a year: "in 2023", "the 2023 release", not "2000 tokens"."""
    year, before, after = t.value(at, "year"), t.word(at - 1), t.word(at + 1)
    if not 1900 <= year <= now.year + 10 or _COUNTED.match(after) or before in NUMBERED:
        return False
    if t.means(at - 1, "quarter", "half", "quarter_of", "half_of", "season", "split", "edge", "edge_of"):
        return True
    if is_unit(t, at - 1, Unit.QUARTER) or is_unit(t, at - 1, Unit.HALF):
        return True
    is_round = year % 100 == 0
    is_plural = after.endswith("s") and is_content(t, at + 1) and after.isascii()
    if before in _BEFORE_YEAR:
        return not (is_plural and (is_round or before in ("before", "after", "until", "till")))
    if is_round or is_plural or not 1990 <= year <= now.year + 1:
        return False
    return before in _WEAK_BEFORE_YEAR or t.is_end(at + 1) or t.is_end(at - 1)
