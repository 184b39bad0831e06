"""Reads the session files of coding assistants as events.

`read` yields, in order, the events of one file, the lines that could not be read, and the points at which
reading can be taken up again. A reader never raises for what a file contains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from penchant_daemon.wire import EventIn, SourceIn

from . import (
    claude_code,
    codex,
    codex_threads,
    copilot,
    cursor,
    cursor_store,
    gemini,
    generic,
    opencode,
    swe_agent,
    vscode,
)
from .context import ReadContext, can_be_noted
from .databases import is_store_unchanged
from .detect import detect
from .files import is_unchanged
from .records import BadLine, Item, Progress

__all__ = [
    "PARSERS",
    "BadLine",
    "Item",
    "Parser",
    "Progress",
    "ReadContext",
    "can_be_noted",
    "detect",
    "is_up_to_date",
    "read",
]


@dataclass(frozen=True, slots=True)
class Parser:
    """One format: which assistant wrote it, and its reader. `is_store`: SQLite, which changes without new
    files."""

    name: str
    agent: str
    read: Callable[[Path, SourceIn | None, ReadContext], Iterator[Item]]
    is_store: bool = False


PARSERS: Mapping[str, Parser] = MappingProxyType(
    {
        parser.name: parser
        for parser in (
            Parser("claude-code", claude_code.AGENT, claude_code.read),
            Parser("codex", codex.AGENT, codex.read),
            Parser("codex-threads", codex.AGENT, codex_threads.read, is_store=True),
            Parser("cursor", cursor.AGENT, cursor.read),
            Parser("cursor-store", cursor.AGENT, cursor_store.read, is_store=True),
            Parser("gemini", gemini.AGENT, gemini.read),
            Parser("copilot", copilot.AGENT, copilot.read),
            Parser("vscode", vscode.AGENT, vscode.read),
            Parser("opencode", opencode.AGENT, opencode.read, is_store=True),
            Parser("opencode-tree", opencode.AGENT, opencode.read_tree),
            Parser("swe-agent", swe_agent.AGENT, swe_agent.read),
            Parser("generic", generic.AGENT, generic.read),
        )
    }
)


def is_up_to_date(path: Path, parser: Parser, cursor: SourceIn | None) -> bool:
    """Whether the cursor says that nothing was written since it was made."""
    if cursor is None:
        return False
    return is_store_unchanged(path, cursor) if parser.is_store else is_unchanged(path, cursor)


def read(
    path: Path, cursor: SourceIn | None = None, context: ReadContext | None = None, name: str | None = None
) -> Iterator[EventIn | BadLine | Progress]:
    """The events of a transcript, from the cursor on.

    :param cursor: what the last `Progress` of an earlier read gave; None reads from the start.
    :param context: shared by the reads of one import; it tells a fork's copied lines from the original.
    :param name: the format (a key of `PARSERS`); by default it is detected.
    :return: nothing when no reader knows the file, or when it has not changed since the cursor.
    """
    if not can_be_noted(path):
        yield BadLine(str(path), 0, "its path holds control characters or bytes that are no UTF-8: rename it")
        return
    try:
        name = name or detect(path)
        if name is None:
            yield BadLine(str(path), 0, "not a session file of an assistant that is known")
            return
        parser = PARSERS[name]
        if is_up_to_date(path, parser, cursor):
            return
        yield from parser.read(path, cursor, context or ReadContext())
    except OSError as error:
        yield BadLine(str(path), 0, f"cannot be read: {error.strerror or error}")
