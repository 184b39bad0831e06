"""Columns in files: what is written is read, and what is replaced or cleared leaves no bytes behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from penchant_store.columns import Column, RaggedColumn

OLD, NEW, OTHER = b"old-old-", b"new-new-", b"other-ot"


def rows(*texts: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.frombuffer(b"".join(texts), dtype=np.uint8).reshape(-1, 8)


def test_data_that_is_replaced_is_overwritten_in_the_file(tmp_path: Path) -> None:
    column = RaggedColumn(tmp_path, "tokens", "u1", 8)
    column.write(np.array([1, 2]), rows(OLD, OLD, OTHER), np.array([0, 2, 3]))
    column.write(np.array([1]), rows(NEW), np.array([0, 1]))
    data, offsets = column.read(np.array([1, 2]))
    assert (data.tobytes(), offsets.tolist()) == (NEW + OTHER, [0, 1, 2])
    held = (tmp_path / "tokens.data").read_bytes()
    assert OLD not in held and NEW in held and OTHER in held
    column.close()


def test_a_cleared_column_holds_nothing_and_is_filled_again(tmp_path: Path) -> None:
    column = RaggedColumn(tmp_path, "tokens", "u1", 8)
    column.write(np.array([1, 5]), rows(OLD, OTHER), np.array([0, 1, 2]))
    column.clear()
    assert column.lengths(np.array([1, 5])).tolist() == [0, 0]
    assert not any((tmp_path / "tokens.data").read_bytes())
    column.write(np.array([5]), rows(NEW), np.array([0, 1]))
    assert column.read(np.array([5]))[0].tobytes() == NEW
    column.close()
    again = RaggedColumn(tmp_path, "tokens", "u1", 8)
    assert again.read(np.array([1, 5]))[0].tobytes() == NEW
    again.close()


def test_a_cleared_plain_column_reads_as_zeros_also_where_it_was_mapped_before(tmp_path: Path) -> None:
    column = Column(tmp_path / "cues.u32", "<u4")
    column.write(np.array([3, 2_000]), np.array([7, 9], dtype=np.uint32))
    seen = column.view(2_001)
    column.clear()
    assert seen[[3, 2_000]].tolist() == [0, 0]
    column.close()
