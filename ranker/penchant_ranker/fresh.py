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
#: Of a later one that says itself that something changed, less is asked: people name only what is new then ("the
#: meeting was moved to 4:30"). BEAM dev, pairs in order: 0.59 without, 0.79 with; 5 of the 6 left are of one question
#: whose turns do not answer it.
MIN_NEARNESS_CHANGED = 0.45
MIN_SCORE_CHANGED = 0.65
MAX_LOST_CHANGED = 0.5
MIN_COSINE_CHANGED = 0.3
REACH_CHANGED = 20
#: But a statement of fewer words names what it is about ("lyra is on port 9090 now").
MIN_WORDS_CHANGED = 15
#: Names so many characters around belong to the change.
NEAR_CHARS = 60

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
# Verbs of change; and other ways to say that something is not what it was.
_CHANGED = (
    r"reschedul\w+|postpon\w+|extended|shortened|increased|decreased|raised|lowered|reduced|grew|grown|risen|dropped|"
    r"updated|changed|switched|upgraded|downgraded|bumped|migrated|renamed|replaced|adjusted|revised|expanded|doubled|"
    r"halved|moved (?:to|from|up|back|forward)|pushed (?:to|back|out)|delayed (?:to|by|until)|brought forward"
)
_HAS_CHANGED = re.compile(rf"\b(?:(?:is|are|was|were|been|be|got) (?:\w+ )?(?:{_CHANGED}))\b", re.IGNORECASE)
_SAYS_CHANGED = re.compile(
    rf"\b(?:{_CHANGED}|(?:has|have|had) (?:\w+ )?(?:reached|become)|now (?:reached|at|is|are|uses?|has|have)|"
    r"(?:is|are|has|have) now|no longer|instead of|up from|down from|new)\b",
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
    question that the earlier one holds, and all names and numbers (else it is about something else: another's port). Of
    one that says itself that something changed less is asked.

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
    alike = units @ units.T
    wanted = frozenset(query.stems)
    for later in range(1, n):
        new = statements[later]
        candidates = [
            earlier
            for earlier in np.flatnonzero(alike[later, :later] >= MIN_COSINE_CHANGED).tolist()
            if new.by == statements[earlier].by != "assistant"
            and _key(new) > _key(statements[earlier])
            and nearness[later] >= MIN_NEARNESS_CHANGED * nearness[earlier]
            and scores[later] >= MIN_SCORE_CHANGED * scores[earlier]
        ]
        if not candidates:
            continue
        # The texts are read last, and the later one's once: that takes longest.
        says_changed = bool(_SAYS_CHANGED.search(new.text[:MAX_CHARS]))
        for earlier in candidates:
            is_as_good = (
                alike[later, earlier] >= MIN_COSINE
                and nearness[later] >= MIN_NEARNESS * nearness[earlier]
                and scores[later] >= MIN_SCORE * scores[earlier]
            )
            if (is_as_good or says_changed) and _updates(
                statements[earlier], new, wanted, says_changed=says_changed, is_as_good=is_as_good
            ):
                order.remove(later)
                order.insert(order.index(earlier), later)
                break
    return order


def _updates(
    old: Statement, new: Statement, wanted: frozenset[str], *, says_changed: bool, is_as_good: bool
) -> bool:
    """Whether the later one is about what the earlier one is about, as far as the question says, and tells a change.

    :param says_changed: it says itself that something changed; `is_as_good`: it is about as good an answer.
    """
    text = new.text[:MAX_CHARS]
    held = _held(old.text, wanted)
    lost = held - _held(text, wanted)
    is_long = says_changed and len(_parts(text)) >= MIN_WORDS_CHANGED
    if any(any(c.isdigit() for c in word) for word in lost):
        return False
    if lost & particulars(old.text).names and not (is_long and _changes_nothing_else(text, old.text)):
        return False
    share = 0.0 if new.by is None else MAX_LOST_CHANGED if is_long else MAX_LOST
    if len(lost) > share * len(held):
        return False
    reach = REACH_CHANGED if says_changed else REACH
    if _differ(_values(old.text, wanted, reach), _values(text, wanted, reach)):
        return True
    return is_as_good and not lost and bool(_HAS_CHANGED.search(text))


def _changes_nothing_else(text: str, old: str) -> bool:
    """Whether a text says that something changed without naming what the earlier one does not speak of.

    >>> _changes_nothing_else("and so the port of Lyra has changed to 9090", "Orion listens on port 8080")
    False
    >>> _changes_nothing_else("and so the port has changed to 9090", "Orion listens on port 8080")
    True
    """
    known = particulars(old).content
    return any(
        particulars(text[max(0, at.start() - NEAR_CHARS) : at.end() + NEAR_CHARS]).inner <= known
        for at in _SAYS_CHANGED.finditer(text)
    )


def _held(text: str, wanted: frozenset[str]) -> frozenset[str]:
    return wanted & frozenset(part for _, part in _parts(text[:MAX_CHARS]) if part is not None)


def _key(statement: Statement) -> tuple[int, int]:
    return statement.occurred_at, statement.order


def _differ(earlier: Mapping[str, frozenset[str]], later: Mapping[str, frozenset[str]]) -> bool:
    return any(word in later and later[word] - values for word, values in earlier.items())


def _values(text: str, wanted: frozenset[str], reach: int) -> dict[str, frozenset[str]]:
    """The values beside each of the wanted stems.

    >>> _values("We have 150 commits now", frozenset(["commit"]), 8)
    {'commit': frozenset({'150'})}
    """
    found: dict[str, set[str]] = {}
    parts = _parts(text[:MAX_CHARS])
    for i, (word, stemmed) in enumerate(parts):
        if stemmed is not None:
            continue
        for _, other in parts[max(0, i - reach) : i + reach + 1]:
            if other in wanted:
                found.setdefault(str(other), set()).add(word)
    return {stemmed: frozenset(values) for stemmed, values in found.items()}


@lru_cache(maxsize=4_096)
def _parts(text: str) -> tuple[tuple[str, str | None], ...]:
    """Each word of a text with its stem; None for a value."""
    words = [match.rstrip(".,:").lower() for match in _WORD.findall(text)]
    return tuple((word, None if _VALUE.fullmatch(word) else stem(word)) for word in words)
