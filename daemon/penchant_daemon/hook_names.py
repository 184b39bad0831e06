"""What hosts call their hooks. Imports nothing: the hook's short way reads it too."""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for typing's, whose import would cost 3 ms
if TYPE_CHECKING:
    from typing import Final

# Every host's name of a hook, lower case without separators -> ours (Claude Code's).
_EVENTS: Final = {
    "sessionstart": "SessionStart",
    "userpromptsubmit": "UserPromptSubmit",
    "userpromptsubmitted": "UserPromptSubmit",
    "beforesubmitprompt": "UserPromptSubmit",
    "beforeagent": "UserPromptSubmit",
    "preuserprompt": "UserPromptSubmit",
    "posttooluse": "PostToolUse",
    "aftertool": "PostToolUse",
    "afterfileedit": "PostToolUse",
    "postwritecode": "PostToolUse",
    "postruncommand": "PostToolUse",
    "postreadcode": "PostToolUse",
    "postmcptooluse": "PostToolUse",
    "posttoolusefailure": "PostToolUseFailure",
    "subagentstop": "SubagentStop",
    "precompact": "PreCompact",
    "precompress": "PreCompact",
    "postcompact": "PostCompact",
    "stop": "Stop",
    "agentstop": "Stop",
    "afteragent": "Stop",
    "afteragentresponse": "Stop",
    "postcascaderesponse": "Stop",
    "sessionend": "SessionEnd",
}

#: At these a host may take context.
BEFORE_WORK: Final = ("SessionStart", "UserPromptSubmit")


def canonical(name: str) -> str | None:
    """Claude Code's name of a host's hook; None for one that is not taken."""
    return _EVENTS.get("".join(filter(str.isalpha, name)).lower())


__all__ = ["BEFORE_WORK", "canonical"]
