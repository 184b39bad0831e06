"""forget: erase for good."""

from __future__ import annotations

from mcp_types import ToolAnnotations
from pydantic import BaseModel

from penchant_daemon import wire
from penchant_daemon.client import AsyncClient
from penchant_mcp_server.caller import Call, agent_of
from penchant_mcp_server.tool import PenchantTool, checked, refusals_for_the_model


class Forgotten(BaseModel):
    forgotten: list[str]
    unknown: list[str]


def forget_tool(client: AsyncClient) -> PenchantTool:
    async def forget(ids: list[str], call: Call) -> Forgotten:
        """Erase memories or logged messages for good. Only when the user asks for it."""
        request = checked(wire.ForgetRequest, ids=ids)
        with refusals_for_the_model():
            receipt = await client.as_agent(agent_of(call)).forget(request.ids)
        return Forgotten(forgotten=receipt.forgotten, unknown=receipt.unknown)

    return PenchantTool.build(
        forget,
        ToolAnnotations(
            read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
        ),
    )
