"""Items: everything that can be recalled, with a dense number each (0 is none). Derived from events and memories.

An item is kept as one packed row of `PACKED` in the table `items`, so that 100,000 of them load in tens of
milliseconds.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

from penchant_store.connection import Connection

ROLES = ("", "user", "assistant", "other")
KINDS = ("", "episode", "fact", "decision", "procedure", "note")
STATUSES = ("", "active", "superseded", "quarantined", "archived")
SCOPES = ("", "private", "project", "global")

ROLE_NUMBER = {"user": 1, "assistant": 2, "system": 3, "tool": 3}
KIND_NUMBER = {name: number for number, name in enumerate(KINDS) if name}
STATUS_NUMBER = {name: number for number, name in enumerate(STATUSES) if name}
SCOPE_NUMBER = {name: number for number, name in enumerate(SCOPES) if name}

# `row` is the event's seq, or minus the memory's row number. `tag` ties what was computed for an item to its text.
PACKED = np.dtype(
    [
        ("item", "<i8"),
        ("row", "<i8"),
        ("occurred_at", "<i8"),
        ("valid_from", "<i8"),
        ("valid_to", "<i8"),
        ("session", "<i4"),
        ("position", "<i4"),
        ("speaker", "<i4"),
        ("project", "<i4"),
        ("agent", "<i4"),
        ("n_chars", "<i4"),
        ("n_words", "<i4"),
        ("importance", "<f4"),
        ("tag", "<u4"),
        ("role", "i1"),
        ("kind", "i1"),
        ("status", "i1"),
        ("scope", "i1"),
    ]
)
_STRUCT = struct.Struct("<5q7ifI4b")
assert _STRUCT.size == PACKED.itemsize  # noqa: S101 - two descriptions of one layout


@dataclass(slots=True)
class Item:
    """One packed row, named."""

    item: int
    row: int
    occurred_at: int
    valid_from: int
    valid_to: int
    session: int
    position: int
    speaker: int
    project: int
    agent: int
    n_chars: int
    n_words: int
    importance: float
    tag: int
    role: int
    kind: int
    status: int
    scope: int

    def packed(self) -> bytes:
        """The row's bytes."""
        return _STRUCT.pack(
            self.item,
            self.row,
            self.occurred_at,
            self.valid_from,
            self.valid_to,
            self.session,
            self.position,
            self.speaker,
            self.project,
            self.agent,
            self.n_chars,
            self.n_words,
            self.importance,
            self.tag,
            self.role,
            self.kind,
            self.status,
            self.scope,
        )


def unpacked(data: bytes) -> Item:
    """The item of a row's bytes."""
    return Item(*_STRUCT.unpack(data))


def tag_of(id: str, fingerprint: int) -> int:
    """A number that changes with the text or its owner; never 0, which means that nothing was computed."""
    return zlib.crc32(f"{id} {fingerprint}".encode()) or 1


@dataclass(slots=True)
class Changes:
    """What a committed write means for the index in RAM."""

    packed: list[bytes] = field(default_factory=list)  # new or changed rows
    erased: list[int] = field(default_factory=list)
    names: list[tuple[str, int, str]] = field(default_factory=list)  # (vocabulary, number, text)


class ItemNumbers:
    """Gives out item numbers inside the writer; reads where to go on after each rollback."""

    def __init__(self) -> None:
        self._last: int | None = None

    def next(self, connection: Connection) -> int:
        """The next number; erased numbers never come back."""
        if self._last is None:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'items'").fetchone()
            self._last = int(row[0]) if row else 0
        self._last += 1
        return self._last

    def clear(self) -> None:
        """Called after a rollback."""
        self._last = None


def insert(connection: Connection, item: Item, text: str, changes: Changes) -> None:
    """Adds an item with its words, so that it can be found at once."""
    packed = item.packed()
    connection.execute("INSERT INTO items (item, packed) VALUES (?, ?)", (item.item, packed))
    connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (item.item, text))
    changes.packed.append(packed)


def replace(connection: Connection, item: Item, changes: Changes) -> None:
    """Writes a changed item."""
    packed = item.packed()
    connection.execute("UPDATE items SET packed = ? WHERE item = ?", (packed, item.item))
    changes.packed.append(packed)


def load(connection: Connection, number: int) -> Item | None:
    """The item with this number."""
    row = connection.execute("SELECT packed FROM items WHERE item = ?", (number,)).fetchone()
    return unpacked(row[0]) if row else None
