"""Erasure: what was forgotten is in no file of the data directory any more.

Rows go (of an event, only what it said: the row stays in the hash chain with the keyed digest of its text), then the
index entries; `optimize` rewrites FTS5's index so that no shadow content stays; `secure_delete` overwrites freed
pages; the WAL is emptied. What was derived from an erased event goes with it: memories distilled from it, titles of
its session, waiting jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penchant_store.connection import Connection
from penchant_store.items import Changes


@dataclass(slots=True)
class Erased:
    """What an erasure removed: ids, those unknown, and item numbers."""

    forgotten: list[str]
    unknown: list[str]
    changes: Changes


def erase(connection: Connection, ids: Sequence[str], now: str) -> Erased:
    """Removes memories and events with what was derived from them, in one transaction.

    :param ids: of memories, episodes or any other events.
    """
    done = Erased([], [], Changes())
    gone: set[str] = set()
    waiting = list(dict.fromkeys(ids))
    asked = set(waiting)
    while waiting:
        id = waiting.pop(0)
        if id in gone:
            continue
        if _erase_memory(connection, id, done.changes) or _erase_event(connection, id, now, done.changes):
            gone.add(id)
            done.forgotten.append(id)
            derived = connection.execute("SELECT id FROM memories WHERE source_event = ?", (id,)).fetchall()
            waiting.extend(row[0] for row in derived)
            connection.execute("DELETE FROM jobs WHERE instr(payload, ?) > 0", (id,))
        elif id in asked:
            done.unknown.append(id)
    for item in done.changes.erased:
        connection.execute("DELETE FROM items WHERE item = ?", (item,))
        connection.execute("DELETE FROM words WHERE rowid = ?", (item,))
        connection.execute("DELETE FROM trigrams WHERE rowid = ?", (item,))
    if done.changes.erased:
        connection.execute("INSERT INTO words (words) VALUES ('optimize')")
        connection.execute("INSERT INTO trigrams (trigrams) VALUES ('optimize')")
    return done


def _erase_memory(connection: Connection, id: str, changes: Changes) -> bool:
    row = connection.execute("SELECT memory, item FROM memories WHERE id = ?", (id,)).fetchone()
    if row is None:
        return False
    connection.execute("UPDATE memories SET superseded_by = NULL WHERE superseded_by = ?", (id,))
    connection.execute("DELETE FROM memories WHERE memory = ?", (row[0],))
    changes.erased.append(int(row[1]))
    return True


def _erase_event(connection: Connection, id: str, now: str, changes: Changes) -> bool:
    row = connection.execute(
        "SELECT seq, item, session, erased_at FROM events WHERE id = ?", (id,)
    ).fetchone()
    if row is None or row[3] is not None:
        return False
    seq, item, session, _ = row
    connection.execute(
        "UPDATE events SET content = '', item = NULL, meta = NULL, speaker = NULL, tool_name = NULL,"
        " refers_to = NULL, erased_at = ? WHERE seq = ?",
        (now, seq),
    )
    if item is not None:
        changes.erased.append(int(item))
    if session is not None:
        connection.execute(
            "UPDATE sessions SET title = NULL, title_source = NULL WHERE session = ? AND title_source <> 'user'",
            (session,),
        )
        connection.execute(
            "DELETE FROM jobs WHERE instr(payload, (SELECT id FROM sessions WHERE session = ?)) > 0",
            (session,),
        )
    return True


def empty_log(connection: Connection) -> bool:
    """Moves the WAL into the file and empties it.

    :return: False when a reader still held an old state; then it is emptied by the next checkpoint.
    """
    row = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return row is not None and row[0] == 0
