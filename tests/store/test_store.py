"""The store's promises: what is acknowledged is kept, once, found at once, and gone when it is forgotten."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlcipher3 import dbapi2

from penchant_store import (
    Finding,
    IndexBatch,
    ItemFilter,
    NewEvent,
    NewImpression,
    NewMemory,
    NewOutcome,
    SourceCursor,
    Store,
    StoreCorrupt,
    StoreError,
    StoreLocked,
    StoreTooNew,
)

AT = "2026-11-23T10:00:00.000Z"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "home")
    yield opened
    opened.close()


def said(text: str, session: str = "s", channel: str = "api", source_key: str | None = None) -> NewEvent:
    return NewEvent(
        "message",
        "user",
        text,
        session=session,
        agent="test",
        occurred_at=AT,
        channel=channel,
        source_key=source_key,
    )


def faults(store: Store) -> list[Finding]:
    """What is wrong; notes say only that an index has yet to follow."""
    return [finding for finding in store.verify() if finding.severity != "note"]


def found(store: Store, *terms: str) -> list[str]:
    candidates = store.candidates_by_words(list(terms), 10, ItemFilter())
    return store.texts(candidates.items)


def test_the_same_record_of_a_transcript_is_logged_once(store: Store) -> None:
    event = said("Sort the imports", channel="transcript", source_key="u1")
    assert [r.status for r in store.add_events([event, event]).result()] == ["logged", "duplicate"]
    assert [r.status for r in store.add_events([event]).result()] == ["duplicate"]
    assert store.counts().events == 1


def test_a_turn_that_came_by_hook_and_by_transcript_is_one(store: Store) -> None:
    by_hook = said("Sort the imports", channel="hook", source_key="prompt-1")
    by_file = said("Sort the imports", channel="transcript", source_key="uuid-1")
    assert [r.status for r in store.add_events([by_hook]).result()] == ["logged"]
    assert [r.status for r in store.add_events([by_file]).result()] == ["duplicate"]
    assert [r.status for r in store.add_events([by_file, by_hook]).result()] == ["duplicate", "duplicate"]
    again = said("Sort the imports", channel="transcript", source_key="uuid-2")
    assert [r.status for r in store.add_events([again]).result()] == ["logged"], "said a second time"


def test_a_message_is_found_at_once_and_tool_output_is_not(store: Store) -> None:
    store.add_events(
        [
            said("The parser is slow"),
            NewEvent("tool_result", "tool", "parser.py:3", session="s", agent="test"),
        ]
    ).result()
    assert found(store, "parser") == ["The parser is slow"]


def test_a_memory_kept_twice_is_one(store: Store) -> None:
    first, second = store.add_memories(
        [NewMemory("We use pnpm", project="orion"), NewMemory("We  use pnpm", project="orion")]
    ).result()
    assert (first.status, second.status, second.id) == ("stored", "duplicate", first.id)
    assert store.memory(first.id) is not None


@pytest.mark.parametrize("term", ['"', "*", "NEAR(", "^slow", "slow OR", "a:b", "-x", "{}", "AND"])
def test_operators_of_the_word_index_are_data(store: Store, term: str) -> None:
    store.add_events([said("The parser is slow")]).result()
    assert found(store, term, "parser") == ["The parser is slow"]


@settings(max_examples=40, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "home")
        try:
            receipt = store.add_events([said(text)]).result()[0]
            assert store.session_events("s", 10, 0)[0].content == text
            assert receipt.status == "logged"
        finally:
            store.close()


def test_text_that_no_database_holds_is_refused_and_the_rest_is_kept(store: Store) -> None:
    for text in ("nul \x00 in it", "half \ud800 a pair"):
        with pytest.raises(StoreError, match="content"):
            store.add_events([said(text)]).result()
    assert store.add_events([said("fine")]).result()[0].status == "logged"
    assert store.counts().events == 1


def test_neighbours_are_the_turns_around_in_the_same_session(store: Store) -> None:
    texts = [f"turn {i} of {name}" for i in range(6) for name in ("a", "b")]
    store.add_events([said(text, session=text[-1]) for text in texts]).result()
    snapshot = store.index.snapshot()
    for item in range(1, snapshot.n + 1):
        same = [i for i in range(1, snapshot.n + 1) if snapshot.session[i] == snapshot.session[item]]
        place = same.index(item)
        plain = [same[place + d] if 0 <= place + d < len(same) else 0 for d in (-2, -1, 0, 1, 2)]
        assert snapshot.neighbours([item])[0].tolist() == plain
        assert snapshot.session_members([item])[0].tolist() == same


def test_cosines_are_those_of_the_vectors(store: Store) -> None:
    store.add_events([said(f"number {i}") for i in range(50)]).result()
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((50, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    items = np.arange(1, 51)
    store.write_index("m", IndexBatch(items=items, pooled=vectors)).result()
    assert len(store.unindexed("m", 100)) == 50, "the stems are still missing"
    got = store.index.snapshot().pooled(items)
    assert np.allclose(got, vectors)
    assert np.abs(store.index.snapshot().cosines(vectors[7])[1:] - vectors @ vectors[7]).max() < 0.02


def test_what_is_forgotten_is_in_no_file(store: Store, tmp_path: Path) -> None:
    kept = store.add_events([said("Keep the zebra")]).result()[0]
    gone = store.add_events([said("The quagga is extinct")]).result()[0]
    memory = store.add_memories([NewMemory("A quagga was a zebra")]).result()[0]
    receipt = store.forget([gone.id, memory.id, "unknown"]).result()
    assert (set(receipt.forgotten), receipt.unknown) == ({gone.id, memory.id}, ("unknown",))
    assert found(store, "quagga") == []
    assert found(store, "zebra") == ["Keep the zebra"]
    assert store.memory(gone.id) is None
    assert store.memory(kept.id) is not None
    assert faults(store) == []
    for path in (tmp_path / "home").rglob("*"):
        if path.is_file():
            assert b"quagga" not in path.read_bytes().lower(), path


def test_only_the_owner_can_read_the_files(store: Store, tmp_path: Path) -> None:
    store.add_events([said("private")]).result()
    for path in [tmp_path / "home", *(tmp_path / "home").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_second_process_is_told_that_the_store_is_taken(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreLocked):
        Store.open(tmp_path / "home")


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    Store.open(tmp_path / "home").close()
    database = dbapi2.connect(str(tmp_path / "home" / "memory.db"))
    database.execute("PRAGMA user_version = 999")
    database.commit()
    database.close()
    with pytest.raises(StoreTooNew, match="999"):
        Store.open(tmp_path / "home")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    Store.open(tmp_path / "home").close()
    (tmp_path / "home" / "memory.db").write_bytes(b"no database at all" * 1_000)
    with pytest.raises(StoreCorrupt, match=r"memory\.db"):
        Store.open(tmp_path / "home")


_WRITER = """
import sys
from pathlib import Path
from penchant_store import NewEvent, Store
store = Store.open(Path(sys.argv[1]))
for i in range(100_000):
    store.add_events([NewEvent("message", "user", f"event {i}", session="s", agent="test")]).result()
    print(i, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(home)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        acknowledged = -1
        until = time.monotonic() + 60
        while acknowledged < 40 and time.monotonic() < until:
            acknowledged = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read().split()
    acknowledged = int(rest[-1]) if rest and rest[-1].isdigit() else acknowledged
    store = Store.open(home)
    try:
        assert store.counts().events >= acknowledged + 1 > 40
        assert faults(store) == []
    finally:
        store.close()


_FULL = """
import resource, signal, sys
from pathlib import Path
from penchant_store import NewEvent, Store, StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store.open(Path(sys.argv[1]))
store.add_events([NewEvent("message", "user", "before", session="s", agent="test")]).result()
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
try:
    for i in range(200):
        store.add_events([NewEvent("message", "user", f"{i} " + "x" * 20_000, session="s", agent="test")]).result()
except StoreError as error:
    print("refused", i)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.add_events([NewEvent("message", "user", "afterwards", session="s", agent="test")]).result()
print(store.counts().events - i, len([f for f in store.verify() if f.severity != "note"]))
store.close()
"""


def test_a_file_that_cannot_grow_refuses_the_write_and_the_store_goes_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path / "home")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")
    assert lines[0].startswith("refused"), done.stdout
    assert lines[1] == "2 0", "every acknowledged event is there, and no other"


def test_how_far_a_file_was_read_is_kept_with_what_was_read(store: Store) -> None:
    cursor = SourceCursor("/tmp/a.jsonl", size=10, offset=7, assistant="claude-code")
    with pytest.raises(StoreError):
        store.add_events([said("nul \x00")], source=cursor).result()
    assert store.source_cursor("/tmp/a.jsonl") is None
    store.add_events([said("fine")], source=cursor).result()
    kept = store.source_cursor("/tmp/a.jsonl")
    assert kept is not None
    assert kept.offset == 7


def test_jobs_wait_once_and_are_gone_when_done(store: Store) -> None:
    store.enqueue("title", {"session": "s"}, "s").result()
    store.enqueue("title", {"session": "s"}, "s").result()
    job = store.next_job(["title"])
    assert job is not None
    assert store.next_job(["title"]) is None
    store.finish_job(job.id).result()
    counts = store.job_counts().get("title")
    assert counts is None or counts.queued + counts.running == 0


def test_what_was_shown_and_what_came_of_it_is_kept(store: Store) -> None:
    memory = store.add_memories([NewMemory("We use pnpm")]).result()[0]
    id, written = store.add_impression(
        NewImpression(query="pnpm", agent="test", session=None, project=None, as_of=None, items=(), model="m")
    )
    written.result()
    store.add_outcome(NewOutcome(id, memory.id, "helped", "test")).result()
    shown = store.impression(id)
    assert shown is not None
    assert shown.query == "pnpm"
    assert [outcome.verdict for outcome in store.outcomes(memory.id)] == ["helped"]


def test_a_changed_text_breaks_the_chain(store: Store, tmp_path: Path) -> None:
    store.add_events([said("The parser is slow"), said("It was rewritten")]).result()
    store.close()
    database = dbapi2.connect(str(tmp_path / "home" / "memory.db"))
    database.execute("UPDATE events SET content = 'The parser is fast' WHERE seq = 1")
    database.commit()
    database.close()
    again = Store.open(tmp_path / "home")
    assert "chain_broken" in [finding.code for finding in again.verify()]
    again.close()


def test_a_memory_that_lost_its_words_is_reported_and_mended(store: Store, tmp_path: Path) -> None:
    store.add_events([said("The parser is slow")]).result()
    store.close()
    database = dbapi2.connect(str(tmp_path / "home" / "memory.db"))
    database.execute("INSERT INTO words (words) VALUES ('delete-all')")
    database.commit()
    database.close()
    again = Store.open(tmp_path / "home")
    assert {finding.code for finding in again.verify(fix=True)} >= {"words_missing"}
    assert again.verify() == []
    assert found(again, "parser") == ["The parser is slow"]
    again.close()
