"""Bad input over the real socket: a clear error each, nothing half-written, and the daemon goes on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.daemon.conftest import run_penchant

from penchant_daemon import lifecycle
from penchant_daemon.client import Client
from penchant_daemon.errors import InvalidField, NotFound, PenchantError, RequestError, StorageFull, TooLarge
from penchant_daemon.limits import MB, size_of
from penchant_daemon.wire import MAX_BODY_BYTES, EventIn, MemoryIn, RecallRequest, ReindexRequest

if TYPE_CHECKING:
    from tests.daemon.conftest import Daemon

Start = Callable[..., AbstractContextManager["Daemon"]]


@pytest.fixture
def http(daemon: Daemon) -> Iterator[httpx2.Client]:
    """Plain HTTP on the daemon's socket, without our client."""
    transport = httpx2.HTTPTransport(uds=str(daemon.socket))
    with httpx2.Client(transport=transport, base_url="http://localhost", timeout=30.0) as client:
        yield client


@pytest.fixture(autouse=True)
def _goes_on(daemon: Daemon) -> Iterator[None]:
    """After each of these tests the same daemon still answers, and wrote no traceback."""
    pid = daemon.pid
    yield
    assert daemon.client.status().pid == pid
    assert "Traceback" not in (daemon.home / "logs" / "daemon.log").read_text()


def post(http: httpx2.Client, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the error of one request."""
    response = http.post(path, content=body, headers={"content-type": "application/json"})
    error: dict[str, Any] = response.json()["error"] if response.status_code >= 400 else {}
    return response.status_code, error


@pytest.mark.parametrize(
    "body",
    [
        b'{"content": "caf\xe9"}',
        b'{"content": "\xff\xfe"}',
        b'{"content": "\xed\xa0\x80"}',
        b'{"content": "\\ud800"}',
        b"\xff\xfe{\x00}\x00",
    ],
)
def test_invalid_utf8_is_malformed(http: httpx2.Client, body: bytes) -> None:
    status, error = post(http, "/v1/memories", body)
    assert (status, error["code"], error["field"]) == (400, "malformed", "body")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"3",
        b'"text"',
        b"{]",
        b'{"content": "a"} trailing',
        b"NaN",
        b"[" * 100_000,
        b'{"a":' * 5_000,
    ],
)
def test_what_is_no_object_is_refused(http: httpx2.Client, body: bytes) -> None:
    for path in ("/v1/memories", "/v1/recall", "/v1/forget"):
        status, error = post(http, path, body)
        assert status in (400, 422), path
        assert error["message"]


def test_empty_object_and_list_are_told_what_they_lack(http: httpx2.Client) -> None:
    status, error = post(http, "/v1/memories", b"{}")
    assert (status, error["field"], error["message"]) == (422, "body.content", "field required")
    assert post(http, "/v1/memories", b"[]")[0] == 200
    assert post(http, "/v1/events", b"[]")[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/events", {"content": 5}, "body.content"),
        ("/v1/events", [{"content": "a"}, {"content": "b", "role": "boss"}], "body[1].role"),
        ("/v1/events", {"events": [{"content": "a"}, {"kind": "chat"}]}, "body.events[1].kind"),
        ("/v1/events", {"events": [], "source": {"path": 3, "assistant": "x"}}, "body.source.path"),
        ("/v1/events", {"content": "a", "colour": "red"}, "body.colour"),
        ("/v1/events", {"content": "a", "occurred_at": "yesterday"}, "body.occurred_at"),
        ("/v1/events", {"content": "a", "occurred_at": "2999-01-01"}, "body.occurred_at"),
        (
            "/v1/events",
            [{"content": "a"}, {"content": "b", "occurred_at": "2999-01-01"}],
            "body[1].occurred_at",
        ),
        ("/v1/events", {"content": "a", "session": "a\u0000b"}, "body.session"),
        ("/v1/events", {"content": "a", "session": ""}, "body.session"),
        ("/v1/events", {"content": "a", "session": "x" * 5_000}, "body.session"),
        ("/v1/memories", {"content": ""}, "body.content"),
        ("/v1/memories", {"content": "  \u0000 "}, "body.content"),
        ("/v1/memories", {"content": "a", "importance": 2}, "body.importance"),
        ("/v1/memories", {"content": "a", "importance": "high"}, "body.importance"),
        ("/v1/memories", {"content": "a", "kind": "rumour"}, "body.kind"),
        (
            "/v1/memories",
            {"content": "a", "valid_from": "2026-02-01", "valid_to": "2026-01-01"},
            "body.valid_to",
        ),
        ("/v1/memories", [{"content": "a"}, {"content": "b", "scope": 1}], "body[1].scope"),
        ("/v1/recall", {"query": "a", "limit": "5"}, "body.limit"),
        ("/v1/recall", {"query": "a", "limit": 0}, "body.limit"),
        ("/v1/recall", {"query": "a", "limit": 10**30}, "body.limit"),
        ("/v1/recall", {"query": "a", "limit": True}, "body.limit"),
        ("/v1/recall", {"query": ["a"]}, "body.query"),
        ("/v1/recall", {"query": ""}, "body.query"),
        ("/v1/recall", {"query": " \n\t "}, "body.query"),
        ("/v1/recall", {"query": "a", "as_of": "the day before"}, "body.as_of"),
        ("/v1/recall", {"query": "a", "explain": "yes"}, "body.explain"),
        ("/v1/feedback", {"memory_id": "x", "verdict": "great"}, "body.verdict"),
        ("/v1/forget", {"ids": "x"}, "body.ids"),
        ("/v1/forget", {"ids": []}, "body.ids"),
        ("/v1/forget", {"ids": ["a", 3]}, "body.ids[1]"),
        ("/v1/context", {"event": "Lunch"}, "body.event"),
        ("/v1/hook", {"payload": "Stop"}, "body.payload"),
        ("/v1/hook", {"payload": {}, "event": "Lunch"}, "body.event"),
        ("/v1/watch", {"paths": [""]}, "body.paths[0]"),
        ("/v1/reindex", {"model": 7}, "body.model"),
        ("/v1/agents", {"name": "x", "token_digest": "abc"}, "body.token_digest"),
    ],
)
def test_field_that_is_wrong_is_named_by_its_path(
    http: httpx2.Client, path: str, body: object, field: str
) -> None:
    status, error = post(http, path, json.dumps(body).encode())
    assert (status, error["code"], error["field"]) == (422, "invalid_field", field), error


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "query.limit"),
        ("limit=many", "query.limit"),
        ("limit=1&limit=2", "query.limit"),
        ("colour=red", "query.colour"),
        ("project=%00", "query.project"),
    ],
)
def test_query_that_is_wrong_is_named(http: httpx2.Client, query: str, field: str) -> None:
    response = http.get(f"/v1/sessions?{query}")
    assert response.status_code == 422
    assert response.json()["error"]["field"] == field


def test_nothing_of_a_list_with_one_wrong_entry_is_kept(daemon: Daemon) -> None:
    before = daemon.client.recent(limit=1).memories
    with pytest.raises(InvalidField):
        daemon.client.remember(
            [
                MemoryIn(content="half of a list"),
                MemoryIn(content="x", valid_from="2027-01-01", valid_to="2026-01-01"),
            ]
        )
    assert daemon.client.recent(limit=1).memories == before


def test_unknown_things_are_not_found_by_name(daemon: Daemon) -> None:
    daemon.client.remember([MemoryIn(content="there is one project", project="lighthouse")])
    for ask in (
        lambda: daemon.client.recall(RecallRequest(query="light", project="lighthose")),
        lambda: daemon.client.sessions(project="lighthose"),
        lambda: daemon.client.recent(project="lighthose"),
    ):
        with pytest.raises(NotFound, match="lighthose") as caught:
            ask()
        assert caught.value.field in ("body.project", "query.project")
        assert "lighthouse" in (caught.value.hint or "")
    with pytest.raises(NotFound, match="no-such-model"):
        daemon.client.reindex(ReindexRequest(model="no-such-model"))


def test_nul_bytes_in_content_are_taken_out_and_found(daemon: Daemon) -> None:
    [receipt] = daemon.client.log_events(
        [EventIn(content="nul\u0000bytes of the walrus\u0000", session="nul")]
    )
    assert daemon.client.get_memory(receipt.id).content == "nulbytes of the walrus"
    found = daemon.client.recall(RecallRequest(query="wal\u0000rus walrus"))
    assert receipt.id in [result.id for result in found.results]


@pytest.mark.parametrize(
    "query",
    [
        '"', '""', "'", "*", "^", "NEAR(", "NEAR(a b, 2)", "a AND", "AND", "OR NOT", "(", ")", "{", "col:",
        "a*", "-a", "+", "a^2", '"unclosed', "content : x", "words MATCH 'x'", "'; DROP TABLE memories; --",
        "\\", "%", "_", "🦭", "مرحبا", "\u202e",
    ],
)  # fmt: skip
def test_operators_in_a_query_are_text(daemon: Daemon, query: str) -> None:
    daemon.client.recall(RecallRequest(query=f"walrus {query}"))
    try:
        daemon.client.recall(RecallRequest(query=query))
    except InvalidField as error:
        assert error.field == "body.query"


def test_megabyte_of_query_is_ranked_by_its_beginning_and_more_is_refused(
    daemon: Daemon, http: httpx2.Client
) -> None:
    query = ("walrus " * 150_000)[:1_000_000]
    answer = daemon.client.recall(RecallRequest(query=query))
    assert any("1000000 characters" in warning.replace(",", "") for warning in answer.warnings)
    status, error = post(http, "/v1/recall", json.dumps({"query": "w" * 1_048_576}).encode())
    assert (status, error["field"]) == (422, "body.query")
    assert "1000000" in error["message"]


def test_body_of_ten_megabytes_is_too_large(daemon: Daemon, http: httpx2.Client) -> None:
    for size in (10_000_000, 10 * 1024 * 1024, 60_000_000):
        status, error = post(http, "/v1/events", b'{"content": "' + b"x" * size + b'"}')
        assert (status, error["code"]) == (413, "too_large")
        assert str(MAX_BODY_BYTES) in error["message"]
    with pytest.raises(TooLarge):
        daemon.client.remember([MemoryIn(content="x" * 999_999)] * 11)


def test_body_without_a_length_is_stopped_while_it_comes(daemon: Daemon) -> None:
    connection = daemon.connect(timeout_s=20)
    with connection:
        connection.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        sent = 0
        try:
            while sent < 400:  # 26 MB, if it let us
                connection.sendall(piece)
                sent += 1
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            pass
        assert sent < 400
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # the rest of what we sent met a closed door
            answer = connection.recv(65_536)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")


def test_largest_body_that_is_allowed_is_taken(daemon: Daemon) -> None:
    events = [EventIn(content=chr(97 + n) * 999_000, session="large", source_key=f"l{n}") for n in range(9)]
    receipts = daemon.client.log_events(events)
    assert [receipt.status for receipt in receipts] == ["logged"] * 9


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET /v1/status\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-Long: " + b"a" * 200_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
    ],
)
def test_what_is_not_http_gets_the_one_shape_and_a_closed_door(daemon: Daemon, sent: bytes) -> None:
    head, _, body = daemon.raw(sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == "malformed"


def test_clients_that_hang_hold_nobody_up(daemon: Daemon) -> None:
    hanging: list[socket.socket] = []
    for n in range(60):
        connection = daemon.connect()
        if n % 3 == 1:
            connection.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Le")
        if n % 3 == 2:
            connection.sendall(
                b'POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n{"content": "never'
            )
        hanging.append(connection)
    [receipt] = daemon.client.log_events([EventIn(content="between the hanging ones", session="hang")])
    assert receipt.status == "logged"
    for connection in hanging:
        connection.close()


def test_client_that_goes_half_way_leaves_nothing(daemon: Daemon) -> None:
    before = daemon.client.recent(limit=1).memories
    for body in (b"", b'{"content": "half of', b'{"content": "whole but short"}'):
        connection = daemon.connect()
        connection.sendall(b"POST /v1/memories HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\n" + body)
        connection.close()
    half = daemon.connect()
    half.sendall(b'POST /v1/memories HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n{"con')
    half.shutdown(socket.SHUT_WR)
    half.close()
    assert daemon.client.recent(limit=1).memories == before


def test_client_that_goes_before_the_answer_has_still_written(daemon: Daemon) -> None:
    body = b'{"content": "sent and gone", "session": "gone"}'
    connection = daemon.connect()
    connection.sendall(
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    connection.close()
    deadline = threading.Event()
    for _ in range(500):
        try:
            events = daemon.client.session("gone").events
        except NotFound:
            events = []
        if events:
            break
        deadline.wait(0.01)
    assert [event.content for event in events] == ["sent and gone"]


def test_stalled_body_is_given_up(daemon: Daemon) -> None:
    from penchant_daemon import body, peer

    assert body.CHUNK_TIMEOUT_S <= 10.0
    assert peer.HEAD_TIMEOUT_S <= 15.0
    with daemon.connect(timeout_s=30) as stalled, daemon.connect(timeout_s=30) as headless:
        headless.sendall(b"GET /v1/st")
        stalled.sendall(b'POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n{"content"')
        answer = b"".join(iter(lambda: stalled.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"too_slow" in answer
        assert headless.recv(65_536) == b""


def test_cap_on_the_disk_refuses_writes_by_name_and_recall_goes_on(start_daemon: Start) -> None:
    with start_daemon(config="[limits]\ndisk_mb = 5\n") as daemon:
        [first] = daemon.client.remember([MemoryIn(content="the first fits")])
        with pytest.raises(StorageFull) as caught:
            for n in range(40):
                daemon.client.log_events(
                    [EventIn(content=os.urandom(300_000).hex(), session="fill", source_key=f"f{n}")]
                )
                # The size is sampled every few seconds; a refusal does not have to wait for that.
                daemon.client.status()
        assert caught.value.status == 507
        assert "limits.disk_mb is 5" in caught.value.message
        assert "config.toml" in (caught.value.hint or "")
        assert daemon.client.recall(RecallRequest(query="first fits")).results[0].id == first.id
        status = daemon.client.status()
        assert [problem.part for problem in status.problems if problem.part == "disk"] == ["disk"]
        # The embedder, which the recall before made ready, is in the same folder and counts; nothing else grew.
        assert size_of(daemon.home) - size_of(daemon.home / "models") < 20 * MB
        with pytest.raises(StorageFull):
            daemon.client.remember([MemoryIn(content="no")])
        daemon.client.forget([first.id])


def test_full_disk_refuses_the_write_and_the_daemon_goes_on(short_path: Path) -> None:
    mount = short_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m,mode=0700", "tmpfs", str(mount)],
        capture_output=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip("a disk of a few megabytes can be mounted by root only")
    home = mount / "d"
    env = {**os.environ, "HOME": str(short_path)}
    try:
        lifecycle.start(home, env=env)
        with Client(home, autostart=False) as client:
            [first] = client.remember([MemoryIn(content="before the disk was full")])
            filler = mount / "filler"
            with filler.open("wb") as file:
                free = shutil.disk_usage(mount).free
                file.write(b"x" * max(0, free - 200_000))
            with pytest.raises(StorageFull) as caught:
                for n in range(40):
                    client.log_events([EventIn(content="y" * 100_000, session="s", source_key=f"y{n}")])
            assert caught.value.status == 507
            assert client.get_memory(first.id).content == "before the disk was full"
            filler.unlink()
            [after] = client.remember([MemoryIn(content="after room was made")])
            assert after.status == "stored"
            client.log_events([EventIn(content="and now a session", session="s")])
            assert {len(event.content) for event in client.session("s").events} <= {100_000, 17}
    finally:
        lifecycle.stop(home)
        subprocess.run(["umount", "-l", str(mount)], check=False)


def test_read_only_data_directory_is_said_by_every_verb_and_works_again_when_it_is_writable(
    short_path: Path,
) -> None:
    mount = short_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs", str(mount)],
        capture_output=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip("a disk that is read-only can be mounted by root only")
    home = mount / "d"
    (short_path / "home").mkdir()
    env = {**os.environ, "HOME": str(short_path / "home"), "PENCHANT_HOME": str(home)}

    def penchant(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return run_penchant(env, *arguments, stdin=stdin)

    try:
        assert lifecycle.start(home, env=env, timeout_s=60.0)
        assert penchant("remember", "kept before the disk was read-only").returncode == 0
        assert penchant("down").returncode == 0
        deadline = time.monotonic() + 30.0  # the last process that had files open there ends a moment later
        while subprocess.run(["mount", "-o", "remount,ro", str(mount)], capture_output=True).returncode:
            assert time.monotonic() < deadline
            threading.Event().wait(0.2)
        sample = str(Path(__file__).parents[2] / "examples" / "orion-monday.jsonl")
        for verb in (("up",), ("remember", "x"), ("recall", "kept"), ("status",), ("import", sample)):
            done = penchant(*verb)
            assert done.returncode == (3 if verb == ("status",) else 2), (verb, done.stderr)
            assert "Traceback" not in done.stderr, verb
        refused = penchant("remember", "x").stderr
        assert str(home) in refused
        assert "cannot be written" in refused
        assert "PENCHANT_HOME" in refused
        examined = json.loads(penchant("doctor", "--json").stdout)
        read_only = next(each for each in examined["findings"] if each["code"] == "home_read_only")
        assert read_only["command"] == f"mount -o remount,rw {mount}"
        prompt = json.dumps({"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "x"})
        hooked = penchant("hook", "UserPromptSubmit", stdin=prompt)
        assert (hooked.returncode, hooked.stdout, hooked.stderr) == (0, "", "")
        subprocess.run(["mount", "-o", "remount,rw", str(mount)], check=True)
        lifecycle.start(home, env=env, timeout_s=60.0)
        assert "kept before the disk" in penchant("recall", "what was kept").stdout
    finally:
        lifecycle.stop(home)
        subprocess.run(["umount", "-l", str(mount)], check=False)


def test_files_that_may_not_be_written_any_more_refuse_the_write_and_recall_goes_on(
    start_daemon: Start,
) -> None:
    def frozen(flag: str) -> bool:
        # Not the -shm files: those are memory that SQLite's connections share.
        paths = [str(path) for path in daemon.home.glob("*.db*") if path.suffix != ".db-shm"]
        return subprocess.run(["chattr", flag, *paths], capture_output=True, check=False).returncode == 0

    with start_daemon() as daemon:
        [first] = daemon.client.remember([MemoryIn(content="written while it could be")])
        if not frozen("+i"):
            frozen("-i")
            pytest.skip("files can be frozen by root only, on some file systems")
        try:
            with pytest.raises(PenchantError) as caught:
                daemon.client.remember([MemoryIn(content="refused")])
            assert isinstance(caught.value, RequestError) and caught.value.status == 503
            assert "memory.db" in caught.value.message
            assert "penchant doctor" in (caught.value.hint or "")
            assert daemon.client.get_memory(first.id).content == "written while it could be"
            assert daemon.client.recall(RecallRequest(query="written while")).results[0].id == first.id
        finally:
            frozen("-i")
        [after] = daemon.client.remember([MemoryIn(content="and now again")])
        assert after.status == "stored"
        assert [m.content for m in daemon.client.recent(limit=5).memories if m.content == "refused"] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=12), children, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["content", "query", "limit", "events", "source", "ids", "kind", "role", "session", "project", "verdict",
     "memory_id", "meta"]
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(
        ["events", "memories", "recall", "feedback", "forget", "context", "verify", "agents"]
    ),
    value=JSON
    | st.dictionaries(FIELDS, JSON, max_size=4)
    | st.lists(st.dictionaries(FIELDS, JSON, max_size=3), max_size=2),
)
def test_no_json_breaks_a_route(http: httpx2.Client, path: str, value: object) -> None:
    body = json.dumps(value).encode("utf-8", "surrogatepass")
    response = http.post(f"/v1/{path}", content=body)
    assert response.status_code in (200, 400, 404, 413, 422), (path, value, response.text)
    if response.status_code != 200:
        assert set(response.json()["error"]) == {"code", "message", "field", "hint"}
