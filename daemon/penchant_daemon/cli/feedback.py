"""`penchant feedback`: say what became of a recalled memory."""

from __future__ import annotations

from typing import get_args

import click

from penchant_daemon.cli.output import emit, fail, open_client
from penchant_daemon.wire import FeedbackRequest, Verdict


@click.command()
@click.argument("memory_id", metavar="ID")
@click.argument("verdict", type=click.Choice(get_args(Verdict)))
@click.option("--impression", metavar="ID", help="The recall that showed it (its last line names it).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(memory_id: str, verdict: Verdict, impression: str | None, as_json: bool) -> int:
    """Say whether the memory ID helped, was wrong or is outdated; recall learns from it."""
    if not memory_id.strip() or (impression is not None and not impression.strip()):
        fail("an ID is blank", "penchant recall shows the ids")
    request = FeedbackRequest(memory_id=memory_id, verdict=verdict, impression_id=impression)
    with open_client() as client:
        answer = client.feedback(request)
    emit(answer if as_json else f"recorded: {memory_id} {verdict}")
    return 0
