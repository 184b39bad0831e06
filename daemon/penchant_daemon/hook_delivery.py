"""What a hook does when the daemon did not take its words at once: it is down, too busy, or refuses them as they came.

A child that nobody waits for takes over then: it starts the daemon and delivers, and where that fails leaves the
events in the spool, secrets masked. As long as such a child is on its way, the hooks that come after line up behind it,
so that what happened first is logged first.

Standard library only, as far as the assistant waits for it.
"""

from __future__ import annotations

import json
import os
import time

from penchant_daemon.home import home_dir, socket_path
from penchant_daemon.hook import (
    CONTEXT_TIMEOUT_S,
    LINE_NAME,
    LOG_TIMEOUT_S,
    MAX_INPUT_BYTES,
    Connection,
    Undelivered,
    now,
)
from penchant_daemon.hook_events import answer, context_request, takes_context, understood

TYPE_CHECKING = False  # type checkers take it for typing's, whose import would cost 3 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Final

    from penchant_daemon.hook_events import Call, Event

MAX_LOG_BYTES: Final = 1_000_000
RELAY_TIMEOUT_S: Final = 20.0
RELAY_ANSWER_S: Final = 10.0
RELAY_POLL_S: Final = 0.1
START_AGAIN_S: Final = 30.0  # hooks of one failing start do not each try it anew

SPOOL_NAME: Final = "spool"
FORGOTTEN_S: Final = 60.0  # a file in the line that nobody holds is taken away after this time


def take(
    data: bytes | None, event: str | None, agent: str | None, began: float, at: str, *, starts: bool
) -> bytes:
    """Take one hook call, whatever becomes of it.

    :param data: what stood on standard input; None: too much, or it did not end.
    :param event: the hook's name as the settings give it, and `agent` the host's.
    :param began: since when the host waits, by `time.monotonic()`, and `at` that time in UTC, ISO-8601.
    :param starts: whether a daemon is started where none runs.
    :return: what is to be printed.
    """
    home = home_dir()
    try:
        return _take(home, data, event, agent, began, at, starts).encode("ascii")
    except Exception as error:  # noqa: BLE001  the outermost edge: an assistant must never see us fail
        _log(home, event, f"{type(error).__name__} in {_place(error)}")
        return b""


def _take(
    home: Path,
    data: bytes | None,
    event: str | None,
    agent: str | None,
    began: float,
    at: str,
    starts: bool,
) -> str:
    if data is None:
        _log(home, event, f"standard input is larger than {MAX_INPUT_BYTES} bytes or did not end: not logged")
        return ""
    payload = _payload(data)
    if payload is None:
        _log(home, event, f"standard input is no JSON object ({len(data)} bytes): not logged")
        return ""
    call = understood(payload, event, at, agent, os.environ.get("CLAUDE_PROJECT_DIR"))
    if call is None:
        _log(home, event, "not a hook that is taken: not logged")
        return ""
    deadline = began + (CONTEXT_TIMEOUT_S if takes_context(call) else LOG_TIMEOUT_S)
    is_logged = not call.events
    if call.events and any_in_line(home):
        _hand_over(home, call, starts)
        is_logged = True
    try:
        if is_logged and not takes_context(call):
            return ""
        with _connected(home, call, deadline) as connection:
            if not is_logged:
                _post(connection, "/v1/events", call.events)
                is_logged = True
            return answer(call, _context(connection, call)) if takes_context(call) else ""
    except Undelivered as error:
        if error.is_final:
            _log(home, call.event, str(error))
        elif not is_logged:
            _hand_over(home, call, starts)
    return ""


def _connected(home: Path, call: Call, deadline: float, **connect_s: float) -> Connection:
    return Connection(os.fspath(socket_path(home)), call.host, deadline, **connect_s)


def _post(connection: Connection, path: str, value: object) -> bytes:
    """
    :raises Undelivered: no answer in time, or one that is no success.
    """
    status, body = connection.send(path, json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    if status >= 300:
        # What the daemon refuses once it refuses always; a full disk or a stop passes.
        is_final = 400 <= status < 500 and status != 408
        raise Undelivered(f"{path}: the daemon answered {status} ({_code(body)})", is_final)
    return body


def _context(connection: Connection, call: Call) -> str:
    try:
        said = json.loads(_post(connection, "/v1/context", context_request(call)))
    except (Undelivered, ValueError):
        return ""  # the events are logged; a prompt goes on without its context
    text = said.get("text") if isinstance(said, dict) else None
    return text if isinstance(text, str) else ""


class Ticket:
    """A place in the line of those who deliver behind their host's back: `time-pid`, so names sort by time.

    The kernel drops the lock on its file when the last process that inherited it dies, however it dies.
    """

    def __init__(self, home: Path) -> None:
        self.name = f"{time.time_ns():020d}-{os.getpid()}"
        self._path = home / LINE_NAME / self.name
        self._handle = -1

    def take(self) -> None:
        """Stand in line; where that cannot be written the events are delivered out of turn."""
        import fcntl

        try:
            self._path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
        except OSError:
            return

    def give_back(self) -> None:
        """Let the next one go."""
        self._path.unlink(missing_ok=True)


def any_in_line(home: Path, before: str | None = None) -> bool:
    """Whether a hook's child still has events to deliver.

    :param before: only those who came before this ticket's name.
    """
    folder = home / LINE_NAME
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  the fastest there is
    except OSError:
        return False
    return any(_is_held(folder / name) for name in names if before is None or name < before)


def _is_held(path: Path) -> bool:
    import fcntl

    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False  # given back a moment ago
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if time.time() - os.fstat(handle).st_mtime > FORGOTTEN_S:
            path.unlink(missing_ok=True)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _hand_over(home: Path, call: Call, starts: bool) -> None:
    """Let a child deliver the events, and return at once; without fork they go to the spool here."""
    if not hasattr(os, "fork"):
        spool(home, call.host, call.events)
        return
    ticket = Ticket(home)
    ticket.take()  # before this process ends: the next hook may start right then
    try:
        if os.fork():
            return
    except OSError:  # no process or memory is left for one
        spool(home, call.host, call.events, ticket.name)
        ticket.give_back()
        return
    # The child: in a session of its own and off the host's pipes, or the host would wait for their end.
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nowhere, descriptor)
        if starts:
            _relay(home, call, ticket.name)
        else:
            spool(home, call.host, call.events, ticket.name)
    except Exception as error:  # noqa: BLE001  as in main: nobody is there to see it
        _log(home, call.event, f"{type(error).__name__} in {_place(error)}")
    finally:
        ticket.give_back()
        os._exit(0)


def _relay(home: Path, call: Call, ticket: str) -> None:
    """Deliver once all who came before have; start a daemon where none listens."""
    deadline = time.monotonic() + RELAY_TIMEOUT_S
    reason = "others were on their way before"
    has_started = False
    while time.monotonic() < deadline:
        if any_in_line(home, before=ticket):
            time.sleep(RELAY_POLL_S)
            continue
        until = min(deadline, time.monotonic() + RELAY_ANSWER_S)
        try:
            with _connected(home, call, until, connect_s=1.0) as connection:
                _post(connection, "/v1/events", call.events)
            return
        except Undelivered as error:
            if error.is_final:
                _log(home, call.event, str(error))
                return
            reason = str(error)
        if not has_started:
            has_started = True
            _start_daemon(home, call)
            continue
        if _is_given_up(home):
            break
        time.sleep(RELAY_POLL_S)
    spool(home, call.host, call.events, ticket)
    _log(home, call.event, f"kept in the spool: {reason}")


def _start_daemon(home: Path, call: Call) -> None:
    """Start the daemon, unless another hook tried a moment ago."""
    import contextlib

    from penchant_daemon import lifecycle
    from penchant_daemon.errors import PenchantError

    mark = _start_mark(home)
    try:
        lifecycle.prepare_home(home)
        with contextlib.suppress(FileNotFoundError):
            if time.time() - mark.stat().st_mtime >= START_AGAIN_S:
                mark.unlink()
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except (PenchantError, OSError) as error:
        _log(home, call.event, f"the daemon cannot be started: {error}")
        return
    try:
        lifecycle.start(home)
        mark.unlink(missing_ok=True)
    except (PenchantError, OSError) as error:
        last_line = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        _log(home, call.event, f"the daemon could not be started: {last_line[0][:300]}")
        with contextlib.suppress(OSError):  # then the next hook tries again
            mark.write_text("failed")


def _is_given_up(home: Path) -> bool:
    try:
        return _start_mark(home).read_text() == "failed"
    except OSError:
        return False


def _start_mark(home: Path) -> Path:
    return home / "hook-start"


def spool(home: Path, agent: str, events: Sequence[Event], name: str | None = None) -> None:
    """Leave events for the daemon's next start: one file of one JSON line, 0600, their secrets masked.

    The daemon masks again with all its detectors; until then no secret that these find lies on the disk.

    :param name: the ticket's, by which the daemon reads in the order of what happened; None makes one.
    """
    from platformdirs import user_cache_path

    from penchant_daemon.capture.secrets import SecretMasker

    rules = (
        user_cache_path("penchant", appauthor=False) / "secret-rules"
    )  # compiled once, by the daemon or a hook
    masker = SecretMasker(rules if rules.is_dir() else home / "cache")
    masked = [masker.mask_json(dict(event))[0] for event in events]
    folder = home / SPOOL_NAME
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    name = name or f"{time.time_ns():020d}-{os.getpid()}"
    unfinished = folder / f"{name}.part"
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
        file.write(json.dumps({"agent": agent, "events": masked}, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(folder / f"{name}.json")


def _payload(data: bytes) -> Event | None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    else:
        text = data.decode("utf-8-sig", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _code(body: bytes) -> str:
    """The error's code and field: what may be logged, for a message could quote what was sent."""
    try:
        said = json.loads(body)["error"]
        return f"{said['code']} {said.get('field') or ''}".strip()
    except (ValueError, KeyError, TypeError):
        return "no reason given"


def _place(error: Exception) -> str:
    """Where an error came from, without its message: that could quote what was captured."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace is not None else "?"


def _log(home: Path, event: str | None, problem: str) -> None:
    """One line in `logs/hook.log`: when, which hook, what went wrong; never what was captured."""
    try:
        folder = home / "logs"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "hook.log"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.fstat(handle).st_size > MAX_LOG_BYTES:
                os.ftruncate(handle, 0)
            safe = "".join(c if c.isprintable() else "?" for c in f"{event or '-'}"[:60])
            os.write(handle, f"{now()} {safe} {problem}\n".encode("utf-8", "replace"))
        finally:
            os.close(handle)
    except OSError:
        pass  # a log that cannot be written must not cost the assistant its turn


__all__ = ["any_in_line", "spool", "take"]
