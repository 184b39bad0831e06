"""Short forms find long ones and the other way round, for less than the word itself."""

from __future__ import annotations

import pytest
from tests.ranker.test_ranking import Turn, ask, pool_of, with_tokens

from penchant_ranker import rank
from penchant_ranker.aliases import TABLE, aliases
from penchant_ranker.features import NAMES


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("where does k8s run", "Kubernetes is in the Frankfurt region."),
        ("where does kubernetes run", "The k8s cluster is in Frankfurt."),
        ("is pg faster", "We chose Postgres for its indexes."),
        ("rules for a PR", "Each pull request needs two approvals."),
        ("pull request rules", "Each PR needs two approvals."),
        ("is it TS", "The app is written in TypeScript."),
        ("which repo", "The repository is at git.example.org."),
    ],
)
def test_a_text_with_the_other_form_is_ranked_first(question: str, text: str) -> None:
    turns = [Turn("Lunch is at noon.", role=0), Turn(text, role=0), Turn("The office is closed.", role=0)]
    query = ask(question, turns)
    assert query.aliases
    found = rank(query, with_tokens(pool_of(query, turns), query, turns))
    assert found.rows[0] == 1


def test_the_word_itself_counts_more_than_its_alias() -> None:
    turns = [Turn("The kubernetes cluster is old.", role=0), Turn("The k8s cluster is old.", role=0)]
    query = ask("k8s cluster", turns)
    found = rank(query, with_tokens(pool_of(query, turns), query, turns))
    assert found.rows.tolist() == [1, 0]
    assert found.scores[0] > found.scores[1]


def test_half_of_a_long_form_is_no_alias() -> None:
    assert aliases(("pull",)) == ()
    turns = [Turn("Pull the lever.", role=0)]
    query = ask("a PR", turns)
    assert [alias.words for alias in query.aliases] == [("pull", "request")]
    found = rank(query, pool_of(query, turns))
    assert found.values[0, NAMES.index("words")] == 0.0
    assert found.values[0, NAMES.index("coverage")] == 0.0


def test_every_line_of_the_table_has_two_forms_or_more() -> None:
    lines = TABLE.strip().splitlines()
    assert all(len(line.split(" = ")) >= 2 for line in lines)
    assert len({form for line in lines for form in line.split(" = ")}) == sum(
        len(line.split(" = ")) for line in lines
    )
