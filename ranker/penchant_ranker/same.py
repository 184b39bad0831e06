"""Sameness: which results say the same thing, and which say it anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .text import stems

#: From this cosine on two texts may say the same, if what tells them apart is equal too; where they have the same words
#: in another form or order, from the lower one on.
SAME_COSINE = 0.92
SAME_WORDS_COSINE = 0.85
#: Of a longer text the first so many characters are looked at.
MAX_CHARS = 2_000
#: So many content words more may one of two texts have; a word in place of another makes another statement.
MAX_OTHER_WORDS = 2

_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half "
    "twice first second third fourth fifth once"
)
_DAYS = (
    "monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun january february march april "
    "may june july august september october november december jan feb mar apr jun jul aug sep sept oct nov dec today "
    "tomorrow yesterday morning noon afternoon evening night midnight spring summer autumn winter daily weekly monthly "
    "yearly hourly weekend"
)
_OPPOSITES = (
    "enable disable enabled disabled off allow deny allowed denied forbidden permit true false always never before "
    "after min max minimum maximum increase decrease increased decreased left right staging production testing "
    "development read write input output open closed public private old new start stop started stopped accept reject "
    "accepted rejected add remove added removed more less fewer higher lower all none every only except without above "
    "below under ascending descending upper lower success failure pass fail passed failed good "
    "bad like dislike love hate prefer avoid instead"
)
_NEGATION = re.compile(
    r"\b(?:no|not|never|none|nobody|nothing|neither|nor|without|cannot|hardly|\w+n['’]t|nicht|kein\w*|nie|ohne|nunca|sin)\b",
    re.IGNORECASE,
)
# Numbers with their units, versions, paths, identifiers: what holds a digit, a slash, a dot or underscore inside, or
# a capital after a small letter.
_EXACT = re.compile(r"[\w./:@#~+-]*(?:\d|[/_@#]|\w\.\w|\w::\w|[a-z][A-Z])[\w./:@#~+-]*")
_NAME = re.compile(r"\b[A-ZÀ-ÖØ-Þ][\w]+\b")
_INNER_NAME = re.compile(r"(?<=[\w,;)\"'] )[A-ZÀ-ÖØ-Þ]\w+\b")
_CLOSED = frozenset(f"{_NUMBER_WORDS} {_DAYS} {_OPPOSITES}".split())


@dataclass(frozen=True, slots=True)
class Particulars:
    """What must be equal in two texts that say the same.

    :param exact: numbers, versions, paths, identifiers; days, number words and opposites; how many negations.
    :param names: stems of words with a capital, wherever they stand, and `inner`: of those within a sentence.
    :param content: stems of all words but stop words.
    """

    exact: frozenset[str]
    names: frozenset[str]
    inner: frozenset[str]
    content: frozenset[str]


@lru_cache(maxsize=4_096)
def particulars(text: str) -> Particulars:
    """Those of a text.

    >>> sorted(particulars("The API is not on port 8081 since v1.2").exact)
    ['8081', 'NOT 1', 'v1.2']
    """
    text = text[:MAX_CHARS]
    found = {match.strip(".:,-") for match in _EXACT.findall(text)}
    found |= {word for word in re.findall(r"[^\W\d_]+", text.lower()) if word in _CLOSED}
    found.add(f"NOT {len(_NEGATION.findall(text))}")
    found -= {"", "NOT 0"}
    return Particulars(
        frozenset(found),
        frozenset(s for name in _NAME.findall(text) for s in stems(name)),
        frozenset(s for name in _INNER_NAME.findall(text) for s in stems(name)),
        frozenset(stems(text)),
    )


def is_same(text: str, other: str) -> bool:
    """Whether two texts that are near in meaning say the same: their particulars are equal, and neither has words in
    place of the other's. One may have two more that are no names.

    >>> is_same("The API listens on port 8080.", "The API is listening on port 8080")
    True
    >>> is_same("Priya owns the billing module.", "Jonas owns the billing module.")
    False
    """
    a, b = particulars(text), particulars(other)
    if a.exact != b.exact or not a.inner <= b.content or not b.inner <= a.content:
        return False
    more, fewer = sorted((len(a.content - b.content), len(b.content - a.content)), reverse=True)
    return fewer == 0 and more <= MAX_OTHER_WORDS


@dataclass(frozen=True, slots=True)
class Statement:
    """One result, as far as sameness goes.

    :param text: what it says, and `by`: whose words they are (a person, a role); None for a memory.
    :param occurred_at: seconds since 1970.
    :param order: of arrival; tells what is later within the same second.
    :param is_current: whether nothing superseded it.
    :param kind: of a memory; a decision and a note are two, though they are worded alike.
    """

    text: str
    by: str | None
    occurred_at: int
    order: int
    is_current: bool = True
    kind: str | None = None


def merged(statements: Sequence[Statement], vectors: NDArray[np.float32]) -> list[int]:
    """For each result the place of the first one that says the same (its own, where none before it does).

    :param statements: best-ranked first.
    :param vectors: (n, dim), zeros or no column where there is none: those are the same only by their words.

    >>> said = [Statement(text, None, 0, 0) for text in ("port 8080", "port 8081", "Port 8080.")]
    >>> merged(said, np.ones((3, 2), dtype=np.float32))
    [0, 1, 0]
    """
    n = len(statements)
    first = list(range(n))
    if not n:
        return first
    by_text: dict[tuple[str, bool], int] = {}
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(lengths > 0, lengths, 1.0)
    cosine = units @ units.T
    near: dict[int, list[int]] = {}
    for i, j in np.argwhere(np.tril(cosine >= SAME_WORDS_COSINE, -1)).tolist():
        near.setdefault(i, []).append(j)
    for i, own in enumerate(statements):
        key = (own.text, own.is_current)
        if key in by_text:
            first[i] = by_text[key]
            continue
        by_text[key] = i
        for j in near.get(i, ()):
            other = statements[j]
            if first[j] != j or own.is_current != other.is_current:
                continue
            if own.by is not None and other.by is not None and own.by != other.by:
                continue  # "me too" of two people are two statements
            if own.kind is not None and other.kind is not None and own.kind != other.kind:
                continue
            has_same_words = particulars(own.text).content == particulars(other.text).content
            if (has_same_words or cosine[i, j] >= SAME_COSINE) and is_same(own.text, other.text):
                first[i] = j
                break
    return first
