"""Candidates by words: BM25 over FTS5's index (porter unicode61), and by parts of words (trigrams).

FTS5's own `bm25()` costs 1 microsecond a row, so a word that is in 30,000 items would cost 30 ms. Instead the
postings of a word (which items, how often) are read from the index once through `fts5vocab`, kept in RAM and extended
by the rows that came since; the sum is computed by numpy. No word is left out, and the result does not depend on what
is kept.

A query's words never reach FTS5's query parser as syntax: they are cut into tokens by FTS5's own tokenizer, and
looked up as values; where a MATCH is needed the token is quoted.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penchant_store.connection import Connection, DatabaseError, Readers, memory_connection
from penchant_store.index import IndexSnapshot
from penchant_store.records import Candidates, Ints

K1 = 1.2  # FTS5's own constants
B = 0.75
MAX_KEPT_POSTINGS = 4_000_000  # 24 MB
MAX_TERMS = 256  # of one query, most are short; a pasted page is cut here
MAX_TAIL_ROWS = 64  # rows that came since are counted one by one up to here, then all is read again
MAX_TRIGRAM_ROWS = 4_000  # of one fragment, the newest
MIN_FRAGMENT_CHARS = 3


@dataclass(frozen=True, slots=True)
class Posting:
    """In which items a token is (rising), how often, and up to which item this was read."""

    items: npt.NDArray[np.int32]
    counts: npt.NDArray[np.uint16]
    upto: int


def quoted(text: str) -> str:
    """An FTS5 string: whatever is in it is text."""
    return '"' + text.replace('"', '""') + '"'


class Tokenizer:
    """FTS5's own tokenizer, asked through a table in RAM, so that queries are cut exactly as texts were."""

    MAX_KNOWN = 50_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, ...]] = {}
        self._connection = memory_connection()
        self._connection.execute(
            "CREATE VIRTUAL TABLE scratch USING fts5(text, content='', contentless_delete=1,"
            " tokenize='porter unicode61')"
        )
        self._connection.execute("CREATE VIRTUAL TABLE scratch_places USING fts5vocab('scratch', 'instance')")

    def tokens(self, word: str) -> tuple[str, ...]:
        """The tokens of a word, in order; none when it has no letter or digit."""
        with self._lock:
            known = self._known.get(word)
            if known is None:
                known = tuple(self._cut([word])[0])
                if len(self._known) >= self.MAX_KNOWN:
                    self._known.clear()
                self._known[word] = known
            return known

    def cut(self, texts: Sequence[str]) -> list[list[str]]:
        """The tokens of each text, in order."""
        with self._lock:
            return self._cut(texts)

    def _cut(self, texts: Sequence[str]) -> list[list[str]]:
        self._connection.execute("BEGIN")
        try:
            for number, text in enumerate(texts):
                self._connection.execute(
                    "INSERT INTO scratch (rowid, text) VALUES (?, ?)", (number + 1, text)
                )
            rows = self._connection.execute(
                'SELECT doc, term FROM scratch_places ORDER BY doc, "offset"'
            ).fetchall()
        finally:
            self._connection.execute("ROLLBACK")
        found: list[list[str]] = [[] for _ in texts]
        for number, token in rows:
            found[number - 1].append(token)
        return found

    def forget(self) -> None:
        """Drops the words that were asked."""
        with self._lock:
            self._known.clear()

    def close(self) -> None:
        """Closes the table in RAM."""
        with self._lock:
            self._connection.close()


class WordSearch:
    """BM25 candidates.

    :param texts: gives the texts of some items.
    """

    def __init__(self, readers: Readers, texts: Callable[[Ints], list[str]]) -> None:
        self._readers = readers
        self._texts = texts
        self._tokenizer = Tokenizer()
        self._lock = threading.Lock()
        self._postings: OrderedDict[str, Posting] = OrderedDict()
        self._n_kept = 0

    def candidates(
        self, snapshot: IndexSnapshot, terms: Sequence[str], limit: int, allowed: npt.NDArray[np.bool_]
    ) -> Candidates:
        """The best items for any of the terms.

        :param allowed: (n + 1,) which items may be returned.
        """
        tokens = self.tokens(terms)
        if not tokens or snapshot.n == 0 or limit < 1:
            return _none()
        n_items = max(1, int(np.count_nonzero(snapshot.status)))
        length = snapshot.n_words
        mean_length = max(1.0, float(length.sum()) / n_items)
        scores = np.zeros(snapshot.n + 1, dtype=np.float32)
        for posting in self._read(snapshot, tokens):
            found = posting.items
            counts = posting.counts.astype(np.float32)
            if len(found) and found[-1] > snapshot.n:
                end = int(np.searchsorted(found, snapshot.n, side="right"))
                found, counts = found[:end], counts[:end]
            if not len(found):
                continue
            idf = (
                np.log1p((n_items - len(found) + 0.5) / (len(found) + 0.5)) if len(found) < n_items else 1e-6
            )
            norm = np.float32(K1) * (1 - B + B * length[found].astype(np.float32) / np.float32(mean_length))
            scores[found] += np.float32(idf) * (counts * np.float32(K1 + 1) / (counts + norm))
        return best(scores, limit, allowed)

    def tokens(self, terms: Sequence[str]) -> list[str]:
        """The different tokens of some terms, in order."""
        found: dict[str, None] = {}
        for term in terms[:MAX_TERMS]:
            clean = cleaned(term)
            if clean:
                found.update(dict.fromkeys(self._tokenizer.tokens(clean)))
        return list(found)[:MAX_TERMS]

    def forget(self) -> None:
        """Drops all that is kept in RAM (after an erasure)."""
        with self._lock:
            self._postings.clear()
            self._n_kept = 0
        self._tokenizer.forget()

    def close(self) -> None:
        """Closes the tokenizer."""
        self._tokenizer.close()

    def _read(self, snapshot: IndexSnapshot, tokens: Sequence[str]) -> list[Posting]:
        with self._lock:
            kept = [self._postings.get(token) for token in tokens]
        found = [one for one in kept if one is not None and one.upto >= snapshot.n]
        if len(found) == len(tokens):
            return found
        result = []
        with self._readers.lend() as connection:
            for token, one in zip(tokens, kept, strict=True):
                current = one
                if current is None:
                    current = self._read_all(connection, token, snapshot.n)
                elif current.upto < snapshot.n:
                    current = self._extended(connection, token, current, snapshot.n)
                if current is not one:
                    self._keep(token, current)
                result.append(current)
        return result

    @staticmethod
    def _read_all(connection: Connection, token: str, upto: int) -> Posting:
        rows = connection.execute("SELECT doc FROM word_places WHERE term = ?", (token,)).fetchall()
        places = np.array(rows, dtype=np.int64).reshape(-1)
        items, counts = np.unique(places, return_counts=True)
        known = items <= upto
        return Posting(
            items[known].astype(np.int32), np.minimum(counts[known], 65_535).astype(np.uint16), upto
        )

    def _extended(self, connection: Connection, token: str, kept: Posting, upto: int) -> Posting:
        if self._tokenizer.tokens(token) != (token,):
            return self._read_all(connection, token, upto)  # a MATCH would stem the stem to another one
        rows = connection.execute(
            "SELECT rowid FROM words WHERE words MATCH ? AND rowid > ? AND rowid <= ? LIMIT ?",
            (quoted(token), kept.upto, upto, MAX_TAIL_ROWS + 1),
        ).fetchall()
        if len(rows) > MAX_TAIL_ROWS:
            return self._read_all(connection, token, upto)
        if not rows:
            return Posting(kept.items, kept.counts, upto)
        items = np.array(rows, dtype=np.int64).reshape(-1)
        counts = [max(1, tokens.count(token)) for tokens in self._tokenizer.cut(self._texts(items))]
        return Posting(
            np.concatenate([kept.items, items.astype(np.int32)]),
            np.concatenate([kept.counts, np.minimum(counts, 65_535).astype(np.uint16)]),
            upto,
        )

    def _keep(self, token: str, posting: Posting) -> None:
        with self._lock:
            before = self._postings.pop(token, None)
            self._n_kept += len(posting.items) - (0 if before is None else len(before.items))
            self._postings[token] = posting
            while self._n_kept > MAX_KEPT_POSTINGS and len(self._postings) > 1:
                _, oldest = self._postings.popitem(last=False)
                self._n_kept -= len(oldest.items)


def trigram_candidates(
    readers: Readers,
    snapshot: IndexSnapshot,
    fragments: Sequence[str],
    limit: int,
    allowed: npt.NDArray[np.bool_],
) -> Candidates:
    """The items that contain any of the fragments, by the sum of the fragments' rarity over the length of the item.

    Of a fragment that is in very many items the newest MAX_TRIGRAM_ROWS count. Case does not matter.

    :param fragments: parts of words of at least MIN_FRAGMENT_CHARS characters; shorter ones are left out.
    """
    wanted = [text for text in dict.fromkeys(map(cleaned, fragments)) if len(text) >= MIN_FRAGMENT_CHARS][
        :MAX_TERMS
    ]
    if not wanted or snapshot.n == 0 or limit < 1:
        return _none()
    scores = np.zeros(snapshot.n + 1, dtype=np.float32)
    n_items = max(1, int(np.count_nonzero(snapshot.status)))
    mean_chars = max(1.0, float(snapshot.n_chars.sum()) / n_items)
    with readers.lend() as connection:
        for fragment in wanted:
            rows = connection.execute(
                "SELECT rowid FROM trigrams WHERE trigrams MATCH ? ORDER BY rowid DESC LIMIT ?",
                (quoted(fragment), MAX_TRIGRAM_ROWS),
            ).fetchall()
            found = np.array(rows, dtype=np.int64).reshape(-1)
            found = found[found <= snapshot.n]
            if len(found):
                idf = (
                    np.log1p((n_items - len(found) + 0.5) / (len(found) + 0.5))
                    if len(found) < n_items
                    else 1e-6
                )
                norm = K1 * (1 - B + B * snapshot.n_chars[found] / mean_chars)
                scores[found] += (idf * (K1 + 1) / (1 + norm)).astype(np.float32)
    return best(scores, limit, allowed)


def best(scores: npt.NDArray[np.float32], limit: int, allowed: npt.NDArray[np.bool_]) -> Candidates:
    """The allowed items with the highest positive scores; ties go to the newer item."""
    items = np.flatnonzero((scores > 0) & allowed)
    if len(items) > limit:
        threshold = np.partition(scores[items], len(items) - limit)[len(items) - limit]
        items = items[scores[items] >= threshold]
    order = np.lexsort((-items, -scores[items]))[:limit]
    items = items[order].astype(np.int64)
    return Candidates(items, scores[items])


def cleaned(text: str) -> str:
    """A query's word without what SQLite cannot take; empty when nothing is left."""
    if "\0" in text:
        text = text.replace("\0", " ")
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text.strip()


def is_word_index_sound(connection: Connection, table: str) -> bool:
    """FTS5's own check of the index's structure.

    :param table: words or trigrams.
    """
    if table not in ("words", "trigrams"):
        raise ValueError(table)
    try:
        connection.execute(f"INSERT INTO {table} ({table}) VALUES ('integrity-check')")  # noqa: S608 - one of two names
    except DatabaseError:
        return False
    return True


def _none() -> Candidates:
    return Candidates(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
