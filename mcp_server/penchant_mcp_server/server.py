"""The MCP server as the ASGI app that the daemon serves at `/mcp`.

Two generations of the protocol arrive here. Revisions up to 2025-11-25 open with `initialize`; from
2026-07-28 on each request carries its own envelope, and hosts may ask `server/discover` and never say hello.
Both are served without sessions: nothing is kept between two requests, so a host that never says goodbye
leaves nothing behind, and a restart of the daemon goes unnoticed (several hosts never recover from a lost
session: https://github.com/modelcontextprotocol/python-sdk/issues/3556).
"""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import PackageNotFoundError, version

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from penchant_daemon import wire
from penchant_daemon.client import AsyncClient
from penchant_mcp_server.instructions import INSTRUCTIONS
from penchant_mcp_server.prompts import add_prompts
from penchant_mcp_server.resources import add_resources
from penchant_mcp_server.tools import all_tools

NAME = "penchant"


def mount(client: AsyncClient) -> McpMount:
    """The app for `/mcp`. Who is allowed to ask has been checked before a request gets here.

    :param client: reaches the daemon's own API; each call goes out under the name of the calling assistant.
    """
    return McpMount(build_server(client))


def build_server(client: AsyncClient) -> MCPServer[None]:
    """The server with its tools, resources and prompts."""
    # The SDK logs each request at INFO, with arguments of failed calls.
    logging.getLogger("mcp").setLevel(logging.WARNING)
    server = MCPServer[None](
        NAME,
        title="Penchant",
        instructions=INSTRUCTIONS,
        version=_version(),
        tools=list(all_tools(client)),
        log_level="WARNING",
        # Nothing here changes while it runs, so there is nothing to subscribe to and no stream to hold open.
        subscriptions=False,
    )
    add_resources(server, client)
    add_prompts(server, client)
    return server


class McpMount:
    """An ASGI app (scope type `http`) that answers `POST`; which path leads here is its host's business.

    It starts itself at the first request and belongs to the event loop of that request. `aclose` ends it.
    """

    def __init__(self, server: MCPServer[None]) -> None:
        server.streamable_http_app(
            stateless_http=True,
            json_response=True,
            max_request_body_size=wire.MAX_BODY_BYTES,
            # The daemon has checked Host and Origin; over the Unix socket a Host means nothing.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        self._manager = (
            server.session_manager
        )  # exists once the app is built; the app's own route is not used
        self._runner: asyncio.Task[None] | None = None
        self._started = asyncio.Event()
        self._stopping = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            # What the specification lets a server answer that opens no stream of its own (GET) and has no
            # session to end (DELETE).
            await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
            return
        if self._stopping.is_set():
            await Response("the daemon is stopping", status_code=503)(scope, receive, send)
            return
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="mcp")
        await self._started.wait()
        await self._manager.handle_request(scope, receive, send)

    async def aclose(self) -> None:
        """End what is being answered and release the event loop; a second call does nothing."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner

    async def _run(self) -> None:
        # One task enters and leaves the SDK's task group: anyio allows no other.
        try:
            async with self._manager.run():
                self._started.set()
                await self._stopping.wait()
        finally:
            self._started.set()  # whoever waits gets an error from the SDK rather than no answer


def _version() -> str:
    try:
        return version("penchant")
    except PackageNotFoundError:
        return "0"  # run from the source tree without being installed


__all__ = ["McpMount", "build_server", "mount"]
