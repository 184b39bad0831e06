"""Proves that the list of items, on disk and in RAM, says of each memory what its row says, and makes it anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np

from penchant_store import items, times
from penchant_store.connection import Connection, Row
from penchant_store.index import IndexSnapshot
from penchant_store.items import PACKED, Item
from penchant_store.records import Finding, Severity

if TYPE_CHECKING:
    from penchant_store.verify import Verification

# Where an item stands in its session is counted up as it is stored; erasure leaves gaps that no row tells of.
_NOT_TOLD = "position"
_PART = 500  # numbers in one statement

_EPISODES = (
    "SELECT e.item, e.seq, e.occurred_at, NULL, NULL, e.session, e.speaker, e.project, e.agent, e.content, 0.5, e.id,"
    " e.fingerprint, e.role, 'episode', 'active', CASE WHEN e.project IS NULL THEN 'global' ELSE 'project' END"
    " FROM events e WHERE e.item IS NOT NULL AND e.erased_at IS NULL"
)
_MEMORIES = (
    "SELECT m.item, -m.memory, m.occurred_at, m.valid_from, m.valid_to, m.session, m.speaker, m.project, m.agent,"
    " m.content, m.importance, m.id, m.fingerprint, '', m.kind, m.status, m.scope FROM memories m WHERE true"
)


@dataclass(frozen=True, slots=True)
class _Differing:
    """Item numbers, rising: rows without an entry, entries that say something else, entries without a row."""

    missing: tuple[int, ...] = ()
    damaged: tuple[int, ...] = ()
    stray: tuple[int, ...] = ()

    def all(self) -> list[int]:
        """All of them."""
        return [*self.missing, *self.damaged, *self.stray]


def verify_items(checked: Verification, fix: bool) -> list[Finding]:
    """What the list says otherwise than the rows; with `fix` it is made anew from them."""
    differing = _look(checked)
    if differing.all():
        checked.writer.submit(lambda _: None).result()  # what was being written while we looked is through
        differing = _look(checked, differing.all())
    texts: tuple[tuple[str, Severity, tuple[int, ...], str], ...] = (
        (
            "items_missing",
            "error",
            differing.missing,
            "memories are missing from the list of what is recalled",
        ),
        (
            "items_damaged",
            "error",
            differing.damaged,
            "entries of that list say something else than their memory",
        ),
        ("items_stray", "warning", differing.stray, "entries of that list belong to nothing that is stored"),
    )
    found = [
        Finding(code, severity, f"{len(numbers)} {what} (first: item {numbers[0]})", "penchant doctor --fix")
        for code, severity, numbers, what in texts
        if numbers
    ]
    if fix and found:
        _mend(checked, differing)
    return found


def _look(checked: Verification, numbers: Sequence[int] | None = None) -> _Differing:
    """Compares rows, list and RAM: of all items, or of some."""
    seen = checked.index.snapshot()
    with checked.readers.one_state() as connection:
        expected, stored = _expected(connection, numbers), _stored(connection, numbers)
    whole = {number: data for number, data in stored.items() if len(data) == PACKED.itemsize}
    both = np.array(sorted(expected.keys() & whole.keys()), dtype=np.int64)
    right = np.array([astuple(expected[number]) for number in both.tolist()], dtype=PACKED)
    listed = np.frombuffer(b"".join(whole[number] for number in both.tolist()), dtype=PACKED)
    in_ram = both <= seen.n  # what came since is not in this snapshot
    differs = np.zeros(len(both), dtype=np.bool_)
    for name in PACKED.names or ():
        if name != _NOT_TOLD:
            differs |= right[name] != listed[name]
        if name not in (_NOT_TOLD, "item"):
            differs[in_ram] |= right[name][in_ram] != getattr(seen, name)[both[in_ram]]
    recalled = (
        np.flatnonzero(seen.status).tolist() if numbers is None else [n for n in numbers if _is_in(seen, n)]
    )
    return _Differing(
        missing=tuple(sorted(expected.keys() - stored.keys())),
        damaged=tuple(sorted({*both[differs].tolist(), *(expected.keys() & (stored.keys() - whole.keys()))})),
        stray=tuple(sorted((stored.keys() | set(recalled)) - expected.keys())),
    )


def _is_in(seen: IndexSnapshot, number: int) -> bool:
    return number <= seen.n and bool(seen.status[number])


def _mend(checked: Verification, differing: _Differing) -> None:
    changes = items.Changes()

    def work(connection: Connection) -> None:
        wanted = [*differing.missing, *differing.damaged]
        expected, stored = _expected(connection, wanted), _stored(connection, wanted)
        for number, item in expected.items():
            if len(stored.get(number, b"")) == PACKED.itemsize:
                item.position = items.unpacked(stored[number]).position
            packed = item.packed()
            connection.execute(
                "INSERT INTO items (item, packed) VALUES (?, ?)"
                " ON CONFLICT (item) DO UPDATE SET packed = excluded.packed",
                (number, packed),
            )
            changes.packed.append(packed)
        for number in set(differing.stray) - _expected(connection, differing.stray).keys():
            connection.execute("DELETE FROM items WHERE item = ?", (number,))
            connection.execute("DELETE FROM words WHERE rowid = ?", (number,))
            connection.execute("DELETE FROM trigrams WHERE rowid = ?", (number,))
            changes.erased.append(number)

    tags = checked.index.snapshot().tag.copy()
    checked.writer.submit(work, after=lambda _: checked.index.apply(changes)).result()
    gone = np.array([number for number in changes.erased if number < len(tags)], dtype=np.int64)
    if len(gone):  # what was computed of them goes too
        checked.index.text.erase(gone, tags[gone])
        for columns in checked.vectors:
            columns.erase(gone)
        checked.words.forget()


def _expected(connection: Connection, numbers: Sequence[int] | None = None) -> dict[int, Item]:
    """The items as the rows tell them: of all, or of some numbers."""
    if numbers is None:
        rows = connection.execute(f"{_EPISODES} UNION ALL {_MEMORIES}")
        return {int(row[0]): _item(row) for row in rows}
    found: dict[int, Item] = {}
    for start in range(0, len(numbers), _PART):
        part = list(numbers[start : start + _PART])
        marks = ", ".join("?" * len(part))
        rows = connection.execute(
            f"{_EPISODES} AND e.item IN ({marks}) UNION ALL {_MEMORIES} AND m.item IN ({marks})", part * 2
        )
        found.update((int(row[0]), _item(row)) for row in rows)
    return found


def _stored(connection: Connection, numbers: Sequence[int] | None = None) -> dict[int, bytes]:
    """The packed rows: of all, or of some numbers."""
    if numbers is None:
        return {
            int(number): bytes(data) for number, data in connection.execute("SELECT item, packed FROM items")
        }
    rows = (
        connection.execute("SELECT item, packed FROM items WHERE item = ?", (number,)).fetchone()
        for number in numbers
    )
    return {int(row[0]): bytes(row[1]) for row in rows if row is not None}


def _item(row: Row) -> Item:
    number, own, occurred_at, valid_from, valid_to, session, speaker, project, agent = row[:9]
    content, importance, id, fingerprint, role, kind, status, scope = row[9:]
    return Item(
        item=number,
        row=own,
        occurred_at=times.to_unix(occurred_at),
        valid_from=0 if valid_from is None else times.to_unix(valid_from),
        valid_to=0 if valid_to is None else times.to_unix(valid_to),
        session=session or 0,
        position=0,
        speaker=speaker or 0,
        project=project or 0,
        agent=agent,
        n_chars=len(content),
        n_words=len(content.split()),
        importance=importance,
        tag=items.tag_of(id, fingerprint),
        role=items.ROLE_NUMBER.get(role, 0),
        kind=items.KIND_NUMBER[kind],
        status=items.STATUS_NUMBER[status],
        scope=items.SCOPE_NUMBER[scope],
    )
