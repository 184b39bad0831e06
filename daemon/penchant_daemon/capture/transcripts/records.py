"""What a reader yields beside events, and the accessors that keep a changed schema from breaking a read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pydantic import JsonValue

from penchant_daemon.wire import EventIn, SourceIn

JsonObject: TypeAlias = dict[str, JsonValue]


class Malformed(ValueError):
    """One record cannot be understood; the message says why. The reader goes on with the next one."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line (or, in a database, a row) that was not read as it stands.

    `line` counts from 1; 0 means the file as a whole. `outcome` says what became of it: `skipped`,
    `kept` (read after a repair, such as replaced bytes) or `left` (unfinished, read next time).
    """

    path: str
    line: int
    reason: str
    outcome: Literal["skipped", "kept", "left"] = "skipped"


@dataclass(frozen=True, slots=True)
class Progress:
    """All that lies before this point has been yielded: commit `source` together with those events.

    `n_bytes` is the position in the source as stored on disk, for a progress bar. `skipped` counts what
    was left out on purpose since the last Progress: `thinking`, `injected`, `rolled_back`, `copied`, `other`.
    """

    n_bytes: int
    source: SourceIn | None
    skipped: Mapping[str, int] = field(default_factory=dict)


Item: TypeAlias = EventIn | BadLine | Progress
Items: TypeAlias = Iterator[Item]


def as_object(value: JsonValue) -> JsonObject:
    """`value` when it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: JsonValue) -> list[JsonValue]:
    """`value` when it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: JsonValue) -> str:
    """`value` when it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def as_int(value: JsonValue) -> int:
    """`value` when it is a whole number, else 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def first_text(*values: JsonValue) -> str | None:
    """The first of `values` that is a non-blank string."""
    for value in values:
        if isinstance(value, str) and value.strip():
            return value
    return None
