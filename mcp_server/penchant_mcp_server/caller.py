"""Which assistant is calling, and from which of its sessions."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from mcp.server.mcpserver import Context
from starlette.requests import Request

from penchant_daemon.client import AGENT_HEADER, SESSION_HEADER

Call = Context[Any, Request]

UNKNOWN = "mcp"
MAX_AGENT_CHARS = 64
MAX_SESSION_CHARS = 200


def agent_of(call: Call) -> str:
    """The calling agent's name, the most trustworthy source first.

    1. the header `X-Penchant-Agent`: the stdio forwarder fills it with the host's own name, and over TCP the
       daemon replaces it by the owner of the bearer token,
    2. the client's name in the request's envelope (protocol revision 2026-07-28),
    3. `mcp`.
    """
    request = call.request_context.request
    if request is not None and (name := _cleaned(unquote(request.headers.get(AGENT_HEADER, "")))):
        return name
    client = call.session.client_params
    return (_cleaned(client.client_info.name) if client else "") or UNKNOWN


def session_of(call: Call) -> str | None:
    """The calling assistant's session, where its host told the stdio forwarder; None where nobody says."""
    request = call.request_context.request
    told = "" if request is None else request.headers.get(SESSION_HEADER, "")
    return _cleaned(unquote(told), MAX_SESSION_CHARS) or None


def _cleaned(name: str, most: int = MAX_AGENT_CHARS) -> str:
    return "".join(character for character in name if character.isprintable()).strip()[:most]


__all__ = ["Call", "agent_of", "session_of"]
