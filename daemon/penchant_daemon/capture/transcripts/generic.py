"""Plain logs of role and content: JSONL of `{"role", "content"}`, of tool calls and results, or of
`{"messages"}`.

For sessions of programs that have no reader of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penchant_daemon.wire import EventIn, SourceIn

from .context import ReadContext
from .files import Skips, first_line, read_lines
from .records import Items, JsonObject, Malformed, as_list, as_object, as_text, first_text
from .segments import (
    RecentCalls,
    Session,
    Tally,
    name_or_none,
    present,
    result_text,
    session_of_file,
    spoken_text,
)
from .times import modified_at, utc_iso

AGENT = "generic"
_TIMES = ("timestamp", "created_at", "occurred_at", "time", "ts", "date")


def read(path: Path, cursor: SourceIn | None, context: ReadContext) -> Items:
    """The events of one log."""
    return read_lines(path, AGENT, cursor, lambda state: _Parser(path, state))


class _Parser:
    def __init__(self, path: Path, state: JsonObject) -> None:
        self._skips = Skips()
        stem = path.name.removesuffix(".zst").removesuffix(".jsonl")
        self._name = as_text(state.get("name")) or session_of_file(stem, first_line(path))
        self._calls = RecentCalls(state.get("calls"))
        self._seen = Tally(state.get("seen"))
        self._started: list[str] = [as_text(name) for name in as_list(state.get("started"))]
        self._occurred_at = as_text(state.get("occurred_at")) or modified_at(path)

    is_at_rest = True

    def finish(self) -> Iterator[EventIn]:
        return iter(())

    def skipped(self) -> dict[str, int]:
        return self._skips.take()

    def state(self) -> JsonObject:
        return {
            "name": self._name,
            "calls": self._calls.state(),
            "seen": self._seen.state(),
            "started": [*self._started[-64:]],
            "occurred_at": self._occurred_at,
        }

    def feed(self, record: JsonObject, number: int) -> Iterator[EventIn]:
        if isinstance(messages := record.get("messages"), list):
            yield from self._start(self._session(record, f"{self._name}:{number}"), map(as_object, messages))
        else:
            yield from self._start(self._session(record, self._name), iter([record]))

    def _session(self, record: JsonObject, default: str) -> Session:
        named = (record.get(name) for name in ("session", "session_id", "sessionId", "conversation_id"))
        agent = first_text(record.get("agent")) or AGENT
        session = Session(first_text(*named) or default, name_or_none(agent) or AGENT)
        session.work_in(first_text(record.get("cwd"), record.get("project")))
        session.seen = self._seen
        return session

    def _start(self, session: Session, records: Iterator[JsonObject]) -> Iterator[EventIn]:
        for record in records:
            moment = next(filter(None, (utc_iso(record.get(name)) for name in _TIMES)), None)
            self._occurred_at = session.occurred_at = moment or self._occurred_at
            for event in self._events(record, session):
                if session.id not in self._started:
                    self._started.append(session.id)
                    yield session.start()
                yield event

    def _events(self, record: JsonObject, session: Session) -> Iterator[EventIn]:
        role, kind = as_text(record.get("role")).lower(), as_text(record.get("type")).lower()
        key = name_or_none(record.get("id")) or name_or_none(record.get("uuid"))
        content = next(
            (record[name] for name in ("content", "message", "text", "parts") if name in record), None
        )
        if isinstance(content, dict) and "content" in content:
            content = content["content"]
        if kind in ("tool_call", "function_call"):
            name = first_text(record.get("name"), as_object(record.get("function")).get("name")) or "tool"
            call_id = name_or_none(first_text(record.get("call_id"), record.get("tool_call_id")))
            self._calls.add(call_id, name)
            yield session.call(name, record.get("arguments", record.get("input")), call_id)
        elif kind in ("tool_result", "function_result", "function_call_output") or role in (
            "tool",
            "function",
        ):
            call_id = name_or_none(first_text(record.get("call_id"), record.get("tool_call_id")))
            output = next((record[name] for name in ("result", "output") if name in record), content)
            yield session.result(
                result_text(output), as_text(record.get("name")) or self._calls.name(call_id), call_id
            )
        elif role in ("user", "human"):
            yield from present(session.user(spoken_text(content), key))
        elif role in ("assistant", "ai", "model", "bot"):
            yield from present(session.assistant(spoken_text(content), key))
            for entry in as_list(record.get("tool_calls")):
                function = as_object(as_object(entry).get("function"))
                call_id, name = name_or_none(as_object(entry).get("id")), as_text(function.get("name"))
                self._calls.add(call_id, name)
                yield session.call(name, function.get("arguments"), call_id)
        elif role in ("system", "developer"):
            self._skips.add("injected")
        elif kind:
            self._skips.add("other")
        else:
            raise Malformed("neither a role nor a type")
