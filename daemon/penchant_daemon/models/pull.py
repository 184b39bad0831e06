"""
Fetches a model from a hub by repository, full revision and hash: `penchant models pull`.

Nothing is used before it is whole and its hash is right. A download that was cut short goes on where it
stopped. Only data is fetched (safetensors, GGUF, JSON, vocabularies), never pickles or code.
"""

from __future__ import annotations

import fnmatch
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from penchant_daemon.models.catalogue import ModelKind
from penchant_daemon.models.errors import ModelCorrupt, PullFailed
from penchant_daemon.models.files import exclusive, sha256_of
from penchant_daemon.models.registry import (
    RECORD_FILE,
    Model,
    PulledRecord,
    find_model,
    pulled_dir,
    read_record,
    write_record,
)

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

__all__ = ["Progress", "Wanted", "pull"]

# What sentence-transformers reads of an embedder, besides its weights.
_EMBEDDER_FILES = (
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "[0-9]_*/config.json",
    "[0-9]_*/model.safetensors",
)
_WEIGHTS = "model.safetensors"
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SPARE_BYTES = 100_000_000  # left free on the disk

Progress = Callable[[str, int, int], None]  # file, bytes that are here, bytes in all


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What to fetch.

    :param repo: `organisation/name`.
    :param revision: the full commit id, 40 hexadecimal digits: a branch's name would mean another model tomorrow.
    :param file: the GGUF file of a language model; None for an embedder, whose weights are `model.safetensors`.
    :param sha256: of that file; None records what arrives and holds later pulls of the revision to it.
    """

    repo: str
    revision: str
    file: str | None = None
    sha256: str | None = None

    def check(self) -> None:
        """:raises PullFailed: a part isn't what it must be; the message names it."""
        if not _REPO.fullmatch(self.repo) or ".." in self.repo:
            raise PullFailed(f"{self.repo!r} is no repository", "name it as ORGANISATION/NAME")
        if not _COMMIT.fullmatch(self.revision):
            raise PullFailed(
                f"{self.revision!r} is no full revision",
                "give the 40 digits of a commit (the hub's page of the repository shows them under History)",
            )
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            raise PullFailed(f"{self.sha256!r} is no SHA-256", "give its 64 hexadecimal digits in lower case")
        if self.file is not None:
            path = PurePosixPath(self.file)
            if path.is_absolute() or ".." in path.parts or path.suffix not in (".gguf", ".safetensors"):
                raise PullFailed(f"{self.file!r} is no .gguf or .safetensors file of a repository")

    @property
    def kind(self) -> ModelKind:
        """A GGUF file is a language model, anything else an embedder."""
        return "local" if self.file is not None and self.file.endswith(".gguf") else "embedder"

    @property
    def weights(self) -> str:
        """The file that the hash is of."""
        return self.file or _WEIGHTS


def pull(
    wanted: Wanted,
    home: Path,
    *,
    max_bytes: int | None = None,
    endpoint: str | None = None,
    progress: Progress = lambda *_: None,
) -> Model:
    """
    Fetches a model into `<home>/models/pulled/`; one that is there already is checked, and fetched anew where a
    file of it is gone or has changed: with the hashes that were recorded when it came.

    :param max_bytes: how much may be added to the data directory; None sets no limit but the disk's.
    :param endpoint: the hub; None takes huggingface_hub's own (`HF_ENDPOINT`, else huggingface.co).
    :raises PullFailed: nothing of it is used then; the message says what to do.
    """
    wanted.check()
    folder = pulled_dir(home) / f"{wanted.repo.replace('/', '--')}@{wanted.revision[:8]}"
    staging = folder.with_name(f".{folder.name}.part")
    with exclusive(pulled_dir(home) / ".lock"), _said_clearly(wanted, endpoint):
        record = _record_of(folder)
        if record is not None and record.weights != wanted.weights:
            record = None  # another file of the same revision is here
        if record is None or not _is_whole(folder, record):
            known = {} if record is None else record.files
            files = _files(wanted, endpoint)
            metadata = _describe(wanted, files, endpoint)
            _check_room(home, staging, sum(each.size or 0 for each in metadata.values()), max_bytes)
            hashes = {}
            for file in files:  # the weights first: a wrong hash is found before the rest is fetched
                expected = (wanted.sha256 if file == wanted.weights else None) or known.get(file)
                hashes[file] = _fetch(file, metadata[file], staging, expected, endpoint, progress)
            is_verified = wanted.sha256 is not None or (record is not None and record.is_verified)
            write_record(staging, _new_record(wanted, hashes, is_verified))
            if folder.exists():
                _merge(staging, folder)
            else:
                staging.rename(folder)
        else:
            _hold_to_hash(folder, record, wanted)
    return find_model(wanted.repo, wanted.kind, home)


def _files(wanted: Wanted, endpoint: str | None) -> list[str]:
    """The repository's files that are wanted, the weights first."""
    from huggingface_hub import HfApi

    info = HfApi(endpoint=endpoint).model_info(wanted.repo, revision=wanted.revision)
    if info.sha != wanted.revision:
        raise PullFailed(f"the hub has {wanted.repo} at {info.sha}, not at {wanted.revision}")
    names = [sibling.rfilename for sibling in info.siblings or ()]
    if wanted.weights not in names:
        likely = [name for name in names if name.endswith((".gguf", ".safetensors"))]
        hint = f"--file takes one of: {', '.join(sorted(likely)[:20])}" if likely else None
        raise PullFailed(f"{wanted.repo} has no file {wanted.weights} at {wanted.revision[:8]}", hint)
    if wanted.kind == "local":
        return [wanted.weights]
    rest = [
        name
        for name in names
        if name != wanted.weights and any(fnmatch.fnmatchcase(name, wish) for wish in _EMBEDDER_FILES)
    ]
    if "config.json" not in rest:
        raise PullFailed(
            f"{wanted.repo} has no config.json: it is no embedder that sentence-transformers can load",
            "a language model needs --file NAME.gguf",
        )
    return [wanted.weights, *rest]


def _describe(wanted: Wanted, files: Sequence[str], endpoint: str | None) -> dict[str, HfFileMetadata]:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    found = {}
    for file in files:
        url = hf_hub_url(wanted.repo, file, revision=wanted.revision, endpoint=endpoint)
        metadata = get_hf_file_metadata(url, endpoint=endpoint)
        if metadata.commit_hash != wanted.revision:
            raise PullFailed(f"the hub answers {file} from {metadata.commit_hash}, not {wanted.revision}")
        found[file] = metadata
    return found


def _check_room(home: Path, staging: Path, n_bytes: int, max_bytes: int | None) -> None:
    here = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    wanted = max(0, n_bytes - here)
    if max_bytes is not None and wanted > max_bytes:
        raise PullFailed(
            f"the model takes {wanted / 1e6:,.0f} MB, and {max(0, max_bytes) / 1e6:,.0f} MB are left",
            "raise limits.disk_mb in config.toml",
        )
    free = shutil.disk_usage(home).free
    if wanted + _SPARE_BYTES > free:
        raise PullFailed(
            f"the model takes {wanted / 1e6:,.0f} MB, and the disk has {free / 1e6:,.0f} MB left"
        )


def _fetch(
    file: str,
    metadata: HfFileMetadata,
    staging: Path,
    expected: str | None,
    endpoint: str | None,
    progress: Progress,
) -> str:
    """Downloads one file, or the rest of it, and returns its SHA-256. What is wrong is removed.

    :param expected: the hash that it must have; None takes the hub's own, where it has one.
    """
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    target = staging / file
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = target.with_name(target.name + ".part")
    total = metadata.size or 0
    if not target.is_file():
        with _Counted(part, lambda n: progress(file, n, total)) as out:
            resume_at = out.seek(0, os.SEEK_END)
            if total and resume_at > total:
                resume_at = out.seek(0)
                out.truncate()
            progress(file, resume_at, total)
            headers = build_hf_headers() if _is_on_hub(metadata, endpoint) else {}
            http_get(
                metadata.location,
                out,
                resume_size=resume_at,
                headers=headers,
                expected_size=metadata.size,
                displayed_filename=file,
            )
            out.flush()
            os.fsync(out.fileno())
    checked = target if target.is_file() else part
    found = sha256_of(checked)
    etag = metadata.etag or ""
    if expected is None and _SHA256.fullmatch(etag):
        expected = etag  # the hub's own hash of large files
    if expected is not None and found != expected:
        checked.unlink()
        raise PullFailed(
            f"{file} has SHA-256 {found}, expected {expected}; it was removed",
            "check the hash and the revision; if both are right, the hub or the way to it can't be trusted",
        )
    checked.chmod(0o600)
    checked.rename(target)
    return found


def _is_on_hub(metadata: HfFileMetadata, endpoint: str | None) -> bool:
    """Whether the file comes from the hub itself; a storage host must not see the hub's token."""
    from huggingface_hub import constants

    return urlsplit(metadata.location).netloc == urlsplit(endpoint or constants.ENDPOINT).netloc


class _Counted(io.BufferedWriter):
    """A file that says how long it has become; opened for appending, made when missing."""

    def __init__(self, path: Path, told: Callable[[int], None]) -> None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        super().__init__(io.FileIO(handle, "r+b", closefd=True))
        self._told = told

    def write(self, data: bytes) -> int:  # type: ignore[override]
        n = super().write(data)
        self._told(self.tell())
        return n


def _record_of(folder: Path) -> PulledRecord | None:
    try:
        return read_record(folder)
    except ModelCorrupt:
        shutil.rmtree(folder)
        return None


def _is_whole(folder: Path, record: PulledRecord) -> bool:
    """Whether every file of a model that is here has the hash that was recorded."""
    return all(
        (folder / file).is_file() and sha256_of(folder / file) == sha256
        for file, sha256 in record.files.items()
    )


def _hold_to_hash(folder: Path, record: PulledRecord, wanted: Wanted) -> None:
    """A model that is here and whole: where the person gives a hash, it must be the recorded one."""
    found = record.files[record.weights]
    if wanted.sha256 is not None and wanted.sha256 != found:
        shutil.rmtree(folder)
        raise PullFailed(
            f"{record.weights} has SHA-256 {found}, expected {wanted.sha256}; the model was removed",
            "pull it again",
        )
    if wanted.sha256 is not None and not record.is_verified:
        write_record(folder, _new_record(wanted, record.files, is_verified=True))


def _new_record(wanted: Wanted, hashes: dict[str, str], is_verified: bool) -> PulledRecord:
    return PulledRecord(
        repo=wanted.repo,
        kind=wanted.kind,
        revision=wanted.revision,
        weights=wanted.weights,
        files=dict(hashes),
        is_verified=is_verified,
        pulled_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _merge(staging: Path, folder: Path) -> None:
    for path in sorted(staging.rglob("*")):
        if path.is_file() and path.name != RECORD_FILE:
            target = folder / path.relative_to(staging)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.replace(target)
    (staging / RECORD_FILE).replace(folder / RECORD_FILE)
    shutil.rmtree(staging)


@contextmanager
def _said_clearly(wanted: Wanted, endpoint: str | None) -> Iterator[None]:
    """Turns the errors of the hub's client into ours: what was wrong, and what to do."""
    import httpx2
    from huggingface_hub import constants, errors

    hub = endpoint or constants.ENDPOINT
    again = "run the same command again: it goes on where it stopped"
    try:
        yield
    except errors.GatedRepoError as error:
        raise PullFailed(
            f"{wanted.repo} is open to those who accepted its licence",
            f"accept it on {hub}, then: hf auth login",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise PullFailed(
            f"{hub} has no repository {wanted.repo}, or it is private",
            "check its name; hf auth login if it is yours",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise PullFailed(f"{wanted.repo} has no revision {wanted.revision}", "check the commit id") from error
    except errors.EntryNotFoundError as error:
        raise PullFailed(f"{wanted.repo} has not the files that it lists", "try another revision") from error
    except errors.OfflineModeIsEnabled as error:
        raise PullFailed("HF_HUB_OFFLINE forbids to ask the hub", "unset HF_HUB_OFFLINE") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no status"
        raise PullFailed(f"{hub} answered {status} for {wanted.repo}", again) from error
    except (httpx2.ConnectError, httpx2.TimeoutException) as error:
        raise PullFailed(f"{hub} can't be reached: {error}", f"check the network; {again}") from error
    except httpx2.HTTPError as error:
        raise PullFailed(f"the download was cut short: {error}", again) from error
    except OSError as error:
        what = error.strerror or str(error)
        raise PullFailed(f"the model can't be stored or fetched: {what}", again) from error
