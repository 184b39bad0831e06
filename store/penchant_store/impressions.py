"""Impressions (what a recall showed) and outcomes (what came of it), in behaviour.db."""

from __future__ import annotations

from penchant_store import fields, times
from penchant_store.connection import Connection, Readers
from penchant_store.events import as_json, parsed
from penchant_store.records import ImpressionItem, ImpressionRecord, NewImpression, NewOutcome, OutcomeRecord

VERDICTS = ("helped", "wrong", "outdated")


def check(impression: NewImpression) -> NewImpression:
    """The impression as it is kept.

    :raises InvalidRecord: naming the field.
    """
    return NewImpression(
        query=fields.text(impression.query, "query"),
        agent=fields.name(impression.agent, "agent"),
        session=fields.optional_name(impression.session, "session"),
        project=fields.optional_name(impression.project, "project"),
        as_of=None if impression.as_of is None else times.normalised(impression.as_of, "as_of"),
        items=impression.items,
        model=fields.text(impression.model, "model"),
    )


def add(connection: Connection, id: str, impression: NewImpression, now: str) -> None:
    """Stores an impression."""
    number = connection.execute(
        "INSERT INTO impressions (id, created_at, query, agent, session, project, as_of, model)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id,
            now,
            impression.query,
            impression.agent,
            impression.session,
            impression.project,
            impression.as_of,
            impression.model,
        ),
    ).lastrowid
    connection.executemany(
        "INSERT INTO impression_items (impression, rank, memory_id, score, features) VALUES (?, ?, ?, ?, ?)",
        [
            (
                number,
                item.rank,
                item.id,
                float(item.score),
                as_json({name: round(float(value), 6) for name, value in item.features.items()}, "features"),
            )
            for item in impression.items
        ],
    )


def impression(readers: Readers, id: str) -> ImpressionRecord | None:
    """The impression with this id."""
    with readers.lend() as connection:
        row = connection.execute(
            "SELECT impression, id, created_at, query, agent, session, project, as_of, model FROM impressions"
            " WHERE id = ?",
            (id,),
        ).fetchone()
        if row is None:
            return None
        shown = connection.execute(
            "SELECT memory_id, rank, score, features FROM impression_items WHERE impression = ? ORDER BY rank",
            (row[0],),
        ).fetchall()
    items = tuple(ImpressionItem(id, rank, score, parsed(features)) for id, rank, score, features in shown)
    return ImpressionRecord(row[1], row[2], row[3], row[4], row[5], row[6], row[7], items, row[8])


def check_outcome(outcome: NewOutcome) -> NewOutcome:
    """The outcome as it is kept.

    :raises InvalidRecord: naming the field.
    """
    fields.optional_name(outcome.impression_id, "impression_id")
    fields.name(outcome.memory_id, "memory_id")
    fields.one_of(outcome.verdict, VERDICTS, "verdict")
    fields.name(outcome.agent, "agent")
    return outcome


def add_outcome(connection: Connection, id: str, outcome: NewOutcome, now: str) -> str:
    """Stores an outcome.

    :return: its id.
    """
    connection.execute(
        "INSERT INTO outcomes (id, created_at, impression_id, memory_id, verdict, agent) VALUES (?, ?, ?, ?, ?, ?)",
        (id, now, outcome.impression_id, outcome.memory_id, outcome.verdict, outcome.agent),
    )
    return id


def outcomes(readers: Readers, memory_id: str | None) -> list[OutcomeRecord]:
    """Outcomes in order of arrival, of one memory or all."""
    where = "" if memory_id is None else " WHERE memory_id = ?"
    with readers.lend() as connection:
        rows = connection.execute(
            "SELECT id, created_at, impression_id, memory_id, verdict, agent FROM outcomes"  # noqa: S608
            f"{where} ORDER BY outcome",
            () if memory_id is None else (memory_id,),
        ).fetchall()
    return [OutcomeRecord(*row) for row in rows]


def returned_since(readers: Readers, since: str) -> list[str]:
    """Ids of the items that impressions showed since a time."""
    with readers.lend() as connection:
        rows = connection.execute(
            "SELECT DISTINCT i.memory_id FROM impressions p JOIN impression_items i ON i.impression = p.impression"
            " WHERE p.created_at >= ?",
            (since,),
        ).fetchall()
    return [row[0] for row in rows]


def erase(connection: Connection, ids: list[str]) -> None:
    """Removes what was recorded about memories, and the queries that had found them (they often repeat the text)."""
    for id in ids:
        connection.execute(
            "UPDATE impressions SET query = '' WHERE impression IN"
            " (SELECT impression FROM impression_items WHERE memory_id = ?)",
            (id,),
        )
        connection.execute("DELETE FROM impression_items WHERE memory_id = ?", (id,))
        connection.execute("DELETE FROM outcomes WHERE memory_id = ?", (id,))
