"""What the indexer computes for items: stems and cues of their text, vectors of a model. Derived, file-backed.

Layout under `index/`: `text/` (stems, cues) and one folder for each model (pooled float32, int8 with a scale per row,
tokens, hidden layer 3). `tag` in each folder holds the tag of the item that a row was computed for.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penchant_store.columns import Column, RaggedColumn, os_error
from penchant_store.connection import make_private
from penchant_store.errors import StoreCorrupt, StoreError
from penchant_store.records import Floats, IndexBatch, Ints, Stems

try:
    import numkong
except ImportError:  # no wheel for this platform: the same numbers from numpy, three times slower
    numkong = None  # type: ignore[assignment, unused-ignore]

VECTOR_ENGINE = "numpy" if numkong is None else "numkong"
_BLOCK_ROWS = 4_096  # LIBRARIES: fits the second-level cache as float32
_NEW_STEMS_BEFORE_MERGE = 20_000
TOKEN_BYTES = 48


class TextColumns:
    """Stems and cues; they depend on no model.

    :param folder: made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = _made(folder)
        self._tag = Column(folder / "tag.u32", "<u4")
        self._stems = RaggedColumn(folder, "stems", "<u4")
        self._cues = Column(folder / "cues.u32", "<u4")
        self._lock = threading.Lock()
        self.n_done = 0
        self._n_stems = 0
        self._known: npt.NDArray[np.uint32] | None = None  # sorted stems ...
        self._counts: Ints = np.empty(0, dtype=np.int64)  # ... and in how many items each is
        self._new: dict[int, int] = {}  # counts that are not merged yet

    @property
    def mean_length(self) -> float:
        """Mean number of stems of the items that have them."""
        return self._n_stems / self.n_done if self.n_done else 0.0

    def load(self, tags: npt.NDArray[np.uint32]) -> None:
        """Counts what is there for these items; called when the recall index is loaded."""
        done = np.flatnonzero((self._tag.view(len(tags))[: len(tags)] == tags) & (tags != 0))
        with self._lock:
            self.n_done = len(done)
            self._n_stems = int(self._stems.lengths(done).sum())
            self._known = None
            self._new.clear()

    def use_version(self, version: str) -> bool:
        """Forgets all that was computed in another way, so that it is computed again.

        :param version: of the way in which stems and cues are computed.
        :return: whether another version had been in use.
        """
        path = self.folder / "version"
        if path.exists() and path.read_text("utf-8") == version:
            return False
        self._tag.clear()  # first: from here on nothing counts
        self._stems.clear()
        self._cues.clear()
        with self._lock:
            self.n_done = self._n_stems = 0
            self._known = None
            self._new.clear()
        try:
            path.write_text(version, "utf-8")
        except OSError as error:
            raise os_error(error, path) from error
        make_private(path, 0o600)
        return True

    def is_done(self, items: Ints, tags: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """(k,) whether each item's stems and cues are there."""
        return _is_done(self._tag, items, tags)

    def stems(self, items: Ints, tags: npt.NDArray[np.uint32]) -> Stems:
        """The stems of items; none for those not done."""
        data, offsets = self._stems.read(np.where(self.is_done(items, tags), items, 0))
        return Stems(data, offsets)

    def cues(self, items: Ints, tags: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        """(k,) the cue flags of items; 0 for those not done."""
        values = self._cues.view(_rows(items))[items]
        return np.where(self.is_done(items, tags), values, 0).astype(np.uint32)

    def document_frequency(self, hashes: npt.NDArray[np.uint32], tags: npt.NDArray[np.uint32]) -> Ints:
        """(k,) in how many items each stem occurs. The first call counts all (0.3 s at 100,000 items)."""
        with self._lock:
            if self._known is None:
                self._count(tags)
            known, counts = self._known, self._counts
            assert known is not None  # noqa: S101 - counted just now
            extra = np.array([self._new.get(int(stem), 0) for stem in hashes], dtype=np.int64)
        if not len(known):
            return extra
        place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
        return np.where(known[place] == hashes, counts[place], 0) + extra

    def _count(self, tags: npt.NDArray[np.uint32]) -> None:
        done = np.flatnonzero((self._tag.view(len(tags))[: len(tags)] == tags) & (tags != 0))
        parts = []
        for start in range(0, len(done), 20_000):
            part = done[start : start + 20_000]
            data, offsets = self._stems.read(part)
            owner = np.repeat(np.arange(len(part), dtype=np.uint64), np.diff(offsets))
            pairs = np.unique((owner << np.uint64(32)) | data.astype(np.uint64))
            parts.append((pairs & np.uint64(0xFFFFFFFF)).astype(np.uint32))
        every = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint32)
        known, counts = np.unique(every, return_counts=True)
        self._known, self._counts = known, counts.astype(np.int64)
        self._new.clear()

    def _merge(self) -> None:
        assert self._known is not None  # noqa: S101 - only called when counted
        stems = np.fromiter(self._new.keys(), dtype=np.uint32, count=len(self._new))
        added = np.fromiter(self._new.values(), dtype=np.int64, count=len(self._new))
        every = np.concatenate([self._known, stems])
        known, inverse = np.unique(every, return_inverse=True)
        counts = np.bincount(inverse, weights=np.concatenate([self._counts, added])).astype(np.int64)
        self._known, self._counts = known, counts
        self._new.clear()

    def write(
        self, batch: IndexBatch, items: Ints, keep: npt.NDArray[np.bool_], tags: npt.NDArray[np.uint32]
    ) -> None:
        """Writes the stems and cues of a batch.

        :param items: (k,) the batch's items; `keep` those that still exist; `tags` their tags.
        """
        if batch.cues is not None:
            self._cues.write(items[keep], np.asarray(batch.cues, dtype=np.uint32)[keep])
        if batch.stems is None:
            return
        data, offsets = _kept_rows(batch.stems[0], batch.stems[1], keep)
        kept, own = items[keep], tags[keep]
        before = self.is_done(kept, own)
        self._forget(kept[before])
        self._stems.write(kept, data, offsets)
        self._stems.sync()
        self._cues.sync()
        self._tag.write(kept, own)  # last: a row counts from here on
        with self._lock:
            self.n_done += len(kept)
            self._n_stems += len(data)
            if self._known is not None:
                self._add(data, offsets, 1)

    def _add(self, data: npt.NDArray[np.uint32], offsets: Ints, sign: int) -> None:
        new = self._new
        for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            for stem in set(data[start:end].tolist()):
                new[stem] = new.get(stem, 0) + sign
        if len(new) > _NEW_STEMS_BEFORE_MERGE:
            self._merge()

    def _forget(self, items: Ints) -> None:
        """Takes items out of the counts."""
        if not len(items):
            return
        data, offsets = self._stems.read(items)
        with self._lock:
            self.n_done -= len(items)
            self._n_stems -= len(data)
            if self._known is not None:
                self._add(data, offsets, -1)

    def erase(self, items: Ints, tags: npt.NDArray[np.uint32]) -> None:
        """Overwrites all that was computed for items."""
        self._forget(items[self.is_done(items, tags)])
        for item in items.tolist():
            self._tag.zero(item)
            self._stems.zero(item)
            self._cues.zero(item)
        self._stems.sync()
        self._cues.sync()
        self._tag.sync()

    def close(self) -> None:
        """Closes the files."""
        for column in (self._tag, self._stems, self._cues):
            column.close()


class VectorColumns:
    """The vectors of one model.

    :param folder: made by `create`, opened by `open`.
    """

    def __init__(self, folder: Path, model: str, dim: int) -> None:
        self.folder = folder
        self.model = model
        self.dim = dim
        self._tag = Column(folder / "tag.u32", "<u4")
        self._pooled = Column(folder / "pooled.f32", "<f4", dim)
        self._small = Column(folder / "pooled.i8", "i1", dim)
        self._scale = Column(folder / "scale.f32", "<f4")
        self._tokens = RaggedColumn(folder, "tokens", "u1", TOKEN_BYTES)
        self._h3: Column | None = None
        if (folder / "h3.f16").exists():
            self._h3 = Column(folder / "h3.f16", "<f2", dim)

    @classmethod
    def create(cls, folder: Path, model: str, dim: int) -> VectorColumns:
        """A new, empty index for a model."""
        _made(folder)
        path = folder / "model.json"
        try:
            path.write_text(json.dumps({"model": model, "dim": dim}), "utf-8")
        except OSError as error:
            raise os_error(error, path) from error
        make_private(path, 0o600)
        return cls(folder, model, dim)

    @classmethod
    def open(cls, folder: Path) -> VectorColumns:
        """An index that is there.

        :raises StoreCorrupt: when it does not say which model it belongs to.
        """
        path = folder / "model.json"
        try:
            said = json.loads(path.read_text("utf-8"))
            return cls(folder, str(said["model"]), int(said["dim"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreCorrupt(f"{path} cannot be read ({error}); run penchant reindex") from error

    def is_done(self, items: Ints, tags: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """(k,) whether each item has a vector."""
        return _is_done(self._tag, items, tags)

    def n_done(self, tags: npt.NDArray[np.uint32]) -> int:
        """How many of all items have a vector."""
        return int(np.count_nonzero((self._tag.view(len(tags))[: len(tags)] == tags) & (tags != 0)))

    def pooled(self, items: Ints, tags: npt.NDArray[np.uint32]) -> Floats:
        """(k, dim) float32; zeros for items without one."""
        found: Floats = self._pooled.view(_rows(items))[items]
        found[~self.is_done(items, tags)] = 0.0
        return found

    def tokens(self, items: Ints, tags: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.uint8], Ints]:
        """The packed token vectors of items: (t, TOKEN_BYTES) uint8 and offsets (k + 1,)."""
        return self._tokens.read(np.where(self.is_done(items, tags), items, 0))

    def h3(self, items: Ints, tags: npt.NDArray[np.uint32]) -> npt.NDArray[np.float16]:
        """(k, dim) float16 means of hidden layer 3; zeros for items without one."""
        if self._h3 is None:
            return np.zeros((len(items), self.dim), dtype=np.float16)
        found: npt.NDArray[np.float16] = self._h3.view(_rows(items))[items]
        found[~self.is_done(items, tags)] = 0.0
        return found

    def is_whole(self, items: Ints, tags: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """(k,) whether each item's vector has length 1, and the int8 form that is searched says the same."""
        pooled = self.pooled(items, tags)
        scale = self._scale.view(_rows(items))[items]
        small = self._small.view(_rows(items))[items] * scale[:, None]
        is_long = np.abs(np.linalg.norm(pooled, axis=1) - 1.0) <= 0.01
        is_same = np.abs(small - pooled).max(axis=1, initial=0.0) <= 0.51 * scale  # half a step, and rounding
        return np.asarray(is_long & is_same, dtype=np.bool_)

    def cosines(self, query: Floats, n: int, tags: npt.NDArray[np.uint32]) -> Floats:
        """(n + 1,) float32: the exact int8 scan. One thread.

        :param query: (dim,) L2-normalised.
        """
        if query.shape != (self.dim,):
            raise StoreError(
                f"the query has {query.shape} values and the index of {self.model} has vectors of {self.dim}; "
                "run penchant reindex"
            )
        rows = n + 1
        small, scale = self._small.view(rows)[:rows], self._scale.view(rows)[:rows]
        largest = float(np.abs(query).max())
        if largest == 0.0:
            return np.zeros(rows, dtype=np.float32)
        if numkong is None:
            dots = _dots_by_blocks(small, query)
            found = dots * scale
        else:
            query_scale = largest / 127.0
            query_small = np.rint(query / query_scale).astype(np.int8).reshape(1, -1)
            dots = np.asarray(numkong.cdist(query_small, small, "dot"))[0]
            found = (dots * (scale * np.float32(query_scale))).astype(np.float32)
        found[self._tag.view(rows)[:rows] != tags] = 0.0
        found[0] = 0.0
        return np.asarray(found, dtype=np.float32)

    def write(
        self, batch: IndexBatch, items: Ints, keep: npt.NDArray[np.bool_], tags: npt.NDArray[np.uint32]
    ) -> None:
        """Writes the vectors of a batch; see TextColumns.write."""
        if batch.pooled is None:
            return
        kept = items[keep]
        pooled = np.ascontiguousarray(batch.pooled, dtype=np.float32)[keep]
        scale = np.abs(pooled).max(axis=1, initial=0.0) / np.float32(127.0)
        divisor = np.where(scale > 0.0, scale, 1.0)[:, None]
        self._pooled.write(kept, pooled)
        self._small.write(kept, np.rint(pooled / divisor).astype(np.int8))
        self._scale.write(kept, scale)
        if batch.tokens is not None:
            data, offsets = _kept_rows(batch.tokens[0], batch.tokens[1], keep)
            self._tokens.write(kept, data, offsets)
            self._tokens.sync()
        if batch.h3 is not None:
            if self._h3 is None:
                self._h3 = Column(self.folder / "h3.f16", "<f2", self.dim)
            self._h3.write(kept, np.asarray(batch.h3, dtype=np.float16)[keep])
            self._h3.sync()
        for column in (self._pooled, self._small, self._scale):
            column.sync()
        self._tag.write(kept, tags[keep])  # last: a row counts from here on

    def erase(self, items: Ints) -> None:
        """Overwrites all that was computed for items."""
        columns = [self._tag, self._pooled, self._small, self._scale]
        if self._h3 is not None:
            columns.append(self._h3)
        for item in items.tolist():
            for column in columns:
                column.zero(item)
            self._tokens.zero(item)
        for column in columns:
            column.sync()
        self._tokens.sync()

    def close(self) -> None:
        """Closes the files."""
        for column in (self._tag, self._pooled, self._small, self._scale, self._tokens):
            column.close()
        if self._h3 is not None:
            self._h3.close()

    def remove(self) -> None:
        """Closes and deletes the files; running recalls keep what they have mapped."""
        self.close()
        try:
            shutil.rmtree(self.folder)
        except OSError as error:
            raise os_error(error, self.folder) from error


def folder_name(model: str) -> str:
    """A file name for a model's name that no other model has."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.")[:60] or "model"
    return f"model-{readable}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"


def check_batch(batch: IndexBatch, dim: int | None) -> Ints:
    """The items of a batch, after a check of all shapes.

    :param dim: the index's; None takes any.
    :raises StoreError: naming both shapes.
    """
    items = np.asarray(batch.items, dtype=np.int64)
    k = len(items)
    if items.ndim != 1 or len(np.unique(items)) != k or (k and items.min() < 1):
        raise StoreError("a batch's items must be one row of different positive numbers")
    if batch.pooled is not None and (
        batch.pooled.ndim != 2
        or batch.pooled.shape[0] != k
        or (dim is not None and batch.pooled.shape[1] != dim)
    ):
        raise StoreError(
            f"vectors of shape {batch.pooled.shape} do not match the index ({k}, {dim}); run penchant reindex"
        )
    if batch.h3 is not None and (batch.pooled is None or batch.h3.shape != batch.pooled.shape):
        raise StoreError(f"h3 of shape {batch.h3.shape} does not match pooled")
    if batch.cues is not None and np.shape(batch.cues) != (k,):
        raise StoreError(f"cues of shape {np.shape(batch.cues)} for {k} items")
    for name, ragged in (("stems", batch.stems), ("tokens", batch.tokens)):
        if ragged is not None and (len(ragged[1]) != k + 1 or int(ragged[1][-1]) != len(ragged[0])):
            raise StoreError(f"{name}: {len(ragged[1])} offsets for {k} items, {len(ragged[0])} rows of data")
    return items


def _kept_rows(
    data: npt.NDArray[Any], offsets: Ints, keep: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[Any], Ints]:
    if bool(keep.all()):
        return data, np.asarray(offsets, dtype=np.int64)
    lengths = np.diff(offsets)
    kept_offsets = np.zeros(int(keep.sum()) + 1, dtype=np.int64)
    np.cumsum(lengths[keep], out=kept_offsets[1:])
    return data[np.repeat(keep, lengths)], kept_offsets


def _is_done(tag: Column, items: Ints, tags: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    return np.asarray((tag.view(_rows(items))[items] == tags) & (tags != 0), dtype=np.bool_)


def _rows(items: Ints) -> int:
    return int(items.max()) + 1 if len(items) else 1


def _dots_by_blocks(small: npt.NDArray[np.int8], query: Floats) -> Floats:
    found = np.empty(len(small), dtype=np.float32)
    for start in range(0, len(small), _BLOCK_ROWS):
        block = small[start : start + _BLOCK_ROWS].astype(np.float32)
        np.dot(block, query, out=found[start : start + len(block)])
    return found


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise os_error(error, folder) from error
    make_private(folder.parent, 0o700)  # `mode` is not that of parents
    make_private(folder, 0o700)
    return folder
