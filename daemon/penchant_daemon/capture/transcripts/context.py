"""What a reader may know beyond its own file: which sources were read before, and what lies beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


class ReadContext:
    """Shared by the reads of one import; caches what it looked up about neighbouring files."""

    def __init__(
        self,
        is_known: Callable[[str], bool] = lambda path: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        :param is_known: whether an earlier import has read the source of this path.
        :param clock: seconds since 1970; tells an answer that is still being written from one that was
        broken off.
        """
        self._is_known = is_known
        self._first_uuids: dict[Path, str | None] = {}
        self._siblings: dict[tuple[Path, str], list[Path]] = {}
        self.clock = clock

    def is_known(self, path: Path) -> bool:
        return self._is_known(str(path))

    def siblings(self, path: Path, pattern: str) -> list[Path]:
        """The files beside `path` (itself among them), as of the first time that was asked."""
        place = (path.parent, pattern)
        if place not in self._siblings:
            try:
                self._siblings[place] = sorted(path.parent.glob(pattern))
            except OSError:
                self._siblings[place] = []
        return self._siblings[place]

    def first_uuid(self, path: Path, look_up: Callable[[Path], str | None]) -> str | None:
        if path not in self._first_uuids:
            self._first_uuids[path] = look_up(path)
        return self._first_uuids[path]
