"""Agents: programs that write or read memory, and the digests of their tokens (a token itself is never kept)."""

from __future__ import annotations

import hashlib
import secrets

from penchant_store.connection import Connection, Readers
from penchant_store.records import AgentRecord

TOKEN_PREFIX = "pen_"  # lets a secret detector know it


def agents(readers: Readers) -> list[AgentRecord]:
    """All agents, in order of their first appearance."""
    with readers.lend() as connection:
        rows = connection.execute(
            "SELECT name, created_at, token_digest IS NOT NULL, agent FROM agents ORDER BY agent"
        ).fetchall()
    return [AgentRecord(name, created_at, bool(has_token), key) for name, created_at, has_token, key in rows]


def agent_by_token(readers: Readers, token: str) -> AgentRecord | None:
    """The agent that a token was issued to."""
    with readers.lend() as connection:
        row = connection.execute(
            "SELECT name, created_at, agent FROM agents WHERE token_digest = ?", (token_digest(token),)
        ).fetchone()
    return None if row is None else AgentRecord(row[0], row[1], True, row[2])


def new_token() -> str:
    """256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def keep_token(connection: Connection, agent: int, token: str) -> None:
    """Makes this the agent's token; an earlier one is void from then on."""
    keep_digest(connection, agent, token_digest(token))


def keep_digest(connection: Connection, agent: int, digest: bytes) -> None:
    """Let an agent in by the digest of its token, and no longer by an earlier one."""
    connection.execute("UPDATE agents SET token_digest = ? WHERE agent = ?", (digest, agent))


def token_digest(token: str) -> bytes:
    """What is kept of a token. Tokens are random, so a plain digest cannot be guessed back."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
