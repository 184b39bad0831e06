"""`penchant connect`: write Penchant into an assistant's configuration, or take it out again."""

from __future__ import annotations

import difflib
import os
import shlex
import shutil
import sys
from pathlib import Path

import click

from penchant_daemon import assistants
from penchant_daemon.assistants import ASSISTANTS, Assistant, Edit, Places, Program
from penchant_daemon.cli.output import emit, fail
from penchant_daemon.home import home_dir


@click.command()
@click.argument("assistant", required=False, type=click.Choice(list(ASSISTANTS)))
@click.option(
    "--hooks/--no-hooks",
    default=None,
    help="Also set the hooks that log sessions live and hand over context (claude-code; default: yes).",
)
@click.option("--dry-run", is_flag=True, help="Show what would change and write nothing.")
@click.option("--undo", is_flag=True, help="Take Penchant out again; everything else stays.")
def command(assistant: str | None, hooks: bool | None, dry_run: bool, undo: bool) -> None:
    """Connect ASSISTANT: enter Penchant among its MCP servers. Without ASSISTANT, show what is connected.

    Only Penchant's own entry changes; comments and layout of the file stay, and the state before is kept
    beside it. Doing it twice changes nothing.
    """
    places, program = Places.of_this_user(), this_program()
    if assistant is None:
        emit("\n".join(_overview(places, program)))
        return
    chosen = ASSISTANTS[assistant]
    if hooks and chosen.hook_settings(places) is None:
        fail(
            f"{chosen.title} has no hooks that Penchant takes",
            f"leave out --hooks; penchant import and penchant watch read the session files of {chosen.title}",
        )
    edits = assistants.plan(chosen, places, program, hooks=hooks is not False, undo=undo)
    if not edits:
        emit(f"{chosen.title} is {'not connected' if undo else 'connected already'}: nothing to change")
        return
    if dry_run:
        _show(chosen, places, program, edits, undo)
        return
    settings = chosen.settings(places)
    if any(edit.path == settings for edit in edits):
        for line in assistants.run_own_command(chosen, places, program, undo=undo):
            emit(f"ran {shlex.join(line[:6])} ...")
        edits = assistants.plan(chosen, places, program, hooks=hooks is not False, undo=undo)
    for edit in edits:
        backup = assistants.apply(edit)
        emit(f"{'changed' if edit.before is not None else 'made'} {edit.path}")
        if backup:
            emit(f"  as it was: {backup}")
    emit(f"{chosen.title} no longer uses Penchant" if undo else f"connected: {chosen.afterwards}")


def this_program() -> Program:
    """How assistants must call this installation of Penchant, with this data directory.

    :raises click.exceptions.Exit: there is no `penchant` program (a checkout without an install).
    """
    beside = Path(sys.executable).parent / "penchant"
    on_path = shutil.which("penchant")
    if beside.exists():
        path = beside
    elif on_path:
        path = Path(on_path)
    else:
        fail("there is no penchant program beside this Python", "pip install penchant")
    moved = os.environ.get("PENCHANT_HOME") or os.environ.get("XDG_DATA_HOME", "").strip()
    return Program(path.absolute(), home_dir() if moved else None)


def _overview(places: Places, program: Program) -> list[str]:
    lines = []
    for assistant in ASSISTANTS.values():
        state = assistants.connection(assistant, places, program)
        if state.status == "absent" and not assistants.is_installed(assistant, places):
            lines.append(f"{assistant.name:<15} not found here")
            continue
        words = {
            "connected": "connected",
            "absent": f"not connected      penchant connect {assistant.name}",
            "stale": f"connected wrongly  penchant connect {assistant.name}",
            "broken": "settings cannot be read",
        }[state.status]
        if state.status == "connected" and state.has_hooks is False:
            words += ", without hooks"
        lines.append(f"{assistant.name:<15} {words}")
        if state.detail:
            lines.append(f"{'':<15} {state.detail}")
    return lines


def _show(assistant: Assistant, places: Places, program: Program, edits: list[Edit], undo: bool) -> None:
    own = assistants.own_command(assistant, places, program, undo=undo)
    for line in own:
        emit(f"would run: {shlex.join(line)}")
    for edit in edits:
        if own and edit.path == assistant.settings(places):
            continue
        emit(f"would {'change' if edit.before is not None else 'make'} {edit.path}:")
        before = (edit.before or "").splitlines()
        changes = difflib.unified_diff(before, edit.after.splitlines(), lineterm="", n=1)
        emit("\n".join("  " + line for line in list(changes)[2:]))
