"""Use: whether what an assistant said or did next was made of what it had recalled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from . import bm25

#: From this share of a memory's own words on (by idf) a text was made of it; chance seldom reaches half of that.
MIN_SHARE = 0.5
#: And of at least so many different ones: two words in common prove nothing.
MIN_STEMS = 3

_Hashes = NDArray[np.uint32]


def used_shares(
    question: _Hashes, shown: Sequence[_Hashes], said: _Hashes, frequency: NDArray[np.int64], n_documents: int
) -> NDArray[np.float32]:
    """How much of what each shown text adds to the question stands in what was said next: (n_shown,), 0 to 1.

    :param question: stem hashes of the question, which anyone who answers it repeats.
    :param shown: stem hashes of each text that was returned.
    :param said: stem hashes of what the assistant said or did.
    :param frequency: document frequencies of all the shown texts' stems, one after another.
    :return: the share of those stems, weighed by idf; 0 where fewer than three of them are shared.

    >>> port = np.array([1, 2, 3, 4, 5], dtype=np.uint32)
    >>> used_shares(port[:1], [port], port[:4], np.ones(5, dtype=np.int64), 100).round(2).tolist()
    [0.75]
    """
    shares = np.zeros(len(shown), dtype=np.float32)
    weights = bm25.idf(frequency, max(n_documents, 1))
    first = 0
    for i, hashes in enumerate(shown):
        own, at = np.unique(hashes, return_index=True)
        idf = weights[first : first + len(hashes)][at]
        first += len(hashes)
        is_new = ~np.isin(own, question)
        is_said = is_new & np.isin(own, said)
        total = float(idf[is_new].sum())
        if int(is_said.sum()) >= MIN_STEMS and total > 0.0:
            shares[i] = float(idf[is_said].sum()) / total
    return shares


def is_reasked(earlier: _Hashes, later: _Hashes, min_share: float = 0.6) -> bool:
    """Whether a question says the same as an earlier one: by the share of the words of both together.

    >>> a = np.array([1, 2, 3], dtype=np.uint32)
    >>> is_reasked(a, a[:2]), is_reasked(a, np.array([3, 4], dtype=np.uint32))
    (True, False)
    """
    both = len(np.union1d(earlier, later))
    return both > 0 and len(np.intersect1d(earlier, later)) / both >= min_share
