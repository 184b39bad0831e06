"""What an assistant's hook says, as events: which host called, which turn it is about, and who spoke.

The same settings file fires in several hosts, and hosts give the same fields other names, so the host is told
by what only it sends. Standard library only: this runs at every prompt of every assistant.
"""

from __future__ import annotations

import json
import zlib

from penchant_daemon.hook_names import BEFORE_WORK, canonical

TYPE_CHECKING = False  # type checkers take it for typing's, whose import would cost 3 ms
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

    Json: TypeAlias = Any  # what json.loads gives
    Event: TypeAlias = dict[str, Any]

MAX_MESSAGE_CHARS: Final = 1_000_000  # `wire.MAX_CONTENT_CHARS`, which is not imported for its price
MAX_TOOL_CHARS: Final = 200_000  # a call and its result go in one body of at most 10 MB
MAX_NAME_CHARS: Final = 4_096
MAX_PROMPT_CHARS: Final = 100_000
_NO_CONTROL: Final = dict.fromkeys((*range(32), 127))


class Call:
    """One hook call, understood.

    :param host: claude-code, codex, cursor, vscode, copilot, gemini, windsurf, goose, devin or hook.
    :param event: Claude Code's name of the hook; `event_name` is the host's own.
    :param prompt: what context is asked for; at a session's start the reason.
    """

    __slots__ = ("event", "event_name", "events", "host", "project", "prompt", "session")

    def __init__(
        self,
        *,
        host: str,
        event: str,
        event_name: str,
        session: str | None,
        project: str | None,
        events: list[Event],
        prompt: str,
    ) -> None:
        self.host = host
        self.event = event
        self.event_name = event_name
        self.session = session
        self.project = project
        self.events = events
        self.prompt = prompt


def host_of(payload: Event, given: str | None = None) -> str:
    """Which assistant called, by fields that only it sends, then by where its transcript lies.

    :param given: what the settings say (`--agent`), for hosts that send nothing of their own.
    """
    if "cursor_version" in payload or "conversation_id" in payload:
        return "cursor"
    if "trajectory_id" in payload or "agent_action_name" in payload:
        return "windsurf"
    place = str(payload.get("transcript_path") or payload.get("transcriptPath") or "").replace("\\", "/")
    for folder, host in _FOLDERS:
        if folder in place:
            return host
    if "hookEventName" in payload:
        return "vscode"
    if "sessionId" in payload:
        return (
            "copilot"
            if isinstance(payload.get("timestamp"), int) or "hookEventName" not in payload
            else "vscode"
        )
    if "turn_id" in payload:
        return "codex"
    if "working_dir" in payload and "event" in payload:
        return "goose"
    if given:
        return given
    if "permission_mode" in payload or "prompt_id" in payload:
        return "claude-code"
    name = str(payload.get("hook_event_name", ""))
    if name in ("BeforeAgent", "AfterAgent", "AfterTool", "PreCompress"):
        return "gemini"
    return "claude-code" if name else "hook"


_FOLDERS: Final = (
    ("/.claude/", "claude-code"),
    ("/.codex/", "codex"),
    ("/.gemini/", "gemini"),
    ("/.cursor/", "cursor"),
    ("/.copilot/", "copilot"),
    ("/devin/", "devin"),
    ("/workspaceStorage/", "vscode"),
    ("/globalStorage/", "vscode"),
)


def understood(
    payload: Event, event: str | None, now: str, agent: str | None, place: str | None
) -> Call | None:
    """The call with its events; None when it names no hook that is taken.

    :param event: the hook's name as the settings give it; what the host itself says comes first.
    :param now: UTC ISO-8601, when the call came.
    :param agent: the host's name as the settings give it.
    :param place: the host's project directory from its environment.
    """
    said = _first(payload, "hook_event_name", "hookEventName", "agent_action_name", "event")
    kind = canonical(said) if said else None
    if kind is None:
        said, kind = event or "", canonical(event or "")
    if kind is None:
        return None
    host = host_of(payload, agent)
    session = _name(_first(payload, "session_id", "sessionId", "conversation_id", "trajectory_id"))
    parent = None
    subagent = _name(_first(payload, "agent_id", "agentId"))
    if subagent is not None and subagent != session:
        parent = session
        session = subagent if subagent.startswith("agent-") else f"agent-{subagent}"
    roots = payload.get("workspace_roots")
    project = _name(place if host == "claude-code" and place else None)
    project = project or _name(roots[0] if isinstance(roots, list) and roots else None)
    project = project or _name(_first(payload, "cwd", "working_dir"))
    turn = _name(_first(payload, "prompt_id", "turn_id", "generation_id"))
    maker = _Maker(host, session, parent, project, turn, now)
    events = maker.events(kind, payload)
    prompt = ""
    if kind == "UserPromptSubmit":
        prompt = _prompt(payload)
    elif kind == "SessionStart":
        prompt = _first(payload, "source", "reason") or "startup"
    return Call(
        host=host, event=kind, event_name=said, session=session, project=project, events=events, prompt=prompt
    )


def answer(call: Call, context: str) -> str:
    """What the host expects on standard output to add a context; empty where it takes none."""
    if not context:
        return ""
    if call.host == "cursor":
        return json.dumps({"additional_context": context})
    if call.host == "copilot" and call.event_name[:1].islower():
        return json.dumps({"additionalContext": context}) if call.event == "SessionStart" else ""
    if call.host in ("windsurf", "goose"):
        return ""  # nothing that these print reaches the model
    # Codex refuses unknown keys: nothing more than these.
    return json.dumps(
        {"hookSpecificOutput": {"hookEventName": call.event_name or call.event, "additionalContext": context}}
    )


def takes_context(call: Call) -> bool:
    """Whether the host would use a context here at all."""
    return call.event in BEFORE_WORK and bool(answer(call, "x"))


def context_request(call: Call) -> Event:
    """What `POST /v1/context` is asked for the call."""
    request: Event = {"event": call.event, "prompt": call.prompt[:MAX_PROMPT_CHARS]}
    for name, value in (("session", call.session), ("project", call.project)):
        if value:
            request[name] = value
    return request


class _Maker:
    """Builds the events of one call; each has a key by which a second delivery is known."""

    def __init__(
        self,
        host: str,
        session: str | None,
        parent: str | None,
        project: str | None,
        turn: str | None,
        now: str,
    ) -> None:
        self._host = host
        self._session = session
        self._parent = parent
        self._project = project
        self._turn = turn
        self._now = now

    def events(self, kind: str, payload: Event) -> list[Event]:
        if kind == "SessionStart":
            reason = _first(payload, "source", "reason") or "startup"
            meta = {"reason": reason, "model": _first(payload, "model")}
            return [
                self._event("session_start", "system", reason, f"start:{reason}", by_text=True, meta=meta)
            ]
        if kind == "SessionEnd":
            reason = _first(payload, "reason", "status") or "other"
            return [self._event("session_end", "system", reason, f"end:{reason}", by_text=True)]
        if kind == "UserPromptSubmit":
            return self._message("user", _prompt(payload), f"prompt:{self._turn}")
        if kind in ("Stop", "SubagentStop"):
            text = _first(payload, "last_assistant_message", "prompt_response", "response", "text")
            text = text or _text(_object(payload.get("tool_info")).get("response"))
            # A turn can stop more than once; each time it says something else.
            return self._message("assistant", text, f"stop:{self._turn}:{_digest(text)}")
        if kind == "PreCompact":
            trigger = _first(payload, "trigger") or "auto"
            notes = _first(payload, "custom_instructions")
            text = f"{trigger}: {notes}" if notes else trigger
            return [self._event("compaction", "system", text, f"precompact:{trigger}", by_text=True)]
        if kind == "PostCompact":
            text = _first(payload, "compact_summary", "summary")
            return (
                [self._event("compaction", "system", text, f"postcompact:{_digest(text)}", by_text=True)]
                if text
                else []
            )
        return self._tool(payload, is_failure=kind == "PostToolUseFailure")

    def _message(self, role: str, text: str, key: str) -> list[Event]:
        text = text.strip()
        return [self._event("message", role, text, key, by_text=self._turn is None)] if text else []

    def _tool(self, payload: Event, is_failure: bool) -> list[Event]:
        info = _object(payload.get("tool_info"))
        name = (
            _name(_first(payload, "tool_name", "toolName")) or _name(_first(info, "mcp_tool_name")) or "tool"
        )
        call_id = _name(_first(payload, "tool_use_id", "toolUseId", "tool_call_id", "toolCallId"))
        arguments = _present(payload, "tool_input", "toolArgs", "tool_args", "edits")
        if "edits" in payload and arguments is payload["edits"]:  # Cursor's afterFileEdit
            name, arguments = "edit_file", {"file_path": payload.get("file_path"), "edits": arguments}
        if arguments is None and info:
            arguments = {
                key: value for key, value in info.items() if key not in ("response", "stdout", "result")
            }
            name = {"file_path": "edit_file", "command_line": "run_command"}.get(
                next(iter(arguments), ""), name
            )
        output = _present(
            payload, "tool_response", "tool_output", "toolResult", "tool_result", "error", "error_message"
        )
        if output is None and info:
            output = _present(info, "response", "stdout", "result")
        if isinstance(output, str) and self._host == "cursor":
            output = _json_or_text(output)
        text = arguments_text(arguments)
        call = self._event(
            "tool_call", "assistant", f"{name} {text}", f"call:{call_id}", by_text=call_id is None
        )
        result = self._event(
            "tool_result",
            "tool",
            result_text(output),
            f"result:{call_id}",
            by_text=call_id is None,
            meta={"is_error": True} if is_failure or _object(output).get("is_error") is True else None,
        )
        for event in (call, result):
            event["tool_name"] = name
            if call_id is not None:
                event["tool_call_id"] = call_id
        return [call, result]

    def _event(
        self, kind: str, role: str, text: str, key: str, *, by_text: bool, meta: dict[str, Json] | None = None
    ) -> Event:
        limit = MAX_MESSAGE_CHARS if kind in ("message", "compaction") else MAX_TOOL_CHARS
        content, n_cut = _cut(text, limit)
        known = {name: value for name, value in (meta or {}).items() if value not in (None, "")}
        if n_cut:
            known["cut_chars"] = n_cut
        event: Event = {
            "kind": kind,
            "role": role,
            "content": content,
            "agent": self._host,
            "occurred_at": self._now,
            "channel": "hook",
            # `text:` says that the host gave no id of its own: equal texts within moments are one turn.
            "source_key": f"text:{_digest(kind + role + text)}" if by_text else key,
        }
        for name, value in (
            ("session", self._session),
            ("project", self._project),
            ("parent_session", self._parent),
            ("meta", known),
        ):
            if value:
                event[name] = value
        return event


def arguments_text(arguments: Json) -> str:
    """A tool call's arguments as one line of JSON; a string is kept as the host wrote it."""
    if arguments is None:
        return "{}"
    return arguments if isinstance(arguments, str) else _compact(arguments)


def result_text(value: Json) -> str:
    """A tool's output as text: its readable text, else its JSON. As the transcripts' readers write it."""
    text = _visible(value)
    if text or value in (None, "", [], {}):
        return text
    for name in ("output", "content", "stdout", "text", "value", "message", "error"):
        inner = _object(value).get(name)
        if isinstance(inner, str) and inner:
            return inner
        if isinstance(inner, list) and (text := _visible(inner)):
            return text
    return _compact(value)


def _visible(content: Json) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(part for part in map(_visible, content) if part)
    block = _object(content)
    kind = _text(block.get("type"))
    if "image" in kind or "inlineData" in block:
        return "[image]"
    if kind == "document":
        return "[document]"
    if kind in ("content", "resource", "tool_result", "embedded_resource"):
        return _visible(block.get("content", block.get("resource", block.get("text"))))
    return _text(block.get("text"))


def _prompt(payload: Event) -> str:
    text = _first(payload, "prompt", "user_prompt", "userPrompt")
    return text or _text(_object(payload.get("tool_info")).get("user_prompt"))


def _first(payload: Event, *names: str) -> str:
    """The first of the fields that is a text with something in it, else an empty text."""
    for name in names:
        value = payload.get(name)
        if isinstance(value, str) and value.strip():
            return value
    return ""


def _present(payload: Event, *names: str) -> Json:
    return next((payload[name] for name in names if payload.get(name) is not None), None)


def _object(value: Json) -> Event:
    return value if isinstance(value, dict) else {}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _name(value: Json) -> str | None:
    """An identifier as the wire takes it: no control characters, not too long; None when blank."""
    if not isinstance(value, str):
        return None
    value = value.translate(_NO_CONTROL).strip()
    if len(value) > MAX_NAME_CHARS:
        value = value[: MAX_NAME_CHARS - 17] + "~" + _digest(value)
    return value or None


def _cut(text: str, limit: int) -> tuple[str, int]:
    if len(text) <= limit:
        return text, 0
    kept = limit - 120
    return f"{text[:kept]}\n[cut by Penchant: {len(text) - kept:,} more characters were left out here]", len(
        text
    ) - kept


def _compact(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _json_or_text(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _digest(text: str) -> str:
    """A short mark of a text; not a cryptographic one, whose import costs 3 ms."""
    data = text.encode("utf-8", "replace")
    return f"{zlib.crc32(data):08x}{zlib.adler32(data):08x}{len(data):x}"


__all__ = [
    "Call",
    "answer",
    "arguments_text",
    "context_request",
    "host_of",
    "result_text",
    "takes_context",
    "understood",
]
