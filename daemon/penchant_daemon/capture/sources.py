"""Finds session files: the default places of each assistant, and what lies under the paths that a person
names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penchant_daemon.capture.transcripts import PARSERS, detect
from penchant_daemon.capture.transcripts.opencode import is_tree

__all__ = [
    "ASSISTANTS",
    "Place",
    "Source",
    "default_places",
    "named_place",
    "overridden_places",
    "source_of",
    "sources_in",
]

ASSISTANTS = ("claude-code", "codex", "cursor", "gemini", "copilot", "opencode")
_NOT_ENTERED = frozenset({"node_modules", ".git", "tool-results", "__pycache__", ".venv"})
_STORE_SUFFIXES = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder where an assistant keeps sessions.

    `patterns` are globs below `root` and the reader of what they find; without them everything below
    `root` is looked at and told by its content.
    """

    assistant: str | None
    root: Path
    patterns: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A session file (or store, or tree) and the name of its reader."""

    path: Path
    parser: str


def _under(root: str | None, default: Path) -> Path:
    return Path(root).expanduser() if root and root.strip() else default


def _user_folders(apps: Sequence[str], environ: Mapping[str, str], home: Path) -> list[Path]:
    """The `User` folders of editors of the VS Code family."""
    if sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    elif os.name == "nt":
        base = _under(environ.get("APPDATA"), home / "AppData" / "Roaming")
    else:
        base = _under(environ.get("XDG_CONFIG_HOME"), home / ".config")
    return [base / app / "User" for app in apps]


def default_places(assistants: Iterable[str], environ: Mapping[str, str], home: Path) -> list[Place]:
    """Where the assistants keep their sessions on this machine, whether the places exist or not.

    :param assistants: names from `ASSISTANTS`.
    :param environ: the environment, for the variables by which the assistants' folders are moved.
    :param home: the person's home directory.
    """
    places: list[Place] = []
    logs: tuple[tuple[str, str], ...]
    chats: tuple[tuple[str, str], ...]
    for assistant in assistants:
        match assistant:
            case "claude-code":
                root = _under(environ.get("CLAUDE_CONFIG_DIR"), home / ".claude") / "projects"
                places.append(Place(assistant, root, (("**/*.jsonl", "claude-code"),)))
            case "codex":
                root = _under(environ.get("CODEX_HOME"), home / ".codex")
                logs = (("**/rollout-*.jsonl", "codex"), ("**/rollout-*.jsonl.zst", "codex"))
                places += [Place(assistant, root / name, logs) for name in ("sessions", "archived_sessions")]
                places.append(Place(assistant, root / "thread_history_1.sqlite"))
            case "cursor":
                logs = (("*/agent-transcripts/**/*.jsonl", "cursor"),)
                places.append(Place(assistant, home / ".cursor" / "projects", logs))
                for user in _user_folders(("Cursor",), environ, home):
                    places.append(Place(assistant, user / "globalStorage" / "state.vscdb"))
                    stores = (("*/state.vscdb", "cursor-store"),)
                    places.append(Place(assistant, user / "workspaceStorage", stores))
            case "gemini":
                root = _under(environ.get("GEMINI_CLI_HOME"), home) / ".gemini" / "tmp"
                chats = (("*/chats/**/*.json", "gemini"), ("*/chats/**/*.jsonl", "gemini"))
                places.append(Place(assistant, root, chats))
            case "copilot":
                root = _under(environ.get("COPILOT_HOME"), home / ".copilot") / "session-state"
                places.append(Place(assistant, root, (("*/events.jsonl", "copilot"), ("*.jsonl", "copilot"))))
                for user in _user_folders(("Code", "Code - Insiders", "VSCodium"), environ, home):
                    chats = (
                        ("*/chatSessions/*.json", "vscode"),
                        ("*/chatSessions/*.jsonl", "vscode"),
                        ("*/GitHub.copilot-chat/transcripts/*.jsonl", "copilot"),
                    )
                    places.append(Place(assistant, user / "workspaceStorage", chats))
                    loose = (("*.json", "vscode"), ("*.jsonl", "vscode"))
                    places.append(Place(assistant, user / "globalStorage" / "emptyWindowChatSessions", loose))
            case "opencode":
                data = _under(environ.get("XDG_DATA_HOME"), home / ".local" / "share") / "opencode"
                database = _under(environ.get("OPENCODE_DB"), data / "opencode.db")
                places.append(Place(assistant, database if database.is_absolute() else data / database))
                places.append(Place(assistant, data / "storage"))
            case _:
                raise ValueError(f"unknown assistant {assistant!r}; known are {', '.join(ASSISTANTS)}")
    return places


_MOVED_BY: Mapping[str, tuple[str, ...]] = {
    "claude-code": ("CLAUDE_CONFIG_DIR",),
    "codex": ("CODEX_HOME",),
    "cursor": ("XDG_CONFIG_HOME", "APPDATA"),
    "gemini": ("GEMINI_CLI_HOME",),
    "copilot": ("COPILOT_HOME", "XDG_CONFIG_HOME", "APPDATA"),
    "opencode": ("OPENCODE_DB", "XDG_DATA_HOME"),
}


def overridden_places(assistants: Iterable[str], environ: Mapping[str, str], home: Path) -> list[Path]:
    """The places that only this environment names: another process must be told of them."""
    paths: list[Path] = []
    for assistant in assistants:
        if any(environ.get(name, "").strip() for name in _MOVED_BY[assistant]):
            usual = {place.root for place in default_places([assistant], {}, home)}
            here = default_places([assistant], environ, home)
            paths += [place.root for place in here if place.root not in usual]
    return paths


def named_place(path: Path) -> Place:
    """The place that a person named: a file, or a folder of which every session file counts."""
    return Place(None, path)


def sources_in(place: Place) -> Iterator[Source]:
    """The session files of a place, each once; nothing where it does not exist.

    :raises OSError: the place itself cannot be read.
    """
    root = place.root
    if not root.exists():
        return
    if place.patterns:
        yield from _matching(root, place.patterns)
    elif root.is_dir() and not is_tree(root):
        yield from _walked(root)
    else:
        name = detect(root)
        if name is not None:
            yield Source(root, name)


def _matching(root: Path, patterns: Iterable[tuple[str, str]]) -> Iterator[Source]:
    found: dict[Path, str] = {}
    for pattern, parser in patterns:
        for path in root.glob(pattern):
            if path.is_file() and not _NOT_ENTERED.intersection(path.relative_to(root).parts):
                found.setdefault(path, parser)
    for path in sorted(found):
        yield Source(path, found[path])


def _walked(root: Path) -> Iterator[Source]:
    list(os.scandir(root))  # an unreadable folder that was named is an error; one below it is passed over
    for folder, subfolders, names in os.walk(root):
        here = Path(folder)
        if is_tree(here):
            subfolders.clear()
            yield Source(here, "opencode-tree")
            continue
        subfolders[:] = sorted(name for name in subfolders if name not in _NOT_ENTERED)
        for name in sorted(names):
            if name.endswith(_STORE_SUFFIXES):
                continue
            try:
                parser = detect(here / name)
            except OSError:
                continue
            if parser is not None:
                yield Source(here / name, parser)


def source_of(place: Place, changed: Path) -> Source | None:
    """The source of a place that a changed file belongs to: itself, its store, or the tree around it."""
    for suffix in _STORE_SUFFIXES:
        if changed.name.endswith(suffix):
            changed = changed.with_name(changed.name.removesuffix(suffix))
    if changed == place.root or not place.patterns:
        for folder in (changed, *changed.parents):
            if folder == place.root.parent:
                break
            if folder.is_dir() and is_tree(folder):
                return Source(folder, "opencode-tree")
        if not changed.is_file():
            return None
        name = detect(changed)
        return None if name is None else Source(changed, name)
    if not changed.is_relative_to(place.root) or not changed.is_file():
        return None
    inner = changed.relative_to(place.root)
    if _NOT_ENTERED.intersection(inner.parts):
        return None
    for pattern, parser in place.patterns:
        if _fits(inner, pattern):
            return Source(changed, parser)
    return None


def _fits(inner: Path, pattern: str) -> bool:
    """Whether a relative path fits a glob in which `**` stands for any number of folders."""
    head, star, tail = pattern.partition("**/")
    if not star:
        return len(inner.parts) == len(Path(pattern).parts) and inner.match(pattern)
    n_head = len(Path(head).parts) if head else 0
    if head and not Path(*inner.parts[:n_head]).match(head.rstrip("/")):
        return False
    return len(inner.parts) > n_head and inner.match(tail)


def is_store(source: Source) -> bool:
    """Whether the source is a database, whose changes do not show as new files."""
    return PARSERS[source.parser].is_store
