"""What is derived is proved against what is true: each damage is found, named, and mended from the rows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sqlcipher3 import dbapi2

from penchant_store import Finding, IndexBatch, ItemFilter, NewEvent, NewMemory, Store
from penchant_store.items import PACKED, STATUS_NUMBER, Changes, unpacked

AT = "2026-11-23T10:00:00.000Z"
TEXTS = tuple(f"The parser of language number{n} was rewritten in Zig{n}" for n in range(12))


class House:
    """A store of events, memories, trigrams and vectors, whose files can be damaged while it is closed."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = Store.open(home)
        said = [
            NewEvent("message", "user", text, session="s", agent="test", project="/srv/shop", occurred_at=AT)
            for text in TEXTS[:8]
        ]
        self.store.add_events(said).result()
        kept = [
            NewMemory(text, project="/srv/shop", session="s", speaker="Ann", valid_from=AT, importance=0.7)
            for text in TEXTS[8:]
        ]
        receipts = self.store.add_memories(kept).result()
        newer = NewMemory("The parser of language number8 is slow", supersedes=receipts[0].id)
        self.store.add_memories([newer, NewMemory("a private thing", scope="private")]).result()
        self.items = np.arange(1, self.store.index.snapshot().n + 1)
        self.store.write_trigrams(self.items).result()
        vectors = np.random.default_rng(7).normal(size=(len(self.items), 16)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        self.store.write_index("model", IndexBatch(self.items, pooled=vectors)).result()

    def damage(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        self.store.close()
        with closing(dbapi2.connect(str(self.home / "memory.db"))) as database:
            for statement, values in statements:
                database.execute(statement, values)
            database.commit()
        self.store = Store.open(self.home)

    def packed(self, item: int) -> bytes:
        with closing(dbapi2.connect(str(self.home / "memory.db"))) as database:
            return bytes(database.execute("SELECT packed FROM items WHERE item = ?", (item,)).fetchone()[0])

    def found_by_part(self, part: str) -> list[str]:
        return self.store.texts(self.store.candidates_by_trigrams([part], 20, ItemFilter()).items)

    def found_by_word(self, word: str) -> list[str]:
        return self.store.texts(self.store.candidates_by_words([word], 20, ItemFilter()).items)

    def is_mended(self) -> bool:
        """Whether a check with `fix` leaves nothing, in this process and in the next."""
        self.store.verify(fix=True)
        here = self.store.verify()
        self.store.close()
        self.store = Store.open(self.home)
        return here == self.store.verify() == []


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "home")
    yield made
    made.store.close()


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def test_a_whole_store_is_whole(house: House) -> None:
    assert house.store.verify() == []
    house.store.forget([house.store.recent(1)[0].id]).result()
    assert house.store.verify() == [], "after an erasure too"


# ---- the list of items


def test_a_memory_that_is_missing_from_the_list_is_listed_again(house: House) -> None:
    before = house.packed(3), house.packed(10)
    house.damage(("DELETE FROM items WHERE item IN (3, 10)", ()))
    assert codes(house.store.verify())[0] == "items_missing"
    assert house.is_mended()
    for item, data in zip((3, 10), before, strict=True):
        old, new = unpacked(data), unpacked(house.packed(item))
        old.position = new.position  # how many were stored before it in its session is not known any more
        assert new == old
    assert TEXTS[2] in house.found_by_word("number2")


@pytest.mark.parametrize("name", [name for name in PACKED.names or () if name != "position"])
@pytest.mark.parametrize("item", [2, 9])
def test_an_entry_that_says_something_else_than_its_row_is_made_anew(
    house: House, item: int, name: str
) -> None:
    before = house.packed(item)
    entry = np.frombuffer(before, dtype=PACKED).copy()
    entry[name] = 4 if entry[name] != 4 else 1
    house.damage(("UPDATE items SET packed = ? WHERE item = ?", (entry.tobytes(), item)))
    assert "items_damaged" in codes(house.store.verify())
    assert house.is_mended()
    assert house.packed(item) == before


@pytest.mark.parametrize("data", [b"", b"\0" * 10, b"\xff" * 200, b"\xff" * PACKED.itemsize])
def test_an_entry_that_cannot_be_read_at_all_is_made_anew(house: House, data: bytes) -> None:
    house.store.close()
    with closing(dbapi2.connect(str(house.home / "memory.db"))) as database:
        database.execute("UPDATE items SET packed = ? WHERE item = 2", (data,))
        database.commit()
    house.store = Store.open(house.home)
    assert codes(house.store.verify())[0] == "items_damaged"
    assert house.is_mended()
    assert TEXTS[1] in house.found_by_word("number1")


def test_an_entry_that_belongs_to_nothing_is_taken_away_with_all_that_was_computed(house: House) -> None:
    stray = np.frombuffer(house.packed(2), dtype=PACKED).copy()
    stray["item"], stray["row"] = 99, 4_000
    house.damage(
        ("INSERT INTO items (item, packed) VALUES (99, ?)", (stray.tobytes(),)),
        ("INSERT INTO words (rowid, text) VALUES (99, 'nobody said this')", ()),
        ("INSERT INTO trigrams (rowid, text) VALUES (99, 'nobody said this')", ()),
    )
    found = [finding for finding in house.store.verify() if finding.severity != "note"]
    assert codes(found) == ["items_stray", "words_stray", "trigrams_stray"]
    assert house.is_mended()
    assert house.found_by_word("nobody") == house.found_by_part("nobody") == []


def test_what_recall_reads_in_memory_is_proved_too(house: House) -> None:
    entry = np.frombuffer(house.packed(2), dtype=PACKED).copy()
    entry["status"] = STATUS_NUMBER["archived"]
    house.store.index.apply(Changes(packed=[entry.tobytes()]))
    assert codes(house.store.verify()) == ["items_damaged"]
    house.store.verify(fix=True)
    assert house.store.verify() == []
    assert house.store.index.snapshot().status[2] == STATUS_NUMBER["active"]


# ---- the index of parts of words


def test_a_memory_without_its_parts_is_a_note_and_gets_them(house: House) -> None:
    house.damage(("DELETE FROM trigrams WHERE rowid = 3", ()))
    (finding,) = house.store.verify()
    assert (finding.code, finding.severity) == ("trigrams_missing", "note")
    assert house.is_mended()
    assert house.found_by_part("umber2") == [TEXTS[2]]


def test_parts_of_another_text_are_found_and_replaced(house: House) -> None:
    house.damage(
        ("DELETE FROM trigrams WHERE rowid = 3", ()),
        ("INSERT INTO trigrams (rowid, text) VALUES (3, 'quite another text')", ()),
    )
    assert codes(house.store.verify()) == ["trigrams_wrong"]
    assert house.is_mended()
    assert house.found_by_part("umber2") == [TEXTS[2]]
    assert house.found_by_part("another") == []


def test_parts_of_nothing_are_taken_away(house: House) -> None:
    house.damage(("INSERT INTO trigrams (rowid, text) VALUES (99, 'nobody said this')", ()))
    (finding,) = house.store.verify()
    assert (finding.code, finding.severity) == ("trigrams_stray", "warning")
    assert house.is_mended()
    with closing(dbapi2.connect(str(house.home / "memory.db"))) as database:
        assert database.execute("SELECT count(*) FROM trigrams WHERE trigrams MATCH 'nobody'").fetchone() == (
            0,
        )


@pytest.mark.parametrize("table", ["words", "trigrams"])
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE {}_data SET block = x'00' WHERE id = 10",
        "UPDATE {}_data SET block = zeroblob(length(block)) WHERE id > 10",
        "DELETE FROM {}_data WHERE id > 10",
        "DELETE FROM {}_docsize",
    ],
)
def test_an_index_of_text_that_is_damaged_is_made_anew(house: House, table: str, damage: str) -> None:
    house.damage((damage.format(table), ()))
    findings = house.store.verify()
    assert findings
    assert all(finding.fix == "penchant doctor --fix" for finding in findings)
    assert house.is_mended()
    assert house.found_by_word("number5") == [TEXTS[5]]
    assert house.found_by_part("umber5") == [TEXTS[5]]


# ---- vectors


@pytest.mark.parametrize("file", ["pooled.f32", "pooled.i8", "scale.f32"])
def test_a_damaged_vector_is_erased_and_computed_again(house: House, file: str) -> None:
    house.store.close()
    (path,) = house.home.glob(f"index/model-*/{file}")
    width = 1 if file == "scale.f32" else 16
    bytes_of_row = width * (1 if file.endswith("i8") else 4)
    with path.open("r+b") as stream:
        stream.seek(3 * bytes_of_row)
        stream.write(b"\x41" * bytes_of_row)
    house.store = Store.open(house.home)
    assert codes(house.store.verify()) == ["vectors_damaged"]
    house.store.verify(fix=True)
    (finding,) = house.store.verify()
    assert (finding.code, finding.severity) == ("vectors_missing", "note")
    n_items = len(house.items)
    assert house.store.index_progress("model") == (n_items - 1, n_items)


# ---- while others write


def test_writes_that_go_on_meanwhile_are_no_damage(house: House) -> None:
    stopped = threading.Event()

    def write() -> None:
        last: str | None = None
        n = 0
        while not stopped.is_set():
            n += 1
            event = NewEvent("message", "user", f"meanwhile {n} was said", session=f"w{n % 3}", agent="test")
            house.store.add_events([event] * 1).result()
            memory = NewMemory(f"the port is {n} now", supersedes=last)
            last = house.store.add_memories([memory]).result()[0].id
            if n % 5 == 0:
                house.store.forget([last]).result()
                last = None

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for turn in range(12):
            found = house.store.verify(fix=turn % 2 == 1)
            assert [finding for finding in found if finding.severity != "note"] == []
    finally:
        stopped.set()
        writer.join()
    assert [finding for finding in house.store.verify(fix=True) if finding.severity != "note"] == []
    assert house.store.counts().events > len(TEXTS)
