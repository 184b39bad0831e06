"""Real session files of the assistants, from `../shared/data/transcripts`; skipped where that folder is missing."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.capture.transcript_files import reading

from penchant_daemon.capture.sources import Source, named_place, sources_in


@pytest.fixture(scope="module")
def samples(shared_data: Path) -> Path:
    """The folder of session files."""
    folder = shared_data / "transcripts"
    if not folder.is_dir():
        pytest.skip(f"needs the session files in {folder}, which are not part of the repository")
    return folder


def _sources(samples: Path) -> Iterator[Source]:
    yield from sources_in(named_place(samples))


def test_every_file_is_found_and_has_its_reader(samples: Path) -> None:
    by_folder = {
        (source.path.relative_to(samples).parts[0], source.parser)
        for source in _sources(samples)
        if source.path.parent != samples
    }
    assert by_folder == {
        ("claude", "claude-code"),
        ("claude-code-2025-06", "claude-code"),
        ("codex", "codex"),
        ("copilot", "copilot"),
        ("cursor", "cursor"),
        ("gemini", "gemini"),
        ("opencode", "opencode-tree"),
        ("swe-agent", "swe-agent"),
    }
    found = {source.path for source in _sources(samples)}
    logs = {path for path in samples.rglob("*") if path.suffix in (".jsonl", ".traj")}
    assert logs <= found


def test_every_line_is_read_or_reported(samples: Path) -> None:
    bad: list[tuple[str, int]] = []
    for source in _sources(samples):
        read = reading(source.path, name=source.parser)
        assert read.events, source.path
        assert read.cursor is not None
        bad += [(source.path.name, line.line) for line in read.bad]
    # These four lines are a text, an object without a type, a number and a list.
    assert bad == [("edge_cases.jsonl", number) for number in (13, 14, 15, 16)]


def test_second_read_gives_nothing(samples: Path) -> None:
    for source in _sources(samples):
        first = reading(source.path, name=source.parser)
        assert reading(source.path, first.cursor, name=source.parser).events == [], source.path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-code-2025-06/representative_messages.jsonl", {"user": 4, "assistant": 3, "edit": 1, "tool_call": 1, "tool_result": 2}),
        ("claude-code-2025-06/todowrite_examples.jsonl", {"user": 2, "assistant": 3, "tool_call": 3, "tool_result": 3}),
        ("claude/schema_drift.jsonl", {"user": 1, "assistant": 1, "tool_call": 1, "tool_result": 1}),
        ("codex/schema_drift.jsonl", {"user": 1, "assistant": 1, "tool_call": 1, "tool_result": 1}),
        ("copilot/schema_drift.jsonl", {"assistant": 1, "tool_call": 1, "tool_result": 2}),
        ("copilot/subdir_v1/aaaabbbb-1111-2222-3333-ccccddddeeee/events.jsonl", {"user": 1, "assistant": 1, "tool_call": 1, "tool_result": 1}),
        ("cursor/schema_drift.jsonl", {"user": 1, "assistant": 2, "tool_call": 1, "tool_result": 1}),
        ("cursor/small.jsonl", {"user": 2, "assistant": 2, "tool_call": 1}),
        ("gemini/jsonl_v040.jsonl", {"user": 1, "assistant": 1, "tool_call": 1, "tool_result": 1}),
        ("gemini/schema_drift.json", {"user": 1, "assistant": 1}),
        ("opencode/storage_legacy", {"user": 1, "assistant": 1, "tool_call": 1, "tool_result": 1}),
        ("opencode/storage_v2", {"user": 1, "assistant": 1, "tool_call": 1, "tool_result": 1}),
        ("session_branch.jsonl", {"user": 1, "assistant": 1, "tool_call": 1, "tool_result": 1}),
        ("swe-agent/12-function_calling_simple.traj", {"user": 1, "assistant": 5, "tool_call": 4, "edit": 1, "tool_result": 5}),
    ],
)  # fmt: skip
def test_session_is_cut_into_these_parts(samples: Path, name: str, expected: dict[str, int]) -> None:
    events = reading(samples / name).events
    parts = Counter(e.role if e.kind == "message" else e.kind for e in events if e.kind != "session_start")
    assert dict(parts) == expected


def test_files_that_were_just_copied_are_imported_whole(samples: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copied"
    shutil.copytree(samples, copy, copy_function=shutil.copyfile)  # with the time of the copying
    for source in _sources(samples):
        own = reading(source.path, name=source.parser)
        copied = reading(copy / source.path.relative_to(samples), name=source.parser)
        assert copied.said() == own.said(), source.path


def test_claude_subagent_is_linked_to_its_parent(samples: Path) -> None:
    folder = samples / "claude" / "subagent"
    parent = "0a1b2c3d-4e5f-4061-8071-2a3b4c5d6e7f"
    child = reading(folder / parent / "subagents" / "agent-a0ad4f44468bdf20d.jsonl")
    assert {(e.session, e.parent_session) for e in child.events} == {("agent-a0ad4f44468bdf20d", parent)}
    assert {e.session for e in reading(folder / f"{parent}.jsonl").events} == {parent}


def test_codex_rollout_begins_with_these_events(samples: Path) -> None:
    read = reading(samples / "codex" / "small.jsonl")
    mine = read.said()
    assert mine[:3] == [
        ("message", "user", "List the files"),
        ("tool_call", "assistant", 'shell {"command":["ls"]}'),
        ("tool_call", "assistant", 'shell {"command":["ls"]}'),
    ]
    assert mine.count(("message", "assistant", "Found 2 files.")) == 1
    assert mine.count(("message", "user", "List the files")) == 1
