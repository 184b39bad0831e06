"""How long ranking takes once the question is embedded and its candidates are known, step by step, in process.

python -m benchmarks.ranking_latency [--sizes 1000 100000] [--queries 200]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import penchant_ranker as ranker
from benchmarks.house import fill, own_home
from benchmarks.report import Report, percentile
from benchmarks.texts import Writer
from penchant_daemon import recall as recalling
from penchant_daemon.config import Config
from penchant_daemon.models import open_embedder
from penchant_daemon.recall import Recall
from penchant_daemon.wire import RecallRequest
from penchant_store import Store

SEED = 7
ROUNDS = 5
N_CANDIDATES = 300  # the aim counts so many; recall itself ranks fewer
AIM_MS = 4.0


class Watched(Recall):
    """A recall that keeps what its steps were given."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.pools: list[tuple[Any, ...]] = []
        self.selections: list[tuple[Any, ...]] = []

    def _pool(self, *given: Any) -> ranker.Pool:
        self.pools.append(given)
        return super()._pool(*given)

    def _select(self, *given: Any) -> Any:
        self.selections.append(given)
        return super()._select(*given)


def main(sizes: Sequence[int], n_queries: int) -> None:
    """Measure every size and keep the figures."""
    report = Report(
        "ranking_latency",
        f"{', '.join(f'{n:,}' for n in sizes)} made-up messages, {n_queries} queries of 3 to 7 words; vectors and "
        f"token vectors of the fill are random; each step the fastest of {ROUNDS}, on one thread",
        SEED,
    )
    recalling.N_SEEDS, recalling.N_CANDIDATES = N_CANDIDATES // 5, N_CANDIDATES
    for n in sizes:
        with own_home() as home:
            texts = fill(home, n, SEED)
            _steps(report, home, n, texts, n_queries)
    report.save()


def _steps(report: Report, home: Path, n: int, texts: Sequence[str], n_queries: int) -> None:
    writer = Writer(SEED + 1)
    store = Store.open(home)
    recall = Watched(store, open_embedder(Config(), home))
    for i in range(n_queries):
        query = writer.query(texts[(i * 7919) % len(texts)])
        recall.recall(RecallRequest(query=query), "bench")
    pools = [Recall._pool(recall, *given) for given in recall.pools]
    asked = [given[3].query for given in recall.pools]
    pairs = list(zip(asked, pools, strict=True))
    n_tokens = np.mean([len(pool.tokens.bits) for pool in pools if pool.tokens is not None])
    report.add(f"candidates, {n:,} memories, mean", [float(np.mean([len(p.candidates) for p in pools]))], "")
    report.add(
        f"rows with the turns around them, {n:,}, mean", [float(np.mean([len(p.items) for p in pools]))], ""
    )
    report.add(f"their tokens, {n:,}, mean", [float(n_tokens)], "")
    pooling = _timed(lambda *given: Recall._pool(recall, *given), recall.pools)
    features = _timed(ranker.features, pairs)
    ranking = _timed(ranker.rank, pairs)
    selecting = _timed(lambda *given: Recall._select(recall, *given), recall.selections)
    whole = [sum(steps) for steps in zip(pooling, ranking, selecting, strict=True)]
    report.add(f"pool with token vectors, {n:,}, p50", [percentile(pooling, 50)], "ms")
    report.add(f"features, {n:,}, p50", [percentile(features, 50)], "ms")
    report.add(f"features and sum, {n:,}, p50", [percentile(ranking, 50)], "ms")
    report.add(f"selection, {n:,}, p50", [percentile(selecting, 50)], "ms")
    report.add(
        f"pool, features, sum and selection, {n:,}, p50", [percentile(whole, 50)], "ms", at_most=AIM_MS
    )
    report.add(f"the same, {n:,}, p99", [percentile(whole, 99)], "ms")
    recall.close()
    store.close()


def _timed(step: Callable[..., object], given: Sequence[tuple[Any, ...]]) -> list[float]:
    """The fastest of some runs of each, in milliseconds."""
    out = []
    for arguments in given:
        runs = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            step(*arguments)
            runs.append((time.perf_counter() - start) * 1_000)
        out.append(min(runs))
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--queries", type=int, default=200)
    arguments = parser.parse_args()
    main(arguments.sizes, arguments.queries)
