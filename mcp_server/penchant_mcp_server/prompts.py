"""Prompts: what a person can pick from the menu of their assistant."""

from __future__ import annotations

from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS
from pydantic import Field

from penchant_daemon import wire
from penchant_daemon.client import AsyncClient, RequestError
from penchant_mcp_server.caller import Call, agent_of
from penchant_mcp_server.tool import checked, refusal
from penchant_mcp_server.tools.recall import quoted_results


def add_prompts(server: MCPServer[None], client: AsyncClient) -> None:
    """Register the prompts over one client of the daemon."""

    @server.prompt(name="recall_context", title="Recall what is known about a topic")
    async def recall_context(
        topic: Annotated[str, Field(description="What it is about")],
        call: Call,
        project: Annotated[str | None, Field(description="Only this project and what is global")] = None,
    ) -> str:
        """Puts what Penchant remembers about a topic into the conversation."""
        request = checked(wire.RecallRequest, query=topic, project=project)
        try:
            answer = await client.as_agent(agent_of(call)).recall(request)
        except RequestError as error:
            raise MCPError(
                INVALID_PARAMS if error.status < 500 else INTERNAL_ERROR, refusal(error)
            ) from error
        return (
            f"This is what is remembered about: {topic}\n\n{quoted_results(answer)}\n\nTake it into account."
        )


__all__ = ["add_prompts"]
