"""Numeric columns in files, addressed by item: what the indexer computed. Derived; can be rebuilt at any time.

Written with `write` and read through a memory map: a full disk is an error of the write (a store into a map would
kill the process instead). A row counts only while its `tag` equals the item's, so rows of erased items, of another
database or of a power cut are simply absent.
"""

from __future__ import annotations

import errno
import mmap
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penchant_store.connection import make_private
from penchant_store.errors import StoreError, StoreFull, StoreReadOnly
from penchant_store.records import Ints

_FIRST_ROWS = 1_024
_CLEAR_BYTES = 1 << 20  # at a time


def os_error(error: OSError, path: Path) -> StoreError:
    """The store's error for an error of the operating system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreFull(f"{path} cannot grow ({error.strerror}); free some disk space")
    return StoreReadOnly(f"{path} cannot be written ({error.strerror}); check the directory's permissions")


class Column:
    """Rows of a fixed width in a file; rows never written read as zeros.

    :param path: the file, made when missing.
    :param dtype: of a value.
    :param width: values in a row; 1 gives a one-dimensional array.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike, width: int = 1) -> None:
        self.path = path
        self._dtype = np.dtype(dtype)
        self._width = width
        self._row_bytes = self._dtype.itemsize * width
        self._lock = threading.Lock()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            make_private(path, 0o600)
            self._file = os.fdopen(descriptor, "r+b", buffering=0)
            self._rows = self._mapped_rows(path.stat().st_size // self._row_bytes)
            self._array = self._map()
        except OSError as error:
            raise os_error(error, path) from error

    @staticmethod
    def _mapped_rows(rows: int) -> int:
        capacity = _FIRST_ROWS
        while capacity < rows:
            capacity *= 2
        return capacity

    def _map(self) -> npt.NDArray[Any]:
        self._file.truncate(self._rows * self._row_bytes)  # sparse: takes no space until written
        mapped = mmap.mmap(self._file.fileno(), self._rows * self._row_bytes, access=mmap.ACCESS_READ)
        array = np.frombuffer(mapped, dtype=self._dtype)
        return array if self._width == 1 else array.reshape(self._rows, self._width)

    def view(self, rows: int) -> npt.NDArray[Any]:
        """At least `rows` rows, read-only, always showing what is in the file."""
        if rows > self._rows:
            self._grow(rows)
        return self._array

    def _grow(self, rows: int) -> None:
        with self._lock:
            if rows > self._rows:
                try:
                    self._rows = self._mapped_rows(rows)
                    self._array = self._map()
                except OSError as error:
                    raise os_error(error, self.path) from error

    def write(self, rows: Ints, values: npt.NDArray[Any]) -> None:
        """Writes rows; neighbouring ones with one call.

        :param rows: (k,) row numbers.
        :param values: (k,) or (k, width).
        """
        if not len(rows):
            return
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        data = np.ascontiguousarray(values[order], dtype=self._dtype)
        self.view(int(rows[-1]) + 1)
        ends = np.flatnonzero(np.diff(rows) != 1) + 1
        start = 0
        with self._lock:
            for end in (*ends.tolist(), len(rows)):
                self._put(int(rows[start]) * self._row_bytes, data[start:end].tobytes())
                start = end

    def _put(self, at: int, data: bytes) -> None:
        try:
            self._file.seek(at)
            written = 0
            while written < len(data):
                written += self._file.write(data[written:]) or 0
        except OSError as error:
            raise os_error(error, self.path) from error

    def zero(self, start: int, rows: int = 1) -> None:
        """Overwrites rows with zeros."""
        self.view(start + rows)
        with self._lock:
            self._put(start * self._row_bytes, bytes(rows * self._row_bytes))

    def clear(self) -> None:
        """Overwrites all rows with zeros."""
        step = max(1, _CLEAR_BYTES // self._row_bytes)
        for start in range(0, self._rows, step):
            self.zero(start, min(step, self._rows - start))
        self.sync()

    def sync(self) -> None:
        """Waits until what was written is on disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise os_error(error, self.path) from error

    def close(self) -> None:
        """Closes the file; arrays that were handed out stay readable."""
        with self._lock:
            self._file.close()


class RaggedColumn:
    """Rows of different lengths: a span (start, length) for each item and the data one after another.

    :param folder: where `<name>.span` and `<name>.data` lie.
    """

    def __init__(self, folder: Path, name: str, dtype: npt.DTypeLike, width: int = 1) -> None:
        self._spans = Column(folder / f"{name}.span", "<i8", 2)
        self._data = Column(folder / f"{name}.data", dtype, width)
        self._dtype = np.dtype(dtype)
        self._width = width
        spans = self._spans.view(1)
        self._end = int((spans[:, 0] + spans[:, 1]).max())

    def lengths(self, items: Ints) -> Ints:
        """(k,) number of data rows of each item."""
        spans = self._spans.view(int(items.max()) + 1 if len(items) else 1)
        return np.asarray(spans[items, 1], dtype=np.int64)

    def write(self, items: Ints, data: npt.NDArray[Any], offsets: Ints) -> None:
        """Appends the data of some items and points their spans to it; data that they had is overwritten."""
        for item in items[self.lengths(items) > 0].tolist():
            self.zero(item)
        if len(data):
            self._data.write(np.arange(self._end, self._end + len(data), dtype=np.int64), data)
        spans = np.stack([self._end + offsets[:-1], np.diff(offsets)], axis=1)
        self._spans.write(items, spans)
        self._end += len(data)

    def read(self, items: Ints) -> tuple[npt.NDArray[Any], Ints]:
        """The data of some items, in their order, and its offsets (k + 1,)."""
        offsets = np.zeros(len(items) + 1, dtype=np.int64)
        if not len(items):
            return self._empty(), offsets
        spans = self._spans.view(int(items.max()) + 1)[items]
        lengths = spans[:, 1]
        np.cumsum(lengths, out=offsets[1:])
        total = int(offsets[-1])
        if not total:
            return self._empty(), offsets
        places = np.arange(total, dtype=np.int64) + np.repeat(spans[:, 0] - offsets[:-1], lengths)
        return self._data.view(int(places.max()) + 1)[places], offsets

    def _empty(self) -> npt.NDArray[Any]:
        return np.empty(0 if self._width == 1 else (0, self._width), dtype=self._dtype)

    def zero(self, item: int) -> None:
        """Overwrites an item's data and span."""
        start, length = (int(value) for value in self._spans.view(item + 1)[item])
        if length:
            self._data.zero(start, length)
        self._spans.zero(item)

    def clear(self) -> None:
        """Overwrites all spans and data with zeros."""
        self._spans.clear()
        self._data.clear()
        self._end = 0

    def sync(self) -> None:
        """Waits until what was written is on disk."""
        self._data.sync()
        self._spans.sync()

    def close(self) -> None:
        """Closes both files."""
        self._data.close()
        self._spans.close()
