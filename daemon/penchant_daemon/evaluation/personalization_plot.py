"""How people are served, by how much feedback they gave, as one picture: a panel for each share that contradicts."""

from __future__ import annotations

from pathlib import Path

from penchant_daemon.evaluation.drawing import Box, Line, Mark, Sheet, Words
from penchant_daemon.evaluation.personalization import DEPTH, Result
from penchant_daemon.evaluation.personalization_report import GROUPS, gain_of, members

__all__ = ["draw", "sheet_of"]

# Okabe and Ito (2008): told apart by people with any colour vision.
_COLOURS = dict(zip(GROUPS, ("#d55e00", "#56b4e9", "#009e73"), strict=True))
_GREY, _FAINT = "#666666", "#e4e4e4"
_WIDTH, _PANEL, _LEFT, _TOP, _GAP = 480.0, 260.0, 46.0, 88.0, 40.0


def draw(result: Result, path: Path) -> None:
    """Write the picture in the format of the path's ending."""
    sheet_of(result).write(path)


def sheet_of(result: Result) -> Sheet:
    """The picture: NDCG with intervals over the number of interactions, panels side by side."""
    n_panels = len(result.plan.wrong)
    title = f"NDCG@{DEPTH} on questions never judged, {result.plan.n_users} people"
    sheet = Sheet(n_panels * (_WIDTH + _GAP) + _LEFT, _TOP + _PANEL + 48, title)
    sheet.marks.append(Words(_LEFT, 28, title, 18))
    for i, group in enumerate(GROUPS):
        x = _LEFT + i * 150
        sheet.marks += [Box(x, 40, 14, 12, _COLOURS[group]), Words(x + 20, 51, group, 13)]
    for i, wrong in enumerate(result.plan.wrong):
        sheet.marks += _panel(result, wrong, _LEFT + i * (_WIDTH + _GAP))
    return sheet


def _panel(result: Result, wrong: float, left: float) -> list[Mark]:
    plan = result.plan
    said = f"{wrong:.0%} contradictory" if wrong else "true feedback"
    marks: list[Mark] = [
        Words(left, _TOP - 8, f"{said}; dotted: knowing the taste", 13, colour=_GREY),
    ]
    for fifth in range(6):
        y = _level(fifth / 5)
        marks.append(Line([(left, y), (left + _WIDTH, y)], _FAINT if fifth else _GREY))
        marks.append(Words(left - 6, y + 4, f"{fifth / 5:.1f}", 11, "end", _GREY))
    room = _WIDTH / len(plan.checkpoints)
    at = [left + room * (i + 0.5) for i in range(len(plan.checkpoints))]
    for x, n in zip(at, plan.checkpoints, strict=True):
        marks.append(Words(x, _TOP + _PANEL + 18, f"{n}", 11.5, "middle"))
    marks.append(Words(left + _WIDTH / 2, _TOP + _PANEL + 36, "recalls with feedback", 11.5, "middle", _GREY))
    for place, group in enumerate(GROUPS):
        arms = members(result, wrong, group)
        if not arms:
            continue
        figures = [gain_of(arms, n, plan.seed).after for n in plan.checkpoints]
        xs = [x + 5.0 * (place - 1) for x in at]  # intervals beside each other
        levels = [_level(figure.value) for figure in figures]
        marks.append(Line(list(zip(xs, levels, strict=True)), _COLOURS[group], 2.5))
        for x, level, figure, n in zip(xs, levels, figures, plan.checkpoints, strict=True):
            marks.append(Line([(x, _level(figure.low)), (x, _level(figure.high))], _COLOURS[group]))
            words = f"{group}, {n}: {figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
            marks.append(Box(x - 3.5, level - 3.5, 7, 7, _COLOURS[group], words))
        y = _level(gain_of(arms, 0, plan.seed).knowing_taste.value)
        marks += [
            Line([(left + dash, y), (left + dash + 4.0, y)], _COLOURS[group])
            for dash in range(0, int(_WIDTH), 10)
        ]
    return marks


def _level(value: float) -> float:
    return _TOP + _PANEL * (1.0 - min(max(value, 0.0), 1.0))
