"""Where Penchant keeps its data: the only place that reads `PENCHANT_HOME`.

Standard library only: the hook and the stdio forwarder import this and must start in milliseconds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SOCKET_NAME = "penchant.sock"
MAX_SOCKET_PATH_BYTES = 107  # sun_path holds 108 bytes with the closing NUL on Linux; macOS has 104


def home_dir() -> Path:
    """The data directory: `PENCHANT_HOME`, else the user's data directory as platformdirs names it."""
    set_by_user = os.environ.get("PENCHANT_HOME")
    if set_by_user:
        return Path(set_by_user).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "penchant"
    if os.name == "nt":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "penchant"
    xdg = os.environ.get("XDG_DATA_HOME", "")
    return (Path(xdg) if xdg.strip() else Path.home() / ".local" / "share") / "penchant"


def socket_path(home: Path) -> Path:
    """The Unix socket on which the daemon of this data directory listens."""
    return home / SOCKET_NAME
