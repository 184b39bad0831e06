"""The everyday verbs, as a person types them, against a real daemon."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.daemon.conftest import Daemon

from penchant_daemon.capture.echo import strip_marks
from penchant_daemon.wire import EventIn, SessionsOut

ID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b")


def said(daemon: Daemon, *arguments: str, stdin: str | None = None, code: int = 0) -> str:
    """What a command prints, when it ends with the code that it should."""
    result = daemon.penchant(*arguments, stdin=stdin)
    assert result.returncode == code, result.stderr
    out: str = result.stdout
    return out


def refused(daemon: Daemon, *arguments: str, stdin: str | None = None) -> str:
    """What a command says about the user's mistake."""
    result = daemon.penchant(*arguments, stdin=stdin)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    mistake: str = result.stderr
    return mistake


def remembered(daemon: Daemon, text: str, *options: str) -> str:
    return str(ID.findall(said(daemon, "remember", text, *options))[0])


# ---- remember


def test_a_statement_is_kept_with_what_was_said_about_it(daemon: Daemon) -> None:
    memory_id = remembered(daemon, "Orders are kept for ten years", "--kind", "decision", "--project", "shop",
                           "--agent", "anna", "--session", "talk-1")  # fmt: skip
    memory = daemon.client.get_memory(memory_id)
    assert (memory.kind, memory.scope, memory.project, memory.agent, memory.session, memory.origin) == (
        "decision", "project", "shop", "anna", "talk-1", "user",
    )  # fmt: skip


def test_without_a_project_a_statement_is_global(daemon: Daemon) -> None:
    assert daemon.client.get_memory(remembered(daemon, "My keyboard is a Dvorak one")).scope == "global"


def test_a_path_is_the_callers_path_not_the_daemons(daemon: Daemon, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "penchant_daemon.entry", "remember", "here it is", "--project", "."],
        cwd=tmp_path, env=daemon.env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert daemon.client.get_memory(ID.findall(result.stdout)[0]).project == str(tmp_path)


def test_a_statement_comes_from_standard_input(daemon: Daemon) -> None:
    memory_id = ID.findall(said(daemon, "remember", "-", stdin="line one\nline two\n"))[0]
    assert daemon.client.get_memory(memory_id).content == "line one\nline two"


def test_standard_input_that_is_not_utf8_is_refused(daemon: Daemon) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "penchant_daemon.entry", "remember", "-"],
        input=b"caf\xe9", env=daemon.env, capture_output=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert b"byte 3 is 0xe9" in result.stderr


def test_the_same_statement_twice_is_one(daemon: Daemon) -> None:
    first = remembered(daemon, "The printer is on the second floor")
    assert said(daemon, "remember", "The printer is on the second floor") == f"known already as {first}\n"


def test_a_secret_is_masked_and_the_person_told(daemon: Daemon) -> None:
    out = said(daemon, "remember", 'the door has password = "hunter2horse"')
    assert out.endswith("(1 secret masked)\n")
    assert "hunter2horse" not in daemon.client.get_memory(ID.findall(out)[0]).content
    assert "1 password" in said(daemon, "status")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("remember", "  "), "blank"),
        (("remember", "-"), "blank"),
        (("remember", "x", "--scope", "project"), "--project"),
        (("remember", "x", "--kind", "rumour"), "rumour"),
        (("remember", "x", "--scope", "world"), "world"),
        (("remember",), "TEXT"),
        (("recall",), "QUERY"),
        (("recall", ""), "query"),
        (("recall", "x", "-k", "0"), "0"),
        (("recall", "x", "--as-of", "someday"), "--as-of"),
        (("recall", "x", "--project", "no-such-project"), "no-such-project"),
        (("recall", "x", "--budget", "-1"), "-1"),
        (("forget",), "ID"),
        (("forget", "X"), "--yes"),
        (("forget", " ", "--yes"), "blank"),
        (("feedback", "01M85FA15WDTQTEZGPPJRNKTFN"), "outdated"),
        (("feedback", "01M85FA15WDTQTEZGPPJRNKTFN", "great"), "great"),
        (("feedback", "01M85FA15WDTQTEZGPPJRNKTFN", "helped"), "01M85FA15WDTQTEZGPPJRNKTFN"),
        (("sessions", "no-such-session"), "no-such-session"),
        (("sessions", "x", "--project", "shop"), "--project"),
        (("sessions", "--project", "no-such-project"), "no-such-project"),
        (("sessions", "-n", "0"), "0"),
    ],
)
def test_a_mistake_is_named_and_ends_with_two(daemon: Daemon, arguments: tuple[str, ...], says: str) -> None:
    assert says.lower() in refused(daemon, *arguments, stdin="").lower()


# ---- recall


def test_results_show_rank_date_session_origin_and_text(daemon: Daemon) -> None:
    daemon.client.log_events(
        [
            EventIn(
                role="user", content="The lighthouse API needs version 3 of the schema", session="lights",
                project="/srv/harbour", agent="codex", occurred_at="2026-11-20T09:30:00Z",
            )
        ]
    )  # fmt: skip
    out = said(daemon, "recall", "which schema version does the lighthouse API need", "-k", "1")
    first = strip_marks(out)
    assert first.text.strip() == ""  # not a terminal: all of it stands between marks
    assert "1. 2026-11-20 09:30" in out
    assert "user said · harbour · codex, from user" in out
    assert "    The lighthouse API needs version 3 of the schema" in out
    assert f"impression {first.impressions[0]}" in out


def test_a_person_at_a_terminal_sees_no_marks(daemon: Daemon) -> None:
    remembered(daemon, "The submarine is painted yellow")
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "penchant_daemon.entry", "recall", "what colour is the submarine"],
        env=daemon.env, stdout=terminal, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        process.wait(timeout=30)
    os.close(terminal)
    shown = os.read(controller, 65_536).decode()
    os.close(controller)
    assert "painted yellow" in shown
    assert "penchant-memory" not in shown


def test_explain_gives_reasons_and_json_is_the_routes_body(daemon: Daemon) -> None:
    remembered(daemon, "The violin is tuned to 442 hertz")
    explained = said(daemon, "recall", "how is the violin tuned", "--explain", "-k", "1")
    assert re.search(r"\+\d\.\d{3}  says .*violin", explained)
    body = json.loads(said(daemon, "recall", "how is the violin tuned", "--explain", "--json"))
    assert body["results"][0]["content"] == "The violin is tuned to 442 hertz"
    assert body["results"][0]["reasons"]
    assert body["impression_id"]


def test_as_of_shows_what_was_known_then(daemon: Daemon) -> None:
    daemon.client.log_events(
        [
            EventIn(
                role="user",
                content="The ferry leaves at nine",
                session="f",
                occurred_at="2026-10-05T09:00:00Z",
            )
        ]
    )
    assert "leaves at nine" in said(daemon, "recall", "when does the ferry leave", "--as-of", "2026-10-06")
    assert "leaves at nine" not in said(
        daemon, "recall", "when does the ferry leave", "--as-of", "2026-10-01"
    )


def test_a_project_narrows_and_a_budget_shortens(daemon: Daemon) -> None:
    for n in range(3):
        remembered(daemon, f"Walrus fact number {n}: " + "they rest on the ice " * 10, "--project", "zoo")
    remembered(daemon, "Walrus statues stand in the park", "--project", "park")
    body = json.loads(said(daemon, "recall", "walrus", "--project", "zoo", "--json"))
    assert [result["project"] for result in body["results"][:3]] == ["zoo"] * 3
    assert "park" not in {result["project"] for result in body["results"]}  # what is global may be there
    short = json.loads(said(daemon, "recall", "walrus", "--project", "zoo", "--budget", "80", "--json"))
    assert 0 < len(short["results"]) < len(body["results"])


def test_a_project_that_was_named_first_is_the_directory_of_that_name(daemon: Daemon) -> None:
    remembered(daemon, "The lyra build needs node 22", "--project", "lyra")
    event = EventIn(content="which node does the lyra build need", session="in-lyra", project="/home/me/lyra")
    daemon.client.log_events([event])
    projects = [each for each in daemon.client.projects().projects if each.name == "lyra"]
    assert [(each.path, each.n_items) for each in projects] == [("/home/me/lyra", 2)]
    for name in ("lyra", "/home/me/lyra"):
        body = json.loads(said(daemon, "recall", "lyra node", "--project", name, "--json"))
        texts = {result["content"] for result in body["results"]}
        assert texts >= {"The lyra build needs node 22", event.content}


def test_long_texts_are_cut_for_people_and_whole_in_json(daemon: Daemon) -> None:
    text = "The glossary of the armadillo: " + "\n".join(f"entry {n}" for n in range(60))
    remembered(daemon, text)
    assert "--json has all" in said(daemon, "recall", "glossary of the armadillo", "-k", "1")
    body = json.loads(said(daemon, "recall", "glossary of the armadillo", "-k", "1", "--json"))
    assert body["results"][0]["content"] == text


# ---- forget


def test_a_forgotten_memory_is_never_recalled(daemon: Daemon) -> None:
    memory_id = remembered(daemon, "The safe behind the pelican painting is empty")
    assert said(daemon, "forget", memory_id, "--yes") == f"forgotten {memory_id}\n"
    body = json.loads(said(daemon, "recall", "what is behind the pelican painting", "--json"))
    assert not [result for result in body["results"] if "pelican" in result["content"]]
    result = daemon.penchant("forget", memory_id, "--yes")
    assert result.returncode == 1
    assert memory_id in result.stderr


def test_nobody_is_asked_without_a_terminal_and_nothing_erased(daemon: Daemon) -> None:
    memory_id = remembered(daemon, "The heron nests in the old oak")
    refused(daemon, "forget", memory_id, stdin="y\n")
    assert daemon.client.get_memory(memory_id).content == "The heron nests in the old oak"


@pytest.mark.parametrize(("answer", "is_erased"), [(b"y\n", True), (b"n\n", False)])
def test_a_person_is_shown_what_goes_and_asked(daemon: Daemon, answer: bytes, is_erased: bool) -> None:
    memory_id = remembered(daemon, f"The ostrich farm closed in {answer!r}")
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "penchant_daemon.entry", "forget", memory_id],
        env=daemon.env, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        os.write(controller, answer)
        out, _ = process.communicate(timeout=30)
    os.close(terminal)
    os.close(controller)
    assert b"The ostrich farm closed" in out
    assert (process.returncode == 0) is is_erased
    assert json.loads(said(daemon, "forget", memory_id, "--yes", "--json", code=int(is_erased)))[
        "unknown"
    ] == ([memory_id] if is_erased else [])


# ---- feedback and sessions


def test_a_verdict_is_recorded_for_the_recall_that_showed_it(daemon: Daemon) -> None:
    memory_id = remembered(daemon, "The otter exhibit opens at ten")
    asked = json.loads(said(daemon, "recall", "when does the otter exhibit open", "--json"))
    out = said(daemon, "feedback", memory_id, "helped", "--impression", asked["impression_id"])
    assert out == f"recorded: {memory_id} helped\n"
    assert "no impression" in refused(
        daemon, "feedback", memory_id, "wrong", "--impression", "01M85FA15WDTQTEZGPPJRNKTF0"
    )


def test_sessions_are_listed_and_shown(daemon: Daemon) -> None:
    daemon.client.log_events(
        [
            EventIn(kind="session_start", role="system", session="tall", project="/srv/giraffe",
                    meta={"title": "Necks"}),
            EventIn(role="user", content="how long is the neck", session="tall", occurred_at="2026-11-22T08:00:00Z"),
            EventIn(kind="tool_call", role="assistant", content="Bash {}", tool_name="Bash", session="tall"),
            EventIn(role="assistant", content="two metres " * 100, session="tall"),
            EventIn(role="assistant", content="looked it up", session="tall-sub", parent_session="tall"),
        ]
    )  # fmt: skip
    listed = said(daemon, "sessions", "--project", "giraffe")
    assert re.search(r"2 msg +giraffe +test +tall +Necks", listed)
    assert "tall-sub" in said(daemon, "sessions")
    shown = said(daemon, "sessions", "tall")
    assert shown.startswith("Necks\n")
    assert "08:00:00 user\n    how long is the neck" in shown
    assert "Bash (tool call)" in shown
    assert "…" in shown
    assert "started by session tall" in said(daemon, "sessions", "tall-sub")
    assert len(SessionsOut.model_validate_json(said(daemon, "sessions", "-n", "1", "--json")).sessions) == 1
    page = json.loads(said(daemon, "sessions", "tall", "-n", "2", "--json"))
    assert len(page["events"]) == 2
    assert page["next_position"] is not None
