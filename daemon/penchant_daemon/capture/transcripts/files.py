"""Reads transcript files: growing line logs from where the last read ended, and whole documents.

A line log is taken up again at its cursor's offset when what lies before it is unchanged (digests of its
head and of the bytes just before the offset); otherwise it is read from its start, and keys keep anything
from being added twice.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import zstandard
from pydantic import JsonValue, ValidationError

from penchant_daemon.wire import EventIn, SourceIn

from .context import ReadContext
from .records import BadLine, Items, JsonObject, Malformed, Progress, as_int, as_object, as_text

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_LINE_BYTES = 64 * 1024 * 1024  # a longer line is skipped and reported: one line must fit in memory
MAX_DOCUMENT_BYTES = 512 * 1024 * 1024
MAX_SEEN = 200_000
_HEAD_BYTES = 4_096
_TAIL_BYTES = 256
_EVENTS_PER_PROGRESS = 256
_BYTES_PER_PROGRESS = 512 * 1024
_BLANK = b"\0 \t\r\n"


class LineParser(Protocol):
    """Understands the lines of one format, one after the other."""

    def feed(self, record: JsonObject, number: int) -> Iterator[EventIn]:
        """The events of one line. :raises Malformed: when the line breaks its own format."""
        ...

    def finish(self) -> Iterator[EventIn]:
        """Events that were held back until the next line; called at the end of the file."""
        ...

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is held back, so that reading can be taken up here."""
        ...

    def skipped(self) -> dict[str, int]:
        """What was left out on purpose since the last call, by reason."""
        ...

    def state(self) -> JsonObject:
        """What a new parser needs to go on from here."""
        ...


class Skips:
    """Counts what a reader leaves out on purpose."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, reason: str, n: int = 1) -> None:
        self._counts[reason] = self._counts.get(reason, 0) + n

    def take(self) -> dict[str, int]:
        counts, self._counts = self._counts, {}
        return counts


class _Unpacked(io.RawIOBase):
    """The decompressed bytes of a `.zst` file; moving back reads it anew from its beginning."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._begin()

    def _begin(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._path.open("rb")
        self._stream = zstandard.ZstdDecompressor().stream_reader(self._file, read_across_frames=True)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """As in `io.RawIOBase`; a broken stream raises `zstandard.ZstdError`."""
        room = memoryview(buffer).cast("B")
        data = self._stream.read(len(room))
        room[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As in `io.RawIOBase`, but not from the end, which only reading to it would tell."""
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end of a compressed file is not known")
        target = offset + self._at if whence == io.SEEK_CUR else offset
        if target < self._at:
            self._begin()
        while self._at < target and (data := self._stream.read(min(target - self._at, 1 << 16))):
            self._at += len(data)
        return self._at

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes; a `.zst` file's decompressed, as a stream."""
    return io.BufferedReader(_Unpacked(path), 1 << 16) if path.suffix == ".zst" else path.open("rb")


def is_unchanged(path: Path, cursor: SourceIn) -> bool:
    """Whether the file still has the size, time and inode that it had when the cursor was made."""
    stat = path.stat()
    return (stat.st_size, stat.st_mtime_ns, stat.st_ino) == (cursor.size, cursor.mtime_ns, cursor.inode)


def make_cursor(
    path: Path, assistant: str, stat: os.stat_result, offset: int, head_digest: str, state: JsonObject,
    is_complete: bool = True,
) -> SourceIn:  # fmt: skip
    """A cursor for the file as `stat` found it; one on the way (not complete) never passes for an
    unchanged file."""
    return SourceIn(
        path=str(path),
        assistant=assistant,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns if is_complete else 0,
        inode=stat.st_ino,
        offset=offset,
        head_digest=head_digest,
        state=state,
    )


def decode_line(raw: bytes) -> tuple[str, bool]:
    """(text, whether bytes had to be replaced)."""
    try:
        return raw.decode("utf-8"), False
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace"), True


def parse_object(text: str) -> JsonObject:
    """The JSON object that the text is. :raises Malformed: for anything else."""
    try:
        value: JsonValue = json.loads(text)
    except json.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error.msg} at column {error.colno}") from error
    except ValueError as error:  # a number of more than 4,300 digits
        raise Malformed(f"not JSON that can be read: {error}") from error
    except RecursionError as error:
        raise Malformed("nested too deeply") from error
    if not isinstance(value, dict):
        raise Malformed(f"a JSON {type(value).__name__} where an object was expected")
    return value


def read_lines(
    path: Path, assistant: str, cursor: SourceIn | None, make_parser: Callable[[JsonObject], LineParser]
) -> Items:
    """Yields the events of a line log, from the cursor on when it still fits.

    :param make_parser: gets the state of the parser that stopped at the cursor, or an empty one.
    """
    stat = path.stat()
    with open_bytes(path) as stream:
        try:
            yield from _read_lines(stream, path, stat, assistant, cursor, make_parser)
        except (zstandard.ZstdError, EOFError) as error:
            yield BadLine(str(path), 0, f"the zstd stream breaks off: {error}", "left")


def _read_lines(
    stream: IO[bytes], path: Path, stat: os.stat_result, assistant: str, cursor: SourceIn | None,
    make_parser: Callable[[JsonObject], LineParser],
) -> Items:  # fmt: skip
    head = _head(stream)
    offset, number, parser = 0, 0, None
    tail = b""
    if cursor is not None and cursor.offset > 0:
        tail = _tail_before(stream, cursor.offset)
        if cursor.head_digest == _digest(head[: cursor.offset]) and cursor.state.get("tail") == _digest(tail):
            offset = cursor.offset
            number = as_int(cursor.state.get("line"))
            parser = make_parser(as_object(cursor.state.get("parser")))
    if parser is None:
        tail = b""
        parser = make_parser({})
    stream.seek(offset)

    def progress(is_complete: bool) -> Progress:
        state: JsonObject = {"line": number, "tail": _digest(tail), "parser": parser.state()}
        source = make_cursor(path, assistant, stat, offset, _digest(head[:offset]), state, is_complete)
        return Progress(min(offset, stat.st_size), source, parser.skipped())

    n_since = 0
    next_at = offset + _BYTES_PER_PROGRESS
    while True:
        raw, n_bytes, has_end = _next_line(stream)
        if not n_bytes:
            break
        is_tail = not has_end
        record: JsonObject | None = None
        if raw is None:
            yield BadLine(str(path), number + 1, f"longer than {MAX_LINE_BYTES // 2**20} MiB")
        elif raw.strip(_BLANK):
            text, is_repaired = decode_line(raw.strip(_BLANK))
            try:
                record = parse_object(text)
            except Malformed as error:
                if is_tail:
                    yield BadLine(str(path), number + 1, "the last line is unfinished", "left")
                    break
                yield BadLine(str(path), number + 1, str(error))
            if record is not None and is_repaired:
                yield BadLine(str(path), number + 1, "invalid UTF-8, its bytes were replaced", "kept")
        number += 1
        if record is not None:
            try:
                for event in parser.feed(record, number):
                    n_since += 1
                    yield event
            except (Malformed, ValidationError, RecursionError) as error:
                yield BadLine(str(path), number, _reason(error))
        offset += n_bytes
        if raw is not None:
            tail = (tail + raw)[-_TAIL_BYTES:]
        else:
            tail = _tail_before(stream, offset)
            stream.seek(offset)
        if (n_since >= _EVENTS_PER_PROGRESS or offset >= next_at) and parser.is_at_rest:
            yield progress(is_complete=False)
            n_since, next_at = 0, offset + _BYTES_PER_PROGRESS
    yield from parser.finish()
    if path.suffix == ".zst" and offset == 0 and not head and stat.st_size:
        yield BadLine(str(path), 0, "the zstd stream breaks off before its first block", "left")
    yield progress(is_complete=True)


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _next_line(stream: IO[bytes]) -> tuple[bytes | None, int, bool]:
    """(line with its newline or None when too long, number of bytes, whether it ends in a newline)."""
    raw = stream.readline(MAX_LINE_BYTES)
    if len(raw) < MAX_LINE_BYTES or raw.endswith(b"\n"):
        return raw, len(raw), raw.endswith(b"\n")
    n_bytes = len(raw)
    while True:
        more = stream.readline(MAX_LINE_BYTES)
        n_bytes += len(more)
        if not more or more.endswith(b"\n"):
            return None, n_bytes, bool(more)


def _head(stream: IO[bytes]) -> bytes:
    head = b""
    while len(head) < _HEAD_BYTES and (more := stream.read(_HEAD_BYTES - len(head))):
        head += more
    return head


def _tail_before(stream: IO[bytes], offset: int) -> bytes:
    """The up to 256 bytes before `offset`; fewer when the file ends earlier."""
    stream.seek(max(0, offset - _TAIL_BYTES))
    return stream.read(min(_TAIL_BYTES, offset))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class Seen:
    """Keys of the events that earlier reads of a document gave, 8 bytes each, so that a re-read gives only
    the rest."""

    def __init__(self, encoded: JsonValue = None) -> None:
        try:
            data = base64.b64decode(as_text(encoded), validate=True)
        except ValueError:
            data = b""
        self._known = {data[i : i + 8] for i in range(0, len(data) - len(data) % 8, 8)}

    def is_new(self, event: EventIn) -> bool:
        """Whether the event's key comes up for the first time; it is known from then on."""
        mark = hashlib.blake2b(
            f"{event.session}\0{event.source_key}".encode("utf-8", "replace"), digest_size=8
        ).digest()
        if mark in self._known:
            return False
        if len(self._known) < MAX_SEEN:
            self._known.add(mark)
        return True

    def state(self) -> str:
        return base64.b64encode(b"".join(sorted(self._known))).decode("ascii")


def read_document(
    path: Path,
    assistant: str,
    cursor: SourceIn | None,
    parse: Callable[[bytes, os.stat_result], Iterator[EventIn | BadLine]],
    skips: Skips,
    context: ReadContext | None = None,
) -> Items:
    """Yields what is new in a file that its host rewrites as a whole.

    :param parse: gets the file's bytes; whatever it yields again under a known key is dropped here.
    :param context: for formats whose last answer may still be written: until the file has settled, its cursor
        does not pass for an unchanged file. None for the others.
    """
    stat = path.stat()
    if stat.st_size > MAX_DOCUMENT_BYTES:
        yield BadLine(
            str(path), 0, f"{stat.st_size:,} bytes are more than the {MAX_DOCUMENT_BYTES:,} that are read"
        )
        return
    with open_bytes(path) as stream:
        try:
            data = stream.read(MAX_DOCUMENT_BYTES)
        except (zstandard.ZstdError, EOFError) as error:
            yield BadLine(str(path), 0, f"the zstd stream breaks off: {error}", "left")
            return
    seen = Seen(cursor.state.get("seen") if cursor is not None else None)
    is_whole = True
    for item in parse(data, stat):
        if isinstance(item, BadLine):
            is_whole = is_whole and item.outcome != "left"
            yield item
        elif seen.is_new(item):
            yield item
    state: JsonObject = {"seen": seen.state()}
    is_done = context is None or context.is_settled(stat.st_mtime)
    source = make_cursor(path, assistant, stat, len(data), _digest(data[:_HEAD_BYTES]), state, is_done)
    # An unfinished document keeps no cursor: it is read again even when neither size nor time change.
    yield Progress(stat.st_size, source if is_whole else None, skips.take())


def parse_document(data: bytes, path: Path) -> tuple[JsonValue, list[BadLine]]:
    """(the JSON value of a whole file or None, what is wrong with it)."""
    text, is_repaired = decode_line(data.lstrip(b"\xef\xbb\xbf"))
    bad = [BadLine(str(path), 0, "invalid UTF-8, its bytes were replaced", "kept")] if is_repaired else []
    text = text.strip("\0 \t\r\n")
    if not text:
        return None, bad
    try:
        value: JsonValue = json.loads(text)
    except json.JSONDecodeError as error:
        is_cut = error.pos >= len(text) or "Unterminated" in error.msg
        reason = f"not JSON: {error.msg} at column {error.colno}"
        bad.append(BadLine(str(path), error.lineno, reason, "left" if is_cut else "skipped"))
        return None, bad
    except (ValueError, RecursionError) as error:
        bad.append(BadLine(str(path), 0, f"not JSON that can be read: {error}"))
        return None, bad
    return value, bad


def parse_lines(data: bytes, path: Path) -> Iterator[tuple[int, JsonObject] | BadLine]:
    """(line number, object) of every line of a file that must be read whole, and what is wrong with the
    others."""
    lines = data.split(b"\n")
    for number, raw in enumerate(lines, start=1):
        raw = raw.strip(_BLANK)
        if not raw:
            continue
        text, is_repaired = decode_line(raw)
        try:
            record = parse_object(text)
        except Malformed as error:
            is_last = number == len(lines)
            yield BadLine(
                str(path), number, "the last line is unfinished" if is_last else str(error),
                "left" if is_last else "skipped",
            )  # fmt: skip
            continue
        if is_repaired:
            yield BadLine(str(path), number, "invalid UTF-8, its bytes were replaced", "kept")
        yield number, record


def first_line(path: Path) -> str:
    """How a log begins: its first 4 KiB up to the first newline; empty when it cannot be read."""
    try:
        with open_bytes(path) as stream:
            return stream.readline(_HEAD_BYTES).decode("utf-8", "replace").strip("\0 \t\r\n")
    except (OSError, EOFError, zstandard.ZstdError):
        return ""
