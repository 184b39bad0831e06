"""The worker with the real packaged model: it answers, and survives whatever happens to its process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from penchant_daemon.models import ModelCorrupt, ModelMissing, WorkerBusy, WorkerFailed
from penchant_daemon.models.catalogue import DEFAULT_LOCAL
from penchant_daemon.models.local import Message, Worker
from penchant_daemon.models.registry import Model, find_model

QUESTION = [Message("user", "Repeat this word: pytest")]  # small as it is, and on any processor


def run(test: Callable[[Worker], Awaitable[None]], *, ram_mb: int = 1500, idle_s: float = 60.0) -> None:
    """Runs the test with a worker, which is ended whatever happens."""

    async def body() -> None:
        worker = Worker(DEFAULT_LOCAL, packaged, ram_mb=ram_mb, idle_s=idle_s)
        try:
            await test(worker)
        finally:
            pid = worker.pid
            await worker.stop()
            assert pid is None or not psutil.pid_exists(pid)

    asyncio.run(body())


def packaged() -> Model:
    return find_model(DEFAULT_LOCAL, "local", Path("/nonexistent"))


def test_it_answers_the_same_each_time_and_runs_at_the_lowest_priority() -> None:
    async def test(worker: Worker) -> None:
        assert worker.pid is None
        first = await worker.complete(QUESTION, max_tokens=20)
        assert "pytest" in first.text
        assert first.cpu_s > 0
        pid = worker.pid
        assert pid is not None
        assert os.getpriority(os.PRIO_PROCESS, pid) == 19
        assert (await worker.complete(QUESTION, max_tokens=20)).text == first.text
        assert worker.pid == pid
        assert worker.status().state == "idle"
        assert worker.problems() == []

    run(test)


def test_killed_while_idle_it_starts_anew_with_the_next_job() -> None:
    async def test(worker: Worker) -> None:
        await worker.ping()
        first = worker.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await worker.ping()
        assert worker.pid not in (None, first)

    run(test)


def test_killed_over_its_job_the_job_is_done_by_the_next_process() -> None:
    async def test(worker: Worker) -> None:
        await worker.ping()
        first = worker.pid
        assert first is not None
        job = asyncio.create_task(
            worker.complete([Message("user", "Count from 1 to 1000, all of it.")], max_tokens=300)
        )
        while worker.status().state != "running":
            await asyncio.sleep(0)
        os.kill(first, signal.SIGKILL)
        done = await job
        assert done.text
        assert worker.pid != first

    run(test)


def test_killed_while_it_loads_the_job_is_done_by_the_next_process() -> None:
    async def test(worker: Worker) -> None:
        job = asyncio.create_task(worker.complete(QUESTION, max_tokens=20))
        while worker.pid is None:
            await asyncio.sleep(0)
        first = worker.pid
        os.kill(first, signal.SIGKILL)
        assert "pytest" in (await job).text
        assert worker.pid != first

    run(test)


def test_a_worker_over_its_memory_cap_is_ended_and_said_so() -> None:
    async def test(worker: Worker) -> None:
        with pytest.raises(WorkerFailed, match=r"limits\.ram_worker_mb is 50"):
            await worker.complete([Message("user", "Count from 1 to 1000, all of it.")], max_tokens=1500)
        assert worker.status().state == "failed"
        assert "excerpts" in worker.problems()[0].message

    run(test, ram_mb=50, idle_s=0.4)


def test_an_idle_worker_ends() -> None:
    async def test(worker: Worker) -> None:
        await worker.ping()
        assert worker.pid is not None
        process = psutil.Process(worker.pid)
        await asyncio.to_thread(process.wait, 20)
        assert worker.pid is None
        assert worker.status().state == "off"
        assert worker.problems() == []

    run(test, idle_s=0.2)


def test_an_answer_that_takes_too_long_ends_the_process() -> None:
    async def test(worker: Worker) -> None:
        await worker.ping()
        pid = worker.pid
        assert pid is not None
        with pytest.raises(WorkerBusy):
            await worker.complete([Message("user", "Count to 1000.")], max_tokens=1500, timeout_s=0.05)
        assert not psutil.pid_exists(pid)
        await worker.ping()

    run(test)


def test_a_prompt_over_the_models_context_is_refused_and_the_next_one_taken() -> None:
    async def test(worker: Worker) -> None:
        with pytest.raises(WorkerFailed, match="refused a request"):
            await worker.complete([Message("user", "word " * 5000)], max_tokens=10)
        pid = worker.pid
        await worker.ping()
        assert worker.pid == pid

    run(test)


def test_jobs_at_once_are_done_one_after_another() -> None:
    async def test(worker: Worker) -> None:
        done = await asyncio.gather(*(worker.complete(QUESTION, max_tokens=4) for _ in range(5)))
        assert len({each.text for each in done}) == 1

    run(test)


def test_it_dies_with_its_parent_however_that_dies() -> None:
    code = (
        "import asyncio, pathlib, time\n"
        "from penchant_daemon.models.local import Worker\n"
        "from penchant_daemon.models.registry import find_model\n"
        f"find = lambda: find_model({DEFAULT_LOCAL!r}, 'local', pathlib.Path('/nonexistent'))\n"
        "async def main():\n"
        f"    worker = Worker({DEFAULT_LOCAL!r}, find, ram_mb=1500, idle_s=600)\n"
        "    await worker.ping()\n"
        "    print(f'worker={worker.pid}', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    roots = [str(Path(__file__).parents[3] / folder) for folder in ("store", "ranker", "daemon")]
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {roots!r}\n" + code],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        said = next(line for line in parent.stdout if line.startswith("worker="))
        worker = psutil.Process(int(said.partition("=")[2]))
        parent.kill()
        worker.wait(10)
    assert not worker.is_running()


def test_a_model_that_is_not_here_is_said_with_what_to_do() -> None:
    def missing() -> Model:
        return find_model("someone/else", "local", Path("/nonexistent"))

    async def body() -> None:
        worker = Worker("someone/else", missing, ram_mb=1500, idle_s=60)
        with pytest.raises(ModelMissing):
            await worker.ping()
        assert worker.status().state == "missing"
        assert "penchant models pull" in (worker.problems()[0].fix or "")

    asyncio.run(body())


def test_a_model_file_with_another_hash_is_never_loaded(tmp_path: Path) -> None:
    fake = tmp_path / "model.gguf"
    fake.write_bytes(b"GGUF")

    async def body() -> None:
        model = replace(packaged(), path=fake, weights=fake)
        worker = Worker("fake", lambda: model, ram_mb=1500, idle_s=60)
        with pytest.raises(ModelCorrupt):
            await worker.ping()
        assert worker.pid is None

    asyncio.run(body())


def test_a_file_that_is_no_model_fails_with_a_message(tmp_path: Path) -> None:
    fake = tmp_path / "model.gguf"
    fake.write_bytes(b"GGUF" + b"\0" * 100)

    async def body() -> None:
        from penchant_daemon.models.files import sha256_of

        model = replace(packaged(), path=fake, weights=fake, sha256=sha256_of(fake))
        worker = Worker("fake", lambda: model, ram_mb=1500, idle_s=60)
        with pytest.raises(WorkerFailed, match="can't be loaded"):
            await worker.ping()
        assert worker.status().state == "failed"
        await worker.stop()

    asyncio.run(body())
