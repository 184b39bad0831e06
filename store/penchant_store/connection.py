"""Connections to one database file: pragmas, readers, and the single writer that commits in groups.

SQLite comes with the wheel `sqlcipher3` (3.53); the system's library may have the bug that corrupts WAL files
(3.7.0 to 3.51.2). The wheel has no type stubs, so `Connection` below is the part of it that we use.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from sqlcipher3 import dbapi2

from penchant_store.errors import (
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
)

T = TypeVar("T")
Row = tuple[Any, ...]

BUSY_TIMEOUT_MS = 5_000
MMAP_BYTES = 128 * 1024 * 1024
WAL_PAGES_BEFORE_CHECKPOINT = 4_000  # 16 MB: a checkpoint each few seconds of the fastest import
WAL_BYTES_KEPT = 32 * 1024 * 1024
MAX_GROUP_JOBS = 256  # bounds how long the first of a group waits for its commit

DatabaseError: type[Exception] = dbapi2.Error
IntegrityError: type[Exception] = dbapi2.IntegrityError
complete_statement: Callable[[str], bool] = dbapi2.complete_statement

_FULL = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_TOOBIG"}
_CORRUPT = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")


class Cursor(Protocol):
    """What we use of a DB-API cursor."""

    rowcount: int
    lastrowid: int

    def fetchone(self) -> Row | None: ...
    def fetchall(self) -> list[Row]: ...
    def __iter__(self) -> Iterator[Row]: ...


class Connection(Protocol):
    """What we use of a DB-API connection."""

    in_transaction: bool

    def execute(self, sql: str, parameters: Sequence[object] = ...) -> Cursor: ...
    def executemany(self, sql: str, parameters: Iterable[Sequence[object]]) -> Cursor: ...
    def close(self) -> None: ...


def typed(error: Exception, path: Path) -> StoreError:
    """The store's error for an error of the driver.

    :param error: what the driver raised.
    :param path: the database file, for the message.
    """
    name = str(getattr(error, "sqlite_errorname", ""))
    if name in _FULL:
        return StoreFull(
            f"{path} cannot grow ({error}); free some disk space, nothing of this write was stored"
        )
    if name.startswith(_CORRUPT):
        return StoreCorrupt(f"{path} is damaged or is not a database ({error}); run penchant doctor")
    if name.startswith(_LOCKED):
        return StoreLocked(f"{path} is locked by another process ({error})")
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
        return StoreReadOnly(
            f"{path} cannot be opened for writing ({error}); check the directory's permissions"
        )
    if name.startswith("SQLITE_IOERR"):
        return StoreReadOnly(
            f"{path} cannot be read or written ({error}); check the disk and the file's permissions"
        )
    return StoreError(f"{path}: {error}")


def connect(path: Path, *, is_writer: bool) -> Connection:
    """A connection with the pragmas that all of ours have.

    :param is_writer: the one that may write; readers refuse any write.
    :raises StoreUnusable: when the file cannot be opened, is locked or is not a database.
    """
    try:
        connection = cast(
            Connection,
            dbapi2.connect(
                str(path),
                isolation_level=None,
                check_same_thread=False,
                timeout=BUSY_TIMEOUT_MS / 1000,
                cached_statements=256,
            ),
        )
    except dbapi2.Error as error:
        raise typed(error, path) from error
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        if is_writer:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != ("wal",):
                raise StoreReadOnly(f"{path}: the file system does not allow a write-ahead log (mode {mode})")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES_BEFORE_CHECKPOINT}")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
        else:
            connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA mmap_size = {MMAP_BYTES}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except dbapi2.Error as error:
        connection.close()
        raise typed(error, path) from error
    except StoreError:
        connection.close()
        raise
    return connection


def memory_connection() -> Connection:
    """A private database in RAM."""
    return cast(Connection, dbapi2.connect(":memory:", isolation_level=None, check_same_thread=False))


class Readers:
    """Read-only connections, lent one at a time; the last one given back is lent first, so few stay warm."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._is_closed = False

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """A connection for the time of the block.

        :raises StoreError: any error of the driver inside the block, typed.
        """
        with self._lock:
            if self._is_closed:
                raise StoreClosed("the store is closed")
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = connect(self._path, is_writer=False)
        try:
            yield connection
        except dbapi2.Error as error:
            connection.close()
            raise typed(error, self._path) from error
        except BaseException:
            connection.close()  # a half-read statement would hold its snapshot
            raise
        with self._lock:
            if not self._is_closed:
                self._idle.append(connection)
                return
        connection.close()

    @contextmanager
    def one_state(self) -> Iterator[Connection]:
        """`lend` inside a read transaction: all statements of the block see what was stored at the first one."""
        with self.lend() as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("ROLLBACK")

    def close(self) -> None:
        """Closes the idle ones; lent ones close when they are given back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class _Job(Generic[T]):
    """A write that waits for its group: runs inside a savepoint; `after` runs once it is on disk."""

    __slots__ = ("after", "future", "outside", "work")

    def __init__(
        self, work: Callable[[Connection], T], after: Callable[[T], None] | None, outside: bool
    ) -> None:
        self.work = work
        self.after = after
        self.outside = outside
        self.future: Future[T] = Future()


class Writer:
    """The one thread that writes a database file.

    Writes queue; each round takes all that wait (at most MAX_GROUP_JOBS), runs each in a savepoint of one
    `BEGIN IMMEDIATE` transaction and commits once, so one fsync acknowledges all of them. A write that fails is rolled
    back alone. When the commit fails (full disk), all of the round fail with a typed error and the writer goes on.

    :param path: the database file.
    :param on_rollback: called inside the writer thread whenever something was rolled back: caches are void.
    :param before_commit: called once a round, inside the transaction, after its last write.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_rollback: Callable[[], None] | None = None,
        before_commit: Callable[[Connection], None] | None = None,
    ) -> None:
        self._path = path
        self._on_rollback = on_rollback
        self._before_commit = before_commit
        self._connection = connect(path, is_writer=True)
        self._queue: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=f"penchant-writer-{path.stem}", daemon=True)
        self._thread.start()

    def submit(
        self,
        work: Callable[[Connection], T],
        *,
        after: Callable[[T], None] | None = None,
        outside: bool = False,
    ) -> Future[T]:
        """Queues a write.

        :param work: gets the connection inside a savepoint; what it returns becomes the future's result.
        :param after: runs in the writer thread after the commit and before the future is resolved.
        :param outside: run alone and outside of a transaction (checkpoints).
        :return: resolved once the write is on disk.
        """
        job: _Job[T] = _Job(work, after, outside)
        with self._lock:
            if self._is_closed:
                job.future.set_exception(StoreClosed("the store is closed; nothing was written"))
                return job.future
            self._queue.put(job)
        return job.future

    def close(self) -> None:
        """Finishes what was queued, then ends the thread and closes the file."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        goes_on = True
        waiting: _Job[Any] | None = None
        while goes_on:
            job = waiting if waiting is not None else self._queue.get()
            waiting = None
            if job is None:
                return
            if job.outside:
                self._run_outside(job)
                continue
            group = [job]
            while len(group) < MAX_GROUP_JOBS:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    goes_on = False
                    break
                if following.outside:
                    waiting = following
                    break
                group.append(following)
            self._run_group(group)
            if not goes_on and waiting is not None:
                self._run_outside(waiting)

    def _run_outside(self, job: _Job[Any]) -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        try:
            result = job.work(self._connection)
        except dbapi2.Error as error:
            job.future.set_exception(typed(error, self._path))
        except Exception as error:  # noqa: BLE001 - outermost loop: the caller gets it
            job.future.set_exception(error)
        else:
            self._finish(job, result)

    def _run_group(self, group: list[_Job[Any]]) -> None:
        running = [job for job in group if job.future.set_running_or_notify_cancel()]
        connection = self._connection
        done: list[tuple[_Job[Any], Any]] = []
        failed: list[tuple[_Job[Any], Exception]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in running:
                connection.execute("SAVEPOINT job")
                try:
                    result = job.work(connection)
                except Exception as error:  # noqa: BLE001 - the writer goes on, the caller gets it
                    if not connection.in_transaction:
                        raise  # SQLite has rolled back all of the round (disk full, I/O error)
                    connection.execute("ROLLBACK TO job")
                    connection.execute("RELEASE job")
                    self._forget_caches()
                    failed.append((job, error))
                else:
                    connection.execute("RELEASE job")
                    done.append((job, result))
            if done and self._before_commit is not None:
                self._before_commit(connection)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the writer goes on, the callers get it
            self._roll_back()
            told = typed(error, self._path) if isinstance(error, dbapi2.Error) else error
            earlier = {id(job) for job, _ in failed}
            for job in running:
                if id(job) not in earlier:
                    job.future.set_exception(told)
        else:
            for job, result in done:
                self._finish(job, result)
        for job, reason in failed:
            job.future.set_exception(
                typed(reason, self._path) if isinstance(reason, dbapi2.Error) else reason
            )

    def _finish(self, job: _Job[Any], result: object) -> None:
        try:
            if job.after is not None:
                job.after(result)
        except Exception as error:  # noqa: BLE001 - the write is on disk; the caller learns what else failed
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _roll_back(self) -> None:
        self._forget_caches()
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except dbapi2.Error:
                # The connection cannot be trusted any more: a new one starts from what is on disk.
                self._connection.close()
                self._connection = connect(self._path, is_writer=True)

    def _forget_caches(self) -> None:
        if self._on_rollback is not None:
            self._on_rollback()


def make_private(path: Path, mode: int) -> None:
    """Gives a file or directory to its owner alone.

    :raises StoreReadOnly: when that is not allowed.
    """
    try:
        os.chmod(path, mode)  # noqa: PTH101 - pathlib's chmod follows the same call; this one takes any path
    except OSError as error:
        raise StoreReadOnly(f"{path}: its permissions cannot be set ({error.strerror})") from error
