"""`penchant import`: read session files of assistants into the store, only what is new in them."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from penchant_daemon.capture.sources import ASSISTANTS, Place, Source, default_places, named_place, sources_in
from penchant_daemon.capture.transcripts import (
    PARSERS,
    BadLine,
    ReadContext,
    can_be_noted,
    is_up_to_date,
    read,
)
from penchant_daemon.capture.transcripts.batches import Batch, batches
from penchant_daemon.cli.output import fail, open_client, say_error
from penchant_daemon.errors import InvalidField, PenchantError
from penchant_daemon.wire import EventOut

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from penchant_daemon.client import Client

_MAX_IN_FLIGHT = 2  # batches that are parsed while one is being stored
_MAX_BAD_LINES_SHOWN = 200
_AGENT = "import"


@dataclass(slots=True)
class Summary:
    """What an import did."""

    n_sources: int = 0
    n_unchanged: int = 0
    sessions: set[str] = field(default_factory=set)
    n_logged: int = 0
    n_messages: int = 0
    n_tool_calls: int = 0
    n_duplicates: int = 0
    n_references: int = 0
    n_masked: int = 0
    n_bad_lines: int = 0
    n_refused: int = 0  # events that the daemon did not take; counted by the sending thread alone
    n_unfinished: int = 0
    n_cut: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    def add(self, batch: Batch, results: list[EventOut]) -> None:
        """Counts a stored batch."""
        for event, result in zip(batch.events, results, strict=True):
            self.n_masked += result.masked
            if result.status == "duplicate":
                self.n_duplicates += 1
                continue
            self.n_references += result.status == "reference"
            self.n_logged += 1
            self.n_messages += event.kind == "message"
            self.n_tool_calls += event.kind in ("tool_call", "edit")
            self.n_cut += event.meta is not None and "cut_chars" in event.meta
            if event.session:
                self.sessions.add(event.session)
        for reason, n in batch.skipped.items():
            self.skipped[reason] = self.skipped.get(reason, 0) + n

    def text(self) -> str:
        """One line of counts, then what else a person should know."""
        counts = [
            _n(len(self.sessions), "session"),
            _n(self.n_messages, "message"),
            _n(self.n_tool_calls, "tool call"),
            _n(self.n_duplicates, "duplicate"),
            _n(self.n_references, "reference"),
            f"{_n(self.n_masked, 'secret')} masked",
            _n(self.n_bad_lines + self.n_refused, "bad line"),
        ]
        lines = [
            f"imported {_n(self.n_logged, 'event')} from {_n(self.n_sources, 'file')}: {', '.join(counts)}"
        ]
        if self.n_unchanged:
            lines.append(f"{_n(self.n_unchanged, 'file')} unchanged since the last import")
        if self.n_cut:
            lines.append(
                f"{_n(self.n_cut, 'output')} longer than 1,000,000 characters cut (marked in the text)"
            )
        if self.n_unfinished:
            lines.append(f"{_n(self.n_unfinished, 'unfinished file')}: the rest is read by the next import")
        left_out = {
            "thinking": "thoughts",
            "injected": "texts that the host had added",
            "rolled_back": "rolled back",
        }
        said = [
            f"{self.skipped[name]:,} {label}" for name, label in left_out.items() if self.skipped.get(name)
        ]
        if said:
            lines.append(f"left out: {', '.join(said)}")
        return "\n".join(lines)


def _n(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class Poster:
    """Sends batches from a thread of its own, so that the next is parsed while one is being stored."""

    def __init__(self, client: Client, summary: Summary) -> None:
        self._client = client
        self._summary = summary
        self._queue: queue.Queue[Batch | None] = queue.Queue(_MAX_IN_FLIGHT)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="import-poster", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if kind is None:
            self.check()

    def check(self) -> None:
        """:raises PenchantError: what stopped the sending (or whatever else went wrong in its thread)."""
        if self._error is not None:
            raise self._error

    def put(self, batch: Batch) -> None:
        """Hands over a batch; waits while two are on their way."""
        self.check()
        self._queue.put(batch)

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self._post(batch)
                except Exception as error:  # noqa: BLE001 - raised again by `check`, where it can be acted on
                    self._error = error

    def _post(self, batch: Batch) -> None:
        while batch.events or batch.source is not None:
            try:
                results = self._client.log_events(batch.events, batch.source)
            except InvalidField as error:
                self._without_refused(batch, error)
                continue
            self._summary.add(batch, results)
            return

    def _without_refused(self, batch: Batch, error: InvalidField) -> None:
        """Takes the event that the daemon refuses out of the batch, or its time when that is the matter."""
        refused = batch.without_refused(error.field)
        if refused is None:
            raise error
        event, is_kept = refused
        self._summary.n_refused += not is_kept
        outcome = "kept with the time of the import" if is_kept else "skipped"
        _warn(f"session {event.session}, record {event.source_key}: {error.message} ({outcome})")


def _warn(text: str) -> None:
    click.echo(text, err=True)


class _Bar:
    """A progress bar over files and bytes on a terminal; nothing elsewhere."""

    def __init__(self, n_bytes: int) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
                console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._task = self._progress.add_task("import", total=max(n_bytes, 1))

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def move(self, n_bytes: int, label: str) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=n_bytes, description=label)


def find_sources(places: Iterable[Place]) -> list[tuple[Source, int]]:
    """The session files of all places with their sizes, the oldest first, so that originals come before
    copies."""
    found: dict[Path, tuple[int, Source, int]] = {}
    for place in places:
        try:
            for source in sources_in(place):
                stat = source.path.stat()
                found.setdefault(source.path, (stat.st_mtime_ns, source, stat.st_size))
        except OSError as error:
            fail(f"{place.root}: {error.strerror or error}", "name a file or folder that you may read")
    ordered = sorted(found.values(), key=lambda entry: (entry[0], entry[1].path))
    return [(source, size) for _, source, size in ordered]


def _checked(paths: tuple[str, ...]) -> Iterator[Place]:
    for name in paths:
        path = Path(name).expanduser().absolute()
        try:
            exists = path.exists()
        except OSError as error:
            fail(f"{name}: {error.strerror or error}")
        if not exists:
            fail(f"{name}: no such file or folder")
        if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
            fail(f"{name}: permission denied", "make it readable for your user, or name another one")
        yield named_place(path)


def import_sources(sources: list[tuple[Source, int]], client: Client, summary: Summary) -> None:
    """Reads every source from where the last import ended and sends what is new to the daemon.

    :raises PenchantError: the daemon cannot take it (unreachable, disk full); what was acknowledged stays.
    """
    context = ReadContext(is_known=lambda path: bool(client.sources(path).sources))
    n_bytes_before = 0
    with _Bar(sum(size for _, size in sources)) as bar, Poster(client, summary) as poster:
        for number, (source, size) in enumerate(sources, start=1):
            label = f"{number}/{len(sources)} {source.path.name[:40]}"
            bar.move(n_bytes_before, label)
            known = client.sources(str(source.path)).sources if can_be_noted(source.path) else []
            cursor = known[0] if known else None
            try:
                is_same = is_up_to_date(source.path, PARSERS[source.parser], cursor)
            except OSError:
                is_same = False  # gone meanwhile: reading it says so
            if is_same:
                summary.n_unchanged += 1
            else:
                summary.n_sources += 1
                for batch in batches(read(source.path, cursor, context, source.parser)):
                    _report(batch.bad_lines, summary)
                    poster.put(batch)
                    bar.move(n_bytes_before + min(batch.n_bytes, size), label)
            n_bytes_before += size


def _report(bad_lines: list[BadLine], summary: Summary) -> None:
    for bad in bad_lines:
        if bad.outcome == "left":
            summary.n_unfinished += 1
        else:
            summary.n_bad_lines += 1
        n_shown = summary.n_bad_lines + summary.n_unfinished
        if n_shown <= _MAX_BAD_LINES_SHOWN:
            where = f"{bad.path}:{bad.line}" if bad.line else bad.path
            _warn(f"{where}: {bad.reason} ({bad.outcome})")
        elif n_shown == _MAX_BAD_LINES_SHOWN + 1:
            _warn("further bad lines are counted only")


@click.command(name="import")
@click.argument("paths", nargs=-1)
@click.option("--claude-code", "claude_code", is_flag=True, help="Claude Code's sessions.")
@click.option("--codex", is_flag=True, help="Codex's sessions.")
@click.option("--cursor", is_flag=True, help="Cursor's chats.")
@click.option("--gemini", is_flag=True, help="Gemini CLI's chats.")
@click.option("--copilot", is_flag=True, help="Copilot CLI's sessions and VS Code's chats.")
@click.option("--opencode", is_flag=True, help="opencode's sessions.")
def command(paths: tuple[str, ...], **chosen: bool) -> None:
    """Read session files of assistants: PATHS (files, or folders with all below), or their default places.

    A second import adds nothing; a file that has grown adds its tail. Lines that cannot be read are
    reported with file and number and skipped.
    """
    assistants = [name for name in ASSISTANTS if chosen[name.replace("-", "_")]]
    if not paths and not assistants:
        options = ", ".join(f"--{name}" for name in ASSISTANTS)
        fail("nothing to import", f"name files or folders, or some of {options}")
    defaults = default_places(assistants, os.environ, Path.home())
    named = list(_checked(paths))
    sources = find_sources([*named, *defaults])
    for place in named:
        if not any(source.path.is_relative_to(place.root) for source, _ in sources):
            _warn(f"{place.root}: no session file of an assistant that is known")
    for assistant in assistants:
        roots = [place.root for place in defaults if place.assistant == assistant]
        if not any(source.path.is_relative_to(root) for source, _ in sources for root in roots):
            _warn(f"{assistant}: no sessions found in {', '.join(map(str, roots))}")
    if not sources:
        raise click.exceptions.Exit(1)
    summary = Summary()
    with open_client(agent=_AGENT) as client:
        try:
            import_sources(sources, client, summary)
        except PenchantError as error:
            click.echo(summary.text())
            say_error(error)
            raise click.exceptions.Exit(2) from error
    click.echo(summary.text())
    n_bad = summary.n_bad_lines + summary.n_refused + summary.n_unfinished
    if n_bad and not (summary.n_logged or summary.n_duplicates or summary.n_unchanged):
        raise click.exceptions.Exit(1)
