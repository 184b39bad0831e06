"""What can go wrong with a model.

    ModelError (a PenchantError)
    ├── ModelMissing        a model, or the library that reads it, isn't here
    │   └── ExportFailed    it is here, but couldn't be turned into ONNX
    ├── ModelLoading        it is being prepared; a moment later it may be there
    ├── ModelCorrupt        a file differs from the hash that was recorded for it
    ├── PullFailed          a download was refused, wrong or cut short
    └── WorkerFailed        the process that holds the local model couldn't answer
        └── WorkerBusy      it stopped answering within its time

Every message says what was wrong; `hint` says what to do about it.
"""

from __future__ import annotations

from penchant_daemon.errors import PenchantError

__all__ = [
    "ExportFailed",
    "ModelCorrupt",
    "ModelError",
    "ModelLoading",
    "ModelMissing",
    "PullFailed",
    "WorkerBusy",
    "WorkerFailed",
]


class ModelError(PenchantError):
    """Base of everything that this package raises."""


class ModelMissing(ModelError):
    """The model (or what is needed to read it) isn't on this machine."""


class ExportFailed(ModelMissing):
    """The model is here, but its ONNX form could not be made; the cause is in the message."""


class ModelLoading(ModelError):
    """The model is being loaded or exported: do without it this time."""


class ModelCorrupt(ModelError):
    """A model file doesn't have the SHA-256 that was recorded for it."""


class PullFailed(ModelError):
    """A model could not be downloaded, or what arrived was not what was asked for."""


class WorkerFailed(ModelError):
    """The local model's process failed, and went on failing after its restarts."""


class WorkerBusy(WorkerFailed):
    """The local model didn't answer within the time that was allowed."""
