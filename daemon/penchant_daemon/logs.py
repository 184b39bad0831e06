"""The daemon's log: JSON lines in `logs/daemon.log`, rotated, 0600, and never what somebody wrote.

Ours are structlog events with ids, counts and sizes. Other libraries' lines are kept without the values
that were put into them, and exceptions without their message unless it is one of ours: a validation error
quotes the text that it refuses, and a query's error quotes the query.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import structlog

from penchant_daemon.errors import PenchantError
from penchant_daemon.lifecycle import LOG_NAME
from penchant_store.errors import StoreError

if TYPE_CHECKING:
    from penchant_daemon.config import Log

_OURS = "penchant"  # every logger of ours begins so
_CONSTANT = ("uvicorn.error",)  # its messages hold no text of requests
_SAFE_ERRORS = (PenchantError, StoreError, OSError)
_QUIET = ("httpx2", "httpcore2", "asyncio", "watchfiles", "mcp", "huggingface_hub")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure(home: Path, settings: Log, *, in_sight: bool = False) -> None:
    """Send every log line of this process to the file of this data directory.

    :param in_sight: also write them to standard error, for `penchant up --foreground`.
    """
    folder = home / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    handlers: list[logging.Handler] = [
        _PrivateRotatingFile(
            folder / LOG_NAME,
            maxBytes=settings.max_mb * 1_000_000,
            backupCount=settings.files,
            encoding="utf-8",
            errors="backslashreplace",
        )
    ]
    if in_sight:
        handlers.append(logging.StreamHandler(sys.stderr))
    stamps: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_without_values, *stamps],
        pass_foreign_args=True,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _frames_only,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
    )
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    root.setLevel(level)
    for name in (*_QUIET, *_CONSTANT):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            *stamps,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of one module: `log = logger(__name__)`, then `log.info("event_name", count=3)`."""
    return cast(structlog.stdlib.BoundLogger, structlog.get_logger(name))


class _PrivateRotatingFile(logging.handlers.RotatingFileHandler):
    """A rotating file that only its owner can read, from its first byte."""

    def _open(self) -> Any:
        def private(path: str, flags: int) -> int:
            return os.open(path, flags, 0o600)

        return open(self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors, opener=private)  # noqa: PTH123, SIM115

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name is logging's)
        """A full disk must not stop the daemon, nor print what it was about to log."""


def _without_values(
    _: structlog.types.WrappedLogger, __: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    """Another library's line: its constant template and its place; the values may be somebody's text."""
    has_values = bool(event.pop("positional_args", ()))
    record: logging.LogRecord | None = event.get("_record")
    if record is None:
        return event
    event["logger"] = record.name
    if not record.name.startswith((_OURS, *_CONSTANT)):
        # A message without values may have been put together by its caller, with somebody's text in it.
        event["event"] = record.msg if has_values and isinstance(record.msg, str) else "message withheld"
        event["where"] = f"{record.module}:{record.lineno}"
    return event


def _frames_only(
    _: structlog.types.WrappedLogger, __: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    """Exceptions as their type and places; the message only where it is known to quote nobody."""
    given = event.pop("exc_info", None)
    error: BaseException | None = None
    if isinstance(given, BaseException):
        error = given
    elif isinstance(given, tuple):
        error = cast(ExcInfo, given)[1]
    elif given:
        error = sys.exc_info()[1]
    if error is not None:
        event["error"] = described(error)
        event["at"] = [
            f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)[-12:]
        ]
    return event


def described(error: BaseException) -> str:
    """An exception in words that quote nobody: its type, its message where it is one of ours, its cause."""
    text = type(error).__name__
    if isinstance(error, _SAFE_ERRORS):
        text += f": {error}"
    cause = error.__cause__
    return f"{text} (from {described(cause)})" if cause is not None else text


__all__ = ["configure", "described", "logger"]
