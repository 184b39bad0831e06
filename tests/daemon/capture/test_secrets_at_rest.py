"""A key that anybody says, asks, imports or misspells is in no file below the data directory."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.daemon.capture.transcript_files import claude_line, write_lines
from tests.daemon.conftest import Daemon

from penchant_daemon import lifecycle
from penchant_daemon.client import Client
from penchant_daemon.errors import PenchantError
from penchant_daemon.wire import ContextRequest, EventIn, MemoryIn, RecallRequest

# Put together here, so that no scanner takes this file for a leak; neither has ever opened anything.
KEY = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
PASSWORD = "hunter2" + "horse"
SAID = f"the quokka deploy wants {KEY} and password={PASSWORD} since Monday"

Start = Callable[..., AbstractContextManager[Daemon]]


def files_with(home: Path, *secrets: str) -> list[str]:
    """The files below a data directory that hold any of the secrets, in UTF-8 or UTF-16."""
    forms = [secret.encode(encoding) for secret in secrets for encoding in ("utf-8", "utf-16-le")]
    found = []
    for path in home.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a log that was rotated meanwhile
            if path.is_file() and any(form in path.read_bytes() for form in forms):
                found.append(str(path.relative_to(home)))
    return found


def hook(env: dict[str, str], event: str, **fields: object) -> None:
    payload = {"session_id": "hooked", "cwd": "/srv/shop", "permission_mode": "default", **fields}
    subprocess.run(
        [sys.executable, "-m", "penchant_daemon.entry", "hook", event],
        input=json.dumps({"hook_event_name": event, **payload}).encode(), env=env, check=True, timeout=30,
    )  # fmt: skip


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that was told the secrets through every door."""
    from tests.daemon.conftest import running_daemon

    with running_daemon("[log]\nlevel = 'debug'\n") as daemon:
        client = daemon.client
        # The first question after the start is answered before the detectors are loaded.
        client.recall(RecallRequest(query=SAID))
        client.log_events(
            [
                EventIn(content=SAID, session="logged", speaker=f"Ann {KEY}", meta={"password": PASSWORD}),
                EventIn(kind="tool_result", role="tool", content=SAID, session="logged", tool_name="env"),
            ]
        )
        client.remember([MemoryIn(content=SAID, scope="global")])
        client.recall(RecallRequest(query=SAID))
        client.recall(RecallRequest(query="quokka deploy " + "word " * 795 + KEY))
        client.context(ContextRequest(event="UserPromptSubmit", prompt=SAID, session="other"))
        client.context(ContextRequest(event="SessionStart", prompt="startup", session="other"))
        hook(daemon.env, "UserPromptSubmit", prompt=SAID, prompt_id="p1")
        hook(daemon.env, "PostToolUse", tool_name="Bash", tool_use_id="t1",
             tool_input={"command": f"curl -H 'Authorization: token {KEY}'"}, tool_response=SAID)  # fmt: skip
        path = write_lines(tmp_path_factory.mktemp("told") / "told.jsonl", [claude_line("user", "u1", SAID)])
        assert daemon.penchant("import", str(path)).returncode == 0
        assert daemon.penchant("remember", SAID).returncode == 0
        assert daemon.penchant("recall", SAID).returncode == 0
        assert "quokka" in daemon.tool("recall", {"query": SAID})
        assert "stored" in daemon.tool("remember", {"content": f"the token of MCP is {KEY}"})
        for ask in (
            lambda: client.recall(RecallRequest(query="x", project=KEY)),
            lambda: client.remember([MemoryIn(content=SAID, valid_from="2026-01-02", valid_to="2026-01-01")]),
            lambda: client.get_memory(KEY),
            lambda: client.session(KEY),
        ):
            with pytest.raises(PenchantError):
                ask()
        yield daemon


def test_no_file_holds_what_was_masked_while_the_daemon_runs(told: Daemon) -> None:
    stored = told.client.recall(RecallRequest(query="quokka deploy")).results
    assert stored  # it was all stored, less the secrets
    assert all(KEY not in result.content and PASSWORD not in result.content for result in stored)
    assert files_with(told.home, KEY, PASSWORD) == []
    assert files_with(told.home, "quokka deploy wants") != []  # the search finds what is there


def test_no_file_holds_what_was_masked_after_the_daemon_has_ended(told: Daemon) -> None:
    lifecycle.stop(told.home)
    assert files_with(told.home, KEY, PASSWORD) == []


def test_what_hooks_spool_while_no_daemon_can_start_is_masked_too(free_env: dict[str, str]) -> None:
    home = Path(free_env["PENCHANT_HOME"])
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text("nonsense = true")
    hook(free_env, "UserPromptSubmit", prompt=SAID, prompt_id="p1")
    wait_for(lambda: bool(list(home.glob("spool/*.json"))))  # written by a child that the hook leaves behind
    assert files_with(home, KEY, PASSWORD) == []
    (home / "config.toml").unlink()
    assert lifecycle.start(home, env=free_env, timeout_s=30.0)
    with Client(home, agent="test", autostart=False) as client:
        hook(free_env, "Stop", last_assistant_message="done", prompt_id="p1")
        wait_for(lambda: client.status().counts.events == 2)
    assert files_with(home, KEY, PASSWORD) == []
