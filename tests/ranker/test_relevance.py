"""Relevance: probabilities from evidence that means the same in every recall."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.ranker.test_ranking import Turn, ask, pool_of, with_tokens

from penchant_daemon.relevances import shipped
from penchant_ranker import (
    ANSWER_EVIDENCE,
    Evidence,
    JudgedRelevance,
    ModelCorrupt,
    Relevance,
    RelevanceModel,
    evidence,
    quality,
    rank,
    read_relevance,
    recalibrated,
    worth_showing,
    write_relevance,
)


def judge(question: str, turns: list[Turn], tokens: bool = True) -> tuple[Relevance, list[int], Evidence]:
    """The shipped calibration's word on a recall, and the ranked rows."""
    query = ask(question, turns)
    pool = pool_of(query, turns)
    if tokens:
        pool = with_tokens(pool, query, turns)
    found = rank(query, pool)
    seen = evidence(query, pool, found)
    return shipped().of(seen), found.rows.tolist(), seen


FACTS = [
    Turn("The vault code is turquoise.", role=0, cosine=0.7),
    Turn("Lunch is at noon.", role=0, cosine=0.1),
    Turn("The office is in Graz.", role=0, cosine=0.1),
]
CHAT = [
    Turn("I finished my pottery class and made a bowl.", "Ann", 1, cosine=0.5),
    Turn("Your pottery class sounds great!", "Bo", 1, cosine=0.5),
    Turn("I repaired my bicycle chain.", "Bo", 1, cosine=0.2),
    Turn("Nice, bicycles are fun.", "Ann", 1, cosine=0.2),
]


@pytest.mark.parametrize("tokens", [True, False])
def test_a_question_with_an_answer_is_surer_than_one_without(tokens: bool) -> None:
    found, rows, _ = judge("what is the vault code?", FACTS, tokens)
    assert found.answer > 0.8
    assert found.results[rows.index(0)] > 0.7
    foreign = [replace(turn, cosine=0.02) for turn in FACTS]
    nothing, _, _ = judge("who won the chess tournament?", foreign, tokens)
    assert nothing.answer < 0.1
    assert nothing.results.max() < 0.05


@pytest.mark.parametrize("tokens", [True, False])
def test_asked_of_the_other_person_it_is_less_sure(tokens: bool) -> None:
    right, _, about_ann = judge("what did Ann make in the pottery class?", CHAT, tokens)
    wrong, _, about_bo = judge("what did Bo make in the pottery class?", CHAT, tokens)
    assert right.answer > wrong.answer
    lead = ANSWER_EVIDENCE[about_ann.way].index("speaker_lead")
    assert about_ann.answer[lead] > 0.0 > about_bo.answer[lead]


def test_no_result_is_surer_than_the_answer() -> None:
    for question in ("what did Bo make in the pottery class?", "what is the vault code?"):
        found, _, _ = judge(question, CHAT + FACTS)
        assert found.results.max() <= found.answer


def test_more_evidence_never_makes_less_probable() -> None:
    rng = np.random.default_rng(3)
    model = shipped()
    for (way, _), calibration in (*model.answers.items(), *model.results.items()):
        assert min(calibration.coefficients) >= 0.0, way
        values = rng.random((200, len(calibration.names)))
        more = values + rng.random(values.shape)
        assert (calibration.probability(more) >= calibration.probability(values)).all()


def test_nothing_found_is_no_answer() -> None:
    found, rows, _ = judge("what is the vault code?", [])
    assert (found.answer, len(found.results), rows) == (0.0, 0, [])
    assert worth_showing(found, 0.05).tolist() == []


def test_what_is_written_is_read_as_the_same_and_what_is_damaged_is_refused() -> None:
    model = shipped()
    text = write_relevance(model)
    assert read_relevance(text) == model
    found = json.loads(text)
    for damaged in (
        text[: len(text) // 2],
        "[]",
        json.dumps({**found, "version": 99}),
        json.dumps({**found, "answers": {}}),
        json.dumps({**found, "results": {**found["results"], "tokens memory": {"names": []}}}),
        text.replace('"coverage"', '"moonlight"'),
    ):
        with pytest.raises(ModelCorrupt):
            read_relevance(damaged)


# ---- what is shown


def of(answer: float, *results: float, is_statement: bool = True) -> Relevance:
    return Relevance(answer, np.array(results), np.full(len(results), is_statement))


def test_memories_that_do_not_answer_are_left_out_and_turns_are_not() -> None:
    assert worth_showing(of(0.9, 0.8, 0.2, 0.1), 0.05).tolist() == [True, True, False]
    assert worth_showing(of(0.9, 0.8, 0.2, 0.1, is_statement=False), 0.05).all()


def test_the_best_memory_is_shown_where_none_is_good() -> None:
    assert worth_showing(of(0.3, 0.1, 0.09), 0.05).tolist() == [True, False]
    assert worth_showing(of(0.3, 0.03, 0.01), 0.05).tolist() == [False, False]


def test_a_wanted_relevance_counts_for_the_answer_and_for_each_result() -> None:
    found = of(0.6, 0.6, 0.4)
    assert worth_showing(found, 0.5, 0.5).tolist() == [True, False]
    assert worth_showing(found, 0.7, 0.7).tolist() == [False, False]
    assert worth_showing(found, 0.0, 0.0).tolist() == [True, True]


# ---- what outcomes make of it


def cases(n: int, odds: float, seed: int = 5) -> list[JudgedRelevance]:
    """Judged results of which fewer (odds below 1) or more are right than was said."""
    rng = np.random.default_rng(seed)
    said = rng.uniform(0.05, 0.95, n)
    truth = said * odds / (1.0 - said + said * odds)
    return [JudgedRelevance(float(p), bool(r)) for p, r in zip(said, rng.random(n) < truth, strict=True)]


def moved(model: RelevanceModel, said: float) -> float:
    """What the memory calibration says where the shipped one says `said`."""
    before, after = shipped().results["tokens", "memory"], model.results["tokens", "memory"]
    scale = after.coefficients[0] / before.coefficients[0]
    move = after.intercept - scale * before.intercept
    return float(1.0 / (1.0 + np.exp(-(scale * np.log(said / (1.0 - said)) + move))))


def test_outcomes_move_the_probabilities_towards_what_came_of_them() -> None:
    judged = cases(400, 0.2)
    model = recalibrated(shipped(), judged)
    assert model is not None
    said = np.array([case.relevance for case in judged])
    right = np.array([case.is_right for case in judged])
    after = np.array([moved(model, p) for p in said.tolist()])
    assert quality(after, right).ece < 0.5 * quality(said, right).ece
    assert model.answers == shipped().answers


def test_too_few_outcomes_or_none_that_help_change_nothing() -> None:
    assert recalibrated(shipped(), cases(49, 0.2)) is None
    assert recalibrated(shipped(), [JudgedRelevance(0.5, True)] * 200) is None
    upside_down = [JudgedRelevance(1.0 - case.relevance, case.is_right) for case in cases(400, 1.0)]
    assert recalibrated(shipped(), upside_down) is None


@pytest.mark.parametrize("n", range(48, 66))
def test_any_number_of_verdicts_of_both_kinds_is_learned_from_or_waited_for(n: int) -> None:
    judged = [JudgedRelevance(0.5, i % 5 > 0) for i in range(n)]
    assert n > 60 or recalibrated(shipped(), judged) is None
    recalibrated(shipped(), judged)
