"""The recall index (signatures first; being filled)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penchant_store.records import Floats, Ints, ItemFilter, Stems


class Vocabulary:
    """Numbers for names: 0 is none."""

    def text(self, number: int) -> str | None: raise NotImplementedError
    def number(self, text: str) -> int: raise NotImplementedError  # 0 when unknown


class IndexSnapshot:
    """An immutable view for one recall; arrays are (n + 1,), row 0 is "none"."""

    n: int
    session: npt.NDArray[np.int32]
    position: npt.NDArray[np.int32]
    speaker: npt.NDArray[np.int32]
    role: npt.NDArray[np.int8]
    kind: npt.NDArray[np.int8]
    status: npt.NDArray[np.int8]
    scope: npt.NDArray[np.int8]
    project: npt.NDArray[np.int32]
    agent: npt.NDArray[np.int32]
    occurred_at: Ints
    valid_from: Ints
    valid_to: Ints
    n_chars: npt.NDArray[np.int32]
    importance: Floats
    speakers: Vocabulary
    projects: Vocabulary
    agents: Vocabulary
    sessions: Vocabulary
    n_stemmed: int
    mean_length: float

    def neighbours(self, items: npt.ArrayLike, radius: int = 2) -> Ints: raise NotImplementedError
    def session_members(self, items: npt.ArrayLike, cap: int = 400) -> tuple[Ints, Ints]: raise NotImplementedError
    def stems(self, items: npt.ArrayLike) -> Stems: raise NotImplementedError
    def has_stems(self, items: npt.ArrayLike) -> npt.NDArray[np.bool_]: raise NotImplementedError
    def has_vectors(self, items: npt.ArrayLike) -> npt.NDArray[np.bool_]: raise NotImplementedError
    def cues(self, items: npt.ArrayLike) -> npt.NDArray[np.uint32]: raise NotImplementedError
    def cosines(self, query: Floats) -> Floats: raise NotImplementedError
    def pooled(self, items: npt.ArrayLike) -> Floats: raise NotImplementedError
    def document_frequency(self, hashes: npt.ArrayLike) -> Ints: raise NotImplementedError


class RecallIndex:
    """All items in RAM."""

    def snapshot(self) -> IndexSnapshot: raise NotImplementedError
    def mask(self, snapshot: IndexSnapshot, where: ItemFilter) -> npt.NDArray[np.bool_]: raise NotImplementedError
