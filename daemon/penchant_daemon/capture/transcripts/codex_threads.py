"""Codex's paginated threads: `thread_history_1.sqlite`, whose titles and folders stand in `state_<n>.sqlite`.

A thread can also have a rollout file; both give a message the same key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pydantic import JsonValue
from sqlcipher3 import dbapi2 as sqlite

from penchant_daemon.wire import EventIn, SourceIn

from .codex import AGENT, SpokenOnce, person_text
from .context import ReadContext
from .databases import Unit, open_read_only, read_store, select, signature_of, tables, text_of
from .files import Skips
from .records import BadLine, Items, JsonObject, as_object, as_text, first_text
from .segments import Session, name_or_none, present, result_text, spoken_text
from .times import modified_at, utc_iso

_ITEM_COLUMNS = ("item_id", "item_type", "item_json", "created_at_ms", "rollout_ordinal")


def read(path: Path, cursor: SourceIn | None, context: ReadContext) -> Items:
    """The events of all threads of the store."""
    skips = Skips()
    return read_store(path, AGENT, cursor, lambda connection: _units(connection, path, skips), skips, context)


def _units(connection: sqlite.Connection, path: Path, skips: Skips) -> Iterator[Unit | BadLine]:
    columns = tables(connection).get("thread_items", set())
    if not {"thread_id", "item_json"} <= columns:
        yield BadLine(str(path), 0, "no table thread_items with thread_id and item_json")
        return
    ordinal = "updated_at_ordinal" if "updated_at_ordinal" in columns else "rowid"
    latest = f'SELECT thread_id, count(*), max("{ordinal}"), max(rowid) FROM thread_items GROUP BY thread_id ORDER BY min(rowid)'  # noqa: S608, E501
    known = _threads(path)
    for thread_id, n_items, last, rowid in connection.execute(latest).fetchall():
        identifier = name_or_none(text_of(thread_id))
        if identifier is None:
            continue
        thread = known.get(identifier, {})
        signature = signature_of(n_items, last, rowid, thread.get("title"))
        yield Unit(
            identifier, signature, partial(_events, connection, columns, identifier, thread, path, skips)
        )


def _threads(path: Path) -> dict[str, JsonObject]:
    """Title, folder and parent of the threads, from the state database with the highest number."""
    threads: dict[str, JsonObject] = {}
    for place in sorted(path.parent.glob("state_*.sqlite")):
        try:
            with open_read_only(place) as connection:
                known = tables(connection)
                if "threads" in known:
                    rows = connection.execute(
                        select("threads", ("id", "cwd", "title", "name"), known["threads"])
                    )
                    for identifier, cwd, title, name in rows.fetchall():
                        threads[text_of(identifier)] = {
                            "cwd": text_of(cwd),
                            "title": text_of(name) or text_of(title),
                        }
                edges = known.get("thread_spawn_edges", set())
                if {"parent_thread_id", "child_thread_id"} <= edges:
                    for parent, child in connection.execute(
                        "SELECT parent_thread_id, child_thread_id FROM thread_spawn_edges"
                    ).fetchall():
                        threads.setdefault(text_of(child), {})["parent"] = text_of(parent)
        except (sqlite.Error, OSError):
            continue
    return threads


def _events(
    connection: sqlite.Connection,
    columns: set[str],
    identifier: str,
    thread: JsonObject,
    path: Path,
    skips: Skips,
) -> Iterator[EventIn | BadLine]:
    parent = as_text(thread.get("parent")) or None
    session = Session(identifier, AGENT, parent=parent, is_delegated=parent is not None)
    session.work_in(thread.get("cwd"))
    session.occurred_at = modified_at(path)
    order = "rollout_ordinal, rowid" if "rollout_ordinal" in columns else "rowid"
    query = select("thread_items", _ITEM_COLUMNS, columns, f"WHERE thread_id = ? ORDER BY {order}")
    once = SpokenOnce()
    is_started = False
    for item_id, item_type, item_json, created_ms, ordinal in connection.execute(query, (identifier,)):
        try:
            item: JsonValue = json.loads(text_of(item_json))
        except (ValueError, RecursionError) as error:
            number = ordinal if isinstance(ordinal, int) and ordinal > 0 else 0
            yield BadLine(str(path), number, f"thread {identifier}, item {text_of(item_id)}: {error}")
            continue
        session.occurred_at = (
            utc_iso(created_ms if isinstance(created_ms, int) else None) or session.occurred_at
        )
        for event in _item(as_object(item), text_of(item_type), text_of(item_id), session, once, skips):
            if not is_started:
                is_started = True
                yield session.start()
                title = as_text(thread.get("title")).strip()
                if title:
                    yield session.start(title=title)
            yield event


def _item(
    item: JsonObject, item_type: str, item_id: str, session: Session, once: SpokenOnce, skips: Skips
) -> Iterator[EventIn]:
    kind = (as_text(item.get("type")) or item_type).lower()
    call_id = name_or_none(item.get("id")) or name_or_none(item_id)
    text = as_text(item.get("text")) or spoken_text(item.get("content"))
    if kind == "usermessage":
        text = person_text(text)
        key = once.key(session.id, "item", "user", text) if text else None
        yield from present(session.user(text, key) if key else None)
    elif kind in ("agentmessage", "plan"):
        key = once.key(session.id, "item", "assistant", text) if text else None
        yield from present(session.assistant(text, key) if key else None)
    elif kind == "commandexecution":
        yield session.call("shell", {"command": item.get("command"), "cwd": item.get("cwd")}, call_id)
        output = first_text(item.get("aggregatedOutput"), item.get("aggregated_output"), item.get("output"))
        if output is not None or _is_done(item):
            yield session.result(output or "", "shell", call_id)
    elif kind == "filechange":
        yield session.call("apply_patch", {"changes": item.get("changes")}, call_id)
    elif kind in ("mcptoolcall", "dynamictoolcall", "collabagenttoolcall"):
        name = ".".join(filter(None, (as_text(item.get("server")), as_text(item.get("tool"))))) or "tool"
        yield session.call(name, item.get("arguments"), call_id)
        outcome = item.get("result", item.get("contentItems", item.get("error")))
        if outcome is not None or _is_done(item):
            yield session.result(result_text(as_object(outcome).get("content", outcome)), name, call_id)
    elif kind == "websearch":
        yield session.call("web_search", {"query": item.get("query")}, call_id)
    else:
        skips.add("thinking" if kind == "reasoning" else "other")


def _is_done(item: JsonObject) -> bool:
    return as_text(item.get("status")).lower() in ("completed", "failed", "declined", "success", "error")
