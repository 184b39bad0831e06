"""Keyed digests and the hash chain over events.

The key lies outside of the databases (`chain.key`, 0600). Each event's link is HMAC-SHA256 over the link before it, its
id, its time and the keyed digest of its text; so a row that was changed, removed or put in breaks the chain, while
the text of a row can be erased without breaking it. The seal (a keyed digest of the last link and the number of
events) shows when rows were cut off at the end.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import unicodedata
from pathlib import Path

from penchant_store.connection import make_private
from penchant_store.errors import StoreCorrupt, StoreReadOnly

KEY_BYTES = 32
FIRST_LINK = bytes(32)


def load_key(path: Path) -> bytes:
    """The key of this data directory, made when there is none.

    :raises StoreCorrupt: when the file does not hold a key.
    :raises StoreReadOnly: when it cannot be read or made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        try:
            key = path.read_bytes()
        except OSError as error:
            raise StoreReadOnly(f"{path} cannot be read ({error.strerror})") from error
        if len(key) != KEY_BYTES:
            raise StoreCorrupt(
                f"{path} holds {len(key)} bytes instead of {KEY_BYTES}; put back the file from a backup: "
                "without it the history cannot be proven to be unchanged"
            ) from None
        return key
    except OSError as error:
        raise StoreReadOnly(f"{path} cannot be made ({error.strerror})") from error
    key = secrets.token_bytes(KEY_BYTES)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    make_private(path, 0o600)
    return key


def collapsed(text: str) -> str:
    """The text with composed characters and single spaces: what counts as the same text."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())


class Digests:
    """The keyed digests of one data directory."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def content(self, data: bytes) -> bytes:
        """Of the exact text, 32 bytes."""
        return hmac.digest(self._key, b"content\0" + data, "sha256")

    def fingerprint(self, text: str) -> int:
        """Of the collapsed text, as a signed 64-bit number (an SQLite integer)."""
        digest = hashlib.blake2b(collapsed(text).encode(), digest_size=8, key=self._key, person=b"text")
        return int.from_bytes(digest.digest(), "big", signed=True)

    def sameness(self, *parts: str) -> bytes:
        """Of several texts together, 16 bytes."""
        digest = hashlib.blake2b(digest_size=16, key=self._key, person=b"same")
        for part in parts:
            data = part.encode()
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.digest()

    def link(self, previous: bytes, id: str, occurred_at: str, content: bytes) -> bytes:
        """The link of an event in the chain, 32 bytes."""
        return hmac.digest(self._key, previous + f"{id}\0{occurred_at}\0".encode() + content, "sha256")

    def seal(self, last_link: bytes, n_events: int) -> str:
        """Closes the chain at its end."""
        return hmac.digest(self._key, b"seal\0" + last_link + n_events.to_bytes(8, "big"), "sha256").hex()


def hexadecimal(fingerprint: int) -> str:
    """A fingerprint as callers see it: 16 hexadecimal digits."""
    return f"{fingerprint & 0xFFFF_FFFF_FFFF_FFFF:016x}"
