"""What an examination finds: what is wrong, why that matters, and the command that mends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

__all__ = ["Examination", "Finding", "Severity", "Verdict"]

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    :param code: stable name for programs, such as `home_open_to_others`.
    :param severity: `error` data is at risk or out of reach; `warning` it works, but less well;
        `note` worth knowing, nothing to mend.
    :param what: what was found, with the values.
    :param why: what follows from it when nothing is done.
    :param command: what mends it, to be typed as it stands; None when only a person can.
    :param mend: does the same from here, for `--fix`; raises OSError or PenchantError when it cannot.
    :param is_mended: whether it was mended in this examination.
    """

    code: str
    severity: Severity
    what: str
    why: str
    command: str | None = None
    mend: Callable[[], object] | None = field(default=None, compare=False, repr=False)
    is_mended: bool = False

    def mended(self) -> Finding:
        """The same finding, done away with."""
        return replace(self, is_mended=True)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check that was made, in words: what was proved, or what could not be tried."""

    name: str
    words: str
    is_done: bool = True


@dataclass(frozen=True, slots=True)
class Examination:
    """All checks of one run and what they found."""

    verdicts: tuple[Verdict, ...]
    findings: tuple[Finding, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to mend (notes are no findings)."""
        return not [
            finding for finding in self.findings if finding.severity != "note" and not finding.is_mended
        ]
