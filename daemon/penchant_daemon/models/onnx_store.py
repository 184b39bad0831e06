"""
The ONNX form of an embedder: made once, kept per user, linked into each data directory.

An export lies at `<home>/models/<name>-<first 8 of the source's SHA-256>/` with a `manifest.json` that
records the SHA-256 of the source and of the files that are read. The user's cache directory holds the same
files, so that a second data directory starts at once; both places are derived and may be deleted.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import penchant_daemon
import penchant_ranker
from penchant_daemon.models.errors import ExportFailed, ModelCorrupt
from penchant_daemon.models.export import (
    DETAILS_FILE,
    MODEL_FILE,
    QUESTION_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
)
from penchant_daemon.models.files import (
    check_sha256,
    exclusive,
    link_or_copy_tree,
    sha256_of,
    staged_directory,
)

__all__ = ["Export", "find_or_export"]

MANIFEST_FILE = "manifest.json"
EXPORT_FORMAT = 4  # raise it when `export.py` writes something else; older exports are then made anew
EXPORT_TIMEOUT_S = 300.0  # takes 8 s for MiniLM on 2 busy cores; larger models have more weights to write


@dataclass(frozen=True, slots=True)
class Export:
    """What the manifest says about an exported embedder.

    :param question_sha256: of the network with 8-bit weights that encodes questions; None where `model.onnx` does.
    :param question_cosine: how near its vectors come to those of `model.onnx`, at least.
    """

    name: str
    source_sha256: str
    revision: str
    model_sha256: str
    weights_sha256: str
    question_sha256: str | None
    tokenizer_sha256: str
    dim: int
    hidden: int
    max_tokens: int
    pad_id: int
    query_prompt: str
    document_prompt: str
    min_cosine: float
    question_cosine: float | None
    format: int = EXPORT_FORMAT


def find_or_export(
    name: str, source: Path, weights: Path, source_sha256: str, revision: str, home: Path, cache: Path
) -> tuple[Export, Path]:
    """
    The exported model of `source`, made if this user has none yet (about 8 s for MiniLM, in a child process).

    Files that don't have the hash of their manifest are removed and made anew.

    :param source: the sentence-transformers directory; it is read and hashed only when an export is due.
    :param weights: the source's file that must have `source_sha256`.
    :return: the manifest and the directory that holds the files.
    :raises ModelCorrupt: the source has another hash.
    :raises ExportFailed: torch or sentence-transformers is missing, or the export went wrong.
    """
    folder = f"{_slug(name)}-{source_sha256[:8]}"
    mine, shared = home / "models" / folder, cache / folder
    if (found := _read(mine, source_sha256)) is not None:
        return found, mine
    with exclusive(cache / f".{folder}.lock"):
        if _read(shared, source_sha256) is None:
            for stale in (shared, *cache.glob(f".{folder}.*/")):  # of an export that was killed
                shutil.rmtree(stale, ignore_errors=True)
            hint = "reinstall the package it came from, or pull it again"
            check_sha256(weights, source_sha256, hint)
            with staged_directory(shared) as staging:
                _run_export(name, source, staging)
                _write_manifest(staging, name, source_sha256, revision)
    shutil.rmtree(mine, ignore_errors=True)
    try:
        link_or_copy_tree(shared, mine)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        mine = shared  # a data directory that cannot be written: the user's own copy serves as well
    made = _read(mine, source_sha256)
    if made is None:
        raise ModelCorrupt(f"the export of {name} at {mine} changed while it was written", "try again")
    return made, mine


def _slug(name: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "-" for char in name).strip(".")


def _read(folder: Path, source_sha256: str) -> Export | None:
    """The manifest, if the folder holds a whole export of that source with the right hashes."""
    try:
        found = Export(**json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    if found.source_sha256 != source_sha256 or found.format != EXPORT_FORMAT:
        return None
    recorded = {
        MODEL_FILE: found.model_sha256,
        WEIGHTS_FILE: found.weights_sha256,
        TOKENIZER_FILE: found.tokenizer_sha256,
    }
    if found.question_sha256 is not None:
        recorded[QUESTION_FILE] = found.question_sha256
    try:
        intact = all(sha256_of(folder / file) == sha256 for file, sha256 in recorded.items())
    except OSError:
        return None
    return found if intact else None


def _run_export(name: str, source: Path, target: Path) -> None:
    command = [
        sys.executable,
        "-P",
        "-m",
        "penchant_daemon.models.export",
        str(source),
        str(target),
        str(os.getpid()),
    ]
    packages = dict.fromkeys(
        str(Path(file).parents[1]) for file in (penchant_daemon.__file__, penchant_ranker.__file__)
    )
    path = os.pathsep.join(part for part in (*packages, os.environ.get("PYTHONPATH", "")) if part)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=EXPORT_TIMEOUT_S,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ExportFailed(
            f"exporting {name} to ONNX took more than {EXPORT_TIMEOUT_S:.0f} s", "try again: penchant reindex"
        ) from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        hint = "pip install sentence-transformers torch" if "ModuleNotFoundError" in last else None
        raise ExportFailed(f"{name} could not be exported to ONNX: {last[:500]}", hint)


def _write_manifest(folder: Path, name: str, source_sha256: str, revision: str) -> None:
    details = json.loads((folder / DETAILS_FILE).read_text(encoding="utf-8"))
    (folder / DETAILS_FILE).unlink()
    manifest = Export(
        name=name,
        source_sha256=source_sha256,
        revision=revision,
        model_sha256=sha256_of(folder / MODEL_FILE),
        weights_sha256=sha256_of(folder / WEIGHTS_FILE),
        question_sha256=sha256_of(folder / QUESTION_FILE) if (folder / QUESTION_FILE).exists() else None,
        tokenizer_sha256=sha256_of(folder / TOKENIZER_FILE),
        **details,
    )
    (folder / MANIFEST_FILE).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
