"""Model files on disk: their hashes, and directories that appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from penchant_daemon.models.errors import ModelCorrupt

__all__ = ["check_sha256", "exclusive", "link_or_copy_tree", "sha256_of", "staged_directory"]

_CHUNK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in lower-case hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def check_sha256(path: Path, expected: str, hint: str) -> None:
    """
    Makes sure that a file is the one that was meant.

    :raises ModelCorrupt: the hashes differ, or the file is gone.
    """
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ModelCorrupt(f"{path} can't be read: {error.strerror}", hint) from error
    if found != expected:
        raise ModelCorrupt(f"{path} has SHA-256 {found}, expected {expected}", hint)


@contextlib.contextmanager
def staged_directory(target: Path) -> Iterator[Path]:
    """
    A temporary directory beside `target` that is renamed to it when the block ends well.

    A crash leaves nothing at `target`. When somebody else made `target` meanwhile, theirs stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield staging
        for path in staging.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
        try:
            staging.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def link_or_copy_tree(source: Path, target: Path) -> None:
    """Puts a flat directory of files at `target`: by hard links within a file system, else copies."""
    with staged_directory(target) as staging:
        for path in source.iterdir():
            try:
                os.link(path, staging / path.name)
            except OSError:
                shutil.copyfile(path, staging / path.name)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Waits until this process alone holds the lock file at `path`; the lock goes with the process."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a") as file:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
