"""Groups what a reader yields into requests of a bounded size, each with the cursor that belongs to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from penchant_daemon.wire import EventIn, SourceIn

from .records import BadLine, Item, Progress

MAX_EVENTS = 500
MAX_CHARS = 1_000_000
MIN_EVENTS = 200  # fewer wait for the next Progress, so that small steps do not make small requests
_CHARS_PER_EVENT = 300  # what an event costs on the wire beside its content


@dataclass(slots=True)
class Batch:
    """Events of one source to be logged together with its cursor (None: a later batch brings it)."""

    events: list[EventIn]
    source: SourceIn | None
    n_bytes: int  # position in the source up to which it has been read
    bad_lines: list[BadLine] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    n_chars: int = 0

    def without_refused(self, field_name: str | None) -> tuple[EventIn, bool] | None:
        """Mends a batch that was refused for one of its events: a wrong time is left out, else the event is.

        :param field_name: what the error names, such as `body[3].occurred_at`; a single event is `body` itself.
        :return: the event and whether it is kept; None when the error names none of them.
        """
        found = re.search(r"\[(\d+)\]", field_name or "")
        number = int(found.group(1)) if found else 0 if len(self.events) == 1 else len(self.events)
        if number >= len(self.events):
            return None
        event = self.events[number]
        if (field_name or "").endswith(".occurred_at") and event.occurred_at is not None:
            self.events[number] = event.model_copy(update={"occurred_at": None})
            return event, True
        del self.events[number]
        return event, False

    @property
    def is_empty(self) -> bool:
        return not self.events and self.source is None and not self.bad_lines and not self.skipped


def batches(
    items: Iterable[Item],
    max_events: int = MAX_EVENTS,
    max_chars: int = MAX_CHARS,
    min_events: int = MIN_EVENTS,
) -> Iterator[Batch]:
    """Batches of at most `max_events` events and, but for a single long event, `max_chars` characters.

    A batch's cursor never lies behind an event of a later batch: whatever is lost with a request is read
    again.
    """
    batch = Batch([], None, 0)
    for item in items:
        match item:
            case BadLine():
                batch.bad_lines.append(item)
            case Progress():
                batch.source = item.source or batch.source
                batch.n_bytes = item.n_bytes
                for reason, n in item.skipped.items():
                    batch.skipped[reason] = batch.skipped.get(reason, 0) + n
                if len(batch.events) >= min_events:
                    yield batch
                    batch = Batch([], None, batch.n_bytes)
            case EventIn():
                n_chars = len(item.content) + _CHARS_PER_EVENT
                is_full = len(batch.events) >= max_events or batch.n_chars + n_chars > max_chars
                if batch.events and is_full:
                    yield batch
                    batch = Batch([], None, batch.n_bytes)
                batch.events.append(item)
                batch.n_chars += n_chars
    if not batch.is_empty:
        yield batch
