"""A data set goes in and out as a person's own words do: a daemon, its socket, its routes.

The daemon runs on a data directory of its own, never on the person's.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from penchant_daemon import lifecycle
from penchant_daemon.client import Client
from penchant_daemon.config import CONFIG_NAME
from penchant_daemon.evaluation.datasets import Pool, Text
from penchant_daemon.evaluation.errors import EvaluationError
from penchant_daemon.home import home_dir
from penchant_daemon.wire import (
    EventIn,
    EventOut,
    MemoryIn,
    MemoryReceiptOut,
    RecallRequest,
    RecallResponse,
    utc_text,
)

__all__ = [
    "AGENT",
    "Asked",
    "Filled",
    "batches",
    "daemon_on",
    "fill",
    "filled",
    "first_answer",
    "is_by_words",
    "is_noted",
    "wait_for_embedder",
    "wait_for_index",
]

AGENT = "evaluation"
FILLED_NAME = "evaluation.json"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
# The first use of a model by a user exports it, which takes 10 s on a quiet machine.
EMBEDDER_TIMEOUT_S = 300.0
# Nothing moves for so long: something is wrong. A batch of vectors takes a second.
STALLED_S = 600.0
LOOK_S = 0.2
MAX_BATCH_TEXTS = 500
MAX_BATCH_CHARS = 2_000_000

# All of the background's share, since somebody waits for it; no titles, which no ranking reads. Nothing is learned from
# the questions: each is ranked as the first one was.
CONFIG = """\
[limits]
background_cpu_percent = 100
pause_on_battery = false

[models]
language_model = ""

[ranker]
learn = false
"""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of a pool's texts when they were stored.

    :param ids: the id of each key; keys that were recognised as one have the same id.
    :param n_duplicates: texts that were recognised as stored already, `n_references` as Penchant's own words
        (never recalled), `n_masked` secrets that were masked.
    """

    ids: Mapping[str, str]
    n_duplicates: int = 0
    n_references: int = 0
    n_masked: int = 0


class Asked(Protocol):
    """Whatever answers a question: a daemon by its socket, or the same code in this process."""

    def recall(self, request: RecallRequest, agent: str) -> RecallResponse:
        """What is remembered about a query, best first."""
        ...


class _BySocket:
    def __init__(self, client: Client) -> None:
        self._client = client

    def recall(self, request: RecallRequest, agent: str) -> RecallResponse:
        return self._client.as_agent(agent).recall(request)


def _refuse_own_home(folder: Path) -> None:
    """
    :raises EvaluationError: the folder is the person's data directory, or in it, or around it.
    """
    own, chosen = home_dir().resolve(), folder.resolve()
    if own == chosen or own in chosen.parents or (chosen in own.parents and (chosen / CONFIG_NAME).exists()):
        raise EvaluationError(
            f"{folder} is your own data directory ({own}); an evaluation never writes there",
            "name another folder with --keep",
        )


@contextlib.contextmanager
def daemon_on(home: Path, settings: str = CONFIG) -> Iterator[Client]:
    """A daemon on a data directory of its own and a client of it; stopped at the end, whatever happens.

    :param settings: its `config.toml`, where the directory has none yet.

    :raises HomeError: the path is too long for a socket, or cannot be written.
    """
    _refuse_own_home(home)
    lifecycle.prepare_home(home)
    config = home / CONFIG_NAME
    if not config.exists():
        config.write_text(settings, encoding="utf-8")
        config.chmod(0o600)
    try:
        _start(home)
        with Client(home, agent=AGENT, autostart=False) as client:
            yield client
    finally:
        lifecycle.stop(home, timeout_s=STOP_TIMEOUT_S)


def _start(home: Path) -> None:
    try:
        lifecycle.start(home, timeout_s=START_TIMEOUT_S)
    except (KeyboardInterrupt, SystemExit):
        # Ended while it starts: it takes its lock a moment later, and nobody else would stop it.
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while lifecycle.owner(home) is None and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        raise


def is_noted(home: Path) -> bool:
    """Whether a data directory is one that an evaluation fills, and says with what."""
    return (home / FILLED_NAME).exists()


def filled(home: Path, pool: Pool) -> Filled | None:
    """What an earlier run had put into a kept data directory; None when it is to be filled (anew).

    :raises EvaluationError: it holds something else.
    """
    if not is_noted(home):
        if not (home / "memory.db").exists():
            return None
        raise EvaluationError(
            f"{home} holds a store that is not of an evaluation", f"rm -r {home}, or another --keep"
        )
    note = json.loads((home / FILLED_NAME).read_text(encoding="utf-8"))
    if "ids" not in note:
        # The run that filled it was ended: what it had stored is half of what is needed, and ours.
        lifecycle.stop(home, timeout_s=STOP_TIMEOUT_S)
        shutil.rmtree(home)
        return None
    if note["texts"] != pool.digest:
        raise EvaluationError(f"{home} holds other texts than {pool.name} has", f"rm -r {home}")
    return Filled(note["ids"], note["n_duplicates"], note["n_references"], note["n_masked"])


def fill(client: Client, home: Path, pool: Pool, progress: Progress) -> Filled:
    """Send a pool's texts to the daemon, turns as events and the others as memories; they are on disk then.

    :param progress: told what is done, how much of it, and of how many.
    """
    _note(home, {"texts": pool.digest})
    ids: dict[str, str] = {}
    n_duplicates = n_references = n_masked = 0
    for batch in batches(pool.texts):
        for text, receipt in zip(batch, _sent(client, batch, ids), strict=True):
            ids[text.key] = receipt.id
            n_duplicates += receipt.status == "duplicate"
            n_references += receipt.status == "reference"
            n_masked += receipt.masked
        progress("stored", len(ids), len(pool.texts))
    done = Filled(ids, n_duplicates, n_references, n_masked)
    _note(home, {"texts": pool.digest, **asdict(done)})
    return done


def _sent(
    client: Client, batch: Sequence[Text], ids: Mapping[str, str]
) -> Sequence[EventOut | MemoryReceiptOut]:
    if batch[0].session is not None:
        return client.log_events([_event(text) for text in batch])
    return client.remember([_memory(text, ids) for text in batch])


def _note(home: Path, note: Mapping[str, object]) -> None:
    unfinished = home / f"{FILLED_NAME}.new"
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(note), encoding="utf-8")
    unfinished.replace(home / FILLED_NAME)


def first_answer(client: Client, pool: Pool) -> Asked:
    """The daemon, once it ranks by vectors too; this first answer is not timed.

    :raises EvaluationError: there is no embedder.
    """
    wait_for_embedder(client, pool.questions[0].text if pool.questions else "is the embedder ready?")
    return _BySocket(client)


def wait_for_embedder(client: Client, question: str) -> None:
    """Return when the daemon ranks a question by vectors too.

    :raises EvaluationError: there is no embedder.
    """
    deadline = time.monotonic() + EMBEDDER_TIMEOUT_S
    while warnings := client.recall(RecallRequest(query=question, limit=1)).warnings:
        if not any(is_by_words(warning) for warning in warnings):
            break
        state = client.status().models["embedder"]
        if state.state in ("missing", "corrupt", "failed") or time.monotonic() > deadline:
            raise EvaluationError(f"no embedder: {state.detail or state.state}", "penchant models list")
        time.sleep(LOOK_S)


def is_by_words(warning: str) -> bool:
    """Whether a warning says that vectors had no part in a ranking."""
    return warning.startswith("ranked by words alone")


def wait_for_index(client: Client, progress: Progress) -> None:
    """Return when everything that is stored has its words and vectors.

    :raises EvaluationError: nothing moves any more, or there is no embedder.
    """
    seen, since = -1, time.monotonic()
    while True:
        status = client.status()
        index = status.index
        progress("indexed", index.done, index.total)
        if index.done >= index.total and index.state in ("idle", "off"):
            return
        if index.state == "waiting" or status.models["embedder"].state in ("missing", "corrupt", "failed"):
            raise EvaluationError(f"no embedder: {index.detail}", "penchant models list")
        if index.done != seen:
            seen, since = index.done, time.monotonic()
        elif time.monotonic() - since > STALLED_S:
            raise EvaluationError(
                f"{index.done:,} of {index.total:,} indexed, and nothing moves: {index.state} {index.detail}"
            )
        time.sleep(LOOK_S)


def batches(texts: Sequence[Text]) -> Iterator[list[Text]]:
    """Runs of turns or of memories; what a memory replaces has its id before it is sent."""
    batch: list[Text] = []
    n_chars = 0
    for text in texts:
        is_other_kind = bool(batch) and (batch[0].session is None) != (text.session is None)
        waits = text.supersedes is not None and any(text.supersedes == one.key for one in batch)
        is_full = len(batch) == MAX_BATCH_TEXTS or n_chars + len(text.text) > MAX_BATCH_CHARS
        if batch and (is_other_kind or waits or is_full):
            yield batch
            batch, n_chars = [], 0
        batch.append(text)
        n_chars += len(text.text)
    if batch:
        yield batch


def _event(text: Text) -> EventIn:
    return EventIn(
        kind="message",
        role=text.role,
        content=text.text,
        session=text.session,
        project=text.project,
        speaker=text.speaker,
        occurred_at=_utc(text.occurred_at),
        channel="transcript",
        source_key=text.key,
    )


def _memory(text: Text, ids: Mapping[str, str]) -> MemoryIn:
    return MemoryIn(
        content=text.text,
        kind=text.kind,
        scope=text.scope,
        project=text.project,
        agent=text.agent,
        speaker=text.speaker,
        occurred_at=_utc(text.occurred_at),
        valid_from=_utc(text.valid_from),
        valid_to=_utc(text.valid_to),
        supersedes=None if text.supersedes is None else ids[text.supersedes],
    )


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else utc_text(moment)
