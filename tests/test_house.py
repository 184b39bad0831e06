"""The house rules that hold the packages apart: who may import what, what the wheel holds, what is public.

Imports are read from the source (also those inside functions and under `TYPE_CHECKING`), so that a rule
holds on paths that no test runs.
"""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {
    "penchant_store": ROOT / "store" / "penchant_store",
    "penchant_ranker": ROOT / "ranker" / "penchant_ranker",
    "penchant_daemon": ROOT / "daemon" / "penchant_daemon",
    "penchant_mcp_server": ROOT / "mcp_server" / "penchant_mcp_server",
}

# package -> what it may import of the others (None: everything of that package)
ALLOWED: dict[str, dict[str, tuple[str, ...] | None]] = {
    "penchant_store": {},
    "penchant_ranker": {},
    "penchant_daemon": {"penchant_store": None, "penchant_ranker": None},
    "penchant_mcp_server": {"penchant_daemon": ("penchant_daemon.client", "penchant_daemon.wire")},
}

# library -> the only places (module prefixes) that may import it, wherever in the file the import stands
PLACES: dict[str, tuple[str, ...]] = {
    # The driver is the store's; the transcript readers open other programs' databases, read-only, and plain FTS5 is
    # what evaluations compare with, in RAM.
    "sqlcipher3": (
        "penchant_store",
        "penchant_daemon.capture.transcripts",
        "penchant_daemon.evaluation.baselines",
    ),
    "sqlite_utils": ("penchant_store",),
    "sqlite3": (),
    # torch is imported once, in the process that exports a model; the daemon runs onnxruntime.
    "torch": ("penchant_daemon.models",),
    "transformers": ("penchant_daemon.models",),
    "sentence_transformers": ("penchant_daemon.models",),
    "onnxruntime": ("penchant_daemon.models",),
    "tokenizers": ("penchant_daemon.models",),
    "huggingface_hub": ("penchant_daemon.models",),
    "llama_cpp": ("penchant_daemon.models.worker",),
    # Importing it takes 0.3 s and 47 MB: it trains trees, and what it learned is read without it.
    "lightgbm": ("penchant_ranker.learn_trees",),
    # Importing the SDK takes 0.7 s and 55 MB.
    "mcp": ("penchant_mcp_server",),
    "pickle": (),
    "marshal": (),
}

# The ranker is pure: arrays in, scores out. The time and the random generator are arguments.
IMPURE = frozenset(
    (
        "asyncio",
        "http",
        "logging",
        "os",
        "random",
        "shutil",
        "socket",
        "subprocess",
        "tempfile",
        "time",
        "urllib",
    )
)

# Started by assistants many times an hour: only the standard library, and of that nothing slow.
LIGHT = (
    "penchant_daemon.entry",
    "penchant_daemon.hook",
    "penchant_daemon.hook_delivery",
    "penchant_daemon.forward",
    "penchant_daemon.home",
)
HEAVY = ("pydantic", "click", "numpy", "httpx2", "fastapi", "mcp", "rich", "ssl", "asyncio", "email", "torch")

# Importing the daemon's own application must not pull these in.
NEVER_IN_DAEMON = (
    "torch",
    "transformers",
    "sentence_transformers",
    "llama_cpp",
    "lightgbm",
    "mcp.server",
    "sqlite3",
)


def modules(package: str) -> Iterator[tuple[str, Path]]:
    """Each module of a package with its dotted name."""
    source = SOURCES[package]
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@cache
def imports(path: Path, module: str) -> tuple[tuple[int, str], ...]:
    """(line, dotted name) of each import; `from a import b` gives `a.b`, relative ones are resolved."""
    found: list[tuple[int, str]] = []
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            found += [(node.lineno, ".".join([*base, alias.name])) for alias in node.names]
    return tuple(found)


def all_imports() -> Iterator[tuple[str, str, str]]:
    """(importing module, `file:line`, imported name) over the four packages."""
    for package in SOURCES:
        for module, path in modules(package):
            for line, name in imports(path, module):
                yield module, f"{path.relative_to(ROOT)}:{line}", name


def is_within(name: str, place: str) -> bool:
    return name == place or name.startswith(place + ".")


def test_imports_between_the_packages_point_one_way() -> None:
    wrong = []
    for module, where, name in all_imports():
        own, target = module.split(".")[0], name.split(".")[0]
        if target not in SOURCES or target == own:
            continue
        allowed = ALLOWED[own]
        parts = allowed.get(target, ())
        if target not in allowed or (parts is not None and not any(is_within(name, part) for part in parts)):
            wrong.append(f"{where}: {own} must not import {name}")
    assert wrong == []


def test_a_library_is_imported_only_where_it_belongs() -> None:
    wrong = []
    for module, where, name in all_imports():
        library = name.split(".")[0]
        places = PLACES.get(library)
        if places is not None and not any(is_within(module, place) for place in places):
            wrong.append(f"{where}: {library} belongs in {', '.join(places) or 'no module'}")
    assert wrong == []


def test_the_ranker_is_pure() -> None:
    wrong = [
        f"{where}: the ranker must not import {name}"
        for module, where, name in all_imports()
        if is_within(module, "penchant_ranker") and name.split(".")[0] in IMPURE
    ]
    assert wrong == []


def loaded_by(statement: str) -> set[str]:
    """The modules that are loaded in a fresh interpreter after a statement."""
    script = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env=dict(os.environ)
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


@pytest.mark.parametrize("module", LIGHT)
def test_what_assistants_start_again_and_again_imports_nothing_heavy(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert sorted(name for name in HEAVY if name in loaded) == []


def test_the_daemon_runs_without_torch_and_loads_the_mcp_sdk_late() -> None:
    loaded = loaded_by("import penchant_daemon.app, penchant_daemon.server, penchant_daemon.service")
    assert sorted(name for name in NEVER_IN_DAEMON if name in loaded) == []


@pytest.mark.parametrize("package", SOURCES)
def test_public_names_are_those_in_all(package: str) -> None:
    module = importlib.import_module(package)
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }
    assert set(getattr(module, "__all__", ())) == public


@pytest.mark.parametrize("package", SOURCES)
def test_every_name_in_all_of_every_module_exists(package: str) -> None:
    missing = []
    for name, path in modules(package):
        if "__all__" in path.read_text("utf-8"):
            module = importlib.import_module(name)
            missing += [f"{name}.{public}" for public in module.__all__ if not hasattr(module, public)]
    assert missing == []


@pytest.mark.parametrize("package", SOURCES)
def test_each_package_says_what_it_owns_in_fifteen_lines(package: str) -> None:
    readme = SOURCES[package].parent / "README.md"
    assert readme.is_file()
    lines = readme.read_text("utf-8").splitlines()
    assert len(lines) <= 15
    text = "\n".join(lines).lower()
    assert "owns" in text
    assert "must not know" in text


@pytest.mark.parametrize("package", SOURCES)
def test_each_package_names_its_modules(package: str) -> None:
    text = (SOURCES[package].parent / "README.md").read_text("utf-8")
    modules = [path.stem for path in SOURCES[package].glob("*.py") if path.stem != "__init__"]
    assert [name for name in modules if f"`{name}`" not in text] == []


def test_the_wheel_holds_the_four_packages_and_nothing_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    result = subprocess.run(build, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(SOURCES)
    assert len(tops) == len(SOURCES) + 1
    # A package without its data is broken in a way that an editable install never shows.
    for package, source in SOURCES.items():
        expected = {
            f"{package}/{path.relative_to(source).as_posix()}"
            for path in source.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert expected - set(names) == set()
    assert not [name for name in names if "test" in name.split("/")[-1].split("_")]
