"""`penchant doctor` on real data directories: it finds what is wrong, says what mends it, and mends it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlcipher3 import dbapi2
from tests.daemon.conftest import running_daemon

from penchant_daemon import lifecycle
from penchant_daemon.cli.doctor import command
from penchant_daemon.home import socket_path
from penchant_daemon.wire import EventIn, MemoryIn
from penchant_store.engine import can_corrupt_wal, sqlite_version

Penchant = Callable[..., subprocess.CompletedProcess[str]]

MEMORIES = (
    "The staging database of Orion listens on port 5544 behind the bastion host.",
    "Release branches are cut on Thursdays, never on Fridays.",
    "Chloe prefers pytest parametrisation over subtests in the billing service.",
)
MESSAGES = (
    "Why does the invoice exporter round half a cent upwards?",
    "Because quantize() was called with ROUND_HALF_UP in exporter/money.py, line 41.",
    "Please move the flaky websocket test into its own job.",
)


@pytest.fixture(scope="module")
def kept() -> Iterator[Path]:
    """A data directory with memories and a session, after its daemon has stopped: copied for each test."""
    copy = Path(tempfile.mkdtemp(prefix="pd-", dir="/tmp")) / "data"
    with running_daemon() as daemon:
        daemon.client.remember([MemoryIn(content=text, project="orion") for text in MEMORIES])
        daemon.client.log_events(
            [
                EventIn(content=text, role="user" if i % 2 == 0 else "assistant", session="s-1")
                for i, text in enumerate(MESSAGES)
            ]
        )
        tick = threading.Event()
        for _ in range(300):
            index = daemon.client.status().index
            if index is not None and index.done >= index.total and index.state == "idle":
                break
            tick.wait(0.1)
        lifecycle.stop(daemon.home)
        shutil.copytree(daemon.home, copy)
    yield copy
    shutil.rmtree(copy.parent)


@pytest.fixture
def env(kept: Path, free_env: dict[str, str]) -> dict[str, str]:
    """An environment whose data directory holds memories and a session; no daemon runs."""
    shutil.copytree(kept, home_of(free_env))
    return free_env


def home_of(env: Mapping[str, str]) -> Path:
    return Path(env["PENCHANT_HOME"])


def doctor(penchant: Penchant, env: dict[str, str], *arguments: str) -> tuple[int, dict[str, Any]]:
    result = penchant(env, "doctor", "--json", *arguments)
    assert result.returncode in (0, 1), result.stderr
    return result.returncode, json.loads(result.stdout)


def doctor_here(env: Mapping[str, str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """The same command without a process of its own, for what is asked many times."""
    result = CliRunner().invoke(command, ["--json", *arguments], env=env, standalone_mode=False)
    assert result.exception is None, result.output
    return result.return_value, json.loads(result.stdout)


def codes(found: Mapping[str, Any]) -> list[str]:
    return [each["code"] for each in found["findings"] if each["severity"] != "note" and not each["mended"]]


def test_a_working_store_is_clean_while_the_daemon_runs(env: dict[str, str], penchant: Penchant) -> None:
    lifecycle.start(home_of(env), env=env, timeout_s=30.0)
    code, found = doctor(penchant, env)
    assert (code, codes(found)) == (0, [])
    said = {check["name"]: check["result"] for check in found["checks"]}
    assert said["recall"].startswith("6 of 6 memories were returned")
    assert "answers" in said["daemon"]


def test_a_working_store_is_clean_without_a_daemon_and_none_is_started(
    env: dict[str, str], penchant: Penchant
) -> None:
    code, found = doctor(penchant, env)
    assert (code, codes(found)) == (0, [])
    said = {check["name"]: check["result"] for check in found["checks"]}
    assert said["recall"].startswith("6 of 6 memories were returned")
    assert lifecycle.owner(home_of(env)) is None


def test_a_machine_without_a_store_is_clean(free_env: dict[str, str], penchant: Penchant) -> None:
    code, found = doctor(penchant, free_env)
    assert (code, codes(found)) == (0, [])
    assert not home_of(free_env).exists()


def test_a_memory_that_its_own_words_do_not_find_is_reported_and_mended(
    env: dict[str, str], penchant: Penchant
) -> None:
    # What happened to a peer: rows were there, the word index had lost them, the status said healthy.
    with closing(dbapi2.connect(str(home_of(env) / "memory.db"))) as database:
        sql = "SELECT name FROM sqlite_schema WHERE sql LIKE '%USING fts5(%'"
        tables = [row[0] for row in database.execute(sql)]
        for table in tables:
            database.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")  # noqa: S608
        database.commit()
    code, found = doctor(penchant, env)
    assert code == 1
    unreachable = [each for each in found["findings"] if each["severity"] == "error"]
    assert unreachable
    assert all(each["command"] and each["why"] for each in unreachable)
    code, found = doctor(penchant, env, "--fix")
    assert [each for each in found["findings"] if each["mended"]]
    code, found = doctor(penchant, env)
    assert (code, codes(found)) == (0, [])


DAMAGE = {
    "items_missing": "DELETE FROM items WHERE item = 2",
    "items_damaged": "UPDATE items SET packed = (SELECT packed FROM items WHERE item = 1) WHERE item = 2",
    "items_stray": "INSERT INTO items (item, packed) SELECT 99, packed FROM items WHERE item = 1",
    "words_stray": "INSERT INTO words (rowid, text) VALUES (99, 'nobody said this')",
    "words_damaged": "UPDATE words_data SET block = zeroblob(length(block)) WHERE id > 10",
    "unreachable": "UPDATE words_data SET block = x'00' WHERE id = 10",
    "trigrams_stray": "INSERT INTO trigrams (rowid, text) VALUES (99, 'nobody said this')",
    "trigrams_damaged": "UPDATE trigrams_data SET block = zeroblob(length(block)) WHERE id > 10",
    "trigrams_wrong": "UPDATE trigrams_data SET block = x'00' WHERE id = 10",
}


@pytest.mark.parametrize("code", DAMAGE)
def test_each_damage_to_what_is_derived_is_found_and_mended(env: dict[str, str], code: str) -> None:
    with closing(dbapi2.connect(str(home_of(env) / "memory.db"))) as database:
        database.execute(DAMAGE[code])
        database.commit()
    status, found = doctor_here(env)
    assert status == 1
    finding = next(each for each in found["findings"] if each["code"] == code)
    assert finding["command"] == "penchant doctor --fix"
    status, found = doctor_here(env, "--fix")
    assert (status, codes(found)) == (0, [])
    status, found = doctor_here(env)
    assert (status, codes(found)) == (0, [])
    said = {check["name"]: check["result"] for check in found["checks"]}
    assert said["recall"].startswith("6 of 6 memories were returned")


def test_parts_of_words_that_were_lost_are_a_note_until_they_are_indexed_again(
    env: dict[str, str], penchant: Penchant
) -> None:
    with closing(dbapi2.connect(str(home_of(env) / "memory.db"))) as database:
        database.execute("DELETE FROM trigrams WHERE rowid = 2")
        database.commit()
    status, found = doctor(penchant, env)
    assert (status, [each["code"] for each in found["findings"]]) == (0, ["trigrams_missing"])
    status, found = doctor(penchant, env, "--fix")
    assert [each["mended"] for each in found["findings"]] == [True]
    assert doctor(penchant, env)[1]["findings"] == []


def test_a_running_daemon_mends_what_it_reads_itself(env: dict[str, str], penchant: Penchant) -> None:
    with closing(dbapi2.connect(str(home_of(env) / "memory.db"))) as database:
        database.execute(DAMAGE["items_damaged"])
        database.commit()
    lifecycle.start(home_of(env), env=env, timeout_s=30.0)
    assert "items_damaged" in codes(doctor(penchant, env)[1])
    assert doctor(penchant, env, "--fix")[0] == 0
    status, found = doctor(penchant, env)
    assert (status, codes(found)) == (0, [])
    assert lifecycle.owner(home_of(env)) is not None


def test_a_changed_event_breaks_the_chain_and_cannot_be_mended_away(
    env: dict[str, str], penchant: Penchant
) -> None:
    with closing(dbapi2.connect(str(home_of(env) / "memory.db"))) as database:
        database.execute("UPDATE events SET content = 'Something else was said.' WHERE rowid = 2")
        database.commit()
    code, found = doctor(penchant, env)
    assert code == 1
    assert any("chain" in each["code"] for each in found["findings"])
    doctor(penchant, env, "--fix")
    code, found = doctor(penchant, env)
    assert any("chain" in each["code"] for each in found["findings"])


def test_a_data_directory_open_to_others_is_found_and_closed(env: dict[str, str], penchant: Penchant) -> None:
    home_of(env).chmod(0o755)
    code, found = doctor(penchant, env)
    assert (code, codes(found)) == (1, ["open_to_others"])
    assert found["findings"][0]["command"] == f"chmod -R go-rwx {home_of(env)}"
    code, found = doctor(penchant, env, "--fix")
    assert (code, codes(found)) == (0, [])
    assert home_of(env).stat().st_mode & 0o077 == 0


def test_a_socket_left_by_a_dead_daemon_is_found_and_removed(env: dict[str, str], penchant: Penchant) -> None:
    socket_path(home_of(env)).touch(mode=0o600)
    code, found = doctor(penchant, env)
    assert (code, codes(found)) == (1, ["stale_socket"])
    assert doctor(penchant, env, "--fix")[0] == 0
    assert not socket_path(home_of(env)).exists()


def test_a_daemon_that_lives_and_does_not_answer_is_an_error(env: dict[str, str], penchant: Penchant) -> None:
    with lifecycle.Lock.acquire(home_of(env)):
        code, found = doctor(penchant, env)
    assert code == 1
    silent = next(each for each in found["findings"] if each["code"] == "daemon_silent")
    assert silent["command"] == "penchant restart"


def test_a_wrong_setting_is_named(env: dict[str, str], penchant: Penchant) -> None:
    (home_of(env) / "config.toml").write_text("[limits]\nram_deamon_mb = 5\n")
    code, found = doctor(penchant, env)
    assert code == 1
    assert "limits.ram_deamon_mb" in next(
        each["what"] for each in found["findings"] if each["code"] == "config_broken"
    )


def test_a_model_that_is_not_here_is_found_with_what_to_do(env: dict[str, str], penchant: Penchant) -> None:
    (home_of(env) / "config.toml").write_text('[models]\nembedder = "nobody/nothing"\nlanguage_model = ""\n')
    (home_of(env) / "config.toml").chmod(0o600)
    code, found = doctor(penchant, env)
    assert code == 1
    missing = next(each for each in found["findings"] if each["code"] == "embedder_unusable")
    assert "nobody/nothing" in missing["what"]
    assert "penchant models" in missing["command"]


def test_a_changed_model_export_is_made_anew(env: dict[str, str], penchant: Penchant) -> None:
    assert doctor(penchant, env)[0] == 0
    export = next((home_of(env) / "models").rglob("*.onnx"))
    content = export.read_bytes()
    export.unlink()  # it may be a link to the copy that all data directories share
    export.write_bytes(content[:-10] + b"0123456789")
    export.chmod(0o600)
    assert doctor(penchant, env)[0] == 0
    assert export.read_bytes() == content


def test_the_cap_on_the_disk_is_said_before_it_stops_writes(env: dict[str, str], penchant: Penchant) -> None:
    (home_of(env) / "config.toml").write_text("[limits]\ndisk_mb = 1\n")
    (home_of(env) / "config.toml").chmod(0o600)
    (home_of(env) / "logs" / "large").write_bytes(b"x" * 2**20)
    (home_of(env) / "logs" / "large").chmod(0o600)
    code, found = doctor(penchant, env)
    assert (code, codes(found)) == (1, ["cap_nearly_reached"])


def test_an_assistant_that_is_not_connected_is_told_how(env: dict[str, str], penchant: Penchant) -> None:
    settings = Path(env["HOME"]) / ".cursor" / "mcp.json"
    settings.parent.mkdir()
    settings.write_text('{"mcpServers": {}}')
    code, found = doctor(penchant, env)
    assert (code, codes(found)) == (1, ["cursor_not_connected"])
    command = found["findings"][0]["command"]
    assert command == "penchant connect cursor"
    assert penchant(env, *command.split()[1:]).returncode == 0
    assert doctor(penchant, env)[0] == 0


def test_an_assistant_that_starts_another_penchant_is_found_and_mended(
    env: dict[str, str], penchant: Penchant
) -> None:
    settings = Path(env["HOME"]) / ".gemini" / "settings.json"
    settings.parent.mkdir()
    settings.write_text('{"mcpServers": {"penchant": {"command": "/gone/penchant", "args": ["mcp"]}}}')
    code, found = doctor(penchant, env)
    assert (code, codes(found)) == (1, ["gemini_stale"])
    assert "/gone/penchant" in found["findings"][0]["what"]
    assert doctor(penchant, env, "--fix")[0] == 0
    assert "/gone" not in settings.read_text()


def test_it_reads_well(env: dict[str, str], penchant: Penchant) -> None:
    assert "nothing to mend" in penchant(env, "doctor").stdout
    home_of(env).chmod(0o755)
    result = penchant(env, "doctor")
    assert result.returncode == 1
    assert f"mend it: chmod -R go-rwx {home_of(env)}" in result.stdout
    assert "1 to mend" in result.stdout


@pytest.mark.parametrize(
    ("version", "is_bad"),
    [("3.6.23", False), ("3.7.0", True), ("3.40.1", True), ("3.50.6", True), ("3.50.7", False)]
    + [("3.51.2", True), ("3.51.3", False), ("3.53.4", False)],
)
def test_sqlite_versions_that_corrupt_are_known(version: str, is_bad: bool) -> None:
    assert can_corrupt_wal(version) is is_bad


def test_the_sqlite_that_comes_along_is_none_of_them() -> None:
    assert not can_corrupt_wal(sqlite_version())
