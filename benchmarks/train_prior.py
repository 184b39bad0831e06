"""Fits alternatives to the hand-set weights, and says whether one of them should ship instead.

    python -m benchmarks.train_prior --keep FOLDER [--data ../shared/data] [--seed 0]

For developers: it needs the public data sets beside the repository, and its result is a decision about the file
`ranker/penchant_ranker/hand_set.py`, not something that a person's daemon does (that learns from their own outcomes).

    texts whose licence allows it -> the real recall -> features of its best candidates -> weights, held to the hand-set
    LoCoMo and BEAM -> the same recall -> both orders of the same candidates -> differences with intervals -> decision

Fitted on LongMemEval (MIT) and on our own example: their questions, and pseudo-queries made of their turns by a seeded
generator. LoCoMo and BEAM are measured on and nothing else: nothing that is fitted sees them. Everything is seeded.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

import penchant_ranker as ranker
from penchant_daemon.evaluation import front_door, in_process, public_sets, question_file
from penchant_daemon.evaluation.datasets import Dataset, Pool, Question, Text
from penchant_daemon.evaluation.machine import machine
from penchant_daemon.wire import RecallRequest, utc_text
from penchant_store import Store

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"
OWN = HERE.parent / "examples" / "orion-questions.json"
RESULT = HERE.parent / "docs" / "models" / "prior.json"
NAMES = tuple(feature.name for feature in ranker.FEATURES)
PRIOR = ranker.LinearModel.of(ranker.CHAT).weights_for(NAMES)
#: Of each recall so many candidates, the best of the hand-set weights: right ones among them, hard wrong ones besides.
N_CANDIDATES = 200
#: The softmax sees the hand-set weights times this: then its odds are about those of a right answer.
SHARPNESS = 6.0
#: Of each pool at most so many turns become pseudo-queries.
N_PSEUDO = 400
DEPTH = 10
_MAX_STEPS = 600
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Listed:
    """One recall: what it found and which of it is right.

    :param values: (k, len(NAMES)) the features as the model sees them, in the order of the hand-set weights.
    :param is_right: (k,) bool.
    :param n_right: also of those that were not found.
    :param group: its conversation.
    """

    values: Floats
    is_right: NDArray[np.bool_]
    n_right: int
    group: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to fit.

    :param name: as the table calls it.
    :param queries: `real`, `pseudo` or `both`.
    :param l2: how strongly weights are pulled to where they are held; larger moves them less.
    :param is_anchored: held to the hand-set weights, or else to nothing.
    """

    name: str
    queries: str
    l2: float
    is_anchored: bool = True


RECIPES = (
    Recipe("real questions", "real", 0.03),
    Recipe("pseudo-queries", "pseudo", 0.03),
    Recipe("both", "both", 0.03),
    Recipe("both, held tighter", "both", 0.3),
    Recipe("both, held looser", "both", 0.003),
    Recipe("both, held to nothing", "both", 0.03, is_anchored=False),
)


# ---- lists


def lists_of(dataset: Dataset, keep: Path) -> Iterator[Listed]:
    """What the real recall finds for each question, on data directories that are filled if they are not yet."""
    for pool in dataset.pools:
        home = keep / f"{dataset.name}-{pool.name}"
        filled = front_door.filled(home, pool)
        if filled is None:
            with front_door.daemon_on(home) as client:
                filled = front_door.fill(client, home, pool, lambda *_: None)
                front_door.wait_for_index(client, lambda *_: None)
        with in_process.opened(home, is_indexed=False) as (store, embedder):
            recall = in_process.InProcess(store, embedder)
            try:
                for question in pool.questions:
                    if question.answers:
                        right = {filled.ids[key] for key in question.answers}
                        found = _asked(recall, store, pool, question, right)
                        if found is not None:
                            yield replace(found, group=question.group or pool.name)
            finally:
                recall.close()
        print(f"   {dataset.name} {pool.name}: {len(pool.questions)} questions", flush=True)


def _asked(
    recall: in_process.InProcess, store: Store, pool: Pool, question: Question, right: set[str]
) -> Listed | None:
    """One question; None where weights for program text ranked it, or those for stores without vectors."""
    at = question.as_of or pool.asked_at
    request = RecallRequest(
        query=question.text,
        limit=N_CANDIDATES,
        project=question.project,
        as_of=None if at is None else utc_text(at),
    )
    answer = recall.recall(request, question.agent or front_door.AGENT)
    impression = store.impression(answer.impression_id)
    assert impression is not None
    items = [item for item in impression.items if item.features]
    if impression.model != ranker.CHAT.name or not items:
        return None
    values = np.array([[item.features[name] for name in NAMES] for item in items], dtype=np.float64)
    return Listed(values, np.array([item.id in right for item in items]), len(right), "")


def with_pseudo_queries(dataset: Dataset, seed: int) -> Dataset:
    """The same texts, asked by queries that are made of a turn's own words and of those around it.

    One to four words of the turn, the rare ones likelier; at times one of the turn before, the month, or who said it.
    They teach less of meaning than questions do: their words are the turn's own.
    """
    pools = []
    for number, pool in enumerate(dataset.pools):
        rng = np.random.default_rng([seed, number])
        words = [_content_words(text.text) for text in pool.texts]
        count: dict[str, int] = {}
        for each in words:
            for word in set(each):
                count[word] = count.get(word, 0) + 1
        usable = [i for i, each in enumerate(words) if len(set(each)) >= 4]
        chosen = sorted(rng.permutation(usable)[:N_PSEUDO].tolist())
        questions = tuple(_pseudo(pool.texts, words, count, i, rng) for i in chosen)
        pools.append(replace(pool, questions=questions))
    return replace(dataset, pools=tuple(pools))


def _pseudo(
    texts: Sequence[Text], words: Sequence[list[str]], count: dict[str, int], i: int, rng: np.random.Generator
) -> Question:
    own = sorted(set(words[i]))
    rarity = np.array([np.log(1.0 + len(texts) / count[word]) for word in own])
    n = int(rng.integers(1, 5))
    said = [own[j] for j in rng.choice(len(own), size=n, replace=False, p=rarity / rarity.sum())]
    text, before = texts[i], i - 1
    luck = rng.random(3)
    if luck[0] < 0.45 and before >= 0 and texts[before].session == text.session and words[before]:
        said.append(words[before][int(rng.integers(len(words[before])))])
    query = " ".join(said)
    if luck[1] < 0.12 and text.occurred_at is not None:
        query += f" in {_MONTHS[text.occurred_at.month - 1]} {text.occurred_at.year}"
    if luck[2] < 0.3:
        query = f"what did {'you say' if text.role == 'assistant' else 'I say'} about {query}"
    return Question(query, (text.key,), "pseudo")


def _content_words(text: str) -> list[str]:
    """A text's words as a query would keep them."""
    return list(ranker.parse_query(text[:2_000], names=ranker.SpeakerNames(()), now=0).words)


# ---- fitting


def fit(lists: Sequence[Listed], recipe: Recipe) -> Floats:
    """Weights that make right candidates probable, none negative, held to the hand-set ones: (len(NAMES),).

    The mean over lists of minus the log of the softmax's share of each right candidate, and `l2` times the squared
    distance to SHARPNESS times the hand-set weights; by projected gradient with Nesterov's momentum.

    Source: Cao et al. (2007), Learning to rank: from pairwise approach to listwise approach; Beck and Teboulle (2009),
    A fast iterative shrinkage-thresholding algorithm, section 4, with backtracking.
    """
    told = [one for one in lists if one.is_right.any() and not one.is_right.all()]
    values = np.concatenate([one.values for one in told])
    starts = np.cumsum([0, *(len(one.values) for one in told)])[:-1]
    of = np.repeat(np.arange(len(told)), [len(one.values) for one in told])
    targets = np.concatenate([one.is_right / one.is_right.sum() for one in told])
    anchor = SHARPNESS * PRIOR if recipe.is_anchored else np.zeros(len(NAMES))

    def loss_of(w: Floats) -> tuple[float, Floats]:
        scores = values @ w
        highest = np.maximum.reduceat(scores, starts)
        odds = np.exp(scores - highest[of])
        totals = np.add.reduceat(odds, starts)
        loss = float((highest + np.log(totals)).sum() - targets @ scores) / len(told)
        gradient = values.T @ (odds / totals[of] - targets) / len(told)
        apart = w - anchor
        return loss + recipe.l2 * float(apart @ apart), gradient + 2.0 * recipe.l2 * apart

    w = ahead = np.maximum(anchor, 0.0)
    momentum, size = 1.0, 1.0
    for _ in range(_MAX_STEPS):
        loss, gradient = loss_of(ahead)
        while True:
            new = np.maximum(ahead - size * gradient, 0.0)
            step = new - ahead
            if loss_of(new)[0] <= loss + float(gradient @ step) + float(step @ step) / (2.0 * size):
                break
            size /= 2.0
        after = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = new + (momentum - 1.0) / after * (new - w)
        is_there = float(np.abs(new - w).max()) < 1e-6
        w, momentum = new, float(after)
        if is_there:
            break
    return np.asarray(w / SHARPNESS)


# ---- measuring


def measured(lists: Sequence[Listed], weights: Floats) -> dict[str, Floats]:
    """Each list's recall, hit and NDCG at 10 when its candidates are ordered by these weights."""
    found: dict[str, list[float]] = {"recall@10": [], "hit@10": [], "ndcg@10": []}
    for one in lists:
        order = np.argsort(-(one.values @ weights).round(5), kind="stable")[:DEPTH]
        right = one.is_right[order]
        ideal = (1.0 / np.log2(np.arange(2, min(one.n_right, DEPTH) + 2))).sum()
        found["recall@10"].append(float(right.sum()) / one.n_right)
        found["hit@10"].append(float(right.any()))
        found["ndcg@10"].append(float((right / np.log2(np.arange(2, len(right) + 2))).sum() / ideal))
    return {name: np.array(values) for name, values in found.items()}


def compared(lists: Sequence[Listed], weights: Floats, seed: int) -> dict[str, dict[str, float]]:
    """The figures of some weights, and how they differ from the hand-set ones', with 95 % intervals by conversation."""
    groups = np.unique([one.group for one in lists], return_inverse=True)[1].astype(np.int64)
    mine, base = measured(lists, weights), measured(lists, PRIOR)
    out = {}
    for name, values in mine.items():
        apart = values - base[name]
        low, high = ranker.bootstrap_interval(apart, groups, np.random.default_rng(seed))
        out[name] = {"value": float(values.mean()), "by": float(apart.mean()), "low": low, "high": high}
    return out


def is_better(on: dict[str, dict[str, dict[str, float]]]) -> bool:
    """Whether an alternative is to ship: better with its whole interval on each set, and in nothing surely worse."""
    is_ahead = all(figures["ndcg@10"]["low"] > 0.0 for figures in on.values())
    return is_ahead and not any(f["high"] < 0.0 for figures in on.values() for f in figures.values())


def main() -> None:
    """Fit, measure, decide, and keep all of it in `docs/models/prior.json`, beside the model card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, required=True, help="where filled data directories are and stay")
    parser.add_argument("--data", type=Path, default=DATA, help="where the data sets are")
    parser.add_argument("--seed", type=int, default=0, help="of pseudo-queries and resampling")
    given = parser.parse_args()
    sources = [public_sets.load("longmemeval", given.data), question_file.read(OWN)]
    real = [one for each in sources for one in lists_of(each, given.keep)]
    pseudo = [one for each in sources for one in lists_of(with_pseudo_queries(each, given.seed), given.keep)]
    training = {"real": real, "pseudo": pseudo, "both": [*real, *pseudo]}
    tests = {
        name: list(lists_of(public_sets.load(name, given.data), given.keep)) for name in ("locomo", "beam")
    }
    rows: list[dict[str, Any]] = []
    for recipe in (None, *RECIPES):
        weights = PRIOR if recipe is None else fit(training[recipe.queries], recipe)
        on = {name: compared(lists, weights, given.seed) for name, lists in tests.items()}
        moved = {n: round(float(w - p), 3) for n, w, p in zip(NAMES, weights, PRIOR, strict=True)}
        row: dict[str, Any] = {
            "name": "hand-set" if recipe is None else recipe.name,
            "fit": None if recipe is None else asdict(recipe),
            "n_lists": 0 if recipe is None else len(training[recipe.queries]),
            "on": {
                name: {m: {k: round(v, 4) for k, v in f.items()} for m, f in figures.items()}
                for name, figures in on.items()
            },
            "moved": {name: by for name, by in moved.items() if by},
            "ships": recipe is not None and is_better(on),
        }
        rows.append(row)
        print(line_of(row), flush=True)
    chosen = [row["name"] for row in rows if row["ships"]]
    decision = (
        f"{chosen[0]} is better on both sets: ship it" if chosen else "none is better: the hand-set ships"
    )
    print(decision)
    kept = {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": "python -m benchmarks.train_prior",
        "machine": machine(),
        "seed": given.seed,
        "prior": ranker.CHAT.name,
        "n_real": len(real),
        "n_pseudo": len(pseudo),
        "n_candidates": N_CANDIDATES,
        "n_tests": {name: len(lists) for name, lists in tests.items()},
        "rows": rows,
        "decision": decision,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def line_of(row: dict[str, Any]) -> str:
    """One alternative, as the table prints it."""
    cells = []
    for name, figures in row["on"].items():
        for measure in ("hit@10" if name == "beam" else "recall@10", "ndcg@10"):
            f = figures[measure]
            cells.append(
                f"{name} {measure} {f['value']:.3f} ({f['by']:+.3f} [{f['low']:+.3f} {f['high']:+.3f}])"
            )
    return f"{row['name']:<22} " + "  ".join(cells)


if __name__ == "__main__":
    main()
