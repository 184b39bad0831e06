"""Models: columns by name, contributions that sum to the score, and texts that are refused with the reason."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.ranker.people import NAMES, PRIOR, PRIOR_WEIGHTS, impressions, lists_of, person

from penchant_ranker.errors import ModelCorrupt, ModelError, ModelForeign, ModelNeedsFeatures
from penchant_ranker.hand_set import CHAT
from penchant_ranker.learn_linear import update
from penchant_ranker.learn_trees import train_trees
from penchant_ranker.model import LinearModel, Model, TreeModel, digest, read_model, write_model

LISTS = lists_of(impressions(person(1, 0.4, True), 120, seed=1))
TREES = train_trees(LISTS, update(PRIOR, LISTS), "trees-1", seed=1, min_lists=50)
LINEAR = LinearModel("linear-1", ("words", "date"), (2.0, -0.5), "best", {"lists": 3, "note": "é “x”"})
MODELS: list[LinearModel | TreeModel] = [LINEAR, TREES]


def values(n: int = 40, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((n, len(NAMES))).astype(np.float32)


def ids(model: LinearModel | TreeModel) -> str:
    return model.name


def test_the_forest_of_the_tests_has_something_to_say() -> None:
    assert len(TREES.splits) >= 3
    assert TREES.forest.contributions(values()[:, [NAMES.index(f) for f in TREES.splits]]).std() > 0.01


def test_a_linear_score_known_by_hand() -> None:
    found = LINEAR.score(np.array([[0.5, 1.0, 9.0]], dtype=np.float32), ("words", "date", "length"))
    assert found.tolist() == [0.5]


@pytest.mark.parametrize("model", MODELS, ids=ids)
def test_contributions_and_bias_sum_to_the_score(model: Model) -> None:
    found = model.contributions(values(), NAMES)
    assert found.shape == (40, len(NAMES))
    np.testing.assert_allclose(found.sum(axis=1) + model.bias, model.score(values(), NAMES), atol=1e-9)


@pytest.mark.parametrize("model", MODELS, ids=ids)
def test_the_order_of_columns_and_rows_changes_nothing(model: Model) -> None:
    columns = np.random.default_rng(1).permutation(len(NAMES))
    names = tuple(NAMES[i] for i in columns)
    rows = np.random.default_rng(2).permutation(40)
    straight = model.score(values(), NAMES)
    np.testing.assert_allclose(model.score(values()[rows][:, columns], names), straight[rows], atol=1e-12)
    np.testing.assert_allclose(
        model.contributions(values()[:, columns], names),
        model.contributions(values(), NAMES)[:, columns],
        atol=1e-12,
    )


@pytest.mark.parametrize("model", MODELS, ids=ids)
def test_features_that_are_newer_than_the_model_are_ignored(model: Model) -> None:
    names = ("brand_new", *NAMES, "newer_still")
    wider = np.hstack([values(seed=9)[:, :1], values(), values(seed=8)[:, :1]])
    np.testing.assert_allclose(model.score(wider, names), model.score(values(), NAMES), atol=1e-12)
    added = model.contributions(wider, names)
    assert not added[:, [0, -1]].any()


@pytest.mark.parametrize("model", MODELS, ids=ids)
def test_a_feature_that_is_no_longer_computed_is_named(model: Model) -> None:
    names = tuple(n for n in NAMES if n != "date")
    for ask in (model.score, model.contributions):
        with pytest.raises(ModelNeedsFeatures, match=f"{model.name} reads date") as raised:
            ask(np.delete(values(), NAMES.index("date"), axis=1), names)
        assert raised.value.missing == ("date",)


def test_a_feature_that_weighs_nothing_may_go() -> None:
    model = LinearModel("m", ("words", "gone"), (1.0, 0.0), "best")
    assert model.needs == ("words",)
    assert model.score(np.array([[0.5]], dtype=np.float32), ("words",)).tolist() == [0.5]


@pytest.mark.parametrize("model", MODELS, ids=ids)
def test_values_that_do_not_fit_or_are_not_finite_are_refused(model: Model) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        model.score(values()[:, 1:], NAMES)
    for wrong in (np.nan, np.inf):
        bad = values()
        bad[3, 2] = wrong
        with pytest.raises(ValueError, match="finite"):
            model.score(bad, NAMES)


@pytest.mark.parametrize("model", MODELS, ids=ids)
def test_no_candidates_give_no_scores(model: Model) -> None:
    assert model.score(values(0), NAMES).shape == (0,)
    assert model.contributions(values(0), NAMES).shape == (0, len(NAMES))


def test_the_hand_set_as_a_model_weighs_what_it_weighs() -> None:
    model = LinearModel.of(CHAT)
    assert model.scaling == CHAT.scaling
    assert dict(zip(model.features, model.weights, strict=True)) == {
        w.feature: w.weight for w in CHAT.weights
    }


# ---- text


@pytest.mark.parametrize("model", [*MODELS, LinearModel("empty", (), (), "spread"), PRIOR], ids=ids)
def test_what_is_read_is_what_was_written(model: LinearModel | TreeModel) -> None:
    text = write_model(model)
    again = read_model(text, digest(text), NAMES)
    assert again == model
    assert write_model(again) == text


def test_a_model_that_was_read_ranks_the_same() -> None:
    again = read_model(write_model(TREES))
    assert again.score(values(), NAMES).tolist() == TREES.score(values(), NAMES).tolist()
    assert again.contributions(values(), NAMES).tolist() == TREES.contributions(values(), NAMES).tolist()


def test_the_trees_of_a_text_are_lightgbms() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightgbm
    text = write_model(TREES)
    booster = lightgbm.Booster(model_str=text[text.index("\ntree\n") + 1 :])
    trees = TREES.score(values(), NAMES) - values().astype(np.float64) @ np.array(TREES.weights)
    np.testing.assert_allclose(booster.predict(values()), trees, atol=1e-6)


def test_a_text_says_what_it_is_and_what_it_was_made_from() -> None:
    head = json.loads(write_model(TREES).split("\n")[0])
    assert head["kind"] == "trees"
    assert head["features"] == list(NAMES)
    assert head["trained_on"]["lists"] == TREES.trained_on["lists"]
    assert 50 < head["trained_on"]["lists"] <= 120
    assert head["trained_on"]["seed"] == 1
    assert head["trained_on"]["lightgbm"]


@pytest.mark.parametrize("model", MODELS, ids=ids)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_changed_character_is_noticed(model: LinearModel | TreeModel, data: st.DataObject) -> None:
    text = write_model(model)
    sha = digest(text)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda c: c != text[at]))
    changed = text[:at] + other + text[at + 1 :]
    with pytest.raises(ModelError):
        read_model(changed, sha)
    head_ends = text.index("\n")
    if at > head_ends:  # even when nobody remembers the digest of the whole
        with pytest.raises(ModelCorrupt):
            read_model(changed)


@pytest.mark.parametrize("model", MODELS, ids=ids)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_text_that_is_cut_is_refused(model: LinearModel | TreeModel, share: float) -> None:
    text = write_model(model)
    with pytest.raises(ModelError):
        read_model(text[: int(share * len(text))])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "{}",
        "[1, 2]\n",
        "null\n",
        "not json\n",
        '{"format": "other"}\n',
        "\x00\x01",
        "[" * 100_000,
        "tree\nversion=v4\n",
        '{"format": "penchant-ranker-model", "version": 1}\n',
    ],
)
def test_what_is_no_model_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        read_model(text)


def changed_head(model: LinearModel | TreeModel, **changes: object) -> str:
    line, _, body = write_model(model).partition("\n")
    return json.dumps({**json.loads(line), **changes}) + "\n" + body


@pytest.mark.parametrize("model", MODELS, ids=ids)
@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": "1"},
        {"kind": "forest"},
        {"kind": None},
        {"scaling": "none"},
        {"name": "../../etc/passwd"},
        {"name": 5},
        {"features": ["words"]},
        {"features": ["words", "words"]},
        {"features": "words"},
        {"features": [1, 2]},
        {"features": ["a; rm -rf"] * 2},
        {"trained_on": [1]},
        {"trained_on": {"a": {"b": 1}}},
        {"sha256": None},
    ],
    ids=str,
)
def test_a_first_line_that_does_not_fit_is_refused(
    model: LinearModel | TreeModel, change: dict[str, object]
) -> None:
    with pytest.raises(ModelError):
        read_model(changed_head(model, **change))


def test_a_model_of_a_newer_penchant_says_so() -> None:
    with pytest.raises(ModelForeign, match="version 2"):
        read_model(changed_head(LINEAR, version=2))


@pytest.mark.parametrize(
    "line", ["words = nan", "words = inf", "words = 1e999", "words = ", "words = x", "wrds = 2.0"]
)
def test_a_weight_that_is_no_number_is_refused(line: str) -> None:
    body = f"{line}\ndate = -0.5\n"
    with pytest.raises(ModelCorrupt):
        read_model(changed_head(LINEAR, sha256=digest(body)).split("\n")[0] + "\n" + body)


def test_trees_are_checked_even_when_their_digest_is_right() -> None:
    body = write_model(TREES).partition("\n")[2].replace("left_child=", "left_child=77 ", 1)
    with pytest.raises(ModelCorrupt):
        read_model(changed_head(TREES, sha256=digest(body)).split("\n")[0] + "\n" + body)


def test_a_linear_text_with_something_behind_it_is_refused() -> None:
    body = write_model(LINEAR).partition("\n")[2] + "more\n"
    with pytest.raises(ModelCorrupt, match="follows"):
        read_model(changed_head(LINEAR, sha256=digest(body)).split("\n")[0] + "\n" + body)


@pytest.mark.parametrize("model", MODELS, ids=ids)
def test_a_model_of_another_feature_set_is_refused_with_what_is_missing(
    model: LinearModel | TreeModel,
) -> None:
    with pytest.raises(ModelNeedsFeatures, match="date") as raised:
        read_model(write_model(model), computed=[n for n in NAMES if n != "date"])
    assert "train it anew" in str(raised.value)


def test_another_digest_than_the_recorded_one_is_named() -> None:
    text = write_model(LINEAR)
    with pytest.raises(ModelCorrupt, match=digest(text)):
        read_model(text, "0" * 64)


def test_reading_and_ranking_with_trees_needs_no_lightgbm() -> None:
    """It takes 0.3 s and 47 MB to import, and native code must not read what lies on the disk."""
    import subprocess
    import sys

    script = (
        "import sys; from penchant_ranker.model import read_model; import numpy as np\n"
        "m = read_model(sys.stdin.read()); n = m.features\n"
        "m.score(np.zeros((3, len(n)), np.float32), n); m.contributions(np.zeros((3, len(n)), np.float32), n)\n"
        "assert 'lightgbm' not in sys.modules and 'scipy' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=write_model(TREES), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_prior_of_the_tests_is_in_the_order_of_their_names() -> None:
    assert PRIOR_WEIGHTS.tolist() == [*PRIOR.weights, 0.0]
