"""Codex's rollout files: `sessions/YYYY/MM/DD/rollout-<time>-<uuid>.jsonl`, also `.zst` and the flat lines
of 2025.

One message can stand in a rollout up to three times: as the model's input or output (`response_item`), as
what was shown (`event_msg`), and as a completed item. It is logged once, when it first comes up. A fork
replays its parent's lines: they belong to the parent, under the keys that the parent's own file gives them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard
from pydantic import JsonValue

from penchant_daemon.wire import EventIn, SourceIn

from .context import ReadContext
from .files import Skips, first_line, open_bytes, read_lines
from .records import Items, JsonObject, Malformed, as_list, as_object, as_text, first_text
from .segments import (
    RecentCalls,
    Session,
    Tally,
    digest,
    name_or_none,
    present,
    result_text,
    session_of_file,
    spoken_text,
    visible_text,
)
from .times import modified_at, unix_ms, utc_iso, uuid7_ms

AGENT = "codex"
INJECTED = (
    "<environment_context>",
    "# AGENTS.md instructions",
    "<user_instructions>",
    "<permissions instructions>",
    "<turn_aborted>",
    "<INSTRUCTIONS>",
    "<skill>",
    "<collaboration_mode>",
    "<subagent_notification>",
    "<user_shell_command>",
    "<app-context>",
)
_IDE_REQUEST = re.compile(
    r"\A# Context from my IDE setup:.*?^## My request for Codex:\s*$", re.DOTALL | re.MULTILINE
)
_REPLAY_SLACK_MS = 2_000  # a fork writes its replay at once; nobody types within this time
_ITEM_TYPES = frozenset(
    {
        "message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output",
        "local_shell_call", "web_search_call", "tool_search_call", "tool_search_output", "reasoning",
        "image_generation_call", "function_result", "tool_call", "tool_result", "agent_message",
        "ghost_snapshot",
    }
)  # fmt: skip
_ENVELOPES = frozenset(
    {
        "session_meta", "turn_context", "response_item", "event_msg", "compacted", "world_state",
        "inter_agent_communication_metadata",
    }
)  # fmt: skip


def read(path: Path, cursor: SourceIn | None, context: ReadContext) -> Items:
    """The events of one rollout file."""

    def parser(state: JsonObject) -> _Parser:
        # What was logged while it was live stays: a rollback that follows it later takes nothing back.
        return _Parser(path, state, [] if state else rolled_back_lines(path))

    return read_lines(path, AGENT, cursor, parser)


def person_text(text: str) -> str:
    """What the person typed of a prompt: without the editor's preamble; empty when the host wrote it all."""
    text = text.strip()
    if text.startswith(INJECTED):
        return ""
    return _IDE_REQUEST.sub("", text).strip() if text.startswith("# Context from my IDE setup:") else text


class SpokenOnce:
    """Tells the first appearance of a message from its repetition in another kind of line.

    Counts, per text, how often each kind of line has had it; a message is new when a kind gets ahead of
    what was logged. So two equal prompts are two messages, and one prompt in three kinds of line is one.
    """

    KINDS = ("event", "response", "item")

    def __init__(self, known: JsonValue = None) -> None:
        self._texts = Tally(known, len(self.KINDS))

    def key(self, owner: str, kind: str, role: str, text: str) -> str | None:
        """A key for the message when it is new, else None."""
        mark = digest(owner, role, text.strip())
        n_logged = self._texts.most(mark)
        n = self._texts.add(mark, self.KINDS.index(kind))
        if n <= n_logged:
            return None
        return f"{role}:{digest(role, text.strip())}:{n}"

    def state(self) -> JsonObject:
        return self._texts.state()


@dataclass(slots=True)
class _Pending:
    """A prompt from a response line, held until the next line shows whether the person typed it."""

    text: str
    occurred_at: str | None


class _Parser:
    def __init__(self, path: Path, state: JsonObject, dropped: list[tuple[int, int]]) -> None:
        self._skips = Skips()
        self._dropped = dropped
        self._once = SpokenOnce(state.get("once"))
        self._calls = RecentCalls(state.get("calls"))
        self._results: dict[str, None] = dict.fromkeys(as_text(i) for i in as_list(state.get("results")))
        self._metas: list[JsonObject] = [as_object(meta) for meta in as_list(state.get("metas"))]
        self._owner = as_text(state.get("owner"))
        self._started: list[str] = [as_text(name) for name in as_list(state.get("started"))]
        self._cwd = as_text(state.get("cwd"))
        self._has_typed = state.get("has_typed") is True
        self._has_replay = state.get("has_replay") is True
        self._fallback_id = as_text(state.get("name")) or session_of_file(
            session_of_name(path), first_line(path)
        )
        self._fallback_time = modified_at(path)
        self._occurred_at = as_text(state.get("occurred_at")) or None
        self._without_id = Tally(state.get("n_without_id"))
        self._sessions: dict[str, Session] = {}
        self._pending: _Pending | None = None

    @property
    def is_at_rest(self) -> bool:
        return self._pending is None

    def skipped(self) -> dict[str, int]:
        return self._skips.take()

    def state(self) -> JsonObject:
        return {
            "name": self._fallback_id,
            "once": self._once.state(),
            "calls": self._calls.state(),
            "results": [*list(self._results)[-64:]],
            "metas": list(self._metas),
            "owner": self._owner,
            "started": list(self._started),
            "cwd": self._cwd,
            "has_typed": self._has_typed,
            "has_replay": self._has_replay,
            "occurred_at": self._occurred_at,
            "n_without_id": self._without_id.state(),
        }

    def finish(self) -> Iterator[EventIn]:
        yield from self._started_first(self._flush())

    def feed(self, record: JsonObject, number: int) -> Iterator[EventIn]:
        events = self._events(record)
        if any(start <= number < end for start, end in self._dropped):
            self._skips.add("rolled_back", sum(1 for _ in events))
            return
        yield from self._started_first(events)

    def _started_first(self, events: Iterator[EventIn]) -> Iterator[EventIn]:
        for event in events:
            if event.session and event.session not in self._started and event.kind != "session_start":
                self._started.append(event.session)
                yield self._session().start()
            yield event

    def _events(self, record: JsonObject) -> Iterator[EventIn]:
        kind = as_text(record.get("type"))
        moment = utc_iso(record.get("timestamp", record.get("created_at")))
        self._occurred_at = moment or self._occurred_at
        payload = record.get("payload")
        if kind in _ENVELOPES:
            if not isinstance(payload, dict):
                raise Malformed(f"{kind} line without a payload object")
            yield from self._enveloped(kind, payload, moment)
        elif kind in _ITEM_TYPES:
            yield from self._item(record)
        elif as_text(record.get("role")):
            yield from self._message(record)
        elif "id" in record and "timestamp" in record and not kind:
            self._meta(record)
        elif not kind and "record_type" not in record:
            raise Malformed("neither a type nor a role")
        else:
            self._skips.add("other")

    def _enveloped(self, kind: str, payload: JsonObject, moment: str | None) -> Iterator[EventIn]:
        inner = as_text(payload.get("type"))
        if kind == "session_meta":
            self._meta(payload)
        elif kind == "turn_context":
            self._turn(as_text(payload.get("turn_id")), moment)
            self._cwd = as_text(payload.get("cwd")) or self._cwd
        elif kind == "response_item":
            yield from self._item(payload)
        elif kind == "compacted":
            yield from self._flush()
            session = self._session()
            text = as_text(payload.get("message"))
            yield from present(session.compaction(text, self._nth_key("compaction", text)))
        elif kind == "event_msg" and inner == "item_completed":
            yield from self._completed(as_object(payload.get("item")))
        elif kind == "event_msg":
            yield from self._shown(inner, payload, moment)
        else:
            self._skips.add("other")

    # -- whose lines these are

    def _meta(self, payload: JsonObject) -> None:
        identifier = name_or_none(payload.get("id")) or name_or_none(payload.get("session_id"))
        if identifier is None:
            raise Malformed("session_meta without an id")
        started_at = utc_iso(payload.get("timestamp")) or self._occurred_at
        meta: JsonObject = {
            "id": identifier,
            "started_ms": uuid7_ms(identifier) or unix_ms(started_at),
            "parent": _parent(payload),
            "is_delegated": _is_subagent(payload),
        }
        if not self._metas:
            self._owner = identifier
            self._has_replay = bool(payload.get("forked_from_id")) or _is_subagent(payload)
            self._metas.append(meta)
            self._cwd = as_text(payload.get("cwd")) or self._cwd
            self._occurred_at = self._occurred_at or started_at
        elif self._has_replay and all(known.get("id") != identifier for known in self._metas):
            self._metas.append(meta)
            self._owner = identifier

    def _turn(self, turn_id: str, moment: str | None) -> None:
        """A turn begins: it belongs to the youngest session that had begun by then."""
        if len(self._metas) < 2:
            return
        at = uuid7_ms(turn_id)
        own = self._metas[0]
        if at is None:
            line_ms, own_ms = unix_ms(moment), own.get("started_ms")
            if line_ms is not None and isinstance(own_ms, int) and line_ms > own_ms + _REPLAY_SLACK_MS:
                self._owner = as_text(own.get("id"))
            return
        begun: list[tuple[int, str]] = []
        for meta in self._metas:
            started_ms = meta.get("started_ms")
            if isinstance(started_ms, int) and started_ms <= at + 1_000:
                begun.append((started_ms, as_text(meta.get("id"))))
        if begun:
            self._owner = max(begun)[1]

    def _session(self) -> Session:
        identifier = self._owner or self._fallback_id
        session = self._sessions.get(identifier)
        if session is None:
            meta = next((meta for meta in self._metas if meta.get("id") == identifier), {})
            session = Session(
                identifier,
                AGENT,
                parent=as_text(meta.get("parent")) or None,
                is_delegated=meta.get("is_delegated") is True,
            )
            self._sessions[identifier] = session
        session.work_in(self._cwd)
        session.occurred_at = self._occurred_at or self._fallback_time
        return session

    def _nth_key(self, kind: str, text: str) -> str:
        mark = digest(self._owner, kind, text)
        n = self._without_id.add(mark)
        return f"{kind}:{digest(kind, text)}:{n}"

    # -- what was said

    def _flush(self) -> Iterator[EventIn]:
        """Settles the held prompt: in a log that also shows what was typed, one that was not shown was
        injected."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        session = self._session()
        key = self._once.key(session.id, "response", "user", pending.text)
        if key is None:
            return
        if self._has_typed and not session.is_delegated:
            self._skips.add("injected")
            return
        session.occurred_at = pending.occurred_at or session.occurred_at
        yield from present(session.user(pending.text, key))

    def _typed(self, kind: str, text: str) -> Iterator[EventIn]:
        text = person_text(text)
        if not text:
            self._skips.add("injected")
            return
        self._has_typed = True
        event = self._say(kind, "user", text)
        if self._pending is not None:
            # What the model got is this prompt, perhaps with the host's additions: it counts as told.
            self._pending = None
            self._once.key(self._session().id, "response", "user", text)
        yield from present(event)

    def _say(self, kind: str, role: str, text: str) -> EventIn | None:
        session = self._session()
        if not text.strip():
            return None
        key = self._once.key(session.id, kind, role, text)
        if key is None:
            return None
        return session.user(text, key) if role == "user" else session.assistant(text, key)

    def _message(self, payload: JsonObject) -> Iterator[EventIn]:
        role = as_text(payload.get("role"))
        content = payload.get("content", payload.get("message"))
        if role == "assistant":
            yield from self._flush()
            blocks = [visible_text(block) for block in as_list(content)]
            texts = [text for text in blocks if text and text != "[image]"]
            text = "\n".join(texts) if texts else spoken_text(content)
            event = self._say("response", "assistant", text)
            if len(texts) > 1:  # what was shown may repeat the parts one by one
                for part in texts:
                    self._once.key(self._session().id, "response", "assistant", part)
            yield from present(event)
        elif role == "user":
            yield from self._flush()
            text = person_text(spoken_text(content))
            if text and text != "[image]":
                self._pending = _Pending(text, self._occurred_at)
            else:
                self._skips.add("injected")
        elif role in ("system", "developer"):
            self._skips.add("injected")
        elif role == "tool":
            yield from self._flush()
            yield from self._result(payload.get("tool_call_id"), payload.get("name"), content)
        else:
            raise Malformed(f"message of unknown role {role!r}")

    def _shown(self, kind: str, payload: JsonObject, moment: str | None) -> Iterator[EventIn]:
        if kind == "user_message":
            yield from self._typed("event", as_text(payload.get("message")))
        elif kind == "agent_message":
            yield from self._flush()
            yield from present(self._say("event", "assistant", as_text(payload.get("message"))))
        elif kind == "task_started":
            self._turn(as_text(payload.get("turn_id")), moment)
        elif kind == "thread_name_updated":
            if title := as_text(payload.get("thread_name")).strip():
                yield self._session().start(title=title)
        elif kind == "mcp_tool_call_end":
            call = as_object(payload.get("invocation"))
            name = ".".join(filter(None, (as_text(call.get("server")), as_text(call.get("tool")))))
            outcome = as_object(payload.get("result"))
            output = outcome.get("Ok", outcome.get("Err"))
            yield from self._call_and_result(
                payload.get("call_id"), name, call.get("arguments"), as_object(output).get("content", output)
            )
        elif kind == "dynamic_tool_call_response":
            yield from self._call_and_result(
                payload.get("call_id"), as_text(payload.get("tool")), payload.get("arguments"),
                payload.get("content_items"),
            )  # fmt: skip
        elif kind == "agent_reasoning":
            self._skips.add("thinking")
        else:
            self._skips.add("other")

    def _completed(self, item: JsonObject) -> Iterator[EventIn]:
        kind, identifier = as_text(item.get("type")), item.get("id")
        if kind == "UserMessage":
            yield from self._typed("item", spoken_text(item.get("content")))
            return
        if kind not in ("AgentMessage", "Plan", "CommandExecution", "McpToolCall", "FileChange"):
            self._skips.add("thinking" if kind == "Reasoning" else "other")
            return
        yield from self._flush()
        if kind == "AgentMessage":
            yield from present(self._say("item", "assistant", spoken_text(item.get("content"))))
        elif kind == "Plan":
            yield from present(self._say("item", "assistant", as_text(item.get("text"))))
        elif kind == "CommandExecution":
            arguments: JsonObject = {"command": item.get("command"), "cwd": item.get("cwd")}
            output = first_text(
                item.get("aggregated_output"), item.get("stdout"), item.get("formatted_output")
            )
            yield from self._call_and_result(identifier, "shell", arguments, output or "")
        elif kind == "McpToolCall":
            name = ".".join(filter(None, (as_text(item.get("server")), as_text(item.get("tool")))))
            outcome = as_object(item.get("result"))
            yield from self._call_and_result(
                identifier, name, item.get("arguments"), outcome.get("content", outcome)
            )
        elif kind == "FileChange":
            yield from self._call_and_result(
                identifier, "apply_patch", {"changes": item.get("changes")}, as_text(item.get("stdout"))
            )

    def _item(self, payload: JsonObject) -> Iterator[EventIn]:
        kind = as_text(payload.get("type"))
        if kind == "message":
            yield from self._message(payload)
            return
        if kind == "reasoning":
            self._skips.add("thinking")
            return
        if kind in ("agent_message", "ghost_snapshot", "compaction"):
            self._skips.add("other")
            return
        yield from self._flush()
        if kind in ("function_call", "custom_tool_call", "tool_call", "local_shell_call", "tool_search_call"):
            name = first_text(payload.get("name"), as_object(payload.get("function")).get("name"))
            arguments = next(
                (
                    payload[field]
                    for field in ("arguments", "input", "action")
                    if payload.get(field) is not None
                ),
                None,
            )
            yield self._call(
                payload.get("call_id", payload.get("id")), name or kind.removesuffix("_call"), arguments
            )
        elif kind in ("function_call_output", "custom_tool_call_output", "function_result", "tool_result",
                      "tool_search_output"):  # fmt: skip
            output = next(
                (payload[field] for field in ("output", "result", "tools") if field in payload), None
            )
            yield from self._result(payload.get("call_id"), payload.get("name"), output)
        elif kind in ("web_search_call", "image_generation_call"):
            detail: JsonValue = payload.get("action") or {"prompt": payload.get("revised_prompt")}
            yield self._call(payload.get("id"), kind.removesuffix("_call"), detail)
        else:
            self._skips.add("other")

    def _call(self, call_id: JsonValue, name: str, arguments: JsonValue) -> EventIn:
        identifier = name_or_none(call_id)
        self._calls.add(identifier, name)
        session = self._session()
        key = None if identifier else self._nth_key("call", f"{name}\0{json.dumps(arguments)}")
        return session.call(name, arguments, identifier, key)

    def _result(self, call_id: JsonValue, name: JsonValue, output: JsonValue) -> Iterator[EventIn]:
        identifier = name_or_none(call_id)
        if identifier is not None:
            if identifier in self._results:
                return
            self._results[identifier] = None
            if len(self._results) > 1024:
                del self._results[next(iter(self._results))]
        text = _output_text(output)
        session = self._session()
        known = name_or_none(name) or self._calls.name(identifier)
        key = None if identifier else self._nth_key("result", f"{known}\0{text}")
        yield session.result(text, known, identifier, key)

    def _call_and_result(
        self, call_id: JsonValue, name: str, arguments: JsonValue, output: JsonValue
    ) -> Iterator[EventIn]:
        """A call that is told with its result; nothing when the model's own lines tell of it already."""
        identifier = name_or_none(call_id)
        if identifier is not None and identifier in self._calls:
            return
        yield from self._flush()
        yield self._call(identifier, name or "tool", arguments)
        yield from self._result(identifier, name, output)


def _output_text(output: JsonValue) -> str:
    """A tool output's text; 2025's shell wrapped it as the JSON text `{"output": ..., "metadata": ...}`."""
    if isinstance(output, str) and output.startswith('{"output":'):
        try:
            inner = as_object(json.loads(output)).get("output")
        except (ValueError, RecursionError):
            return output
        return inner if isinstance(inner, str) else output
    return result_text(output)


def _parent(payload: JsonObject) -> str | None:
    spawn = as_object(as_object(as_object(payload.get("source")).get("subagent")).get("thread_spawn"))
    return (
        name_or_none(payload.get("parent_thread_id"))
        or name_or_none(spawn.get("parent_thread_id"))
        or name_or_none(payload.get("forked_from_id"))
    )


def _is_subagent(payload: JsonObject) -> bool:
    return "subagent" in as_object(payload.get("source")) or bool(payload.get("parent_thread_id"))


def session_of_name(path: Path) -> str:
    """The UUID that ends a rollout's file name, else the name."""
    stem = path.name.removesuffix(".zst").removesuffix(".jsonl")
    found = re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z", stem)
    return found.group(0) if found else stem


def rolled_back_lines(path: Path) -> list[tuple[int, int]]:
    """Ranges of lines [start, end) of the turns that the person took back later in the same file.

    A turn starts with the line that shows its prompt; the end is the line that rolls it back.
    """
    starts: list[int] = []
    dropped: list[tuple[int, int]] = []
    has_events = False
    try:
        with open_bytes(path) as stream:
            if not any(b"thread_rolled_back" in line for line in stream):
                return []
        with open_bytes(path) as stream:
            number = 0
            while line := stream.readline(1 << 26):
                number += 1
                is_event = b'"user_message"' in line
                if not is_event and b'"UserMessage"' not in line and b"thread_rolled_back" not in line:
                    continue
                try:
                    payload = as_object(as_object(json.loads(line)).get("payload"))
                except (ValueError, RecursionError):
                    continue
                kind = as_text(payload.get("type"))
                if kind == "user_message":
                    has_events = True
                    starts.append(number)
                elif kind == "item_completed" and not has_events:
                    if as_text(as_object(payload.get("item")).get("type")) == "UserMessage":
                        starts.append(number)
                elif kind == "thread_rolled_back":
                    n_turns = payload.get("num_turns")
                    for _ in range(n_turns if isinstance(n_turns, int) and 0 < n_turns < 100_000 else 0):
                        if starts:
                            dropped.append((starts.pop(), number))
    except (OSError, EOFError, zstandard.ZstdError):
        return dropped
    return dropped
