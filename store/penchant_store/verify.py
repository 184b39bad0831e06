"""Proves that what is stored can be read, found and trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from penchant_store.chain import Digests
from penchant_store.computed import VectorColumns
from penchant_store.connection import Readers, Writer
from penchant_store.index import RecallIndex
from penchant_store.items import STATUS_NUMBER
from penchant_store.records import Candidates, Finding, ItemFilter
from penchant_store.words import WordSearch

EVERYTHING = ItemFilter(statuses=tuple(STATUS_NUMBER))


@dataclass(frozen=True, slots=True)
class Verification:
    """What is verified."""

    home: Path
    digests: Digests
    readers: Readers
    behaviour_readers: Readers
    writer: Writer
    behaviour: Writer
    index: RecallIndex
    words: WordSearch
    vectors: Sequence[VectorColumns]
    candidates: Callable[[Sequence[str], int], Candidates]


def verify(checked: Verification, sample: int | None, fix: bool) -> list[Finding]:
    return []
