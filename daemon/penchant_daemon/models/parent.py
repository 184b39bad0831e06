"""Children of the daemon that never outlive it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["die_with"]

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """
    The system kills this process when its parent dies, however that dies (Linux; elsewhere this does nothing).

    :param parent: the parent's process id; 0 when there is none to die with.
    """
    if sys.platform != "linux" or parent == 0:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(0)
