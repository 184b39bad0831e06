"""Edits a JSON configuration file as text: comments, order, indentation and line ends of its owner stay.

Other programs' settings are JSON with comments and trailing commas, written by hand; some are megabytes.
An edit therefore parses only for positions and replaces the span of one member. What can be added can be
removed again, and the bytes are then those from before (an object that was empty is `{}` again).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

__all__ = ["BrokenJson", "Path", "append", "parse", "put", "remove", "remove_where"]

Path = tuple[str, ...]

_TRIVIA = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}
_MAX_DEPTH = 200  # far beyond any settings file, far below the interpreter's recursion limit


class BrokenJson(ValueError):
    """The text is not JSON (comments and trailing commas are fine); says where."""

    def __init__(self, message: str, text: str, offset: int) -> None:
        self.line = text.count("\n", 0, offset) + 1
        self.column = offset - (text.rfind("\n", 0, offset) + 1) + 1
        super().__init__(f"line {self.line}, column {self.column}: {message}")


@dataclass(frozen=True, slots=True)
class _Item:
    """A member of an object (with its key) or an element of an array, from `start` to `node.end`."""

    key: str | None
    start: int
    node: _Node


@dataclass(frozen=True, slots=True)
class _Node:
    """A value and where it stands; `items` is filled for objects and arrays."""

    start: int
    end: int
    value: JsonValue
    items: tuple[_Item, ...] = ()
    has_trailing_comma: bool = False


def parse(text: str) -> JsonValue:
    """The value of a JSON text with comments and trailing commas; an empty text is an empty object.

    :raises BrokenJson: with line and column.
    """
    return _read(text).value


def put(text: str, path: Path, value: JsonValue) -> str:
    """The text with the member at `path` set; objects on the way are made when missing.

    :raises BrokenJson: when the text is no JSON, or something on the way is not an object.
    """
    text = text if text.strip("\ufeff \t\r\n") else text + "{}\n"
    container = _read(text)
    for depth, key in enumerate(path):
        if not isinstance(container.value, dict):
            where = ".".join(path[:depth]) or "the file"
            raise BrokenJson(f"{where} is not an object", text, container.start)
        item = _member(container, key)
        if item is None:
            rest: JsonValue = value
            for missing in reversed(path[depth + 1 :]):
                rest = {missing: rest}
            return _insert(text, container, key, rest)
        container = item.node
    if container.value == value:
        return text
    written = _dump(text, value, _indent_at(text, container.start))
    return text[: container.start] + written + text[container.end :]


def append(text: str, path: Path, value: JsonValue) -> str:
    """The text with an element added to the array at `path`, which is made when missing."""
    found = _find(text, path)
    if found is None:
        return put(text, path, [value])
    if not isinstance(found.value, list):
        raise BrokenJson(f"{'.'.join(path)} is not an array", text, found.start)
    return _insert(text, found, None, value)


def remove(text: str, path: Path) -> str:
    """The text without the member at `path`, and without the objects and arrays that this empties."""
    for depth in range(len(path), 0, -1):
        container = _find(text, path[: depth - 1])
        if container is None or not isinstance(container.value, dict):
            return text
        index = next((i for i, item in enumerate(container.items) if item.key == path[depth - 1]), None)
        if index is None:
            return text
        if depth < len(path) and container.items[index].node.items:
            return text
        text = _delete(text, container, index)
        if depth == len(path) and _find(text, path) is not None:  # the same name a second time
            return remove(text, path)
    return text


def remove_where(text: str, path: Path, is_unwanted: Callable[[JsonValue], bool]) -> str:
    """The text without those elements of the array at `path`; an emptied array goes with its parents."""
    while True:
        array = _find(text, path)
        if array is None or not isinstance(array.value, list):
            return text
        index = next((i for i, item in enumerate(array.items) if is_unwanted(item.node.value)), None)
        if index is None:
            return text
        text = remove(text, path) if len(array.items) == 1 else _delete(text, array, index)


def _read(text: str) -> _Node:
    start = _skip(text, 0)
    if start == len(text):
        return _Node(start, start, {})
    node = _value(text, start, 0)
    end = _skip(text, node.end)
    if end != len(text):
        raise BrokenJson("text after the end of the value", text, end)
    return node


def _skip(text: str, at: int) -> int:
    match = _TRIVIA.match(text, at)
    return match.end() if match else at


def _value(text: str, at: int, depth: int) -> _Node:
    if at >= len(text):
        raise BrokenJson("the text ends where a value is expected", text, at)
    if depth > _MAX_DEPTH:
        raise BrokenJson(f"nested deeper than {_MAX_DEPTH}", text, at)
    if text[at] in "{[":
        return _container(text, at, depth)
    if text[at] == '"':
        string, end = _string(text, at)
        return _Node(at, end, string)
    number = _NUMBER.match(text, at)
    if number:
        return _Node(at, number.end(), json.loads(number.group()))
    for word, value in _WORDS.items():
        if text.startswith(word, at):
            return _Node(at, at + len(word), value)
    raise BrokenJson(f"unexpected {text[at]!r}", text, at)


def _string(text: str, at: int) -> tuple[str, int]:
    match = _STRING.match(text, at)
    if match is None:
        raise BrokenJson("a string that does not end, or holds a raw control character", text, at)
    return str(json.loads(match.group())), match.end()


def _container(text: str, start: int, depth: int) -> _Node:
    is_object = text[start] == "{"
    close = "}" if is_object else "]"
    items: list[_Item] = []
    has_comma = False
    at = _skip(text, start + 1)
    while not text.startswith(close, at):
        if items and not has_comma:
            raise BrokenJson(f"expected ',' or '{close}'", text, at)
        item_start, key = at, None
        if is_object:
            if not text.startswith('"', at):
                raise BrokenJson("expected a member's name in double quotes", text, at)
            key, at = _string(text, at)
            at = _skip(text, at)
            if not text.startswith(":", at):
                raise BrokenJson("expected ':'", text, at)
            at = _skip(text, at + 1)
        node = _value(text, at, depth + 1)
        items.append(_Item(key, item_start, node))
        at = _skip(text, node.end)
        has_comma = text.startswith(",", at)
        if has_comma:
            at = _skip(text, at + 1)
    value: JsonValue = (
        {str(item.key): item.node.value for item in items}
        if is_object
        else [item.node.value for item in items]
    )
    return _Node(start, at + 1, value, tuple(items), has_comma)


def _member(container: _Node, key: str) -> _Item | None:
    """The last of that name, which is the one that every JSON reader uses."""
    return next((item for item in reversed(container.items) if item.key == key), None)


def _find(text: str, path: Path) -> _Node | None:
    node = _read(text)
    for key in path:
        item = _member(node, key)
        if item is None:
            return None
        node = item.node
    return node


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _indent_at(text: str, at: int) -> str:
    """The white space at the start of the line."""
    line = text[_line_start(text, at) : at].lstrip("\ufeff")
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str) -> str:
    """One step of indentation as this file uses it; two spaces when it shows none."""
    match = re.search(r"\{[^\S\n]*\r?\n([ \t]+)\S", text)
    return match.group(1) if match and _indent_at(text, match.start()) == "" else "  "


def _dump(text: str, value: JsonValue, indent: str) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = json.dumps(value, indent=_unit(text), ensure_ascii=False).split("\n")
    return (newline + indent).join(lines)


def _insert(text: str, container: _Node, key: str | None, value: JsonValue) -> str:
    """A new last item, on a line of its own unless the container is written on one line."""
    close = container.end - 1
    newline = "\r\n" if "\r\n" in text else "\n"
    name = f"{json.dumps(key, ensure_ascii=False)}: " if key is not None else ""
    if container.items:
        last = container.items[-1]
        if "\n" not in text[container.start : container.end]:
            between = text[last.node.end : close]
            kept, is_open = between.rstrip(), container.has_trailing_comma
            before, behind = ("", ",") if is_open else (",", "")
            item = f"{before} {name}{json.dumps(value, ensure_ascii=False)}{behind}"
            return text[: last.node.end] + kept + item + between[len(kept) :] + text[close:]
        head = text[: last.node.end] + ("" if container.has_trailing_comma else ",")
        trivia = text[last.node.end : close]
        first = container.items[0].start
        indent = _indent_at(text, first)
        if text[_line_start(text, first) : first].strip():  # the first item shares its line with the bracket
            indent = _indent_at(text, container.start) + _unit(text)
        tail = "," if container.has_trailing_comma else ""
    else:
        head, trivia, tail = text[: container.start + 1], text[container.start + 1 : close], ""
        indent = _indent_at(text, container.start) + _unit(text)
    body = newline + indent + name + _dump(text, value, indent) + tail
    kept = trivia.rstrip()
    closing = trivia[len(kept) :]
    if "\n" not in closing:
        closing = newline + _indent_at(text, container.start)
    return head + kept + body + closing + text[close:]


def _delete(text: str, container: _Node, index: int) -> str:
    """Without one item: its comma and, when nothing else stands there, its line go with it."""
    item = container.items[index]
    start, end = item.start, item.node.end
    after = _skip(text, end)
    if text.startswith(",", after):
        end = after + 1
    elif index:
        # The last item, without a comma of its own: the one before it loses its comma.
        previous = container.items[index - 1].node.end
        comma = _skip(text, previous)
        text = text[:comma] + text[comma + 1 :]
        start, end = start - 1, end - 1
    before = text[:start]
    head, tail = before.rstrip(" \t\r\n"), text[end:]
    if len(container.items) == 1 and head.endswith(("{", "[")) and tail.lstrip()[:1] in ("}", "]"):
        return head + tail.lstrip()
    if "\n" not in before[len(head) :]:
        return head + (tail.lstrip(" \t") if head.endswith(("{", "[")) else tail)
    if tail.split("\n", 1)[0].strip():  # something else on its line: that must not slip behind a comment
        return before + tail.lstrip(" \t")
    return head + tail
