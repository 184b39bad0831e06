"""Checks of what callers hand in, so that nothing reaches SQLite that it would cut short or refuse halfway."""

from __future__ import annotations

from collections.abc import Collection

from penchant_store.errors import InvalidRecord

CHANNELS = ("api", "mcp", "hook", "transcript", "cli")
ORIGINS = ("user", "assistant", "tool", "web", "import")
MAX_NAME_CHARS = 4_096


def text(value: object, field: str) -> str:
    """A text without NUL (SQLite would cut it there) and lone surrogates (which have no UTF-8 form).

    :raises InvalidRecord: naming the field.
    """
    if not isinstance(value, str):
        raise InvalidRecord(field, f"must be text, not {type(value).__name__}")
    if "\0" in value:
        raise InvalidRecord(field, "contains a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidRecord(field, f"contains a lone surrogate at character {error.start}") from error
    return value


def name(value: object, field: str) -> str:
    """A text of 1 to MAX_NAME_CHARS characters."""
    checked = text(value, field)
    if not checked or len(checked) > MAX_NAME_CHARS:
        raise InvalidRecord(field, f"must have 1 to {MAX_NAME_CHARS} characters, not {len(checked)}")
    return checked


def optional_name(value: object, field: str) -> str | None:
    """A name, or None."""
    return None if value is None else name(value, field)


def one_of(value: object, allowed: Collection[str], field: str) -> str:
    """One of the allowed words."""
    if not isinstance(value, str) or value not in allowed:
        raise InvalidRecord(field, f"must be one of {', '.join(allowed)}, not {value!r}")
    return value


def fraction(value: object, field: str) -> float:
    """A number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise InvalidRecord(field, f"must be a number from 0 to 1, not {value!r}")
    return float(value)
