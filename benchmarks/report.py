"""How a benchmark speaks: machine, data and seed first, then median and spread; the same as JSON on disk."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np

from penchant_daemon.evaluation.machine import machine

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity.

    :param value: the median of the runs.
    :param low: the smallest run, or where the interval begins; `high` the largest, or where it ends.
    :param runs: how many; 0 for one with a 95 % interval.
    :param target: what was aimed for, as text; None where nothing was.
    :param is_met: whether the median meets it.
    """

    name: str
    value: float
    unit: str
    low: float
    high: float
    runs: int
    target: str | None = None
    is_met: bool | None = None

    def __str__(self) -> str:
        of = f"in {self.runs}" if self.runs else "95 %"
        spread = "" if self.runs == 1 else f" ({shown(self.low)} to {shown(self.high)} {of})"
        aim = "" if self.target is None else f"   {'meets' if self.is_met else 'MISSES'} {self.target}"
        return f"{self.name:<58} {shown(self.value):>10} {self.unit}{spread}{aim}"


class Report:
    """The figures of one program, printed as they come and kept at the end."""

    def __init__(self, name: str, data: str, seed: int) -> None:
        self.name = name
        self.figures: list[Figure] = []
        self.data = data
        self.seed = seed
        self.machine = machine()
        print(f"== {name}")
        print("   " + ", ".join(f"{key} {value}" for key, value in self.machine.items()))
        print(f"   data: {data}; seed {seed}", flush=True)

    def add(
        self,
        name: str,
        runs: Sequence[float],
        unit: str,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        interval: tuple[float, float] | None = None,
    ) -> float:
        """Note one quantity from its runs; the median counts. Or one with its 95 % interval."""
        value = float(median(runs))
        target, is_met = None, None
        if at_most is not None:
            target, is_met = f"≤ {shown(at_most)}", value <= at_most
        if at_least is not None:
            target, is_met = f"≥ {shown(at_least)}", value >= at_least
        low, high = (float(min(runs)), float(max(runs))) if interval is None else interval
        n_runs = len(runs) if interval is None else 0
        figure = Figure(name, value, unit, low, high, n_runs, target, is_met)
        self.figures.append(figure)
        print("   " + str(figure), flush=True)
        return value

    def save(self) -> Path:
        """Write the figures to `benchmarks/results/NAME.json`."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.name}.json"
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        content = {
            "measured_at": at,
            "command": "python -m " + " ".join(_command()),
            "machine": self.machine,
            "data": self.data,
            "seed": self.seed,
            "figures": [asdict(figure) for figure in self.figures],
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path


def percentile(samples: Sequence[float], q: float) -> float:
    """The q-th percentile of some samples."""
    return float(np.percentile(np.asarray(samples), q))


def _command() -> list[str]:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return [spec.name if spec is not None else Path(sys.argv[0]).name, *sys.argv[1:]]


def shown(value: float) -> str:
    """A number as people read it: three digits, thousands apart."""
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
