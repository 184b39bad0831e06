"""The verbs of Penchant: each takes a request and the calling agent, and composes the parts that answer it.

Everything here is synchronous and safe to call from many threads; the server runs it in a pool. What a
verb acknowledges is on disk: the intake waits for the store's commit, which is shared by all that wait.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from penchant_daemon import __version__
from penchant_daemon import config as settings
from penchant_daemon.bus import Bus
from penchant_daemon.errors import (
    ConfigError,
    Forbidden,
    InternalError,
    InvalidField,
    NotFound,
    RequestError,
    StorageFull,
    TooMany,
    Unavailable,
)
from penchant_daemon.home import socket_path
from penchant_daemon.limits import Limits
from penchant_daemon.models.errors import ModelMissing
from penchant_daemon.wire import (
    AgentIn,
    AgentOut,
    ContextOut,
    ContextRequest,
    CountsOut,
    EventIn,
    EventOut,
    FeedbackOut,
    FeedbackRequest,
    FindingOut,
    ForgetOut,
    ForgetRequest,
    JobsOut,
    MemoryIn,
    MemoryOut,
    MemoryReceiptOut,
    ModelOut,
    Problem,
    ProjectOut,
    ProjectsOut,
    RankerHistoryOut,
    RankerOut,
    RecallRequest,
    RecallResponse,
    RecallResult,
    RecentOut,
    ReindexOut,
    ReindexRequest,
    RollbackOut,
    RollbackRequest,
    SessionDetail,
    SessionEvent,
    SessionOut,
    SessionsOut,
    SourceIn,
    SourcesOut,
    StatusOut,
    VerifyOut,
    VerifyRequest,
    WatchOut,
    WatchRequest,
    utc_text,
)
from penchant_store import (
    InvalidRecord,
    MemoryRecord,
    NewOutcome,
    SessionRecord,
    Store,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreReadOnly,
    UnknownId,
)

if TYPE_CHECKING:
    from penchant_daemon.capture.echo import EchoGuard
    from penchant_daemon.capture.inject import ContextBuilder
    from penchant_daemon.capture.intake import Intake
    from penchant_daemon.capture.watch import Watcher
    from penchant_daemon.indexer import Indexer
    from penchant_daemon.learners.ranking import RankingLearner
    from penchant_daemon.rankers import Rankers
    from penchant_daemon.recall import Recall

#: The agent that the person's own commands speak as.
PERSON = "cli"
MAX_FEEDBACK_A_MINUTE = 60  # of one agent; what learning counts of it is less
# Counting walks indexes of the database: it takes at most this share of the time, however often it is asked for. What
# a small store answers is as good as new, and of a large one at most this old.
COUNTING_SHARE = 0.05
COUNTS_AGE_S = 1.0


@dataclass
class Parts:
    """What a service is composed of; the composition root fills it."""

    home: Path
    store: Store
    intake: Intake
    recall: Recall
    context: ContextBuilder
    limits: Limits
    bus: Bus
    echo: EchoGuard
    indexer: Indexer
    rankers: Rankers
    learning: RankingLearner
    watcher: Watcher | None = None
    tcp_port: int | None = None
    mounts: Callable[[], dict[str, str]] = dict
    models: Callable[[], dict[str, ModelOut]] = dict
    problems: list[Callable[[], Sequence[Problem]]] = field(default_factory=list)
    clock: Callable[[], float] = time.time


class Service:
    """One daemon's verbs.

    :param parts: what they are composed of.
    :param config: the settings; replaced when a verb changes them.
    """

    def __init__(self, parts: Parts, config: settings.Config) -> None:
        self._parts = parts
        self._store = parts.store
        self.config = config
        self._config_lock = threading.Lock()
        self._started_at = parts.clock()
        self._counts: tuple[float, CountsOut, dict[str, JobsOut]] | None = None
        self.is_stopping = False

    @property
    def bus(self) -> Bus:
        """Where everything that happens is told."""
        return self._parts.bus

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return os.getpid()

    def begin_stop(self) -> None:
        """Take nothing new; streams end."""
        self.is_stopping = True
        self._parts.bus.close()

    # ---- what comes in

    def log_events(
        self, events: Sequence[EventIn], agent: str, source: SourceIn | None = None
    ) -> list[EventOut]:
        """Log interactions, in order; on disk on return."""
        self._parts.limits.check_write(sum(len(event.content) for event in events))
        self._parts.indexer.gate.stored(len(events))
        with _store_errors():
            return self._parts.intake.log(events, agent, "api", source)

    def remember(self, memories: Sequence[MemoryIn], agent: str) -> list[MemoryReceiptOut]:
        """Keep statements; on disk and findable on return."""
        self._parts.limits.check_write(sum(len(memory.content) for memory in memories))
        with _store_errors():
            return self._parts.intake.remember(memories, agent, "cli" if agent == "cli" else "api")

    def feedback(self, request: FeedbackRequest, agent: str) -> FeedbackOut:
        """Record what became of a recalled memory.

        :raises NotFound: no such memory or impression.
        :raises Forbidden: it was not shown to this agent.
        :raises InvalidField: the impression did not show the memory.
        :raises TooMany: this agent gives feedback faster than anyone reads.
        """
        self._parts.limits.check_write()
        said_by = request.agent or agent
        with _store_errors():
            if self._store.memory(request.memory_id) is None:
                raise _no_memory(request.memory_id, "body.memory_id")
            impression_id = self._judged_impression(request, said_by)
            since = utc_text(datetime.fromtimestamp(self._parts.clock() - 60.0, UTC))
            if self._store.n_outcomes_since(said_by, since) >= MAX_FEEDBACK_A_MINUTE:
                raise TooMany(
                    f"{said_by} gave feedback {MAX_FEEDBACK_A_MINUTE} times within a minute",
                    hint="wait a minute; this one was not kept",
                )
            outcome = NewOutcome(
                impression_id=impression_id,
                memory_id=request.memory_id,
                verdict=request.verdict,
                agent=said_by,
            )
            outcome_id = self._store.add_outcome(outcome).result()
        self.bus.publish("feedback", ids=[request.memory_id], agent=agent, detail=request.verdict)
        return FeedbackOut(id=outcome_id, status="recorded")

    def _judged_impression(self, request: FeedbackRequest, agent: str) -> str | None:
        """The impression that feedback is about: the one named, else the latest that showed the memory.

        The person may judge what any agent was shown; an agent only what it saw itself.
        """
        is_person = agent == PERSON
        if request.impression_id is None:
            found = self._store.impression_that_showed(request.memory_id, None if is_person else agent)
            if found is None and not is_person:
                raise Forbidden(
                    f"no recall has shown this memory to {agent}",
                    field="body.memory_id",
                    hint="recall first; feedback is for what a recall returned",
                )
            return found
        impression = self._store.impression(request.impression_id)
        if impression is None:
            raise NotFound(
                f"there is no impression {request.impression_id[:100]}", field="body.impression_id"
            )
        if not is_person and impression.agent != agent:
            raise Forbidden(
                f"that impression was shown to {impression.agent}, not to {agent}", field="body.impression_id"
            )
        if not any(item.id == request.memory_id and item.is_shown for item in impression.items):
            raise InvalidField(
                f"the impression {request.impression_id[:100]} did not show this memory",
                field="body.memory_id",
                hint="leave impression_id out to judge it by the latest recall that showed it",
            )
        return impression.id

    def forget(self, request: ForgetRequest, agent: str) -> ForgetOut:
        """Erase memories and episodes with all that was derived from them; unknown ids are no error."""
        with _store_errors():
            receipt = self._store.forget(request.ids).result()
        self.bus.publish("forgotten", ids=receipt.forgotten, agent=agent)
        return ForgetOut(forgotten=list(receipt.forgotten), unknown=list(receipt.unknown))

    def add_agent(self, request: AgentIn) -> AgentOut:
        """Let an agent in over TCP, by the digest of a token that its owner made."""
        with _store_errors():
            self._store.set_token_digest(request.name, request.token_digest).result()
        return AgentOut(name=request.name, status="issued")

    def agent_of_token(self, token: str) -> str | None:
        """The agent that a bearer token was issued to."""
        with _store_errors():
            agent = self._store.agent_by_token(token)
        return None if agent is None else agent.name

    # ---- what is asked

    def recall(self, request: RecallRequest, agent: str) -> RecallResponse:
        """What is remembered about a query, best first."""
        with _store_errors(), self._parts.indexer.gate:
            response = self._parts.recall.recall(request, request.agent or agent)
        self._returned(response.impression_id, response.results)
        return response

    def context(self, request: ContextRequest, agent: str) -> ContextOut:
        """What a hook should add to a session's start or to a prompt; empty when nothing is worth it."""
        recall_settings = self.config.recall
        if not recall_settings.inject:
            return ContextOut(text="", impression_id=None)
        with _store_errors(), self._parts.indexer.gate:
            return self._parts.context.context(
                request,
                request.agent or agent,
                max_chars=recall_settings.inject_max_chars,
                min_cosine=recall_settings.inject_min_cosine,
            )

    def get_memory(self, memory_id: str) -> MemoryOut:
        """One memory or episode, whole.

        :raises NotFound: there is none.
        """
        with _store_errors():
            record = self._store.memory(memory_id)
        if record is None:
            raise _no_memory(memory_id, "path.id")
        self._returned(None, [record])
        return _memory_out(record)

    def sessions(self, limit: int, project: str | None) -> SessionsOut:
        """Sessions, the latest first."""
        with _store_errors():
            found = self._store.sessions(limit, self._known_project(project))
        return SessionsOut(sessions=[_session_out(record) for record in found])

    def session(self, session_id: str, limit: int, after: int) -> SessionDetail:
        """One session and a page of its events, in order.

        :raises NotFound: there is none.
        """
        with _store_errors():
            record = self._store.session(session_id)
            if record is None:
                raise NotFound(
                    f"there is no session {session_id}", field="path.id", hint="penchant sessions lists them"
                )
            events = self._store.session_events(session_id, limit + 1, after)
        page = events[:limit]
        return SessionDetail(
            session=_session_out(record),
            events=[
                SessionEvent(
                    id=event.id,
                    kind=event.kind,
                    role=event.role,
                    speaker=event.speaker,
                    content=event.content,
                    occurred_at=event.occurred_at,
                    tool_name=event.tool_name,
                )
                for event in page
            ],
            next_position=page[-1].position if len(events) > limit else None,
        )

    def recent(self, limit: int, project: str | None) -> RecentOut:
        """What was remembered or said last, the latest first."""
        with _store_errors():
            found = self._store.recent(limit, self._known_project(project))
        self._returned(None, found)
        return RecentOut(memories=[_memory_out(record) for record in found])

    def projects(self) -> ProjectsOut:
        """Every project."""
        with _store_errors():
            found = self._store.projects()
        return ProjectsOut(
            projects=[
                ProjectOut(id=each.id, name=each.name, path=each.path, n_items=each.n_items) for each in found
            ]
        )

    def sources(self, path: str | None) -> SourcesOut:
        """How far session files have been read; of one file when `path` is given (empty: never read)."""
        with _store_errors():
            if path is None:
                cursors = self._store.source_cursors()
            else:
                cursor = self._store.source_cursor(path)
                cursors = [] if cursor is None else [cursor]
        return SourcesOut(
            sources=[
                SourceIn.model_construct(
                    path=each.path,
                    assistant=each.assistant,
                    size=each.size,
                    mtime_ns=each.mtime_ns,
                    inode=each.inode,
                    offset=each.offset,
                    head_digest=each.head_digest,
                    state=dict(each.state),
                )
                for each in cursors
            ]
        )

    # ---- what runs

    def watching(self) -> WatchOut:
        """Which places are followed live."""
        watcher = self._parts.watcher
        watch = self.config.watch
        places: Sequence[Path | str] = []
        if watcher is not None and watch.enabled:
            # In the daemon's first moments nothing is followed yet: what will be is named as in the config.
            places = watcher.places() or [*watch.assistants, *watch.paths]
        return WatchOut(enabled=self.config.watch.enabled, places=[str(place) for place in places])

    def watch(self, request: WatchRequest) -> WatchOut:
        """Change which places are followed; kept in the config."""
        home = self._parts.home
        values = {
            "watch.enabled": request.enabled,
            "watch.assistants": list(request.assistants),
            "watch.paths": list(request.paths),
        }
        with self._config_lock:
            try:
                config = settings.set_values(home, values)
            except ConfigError as error:
                raise InvalidField(error.message, field="body", hint=error.hint) from error
            self.config = self.config.model_copy(update={"watch": config.watch})
        if self._parts.watcher is not None:
            self._parts.watcher.follow(config.watch)
        return self.watching()

    def reindex(self, request: ReindexRequest) -> ReindexOut:
        """Make the vectors anew in the background; recall goes on with the old ones until that is done."""
        try:
            with _store_errors():
                model, n_items = self._parts.indexer.reindex(request.model)
        except ModelMissing as error:
            raise NotFound(error.message, field="body.model", hint=error.hint) from error
        return ReindexOut(model=model, n_items=n_items)

    def ranker(self) -> RankerOut:
        """What ranks now, and how far learning is."""
        with _store_errors():
            return self._parts.learning.status()

    def ranker_history(self, limit: int) -> RankerHistoryOut:
        """What was learned, the latest first, and what became of it."""
        with _store_errors():
            return RankerHistoryOut(models=self._parts.learning.history(limit))

    def roll_back_ranker(self, request: RollbackRequest) -> RollbackOut:
        """Undo what was learned last.

        :raises NotFound: no such project or model.
        :raises Conflict: nothing learned is active.
        """
        with _store_errors():
            project = None
            if request.project is not None:
                found = self._store.project_named(request.project)
                if found is None:
                    raise unknown_project(self._store, request.project, "body.project")
                project = found.id
            target = self._parts.rankers.roll_back(request.id, project)
        ranks = self._parts.rankers.prior.name if target is None else target.id
        self.bus.publish("learned", count=1, detail="ranker rolled back")
        return RollbackOut(ranks=ranks, status="rolled_back")

    def verify(self, request: VerifyRequest) -> VerifyOut:
        """Prove that what is stored is whole and can be found; with `fix`, rebuild what is derived."""
        with _store_errors():
            found = self._store.verify(sample=request.sample, fix=request.fix)
        return VerifyOut(
            findings=[
                FindingOut(code=each.code, severity=each.severity, message=each.message, fix=each.fix or None)
                for each in found
            ]
        )

    def status(self) -> StatusOut:
        """What runs, what is stored, what is wrong."""
        parts = self._parts
        counts, jobs = self._counted()
        return StatusOut(
            version=__version__,
            pid=os.getpid(),
            started_at=utc_text(datetime.fromtimestamp(self._started_at, UTC)),
            uptime_s=round(parts.clock() - self._started_at, 3),
            home=str(parts.home),
            socket=str(socket_path(parts.home)),
            tcp_port=parts.tcp_port,
            counts=counts,
            index=parts.indexer.progress(),
            models=parts.models(),
            jobs=jobs,
            watch=self.watching(),
            limits=parts.limits.usage(),
            mounts=parts.mounts(),
            masked=dict(parts.intake.masked()),
            problems=[problem for part in parts.problems for problem in part()],
        )

    # ---- inside

    def _counted(self) -> tuple[CountsOut, dict[str, JobsOut]]:
        began = time.monotonic()
        known = self._counts
        if known is not None and began < known[0]:
            return known[1], known[2]
        with _store_errors():
            counts = self._store.counts()
            jobs = self._store.job_counts()
        fresh = (
            CountsOut(
                events=counts.events,
                memories=counts.memories,
                episodes=counts.episodes,
                items=counts.items,
                sessions=counts.sessions,
                projects=counts.projects,
                agents=counts.agents,
                indexed=counts.indexed,
                embedded=counts.embedded,
            ),
            {
                kind: JobsOut(queued=each.queued, running=each.running, failed=each.failed)
                for kind, each in jobs.items()
            },
        )
        took_s = time.monotonic() - began
        self._counts = (began + min(took_s / COUNTING_SHARE, COUNTS_AGE_S), *fresh)
        return fresh

    def _known_project(self, project: str | None) -> str | None:
        if project is None:
            return None
        found = self._store.project_named(project)
        if found is None:
            raise unknown_project(self._store, project, "query.project")
        return found.id

    def _returned(self, impression_id: str | None, shown: Sequence[MemoryRecord | RecallResult]) -> None:
        """Note what is handed out, so that it is known when it comes back in what an assistant says."""
        if shown:
            self._parts.echo.returned(impression_id, ((each.id, each.content) for each in shown))


def unknown_project(store: Store, name: str, where: str) -> NotFound:
    """The error for a project that does not exist, with those that do."""
    known = [project.name for project in store.projects()[:10]]
    hint = f"known projects: {', '.join(known)}" if known else "there are no projects yet"
    return NotFound(f"there is no project {name[:200]!r}, or several have this name", field=where, hint=hint)


@contextmanager
def _store_errors() -> Iterator[None]:
    """The store's errors in the words and statuses of the wire."""
    try:
        yield
    except RequestError:
        raise
    except InvalidRecord as error:
        raise InvalidField(error.problem, field=f"body.{error.field}") from error
    except UnknownId as error:
        raise NotFound(str(error)) from error
    except StoreFull as error:
        hint = "make room on the disk, or raise limits.disk_mb in config.toml; penchant status shows both"
        raise StorageFull(str(error), hint=hint) from error
    except StoreReadOnly as error:
        raise Unavailable(str(error), hint="penchant doctor finds what cannot be written") from error
    except StoreClosed as error:
        raise Unavailable("the daemon is stopping", hint="penchant up starts it again") from error
    except StoreError as error:
        raise InternalError(str(error), hint="penchant doctor") from error


def _no_memory(memory_id: str, where: str) -> NotFound:
    return NotFound(f"there is no memory {memory_id[:100]}", field=where)


def _memory_out(record: MemoryRecord) -> MemoryOut:
    return MemoryOut(
        id=record.id,
        kind=record.kind,
        content=record.content,
        scope=record.scope,
        project=record.project,
        agent=record.agent,
        session=record.session,
        session_title=record.session_title,
        speaker=record.speaker,
        role=record.role,
        origin=record.origin,
        source_event=record.source_event,
        created_at=record.created_at,
        occurred_at=record.occurred_at,
        valid_from=record.valid_from,
        valid_to=record.valid_to,
        superseded_by=record.superseded_by,
        importance=record.importance,
        trust=record.trust,
        status=record.status,
    )


def _session_out(record: SessionRecord) -> SessionOut:
    return SessionOut(
        id=record.id,
        title=record.title,
        title_source=record.title_source,
        project=record.project,
        agent=record.agent,
        parent=record.parent,
        started_at=record.started_at,
        ended_at=record.ended_at,
        n_events=record.n_events,
        n_messages=record.n_messages,
    )


__all__ = ["Parts", "Service", "unknown_project"]
