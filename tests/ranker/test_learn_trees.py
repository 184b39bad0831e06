"""Trees: what is refused before LightGBM sees it, what holds for every model, and where they beat weights."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from tests.ranker.people import NAMES, PRIOR, impressions, lists_of, person, queries, worth

from penchant_ranker.errors import BadTrainingData, TooFewOutcomes
from penchant_ranker.labels import PRAISED, REJECTED, UNLABELLED, LabelledLists
from penchant_ranker.learn_linear import Posterior, update
from penchant_ranker.learn_trees import MIN_LISTS, N_TREES, train_trees
from penchant_ranker.model import TreeModel, read_model, write_model
from penchant_ranker.votes import vote


def twisted(seed: int, n: int = 350, contradictory: float = 0.0) -> tuple[LabelledLists, Posterior]:
    lists = lists_of(impressions(person(seed, 0.3, True), n, seed, contradictory))
    return lists, update(PRIOR, lists)


LISTS, MARGIN = twisted(1, n=150)


@cache
def trained() -> TreeModel:
    return train_trees(LISTS, MARGIN, "trees-1", seed=5, min_lists=100)


def test_the_same_lists_and_seed_give_the_same_model_to_the_letter() -> None:
    assert write_model(train_trees(LISTS, MARGIN, "trees-1", seed=5, min_lists=100)) == write_model(trained())


def test_it_is_the_same_in_another_process() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.ranker.test_learn_trees import trained\n"
        "from penchant_ranker.model import digest, write_model\n"
        "print(digest(write_model(trained())))"
    )
    root = __file__.rpartition("/tests/")[0]
    done = subprocess.run([sys.executable, "-c", script, root], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    from penchant_ranker.model import digest

    assert done.stdout.strip() == digest(write_model(trained()))


def test_what_it_was_made_from_is_written_down() -> None:
    head = json.loads(write_model(trained()).split("\n")[0])["trained_on"]
    informative = LISTS.where(LISTS.is_informative)
    assert head["lists"] == informative.n_lists
    assert 100 <= head["lists"] <= 150
    assert head["outcomes"] == int((informative.rungs != UNLABELLED).sum())
    assert head["seed"] == 5


def test_with_fewer_lists_it_says_how_many_are_needed() -> None:
    with pytest.raises(TooFewOutcomes, match=f"and {MIN_LISTS} are needed") as raised:
        train_trees(LISTS.take(np.arange(20)), MARGIN, "m", seed=1)
    assert raised.value.found <= 20
    with pytest.raises(TooFewOutcomes):
        train_trees(LISTS.take(np.zeros(0, np.int64)), MARGIN, "m", seed=1)


def test_outcomes_that_are_all_equal_are_too_few() -> None:
    equal = replace(LISTS, rungs=np.full(len(LISTS.rungs), PRAISED))
    with pytest.raises(TooFewOutcomes, match="^0 lists"):
        train_trees(equal, MARGIN, "m", seed=1)


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"rungs": LISTS.rungs * 0.7}, "rungs"),
        ({"rungs": LISTS.rungs + 1}, "rungs"),
        ({"rungs": LISTS.rungs - 1}, "rungs"),
        ({"weights": -LISTS.weights}, "weights"),
        ({"weights": np.full(len(LISTS.rungs), np.nan)}, "weights"),
        ({"values": np.full(LISTS.values.shape, np.inf, np.float32)}, "values"),
        ({"values": LISTS.values[1:]}, "values"),
        ({"features": NAMES[1:]}, "values"),
        ({"features": tuple(reversed(NAMES))}, "margin"),
    ],
)
def test_bad_training_data_is_refused_by_us(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(BadTrainingData) as raised:
        train_trees(replace(LISTS, **wrong), MARGIN, "m", seed=1)  # type: ignore[arg-type]
    assert raised.value.field == field


def test_a_higher_value_of_a_feature_with_a_known_sign_never_lowers_a_score() -> None:
    assert set(MARGIN.signs) == {0, 1}
    values = np.random.default_rng(0).random((200, len(NAMES))).astype(np.float32)
    for column, sign in enumerate(MARGIN.signs):
        higher = values.copy()
        higher[:, column] = np.minimum(higher[:, column] + 0.3, 1.0)
        rise = trained().score(higher, NAMES) - trained().score(values, NAMES)
        if sign > 0:
            assert float(rise.min()) >= -1e-12


def test_no_outcomes_can_make_less_trust_rank_higher() -> None:
    """All that is "kept" is rejected by a hostile agent; the score does not fall with it."""
    kept = NAMES.index("kept")
    hostile = replace(LISTS, rungs=np.where(LISTS.values[:, kept] > 0.5, REJECTED, LISTS.rungs))
    model = train_trees(hostile, update(PRIOR, hostile), "m", seed=1, min_lists=100)
    values = np.random.default_rng(0).random((300, len(NAMES))).astype(np.float32)
    with_it, without = values.copy(), values.copy()
    with_it[:, kept], without[:, kept] = 1.0, 0.0
    assert float((model.score(with_it, NAMES) - model.score(without, NAMES)).min()) >= -1e-12


def test_a_model_that_was_saved_ranks_the_same() -> None:
    again = read_model(write_model(trained()))
    values = np.random.default_rng(0).random((50, len(NAMES))).astype(np.float32)
    assert isinstance(again, TreeModel)
    assert again.score(values, NAMES).tolist() == trained().score(values, NAMES).tolist()


def test_rejected_rows_come_after_those_that_were_not_used() -> None:
    """Of what was not used, long texts that state nothing are called wrong; nothing else tells the two apart."""
    length, statement = NAMES.index("length"), NAMES.index("statement")

    def is_rambling(values: np.ndarray) -> np.ndarray:
        return (values[:, length] > 0.5) & (values[:, statement] < 0.5)

    rejecting = (LISTS.rungs == UNLABELLED) & is_rambling(LISTS.values)
    lists = replace(
        LISTS,
        rungs=np.where(rejecting, REJECTED, LISTS.rungs),
        weights=np.where(rejecting, 1.0, LISTS.weights),
        certainty=np.where(rejecting, 0.95, LISTS.certainty),
    )
    signs = {"length": 0, "statement": 0}
    values = np.random.default_rng(0).random((2000, len(NAMES))).astype(np.float32)
    values[:, statement] = np.round(values[:, statement])
    behind = is_rambling(values)

    def lead(of: LabelledLists) -> float:
        scores = train_trees(of, update(PRIOR, of, signs), "m", seed=1, min_lists=100).score(values, NAMES)
        return float((scores[~behind].mean() - scores[behind].mean()) / scores.std())

    assert lead(lists) > lead(LISTS) + 0.5


def test_where_wishes_depend_on_two_things_at_once_trees_beat_weights_and_prior() -> None:
    trees, weights = [], []
    for seed in range(2):
        lists, margin = twisted(seed)
        tests = queries(person(seed, 0.3, True), 200, 9000 + seed)
        trees.append(worth(train_trees(lists, margin, "m", seed=1), tests))
        weights.append(worth(margin.mean, tests))
    assert min(trees) > 0.0
    assert float(np.mean(trees)) > float(np.mean(weights)) + 0.01


def test_where_weights_say_it_all_few_trees_are_made_and_do_no_harm() -> None:
    who = person(0, 0.0)
    lists = lists_of(impressions(who, 350, 0))
    margin, tests = update(PRIOR, lists), queries(who, 200, 9000)
    model = train_trees(lists, margin, "m", seed=1)
    assert model.trained_on["trees"] == N_TREES[0]
    assert worth(model, tests) > worth(margin.mean, tests) - 0.01


def test_with_one_session_nothing_can_be_tried_and_few_trees_are_made() -> None:
    alone = replace(LISTS, sessions=np.zeros(LISTS.n_lists, dtype=np.int64))
    assert train_trees(alone, MARGIN, "m", seed=1, min_lists=100).trained_on["trees"] == N_TREES[0]


@pytest.mark.parametrize("n", [1, 3, 8])
def test_a_handful_of_lists_gives_a_model_when_it_is_asked_for(n: int) -> None:
    """The gate tries trees on the older lists alone, however few they are."""
    few = LISTS.where(LISTS.is_informative).take(np.arange(n))
    model = train_trees(few, update(PRIOR, few), "m", seed=1, min_lists=1)
    assert np.isfinite(model.score(LISTS.values, NAMES)).all()


def test_a_fifth_of_contradictory_outcomes_still_gains() -> None:
    lists, _ = twisted(0, n=360, contradictory=0.2)
    kept = vote(lists, PRIOR, np.random.default_rng(0)).lists
    margin = update(PRIOR, kept)
    model = train_trees(kept, margin, "m", seed=1, min_lists=200)
    assert worth(model, queries(person(0, 0.3, True), 200, 9000)) > 0.03
