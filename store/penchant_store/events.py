"""Events.

What was said and done, append-only, each once, in a hash chain. The message events are also items (episodes).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any

from penchant_store import fields, items, times
from penchant_store.chain import FIRST_LINK, Digests
from penchant_store.connection import Connection, Readers, Row
from penchant_store.errors import InvalidRecord, StoreCorrupt
from penchant_store.names import Names, OpenSession
from penchant_store.records import EventReceipt, EventRecord, EventStatus, Json, NewEvent

KINDS = (
    "message",
    "tool_call",
    "tool_result",
    "edit",
    "session_start",
    "session_end",
    "compaction",
    "reference",
)
ROLES = ("user", "assistant", "system", "tool")
ORIGIN_BY_ROLE = {"user": "user", "assistant": "assistant", "tool": "tool", "system": "import"}
CHANNEL_CLASS = {
    "hook": 1,
    "transcript": 2,
}  # the two ways in which one host delivers the same event; all others: 0
NO_KEY = "-"  # the twin has no key of its own, but has arrived

_COLUMNS = (
    "e.id, e.kind, e.role, e.content, s.id, coalesce(p.path, p.name), a.name, k.name, e.origin, e.occurred_at,"
    " e.created_at, e.channel, e.source_key, e.tool_name, e.tool_call_id, e.meta, e.refers_to, e.position, e.erased_at"
)
_FROM = (
    " FROM events e JOIN agents a ON a.agent = e.agent LEFT JOIN sessions s ON s.session = e.session"
    " LEFT JOIN projects p ON p.project = e.project LEFT JOIN speakers k ON k.speaker = e.speaker"
)


@dataclass(frozen=True, slots=True)
class CheckedEvent:
    """An event whose fields were checked and digested, before it waits for the writer."""

    event: NewEvent
    origin: str
    occurred_at: str | None
    digest: bytes
    fingerprint: int
    n_words: int
    meta: str | None
    refers_to: str | None


def check(event: NewEvent, digests: Digests) -> CheckedEvent:
    """Checks an event and computes what needs no database, in the caller's thread.

    :raises InvalidRecord: naming the field.
    """
    fields.one_of(event.kind, KINDS, "kind")
    fields.one_of(event.role, ROLES, "role")
    fields.one_of(event.channel, fields.CHANNELS, "channel")
    fields.text(event.content, "content")
    for field in (
        "session",
        "project",
        "speaker",
        "source_key",
        "parent_session",
        "tool_name",
        "tool_call_id",
    ):
        value = getattr(event, field)
        if value is not None:
            fields.name(value, field)
    fields.name(event.agent, "agent")
    origin = ORIGIN_BY_ROLE[event.role]
    if event.origin is not None:
        origin = fields.one_of(event.origin, fields.ORIGINS, "origin")
    return CheckedEvent(
        event=event,
        origin=origin,
        occurred_at=None if event.occurred_at is None else times.normalised(event.occurred_at, "occurred_at"),
        digest=digests.content(event.content.encode()),
        fingerprint=digests.fingerprint(event.content),
        n_words=len(event.content.split()),
        meta=None if event.meta is None else as_json(event.meta, "meta"),
        refers_to=json.dumps([fields.name(id, "refers_to") for id in event.refers_to])
        if event.refers_to
        else None,
    )


def as_json(value: Mapping[str, Json], field: str) -> str:
    """The JSON of a mapping.

    :raises InvalidRecord: when it has none.
    """
    try:
        return json.dumps(dict(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRecord(field, f"is no JSON object ({error})") from error


class EventLog:
    """Appends events inside the writer."""

    def __init__(self, digests: Digests, names: Names, numbers: items.ItemNumbers) -> None:
        self._digests = digests
        self._names = names
        self._numbers = numbers
        self._link: bytes | None = None
        self._n_events = 0
        self._is_sealed = True

    def clear(self) -> None:
        """Called after a rollback: the end of the chain is read again."""
        self._link = None
        self._is_sealed = True

    def seal(self, connection: Connection) -> None:
        """Writes the seal of the chain, once for all writes of a commit."""
        if self._is_sealed or self._link is None:
            return
        connection.execute(
            "INSERT INTO meta (key, value) VALUES ('chain_seal', ?)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (self._digests.seal(self._link, self._n_events),),
        )
        self._is_sealed = True

    def add(
        self,
        connection: Connection,
        checked: Sequence[CheckedEvent],
        ids: Sequence[str],
        now: str,
        changes: items.Changes,
    ) -> list[EventReceipt]:
        """Appends those events that are new.

        :param ids: a ULID for each event, in rising order.
        :param now: the time of arrival.
        """
        receipts = [
            self._add_one(connection, one, id, now, changes) for one, id in zip(checked, ids, strict=True)
        ]
        self._names.write_sessions(connection)
        return receipts

    def _add_one(
        self, connection: Connection, checked: CheckedEvent, id: str, now: str, changes: items.Changes
    ) -> EventReceipt:
        event = checked.event
        agent = self._names.agent(connection, event.agent, now, changes)
        project = self._names.project(connection, event.project, id, now, changes)
        session: OpenSession | None = None
        if event.session is not None:
            session = self._names.session(
                connection,
                event.session,
                agent=agent,
                project=project,
                parent=event.parent_session,
                source=event.channel,
                changes=changes,
            )
            project = session.project if project is None else project
        status: EventStatus = "reference" if event.kind == "reference" else "logged"
        first = self._duplicate_of(connection, checked, 0 if session is None else session.number)
        if first is not None:
            return EventReceipt(first, "duplicate")

        occurred_at = checked.occurred_at or now
        if self._link is None:
            self._read_end(connection)
        link = self._digests.link(self._link or FIRST_LINK, id, occurred_at, checked.digest)
        seq = self._n_events + 1
        position = 0
        if session is not None:
            position = session.n_events = session.n_events + 1
            session.n_messages += event.kind == "message"
            session.started_at = min(session.started_at or occurred_at, occurred_at)
            session.last_at = max(session.last_at or occurred_at, occurred_at)
            if event.kind == "session_end":
                session.ended_at = occurred_at
            self._names.touch(session)
        speaker = self._names.speaker(connection, event.speaker, changes)
        number: int | None = None
        if is_episode(event):
            number = self._numbers.next(connection)
            if session is not None:
                session.n_items += 1
            items.insert(
                connection,
                items.Item(
                    item=number,
                    row=seq,
                    occurred_at=times.to_unix(occurred_at),
                    valid_from=0,
                    valid_to=0,
                    session=0 if session is None else session.number,
                    position=0 if session is None else session.n_items,
                    speaker=speaker or 0,
                    project=project or 0,
                    agent=agent,
                    n_chars=len(event.content),
                    n_words=checked.n_words,
                    importance=0.5,
                    tag=items.tag_of(id, checked.fingerprint),
                    role=items.ROLE_NUMBER[event.role],
                    kind=items.KIND_NUMBER["episode"],
                    status=items.STATUS_NUMBER["active"],
                    scope=items.SCOPE_NUMBER["global" if project is None else "project"],
                ),
                event.content,
                changes,
            )
        connection.execute(
            "INSERT INTO events (seq, id, item, kind, role, content, session, project, agent, speaker, origin,"
            " occurred_at, created_at, channel, channel_class, source_key, tool_name, tool_call_id, meta, refers_to,"
            " position, fingerprint, digest, link)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                seq,
                id,
                number,
                event.kind,
                event.role,
                event.content,
                None if session is None else session.number,
                project,
                agent,
                speaker,
                checked.origin,
                occurred_at,
                now,
                event.channel,
                CHANNEL_CLASS.get(event.channel, 0),
                event.source_key,
                event.tool_name,
                event.tool_call_id,
                checked.meta,
                checked.refers_to,
                position,
                checked.fingerprint,
                checked.digest,
                link,
            ),
        )
        self._link, self._n_events, self._is_sealed = link, seq, False
        return EventReceipt(id, status)

    def _duplicate_of(self, connection: Connection, checked: CheckedEvent, session: int) -> str | None:
        """The id of the event that this one is, if it was logged before."""
        event = checked.event
        own_class = CHANNEL_CLASS.get(event.channel, 0)
        if event.source_key is not None:
            row = connection.execute(
                "SELECT id FROM events WHERE ifnull(session, 0) = ? AND source_key = ? AND channel_class = ?",
                (session, event.source_key, own_class),
            ).fetchone()
            if row is None and own_class:
                row = connection.execute(
                    "SELECT id FROM events WHERE ifnull(session, 0) = ? AND twin_key = ? AND channel_class = ?",
                    (session, event.source_key, 3 - own_class),
                ).fetchone()
            if row is not None:
                return str(row[0])
        if own_class and session:
            # The host's hook and its transcript both deliver a message; the second delivery marks the first.
            row = connection.execute(
                "SELECT seq, id FROM events WHERE fingerprint = ? AND session = ? AND role = ? AND kind = ?"
                " AND channel_class = ? AND twin_key IS NULL ORDER BY seq LIMIT 1",
                (checked.fingerprint, session, event.role, event.kind, 3 - own_class),
            ).fetchone()
            if row is not None:
                connection.execute(
                    "UPDATE events SET twin_key = ? WHERE seq = ?", (event.source_key or NO_KEY, row[0])
                )
                return str(row[1])
        if event.source_key is None and checked.occurred_at is not None:
            row = connection.execute(
                "SELECT id FROM events WHERE fingerprint = ? AND ifnull(session, 0) = ? AND role = ? AND kind = ?"
                " AND occurred_at = ? AND tool_call_id IS ? ORDER BY seq LIMIT 1",
                (
                    checked.fingerprint,
                    session,
                    event.role,
                    event.kind,
                    checked.occurred_at,
                    event.tool_call_id,
                ),
            ).fetchone()
            if row is not None:
                return str(row[0])
        return None

    def _read_end(self, connection: Connection) -> None:
        row = connection.execute("SELECT seq, link FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        self._n_events, self._link = (0, FIRST_LINK) if row is None else (int(row[0]), bytes(row[1]))


def is_episode(event: NewEvent) -> bool:
    """Whether an event can be recalled by itself: a message of a person or an assistant that says something."""
    return event.kind == "message" and event.role in ("user", "assistant") and bool(event.content.strip())


def event(readers: Readers, id: str) -> EventRecord | None:
    """The event with this id."""
    with readers.lend() as connection:
        row = connection.execute(f"SELECT {_COLUMNS}{_FROM} WHERE e.id = ?", (id,)).fetchone()  # noqa: S608
    return None if row is None else record(row)


def session_events(readers: Readers, session: str, limit: int, after_position: int) -> list[EventRecord]:
    """The events of a session in order of arrival.

    :param after_position: the position of the last event that the caller has.
    """
    with readers.lend() as connection:
        rows = connection.execute(
            f"SELECT {_COLUMNS}{_FROM} WHERE e.session = (SELECT session FROM sessions WHERE id = ?)"  # noqa: S608
            " AND e.position > ? ORDER BY e.position LIMIT ?",
            (session, after_position, limit),
        ).fetchall()
    return [record(row) for row in rows]


def arrived_after(
    readers: Readers, seq: int, limit: int, roles: Sequence[str]
) -> tuple[list[EventRecord], int]:
    """Events of some roles in order of arrival, and the number up to which all were looked at.

    :param seq: the number that the last call gave; 0 begins with the first event.
    """
    marks = ", ".join("?" * len(roles))
    with readers.lend() as connection:
        (end,) = connection.execute("SELECT ifnull(max(seq), 0) FROM events").fetchall()
        rows = connection.execute(
            f"SELECT {_COLUMNS}, e.seq{_FROM} WHERE e.seq > ? AND e.role IN ({marks})"  # noqa: S608 - marks only
            " ORDER BY e.seq LIMIT ?",
            (seq, *roles, limit),
        ).fetchall()
    return [record(row) for row in rows], int(rows[-1][-1]) if len(rows) == limit else max(seq, int(end[0]))


def number_at(readers: Readers, id: str) -> int:
    """The number of the last event whose id is before this one (ids are in order of time); 0 when there is none."""
    with readers.lend() as connection:
        row = connection.execute(
            "SELECT seq FROM events WHERE id < ? ORDER BY id DESC LIMIT 1", (id,)
        ).fetchone()
    return 0 if row is None else int(row[0])


_RECORD_FIELDS = tuple(field.name for field in dataclass_fields(EventRecord))


def record(row: Row) -> EventRecord:
    """The record of a row of `_COLUMNS`."""
    meta: Any = None if row[15] is None else parsed(row[15])
    refers_to: Any = () if row[16] is None else tuple(parsed(row[16]))
    values: dict[str, Any] = dict(zip(_RECORD_FIELDS, row, strict=False))
    values.update(meta=meta, refers_to=refers_to, is_erased=row[18] is not None)
    return EventRecord(**values)


def parsed(text: str) -> Any:
    """JSON that we wrote.

    :raises StoreCorrupt: when it is none any more.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise StoreCorrupt(f"a stored JSON value cannot be read ({error}); run penchant doctor") from error
