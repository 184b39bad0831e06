"""Background: what is known of a candidate besides its text and turns: how recent it is, whether it helped before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: After so many days a memory is half as recent.
RECENT_HALF_LIFE_DAYS = 30.0
_DAY_S = 86_400.0

_Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Background:
    """One value for each candidate (not for the turns around them), 0 to 1; 0.5 says nothing.

    :param same_project: 1 of the project that is asked about, 0 of another, 0.5 where none is named or it has none.
    :param same_session: 1 said in the session that asks.
    :param same_agent: 1 written by the agent that asks.
    :param recent: 1 now, 0.5 a month ago; see `recency`.
    :param importance: as it was kept, 0.5 for what nobody weighed.
    :param helped: see `helpfulness`.
    :param kind: (k,) which of `KINDS` a memory is, 0 for an episode.
    """

    same_project: _Floats
    same_session: _Floats
    same_agent: _Floats
    recent: _Floats
    importance: _Floats
    helped: _Floats
    kind: NDArray[np.int8]


#: Kinds of memories with a feature of their own, by their number in `Background.kind`.
KINDS: dict[str, int] = {"decision": 1, "procedure": 2, "fact": 3, "note": 4}


def recency(occurred_at: NDArray[np.int64], now: int) -> _Floats:
    """How recent each time is: 1 now or later, half of that each month; 0.5 where no time is known.

    :param occurred_at: (n,) seconds since 1970, UTC; 0 is unknown.
    :param now: seconds since 1970, UTC.

    >>> recency(np.array([0, 1_000, 1_000 - 30 * 86_400]), 1_000).round(2).tolist()
    [0.5, 1.0, 0.5]
    """
    age_days = np.maximum(now - occurred_at, 0) / _DAY_S
    return np.where(occurred_at == 0, 0.5, 0.5 ** (age_days / RECENT_HALF_LIFE_DAYS)).astype(np.float32)


def helpfulness(good: NDArray[np.float64], bad: NDArray[np.float64]) -> _Floats:
    """How a memory did before: the mean of a Beta(1, 1) belief after its outcomes, so 0.5 without any.

    :param good: (n,) how often it helped; a use counts by its strength.
    :param bad: (n,) how often it was wrong or outdated.

    >>> helpfulness(np.array([0.0, 2.0, 0.0]), np.array([0.0, 0.0, 2.0])).tolist()
    [0.5, 0.75, 0.25]
    """
    return ((1.0 + good) / (2.0 + good + bad)).astype(np.float32)
