"""`penchant`: where every process starts.

The hook and the stdio forwarder run at each prompt of each assistant, so they are dispatched before click,
pydantic or httpx2 are imported. The daemon sets its thread limits before numpy can load.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    :param argv: arguments without the program's name; None takes those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = arguments[0] if arguments else ""
    if verb == "hook" and "--help" not in arguments:
        from penchant_daemon import hook

        return hook.main(arguments[1:])
    if verb == "mcp" and "--help" not in arguments:
        from penchant_daemon import forward

        return forward.main(arguments[1:])
    # BLAS on two threads scans vectors 20 times slower on a busy machine than on one.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from penchant_daemon.cli import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
