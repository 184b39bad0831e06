"""Where session files are looked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.daemon.capture.transcript_files import claude_session, write_database, write_json, write_lines

from penchant_daemon.capture.sources import (
    ASSISTANTS,
    default_places,
    named_place,
    overridden_places,
    source_of,
    sources_in,
)
from penchant_daemon.capture.transcripts import BadLine, Progress
from penchant_daemon.capture.transcripts.batches import batches
from penchant_daemon.wire import EventIn, SourceIn

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the editors' folders lie elsewhere")


def _touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")


@linux_only
def test_default_places_hold_the_files_of_each_assistant(tmp_path: Path) -> None:
    expected = {
        "claude-code": [".claude/projects/-srv/a.jsonl", ".claude/projects/-srv/a/subagents/agent-1.jsonl"],
        "codex": [".codex/sessions/2026/01/01/rollout-a.jsonl", ".codex/archived_sessions/rollout-b.jsonl.zst"],
        "cursor": [".cursor/projects/srv/agent-transcripts/c/c.jsonl", ".cursor/projects/srv/agent-transcripts/c/subagents/d.jsonl"],
        "gemini": [".gemini/tmp/h/chats/session-1.json", ".gemini/tmp/h/chats/g1/session-2.jsonl"],
        "copilot": [".copilot/session-state/s/events.jsonl", ".config/Code/User/workspaceStorage/w/chatSessions/v.jsonl"],
    }  # fmt: skip
    for names in expected.values():
        _touch(*(tmp_path / name for name in names))
    _touch(
        tmp_path / ".claude/projects/-srv/a/tool-results/big.jsonl",
        tmp_path / ".claude/projects/-srv/a/subagents/agent-1.meta.json",
        tmp_path / ".codex/history.jsonl",
        tmp_path / ".gemini/tmp/h/logs.json",
        tmp_path / ".copilot/session-state/s/other.jsonl",
    )
    for assistant, names in expected.items():
        places = default_places([assistant], {}, tmp_path)
        found = {str(source.path.relative_to(tmp_path)) for place in places for source in sources_in(place)}
        assert found == set(names)


@linux_only
def test_stores_are_found_by_their_tables(tmp_path: Path) -> None:
    kv = "CREATE TABLE cursorDiskKV (key TEXT, value BLOB)"
    store = write_database(tmp_path / ".config/Cursor/User/globalStorage/state.vscdb", kv)
    threads = write_database(
        tmp_path / ".codex/thread_history_1.sqlite",
        "CREATE TABLE thread_items (thread_id TEXT, item_json TEXT)",
    )
    opened = write_database(
        tmp_path / ".local/share/opencode/opencode.db",
        "CREATE TABLE session_message (session_id TEXT, data TEXT)",
    )
    places = default_places(ASSISTANTS, {}, tmp_path)
    found = {source.path: source.parser for place in places for source in sources_in(place)}
    assert found == {store: "cursor-store", threads: "codex-threads", opened: "opencode"}


def test_environment_moves_the_places(tmp_path: Path) -> None:
    environ = {
        "CLAUDE_CONFIG_DIR": "/x/claude",
        "CODEX_HOME": "/x/codex",
        "COPILOT_HOME": "/x/copilot",
        "OPENCODE_DB": "/x/other.db",
        "XDG_CONFIG_HOME": "/x/config",
        "XDG_DATA_HOME": "/x/data",
    }
    roots = {str(place.root) for place in default_places(ASSISTANTS, environ, tmp_path)}
    assert {"/x/claude/projects", "/x/codex/sessions", "/x/copilot/session-state", "/x/other.db"} <= roots
    assert "/x/data/opencode/storage" in roots
    assert overridden_places(["claude-code"], environ, tmp_path) == [Path("/x/claude/projects")]
    assert overridden_places(ASSISTANTS, {}, tmp_path) == []


def test_folder_that_is_named_is_walked_whole(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "a" / "b" / "log.jsonl", claude_session())
    tree = tmp_path / "storage"
    write_json(tree / "session" / "p" / "s.json", {"id": "s"})
    (tree / "message").mkdir()
    _touch(tmp_path / "node_modules" / "x" / "log.jsonl", tmp_path / "README.md", tmp_path / "data.jsonl")
    found = {source.path: source.parser for source in sources_in(named_place(tmp_path))}
    assert found == {log: "claude-code", tree: "opencode-tree"}


@linux_only
def test_changed_file_leads_to_its_source(tmp_path: Path) -> None:
    place = default_places(["claude-code"], {}, tmp_path)[0]
    log = write_lines(place.root / "-srv" / "a.jsonl", claude_session())
    assert (source := source_of(place, log)) is not None and source.parser == "claude-code"
    assert source_of(place, log.with_suffix(".txt")) is None
    assert source_of(place, place.root / "-srv" / "gone.jsonl") is None
    store = write_database(tmp_path / "state.vscdb", "CREATE TABLE cursorDiskKV (key TEXT, value BLOB)")
    named = named_place(store)
    assert (
        source := source_of(named, store.with_name("state.vscdb-wal"))
    ) is not None and source.path == store
    tree = tmp_path / "storage"
    part = write_json(tree / "part" / "m" / "p.json", {})
    (tree / "message").mkdir()
    (tree / "session").mkdir()
    assert (source := source_of(named_place(tree), part)) is not None and source.path == tree


def _event(n: int, n_chars: int = 10) -> EventIn:
    return EventIn(content="x" * n_chars, source_key=str(n))


def _cursor(offset: int) -> SourceIn:
    return SourceIn(path="/x", assistant="generic", offset=offset)


def test_batches_are_bounded_and_a_cursor_never_covers_a_later_event() -> None:
    items: list[EventIn | BadLine | Progress] = []
    for n in range(1_200):
        items.append(_event(n))
        if n % 100 == 99:
            items.append(Progress(n + 1, _cursor(n + 1), {"thinking": 1}))
    items.append(BadLine("/x", 7, "bad"))
    items.append(Progress(1_200, _cursor(1_200)))
    made = list(batches(items))
    assert [int(event.source_key or "") for batch in made for event in batch.events] == list(range(1_200))
    n_told = 0
    for batch in made:
        n_told += len(batch.events)
        assert len(batch.events) <= 500
        assert batch.source is not None
        assert batch.source.offset <= n_told
    assert made[-1].source is not None and made[-1].source.offset == 1_200
    assert sum(batch.skipped.get("thinking", 0) for batch in made) == 12
    assert [bad.line for batch in made for bad in batch.bad_lines] == [7]


def test_long_events_make_small_batches() -> None:
    items = [_event(n, 400_000) for n in range(5)] + [_event(9, 1_000_000)]
    assert [len(batch.events) for batch in batches(items)] == [2, 2, 1, 1]
    assert list(batches([])) == []
