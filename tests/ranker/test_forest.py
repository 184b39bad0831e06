"""The forest against LightGBM, against a walk from node to node, against Shapley's own sum, and against bad texts."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from penchant_ranker.errors import ModelCorrupt, ModelError, ModelForeign
from penchant_ranker.forest import MAX_LEAVES, Tree, forest_of, parse

N_FEATURES = 6
NAMES = tuple(f"f{i}" for i in range(N_FEATURES))


def trained(n_trees: int = 40, seed: int = 0, n_leaves: int = 15) -> tuple[str, object]:
    """A LightGBM model text and the booster that it is of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightgbm
    rng = np.random.default_rng(seed)
    values = rng.random((2000, N_FEATURES))
    values[:, 5] = rng.integers(0, 2, 2000)
    wish = (
        values[:, 0]
        + (values[:, 1] > 0.5) * (values[:, 2] > 0.3)
        + 0.5 * values[:, 5]
        + rng.normal(0, 0.2, 2000)
    )
    labels = (wish > 1.2).astype(np.int64) + (wish > 1.8)
    data = lightgbm.Dataset(
        values, labels, group=[20] * 100, feature_name=list(NAMES), params={"verbosity": -1}
    )
    booster = lightgbm.train(
        {
            "objective": "lambdarank",
            "num_leaves": n_leaves,
            "min_data_in_leaf": 20,
            "learning_rate": 0.1,
            "use_missing": False,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
            "seed": 1,
        },
        data,
        num_boost_round=n_trees,
    )
    return booster.model_to_string(), booster


TEXT, BOOSTER = trained()
FOREST = forest_of(parse(TEXT)[1], N_FEATURES)


def predicted(values: NDArray[np.float32], pred_contrib: bool = False) -> NDArray[np.float64]:
    """What LightGBM itself says."""
    return np.asarray(BOOSTER.predict(values, pred_contrib=pred_contrib))  # type: ignore[attr-defined]


def some_values(n: int, seed: int = 1) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    values = rng.random((n, N_FEATURES)).astype(np.float32)
    values[:, 5] = rng.integers(0, 2, n)
    values[0], values[1] = 0.0, 1.0
    return values


def walked(trees: list[Tree], values: NDArray[np.float32]) -> list[float]:
    """The slow plain twin: from the root to a leaf, tree by tree."""
    scores = []
    for row in values.astype(np.float64):
        total = 0.0
        for tree in trees:
            at = 0 if len(tree.feature) else ~0
            while at >= 0:
                at = int(tree.children[at, 0 if row[tree.feature[at]] <= tree.threshold[at] else 1])
            total += float(tree.value[~at])
        scores.append(total)
    return scores


def known(tree: Tree, row: NDArray[np.float64], columns: frozenset[int], at: int) -> tuple[float, int]:
    """The mean of a tree's training rows when only some columns are known, and how many came to a node."""
    if at < 0:
        return float(tree.value[~at]), int(tree.count[~at])
    sides = [known(tree, row, columns, int(child)) for child in tree.children[at]]
    n = sides[0][1] + sides[1][1]
    if int(tree.feature[at]) in columns:
        return sides[0 if row[tree.feature[at]] <= tree.threshold[at] else 1][0], n
    return (sides[0][0] * sides[0][1] + sides[1][0] * sides[1][1]) / n, n


def shapley(trees: list[Tree], row: NDArray[np.float64]) -> list[float]:
    """Shapley's sum over all subsets of the columns."""
    added = [0.0] * N_FEATURES
    for column in range(N_FEATURES):
        others = [c for c in range(N_FEATURES) if c != column]
        for size in range(N_FEATURES):
            weight = math.factorial(size) * math.factorial(N_FEATURES - size - 1) / math.factorial(N_FEATURES)
            for subset in itertools.combinations(others, size):
                for tree in trees:
                    root = 0 if len(tree.feature) else ~0
                    with_it = known(tree, row, frozenset((*subset, column)), root)[0]
                    added[column] += weight * (with_it - known(tree, row, frozenset(subset), root)[0])
    return added


def test_scores_are_those_of_lightgbm_and_of_a_walk_through_the_trees() -> None:
    values = some_values(300)
    np.testing.assert_allclose(FOREST.score(values), predicted(values), atol=1e-12)
    np.testing.assert_allclose(FOREST.score(values), walked(parse(TEXT)[1], values), atol=1e-12)


def test_a_value_on_a_threshold_goes_to_the_left_as_in_lightgbm() -> None:
    thresholds = np.concatenate([t.threshold[t.feature == 0] for t in parse(TEXT)[1]]).astype(np.float32)
    values = some_values(len(thresholds))
    values[:, 0] = thresholds
    np.testing.assert_allclose(FOREST.score(values), predicted(values), atol=1e-12)


def test_contributions_are_those_of_lightgbm_and_sum_to_the_score() -> None:
    values = some_values(50)
    expected = predicted(values, pred_contrib=True)
    found = FOREST.contributions(values)
    np.testing.assert_allclose(found, expected[:, :-1], atol=1e-9)
    assert FOREST.bias == pytest.approx(float(expected[0, -1]), abs=1e-9)
    np.testing.assert_allclose(found.sum(axis=1) + FOREST.bias, FOREST.score(values), atol=1e-9)


def test_contributions_are_shapley_values() -> None:
    trees = parse(trained(n_trees=3)[0])[1]
    forest = forest_of(trees, N_FEATURES)
    values = some_values(4)
    for row, found in zip(values.astype(np.float64), forest.contributions(values), strict=True):
        np.testing.assert_allclose(found, shapley(trees, row), atol=1e-10)


def test_two_splits_known_by_hand() -> None:
    tree = Tree(
        feature=np.array([0, 1]),
        threshold=np.array([0.5, 0.25]),
        children=np.array([[~0, 1], [~1, ~2]]),
        value=np.array([-1.0, 1.0, 3.0]),
        count=np.array([2, 1, 1]),
    )
    forest = forest_of([tree], 2)
    values = np.array([[0.5, 9.0], [0.6, 0.25], [0.6, 0.3]], dtype=np.float32)
    assert forest.score(values).tolist() == [-1.0, 1.0, 3.0]
    assert forest.bias == 0.5
    # The first column alone takes the mean from 0.5 to 2, known second to 3; the second from 0.5 to 1, and to 3.
    np.testing.assert_allclose(forest.contributions(values)[2], [1.75, 0.75])


def test_a_forest_of_leaves_alone_gives_everything_the_same_score() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightgbm
    data = lightgbm.Dataset(
        some_values(60), np.zeros(60), group=[60], feature_name=list(NAMES), params={"verbosity": -1}
    )
    text = lightgbm.train(
        {"objective": "lambdarank", "verbosity": -1, "num_threads": 1}, data, 3
    ).model_to_string()
    names, trees = parse(text)
    forest = forest_of(trees, len(names))
    assert forest.score(some_values(3)).tolist() == [0.0, 0.0, 0.0]
    assert not forest.contributions(some_values(3)).any()


def test_no_rows_give_no_scores() -> None:
    assert FOREST.score(some_values(3)[:0]).shape == (0,)
    assert FOREST.contributions(some_values(3)[:0]).shape == (0, N_FEATURES)


# ---- texts that are not what they should be


@pytest.mark.parametrize(
    "text", ["", "tree", "tree\n", "{}", "x" * 1000, "tree\n\n\n", "tree\nversion=v4\n\nTree=0"]
)
def test_a_text_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        parse(text)


@pytest.mark.parametrize(
    "old, new",
    [
        ("left_child=", "left_child=999 "),
        ("num_leaves=", "num_leaves=9"),
        ("num_leaves=15", "num_leaves=-1"),
        ("num_leaves=15", "num_leaves=100000000000000000000"),
        ("num_cat=0", "num_cat=1"),
        ("is_linear=0", "is_linear=1"),
        ("split_feature=", "split_feature=7 "),
        ("threshold=", "threshold=nan "),
        ("leaf_value=", "leaf_value=1e999 "),
        ("leaf_value=", "leaf_value=abc "),
        ("leaf_count=", "leaf_count=0 "),
        ("decision_type=2", "decision_type=9"),
        ("end of trees", "end of tree"),
        ("Tree=1\n", "Tree=7\n"),
        ("max_feature_idx=5", "max_feature_idx=50"),
        ("num_class=1", "num_class=3"),
        ("version=v4", "version=v9"),
        ("feature_names=f0 f1", "feature_names=f1 f1"),
        ("shrinkage=", "surprise=1\nshrinkage="),
    ],
)
def test_what_cannot_be_in_a_tree_is_refused(old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(ModelError):
        parse(TEXT.replace(old, new, 1))


def with_children(left: str, right: str) -> str:
    """The first tree with other children; it has four leaves."""
    small, _ = trained(n_trees=1, n_leaves=4)
    lines = small.split("\n")
    return "\n".join(
        f"left_child={left}" if line.startswith("left_child=") else
        f"right_child={right}" if line.startswith("right_child=") else line
        for line in lines
    )  # fmt: skip


@pytest.mark.parametrize(
    "left, right",
    [
        ("1 0 -1", "2 -2 -3"),  # a way back to the root
        ("1 1 -1", "2 -2 -3"),  # a node that holds itself
        ("-1 -1 -1", "2 -2 -3"),  # a leaf that is reached three times
        ("-1 -3 -5", "-2 -4 -6"),  # leaves that do not exist
        ("1 2 3", "-1 -2 -3"),  # a node that does not exist
    ],
)
def test_children_that_are_no_tree_are_refused(left: str, right: str) -> None:
    with pytest.raises(ModelCorrupt):
        parse(with_children(left, right))


def test_a_tree_with_more_leaves_than_are_trained_is_refused() -> None:
    with pytest.raises(ModelCorrupt, match=f"1 to {MAX_LEAVES}"):
        parse(trained(n_trees=1, n_leaves=31)[0])


def test_splits_on_categories_are_refused_by_name() -> None:
    with pytest.raises(ModelForeign, match="categorical"):
        parse(TEXT.replace("num_cat=0", "num_cat=2", 1))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(TEXT) - 1), st.integers(0, 40), st.text(max_size=6))
def test_any_damage_is_refused_or_gives_a_forest_that_ranks(at: int, gone: int, come: str) -> None:
    """Whatever is cut out or put in, reading it ends, and with an error of ours or a usable forest."""
    try:
        names, trees = parse(TEXT[:at] + come + TEXT[at + gone :])
    except ModelError:
        return
    scores = forest_of(trees, len(names)).score(some_values(2)[:, : len(names)])
    assert np.isfinite(scores).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, len(TEXT)))
def test_a_text_that_is_cut_before_the_trees_end_is_refused(at: int) -> None:
    cut = TEXT[:at]
    if "\nend of trees" not in cut:
        with pytest.raises(ModelError):
            parse(cut)
