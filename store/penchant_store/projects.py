"""Projects: working directories, or names for something that has none."""

from __future__ import annotations

from penchant_store.connection import Connection, Readers
from penchant_store.names import find_project
from penchant_store.records import ProjectRecord


def projects(readers: Readers, n_items: list[int]) -> list[ProjectRecord]:
    """All projects, those with the most items first.

    :param n_items: how many items each project has, by number.
    """
    with readers.lend() as connection:
        rows = connection.execute("SELECT id, name, path, project FROM projects").fetchall()
    found = [
        ProjectRecord(id, name, path, n_items[number] if number < len(n_items) else 0, number)
        for id, name, path, number in rows
    ]
    return sorted(found, key=lambda one: (-one.n_items, one.name))


def project_named(readers: Readers, text: str) -> int | None:
    """The number of the project with this path, name, id, or last part of a path when only one has it."""
    with readers.lend() as connection:
        return find_project(connection, text) or _by_id(connection, text)


def _by_id(connection: Connection, id: str) -> int | None:
    row = connection.execute("SELECT project FROM projects WHERE id = ?", (id,)).fetchone()
    return None if row is None else int(row[0])
