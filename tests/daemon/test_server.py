"""The routes over the real socket: what each takes and gives, and who may ask."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from penchant_daemon import wire
from penchant_daemon.errors import Conflict, NotFound, RequestError
from penchant_daemon.wire import (
    EventIn,
    FeedbackRequest,
    MemoryIn,
    RecallRequest,
    SourceIn,
    WatchRequest,
)

if TYPE_CHECKING:
    from tests.daemon.conftest import Daemon

Start = Callable[..., AbstractContextManager["Daemon"]]


@pytest.fixture
def http(daemon: Daemon) -> Iterator[httpx2.Client]:
    """Plain HTTP on the daemon's socket, without our client."""
    transport = httpx2.HTTPTransport(uds=str(daemon.socket))
    with httpx2.Client(transport=transport, base_url="http://localhost", timeout=30.0) as client:
        yield client


def error_of(response: httpx2.Response) -> dict[str, Any]:
    """The error of a response, whose shape is checked."""
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error"]
    assert set(body["error"]) == {"code", "message", "field", "hint"}
    error: dict[str, Any] = body["error"]
    return error


def test_one_event_and_a_list_are_logged_in_their_order(daemon: Daemon, http: httpx2.Client) -> None:
    one = http.post("/v1/events", json={"content": "the cat sat", "session": "order"})
    assert one.status_code == 200
    assert [each["status"] for each in one.json()["results"]] == ["logged"]
    many = http.post(
        "/v1/events",
        json=[{"content": f"line {n}", "session": "order", "source_key": f"k{n}"} for n in range(5)],
    )
    ids = [each["id"] for each in many.json()["results"]]
    session = daemon.client.session("order")
    assert [event.id for event in session.events] == [one.json()["results"][0]["id"], *ids]
    assert [event.content for event in session.events] == ["the cat sat", *(f"line {n}" for n in range(5))]


def test_batch_with_its_cursor_is_kept_with_it(daemon: Daemon) -> None:
    cursor = SourceIn(
        path="/tmp/x/session.jsonl", assistant="claude-code", size=70, offset=70, state={"n": 2}
    )
    events = [EventIn(content="from a file", session="file", source_key="u1", channel="transcript")]
    assert daemon.client.log_events(events, cursor)[0].status == "logged"
    assert daemon.client.log_events(events, cursor)[0].status == "duplicate"
    assert daemon.client.sources("/tmp/x/session.jsonl").sources == [cursor]
    assert daemon.client.sources("/tmp/x/other.jsonl").sources == []


def test_one_memory_answers_an_object_and_a_list_answers_results(http: httpx2.Client) -> None:
    one = http.post("/v1/memories", json={"content": "deploys happen on Tuesdays"}).json()
    assert set(one) == {"id", "status", "masked"}
    assert one["status"] == "stored"
    many = http.post(
        "/v1/memories", json=[{"content": "the port is 8443"}, {"content": "deploys happen on Tuesdays"}]
    ).json()
    assert [each["status"] for each in many["results"]] == ["stored", "duplicate"]
    assert many["results"][1]["id"] == one["id"]


def test_remembered_is_read_back_recalled_judged_and_forgotten(daemon: Daemon) -> None:
    client = daemon.client
    [receipt] = client.remember(
        [MemoryIn(content="the zebra database lives on host quagga", kind="decision", project="zoo")]
    )
    memory = client.get_memory(receipt.id)
    assert (memory.kind, memory.scope, memory.agent) == ("decision", "project", "test")
    recalled = client.recall(RecallRequest(query="where does the zebra database live", project="zoo"))
    assert recalled.results[0].id == receipt.id
    client.feedback(
        FeedbackRequest(memory_id=receipt.id, verdict="helped", impression_id=recalled.impression_id)
    )
    assert [project.name for project in client.projects().projects if project.name == "zoo"] == ["zoo"]
    assert client.recent(limit=1, project="zoo").memories[0].id == receipt.id
    forgotten = client.forget([receipt.id, "01XXXXXXXXXXXXXXXXXXXXXXXX"])
    assert forgotten.forgotten == [receipt.id]
    assert forgotten.unknown == ["01XXXXXXXXXXXXXXXXXXXXXXXX"]
    with pytest.raises(NotFound) as caught:
        client.get_memory(receipt.id)
    assert caught.value.field == "path.id"
    assert not client.recall(RecallRequest(query="zebra quagga", project="zoo")).results


def test_session_is_paged_in_order(daemon: Daemon) -> None:
    daemon.client.log_events(
        [EventIn(content=f"turn {n}", session="paged", source_key=f"p{n}") for n in range(7)]
    )
    seen: list[str] = []
    after: int | None = None
    while True:
        page = daemon.client.session("paged", limit=3, after=after)
        seen += [event.content for event in page.events]
        after = page.next_position
        if after is None:
            break
    assert seen == [f"turn {n}" for n in range(7)]
    assert "paged" in [session.id for session in daemon.client.sessions().sessions]


def test_agent_is_the_header_over_the_socket(daemon: Daemon) -> None:
    client = daemon.client.as_agent("Zoë’s script")
    [receipt] = client.remember([MemoryIn(content="written under a name that is not ASCII")])
    assert client.get_memory(receipt.id).agent == "Zoë’s script"


def test_status_tells_what_runs(daemon: Daemon) -> None:
    status = daemon.client.status()
    assert status.pid == daemon.pid
    assert status.home == str(daemon.home)
    assert status.socket == str(daemon.socket)
    assert set(status.limits) == {"ram_daemon", "disk"}
    assert set(status.models) == {"embedder", "language_model"}
    assert status.limits["ram_daemon"].used > 10


def test_document_of_the_routes_names_every_route_and_its_types(http: httpx2.Client) -> None:
    document = http.get("/openapi.json").json()
    assert {"/v1/events", "/v1/memories/{id}", "/v1/recall", "/v1/status", "/v1/stream"} <= set(
        document["paths"]
    )
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert reference in document["components"]["schemas"], reference
    assert "EventIn" in document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert operation["responses"]["default"]


def test_documentation_pages_that_load_scripts_are_off(http: httpx2.Client) -> None:
    assert http.get("/docs").status_code == 404
    assert http.get("/redoc").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/status/", 404, "not_found"),
        ("DELETE", "/v1/events", 405, "method_not_allowed"),
        ("GET", "/v1/recall", 405, "method_not_allowed"),
        ("GET", "/v1/memories/none", 404, "not_found"),
        ("GET", "/v1/sessions/none", 404, "not_found"),
        ("GET", "/mcp/other", 404, "not_found"),
    ],
)
def test_what_is_not_there_is_said_in_the_one_shape(
    http: httpx2.Client, method: str, path: str, status: int, code: str
) -> None:
    response = http.request(method, path)
    assert response.status_code == status
    assert error_of(response)["code"] == code


def test_web_page_is_refused_whatever_it_asks(http: httpx2.Client) -> None:
    for name in ("Origin", "Referer"):
        for path in ("/v1/status", "/openapi.json", "/mcp", "/v1/nothing"):
            response = http.get(path, headers={name: "http://localhost"})
            assert response.status_code == 403
            assert error_of(response)["field"] == f"header.{name.lower()}"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_other_user_is_refused_reads_too(daemon: Daemon) -> None:
    ask = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(b'GET /v1/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n');"
        "sys.stdout.write(b''.join(iter(lambda: s.recv(65536), b'')).decode())"
    )

    def ask_as_nobody() -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-c", ask, str(daemon.socket)]
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    daemon.home.parent.chmod(0o755)
    assert "PermissionError" in ask_as_nobody().stderr  # the folder's own door
    daemon.home.chmod(0o755)
    daemon.socket.chmod(0o666)
    try:
        answer = ask_as_nobody().stdout
    finally:
        daemon.home.chmod(0o700)
        daemon.socket.chmod(0o600)
    assert answer.startswith("HTTP/1.1 403 ")
    assert "caller is user 65534" in answer


def test_socket_and_files_are_their_owners_only(daemon: Daemon) -> None:
    assert daemon.home.stat().st_mode & 0o777 == 0o700
    assert daemon.socket.stat().st_mode & 0o777 == 0o600
    for path in daemon.home.rglob("*"):
        if path.name == "config.toml":
            continue  # the test's own
        assert path.stat().st_mode & 0o077 == 0, path


def test_stream_tells_what_is_logged_and_never_the_text(daemon: Daemon) -> None:
    seen: list[wire.StreamEvent] = []
    is_open = threading.Event()

    def listen() -> None:
        connection = daemon.connect()
        with connection:
            connection.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
            text = b""
            while text.count(b"data:") < 2:
                text += connection.recv(65_536)
                if b": penchant" in text:
                    is_open.set()
        for line in text.split(b"\n"):
            if line.startswith(b"data:"):
                seen.append(wire.StreamEvent.model_validate_json(line[5:]))
        assert b"xylophone" not in text

    listener = threading.Thread(target=listen)
    listener.start()
    assert is_open.wait(10)
    [event] = daemon.client.log_events([EventIn(content="a xylophone was bought", session="music")])
    [memory] = daemon.client.remember([MemoryIn(content="the xylophone is red")])
    listener.join(10)
    assert [(each.kind, each.ids) for each in seen] == [("logged", [event.id]), ("remembered", [memory.id])]


def test_watch_is_kept_in_the_config_and_survives_a_restart(start_daemon: Start) -> None:
    with start_daemon() as daemon:
        folder = daemon.home.parent / "sessions"
        folder.mkdir()
        answer = daemon.client.watch(WatchRequest(paths=[str(folder)]))
        assert answer.enabled
        assert str(folder) in answer.places
        daemon.penchant("restart")
        assert str(folder) in daemon.client.watching().places
        assert not daemon.client.watch(WatchRequest(enabled=False)).enabled
        with pytest.raises(RequestError, match="emacs") as caught:
            daemon.client.watch(WatchRequest(assistants=["emacs"]))
        assert caught.value.status == 422


def test_over_tcp_only_a_token_lets_in_and_names_the_agent(start_daemon: Start) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with start_daemon(tcp_port=port) as daemon:
        assert daemon.client.status().tcp_port == port
        base = f"http://127.0.0.1:{port}"
        with httpx2.Client(base_url=base) as http:
            for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}):
                refused = http.get("/v1/status", headers=headers)
                assert refused.status_code == 401
                assert error_of(refused)["field"] == "header.authorization"
            token = daemon.penchant("token", "robot").stdout.strip()
            mine = {"Authorization": f"Bearer {token}", "X-Penchant-Agent": "somebody-else"}
            stored = http.post("/v1/memories", json={"content": "written over TCP"}, headers=mine)
            assert stored.status_code == 200
            assert daemon.client.get_memory(stored.json()["id"]).agent == "robot"
            spoofed = http.post(
                "/v1/memories", json={"content": "under a false name", "agent": "claude-code"}, headers=mine
            )
            assert spoofed.status_code == 403
            assert error_of(spoofed)["field"] == "body.agent"
            for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil"):
                foreign = http.get("/v1/status", headers={**mine, "Host": host})
                assert foreign.status_code == 403, host
            for path in ("/v1/shutdown", "/v1/agents"):
                closed = http.post(path, json={}, headers=mine)
                assert closed.status_code == 403
            second = daemon.penchant("token", "robot").stdout.strip()
            assert second != token
            assert http.get("/v1/status", headers=mine).status_code == 401
            fresh = {"Authorization": f"Bearer {second}"}
            assert http.get("/v1/status", headers=fresh).status_code == 200
            assert http.get("/v1/status", headers={**fresh, "Host": f"localhost:{port}"}).status_code == 200
        for file in daemon.home.rglob("*"):
            if file.is_file():
                assert token.encode() not in file.read_bytes(), file


def test_no_route_hands_out_a_token(http: httpx2.Client) -> None:
    document = http.get("/openapi.json").json()
    given = json.dumps({path: methods for path, methods in document["paths"].items()})
    assert "token" not in json.dumps(document["components"]["schemas"]["AgentOut"]["properties"])
    digest = "0" * 64
    answer = http.post("/v1/agents", json={"name": "x", "token_digest": digest})
    assert answer.json() == {"name": "x", "status": "issued"}
    assert digest not in answer.text
    assert "token" not in given.replace("by its token's digest", "")


def test_conflict_and_its_siblings_come_back_as_their_class(daemon: Daemon) -> None:
    from penchant_daemon.client import error_of as decoded

    body = b'{"error": {"code": "conflict", "message": "m", "field": "body.x", "hint": "h"}}'
    error = decoded(409, body)
    assert isinstance(error, Conflict)
    assert (error.message, error.field, error.hint, error.status) == ("m", "body.x", "h", 409)
    assert decoded(502, b"<html>").status == 502
