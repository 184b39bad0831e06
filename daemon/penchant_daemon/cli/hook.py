"""`penchant hook`: its help; the process itself is `penchant_daemon.hook`, which the entry point runs."""

from __future__ import annotations

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="EVENT")
def command(arguments: tuple[str, ...]) -> int:
    """Take an assistant's hook (EVENT, such as UserPromptSubmit) as JSON from standard input.

    Assistants call this themselves. It always ends with code 0 within moments: memory must never stand in
    the way of the work.
    """
    from penchant_daemon import hook

    return hook.main(list(arguments))
