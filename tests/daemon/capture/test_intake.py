"""The one door: what is logged is clean, masked, known when it comes twice, and never Penchant's own echo."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penchant_daemon.bus import Bus
from penchant_daemon.capture.echo import EchoGuard, wrap
from penchant_daemon.capture.intake import Intake
from penchant_daemon.capture.secrets import SecretMasker
from penchant_daemon.errors import InvalidField
from penchant_daemon.hook_delivery import spool
from penchant_daemon.recall import Recall
from penchant_daemon.wire import EventIn, EventOut, MemoryIn, RecallRequest, RecallResponse
from penchant_store import Store

# Compiled once for all tests, as for all data directories of a user.
RULES = Path(os.environ["XDG_CACHE_HOME"]) / "penchant" / "secret-rules"
RULES.mkdir(mode=0o700, parents=True, exist_ok=True)
GITHUB = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
DECISION = "We decided to use pytest with the xdist plugin for every package of acme, and never unittest."


class House:
    """The parts that the daemon composes, with a clock that the test moves."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.now = time.time()
        self.store = Store.open(home, clock=lambda: self.now)
        self.secrets = SecretMasker(RULES)
        self.echo = EchoGuard(self.store, lambda: self.now)
        self.intake = Intake(self.store, self.secrets, self.echo, Bus(), clock=lambda: self.now, home=home)
        self.recall = Recall(self.store, None, lambda: self.now)

    def close(self) -> None:
        self.recall.close()
        self.store.close()

    def log(self, agent: str = "claude-code", **fields: Any) -> EventOut:
        return self.intake.log([EventIn.model_validate(fields)], agent)[0]

    def ask(self, query: str) -> RecallResponse:
        """Recall as the service does it: what is handed out is noted."""
        response = self.recall.recall(RecallRequest(query=query), "claude-code")
        self.intake.returned(response.impression_id, [(each.id, each.content) for each in response.results])
        return response

    def content(self, event_id: str) -> str:
        record = self.store.event(event_id)
        assert record is not None
        return record.content

    def all_bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.home.rglob("*")) if path.is_file())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "home")
    yield house
    house.close()


# ---- cleaning, times, defaults


def test_nul_and_half_surrogates_are_cleaned(house: House) -> None:
    # The wire refuses half surrogates; readers inside the daemon hand over what a file had.
    event = EventIn(content="x").model_copy(update={"content": "a\0b \ud83d c \U0001f600"})
    (receipt,) = house.intake.log([event], "a")
    assert house.content(receipt.id) == "ab � c \U0001f600"


def test_speaker_and_origin_come_from_the_role_and_the_agent_from_the_caller(house: House) -> None:
    receipt = house.log(agent="cursor", role="assistant", content="done", session="s")
    record = house.store.event(receipt.id)
    assert record is not None
    assert (record.speaker, record.origin, record.agent, record.channel) == (
        "assistant",
        "assistant",
        "cursor",
        "api",
    )


def test_a_title_that_the_host_gave_is_the_sessions(house: House) -> None:
    start = {"kind": "session_start", "role": "system", "session": "s"}
    house.log(**start, meta={"title": "Fix the\nlogin with password='hunter2horse'"})
    (session,) = house.store.sessions(5)
    assert (session.title, session.title_source) == (
        "Fix the login with password='[secret:password]'",
        "host",
    )


def test_a_time_far_in_the_future_is_refused_by_its_field_and_nothing_is_stored(house: House) -> None:
    far = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(house.now + 90_000))
    good = EventIn(content="kept?")
    late = EventIn(content="late", occurred_at=far)
    with pytest.raises(InvalidField) as caught:
        house.intake.log([good, late], "a")
    assert caught.value.field == "body[1].occurred_at"
    with pytest.raises(InvalidField) as caught:
        house.intake.log([late], "a")
    assert caught.value.field == "body.occurred_at"
    assert house.store.counts().events == 0


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2026-11-20", "2026-11-20T00:00:00.000Z"),
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00.000Z"),
        ("2026-11-20T10:00:00.5+02:00", "2026-11-20T08:00:00.500Z"),
        ("2026-11-20 10:00", "2026-11-20T10:00:00.000Z"),
    ],
)
def test_times_are_kept_in_utc(house: House, given: str, stored: str) -> None:
    record = house.store.event(house.log(content="x", occurred_at=given).id)
    assert record is not None
    assert record.occurred_at == stored


def test_a_blank_memory_is_refused(house: House) -> None:
    with pytest.raises(InvalidField) as caught:
        house.intake.remember([MemoryIn(content=" \0 ")], "a")
    assert caught.value.field == "body.content"


def test_an_interval_that_ends_before_it_begins_is_refused(house: House) -> None:
    with pytest.raises(InvalidField) as caught:
        house.intake.remember([MemoryIn(content="x", valid_from="2026-02-01", valid_to="2026-01-01")], "a")
    assert caught.value.field == "body.valid_to"


def test_a_hooks_directory_becomes_its_git_checkout_and_a_name_stays(house: House, tmp_path: Path) -> None:
    root = tmp_path / "acme"
    (root / ".git").mkdir(parents=True)
    (root / "src" / "deep").mkdir(parents=True)
    hooked = house.log(
        content="in a hook", channel="hook", project=str(root / "src" / "deep"), source_key="k"
    )
    named = house.log(content="by name", project="acme-by-name")
    given = house.log(content="by path", project=str(root / "src" / ".." / "src") + "/")
    projects = [house.store.event(receipt.id).project for receipt in (hooked, named, given)]  # type: ignore[union-attr]
    assert projects[0] == str(root)
    assert projects[1] == "acme-by-name"
    assert projects[2] == str(root / "src")


# ---- secrets


def test_a_secret_is_on_no_byte_of_the_disk_and_the_receipt_counts_it(house: House) -> None:
    receipt = house.log(
        content=f'export GITHUB_TOKEN={GITHUB}\npassword = "hunter2horse"',
        speaker='Anna password="hunter3horse"',
        meta={"tool_input": {"env": {"DB_PASSWORD": "tr0ub4dor9x"}}},
    )
    memory = house.intake.remember([MemoryIn(content=f"the deploy token is {GITHUB}")], "a")[0]
    assert receipt.masked == 4
    assert memory.masked == 1
    house.store.close()
    disk = house.all_bytes()
    for secret in (GITHUB, "hunter2horse", "hunter3horse", "tr0ub4dor9x"):
        assert secret.encode() not in disk
    assert sum(house.intake.masked().values()) == 5
    house.store = Store.open(house.home)
    assert "[secret:" in house.content(receipt.id)


def test_a_query_is_kept_without_its_secrets(house: House) -> None:
    asked = f"why is {GITHUB} refused"
    # It does not wait for the detectors: what could be a key is left out as a whole until they are loaded.
    assert SecretMasker().mask_at_once(asked).text == "why is [secret:unchecked] refused"
    assert SecretMasker().mask_at_once("is password=hunter2horse right").text == "is [secret:unchecked] right"
    assert SecretMasker().mask_at_once("why is it refused").text == "why is it refused"
    house.secrets.load()
    assert house.intake.without_secrets(asked) == "why is [secret:github-pat] refused"


# ---- the same turn twice


def hooked(content: str, key: str, **fields: Any) -> dict[str, Any]:
    return {
        "content": content,
        "channel": "hook",
        "source_key": key,
        "session": "s1",
        "project": "acme",
        **fields,
    }


def test_the_same_turn_through_two_settings_files_is_logged_once(house: House) -> None:
    first = house.log(**hooked("fix the login", "prompt:p1"))
    second = house.log(**hooked("fix the login", "prompt:p1"))
    assert (first.status, second.status) == ("logged", "duplicate")
    assert second.id == first.id


def test_a_turn_without_an_id_is_the_same_within_five_seconds(house: House) -> None:
    receipts = []
    for _ in range(2):
        receipts.append(house.log(**hooked("fix the login", "text:abc")))
        house.now += 4.9
    assert [receipt.status for receipt in receipts] == ["logged", "duplicate"]
    house.now += 5.0
    assert house.log(**hooked("fix the login", "text:abc")).status == "logged"


def test_a_turn_with_an_id_and_its_twin_without_are_one(house: House) -> None:
    assert house.log(**hooked("fix the login", "prompt:p1")).status == "logged"
    assert house.log(**hooked("fix the login", "text:abc")).status == "duplicate"


def test_two_turns_with_ids_of_their_own_are_two_however_equal(house: House) -> None:
    assert house.log(**hooked("continue", "prompt:p1")).status == "logged"
    assert house.log(**hooked("continue", "prompt:p2")).status == "logged"


def test_one_turn_that_two_hosts_report_is_logged_once(house: House) -> None:
    first = house.log(agent="cursor", **hooked("fix the login", "text:abc", session="c-1"))
    second = house.log(agent="claude-code", **hooked("fix the login", "prompt:p1", session="s-9"))
    assert (first.status, second.status) == ("logged", "duplicate")
    assert second.id == first.id


def test_one_prompt_in_two_terminals_of_one_host_is_two_turns(house: House) -> None:
    assert house.log(**hooked("run the tests", "prompt:p1", session="s1")).status == "logged"
    assert house.log(**hooked("run the tests", "prompt:p2", session="s2")).status == "logged"


def test_a_transcript_of_a_hooked_session_adds_nothing(house: House) -> None:
    house.log(**hooked("fix the login", "prompt:p1"))
    again = house.log(content="fix the login", channel="transcript", source_key="uuid-1", session="s1")
    assert again.status == "duplicate"


# ---- no feedback loop


def test_injected_context_alone_is_a_reference_and_its_text_is_not_kept(house: House) -> None:
    memory = house.intake.remember([MemoryIn(content=DECISION)], "a")[0]
    asked = house.ask("which test framework for acme")
    receipt = house.log(role="user", content=wrap(DECISION, asked.impression_id), session="s")
    record = house.store.event(receipt.id)
    assert receipt.status == "reference"
    assert record is not None
    assert (record.kind, record.content, record.refers_to) == ("reference", "", (memory.id,))


def test_the_persons_words_around_an_injection_are_kept(house: House) -> None:
    receipt = house.log(content=f"please fix it {wrap(DECISION, '01M85FA44GF5CJN7N7H382T1W1')} thanks")
    assert receipt.status == "logged"
    assert house.content(receipt.id) == "please fix it  thanks"


@pytest.mark.parametrize(
    "tool",
    ["mcp__penchant__recall", "penchant_recall", "mcp_penchant_recall", "penchant.recall", "penchant/recall"],
)
def test_results_of_penchants_own_tools_are_references(house: House, tool: str) -> None:
    memory = house.intake.remember([MemoryIn(content=DECISION)], "a")[0]
    asked = house.ask("which test framework for acme")
    payload = asked.model_dump_json()
    receipt = house.log(kind="tool_result", role="tool", content=payload, tool_name=tool, session="s")
    record = house.store.event(receipt.id)
    assert receipt.status == "reference"
    assert record is not None
    assert record.content == ""
    assert record.refers_to == (memory.id,)


def test_a_repeated_statement_answers_with_the_memory_that_it_repeats(house: House) -> None:
    memory = house.intake.remember([MemoryIn(content=DECISION)], "a")[0]
    house.ask("which test framework for acme")
    again = house.intake.remember([MemoryIn(content=f"Remember: {DECISION}")], "other")[0]
    assert (again.status, again.id) == ("reference", memory.id)


def test_what_was_forgotten_may_be_said_again(house: House) -> None:
    memory = house.intake.remember([MemoryIn(content=DECISION)], "a")[0]
    house.ask("which test framework for acme")
    house.store.forget([memory.id]).result()
    assert house.intake.remember([MemoryIn(content=DECISION)], "a")[0].status == "stored"


def test_a_correction_replaces_what_was_recalled(house: House) -> None:
    memory = house.intake.remember([MemoryIn(content=DECISION)], "a")[0]
    house.ask("which test framework for acme")
    newer = MemoryIn(content=DECISION, supersedes=memory.id, scope="global", kind="decision")
    assert house.intake.remember([newer], "a")[0].status != "reference"


def test_an_old_transcript_keeps_its_messages_although_they_were_recalled_meanwhile(house: House) -> None:
    house.log(role="assistant", content=DECISION, session="old", occurred_at="2026-01-05T10:00:00Z")
    house.ask("which test framework for acme")
    copy = house.log(
        role="assistant",
        content=DECISION,
        session="older",
        channel="transcript",
        source_key="uuid-7",
        occurred_at="2026-01-04T10:00:00Z",
    )
    assert copy.status == "logged"


def test_a_hundred_rounds_of_recall_and_capture_do_not_grow_the_store(house: House) -> None:
    facts = [
        DECISION,
        "The staging server of acme is called heron and lives in the Frankfurt region since March.",
        "Deploys of acme happen on Tuesdays after the nightly tests are green, never on Fridays.",
    ]
    for at, fact in enumerate(facts):
        house.intake.remember([MemoryIn(content=fact, project="acme")], "claude-code")
        house.log(role="user", content=f"note {at}: {fact}", session="origin", project="acme")
    before = house.store.counts()
    for turn in range(100):
        house.now += 60
        asked = house.ask(
            ["which test framework", "what is the staging server", "when do we deploy acme"][turn % 3]
        )
        quoted = asked.results[0].content
        listed = "\n".join(f"{rank}. {each.content}" for rank, each in enumerate(asked.results, 1))
        payload = asked.model_dump_json()
        session = f"loop-{turn}"
        house.intake.log(
            [
                EventIn(role="user", content=wrap(listed, asked.impression_id), session=session, channel="hook",
                        source_key=f"prompt:{turn}"),
                EventIn(kind="tool_result", role="tool", content=payload, tool_name="mcp__penchant__recall",
                        session=session, channel="transcript", source_key=f"t{turn}"),
                EventIn(kind="tool_result", role="tool", content=json.dumps(wrap(listed, asked.impression_id)),
                        tool_name="Bash", session=session, channel="transcript", source_key=f"b{turn}"),
                EventIn(role="assistant", content=quoted, session=session, channel="transcript", source_key=f"a{turn}"),
                EventIn(role="assistant", content=f"From what I recall of earlier sessions:\n\n> {quoted}",
                        session=session, channel="hook", source_key=f"stop:{turn}"),
                EventIn(role="assistant", content=f"I remembered these notes:\n{listed}", session=session),
            ],
            "claude-code",
        )  # fmt: skip
        house.intake.remember(
            [MemoryIn(content=quoted), MemoryIn(content=f"Remember: {quoted}")], "claude-code"
        )
    after = house.store.counts()
    assert after.items == before.items
    assert after.memories == before.memories
    assert after.episodes == before.episodes


# ---- the spool


def test_a_spooled_event_is_logged_once_and_its_file_goes(house: House) -> None:
    event = hooked("typed while no daemon ran", "prompt:p7") | {"kind": "message", "role": "user"}
    spool(house.home, "claude-code", [event])
    (path,) = (house.home / "spool").iterdir()
    line = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert house.intake.drain_spool(house.home) == 1
    assert not path.exists()
    path.write_bytes(line)  # as after a crash between the commit and the removal
    house.intake.drain_spool(house.home)
    assert house.store.counts().events == 1
    assert house.store.sessions(5)[0].agent == "claude-code"


def test_a_spool_holds_no_secret_in_the_clear(house: House) -> None:
    spool(house.home, "codex", [hooked(f'token {GITHUB} and password="hunter2horse"', "prompt:p8")])
    (path,) = (house.home / "spool").iterdir()
    assert GITHUB.encode() not in path.read_bytes()
    assert b"hunter2horse" not in path.read_bytes()


@pytest.mark.parametrize(
    "line", [b"", b"not json", b'{"agent": "x"}', b'{"agent": "x", "events": [{"kind": "odd"}]}']
)
def test_a_broken_spool_file_is_set_aside_and_the_others_are_logged(house: House, line: bytes) -> None:
    folder = house.home / "spool"
    folder.mkdir()
    (folder / "0001.json").write_bytes(line)
    spool(house.home, "codex", [hooked("whole", "prompt:p9")])
    assert house.intake.drain_spool(house.home) == 1
    assert [path.name for path in folder.iterdir()] == ["0001.bad"]


def test_hooks_pick_up_what_was_spooled_while_the_daemon_started(house: House) -> None:
    spool(house.home, "codex", [hooked("spooled", "prompt:p1")])
    house.log(**hooked("next", "prompt:p2"))
    events = house.store.session_events("s1", 10)
    assert [event.content for event in events] == ["spooled", "next"]


def test_a_spooled_event_that_the_store_refuses_does_not_hold_up_the_hooks_that_come(house: House) -> None:
    folder = house.home / "spool"
    folder.mkdir()
    (folder / "0001.json").mkdir()  # something that cannot be read
    spool(house.home, "codex", [hooked("x", "prompt:p1") | {"occurred_at": "2999-01-01T00:00:00.000Z"}])
    assert house.log(**hooked("next", "prompt:p2")).status == "logged"
    assert sorted(path.suffix for path in folder.iterdir()) == [".bad", ".json"]


# ---- throughput


def test_ten_thousand_short_messages_a_second_are_prepared(house: House) -> None:
    events = [
        EventIn(content=f"message {n}: I went to the market and bought apples", session="s", channel="transcript",
                source_key=f"k{n}", occurred_at="2026-11-20T10:00:00.000Z")
        for n in range(5_000)
    ]  # fmt: skip
    started = time.process_time()
    for event in events:
        house.intake._prepared(event, "body", "a", "api", house.now)
    # 20,000 to 30,000/s on an idle core; the bound leaves room for a busy machine.
    assert len(events) / (time.process_time() - started) > 5_000


def test_threads_that_log_at_once_lose_nothing(house: House) -> None:
    def write(writer: int) -> None:
        for n in range(20):
            house.log(content=f"writer {writer} says {n}", session=f"s{writer}")

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert house.store.counts().events == 160


def test_the_log_of_the_intake_holds_no_contents(house: House, caplog: pytest.LogCaptureFixture) -> None:
    folder = house.home / "spool"
    folder.mkdir()
    (folder / "0001.json").write_text(
        '{"agent": "x", "events": [{"kind": "odd", "content": "very private words"}]}'
    )
    house.intake.drain_spool(house.home)
    assert "0001.json" in caplog.text
    assert "private" not in caplog.text


def test_a_linked_worktree_belongs_to_its_main_checkout(house: House, tmp_path: Path) -> None:
    main = tmp_path / "main"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run([*git, "init", "-q", str(main)], check=True, env=env)
    subprocess.run([*git, "-C", str(main), "commit", "-q", "--allow-empty", "-m", "x"], check=True, env=env)
    subprocess.run(
        [*git, "-C", str(main), "worktree", "add", "-q", str(tmp_path / "wt")], check=True, env=env
    )
    receipt = house.log(**hooked("in the worktree", "prompt:p1", project=str(tmp_path / "wt")))
    record = house.store.event(receipt.id)
    assert record is not None
    assert record.project == str(main)
