"""A tool as Penchant offers it: strict arguments, schemas without ballast, errors that a model can act on.

Every assistant pays for the schemas in every session, so what a model does not read is left out of them:
titles, `$defs` indirections and the null branch of optional arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations
from pydantic import BaseModel, ValidationError

from penchant_daemon.client import RequestError

_BODY = re.compile(r"^(body|query)(\[0\])?\.?")
Schema = dict[str, Any]
Made = TypeVar("Made", bound=BaseModel)


class PenchantTool(Tool):
    """A tool whose errors name the argument, say both values and hold no stack of wrappers."""

    @classmethod
    def build(cls, function: Callable[..., Any], annotations: ToolAnnotations) -> PenchantTool:
        """The tool of a typed function; its docstring is the description that the model reads."""
        description = " ".join((function.__doc__ or "").split())
        tool = cls.from_function(
            function, description=description, annotations=annotations, structured_output=True
        )
        assert isinstance(tool, PenchantTool), "from_function builds the class it is called on"
        tool.parameters = lean(tool.parameters)
        if tool.fn_metadata.output_schema is not None:
            # Without `required`: a tenth of all tokens, to tell a client what it sees in each answer.
            tool.fn_metadata.output_schema = lean(
                tool.fn_metadata.output_schema, left_out=("title", "required")
            )
        return tool

    async def run(self, arguments: dict[str, Any], context: Any, convert_result: bool = False) -> Any:
        """Run the tool.

        :raises ToolError: an argument is unknown or has a wrong value, or the daemon refused the request; the
            message reaches the model, which can correct it.
        """
        allowed: Schema = self.parameters.get("properties", {})
        if unknown := sorted(arguments.keys() - allowed.keys()):
            names = ", ".join(allowed) or "none"
            raise ToolError(f"{self.name} has no argument {', '.join(map(repr, unknown))}; it has: {names}")
        try:
            return await super().run(arguments, context, convert_result)
        except ToolError as error:
            match error.__cause__:
                case ValidationError() as wrong:
                    raise ToolError(f"{self.name}: {_in_words(wrong)}") from wrong
                case ToolError() as refused:
                    raise ToolError(f"{self.name}: {refused}") from refused
                case _:
                    raise


def checked(request: type[Made], /, **fields: object) -> Made:
    """A wire request from a tool's arguments; what was not given stays unset.

    :raises ToolError: a value is out of its range; the message names the argument.
    """
    try:
        return request.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        raise ToolError(_in_words(error)) from error


@contextmanager
def refusals_for_the_model() -> Iterator[None]:
    """Turn what the daemon refuses into an error that the model reads: message, argument and what to do."""
    try:
        yield
    except RequestError as error:
        raise ToolError(refusal(error)) from error


def refusal(error: RequestError) -> str:
    """A refused request in one line, with the argument's name instead of its path in the HTTP body."""
    argument = _BODY.sub("", error.field or "")
    text = f"{argument}: {error.message}" if argument else error.message
    return f"{text}; {error.hint}" if error.hint else text


def lean(schema: Schema, left_out: tuple[str, ...] = ("title",)) -> Schema:
    """The same schema in fewer tokens: references inlined, optional arguments without their null branch.

    :param left_out: keywords that nobody reads.

    >>> lean({"title": "N", "anyOf": [{"type": "integer"}, {"type": "null"}], "default": None})
    {'type': 'integer'}
    """
    definitions: Schema = schema.get("$defs", {})

    def shorter(node: Any) -> Any:
        if isinstance(node, list):
            return [shorter(part) for part in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return shorter(definitions[node["$ref"].rsplit("/", 1)[-1]])
        kept = {key: value for key, value in node.items() if key not in (*left_out, "$defs", "properties")}
        if "enum" in kept or "const" in kept:
            kept.pop("type", None)
        optional = "default" in kept and kept["default"] is None
        if not kept.get("default", True):
            del kept["default"]  # null or false: what a reader expects of an argument that is not given
        branches = kept.get("anyOf", [])
        if {"type": "null"} in branches and len(branches) == 2:
            (branch,) = (branch for branch in branches if branch != {"type": "null"})
            del kept["anyOf"]
            branch = shorter(branch)
            if not optional:
                branch = {**branch, "type": [branch["type"], "null"]}
            kept = {**kept, **branch}
        kept = {
            key: value if key in ("default", "enum", "required") else shorter(value)
            for key, value in kept.items()
        }
        if "properties" in node:
            # Below `properties` keys are names of fields, one of which may be `title`.
            kept["properties"] = {name: shorter(value) for name, value in node["properties"].items()}
        return kept

    shortened: Schema = shorter(schema)
    return shortened


def _in_words(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, part['loc']))}: {part['msg']} (got {_short(part['input'])})"
        if part["type"] != "missing"
        else f"{'.'.join(map(str, part['loc']))} is missing"
        for part in error.errors(include_url=False)
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


__all__ = ["PenchantTool", "checked", "lean", "refusal", "refusals_for_the_model"]
