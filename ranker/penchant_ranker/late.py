"""Late interaction: how near the nearest token of a text is to each token of a query, from sign bits alone.

A token is kept as the signs of its vector after a fixed rotation: 48 bytes. The share of bits in which two tokens
differ tells the angle between them, so one exclusive-or and a count of bits stand for a cosine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .text import STOP_WORDS, UNSPACED, stem, words

try:
    import numkong
except ImportError:  # no wheel for this platform: the same numbers from numpy, three times slower
    numkong = None  # type: ignore[assignment, unused-ignore]

#: Changes when other tokens of a text would be kept, or the same ones as other bits, so that they are made again.
LATE_VERSION = 1
TOKEN_BITS = 384
TOKEN_BYTES = TOKEN_BITS // 8
#: Of a longer text the first so many tokens are kept: of conversation turns all (LoCoMo: 43 at the 99th
#: percentile); more cost space and time, and help nothing (BEAM dev recall@10: 64 0.62, 128 0.62).
MAX_TOKENS = 64
#: Of a longer query the heaviest so many count; time grows with each (BEAM dev recall@10: 8 0.605, 16 0.617, 32 0.618).
MAX_QUERY_TOKENS = 16
#: The nearest of n tokens that have nothing to do with a query's token reaches this cosine by chance, times ln n.
#: Medians over the candidates of LongMemEval's questions: 0.15 of 9 tokens, 0.21 of 21, 0.26 of 41.
CHANCE = 0.07
#: What is longer is no stop word, whatever it is.
MAX_STOP_WORD_CHARS = 64

# Han, kana and their like are left to words and character pairs: the packaged model reads them sign by sign, and
# knows few (look-ups in Chinese, recall@5 with their tokens 0.63, without 1.00; in Japanese 0.93 and 1.00). No new
# version for this: what was kept of such texts is near to no query any more.
_RUN = re.compile(f"[^\\W_{UNSPACED}]+")
#: Cosine for each number of differing bits. Source: Charikar (2002), Similarity estimation techniques from rounding
#: algorithms, section 3: two signs differ with probability angle / pi.
_COSINE: NDArray[np.float32] = np.cos(np.pi * np.arange(TOKEN_BITS + 1) / TOKEN_BITS).astype(np.float32)


@dataclass(frozen=True, slots=True)
class ContentTokens:
    """Which tokens of a text say something: those of its words, without stop words and punctuation.

    :param places: (k,) int64, their places among the text's tokens, in its order.
    :param word_of: (k,) int64, which of `words` each is a piece of.
    :param words: as they stand in the text.
    """

    places: NDArray[np.int64]
    word_of: NDArray[np.int64]
    words: tuple[str, ...]


def content_tokens(text: str, spans: Sequence[tuple[int, int]], limit: int) -> ContentTokens:
    """The tokens of a text that are worth keeping, the first `limit` of them; none of scripts written without spaces.

    :param spans: where each token stands in the text, first and last character + 1; (0, 0) for special tokens.

    >>> found = content_tokens("She paints lakes.", [(0, 0), (0, 3), (4, 9), (9, 10), (11, 16), (16, 17)], 64)
    >>> found.places.tolist(), found.word_of.tolist(), found.words
    ([2, 3, 4], [0, 0, 1], ('paints', 'lakes'))
    """
    end = max((b for _, b in spans), default=0)
    owner = np.full(end + 1, -1, dtype=np.int64)
    kept: list[str] = []
    for run in _RUN.finditer(text, 0, end):
        word = run.group()
        if len(word) > MAX_STOP_WORD_CHARS or _has_content(word):
            owner[run.start() : run.end()] = len(kept)
            kept.append(word)
    where = np.array(spans, dtype=np.int64).reshape(-1, 2)
    first, last = where[:, 0], where[:, 1]
    # Some tokenizers count the space before a word to its first token.
    word_of = np.maximum(owner[first], owner[np.maximum(last - 1, 0)])
    word_of[first == last] = -1
    places = np.flatnonzero(word_of >= 0)[:limit]
    return ContentTokens(places, word_of[places], tuple(kept))


@lru_cache(maxsize=1 << 14)
def _has_content(word: str) -> bool:
    return any(part not in STOP_WORDS for part in words(word))


@lru_cache(maxsize=1 << 10)
def _stems_in(word: str) -> tuple[str, ...]:
    return tuple(stem(part) for part in words(word))


@dataclass(frozen=True, slots=True)
class QueryTokens:
    """The tokens of a query.

    :param bits: (q, TOKEN_BYTES) uint8.
    :param word_of: (q,) int64, which of `words` each is a piece of.
    :param words: the query's words.
    """

    bits: NDArray[np.uint8]
    word_of: NDArray[np.int64]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """The tokens of some texts, one after another.

    :param bits: (t, TOKEN_BYTES) uint8.
    :param offsets: (n + 1,) int64, where each text starts. A text of stop words has no tokens.
    """

    bits: NDArray[np.uint8]
    offsets: NDArray[np.int64]


def terms_of(query: QueryTokens, stems: Sequence[str]) -> NDArray[np.bool_]:
    """Which of a query's terms each of its tokens stands for: (q, len(stems)).

    A name in camel case stands for its parts and itself, a run of a script without spaces for its pairs of signs.

    >>> query = QueryTokens(np.zeros((3, 48), np.uint8), np.array([0, 0, 1]), ("sunrises", "lake"))
    >>> terms_of(query, ("lake", "sunris")).tolist()
    [[False, True], [False, True], [True, False]]
    """
    place = {s: i for i, s in enumerate(stems)}
    of_word = np.zeros((len(query.words), len(stems)), dtype=np.bool_)
    for row, word in enumerate(query.words):
        of_word[row, [place[s] for s in _stems_in(word) if s in place]] = True
    return of_word[query.word_of]


def token_weights(
    query: QueryTokens, terms: NDArray[np.bool_], idf: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How much each token of a query counts: its word's rarity, shared among the word's pieces; (q,), sum 1.

    At most MAX_QUERY_TOKENS are above 0.

    :param terms: (q, n_terms) of `terms_of`, and `idf` (n_terms,) of those terms; the rarest counts. A word that is
        no term (one too many) counts as the mean of the terms.

    >>> query = QueryTokens(np.zeros((3, 48), np.uint8), np.array([0, 0, 1]), ("sunrises", "lake"))
    >>> weights = token_weights(query, terms_of(query, ("sunris", "lake")), np.array([3.0, 1.0], np.float32))
    >>> [f"{w:.2f}" for w in weights]
    ['0.38', '0.38', '0.25']
    """
    mean = float(idf.mean()) if len(idf) else 1.0
    rarity = np.where(terms.any(axis=1), (terms * idf).max(axis=1, initial=0.0), mean).astype(np.float64)
    weights = rarity / np.bincount(query.word_of, minlength=1)[query.word_of]
    if len(weights) > MAX_QUERY_TOKENS:
        weights[np.argsort(-weights, kind="stable")[MAX_QUERY_TOKENS:]] = 0.0
    total = float(weights.sum())
    return np.asarray(weights / total if total > 0 else weights, dtype=np.float32)


def nearness(query: NDArray[np.uint8], tokens: TokenVectors) -> NDArray[np.float32]:
    """How near each text comes to each token of a query: (n, q) float32, 0 for no nearer than chance (or without any
    token), 1 for the same.

    The cosine of the nearest token, less what the nearest of so many tokens reaches by chance: else long texts are
    near to everything (BEAM dev hit@10 0.726 -> 0.765, LoCoMo dev recall@10 0.824 -> 0.826).

    :param query: (q, TOKEN_BYTES) uint8.

    Source: Khattab and Zaharia (2020), ColBERT, equation 3 (the maximum, before its sum); the correction is ours.
    """
    lengths = np.diff(tokens.offsets)
    near = np.zeros((len(lengths), len(query)), dtype=np.float32)
    full = np.flatnonzero(lengths)
    if not len(full) or not len(query):
        return near
    fewest = np.minimum.reduceat(_differing(query, tokens.bits), tokens.offsets[full], axis=0)
    chance = (CHANCE * np.log(lengths[full]))[:, None].astype(np.float32)
    near[full] = np.maximum((_COSINE[fewest] - chance) / (1.0 - chance), 0.0)
    return near


def _differing(query: NDArray[np.uint8], bits: NDArray[np.uint8]) -> NDArray[np.unsignedinteger]:
    """In how many bits each of many tokens differs from each token of a query: (t, q)."""
    if numkong is None:
        return _differing_by_numpy(query, bits)
    packed = numkong.hammings_pack(np.ascontiguousarray(query), dtype="uint1")
    return np.asarray(numkong.hammings_packed(np.ascontiguousarray(bits), packed))


def _differing_by_numpy(query: NDArray[np.uint8], bits: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """`_differing` word by word over all tokens, so that each step is one pass over contiguous memory."""
    wanted = np.ascontiguousarray(query).view(np.uint64)
    columns = np.ascontiguousarray(np.ascontiguousarray(bits).view(np.uint64).T)
    out = np.empty((len(query), len(bits)), dtype=np.uint16)
    for row, token in enumerate(wanted):
        total = np.bitwise_count(columns[0] ^ token[0]).astype(np.uint16)
        for column, word in zip(columns[1:], token[1:], strict=True):
            total += np.bitwise_count(column ^ word)
        out[row] = total
    return out.T


def estimated(
    near: NDArray[np.float32], has_word: NDArray[np.bool_], is_known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """`near` with texts whose tokens are not known taken to be as near as their words say, or they could not be found
    beside the others (a text written a moment ago has none yet).

    A text that holds a token's word is as near to it as the middle one of those that hold it and are known; without
    the word, as the middle one of the rest.

    :param has_word: (n, q) bool, whether each text holds the word of each token of the query.
    :param is_known: (n,) bool, some of them True.
    """
    out = near.copy()
    for column in range(near.shape[1]):
        values, holds = near[is_known, column], has_word[is_known, column]
        without = float(np.median(values[~holds])) if not holds.all() else 0.0
        # With nothing to compare to, a word stands for itself.
        with_word = float(np.median(values[holds])) if holds.any() else 1.0
        guessed = np.where(has_word[~is_known, column], max(with_word, without), without)
        out[~is_known, column] = guessed
    return out
