"""Which SQLite the store runs on, and whether it is one that keeps its files whole."""

from __future__ import annotations

from sqlcipher3 import dbapi2

# From 3.7.0 to 3.51.2 two connections that write and checkpoint at once can corrupt a database with a
# write-ahead log. The repair was also made in 3.50.7: https://sqlite.org/wal.html
_REPAIRED = (3, 51, 3)
_REPAIRED_IN_BRANCH = (3, 50, 7)


def sqlite_version() -> str:
    """The version of the SQLite library that the driver brings, such as `3.53.4`."""
    return str(dbapi2.sqlite_version)


def can_corrupt_wal(version: str) -> bool:
    """Whether a version of SQLite has the bug that corrupts databases with a write-ahead log."""
    numbers = tuple(int(part) for part in version.split(".")[:3])
    if numbers[:2] == _REPAIRED_IN_BRANCH[:2]:
        return numbers < _REPAIRED_IN_BRANCH
    return (3, 7, 0) <= numbers < _REPAIRED
