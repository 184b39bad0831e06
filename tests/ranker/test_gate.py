"""The gate: what may rank, what must not, and whether it says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.ranker.people import NAMES, PRIOR, impressions, lists_of, person

from penchant_ranker.calibrate import Quality
from penchant_ranker.gate import MIN_EFFECTIVE, compare, decide, shadow, split_by_time
from penchant_ranker.labels import REJECTED, UNLABELLED, USED, LabelledLists
from penchant_ranker.learn_linear import update
from penchant_ranker.model import LinearModel

RIGHT = LinearModel("right", ("words",), (1.0,), "best")
WRONG = LinearModel("wrong", ("words",), (-1.0,), "best")
FLAT = LinearModel("flat", ("words",), (0.0,), "best")


def by_hand(n: int = 60, weights: float = 1.0, rejected: bool = False) -> LabelledLists:
    """Lists of three in which the row with the most words was used, and perhaps the one with the fewest rejected."""
    values = np.tile(np.array([[0.1], [0.9], [0.5]], dtype=np.float32), (n, 1))
    rungs = np.tile([REJECTED if rejected else UNLABELLED, USED, UNLABELLED], n)
    return LabelledLists(
        features=("words",),
        values=values,
        offsets=np.arange(0, 3 * n + 1, 3),
        rungs=rungs,
        weights=np.where(rungs == UNLABELLED, 0.2, weights),
        certainty=np.full(3 * n, 0.9),
        agents=np.zeros(3 * n, dtype=np.int64),
        sessions=np.arange(n) // 3,
        projects=np.zeros(n, dtype=np.int64),
        at=np.arange(n, dtype=np.float64) * 600.0,
    )


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_figures_known_by_hand() -> None:
    found = compare(RIGHT, WRONG, by_hand(rejected=True), rng())
    assert found.ndcg == pytest.approx((1.0, 0.5))  # the used row is first, or third: 1 / log2(4)
    assert found.difference == pytest.approx(0.5)
    assert found.error == pytest.approx(0.0, abs=1e-9)
    assert found.rejected_difference == -1.0
    assert found.n_lists == 60
    assert found.n_effective == pytest.approx(60.0)


def test_a_list_that_weighs_more_counts_more_and_the_effective_number_says_how_few_they_are() -> None:
    lists = by_hand(10)
    heavy = np.array(lists.weights)
    heavy[1] = 10.0
    half = replace(
        lists,
        weights=np.concatenate((heavy[:3], np.roll(heavy[3:], -1))),
        rungs=np.concatenate((lists.rungs[:3], np.roll(lists.rungs[3:], -1))),
    )
    found = compare(RIGHT, FLAT, half, rng())
    # In the first list the best row was used, in the nine others the worst.
    assert found.ndcg[0] == pytest.approx((10.0 * 1.0 + 9 * 0.5) / 19.0)
    assert found.n_effective == pytest.approx(19.0**2 / (100.0 + 9.0))


def test_lists_that_tell_nothing_are_left_out() -> None:
    lists = by_hand(60)
    silent = replace(lists, rungs=np.where(lists.list_of < 20, UNLABELLED, lists.rungs))
    assert compare(RIGHT, WRONG, silent, rng()).n_lists == 40


def test_a_better_model_ranks_from_now_on() -> None:
    found = decide(RIGHT, WRONG, by_hand(), rng())
    assert found.is_accepted
    assert found.reason.startswith(
        "right ranks from now on: better than wrong, NDCG@10 1.000 against 0.500 (+0.500"
    )


def test_a_worse_one_and_an_equal_one_do_not() -> None:
    for challenger in (WRONG, replace(RIGHT, name="same")):
        found = decide(challenger, RIGHT, by_hand(), rng())
        assert not found.is_accepted
        assert found.reason.startswith(f"right stays: {challenger.name} is not better")


def test_too_little_evidence_decides_nothing() -> None:
    found = decide(RIGHT, WRONG, by_hand(20), rng())
    assert not found.is_accepted
    assert "amount to 20 equally telling ones, and 50 are needed" in found.reason
    weighty = by_hand(60)
    heavy = weighty.weights.copy()
    heavy[1] = 1000.0
    assert not decide(RIGHT, WRONG, replace(weighty, weights=heavy), rng()).is_accepted
    assert not decide(RIGHT, WRONG, by_hand(0), rng()).is_accepted


def test_a_model_that_shows_what_was_rejected_does_not_rank_though_it_is_better_else() -> None:
    """The used row and the rejected one are both above: the challenger finds the one and lifts the other."""
    n = 80
    values = np.tile(np.array([[0.9, 0.0], [0.8, 1.0], [0.1, 0.0]], dtype=np.float32), (n, 1))
    lists = replace(
        by_hand(n), features=("words", "date"), values=values, rungs=np.tile([UNLABELLED, REJECTED, USED], n)
    )
    lifts = LinearModel("lifts", ("words", "date"), (-1.0, 0.75), "best")  # used, rejected, unlabelled
    incumbent = LinearModel(
        "incumbent", ("words", "date"), (1.0, -0.5), "best"
    )  # unlabelled, rejected..., used
    found = decide(lifts, incumbent, lists, rng())
    assert found.comparison.difference > 0.1
    assert found.comparison.rejected_difference > found.comparison.rejected_error
    assert not found.is_accepted
    assert "ranks what was rejected higher" in found.reason


def test_badly_calibrated_probabilities_keep_a_model_out() -> None:
    good, poor, worse = Quality(0.05, 0.10, 300), Quality(0.15, 0.08, 300), Quality(0.04, 0.12, 300)
    assert decide(RIGHT, WRONG, by_hand(), rng(), (good, good)).is_accepted
    for bad in (poor, worse):
        found = decide(RIGHT, WRONG, by_hand(), rng(), (bad, good))
        assert not found.is_accepted
        assert "probabilities of right are off" in found.reason


def test_the_same_seed_decides_the_same() -> None:
    lists = lists_of(impressions(person(1, 0.4), 120, 1))
    learned = update(PRIOR, lists).model("learned")
    assert decide(learned, PRIOR, lists, rng()) == decide(learned, PRIOR, lists, rng())


def test_the_error_is_that_of_the_mean_of_the_differences() -> None:
    lists = lists_of(impressions(person(1, 0.4), 200, 1))
    equal = replace(lists, weights=np.where(lists.rungs == UNLABELLED, 0.2, 1.0))
    learned = update(PRIOR, equal).model("learned")
    found = compare(learned, PRIOR, equal, rng())
    one = [
        compare(learned, PRIOR, equal.take(np.array([i])), rng())
        for i in np.flatnonzero(equal.is_informative)
    ]
    differences = np.array([c.difference for c in one if c.n_effective])
    assert found.difference == pytest.approx(float(differences.mean()))
    assert found.error == pytest.approx(float(differences.std() / np.sqrt(len(differences))), rel=0.1)
    assert found.interval[0] < found.difference < found.interval[1]


# ---- the newest are held out


def test_the_newest_sessions_are_held_out_and_none_is_on_both_sides() -> None:
    lists = by_hand(60)
    shuffled = lists.take(np.random.default_rng(0).permutation(60))
    old, new = split_by_time(shuffled, 0.2)
    assert old.n_lists + new.n_lists == 60
    assert new.n_lists == 12
    assert float(old.at.max()) < float(new.at.min())
    assert not set(old.sessions.tolist()) & set(new.sessions.tolist())


def test_a_long_session_is_held_out_whole() -> None:
    lists = replace(by_hand(60), sessions=np.where(np.arange(60) < 30, 0, 1))
    old, new = split_by_time(lists, 0.1)
    assert (old.n_lists, new.n_lists) == (30, 30)


def test_one_session_alone_is_learned_from_and_decides_nothing() -> None:
    lists = replace(by_hand(60), sessions=np.zeros(60, dtype=np.int64))
    old, new = split_by_time(lists)
    assert (old.n_lists, new.n_lists) == (60, 0)
    assert not decide(RIGHT, WRONG, new, rng()).is_accepted


def test_nothing_to_tell_is_nothing_to_hold_out() -> None:
    silent = replace(by_hand(9), rungs=np.full(27, UNLABELLED))
    assert split_by_time(silent)[1].n_lists == 0
    assert split_by_time(by_hand(0))[1].n_lists == 0


# ---- from end to end


def test_what_was_learned_of_a_person_with_a_taste_passes_and_of_another_person_does_not() -> None:
    passed, failed = [], []
    for seed in range(4):
        lists = lists_of(impressions(person(seed, 0.4), 400, seed))
        old, new = split_by_time(lists)
        learned = update(PRIOR, old).model("learned")
        other = update(PRIOR, lists_of(impressions(person(seed + 20, 0.6), 300, seed))).model("other")
        passed.append(decide(learned, PRIOR, new, rng(), min_effective=30).is_accepted)
        failed.append(decide(other, learned, new, rng(), min_effective=30).is_accepted)
    assert passed == [True] * 4
    assert failed == [False] * 4


def test_a_model_that_has_become_worse_steps_back_for_the_prior() -> None:
    found = shadow(WRONG, RIGHT, by_hand(40), rng())
    assert found.is_falling_back
    assert found.reason.startswith("right ranks again: wrong has become worse")
    still_good = shadow(RIGHT, WRONG, by_hand(40), rng())
    assert not still_good.is_falling_back
    assert "not worse" in still_good.reason
    few = shadow(WRONG, RIGHT, by_hand(10), rng())
    assert not few.is_falling_back
    assert "too few" in few.reason


def test_a_change_of_taste_is_noticed() -> None:
    learned = update(PRIOR, lists_of(impressions(person(1, 0.5), 300, 1))).model("learned")
    unchanged = lists_of(impressions(person(1, 0.5), 150, 2))
    changed = lists_of(impressions(person(9, 0.0), 150, 2))
    assert not shadow(learned, PRIOR, unchanged, rng()).is_falling_back
    assert shadow(learned, PRIOR, changed, rng()).is_falling_back


def test_the_bar_is_fifty() -> None:
    assert MIN_EFFECTIVE == 50.0
    assert NAMES[0] == "words"
