"""From the config's model names to models that are ready to use: the composition of this package."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path

from penchant_daemon.config import Config
from penchant_daemon.models.embedder import OnnxEmbedder
from penchant_daemon.models.onnx_store import find_or_export
from penchant_daemon.models.registry import find_model

__all__ = ["embedder_key", "onnx_cache_dir", "open_embedder"]


def open_embedder(config: Config, home: Path, *, name: str | None = None) -> OnnxEmbedder:
    """
    The embedder that the config names, ready to encode. Blocks: 0.2 s, or about 10 s on the first use of a
    model by this user (it is then exported to ONNX in a child process), so call it in a thread.

    :param name: another model than the config's, for `penchant reindex --model`.
    :raises ModelMissing: the model, or torch for its first use, isn't installed.
    :raises ModelCorrupt: its files don't have the hash that is known for them.
    """
    model = find_model(name or config.models.embedder, "embedder", home)
    export, folder = find_or_export(
        model.name, model.path, model.weights, model.sha256, model.revision, home, onnx_cache_dir()
    )
    return OnnxEmbedder(export, folder)


def embedder_key(config: Config, home: Path, *, name: str | None = None) -> str:
    """
    The name under which this model's vectors are stored, known without opening it.

    :raises ModelMissing: no such model here.
    """
    model = find_model(name or config.models.embedder, "embedder", home)
    return model.index_name


def onnx_cache_dir() -> Path:
    """Where this user's exports are kept for all data directories; may be deleted at any time."""
    return user_cache_path("penchant", appauthor=False) / "onnx"
