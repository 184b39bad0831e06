"""Cursor's agent transcripts: `projects/<slug>/agent-transcripts/<id>/<id>.jsonl` and its `subagents/`.

The lines have no ids, times or tool results, and a resumed chat rewrites its file, so the file is read
whole and keys are made of what was said and how often.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from penchant_daemon.wire import EventIn, SourceIn

from .context import ReadContext
from .files import Skips, parse_lines, read_document
from .project import project_of_slug
from .records import BadLine, Items, JsonObject, as_object, as_text
from .segments import Session, present, result_text, visible_text
from .times import utc_iso

AGENT = "cursor"
_QUERY = re.compile(r"<user_query>\s*(.*?)\s*(?:</user_query>|\Z)", re.DOTALL)
_TIMESTAMP = re.compile(r"<timestamp>\s*(.*?)\s*</timestamp>\s*", re.DOTALL)
_OFFSET = re.compile(r"\s*\((?:UTC|GMT)([+-]\d{1,2})?(?::?(\d\d))?\)\s*\Z")


def read(path: Path, cursor: SourceIn | None, context: ReadContext) -> Items:
    """The events of one transcript file."""
    skips = Skips()
    return read_document(path, AGENT, cursor, lambda data, stat: _parse(path, data, stat, skips), skips)


def typed_text(text: str) -> str:
    """What the person typed: the bodies of the `<user_query>` tags, else the text without a `<timestamp>`."""
    queries = [query for query in _QUERY.findall(text) if query]
    return "\n".join(queries) if queries else _TIMESTAMP.sub("", text).strip()


def typed_at(text: str) -> str | None:
    """The time in a message's `<timestamp>`: ISO, Unix, or `Monday, Nov 23, 2026, 10:00 AM (UTC+1)`."""
    found = _TIMESTAMP.search(text)
    if found is None:
        return None
    written = found.group(1)
    return utc_iso(written) or _spelled_out(written)


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SPELLED = re.compile(
    r"(?:[A-Za-z]+,\s*)?([A-Za-z]{3})[a-z]*\.?\s+(\d{1,2}),?\s+(\d{4}),?\s+(?:at\s+)?(\d{1,2}):(\d\d)(?::(\d\d))?\s*([AaPp])?"
)


def _spelled_out(written: str) -> str | None:
    found = _SPELLED.match(written)
    if found is None or found.group(1).lower() not in _MONTHS:
        return None
    month, hour = _MONTHS.index(found.group(1).lower()) + 1, int(found.group(4))
    if found.group(7):
        hour = hour % 12 + (12 if found.group(7).lower() == "p" else 0)
    offset = _OFFSET.search(written)
    zone = "+00:00"
    if offset and offset.group(1):
        zone = f"{offset.group(1)[0]}{int(offset.group(1)[1:]):02d}:{offset.group(2) or '00'}"
    day, seconds = int(found.group(2)), found.group(6) or "00"
    return utc_iso(f"{found.group(3)}-{month:02d}-{day:02d}T{hour:02d}:{found.group(5)}:{seconds}{zone}")


def _parse(path: Path, data: bytes, stat: os.stat_result, skips: Skips) -> Iterator[EventIn | BadLine]:
    parent = _parent_of(path)
    session = Session(
        path.stem, AGENT, parent=parent, project=_project_of(path), is_delegated=parent is not None
    )
    session.occurred_at = utc_iso(stat.st_mtime)
    is_started = False
    for item in parse_lines(data, path):
        if isinstance(item, BadLine):
            yield item
            continue
        number, record = item
        role = as_text(record.get("role"))
        if role not in ("user", "assistant", "tool", "system"):
            if not as_text(record.get("type")):
                yield BadLine(str(path), number, "neither a role nor a type")
            skips.add("other")
            continue
        for event in _events(role, record, session, skips):
            if not is_started:
                is_started = True
                yield session.start()
            yield event


def _events(role: str, record: JsonObject, session: Session, skips: Skips) -> Iterator[EventIn]:
    message = record.get("message")
    content = as_object(message).get("content") if isinstance(message, dict) else message
    if content is None:
        content = record.get("content")
    if role == "system":
        skips.add("injected")
        return
    spoken: list[str] = []
    for block in content if isinstance(content, list) else [content]:
        kind = as_text(as_object(block).get("type")).replace("-", "_")
        if kind in ("tool_use", "tool_call"):
            yield from _spoken(role, spoken, session)
            spoken = []
            call = as_object(block)
            yield session.call(
                as_text(call.get("name")),
                call.get("input", call.get("args")),
                as_text(call.get("id")) or None,
            )
        elif kind == "tool_result" or role == "tool":
            result = as_object(block)
            output = result_text(result.get("content", result.get("result", block)))
            yield session.result(
                output, as_text(result.get("name")) or None, as_text(result.get("tool_use_id")) or None
            )
        elif kind in ("thinking", "redacted_thinking", "reasoning"):
            skips.add("thinking")
        elif text := visible_text(block):
            spoken.append(text)
    yield from _spoken(role, spoken, session)


def _spoken(role: str, parts: list[str], session: Session) -> Iterator[EventIn]:
    text = "\n".join(parts)
    if role == "assistant":
        yield from present(session.assistant(text))
        return
    if text.strip():
        session.occurred_at = typed_at(text) or session.occurred_at
        yield from present(session.user(typed_text(text)))


def _parent_of(path: Path) -> str | None:
    """The chat that a subagent's file belongs to: its folder's, or the one file beside that folder."""
    if path.parent.name != "subagents":
        return None
    folder = path.parent.parent
    if not (folder / f"{folder.name}.jsonl").exists():
        beside = list(folder.glob("*.jsonl"))
        if len(beside) == 1:
            return beside[0].stem
    return folder.name


def _project_of(path: Path) -> str | None:
    parts = path.parts
    if "agent-transcripts" not in parts:
        return None
    return project_of_slug(parts[parts.index("agent-transcripts") - 1])
