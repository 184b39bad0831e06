"""What is stored: is it whole, and is every memory found by a question made from its own words.

A daemon that runs is asked, because it alone writes; without one the store is opened here, under the lock.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from penchant_daemon import lifecycle
from penchant_daemon.client import Client
from penchant_daemon.config import Config
from penchant_daemon.doctor.finding import Finding
from penchant_daemon.models import ModelError, open_embedder
from penchant_daemon.recall import Recall
from penchant_daemon.wire import MemoryOut, RecallRequest, RecallResponse, VerifyRequest
from penchant_store import Finding as StoreFinding
from penchant_store import MemoryRecord, Store

__all__ = ["DaemonStore", "FileStore", "Sample", "Stored", "check_recall", "check_store"]

PROBE_LIMIT = 20  # a message that was said many times may stand behind its own copies
PROBE_CHARS = 300
_WORD = re.compile(r"[^\W_]{3,}")
_MIN_WORDS = 3

_WHY = {
    "chain_broken": "events were changed, added or removed by something other than Penchant",
    "integrity": "the database file is damaged; parts of it may be lost",
    "items_missing": "these memories are never recalled",
    "items_damaged": "these memories are recalled wrongly: for other projects or times, or never",
    "items_stray": "recall looks for what does not exist any more",
    "words_missing": "these memories are never found by their words",
    "words_damaged": "memories are not found by their words",
    "words_stray": "words of what was erased are still in a file",
    "unreachable": "these memories are never found by their words",
    "trigrams_missing": "parts of their words find nothing until the daemon has indexed them",
    "trigrams_wrong": "parts of their words, and Chinese, Japanese and Korean, find nothing or something else",
    "trigrams_damaged": "parts of words, and Chinese, Japanese and Korean, find nothing",
    "trigrams_stray": "parts of what was erased are still in a file",
    "vectors_damaged": "these memories are found by their words, but not by their meaning",
    "vectors_missing": "the daemon computes it in the background while it runs",
}

Sample = Sequence[MemoryRecord | MemoryOut]


class Stored(Protocol):
    """What an examination asks of the store, whoever holds it: `DaemonStore` or `FileStore`."""

    def verify(self, sample: int | None, fix: bool) -> list[StoreFinding]:
        """The store's own proof; see `Store.verify`."""

    def sample(self, n: int, seed: int) -> Sample:
        """Up to `n` memories and episodes: the latest, and some of earlier sessions."""

    def recall(self, request: RecallRequest, agent: str) -> RecallResponse:
        """One recall, as that agent asks it."""


class DaemonStore:
    """The store behind a running daemon: everything passes the socket, as an assistant's requests do."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def verify(self, sample: int | None, fix: bool) -> list[StoreFinding]:
        found = self._client.verify(VerifyRequest(sample=sample, fix=fix))
        return [
            StoreFinding(each.code, each.severity, each.message, each.fix or "") for each in found.findings
        ]

    def sample(self, n: int, seed: int) -> Sample:
        recent = self._client.recent(limit=max(1, n)).memories
        sessions = self._client.sessions(limit=1_000).sessions
        chosen = random.Random(seed).sample(sessions, min(n, len(sessions)))
        earlier = []
        for session in chosen:
            events = self._client.session(session.id, limit=50).events
            said = [event for event in events if event.kind == "message" and event.content.strip()]
            earlier += [self._client.get_memory(event.id) for event in said[:1]]
        return _spread(recent, earlier, n)

    def recall(self, request: RecallRequest, agent: str) -> RecallResponse:
        return self._client.as_agent(agent).recall(request)


class FileStore:
    """The store's files, while no daemon runs."""

    def __init__(self, store: Store, config: Config, home: Path) -> None:
        self._store = store
        try:
            embedder = open_embedder(config, home)
        except ModelError:  # reported by the check of the models; words alone are proved here
            embedder = None
        self._recall = Recall(store, embedder)

    @classmethod
    @contextmanager
    def open(cls, home: Path, config: Config) -> Iterator[FileStore]:
        """The files of a data directory, for the time of the block; no daemon can start meanwhile.

        :raises LockHeld: a daemon was started.
        :raises StoreError: the files cannot be opened.
        """
        with lifecycle.Lock.acquire(home):
            store = Store.open(home)
            stored = cls(store, config, home)
            try:
                yield stored
            finally:
                stored._recall.close()
                store.close()

    def verify(self, sample: int | None, fix: bool) -> list[StoreFinding]:
        return self._store.verify(sample=sample, fix=fix)

    def sample(self, n: int, seed: int) -> Sample:
        recent = self._store.recent(max(1, n))
        sessions = self._store.sessions(1_000)
        chosen = random.Random(seed).sample(sessions, min(n, len(sessions)))
        earlier: list[MemoryRecord] = []
        for session in chosen:
            events = self._store.session_events(session.id, 50)
            said = [event for event in events if event.kind == "message" and event.content.strip()]
            earlier += [record for event in said[:1] if (record := self._store.memory(event.id))]
        return _spread(recent, earlier, n)

    def recall(self, request: RecallRequest, agent: str) -> RecallResponse:
        return self._recall.recall(request, agent)


def check_store(stored: Stored, *, sample: int | None, fix: bool) -> Iterator[Finding]:
    """The database files are whole, and rows, word index, vectors and the hash chain agree.

    :param sample: how many memories are looked up by their own words; None takes every one.
    :param fix: whether the store rebuilds what it can.
    """
    for found in stored.verify(sample, fix):
        yield Finding(
            found.code,
            found.severity,
            found.message,
            _WHY.get(found.code, "what is stored and what is found may differ"),
            found.fix or None,
            is_mended=False,
        )


def check_recall(stored: Stored, *, n: int, seed: int, say: Callable[[str], None]) -> Iterator[Finding]:
    """Memories are returned for questions made from their own words, by the way that assistants ask.

    :param n: how many are tried.
    :param say: told in words what was tried.
    """
    tried = 0
    missed = []
    without_vectors = None
    for record in stored.sample(n, seed):
        words = list(dict.fromkeys(word.lower() for word in _WORD.findall(record.content)))
        if len(words) < _MIN_WORDS:
            continue  # "ok, thanks": a question of these words has no one right answer
        request = RecallRequest(query=record.content[:PROBE_CHARS], limit=PROBE_LIMIT, min_relevance=0.0)
        answer = stored.recall(request, record.agent)
        tried += 1
        without_vectors = without_vectors or next(iter(answer.warnings), None)
        # Of texts that say the same, recall shows one.
        shown = {result.id for result in answer.results}
        texts = {_plain(result.content) for result in answer.results}
        if record.id not in shown and _plain(record.content) not in texts:
            missed.append(record.id)
    say(f"{tried - len(missed)} of {tried} memories were returned for questions made from their own words")
    if missed:
        yield Finding(
            "recall_misses",
            "error",
            f"{len(missed)} of {tried} memories are not among the first {PROBE_LIMIT} answers to a question "
            f"made from their own words: {', '.join(missed[:3])}",
            "what was remembered cannot be found again",
            "penchant reindex",
        )
    if without_vectors:
        yield Finding(
            "recall_by_words_alone",
            "warning",
            f"recall says: {without_vectors}",
            "what is said in other words than the question is missed",
            "penchant status",
        )


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _spread(recent: Sample, earlier: Sample, n: int) -> Sample:
    """Half from each, each memory once."""
    by_id = {record.id: record for record in earlier[: (n + 1) // 2]}
    for record in recent:
        if len(by_id) >= n:
            break
        by_id.setdefault(record.id, record)
    return list(by_id.values())
