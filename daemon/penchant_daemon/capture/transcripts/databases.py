"""Reads the SQLite stores of assistants: read-only, one unit (a session) at a time, only those that
changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from sqlcipher3 import dbapi2 as sqlite

from penchant_daemon.wire import EventIn, SourceIn

from .context import ReadContext
from .files import Skips, make_cursor
from .records import BadLine, Items, JsonObject, Progress, as_list, as_object, as_text

MAGIC = b"SQLite format 3\0"
_BUSY_TIMEOUT_S = 2.0
_WRITE_AHEAD = (
    b"\2\2"  # bytes 18 and 19 of the file: https://sqlite.org/fileformat2.html#file_format_version_numbers
)
MAX_COPIED_BYTES = 2 * 1024**3
_EVENTS_PER_PROGRESS = 512
_N_STATE = 4  # of a unit: signature, number and chain of its events, whether it is open


@dataclass(frozen=True, slots=True)
class Unit:
    """One session in a store: `signature` changes whenever its rows do.

    `is_open`, asked after `load`, tells that an answer was left out because it is still being written: then the
    unit is read again once it `is_settled`.
    """

    id: str
    signature: str
    load: Callable[[], Iterator[EventIn | BadLine]]
    is_settled: bool = True
    is_open: Callable[[], bool] = lambda: False


@contextmanager
def open_read_only(path: Path) -> Iterator[sqlite.Connection]:
    """A connection that cannot write, and leaves nothing beside the store.

    What a host that was killed left half written is rolled back in a private copy.

    :raises sqlite.Error: its host holds it locked, it is no database, or it is too large to be copied.
    """
    if _is_at_rest(path):
        # Nobody has it open. Where a host starts meanwhile, what it writes goes to a new log first.
        with closing(_connect(path, "ro&immutable=1")) as connection:
            yield connection
        return
    try:
        connection = _connect(path)
    except sqlite.Error:
        if not path.with_name(path.name + "-journal").exists() or path.stat().st_size > MAX_COPIED_BYTES:
            raise
        with tempfile.TemporaryDirectory(prefix="penchant-") as folder:
            copy = Path(folder) / path.name
            for suffix in ("", "-journal"):
                source = path.with_name(path.name + suffix)
                if source.exists():
                    shutil.copyfile(source, copy.with_name(copy.name + suffix))
            with closing(_connect(copy, "rw")) as connection:
                yield connection
        return
    with closing(connection):
        yield connection


def _is_at_rest(path: Path) -> bool:
    """Whether a store in write-ahead mode has no log, which it has as long as a host has it open.

    A read-only connection to it would make an empty log and a `-shm` file, and leave them there.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(20)
    except OSError:
        return False
    is_write_ahead = head[18:20] == _WRITE_AHEAD
    return is_write_ahead and not path.with_name(path.name + "-wal").exists()


def _connect(path: Path, mode: str = "ro") -> sqlite.Connection:
    connection = sqlite.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=_BUSY_TIMEOUT_S)
    try:
        connection.text_factory = _text
        connection.execute("PRAGMA query_only = 1")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite.Error:
        connection.close()
        raise
    return connection


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def text_of(value: object) -> str:
    """A column's value as text: TEXT as it is, BLOB as UTF-8, others by their digits."""
    if isinstance(value, bytes | bytearray | memoryview):
        return _text(bytes(value))
    return "" if value is None else str(value)


def tables(connection: sqlite.Connection) -> dict[str, set[str]]:
    """The columns of every table, by table."""
    found: dict[str, set[str]] = {}
    for (name,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
    ).fetchall():
        rows = connection.execute("SELECT name FROM pragma_table_info(?)", (name,)).fetchall()
        found[str(name)] = {str(column) for (column,) in rows}
    return found


def select(table: str, wanted: tuple[str, ...], columns: set[str], rest: str = "") -> str:
    """A SELECT of `wanted`, NULL where the table lacks the column. All names come from this package's
    readers."""
    listed = ", ".join(f'"{name}"' if name in columns else f'NULL AS "{name}"' for name in wanted)
    return f'SELECT {listed} FROM "{table}" {rest}'  # noqa: S608


def signature_of(*values: object) -> str:
    """A short text that changes with the values."""
    return hashlib.blake2b(
        "\0".join(map(text_of, values)).encode("utf-8", "replace"), digest_size=8
    ).hexdigest()


def wal_mark(path: Path) -> str:
    """Size and time of the store's write-ahead log, where changes stand before they reach the file."""
    try:
        stat = path.with_name(path.name + "-wal").stat()
    except OSError:
        return ""
    return f"{stat.st_size}:{stat.st_mtime_ns}" if stat.st_size else ""


def read_store(
    path: Path,
    assistant: str,
    cursor: SourceIn | None,
    units: Callable[[sqlite.Connection], Iterator[Unit | BadLine]],
    skips: Skips,
    context: ReadContext,
) -> Items:
    """Yields what is new in the units whose signature changed since the cursor.

    Until the store has been left alone for a while its cursor does not pass for an unchanged store.
    """
    stat = path.stat()
    is_done = context.is_settled(written_s(path))
    wal = wal_mark(path)
    known = as_object(cursor.state.get("units")) if cursor is not None else {}
    state: dict[str, JsonValue] = {**known}
    n_since = 0

    def progress(is_complete: bool) -> Progress:
        snapshot: JsonObject = {"units": {**state}, "wal": wal}
        source = make_cursor(path, assistant, stat, stat.st_size, "", snapshot, is_complete)
        return Progress(stat.st_size, source, skips.take())

    try:
        with open_read_only(path) as connection:
            for unit in units(connection):
                if isinstance(unit, BadLine):
                    yield unit
                    continue
                before = as_list(state.get(unit.id))
                is_due = unit.is_settled and len(before) == _N_STATE and before[3] is True
                if before and before[0] == unit.signature and not is_due:
                    continue
                events: list[EventIn] = []
                for item in unit.load():
                    if isinstance(item, BadLine):
                        yield item
                    else:
                        events.append(item)
                new = _new_of(events, before)
                yield from new
                state[unit.id] = [unit.signature, len(events), _chain(events), unit.is_open()]
                n_since += len(new)
                if n_since >= _EVENTS_PER_PROGRESS:
                    n_since = 0
                    yield progress(is_complete=False)
    except (sqlite.Error, OSError) as error:
        yield BadLine(str(path), 0, f"the database cannot be read: {error}")
        yield Progress(0, None, skips.take())
        return
    yield progress(is_complete=is_done)


def written_s(path: Path) -> float:
    """When the store or its write-ahead log was last written, in seconds since 1970."""
    latest_s = 0.0
    for place in (path, path.with_name(path.name + "-wal")):
        try:
            latest_s = max(latest_s, place.stat().st_mtime)
        except OSError:
            continue
    return latest_s


def _new_of(events: list[EventIn], before: list[JsonValue]) -> list[EventIn]:
    """The events after those of the last read; all of them when what was read then has changed."""
    if len(before) == _N_STATE:
        n_before = before[1]
        if (
            isinstance(n_before, int)
            and 0 <= n_before <= len(events)
            and _chain(events[:n_before]) == before[2]
        ):
            return events[n_before:]
    return events


def _chain(events: list[EventIn]) -> str:
    return hashlib.blake2b(
        "\0".join(event.source_key or "" for event in events).encode("utf-8", "replace"), digest_size=8
    ).hexdigest()


def is_store_unchanged(path: Path, cursor: SourceIn) -> bool:
    """Whether neither the file nor its write-ahead log was written since the cursor."""
    stat: os.stat_result = path.stat()
    same_file = (stat.st_size, stat.st_mtime_ns, stat.st_ino) == (cursor.size, cursor.mtime_ns, cursor.inode)
    return same_file and wal_mark(path) == as_text(cursor.state.get("wal"))


def is_database(path: Path) -> bool:
    """Whether the file starts as every SQLite database does."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False
