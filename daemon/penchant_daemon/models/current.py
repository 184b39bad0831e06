"""The embedder that recall and the indexer share: loaded when needed, given back when memory is short."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from penchant_daemon.models.embedder import Encodings, OnnxEmbedder, QueryEncoding
from penchant_daemon.models.errors import ModelCorrupt, ModelError, ModelLoading, ModelMissing

__all__ = ["CurrentEmbedder", "EmbedderState"]

EmbedderState = Literal["ready", "idle", "loading", "missing", "corrupt", "failed"]

RETRY_AFTER_S = 60.0
QUERY_WAIT_S = 1.5  # loading takes 0.2 s; only a first export takes longer, and words answer meanwhile


class CurrentEmbedder:
    """
    An `Embedder` that opens the real one at its first use and can be told to use another.

    After a failure it tries again when asked a minute later; until then each use raises the same error.

    :param name: of the model, as in the config.
    :param load: opens a model by name; called on a thread of its own, one at a time.
    """

    def __init__(self, name: str, load: Callable[[str], OnnxEmbedder]) -> None:
        self._wanted = name
        self._load = load
        self._changed = threading.Condition()
        self._embedder: OnnxEmbedder | None = None
        self._error: ModelError | None = None
        self._failed_at = 0.0
        self._is_loading = False

    @property
    def model(self) -> str:
        """Name of the model, as in the config and in `penchant models list`."""
        return self._wanted

    @property
    def name(self) -> str:
        """Name with hash, as vectors are filed under.

        :raises ModelError: as `get`.
        """
        return self.get().name

    @property
    def dim(self) -> int:
        """Length of a vector.

        :raises ModelError: as `get`.
        """
        return self.get().dim

    @property
    def state(self) -> EmbedderState:
        """What to show in the status: `idle` means that it is loaded when needed."""
        with self._changed:
            if self._embedder is not None:
                return "ready"
            if self._is_loading:
                return "loading"
            match self._error:
                case None:
                    return "idle"
                case ModelMissing():
                    return "missing"
                case ModelCorrupt():
                    return "corrupt"
                case _:
                    return "failed"

    @property
    def error(self) -> ModelError | None:
        """Why it isn't ready, when it isn't."""
        return self._error

    def get(self, wait_s: float | None = None) -> OnnxEmbedder:
        """
        The model itself; loaded now if it isn't yet.

        :param wait_s: how long to wait for that; None waits until it is there or has failed.
        :raises ModelLoading: not ready within `wait_s`; loading goes on.
        :raises ModelError: it can't be had; the same error is raised until it is tried again.
        """
        with self._changed:
            if self._embedder is not None:
                return self._embedder
            if not self._is_loading:
                if self._error is not None and time.monotonic() - self._failed_at < RETRY_AFTER_S:
                    raise self._error
                self._is_loading = True
                threading.Thread(target=self._open, name="load-embedder", daemon=True).start()
            self._changed.wait_for(lambda: not self._is_loading, wait_s)
            if self._embedder is not None:
                return self._embedder
            if self._error is not None and not self._is_loading:
                raise self._error
        raise ModelLoading(
            f"the embedder {self._wanted} is being prepared", "penchant status shows when it is ready"
        )

    def use(self, name: str, embedder: OnnxEmbedder) -> None:
        """From now on, this model."""
        with self._changed:
            self._wanted, self._embedder, self._error = name, embedder, None
            self._changed.notify_all()

    def choose(self, name: str) -> None:
        """From now on the model of that name, loaded at its first use."""
        with self._changed:
            self._wanted, self._embedder, self._error = name, None, None

    def release(self) -> None:
        """Gives the model's memory back; the next use loads it again (0.2 s)."""
        with self._changed:
            self._embedder = None

    def retry(self) -> None:
        """Forgets a failure, so that the next use tries at once."""
        with self._changed:
            self._error = None

    def encode(self, texts: Sequence[str], *, with_tokens: bool = False) -> Encodings:
        """As `OnnxEmbedder.encode`; waits until the model is loaded.

        :raises ModelError: as `get`.
        """
        return self.get().encode(texts, with_tokens=with_tokens)

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """As `OnnxEmbedder.encode_query`; never waits long for the model.

        :raises ModelError: as `get`.
        """
        return self.get(QUERY_WAIT_S).encode_query(text)

    def encode_question(self, text: str) -> QueryEncoding:
        """As `OnnxEmbedder.encode_question`; never waits long for the model.

        :raises ModelError: as `get`; recall then goes on by words and says so.
        """
        return self.get(QUERY_WAIT_S).encode_question(text)

    def _open(self) -> None:
        wanted = self._wanted
        found: OnnxEmbedder | None = None
        error: ModelError | None = None
        try:
            found = self._load(wanted)
        except ModelError as caught:
            error = caught
        except Exception as caught:  # noqa: BLE001 (outermost of the thread: whoever waits must be told)
            error = ModelError(f"the embedder {wanted} can't be opened: {caught}")
            error.__cause__ = caught
        with self._changed:
            self._is_loading = False
            if self._wanted == wanted and self._embedder is None:
                self._embedder, self._error, self._failed_at = found, error, time.monotonic()
            self._changed.notify_all()
