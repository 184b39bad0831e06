"""Whole runs on a real daemon: what goes in by its routes is found on its socket, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from penchant_daemon import lifecycle
from penchant_daemon.evaluation import front_door, question_file
from penchant_daemon.evaluation.datasets import Dataset, Pool, Question, Text
from penchant_daemon.evaluation.errors import EvaluationError
from penchant_daemon.evaluation.recall import Plan, Result, evaluate
from penchant_daemon.evaluation.report import as_json, text_of
from penchant_daemon.home import home_dir
from penchant_store import NewEvent, NewMemory, Store

ORION = Path(__file__).resolve().parents[3] / "examples" / "orion-questions.json"


class Steps:
    """Remembers what was done, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def pool(self, name: str, number: int, n_pools: int) -> None:
        self.seen.append(f"pool {name} {number} of {n_pools}")

    def step(self, what: str, done: int, total: int) -> None:
        if done == total and self.seen[-1] != what:
            self.seen.append(what)


@pytest.fixture(scope="module")
def kept() -> Iterator[Path]:
    """A folder for data directories, short enough for a socket's path."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="pv-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def orion(kept: Path) -> Result:
    """The example, through the socket, with everything compared."""
    return evaluate(question_file.read(ORION), Plan(keep=kept), Steps())


def test_scope_and_time_are_kept_and_what_was_replaced_is_left_out(orion: Result) -> None:
    sets = orion.outcomes["learned"].exact_sets()
    assert sets is not None
    assert (sets.precision, sets.recall, sets.is_exact, sets.n) == (1.0, 1.0, 1.0, 3)
    plain = orion.outcomes["bm25"].exact_sets()
    assert plain is not None
    assert plain.is_exact == 0.0
    update = orion.outcomes["learned"].updates(0)
    assert update is not None
    assert update.figure.value == 1.0


def test_the_daemon_beats_what_needs_no_daemon_on_the_example(orion: Result) -> None:
    learned = orion.outcomes["learned"].figure("ndcg@10", 0).value
    assert learned > max(orion.outcomes[way].figure("ndcg@10", 0).value for way in ("grep", "bm25"))


def test_the_report_says_how_it_was_measured(orion: Result) -> None:
    text = text_of(orion)
    for said in ("fractional", "POST /v1/recall", "a day after the last turn", "all in one data directory"):
        assert said in " ".join(text.split())
    assert "ranked by" in text
    assert "unnamed" not in text
    assert "16 with an answer, 2 without" in text
    written = as_json(orion)
    assert written["n_questions"] == 16
    assert written["n_unanswerable"] == 2
    assert sum(written["models"].values()) == 18
    assert set(written["all"]) == {"grep", "bm25", "vector", "fusion", "learned"}
    for figures in written["all"].values():
        assert figures["recall@10"]["low"] <= figures["recall@10"]["value"] <= figures["recall@10"]["high"]
        assert figures["p99_ms"] >= figures["p50_ms"] > 0
    assert written["types"]["scope"]["n_questions"] == 3


def test_more_tokens_never_find_less(orion: Result) -> None:
    for outcomes in orion.outcomes.values():
        for said in outcomes.answers:
            found = [len(said.by_budget[budget]) for budget in sorted(said.by_budget)]
            assert found == sorted(found)


def test_a_kept_directory_is_asked_again_without_storing_and_gives_the_same(
    orion: Result, kept: Path
) -> None:
    steps = Steps()
    again = evaluate(question_file.read(ORION), Plan(keep=kept), steps)
    assert "stored" not in steps.seen
    assert "asked" in steps.seen
    for way, outcomes in again.outcomes.items():
        assert [said.ranked for said in outcomes.answers] == [
            said.ranked for said in orion.outcomes[way].answers
        ]


def test_in_process_the_answers_are_those_of_the_socket(orion: Result, kept: Path) -> None:
    direct = evaluate(question_file.read(ORION), Plan(keep=kept, is_in_process=True), Steps())
    by_socket = orion.outcomes["learned"].answers
    for said, expected in zip(direct.outcomes["learned"].answers, by_socket, strict=True):
        assert said.ranked == expected.ranked
        assert said.by_budget == expected.by_budget
        assert said.best_score == expected.best_score
    assert "in this process" in text_of(direct)


def test_a_kept_directory_of_other_texts_is_refused(orion: Result, kept: Path) -> None:
    dataset = question_file.read(ORION)
    (pool,) = dataset.pools
    changed = Dataset(
        dataset.name, (Pool(pool.name, pool.texts[1:], pool.questions[:1]),), "texts", "questions"
    )
    with pytest.raises(EvaluationError, match="holds other texts"):
        evaluate(changed, Plan(keep=kept), Steps())


def test_sessions_are_found_by_their_turns_and_pools_can_be_joined(kept: Path) -> None:
    def pool(name: str, *said: str) -> Pool:
        texts = tuple(Text(str(i), text, f"s{i // 2}") for i, text in enumerate(said))
        return Pool(name, texts, (Question(f"what about {said[0]}", ("0",), "t"),))

    pools = (
        pool("a", "a heron by the lake", "it flew away", "the printer jams", "paper is out"),
        pool("b", "a kettle that whistles", "it was cheap", "the tram was late", "it rained"),
    )
    dataset = Dataset("two", pools, "texts", "questions")
    plan = Plan(unit="session", is_pooled=True, ks=(1, 2), ways=("learned",), keep=kept)
    steps = Steps()
    result = evaluate(dataset, plan, steps)
    assert [seen for seen in steps.seen if seen.startswith("pool")] == ["pool all 1 of 1"]
    learned = result.outcomes["learned"]
    assert [said.ranked[0] for said in learned.answers] == ["a/s0", "b/s0"]
    assert learned.figure("recall@1", 0).value == 1.0
    assert set(said for answer in learned.answers for said in answer.ranked) <= {
        "a/s0",
        "a/s1",
        "b/s0",
        "b/s1",
    }
    assert result.n_groups == 2


def test_nothing_is_left_of_a_run_and_the_persons_own_data_are_untouched(
    monkeypatch: pytest.MonkeyPatch, short_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short_path))
    texts = (Text("a", "the heating is serviced in May"), Text("b", "the roof was mended"))
    dataset = Dataset("one", (Pool("p", texts, (Question("heating service", ("a",), "t"),)),), "", "")
    result = evaluate(dataset, Plan(ways=("learned",)), Steps())
    assert result.outcomes["learned"].figure("recall@5", 0).value == 1.0
    assert list(short_path.iterdir()) == []
    assert not home_dir().exists()
    running = [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])]
    assert not any(str(short_path) in part for line in running for part in line)


def test_without_vectors_to_compare_no_daemon_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> bool:
        raise AssertionError("a daemon was started")

    monkeypatch.setattr(lifecycle, "start", refused)
    result = evaluate(question_file.read(ORION), Plan(ways=("bm25",)), Steps())
    assert list(result.outcomes) == ["grep", "bm25"]


def test_ones_own_data_directory_is_never_used(monkeypatch: pytest.MonkeyPatch, short_path: Path) -> None:
    monkeypatch.setenv("PENCHANT_HOME", str(short_path / "own"))
    (short_path / "own").mkdir()
    for folder in (short_path / "own", short_path / "own" / "below"):
        with pytest.raises(EvaluationError, match="your own data directory"):
            evaluate(question_file.read(ORION), Plan(keep=folder), Steps())
    # The kept directory itself would be the person's own.
    monkeypatch.setenv("PENCHANT_HOME", str(short_path / "orion-orion"))
    with pytest.raises(EvaluationError, match="your own data directory"):
        evaluate(question_file.read(ORION), Plan(keep=short_path), Steps())


def test_a_store_that_is_not_of_an_evaluation_is_left_alone(short_path: Path) -> None:
    home = short_path / "orion-orion"
    home.mkdir()
    (home / "memory.db").write_bytes(b"mine")
    with pytest.raises(EvaluationError, match="holds a store that is not of an evaluation"):
        evaluate(question_file.read(ORION), Plan(keep=short_path), Steps())
    assert (home / "memory.db").read_bytes() == b"mine"


def test_a_directory_that_was_filled_by_half_is_filled_anew(short_path: Path) -> None:
    plan = Plan(ways=("learned",), keep=short_path)
    (pool,) = question_file.read(ORION).pools
    home = short_path / "orion-orion"
    with front_door.daemon_on(home) as client, pytest.raises(RuntimeError):

        def ended(*_: object) -> None:
            raise RuntimeError("the power is cut")

        front_door.fill(client, home, pool, ended)
    result = evaluate(question_file.read(ORION), plan, Steps())
    sets = result.outcomes["learned"].exact_sets()
    assert sets is not None
    assert sets.is_exact == 1.0
    with front_door.daemon_on(home) as client:
        assert client.status().counts.items == len(pool.texts)


def test_a_memory_is_sent_after_what_it_replaces() -> None:
    texts = [Text("a", "1"), Text("b", "2", supersedes="a"), Text("c", "3"), Text("t", "4", "s")]
    batches = [[text.key for text in batch] for batch in front_door.batches(texts)]
    assert batches == [["a"], ["b", "c"], ["t"]]


def test_memories_have_no_sessions_to_look_for() -> None:
    with pytest.raises(EvaluationError, match="holds memories, which are of no session"):
        evaluate(question_file.read(ORION), Plan(unit="session"), Steps())


def test_one_who_is_told_to_end_takes_the_daemon_along(short_path: Path) -> None:
    home = short_path / "orion-orion"
    run = subprocess.Popen(
        [sys.executable, "-m", "penchant_daemon.entry", "eval", "recall", "--dataset", str(ORION)]
        + ["--keep", str(short_path)],
        env=dict(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    pause, deadline = threading.Event(), time.monotonic() + 60
    while (owner := lifecycle.owner(home)) is None and time.monotonic() < deadline:
        pause.wait(0.02)
    assert owner is not None
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=60) == 128 + signal.SIGTERM
    assert lifecycle.owner(home) is None


def test_a_store_that_was_filled_without_a_note_is_asked_in_process(short_path: Path) -> None:
    texts = (
        Text("1", "the kiln is fired on Sundays", "s"),
        Text("2", "glaze is mixed by hand", "s", "assistant"),
        Text("3", "clay comes from Westerwald"),
    )
    questions = (Question("when is the kiln fired", ("1",), "t"), Question("clay origin", ("3",), "t"))
    store = Store.open(short_path / "pottery-p")
    store.add_events(
        [
            NewEvent(
                kind="message",
                role=text.role,
                content=text.text,
                session="s",
                agent="a",
                channel="transcript",
                source_key=text.key,
            )
            for text in texts[:2]
        ]
    ).result()
    store.add_memories([NewMemory(texts[2].text, scope="global", agent="a")]).result()
    store.close()
    plan = Plan(ways=("learned",), keep=short_path, is_in_process=True)
    result = evaluate(Dataset("pottery", (Pool("p", texts, questions),), "", ""), plan, Steps())
    assert [said.ranked[0] for said in result.outcomes["learned"].answers] == ["1", "3"]
    more = Pool("p", (*texts, Text("4", "never stored")), questions)
    with pytest.raises(EvaluationError, match="lacks 1 of the 4 texts"):
        evaluate(Dataset("pottery", (more,), "", ""), plan, Steps())
