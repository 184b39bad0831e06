"""The ranker's models that were fitted to outcomes, and what became of each, in behaviour.db.

At most one is active for each project, and one for all others; the texts of models are files of the daemon.
"""

from __future__ import annotations

from penchant_store import fields
from penchant_store.connection import Connection, Readers
from penchant_store.errors import UnknownId
from penchant_store.events import as_json, parsed
from penchant_store.records import NewRankerModel, RankerModelRecord

KINDS = ("linear", "trees")
STATUSES = ("active", "rejected", "replaced", "rolled_back", "fell_back", "refused")


def check(model: NewRankerModel) -> NewRankerModel:
    """The model as it is recorded.

    :raises InvalidRecord: naming the field.
    """
    fields.one_of(model.kind, KINDS, "kind")
    fields.optional_name(model.project, "project")
    fields.one_of(model.status, STATUSES, "status")
    fields.text(model.reason, "reason")
    fields.name(model.digest, "digest")
    return model


def add(connection: Connection, id: str, model: NewRankerModel, now: str) -> str:
    """Records a model; one that is active replaces the one that was.

    :return: its id.
    """
    if model.status == "active":
        connection.execute(
            "UPDATE ranker_models SET status = 'replaced', reason = ?, changed_at = ?"
            " WHERE status = 'active' AND project IS ?",
            (f"replaced by {id}", now, model.project),
        )
    connection.execute(
        "INSERT INTO ranker_models (id, created_at, kind, project, status, reason, digest, trained_on, changed_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id,
            now,
            model.kind,
            model.project,
            model.status,
            model.reason,
            model.digest,
            as_json(model.trained_on, "trained_on"),
            now,
        ),
    )
    return id


def models(readers: Readers, status: str | None = None, limit: int = 100) -> list[RankerModelRecord]:
    """The latest models, latest first.

    :param status: only those with this status.
    """
    with readers.lend() as connection:
        rows = connection.execute(
            "SELECT id, created_at, kind, project, status, reason, digest, trained_on, changed_at FROM ranker_models"
            " WHERE ? IS NULL OR status = ? ORDER BY model DESC LIMIT ?",
            (status, status, limit),
        ).fetchall()
    return [
        RankerModelRecord(
            id, created_at, kind, project, status_, reason, digest, parsed(trained_on), changed_at
        )
        for id, created_at, kind, project, status_, reason, digest, trained_on, changed_at in rows
    ]


def set_status(connection: Connection, id: str, status: str, reason: str, now: str) -> None:
    """Gives a model another status; one that becomes active replaces the one that was.

    :raises UnknownId: when there is no such model.
    """
    row = connection.execute("SELECT project FROM ranker_models WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise UnknownId("model", id)
    if status == "active":
        connection.execute(
            "UPDATE ranker_models SET status = 'replaced', reason = ?, changed_at = ?"
            " WHERE status = 'active' AND project IS ? AND id <> ?",
            (f"replaced by {id}", now, row[0], id),
        )
    connection.execute(
        "UPDATE ranker_models SET status = ?, reason = ?, changed_at = ? WHERE id = ?",
        (status, reason, now, id),
    )
