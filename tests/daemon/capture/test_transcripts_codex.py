"""Codex's rollouts, plain, packed and flat, and its paginated threads."""

from __future__ import annotations

import json
from pathlib import Path

import zstandard
from tests.daemon.capture.transcript_files import (
    CODEX_SESSION,
    Json,
    append_lines,
    change_database,
    codex_answer,
    codex_line,
    codex_meta,
    codex_prompt,
    codex_rollout,
    reading,
    write_database,
    write_lines,
)


def test_rollout_says_each_message_once(tmp_path: Path) -> None:
    records = [
        codex_meta(CODEX_SESSION),
        *codex_prompt("Yes", 1),
        *codex_answer("Done.", 2),
        *codex_prompt("Yes", 3),
        *codex_answer("Done.", 4),
    ]
    read = reading(write_lines(codex_rollout(tmp_path), records))
    # Two equal prompts are two messages; one prompt in two kinds of line is one.
    assert read.messages() == [
        ("user", "Yes"),
        ("assistant", "Done."),
        ("user", "Yes"),
        ("assistant", "Done."),
    ]
    assert len(set(read.marks())) == len(read.events)
    assert {event.session for event in read.events} == {CODEX_SESSION}
    assert read.events[1].project == "/srv/shop"


def test_texts_that_the_host_injects_are_left_out(tmp_path: Path) -> None:
    def given(text: str, role: str = "user") -> Json:
        content = [{"type": "input_text", "text": text}]
        return codex_line("response_item", {"type": "message", "role": role, "content": content}, 1)

    records = [
        codex_meta(CODEX_SESSION),
        given("rules", "developer"),
        given("<environment_context>cwd</environment_context>"),
        given("# AGENTS.md instructions for /srv/shop\n\nbe brief"),
        given("<user_instructions>x</user_instructions>"),
        *codex_prompt(
            "# Context from my IDE setup:\n\n## Open tabs:\n- a.py\n\n## My request for Codex:\nRename it", 2
        ),
        given("a reminder that only the model saw"),
        *codex_answer("Renamed.", 3),
    ]
    read = reading(write_lines(codex_rollout(tmp_path), records))
    assert read.messages() == [("user", "Rename it"), ("assistant", "Renamed.")]


def test_prompts_of_a_log_that_shows_none_are_taken_from_the_model_s_input(tmp_path: Path) -> None:
    content = [{"type": "input_text", "text": "Hello"}]
    records = [
        codex_meta(CODEX_SESSION),
        codex_line("response_item", {"type": "message", "role": "user", "content": content}, 1),
        codex_line("response_item", {"type": "reasoning", "summary": []}, 2),
        codex_answer("Hi.", 3)[1],
    ]
    read = reading(write_lines(codex_rollout(tmp_path), records))
    assert read.messages() == [("user", "Hello"), ("assistant", "Hi.")]
    assert read.skipped["thinking"] == 1


def test_calls_and_outputs_are_paired_and_patches_are_edits(tmp_path: Path) -> None:
    patch = "*** Begin Patch\n*** End Patch"
    records = [
        codex_meta(CODEX_SESSION),
        codex_line(
            "response_item",
            {"type": "function_call", "name": "shell", "arguments": '{"command":["ls"]}', "call_id": "c1"},
            1,
        ),
        codex_line(
            "event_msg", {"type": "exec_command_end", "call_id": "c1", "aggregated_output": "a.py"}, 1
        ),
        codex_line(
            "response_item",
            {
                "type": "function_call_output",
                "call_id": "c1",
                "output": json.dumps({"output": "a.py\n", "metadata": {"exit_code": 0}}),
            },
            2,
        ),
        codex_line(
            "response_item",
            {"type": "custom_tool_call", "name": "apply_patch", "input": patch, "call_id": "c2"},
            3,
        ),
        codex_line(
            "response_item",
            {
                "type": "custom_tool_call_output",
                "call_id": "c2",
                "output": [{"type": "input_text", "text": "ok"}],
            },
            4,
        ),
        codex_line(
            "event_msg",
            {
                "type": "mcp_tool_call_end",
                "call_id": "c3",
                "invocation": {"server": "db", "tool": "query", "arguments": {}},
                "result": {"Ok": {"content": [{"type": "text", "text": "3 rows"}]}},
            },
            5,
        ),
        codex_line(
            "response_item", {"type": "local_shell_call", "call_id": "c4", "action": {"command": ["pwd"]}}, 6
        ),
    ]
    read = reading(write_lines(codex_rollout(tmp_path), records))
    assert read.said() == [
        ("tool_call", "assistant", 'shell {"command":["ls"]}'),
        ("tool_result", "tool", "a.py\n"),
        ("edit", "assistant", f"apply_patch {patch}"),
        ("tool_result", "tool", "ok"),
        ("tool_call", "assistant", "db.query {}"),
        ("tool_result", "tool", "3 rows"),
        ("tool_call", "assistant", 'local_shell {"command":["pwd"]}'),
    ]
    assert [event.tool_name for event in read.events if event.kind == "tool_result"] == [
        "shell",
        "apply_patch",
        "db.query",
    ]


def test_completed_items_stand_for_the_lines_that_a_newer_log_leaves_out(tmp_path: Path) -> None:
    def item(value: dict[str, object], second: int) -> Json:
        return codex_line("event_msg", {"type": "item_completed", "item": value}, second)

    records = [
        codex_meta(CODEX_SESSION),
        item(
            {"type": "UserMessage", "id": "i1", "content": [{"type": "text", "text": "Which tests fail?"}]}, 1
        ),
        item(
            {
                "type": "CommandExecution",
                "id": "i2",
                "command": ["pytest"],
                "cwd": "/srv/shop",
                "aggregated_output": "1 failed",
            },
            2,
        ),
        item({"type": "AgentMessage", "id": "i3", "content": [{"type": "Text", "text": "One."}]}, 3),
        item({"type": "Reasoning", "id": "i4"}, 3),
    ]
    assert reading(write_lines(codex_rollout(tmp_path), records)).said() == [
        ("message", "user", "Which tests fail?"),
        ("tool_call", "assistant", 'shell {"command":["pytest"],"cwd":"/srv/shop"}'),
        ("tool_result", "tool", "1 failed"),
        ("message", "assistant", "One."),
    ]


def test_packed_archived_copy_has_the_same_keys(tmp_path: Path) -> None:
    records = [codex_meta(CODEX_SESSION), *codex_prompt("Hello", 1), *codex_answer("Hi.", 2)]
    plain = write_lines(codex_rollout(tmp_path), records)
    packed = tmp_path / "archived_sessions" / (plain.name + ".zst")
    packed.parent.mkdir()
    packed.write_bytes(zstandard.compress(plain.read_bytes()))
    assert reading(packed).marks() == reading(plain).marks()
    packed.write_bytes(packed.read_bytes()[:40])
    broken = reading(packed)
    assert [bad.outcome for bad in broken.bad] == ["left"]


def test_rolled_back_turns_are_left_out_of_an_import(tmp_path: Path) -> None:
    records = [
        codex_meta(CODEX_SESSION),
        *codex_prompt("Use Redis", 1),
        *codex_answer("Using Redis.", 2),
        *codex_prompt("Also cache images", 3),
        *codex_answer("Cached.", 4),
        codex_line("event_msg", {"type": "thread_rolled_back", "num_turns": 1}, 5),
        *codex_prompt("Also cache fonts", 6),
    ]
    read = reading(write_lines(codex_rollout(tmp_path), records))
    assert read.messages() == [
        ("user", "Use Redis"),
        ("assistant", "Using Redis."),
        ("user", "Also cache fonts"),
    ]
    assert read.skipped["rolled_back"] == 2


def test_rewritten_rollout_does_not_bring_back_what_was_rolled_back(tmp_path: Path) -> None:
    records = [
        codex_meta(CODEX_SESSION),
        *codex_prompt("Use Redis", 1),
        codex_line("event_msg", {"type": "thread_rolled_back", "num_turns": 1}, 5),
        *codex_prompt("Use Valkey", 6),
    ]
    path = write_lines(codex_rollout(tmp_path), records)
    first = reading(path)
    write_lines(path, [codex_meta(CODEX_SESSION, git={"branch": "main"}), *records[1:]])
    again = reading(path, first.cursor)
    assert first.messages() == again.messages() == [("user", "Use Valkey")]
    assert first.marks() == again.marks()


def test_cursor_of_a_long_session_stays_small(tmp_path: Path) -> None:
    prompts = [line for n in range(6_000) for line in codex_prompt(f"prompt {n}", n % 60)]
    path = write_lines(codex_rollout(tmp_path), [codex_meta(CODEX_SESSION), *prompts])
    read = reading(path)
    assert len(read.messages()) == 6_000
    assert read.cursor is not None
    assert len(read.cursor.model_dump_json()) < 200_000


def test_prompt_that_comes_again_after_thousands_of_others_is_still_another_prompt(tmp_path: Path) -> None:
    said = ["Go on", *(f"prompt {n}" for n in range(5_000)), "Go on", "Go on"]
    prompts = [line for n, text in enumerate(said) for line in codex_prompt(text, n % 60)]
    path = write_lines(codex_rollout(tmp_path), [codex_meta(CODEX_SESSION), *prompts[:-2]])
    first = reading(path)
    append_lines(path, prompts[-2:])
    marks = [*first.marks(), *reading(path, first.cursor).marks()]
    assert len(marks) == len(set(marks)) == len(said) + 1  # and the session's start
    assert reading(path).marks() == marks


def test_replayed_lines_of_a_fork_belong_to_the_parent(tmp_path: Path) -> None:
    # Version-7 UUIDs: the first 48 bits are the time in ms.
    parent_id, fork_id = "019fc8be-0000-7000-8000-00000000000a", "019fc8ce-0000-7000-8000-00000000000b"
    parent_turn, fork_turn = "019fc8be-1000-7000-8000-000000000001", "019fc8ce-1000-7000-8000-000000000002"
    talk = [
        codex_line("turn_context", {"turn_id": parent_turn, "cwd": "/srv/shop"}, 1),
        *codex_prompt("Use Redis", 1),
        *codex_answer("Using Redis.", 2),
    ]
    parent = reading(write_lines(codex_rollout(tmp_path, parent_id), [codex_meta(parent_id), *talk]))
    fork = reading(
        write_lines(
            codex_rollout(tmp_path, fork_id),
            [
                codex_meta(fork_id, 600, forked_from_id=parent_id),
                codex_meta(parent_id, 600),
                *talk,
                codex_line("turn_context", {"turn_id": fork_turn, "cwd": "/srv/shop"}, 700),
                *codex_prompt("Use Valkey", 700),
            ],
        )
    )
    own = [event for event in fork.events if event.session == fork_id]
    assert [event.content for event in own if event.kind == "message"] == ["Use Valkey"]
    assert {event.parent_session for event in own} == {parent_id}
    replayed = {key for key in fork.marks() if key[0] == parent_id}
    assert replayed == {key for key in parent.marks()}


def test_subagents_prompt_is_not_the_persons(tmp_path: Path) -> None:
    source = {"subagent": {"thread_spawn": {"parent_thread_id": "parent-1"}}}
    records = [codex_meta(CODEX_SESSION, source=source), *codex_prompt("Look for TODOs", 1)]
    read = reading(write_lines(codex_rollout(tmp_path), records))
    assert read.messages() == [("assistant", "Look for TODOs")]
    assert read.events[-1].parent_session == "parent-1"


def test_flat_lines_of_2025_are_read(tmp_path: Path) -> None:
    records = [
        {"id": CODEX_SESSION, "timestamp": "2025-05-01T10:00:00Z", "instructions": None},
        {"record_type": "state"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c1"},
        {"type": "function_call_output", "call_id": "c1", "output": "done"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]},
    ]
    read = reading(write_lines(tmp_path / f"rollout-2025-05-01-{CODEX_SESSION}.jsonl", records))
    assert read.said() == [
        ("message", "user", "Hello"),
        ("tool_call", "assistant", "shell {}"),
        ("tool_result", "tool", "done"),
        ("message", "assistant", "Hi."),
    ]
    assert {event.occurred_at for event in read.events} == {"2025-05-01T10:00:00.000Z"}


def test_grown_rollout_gives_only_its_tail_and_repeats_nothing(tmp_path: Path) -> None:
    path = write_lines(codex_rollout(tmp_path), [codex_meta(CODEX_SESSION), *codex_prompt("Hello", 1)])
    first = reading(path)
    # The answer comes in two kinds of line, the second of them after a read in between.
    shown, given = codex_answer("Hi.", 2)
    append_lines(path, [shown])
    second = reading(path, first.cursor)
    append_lines(path, [given, *codex_prompt("Hello", 3)])
    third = reading(path, second.cursor)
    assert (second.messages(), third.messages()) == ([("assistant", "Hi.")], [("user", "Hello")])
    assert len(set(first.marks() + second.marks() + third.marks())) == 4


def test_title_and_compaction_are_kept(tmp_path: Path) -> None:
    records = [
        codex_meta(CODEX_SESSION),
        *codex_prompt("Hello", 1),
        codex_line("event_msg", {"type": "thread_name_updated", "thread_name": "Greeting"}, 2),
        codex_line("compacted", {"message": "They greeted.", "replacement_history": []}, 3),
    ]
    read = reading(write_lines(codex_rollout(tmp_path), records))
    assert read.titles() == ["Greeting"]
    assert read.said()[-1] == ("compaction", "system", "They greeted.")


_THREADS = """
CREATE TABLE thread_items (thread_id TEXT, turn_id TEXT, item_id TEXT, rollout_ordinal INTEGER,
    created_at_ms INTEGER, item_json TEXT, item_type TEXT, updated_at_ordinal INTEGER);
"""
_INSERT = "INSERT INTO thread_items VALUES (?, 'turn', ?, ?, 1785751200000, ?, ?, ?)"


def _row(thread: str, ordinal: int, item: object) -> tuple[str, tuple[object, ...]]:
    return _INSERT, (thread, f"i{ordinal}", ordinal, json.dumps(item), "", ordinal)


def test_paginated_thread_has_the_keys_of_its_rollout(tmp_path: Path) -> None:
    rollout = write_lines(
        codex_rollout(tmp_path),
        [codex_meta(CODEX_SESSION), *codex_prompt("Hello", 1), *codex_answer("Hi.", 2)],
    )
    store = write_database(
        tmp_path / "thread_history_1.sqlite",
        _THREADS,
        [
            _row(
                CODEX_SESSION,
                1,
                {"type": "userMessage", "id": "i1", "content": [{"type": "text", "text": "Hello"}]},
            ),
            _row(CODEX_SESSION, 2, {"type": "agentMessage", "id": "i2", "text": "Hi."}),
            _row(
                CODEX_SESSION,
                3,
                {
                    "type": "commandExecution",
                    "id": "i3",
                    "command": "ls",
                    "cwd": "/srv/shop",
                    "aggregatedOutput": "a.py",
                    "status": "completed",
                },
            ),
            ("INSERT INTO thread_items VALUES (?, 'turn', 'i4', 4, 0, '{broken', '', 4)", (CODEX_SESSION,)),
        ],
    )
    write_database(
        tmp_path / "state_5.sqlite",
        "CREATE TABLE threads (id TEXT PRIMARY KEY, rollout_path TEXT, cwd TEXT, title TEXT)",
        [("INSERT INTO threads VALUES (?, '', '/srv/shop', 'Greeting')", (CODEX_SESSION,))],
    )
    read = reading(store)
    assert set(reading(rollout).marks()) <= set(read.marks())
    assert read.titles() == ["Greeting"]
    assert read.said()[2:] == [
        ("tool_call", "assistant", 'shell {"command":"ls","cwd":"/srv/shop"}'),
        ("tool_result", "tool", "a.py"),
    ]
    assert [bad.line for bad in read.bad] == [4]
    assert read.events[-1].project == "/srv/shop"


def test_thread_that_grew_gives_only_its_new_items(tmp_path: Path) -> None:
    store = write_database(
        tmp_path / "thread_history_1.sqlite",
        _THREADS,
        [
            _row(name, 1, {"type": "userMessage", "content": [{"type": "text", "text": "Hello"}]})
            for name in ("a", "b")
        ],
    )
    first = reading(store)
    change_database(store, [_row("b", 2, {"type": "agentMessage", "text": "Hi."})])
    second = reading(store, first.cursor)
    assert len(first.messages()) == 2
    assert [(event.session, event.content) for event in second.events] == [("b", "Hi.")]
