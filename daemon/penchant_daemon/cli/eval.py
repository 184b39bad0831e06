"""`penchant eval`: how well Penchant finds, and how much ranking learns of a person's taste."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from penchant_daemon.cli.output import emit, fail, is_terminal

if TYPE_CHECKING:
    from penchant_daemon.evaluation.datasets import Dataset
    from penchant_daemon.evaluation.recall import Plan

_COMPARED = ("bm25", "vector", "fusion", "learned")
_SAY_EVERY_S = 10.0  # where nobody watches a line that changes


@click.group(name="eval")
def command() -> None:
    """Measure Penchant by questions whose answers are known, on data directories of its own.

    Nothing of your own is read or written."""


@command.command()
@click.option(
    "--dataset",
    required=True,
    metavar="NAME|FILE",
    help="locomo, beam, prefeval, cosqa, longmemeval, or a file of your own (docs/evaluation.md).",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where the public data sets are; default: ../shared/data.",
)
@click.option(
    "--compare",
    default=",".join(_COMPARED),
    show_default=True,
    metavar="WAYS",
    help="Rankings beside grep and bm25 (FTS5): vector, fusion, learned (the daemon's own).",
)
@click.option(
    "--unit", type=click.Choice(["turn", "session"]), help="What is looked for; default: the data set's own."
)
@click.option(
    "--pooled/--per-conversation",
    default=False,
    show_default=True,
    help="All conversations in one data directory, or each in its own.",
)
@click.option(
    "-k",
    "ks",
    default="",
    metavar="K,…",
    help="How far down recall looks; default: 5,10,20 (sessions: 5,10).",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the resampling for intervals.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Keep the filled data directories here and use them again.",
)
@click.option("--limit-questions", type=click.IntRange(1), metavar="N", help="Only the first N questions.")
@click.option(
    "--json",
    "json_to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write all figures here.",
)
@click.option(
    "--plot",
    "plot_to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the figures here: .svg, or .png (needs penchant[eval]).",
)
@click.option("--in-process", is_flag=True, help="Ask without a daemon, for tuning; needs --keep.")
def recall(
    dataset: str,
    data: Path | None,
    compare: str,
    unit: str | None,
    pooled: bool,
    ks: str,
    seed: int,
    keep: Path | None,
    limit_questions: int | None,
    json_to: Path | None,
    plot_to: Path | None,
    in_process: bool,
) -> None:
    """Measure how well recall finds what was said.

    Prints recall, NDCG, reciprocal rank and hits with 95 % intervals, recall within token budgets, latency and
    cost, for grep, FTS5 and what --compare names; and how all of it was measured.
    """
    from penchant_daemon.evaluation import plot
    from penchant_daemon.evaluation.datasets import first_questions
    from penchant_daemon.evaluation.recall import evaluate
    from penchant_daemon.evaluation.report import as_json, text_of

    ways = tuple(dict.fromkeys(part.strip() for part in compare.split(",") if part.strip()))
    if unknown := [way for way in ways if way not in _COMPARED]:
        fail(f"--compare: there is no ranking {unknown[0]!r}", f"choose from {', '.join(_COMPARED)}")
    _check_written(json_to, plot_to)
    loaded = _loaded(dataset, data)
    if limit_questions is not None:
        loaded = first_questions(loaded, limit_questions)
    plan = _plan(loaded, ways, unit, pooled, ks, seed, keep, in_process)
    # The daemon runs in a session of its own: whoever ends us must not leave it behind.
    signal.signal(signal.SIGTERM, _end)
    with _Line() as line:
        result = evaluate(loaded, plan, line)
    emit(text_of(result))
    if json_to is not None:
        _write_json(json_to, as_json(result))
    if plot_to is not None:
        plot.draw(result, plot_to)


@command.command()
@click.option("--users", type=click.IntRange(2, 200), default=20, show_default=True, help="Simulated people.")
@click.option(
    "--interactions",
    type=click.IntRange(1, 52),
    default=50,
    show_default=True,
    help="Recalls of each that feedback is given on.",
)
@click.option(
    "--wrong",
    default="0,0.2",
    show_default=True,
    metavar="SHARE,…",
    help="Shares of feedback that says the contrary; each is measured by itself.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of people and feedback.")
@click.option(
    "--json",
    "json_to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write all figures here.",
)
@click.option(
    "--plot",
    "plot_to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the figures here: .svg, or .png (needs penchant[eval]).",
)
def personalization(
    users: int, interactions: int, wrong: str, seed: int, json_to: Path | None, plot_to: Path | None
) -> None:
    """Measure how much ranking learns of a person's taste.

    Simulated people with a hidden taste judge what they are shown, and are then asked other questions: NDCG@5 and
    reciprocal rank before and after so many interactions, with 95 % intervals over people, with true and with partly
    contradictory feedback. Takes some ten minutes on two cores.
    """
    from penchant_daemon.evaluation import personalization_plot
    from penchant_daemon.evaluation.personalization import Plan, evaluate
    from penchant_daemon.evaluation.personalization_report import as_json, text_of

    plan = Plan(users, interactions, _shares(wrong), seed)
    _check_written(json_to, plot_to)
    signal.signal(signal.SIGTERM, _end)
    with _Line() as line:
        result = evaluate(plan, line)
    emit(text_of(result))
    if json_to is not None:
        _write_json(json_to, as_json(result))
    if plot_to is not None:
        personalization_plot.draw(result, plot_to)


def _shares(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        fail(f"--wrong: {text!r} is no list of shares such as 0,0.2")
    if not all(0.0 <= share <= 1.0 for share in shares):
        fail(f"--wrong: {text!r} is not within 0 and 1")
    return shares


def _check_written(json_to: Path | None, plot_to: Path | None) -> None:
    """Refuse before a run what could not be written after it."""
    from penchant_daemon.evaluation import plot

    if plot_to is not None:
        plot.check(plot_to)
    for path in (json_to, plot_to):
        if path is not None and not path.absolute().parent.is_dir():
            fail(f"{path}: there is no folder {path.absolute().parent}")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _loaded(name: str, data: Path | None) -> Dataset:
    from penchant_daemon.evaluation import public_sets, question_file

    if name in public_sets.PUBLIC_SETS:
        return public_sets.load(name, data or public_sets.default_data_folder())
    path = Path(name).expanduser()
    if not path.exists() and path.suffix.lower() != ".json":
        known = ", ".join(public_sets.PUBLIC_SETS)
        fail(f"--dataset: {name!r} is neither a data set nor a file", f"choose from {known}, or name a file")
    return question_file.read(path)


def _plan(
    dataset: Dataset,
    ways: tuple[str, ...],
    unit: str | None,
    pooled: bool,
    ks: str,
    seed: int,
    keep: Path | None,
    in_process: bool,
) -> Plan:
    from penchant_daemon.evaluation.recall import Plan

    chosen = dataset.unit if unit is None else "session" if unit == "session" else "turn"
    numbers = _ks(ks) if ks else (5, 10) if chosen == "session" else (5, 10, 20)
    return Plan(
        unit=chosen,
        is_pooled=pooled,
        ks=numbers,
        ways=ways,
        seed=seed,
        keep=keep,
        is_in_process=in_process,
    )


def _ks(text: str) -> tuple[int, ...]:
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        fail(f"-k: {text!r} is no list of numbers such as 5,10,20")
    if not 1 <= numbers[0] <= numbers[-1] <= 200:
        fail(f"-k: {text!r} is not within 1 and 200")
    return tuple(numbers)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


class _Line:
    """Says on standard error how far a run is: one line that changes, or one every ten seconds in a log."""

    def __init__(self) -> None:
        self._is_live = is_terminal() and sys.stderr.isatty()
        self._pool = ""
        self._said_at = time.monotonic()
        self._what = ""

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_live:
            click.echo("\r\x1b[K", nl=False, err=True)

    def pool(self, name: str, number: int, n_pools: int) -> None:
        self._pool = f"{name} ({number}/{n_pools})"

    def step(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self._is_live:
            if done == total or what != self._what or now - self._said_at > 0.1:
                click.echo(f"\r\x1b[K{self._pool}: {what} {done:,} of {total:,}", nl=False, err=True)
                self._said_at = now
        elif now - self._said_at > _SAY_EVERY_S:
            click.echo(f"{self._pool}: {what} {done:,} of {total:,}", err=True)
            self._said_at = now
        self._what = what
