"""Who is at the other end of a connection: the kernel's word for it, and connections that say nothing.

uvicorn's protocol, with two things added. The peer's credentials are read when the connection is made and
travel with each of its requests as `request.state.peer`. A connection that does not finish sending a
request's head is closed, so that a client that hangs holds nothing but its own time.
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

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIMEOUT_S = 15.0
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


class PeerProtocol(H11Protocol):
    """HTTP/1.1 over one connection, knowing its peer."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, "peer": peer_of(transport.get_extra_info("socket"))}
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_is_due():
            if self._head_timer is None:
                self._expect_head()
        else:
            self._head_came()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP gets the one error shape too."""
        self._head_came()
        body = json.dumps(
            {"error": {"code": "malformed", "message": msg, "field": None, "hint": None}}
        ).encode()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            for event in (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _head_is_due(self) -> bool:
        return self.cycle is None or (self.cycle.response_complete and self.timeout_keep_alive_task is None)

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _head_came(self) -> None:
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
