"""Assistants' stores are read without being changed, whatever state their host left them in."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2 as sqlite
from tests.daemon.capture.transcript_files import change_database, reading, write_database

from penchant_daemon.capture.transcripts import databases
from penchant_daemon.capture.transcripts.databases import open_read_only

_TABLE = "CREATE TABLE said (text TEXT);"
_SAY = "INSERT INTO said VALUES (?)"


def _said(store: Path) -> list[str]:
    with open_read_only(store) as connection:
        return [str(text) for (text,) in connection.execute("SELECT text FROM said").fetchall()]


def _files(store: Path) -> dict[str, bytes]:
    """Name and bytes of the store and what stands beside it, less the marks of who reads just now."""
    return {path.name: path.read_bytes() for path in store.parent.iterdir() if path.suffix != ".db-shm"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store in write-ahead mode whose host has ended."""
    return write_database(
        tmp_path / "host" / "store.db", f"PRAGMA journal_mode = WAL; {_TABLE}", [(_SAY, ("one",))]
    )


def test_store_without_a_log_is_read_where_it_stands(store: Path) -> None:
    before = _files(store)
    assert _said(store) == ["one"]
    assert _files(store) == before


def test_what_waits_in_a_log_is_read_too(store: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    with closing(sqlite.connect(str(store))) as host:
        host.execute(_SAY, ("two",))
        host.commit()
        shutil.copytree(store.parent, killed, ignore=shutil.ignore_patterns("*-shm"))
        before = _files(store)
        assert _said(store) == ["one", "two"]
        assert _files(store) == before
    left = killed / "store.db"
    before = _files(left)
    assert _said(left) == ["one", "two"]
    assert _files(left) == before


def test_what_a_killed_host_left_half_written_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_database(tmp_path / "host" / "store.db", _TABLE, [(_SAY, ("one",))])
    change_database(store, [(_SAY, (f"old {n} " + "x" * 500,)) for n in range(200)])
    with closing(sqlite.connect(str(store), isolation_level=None)) as host:
        host.execute("PRAGMA cache_size = 5")  # pages spill into the file before the commit
        host.execute("BEGIN IMMEDIATE")
        host.execute("UPDATE said SET text = 'half'")
        killed = tmp_path / "killed"
        shutil.copytree(store.parent, killed)
        host.execute("ROLLBACK")
    assert (killed / "store.db-journal").stat().st_size > 0
    assert (killed / "store.db").read_bytes() != store.read_bytes()
    before = _files(killed / "store.db")
    said = _said(killed / "store.db")
    assert len(said) == 201
    assert "half" not in said
    assert _files(killed / "store.db") == before
    monkeypatch.setattr(databases, "MAX_COPIED_BYTES", 1_000)
    with pytest.raises(sqlite.Error):
        _said(killed / "store.db")


def test_store_that_its_host_is_writing_is_said_to_be_locked_and_read_later(tmp_path: Path) -> None:
    store = write_database(
        tmp_path / "thread_history_1.sqlite",
        "CREATE TABLE thread_items (thread_id TEXT, item_json TEXT);"
        """INSERT INTO thread_items VALUES ('t1', '{"type": "userMessage", "text": "Hello"}');""",
    )
    with closing(sqlite.connect(str(store), isolation_level=None)) as host:
        host.execute("BEGIN EXCLUSIVE")
        locked = reading(store)
        assert [bad.reason for bad in locked.bad] == ["the database cannot be read: database is locked"]
        assert (locked.events, locked.cursor) == ([], None)
        host.execute("ROLLBACK")
    assert reading(store).messages() == [("user", "Hello")]
