"""A real daemon process for the daemon's tests: one per module, on a home of its own."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket as sockets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from penchant_daemon import lifecycle
from penchant_daemon.client import Client
from penchant_daemon.home import socket_path

# The exported embedder is made once for all tests, not once per test's own HOME. Read before any test changes
# HOME; the cache holds derived model files only, checked by hash at each use.
os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))


@dataclass(frozen=True)
class Daemon:
    """A running daemon: its data directory, its socket, a client of it, and the environment that it runs in."""

    home: Path
    socket: Path
    client: Client
    env: dict[str, str]

    @property
    def pid(self) -> int:
        """Its process id."""
        owner = lifecycle.owner(self.home)
        assert owner is not None, "the daemon is not running"
        return owner.pid

    def raw(self, sent: bytes, *, timeout_s: float = 10.0) -> bytes:
        """Send bytes on a connection of our own and return all that comes until the daemon closes it."""
        connection = self.connect(timeout_s)
        with connection:
            connection.sendall(sent)
            return b"".join(iter(lambda: connection.recv(65_536), b""))

    def connect(self, timeout_s: float = 10.0) -> sockets.socket:
        """A connection to it."""
        connection = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        connection.settimeout(timeout_s)
        connection.connect(str(self.socket))
        return connection

    def tool(self, name: str, arguments: Mapping[str, object]) -> str:
        """What an assistant gets when it calls a tool: one self-contained request to `/mcp`."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "some-assistant", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        params = {"name": name, "arguments": arguments, "_meta": meta}
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "tools/call",
            "mcp-name": name,
        }
        transport = httpx2.HTTPTransport(uds=str(self.socket))
        with httpx2.Client(transport=transport, base_url="http://localhost", timeout=30.0) as http:
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            answer = http.post("/mcp", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        text: str = answer.text
        return text

    def penchant(
        self, *arguments: str, stdin: str | None = None, timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run one command of the command line against this daemon's data directory."""
        return run_penchant(self.env, *arguments, stdin=stdin, timeout_s=timeout_s)


def run_penchant(
    env: dict[str, str],
    *arguments: str,
    stdin: str | None = None,
    timeout_s: float = 60.0,
    is_common_user: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run `penchant ARGUMENTS` in its own process.

    :param is_common_user: without root's power to read and write whatever it wants.
    """
    return subprocess.run(
        [sys.executable, "-m", "penchant_daemon.entry", *arguments],
        env=env,
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        preexec_fn=without_root_powers if is_common_user else None,
    )


def without_root_powers() -> None:
    """For `preexec_fn`: what is started then is held to the permissions of files, even by root."""
    if os.getuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: linux/capability.h
            assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP


def environment(folder: Path) -> dict[str, str]:
    """What a daemon of a test runs in: a home folder and a data directory of its own below `folder`."""
    (folder / "home").mkdir(exist_ok=True)
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("PENCHANT_", "XDG_DATA"))
    }
    return {**env, "HOME": str(folder / "home"), "PENCHANT_HOME": str(folder / "data")}


# Titles of all sessions that tests log would cost more processor time than what is tested.
WITHOUT_TITLES = '[models]\nlanguage_model = ""\n'


@contextmanager
def running_daemon(config: str = "", tcp_port: int | None = None) -> Iterator[Daemon]:
    """Start a daemon on a fresh home with this `config.toml`, and stop it at the end.

    :param config: without a table `models` there is no language model.
    """
    if "[models]" not in config:
        config = f"{config}\n{WITHOUT_TITLES}"
    # Short, because the path of a Unix socket ends at 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pd-", dir="/tmp"))
    env = environment(folder)
    home = folder / "data"
    home.mkdir(mode=0o700)
    (home / "config.toml").touch(mode=0o600)
    (home / "config.toml").write_text(config)
    try:
        assert lifecycle.start(home, env=env, timeout_s=30.0, tcp_port=tcp_port)
        with Client(home, agent="test", autostart=False) as client:
            yield Daemon(home=home, socket=socket_path(home), client=client, env=env)
    finally:
        lifecycle.stop(home)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One running daemon for all tests of a module."""
    with running_daemon() as running:
        yield running


@pytest.fixture
def start_daemon() -> Callable[..., AbstractContextManager[Daemon]]:
    """For tests that need a daemon of their own: `with start_daemon(config="...") as daemon:`."""
    return running_daemon


@pytest.fixture
def free_env() -> Iterator[dict[str, str]]:
    """An environment in which no daemon runs yet; one that a test started is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pd-", dir="/tmp"))
    env = environment(folder)
    yield env
    home = Path(env["PENCHANT_HOME"])
    if home.is_dir():
        lifecycle.stop(home)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def penchant() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line: `penchant(env, "status", "--json")`."""
    return run_penchant
