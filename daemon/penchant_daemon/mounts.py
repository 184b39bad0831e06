"""What other packages serve inside the daemon: found by entry point, imported late.

The MCP server's import alone costs 0.8 s and 55 MB, so it happens in a thread some seconds after the daemon is ready,
or at the first request to it. One that cannot be imported is said in the status; the daemon goes on without it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from penchant_daemon.access import App, Inside, Receive, Scope, Send, error_response
from penchant_daemon.client import AGENT_HEADER, AsyncClient
from penchant_daemon.detached import detached
from penchant_daemon.errors import NotFound, Unavailable
from penchant_daemon.logs import described, logger
from penchant_daemon.peer import Peer
from penchant_daemon.wire import Problem

GROUP = "penchant.mounts"

log = logger(__name__)


class Mounts:
    """The mounted apps by name (`mcp` answers at `/mcp`), in front of the daemon's own API.

    :param api: the daemon's API, asked by whatever is mounted and by everything that is not.
    """

    def __init__(self, api: App) -> None:
        self._api = api
        self._found = {point.name: point for point in entry_points(group=GROUP)}
        self._apps: dict[str, Any] = {}
        self._errors: dict[str, str] = {}
        self._loading: dict[str, asyncio.Task[Any]] = {}
        self._client: AsyncClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, _, rest = scope["path"].lstrip("/").partition("/")
        if name not in self._found:
            await self._api(scope, receive, send)
            return
        if rest:
            await error_response(NotFound(f"there is no route /{name}/{rest[:100]}"))(scope, receive, send)
            return
        app = await self.load(name)
        if app is None:
            error = Unavailable(f"/{name} could not be loaded: {self._errors[name]}", hint="penchant status")
            await error_response(error)(scope, receive, send)
            return
        peer: Peer = scope["state"]["peer"]
        if not peer.is_tcp and AGENT_HEADER.encode() not in dict(scope["headers"]):
            scope["state"].pop("agent", None)  # nobody named it: the protocol inside says who calls
        await app(scope, receive, send)

    async def load_all(self) -> None:
        """Import everything now; errors are kept for the status."""
        for name in self._found:
            await self.load(name)

    async def load(self, name: str) -> Any:
        """One mounted app, imported at its first use; None when it cannot be."""
        if name in self._apps:
            return self._apps[name]
        if name in self._errors:
            return None
        if name not in self._loading:
            self._loading[name] = asyncio.create_task(self._load(name, self._found[name]))
        return await asyncio.shield(self._loading[name])

    async def aclose(self) -> None:
        """End what is mounted."""
        for task in self._loading.values():
            task.cancel()
        for app in self._apps.values():
            close = getattr(app, "aclose", None)
            if close is not None:
                await close()
        if self._client is not None:
            await self._client.aclose()

    def state(self) -> dict[str, str]:
        """For the status: ready, loading, waiting or the error, by name."""
        return {
            name: "ready"
            if name in self._apps
            else self._errors.get(name) or ("loading" if name in self._loading else "waiting")
            for name in self._found
        }

    def problems(self) -> Sequence[Problem]:
        """Mounts that could not be loaded."""
        return [
            Problem(part=name, message=f"/{name} could not be loaded: {error}", fix="penchant doctor")
            for name, error in self._errors.items()
        ]

    def _client_inside(self) -> AsyncClient:
        import httpx2

        return AsyncClient(transport=httpx2.ASGITransport(app=Inside(self._api)))

    async def _load(self, name: str, point: EntryPoint) -> Any:
        try:
            mount: Callable[[AsyncClient], Any] = await detached(point.load, f"import-{name}")
            if self._client is None:
                self._client = await detached(self._client_inside, "mount-client")
            client = self._client
            app = await detached(lambda: mount(client), f"mount-{name}")
            self._apps[name] = await app if inspect.isawaitable(app) else app
        except Exception as error:  # noqa: BLE001 (somebody else's package: it must not take the daemon along)
            self._errors[name] = described(error)
            log.exception("mount_failed", mount=name)
            return None
        log.info("mounted", mount=name)
        return self._apps[name]


__all__ = ["GROUP", "Mounts"]
