"""The log: private, rotated, JSON, and without a word of what is remembered."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from penchant_daemon.client import Client
from penchant_daemon.errors import RequestError
from penchant_daemon.logs import described
from penchant_daemon.wire import ContextRequest, EventIn, MemoryIn, RecallRequest

if TYPE_CHECKING:
    from tests.daemon.conftest import Daemon

SAY = """
import logging, sys
from pathlib import Path
from pydantic import TypeAdapter
from penchant_daemon import logs
from penchant_daemon.config import Log
logs.configure(Path(sys.argv[1]), Log(max_mb=1, files=2))
log = logs.logger("penchant_daemon.test")
log.info("something_happened", count=3)
logging.getLogger("penchant.intake").warning("file %s is odd", "a.jsonl")
logging.getLogger("some.library").warning("got SECRETTEXT")
logging.getLogger("some.library").warning("got %s here", "SECRETTEXT")
try:
    TypeAdapter(int).validate_python("SECRETTEXT")
except ValueError:
    log.exception("broke")
for n in range(40_000):
    log.info("filling", n=n, text="x" * 30)
"""


def test_lines_are_json_rotated_private_and_quote_nobody(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", SAY, str(tmp_path)], check=True)
    files = sorted((tmp_path / "logs").iterdir())
    assert [path.name for path in files] == ["daemon.log", "daemon.log.1", "daemon.log.2"]
    for path in files:
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.stat().st_size <= 1_000_000
        for line in path.read_text().splitlines():
            assert {"event", "level", "timestamp", "logger"} <= set(json.loads(line))


def test_what_others_log_is_kept_without_its_values(tmp_path: Path) -> None:
    quick = SAY.replace("range(40_000)", "range(1)")
    subprocess.run([sys.executable, "-c", quick, str(tmp_path)], check=True)
    text = (tmp_path / "logs" / "daemon.log").read_text()
    assert "SECRETTEXT" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0]["event"] == "something_happened"
    assert lines[0]["count"] == 3
    assert lines[1]["event"] == "file a.jsonl is odd"
    assert [line["event"] for line in lines[2:4]] == ["message withheld", "got %s here"]
    assert lines[4]["error"] == "ValidationError"
    assert lines[4]["at"]


def test_log_of_a_working_daemon_holds_nothing_that_was_said(daemon: Daemon) -> None:
    words = ["pangolin", "okapi", "axolotl", "tapir"]
    client: Client = daemon.client
    client.log_events([EventIn(content=f"the {words[0]} sleeps", session="quiet", speaker="pangolin-keeper")])
    client.remember([MemoryIn(content=f"an {words[1]} has stripes", project="okapi-house")])
    client.recall(RecallRequest(query=f'the {words[2]} AND ( "{words[0]}'))
    client.context(ContextRequest(event="UserPromptSubmit", prompt=f"what does the {words[3]} eat at night"))
    for bad in ({"query": f"{words[0]}", "limit": 0}, {"query": " "}):
        try:
            client.recall(RecallRequest.model_construct(**bad))
        except RequestError:
            continue
    daemon.raw(b"GET /pangolin okapi\r\nX: axolotl\r\n\r\n")
    daemon.penchant("restart")
    text = (daemon.home / "logs" / "daemon.log").read_text()
    assert "ready" in text
    for word in words:
        assert word not in text, word


def test_error_in_words_quotes_only_what_is_ours() -> None:
    assert described(ValueError("SECRET")) == "ValueError"
    assert described(RequestError("limit 0 is too small")) == "RequestError: limit 0 is too small"
    try:
        try:
            raise KeyError("SECRET")
        except KeyError as cause:
            raise OSError("no space") from cause
    except OSError as error:
        assert described(error) == "OSError: no space (from KeyError)"


def test_logging_is_not_touched_by_importing_it() -> None:
    assert not any(
        type(handler).__name__ == "_PrivateRotatingFile" for handler in logging.getLogger().handlers
    )
