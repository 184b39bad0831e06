"""One examination: every check in order, and with `fix` what each can mend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from penchant_daemon import lifecycle
from penchant_daemon.assistants import Places, Program
from penchant_daemon.client import Client
from penchant_daemon.config import Config, load
from penchant_daemon.doctor.connections import check_assistants, connected
from penchant_daemon.doctor.engines import check_models, check_sqlite
from penchant_daemon.doctor.finding import Examination, Finding, Verdict
from penchant_daemon.doctor.folder import check_disk, check_permissions, check_process
from penchant_daemon.doctor.stored import DaemonStore, FileStore, Stored, check_recall, check_store
from penchant_daemon.errors import ConfigError, DaemonUnreachable, PenchantError
from penchant_store import StoreError

__all__ = ["examine"]

N_PROBES = 20
SEED = 20_261_123


@dataclass
class _Notes:
    """What an examination collects."""

    fix: bool
    verdicts: list[Verdict] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def check(self, name: str, words: str, found: Iterable[Finding]) -> None:
        """Run one check, mend what can be mended, and note what it proved."""
        here = [self._mended(finding) for finding in found]
        self.findings += here
        open_here = [each for each in here if each.severity != "note" and not each.is_mended]
        self.verdicts.append(Verdict(name, words if not open_here else f"{len(open_here)} found"))

    def skip(self, name: str, why: str) -> None:
        self.verdicts.append(Verdict(name, why, is_done=False))

    def _mended(self, finding: Finding) -> Finding:
        if not self.fix or finding.mend is None or finding.is_mended:
            return finding
        try:
            finding.mend()
        except (OSError, PenchantError) as error:
            self.findings.append(
                Finding(
                    f"{finding.code}_not_mended", "error", f"it could not be mended: {error}", finding.why
                )
            )
            return finding
        return finding.mended()


def examine(
    home: Path, places: Places, program: Program, *, fix: bool = False, sample: int | None = None
) -> Examination:
    """Prove that the data directory works; with a daemon or without one, which is not started.

    :param fix: mend what can be mended without taking anything away.
    :param sample: how many memories are looked up by their own words; None takes every one.
    """
    notes = _Notes(fix)
    config = _config(home, notes)
    notes.check("data directory", f"{home} is private and can be written", check_permissions(home))
    notes.check("disk", "there is room", check_disk(home, config))
    notes.check("sqlite", "the library keeps its files whole", check_sqlite())
    running = lifecycle.owner(home)
    words = f"runs (pid {running.pid}) and answers" if running else "does not run; nothing is in its way"
    notes.check("daemon", words, check_process(home))
    _examine_store(home, config, notes, sample)
    notes.check("models", "are here, unchanged and give vectors", check_models(config, home))
    found = list(check_assistants(places, program))
    titles = connected(places, program)
    if not titles:
        found = [_urgent(finding) for finding in found]
    words = f"connected: {', '.join(titles)}" if titles else "none is connected"
    notes.check("assistants", words, found)
    return Examination(tuple(notes.verdicts), tuple(notes.findings))


def _config(home: Path, notes: _Notes) -> Config:
    try:
        return load(home)
    except ConfigError as error:
        notes.findings.append(
            Finding("config_broken", "error", error.message, "the daemon does not start with it", error.hint)
        )
        return Config()


def _examine_store(home: Path, config: Config, notes: _Notes, sample: int | None) -> None:
    if not (home / "memory.db").exists():
        notes.skip("store", "nothing is stored yet")
        return
    try:
        with _stored(home, config) as stored:
            notes.check(
                "store",
                "whole: rows, words, vectors and the hash chain agree",
                _verified(stored, notes, sample),
            )
            said: list[str] = []
            probes = list(check_recall(stored, n=N_PROBES, seed=SEED, say=said.append))
            notes.check("recall", "".join(said), probes)
    except DaemonUnreachable as error:
        notes.skip("store", f"could not be asked: {error.message}")
    except (StoreError, PenchantError) as error:
        notes.check("store", "", [_unusable(error)])


def _verified(stored: Stored, notes: _Notes, sample: int | None) -> Iterator[Finding]:
    """What the store found; with `fix` it mends what it can, which a second look then no longer finds."""
    found = list(check_store(stored, sample=sample, fix=notes.fix))
    if notes.fix and found:
        left = {(each.code, each.what) for each in check_store(stored, sample=sample, fix=False)}
        codes = {code for code, _ in left}
        found = [each if each.code in codes else each.mended() for each in found]
    yield from found


@contextmanager
def _stored(home: Path, config: Config) -> Iterator[Stored]:
    """The store of a data directory, by whoever holds it."""
    if lifecycle.owner(home) is None:
        with FileStore.open(home, config) as files:
            yield files
    else:
        with Client(home, agent="doctor", autostart=False) as client:
            yield DaemonStore(client)


def _unusable(error: Exception) -> Finding:
    hint = error.hint if isinstance(error, PenchantError) else None
    return Finding(
        "store_unusable",
        "error",
        str(error),
        "nothing can be remembered or recalled until this is mended",
        hint,
    )


def _urgent(finding: Finding) -> Finding:
    """With no assistant connected, the note that one could be is the thing to do."""
    if finding.severity != "note":
        return finding
    return replace(finding, severity="warning")
