"""The facade (signatures first; being filled)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import numpy.typing as npt

from penchant_store.index import RecallIndex
from penchant_store.records import (AgentRecord, Candidates, Counts, EventReceipt, EventRecord, Finding,
    ForgetReceipt, ImpressionRecord, IndexBatch, ItemFilter, Job, JobCounts, Json, MemoryReceipt, MemoryRecord,
    NewEvent, NewImpression, NewMemory, NewOutcome, OutcomeRecord, ProjectRecord, SessionRecord, SourceCursor, Ints)


class Store:
    index: RecallIndex
    vector_engine: str

    @classmethod
    def open(cls, home: Path, *, clock: Callable[[], float] | None = None) -> Store: raise NotImplementedError  # clock: unix seconds
    def close(self) -> None: raise NotImplementedError
    def add_events(self, events: Sequence[NewEvent], *, source: SourceCursor | None = None) -> Future[list[EventReceipt]]: raise NotImplementedError
    def add_memories(self, memories: Sequence[NewMemory]) -> Future[list[MemoryReceipt]]: raise NotImplementedError
    def memory(self, id: str) -> MemoryRecord | None: raise NotImplementedError
    def event(self, id: str) -> EventRecord | None: raise NotImplementedError
    def forget(self, ids: Sequence[str]) -> Future[ForgetReceipt]: raise NotImplementedError
    def session(self, id: str) -> SessionRecord | None: raise NotImplementedError
    def sessions(self, limit: int, project: str | None = None) -> list[SessionRecord]: raise NotImplementedError
    def session_events(self, id: str, limit: int, after_position: int = 0) -> list[EventRecord]: raise NotImplementedError
    def set_session_title(self, id: str, title: str, source: str) -> Future[None]: raise NotImplementedError
    def sessions_without_title(self, limit: int) -> list[SessionRecord]: raise NotImplementedError
    def recent(self, limit: int, project: str | None = None) -> list[MemoryRecord]: raise NotImplementedError
    def projects(self) -> list[ProjectRecord]: raise NotImplementedError
    def project_named(self, name_or_path: str) -> ProjectRecord | None: raise NotImplementedError
    def agents(self) -> list[AgentRecord]: raise NotImplementedError
    def agent_by_token(self, token: str) -> AgentRecord | None: raise NotImplementedError
    def issue_token(self, agent: str) -> Future[str]: raise NotImplementedError
    def source_cursor(self, path: str) -> SourceCursor | None: raise NotImplementedError
    def source_cursors(self) -> list[SourceCursor]: raise NotImplementedError
    def enqueue(self, kind: str, payload: Mapping[str, Json], dedupe_key: str | None = None) -> Future[str]: raise NotImplementedError
    def next_job(self, kinds: Sequence[str]) -> Job | None: raise NotImplementedError
    def finish_job(self, id: str, error: str | None = None) -> Future[None]: raise NotImplementedError
    def job_counts(self) -> dict[str, JobCounts]: raise NotImplementedError
    def counts(self) -> Counts: raise NotImplementedError
    def verify(self, sample: int | None = None, fix: bool = False) -> list[Finding]: raise NotImplementedError
    def digest(self, text: str) -> str: raise NotImplementedError  # keyed digest of the whitespace-collapsed text: MemoryRecord.digest, returned_digests
    def add_impression(self, impression: NewImpression) -> tuple[str, Future[None]]: raise NotImplementedError
    def add_outcome(self, outcome: NewOutcome) -> Future[str]: raise NotImplementedError
    def impression(self, id: str) -> ImpressionRecord | None: raise NotImplementedError
    def outcomes(self, memory_id: str | None = None) -> list[OutcomeRecord]: raise NotImplementedError
    def returned_digests(self, since: str) -> frozenset[str]: raise NotImplementedError  # since: UTC ISO-8601
    def candidates_by_words(self, terms: Sequence[str], limit: int, where: ItemFilter) -> Candidates: raise NotImplementedError
    def candidates_by_trigrams(self, fragments: Sequence[str], limit: int, where: ItemFilter) -> Candidates: raise NotImplementedError
    def texts(self, items: npt.ArrayLike) -> list[str]: raise NotImplementedError
    def records(self, items: npt.ArrayLike) -> list[MemoryRecord]: raise NotImplementedError
    def write_index(self, model: str | None, batch: IndexBatch) -> Future[None]: raise NotImplementedError  # model None: stems and cues only
    def write_trigrams(self, items: npt.ArrayLike) -> Future[None]: raise NotImplementedError
    def unindexed(self, model: str | None, limit: int) -> Ints: raise NotImplementedError  # model None: items lacking stems
    def without_trigrams(self, limit: int) -> Ints: raise NotImplementedError
    def use_index(self, model: str) -> None: raise NotImplementedError  # the index that cosines() reads; the first one written is used by itself
    def index_in_use(self) -> str | None: raise NotImplementedError
    def index_progress(self, model: str) -> tuple[int, int]: raise NotImplementedError  # (items done, items)
    def drop_index(self, model: str) -> None: raise NotImplementedError
