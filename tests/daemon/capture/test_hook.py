"""`penchant hook`: every host is understood, each turn logged once, and the assistant never held up."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.conftest import Daemon

from penchant_daemon import hook, hook_delivery, hook_events, lifecycle
from penchant_daemon.capture.echo import strip_marks
from penchant_daemon.capture.transcripts.segments import arguments_text, result_text
from penchant_daemon.client import Client
from penchant_daemon.home import socket_path
from penchant_daemon.wire import CountsOut, EventIn, MemoryIn, RecallRequest, SessionEvent

NOW = "2026-11-23T10:00:00.000Z"
CLAUDE = {
    "session_id": "s1",
    "transcript_path": "/home/x/.claude/projects/-acme/s1.jsonl",
    "cwd": "/tmp/acme",
    "permission_mode": "default",
}


def call(payload: dict[str, Any], event: str | None = None, agent: str | None = None) -> hook_events.Call:
    understood = hook_events.understood(payload, event, NOW, agent, None)
    assert understood is not None
    for each in understood.events:
        EventIn.model_validate(each)  # what the daemon takes
    return understood


def claude(event: str, **fields: object) -> dict[str, Any]:
    return {**CLAUDE, "hook_event_name": event, **fields}


# ---- what a call says


@pytest.mark.parametrize(
    ("payload", "host"),
    [
        (claude("Stop"), "claude-code"),
        (
            {"session_id": "s", "hook_event_name": "Stop", "permission_mode": "plan", "prompt_id": "p"},
            "claude-code",
        ),
        (
            {"sessionId": "s", "hookEventName": "Stop", "timestamp": "2026-11-23T10:00:00Z", "cwd": "/a"},
            "vscode",
        ),
        ({"sessionId": "s", "timestamp": 1763892000000, "cwd": "/a"}, "copilot"),
        ({"conversation_id": "c", "hook_event_name": "stop", "cursor_version": "3.1"}, "cursor"),
        ({"session_id": "s", "hook_event_name": "Stop", "turn_id": "t", "model": "gpt"}, "codex"),
        ({"session_id": "s", "hook_event_name": "AfterAgent", "timestamp": "x"}, "gemini"),
        ({"agent_action_name": "pre_user_prompt", "trajectory_id": "t"}, "windsurf"),
        ({"event": "Stop", "session_id": "s", "working_dir": "/a"}, "goose"),
        (
            {"session_id": "s", "hook_event_name": "Stop", "transcript_path": "/h/.gemini/tmp/a.jsonl"},
            "gemini",
        ),
        (
            {"session_id": "s", "hook_event_name": "Stop", "transcript_path": "C:\\U\\.copilot\\s.jsonl"},
            "copilot",
        ),
    ],
)
def test_the_host_is_told_by_what_only_it_sends(payload: dict[str, Any], host: str) -> None:
    assert hook_events.host_of(payload) == host


@pytest.mark.parametrize(
    ("payload", "event", "kinds"),
    [
        (claude("SessionStart", source="resume"), None, [("session_start", "system", "resume")]),
        (claude("UserPromptSubmit", prompt="hello"), None, [("message", "user", "hello")]),
        (claude("Stop", last_assistant_message="done"), None, [("message", "assistant", "done")]),
        (claude("SessionEnd", reason="logout"), None, [("session_end", "system", "logout")]),
        (claude("PreCompact", trigger="manual", custom_instructions="keep x"), None,
         [("compaction", "system", "manual: keep x")]),
        (claude("PostCompact", compact_summary="we did"), None, [("compaction", "system", "we did")]),
        (claude("PostToolUse", tool_name="Bash", tool_input={"command": "ls"}, tool_response={"stdout": "a b"}), None,
         [("tool_call", "assistant", 'Bash {"command":"ls"}'), ("tool_result", "tool", "a b")]),
        (claude("PostToolUseFailure", tool_name="Bash", tool_input={"command": "ls"}, error="no"), None,
         [("tool_call", "assistant", 'Bash {"command":"ls"}'), ("tool_result", "tool", "no")]),
        ({"sessionId": "s", "prompt": "hi", "timestamp": 1}, "userPromptSubmitted", [("message", "user", "hi")]),
        ({"conversation_id": "c", "hook_event_name": "beforeSubmitPrompt", "prompt": "hi"}, None,
         [("message", "user", "hi")]),
        ({"conversation_id": "c", "hook_event_name": "afterAgentResponse", "text": "ok"}, None,
         [("message", "assistant", "ok")]),
        ({"conversation_id": "c", "hook_event_name": "afterFileEdit", "file_path": "/a.py", "edits": []}, None,
         [("tool_call", "assistant", 'edit_file {"file_path":"/a.py","edits":[]}'), ("tool_result", "tool", "")]),
        ({"session_id": "s", "hook_event_name": "AfterAgent", "prompt_response": "ok"}, None,
         [("message", "assistant", "ok")]),
        ({"agent_action_name": "pre_user_prompt", "trajectory_id": "t", "tool_info": {"user_prompt": "hi"}}, None,
         [("message", "user", "hi")]),
    ],
)  # fmt: skip
def test_each_hook_becomes_its_events(
    payload: dict[str, Any], event: str | None, kinds: list[tuple[str, str, str]]
) -> None:
    assert [(each["kind"], each["role"], each["content"]) for each in call(payload, event).events] == kinds


def test_a_subagents_words_stand_in_a_session_below_its_parents() -> None:
    made = call(
        claude("SubagentStop", agent_id="7f", agent_type="Explore", last_assistant_message="found it")
    )
    (event,) = made.events
    assert (event["session"], event["parent_session"], event["role"]) == ("agent-7f", "s1", "assistant")


def test_keys_are_the_hosts_ids_where_it_has_them() -> None:
    keyed = call(claude("UserPromptSubmit", prompt="a", prompt_id="p1")).events[0]["source_key"]
    tool = call(
        claude("PostToolUse", tool_name="Bash", tool_input={}, tool_response="x", tool_use_id="t1")
    ).events
    bare = call(claude("UserPromptSubmit", prompt="a")).events[0]["source_key"]
    assert keyed == "prompt:p1"
    assert [event["source_key"] for event in tool] == ["call:t1", "result:t1"]
    assert bare.startswith("text:")


def test_a_stop_that_fires_again_with_other_words_is_another_message() -> None:
    keys = {
        call(claude("Stop", prompt_id="p1", last_assistant_message=text)).events[0]["source_key"]
        for text in "ab"
    }
    assert len(keys) == 2


@pytest.mark.parametrize(
    "value",
    [None, "", "text", {}, [], {"stdout": "out", "stderr": "err"}, {"content": [{"type": "text", "text": "x"}]},
     [{"type": "text", "text": "a"}, {"type": "image", "source": {}}], {"filePath": "/a", "success": True}, 3, True,
     {"output": "o"}, [{"type": "tool_result", "content": [{"type": "text", "text": "deep"}]}]],
)  # fmt: skip
def test_tools_are_written_as_the_transcripts_readers_write_them(value: Any) -> None:
    # Equal text is how the store knows that a hook's event and a transcript's are one.
    assert hook_events.result_text(value) == result_text(value)
    assert hook_events.arguments_text(value) == arguments_text(value)


def test_long_outputs_are_cut_and_say_so() -> None:
    made = call(claude("PostToolUse", tool_name="Bash", tool_input={}, tool_response="x" * 3_000_000))
    result = made.events[1]
    assert len(result["content"]) <= hook_events.MAX_TOOL_CHARS
    assert "more characters were left out" in result["content"]
    assert result["meta"]["cut_chars"] > 2_000_000


def test_the_answer_is_in_the_hosts_own_schema() -> None:
    prompt = {"prompt": "x"}
    answers = {
        "claude": call(claude("UserPromptSubmit", **prompt)),
        "codex": call({"session_id": "s", "turn_id": "t", "hook_event_name": "SessionStart"}),
        "cursor": call({"conversation_id": "c", "hook_event_name": "sessionStart"}),
        "copilot": call({"sessionId": "s", "timestamp": 1}, "sessionStart"),
        "gemini": call({"session_id": "s", "hook_event_name": "BeforeAgent", **prompt}),
        "vscode": call({"sessionId": "s", "hookEventName": "UserPromptSubmit", **prompt}),
    }
    written = {name: json.loads(hook_events.answer(each, "C")) for name, each in answers.items()}
    assert written == {
        "claude": {"hookSpecificOutput": {"hookEventName": "UserPromptSubmit", "additionalContext": "C"}},
        "codex": {"hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": "C"}},
        "cursor": {"additional_context": "C"},
        "copilot": {"additionalContext": "C"},
        "gemini": {"hookSpecificOutput": {"hookEventName": "BeforeAgent", "additionalContext": "C"}},
        "vscode": {"hookSpecificOutput": {"hookEventName": "UserPromptSubmit", "additionalContext": "C"}},
    }


def test_hosts_that_take_no_context_are_not_asked_for_one() -> None:
    assert not hook_events.takes_context(call({"agent_action_name": "pre_user_prompt", "tool_info": {}}))
    assert not hook_events.takes_context(call({"sessionId": "s", "prompt": "x"}, "userPromptSubmitted"))
    assert not hook_events.takes_context(call(claude("Stop", last_assistant_message="x")))


# ---- the process


def run_hook(env: dict[str, str], stdin: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run the hook as a host does; whatever is sent, it must end with 0 and say nothing on standard error."""
    result = subprocess.run(
        [sys.executable, "-m", "penchant_daemon.entry", "hook", *arguments],
        input=stdin, env=env, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert result.returncode == 0
    assert result.stderr == b""
    return result


def send(env: dict[str, str], payload: dict[str, Any]) -> bytes:
    return run_hook(env, json.dumps(payload).encode(), payload.get("hook_event_name", "Stop")).stdout


def post_raw(path: Path, target: str, body: bytes) -> bytes:
    with hook.Connection(str(path), "test", time.monotonic() + 30) as connection:
        status, answer = connection.send(target, body)
    assert status == 200, answer
    return answer


def said_in(client: Client, session: str) -> list[SessionEvent]:
    return client.session(session).events


def hook_log(env: dict[str, str]) -> str:
    path = Path(env["PENCHANT_HOME"]) / "logs" / "hook.log"
    return path.read_text() if path.exists() else ""


def fresh_counts(daemon: Daemon) -> CountsOut:
    """What is stored now: status counts at most once a second, so an event is logged and waited for."""
    known = daemon.client.status().counts.events
    daemon.client.log_events([EventIn(kind="compaction", role="system", content="counted")])
    wait_for(lambda: daemon.client.status().counts.events > known)
    return daemon.client.status().counts


def n_spooled(env: dict[str, str]) -> int:
    return len(list((Path(env["PENCHANT_HOME"]) / "spool").glob("*.json")))


def wait_for(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Until a process that nobody waits for has done its work."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.05)


def test_a_whole_session_is_logged_in_order_and_once(daemon: Daemon) -> None:
    session = {**CLAUDE, "session_id": "whole"}
    for payload in (
        {"hook_event_name": "SessionStart", "source": "startup"},
        {"hook_event_name": "UserPromptSubmit", "prompt_id": "p1", "prompt": "rename the parser module"},
        {"hook_event_name": "PostToolUse", "prompt_id": "p1", "tool_use_id": "t1", "tool_name": "Edit",
         "tool_input": {"file_path": "/a.py", "old_string": "x", "new_string": "y"}, "tool_response": "ok"},
        {"hook_event_name": "Stop", "prompt_id": "p1", "last_assistant_message": "Renamed it to reader."},
        {"hook_event_name": "SubagentStop", "agent_id": "9", "last_assistant_message": "Looked around."},
        {"hook_event_name": "SessionEnd", "reason": "logout"},
    ):  # fmt: skip
        for _ in range(2):  # two settings files fire everything twice
            assert send(daemon.env, {**session, **payload}) == b""
    wait_for(
        lambda: any(each.id == "whole" and each.n_events == 6 for each in daemon.client.sessions().sessions)
    )
    events = said_in(daemon.client, "whole")
    assert [(event.kind, event.role) for event in events] == [
        ("session_start", "system"),
        ("message", "user"),
        ("edit", "assistant"),
        ("tool_result", "tool"),
        ("message", "assistant"),
        ("session_end", "system"),
    ]
    found = daemon.client.session("whole").session
    assert (found.agent, found.n_messages) == ("claude-code", 2)
    assert daemon.client.session("agent-9").session.parent == "whole"
    assert hook_log(daemon.env) == ""


def test_a_prompt_gets_what_is_remembered_about_it_and_nothing_else_does(daemon: Daemon) -> None:
    daemon.client.remember(
        [MemoryIn(content="The zebra service is deployed with the tool flyctl.", scope="global")]
    )
    daemon.client.recall(RecallRequest(query="what loads the embedder"))
    asked = claude(
        "UserPromptSubmit", session_id="asks", prompt="how is the zebra service deployed?", prompt_id="z1"
    )
    answer = json.loads(send(daemon.env, asked))["hookSpecificOutput"]
    assert answer["hookEventName"] == "UserPromptSubmit"
    assert "flyctl" in answer["additionalContext"]
    assert strip_marks(answer["additionalContext"]).text == ""
    other = claude(
        "UserPromptSubmit", session_id="asks", prompt="paint the fence in bright yellow", prompt_id="z2"
    )
    assert send(daemon.env, other) == b""


def test_programs_may_hand_in_a_hooks_call_themselves(daemon: Daemon) -> None:
    daemon.client.remember([MemoryIn(content="The okapi service is deployed with kamal.", scope="global")])
    daemon.client.recall(RecallRequest(query="what loads the embedder"))
    prompt = "how is the okapi service deployed?"
    asked = claude("UserPromptSubmit", session_id="direct", prompt=prompt, prompt_id="o1")
    body = json.dumps({"payload": asked, "occurred_at": "2026-03-01T10:00:00Z"}).encode()
    answer = json.loads(post_raw(daemon.socket, "/v1/hook", body))["hookSpecificOutput"]
    assert "kamal" in answer["additionalContext"]
    post_raw(daemon.socket, "/v1/hook", body)
    (event,) = said_in(daemon.client, "direct")
    assert event.content == prompt
    assert event.occurred_at.startswith("2026-03-01T10:00:00")


def test_a_host_that_stopped_listening_sees_no_error(daemon: Daemon) -> None:
    daemon.client.remember([MemoryIn(content="The gnu service is deployed with nomad.", scope="global")])
    daemon.client.recall(RecallRequest(query="what loads the embedder"))
    asked = claude(
        "UserPromptSubmit", session_id="deaf", prompt="how is the gnu service deployed?", prompt_id="g1"
    )
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "penchant_daemon.entry", "hook", "UserPromptSubmit"],
        input=json.dumps(asked).encode(), env=daemon.env, stdout=writer, stderr=subprocess.PIPE, timeout=30, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, b"")
    assert said_in(daemon.client, "deaf")[0].content == asked["prompt"]


def test_what_cannot_be_sent_as_it_came_is_logged_all_the_same(daemon: Daemon) -> None:
    payload = claude("Stop", session_id="quoted", last_assistant_message="with a place in quotes")
    env = {**daemon.env, "CLAUDE_PROJECT_DIR": '/tmp/a "quoted" place'}
    send(env, payload)
    (event,) = said_in(daemon.client, "quoted")
    assert event.content == "with a place in quotes"
    assert not hook_log(daemon.env)


def test_rounds_of_injection_and_answer_add_the_persons_prompts_only(daemon: Daemon) -> None:
    fact = "The quokka service keeps its sessions in a Valkey cluster of three nodes in Perth."
    daemon.client.remember(
        [MemoryIn(content=fact, scope="global"), MemoryIn(content="a-word-that-loads-the-rules")]
    )
    daemon.client.recall(RecallRequest(query="what loads the embedder"))
    before = fresh_counts(daemon)
    for turn in range(5):
        fields = {"session_id": f"loop-{turn}", "prompt_id": f"l{turn}"}
        prompt = f"where does the quokka service keep its sessions, attempt {turn}"
        answer = json.loads(send(daemon.env, claude("UserPromptSubmit", prompt=prompt, **fields)))
        context = answer["hookSpecificOutput"]["additionalContext"]
        assert fact in context
        send(daemon.env, claude("Stop", last_assistant_message=f"From memory:\n> {fact}", **fields))
        payload = daemon.client.recall(RecallRequest(query="quokka service sessions")).model_dump()
        send(daemon.env, claude("PostToolUse", tool_name="mcp__penchant__recall", tool_use_id=f"q{turn}",
                                tool_input={"query": "quokka"}, tool_response=payload, **fields))  # fmt: skip
        pasted = claude(
            "UserPromptSubmit", prompt=context, session_id=f"loop-{turn}", prompt_id=f"paste{turn}"
        )
        send(daemon.env, pasted)
    after = fresh_counts(daemon)
    assert after.events == before.events + 26  # five rounds of five, and what fresh_counts logs
    assert after.memories == before.memories
    assert after.episodes == before.episodes + 5


def test_a_secret_in_a_prompt_is_masked(daemon: Daemon) -> None:
    send(daemon.env, claude("UserPromptSubmit", session_id="masked", prompt='use password = "hunter2horse"'))
    assert said_in(daemon.client, "masked")[0].content == 'use password = "[secret:password]"'


@pytest.mark.parametrize(
    "stdin",
    [b"", b" \n", b"not json", b"[1, 2]", b'{"a": ', b"null", b"\xff\xfe\x00", b"{}", b'{"hook_event_name": "Odd"}',
     b"[" * 100_000],
)  # fmt: skip
def test_bad_input_is_silent_and_noted_without_contents(daemon: Daemon, stdin: bytes) -> None:
    before = hook_log(daemon.env).count("not logged")
    assert run_hook(daemon.env, stdin).stdout == b""
    log = hook_log(daemon.env)
    assert log.count("not logged") == before + 1
    assert "not json" not in log


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_obstacle(daemon: Daemon, encoding: str) -> None:
    session = f"bom-{encoding}"
    payload = {
        "conversation_id": session,
        "cursor_version": "3",
        "hook_event_name": "beforeSubmitPrompt",
        "prompt": "ü",
    }
    run_hook(daemon.env, json.dumps(payload, ensure_ascii=False).encode(encoding))
    assert said_in(daemon.client, session)[0].content == "ü"
    assert daemon.client.session(session).session.agent == "cursor"


def test_half_surrogates_and_nul_pass(daemon: Daemon) -> None:
    run_hook(
        daemon.env,
        rb'{"session_id":"odd","hook_event_name":"Stop","last_assistant_message":"a\ud83d\u0000b"}',
    )
    assert said_in(daemon.client, "odd")[0].content in ("a?b", "a�b")


def test_ten_megabytes_of_output_are_logged_cut(daemon: Daemon) -> None:
    payload = claude("PostToolUse", session_id="big", tool_name="Bash", tool_input={"command": "x"}, tool_use_id="t",
                     tool_response={"stdout": "y" * 10_000_000})  # fmt: skip
    send(daemon.env, payload)
    wait_for(
        lambda: any(each.id == "big" and each.n_events == 2 for each in daemon.client.sessions().sessions)
    )
    assert "more characters were left out" in said_in(daemon.client, "big")[1].content


def test_a_host_that_never_closes_the_pipe_does_not_hang_the_hook(daemon: Daemon) -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, json.dumps(claude("Stop", session_id="open", last_assistant_message="x")).encode())
        started = time.monotonic()
        result = subprocess.run(
            [sys.executable, "-m", "penchant_daemon.entry", "hook", "Stop"],
            stdin=reader, env=daemon.env, capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        assert result.returncode == 0
        assert time.monotonic() - started < 10
    finally:
        os.close(reader)
        os.close(writer)
    assert said_in(daemon.client, "open")[0].content == "x"


def test_it_imports_nothing_that_costs_the_assistant_time(daemon: Daemon) -> None:
    payload = json.dumps(claude("Stop", session_id="light", last_assistant_message="x"))
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "from penchant_daemon.entry import main; main(['hook', 'Stop'])"],
        input=payload, env=daemon.env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "penchant_daemon.hook" in imported
    # Neither what hands over to a child nor what only that needs: each of these costs more than the rest together.
    assert not {"penchant_daemon.hook_delivery", "json", "pathlib", "re", "enum"} & imported
    heavy = {"asyncio", "click", "httpx2", "mcp", "numpy", "pydantic", "sqlite3", "structlog", "uvicorn"}
    assert not heavy & imported
    assert said_in(daemon.client, "light")[0].content == "x"


# ---- no daemon


def test_without_a_daemon_the_hook_starts_one_and_nothing_is_lost(free_env: dict[str, str]) -> None:
    home = Path(free_env["PENCHANT_HOME"])
    started = time.monotonic()
    send(free_env, claude("UserPromptSubmit", prompt="nobody listens yet", prompt_id="p1"))
    send(free_env, claude("Stop", last_assistant_message="but it is kept", prompt_id="p1"))
    assert time.monotonic() - started < 5  # neither waits for the daemon's start
    wait_for(lambda: lifecycle.accepts(home))
    with Client(home, agent="test", autostart=False) as client:
        wait_for(lambda: client.status().counts.events >= 2)
        said = [event.content for event in said_in(client, "s1")]
        assert said == ["nobody listens yet", "but it is kept"]
    assert not list((home / "hook-line").iterdir())


def test_what_was_spooled_comes_before_what_the_next_hooks_tell(free_env: dict[str, str]) -> None:
    home = Path(free_env["PENCHANT_HOME"])
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text("nonsense = true")
    for n in range(3):
        send(free_env, claude("UserPromptSubmit", prompt=f"spooled {n}", prompt_id=f"p{n}"))
    wait_for(lambda: n_spooled(free_env) == 3)
    (home / "config.toml").unlink()
    assert lifecycle.start(home, env=free_env, timeout_s=30.0)
    send(free_env, claude("UserPromptSubmit", prompt="live", prompt_id="p9"))
    with Client(home, agent="test", autostart=False) as client:
        wait_for(lambda: client.status().counts.events == 4)
        said = [event.content for event in said_in(client, "s1")]
        assert said == ["spooled 0", "spooled 1", "spooled 2", "live"]


def a_session(session: str) -> list[dict[str, Any]]:
    """Hooks of one turn; the tool's call holds a word so long that all secret detectors look at it."""
    tool = {"tool_use_id": "t1", "tool_name": "Edit", "tool_response": "ok",
            "tool_input": {"file_path": "/home/me/a-long-name-of-a-file.py", "old_string": "x"}}  # fmt: skip
    return [
        claude("UserPromptSubmit", session_id=session, prompt="rename it", prompt_id="p1"),
        claude("PostToolUse", session_id=session, prompt_id="p1", **tool),
        claude("Stop", session_id=session, prompt_id="p1", last_assistant_message="It is done."),
        claude("SessionEnd", session_id=session, reason="logout"),
    ]


IN_ORDER = ["message", "edit", "tool_result", "message", "session_end"]


def test_a_daemon_that_loads_its_detectors_logs_in_order(free_env: dict[str, str], tmp_path: Path) -> None:
    # A cache of its own, in which the detectors' rules (3 s) are not compiled yet; the models are.
    cache = tmp_path / "cache" / "penchant"
    cache.mkdir(parents=True)
    (cache / "onnx").symlink_to(Path(free_env["XDG_CACHE_HOME"]) / "penchant" / "onnx")
    env = {**free_env, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    home = Path(env["PENCHANT_HOME"])
    assert lifecycle.start(home, env=env, timeout_s=30.0)
    for payload in a_session("cold"):
        send(env, payload)
    with Client(home, agent="test", autostart=False) as client:
        wait_for(lambda: client.status().counts.events >= 5)
        assert [event.kind for event in said_in(client, "cold")] == IN_ORDER


def test_a_daemon_that_stands_still_for_a_while_logs_in_order(daemon: Daemon) -> None:
    first, *others = a_session("still")
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        send(daemon.env, first)
        send(daemon.env, others[0])
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    for payload in others[1:]:
        send(daemon.env, payload)
    wait_for(
        lambda: any(each.id == "still" and each.n_events == 5 for each in daemon.client.sessions().sessions)
    )
    assert [event.kind for event in said_in(daemon.client, "still")] == IN_ORDER
    assert not list((daemon.home / "hook-line").iterdir())


def test_who_died_in_line_holds_nobody_up(daemon: Daemon) -> None:
    line = daemon.home / "hook-line"
    line.mkdir(mode=0o700, exist_ok=True)
    left = line / "00000000000000000001-1"
    left.touch(mode=0o600)
    send(daemon.env, claude("Stop", session_id="after-it", last_assistant_message="x"))
    assert said_in(daemon.client, "after-it")[0].content == "x"
    os.utime(left, (1_000_000, 1_000_000))
    send(daemon.env, claude("Stop", session_id="after-it", last_assistant_message="y"))
    assert not left.exists()


def test_events_of_a_daemon_that_cannot_start_wait_in_the_spool(free_env: dict[str, str]) -> None:
    home = Path(free_env["PENCHANT_HOME"])
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text("nonsense = true")
    secret = "hunter2" + "horse"
    send(free_env, claude("UserPromptSubmit", prompt=f'kept, password="{secret}"', prompt_id="p1"))
    wait_for(lambda: n_spooled(free_env) == 1)
    (path,) = (home / "spool").glob("*.json")
    assert secret not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret not in hook_log(free_env)
    (home / "config.toml").unlink()
    assert lifecycle.start(home, env=free_env, timeout_s=30.0)
    with Client(home, agent="test", autostart=False) as client:
        wait_for(lambda: client.status().counts.events == 1)
        assert said_in(client, "s1")[0].content == 'kept, password="[secret:password]"'
    wait_for(lambda: not list((home / "spool").iterdir()))


def test_what_is_spooled_while_the_daemon_runs_is_logged_without_another_hook(daemon: Daemon) -> None:
    call_ = call(claude("Stop", session_id="late", last_assistant_message="too late for the line"))
    hook_delivery.spool(daemon.home, call_.host, call_.events)
    wait_for(lambda: not list((daemon.home / "spool").iterdir()))
    assert [event.content for event in said_in(daemon.client, "late")] == ["too late for the line"]


def test_a_stale_socket_and_an_unwritable_home_do_not_reach_the_assistant(free_env: dict[str, str]) -> None:
    home = Path(free_env["PENCHANT_HOME"])
    home.write_text("a file where the data directory should be")
    # No daemon: the hook's child would start it behind the end of this test.
    asked = json.dumps(claude("UserPromptSubmit", prompt="x")).encode()
    assert run_hook(free_env, asked, "UserPromptSubmit", "--no-start").stdout == b""
    home.unlink()
    home.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(socket_path(home)))
    said = json.dumps(claude("Stop", last_assistant_message="kept for later")).encode()
    run_hook(free_env, said, "Stop", "--no-start")
    spool = home / "spool"
    wait_for(lambda: any("kept for later" in path.read_text() for path in spool.glob("*.json")))


@pytest.fixture
def deaf_daemon(free_env: dict[str, str]) -> Iterator[dict[str, str]]:
    """Something that takes connections on the socket and never answers."""
    home = Path(free_env["PENCHANT_HOME"])
    home.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_path(home)))
        listener.listen(8)
        yield free_env


def test_a_daemon_that_hangs_costs_a_moment_only(deaf_daemon: dict[str, str]) -> None:
    started = time.monotonic()
    run_hook(
        deaf_daemon, json.dumps(claude("Stop", last_assistant_message="x")).encode(), "Stop", "--no-start"
    )
    assert time.monotonic() - started < 3
    started = time.monotonic()
    asked = json.dumps(claude("UserPromptSubmit", prompt="x")).encode()
    run_hook(deaf_daemon, asked, "UserPromptSubmit", "--no-start")
    assert time.monotonic() - started < hook.CONTEXT_TIMEOUT_S + 1.5  # once, whichever way it went
    wait_for(lambda: n_spooled(deaf_daemon) == 2)


def test_the_log_keeps_its_size(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / "hook.log"
    path.write_bytes(b"x" * (hook_delivery.MAX_LOG_BYTES + 1))
    hook_delivery._log(tmp_path, "Stop\x1b[31m\n", "problem")
    assert path.stat().st_size < 1_000
    assert "\x1b" not in path.read_text()
