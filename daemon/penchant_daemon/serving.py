"""uvicorn on sockets that we bound, ending when we say so."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Generator, Sequence

import uvicorn

from penchant_daemon.access import App
from penchant_daemon.peer import PeerProtocol

KEEP_ALIVE_S = 75
GRACE_S = 2  # for requests under way when the daemon is told to end


class HttpServer(uvicorn.Server):
    """The daemon's HTTP server: no signal handlers of its own, no ten wake-ups a second.

    :param on_ready: awaited once requests are answered.
    :param on_stop: called first when it ends, before connections are closed.
    """

    def __init__(
        self, app: App, on_ready: Callable[[], Awaitable[None]], on_stop: Callable[[], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=PeerProtocol,
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
                proxy_headers=False,
            )
        )
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._end = asyncio.Event()

    def stop(self) -> None:
        """Finish what is under way and end; a second call does nothing more."""
        self.should_exit = True
        self._end.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the daemon's business."""
        yield

    async def main_loop(self) -> None:
        """Sleep until the end; uvicorn would wake up every tenth of a second to look at flags."""
        await self.on_tick(0)
        await self._on_ready()
        await self._end.wait()

    async def shutdown(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """End the streams first, for they would be waited for."""
        self._on_stop()
        await super().shutdown(sockets=list(sockets) if sockets else None)


__all__ = ["HttpServer"]
