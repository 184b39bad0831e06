"""No file makes a reader raise: cut anywhere, any byte changed, any value in any place."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.daemon.capture.transcript_files import (
    CODEX_SESSION,
    claude_line,
    claude_session,
    codex_answer,
    codex_line,
    codex_meta,
    codex_prompt,
    reading,
    write_lines,
)

from penchant_daemon.capture.transcripts import PARSERS, BadLine, Progress, ReadContext, detect, read
from penchant_daemon.capture.transcripts.detect import detect as detect_format
from penchant_daemon.capture.transcripts.files import MAX_LINE_BYTES
from penchant_daemon.capture.transcripts.times import utc_iso, uuid7_ms
from penchant_daemon.wire import EventIn

_SAMPLES: dict[str, list[Any]] = {
    "claude-code": claude_session(),
    "codex": [
        codex_meta(CODEX_SESSION, forked_from_id="x"),
        *codex_prompt("Hello", 1),
        codex_line("response_item", {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c"}, 2),
        codex_line("response_item", {"type": "function_call_output", "call_id": "c", "output": "ok"}, 3),
        *codex_answer("Hi.", 4),
        codex_line("event_msg", {"type": "thread_rolled_back", "num_turns": 1}, 5),
    ],
    "cursor": [
        {"role": "user", "message": {"content": [{"type": "text", "text": "<user_query>Hello</user_query>"}]}},
        {"role": "assistant", "message": {"content": [{"type": "tool_use", "name": "ls", "input": {}}]}},
    ],
    "gemini": [
        {"sessionId": "g1", "projectHash": "h", "startTime": "2026-04-29T21:39:22.319Z"},
        {"id": "u1", "type": "user", "content": [{"text": "Hello"}]},
        {"id": "a1", "type": "gemini", "content": "Hi.", "toolCalls": [{"id": "t", "name": "ls", "args": {}, "status": "success", "result": [{"functionResponse": {"response": {"output": "x"}}}]}]},
        {"$set": {"summary": "s", "messages": []}},
        {"$rewindTo": "a1"},
    ],
    "copilot": [
        {"type": "session.start", "data": {"sessionId": "s1", "context": {"cwd": "/srv"}}, "id": "e1"},
        {"type": "assistant.message", "data": {"content": "Hi.", "toolRequests": [{"toolCallId": "t", "name": "ls", "arguments": {}}]}, "id": "e2"},
        {"type": "tool.execution_complete", "data": {"toolCallId": "t", "result": {"content": "x"}}, "id": "e3"},
    ],
    "vscode": [
        {"kind": 0, "v": {"sessionId": "v1", "requests": []}},
        {"kind": 2, "k": ["requests"], "v": [{"requestId": "r", "message": {"text": "Hello"}, "response": [{"value": "Hi."}], "result": {}}]},
        {"kind": 1, "k": ["requests", 0, "message", "text"], "v": "Hello there"},
    ],
    "generic": [
        {"role": "user", "content": "Hello", "timestamp": "2025-09-10T12:00:00Z"},
        {"type": "tool_call", "function": {"name": "ls"}, "arguments": "{}"},
        {"type": "tool_result", "name": "ls", "result": "x"},
        {"role": "assistant", "content": "Hi."},
    ],
}  # fmt: skip
_DOCUMENTS: dict[str, Any] = {
    "gemini": {"sessionId": "g1", "projectHash": "h", "messages": _SAMPLES["gemini"][1:3]},
    "vscode": {"sessionId": "v1", "requests": [_SAMPLES["vscode"][1]["v"][0]]},
    "swe-agent": {"history": [{"role": "user", "content": "Fix"}, {"role": "assistant", "content": "ok", "action": "ls", "tool_calls": [{"function": {"name": "x"}}]}], "trajectory": [{"response": "ok"}]},
}  # fmt: skip

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=8)
    | st.sampled_from(
        ["user", "assistant", "text", "tool_use", "function_call", "\ud83d", "\0", "2026-01-01T00:00:00Z"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@contextmanager
def _file(name: str, data: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def _lines(records: list[Any]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode("utf-8", "surrogatepass")


def _read_all(path: Path, name: str) -> list[EventIn]:
    events: list[EventIn] = []
    for item in read(path, None, ReadContext(), name):
        if isinstance(item, EventIn):
            events.append(item)
        else:
            assert isinstance(item, BadLine | Progress)
    detect(path)
    return events


def _paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value inside a JSON value."""
    yield here
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in pairs:
        yield from _paths(inner, (*here, step))


def _with(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = _with(value[place[0]], place[1:], new)
    return copy


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(_SAMPLES)), st.data())
def test_log_that_is_cut_anywhere_gives_a_prefix_and_goes_on(name: str, data: st.DataObject) -> None:
    whole = _lines(_SAMPLES[name])
    at = data.draw(st.integers(0, len(whole)))
    with _file("log.jsonl", whole) as path:
        all_keys = [(event.session, event.source_key) for event in _read_all(path, name)]
    with _file("log.jsonl", whole[:at]) as path:
        first = reading(path, name=name)
        path.write_bytes(whole)
        second = reading(path, first.cursor, name=name)
    told = {*first.marks(), *second.marks()}
    if name not in ("gemini", "vscode", "codex"):  # these can take back what they said
        assert told == set(all_keys)
    assert set(all_keys) <= told


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(_SAMPLES)), st.data())
def test_any_bytes_in_a_log_are_survived(name: str, data: st.DataObject) -> None:
    whole = bytearray(_lines(_SAMPLES[name]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    with _file("log.jsonl", bytes(whole)) as path:
        _read_all(path, name)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(_SAMPLES)), st.data())
def test_any_value_in_any_place_of_a_line_is_survived(name: str, data: st.DataObject) -> None:
    records = _SAMPLES[name]
    place = data.draw(st.sampled_from(list(_paths(records))[1:]))
    with _file("log.jsonl", _lines(_with(records, place, data.draw(_VALUES)))) as path:
        _read_all(path, name)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(_DOCUMENTS)), st.data())
def test_any_value_in_any_place_of_a_document_is_survived(name: str, data: st.DataObject) -> None:
    document = _DOCUMENTS[name]
    place = data.draw(st.sampled_from(list(_paths(document))))
    text = json.dumps(_with(document, place, data.draw(_VALUES))).encode("utf-8", "surrogatepass")
    at = data.draw(st.integers(0, len(text)) | st.just(len(text)))
    with _file("run.traj" if name == "swe-agent" else "chat.json", text[:at]) as path:
        _read_all(path, name)


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_empty_missing_and_foreign_files_are_survived(name: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    assert not reading(empty, name=name).events
    missing = reading(tmp_path / "none.jsonl", name=name)
    assert [bad.line for bad in missing.bad] in ([0], [])
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_bytes(bytes(range(256)) * 40)
    assert not reading(foreign, name=name).events


def test_deep_nesting_and_huge_numbers_are_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    deep = '{"role":"user","content":' + "[" * 100_000 + "]" * 100_000 + "}"
    number = '{"role":"user","content":"x","n":' + "9" * 5_000 + "}"
    path.write_text(f'{{"role":"user","content":"Hello"}}\n{deep}\n{number}\n')
    read_ = reading(path)
    assert read_.messages() == [("user", "Hello")]
    assert [bad.line for bad in read_.bad] == [2, 3]


def test_line_beyond_the_limit_is_skipped_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_LINE_BYTES == 64 * 1024 * 1024
    monkeypatch.setattr("penchant_daemon.capture.transcripts.files.MAX_LINE_BYTES", 4_000)
    lines = [claude_line("user", f"u-{n}", text) for n, text in enumerate(("Hello", "x" * 20_000, "Bye"))]
    path = write_lines(tmp_path / "log.jsonl", lines)
    read_ = reading(path)
    assert read_.messages() == [("user", "Hello"), ("user", "Bye")]
    assert [bad.line for bad in read_.bad] == [2]
    assert reading(path, read_.cursor).events == []


def test_file_that_is_no_transcript_is_not_taken_for_one(tmp_path: Path) -> None:
    for name, text in (
        ("data.jsonl", '{"id": 1, "label": "cat"}\n'),
        ("package.json", '{"name": "x"}'),
        ("notes.md", "# user"),
        ("list.json", "[1, 2]"),
        ("history.jsonl", '{"role": "user", "content": "x"}\n'),
    ):
        (tmp_path / name).write_text(text)
        assert detect_format(tmp_path / name) is None, name
    assert detect_format(tmp_path) is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-23T10:00:00.123Z", "2026-11-23T10:00:00.123Z"),
        ("2026-11-23T10:00:00+02:00", "2026-11-23T08:00:00.000Z"),
        ("2026-11-23 10:00:00", "2026-11-23T10:00:00.000Z"),
        ("2026-02-30T10:00:00.000Z", None),
        (1_763_892_000, "2025-11-23T10:00:00.000Z"),
        (1_763_892_000_123, "2025-11-23T10:00:00.123Z"),
        (1_763_892_000_123_456, "2025-11-23T10:00:00.123Z"),
        ("1763892000", "2025-11-23T10:00:00.000Z"),
        ("[trimmed]", None),
        ("0001-01-01T00:00:00+23:59", None),
        (float("nan"), None),
        (-5, None),
        (10**30, None),
        (True, None),
        (None, None),
        ([1], None),
    ],
)
def test_times_of_every_kind_become_utc(written: Any, expected: str | None) -> None:
    assert utc_iso(written) == expected


@given(_VALUES)
def test_no_value_breaks_the_reading_of_times(value: Any) -> None:
    result = utc_iso(value)
    assert result is None or len(result) == 24


def test_time_inside_a_version_7_uuid() -> None:
    assert uuid7_ms("019fc8be-3658-7ca3-9e29-000000000000") == 0x019FC8BE3658
    assert uuid7_ms("5f0c1b52-7f1d-4d5e-9d66-0d5f6e3b9a01") is None
    assert uuid7_ms("zzzzzzzz-zzzz-7zzz-zzzz-zzzzzzzzzzzz") is None
