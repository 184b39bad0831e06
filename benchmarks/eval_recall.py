"""How well recall finds, against what is aimed for: `penchant eval recall` on public data sets beside the repository.

    python -m benchmarks.eval_recall locomo beam cosqa [--keep FOLDER] [--seed 0]

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
from penchant_daemon.evaluation.recall import BUDGETS, Plan, evaluate
from penchant_daemon.evaluation.report import text_of

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SETS = ("locomo", "beam", "cosqa")
TARGETS = {
    ("locomo", "recall@10"): 0.83,
    ("locomo", "ndcg@10"): 0.685,
    ("beam", "hit@10"): 0.74,
    ("cosqa", "mrr"): 0.54,
}


class Quiet:
    """Names each pool when it is begun."""

    def pool(self, name: str, number: int, n_pools: int) -> None:
        print(f"   {name} ({number}/{n_pools})", flush=True)

    def step(self, what: str, done: int, total: int) -> None:
        """Steps are not shown: benchmarks run unattended."""


def measure(name: str, keep: Path | None, seed: int, data: Path) -> None:
    """Run one set, print its tables and keep its figures."""
    dataset = public_sets.load(name, data)
    what = f"{name}, {len(dataset.pools)} pools, {dataset.n_texts} texts, {dataset.n_questions} questions"
    report = Report(f"eval_recall_{name}", what, seed)
    plan = Plan(
        unit="turn",
        seed=seed,
        keep=keep,
        is_in_process=keep is not None,
        budgets=() if keep is not None else BUDGETS,
    )
    result = evaluate(dataset, plan, Quiet())
    print("\n" + text_of(result) + "\n", flush=True)
    for measured in result.measures:
        for way in reversed(plan.all_ways):
            value = result.outcomes[way].figure(measured, seed).value
            target = TARGETS.get((name, measured)) if way == "learned" else None
            report.add(f"{way}: {measured}", [value], "", at_least=target)
    learned = result.outcomes["learned"]
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
    arguments = parser.parse_args()
    for name in arguments.sets:
        measure(name, arguments.keep, arguments.seed, arguments.data)


if __name__ == "__main__":
    main()
