"""The tools, in the order in which assistants see them."""

from __future__ import annotations

from penchant_daemon.client import AsyncClient
from penchant_mcp_server.tool import PenchantTool
from penchant_mcp_server.tools.feedback import feedback_tool
from penchant_mcp_server.tools.forget import forget_tool
from penchant_mcp_server.tools.log_event import log_event_tool
from penchant_mcp_server.tools.recall import recall_tool
from penchant_mcp_server.tools.remember import remember_tool
from penchant_mcp_server.tools.status import status_tool


def all_tools(client: AsyncClient) -> list[PenchantTool]:
    """Every tool over one client of the daemon."""
    return [
        recall_tool(client),
        remember_tool(client),
        feedback_tool(client),
        forget_tool(client),
        log_event_tool(client),
        status_tool(client),
    ]


__all__ = ["all_tools"]
