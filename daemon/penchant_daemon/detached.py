"""Work in a thread that nobody waits for when the process ends.

asyncio's own threads are joined at the end of the loop: a daemon that is told to stop while it compiles rules
or imports a package would first finish that.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def detached(work: Callable[[], T], name: str) -> T:
    """What `work` returns, done in a daemon thread of this name; cancelling leaves it to itself."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # T may itself be None

    def run() -> None:
        result: T | None = None
        caught: BaseException | None = None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 (handed to whoever awaits)
            caught = error
        try:
            loop.call_soon_threadsafe(settle, result, caught)
        except RuntimeError:
            return  # the loop has ended meanwhile

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done


__all__ = ["detached"]
