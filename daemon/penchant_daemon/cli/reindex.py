"""`penchant reindex`: make the vectors anew, with the present embedder or another one."""

from __future__ import annotations

import time

import click

from penchant_daemon.cli.output import emit, fail, open_client
from penchant_daemon.wire import ReindexRequest, StatusOut

_LOOK_S = 0.5


@click.command(name="reindex")
@click.option("--model", help="Embedder from now on (kept in the config); penchant models list shows them.")
@click.option("--wait", is_flag=True, help="Return when all is embedded, and show how far it is.")
def command(model: str | None, wait: bool) -> None:
    """Embed everything anew in the background; recall uses the old vectors until the new ones are complete."""
    with open_client() as client:
        told = client.reindex(ReindexRequest(model=model))
        emit(f"{told.n_items:,} items are embedded anew with {told.model}; recall goes on meanwhile")
        if not wait:
            emit("  penchant status shows how far it is")
            return
        shown = ""
        while (status := client.status()).index.state in ("reindexing", "indexing", "idle", "paused"):
            if is_done(status):
                emit(f"done: {status.index.done:,} of {status.index.total:,}")
                return
            line = f"{status.index.done:,} of {status.index.total:,}"
            if status.index.state == "paused":
                line += f", paused: {status.index.detail}"
            if line != shown:
                click.echo(line, err=True)
                shown = line
            time.sleep(_LOOK_S)
    fail(f"the index is {status.index.state}: {status.index.detail}", "penchant status")


def is_done(status: StatusOut) -> bool:
    """Whether nothing is rebuilt any more."""
    return status.index.state == "idle"
