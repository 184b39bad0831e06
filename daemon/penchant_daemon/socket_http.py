"""HTTP/1.1 over the daemon's Unix socket with the standard library: what the synchronous client sends through.

A general client library spends 1 ms of processor time on each request where this spends 0.2, and takes 85 ms
to import, which every command would pay.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MAX_IDLE = 16

Headers = Mapping[str, str]


class NotReached(OSError):
    """Nothing listens: the request reached no daemon, so it may be sent again."""


class Broken(OSError):
    """The daemon went away before its answer had come."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the daemon did what was asked."""
        return 200 <= self.status < 300


class SocketHttp:
    """Requests over one Unix socket; connections are kept and used again. Safe to use from several threads.

    :param path: the socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._idle: list[_Connection] = []
        self._is_closed = False

    def close(self) -> None:
        """Close the connections that nobody uses; those in use are closed after their answer."""
        with self._lock:
            idle, self._idle, self._is_closed = self._idle, [], True
        for connection in idle:
            connection.close()

    def request(
        self, method: str, target: str, body: bytes | None, headers: Headers, timeout_s: float
    ) -> Answer:
        """One request and its whole answer.

        :param target: path and query.
        :param timeout_s: for connecting and for each wait for bytes.
        :raises NotReached: nothing listens.
        :raises Broken: the daemon went away, or what it said is no HTTP.
        :raises TimeoutError: it said nothing for that long.
        """
        with self._asked(method, target, body, headers, timeout_s) as (connection, response):
            answer = Answer(response.status, response.read())
            if response.will_close or self._is_closed:
                connection.close()
            else:
                self._keep(connection)
        return answer

    @contextlib.contextmanager
    def stream(self, target: str, headers: Headers) -> Iterator[tuple[int, Iterator[bytes]]]:
        """A GET whose answer is read line by line, for as long as it takes: its status and its lines.

        :raises NotReached: nothing listens.
        :raises Broken: the daemon went away.
        """
        with self._asked("GET", target, None, headers, None) as (connection, response):
            try:
                yield response.status, iter(response)
            finally:
                response.close()
                connection.close()

    @contextlib.contextmanager
    def _asked(
        self, method: str, target: str, body: bytes | None, headers: Headers, timeout_s: float | None
    ) -> Iterator[tuple[_Connection, http.client.HTTPResponse]]:
        connection = self._connection(timeout_s)
        try:
            connection.request(method, target, body=body, headers=dict(headers))
            yield connection, connection.getresponse()
        except TimeoutError:
            connection.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Broken(str(error) or type(error).__name__) from error
        except BaseException:
            connection.close()
            raise

    def _connection(self, timeout_s: float | None) -> _Connection:
        """One that still stands, else a new one."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                break
            if connection.still_stands():
                connection.sock.settimeout(timeout_s)
                return connection
            connection.close()
        fresh = _Connection(self._path, timeout_s)
        try:
            fresh.connect()
        except TimeoutError:
            fresh.close()
            raise
        except OSError as error:
            fresh.close()
            raise NotReached(str(error)) from error
        return fresh

    def _keep(self, connection: _Connection) -> None:
        with self._lock:
            if not self._is_closed and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()


class _Connection(http.client.HTTPConnection):
    """One connection to the socket."""

    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("localhost")
        self.timeout = timeout_s
        self._path = path

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.timeout)
        try:
            connection.connect(self._path)
        except BaseException:
            connection.close()
            raise
        self.sock = connection

    def still_stands(self) -> bool:
        """Whether the other end has not closed it: then nothing is there to read."""
        try:
            poll = select.poll()
            poll.register(self.sock, select.POLLIN)
            return not poll.poll(0)
        except (OSError, ValueError):
            return False


__all__ = ["Answer", "Broken", "NotReached", "SocketHttp"]
