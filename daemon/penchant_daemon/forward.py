"""`penchant mcp`: the process that an assistant starts, forwarding MCP between its pipes and the daemon.

Assistants start one such process per window, thread and subagent, and often forget them. So it imports
the standard library only (the SDK takes 0.4 s and 25 MB, once, in the daemon), holds no state that matters,
and ends with its assistant: when standard input ends, when nobody reads standard output any more, or when
the process that started it is gone although something else still holds the pipe.

Each JSON-RPC line becomes one `POST /mcp` on a connection and a thread of its own: a slow call delays no
other, and closing its connection cancels it. The daemon keeps no MCP session, so a daemon that was restarted
in between answers the next request like any other; one that does not run is started.
"""

from __future__ import annotations

import binascii
import contextlib
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

from penchant_daemon.errors import PenchantError, StartError
from penchant_daemon.home import home_dir, socket_path

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
INTERNAL_ERROR: Final = -32603

# `wire.MAX_BODY_BYTES`, which is not imported because pydantic comes with it.
MAX_MESSAGE_BYTES = 10_000_000 - 1
MAX_IN_FLIGHT = 64
START_TIMEOUT_S = 15.0
LAST_ANSWERS_S = 2.0
PARENT_CHECK_MS = 1000
AGENT_CHARS = 64

_READ_BYTES = 65_536
_INPUT, _OUTPUT = 0, 1
# Which session an assistant works in, where it tells its servers: what it used of a recall is looked for there.
_SESSION_VARIABLES = ("CLAUDE_CODE_SESSION_ID",)
_UNAVAILABLE = 503
_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_CLIENT_KEY = "io.modelcontextprotocol/clientInfo"
# Requests whose subject the protocol (from 2026-07-28 on) repeats in a header, and where it stands.
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
# Calls that do the same twice as once, so that they may be sent again when the daemon died over them.
_REPEATABLE_TOOLS = frozenset(("recall", "remember", "status"))

USAGE = """\
usage: penchant mcp

Speaks MCP on standard input and output, for assistants that start their servers as a process.
Register this command with your assistant; there is nothing to call by hand."""

Message = dict[str, Any]


def main(argv: Sequence[str]) -> int:
    """Forward until the assistant is gone.

    :return: 0, or 2 when an argument was given.
    """
    if argv:
        print(f"penchant mcp takes no arguments, got {' '.join(argv)!r}\n\n{USAGE}", file=sys.stderr)
        return 2
    # No clean-up is worth a traceback on the assistant's terminal: what was acknowledged is in the daemon.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.set_blocking(_INPUT, True)
    os.set_blocking(_OUTPUT, True)
    session = next((os.environ[name] for name in _SESSION_VARIABLES if os.environ.get(name)), None)
    forwarder = Forwarder(home_dir(), session)
    if _forward_lines(forwarder):
        forwarder.wait(LAST_ANSWERS_S)
    return 0


def _forward_lines(forwarder: Forwarder) -> bool:
    """Read lines until one of the three ends that the module's first words name.

    :return: whether somebody may still read the answers in flight.
    """
    poll = select.poll()
    poll.register(_INPUT, select.POLLIN)
    poll.register(_OUTPUT, 0)  # errors and hang-ups only
    parent = os.getppid()
    parent_handle = _open_process(parent)
    if parent_handle is not None:
        poll.register(parent_handle, select.POLLIN)
    lines = _Lines(MAX_MESSAGE_BYTES)
    while True:
        ready = dict(poll.poll(PARENT_CHECK_MS if parent_handle is None else None))
        if _OUTPUT in ready or parent_handle in ready or os.getppid() != parent:
            return False
        if _INPUT in ready:
            try:
                data = os.read(_INPUT, _READ_BYTES)
            except ConnectionResetError:
                return False  # a socket whose other end was killed
            for line in lines.feed(data):
                forwarder.take(line)
            if not data:
                return True


def _open_process(pid: int) -> int | None:
    """A handle that becomes readable when the process ends; None where there is no such thing (not Linux)."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


class _Lines:
    """Cuts a stream of bytes into lines and gives up on those that are too long."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._n_bytes = 0

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """The lines that end in this piece, None for one that was too long; an empty piece ends the last."""
        *ended, rest = data.split(b"\n") if data else [b"", b""]
        for part in ended:
            self._add(part)
            yield self._taken()
        self._add(rest)

    def _add(self, part: bytes) -> None:
        self._n_bytes += len(part)
        if self._n_bytes <= self._max_bytes:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _taken(self) -> bytes | None:
        line = b"".join(self._parts) if self._n_bytes <= self._max_bytes else None
        self._parts, self._n_bytes = [], 0
        return line


class Forwarder:
    """Sends messages to the daemon of one data directory and writes its answers on standard output.

    :param session: the assistant's session, where it is known.
    """

    def __init__(self, home: Path, session: str | None = None) -> None:
        self._home = home
        self._session = session
        self._address = os.fspath(socket_path(home))
        self._agent = ""
        self._version = ""
        self._output = threading.Lock()
        self._starting = threading.Lock()
        self._slots = threading.BoundedSemaphore(MAX_IN_FLIGHT)
        self._in_flight: dict[str, _Exchange] = {}  # by the request's id as JSON: 1 and "1" are two ids
        self._threads: set[threading.Thread] = set()

    def take(self, line: bytes | None) -> None:
        """Forward one line; its answer is written when it comes."""
        if line is None:
            self._write(_error(None, INVALID_REQUEST, f"a message has at most {MAX_MESSAGE_BYTES} bytes"))
            return
        if not line.strip():
            return
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            self._write(_error(None, PARSE_ERROR, f"not JSON: {error}"))
            return
        if not isinstance(message, dict):
            self._write(_error(None, INVALID_REQUEST, "a message is one JSON object, and no batch"))
            return
        method = message.get("method")
        if not isinstance(method, str):
            if "result" not in message and "error" not in message:
                self._write(_error(message.get("id"), INVALID_REQUEST, "the message has no method"))
            return  # an answer: the daemon asks nothing
        if not isinstance(message.get("id", 0), (str, int, float)):
            self._write(_error(None, INVALID_REQUEST, "the id of a request is a string or a number"))
            return
        if method == "notifications/cancelled":
            self._cancel(message)
            return
        self._remember_client(message)
        exchange = _Exchange(self._address, self._head(message, method), line)
        if not self._slots.acquire(blocking=False):
            # Waiting here would also be waiting for the end of the assistant.
            text = f"{MAX_IN_FLIGHT} requests are unanswered; wait for some of them"
            self._write(_error(message.get("id"), INTERNAL_ERROR, text))
            return
        if "id" in message:
            self._in_flight[json.dumps(message["id"])] = exchange
        thread = threading.Thread(target=self._forward, args=(message, exchange), daemon=True)
        self._threads.add(thread)
        thread.start()

    def wait(self, seconds: float) -> None:
        """Let the answers in flight arrive, for at most this long."""
        waiting = threading.Thread(target=self._join, daemon=True)
        waiting.start()
        waiting.join(seconds)

    def _join(self) -> None:
        for thread in tuple(self._threads):
            thread.join()

    def _cancel(self, message: Message) -> None:
        """Close the connection of the request that is not wanted any more; no answer to it is due."""
        params = message.get("params")
        wanted = params.get("requestId") if isinstance(params, dict) else None
        exchange = self._in_flight.pop(json.dumps(wanted), None)
        if exchange is not None:
            exchange.cancel()

    def _remember_client(self, message: Message) -> None:
        """The host's name and protocol, said in `initialize` or (from 2026-07-28 on) in each request."""
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        meta = params.get("_meta")
        told = params.get("clientInfo") or (meta.get(_CLIENT_KEY) if isinstance(meta, dict) else None)
        name = told.get("name") if isinstance(told, dict) else None
        if isinstance(name, str):
            self._agent = name[:AGENT_CHARS]

    def _head(self, message: Message, method: str) -> bytes:
        """Request line and headers of a message, without its length."""
        fields = {
            "Host": "localhost",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Connection": "close",
        }
        if self._agent:
            fields["X-Penchant-Agent"] = _percent_encoded(self._agent)
        if self._session:
            fields["X-Penchant-Session"] = _percent_encoded(self._session)
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        meta = params.get("_meta")
        version = meta.get(_VERSION_KEY) if isinstance(meta, dict) else None
        if isinstance(version, str):
            fields["MCP-Protocol-Version"] = _header_value(version)
            fields["Mcp-Method"] = _header_value(method)
            subject = params.get(_NAMED.get(method, ""))
            if isinstance(subject, str):
                fields["Mcp-Name"] = _header_value(subject)
        elif self._version and method != "initialize":
            fields["MCP-Protocol-Version"] = _header_value(self._version)
        lines = ["POST /mcp HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return "\r\n".join(lines).encode("ascii")

    def _forward(self, message: Message, exchange: _Exchange) -> None:
        """One message there, its answer back; runs in its own thread."""
        has_id = "id" in message
        try:
            for answer in self._answers(message, exchange):
                if exchange.is_cancelled:
                    break
                if message["method"] == "initialize":
                    self._version = _negotiated(answer)
                if has_id:
                    self._write(answer)
        finally:
            if has_id:
                key = json.dumps(message["id"])
                if self._in_flight.get(key) is exchange:
                    del self._in_flight[key]
            self._threads.discard(threading.current_thread())
            self._slots.release()

    def _answers(self, message: Message, exchange: _Exchange) -> Iterator[bytes]:
        """The lines that answer a message: one, or several when the daemon streams; always at least one."""
        request_id = message.get("id")
        for is_last_try in (False, True):
            n_answers = 0
            try:
                for n_answers, answer in enumerate(exchange.send(), start=1):  # noqa: B007 (used below)
                    yield _with_id(answer, request_id)
                if n_answers or "id" not in message:
                    return
                problem, may_try_again = "the daemon gave no answer", False
            except _NotServed as error:
                problem, may_try_again = str(error), True
            except (OSError, _Broken) as error:
                problem = f"the daemon went away before it answered: {error}"
                may_try_again = not n_answers and _may_repeat(message)
            if exchange.is_cancelled:
                return
            if is_last_try or not may_try_again:
                break
            try:
                self._start_daemon()
            except PenchantError as error:
                hint = f"; {error.hint}" if error.hint else ""
                problem = f"Penchant's daemon could not be started: {error.message}{hint}"
                break
        yield _error(request_id, INTERNAL_ERROR, problem)

    def _start_daemon(self) -> None:
        # One thread starts it; the others find it running.
        with self._starting:
            from penchant_daemon import lifecycle

            try:
                lifecycle.start(self._home, timeout_s=START_TIMEOUT_S)
            except StartError:
                # A daemon that was told to stop may hold its lock for nearly as long as we waited.
                if lifecycle.owner(self._home) is not None:
                    raise
                lifecycle.start(self._home, timeout_s=START_TIMEOUT_S)

    def _write(self, line: bytes) -> None:
        # The descriptor rather than sys.stdout: nothing may be left in a buffer when a thread is cut off.
        data = memoryview(line.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")
        # A broken pipe: nobody reads any more. The main loop sees the same and ends.
        with self._output, contextlib.suppress(OSError):
            while data:
                data = data[os.write(_OUTPUT, data) :]


class _NotServed(Exception):
    """Nothing listens, or the daemon is stopping: nothing was done."""


class _Broken(Exception):
    """What came back is not a whole HTTP response."""


class _Exchange:
    """One HTTP request over a connection of its own, which another thread may cancel."""

    def __init__(self, address: str, head: bytes, body: bytes) -> None:
        self._address = address
        self._head = head
        self._body = body
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self.is_cancelled = False

    def cancel(self) -> None:
        """Close the connection: the answer is not awaited any more."""
        with self._lock:
            self.is_cancelled = True
            if self._connection is not None:
                # Wakes the thread that reads; it closes the connection itself.
                with contextlib.suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RDWR)

    def send(self) -> Iterator[bytes]:
        """Send the request and yield each JSON-RPC message of its response.

        :raises _NotServed: nothing listens, or the daemon is stopping.
        :raises _Broken: the response ended early or is no HTTP.
        :raises OSError: the connection broke.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                connection.connect(self._address)
            except OSError as error:
                reason = error.strerror or str(error)
                raise _NotServed(f"no daemon answers on {self._address}: {reason}") from error
            with self._lock:
                if self.is_cancelled:
                    return
                self._connection = connection
            try:
                # A request that is refused by its head alone breaks the pipe; the answer says why.
                with contextlib.suppress(BrokenPipeError):
                    connection.sendall(b"%s\r\nContent-Length: %d\r\n\r\n" % (self._head, len(self._body)))
                    connection.sendall(self._body)
                with connection.makefile("rb") as stream:
                    yield from _messages(stream)
            finally:
                with self._lock:
                    self._connection = None


def _messages(stream: BufferedReader) -> Iterator[bytes]:
    """The JSON-RPC messages of one HTTP response: its body, or each event of an event stream."""
    status, headers = _response_head(stream)
    body = _body(stream, headers)
    if headers.get("content-type", "").startswith("text/event-stream"):
        yield from _events(body)
        return
    whole = b"".join(body)
    if 200 <= status < 300:
        if whole:
            yield whole
    elif status == _UNAVAILABLE:
        raise _NotServed(_reason(status, whole))
    else:
        yield _refusal(status, whole)


def _response_head(stream: BufferedReader) -> tuple[int, dict[str, str]]:
    """Status and headers (names in lower case)."""
    first = stream.readline(_READ_BYTES).split(None, 2)
    if len(first) < 2 or not first[0].startswith(b"HTTP/1.") or not first[1].isdigit():
        raise _Broken("connection closed" if not first else "not HTTP")
    headers: dict[str, str] = {}
    while (line := stream.readline(_READ_BYTES)) not in (b"\r\n", b"\n"):
        name, separator, value = line.decode("latin-1").partition(":")
        if not separator:
            raise _Broken("headers ended early")
        headers[name.strip().lower()] = value.strip()
    return int(first[1]), headers


def _body(stream: BufferedReader, headers: dict[str, str]) -> Iterator[bytes]:
    """The body in pieces as they come: chunked, of a given length, or until the connection ends."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while n_bytes := _chunk_size(stream):
            yield _exactly(stream, n_bytes)
            stream.readline(_READ_BYTES)
        return
    if headers.get("content-length", "").isdigit():
        yield _exactly(stream, int(headers["content-length"]))
        return
    while data := stream.read1(_READ_BYTES):
        yield data


def _chunk_size(stream: BufferedReader) -> int:
    line = stream.readline(_READ_BYTES)
    try:
        return int(line.split(b";")[0], 16)
    except ValueError:
        raise _Broken("the response ended early") from None


def _exactly(stream: BufferedReader, n_bytes: int) -> bytes:
    data = stream.read(n_bytes)
    if len(data) < n_bytes:
        raise _Broken(f"the response ended after {len(data)} of {n_bytes} bytes")
    return data


def _events(body: Iterator[bytes]) -> Iterator[bytes]:
    """The data of each server-sent event."""
    pending = b""
    data: list[bytes] = []
    for piece in body:
        *lines, pending = (pending + piece).split(b"\n")
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data)
                data.clear()


def _refusal(status: int, body: bytes) -> bytes:
    """A JSON-RPC error for an HTTP error, whose body may hold one already."""
    said = _parsed(body)
    if "jsonrpc" in said and isinstance(said.get("error"), dict):
        return body
    return _error(None, INVALID_REQUEST if status < 500 else INTERNAL_ERROR, _reason(status, body))


def _reason(status: int, body: bytes) -> str:
    """Why the daemon refused, from its own error shape."""
    error = _parsed(body).get("error")
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return f"the daemon answered {status}"
    message, hint = error["message"], error.get("hint")
    return f"{message}; {hint}" if isinstance(hint, str) else str(message)


def _parsed(body: bytes) -> Message:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _with_id(answer: bytes, request_id: object) -> bytes:
    """An error that does not know whom it answers (`"id": null`), with the id of its request."""
    if request_id is None or len(answer) > _READ_BYTES or b'"error"' not in answer:
        return answer
    message = json.loads(answer)
    if not isinstance(message, dict) or "error" not in message or message.get("id") is not None:
        return answer
    return json.dumps({**message, "id": request_id}, separators=(",", ":")).encode()


def _error(request_id: object, code: int, text: str) -> bytes:
    message = {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": text}}
    return json.dumps(message, separators=(",", ":")).encode()


def _negotiated(answer: bytes) -> str:
    """The protocol version that the daemon agreed to; empty when it did not."""
    result = json.loads(answer).get("result")
    version = result.get("protocolVersion") if isinstance(result, dict) else None
    return version if isinstance(version, str) else ""


def _may_repeat(message: Message) -> bool:
    """Whether a message may be sent again although the daemon may have acted on it."""
    if message["method"] != "tools/call":
        return True
    params = message.get("params")
    return isinstance(params, dict) and params.get("name") in _REPEATABLE_TOOLS


def _header_value(text: str) -> str:
    """Text as the protocol writes it into headers: printable ASCII as it is, else base64 between marks."""
    is_plain = text.isascii() and text.isprintable() and text == text.strip()
    if is_plain and not text.startswith("=?base64?"):
        return text
    return f"=?base64?{binascii.b2a_base64(text.encode('utf-8', 'replace'), newline=False).decode()}?="


def _percent_encoded(text: str) -> str:
    """Text as the daemon's clients write it into the agent's header."""
    return "".join(
        character
        if character.isascii() and (character.isalnum() or character in " -_.:/@+()")
        else "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
        for character in text
    )


__all__ = ["MAX_MESSAGE_BYTES", "Forwarder", "main"]
