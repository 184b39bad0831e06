"""remember: store one durable statement."""

from __future__ import annotations

from typing import Annotated, Literal

from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

from penchant_daemon import wire
from penchant_daemon.client import AsyncClient
from penchant_mcp_server.caller import Call, agent_of
from penchant_mcp_server.tool import PenchantTool, checked, refusals_for_the_model


class Remembered(BaseModel):
    id: str
    status: Literal[
        "stored", "duplicate", "reference"
    ]  # duplicate: id of the first; reference: came from recall
    masked: int


def remember_tool(client: AsyncClient) -> PenchantTool:
    async def remember(
        content: Annotated[str, Field(description="One self-contained statement")],
        call: Call,
        kind: wire.MemoryKind = "fact",
        project: Annotated[
            str | None, Field(description="Name or path; without it: for all projects")
        ] = None,
        scope: wire.Scope | None = None,
    ) -> Remembered:
        """Store a decision, preference, fact or procedure that will matter in later sessions."""
        # Whatever it is about, these are the assistant's words: only what the user typed counts as the user's.
        memory = checked(
            wire.MemoryIn, content=content, kind=kind, project=project, scope=scope, origin="assistant"
        )
        with refusals_for_the_model():
            (receipt,) = await client.as_agent(agent_of(call)).remember([memory])
        return Remembered(id=receipt.id, status=receipt.status, masked=receipt.masked)

    return PenchantTool.build(
        remember,
        ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )
