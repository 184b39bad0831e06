"""What a reader may know beyond its own file: which sources were read before, what lies beside it, and whether
its host may still be writing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

SETTLED_AFTER_S = 300.0  # an answer that its host left unfinished this long will not be finished


class ReadContext:
    """Shared by the reads of one import; caches what it looked up about neighbouring files."""

    def __init__(
        self,
        is_known: Callable[[str], bool] = lambda path: False,
        clock: Callable[[], float] = time.time,
        *,
        is_followed: bool = False,
    ) -> None:
        """
        :param is_known: whether an earlier import has read the source of this path.
        :param clock: seconds since 1970.
        :param is_followed: whether the source is read again and again while its host writes: then an answer
        that is not finished is left for a later read. Otherwise all that stands in the file is taken as it is.
        """
        self._is_known = is_known
        self._first_uuids: dict[Path, str | None] = {}
        self._siblings: dict[tuple[Path, str], list[Path]] = {}
        self._clock = clock
        self._is_followed = is_followed

    def is_settled(self, written_s: float) -> bool:
        """Whether an unfinished answer counts as it stands.

        :param written_s: seconds since 1970, when its place was last written.
        """
        return not self._is_followed or self._clock() - written_s >= SETTLED_AFTER_S

    def is_known(self, path: Path) -> bool:
        """Whether an earlier import has read this file."""
        return can_be_noted(path) and self._is_known(str(path))

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


def can_be_noted(path: Path) -> bool:
    """Whether it can be kept how far a file was read: its path is UTF-8 and holds no control characters."""
    text = str(path)
    return text.isprintable() or not any(c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in text)
