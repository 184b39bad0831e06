"""Hard caps, held while the daemon runs: memory, disk, background CPU, battery.

A sampler looks every few seconds. Over the memory cap, what can be made again is dropped (caches, the
embedder) and background work pauses until it is under the cap again; at the disk cap, writes are refused
with the cap's name and recall goes on. Each state is a problem in `penchant status`.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from penchant_daemon import memory
from penchant_daemon.config import Limits as Caps
from penchant_daemon.errors import StorageFull
from penchant_daemon.logs import logger
from penchant_daemon.models.export import WEIGHTS_FILE
from penchant_daemon.wire import LimitOut, Problem

SAMPLE_S = 2.0
DISK_EVERY = 5  # samples: the files are walked every 10 s, and after each refused write
TRIM_EVERY = 15  # samples: memory that a burst of work left behind is handed back within half a minute
TRIM_STEP_BYTES = 16 * 1024 * 1024  # when this much has come since the last time
RESUME_AT = 0.9  # background work goes on below this share of the memory cap
STORED_BYTES_PER_CHAR = 10  # at most: the row, its words and trigrams, and all of it in the log before that
DISK_RESERVE_BYTES = 32 * 1024 * 1024  # left free on the disk, so that a commit never fails half-way
MB = 1_000_000

log = logger(__name__)


class Limits:
    """The caps of one daemon and how much of each is used.

    :param home: the data directory, whose size is capped.
    :param relieve: called (in the sampler's thread) when memory is over its cap: drop what can be made again.
    """

    def __init__(self, home: Path, caps: Caps, relieve: Callable[[], None] = lambda: None) -> None:
        self._home = home
        self._caps = caps
        self._relieve = relieve
        self._process = psutil.Process()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._samples = 0
        self._trimmed_bytes = 0
        self._written_bytes = 0  # at most, since the files were measured
        self.ram_bytes = 0
        self.disk_bytes = 0
        self.free_bytes = 0
        self.is_on_battery = False
        self.is_over_ram = False
        self.sample()

    def start(self) -> None:
        """Look every few seconds from now on."""
        self._thread = threading.Thread(target=self._run, name="limits", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the sampler."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def sample(self) -> None:
        """Measure now."""
        self.ram_bytes = self._process.memory_info().rss
        if self._samples % DISK_EVERY == 0:
            self._sample_disk()
            self.is_on_battery = _on_battery()
        self._samples += 1
        if self._samples % TRIM_EVERY == 0 and self.ram_bytes > self._trimmed_bytes + TRIM_STEP_BYTES:
            memory.trim()
            memory.forget_pages(WEIGHTS_FILE)
            self.ram_bytes = self._trimmed_bytes = self._process.memory_info().rss
        cap = self._caps.ram_daemon_mb * MB
        if self.ram_bytes > cap:
            if not self.is_over_ram:
                log.warning("ram_over_cap", used_mb=self.ram_bytes // MB, cap_mb=self._caps.ram_daemon_mb)
            self.is_over_ram = True
            self._relieve()
            memory.collect()
            self.ram_bytes = self._process.memory_info().rss
        elif self.is_over_ram and self.ram_bytes < cap * RESUME_AT:
            log.info("ram_under_cap", used_mb=self.ram_bytes // MB, cap_mb=self._caps.ram_daemon_mb)
            self.is_over_ram = False

    def check_write(self, n_chars: int = 0) -> None:
        """Refuse a write when the disk, or the cap on the data directory, is full.

        :param n_chars: of text that are about to be stored; near the cap the files are measured again at once.
        :raises StorageFull: with the cap, what is used, and how to get on.
        """
        self._written_bytes += n_chars * STORED_BYTES_PER_CHAR
        if self._full() is None:
            room = min(self._caps.disk_mb * MB - self.disk_bytes, self.free_bytes - DISK_RESERVE_BYTES)
            if self._written_bytes < room:
                return
        self._sample_disk()  # what was written meanwhile counts; and somebody may have made room
        message = self._full()
        if message is not None:
            raise StorageFull(message, hint=self._disk_hint())

    def may_work(self) -> bool:
        """Whether background work (indexing, titles) may go on now."""
        return self.why_paused() is None

    def why_paused(self) -> str | None:
        """Why background work waits; None when it does not."""
        if self.is_over_ram:
            return f"memory is over limits.ram_daemon_mb = {self._caps.ram_daemon_mb}"
        if self.is_on_battery and self._caps.pause_on_battery:
            return "the machine runs on its battery (limits.pause_on_battery)"
        if self._full() is not None:
            return "the disk is full"
        return None

    @property
    def background_cpu_share(self) -> float:
        """Share of one core for background work, 0.01 to 1."""
        return self._caps.background_cpu_percent / 100

    def usage(self) -> dict[str, LimitOut]:
        """What is used of each cap, for the status."""
        return {
            "ram_daemon": LimitOut(used=self.ram_bytes / MB, cap=self._caps.ram_daemon_mb, unit="MB"),
            "disk": LimitOut(used=self.disk_bytes / MB, cap=self._caps.disk_mb, unit="MB"),
        }

    def problems(self) -> list[Problem]:
        """Caps that are reached, each with what to do."""
        found = []
        if self.is_over_ram:
            message = f"{self.ram_bytes // MB} MB are over limits.ram_daemon_mb = {self._caps.ram_daemon_mb}"
            fix = "raise limits.ram_daemon_mb in config.toml, then penchant restart"
            found.append(Problem(part="ram", message=message + "; background work waits", fix=fix))
        full = self._full()
        if full is not None:
            found.append(Problem(part="disk", message=full, fix=self._disk_hint()))
        return found

    def _full(self) -> str | None:
        if self.disk_bytes >= self._caps.disk_mb * MB:
            return f"{self.disk_bytes / MB:.1f} MB are stored and limits.disk_mb is {self._caps.disk_mb}"
        if self.free_bytes < DISK_RESERVE_BYTES:
            free, kept = self.free_bytes // MB, DISK_RESERVE_BYTES // MB
            return f"the disk has {free} MB left; {kept} MB are kept free"
        return None

    def _disk_hint(self) -> str:
        if self.disk_bytes >= self._caps.disk_mb * MB:
            return "raise limits.disk_mb in config.toml and penchant restart, or penchant forget"
        return f"make room on the disk of {self._home}"

    def _sample_disk(self) -> None:
        self._written_bytes = 0
        self.disk_bytes = size_of(self._home)
        try:
            self.free_bytes = shutil.disk_usage(self._home).free
        except OSError:
            self.free_bytes = 0

    def _run(self) -> None:
        while not self._stopped.wait(SAMPLE_S):
            try:
                self.sample()
            except Exception:  # noqa: BLE001 (outermost loop of the thread: the next sample may succeed)
                log.exception("limits_sample_failed")
                time.sleep(SAMPLE_S)


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder; files that vanish meanwhile count as nothing."""
    total = 0
    pending = [os.fspath(folder)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total


def _on_battery() -> bool:
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return battery is not None and battery.power_plugged is False


__all__ = ["Limits", "size_of"]
