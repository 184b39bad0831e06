"""`penchant mcp`: its help; the process itself is `penchant_daemon.forward`, which the entry point runs."""

from __future__ import annotations

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Serve MCP over standard input and output, for an assistant.

    Assistants start this themselves (penchant connect writes it into their configuration). It forwards to
    the daemon, which it starts when none runs.
    """
    from penchant_daemon import forward

    return forward.main(list(arguments))
