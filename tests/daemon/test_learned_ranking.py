"""Through the front door: what a person says of results changes what later questions get, and can be undone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

from penchant_daemon.errors import Forbidden, InvalidField, NotFound, TooMany
from penchant_daemon.wire import FeedbackRequest, MemoryIn, RecallRequest, RollbackRequest

if TYPE_CHECKING:
    from tests.daemon.conftest import Daemon

THINGS = (
    "billing importer", "search crawler", "mail gateway", "photo resizer", "login page", "report exporter",
    "chat widget", "price scraper", "backup runner", "map renderer", "video encoder", "form builder",
    "news reader", "audit trail", "queue broker", "feature toggle", "rate limiter", "session cache",
    "invoice printer", "calendar sync", "push notifier", "theme editor", "address book", "usage meter",
)  # fmt: skip
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    from tests.daemon.conftest import running_daemon

    with running_daemon('[models]\nlanguage_model = ""\n') as running:
        yield running


@pytest.fixture(scope="module")
def statements(daemon: Daemon) -> dict[str, tuple[str, str]]:
    """Of each thing a note and a decision that answer the same question equally well: ids by thing."""
    given = []
    for thing in THINGS:
        given.append(MemoryIn(content=f"the {thing} keeps its data in Postgres", kind="note"))
        given.append(MemoryIn(content=f"the {thing} keeps the data in Postgres", kind="decision"))
    ids = [receipt.id for receipt in daemon.client.remember(given)]
    return {thing: (ids[2 * i], ids[2 * i + 1]) for i, thing in enumerate(THINGS)}


def places(daemon: Daemon, thing: str, ids: tuple[str, str]) -> tuple[int, int, str]:
    answer = daemon.client.recall(RecallRequest(query=f"where does the {thing} keep its data"))
    order = [result.id for result in answer.results]
    return order.index(ids[0]), order.index(ids[1]), answer.impression_id


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.2)


def test_a_taste_against_the_prior_is_learned_for_questions_never_judged_and_can_be_undone(
    daemon: Daemon, statements: dict[str, tuple[str, str]]
) -> None:
    until(lambda: (index := daemon.client.status().index).done == index.total > 0)
    held_out = THINGS[16:]

    def n_notes_first() -> int:
        found = [places(daemon, thing, statements[thing]) for thing in held_out]
        return sum(note < decision for note, decision, _ in found)

    before = n_notes_first()
    likes_notes = before < len(held_out) / 2
    for thing in THINGS[:16]:
        note, decision = statements[thing]
        impression = places(daemon, thing, (note, decision))[2]
        good, bad = (note, decision) if likes_notes else (decision, note)
        for id, verdict in ((good, "helped"), (bad, "wrong")):
            daemon.client.as_agent("cli").feedback(
                FeedbackRequest(memory_id=id, verdict=verdict, impression_id=impression)  # type: ignore[arg-type]
            )
    until(lambda: any(m.trained_on["queries"] == 16 for m in daemon.client.ranker().active))
    assert n_notes_first() == (len(held_out) if likes_notes else 0)
    status = daemon.penchant("ranker", "status").stdout
    assert ("note" if likes_notes else "decision") in status
    assert "32 about 16 recalls" in status
    assert "active" in daemon.penchant("ranker", "history").stdout
    daemon.client.roll_back_ranker(RollbackRequest())
    while daemon.client.ranker().active:
        daemon.client.roll_back_ranker(RollbackRequest())
    assert n_notes_first() == before
    assert "the prior ranks" in daemon.penchant("ranker", "status").stdout


def test_what_was_wrong_sinks_at_once(daemon: Daemon) -> None:
    one, two = (
        receipt.id
        for receipt in daemon.client.remember(
            [
                MemoryIn(content="the heron app listens on port 7001"),
                MemoryIn(content="the heron app listens on port 7002"),
            ]
        )
    )
    ask = RecallRequest(query="which port does the heron app listen on")
    first = daemon.client.recall(ask).results[0].id
    daemon.client.as_agent("cli").feedback(FeedbackRequest(memory_id=first, verdict="wrong"))
    assert daemon.client.recall(ask).results[0].id == ({one, two} - {first}).pop()


def test_feedback_is_taken_only_for_what_was_shown_to_the_one_who_judges(daemon: Daemon) -> None:
    (receipt,) = daemon.client.remember([MemoryIn(content="ospreys nest at the reservoir")])
    stranger = daemon.client.as_agent("stranger")
    with pytest.raises(Forbidden, match="no recall has shown this memory to stranger"):
        stranger.feedback(FeedbackRequest(memory_id=receipt.id, verdict="helped"))
    answer = daemon.client.recall(RecallRequest(query="where do ospreys nest"))
    with pytest.raises(Forbidden, match="shown to test, not to stranger"):
        stranger.feedback(
            FeedbackRequest(memory_id=receipt.id, verdict="helped", impression_id=answer.impression_id)
        )
    with pytest.raises(NotFound, match="no impression"):
        daemon.client.feedback(
            FeedbackRequest(
                memory_id=receipt.id, verdict="helped", impression_id="01ARZ3NDEKTSV4RRFFQ69G5FAV"
            )
        )
    (other,) = daemon.client.remember([MemoryIn(content="an unrelated kettle")])
    with pytest.raises(InvalidField, match="did not show") as caught:
        daemon.client.feedback(
            FeedbackRequest(memory_id=other.id, verdict="helped", impression_id=answer.impression_id)
        )
    assert caught.value.field == "body.memory_id"
    assert (
        daemon.client.feedback(FeedbackRequest(memory_id=receipt.id, verdict="helped")).status == "recorded"
    )


def test_one_agent_is_heard_sixty_times_a_minute_and_told_so(
    start_daemon: Callable[..., AbstractContextManager[Daemon]],
) -> None:
    with start_daemon('[models]\nlanguage_model = ""\n') as daemon:
        (receipt,) = daemon.client.remember([MemoryIn(content="swifts return in May")])
        flooding = daemon.client.as_agent("mallory")
        flooding.recall(RecallRequest(query="when do swifts return"))
        said = FeedbackRequest(memory_id=receipt.id, verdict="helped")
        for _ in range(60):
            flooding.feedback(said)
        with pytest.raises(TooMany) as caught:
            flooding.feedback(said)
        assert caught.value.status == 429
        daemon.client.recall(RecallRequest(query="when do swifts return"))
        assert daemon.client.feedback(said).status == "recorded", "others are heard"
        assert daemon.client.ranker().n_outcomes == 61


@pytest.mark.parametrize("arguments", [("rollback",), ("rollback", "01NOBODY"), ("rollback", " ")])
def test_a_rollback_that_cannot_be_is_said_without_a_traceback(
    daemon: Daemon, arguments: tuple[str, ...]
) -> None:
    while daemon.client.ranker().active:
        daemon.client.roll_back_ranker()
    done = daemon.penchant("ranker", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("penchant: ")
    assert "Traceback" not in done.stderr
