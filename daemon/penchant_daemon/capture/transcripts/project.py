"""The project that a session worked on: the root of the git checkout that holds its working directory."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

MAX_NAME_CHARS = 4_096
_MAX_SLUG_STEPS = 2_000


@lru_cache(maxsize=4096)
def project_of(cwd: str) -> str | None:
    """The git root above `cwd` (the main checkout's for a linked worktree), else `cwd`; None when blank.

    Works for directories that are gone: then it is `cwd` as the host wrote it.
    """
    if not cwd.strip() or len(cwd) > MAX_NAME_CHARS or "\0" in cwd:
        return None
    directory = Path(cwd)
    if not directory.is_absolute():
        return cwd
    for place in (directory, *directory.parents):
        mark = place / ".git"
        try:
            if mark.is_dir():
                return str(place)
            if mark.is_file():
                return _main_checkout(mark) or str(place)
        except OSError:
            break
    return cwd.rstrip("/") or cwd


def _main_checkout(mark: Path) -> str | None:
    """The checkout that a linked worktree's `.git` file (`gitdir: ROOT/.git/worktrees/NAME`) belongs to."""
    try:
        text = mark.read_text("utf-8", errors="replace")[:MAX_NAME_CHARS]
    except OSError:
        return None
    found = re.match(r"gitdir:\s*(.+?)/\.git/worktrees/[^/\n]+\s*$", text)
    return found.group(1) if found else None


@lru_cache(maxsize=1024)
def project_of_slug(slug: str) -> str | None:
    """The existing directory whose path, non-alphanumerics turned to `-`, is `slug`; None when there is none.

    Cursor names its project folders so. The way back is ambiguous, so the disk decides, within a bounded
    search.
    """
    wanted = slug.strip("-").lower()
    steps = 0
    stack: list[tuple[Path, str]] = [(Path("/"), wanted)]
    while stack:
        place, rest = stack.pop()
        if not rest:
            return project_of(str(place))
        try:
            children = sorted(child for child in place.iterdir() if child.is_dir())
        except OSError:
            continue
        for child in children:
            steps += 1
            if steps > _MAX_SLUG_STEPS:
                return None
            name = re.sub(r"[^a-z0-9]+", "-", child.name.lower()).strip("-")
            if name and (rest == name or rest.startswith(name + "-")):
                stack.append((child, rest[len(name) + 1 :]))
    return None
