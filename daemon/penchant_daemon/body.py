"""Request bodies: read with a limit and a deadline, and validated straight from their bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request

from penchant_daemon.errors import InvalidField, Malformed, RequestError, TooLarge, TooSlow
from penchant_daemon.wire import MAX_BODY_BYTES, EventBatchIn, EventIn, MemoryIn

CHUNK_TIMEOUT_S = 10.0  # between two pieces of a body
BODY_TIMEOUT_S = 60.0
DRAIN_BYTES = 4 * MAX_BODY_BYTES  # of a body that is too large, read on so that the sender sees the answer
BIG_BODY_BYTES = 1_000_000
N_BIG_BODIES = 2  # read and parsed at once: they are what can fill the memory

Value = TypeVar("Value")
Model = TypeVar("Model", bound=BaseModel)

ONE, LIST, BATCH = "body", "body[{}]", "body.events[{}]"  # how the n-th thing of a body is named

_EVENTS: TypeAdapter[list[EventIn]] = TypeAdapter(list[EventIn])
_MEMORIES: TypeAdapter[list[MemoryIn]] = TypeAdapter(list[MemoryIn])


class BodyReader:
    """Reads bodies of at most `MAX_BODY_BYTES`; few large ones at a time."""

    def __init__(self) -> None:
        self._big_bodies = asyncio.Semaphore(N_BIG_BODIES)

    async def read(self, request: Request) -> bytes:
        """The body's bytes.

        :raises TooLarge: as soon as it is known, by its stated length or while it arrives.
        :raises TooSlow: it stalls, or takes longer than a minute in all.
        :raises ClientDisconnect: the client went away before its end.
        """
        stated = request.headers.get("content-length", "")
        if stated.isdigit() and int(stated) > MAX_BODY_BYTES:
            await self._drain(request, int(stated))
            raise _too_large(int(stated))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + BODY_TIMEOUT_S
        pieces: list[bytes] = []
        size = 0
        is_big = False
        stream = request.stream()
        try:
            while True:
                wait_s = min(CHUNK_TIMEOUT_S, deadline - loop.time())
                try:
                    async with asyncio.timeout(max(wait_s, 0.0)):
                        piece = await anext(stream)
                except StopAsyncIteration:
                    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
                except TimeoutError:
                    raise TooSlow(f"the body stopped after {size} bytes") from None
                if not piece:
                    continue
                size += len(piece)
                if size > MAX_BODY_BYTES:
                    raise _too_large(size)
                if size > BIG_BODY_BYTES and not is_big:
                    await self._big_bodies.acquire()
                    is_big = True
                pieces.append(piece)
        finally:
            if is_big:
                self._big_bodies.release()

    @staticmethod
    async def _drain(request: Request, stated: int) -> None:
        """Read on and drop it: many clients look for the answer only when all is sent."""
        if stated > DRAIN_BYTES:
            return
        try:
            async with asyncio.timeout(CHUNK_TIMEOUT_S):
                async for _ in request.stream():
                    pass
        except TimeoutError:
            return


def one(body: bytes, model: type[Model]) -> Model:
    """A body that is one object."""
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise refusal(error, "body") from error


def checked(values: Sequence[object], model: type[Model]) -> list[Model]:
    """What was read from a body, held to a model."""
    try:
        return [model.model_validate(value) for value in values]
    except ValidationError as error:
        raise refusal(error, "body.payload") from error


def events(body: bytes) -> tuple[EventBatchIn, str]:
    """The body of `POST /v1/events`: one event, a list of them, or `{"events": [...], "source": {...}}`.

    :return: the events as a batch, and where in the body they stand (`rooted`).
    """
    try:
        if body.lstrip()[:1] == b"[":
            return EventBatchIn.model_construct(events=_EVENTS.validate_json(body), source=None), LIST
        if b'"events"' in body and _has_key(body, "events"):
            return EventBatchIn.model_validate_json(body), BATCH
        one_event = EventIn.model_validate_json(body or b"{}")
        return EventBatchIn.model_construct(events=[one_event], source=None), ONE
    except ValidationError as error:
        raise refusal(error, "body") from error


@contextmanager
def rooted(root: str) -> Iterator[None]:
    """Name fields as they stand in the body: who checks the events calls the first one `body[0]`."""
    try:
        yield
    except RequestError as error:
        if error.field is not None and error.field.startswith("body["):
            position, _, rest = error.field.removeprefix("body[").partition("]")
            error.field = root.format(position) + rest
        raise


def memories(body: bytes) -> tuple[list[MemoryIn], bool]:
    """The body of `POST /v1/memories`: the memories, and whether they came as a list."""
    try:
        if body.lstrip()[:1] == b"[":
            return _MEMORIES.validate_json(body), True
        return [MemoryIn.model_validate_json(body)], False
    except ValidationError as error:
        raise refusal(error, "body") from error


def query(request: Request, model: type[Model]) -> Model:
    """The query string as a model; a name that is given twice or unknown is refused."""
    if not request.url.query:
        return model()
    given: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise InvalidField("is given twice", field=f"query.{name}")
        given[name] = value
    try:
        return model.model_validate_strings(given)
    except ValidationError as error:
        raise refusal(error, "query") from error


def refusal(error: ValidationError, root: str) -> RequestError:
    """What pydantic found wrong, in the one error shape: the first field, and how many more."""
    found = error.errors(include_url=False, include_input=False, include_context=True)
    first: Mapping[str, Any] = found[0]
    if first["type"] == "json_invalid":
        return Malformed(f"the body is not JSON: {first['ctx']['error']}", field=root)
    path = path_of(root, first["loc"])
    message = "there is no such field" if first["type"] == "extra_forbidden" else _lowered(first["msg"])
    if len(found) > 1:
        others = ", ".join(path_of(root, other["loc"]) for other in found[1:4])
        message += f" (also wrong: {others}{', ...' if len(found) > 4 else ''})"
    return InvalidField(message, field=path)


def path_of(root: str, parts: Sequence[int | str]) -> str:
    """`("body", [3, "content"])` as `body[3].content`."""
    return root + "".join(f"[{part}]" if isinstance(part, int) else f".{part[:100]}" for part in parts)


def _has_key(body: bytes, key: str) -> bool:
    """Whether the object has this key at its top: the bytes alone could be part of a text."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return False  # validation will say what is wrong with it
    return isinstance(value, dict) and key in value


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


def _too_large(size: int) -> TooLarge:
    return TooLarge(
        f"the body has {size} bytes or more, at most {MAX_BODY_BYTES} are taken",
        hint="send it in several requests",
    )


__all__ = [
    "BATCH",
    "LIST",
    "ONE",
    "BodyReader",
    "events",
    "memories",
    "one",
    "path_of",
    "query",
    "refusal",
    "rooted",
]
