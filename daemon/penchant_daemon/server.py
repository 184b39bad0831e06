"""The routes of the daemon: bytes to a request, the service's verb in a thread, its answer to bytes.

Bodies are validated straight from their bytes (strictly, with the path of what is wrong), within a limit and
a deadline. The OpenAPI document is made from the same table as the router.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Annotated, Any, ParamSpec, TypeVar

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router

from penchant_daemon import __version__, body, hook_events
from penchant_daemon.access import Receive, Scope, Send, error_response
from penchant_daemon.bus import Bus
from penchant_daemon.errors import (
    Forbidden,
    InternalError,
    InvalidField,
    MethodNotAllowed,
    NotFound,
    PenchantError,
    RequestError,
    Unavailable,
)
from penchant_daemon.logs import described, logger
from penchant_daemon.peer import Peer
from penchant_daemon.service import Service
from penchant_daemon.wire import (
    MAX_LIMIT,
    AgentIn,
    AgentOut,
    ContextOut,
    ContextRequest,
    ErrorOut,
    EventBatchIn,
    EventIn,
    EventsOut,
    FeedbackOut,
    FeedbackRequest,
    ForgetOut,
    ForgetRequest,
    HookRequest,
    MemoriesOut,
    MemoryIn,
    MemoryOut,
    MemoryReceiptOut,
    Name,
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
    SourcesOut,
    StatusOut,
    StreamEvent,
    VerifyOut,
    VerifyRequest,
    WatchOut,
    WatchRequest,
    utc_text,
)
from penchant_daemon.wire import (
    Request as WireRequest,
)

N_READERS = 8
N_WRITERS = 64  # they mostly wait, together, for the same commit
HEARTBEAT_S = 15.0
SEND_TIMEOUT_S = 10.0  # a stream whose reader takes longer than this for one event is ended

log = logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]

Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT)]


class Paging(WireRequest):
    """Query of the lists."""

    limit: Limit = 50
    project: Name | None = None


class Latest(WireRequest):
    """Query of what is listed as a whole."""

    limit: Limit = 50


class EventPaging(WireRequest):
    """Query of one session."""

    limit: Limit = 200
    after: Annotated[int, Field(ge=0)] = 0


class SourceQuery(WireRequest):
    """Query of `GET /v1/sources`."""

    path: Name | None = None


class NoQuery(WireRequest):
    """Query of the routes that take none."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One route: what it takes and gives, for the router and for `/openapi.json`."""

    method: str
    path: str
    handler: Handler
    summary: str
    gives: type[BaseModel] | None = None
    takes: tuple[type[BaseModel], ...] = ()  # more than one: any of them
    takes_list_of: type[BaseModel] | None = None
    query: type[BaseModel] = NoQuery


class Routes:
    """The handlers of one service.

    :param stop: ends the daemon, called after `POST /v1/shutdown` is answered.
    """

    def __init__(self, service: Service, stop: Callable[[], None]) -> None:
        self._service = service
        self._stop = stop
        self._bodies = body.BodyReader()
        self._readers = ThreadPoolExecutor(N_READERS, thread_name_prefix="read")
        self._writers = ThreadPoolExecutor(N_WRITERS, thread_name_prefix="write")

    def table(self) -> Sequence[Verb]:
        """Every route of `/v1`."""
        return (
            Verb(
                "POST",
                "/v1/events",
                self.log_events,
                "Log one interaction, or a list of them",
                EventsOut,
                takes=(EventIn, EventBatchIn),
                takes_list_of=EventIn,
            ),
            Verb(
                "POST",
                "/v1/memories",
                self.remember,
                "Remember one statement, or a list of them",
                MemoryReceiptOut,
                takes=(MemoryIn,),
                takes_list_of=MemoryIn,
            ),
            Verb("GET", "/v1/memories/{id}", self.get_memory, "One memory or episode, whole", MemoryOut),
            Verb(
                "POST",
                "/v1/recall",
                self.recall,
                "What is remembered about a query",
                RecallResponse,
                takes=(RecallRequest,),
            ),
            Verb(
                "POST",
                "/v1/context",
                self.context,
                "What a hook adds to a session or a prompt",
                ContextOut,
                takes=(ContextRequest,),
            ),
            Verb(
                "POST",
                "/v1/hook",
                self.hook,
                "Log what a hook says; answers what the host expects on standard output, as text",
                takes=(HookRequest,),
            ),
            Verb(
                "POST",
                "/v1/feedback",
                self.feedback,
                "Say what became of a recalled memory",
                FeedbackOut,
                takes=(FeedbackRequest,),
            ),
            Verb(
                "POST",
                "/v1/forget",
                self.forget,
                "Erase memories and what was derived from them",
                ForgetOut,
                takes=(ForgetRequest,),
            ),
            Verb("GET", "/v1/status", self.status, "What runs, what is stored, what is wrong", StatusOut),
            Verb(
                "GET", "/v1/sessions", self.sessions, "Sessions, the latest first", SessionsOut, query=Paging
            ),
            Verb(
                "GET",
                "/v1/sessions/{id}",
                self.session,
                "One session and its events",
                SessionDetail,
                query=EventPaging,
            ),
            Verb(
                "GET", "/v1/recent", self.recent, "What was remembered or said last", RecentOut, query=Paging
            ),
            Verb("GET", "/v1/projects", self.projects, "Every project", ProjectsOut),
            Verb(
                "GET",
                "/v1/sources",
                self.sources,
                "How far session files have been read",
                SourcesOut,
                query=SourceQuery,
            ),
            Verb("GET", "/v1/watch", self.watching, "Which session files are followed live", WatchOut),
            Verb(
                "POST",
                "/v1/watch",
                self.watch,
                "Follow session files live, or stop",
                WatchOut,
                takes=(WatchRequest,),
            ),
            Verb(
                "POST",
                "/v1/reindex",
                self.reindex,
                "Make the vectors anew, in the background",
                ReindexOut,
                takes=(ReindexRequest,),
            ),
            Verb("GET", "/v1/ranker", self.ranker, "What ranks, and how far learning is", RankerOut),
            Verb(
                "GET",
                "/v1/ranker/history",
                self.ranker_history,
                "What was learned, and what became of it",
                RankerHistoryOut,
                query=Latest,
            ),
            Verb(
                "POST",
                "/v1/ranker/rollback",
                self.roll_back_ranker,
                "Undo what was learned last",
                RollbackOut,
                takes=(RollbackRequest,),
            ),
            Verb(
                "POST",
                "/v1/agents",
                self.add_agent,
                "Let an agent in over TCP, by its token's digest",
                AgentOut,
                takes=(AgentIn,),
            ),
            Verb(
                "POST",
                "/v1/verify",
                self.verify,
                "Prove that what is stored is whole and can be found",
                VerifyOut,
                takes=(VerifyRequest,),
            ),
            Verb("GET", "/v1/stream", self.stream, "What happens, as server-sent events", StreamEvent),
            Verb("POST", "/v1/shutdown", self.shutdown, "End the daemon (Unix socket only)", ShutdownOut),
        )

    def close(self) -> None:
        """Wait for the verbs under way, then end their threads."""
        self._writers.shutdown(wait=True, cancel_futures=False)
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def log_events(self, request: Request) -> Response:
        batch, root = body.events(await self._bodies.read(request))
        with body.rooted(root):
            _under_own_name(request, *batch.events)
            agent = request.state.agent
            results = await self._write(self._service.log_events, batch.events, agent, batch.source)
        return _json(EventsOut(results=results))

    async def remember(self, request: Request) -> Response:
        memories, is_list = body.memories(await self._bodies.read(request))
        with body.rooted(body.LIST if is_list else body.ONE):
            _under_own_name(request, *memories)
            results = await self._write(self._service.remember, memories, request.state.agent)
        return _json(MemoriesOut(results=results) if is_list else results[0])

    async def get_memory(self, request: Request) -> Response:
        return _json(await self._read(self._service.get_memory, request.path_params["id"]))

    async def recall(self, request: Request) -> Response:
        asked = body.one(await self._bodies.read(request), RecallRequest)
        with body.rooted(body.ONE):
            _under_own_name(request, asked)
        return _json(await self._read(self._service.recall, asked, request.state.agent))

    async def context(self, request: Request) -> Response:
        asked = body.one(await self._bodies.read(request), ContextRequest)
        with body.rooted(body.ONE):
            _under_own_name(request, asked)
        return _json(await self._read(self._service.context, asked, request.state.agent))

    async def hook(self, request: Request) -> Response:
        asked = body.one(await self._bodies.read(request), HookRequest)
        call = hook_events.understood(
            asked.payload,
            asked.event,
            asked.occurred_at or utc_text(datetime.now(UTC)),
            asked.agent,
            asked.place,
        )
        if call is None:
            raise InvalidField(
                "no hook that is taken is named here or in the payload",
                field="body.event",
                hint="UserPromptSubmit, Stop and others: penchant hook --help",
            )
        own = request.state.agent if request.state.peer.is_tcp else call.host
        if call.events:
            with body.rooted("body.payload"):
                events = body.checked(call.events, EventIn)
                _under_own_name(request, *events)
                await self._write(self._service.log_events, events, own, None)
        text = ""
        if hook_events.takes_context(call):
            wanted = body.checked([hook_events.context_request(call)], ContextRequest)[0]
            try:
                text = (await self._read(self._service.context, wanted, own)).text
            except PenchantError as error:
                log.warning("hook_context_failed", error=type(error).__name__)  # the prompt goes on without
        return Response(hook_events.answer(call, text), media_type="text/plain")

    async def feedback(self, request: Request) -> Response:
        given = body.one(await self._bodies.read(request), FeedbackRequest)
        with body.rooted(body.ONE):
            _under_own_name(request, given)
        return _json(await self._write(self._service.feedback, given, request.state.agent))

    async def forget(self, request: Request) -> Response:
        asked = body.one(await self._bodies.read(request), ForgetRequest)
        return _json(await self._write(self._service.forget, asked, request.state.agent))

    async def status(self, request: Request) -> Response:
        body.query(request, NoQuery)
        return _json(await self._read(self._service.status))

    async def sessions(self, request: Request) -> Response:
        asked = body.query(request, Paging)
        return _json(await self._read(self._service.sessions, asked.limit, asked.project))

    async def session(self, request: Request) -> Response:
        asked = body.query(request, EventPaging)
        session_id = request.path_params["id"]
        return _json(await self._read(self._service.session, session_id, asked.limit, asked.after))

    async def recent(self, request: Request) -> Response:
        asked = body.query(request, Paging)
        return _json(await self._read(self._service.recent, asked.limit, asked.project))

    async def projects(self, request: Request) -> Response:
        body.query(request, NoQuery)
        return _json(await self._read(self._service.projects))

    async def sources(self, request: Request) -> Response:
        return _json(await self._read(self._service.sources, body.query(request, SourceQuery).path))

    async def watching(self, request: Request) -> Response:
        body.query(request, NoQuery)
        return _json(await self._read(self._service.watching))

    async def watch(self, request: Request) -> Response:
        asked = body.one(await self._bodies.read(request), WatchRequest)
        return _json(await self._write(self._service.watch, asked))

    async def reindex(self, request: Request) -> Response:
        asked = body.one(await self._bodies.read(request), ReindexRequest)
        return _json(await self._write(self._service.reindex, asked))

    async def verify(self, request: Request) -> Response:
        asked = body.one(await self._bodies.read(request), VerifyRequest)
        return _json(await self._read(self._service.verify, asked))

    async def ranker(self, request: Request) -> Response:
        body.query(request, NoQuery)
        return _json(await self._read(self._service.ranker))

    async def ranker_history(self, request: Request) -> Response:
        return _json(await self._read(self._service.ranker_history, body.query(request, Latest).limit))

    async def roll_back_ranker(self, request: Request) -> Response:
        asked = body.one(await self._bodies.read(request), RollbackRequest)
        return _json(await self._write(self._service.roll_back_ranker, asked))

    async def add_agent(self, request: Request) -> Response:
        _only_over_the_socket(request)
        given = body.one(await self._bodies.read(request), AgentIn)
        return _json(await self._write(self._service.add_agent, given))

    async def stream(self, request: Request) -> Response:
        body.query(request, NoQuery)
        return EventStream(self._service.bus)

    async def shutdown(self, request: Request) -> Response:
        _only_over_the_socket(request)
        await self._bodies.read(request)
        answer = _json(ShutdownOut(status="stopping", pid=self._service.pid))
        answer.background = BackgroundTask(self._stop)
        return answer

    async def _read(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, partial(verb, *args, **kwargs))

    async def _write(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writers, partial(verb, *args, **kwargs))


class EventStream(Response):
    """Server-sent events of the bus, until the reader goes, is too slow, or the daemon ends."""

    def __init__(self, bus: Bus) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        self._bus = bus

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        subscription = self._bus.subscribe()
        gone = asyncio.ensure_future(_disconnected(receive))
        waiting = asyncio.ensure_future(subscription.next())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._say(send, b": penchant\n\n")
            while not gone.done():
                await asyncio.wait({waiting, gone}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    if not gone.done():
                        await self._say(send, b": still here\n\n")
                    continue
                event = waiting.result()
                if event is None:
                    why = "too slow" if subscription.was_too_slow else "stopping"
                    await self._tell(
                        send, StreamEvent(kind="end", at=utc_text(datetime.now(UTC)), detail=why)
                    )
                    break
                await self._tell(send, event)
                waiting = asyncio.ensure_future(subscription.next())
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            log.info("stream_reader_dropped", timeout_s=SEND_TIMEOUT_S)
        finally:
            waiting.cancel()
            gone.cancel()
            self._bus.unsubscribe(subscription)

    async def _tell(self, send: Send, event: StreamEvent) -> None:
        await self._say(send, f"event: {event.kind}\ndata: {event.model_dump_json()}\n\n".encode())

    @staticmethod
    async def _say(send: Send, text: bytes) -> None:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await send({"type": "http.response.body", "body": text, "more_body": True})


def create_app(service: Service, routes: Routes) -> Router:
    """The HTTP API of one service (without the door, which is `access.Gate`)."""
    verbs = routes.table()

    @cache
    def document() -> bytes:
        return json.dumps(_openapi(verbs)).encode()

    async def openapi(request: Request) -> Response:
        return Response(document(), media_type="application/json")

    handlers: dict[str, dict[str, Handler]] = {"/openapi.json": {"GET": openapi}}
    for verb in verbs:
        handlers.setdefault(verb.path, {})[verb.method] = verb.handler
    return Router(
        [Route(path, Endpoint(by_method)) for path, by_method in handlers.items()],
        redirect_slashes=False,
        default=_no_route,
    )


class Endpoint:
    """One path: the handler of each of its methods, every outcome of which is a response in one of our shapes.

    Starlette's own layers for this (two of error handling, one for each route) cost a fifth of a small request.
    """

    def __init__(self, by_method: Mapping[str, Handler]) -> None:
        self._by_method = dict(by_method)
        if "GET" in by_method:
            self._by_method["HEAD"] = by_method["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        handler = self._by_method.get(request.method)
        if handler is None:
            error = MethodNotAllowed(f"{request.method} is no method of {request.url.path[:200]}")
            response = error_response(error)
            response.headers["allow"] = ", ".join(sorted(self._by_method))
            return response
        try:
            return await handler(request)
        except RequestError as error:
            if error.status >= 500:
                log.warning("request_failed", path=request.url.path, status=error.status, code=error.code)
            return error_response(error)
        except PenchantError as error:
            log.warning("request_failed", path=request.url.path, error=described(error))
            return error_response(Unavailable(error.message, hint=error.hint))
        except ClientDisconnect:
            log.debug("client_disconnected", path=request.url.path)
            return Response(status_code=400)
        except Exception:  # noqa: BLE001 (outermost: one request's bug must not be another's)
            error_id = secrets.token_hex(4)
            log.exception("request_broke", id=error_id, path=request.url.path)
            return error_response(
                InternalError(
                    f"something broke in Penchant; the log has it as {error_id}", hint="penchant logs"
                )
            )


async def _no_route(scope: Scope, receive: Receive, send: Send) -> None:
    path = scope["path"][:200]
    error = NotFound(f"there is no route {path}", hint="GET /openapi.json lists them")
    await error_response(error)(scope, receive, send)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _only_over_the_socket(request: Request) -> None:
    peer: Peer = request.state.peer
    if peer.is_tcp:
        raise Forbidden(f"{request.url.path} is answered over the Unix socket only")


def _under_own_name(
    request: Request, *given: EventIn | MemoryIn | RecallRequest | ContextRequest | FeedbackRequest
) -> None:
    """Over TCP a caller is who its token says; on the socket it is the person's own program."""
    peer: Peer = request.state.peer
    if not peer.is_tcp:
        return
    own = request.state.agent
    for position, each in enumerate(given):
        if each.agent is not None and each.agent != own:
            raise Forbidden(
                f"the token was issued to {own!r}, not to {each.agent[:100]!r}",
                field=f"body[{position}].agent",
            )


def _json(value: BaseModel) -> Response:
    return Response(value.__pydantic_serializer__.to_json(value), media_type="application/json")


def _openapi(verbs: Sequence[Verb]) -> dict[str, Any]:
    """The OpenAPI document of the table of routes."""
    taken = {model for verb in verbs for model in (*verb.takes, verb.takes_list_of) if model is not None}
    given = {verb.gives for verb in verbs if verb.gives is not None} | {ErrorOut}
    keys, definitions = models_json_schema(
        [(model, "validation") for model in sorted(taken, key=lambda each: each.__name__)]
        + [(model, "serialization") for model in sorted(given, key=lambda each: each.__name__)],
        ref_template="#/components/schemas/{model}",
    )

    def reference(model: type[BaseModel], mode: Any) -> Any:
        return keys[model, mode]

    error = {"content": {"application/json": {"schema": reference(ErrorOut, "serialization")}}}
    paths: dict[str, dict[str, Any]] = {}
    for verb in verbs:
        media = "text/event-stream" if verb.path == "/v1/stream" else "application/json"
        ok: dict[str, Any] = {"description": "Done"}
        if verb.gives is not None:
            ok["content"] = {media: {"schema": reference(verb.gives, "serialization")}}
        operation: dict[str, Any] = {
            "operationId": verb.handler.__name__,
            "summary": verb.summary,
            "responses": {"200": ok, "default": {"description": "The one error shape", **error}},
        }
        parameters = (
            [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
            if "{id}" in verb.path
            else []
        )
        for name, schema in verb.query.model_json_schema().get("properties", {}).items():
            parameters.append({"name": name, "in": "query", "required": False, "schema": schema})
        if parameters:
            operation["parameters"] = parameters
        choices = [reference(model, "validation") for model in verb.takes]
        if verb.takes_list_of is not None:
            choices.append({"type": "array", "items": reference(verb.takes_list_of, "validation")})
        if choices:
            schema = choices[0] if len(choices) == 1 else {"anyOf": choices}
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        paths.setdefault(verb.path, {})[verb.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Penchant", "version": __version__},
        "paths": paths,
        "components": {"schemas": definitions.get("$defs", {})},
    }


__all__ = ["Routes", "Verb", "create_app"]
