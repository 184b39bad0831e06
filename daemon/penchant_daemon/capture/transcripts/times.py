"""Host timestamps of every kind as UTC ISO-8601 with milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

_NORMAL = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z"
)
_EXACT_UNTIL_DAY = 28  # later days must be checked against their month
_LATEST_S = 253_402_300_799  # 9999-12-31T23:59:59Z
_MS_FROM = 100_000_000_000  # as seconds this is the year 5138: larger numbers are milliseconds
_US_FROM = 100_000_000_000_000


def utc_iso(value: JsonValue) -> str | None:
    """`2026-11-23T10:00:00.000Z` for an ISO string or a Unix time in s, ms or µs; None when it is no time.

    A string without an offset is taken as UTC.
    """
    if isinstance(value, str):
        if _NORMAL.fullmatch(value) and int(value[8:10]) <= _EXACT_UNTIL_DAY:
            return value
        return _of_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    seconds = float(value)
    if seconds >= _US_FROM:
        seconds /= 1_000_000
    elif seconds >= _MS_FROM:
        seconds /= 1_000
    if not 0 < seconds <= _LATEST_S:
        return None
    return _format(datetime.fromtimestamp(seconds, UTC))


def _of_text(text: str) -> str | None:
    if text.isascii() and text.isdigit() and 9 <= len(text) <= 16:
        return utc_iso(int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return _format(moment.astimezone(UTC))
    except OverflowError:  # year 1 or 9999 pushed over the edge by its offset
        return None


def _format(moment: datetime) -> str:
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def unix_ms(iso: str | None) -> int | None:
    """Milliseconds since 1970 of a time that `utc_iso` made."""
    return None if iso is None else int(datetime.fromisoformat(iso).timestamp() * 1000)


def uuid7_ms(identifier: str) -> int | None:
    """The creation time inside a version-7 UUID (its first 48 bits, ms); None for any other text.

    Source: RFC 9562 (2024), section 5.7.
    """
    digits = identifier.replace("-", "")
    if len(digits) != 32 or digits[12] != "7":
        return None
    try:
        return int(digits[:12], 16)
    except ValueError:
        return None


def modified_at(path: Path) -> str | None:
    """When the file was last written: the time of records that carry none."""
    try:
        return utc_iso(path.stat().st_mtime)
    except OSError:
        return None
