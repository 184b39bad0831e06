"""What happens inside the daemon, told to whoever listens: the source of `GET /v1/stream`.

Publishing never waits and never fails: a listener that does not keep up loses its subscription, and the
daemon goes on. What is published are ids and counts, never text.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from penchant_daemon.wire import StreamEvent, utc_text

QUEUE_SIZE = 1_000  # at 200 bytes an event, one slow listener holds at most 200 kB


class Subscription:
    """One listener's queue; `next` gives None at the end: the bus closed, or the listener was too slow."""

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int) -> None:
        self._loop = loop
        self._queue: asyncio.Queue[StreamEvent | None] = asyncio.Queue(size + 1)
        self._size = size
        self.is_open = True
        self.was_too_slow = False

    async def next(self) -> StreamEvent | None:
        """The next event; None when there will be none."""
        if not self.is_open and self._queue.empty():
            return None
        return await self._queue.get()

    def _offer(self, event: StreamEvent | None) -> None:
        if not self.is_open:
            return
        if event is not None and self._queue.qsize() >= self._size:
            self.was_too_slow = True
            event = None
        if event is None:
            self.is_open = False
        self._queue.put_nowait(event)  # the place after the last is kept for the end


class Bus:
    """Publish from any thread, subscribe on the event loop.

    :param clock: gives the time of what is published; the default is the machine's.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()
        self._callbacks: list[Callable[[str], None]] = []
        self._is_closed = False

    def publish(
        self,
        kind: str,
        *,
        ids: Sequence[str] = (),
        agent: str | None = None,
        project: str | None = None,
        session: str | None = None,
        count: int | None = None,
        detail: str | None = None,
    ) -> None:
        """Tell every listener; costs nothing when there is none.

        :param kind: logged, remembered, forgotten, learned, quarantined, indexed, ...
        :param count: how many things it was about; None takes the number of ids.
        :param detail: a few words of ours, never text that somebody wrote.
        """
        for callback in self._callbacks:
            callback(kind)
        with self._lock:
            listeners = tuple(self._subscriptions)
        if not listeners:
            return
        event = StreamEvent(
            kind=kind,
            at=utc_text(self._clock()),
            ids=list(ids),
            agent=agent,
            project=project,
            session=session,
            count=len(ids) if count is None else count,
            detail=detail,
        )
        for listener in listeners:
            self._hand(listener, event)

    def call(self, callback: Callable[[str], None]) -> None:
        """Call this with the kind of everything that is published, at once and in the publisher's thread."""
        self._callbacks.append(callback)

    def subscribe(self, size: int = QUEUE_SIZE) -> Subscription:
        """A new listener, on the running event loop; `unsubscribe` it when done."""
        subscription = Subscription(asyncio.get_running_loop(), size)
        with self._lock:
            if self._is_closed:
                subscription.is_open = False
            else:
                self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a listener."""
        with self._lock:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every subscription; what is published later is dropped."""
        with self._lock:
            self._is_closed = True
            listeners = tuple(self._subscriptions)
            self._subscriptions.clear()
        for listener in listeners:
            self._hand(listener, None)

    @property
    def n_listeners(self) -> int:
        """How many subscriptions are open."""
        with self._lock:
            return len(self._subscriptions)

    @staticmethod
    def _hand(listener: Subscription, event: StreamEvent | None) -> None:
        try:
            listener._loop.call_soon_threadsafe(listener._offer, event)
        except RuntimeError:
            listener.is_open = False  # its event loop is closed: the daemon is ending


__all__ = ["QUEUE_SIZE", "Bus", "Subscription"]
