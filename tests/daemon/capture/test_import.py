"""`penchant import` through the command line: places, counts, repairs, exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from sqlcipher3 import dbapi2 as sqlite
from tests.daemon.capture.transcript_files import (
    CODEX_SESSION,
    append_lines,
    claude_line,
    codex_answer,
    codex_meta,
    codex_prompt,
    codex_rollout,
    write_lines,
)
from tests.daemon.conftest import Daemon, run_penchant


def _import(daemon: Daemon, *arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return run_penchant({**daemon.env, **environ}, "import", *map(str, arguments))


def _session(daemon: Daemon, name: str) -> list[tuple[str, str]]:
    return [
        (event.role, event.content) for event in daemon.client.session(name).events if event.kind == "message"
    ]


def test_default_places_are_found_through_home_and_environment(daemon: Daemon, tmp_path: Path) -> None:
    home = Path(daemon.env["HOME"])
    write_lines(
        home / ".claude/projects/-srv/h-1.jsonl", [claude_line("user", "u1", "At home", sessionId="h-1")]
    )
    write_lines(
        tmp_path / "projects/-srv/h-2.jsonl", [claude_line("user", "u2", "Elsewhere", sessionId="h-2")]
    )
    rollout = [codex_meta(CODEX_SESSION), *codex_prompt("Hello", 1), *codex_answer("Hi.", 2)]
    write_lines(codex_rollout(home / ".codex"), rollout)
    done = _import(daemon, "--claude-code", "--codex")
    assert done.returncode == 0, done.stderr
    assert "2 sessions, 3 messages" in done.stdout
    assert _session(daemon, "h-1") == [("user", "At home")]
    assert _session(daemon, CODEX_SESSION) == [("user", "Hello"), ("assistant", "Hi.")]
    moved = _import(daemon, "--claude-code", CLAUDE_CONFIG_DIR=str(tmp_path))
    assert "1 session, 1 message" in moved.stdout
    assert _session(daemon, "h-2") == [("user", "Elsewhere")]


def test_assistant_without_sessions_is_named(daemon: Daemon, tmp_path: Path) -> None:
    done = _import(daemon, "--gemini", HOME=str(tmp_path))
    assert done.returncode == 1
    assert f"gemini: no sessions found in {tmp_path}/.gemini/tmp" in done.stderr


def test_nothing_named_and_nothing_found_are_told_apart(daemon: Daemon, tmp_path: Path) -> None:
    nothing = _import(daemon)
    assert nothing.returncode == 2
    assert "--claude-code" in nothing.stderr
    (tmp_path / "notes.md").write_text("# Notes")
    folder = _import(daemon, tmp_path)
    assert folder.returncode == 1
    assert "no session file of an assistant that is known" in folder.stderr


def test_unreadable_path_is_an_error_of_the_user(daemon: Daemon, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [claude_line("user", "u1", "Hello")])
    folder = tmp_path / "closed"
    folder.mkdir()
    for closed in (path, folder):
        closed.chmod(0)
        done = run_penchant(daemon.env, "import", str(closed), is_common_user=True)
        closed.chmod(0o700)
        assert done.returncode == 2
        assert f"{closed}: permission denied" in done.stderr
        assert "Traceback" not in done.stderr


def test_unreadable_file_in_a_folder_is_reported_and_the_rest_is_read(daemon: Daemon, tmp_path: Path) -> None:
    for name in ("p-1", "p-2"):
        write_lines(tmp_path / f"{name}.jsonl", [claude_line("user", name, f"I am {name}", sessionId=name)])
    (tmp_path / "p-1.jsonl").chmod(0)
    (tmp_path / "p-3.jsonl").mkdir()  # a folder that is called like a session file
    done = run_penchant(daemon.env, "import", str(tmp_path), is_common_user=True)
    assert done.returncode == 0, done.stderr
    assert "1 session, 1 message" in done.stdout
    assert _session(daemon, "p-2") == [("user", "I am p-2")]
    named = run_penchant(daemon.env, "import", str(tmp_path / "p-3.jsonl"), is_common_user=True)
    assert named.returncode == 1
    assert "no session file of an assistant that is known" in named.stderr


def test_truncated_document_alone_is_reported_and_fails(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "session-1.json"
    path.write_text('{"sessionId": "g1", "projectHash": "h", "messages": [{"id": "u1", "type": "us')
    done = _import(daemon, path)
    assert done.returncode == 1
    assert f"{path}:1: not JSON" in done.stderr
    assert "1 unfinished file" in done.stdout


def test_file_whose_name_cannot_be_kept_is_reported_and_the_rest_is_read(
    daemon: Daemon, tmp_path: Path
) -> None:
    write_lines(tmp_path / "a.jsonl", [claude_line("user", "n1", "Read", sessionId="n-1")])
    for name in (b"b\nc.jsonl", b"\xff.jsonl"):
        shutil.copyfile(tmp_path / "a.jsonl", os.fsencode(tmp_path) + b"/" + name)
    done = _import(daemon, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("rename it") == 2
    assert "2 bad lines" in done.stdout
    assert _session(daemon, "n-1") == [("user", "Read")]


def test_time_in_the_future_is_replaced_and_its_event_kept(daemon: Daemon, tmp_path: Path) -> None:
    records = [
        claude_line("user", "u1", "Before", sessionId="f-1"),
        claude_line(
            "user", "u2", "From the year 2999", sessionId="f-1", timestamp="2999-01-01T00:00:00.000Z"
        ),
        claude_line("user", "u3", "After", 9, sessionId="f-1"),
    ]
    done = _import(daemon, write_lines(tmp_path / "f-1.jsonl", records))
    assert done.returncode == 0
    assert "kept with the time of the import" in done.stderr
    assert [content for _, content in _session(daemon, "f-1")] == ["Before", "From the year 2999", "After"]


def test_long_output_is_cut_and_the_summary_says_so(daemon: Daemon, tmp_path: Path) -> None:
    content = [{"type": "tool_result", "tool_use_id": "t1", "content": "line\n" * 300_000}]
    path = write_lines(tmp_path / "l-1.jsonl", [claude_line("user", "u1", content, sessionId="l-1")])
    done = _import(daemon, path)
    assert done.returncode == 0, done.stderr
    assert "1 output longer than 1,000,000 characters cut" in done.stdout
    result = daemon.client.session("l-1").events[-1]
    assert result.content.rstrip().endswith("more characters were left out here]")


def test_secrets_are_masked_and_counted(daemon: Daemon, tmp_path: Path) -> None:
    key = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
    path = write_lines(
        tmp_path / "k.jsonl", [claude_line("user", "u1", f"the token is {key}", sessionId="k-1")]
    )
    done = _import(daemon, path)
    assert "1 secret masked" in done.stdout
    assert key not in json.dumps(_session(daemon, "k-1"))


def test_many_events_keep_their_order_and_their_number(daemon: Daemon, tmp_path: Path) -> None:
    lines = [claude_line("user", f"u{n}", f"message number {n}", sessionId="m-1") for n in range(1_700)]
    path = write_lines(tmp_path / "m-1.jsonl", lines)
    assert "imported 1,701 events from 1 file" in _import(daemon, path).stdout
    append_lines(path, [claude_line("user", "late", "one more", sessionId="m-1")])
    assert "imported 1 event from 1 file" in _import(daemon, path).stdout
    events = daemon.client.session("m-1", limit=1_000).events
    messages = [event.content for event in events if event.kind == "message"]
    assert messages == [f"message number {n}" for n in range(len(messages))]


def test_title_of_the_host_is_the_sessions(daemon: Daemon, tmp_path: Path) -> None:
    title = {"type": "custom-title", "sessionId": "t-1", "customTitle": "Cart rounding"}
    path = write_lines(
        tmp_path / "t-1.jsonl", [claude_line("user", "u1", "Round it", sessionId="t-1"), title]
    )
    _import(daemon, path)
    session = daemon.client.session("t-1").session
    assert (session.title, session.title_source) == ("Cart rounding", "host")


def test_store_that_is_in_use_is_read_and_left_as_it_was(daemon: Daemon, tmp_path: Path) -> None:
    store = tmp_path / "state.vscdb"
    host = sqlite.connect(str(store))
    host.execute("PRAGMA journal_mode = WAL")
    host.execute("CREATE TABLE cursorDiskKV (key TEXT PRIMARY KEY, value BLOB)")
    composer = {"fullConversationHeadersOnly": [{"bubbleId": "b1", "type": 1}], "status": "completed"}
    host.execute("INSERT INTO cursorDiskKV VALUES ('composerData:w-1', ?)", (json.dumps(composer),))
    host.execute(
        "INSERT INTO cursorDiskKV VALUES ('bubbleId:w-1:b1', ?)", (json.dumps({"type": 1, "text": "Hello"}),)
    )
    host.commit()
    host.execute("BEGIN IMMEDIATE")  # its host is writing just now
    before = store.read_bytes()
    assert _import(daemon, store).returncode == 0
    assert _session(daemon, "w-1") == [("user", "Hello")]
    host.rollback()
    assert store.read_bytes() == before
    host.close()


def test_daemon_that_cannot_be_reached_is_an_error(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [claude_line("user", "u1", "Hello")])
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the data directory should be")
    done = run_penchant({**os.environ, "PENCHANT_HOME": str(blocked)}, "import", str(path))
    assert done.returncode == 2
    assert "penchant:" in done.stderr
