"""`penchant watch`: let the daemon follow session files live, or stop it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from penchant_daemon.capture.sources import ASSISTANTS, overridden_places
from penchant_daemon.cli.output import emit, fail, open_client
from penchant_daemon.wire import WatchOut, WatchRequest


@click.command(name="watch")
@click.argument("paths", nargs=-1)
@click.option("--claude-code", "claude_code", is_flag=True, help="Claude Code's sessions.")
@click.option("--codex", is_flag=True, help="Codex's sessions.")
@click.option("--cursor", is_flag=True, help="Cursor's chats.")
@click.option("--gemini", is_flag=True, help="Gemini CLI's chats.")
@click.option("--copilot", is_flag=True, help="Copilot CLI's sessions and VS Code's chats.")
@click.option("--opencode", is_flag=True, help="opencode's sessions.")
@click.option("--off", is_flag=True, help="Follow nothing any more.")
@click.option("--status", "shows_status", is_flag=True, help="Only show what is followed.")
def command(paths: tuple[str, ...], off: bool, shows_status: bool, **chosen: bool) -> None:
    """Follow PATHS and the default places of assistants: what they hold now, and what is written from now on.

    The choice is kept in the config and replaces the last one. Without any, shows what is followed.
    """
    assistants = [name for name in ASSISTANTS if chosen[name.replace("-", "_")]]
    if off and (paths or assistants):
        fail("--off goes without places", "penchant watch --off")
    with open_client() as client:
        if shows_status or not (off or paths or assistants):
            _say(client.watching())
            return
        request = WatchRequest(enabled=False)
        if not off:
            named = [Path(path).expanduser().absolute() for path in paths]
            # The daemon may run in another environment than this one.
            moved = overridden_places(assistants, os.environ, Path.home())
            everything = list(dict.fromkeys(map(str, [*named, *moved])))
            request = WatchRequest(assistants=assistants, paths=everything, enabled=True)
        _say(client.watch(request))


def _say(watching: WatchOut) -> None:
    if not watching.enabled:
        emit("nothing is followed")
        return
    emit("followed:")
    for place in watching.places:
        emit(f"  {place}{'' if Path(place).exists() else '  (does not exist yet)'}")
