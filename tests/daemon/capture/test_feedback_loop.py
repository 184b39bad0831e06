"""What Penchant returns comes back by every way that there is, and never becomes something new to remember.

In each round an assistant is given a memory by the prompt's hook and by the tool, quotes it, saves it, and its host
writes all of that into its session file, which is followed live.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.daemon.capture.transcript_files import append_lines, claude_line
from tests.daemon.conftest import Daemon

from penchant_daemon import hook_events
from penchant_daemon.wire import ContextRequest, CountsOut, EventIn, MemoryIn, WatchRequest

N_ROUNDS = 100
N_BY_PROCESS = 3  # rounds whose hooks are real processes; the others send what those would, without the start
SESSION = "7b1c0d2e-1111-4222-8333-444455556666"
FACT = "The quokka service keeps its sessions in a Valkey cluster of three nodes in Perth."
OTHER = "Sessions of the quokka service are thrown away after two days without a request."


def prompt_of(n: int) -> str:
    """What the person types: now and then a question that gets the memory added to it."""
    if n % 10 == 0:
        return f"where does the quokka service keep its sessions, asked for the {n}th time"
    return f"please rename helper number{n} of the file part{n}.py"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.05)


class Assistant:
    """One session of a host that has Penchant's hooks and tools, and writes a session file."""

    def __init__(self, daemon: Daemon, transcript: Path) -> None:
        self._daemon = daemon
        self._transcript = transcript
        self._n_lines = 0

    def hook(self, event: str, by_process: bool, **fields: object) -> str:
        """Fires a hook and returns the context that it adds."""
        payload = {
            "hook_event_name": event,
            "session_id": SESSION,
            "cwd": "/srv/quokka",
            "permission_mode": "default",
            **fields,
        }
        if by_process:
            done = subprocess.run(
                [sys.executable, "-m", "penchant_daemon.entry", "hook", event],
                input=json.dumps(payload).encode(), env=self._daemon.env, capture_output=True, check=True, timeout=30,
            )  # fmt: skip
            said = json.loads(done.stdout or b"{}")
            return str(said.get("hookSpecificOutput", {}).get("additionalContext", ""))
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        call = hook_events.understood(payload, event, now, None, None)
        assert call is not None
        client = self._daemon.client.as_agent(call.host)
        client.log_events([EventIn.model_validate(each) for each in call.events])
        if not hook_events.takes_context(call):
            return ""
        asked = ContextRequest(event="UserPromptSubmit", prompt=call.prompt, session=call.session)
        return client.context(asked).text

    def write(self, kind: str, content: object) -> None:
        """Adds a line to the session file."""
        self._n_lines += 1
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        line = claude_line(kind, f"line-{self._n_lines}", content, sessionId=SESSION, timestamp=stamp)
        append_lines(self._transcript, [{**line, "cwd": "/srv/quokka"}])

    def turn(self, n: int) -> None:
        by_process = n < N_BY_PROCESS
        prompt = prompt_of(n)
        context = self.hook("UserPromptSubmit", by_process, prompt=prompt, prompt_id=f"p{n}")
        answer = self._daemon.tool("recall", {"query": "quokka service sessions", "limit": 30})
        assert FACT in answer
        tool = {"tool_name": "mcp__penchant__recall", "tool_use_id": f"t{n}"}
        arguments = {"query": "quokka service sessions"}
        self.hook("PostToolUse", by_process, **tool, tool_input=arguments, tool_response=json.loads(answer))
        said = f"From memory:\n> {FACT}"
        self.hook("Stop", by_process, prompt_id=f"p{n}", last_assistant_message=said)
        kept = self._daemon.tool("remember", {"content": FACT})
        assert '"stored"' not in kept
        self.write("user", prompt)
        if context:
            self.write("user", context)
        call = {"type": "tool_use", "id": f"t{n}", "name": "mcp__penchant__recall", "input": arguments}
        self.write("assistant", [call])
        self.write("user", [{"type": "tool_result", "tool_use_id": f"t{n}", "content": answer}])
        self.write("assistant", [{"type": "text", "text": said}])
        self.write(
            "assistant", [{"type": "text", "text": f"I remembered these notes:\n1. {FACT}\n2. {OTHER}"}]
        )


def counts(daemon: Daemon) -> CountsOut:
    """What is stored now: the status counts at most once a second."""
    threading.Event().wait(1.1)
    return daemon.client.status().counts


def test_a_hundred_rounds_by_hook_tool_and_session_file_add_the_persons_prompts_only(
    daemon: Daemon, tmp_path: Path
) -> None:
    daemon.client.remember([MemoryIn(content=FACT, scope="global"), MemoryIn(content=OTHER, scope="global")])
    before = counts(daemon)
    transcript = tmp_path / "projects" / f"{SESSION}.jsonl"
    transcript.parent.mkdir()
    daemon.client.watch(WatchRequest(enabled=True, paths=[str(transcript.parent)]))
    assistant = Assistant(daemon, transcript)
    for n in range(N_ROUNDS):
        assistant.turn(n)
    size = transcript.stat().st_size
    wait_for(lambda: [s.offset for s in daemon.client.sources(str(transcript)).sources] == [size])
    daemon.client.watch(WatchRequest(enabled=False))
    after = counts(daemon)
    assert after.memories == before.memories
    assert after.episodes == before.episodes + N_ROUNDS
    events = daemon.client.session(SESSION, limit=1_000).events
    messages = [event.content for event in events if event.kind == "message"]
    assert messages == [prompt_of(n) for n in range(N_ROUNDS)]
    repeated = {event.kind for event in events if FACT in event.content}
    assert repeated == {"reference"}, "what only repeats is a pointer that nothing finds"
