"""Every error that Penchant raises on purpose, and the HTTP status and words that it becomes.

    PenchantError
    ├── HomeError            the data directory cannot be used
    ├── ConfigError          config.toml is wrong
    ├── LockHeld             another daemon owns the data directory
    ├── StartError           the daemon did not become ready
    ├── DaemonUnreachable    a client found no daemon (and could not start one)
    └── RequestError         a request that cannot be answered: one shape on the wire
        ├── Malformed        400  not JSON, not UTF-8, not HTTP
        ├── Unauthorised     401  no or unknown bearer token (TCP)
        ├── Forbidden        403  another user, a browser's page, a foreign Host
        ├── NotFound         404  no such memory, session, project
        ├── MethodNotAllowed 405
        ├── TooSlow          408  the body did not arrive in time
        ├── Conflict         409  contradicts what is stored
        ├── TooLarge         413  body over the limit
        ├── InvalidField     422  wrong type, unknown field, out of range
        ├── TooMany          429  one agent says more than is taken from one agent
        ├── InternalError    500  our fault: logged under an id
        ├── Unavailable      503  stopping, or the part that answers this does not run
        └── StorageFull      507  the disk, or the cap that the config sets, is full

Standard library only: the hook and the stdio forwarder may import this.
"""

from __future__ import annotations


class PenchantError(Exception):
    """Base of all of Penchant's own errors.

    :param message: what was wrong, with both values.
    :param hint: what to do about it; None when there is nothing to do.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class HomeError(PenchantError):
    """The data directory is a file, is read-only or belongs to somebody else."""


class ConfigError(PenchantError):
    """`config.toml` cannot be read; the message names the file and the key."""


class LockHeld(PenchantError):
    """Another daemon owns the data directory.

    :param pid: its process id, None when the lock file does not say.
    :param since: when it started (UTC ISO-8601), None when the lock file does not say.
    """

    def __init__(self, message: str, pid: int | None, since: str | None) -> None:
        super().__init__(message, "penchant status shows it, penchant down stops it")
        self.pid = pid
        self.since = since


class StartError(PenchantError):
    """The daemon was started and did not become ready."""


class DaemonUnreachable(PenchantError):
    """No daemon answers on the socket; the hint says what to do."""


class RequestError(PenchantError):
    """A request that cannot be answered; on the wire `{"error": {"code", "message", "field", "hint"}}`.

    :param message: what was wrong, with both values.
    :param field: path of the field, such as `body[3].content` or `query.limit`; None when none is to blame.
    :param hint: what to do about it.
    """

    status = 400
    code = "bad_request"

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.field = field


class Malformed(RequestError):
    """The bytes are not what they say: JSON that does not parse, text that is not UTF-8."""

    status = 400
    code = "malformed"


class Unauthorised(RequestError):
    """A TCP request without a bearer token that Penchant issued."""

    status = 401
    code = "unauthorised"


class Forbidden(RequestError):
    """Not for this caller: another user of the machine, a web page, a foreign Host."""

    status = 403
    code = "forbidden"


class NotFound(RequestError):
    """There is no such thing: memory, session, project, route."""

    status = 404
    code = "not_found"


class MethodNotAllowed(RequestError):
    """The route exists, this method of it does not."""

    status = 405
    code = "method_not_allowed"


class TooSlow(RequestError):
    """The request's body did not arrive in time."""

    status = 408
    code = "too_slow"


class Conflict(RequestError):
    """The request contradicts what is stored, or a state that is already reached otherwise."""

    status = 409
    code = "conflict"


class TooLarge(RequestError):
    """The body is larger than one request may be."""

    status = 413
    code = "too_large"


class InvalidField(RequestError):
    """A field has the wrong type, an unknown name or a value out of range; `field` is its path."""

    status = 422
    code = "invalid_field"


class TooMany(RequestError):
    """One agent says more in a short time than is taken from one agent; nothing of this request was kept."""

    status = 429
    code = "too_many"


class InternalError(RequestError):
    """Something in Penchant broke; the log has it under the id in the message."""

    status = 500
    code = "internal"


class Unavailable(RequestError):
    """The daemon is stopping, or the part that answers this request is not running."""

    status = 503
    code = "unavailable"


class StorageFull(RequestError):
    """Nothing can be written: the disk is full, or the cap of the config is reached."""

    status = 507
    code = "storage_full"


__all__ = [
    "ConfigError",
    "Conflict",
    "DaemonUnreachable",
    "Forbidden",
    "HomeError",
    "InternalError",
    "InvalidField",
    "LockHeld",
    "Malformed",
    "MethodNotAllowed",
    "NotFound",
    "PenchantError",
    "RequestError",
    "StartError",
    "StorageFull",
    "TooLarge",
    "TooMany",
    "TooSlow",
    "Unauthorised",
    "Unavailable",
]
