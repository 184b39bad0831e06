"""Simulated people: the same each time, of many tastes, with nothing in common between what teaches and what is asked."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from penchant_daemon.evaluation.personalization import _verdict
from penchant_daemon.evaluation.personas import GAINS, MATTERS, PARTS, TRAITS, Persona, Topic, persona
from penchant_ranker import graded_ndcg_at, parse_query, stems
from penchant_ranker.query import SpeakerNames


@pytest.fixture(scope="module")
def people() -> list[Persona]:
    return [persona(0, number, 50, 24) for number in range(20)]


def content(text: str) -> set[str]:
    """What a query keeps of a text, as stems."""
    words = parse_query(text, names=SpeakerNames(()), now=0).words
    return {stem for word in words for stem in stems(word)}


def test_the_same_seed_makes_the_same_person(people: list[Persona]) -> None:
    assert persona(0, 3, 50, 24) == people[3]
    assert persona(1, 3, 50, 24).statements != people[3].statements


def test_no_part_and_no_matter_share_a_word() -> None:
    count = Counter(stem for name in (*PARTS, *MATTERS) for stem in set(stems(name)))
    assert [stem for stem, n in count.items() if n > 1] == []


def test_held_out_questions_have_no_word_of_what_feedback_is_given_on(people: list[Persona]) -> None:
    for who in people:
        asked = {word for topic in who.held_out for word in content(topic.question)}
        judged = {word for topic in who.training for word in content(topic.question)}
        assert asked & judged == set(), who.number
        names = {word for topic in who.training for one in topic.statements for word in content(one.text)}
        matter = {
            w for topic in who.held_out for w in content(topic.question.partition(" Something with ")[0])
        }
        assert matter & names == set(), who.number


def test_no_statement_is_remembered_twice(people: list[Persona]) -> None:
    for who in people:
        texts = [one.text for one in who.statements]
        assert len(set(texts)) == len(texts) == 74 * 12


def test_each_end_of_each_thing_is_liked_by_as_many_people(people: list[Persona]) -> None:
    firsts = Counter(str(who.traits[0]) for who in people if who.traits)
    for about, traits in TRAITS.items():
        counts = [firsts[str(trait)] for trait in traits]
        assert sum(counts) == 2, about
        if len(counts) == 2:
            assert counts == [1, 1], about
    assert sum(not who.traits for who in people) == 4
    assert {len(who.traits) for who in people} == {0, 1, 2, 3}


def test_what_is_wanted_fits_the_taste_and_no_order_by_luck_comes_near_it(
    people: list[Persona],
) -> None:
    rng = np.random.default_rng(0)
    for who in people:
        topics = (*who.training, *who.held_out)
        for topic in topics:
            assert sorted(topic.gains.values(), reverse=True) == list(GAINS)
            assert len(topic.statements) == 12
        by_taste = float(np.mean([graded_ndcg_at(t.liked, t.gains, 5) for t in topics]))
        keys = [[one.key for one in topic.statements] for topic in topics]
        by_luck = [
            graded_ndcg_at(rng.permutation(k).tolist(), t.gains, 5) for k, t in zip(keys, topics, strict=True)
        ]
        assert by_taste > float(np.mean(by_luck)) + 0.1
        assert 0.2 < float(np.mean(by_luck)) < 0.4


def test_who_has_no_taste_names_a_detail_that_what_they_want_has(people: list[Persona]) -> None:
    who = people[4]
    assert who.traits == ()
    for topic in who.training:
        best = next(one for one in topic.statements if topic.gains.get(one.key) == max(GAINS))
        assert any(detail in topic.question for detail in best.details)


def test_more_topics_than_there_are_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="more than there are"):
        persona(0, 0, 60, 24)


def first_topic(people: list[Persona]) -> tuple[Topic, list[str]]:
    topic = people[0].training[0]
    wanted = sorted(topic.gains, key=lambda key: topic.gains[key])
    others = [one.key for one in topic.statements if one.key not in topic.gains]
    return topic, [*others[:3], *wanted, *others[3:]]


def test_true_feedback_praises_the_best_of_what_is_wanted(people: list[Persona]) -> None:
    topic, shown = first_topic(people)
    assert _verdict(topic, shown, 0.0, np.random.default_rng(0)) == (5, "helped")
    assert _verdict(topic, shown[:4], 0.0, np.random.default_rng(0)) == (3, "helped")


def test_contradictory_feedback_says_the_contrary_in_both_ways(people: list[Persona]) -> None:
    topic, shown = first_topic(people)
    rng = np.random.default_rng(0)
    said = [_verdict(topic, shown, 1.0, rng) for _ in range(50)]
    assert {verdict for _, verdict in filter(None, said)} == {"helped", "wrong"}
    for place, verdict in filter(None, said):
        assert (place == 5) if verdict == "wrong" else (shown[place] not in topic.gains)


def test_nothing_is_said_where_nothing_wanted_is_shown(people: list[Persona]) -> None:
    topic, shown = first_topic(people)
    assert _verdict(topic, shown[:3], 0.2, np.random.default_rng(0)) is None
