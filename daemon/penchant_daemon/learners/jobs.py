"""Takes background jobs from the database, one at a time, within the daemon's caps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from penchant_daemon.logs import logger
from penchant_daemon.pace import CpuShare
from penchant_store import Job, Store, StoreError

__all__ = ["JobKind", "JobRunner"]

LOOK_S = 10.0
MAX_ATTEMPTS = 3  # as the store counts: a job that failed so often is not queued again by itself
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class JobKind:
    """
    One kind of job.

    :param queue: looks for what is due and queues it; blocking, run in a thread.
    :param run: does one job and says how much processor time it took, in seconds.
    :param give_up: told about a job that failed for the last time.
    """

    queue: Callable[[], int]
    run: Callable[[Job], Awaitable[float]]
    give_up: Callable[[Job], None]


class JobRunner:
    """
    An asyncio task that queues what is due and does it, until it is stopped. A job that a crash cut short is
    taken again after the next start.

    :param why_paused: says why background work waits, or None; asked before each job.
    :param cpu_share: of one core, 0 to 1.
    """

    def __init__(
        self,
        store: Store,
        kinds: Mapping[str, JobKind],
        *,
        why_paused: Callable[[], str | None] = lambda: None,
        cpu_share: float = 0.5,
    ) -> None:
        self._store = store
        self._kinds = dict(kinds)
        self._why_paused = why_paused
        self._cpu = CpuShare(cpu_share)
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Begins; call it on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name="jobs")

    async def stop(self) -> None:
        """Ends at once; the job in work stays queued."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def wake(self) -> None:
        """Says that something may be due; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run_due(self) -> int:
        """Queues and does all that is due now, without rests. Returns how many jobs were done."""
        n_done = 0
        for kind in self._kinds.values():
            await asyncio.to_thread(kind.queue)
        while (job := await asyncio.to_thread(self._store.next_job, list(self._kinds))) is not None:
            await self._do(job)
            n_done += 1
        return n_done

    async def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            self._wake.clear()
            try:
                worked = self._why_paused() is None and await self._round()
            except Exception:  # noqa: BLE001 (outermost loop: said in the log, and tried again)
                log.exception("jobs_failed", retry_s=retry_s)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, LAST_RETRY_S)
                continue
            retry_s = FIRST_RETRY_S
            if not worked:
                await self._wait()

    async def _round(self) -> bool:
        """One job. Returns whether there was one."""
        job = await asyncio.to_thread(self._store.next_job, list(self._kinds))
        if job is None:
            n_queued = 0
            for kind in self._kinds.values():
                n_queued += await asyncio.to_thread(kind.queue)
            return n_queued > 0
        await asyncio.sleep(self._cpu.spend(await self._do(job)))
        return True

    async def _do(self, job: Job) -> float:
        kind = self._kinds[job.kind]
        try:
            cpu_s = await kind.run(job)
        except (StoreError, OSError) as error:
            log.warning("job_failed", kind=job.kind, attempt=job.attempts, error=type(error).__name__)
            if job.attempts >= MAX_ATTEMPTS:
                kind.give_up(job)
            await self._finish(job, type(error).__name__)
            raise
        except Exception as error:
            log.exception("job_failed", kind=job.kind, attempt=job.attempts)
            if job.attempts >= MAX_ATTEMPTS:
                kind.give_up(job)
            await self._finish(job, type(error).__name__)
            return 0.0
        await self._finish(job, None)
        return cpu_s

    async def _finish(self, job: Job, error: str | None) -> None:
        await asyncio.wrap_future(self._store.finish_job(job.id, error))

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), LOOK_S)
        except TimeoutError:
            return
