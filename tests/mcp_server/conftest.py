"""A real daemon, and assistants as real processes that talk to it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Implementation

from penchant_daemon import lifecycle
from penchant_daemon.client import Client
from penchant_daemon.home import socket_path

# Derived model files, checked by hash at each use: made once for all tests rather than for each fresh HOME.
CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
COMMAND = (sys.executable, "-m", "penchant_daemon.entry", "mcp")
PATIENCE_S = 30.0  # for a machine that is busy with other tests; nothing waits this long when it works

Json = dict[str, Any]


def environment(home: Path) -> dict[str, str]:
    """What an assistant hands its servers, with a data directory of ours."""
    return {**os.environ, "HOME": str(home / "person"), "PENCHANT_HOME": str(home), "XDG_CACHE_HOME": CACHE}


def _fresh_home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="pm-", dir="/tmp"))
    (home / "person").mkdir()
    home.chmod(0o700)
    # Titles of all sessions that tests log would cost more processor time than what is tested.
    (home / "config.toml").write_text('[models]\nlanguage_model = ""\n')
    (home / "config.toml").chmod(0o600)
    return home


@pytest.fixture(scope="session")
def daemon() -> Iterator[Path]:
    """The data directory of a daemon that runs for all tests of this folder."""
    home = _fresh_home()
    lifecycle.start(home, timeout_s=PATIENCE_S, env=environment(home))
    yield home
    lifecycle.stop(home)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def home() -> Iterator[Path]:
    """A data directory of its own, without a daemon; one that is started there ends with the test."""
    home = _fresh_home()
    yield home
    lifecycle.stop(home)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def api(daemon: Path) -> Iterator[Client]:
    """The daemon's own client, to see what the tools did."""
    with Client(daemon, agent="test", autostart=False) as client:
        yield client


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def connected(home: Path, mode: str = "auto", name: str = "some-assistant") -> AsyncIterator[McpClient]:
    """The SDK's client over streamable HTTP on the daemon's Unix socket."""
    transport = httpx2.AsyncHTTPTransport(uds=str(socket_path(home)))
    async with httpx2.AsyncClient(transport=transport, timeout=PATIENCE_S) as http:
        streams = streamable_http_client("http://localhost/mcp", http_client=http)
        async with McpClient(
            streams, mode=mode, client_info=Implementation(name=name, version="1")
        ) as client:
            yield client


class Host:
    """An assistant: it starts `penchant mcp` and talks to it in lines of JSON-RPC."""

    def __init__(self, home: Path, **pipes: Any) -> None:
        self.process = subprocess.Popen(
            COMMAND,
            env=environment(home),
            **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **pipes},
        )
        self._pending = b""

    def write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def send(self, method: str, params: Json | None = None, id: object = None) -> None:
        message: Json = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        if id is not None:
            message["id"] = id
        self.write(json.dumps(message).encode())

    def read(self) -> Json:
        """The next line that the process writes."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE_S
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(left, 0))
            assert ready, "nothing was written"
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            assert data, "the process ended"
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        message: Json = json.loads(line)
        return message

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing is written for this long."""
        assert self.process.stdout is not None
        return not self._pending and not select.select([self.process.stdout], [], [], seconds)[0]

    def ask(self, method: str, params: Json | None = None, id: object = 1) -> Json:
        self.send(method, params, id)
        return self.read()

    def initialize(self, version: str = "2025-11-25", name: str = "some-assistant") -> Json:
        answer = self.ask("initialize", hello(version, name), id="hello")
        self.send("notifications/initialized")
        return answer

    def close(self) -> int:
        """End the pipe as an assistant does when it leaves."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def start_host() -> Iterator[Callable[..., Host]]:
    """Starts assistants; those that still run are killed after the test."""
    hosts: list[Host] = []

    def start(home: Path, **pipes: Any) -> Host:
        hosts.append(Host(home, **pipes))
        return hosts[-1]

    yield start
    for host in hosts:
        if host.process.poll() is None:
            host.process.send_signal(signal.SIGKILL)
        host.process.wait()
        for pipe in (host.process.stdin, host.process.stdout, host.process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what was not read any more
                    pipe.close()


def hello(version: str, name: str = "some-assistant") -> Json:
    """Parameters of `initialize`."""
    return {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": name, "version": "1"}}


def enveloped(params: Json | None = None, name: str = "some-assistant") -> Json:
    """Parameters of a self-contained request (revision 2026-07-28)."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": name, "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return {**(params or {}), "_meta": meta}


def has_ended(pid: int) -> bool:
    """Whether a process ends within the time that a busy machine may need."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], PATIENCE_S)[0])
    finally:
        os.close(handle)
