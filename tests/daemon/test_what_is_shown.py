"""What of a ranking is shown: through a real store with the real embedder, and on a daemon's socket."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.daemon.conftest import Daemon
from tests.daemon.models.test_in_the_daemon import until
from tests.daemon.test_recall import NOW, contents, index, log, remember

import penchant_ranker as ranker
from penchant_daemon.config import Config
from penchant_daemon.evaluation import question_file
from penchant_daemon.models import Embedder, open_embedder
from penchant_daemon.recall import Recall
from penchant_daemon.relevances import RELEVANCE_NAME, Relevances, judged_relevance, shipped
from penchant_daemon.wire import MemoryIn, RecallRequest, RecallResponse
from penchant_store import JudgedImpression, NewMemory, NewOutcome, Store

DATA = Path(__file__).resolve().parents[2] / "benchmarks" / "data"


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return open_embedder(Config(), tmp_path_factory.mktemp("models"))


@pytest.fixture
def store(short_path: Path) -> Iterator[Store]:
    opened = Store.open(short_path / "home", clock=lambda: NOW)
    yield opened
    opened.close()


@pytest.fixture
def recall(store: Store, embedder: Embedder) -> Iterator[Recall]:
    made = Recall(store, embedder, clock=lambda: NOW, min_relevance=Config().recall.min_relevance)
    yield made
    made.close()


def ask(recall: Recall, query: str, **fields: object) -> RecallResponse:
    return recall.recall(RecallRequest.model_validate({"query": query, **fields}), "cli")


FACTS = (
    "The staging API listens on port 8443.",
    "Invoices are rendered by WeasyPrint.",
    "Priya owns the billing module.",
    "The nightly backup runs at 02:30 UTC.",
    "Feature flags live in the database.",
)


# ---- relevance and the threshold


def test_where_nothing_relevant_is_remembered_nothing_is_returned(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    remember(store, *FACTS)
    index(store, embedder)
    answer = ask(recall, "who won the chess tournament in Reykjavik?")
    assert answer.results == []
    assert answer.held_back == len(FACTS)
    assert answer.relevance < 0.05
    assert re.search(r"nothing relevant is remembered \(best match \d+%\)", answer.warnings[0])
    every = ask(recall, "who won the chess tournament in Reykjavik?", min_relevance=0.0)
    assert len(every.results) == len(FACTS)
    assert every.held_back == 0


def test_an_answer_comes_without_what_does_not_answer(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    remember(store, *FACTS)
    index(store, embedder)
    answer = ask(recall, "which port does the staging API use?")
    assert contents(answer) == [FACTS[0]]
    assert answer.held_back == len(FACTS) - 1
    assert answer.warnings == []
    assert answer.relevance >= answer.results[0].relevance > 0.5


def test_a_question_of_small_words_alone_holds_nothing_back(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    remember(store, "before", "Lunch is at noon.")
    index(store, embedder)
    assert contents(ask(recall, "before"))[0] == "before"


def test_each_result_reaches_the_relevance_that_is_asked_for(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    remember(store, *FACTS)
    log(
        store,
        [(None, f"We looked at the staging API, round {i}.") for i in range(8)],
        "s",
        "2026-11-20T10:00:00Z",
    )
    index(store, embedder)
    for least in (0.01, 0.2, 0.9):
        answer = ask(recall, "which port does the staging API use?", min_relevance=least, limit=20)
        assert all(result.relevance >= least for result in answer.results)
    assert len(ask(recall, "which port does the staging API use?", min_relevance=0.0, limit=20).results) == 13


def test_short_forms_find_the_long_ones(store: Store, recall: Recall, embedder: Embedder) -> None:
    remember(
        store, *FACTS, "The Kubernetes cluster is in Frankfurt.", "The repository is at git.example.org."
    )
    index(store, embedder)
    assert contents(ask(recall, "where is the k8s cluster?")) == ["The Kubernetes cluster is in Frankfurt."]
    assert contents(ask(recall, "where is our repo?")) == ["The repository is at git.example.org."]


def test_half_of_the_exact_sets_that_nothing_was_chosen_by_comes_out_right(
    store: Store, embedder: Embedder
) -> None:
    (pool,) = question_file.read(DATA / "exact_sets_b.json").pools
    ids: dict[str, str] = {}
    for text in pool.texts:
        (receipt,) = store.add_memories(
            [
                NewMemory(
                    text.text,
                    kind=text.kind,
                    scope="global" if text.project is None else "project",
                    project=text.project,
                    agent="cli",
                    occurred_at=None if text.occurred_at is None else text.occurred_at.isoformat(),
                    supersedes=None if text.supersedes is None else ids[text.supersedes],
                )
            ]
        ).result()
        ids[text.key] = receipt.id
    index(store, embedder)
    recall = Recall(store, embedder, clock=lambda: NOW, min_relevance=Config().recall.min_relevance)
    precision, found, n_exact = [], [], 0
    for question in pool.questions:
        answer = ask(recall, question.text, project=question.project)
        wanted, got = {ids[key] for key in question.answers}, {result.id for result in answer.results}
        precision.append(len(wanted & got) / len(got) if got else float(not wanted))
        found.append(len(wanted & got) / len(wanted) if wanted else 1.0)
        n_exact += wanted == got
    recall.close()
    assert len(pool.questions) >= 40
    assert np.mean(precision) >= 0.93
    assert np.mean(found) >= 0.93
    assert n_exact >= 0.85 * len(pool.questions)


# ---- selection


def test_what_says_the_same_is_shown_once_with_both_origins(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    first = remember(store, "The API listens on port 8080.", agent="claude-code")
    second = remember(store, "The API is listening on port 8080", agent="codex")
    other = remember(store, "The API listens on port 8081.")
    index(store, embedder)
    answer = ask(recall, "which port does the API listen on?", min_relevance=0.0)
    assert {result.id for result in answer.results} & {*first, *second} != set()
    assert len(answer.results) == 2
    merged = next(result for result in answer.results if result.also)
    assert {merged.id, merged.also[0].id} == {*first, *second}
    assert {merged.agent, merged.also[0].agent} == {"claude-code", "codex"}
    assert other[0] in {result.id for result in answer.results}
    assert ask(recall, "which port does the API listen on?", min_relevance=0.0).results == answer.results


def test_of_two_values_of_the_same_thing_the_later_one_is_first(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    log(store, [(None, "The repository has 150 commits on main.")], "s1", "2026-10-01T10:00:00Z")
    log(store, [(None, "The repository grew to 165 commits on main.")], "s2", "2026-11-01T10:00:00Z")
    index(store, embedder)
    found = contents(ask(recall, "How many commits does the repository have on main?"))
    assert found[0] == "The repository grew to 165 commits on main."


def test_a_budget_keeps_the_best_that_fit(store: Store, recall: Recall, embedder: Embedder) -> None:
    log(
        store,
        [(None, f"The walrus number {i} rests on the ice " * (5 if i == 0 else 1)) for i in range(6)],
        "s",
        "2026-11-01T10:00:00Z",
    )
    index(store, embedder)
    answer = ask(recall, "where does the walrus rest?", budget_tokens=30)
    assert 0 < len(answer.results) < 6
    assert sum(ranker.estimated_tokens(result.content) for result in answer.results) <= 30


# ---- explanation


def test_reasons_sum_to_the_score_and_say_what_else_would_be(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    remember(store, *FACTS, "The production API listens on port 443.")
    index(store, embedder)
    answer = ask(recall, "which port does the staging API use?", explain=True, min_relevance=0.0)
    for result in answer.results:
        assert result.reasons is not None
        assert sum(reason.contribution for reason in result.reasons) == pytest.approx(result.score, abs=1e-4)
    ranks = [reason.rank_without for result in answer.results for reason in result.reasons or ()]
    assert any(rank is not None for rank in ranks)
    last = answer.results[-1]
    assert last.against is not None
    assert any("covers only" in text or "far from the question" in text for text in last.against)


def test_reasons_say_project_age_and_how_often_it_helped(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    (id_,) = remember(
        store, "Run pytest with -n 4.", scope="project", project="orion", occurred_at="2026-11-22T12:00:00Z"
    )
    index(store, embedder)
    for agent in ("cli", "codex"):
        shown = ask(recall, "how do I run pytest?", project="orion")
        store.add_outcome(NewOutcome(shown.impression_id, id_, "helped", agent)).result()
    recall.outcomes_changed()
    answer = ask(recall, "how do I run pytest?", project="orion", explain=True)
    words = {reason.feature: reason.text for reason in answer.results[0].reasons or ()}
    assert words["helped"] == "helped twice when it was recalled before"
    assert words["same_project"] == "same project"
    assert "pytest" in " ".join(words.values())


# ---- on the socket


def test_the_command_says_that_nothing_relevant_is_remembered_and_shows_it_with_all(daemon: Daemon) -> None:
    daemon.client.remember([MemoryIn(content=text) for text in FACTS])
    until(lambda: not daemon.client.recall(RecallRequest(query="lunch", min_relevance=0.0)).warnings)
    question = "who won the chess tournament in Reykjavik?"
    out = daemon.penchant("recall", question)
    assert re.search(r"nothing relevant is remembered \(best match \d+%; --all shows it\)", out.stdout)
    every = json.loads(daemon.penchant("recall", question, "--all", "--json").stdout)
    assert len(every["results"]) == len(FACTS)
    assert daemon.penchant("recall", question, "--min-relevance", "1.5").returncode != 0


def test_thirty_lookups_in_one_session_each_find_their_own_fact_first(daemon: Daemon) -> None:
    things = [
        "anchor",
        "beacon",
        "candle",
        "domino",
        "ember",
        "fjord",
        "garnet",
        "hammock",
        "igloo",
        "jigsaw",
        "kettle",
        "lantern",
        "mango",
        "nectar",
        "otter",
    ]
    kinds = ("model", "poster")
    facts = [
        f"The {thing} {kind} of the museum is in hall {i}{j}."
        for i, thing in enumerate(things)
        for j, kind in enumerate(kinds)
    ]
    daemon.client.remember([MemoryIn(content=text) for text in facts])
    n_right = 0
    for i, thing in enumerate(things):
        for j, kind in enumerate(kinds):
            asked = RecallRequest(query=f"in which hall is the {thing} {kind}?", session="one-session")
            results = daemon.client.recall(asked).results
            n_right += results[0].content == facts[2 * i + j]
    assert n_right == 30


# ---- what outcomes make of it


def test_a_damaged_calibration_is_refused_and_the_shipped_one_speaks(tmp_path: Path) -> None:
    relevances = Relevances(tmp_path)
    rng = np.random.default_rng(4)
    said = rng.uniform(0.1, 0.9, 300)
    cases = [
        ranker.JudgedRelevance(float(p), bool(r))
        for p, r in zip(said, rng.random(300) < 0.3 * said, strict=True)
    ]
    assert relevances.learn(cases)
    learned = relevances.model
    assert learned != shipped()
    assert Relevances(tmp_path).model == learned
    assert not Relevances(tmp_path).learn(cases)  # the same again is no news
    path = tmp_path / "ranker" / RELEVANCE_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(path.read_text().replace("0.", "1.", 1))
    damaged = Relevances(tmp_path)
    assert damaged.model is shipped()
    (problem,) = damaged.problems()
    assert "refused" in problem.message


def test_only_the_persons_verdicts_recalibrate(store: Store, recall: Recall, embedder: Embedder) -> None:
    (id_,) = remember(store, FACTS[0])
    index(store, embedder)
    shown = ask(recall, "which port does the staging API use?")
    store.add_outcome(NewOutcome(shown.impression_id, id_, "wrong", "some-agent")).result()
    store.add_outcome(NewOutcome(shown.impression_id, id_, "helped", "cli")).result()
    judged: list[JudgedImpression] = list(store.judged_impressions("2020-01-01T00:00:00.000Z", 10))
    (case,) = judged_relevance(judged)
    assert case.is_right
    assert case.relevance == pytest.approx(shown.results[0].relevance, abs=1e-3)
