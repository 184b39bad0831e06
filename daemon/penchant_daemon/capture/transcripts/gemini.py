"""Gemini CLI's chats: `tmp/<project>/chats/session-*.json`, and since 0.40 the same as a `.jsonl` log.

The log is replayed: a repeated id replaces its message, `$set` changes the header, `$rewindTo` takes back
what came after a message. Both are read whole; a message's parts are told by its id.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import JsonValue

from penchant_daemon.wire import EventIn, SourceIn

from .context import ReadContext
from .files import Skips, parse_document, parse_lines, read_document
from .project import project_of
from .records import BadLine, Items, JsonObject, as_list, as_object, as_text, first_text
from .segments import (
    Session,
    as_draft,
    compact_json,
    name_or_none,
    present,
    result_text,
    session_of_file,
    spoken_text,
)
from .times import utc_iso

AGENT = "gemini"
_ATTACHED = "\n--- Content from referenced files ---"


def read(path: Path, cursor: SourceIn | None, context: ReadContext) -> Items:
    """The events of one chat."""
    skips = Skips()
    parse: Callable[[bytes, os.stat_result], Iterator[EventIn | BadLine]]
    if ".jsonl" in path.name:
        parse = lambda data, stat: _parse_log(path, data, stat, skips, context)  # noqa: E731
    else:
        parse = lambda data, stat: _parse_document(path, data, stat, skips, context)  # noqa: E731
    return read_document(path, AGENT, cursor, parse, skips, context)


def _parse_document(
    path: Path, data: bytes, stat: os.stat_result, skips: Skips, context: ReadContext
) -> Iterator[EventIn | BadLine]:
    value, bad = parse_document(data, path)
    yield from bad
    chat = as_object(value)
    messages = as_list(chat.get("messages")) or as_list(chat.get("history"))
    if isinstance(value, list):  # 2025: a bare history
        messages = value
    elif value is not None and not isinstance(value, dict):
        yield BadLine(str(path), 1, f"a JSON {type(value).__name__} where a chat was expected")
        return
    known = [(position, as_object(message)) for position, message in enumerate(messages, start=1)]
    yield from _events(path, chat, known, stat, skips, context)


def _parse_log(
    path: Path, data: bytes, stat: os.stat_result, skips: Skips, context: ReadContext
) -> Iterator[EventIn | BadLine]:
    header: JsonObject = {}
    messages: dict[str, tuple[int, JsonObject]] = {}

    def put(number: int, message: JsonObject) -> None:
        identifier = name_or_none(message.get("id")) or f"line:{number}"
        if identifier in messages:
            number = messages[identifier][0]
        messages[identifier] = (number, message)

    for item in parse_lines(data, path):
        if isinstance(item, BadLine):
            yield item
            continue
        number, record = item
        if "$set" in record:
            changed = as_object(record["$set"])
            # The model's context, which compression shortens: what was said before stays said.
            for message in as_list(changed.get("messages")):
                put(number, as_object(message))
            header.update({name: value for name, value in changed.items() if name != "messages"})
        elif "$rewindTo" in record:
            # To the state before the named message; to the start when it is not known.
            known = list(messages)
            target = as_text(record["$rewindTo"])
            for taken_back in known[known.index(target) if target in messages else 0 :]:
                del messages[taken_back]
                skips.add("rolled_back")
        elif "type" in record or "role" in record:
            put(number, record)
        elif "sessionId" in record or "projectHash" in record:
            header.update(record)
            for message in as_list(record.get("messages")):
                put(number, as_object(message))
        else:
            yield BadLine(str(path), number, "neither a message nor a header nor a change of one")
    yield from _events(path, header, list(messages.values()), stat, skips, context)


def _events(
    path: Path, chat: JsonObject, messages: list[tuple[int, JsonObject]], stat: os.stat_result, skips: Skips,
    context: ReadContext,
) -> Iterator[EventIn | BadLine]:  # fmt: skip
    parent = path.parent.name if path.parent.parent.name == "chats" else None
    opening = compact_json(messages[0][1]) if messages else ""
    identifier = first_text(chat.get("sessionId")) or session_of_file(path.name.split(".")[0], opening)
    is_delegated = parent is not None or as_text(chat.get("kind")) == "subagent"
    session = Session(
        identifier, AGENT, parent=parent, project=_project_of(path, chat), is_delegated=is_delegated
    )
    session.occurred_at = utc_iso(chat.get("startTime", chat.get("start_time"))) or utc_iso(stat.st_mtime)
    title = first_text(chat.get("summary"), chat.get("title"))
    is_started = False
    for position, message in messages:
        is_open = message is messages[-1][1] and not context.is_settled(stat.st_mtime)
        for event in _message_events(message, session, skips, is_open):
            if not is_started:
                is_started = True
                yield session.start()
                if title:
                    yield session.start(title=title)
            yield event
        if not message:
            yield BadLine(str(path), position, "a message that is no object")


def _message_events(message: JsonObject, session: Session, skips: Skips, is_open: bool) -> Iterator[EventIn]:
    kind = first_text(message.get("type"), message.get("role")) or ""
    session.occurred_at = utc_iso(message.get("timestamp", message.get("ts"))) or session.occurred_at
    identifier = name_or_none(message.get("id"))
    content = message.get("content", message.get("parts"))
    if kind == "user":
        parts = as_list(content)
        for part in parts:
            answer = as_object(as_object(part).get("functionResponse"))
            if answer:
                yield _result(session, answer, as_text(answer.get("id")) or None)
        shown = message.get("displayContent")
        text = spoken_text(shown) if shown else spoken_text(content)
        text = text.split(_ATTACHED)[0]
        if text.lstrip().startswith("<state_snapshot>"):
            yield from present(session.compaction(text, identifier))
        else:
            yield from present(session.user(text, identifier))
    elif kind in ("gemini", "model", "assistant"):
        if as_list(message.get("thoughts")):
            skips.add("thinking", len(as_list(message.get("thoughts"))))
        yield from present(session.assistant(spoken_text(content), identifier))
        for part in as_list(content):
            call = as_object(as_object(part).get("functionCall"))
            if call:
                yield session.call(
                    as_text(call.get("name")), call.get("args"), as_text(call.get("id")) or None
                )
        for entry in as_list(message.get("toolCalls")):
            call = as_object(entry)
            call_id = name_or_none(call.get("id"))
            name = as_text(call.get("name"))
            moment = session.occurred_at
            session.occurred_at = utc_iso(call.get("timestamp")) or moment
            yield session.call(name, call.get("args"), call_id)
            has_result = call.get("result") is not None or call.get("resultDisplay") is not None
            status = as_text(call.get("status"))
            if has_result and (status in ("success", "error", "cancelled") or not (status or is_open)):
                yield _result(session, call, call_id)
            elif has_result and not is_open:
                yield as_draft(_result(session, call, call_id))
            session.occurred_at = moment
    else:
        skips.add("other")


def _result(session: Session, call: JsonObject, call_id: str | None) -> EventIn:
    texts: list[str] = []
    for entry in as_list(call.get("result")) or [call]:
        answer = as_object(as_object(entry).get("functionResponse")) or as_object(entry)
        response = answer.get("response")
        if response is not None:
            output = as_object(response).get("output", as_object(response).get("error"))
            texts.append(output if isinstance(output, str) else result_text(response))
        elif entry is not call:
            texts.append(result_text(entry))
    text = "\n".join(filter(None, texts)) or result_text(call.get("resultDisplay"))
    is_error = as_text(call.get("status")) == "error"
    return session.result(text, as_text(call.get("name")) or None, call_id, is_error=is_error)


def _project_of(path: Path, chat: JsonObject) -> str | None:
    """The project's path: from the chat, or from what Gemini CLI notes beside it; its folder name is a
    hash or slug."""
    for directory in as_list(chat.get("directories")):
        if isinstance(directory, str) and directory:
            return project_of(directory)
    if "chats" not in path.parts:
        return None
    folder = next(parent for parent in path.parents if parent.name == "chats").parent
    try:
        return project_of((folder / ".project_root").read_text("utf-8", errors="replace").strip())
    except OSError:
        pass
    try:
        known = as_object(json.loads((folder.parent.parent / "projects.json").read_bytes()))
    except (OSError, ValueError, RecursionError):
        return None
    projects: dict[str, JsonValue] = as_object(known.get("projects"))
    return next((project_of(place) for place, slug in projects.items() if slug == folder.name), None)
