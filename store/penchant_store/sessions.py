"""Sessions: conversations with their title and counters."""

from __future__ import annotations

from penchant_store import fields
from penchant_store.connection import Connection, Readers, Row
from penchant_store.errors import UnknownId
from penchant_store.records import SessionRecord

TITLE_SOURCES = ("model", "host", "excerpt", "user")

_SELECT = (
    "SELECT s.id, s.title, s.title_source, coalesce(p.path, p.name), a.name, u.id, s.started_at, s.ended_at, s.last_at,"
    " s.n_events, s.n_messages, s.source, s.session FROM sessions s JOIN agents a ON a.agent = s.agent"
    " LEFT JOIN projects p ON p.project = s.project LEFT JOIN sessions u ON u.session = s.parent"
)


def session(readers: Readers, id: str) -> SessionRecord | None:
    """The session with this id."""
    with readers.lend() as connection:
        row = connection.execute(f"{_SELECT} WHERE s.id = ?", (id,)).fetchone()
    return None if row is None else _record(row)


def sessions(readers: Readers, limit: int, project: int | None) -> list[SessionRecord]:
    """Sessions, the latest first."""
    where = "" if project is None else " WHERE s.project = ?"
    with readers.lend() as connection:
        rows = connection.execute(
            f"{_SELECT}{where} ORDER BY s.last_at DESC, s.session DESC LIMIT ?",
            (limit,) if project is None else (project, limit),
        ).fetchall()
    return [_record(row) for row in rows]


def without_title(readers: Readers, limit: int) -> list[SessionRecord]:
    """Sessions with messages and no title, the latest first."""
    with readers.lend() as connection:
        rows = connection.execute(
            f"{_SELECT} WHERE s.title IS NULL AND s.n_messages > 0 ORDER BY s.last_at DESC, s.session DESC LIMIT ?",
            (limit,),
        ).fetchall()
    return [_record(row) for row in rows]


def set_title(connection: Connection, id: str, title: str, source: str) -> None:
    """Names a session.

    :raises UnknownId: when there is no such session.
    """
    changed = connection.execute(
        "UPDATE sessions SET title = ?, title_source = ? WHERE id = ?",
        (fields.name(title, "title"), fields.one_of(source, TITLE_SOURCES, "source"), id),
    ).rowcount
    if changed == 0:
        raise UnknownId("session", id)


def _record(row: Row) -> SessionRecord:
    return SessionRecord(*row)
