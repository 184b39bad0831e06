"""Every benchmark, one after the other: `make bench`. Takes about half an hour on 2 cores.

python -m benchmarks.run_all
"""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "recall_latency",
    "ranking_latency",
    "write_throughput",
    "import_throughput",
    "memory_size",
    "ranker_learning",
)


def main() -> int:
    """Run each in a process of its own; the exit code is that of the worst."""
    return max(
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode for name in NAMES
    )


if __name__ == "__main__":
    sys.exit(main())
