"""Builds session files as the assistants write them, and reads them back; shared by the transcript tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2 as sqlite

from penchant_daemon.capture.transcripts import BadLine, Progress, ReadContext, read
from penchant_daemon.wire import EventIn, SourceIn

Json = Any


@dataclass
class Reading:
    """All that one read of a file gave."""

    events: list[EventIn] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    cursor: SourceIn | None = None

    def said(self) -> list[tuple[str, str, str]]:
        """(kind, role, content) of everything but the sessions' beginnings."""
        return [(e.kind, e.role, e.content) for e in self.events if e.kind != "session_start"]

    def messages(self) -> list[tuple[str, str]]:
        return [(e.role, e.content) for e in self.events if e.kind == "message"]

    def titles(self) -> list[object]:
        return [e.meta["title"] for e in self.events if e.meta is not None and "title" in e.meta]

    def marks(self) -> list[tuple[str | None, str | None]]:
        return [(e.session, e.source_key) for e in self.events]


def reading(
    path: Path, cursor: SourceIn | None = None, context: ReadContext | None = None, name: str | None = None
) -> Reading:
    """Read a file from a cursor on."""
    result = Reading(cursor=cursor)
    for item in read(path, cursor, context, name):
        match item:
            case EventIn():
                result.events.append(item)
            case BadLine():
                result.bad.append(item)
            case Progress():
                result.cursor = item.source or result.cursor
                for reason, n in item.skipped.items():
                    result.skipped[reason] = result.skipped.get(reason, 0) + n
    return result


def write_lines(path: Path, records: Iterable[Json], end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(record) for record in records) + end, encoding="utf-8")
    return path


def append_lines(path: Path, records: Iterable[Json]) -> None:
    with path.open("a", encoding="utf-8") as stream:
        for record in records:
            stream.write(json.dumps(record) + "\n")


def write_json(path: Path, value: Json) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_database(path: Path, script: str, rows: Iterable[tuple[str, tuple[object, ...]]] = ()) -> Path:
    """A SQLite file made by `script`, then one statement with its values per row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite.connect(str(path))
    connection.executescript(script)
    for statement, values in rows:
        connection.execute(statement, values)
    connection.commit()
    connection.close()
    return path


def change_database(path: Path, rows: Iterable[tuple[str, tuple[object, ...]]]) -> None:
    connection = sqlite.connect(str(path))
    for statement, values in rows:
        connection.execute(statement, values)
    connection.commit()
    connection.close()


# -- Claude Code

CLAUDE_SESSION = "5f0c1b52-7f1d-4d5e-9d66-0d5f6e3b9a01"


def claude_line(kind: str, uuid: str, content: Json, second: int = 0, **more: Json) -> Json:
    """A line of the conversation; `second` after 2026-11-20 10:00 UTC."""
    return {
        "type": kind,
        "uuid": uuid,
        "sessionId": CLAUDE_SESSION,
        "timestamp": f"2026-11-20T10:{second // 60:02d}:{second % 60:02d}.000Z",
        "cwd": "/srv/shop",
        "isSidechain": False,
        "message": {"role": kind, "content": content},
        **more,
    }


def claude_session() -> list[Json]:
    """A small session: a prompt, an edit, its result, an answer, a title."""
    return [
        {"type": "permission-mode", "permissionMode": "default", "sessionId": CLAUDE_SESSION},
        claude_line("user", "u-1", "Fix the rounding in cart.py", 0),
        claude_line(
            "assistant",
            "a-1",
            [
                {"type": "thinking", "thinking": "Let me look.", "signature": "x"},
                {"type": "text", "text": "I round half up."},
                {"type": "tool_use", "id": "t-1", "name": "Edit", "input": {"file_path": "cart.py"}},
            ],
            5,
        ),
        claude_line("user", "u-2", [{"type": "tool_result", "tool_use_id": "t-1", "content": "ok"}], 6),
        claude_line("assistant", "a-2", [{"type": "text", "text": "Done."}], 9),
        {"type": "custom-title", "sessionId": CLAUDE_SESSION, "customTitle": "Cart rounding"},
    ]


# -- Codex

CODEX_SESSION = "019fc8be-3658-7ca3-9e29-3a1f0c5b7d11"


def codex_line(kind: str, payload: Json, second: int = 0) -> Json:
    return {
        "timestamp": f"2026-08-03T10:{second // 60:02d}:{second % 60:02d}.000Z",
        "type": kind,
        "payload": payload,
    }


def codex_meta(identifier: str, second: int = 0, **more: Json) -> Json:
    stamp = f"2026-08-03T10:{second // 60:02d}:{second % 60:02d}.000Z"
    payload = {"id": identifier, "timestamp": stamp, "cwd": "/srv/shop", "source": "cli", **more}
    return codex_line("session_meta", payload, second)


def codex_prompt(text: str, second: int) -> list[Json]:
    """A prompt as Codex writes it: what the model got, then what the person typed."""
    content = [{"type": "input_text", "text": text}]
    return [
        codex_line("response_item", {"type": "message", "role": "user", "content": content}, second),
        codex_line("event_msg", {"type": "user_message", "message": text, "images": []}, second),
    ]


def codex_answer(text: str, second: int) -> list[Json]:
    content = [{"type": "output_text", "text": text}]
    return [
        codex_line("event_msg", {"type": "agent_message", "message": text}, second),
        codex_line("response_item", {"type": "message", "role": "assistant", "content": content}, second),
    ]


def codex_rollout(folder: Path, identifier: str = CODEX_SESSION) -> Path:
    return folder / "sessions" / "2026" / "08" / "03" / f"rollout-2026-08-03T10-00-00-{identifier}.jsonl"
