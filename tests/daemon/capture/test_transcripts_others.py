"""Gemini CLI, opencode, SWE-agent and plain logs."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from tests.daemon.capture.transcript_files import (
    append_lines,
    change_database,
    reading,
    write_database,
    write_json,
    write_lines,
)

from penchant_daemon.capture.transcripts import ReadContext, detect

# -- Gemini CLI


def _chats(tmp_path: Path) -> Path:
    folder = tmp_path / ".gemini" / "tmp" / "shop" / "chats"
    folder.mkdir(parents=True)
    (folder.parent / ".project_root").write_text("/srv/shop\n")
    return folder


def _call(status: str, result: object = None) -> dict[str, object]:
    return {"id": "t1", "name": "replace", "args": {"file_path": "a.py"}, "status": status, "result": result}


_OK = [{"functionResponse": {"id": "t1", "name": "replace", "response": {"output": "changed"}}}]


def test_gemini_output_in_progress_waits_when_followed_and_is_imported_as_it_stands(tmp_path: Path) -> None:
    def chat(status: str, output: str) -> list[dict[str, object]]:
        result = [{"functionResponse": {"id": "t1", "name": "replace", "response": {"output": output}}}]
        answer: dict[str, object] = {
            "id": "a1",
            "type": "gemini",
            "content": "Running.",
            "toolCalls": [_call(status, result)],
        }
        return [{"sessionId": "g1", "projectHash": "h"}, answer]

    path = write_lines(_chats(tmp_path) / "session-1.jsonl", chat("executing", "half"))
    followed = ReadContext(is_followed=True)
    waiting, imported = reading(path, None, followed), reading(path)
    assert [e.content for e in waiting.events if e.kind == "tool_result"] == []
    assert [e.content for e in imported.events if e.kind == "tool_result"] == ["half"]
    write_lines(path, chat("success", "whole"))
    for read in (reading(path, waiting.cursor, followed), reading(path, imported.cursor)):
        assert [(e.content, e.source_key) for e in read.events] == [("whole", "result:t1")]


def test_gemini_log_is_replayed(tmp_path: Path) -> None:
    header = {"sessionId": "g1", "projectHash": "h", "startTime": "2026-04-29T21:39:22.319Z", "kind": "main"}
    path = write_lines(
        _chats(tmp_path) / "session-1.jsonl",
        [
            header,
            {
                "id": "u1",
                "type": "user",
                "content": [{"text": "Rename it\n--- Content from referenced files ---\nbig"}],
            },
            {
                "id": "a1",
                "type": "gemini",
                "content": "",
                "toolCalls": [_call("executing")],
                "thoughts": [{}],
            },
            {
                "id": "a1",
                "type": "gemini",
                "content": "Renaming.",
                "toolCalls": [_call("success", _OK)],
                "thoughts": [{}],
            },
            {"id": "u2", "type": "user", "content": "And the file"},
            {"id": "a2", "type": "gemini", "content": "Oops."},
            {"$rewindTo": "u2"},
            {"id": "u3", "type": "user", "content": "Leave the file"},
            {
                "$set": {
                    "messages": [
                        {"id": "c1", "type": "user", "content": "<state_snapshot>short</state_snapshot>"}
                    ]
                }
            },
            {"$set": {"summary": "Renaming a thing"}},
            {"id": "i1", "type": "info", "content": "update available"},
            {"what": 1},
        ],
    )
    read = reading(path)
    assert read.said() == [
        ("message", "user", "Rename it"),
        ("message", "assistant", "Renaming."),
        ("edit", "assistant", 'replace {"file_path":"a.py"}'),
        ("tool_result", "tool", "changed"),
        ("message", "user", "Leave the file"),
        ("compaction", "system", "<state_snapshot>short</state_snapshot>"),
    ]
    assert read.titles() == ["Renaming a thing"]
    assert [bad.line for bad in read.bad] == [12]
    assert {(event.session, event.project) for event in read.events} == {("g1", "/srv/shop")}


def test_gemini_message_that_is_completed_later_adds_only_its_rest(tmp_path: Path) -> None:
    path = write_lines(
        _chats(tmp_path) / "session-1.jsonl",
        [
            {"sessionId": "g1", "projectHash": "h"},
            {"id": "u1", "type": "user", "content": "Rename it"},
            {"id": "a1", "type": "gemini", "content": "Renaming.", "toolCalls": [_call("executing")]},
        ],
    )
    first = reading(path)
    append_lines(
        path, [{"id": "a1", "type": "gemini", "content": "Renaming.", "toolCalls": [_call("success", _OK)]}]
    )
    assert reading(path, first.cursor).said() == [("tool_result", "tool", "changed")]


def test_gemini_document_and_subagent(tmp_path: Path) -> None:
    folder = _chats(tmp_path)
    whole = {
        "sessionId": "g1",
        "projectHash": "h",
        "messages": [
            {"id": "u1", "type": "user", "content": "Hello"},
            {"id": "a1", "type": "gemini", "content": [{"text": "Hi."}]},
        ],
    }
    assert reading(write_json(folder / "session-1.json", whole)).messages() == [
        ("user", "Hello"),
        ("assistant", "Hi."),
    ]
    child = reading(write_json(folder / "g1" / "session-2.json", {**whole, "sessionId": "g2"}))
    assert {event.parent_session for event in child.events} == {"g1"}
    assert child.messages()[0] == ("assistant", "Hello")


def test_document_that_is_cut_off_is_left_for_the_next_read(tmp_path: Path) -> None:
    path = _chats(tmp_path) / "session-1.json"
    text = json.dumps(
        {
            "sessionId": "g1",
            "projectHash": "h",
            "messages": [{"id": "u1", "type": "user", "content": "Hello"}],
        }
    )
    path.write_text(text[:-9])
    first = reading(path)
    assert (first.events, first.cursor) == ([], None)
    assert [bad.outcome for bad in first.bad] == ["left"]
    path.write_text(text)
    assert reading(path, first.cursor).messages() == [("user", "Hello")]


# -- opencode

_V1 = """
CREATE TABLE session (id TEXT PRIMARY KEY, parent_id TEXT, directory TEXT, title TEXT, time_created INT, time_updated INT);
CREATE TABLE message (id TEXT PRIMARY KEY, session_id TEXT, data TEXT, time_created INT, time_updated INT);
CREATE TABLE part (id TEXT PRIMARY KEY, message_id TEXT, session_id TEXT, data TEXT, time_created INT, time_updated INT);
"""
_V2 = """
CREATE TABLE session_v2 (id TEXT PRIMARY KEY, parent_id TEXT, fork_session_id TEXT, directory TEXT, title TEXT, time_created INT, time_updated INT);
CREATE TABLE session_message (id TEXT PRIMARY KEY, session_id TEXT, type TEXT, seq INT, time_created INT, time_updated INT, data TEXT);
"""
_T0 = 1_790_000_000_000


def _message(
    identifier: str, session: str, role: str, at: int, **more: object
) -> tuple[str, tuple[object, ...]]:
    data = json.dumps({"role": role, "time": {"created": at}, **more})
    return "INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?)", (identifier, session, data, at, at)


def _part(
    identifier: str, message: str, session: str, data: object, at: int = _T0
) -> tuple[str, tuple[object, ...]]:
    return "INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?, ?)", (
        identifier,
        message,
        session,
        json.dumps(data),
        at,
        at,
    )


def _v2(identifier: str, session: str, kind: str, seq: int, data: object) -> tuple[str, tuple[object, ...]]:
    return (
        "INSERT INTO session_message VALUES (?, ?, ?, ?, ?, ?, ?)",
        (identifier, session, kind, seq, _T0 + seq, _T0 + seq, json.dumps(data)),
    )


def _conversation() -> list[tuple[str, tuple[object, ...]]]:
    tool = {
        "type": "tool",
        "tool": "bash",
        "callID": "c1",
        "state": {
            "status": "completed",
            "input": {"command": "ls"},
            "output": "a.py",
            "time": {"start": _T0 + 2, "end": _T0 + 3},
        },
    }
    return [
        ("INSERT INTO session VALUES ('s1', NULL, '/srv/shop', 'Listing', ?, ?)", (_T0, _T0)),
        _message("m1", "s1", "user", _T0),
        _part("p1", "m1", "s1", {"type": "text", "text": "List"}),
        _part("p2", "m1", "s1", {"type": "text", "text": "file contents", "synthetic": True}),
        _message("m2", "s1", "assistant", _T0 + 1, time={"created": _T0 + 1, "completed": _T0 + 9}),
        _part("p3", "m2", "s1", {"type": "reasoning", "text": "hm"}),
        _part("p4", "m2", "s1", tool),
        _part("p5", "m2", "s1", {"type": "text", "text": "One file."}),
    ]


_SAID = [
    ("message", "user", "List"),
    ("tool_call", "assistant", 'bash {"command":"ls"}'),
    ("tool_result", "tool", "a.py"),
    ("message", "assistant", "One file."),
]


def test_opencode_v1_store(tmp_path: Path) -> None:
    child = (
        "INSERT INTO session VALUES ('s2', 's1', '/srv/shop', 'New session - 2026-01-01', ?, ?)",
        (_T0, _T0),
    )
    rows = [
        *_conversation(),
        child,
        _message("m9", "s2", "user", _T0),
        _part("p9", "m9", "s2", {"type": "text", "text": "Explore"}),
    ]
    rows.append(("INSERT INTO message VALUES ('bad', 's2', '{broken', 0, 0)", ()))
    read = reading(write_database(tmp_path / "opencode.db", _V1, rows))
    assert [item for item in read.said() if item[2] != "Explore"] == _SAID
    assert read.titles() == ["Listing"]
    subagent = next(event for event in read.events if event.content == "Explore")
    assert (subagent.role, subagent.parent_session) == ("assistant", "s1")
    assert len(read.bad) == 1
    assert {event.project for event in read.events} == {"/srv/shop"}


def test_opencode_session_in_both_versions_is_told_once_and_goes_on(tmp_path: Path) -> None:
    tool = {
        "type": "tool",
        "name": "bash",
        "id": "c1",
        "state": {
            "status": "completed",
            "input": {"command": "ls"},
            "content": [{"type": "text", "text": "a.py"}],
        },
    }
    rows = [
        *_conversation(),
        ("INSERT INTO session_v2 VALUES ('s1', NULL, NULL, '/srv/shop', 'Listing', ?, ?)", (_T0, _T0 + 5)),
        _v2("n1", "s1", "user", 1, {"text": "List"}),
        _v2(
            "n2",
            "s1",
            "assistant",
            2,
            {
                "content": [tool, {"type": "text", "text": "One file."}],
                "time": {"created": _T0 + 1, "completed": _T0 + 9},
            },
        ),
        _v2("n3", "s1", "synthetic", 3, {"text": "host"}),
        _v2("n4", "s1", "user", 4, {"text": "Delete it"}),
        _v2("n5", "s1", "shell", 5, {"callID": "sh1", "command": "rm a.py", "output": ""}),
        _v2("n6", "s1", "compaction", 6, {"summary": "One file went."}),
    ]
    read = reading(write_database(tmp_path / "opencode.db", _V1 + _V2, rows))
    assert read.said() == [
        *_SAID,
        ("message", "user", "Delete it"),
        ("tool_call", "user", 'shell {"command":"rm a.py"}'),
        ("tool_result", "tool", ""),
        ("compaction", "system", "One file went."),
    ]


def test_opencode_fork_tells_only_what_is_its_own(tmp_path: Path) -> None:
    rows = [
        ("INSERT INTO session_v2 VALUES ('s1', NULL, NULL, '/srv/shop', 'A', ?, ?)", (_T0, _T0)),
        ("INSERT INTO session_v2 VALUES ('s2', NULL, 's1', '/srv/shop', 'B', ?, ?)", (_T0, _T0)),
        _v2("n1", "s1", "user", 1, {"text": "Use Redis"}),
        _v2("f1", "s2", "user", 1, {"text": "Use Redis"}),
        _v2("f2", "s2", "user", 2, {"text": "Use Valkey"}),
    ]
    read = reading(write_database(tmp_path / "opencode.db", _V2, rows))
    assert [(event.session, event.content) for event in read.events if event.kind == "message"] == [
        ("s1", "Use Redis"),
        ("s2", "Use Valkey"),
    ]


def _half_written() -> list[tuple[str, tuple[object, ...]]]:
    """The conversation while its answer is being written."""
    running = {
        "type": "tool",
        "tool": "bash",
        "callID": "c1",
        "state": {"status": "running", "input": {}},
    }
    return [
        ("INSERT INTO session VALUES ('s1', NULL, '/srv/shop', 'Listing', ?, ?)", (_T0, _T0)),
        _message("m1", "s1", "user", _T0),
        _part("p1", "m1", "s1", {"type": "text", "text": "List"}),
        _message("m2", "s1", "assistant", _T0 + 1),
        _part("p4", "m2", "s1", running),
        _part("p5", "m2", "s1", {"type": "text", "text": "One fi", "time": {"start": _T0}}),
    ]


def test_opencode_part_is_read_once_it_is_complete(tmp_path: Path) -> None:
    now_s = _T0 / 1000 + 10
    store = write_database(tmp_path / "opencode.db", _V1, _half_written())
    os.utime(store, (now_s, now_s))
    context = ReadContext(clock=lambda: now_s, is_followed=True)
    first = reading(store, None, context)
    assert first.said() == _SAID[:1]
    change_database(store, _conversation()[4:8] + [("UPDATE session SET time_updated = ?", (_T0 + 9,))])
    os.utime(store, (now_s, now_s))
    assert reading(store, first.cursor, context).said() == _SAID[1:]


def test_opencode_answer_that_was_broken_off_is_read_though_other_sessions_go_on(tmp_path: Path) -> None:
    started_s = _T0 / 1000 + 10
    store = write_database(tmp_path / "opencode.db", _V1, _half_written())
    first = reading(store, None, ReadContext(clock=lambda: started_s, is_followed=True))
    assert first.said() == _SAID[:1]
    later_s = started_s + 3_600
    change_database(
        store,
        [
            ("INSERT INTO session VALUES ('s2', NULL, '/srv', 'T', ?, ?)", (later_s * 1000, later_s * 1000)),
            _message("m7", "s2", "user", int(later_s * 1000)),
            _part("p7", "m7", "s2", {"type": "text", "text": "Meanwhile"}),
        ],
    )
    os.utime(store, (later_s, later_s))
    later = ReadContext(clock=lambda: later_s, is_followed=True)
    second = reading(store, first.cursor, later)
    assert second.messages() == [("assistant", "One fi"), ("user", "Meanwhile")]
    assert reading(store, second.cursor, later).events == []


def test_opencode_answer_in_progress_is_imported_as_it_stands_and_again_when_it_is_complete(
    tmp_path: Path,
) -> None:
    store = write_database(tmp_path / "opencode.db", _V1, _half_written())
    first = reading(store)
    assert first.said() == [
        _SAID[0],
        ("tool_call", "assistant", "bash {}"),
        ("message", "assistant", "One fi"),
    ]
    change_database(store, _conversation()[4:8] + [("UPDATE session SET time_updated = ?", (_T0 + 9,))])
    known = set(first.marks())
    second = reading(store, first.cursor)
    new = [said for said, mark in zip(second.said(), second.marks()[-4:], strict=True) if mark not in known]
    assert new == _SAID[1:]


def test_opencode_tree_that_was_just_copied_is_imported_whole_and_followed_with_patience(
    tmp_path: Path,
) -> None:
    tree = tmp_path / "storage"
    write_json(tree / "session" / "p" / "s1.json", {"id": "s1", "directory": "/srv/shop"})
    write_json(tree / "message" / "s1" / "m1.json", {"id": "m1", "role": "user", "time": {"created": 1}})
    write_json(tree / "message" / "s1" / "m2.json", {"id": "m2", "role": "assistant", "time": {"created": 2}})
    write_json(tree / "part" / "m1" / "p1.json", {"type": "text", "text": "List"})
    write_json(tree / "part" / "m2" / "p2.json", {"type": "text", "text": "One file."})
    whole = [("user", "List"), ("assistant", "One file.")]
    assert reading(tree).messages() == whole
    first = reading(tree, None, ReadContext(is_followed=True))
    assert first.messages() == whole[:1]
    later = ReadContext(clock=lambda: time.time() + 3_600, is_followed=True)
    assert reading(tree, first.cursor, later).messages() == whole[1:]


def test_opencode_tree_has_the_keys_of_the_store(tmp_path: Path) -> None:
    store = reading(write_database(tmp_path / "opencode.db", _V1, _conversation()))
    tree = tmp_path / "storage"
    write_json(
        tree / "session" / "p" / "s1.json",
        {"id": "s1", "directory": "/srv/shop", "title": "Listing", "time": {"created": _T0}},
    )
    for statement, values in _conversation():
        if statement.startswith("INSERT OR REPLACE INTO message"):
            write_json(
                tree / "message" / "s1" / f"{values[0]}.json", {"id": values[0], **json.loads(str(values[2]))}
            )
        elif statement.startswith("INSERT OR REPLACE INTO part"):
            write_json(tree / "part" / str(values[1]) / f"{values[0]}.json", json.loads(str(values[3])))
    (tree / "message" / "s1" / "zz.json").write_text("{broken")
    assert detect(tree) == "opencode-tree"
    read = reading(tree)
    assert read.marks() == store.marks()
    assert [Path(bad.path).name for bad in read.bad] == ["zz.json"]
    assert reading(tree, read.cursor).events == []


# -- SWE-agent and plain logs


def test_swe_agent_run_with_tool_calls(tmp_path: Path) -> None:
    call = {
        "id": "t1",
        "type": "function",
        "function": {"name": "str_replace_editor", "arguments": '{"command":"create"}'},
    }
    history = [
        {"role": "system", "content": "rules"},
        {"role": "user", "content": "a demonstration", "is_demo": True},
        {"role": "user", "content": [{"type": "text", "text": "Fix the bug"}]},
        {"role": "assistant", "content": "I create a file.", "tool_calls": [call]},
        {"role": "tool", "content": "created", "tool_call_ids": ["t1"]},
    ]
    read = reading(write_json(tmp_path / "run.traj", {"history": history}))
    assert read.said() == [
        ("message", "user", "Fix the bug"),
        ("message", "assistant", "I create a file."),
        ("edit", "assistant", 'str_replace_editor {"command":"create"}'),
        ("tool_result", "tool", "created"),
    ]


def test_swe_agent_run_whose_actions_stand_in_the_text(tmp_path: Path) -> None:
    history = [
        {"role": "user", "content": "Fix the bug"},
        {"role": "assistant", "content": "I look.\n```\nls\n```"},
        {"role": "user", "content": "a.py"},
        {
            "role": "assistant",
            "content": "I edit.",
            "thought": "I edit.",
            "action": "edit 1:1\nx\nend_of_edit",
        },
    ]
    read = reading(write_json(tmp_path / "run.traj", {"history": history}))
    assert read.said() == [
        ("message", "user", "Fix the bug"),
        ("message", "assistant", "I look."),
        ("tool_call", "assistant", 'bash {"command":"ls"}'),
        ("tool_result", "tool", "a.py"),
        ("message", "assistant", "I edit."),
        ("edit", "assistant", 'edit {"command":"edit 1:1\\nx\\nend_of_edit"}'),
    ]


def test_two_runs_of_one_task_are_two_sessions(tmp_path: Path) -> None:
    def run(answer: str, folder: str) -> set[str | None]:
        history = [{"role": "user", "content": "Fix"}, {"role": "assistant", "content": answer}]
        return {
            event.session
            for event in reading(write_json(tmp_path / folder / "task-1.traj", {"history": history})).events
        }

    assert not run("I look.", "a") & run("I search.", "b")


def test_plain_log_of_roles_and_tools(tmp_path: Path) -> None:
    call = {"id": "t1", "function": {"name": "git", "arguments": '{"args":"status"}'}}
    path = write_lines(
        tmp_path / "log.jsonl",
        [
            {"timestamp": "2025-09-10T12:00:00+02:00", "role": "user", "content": "Which branch?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "t1", "content": "main"},
            {"role": "system", "content": "rules"},
            {
                "created_at": 1_757_498_402,
                "role": "assistant",
                "content": [{"type": "text", "text": "main."}],
            },
            {"type": "error", "text": "boom"},
            {"x": 1},
        ],
    )
    read = reading(path)
    assert read.said() == [
        ("message", "user", "Which branch?"),
        ("tool_call", "assistant", 'git {"args":"status"}'),
        ("tool_result", "tool", "main"),
        ("message", "assistant", "main."),
    ]
    assert read.events[1].occurred_at == "2025-09-10T10:00:00.000Z"
    assert read.events[-1].occurred_at == "2025-09-10T10:00:02.000Z"
    assert [bad.line for bad in read.bad] == [7]
    append_lines(path, [{"role": "user", "content": "Which branch?"}])
    grown = reading(path, read.cursor)
    assert grown.messages() == [("user", "Which branch?")]
    assert not set(grown.marks()) & set(read.marks())


def test_plain_logs_of_one_name_are_two_sessions_and_a_moved_one_stays_itself(tmp_path: Path) -> None:
    def log(folder: str, text: str) -> set[str | None]:
        path = write_lines(tmp_path / folder / "session.jsonl", [{"role": "user", "content": text}])
        return {event.session for event in reading(path).events}

    assert not log("a", "Hello") & log("b", "Good day")
    assert log("a", "Hello") == log("c", "Hello")


def test_lines_that_each_hold_a_conversation_are_sessions_of_their_own(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}]
    read = reading(write_lines(tmp_path / "all.jsonl", [{"messages": messages}, {"messages": messages}]))
    assert len({event.session for event in read.events}) == 2
    assert len(read.messages()) == 4
