"""How long a recall takes: through the socket with its embedding, by words alone, and from a cold start.

python -m benchmarks.recall_latency [--sizes 1000 10000 100000] [--queries 300]
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlcipher3 import dbapi2

from benchmarks.house import PENCHANT, fill, own_home, running, wait_for_embedder, wait_until_settled
from benchmarks.report import Report, percentile
from benchmarks.texts import Writer
from penchant_daemon import lifecycle
from penchant_daemon.recall import Recall
from penchant_daemon.wire import RecallRequest
from penchant_store import Store

SEED = 7
ROUNDS = 3
N_COLD = 5


def main(sizes: Sequence[int], n_queries: int) -> None:
    """Measure every size and keep the figures."""
    report = Report(
        "recall_latency",
        f"{', '.join(f'{n:,}' for n in sizes)} made-up messages (Zipf over 20,000 words, names, code), "
        f"{n_queries} queries of 3 to 7 words in {ROUNDS} rounds; the fill's vectors are random, queries are "
        "embedded for real",
        SEED,
    )
    for n in sizes:
        with own_home() as home:
            texts = fill(home, n, SEED)
            queries = _queries(texts, n_queries)
            _through_the_socket(report, home, n, queries)
            _opening(report, home, n)
            _cold(report, home, n, queries)
    for n in (1_000, 5_000):
        with own_home() as home:
            texts = fill(home, n, SEED, vectors=False)
            _words_alone(report, home, n, _queries(texts, n_queries))
    report.save()


def _queries(texts: Sequence[str], n: int) -> list[str]:
    writer = Writer(SEED + 1)
    return [writer.query(texts[(i * 7919) % len(texts)]) for i in range(n)]


def _through_the_socket(report: Report, home: Path, n: int, queries: Sequence[str]) -> None:
    with running(home) as client:
        wait_for_embedder(client)
        wait_until_settled(client)
        for query in queries[:20]:
            client.recall(RecallRequest(query=query))
        rounds = [
            _timed(lambda query: client.recall(RecallRequest(query=query)), queries) for _ in range(ROUNDS)
        ]
        own = [client.recall(RecallRequest(query=query)).took_ms for query in queries]
    medians = [percentile(samples, 50) for samples in rounds]
    limit = {1_000: 10.0, 100_000: 15.0}.get(n)
    report.add(f"recall through the socket, {n:,} memories, p50", medians, "ms", at_most=limit)
    report.add(
        f"recall through the socket, {n:,} memories, p99",
        [percentile(samples, 99) for samples in rounds],
        "ms",
        at_most=3 * sorted(medians)[len(medians) // 2],
    )
    report.add(f"  of it in recall itself, {n:,} memories, p50", [percentile(own, 50)], "ms")


def _opening(report: Report, home: Path, n: int) -> None:
    runs = []
    for _ in range(N_COLD):
        start = time.perf_counter()
        store = Store.open(home)
        _ = store.index.snapshot().n
        runs.append((time.perf_counter() - start) * 1_000)
        store.close()
    limit = 200.0 if n == 100_000 else None
    report.add(f"opening a store with its recall index, {n:,} memories", runs, "ms", at_most=limit)


def _cold(report: Report, home: Path, n: int, queries: Sequence[str]) -> None:
    runs = []
    for query in queries[:N_COLD]:
        lifecycle.stop(home)
        start = time.perf_counter()
        subprocess.run([str(PENCHANT), "recall", query], check=True, capture_output=True)
        runs.append(time.perf_counter() - start)
    report.add(f"`penchant recall` with no daemon running, {n:,} memories", runs, "s", at_most=3.0)


def _words_alone(report: Report, home: Path, n: int, queries: Sequence[str]) -> None:
    store = Store.open(home)
    recall = Recall(store)
    rounds = [
        _timed(lambda query: recall.recall(RecallRequest(query=query), "bench"), queries)
        for _ in range(ROUNDS + 1)
    ][1:]
    limit = {1_000: 2.0, 5_000: 4.0}[n]
    medians = [percentile(samples, 50) for samples in rounds]
    report.add(f"recall by words alone, in process, {n:,} memories, p50", medians, "ms", at_most=limit)
    report.add(
        f"recall by words alone, in process, {n:,} memories, p99",
        [percentile(samples, 99) for samples in rounds],
        "ms",
    )
    plain = _plain_fts5(home / "plain.db", store.texts(range(1, n + 1)))
    rounds = [_timed(plain, queries) for _ in range(ROUNDS + 1)][1:]
    report.add(
        f"  plain FTS5, the same questions, {n:,} memories, p50",
        [percentile(samples, 50) for samples in rounds],
        "ms",
    )
    recall.close()
    store.close()


def _plain_fts5(path: Path, texts: Sequence[str]) -> Callable[[str], object]:
    """The least that finds ten texts: one FTS5 table, the words of the question joined by OR."""
    connection = dbapi2.connect(str(path))
    connection.execute("CREATE VIRTUAL TABLE plain USING fts5(text, tokenize='porter unicode61')")
    connection.executemany("INSERT INTO plain (text) VALUES (?)", [(text,) for text in texts])
    connection.commit()

    def ask(query: str) -> object:
        words = [word for word in query.replace("?", " ").split() if word.isalnum()]
        match = " OR ".join(f'"{word}"' for word in words)
        sql = "SELECT rowid, text, rank FROM plain WHERE plain MATCH ? ORDER BY rank LIMIT 10"
        return connection.execute(sql, (match,)).fetchall()

    return ask


def _timed(ask: Callable[[str], object], queries: Sequence[str]) -> list[float]:
    samples = []
    for query in queries:
        start = time.perf_counter()
        ask(query)
        samples.append((time.perf_counter() - start) * 1_000)
    return samples


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--queries", type=int, default=300)
    arguments = parser.parse_args()
    main(arguments.sizes, arguments.queries)
