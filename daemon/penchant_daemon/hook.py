"""`penchant hook EVENT`: the process that an assistant starts at its hooks.

It reads what the assistant says on standard input, hands it to the daemon, and prints context only where the host
takes one. Whatever happens it ends with code 0 and within its own time-outs: memory must never stand in the way of
the work.

Nearly always the daemon listens and nobody waits in line before us. Then it is sent what came, as it came, and answers
with what is to be printed. For that neither JSON nor paths are read here, nor a regular expression compiled: importing
what does costs more than all the rest. Everything else is `hook_delivery`'s.
"""

from __future__ import annotations

import _socket  # what socket is made of; its selectors and enums would cost another 5 ms
import os
import select
import sys
import time

from penchant_daemon.home import SOCKET_NAME, home_text
from penchant_daemon.hook_names import BEFORE_WORK, canonical

TYPE_CHECKING = False  # type checkers take it for typing's, whose import would cost 3 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final, NoReturn

CONNECT_TIMEOUT_S: Final = 0.02
LOG_TIMEOUT_S: Final = 0.3  # an event: the host waits for us
CONTEXT_TIMEOUT_S: Final = 2.0  # a prompt: the person waits for the answer anyway
INPUT_TIMEOUT_S: Final = 2.0
MAX_INPUT_BYTES: Final = 32_000_000
MAX_STRAIGHT_BYTES: Final = 1_000_000  # more is cut before it is sent

LINE_NAME: Final = "hook-line"  # in the data directory; `hook_delivery.Ticket`
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
    event = next((argument for argument in argv if not argument.startswith("-")), None)
    agent = _option(argv, "--agent")
    data = None
    began, at = time.monotonic(), now()
    try:
        data = _standard_input()
        began, at = time.monotonic(), now()
        output = None if data is None else _straight(data, event, agent, began, at)
    except Exception:  # noqa: BLE001  the outermost edge: an assistant must never see us fail
        output = None
    if output is None:
        from penchant_daemon import hook_delivery

        output = hook_delivery.take(data, event, agent, began, at, starts="--no-start" not in argv)
    if output:
        try:  # noqa: SIM105  contextlib is another import
            os.write(_OUTPUT, output + b"\n")
        except OSError:
            pass  # the host has closed the pipe: it waits for nothing more
    # Everything is written unbuffered: taking the interpreter down in order would cost 4 ms for nothing.
    sys.stderr.flush()
    os._exit(0)


def _straight(data: bytes, event: str | None, agent: str | None, began: float, at: str) -> bytes | None:
    """What the daemon says is to be printed; None where it did not take what came, or may not be asked yet."""
    said = {
        "event": event,
        "agent": agent,
        "place": os.environ.get("CLAUDE_PROJECT_DIR"),
        "occurred_at": at,
    }
    if not data or len(data) > MAX_STRAIGHT_BYTES or not all(map(_is_plain, said.values())):
        return None
    home = home_text()
    try:
        if os.listdir(f"{home}/{LINE_NAME}"):  # noqa: PTH208  pathlib costs more than all of this
            return None
    except FileNotFoundError:
        pass
    fields = "".join(f'"{name}":"{value}",' for name, value in said.items() if value)
    body = b"{" + fields.encode("ascii") + b'"payload":' + data + b"}"
    may_take_context = not event or canonical(event) in BEFORE_WORK
    waits_s = CONTEXT_TIMEOUT_S if may_take_context else LOG_TIMEOUT_S
    try:
        with Connection(f"{home}/{SOCKET_NAME}", "hook", began + waits_s) as connection:
            status, output = connection.send("/v1/hook", body)
    except Undelivered:
        return None
    return output if status == 200 else None


def _is_plain(text: str | None) -> bool:
    """Whether a text can stand in JSON as it is."""
    return text is None or (text.isascii() and text.isprintable() and '"' not in text and "\\" not in text)


class Connection:
    """HTTP/1.1 over the daemon's socket: as much of it as a POST needs, in the time that is left.

    :param path: of the socket.
    :param deadline: by `time.monotonic()`.
    :raises Undelivered: nobody listens.
    """

    def __init__(self, path: str, agent: str, deadline: float, connect_s: float = CONNECT_TIMEOUT_S) -> None:
        self._agent = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "-" for c in agent)[:64]
        self._deadline = deadline
        self._rest = b""
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self._socket.settimeout(connect_s)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise Undelivered(f"no daemon: {error.strerror or error}") from error

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def send(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Send one JSON body; gives the answer's status and body.

        :raises Undelivered: no answer in time.
        """
        head = (
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"x-penchant-agent: {self._agent}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(head.encode("ascii") + body)
            return self._answer()
        except OSError as error:  # time-outs are among them
            raise Undelivered(f"{path}: {error}") from error

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


def now() -> str:
    """The time of the call, UTC ISO-8601."""
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


__all__ = ["Connection", "Undelivered", "main", "now"]
