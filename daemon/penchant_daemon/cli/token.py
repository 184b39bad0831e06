"""`penchant token`: a bearer token for an agent that comes over TCP."""

from __future__ import annotations

import hashlib
import secrets

import click

from penchant_daemon.cli.output import emit, open_client
from penchant_daemon.wire import AgentIn


@click.command()
@click.argument("agent")
def command(agent: str) -> None:
    """Make a token for AGENT and print it; an earlier token of AGENT no longer works."""
    # The token is made here and only its digest is sent: no route of the daemon can hand one out.
    token = "pen_" + secrets.token_urlsafe(32)
    with open_client() as client:
        client.add_agent(AgentIn(name=agent, token_digest=hashlib.sha256(token.encode()).hexdigest()))
    emit(token)
