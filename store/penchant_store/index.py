"""The recall index: what the ranker needs of every item, in RAM and in mapped files. Derived from the database.

A recall takes one `snapshot()` (constant time: views of arrays that only grow) and sees the items that existed then; a
change of an item's status and an erasure show at once, also in snapshots taken before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from penchant_store import items as item_rows
from penchant_store.computed import TOKEN_BYTES, TextColumns, VectorColumns
from penchant_store.items import PACKED, Changes
from penchant_store.records import Floats, Ints, ItemFilter, Stems, Tokens

_DTYPES: dict[str, npt.DTypeLike] = {
    "row": np.int64,
    "occurred_at": np.int64,
    "valid_from": np.int64,
    "valid_to": np.int64,
    "session": np.int32,
    "position": np.int32,
    "speaker": np.int32,
    "project": np.int32,
    "agent": np.int32,
    "n_chars": np.int32,
    "n_words": np.int32,
    "importance": np.float32,
    "tag": np.uint32,
    "role": np.int8,
    "kind": np.int8,
    "status": np.int8,
    "scope": np.int8,
}
_FIRST_ROWS = 1_024
_TAIL_BEFORE_SORTING_AGAIN = 4_096


class Vocabulary:
    """Numbers for names; 0 is none. Safe to read while the writer adds."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def text(self, number: int) -> str | None:
        """The name with this number."""
        return self._texts.get(int(number))

    def number(self, text: str) -> int:
        """The number of a name; 0 when it is unknown."""
        return self._numbers.get(text, 0)

    def items(self) -> list[tuple[int, str]]:
        """All (number, name), in order of their making."""
        return list(self._texts.items())

    def add(self, number: int, text: str) -> None:
        """Adds or renames."""
        self._texts[number] = text
        self._numbers[text] = number


@dataclass(frozen=True, slots=True)
class SessionOrder:
    """Items grouped by session in order of arrival: session s has `order[start[s]:start[s + 1]]`.

    :param n: items up to this number are in.
    :param place: for each item its place in `order`, -1 when it has no session.
    """

    n: int
    order: Ints
    start: Ints
    place: Ints


@dataclass(frozen=True, slots=True, eq=False)
class IndexSnapshot:
    """What one recall sees: arrays (n + 1,) addressed by item, row 0 is "none"; all read-only.

    `role`: 1 user, 2 assistant, 3 other, 0 none. `kind`, `status`, `scope`: numbers of `items.KINDS` and so on.
    Times are unix seconds, 0 where not set.
    """

    n: int
    row: Ints
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
    n_words: npt.NDArray[np.int32]
    importance: Floats
    tag: npt.NDArray[np.uint32]
    speakers: Vocabulary
    projects: Vocabulary
    agents: Vocabulary
    sessions: Vocabulary
    text_columns: TextColumns
    vector_columns: VectorColumns | None
    _order_of: Callable[[int], tuple[SessionOrder, SessionOrder | None]] = field(repr=False)

    @property
    def n_stemmed(self) -> int:
        """How many items have stems."""
        return self.text_columns.n_done

    @property
    def mean_length(self) -> float:
        """Mean number of stems of those items; 0.0 when there are none."""
        return self.text_columns.mean_length

    def neighbours(self, items: npt.ArrayLike, radius: int = 2) -> Ints:
        """The items before and after each item in its session, in order of arrival.

        :param items: (k,).
        :return: (k, 2 * radius + 1), 0 where there is none; the middle column is the item itself.
        """
        own = _numbers(items)
        found = np.zeros((len(own), 2 * radius + 1), dtype=np.int64)
        first, length, place, at = self._windows(own)
        there = place[:, None] + np.arange(-radius, radius + 1)
        is_in = (there >= 0) & (there < length[:, None])
        found[is_in] = at(np.broadcast_to(first[:, None], there.shape)[is_in], there[is_in])
        found[:, radius] = own
        found[found > self.n] = 0  # the order of the session may be newer than this snapshot
        return found

    def session_members(self, items: npt.ArrayLike, cap: int = 400) -> tuple[Ints, Ints]:
        """All items of the sessions of some items.

        :param cap: of a longer session, this many round the item.
        :return: (m,) members, each group in order of arrival, and (m,) which of `items` the group belongs to.
            An item without a session is its own only member.
        """
        own = _numbers(items)
        first, length, place, at = self._windows(own)
        low = np.clip(place - cap // 2, 0, np.maximum(length - cap, 0))
        sizes = np.minimum(length, cap)
        group = np.repeat(np.arange(len(own), dtype=np.int64), sizes)
        ends = np.cumsum(sizes)
        there = np.arange(int(ends[-1]) if len(ends) else 0, dtype=np.int64) + np.repeat(
            low - (ends - sizes), sizes
        )
        members = at(first[group], there)
        alone = self.session[own] == 0
        members = np.where(alone[group], own[group], members)
        known = members <= self.n  # the order of the session may be newer than this snapshot
        return members[known], group[known]

    def _windows(self, own: Ints) -> tuple[Ints, Ints, Ints, Callable[[Ints, Ints], Ints]]:
        """For each item its session, the session's length, its place there, and the item at a place of a session."""
        sealed, tail = self._order_of(self.n)
        session = self.session[own].astype(np.int64)
        is_in = session > 0
        n_sealed = len(sealed.start) - 1

        def length_in(order: SessionOrder, sessions: Ints) -> Ints:
            known = sessions < len(order.start) - 1
            inside = np.where(known, sessions, 0)
            return np.where(known, order.start[inside + 1] - order.start[inside], 0)

        before = length_in(sealed, session)
        length = before.copy()
        place = np.zeros(len(own), dtype=np.int64)
        old = own <= sealed.n
        old_in = old & is_in & (session < n_sealed)
        place[old_in] = sealed.place[own[old_in]] - sealed.start[session[old_in]]
        if tail is not None:
            length += length_in(tail, session)
            new = ~old & is_in
            place[new] = before[new] + tail.place[own[new] - sealed.n] - tail.start[session[new]]
        length[~is_in] = 1
        place[~is_in] = 0

        def at(sessions: Ints, there: Ints) -> Ints:
            known = sessions < n_sealed
            inside = np.where(known, sessions, 0)
            size = np.where(known, sealed.start[inside + 1] - sealed.start[inside], 0)
            found = np.zeros(len(there), dtype=np.int64)
            first = there < size
            found[first] = sealed.order[sealed.start[inside[first]] + there[first]]
            if tail is not None:
                rest = ~first & (sessions < len(tail.start) - 1)
                where = tail.start[sessions[rest]] + there[rest] - size[rest]
                found[rest] = tail.order[np.minimum(where, len(tail.order) - 1)] if len(tail.order) else 0
            found[sessions == 0] = 0
            return found

        return session, length, place, at

    def stems(self, items: npt.ArrayLike) -> Stems:
        """The stem hashes of some items in text order; empty for those not stemmed yet."""
        own = _numbers(items)
        return self.text_columns.stems(own, self.tag[own])

    def has_stems(self, items: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """(k,) whether an item was stemmed."""
        own = _numbers(items)
        return self.text_columns.is_done(own, self.tag[own])

    def cues(self, items: npt.ArrayLike) -> npt.NDArray[np.uint32]:
        """(k,) cue flags, 0 for items not indexed yet."""
        own = _numbers(items)
        return self.text_columns.cues(own, self.tag[own])

    def document_frequency(self, hashes: npt.ArrayLike) -> Ints:
        """(k,) in how many stemmed items each stem occurs."""
        return self.text_columns.document_frequency(np.asarray(hashes, dtype=np.uint32), self.tag)

    def has_vectors(self, items: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """(k,) whether an item was embedded by the model in use."""
        own = _numbers(items)
        if self.vector_columns is None:
            return np.zeros(len(own), dtype=np.bool_)
        return self.vector_columns.is_done(own, self.tag[own])

    def cosines(self, query: Floats) -> Floats:
        """Cosine of the query with every item, exact over int8 vectors (error below 0.01); 0.0 where there is none.

        :param query: (dim,) float32, L2-normalised.
        :return: (n + 1,) float32.
        :raises StoreError: when the dimension is not the index's.
        """
        if self.vector_columns is None:
            return np.zeros(self.n + 1, dtype=np.float32)
        return self.vector_columns.cosines(query, self.n, self.tag)

    def pooled(self, items: npt.ArrayLike) -> Floats:
        """(k, dim) float32 vectors, zeros where there is none; (k, 0) when there is no index of vectors."""
        own = _numbers(items)
        if self.vector_columns is None:
            return np.zeros((len(own), 0), dtype=np.float32)
        return self.vector_columns.pooled(own, self.tag[own])

    def tokens(self, items: npt.ArrayLike) -> Tokens:
        """The token vectors of some items as sign bits; none for those that have none (yet)."""
        own = _numbers(items)
        if self.vector_columns is None:
            return Tokens(np.empty((0, TOKEN_BYTES), np.uint8), np.zeros(len(own) + 1, dtype=np.int64))
        return Tokens(*self.vector_columns.tokens(own, self.tag[own]))


class RecallIndex:
    """All items in RAM, loaded at the first snapshot and kept in step by the writer.

    :param read_items: gives the packed rows of all items.
    :param read_names: gives (vocabulary, number, text) of all names.
    """

    def __init__(
        self,
        read_items: Callable[[], list[bytes]],
        read_names: Callable[[], Iterable[tuple[str, int, str]]],
        text: TextColumns,
    ) -> None:
        self._read_items = read_items
        self._read_names = read_names
        self._lock = threading.RLock()
        self._arrays: dict[str, npt.NDArray[np.generic]] = {}
        self._views: dict[str, npt.NDArray[np.generic]] = {}
        self._n = 0
        self._is_loaded = False
        self.text = text
        self.vectors: VectorColumns | None = None
        self._vocabularies = {name: Vocabulary() for name in ("agents", "projects", "sessions", "speakers")}
        self._sealed: SessionOrder | None = None
        self._tail: SessionOrder | None = None
        self.n_erased = 0  # changes whenever something was erased

    def snapshot(self) -> IndexSnapshot:
        """The items as they are now."""
        with self._lock:
            if not self._is_loaded:
                self._load()
            end = self._n + 1
            views = {name: array[:end] for name, array in self._views.items()}
            return IndexSnapshot(
                n=self._n,
                **views,  # type: ignore[arg-type]
                agents=self._vocabularies["agents"],
                projects=self._vocabularies["projects"],
                sessions=self._vocabularies["sessions"],
                speakers=self._vocabularies["speakers"],
                text_columns=self.text,
                vector_columns=self.vectors,
                _order_of=self._order_of,
            )

    def rows(self, items: npt.ArrayLike) -> list[int]:
        """(k,) the rows of items: an event's seq, or minus a memory's number; 0 for those there are not."""
        numbers = _numbers(items)
        with self._lock:
            if not self._is_loaded:
                self._load()
            known = (numbers > 0) & (numbers <= self._n)
            rows: list[int] = np.where(known, self._arrays["row"][np.where(known, numbers, 0)], 0).tolist()
            return rows

    def mask(self, snapshot: IndexSnapshot, where: ItemFilter) -> npt.NDArray[np.bool_]:
        """(n + 1,) which items a filter lets through; row 0 never."""
        return mask(snapshot, where)

    def apply(self, changes: Changes) -> None:
        """Called by the writer after each commit."""
        with self._lock:
            for vocabulary, number, text in changes.names:
                self._vocabularies[vocabulary].add(number, text)
            if not self._is_loaded:
                return
            if changes.packed:
                self._put(np.frombuffer(b"".join(changes.packed), dtype=PACKED))
            if changes.erased:
                erased = np.array([item for item in changes.erased if item <= self._n], dtype=np.int64)
                for array in self._arrays.values():
                    array[erased] = 0
                self._sealed = self._tail = None
                self.n_erased += len(erased)

    def _load(self) -> None:
        for vocabulary, number, text in self._read_names():
            self._vocabularies[vocabulary].add(number, text)
        packed = np.frombuffer(b"".join(self._read_items()), dtype=PACKED)
        self._allocate(max(_FIRST_ROWS, int(packed["item"].max(initial=0)) + 1))
        self._put(packed)
        self.text.load(self._arrays["tag"][: self._n + 1])  # type: ignore[arg-type]
        self._is_loaded = True

    def _allocate(self, rows: int) -> None:
        capacity = _FIRST_ROWS
        while capacity < rows:
            capacity *= 2
        grown = {name: np.zeros(capacity, dtype=dtype) for name, dtype in _DTYPES.items()}
        for name, array in self._arrays.items():
            grown[name][: self._n + 1] = array[: self._n + 1]
        self._arrays = grown
        self._views = {name: array.view() for name, array in grown.items()}
        for view in self._views.values():
            view.flags.writeable = False

    def _put(self, packed: npt.NDArray[np.void]) -> None:
        if not len(packed):
            return
        numbers = packed["item"]
        last = int(numbers.max())
        if last >= len(self._arrays["row"]):
            self._allocate(last + 1)
        for name, array in self._arrays.items():
            array[numbers] = packed[name]
        self._n = max(self._n, last)

    def _order_of(self, n: int) -> tuple[SessionOrder, SessionOrder | None]:
        with self._lock:
            sealed = self._sealed
            if sealed is None or self._n - sealed.n > max(_TAIL_BEFORE_SORTING_AGAIN, sealed.n // 8):
                self._sealed = sealed = self._sorted(0, self._n)
                self._tail = None
            if n <= sealed.n:
                return sealed, None
            if self._tail is None or self._tail.n != self._n:
                self._tail = self._sorted(sealed.n, self._n)
            return sealed, self._tail

    def _sorted(self, after: int, last: int) -> SessionOrder:
        """Groups the items after `after` up to `last`; `place` is addressed from `after` on."""
        session = self._arrays["session"][after + 1 : last + 1]
        order = np.argsort(session, kind="stable")
        n_sessions = int(session.max(initial=0)) + 1
        start = np.zeros(n_sessions + 1, dtype=np.int64)
        np.cumsum(np.bincount(session, minlength=n_sessions), out=start[1:])
        place = np.full(last - after + 1, -1, dtype=np.int64)
        place[order + 1] = np.arange(len(order), dtype=np.int64)
        return SessionOrder(last, order + after + 1, start, place)


def mask(snapshot: IndexSnapshot, where: ItemFilter) -> npt.NDArray[np.bool_]:
    """(n + 1,) which items a filter lets through; row 0 never."""
    allowed = np.zeros(len(item_rows.STATUSES), dtype=np.bool_)
    for status in where.statuses:
        allowed[item_rows.STATUS_NUMBER[status]] = True
    passed = allowed[snapshot.status]
    if where.as_of is not None:
        # What is superseded now counted as long as it was valid.
        passed |= (
            (snapshot.status == item_rows.STATUS_NUMBER["superseded"])
            & (snapshot.valid_to > where.as_of)
            & ("active" in where.statuses)
        )
        passed &= snapshot.occurred_at <= where.as_of
        passed &= snapshot.valid_from <= where.as_of
        passed &= (snapshot.valid_to == 0) | (snapshot.valid_to > where.as_of)
    if where.project is not None:
        in_project = snapshot.project == where.project
        if where.projects_or_global:
            in_project |= snapshot.scope == item_rows.SCOPE_NUMBER["global"]
        passed &= in_project
    private = snapshot.scope == item_rows.SCOPE_NUMBER["private"]
    passed &= ~private if where.agent is None else (~private | (snapshot.agent == where.agent))
    passed &= snapshot.status != 0
    return passed


def _numbers(items: npt.ArrayLike) -> Ints:
    return np.atleast_1d(np.asarray(items, dtype=np.int64))
