"""`penchant restart`: stop the daemon if it runs, and start it."""

from __future__ import annotations

import click

from penchant_daemon import lifecycle
from penchant_daemon.cli.output import emit
from penchant_daemon.home import home_dir


@click.command()
@click.option(
    "--tcp", "tcp_port", type=click.IntRange(0, 65_535), help="Also listen on this port of 127.0.0.1."
)
def command(tcp_port: int | None) -> None:
    """Stop the daemon if it runs, and start it."""
    home = home_dir()
    stopped = lifecycle.stop(home)
    if stopped:
        emit(f"stopped (pid {stopped.pid})")
    lifecycle.start(home, tcp_port=tcp_port)
    running = lifecycle.owner(home)
    emit(f"started (pid {running.pid if running else 'unknown'}), {home}")
