"""Calibration: probabilities that mean what they say, thresholds that keep their promise."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from penchant_ranker.calibrate import (
    FEW_CASES_MARGIN,
    calibrate,
    isotonic,
    quality,
    read_calibration,
    threshold,
    write_calibration,
)
from penchant_ranker.errors import BadTrainingData, ModelCorrupt, TooFewOutcomes


def cases(n: int, seed: int = 0, slope: float = 3.0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores and outcomes whose true probability is logistic in them."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(1.0, 1.0, n)
    return scores[:, None], rng.random(n) < 1.0 / (1.0 + np.exp(-slope * (scores - 1.2)))


def stepped(n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cases whose true probability is a step, which no logistic curve has."""
    rng = np.random.default_rng(seed)
    scores = rng.random(n)
    return scores[:, None], rng.random(n) < np.where(scores < 0.7, 0.15, np.where(scores < 0.75, 0.6, 0.65))


@pytest.mark.parametrize("n", [60, 300, 3000])
def test_probabilities_are_calibrated_on_cases_that_were_not_seen(n: int) -> None:
    values, is_right = cases(20_000, seed=99)
    found = [
        quality(calibrate(["score"], *cases(n, seed)).probability(values), is_right).ece for seed in range(8)
    ]
    assert float(np.mean(found)) < {60: 0.09, 300: 0.04, 3000: 0.02}[n]


def test_the_logistic_is_found_again() -> None:
    calibration = calibrate(["score"], *cases(900))
    slope = calibration.coefficients[0] / calibration.spreads[0]
    middle = calibration.means[0] - calibration.intercept / slope
    assert slope == pytest.approx(3.0, rel=0.2)
    assert middle == pytest.approx(1.2, abs=0.1)


def test_many_cases_show_a_shape_that_few_do_not() -> None:
    values, is_right = stepped(20_000, seed=1)
    few, many = calibrate(["score"], *stepped(999)), calibrate(["score"], *stepped(4000))
    assert few.curve == ()
    assert len(many.curve) > 2
    few_ece = quality(few.probability(values), is_right).ece
    many_ece = quality(many.probability(values), is_right).ece
    assert many_ece < 0.03 < 0.05 < few_ece


def test_a_second_figure_that_tells_more_is_used() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 2))
    is_right = rng.random(400) < 1.0 / (1.0 + np.exp(-(0.3 * values[:, 0] - 2.0 * values[:, 1])))
    both = calibrate(["score", "other_speaker"], values, is_right)
    alone = calibrate(["score"], values[:, :1], is_right)
    assert both.coefficients[1] < -1.0
    new = rng.normal(size=(5000, 2))
    truth = rng.random(5000) < 1.0 / (1.0 + np.exp(-(0.3 * new[:, 0] - 2.0 * new[:, 1])))
    assert (
        quality(both.probability(new), truth).brier
        < quality(alone.probability(new[:, :1]), truth).brier - 0.05
    )


@pytest.mark.parametrize("right", [True, False])
def test_cases_of_one_kind_are_never_certain(right: bool) -> None:
    values, _ = cases(100)
    chances = calibrate(["score"], values, np.full(100, right)).probability(values)
    assert ((chances > 0.0) & (chances < 1.0)).all()
    assert (float(chances.mean()) > 0.9) is right


def test_cases_that_are_separated_stay_finite() -> None:
    values = np.linspace(-1, 1, 100)[:, None]
    chances = calibrate(["score"], values, values[:, 0] > 0).probability(np.array([[-1e6], [0.0], [1e6]]))
    assert np.isfinite(chances).all()
    assert chances[0] < 0.1 < chances[1] < 0.9 < chances[2]


def test_a_figure_that_never_changes_says_nothing() -> None:
    values, is_right = cases(100)
    calibration = calibrate(["score", "same"], np.hstack([values, np.ones((100, 1))]), is_right)
    assert calibration.coefficients[1] == pytest.approx(0.0, abs=1e-9)


def test_few_cases_are_refused_with_how_many_are_needed() -> None:
    with pytest.raises(TooFewOutcomes, match="49 labelled cases, and 50 are needed"):
        calibrate(["score"], *cases(49))


def test_arrays_that_do_not_fit_are_refused() -> None:
    values, is_right = cases(60)
    for wrong in (values[:59], np.hstack([values, values]), np.full((60, 1), np.nan)):
        with pytest.raises(BadTrainingData):
            calibrate(["score"], wrong, is_right)


# ---- isotonic


def plain_isotonic(values: list[float], weights: list[float]) -> list[float]:
    """The slow twin: max over starts of min over ends of the mean between them."""
    n = len(values)
    mean = {
        (i, j): sum(v * w for v, w in zip(values[i:j], weights[i:j], strict=True)) / sum(weights[i:j])
        for i in range(n)
        for j in range(i + 1, n + 1)
    }
    return [max(min(mean[i, j] for j in range(k + 1, n + 1)) for i in range(k + 1)) for k in range(n)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(0.1, 5.0)), max_size=12))
def test_pooling_gives_the_same_as_its_slow_twin(pairs: list[tuple[float, float]]) -> None:
    values, weights = [v for v, _ in pairs], [w for _, w in pairs]
    found = isotonic(np.array(values), np.array(weights))
    np.testing.assert_allclose(found, plain_isotonic(values, weights), atol=1e-9)


def test_a_sequence_that_ascends_stays_and_one_that_falls_becomes_its_mean() -> None:
    assert isotonic(np.array([1.0, 2.0, 3.0])).tolist() == [1.0, 2.0, 3.0]
    assert isotonic(np.array([3.0, 2.0, 1.0])).tolist() == [2.0, 2.0, 2.0]
    assert isotonic(np.array([])).tolist() == []


def test_probabilities_never_fall_with_the_score() -> None:
    calibration = calibrate(["score"], *stepped(3000))
    chances = calibration.probability(np.linspace(-1, 2, 500)[:, None])
    assert (np.diff(chances) >= -1e-12).all()


# ---- quality and threshold


def test_quality_known_by_hand() -> None:
    found = quality(np.array([0.0, 1.0, 0.9, 0.9]), np.array([False, True, True, False]))
    assert found.brier == pytest.approx((0.01 + 0.81) / 4)
    assert found.ece == pytest.approx(abs((1.0 + 0.9 + 0.9) - 2.0) / 4)  # 0.9 and 1.0 share a bin
    assert found.n_cases == 4
    assert quality(np.zeros(0), np.zeros(0, np.bool_)).n_cases == 0


def test_half_as_sure_as_it_should_be_is_measured() -> None:
    rng = np.random.default_rng(0)
    chances = rng.random(50_000)
    is_right = rng.random(50_000) < chances
    assert quality(chances, is_right).ece < 0.01
    assert quality(0.5 + 0.5 * (chances - 0.5), is_right).ece == pytest.approx(0.125, abs=0.01)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]), st.booleans()), min_size=50, max_size=80),
    st.floats(0.1, 1.0),
)
def test_a_threshold_reaches_the_precision_and_is_the_lowest_that_does(
    pairs: list[tuple[float, bool]], precision: float
) -> None:
    chances, is_right = np.array([c for c, _ in pairs]), np.array([r for _, r in pairs])
    found = threshold(chances, is_right, precision)
    reaching = [c for c in sorted(set(chances.tolist())) if is_right[chances >= c].mean() >= precision]
    assert found == (reaching[0] if reaching else None)


def test_with_few_cases_the_threshold_is_higher() -> None:
    chances, is_right = np.array([0.2, 0.8] * 20), np.array([False, True] * 20)
    assert threshold(chances, is_right, 0.9) == pytest.approx(0.8 + FEW_CASES_MARGIN)
    assert threshold(np.repeat(chances, 2), np.repeat(is_right, 2), 0.9) == 0.8
    assert threshold(np.array([1.0]), np.array([True]), 0.9) == 1.0
    assert threshold(np.zeros(0), np.zeros(0, np.bool_), 0.9) is None


# ---- text


@pytest.mark.parametrize("n", [60, 3000])
def test_what_is_read_is_what_was_written(n: int) -> None:
    calibration = calibrate(["score"], *stepped(n))
    assert read_calibration(write_calibration(calibration)) == calibration


@pytest.mark.parametrize(
    "change",
    [
        {"names": "x"},
        {"names": [1]},
        {"means": []},
        {"means": [float("inf")]},
        {"spreads": [0.0]},
        {"coefficients": ["a"]},
        {"intercept": None},
        {"curve": [[0.5, 0.1], [0.5, 0.2]]},
        {"curve": [[0.5]]},
        {"curve": 5},
        {"n_cases": "many"},
    ],
    ids=str,
)
def test_what_is_no_calibration_is_refused(change: dict[str, object]) -> None:
    text = write_calibration(calibrate(["score"], *cases(60)))
    with pytest.raises(ModelCorrupt):
        read_calibration(json.dumps({**json.loads(text), **change}))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "[" * 100_000, "not json"])
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ModelCorrupt):
        read_calibration(text)


def test_rare_right_cases_that_overlap_almost_not_at_all_are_fitted_the_right_way_round() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0.1, 0.05, 1_500), rng.normal(0.7, 0.1, 45)])[:, None]
    right = np.arange(len(values)) >= 1_500
    found = calibrate(("nearness",), values, right)
    chances = found.probability(np.array([[0.1], [0.7]]))
    assert found.coefficients[0] > 0.0
    assert chances[0] < 0.01 < 0.9 < chances[1]
