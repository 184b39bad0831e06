"""Turns what a host wrote into events: one builder per session, used by every reader.

Who said what is decided here once: `user` is the person and nobody else, tool output has role and origin
`tool`, a file edit is a tool call of kind `edit`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable

from pydantic import JsonValue

from penchant_daemon.wire import MAX_CONTENT_CHARS, MAX_NAME_CHARS, EventIn, EventKind, Origin, Role

from .project import project_of
from .records import JsonObject, as_int, as_list, as_object, as_text

MAX_TALLIED = 4_000
MAX_RECENT_CALLS = 64  # tool names of calls whose result is still to come
_CUT_ROOM = 120  # characters kept free for the marker of a cut
_EDIT_TOOLS = frozenset(
    {
        "edit", "write", "multiedit", "notebookedit", "apply_patch", "applypatch", "edit_file",
        "search_replace", "write_file", "replace", "create", "create_file", "insert_edit_into_file",
        "replace_string_in_file", "multi_replace_string_in_file", "str_replace", "str_replace_editor",
        "str_replace_based_edit_tool", "delete_file", "patch", "edit_file_v2", "write_to_file",
    }
)  # fmt: skip
_NO_CONTROL = dict.fromkeys((*range(32), 127))
_VISIBLE = ("text", "input_text", "output_text", "Text", "inputText", "refusal")


def is_edit(tool_name: str, arguments: str = "") -> bool:
    """Whether the call changes a file, by the names that the known assistants give such tools."""
    name = tool_name.rsplit(".", 1)[-1].lower()
    if name in _EDIT_TOOLS:
        return not (name.startswith("str_replace") and '"command":"view"' in arguments.replace(" ", ""))
    return name in ("shell", "exec_command", "local_shell", "bash") and "*** Begin Patch" in arguments


def digest(*parts: str) -> str:
    """16 hex digits that stand for the parts, for derived keys."""
    joined = "\0".join(parts).encode("utf-8", "replace")
    return hashlib.blake2b(joined, digest_size=8).hexdigest()


def clean(text: str) -> str:
    """Text that UTF-8 can carry: half surrogate pairs (from `\\ud83d` alone) become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def name_or_none(value: JsonValue) -> str | None:
    """A host's identifier as a wire name: non-blank, without control characters, at most 4,096 characters;
    numbers as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return None
    value = clean(value).translate(_NO_CONTROL)
    if not value.strip():
        return None
    return value if len(value) <= MAX_NAME_CHARS else value[: MAX_NAME_CHARS - 17] + "~" + digest(value)


def cut(text: str) -> tuple[str, int]:
    """(text of at most 1,000,000 characters, number of characters left out); the cut is marked in the
    text."""
    text = clean(text)
    if len(text) <= MAX_CONTENT_CHARS:
        return text, 0
    kept = MAX_CONTENT_CHARS - _CUT_ROOM
    n_cut = len(text) - kept
    return f"{text[:kept]}\n[cut by Penchant: {n_cut:,} more characters were left out here]", n_cut


_UNIQUE_NAME = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9A-Za-z]{20,}", re.IGNORECASE
)


def session_of_file(stem: str, opening: str) -> str:
    """A session's id where only the file names it: a name that is no unique one gets a mark of how the log begins.

    Two logs called `session` stay apart, and one that moves keeps its id.
    """
    return stem if not opening or _UNIQUE_NAME.search(stem) else f"{stem}-{digest(opening)[:8]}"


def compact_json(value: JsonValue) -> str:
    """One line of JSON, keys in the host's order."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def arguments_text(arguments: JsonValue) -> str:
    """A tool call's arguments as JSON text; a string that the host already wrote as JSON is kept as it is."""
    if arguments is None:
        return "{}"
    return arguments if isinstance(arguments, str) else compact_json(arguments)


def visible_text(content: JsonValue) -> str:
    """The readable text of a content value: a string, one block, or a list of blocks (images become
    `[image]`)."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(part for part in map(visible_text, content) if part)
    block = as_object(content)
    kind = as_text(block.get("type"))
    if kind in _VISIBLE or (not kind and "text" in block):
        return as_text(block.get("text"))
    if "image" in kind or "inlineData" in block:
        return "[image]"
    if kind == "document":
        return "[document]"
    if kind in ("content", "resource", "tool_result", "embedded_resource"):
        return visible_text(block.get("content", block.get("resource", block.get("text"))))
    return as_text(block.get("text"))


def spoken_text(content: JsonValue) -> str:
    """The text of a message; images count only where there is nothing else."""
    blocks = content if isinstance(content, list) else [content]
    parts = [part for part in map(visible_text, blocks) if part]
    return "\n".join([part for part in parts if part not in ("[image]", "[document]")] or parts[:1])


def result_text(value: JsonValue) -> str:
    """A tool's output as text: its readable text, else its JSON."""
    text = visible_text(value)
    if text or value in (None, "", [], {}):
        return text
    for name in ("output", "content", "stdout", "text", "value", "message", "error"):
        inner = as_object(value).get(name)
        if isinstance(inner, str) and inner:
            return inner
        if isinstance(inner, list) and (text := visible_text(inner)):
            return text
    return compact_json(value)


_WRAPPERS = re.compile(
    r"<(system-reminder|ide_opened_file|ide_selection|ide_diagnostics|user-prompt-submit-hook)>.*?</\1>\s*",
    re.DOTALL,
)


def without_injected_blocks(text: str) -> str:
    """The text less the blocks that hosts slip into a person's message."""
    return _WRAPPERS.sub("", text) if "<" in text else text


class Session:
    """Builds the events of one session; every method returns one event, or None where there is nothing to
    log."""

    def __init__(
        self,
        identifier: str,
        agent: str,
        *,
        parent: str | None = None,
        project: str | None = None,
        is_delegated: bool = False,
    ) -> None:
        """
        :param parent: the session that started this one (a subagent's).
        :param is_delegated: the prompts here were written by an assistant, not by the person: they get its
        role.
        """
        self.id = name_or_none(identifier) or "unnamed"
        self.agent = agent
        self.parent = name_or_none(parent)
        self.project = project
        self.is_delegated = is_delegated
        self.occurred_at: str | None = None  # of the last record that had a time; records without one take it
        self.seen = Tally()  # texts without ids

    def work_in(self, cwd: JsonValue) -> None:
        """Names the working directory; the project follows from it."""
        if isinstance(cwd, str) and cwd.strip():
            self.project = project_of(clean(cwd)) or self.project

    def nth_key(self, kind: str, *parts: str) -> str:
        """A key for a record without an id: its digest and how many equal ones came before it in the session.

        The same conversation in another file, format or order of other lines gives the same key.
        """
        mark = digest(kind, *parts)
        return f"{kind}:{mark}:{self.seen.add(mark)}"

    def start(self, title: str | None = None, meta: JsonObject | None = None) -> EventIn:
        """The session's beginning, or later news of its title."""
        known: JsonObject = dict(meta or {})
        key = "start"
        if title:
            known["title"] = clean(title.strip())[:500]
            key = f"title:{digest(title.strip())}"
        return self._event("session_start", "system", "", key, meta=known or None)

    def user(self, text: str, key: str | None = None) -> EventIn | None:
        """What the person wrote (in a delegated session: what the assistant asked of its subagent)."""
        return self._message("assistant" if self.is_delegated else "user", text, key)

    def assistant(self, text: str, key: str | None = None) -> EventIn | None:
        """What the assistant wrote to the person."""
        return self._message("assistant", text, key)

    def _message(self, role: Role, text: str, key: str | None) -> EventIn | None:
        text = text.strip()
        if not text:
            return None
        return self._event("message", role, text, key or self.nth_key(role, text))

    def call(
        self,
        name: str,
        arguments: JsonValue,
        call_id: str | None = None,
        key: str | None = None,
        role: Role = "assistant",
    ) -> EventIn:
        """A tool call: its name and its JSON arguments; an edit when it changes a file."""
        text = arguments_text(arguments)
        name = name_or_none(name) or "tool"
        if key is None:
            key = f"call:{call_id}" if call_id else self.nth_key("call", name, text)
        kind: EventKind = "edit" if is_edit(name, text) else "tool_call"
        return self._event(kind, role, f"{name} {text}", key, tool_name=name, call_id=call_id)

    def result(
        self,
        text: str,
        name: str | None = None,
        call_id: str | None = None,
        key: str | None = None,
        is_error: bool = False,
    ) -> EventIn:
        """What a tool gave back; an empty output is logged too, so that the call is known to have ended."""
        if key is None:
            key = f"result:{call_id}" if call_id else self.nth_key("result", name or "", text)
        meta: JsonObject | None = {"is_error": True} if is_error else None
        return self._event(
            "tool_result",
            "tool",
            text,
            key,
            tool_name=name_or_none(name),
            call_id=call_id,
            origin="tool",
            meta=meta,
        )

    def compaction(self, summary: str, key: str | None = None) -> EventIn | None:
        """The host's own summary that replaced earlier turns."""
        if not summary.strip():
            return None
        return self._event(
            "compaction", "system", summary.strip(), key or self.nth_key("compaction", summary)
        )

    def _event(
        self,
        kind: EventKind,
        role: Role,
        text: str,
        key: str,
        *,
        tool_name: str | None = None,
        call_id: str | None = None,
        origin: Origin | None = None,
        meta: JsonObject | None = None,
    ) -> EventIn:
        content, n_cut = cut(text)
        if n_cut:
            meta = {**(meta or {}), "cut_chars": n_cut}
        return EventIn(
            kind=kind,
            role=role,
            content=content,
            session=self.id,
            project=name_or_none(self.project),
            agent=self.agent,
            origin=origin,
            occurred_at=self.occurred_at,
            channel="transcript",
            source_key=name_or_none(key),
            parent_session=self.parent,
            tool_name=tool_name,
            tool_call_id=name_or_none(call_id),
            meta=meta,
        )


def as_draft(event: EventIn) -> EventIn:
    """An event of an answer that its host has not finished, under a key of its own words: what the host writes in
    its place later is not taken for the same."""
    return event.model_copy(update={"source_key": f"{event.source_key}:draft:{digest(event.content)}"})


def present(*events: EventIn | None) -> Iterable[EventIn]:
    """The events that are there."""
    return (event for event in events if event is not None)


class Tally:
    """Counts how often texts came up, for keys of records without ids.

    It is kept in cursors, so it is bounded: the text that was not seen for longest is forgotten, and when it comes
    again it is counted on from a number that it never had.

    :param known: what `state` gave.
    :param n_ways: in how many ways each text is counted, each for itself.
    """

    def __init__(self, known: JsonValue = None, n_ways: int = 1) -> None:
        state = as_object(known)
        self._n_added = as_int(state.get("n_added"))
        self._has_forgotten = state.get("has_forgotten") is True
        self._n_ways = n_ways
        rows = (
            (mark, [as_int(n) for n in as_list(row)]) for mark, row in as_object(state.get("rows")).items()
        )
        # For each text the number that it is counted on from, then one count for each way.
        self._rows = {mark: row for mark, row in rows if len(row) == n_ways + 1}

    def add(self, mark: str, way: int = 0) -> int:
        """Counts once more and gives the new number in this way."""
        row = self._rows.pop(mark, None) or [self._n_added if self._has_forgotten else 0] + [0] * self._n_ways
        self._n_added += 1
        row[way + 1] += 1
        self._rows[mark] = row  # at the end: the first is the one not seen for longest
        if len(self._rows) > MAX_TALLIED:
            del self._rows[next(iter(self._rows))]
            self._has_forgotten = True
        return row[0] + row[way + 1]

    def most(self, mark: str) -> int:
        """The highest number that the text has in any way."""
        row = self._rows.get(mark)
        return 0 if row is None else row[0] + max(row[1:])

    def state(self) -> JsonObject:
        """What a cursor keeps, at most 4,000 texts."""
        rows: JsonObject = {mark: [*row] for mark, row in self._rows.items()}
        return {"n_added": self._n_added, "has_forgotten": self._has_forgotten, "rows": rows}


class RecentCalls:
    """Tool names by call id, for results that come without a name; forgets all but the latest calls."""

    def __init__(self, known: JsonValue = None) -> None:
        self._names: dict[str, str] = {}
        for pair in as_list(known):
            if isinstance(pair, list) and len(pair) == 2:
                self.add(as_text(pair[0]), as_text(pair[1]))

    def add(self, call_id: str | None, name: str) -> None:
        if call_id:
            self._names[call_id] = name
            if len(self._names) > MAX_RECENT_CALLS:
                del self._names[next(iter(self._names))]

    def name(self, call_id: str | None) -> str | None:
        return self._names.get(call_id) if call_id else None

    def __contains__(self, call_id: object) -> bool:
        return call_id in self._names

    def state(self) -> list[JsonValue]:
        return [[call_id, name] for call_id, name in self._names.items()]
