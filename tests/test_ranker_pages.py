"""The pages on features and on the prior are what the code says, not what somebody remembered of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks import ranker_pages, train_prior
from benchmarks.train_prior import NAMES, PRIOR, Listed, Recipe

import penchant_ranker as ranker
from penchant_daemon.evaluation import question_file

REGENERATE = "run python -m benchmarks.ranker_pages"


def test_the_table_of_features_is_that_of_the_code() -> None:
    assert ranker_pages.FEATURES_PAGE.read_text("utf-8") == ranker_pages.features_page(), REGENERATE


def test_the_priors_card_is_that_of_the_code() -> None:
    found = json.loads(train_prior.RESULT.read_text("utf-8"))
    assert ranker_pages.PRIOR_PAGE.read_text("utf-8") == ranker_pages.prior_page(found), REGENERATE
    assert found["prior"] == ranker.CHAT.name, "python -m benchmarks.train_prior has to be run anew"


def test_the_table_names_each_feature_with_the_weight_that_it_ranks_by() -> None:
    page = ranker_pages.features_page()
    for feature in ranker.FEATURES:
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{feature.name}` |")]
        weight = {w.feature: w.weight for w in ranker.CHAT.weights}.get(feature.name)
        assert line.split(" | ")[4] == ("" if weight is None else f"{weight:g}")


def lists(liked: str, n: int = 80) -> list[Listed]:
    """Recalls in which the right candidate is the one that has most of a feature."""
    rng = np.random.default_rng(1)
    found = []
    for i in range(n):
        values = rng.random((12, len(NAMES)))
        best = values[:, NAMES.index(liked)].argmax()
        found.append(Listed(values, np.arange(12) == best, 1, f"conversation {i % 8}"))
    return found


def test_a_fit_follows_what_is_right_and_stays_with_the_hand_set_where_it_is_held() -> None:
    told = lists("date")
    loose, tight = (train_prior.fit(told, Recipe("", "real", l2)) for l2 in (0.001, 1e6))
    date = NAMES.index("date")
    assert loose[date] > PRIOR[date] + 0.3
    assert (loose >= 0.0).all()
    assert tight == pytest.approx(PRIOR, abs=1e-3)


def test_what_is_better_on_one_set_alone_does_not_ship() -> None:
    by_date = np.where(np.array(NAMES) == "date", 1.0, 0.0)
    good, bad = (train_prior.compared(lists(liked), by_date, 0) for liked in ("date", "length"))
    assert good["ndcg@10"]["value"] == 1.0
    assert train_prior.is_better({"locomo": good, "beam": good})
    assert not train_prior.is_better({"locomo": good, "beam": bad})
    assert not train_prior.is_better({"locomo": good, "beam": train_prior.compared(lists("date"), PRIOR, 0)})


def test_pseudo_queries_are_made_of_their_turns_words_and_are_the_same_each_time() -> None:
    own = question_file.read(Path(__file__).resolve().parents[1] / "examples" / "orion-questions.json")
    first, again = (train_prior.with_pseudo_queries(own, 3) for _ in range(2))
    assert first == again
    (pool,) = first.pools
    text_of = {text.key: text.text.lower() for text in pool.texts}
    plain = [q for q in pool.questions if " in " not in q.text and " about " not in q.text]
    assert len(plain) > 5
    for question in plain:
        (key,) = question.answers
        assert any(word in text_of[key] for word in question.text.split())
