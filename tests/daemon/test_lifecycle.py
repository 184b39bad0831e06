"""One daemon per data directory: started, found, stopped, and what it says when it cannot."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from penchant_daemon import lifecycle
from penchant_daemon.client import Client
from penchant_daemon.errors import HomeError, LockHeld
from penchant_daemon.home import MAX_SOCKET_PATH_BYTES, socket_path
from penchant_daemon.wire import EventIn, MemoryIn

if TYPE_CHECKING:
    from tests.daemon.conftest import Daemon

Start = Callable[..., AbstractContextManager["Daemon"]]
Run = Callable[..., subprocess.CompletedProcess[str]]


def test_asking_for_a_reached_state_succeeds(free_env: dict[str, str], penchant: Run) -> None:
    assert penchant(free_env, "down").stdout == "not running\n"
    first = penchant(free_env, "up")
    assert (first.returncode, first.stdout.split()[0]) == (0, "started")
    second = penchant(free_env, "up")
    assert second.returncode == 0
    assert second.stdout.startswith("already running (pid ")
    assert first.stdout.split(",")[0].split()[-1] == second.stdout.split(",")[0].split()[-1]
    down = penchant(free_env, "down")
    assert (down.returncode, down.stdout.split()[0]) == (0, "stopped")
    assert not socket_path(Path(free_env["PENCHANT_HOME"])).exists()


def test_second_daemon_says_who_has_the_directory(daemon: Daemon, penchant: Run) -> None:
    second = penchant(daemon.env, "up", "--foreground")
    assert second.returncode == lifecycle.EXIT_LOCK_HELD
    assert f"pid {daemon.pid}, since 20" in second.stderr
    assert daemon.client.status().pid == daemon.pid


def test_ten_clients_that_start_it_at_once_get_one_daemon(free_env: dict[str, str]) -> None:
    arguments = [sys.executable, "-m", "penchant_daemon.entry", "up"]
    starting = [
        subprocess.Popen(arguments, env=free_env, stdout=subprocess.PIPE, text=True) for _ in range(10)
    ]
    answers = [process.communicate(timeout=60)[0] for process in starting]
    assert [process.returncode for process in starting] == [0] * 10
    assert sum(answer.startswith("started") for answer in answers) == 1
    assert len({answer.partition("(")[2] for answer in answers}) == 1


def test_client_starts_the_daemon_when_none_runs(free_env: dict[str, str], penchant: Run) -> None:
    first = penchant(free_env, "remember", "the kettle is in the north kitchen")
    assert first.returncode == 0, first.stderr
    second = penchant(free_env, "recall", "where is the kettle", "--json")
    assert "north kitchen" in second.stdout


def test_daemon_that_died_without_a_word_is_replaced(free_env: dict[str, str], penchant: Run) -> None:
    home = Path(free_env["PENCHANT_HOME"])
    penchant(free_env, "up")
    owner = lifecycle.owner(home)
    assert owner is not None
    os.kill(owner.pid, signal.SIGKILL)
    _until(lambda: lifecycle.owner(home) is None)
    assert socket_path(home).exists()  # stale
    status = penchant(free_env, "status")
    assert (status.returncode, status.stdout.split()[:2]) == (3, ["not", "running,"])
    again = penchant(free_env, "up")
    assert again.stdout.startswith("started"), again.stderr
    assert penchant(free_env, "status").returncode == 0


def test_stale_socket_of_another_kind_is_replaced(free_env: dict[str, str], penchant: Run) -> None:
    home = Path(free_env["PENCHANT_HOME"])
    home.mkdir(mode=0o700)
    socket_path(home).write_text("not a socket")
    assert penchant(free_env, "up").stdout.startswith("started")
    assert penchant(free_env, "status").returncode == 0


# httpcore2 leaves the socket of a refused connection to the garbage collector, which Python warns of.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_writes_that_were_acknowledged_survive_a_stop_in_the_middle(
    start_daemon: Start, penchant: Run
) -> None:
    with start_daemon() as daemon:
        acknowledged: list[str] = []
        refused = threading.Event()

        def write(number: int) -> None:
            with Client(daemon.home, agent="writer", autostart=False) as client:
                for turn in range(10_000):
                    event = EventIn(content=f"writer {number} says {turn}", session=f"s{number}")
                    try:
                        acknowledged.append(client.log_events([event])[0].id)
                    except Exception:  # noqa: BLE001 (whatever the end looks like, it ends the writer)
                        refused.set()
                        return

        writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for writer in writers:
            writer.start()
        _until(lambda: len(acknowledged) > 100)
        before = time.monotonic()
        stopped = lifecycle.stop(daemon.home)
        assert time.monotonic() - before < 5.0
        assert stopped is not None
        assert not psutil.pid_exists(stopped.pid)
        for writer in writers:
            writer.join(10)
        assert refused.is_set()
        assert lifecycle.start(daemon.home, env=daemon.env)
        with Client(daemon.home, autostart=False) as client:
            stored = {
                event.id for number in range(4) for event in client.session(f"s{number}", limit=1_000).events
            }
        assert set(acknowledged) <= stored
    gc.collect()  # here, where the warning is let pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_within_five_seconds_whatever_hangs_on_it(
    start_daemon: Start, number: signal.Signals
) -> None:
    with start_daemon() as daemon:
        stream = daemon.connect()
        stream.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in stream.recv(65_536)
        half = daemon.connect()
        half.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
        idle = daemon.connect()
        daemon.client.remember([MemoryIn(content="said before the end")])
        before = time.monotonic()
        os.kill(daemon.pid, number)
        _until(lambda: lifecycle.owner(daemon.home) is None)
        assert time.monotonic() - before < 5.0
        text = b"".join(iter(lambda: stream.recv(65_536), b""))
        assert b"event: end" in text
        for connection in (stream, half, idle):
            connection.close()


def test_shutdown_by_route_answers_first(start_daemon: Start) -> None:
    with start_daemon() as daemon:
        pid = daemon.pid
        assert daemon.client.shutdown().pid == pid
        _until(lambda: lifecycle.owner(daemon.home) is None)


def test_home_with_wider_permissions_is_closed_and_said(free_env: dict[str, str], penchant: Run) -> None:
    home = Path(free_env["PENCHANT_HOME"])
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    assert penchant(free_env, "up").returncode == 0
    assert home.stat().st_mode & 0o777 == 0o700
    assert "were 0755, are 0700 now" in (home / "logs" / "daemon.log").read_text()


def test_home_that_is_a_file_is_refused(free_env: dict[str, str], penchant: Run) -> None:
    Path(free_env["PENCHANT_HOME"]).write_text("x")
    for verb in (["up"], ["up", "--foreground"], ["remember", "x"]):
        answer = penchant(free_env, *verb)
        assert answer.returncode == 2
        assert "is not a directory" in answer.stderr
        assert "Traceback" not in answer.stderr


def test_home_that_cannot_be_written_is_refused(free_env: dict[str, str], penchant: Run) -> None:
    # Root alone ignores permissions, but not even root makes folders in /sys.
    home = "/sys/penchant" if os.getuid() == 0 else str(Path(free_env["HOME"]) / "closed")
    if os.getuid() != 0:
        Path(home).mkdir(mode=0o500)
    answer = penchant({**free_env, "PENCHANT_HOME": home}, "up")
    assert answer.returncode == 2
    assert "cannot be" in answer.stderr
    assert "PENCHANT_HOME" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_path_too_long_for_a_socket_is_refused_with_both_numbers(
    free_env: dict[str, str], penchant: Run
) -> None:
    home = Path(free_env["PENCHANT_HOME"]) / ("long" * 30)
    answer = penchant({**free_env, "PENCHANT_HOME": str(home)}, "up")
    assert answer.returncode == 2
    assert f"at most {MAX_SOCKET_PATH_BYTES}" in answer.stderr
    assert str(len(str(socket_path(home)))) in answer.stderr
    assert not home.exists()


def test_wrong_config_is_said_when_it_does_not_start(free_env: dict[str, str], penchant: Run) -> None:
    home = Path(free_env["PENCHANT_HOME"])
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text("[limits]\nram_deamon_mb = 1\n")
    answer = penchant(free_env, "up")
    assert answer.returncode == 2
    assert "limits.ram_deamon_mb: there is no such setting" in answer.stderr


def test_port_that_is_taken_is_said(free_env: dict[str, str], penchant: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        answer = penchant(free_env, "up", "--tcp", port)
    assert answer.returncode == 2
    assert f"port {port} on 127.0.0.1 cannot be bound" in answer.stderr


def test_service_manager_is_told_when_it_is_ready(free_env: dict[str, str], penchant: Run) -> None:
    address = Path(free_env["HOME"]) / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(30)
        penchant({**free_env, "NOTIFY_SOCKET": str(address)}, "up")
        assert manager.recv(100) == b"READY=1"
        penchant(free_env, "down")
        assert manager.recv(100) == b"STOPPING=1"


def test_lock_says_its_owner_and_goes_with_it(short_path: Path) -> None:
    with lifecycle.Lock.acquire(short_path):
        owner = lifecycle.owner(short_path)
        assert owner is not None
        assert owner.pid == os.getpid()
        with pytest.raises(LockHeld) as caught:
            lifecycle.Lock.acquire(short_path)
        assert caught.value.pid == os.getpid()
    assert lifecycle.owner(short_path) is None
    with lifecycle.Lock.acquire(short_path):
        assert json.loads((short_path / lifecycle.LOCK_NAME).read_text())["pid"] == os.getpid()


def test_asking_who_owns_it_never_keeps_an_owner_out(short_path: Path) -> None:
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            lifecycle.owner(short_path)

    (short_path / lifecycle.LOCK_NAME).touch()
    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    try:
        for _ in range(50):
            with lifecycle.Lock.acquire(short_path):
                pass
    finally:
        stop.set()
        for thread in asking:
            thread.join()


def test_home_of_another_user_is_refused(short_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(short_path, 65_534, -1)
    with pytest.raises(HomeError, match="belongs to user 65534"):
        lifecycle.prepare_home(short_path)


def _until(is_reached: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_reached():
        assert time.monotonic() < deadline, "never reached"
        threading.Event().wait(0.01)
