"""How many acknowledged events a second: 10 client processes, in batches of 20 and one by one; and one alone.

    python -m benchmarks.write_throughput [--seconds 10]

Acknowledged means committed with `synchronous=FULL`. The clients run on the same cores as the daemon.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks.house import own_home, running, wait_until_settled
from benchmarks.report import Report, percentile
from benchmarks.texts import Writer
from penchant_daemon.client import Client
from penchant_daemon.wire import EventIn

SEED = 11
N_CLIENTS = 10
ROUNDS = 3


def main(seconds: float) -> None:
    """Measure and keep the figures."""
    report = Report(
        "write_throughput",
        f"made-up messages of {N_CLIENTS} processes for {seconds:g} s, {ROUNDS} rounds, real daemon, FULL",
        SEED,
    )
    limits = {20: 2_000.0, 1: 600.0}
    for batch, limit in limits.items():
        rates, lost = [], []
        for _ in range(ROUNDS):
            with own_home() as home, running(home) as client:
                wait_until_settled(client)
                acknowledged = _clients(home, batch, seconds)
                rates.append(acknowledged / seconds)
                lost.append(acknowledged - client.status().counts.events)
        what = f"acknowledged events a second, {N_CLIENTS} clients, " + (
            f"batches of {batch}" if batch > 1 else "one by one"
        )
        report.add(what, rates, "/s", at_least=limit)
        report.add("  acknowledged and not stored", lost, "events", at_most=0.0)
    _alone(report)
    report.save()


def _alone(report: Report) -> None:
    runs = []
    for _ in range(ROUNDS):
        with own_home() as home, running(home) as client:
            wait_until_settled(client)
            samples = _send(client, 1, seconds=3.0, writer=Writer(SEED), session="alone")[1]
            runs.append(percentile(samples, 50))
    report.add("one write of a single client, p50", runs, "ms", at_most=5.0)


def _clients(home: Path, batch: int, seconds: float) -> int:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(N_CLIENTS)
    answers: Queue[int] = context.Queue()
    processes = [
        context.Process(target=_client, args=(home, batch, seconds, SEED + i, barrier, answers))
        for i in range(N_CLIENTS)
    ]
    for process in processes:
        process.start()
    total = sum(answers.get(timeout=seconds + 120) for _ in processes)
    for process in processes:
        process.join()
    return total


def _client(home: Path, batch: int, seconds: float, seed: int, barrier: Barrier, answers: Queue[int]) -> None:
    with Client(home, agent=f"bench-{seed}", autostart=False) as client:
        writer = Writer(seed)
        client.status()
        barrier.wait(60)
        answers.put(_send(client, batch, seconds, writer, f"bench-{seed}")[0])


def _send(
    client: Client, batch: int, seconds: float, writer: Writer, session: str
) -> tuple[int, list[float]]:
    """How many events were acknowledged within the time, and how long each request took in ms."""
    # Texts are made beforehand: what is measured is the daemon, not the generator.
    texts = [writer.text() for _ in range(2_000)]
    sent = 0
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        events = [
            EventIn(content=f"{texts[(sent + i) % len(texts)]} {sent + i}", session=session)
            for i in range(batch)
        ]
        receipts = client.log_events(events)
        done = time.perf_counter()
        if done <= end:
            sent += sum(receipt.status == "logged" for receipt in receipts)
        samples.append((done - start) * 1_000)
    return sent, samples


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    main(parser.parse_args().seconds)
