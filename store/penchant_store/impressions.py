"""Impressions (what a recall showed) and outcomes (what came of it), in behaviour.db."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from penchant_store import fields, times
from penchant_store.connection import Connection, Readers
from penchant_store.errors import InvalidRecord
from penchant_store.records import (
    Asked,
    FeatureTable,
    ImpressionItem,
    ImpressionRecord,
    JudgedImpression,
    NewImpression,
    NewOutcome,
    OutcomeRecord,
)

VERDICTS = ("helped", "wrong", "outdated", "used")
SOURCES = ("feedback", "use")

_IMPRESSION = (
    "SELECT p.impression, p.id, p.created_at, p.query, p.agent, p.session, p.project, p.as_of, p.model, f.names"
    " FROM impressions p LEFT JOIN feature_sets f USING (feature_set)"
)
_OUTCOME = "SELECT id, created_at, impression_id, memory_id, verdict, agent, source, strength FROM outcomes"


def check(impression: NewImpression) -> NewImpression:
    """The impression as it is kept.

    :raises InvalidRecord: naming the field.
    """
    features = impression.features or _table(impression.items)
    if features.values.shape != (len(impression.items), len(features.names)):
        raise InvalidRecord("features", "must have a row for each item and a column for each name")
    if any("," in name for name in features.names):
        raise InvalidRecord("features", "has a name with a comma in it")
    if any(not 0.0 < item.propensity <= 1.0 for item in impression.items):
        raise InvalidRecord("items", "has a propensity that is not above 0 and at most 1")
    return NewImpression(
        query=fields.text(impression.query, "query"),
        agent=fields.name(impression.agent, "agent"),
        session=fields.optional_name(impression.session, "session"),
        project=fields.optional_name(impression.project, "project"),
        as_of=None if impression.as_of is None else times.normalised(impression.as_of, "as_of"),
        items=impression.items,
        model=fields.text(impression.model, "model"),
        features=features,
    )


def _table(items: Sequence[ImpressionItem]) -> FeatureTable:
    names = dict.fromkeys(tuple(item.features) for item in items) or {(): None}
    if len(names) > 1:
        raise InvalidRecord("items", "must all have the same features")
    (own,) = names
    values = np.array([list(item.features.values()) for item in items], dtype=np.float32)
    return FeatureTable(own, values.reshape(len(items), len(own)))


def add(connection: Connection, id: str, impression: NewImpression, now: str) -> None:
    """Stores an impression that was checked."""
    features = impression.features
    assert features is not None  # noqa: S101 - `check` gathered them
    packed = features.values.astype("<f4")
    number = connection.execute(
        "INSERT INTO impressions (id, created_at, query, agent, session, project, as_of, model, feature_set)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id,
            now,
            impression.query,
            impression.agent,
            impression.session,
            impression.project,
            impression.as_of,
            impression.model,
            _feature_set(connection, features.names),
        ),
    ).lastrowid
    connection.executemany(
        "INSERT INTO impression_items (impression, rank, memory_id, score, is_shown, propensity, features)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                number,
                item.rank,
                item.id,
                float(item.score),
                int(item.is_shown),
                float(item.propensity),
                row.tobytes() or None,
            )
            for item, row in zip(impression.items, packed, strict=True)
        ],
    )


def _feature_set(connection: Connection, own: Sequence[str]) -> int | None:
    names = ",".join(own)
    if not names:
        return None
    connection.execute("INSERT INTO feature_sets (names) VALUES (?) ON CONFLICT DO NOTHING", (names,))
    (row,) = connection.execute("SELECT feature_set FROM feature_sets WHERE names = ?", (names,)).fetchall()
    return int(row[0])


def impression(readers: Readers, id: str) -> ImpressionRecord | None:
    """The impression with this id."""
    with readers.lend() as connection:
        found = _read(connection, f"{_IMPRESSION} WHERE p.id = ?", (id,))
    return found[0] if found else None


def judged(readers: Readers, since: str, limit: int) -> list[JudgedImpression]:
    """The latest impressions with any outcome, oldest first.

    :param since: of impressions made from this time on.
    """
    with readers.lend() as connection:
        records = _read(
            connection,
            f"{_IMPRESSION} WHERE p.created_at >= ? AND p.id IN (SELECT impression_id FROM outcomes)"  # noqa: S608 - constant
            " ORDER BY p.impression DESC LIMIT ?",
            (since, limit),
        )
        outcomes: dict[str, list[OutcomeRecord]] = {record.id: [] for record in records}
        for record in records:
            rows = connection.execute(f"{_OUTCOME} WHERE impression_id = ? ORDER BY outcome", (record.id,))
            outcomes[record.id] = [OutcomeRecord(*row) for row in rows.fetchall()]
    return [JudgedImpression(record, tuple(outcomes[record.id])) for record in reversed(records)]


def latest(
    readers: Readers, since: str, *, agent: str | None = None, session: str | None = None, limit: int = 20
) -> list[ImpressionRecord]:
    """The latest impressions since a time, latest first.

    :param agent: only this agent's; `session` only those of this asking session.
    """
    where, values = "p.created_at >= ?", [since]
    for column, value in (("agent", agent), ("session", session)):
        if value is not None:
            where += f" AND p.{column} = ?"
            values.append(value)
    with readers.lend() as connection:
        return _read(
            connection, f"{_IMPRESSION} WHERE {where} ORDER BY p.impression DESC LIMIT ?", (*values, limit)
        )


def asked(readers: Readers, since: str, limit: int) -> list[Asked]:
    """What was asked since a time, oldest first, at most the latest `limit`."""
    with readers.lend() as connection:
        rows = connection.execute(
            "SELECT id, created_at, query, agent, session FROM impressions WHERE created_at >= ?"
            " ORDER BY impression DESC LIMIT ?",
            (since, limit),
        ).fetchall()
    return [Asked(*row) for row in reversed(rows)]


def latest_that_showed(readers: Readers, memory_id: str, agent: str | None) -> str | None:
    """Id of the latest impression that showed a memory (to an agent, or to anyone); None when there is none."""
    with readers.lend() as connection:
        row = connection.execute(
            "SELECT p.id FROM impression_items i JOIN impressions p USING (impression)"
            " WHERE i.memory_id = ? AND i.is_shown AND (? IS NULL OR p.agent = ?) ORDER BY p.impression DESC LIMIT 1",
            (memory_id, agent, agent),
        ).fetchone()
    return None if row is None else str(row[0])


def _read(connection: Connection, query: str, values: Sequence[object]) -> list[ImpressionRecord]:
    found = []
    for number, *columns, names in connection.execute(query, tuple(values)).fetchall():
        rows = connection.execute(
            "SELECT memory_id, rank, score, features, is_shown, propensity FROM impression_items"
            " WHERE impression = ? ORDER BY rank",
            (number,),
        ).fetchall()
        features = names.split(",") if names else []
        items = tuple(
            ImpressionItem(
                id,
                rank,
                score,
                dict(zip(features, np.frombuffer(packed or b"", dtype="<f4").tolist(), strict=False)),
                bool(is_shown),
                propensity,
            )
            for id, rank, score, packed, is_shown, propensity in rows
        )
        id, created_at, query_, agent, session, project, as_of, model = columns
        found.append(ImpressionRecord(id, created_at, query_, agent, session, project, as_of, items, model))
    return found


def check_outcome(outcome: NewOutcome) -> NewOutcome:
    """The outcome as it is kept.

    :raises InvalidRecord: naming the field.
    """
    fields.optional_name(outcome.impression_id, "impression_id")
    fields.name(outcome.memory_id, "memory_id")
    fields.one_of(outcome.verdict, VERDICTS, "verdict")
    fields.name(outcome.agent, "agent")
    fields.one_of(outcome.source, SOURCES, "source")
    fields.fraction(outcome.strength, "strength")
    return outcome


def add_outcome(connection: Connection, id: str, outcome: NewOutcome, now: str) -> str:
    """Stores an outcome.

    :return: its id.
    """
    connection.execute(
        "INSERT INTO outcomes (id, created_at, impression_id, memory_id, verdict, agent, source, strength)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id,
            now,
            outcome.impression_id,
            outcome.memory_id,
            outcome.verdict,
            outcome.agent,
            outcome.source,
            float(outcome.strength),
        ),
    )
    return id


def outcomes(
    readers: Readers, memory_id: str | None = None, impression_id: str | None = None
) -> list[OutcomeRecord]:
    """Outcomes in order of arrival, all or those of one memory or of one impression."""
    wanted = {"memory_id": memory_id, "impression_id": impression_id}
    given = {column: value for column, value in wanted.items() if value is not None}
    where = " AND ".join(f"{column} = ?" for column in given)
    with readers.lend() as connection:
        rows = connection.execute(
            f"{_OUTCOME}{' WHERE ' + where if where else ''} ORDER BY outcome", tuple(given.values())
        ).fetchall()
    return [OutcomeRecord(*row) for row in rows]


def outcome_totals(readers: Readers) -> dict[str, tuple[float, float]]:
    """How often each memory was good and bad: of each agent the latest verdict, and the sum of uses' strengths."""
    with readers.lend() as connection:
        rows = connection.execute(
            "SELECT memory_id, sum(CASE WHEN verdict IN ('helped', 'used') THEN strength ELSE 0 END),"
            " sum(CASE WHEN verdict IN ('wrong', 'outdated') THEN strength ELSE 0 END) FROM outcomes o"
            " WHERE source = 'use' OR outcome = (SELECT max(outcome) FROM outcomes l WHERE l.memory_id = o.memory_id"
            " AND l.agent = o.agent AND l.source = 'feedback') GROUP BY memory_id"
        ).fetchall()
    return {str(id): (float(good), float(bad)) for id, good, bad in rows}


def n_outcomes_since(readers: Readers, agent: str, since: str) -> int:
    """How many outcomes an agent has told since a time."""
    with readers.lend() as connection:
        (row,) = connection.execute(
            "SELECT count(*) FROM outcomes WHERE agent = ? AND created_at >= ?", (agent, since)
        ).fetchall()
    return int(row[0])


def returned_since(readers: Readers, since: str) -> list[str]:
    """Ids of the items that impressions showed since a time."""
    with readers.lend() as connection:
        rows = connection.execute(
            "SELECT DISTINCT i.memory_id FROM impressions p JOIN impression_items i ON i.impression = p.impression"
            " WHERE p.created_at >= ? AND i.is_shown",
            (since,),
        ).fetchall()
    return [row[0] for row in rows]


def prune(connection: Connection, before: str, judged_before: str) -> int:
    """Removes impressions that nothing will be learned from any more.

    :param before: those without an outcome that are older; `judged_before` those with one.
    :return: how many went.
    """
    old = "created_at < ? OR (created_at < ? AND id NOT IN (SELECT ifnull(impression_id, '') FROM outcomes))"
    done = connection.execute("DELETE FROM impressions WHERE " + old, (judged_before, before))  # noqa: S608 - constant
    return int(done.rowcount)


def erase(connection: Connection, ids: Iterable[str]) -> None:
    """Removes what was recorded about memories, and the queries that had found them (they often repeat the text)."""
    for id in ids:
        connection.execute(
            "UPDATE impressions SET query = '' WHERE impression IN"
            " (SELECT impression FROM impression_items WHERE memory_id = ?)",
            (id,),
        )
        connection.execute("DELETE FROM impression_items WHERE memory_id = ?", (id,))
        connection.execute("DELETE FROM outcomes WHERE memory_id = ?", (id,))
