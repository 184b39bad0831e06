"""`penchant doctor`: prove that the store works, and mend what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from penchant_daemon.assistants import Places
from penchant_daemon.cli.connect import this_program
from penchant_daemon.cli.output import emit
from penchant_daemon.home import home_dir

if TYPE_CHECKING:
    from penchant_daemon.doctor import Examination


@click.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended without taking anything away.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.option(
    "--sample",
    type=click.IntRange(1),
    metavar="N",
    help="Look up only N memories by their own words (default: every one).",
)
def command(fix: bool, as_json: bool, sample: int | None) -> int:
    """Prove that what is stored is whole and can be found, and that assistants are connected.

    Works with a running daemon and without one. Exit code 0: nothing to mend; 1: something was found.
    """
    from penchant_daemon.doctor import examine

    found = examine(home_dir(), Places.of_this_user(), this_program(), fix=fix, sample=sample)
    if as_json:
        emit(_json(found))
    else:
        emit("\n".join(_lines(found)))
    return 0 if found.is_clean else 1


def _json(found: Examination) -> dict[str, object]:
    return {
        "clean": found.is_clean,
        "checks": [
            {"name": each.name, "result": each.words, "done": each.is_done} for each in found.verdicts
        ],
        "findings": [
            {
                "code": each.code,
                "severity": each.severity,
                "what": each.what,
                "why": each.why,
                "command": each.command,
                "mended": each.is_mended,
            }
            for each in found.findings
        ],
    }


def _lines(found: Examination) -> list[str]:
    width = max(len(each.name) for each in found.verdicts)
    lines = [f"{each.name:<{width}}  {each.words}" for each in found.verdicts]
    for finding in found.findings:
        mark = "mended" if finding.is_mended else finding.severity
        lines += ["", f"{mark}: {finding.what}", f"  {finding.why}"]
        if finding.command and not finding.is_mended:
            lines.append(f"  mend it: {finding.command}")
    open_findings = [each for each in found.findings if each.severity != "note" and not each.is_mended]
    lines += ["", f"{len(open_findings)} to mend" if open_findings else "nothing to mend"]
    return lines
