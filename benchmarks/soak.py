"""Many agents at once write and recall for a minute; every acknowledged event is counted afterwards.

    python -m benchmarks.soak [--seconds 60] [--agents 10 50]

Then 50 `penchant mcp` processes at once: all answer, there is one daemon, and they go when their host goes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.house import PENCHANT, own_home, running, wait_for_embedder
from benchmarks.memory_size import INITIALIZE
from benchmarks.report import Report, percentile
from benchmarks.texts import Writer
from penchant_daemon.client import Client
from penchant_daemon.errors import PenchantError
from penchant_daemon.wire import EventIn, RecallRequest

SEED = 19
N_STDIO = 50
BATCH = 5


@dataclass
class Tally:
    """What one agent did."""

    ids: list[str] = field(default_factory=list)
    recalls_ms: list[float] = field(default_factory=list)
    writes_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def main(seconds: float, agents: Sequence[int]) -> int:
    """Run all of it and keep the figures; the exit code says whether anything failed."""
    report = Report(
        "soak",
        f"made-up messages in batches of {BATCH}, a recall after each, {seconds:g} s; real daemon",
        SEED,
    )
    for n in agents:
        with own_home() as home, running(home) as client:
            wait_for_embedder(client)
            _agents(report, home, client, n, seconds)
    with own_home() as home, running(home) as client:
        client.status()
        _stdio(report)
        _orphans(report)
    report.save()
    return 0 if all(figure.is_met is not False for figure in report.figures) else 1


def _agents(report: Report, home: Path, client: Client, n: int, seconds: float) -> None:
    tallies = [Tally() for _ in range(n)]
    before = client.status().counts.events
    threads = [
        threading.Thread(target=_agent, args=(home, i, seconds, tally)) for i, tally in enumerate(tallies)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors = [error for tally in tallies for error in tally.errors]
    ids = [event_id for tally in tallies for event_id in tally.ids]
    stored = client.status().counts.events - before
    time.sleep(1.1)  # counts are at most a second old
    stored = client.status().counts.events - before
    unreadable = sum(
        client.get_memory(event_id).id != event_id for event_id in ids[:: max(1, len(ids) // 500)]
    )
    recalls = [sample for tally in tallies for sample in tally.recalls_ms]
    writes = [sample for tally in tallies for sample in tally.writes_ms]
    for error in sorted(set(errors))[:5]:
        print(f"   error: {error}")
    report.add(f"{n} agents: errors", [len(errors)], "", at_most=0.0)
    report.add(f"{n} agents: acknowledged events", [len(ids)], "")
    report.add(f"{n} agents: acknowledged and not stored", [len(ids) - stored], "", at_most=0.0)
    report.add(f"{n} agents: ids given twice", [len(ids) - len(set(ids))], "", at_most=0.0)
    report.add(f"{n} agents: of 500 sampled, not readable", [unreadable], "", at_most=0.0)
    report.add(f"{n} agents: recalls", [len(recalls)], "")
    report.add(f"{n} agents: recall p50", [percentile(recalls, 50)], "ms")
    report.add(f"{n} agents: recall p99", [percentile(recalls, 99)], "ms")
    report.add(f"{n} agents: write of {BATCH} p50", [percentile(writes, 50)], "ms")


def _agent(home: Path, number: int, seconds: float, tally: Tally) -> None:
    writer = Writer(SEED + number)
    end = time.monotonic() + seconds
    i = 0
    with Client(home, agent=f"agent-{number}", autostart=False) as client:
        while time.monotonic() < end:
            texts = [writer.text() for _ in range(BATCH)]
            events = [
                EventIn(content=f"{text} {number}-{i}-{j}", session=f"soak-{number}-{i // 50}")
                for j, text in enumerate(texts)
            ]
            try:
                start = time.perf_counter()
                receipts = client.log_events(events)
                written = time.perf_counter()
                client.recall(RecallRequest(query=writer.query(texts[0])))
                tally.recalls_ms.append((time.perf_counter() - written) * 1_000)
                tally.writes_ms.append((written - start) * 1_000)
                tally.ids += [receipt.id for receipt in receipts if receipt.status == "logged"]
                wrong = [receipt.status for receipt in receipts if receipt.status != "logged"]
                tally.errors += [f"an event was {status}" for status in wrong]
            except PenchantError as error:
                tally.errors.append(f"{type(error).__name__}: {error.message}")
            i += 1


def _stdio(report: Report) -> None:
    """All at once, as a host with 50 threads starts them."""
    start = time.perf_counter()
    processes = [
        subprocess.Popen([str(PENCHANT), "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(N_STDIO)
    ]
    answered = 0
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        process.stdin.flush()
    for process in processes:
        assert process.stdout is not None
        answered += "result" in json.loads(process.stdout.readline() or b"{}")
    took = time.perf_counter() - start
    report.add(f"{N_STDIO} stdio processes at once: without an answer", [N_STDIO - answered], "", at_most=0.0)
    report.add(f"{N_STDIO} stdio processes at once: until all answered", [took], "s")
    report.add("daemons meanwhile", [_daemons()], "", at_most=1.0)
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    report.add("stdio processes 5 s after their input closed", [_left(processes)], "", at_most=0.0)


# A host that starts servers and is then killed, so that it closes nothing itself.
HOST = """
import subprocess, sys, time
n = int(sys.argv[2])
pipe = subprocess.PIPE
mcp = [subprocess.Popen([sys.argv[1], "mcp"], stdin=pipe, stdout=pipe) for _ in range(n)]
for process in mcp:
    process.stdin.write(sys.argv[3].encode() + b"\\n"); process.stdin.flush()
    process.stdout.readline()
print(*[process.pid for process in mcp], flush=True)
time.sleep(600)
"""


def _orphans(report: Report) -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(PENCHANT), str(N_STDIO), json.dumps(INITIALIZE)],
        stdout=subprocess.PIPE,
    )
    assert host.stdout is not None
    pids = [int(pid) for pid in host.stdout.readline().split()]
    host.kill()
    host.wait()
    left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(left, timeout=5)
    host.stdout.close()
    report.add("stdio processes 5 s after their host was killed", [len(alive)], "", at_most=0.0)


def _left(processes: Sequence[subprocess.Popen[bytes]]) -> int:
    deadline = time.monotonic() + 5
    left = 0
    for process in processes:
        try:
            process.wait(max(0.01, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            left += 1
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
    return left


def _daemons() -> int:
    """Daemons of this data directory: children of none of ours that were started by `up --foreground`."""
    import os

    home = os.environ["PENCHANT_HOME"]
    found = 0
    for process in psutil.process_iter(["cmdline", "environ"]):
        line = process.info["cmdline"] or []
        own = (process.info["environ"] or {}).get("PENCHANT_HOME") == home
        found += own and "up" in line and "--foreground" in line
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--agents", type=int, nargs="+", default=[10, 50])
    arguments = parser.parse_args()
    sys.exit(main(arguments.seconds, arguments.agents))
