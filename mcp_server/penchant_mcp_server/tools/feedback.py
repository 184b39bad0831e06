"""feedback: what became of a recalled item."""

from __future__ import annotations

from typing import Annotated, Literal

from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

from penchant_daemon import wire
from penchant_daemon.client import AsyncClient
from penchant_mcp_server.caller import Call, agent_of
from penchant_mcp_server.tool import PenchantTool, checked, refusals_for_the_model


class Recorded(BaseModel):
    id: str
    status: Literal["recorded"]


def feedback_tool(client: AsyncClient) -> PenchantTool:
    async def feedback(
        memory_id: Annotated[str, Field(description="id of a result")],
        verdict: wire.Verdict,
        call: Call,
        impression_id: str | None = None,
    ) -> Recorded:
        """Say whether a recalled item helped, was wrong or is outdated; later recalls learn from it."""
        said = checked(
            wire.FeedbackRequest, memory_id=memory_id, verdict=verdict, impression_id=impression_id
        )
        with refusals_for_the_model():
            receipt = await client.as_agent(agent_of(call)).feedback(said)
        return Recorded(id=receipt.id, status=receipt.status)

    return PenchantTool.build(
        feedback,
        ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False),
    )
