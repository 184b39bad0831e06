"""Everything that the store raises on purpose.

StoreError
├── InvalidRecord        a value that cannot be stored; `.field` names it
├── UnknownId            an id that names nothing
├── StoreClosed          used after close()
└── StoreUnusable        the files cannot be used now
    ├── StoreFull        no space left, or the cap on pages is reached
    ├── StoreReadOnly    the directory or a file cannot be written
    ├── StoreCorrupt     a file is not a database, or is damaged
    ├── StoreLocked      another process holds the data directory
    └── StoreTooNew      the files were written by a newer Penchant
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of all errors of the store."""


class InvalidRecord(StoreError):
    """A value that cannot be stored.

    :param field: the field that is wrong, as the caller named it.
    :param problem: what is wrong with it and what would be right.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class UnknownId(StoreError):
    """An id that names nothing in the store."""

    def __init__(self, what: str, id: str) -> None:
        super().__init__(f"there is no {what} with the id {id!r}")
        self.what = what
        self.id = id


class StoreClosed(StoreError):
    """The store was closed; nothing was written."""


class StoreUnusable(StoreError):
    """The files cannot be used now; nothing of the refused write was stored."""


class StoreFull(StoreUnusable):
    """No space left on the disk, or the store's cap is reached."""


class StoreReadOnly(StoreUnusable):
    """The data directory or a file in it cannot be written."""


class StoreCorrupt(StoreUnusable):
    """A file is not a database, or is damaged."""


class StoreLocked(StoreUnusable):
    """Another process holds the data directory; `.pid` is its process, when known."""

    def __init__(self, message: str, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class StoreTooNew(StoreUnusable):
    """The files were written by a newer version of Penchant than this one."""
