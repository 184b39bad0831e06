"""The Bayesian update: right answers known by hand, a slow twin, and what people with a hidden taste get from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.ranker.people import (
    NAMES,
    PRIOR,
    PRIOR_WEIGHTS,
    Floats,
    impressions,
    lists_of,
    person,
    queries,
    worth,
)

from penchant_ranker.comparisons import Comparisons, comparisons
from penchant_ranker.errors import BadTrainingData
from penchant_ranker.labels import Impression, Kind, LabelledLists, Outcome, labelled
from penchant_ranker.learn_linear import Posterior, bounds_of, fitted, signs_of, update
from penchant_ranker.model import LinearModel

FREE = (np.full(len(NAMES), -np.inf), np.full(len(NAMES), np.inf))


def some_lists(n: int = 60, seed: int = 0, shift: float = 0.4) -> LabelledLists:
    return lists_of(impressions(person(seed, shift), n, seed))


def loss(weights: Floats, compared: Comparisons, sharpness: float) -> float:
    """The slow twin of the likelihood: comparison by comparison."""
    total = 0.0
    for i in range(len(compared)):
        part = slice(int(compared.offsets[i]), int(compared.offsets[i + 1]))
        logits = sharpness * compared.values[part] @ weights
        counted = np.exp(logits + compared.log_counts[part])
        total += compared.weights[i] * (np.log(counted.sum()) - compared.targets[part] @ logits)
    return float(total)


def test_without_an_outcome_the_prior_comes_back_to_the_letter() -> None:
    for lists in (lists_of([]), labelled(NAMES, [], 0.0)):
        found = update(PRIOR, lists)
        assert found.mean.tolist() == PRIOR_WEIGHTS.tolist()
        assert found.n_lists == 0


def test_outcomes_that_are_all_equal_leave_the_prior() -> None:
    everything = [
        replace(p, outcomes=tuple(Outcome(i, Kind.HELPED, 1, p.at) for i in range(20)))
        for p in impressions(person(0, 0.4), 30, 0)
    ]
    assert update(PRIOR, lists_of(everything)).mean.tolist() == PRIOR_WEIGHTS.tolist()


def test_one_query_moves_the_weights_towards_what_was_used_and_hardly() -> None:
    one = [p for p in impressions(person(3, 0.6), 40, 3) if p.outcomes][:1]
    lists = lists_of(one)
    assert lists.n_lists == 1
    found = update(PRIOR, lists)
    moved = found.mean - PRIOR_WEIGHTS
    assert 0.0 < float(np.abs(moved).max()) < 0.15
    compared = comparisons(lists)
    assert loss(found.mean, compared, found.sharpness) < loss(PRIOR_WEIGHTS, compared, found.sharpness)


def test_contradictory_outcomes_leave_the_prior_nearly_as_it_is() -> None:
    """The same list, used and rejected in turn, a hundred times."""
    values = np.random.default_rng(0).random((10, len(NAMES))).astype(np.float32)
    found = [
        Impression(
            NAMES,
            values,
            np.ones(10, np.bool_),
            np.ones(10),
            (Outcome(0, Kind.HELPED if i % 2 else Kind.WRONG, 1, i * 600.0),),
            i,
            0,
            i * 600.0,
        )
        for i in range(100)
    ]
    after = update(PRIOR, lists_of(found))
    assert float(np.abs(after.mean - PRIOR_WEIGHTS).max()) < 0.05
    assert after.sharpness < 1.0


def test_the_mode_is_where_the_slow_twin_has_its_minimum() -> None:
    compared = comparisons(some_lists())
    spread = 0.3
    found = fitted(compared, PRIOR_WEIGHTS, spread, FREE)

    def objective(weights: Floats, sharpness: float) -> float:
        return loss(weights, compared, sharpness) + 0.5 * float(
            ((weights - PRIOR_WEIGHTS) / spread) @ ((weights - PRIOR_WEIGHTS) / spread)
        )

    # Only at the right sharpness the gradient is zero, so that one is searched among those that are tried.
    slopes = []
    for sharpness in np.geomspace(0.25, 12.0, 30):
        gradient = [
            (objective(found + 1e-5 * e, sharpness) - objective(found - 1e-5 * e, sharpness)) / 2e-5
            for e in np.eye(len(NAMES))
        ]
        slopes.append(float(np.abs(gradient).max()))
    assert min(slopes) < 1e-3 < sorted(slopes)[1]


def test_a_weight_with_a_known_sign_never_crosses_zero() -> None:
    """Everything that the person said is rejected, and yet the weight stops at 0."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(200):
        values = rng.random((8, len(NAMES))).astype(np.float32)
        order = np.argsort(-values[:, NAMES.index("kept")])
        outcomes = tuple(Outcome(int(row), Kind.WRONG, 1, i * 600.0) for row in order[:2])
        outcomes += (Outcome(int(order[-1]), Kind.HELPED, 1, i * 600.0),)
        found.append(Impression(NAMES, values, np.ones(8, np.bool_), np.ones(8), outcomes, i, 0, i * 600.0))
    lists = lists_of(found)
    held, free = update(PRIOR, lists), update(PRIOR, lists, signs={"kept": 0})
    kept = NAMES.index("kept")
    assert 0.0 <= held.mean[kept] < 0.01
    assert free.mean[kept] < -0.5
    assert update(PRIOR, lists, signs={"recent": -1}).mean[NAMES.index("recent")] <= 0.0
    # And a project's weights are held to the same signs, though 0 itself has none.
    assert update(held, lists).mean[kept] >= 0.0


def test_signs_are_the_priors_unless_they_are_named() -> None:
    model = LinearModel("m", ("a", "b", "c"), (1.0, -2.0, 0.0), "best")
    assert signs_of(model, ("a", "b", "c", "d"), {"d": 1}) == (1, -1, 0, 1)
    lowest, highest = bounds_of((1, -1, 0))
    assert lowest.tolist() == [0.0, -np.inf, -np.inf]
    assert highest.tolist() == [np.inf, 0.0, np.inf]


def test_the_order_of_the_lists_changes_nothing() -> None:
    lists = some_lists()
    other = lists.take(np.random.default_rng(0).permutation(lists.n_lists))
    np.testing.assert_allclose(update(PRIOR, other).mean, update(PRIOR, lists).mean, atol=1e-6)


def test_the_order_of_the_features_changes_nothing() -> None:
    found = impressions(person(0, 0.4), 60, 0)
    names = tuple(reversed(NAMES))
    other = update(PRIOR, labelled(names, found, 0.0, per_day=10_000))
    straight = update(PRIOR, labelled(NAMES, found, 0.0, per_day=10_000))
    np.testing.assert_allclose(other.mean[::-1], straight.mean, atol=1e-6)


def test_a_list_that_comes_twice_counts_twice() -> None:
    lists = some_lists(20)
    once, twice = update(PRIOR, lists), update(PRIOR, lists.take(np.repeat(np.arange(20), 2)))
    assert twice.n_comparisons == 2 * once.n_comparisons
    assert np.linalg.norm(twice.mean - PRIOR_WEIGHTS) > np.linalg.norm(once.mean - PRIOR_WEIGHTS)


def test_more_outcomes_make_the_weights_surer() -> None:
    few, many = update(PRIOR, some_lists(20)), update(PRIOR, some_lists(600))
    assert np.trace(many.covariance) < 0.5 * np.trace(few.covariance)
    assert (np.linalg.eigvalsh(many.covariance) > 0).all()
    assert many.unchanged < 0.01


def test_a_person_who_wants_what_the_prior_ranks_is_believed_to() -> None:
    found = [update(PRIOR, some_lists(300, seed, shift=0.0)).unchanged for seed in range(4)]
    assert min(found) > 0.5


def test_the_weights_are_those_of_the_person_in_the_end() -> None:
    who = person(2, 0.5)
    learned = update(PRIOR, lists_of(impressions(who, 1000, 2)))
    before = np.corrcoef(PRIOR_WEIGHTS, who.weights)[0, 1]
    after = np.corrcoef(learned.mean, who.weights)[0, 1]
    assert after > 0.97 > before + 0.05


def test_a_prior_whose_features_are_not_measured_is_refused() -> None:
    with pytest.raises(BadTrainingData, match="kept"):
        update(PRIOR, labelled([n for n in NAMES if n != "kept"], [], 0.0))


def test_a_feature_that_the_prior_does_not_know_is_learned() -> None:
    who = replace(person(0, 0.0), weights=np.append(PRIOR_WEIGHTS[:-1], 1.2))
    learned = update(PRIOR, lists_of(impressions(who, 300, 0)))
    assert learned.model("m").weights[NAMES.index("recent")] > 0.3
    assert worth(learned.mean, queries(who, 200, 1)) > 0.03


def test_the_posterior_as_a_model_says_what_it_is_from() -> None:
    model = update(PRIOR, some_lists()).model("linear-7", {"lists": 60})
    assert model.name == "linear-7"
    assert model.features == NAMES
    assert model.scaling == PRIOR.scaling
    assert model.trained_on == {"lists": 60}
    assert all(isinstance(w, float) for w in model.weights)


# ---- people with a hidden taste


SEEDS = range(7)
SIZES = (0, 12, 25, 50, 100, 300)


@pytest.fixture(scope="module")
def curves() -> dict[float, Floats]:
    """By how far the person is from the prior: (n_seeds, n_sizes) of NDCG@10 less the prior's, on other queries."""
    found = {}
    for shift in (0.0, 0.15, 0.4):
        rows = []
        for seed in SEEDS:
            who = person(seed, shift)
            tests, lists = queries(who, 150, 9000 + seed), lists_of(impressions(who, SIZES[-1], seed))
            rows.append([worth(update(PRIOR, lists.take(np.arange(n))).mean, tests) for n in SIZES])
        found[shift] = np.array(rows)
    return found


def test_at_no_number_of_outcomes_it_is_worse_than_the_prior(curves: dict[float, Floats]) -> None:
    """Twelve lists are about 20 outcomes, 300 about 400; in 95 of 100 cases no more than half a point below."""
    every = np.concatenate(list(curves.values()))
    for column, n in enumerate(SIZES):
        assert float((every[:, column] < -0.005).mean()) <= 0.05, f"after {n} lists"
    assert (every[:, 0] == 0.0).all()


def test_a_person_gains_the_more_the_further_they_are_from_the_prior(curves: dict[float, Floats]) -> None:
    near, far = curves[0.15].mean(axis=0), curves[0.4].mean(axis=0)
    assert far[-1] > 0.08
    assert far[-1] > near[-1] > 0.01
    assert far[SIZES.index(50)] > 0.04
    assert (curves[0.4][:, -1] > 0.0).all()


def test_a_fifth_of_contradictory_outcomes_still_gains() -> None:
    gains = []
    for seed in range(6):
        who = person(seed, 0.4)
        lists = lists_of(impressions(who, 200, seed, contradictory=0.2))
        gains.append(worth(update(PRIOR, lists).mean, queries(who, 150, 9000 + seed)))
    assert float(np.mean(gains)) > 0.03
    assert min(gains) > -0.01


# ---- projects


def test_a_project_without_outcomes_ranks_as_all_do() -> None:
    whole = update(PRIOR, some_lists(200))
    own = update(whole, lists_of([]))
    assert own.mean.tolist() == whole.mean.tolist()


def project(seed: int) -> tuple[Posterior, LabelledLists, Floats, Floats]:
    """What all projects taught, one project's lists, and what its wishes and those of all are."""
    who, elsewhere = person(seed, 0.5), person(seed + 50, 0.3)
    whole = update(PRIOR, lists_of(impressions(elsewhere, 400, seed)))
    return whole, lists_of(impressions(who, 150, seed + 1)), who.weights, elsewhere.weights


def test_a_project_that_differs_is_followed_and_starts_from_all() -> None:
    early, late = [], []
    for seed in range(4):
        whole, lists, own, _ = project(seed)
        tests = queries(replace(person(seed, 0.0), weights=own), 150, 9000 + seed)
        start = worth(whole.mean, tests)
        early.append(worth(update(whole, lists.take(np.arange(3))).mean, tests) - start)
        late.append(worth(update(whole, lists).mean, tests) - start)
    assert float(np.mean(late)) > 0.05
    assert min(late) > 0.0
    assert abs(float(np.mean(early))) < 0.03


def test_a_project_like_all_others_is_not_worse_off() -> None:
    losses = []
    for seed in range(4):
        who = person(seed, 0.4)
        whole = update(PRIOR, lists_of(impressions(who, 400, seed)))
        tests = queries(who, 150, 9000 + seed)
        for n in (3, 10, 40):
            own = update(whole, lists_of(impressions(who, n, seed + 99)))
            losses.append(worth(own.mean, tests) - worth(whole.mean, tests))
    assert min(losses) > -0.012
    assert float(np.mean(losses)) > -0.003
