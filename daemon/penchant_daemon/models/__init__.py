"""Models: the embedder that the daemon runs, the local language model in its own process, and their files."""

from penchant_daemon.models.current import CurrentEmbedder
from penchant_daemon.models.embedder import Embedder, Encodings, OnnxEmbedder, QueryEncoding
from penchant_daemon.models.errors import (
    ExportFailed,
    ModelCorrupt,
    ModelError,
    ModelLoading,
    ModelMissing,
    PullFailed,
    WorkerBusy,
    WorkerFailed,
)
from penchant_daemon.models.open import embedder_key, open_embedder

__all__ = [
    "CurrentEmbedder",
    "Embedder",
    "Encodings",
    "ExportFailed",
    "ModelCorrupt",
    "ModelError",
    "ModelLoading",
    "ModelMissing",
    "OnnxEmbedder",
    "QueryEncoding",
    "PullFailed",
    "WorkerBusy",
    "WorkerFailed",
    "embedder_key",
    "open_embedder",
]
