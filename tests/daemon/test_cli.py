"""The command line's frame: quick, lazy, and honest in its exit codes."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import penchant_daemon
from penchant_daemon.cli import VERBS
from penchant_daemon.cli.logs import followed, readable
from penchant_daemon.cli.status import text_of
from penchant_daemon.wire import StatusOut

if TYPE_CHECKING:
    from tests.daemon.conftest import Daemon

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(penchant_daemon.__file__).resolve().parents[2]


def test_help_lists_every_verb_with_its_line_and_imports_none(free_env: dict[str, str]) -> None:
    look = (
        "import sys; from penchant_daemon.entry import main; main(['--help']);"
        "print([m for m in sys.modules if m.split('.')[0] in ('pydantic', 'httpx2', 'numpy', 'mcp', 'fastapi')"
        " or m.startswith('penchant_daemon.cli.') and m != 'penchant_daemon.cli.output'])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", look], env=free_env, capture_output=True, text=True, check=True
    )
    for name, verb in VERBS.items():
        assert re.search(rf"^  {name} +{re.escape(verb.summary[:30])}", shown.stdout, re.MULTILINE), name
    assert shown.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", list(VERBS))
def test_every_verb_is_a_command_with_help(name: str) -> None:
    command = importlib.import_module(f"penchant_daemon.cli.{VERBS[name].module}").command
    assert isinstance(command, click.Command)
    assert command.help
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help, f"{name} {option.name}"


def test_unknown_verb_and_option_are_refused_with_a_hint(free_env: dict[str, str], penchant: Run) -> None:
    unknown = penchant(free_env, "remembr", "x")
    assert unknown.returncode == 2
    assert "remembr" in unknown.stderr
    option = penchant(free_env, "status", "--jsn")
    assert option.returncode == 2
    assert "--json" in option.stderr


def test_version_is_that_of_the_distribution(free_env: dict[str, str], penchant: Run) -> None:
    assert penchant_daemon.__version__ in penchant(free_env, "--version").stdout
    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{penchant_daemon.__version__}"' in project


def test_status_without_a_daemon_says_so_and_starts_none(free_env: dict[str, str], penchant: Run) -> None:
    shown = penchant(free_env, "status")
    assert (shown.returncode, shown.stdout.split(",")[0]) == (3, "not running")
    as_json = penchant(free_env, "status", "--json")
    assert json.loads(as_json.stdout) == {"running": False, "home": free_env["PENCHANT_HOME"]}
    assert not Path(free_env["PENCHANT_HOME"]).exists()
    assert penchant(free_env, "logs").returncode == 2


def test_status_of_a_running_daemon_is_text_for_people_and_json_for_programs(daemon: Daemon) -> None:
    as_json = daemon.penchant("status", "--json")
    status = StatusOut.model_validate_json(as_json.stdout)
    assert status.pid == daemon.pid
    shown = daemon.penchant("status")
    assert shown.returncode == 0
    assert f"pid {daemon.pid}" in shown.stdout
    assert str(daemon.home) in shown.stdout
    assert text_of(status).splitlines()[0].startswith("penchant ")


def test_logs_are_readable_or_json_and_as_many_as_asked(daemon: Daemon) -> None:
    shown = daemon.penchant("logs", "-n", "1")
    assert len(shown.stdout.splitlines()) == 1
    lines = daemon.penchant("logs", "--json").stdout.splitlines()
    assert json.loads(lines[0])["event"] == "ready"
    assert readable(lines[0]).split()[1:3] == ["info", "ready"]
    assert readable("no json\n") == "no json"
    assert daemon.penchant("logs", "-n", "0").stdout == ""


def test_followed_log_shows_what_is_added(daemon: Daemon) -> None:
    arguments = [sys.executable, "-u", "-m", "penchant_daemon.entry", "logs", "-f", "-n", "1"]
    following = subprocess.Popen(arguments, env=daemon.env, stdout=subprocess.PIPE, text=True)
    try:
        assert following.stdout is not None
        following.stdout.readline()
        daemon.penchant("restart")
        # Each line comes as it is written; the restart writes these two among others.
        seen = ""
        while "stopped" not in seen or " ready" not in seen:
            line = following.stdout.readline()
            assert line, seen
            seen += line
    finally:
        following.terminate()
        following.communicate(timeout=10)


def test_followed_log_shows_what_was_added_before_the_watch_began(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    path.write_text("shown already\nadded meanwhile\n", encoding="utf-8")
    lines = followed(path, len("shown already\n"))
    assert next(lines) == "added meanwhile"


def test_token_is_printed_once_and_replaced_by_the_next(daemon: Daemon) -> None:
    first = daemon.penchant("token", "laptop").stdout.strip()
    second = daemon.penchant("token", "laptop").stdout.strip()
    assert first != second
    assert len(first) > 40
    assert daemon.penchant("token", "").returncode == 2


def test_command_of_a_broken_pipe_ends_quietly(daemon: Daemon) -> None:
    script = f"{sys.executable} -m penchant_daemon.entry status --json | true"
    done = subprocess.run(["sh", "-c", script], env=daemon.env, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_nothing_heavy_is_imported_before_the_daemon_is_ready(free_env: dict[str, str]) -> None:
    look = (
        "import sys, penchant_daemon.app;"
        "print([m for m in ('mcp', 'onnxruntime', 'torch', 'tokenizers', 'kingfisher_sdk', 'llama_cpp', 'scipy',"
        " 'transformers', 'huggingface_hub', 'sentence_transformers') if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", look], env=free_env, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
