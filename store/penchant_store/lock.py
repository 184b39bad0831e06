"""The lock of a data directory.

One process (and one Store in it) at a time. It goes with the process, however that ends.
"""

from __future__ import annotations

import os
from pathlib import Path

from penchant_store.errors import StoreLocked, StoreReadOnly

try:
    import fcntl
except ImportError:  # Windows: SQLite's own locks remain
    fcntl = None  # type: ignore[assignment]


class DirectoryLock:
    """Held from its making to `release`.

    :param path: the lock file; it holds the owner's process id.
    :raises StoreLocked: when another one holds it.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreReadOnly(f"{path} cannot be made ({error.strerror})") from error
        if fcntl is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                owner = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
                os.close(self._descriptor)
                pid = int(owner) if owner.isdigit() else None
                raise StoreLocked(
                    f"{path.parent} is in use by process {owner or '(unknown)'}; stop it with penchant down",
                    pid,
                ) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())
        self._is_held = True

    def release(self) -> None:
        """Gives the directory free."""
        if self._is_held:
            self._is_held = False
            os.close(self._descriptor)
