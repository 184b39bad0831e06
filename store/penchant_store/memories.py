"""Memories: durable statements with provenance, scope and validity; and the one view of memories and episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penchant_store import fields, items, times
from penchant_store.chain import Digests, collapsed, hexadecimal
from penchant_store.connection import Connection, Readers, Row
from penchant_store.errors import InvalidRecord, UnknownId
from penchant_store.names import Names, OpenSession
from penchant_store.records import MemoryReceipt, MemoryRecord, NewMemory

KINDS = ("fact", "decision", "procedure", "episode", "note")
SCOPES = ("private", "project", "global")

_MEMORY = (
    "SELECT m.id, m.item, m.kind, m.content, m.scope, coalesce(p.path, p.name), a.name, s.id, s.title, k.name, NULL,"
    " m.origin, m.source_event, m.created_at, m.occurred_at, m.valid_from, m.valid_to, m.superseded_by, m.importance,"
    " m.trust, m.status, m.fingerprint, m.channel, 0"
    " FROM memories m JOIN agents a ON a.agent = m.agent LEFT JOIN sessions s ON s.session = m.session"
    " LEFT JOIN projects p ON p.project = m.project LEFT JOIN speakers k ON k.speaker = m.speaker"
)
_EPISODE = (
    "SELECT m.id, m.item, 'episode', m.content, CASE WHEN m.project IS NULL THEN 'global' ELSE 'project' END,"
    " coalesce(p.path, p.name), a.name, s.id, s.title, k.name, m.role,"
    " m.origin, NULL, m.created_at, m.occurred_at, NULL, NULL, NULL, 0.5, NULL, 'active', m.fingerprint, m.channel, 1"
    " FROM events m JOIN agents a ON a.agent = m.agent LEFT JOIN sessions s ON s.session = m.session"
    " LEFT JOIN projects p ON p.project = m.project LEFT JOIN speakers k ON k.speaker = m.speaker"
)


@dataclass(frozen=True, slots=True)
class CheckedMemory:
    """A memory whose fields were checked, before it waits for the writer."""

    memory: NewMemory
    origin: str
    occurred_at: str | None
    valid_from: str | None
    valid_to: str | None
    fingerprint: int
    n_words: int


def check(memory: NewMemory, digests: Digests) -> CheckedMemory:
    """Checks a memory and computes what needs no database, in the caller's thread.

    :raises InvalidRecord: naming the field.
    """
    fields.one_of(memory.kind, KINDS, "kind")
    fields.one_of(memory.scope, SCOPES, "scope")
    fields.one_of(memory.channel, fields.CHANNELS, "channel")
    fields.text(memory.content, "content")
    if not memory.content.strip():
        raise InvalidRecord("content", "is blank; a memory must say something")
    for field in ("project", "session", "speaker", "source_event", "supersedes"):
        value = getattr(memory, field)
        if value is not None:
            fields.name(value, field)
    fields.name(memory.agent, "agent")
    fields.fraction(memory.importance, "importance")
    origin = "user" if memory.channel in ("cli", "api") else "assistant"
    if memory.origin is not None:
        origin = fields.one_of(memory.origin, fields.ORIGINS, "origin")
    moments = [
        None if value is None else times.normalised(value, field)
        for field, value in (
            ("occurred_at", memory.occurred_at),
            ("valid_from", memory.valid_from),
            ("valid_to", memory.valid_to),
        )
    ]
    if moments[1] is not None and moments[2] is not None and moments[1] > moments[2]:
        raise InvalidRecord("valid_to", f"{moments[2]} is before valid_from {moments[1]}")
    return CheckedMemory(
        memory=memory,
        origin=origin,
        occurred_at=moments[0],
        valid_from=moments[1],
        valid_to=moments[2],
        fingerprint=digests.fingerprint(memory.content),
        n_words=len(memory.content.split()),
    )


class MemoryBook:
    """Adds memories inside the writer."""

    def __init__(self, digests: Digests, names: Names, numbers: items.ItemNumbers) -> None:
        self._digests = digests
        self._names = names
        self._numbers = numbers

    def add(
        self,
        connection: Connection,
        checked: Sequence[CheckedMemory],
        ids: Sequence[str],
        now: str,
        changes: items.Changes,
    ) -> list[MemoryReceipt]:
        """Adds those memories that are new.

        :param ids: a ULID for each memory, in rising order.
        :raises UnknownId: when `supersedes` names no memory; nothing of the call is stored then.
        """
        receipts = [
            self._add_one(connection, one, id, now, changes) for one, id in zip(checked, ids, strict=True)
        ]
        self._names.write_sessions(connection)
        return receipts

    def _add_one(
        self, connection: Connection, checked: CheckedMemory, id: str, now: str, changes: items.Changes
    ) -> MemoryReceipt:
        memory = checked.memory
        agent = self._names.agent(connection, memory.agent, now, changes)
        project = self._names.project(connection, memory.project, id, now, changes)
        session: OpenSession | None = None
        if memory.session is not None:
            session = self._names.session(
                connection,
                memory.session,
                agent=agent,
                project=project,
                parent=None,
                source=memory.channel,
                changes=changes,
            )
            project = session.project if project is None else project
        scope = "global" if memory.scope == "project" and project is None else memory.scope
        speaker = self._names.speaker(connection, memory.speaker, changes)
        occurred_at = checked.occurred_at or now
        owner = agent if scope == "private" else 0
        sameness = self._digests.sameness(
            collapsed(memory.content),
            f"{scope} {owner} {project or 0} {0 if session is None else session.number} {speaker or 0}",
            occurred_at[:10],
        )
        row = connection.execute(
            "SELECT id FROM memories WHERE sameness = ? AND status = 'active'", (sameness,)
        ).fetchone()
        if row is not None and row[0] != memory.supersedes:
            return MemoryReceipt(str(row[0]), "duplicate")
        if memory.supersedes is not None:
            self._supersede(connection, memory.supersedes, id, checked.valid_from or occurred_at, changes)

        number = self._numbers.next(connection)
        if session is not None:
            session.n_items += 1
            session.started_at = min(session.started_at or occurred_at, occurred_at)
            session.last_at = max(session.last_at or occurred_at, occurred_at)
            self._names.touch(session)
        stored = connection.execute(
            "INSERT INTO memories (id, item, kind, content, scope, project, agent, session, speaker, origin, channel,"
            " source_event, created_at, occurred_at, valid_from, valid_to, importance, status, fingerprint, sameness)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'active', ?, ?)",
            (
                id,
                number,
                memory.kind,
                memory.content,
                scope,
                project,
                agent,
                None if session is None else session.number,
                speaker,
                checked.origin,
                memory.channel,
                memory.source_event,
                now,
                occurred_at,
                checked.valid_from,
                checked.valid_to,
                memory.importance,
                checked.fingerprint,
                sameness,
            ),
        )
        items.insert(
            connection,
            items.Item(
                item=number,
                row=-stored.lastrowid,
                occurred_at=times.to_unix(occurred_at),
                valid_from=0 if checked.valid_from is None else times.to_unix(checked.valid_from),
                valid_to=0 if checked.valid_to is None else times.to_unix(checked.valid_to),
                session=0 if session is None else session.number,
                position=0 if session is None else session.n_items,
                speaker=speaker or 0,
                project=project or 0,
                agent=agent,
                n_chars=len(memory.content),
                n_words=checked.n_words,
                importance=memory.importance,
                tag=items.tag_of(id, checked.fingerprint),
                role=0,
                kind=items.KIND_NUMBER[memory.kind],
                status=items.STATUS_NUMBER["active"],
                scope=items.SCOPE_NUMBER[scope],
            ),
            memory.content,
            changes,
        )
        return MemoryReceipt(id, "stored")

    def _supersede(
        self, connection: Connection, old: str, new: str, since: str, changes: items.Changes
    ) -> None:
        """Ends the validity of a memory, and of what already stands in its place."""
        replaced: set[str] = set()
        current: str | None = old
        while current is not None and current not in replaced:
            row = connection.execute(
                "SELECT memory, item, superseded_by, valid_to FROM memories WHERE id = ?", (current,)
            ).fetchone()
            if row is None:
                if current == old:
                    raise UnknownId("memory to supersede", old)
                return
            replaced.add(current)
            memory, number, following, valid_to = row
            if following is None:
                ends = since if valid_to is None else min(since, valid_to)
                connection.execute(
                    "UPDATE memories SET superseded_by = ?, valid_to = ?, status = 'superseded' WHERE memory = ?",
                    (new, ends, memory),
                )
                item = items.load(connection, int(number))
                if item is not None:
                    item.status = items.STATUS_NUMBER["superseded"]
                    item.valid_to = times.to_unix(ends)
                    items.replace(connection, item, changes)
            current = following


def memory(readers: Readers, id: str) -> MemoryRecord | None:
    """The memory, or the episode, with this id."""
    with readers.lend() as connection:
        row = connection.execute(f"{_MEMORY} WHERE m.id = ?", (id,)).fetchone()
        if row is None:
            row = connection.execute(f"{_EPISODE} WHERE m.id = ? AND m.item IS NOT NULL", (id,)).fetchone()
    return None if row is None else record(row)


def by_row(readers: Readers, rows: Sequence[int]) -> list[MemoryRecord]:
    """The records of items, in the order given; those that were erased meanwhile are left out.

    :param rows: the `row` of each item: an event's seq, or minus a memory's number.
    """
    found: dict[int, MemoryRecord] = {}
    with readers.lend() as connection:
        for select, numbers, sign, key in (
            (_EPISODE, [row for row in rows if row > 0], 1, "m.seq"),
            (_MEMORY, [-row for row in rows if row < 0], -1, "m.memory"),
        ):
            for start in range(0, len(numbers), 500):
                part = numbers[start : start + 500]
                marks = ", ".join("?" * len(part))
                select_key = select.replace("SELECT m.id", f"SELECT {key}, m.id", 1)
                for row in connection.execute(
                    f"{select_key} WHERE {key} IN ({marks}) AND m.item IS NOT NULL",
                    part,
                ):
                    found[sign * int(row[0])] = record(row[1:])
    return [found[row] for row in rows if row in found]


def texts(readers: Readers, rows: Sequence[int]) -> list[str]:
    """The texts of items, in the order given; empty for those that were erased."""
    return _column(readers, rows, "content")


def ids(readers: Readers, rows: Sequence[int]) -> list[str]:
    """The ids of items, in the order given; empty for those that were erased."""
    return _column(readers, rows, "id")


def _column(readers: Readers, rows: Sequence[int], column: str) -> list[str]:
    found: dict[int, str] = {}
    with readers.lend() as connection:
        for table, key, sign in (("events", "seq", 1), ("memories", "memory", -1)):
            numbers = [abs(row) for row in rows if row * sign > 0]
            for start in range(0, len(numbers), 500):
                part = numbers[start : start + 500]
                marks = ", ".join("?" * len(part))
                for number, value in connection.execute(
                    f"SELECT {key}, {column} FROM {table} WHERE {key} IN ({marks}) AND item IS NOT NULL",  # noqa: S608 - names are ours
                    part,
                ):
                    found[sign * number] = value
    return [found.get(row, "") for row in rows]


def record(row: Row) -> MemoryRecord:
    """The record of a row of `_MEMORY` or `_EPISODE`."""
    return MemoryRecord(
        id=row[0],
        item=row[1],
        kind=row[2],
        content=row[3],
        scope=row[4],
        project=row[5],
        agent=row[6],
        session=row[7],
        session_title=row[8],
        speaker=row[9],
        role=row[10],
        origin=row[11],
        source_event=row[12],
        created_at=row[13],
        occurred_at=row[14],
        valid_from=row[15],
        valid_to=row[16],
        superseded_by=row[17],
        importance=row[18],
        trust=row[19],
        status=row[20],
        digest=hexadecimal(row[21]),
        channel=row[22],
        is_event=bool(row[23]),
    )


def item_numbers(readers: Readers, ids: Sequence[str]) -> dict[str, int]:
    """The numbers in the recall index of memories and episodes; those that are gone are left out."""
    found: dict[str, int] = {}
    with readers.lend() as connection:
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            marks = ", ".join("?" * len(part))
            rows = connection.execute(
                f"SELECT id, item FROM memories WHERE id IN ({marks})"  # noqa: S608 - marks only
                f" UNION ALL SELECT id, item FROM events WHERE id IN ({marks}) AND item IS NOT NULL",
                (*part, *part),
            )
            found.update((str(id), int(item)) for id, item in rows)
    return found


def digests(readers: Readers, ids: Sequence[str]) -> frozenset[str]:
    """The digests of the texts of memories and episodes; erased ones are left out."""
    found: set[str] = set()
    with readers.lend() as connection:
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            marks = ", ".join("?" * len(part))
            for (fingerprint,) in connection.execute(
                f"SELECT fingerprint FROM memories WHERE id IN ({marks})"  # noqa: S608 - marks only
                f" UNION SELECT fingerprint FROM events WHERE id IN ({marks}) AND erased_at IS NULL",
                (*part, *part),
            ):
                found.add(hexadecimal(fingerprint))
    return frozenset(found)
