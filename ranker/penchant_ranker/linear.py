"""The linear model: a sum of weighed features, and what each of them added."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cues import Cue
from .features import IS_SCALED, NAMES, Pool, features
from .hand_set import CHAT, CHAT_BY_WORDS, CODE, HandSet
from .query import Query

#: From this share of program text among the nearest candidates on, the query is about code.
CODE_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates, best first.

    :param rows: (k,) rows of the pool.
    :param scores: (k,) float32.
    :param values: (k, len(FEATURES)) the raw features.
    :param contributions: (k, len(FEATURES)) what each feature added to the score; they sum to it.
    :param model: name of the weights.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    values: NDArray[np.float32]
    contributions: NDArray[np.float32]
    model: str


def scaled(values: NDArray[np.float32], scaling: str) -> NDArray[np.float32]:
    """Features made comparable: bm25 and cosine columns by their best value or spread, flags as they are.

    >>> values = np.array([[2.0] * len(NAMES), [4.0] * len(NAMES)], dtype=np.float32)
    >>> scaled(values, "best")[:, 0].tolist()
    [0.5, 1.0]
    """
    out = values.copy()
    if not len(out):
        return out
    part = out[:, IS_SCALED]
    if scaling == "best":
        best = part.max(axis=0)
        out[:, IS_SCALED] = part / np.where(best > 0, best, 1.0)
    else:
        spread = part.std(axis=0)
        out[:, IS_SCALED] = (part - part.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    return out


def weights_of(model: HandSet) -> NDArray[np.float32]:
    """A model's weights in the order of `FEATURES`; a feature that it does not name weighs 0."""
    by_name = {w.feature: w.weight for w in model.weights}
    return np.array([by_name.get(name, 0.0) for name in NAMES], dtype=np.float32)


_WEIGHTS = {model.name: weights_of(model) for model in (CHAT, CHAT_BY_WORDS, CODE)}


def choose(pool: Pool) -> HandSet:
    """The weights for this pool: those for code when the nearest candidates are mostly program text."""
    c = pool.candidates
    chat = CHAT if pool.has_tokens else CHAT_BY_WORDS
    if not len(c):
        return chat
    cosine = np.nan_to_num(pool.cosine[c], nan=-1.0)
    nearest = c[np.lexsort((pool.items[c], -cosine))[:20]]
    is_code = (pool.cues[nearest] & Cue.CODE) != 0
    return CODE if float(is_code.mean()) >= CODE_SHARE else chat


def rank(query: Query, pool: Pool, model: HandSet | None = None) -> Ranking:
    """All candidates of a pool, best first; equal scores are ordered by item, newest first.

    :param model: None chooses the weights by what the candidates are.
    """
    model = model or choose(pool)
    values = features(query, pool)
    added = scaled(values, model.scaling) * _WEIGHTS.get(model.name, weights_of(model))
    scores = added.sum(axis=1, dtype=np.float32).round(5)
    # What has no vector has no cosine to show, though it was ranked as if (see `features`).
    values[np.isnan(pool.cosine[pool.candidates]), NAMES.index("meaning")] = 0.0
    order = np.lexsort((-pool.items[pool.candidates], -scores))
    return Ranking(pool.candidates[order], scores[order], values[order], added[order], model.name)
