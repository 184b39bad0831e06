"""Schemas in fewer tokens, refusals in words."""

from __future__ import annotations

from typing import Literal

import pytest
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

from penchant_daemon import wire
from penchant_daemon.client import error_of
from penchant_mcp_server.tool import checked, lean, refusal


class Inner(BaseModel):
    title: str
    n: int | None


class Outer(BaseModel):
    kind: Literal["a", "b"] = "a"
    inner: list[Inner]
    text: str | None = None
    is_loud: bool = False


def test_a_schema_says_the_same_in_fewer_words() -> None:
    assert lean(Outer.model_json_schema()) == {
        "type": "object",
        "required": ["inner"],
        "properties": {
            "kind": {"default": "a", "enum": ["a", "b"]},
            "inner": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["title", "n"],
                    "properties": {"title": {"type": "string"}, "n": {"type": ["integer", "null"]}},
                },
            },
            "text": {"type": "string"},
            "is_loud": {"type": "boolean"},
        },
    }


def test_a_wrong_value_is_an_error_that_names_the_argument() -> None:
    with pytest.raises(ToolError, match=r"^as_of: .*ISO-8601.*\(got 'yesterday'\)$"):
        checked(wire.RecallRequest, query="x", as_of="yesterday")


def test_what_was_not_given_stays_unset() -> None:
    assert checked(wire.RecallRequest, query="x", project=None).model_fields_set == {"query"}


@pytest.mark.parametrize(
    ("field", "message", "said"),
    [
        ("body[0].content", "is empty", "content: is empty; write something"),
        ("body.project", "no project is called 'x'", "project: no project is called 'x'; write something"),
        (None, "the disk is full", "the disk is full; write something"),
    ],
)
def test_what_the_daemon_refuses_is_said_with_the_argument_and_the_hint(
    field: str | None, message: str, said: str
) -> None:
    body = wire.ErrorOut(
        error=wire.ErrorBody(code="invalid_field", message=message, field=field, hint="write something")
    )
    assert refusal(error_of(422, body.model_dump_json().encode())) == said
