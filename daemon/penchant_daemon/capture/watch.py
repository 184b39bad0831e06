"""Follows session files live, inside the daemon: what an assistant writes is logged moments later.

A thread waits for changes below the followed folders (watchfiles) and looks at databases and single files
every second, because they change in place. Everything is read by the readers of `penchant import`, from the
same cursors.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import watchfiles

from penchant_daemon.capture.intake import Intake
from penchant_daemon.capture.sources import Place, Source, default_places, named_place, source_of, sources_in
from penchant_daemon.capture.transcripts import PARSERS, ReadContext, is_up_to_date, read
from penchant_daemon.capture.transcripts.batches import Batch, batches
from penchant_daemon.capture.transcripts.context import SETTLED_AFTER_S
from penchant_daemon.errors import InvalidField, PenchantError
from penchant_daemon.pace import CpuShare
from penchant_daemon.wire import Problem, SourceIn
from penchant_store import Store, StoreError

__all__ = ["WatchState", "Watcher"]

_log = logging.getLogger("penchant.watch")

CHANNEL = "transcript"
TICK_MS = 1_000  # how soon a stop, a new place or a database's change is seen
DEBOUNCE_MS = 300
RESCAN_S = 10.0  # where the system cannot report changes (its watches are used up)
RETRY_S = 5.0
MAX_EVENTS = 100  # small batches, so that clients' writes are not kept waiting
CPU_SHARE = 0.25  # of one core, in the long run; a burst of a second is free


class Settings(Protocol):
    """What of the config the watcher reads: `[watch]`."""

    @property
    def enabled(self) -> bool: ...
    @property
    def assistants(self) -> Sequence[str]: ...
    @property
    def paths(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class WatchState:
    """What the watcher does: `places` exist or may come to exist; counts are since the daemon's start."""

    is_running: bool
    places: tuple[Path, ...]
    n_sources: int
    n_events: int
    n_bad_lines: int
    last_error: str | None


class Watcher:
    """Follows places until it is stopped; safe to call from several threads.

    :param store: for the cursors of what was read before.
    :param intake: takes the events.
    :param environ: the environment, for variables that move the assistants' folders; None: this process's.
    :param user_home: the home directory that the default places lie in; None: this user's.
    :param clock: Unix seconds.
    :param wake: called when something new was logged (the indexer's).
    :param check_write: raises a `PenchantError` while nothing may be written (the disk cap is reached).
    """

    def __init__(
        self,
        store: Store,
        intake: Intake,
        *,
        environ: Mapping[str, str] | None = None,
        user_home: Path | None = None,
        clock: Callable[[], float] = time.time,
        wake: Callable[[], None] = lambda: None,
        check_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._intake = intake
        self._environ = os.environ if environ is None else environ
        self._user_home = Path.home() if user_home is None else user_home
        self._wake = wake
        self._check_write = check_write
        self._clock = clock
        self._share = CpuShare(CPU_SHARE)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._places: tuple[Place, ...] = ()
        self._revisit: dict[Source, float] = {}
        self._marks: dict[Path, tuple[int, int]] = {}
        self._idle = threading.Condition()
        self._n_rounds = 0
        self._n_sources = 0
        self._n_events = 0
        self._n_bad_lines = 0
        self._last_error: str | None = None

    def follow(self, settings: Settings) -> None:
        """Follows what the settings name, from now on; returns at once. Places that do not exist yet may
        come."""
        with self._lock:
            self._end()
            if not settings.enabled:
                self._places = ()
                return
            defaults = default_places(settings.assistants, self._environ, self._user_home)
            named = [named_place(Path(path).expanduser().absolute()) for path in settings.paths]
            self._places = tuple(dict.fromkeys([*defaults, *named]))
            if not self._places:
                return
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stop, self._places), name="watch", daemon=True
            )
            self._thread.start()

    def start(self, settings: Settings) -> None:
        """`follow`, at the daemon's start."""
        self.follow(settings)

    def stop(self) -> None:
        """Ends within about a second; what was read is committed with its cursor, the rest is read next
        time."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def places(self) -> list[Path]:
        """The followed files and folders."""
        return [place.root for place in self._places]

    def state(self) -> WatchState:
        """What it does, for the status."""
        thread = self._thread
        return WatchState(
            is_running=thread is not None and thread.is_alive(),
            places=tuple(self.places()),
            n_sources=self._n_sources,
            n_events=self._n_events,
            n_bad_lines=self._n_bad_lines,
            last_error=self._last_error,
        )

    def problems(self) -> list[Problem]:
        """What a person should know."""
        if self._last_error is None:
            return []
        return [Problem(part="watch", message=self._last_error, fix="penchant logs")]

    def wait_until(self, is_reached: Callable[[], bool], timeout_s: float) -> bool:
        """Waits for the end of a round after which `is_reached()` holds; False when time is up."""
        with self._idle:
            return self._idle.wait_for(is_reached, timeout_s)

    # -- the thread

    def _run(self, stop: threading.Event, places: tuple[Place, ...]) -> None:
        while not stop.is_set():
            try:
                self._catch_up(places, stop)
                self._follow_changes(places, stop)
            except (StoreError, PenchantError, OSError, RuntimeError) as error:
                # The disk is full, the store is closing, a folder vanished under the system's watch: say
                # it, wait.
                self._note(f"{type(error).__name__}: {error}")
                self._rounded()
                stop.wait(RETRY_S)
            except Exception:  # noqa: BLE001 - the outermost loop of the thread
                _log.exception("watching failed; it is tried again")
                self._note("watching failed; the log has the details")
                stop.wait(RETRY_S)

    def _catch_up(self, places: tuple[Place, ...], stop: threading.Event) -> None:
        """Reads what was written while nobody followed."""
        context = self._context()
        for place in places:
            for source in sources_in(place):
                if stop.is_set():
                    return
                self._read(source, context, stop)
        self._rounded()

    def _follow_changes(self, places: tuple[Place, ...], stop: threading.Event) -> None:
        """Until a place appears or vanishes: then the system's watches must be set anew."""
        folders = tuple(place.root for place in places if place.root.is_dir())
        polled = tuple(place for place in places if not place.root.is_dir())
        if not folders:
            self._poll_only(places, polled, stop)
            return
        try:
            changes = watchfiles.watch(
                *folders,
                watch_filter=None,
                debounce=DEBOUNCE_MS,
                step=50,
                stop_event=stop,
                rust_timeout=TICK_MS,
                yield_on_timeout=True,
                raise_interrupt=False,
                ignore_permission_denied=True,
            )
            has_begun = False
            for changed in changes:
                if not has_begun:
                    # What was written between the first look and the system's watches.
                    has_begun = True
                    self._catch_up(places, stop)
                gone = {Path(path) for change, path in changed if change is watchfiles.Change.deleted}
                self._round(places, polled, {Path(path) for _, path in changed}, stop)
                if tuple(place.root for place in places if place.root.is_dir()) != folders:
                    return
                if any(path.is_dir() for path in gone):  # back at once: its watch went with the old folder
                    return
        except OSError as error:  # the system has no watches left
            self._note(f"changes are looked for every {RESCAN_S:g} s only: {error}")
            stop.wait(RESCAN_S)

    def _poll_only(self, places: tuple[Place, ...], polled: tuple[Place, ...], stop: threading.Event) -> None:
        while not stop.wait(TICK_MS / 1_000):
            self._round(places, polled, set(), stop)
            if any(place.root.is_dir() for place in places):
                return

    def _round(
        self, places: tuple[Place, ...], polled: tuple[Place, ...], changed: set[Path], stop: threading.Event
    ) -> None:
        dirty: dict[Source, None] = {}
        for place in places:
            folders: set[Path] = set()
            for path in sorted(path for path in changed if path.is_relative_to(place.root)):
                if (source := self._source_of(place, path)) is not None:
                    dirty[source] = None
                elif path.is_dir():
                    folders.add(path)
            if folders:
                # Files written before the system watched a new folder are never reported.
                for source in sources_in(place):
                    if not folders.isdisjoint((source.path, *source.path.parents)):
                        dirty[source] = None
        for place in polled:
            if self._has_changed(place.root) and (source := self._source_of(place, place.root)) is not None:
                dirty[source] = None
        now = self._clock()
        settled = [source for source, due in self._revisit.items() if due <= now]
        for source in settled:
            del self._revisit[source]
        context = self._context()
        for source in dict.fromkeys([*dirty, *settled]):
            if stop.is_set():
                return
            # A tree's cursor never passes for an unchanged one: it is looked at again once, not for ever.
            is_last_look = source.parser == "opencode-tree" and source not in dirty
            self._read(source, context, stop, may_revisit=not is_last_look)
        self._rounded()

    def _source_of(self, place: Place, path: Path) -> Source | None:
        try:
            return source_of(place, path)
        except OSError as error:  # unreadable, or gone between the report and the look
            self._note(f"{path}: {error.strerror or error}")
            return None

    def _has_changed(self, path: Path) -> bool:
        """Whether a polled file or its write-ahead log was written since the last look."""
        size = latest = 0
        for place in (path, path.with_name(path.name + "-wal")):
            try:
                stat = place.stat()
            except OSError:
                continue
            size += stat.st_size
            latest = max(latest, stat.st_mtime_ns)
        before = self._marks.get(path)
        self._marks[path] = (size, latest)
        return before != (size, latest) and latest > 0

    def _context(self) -> ReadContext:
        return ReadContext(
            is_known=lambda path: self._store.source_cursor(path) is not None,
            clock=self._clock,
            is_followed=True,
        )

    def _read(
        self, source: Source, context: ReadContext, stop: threading.Event, may_revisit: bool = True
    ) -> None:
        """Logs what is new in a source, at a share of one core.

        :param may_revisit: whether it is read again once it has settled, where it holds an unfinished answer.
        """
        known = self._store.source_cursor(str(source.path))
        cursor: SourceIn | None = None
        if known is not None:
            cursor = SourceIn(
                path=known.path,
                assistant=known.assistant or source.parser,
                size=known.size,
                mtime_ns=known.mtime_ns,
                inode=known.inode,
                offset=known.offset,
                head_digest=known.head_digest,
                state=dict(known.state),
            )
        try:
            if is_up_to_date(source.path, PARSERS[source.parser], cursor):
                return
        except OSError:
            return  # deleted meanwhile: what was logged from it stays
        self._n_sources += 1
        last: SourceIn | None = None
        started_s = time.thread_time()
        for batch in batches(read(source.path, cursor, context, source.parser), MAX_EVENTS, min_events=50):
            self._log_batch(batch)
            last = batch.source or last
            rest_s = self._share.spend(time.thread_time() - started_s)
            if stop.wait(rest_s) if rest_s > 0 else stop.is_set():
                return
            started_s = time.thread_time()
        if last is not None and last.mtime_ns == 0 and may_revisit:
            # Its last answer may never be finished; once it has settled it is read as it is.
            self._revisit[source] = self._clock() + SETTLED_AFTER_S + 1

    def _log_batch(self, batch: Batch) -> None:
        for bad in batch.bad_lines:
            if bad.outcome != "left":
                self._n_bad_lines += 1
                _log.warning("%s:%d: %s (%s)", bad.path, bad.line, bad.reason, bad.outcome)
        agent = batch.events[0].agent if batch.events else None
        self._check_write()
        while batch.events or batch.source is not None:
            try:
                results = self._intake.log(batch.events, agent or "transcript", CHANNEL, batch.source)
            except InvalidField as error:
                refused = batch.without_refused(error.field)
                if refused is None:
                    raise
                event, is_kept = refused
                self._n_bad_lines += 1
                outcome = "kept with the time of its reading" if is_kept else "skipped"
                _log.warning(
                    "session %s, record %s: %s (%s)", event.session, event.source_key, error.field, outcome
                )
                continue
            n_new = sum(1 for result in results if result.status != "duplicate")
            if n_new:
                self._n_events += n_new
                self._wake()
            self._last_error = None
            return

    def _note(self, error: str) -> None:
        if error != self._last_error:
            _log.warning("%s", error)
        self._last_error = error

    def _rounded(self) -> None:
        with self._idle:
            self._n_rounds += 1
            self._idle.notify_all()
