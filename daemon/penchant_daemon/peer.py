"""Who is at the other end of a connection: the kernel's word for it, and connections that say nothing.

uvicorn's protocol, with two things added. The peer's credentials are read when the connection is made and
travel with each of its requests as `request.state.peer`. A connection that does not finish sending a
request's head, or sends one without end, is closed, so that a client that hangs holds nothing but its own time.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S = 15.0
MAX_HEAD_BYTES = 64 * 1024
_MACOS_SOL_LOCAL = 0
_MACOS_LOCAL_PEERCRED = 1
_MACOS_LOCAL_PEERPID = 2


@dataclass(frozen=True)
class Peer:
    """The process that connected: over the Unix socket with its pid and uid, over TCP unknown (None)."""

    pid: int | None
    uid: int | None
    is_tcp: bool

    @cached_property
    def process_name(self) -> str | None:
        """The name of the peer's program, where the system tells it."""
        if self.pid is None:
            return None
        try:
            return Path(f"/proc/{self.pid}/comm").read_text().strip()
        except OSError:
            return None


class PeerProtocol(HttpToolsProtocol):
    """HTTP/1.1 over one connection, knowing its peer."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0  # of a head that has not ended yet
    _field_bytes = 0  # of the fields of the head in work

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, "peer": peer_of(transport.get_extra_info("socket"))}
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_is_due():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response(f"the head of a request has at most {MAX_HEAD_BYTES} bytes")
            elif self._head_timer is None:
                self._expect_head()
        else:
            self._head_came()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field of a head; an exception in here is answered as what is not HTTP."""
        self._field_bytes += len(name) + len(value)
        if self._field_bytes > MAX_HEAD_BYTES:
            raise ValueError("a head without end")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._field_bytes = 0
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            raise ValueError("a version that is not spoken here")
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP gets the one error shape too."""
        self._head_came()
        error = {"code": "malformed", "message": msg, "field": None, "hint": None}
        body = json.dumps({"error": error}).encode()
        if self._head_is_due():  # else an answer is under way, and a second one would be taken for its end
            head = (
                "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()

    def _head_is_due(self) -> bool:
        return self.cycle is None or (self.cycle.response_complete and self.timeout_keep_alive_task is None)

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _head_came(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._head_is_due() and not self.transport.is_closing():
            self.transport.close()


def peer_of(connection: Any) -> Peer:
    """The credentials of a connected socket."""
    if connection is None or connection.family != socket.AF_UNIX:
        return Peer(pid=None, uid=None, is_tcp=True)
    try:
        if sys.platform == "darwin":
            return _macos_peer(connection)
        pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    except OSError:
        return Peer(pid=None, uid=None, is_tcp=False)  # gone already; an unknown uid is refused
    return Peer(pid=pid, uid=uid, is_tcp=False)


def _macos_peer(connection: Any) -> Peer:
    # struct xucred: version, uid, number of groups, 16 groups (sys/ucred.h)
    raw = connection.getsockopt(_MACOS_SOL_LOCAL, _MACOS_LOCAL_PEERCRED, 76)
    _, uid = struct.unpack_from("Ii", raw)
    (pid,) = struct.unpack("i", connection.getsockopt(_MACOS_SOL_LOCAL, _MACOS_LOCAL_PEERPID, 4))
    return Peer(pid=pid, uid=uid, is_tcp=False)


__all__ = ["HEAD_TIMEOUT_S", "Peer", "PeerProtocol", "peer_of"]
