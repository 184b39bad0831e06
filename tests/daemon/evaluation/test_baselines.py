"""Rankings that need nothing of Penchant, and their fusion."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest

from penchant_daemon.evaluation.baselines import RRF_K, Grep, PlainSearch, Vectors, fused


def test_grep_counts_words_in_any_case_and_keeps_the_order_of_ties() -> None:
    grep = Grep(["a red fox", "THE RED FOX RUNS", "a bird", "the fox", "red, red, red"])
    assert grep.ranked("Red Fox runs") == [(1, 3.0), (0, 2.0), (3, 1.0), (4, 1.0)]
    assert grep.ranked("whale") == []
    assert grep.ranked("?!") == []


def test_plain_fts5_finds_stems_and_leaves_stop_words_out() -> None:
    plain = PlainSearch(["she painted a sunrise", "what is the time", "painting painting painting"])
    assert [place for place, _ in plain.ranked("What is a painting?")] == [2, 0]
    assert all(score > 0 for _, score in plain.ranked("paint"))
    plain.close()


@pytest.mark.parametrize(
    "question", ['"', "NEAR(a b)", "a AND", "*", "text:x", "'; DROP TABLE texts; --", ""]
)
def test_what_fts5_takes_for_syntax_is_text(question: str) -> None:
    plain = PlainSearch(["near drop table", "x"])
    assert all(place in (0, 1) for place, _ in plain.ranked(question))
    plain.close()


def test_vectors_rank_by_cosine_and_leave_out_what_has_none() -> None:
    ranked = Vectors(np.array([0.1, -2.0, 0.9, 0.1], dtype=np.float32)).ranked()
    assert [place for place, _ in ranked] == [2, 0, 3]


def test_fusion_adds_the_inverse_ranks_of_each_ranking() -> None:
    found = dict(fused([[(7, 3.0), (8, 2.0)], [(8, 0.9), (9, 0.1)]]))
    assert found[8] == pytest.approx(1 / (RRF_K + 2) + 1 / (RRF_K + 1))
    assert found[7] == pytest.approx(1 / (RRF_K + 1))
    assert [place for place, _ in fused([[(7, 3.0), (8, 2.0)], [(8, 0.9), (9, 0.1)]])] == [8, 7, 9]


@pytest.mark.parametrize("module", ["baselines", "measures"])
def test_examples_in_docstrings_are_true(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"penchant_daemon.evaluation.{module}"))
    assert (failed, tried > 0) == (0, True)
