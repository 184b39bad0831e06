"""Sees from what an assistant said and did next which of the recalled texts it used: outcomes that nobody has to give.

Each event of an assistant is compared with what was recalled for its session (or by the same agent) in the
quarter of an hour before. Words of the question don't count, for any answer has them. The outcome is an
estimate: it teaches the ranking half as surely as a verdict, and never says that something was bad.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

import penchant_ranker as ranker
from penchant_daemon.logs import logger
from penchant_daemon.wire import utc_text
from penchant_store import EventRecord, ImpressionRecord, NewOutcome, Store

__all__ = ["UseDetector"]

WINDOW = timedelta(minutes=15)
CLOCK_SLACK = timedelta(seconds=1)
LOOK_AT = 200  # events a round
LOOK_BACK_S = 900.0  # after a start: what came in while no daemon looked
MAX_IMPRESSIONS = 10  # before one event: the latest
MAX_SAID_CHARS = 20_000

log = logger(__name__)


class UseDetector:
    """Looks at new events of assistants and records what of the recalls before them was used.

    :param told: called with the agent and the number of outcomes when there are any.
    """

    def __init__(
        self, store: Store, *, clock: Callable[[], float] = time.time, told: Callable[[str, int], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._told = told
        self._number: int | None = None

    def look(self) -> int:
        """Compare what came in since the last look; blocking.

        :return: how many outcomes were recorded.
        """
        if self._number is None:
            self._number = self._store.event_number(self._clock() - LOOK_BACK_S)
        n_found = 0
        while True:
            events, self._number = self._store.events_after(self._number, LOOK_AT, ["assistant"])
            for event in events:
                if not event.is_erased:
                    n_found += self._compare(event)
            if len(events) < LOOK_AT:
                return n_found

    def _compare(self, event: EventRecord) -> int:
        at = datetime.fromisoformat(event.occurred_at)
        before = [
            impression
            for impression in self._recalled_before(event, at)
            if datetime.fromisoformat(impression.created_at) <= at + CLOCK_SLACK
        ]
        n_found = 0
        for impression in before:
            n_found += self._used(event, impression)
        if n_found:
            self._told(event.agent, n_found)
        return n_found

    def _recalled_before(self, event: EventRecord, at: datetime) -> Sequence[ImpressionRecord]:
        since = utc_text((at - WINDOW).astimezone(UTC))
        if event.session is not None:
            found = self._store.latest_impressions(since, session=event.session, limit=MAX_IMPRESSIONS)
            if found:
                return found
        # A recall over MCP does not say which session asks: the same agent's latest is the best guess.
        found = self._store.latest_impressions(since, agent=event.agent, limit=MAX_IMPRESSIONS)
        return [each for each in found if each.session is None or event.session is None]

    def _used(self, event: EventRecord, impression: ImpressionRecord) -> int:
        known = {o.memory_id for o in self._store.outcomes(impression_id=impression.id) if o.source == "use"}
        shown = [item.id for item in impression.items if item.is_shown and item.id not in known]
        if not shown:
            return 0
        if event.kind == "reference":  # its whole text is a repetition of memories
            used = set(shown) & set(event.refers_to)
        else:
            used = self._made_of(event, impression, shown)
        is_act = event.kind in ("tool_call", "edit")
        strength = ranker.ACTED_ON_STRENGTH if is_act else ranker.QUOTED_STRENGTH
        for memory_id in shown:
            if memory_id in used:
                outcome = NewOutcome(impression.id, memory_id, "used", event.agent, "use", strength)
                self._store.add_outcome(outcome).result()
        return len(used)

    def _made_of(self, event: EventRecord, impression: ImpressionRecord, shown: Sequence[str]) -> set[str]:
        """Ids of the shown texts whose own words stand in what was said."""
        texts = {id: record.content for id in shown if (record := self._store.memory(id)) is not None}
        hashes = [ranker.stem_hashes(text) for text in texts.values()]
        if not hashes:
            return set()
        snapshot = self._store.index.snapshot()
        shares = ranker.used_shares(
            ranker.stem_hashes(impression.query),
            hashes,
            ranker.stem_hashes(event.content[:MAX_SAID_CHARS]),
            snapshot.document_frequency(np.concatenate(hashes)),
            snapshot.n_stemmed,
        )
        return {
            id for id, share in zip(texts, shares.tolist(), strict=True) if share >= ranker.MIN_USED_SHARE
        }
