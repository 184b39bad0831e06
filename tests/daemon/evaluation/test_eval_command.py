"""`penchant eval` as a person types it."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

ORION = Path(__file__).resolve().parents[3] / "examples" / "orion-questions.json"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_one_command_prints_the_table_and_writes_json_and_plots(
    penchant: Run, free_env: dict[str, str], tmp_path: Path
) -> None:
    run = penchant(
        free_env, "eval", "recall", "--dataset", str(ORION), "-k", "1,5", "--limit-questions", "8",
        "--json", str(tmp_path / "out.json"), "--plot", str(tmp_path / "out.svg"), timeout_s=120.0,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "the first 8 of" in run.stdout
    for row in ("grep", "bm25 (FTS5)", "vector", "equal fusion", "learned", "recall@1 ", "recall@5 "):
        assert row in run.stdout
    assert "recall@20 " not in run.stdout
    assert max(map(len, run.stdout.splitlines())) <= 130
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert written["dataset"] == "orion"
    assert written["n_questions"] == 8
    shown = f"{written['all']['learned']['recall@5']['value']:.3f}"
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("recall@5 ")]
    assert shown in line
    picture = ElementTree.parse(tmp_path / "out.svg").getroot()
    assert picture.tag.endswith("svg")
    texts = {element.text for element in picture.iter() if element.tag.endswith("text")}
    assert {"learned", "recall@1", "2,000 tokens"} <= texts


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dataset", "lokomo"), "'lokomo' is neither a data set nor a file"),
        (("--dataset", "none.json"), "none.json: No such file or directory"),
        (("--dataset", "locomo", "--data", "/nowhere"), "/nowhere/locomo/*.json: no such file"),
        (("--dataset", str(ORION), "--compare", "magic"), "there is no ranking 'magic'"),
        (("--dataset", str(ORION), "--plot", "out.pdf"), "ends in .svg or .png, not in .pdf"),
        (("--dataset", str(ORION), "--plot", "/nowhere/out.svg"), "there is no folder /nowhere"),
        (("--dataset", str(ORION), "-k", "five"), "'five' is no list of numbers"),
        (("--dataset", str(ORION), "-k", "0,5"), "not within 1 and 200"),
        (("--dataset", str(ORION), "--unit", "session"), "which are of no session"),
        (("--dataset", str(ORION), "--in-process"), "only data directories are asked that were kept"),
        (("--dataset", str(ORION), "--limit-questions", "0"), "0 is not in the range"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_starts(
    penchant: Run, free_env: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    run = penchant(free_env, "eval", "recall", *arguments)
    assert run.returncode == 2
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_help_names_every_measurement(penchant: Run, free_env: dict[str, str]) -> None:
    run = penchant(free_env, "eval", "--help")
    assert "recall" in run.stdout
