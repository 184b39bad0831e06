"""The same answers without a socket: for tuning the ranking on data directories that were kept.

The store is opened in this process, brought up to date by the indexer, and asked through `Recall` itself. No
daemon may run on it. The baselines read vectors this way too, once the daemon that was measured has ended.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant_daemon.config import Config
from penchant_daemon.evaluation.datasets import Pool
from penchant_daemon.evaluation.errors import EvaluationError
from penchant_daemon.evaluation.front_door import Filled
from penchant_daemon.indexer import Indexer
from penchant_daemon.models import open_embedder
from penchant_daemon.models.embedder import OnnxEmbedder
from penchant_daemon.recall import Recall
from penchant_daemon.wire import RecallRequest, RecallResponse
from penchant_store import Store

__all__ = ["InProcess", "VectorsOf", "ids_in", "opened"]

_LOOK_S = 0.1


class InProcess:
    """Asks `Recall` directly.

    :param store: with all that recall reads of it.
    """

    def __init__(self, store: Store, embedder: OnnxEmbedder) -> None:
        self._recall = Recall(store, embedder, min_relevance=Config().recall.min_relevance)

    def recall(self, request: RecallRequest, agent: str) -> RecallResponse:
        """What is remembered about a query, best first."""
        return self._recall.recall(request, agent)

    def close(self) -> None:
        """End its threads."""
        self._recall.close()


class VectorsOf:
    """Cosines of a pool's texts to a question, by the vectors that the daemon had made of them.

    :param ids: the id of each text, in the pool's order.
    """

    def __init__(self, store: Store, embedder: OnnxEmbedder, ids: Sequence[str]) -> None:
        self._snapshot = store.index.snapshot()
        self._embedder = embedder
        every = np.arange(1, self._snapshot.n + 1)
        items = {record.id: record.item for record in store.records(every)}
        self._items = np.array([items.get(id_, 0) for id_ in ids], dtype=np.int64)
        self._has = self._snapshot.has_vectors(self._items) & (self._items > 0)

    def cosine(self, question: str) -> NDArray[np.float32]:
        """(n,) float32; -2 where a text has no vector."""
        cosine = self._snapshot.cosines(self._embedder.encode_query(question))
        return np.where(self._has, cosine[self._items], np.float32(-2.0)).astype(np.float32)


@contextlib.contextmanager
def opened(home: Path, *, is_indexed: bool = True) -> Iterator[tuple[Store, OnnxEmbedder]]:
    """The store of a data directory on which no daemon runs, and the embedder of its vectors.

    :param is_indexed: False lets the indexer follow first (after a change of stems, cues or vectors).
    :raises StoreLocked: a daemon has it.
    """
    store = Store.open(home)
    try:
        if not is_indexed:
            _catch_up(store, home)
        yield store, open_embedder(Config(), home)
    finally:
        store.close()


def ids_in(store: Store, pool: Pool) -> Filled:
    """The ids of a pool's texts in a store that was filled without a note of them.

    Turns are found by the keys that they were logged under, memories by their texts.

    :raises EvaluationError: some are not there.
    """
    ids: dict[str, str] = {}
    for session in dict.fromkeys(text.session for text in pool.texts if text.session):
        for event in store.session_events(session, 100_000):
            if event.source_key is not None:
                ids[event.source_key] = event.id
    if any(text.session is None for text in pool.texts):
        every = np.arange(1, store.index.snapshot().n + 1)
        by_text = {record.content: record.id for record in store.records(every) if not record.is_event}
        ids |= {
            text.key: by_text[text.text]
            for text in pool.texts
            if text.session is None and text.text in by_text
        }
    missing = [text.key for text in pool.texts if text.key not in ids]
    if missing:
        raise EvaluationError(
            f"{store.home} lacks {len(missing):,} of the {len(pool.texts):,} texts of {pool.name}",
            f"rm -r {store.home}, or another --keep",
        )
    return Filled({text.key: ids[text.key] for text in pool.texts})


def _catch_up(store: Store, home: Path) -> None:
    """What the daemon's indexer does in the background, waited for."""
    indexer = Indexer(
        store,
        home,
        Config().models.embedder,
        lambda name: open_embedder(Config(), home, name=name),
        cpu_share=1.0,
    )
    pause = threading.Event()
    indexer.start()
    try:
        while True:
            indexer.wake()
            progress = indexer.progress()
            if progress.done >= progress.total and progress.state == "idle":
                return
            if problems := indexer.problems():
                raise EvaluationError(problems[0].message, problems[0].fix)
            pause.wait(_LOOK_S)
    finally:
        indexer.stop()
