"""Edits of other programs' settings keep every byte that is not ours."""

from __future__ import annotations

import json

import json5
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from penchant_daemon import jsonc

ENTRY: JsonValue = {"command": "/usr/bin/penchant", "args": ["mcp"]}
PATH = ("mcpServers", "penchant")

COMMENTED = """\
// my settings
{
    /* theme */ "theme": "dark", // keep it dark
    "mcpServers": {
        "other": { "command": "x" }, // note about other
    },
    "list": [1, 2, 3], // the end
}
"""

FILES = {
    "comments and trailing commas": COMMENTED,
    "tabs and CRLF": '{\r\n\t"a": 1,\r\n\t"mcpServers": {\r\n\t\t"x": {}\r\n\t}\r\n}\r\n',
    "a byte order mark": '\ufeff{\n  "a": 1\n}\n',
    "one line": '{"a": 1, "mcpServers": {"x": {"command": "y"}}}',
    "spaces inside one line": '{ "a": 1 }',
    "no newline at the end": '{\n  "a": "}{"\n}',
    "a comment as last thing": '{\n  "a": 1 // , }\n  /* and "b": 2 */\n}\n',
    "an empty object": "{}",
    "strings with escapes": '{\n  "a\\"b": "\\u007d \\\\",\n  "ä": "ö"\n}\n',
}


@pytest.mark.parametrize("name", FILES)
def test_an_added_entry_reads_back_and_removing_it_restores_every_byte(name: str) -> None:
    text = FILES[name]
    added = jsonc.put(text, PATH, ENTRY)
    before = jsonc.parse(text)
    after = jsonc.parse(added)
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    servers = before.get("mcpServers", {})
    assert isinstance(servers, dict)
    assert after == {**before, "mcpServers": {**servers, "penchant": ENTRY}}
    assert json5.loads(added.lstrip("\ufeff")) == after
    assert jsonc.put(added, PATH, ENTRY) == added
    assert jsonc.remove(added, PATH) == text


def test_comments_and_indentation_stay_where_they_were() -> None:
    added = jsonc.put(COMMENTED, PATH, ENTRY)
    assert (
        added
        == """\
// my settings
{
    /* theme */ "theme": "dark", // keep it dark
    "mcpServers": {
        "other": { "command": "x" }, // note about other
        "penchant": {
            "command": "/usr/bin/penchant",
            "args": [
                "mcp"
            ]
        },
    },
    "list": [1, 2, 3], // the end
}
"""
    )


def test_an_existing_entry_is_replaced_in_its_place() -> None:
    text = '{\n  "mcpServers": {\n    "penchant": {"command": "/old"}, // mine\n    "z": 1\n  }\n}\n'
    changed = jsonc.put(text, PATH, "new")
    assert changed == '{\n  "mcpServers": {\n    "penchant": "new", // mine\n    "z": 1\n  }\n}\n'


def test_an_empty_file_becomes_an_object() -> None:
    assert json.loads(jsonc.put("", ("a",), 1)) == {"a": 1}
    assert jsonc.parse("  // nothing yet\n") == {}


def test_array_elements_are_added_and_removed_by_content() -> None:
    text = '{\n  "hooks": {\n    "Stop": [\n      {"mine": false}\n    ]\n  }\n}\n'
    added = jsonc.append(text, ("hooks", "Stop"), {"mine": True})
    assert jsonc.parse(added) == {"hooks": {"Stop": [{"mine": False}, {"mine": True}]}}
    assert jsonc.remove_where(added, ("hooks", "Stop"), lambda hook: hook == {"mine": True}) == text
    made = jsonc.append("{}", ("hooks", "Stop"), {"mine": True})
    assert jsonc.remove_where(made, ("hooks", "Stop"), lambda hook: True) == "{}"


def test_a_name_given_twice_is_removed_twice() -> None:
    assert jsonc.parse(jsonc.remove('{"a": 1, "p": 2, "p": 3}', ("p",))) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('{\n  "a": 1\n  "b": 2\n}', 3, 3),
        ('{"a": }', 1, 7),
        ('{"a": 1} x', 1, 10),
        ('{"a": "no end\n"}', 1, 7),
        ('{"a": 1', 1, 8),
        ("{a: 1}", 1, 2),
        ("[" * 5000, 1, 202),
        ('{"a": 01}', 1, 8),
    ],
)
def test_broken_text_is_refused_with_line_and_column(text: str, line: int, column: int) -> None:
    with pytest.raises(jsonc.BrokenJson, match=f"line {line}, column {column}"):
        jsonc.put(text, PATH, ENTRY)


def test_something_that_is_no_object_is_refused() -> None:
    with pytest.raises(jsonc.BrokenJson, match="mcpServers is not an object"):
        jsonc.put('{"mcpServers": []}', PATH, ENTRY)
    with pytest.raises(jsonc.BrokenJson, match="the file is not an object"):
        jsonc.put("[]", PATH, ENTRY)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(st.text(max_size=4), values, max_size=4)


@settings(max_examples=150, deadline=None)
@given(
    document=objects,
    key=st.text(max_size=4),
    value=values,
    layout=st.sampled_from([{}, {"indent": 2}, {"indent": 4}, {"indent": "\t"}, {"separators": (",", ":")}]),
)
def test_any_document_keeps_its_other_members(
    document: dict[str, JsonValue], key: str, value: JsonValue, layout: dict[str, int]
) -> None:
    text = json.dumps(document, ensure_ascii=False, **layout)  # type: ignore[arg-type]
    changed = jsonc.put(text, (key,), value)
    assert json.loads(changed) == {**document, key: value}
    assert json.loads(jsonc.remove(changed, (key,))) == {k: v for k, v in document.items() if k != key}
    if key not in document:
        assert jsonc.remove(changed, (key,)) == text
