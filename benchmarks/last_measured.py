"""Writes the tables of `README.md` here from what lies in `results/`.

python -m benchmarks.last_measured
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS, shown

HEADING = "## Last measured\n"


def main() -> None:
    """Replace what follows the heading."""
    readme = Path(__file__).with_name("README.md")
    before, _, _ = readme.read_text("utf-8").partition(HEADING)
    results = [json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    tables = "\n".join(table(result) for result in results)
    readme.write_text(f"{before}{HEADING}\n{tables}", encoding="utf-8")


def table(result: dict[str, Any]) -> str:
    """One program's figures."""
    machine = result["machine"]
    lines = [
        f"### `{result['command']}`",
        "",
        f"{result['measured_at'][:10]}, {machine['cpu']}, {machine['cores']} cores (load {machine['load']}), "
        f"Python {machine['python']}, SQLite {machine['sqlite']}. {result['data']}; seed {result['seed']}.",
        "",
        "| figure | median | lowest to highest | aim |",
        "| --- | --- | --- | --- |",
    ]
    for figure in result["figures"]:
        value = f"{shown(figure['value'])} {figure['unit']}".strip()
        spread = "" if figure["runs"] == 1 else f"{shown(figure['low'])} to {shown(figure['high'])}"
        aim = ""
        if figure["target"]:
            aim = f"{figure['target']}, {'met' if figure['is_met'] else '**missed**'}"
        lines.append(f"| {figure['name'].strip()} | {value} | {spread} | {aim} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
