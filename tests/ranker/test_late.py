"""Late interaction against a slow plain twin, sign bits against the cosines that they stand for, and cases by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from penchant_ranker import (
    MAX_TOKENS,
    TOKEN_BITS,
    QueryTokens,
    TokenVectors,
    content_tokens,
    stems,
)
from penchant_ranker.late import (
    CHANCE,
    MAX_QUERY_TOKENS,
    TOKEN_BYTES,
    _differing,
    _differing_by_numpy,
    estimated,
    nearness,
    terms_of,
    token_weights,
)

Bits = NDArray[np.uint8]


def drawn_bits(rng: np.random.Generator, n: int) -> Bits:
    return rng.integers(0, 256, (n, TOKEN_BYTES), dtype=np.uint8)


def flipped(bits: Bits, n: int, rng: np.random.Generator) -> Bits:
    """The same token with n of its bits the other way round."""
    spread = np.unpackbits(bits)
    spread[rng.choice(TOKEN_BITS, n, replace=False)] ^= 1
    return np.packbits(spread)


def slow_nearness(query: Bits, texts: list[Bits]) -> list[list[float]]:
    """Bit by bit, as the docstring says it."""
    out = []
    for text in texts:
        row = []
        for token in query:
            wanted = int.from_bytes(token.tobytes(), "big")
            differing = [(wanted ^ int.from_bytes(other.tobytes(), "big")).bit_count() for other in text]
            if not differing:
                row.append(0.0)
                continue
            cosine = max(math.sin(math.pi / 2 * (1 - 2 * d / TOKEN_BITS)) for d in differing)
            chance = CHANCE * math.log(len(text))
            row.append(max((cosine - chance) / (1 - chance), 0.0))
        out.append(row)
    return out


def vectors_of(texts: list[Bits]) -> TokenVectors:
    offsets = np.concatenate(([0], np.cumsum([len(text) for text in texts]))).astype(np.int64)
    return TokenVectors(np.concatenate(texts), offsets)


@pytest.mark.parametrize("seed", range(5))
def test_nearness_is_that_of_the_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    query = drawn_bits(rng, 1 + seed * 3)
    texts = [drawn_bits(rng, int(n)) for n in rng.integers(0, MAX_TOKENS, 40)]
    texts[3] = np.concatenate([texts[3], flipped(query[0], 40, rng)[None]])
    texts[0] = texts[-1] = np.zeros((0, TOKEN_BYTES), dtype=np.uint8)
    fast = nearness(query, vectors_of(texts))
    np.testing.assert_allclose(fast, np.array(slow_nearness(query, texts)), atol=1e-5)
    assert fast[3, 0] == fast.max()  # the text that holds nearly the same token


def test_both_engines_count_the_same_bits() -> None:
    rng = np.random.default_rng(5)
    query, bits = drawn_bits(rng, 7), drawn_bits(rng, 500)
    bits[3], bits[4] = query[2], ~query[2]
    slow = np.array([[int(np.bitwise_count(a ^ b).sum()) for b in query] for a in bits])
    assert (slow[3, 2], slow[4, 2]) == (0, TOKEN_BITS)
    assert np.array_equal(_differing_by_numpy(query, bits), slow)
    assert np.array_equal(_differing(query, bits), slow)


def test_the_same_token_is_as_near_as_can_be_however_long_the_text_is() -> None:
    rng = np.random.default_rng(1)
    query = drawn_bits(rng, 1)
    texts = [np.concatenate([drawn_bits(rng, n), query]) for n in (0, 5, 63)]
    assert nearness(query, vectors_of(texts)).ravel().tolist() == pytest.approx([1.0, 1.0, 1.0])


def test_a_long_text_is_no_nearer_than_a_short_one_when_neither_holds_anything() -> None:
    rng = np.random.default_rng(2)
    query = drawn_bits(rng, 200)
    means = nearness(query, vectors_of([drawn_bits(rng, n) for n in (4, 60)])).mean(axis=1)
    assert means.tolist() == pytest.approx([0.0, 0.0], abs=0.02)


@pytest.mark.parametrize("cosine", [-0.9, -0.3, 0.0, 0.3, 0.6, 0.9, 0.99])
def test_signs_after_a_rotation_tell_the_cosine(cosine: float) -> None:
    """384 signs estimate an angle with a standard deviation of pi sqrt(p (1 - p) / 384): 4.6 degrees at a right one."""
    rng = np.random.default_rng(3)
    n = 400
    a = rng.standard_normal((n, TOKEN_BITS))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b = rng.standard_normal((n, TOKEN_BITS))
    b -= (a * b).sum(axis=1, keepdims=True) * a
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    b = cosine * a + math.sqrt(1 - cosine**2) * b
    rotation = np.linalg.qr(rng.standard_normal((TOKEN_BITS, TOKEN_BITS)))[0]
    first, second = np.packbits(a @ rotation > 0, axis=1), np.packbits(b @ rotation > 0, axis=1)
    differing = np.bitwise_count(first ^ second).sum(axis=1, dtype=np.int64)
    estimate = np.cos(np.pi * differing / TOKEN_BITS)
    angle = math.acos(cosine)
    p = angle / math.pi
    spread = math.pi * math.sqrt(p * (1 - p) / TOKEN_BITS) * math.sin(angle)
    assert abs(float(estimate.mean()) - cosine) < 0.02
    assert float(np.abs(estimate - cosine).max()) < 5 * spread + 0.02


def test_words_that_say_nothing_and_marks_are_not_kept() -> None:
    text = "The lake, and you?"
    spans = [(0, 0), (0, 3), (4, 8), (8, 9), (10, 13), (14, 17), (17, 18), (0, 0)]
    found = content_tokens(text, spans, 64)
    assert (found.places.tolist(), found.words) == ([2], ("lake",))


def test_pieces_of_a_word_belong_together_and_the_first_ones_are_kept_up_to_the_limit() -> None:
    text = "sunrises sunrises lakes"
    spans = [(0, 3), (3, 8), (9, 12), (12, 17), (18, 23)]
    found = content_tokens(text, spans, 3)
    assert (found.places.tolist(), found.word_of.tolist()) == ([0, 1, 2], [0, 0, 1])
    assert found.words == ("sunrises", "sunrises", "lakes")


def test_a_space_that_a_tokenizer_counts_to_its_word_changes_nothing() -> None:
    assert content_tokens("a lake", [(0, 1), (1, 6)], 64).places.tolist() == [1]


def test_scripts_without_spaces_are_left_to_words() -> None:
    text = "为什么用Redis缓存"
    spans = [(i, i + 1) for i in range(4)] + [(4, 9), (9, 10), (10, 11)]
    found = content_tokens(text, spans, 64)
    assert (found.places.tolist(), found.words) == ([4], ("Redis",))
    assert content_tokens("データ 数据", [(0, 3), (4, 5), (5, 6)], 64).places.tolist() == []


def test_a_text_without_tokens_keeps_none() -> None:
    for text, spans in (("", []), ("", [(0, 0), (0, 0)]), ("?!", [(0, 1), (1, 2)])):
        assert content_tokens(text, spans, 64).places.tolist() == []


def query_of(*words: str, pieces: int = 1) -> QueryTokens:
    n = len(words) * pieces
    word_of = np.repeat(np.arange(len(words), dtype=np.int64), pieces)
    return QueryTokens(np.zeros((n, TOKEN_BYTES), dtype=np.uint8), word_of, words)


def test_rare_words_count_more_and_pieces_share_what_their_word_counts() -> None:
    query = query_of("paintings", "zebra", pieces=2)
    terms = terms_of(query, stems("paintings zebra"))
    assert terms.tolist() == [[True, False]] * 2 + [[False, True]] * 2
    weights = token_weights(query, terms, np.array([1.0, 3.0], dtype=np.float32))
    assert weights.tolist() == pytest.approx([0.125, 0.125, 0.375, 0.375])


def test_a_word_that_is_no_term_counts_as_the_others_do_on_average() -> None:
    query = query_of("lake", "moon")
    weights = token_weights(query, terms_of(query, ["lake"]), np.array([2.0], dtype=np.float32))
    assert weights.tolist() == pytest.approx([0.5, 0.5])


def test_a_run_of_signs_without_spaces_stands_for_its_pairs() -> None:
    query = query_of("数据库")
    assert terms_of(query, ["数据", "据库", "库存"]).tolist() == [[True, True, False]]
    assert token_weights(query, terms_of(query, ["数据"]), np.array([2.0], np.float32)).tolist() == [1.0]


def test_of_a_long_query_the_rarest_words_count() -> None:
    n = MAX_QUERY_TOKENS + 10
    query = query_of(*(f"word{i}" for i in range(n)))
    idf = np.arange(1, n + 1, dtype=np.float32)
    weights = token_weights(query, np.eye(n, dtype=np.bool_), idf)
    assert np.flatnonzero(weights).tolist() == list(range(10, n))
    assert float(weights.sum()) == pytest.approx(1.0)


def test_a_query_without_content_has_no_weights() -> None:
    query = QueryTokens(np.zeros((0, TOKEN_BYTES), np.uint8), np.zeros(0, dtype=np.int64), ())
    assert token_weights(query, terms_of(query, []), np.zeros(0, dtype=np.float32)).tolist() == []


def test_a_text_without_tokens_is_taken_to_be_as_near_as_its_words_say() -> None:
    near = np.array([[0.9], [0.7], [0.8], [0.1], [0.3], [0.0], [0.0]], dtype=np.float32)
    has_word = np.array([[True], [True], [True], [False], [False], [True], [False]])
    found = estimated(near, has_word, np.array([True] * 5 + [False] * 2))
    assert found[:5].ravel().tolist() == pytest.approx([0.9, 0.7, 0.8, 0.1, 0.3])
    assert found[5:].ravel().tolist() == pytest.approx([0.8, 0.2])


def test_a_word_that_no_text_with_tokens_holds_stands_for_itself() -> None:
    near = np.array([[0.2], [0.0]], dtype=np.float32)
    found = estimated(near, np.array([[False], [True]]), np.array([True, False]))
    assert found.ravel().tolist() == pytest.approx([0.2, 1.0])
