"""What goes into the store and what comes out: frozen dataclasses, never rows.

Times are UTC ISO-8601 with milliseconds and `Z` (`2026-11-23T10:00:00.000Z`); other offsets are converted on the way
in. Ids are ULIDs. "Not set" is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

EventStatus = Literal["logged", "duplicate", "reference"]
MemoryStatus = Literal["stored", "duplicate", "reference"]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One interaction to log.

    :param kind: message, tool_call, tool_result, edit, session_start, session_end, compaction or reference.
    :param role: user, assistant, system or tool.
    :param content: the text, exactly as it is kept (no NUL, no lone surrogates).
    :param session: the host's id of the conversation; created when new.
    :param project: a path or a name; created when new.
    :param speaker: who said it, when known by name.
    :param origin: user, assistant, tool, web or import; default by role (system -> import).
    :param occurred_at: when it happened; None means now.
    :param channel: api, mcp, hook, transcript or cli.
    :param source_key: the host's own id of the record, by which a second delivery is recognised.
    :param refers_to: ids that a `reference` points to.
    """

    kind: str
    role: str
    content: str
    session: str | None = None
    project: str | None = None
    agent: str = "unknown"
    speaker: str | None = None
    origin: str | None = None
    occurred_at: str | None = None
    channel: str = "api"
    source_key: str | None = None
    parent_session: str | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    meta: Mapping[str, Json] | None = None
    refers_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventReceipt:
    """What became of one event; `id` is the first one's when it is a duplicate."""

    id: str
    status: EventStatus


@dataclass(frozen=True, slots=True)
class EventRecord:
    """A logged event; `position` counts from 1 within its session, in order of arrival (0: no session)."""

    id: str
    kind: str
    role: str
    content: str
    session: str | None
    project: str | None
    agent: str
    speaker: str | None
    origin: str
    occurred_at: str
    created_at: str
    channel: str
    source_key: str | None
    tool_name: str | None
    tool_call_id: str | None
    meta: Mapping[str, Json] | None
    refers_to: tuple[str, ...]
    position: int
    is_erased: bool


@dataclass(frozen=True, slots=True)
class NewMemory:
    """One statement to remember.

    :param kind: fact, decision, procedure, episode or note.
    :param scope: private (its agent only), project or global; project without a project means global.
    :param origin: who it comes from; default user for the channels cli and api, else assistant.
    :param source_event: the event that it was distilled from; it is erased with that event.
    :param valid_from: since when it holds (None: since it was said); `valid_to` until when (None: still).
    :param importance: 0 to 1.
    :param supersedes: id of the memory that this one replaces.
    """

    content: str
    kind: str = "fact"
    scope: str = "project"
    project: str | None = None
    agent: str = "unknown"
    session: str | None = None
    speaker: str | None = None
    origin: str | None = None
    occurred_at: str | None = None
    source_event: str | None = None
    valid_from: str | None = None
    valid_to: str | None = None
    importance: float = 0.5
    channel: str = "api"
    supersedes: str | None = None


@dataclass(frozen=True, slots=True)
class MemoryReceipt:
    """What became of one memory; `id` is the first one's when it is a duplicate."""

    id: str
    status: MemoryStatus


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """A memory or an episode (a logged message), whole.

    `digest` is the keyed digest of its text (`Store.digest`); `is_event` tells an episode that is an event from a
    memory.
    """

    id: str
    item: int
    kind: str
    content: str
    scope: str
    project: str | None
    agent: str
    session: str | None
    session_title: str | None
    speaker: str | None
    role: str | None
    origin: str
    source_event: str | None
    created_at: str
    occurred_at: str
    valid_from: str | None
    valid_to: str | None
    superseded_by: str | None
    importance: float
    trust: float | None
    status: str
    digest: str
    channel: str
    is_event: bool


@dataclass(frozen=True, slots=True)
class ForgetReceipt:
    """What was erased (with what was derived from it), and which ids named nothing."""

    forgotten: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A conversation. `ended_at` is set by a session_end; `last_at` is its latest event."""

    id: str
    title: str | None
    title_source: str | None
    project: str | None
    agent: str
    parent: str | None
    started_at: str | None
    ended_at: str | None
    last_at: str | None
    n_events: int
    n_messages: int
    source: str
    key: int


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """A working directory or a named project; `key` is its number in the index and in `ItemFilter.project`."""

    id: str
    name: str
    path: str | None
    n_items: int
    key: int


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """A program that writes or reads memory; `key` is its number in the index and in `ItemFilter.agent`."""

    name: str
    created_at: str
    has_token: bool
    key: int


@dataclass(frozen=True, slots=True)
class SourceCursor:
    """How far a transcript file was read; `state` is the reader's own."""

    path: str
    size: int = 0
    mtime_ns: int = 0
    inode: int = 0
    offset: int = 0
    head_digest: str = ""
    state: Mapping[str, Json] = field(default_factory=dict)
    assistant: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of background work that was taken from the queue; `attempts` counts this one."""

    id: str
    kind: str
    payload: Mapping[str, Json]
    attempts: int


@dataclass(frozen=True, slots=True)
class JobCounts:
    """How many jobs of one kind wait, run and have failed for good."""

    queued: int = 0
    running: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is. `indexed`: items with stems; `embedded`: with vectors of the index in use."""

    events: int
    memories: int
    episodes: int
    items: int
    sessions: int
    projects: int
    agents: int
    indexed: int
    embedded: int
    trigrams: int
    bytes_on_disk: int


@dataclass(frozen=True, slots=True)
class ImpressionItem:
    """One candidate of a recall: the id of the memory or episode, its rank (from 1), score and features.

    :param features: as the model saw them (scaled); all items of an impression have the same names.
    :param is_shown: whether it was returned; the best of those that were not are kept to learn from.
    :param propensity: how likely it was looked at where it stood, above 0, at most 1.
    """

    id: str
    rank: int
    score: float
    features: Mapping[str, float] = field(default_factory=dict)
    is_shown: bool = True
    propensity: float = 1.0


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """The features of all items of an impression at once.

    :param values: (n_items, len(names)), as the model saw them (scaled); in the items' order.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NewImpression:
    """What one recall showed.

    :param features: of the items, whose own are then left empty.
    """

    query: str
    agent: str
    session: str | None
    project: str | None
    as_of: str | None
    items: tuple[ImpressionItem, ...]
    model: str
    features: FeatureTable | None = None


@dataclass(frozen=True, slots=True)
class ImpressionRecord:
    """A recorded impression; items that were erased since are no longer in it."""

    id: str
    created_at: str
    query: str
    agent: str
    session: str | None
    project: str | None
    as_of: str | None
    items: tuple[ImpressionItem, ...]
    model: str


@dataclass(frozen=True, slots=True)
class NewOutcome:
    """What happened with a shown memory.

    :param verdict: helped, wrong or outdated (said of it), or used (seen in what the assistant did next).
    :param source: feedback or use.
    :param strength: how sure that is, 0 to 1.
    """

    impression_id: str | None
    memory_id: str
    verdict: str
    agent: str
    source: str = "feedback"
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """A recorded outcome."""

    id: str
    created_at: str
    impression_id: str | None
    memory_id: str
    verdict: str
    agent: str
    source: str
    strength: float


@dataclass(frozen=True, slots=True)
class JudgedImpression:
    """An impression with what came of what it showed, in order of arrival."""

    impression: ImpressionRecord
    outcomes: tuple[OutcomeRecord, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """One recall's question: the id of its impression, when, what, and who asked."""

    impression_id: str
    created_at: str
    query: str
    agent: str
    session: str | None


@dataclass(frozen=True, slots=True)
class NewRankerModel:
    """A model that was fitted to outcomes; its text is a file that `digest` (SHA-256) tells from others.

    :param kind: linear or trees.
    :param project: id of the project that it ranks for; None for all others.
    :param status: active, rejected, replaced, rolled_back, fell_back or refused.
    :param reason: why it has this status, in words.
    :param trained_on: what it was fitted to and how it compared; JSON values.
    """

    kind: str
    project: str | None
    status: str
    reason: str
    digest: str
    trained_on: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RankerModelRecord:
    """A recorded model; `changed_at` is when it got its status."""

    id: str
    created_at: str
    kind: str
    project: str | None
    status: str
    reason: str
    digest: str
    trained_on: Mapping[str, Any]
    changed_at: str


Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that verify() found.

    :param code: stable name, e.g. `words_missing`.
    :param severity: error (data is at risk or unreachable), warning (works, but less well) or note.
    :param fix: the command that mends it.
    """

    code: str
    severity: Severity
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which items may be returned.

    :param project: number of the project; None means any.
    :param projects_or_global: with a project: global items too.
    :param agent: number of the asking agent; private items are visible to their own agent only.
    :param as_of: unix seconds; what had been said and was valid then (None: now, by status alone).
    :param statuses: which of active, superseded, quarantined, archived.
    """

    project: int | None = None
    projects_or_global: bool = True
    agent: int | None = None
    as_of: int | None = None
    statuses: tuple[str, ...] = ("active",)


class Ragged(NamedTuple):
    """Rows of different lengths: row i is `data[offsets[i]:offsets[i + 1]]`; `offsets` is int64 (k + 1,)."""

    data: npt.NDArray[np.generic]
    offsets: Ints


class Stems(NamedTuple):
    """Stem hashes of some items in text order: item i's are `data[offsets[i]:offsets[i + 1]]`."""

    data: npt.NDArray[np.uint32]
    offsets: Ints


class Tokens(NamedTuple):
    """Token vectors of some items in text order, as sign bits: item i's are `bits[offsets[i]:offsets[i + 1]]`.

    `bits` is (t, 48) uint8, `offsets` int64 (k + 1,).
    """

    bits: npt.NDArray[np.uint8]
    offsets: Ints


class Candidates(NamedTuple):
    """Items with their BM25 score, best first (larger is better, at least 0); ties by the newer item."""

    items: Ints
    bm25: Floats


@dataclass(frozen=True, slots=True)
class IndexBatch:
    """What the indexer computed for some items; None leaves a column as it is.

    :param items: (k,) item numbers.
    :param pooled: (k, dim) float32, rows L2-normalised.
    :param stems: crc32 of the stems in text order (uint32), stop words left out.
    :param cues: (k,) uint32 flags.
    :param tokens: (t, 48) uint8 rows, ragged by item.
    :param h3: (k, dim) mean of hidden layer 3; kept as float16.
    """

    items: npt.NDArray[np.integer]
    pooled: Floats | None = None
    stems: Ragged | Stems | tuple[npt.NDArray[np.uint32], Ints] | None = None
    cues: npt.NDArray[np.uint32] | None = None
    tokens: Ragged | None = None
    h3: npt.NDArray[np.floating] | None = None
