"""Notes in German, Spanish, Chinese and Japanese are found by words, parts of words and single signs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from penchant_daemon.evaluation import question_file
from penchant_daemon.evaluation.recall import Plan, Result, evaluate

LOOKUPS = Path(__file__).resolve().parents[3] / "benchmarks" / "data" / "lookups.json"
LANGUAGES = ("German", "Spanish", "Chinese", "Japanese")


class Silent:
    def pool(self, name: str, number: int, n_pools: int) -> None: ...

    def step(self, what: str, done: int, total: int) -> None: ...


@pytest.fixture(scope="module")
def result() -> Result:
    """All look-ups, ranked; how relevant an answer must be is another question."""
    dataset = question_file.read(LOOKUPS)
    (pool,) = dataset.pools
    asked = tuple(replace(question, min_relevance=0.0) for question in pool.questions)
    plan = Plan(ks=(5,), ways=("learned",), budgets=())
    return evaluate(replace(dataset, pools=(replace(pool, questions=asked),)), plan, Silent())


@pytest.mark.parametrize("language", LANGUAGES)
def test_of_ten_notes_at_least_nine_are_among_the_first_five(result: Result, language: str) -> None:
    learned = result.outcomes["learned"]
    rows = [i for i, one in enumerate(learned.questions) if one.type.startswith(language)]
    found = [learned.questions[i].answers[0] in learned.answers[i].ranked[:5] for i in rows]
    assert len(found) == 30
    assert sum(found) / len(found) >= 0.9


def test_every_language_has_enough_notes_that_are_not_asked_for() -> None:
    dataset = question_file.read(LOOKUPS)
    (pool,) = dataset.pools
    for code in ("de", "es", "zh", "ja"):
        keys = {text.key for text in pool.texts if text.key.startswith(f"{code}-")}
        answers = {key for question in pool.questions for key in question.answers if key in keys}
        assert len(answers) == 30
        assert len(keys) >= 60
        assert len(keys - answers) >= 50
