"""`$PENCHANT_HOME/config.toml`: every setting, its default and its effect, in one place.

A file that is missing or empty means the defaults. An unknown key or a wrong type is an error that
names the key and the file: a misspelt limit must not silently be no limit.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penchant_daemon.errors import ConfigError

CONFIG_NAME = "config.toml"

Percent = Annotated[int, Field(ge=1, le=100)]
Assistant = Literal["claude-code", "codex", "cursor", "gemini", "copilot", "opencode"]


class Section(BaseModel):
    """Base of every table of the file: strict types, unknown keys refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Limits(Section):
    """Hard caps. They are held while the daemon runs, not only checked at its start."""

    ram_daemon_mb: Annotated[int, Field(ge=100)] = Field(
        default=800,
        description="Resident memory of the daemon. Over it, background work pauses and models are unloaded.",
    )
    ram_worker_mb: Annotated[int, Field(ge=100)] = Field(
        default=1500,
        description="Memory of the model worker. Over it, it is ended, and started anew when needed.",
    )
    disk_mb: Annotated[int, Field(ge=1)] = Field(
        default=10_240, description="Size of the data directory. At it, writes are refused (recall goes on)."
    )
    background_cpu_percent: Percent = Field(
        default=50, description="Share of one core that indexing and other background work may use."
    )
    pause_on_battery: bool = Field(
        default=True, description="Whether background work waits while the machine runs on its battery."
    )


class Models(Section):
    """Which models are used; `penchant models list` shows what is there."""

    embedder: Annotated[str, Field(min_length=1)] = Field(
        default="all-MiniLM-L6-v2",
        description="Model of the vectors. Changing it needs `penchant reindex`; recall goes on meanwhile.",
    )
    language_model: str = Field(
        default="SmolLM2-135M-Instruct", description='Model of the worker, which writes titles. "" uses none.'
    )
    idle_s: Annotated[int, Field(ge=1)] = Field(
        default=300, description="Seconds without work after which the model worker ends."
    )


class Watch(Section):
    """Session files that the daemon follows live; set with `penchant watch`."""

    enabled: bool = Field(default=False, description="Whether session files are followed.")
    assistants: list[Assistant] = Field(
        default_factory=list, description="Assistants whose default places are followed."
    )
    paths: list[str] = Field(default_factory=list, description="Further files and folders that are followed.")


class Server(Section):
    """How the daemon is reached. The Unix socket is always on."""

    tcp_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=0, description="Port on 127.0.0.1 for clients with a token (`penchant token`); 0 opens none."
    )


class Capture(Section):
    """What is done to text before it is stored."""

    mask_secrets: bool = Field(default=True, description="Whether keys, tokens and passwords are masked.")


class Recall(Section):
    """What recall returns, and what is handed to assistants unasked."""

    min_relevance: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=0.03,
        description="Probability that an answer was found, under which nothing is returned. 0 returns the nearest, "
        "however far.",
    )
    inject: bool = Field(default=True, description="Whether hooks may add memories to a session or prompt.")
    inject_max_chars: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=4_000, description="Most characters that one hook adds (hosts cut at 10,000)."
    )
    inject_min_cosine: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=0.35,
        description="Likeness to the prompt under which a memory is not added to it, unless it quotes it.",
    )


class Ranker(Section):
    """How recall is ranked."""

    learn: bool = Field(
        default=True, description="Whether ranking learns from feedback and from what was used."
    )


class Log(Section):
    """The daemon's log, which never holds the contents of memories."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe line that is written."
    )
    max_mb: Annotated[int, Field(ge=1, le=1_024)] = Field(
        default=10, description="Size at which the log file is rotated."
    )
    files: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3, description="Rotated files that are kept beside the current one."
    )


class Config(Section):
    """The whole of `config.toml`."""

    limits: Limits = Field(default_factory=Limits)
    models: Models = Field(default_factory=Models)
    watch: Watch = Field(default_factory=Watch)
    server: Server = Field(default_factory=Server)
    capture: Capture = Field(default_factory=Capture)
    recall: Recall = Field(default_factory=Recall)
    ranker: Ranker = Field(default_factory=Ranker)
    log: Log = Field(default_factory=Log)


def load(home: Path) -> Config:
    """The settings of one data directory; the defaults where the file is silent.

    :raises ConfigError: the file is no TOML, has an unknown key or a wrong value; the message names both.
    """
    path = home / CONFIG_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return _parsed(text, path)


def set_value(home: Path, key: str, value: object) -> Config:
    """`set_values` of one setting."""
    return set_values(home, {key: value})


def set_values(home: Path, values: Mapping[str, object]) -> Config:
    """Set values in `config.toml`, keeping its comments and order, and return the new settings.

    :param values: table and name with a dot, such as `models.embedder`, to a string, number, boolean or list
        of strings. All are checked before anything is written.
    :raises ConfigError: no such setting, or not a value of it; the file stays as it was.
    """
    import tomlkit

    path = home / CONFIG_NAME
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
    except (OSError, UnicodeDecodeError, tomlkit.exceptions.ParseError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    for key, value in values.items():
        table_name, _, name = key.partition(".")
        if table_name not in Config.model_fields or not name:
            raise ConfigError(
                f"{key}: there is no such setting", f"settings are: {', '.join(setting_names())}"
            )
        table = document.setdefault(table_name, tomlkit.table())
        if not isinstance(table, MutableMapping):
            raise ConfigError(f"{path}: {table_name} is not a table")
        table[name] = value
    text = tomlkit.dumps(document)
    config = _parsed(text, path)
    _replace(path, text)
    return config


def setting_names() -> list[str]:
    """Every key of the file as `table.name`, in the order of the documentation."""
    return [f"{row[0]}.{row[1]}" for row in reference()]


def reference() -> list[tuple[str, str, str, str]]:
    """The documentation of the file: rows of (table, name, default as TOML, effect)."""
    import tomlkit

    rows = []
    defaults = Config()
    for table_name in Config.model_fields:
        section: BaseModel = getattr(defaults, table_name)
        for name, field in type(section).model_fields.items():
            default = tomlkit.item(getattr(section, name)).as_string()
            rows.append((table_name, name, default, field.description or ""))
    return rows


def _parsed(text: str, path: Path) -> Config:
    try:
        raw: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = f"settings are: {', '.join(setting_names())}"
            raise ConfigError(f"{path}: {key}: there is no such setting", hint) from error
        given = f", not {first['input']!r}" if isinstance(first["input"], (str, int, float, bool)) else ""
        raise ConfigError(f"{path}: {key}: {first['msg'][0].lower()}{first['msg'][1:]}{given}") from error


def _replace(path: Path, text: str) -> None:
    """Write beside and rename, so that a crash leaves the old file or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".config-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error}") from error


__all__ = ["CONFIG_NAME", "Config", "load", "reference", "set_value", "set_values", "setting_names"]
