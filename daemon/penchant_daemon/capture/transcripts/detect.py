"""Tells which reader understands a file: by where it lies, else by what its first lines look like."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import zstandard
from pydantic import JsonValue
from sqlcipher3 import dbapi2 as sqlite

from .databases import is_database, open_read_only, tables
from .files import open_bytes
from .opencode import is_tree
from .records import JsonObject, as_list, as_object, as_text

_SNIFFED_BYTES = 256 * 1024
_SNIFFED_LINE_BYTES = 16 * 1024 * 1024
_SNIFFED_LINES = 40
_NEVER = ("history.jsonl", "session_index.jsonl", "workspace.json", "package.json", "settings.json")
_CLAUDE_TYPES = frozenset(
    {
        "user", "assistant", "system", "summary", "attachment", "tool_use", "tool_result",
        "queue-operation", "mode", "file-history-snapshot", "permission-mode", "custom-title", "ai-title",
        "progress", "last-prompt", "agent-name",
    }
)  # fmt: skip
_CODEX_TYPES = frozenset(
    {"session_meta", "response_item", "event_msg", "turn_context", "world_state", "compacted"}
)
_CODEX_FLAT = frozenset({"function_call", "function_call_output", "reasoning", "custom_tool_call", "message"})
_GENERIC_ROLES = frozenset(
    {"user", "assistant", "system", "tool", "human", "ai", "developer", "model", "function"}
)


def detect(path: Path) -> str | None:
    """The name of the reader for a file (or, for opencode's `storage/`, a folder); None when there is none.

    :raises OSError: when the file cannot be read.
    """
    if path.is_dir():
        return "opencode-tree" if is_tree(path) else None
    if not path.is_file():
        return None  # gone, or a pipe, which would never end
    name = path.name
    if name in _NEVER or name.endswith(".meta.json"):
        return None
    if is_database(path):
        return _of_database(path)
    if name.endswith(".traj"):
        return "swe-agent"
    if name.endswith((".jsonl", ".jsonl.zst")):
        return _of_lines(path)
    if name.endswith(".json"):
        return _of_document(path)
    return None


def _of_database(path: Path) -> str | None:
    try:
        with open_read_only(path) as connection:
            known = tables(connection)
    except sqlite.Error:
        # Damaged: the name decides who reports it.
        by_name = {
            "state.vscdb": "cursor-store",
            "opencode.db": "opencode",
            "thread_history_1.sqlite": "codex-threads",
        }
        return by_name.get(path.name)
    if "thread_items" in known:
        return "codex-threads"
    if "cursorDiskKV" in known or ("ItemTable" in known and path.name == "state.vscdb"):
        return "cursor-store"
    if "session_message" in known or {"session", "message"} <= set(known):
        return "opencode"
    return None


def _first_objects(path: Path) -> Iterator[JsonObject]:
    """The objects among the first lines, which can hold pasted images: the budget is of bytes and of lines."""
    n_left = _SNIFFED_LINE_BYTES
    with open_bytes(path) as stream:
        for _ in range(_SNIFFED_LINES):
            try:
                raw = stream.readline(n_left)
            except (zstandard.ZstdError, EOFError):
                return
            n_left -= len(raw)
            if not raw or n_left <= 0:
                return
            try:
                value: JsonValue = json.loads(raw.strip(b"\0 \t\r\n").decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield value


def _of_lines(path: Path) -> str | None:
    parts = set(path.parts)
    if path.name.startswith("rollout-"):
        return "codex"
    if path.parent.name == "subagents" and path.stem.startswith("agent-"):
        return "claude-code"
    if "agent-transcripts" in parts:
        return "cursor"
    if path.parent.name in ("chatSessions", "emptyWindowChatSessions"):
        return "vscode"
    if "session-state" in parts or "GitHub.copilot-chat" in parts:
        return "copilot"
    is_empty = True
    for record in _first_objects(path):
        is_empty = False
        for name, fits in _SIGNS:
            if fits(record):
                return _refined(name, parts)
    if is_empty and ".claude" in parts:
        return "claude-code"
    return None


def _refined(name: str, parts: set[str]) -> str:
    """Codex's first logs look like plain ones: there the folder decides."""
    return "codex" if name == "generic" and parts & {"codex", ".codex"} else name


def _is_claude(record: JsonObject) -> bool:
    kind = as_text(record.get("type"))
    if kind not in _CLAUDE_TYPES and "parentUuid" not in record:
        return False
    has_mark = any(
        name in record for name in ("sessionId", "session_id", "uuid", "leafUuid", "parentUuid", "snapshot")
    )
    return has_mark and "data" not in record


def _is_codex(record: JsonObject) -> bool:
    kind = as_text(record.get("type"))
    if kind in _CODEX_TYPES:
        return isinstance(record.get("payload"), dict)
    if kind == "message":
        return "role" in record and isinstance(record.get("content"), list)
    if kind in _CODEX_FLAT:
        return "call_id" in record or "encrypted_content" in record or kind == "reasoning"
    return "record_type" in record or ("instructions" in record and "timestamp" in record and "id" in record)


def _is_copilot(record: JsonObject) -> bool:
    kind = as_text(record.get("type"))
    return isinstance(record.get("data"), dict) and kind.partition(".")[0] in (
        "session", "user", "assistant", "tool", "subagent", "hook", "system",
    )  # fmt: skip


def _is_gemini(record: JsonObject) -> bool:
    return (
        "$set" in record
        or "$rewindTo" in record
        or ("sessionId" in record and "projectHash" in record)
        or (as_text(record.get("type")) == "gemini")
    )


def _is_vscode(record: JsonObject) -> bool:
    return record.get("kind") == 0 and isinstance(record.get("v"), dict)


def _is_cursor(record: JsonObject) -> bool:
    message = as_object(record.get("message"))
    return "role" in record and "type" not in record and isinstance(message.get("content"), list)


def _is_generic(record: JsonObject) -> bool:
    if as_text(record.get("role")).lower() in _GENERIC_ROLES:
        return any(name in record for name in ("content", "message", "text", "parts"))
    return any("role" in as_object(message) for message in as_list(record.get("messages"))[:3])


_SIGNS: tuple[tuple[str, Callable[[JsonObject], bool]], ...] = (
    ("codex", _is_codex),
    ("copilot", _is_copilot),
    ("gemini", _is_gemini),
    ("vscode", _is_vscode),
    ("claude-code", _is_claude),
    ("cursor", _is_cursor),
    ("generic", _is_generic),
)


def _of_document(path: Path) -> str | None:
    parts = set(path.parts)
    if path.parent.name in ("chatSessions", "emptyWindowChatSessions"):
        return "vscode"
    if "chats" in parts and path.name.startswith("session-"):
        return "gemini"
    with path.open("rb") as stream:
        head = stream.read(_SNIFFED_BYTES)
    if b'"requests"' in head and (b'"responderUsername"' in head or b'"creationDate"' in head):
        return "vscode"
    if b'"sessionId"' in head and b'"projectHash"' in head:
        return "gemini"
    if b'"history"' in head and b'"parts"' in head and b'"role"' in head:
        return "gemini"
    if b'"trajectory"' in head and (b'"history"' in head or b'"observation"' in head):
        return "swe-agent"
    return None
