"""BM25 kept apart per query term, since a term may also be found in a neighbouring turn (see `window`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

K1 = 1.2
B = 0.75


def idf(document_frequency: NDArray[np.int64], n_documents: int) -> NDArray[np.float32]:
    """Inverse document frequency, never negative; an unseen term gets the largest.

    >>> [f"{x:.2f}" for x in idf(np.array([0, 1, 10]), 10)]
    ['3.09', '1.99', '0.05']

    Source: Robertson and Zaragoza (2009), The Probabilistic Relevance Framework, section 3; with 1 + inside
    the logarithm as in Lucene, so that a word found everywhere adds nothing rather than subtracting.
    """
    df = np.minimum(document_frequency, n_documents)
    return np.log1p((n_documents - df + 0.5) / (df + 0.5)).astype(np.float32)


def contributions(
    stems: NDArray[np.uint32],
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint32],
    weights: NDArray[np.float32],
    mean_length: float,
) -> NDArray[np.float32]:
    """What each query term adds to each document's BM25: (n_documents, n_terms) float32.

    :param stems: stem hashes of all documents in their order, one after another.
    :param offsets: (n_documents + 1,) where each document starts in `stems`.
    :param hashes: (n_terms,) the query's distinct stem hashes.
    :param weights: (n_terms,) their idf.
    :param mean_length: of all documents in stems; longer documents are discounted against it.

    >>> data = np.array([7, 7, 9, 5], dtype=np.uint32)
    >>> one = np.array([1.0], dtype=np.float32)
    >>> parts = contributions(data, np.array([0, 3, 4]), np.array([7], dtype=np.uint32), one, 2.0)
    >>> [f"{x:.2f}" for x in parts[:, 0]]
    ['1.21', '0.00']

    Source: Robertson and Zaragoza (2009), equation 3.15, with the factor k1 + 1 of the original.
    """
    n = len(offsets) - 1
    tf = np.zeros((n, len(hashes)), dtype=np.float32)
    for i, h in enumerate(hashes):
        hits = np.flatnonzero(stems == h)
        if len(hits):
            tf[:, i] = np.bincount(np.searchsorted(offsets, hits, side="right") - 1, minlength=n)
    length = np.diff(offsets).astype(np.float32)
    norm = K1 * (1.0 - B + B * length / max(mean_length, 1.0))
    return np.asarray(tf * (K1 + 1.0) / (tf + norm[:, None]) * weights, dtype=np.float32)
