"""For the daemon's tests: the exported embedder is made once for all of them, not once per test's own HOME."""

from __future__ import annotations

import os
from pathlib import Path

# Read before any test changes HOME. The cache holds derived model files only, checked by hash at each use.
os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
