"""How well recall finds, against what is aimed for: `penchant eval recall` on public data sets beside the repository.

    python -m benchmarks.eval_recall locomo beam cosqa [--unit session [--pooled]] [--keep FOLDER] [--seed 0]

All of it is the product's own code (`penchant_daemon.evaluation`); here are only the aims. Nothing is fitted on
any of these sets. With --keep the filled data directories stay, and are asked in this process without a
daemon, which is what tuning needs; without it everything goes through a daemon's socket.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.report import Report
from penchant_daemon.evaluation import public_sets
from penchant_daemon.evaluation.datasets import Unit
from penchant_daemon.evaluation.measures import Figure
from penchant_daemon.evaluation.recall import BUDGETS, Plan, evaluate
from penchant_daemon.evaluation.report import text_of

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SETS = ("locomo", "beam", "cosqa")
#: By set, and what of it is asked: turns, sessions of each conversation, sessions of all of them together.
TARGETS = {
    ("locomo", "recall@10"): 0.83,
    ("locomo", "ndcg@10"): 0.685,
    ("locomo", "multi-hop: recall@10"): 0.62,
    ("locomo", "AUROC"): 0.86,
    ("locomo_session", "recall@5"): 0.91,
    ("locomo_session", "recall@10"): 0.96,
    ("locomo_session", "mrr"): 0.87,
    ("locomo_session_pooled", "recall@5"): 0.90,
    ("locomo_session_pooled", "mrr"): 0.85,
    ("beam", "hit@10"): 0.77,
    ("beam", "now above then, by pair"): 0.90,
    ("beam", "now above then, by question"): 0.90,
    ("cosqa", "mrr"): 0.54,
}


class Quiet:
    """Names each pool when it is begun."""

    def pool(self, name: str, number: int, n_pools: int) -> None:
        print(f"   {name} ({number}/{n_pools})", flush=True)

    def step(self, what: str, done: int, total: int) -> None:
        """Steps are not shown: benchmarks run unattended."""


def measure(name: str, keep: Path | None, seed: int, data: Path, unit: Unit, is_pooled: bool) -> None:
    """Run one set, print its tables and keep its figures; each with its 95 % interval."""
    dataset = public_sets.load(name, data)
    what = f"{name}, {len(dataset.pools)} pools, {dataset.n_texts} texts, {dataset.n_questions} questions"
    if unit == "session":
        name += "_session"
    if is_pooled:
        name += "_pooled"
    report = Report(f"eval_recall_{name}", what + f"; looked for: {unit}s", seed)
    plan = Plan(
        unit=unit,
        is_pooled=is_pooled,
        ks=(5, 10, 20) if unit == "turn" else (5, 10),
        seed=seed,
        keep=keep,
        is_in_process=keep is not None,
        budgets=() if keep is not None else BUDGETS,
    )
    result = evaluate(dataset, plan, Quiet())
    print("\n" + text_of(result) + "\n", flush=True)

    def note(way: str, measured: str, figure: Figure) -> None:
        target = TARGETS.get((name, measured)) if way == "learned" else None
        interval = (figure.low, figure.high)
        report.add(f"{way}: {measured}", [figure.value], "", at_least=target, interval=interval)

    for measured in result.measures:
        for way in reversed(plan.all_ways):
            note(way, measured, result.outcomes[way].figure(measured, seed))
    learned = result.outcomes["learned"]
    if name == "locomo":
        note("learned", "multi-hop: recall@10", learned.figure("recall@10", seed, "multi-hop"))
    for measured, share in (
        ("AUROC", learned.abstention(seed)),
        ("now above then, by pair", learned.updates(seed)),
        ("now above then, by question", learned.updated_questions(seed)),
    ):
        if share is not None:
            note("learned", measured, share.figure)
    where = "in process" if keep is not None else "through the socket"
    report.add(f"one recall {where}, embedding included, p50", [learned.took_ms(50)], "ms")
    report.add("the same, p99", [learned.took_ms(99)], "ms")
    report.save()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", choices=public_sets.PUBLIC_SETS, default=SETS)
    parser.add_argument(
        "--keep", type=Path, help="keep the filled data directories here and ask them in process"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the resampling")
    parser.add_argument("--data", type=Path, default=DATA, help="where the data sets are")
    parser.add_argument("--unit", choices=("turn", "session"), default="turn", help="what is looked for")
    parser.add_argument("--pooled", action="store_true", help="all conversations in one data directory")
    arguments = parser.parse_args()
    for name in arguments.sets:
        measure(name, arguments.keep, arguments.seed, arguments.data, arguments.unit, arguments.pooled)


if __name__ == "__main__":
    main()
