"""Sources: how far each transcript file was read. Written in the transaction that stores what was read."""

from __future__ import annotations

from penchant_store import fields
from penchant_store.connection import Connection, Readers, Row
from penchant_store.events import as_json, parsed
from penchant_store.records import SourceCursor

_SELECT = 'SELECT path, size, mtime_ns, inode, "offset", head_digest, state, assistant FROM sources'


def check(cursor: SourceCursor) -> tuple[object, ...]:
    """The row of a cursor.

    :raises InvalidRecord: naming the field.
    """
    return (
        fields.name(cursor.path, "source.path"),
        cursor.size,
        cursor.mtime_ns,
        cursor.inode,
        cursor.offset,
        fields.text(cursor.head_digest, "source.head_digest"),
        as_json(cursor.state, "source.state"),
        fields.text(cursor.assistant, "source.assistant"),
    )


def save(connection: Connection, row: tuple[object, ...], now: str) -> None:
    """Stores how far a file was read."""
    connection.execute(
        'INSERT INTO sources (path, size, mtime_ns, inode, "offset", head_digest, state, assistant, updated_at)'
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET size = excluded.size,"
        ' mtime_ns = excluded.mtime_ns, inode = excluded.inode, "offset" = excluded."offset",'
        " head_digest = excluded.head_digest, state = excluded.state, assistant = excluded.assistant,"
        " updated_at = excluded.updated_at",
        (*row, now),
    )


def source_cursor(readers: Readers, path: str) -> SourceCursor | None:
    """How far a file was read."""
    with readers.lend() as connection:
        row = connection.execute(f"{_SELECT} WHERE path = ?", (path,)).fetchone()
    return None if row is None else _cursor(row)


def source_cursors(readers: Readers) -> list[SourceCursor]:
    """All files that were read, by path."""
    with readers.lend() as connection:
        rows = connection.execute(f"{_SELECT} ORDER BY path").fetchall()
    return [_cursor(row) for row in rows]


def _cursor(row: Row) -> SourceCursor:
    return SourceCursor(row[0], row[1], row[2], row[3], row[4], row[5], parsed(row[6]), row[7])
