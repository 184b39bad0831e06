"""Cursor's files and stores, VS Code's chats and Copilot's logs."""

from __future__ import annotations

import json
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

FOLLOWED = ReadContext(is_followed=True)  # as the daemon reads what an assistant may still be writing


def _turn(role: str, *blocks: object) -> dict[str, object]:
    content = [{"type": "text", "text": block} if isinstance(block, str) else block for block in blocks]
    return {"role": role, "message": {"content": content}}


def _transcript(tmp_path: Path, name: str = "0c7d9a52-1111-4222-8333-444455556666") -> Path:
    return tmp_path / ".cursor" / "projects" / "srv-shop" / "agent-transcripts" / name / f"{name}.jsonl"


def test_cursor_prompt_is_unwrapped_and_dated(tmp_path: Path) -> None:
    prompt = (
        "<timestamp>Monday, Nov 23, 2026, 1:56 PM (UTC+1)</timestamp>\n"
        "<attached_files>big</attached_files>\n<user_query>\nSort the imports\n</user_query>"
    )
    call = {"type": "tool_use", "name": "Write", "input": {"path": "a.py"}}
    read = reading(
        write_lines(_transcript(tmp_path), [_turn("user", prompt), _turn("assistant", "Sorting.", call)])
    )
    assert read.said() == [
        ("message", "user", "Sort the imports"),
        ("message", "assistant", "Sorting."),
        ("edit", "assistant", 'Write {"path":"a.py"}'),
    ]
    assert {event.occurred_at for event in read.events[1:]} == {"2026-11-23T12:56:00.000Z"}


def test_resumed_cursor_chat_that_rewrites_its_file_gives_only_what_is_new(tmp_path: Path) -> None:
    path = write_lines(_transcript(tmp_path), [_turn("user", "Yes"), _turn("assistant", "Done.")])
    first = reading(path)
    write_lines(
        path,
        [
            _turn("user", "Yes"),
            _turn("assistant", "Done."),
            _turn("user", "Yes"),
            _turn("assistant", "Done."),
        ],
    )
    second = reading(path, first.cursor)
    assert second.messages() == [("user", "Yes"), ("assistant", "Done.")]
    assert not set(first.marks()) & set(second.marks())


def test_cursor_subagent_is_linked_and_its_prompt_is_the_assistants(tmp_path: Path) -> None:
    main = write_lines(_transcript(tmp_path), [_turn("user", "Ask a helper")])
    child = write_lines(
        main.parent / "subagents" / "77.jsonl", [_turn("user", "Count"), _turn("assistant", "3")]
    )
    read = reading(child)
    assert {event.parent_session for event in read.events} == {main.stem}
    assert read.messages() == [("assistant", "Count"), ("assistant", "3")]


def test_cursor_project_is_found_through_its_slug(tmp_path: Path) -> None:
    project = tmp_path / "my.app"
    project.mkdir()
    slug = str(project).strip("/").replace("/", "-").replace(".", "-").replace("_", "-")
    path = tmp_path / ".cursor" / "projects" / slug / "agent-transcripts" / "c" / "c.jsonl"
    read = reading(write_lines(path, [_turn("user", "Hello")]))
    assert read.events[-1].project == str(project)


_KV = "CREATE TABLE cursorDiskKV (key TEXT PRIMARY KEY, value BLOB); CREATE TABLE ItemTable (key TEXT, value BLOB);"


def _kv(key: str, value: object) -> tuple[str, tuple[object, ...]]:
    return "INSERT OR REPLACE INTO cursorDiskKV VALUES (?, ?)", (key, json.dumps(value).encode())


def _composer(bubbles: list[tuple[str, int]], **more: object) -> dict[str, object]:
    headers = [{"bubbleId": name, "type": kind} for name, kind in bubbles]
    return {"name": "Imports", "createdAt": 1_790_000_000_000, "fullConversationHeadersOnly": headers, **more}


def test_cursor_store_follows_the_headers_and_leaves_orphans(tmp_path: Path) -> None:
    user = tmp_path / "User"
    tool = {
        "name": "edit_file",
        "params": '{"target":"a.py"}',
        "result": '{"output":"ok"}',
        "status": "completed",
        "toolCallId": "t1",
    }
    store = write_database(
        user / "globalStorage" / "state.vscdb",
        _KV,
        [
            _kv("composerData:c1", _composer([("b1", 1), ("b2", 2), ("b3", 2), ("gone", 2)])),
            _kv("bubbleId:c1:b1", {"type": 1, "text": "Sort the imports"}),
            _kv(
                "bubbleId:c1:b2", {"type": 2, "thinking": {"text": "hm"}, "text": "", "toolFormerData": tool}
            ),
            _kv("bubbleId:c1:b3", {"type": 2, "text": "Sorted."}),
            _kv("bubbleId:c1:orphan", {"type": 2, "text": "never shown"}),
            ("INSERT INTO cursorDiskKV VALUES ('composerData:bad', '{broken')", ()),
        ],
    )
    folder = user / "workspaceStorage" / "abc"
    write_json(folder / "workspace.json", {"folder": (tmp_path / "shop").as_uri()})
    listed = json.dumps({"allComposers": [{"composerId": "c1"}]})
    write_database(
        folder / "state.vscdb",
        "CREATE TABLE ItemTable (key TEXT, value BLOB)",
        [("INSERT INTO ItemTable VALUES ('composer.composerData', ?)", (listed,))],
    )
    read = reading(store)
    assert read.said() == [
        ("message", "user", "Sort the imports"),
        ("edit", "assistant", 'edit_file {"target":"a.py"}'),
        ("tool_result", "tool", "ok"),
        ("message", "assistant", "Sorted."),
    ]
    assert read.titles() == ["Imports"]
    assert len(read.bad) == 1
    assert "composerData:bad" in read.bad[0].reason
    assert {event.project for event in read.events} == {str(tmp_path / "shop")}
    assert {event.session for event in read.events} == {"c1"}


def test_cursor_chat_in_a_file_and_in_the_store_has_the_same_keys(tmp_path: Path) -> None:
    name = "0c7d9a52-1111-4222-8333-444455556666"
    store = write_database(
        tmp_path / "state.vscdb",
        _KV,
        [
            _kv(f"composerData:{name}", _composer([("b1", 1), ("b2", 2)])),
            _kv(f"bubbleId:{name}:b1", {"type": 1, "text": "Sort the imports"}),
            _kv(f"bubbleId:{name}:b2", {"type": 2, "text": "Sorted."}),
        ],
    )
    file = write_lines(
        _transcript(tmp_path, name),
        [_turn("user", "<user_query>Sort the imports</user_query>"), _turn("assistant", "Sorted.")],
    )
    assert set(reading(file).marks()) <= set(reading(store).marks())


def test_cursor_answer_is_read_once_it_is_complete(tmp_path: Path) -> None:
    rows = [
        _kv("composerData:c1", _composer([("b1", 1), ("b2", 2)], status="generating")),
        _kv("bubbleId:c1:b1", {"type": 1, "text": "Sort"}),
        _kv("bubbleId:c1:b2", {"type": 2, "text": "Sor"}),
    ]
    store = write_database(tmp_path / "state.vscdb", _KV, rows)
    first = reading(store, None, FOLLOWED)
    assert first.messages() == [("user", "Sort")]
    change_database(
        store,
        [
            _kv("composerData:c1", _composer([("b1", 1), ("b2", 2)], status="completed")),
            _kv("bubbleId:c1:b2", {"type": 2, "text": "Sorted."}),
        ],
    )
    assert reading(store, first.cursor, FOLLOWED).messages() == [("assistant", "Sorted.")]


def test_cursor_answer_in_progress_is_imported_as_it_stands_and_again_when_it_is_complete(
    tmp_path: Path,
) -> None:
    def tool(status: str, params: str, **more: str) -> dict[str, object]:
        former = {"name": "run", "params": params, "status": status, "toolCallId": "t1", **more}
        return {"type": 2, "text": "", "toolFormerData": former}

    bubbles = [("b1", 1), ("b2", 2), ("b3", 2)]
    rows = [
        _kv("composerData:c1", _composer(bubbles, status="generating")),
        _kv("bubbleId:c1:b1", {"type": 1, "text": "Sort"}),
        _kv("bubbleId:c1:b2", tool("loading", '{"command":"so')),
        _kv("bubbleId:c1:b3", {"type": 2, "text": "Sor"}),
    ]
    store = write_database(tmp_path / "state.vscdb", _KV, rows)
    first = reading(store)
    assert first.said() == [
        ("message", "user", "Sort"),
        ("tool_call", "assistant", 'run {"command":"so'),
        ("message", "assistant", "Sor"),
    ]
    assert reading(store, first.cursor).events == []
    change_database(
        store,
        [
            _kv("composerData:c1", _composer(bubbles, status="completed")),
            _kv("bubbleId:c1:b2", tool("completed", '{"command":"sort"}', result='{"output":"ok"}')),
            _kv("bubbleId:c1:b3", {"type": 2, "text": "Sorted."}),
        ],
    )
    second = reading(store, first.cursor)
    known = set(first.marks())
    new = [(e.kind, e.content) for e in second.events if (e.session, e.source_key) not in known]
    assert new == [
        ("tool_call", 'run {"command":"sort"}'),
        ("tool_result", "ok"),
        ("message", "Sorted."),
    ]


def test_cursor_answer_that_was_broken_off_is_read_in_the_end(tmp_path: Path) -> None:
    rows = [
        _kv("composerData:c1", _composer([("b1", 1), ("b2", 2)], status="generating")),
        _kv("bubbleId:c1:b1", {"type": 1, "text": "Sort"}),
        _kv("bubbleId:c1:b2", {"type": 2, "text": "Sor"}),
    ]
    store = write_database(tmp_path / "state.vscdb", _KV, rows)
    first = reading(store, None, FOLLOWED)
    assert reading(store, first.cursor, FOLLOWED).events == []
    later = ReadContext(clock=lambda: store.stat().st_mtime + 3_600, is_followed=True)
    second = reading(store, first.cursor, later)
    assert second.messages() == [("assistant", "Sor")]
    assert reading(store, second.cursor, later).events == []


def test_cursors_old_workspace_stores_are_read(tmp_path: Path) -> None:
    chats = {
        "tabs": [
            {
                "tabId": "t1",
                "chatTitle": "Ports",
                "bubbles": [{"type": "user", "text": "Which port?"}, {"type": "ai", "rawText": "8080"}],
            }
        ]
    }
    composers = {
        "allComposers": [
            {"composerId": "c1", "conversation": [{"type": 1, "text": "Hello"}, {"type": 2, "text": "Hi."}]}
        ]
    }
    store = write_database(
        tmp_path / "state.vscdb",
        "CREATE TABLE ItemTable (key TEXT, value BLOB)",
        [
            (
                "INSERT INTO ItemTable VALUES ('workbench.panel.aichat.view.aichat.chatdata', ?)",
                (json.dumps(chats),),
            ),
            ("INSERT INTO ItemTable VALUES ('composer.composerData', ?)", (json.dumps(composers),)),
        ],
    )
    assert sorted(reading(store).messages()) == [
        ("assistant", "8080"),
        ("assistant", "Hi."),
        ("user", "Hello"),
        ("user", "Which port?"),
    ]


def test_database_that_is_damaged_is_reported(tmp_path: Path) -> None:
    store = write_database(
        tmp_path / "state.vscdb", _KV, [_kv(f"composerData:{n}", _composer([])) for n in range(200)]
    )
    data = bytearray(store.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    store.write_bytes(bytes(data))
    read = reading(store)
    assert read.events == []
    assert len(read.bad) == 1
    assert "cannot be read" in read.bad[0].reason


# -- VS Code

_REQUEST = {
    "requestId": "r1",
    "message": {"text": "Which port?"},
    "timestamp": 1_790_000_000_000,
    "response": [
        {"kind": "thinking", "value": "hm"},
        {"value": "It is "},
        {"kind": "inlineReference", "name": "config.py", "inlineReference": {"path": "/srv/config.py"}},
        {"kind": "toolInvocationSerialized", "toolId": "copilot_readFile", "toolCallId": "t1", "pastTenseMessage": {"value": "Read config.py"}},
        {"kind": "textEditGroup", "uri": {"fsPath": "/srv/config.py"}, "edits": [[{"text": "8081"}]]},
        {"value": "8081 now."},
        {"kind": "progressMessage", "content": {"value": "..."}},
    ],
    "result": {"metadata": {"toolCallRounds": [{"toolCalls": [{"id": "t1", "name": "read", "arguments": '{"path":"config.py"}'}]}], "toolCallResults": {"t1": {"content": [{"value": "PORT=8080"}]}}}},
}  # fmt: skip


def _chat_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "workspaceStorage" / "abc"
    write_json(folder / "workspace.json", {"folder": "file:///srv/my%20shop"})
    return folder / "chatSessions"


def test_vscode_chat_is_cut_into_its_parts(tmp_path: Path) -> None:
    chat = {
        "sessionId": "v1",
        "creationDate": 1_790_000_000_000,
        "customTitle": "Ports",
        "requests": [_REQUEST],
    }
    read = reading(write_json(_chat_folder(tmp_path) / "v1.json", chat))
    assert read.said() == [
        ("message", "user", "Which port?"),
        ("message", "assistant", "It is config.py"),
        ("tool_call", "assistant", 'readFile {"path":"config.py"}'),
        ("tool_result", "tool", "PORT=8080"),
        ("edit", "assistant", 'edit {"file":"/srv/config.py","edits":[[{"text":"8081"}]]}'),
        ("message", "assistant", "8081 now."),
    ]
    assert read.titles() == ["Ports"]
    assert {(event.agent, event.project) for event in read.events} == {("vscode", "/srv/my shop")}


def test_vscode_log_replays_to_the_same_chat(tmp_path: Path) -> None:
    folder = _chat_folder(tmp_path)
    whole = reading(
        write_json(folder / "v1.json", {"sessionId": "v1", "requests": [_REQUEST], "customTitle": "Ports"})
    )
    unfinished = {**_REQUEST, "response": [], "result": None}
    log = [
        {"kind": 0, "v": {"version": 3, "sessionId": "v1", "requests": []}},
        {"kind": 2, "k": ["requests"], "v": [unfinished]},
        {"kind": 2, "k": ["requests", 0, "response"], "v": [{"value": "wrong"}]},
        {"kind": 2, "k": ["requests", 0, "response"], "v": _REQUEST["response"], "i": 0},
        {"kind": 1, "k": ["requests", 0, "result"], "v": _REQUEST["result"]},
        {"kind": 1, "k": ["customTitle"], "v": "Ports"},
        {"kind": 1, "k": ["draft"], "v": "x"},
        {"kind": 3, "k": ["draft"]},
        {"kind": 1, "k": ["requests", 7, "result", "x"], "v": 1},
        {"kind": 9},
    ]
    path = write_lines(folder / "v1.jsonl", log)
    assert detect(path) == "vscode"
    read = reading(path)
    assert read.said() == whole.said()
    assert read.marks() == whole.marks()
    assert [bad.line for bad in read.bad] == [9, 10]


def test_vscode_answer_in_progress_waits_and_an_empty_stub_says_nothing(tmp_path: Path) -> None:
    folder = _chat_folder(tmp_path)
    half = {"requestId": "r1", "message": {"text": "Which port?"}, "response": [{"value": "80"}]}
    whole = {**half, "response": [{"value": "8080"}], "result": {}}
    path = write_json(folder / "v1.json", {"sessionId": "v1", "requests": [half]})
    first = reading(path, None, FOLLOWED)
    assert first.messages() == [("user", "Which port?")]
    write_json(path, {"sessionId": "v1", "requests": [whole]})
    assert reading(path, first.cursor, FOLLOWED).messages() == [("assistant", "8080")]
    stub = reading(write_lines(folder / "v2.jsonl", [{"kind": 0, "v": {"sessionId": "v2", "requests": []}}]))
    assert (stub.events, stub.bad) == ([], [])


def test_vscode_answer_in_progress_is_imported_as_it_stands_and_again_when_it_is_complete(
    tmp_path: Path,
) -> None:
    half = {"requestId": "r1", "message": {"text": "Which port?"}, "response": [{"value": "80"}]}
    whole = {**half, "response": [{"value": "8080"}], "result": {}}
    path = write_json(_chat_folder(tmp_path) / "v1.json", {"sessionId": "v1", "requests": [half]})
    first = reading(path)
    assert first.messages() == [("user", "Which port?"), ("assistant", "80")]
    write_json(path, {"sessionId": "v1", "requests": [whole]})
    second = reading(path, first.cursor)
    assert second.messages() == [("assistant", "8080")]
    assert not set(first.marks()) & set(second.marks())


# -- Copilot CLI


def _event(kind: str, data: object, identifier: str, second: int) -> dict[str, object]:
    return {"type": kind, "data": data, "id": identifier, "timestamp": f"2026-11-20T10:00:{second:02d}.000Z"}


def test_copilot_log_with_a_subagent(tmp_path: Path) -> None:
    call = {"toolCallId": "t1", "name": "bash", "arguments": {"command": "ls"}}
    path = tmp_path / "session-state" / "s1" / "events.jsonl"
    write_lines(
        path,
        [
            _event(
                "session.start",
                {"sessionId": "s1", "context": {"cwd": "/srv/shop", "gitRoot": "/srv/shop"}},
                "e1",
                0,
            ),
            _event("user.message", {"content": "List", "transformedContent": "<x>List</x>"}, "e2", 1),
            _event("user.message", {"content": "skill text", "source": "skill-review"}, "e3", 1),
            _event("assistant.message", {"content": "Listing.", "toolRequests": [call]}, "e4", 2),
            _event(
                "tool.execution_start",
                {"toolCallId": "t1", "toolName": "bash", "arguments": {"command": "ls"}},
                "e5",
                3,
            ),
            _event(
                "tool.execution_complete",
                {"toolCallId": "t1", "success": False, "result": {"content": "denied"}},
                "e6",
                4,
            ),
            _event("subagent.started", {"toolCallId": "t2", "agentDisplayName": "Explorer"}, "e7", 5),
            _event("user.message", {"content": "Explore", "parentToolCallId": "t2"}, "e8", 5),
            _event(
                "assistant.message",
                {"content": "Found.", "parentToolCallId": "t2", "toolRequests": []},
                "e9",
                6,
            ),
            _event(
                "session.compaction_complete", {"success": True, "summaryContent": "They listed."}, "e10", 7
            ),
            {"type": "tool.execution_start", "data": "x"},
        ],
    )
    (path.parent / "workspace.yaml").write_text("id: s1\nsummary: Listing files\n")
    read = reading(path)
    assert read.said() == [
        ("message", "user", "List"),
        ("message", "assistant", "Listing."),
        ("tool_call", "assistant", 'bash {"command":"ls"}'),
        ("tool_result", "tool", "denied"),
        ("message", "assistant", "Explore"),
        ("message", "assistant", "Found."),
        ("compaction", "system", "They listed."),
    ]
    assert read.titles() == ["Listing files", "Explorer"]
    child = [event for event in read.events if event.session == "s1/t2"]
    assert {event.parent_session for event in child} == {"s1"}
    assert [bad.line for bad in read.bad] == [11]
    append_lines(path, [_event("assistant.message", {"content": "More.", "toolRequests": []}, "e12", 9)])
    assert reading(path, read.cursor).said() == [("message", "assistant", "More.")]


def test_log_of_vs_codes_copilot_is_told_by_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "workspaceStorage" / "abc" / "GitHub.copilot-chat" / "transcripts" / "s2.jsonl"
    write_lines(path, [_event("user.message", {"content": "Hello"}, "e1", 0)])
    event = reading(path).events[-1]
    assert (event.agent, event.session, event.content) == ("vscode", "s2", "Hello")
