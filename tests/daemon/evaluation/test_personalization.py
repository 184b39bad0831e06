"""A whole run on real daemons: a taste that is judged is served on other questions, and the report says by how much."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from penchant_daemon.evaluation.errors import EvaluationError
from penchant_daemon.evaluation.personalization import Arm, Plan, Result, Served, evaluate
from penchant_daemon.evaluation.personalization_plot import sheet_of
from penchant_daemon.evaluation.personalization_report import as_json, by_luck, gain_of, members, text_of
from penchant_daemon.evaluation.personas import GAINS, N_STATEMENTS, Trait
from penchant_ranker import graded_ndcg_at

Run = Callable[..., "subprocess.CompletedProcess[str]"]


class Steps:
    """Remembers how far a run came."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    def pool(self, name: str, number: int, n_pools: int) -> None:
        pass

    def step(self, what: str, done: int, total: int) -> None:
        self.seen.append((what, done, total))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the run makes its data directories."""
    made = Path(tempfile.mkdtemp(prefix="pv-", dir="/tmp"))
    before, tempfile.tempdir = tempfile.tempdir, str(made)
    yield made
    tempfile.tempdir = before
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def run(folder: Path) -> tuple[Result, Steps]:
    """Two people with a taste, ten recalls judged."""
    steps = Steps()
    return evaluate(Plan(n_users=2, n_interactions=10, wrong=(0.0,), n_held_out=8), steps), steps


def test_a_taste_is_served_on_questions_that_were_never_judged(run: tuple[Result, Steps]) -> None:
    result, steps = run
    (kind, both) = result.arms
    assert list(map(str, kind.traits)) == ["kind: decision"]
    assert list(kind.served) == [0, 5, 10]
    assert (kind.served[0].n_outcomes, kind.served[0].model) == (0, result.prior)
    for learned in (kind, both):
        assert learned.served[10].ndcg > learned.served[0].ndcg + 0.05
        assert learned.served[10].model != result.prior
        assert 5 <= learned.served[10].n_outcomes <= 10
        assert learned.state == "learned"
    assert kind.weights["decision"] == max(kind.weights.values()) > 0.0
    assert steps.seen[-1] == ("served", 2, 2)


def test_nothing_is_left_of_a_run(run: tuple[Result, Steps], folder: Path) -> None:
    assert list(folder.iterdir()) == []
    homes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            homes.append(process.environ().get("PENCHANT_HOME", ""))
    assert [home for home in homes if home.startswith(str(folder))] == []


def test_report_json_and_picture_say_the_same(run: tuple[Result, Steps]) -> None:
    result, _ = run
    text, written, picture = text_of(result), as_json(result), sheet_of(result).svg()
    (arm,) = written["arms"]
    figure = arm["groups"]["with a taste"]["ndcg"]["10"]
    shown = f"{figure['value']['value']:.3f} [{figure['value']['low']:.3f} {figure['value']['high']:.3f}]"
    assert shown in text
    assert f"{figure['points']['value']:+.3f}" in text
    assert f"10: {figure['value']['value']:.3f}" in picture
    assert "without" not in arm["groups"]
    assert [person["traits"] for person in arm["people"]] == [list(map(str, a.traits)) for a in result.arms]
    assert max(map(len, text.splitlines())) <= 130
    assert f"before any feedback, by {result.prior}" in " ".join(text.split())
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert json.loads(json.dumps(written)) == written


def arm(
    number: int, before: float, after: float, traits: tuple[Trait, ...] = (Trait("kind", "note"),)
) -> Arm:
    served = {0: Served(before, before, 0, "prior"), 50: Served(after, after, 50, "learned")}
    return Arm(number, traits, 0.0, served, 0.9, {}, "learned", "")


def test_a_gain_is_of_the_mean_in_points_percent_and_share_of_the_possible() -> None:
    gain = gain_of([arm(i, 0.3, 0.6) for i in range(5)], 50, 0)
    assert gain.points.value == pytest.approx(0.3)
    assert gain.percent.value == pytest.approx(100.0)
    assert gain.share is not None
    assert gain.share.value == pytest.approx(0.5)
    for figure in (gain.before, gain.after, gain.points, gain.percent):
        assert figure.low == pytest.approx(figure.value)
        assert figure.high == pytest.approx(figure.value)


def test_an_order_by_luck_is_worth_what_drawing_orders_says() -> None:
    rng = np.random.default_rng(0)
    gains = {str(i): gain for i, gain in enumerate(GAINS)}
    keys = [str(i) for i in range(N_STATEMENTS)]
    drawn = [graded_ndcg_at(rng.permutation(keys).tolist(), gains, 5) for _ in range(4000)]
    assert by_luck() == pytest.approx(np.mean(drawn), abs=0.015)


def test_people_who_differ_widen_the_interval() -> None:
    mixed = gain_of([arm(0, 0.3, 0.9), arm(1, 0.3, 0.3), arm(2, 0.2, 0.1), arm(3, 0.4, 0.5)], 50, 0)
    assert mixed.points.low < 0.0 < mixed.points.high
    assert mixed.points.low < mixed.points.value < mixed.points.high


def test_people_without_a_taste_are_counted_by_themselves() -> None:
    arms = (arm(0, 0.3, 0.6), arm(1, 0.5, 0.5, ()))
    result = Result(Plan(n_users=2, wrong=(0.0,)), arms, "prior", 888, 1.0)
    assert members(result, 0.0, "with a taste") == [arms[0]]
    assert members(result, 0.0, "without") == [arms[1]]
    assert members(result, 0.0, "all") == [*arms]


def test_more_interactions_than_topics_are_refused_before_anything_starts() -> None:
    with pytest.raises(EvaluationError, match="without using a topic twice"):
        evaluate(Plan(n_interactions=53), Steps())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--wrong", "some"), "'some' is no list of shares"),
        (("--wrong", "0,2"), "not within 0 and 1"),
        (("--users", "1"), "1 is not in the range"),
        (("--interactions", "60"), "60 is not in the range"),
        (("--plot", "out.pdf"), "ends in .svg or .png, not in .pdf"),
        (("--json", "/nowhere/out.json"), "there is no folder /nowhere"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    penchant: Run, free_env: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    run = penchant(free_env, "eval", "personalization", *arguments)
    assert run.returncode == 2
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_help_names_it(penchant: Run, free_env: dict[str, str], tmp_path: Path) -> None:
    assert "personalization" in penchant(free_env, "eval", "--help").stdout
