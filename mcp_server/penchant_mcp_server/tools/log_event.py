"""log_event: append one interaction to the log."""

from __future__ import annotations

from typing import Annotated, Literal

from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

from penchant_daemon import wire
from penchant_daemon.client import AsyncClient
from penchant_mcp_server.caller import Call, agent_of
from penchant_mcp_server.tool import PenchantTool, checked, refusals_for_the_model


class Logged(BaseModel):
    id: str
    status: Literal["logged", "duplicate", "reference"]  # reference: came from recall
    masked: int


def log_event_tool(client: AsyncClient) -> PenchantTool:
    async def log_event(
        kind: wire.EventKind,
        role: wire.Role,
        content: str,
        call: Call,
        session: str | None = None,
        project: str | None = None,
        occurred_at: Annotated[str | None, Field(description="ISO time; default now")] = None,
    ) -> Logged:
        """Append one interaction to the log. Only for hosts whose sessions are not captured anyway."""
        event = checked(
            wire.EventIn,
            kind=kind,
            role=role,
            content=content,
            session=session,
            project=project,
            occurred_at=occurred_at,
            channel="mcp",
        )
        with refusals_for_the_model():
            (receipt,) = await client.as_agent(agent_of(call)).log_events([event])
        return Logged(id=receipt.id, status=receipt.status, masked=receipt.masked)

    return PenchantTool.build(
        log_event,
        ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False),
    )
