"""Background work that stays in the background: a share of one core, idle threads, recall goes first."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Self

__all__ = ["CpuShare", "RecallGate", "idle_executor"]


class CpuShare:
    """
    A budget of processor time that fills with the clock.

    :param share: of one core, 0 to 1; what may be spent per second in the long run.
    :param burst_s: how much can be saved up, so that a little work after a rest is done at once. A second is
        some 80 texts of the length of a chat message.
    """

    def __init__(
        self, share: float, burst_s: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._share = share
        self._burst_s = burst_s
        self._clock = clock
        self._saved_s = burst_s
        self._at = clock()

    def spend(self, cpu_s: float) -> float:
        """
        Books processor time that was used.

        :return: seconds to rest before more is used.
        """
        now = self._clock()
        self._saved_s = min(self._burst_s, self._saved_s + (now - self._at) * self._share) - cpu_s
        self._at = now
        return max(0.0, -self._saved_s / self._share)


#: An import's next batch comes sooner than this; and what comes faster than so many in that time is no conversation.
BETWEEN_BATCHES_S = 0.25
MANY_EVENTS = 10


class RecallGate:
    """
    Lets background work see whether a recall runs (`with gate:` around each) and whether many events are stored.

    Entering costs a microsecond and never waits, except for the moment in which the index is exchanged.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_recalls = 0
        self._is_closed = False
        self._filled_at = self._counted_since = -BETWEEN_BATCHES_S
        self._n_stored = 0

    def __enter__(self) -> Self:
        with self._changed:
            while self._is_closed:
                self._changed.wait()
            self._n_recalls += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._n_recalls -= 1
            if self._n_recalls == 0:
                self._changed.notify_all()

    def stored(self, n_events: int) -> None:
        """So many events are being stored; many within a moment are an import, or agents at full speed."""
        now = time.monotonic()
        if now - self._counted_since > BETWEEN_BATCHES_S:
            self._counted_since, self._n_stored = now, 0
        self._n_stored += n_events
        if self._n_stored >= MANY_EVENTS:
            self._filled_at = now

    @property
    def is_filling(self) -> bool:
        """Whether many events came a moment ago."""
        return time.monotonic() - self._filled_at < BETWEEN_BATCHES_S

    @property
    def is_quiet(self) -> bool:
        """Whether no recall runs at this moment."""
        return self._n_recalls == 0

    def wait_until_quiet(self, timeout_s: float) -> None:
        """Returns when no recall runs, or after `timeout_s`: under constant load the index must go on."""
        with self._changed:
            self._changed.wait_for(lambda: self._n_recalls == 0, timeout_s)

    @contextmanager
    def closed(self, timeout_s: float = 5.0) -> Iterator[None]:
        """Holds new recalls back while the block runs; those that run are waited for, up to `timeout_s`."""
        with self._changed:
            self._is_closed = True
            self._changed.wait_for(lambda: self._n_recalls == 0, timeout_s)
        try:
            yield
        finally:
            with self._changed:
                self._is_closed = False
                self._changed.notify_all()


def idle_executor(name: str) -> ThreadPoolExecutor:
    """
    One thread that the system runs when nothing else wants the processor (Linux; elsewhere as any other).

    Give it work that runs without the interpreter's lock: a thread at idle priority that holds the lock on a
    busy machine would hold up the whole process.
    """
    return ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_become_idle)


def _become_idle() -> None:
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    try:
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    except OSError:
        try:
            os.setpriority(os.PRIO_PROCESS, thread, 19)
        except OSError:
            return  # a sandbox that forbids both: the share of the core still holds
