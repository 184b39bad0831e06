"""What a query says: its terms, whom and which time it names, and what kind of answer it wants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .aliases import Alias, aliases
from .text import STOP_WORDS, stem, stem_hash, words
from .when import TimeRange, time_ranges

#: More than this many characters of a query add nothing to its ranking; the rest is left out.
MAX_QUERY_CHARS = 4_000
#: More terms than this are never scored: the rarest are kept.
MAX_TERMS = 48
#: Speakers that are roles, not people.
ROLE_SPEAKERS = frozenset(("user", "assistant", "system", "tool", "human", "ai", "model", "bot"))

_WHEN = re.compile(
    r"\bwhen\b|\b(?:what|which)\s+(?:day|date|month|year|time|weekday|week)\b|\bhow\s+(?:long|recently|old)\b|"
    r"\bhow\s+many\s+(?:hours|days|weeks|months|years)\b|\bwann\b|\bcu[aá]ndo\b|什么时候|何时|几月|いつ",
    re.IGNORECASE,
)
_WHAT = re.compile(
    r"^\W*(?:(?:and|so|but)\s+)?(?:(?:in|on|at|to|for|from|with|by|of|about)\s+)?(?:what|which|where|who|whom|whose)\b|"
    r"^\W*(?:welche[nrms]?|wo|wer|wen|wem)\b|^\W*(?:en\s+|a\s+|de\s+)?(?:qué|cuál(?:es)?|dónde|quién(?:es)?)\b",
    re.IGNORECASE,
)
_SUMMARY = re.compile(
    r"\b(?:summar\w*|recaps?|overviews?|zusammenfass\w*|überblick|resumen|resumir|resume[ns]?\s+(?:lo|la|el|las|los)\b)",
    re.IGNORECASE,
)
# "Tell me what Ann said": the answer goes to me, it is not about me.
_TO_ME = re.compile(
    r"\b(?:tell|give|show|remind|help|walk|send|teach|let|find|get|list|explain\s+to)\s+(?:me|us)\b",
    re.IGNORECASE,
)
_FIRST_PERSON = re.compile(
    r"\b(?:I|I['’](?:m|ve|d|ll)|[Mm]y|[Mm]ine|[Mm]e|[Mm]yself|[Mm]ein\w{0,2}|[Ii]ch|mis?|yo)\b|我|私|僕"
)
_YOU_SAID = re.compile(
    r"\b(?:did|have|had|were)\s+you\b|"
    r"\byou(?:['’]ve|\s+have|\s+had)?\s+(?:\w+ly\s+)?(?:said|told|suggested|recommended|gave|given|wrote|written|mentioned|"
    r"explained|proposed|advised|showed|shown|listed|described|answered|provided|promised)\b|"
    r"\byour\s+(?:\w+\s+)?(?:answer|suggestion|recommendation|advice|reply|response|explanation)s?\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“”`«]([^\"“”`«»\n]{3,80})[\"“”`»]")
# Paths, dotted and snake_case names, calls, error codes, flags, versions, hashes.
_IDENTIFIER = re.compile(
    r"(?<!\w)(?:"
    r"[~.]{0,2}(?:/[\w.@+-]+){1,}|\w[\w.@+-]*(?:/[\w.@+-]+){1,}|"
    r"[A-Za-z_]\w+(?:(?:\.|::|->)[A-Za-z_]\w+)+(?:\(\))?|"
    r"[A-Za-z]*_\w+|\w+\(\)|--?[A-Za-z][\w-]{2,}|"
    r"[A-Z]{1,10}-?\d{2,}\w*|[a-z]+[A-Z]\w+|v?\d+(?:\.\d+){1,3}|[0-9a-f]{7,40}"
    r")(?!\w)"
)
_UNSPACED_RUN = re.compile(
    "[\u0e00-\u0eff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+"
)


class SpeakerNames:
    """Finds the people of a store in a query, by full or first name.

    :param speakers: the store's names; a name's number is its place here.

    >>> SpeakerNames(["", "Melanie Ray", "user"]).named("When did Melanie's dog come?")
    ((1,), frozenset({'melanie'}))
    """

    def __init__(self, speakers: Sequence[str]) -> None:
        self._by_word: dict[str, list[int]] = {}
        self._words: dict[int, tuple[str, ...]] = {}
        for number, name in enumerate(speakers):
            parts = tuple(words(name))
            if not parts or name.strip().lower() in ROLE_SPEAKERS:
                continue
            self._words[number] = parts
            self._by_word.setdefault(parts[0], []).append(number)

    def named(self, text: str) -> tuple[tuple[int, ...], frozenset[str]]:
        """The numbers of the speakers that a query names, and the (folded) words that name them.

        A name that is also a common word ("Will", "May") counts only when written with a capital.
        """
        if not self._by_word:
            return (), frozenset()
        found: dict[int, int] = {}
        used: set[str] = set()
        present = words(text)
        capitals = {w.lower() for w in re.findall(r"[^\W\d_]\w*", text) if w[0].isupper()}
        for i, word in enumerate(present):
            numbers = self._by_word.get(word, ())
            if not numbers or (word in STOP_WORDS and word not in capitals):
                continue
            lengths = {n: self._matched(n, present, i) for n in numbers}
            best = max(lengths.values())  # "Ann Lee" rather than every other Ann
            found.update({n: k for n, k in lengths.items() if k == best})
            used.update(present[i : i + best])
        return tuple(sorted(found)), frozenset(used)

    def _matched(self, number: int, present: Sequence[str], start: int) -> int:
        n = 0
        for part, word in zip(self._words[number], present[start:], strict=False):
            if part != word:
                break
            n += 1
        return n


@dataclass(frozen=True, slots=True)
class Query:
    """A query, understood.

    :param text: what is embedded (cleaned and cut to MAX_QUERY_CHARS).
    :param words: the folded words to look up in full text, names left out unless nothing else is left.
    :param name_words: the folded words that name a speaker.
    :param stems: its distinct stems, stop words left out, names last.
    :param hashes: (n,) uint32, their stem hashes.
    :param is_name: (n,) bool, whether the stem names a speaker.
    :param aliases: other ways to say its stems ("k8s" for "Kubernetes").
    :param speakers: numbers of the speakers that it names.
    :param is_first_person: it asks about the asker ("my, I").
    :param is_about_you: it asks what the assistant said.
    :param asks_when: it asks for a time.
    :param asks_thing: it asks for a thing, a place or a person.
    :param asks_summary: it asks for an account of what was said, by the person and the assistant.
    :param ranges: the times that it names.
    :param fragments: identifiers, paths, codes and quotes, to be found literally.
    :param unspaced: pieces of scripts that are written without spaces.
    :param is_cut: more was asked than is ranked by.
    """

    text: str
    words: tuple[str, ...]
    name_words: tuple[str, ...]
    stems: tuple[str, ...]
    hashes: NDArray[np.uint32]
    is_name: NDArray[np.bool_]
    aliases: tuple[Alias, ...]
    speakers: tuple[int, ...]
    is_first_person: bool
    is_about_you: bool
    asks_when: bool
    asks_thing: bool
    asks_summary: bool
    ranges: tuple[TimeRange, ...]
    fragments: tuple[str, ...]
    unspaced: tuple[str, ...]
    is_cut: bool


def clean(text: str) -> str:
    """A query without NUL and other control characters, lone surrogates and doubled space.

    >>> clean("what\\x00 is   \\ud800 it?")
    'what is it?'
    """
    text = text.encode("utf-8", "ignore").decode("utf-8")
    return " ".join("".join(c if c.isprintable() or c.isspace() else " " for c in text).split())


def union_frequency(
    query: Query, frequency: NDArray[np.int64], of_aliases: NDArray[np.int64]
) -> NDArray[np.int64]:
    """In how many documents each term stands, in its own form or as an alias, at least: (n_terms,).

    :param frequency: (n_terms,) of the query's hashes.
    :param of_aliases: of the hashes of its aliases, one after another.
    """
    out = frequency.copy()
    start = 0
    for alias in query.aliases:
        n = int(of_aliases[start : start + len(alias.hashes)].min(initial=0x7FFFFFFF)) if alias.hashes else 0
        start += len(alias.hashes)
        out[list(alias.terms)] = np.maximum(out[list(alias.terms)], n)
    return out


def parse_query(text: str, *, names: SpeakerNames, now: int) -> Query:
    """Understand a query.

    :param names: the people who may be named.
    :param now: the asking time in seconds since 1970, UTC.

    >>> q = parse_query("When did Melanie paint?", names=SpeakerNames(["Melanie"]), now=0)
    >>> q.stems, q.is_name.tolist(), q.speakers, q.asks_when
    (('paint', 'melani'), [False, True], (0,), True)
    """
    cleaned = clean(text[: MAX_QUERY_CHARS * 4])
    cut = cleaned[:MAX_QUERY_CHARS]
    speakers, name_words = names.named(cut)
    content = [w for w in dict.fromkeys(words(cut)) if w not in STOP_WORDS or w in name_words]
    plain = [w for w in content if w not in name_words]
    plain_stems = list(dict.fromkeys(stem(w) for w in plain))
    name_stems = [s for s in dict.fromkeys(stem(w) for w in name_words if len(w) > 1) if s not in plain_stems]
    kept = plain_stems[: MAX_TERMS - len(name_stems)] + sorted(name_stems)
    ranges = time_ranges(cut, now)
    asks_when = bool(_WHEN.search(cut)) and not ranges
    return Query(
        text=cut,
        words=tuple(plain or sorted(name_words) or dict.fromkeys(words(cut)))[:MAX_TERMS],
        name_words=tuple(sorted(name_words)),
        stems=tuple(kept),
        hashes=np.array([stem_hash(s) for s in kept], dtype=np.uint32),
        is_name=np.array([s in name_stems for s in kept], dtype=np.bool_),
        aliases=aliases(kept),
        speakers=speakers,
        is_first_person=bool(_FIRST_PERSON.search(_TO_ME.sub(" ", cut))),
        is_about_you=bool(_YOU_SAID.search(cut)),
        asks_when=asks_when,
        asks_thing=bool(_WHAT.search(cut)) and not asks_when,
        asks_summary=bool(_SUMMARY.search(cut)),
        ranges=ranges,
        fragments=_fragments(cut),
        unspaced=tuple(dict.fromkeys(_UNSPACED_RUN.findall(cut)))[:8],
        is_cut=len(cleaned) > len(cut) or len(text) > MAX_QUERY_CHARS * 4,
    )


def _fragments(text: str) -> tuple[str, ...]:
    """What should be found to the letter: quotes, identifiers, paths, error codes; at most 8."""
    found = [q.strip() for q in _QUOTED.findall(text)]
    found += [m.strip("().") for m in _IDENTIFIER.findall(text)]
    return tuple(f for f in dict.fromkeys(found) if len(f) >= 3)[:8]
