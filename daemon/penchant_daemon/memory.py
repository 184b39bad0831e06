"""The process's own memory: kept small, and handed back when it is not needed. Linux with glibc; elsewhere no-ops."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

__all__ = ["collect", "forget_pages", "keep_small", "trim"]

# glibc's mallopt (malloc.h) and madvise (sys/mman.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MADV_DONTNEED = 4

#: Two arenas are enough for threads that mostly wait; one for each core and thread keeps 10 to 30 MB more.
MAX_ARENAS = 2
#: Larger blocks are mapped by themselves and go back at once. Set, or glibc raises both with the largest block it has
#: seen, and a batch of long texts would leave its peak behind for ever.
MMAP_FROM_BYTES = 1 << 20
TRIM_FROM_BYTES = 1 << 17


def keep_small() -> None:
    """Tell the allocator to hold on to little; call it before other threads start."""
    library = _libc()
    if library is None or not hasattr(library, "mallopt"):
        return
    for option, value in (
        (_M_ARENA_MAX, MAX_ARENAS),
        (_M_MMAP_THRESHOLD, MMAP_FROM_BYTES),
        (_M_TRIM_THRESHOLD, TRIM_FROM_BYTES),
    ):
        library.mallopt(option, value)


def trim() -> None:
    """Hand freed pages back to the system, which glibc keeps otherwise (15 to 45 MB after indexing)."""
    library = _libc()
    if library is not None and hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def collect() -> None:
    """Collect what nobody uses, and `trim`."""
    gc.collect()
    trim()


def forget_pages(name: str) -> None:
    """Drop the pages of mapped files of this name; those that are read again come from the system's cache.

    Of a model's mapped table of words each query reads a few rows, and the system maps 64 kB around each: 40 MB after a
    hundred queries, for 8 MB that were read. Pages that were written to stay.
    """
    library = _libc()
    if library is None or not hasattr(library, "madvise"):
        return
    library.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    found: tuple[int, int] | None = None
    for line in Path("/proc/self/smaps").read_text().splitlines():
        field, _, rest = line.partition(":")
        if field == "Private_Dirty":
            if found is not None and rest.split()[0] == "0":
                library.madvise(found[0], found[1] - found[0], _MADV_DONTNEED)
            found = None
        elif line.endswith(f"/{name}"):
            start, _, end = line.split()[0].partition("-")
            found = int(start, 16), int(end, 16)


def _libc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    try:
        return ctypes.CDLL(None)
    except OSError:
        return None
