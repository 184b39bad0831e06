"""Measures the store by itself: `python tests/store/figures.py [n_items] [part ...]` (parts: write, bulk, open, words, index).

Real files under the temporary directory, synchronous=FULL, texts of 30 words from a Zipf vocabulary (seeded); one word in 30 % of them.
"""

from __future__ import annotations

import itertools
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "store"))

import numpy as np  # noqa: E402

from penchant_store import IndexBatch, ItemFilter, NewEvent, Store  # noqa: E402

SEED = 7
VOCABULARY = [f"w{number}" for number in range(30_000)]
WEIGHTS = list(itertools.accumulate(1 / (number + 3) for number in range(30_000)))


def texts(n: int) -> list[str]:
    chance = random.Random(SEED)
    found = []
    for _ in range(n):
        words = chance.choices(VOCABULARY, cum_weights=WEIGHTS, k=30)
        if chance.random() < 0.3:
            words.append("caroline")
        found.append(" ".join(words))
    return found


def event(text: str, number: int) -> NewEvent:
    return NewEvent("message", "user", text, session=f"s{number // 200}", project="/p", agent="a")


def spread(label: str, times_ms: list[float]) -> None:
    ordered = sorted(times_ms)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(f"{label:58s} p50 {statistics.median(ordered):8.3f} ms   p99 {p99:8.3f} ms   n {len(ordered)}", flush=True)


def timed(work: Callable[[], object], n: int) -> list[float]:
    found = []
    for _ in range(n):
        start = time.perf_counter()
        work()
        found.append((time.perf_counter() - start) * 1000)
    return found


def write(store: Store) -> None:
    pool = texts(2_000)

    def run(threads: int, rounds: int, batch: int) -> None:
        latencies: list[float] = []

        def client(number: int) -> None:
            for turn in range(rounds):
                events = [event(pool[(turn * batch + at) % 2_000], number * 200) for at in range(batch)]
                start = time.perf_counter()
                store.add_events(events).result()
                latencies.append((time.perf_counter() - start) * 1000)

        started = time.perf_counter()
        workers = [threading.Thread(target=client, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        rate = threads * rounds * batch / (time.perf_counter() - started)
        spread(f"write: {threads} threads, batches of {batch}: {rate:9.0f} events/s", latencies)

    run(1, 200, 1)
    run(10, 100, 1)
    run(10, 30, 20)


def bulk(store: Store, n: int) -> None:
    events = [event(text, number) for number, text in enumerate(texts(n))]
    started = time.perf_counter()
    waiting = [store.add_events(events[at : at + 500]) for at in range(0, n, 500)]
    for one in waiting:
        one.result()
    print(f"bulk: {n / (time.perf_counter() - started):9.0f} events/s in batches of 500", flush=True)


def opening(home: Path) -> None:
    def once() -> None:
        store = Store.open(home)
        opened = time.perf_counter()
        store.index.snapshot()
        spread("  of which first snapshot", [(time.perf_counter() - opened) * 1000])
        store.close()

    spread("open + snapshot + close", timed(once, 3))


def words(store: Store) -> None:
    where = ItemFilter()
    first = timed(lambda: store.candidates_by_words(["caroline"], 300, where), 1)
    spread("words: a word in 30 % of items, first time", first)
    spread("words: that word again", timed(lambda: store.candidates_by_words(["caroline"], 300, where), 50))
    chance = random.Random(SEED + 1)
    queries = [["caroline", *chance.choices(VOCABULARY, cum_weights=WEIGHTS, k=6)] for _ in range(200)]
    found = iter(queries)
    spread("words: that word and 6 Zipf words, 200 queries", timed(lambda: store.candidates_by_words(next(found), 300, where), 200))
    store.add_events([event("caroline wrote this just now", 0)]).result()
    spread("words: after one more item", timed(lambda: store.candidates_by_words(queries[0], 300, where), 1))


def index(store: Store) -> None:
    n = store.index.snapshot().n
    random_vectors = np.random.default_rng(SEED)
    for start in range(1, n + 1, 4_096):
        items = np.arange(start, min(n + 1, start + 4_096))
        vectors = random_vectors.standard_normal((len(items), 384), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        stems = random_vectors.integers(0, 30_000, 25 * len(items), dtype=np.uint32)
        store.write_index("m", IndexBatch(items, vectors, (stems, np.arange(len(items) + 1) * 25))).result()
    query = vectors[0]
    snapshot = store.index.snapshot()
    spread(f"index: cosines by {store.vector_engine}", timed(lambda: snapshot.cosines(query), 30))
    spread("index: snapshot()", timed(store.index.snapshot, 1_000))
    spread("index: mask()", timed(lambda: store.index.mask(snapshot, ItemFilter(project=1)), 100))
    chosen = random_vectors.integers(1, n, 300)
    spread("index: first neighbours of 300", timed(lambda: snapshot.neighbours(chosen), 1))
    spread("index: neighbours of 300", timed(lambda: snapshot.neighbours(chosen), 100))
    spread("index: session_members of 300", timed(lambda: snapshot.session_members(chosen), 100))
    spread("index: stems of 1,500", timed(lambda: snapshot.stems(random_vectors.integers(1, n, 1_500)), 100))
    spread("index: pooled of 300", timed(lambda: snapshot.pooled(chosen), 100))
    spread("index: first document_frequency", timed(lambda: snapshot.document_frequency([1, 2, 3]), 1))
    spread("index: document_frequency", timed(lambda: snapshot.document_frequency([1, 2, 3]), 100))
    spread("records of 10", timed(lambda: store.records(chosen[:10]), 100))
    spread("texts of 300", timed(lambda: store.texts(chosen), 50))


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    parts = sys.argv[2:] or ["write", "bulk", "open", "words", "index"]
    with tempfile.TemporaryDirectory(prefix="penchant-figures-") as folder:
        if "write" in parts:
            store = Store.open(Path(folder) / "write")
            write(store)
            store.close()
        home = Path(folder) / "bulk"
        store = Store.open(home)
        bulk(store, n)
        store.close()
        if "open" in parts:
            opening(home)
        store = Store.open(home)
        store.index.snapshot()
        if "words" in parts:
            words(store)
        if "index" in parts:
            index(store)
        if "forget" in parts:
            ids = [record.id for record in store.records([5, 6, 7])]
            spread("forget three", timed(lambda: store.forget(ids).result(), 1))
        store.close()


if __name__ == "__main__":
    main()
