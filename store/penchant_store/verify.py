"""Proves that what is stored can be read, found and trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penchant_store.chain import FIRST_LINK, Digests
from penchant_store.computed import VectorColumns
from penchant_store.connection import Connection, Readers, Writer
from penchant_store.index import RecallIndex
from penchant_store.items import STATUS_NUMBER
from penchant_store.records import Candidates, Finding, ItemFilter
from penchant_store.words import WordSearch, is_word_index_sound

_FIX = "penchant doctor --fix"
_RESTORE = "penchant down, then put back the files of the data directory from a backup"
PROBE_TERMS = 8
MAX_PROBE_CHARS = 2_000

EVERYTHING = ItemFilter(statuses=tuple(STATUS_NUMBER))


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
    candidates: Callable[[Sequence[str], int], Candidates]


def verify(checked: Verification, sample: int | None, fix: bool) -> list[Finding]:
    """What is wrong, in the order of its weight; see `Store.verify`.

    Truth that was changed is only reported. What is derived (words, vectors) is rebuilt from it with `fix`.
    """
    findings = [*_files(checked), *_chain(checked), *_words(checked, fix)]
    findings += _reachable(checked, sample, fix)
    findings += _vectors(checked, fix)
    return findings


def _files(checked: Verification) -> list[Finding]:
    """SQLite's own check of both files, and of the references between rows."""
    found = []
    for name, readers in (("memory.db", checked.readers), ("behaviour.db", checked.behaviour_readers)):
        with readers.lend() as connection:
            said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)").fetchall()]
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
    with checked.readers.lend() as connection:
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
    """Rows, items and the word index name the same items, and the indexes are sound in themselves."""
    with checked.readers.lend() as connection:
        texts = _texts(connection)
        items = {int(row[0]) for row in connection.execute("SELECT item FROM items")}
        known = {int(row[0]) for row in connection.execute("SELECT id FROM words_docsize")}
    found = []
    if absent := sorted(set(texts) - items):
        what = (
            f"{len(absent)} memories are missing from the list of what can be recalled (first: {absent[0]})"
        )
        found.append(Finding("items_missing", "error", what, _RESTORE))
    missing, stray = sorted((set(texts) & items) - known), sorted(known - set(texts))
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
        _index_again(checked, texts, everything=True)
    elif fix and (missing or stray):
        _index_again(checked, {item: texts[item] for item in missing}, stray)
    return found


def _index_again(
    checked: Verification, texts: Mapping[int, str], stray: Sequence[int] = (), everything: bool = False
) -> None:
    def work(connection: Connection) -> None:
        if everything:
            connection.execute("INSERT INTO words (words) VALUES ('delete-all')")
        connection.executemany("DELETE FROM words WHERE rowid = ?", [(item,) for item in (*stray, *texts)])
        connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", texts.items())

    checked.writer.submit(work).result()
    checked.words.forget()


def _reachable(checked: Verification, sample: int | None, fix: bool) -> list[Finding]:
    """Each item (or a sample, spread evenly) is found by a query made of its own words."""
    with checked.readers.lend() as connection:
        texts = _texts(connection)
    numbers = sorted(texts)
    if sample is not None and sample < len(numbers):
        numbers = numbers[:: -(-len(numbers) // sample)]
    lost = [item for item in numbers if not _is_found(checked, item, texts[item])]
    if not lost:
        return []
    if fix:
        _index_again(checked, {item: texts[item] for item in lost})
    what = f"{len(lost)} of {len(numbers)} memories are not found by their own words (first: item {lost[0]})"
    return [Finding("unreachable", "error", what, _FIX)]


def _is_found(checked: Verification, item: int, text: str) -> bool:
    """By its longest words, which are mostly its rarest; by all its words where many texts share those."""
    terms = sorted(set(text[:MAX_PROBE_CHARS].split()), key=lambda word: (-len(word), word))
    if not checked.words.tokens(terms[:PROBE_TERMS]) and not checked.words.tokens(terms):
        return True  # nothing in it is a word
    for asked, limit in ((terms[:PROBE_TERMS], 100), (terms, 10_000)):
        if bool((checked.candidates(asked, limit).items == item).any()):
            return True
    return False


def _vectors(checked: Verification, fix: bool) -> list[Finding]:
    """Vectors that are there belong to an item and have length 1."""
    snapshot = checked.index.snapshot()
    every = np.flatnonzero(snapshot.status)
    found = []
    for columns in checked.vectors:
        done = every[columns.is_done(every, snapshot.tag[every])]
        damaged = [
            part[np.abs(np.linalg.norm(columns.pooled(part, snapshot.tag[part]), axis=1) - 1.0) > 0.01]
            for part in (done[start : start + 4_096] for start in range(0, len(done), 4_096))
        ]
        broken = np.concatenate(damaged) if damaged else done[:0]
        if len(broken):
            what = f"{len(broken)} vectors of {columns.model} are damaged"
            found.append(Finding("vectors_damaged", "error", what, _FIX))
            if fix:
                columns.erase(broken)  # the indexer makes them anew
    return found
