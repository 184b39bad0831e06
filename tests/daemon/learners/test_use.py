"""What an assistant used of a recall is seen in what it says and does next, and in nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import penchant_ranker as ranker
from penchant_daemon.learners.use import UseDetector
from penchant_store import (
    ImpressionItem,
    IndexBatch,
    NewEvent,
    NewImpression,
    NewMemory,
    NewOutcome,
    Store,
)

NOW = 1_790_000_000.0
PORT = "The staging database listens on port 5433 of db2.internal behind pgbouncer"
RELEASE = "Release branches are cut on Thursdays because nobody is on call over the weekend"
COLOUR = "The accent colour of the console is teal"


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store.open(tmp_path / "home", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def memories(store: Store) -> dict[str, str]:
    """Ids by text; what the texts' words are worth is known."""
    texts = [PORT, RELEASE, COLOUR, *(f"Note {n} about the lunch menu of the office" for n in range(20))]
    receipts = store.add_memories([NewMemory(text, agent="a", origin="user") for text in texts]).result()
    items = store.unindexed(None, 100)
    stems = [ranker.stem_hashes(text) for text in store.texts(items)]
    offsets = np.concatenate(([0], np.cumsum([len(each) for each in stems]))).astype(np.int64)
    flags = np.ones(len(items), dtype=np.uint32)
    store.write_index(
        None, IndexBatch(items, stems=(np.concatenate(stems).astype(np.uint32), offsets), cues=flags)
    ).result()
    return {text: receipt.id for text, receipt in zip(texts, receipts, strict=True)}


def recalled(
    store: Store, ids: list[str], session: str | None = "s", agent: str = "claude", query: str = "which port"
) -> str:
    items = tuple(ImpressionItem(id, rank, 1.0, {"words": 0.5}) for rank, id in enumerate(ids, 1))
    id, written = store.add_impression(NewImpression(query, agent, session, None, None, items, "prior"))
    written.result()
    return id


def said(
    store: Store,
    text: str,
    session: str | None = "s",
    agent: str = "claude",
    kind: str = "message",
    role: str = "assistant",
    refers_to: tuple[str, ...] = (),
) -> None:
    event = NewEvent(kind, role, text, session=session, agent=agent, refers_to=refers_to)
    store.add_events([event]).result()


def used(store: Store) -> list[tuple[str, float]]:
    return [(o.memory_id, o.strength) for o in store.outcomes() if o.source == "use"]


@pytest.fixture
def detector(store: Store, clock: Clock) -> UseDetector:
    return UseDetector(store, clock=clock, told=lambda agent, count: None)


def test_an_answer_made_of_a_memory_used_it_and_not_its_neighbours(
    store: Store, memories: dict[str, str], detector: UseDetector, clock: Clock
) -> None:
    impression = recalled(store, [memories[RELEASE], memories[PORT], memories[COLOUR]])
    clock.now += 20
    said(store, "I will point it to db2.internal: the database listens on port 5433 behind pgbouncer.")
    assert detector.look() == 1
    assert used(store) == [(memories[PORT], ranker.QUOTED_STRENGTH)]
    assert store.outcomes()[0].impression_id == impression


def test_a_command_that_follows_is_surer_than_words(
    store: Store, memories: dict[str, str], detector: UseDetector, clock: Clock
) -> None:
    recalled(store, [memories[PORT]])
    clock.now += 5
    command = '{"command": "psql -h db2.internal -p 5433 staging database pgbouncer"}'
    said(store, command, kind="tool_call")
    detector.look()
    assert used(store) == [(memories[PORT], ranker.ACTED_ON_STRENGTH)]


def test_words_of_the_question_prove_nothing(
    store: Store, memories: dict[str, str], detector: UseDetector, clock: Clock
) -> None:
    recalled(store, [memories[PORT]], query="the staging database listens behind pgbouncer on which port")
    clock.now += 5
    said(store, "I do not know where the staging database listens behind pgbouncer, or on which port.")
    assert detector.look() == 0


def test_what_others_say_and_what_was_said_before_or_much_later_is_no_use(
    store: Store, memories: dict[str, str], detector: UseDetector, clock: Clock
) -> None:
    said(store, PORT)
    clock.now += 60
    recalled(store, [memories[PORT]])
    said(store, PORT, role="user")
    said(store, PORT, session="other", agent="cursor")
    clock.now += 3_600
    said(store, PORT)
    assert detector.look() == 0


def test_use_is_recorded_once_however_often_it_is_looked_for(
    store: Store, memories: dict[str, str], detector: UseDetector, clock: Clock
) -> None:
    recalled(store, [memories[PORT]])
    clock.now += 5
    said(store, PORT.upper())
    said(store, f"As noted: {PORT}")
    assert (detector.look(), detector.look()) == (1, 0)
    again = UseDetector(store, clock=clock, told=lambda agent, count: None)  # after a restart
    assert again.look() == 0
    assert len(used(store)) == 1


def test_a_recall_without_a_session_belongs_to_its_agent(
    store: Store, memories: dict[str, str], detector: UseDetector, clock: Clock
) -> None:
    recalled(store, [memories[PORT]], session=None)
    clock.now += 5
    said(store, PORT, session="s", agent="cursor")
    assert detector.look() == 0
    said(store, PORT, session="s", agent="claude")
    assert detector.look() == 1


def test_a_message_that_only_repeats_a_memory_used_that_one(
    store: Store, memories: dict[str, str], detector: UseDetector, clock: Clock
) -> None:
    recalled(store, [memories[PORT], memories[COLOUR]])
    clock.now += 5
    said(store, "", kind="reference", refers_to=(memories[COLOUR], "somebody else's"))
    assert detector.look() == 1
    assert used(store) == [(memories[COLOUR], ranker.QUOTED_STRENGTH)]


def test_what_was_said_of_it_does_not_hinder_what_was_seen(
    store: Store, memories: dict[str, str], detector: UseDetector, clock: Clock
) -> None:
    impression = recalled(store, [memories[PORT]])
    store.add_outcome(NewOutcome(impression, memories[PORT], "helped", "cli")).result()
    clock.now += 5
    said(store, PORT)
    assert detector.look() == 1
