"""Session files are followed live: real files, a real store, the system's own reports of changes."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2 as sqlite
from tests.daemon.capture.transcript_files import (
    CLAUDE_SESSION,
    append_lines,
    change_database,
    claude_line,
    claude_session,
    write_database,
    write_lines,
)

from penchant_daemon.bus import Bus
from penchant_daemon.capture.echo import EchoGuard
from penchant_daemon.capture.intake import Intake
from penchant_daemon.capture.secrets import SecretMasker
from penchant_daemon.capture.watch import Watcher
from penchant_daemon.config import Watch
from penchant_daemon.errors import StorageFull
from penchant_store import Store

WAIT_S = 30.0
# Compiled once for all tests, as for all data directories of a user.
RULES = Path(os.environ["XDG_CACHE_HOME"]) / "penchant" / "secret-rules"
RULES.mkdir(mode=0o700, parents=True, exist_ok=True)


class Followed:
    """A watcher on a store of its own."""

    def __init__(self, tmp_path: Path, check_write: Callable[[], None] = lambda: None) -> None:
        self.home = tmp_path / "person"
        self.home.mkdir(exist_ok=True)
        self.store = Store.open(tmp_path / "data")
        self.intake = Intake(self.store, SecretMasker(RULES), EchoGuard(self.store), Bus())
        self.woken = threading.Event()
        self.watcher = Watcher(
            self.store,
            self.intake,
            environ={},
            user_home=self.home,
            wake=self.woken.set,
            check_write=check_write,
        )

    def follow(self, *paths: Path, assistants: list[str] | None = None) -> None:
        self.watcher.follow(
            Watch.model_validate(
                {"enabled": True, "assistants": assistants or [], "paths": [str(path) for path in paths]}
            )
        )

    def messages(self, session: str = CLAUDE_SESSION) -> list[str]:
        events = self.store.session_events(session, 1_000, -1)
        return [event.content for event in events if event.kind == "message"]

    def wait_for(self, is_reached: Callable[[], bool]) -> None:
        assert self.watcher.wait_until(is_reached, WAIT_S), self.watcher.state()


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    made = Followed(tmp_path)
    yield made
    made.watcher.stop()
    made.store.close()


def _log(home: Path, name: str = CLAUDE_SESSION) -> Path:
    return home / ".claude" / "projects" / "-srv-shop" / f"{name}.jsonl"


def test_what_is_there_is_read_and_what_comes_follows(followed: Followed) -> None:
    path = write_lines(_log(followed.home), claude_session())
    followed.follow(assistants=["claude-code"])
    followed.wait_for(lambda: "Done." in followed.messages())
    append_lines(path, [claude_line("user", "u-7", "And the tax", 20)])
    followed.wait_for(lambda: "And the tax" in followed.messages())
    assert followed.messages().count("Done.") == 1
    assert followed.woken.is_set()
    state = followed.watcher.state()
    assert (state.is_running, state.last_error, state.n_bad_lines) == (True, None, 0)
    assert state.n_events == len(followed.store.session_events(CLAUDE_SESSION, 100, -1))


def test_places_that_do_not_exist_yet_are_followed_once_they_do(followed: Followed) -> None:
    followed.follow(assistants=["claude-code", "codex"])
    followed.wait_for(lambda: followed.watcher.state().is_running)
    assert len(followed.watcher.places()) == 4
    write_lines(_log(followed.home), claude_session())
    followed.wait_for(lambda: "Done." in followed.messages())


def test_half_a_line_waits_for_its_other_half(followed: Followed) -> None:
    path = write_lines(_log(followed.home), claude_session())
    followed.follow(assistants=["claude-code"])
    followed.wait_for(lambda: "Done." in followed.messages())
    late = json.dumps(claude_line("user", "u-7", "Half a line", 20)) + "\n"
    with path.open("a") as stream:
        stream.write(late[:50])
        stream.flush()
        append_lines(
            _log(followed.home, "other"), [claude_line("user", "o-1", "Meanwhile", sessionId="other")]
        )
        followed.wait_for(lambda: "Meanwhile" in followed.messages("other"))
        stream.write(late[50:])
    followed.wait_for(lambda: "Half a line" in followed.messages())
    assert followed.watcher.state().n_bad_lines == 0


def test_rewritten_and_deleted_files_add_nothing_twice_and_take_nothing_away(followed: Followed) -> None:
    path = write_lines(_log(followed.home), claude_session())
    followed.follow(assistants=["claude-code"])
    followed.wait_for(lambda: "Done." in followed.messages())
    replacement = path.with_suffix(".new")
    write_lines(replacement, [claude_line("user", "u-0", "First of all"), *claude_session()])
    replacement.replace(path)
    followed.wait_for(lambda: "First of all" in followed.messages())
    shutil.rmtree(path.parent)
    write_lines(
        _log(followed.home, "other"), [claude_line("user", "o-1", "After the rain", sessionId="other")]
    )
    followed.wait_for(lambda: "After the rain" in followed.messages("other"))
    assert sorted(followed.messages()) == sorted(
        ["Fix the rounding in cart.py", "I round half up.", "Done.", "First of all"]
    )


def test_whole_folder_that_is_deleted_and_comes_back_is_followed_again(followed: Followed) -> None:
    write_lines(_log(followed.home), claude_session())
    followed.follow(assistants=["claude-code"])
    followed.wait_for(lambda: "Done." in followed.messages())
    shutil.rmtree(followed.home / ".claude")
    followed.wait_for(lambda: True)
    write_lines(_log(followed.home, "other"), [claude_line("user", "o-1", "Back again", sessionId="other")])
    followed.wait_for(lambda: "Back again" in followed.messages("other"))


def test_files_that_come_together_with_their_new_folders_are_all_followed(followed: Followed) -> None:
    write_lines(_log(followed.home), claude_session())
    followed.follow(assistants=["claude-code"])
    followed.wait_for(lambda: "Done." in followed.messages())
    names = [f"fresh-{number}" for number in range(40)]
    projects = followed.home / ".claude" / "projects"
    for name in names:
        line = claude_line("user", f"{name}-1", f"Hello from {name}", sessionId=name)
        write_lines(projects / f"-srv-{name}" / name / "deep" / f"{name}.jsonl", [line])
    followed.wait_for(lambda: all(followed.messages(name) == [f"Hello from {name}"] for name in names))


def test_database_that_changes_in_place_is_looked_at(followed: Followed) -> None:
    script = (
        "PRAGMA journal_mode = WAL;"
        "CREATE TABLE session (id TEXT, directory TEXT, title TEXT, time_updated INT);"
        "CREATE TABLE message (id TEXT, session_id TEXT, data TEXT);"
        "CREATE TABLE part (id TEXT, message_id TEXT, session_id TEXT, data TEXT);"
    )

    def said(n: int, text: str) -> list[tuple[str, tuple[object, ...]]]:
        part = json.dumps({"type": "text", "text": text})
        return [
            ("INSERT INTO message VALUES (?, 's1', '{\"role\":\"user\"}')", (f"m{n}",)),
            ("INSERT INTO part VALUES (?, ?, 's1', ?)", (f"p{n}", f"m{n}", part)),
        ]

    store = followed.home / ".local" / "share" / "opencode" / "opencode.db"
    write_database(
        store, script, [("INSERT INTO session VALUES ('s1', '/srv', 'T', 1)", ()), *said(1, "Hello")]
    )
    # Its host holds it open, so that what it writes stays in the write-ahead log.
    host = sqlite.connect(str(store))
    host.execute("SELECT count(*) FROM session").fetchone()
    followed.follow(assistants=["opencode"])
    followed.wait_for(lambda: followed.messages("s1") == ["Hello"])
    change_database(store, said(2, "Again"))
    followed.wait_for(lambda: followed.messages("s1") == ["Hello", "Again"])
    host.close()


def test_single_file_and_folder_can_be_named(followed: Followed, tmp_path: Path) -> None:
    single = write_lines(tmp_path / "one.jsonl", [claude_line("user", "a", "One", sessionId="one")])
    folder = tmp_path / "many"
    write_lines(folder / "two.jsonl", [claude_line("user", "b", "Two", sessionId="two")])
    followed.follow(single, folder)
    followed.wait_for(lambda: followed.messages("one") == ["One"] and followed.messages("two") == ["Two"])
    append_lines(single, [claude_line("user", "c", "More", sessionId="one")])
    write_lines(folder / "deep" / "three.jsonl", [claude_line("user", "d", "Three", sessionId="three")])
    followed.wait_for(
        lambda: followed.messages("one") == ["One", "More"] and followed.messages("three") == ["Three"]
    )


def test_following_can_be_changed_and_ended(followed: Followed, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    write_lines(folder / "a.jsonl", [claude_line("user", "a", "One", sessionId="one")])
    followed.follow(folder)
    followed.wait_for(lambda: followed.messages("one") == ["One"])
    followed.watcher.follow(Watch(enabled=False))
    assert (followed.watcher.places(), followed.watcher.state().is_running) == ([], False)
    append_lines(folder / "a.jsonl", [claude_line("user", "b", "Unseen until now", sessionId="one")])
    assert followed.messages("one") == ["One"]
    followed.follow(folder)
    followed.wait_for(lambda: followed.messages("one") == ["One", "Unseen until now"])
    followed.watcher.stop()
    followed.watcher.stop()
    assert not followed.watcher.state().is_running


def test_bad_lines_are_counted_and_the_rest_is_logged(followed: Followed, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a" / "a.jsonl", [claude_line("user", "a", "One", sessionId="one")])
    with path.open("a") as stream:
        stream.write("no json\n")
    append_lines(
        path, [claude_line("user", "b", "Two", sessionId="one", timestamp="2999-01-01T00:00:00.000Z")]
    )
    append_lines(
        path, [claude_line("user", "c", "Three", sessionId="one", timestamp="2026-11-20T10:00:09.000Z")]
    )
    followed.follow(tmp_path / "a")
    followed.wait_for(lambda: followed.messages("one") == ["One", "Two", "Three"])
    assert followed.watcher.state().n_bad_lines == 2


def test_full_disk_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    is_full = threading.Event()
    is_full.set()

    def check() -> None:
        if is_full.is_set():
            raise StorageFull("the disk cap is reached", hint="raise limits.disk_mb")

    made = Followed(tmp_path, check)
    try:
        write_lines(_log(made.home), claude_session())
        made.follow(assistants=["claude-code"])
        made.wait_for(lambda: made.watcher.state().last_error is not None)
        assert made.messages() == []
        assert [problem.part for problem in made.watcher.problems()] == ["watch"]
        is_full.clear()
        made.wait_for(lambda: "Done." in made.messages())
        assert made.watcher.problems() == []
    finally:
        made.watcher.stop()
        made.store.close()
