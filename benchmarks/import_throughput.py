"""How fast `penchant import` reads session files: a folder of Claude Code sessions, from start to exit.

python -m benchmarks.import_throughput [--events 40000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
import uuid
from pathlib import Path

from benchmarks.house import PENCHANT, own_home, running, wait_until_settled
from benchmarks.report import Report
from benchmarks.texts import Writer

SEED = 13
ROUNDS = 3
EVENTS_A_FILE = 400


def main(n_events: int) -> None:
    """Measure and keep the figures."""
    report = Report(
        "import_throughput",
        f"{n_events:,} made-up messages in Claude Code session files of {EVENTS_A_FILE}, "
        f"whole command, without vectors (they follow in the background), {ROUNDS} rounds",
        SEED,
    )
    rates, seconds_again, lost, grown = [], [], [], []
    for _ in range(ROUNDS):
        with own_home() as home:
            folder = home.parent / "projects" / "-home-someone-bench"
            n_bytes = write_sessions(folder, n_events)
            with running(home) as client:
                wait_until_settled(client)
                took = _import(folder)
                rates.append(n_events / took)
                stored = client.status().counts.events
                lost.append(n_events - stored)
                seconds_again.append(_import(folder))
                grown.append(client.status().counts.events - stored)
    report.add("events imported a second", rates, "/s", at_least=5_000.0)
    report.add(
        "  that is megabytes of session files a second",
        [n_bytes / 2**20 / (n_events / r) for r in rates],
        "MB/s",
    )
    report.add("  events missing afterwards", lost, "events", at_most=0.0)
    report.add("the same folder a second time", seconds_again, "s")
    report.add("  events added by it", grown, "events", at_most=0.0)
    report.save()


def _import(folder: Path) -> float:
    start = time.perf_counter()
    subprocess.run([str(PENCHANT), "import", str(folder)], check=True, capture_output=True)
    return time.perf_counter() - start


def write_sessions(folder: Path, n_events: int) -> int:
    """Session files as Claude Code 2.1 writes them: a prompt and its answer in turn.

    :return: bytes written.
    """
    folder.mkdir(parents=True)
    writer = Writer(SEED)
    written = 0
    for start in range(0, n_events, EVENTS_A_FILE):
        session = str(uuid.UUID(int=start + 1))
        lines = []
        for i in range(start, min(start + EVENTS_A_FILE, n_events)):
            lines.append(json.dumps(_line(session, i, writer.text())))
        text = "\n".join(lines) + "\n"
        (folder / f"{session}.jsonl").write_text(text, encoding="utf-8")
        written += len(text.encode())
    return written


def _line(session: str, i: int, text: str) -> dict[str, object]:
    minute, second = divmod(i % 3_600, 60)
    own = str(uuid.UUID(int=(1 << 64) + i))
    line: dict[str, object] = {
        "parentUuid": None,
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/someone/bench",
        "sessionId": session,
        "version": "2.1.317",
        "gitBranch": "main",
        "uuid": own,
        "timestamp": f"2026-0{1 + i // 3_600 % 9}-01T10:{minute:02d}:{second:02d}.{i % 1_000:03d}Z",
    }
    if i % 2 == 0:
        return {**line, "type": "user", "message": {"role": "user", "content": text}}
    message = {
        "id": f"msg_{i}",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus",
        "content": [{"type": "text", "text": text}],
    }
    return {**line, "type": "assistant", "message": message}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    main(parser.parse_args().events)
