"""Brings a database file to the schema of this version: numbered, forward only, each step in one transaction with its
record.

The number of the last step is also the file's `user_version`, so an up-to-date file opens without loading sqlite-utils.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

from penchant_store.connection import Connection, complete_statement
from penchant_store.errors import StoreTooNew

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: its number, its name and its SQL."""

    number: int
    name: str
    sql: str


def migrations(schema: str) -> list[Migration]:
    """The steps of a schema in order.

    :param schema: the folder under `migrations`: memory or behaviour.
    """
    steps = []
    for entry in (resources.files("penchant_store") / "migrations" / schema).iterdir():
        match = _NAME.fullmatch(entry.name)
        if match:
            steps.append(Migration(int(match[1]), entry.name.removesuffix(".sql"), entry.read_text("utf-8")))
    return sorted(steps, key=lambda step: step.number)


def migrate(
    connection: Connection, schema: str, path: Path, now: str, steps: list[Migration] | None = None
) -> int:
    """Applies the steps that the file lacks.

    :param now: the time that is recorded with each step.
    :param steps: the steps to use instead of the schema's own (tests).
    :return: how many were applied.
    :raises StoreTooNew: when the file knows a step that this version does not.
    """
    steps = migrations(schema) if steps is None else steps
    newest = steps[-1].number if steps else 0
    row = connection.execute("PRAGMA user_version").fetchone()
    version = int(row[0]) if row else 0
    if version > newest:
        reason = (
            f"{path} has schema {version} and this Penchant knows {newest}: it comes from a newer version"
        )
        raise StoreTooNew(f"{reason}; upgrade Penchant, or set PENCHANT_HOME to another directory")
    missing = [step for step in steps if step.number > version]
    if not missing:
        return 0
    import sqlite_utils  # 90 ms, and needed only when there is something to do

    # sqlite-utils names the standard driver in its types and works over any DB-API connection of SQLite.
    database = sqlite_utils.Database(cast(Any, connection), recursive_triggers=False)
    for step in missing:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements(step.sql):
                connection.execute(statement)
            database.table("migrations").create(
                {"number": int, "name": str, "applied_at": str}, pk="number", if_not_exists=True, strict=True
            )
            connection.execute(
                "INSERT INTO migrations (number, name, applied_at) VALUES (?, ?, ?)",
                (step.number, step.name, now),
            )
            connection.execute(f"PRAGMA user_version = {step.number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return len(missing)


def statements(sql: str) -> list[str]:
    """The statements of a script, one by one (a driver's `executescript` would commit before each)."""
    found, pending = [], ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if complete_statement(pending):
            found.append(pending.strip())
            pending = ""
    if pending.strip():
        found.append(pending.strip())
    return found
