"""`penchant mcp`: lines in, lines out, and gone with its assistant."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.mcp_server.conftest import (
    COMMAND,
    PATIENCE_S,
    Host,
    Json,
    enveloped,
    environment,
    has_ended,
    hello,
)

from penchant_daemon import forward, lifecycle, wire
from penchant_daemon.home import socket_path

StartHost = Callable[..., Host]
MAX_RSS_KB = 30 * 1024


class Peer:
    """The wire seen from the daemon's side: speaks HTTP on its socket and answers as a test wants."""

    def __init__(self, home: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(socket_path(home)))
        self._listener.listen()
        self._listener.settimeout(PATIENCE_S)

    def accept(self) -> tuple[socket.socket, dict[str, str], Json]:
        """The next request: its connection, its headers (lower case) and its message."""
        data = b""
        while not data:  # who starts a daemon first connects to see whether one listens, and says nothing
            connection, _ = self._listener.accept()
            connection.settimeout(PATIENCE_S)
            data = connection.recv(65_536)
            if not data:
                connection.close()
        while b"\r\n\r\n" not in data:
            more = connection.recv(65_536)
            assert more, "the request broke off"
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0] == "POST /mcp HTTP/1.1"
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        while len(body) < int(headers["content-length"]):
            more = connection.recv(65_536)
            assert more, "the request broke off"
            body += more
        return connection, headers, json.loads(body)

    def answer(self, raw: bytes) -> tuple[dict[str, str], Json]:
        """Answer the next request with these bytes and close."""
        connection, headers, message = self.accept()
        with connection:
            connection.sendall(raw)
        return headers, message

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def peer(home: Path) -> Iterator[Peer]:
    peer = Peer(home)
    yield peer
    peer.close()
    socket_path(home).unlink(missing_ok=True)


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def result(id: object, **fields: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": id, "result": fields}).encode()


# ---- with the daemon


def test_an_assistant_is_answered_and_only_json_rpc_is_written(daemon: Path, start_host: StartHost) -> None:
    host = start_host(daemon)
    answer = host.initialize("2025-06-18")
    assert answer["id"] == "hello"
    assert answer["result"]["protocolVersion"] == "2025-06-18"
    assert "recall" in answer["result"]["instructions"]
    assert len(host.ask("tools/list", id=7)["result"]["tools"]) <= 8
    assert host.close() == 0
    assert host.process.stdout is not None
    assert host.process.stdout.read() == b""


def test_a_host_that_asks_to_discover_and_never_initializes_is_served(
    daemon: Path, start_host: StartHost
) -> None:
    host = start_host(daemon)
    answer = host.ask("server/discover", enveloped())
    assert "recall" in answer["result"]["instructions"]
    call = {"name": "remember", "arguments": {"content": "the façade was painted on 3 May"}}
    assert host.ask("tools/call", enveloped(call))["result"]["structuredContent"]["status"] == "stored"


def test_the_daemon_is_started_when_none_runs_and_stays_when_the_assistant_goes(
    home: Path, start_host: StartHost
) -> None:
    host = start_host(home)
    assert "result" in host.initialize()
    assert host.close() == 0
    assert lifecycle.owner(home) is not None


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_daemon_that_went_away_in_between_goes_unnoticed(
    home: Path, start_host: StartHost, how: signal.Signals
) -> None:
    host = start_host(home)
    host.initialize()
    owner = lifecycle.owner(home)
    assert owner is not None
    os.kill(owner.pid, how)
    assert has_ended(owner.pid)
    answer = host.ask("tools/call", {"name": "status", "arguments": {}})
    assert answer["result"]["isError"] is False
    again = lifecycle.owner(home)
    assert again is not None
    assert again.pid != owner.pid


def test_a_daemon_that_cannot_start_is_an_error_with_its_reason(home: Path, start_host: StartHost) -> None:
    (home / "memory.db").mkdir()
    error = start_host(home).ask("ping", id="p")
    assert error["id"] == "p"
    assert error["error"]["code"] == forward.INTERNAL_ERROR
    assert "could not be started" in error["error"]["message"]


def test_what_is_no_message_is_refused_and_the_next_is_answered(daemon: Path, start_host: StartHost) -> None:
    host = start_host(daemon)
    host.write(b"{nonsense")
    assert host.read()["error"]["code"] == forward.PARSE_ERROR
    host.write(b'"\xff"')
    assert host.read()["error"]["code"] == forward.PARSE_ERROR
    host.write(b"[1, 2]")
    assert host.read()["error"]["code"] == forward.INVALID_REQUEST
    host.write(b'{"id": 3}')
    assert host.read() == {
        "jsonrpc": "2.0",
        "id": 3,
        "error": {"code": forward.INVALID_REQUEST, "message": "the message has no method"},
    }
    host.write(b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}')
    assert host.read()["error"]["code"] == forward.INVALID_REQUEST
    host.write(b"")
    host.write(b'{"jsonrpc": "2.0", "id": 9, "result": {}}')  # an answer to a question nobody asked
    assert host.ask("ping", id=4) == {"jsonrpc": "2.0", "id": 4, "result": {}}


def test_a_message_over_the_limit_is_refused_and_the_next_is_answered(
    daemon: Path, start_host: StartHost
) -> None:
    host = start_host(daemon)
    host.write(b'{"id": 1, "method": "x", "params": "' + b"y" * forward.MAX_MESSAGE_BYTES + b'"}')
    assert str(forward.MAX_MESSAGE_BYTES) in host.read()["error"]["message"]
    assert "result" in host.ask("ping", id=2)


def test_the_largest_message_is_as_large_as_the_largest_body() -> None:
    assert forward.MAX_MESSAGE_BYTES == wire.MAX_BODY_BYTES


def test_fifty_assistants_at_once_are_answered_and_leave_nothing_when_they_are_killed(daemon: Path) -> None:
    # One process holds all pipes and is killed; another (this test) keeps the pipes' other ends open.
    script = """
import json, subprocess, sys
command, message = json.loads(sys.argv[1]), sys.argv[2].encode() + b"\\n"
children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(50)]
for child in children:
    child.stdin.write(message)
    child.stdin.flush()
answers = [json.loads(child.stdout.readline()) for child in children]
print(json.dumps([[child.pid, "result" in answer] for child, answer in zip(children, answers)]), flush=True)
sys.stdin.read()
"""
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello("2025-11-25")})
    host = subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(COMMAND), message],
        env=environment(daemon),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert host.stdin is not None
    assert host.stdout is not None
    with host.stdin, host.stdout:
        answered = json.loads(host.stdout.readline())
        assert [was_answered for _, was_answered in answered] == [True] * 50
        host.send_signal(signal.SIGKILL)
        host.wait()
        assert all(has_ended(pid) for pid, _ in answered)


def test_it_ends_when_its_assistant_is_killed_although_the_pipe_stays_open(daemon: Path) -> None:
    # The test holds both pipes, so neither their end nor a hang-up says that the assistant is gone.
    input_read, input_write = os.pipe()
    output_read, output_write = os.pipe()
    script = """
import json, subprocess, sys, time
child = subprocess.Popen(json.loads(sys.argv[1]), stdin=int(sys.argv[2]), stdout=int(sys.argv[3]))
print(child.pid, flush=True)
sys.stdin.read()
"""
    arguments = [json.dumps(COMMAND), str(input_read), str(output_write)]
    host = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env=environment(daemon),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(input_read, output_write),
    )
    assert host.stdin is not None
    assert host.stdout is not None
    with host.stdin, host.stdout:
        pid = int(host.stdout.readline())
        os.write(input_write, b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        assert json.loads(os.read(output_read, 1000)) == {"jsonrpc": "2.0", "id": 1, "result": {}}
        host.send_signal(signal.SIGKILL)
        host.wait()
        assert has_ended(pid)
    for descriptor in (input_read, input_write, output_read, output_write):
        os.close(descriptor)


def test_it_ends_when_nobody_reads_its_answers(daemon: Path, start_host: StartHost) -> None:
    host = start_host(daemon)
    host.initialize()
    assert host.process.stdout is not None
    host.process.stdout.close()
    assert host.process.wait(PATIENCE_S) == 0


def test_a_terminated_process_ends_at_once_and_without_a_word(daemon: Path, start_host: StartHost) -> None:
    for how in (signal.SIGTERM, signal.SIGINT):
        host = start_host(daemon)
        host.initialize()
        host.process.send_signal(how)
        assert host.process.wait(PATIENCE_S) == -how
        assert host.process.stderr is not None
        assert host.process.stderr.read() == b""


def test_the_last_question_is_answered_although_the_pipe_ends_behind_it(daemon: Path) -> None:
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello("2025-11-25")})
    done = subprocess.run(
        COMMAND, input=message.encode(), env=environment(daemon), capture_output=True, timeout=PATIENCE_S
    )
    assert json.loads(done.stdout)["id"] == 1
    assert (done.returncode, done.stderr) == (0, b"")


def test_it_stays_small(daemon: Path, start_host: StartHost) -> None:
    host = start_host(daemon)
    host.initialize()
    host.ask("tools/list")
    status = Path(f"/proc/{host.process.pid}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    (peak,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    assert int(peak.split()[1]) <= MAX_RSS_KB


def test_arguments_are_refused_with_the_usage(daemon: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--port", "1"], env=environment(daemon), capture_output=True, timeout=PATIENCE_S
    )
    assert done.returncode == 2
    assert b"usage: penchant mcp" in done.stderr


# ---- the wire, seen from the daemon's side


def test_a_slow_call_does_not_delay_another(home: Path, peer: Peer, start_host: StartHost) -> None:
    host = start_host(home)
    host.send("tools/call", {"name": "recall", "arguments": {"query": "x"}}, id="slow")
    slow, _, _ = peer.accept()
    with slow:
        host.send("ping", id="quick")
        peer.answer(response(result("quick")))
        assert host.read()["id"] == "quick"
        slow.sendall(response(result("slow")))
    assert host.read()["id"] == "slow"


def test_a_cancelled_call_is_hung_up_and_never_answered(
    home: Path, peer: Peer, start_host: StartHost
) -> None:
    host = start_host(home)
    host.send("tools/call", {"name": "recall", "arguments": {"query": "x"}}, id=5)
    connection, _, _ = peer.accept()
    with connection:
        host.send("notifications/cancelled", {"requestId": 5})
        assert connection.recv(1) == b""
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(response(result(5)))
    host.send("ping", id=6)
    peer.answer(response(result(6)))
    assert host.read()["id"] == 6
    assert host.close() == 0


def test_the_headers_say_who_asks_for_what_in_which_revision(
    home: Path, peer: Peer, start_host: StartHost
) -> None:
    host = start_host(home)
    host.send("initialize", hello("2025-11-25", name="Café\r\nX-Evil: 1"), id=1)
    headers, _ = peer.answer(response(result(1, protocolVersion="2025-06-18")))
    assert headers["x-penchant-agent"] == "Caf%C3%A9%0D%0AX-Evil: 1"
    assert "mcp-protocol-version" not in headers
    assert host.read()["id"] == 1
    host.send("tools/list", id=2)
    headers, _ = peer.answer(response(result(2)))
    assert headers["mcp-protocol-version"] == "2025-06-18"
    assert "mcp-method" not in headers
    host.read()
    host.send("resources/read", enveloped({"uri": "penchant://memory/é"}, name="codex"), id=3)
    headers, _ = peer.answer(response(result(3)))
    assert headers["x-penchant-agent"] == "codex"
    assert headers["mcp-protocol-version"] == "2026-07-28"
    assert headers["mcp-method"] == "resources/read"
    assert headers["mcp-name"] == "=?base64?cGVuY2hhbnQ6Ly9tZW1vcnkvw6k=?="


def test_the_session_that_the_host_names_goes_along(
    home: Path, peer: Peer, start_host: StartHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "9d0f7c11-0000")
    host = start_host(home)
    host.send("initialize", hello("2025-11-25", name="claude-code"), id=1)
    headers, _ = peer.answer(response(result(1, protocolVersion="2025-11-25")))
    assert headers["x-penchant-session"] == "9d0f7c11-0000"
    host.read()


def test_a_streamed_answer_arrives_message_by_message(home: Path, peer: Peer, start_host: StartHost) -> None:
    host = start_host(home)
    host.send("tools/call", {"name": "recall", "arguments": {}}, id=1)
    connection, _, _ = peer.accept()
    with connection:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        note = b'{"jsonrpc": "2.0", "method": "notifications/progress"}'
        event = b": still here\r\n\r\nevent: message\r\ndata: " + note + b"\r\n\r\n"
        # Cut in the middle of a line: chunks and events have nothing to do with each other.
        for piece in (event[:30], event[30:]):
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        assert host.read()["method"] == "notifications/progress"
        event = b"data: " + result(1) + b"\n\n"
        connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(event), event))
    assert host.read() == {"jsonrpc": "2.0", "id": 1, "result": {}}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            response(
                b'{"error": {"code": "forbidden", "message": "not you", "hint": "go"}}', status="403 No"
            ),
            "not you; go",
        ),
        (response(b"", status="500 Oh"), "the daemon answered 500"),
        (response(b"", status="202 Accepted"), "the daemon gave no answer"),
        (
            response(
                b'{"jsonrpc": "2.0", "id": null, "error": {"code": -1, "message": "bad"}}', status="400 No"
            ),
            "bad",
        ),
    ],
)
def test_an_http_error_becomes_an_error_with_the_id_of_its_request(
    home: Path, peer: Peer, start_host: StartHost, raw: bytes, said: str
) -> None:
    host = start_host(home)
    host.send("ping", id="q")
    peer.answer(raw)
    answer = host.read()
    assert answer["id"] == "q"
    assert answer["error"]["message"] == said


@pytest.mark.parametrize(
    "raw", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", b"SSH-2.0\r\n", b"HTTP/1.1 2"]
)
def test_a_question_whose_answer_broke_off_is_asked_again_once(
    home: Path, peer: Peer, start_host: StartHost, raw: bytes
) -> None:
    with lifecycle.Lock.acquire(home):  # as the daemon does: nobody else is started
        host = start_host(home)
        host.send("tools/call", {"name": "recall", "arguments": {}}, id=1)
        peer.answer(raw)
        _, message = peer.answer(response(result(1)))
        assert message["params"]["name"] == "recall"
        assert host.read() == {"jsonrpc": "2.0", "id": 1, "result": {}}


def test_a_daemon_that_is_stopping_is_asked_again_once(home: Path, peer: Peer, start_host: StartHost) -> None:
    stopping = response(b'{"error": {"code": "unavailable", "message": "stopping"}}', status="503 No")
    with lifecycle.Lock.acquire(home):
        host = start_host(home)
        call = {"name": "log_event", "arguments": {}}  # nothing was done, so even this may be sent again
        host.send("tools/call", call, id=1)
        peer.answer(stopping)
        peer.answer(response(result(1)))
        assert host.read() == {"jsonrpc": "2.0", "id": 1, "result": {}}
        host.send("tools/call", call, id=2)
        peer.answer(stopping)
        peer.answer(stopping)
        assert host.read()["error"]["message"] == "stopping"


def test_a_call_that_may_have_acted_is_not_made_twice(home: Path, peer: Peer, start_host: StartHost) -> None:
    host = start_host(home)
    host.send("tools/call", {"name": "log_event", "arguments": {}}, id=1)
    peer.answer(b"")
    answer = host.read()
    assert answer["id"] == 1
    assert "went away before it answered" in answer["error"]["message"]


def test_more_questions_than_can_wait_are_refused_rather_than_piled_up(
    home: Path, peer: Peer, start_host: StartHost
) -> None:
    host = start_host(home)
    waiting = []
    for n in range(forward.MAX_IN_FLIGHT):
        host.send("ping", id=n)
        connection, _, message = peer.accept()
        waiting.append((connection, message["id"]))
    refused = host.ask("ping", id="one too many")
    assert refused["id"] == "one too many"
    assert str(forward.MAX_IN_FLIGHT) in refused["error"]["message"]
    for connection, id in waiting:
        with connection:
            connection.sendall(response(result(id)))
    assert sorted(host.read()["id"] for _ in waiting) == list(range(forward.MAX_IN_FLIGHT))


def test_lines_are_cut_the_same_wherever_the_pipe_cuts_them() -> None:
    text = b"one\ntwo\r\n\nfour is too long\nfive\nsix"
    expected = [b"one", b"two\r", b"", None, b"five", b"six"]
    for size in range(1, len(text) + 1):
        lines = forward._Lines(max_bytes=6)
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert [line for piece in [*pieces, b""] for line in lines.feed(piece)] == expected


def test_nothing_is_kept_of_a_line_that_is_too_long() -> None:
    lines = forward._Lines(max_bytes=10)
    for _ in range(1_000):
        assert list(lines.feed(b"x" * 100)) == []
    assert sum(map(len, lines._parts)) <= 10
