"""Agents, speakers, projects and sessions as the writer sees them.

Made when new, numbers kept in RAM until a rollback.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from penchant_store.connection import Connection
from penchant_store.items import Changes


@dataclass(slots=True)
class OpenSession:
    """A session's counters while it is written to."""

    number: int
    project: int | None
    n_events: int
    n_messages: int
    n_items: int
    started_at: str | None
    last_at: str | None
    ended_at: str | None
    parent: int | None


def is_path(project: str) -> bool:
    """Whether a project is given by its directory rather than by name."""
    return "/" in project or "\\" in project


def base_name(path: str) -> str:
    """The last part of a path of either kind; the whole when there is none."""
    windows = "\\" in path and "/" not in path
    return (PureWindowsPath(path).name if windows else PurePosixPath(path).name) or path


def is_directory(project: str) -> bool:
    """Whether a project is given by a whole path: `/home/me/orion`, and not `team/orion`."""
    return PurePosixPath(project).is_absolute() or PureWindowsPath(project).is_absolute()


def find_project(connection: Connection, text: str) -> int | None:
    """The project of a path, of a name, or the last part of a path when only one project has it.

    A name goes on to mean the project that it was first used for.
    """
    row = connection.execute("SELECT project FROM projects WHERE path = ?", (text,)).fetchone()
    if row is None and is_path(text):
        row = connection.execute(
            "SELECT project FROM projects WHERE path = ?", (text.rstrip("/\\"),)
        ).fetchone()
    if row is None:
        row = connection.execute(
            "SELECT project FROM projects WHERE name = ? AND is_named = 1", (text,)
        ).fetchone()
    if row is None:
        rows = connection.execute("SELECT project FROM projects WHERE name = ? LIMIT 2", (text,)).fetchall()
        row = rows[0] if len(rows) == 1 else None
    return None if row is None else int(row[0])


def _without_directory(connection: Connection, name: str) -> int | None:
    """The project that has this name and no directory, when no other has the name."""
    rows = connection.execute("SELECT project, path FROM projects WHERE name = ? LIMIT 2", (name,)).fetchall()
    return int(rows[0][0]) if len(rows) == 1 and rows[0][1] is None else None


class Names:
    """The writer's numbers for names."""

    MAX_SESSIONS = 4_096  # an import of more reads the earlier ones again

    def __init__(self) -> None:
        self._agents: dict[str, int] = {}
        self._speakers: dict[str, int] = {}
        self._projects: dict[str, int] = {}
        self._sessions: dict[str, OpenSession] = {}
        self._changed: dict[int, OpenSession] = {}

    def clear(self) -> None:
        """Called after a rollback: what is kept here may not be in the file."""
        self._agents.clear()
        self._speakers.clear()
        self._projects.clear()
        self._sessions.clear()
        self._changed.clear()

    def agent(self, connection: Connection, name: str, now: str, changes: Changes) -> int:
        """The number of an agent, made when new."""
        number = self._agents.get(name)
        if number is None:
            row = connection.execute("SELECT agent FROM agents WHERE name = ?", (name,)).fetchone()
            if row is None:
                number = connection.execute(
                    "INSERT INTO agents (name, created_at) VALUES (?, ?)", (name, now)
                ).lastrowid
                changes.names.append(("agents", number, name))
            else:
                number = int(row[0])
            self._agents[name] = number
        return number

    def speaker(self, connection: Connection, name: str | None, changes: Changes) -> int | None:
        """The number of a speaker, made when new."""
        if name is None:
            return None
        number = self._speakers.get(name)
        if number is None:
            row = connection.execute("SELECT speaker FROM speakers WHERE name = ?", (name,)).fetchone()
            if row is None:
                number = connection.execute("INSERT INTO speakers (name) VALUES (?)", (name,)).lastrowid
                changes.names.append(("speakers", number, name))
            else:
                number = int(row[0])
            self._speakers[name] = number
        return number

    def project(
        self, connection: Connection, text: str | None, id: str, now: str, changes: Changes
    ) -> int | None:
        """The number of a project, made when new.

        A project that was only named so far gets the directory of its name, unless there are several.

        :param id: the ULID that it gets when it is new.
        """
        if text is None:
            return None
        number = self._projects.get(text)
        if number is None:
            number = find_project(connection, text)
            path = (text.rstrip("/\\") or text) if is_path(text) else None
            name = base_name(path) if path else text
            if number is None and path is not None and is_directory(path):
                number = _without_directory(connection, name)
                if number is not None:
                    connection.execute("UPDATE projects SET path = ? WHERE project = ?", (path, number))
                    changes.names.append(("projects", number, path))
            if number is None:
                number = connection.execute(
                    "INSERT INTO projects (id, name, path, created_at, is_named) VALUES (?, ?, ?, ?, ?)",
                    (id, name, path, now, path is None),
                ).lastrowid
                changes.names.append(("projects", number, path or name))
            elif path is None:
                connection.execute(
                    "UPDATE projects SET is_named = 1 WHERE project = ? AND name = ? AND is_named = 0",
                    (number, text),
                )
            self._projects[text] = number
        return number

    def session(
        self,
        connection: Connection,
        id: str,
        *,
        agent: int,
        project: int | None,
        parent: str | None,
        source: str,
        changes: Changes,
    ) -> OpenSession:
        """The counters of a session, made when new; a project or parent that it lacked is added."""
        session = self._sessions.get(id)
        if session is None:
            session = self._load_or_make(connection, id, agent, project, source, changes)
        if project is not None and session.project is None:
            session.project = project
            self.touch(session)
        if parent is not None and session.parent is None and parent != id:
            above = self.session(
                connection, parent, agent=agent, project=project, parent=None, source=source, changes=changes
            )
            session.parent = above.number
            self.touch(session)
        return session

    def _load_or_make(
        self, connection: Connection, id: str, agent: int, project: int | None, source: str, changes: Changes
    ) -> OpenSession:
        row = connection.execute(
            "SELECT session, project, n_events, n_messages, n_items, started_at, last_at, ended_at, parent"
            " FROM sessions WHERE id = ?",
            (id,),
        ).fetchone()
        if row is None:
            number = connection.execute(
                "INSERT INTO sessions (id, project, agent, source) VALUES (?, ?, ?, ?)",
                (id, project, agent, source),
            ).lastrowid
            changes.names.append(("sessions", number, id))
            session = OpenSession(number, project, 0, 0, 0, None, None, None, None)
        else:
            session = OpenSession(*row)
        self._sessions[id] = session
        return session

    def touch(self, session: OpenSession) -> None:
        """Remembers that the counters of a session changed."""
        self._changed[session.number] = session

    def write_sessions(self, connection: Connection) -> None:
        """Writes changed counters back; called at the end of each write."""
        for session in self._changed.values():
            connection.execute(
                "UPDATE sessions SET project = ?, n_events = ?, n_messages = ?, n_items = ?, started_at = ?,"
                " last_at = ?, ended_at = ?, parent = ? WHERE session = ?",
                (
                    session.project,
                    session.n_events,
                    session.n_messages,
                    session.n_items,
                    session.started_at,
                    session.last_at,
                    session.ended_at,
                    session.parent,
                    session.number,
                ),
            )
        self._changed.clear()
        if len(self._sessions) > self.MAX_SESSIONS:
            self._sessions.clear()
