"""The caps of the config are held by the real daemon: memory, background work, battery, one of each process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.daemon.conftest import run_penchant

from penchant_daemon import lifecycle
from penchant_daemon.client import Client
from penchant_daemon.config import Limits as Caps
from penchant_daemon.limits import Limits
from penchant_daemon.models.catalogue import DEFAULT_LOCAL
from penchant_daemon.wire import EventIn, RecallRequest, StatusOut

if TYPE_CHECKING:
    from tests.daemon.conftest import Daemon

Start = Callable[..., AbstractContextManager["Daemon"]]


WITH_TITLES = f'[models]\nlanguage_model = "{DEFAULT_LOCAL}"\n'


def wait_for(claim: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.1)


def a_session(n: int) -> list[EventIn]:
    """A short session that has ended, so that it wants a title."""
    said = f"fix the login redirect loop of service number {n}, the user lands on the login page again"
    session = f"titled-{n}"
    return [
        EventIn(content=said, session=session),
        EventIn(kind="session_end", role="system", session=session),
    ]


def titles(daemon: Daemon) -> list[str]:
    return [each.title_source or "" for each in daemon.client.sessions(limit=200).sessions if each.title]


def test_a_daemon_over_its_memory_says_so_lets_go_of_its_model_and_rests(start_daemon: Start) -> None:
    with start_daemon(config="[limits]\nram_daemon_mb = 100\n") as daemon:
        daemon.client.log_events([EventIn(content="the ibis nests in the reeds " * 20, session="s")] * 3)
        daemon.client.recall(RecallRequest(query="where does the ibis nest"))

        def is_over(status: StatusOut) -> bool:
            return any(problem.part == "ram" for problem in status.problems)

        wait_for(lambda: is_over(daemon.client.status()))
        status = daemon.client.status()
        (problem,) = [problem for problem in status.problems if problem.part == "ram"]
        assert "limits.ram_daemon_mb = 100" in problem.message
        assert "config.toml" in (problem.fix or "")
        wait_for(lambda: daemon.client.status().index.state == "paused")
        assert "limits.ram_daemon_mb" in (daemon.client.status().index.detail or "")
        wait_for(lambda: daemon.client.status().models["embedder"].state == "idle")  # loaded when needed
        assert daemon.client.recall(RecallRequest(query="ibis reeds")).results


def test_a_worker_over_its_memory_is_ended_and_sessions_get_excerpts(start_daemon: Start) -> None:
    with start_daemon(config=f"[limits]\nram_worker_mb = 100\n{WITH_TITLES}") as daemon:
        daemon.client.log_events(a_session(1))
        wait_for(lambda: titles(daemon) == ["excerpt"])
        wait_for(lambda: any(problem.part == "worker" for problem in daemon.client.status().problems))
        (problem,) = [each for each in daemon.client.status().problems if each.part == "worker"]
        assert "limits.ram_worker_mb is 100" in problem.message


def test_background_work_keeps_to_its_share_of_one_core(start_daemon: Start) -> None:
    with start_daemon(config="[limits]\nbackground_cpu_percent = 5\n") as daemon:
        texts = [
            f"note {n}: " + f"the heron of lake {n} eats small fish in the morning " * 20 for n in range(400)
        ]
        daemon.client.log_events([EventIn(content=text, session="many") for text in texts])
        wait_for(lambda: daemon.client.status().index.done > 0)  # it works
        threading.Event().wait(2.0)  # what was saved up is spent
        process = psutil.Process(daemon.pid)

        def spent_s() -> float:
            return sum(thread.user_time + thread.system_time for thread in process.threads())

        before, started = spent_s(), time.monotonic()
        threading.Event().wait(6.0)
        share = (spent_s() - before) / (time.monotonic() - started)
        assert daemon.client.status().index.done < len(texts), "there was work left all the time"
        # 5 % of a core in the long run; one batch may fall into these seconds, and the daemon looks around.
        assert share < 0.25


def test_background_work_pauses_on_battery_unless_the_config_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    battery: dict[str, Any] = {"power_plugged": False}

    class Sensed:
        percent = 80

        @property
        def power_plugged(self) -> bool | None:
            plugged: bool | None = battery["power_plugged"]
            return plugged

    monkeypatch.setattr(psutil, "sensors_battery", Sensed, raising=False)
    roomy = Caps(ram_daemon_mb=100_000)  # the tests' own process is no daemon
    limits = Limits(tmp_path, roomy)
    assert "limits.pause_on_battery" in (limits.why_paused() or "")
    limits.check_write(100)  # what is said is logged all the same
    careless = roomy.model_copy(update={"pause_on_battery": False})
    assert Limits(tmp_path, careless).why_paused() is None
    for plugged in (True, None):  # None: the system does not know
        battery["power_plugged"] = plugged
        for _ in range(10):
            limits.sample()
        assert limits.why_paused() is None


def test_however_many_assistants_come_there_is_one_daemon_and_one_worker(free_env: dict[str, str]) -> None:
    home = Path(free_env["PENCHANT_HOME"])
    hello = (
        '{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25",'
        ' "capabilities": {}, "clientInfo": {"name": "assistant", "version": "1"}}}\n'
    )
    hosts = [
        subprocess.Popen(
            [sys.executable, "-m", "penchant_daemon.entry", "mcp"],
            env=free_env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for _ in range(20)
    ]  # fmt: skip
    try:
        for host in hosts:  # all at once, while no daemon runs
            assert host.stdin is not None
            host.stdin.write(hello)
            host.stdin.flush()
        for host in hosts:
            assert host.stdout is not None
            assert '"serverInfo"' in host.stdout.readline()
        owner = lifecycle.owner(home)
        assert owner is not None
        with Client(home, agent="test", autostart=False) as client:
            for n in range(6):
                client.log_events(a_session(n))
            most = 0

            def are_titled() -> bool:
                nonlocal most
                workers = [
                    child
                    for child in psutil.Process(owner.pid).children(recursive=True)
                    if "penchant_daemon.models.worker" in child.cmdline()
                ]
                most = max(most, len(workers))
                return sum(1 for each in client.sessions().sessions if each.title) == 6

            wait_for(are_titled)
        assert most == 1
        assert lifecycle.owner(home) == owner
        daemons = [
            process.pid
            for process in psutil.process_iter(["cmdline", "pid"])
            if "penchant_daemon.entry" in (process.info["cmdline"] or [])
            and "up" in (process.info["cmdline"] or [])
            and process.environ().get("PENCHANT_HOME") == str(home)
        ]
        assert daemons == [owner.pid]
    finally:
        for host in hosts:
            host.kill()
            host.communicate()
    assert run_penchant(free_env, "status").returncode == 0
