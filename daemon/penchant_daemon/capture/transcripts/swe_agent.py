"""SWE-agent's trajectories: `<instance>.traj`, one JSON document with `history` (messages) or `trajectory`
(steps)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from penchant_daemon.wire import EventIn, SourceIn

from .context import ReadContext
from .files import Skips, parse_document, read_document
from .records import BadLine, Items, JsonObject, as_list, as_object, as_text
from .segments import Session, name_or_none, present, session_of_file, spoken_text
from .times import utc_iso

AGENT = "swe-agent"
_FENCED = re.compile(r"```(?:\w+)?\n(.*?)\n?```\s*\Z", re.DOTALL)
_EDITS = ("edit", "create", "insert", "str_replace_editor", "apply_patch")


def read(path: Path, cursor: SourceIn | None, context: ReadContext) -> Items:
    """The events of one run."""
    skips = Skips()
    return read_document(path, AGENT, cursor, lambda data, stat: _parse(path, data, stat, skips), skips)


def _parse(path: Path, data: bytes, stat: os.stat_result, skips: Skips) -> Iterator[EventIn | BadLine]:
    value, bad = parse_document(data, path)
    yield from bad
    if value is None:
        return
    run = as_object(value)
    steps = [as_object(step) for step in as_list(run.get("trajectory"))]
    history = [as_object(message) for message in as_list(run.get("history"))]
    if not steps and not history:
        yield BadLine(str(path), 1, "neither a history nor a trajectory")
        return
    # The file is named after the task, which several runs share: the first answer tells them apart.
    answers = (spoken_text(entry.get("content")) for entry in history if entry.get("role") == "assistant")
    opening = next(answers, "") or next((as_text(step.get("response")) for step in steps), "")
    session = Session(session_of_file(path.name.removesuffix(".traj").removesuffix(".json"), opening), AGENT)
    session.occurred_at = utc_iso(stat.st_mtime)
    yield session.start()
    if history:
        yield from _history(history, steps, session, skips)
    else:
        for step in steps:
            yield from _act(step, as_text(step.get("thought")), session)
            yield session.result(as_text(step.get("observation")))


def _history(
    history: list[JsonObject], steps: list[JsonObject], session: Session, skips: Skips
) -> Iterator[EventIn]:
    by_response = {as_text(step.get("response")).strip(): step for step in steps}
    has_task = False
    for message in history:
        role = as_text(message.get("role"))
        text = spoken_text(message.get("content"))
        if role == "system" or message.get("is_demo") is True:
            skips.add("injected")
        elif role == "user" and not has_task:
            has_task = True
            yield from present(session.user(text))
        elif role in ("user", "tool"):  # without tool calls the environment answers in the user's place
            call_ids = as_list(message.get("tool_call_ids"))
            yield session.result(text, None, name_or_none(call_ids[0]) if call_ids else None)
        elif role == "assistant":
            step = {**by_response.get(text.strip(), {}), **message}
            yield from _act(step, text, session)
        else:
            skips.add("other")


def _act(step: JsonObject, text: str, session: Session) -> Iterator[EventIn]:
    """What the agent thought, then what it did."""
    calls = [as_object(call) for call in as_list(step.get("tool_calls"))]
    action = as_text(step.get("action")).strip()
    thought = as_text(step.get("thought")).strip()
    if calls:
        yield from present(session.assistant(text or thought))
        for call in calls:
            function = as_object(call.get("function"))
            yield session.call(
                as_text(function.get("name")), function.get("arguments"), name_or_none(call.get("id"))
            )
        return
    if not action and (fenced := _FENCED.search(text)):
        action, thought = fenced.group(1).strip(), text[: fenced.start()].strip()
    yield from present(session.assistant(thought if action else text))
    if action:
        verb = action.split(None, 1)[0]
        name = verb if verb in _EDITS else "bash"
        yield session.call(name, {"command": action})
