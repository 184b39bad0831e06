"""What was measured on: a figure without its machine says little."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from penchant_store.engine import sqlite_version

__all__ = ["machine"]


def machine() -> dict[str, str]:
    """Processor, cores and load, and the versions that count."""
    return {
        "cpu": _cpu(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "sqlite": sqlite_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
