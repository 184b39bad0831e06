"""The data directory: is it there, private, writable, with room, and does at most one daemon hold it."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from penchant_daemon import lifecycle
from penchant_daemon.config import Config
from penchant_daemon.doctor.finding import Finding
from penchant_daemon.home import socket_path

__all__ = ["check_disk", "check_permissions", "check_process"]

# A checkpoint, a vacuum and one import of a year's sessions fit in this.
ROOM_BYTES = 200 * 1024 * 1024
_SHOWN = 3
MODELS = "models"


def check_permissions(home: Path) -> Iterator[Finding]:
    """Everything below the data directory belongs to this user, and nobody else may read it."""
    if not home.exists():
        yield Finding(
            "home_missing", "note", f"{home} does not exist yet", "nothing is stored", "penchant up"
        )
        return
    if not home.is_dir():
        yield Finding("home_no_directory", "error", f"{home} is not a directory", "nothing can be stored")
        return
    foreign, open_to_others = [], []
    for path in (home, *sorted(home.rglob("*"))):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue  # a log that was rotated, a write-ahead log that was emptied, while we looked
        if status.st_uid != os.getuid():
            foreign.append(path)
        # Models are public files, and may be shared with this user's cache.
        is_model = (home / MODELS) in path.parents
        if status.st_mode & 0o077 and not stat.S_ISLNK(status.st_mode) and not is_model:
            open_to_others.append(path)
    if foreign:
        yield Finding(
            "foreign_files",
            "error",
            f"{_listed(foreign)}: owned by another user than {os.getuid()}",
            "the daemon cannot write there, and that user can read what you said",
            f"sudo chown -R {os.getuid()} {shlex.quote(str(home))}",
        )
    if open_to_others:
        is_home_open = open_to_others[0] == home
        yield Finding(
            "open_to_others",
            "error" if is_home_open else "warning",
            f"{_listed(open_to_others)}: open to other users of this machine",
            "everything that you and your assistants said is in there"
            if is_home_open
            else "only the folder around it keeps others out; a copy of it would not",
            f"chmod -R go-rwx {shlex.quote(str(home))}",
            mend=lambda: _close(open_to_others),
        )
    if not os.access(home, os.W_OK | os.X_OK):
        yield Finding(
            "home_read_only",
            "error",
            f"{home} cannot be written",
            "nothing new is remembered",
            _writable_again(home),
        )


def check_disk(home: Path, config: Config) -> Iterator[Finding]:
    """There is room on the disk and below the cap of the config."""
    if not home.is_dir():
        return
    free = shutil.disk_usage(home).free
    if free < ROOM_BYTES:
        yield Finding(
            "disk_nearly_full",
            "error",
            f"{free // 2**20} MB are free on the disk of {home}, {ROOM_BYTES // 2**20} MB are needed",
            "when it is full, every write is refused",
        )
    cap = config.limits.disk_mb * 2**20
    used = sum(path.lstat().st_size for path in home.rglob("*") if path.is_file())
    if used > 0.9 * cap:
        yield Finding(
            "cap_nearly_reached",
            "error" if used >= cap else "warning",
            f"{home} holds {used // 2**20} MB of the {config.limits.disk_mb} MB that limits.disk_mb allows",
            "at the cap every write is refused",
            "penchant forget, or raise limits.disk_mb in config.toml",
        )


def check_process(home: Path) -> Iterator[Finding]:
    """The daemon that holds the data directory answers; a socket without a daemon is only litter."""
    running = lifecycle.owner(home)
    path = socket_path(home)
    if running is not None and not lifecycle.accepts(home):
        yield Finding(
            "daemon_silent",
            "error",
            f"the daemon (pid {running.pid}, since {running.since}) does not answer on {path}",
            "no assistant reaches its memory, although a process lives",
            "penchant restart",
        )
    if running is None and path.exists():
        yield Finding(
            "stale_socket",
            "warning",
            f"{path} is left from a daemon that no longer runs",
            "it was ended hard (kill -9, power); the next start removes it",
            f"rm {path}",
            mend=path.unlink,
        )


def _writable_again(home: Path) -> str:
    """The command that makes the data directory writable."""
    if not os.statvfs(home).f_flag & os.ST_RDONLY:
        return f"chmod 700 {shlex.quote(str(home))}"
    mounted = next(folder for folder in (home, *home.parents) if folder.is_mount())
    return f"mount -o remount,rw {shlex.quote(str(mounted))}"


def _listed(paths: list[Path]) -> str:
    shown = ", ".join(str(path) for path in paths[:_SHOWN])
    return shown if len(paths) <= _SHOWN else f"{shown} and {len(paths) - _SHOWN} more"


def _close(paths: list[Path]) -> None:
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o077)
