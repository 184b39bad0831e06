"""How well recall finds: LoCoMo and BEAM turn by turn, CoSQA function by function, by the product's own path.

    python -m benchmarks.eval_recall locomo beam cosqa [--keep FOLDER] [--seed 0]

Each conversation gets a data directory of its own. Its turns are logged as events (functions are remembered
as memories), the indexer embeds them, and every question goes through `Recall.recall`, where it is ranked by
the hand-set weights; nothing is fitted on any of these sets. Beside it, on the same texts: plain FTS5 (BM25,
stop words left out of the question) and the equal-weight rank fusion of that with the cosine (reciprocal
rank, k 60).
Intervals: 95 %, resampling conversations (questions where there is one pool).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from sqlcipher3 import dbapi2

from benchmarks import eval_sets
from benchmarks.eval_sets import Pool, Question, Turn
from benchmarks.report import Report, percentile
from penchant_daemon.config import Config
from penchant_daemon.indexer import Indexer
from penchant_daemon.models import open_embedder
from penchant_daemon.recall import Recall
from penchant_daemon.wire import RecallRequest
from penchant_ranker import (
    SpeakerNames,
    bootstrap_interval,
    hit_at,
    ndcg_at,
    parse_query,
    recall_at,
    reciprocal_rank,
)
from penchant_store import NewEvent, NewMemory, Store

DEPTH = 20
RRF_K = 60
TARGETS = {("locomo", "recall@10"): 0.79, ("locomo", "ndcg@10"): 0.64, ("beam", "hit@10"): 0.72}
MEASURES: dict[str, Callable[[Sequence[str], Sequence[str]], float]] = {
    "recall@5": lambda ranked, answers: recall_at(ranked, answers, 5),
    "recall@10": lambda ranked, answers: recall_at(ranked, answers, 10),
    "recall@20": lambda ranked, answers: recall_at(ranked, answers, 20),
    "ndcg@10": lambda ranked, answers: ndcg_at(ranked, answers, 10),
    "mrr": reciprocal_rank,
    "hit@10": lambda ranked, answers: hit_at(ranked, answers, 10),
}


@dataclass(slots=True)
class Outcomes:
    """What one way of ranking gave, question by question."""

    pools: list[int] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    measured: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def note(self, pool: int, question: Question, ranked: Sequence[str]) -> None:
        """Measure one ranking."""
        self.pools.append(pool)
        self.categories.append(question.category)
        for name, measure in MEASURES.items():
            self.measured[name].append(measure(ranked, question.answers))

    def mean(self, measure: str, category: str | None = None) -> float:
        """The mean over all questions, or over those of a category."""
        pairs = zip(self.measured[measure], self.categories, strict=True)
        return float(np.mean([value for value, own in pairs if category in (None, own)]))

    def interval(self, measure: str, seed: int) -> tuple[float, float]:
        """Its 95 % interval."""
        values = np.array(self.measured[measure])
        return bootstrap_interval(values, np.array(self.pools), np.random.default_rng(seed))


class PlainSearch:
    """SQLite's FTS5 as anyone would use it: one row a text, the question's words joined by OR, bm25()."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._keys = [turn.key for turn in turns]
        self._db = dbapi2.connect(":memory:")
        self._db.execute("CREATE VIRTUAL TABLE texts USING fts5(text, tokenize='porter unicode61')")
        self._db.executemany("INSERT INTO texts VALUES (?)", [(turn.text,) for turn in turns])

    def ranked(self, question: str, limit: int) -> list[str]:
        """Keys, best first."""
        words = parse_query(question, names=SpeakerNames(()), now=0).words
        if not words:
            return []
        match = " OR ".join(f'"{word}"' for word in words)
        sql = "SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY bm25(texts), rowid LIMIT ?"
        return [self._keys[row - 1] for (row,) in self._db.execute(sql, (match, limit)).fetchall()]


def evaluate(name: str, keep: Path | None, seed: int) -> None:
    """Run one set and print its tables."""
    pools = eval_sets.load(name)
    n_turns, n_questions = sum(len(p.turns) for p in pools), sum(len(p.questions) for p in pools)
    what = f"{name}, {len(pools)} pools, {n_turns} texts, {n_questions} questions with answers"
    report = Report(f"eval_recall_{name}", what, seed)
    ways = {way: Outcomes() for way in ("plain FTS5", "equal fusion", "recall")}
    took_ms: list[float] = []
    for number, pool in enumerate(pools):
        with _home(keep, f"{name}-{pool.name}") as home:
            for question, rankings, ms in _ask(pool, home):
                took_ms.append(ms)
                for way, ranked in rankings.items():
                    ways[way].note(number, question, ranked)
        print(f"   {pool.name}: {len(pool.questions)} questions", flush=True)
    _print_tables(ways, seed)
    for measure in MEASURES:
        target = TARGETS.get((name, measure))
        report.add(f"recall: {measure}", [ways["recall"].mean(measure)], "", at_least=target)
        report.add(f"plain FTS5: {measure}", [ways["plain FTS5"].mean(measure)], "")
        report.add(f"equal fusion: {measure}", [ways["equal fusion"].mean(measure)], "")
    report.add("one recall in process, embedding included, p50", [percentile(took_ms, 50)], "ms")
    report.add("the same, p99", [percentile(took_ms, 99)], "ms")
    report.save()


def _ask(pool: Pool, home: Path) -> Iterator[tuple[Question, dict[str, list[str]], float]]:
    """Each question with its rankings (keys, best first) and how long the recall took."""
    ends = [turn.occurred_at for turn in pool.turns if turn.occurred_at is not None]
    now = (max(ends) + timedelta(days=1)).timestamp() if ends else time.time()
    store = Store.open(home)
    try:
        _log(store, pool)
        embedder = open_embedder(Config(), home)
        _index(store, home)
        key_of = _keys(store, pool)
        plain = PlainSearch(pool.turns)
        recall = Recall(store, embedder, clock=lambda: now)
        snapshot = store.index.snapshot()
        every = np.arange(1, snapshot.n + 1)
        keys = [key_of.get(record.id, "") for record in store.records(every)]
        for question in pool.questions:
            started = time.perf_counter()
            answer = recall.recall(RecallRequest(query=question.text, limit=DEPTH), "bench")
            ms = (time.perf_counter() - started) * 1000
            if answer.warnings:
                raise RuntimeError(f"recall answered with {answer.warnings}")
            by_words = plain.ranked(question.text, len(pool.turns))
            cosine = snapshot.cosines(embedder.encode_query(question.text))[1:]
            by_vector = [keys[i] for i in np.argsort(-cosine, kind="stable")]
            yield (
                question,
                {
                    "plain FTS5": by_words[:DEPTH],
                    "equal fusion": _fused([by_words, by_vector])[:DEPTH],
                    "recall": [key_of[result.id] for result in answer.results],
                },
                ms,
            )
        recall.close()
    finally:
        store.close()


def _log(store: Store, pool: Pool) -> None:
    """The pool's texts into the store, once."""
    if store.counts().items:
        return
    turns = [turn for turn in pool.turns if turn.session is not None]
    for start in range(0, len(turns), 500):
        store.add_events([_event(turn) for turn in turns[start : start + 500]]).result()
    codes = [turn for turn in pool.turns if turn.session is None]
    for start in range(0, len(codes), 500):
        part = codes[start : start + 500]
        store.add_memories(
            [NewMemory(turn.text, "procedure", "global", agent="bench") for turn in part]
        ).result()


def _event(turn: Turn) -> NewEvent:
    at = turn.occurred_at
    return NewEvent(
        kind="message",
        role=turn.role,
        content=turn.text,
        session=turn.session,
        agent="bench",
        speaker=turn.speaker,
        occurred_at=at.strftime("%Y-%m-%dT%H:%M:%S.000Z") if at else None,
        channel="transcript",
        source_key=turn.key,
    )


def _index(store: Store, home: Path) -> None:
    """What the daemon's indexer does in the background, waited for."""
    indexer = Indexer(
        store,
        home,
        Config().models.embedder,
        lambda name: open_embedder(Config(), home, name=name),
        cpu_share=1.0,
    )
    idle = threading.Event()
    indexer.start()
    indexer.wake()
    n = store.counts().items
    while not idle.wait(0.1):
        counts = store.counts()
        if counts.embedded >= n and counts.trigrams >= n and counts.indexed >= n:
            break
        if indexer.problems():
            raise RuntimeError(str(indexer.problems()))
    indexer.stop()


def _keys(store: Store, pool: Pool) -> dict[str, str]:
    """The set's own key of each recallable id."""
    found: dict[str, str] = {}
    for session in dict.fromkeys(turn.session for turn in pool.turns if turn.session):
        for event in store.session_events(session, 100_000):
            found[event.id] = event.source_key or ""
    if not found:
        by_text = {turn.text: turn.key for turn in pool.turns}
        every = np.arange(1, store.index.snapshot().n + 1)
        found = {record.id: by_text[record.content] for record in store.records(every)}
    return found


def _fused(rankings: Sequence[Sequence[str]]) -> list[str]:
    """Reciprocal rank fusion, every ranking with the same weight."""
    scores: dict[str, float] = defaultdict(float)
    for ranked in rankings:
        for rank, key in enumerate(ranked, 1):
            scores[key] += 1.0 / (RRF_K + rank)
    return sorted(scores, key=lambda key: -scores[key])


def _print_tables(ways: dict[str, Outcomes], seed: int) -> None:
    print("\n   " + f"{'':<14}" + "".join(f"{m:>24}" for m in MEASURES))
    for way, outcomes in ways.items():
        cells = []
        for measure in MEASURES:
            low, high = outcomes.interval(measure, seed)
            cells.append(f"{outcomes.mean(measure):.3f} [{low:.3f}, {high:.3f}]")
        print("   " + f"{way:<14}" + "".join(f"{cell:>24}" for cell in cells))
    categories = sorted(set(ways["recall"].categories))
    print(
        "\n   recall@10 / ndcg@10 / hit@10 by category\n   "
        + f"{'':<14}"
        + "".join(f"{c[:22]:>24}" for c in categories)
    )
    for way, outcomes in ways.items():
        cells = [
            " / ".join(f"{outcomes.mean(m, c):.2f}" for m in ("recall@10", "ndcg@10", "hit@10"))
            for c in categories
        ]
        print("   " + f"{way:<14}" + "".join(f"{cell:>24}" for cell in cells))
    print(flush=True)


@contextlib.contextmanager
def _home(keep: Path | None, name: str) -> Iterator[Path]:
    """A data directory: a kept one is indexed only once, whatever is asked of it later."""
    if keep is not None:
        (keep / name).mkdir(parents=True, exist_ok=True)
        yield keep / name
        return
    with tempfile.TemporaryDirectory(prefix="pb-") as folder:
        yield Path(folder)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "sets", nargs="*", choices=["locomo", "beam", "cosqa"], default=["locomo", "beam", "cosqa"]
    )
    parser.add_argument("--keep", type=Path, help="keep the indexed data directories here and use them again")
    parser.add_argument("--seed", type=int, default=0, help="of the resampling")
    arguments = parser.parse_args()
    for name in arguments.sets:
        evaluate(name, arguments.keep, arguments.seed)


if __name__ == "__main__":
    main()
