"""`penchant down`: stop the daemon."""

from __future__ import annotations

import click

from penchant_daemon import lifecycle
from penchant_daemon.cli.output import emit
from penchant_daemon.home import home_dir


@click.command()
def command() -> None:
    """Stop the daemon; what it acknowledged is on disk."""
    stopped = lifecycle.stop(home_dir())
    emit(f"stopped (pid {stopped.pid})" if stopped else "not running")
