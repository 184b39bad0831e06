"""`penchant import` and `penchant watch`, through the command line and a real daemon."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest
from tests.daemon.conftest import Daemon

from penchant_daemon.service import COUNTS_AGE_S

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"


def counts(daemon: Daemon) -> tuple[int, int]:
    """How many events and sessions are stored now."""
    threading.Event().wait(COUNTS_AGE_S)  # what was counted before is forgotten then
    status = json.loads(daemon.penchant("status", "--json").stdout)
    return status["counts"]["events"], status["counts"]["sessions"]


def imported(daemon: Daemon, *paths: Path) -> subprocess.CompletedProcess[str]:
    """Run the import, which must succeed."""
    done = daemon.penchant("import", *map(str, paths))
    assert done.returncode == 0, done.stderr
    return done


def until(daemon: Daemon, query: str, words: str) -> None:
    """Return once a recall finds some words, at most after 20 seconds."""
    tick = threading.Event()
    for _ in range(100):
        if words in daemon.penchant("recall", query, "--json").stdout:
            return
        tick.wait(0.2)
    pytest.fail(f"{words!r} was never found")


def test_a_second_import_adds_nothing_and_a_grown_file_its_tail(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    whole = (EXAMPLES / "orion-monday.jsonl").read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:9]))
    imported(daemon, path)
    after_first = counts(daemon)
    imported(daemon, path)
    assert counts(daemon) == after_first
    path.write_bytes(b"".join(whole))
    done = imported(daemon, path)
    assert f"imported {len(whole) - 9} events" in done.stdout
    assert counts(daemon) == (after_first[0] + len(whole) - 9, after_first[1])
    assert "1 secret masked" in done.stdout
    copy = tmp_path / "copy.jsonl"
    shutil.copy(path, copy)
    imported(daemon, copy)
    assert counts(daemon)[0] == after_first[0] + len(whole) - 9, "a copied file holds nothing new"


def test_what_an_import_stored_is_recalled(daemon: Daemon) -> None:
    imported(daemon, EXAMPLES)
    until(daemon, "why was redis rejected", "We decided against Redis")
    found = json.loads(daemon.penchant("recall", "staging database password", "--json").stdout)
    text = json.dumps(found)
    assert "[secret:password]" in text
    assert "tr0ub4dor" not in text


def test_a_path_that_is_not_there_is_an_error_of_the_user(daemon: Daemon, tmp_path: Path) -> None:
    done = daemon.penchant("import", str(tmp_path / "nothing.jsonl"))
    assert done.returncode == 2
    assert "nothing.jsonl" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_of_only_bad_lines_fails_and_says_where(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"type": "user", "uuid": "u1", "sessionId": "s1", "message": {"role": "user"\n[1]\n')
    done = daemon.penchant("import", str(path))
    assert done.returncode != 0
    assert "bad.jsonl" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_subagent_is_linked_to_the_session_that_started_it(daemon: Daemon, tmp_path: Path) -> None:
    parent = "11111111-2222-4333-8444-555555555555"

    def line(text: str, uuid: str, **more: object) -> str:
        record = {
            "type": "user", "sessionId": parent, "uuid": uuid, "cwd": "/home/sam/orion", "version": "2.1.317",
            "timestamp": "2026-11-19T10:00:00.000Z", "message": {"role": "user", "content": text}, **more,
        }  # fmt: skip
        return json.dumps(record) + "\n"

    (tmp_path / f"{parent}.jsonl").write_text(line("Look for dead code", "aa-1"))
    folder = tmp_path / parent / "subagents"
    folder.mkdir(parents=True)
    (folder / "agent-77.jsonl").write_text(line("Search src", "bb-1", isSidechain=True, agentId="77"))
    imported(daemon, tmp_path)
    sessions = json.loads(daemon.penchant("sessions", "--json", "-n", "50").stdout)["sessions"]
    assert [s["parent"] for s in sessions if s["id"] == "agent-77"] == [parent]


def test_cursor_and_opencode_stores_are_read_without_being_written(daemon: Daemon, tmp_path: Path) -> None:
    store = tmp_path / "globalStorage" / "state.vscdb"
    store.parent.mkdir()
    base = sqlite3.connect(store)
    base.execute("CREATE TABLE cursorDiskKV (key TEXT PRIMARY KEY, value BLOB)")
    rows = {
        "composerData:c1": {
            "name": "Colours", "createdAt": 1_763_600_000_000,
            "fullConversationHeadersOnly": [{"bubbleId": "b1", "type": 1}, {"bubbleId": "b2", "type": 2}],
        },
        "bubbleId:c1:b1": {"type": 1, "text": "Which blue does the logo have?"},
        "bubbleId:c1:b2": {"type": 2, "text": "The logo is ultramarine."},
    }  # fmt: skip
    base.executemany("INSERT INTO cursorDiskKV VALUES (?, ?)", [(k, json.dumps(v)) for k, v in rows.items()])
    base.commit()
    base.close()
    opened = tmp_path / "opencode.db"
    base = sqlite3.connect(opened)
    base.executescript(
        "CREATE TABLE session (id TEXT, parent_id TEXT, directory TEXT, title TEXT, time_created INT,"
        " time_updated INT);"
        "CREATE TABLE message (id TEXT, session_id TEXT, data TEXT, time_created INT);"
        "CREATE TABLE part (id TEXT, message_id TEXT, session_id TEXT, data TEXT, time_created INT);"
        "INSERT INTO session VALUES ('o1', NULL, '/home/sam/orion', 'Trains', 1763600000000, 1763600000000);"
        "INSERT INTO message VALUES ('m1', 'o1', '{\"role\":\"user\"}', 1763600000000);"
        "INSERT INTO part VALUES ('p1', 'm1', 'o1',"
        ' \'{"type":"text","text":"The night train is cancelled"}\', 1);'
    )
    base.close()
    before = store.read_bytes(), opened.read_bytes()
    imported(daemon, store, opened)
    assert (store.read_bytes(), opened.read_bytes()) == before
    until(daemon, "which blue is the logo", "ultramarine")
    until(daemon, "night train", "cancelled")


def test_a_watched_folder_flows_in_while_it_is_written(daemon: Daemon, tmp_path: Path) -> None:
    folder = tmp_path / "live"
    folder.mkdir()
    done = daemon.penchant("watch", str(folder))
    assert done.returncode == 0, done.stderr
    whole = (EXAMPLES / "orion-wednesday.jsonl").read_text()
    text = whole.replace("a1d3c8b4-77e2-4f0d-8f53-6b1f9e20c7d2", "live-session").replace("Redis", "Memcached")
    text = text.replace('"uuid": "', '"uuid": "live-')
    half = text.index("\n", len(text) // 2) + 30  # in the middle of a line
    path = folder / "live-session.jsonl"
    path.write_text(text[:half])
    until(daemon, "how long does the nightly report take", "live-session")
    with path.open("a") as file:
        file.write(text[half:])
    until(daemon, "why was Memcached rejected", "We decided against Memcached")
    assert daemon.penchant("watch", "--off").returncode == 0
