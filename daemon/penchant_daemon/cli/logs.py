"""`penchant logs`: the daemon's log, for people or as JSON lines."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import click

from penchant_daemon.cli.output import emit, fail
from penchant_daemon.home import home_dir
from penchant_daemon.lifecycle import LOG_NAME

_FIRST = ("timestamp", "level", "event")


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Wait for more lines.")
@click.option(
    "-n", "--lines", type=click.IntRange(0), default=50, show_default=True, help="Lines from the end."
)
@click.option("--json", "as_json", is_flag=True, help="The lines as they are in the file.")
def command(follow: bool, lines: int, as_json: bool) -> None:
    """Show the daemon's log; it never holds what is remembered."""
    path = home_dir() / "logs" / LOG_NAME
    if not path.exists():
        fail(f"there is no log yet: {path}", "penchant up starts the daemon")
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in deque(file, maxlen=lines):
            emit(line.rstrip("\n") if as_json else readable(line))
        position = file.tell()
    if follow:
        for line in followed(path, position):
            emit(line if as_json else readable(line))


def readable(line: str) -> str:
    """One JSON line as `time level event key=value ...`; a line that is no JSON as it is."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line.rstrip("\n")
    if not isinstance(entry, dict):
        return line.rstrip("\n")
    first = " ".join(str(entry.get(key, "")) for key in _FIRST)
    rest = " ".join(f"{key}={value}" for key, value in entry.items() if key not in _FIRST)
    return f"{first} {rest}".rstrip()


def followed(path: Path, position: int) -> Iterator[str]:
    """Lines that are added from now on; a rotated file is read on from its new start."""
    from watchfiles import watch

    unfinished = ""
    try:
        # Looked at once a second too: what was written before the watch began is reported by nothing.
        for _ in watch(
            path.parent,
            debounce=50,
            step=20,
            rust_timeout=1_000,
            yield_on_timeout=True,
            recursive=False,
            raise_interrupt=True,
        ):
            if not path.exists():
                continue
            size = path.stat().st_size
            if size == position:
                continue
            if size < position:
                position = 0
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(position)
                text = unfinished + file.read()
                position = file.tell()
            *whole, unfinished = text.split("\n")
            yield from whole
    except KeyboardInterrupt:
        return
