"""Shared by all tests: no test touches the person's own data, home folder or settings of their assistants."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before numpy loads: more BLAS threads than one make a search slower on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Every process that a test starts would compile all modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"

# The export of the packaged embedder takes 10 s and is the same for all tests: made once, checked by hash.
os.environ.setdefault("XDG_CACHE_HOME", str(ROOT / ".pytest_cache" / "models"))


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`HOME` and `PENCHANT_HOME` point into a fresh folder; a test that wants another sets it itself.

    The folder is short (`/tmp/pt-…`), because the path of a Unix socket ends at 107 bytes.
    """
    folder = Path(tempfile.mkdtemp(prefix="pt-", dir="/tmp"))
    (folder / "home").mkdir()
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("PENCHANT_HOME", str(folder / "data"))
    for name in (
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "CLAUDE_CONFIG_DIR",
        "CODEX_HOME",
        "COPILOT_HOME",
        "OPENCODE_DB",
    ):
        monkeypatch.delenv(name, raising=False)
    yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A fresh folder with a path short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="pt-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public evaluation data beside the repository; without it the test is skipped."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the evaluation data in {SHARED_DATA}, which is not part of the repository")
    return SHARED_DATA
