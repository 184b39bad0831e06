"""Memory is handed back without losing anything that is still needed."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import pytest

from penchant_daemon import memory


def resident(name: str) -> int:
    """Bytes of mapped files of this name that are in memory."""
    total, is_it = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line.startswith("Rss:") and is_it:
            total += int(line.split()[1]) * 1024
            is_it = False
        elif line.endswith(f"/{name}"):
            is_it = True
    return total


@pytest.mark.skipif(sys.platform != "linux", reason="pages are counted in /proc")
def test_pages_of_a_mapped_file_are_dropped_and_read_again_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "table.bin"
    path.write_bytes(bytes(range(256)) * 16_384)
    with path.open("rb") as file:
        os.fsync(file.fileno())  # what is not on disk yet counts as written to
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        assert sum(mapped[::4096]) == 0
        assert resident(path.name) == 4 << 20
        memory.forget_pages(path.name)
        assert resident(path.name) == 0
        assert mapped[257] == 1
        mapped.close()


@pytest.mark.skipif(sys.platform != "linux", reason="pages are counted in /proc")
def test_pages_that_were_written_to_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "changed.bin"
    path.write_bytes(bytes(1 << 20))
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        mapped[5] = 7
        memory.forget_pages(path.name)
        assert mapped[5] == 7
        mapped.close()


def test_free_memory_can_be_given_back_anywhere() -> None:
    memory.keep_small()
    memory.trim()
    memory.collect()
    memory.forget_pages("nothing is called so")
