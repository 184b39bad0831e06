"""How commands speak: text for people, JSON for programs, errors on standard error with what to do."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from penchant_daemon.errors import InvalidField, PenchantError, RequestError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from penchant_daemon.client import Client


def fail(message: str, hint: str | None = None, code: int = 2) -> NoReturn:
    """End the command with an error.

    :param message: what was wrong.
    :param hint: what to do about it.
    :param code: exit code; 2 is what a user can mend, 1 a negative answer.
    """
    _write_error(message, hint)
    raise click.exceptions.Exit(code)


def say_error(error: PenchantError) -> None:
    """Print one of our errors, with the field to blame and what to do."""
    message = error.message
    if isinstance(error, RequestError) and error.field:
        message = f"{error.field}: {message}"
    _write_error(message, error.hint)


def first_fault(error: ValidationError) -> InvalidField:
    """What is wrong with what was typed: an argument that no request can carry."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or None
    return InvalidField(first["msg"][:1].lower() + first["msg"][1:], field=field)


def emit(value: str | BaseModel | dict[str, object] | list[object]) -> None:
    """Print a result: a string as it is, anything else as JSON."""
    if isinstance(value, str):
        click.echo(value)
    elif isinstance(value, (dict, list)):
        click.echo(json.dumps(value, ensure_ascii=False, indent=2))
    else:
        click.echo(value.model_dump_json(indent=2))


def open_client(agent: str = "cli", autostart: bool = True) -> Client:
    """A client of the daemon of this user, which is started when it does not run."""
    from penchant_daemon.client import Client

    return Client(agent=agent, autostart=autostart)


def is_terminal() -> bool:
    """Whether a person reads what is printed (colours, progress bars)."""
    return sys.stdout.isatty()


def _write_error(message: str, hint: str | None) -> None:
    click.echo(f"penchant: {message}", err=True)
    if hint:
        click.echo(f"  {hint}", err=True)


__all__ = ["emit", "fail", "first_fault", "is_terminal", "open_client", "say_error"]
