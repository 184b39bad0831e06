"""Cursor's chats in SQLite: `globalStorage/state.vscdb` (cursorDiskKV), before 3.0 also
`workspaceStorage/*/state.vscdb`.

A composer (chat) lists its bubbles in order; bubbles that no list names are leftovers. Messages get the
same keys as in Cursor's transcript files, so that a chat in both is logged once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import JsonValue
from sqlcipher3 import dbapi2 as sqlite

from penchant_daemon.wire import EventIn, SourceIn

from .context import ReadContext
from .cursor import AGENT, typed_text
from .databases import Unit, open_read_only, read_store, signature_of, tables, text_of, written_s
from .files import Skips
from .records import BadLine, Items, JsonObject, as_list, as_object, as_text, first_text
from .segments import Session, as_draft, name_or_none, present, result_text
from .times import modified_at, utc_iso
from .vscode import workspace_folder

_OLD_KEYS = ("composer.composerData", "workbench.panel.aichat.view.aichat.chatdata")


def read(path: Path, cursor: SourceIn | None, context: ReadContext) -> Items:
    """The events of all chats of the store."""
    skips = Skips()
    is_settled = context.is_settled(written_s(path))
    return read_store(
        path, AGENT, cursor, lambda connection: _units(connection, path, skips, is_settled), skips, context
    )


def _units(
    connection: sqlite.Connection, path: Path, skips: Skips, is_settled: bool
) -> Iterator[Unit | BadLine]:
    known = tables(connection)
    if "cursorDiskKV" in known:
        projects = _Projects(path)
        # Each write replaces the row: the values themselves, which are large, are read where a row is new.
        rows = connection.execute(
            "SELECT key, rowid, length(value) FROM cursorDiskKV"
            " WHERE key >= 'composerData:' AND key < 'composerData;' ORDER BY rowid"
        )
        for key, rowid, size in rows.fetchall():
            identifier = name_or_none(text_of(key).partition(":")[2])
            if identifier is not None and size:
                composer = _Composer(connection, identifier, path, projects, skips, is_settled)
                signature = signature_of(rowid, size)
                yield Unit(identifier, signature, composer.events, is_settled, composer.is_open)
    if "ItemTable" in known:
        for key in _OLD_KEYS:
            row = connection.execute("SELECT value FROM ItemTable WHERE key = ?", (key,)).fetchone()
            if row is not None:
                yield from _old_units(key, row[0], path, skips)


class _Projects:
    """Which project each chat belongs to: the workspaces beside the global store list their chats."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] | None = None

    def of(self, composer_id: str) -> str | None:
        """The project of a chat; the workspaces are looked at when the first is asked for."""
        if self._known is None:
            self._known = dict(self._listed()) if self._path.parent.name == "globalStorage" else {}
        return self._known.get(composer_id)

    def _listed(self) -> Iterator[tuple[str, str]]:
        for store in sorted((self._path.parent.parent / "workspaceStorage").glob("*/state.vscdb")):
            project = workspace_folder(store.parent)
            if project is None:
                continue
            try:
                with open_read_only(store) as connection:
                    query = "SELECT value FROM ItemTable WHERE key = ?"
                    row = connection.execute(query, (_OLD_KEYS[0],)).fetchone()
                    listed = as_list(as_object(_load(row[0])).get("allComposers")) if row is not None else []
            except (sqlite.Error, OSError, ValueError, RecursionError):
                continue
            for entry in listed:
                yield as_text(as_object(entry).get("composerId")), project


def _load(value: object) -> JsonValue:
    loaded: JsonValue = json.loads(text_of(value) or "null")
    return loaded


@dataclass(slots=True)
class _Composer:
    """One chat of the global store."""

    connection: sqlite.Connection
    id: str
    path: Path
    projects: _Projects
    skips: Skips
    is_settled: bool
    is_generating: bool = False

    def is_open(self) -> bool:
        return self.is_generating and not self.is_settled

    def _value(self, key: str) -> JsonObject | BadLine | None:
        """The object under a key; None where the key is gone."""
        row = self.connection.execute("SELECT value FROM cursorDiskKV WHERE key = ?", (key,)).fetchone()
        if row is None or row[0] is None:
            return None
        try:
            return as_object(_load(row[0]))
        except (ValueError, RecursionError) as error:
            return BadLine(str(self.path), 0, f"{key}: {error}")

    def events(self) -> Iterator[EventIn | BadLine]:
        composer = self._value(f"composerData:{self.id}")
        if isinstance(composer, BadLine):
            yield composer
            return
        if not composer:
            return
        self.is_generating = composer.get("status") == "generating"
        if self.is_settled and self.is_generating:
            composer["status"] = "aborted"  # Cursor ended before it could say so
        bubbles: list[JsonObject] = []
        for header in as_list(composer.get("fullConversationHeadersOnly")):
            bubble_id = as_text(as_object(header).get("bubbleId"))
            bubble = self._value(f"bubbleId:{self.id}:{bubble_id}")
            if isinstance(bubble, BadLine):
                yield bubble
            elif bubble is None:
                self.skips.add("other")
            else:
                bubbles.append({"bubbleId": bubble_id, "type": as_object(header).get("type"), **bubble})
        for entry in as_list(composer.get("conversation")):  # before mid-2025: bubbles inside the composer
            bubbles.append(as_object(entry))
        of_parent = as_object(composer.get("subagentInfo")).get("parentComposerId")
        parent = first_text(composer.get("parentComposerId"), of_parent)
        project = self.projects.of(self.id)
        yield from _chat(self.id, composer, bubbles, project, self.path, self.skips, parent)


def _chat(
    identifier: str,
    chat: JsonObject,
    bubbles: list[JsonObject],
    project: str | None,
    path: Path,
    skips: Skips,
    parent: str | None = None,
) -> Iterator[EventIn | BadLine]:
    session = Session(identifier, AGENT, parent=parent, project=project, is_delegated=parent is not None)
    session.occurred_at = utc_iso(chat.get("createdAt")) or modified_at(path)
    title = first_text(chat.get("name"), chat.get("chatTitle"))
    # While an answer is generated its bubbles still change: they are read once it is complete.
    n_settled = len(bubbles)
    if as_text(chat.get("status")) == "generating":
        while n_settled and _role(bubbles[n_settled - 1]) != "user":
            n_settled -= 1
    is_started = False
    for bubble in bubbles[:n_settled]:
        for event in _bubble_events(bubble, session, skips):
            if not is_started:
                is_started = True
                yield session.start()
                if title:
                    yield session.start(title=title)
            yield event


def _role(bubble: JsonObject) -> str:
    kind = bubble.get("type")
    return "user" if kind in (1, "user") else "assistant" if kind in (2, "ai", "assistant") else ""


def _bubble_events(bubble: JsonObject, session: Session, skips: Skips) -> Iterator[EventIn]:
    timing = as_object(bubble.get("timingInfo"))
    times = (bubble.get("createdAt"), timing.get("clientRpcSendTime"), timing.get("clientStartTime"))
    session.occurred_at = next(filter(None, map(utc_iso, times)), session.occurred_at)
    role = _role(bubble)
    text = first_text(bubble.get("text"), bubble.get("rawText")) or ""
    if as_text(as_object(bubble.get("thinking")).get("text")):
        skips.add("thinking")
    if role == "user":
        yield from present(session.user(typed_text(text)))
    elif role == "assistant":
        yield from present(session.assistant(text))
        tool = as_object(bubble.get("toolFormerData"))
        name = as_text(tool.get("name"))
        if name:
            call_id = name_or_none(tool.get("toolCallId")) or name_or_none(bubble.get("bubbleId"))
            status = as_text(tool.get("status"))
            is_ended = status in ("completed", "error", "cancelled")
            arguments = first_text(tool.get("params"), tool.get("rawArgs")) or tool.get("params")
            told = [session.call(name, arguments, call_id)]
            if tool.get("result") is not None or is_ended:
                output = _tool_output(tool.get("result"))
                told.append(session.result(output, name, call_id, is_error=status == "error"))
            yield from told if is_ended or not status else map(as_draft, told)
    else:
        skips.add("other")


def _tool_output(result: JsonValue) -> str:
    """A tool's output; Cursor writes it as JSON text, of which the readable part counts."""
    if isinstance(result, str) and result.startswith("{"):
        try:
            value: JsonValue = json.loads(result)
        except (ValueError, RecursionError):
            return result
        return result_text(value)
    return result_text(result)


def _old_units(key: str, value: object, path: Path, skips: Skips) -> Iterator[Unit | BadLine]:
    try:
        data = as_object(_load(value))
    except (ValueError, RecursionError) as error:
        yield BadLine(str(path), 0, f"{key}: {error}")
        return
    project = workspace_folder(path.parent)
    for entry in [*as_list(data.get("allComposers")), *as_list(data.get("tabs"))]:
        chat = as_object(entry)
        identifier = name_or_none(first_text(chat.get("composerId"), chat.get("tabId")))
        bubbles = [
            as_object(bubble) for bubble in as_list(chat.get("conversation")) or as_list(chat.get("bubbles"))
        ]
        if identifier and bubbles:
            signature = signature_of(len(bubbles), chat.get("lastUpdatedAt"), len(json.dumps(bubbles[-1])))
            yield Unit(identifier, signature, partial(_chat, identifier, chat, bubbles, project, path, skips))
