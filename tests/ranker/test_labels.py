"""From outcomes to gains and weights: who is heard how loudly, and what a row that nobody used says (nothing)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant_ranker.comparisons import comparisons
from penchant_ranker.errors import BadTrainingData
from penchant_ranker.labels import (
    MAX_CERTAINTY,
    NOBODY,
    PERSON,
    PRAISED,
    REASKED_WEIGHT,
    REJECTED,
    UNLABELLED,
    UNLABELLED_WEIGHT,
    UNSEEN_WEIGHT,
    USED,
    Impression,
    Kind,
    LabelledLists,
    Outcome,
    capped_shares,
    decay,
    labelled,
    propensity,
    regret,
    within_rate,
)

FEATURES = ("words", "date")
DAY_S = 86_400.0


def shown(
    *outcomes: Outcome,
    n: int = 4,
    at: float = 0.0,
    session: int = 1,
    n_unseen: int = 0,
    names: tuple[str, ...] = FEATURES,
) -> Impression:
    """An impression of n shown rows and some that were not, all looked at for certain."""
    total = n + n_unseen
    values = np.arange(total * len(names), dtype=np.float32).reshape(total, len(names))
    return Impression(names, values, np.arange(total) < n, np.ones(total), outcomes, session, 0, at)


def said(
    row: int, kind: Kind, agent: int = 1, at: float = 0.0, strength: float = 1.0, trust: float = 1.0
) -> Outcome:
    return Outcome(row, kind, agent, at, strength, trust)


def learn(*impressions: Impression, now: float = 0.0) -> LabelledLists:
    return labelled(FEATURES, impressions, now)


def test_each_outcome_puts_its_row_where_it_belongs() -> None:
    lists = learn(
        shown(
            said(0, Kind.HELPED),
            said(1, Kind.USED, strength=0.5),
            said(2, Kind.WRONG),
            said(3, Kind.OUTDATED),
            n=5,
        )
    )
    assert lists.rungs.tolist() == [PRAISED, USED, REJECTED, REJECTED, UNLABELLED]
    assert lists.gains.tolist() == [4, 2, 0, 0, 0]
    assert lists.weights.tolist() == [1.0, 1.0, 1.0, 0.5, UNLABELLED_WEIGHT]
    assert lists.certainty.tolist() == [MAX_CERTAINTY, 0.75, MAX_CERTAINTY, MAX_CERTAINTY, 0.5]
    assert lists.agents.tolist() == [1, 1, 1, 1, NOBODY]


def test_gains_are_whole_numbers() -> None:
    assert np.issubdtype(learn(shown(said(0, Kind.HELPED))).gains.dtype, np.integer)
    assert np.issubdtype(learn().gains.dtype, np.integer)


def test_what_was_shown_and_not_used_is_not_bad_and_what_was_not_shown_weighs_less_still() -> None:
    lists = learn(shown(said(0, Kind.USED), n=2, n_unseen=1))
    assert lists.weights.tolist() == [1.0, UNLABELLED_WEIGHT, UNSEEN_WEIGHT]
    assert lists.rungs.tolist() == [USED, UNLABELLED, UNLABELLED]


def test_asking_again_speaks_against_what_was_shown() -> None:
    lists = learn(shown(said(0, Kind.USED), said(0, Kind.REASKED), n=2, n_unseen=1))
    assert lists.rungs.tolist() == [USED, UNLABELLED, UNLABELLED]
    assert lists.weights.tolist() == [0.5, REASKED_WEIGHT, UNSEEN_WEIGHT]


def test_a_verdict_counts_before_what_was_done() -> None:
    lists = learn(shown(said(0, Kind.USED, at=9.0), said(0, Kind.WRONG, at=1.0)))
    assert lists.rungs[0] == REJECTED


def test_the_latest_verdict_of_an_agent_counts() -> None:
    lists = learn(
        shown(said(0, Kind.WRONG, at=5.0), said(0, Kind.HELPED, at=9.0), said(0, Kind.WRONG, at=1.0))
    )
    assert lists.rungs[0] == PRAISED
    assert lists.weights[0] == 1.0


def test_contradictory_verdicts_of_equal_weight_teach_nothing() -> None:
    lists = learn(shown(said(0, Kind.HELPED, agent=1), said(0, Kind.WRONG, agent=2)))
    assert lists.rungs[0] == UNLABELLED
    assert lists.weights[0] == 0.0
    assert not lists.is_informative.any()


def test_of_contradictory_verdicts_the_more_trusted_counts_by_what_is_left() -> None:
    lists = learn(shown(said(0, Kind.HELPED, agent=1), said(0, Kind.WRONG, agent=2, trust=0.25)))
    assert lists.rungs[0] == PRAISED
    assert lists.weights[0] == pytest.approx(0.75)
    assert lists.agents[0] == 1


def test_many_agents_of_one_mind_count_as_one_outcome() -> None:
    lists = learn(shown(*(said(0, Kind.HELPED, agent=a) for a in range(5))))
    assert lists.weights[0] == 1.0


def test_little_trust_weighs_little() -> None:
    assert learn(shown(said(0, Kind.HELPED, trust=0.3))).weights[0] == pytest.approx(0.3)
    assert not learn(shown(said(0, Kind.HELPED, trust=0.0))).is_informative.any()


def test_outcomes_further_down_weigh_more_up_to_ten_times() -> None:
    impression = shown(said(0, Kind.USED), said(1, Kind.USED), said(2, Kind.USED), n=4)
    lists = learn(replace(impression, propensity=np.array([1.0, 0.25, 0.01, 0.5])))
    assert lists.weights.tolist() == [1.0, 4.0, 10.0, UNLABELLED_WEIGHT]


def test_propensity_falls_with_rank() -> None:
    assert propensity(np.array([1, 2, 3])).tolist() == [1.0, 1 / 1.3, 1 / 1.6]
    assert (1.0 / propensity(np.array([31]))).tolist() == [10.0]


def test_old_outcomes_count_half_after_thirty_days() -> None:
    lists = learn(shown(said(0, Kind.HELPED), n=2, at=0.0), now=30 * DAY_S)
    assert lists.weights.tolist() == [0.5, UNLABELLED_WEIGHT / 2]
    assert decay(np.array([-5.0, 0.0, 60.0])).tolist() == [1.0, 1.0, 0.25]


def test_a_thousand_outcomes_of_one_agent_in_a_minute_count_as_thirty() -> None:
    flood = [shown(said(0, Kind.HELPED, agent=7, at=i * 0.05), at=i * 0.05, session=i) for i in range(1000)]
    lists = learn(*flood, now=60.0)
    assert int((lists.rungs == PRAISED).sum()) == 30
    assert int(lists.is_informative.sum()) == 30


def test_the_rate_is_of_each_agent_and_never_of_the_person() -> None:
    at = np.arange(40, dtype=np.float64)
    agents = np.array([PERSON, 3] * 20)
    counted = within_rate(agents, at, per_minute=5)
    assert counted[agents == PERSON].all()
    assert int(counted[agents == 3].sum()) == 5


def test_a_slow_flood_is_held_by_the_day() -> None:
    at = np.arange(3000, dtype=np.float64) * 10.0
    counted = within_rate(np.zeros(3000, dtype=np.int64), at, per_minute=10, per_day=200)
    assert int(counted.sum()) == 200


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 3), st.floats(0, 4 * DAY_S))),
    st.integers(1, 4),
    st.integers(1, 8),
)
def test_the_rate_holds_in_every_window(said: list[tuple[int, float]], per_minute: int, per_day: int) -> None:
    agents = np.array([a for a, _ in said], dtype=np.int64)
    at = np.array([t for _, t in said], dtype=np.float64)
    counted = within_rate(agents, at, per_minute, per_day)
    for agent in set(agents.tolist()) - {PERSON}:
        times = np.sort(at[counted & (agents == agent)])
        for start in times:
            assert int(((times >= start) & (times < start + 60.0)).sum()) <= per_minute
            assert int(((times >= start) & (times < start + DAY_S)).sum()) <= per_day


def spread_over(days: int, n: int) -> list[float]:
    """Times of n outcomes over so many days."""
    return [i * days * DAY_S / n for i in range(n)]


def test_who_was_heard_for_weeks_is_not_outweighed_in_a_day() -> None:
    agents = np.repeat([1, 2], [300, 5000])
    at = np.array(spread_over(30, 300) + spread_over(1, 5000))
    capped = capped_shares(np.ones(5300), agents, at, max_share=0.25)
    assert float(capped[agents == 1].sum()) == 300.0
    assert float(capped[agents == 2].sum()) == pytest.approx(100.0)  # a quarter of 400


def test_many_newcomers_are_each_held_back() -> None:
    agents = np.repeat([1, 2, 3, 4], [300, 500, 500, 5])
    at = np.array(spread_over(30, 300) + spread_over(2, 500) + spread_over(1, 500) + spread_over(1, 5))
    capped = capped_shares(np.ones(1305), agents, at, max_share=0.25)
    totals = [float(capped[agents == a].sum()) for a in (1, 2, 3, 4)]
    assert totals == pytest.approx([300.0, 100.0, 400.0 / 3.0, 5.0])


def test_of_two_with_the_same_record_neither_has_more_than_the_other() -> None:
    agents = np.repeat([1, 2], [1000, 150])
    at = np.array(spread_over(3, 1000) + spread_over(3, 150))
    hours = at // 3600.0 * 3600.0 // (2 * DAY_S) * (2 * DAY_S)  # both on two days, in two hours
    capped = capped_shares(np.ones(1150), agents, hours)
    assert float(capped[agents == 1].sum()) == pytest.approx(150.0)
    assert float(capped[agents == 2].sum()) == pytest.approx(150.0)


def test_an_agent_that_is_alone_or_has_been_there_longest_or_says_little_is_not_cut() -> None:
    alone = np.ones(900)
    assert capped_shares(alone, np.ones(900, dtype=np.int64), np.zeros(900)).tolist() == alone.tolist()
    agents = np.repeat([1, 2, 3], [900, 15, 3])
    at = np.array(spread_over(20, 900) + spread_over(1, 15) + spread_over(1, 3))
    assert capped_shares(np.ones(918), agents, at).tolist() == [1.0] * 918


def test_the_persons_own_word_is_never_cut_and_counts_as_heard_before() -> None:
    agents = np.repeat([PERSON, 1, 2], [300, 900, 900])
    at = np.array([0.0] * 300 + spread_over(9, 900) + spread_over(1, 900))
    capped = capped_shares(np.ones(2100), agents, at, max_share=0.25)
    totals = [float(capped[agents == a].sum()) for a in (PERSON, 1, 2)]
    assert totals == pytest.approx([300.0, 900.0, 400.0])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-2, 4), st.floats(0, 50), st.floats(0, 5 * DAY_S)), min_size=1),
    st.floats(0.05, 0.9),
)
def test_no_weight_grows_and_no_newcomer_outweighs_those_before_it(
    rows: list[tuple[int, float, float]], share: float
) -> None:
    agents, weights = np.array([a for a, _, _ in rows]), np.array([w for _, w, _ in rows])
    at = np.array([t for _, _, t in rows])
    capped = capped_shares(weights, agents, at, share, n_free=10.0)
    assert (capped <= weights + 1e-9).all()
    assert capped[agents < 0].tolist() == weights[agents < 0].tolist()
    days = {a: len(np.unique(at[agents == a] // DAY_S)) for a in set(agents.tolist()) if a >= 0}
    for agent, n_days in days.items():
        own = float(capped[agents == agent].sum())
        others = float(capped[(agents != agent) & (agents != NOBODY)].sum())
        if n_days < max(days.values()):
            assert own <= max(10.0, share / (1.0 - share) * others) + 1e-6


def test_a_wanted_memory_that_was_not_shown_is_learned_from() -> None:
    is_shown = np.array([True, True, False, False])
    found = regret(is_shown, np.array([False, False, True, False]), agent=1, at=5.0)
    assert [(o.row, o.kind) for o in found] == [(2, Kind.WANTED), (0, Kind.DISPLACED)]
    lists = learn(shown(*found, n=2, n_unseen=2))
    assert lists.rungs.tolist() == [REJECTED, UNLABELLED, USED, UNLABELLED]
    assert lists.weights.tolist() == pytest.approx([0.6, UNLABELLED_WEIGHT, 0.6, UNSEEN_WEIGHT])


def test_a_memory_that_no_order_could_have_shown_teaches_the_ranker_nothing() -> None:
    is_shown = np.array([True, False])
    assert regret(is_shown, np.array([False, False]), 1, 0.0) == ()
    assert regret(is_shown, np.array([True, False]), 1, 0.0) == ()


def test_impressions_of_other_features_are_brought_under_the_same_columns() -> None:
    old = shown(said(0, Kind.USED), n=2, names=("gone", "words"))
    lists = labelled(("words", "date"), [old, shown(n=2)], 0.0)
    assert lists.values[:2].tolist() == [[1.0, 0.0], [3.0, 0.0]]
    assert lists.values[2:].tolist() == shown(n=2).values.tolist()


def test_no_impressions_give_no_lists() -> None:
    lists = learn()
    assert lists.n_lists == 0
    assert lists.values.shape == (0, 2)
    assert not len(lists.is_informative)
    assert len(comparisons(lists)) == 0


def test_an_empty_list_among_others_stays_in_its_place() -> None:
    lists = learn(shown(n=0), shown(said(0, Kind.HELPED), n=2), shown(n=0))
    assert lists.offsets.tolist() == [0, 0, 2, 2]
    assert lists.is_informative.tolist() == [False, True, False]


def test_lists_are_taken_in_any_order_and_as_often_as_named() -> None:
    lists = learn(*(shown(said(0, Kind.HELPED), n=i + 1, session=i) for i in range(4)))
    taken = lists.take(np.array([3, 1, 3]))
    assert taken.sessions.tolist() == [3, 1, 3]
    assert np.diff(taken.offsets).tolist() == [4, 2, 4]
    assert taken.values[:4].tolist() == lists.values[6:10].tolist() == taken.values[6:].tolist()


def test_rows_can_be_left_out() -> None:
    lists = learn(shown(said(0, Kind.HELPED), n=3), shown(said(1, Kind.USED), n=2))
    fewer = lists.without_rows(np.array([True, False, False, True, False]))
    assert fewer.offsets.tolist() == [0, 2, 3]
    assert fewer.rungs.tolist() == [UNLABELLED, UNLABELLED, USED]


@pytest.mark.parametrize(
    "wrong, field",
    [
        (replace(shown(), values=np.ones((3, 2), np.float32)), "values"),
        (replace(shown(), values=np.ones((4, 3), np.float32)), "values"),
        (replace(shown(), values=np.full((4, 2), np.nan, np.float32)), "values"),
        (replace(shown(), propensity=np.zeros(4)), "propensity"),
        (replace(shown(), propensity=np.full(4, 1.5)), "propensity"),
        (replace(shown(), propensity=np.ones(3)), "propensity"),
        (shown(said(4, Kind.USED)), "outcomes"),
        (shown(said(-1, Kind.USED)), "outcomes"),
        (shown(said(0, Kind.USED, trust=1.5)), "outcomes"),
        (shown(said(0, Kind.USED, strength=float("nan"))), "outcomes"),
    ],
)
def test_what_does_not_fit_together_is_named(wrong: Impression, field: str) -> None:
    with pytest.raises(BadTrainingData, match="impression 1") as raised:
        learn(shown(), wrong)
    assert raised.value.field == field


# ---- comparisons


def test_a_used_row_is_compared_with_those_below_and_a_rejected_one_with_the_unlabelled() -> None:
    lists = learn(shown(said(1, Kind.HELPED), said(2, Kind.USED, strength=0.5), said(3, Kind.WRONG), n=5))
    found = comparisons(lists)
    rows = lists.values.astype(np.float64)
    assert found.rows.tolist() == [1, 2, 3]
    expected = [[1, 0, 2, 3, 4], [2, 0, 3, 4], [3, 0, 4]]
    for i, entries in enumerate(expected):
        part = slice(int(found.offsets[i]), int(found.offsets[i + 1]))
        sign = -1.0 if i == 2 else 1.0
        assert found.values[part].tolist() == (sign * rows[entries]).tolist()
        assert float(found.targets[part].sum()) == pytest.approx(1.0)
        assert found.targets[part][0] == lists.certainty[entries[0]]
    # Two unlabelled opponents are not a whole one.
    assert found.weights.tolist() == pytest.approx([1.0, 1.0, 0.4])
    assert found.margins(found.values @ np.array([1.0, 0.0]))[2] == pytest.approx(-6.0 + (0.0 + 8.0) / 2)


def test_rows_of_one_rung_and_rows_that_weigh_nothing_are_not_compared() -> None:
    lists = learn(
        shown(said(0, Kind.HELPED), said(1, Kind.HELPED), n=2), shown(said(0, Kind.USED, trust=0.0), n=3)
    )
    assert len(comparisons(lists)) == 0


def test_all_outcomes_equal_teach_nothing() -> None:
    for kind in (Kind.HELPED, Kind.USED):
        lists = learn(*(shown(*(said(i, kind) for i in range(3)), n=3, session=s) for s in range(5)))
        assert len(comparisons(lists)) == 0
        assert not lists.is_informative.any()
    everything_wrong = learn(shown(*(said(i, Kind.WRONG) for i in range(3)), n=3))
    assert len(comparisons(everything_wrong)) == 0
