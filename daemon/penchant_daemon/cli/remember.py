"""`penchant remember`: keep a statement."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import click

from penchant_daemon.cli.output import emit, fail, open_client
from penchant_daemon.wire import MAX_CONTENT_CHARS, MemoryIn, MemoryKind, Scope

STDIN = "-"


@click.command()
@click.argument("text")
@click.option(
    "--kind", type=click.Choice(get_args(MemoryKind)), default="fact", show_default=True, help="What it is."
)
@click.option("--project", metavar="NAME", help="Project it belongs to: a name, or a path such as `.`.")
@click.option(
    "--scope",
    type=click.Choice(get_args(Scope)),
    help="Who sees it: its own agent, the project, or all.  [default: project with --project, else global]",
)
@click.option("--agent", metavar="NAME", help="Who it is kept as coming from.  [default: cli]")
@click.option("--session", metavar="ID", help="Session it belongs to.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(
    text: str,
    kind: MemoryKind,
    project: str | None,
    scope: Scope | None,
    agent: str | None,
    session: str | None,
    as_json: bool,
) -> int:
    """Keep TEXT; with `-` it is read from standard input.

    Secrets in it are masked before it is stored.
    """
    if text == STDIN:
        text = _standard_input()
    if not text.strip():
        fail("TEXT is blank", "say what is to be remembered")
    if len(text) > MAX_CONTENT_CHARS:
        fail(
            f"TEXT has {len(text):,} characters, at most {MAX_CONTENT_CHARS:,} are kept",
            "cut it into statements",
        )
    if scope == "project" and project is None:
        fail("--scope project needs --project", "penchant remember TEXT --project NAME")
    memory = MemoryIn(
        content=text,
        kind=kind,
        project=None if project is None else project_argument(project),
        scope=scope,
        agent=agent,
        session=session,
    )
    with open_client() as client:
        (receipt,) = client.remember([memory])
    if as_json:
        emit(receipt)
        return 0
    said = {
        "stored": f"remembered {receipt.id}",
        "duplicate": f"known already as {receipt.id}",
        "reference": f"not stored: it only repeats {receipt.id or 'what Penchant returned'}",
    }
    emit(said[receipt.status] + masked_note(receipt.masked))
    return 0


def project_argument(project: str) -> str:
    """A project as the daemon knows it: a path in full (it runs in another directory), a name as it is."""
    if project in (".", "..") or project.startswith(("./", "../", "~")):
        return str(Path(project).expanduser().resolve())
    return project


def masked_note(n_masked: int) -> str:
    """What a person is told about secrets that were taken out; empty for none."""
    if not n_masked:
        return ""
    return f" ({n_masked} secret{'s' if n_masked > 1 else ''} masked)"


def _standard_input() -> str:
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fail(
            f"standard input is not UTF-8: byte {error.start} is {data[error.start]:#04x}",
            "convert it with iconv",
        )
