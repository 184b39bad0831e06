"""`penchant up`: start the daemon, or say that it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from penchant_daemon import lifecycle
from penchant_daemon.cli.output import emit, say_error
from penchant_daemon.errors import LockHeld, PenchantError
from penchant_daemon.home import home_dir


@click.command()
@click.option("--foreground", is_flag=True, help="Run in this terminal instead of the background.")
@click.option(
    "--tcp", "tcp_port", type=click.IntRange(0, 65_535), help="Also listen on this port of 127.0.0.1."
)
@click.option("--ready-fd", type=int, hidden=True, help="File descriptor to write to when ready.")
def command(foreground: bool, tcp_port: int | None, ready_fd: int | None) -> int:
    """Start the daemon in the background; it answers when this returns."""
    home = home_dir()
    if foreground:
        return _run(home, tcp_port, ready_fd)
    started = lifecycle.start(home, tcp_port=tcp_port)
    running = lifecycle.owner(home)
    pid = f" (pid {running.pid})" if running else ""
    emit(f"{'started' if started else 'already running'}{pid}, {home}")
    return 0


def _run(home: Path, tcp_port: int | None, ready_fd: int | None) -> int:
    # structlog and the MCP SDK take rich along when it is there, for output that the daemon never makes: 5 MB.
    sys.modules["rich"] = None  # type: ignore[assignment]
    from penchant_daemon.app import run

    try:
        run(home, tcp_port=tcp_port, ready_fd=ready_fd, in_sight=ready_fd is None)
    except LockHeld as error:
        if error.pid == os.getpid():
            raise
        say_error(error)
        return lifecycle.EXIT_LOCK_HELD
    except PenchantError as error:
        say_error(error)
        return lifecycle.EXIT_UNUSABLE
    return 0
