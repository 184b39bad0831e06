"""The assistants that Penchant connects to: where their settings lie and what must stand in them.

Each edit changes one entry (`penchant`) in a file that belongs to another program: its comments, order and
layout stay, the state before is kept beside it, and a file that cannot be read is never written.
Everything is found from a `Places`, so that a test has a home folder of its own.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tomlkit
import tomlkit.exceptions
from pydantic import JsonValue
from tomlkit.items import Table

from penchant_daemon import jsonc
from penchant_daemon.errors import PenchantError

__all__ = [
    "ASSISTANTS",
    "HOOK_EVENTS",
    "Assistant",
    "BrokenSettings",
    "Connection",
    "Edit",
    "Places",
    "Program",
    "apply",
    "connection",
    "is_installed",
    "plan",
    "own_command",
    "run_own_command",
]

NAME = "penchant"
BACKUP_SUFFIX = ".before-penchant"

# Claude Code's hooks that `penchant hook` takes. Each call ends in milliseconds; the time-out is for a
# machine that swaps.
HOOK_EVENTS = (
    "SessionStart",
    "UserPromptSubmit",
    "PostToolUse",
    "PostToolUseFailure",
    "SubagentStop",
    "PreCompact",
    "PostCompact",
    "Stop",
    "SessionEnd",
)
HOOK_TIMEOUT_S = 5
_OUR_HOOK = re.compile(r"\bpenchant['\"]?(?:\.exe['\"]?)? hook [A-Za-z]+\s*$")


class BrokenSettings(PenchantError):
    """A settings file that cannot be read; it was left as it is."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a person's settings lie.

    :param home: the person's home folder.
    :param env: environment variables that move settings (`CODEX_HOME` and the like).
    :param platform: as `sys.platform` names it.
    """

    home: Path
    env: Mapping[str, str]
    platform: str = sys.platform

    @classmethod
    def of_this_user(cls) -> Places:
        """The person who runs this process."""
        return cls(Path.home(), dict(os.environ))

    def moved(self, variable: str, default: Path) -> Path:
        """The folder that an environment variable names, else the default."""
        value = self.env.get(variable, "").strip()
        return Path(value).expanduser() if value else default

    def app_folder(self, app: str) -> Path:
        """Where desktop applications keep their settings on this platform."""
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support" / app
        if self.platform == "win32":
            return self.moved("APPDATA", self.home / "AppData" / "Roaming") / app
        return self.moved("XDG_CONFIG_HOME", self.home / ".config") / app


@dataclass(frozen=True, slots=True)
class Program:
    """How an assistant must call Penchant.

    :param command: absolute path; applications that were started from a desktop have no shell's PATH.
    :param data_dir: the data directory, when it is not the default one: assistants clear the environment.
    """

    command: Path
    data_dir: Path | None = None

    @property
    def env(self) -> dict[str, JsonValue]:
        return {} if self.data_dir is None else {"PENCHANT_HOME": str(self.data_dir)}

    def hook_command(self, event: str) -> str:
        """The shell line of one hook."""
        prefix = "" if self.data_dir is None else f"PENCHANT_HOME={shlex.quote(str(self.data_dir))} "
        return f"{prefix}{shlex.quote(str(self.command))} hook {event}"


@dataclass(frozen=True, slots=True)
class Assistant:
    """One assistant: its names, its settings file and the shape of an entry there.

    :param name: as in `penchant connect NAME`.
    :param binary: its program on the PATH; None for an application without one.
    :param shape: which entry its file takes.
    :param keys: path of the servers in its file.
    :param afterwards: what the person does so that it takes effect.
    """

    name: str
    title: str
    binary: str | None
    shape: Literal["plain", "typed", "copilot", "opencode", "toml"]
    keys: tuple[str, ...]
    afterwards: str

    def settings(self, places: Places) -> Path:
        """Its settings file, whether it exists or not."""
        home = places.home
        match self.name:
            case "claude-code":
                moved = places.env.get("CLAUDE_CONFIG_DIR", "").strip()
                return (Path(moved).expanduser() if moved else home) / ".claude.json"
            case "codex":
                return places.moved("CODEX_HOME", home / ".codex") / "config.toml"
            case "cursor":
                return home / ".cursor" / "mcp.json"
            case "gemini":
                return home / ".gemini" / "settings.json"
            case "copilot":
                return places.moved("COPILOT_HOME", home / ".copilot") / "mcp-config.json"
            case "vscode":
                return places.app_folder("Code") / "User" / "mcp.json"
            case "opencode":
                folder = places.moved("XDG_CONFIG_HOME", home / ".config") / "opencode"
                commented = folder / "opencode.jsonc"
                return commented if commented.exists() else folder / "opencode.json"
            case "claude-desktop":
                return _claude_desktop_folder(places) / "claude_desktop_config.json"
        raise AssertionError(self.name)

    def hook_settings(self, places: Places) -> Path | None:
        """The file that holds its hooks, for assistants whose hooks `penchant hook` takes."""
        if self.name != "claude-code":
            return None
        return places.moved("CLAUDE_CONFIG_DIR", places.home / ".claude") / "settings.json"

    def entry(self, program: Program) -> dict[str, JsonValue]:
        """What must stand under its servers as `penchant`."""
        command = str(program.command)
        match self.shape:
            case "opencode":
                entry: dict[str, JsonValue] = {"type": "local", "command": [command, "mcp"], "enabled": True}
                return {**entry, "environment": program.env} if program.env else entry
            case "copilot":
                entry = {"type": "local", "command": command, "args": ["mcp"], "tools": ["*"]}
            case "typed":
                entry = {"type": "stdio", "command": command, "args": ["mcp"]}
            case "plain" | "toml":
                entry = {"command": command, "args": ["mcp"]}
        return {**entry, "env": program.env} if program.env else entry


def _claude_desktop_folder(places: Places) -> Path:
    if places.platform == "win32":
        # Installed from the Store, it reads this folder instead of %APPDATA%.
        local = places.moved("LOCALAPPDATA", places.home / "AppData" / "Local")
        packaged = local / "Packages" / "Claude_pzs8sxrjxfjjc" / "LocalCache" / "Roaming" / "Claude"
        if packaged.is_dir():
            return packaged
    return places.app_folder("Claude")


_NEW_SESSION = "start a new session"

ASSISTANTS: dict[str, Assistant] = {
    assistant.name: assistant
    for assistant in (
        Assistant(
            "claude-code", "Claude Code", "claude", "typed", ("mcpServers",), f"{_NEW_SESSION}, or use /mcp"
        ),
        Assistant("codex", "Codex", "codex", "toml", ("mcp_servers",), _NEW_SESSION),
        Assistant("cursor", "Cursor", "cursor", "plain", ("mcpServers",), "switch it on in Settings, MCP"),
        Assistant("gemini", "Gemini CLI", "gemini", "plain", ("mcpServers",), _NEW_SESSION),
        Assistant("copilot", "Copilot CLI", "copilot", "copilot", ("mcpServers",), _NEW_SESSION),
        Assistant(
            "vscode", "VS Code", "code", "typed", ("servers",), "confirm its trust prompt at first use"
        ),
        Assistant("opencode", "opencode", "opencode", "opencode", ("mcp",), _NEW_SESSION),
        Assistant("claude-desktop", "Claude Desktop", None, "plain", ("mcpServers",), "restart it fully"),
    )
}


@dataclass(frozen=True, slots=True)
class Edit:
    """One file as it is and as it should be.

    :param before: its text; None when it does not exist.
    """

    path: Path
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class Connection:
    """How an assistant stands to Penchant now.

    :param status: `absent` no entry; `connected`; `stale` an entry that starts something else, or nothing;
        `broken` the settings cannot be read.
    :param detail: what is wrong with it.
    """

    assistant: Assistant
    settings: Path
    status: Literal["connected", "absent", "stale", "broken"]
    detail: str | None = None
    has_hooks: bool | None = None


def is_installed(assistant: Assistant, places: Places) -> bool:
    """Whether this assistant seems to be used here: its program is on the PATH or its folder exists."""
    if assistant.binary and shutil.which(assistant.binary, path=places.env.get("PATH", "")):
        return True
    settings = assistant.settings(places)
    if settings.exists():
        return True
    return settings.parent != places.home and settings.parent.is_dir()


def connection(assistant: Assistant, places: Places, program: Program) -> Connection:
    """How an assistant stands to Penchant now; reads only."""
    settings = assistant.settings(places)
    try:
        servers = _servers(assistant, settings)
        has_hooks = _has_hooks(assistant, places, program)
    except BrokenSettings as error:
        return Connection(assistant, settings, "broken", error.message)
    entry = servers.get(NAME)
    if entry is None:
        return Connection(assistant, settings, "absent", None, has_hooks)
    wanted = assistant.entry(program)
    if not isinstance(entry, dict):
        return Connection(assistant, settings, "stale", "its entry is not an object", has_hooks)
    for key in ("command", "args", "env", "environment"):
        if entry.get(key) != wanted.get(key) and (entry.get(key) or wanted.get(key)):
            has, wants = json.dumps(entry.get(key)), json.dumps(wanted.get(key))
            return Connection(
                assistant, settings, "stale", f"its {key} is {has}, here it is {wants}", has_hooks
            )
    if entry.get("enabled") is False or entry.get("disabled") is True:
        return Connection(assistant, settings, "stale", "its entry is switched off", has_hooks)
    return Connection(assistant, settings, "connected", None, has_hooks)


def plan(
    assistant: Assistant, places: Places, program: Program, *, hooks: bool, undo: bool = False
) -> list[Edit]:
    """The edits that connect an assistant, or that undo it; nothing is written.

    :param hooks: whether its hooks are set as well; without, hooks of ours are taken out.
    :return: one edit per file that must change; none when all is as wanted.
    :raises BrokenSettings: a file cannot be read as what it should be.
    """
    edits = []
    settings = assistant.settings(places)
    before = _text(settings)
    is_wanted = not undo and connection(assistant, places, program).status == "connected"
    if not is_wanted and (before is not None or not undo):
        after = _with_entry(assistant, settings, before or "", None if undo else assistant.entry(program))
        edits.append(Edit(settings, before, after))
    hook_settings = assistant.hook_settings(places)
    if hook_settings is not None:
        before = _text(hook_settings)
        if before is not None or (hooks and not undo):
            after = _with_hooks(hook_settings, before or "", program if hooks and not undo else None)
            edits.append(Edit(hook_settings, before, after))
    return [edit for edit in edits if edit.after != (edit.before or "")]


def apply(edit: Edit) -> Path | None:
    """Write an edit: beside the file and then renamed over it, its permissions kept.

    :return: the copy of the state before, None when there was no file.
    :raises BrokenSettings: the file changed meanwhile, or cannot be written.
    """
    path = edit.path.resolve()  # a link to a folder of dotfiles stays a link
    if _text(path) != edit.before:
        raise BrokenSettings(f"{edit.path} was changed while it was edited", "run the command again")
    backup = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o600
        if edit.before is not None:
            mode = path.stat().st_mode & 0o7777
            backup = path.with_name(path.name + BACKUP_SUFFIX)
            _replace(backup, edit.before, mode)
        _replace(path, edit.after, mode)
    except OSError as error:
        raise BrokenSettings(f"{edit.path} cannot be written: {error.strerror or error}") from error
    return backup


def own_command(assistant: Assistant, places: Places, program: Program, *, undo: bool) -> list[list[str]]:
    """The assistant's own commands that make or remove the entry; none when it has none or is not here.

    Claude Code rewrites its file while it runs, so an edit beside it can be lost; its own command is not.
    """
    claude = shutil.which("claude", path=places.env.get("PATH", ""))
    if assistant.name != "claude-code" or claude is None:
        return []
    remove = [claude, "mcp", "remove", "--scope", "user", NAME]
    if undo:
        return [remove]
    add = [claude, "mcp", "add-json", "--scope", "user", NAME, json.dumps(assistant.entry(program))]
    has_entry = NAME in _servers(assistant, assistant.settings(places))
    return [remove, add] if has_entry else [add]  # `add` refuses a name that exists


def run_own_command(
    assistant: Assistant, places: Places, program: Program, *, undo: bool = False
) -> list[list[str]]:
    """Let the assistant's own command make the change, when it has one.

    :return: the commands that ran; empty when there is none or it failed, and the file is to be edited.
    """
    commands: Sequence[list[str]] = own_command(assistant, places, program, undo=undo)
    ran = []
    for command in commands:
        try:
            result = subprocess.run(
                command, env=dict(places.env), capture_output=True, timeout=60, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired):
            return []
        if result.returncode == 0:
            ran.append(command)
    state = connection(assistant, places, program).status
    return ran if state == ("absent" if undo else "connected") else []


def _text(path: Path) -> str | None:
    """The text with its line ends as they are; None when there is no such file."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise BrokenSettings(
            f"{path} is not UTF-8 (byte {error.start})", "save it as UTF-8 and run this again"
        ) from error
    except OSError as error:
        raise BrokenSettings(f"{path} cannot be read: {error.strerror}") from error


def _broken(path: Path, error: Exception) -> BrokenSettings:
    return BrokenSettings(f"{path}: {error}", "it was left as it is; mend it and run this again")


def _servers(assistant: Assistant, settings: Path) -> dict[str, JsonValue]:
    """The MCP servers of an assistant by name; empty when there are none."""
    text = _text(settings)
    if text is None:
        return {}
    if assistant.shape == "toml":
        try:
            found: object = tomlkit.parse(text).unwrap()
        except tomlkit.exceptions.TOMLKitError as error:
            raise _broken(settings, error) from error
    else:
        found = _parsed(settings, text)
    for key in assistant.keys:
        found = found.get(key, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def _parsed(path: Path, text: str) -> JsonValue:
    try:
        return jsonc.parse(text)
    except jsonc.BrokenJson as error:
        raise _broken(path, error) from error


def _with_entry(assistant: Assistant, settings: Path, text: str, entry: dict[str, JsonValue] | None) -> str:
    """The file's text with our entry as wanted; None takes it out."""
    if assistant.shape == "toml":
        return _with_toml_entry(settings, text, assistant.keys[0], entry)
    path = (*assistant.keys, NAME)
    try:
        return jsonc.remove(text, path) if entry is None else jsonc.put(text, path, entry)
    except jsonc.BrokenJson as error:
        raise _broken(settings, error) from error


def _with_toml_entry(settings: Path, text: str, key: str, entry: dict[str, JsonValue] | None) -> str:
    try:
        document = tomlkit.parse(text)
    except tomlkit.exceptions.TOMLKitError as error:
        raise _broken(settings, error) from error
    servers = document.get(key)
    if servers is not None and not isinstance(servers, MutableMapping):
        raise BrokenSettings(f"{settings}: {key} is not a table", "it was left as it is")
    if entry is None:
        if servers is None or NAME not in servers:
            return text
        del servers[NAME]
        if not servers:
            del document[key]
        return tomlkit.dumps(document)
    if servers is not None and NAME in servers and servers[NAME].unwrap() == entry:
        return text
    if servers is None:
        servers = tomlkit.table(is_super_table=True)
        document[key] = servers
    table = servers.get(NAME)
    if not isinstance(table, Table):
        table = tomlkit.table()
        servers[NAME] = table
    for name in [name for name in ("url", "env") if name in table and name not in entry]:
        del table[name]
    for name, value in entry.items():
        table[name] = value
    return tomlkit.dumps(document)


def _is_our_hook(group: JsonValue) -> bool:
    """Whether a group of hooks holds nothing but ours."""
    hooks = group.get("hooks") if isinstance(group, dict) else None
    if not isinstance(hooks, list) or not hooks:
        return False
    return all(
        isinstance(hook, dict) and _OUR_HOOK.search(str(hook.get("command", ""))) is not None
        for hook in hooks
    )


def _hook_group(program: Program, event: str) -> JsonValue:
    hook: dict[str, JsonValue] = {
        "type": "command",
        "command": program.hook_command(event),
        "timeout": HOOK_TIMEOUT_S,
    }
    return {"matcher": "", "hooks": [hook]}


def _with_hooks(path: Path, text: str, program: Program | None) -> str:
    """The text of a hook file with our hooks as wanted; None takes them out."""
    parsed = _parsed(path, text)
    present = parsed.get("hooks", {}) if isinstance(parsed, dict) else {}
    events = list(present) if isinstance(present, dict) else []
    try:
        for event in dict.fromkeys([*HOOK_EVENTS, *events]):
            groups = present.get(event, []) if isinstance(present, dict) else []
            ours = [group for group in groups if _is_our_hook(group)] if isinstance(groups, list) else []
            wanted = [_hook_group(program, event)] if program and event in HOOK_EVENTS else []
            if ours == wanted:
                continue
            text = jsonc.remove_where(text, ("hooks", event), _is_our_hook)
            for group in wanted:
                text = jsonc.append(text, ("hooks", event), group)
    except jsonc.BrokenJson as error:
        raise _broken(path, error) from error
    return text


def _has_hooks(assistant: Assistant, places: Places, program: Program) -> bool | None:
    """Whether all our hooks are set as wanted; None for assistants without."""
    path = assistant.hook_settings(places)
    if path is None:
        return None
    text = _text(path)
    return text is not None and _with_hooks(path, text, program) == text


def _replace(path: Path, text: str, mode: int) -> None:
    """Write beside and rename, so that a reader sees the old file or the new one, never half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
