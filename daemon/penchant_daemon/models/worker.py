"""
The process that holds the local language model: `python -m penchant_daemon.models.worker MODEL.gguf`.

Requests come as JSON lines on standard input, answers leave as JSON lines on standard output, one each, in
order. A crash of the model's native code ends this process and nothing else. It runs at the lowest priority
and ends when its input closes or its parent dies, whatever way that happens.

    {"id": 1, "op": "complete", "messages": [...], "max_tokens": 24, "stop": ["\\n"]}
    {"id": 1, "text": "...", "cpu_s": 0.3}
    {"id": 2, "error": "the prompt has 3,000 tokens, the model takes 2,048"}
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any

from penchant_daemon.models.parent import die_with

__all__ = ["main"]


def main() -> int:
    """The process; see the module's docstring for what it says and takes."""
    parser = argparse.ArgumentParser(prog="penchant-worker")
    parser.add_argument("model")
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--parent", type=int, default=0)
    arguments = parser.parse_args()
    die_with(arguments.parent)
    if hasattr(os, "nice"):
        os.nice(19)
    answers = _private_stdout()
    requests = _requests()
    try:
        from llama_cpp import Llama
    except (ImportError, OSError, RuntimeError) as error:
        _answer(answers, {"ready": False, "error": f"llama-cpp-python can't be loaded: {error}"})
        return 3
    try:
        model = Llama(
            arguments.model,
            n_ctx=arguments.context,
            n_threads=arguments.threads,
            n_threads_batch=arguments.threads,
            seed=arguments.seed,
            verbose=False,
        )
    except (ValueError, OSError, RuntimeError) as error:
        _answer(answers, {"ready": False, "error": f"the model can't be loaded: {error}"})
        return 4
    _answer(answers, {"ready": True})
    for request in requests:
        _answer(answers, _handle(model, request, arguments.seed))
    return 0


def _handle(model: Any, request: Mapping[str, Any], seed: int) -> dict[str, object]:
    started = time.process_time()
    number = request.get("id")
    try:
        if request.get("op") == "ping":
            return {"id": number, "text": "pong", "cpu_s": 0.0}
        done = model.create_chat_completion(
            request["messages"],
            max_tokens=int(request["max_tokens"]),
            stop=list(request.get("stop") or []),
            temperature=0.0,
            repeat_penalty=1.1,
            seed=seed,
        )
        text = done["choices"][0]["message"]["content"] or ""
    except Exception as error:  # noqa: BLE001 (outermost: the parent is told, and the next request is taken)
        return {"id": number, "error": f"{type(error).__name__}: {error}"[:500]}
    return {"id": number, "text": text, "cpu_s": round(time.process_time() - started, 3)}


def _requests() -> Iterator[Mapping[str, Any]]:
    """What comes in, read by a thread of its own: when the input closes the process ends, even mid-answer."""
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin.buffer:
            waiting.put(line)
        os._exit(0)

    threading.Thread(target=read, name="requests", daemon=True).start()
    while True:
        yield json.loads(waiting.get())


def _answer(out: IO[bytes], answer: Mapping[str, object]) -> None:
    out.write(json.dumps(answer).encode("utf-8") + b"\n")
    out.flush()


def _private_stdout() -> IO[bytes]:
    """The pipe to the parent; whatever native code prints goes nowhere instead of between the answers."""
    private = os.dup(1)
    with contextlib.ExitStack() as stack:
        null = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, null)
        os.dup2(null, 1)
    return os.fdopen(private, "wb")


if __name__ == "__main__":
    sys.exit(main())
