"""`penchant sessions`: what was worked on, and when."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import click

from penchant_daemon.cli.output import emit, fail, is_terminal, open_client
from penchant_daemon.cli.remember import project_argument
from penchant_daemon.wire import MAX_LIMIT, SessionDetail, SessionEvent, SessionOut

EXCERPT_CHARS = 400  # of one event when a session is shown; --json has all of it


@click.command()
@click.argument("session_id", metavar="[ID]", required=False)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    help="Most sessions (20), or most events of one (200).",
)
@click.option("--project", metavar="NAME", help="Only this project: a name or a path.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(session_id: str | None, limit: int | None, project: str | None, as_json: bool) -> int:
    """List sessions with their titles, the latest first; with an ID show what was said in one."""
    if session_id is not None and not session_id.strip():
        fail("ID is blank", "penchant sessions lists them")
    if session_id is not None and project is not None:
        fail("--project only goes with the list, not with one session", "penchant sessions ID")
    with open_client() as client:
        if session_id is not None:
            detail = client.session(session_id, limit=limit or 200)
            emit(detail if as_json else detail_text(detail))
            return 0
        found = client.sessions(
            limit=limit or 20, project=None if project is None else project_argument(project)
        )
    if as_json:
        emit(found)
    elif not found.sessions:
        emit("there are no sessions yet\n  penchant import reads those of your assistants")
    else:
        emit(list_text(found.sessions, shutil.get_terminal_size().columns if is_terminal() else 120))
    return 0


def list_text(sessions: Sequence[SessionOut], width: int) -> str:
    """One line a session: when, how much, where, by whom, its title, its id."""
    rows = [
        (
            (session.started_at or "")[:16].replace("T", " "),
            f"{session.n_messages} msg",
            _base(session.project),
            session.agent,
            session.id,
            ("↳ " if session.parent else "") + (session.title or "(no title yet)"),
        )
        for session in sessions
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(5)]
    lines = []
    for row in rows:
        line = "  ".join(cell.ljust(w) for cell, w in zip(row[:5], widths, strict=True)) + "  " + row[5]
        lines.append(line.rstrip() if len(line) <= max(width, 100) else line[: max(width, 100) - 1] + "…")
    return "\n".join(lines)


def detail_text(detail: SessionDetail) -> str:
    """A session's head and its events in order."""
    session = detail.session
    head = [
        session.title or "(no title yet)",
        f"{session.id} · {session.agent} · {_base(session.project) or 'no project'} · "
        f"{(session.started_at or '?')[:16].replace('T', ' ')} · {session.n_events} events",
    ]
    if session.parent:
        head.append(f"started by session {session.parent}")
    lines = ["\n".join(head), *(_event_text(event) for event in detail.events)]
    if detail.next_position is not None:
        lines.append(f"… more follow; -n {min(MAX_LIMIT, len(detail.events) * 5)} shows them")
    return "\n\n".join(lines)


def _event_text(event: SessionEvent) -> str:
    who = event.tool_name or event.speaker or event.role
    text = event.content.strip() or {"reference": "(refers to what Penchant returned)"}.get(event.kind, "")
    if len(text) > EXCERPT_CHARS:
        text = text[: EXCERPT_CHARS - 1] + "…"
    label = "" if event.kind == "message" else f" ({event.kind.replace('_', ' ')})"
    return f"{event.occurred_at[11:19]} {who}{label}\n" + "\n".join(
        f"    {line}" for line in text.splitlines()
    )


def _base(project: str | None) -> str:
    return "" if project is None else project.rstrip("/").rsplit("/", 1)[-1]
