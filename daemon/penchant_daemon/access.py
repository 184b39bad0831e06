"""Who may ask: checked for every request, reads too, before any route is looked at.

Over the Unix socket the kernel says who is calling, and only the user that runs the daemon may. Over TCP
(only with `--tcp`) a bearer token names the agent, the Host must be this machine's, and anything that a web
page sent (Origin, Referer) is refused, for a page can reach loopback ports too.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from starlette.responses import Response

from penchant_daemon.client import AGENT_HEADER
from penchant_daemon.errors import (
    Forbidden,
    InvalidField,
    RequestError,
    TooLarge,
    TooSlow,
    Unauthorised,
    Unavailable,
)
from penchant_daemon.peer import Peer
from penchant_daemon.wire import ErrorBody, ErrorOut

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_AGENT_CHARS = 200
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_AGENT = AGENT_HEADER.encode()


class Gate:
    """The door of the daemon: answers what may not pass, and hands on the rest with its agent's name.

    :param app: what is behind the door.
    :param agent_of_token: the agent that a bearer token was issued to, or None.
    :param is_stopping: whether the daemon is ending, when nothing new is taken.
    """

    def __init__(
        self, app: App, agent_of_token: Callable[[str], str | None], is_stopping: Callable[[], bool]
    ) -> None:
        self._app = app
        self._agent_of_token = agent_of_token
        self._is_stopping = is_stopping
        self._uid = os.getuid()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            agent = self._admitted(scope)
        except RequestError as error:
            response = error_response(error)
            response.headers["connection"] = "close"
            await response(scope, receive, send)
            return
        scope["state"]["agent"] = agent
        await self._app(scope, receive, send)

    def _admitted(self, scope: Scope) -> str:
        peer: Peer = scope["state"]["peer"]
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if self._is_stopping():
            raise Unavailable("the daemon is stopping", hint="penchant up starts it again")
        for name in (b"origin", b"referer"):
            if name in headers:
                raise Forbidden(
                    f"requests of web pages are refused ({name.decode()} is set)",
                    field=f"header.{name.decode()}",
                )
        if peer.is_tcp:
            return self._admitted_over_tcp(scope, headers)
        if peer.uid != self._uid:
            raise Forbidden(f"this daemon serves user {self._uid}, the caller is user {peer.uid}")
        return agent_named(headers) or ("cli" if peer.process_name == "penchant" else "local")

    def _admitted_over_tcp(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        host = headers.get(b"host", b"").decode("latin-1")
        name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
        if name.lower() not in _LOOPBACK_HOSTS:
            raise Forbidden(f"Host {host[:100]!r} is not this machine's loopback name", field="header.host")
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        agent = self._agent_of_token(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
        if agent is None:
            raise Unauthorised(
                "over TCP a request needs a bearer token that was issued here",
                field="header.authorization",
                hint="penchant token AGENT makes one",
            )
        # The token decides who it is; a name that the caller chose must not reach anything behind the door.
        scope["headers"] = [(key, value) for key, value in scope["headers"] if key != _AGENT]
        scope["headers"].append((_AGENT, agent.encode()))
        return agent


class Inside:
    """The same app without the door, for the daemon's own client: what is mounted inside asks through it."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            agent = agent_named(dict(scope["headers"])) or "local"
        except RequestError as error:
            await error_response(error)(scope, receive, send)
            return
        scope["state"] = {"agent": agent, "peer": Peer(pid=os.getpid(), uid=os.getuid(), is_tcp=False)}
        await self._app(scope, receive, send)


def agent_named(headers: dict[bytes, bytes]) -> str | None:
    """The agent's name from its header (percent-encoded where it is not ASCII).

    :raises InvalidField: it is too long or holds control characters.
    """
    raw = headers.get(_AGENT)
    if not raw:
        return None
    name = unquote(raw.decode("latin-1")).strip()
    if len(name) > MAX_AGENT_CHARS or not name.isprintable():
        raise InvalidField(
            f"a name has at most {MAX_AGENT_CHARS} printable characters", field=f"header.{AGENT_HEADER}"
        )
    return name or None


def error_response(error: RequestError) -> Response:
    """The one error shape, with the error's status."""
    body = ErrorOut(
        error=ErrorBody(code=error.code, message=error.message, field=error.field, hint=error.hint)
    ).model_dump_json()
    # What is left of a body that was not read to its end must not be taken for the next request.
    headers = {"connection": "close"} if isinstance(error, (TooLarge, TooSlow)) else None
    return Response(body, status_code=error.status, media_type="application/json", headers=headers)


__all__ = ["App", "Gate", "Inside", "Receive", "Scope", "Send", "agent_named", "error_response"]
