"""How relevant results are: the calibration that ships, and what the outcomes of this install made of it.

What was learned is one text file under `ranker/`, headed by the digest of what follows. One that is corrupt or foreign
is refused with the reason; then the shipped calibration speaks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path

import penchant_ranker as ranker
from penchant_daemon.logs import logger
from penchant_daemon.wire import Problem
from penchant_store import JudgedImpression

__all__ = ["RELEVANCE", "RELEVANCE_NAME", "Relevances", "judged_relevance", "shipped"]

FOLDER = "ranker"
RELEVANCE_NAME = "relevance.calibration"

#: Name under which an impression keeps how relevant a result is by the shipped calibration, beside its features.
RELEVANCE = "relevance"
#: The agent by whose name the person judges on the command line.
PERSON = "cli"
# What was outdated was an answer once: it says nothing of relevance.
_IS_RIGHT = {"helped": True, "wrong": False}

log = logger(__name__)


@lru_cache(maxsize=1)
def shipped() -> ranker.RelevanceModel:
    """The calibration that ships; `shipped/relevance.md` says what it is from."""
    found = resources.files("penchant_daemon").joinpath("shipped", "relevance.json")
    return ranker.read_relevance(found.read_text(encoding="utf-8"))


def judged_relevance(judged: Sequence[JudgedImpression]) -> list[ranker.JudgedRelevance]:
    """What the person judged, in the order of their verdicts: whether it was right, and how relevant it was said to be.

    Verdicts of agents do not count: none of them shall raise or sink what the person sees.
    """
    cases: list[tuple[str, ranker.JudgedRelevance]] = []
    for each in judged:
        said = {item.id: item.features for item in each.impression.items if item.is_shown}
        for outcome in each.outcomes:
            features = said.get(outcome.memory_id)
            if (
                features
                and RELEVANCE in features
                and outcome.agent == PERSON
                and outcome.verdict in _IS_RIGHT
            ):
                case = ranker.JudgedRelevance(features[RELEVANCE], _IS_RIGHT[outcome.verdict])
                cases.append((outcome.created_at, case))
    return [case for _, case in sorted(cases, key=lambda pair: pair[0])]


class Relevances:
    """What says how relevant results are. Safe to use from several threads.

    :param home: the data directory; None knows the shipped calibration alone.
    """

    def __init__(self, home: Path | None) -> None:
        self._path = None if home is None else home / FOLDER / RELEVANCE_NAME
        self._refused: str | None = None
        self._model: ranker.RelevanceModel | None = None

    @property
    def model(self) -> ranker.RelevanceModel:
        """The calibration that speaks."""
        if self._model is None:
            self._model = self._kept() or shipped()
        return self._model

    def learn(self, cases: Sequence[ranker.JudgedRelevance]) -> bool:
        """Recalibrate by results that were judged, if there are enough and it makes probabilities better.

        :return: whether another calibration speaks now.
        """
        if self._path is None:
            return False
        found = ranker.recalibrated(shipped(), cases)
        if found is None or found == self.model:
            return False
        self._write(ranker.write_relevance(found))
        self._model, self._refused = found, None
        log.info("relevance_recalibrated", n_cases=len(cases))
        return True

    def by_shipped(self, evidence: ranker.Evidence, relevance: ranker.Relevance) -> ranker.Relevance:
        """What the shipped calibration says, which is what is learned from.

        :param relevance: what the one that speaks says.
        """
        return relevance if self.model is shipped() else shipped().of(evidence)

    def problems(self) -> list[Problem]:
        """A calibration that was refused since the daemon started."""
        if self._refused is None:
            return []
        message = f"the learned calibration is refused: {self._refused}; the shipped one speaks"
        return [Problem(part="ranker", message=message, fix="another is learned from the next outcomes")]

    def _kept(self) -> ranker.RelevanceModel | None:
        if self._path is None or not self._path.exists():
            return None
        try:
            head, _, body = self._path.read_bytes().decode("utf-8").partition("\n")
            if head != ranker.digest(body):
                raise ranker.ModelCorrupt("its SHA-256 is not the one in its first line")
            return ranker.read_relevance(body)
        except (OSError, UnicodeDecodeError, ranker.ModelError) as error:
            self._refused = str(error)
            log.error("relevance_refused", error=type(error).__name__)
            return None

    def _write(self, body: str) -> None:
        assert self._path is not None
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        draft = self._path.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(f"{ranker.digest(body)}\n{body}")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
