"""Jobs.

Background work in the database, so that nothing is lost with a process. A failed job is tried MAX_ATTEMPTS
times.
"""

from __future__ import annotations

from collections.abc import Sequence

from penchant_store.connection import Connection, Readers
from penchant_store.errors import UnknownId
from penchant_store.events import parsed
from penchant_store.records import Job, JobCounts

MAX_ATTEMPTS = 3
MAX_ERROR_CHARS = 1_000


def enqueue(
    connection: Connection, id: str, kind: str, payload: str, dedupe_key: str | None, now: str
) -> str:
    """Queues a job; one that waits with the same kind and key stands for both.

    :return: the id of the job that waits.
    """
    if dedupe_key is not None:
        row = connection.execute(
            "SELECT id FROM jobs WHERE kind = ? AND dedupe_key = ? AND status = 'queued'", (kind, dedupe_key)
        ).fetchone()
        if row is not None:
            return str(row[0])
    connection.execute(
        "INSERT INTO jobs (id, kind, payload, dedupe_key, status, created_at) VALUES (?, ?, ?, ?, 'queued', ?)",
        (id, kind, payload, dedupe_key, now),
    )
    return id


def has_queued(readers: Readers, kinds: Sequence[str]) -> bool:
    """Whether any job of these kinds waits."""
    marks = ", ".join("?" * len(kinds))
    with readers.lend() as connection:
        row = connection.execute(
            f"SELECT 1 FROM jobs WHERE status = 'queued' AND kind IN ({marks}) LIMIT 1",  # noqa: S608 - marks only
            tuple(kinds),
        ).fetchone()
    return row is not None


def take(connection: Connection, kinds: Sequence[str]) -> Job | None:
    """Takes the oldest waiting job of these kinds."""
    marks = ", ".join("?" * len(kinds))
    row = connection.execute(
        "SELECT id, kind, payload, attempts FROM jobs WHERE status = 'queued'"  # noqa: S608 - marks only
        f" AND kind IN ({marks}) ORDER BY id LIMIT 1",
        tuple(kinds),
    ).fetchone()
    if row is None:
        return None
    connection.execute("UPDATE jobs SET status = 'running', attempts = attempts + 1 WHERE id = ?", (row[0],))
    return Job(row[0], row[1], parsed(row[2]), row[3] + 1)


def finish(connection: Connection, id: str, error: str | None) -> None:
    """Ends a job: done ones go, failed ones wait again until they were tried MAX_ATTEMPTS times.

    :raises UnknownId: when there is no such job.
    """
    if error is None:
        changed = connection.execute("DELETE FROM jobs WHERE id = ?", (id,)).rowcount
    else:
        # A younger job with the same key may wait already: then this one has no use any more.
        connection.execute(
            "DELETE FROM jobs WHERE id = ? AND EXISTS (SELECT 1 FROM jobs w WHERE w.kind = jobs.kind"
            " AND w.id <> jobs.id AND w.dedupe_key = jobs.dedupe_key AND w.status = 'queued') AND attempts < ?",
            (id, MAX_ATTEMPTS),
        )
        row = connection.execute("SELECT attempts FROM jobs WHERE id = ?", (id,)).fetchone()
        if row is None:
            return
        status = "failed" if row[0] >= MAX_ATTEMPTS else "queued"
        changed = connection.execute(
            "UPDATE jobs SET status = ?, error = ? WHERE id = ?", (status, error[:MAX_ERROR_CHARS], id)
        ).rowcount
    if changed == 0:
        raise UnknownId("job", id)


def requeue_running(connection: Connection) -> None:
    """Puts back what ran when the last process ended."""
    connection.execute(
        "DELETE FROM jobs WHERE status = 'running' AND EXISTS (SELECT 1 FROM jobs w WHERE w.kind = jobs.kind"
        " AND w.dedupe_key = jobs.dedupe_key AND w.status = 'queued')"
    )
    connection.execute("UPDATE OR IGNORE jobs SET status = 'queued' WHERE status = 'running'")


def job_counts(readers: Readers) -> dict[str, JobCounts]:
    """How many jobs of each kind there are."""
    with readers.lend() as connection:
        rows = connection.execute("SELECT kind, status, count(*) FROM jobs GROUP BY kind, status").fetchall()
    counts: dict[str, dict[str, int]] = {}
    for kind, status, n in rows:
        counts.setdefault(kind, {})[status] = n
    return {kind: JobCounts(**by_status) for kind, by_status in counts.items()}
