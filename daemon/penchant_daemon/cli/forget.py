"""`penchant forget`: erase memories."""

from __future__ import annotations

import sys

import click

from penchant_daemon.cli.output import emit, fail, open_client
from penchant_daemon.errors import NotFound
from penchant_daemon.wire import MAX_BATCH, MemoryOut

EXCERPT_CHARS = 80


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, the body of POST /v1/forget.")
def command(ids: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Erase memories and episodes by ID, and all that was derived from them; there is no way back.

    Shows what each ID is and asks first. Exit code 1 when an ID names nothing.
    """
    ids = tuple(dict.fromkeys(each.strip() for each in ids))
    if not all(ids):
        fail("an ID is blank", "penchant recall shows the ids")
    if len(ids) > MAX_BATCH:
        fail(f"{len(ids):,} ids are given, at most {MAX_BATCH:,} at once", "call it several times")
    with open_client() as client:
        if not yes:
            if not sys.stdin.isatty():
                fail("nobody is there to ask", "penchant forget ID --yes erases without asking")
            for each in ids:
                try:
                    click.echo(_line(client.get_memory(each)))
                except NotFound:
                    click.echo(f"{each}  there is none")
            click.confirm(f"Erase {'it' if len(ids) == 1 else 'them'} for good?", abort=True, err=True)
        answer = client.forget(ids)
    if as_json:
        emit(answer)
    else:
        for each in answer.forgotten:
            emit(f"forgotten {each}")
    for each in answer.unknown:
        click.echo(f"penchant: there is no memory {each[:100]}", err=True)
    return 1 if answer.unknown else 0


def _line(memory: MemoryOut) -> str:
    text = " ".join(memory.content.split())
    cut = text if len(text) <= EXCERPT_CHARS else text[: EXCERPT_CHARS - 1] + "…"
    return f"{memory.id}  {memory.occurred_at[:10]}  {memory.kind}  {cut}"
