"""opencode's sessions: `opencode.db` (tables of V1 and V2) and, before 1.2, the JSON tree `storage/`.

Parts change in place while an answer is written, so a part is read once it is complete. A session can
stand in several of these stores; text gets the same key in each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from sqlcipher3 import dbapi2 as sqlite

from penchant_daemon.wire import EventIn, SourceIn

from .context import ReadContext
from .databases import Unit, read_store, select, signature_of, tables, text_of
from .files import Seen, Skips, make_cursor
from .records import BadLine, Items, JsonObject, Progress, as_list, as_object, as_text, first_text
from .segments import Session, as_draft, name_or_none, present, result_text, spoken_text
from .times import utc_iso

AGENT = "opencode"
_UNFINISHED = ("pending", "running", "streaming", "partial")
_UNTITLED = re.compile(r"(New|Child) session - \d{4}-")


@dataclass(slots=True)
class _Message:
    """A message as every store has it: its own object and its parts in order."""

    data: JsonObject
    parts: list[JsonObject]


# -- what a message says


def _start(
    identifier: str, directory: JsonValue, parent: JsonValue, title: JsonValue, created: JsonValue
) -> tuple[Session, str | None]:
    parent_id = name_or_none(parent)
    session = Session(identifier, AGENT, parent=parent_id, is_delegated=parent_id is not None)
    session.work_in(directory)
    session.occurred_at = utc_iso(created)
    text = as_text(title).strip()
    return session, None if not text or _UNTITLED.match(text) else text


def _session_events(
    session: Session, title: str | None, messages: list[_Message], is_settled: bool, skips: Skips
) -> Iterator[EventIn]:
    is_started = False
    for message in messages:
        is_open = message is messages[-1] and not is_settled and not _is_complete(message.data)
        for event in _message_events(message, session, is_open, skips):
            if not is_started:
                is_started = True
                yield session.start()
                if title:
                    yield session.start(title=title)
            yield event


def _is_complete(data: JsonObject) -> bool:
    times = as_object(data.get("time"))
    role = first_text(data.get("role"), data.get("type"))
    return role != "assistant" or times.get("completed") is not None or data.get("error") is not None


def _message_events(message: _Message, session: Session, is_open: bool, skips: Skips) -> Iterator[EventIn]:
    data = message.data
    role = first_text(data.get("role"), data.get("type")) or ""
    session.occurred_at = utc_iso(as_object(data.get("time")).get("created")) or session.occurred_at
    if role not in ("user", "assistant"):
        yield from _other_message(role, data, session, skips)
        return
    spoken: list[str] = []
    parts = message.parts
    if role == "user" and not parts:
        text = first_text(data.get("text"), as_object(data.get("summary")).get("body"))
        yield from present(session.user(text or spoken_text(data.get("content"))))
        return
    for part in parts:
        kind = as_text(part.get("type"))
        if kind == "text":
            if part.get("synthetic") is True or part.get("ignored") is True:
                skips.add("injected")
            elif not is_open or as_object(part.get("time")).get("end") is not None:
                if role == "user":
                    spoken.append(as_text(part.get("text")))
                else:
                    moment = session.occurred_at
                    session.occurred_at = utc_iso(as_object(part.get("time")).get("start")) or moment
                    yield from present(session.assistant(as_text(part.get("text"))))
                    session.occurred_at = moment
        elif kind == "tool":
            yield from _tool(part, session, is_open)
        elif kind == "reasoning":
            skips.add("thinking")
        else:
            skips.add("other")
    yield from present(session.user("\n".join(spoken)) if spoken else None)


def _tool(part: JsonObject, session: Session, is_open: bool) -> Iterator[EventIn]:
    state = as_object(part.get("state"))
    status = as_text(state.get("status"))
    if is_open and status in _UNFINISHED:
        return
    name = first_text(part.get("tool"), part.get("name")) or "tool"
    call_id = name_or_none(first_text(part.get("callID"), part.get("id")))
    moment = session.occurred_at
    times = as_object(state.get("time")) or as_object(part.get("time"))
    session.occurred_at = utc_iso(times.get("start", times.get("created"))) or moment
    told = [session.call(name, state.get("input"), call_id)]
    output = next(
        (state[field] for field in ("output", "content", "result", "error") if state.get(field)), None
    )
    if output is not None or status in ("completed", "success", "error"):
        session.occurred_at = utc_iso(times.get("end", times.get("completed"))) or session.occurred_at
        told.append(session.result(result_text(output), name, call_id, is_error=status == "error"))
    session.occurred_at = moment
    yield from map(as_draft, told) if status in _UNFINISHED else told


def _other_message(role: str, data: JsonObject, session: Session, skips: Skips) -> Iterator[EventIn]:
    if role == "compaction":
        yield from present(session.compaction(first_text(data.get("summary"), data.get("text")) or ""))
    elif role == "shell":  # a command that the person ran from the prompt
        command = as_text(data.get("command"))
        call_id = name_or_none(first_text(data.get("callID"), data.get("shellID")))
        if command:
            yield session.call("shell", {"command": command}, call_id, role="user")
            if data.get("output") is not None:
                yield session.result(result_text(data.get("output")), "shell", call_id)
    else:
        skips.add("injected" if role in ("system", "synthetic") else "other")


# -- the database


def read(path: Path, cursor: SourceIn | None, context: ReadContext) -> Items:
    """The events of all sessions of `opencode.db`."""
    skips = Skips()
    return read_store(
        path, AGENT, cursor, lambda connection: _units(connection, path, skips, context), skips, context
    )


_SESSION_COLUMNS = (
    "id",
    "parent_id",
    "directory",
    "title",
    "time_created",
    "time_updated",
    "fork_session_id",
    "data",
)


def _units(
    connection: sqlite.Connection, path: Path, skips: Skips, context: ReadContext
) -> Iterator[Unit | BadLine]:
    known = tables(connection)
    sessions: dict[str, JsonObject] = {}
    for table in ("session", "session_v2"):
        if "id" not in known.get(table, set()):
            continue
        for row in connection.execute(
            select(table, _SESSION_COLUMNS, known[table], "ORDER BY rowid")
        ).fetchall():
            found: JsonObject = {
                name: value if isinstance(value, int) else text_of(value)
                for name, value in zip(_SESSION_COLUMNS, row, strict=True)
                if value is not None
            }
            identifier = as_text(found.get("id"))
            sessions[identifier] = {**sessions.get(identifier, {}), **found}
    for table in ("message", "session_message"):
        if "session_id" in known.get(table, set()):
            for (identifier,) in connection.execute(f'SELECT DISTINCT session_id FROM "{table}"').fetchall():  # noqa: S608
                sessions.setdefault(text_of(identifier), {"id": text_of(identifier)})
    if not {"message", "session_message"} & set(known):
        yield BadLine(str(path), 0, "no table of messages that is known")
        return
    for identifier, row in sessions.items():
        if name_or_none(identifier) is None:
            continue
        updated = row.get("time_updated")
        is_settled = not isinstance(updated, int) or context.is_settled(updated / 1000)
        counted = [
            _mark(connection, table, known, identifier) for table in ("message", "part", "session_message")
        ]
        signature = signature_of(updated, row.get("title"), *counted)
        stored = _Stored(connection, known, identifier, row, is_settled, path, skips)
        yield Unit(identifier, signature, stored.events, is_settled, stored.is_open)


def _mark(connection: sqlite.Connection, table: str, known: dict[str, set[str]], session_id: str) -> str:
    """Number and latest change of a session's rows in a table."""
    columns = known.get(table, set())
    if "session_id" not in columns:
        return ""
    latest = 'max("time_updated")' if "time_updated" in columns else "max(rowid)"
    query = f'SELECT count(*), {latest} FROM "{table}" WHERE session_id = ?'  # noqa: S608
    return ":".join(map(text_of, connection.execute(query, (session_id,)).fetchone()))


@dataclass(slots=True)
class _Stored:
    """One session of the database."""

    connection: sqlite.Connection
    known: dict[str, set[str]]
    id: str
    row: JsonObject
    is_settled: bool
    path: Path
    skips: Skips
    has_open_answer: bool = False

    def is_open(self) -> bool:
        """Whether `events` left an answer out because it is still being written."""
        return self.has_open_answer

    def events(self) -> Iterator[EventIn | BadLine]:
        row = self.row
        older: list[_Message] = []
        yield from _rows_v1(self.connection, self.known, self.id, self.path, older)
        newer: list[_Message] = []
        yield from _rows_v2(self.connection, self.known, self.id, self.path, newer)
        origin: list[_Message] = []
        forked_from = name_or_none(row.get("fork_session_id"))
        if forked_from:
            for _ in _rows_v2(self.connection, self.known, forked_from, self.path, origin):
                pass  # the origin's own read reports its bad rows
        n_copied = _n_same(newer, origin)
        if n_copied:
            self.skips.add("copied", n_copied)
        # V2 began as a copy of V1: of a session in both, what V2 has beyond it counts. Both name a text alike.
        told: set[str | None] = set()
        for messages in (older, newer[n_copied:]):
            session, title = _start(
                self.id, row.get("directory"), row.get("parent_id"), row.get("title"), row.get("time_created")
            )
            is_unfinished = bool(messages) and not _is_complete(messages[-1].data)
            self.has_open_answer = self.has_open_answer or (is_unfinished and not self.is_settled)
            for event in _session_events(session, title, messages, self.is_settled, self.skips):
                if event.source_key not in told:
                    told.add(event.source_key)
                    yield event


def _n_same(messages: list[_Message], origin: list[_Message]) -> int:
    """How many messages at the start of a fork are copies of its origin's."""
    n = 0
    for message, original in zip(messages, origin, strict=False):
        if _gist(message) != _gist(original):
            break
        n += 1
    return n


def _gist(message: _Message) -> list[JsonValue]:
    """What a copy of a message keeps."""
    said: list[JsonValue] = [
        part.get("text") or part.get("id") or part.get("callID") for part in message.parts
    ]
    return [message.data.get("type"), message.data.get("text"), *said]


def _object_of(value: object, what: str, path: Path) -> JsonObject | BadLine:
    try:
        loaded: JsonValue = json.loads(text_of(value))
    except (ValueError, RecursionError) as error:
        return BadLine(str(path), 0, f"{what}: {error}")
    return loaded if isinstance(loaded, dict) else BadLine(str(path), 0, f"{what}: no JSON object")


def _rows_v1(
    connection: sqlite.Connection,
    known: dict[str, set[str]],
    session_id: str,
    path: Path,
    messages: list[_Message],
) -> Iterator[BadLine]:
    if not {"id", "session_id", "data"} <= known.get("message", set()):
        return
    columns = known["message"]
    order = "time_created, id" if "time_created" in columns else "id"
    query = select(
        "message", ("id", "data", "time_created"), columns, f"WHERE session_id = ? ORDER BY {order}"
    )
    for message_id, value, created in connection.execute(query, (session_id,)).fetchall():
        data = _object_of(value, f"message {text_of(message_id)}", path)
        if isinstance(data, BadLine):
            yield data
            continue
        if "time" not in data and isinstance(created, int):
            data["time"] = {"created": created}
        parts: list[JsonObject] = []
        if {"message_id", "data"} <= known.get("part", set()):
            rows = connection.execute(
                "SELECT id, data FROM part WHERE message_id = ? ORDER BY id", (message_id,)
            )
            for part_id, part_value in rows.fetchall():
                part = _object_of(part_value, f"part {text_of(part_id)}", path)
                if isinstance(part, BadLine):
                    yield part
                else:
                    parts.append(part)
        messages.append(_Message(data, parts))


def _rows_v2(
    connection: sqlite.Connection,
    known: dict[str, set[str]],
    session_id: str,
    path: Path,
    messages: list[_Message],
) -> Iterator[BadLine]:
    columns = known.get("session_message", set())
    if not {"session_id", "data"} <= columns:
        return
    order = "seq" if "seq" in columns else "rowid"
    wanted = ("id", "type", "data", "time_created")
    query = select("session_message", wanted, columns, f"WHERE session_id = ? ORDER BY {order}")
    for message_id, kind, value, created in connection.execute(query, (session_id,)).fetchall():
        data = _object_of(value, f"session_message {text_of(message_id)}", path)
        if isinstance(data, BadLine):
            yield data
            continue
        data.setdefault("type", text_of(kind))
        if "time" not in data and isinstance(created, int):
            data["time"] = {"created": created}
        messages.append(_Message(data, [as_object(part) for part in as_list(data.get("content"))]))


# -- the JSON tree


def is_tree(path: Path) -> bool:
    """Whether the folder is opencode's `storage/`."""
    return (path / "session").is_dir() and (path / "message").is_dir()


def read_tree(path: Path, cursor: SourceIn | None, context: ReadContext) -> Items:
    """The events of all sessions of a `storage/` folder."""
    stat = path.stat()
    skips = Skips()
    seen = Seen(cursor.state.get("seen") if cursor is not None else None)
    n_bytes = 0
    flat = _flat_parts(path)
    for place in sorted((path / "session").rglob("*.json")):
        info = _file_object(place)
        if isinstance(info, BadLine):
            yield info
            continue
        identifier = name_or_none(info.get("id")) or place.stem
        times = as_object(info.get("time"))
        session, title = _start(
            identifier, info.get("directory"), info.get("parentID"), info.get("title"), times.get("created")
        )
        messages: list[_Message] = []
        latest_s = place.stat().st_mtime
        for message_place in sorted((path / "message" / identifier).glob("*.json")):
            data = _file_object(message_place)
            if isinstance(data, BadLine):
                yield data
                continue
            latest_s = max(latest_s, message_place.stat().st_mtime)
            message_id = as_text(data.get("id")) or message_place.stem
            parts: list[JsonObject] = []
            for part_place in [
                *sorted((path / "part" / message_id).glob("*.json")),
                *flat.get(message_id, []),
            ]:
                part = _file_object(part_place)
                if isinstance(part, BadLine):
                    yield part
                else:
                    parts.append(part)
                    latest_s = max(latest_s, part_place.stat().st_mtime)
            messages.append(_Message(data, parts))
        messages.sort(key=lambda message: _created(message.data))
        is_settled = context.is_settled(latest_s)
        for event in _session_events(session, title, messages, is_settled, skips):
            if seen.is_new(event):
                yield event
        n_bytes += 1
    # The folder's own time says nothing about the files deep in it: the cursor never passes for unchanged.
    source = make_cursor(path, AGENT, stat, 0, "", {"seen": seen.state()}, is_complete=False)
    yield Progress(n_bytes, source, skips.take())


def _created(data: JsonObject) -> float:
    created = as_object(data.get("time")).get("created")
    return float(created) if isinstance(created, int | float) else 0.0


def _flat_parts(path: Path) -> dict[str, list[Path]]:
    """Parts of the first versions, which lie side by side and name their message."""
    by_message: dict[str, list[Path]] = {}
    for place in sorted((path / "part").glob("*.json")):
        part = _file_object(place)
        if not isinstance(part, BadLine):
            by_message.setdefault(as_text(part.get("messageID")), []).append(place)
    return by_message


def _file_object(place: Path) -> JsonObject | BadLine:
    try:
        data = place.read_bytes()
    except OSError as error:
        return BadLine(str(place), 0, f"cannot be read: {error.strerror}")
    try:
        value: JsonValue = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        return BadLine(str(place), 1, f"not JSON: {error}")
    return value if isinstance(value, dict) else BadLine(str(place), 1, "no JSON object")
