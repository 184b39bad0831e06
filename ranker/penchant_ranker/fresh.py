"""Freshness: of two results that state the same thing with other values, the later one stands above the earlier."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .query import Query
from .same import Statement, particulars
from .text import stem

#: Of the ranking so many results are looked at, and of each so many characters.
MAX_PLACES = 10
MAX_CHARS = 1_500
#: A value belongs to the words of the question that stand so many words before or behind it.
REACH = 8
#: The later one must be so near to the question, as a share of the earlier one, and have so much of its score.
MIN_NEARNESS = 0.5
MIN_SCORE = 0.8
#: Of the words of the question that an earlier turn holds a later one may lack such a share; a memory, none.
MAX_LOST = 0.25
#: And be so like it in meaning (BEAM dev, pairs in order: without all this 0.41, from 0.3 on 0.66, from 0.45 on 0.62,
#: from 0.55 on 0.59; the higher, the less else moves).
MIN_COSINE = 0.45

# Questions for what is so now: a number, a time to come, a place, a person.
_ASKS_VALUE = re.compile(
    r"\b(?:how (?:many|much|long|often|old|far|big|large|high|fast|tall)|what(?:['’]s| is| are| was)|"
    r"which (?:version|port|day|date|time|year|month)|"
    r"what (?:time|date|day|version|port|number|percentage|share|rate|amount|size|\w+ rate)|"
    r"when (?:is|are|will|do|does|should|can)|who (?:is|are|owns|leads|maintains)|where (?:is|are|do|does))\b",
    re.IGNORECASE,
)
# Of what was so, or of the way from one time to another.
_ASKS_PAST = re.compile(
    r"\b(?:original(?:ly)?|initial(?:ly)?|former(?:ly)?|previous(?:ly)?|used to|at first|earlier|at the beginning|"
    r"history of|between|from\b.*\bto|passed|elapsed|after|since|until|before)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[$€£]?\b\d[\d.,:]*%?\w*|\w+")
_VALUE = re.compile(
    r"[$€£]?\d[\d.,:]*(?:%|ms|s|min|h|gb|mb|kb|tb|px|k|m|am|pm|st|nd|rd|th|rc\d*|x)?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?|"
    r"january|february|march|april|june|july|august|september|october|november|december"
)


def asks_what_is(query: Query) -> bool:
    """Whether a question asks for a value as it is now."""
    text = query.text
    return not query.ranges and bool(_ASKS_VALUE.search(text)) and not _ASKS_PAST.search(text)


def refreshed(
    query: Query,
    statements: Sequence[Statement],
    vectors: NDArray[np.float32],
    nearness: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> list[int]:
    """The order in which results are shown, as places: a later statement above the earlier one that it updates.

    One updates another when both are of the same person (or memories), give other values beside the same word of the
    question, are alike in meaning, and the later one is about as good an answer: it holds most of the words of the
    question that the earlier one holds, and all names and numbers (else it is about something else: another's port).

    :param statements: best-ranked first.
    :param vectors: (n, dim), zeros where there is none.
    :param nearness: (n,) of their own words to the question's.
    :param scores: (n,).
    """
    order = list(range(len(statements)))
    if len(order) < 2 or not asks_what_is(query):
        return order
    n = min(MAX_PLACES, len(order))
    lengths = np.linalg.norm(vectors[:n], axis=1, keepdims=True)
    units = vectors[:n] / np.where(lengths > 0, lengths, 1.0)
    alike = units @ units.T >= MIN_COSINE
    wanted = frozenset(query.stems)
    for later in range(1, n):
        for earlier in np.flatnonzero(alike[later, :later]).tolist():
            old, new = statements[earlier], statements[later]
            # The texts are read last: that takes longest.
            is_update = (
                new.by == old.by != "assistant"
                and _key(new) > _key(old)
                and nearness[later] >= MIN_NEARNESS * nearness[earlier]
                and scores[later] >= MIN_SCORE * scores[earlier]
                and _is_about_the_same(old, new, wanted)
                and _differ(_values(old.text, wanted), _values(new.text, wanted))
            )
            if is_update:
                order.remove(later)
                order.insert(order.index(earlier), later)
                break
    return order


def _is_about_the_same(old: Statement, new: Statement, wanted: frozenset[str]) -> bool:
    """Whether the later one is about what the earlier one is about, as far as the question says."""
    held = _held(old.text, wanted)
    lost = held - _held(new.text, wanted)
    if any(any(c.isdigit() for c in word) for word in lost) or lost & particulars(old.text).names:
        return False
    return len(lost) <= (0.0 if new.by is None else MAX_LOST) * len(held)


def _held(text: str, wanted: frozenset[str]) -> frozenset[str]:
    return wanted & frozenset(part for _, part in _parts(text[:MAX_CHARS]) if part is not None)


def _key(statement: Statement) -> tuple[int, int]:
    return statement.occurred_at, statement.order


def _differ(earlier: Mapping[str, frozenset[str]], later: Mapping[str, frozenset[str]]) -> bool:
    return any(word in later and later[word] - values for word, values in earlier.items())


def _values(text: str, wanted: frozenset[str]) -> dict[str, frozenset[str]]:
    """The values beside each of the wanted stems.

    >>> _values("We have 150 commits now", frozenset(["commit"]))
    {'commit': frozenset({'150'})}
    """
    found: dict[str, set[str]] = {}
    parts = _parts(text[:MAX_CHARS])
    for i, (word, stemmed) in enumerate(parts):
        if stemmed is not None:
            continue
        for _, other in parts[max(0, i - REACH) : i + REACH + 1]:
            if other in wanted:
                found.setdefault(str(other), set()).add(word)
    return {stemmed: frozenset(values) for stemmed, values in found.items()}


@lru_cache(maxsize=4_096)
def _parts(text: str) -> tuple[tuple[str, str | None], ...]:
    """Each word of a text with its stem; None for a value."""
    words = [match.rstrip(".,:").lower() for match in _WORD.findall(text)]
    return tuple((word, None if _VALUE.fullmatch(word) else stem(word)) for word in words)
