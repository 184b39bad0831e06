"""Where Penchant keeps its data: the only place that reads `PENCHANT_HOME`.

Standard library only: the hook and the stdio forwarder import this and must start in milliseconds.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # type checkers take it for typing's, whose import would cost 3 ms
if TYPE_CHECKING:
    from pathlib import Path

SOCKET_NAME = "penchant.sock"
MAX_SOCKET_PATH_BYTES = 107  # sun_path holds 108 bytes with the closing NUL on Linux; macOS has 104


def home_text() -> str:
    """The data directory: `PENCHANT_HOME`, else the user's data directory as platformdirs names it.

    A text, for who cannot wait for pathlib's import.
    """
    set_by_user = os.environ.get("PENCHANT_HOME")
    if set_by_user:
        # Absolute, and no more than that: with a link in it `..` is not the folder above.
        return os.path.join(os.getcwd(), os.path.expanduser(set_by_user))  # noqa: PTH109, PTH111, PTH118
    own = os.path.expanduser("~")  # noqa: PTH111
    if sys.platform == "darwin":
        return f"{own}/Library/Application Support/penchant"
    if os.name == "nt":
        local = os.environ.get("LOCALAPPDATA")
        return f"{local or own + '/AppData/Local'}/penchant"
    xdg = os.environ.get("XDG_DATA_HOME", "")
    return f"{xdg if xdg.strip() else own + '/.local/share'}/penchant"


def home_dir() -> Path:
    """`home_text` as a path."""
    from pathlib import Path

    return Path(home_text())


def socket_path(home: Path) -> Path:
    """The Unix socket on which the daemon of this data directory listens."""
    return home / SOCKET_NAME
