"""VS Code's chats: `chatSessions/<id>.json`, and since 1.109 `<id>.jsonl`, a log of changes that is replayed.

A log line's `kind` says what it does to the chat: 0 sets it whole, 1 sets the value at path `k`, 2 pushes
onto the list at `k` (after cutting it to `i` items), 3 deletes `k`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue

from penchant_daemon.wire import EventIn, SourceIn

from .context import ReadContext
from .files import Skips, parse_document, parse_lines, read_document
from .project import project_of
from .records import BadLine, Items, JsonObject, Malformed, as_list, as_object, as_text, first_text
from .segments import Session, as_draft, name_or_none, present, result_text, spoken_text, visible_text
from .times import utc_iso

AGENT = "vscode"
_MAX_ITEMS = 1_000_000


def read(path: Path, cursor: SourceIn | None, context: ReadContext) -> Items:
    """The events of one chat."""
    skips = Skips()
    parse: Callable[[bytes, os.stat_result], Iterator[EventIn | BadLine]]
    if path.suffix == ".jsonl":
        parse = lambda data, stat: _parse_log(path, data, stat, skips, context)  # noqa: E731
    else:
        parse = lambda data, stat: _parse_document(path, data, stat, skips, context)  # noqa: E731
    return read_document(path, AGENT, cursor, parse, skips, context)


def _parse_document(
    path: Path, data: bytes, stat: os.stat_result, skips: Skips, context: ReadContext
) -> Iterator[EventIn | BadLine]:
    value, bad = parse_document(data, path)
    yield from bad
    if value is not None:
        yield from _events(path, as_object(value), stat, skips, context)


def _parse_log(
    path: Path, data: bytes, stat: os.stat_result, skips: Skips, context: ReadContext
) -> Iterator[EventIn | BadLine]:
    chat: JsonValue = {}
    for item in parse_lines(data, path):
        if isinstance(item, BadLine):
            yield item
            continue
        number, record = item
        try:
            chat = replay(chat, record)
        except Malformed as error:
            yield BadLine(str(path), number, str(error))
    yield from _events(path, as_object(chat), stat, skips, context)


def replay(chat: JsonValue, change: JsonObject) -> JsonValue:
    """The chat after one line of its log. :raises Malformed: when the change does not fit the chat."""
    kind, value = change.get("kind"), change.get("v")
    if kind == 0:
        return value
    steps = as_list(change.get("k"))
    if kind not in (1, 2, 3) or isinstance(kind, bool):
        raise Malformed(f"unknown kind of change {kind!r}")
    if not steps:
        raise Malformed("a change without a path")
    place: JsonValue = chat
    for step in steps[:-1]:
        place = _inner(place, step)
    last = steps[-1]
    if kind == 2:
        target = _inner(place, last) if _has(place, last) else None
        if not isinstance(target, list):
            target = []
            _put(place, last, target)
        keep = change.get("i")
        if isinstance(keep, int) and not isinstance(keep, bool) and 0 <= keep < len(target):
            del target[keep:]
        target.extend(value if isinstance(value, list) else [] if value is None else [value])
    elif kind == 1:
        _put(place, last, value)
    elif isinstance(place, dict):
        place.pop(str(last), None)
    elif isinstance(place, list) and isinstance(last, int) and 0 <= last < len(place):
        del place[last]
    return chat


def _has(place: JsonValue, step: JsonValue) -> bool:
    if isinstance(place, dict):
        return str(step) in place
    return isinstance(place, list) and isinstance(step, int) and 0 <= step < len(place)


def _inner(place: JsonValue, step: JsonValue) -> JsonValue:
    if isinstance(place, dict) and str(step) in place:
        return place[str(step)]
    if isinstance(place, list) and isinstance(step, int) and 0 <= step < len(place):
        return place[step]
    raise Malformed(f"a change of {step!r}, which the chat does not have")


def _put(place: JsonValue, step: JsonValue, value: JsonValue) -> None:
    if isinstance(place, dict):
        place[str(step)] = value
    elif isinstance(place, list) and isinstance(step, int) and 0 <= step < _MAX_ITEMS:
        place.extend([None] * (step + 1 - len(place)))
        place[step] = value
    else:
        raise Malformed(f"a change of {step!r} in a {type(place).__name__}")


def _events(
    path: Path, chat: JsonObject, stat: os.stat_result, skips: Skips, context: ReadContext
) -> Iterator[EventIn | BadLine]:
    session = Session(
        first_text(chat.get("sessionId")) or path.stem, AGENT, project=workspace_folder(path.parent.parent)
    )
    session.occurred_at = utc_iso(chat.get("creationDate")) or utc_iso(stat.st_mtime)
    requests = as_list(chat.get("requests"))
    title = first_text(chat.get("customTitle"))
    for position, entry in enumerate(requests):
        request = as_object(entry)
        if not request:
            yield BadLine(str(path), 0, f"requests.{position} is no object")
            continue
        if position == 0:
            yield session.start()
            if title:
                yield session.start(title=title)
        session.occurred_at = utc_iso(request.get("timestamp")) or session.occurred_at
        identifier = name_or_none(request.get("requestId"))
        message = request.get("message")
        text = (
            as_text(as_object(message).get("text"))
            or spoken_text(message)
            or spoken_text(as_object(message).get("parts"))
        )
        yield from present(session.user(text, identifier))
        answer = _answer(request, session, identifier, skips)
        if _is_answered(request):
            yield from answer
        elif position < len(requests) - 1 or context.is_settled(stat.st_mtime):
            yield from map(as_draft, answer)


def _is_answered(request: JsonObject) -> bool:
    return any(
        request.get(name) not in (None, False)
        for name in ("result", "isCanceled", "modelState", "completionTokens")
    )


def _answer(request: JsonObject, session: Session, identifier: str | None, skips: Skips) -> Iterator[EventIn]:
    metadata = as_object(as_object(request.get("result")).get("metadata"))
    arguments: dict[str, JsonValue] = {}
    for call_round in as_list(metadata.get("toolCallRounds")):
        for entry in as_list(as_object(call_round).get("toolCalls")):
            call = as_object(entry)
            arguments[as_text(call.get("id"))] = call.get("arguments")
    outputs = as_object(metadata.get("toolCallResults"))
    spoken: list[str] = []
    n_spoken = 0

    def flush() -> Iterator[EventIn]:
        nonlocal n_spoken
        text = "".join(spoken)
        spoken.clear()
        if text.strip():
            yield from present(
                session.assistant(text, f"{identifier}:answer:{n_spoken}" if identifier else None)
            )
            n_spoken += 1

    for entry in as_list(request.get("response")):
        part = as_object(entry)
        kind = as_text(part.get("kind"))
        if kind in ("toolInvocationSerialized", "toolInvocation"):
            yield from flush()
            yield from _tool(part, session, arguments, outputs)
        elif kind in ("textEditGroup", "notebookEditGroup"):
            yield from flush()
            place = as_object(part.get("uri"))
            yield session.call(
                "edit",
                {"file": first_text(place.get("fsPath"), place.get("path")), "edits": part.get("edits")},
            )
        elif kind == "inlineReference":
            target = as_object(part.get("inlineReference"))
            inner = as_object(target.get("location"))
            spoken.append(
                first_text(
                    part.get("name"),
                    target.get("name"),
                    as_object(inner.get("uri")).get("path"),
                    target.get("path"),
                )
                or ""
            )
        elif kind == "thinking":
            skips.add("thinking")
        elif kind in ("", "markdownContent", "markdownVuln"):
            body = part.get("content", part) if isinstance(entry, dict) else entry
            spoken.append(as_text(as_object(body).get("value")) or visible_text(body))
        else:
            skips.add("other")
    yield from flush()


def _tool(
    part: JsonObject, session: Session, arguments: dict[str, JsonValue], outputs: JsonObject
) -> Iterator[EventIn]:
    call_id = as_text(part.get("toolCallId")) or None
    name = as_text(part.get("toolId")).removeprefix("copilot_") or "tool"
    detail = as_object(part.get("toolSpecificData"))
    details = as_object(part.get("resultDetails"))
    given = arguments.get(call_id or "")
    if given is None:
        command = as_object(detail.get("commandLine"))
        given = (
            details.get("input")
            or detail.get("rawInput")
            or (
                {"command": first_text(command.get("original"), detail.get("command"))}
                if command or "command" in detail
                else None
            )
            or {"message": _label(part.get("invocationMessage"))}
        )
    yield session.call(name, given, call_id)
    output = as_object(outputs.get(call_id or "")).get("content", details.get("output"))
    text = _output(output)
    if not text:
        text = _label(part.get("pastTenseMessage"))
    if text:
        yield session.result(text, name, call_id)


def _output(value: JsonValue) -> str:
    if isinstance(value, list):
        return "\n".join(filter(None, map(_output, value)))
    inner = as_object(value).get("value")
    return inner if isinstance(inner, str) else result_text(inner if inner is not None else value)


def _label(value: JsonValue) -> str:
    return value if isinstance(value, str) else as_text(as_object(value).get("value"))


def workspace_folder(storage: Path) -> str | None:
    """The project of a `workspaceStorage/<hash>` folder, from its `workspace.json`."""
    try:
        place = as_object(json.loads((storage / "workspace.json").read_bytes()[: 1 << 20]))
    except (OSError, ValueError, RecursionError):
        return None
    target = first_text(place.get("folder"), place.get("workspace"))
    return folder_of_uri(target) if target else None


def folder_of_uri(target: str) -> str | None:
    """The path in a `file:` or `vscode-remote:` URI (a `.code-workspace` file's folder), as a project."""
    path = unquote(urlsplit(target).path) if "://" in target else target
    if path.endswith(".code-workspace"):
        path = path.rpartition("/")[0]
    return project_of(path)
