"""Selection, metrics and the package's public names."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import penchant_ranker
from penchant_ranker import (
    all_at,
    auroc,
    auroc_interval,
    bootstrap_interval,
    estimated_tokens,
    hit_at,
    ndcg_at,
    recall_at,
    reciprocal_rank,
    select,
)

MODULES = [m.name for m in pkgutil.iter_modules(penchant_ranker.__path__)]


def test_equal_texts_are_shown_once_and_the_limit_holds() -> None:
    assert select(["a", "b", "a", "c", "d"], [1] * 5, limit=3) == [0, 1, 3]


def test_a_budget_is_never_exceeded_and_shorter_ones_still_come() -> None:
    assert select(["a", "b", "c"], [6, 6, 4], limit=10, budget_tokens=10) == [0, 2]
    assert select(["a"], [6], limit=10, budget_tokens=5) == []


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 20))),
    st.integers(1, 9),
    st.none() | st.integers(1, 50),
)
def test_selection_keeps_order_limit_and_budget(
    results: list[tuple[str, int]], limit: int, budget: int | None
) -> None:
    digests, sizes = [d for d, _ in results], [n for _, n in results]
    shown = select(digests, sizes, limit, budget)
    assert shown == sorted(set(shown))
    assert len(shown) <= limit
    assert len({digests[i] for i in shown}) == len(shown)
    assert budget is None or sum(sizes[i] for i in shown) <= budget


def test_tokens_are_not_underestimated_for_scripts_without_spaces() -> None:
    assert estimated_tokens("") == 0
    assert estimated_tokens("数据库") == 3
    assert estimated_tokens("word " * 100) == 125


def test_metrics_on_a_ranking_known_by_hand() -> None:
    ranked = ["x", "a", "y", "b"]
    assert recall_at(ranked, ["a", "b"], 2) == 0.5
    assert hit_at(ranked, ["b"], 3) == 0.0
    assert reciprocal_rank(ranked, ["a", "b"]) == 0.5
    best = 1.0 + 1.0 / np.log2(3)
    assert ndcg_at(ranked, ["a", "b"], 10) == pytest.approx((1 / np.log2(3) + 1 / np.log2(5)) / best)
    assert ndcg_at(ranked, [], 10) == recall_at(ranked, [], 10) == 0.0


def test_the_interval_holds_the_mean_and_is_the_same_for_the_same_seed() -> None:
    rng = np.random.default_rng(3)
    values, groups = rng.random(60), np.repeat(np.arange(6), 10)
    low, high = bootstrap_interval(values, groups, np.random.default_rng(0))
    assert low < values.mean() < high
    assert (low, high) == bootstrap_interval(values, groups, np.random.default_rng(0))


def test_all_right_ones_must_be_there_and_nothing_right_counts_as_none() -> None:
    assert all_at(["x", "a", "b"], ["b", "a"], 3) == 1.0
    assert all_at(["x", "a", "b"], ["b", "a"], 2) == 0.0
    assert all_at(["x"], [], 1) == 0.0


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=30), st.lists(st.integers(0, 5), min_size=1, max_size=30)
)
def test_auroc_equals_the_share_of_pairs_in_order(positive: list[int], negative: list[int]) -> None:
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    found = auroc(np.array(positive, dtype=np.float64), np.array(negative, dtype=np.float64))
    assert found == pytest.approx(sum(pairs) / len(pairs))


def test_the_interval_of_auroc_draws_whole_conversations() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(8), 20)
    is_positive = np.tile([True, False], 80)
    scores = rng.random(160) + 0.4 * is_positive
    value = auroc(scores[is_positive], scores[~is_positive])
    low, high = auroc_interval(scores, is_positive, groups, np.random.default_rng(0))
    assert 0.5 < low < value < high < 1.0
    assert (low, high) == auroc_interval(scores, is_positive, groups, np.random.default_rng(0))
    # Every conversation the same: drawing them anew changes nothing.
    same = auroc_interval(
        np.tile(scores[:20], 8), is_positive, groups, np.random.default_rng(0), n_samples=50
    )
    assert same[0] == pytest.approx(same[1])


def test_public_names_are_those_in_all() -> None:
    assert sorted(penchant_ranker.__all__) == sorted(set(penchant_ranker.__all__))
    for name in penchant_ranker.__all__:
        assert getattr(penchant_ranker, name) is not None
    public = {n for n in vars(penchant_ranker) if not n.startswith("_")} - set(MODULES)
    assert public <= set(penchant_ranker.__all__)


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_are_true(module: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(f"penchant_ranker.{module}"))
    assert failed == 0


@pytest.mark.parametrize("module", MODULES)
def test_the_ranker_is_pure(module: str) -> None:
    """No module of it imports what reads files, clocks, sockets or global randomness."""
    path = Path(str(importlib.import_module(f"penchant_ranker.{module}").__file__))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {
        (n.module or "").split(".")[0]
        for n in ast.walk(tree)
        if isinstance(n, ast.ImportFrom) and n.level == 0
    }
    assert imported.isdisjoint({"os", "pathlib", "time", "socket", "random", "logging", "io", "sqlite3"})
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert "open" not in called
