"""`penchant ranker`: what was learned from use about ranking, what became of it, and how to undo it."""

from __future__ import annotations

import click

from penchant_daemon.cli.output import emit, fail, open_client
from penchant_daemon.wire import RankerModelOut, RankerOut, RollbackRequest

N_WEIGHTS = 8  # that differ most from the prior's


@click.group(name="ranker")
def command() -> None:
    """Show what recall learned about ranking from feedback and use, and undo it."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(as_json: bool) -> int:
    """What ranks now, and how far learning is."""
    with open_client() as client:
        answer = client.ranker()
    emit(answer if as_json else status_text(answer))
    return 0


@command.command()
@click.option(
    "-n", "limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def history(limit: int, as_json: bool) -> int:
    """What was learned, the latest first, and what became of it."""
    with open_client() as client:
        answer = client.ranker_history(limit)
    if as_json:
        emit(answer)
    elif not answer.models:
        emit("nothing was learned yet: outcomes come from penchant feedback, and from what assistants use")
    for model in [] if as_json else answer.models:
        emit("\n".join(_model_lines(model)))
    return 0


@command.command()
@click.argument("model_id", metavar="[ID]", required=False)
@click.option("--project", help="Undo what was learned for this project alone.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def rollback(model_id: str | None, project: str | None, as_json: bool) -> int:
    """Go back to the model before, or to the prior where there is none; with ID, to that model."""
    if model_id is not None and not model_id.strip():
        fail("the ID is blank", "penchant ranker history shows the ids")
    with open_client() as client:
        answer = client.roll_back_ranker(RollbackRequest(id=model_id, project=project))
    emit(answer if as_json else f"rolled back: {answer.ranks} ranks now")
    return 0


def status_text(answer: RankerOut) -> str:
    """The status as people read it."""
    lines = [f"prior     {answer.prior}"]
    for model in answer.active:
        where = "" if model.project is None else f" for {model.project}"
        lines.append(
            f"learned   {model.id} ({model.kind}{where}), since {model.changed_at[:16]}: {model.reason}"
        )
        lines += _weight_lines(model, answer.prior_weights)
    if not answer.active:
        lines.append("learned   nothing yet: the prior ranks")
    to_trees = max(answer.n_queries_for_trees - answer.n_queries, 0)
    lines.append(
        f"outcomes  {answer.n_outcomes:,} about {answer.n_queries:,} recalls"
        + (f"; {to_trees:,} more recalls with an outcome until trees are fitted" if to_trees else "")
    )
    lines.append(f"state     {answer.state}" + (f": {answer.detail}" if answer.detail else ""))
    if answer.shadow:
        lines.append(
            "shadow    " + ", ".join(f"{name} {value:+.3f}" for name, value in answer.shadow.items())
        )
    return "\n".join(lines)


def _weight_lines(model: RankerModelOut, prior: dict[str, float]) -> list[str]:
    """The weights that moved most, largest change first."""
    weights = model.weights or {}
    moved = sorted(weights, key=lambda name: -abs(weights[name] - prior.get(name, 0.0)))[:N_WEIGHTS]
    return [
        f"            {name:<22} {prior.get(name, 0.0):.2f} -> {weights[name]:.2f}"
        for name in moved
        if abs(weights[name] - prior.get(name, 0.0)) >= 0.01
    ]


def _model_lines(model: RankerModelOut) -> list[str]:
    where = "" if model.project is None else f", project {model.project}"
    counts = ", ".join(
        f"{name} {value}" for name, value in model.trained_on.items() if isinstance(value, int)
    )
    return [
        f"{model.created_at[:16].replace('T', ' ')}  {model.id}  {model.status}  {model.kind}{where}",
        f"    {model.reason}",
        *([f"    {counts}"] if counts else []),
    ]
