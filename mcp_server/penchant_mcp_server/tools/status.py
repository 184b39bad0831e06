"""status: whether memory works, and what it holds."""

from __future__ import annotations

from mcp_types import ToolAnnotations
from pydantic import BaseModel

from penchant_daemon.client import AsyncClient
from penchant_mcp_server.tool import PenchantTool, refusals_for_the_model


class Status(BaseModel):
    version: str
    counts: dict[str, int]
    indexed: str
    watching: list[str]
    problems: list[str]


def status_tool(client: AsyncClient) -> PenchantTool:
    async def status() -> Status:
        """What the memory holds and what is wrong with it."""
        with refusals_for_the_model():
            answer = await client.status()
        return Status(
            version=answer.version,
            counts=answer.counts.model_dump(include={"memories", "episodes", "sessions", "projects"}),
            indexed=f"{answer.index.done} of {answer.index.total}",
            watching=answer.watch.places if answer.watch.enabled else [],
            problems=[
                f"{problem.part}: {problem.message}" + (f"; run {problem.fix}" if problem.fix else "")
                for problem in answer.problems
            ],
        )

    return PenchantTool.build(
        status,
        ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )
