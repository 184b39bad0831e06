"""The indexer with the real store and the real packaged model."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from penchant_daemon import config
from penchant_daemon.indexer import TEXTS_BY, Indexer
from penchant_daemon.models import ModelMissing, OnnxEmbedder, open_embedder
from penchant_daemon.models.catalogue import DEFAULT_EMBEDDER, PACKAGED
from penchant_daemon.models.embedder import CutText
from penchant_daemon.models.files import sha256_of
from penchant_daemon.models.open import embedder_key
from penchant_daemon.models.registry import PulledRecord, pulled_dir, write_record
from penchant_ranker import ENCODE_VERSION, Cue, stem, stem_hash
from penchant_store import IndexBatch, ItemFilter, NewEvent, NewMemory, Store

DEADLINE_S = 90.0  # an export alone takes 20 s on a busy machine


@pytest.fixture
def store(short_path: Path) -> Iterator[Store]:
    found = Store.open(short_path)
    yield found
    found.close()


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> OnnxEmbedder:
    return open_embedder(config.Config(), tmp_path_factory.mktemp("home"))


@pytest.fixture
def start(store: Store, short_path: Path, embedder: OnnxEmbedder) -> Iterator[Callable[..., Indexer]]:
    started: list[Indexer] = []

    def make(
        load: Callable[[str], OnnxEmbedder] = lambda _: embedder,
        why_paused: Callable[[], str | None] = lambda: None,
        model: str = DEFAULT_EMBEDDER,
    ) -> Indexer:
        indexer = Indexer(store, short_path, model, load, why_paused=why_paused, cpu_share=1.0)
        started.append(indexer)
        indexer.start()
        return indexer

    yield make
    for indexer in started:
        indexer.stop()


TINY = "someone/tiny"
MAKE_TINY = """
import sys, shutil, torch
from pathlib import Path
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel
source, target = Path(sys.argv[1]), Path(sys.argv[2])
shutil.copytree(source, target, ignore=shutil.ignore_patterns("model.safetensors", "data_config.json"))
torch.manual_seed(3)
shape = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
BertModel(BertConfig(vocab_size=30522, **shape)).save_pretrained(target)
pooling = target / "1_Pooling" / "config.json"
pooling.write_text(pooling.read_text().replace("384", "32"))
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 32 dimensions with random weights, as a pulled model lies on disk."""
    folder = tmp_path_factory.mktemp("tiny") / "someone--tiny@01234567"
    command = [sys.executable, "-c", MAKE_TINY, str(PACKAGED[0].locate()), str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    files = [path for path in folder.rglob("*") if path.is_file()]
    hashes = {str(path.relative_to(folder)): sha256_of(path) for path in files}
    record = PulledRecord(
        TINY, "embedder", "0" * 40, "model.safetensors", hashes, True, "2026-11-24T00:00:00Z"
    )
    write_record(folder, record)
    return folder


def until(claim: Callable[[], bool]) -> None:
    """Returns when the claim holds; fails when it doesn't within the deadline."""
    end = time.monotonic() + DEADLINE_S
    tick = threading.Event()
    while not claim():
        assert time.monotonic() < end, "it did not happen in time"
        tick.wait(0.005)


def differing_bits(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    """The most bits in which two rows differ; a value next to 0 may fall to either side in another batch."""
    return int(np.bitwise_count(one ^ other).sum(axis=1).max())


def is_complete(store: Store) -> bool:
    counts = store.counts()
    return counts.indexed == counts.embedded == counts.trigrams == counts.items > 0


def remember(store: Store, *texts: str) -> None:
    store.add_memories([NewMemory(text) for text in texts]).result()


def test_what_is_stored_gets_stems_cues_trigrams_and_a_vector(
    store: Store, start: Callable[..., Indexer], embedder: OnnxEmbedder
) -> None:
    remember(store, "The queue runs on Postgres.", "When do we paint the kitchen?")
    indexer = start()
    until(lambda: is_complete(store))
    snapshot = store.index.snapshot()
    items = np.arange(1, 3)
    assert snapshot.has_stems(items).all()
    assert snapshot.document_frequency([stem_hash(stem("painting"))]).tolist() == [1]
    flags = dict(zip(store.texts(items), snapshot.cues(items).tolist(), strict=True))
    assert Cue.ASKS & flags["When do we paint the kitchen?"]
    cosines = snapshot.cosines(embedder.encode_query("Which database holds the queue?"))
    best = int(np.argmax(cosines))
    assert store.texts(np.array([best])) == ["The queue runs on Postgres."]
    assert len(store.candidates_by_trigrams(["ostgre"], 10, ItemFilter()).items) == 1
    until(lambda: indexer.progress().state == "idle")
    progress = indexer.progress()
    assert (progress.done, progress.total) == (2, 2)
    assert progress.model == store.index_in_use()
    assert indexer.model_status().state == "ready"
    assert indexer.problems() == []


def test_a_message_is_embedded_with_its_speaker_and_date(
    store: Store, start: Callable[..., Indexer], embedder: OnnxEmbedder
) -> None:
    event = NewEvent(
        kind="message", role="user", content="I painted a sunrise.", session="s", speaker="Melanie",
        occurred_at="2023-05-08T13:56:00.000Z",
    )  # fmt: skip
    store.add_events([event]).result()
    start()
    until(lambda: is_complete(store))
    expected = embedder.encode(["Melanie (1:56 pm on 8 May, 2023): I painted a sunrise."]).pooled[0]
    assert float(store.index.snapshot().pooled(np.array([1]))[0] @ expected) > 0.9999


def test_a_new_memory_is_indexed_at_once_when_woken(store: Store, start: Callable[..., Indexer]) -> None:
    remember(store, "first")
    indexer = start()
    until(lambda: is_complete(store) and indexer.progress().state == "idle")
    remember(store, "The deploy key lives in the vault.")
    began = time.monotonic()
    indexer.wake()
    until(lambda: is_complete(store))
    assert time.monotonic() - began < 2.0  # 0.1 s on a machine at rest; far under the look every 5 s


def test_a_megabyte_of_text_and_odd_characters_are_indexed(
    store: Store, start: Callable[..., Indexer]
) -> None:
    remember(store, "word " * 200_000, "\U0001f600", "数据库在哪里", "?", "a" * 5_000)
    indexer = start()
    until(lambda: is_complete(store))
    assert indexer.problems() == []


def test_it_waits_while_the_caps_say_so_and_says_why(store: Store, start: Callable[..., Indexer]) -> None:
    reason: list[str] = ["the machine runs on its battery"]
    remember(store, "first")
    indexer = start(why_paused=lambda: reason[0] if reason else None)
    until(lambda: indexer.progress().state == "paused")
    assert indexer.progress().detail == "the machine runs on its battery"
    assert store.counts().indexed == 0
    reason.clear()
    indexer.wake()
    until(lambda: is_complete(store))


def test_it_lets_a_recall_go_first(store: Store, start: Callable[..., Indexer]) -> None:
    remember(store, *(f"note number {i}" for i in range(200)))
    indexer = start()
    with indexer.gate:
        assert not indexer.gate.is_quiet
    until(lambda: is_complete(store))
    assert indexer.gate.is_quiet


def test_without_an_embedder_words_are_indexed_and_the_lack_is_said(
    store: Store, start: Callable[..., Indexer], embedder: OnnxEmbedder
) -> None:
    is_there = threading.Event()

    def load(name: str) -> OnnxEmbedder:
        if not is_there.is_set():
            raise ModelMissing("torch is not installed", "pip install torch")
        return embedder

    remember(store, "The queue runs on Postgres.")
    indexer = start(load)
    until(lambda: indexer.progress().state == "waiting")
    assert store.counts().indexed == 1
    assert store.counts().embedded == 0
    problem = indexer.problems()[0]
    assert problem.part == "embedder"
    assert problem.fix == "pip install torch"
    assert indexer.model_status().state == "missing"
    is_there.set()
    indexer.embedder.retry()
    indexer.wake()
    until(lambda: is_complete(store))
    assert indexer.problems() == []


def test_one_item_that_breaks_the_model_does_not_stop_the_others(
    store: Store, start: Callable[..., Indexer], embedder: OnnxEmbedder
) -> None:
    class Fragile(OnnxEmbedder):
        """The real model, which fails on one word."""

        def __init__(self) -> None:
            self.__dict__.update(embedder.__dict__)

        def cut_document(self, text: str) -> CutText:
            if "poison" in text:
                raise RuntimeError("boom: " + text)
            return super().cut_document(text)

    remember(store, "one", "the poison", "two", "three")
    indexer = start(lambda _: Fragile())
    until(lambda: store.counts().embedded == 3 and indexer.progress().state == "idle")
    messages = [problem.message for problem in indexer.problems()]
    assert messages == ["1 items could not be indexed; they are found by words only"]
    remember(store, "four")
    indexer.wake()
    until(lambda: store.counts().embedded == 4)


def test_reindex_builds_new_vectors_beside_the_old_ones_and_exchanges_them(
    store: Store, start: Callable[..., Indexer], embedder: OnnxEmbedder
) -> None:
    remember(store, *(f"note number {i} about the queue" for i in range(70)))
    indexer = start()
    until(lambda: is_complete(store) and indexer.progress().state == "idle")
    old = store.index_in_use()
    assert indexer.reindex() == (DEFAULT_EMBEDDER, 70)
    until(lambda: store.index_in_use() != old and indexer.progress().state == "idle")
    new = store.index_in_use()
    assert new is not None and old is not None
    assert new.startswith(old)
    assert store.index_progress(new) == (70, 70)
    assert store.index_progress(old) == (0, 70)  # its files are gone
    assert float(store.index.snapshot().cosines(embedder.encode_query("the queue")).max()) > 0.3
    assert indexer.reindex() == (DEFAULT_EMBEDDER, 70)
    until(lambda: store.index_in_use() not in (old, new) and indexer.progress().state == "idle")


def test_reindex_makes_the_token_vectors_anew(
    store: Store, start: Callable[..., Indexer], embedder: OnnxEmbedder
) -> None:
    texts = [f"note number {i} about the queue" for i in range(40)]
    remember(store, *texts)
    indexer = start()
    until(lambda: is_complete(store) and indexer.progress().state == "idle")
    items = np.arange(1, 41)
    before = store.index.snapshot().tokens(items)
    expected = embedder.encode(store.texts(items)).bits
    assert np.diff(before.offsets).tolist() == [len(bits) for bits in expected]
    assert differing_bits(before.bits, np.concatenate(expected)) <= 8
    old = store.index_in_use()
    indexer.reindex()
    until(lambda: store.index_in_use() != old and indexer.progress().state == "idle")
    after = store.index.snapshot().tokens(items)
    assert after.offsets.tolist() == before.offsets.tolist()
    assert differing_bits(after.bits, before.bits) <= 8


def test_a_store_without_token_vectors_gets_them_in_the_background_while_its_old_vectors_answer(
    store: Store, start: Callable[..., Indexer], embedder: OnnxEmbedder
) -> None:
    """An index of the release before token vectors, as that release wrote it."""
    remember(store, *(f"note number {i} about the queue" for i in range(70)))
    old = f"{embedder.name}-t{ENCODE_VERSION}"
    items = store.unindexed(old, 100)
    found = embedder.encode(store.texts(items))
    store.write_index(old, IndexBatch(items, pooled=found.pooled, h3=found.h3)).result()
    store.use_index(old)
    assert len(store.index.snapshot().tokens(items).bits) == 0
    indexer = start()
    seen_old = float(store.index.snapshot().cosines(embedder.encode_query("the queue")).max())
    until(lambda: store.index_in_use() != old and indexer.progress().state == "idle")
    assert seen_old > 0.3
    tokens = store.index.snapshot().tokens(items)
    assert (np.diff(tokens.offsets) > 0).all()
    assert indexer.embedder.model == DEFAULT_EMBEDDER
    assert store.index_progress(old) == (0, 70)


def test_what_another_version_computed_of_texts_is_computed_anew_once(
    store: Store, start: Callable[..., Indexer]
) -> None:
    """Stems and cues of another version, in a store that has had its vectors for long."""
    remember(store, "We met in Lisbon.", "The heron nests by the lake.")
    start().stop()
    until(lambda: store.counts().items == 2)
    store.use_text_version("t0-c0").result()
    wrong = IndexBatch(
        np.array([1, 2]),
        stems=(np.array([7, 7], dtype=np.uint32), np.array([0, 1, 2])),
        cues=np.array([1, 1], dtype=np.uint32),
    )
    store.write_index(None, wrong).result()
    assert store.index.snapshot().document_frequency([7]).tolist() == [2]
    indexer = start()
    until(lambda: is_complete(store) and indexer.progress().state == "idle")
    snapshot = store.index.snapshot()
    assert snapshot.document_frequency([7, stem_hash("heron")]).tolist() == [0, 1]
    flags = dict(zip(store.texts([1, 2]), snapshot.cues([1, 2]).tolist(), strict=True))
    assert Cue.NAMES & flags["We met in Lisbon."]
    assert not store.use_text_version(TEXTS_BY).result()  # nothing is forgotten at the next start
    assert snapshot.n_stemmed == 2


def test_what_is_forgotten_leaves_no_token_vectors_in_the_files(
    store: Store, start: Callable[..., Indexer], short_path: Path
) -> None:
    remember(store, "The heron nests by the lake.", "Falcon deploys on Thursdays.")
    indexer = start()
    until(lambda: is_complete(store) and indexer.progress().state == "idle")
    snapshot = store.index.snapshot()
    rows = {text: snapshot.tokens([item]).bits for item, text in enumerate(store.texts([1, 2]), 1)}
    kept, gone = rows["Falcon deploys on Thursdays."], rows["The heron nests by the lake."]
    files = [path for path in (short_path / "index").rglob("tokens.data")]
    assert any(gone[0].tobytes() in path.read_bytes() for path in files)
    record = next(r for r in store.records([1, 2]) if r.content.startswith("The heron"))
    store.forget([record.id]).result()
    for path in files:
        data = path.read_bytes()
        assert not any(token.tobytes() in data for token in gone)
        assert kept.tobytes() in data
    assert len(store.index.snapshot().tokens([record.item]).bits) == 0


def test_another_model_takes_over_when_all_is_embedded_and_recall_never_mixes_them(
    store: Store, start: Callable[..., Indexer], short_path: Path, tiny: Path
) -> None:
    def load(name: str) -> OnnxEmbedder:
        return open_embedder(config.Config(), short_path, name=name)

    remember(store, *(f"note number {i} about the queue" for i in range(70)))
    indexer = start(load)
    until(lambda: is_complete(store) and indexer.progress().state == "idle")
    shutil.copytree(tiny, pulled_dir(short_path) / tiny.name)
    assert indexer.reindex(TINY) == (TINY, 70)
    assert config.load(short_path).models.embedder == TINY
    dims = set()

    def has_taken_over() -> bool:
        with indexer.gate:  # as every recall
            vector = indexer.embedder.encode_query("the queue")
            dims.add(len(store.index.snapshot().cosines(vector)) and len(vector))
        return indexer.progress().state == "idle"

    until(has_taken_over)
    assert dims <= {32, 384}
    assert indexer.embedder.model == TINY
    assert indexer.embedder.dim == 32
    assert (store.index_in_use() or "").startswith("someone--tiny-")
    indexer.stop()
    # The config went back while nothing ran: the next start recalls with what is there, and rebuilds.
    again = start(load, model=DEFAULT_EMBEDDER)
    until(lambda: (store.index_in_use() or "").startswith(DEFAULT_EMBEDDER))
    until(lambda: again.progress().state == "idle")
    assert again.embedder.model == DEFAULT_EMBEDDER
    assert again.problems() == []


def test_an_import_that_never_ends_is_indexed_all_the_same(
    store: Store, start: Callable[..., Indexer]
) -> None:
    indexer = start()
    until(lambda: indexer.progress().state == "idle")

    def is_done_meanwhile() -> bool:
        indexer.gate.stored(100)
        return is_complete(store)

    remember(store, "The queue runs on Postgres.", "We cut releases on Thursdays.")
    indexer.wake()
    until(is_done_meanwhile)
    assert indexer.gate.is_filling


def test_reindex_with_an_unknown_model_changes_nothing(
    store: Store, start: Callable[..., Indexer], short_path: Path
) -> None:
    indexer = start()
    with pytest.raises(ModelMissing):
        indexer.reindex("someone/else")
    assert config.load(short_path).models.embedder == DEFAULT_EMBEDDER
    assert not (short_path / config.CONFIG_NAME).exists()


def test_reindex_of_an_empty_store_ends(store: Store, start: Callable[..., Indexer]) -> None:
    indexer = start()
    until(lambda: indexer.progress().state == "idle")
    assert indexer.reindex() == (DEFAULT_EMBEDDER, 0)
    until(lambda: indexer.progress().state == "idle" and indexer.progress().state == "idle")
    remember(store, "first")
    indexer.wake()
    until(lambda: is_complete(store))


def test_an_index_that_is_cut_short_is_continued_after_the_next_start(
    store: Store, start: Callable[..., Indexer], short_path: Path
) -> None:
    remember(store, *(f"note number {i}" for i in range(300)))
    first = start()
    until(lambda: store.counts().embedded > 0)
    first.stop()
    done = store.counts().embedded
    assert 0 < done <= 300
    assert first.progress().state == "off"
    second = start()
    until(lambda: is_complete(store))
    assert second.progress().model == store.index_in_use()
    assert (store.index_in_use() or "").startswith(embedder_key(config.Config(), short_path))
