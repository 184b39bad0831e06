"""The one client of the daemon, typed by `wire`: `Client` for commands, `AsyncClient` for the MCP server.

    with Client() as client:
        client.remember([MemoryIn(content="tests run with pytest -x")])
        for result in client.recall(RecallRequest(query="how do tests run")).results: ...

A command's client starts the daemon when none runs. Errors that the daemon answers are raised as the
same classes that it raised (`errors.RequestError` and below).
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel

from penchant_daemon import errors, lifecycle
from penchant_daemon.errors import DaemonUnreachable, PenchantError, RequestError
from penchant_daemon.home import home_dir, socket_path
from penchant_daemon.socket_http import Answer, Broken, NotReached, SocketHttp
from penchant_daemon.wire import (
    AgentIn,
    AgentOut,
    ContextOut,
    ContextRequest,
    EventBatchIn,
    EventIn,
    EventOut,
    EventsOut,
    FeedbackOut,
    FeedbackRequest,
    ForgetOut,
    ForgetRequest,
    MemoriesOut,
    MemoryIn,
    MemoryOut,
    MemoryReceiptOut,
    ProjectsOut,
    RankerHistoryOut,
    RankerOut,
    RecallRequest,
    RecallResponse,
    RecentOut,
    ReindexOut,
    ReindexRequest,
    RollbackOut,
    RollbackRequest,
    SessionDetail,
    SessionsOut,
    ShutdownOut,
    SourceIn,
    SourcesOut,
    StatusOut,
    StreamEvent,
    VerifyOut,
    VerifyRequest,
    WatchOut,
    WatchRequest,
)

if TYPE_CHECKING:
    import httpx2  # 85 ms to import: only the asynchronous client, inside the daemon, has it loaded

AGENT_HEADER = "x-penchant-agent"
SESSION_HEADER = "x-penchant-session"  # read by the MCP server; requests of the API name it in their body
BASE_URL = "http://localhost"
TIMEOUT_S = 60.0
VERIFY_TIMEOUT_S = 1_800.0  # every memory of a large store is looked up by its own words
AUTOSTART_TIMEOUT_S = 15.0  # it takes 0.3 s; on a machine that is busy with all else, seconds

Out = TypeVar("Out", bound=BaseModel)

_ERRORS: Mapping[str, type[RequestError]] = {
    error.code: error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, RequestError)
}


@contextlib.contextmanager
def _reaching(home: Path | None) -> Iterator[None]:
    """Turn what a broken connection raises into words about the daemon."""
    where = str(socket_path(home)) if home is not None else "the daemon"
    try:
        yield
    except TimeoutError as error:
        raise DaemonUnreachable(f"{where} did not answer within {TIMEOUT_S:g} s", "penchant logs") from error
    except (NotReached, Broken) as error:
        raise DaemonUnreachable(f"no daemon answers on {where}", "penchant up starts it") from error


@contextlib.contextmanager
def _as_ours() -> Iterator[None]:
    """The errors of httpx2 as those of `SocketHttp`."""
    import httpx2

    try:
        yield
    except httpx2.TimeoutException as error:
        raise TimeoutError(str(error)) from error
    except httpx2.TransportError as error:
        raise Broken(str(error)) from error


def _decoded(answer: Answer, out: type[Out]) -> Out:
    if answer.is_success:
        return out.model_validate_json(answer.body)
    raise error_of(answer.status, answer.body)


def error_of(status: int, body: bytes) -> RequestError:
    """The exception that an error response stands for."""
    try:
        said = json.loads(body)["error"]
        known = _ERRORS.get(said["code"])
        kind = known if known is not None else RequestError
        error = kind(said["message"], field=said.get("field"), hint=said.get("hint"))
    except (ValueError, KeyError, TypeError):
        error = RequestError(f"the daemon answered {status} without saying why")
    error.status = status
    return error


def _body(value: BaseModel) -> bytes:
    return value.model_dump_json(exclude_unset=True).encode()


def _bodies(values: Sequence[BaseModel]) -> bytes:
    return b"[" + b",".join(_body(value) for value in values) + b"]"


def _events_body(events: Sequence[EventIn], source: SourceIn | None) -> bytes:
    if source is None:
        return _bodies(events)
    return b'{"events":' + _bodies(events) + b',"source":' + _body(source) + b"}"


def _query(**values: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def _headers(agent: str | None, token: str | None) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if agent is not None:
        headers[AGENT_HEADER] = quote(agent, safe=" -_.:/@+()")
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return headers


class Client:
    """Synchronous client over the Unix socket.

    :param home: data directory of the daemon; None takes `home.home_dir()`.
    :param agent: name under which what is written is kept.
    :param autostart: start the daemon when none answers (waits at most 5 s).
    """

    def __init__(self, home: Path | None = None, agent: str | None = "cli", autostart: bool = True) -> None:
        self.home = home if home is not None else home_dir()
        self.agent = agent
        self._autostart = autostart
        self._http = SocketHttp(str(socket_path(self.home)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the daemon goes on."""
        self._http.close()

    def as_agent(self, agent: str) -> Self:
        """The same connections under another agent's name."""
        other = copy.copy(self)
        other.agent = agent
        return other

    def log_events(self, events: Sequence[EventIn], source: SourceIn | None = None) -> list[EventOut]:
        """Log interactions, on disk when this returns; `source` is the cursor of the file they come from."""
        return self._send("POST", "/v1/events", EventsOut, _events_body(events, source)).results

    def log_batch(self, batch: EventBatchIn) -> list[EventOut]:
        """`log_events` of a batch that is already built."""
        return self.log_events(batch.events, batch.source)

    def remember(self, memories: Sequence[MemoryIn]) -> list[MemoryReceiptOut]:
        """Keep statements; on disk and findable when this returns."""
        return self._send("POST", "/v1/memories", MemoriesOut, _bodies(memories)).results

    def get_memory(self, memory_id: str) -> MemoryOut:
        """One memory or episode, whole.

        :raises NotFound: there is none of this id.
        """
        return self._send("GET", f"/v1/memories/{quote(memory_id, safe='')}", MemoryOut)

    def recall(self, request: RecallRequest) -> RecallResponse:
        """What is remembered about a query, best first."""
        return self._send("POST", "/v1/recall", RecallResponse, _body(request))

    def context(self, request: ContextRequest) -> ContextOut:
        """What a hook should add to a session; empty text when nothing is worth it."""
        return self._send("POST", "/v1/context", ContextOut, _body(request))

    def feedback(self, request: FeedbackRequest) -> FeedbackOut:
        """Say whether a recalled memory helped, was wrong or is outdated."""
        return self._send("POST", "/v1/feedback", FeedbackOut, _body(request))

    def forget(self, ids: Sequence[str]) -> ForgetOut:
        """Erase memories and episodes, and all that was derived from them."""
        return self._send("POST", "/v1/forget", ForgetOut, _body(ForgetRequest(ids=list(ids))))

    def status(self) -> StatusOut:
        """What runs, what is stored, what is wrong."""
        return self._send("GET", "/v1/status", StatusOut)

    def sessions(self, limit: int = 50, project: str | None = None) -> SessionsOut:
        """Sessions, the latest first."""
        return self._send("GET", "/v1/sessions", SessionsOut, query=_query(limit=limit, project=project))

    def session(self, session_id: str, limit: int = 200, after: int | None = None) -> SessionDetail:
        """One session and its events in order; `after` is the `next_position` of the page before."""
        path = f"/v1/sessions/{quote(session_id, safe='')}"
        return self._send("GET", path, SessionDetail, query=_query(limit=limit, after=after))

    def recent(self, limit: int = 20, project: str | None = None) -> RecentOut:
        """What was remembered or said last."""
        return self._send("GET", "/v1/recent", RecentOut, query=_query(limit=limit, project=project))

    def projects(self) -> ProjectsOut:
        """Every project and how much is remembered of it."""
        return self._send("GET", "/v1/projects", ProjectsOut)

    def sources(self, path: str | None = None) -> SourcesOut:
        """How far each session file has been read; of one file when `path` is given."""
        return self._send("GET", "/v1/sources", SourcesOut, query=_query(path=path))

    def watching(self) -> WatchOut:
        """Which session files are followed live."""
        return self._send("GET", "/v1/watch", WatchOut)

    def watch(self, request: WatchRequest) -> WatchOut:
        """Follow session files live, or stop; kept in the config."""
        return self._send("POST", "/v1/watch", WatchOut, _body(request))

    def reindex(self, request: ReindexRequest | None = None) -> ReindexOut:
        """Make the vectors anew in the background, with another model if one is named."""
        return self._send("POST", "/v1/reindex", ReindexOut, _body(request or ReindexRequest()))

    def ranker(self) -> RankerOut:
        """What ranks now, and how far learning is."""
        return self._send("GET", "/v1/ranker", RankerOut)

    def ranker_history(self, limit: int = 50) -> RankerHistoryOut:
        """What was learned, the latest first, and what became of it."""
        return self._send("GET", "/v1/ranker/history", RankerHistoryOut, query=_query(limit=limit))

    def roll_back_ranker(self, request: RollbackRequest | None = None) -> RollbackOut:
        """Undo what was learned last, or take back the model of that id."""
        return self._send("POST", "/v1/ranker/rollback", RollbackOut, _body(request or RollbackRequest()))

    def verify(self, request: VerifyRequest) -> VerifyOut:
        """Prove that what is stored is whole and can be found; long for a large store."""
        return self._send("POST", "/v1/verify", VerifyOut, _body(request), timeout_s=VERIFY_TIMEOUT_S)

    def add_agent(self, request: AgentIn) -> AgentOut:
        """Let an agent in over TCP, by its token's digest."""
        return self._send("POST", "/v1/agents", AgentOut, _body(request))

    def shutdown(self) -> ShutdownOut:
        """Ask the daemon to finish and end."""
        return self._send("POST", "/v1/shutdown", ShutdownOut)

    def stream(self) -> Iterator[StreamEvent]:
        """What is logged, learned and quarantined, as it happens; ends when the daemon does."""
        self._ready()
        with (
            _reaching(self.home),
            self._http.stream("/v1/stream", _headers(self.agent, None)) as (status, lines),
        ):
            if not 200 <= status < 300:
                raise error_of(status, b"".join(lines))
            for line in lines:
                if line.startswith(b"data:"):
                    yield StreamEvent.model_validate_json(line[5:])

    def _ready(self) -> None:
        """Start the daemon when nothing listens (a stream cannot be sent twice)."""
        if self._autostart and not lifecycle.accepts(self.home):
            self._start()

    def _start(self) -> None:
        try:
            lifecycle.start(self.home, timeout_s=AUTOSTART_TIMEOUT_S)
        except PenchantError as error:
            raise DaemonUnreachable(
                f"the daemon could not be started: {error.message}", error.hint
            ) from error

    def _send(
        self,
        method: str,
        path: str,
        out: type[Out],
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Out:
        target = path + (f"?{urlencode(query)}" if query else "")
        headers = _headers(self.agent, None)
        with _reaching(self.home):
            try:
                answer = self._http.request(method, target, body, headers, timeout_s)
            except (NotReached, Broken) as error:
                # Only what never reached a daemon may be sent again unasked: a write whose answer was lost
                # could have been committed.
                if not (self._autostart and (isinstance(error, NotReached) or method == "GET")):
                    raise
                self._start()
                answer = self._http.request(method, target, body, headers, timeout_s)
        return _decoded(answer, out)


class AsyncClient:
    """Asynchronous client; never starts a daemon.

    :param transport: None: the Unix socket of `home`. Else any httpx2 transport, such as an
        `httpx2.ASGITransport` inside the daemon itself.
    :param home: data directory, read only where `transport` is None.
    :param agent: name under which what is written is kept.
    """

    def __init__(
        self,
        transport: httpx2.AsyncBaseTransport | None = None,
        *,
        home: Path | None = None,
        agent: str | None = "api",
        token: str | None = None,
        base_url: str = BASE_URL,
    ) -> None:
        self.home = None if transport is not None else (home if home is not None else home_dir())
        self.agent = agent
        self._token = token
        import httpx2

        if transport is None and self.home is not None:
            transport = httpx2.AsyncHTTPTransport(uds=str(socket_path(self.home)))
        self._http = httpx2.AsyncClient(transport=transport, base_url=base_url, timeout=TIMEOUT_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def as_agent(self, agent: str) -> Self:
        """The same connections under another agent's name."""
        other = copy.copy(self)
        other.agent = agent
        return other

    async def log_events(self, events: Sequence[EventIn], source: SourceIn | None = None) -> list[EventOut]:
        """See `Client.log_events`."""
        return (await self._send("POST", "/v1/events", EventsOut, _events_body(events, source))).results

    async def remember(self, memories: Sequence[MemoryIn]) -> list[MemoryReceiptOut]:
        """See `Client.remember`."""
        return (await self._send("POST", "/v1/memories", MemoriesOut, _bodies(memories))).results

    async def get_memory(self, memory_id: str) -> MemoryOut:
        """See `Client.get_memory`."""
        return await self._send("GET", f"/v1/memories/{quote(memory_id, safe='')}", MemoryOut)

    async def recall(self, request: RecallRequest) -> RecallResponse:
        """See `Client.recall`."""
        return await self._send("POST", "/v1/recall", RecallResponse, _body(request))

    async def context(self, request: ContextRequest) -> ContextOut:
        """See `Client.context`."""
        return await self._send("POST", "/v1/context", ContextOut, _body(request))

    async def feedback(self, request: FeedbackRequest) -> FeedbackOut:
        """See `Client.feedback`."""
        return await self._send("POST", "/v1/feedback", FeedbackOut, _body(request))

    async def forget(self, ids: Sequence[str]) -> ForgetOut:
        """See `Client.forget`."""
        return await self._send("POST", "/v1/forget", ForgetOut, _body(ForgetRequest(ids=list(ids))))

    async def status(self) -> StatusOut:
        """See `Client.status`."""
        return await self._send("GET", "/v1/status", StatusOut)

    async def sessions(self, limit: int = 50, project: str | None = None) -> SessionsOut:
        """See `Client.sessions`."""
        return await self._send(
            "GET", "/v1/sessions", SessionsOut, query=_query(limit=limit, project=project)
        )

    async def session(self, session_id: str, limit: int = 200, after: int | None = None) -> SessionDetail:
        """See `Client.session`."""
        path = f"/v1/sessions/{quote(session_id, safe='')}"
        return await self._send("GET", path, SessionDetail, query=_query(limit=limit, after=after))

    async def recent(self, limit: int = 20, project: str | None = None) -> RecentOut:
        """See `Client.recent`."""
        return await self._send("GET", "/v1/recent", RecentOut, query=_query(limit=limit, project=project))

    async def projects(self) -> ProjectsOut:
        """See `Client.projects`."""
        return await self._send("GET", "/v1/projects", ProjectsOut)

    async def stream(self) -> AsyncGenerator[StreamEvent, None]:
        """See `Client.stream`."""
        headers = _headers(self.agent, self._token)
        with _reaching(self.home), _as_ours():
            async with self._http.stream("GET", "/v1/stream", headers=headers, timeout=None) as response:
                if not response.is_success:
                    raise error_of(response.status_code, await response.aread())
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        yield StreamEvent.model_validate_json(line[5:])

    async def _send(
        self,
        method: str,
        path: str,
        out: type[Out],
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Out:
        with _reaching(self.home), _as_ours():
            response = await self._http.request(
                method,
                path,
                content=body,
                params=dict(query or {}),
                headers=_headers(self.agent, self._token),
            )
        return _decoded(Answer(response.status_code, response.content), out)


def to_jsonable(value: BaseModel) -> Any:
    """A response as plain JSON values, for `--json`."""
    return value.model_dump(mode="json")


__all__ = [
    "AGENT_HEADER",
    "SESSION_HEADER",
    "AsyncClient",
    "Client",
    "DaemonUnreachable",
    "RequestError",
    "error_of",
    "to_jsonable",
]
