"""`penchant models`: which models are here, fetch one, choose one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from penchant_daemon import config, lifecycle
from penchant_daemon.cli.output import emit, fail, open_client
from penchant_daemon.errors import PenchantError
from penchant_daemon.home import home_dir
from penchant_daemon.wire import ReindexRequest

if TYPE_CHECKING:
    from penchant_daemon.models.registry import Model


@click.group(name="models")
def command() -> None:
    """Which models are here, fetch one, choose one."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(as_json: bool) -> None:
    """Show the models on this machine; * marks those in use."""
    from penchant_daemon.models.registry import list_models

    home = home_dir()
    used = _used(home)
    models = list_models(home)
    if as_json:
        emit([_as_json(model, used) for model in models])
        return
    rows = [("", "NAME", "KIND", "SIZE", "REVISION", "ABOUT")]
    for model in models:
        mark = "*" if (model.kind, model.name) in used else ""
        size, revision = f"{model.n_bytes / 1e6:,.0f} MB", model.revision[:24]
        rows.append((mark, model.name, _KINDS[model.kind], size, revision, model.about))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        emit("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for kind, name in sorted(used):
        if name and not any((model.kind, model.name) == (kind, name) for model in models):
            emit(
                f"! {name} is set as {_KINDS[kind]} and not here: penchant models pull, or models use another"
            )


@command.command(name="pull")
@click.argument("name", metavar="ORGANISATION/NAME[@REVISION]")
@click.option("--revision", help="Full commit id, 40 digits.")
@click.option("--file", "file", help="The GGUF file of a language model; without it, an embedder is fetched.")
@click.option("--sha256", help="Hash that the weights must have.")
@click.option("--endpoint", help="Another hub; default: HF_ENDPOINT, else huggingface.co.")
def pull_(
    name: str, revision: str | None, file: str | None, sha256: str | None, endpoint: str | None
) -> None:
    """Fetch a model. Nothing is used before it is whole and its hash is right; a cut download goes on."""
    from penchant_daemon.limits import size_of
    from penchant_daemon.models.pull import Wanted, pull

    repo, _, at = name.partition("@")
    if at and revision and at != revision:
        fail(f"two revisions: {at} and {revision}")
    if not (at or revision):
        fail(
            f"which revision of {repo}?",
            "give the full commit id: --revision COMMIT (its page has it under History)",
        )
    home = home_dir()
    lifecycle.prepare_home(home)
    left = config.load(home).limits.disk_mb * 1_000_000 - size_of(home)
    wanted = Wanted(repo, revision or at, file, sha256)
    with _Bars() as bars:
        try:
            model = pull(wanted, home, max_bytes=left, endpoint=endpoint, progress=bars.show)
        except KeyboardInterrupt:
            fail("stopped", "run the same command again: it goes on where it stopped", code=130)
    emit(f"{model.name} is here: {model.n_bytes / 1e6:,.0f} MB, SHA-256 {model.sha256}")
    if sha256 is None:
        emit(
            "  nobody vouched for this hash: it was recorded now and is checked from now on (--sha256 gives one)"
        )
    emit(f"  penchant models use {model.name}")


@command.command(name="use")
@click.argument("name")
def use(name: str) -> None:
    """Choose a model: an embedder re-embeds everything in the background, a language model writes titles."""
    from penchant_daemon.models.registry import list_models

    home = home_dir()
    found = [model for model in list_models(home) if model.name == name]
    if not found:
        fail(
            f"there is no model named {name} here",
            "penchant models list shows what is here, models pull fetches one",
        )
    lifecycle.prepare_home(home)
    runs = lifecycle.owner(home) is not None
    if found[0].kind == "local":
        config.set_value(home, "models.language_model", name)
        emit(f"{name} writes titles from now on" + (" after: penchant restart" if runs else ""))
        return
    if not runs:
        config.set_value(home, "models.embedder", name)
        emit(f"{name} embeds from the next start on; what is stored is embedded anew in the background then")
        return
    with open_client(autostart=False) as client:
        told = client.reindex(ReindexRequest(model=name))
    emit(
        f"{told.n_items:,} items are embedded anew with {told.model} in the background; recall goes on meanwhile"
    )


_KINDS = {"embedder": "embedder", "local": "language model"}


def _used(home: Path) -> set[tuple[str, str]]:
    try:
        settings = config.load(home).models
    except PenchantError as error:
        fail(error.message, error.hint)
    return {("embedder", settings.embedder), ("local", settings.language_model)}


def _as_json(model: Model, used: set[tuple[str, str]]) -> dict[str, object]:
    return {
        "name": model.name,
        "kind": model.kind,
        "path": str(model.path),
        "bytes": model.n_bytes,
        "sha256": model.sha256,
        "revision": model.revision,
        "source": model.source,
        "about": model.about,
        "is_used": (model.kind, model.name) in used,
    }


class _Bars:
    """A bar for each file on a terminal, nothing elsewhere."""

    def __enter__(self) -> _Bars:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, int] = {}
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, file: str, done: int, total: int) -> None:
        """As `pull` tells it."""
        if file not in self._tasks:
            self._tasks[file] = int(self._bars.add_task(file, total=total or None))
        self._bars.update(self._tasks[file], completed=done)  # type: ignore[arg-type]
