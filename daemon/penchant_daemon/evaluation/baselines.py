"""What anyone could do without Penchant, on the same texts: grep, FTS5, vectors, and their fusion.

Each ranks every text of a pool for a question; none knows of sessions, speakers, times or scope.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlcipher3 import dbapi2

from penchant_ranker import SpeakerNames, parse_query

__all__ = ["RRF_K", "Baseline", "Grep", "PlainSearch", "Ranked", "Vectors", "fused"]

#: Cormack, Clarke and Büttcher (2009), Reciprocal Rank Fusion outperforms Condorcet.
RRF_K = 60

#: Places in a pool's texts with their scores, best first.
Ranked: TypeAlias = list[tuple[int, float]]


class Baseline(Protocol):
    """Ranks the texts that it was made with."""

    def ranked(self, question: str) -> Ranked:
        """What it finds, best first; ties in the order of the texts."""
        ...


class Grep:
    """How many of the question's words stand in a text, whatever their case."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [text.casefold() for text in texts]

    def ranked(self, question: str) -> Ranked:
        """
        >>> Grep(["a dog", "the Dog saw the cat", "a bird"]).ranked("Dog and cat")
        [(1, 2.0), (0, 1.0)]
        """
        words = dict.fromkeys(re.findall(r"\w+", question.casefold()))
        counts = [sum(word in text for word in words) for text in self._texts]
        order = sorted((i for i, count in enumerate(counts) if count), key=lambda i: -counts[i])
        return [(i, float(counts[i])) for i in order]


class PlainSearch:
    """SQLite's FTS5 as anyone would use it: one row a text, the question's words joined by OR, bm25().

    Stop words are left out of the question; texts are stemmed by FTS5's porter tokenizer.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._db = dbapi2.connect(":memory:")
        self._db.execute("CREATE VIRTUAL TABLE texts USING fts5(text, tokenize='porter unicode61')")
        rows = ((i, text) for i, text in enumerate(texts, 1))
        self._db.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", rows)

    def ranked(self, question: str) -> Ranked:
        """What has any of the words, by FTS5's own bm25 (larger is better here)."""
        words = parse_query(question, names=SpeakerNames(()), now=0).words
        if not words:
            return []
        match = " OR ".join(f'"{word}"' for word in words)
        sql = "SELECT rowid, -bm25(texts) FROM texts WHERE texts MATCH ? ORDER BY bm25(texts), rowid"
        return [(row - 1, float(score)) for row, score in self._db.execute(sql, (match,)).fetchall()]

    def close(self) -> None:
        """Forget the texts."""
        self._db.close()


@dataclass(frozen=True, slots=True)
class Vectors:
    """Nearness in meaning to each text.

    :param cosine: (n,) of every text to the question, -2 where a text has no vector.
    """

    cosine: NDArray[np.float32]

    def ranked(self) -> Ranked:
        """All texts, the nearest first."""
        order = np.argsort(-self.cosine, kind="stable")
        return [(int(i), float(self.cosine[i])) for i in order if self.cosine[i] > -2.0]


def fused(rankings: Sequence[Ranked]) -> Ranked:
    """Reciprocal rank fusion, every ranking with the same weight.

    >>> fused([[(0, 9.0), (1, 1.0)], [(1, 0.5)]])[0][0]
    1
    """
    scores: dict[int, float] = {}
    for ranked in rankings:
        for rank, (place, _) in enumerate(ranked, 1):
            scores[place] = scores.get(place, 0.0) + 1.0 / (RRF_K + rank)
    return sorted(scores.items(), key=lambda item: -item[1])
