"""The protocol as it goes over the wire: both generations, without sessions, and bad input."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client as McpClient
from mcp import StdioServerParameters
from mcp_types import Implementation
from tests.mcp_server.conftest import COMMAND, PATIENCE_S, connected, enveloped, environment, hello

from penchant_daemon import lifecycle, wire
from penchant_daemon.client import Client
from penchant_daemon.home import socket_path
from penchant_mcp_server.instructions import INSTRUCTIONS

HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


@pytest.fixture
def http(daemon: Path) -> Iterator[httpx2.Client]:
    with over_socket(daemon) as client:
        yield client


def over_socket(home: Path) -> httpx2.Client:
    transport = httpx2.HTTPTransport(uds=str(socket_path(home)))
    return httpx2.Client(transport=transport, base_url="http://localhost", timeout=PATIENCE_S)


def post(http: httpx2.Client, method: str, params: object = None, **headers: str) -> httpx2.Response:
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": method}
    if params is not None:
        message["params"] = params
    return http.post("/mcp", json=message, headers={**ACCEPT, **headers})


def modern(http: httpx2.Client, method: str, params: dict[str, Any], **headers: str) -> httpx2.Response:
    name = params.get("name") or params.get("uri")
    sent = {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
        **({"mcp-name": name} if name else {}),
    }
    return post(http, method, enveloped(params), **{**sent, **headers})


@pytest.mark.parametrize("version", HANDSHAKES)
def test_each_revision_with_a_handshake_is_served(http: httpx2.Client, version: str) -> None:
    opened = post(http, "initialize", hello(version)).json()["result"]
    assert opened["protocolVersion"] == version
    assert opened["instructions"] == INSTRUCTIONS
    assert opened["serverInfo"]["name"] == "penchant"
    listed = post(http, "tools/list", **{"mcp-protocol-version": version}).json()["result"]
    assert len(listed["tools"]) == 6


def test_a_request_of_the_new_revision_needs_no_handshake(http: httpx2.Client) -> None:
    found = modern(http, "server/discover", {}).json()["result"]
    assert found["supportedVersions"] == ["2026-07-28"]
    assert found["instructions"] == INSTRUCTIONS
    done = modern(http, "tools/call", {"name": "recall", "arguments": {"query": "anything"}})
    assert done.json()["result"]["isError"] is False


def test_an_unknown_revision_is_told_which_ones_there_are(http: httpx2.Client) -> None:
    params = enveloped()
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2031-01-01"
    answer = post(
        http,
        "server/discover",
        params,
        **{"mcp-protocol-version": "2031-01-01", "mcp-method": "server/discover"},
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["data"]["supported"] == ["2026-07-28"]
    assert post(http, "initialize", hello("2031-01-01")).json()["result"]["protocolVersion"] == "2025-11-25"


def test_the_endpoint_answers_without_a_redirect_and_keeps_no_session(http: httpx2.Client) -> None:
    answer = post(http, "initialize", hello("2025-11-25"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert "mcp-session-id" not in answer.headers
    # A session of a daemon that is gone is no reason to refuse.
    assert post(http, "tools/list", **{"mcp-session-id": "of-another-daemon"}).status_code == 200


def test_a_stream_of_its_own_is_not_offered(http: httpx2.Client) -> None:
    assert http.get("/mcp", headers={"accept": "text/event-stream"}).status_code == 405
    assert http.delete("/mcp").status_code == 405
    assert http.get("/mcp/more").status_code == 404


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"7", b'{"jsonrpc": "2.0"}'])
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_what_is_no_message_is_an_error_of_json_rpc(http: httpx2.Client, body: bytes, version: str) -> None:
    answer = http.post("/mcp", content=body, headers={**ACCEPT, "mcp-protocol-version": version})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in (-32700, -32600, -32602)
    assert answer.json()["id"] is None


def test_a_body_over_the_limit_is_refused(http: httpx2.Client) -> None:
    answer = http.post("/mcp", content=b"x" * (wire.MAX_BODY_BYTES + 1), headers=ACCEPT)
    assert answer.status_code == 413


def test_a_web_page_is_refused(http: httpx2.Client) -> None:
    assert post(http, "ping", origin="http://localhost:3000").status_code == 403


def test_an_unknown_method_is_an_error(http: httpx2.Client) -> None:
    assert post(http, "tools/guess").json()["error"]["code"] == -32601
    answer = modern(http, "tools/guess", {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, -32601)


def test_clients_that_never_say_goodbye_leave_nothing_behind(daemon: Path) -> None:
    owner = lifecycle.owner(daemon)
    assert owner is not None
    descriptors = Path(f"/proc/{owner.pid}/fd")
    if not descriptors.is_dir():
        pytest.skip("needs /proc")

    def visit() -> None:
        with over_socket(daemon) as visitor:
            post(visitor, "initialize", hello("2025-11-25"))
            modern(visitor, "server/discover", {})

    visit()
    before = len(os.listdir(descriptors))  # noqa: PTH208 (only their number)
    n_tasks = _n_threads(owner.pid)
    for _ in range(50):
        visit()
    # The daemon may still be closing the last connections, and its pools of threads and readers may have grown.
    assert len(os.listdir(descriptors)) <= before + 20  # noqa: PTH208
    assert _n_threads(owner.pid) <= n_tasks + 10


def _n_threads(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_sdks_client_is_served_over_stdio(daemon: Path, api: Client, mode: str) -> None:
    command, *arguments = COMMAND
    server = StdioServerParameters(command=command, args=arguments, env=environment(daemon))
    async with McpClient(
        server, mode=mode, client_info=Implementation(name="stdio host", version="1")
    ) as client:
        assert client.instructions == INSTRUCTIONS
        assert client.protocol_version == ("2026-07-28" if mode == "auto" else "2025-11-25")
        stored = await client.call_tool("remember", {"content": f"The {mode} pipe is made of copper"})
        assert stored.structured_content is not None
        found = await client.call_tool("recall", {"query": f"{mode} pipe copper", "limit": 1})
        assert found.structured_content is not None
    memory_id = stored.structured_content["id"]
    assert found.structured_content["results"][0]["id"] == memory_id
    assert api.get_memory(memory_id).agent == "stdio host"


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_over_http_outlives_the_daemon(home: Path, mode: str) -> None:
    lifecycle.start(home, timeout_s=30, env=environment(home))
    async with connected(home, mode) as client:
        await client.call_tool("remember", {"content": "The plumber mended the copper pipe"})
        lifecycle.stop(home)
        lifecycle.start(home, timeout_s=30, env=environment(home))
        found = await client.call_tool("recall", {"query": "who mended the pipe"})
    assert found.structured_content is not None
    contents = [item["content"] for item in found.structured_content["results"]]
    assert contents == ["The plumber mended the copper pipe"]


def test_over_tcp_the_owner_of_the_token_is_the_agent_whatever_the_client_calls_itself(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lifecycle.start(home, tcp_port=port, timeout_s=30, env=environment(home))
    token = _issue_token(home, "cursor")
    with Client(home, autostart=False) as api:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            assert post(http, "ping").status_code == 401
            named = {"authorization": f"Bearer {token}", "x-penchant-agent": "claude-code"}
            call = {"name": "remember", "arguments": {"content": "over TCP"}}
            answer = modern(http, "tools/call", call, **named).json()
        stored = answer["result"]["structuredContent"]["id"]
        assert api.get_memory(stored).agent == "cursor"


def _issue_token(home: Path, agent: str) -> str:
    command = [*COMMAND[:-1], "token", agent]
    done = subprocess.run(
        command, env=environment(home), capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.split()[-1]
