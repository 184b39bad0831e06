"""Times as the store keeps them.

UTC, ISO-8601, milliseconds, `Z`; so that their order as text is their order in time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from penchant_store.errors import InvalidRecord

_KEPT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


def from_unix(seconds: float) -> str:
    """The text of a time given in unix seconds.

    >>> from_unix(0.0015)
    '1970-01-01T00:00:00.001Z'
    """
    milliseconds = int(seconds * 1000)
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z".rjust(24, "0")


def normalised(text: str, field: str) -> str:
    """The kept form of an ISO-8601 time; without an offset it is taken as UTC.

    >>> normalised("2026-11-23T11:00:00+01:00", "occurred_at")
    '2026-11-23T10:00:00.000Z'

    :param field: named in the error.
    :raises InvalidRecord: when it is no such time.
    """
    try:
        moment = datetime.fromisoformat(text)
        if _KEPT.fullmatch(text):
            return text
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, TypeError) as error:
        raise InvalidRecord(
            field, f"{text!r} is not an ISO-8601 time such as 2026-11-23T10:00:00.000Z"
        ) from error
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def to_unix(kept: str) -> int:
    """Unix seconds (floored) of a time in the kept form."""
    moment = datetime(
        int(kept[0:4]),
        int(kept[5:7]),
        int(kept[8:10]),
        int(kept[11:13]),
        int(kept[14:16]),
        int(kept[17:19]),
        0,
        UTC,
    )
    return int(moment.timestamp())
