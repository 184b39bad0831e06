"""The linear model: a sum of weighed features, and what each of them added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .cues import Cue
from .features import IS_SCALED, NAMES, Pool, features
from .hand_set import CHAT, CHAT_BY_WORDS, CODE, HandSet
from .model import LinearModel, Model
from .query import Query

#: From this share of program text among the nearest candidates on, the query is about code.
CODE_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates, best first.

    :param rows: (k,) rows of the pool.
    :param scores: (k,) float32.
    :param values: (k, len(FEATURES)) the raw features.
    :param scaled: (k, len(FEATURES)) the same as the model saw them.
    :param ranked_by: the model.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    values: NDArray[np.float32]
    scaled: NDArray[np.float32]
    ranked_by: Model

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.ranked_by.name

    @property
    def contributions(self) -> NDArray[np.float32]:
        """(k, len(FEATURES)) what each feature added to each score; with the model's bias they sum to it."""
        return self.added(range(len(self.rows)))

    def added(self, places: Sequence[int]) -> NDArray[np.float32]:
        """What each feature added to the scores at some places: (len(places), len(FEATURES))."""
        return self.ranked_by.contributions(self.scaled[list(places)], NAMES).astype(np.float32)

    def rank_without(self, place: int, feature: str, among: NDArray[np.bool_] | None = None) -> int:
        """The rank (from 1) that a result would have if this feature counted for no candidate.

        :param among: (k,) the places that count, all when None.
        """
        return self.ranks_without(place, [feature], among)[0]

    def ranks_without(
        self, place: int, features: Sequence[str], among: NDArray[np.bool_] | None = None
    ) -> list[int]:
        """`rank_without` of several features, each by itself."""
        added = self.contributions
        ranks = []
        for feature in features:
            left = self.scores - added[:, NAMES.index(feature)]
            own = left[place]
            is_before = (left > own) | ((left == own) & (np.arange(len(left)) < place))
            ranks.append(1 + int((is_before if among is None else is_before & among).sum()))
        return ranks


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


@lru_cache(maxsize=16)
def model_of(hand_set: HandSet) -> LinearModel:
    """A hand-set sum as the model that ranks; a feature that is not computed weighs nothing."""
    known = tuple(weight for weight in hand_set.weights if weight.feature in NAMES)
    return LinearModel.of(replace(hand_set, weights=known))


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


def rank(query: Query, pool: Pool, model: HandSet | None = None, *, learned: Model | None = None) -> Ranking:
    """All candidates of a pool, best first; equal scores are ordered by item, newest first.

    :param model: None chooses the weights by what the candidates are.
    :param learned: what ranks instead of the weights for chat, where those are chosen.
    """
    chosen = model or choose(pool)
    ranked_by: Model = learned if learned is not None and chosen is CHAT else model_of(chosen)
    if chosen is CODE:
        # Program text shortens as it likes: other ways to say "python" find the wrong functions (CoSQA MRR -0.01).
        query = replace(query, aliases=())
    values = features(query, pool)
    seen = scaled(values, ranked_by.scaling)
    scores = ranked_by.score(seen, NAMES).astype(np.float32).round(5)
    # What has no vector has no cosine to show, though it was ranked as if (see `features`).
    values[np.isnan(pool.cosine[pool.candidates]), NAMES.index("meaning")] = 0.0
    order = np.lexsort((-pool.items[pool.candidates], -scores))
    return Ranking(pool.candidates[order], scores[order], values[order], seen[order], ranked_by)
