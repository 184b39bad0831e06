"""The assistants of this machine: does each one's configuration start this Penchant."""

from __future__ import annotations

from collections.abc import Iterator

from penchant_daemon import assistants
from penchant_daemon.assistants import ASSISTANTS, Assistant, Places, Program
from penchant_daemon.doctor.finding import Finding

__all__ = ["check_assistants", "connected"]


def connected(places: Places, program: Program) -> list[str]:
    """The titles of the assistants that are connected to this Penchant."""
    return [
        assistant.title
        for assistant in ASSISTANTS.values()
        if assistants.connection(assistant, places, program).status == "connected"
    ]


def check_assistants(places: Places, program: Program) -> Iterator[Finding]:
    """Each assistant that is used here has Penchant among its MCP servers, as this installation."""
    for assistant in ASSISTANTS.values():
        state = assistants.connection(assistant, places, program)
        command = f"penchant connect {assistant.name}"
        if state.status == "broken":
            yield Finding(
                f"{assistant.name}_settings_broken",
                "warning",
                state.detail or f"{state.settings} cannot be read",
                f"{assistant.title} may ignore all its MCP servers",
            )
        elif state.status == "stale":
            yield Finding(
                f"{assistant.name}_stale",
                "warning",
                f"{assistant.title} starts another Penchant ({state.settings}): {state.detail}",
                "it remembers elsewhere, or not at all",
                command,
                mend=lambda chosen=assistant, hooks=bool(state.has_hooks): _connect(  # type: ignore[misc]
                    chosen, places, program, hooks
                ),
            )
        elif state.status == "absent" and assistants.is_installed(assistant, places):
            yield Finding(
                f"{assistant.name}_not_connected",
                "note",
                f"{assistant.title} is used here and not connected",
                "its sessions are not remembered, and it cannot ask",
                command,
            )
        elif state.status == "connected" and state.has_hooks is False:
            yield Finding(
                f"{assistant.name}_without_hooks",
                "note",
                f"{assistant.title} is connected without hooks",
                "its sessions are logged only by penchant import or penchant watch",
                command,
            )


def _connect(assistant: Assistant, places: Places, program: Program, hooks: bool) -> None:
    assistants.run_own_command(assistant, places, program)
    for edit in assistants.plan(assistant, places, program, hooks=hooks):
        assistants.apply(edit)
