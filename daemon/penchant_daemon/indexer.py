"""
Follows what was stored with what recall needs: stems, cues, trigrams and vectors (all of it derived).

One thread. Words first, since they cost 0.1 ms an item, then vectors, 10 ms an item. New items wake it; a
single one is indexed within 0.1 s. It uses at most its share of a core, waits while the daemon's caps say so,
and lets recalls go first. A failure is logged, shown in the status and retried, ever more slowly.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant_daemon import config, memory
from penchant_daemon.errors import PenchantError
from penchant_daemon.logs import logger
from penchant_daemon.models.current import CurrentEmbedder
from penchant_daemon.models.embedder import CutText, Encodings, OnnxEmbedder
from penchant_daemon.models.errors import ModelError, ModelMissing
from penchant_daemon.models.registry import Model, find_model, list_models
from penchant_daemon.pace import CpuShare, RecallGate, idle_executor
from penchant_daemon.wire import IndexOut, ModelOut, Problem
from penchant_ranker import (
    CUES_VERSION,
    ENCODE_VERSION,
    LATE_VERSION,
    TEXT_VERSION,
    cues,
    embedded_text,
    stem_hashes,
)
from penchant_store import IndexBatch, MemoryRecord, Ragged, Store, StoreError

__all__ = ["TEXTS_BY", "Indexer", "index_key"]

WORDS_BATCH = 256
VECTORS_BATCH = 32
# What of a long text is cut into stems and looked at for cues; all its words are findable through FTS5.
MAX_STEMMED_CHARS = 100_000
IDLE_LOOK_S = 5.0  # should a wake-up be missed
PAUSE_LOOK_S = 2.0
MAX_WAIT_FOR_IMPORT_S = 2.0  # per batch: one that never ends must not stop the index either
MAX_WAIT_FOR_RECALLS_S = 0.25  # per batch; a hundred recalls a second must not stop the index for ever
WRITE_TIMEOUT_S = 60.0
PREPARE_WAIT_S = 1.0  # for the next embedder; its first export takes 10 s, in which new items are indexed
TRIM_AFTER_BATCHES = 8  # of vectors: then the memory that they took is given back once there is a rest
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0

#: In which way stems and cues are computed; the store forgets those of another way.
TEXTS_BY = f"t{TEXT_VERSION}-c{CUES_VERSION}"

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class _Plan:
    """An index that shall be filled and then take the place of the one in use."""

    model: str  # name of the embedder
    key: str  # name of the index


class Indexer:
    """
    The indexing thread and the embedder that it shares with recall.

    :param home: for the config, in which the choice of another embedder is kept.
    :param load: opens an embedder by name (`models.open_embedder`).
    :param why_paused: says why background work waits, or None; asked between batches.
    :param cpu_share: of one core, 0 to 1.
    """

    def __init__(
        self,
        store: Store,
        home: Path,
        model: str,
        load: Callable[[str], OnnxEmbedder],
        *,
        why_paused: Callable[[], str | None] = lambda: None,
        cpu_share: float = 0.5,
    ) -> None:
        self._store = store
        self._home = home
        self._wanted = model
        self._load = load
        self._why_paused = why_paused
        self._cpu = CpuShare(cpu_share)
        self.gate = RecallGate()
        self.embedder = CurrentEmbedder(self._model_of_index(store.index_in_use()) or model, load)
        self._thread: threading.Thread | None = None
        self._idle: ThreadPoolExecutor | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._plan: _Plan | None = None  # one reference, so that the thread never sees half of a change
        self._next: CurrentEmbedder | None = None  # the embedder that shall replace the present one
        self._state = "off"
        self._detail: str | None = None
        self._error: Exception | None = None
        self._retry_s = FIRST_RETRY_S
        self._is_version_said = False  # in which way stems and cues are computed
        self._one_by_one = False
        self._look_for_trigrams = True  # looking costs 30 ms at 100,000 items: once, then after new words
        self._skipped: set[int] = set()
        self._lacking: str | None = None  # why there is no embedder
        self._n_batches = 0
        self._may_wait_s = MAX_WAIT_FOR_RECALLS_S
        self._in_work: frozenset[int] = frozenset()
        self._written: dict[str, frozenset[int]] = {}

    def start(self) -> None:
        """Begins to index, at once with what is still missing."""
        if self._thread is None:
            self._stopping.clear()
            self._idle = idle_executor("embed")
            self._thread = threading.Thread(target=self._run, name="indexer", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Ends after the batch in work (0.3 s); what is missing is indexed after the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None
        if self._idle is not None:
            self._idle.shutdown(wait=False, cancel_futures=True)
            self._idle = None

    def wake(self) -> None:
        """Says that items were stored; costs nothing."""
        self._wake.set()

    def reindex(self, model: str | None = None) -> tuple[str, int]:
        """
        Embeds everything anew in the background; recall uses the old vectors until all new ones are there.

        :param model: name of the embedder from now on, kept in the config; None keeps the present one.
        :return: its name, and how many items will be embedded.
        :raises ModelMissing: there is no such embedder here.
        :raises ConfigError: the choice can't be written down.
        """
        chosen = find_model(model or self._wanted, "embedder", self._home).name
        if model is not None:
            config.set_value(self._home, "models.embedder", chosen)
        self._wanted = chosen
        self.embedder.retry()
        if self._store.index_in_use() is None:  # nothing is replaced: the vectors to come are of this model
            self.embedder.choose(chosen)
        if self._next is not None:
            self._next.retry()
        self._plan = plan = _Plan(chosen, self._fresh_key(chosen))
        self._wake.set()
        log.info("reindex_requested", model=chosen, index=plan.key)
        return chosen, self._store.counts().items

    def progress(self) -> IndexOut:
        """How far the vectors are, and what the thread does."""
        key = self._plan.key if self._plan is not None else self._key_in_use()
        done, total = self._store.index_progress(key) if key else (0, self._store.counts().items)
        state = self._state
        if self._plan is not None and state == "idle":  # asked for, and not begun yet
            state = "reindexing"
        return IndexOut(model=key, done=done, total=total, state=state, detail=self._detail)

    def model_status(self) -> ModelOut:
        """The embedder that recall uses now."""
        error = self.embedder.error
        return ModelOut(
            name=self.embedder.model, state=self.embedder.state, detail=error.message if error else None
        )

    def problems(self) -> list[Problem]:
        """What a person should know: no embedder, a reindex that can't go on, items that were left out."""
        found = []
        if (error := self.embedder.error) is not None:
            message = f"{error.message}; recall goes on by words"
            found.append(Problem(part="embedder", message=message, fix=error.hint))
        if self._next is not None and (error := self._next.error) is not None:
            message = f"{error.message}; recall goes on with {self.embedder.model}"
            found.append(Problem(part="embedder", message=message, fix=error.hint))
        if self._error is not None:
            message = f"indexing stopped and is tried again: {_said(self._error)}"
            found.append(Problem(part="index", message=message, fix="penchant logs shows more"))
        if self._skipped:
            message = f"{len(self._skipped)} items could not be indexed; they are found by words only"
            found.append(Problem(part="index", message=message, fix="penchant doctor --fix"))
        return found

    # ---- the thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                worked = self._round()
            except Exception as error:  # noqa: BLE001 (outermost loop: whatever it was is said and tried again)
                self._failed(error)
                self._stopping.wait(self._retry_s)
                self._retry_s = min(2 * self._retry_s, LAST_RETRY_S)
                continue
            self._error, self._retry_s = None, FIRST_RETRY_S
            if not worked and self._n_batches >= TRIM_AFTER_BATCHES:
                self._n_batches = 0
                memory.trim()
            if not worked and not self._stopping.is_set():
                self._wake.wait(PAUSE_LOOK_S if self._state == "paused" else IDLE_LOOK_S)
        self._say("off")

    def _round(self) -> bool:
        """One batch of whatever is most urgent. Returns whether there was anything to do."""
        reason = self._why_paused()
        if reason is not None:
            self._say("paused", reason)
            return False
        if not self._is_version_said:
            if self._store.use_text_version(TEXTS_BY).result(WRITE_TIMEOUT_S):
                log.info("texts_indexed_anew", version=TEXTS_BY)
            self._is_version_said = True
        return self._index_words() or self._index_trigrams() or self._index_vectors() or self._rebuild()

    def _index_words(self) -> bool:
        items = self._due(None, WORDS_BATCH)
        if not len(items):
            return False
        self._say("indexing")
        started = time.thread_time()
        stems: list[NDArray[np.uint32]] = []
        flags = np.zeros(len(items), dtype=np.uint32)
        for row, text in enumerate(self._store.texts(items)):
            self._let_recalls_go_first()
            stems.append(stem_hashes(text[:MAX_STEMMED_CHARS]))
            flags[row] = int(cues(text[:MAX_STEMMED_CHARS]))
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in stems])]).astype(np.int64)
        data = np.concatenate(stems).astype(np.uint32)
        self._write(None, IndexBatch(items, stems=(data, offsets), cues=flags))
        self._look_for_trigrams = True
        self._rest(time.thread_time() - started)
        return True

    def _index_trigrams(self) -> bool:
        if not self._look_for_trigrams:
            return False
        items = self._store.without_trigrams((1 if self._one_by_one else WORDS_BATCH) + len(self._skipped))
        items = self._without_skipped("trigrams", items)
        self._in_work = frozenset(items.tolist())
        if not len(items):
            self._look_for_trigrams = False
            return False
        self._say("indexing")
        started = time.thread_time()
        self._store.write_trigrams(items).result(WRITE_TIMEOUT_S)
        self._remember("trigrams", items)
        self._rest(time.thread_time() - started)
        return True

    def _index_vectors(self) -> bool:
        """Vectors for the index in use. Without an embedder there are none, and recall goes on by words."""
        key = self._key_in_use()
        if key is None:
            return False
        items = self._due(key, VECTORS_BATCH)
        if not len(items):
            return False
        try:
            embedder = self.embedder.get()
        except ModelError as error:
            if self._lacking is None:
                log.warning("embedder_unusable", model=self.embedder.model, error=type(error).__name__)
            self._lacking = error.message
            return False
        self._lacking = None
        self._say("indexing")
        self._embed(key, items, embedder)
        return True

    def _rebuild(self) -> bool:
        """One batch of the index that shall replace the one in use; exchanges them when it is complete."""
        plan = self._plan or self._replacement()
        if plan is None:
            self._say("idle" if self._lacking is None else "waiting", self._lacking)
            return False
        try:
            embedder = self._embedder_of(plan).get(PREPARE_WAIT_S)
        except ModelError as error:
            self._say("waiting", error.message)
            return False
        items = self._due(plan.key, VECTORS_BATCH)
        if not len(items):
            self._exchange(plan, embedder)
            return True
        done, total = self._store.index_progress(plan.key)
        self._say("reindexing", f"{done:,} of {total:,} by {plan.model}")
        self._embed(plan.key, items, embedder)
        return True

    # ---- indexes and their names

    def _key_in_use(self) -> str | None:
        """The index that recall reads; when there is none yet, the one that the embedder will fill."""
        found = self._store.index_in_use()
        return found if found is not None else self._base_key(self.embedder.model)

    def _base_key(self, model: str) -> str | None:
        """The name of a model's index, without a generation; None when the model is not here."""
        try:
            found = find_model(model, "embedder", self._home)
        except ModelMissing:
            return None
        return index_key(found)

    def _fresh_key(self, model: str) -> str:
        base, in_use = self._base_key(model), self._store.index_in_use()
        if base is None:
            raise ModelMissing(f"there is no model named {model} here", "penchant models list")
        if in_use is None or in_use.partition("~")[0] != base:
            return base
        generation = int(in_use.partition("~")[2] or 0)
        return f"{base}~{generation + 1}"

    def _model_of_index(self, key: str | None) -> str | None:
        """The embedder that filled an index, if it is still here."""
        for model in list_models(self._home) if key is not None else []:
            if model.kind == "embedder" and key is not None and key.startswith(f"{model.index_name}-t"):
                return model.name
        return None

    def _replacement(self) -> _Plan | None:
        """The index that the config asks for, when another one is in use."""
        in_use, model = self._store.index_in_use(), self._wanted
        wanted = self._base_key(model)
        if in_use is None or wanted is None or in_use.partition("~")[0] == wanted:
            return None
        return _Plan(model, wanted)

    def _embedder_of(self, plan: _Plan) -> CurrentEmbedder:
        if plan.model == self.embedder.model:
            return self.embedder
        if self._next is None or self._next.model != plan.model:
            self._next = CurrentEmbedder(plan.model, self._load)
        return self._next

    def _exchange(self, plan: _Plan, embedder: OnnxEmbedder) -> None:
        old = self._store.index_in_use()
        is_empty = self._store.index_progress(plan.key)[1] == 0
        with self.gate.closed():  # no query is encoded by one model and compared with vectors of another
            if not is_empty:
                self._store.use_index(plan.key)
            self.embedder.use(plan.model, embedder)
        self._next = None
        if self._plan == plan:
            self._plan = None
        if old is not None and (old != plan.key or is_empty):
            self._store.drop_index(old)
        log.info("reindexed", model=plan.model, index=plan.key, replaced=old)

    # ---- one batch

    def _embed(self, key: str, items: NDArray[np.int64], embedder: OnnxEmbedder) -> None:
        started = time.thread_time()
        texts = []
        for record in self._store.records(items):
            self._let_recalls_go_first()
            texts.append(embedder.cut_document(_text_to_embed(record)))
        self._n_batches += 1
        own_s = time.thread_time() - started
        found, cpu_s = self._encode(embedder, texts)
        offsets = np.concatenate([[0], np.cumsum([len(bits) for bits in found.bits])]).astype(np.int64)
        batch = IndexBatch(
            items,
            pooled=found.pooled,
            # A model whose sentence vectors have another width than its layers has no place for them in the store.
            h3=found.h3 if found.h3.shape == found.pooled.shape else None,
            tokens=Ragged(np.concatenate(found.bits), offsets),
        )
        self._write(key, batch)
        self._rest(own_s + cpu_s)

    def _encode(self, embedder: OnnxEmbedder, texts: list[CutText]) -> tuple[Encodings, float]:
        assert self._idle is not None

        def work() -> tuple[Encodings, float]:
            before = time.thread_time()
            return embedder.encode_cut(texts), time.thread_time() - before

        return self._idle.submit(work).result()

    def _due(self, key: str | None, limit: int) -> NDArray[np.int64]:
        """The next items without stems (key None) or vectors; one at a time after a failure."""
        limit = 1 if self._one_by_one else limit
        items = self._store.unindexed(key, limit + len(self._skipped))
        items = self._without_skipped(key or "words", items)[:limit]
        self._in_work = frozenset(items.tolist())
        return items

    def _without_skipped(self, column: str, items: NDArray[np.int64]) -> NDArray[np.int64]:
        # Written just now and due again: the store could not keep it. Going on would turn in circles.
        stuck = self._written.get(column, frozenset()).intersection(items.tolist()) - self._skipped
        if stuck:
            log.error("items_stay_unindexed", column=column, items=sorted(stuck)[:10], n_items=len(stuck))
            self._skipped |= stuck
        if not self._skipped:
            return items
        return items[~np.isin(items, list(self._skipped))]

    def _remember(self, column: str, items: NDArray[np.int64]) -> None:
        self._written[column] = frozenset(items.tolist())
        self._one_by_one = False

    def _write(self, key: str | None, batch: IndexBatch) -> None:
        self._store.write_index(key, batch).result(WRITE_TIMEOUT_S)
        self._remember(key or "words", np.asarray(batch.items, dtype=np.int64))

    def _rest(self, cpu_s: float) -> None:
        pause_s = self._cpu.spend(cpu_s)
        if pause_s > 0:
            self._stopping.wait(pause_s)
        self._let_imports_go_first()
        self._may_wait_s = MAX_WAIT_FOR_RECALLS_S
        self._let_recalls_go_first()

    def _let_imports_go_first(self) -> None:
        """Waits while many events are stored: words are found at once, the rest would take half of an import's time."""
        began = time.monotonic()
        while self.gate.is_filling and time.monotonic() - began < MAX_WAIT_FOR_IMPORT_S:
            if self._stopping.wait(0.05):
                return

    def _let_recalls_go_first(self) -> None:
        """Waits while recalls run, but not longer per batch than MAX_WAIT_FOR_RECALLS_S."""
        if self._may_wait_s > 0 and not self.gate.is_quiet:
            began = time.monotonic()
            self.gate.wait_until_quiet(self._may_wait_s)
            self._may_wait_s -= time.monotonic() - began

    def _failed(self, error: Exception) -> None:
        log.exception("indexing_failed", retry_s=self._retry_s)
        self._error = error
        self._say("retrying", _said(error))
        if isinstance(error, (StoreError, PenchantError, OSError)):
            return
        # Something in the batch may be what breaks it: go through it one by one, and leave out the culprit.
        if len(self._in_work) == 1:
            self._skipped |= self._in_work
            log.error("item_left_out", item=min(self._in_work))
        self._one_by_one = len(self._in_work) > 1

    def _say(self, state: str, detail: str | None = None) -> None:
        self._state, self._detail = state, detail


def index_key(model: Model) -> str:
    """The name of a model's index: vectors of two models, of two ways to word an item, or of two ways to keep its
    tokens never share one."""
    return f"{model.index_name}-t{ENCODE_VERSION}-k{LATE_VERSION}"


def _text_to_embed(record: MemoryRecord) -> str:
    """A message with who said it and when, also one kept as a memory with its speaker; other memories bare."""
    speaker = (record.speaker or record.role) if record.is_event else record.speaker
    occurred_at = int(datetime.fromisoformat(record.occurred_at).timestamp())
    return embedded_text(
        record.content,
        speaker=speaker,
        occurred_at=occurred_at,
        cues=int(cues(record.content[:MAX_STEMMED_CHARS])),
    )


def _said(error: Exception) -> str:
    """An error in words that hold nothing of what was being indexed."""
    if isinstance(error, (StoreError, PenchantError, OSError)):
        return str(error)
    return type(error).__name__
