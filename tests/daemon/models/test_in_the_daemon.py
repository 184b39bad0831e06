"""Models as a person meets them: the real daemon, its command line, its status."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import psutil
import pytest
from tests.daemon.conftest import Daemon, running_daemon

from penchant_daemon.client import Client
from penchant_daemon.models.catalogue import DEFAULT_EMBEDDER, DEFAULT_LOCAL
from penchant_daemon.wire import EventIn, MemoryIn, RecallRequest, StatusOut
from penchant_ranker import FEATURES


class RunningDaemon(Protocol):
    """What these tests need of the `daemon` fixture."""

    @property
    def home(self) -> Path: ...
    @property
    def client(self) -> Client: ...
    @property
    def pid(self) -> int: ...
    @property
    def penchant(self) -> Callable[..., object]: ...


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon that writes titles."""
    with running_daemon(f'[models]\nlanguage_model = "{DEFAULT_LOCAL}"\n') as running:
        yield running


def until(claim: Callable[[], bool], timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    tick = threading.Event()
    while not claim():
        assert time.monotonic() < end, "it did not happen in time"
        tick.wait(0.1)


def worker_pid(daemon: RunningDaemon) -> int | None:
    for child in psutil.Process(daemon.pid).children():
        if "penchant_daemon.models.worker" in child.cmdline():
            return child.pid
    return None


def test_stored_text_is_embedded_and_a_reindex_rebuilds_it_while_recall_goes_on(
    daemon: RunningDaemon,
) -> None:
    daemon.client.remember([MemoryIn(content="The billing queue runs on Postgres.")])

    def is_indexed() -> bool:
        status: StatusOut = daemon.client.status()
        return status.index.state == "idle" and status.index.done == status.index.total > 0

    until(is_indexed)
    before = daemon.client.status()
    assert before.models["embedder"].name == DEFAULT_EMBEDDER
    assert before.models["embedder"].state == "ready"
    done = daemon.penchant("reindex", "--wait")
    assert getattr(done, "returncode", None) == 0, done
    after = daemon.client.status()
    assert after.index.model != before.index.model
    assert after.index.done == after.index.total
    found = daemon.client.recall(
        RecallRequest(query="Which database holds invoices waiting to be sent?", min_relevance=0.0)
    )
    assert found.results[0].content == "The billing queue runs on Postgres."
    assert found.warnings == []


CHAT = (
    ("Ann", "We spent the whole of Sunday in the workshop, sanding the old table."),
    ("Bo", "Sounds dusty! Was it the oak one?"),
    ("Ann", "Yes. Then I varnished it, twice, and my fingers still smell of it."),
    ("Bo", "The kids threw clay on the wheel and made three wobbly mugs."),
    ("Ann", "Lovely. Are they glazed yet?"),
    ("Bo", "Not before next week, the kiln is full."),
)


def token_rows(home: Path) -> set[bytes]:
    """All token vectors in the files of a data directory."""
    rows = (path.read_bytes() for path in (home / "index").rglob("tokens.data"))
    return {row[i : i + 48] for row in rows for i in range(0, len(row), 48)} - {bytes(48)}


def test_a_paraphrase_is_found_by_token_vectors_which_reindex_makes_anew_and_forgetting_erases(
    daemon: RunningDaemon,
) -> None:
    def is_indexed() -> bool:
        index = daemon.client.status().index
        return index.state == "idle" and index.done == index.total >= len(CHAT)

    daemon.client.log_events([EventIn(content=said, speaker=who, session="chat") for who, said in CHAT])
    until(is_indexed)
    asked = RecallRequest(query="Who did ceramics with children?", explain=True, min_relevance=0.0)
    found = daemon.client.recall(asked).results[0]
    assert found.content.startswith("The kids threw clay")
    features = {feature.name for feature in FEATURES}
    reasons = [reason for reason in found.reasons or () if reason.feature in features]
    assert max(reasons, key=lambda reason: reason.contribution).feature == "tokens_window"
    before = token_rows(daemon.home)
    assert len(before) > 4 * len(CHAT)
    done = daemon.penchant("reindex", "--wait")
    assert getattr(done, "returncode", None) == 0, done
    until(is_indexed)
    again = token_rows(daemon.home)
    assert len(again) == len(before)
    assert daemon.client.recall(asked).results[0].id == found.id
    daemon.client.forget([found.id])
    left = token_rows(daemon.home)
    gone = again - left
    assert 4 < len(gone) < 20 and left < again
    files = [path.read_bytes() for path in daemon.home.rglob("*") if path.is_file()]
    assert not any(row in data for row in gone for data in files)


def test_sessions_get_titles_and_a_killed_worker_is_replaced(daemon: RunningDaemon) -> None:
    def title_of(session: str) -> str | None:
        found = [each.title for each in daemon.client.sessions().sessions if each.id == session]
        return found[0] if found else None

    def log(session: str) -> None:
        text = "fix the login redirect loop, after the oauth callback the user lands on /login again"
        daemon.client.log_events(
            [
                EventIn(content=text, session=session),
                EventIn(kind="session_end", role="system", session=session),
            ]
        )

    log("first")
    until(lambda: title_of("first") is not None)
    assert "login redirect" in (title_of("first") or "").lower()
    status = daemon.client.status()
    assert status.models["language_model"].name == DEFAULT_LOCAL
    killed = worker_pid(daemon)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    log("second")
    until(lambda: title_of("second") is not None)
    assert worker_pid(daemon) not in (None, killed)
    assert [problem for problem in daemon.client.status().problems if problem.part == "worker"] == []
