"""Session files of assistants are read whole: each line becomes events or is reported, whatever is in it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant_daemon.capture.transcripts import BadLine, Progress, ReadContext, detect, read
from penchant_daemon.wire import EventIn, SourceIn

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.jsonl"))
SHARED = ROOT.parent / "shared" / "data" / "transcripts"
MONDAY = ROOT / "examples" / "orion-monday.jsonl"


def events_of(
    path: Path, cursor: SourceIn | None = None
) -> tuple[list[EventIn], list[BadLine], SourceIn | None]:
    """What one file holds, its bad lines, and the last cursor."""
    events: list[EventIn] = []
    bad: list[BadLine] = []
    last = cursor
    for item in read(path, cursor, ReadContext()):
        if isinstance(item, BadLine):
            bad.append(item)
        elif isinstance(item, Progress):
            last = item.source or last
        else:
            events.append(item)
    return events, bad, last


def lines(path: Path, *records: object) -> Path:
    """A JSONL file of these records."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def codex(path: Path, *extra: object) -> Path:
    """A short rollout of Codex, with what the host puts in and the doubled records that it writes."""

    def line(kind: str, **payload: object) -> dict[str, object]:
        return {"timestamp": "2026-11-20T08:00:00.000Z", "type": kind, "payload": payload}

    return lines(
        path,
        line("session_meta", id="c0ffee00-0000-4000-8000-000000000001", cwd="/home/sam/orion", source="cli"),
        line("response_item", type="message", role="user", content=[
            {"type": "input_text", "text": "<environment_context>linux</environment_context>"}]),
        line("event_msg", type="user_message", message="Rename the flag to --quiet"),
        line("response_item", type="message", role="user", content=[
            {"type": "input_text", "text": "Rename the flag to --quiet"}]),
        line("response_item", type="function_call", name="shell", arguments='{"command":["rg"]}', call_id="k1"),
        line("response_item", type="function_call_output", call_id="k1", output="cli.py:3"),
        line("response_item", type="message", role="assistant", content=[{"type": "output_text", "text": "Renamed."}]),
        *extra,
    )  # fmt: skip


def test_a_claude_code_session_is_cut_into_its_parts() -> None:
    events, bad, _ = events_of(MONDAY)
    assert bad == []
    assert {event.session for event in events if event.kind != "session_start"} == {
        "5f6c1d7e-3b0a-4c55-9f8e-2a7d41b6c901"
    }
    kinds = [event.kind for event in events if event.kind != "session_start"]
    assert [kinds.count(kind) for kind in ("message", "tool_call", "edit", "tool_result")] == [11, 2, 1, 3]
    said = [event.content for event in events if event.kind == "message" and event.role == "user"]
    assert said[2] == "Use pytest, not unittest. And keep tests next to what they test, in tests/importer."
    assert all(event.origin in (None, event.role) or event.role == "tool" for event in events)
    assert {event.agent for event in events} == {"claude-code"}


def test_a_codex_rollout_says_each_thing_once_and_leaves_out_what_the_host_added(tmp_path: Path) -> None:
    events, bad, _ = events_of(codex(tmp_path / "rollout-2026-11-20T08-00-00-c0ffee00.jsonl"))
    assert bad == []
    messages = [(event.role, event.content) for event in events if event.kind == "message"]
    assert messages == [("user", "Rename the flag to --quiet"), ("assistant", "Renamed.")]
    assert [event.kind for event in events if event.role == "tool" or event.kind == "tool_call"] == [
        "tool_call",
        "tool_result",
    ]


def test_a_packed_rollout_reads_as_the_plain_one(tmp_path: Path) -> None:
    plain = codex(tmp_path / "rollout-2026-11-20T08-00-00-c0ffee00.jsonl")
    packed = tmp_path / "rollout-2026-11-20T09-00-00-c0ffee00.jsonl.zst"
    packed.write_bytes(zstandard.ZstdCompressor().compress(plain.read_bytes()))
    assert [event.content for event in events_of(packed)[0]] == [
        event.content for event in events_of(plain)[0]
    ]


def test_a_bad_line_is_reported_with_its_number_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    whole = MONDAY.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:4]) + b'{"type": "user", "message": \n[1, 2]\n' + b"".join(whole[4:]))
    events, bad, _ = events_of(path)
    assert [(line.path, line.line, line.outcome) for line in bad] == [
        (str(path), 5, "skipped"),
        (str(path), 6, "skipped"),
    ]
    assert all(line.reason for line in bad)
    assert [event.content for event in events] == [event.content for event in events_of(MONDAY)[0]]


def test_bytes_that_are_no_text_are_replaced_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "bytes.jsonl"
    path.write_bytes(MONDAY.read_bytes().replace(b"Good morning", b"Good \xff\xfe morning\\u0000", 1))
    events, bad, _ = events_of(path)
    assert len(events) == len(events_of(MONDAY)[0])
    assert [line.outcome for line in bad] == ["kept"]


def test_a_line_still_being_written_waits_for_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "live.jsonl"
    data = MONDAY.read_bytes()
    cut = data.index(b"\n", len(data) // 2) + 40
    path.write_bytes(data[:cut])
    first, bad, cursor = events_of(path)
    assert [line.outcome for line in bad] in ([], ["left"])
    path.write_bytes(data)
    rest, bad, _ = events_of(path, cursor)
    assert bad == []
    keys = [event.source_key for event in first + rest if event.kind != "session_start"]
    assert keys == [event.source_key for event in events_of(MONDAY)[0] if event.kind != "session_start"]


def test_of_what_cursor_wrote_anew_only_the_new_is_read(tmp_path: Path) -> None:
    path = tmp_path / "agent-transcripts" / "chat-1" / "chat-1.jsonl"
    path.parent.mkdir(parents=True)

    def turn(role: str, text: str) -> dict[str, object]:
        return {"role": role, "message": {"content": [{"type": "text", "text": text}]}}

    asked = turn("user", "<timestamp>now</timestamp><user_query>Sort the imports</user_query>")
    lines(path, asked, turn("assistant", "Sorted."))
    assert detect(path) == "cursor"
    first, _, cursor = events_of(path)
    lines(path, turn("assistant", "Resumed."), asked, turn("assistant", "Sorted."), turn("user", "Thanks"))
    second, _, _ = events_of(path, cursor)
    assert [event.content for event in first if event.kind == "message"] == ["Sort the imports", "Sorted."]
    assert [event.content for event in second if event.kind == "message"] == ["Resumed.", "Thanks"]


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, len(MONDAY.read_bytes())), junk=st.binary(max_size=20))
def test_no_truncation_and_no_junk_stops_a_reader(cut: int, junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut.jsonl"
        path.write_bytes(MONDAY.read_bytes()[:cut] + junk)
        events, bad, _ = events_of(path)
        assert len(events) <= 20
        assert all(line.reason for line in bad)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the sample files in ../shared/data/transcripts are not here")
def test_every_line_of_the_sample_files_is_read_or_reported() -> None:
    seen = 0
    for path in sorted(p for p in SHARED.rglob("*") if p.suffix in (".jsonl", ".traj")):
        events, bad, _ = events_of(path)
        assert events or bad, path
        assert all(line.line >= 0 and line.reason for line in bad)
        seen += 1
    assert seen > 20
