"""Resources: one memory, one session, what is recent; each as quoted text, for a person to attach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from penchant_daemon import wire
from penchant_daemon.client import AsyncClient, RequestError
from penchant_mcp_server.quote import Quotation, quoted
from penchant_mcp_server.tool import refusal

N_RECENT = 20
N_SESSION_EVENTS = 200
TEXT = "text/plain"


def add_resources(server: MCPServer[None], client: AsyncClient) -> None:
    """Register the three resources over one client of the daemon."""

    @server.resource("penchant://memory/{id}", name="memory", title="One memory", mime_type=TEXT)
    async def memory(id: str) -> str:
        """A memory, or a message of a session, by its id."""
        with _refusals_for_the_host():
            return quoted([_of_memory(await client.get_memory(id))], "resource-memory")

    @server.resource("penchant://session/{id}{?after}", name="session", title="One session", mime_type=TEXT)
    async def session(id: str, after: int | None = None) -> str:
        """What people and assistants wrote in a session, in order; the last line says how it goes on."""
        with _refusals_for_the_host():
            detail = await client.session(id, limit=N_SESSION_EVENTS, after=after)
        text = quoted(
            (_of_event(event, detail.session) for event in detail.events if event.kind == "message"),
            "resource-session",
            empty="Nobody wrote anything here.",
        )
        if detail.next_position is None:
            return text
        return f"{text}\nContinued at penchant://session/{id}?after={detail.next_position}"

    @server.resource("penchant://recent", name="recent", title="What is recent", mime_type=TEXT)
    async def recent() -> str:
        """What was remembered or said last, in all projects."""
        with _refusals_for_the_host():
            answer = await client.recent(limit=N_RECENT)
        return quoted(
            (_of_memory(record) for record in answer.memories),
            "resource-recent",
            "Nothing is remembered yet.",
        )


@contextmanager
def _refusals_for_the_host() -> Iterator[None]:
    try:
        yield
    except RequestError as error:
        kind = ResourceNotFoundError if error.status == HTTPStatus.NOT_FOUND else ResourceError
        raise kind(refusal(error)) from error


def _of_memory(record: wire.MemoryOut) -> Quotation:
    return Quotation(
        id=record.id,
        content=record.content,
        said_at=record.occurred_at,
        kind=record.kind,
        origin=record.origin,
        agent=record.agent,
        session=record.session_title or record.session,
        project=record.project,
        speaker=record.speaker,
    )


def _of_event(event: wire.SessionEvent, session: wire.SessionOut) -> Quotation:
    return Quotation(
        id=event.id,
        content=event.content,
        said_at=event.occurred_at,
        kind=event.kind,
        origin=event.role,
        agent=session.agent,
        session=session.title or session.id,
        project=session.project,
        speaker=event.speaker,
    )


__all__ = ["add_resources"]
