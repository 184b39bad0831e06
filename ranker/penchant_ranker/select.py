"""Selection: of a ranking, which results are shown under a limit and a token budget, each text once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .relevance import Relevance

#: A memory says by itself what it is about: one that is less probably an answer is left out. A turn is not: the answer
#: to a question may share no word with it.
MIN_STATEMENT = 0.15
#: Where no memory is that probable, the most probable one is shown from here on.
MIN_BEST = 0.08


def estimated_tokens(text: str) -> int:
    """About how many tokens a language model takes for a text, rather too many than too few.

    Four characters of Latin text to a token, one of any other script.

    >>> estimated_tokens("She painted a sunrise."), estimated_tokens("数据库迁移")
    (6, 5)
    """
    n_latin = len(text) if text.isascii() else len(text.encode("latin-1", "ignore"))
    return -(-n_latin // 4) + len(text) - n_latin


def worth_showing(
    relevance: Relevance, min_answer: float, min_result: float | None = None
) -> NDArray[np.bool_]:
    """(k,) which results are relevant enough to be shown: no memory is better than a wrong one.

    :param min_answer: the least probability of an answer; under it nothing is shown.
    :param min_result: the least of each result; None asks it of memories alone.

    >>> found = Relevance(0.6, np.array([0.6, 0.1, 0.1]), np.array([True, True, False]))
    >>> worth_showing(found, 0.1).tolist(), worth_showing(found, 0.7).tolist()
    ([True, False, True], [False, False, False])
    """
    if relevance.answer < min_answer:
        return np.zeros(len(relevance.results), dtype=np.bool_)
    if min_result is not None:
        return np.asarray(relevance.results >= min_result, dtype=np.bool_)
    shown = ~relevance.is_statement | (relevance.results >= MIN_STATEMENT)
    if len(shown) and not shown.any():
        best = int(relevance.results.argmax())
        shown[best] = relevance.results[best] >= MIN_BEST
    return shown


def select(
    digests: Sequence[str], n_tokens: Sequence[int], limit: int, budget_tokens: int | None = None
) -> list[int]:
    """Which results to show, as places in the ranking, best first.

    :param digests: one per result; of equal texts only the best-ranked is shown.
    :param n_tokens: one per result.
    :param limit: at most this many.
    :param budget_tokens: at most this many tokens in all; what does not fit is skipped, a shorter one may
        still come.

    >>> select(["a", "a", "b", "c"], [5, 5, 9, 4], limit=3, budget_tokens=10)
    [0, 3]
    """
    shown: list[int] = []
    seen: set[str] = set()
    left = budget_tokens
    for i, (digest, n) in enumerate(zip(digests, n_tokens, strict=True)):
        if len(shown) == limit:
            break
        if digest in seen or (left is not None and n > left):
            continue
        seen.add(digest)
        shown.append(i)
        if left is not None:
            left -= n
    return shown
