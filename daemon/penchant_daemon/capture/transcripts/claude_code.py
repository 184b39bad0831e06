"""Claude Code's session files: `projects/<slug>/<session>.jsonl` and their `subagents/agent-<id>.jsonl`.

Lines of type user and assistant are the conversation. What the host slips in under the user's role (meta
lines, attachments, notices, command output) is not the person's and is left out. A fork copies its parent's
lines: a copied line belongs to the session that it was written in.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import zstandard
from pydantic import JsonValue

from penchant_daemon.wire import EventIn, SourceIn

from .context import ReadContext
from .files import Skips, open_bytes, read_lines
from .records import Items, JsonObject, Malformed, as_list, as_object, as_text, first_text
from .segments import (
    RecentCalls,
    Session,
    name_or_none,
    present,
    result_text,
    spoken_text,
    visible_text,
    without_injected_blocks,
)
from .times import modified_at, utc_iso

AGENT = "claude-code"
_HUMAN_KINDS = frozenset({"human", "user", "cli", "sdk", "keyboard", "voice"})
_NOT_HUMAN = re.compile(
    r"notification|task|agent|peer|teammate|channel|coordinator|hook|auto|system|cron", re.IGNORECASE
)
_NOTICES = (
    "Caveat: The messages below were generated",
    "<local-command-caveat>",
    "<task-notification>",
    "<bash-notification>",
    "<teammate-message",
    "<command-message>",
    "[Request interrupted by user",
    "<session-start-hook>",
    "<new-diagnostics>",
)
_SUMMARY_OPENING = "This session is being continued from a previous conversation"
_COMMAND = re.compile(r"<command-name>\s*(.*?)\s*</command-name>", re.DOTALL)
_COMMAND_ARGS = re.compile(r"<command-args>\s*(.*?)\s*</command-args>", re.DOTALL)
_SHELL_INPUT = re.compile(r"<bash-input>(.*?)</bash-input>", re.DOTALL)
_SHELL_OUTPUT = re.compile(
    r"<(?P<tag>local-command-stdout|local-command-stderr|bash-stdout|bash-stderr)>(.*?)(?:</(?P=tag)>|\Z)",
    re.DOTALL,
)
_OUTPUT_OPENINGS = ("<bash-std", "<local-command-std")
_MAX_RECENT_UUIDS = 16


def read(path: Path, cursor: SourceIn | None, context: ReadContext) -> Items:
    """The events of one session or subagent file."""

    def parser(state: JsonObject) -> _Parser:
        # A fork's copies stand at its beginning: whoever goes on behind them need not look for them.
        is_past_copies = bool(state) and state.get("is_copying") is not True
        return _Parser(path, state, frozenset() if is_past_copies else _copied_uuids(path, context))

    return read_lines(path, AGENT, cursor, parser)


class _Parser:
    def __init__(self, path: Path, state: JsonObject, copied: frozenset[bytes]) -> None:
        self._skips = Skips()
        self._copied = copied
        self._is_copying = state.get("is_copying") is True
        self._calls = RecentCalls(state.get("calls"))
        self._title_rank = 1 if state.get("is_title_chosen") else 0
        self._uuids: list[str] = [as_text(uuid) for uuid in as_list(state.get("uuids"))]
        self._subagent = (
            path.stem if path.stem.startswith("agent-") or path.parent.name == "subagents" else None
        )
        self._parent_by_place = path.parent.parent.name if path.parent.name == "subagents" else None
        self._fallback_id = as_text(state.get("session")) or path.name.removesuffix(".zst").removesuffix(
            ".jsonl"
        )
        self._fallback_time = modified_at(path)
        self._meta = _subagent_meta(path) if self._subagent else {}
        self._started: list[str] = [as_text(name) for name in as_list(state.get("started"))]
        self._sessions: dict[str, Session] = {}
        self._cwd = as_text(state.get("cwd"))
        self._occurred_at = as_text(state.get("occurred_at")) or self._fallback_time

    is_at_rest = True

    def finish(self) -> Iterator[EventIn]:
        return iter(())

    def skipped(self) -> dict[str, int]:
        return self._skips.take()

    def state(self) -> JsonObject:
        return {
            "session": self._fallback_id,
            "is_copying": self._is_copying,
            "calls": self._calls.state(),
            "is_title_chosen": bool(self._title_rank),
            "uuids": list(self._uuids),
            "started": list(self._started),
            "cwd": self._cwd,
            "occurred_at": self._occurred_at,
        }

    def feed(self, record: JsonObject, number: int) -> Iterator[EventIn]:
        kind = as_text(record.get("type"))
        if not kind:
            raise Malformed("no type")
        if kind in ("user", "assistant", "tool_use", "tool_result"):
            yield from self._conversation(kind, record)
        elif kind in ("custom-title", "ai-title", "summary"):
            yield from self._title(kind, record)
        else:
            self._skips.add("other")

    def _title(self, kind: str, record: JsonObject) -> Iterator[EventIn]:
        title = first_text(record.get("customTitle"), record.get("aiTitle"), record.get("summary"))
        # A summary line may stand in the file of another session than the one whose last message it names.
        if kind == "summary" and as_text(record.get("leafUuid")) not in self._uuids:
            title = None
        if title is None or (kind != "custom-title" and self._title_rank):
            self._skips.add("other")
            return
        if kind == "custom-title":
            self._title_rank = 1
        yield self._session(record).start(title=title)

    def _session(self, record: JsonObject) -> Session:
        host_id = first_text(record.get("sessionId"), record.get("session_id")) or self._fallback_id
        parent = None
        agent_id = as_text(record.get("agentId"))
        self._fallback_id = host_id
        identifier: str = host_id
        if self._subagent:
            identifier = self._subagent
            parent = self._parent_by_place or (host_id if host_id not in (identifier, agent_id) else None)
        elif agent_id and record.get("isSidechain") is True and host_id != f"agent-{agent_id}":
            identifier, parent = f"agent-{agent_id}", host_id
        session = self._sessions.get(identifier)
        if session is None:
            if len(self._sessions) > 64:
                self._sessions.clear()
            session = Session(identifier, AGENT, parent=parent, is_delegated=parent is not None)
            self._sessions[identifier] = session
        if cwd := as_text(record.get("cwd")):
            self._cwd = cwd
        session.work_in(self._cwd)
        self._occurred_at = utc_iso(record.get("timestamp")) or self._occurred_at
        session.occurred_at = self._occurred_at
        return session

    def _conversation(self, kind: str, record: JsonObject) -> Iterator[EventIn]:
        uuid = as_text(record.get("uuid"))
        origin = as_object(record.get("forkedFrom"))
        if as_text(origin.get("sessionId")):
            # A copy names its original; told with the original's session and id it is known or, at worst,
            # preserved.
            record = {**record, "sessionId": origin["sessionId"]}
            uuid = as_text(origin.get("messageUuid")) or uuid
        elif uuid and _mark(record) in self._copied:
            self._skips.add("copied")
            self._is_copying = True
            return
        else:
            self._is_copying = False
        session = self._session(record)
        if uuid:
            self._uuids.append(uuid)
            del self._uuids[:-_MAX_RECENT_UUIDS]
        keys = _keys(uuid)
        events = list(self._events(kind, record, session, keys))
        if events and session.id not in self._started:
            self._started.append(session.id)
            del self._started[:-64]
            yield session.start(meta=dict(self._meta) or None)
        yield from events

    def _events(
        self, kind: str, record: JsonObject, session: Session, keys: Iterator[str | None]
    ) -> Iterator[EventIn]:
        if kind == "tool_use":  # flat lines of 2025
            called = as_text(record.get("name"))
            call_id = as_text(record.get("id")) or as_text(record.get("tool_use_id"))
            self._calls.add(call_id, called)
            yield session.call(called, record.get("input"), call_id or None, next(keys))
            return
        if kind == "tool_result":
            call_id = as_text(record.get("tool_use_id"))
            output = record.get("output", record.get("content"))
            name = as_text(record.get("name")) or self._calls.name(call_id)
            yield session.result(result_text(output), name, call_id or None, next(keys))
            return
        message = record.get("message")
        if isinstance(message, str):
            message = {"content": message}
        if not isinstance(message, dict):
            raise Malformed(f"{kind} line without a message object")
        content = message.get("content")
        if kind == "assistant":
            yield from self._assistant(content, session, keys)
        elif content is None and "toolUseResult" in record:
            yield session.result(result_text(record["toolUseResult"]), None, None, next(keys))
        else:
            yield from self._user(content, record, session, keys)

    def _assistant(
        self, content: JsonValue, session: Session, keys: Iterator[str | None]
    ) -> Iterator[EventIn]:
        if content is None:
            raise Malformed("assistant message without content")
        spoken: list[str] = []
        for block in content if isinstance(content, list) else [content]:
            kind = as_text(as_object(block).get("type"))
            if kind in ("thinking", "redacted_thinking"):
                self._skips.add("thinking")
            elif kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
                yield from present(session.assistant("\n".join(spoken), next(keys)) if spoken else None)
                spoken = []
                call = as_object(block)
                name, call_id = as_text(call.get("name")), as_text(call.get("id")) or None
                self._calls.add(call_id, name)
                yield session.call(name, call.get("input"), call_id, next(keys))
            elif kind.endswith("tool_result"):
                yield self._result(as_object(block), {}, session, keys)
            elif text := visible_text(block):
                spoken.append(text)
        if spoken:
            yield from present(session.assistant("\n".join(spoken), next(keys)))

    def _result(
        self, block: JsonObject, record: JsonObject, session: Session, keys: Iterator[str | None]
    ) -> EventIn:
        call_id = as_text(block.get("tool_use_id")) or as_text(record.get("sourceToolUseID")) or None
        text = result_text(block.get("content")) or as_text(block.get("text"))
        is_error = block.get("is_error") is True
        return session.result(text, self._calls.name(call_id), call_id, next(keys), is_error)

    def _user(
        self, content: JsonValue, record: JsonObject, session: Session, keys: Iterator[str | None]
    ) -> Iterator[EventIn]:
        spoken: list[JsonValue] = []
        for block in content if isinstance(content, list) else [content]:
            if as_text(as_object(block).get("type")) == "tool_result":
                yield self._result(as_object(block), record, session, keys)
            else:
                spoken.append(block)
        text = without_injected_blocks(spoken_text(spoken)).strip()
        if not text:
            return
        if record.get("isCompactSummary") is True or text.startswith(_SUMMARY_OPENING):
            yield from present(session.compaction(text, next(keys)))
        elif text.startswith("<bash-") and (shell := _SHELL_INPUT.search(text)):
            yield session.call("bash", {"command": shell.group(1)}, None, next(keys), role="user")
        elif text.startswith(_OUTPUT_OPENINGS) and (
            outputs := [part.group(2) for part in _SHELL_OUTPUT.finditer(text)]
        ):
            yield session.result("\n".join(output for output in outputs if output), "bash", None, next(keys))
        elif text.startswith("<command-") and (command := _COMMAND.search(text)):
            arguments = _COMMAND_ARGS.search(text)
            if arguments and arguments.group(1):
                name = "/" + command.group(1).lstrip("/")
                yield from present(session.user(f"{name} {arguments.group(1)}", next(keys)))
            else:
                self._skips.add("injected")
        elif (
            record.get("isMeta") is True
            or text.startswith(_NOTICES)
            or not self._is_by_person(record, session)
        ):
            self._skips.add("injected")
        elif record.get("isSidechain") is True and not session.is_delegated and not _is_human(record):
            # Sidechains of 2025 stand in the main file: their prompt was written by the assistant.
            yield from present(session.assistant(text, next(keys)))
        else:
            yield from present(session.user(text, next(keys)))

    def _is_by_person(self, record: JsonObject, session: Session) -> bool:
        origin = as_object(record.get("origin"))
        kind = as_text(origin.get("kind"))
        if session.is_delegated or not kind or kind in _HUMAN_KINDS:
            return True
        return not (
            _NOT_HUMAN.search(kind) or any(name in origin for name in ("from", "server", "senderTaskId"))
        )


def _is_human(record: JsonObject) -> bool:
    return as_text(as_object(record.get("origin")).get("kind")) in _HUMAN_KINDS


def _keys(uuid: str) -> Iterator[str | None]:
    """Keys of a line's events: its uuid, then uuid#1, uuid#2; None throughout when it has no uuid."""
    n = 0
    while True:
        yield (f"{uuid}#{n}" if n else uuid) if uuid else None
        n += 1


def _subagent_meta(path: Path) -> JsonObject:
    """`agent_type` and `parent_tool_call` from the `.meta.json` beside a subagent's file, where there is
    one."""
    place = path.with_name(path.name.removesuffix(".zst").removesuffix(".jsonl") + ".meta.json")
    try:
        data = as_object(json.loads(place.read_bytes()[: 1 << 20]))
    except (OSError, ValueError, RecursionError):
        return {}
    meta: JsonObject = {}
    if agent_type := name_or_none(data.get("agentType")):
        meta["agent_type"] = agent_type
    if call_id := name_or_none(data.get("toolUseId")):
        meta["parent_tool_call"] = call_id
    return meta


def _copied_uuids(path: Path, context: ReadContext) -> frozenset[bytes]:
    """Marks of the lines that this file shares with an earlier session of the same folder.

    A fork starts with a copy of its parent, so both begin with the same message. Of two such files the one
    that was read before is the parent; else the one that was written to last is the fork.
    """
    first = context.first_uuid(path, _first_uuid)
    if first is None or path.parent.name == "subagents":
        return frozenset()
    copied: set[bytes] = set()
    own = _age(path)
    for sibling in context.siblings(path, "*.jsonl*"):
        if sibling == path or context.first_uuid(sibling, _first_uuid) != first:
            continue
        if context.is_known(sibling) or _age(sibling) < own:
            copied.update(_talk_uuids(sibling))
    return frozenset(copied)


def _age(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_mtime_ns, path.name
    except OSError:
        return 0, path.name


def _first_uuid(path: Path) -> str | None:
    """The mark of the first message of a session file, looked for in its first 200 lines."""
    return next((mark.hex() for mark in _talk_uuids(path, max_lines=200)), None)


def _talk_uuids(path: Path, max_lines: int | None = None) -> Iterator[bytes]:
    """The marks of a file's messages."""
    try:
        with open_bytes(path) as stream:
            for _ in count() if max_lines is None else range(max_lines):
                line = stream.readline(1 << 26)
                if not line:
                    return
                if b'"uuid"' not in line:
                    continue
                try:
                    record = as_object(json.loads(line))
                except (ValueError, RecursionError):
                    continue
                if as_text(record.get("type")) in ("user", "assistant") and as_text(record.get("uuid")):
                    yield _mark(record)
    except (OSError, EOFError, zstandard.ZstdError):
        return


def _mark(record: JsonObject) -> bytes:
    """Stands for a message in whatever file it is: a copy keeps its id and its time."""
    text = f"{as_text(record.get('uuid'))}\0{as_text(record.get('timestamp'))}"
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).digest()
