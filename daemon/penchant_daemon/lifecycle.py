"""One daemon per data directory: its folder, its lock, its socket, and how it is started and stopped.

Standard library only: clients import this to start a daemon and must not wait for anything else.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from penchant_daemon.errors import HomeError, LockHeld, StartError
from penchant_daemon.home import MAX_SOCKET_PATH_BYTES, socket_path

LOCK_NAME = "penchant.lock"
START_LOCK_NAME = "start.lock"
LOG_NAME = "daemon.log"
STARTUP_LOG_NAME = "startup.log"
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 6.0
EXIT_LOCK_HELD = 75  # EX_TEMPFAIL of sysexits.h: another daemon was faster
EXIT_UNUSABLE = 2
_POLL_S = 0.01
_LOCK_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a data directory."""

    pid: int
    since: str


class Lock:
    """The lock file of a data directory, held until the process ends or `release` is called.

    The kernel drops the lock when its holder dies, however it dies, so a lock file on disk is never stale.
    """

    def __init__(self, handle: int, path: Path) -> None:
        self._handle = handle
        self.path = path

    @classmethod
    def acquire(cls, home: Path) -> Lock:
        """Take the lock, or say who has it.

        :raises LockHeld: another process holds it.
        :raises HomeError: the lock file cannot be made.
        """
        path = home / LOCK_NAME
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HomeError(f"{path} cannot be opened: {error.strerror}", _home_hint(home)) from error
        deadline = time.monotonic() + _LOCK_PATIENCE_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = _owner_written(path)
                # A client that asks `owner` holds a shared lock for microseconds: only a live pid owns it.
                if (holder is None or not _lives(holder.pid)) and time.monotonic() < deadline:
                    time.sleep(_POLL_S)
                    continue
                os.close(handle)
                pid, started = (holder.pid, holder.since) if holder else (None, None)
                who = f"pid {pid}, since {started}" if holder else "which does not say who it is"
                raise LockHeld(f"{home} belongs to another daemon ({who})", pid, started) from None
        since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps({"pid": os.getpid(), "since": since}).encode(), 0)
        except OSError as error:
            os.close(handle)
            raise HomeError(f"{path} cannot be written: {error.strerror}", _home_hint(home)) from error
        return cls(handle, path)

    def release(self) -> None:
        """Let go; the file stays, for unlinking it would let two daemons lock two files of one name."""
        if self._handle >= 0:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def prepare_home(home: Path, *, repair: bool = True) -> list[str]:
    """Make the data directory, private to its user, and check that it can be written.

    :param repair: close a directory that is open to others; False leaves that to the daemon, which logs it.
    :return: what had to be put right, as log lines without personal data; empty when nothing had.
    :raises HomeError: it is a file, is another user's, cannot be written, or is too long for a socket's path.
    """
    repaired: list[str] = []
    path = socket_path(home)
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise HomeError(
            f"{path} has {len(os.fsencode(path))} bytes; a socket's path has at most {MAX_SOCKET_PATH_BYTES}",
            "set PENCHANT_HOME to a shorter path",
        )
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = home.stat()
    except (FileExistsError, NotADirectoryError):
        raise HomeError(f"{home} is not a directory", "set PENCHANT_HOME to a directory") from None
    except OSError as error:
        raise HomeError(f"{home} cannot be made: {error.strerror}", _home_hint(home)) from error
    if status.st_uid != os.getuid():
        raise HomeError(f"{home} belongs to user {status.st_uid}, not to {os.getuid()}", _home_hint(home))
    if status.st_mode & 0o077 and repair:
        try:
            home.chmod(0o700)
        except OSError as error:
            raise HomeError(f"{home} is open to others: {error.strerror}", f"chmod 700 {home}") from error
        repaired.append(f"permissions of the data directory were {status.st_mode & 0o777:04o}, are 0700 now")
    probe = home / f".writable-{os.getpid()}"
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
        probe.unlink()
    except OSError as error:
        raise HomeError(f"{home} cannot be written: {error.strerror}", _home_hint(home)) from error
    return repaired


def bind_socket(home: Path) -> socket.socket:
    """The listening Unix socket, 0600 from its first moment. The caller has the lock: a file there is stale.

    :raises HomeError: it cannot be bound.
    """
    path = socket_path(home)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        listener.bind(os.fspath(path))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise HomeError(f"{path} cannot be bound: {error.strerror or error}", _home_hint(home)) from error
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def unlink_socket(home: Path) -> None:
    """Take the socket's file away, with the lock still held."""
    socket_path(home).unlink(missing_ok=True)


def bind_tcp(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1; port 0 takes a free one.

    :raises HomeError: the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise HomeError(
            f"port {port} on 127.0.0.1 cannot be bound: {error.strerror}", "choose another --tcp"
        ) from error
    listener.setblocking(False)
    return listener


def owner(home: Path) -> Owner | None:
    """The daemon that holds this data directory now, or None."""
    path = home / LOCK_NAME
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _owner_written(path)
    finally:
        os.close(handle)
    return None


def accepts(home: Path) -> bool:
    """Whether something listens on the socket of this data directory."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.settimeout(1.0)
        probe.connect(os.fspath(socket_path(home)))
    except OSError:
        return False
    finally:
        probe.close()
    return True


def start(
    home: Path,
    *,
    tcp_port: int | None = None,
    timeout_s: float = START_TIMEOUT_S,
    env: Mapping[str, str] | None = None,
) -> bool:
    """Start a daemon in the background and wait until it answers.

    :param tcp_port: also listen on this port of 127.0.0.1; None leaves it to the config.
    :param env: environment of the daemon; None hands ours on.
    :return: True when this call started it, False when one was running.
    :raises StartError: it ended or did not become ready in time; the message holds its last error.
    :raises HomeError: the data directory cannot be used.
    """
    if owner(home) is not None and accepts(home):
        return False
    prepare_home(home, repair=False)
    deadline = time.monotonic() + timeout_s
    with _starting(home, deadline, timeout_s):
        if owner(home) is not None and accepts(home):
            return False  # whoever was before us has started it
        return _start(home, tcp_port, deadline, timeout_s, env)


@contextlib.contextmanager
def _starting(home: Path, deadline: float, timeout_s: float) -> Iterator[None]:
    """One starter at a time: twenty assistants that open at once would else load twenty daemons to keep one.

    :raises StartError: another start is still under way at the deadline.
    :raises HomeError: the lock file cannot be made.
    """
    path = home / START_LOCK_NAME
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HomeError(f"{path} cannot be opened: {error.strerror}", _home_hint(home)) from error
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"another start of the daemon was not done after {timeout_s:g} s"
                    raise StartError(message, _log_hint()) from None
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


def _start(
    home: Path, tcp_port: int | None, deadline: float, timeout_s: float, env: Mapping[str, str] | None
) -> bool:
    """Start one now, and wait; see `start`."""
    ready_read, ready_write = os.pipe()
    arguments = [
        sys.executable,
        "-m",
        "penchant_daemon.entry",
        "up",
        "--foreground",
        "--ready-fd",
        str(ready_write),
    ]
    if tcp_port is not None:
        arguments += ["--tcp", str(tcp_port)]
    environment = dict(os.environ if env is None else env)
    environment["PENCHANT_HOME"] = str(home)
    # glibc gives each of many threads an arena of its own, and keeps in it what that thread once used.
    environment.setdefault("MALLOC_ARENA_MAX", "2")
    log_folder = home / "logs"
    log_folder.mkdir(mode=0o700, exist_ok=True)
    startup_log = log_folder / STARTUP_LOG_NAME
    log_handle = os.open(startup_log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        # A session of its own: the daemon outlives the terminal and the assistant that asked for it.
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=log_handle,
            stderr=log_handle,
            pass_fds=(ready_write,),
            start_new_session=True,
            cwd="/",
            env=environment,
        )
    except OSError as error:
        os.close(ready_read)
        raise StartError(f"{sys.executable} cannot be run: {error.strerror}") from error
    finally:
        os.close(ready_write)
        os.close(log_handle)
    try:
        # The pipe becomes readable when the daemon says that it is ready, and at its end when it died.
        readable, _, _ = select.select([ready_read], [], [], max(0.0, deadline - time.monotonic()))
        answer = os.read(ready_read, 64) if readable else b""
    finally:
        os.close(ready_read)
    if answer:
        _forget_child(process)
        return True
    try:
        code = process.wait(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise StartError(
            f"the daemon (pid {process.pid}) was not ready after {timeout_s:g} s", _log_hint()
        ) from None
    if code == EXIT_LOCK_HELD and _wait_until_accepts(home, deadline):
        return False
    raise StartError(last_error(home) or f"the daemon ended with code {code}", _log_hint())


def stop(home: Path, timeout_s: float = STOP_TIMEOUT_S) -> Owner | None:
    """End the daemon of a data directory: when this returns, what it acknowledged is on disk and its process is gone.

    :return: the daemon that was stopped, None when none was running.
    :raises StartError: it still runs after the time.
    """
    running = owner(home)
    if running is None:
        return None
    try:
        os.kill(running.pid, signal.SIGTERM)
    except ProcessLookupError:
        return None
    # The lock is free a moment before the process has ended.
    deadline = time.monotonic() + timeout_s
    while not _has_ended(running.pid):
        if time.monotonic() > deadline:
            raise StartError(
                f"the daemon (pid {running.pid}) did not stop in {timeout_s:g} s", f"kill -9 {running.pid}"
            )
        time.sleep(_POLL_S)
    return running


def _has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for whoever started it to ask how it ended (as we do, if it was us)."""
    import psutil  # not at the top: the hook and `penchant mcp` import this module

    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        pass
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def last_error(home: Path) -> str | None:
    """What the daemon wrote on standard error before it ended, shortened; None when it wrote nothing."""
    try:
        text = (home / "logs" / STARTUP_LOG_NAME).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-5:]) or None


def say_ready(ready_fd: int | None) -> None:
    """Tell whoever started us: the pipe of `start`, and the service manager behind `$NOTIFY_SOCKET`."""
    if ready_fd is not None:
        try:
            os.write(ready_fd, b"ready\n")
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EBADF):
                raise
        finally:
            os.close(ready_fd)
    notify("READY=1")


def notify(state: str) -> None:
    """One datagram to the service manager (sd_notify(3)); nothing when there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        channel.sendto(state.encode(), address)
    except OSError:
        pass  # the service manager's loss: a daemon that runs is worth more than one that said so
    finally:
        channel.close()


def _wait_until_accepts(home: Path, deadline: float) -> bool:
    while time.monotonic() < deadline:
        if accepts(home):
            return True
        time.sleep(_POLL_S)
    return accepts(home)


def _owner_written(path: Path) -> Owner | None:
    try:
        written = json.loads(path.read_text())
        return Owner(int(written["pid"]), str(written["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # locked, and not yet written


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _forget_child(process: subprocess.Popen[bytes]) -> None:
    """Let the daemon go on without us, and without a warning that it does."""
    process.returncode = 0


def _home_hint(home: Path) -> str:
    return f"make {home} writable for user {os.getuid()}, or set PENCHANT_HOME to another directory"


def _log_hint() -> str:
    return "penchant logs shows more; penchant up --foreground runs it in sight"


__all__ = [
    "EXIT_LOCK_HELD",
    "EXIT_UNUSABLE",
    "LOCK_NAME",
    "LOG_NAME",
    "Lock",
    "Owner",
    "accepts",
    "bind_socket",
    "bind_tcp",
    "last_error",
    "notify",
    "owner",
    "prepare_home",
    "say_ready",
    "start",
    "stop",
    "unlink_socket",
]
