"""`penchant hook EVENT`: the process that an assistant starts at its hooks.

It reads one JSON object from standard input, hands what it says to the daemon, and prints context only where
the host takes one. Whatever happens it ends with code 0 and within its own time-outs: memory must never stand
in the way of the work. With the daemon down, or too busy to answer at once, a child that nobody waits for takes
over: it starts the daemon and delivers, and where that fails leaves the events in the spool, secrets masked.
As long as such a child is on its way, the hooks that come after line up behind it, so that what happened first is
logged first.

Standard library only; the whole process takes 20 to 40 ms.
"""

from __future__ import annotations

import _socket  # what socket is made of; its selectors and enums would cost another 5 ms
import json
import os
import select
import sys
import time

from penchant_daemon.home import home_dir, socket_path
from penchant_daemon.hook_events import answer, takes_context, understood

TYPE_CHECKING = False  # type checkers take it for typing's, whose import would cost 3 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Final, NoReturn

    from penchant_daemon.hook_events import Call, Event

CONNECT_TIMEOUT_S: Final = 0.02
LOG_TIMEOUT_S: Final = 0.3  # an event: the host waits for us
CONTEXT_TIMEOUT_S: Final = 2.0  # a prompt: the person waits for the answer anyway
INPUT_TIMEOUT_S: Final = 2.0
MAX_INPUT_BYTES: Final = 32_000_000
MAX_LOG_BYTES: Final = 1_000_000

RELAY_TIMEOUT_S: Final = 20.0
RELAY_ANSWER_S: Final = 10.0
RELAY_POLL_S: Final = 0.1
START_AGAIN_S: Final = 30.0  # hooks of one failing start do not each try it anew

SPOOL_NAME: Final = "spool"
LINE_NAME: Final = (
    "hook-line"  # one empty file for each child that has events to deliver, locked while it lives
)
FORGOTTEN_S: Final = 60.0  # a file there that nobody holds is taken away after this time
USAGE: Final = "usage: penchant hook EVENT [--agent NAME] [--no-start], the hook's JSON on standard input\n"

_INPUT, _OUTPUT = 0, 1


class Undelivered(Exception):
    """The daemon did not take the events; `is_final` when it never will."""

    def __init__(self, reason: str, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


def main(argv: Sequence[str]) -> NoReturn:
    """Take one hook call and end the process with code 0.

    :param argv: the hook's name, and for tests and unusual hosts `--agent NAME` and `--no-start`.
    """
    home = home_dir()
    event = next((argument for argument in argv if not argument.startswith("-")), None)
    try:
        _take(home, event, _option(argv, "--agent"), starts="--no-start" not in argv)
    except Exception as error:  # noqa: BLE001  the outermost edge: an assistant must never see us fail
        _log(home, event, f"{type(error).__name__} in {_place(error)}")
    # Everything is written unbuffered: taking the interpreter down in order would cost 4 ms for nothing.
    sys.stderr.flush()
    os._exit(0)


def _take(home: Path, event: str | None, agent: str | None, starts: bool) -> None:
    data = _standard_input()
    if data is None:
        _log(home, event, f"standard input is larger than {MAX_INPUT_BYTES} bytes or did not end: not logged")
        return
    payload = _payload(data)
    if payload is None:
        _log(home, event, f"standard input is no JSON object ({len(data)} bytes): not logged")
        return
    call = understood(payload, event, _now(), agent, os.environ.get("CLAUDE_PROJECT_DIR"))
    if call is None:
        _log(home, event, "not a hook that is taken: not logged")
        return
    deadline = time.monotonic() + (CONTEXT_TIMEOUT_S if takes_context(call) else LOG_TIMEOUT_S)
    is_logged = not call.events
    if call.events and any_in_line(home):
        _hand_over(home, call, starts)
        is_logged = True
    try:
        if is_logged and not takes_context(call):
            return
        with Connection(home, call.host, deadline) as connection:
            if not is_logged:
                connection.post("/v1/events", call.events)
                is_logged = True
            if takes_context(call):
                _print(answer(call, _context(connection, call)))
    except Undelivered as error:
        if error.is_final:
            _log(home, call.event, str(error))
        elif not is_logged:
            _hand_over(home, call, starts)


def _context(connection: Connection, call: Call) -> str:
    request: Event = {"event": call.event, "prompt": call.prompt[:100_000]}
    for name, value in (("session", call.session), ("project", call.project)):
        if value:
            request[name] = value
    try:
        said = json.loads(connection.post("/v1/context", request))
    except (Undelivered, ValueError):
        return ""  # the events are logged; a prompt goes on without its context
    text = said.get("text") if isinstance(said, dict) else None
    return text if isinstance(text, str) else ""


class Connection:
    """HTTP/1.1 over the daemon's socket: as much of it as a POST needs, in the time that is left.

    :param deadline: by `time.monotonic()`.
    :raises Undelivered: nobody listens.
    """

    def __init__(self, home: Path, agent: str, deadline: float, connect_s: float = CONNECT_TIMEOUT_S) -> None:
        self._agent = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "-" for c in agent)[:64]
        self._deadline = deadline
        self._rest = b""
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self._socket.settimeout(connect_s)
        try:
            self._socket.connect(os.fspath(socket_path(home)))
        except OSError as error:
            self._socket.close()
            raise Undelivered(f"no daemon: {error.strerror or error}") from error

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def post(self, path: str, value: object) -> bytes:
        """Send one JSON body and return the answer's.

        :raises Undelivered: no answer in time, or one that is no success.
        """
        body = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        head = (
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"x-penchant-agent: {self._agent}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(head.encode("ascii") + body)
            status, answer_body = self._answer()
        except OSError as error:  # time-outs are among them
            raise Undelivered(f"{path}: {error}") from error
        if status >= 300:
            # What the daemon refuses once it refuses always; a full disk or a stop passes.
            is_final = 400 <= status < 500 and status != 408
            raise Undelivered(f"{path}: the daemon answered {status} ({_code(answer_body)})", is_final)
        return answer_body

    def _answer(self) -> tuple[int, bytes]:
        data = self._rest
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
        while len(body) < length:
            body += self._more()
        self._rest = body[length:]
        return int(lines[0].split(" ")[1]), body[:length]

    def _more(self) -> bytes:
        self._socket.settimeout(self._left())
        data = self._socket.recv(65_536)
        if not data:
            raise ConnectionResetError("the connection was closed")
        return data

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no time is left")
        return left


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
            with Connection(home, call.host, until, connect_s=1.0) as connection:
                connection.post("/v1/events", call.events)
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


def _standard_input() -> bytes | None:
    """Everything on standard input; None when it is too much or does not end in time."""
    try:
        if os.isatty(_INPUT):
            sys.stderr.write(USAGE)
            return b""
        os.fstat(_INPUT)
    except OSError:
        return b""  # closed
    deadline = time.monotonic() + INPUT_TIMEOUT_S
    parts: list[bytes] = []
    n_bytes = 0
    while n_bytes <= MAX_INPUT_BYTES:
        left = deadline - time.monotonic()
        if left <= 0 or (os.name != "nt" and not select.select([_INPUT], [], [], left)[0]):
            # Some hosts forget to close the pipe: what came may be whole.
            return b"".join(parts) if parts else None
        part = os.read(_INPUT, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)
        n_bytes += len(part)
    return None


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


def _print(text: str) -> None:
    if text:
        # ASCII JSON: no console's encoding can break it.
        os.write(_OUTPUT, text.encode("ascii") + b"\n")


def _now() -> str:
    now = time.time_ns()
    return (
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1_000_000_000))
        + f".{now // 1_000_000 % 1000:03d}Z"
    )


def _option(argv: Sequence[str], name: str) -> str | None:
    for at, argument in enumerate(argv):
        if argument == name and at + 1 < len(argv):
            return argv[at + 1]
        if argument.startswith(name + "="):
            return argument[len(name) + 1 :]
    return None


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
            os.write(handle, f"{_now()} {safe} {problem}\n".encode("utf-8", "replace"))
        finally:
            os.close(handle)
    except OSError:
        pass  # a log that cannot be written must not cost the assistant its turn


__all__ = ["Connection", "Undelivered", "main", "spool"]
