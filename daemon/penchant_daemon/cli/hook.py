"""`penchant hook`: what its help says; the process itself is `hook`, which the entry point starts directly."""

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
