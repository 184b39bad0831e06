"""The daemon's composition root: which parts there are, how they are joined, and in which order they end.

A part that cannot work (a model is missing, a folder to watch is gone) never stops the daemon: it is a
problem in `penchant status`, with the command that mends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from penchant_daemon import __version__, config, lifecycle, logs, memory
from penchant_daemon.access import Gate
from penchant_daemon.bus import Bus
from penchant_daemon.capture.echo import EchoGuard
from penchant_daemon.capture.inject import ContextBuilder
from penchant_daemon.capture.intake import Intake
from penchant_daemon.capture.secrets import SecretMasker
from penchant_daemon.capture.watch import Watcher
from penchant_daemon.detached import detached
from penchant_daemon.errors import HomeError
from penchant_daemon.indexer import Indexer
from penchant_daemon.learners.jobs import JobKind, JobRunner
from penchant_daemon.learners.ranking import JOB_KIND as RANKING_JOB
from penchant_daemon.learners.ranking import RankingLearner
from penchant_daemon.learners.titles import JOB_KIND as TITLE_JOB
from penchant_daemon.learners.titles import TitleWriter
from penchant_daemon.learners.use import UseDetector
from penchant_daemon.limits import Limits
from penchant_daemon.models import open_embedder
from penchant_daemon.models.local import Worker
from penchant_daemon.models.open import onnx_cache_dir
from penchant_daemon.models.registry import find_model
from penchant_daemon.mounts import Mounts
from penchant_daemon.rankers import Rankers
from penchant_daemon.recall import Recall
from penchant_daemon.relevances import Relevances
from penchant_daemon.server import Routes, create_app
from penchant_daemon.service import Parts, Service
from penchant_daemon.serving import HttpServer
from penchant_daemon.wire import ModelOut, Problem
from penchant_store import Store, StoreError

STOP_DEADLINE_S = 4.7  # the promise is 5 s: what is acknowledged is on disk long before
N_OPEN_FILES = 8_192
FIRST_QUESTION_S = 0.3  # a client that started the daemon asks within this time
FIRST_QUESTION_WAIT_S = 5.0
MOUNT_AFTER_S = 10.0
SPOOL_EVERY_S = 15.0
WAKE_AFTER_S = 0.05  # a stream of single events is indexed twenty times a second, not six hundred times

log = logs.logger(__name__)


class Daemon:
    """All parts of one running daemon.

    :param home: its data directory, locked by the caller.
    :param settings: what `config.toml` says.
    :param tcp_port: the port that it listens on besides the socket, for the status.
    """

    def __init__(self, home: Path, settings: config.Config, tcp_port: int | None = None) -> None:
        self.home = home
        self.bus = Bus()
        try:
            self.store = Store.open(home)
        except StoreError as error:
            raise HomeError(f"the store in {home} cannot be opened: {error}", "penchant doctor") from error
        self.limits = Limits(home, settings.limits, relieve=self._relieve)
        self.secrets = SecretMasker(_rules_cache(home), enabled=settings.capture.mask_secrets)
        self.echo = EchoGuard(self.store)
        self.intake = Intake(self.store, self.secrets, self.echo, self.bus, home=home)
        self.indexer = Indexer(
            self.store,
            home,
            settings.models.embedder,
            lambda name: open_embedder(settings, home, name=name),
            why_paused=self.limits.why_paused,
            cpu_share=self.limits.background_cpu_share,
        )
        self.rankers = Rankers(self.store, home)
        self.relevances = Relevances(home)
        self.recall = Recall(
            self.store,
            self.indexer.embedder,
            without_secrets=self.intake.without_secrets,
            rankers=self.rankers if settings.ranker.learn else None,
            relevances=self.relevances if settings.ranker.learn else None,
            min_relevance=settings.recall.min_relevance,
        )
        self.watcher = Watcher(self.store, self.intake, environ=os.environ, user_home=Path.home())
        model_name = settings.models.language_model
        self.worker = Worker(
            model_name,
            lambda: find_model(model_name, "local", home),
            ram_mb=settings.limits.ram_worker_mb,
            idle_s=settings.models.idle_s,
        )
        titles = TitleWriter(
            self.store,
            self.worker if model_name else None,
            clock=time.time,
            told=lambda session: self.bus.publish("learned", session=session, count=1, detail="title"),
        )
        self.learning = RankingLearner(
            self.store,
            self.rankers,
            UseDetector(self.store, told=self._on_used),
            is_on=settings.ranker.learn,
            told=lambda words: self.bus.publish("learned", count=1, detail=words),
            relevances=self.relevances,
        )
        self.jobs = JobRunner(
            self.store,
            {
                RANKING_JOB: JobKind(self.learning.queue, self.learning.run, self.learning.give_up),
                TITLE_JOB: JobKind(titles.queue, titles.run, titles.give_up),
            },
            why_paused=self.limits.why_paused,
            cpu_share=self.limits.background_cpu_share,
        )
        self._loading: asyncio.Task[None] | None = None
        self._failed: list[Problem] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_wake_due = False
        self.bus.call(self._on_published)
        parts = Parts(
            home=home,
            store=self.store,
            intake=self.intake,
            recall=self.recall,
            context=ContextBuilder(self.store, self.recall, self.echo, self.secrets),
            limits=self.limits,
            bus=self.bus,
            echo=self.echo,
            indexer=self.indexer,
            rankers=self.rankers,
            learning=self.learning,
            watcher=self.watcher,
            tcp_port=tcp_port,
            models=self._models,
            mounts=lambda: self.mounts.state(),
            problems=[
                self.limits.problems,
                self.indexer.problems,
                self.worker.problems,
                self.watcher.problems,
                self.learning.problems,
                self.relevances.problems,
                self._secrets_problems,
                lambda: self.mounts.problems(),
                lambda: self._failed,
            ],
        )
        self.service = Service(parts, settings)
        self.server: HttpServer | None = None
        self.routes = Routes(self.service, self._stop_server)
        self.mounts = Mounts(create_app(self.service, self.routes))
        self.gate = Gate(self.mounts, self.service.agent_of_token, lambda: self.service.is_stopping)

    async def serve(self, listeners: list[socket.socket], ready_fd: int | None) -> None:
        """Answer on these sockets until a signal or `POST /v1/shutdown`."""
        self._loop = loop = asyncio.get_running_loop()
        began = time.monotonic()

        async def ready() -> None:
            lifecycle.say_ready(ready_fd)
            log.info("ready", version=__version__, pid=os.getpid(), bind_to_ready_ms=_ms_since(began))
            self._start_background()

        self.server = HttpServer(self.gate, ready, self.service.begin_stop)
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._on_signal, name)
        await self.server.serve(sockets=listeners)
        if self._loading is not None:
            self._loading.cancel()
        ended = await asyncio.gather(
            self.mounts.aclose(),
            self.jobs.stop(),
            self.worker.stop(),
            detached(self.watcher.stop, "watch-stop"),
            return_exceptions=True,
        )
        for error in ended:
            if isinstance(error, Exception):
                log.error("part_ended_badly", exc_info=error)

    def close(self) -> None:
        """End every part; what was acknowledged is flushed. The order is that of the data: takers first."""
        self.limits.stop()
        self.routes.close()
        self.indexer.stop(timeout_s=1.0)
        self.recall.close()
        self.store.close()
        log.info("stopped", pid=os.getpid())

    def _start_background(self) -> None:
        """What can wait until requests are answered."""
        self.limits.start()
        self._loading = asyncio.create_task(self._load(), name="load")

    async def _load(self) -> None:
        """Start the rest, one after the other, behind the question for which the daemon was mostly started."""
        await asyncio.sleep(FIRST_QUESTION_S)
        await detached(lambda: self.indexer.gate.wait_until_quiet(FIRST_QUESTION_WAIT_S), "first-question")
        self.indexer.start()
        self.jobs.start()
        await self._start_part("secrets", self.secrets.load)
        await self._start_part("watch", lambda: self.watcher.start(self.service.config.watch))
        await self._start_part("spool", self._drain_spool)
        await self._settle()
        log.info("loaded")
        await asyncio.gather(self._mount_later(), self._drain_now_and_then())

    async def _mount_later(self) -> None:
        """An assistant that comes sooner has it loaded by its first request."""
        await asyncio.sleep(MOUNT_AFTER_S)
        await self.mounts.load_all()
        await self._settle()

    async def _drain_now_and_then(self) -> None:
        """A hook that the daemon kept waiting leaves its events too, and may have been the last."""
        while True:
            await asyncio.sleep(SPOOL_EVERY_S)
            try:
                await detached(self._drain_spool, "spool")
            except Exception as error:  # noqa: BLE001 (outermost: what is spooled stays and is tried again)
                log.warning("spool_not_drained", error=logs.described(error))

    async def _settle(self) -> None:
        """Give back what loading took, and never look through what stays again."""
        await detached(memory.collect, "settle")
        gc.freeze()

    async def _start_part(self, part: str, start: Callable[[], None]) -> None:
        """Start what may fail without harm to the rest: it is said in the status."""
        try:
            await detached(start, f"start-{part}")
        except Exception as error:  # noqa: BLE001 (outermost for this part: the daemon goes on without it)
            log.exception("part_failed", part=part)
            message = f"could not be started: {logs.described(error)}"
            self._failed.append(Problem(part=part, message=message, fix="penchant logs, penchant restart"))

    def _drain_spool(self) -> None:
        """Log what hooks left while no daemon ran."""
        n_events = self.intake.drain_spool(self.home)
        if n_events:
            log.info("spool_drained", n_events=n_events)

    def _relieve(self) -> None:
        """Memory is over its cap: give back what can be loaded again."""
        self.indexer.embedder.release()

    def _models(self) -> dict[str, ModelOut]:
        return {"embedder": self.indexer.model_status(), "language_model": self.worker.status()}

    def _secrets_problems(self) -> list[Problem]:
        state = self.secrets.status()
        if state.problem is None:
            return []
        return [Problem(part="secrets", message=state.problem, fix="penchant doctor")]

    def _on_used(self, agent: str, count: int) -> None:
        self.recall.outcomes_changed()
        self.bus.publish("used", agent=agent, count=count)

    def _on_published(self, kind: str) -> None:
        """Wake the indexer for what was stored, once for all that comes within a moment."""
        if kind in ("feedback", "forgotten"):
            self.recall.outcomes_changed()
            self.jobs.wake()
        if kind not in ("logged", "remembered") or self._is_wake_due or self._loop is None:
            return
        self._is_wake_due = True
        with contextlib.suppress(RuntimeError):  # the loop has ended: the next start indexes what is missing
            self._loop.call_soon_threadsafe(self._loop.call_later, WAKE_AFTER_S, self._wake_indexer)

    def _wake_indexer(self) -> None:
        self._is_wake_due = False
        self.indexer.wake()

    def _on_signal(self, name: signal.Signals) -> None:
        log.info("signal", name=name.name)
        lifecycle.notify("STOPPING=1")
        _end_in(STOP_DEADLINE_S)
        self._stop_server()

    def _stop_server(self) -> None:
        if self.server is not None:
            self.server.stop()


def run(
    home: Path, *, tcp_port: int | None = None, ready_fd: int | None = None, in_sight: bool = True
) -> None:
    """Run the daemon of one data directory until it is told to end.

    :param tcp_port: also listen on this port of 127.0.0.1; None takes the config's.
    :param ready_fd: written to once requests are answered.
    :param in_sight: also log to standard error.
    :raises LockHeld: another daemon owns the directory.
    :raises HomeError: the directory, the socket or the port cannot be used.
    :raises ConfigError: `config.toml` is wrong.
    """
    os.umask(0o077)
    memory.keep_small()
    repaired = lifecycle.prepare_home(home)
    with lifecycle.Lock.acquire(home):
        settings = config.load(home)
        logs.configure(home, settings.log, in_sight=in_sight)
        for what in repaired:
            log.warning("home_repaired", what=what)
        _allow_open_files()
        port = settings.server.tcp_port if tcp_port is None else tcp_port
        daemon = Daemon(home, settings, port or None)
        try:
            listeners = [lifecycle.bind_socket(home)]
            if port:
                listeners.append(lifecycle.bind_tcp(port))
            asyncio.run(daemon.serve(listeners, ready_fd))
        finally:
            daemon.close()
            lifecycle.unlink_socket(home)


def _rules_cache(home: Path) -> Path:
    """Where the secret detector keeps its compiled rules: 3 s of work that all data directories of a user share."""
    folder = onnx_cache_dir().with_name("secret-rules")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return home / "cache"  # no cache folder for this user, e.g. a service without a home
    return folder


def _end_in(seconds: float) -> None:
    """End the process after this time whatever still runs: a part that hangs must not break the promise."""

    def end() -> None:
        time.sleep(seconds)
        log.error("stop_deadline", after_s=seconds)
        os._exit(1)

    threading.Thread(target=end, name="stop-deadline", daemon=True).start()


def _allow_open_files() -> None:
    """Fifty assistants with their streams and connections need more files than the usual soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = N_OPEN_FILES if hard == resource.RLIM_INFINITY else min(N_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _ms_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


__all__ = ["Daemon", "run"]
