"""What Penchant runs on: the SQLite library, the embedder and the local model, each proved by its hash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penchant_daemon.config import Config
from penchant_daemon.doctor.finding import Finding
from penchant_daemon.models import ModelError, open_embedder
from penchant_daemon.models.registry import find_model, verify_model
from penchant_store.engine import can_corrupt_wal, sqlite_version

__all__ = ["check_models", "check_sqlite"]


def check_sqlite() -> Iterator[Finding]:
    """The SQLite library is not one of those that corrupt a database with a write-ahead log."""
    version = sqlite_version()
    if can_corrupt_wal(version):
        yield Finding(
            "sqlite_corrupts",
            "error",
            f"the SQLite library is {version}; 3.7.0 to 3.51.2 can corrupt databases with a write-ahead log",
            "memories can be lost when two connections write and checkpoint at once",
            "pip install --upgrade 'sqlcipher3>=0.6.4'",
        )


def check_models(config: Config, home: Path) -> Iterator[Finding]:
    """The embedder is here, unchanged, exported and gives vectors; the local model is here and unchanged."""
    try:
        model = find_model(config.models.embedder, "embedder", home)
        verify_model(model, home)
        if home.is_dir():  # before the first start nothing is made here, an export neither
            open_embedder(config, home).encode_query("which vectors does this give?")
    except ModelError as error:
        yield _of(error, "embedder", "recall goes on by words alone and misses what is said in other words")
    if config.models.language_model:
        try:
            verify_model(find_model(config.models.language_model, "local", home), home)
        except ModelError as error:
            yield _of(error, "language_model", "sessions are named by their first words")


def _of(error: ModelError, part: str, why: str) -> Finding:
    """A finding for what a model said; the hint of a model's error is a command or says where to look."""
    return Finding(f"{part}_unusable", "warning", error.message, why, error.hint)
