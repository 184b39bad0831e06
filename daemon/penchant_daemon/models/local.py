"""The daemon's side of the local language model: a child process that comes when needed and goes again."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from penchant_daemon.logs import logger
from penchant_daemon.models.errors import ModelError, ModelMissing, WorkerBusy, WorkerFailed
from penchant_daemon.models.files import check_sha256
from penchant_daemon.models.registry import Model, mending_command
from penchant_daemon.wire import ModelOut, Problem

__all__ = ["Completion", "Message", "Worker"]

Json = object
WorkerState = Literal["off", "starting", "running", "idle", "missing", "failed"]

ATTEMPTS = 3  # a job is tried anew twice when the process dies under it
START_TIMEOUT_S = 60.0
LOOK_S = 1.0  # how often memory and idleness are looked at
N_CONTEXT = 2048
N_THREADS = 1  # titles take 0.5 s with one thread, 0.3 s with two; nobody waits for them
_LINE_LIMIT = 4 * 1024 * 1024

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a prompt, put into the model's own chat template."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote, and the processor time that it took."""

    text: str
    cpu_s: float


class Worker:
    """
    The local model. Started by the first job, ended after `idle_s` without one, killed when it uses more than
    `ram_mb` or doesn't answer in time, started anew by the next job.

    :param find: the model to load; asked at each start, so that a model that is pulled later is found.
    :param ram_mb: most resident memory, in megabytes of 1,000,000 bytes.
    """

    def __init__(self, name: str, find: Callable[[], Model], *, ram_mb: int, idle_s: float) -> None:
        self._name = name
        self._find = find
        self._ram_bytes = ram_mb * 1_000_000
        self._idle_s = idle_s
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._used_at = 0.0
        self._last_id = 0
        self._killed_for: str | None = None
        self._reason = ""
        self._state: WorkerState = "off"
        self._error: ModelError | None = None
        self._checked: tuple[str, int, int] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while it lives."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def status(self) -> ModelOut:
        """The model and what its process does."""
        detail = self._error.message if self._error is not None else None
        if detail is None and self.pid is not None:
            detail = f"pid {self.pid}"
        return ModelOut(name=self._name, state=self._state, detail=detail)

    def problems(self) -> list[Problem]:
        """Why the model can't be used, when it can't."""
        if self._error is None:
            return []
        message = f"{self._error.message}; titles are excerpts"
        return [Problem(part="worker", message=message, fix=self._error.hint)]

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        stop: Sequence[str] = (),
        timeout_s: float = 60.0,
    ) -> Completion:
        """
        The model's answer, the same for the same messages (no sampling, fixed seed). One job at a time.

        :param stop: texts that end the answer.
        :raises ModelMissing: no model, or no llama-cpp-python.
        :raises ModelCorrupt: its file has another hash.
        :raises WorkerBusy: no answer within `timeout_s`; the process was killed.
        :raises WorkerFailed: it died three times over this job, or refused it.
        """
        request: dict[str, Json] = {
            "op": "complete",
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "max_tokens": max_tokens,
            "stop": list(stop),
        }
        return await self._job(request, timeout_s)

    async def ping(self, timeout_s: float = 60.0) -> None:
        """
        Makes sure that the process can be started and answers.

        :raises ModelError: as `complete`.
        """
        await self._job({"op": "ping"}, timeout_s)

    async def stop(self) -> None:
        """Ends the process, if one runs."""
        async with self._lock:
            await self._end("off")

    # ---- inside

    async def _job(self, request: dict[str, Json], timeout_s: float) -> Completion:
        async with self._lock:
            try:
                answer = await self._try(request, timeout_s)
            except ModelError as error:
                self._error = error
                self._state = "missing" if isinstance(error, ModelMissing) else "failed"
                raise
            self._error = None
            self._state = "idle"
        if "error" in answer:  # this request's fault: the process is well
            raise WorkerFailed(f"the local model refused a request: {answer['error']}")
        cpu_s = answer.get("cpu_s")
        return Completion(str(answer["text"]), float(cpu_s) if isinstance(cpu_s, (int, float)) else 0.0)

    async def _try(self, request: dict[str, Json], timeout_s: float) -> Mapping[str, Json]:
        reason = ""
        for attempt in range(1, ATTEMPTS + 1):
            self._killed_for = None
            process = await self._started()
            if process is None:  # it died while it was loading
                reason = self._reason
                log.warning("worker_died", attempt=attempt, reason=reason)
                continue
            self._state = "running"
            self._last_id += 1
            try:
                answer = await asyncio.wait_for(
                    self._ask(process, {"id": self._last_id, **request}), timeout_s
                )
            except TimeoutError as error:
                await self._end("failed")
                raise WorkerBusy(f"the local model did not answer within {timeout_s:.0f} s") from error
            except asyncio.CancelledError:
                await self._end("off")  # its answer would be taken for the next job's
                raise
            if answer is not None:
                self._used_at = time.monotonic()
                return answer
            await process.wait()
            reason = self._killed_for or _how_it_ended(process.returncode)
            log.warning("worker_died", attempt=attempt, reason=reason)
            await self._end("failed")
        raise WorkerFailed(f"the local model's process ended {ATTEMPTS} times over one job: {reason}")

    async def _ask(
        self, process: asyncio.subprocess.Process, request: Mapping[str, Json]
    ) -> Mapping[str, Json] | None:
        """The answer, or None when the process ended instead."""
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode("utf-8") + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
        except (ConnectionError, BrokenPipeError):
            return None
        if not line.endswith(b"\n"):
            return None
        answer: Mapping[str, Json] = json.loads(line)
        return answer if answer.get("id") == request["id"] else None

    async def _started(self) -> asyncio.subprocess.Process | None:
        """The process, ready for a job; None when it was ended from outside while it was loading."""
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self._end("off")
        if importlib.util.find_spec("llama_cpp") is None:
            raise ModelMissing("llama-cpp-python is not installed", "pip install llama-cpp-python")
        model = await asyncio.to_thread(self._checked_model)
        self._state = "starting"
        packages = str(Path(__file__).parents[2])
        path = os.pathsep.join(part for part in (packages, os.environ.get("PYTHONPATH", "")) if part)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "penchant_daemon.models.worker", str(model.path)),
            *("--context", str(N_CONTEXT), "--threads", str(N_THREADS), "--parent", str(os.getpid())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(N_THREADS)},
            limit=_LINE_LIMIT,
            start_new_session=True,  # Ctrl-C in the daemon's terminal is the daemon's
        )
        self._process = process
        self._watch = asyncio.create_task(self._watch_over(process))
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), START_TIMEOUT_S)
        except TimeoutError as error:
            await self._end("failed")
            raise WorkerBusy(f"the local model was not ready within {START_TIMEOUT_S:.0f} s") from error
        except asyncio.CancelledError:
            await self._end("off")
            raise
        if not line:
            await process.wait()
            self._reason = self._killed_for or _how_it_ended(process.returncode)
            await self._end("failed")
            return None
        ready = json.loads(line)
        if not ready["ready"]:
            await self._end("failed")
            raise WorkerFailed(str(ready["error"]), "penchant doctor")
        log.info("worker_started", pid=process.pid, model=model.name)
        self._used_at = time.monotonic()
        return process

    def _checked_model(self) -> Model:
        """The model, hashed when its file is new to us (0.3 s for 100 MB)."""
        model = self._find()
        stat = model.weights.stat()
        stamp = (str(model.weights), stat.st_size, stat.st_mtime_ns)
        if stamp != self._checked:
            check_sha256(model.weights, model.sha256, mending_command(model))
            self._checked = stamp
        return model

    async def _watch_over(self, process: asyncio.subprocess.Process) -> None:
        """Holds the caps on memory and idleness until the process ends."""
        look_s = min(LOOK_S, max(self._idle_s / 2, 0.05))
        while process.returncode is None:
            try:
                await asyncio.wait_for(asyncio.shield(process.wait()), look_s)
            except TimeoutError:
                pass
            else:
                return
            try:
                used = psutil.Process(process.pid).memory_info().rss
            except psutil.Error:
                continue
            if used > self._ram_bytes:
                cap = self._ram_bytes // 1_000_000
                self._killed_for = f"it used {used // 1_000_000} MB and limits.ram_worker_mb is {cap}"
                log.warning("worker_over_ram", used_mb=used // 1_000_000, cap_mb=cap)
                _kill(process)
            elif not self._lock.locked() and time.monotonic() - self._used_at > self._idle_s:
                log.info("worker_idle_ended", pid=process.pid)
                self._process, self._state = None, "off"
                _kill(process)  # it holds nothing that must be written
                await _closed(process)

    async def _end(self, state: WorkerState) -> None:
        process, self._process = self._process, None
        watch, self._watch = self._watch, None
        self._state = state
        if process is not None:
            if process.returncode is None:
                _kill(process)
            await _closed(process)
        if watch is not None:
            await watch  # ends with the process


async def _closed(process: asyncio.subprocess.Process) -> None:
    """Wait until a process has ended and its pipes are closed; nobody else may be reading from it."""
    assert process.stdin is not None and process.stdout is not None
    await process.wait()
    process.stdin.close()
    with contextlib.suppress(OSError):
        await process.stdin.wait_closed()
    await process.stdout.read()


def _kill(process: asyncio.subprocess.Process) -> None:
    try:
        process.kill()
    except ProcessLookupError:
        return


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
