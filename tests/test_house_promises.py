"""What README, docs and `--help` promise exists: commands, options, routes, files and Make targets.

The pages are read for commands in code (fenced blocks and inline code); each is looked up in the
command's own `--help`. Routes are looked up in the `/openapi.json` of a running daemon.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx2
import pytest

from penchant_daemon import lifecycle
from penchant_daemon.config import reference
from penchant_daemon.home import socket_path

ROOT = Path(__file__).resolve().parent.parent
PENCHANT = Path(sys.executable).parent / "penchant"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/**/*.md"),
        *ROOT.glob("benchmarks/*.md"),
        *(ROOT / folder / "README.md" for folder in ("store", "ranker", "daemon", "mcp_server")),
    ]
)
CLI = ROOT / "daemon" / "penchant_daemon" / "cli"
NOT_VERBS = frozenset(("__init__", "output"))

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
ROUTE = re.compile(r"\b(GET|POST|PUT|DELETE|PATCH)\s+(/[\w/{}.\-]*)")
MAKE = re.compile(r"^(?:\$ )?make ([a-z]+)\b")


@dataclass(frozen=True, slots=True)
class Promise:
    """A command as a page shows it, and where."""

    page: str
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {' '.join(self.words)}"


def split(command: str) -> tuple[str, ...]:
    """The words of a command as a page writes it, less prompt, comment, pipe and brackets."""
    command = re.sub(r"\s+#.*$", "", command.strip().removeprefix("$ "))
    command = re.split(r"\s(?:\||&&|;|>|<)\s?|;", command)[0]
    command = re.sub(r"[\[\]…]|\.\.\.", " ", command)
    try:
        return tuple(shlex.split(command))
    except ValueError:  # an apostrophe in prose
        return tuple(command.split())


def snippets(text: str) -> Iterator[tuple[int, str]]:
    """(offset, line of code) of every fenced line and every inline code span."""
    blocked: list[tuple[int, int]] = []
    for block in FENCE.finditer(text):
        blocked.append(block.span())
        offset = block.start(2)
        for line in block.group(2).splitlines(keepends=True):
            yield offset, line.rstrip("\n")
            offset += len(line)
    for span in INLINE.finditer(text):
        if not any(start <= span.start() < end for start, end in blocked):
            yield span.start(1), span.group(1)


def promised_commands() -> Iterator[Promise]:
    for page in PAGES:
        text = page.read_text("utf-8")
        for offset, code in snippets(text):
            words = split(code)
            if len(words) > 1 and words[0] == "penchant":
                yield Promise(str(page.relative_to(ROOT)), text.count("\n", 0, offset) + 1, words[1:])


@cache
def help_of(*words: str) -> str | None:
    """What `penchant WORDS --help` prints; None when there is no such command."""
    result = subprocess.run(
        [str(PENCHANT), *words, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    return result.stdout if result.returncode == 0 else None


def listed(help_text: str) -> list[str]:
    """The verbs in the "Commands:" part of a help page."""
    _, _, commands = help_text.partition("Commands:\n")
    return re.findall(r"^  ([a-z][\w-]*)", commands, re.MULTILINE)


def verbs() -> list[str]:
    top = help_of()
    assert top is not None
    return listed(top)


def broken(words: tuple[str, ...]) -> str | None:
    """Why a command with its options does not exist; None when it does."""
    if words[0].startswith("-"):
        top = help_of() or ""
        return None if words[0] in re.findall(r"--?[\w-]+", top) else f"no option {words[0]}"
    if words[0] not in verbs():
        return f"no verb {words[0]}"
    path = [words[0]]
    page = help_of(*path)
    rest = list(words[1:])
    while page and "Commands:\n" in page and rest and not rest[0].startswith("-"):
        alternatives = [word for word in rest[0].split("|") if word in listed(page)]
        if len(alternatives) != len(rest[0].split("|")):
            return f"no command {rest[0]} under {' '.join(path)}"
        path.append(alternatives[0])
        rest = rest[1:]
        page = help_of(*path)
    if page is None:
        return f"{' '.join(path)} --help fails"
    known = set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", page)) | {"--help"}
    for word in rest:
        for option in word.split("|") if word.startswith("-") else ():
            option = option.split("=")[0].split("/")[0]
            if re.fullmatch(r"--?[A-Za-z][\w-]*", option) and option not in known:
                return f"no option {option}"
    return None


def test_every_command_in_readme_and_docs_exists_with_its_options() -> None:
    promises = list(promised_commands())
    assert len(promises) > 20, "the pages show fewer commands than the product has: the reader found nothing?"
    assert [f"{promise}: {why}" for promise in promises if (why := broken(promise.words))] == []


def test_every_verb_has_its_own_module_and_every_module_a_verb() -> None:
    modules = {path.stem for path in CLI.glob("*.py")} - NOT_VERBS
    from_modules = {name.rstrip("_").replace("_", "-") for name in modules}
    assert set(verbs()) == from_modules


def test_every_verb_explains_itself_and_its_options() -> None:
    unexplained = []
    for verb in verbs():
        page = help_of(verb)
        if page is None:
            unexplained.append(f"{verb}: --help fails")
            continue
        # A line that ends right after the option's name has no words on what the option does.
        lines = page.splitlines()
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            bare = re.fullmatch(r"  (--?[\w-]+)(?:, --?[\w-]+)*(?: [A-Z_|\[\]a-z]+)?", line)
            if bare and not following.startswith("   "):
                unexplained.append(f"{verb}: {line.strip()}")
    assert unexplained == []


def test_every_verb_is_in_the_command_page() -> None:
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert [verb for verb in verbs() if f"penchant {verb}" not in page] == []


def test_every_setting_is_in_the_configuration_page_with_its_default() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    rows = [f"| `{table}.{name}` | `{default}` | {effect} |" for table, name, default, effect in reference()]
    assert [row for row in rows if row not in page] == []


def test_every_make_target_that_a_page_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    wrong = []
    for page in PAGES:
        for _, code in snippets(page.read_text("utf-8")):
            target = MAKE.match(code)
            if target and target.group(1) not in targets:
                wrong.append(f"{page.relative_to(ROOT)}: make {target.group(1)}")
    assert wrong == []


def test_every_relative_link_leads_somewhere() -> None:
    wrong = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
            if (
                "://" not in target
                and not target.startswith("mailto:")
                and not (page.parent / target).exists()
            ):
                wrong.append(f"{page.relative_to(ROOT)}: {target}")
    assert wrong == []


@pytest.fixture(scope="module")
def routes() -> set[tuple[str, str]]:
    """(method, path) of every route that the daemon describes."""
    folder = Path(tempfile.mkdtemp(prefix="pt-", dir="/tmp"))
    home = folder / "data"
    lifecycle.start(home, timeout_s=60.0, env={**os.environ, "HOME": str(folder)})
    try:
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(socket_path(home)))) as client:
            described = client.get("http://localhost/openapi.json").json()
    finally:
        lifecycle.stop(home)
        shutil.rmtree(folder, ignore_errors=True)
    return {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}


def test_every_route_that_a_page_names_exists(routes: set[tuple[str, str]]) -> None:
    shapes = {(method, re.sub(r"\{[^}]*\}", "{}", path)) for method, path in routes}
    undescribed = {("GET", "/openapi.json"), ("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp")}
    wrong = []
    for page in PAGES:
        for method, path in ROUTE.findall(page.read_text("utf-8")):
            shape = re.sub(r"\{[^}]*\}", "{}", path.rstrip("."))
            if (method, shape) not in shapes | undescribed:
                wrong.append(f"{page.relative_to(ROOT)}: {method} {path}")
    assert wrong == []


def test_every_route_is_in_the_http_page(routes: set[tuple[str, str]]) -> None:
    page = (ROOT / "docs" / "http.md").read_text("utf-8")
    assert sorted(f"{method} {path}" for method, path in routes if f"{method} {path}" not in page) == []
