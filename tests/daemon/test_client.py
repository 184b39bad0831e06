"""The client: typed, starts the daemon when none runs, and says what to do when it cannot."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from penchant_daemon import lifecycle
from penchant_daemon.access import Inside
from penchant_daemon.client import AsyncClient, Client, DaemonUnreachable
from penchant_daemon.errors import InvalidField, NotFound
from penchant_daemon.wire import EventIn, MemoryIn, RecallRequest

if TYPE_CHECKING:
    from tests.daemon.conftest import Daemon

pytestmark = [
    # httpx2 leaves the socket of a refused connection to the garbage collector, which Python warns of.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
]


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """That garbage is collected here, where its warning is let pass, and not in somebody else's test."""
    yield
    gc.collect()


def test_without_a_daemon_and_told_not_to_start_one_it_says_what_to_do(short_path: Path) -> None:
    with Client(short_path / "none", autostart=False) as client, pytest.raises(DaemonUnreachable) as caught:
        client.status()
    assert str(short_path / "none") in caught.value.message
    assert caught.value.hint == "penchant up starts it"


def test_daemon_that_cannot_be_started_is_said_with_its_reason(short_path: Path) -> None:
    (short_path / "home").write_text("a file")
    with Client(short_path / "home") as client, pytest.raises(DaemonUnreachable) as caught:
        client.status()
    assert "is not a directory" in caught.value.message
    assert "PENCHANT_HOME" in (caught.value.hint or "")


def test_restart_between_two_requests_goes_unnoticed(
    free_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "PENCHANT_HOME"):
        monkeypatch.setenv(name, free_env[name])
    home = Path(free_env["PENCHANT_HOME"])
    with Client(home) as client:
        [receipt] = client.remember([MemoryIn(content="before the restart")])
        first = client.status().pid
        lifecycle.stop(home)
        assert client.get_memory(receipt.id).content == "before the restart"
        assert client.status().pid != first
        lifecycle.stop(home)
        assert client.remember([MemoryIn(content="after the restart")])[0].status == "stored"


def test_errors_of_the_daemon_are_raised_as_their_class(daemon: Daemon) -> None:
    with pytest.raises(NotFound) as missing:
        daemon.client.get_memory("../../etc/passwd")
    assert missing.value.status == 404
    with pytest.raises(InvalidField) as wrong:
        daemon.client.recall(RecallRequest(query="  "))
    assert (wrong.value.status, wrong.value.field) == (422, "body.query")


def test_async_client_does_the_same_over_the_socket(daemon: Daemon) -> None:
    async def use() -> None:
        async with AsyncClient(home=daemon.home, agent="asynchronous") as client:
            [receipt] = await client.remember([MemoryIn(content="the heron stands in the pond")])
            assert (await client.get_memory(receipt.id)).agent == "asynchronous"
            found = await client.recall(RecallRequest(query="where does the heron stand"))
            assert receipt.id in [result.id for result in found.results]
            [event] = await client.as_agent("other").log_events([EventIn(content="x", session="async")])
            assert (await client.session("async")).events[0].id == event.id
            assert (await client.status()).pid == daemon.pid
            assert (await client.forget([receipt.id])).forgotten == [receipt.id]
            assert (await client.sessions()).sessions
            assert (await client.recent()).memories
            assert (await client.projects()).projects is not None
            with pytest.raises(NotFound):
                await client.get_memory(receipt.id)
            listening = client.stream()
            first = asyncio.ensure_future(anext(listening))
            while not first.done():
                await client.log_events([EventIn(content="told", session="async")])
                await asyncio.wait({first}, timeout=0.2)
            assert first.result().kind == "logged"
            await listening.aclose()

    asyncio.run(use())


def test_async_client_without_a_daemon_says_what_to_do(short_path: Path) -> None:
    async def use() -> None:
        async with AsyncClient(home=short_path) as client:
            with pytest.raises(DaemonUnreachable) as caught:
                await client.status()
            assert caught.value.hint == "penchant up starts it"

    asyncio.run(use())


def test_inside_the_daemon_the_agent_is_the_one_that_is_named() -> None:
    seen: list[str] = []

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        seen.append(scope["state"]["agent"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"memories": []}'})

    async def use() -> None:
        client = AsyncClient(transport=httpx2.ASGITransport(app=Inside(app)), agent=None)
        await client.recent()
        await client.as_agent("claude-code").recent()
        await client.aclose()

    asyncio.run(use())
    assert seen == ["local", "claude-code"]


def test_both_clients_have_the_same_verbs_where_both_have_them() -> None:
    def verbs(client: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in vars(client).items()
            if not name.startswith("_") and callable(member)
        }

    both = verbs(Client), verbs(AsyncClient)
    shared = both[0].keys() & both[1].keys()
    assert {"log_events", "remember", "recall", "feedback", "forget", "status", "stream"} <= shared
    for name in shared:
        assert both[0][name] == both[1][name], name
