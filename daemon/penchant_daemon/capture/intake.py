"""The one door: everything that is logged or remembered passes here before it reaches the store.

Each text is cleaned (NUL, half surrogates), loses what Penchant itself had said and its secrets, and gets
its speaker, project and time; then it is stored, and the bus is told which ids there are. A batch is checked
as a whole before any of it is stored.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath

from pydantic import TypeAdapter, ValidationError

from penchant_daemon.bus import Bus
from penchant_daemon.capture.echo import EchoGuard, impressions_named, strip_marks
from penchant_daemon.capture.secrets import Json, SecretMasker
from penchant_daemon.capture.transcripts.project import project_of
from penchant_daemon.capture.transcripts.segments import is_edit
from penchant_daemon.errors import InvalidField
from penchant_daemon.wire import (
    EventIn,
    EventOut,
    MemoryIn,
    MemoryReceiptOut,
    Problem,
    Request,
    SourceIn,
    utc_text,
)
from penchant_store import InvalidRecord, NewEvent, NewMemory, SourceCursor, Store

MAX_FUTURE_S = 86_400.0  # clocks of other machines and time zones given wrongly; more is a mistake
TWICE_WINDOW_S = 5.0  # two hosts, or two settings files, fire the same turn within moments
MAX_RECENT = 4_096
MAX_TITLE_CHARS = 200
SPOOL_NAME = "spool"
SPOOL_CHANNEL = "spool"  # stored as `hook`

_OWN_TOOL = re.compile(r"(?:^|__|[._/:])penchant(?:$|__|[._/:-])|^mcp_penchant_", re.IGNORECASE)
_WINDOWS_PATH = re.compile(r"^[A-Za-z]:[\\/]|^\\\\")
_log = logging.getLogger("penchant.intake")


class SpooledEvents(Request):
    """One file of the spool: what a hook could not deliver because no daemon ran."""

    agent: str
    events: list[EventIn]


_SPOOLED = TypeAdapter(SpooledEvents)


@dataclass(frozen=True, slots=True)
class _Prepared:
    event: NewEvent
    masked: int
    is_reference: bool
    same_as: str | None  # id of the event that another host had logged for the same turn


class Intake:
    """Logs events and remembers statements; safe to call from several threads.

    :param store: where everything goes.
    :param secrets: takes out keys, tokens and passwords.
    :param echo: recognises what Penchant itself had returned.
    :param bus: is told the ids of what was stored, never a text.
    :param clock: Unix seconds.
    :param home: data directory whose spool is drained while hooks come in; None for none.
    """

    def __init__(
        self,
        store: Store,
        secrets: SecretMasker,
        echo: EchoGuard,
        bus: Bus,
        *,
        clock: Callable[[], float] = time.time,
        home: Path | None = None,
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._echo = echo
        self._bus = bus
        self._clock = clock
        self._home = home
        self._turns = _RecentTurns()
        self._spool_lock = threading.Lock()

    def log(
        self,
        events: Sequence[EventIn],
        agent: str,
        channel: str | None = None,
        source: SourceIn | None = None,
    ) -> list[EventOut]:
        """Log events and answer when they are on disk, in their order.

        :param agent: the calling program, for events that do not name one.
        :param channel: how they came, for events that do not say it; None: `cli` for the command line, else
            `api`.
        :param source: how far the transcript that they are from has been read; kept with them or not at all.
        :raises InvalidField: one of them cannot be logged; none of them is.
        """
        now = self._clock()
        channel = channel or _channel_of(agent)
        if channel != SPOOL_CHANNEL and any(event.channel == "hook" for event in events):
            self._drain_before_hooks()
        places = _places(len(events))
        prepared = [
            self._prepared(event, where, agent, channel, now)
            for event, where in zip(events, places, strict=True)
        ]
        new = [one.event for one in prepared if one.same_as is None]
        stored = (
            self._store.add_events(new, source=_cursor(source)).result() if new or source is not None else []
        )
        receipts = iter(stored)
        results: list[EventOut] = []
        for one in prepared:
            if one.same_as is not None:
                results.append(EventOut(id=one.same_as, status="duplicate", masked=one.masked))
                continue
            receipt = next(receipts)
            results.append(EventOut(id=receipt.id, status=receipt.status, masked=one.masked))
            if one.event.channel == "hook":
                self._turns.logged(one.event, receipt.id)
        self._keep_titles(prepared, results)
        self._publish_events(prepared, results)
        return results

    def remember(
        self, items: Sequence[MemoryIn], agent: str, channel: str | None = None
    ) -> list[MemoryReceiptOut]:
        """Keep statements and answer when they are on disk, in their order.

        A statement that only repeats what was recalled is not stored: its receipt is a `reference` with the
        id of the memory that it repeats. One that says what it replaces (`supersedes`) is always stored.

        :raises InvalidField: one of them cannot be kept; none of them is.
        """
        now = self._clock()
        channel = channel or _channel_of(agent)
        new: list[NewMemory] = []
        receipts: list[MemoryReceiptOut | None] = []
        masked: list[int] = []
        for item, where in zip(items, _places(len(items)), strict=True):
            memory, kinds = self._prepared_memory(item, where, agent, channel, now)
            repeated: tuple[str, ...] | None = None
            if item.supersedes is None:
                repeated = self._still_there(
                    self._echo.repeated_memory(
                        memory.content, _seconds(memory.occurred_at), is_typed=channel == "cli"
                    )
                )
            n_masked = sum(kinds.values())
            masked.append(n_masked)
            if repeated is not None or not memory.content:
                known = repeated[0] if repeated else ""
                receipts.append(MemoryReceiptOut(id=known, status="reference", masked=n_masked))
            else:
                receipts.append(None)
                new.append(memory)
        stored = iter(self._store.add_memories(new).result() if new else ())
        results: list[MemoryReceiptOut] = []
        for receipt, n_masked in zip(receipts, masked, strict=True):
            if receipt is None:
                answer = next(stored)
                receipt = MemoryReceiptOut(id=answer.id, status=answer.status, masked=n_masked)
            results.append(receipt)
        ids = [result.id for result in results if result.status == "stored"]
        if ids:
            self._bus.publish(
                "remembered", ids=ids, agent=agent, project=new[0].project, session=new[0].session
            )
        return results

    def returned(self, impression_id: str | None, memories: Iterable[tuple[str, str]]) -> None:
        """Note what is handed out, (id, text) of each, so that it is known when it comes back."""
        self._echo.returned(impression_id, memories)

    def without_secrets(self, text: str) -> str:
        """A text that is kept without being logged, such as a query, less its secrets; never waits."""
        return self._secrets.mask_at_once(cleaned(text)).text

    def problems(self) -> list[Problem]:
        """What a person should know: secrets are looked for with less than all detectors."""
        status = self._secrets.status()
        if status.problem is None:
            return []
        fix = "pip install --force-reinstall kingfisher-secret-scanner, then penchant restart"
        return [
            Problem(part="secrets", message=f"only our own rules look for secrets: {status.problem}", fix=fix)
        ]

    def masked(self) -> Mapping[str, int]:
        """Secrets masked since the start, by kind."""
        return self._secrets.status().masked

    def drain_spool(self, home: Path) -> int:
        """Log what hooks left in the spool while no daemon ran, oldest first; returns the number of events.

        Each file goes when its events are on disk. A crash in between delivers it again, and the events' own
        keys make the second delivery a duplicate. A file that cannot be read is set aside as `.bad`.
        """
        n_logged = 0
        with self._spool_lock:
            for path in _spooled(home):
                try:
                    spooled = _SPOOLED.validate_json(path.read_bytes())
                    self.log(spooled.events, spooled.agent, SPOOL_CHANNEL)
                except (ValidationError, InvalidField, InvalidRecord) as error:
                    n_errors = error.error_count() if isinstance(error, ValidationError) else 1
                    _log.warning(
                        "spooled events in %s cannot be read (%d errors): set aside", path.name, n_errors
                    )
                    path.replace(path.with_suffix(".bad"))
                    continue
                except FileNotFoundError:
                    continue
                except OSError as error:  # it waits, and the others do not wait for it
                    _log.warning("spooled events in %s cannot be read: %s", path.name, error.strerror)
                    continue
                n_logged += len(spooled.events)
                path.unlink(missing_ok=True)
        return n_logged

    def _prepared(self, event: EventIn, where: str, agent: str, channel: str, now: float) -> _Prepared:
        own_channel = event.channel if "channel" in event.model_fields_set else channel
        own_channel = "hook" if own_channel == SPOOL_CHANNEL else own_channel
        occurred_at = _checked_time(event.occurred_at, f"{where}.occurred_at", now)
        kinds: Counter[str] = Counter()
        kind = event.kind
        is_own_tool = (
            kind == "tool_result" and event.tool_name is not None and bool(_OWN_TOOL.search(event.tool_name))
        )
        stripped = strip_marks(cleaned(event.content))
        refers_to: tuple[str, ...] = ()
        content = stripped.text
        if stripped.impressions:
            refers_to = self._echo.memories_of(stripped.impressions)
        if is_own_tool:
            # The payload is a copy of what is stored already; only the pointer is kept.
            refers_to = refers_to or self._echo.memories_of(impressions_named(content))
            content, kind = "", "reference"
        elif stripped.impressions and not content.strip():
            content, kind = "", "reference"
        else:
            masked = self._secrets.mask(content)
            content = masked.text
            kinds.update(masked.kinds)
        if (
            kind == "tool_call"
            and own_channel == "hook"
            and event.tool_name
            and is_edit(event.tool_name, content)
        ):
            kind = "edit"
        if kind == "message" and event.role in ("user", "assistant", "system") and content.strip():
            repeated = self._still_there(
                self._echo.repeated_message(
                    content,
                    _seconds(occurred_at),
                    is_typed=event.role == "user" and own_channel in ("hook", "transcript", "cli"),
                    is_user=event.role == "user",
                )
            )
            if repeated is not None:
                kind, refers_to = "reference", repeated
        new = NewEvent(
            kind=kind,
            role=event.role,
            content=content,
            session=event.session,
            project=_project(event.project, own_channel),
            agent=event.agent or agent,
            speaker=self._masked_name(event.speaker, kinds) or event.role,
            origin=event.origin,
            occurred_at=occurred_at,
            channel=own_channel,
            source_key=event.source_key,
            parent_session=event.parent_session,
            tool_name=event.tool_name,
            tool_call_id=event.tool_call_id,
            meta=self._masked_meta(event.meta, kinds),
            refers_to=refers_to if kind == "reference" else (),
        )
        same_as = None
        if own_channel == "hook":
            new, same_as = self._turns.settled(new, now)
        return _Prepared(new, sum(kinds.values()), kind == "reference", same_as)

    def _prepared_memory(
        self, item: MemoryIn, where: str, agent: str, channel: str, now: float
    ) -> tuple[NewMemory, Mapping[str, int]]:
        occurred_at = _checked_time(item.occurred_at, f"{where}.occurred_at", now)
        valid_from = _checked_time(item.valid_from, f"{where}.valid_from", None)
        valid_to = _checked_time(item.valid_to, f"{where}.valid_to", None)
        if valid_from is not None and valid_to is not None and valid_to < valid_from:
            raise InvalidField(
                f"valid_to {valid_to} is before valid_from {valid_from}", field=f"{where}.valid_to"
            )
        content = strip_marks(cleaned(item.content)).text.strip()
        if not content and not item.content.strip().strip("\0"):
            raise InvalidField(
                "content is blank", field=f"{where}.content", hint="say what is to be remembered"
            )
        masked = self._secrets.mask(content)
        kinds = Counter(masked.kinds)
        project = _project(item.project, channel)
        memory = NewMemory(
            content=masked.text,
            kind=item.kind,
            scope=item.scope or ("project" if project else "global"),
            project=project,
            agent=item.agent or agent,
            session=item.session,
            speaker=self._masked_name(item.speaker, kinds),
            origin=item.origin,
            occurred_at=occurred_at,
            valid_from=valid_from,
            valid_to=valid_to,
            importance=item.importance,
            channel=channel,
            supersedes=item.supersedes,
        )
        return memory, kinds

    def _still_there(self, repeated: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """The repeated memories that were not forgotten since: what is forgotten may be said anew."""
        if not repeated:
            return repeated
        return tuple(each for each in repeated if self._store.memory(each) is not None) or None

    def _masked_name(self, name: str | None, kinds: Counter[str]) -> str | None:
        if name is None:
            return None
        masked = self._secrets.mask(cleaned(name))
        kinds.update(masked.kinds)
        return masked.text

    def _masked_meta(self, meta: Mapping[str, Json] | None, kinds: Counter[str]) -> Mapping[str, Json] | None:
        if not meta:
            return None
        masked, found = self._secrets.mask_json(_cleaned_json(dict(meta)))
        kinds.update(found)
        assert isinstance(masked, dict)
        return masked

    def _keep_titles(self, prepared: Sequence[_Prepared], results: Sequence[EventOut]) -> None:
        """A title that the host gave its session, in the news of its beginning, is the session's title."""
        for one, result in zip(prepared, results, strict=True):
            event = one.event
            title = (event.meta or {}).get("title") if event.kind == "session_start" else None
            if (
                event.session is not None
                and isinstance(title, str)
                and title.strip()
                and result.status == "logged"
            ):
                self._store.set_session_title(event.session, _one_line(title), "host").result()

    def _publish_events(self, prepared: Sequence[_Prepared], results: Sequence[EventOut]) -> None:
        ids = [result.id for result in results if result.status != "duplicate"]
        if not ids:
            return
        first = prepared[0].event
        n_masked = sum(result.masked for result in results)
        self._bus.publish(
            "logged",
            ids=ids[:100],
            agent=first.agent,
            project=first.project,
            session=first.session,
            count=len(ids),
            detail=f"{n_masked} secrets masked" if n_masked else None,
        )

    def _drain_before_hooks(self) -> None:
        """What hooks spooled happened before what the hooks that come now tell: it is logged first."""
        if self._home is not None and (self._spool_lock.locked() or _spooled(self._home)):
            self.drain_spool(self._home)


class _RecentTurns:
    """Recognises one turn that comes twice: through two hosts, or through two settings files of one host.

    A hook's key is the host's own id of the turn, or stands for the text alone (`text:…`). A text key holds
    within five seconds; two different ids are two turns, however equal their texts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_session: OrderedDict[tuple[str | None, bytes], tuple[float, str | None]] = OrderedDict()
        self._by_project: OrderedDict[tuple[str | None, bytes], tuple[float, str, str | None, str | None]] = (
            OrderedDict()
        )

    def settled(self, event: NewEvent, now: float) -> tuple[NewEvent, str | None]:
        """The event with the key of its turn, and the id of the turn where another host logged it."""
        at = _seconds(event.occurred_at) or now
        text = _turn_digest(event)
        is_text_key = _is_text_key(event.source_key)
        with self._lock:
            known = self._by_session.get((event.session, text))
            is_close = known is not None and abs(at - known[0]) < TWICE_WINDOW_S
            if known is not None and is_close and (is_text_key or _is_text_key(known[1])):
                return _with_key(event, known[1]), None
            other = self._by_project.get((event.project, text)) if event.kind == "message" else None
            if other is not None and abs(at - other[0]) < TWICE_WINDOW_S:
                _, other_agent, other_session, other_id = other
                if other_agent != event.agent and other_session != event.session and other_id is not None:
                    return event, other_id
            key = event.source_key if not is_text_key else f"text:{text.hex()}:{int(at * 1000)}"
            self._by_session[(event.session, text)] = (at, key)
            if event.kind == "message":
                self._by_project[(event.project, text)] = (at, event.agent, event.session, None)
            for recent in (self._by_session, self._by_project):
                while len(recent) > MAX_RECENT:
                    recent.popitem(last=False)
        return _with_key(event, key), None

    def logged(self, event: NewEvent, event_id: str) -> None:
        """Note under which id a turn was logged."""
        place = (event.project, _turn_digest(event))
        with self._lock:
            known = self._by_project.get(place)
            if known is not None and known[1] == event.agent and known[2] == event.session:
                self._by_project[place] = (known[0], known[1], known[2], event_id)


def _turn_digest(event: NewEvent) -> bytes:
    parts = "\0".join(
        (event.kind, event.role, event.tool_name or "", event.tool_call_id or "", event.content.strip())
    )
    return hashlib.blake2b(parts.encode("utf-8", "replace"), digest_size=12).digest()


def _is_text_key(key: str | None) -> bool:
    """Whether a hook's key stands for the text alone, because the host gave no id of the turn."""
    return key is None or key.startswith("text:")


def _with_key(event: NewEvent, key: str | None) -> NewEvent:
    if key == event.source_key:
        return event
    values = {name: getattr(event, name) for name in NewEvent.__slots__}
    return NewEvent(**{**values, "source_key": key})


def cleaned(text: str) -> str:
    """Text that UTF-8 and SQLite can carry: no NUL, half surrogates as U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _cleaned_json(value: Json) -> Json:
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, list):
        return [_cleaned_json(item) for item in value]
    if isinstance(value, dict):
        return {cleaned(key): _cleaned_json(item) for key, item in value.items()}
    return value


def _one_line(title: str) -> str:
    return " ".join(title.split())[:MAX_TITLE_CHARS]


def _checked_time(text: str | None, field: str, now: float | None) -> str | None:
    """A time as the store writes it, UTC with milliseconds.

    :param now: Unix seconds; more than a day after it is refused. None lets any time pass.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        written = utc_text(moment)
    except (ValueError, OverflowError):
        raise InvalidField(
            f"{text[:40]!r} is no date or time", field=field, hint="ISO-8601, such as 2026-11-23T10:00:00Z"
        ) from None
    if now is not None and moment.timestamp() > now + MAX_FUTURE_S:
        raise InvalidField(
            f"{written} is more than a day in the future, it is {utc_text(datetime.fromtimestamp(now, UTC))}",
            field=field,
            hint="leave it out for now, or give the time at which it happened",
        )
    return written


def _seconds(iso: str | None) -> float | None:
    return None if iso is None else datetime.fromisoformat(iso).timestamp()


def _project(given: str | None, channel: str) -> str | None:
    """A name as given, a path in its normal form; a host's working directory as its git checkout's root."""
    if given is None or not given.strip():
        return None
    given = cleaned(given).strip()
    if _WINDOWS_PATH.match(given):
        return str(PureWindowsPath(given))
    if given.startswith("~"):
        given = str(Path(given).expanduser())
    if not given.startswith("/"):
        return given
    path = os.path.normpath(given)
    return (project_of(path) or path) if channel in ("hook", "transcript") else path


def _channel_of(agent: str) -> str:
    return "cli" if agent == "cli" else "api"


def _places(n: int) -> list[str]:
    """How an error names the fields of each of n records: a single one is the body itself."""
    return ["body"] if n == 1 else [f"body[{at}]" for at in range(n)]


def _cursor(source: SourceIn | None) -> SourceCursor | None:
    if source is None:
        return None
    return SourceCursor(
        path=source.path,
        size=source.size,
        mtime_ns=source.mtime_ns,
        inode=source.inode,
        offset=source.offset,
        head_digest=source.head_digest,
        state=source.state,
        assistant=source.assistant,
    )


def _spooled(home: Path) -> list[Path]:
    try:
        return sorted(path for path in (home / SPOOL_NAME).iterdir() if path.suffix == ".json")
    except (FileNotFoundError, NotADirectoryError):
        return []


__all__ = ["SPOOL_CHANNEL", "SPOOL_NAME", "Intake", "SpooledEvents", "cleaned"]
