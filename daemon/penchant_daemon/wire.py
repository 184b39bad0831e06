"""Every request and response that crosses the socket, MCP or the CLI: one word, one field, everywhere.

Requests are strict (no coercion of `"5"` to 5) and closed (an unknown field is an error that names it).
Times are UTC ISO-8601; a request may also give an offset, which is converted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import PydanticCustomError

EventKind = Literal[
    "message", "tool_call", "tool_result", "edit", "session_start", "session_end", "compaction", "reference"
]
Role = Literal["user", "assistant", "system", "tool"]
MemoryKind = Literal["fact", "decision", "procedure", "episode", "note"]
Scope = Literal["private", "project", "global"]
Origin = Literal["user", "assistant", "tool", "web", "import"]
Verdict = Literal["helped", "wrong", "outdated"]
Channel = Literal["api", "mcp", "hook", "transcript", "cli"]

MAX_BODY_BYTES = 10_000_000 - 1
MAX_CONTENT_CHARS = 1_000_000
MAX_NAME_CHARS = 4_096
MAX_BATCH = 5_000
MAX_LIMIT = 1_000
#: How the warning begins that says that all results were held back.
HELD_BACK = "nothing relevant is remembered"


def _without_control_characters(text: str) -> str:
    if any(character < " " or character == "\x7f" for character in text):
        raise PydanticCustomError("control_character", "Names hold no control characters such as NUL")
    return text


def utc_text(moment: datetime) -> str:
    """The one spelling of times: `2026-11-23T10:00:00.000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _instant(text: str, *, end_of_day: bool = False) -> str:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        if end_of_day and len(text) <= len("2026-11-23"):
            moment = moment.replace(hour=23, minute=59, second=59, microsecond=999_000)
        return utc_text(moment)
    except (ValueError, OverflowError):
        raise PydanticCustomError(
            "not_a_time", "Input should be a date or time in ISO-8601 such as 2026-11-23T10:00:00Z"
        ) from None


def _instant_or_end_of_day(text: str) -> str:
    return _instant(text, end_of_day=True)


Name = Annotated[
    str, Field(min_length=1, max_length=MAX_NAME_CHARS), AfterValidator(_without_control_characters)
]
Instant = Annotated[str, Field(max_length=40), AfterValidator(_instant)]  # without an offset: UTC
AsOf = Annotated[str, Field(max_length=40), AfterValidator(_instant_or_end_of_day)]  # a bare date: its end
Content = Annotated[str, Field(min_length=1, max_length=MAX_CONTENT_CHARS)]


class Request(BaseModel):
    """Base of what comes in: strict types, unknown fields refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Response(BaseModel):
    """Base of what goes out."""

    model_config = ConfigDict(frozen=True)


class EventIn(Request):
    """One interaction to log: `POST /v1/events` takes one or a list."""

    kind: EventKind = "message"
    role: Role = "user"
    content: Annotated[str, Field(max_length=MAX_CONTENT_CHARS)] = ""
    session: Name | None = None
    project: Name | None = None
    agent: Name | None = None  # default: the calling agent
    speaker: Name | None = None  # a person's or program's name; default: by role
    origin: Origin | None = None  # default: by role
    occurred_at: Instant | None = None  # default: now
    channel: Channel = "api"
    source_key: Name | None = None  # the host's own id of the record, for idempotence
    parent_session: Name | None = None
    tool_name: Name | None = None
    tool_call_id: Name | None = None
    meta: dict[str, JsonValue] | None = None


class EventOut(Response):
    id: str
    status: Literal["logged", "duplicate", "reference"]
    masked: int = 0  # secrets masked in this event


class SourceIn(Request):
    """How far a transcript file has been read; committed together with the events read from it."""

    path: Name
    assistant: Name
    size: int = 0
    mtime_ns: int = 0
    inode: int = 0
    offset: int = 0
    head_digest: str = ""
    state: dict[str, JsonValue] = Field(default_factory=dict)


class EventBatchIn(Request):
    """The body of a bulk import: events and the cursor of the file they were read from."""

    events: Annotated[list[EventIn], Field(max_length=MAX_BATCH)]
    source: SourceIn | None = None


class EventsOut(Response):
    results: list[EventOut]


class MemoryIn(Request):
    """One statement to remember: `POST /v1/memories` takes one or a list."""

    content: Content
    kind: MemoryKind = "fact"
    scope: Scope | None = None  # default: project when a project is given, else global
    project: Name | None = None
    agent: Name | None = None
    session: Name | None = None
    speaker: Name | None = None
    origin: Origin | None = None
    occurred_at: Instant | None = None
    valid_from: Instant | None = None
    valid_to: Instant | None = None
    supersedes: Name | None = None
    importance: Annotated[float, Field(ge=0.0, le=1.0, strict=False)] = 0.5


class MemoryReceiptOut(Response):
    id: str
    status: Literal["stored", "duplicate", "reference"]
    masked: int = 0


class MemoriesOut(Response):
    results: list[MemoryReceiptOut]


class MemoryOut(Response):
    """A memory, or an episode (a logged message), whole."""

    id: str
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


class RecallRequest(Request):
    query: Annotated[str, Field(max_length=MAX_CONTENT_CHARS)]
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 10
    project: Name | None = None
    agent: Name | None = None
    session: Name | None = None  # the asking session, for impressions
    as_of: AsOf | None = None  # a date or time; what was valid and known then
    budget_tokens: Annotated[int, Field(ge=1)] | None = None
    # The least relevance of the answer and of each result; 0 returns all. Default: recall.min_relevance of the config.
    min_relevance: Annotated[float, Field(ge=0.0, le=1.0, strict=False)] | None = None
    explain: bool = False


class Reason(Response):
    """One feature's part in a result's score, in words; the contributions of a result sum to its score."""

    feature: str  # `other`: all that is not worth a sentence
    value: float
    contribution: float
    text: str
    rank_without: int | None = None  # of the three largest: the rank without it, where it is another


class SameSaid(Response):
    """Where else the same was said."""

    id: str
    agent: str
    project: str | None
    session: str | None
    occurred_at: str


class RecallResult(Response):
    id: str
    content: str
    score: float
    created_at: str
    occurred_at: str
    kind: str
    speaker: str | None
    role: str | None
    session: str | None
    session_title: str | None
    project: str | None
    agent: str
    origin: str
    source: str  # "memory" or "episode"
    relevance: float = 0.0  # probability that this answers the question
    also: list[SameSaid] = Field(default_factory=list)  # what says the same and is merged into this
    reasons: list[Reason] | None = None  # with `explain`
    against: list[str] | None = None  # with `explain`: what speaks against it


class RecallResponse(Response):
    impression_id: str
    results: list[RecallResult]
    relevance: float = (
        0.0  # probability that anything that was found answers the question, also if it is held back
    )
    held_back: int = 0  # results of the first `limit` that are not relevant enough to be returned
    warnings: list[str] = Field(default_factory=list)  # e.g. no embedder: ranked by words alone
    took_ms: float = 0.0


class FeedbackRequest(Request):
    memory_id: Name
    verdict: Verdict
    impression_id: Name | None = None
    agent: Name | None = None


class FeedbackOut(Response):
    id: str
    status: Literal["recorded"]


class RankerModelOut(Response):
    """A model that was learned here, and what became of it."""

    id: str
    kind: str  # linear or trees
    project: str | None  # None: for all projects without one of their own
    status: str  # active, rejected, replaced, rolled_back, fell_back or refused
    reason: str
    created_at: str
    changed_at: str
    trained_on: dict[str, Any]
    weights: dict[str, float] | None = None  # of an active linear model


class RankerOut(Response):
    """What ranks now, and how far learning is."""

    prior: str
    prior_weights: dict[str, float]
    active: list[RankerModelOut]
    n_outcomes: int
    n_outcomes_learned: int = 0  # of them, looked at by the last round of learning
    n_queries: int  # recalls that an outcome is about
    n_queries_for_trees: int  # from so many on, trees are fitted
    state: str  # waiting, learned, held, fell_back, frozen, failed or off
    detail: str | None
    shadow: dict[str, float] | None  # what was learned against the prior, on the newest outcomes


class RankerHistoryOut(Response):
    models: list[RankerModelOut]


class RollbackRequest(Request):
    id: Name | None = None  # None: the model before, or else the prior
    project: Name | None = None


class RollbackOut(Response):
    ranks: str  # id of the model that ranks now, or the prior's name
    status: Literal["rolled_back"]


class ForgetRequest(Request):
    ids: Annotated[list[Name], Field(min_length=1, max_length=MAX_BATCH)]


class ForgetOut(Response):
    forgotten: list[str]
    unknown: list[str]


class SessionOut(Response):
    id: str
    title: str | None
    title_source: str | None  # "model", "host", "excerpt" or None
    project: str | None
    agent: str
    parent: str | None
    started_at: str | None
    ended_at: str | None
    n_events: int
    n_messages: int


class SessionsOut(Response):
    sessions: list[SessionOut]


class SessionEvent(Response):
    id: str
    kind: str
    role: str
    speaker: str | None
    content: str
    occurred_at: str
    tool_name: str | None


class SessionDetail(Response):
    session: SessionOut
    events: list[SessionEvent]
    next_position: int | None


class RecentOut(Response):
    memories: list[MemoryOut]


class ProjectOut(Response):
    id: str
    name: str
    path: str | None
    n_items: int


class ProjectsOut(Response):
    projects: list[ProjectOut]


class SourcesOut(Response):
    sources: list[SourceIn]


class WatchRequest(Request):
    assistants: list[Name] = Field(default_factory=list)
    paths: list[Name] = Field(default_factory=list)
    enabled: bool = True


class WatchOut(Response):
    enabled: bool
    places: list[str]


class ReindexRequest(Request):
    model: Name | None = None


class ReindexOut(Response):
    model: str
    n_items: int


class ContextRequest(Request):
    """What a hook asks for: context to inject at a session's start or before a prompt is answered."""

    event: Literal["SessionStart", "UserPromptSubmit"]
    prompt: str = ""
    session: Name | None = None
    project: Name | None = None
    agent: Name | None = None
    max_chars: Annotated[int, Field(ge=0, le=10_000)] = 4_000


class HookRequest(Request):
    """One call of a hook, as an assistant sent it: which hook it is and what it says is read from the payload."""

    event: Name | None = None  # the hook's name by the settings that fired it; the payload's own comes first
    agent: Name | None = None  # the host's name by these settings, for one that sends nothing of its own
    place: Name | None = None  # the project's directory, from the host's environment
    occurred_at: Instant | None = None  # default: now
    payload: dict[str, Any]


class ContextOut(Response):
    text: str  # empty: nothing worth injecting
    impression_id: str | None


class AgentIn(Request):
    """A bearer token for one agent, by its digest: the token itself never crosses the socket."""

    name: Name
    token_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # SHA-256 of the token, in hex


class AgentOut(Response):
    name: str
    status: Literal["issued"]


class ShutdownOut(Response):
    status: Literal["stopping"]
    pid: int


class StreamEvent(Response):
    """One line of `GET /v1/stream`: what was logged, learned or quarantined; ids and counts, never text."""

    kind: str  # logged, remembered, forgotten, learned, quarantined, ...
    at: str
    ids: list[str] = Field(default_factory=list)
    agent: str | None = None
    project: str | None = None
    session: str | None = None
    count: int = 0
    detail: str | None = None


class Problem(Response):
    """Something that a person should know, and the command that mends it."""

    part: str  # embedder, worker, watch, mcp, disk, ram, ...
    message: str
    fix: str | None = None


class CountsOut(Response):
    events: int = 0
    memories: int = 0
    episodes: int = 0
    items: int = 0
    sessions: int = 0
    projects: int = 0
    agents: int = 0
    indexed: int = 0
    embedded: int = 0


class LimitOut(Response):
    """One hard cap: what is used, and what may be."""

    used: float
    cap: float
    unit: str


class ModelOut(Response):
    """One model in use: `state` is ready, loading, missing, corrupt, idle, running, off or failed."""

    name: str
    state: str
    detail: str | None = None


class JobsOut(Response):
    queued: int = 0
    running: int = 0
    failed: int = 0


class IndexOut(Response):
    """How far the vectors and words of the recall index have followed what was stored."""

    model: str | None = None
    done: int = 0
    total: int = 0
    state: str = "off"  # idle, indexing, paused, reindexing, off
    detail: str | None = None


class StatusOut(Response):
    """`GET /v1/status` and `penchant status --json`; fields are added, never renamed."""

    running: bool = True
    version: str
    pid: int
    started_at: str
    uptime_s: float
    home: str
    socket: str
    tcp_port: int | None = None
    counts: CountsOut = Field(default_factory=CountsOut)
    index: IndexOut = Field(default_factory=IndexOut)
    models: dict[str, ModelOut] = Field(default_factory=dict)  # embedder, language_model
    jobs: dict[str, JobsOut] = Field(default_factory=dict)
    watch: WatchOut
    limits: dict[str, LimitOut] = Field(default_factory=dict)  # ram_daemon, disk, background_cpu
    mounts: dict[str, str] = Field(default_factory=dict)  # mcp: ready, waiting or the error
    masked: dict[str, int] = Field(default_factory=dict)  # secrets masked since start, by kind
    problems: list[Problem] = Field(default_factory=list)


class VerifyRequest(Request):
    """`POST /v1/verify`: prove that what is stored is whole and can be found."""

    sample: Annotated[int, Field(ge=1)] | None = None  # how many are looked up; default: every one
    fix: bool = False  # rebuild what is derived and wrong


class FindingOut(Response):
    code: str
    severity: Literal["error", "warning", "note"]
    message: str
    fix: str | None = None  # the command that mends it


class VerifyOut(Response):
    findings: list[FindingOut]


class ErrorBody(Response):
    code: str
    message: str
    field: str | None = None
    hint: str | None = None


class ErrorOut(Response):
    """The one error shape of every route."""

    error: ErrorBody
