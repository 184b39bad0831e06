"""The store: one object through which all of the data is read and written.

Truth is in `memory.db` (events, memories) and `behaviour.db` (impressions, outcomes, the ranker's models); everything
under `index/`, the words and the trigrams is derived from it. Writes return futures that are resolved once the data is
on disk; reads never wait for writes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from ulid import ULID, ULIDGenerator

from penchant_store import (
    agents,
    chain,
    computed,
    erase,
    events,
    fields,
    impressions,
    items,
    jobs,
    memories,
    projects,
    ranker_models,
    sessions,
    sources,
    times,
    verify,
    words,
)
from penchant_store.computed import TextColumns, VectorColumns
from penchant_store.connection import Connection, DatabaseError, Readers, Writer, connect, make_private, typed
from penchant_store.errors import StoreClosed, StoreError, StoreLocked, StoreReadOnly, UnknownId
from penchant_store.index import IndexSnapshot, RecallIndex, mask
from penchant_store.lock import DirectoryLock
from penchant_store.migrate import migrate
from penchant_store.names import Names
from penchant_store.records import (
    AgentRecord,
    Asked,
    Candidates,
    Counts,
    EventReceipt,
    EventRecord,
    Finding,
    ForgetReceipt,
    ImpressionRecord,
    IndexBatch,
    Ints,
    ItemFilter,
    Job,
    JobCounts,
    Json,
    JudgedImpression,
    MemoryReceipt,
    MemoryRecord,
    NewEvent,
    NewImpression,
    NewMemory,
    NewOutcome,
    NewRankerModel,
    OutcomeRecord,
    ProjectRecord,
    RankerModelRecord,
    SessionRecord,
    SourceCursor,
)
from penchant_store.verify import Verification

T = TypeVar("T")

MEMORY_FILE = "memory.db"
BEHAVIOUR_FILE = "behaviour.db"
KEY_FILE = "chain.key"
INDEX_FOLDER = "index"


class Store:
    """All data of one data directory; made by `Store.open`. Safe to use from any thread.

    :ivar index: the recall index.
    :ivar vector_engine: what computes cosines: numkong or numpy.
    """

    @classmethod
    def open(cls, home: Path, *, clock: Callable[[], float] | None = None) -> Store:
        """Opens the data directory, makes it when it is new and brings its files to this version.

        :param home: made with mode 0700 when missing.
        :param clock: gives the time in unix seconds; None is the system's.
        :raises StoreLocked: when another process has it open.
        :raises StoreTooNew: when a newer Penchant wrote it.
        :raises StoreCorrupt: when a file in it is not what it should be.
        :raises StoreReadOnly: when it cannot be written.
        :raises StoreFull: when there is no space.
        """
        return cls(Path(home), time.time if clock is None else clock)

    def __init__(self, home: Path, clock: Callable[[], float]) -> None:
        self.home = home
        self._clock = clock
        self.vector_engine = computed.VECTOR_ENGINE
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreReadOnly(f"{home} cannot be made or is not a directory ({error.strerror})") from error
        make_private(home, 0o700)
        self._lock = DirectoryLock(home / "store.lock")
        opened: list[Callable[[], None]] = [self._lock.release]
        try:
            self._digests = chain.Digests(chain.load_key(home / KEY_FILE))
            for name, schema in ((MEMORY_FILE, "memory"), (BEHAVIOUR_FILE, "behaviour")):
                self._prepare(home / name, schema)
            self._ids = ULIDGenerator(clock=lambda: int(self._clock() * 1000))
            self._names = Names()
            self._numbers = items.ItemNumbers()
            self._log = events.EventLog(self._digests, self._names, self._numbers)
            self._book = memories.MemoryBook(self._digests, self._names, self._numbers)
            self._readers = Readers(home / MEMORY_FILE)
            opened.append(self._readers.close)
            self._behaviour_readers = Readers(home / BEHAVIOUR_FILE)
            opened.append(self._behaviour_readers.close)
            self._writer = Writer(
                home / MEMORY_FILE, on_rollback=self._clear_caches, before_commit=self._log.seal
            )
            opened.append(self._writer.close)
            self._behaviour = Writer(home / BEHAVIOUR_FILE)
            opened.append(self._behaviour.close)
            self._text = TextColumns(home / INDEX_FOLDER / "text")
            opened.append(self._text.close)
            self.index = RecallIndex(self._read_items, self._read_names, self._text)
            self._words = words.WordSearch(self._readers, self.texts)
            opened.append(self._words.close)
            self._vectors: dict[str, VectorColumns] = {}
            self._vectors_lock = threading.Lock()
            self._open_index_in_use()
        except BaseException:
            for close in reversed(opened):
                close()
            raise
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="penchant-index")
        self._is_closed = False

    def _prepare(self, path: Path, schema: str) -> None:
        is_new = not path.exists()
        connection = connect(path, is_writer=True)
        try:
            if is_new:
                make_private(path, 0o600)
            migrate(connection, schema, path, self._now())
            if schema == "memory":
                connection.execute("BEGIN IMMEDIATE")
                jobs.requeue_running(connection)
                connection.execute("COMMIT")
        except DatabaseError as error:
            raise typed(error, path) from error
        finally:
            connection.close()

    def close(self) -> None:
        """Finishes what was queued and closes all files. Closing twice is fine."""
        if self._is_closed:
            return
        self._is_closed = True
        self._computing.shutdown(wait=True)
        self._writer.close()
        self._behaviour.close()
        self._readers.close()
        self._behaviour_readers.close()
        self._words.close()
        self._text.close()
        for columns in self._vectors.values():
            columns.close()
        self._lock.release()

    # ---- truth

    def add_events(
        self, events_: Sequence[NewEvent], *, source: SourceCursor | None = None
    ) -> Future[list[EventReceipt]]:
        """Logs events; each that was logged before is recognised.

        :param source: how far a transcript was read, stored in the same transaction.
        :return: a receipt for each event, in order. All of the call are stored or none.
        :raises InvalidRecord: naming the field, before anything is queued.
        """
        checked = [events.check(event, self._digests) for event in events_]
        cursor = None if source is None else sources.check(source)
        changes = items.Changes()

        def work(connection: Connection) -> list[EventReceipt]:
            now = self._now()
            receipts = self._log.add(connection, checked, [self._id() for _ in checked], now, changes)
            if cursor is not None:
                sources.save(connection, cursor, now)
            return receipts

        return self._writer.submit(work, after=lambda _: self.index.apply(changes))

    def add_memories(self, memories_: Sequence[NewMemory]) -> Future[list[MemoryReceipt]]:
        """Remembers statements; one that is active already with the same text, scope, place and day is recognised.

        :return: a receipt for each, in order. All of the call are stored or none.
        :raises InvalidRecord: naming the field, before anything is queued.
        """
        checked = [memories.check(memory, self._digests) for memory in memories_]
        changes = items.Changes()

        def work(connection: Connection) -> list[MemoryReceipt]:
            return self._book.add(connection, checked, [self._id() for _ in checked], self._now(), changes)

        return self._writer.submit(work, after=lambda _: self.index.apply(changes))

    def memory(self, id: str) -> MemoryRecord | None:
        """The memory, or the episode, with this id."""
        return memories.memory(self._readers, self._asked(id))

    def event(self, id: str) -> EventRecord | None:
        """The event with this id, erased ones too."""
        return events.event(self._readers, self._asked(id))

    def events_after(
        self, number: int, limit: int, roles: Sequence[str] = ("user", "assistant", "tool", "system")
    ) -> tuple[list[EventRecord], int]:
        """Events of some roles in order of arrival, and the number up to which all were looked at.

        :param number: what the last call gave, or `event_number`; 0 begins with the first event.
        """
        return events.arrived_after(self._readers, number, limit, roles)

    def event_number(self, at: float) -> int:
        """The number of the last event that was logged before a time (unix seconds); 0 when there is none."""
        return events.number_at(self._readers, str(ULID.from_timestamp(at)))

    def recent(self, limit: int, project: str | None = None) -> list[MemoryRecord]:
        """The latest active memories and episodes that are not private, latest first."""
        snapshot = self.index.snapshot()
        where = ItemFilter()
        if project is not None:
            found = self.project_named(project)
            if found is None:
                return []
            where = ItemFilter(project=found.key, projects_or_global=False)
        allowed = np.flatnonzero(mask(snapshot, where))
        order = np.lexsort((allowed, snapshot.occurred_at[allowed]))[::-1][:limit]
        return self.records(allowed[order])

    def forget(self, ids: Sequence[str]) -> Future[ForgetReceipt]:
        """Erases memories and events, with what was derived from them, from all files.

        Of an event, the row stays in the hash chain without its content. Memories that were distilled from an erased
        event are erased too and named in the receipt.

        :return: resolved once no file holds the content any more.
        """
        wanted = [fields.name(id, "ids") for id in ids]

        def work() -> ForgetReceipt:
            tags = self.index.snapshot().tag.copy()
            done = self._writer.submit(
                lambda connection: erase.erase(connection, wanted, self._now()), after=self._after_erasure
            ).result()
            if done.forgotten:
                gone = np.array([item for item in done.changes.erased if item < len(tags)], dtype=np.int64)
                self._text.erase(gone, tags[gone])
                for columns in self._all_vectors():
                    columns.erase(gone)
                forgotten = list(done.forgotten)
                self._behaviour.submit(lambda connection: impressions.erase(connection, forgotten)).result()
                for writer, name in ((self._writer, MEMORY_FILE), (self._behaviour, BEHAVIOUR_FILE)):
                    if not writer.submit(erase.empty_log, outside=True).result():
                        raise StoreLocked(
                            f"erased, but the write-ahead log of {name} is being read and still holds it; forget again"
                        )
            return ForgetReceipt(tuple(done.forgotten), tuple(done.unknown))

        return self._submit_computing(work)

    def _after_erasure(self, done: erase.Erased) -> None:
        self._names.clear()
        self.index.apply(done.changes)
        self._words.forget()

    # ---- sessions, projects, agents, sources

    def session(self, id: str) -> SessionRecord | None:
        """The session with this id."""
        return sessions.session(self._readers, self._asked(id))

    def sessions(self, limit: int, project: str | None = None) -> list[SessionRecord]:
        """Sessions, the latest first."""
        number = None
        if project is not None:
            number = projects.project_named(self._readers, self._asked(project))
            if number is None:
                return []
        return sessions.sessions(self._readers, limit, number)

    def session_events(self, id: str, limit: int, after_position: int = 0) -> list[EventRecord]:
        """The events of a session in order of arrival.

        :param after_position: the position of the last event that the caller has.
        """
        return events.session_events(self._readers, self._asked(id), limit, after_position)

    def set_session_title(self, id: str, title: str, source: str) -> Future[None]:
        """Names a session.

        :param source: model, host, excerpt or user.
        :raises UnknownId: from the future, when there is no such session.
        """
        return self._writer.submit(lambda connection: sessions.set_title(connection, id, title, source))

    def sessions_without_title(self, limit: int) -> list[SessionRecord]:
        """Sessions with messages and no title, the latest first."""
        return sessions.without_title(self._readers, limit)

    def projects(self) -> list[ProjectRecord]:
        """All projects, those with the most items first."""
        snapshot = self.index.snapshot()
        n_items = np.bincount(snapshot.project[snapshot.status > 0], minlength=1).tolist()
        return projects.projects(self._readers, n_items)

    def project_named(self, name_or_path: str) -> ProjectRecord | None:
        """The project with this path, name, id, or last part of a path when only one has it."""
        number = projects.project_named(self._readers, self._asked(name_or_path))
        if number is None:
            return None
        return next((one for one in self.projects() if one.key == number), None)

    def agents(self) -> list[AgentRecord]:
        """All agents, in order of their first appearance."""
        return agents.agents(self._readers)

    def agent_by_token(self, token: str) -> AgentRecord | None:
        """The agent that a token was issued to."""
        return agents.agent_by_token(self._readers, token)

    def issue_token(self, agent: str) -> Future[str]:
        """Makes a token for an agent (made when new); its earlier one is void. Only a digest is kept."""
        name = fields.name(agent, "agent")
        token = agents.new_token()
        changes = items.Changes()

        def work(connection: Connection) -> str:
            agents.keep_token(connection, self._names.agent(connection, name, self._now(), changes), token)
            return token

        return self._writer.submit(work, after=lambda _: self.index.apply(changes))

    def set_token_digest(self, agent: str, digest: str) -> Future[None]:
        """Lets an agent in by a token that somebody else made: SHA-256 of the token, in hex."""
        name = fields.name(agent, "name")
        changes = items.Changes()

        def work(connection: Connection) -> None:
            key = self._names.agent(connection, name, self._now(), changes)
            agents.keep_digest(connection, key, bytes.fromhex(digest))

        return self._writer.submit(work, after=lambda _: self.index.apply(changes))

    def source_cursor(self, path: str) -> SourceCursor | None:
        """How far a transcript file was read."""
        return sources.source_cursor(self._readers, self._asked(path))

    def source_cursors(self) -> list[SourceCursor]:
        """All transcript files that were read, by path."""
        return sources.source_cursors(self._readers)

    # ---- jobs

    def enqueue(self, kind: str, payload: Mapping[str, Json], dedupe_key: str | None = None) -> Future[str]:
        """Queues background work; one that waits with the same kind and key stands for both.

        :return: the id of the job that waits.
        """
        fields.name(kind, "kind")
        fields.optional_name(dedupe_key, "dedupe_key")
        text = events.as_json(payload, "payload")
        return self._writer.submit(
            lambda connection: jobs.enqueue(connection, self._id(), kind, text, dedupe_key, self._now())
        )

    def next_job(self, kinds: Sequence[str]) -> Job | None:
        """Takes the oldest waiting job of these kinds; None when there is none."""
        if not kinds or not jobs.has_queued(self._readers, kinds):
            return None
        return self._writer.submit(lambda connection: jobs.take(connection, kinds)).result()

    def finish_job(self, id: str, error: str | None = None) -> Future[None]:
        """Ends a job; one that failed waits again until it was tried three times."""
        return self._writer.submit(lambda connection: jobs.finish(connection, id, error))

    def job_counts(self) -> dict[str, JobCounts]:
        """How many jobs of each kind wait, run and have failed."""
        return jobs.job_counts(self._readers)

    # ---- behaviour

    def add_impression(self, impression: NewImpression) -> tuple[str, Future[None]]:
        """Records what a recall showed.

        :return: its id at once; it is written behind.
        """
        checked = impressions.check(impression)
        id, now = self._id(), self._now()
        return id, self._behaviour.submit(lambda connection: impressions.add(connection, id, checked, now))

    def add_outcome(self, outcome: NewOutcome) -> Future[str]:
        """Records what came of a shown memory.

        :return: the outcome's id.
        :raises UnknownId: when there is no such memory or impression.
        """
        checked = impressions.check_outcome(outcome)
        if self.memory(checked.memory_id) is None:
            raise UnknownId("memory", checked.memory_id)
        id, now = self._id(), self._now()

        def work(connection: Connection) -> str:
            if checked.impression_id is not None:
                row = connection.execute(
                    "SELECT 1 FROM impressions WHERE id = ?", (checked.impression_id,)
                ).fetchone()
                if row is None:
                    raise UnknownId("impression", checked.impression_id)
            return impressions.add_outcome(connection, id, checked, now)

        return self._behaviour.submit(work)

    def impression(self, id: str) -> ImpressionRecord | None:
        """The impression with this id."""
        self._await_behaviour()
        return impressions.impression(self._behaviour_readers, self._asked(id))

    def latest_impressions(
        self, since: str, *, agent: str | None = None, session: str | None = None, limit: int = 20
    ) -> list[ImpressionRecord]:
        """The latest impressions since a time, latest first.

        :param agent: only this agent's; `session` only those of this asking session.
        """
        self._await_behaviour()
        return impressions.latest(
            self._behaviour_readers,
            times.normalised(since, "since"),
            agent=agent,
            session=session,
            limit=limit,
        )

    def impression_that_showed(self, memory_id: str, agent: str | None = None) -> str | None:
        """Id of the latest impression that showed a memory.

        :param agent: to this agent; None to anyone.
        """
        self._await_behaviour()
        return impressions.latest_that_showed(self._behaviour_readers, self._asked(memory_id), agent)

    def judged_impressions(self, since: str, limit: int = 10_000) -> list[JudgedImpression]:
        """The latest impressions with any outcome, oldest first.

        :param since: of impressions made from this time on.
        """
        return impressions.judged(self._behaviour_readers, times.normalised(since, "since"), limit)

    def asked_since(self, since: str, limit: int = 20_000) -> list[Asked]:
        """What was asked since a time, oldest first, at most the latest `limit`."""
        return impressions.asked(self._behaviour_readers, times.normalised(since, "since"), limit)

    def prune_impressions(self, before: str, judged_before: str) -> Future[int]:
        """Removes impressions that nothing will be learned from any more; resolved with how many.

        :param before: those without an outcome that are older; `judged_before` those with one.
        """
        moments = times.normalised(before, "before"), times.normalised(judged_before, "judged_before")
        return self._behaviour.submit(lambda connection: impressions.prune(connection, *moments))

    def outcomes(self, memory_id: str | None = None, impression_id: str | None = None) -> list[OutcomeRecord]:
        """Outcomes in order of arrival, all or those of one memory or of one impression."""
        return impressions.outcomes(self._behaviour_readers, memory_id, impression_id)

    def outcome_totals(self) -> list[tuple[int, float, float]]:
        """Of each item with outcomes: its number, how often it was good (a use counts by its strength), and bad.

        Several verdicts of one agent about an item count as its latest one.
        """
        totals = impressions.outcome_totals(self._behaviour_readers)
        numbers = memories.item_numbers(self._readers, list(totals))
        return [(numbers[id], good, bad) for id, (good, bad) in totals.items() if id in numbers]

    def n_outcomes_since(self, agent: str, since: str) -> int:
        """How many outcomes an agent has told since a time."""
        return impressions.n_outcomes_since(self._behaviour_readers, agent, times.normalised(since, "since"))

    def add_ranker_model(self, model: NewRankerModel) -> Future[str]:
        """Records a model that was fitted to outcomes; one that is active replaces the one that was.

        :return: resolved with its id.
        """
        checked = ranker_models.check(model)
        id, now = self._id(), self._now()
        return self._behaviour.submit(lambda connection: ranker_models.add(connection, id, checked, now))

    def ranker_models(self, status: str | None = None, limit: int = 100) -> list[RankerModelRecord]:
        """The latest models, latest first.

        :param status: only those with this status.
        """
        return ranker_models.models(self._behaviour_readers, status, limit)

    def set_ranker_model_status(self, id: str, status: str, reason: str) -> Future[None]:
        """Gives a model another status; one that becomes active replaces the one that was.

        :raises UnknownId: when there is no such model.
        """
        fields.one_of(status, ranker_models.STATUSES, "status")
        now = self._now()
        return self._behaviour.submit(
            lambda connection: ranker_models.set_status(connection, id, status, reason, now)
        )

    def _await_behaviour(self) -> None:
        """Wait for what was handed to the writer, so that it is seen."""
        self._behaviour.submit(lambda _: None).result()

    def returned_digests(self, since: str) -> frozenset[str]:
        """Digests (see `digest`) of the texts that recalls returned since a time."""
        moment = times.normalised(since, "since")
        self._await_behaviour()
        ids = impressions.returned_since(self._behaviour_readers, moment)
        return memories.digests(self._readers, ids)

    def digest(self, text: str) -> str:
        """The keyed digest of a text without regard to its white space: equal for texts that count as the same."""
        return chain.hexadecimal(self._digests.fingerprint(fields.text(text, "text")))

    # ---- items and the recall index

    def candidates_by_words(
        self,
        terms: Sequence[str],
        limit: int,
        where: ItemFilter | npt.NDArray[np.bool_],
        snapshot: IndexSnapshot | None = None,
    ) -> Candidates:
        """The items that have any of the words (stemmed), best BM25 first.

        :param terms: words as the person wrote them; FTS5's operators are text like any other.
        :param where: a filter, or `index.mask` of one and the snapshot.
        :param snapshot: search what it holds; None is now.
        """
        seen = self.index.snapshot() if snapshot is None else snapshot
        return self._words.candidates(seen, terms, limit, _allowed(seen, where))

    def candidates_by_trigrams(
        self,
        fragments: Sequence[str],
        limit: int,
        where: ItemFilter | npt.NDArray[np.bool_],
        snapshot: IndexSnapshot | None = None,
    ) -> Candidates:
        """The items that contain any of the fragments (3 characters or more, any case), rarest first.

        :param where: as in `candidates_by_words`.
        """
        seen = self.index.snapshot() if snapshot is None else snapshot
        return words.trigram_candidates(self._readers, seen, fragments, limit, _allowed(seen, where))

    def texts(self, items_: npt.ArrayLike) -> list[str]:
        """The texts of items, in order; empty for those that were erased."""
        return memories.texts(self._readers, self.index.rows(items_))

    def ids(self, items_: npt.ArrayLike) -> list[str]:
        """The ids of items, in order; empty for those that were erased."""
        return memories.ids(self._readers, self.index.rows(items_))

    def records(self, items_: npt.ArrayLike) -> list[MemoryRecord]:
        """The records of items, in order; erased ones are left out."""
        return memories.by_row(self._readers, self.index.rows(items_))

    def write_index(self, model: str | None, batch: IndexBatch) -> Future[None]:
        """Stores what the indexer computed. The first model written is used by `cosines` from then on.

        :param model: whose vectors these are; None for stems and cues alone.
        :raises StoreError: from the future, when shapes do not match.
        """

        def work() -> None:
            tags = self.index.snapshot().tag
            items_ = computed.check_batch(batch, None)
            known = items_ < len(tags)
            own = np.where(known, tags[np.where(known, items_, 0)], 0).astype(np.uint32)
            keep = own != 0  # erased meanwhile: nothing of it may be written
            if batch.pooled is not None:
                if model is None:
                    raise StoreError("vectors need the name of the model that made them")
                columns = self._vectors_of(model, batch.pooled.shape[1])
                computed.check_batch(batch, columns.dim)
                columns.write(batch, items_, keep, own)
                if self.index.vectors is None:
                    self._use(columns)
            self._text.write(batch, items_, keep, own)

        return self._submit_computing(work)

    def use_text_version(self, version: str) -> Future[bool]:
        """Says in which way stems and cues are computed from now on; those of another way are forgotten.

        :return: whether there was another way; then `unindexed(None)` names all items again.
        """
        return self._submit_computing(lambda: self._text.use_version(version))

    def write_trigrams(self, items_: npt.ArrayLike) -> Future[None]:
        """Adds items to the trigram index; those that are in it already stay."""
        numbers = np.atleast_1d(np.asarray(items_, dtype=np.int64))
        texts = self.texts(numbers)

        def work(connection: Connection) -> None:
            for number, text in zip(numbers.tolist(), texts, strict=True):
                if text:
                    connection.execute(
                        "INSERT INTO trigrams (rowid, text) SELECT i.item, ? FROM items i WHERE i.item = ?"
                        " AND NOT EXISTS (SELECT 1 FROM trigrams_docsize d WHERE d.id = i.item)",
                        (text, number),
                    )

        return self._writer.submit(work)

    def unindexed(self, model: str | None, limit: int) -> Ints:
        """Items that lack stems, or vectors of a model, the newest first.

        :param model: None asks for stems alone.
        """
        snapshot = self.index.snapshot()
        every = np.arange(snapshot.n + 1, dtype=np.int64)
        done = self._text.is_done(every, snapshot.tag)
        if model is not None:
            columns = self._find_vectors(model)
            done &= columns.is_done(every, snapshot.tag) if columns is not None else False
        return np.flatnonzero(~done & (snapshot.status > 0))[::-1][:limit].astype(np.int64)

    def without_trigrams(self, limit: int) -> Ints:
        """Items that are not in the trigram index, the newest first."""
        with self._readers.lend() as connection:
            rows = connection.execute(
                "SELECT item FROM items WHERE item <= ?"
                " AND NOT EXISTS (SELECT 1 FROM trigrams_docsize d WHERE d.id = items.item)"
                " ORDER BY item DESC LIMIT ?",
                # A row is seen here a moment before the index knows it, and so before its text can be had.
                (self.index.snapshot().n, limit),
            ).fetchall()
        return np.array(rows, dtype=np.int64).reshape(-1)

    def index_in_use(self) -> str | None:
        """The model whose vectors `cosines` reads."""
        return None if self.index.vectors is None else self.index.vectors.model

    def use_index(self, model: str) -> None:
        """Makes `cosines` read this model's vectors, now and after the next start.

        :raises UnknownId: when there are none.
        """
        columns = self._find_vectors(model)
        if columns is None:
            raise UnknownId("index of the model", model)
        self._use(columns)

    def index_progress(self, model: str) -> tuple[int, int]:
        """How many items have vectors of a model, and how many items there are."""
        snapshot = self.index.snapshot()
        columns = self._find_vectors(model)
        n_items = int(np.count_nonzero(snapshot.status))
        return (0 if columns is None else columns.n_done(snapshot.tag)), n_items

    def drop_index(self, model: str) -> None:
        """Deletes the vectors of a model; words go on."""
        columns = self._find_vectors(model)
        if columns is None:
            return

        def work() -> None:
            with self._vectors_lock:
                self._vectors.pop(model, None)
            if self.index.vectors is columns:
                self.index.vectors = None
                self._set_meta("index_in_use", None)
            columns.remove()

        self._submit_computing(work).result()

    # ---- health

    def counts(self) -> Counts:
        """How much there is."""
        snapshot = self.index.snapshot()
        with self._readers.lend() as connection:
            row = connection.execute(
                "SELECT (SELECT ifnull(max(seq), 0) FROM events), (SELECT count(*) FROM memories),"
                " (SELECT count(*) FROM sessions), (SELECT count(*) FROM projects), (SELECT count(*) FROM agents),"
                " (SELECT count(*) FROM trigrams_docsize)"
            ).fetchone()
        n_events, n_memories, n_sessions, n_projects, n_agents, n_trigrams = row or (0,) * 6
        exists = snapshot.status > 0
        vectors = self.index.vectors
        return Counts(
            events=n_events,
            memories=n_memories,
            episodes=int(np.count_nonzero(exists & (snapshot.row > 0))),
            items=int(np.count_nonzero(exists)),
            sessions=n_sessions,
            projects=n_projects,
            agents=n_agents,
            indexed=snapshot.n_stemmed,
            embedded=0 if vectors is None else vectors.n_done(snapshot.tag),
            trigrams=n_trigrams,
            bytes_on_disk=bytes_on_disk(self.home),
        )

    def verify(self, sample: int | None = None, fix: bool = False) -> list[Finding]:
        """Proves that what is stored can be read, found and trusted.

        :param sample: how many items are looked up by their own words; None checks all.
        :param fix: mends what is derived (words, trigrams, packed items, columns, permissions).
        :return: what was wrong before anything was mended; empty when all is well. Notes are no faults.
        """
        return verify.verify(self._verification(), sample, fix)

    def _verification(self) -> Verification:
        return Verification(
            home=self.home,
            digests=self._digests,
            readers=self._readers,
            behaviour_readers=self._behaviour_readers,
            writer=self._writer,
            behaviour=self._behaviour,
            index=self.index,
            words=self._words,
            vectors=self._all_vectors(),
        )

    # ---- inside

    def _now(self) -> str:
        return times.from_unix(self._clock())

    def _id(self) -> str:
        return str(self._ids.generate())

    @staticmethod
    def _asked(id: str) -> str:
        return words.cleaned(id) if isinstance(id, str) else ""

    def _clear_caches(self) -> None:
        self._names.clear()
        self._numbers.clear()
        self._log.clear()

    def _read_items(self) -> list[bytes]:
        with self._readers.lend() as connection:
            rows = connection.execute(
                "SELECT item, packed FROM items WHERE length(packed) = ?", (items.PACKED.itemsize,)
            ).fetchall()
        packed = [row[1] for row in rows]
        numbers = np.frombuffer(b"".join(packed), dtype=items.PACKED)["item"]
        if all(row[0] == number for row, number in zip(rows, numbers.tolist(), strict=True)):
            return packed
        # What is damaged is left out here; `verify` finds it and makes it anew.
        return [data for (item, data), number in zip(rows, numbers.tolist(), strict=True) if item == number]

    def _read_names(self) -> Iterable[tuple[str, int, str]]:
        with self._readers.lend() as connection:
            return [
                (row[0], row[1], row[2])
                for row in connection.execute(
                    "SELECT 'agents', agent, name FROM agents"
                    " UNION ALL SELECT 'speakers', speaker, name FROM speakers"
                    " UNION ALL SELECT 'projects', project, coalesce(path, name) FROM projects"
                    " UNION ALL SELECT 'sessions', session, id FROM sessions"
                ).fetchall()
            ]

    def _submit_computing(self, work: Callable[[], T]) -> Future[T]:
        if self._is_closed:
            refused: Future[T] = Future()
            refused.set_exception(StoreClosed("the store is closed; nothing was written"))
            return refused
        return self._computing.submit(work)

    def _set_meta(self, key: str, value: str | None) -> None:
        def work(connection: Connection) -> None:
            if value is None:
                connection.execute("DELETE FROM meta WHERE key = ?", (key,))
            else:
                connection.execute(
                    "INSERT INTO meta (key, value) VALUES (?, ?)"
                    " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    (key, value),
                )

        self._writer.submit(work).result()

    def _open_index_in_use(self) -> None:
        with self._readers.lend() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'index_in_use'").fetchone()
        if row is not None:
            self.index.vectors = self._find_vectors(str(row[0]))

    def _use(self, columns: VectorColumns) -> None:
        self.index.vectors = columns
        self._set_meta("index_in_use", columns.model)

    def _vectors_of(self, model: str, dim: int) -> VectorColumns:
        found = self._find_vectors(model)
        if found is not None:
            return found
        with self._vectors_lock:
            folder = self.home / INDEX_FOLDER / computed.folder_name(model)
            self._vectors[model] = VectorColumns.create(folder, model, dim)
            return self._vectors[model]

    def _find_vectors(self, model: str) -> VectorColumns | None:
        with self._vectors_lock:
            found = self._vectors.get(model)
            if found is None:
                folder = self.home / INDEX_FOLDER / computed.folder_name(model)
                if not (folder / "model.json").exists():
                    return None
                found = self._vectors[model] = VectorColumns.open(folder)
            return found

    def _all_vectors(self) -> list[VectorColumns]:
        """The vectors of all models, those that are not in use too."""
        with self._vectors_lock:
            for path in (self.home / INDEX_FOLDER).glob("model-*/model.json"):
                if all(columns.folder != path.parent for columns in self._vectors.values()):
                    columns = VectorColumns.open(path.parent)
                    self._vectors[columns.model] = columns
            return list(self._vectors.values())


def _allowed(snapshot: IndexSnapshot, where: ItemFilter | npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return mask(snapshot, where) if isinstance(where, ItemFilter) else where


def bytes_on_disk(home: Path) -> int:
    """The space that a directory's files take (sparse files count what they hold)."""
    total = 0
    for folder, _, names in os.walk(home):
        for name in names:
            try:
                total += (Path(folder) / name).stat().st_blocks * 512
            except FileNotFoundError:
                continue  # a WAL that a checkpoint just removed
    return total
