"""Selection: of a ranking, which results are shown under a limit and a token budget, each text once."""

from __future__ import annotations

from collections.abc import Sequence


def estimated_tokens(text: str) -> int:
    """About how many tokens a language model takes for a text, rather too many than too few.

    Four characters of Latin text to a token, one of any other script.

    >>> estimated_tokens("She painted a sunrise."), estimated_tokens("数据库迁移")
    (6, 5)
    """
    n_latin = len(text) if text.isascii() else len(text.encode("latin-1", "ignore"))
    return -(-n_latin // 4) + len(text) - n_latin


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
