"""`penchant connect`: one entry in another program's settings, everything else as it was."""

from __future__ import annotations

import json
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from penchant_daemon import assistants
from penchant_daemon.assistants import ASSISTANTS, HOOK_EVENTS, Places, Program
from penchant_daemon.cli.connect import command, this_program

EXISTING = {
    "claude-code": """{
  "numStartups": 12,
  "mcpServers": {
    "other": {"command": "x"}
  },
  "ä": "ö"
}""",
    "codex": """# mine
model = "gpt"   # the model

[mcp_servers.other]
command = "x"

[tui]
theme = "dark"
""",
    "cursor": '{"mcpServers": {}, "x": 1}',
    "gemini": """{
  // theme
  "theme": "GitHub", /* end */
}
""",
    "copilot": '{\r\n\t"mcpServers": {\r\n\t\t"other": {"type": "local"}\r\n\t}\r\n}\r\n',
    "vscode": """{
\t// servers
\t"servers": {
\t\t"a": {"type": "http", "url": "http://x"},
\t},
\t"inputs": []
}
""",
    "opencode": """{
  "$schema": "https://opencode.ai/config.json",
  "mcp": {
    "o": {"type": "remote", "url": "u"} // o
  }
}
""",
    "claude-desktop": '{\n    "globalShortcut": ""\n}\n',
}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, {"PATH": ""}, "linux")


@pytest.fixture
def program() -> Program:
    return Program(Path("/opt/penchant/bin/penchant"))


def connect(places: Places, program: Program, name: str, *, hooks: bool = True, undo: bool = False) -> None:
    for edit in assistants.plan(ASSISTANTS[name], places, program, hooks=hooks, undo=undo):
        assistants.apply(edit)


def entry_in(name: str, text: str) -> object:
    from penchant_daemon import jsonc

    found: object = tomllib.loads(text) if name == "codex" else jsonc.parse(text)
    for key in (*ASSISTANTS[name].keys, "penchant"):
        assert isinstance(found, dict)
        found = found[key]
    return found


@pytest.mark.parametrize("name", ASSISTANTS)
def test_connecting_makes_the_file_of_an_assistant_that_has_none(
    name: str, places: Places, program: Program
) -> None:
    connect(places, program, name)
    settings = ASSISTANTS[name].settings(places)
    assert settings.is_relative_to(places.home)
    entry = entry_in(name, settings.read_text("utf-8"))
    assert entry == ASSISTANTS[name].entry(program)
    assert str(program.command) in json.dumps(entry)
    assert assistants.connection(ASSISTANTS[name], places, program).status == "connected"
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ASSISTANTS)
def test_everything_else_stays_and_undo_restores_the_bytes(
    name: str, places: Places, program: Program
) -> None:
    settings = ASSISTANTS[name].settings(places)
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_bytes(EXISTING[name].encode())
    settings.chmod(0o640)
    connect(places, program, name)
    text = settings.read_bytes().decode()
    assert entry_in(name, text) == ASSISTANTS[name].entry(program)
    following = iter(text)  # every character from before is still there, in the same order
    assert all(character in following for character in EXISTING[name])
    assert stat.S_IMODE(settings.stat().st_mode) == 0o640
    backup = settings.with_name(settings.name + assistants.BACKUP_SUFFIX)
    assert backup.read_bytes() == EXISTING[name].encode()

    assert assistants.plan(ASSISTANTS[name], places, program, hooks=True) == []
    connect(places, program, name, undo=True)
    restored = settings.read_bytes().decode()
    if name == "cursor":  # an empty "mcpServers" is emptied away with our entry
        assert json.loads(restored) == {"x": 1}
    else:
        assert restored == EXISTING[name]
    assert assistants.connection(ASSISTANTS[name], places, program).status == "absent"


def test_an_entry_of_an_older_installation_is_stale_and_replaced(places: Places, program: Program) -> None:
    connect(places, Program(Path("/old/bin/penchant"), Path("/old/data")), "codex")
    state = assistants.connection(ASSISTANTS["codex"], places, program)
    assert state.status == "stale"
    assert "/old/bin/penchant" in (state.detail or "")
    connect(places, program, "codex")
    text = ASSISTANTS["codex"].settings(places).read_text()
    assert "/old" not in text
    assert tomllib.loads(text)["mcp_servers"]["penchant"] == {
        "command": str(program.command),
        "args": ["mcp"],
    }


@pytest.mark.parametrize("name", ASSISTANTS)
def test_a_data_directory_of_ones_own_reaches_the_assistant(name: str, places: Places) -> None:
    program = Program(Path("/bin/penchant"), Path("/data/my penchant"))
    connect(places, program, name)
    text = ASSISTANTS[name].settings(places).read_text()
    assert '"/data/my penchant"' in text
    assert "PENCHANT_HOME" in text
    hooks = ASSISTANTS[name].hook_settings(places)
    if hooks is not None:
        line = json.loads(hooks.read_text())["hooks"]["Stop"][0]["hooks"][0]["command"]
        assert line == "PENCHANT_HOME='/data/my penchant' /bin/penchant hook Stop"
    assert assistants.connection(ASSISTANTS[name], places, program).status == "connected"


def test_hooks_are_set_beside_the_hooks_of_others(places: Places, program: Program) -> None:
    path = ASSISTANTS["claude-code"].hook_settings(places)
    assert path is not None
    path.parent.mkdir()
    theirs = {"matcher": "Bash", "hooks": [{"type": "command", "command": "notify penchant hooks"}]}
    original = json.dumps({"model": "opus", "hooks": {"Stop": [theirs]}}, indent=2)
    path.write_text(original)
    connect(places, program, "claude-code")
    hooks = json.loads(path.read_text())["hooks"]
    assert set(hooks) == set(HOOK_EVENTS)
    assert hooks["Stop"][0] == theirs
    assert [group["hooks"][0]["command"] for group in hooks["Stop"][1:]] == [
        "/opt/penchant/bin/penchant hook Stop"
    ]
    assert assistants.connection(ASSISTANTS["claude-code"], places, program).has_hooks

    moved = Program(Path("/new place/penchant"))
    assert assistants.connection(ASSISTANTS["claude-code"], places, moved).has_hooks is False
    connect(places, moved, "claude-code")
    hooks = json.loads(path.read_text())["hooks"]
    assert len(hooks["Stop"]) == 2
    assert hooks["Stop"][1]["hooks"][0]["command"] == "'/new place/penchant' hook Stop"

    connect(places, moved, "claude-code", undo=True)
    assert path.read_text() == original


def test_no_hooks_takes_hooks_out_and_keeps_the_server(places: Places, program: Program) -> None:
    connect(places, program, "claude-code")
    connect(places, program, "claude-code", hooks=False)
    state = assistants.connection(ASSISTANTS["claude-code"], places, program)
    assert (state.status, state.has_hooks) == ("connected", False)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("gemini", b'{"a": 1,, }', "line 1, column 9"),
        ("claude-code", b'{"mcpServers": [1]}', "mcpServers is not an object"),
        ("codex", b"[mcp_servers\n", "config.toml"),
        ("codex", b"mcp_servers = 3\n", "mcp_servers is not a table"),
        ("cursor", b'{"\xff": 1}', "not UTF-8"),
    ],
)
def test_a_broken_file_is_reported_and_never_written(
    name: str, content: bytes, problem: str, places: Places, program: Program
) -> None:
    settings = ASSISTANTS[name].settings(places)
    settings.parent.mkdir(exist_ok=True)
    settings.write_bytes(content)
    with pytest.raises(assistants.BrokenSettings, match=problem) as error:
        connect(places, program, name)
    assert str(settings) in str(error.value)
    assert settings.read_bytes() == content
    assert [path.name for path in settings.parent.iterdir() if path.is_file()] == [settings.name]


def test_a_link_to_dotfiles_stays_a_link(places: Places, program: Program) -> None:
    target = places.home / "dotfiles.json"
    target.write_text('{"mcpServers": {}}')
    settings = ASSISTANTS["cursor"].settings(places)
    settings.parent.mkdir()
    settings.symlink_to(target)
    connect(places, program, "cursor")
    assert settings.is_symlink()
    assert "penchant" in target.read_text()


def test_a_file_that_changed_meanwhile_is_not_overwritten(places: Places, program: Program) -> None:
    (edit,) = assistants.plan(ASSISTANTS["cursor"], places, program, hooks=False)
    edit.path.parent.mkdir()
    edit.path.write_text('{"new": 1}')
    with pytest.raises(assistants.BrokenSettings, match="changed while"):
        assistants.apply(edit)
    assert edit.path.read_text() == '{"new": 1}'


# A program of that name on the PATH, which keeps its file as Claude Code does.
CLAUDE = """#!/usr/bin/env python3
import json, os, sys
path = os.path.join(os.environ["HOME"], ".claude.json")
settings = json.load(open(path)) if os.path.exists(path) else {}
servers = settings.setdefault("mcpServers", {})
verb, name = sys.argv[2], sys.argv[5]
if verb == "add-json":
    if name in servers: sys.exit("exists")
    servers[name] = {**json.loads(sys.argv[6]), "env": {}}
elif servers.pop(name, None) is None: sys.exit("unknown")
json.dump(settings, open(path, "w"))
"""


@pytest.mark.parametrize("works", [True, False])
def test_claude_code_is_asked_to_make_the_entry_itself(
    works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "bin" / "claude"
    binary.parent.mkdir()
    binary.write_text(CLAUDE if works else "#!/bin/sh\nexit 1\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binary.parent}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PENCHANT_HOME")
    first = run("claude-code")
    assert first.exit_code == 0, first.output
    assert ("ran" in first.output) is works
    settings = json.loads((tmp_path / ".claude.json").read_text())
    assert settings["mcpServers"]["penchant"]["command"] == str(this_program().command)
    assert (tmp_path / ".claude" / "settings.json").exists()
    assert "nothing to change" in run("claude-code").output
    assert run("claude-code", "--undo").exit_code == 0
    assert "penchant" not in (tmp_path / ".claude.json").read_text()
    assert "penchant" not in (tmp_path / ".claude" / "settings.json").read_text()
    assert "nothing to change" in run("claude-code", "--undo").output


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def written(folder: Path) -> Mapping[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dry_run_shows_the_lines_and_writes_nothing() -> None:
    before = written(Path.home())
    result = run("gemini", "--dry-run")
    assert result.exit_code == 0, result.output
    assert '"mcp"' in result.output
    assert "would make" in result.output
    assert written(Path.home()) == before


def test_without_a_name_it_shows_how_each_assistant_stands() -> None:
    (Path.home() / ".cursor").mkdir()
    run("gemini")
    lines = {line.split()[0]: line for line in run().output.splitlines()}
    assert "penchant connect cursor" in lines["cursor"]
    assert "connected" in lines["gemini"]
    assert "not found here" in lines["opencode"]


def test_hooks_for_an_assistant_without_them_are_refused() -> None:
    result = run("cursor", "--hooks")
    assert result.exit_code == 2
    assert "has no hooks" in result.output
    assert written(Path.home()) == {}
