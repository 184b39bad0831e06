"""Proves that what is stored can be read, found and trusted."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from penchant_store import items
from penchant_store.chain import FIRST_LINK, Digests
from penchant_store.computed import VectorColumns
from penchant_store.connection import Connection, DatabaseError, Readers, Writer
from penchant_store.errors import StoreError
from penchant_store.index import RecallIndex
from penchant_store.records import Finding
from penchant_store.verify_items import verify_items
from penchant_store.words import MIN_FRAGMENT_CHARS, WordSearch, is_word_index_sound, quoted

_FIX = "penchant doctor --fix"
_RESTORE = "penchant down, then put back the files of the data directory from a backup"
PROBE_TERMS = 8
MAX_PROBE_CHARS = 2_000
MAX_PART_CHARS = 12  # more trigrams in a probe find no more, and cost more
MAX_PARTS = 5_000  # texts that are looked up by a part, spread evenly: a damaged page holds many
BATCH = 500  # texts that are indexed in one write, so that others are not kept waiting

# What SQLite says of the indexes of text: they are derived, have checks of their own, and can be made anew.
_OF_AN_INDEX = re.compile(r"fts5.*\b(words|trigrams)\b", re.IGNORECASE)
_WORD = re.compile(r"\w{3,}")
_TEXTS = (  # of a memory, of an event
    "SELECT content FROM memories WHERE memory = ? AND item = ?",
    "SELECT content FROM events WHERE seq = ? AND item = ? AND erased_at IS NULL",
)

Table: TypeAlias = Literal["words", "trigrams"]


@dataclass(frozen=True, slots=True)
class Verification:
    """What is verified."""

    home: Path
    digests: Digests
    readers: Readers
    behaviour_readers: Readers
    writer: Writer
    behaviour: Writer
    index: RecallIndex
    words: WordSearch
    vectors: Sequence[VectorColumns]


def verify(checked: Verification, sample: int | None, fix: bool) -> list[Finding]:
    """What is wrong, in the order of its weight; see `Store.verify`.

    Truth that was changed is only reported. What is derived (words, vectors) is rebuilt from it with `fix`.
    """
    findings = [*_files(checked), *_chain(checked), *verify_items(checked, fix), *_words(checked, fix)]
    if fix or not any(finding.code == "words_damaged" for finding in findings):
        findings += _reachable(checked, sample, fix)
    findings += _trigrams(checked, sample, fix)
    findings += _vectors(checked, fix)
    return findings


def _files(checked: Verification) -> list[Finding]:
    """SQLite's own check of both files, and of the references between rows."""
    found = []
    for name, readers in (("memory.db", checked.readers), ("behaviour.db", checked.behaviour_readers)):
        with readers.lend() as connection:
            said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)").fetchall()]
            said = [line for line in said if not _OF_AN_INDEX.search(line)] or ["ok"]
            broken = len(connection.execute("PRAGMA foreign_key_check").fetchall())
        path = checked.home / name
        if said != ["ok"]:
            found.append(
                Finding("integrity", "error", f"{path} is damaged: {'; '.join(said)[:300]}", _RESTORE)
            )
        if broken:
            found.append(Finding("integrity", "error", f"{path}: {broken} rows refer to nothing", _RESTORE))
    return found


def _chain(checked: Verification) -> list[Finding]:
    """Every event's link made anew from its own text, and the seal at the end."""
    link, last = FIRST_LINK, 0
    with checked.readers.one_state() as connection:
        rows = connection.execute(
            "SELECT seq, id, occurred_at, content, digest, link, erased_at FROM events ORDER BY seq"
        )
        for seq, id, occurred_at, content, digest, stored, erased_at in rows:
            is_own = erased_at is not None or checked.digests.content(content.encode()) == digest
            link = checked.digests.link(link, id, occurred_at, digest)
            if seq != last + 1 or not is_own or link != stored:
                what = f"the hash chain breaks at event {seq} of {occurred_at}"
                return [Finding("chain_broken", "error", what, _RESTORE)]
            last = seq
        sealed = connection.execute("SELECT value FROM meta WHERE key = 'chain_seal'").fetchone()
    if last and (sealed is None or sealed[0] != checked.digests.seal(link, last)):
        what = f"the history ends at event {last}, and its seal says otherwise"
        return [Finding("chain_broken", "error", what, _RESTORE)]
    return []


def _texts(connection: Connection) -> dict[int, str]:
    """The text of every item, from the rows that are true."""
    rows = connection.execute(
        "SELECT item, content FROM events WHERE item IS NOT NULL AND erased_at IS NULL"
        " UNION ALL SELECT item, content FROM memories"
    )
    return {int(item): str(content) for item, content in rows}


def _words(checked: Verification, fix: bool) -> list[Finding]:
    """Rows and the index of words name the same items, and the index is sound in itself."""
    texts, known = _indexed(checked, "words")
    missing, stray = sorted(set(texts) - known), sorted(known - set(texts))
    found = []
    is_sound = checked.writer.submit(lambda connection: is_word_index_sound(connection, "words")).result()
    if missing:
        found.append(
            Finding("words_missing", "error", f"{len(missing)} memories have no words indexed", _FIX)
        )
    if stray:
        what = f"{len(stray)} indexed texts belong to nothing that is stored"
        found.append(Finding("words_stray", "warning", what, _FIX))
    if not is_sound:
        found.append(Finding("words_damaged", "error", "the index of words is damaged", _FIX))
    if fix and not is_sound:
        _index_all_again(checked, "words")
    elif fix and (missing or stray):
        _index_again(checked, "words", [*missing, *stray])
    return found


def _indexed(checked: Verification, table: Table) -> tuple[dict[int, str], set[int]]:
    """The text of every item, and the items that an index of text holds."""
    with checked.readers.one_state() as connection:
        held = connection.execute(f"SELECT id FROM {table}_docsize").fetchall()  # noqa: S608 - one of two names
        return _texts(connection), {int(row[0]) for row in held}


def _index_again(checked: Verification, table: Table, numbers: Sequence[int]) -> None:
    """Makes what an index holds of some items anew: nothing where there is no text any more."""

    for start in range(0, len(numbers), BATCH):
        checked.writer.submit(partial(_text_again, table, numbers[start : start + BATCH])).result()
    checked.words.forget()


def _text_again(table: Table, numbers: Sequence[int], connection: Connection) -> None:
    for number in numbers:
        connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (number,))  # noqa: S608 - one of two names
        item = items.load(connection, number)
        if item is None:  # forgotten meanwhile
            continue
        row = connection.execute(_TEXTS[item.row > 0], (abs(item.row), number)).fetchone()
        if row is not None:
            connection.execute(f"INSERT INTO {table} (rowid, text) VALUES (?, ?)", (number, row[0]))  # noqa: S608


def _find_again(
    checked: Verification, table: Table, lost: Sequence[int], still_lost: Callable[[], list[int]]
) -> None:
    """Indexes anew what an index holds and does not find; the whole of it where that does not help.

    FTS5 calls an index sound whose words are gone, and then refuses to delete what should be in it.
    """
    try:
        _index_again(checked, table, lost)
    except StoreError:
        _index_all_again(checked, table)
        return
    if still_lost():
        _index_all_again(checked, table)


def _index_all_again(checked: Verification, table: Table) -> None:
    """Makes a damaged index anew, as a new table: what is in the old one may not even be deleted any more."""

    def work(connection: Connection) -> list[int]:
        (made,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchall()
        connection.execute(f"DROP TABLE {table}")
        connection.execute(str(made[0]))
        return sorted(_texts(connection))

    numbers = checked.writer.submit(work).result()
    _index_again(checked, table, numbers)


def _reachable(checked: Verification, sample: int | None, fix: bool) -> list[Finding]:
    """Each item (or a sample, spread evenly) is found by a query made of its own words."""
    with checked.readers.lend() as connection:
        texts = _texts(connection)
    numbers = _spread(sorted(texts), sample)

    def unfound(asked: Sequence[int]) -> list[int]:
        return [item for item in asked if not _is_found(checked, item, texts[item])]

    lost = _still_there(checked, unfound(numbers))
    if not lost:
        return []
    if fix:
        _find_again(checked, "words", lost, lambda: unfound(lost))
    what = f"{len(lost)} of {len(numbers)} memories are not found by their own words (first: item {lost[0]})"
    return [Finding("unreachable", "error", what, _FIX)]


def _still_there(checked: Verification, numbers: Sequence[int]) -> list[int]:
    """Those of some items that were not forgotten while they were looked for."""
    if not numbers:
        return []
    checked.writer.submit(lambda _: None).result()  # what was under way is through
    with checked.readers.lend() as connection:
        there = _texts(connection).keys()
    return [number for number in numbers if number in there]


def _is_found(checked: Verification, item: int, text: str) -> bool:
    """By its longest words, which are mostly its rarest; by all its words where many texts share those."""
    terms = sorted(set(text[:MAX_PROBE_CHARS].split()), key=lambda word: (-len(word), word))
    if not checked.words.tokens(terms[:PROBE_TERMS]) and not checked.words.tokens(terms):
        return True  # nothing in it is a word
    seen = checked.index.snapshot()
    everything = seen.status > 0  # private ones too, which no agent's question would return to another
    for asked, limit in ((terms[:PROBE_TERMS], 100), (terms, 10_000)):
        if bool((checked.words.candidates(seen, asked, limit, everything).items == item).any()):
            return True
    return False


def _trigrams(checked: Verification, sample: int | None, fix: bool) -> list[Finding]:
    """Rows and the index of parts of words name the same items, and each item is found by a part of its text."""
    if not checked.writer.submit(lambda connection: is_word_index_sound(connection, "trigrams")).result():
        if fix:
            _index_all_again(checked, "trigrams")
        return [Finding("trigrams_damaged", "error", "the index of parts of words is damaged", _FIX)]
    texts, known = _indexed(checked, "trigrams")
    missing, stray = sorted(set(texts) - known), sorted(known - set(texts))
    both = _spread(sorted(set(texts) & known), min(sample or MAX_PARTS, MAX_PARTS))

    def without_part(asked: Sequence[int]) -> list[int]:
        with checked.readers.lend() as connection:
            return [item for item in asked if not _has_part(connection, item, texts[item])]

    lost = _still_there(checked, without_part(both))
    found = []
    if lost:
        what = f"{len(lost)} of {len(both)} memories are not found by parts of their words (first: item {lost[0]})"
        found.append(Finding("trigrams_wrong", "error", what, _FIX))
    if stray:
        what = f"parts of {len(stray)} texts are indexed that belong to nothing that is stored"
        found.append(Finding("trigrams_stray", "warning", what, _FIX))
    if missing:
        # Normal for a moment: the indexer follows what was stored.
        what = f"{len(missing)} memories are not found by parts of their words yet"
        found.append(Finding("trigrams_missing", "note", what, _FIX))
    if fix:
        if lost:
            _find_again(checked, "trigrams", lost, lambda: without_part(lost))
        _index_again(checked, "trigrams", [*stray, *missing])
    return found


def _has_part(connection: Connection, item: int, text: str) -> bool:
    """By its longest word, or as much of it as says enough."""
    part = max(_WORD.findall(text[:MAX_PROBE_CHARS]), key=len, default="")[:MAX_PART_CHARS]
    if len(part) < MIN_FRAGMENT_CHARS:
        return True
    query = "SELECT 1 FROM trigrams WHERE trigrams MATCH ? AND rowid = ?"
    try:
        return connection.execute(query, (quoted(part), item)).fetchone() is not None
    except DatabaseError:
        return False


def _spread(numbers: list[int], sample: int | None) -> list[int]:
    """Some of the numbers, evenly; all of them for None."""
    return numbers if sample is None or sample >= len(numbers) else numbers[:: -(-len(numbers) // sample)]


def _vectors(checked: Verification, fix: bool) -> list[Finding]:
    """Vectors that are there belong to an item, have length 1, and say the same in the form that is searched."""
    snapshot = checked.index.snapshot()
    every = np.flatnonzero(snapshot.status)
    found = []
    for columns in checked.vectors:
        is_done = columns.is_done(every, snapshot.tag[every])
        done = every[is_done]
        parts = [done[start : start + 4_096] for start in range(0, len(done), 4_096)]
        broken = [part[~columns.is_whole(part, snapshot.tag[part])] for part in parts]
        damaged = np.concatenate(broken) if broken else done
        if len(damaged):
            what = f"{len(damaged)} vectors of {columns.model} are damaged"
            found.append(Finding("vectors_damaged", "error", what, _FIX))
            if fix:
                columns.erase(damaged)  # the indexer makes them anew
        n_missing = int(np.count_nonzero(~is_done))
        if n_missing and columns is checked.index.vectors:
            # Normal for a moment: the indexer follows what was stored.
            what = f"{n_missing} memories are found by their words, and not by their meaning yet"
            found.append(Finding("vectors_missing", "note", what, "penchant up"))
    return found
