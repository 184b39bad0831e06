"""A data directory of its own for a benchmark, its daemon, and a store filled as fast as it goes."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from benchmarks.texts import Message, Writer
from penchant_daemon import lifecycle
from penchant_daemon.client import Client
from penchant_daemon.config import Config
from penchant_daemon.indexer import TEXTS_BY
from penchant_daemon.indexer import index_key as key_of
from penchant_daemon.models.registry import find_model
from penchant_daemon.wire import RecallRequest
from penchant_ranker import MAX_TOKENS, TOKEN_BITS, cues, stem_hashes
from penchant_store import IndexBatch, NewEvent, Ragged, Store

PENCHANT = Path(sys.executable).parent / "penchant"
BATCH = 2_000
DIM = 384


@contextlib.contextmanager
def own_home() -> Iterator[Path]:
    """A fresh data directory; its daemon is stopped and all of it removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pb-", dir="/tmp"))
    before = os.environ.get("PENCHANT_HOME")
    os.environ["PENCHANT_HOME"] = str(folder / "home")
    try:
        yield folder / "home"
    finally:
        lifecycle.stop(folder / "home")
        if before is None:
            del os.environ["PENCHANT_HOME"]
        else:
            os.environ["PENCHANT_HOME"] = before
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running(home: Path) -> Iterator[Client]:
    """A daemon on that data directory and a client of it; the daemon is stopped at the end."""
    lifecycle.start(home, timeout_s=60.0)
    try:
        with Client(home, agent="bench", autostart=False) as client:
            yield client
    finally:
        lifecycle.stop(home)


def wait_for_embedder(client: Client, timeout_s: float = 120.0) -> None:
    """Return when a recall ranks by vectors too; the first start of a machine exports the model."""
    deadline = time.monotonic() + timeout_s
    while client.recall(RecallRequest(query="is the embedder ready?", min_relevance=0.0)).warnings:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no embedder after {timeout_s:g} s: {client.status().models}")
        time.sleep(0.2)


def wait_until_indexed(client: Client, timeout_s: float = 1_800.0) -> float:
    """Seconds until nothing is left to index."""
    start = time.monotonic()
    while (index := client.status().index).done < index.total:
        if time.monotonic() - start > timeout_s:
            raise TimeoutError(f"{index.done} of {index.total} indexed after {timeout_s:g} s")
        time.sleep(0.25)
    return time.monotonic() - start


def wait_until_settled(client: Client, timeout_s: float = 60.0) -> None:
    """Return when the daemon has loaded its parts, so that its start is not measured with what follows."""
    deadline = time.monotonic() + timeout_s
    process = psutil.Process(client.status().pid)
    process.cpu_percent(None)
    while time.monotonic() < deadline:
        time.sleep(0.5)
        is_loaded = all(state == "ready" for state in client.status().mounts.values())
        if process.cpu_percent(None) < 5.0 and is_loaded:
            return
    raise TimeoutError(f"the daemon is still busy after {timeout_s:g} s")


def event_of(message: Message) -> NewEvent:
    """A made-up message as the store takes it."""
    return NewEvent(
        kind="message",
        role=message.role,
        content=message.content,
        session=message.session,
        project=message.project,
        agent="bench",
        occurred_at=message.occurred_at,
        channel="transcript",
    )


def fill(home: Path, n: int, seed: int, *, vectors: bool = True) -> list[str]:
    """Write `n` messages straight into the store with all that recall reads of them.

    Stems and cues are real; the vectors are random unit vectors, since 100,000 texts would take half an hour
    to embed and a scan of them costs the same.

    :return: the texts.
    """
    writer = Writer(seed)
    texts: list[str] = []
    home.mkdir(parents=True, mode=0o700, exist_ok=True)
    store = Store.open(home)
    try:
        messages = list(writer.messages(n))
        for start in range(0, n, BATCH):
            part = messages[start : start + BATCH]
            store.add_events([event_of(message) for message in part]).result()
            texts += [message.content for message in part]
        store.use_text_version(TEXTS_BY).result()
        while (items := store.unindexed(None, BATCH)).size:
            contents = store.texts(items)
            stems = [stem_hashes(content) for content in contents]
            offsets = np.concatenate(([0], np.cumsum([len(each) for each in stems]))).astype(np.int64)
            flags = np.array([int(cues(content)) for content in contents], dtype=np.uint32)
            words = Ragged(np.concatenate(stems).astype(np.uint32), offsets)
            store.write_index(None, IndexBatch(items, stems=words, cues=flags)).result()
        while (items := store.without_trigrams(BATCH)).size:
            store.write_trigrams(items).result()
        if vectors:
            _fill_vectors(store, index_key(home), np.random.default_rng(seed))
    finally:
        store.close()
    return texts


def index_key(home: Path) -> str:
    """The name of the index that the daemon reads vectors from."""
    return key_of(find_model(Config().models.embedder, "embedder", home))


def _fill_vectors(store: Store, key: str, random: np.random.Generator) -> None:
    while (items := store.unindexed(key, BATCH)).size:
        drawn = random.standard_normal((items.size, DIM)).astype(np.float32)
        pooled = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        # A text of a conversation keeps about as many tokens as it has stems.
        n_stems = np.diff(store.index.snapshot().stems(items).offsets)
        offsets = np.concatenate(([0], np.cumsum(np.minimum(n_stems, MAX_TOKENS)))).astype(np.int64)
        bits = random.integers(0, 256, (int(offsets[-1]), TOKEN_BITS // 8), dtype=np.uint8)
        batch = IndexBatch(items, pooled=pooled, h3=pooled, tokens=Ragged(bits, offsets))
        store.write_index(key, batch).result()
    store.use_index(key)


def rss_mb(pid: int) -> float:
    """Resident memory of a process in MB."""
    return float(psutil.Process(pid).memory_info().rss) / 2**20
