"""Pictures: the same marks as SVG and as PNG."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from penchant_daemon.evaluation import plot, question_file
from penchant_daemon.evaluation.drawing import Box, Line, Sheet, Words
from penchant_daemon.evaluation.errors import EvaluationError
from penchant_daemon.evaluation.recall import Plan, Result, evaluate

ORION = Path(__file__).resolve().parents[3] / "examples" / "orion-questions.json"


class Silent:
    def pool(self, name: str, number: int, n_pools: int) -> None: ...

    def step(self, what: str, done: int, total: int) -> None: ...


@pytest.fixture(scope="module")
def result() -> Result:
    """Of the example, without a daemon."""
    return evaluate(question_file.read(ORION), Plan(ways=()), Silent())


def test_a_bar_is_as_high_as_its_figure(result: Result) -> None:
    sheet = plot.sheet_of(result)
    bars = {mark.title: mark for mark in sheet.marks if isinstance(mark, Box) and "[" in mark.title}
    heights = {title.split(":")[0]: bar.height for title, bar in bars.items()}
    for way, name in (("grep", "grep"), ("bm25", "bm25 (FTS5)")):
        for measure in ("recall@5", "mrr"):
            figure = result.outcomes[way].figure(measure, 0)
            assert heights[f"{measure}, {name}"] == pytest.approx(210.0 * figure.value)
    assert len({bar.colour for bar in bars.values()}) == 2


def test_marks_stay_on_the_sheet(result: Result) -> None:
    sheet = plot.sheet_of(result)
    for mark in sheet.marks:
        match mark:
            case Box():
                corners = [(mark.x, mark.y), (mark.x + mark.width, mark.y + mark.height)]
            case Line():
                corners = list(mark.points)
            case Words():
                corners = [(mark.x, mark.y)]
        assert all(0 <= x <= sheet.width and 0 <= y <= sheet.height for x, y in corners)


def test_text_in_svg_is_escaped_and_the_document_is_whole(tmp_path: Path) -> None:
    sheet = Sheet(100, 50, "a < b", [Words(1, 20, "x & <y>"), Box(1, 1, 5, 5, "#000000", '"quoted"')])
    sheet.write(tmp_path / "out.svg")
    root = ElementTree.parse(tmp_path / "out.svg").getroot()
    assert [element.text for element in root.iter() if element.tag.endswith("text")] == ["x & <y>"]


def test_a_png_shows_the_same_colours(tmp_path: Path) -> None:
    from PIL import Image

    sheet = Sheet(40, 30, "boxes", [Box(0, 0, 20, 30, "#d55e00"), Line([(30, 0), (30, 30)], "#56b4e9", 4)])
    sheet.write(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (80, 60)
        assert image.getpixel((10, 30)) == (0xD5, 0x5E, 0x00)
        assert image.getpixel((60, 30)) == (0x56, 0xB4, 0xE9)
        assert image.getpixel((78, 30)) == (255, 255, 255)


def test_without_pillow_a_png_is_refused_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.ImageDraw", None)
    with pytest.raises(EvaluationError) as caught:
        plot.check(tmp_path / "out.png")
    assert caught.value.hint == "pip install 'penchant[eval]', or name an .svg"
    plot.check(tmp_path / "out.svg")
