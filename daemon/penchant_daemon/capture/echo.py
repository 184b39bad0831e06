"""Keeps what Penchant said from coming back as something new.

Text that Penchant injects or returns stands between marks; captured text loses what stands between them.
Where an assistant repeats memories in its own message there is no mark, so what was returned lately is
remembered as hashes of whole texts and of runs of five words; a captured text made of those is a reference.

A text that was written before the memory was first returned cannot echo it: an old session that is imported
today keeps its messages.
"""

from __future__ import annotations

import re
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from penchant_daemon.wire import utc_text

MARK_NAME = "penchant-memory"

N_SHINGLE = 5  # words; five in a row are rarely said alike by chance
MAX_WORDS = 2_000  # of one text: longer ones are known by their beginning
MAX_TEXTS = 4_096
MAX_SHINGLES = 100_000  # 14 MB when full
SHARE_REPEATED = 0.8  # of a text's words, from which on it is a repetition
SHARE_QUOTED = 0.4  # of an assistant's words, when hardly anything new is said around the quotation
MAX_NEW_WORDS = 3
MIN_TYPED_CHARS = 40  # a person may type "yes, use pytest" again; a long equal text is a paste
REMEMBERED_DAYS = 7
CLOCK_SLACK_S = 1.0

_LT = r"(?:\\*<|&(?:amp;)*(?:lt|#0*60|#x0*3c);|\\+u003c|\\+x3c|%3c)"
_GT = r"(?:\\*>|&(?:amp;)*(?:gt|#0*62|#x0*3e);|\\+u003e|\\+x3e|%3e)"
_QUOTE = r"(?:\\*[\"']|&(?:amp;)*(?:quot|apos|#0*3[49]|#x0*2[27]);|\\+u002[27]|\\+x2[27]|%2[27])"
_SPACE = r"(?:\s|&nbsp;|\\+[nt]|%20|\+)"
_SLASH = r"(?:\\*/|&#0*47;|&#x0*2f;|\\+u002f|%2f)"
_EQUALS = r"(?:=|&#0*61;|\\+u003d|%3d)"
# An id of six and more characters: a page that explains the mark (`impression="ID"`) is not marked by it.
_OPEN = re.compile(
    rf"{_LT}{_SPACE}*{MARK_NAME}{_SPACE}+impression{_SPACE}*{_EQUALS}{_SPACE}*{_QUOTE}?"
    rf"(?P<id>[0-9A-Za-z_-]{{6,64}}){_QUOTE}?[^<>&\\%\n]{{0,200}}?{_SPACE}*(?:{_GT}|\Z)",
    re.IGNORECASE,
)
_CLOSE = re.compile(rf"{_LT}{_SPACE}*{_SLASH}{_SPACE}*{MARK_NAME}{_SPACE}*(?:{_GT}|\Z)", re.IGNORECASE)
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_IMPRESSION = re.compile(r"impression(?:_id)?\W{1,12}([0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{26})(?![0-9A-Za-z])")

# Words that stand around a quotation without saying anything of their own.
_FILLER_WORDS = """
    a about above according after again all also am an and any are as asked at be because been before below
    but by can could date day days did do does earlier following for found from get given got had has have he
    her here his how i if in into is it its just know last let like made me memories memory mentioned might my
    no not note noted notes now of ok on one or our out over penchant per please previous previously quote
    quoted recall recalled recalls remember remembered result results said saw say says see seen session
    sessions she should showed shows so some stated still sure that the their them then there these they this
    those to told up us was we were what when where which who will with would yes yet you your
"""
_FILLER = frozenset(_FILLER_WORDS.split())


class ReturnedLog(Protocol):
    """What the guard reads of the store: the digests of what earlier runs returned."""

    def returned_digests(self, since: str) -> frozenset[str]: ...

    def digest(self, text: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Stripped:
    """A text without what stood between marks, and the impressions that the marks named."""

    text: str
    impressions: tuple[str, ...] = ()


@dataclass(slots=True)
class _Returned:
    """One text that was returned: which memories have it, since when it is out, its runs of words."""

    ids: list[str]
    at: float
    shingles: array[int]


def wrap(text: str, impression_id: str) -> str:
    """The text between marks, for everything that is injected or returned as text."""
    inner = re.sub(MARK_NAME, MARK_NAME.replace("-", " "), text, flags=re.IGNORECASE)
    return f'<{MARK_NAME} impression="{impression_id}">\n{inner}\n</{MARK_NAME}>'


def strip_marks(text: str) -> Stripped:
    """The text less everything between marks, in whatever way a host has escaped or cut them.

    Marks nest. A mark that is never closed (a cut output) reaches to the end of the text; a closing mark
    without an opening one goes alone, for what stood before it may be anybody's.
    """
    if MARK_NAME not in text and MARK_NAME not in text.lower():
        return Stripped(text)
    kept: list[str] = []
    impressions: list[str] = []
    depth = 0
    at = 0
    for start, end, impression in _marks(text):
        if depth == 0:
            kept.append(text[at:start])
        if impression is not None:
            depth += 1
            impressions.append(impression)
        elif depth > 0:
            depth -= 1
        at = end
    if depth == 0:
        kept.append(text[at:])
    return Stripped("".join(kept), tuple(dict.fromkeys(impressions)))


def impressions_named(text: str) -> tuple[str, ...]:
    """Ids of impressions that a tool's payload names (`"impression_id": "01…"`), in order."""
    return tuple(dict.fromkeys(found.upper() for found in _IMPRESSION.findall(text)))


def _marks(text: str) -> Iterator[tuple[int, int, str | None]]:
    """(start, end, impression id or None for a closing mark) of each mark, in order."""
    found = [(match.start(), match.end(), match["id"]) for match in _OPEN.finditer(text)]
    closing: list[tuple[int, int, str | None]] = [(m.start(), m.end(), None) for m in _CLOSE.finditer(text)]
    yield from sorted([*found, *closing])


class EchoGuard:
    """Remembers what was returned lately and tells whether a captured text only repeats it.

    :param log: the store, for what earlier runs of the daemon returned; None knows this run only.
    :param clock: Unix seconds.
    """

    def __init__(self, log: ReturnedLog | None = None, clock: Callable[[], float] = time.time) -> None:
        self._log = log
        self._clock = clock
        self._started_at = clock()
        self._lock = threading.Lock()
        self._texts: OrderedDict[int, _Returned] = OrderedDict()  # by the hash of the whole text
        self._shingles: dict[int, _Returned] = {}
        self._impressions: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._earlier: frozenset[str] | None = None

    def returned(self, impression_id: str | None, memories: Iterable[tuple[str, str]]) -> None:
        """Note what is being handed out, before it is: (id, text) of each memory or episode."""
        now = self._clock()
        ids: list[str] = []
        with self._lock:
            for memory_id, text in memories:
                ids.append(memory_id)
                words = _words(text)
                if words:
                    self._note(memory_id, words, now)
            if impression_id is not None:
                self._impressions[impression_id] = tuple(ids)
                if len(self._impressions) > MAX_TEXTS:
                    self._impressions.popitem(last=False)

    def memories_of(self, impressions: Iterable[str]) -> tuple[str, ...]:
        """Ids of the memories that these impressions showed; an unknown impression stands for itself."""
        with self._lock:
            named = [self._impressions.get(impression, (impression,)) for impression in impressions]
        return tuple(dict.fromkeys(memory_id for ids in named for memory_id in ids))

    def repeated_message(
        self, text: str, occurred_at: float | None, *, is_typed: bool, is_user: bool
    ) -> tuple[str, ...] | None:
        """Ids of the memories that a captured message only repeats; None when it says something of its own.

        :param occurred_at: Unix seconds, None for now.
        :param is_typed: the person typed it: people may quote, so only a long text, equal as a whole, counts.
        :param is_user: it is logged as the person's by a program: then not one new word may be lost.
        """
        if is_typed and len(text.strip()) < MIN_TYPED_CHARS:
            return None
        equal = self._equal(text, occurred_at)
        if equal is None:
            equal = self._returned_earlier(text, occurred_at)
        if equal is not None or is_typed:
            return equal
        return self._contained(text, occurred_at, keeps_new_words=is_user)

    def repeated_memory(
        self, text: str, occurred_at: float | None, *, is_typed: bool
    ) -> tuple[str, ...] | None:
        """Ids of the memories that a statement to remember only repeats; None when it is news.

        A statement with one new word is news, however much of it was returned before: `the port is 8443 now`.
        """
        if is_typed:
            return self._equal(text, occurred_at) if len(text.strip()) >= MIN_TYPED_CHARS else None
        equal = self._equal(text, occurred_at)
        return equal if equal is not None else self._contained(text, occurred_at, keeps_new_words=True)

    def _equal(self, text: str, occurred_at: float | None) -> tuple[str, ...] | None:
        words = _words(text)
        if not words:
            return None
        with self._lock:
            known = self._texts.get(hash(tuple(words)))
            return tuple(known.ids) if known is not None and _is_after(occurred_at, known.at) else None

    def _returned_earlier(self, text: str, occurred_at: float | None) -> tuple[str, ...] | None:
        """No ids, but not None, when an earlier run of the daemon returned this text: only digests are kept."""
        if self._log is None or not _is_after(occurred_at, self._started_at - 3_600):
            return None
        if self._earlier is None:
            self._earlier = self._digests()
        if not self._earlier:
            return None
        digest = self._log.digest(text)
        if digest not in self._earlier:
            return None
        self._earlier = self._digests()  # what was forgotten since may be said again
        return () if digest in self._earlier else None

    def _digests(self) -> frozenset[str]:
        since = datetime.fromtimestamp(self._started_at, UTC) - timedelta(days=REMEMBERED_DAYS)
        return self._log.returned_digests(utc_text(since)) if self._log is not None else frozenset()

    def _contained(
        self, text: str, occurred_at: float | None, *, keeps_new_words: bool
    ) -> tuple[str, ...] | None:
        words = _words(text)
        if len(words) < N_SHINGLE or not self._shingles:
            return None
        is_covered = bytearray(len(words))
        sources: dict[str, None] = {}
        with self._lock:
            for at, shingle in enumerate(_shingles(words)):
                known = self._shingles.get(shingle)
                if known is not None and _is_after(occurred_at, known.at):
                    is_covered[at : at + N_SHINGLE] = b"\1" * N_SHINGLE
                    sources[known.ids[0]] = None
        share = sum(is_covered) / len(words)
        if share < SHARE_QUOTED:
            return None
        new_words = {word for word, covered in zip(words, is_covered, strict=True) if not covered} - _FILLER
        if keeps_new_words:
            is_echo = share >= SHARE_REPEATED and not new_words
        else:
            is_echo = share >= SHARE_REPEATED or len(new_words) <= MAX_NEW_WORDS
        return tuple(sources) if is_echo else None

    def _note(self, memory_id: str, words: list[str], now: float) -> None:
        key = hash(tuple(words))
        known = self._texts.get(key)
        if known is not None:
            self._texts.move_to_end(key)
            if memory_id not in known.ids:
                known.ids.append(memory_id)
            return
        returned = _Returned([memory_id], now, array("q", _shingles(words)))
        self._texts[key] = returned
        for shingle in returned.shingles:
            self._shingles.setdefault(shingle, returned)
        if len(self._texts) > MAX_TEXTS or len(self._shingles) > MAX_SHINGLES:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Drop texts, least lately returned first, until half of the room is free again."""
        n_shingles = sum(len(text.shingles) for text in self._texts.values())
        while len(self._texts) > MAX_TEXTS // 2 or n_shingles > MAX_SHINGLES // 2:
            _, dropped = self._texts.popitem(last=False)
            n_shingles -= len(dropped.shingles)
        self._shingles = {}
        for text in self._texts.values():
            for shingle in text.shingles:
                self._shingles.setdefault(shingle, text)


def _words(text: str) -> list[str]:
    return _WORD.findall(text[: MAX_WORDS * 16].casefold())[:MAX_WORDS]


def _shingles(words: list[str]) -> Iterator[int]:
    return (hash(tuple(words[at : at + N_SHINGLE])) for at in range(len(words) - N_SHINGLE + 1))


def _is_after(occurred_at: float | None, returned_at: float) -> bool:
    return occurred_at is None or occurred_at >= returned_at - CLOCK_SLACK_S


__all__ = ["MARK_NAME", "EchoGuard", "Stripped", "impressions_named", "strip_marks", "wrap"]
