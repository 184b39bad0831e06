"""A run's result as one picture: quality with intervals, recall by token budget, recall by type of question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penchant_daemon.evaluation.drawing import Box, Line, Mark, Sheet, Words, can_write
from penchant_daemon.evaluation.measures import DEPTH, Figure
from penchant_daemon.evaluation.recall import WAYS, Result
from penchant_daemon.evaluation.report import way_name

__all__ = ["check", "draw", "sheet_of"]

# Okabe and Ito (2008): told apart by people with any colour vision; the daemon's own is the strongest.
_COLOURS = dict(zip(WAYS, ("#bbbbbb", "#56b4e9", "#009e73", "#e69f00", "#d55e00"), strict=True))
_GREY, _FAINT = "#666666", "#e4e4e4"
_WIDTH, _LEFT, _RIGHT = 1000.0, 46.0, 16.0
_PANEL, _GAP, _TOP, _LABELS = 210.0, 64.0, 88.0, 22.0


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a panel's values are drawn: 0 at the bottom, 1 at the top."""

    x: float
    y: float
    width: float
    height: float

    def level(self, value: float) -> float:
        return self.y + self.height * (1.0 - min(max(value, 0.0), 1.0))


@dataclass(frozen=True, slots=True)
class _Bars:
    """A group of bars and its label."""

    label: str
    figures: Sequence[tuple[str, Figure]]


def check(path: Path) -> None:
    """Say before a run whether its plot could be written.

    :raises EvaluationError: it could not.
    """
    can_write(path)


def draw(result: Result, path: Path) -> None:
    """Write the picture in the format of the path's ending."""
    sheet_of(result).write(path)


def sheet_of(result: Result) -> Sheet:
    """The picture: two or three panels under one legend."""
    seed, ways = result.plan.seed, result.plan.all_ways
    has_budgets = result.plan.unit == "turn" and bool(result.plan.budgets)
    n_panels = 3 if has_budgets else 2
    height = _TOP + n_panels * (_PANEL + _GAP)
    first = next(iter(result.outcomes.values()))
    title = f"{result.dataset.name}: {first.n():,} questions, {result.dataset.n_texts:,} texts"
    sheet = Sheet(_WIDTH, height, f"Recall on {title}")
    sheet.marks += [Words(_LEFT, 28, title, 18), *_legend(ways)]
    frames = [
        _Frame(_LEFT, _TOP + i * (_PANEL + _GAP), _WIDTH - _LEFT - _RIGHT, _PANEL) for i in range(n_panels)
    ]
    measures = [name for name in result.measures if not name.endswith("tokens")]
    overall = [
        _Bars(name, [(way, result.outcomes[way].figure(name, seed)) for way in ways]) for name in measures
    ]
    sheet.marks += _bars(frames[0], "all questions, with 95 % intervals", overall)
    deep = result.plan.ks[-1] if DEPTH not in result.plan.ks else DEPTH
    by_type = [
        _Bars(type_, [(way, result.outcomes[way].figure(f"recall@{deep}", seed, type_)) for way in ways])
        for type_ in result.types
    ]
    sheet.marks += _bars(frames[1], f"recall@{deep} by type of question", by_type)
    if has_budgets:
        sheet.marks += _budget_lines(frames[2], result)
    return sheet


def _legend(ways: Sequence[str]) -> list[Mark]:
    marks: list[Mark] = []
    for number, way in enumerate(ways):
        x = _LEFT + number * 130
        marks += [Box(x, 40, 14, 12, _COLOURS[way]), Words(x + 20, 51, way_name(way), 13)]
    return marks


def _axis(frame: _Frame, title: str) -> list[Mark]:
    marks: list[Mark] = [Words(frame.x, frame.y - 8, title, 13, colour=_GREY)]
    for tenth in range(0, 11, 2):
        y = frame.level(tenth / 10)
        marks.append(Line([(frame.x, y), (frame.x + frame.width, y)], _FAINT if tenth else _GREY))
        marks.append(Words(frame.x - 6, y + 4, f"{tenth / 10:.1f}", 11, "end", _GREY))
    return marks


def _bars(frame: _Frame, title: str, groups: Sequence[_Bars]) -> list[Mark]:
    marks = _axis(frame, title)
    room = frame.width / len(groups)
    longest = int(room / 6.2)
    for number, group in enumerate(groups):
        width = min(34.0, room * 0.8 / len(group.figures))
        x = frame.x + room * (number + 0.5) - width * len(group.figures) / 2
        for way, figure in group.figures:
            y = frame.level(figure.value)
            said = f"{group.label}, {way_name(way)}: {figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
            marks.append(Box(x, y, width * 0.9, frame.y + frame.height - y, _COLOURS[way], said))
            middle = x + width * 0.45
            marks.append(
                Line([(middle, frame.level(figure.low)), (middle, frame.level(figure.high))], "#222222")
            )
            x += width
        label = group.label if len(group.label) <= longest else group.label[: longest - 1] + "…"
        centre = frame.x + room * (number + 0.5)
        marks.append(Words(centre, frame.y + frame.height + _LABELS - 6, label, 11.5, "middle"))
    return marks


def _budget_lines(frame: _Frame, result: Result) -> list[Mark]:
    budgets, ways, seed = result.plan.budgets, result.plan.all_ways, result.plan.seed
    marks = _axis(frame, "recall within a budget of tokens")
    room = frame.width / len(budgets)
    at = [frame.x + room * (i + 0.5) for i in range(len(budgets))]
    for way in ways:
        figures = [result.outcomes[way].figure(f"recall@{budget}tokens", seed) for budget in budgets]
        levels = [frame.level(figure.value) for figure in figures]
        marks.append(Line(list(zip(at, levels, strict=True)), _COLOURS[way], 2.5))
        for x, level, figure, budget in zip(at, levels, figures, budgets, strict=True):
            said = f"{budget:,} tokens, {way_name(way)}: {figure.value:.3f}"
            marks.append(Box(x - 3.5, level - 3.5, 7, 7, _COLOURS[way], said))
    for x, budget in zip(at, budgets, strict=True):
        marks.append(Words(x, frame.y + frame.height + _LABELS - 6, f"{budget:,} tokens", 11.5, "middle"))
    return marks
