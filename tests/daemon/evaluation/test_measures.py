"""What an answer is worth, on answers whose worth is known by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from penchant_daemon.evaluation.datasets import Question
from penchant_daemon.evaluation.measures import Answer, Outcomes, ranked_sessions, worth


def answer(
    *ranked: str,
    best_score: float = 1.0,
    shown: Sequence[str] = (),
    by_budget: dict[int, list[str]] | None = None,
) -> Answer:
    return Answer(list(ranked), by_budget or {}, 7, 3.0, best_score, shown)


def outcomes(*noted: tuple[Question, Answer]) -> Outcomes:
    found = Outcomes("turn", (1, 2))
    for question, said in noted:
        found.note(question, said, question.answers)
    return found


def test_each_measure_of_a_ranking_known_by_hand() -> None:
    said = answer("x", "a", "b", by_budget={500: ["x", "a"]})
    values = worth(said, ["a", "b"], "turn", (1, 2, 3))
    assert values["recall@1"] == 0.0
    assert values["recall@2"] == 0.5
    assert values["recall@3"] == 1.0
    assert values["mrr"] == 0.5
    assert values["hit@10"] == values["all@10"] == 1.0
    assert values["recall@500tokens"] == 0.5
    gain = 1 / math.log2(3) + 1 / math.log2(4)
    assert values["ndcg@10"] == pytest.approx(gain / (1 + 1 / math.log2(3)))


def test_a_session_counts_its_three_best_turns() -> None:
    scored = [("a1", 1.0), ("b1", 0.9), ("b2", 0.5), ("b3", 0.4), ("b4", 0.4)]
    session_of = {"a1": "a", "b1": "b", "b2": "b", "b3": "b", "b4": "b"}
    # b: 0.9 + 0.3 * 0.5 + 0.15 * 0.4 = 1.11, without its fourth turn
    assert ranked_sessions(scored, session_of) == ["b", "a"]
    assert ranked_sessions([("a1", 1.12), *scored[1:]], session_of) == ["a", "b"]


def test_questions_without_an_answer_count_for_auroc_and_nothing_else() -> None:
    found = outcomes(
        (Question("q1", ("a",), "t"), answer("a", best_score=0.9)),
        (Question("q2", ("b",), "t"), answer("x", best_score=0.2)),
        (Question("q3", (), "none"), answer("x", best_score=0.5)),
    )
    assert found.n() == 2
    assert found.figure("recall@1", 0).value == 0.5
    share = found.abstention(0)
    assert share is not None
    assert (share.figure.value, share.n) == (0.5, 1)
    assert outcomes((Question("q1", ("a",), "t"), answer("a"))).abstention(0) is None


def test_relevance_stands_before_scores_where_every_answer_gives_it() -> None:
    sure = replace(answer("a", best_score=0.1), relevance=0.9)
    unsure = replace(answer("x", best_score=0.8), relevance=0.2)
    asked = (Question("q1", ("a",), "t"), Question("q2", (), "none"))
    found = outcomes((asked[0], sure), (asked[1], unsure))
    share = found.abstention(0)
    assert share is not None
    assert (found.has_relevance, share.figure.value) == (True, 1.0)
    found = outcomes((asked[0], sure), (asked[1], replace(unsure, relevance=None)))
    share = found.abstention(0)
    assert share is not None
    assert (found.has_relevance, share.figure.value) == (False, 0.0)


def test_what_is_held_back_is_counted_apart_for_questions_with_and_without_an_answer() -> None:
    found = outcomes(
        (Question("q1", ("a",), "t"), answer()),
        (Question("q2", ("a",), "t"), answer("a")),
        (Question("q3", (), "none"), answer()),
        (Question("q4", (), "none"), answer()),
    )
    assert (found.n_nothing(is_answerable=True), found.n_nothing(is_answerable=False)) == (1, 2)


def test_figures_of_a_type_are_of_that_type() -> None:
    found = outcomes(
        (Question("q1", ("a",), "one"), answer("a")), (Question("q2", ("b",), "two"), answer("x"))
    )
    assert found.figure("recall@1", 0, "one").value == 1.0
    assert found.figure("recall@1", 0, "two").value == 0.0


def test_intervals_draw_conversations_rather_than_questions() -> None:
    questions = [Question(f"{g}{i}", ("a",), "t", group=g) for g in "abcd" for i in range(25)]
    # Within a conversation all is alike, so that only whole conversations vary.
    found = outcomes(*((q, answer("a" if q.group in ("a", "b") else "x")) for q in questions))
    by_conversation = found.figure("recall@1", 0)
    loose = outcomes(
        *(
            (Question(q.text, q.answers, q.type), said)
            for q, said in zip(questions, found.answers, strict=True)
        )
    )
    by_question = loose.figure("recall@1", 0)
    assert by_conversation.value == by_question.value == 0.5
    assert by_conversation.high - by_conversation.low > 2 * (by_question.high - by_question.low)
    assert found.figure("recall@1", 0) == by_conversation


def test_what_is_true_now_must_stand_above_what_was() -> None:
    def update(number: int) -> Question:
        return Question(f"q{number}", ("new", "old"), "t", fresh=("new",), stale=("old",))

    found = outcomes(
        (update(1), answer("new", "old")),
        (update(2), answer("old", "new")),
        (update(3), answer("x", "new")),
        (update(4), answer("x")),
    )
    share = found.updates(0)
    assert share is not None
    assert (share.figure.value, share.n, share.n_undecided) == (0.5, 4, 1)
    several = Question("q", (), "t", fresh=("new", "newer"), stale=("old", "older"))
    found = outcomes(
        (several, answer("newer", "old", "new", "older")), (Question("q", ("x",), "t"), answer("x"))
    )
    by_pair, by_question = found.updates(0), found.updated_questions(0)
    assert by_pair is not None
    assert by_question is not None
    assert (by_pair.figure.value, by_pair.n) == (0.75, 4)
    assert (by_question.figure.value, by_question.n) == (1.0, 1)


def test_exact_sets_forgive_neither_what_lacks_nor_what_is_too_much() -> None:
    def exact(*answers: str) -> Question:
        return Question("q", answers, "t", is_exact=True)

    found = outcomes(
        (exact("a", "b"), answer(shown=("b", "a"))),
        (exact("a", "b"), answer(shown=("a", "x"))),
        (exact("a"), answer(shown=("a", "x"))),
        (exact(), answer(shown=())),
        (Question("q", ("a",), "t"), answer(shown=("x",))),
    )
    sets = found.exact_sets()
    assert sets is not None
    assert sets.n == 4
    assert sets.precision == pytest.approx((1 + 0.5 + 0.5 + 1) / 4)
    assert sets.recall == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert sets.is_exact == 0.5
