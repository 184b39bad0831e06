"""The command line: one module per verb, imported when that verb is used and not before."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

import click

from penchant_daemon import __version__


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb lives and what `penchant --help` says about it."""

    module: str  # under penchant_daemon.cli; its `command` is a click command
    summary: str


# In the order of the help: run it, connect it, fill it, ask it, look after it.
VERBS: dict[str, Verb] = {
    "up": Verb("up", "Start the daemon."),
    "down": Verb("down", "Stop the daemon; what it acknowledged is on disk."),
    "restart": Verb("restart", "Stop and start the daemon."),
    "status": Verb("status", "Show what runs, what is stored and what is wrong."),
    "logs": Verb("logs", "Show the daemon's log."),
    "doctor": Verb("doctor", "Prove that the store works, and mend what does not."),
    "connect": Verb("connect", "Write Penchant into an assistant's configuration."),
    "import": Verb("import_", "Read session files of assistants into the store."),
    "watch": Verb("watch", "Follow session files of assistants live."),
    "remember": Verb("remember", "Keep a statement."),
    "recall": Verb("recall", "Ask what is remembered."),
    "forget": Verb("forget", "Erase memories, and all that was derived from them."),
    "feedback": Verb("feedback", "Say whether a recalled memory helped."),
    "ranker": Verb("ranker", "Show what was learned from use, and undo it."),
    "sessions": Verb("sessions", "List sessions with their titles, or show one."),
    "models": Verb("models", "List, fetch and choose models."),
    "reindex": Verb("reindex", "Make the vectors anew, in the background."),
    "eval": Verb("eval", "Measure how well Penchant finds, on data sets or your own questions."),
    "token": Verb("token", "Make a bearer token for an agent that comes over TCP."),
    "mcp": Verb("mcp", "Serve MCP over standard input and output, for an assistant."),
    "hook": Verb("hook", "Take an assistant's hook from standard input."),
}


class LazyGroup(click.Group):
    """A group that knows its verbs by name and imports one when it is called."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        verb = VERBS.get(name)
        if verb is None:
            return None
        module = importlib.import_module(f"penchant_daemon.cli.{verb.module}")
        command: click.Command = module.command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="penchant")
def cli() -> None:
    """Penchant remembers what you and your coding assistants did, on this machine only."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are said on standard error."""
    from penchant_daemon.cli.output import first_fault, say_error
    from penchant_daemon.errors import PenchantError

    try:
        result = cli.main(args=list(arguments), prog_name="penchant", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except PenchantError as error:
        say_error(error)
        return 2
    except ValueError as error:
        from pydantic import ValidationError

        if not isinstance(error, ValidationError):
            raise
        say_error(first_fault(error))
        return 2
    except BrokenPipeError:
        return 141
    return result if isinstance(result, int) else 0


__all__ = ["VERBS", "LazyGroup", "Verb", "cli", "run"]
