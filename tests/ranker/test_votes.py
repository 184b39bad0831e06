"""Votes on labels: which are found, what becomes of them, and when nothing is learned at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.ranker.people import PRIOR, Person, impressions, lists_of, person, queries, worth

from penchant_ranker.comparisons import comparisons
from penchant_ranker.labels import (
    NOBODY,
    REJECTED,
    UNLABELLED,
    USED,
    Impression,
    Kind,
    LabelledLists,
    Outcome,
)
from penchant_ranker.learn_linear import update
from penchant_ranker.votes import AMBIGUOUS_WEIGHT, Standing, Votes, vote

SEEDS = range(3)


def auc(score: NDArray[np.float64], is_wrong: NDArray[np.bool_]) -> float:
    """The share of (wrong, right) pairs in which the wrong one has the higher score."""
    higher = score[is_wrong][:, None] > score[~is_wrong][None, :]
    return float(higher.mean())


def flipped(
    found: list[Impression], share: float, seed: int, agent: int | None = None
) -> tuple[list[Impression], set[tuple[int, int]]]:
    """Impressions with some outcomes turned round, and which (impression, row) they are."""
    rng = np.random.default_rng(seed)
    wrong: set[tuple[int, int]] = set()
    out = []
    for i, impression in enumerate(found):
        outcomes = []
        for o in impression.outcomes:
            if rng.random() < share and agent in (None, o.agent):
                wrong.add((i, o.row))
                o = replace(o, kind=Kind.HELPED if o.kind is Kind.WRONG else Kind.WRONG, strength=1.0)
            outcomes.append(o)
        out.append(replace(impression, outcomes=tuple(outcomes)))
    return out, wrong


def judged(n: int, share: float, seed: int) -> tuple[LabelledLists, Votes, NDArray[np.bool_]]:
    """Lists with a share of labels turned round, the votes on them, and which labels they are."""
    found, wrong = flipped(impressions(person(seed, 0.4), n, seed), share, seed)
    lists = lists_of(found)
    votes = vote(lists, PRIOR, np.random.default_rng(seed))
    of = lists.list_of[votes.rows]
    rows = votes.rows - lists.offsets[of]
    return lists, votes, np.array([(i, r) in wrong for i, r in zip(of.tolist(), rows.tolist(), strict=True)])


def test_a_fifth_of_wrong_labels_is_found() -> None:
    found = []
    for seed in SEEDS:
        _, votes, is_wrong = judged(150, 0.2, seed)
        is_voted = ~np.isnan(votes.margins)
        found.append(auc(-votes.margins[is_voted], is_wrong[is_voted]))
    assert float(np.mean(found)) >= 0.9


def test_most_of_what_wrong_labels_cost_is_regained() -> None:
    """At least 70 % of it, where a fifth is wrong."""
    clean, noisy, voted = [], [], []
    for seed in SEEDS:
        tests = queries(person(seed, 0.4), 150, 9000 + seed)
        lists, votes, _ = judged(150, 0.2, seed)
        assert not votes.is_frozen
        clean.append(worth(update(PRIOR, lists_of(impressions(person(seed, 0.4), 150, seed))).mean, tests))
        noisy.append(worth(update(PRIOR, lists).mean, tests))
        voted.append(worth(update(PRIOR, votes.lists).mean, tests))
    lost, regained = np.mean(clean) - np.mean(noisy), np.mean(voted) - np.mean(noisy)
    assert lost > 0.01
    assert regained > 0.7 * lost


def test_where_no_label_is_wrong_the_votes_cost_nothing_to_speak_of() -> None:
    costs = []
    for seed in SEEDS:
        tests = queries(person(seed, 0.4), 150, 9000 + seed)
        lists, votes, _ = judged(300, 0.0, seed)
        costs.append(worth(update(PRIOR, lists).mean, tests) - worth(update(PRIOR, votes.lists).mean, tests))
    assert float(np.mean(costs)) <= 0.005


def test_suspect_labels_are_dropped_and_doubtful_ones_weakened() -> None:
    lists, votes, _ = judged(120, 0.2, 1)
    assert {Standing.SUSPECT, Standing.AMBIGUOUS, Standing.NORMAL, Standing.STRONG} == set(votes.standing)
    for row, standing in zip(votes.rows.tolist(), votes.standing, strict=True):
        before = lists.rungs[row], lists.weights[row], lists.certainty[row]
        after = votes.lists.rungs[row], votes.lists.weights[row], votes.lists.certainty[row]
        match standing:
            case Standing.SUSPECT:
                assert after[:2] == (UNLABELLED, 0.0)
                assert votes.lists.agents[row] == NOBODY
            case Standing.AMBIGUOUS:
                assert after == pytest.approx((before[0], AMBIGUOUS_WEIGHT * before[1], min(before[2], 0.6)))
            case Standing.STRONG:
                assert after == pytest.approx((before[0], before[1], 0.9 * before[2] + 0.05))
            case Standing.NORMAL:
                assert after == before
    assert "left out" in votes.reason
    rows = set(comparisons(votes.lists).rows.tolist())
    assert not rows & {
        r for r, s in zip(votes.rows.tolist(), votes.standing, strict=True) if s is Standing.SUSPECT
    }


def test_a_suspect_label_of_an_agent_without_trust_is_turned_round() -> None:
    lists, _, _ = judged(120, 0.2, 1)
    votes = vote(lists, PRIOR, np.random.default_rng(1), trusts={1: 0.4})
    suspects = [r for r, s in zip(votes.rows.tolist(), votes.standing, strict=True) if s is Standing.SUSPECT]
    assert suspects
    for row in suspects:
        assert votes.lists.rungs[row] == (USED if lists.rungs[row] == REJECTED else REJECTED)


def test_when_too_many_labels_contradict_nothing_is_learned_and_it_says_so() -> None:
    for seed in SEEDS:
        lists, votes, _ = judged(150, 0.35, seed)
        assert votes.is_frozen
        assert "nothing is learned" in votes.reason
        assert votes.lists is lists


def test_a_bad_week_freezes_what_a_good_year_would_hide() -> None:
    who = person(1, 0.4)
    good = impressions(who, 300, 1)
    bad, _ = flipped(impressions(who, 60, 2), 0.6, 3)
    later = [
        replace(
            p,
            at=p.at + 30 * 86_400.0,
            session=p.session + 1000,
            outcomes=tuple(replace(o, at=o.at + 30 * 86_400.0) for o in p.outcomes),
        )
        for p in bad
    ]
    votes = vote(lists_of(good + later), PRIOR, np.random.default_rng(0))
    assert votes.is_frozen
    assert "last week" in votes.reason
    suspects = sum(s is Standing.SUSPECT for s in votes.standing)
    assert suspects < 0.25 * len(votes.standing)


def test_the_agent_that_gives_wrong_labels_is_named_and_no_other() -> None:
    who = person(2, 0.4)
    found = impressions(who, 100, 1, agent=1) + impressions(who, 100, 2, agent=2)
    found += impressions(who, 100, 3, agent=3)
    found = [replace(p, session=i // 3) for i, p in enumerate(found)]
    wrong, _ = flipped(found, 0.6, 5, agent=3)
    votes = vote(lists_of(wrong), PRIOR, np.random.default_rng(0))
    assert {s.agent: s.is_losing_trust for s in votes.sources} == {1: False, 2: False, 3: True}
    bad = next(s for s in votes.sources if s.agent == 3)
    assert bad.rate == bad.n_suspect / bad.n_labels > 0.4


def test_of_few_labels_no_agent_loses_trust() -> None:
    found = (
        impressions(person(2, 0.4), 60, 1, agent=1)
        + flipped(impressions(person(2, 0.4), 8, 2, agent=2), 1.0, 0)[0]
    )
    votes = vote(
        lists_of([replace(p, session=i) for i, p in enumerate(found)]), PRIOR, np.random.default_rng(0)
    )
    few = next(s for s in votes.sources if s.agent == 2)
    assert few.n_labels < 20
    assert not few.is_losing_trust


def test_the_same_seed_gives_the_same_votes_and_the_order_of_the_features_does_not_matter() -> None:
    lists, votes, _ = judged(60, 0.1, 3)
    again = vote(lists, PRIOR, np.random.default_rng(3))
    assert again.standing == votes.standing
    assert np.array_equal(again.margins, votes.margins, equal_nan=True)


def test_no_label_is_judged_by_a_model_that_has_seen_its_session() -> None:
    """One session alone has no one who could vote on it."""
    found = [replace(p, session=1) for p in impressions(person(1, 0.4), 30, 1)]
    votes = vote(lists_of(found), PRIOR, np.random.default_rng(0))
    assert set(votes.standing) == {Standing.NORMAL}
    assert np.isnan(votes.margins).all()
    assert not votes.is_frozen
    np.testing.assert_array_equal(votes.lists.rungs, lists_of(found).rungs)


def test_one_query_and_none_pass_without_votes() -> None:
    for found in ([], impressions(person(1, 0.4), 1, 1)):
        votes = vote(lists_of(found), PRIOR, np.random.default_rng(0))
        assert not votes.is_frozen
        assert votes.sources == ()


def flood(who: Person, n: int) -> list[Impression]:
    """A second agent that praises whatever is most recent, twice a second."""
    found = []
    for i, p in enumerate(impressions(who, n, 2)):
        at = 150 * 600.0 + i * 0.5
        praise = Outcome(int(np.argmax(p.values[:, -1])), Kind.HELPED, 2, at)
        found.append(replace(p, outcomes=(praise,), at=at, session=900 + i // 3))
    return found


@pytest.mark.parametrize("n", [120, 1000])
def test_an_agent_that_floods_cannot_buy_the_ranking_nor_stop_the_learning(n: int) -> None:
    """A thousand outcomes in eight minutes, all for what is recent: the person is served as without them."""
    for seed in (0, 2):
        who = person(seed, 0.3)
        honest, tests = impressions(who, 150, 1, agent=1), queries(who, 150, 1)
        clean = worth(update(PRIOR, lists_of(honest)).mean, tests)
        votes = vote(lists_of(honest + flood(who, n)), PRIOR, np.random.default_rng(0))
        assert not votes.is_frozen
        assert clean > 0.05
        assert worth(update(PRIOR, votes.lists).mean, tests) > clean - 0.01


def test_the_flood_is_seen_to_be_worse_than_the_others() -> None:
    who = person(0, 0.3)
    votes = vote(
        lists_of(impressions(who, 150, 1, agent=1) + flood(who, 1000)), PRIOR, np.random.default_rng(0)
    )
    assert {s.agent: s.is_losing_trust for s in votes.sources} == {1: False, 2: True}
