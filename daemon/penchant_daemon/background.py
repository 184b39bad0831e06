"""What recall knows of candidates besides their texts: project, session, agent, age, and how they did before."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import penchant_ranker as ranker
from penchant_store import IndexSnapshot, Store

__all__ = ["Backgrounds"]

# The store's numbers of kinds (none, episode, fact, decision, procedure, note) as the ranker's.
_KINDS = np.array(
    [0, 0, *(ranker.MEMORY_KINDS[name] for name in ("fact", "decision", "procedure", "note"))], dtype=np.int8
)

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Outcomes:
    """How recalled items did: (n,) items, ascending, and how often each was good and bad."""

    items: Ints
    good: NDArray[np.float64]
    bad: NDArray[np.float64]


class Backgrounds:
    """Builds the ranker's `Background`. Safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._outcomes: _Outcomes | None = None

    def outcomes_changed(self) -> None:
        """Outcomes were recorded or erased: they are read again before the next recall."""
        self._outcomes = None

    def of(
        self,
        snapshot: IndexSnapshot,
        items: Ints,
        *,
        project: int | None,
        session: str | None,
        agent: int,
        now: int,
    ) -> ranker.Background:
        """What is known of some items.

        :param project: number of the project that is asked about; None where none is.
        :param session: the session that asks.
        :param agent: number of the agent that asks, 0 for one that wrote nothing.
        :param now: the asking time, seconds since 1970.
        """
        own_project = snapshot.project[items]
        if project is None:
            same_project = np.full(len(items), 0.5, dtype=np.float32)
        else:
            same_project = np.where(own_project == 0, 0.5, own_project == project).astype(np.float32)
        asking = snapshot.sessions.number(session) if session else 0
        is_memory = snapshot.role[items] == 0
        return ranker.Background(
            same_project=same_project,
            same_session=((snapshot.session[items] == asking) & (asking > 0)).astype(np.float32),
            same_agent=((snapshot.agent[items] == agent) & (agent > 0)).astype(np.float32),
            recent=ranker.recency(snapshot.occurred_at[items], now),
            importance=np.where(is_memory, snapshot.importance[items], np.float32(0.5)).astype(np.float32),
            helped=self._helped(items),
            kind=_KINDS[snapshot.kind[items]],
        )

    def counts(self, item: int) -> tuple[float, float]:
        """How often an item was good and bad when it was recalled before; a use counts by its strength."""
        known = self._known()
        at = int(np.searchsorted(known.items, item))
        if at == len(known.items) or known.items[at] != item:
            return 0.0, 0.0
        return float(known.good[at]), float(known.bad[at])

    def _known(self) -> _Outcomes:
        known = self._outcomes
        if known is None:
            with self._lock:
                known = self._outcomes = self._read()
        return known

    def _helped(self, items: Ints) -> NDArray[np.float32]:
        known = self._known()
        if not len(known.items):
            return np.full(len(items), 0.5, dtype=np.float32)
        at = np.minimum(np.searchsorted(known.items, items), len(known.items) - 1)
        is_known = known.items[at] == items
        good, bad = np.where(is_known, known.good[at], 0.0), np.where(is_known, known.bad[at], 0.0)
        return ranker.helpfulness(good, bad)

    def _read(self) -> _Outcomes:
        totals = sorted(self._store.outcome_totals())
        items, good, bad = (
            (np.array(column) for column in zip(*totals, strict=True)) if totals else (np.zeros(0),) * 3
        )
        return _Outcomes(items.astype(np.int64), good.astype(np.float64), bad.astype(np.float64))
