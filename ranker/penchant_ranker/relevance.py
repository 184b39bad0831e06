"""Relevance: how probable it is that a recall holds an answer, and that a result is one, by what is not relative.

A score is divided by the best of its recall, so the best of nothing scores like the best of something. What is taken
here means the same in every recall: the share of the question's words that is covered, cosines, nearness of tokens,
whose words they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from . import bm25
from .calibrate import MIN_CASES, Calibration, calibrate, quality, read_calibration, write_calibration
from .cues import Cue
from .errors import ModelCorrupt
from .features import NAMES, Pool
from .hand_set import CODE
from .linear import Ranking
from .query import Query

RELEVANCE_FORMAT = "penchant-relevance"
RELEVANCE_VERSION = 1

#: How a recall was ranked, which decides what evidence there is.
Way = Literal["tokens", "words", "code"]
#: Whether the question names people whose turns are known: then whose words they are says most.
Whom = Literal["anyone", "named"]
#: What a result is: a memory says by itself what it is about, a turn with those around it.
Kind = Literal["memory", "turn"]
#: Of the best-ranked so many are looked at for the best evidence of an answer.
N_LOOKED_AT = 10
#: A turn in which nobody speaks of themselves counts so much less as word of the one who is asked about ("your race").
OF_OTHERS = 0.8
#: The best turns of a speaker count, each so much of the one before: several say it more surely than one.
FADE = 0.6 ** np.arange(30)
#: A turn counts by what it is nearer than this share of the nearest: everything is a little near.
NEAR_ENOUGH = 0.3

WHOM: tuple[Whom, ...] = ("anyone", "named")
KINDS: tuple[Kind, ...] = ("memory", "turn")

_Floats = NDArray[np.float64]
_COLUMN = {name: i for i, name in enumerate(NAMES)}

#: What tells that a recall holds an answer, by way; the best among the first N_LOOKED_AT results, but for:
#: `dated`: 1 where the query names no time, or the best agreement with it; `speaker_lead`: how much more those whom
#: the query names said about it than who they talked to. The best score's lead over the next ones is left out: it tells
#: how many texts there are rather than whether one answers (AUROC with it 0.85, without 0.89 on LoCoMo dev).
ANSWER_EVIDENCE: Mapping[Way, tuple[str, ...]] = {
    "tokens": ("tokens", "tokens_answer", "meaning", "coverage", "exact", "dated", "speaker_lead"),
    "words": ("coverage", "exact", "dated", "speaker_lead"),
    "code": ("tokens", "meaning", "coverage", "exact"),
}
#: What tells that a result is an answer: features, and `share`: of the best nearness among all candidates; `behind`:
#: how much less near in meaning than the best.
RESULT_EVIDENCE: Mapping[Way, tuple[str, ...]] = {
    "tokens": (
        "tokens",
        "tokens_answer",
        "meaning",
        "coverage",
        "exact",
        "dated",
        "speaker",
        "share",
        "behind",
    ),
    "words": ("coverage", "exact", "dated", "speaker", "share"),
    "code": ("tokens", "meaning", "coverage", "exact", "share", "behind"),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a recall's relevance.

    :param way: how it was ranked, and `whom` it is about.
    :param answer: (len(ANSWER_EVIDENCE[way]),).
    :param results: (k, len(RESULT_EVIDENCE[way])), best-ranked first.
    :param is_memory: (k,) which of them are memories.
    """

    way: Way
    whom: Whom
    answer: _Floats
    results: _Floats
    is_memory: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Relevance:
    """Probabilities.

    :param answer: that any of the results answers the question.
    :param results: (k,) that each does; none is surer than `answer`.
    :param is_statement: (k,) which of them say by themselves what they are about: memories, but for program text.
    """

    answer: float
    results: _Floats
    is_statement: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RelevanceModel:
    """From evidence to probabilities.

    :param answers: a calibration for each way and whom, over some of its evidence.
    :param results: the same for each way and kind.
    """

    answers: Mapping[tuple[Way, Whom], Calibration]
    results: Mapping[tuple[Way, Kind], Calibration]

    def of(self, evidence: Evidence) -> Relevance:
        """The probabilities of one recall; 0 where nothing was found."""
        way = evidence.way
        if not len(evidence.results):
            return Relevance(0.0, np.zeros(0), np.zeros(0, dtype=np.bool_))
        answer = float(
            _by(self.answers[way, evidence.whom], ANSWER_EVIDENCE[way], evidence.answer[None, :])[0]
        )
        results = np.zeros(len(evidence.results))
        kinds: tuple[tuple[Kind, NDArray[np.bool_]], ...] = (
            ("memory", evidence.is_memory),
            ("turn", ~evidence.is_memory),
        )
        for kind, rows in kinds:
            if rows.any():
                calibration = self.results[way, kind]
                results[rows] = _by(calibration, RESULT_EVIDENCE[way], evidence.results[rows])
        is_statement = evidence.is_memory & (way != "code")
        return Relevance(answer, np.minimum(results, answer), is_statement)


def evidence(query: Query, pool: Pool, ranking: Ranking) -> Evidence:
    """What tells whether a ranking holds an answer to its query."""
    values = ranking.values.astype(np.float64)
    way: Way = "code" if ranking.model == CODE.name else "tokens" if pool.has_tokens else "words"
    whom: Whom = "named" if query.speakers else "anyone"
    rows = ranking.rows
    if not len(rows):
        return Evidence(
            way, whom, np.zeros(0), np.zeros((0, len(RESULT_EVIDENCE[way]))), np.zeros(0, dtype=np.bool_)
        )

    def column(name: str) -> _Floats:
        return np.asarray(values[:, _COLUMN[name]])

    dated = column("date") if query.ranges else np.ones(len(rows))
    nearness = column("words" if way == "words" else "tokens")
    meaning = column("meaning")
    more = {
        "dated": dated,
        "share": nearness / max(float(nearness.max()), 1e-6),
        "behind": meaning - meaning.max(),
    }
    results = np.column_stack([more[n] if n in more else column(n) for n in RESULT_EVIDENCE[way]])
    of_all = {
        "dated": float(dated[:N_LOOKED_AT].max()),
        "speaker_lead": _speaker_lead(query, pool, ranking, column(_SAID[way])) / _unit(way, pool),
    }
    looked_at = {n: float(column(n)[:N_LOOKED_AT].max()) for n in ANSWER_EVIDENCE[way] if n not in of_all}
    answer = np.array([{**looked_at, **of_all}[n] for n in ANSWER_EVIDENCE[way]])
    return Evidence(way, whom, answer, results, pool.is_kept[rows])


_SAID: Mapping[Way, str] = {"tokens": "tokens_answer", "words": "words_answer", "code": "tokens"}


def _unit(way: Way, pool: Pool) -> float:
    """The most that `_SAID` can be."""
    if way != "words":
        return 1.0
    return max(float(bm25.idf(pool.document_frequency, pool.n_documents).sum()) * (bm25.K1 + 1.0), 1e-6)


def _speaker_lead(query: Query, pool: Pool, ranking: Ranking, said: _Floats) -> float:
    """How much more of the question those whom it names said than the ones whom they talked to; 0 where it names none.

    Above 0 it is theirs; below, the other one said it, and the question asks the wrong person.
    """
    if not query.speakers:
        return 0.0
    rows = ranking.rows
    is_named = np.isin(pool.speaker[rows], np.array(query.speakers, dtype=np.int32))
    session = pool.session[rows]
    is_partner = ~is_named & pool.is_person[rows] & (session > 0) & np.isin(session, session[is_named])
    of_self = (pool.cues[rows] & Cue.FIRST_PERSON) != 0
    above = np.maximum(said - NEAR_ENOUGH * said.max(), 0.0)
    weighed = above * np.where(of_self, 1.0, OF_OTHERS)
    return _faded(weighed[is_named]) - _faded(weighed[is_partner])


def _faded(values: _Floats) -> float:
    top = np.sort(values)[::-1][: len(FADE)]
    return float((top * FADE[: len(top)]).sum())


def _by(calibration: Calibration, names: tuple[str, ...], values: _Floats) -> _Floats:
    columns = [names.index(name) for name in calibration.names]
    return calibration.probability(values[:, columns])


@dataclass(frozen=True, slots=True)
class JudgedRelevance:
    """One result that was shown and judged.

    :param relevance: its probability by the shipped calibration, when it was shown.
    :param is_right: whether it helped or was used.
    """

    relevance: float
    is_right: bool


def recalibrated(model: RelevanceModel, cases: Sequence[JudgedRelevance]) -> RelevanceModel | None:
    """A model whose results are as probable as outcomes say; None with too few cases, or where it would be no better.

    The log-odds of each result are scaled and moved (Platt scaling). One in five cases, the newest, decide: there the
    squared error must fall. The answers' probabilities stay: outcomes speak of results.

    :param cases: in the order in which they were judged.
    """
    if len(cases) < MIN_CASES:
        return None
    odds = np.array([_odds(case.relevance) for case in cases])[:, None]
    is_right = np.array([case.is_right for case in cases])
    if is_right.all() or not is_right.any():
        return None
    n = len(cases) - max(len(cases) // 5, 10)
    if n < MIN_CASES or is_right[:n].all() or not is_right[:n].any():
        return None
    earlier = replace(calibrate(("odds",), odds[:n], is_right[:n]), curve=())
    before = np.array([case.relevance for case in cases[n:]])
    if quality(earlier.probability(odds[n:]), is_right[n:]).brier >= quality(before, is_right[n:]).brier:
        return None
    fitted = replace(calibrate(("odds",), odds, is_right), curve=())
    scale = fitted.coefficients[0] / fitted.spreads[0]
    if scale <= 0.0:  # surer results did worse: nothing that a scale could mend
        return None
    move = fitted.intercept - scale * fitted.means[0]
    return replace(model, results={key: c.moved(scale, move) for key, c in model.results.items()})


def _odds(chance: float) -> float:
    chance = min(max(chance, 1e-4), 1.0 - 1e-4)
    return math.log(chance / (1.0 - chance))


def write_relevance(model: RelevanceModel) -> str:
    """A model as JSON that a person can read."""
    return json.dumps(
        {
            "format": RELEVANCE_FORMAT,
            "version": RELEVANCE_VERSION,
            "answers": {f"{w} {k}": json.loads(write_calibration(c)) for (w, k), c in model.answers.items()},
            "results": {f"{w} {k}": json.loads(write_calibration(c)) for (w, k), c in model.results.items()},
        },
        indent=1,
        allow_nan=False,
    )


def read_relevance(text: str) -> RelevanceModel:
    """The model that `write_relevance` wrote.

    :raises ModelCorrupt: if it is not one, or lacks a part.
    """
    try:
        found = json.loads(text)
        if found["format"] != RELEVANCE_FORMAT or found["version"] != RELEVANCE_VERSION:
            raise ModelCorrupt(f"the format is {found['format']!r} {found['version']!r}")
        answers: dict[tuple[Way, Whom], Calibration] = {}
        results: dict[tuple[Way, Kind], Calibration] = {}
        for way in ANSWER_EVIDENCE:
            for whom in WHOM:
                answers[way, whom] = read_calibration(json.dumps(found["answers"][f"{way} {whom}"]))
            for kind in KINDS:
                results[way, kind] = read_calibration(json.dumps(found["results"][f"{way} {kind}"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelCorrupt("not Penchant's relevance, or a part of it is missing") from error
    for calibration, names in (
        *((answers[key], ANSWER_EVIDENCE[key[0]]) for key in answers),
        *((results[key], RESULT_EVIDENCE[key[0]]) for key in results),
    ):
        if unknown := set(calibration.names) - set(names):
            raise ModelCorrupt(f"evidence that is not known: {min(unknown)}")
    return RelevanceModel(answers, results)
