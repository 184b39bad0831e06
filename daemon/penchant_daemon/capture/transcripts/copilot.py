"""Copilot CLI's event logs: `session-state/<id>/events.jsonl`, before 1.0.11 `session-state/<id>.jsonl`.

VS Code keeps logs of the same kind under `GitHub.copilot-chat/transcripts/`. A subagent's events stand in its
parent's log under the tool call that started it; they become a session of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from penchant_daemon.wire import EventIn, SourceIn

from .context import ReadContext
from .files import Skips, read_lines
from .records import Items, JsonObject, Malformed, as_list, as_object, as_text, first_text
from .segments import RecentCalls, Session, present, result_text, spoken_text
from .times import modified_at, utc_iso

AGENT = "copilot"
_PERSON = ("", "user", "cli", "human")


def read(path: Path, cursor: SourceIn | None, context: ReadContext) -> Items:
    """The events of one log."""
    agent = "vscode" if "GitHub.copilot-chat" in path.parts else AGENT
    return read_lines(path, agent, cursor, lambda state: _Parser(path, agent, state))


class _Parser:
    def __init__(self, path: Path, agent: str, state: JsonObject) -> None:
        self._agent = agent
        self._skips = Skips()
        self._calls = RecentCalls(state.get("calls"))
        self._id = as_text(state.get("session")) or (
            path.parent.name if path.name == "events.jsonl" else path.stem
        )
        self._cwd = as_text(state.get("cwd"))
        self._occurred_at = as_text(state.get("occurred_at")) or modified_at(path)
        self._started: list[str] = [as_text(name) for name in as_list(state.get("started"))]
        self._sessions: dict[str, Session] = {}
        self._title = _workspace_title(path)

    is_at_rest = True

    def finish(self) -> Iterator[EventIn]:
        return iter(())

    def skipped(self) -> dict[str, int]:
        return self._skips.take()

    def state(self) -> JsonObject:
        return {
            "calls": self._calls.state(),
            "session": self._id,
            "cwd": self._cwd,
            "occurred_at": self._occurred_at,
            "started": list(self._started),
        }

    def feed(self, record: JsonObject, number: int) -> Iterator[EventIn]:
        kind = as_text(record.get("type"))
        if not kind:
            raise Malformed("no type")
        data = record.get("data")
        if data is not None and not isinstance(data, dict):
            raise Malformed(f"{kind} event whose data is no object")
        self._occurred_at = utc_iso(record.get("timestamp")) or self._occurred_at
        for event in self._events(kind, as_object(data), as_text(record.get("id")) or None):
            if event.kind != "session_start" and event.session not in self._started:
                self._started.append(event.session or "")
                session = self._sessions[event.session or ""]
                yield session.start()
                if self._title and session.parent is None:
                    yield session.start(title=self._title)
            yield event

    def _session(self, data: JsonObject) -> Session:
        call_id = as_text(data.get("parentToolCallId"))
        identifier = f"{self._id}/{call_id}" if call_id else self._id
        session = self._sessions.get(identifier)
        if session is None:
            parent = self._id if call_id else None
            session = Session(identifier, self._agent, parent=parent, is_delegated=bool(call_id))
            self._sessions[session.id] = session
        session.work_in(self._cwd)
        session.occurred_at = self._occurred_at
        return session

    def _events(self, kind: str, data: JsonObject, identifier: str | None) -> Iterator[EventIn]:
        if kind in ("session.start", "session.resume"):
            if kind == "session.start":
                self._id = as_text(data.get("sessionId")) or self._id
            place = as_object(data.get("context"))
            self._cwd = first_text(place.get("cwd"), place.get("gitRoot")) or self._cwd
        elif kind in ("session.title_changed", "session.renamed"):
            if title := first_text(data.get("title"), data.get("name")):
                yield self._session(data).start(title=title)
        elif kind == "user.message":
            if as_text(data.get("source")).lower() not in _PERSON:
                self._skips.add("injected")
                return
            yield from present(self._session(data).user(spoken_text(data.get("content")), identifier))
        elif kind == "assistant.message":
            session = self._session(data)
            yield from present(session.assistant(spoken_text(data.get("content")), identifier))
            if as_text(data.get("reasoningText")):
                self._skips.add("thinking")
            for entry in as_list(data.get("toolRequests")):
                yield from self._call(session, as_object(entry), as_text(as_object(entry).get("name")))
        elif kind == "tool.execution_start":
            yield from self._call(self._session(data), data, as_text(data.get("toolName")))
        elif kind == "tool.execution_complete":
            call_id = as_text(data.get("toolCallId")) or None
            outcome = data.get("result", data.get("error"))
            text = first_text(as_object(outcome).get("content")) or result_text(outcome)
            is_error = data.get("success") is False
            yield self._session(data).result(
                text, self._calls.name(call_id), call_id, None if call_id else identifier, is_error
            )
        elif kind == "subagent.started":
            if title := first_text(data.get("agentDisplayName"), data.get("agentName")):
                call_id = as_text(data.get("toolCallId"))
                yield self._session({"parentToolCallId": call_id}).start(title=title)
        elif kind == "session.compaction_complete":
            yield from present(
                self._session(data).compaction(as_text(data.get("summaryContent")), identifier)
            )
        else:
            self._skips.add("thinking" if kind == "assistant.reasoning" else "other")

    def _call(self, session: Session, call: JsonObject, name: str) -> Iterator[EventIn]:
        """The call, once: the request and the start of its execution both tell of it."""
        call_id = as_text(call.get("toolCallId")) or None
        if call_id in self._calls:
            return
        self._calls.add(call_id, name)
        yield session.call(name, call.get("arguments"), call_id)


def _workspace_title(path: Path) -> str | None:
    """The title that Copilot CLI notes in the `workspace.yaml` beside the log."""
    try:
        text = (path.parent / "workspace.yaml").read_text("utf-8", errors="replace")[:65_536]
    except OSError:
        return None
    found = re.search(r"^(?:name|title|summary):[ \t]*(?![|>])(\S.*)$", text, re.MULTILINE)
    return found.group(1).strip().strip("'\"") or None if found else None
