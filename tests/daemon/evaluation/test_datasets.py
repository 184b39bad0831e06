"""Pools and their pooling, and the public sets where they lie beside the repository."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from penchant_daemon.evaluation import public_sets
from penchant_daemon.evaluation.datasets import Dataset, Pool, Question, Text, first_questions, pooled
from penchant_daemon.evaluation.errors import DataMissing

DAY = datetime(2026, 5, 8, tzinfo=UTC)


def two_pools() -> Dataset:
    pools = tuple(
        Pool(
            name,
            (Text("1", "hello", "s", occurred_at=DAY), Text("2", "bye", supersedes="1")),
            (Question("q1", ("1",), "t", fresh=("2",), stale=("1",)), Question("q2", (), "t", ("s",))),
        )
        for name in ("a", "b")
    )
    return Dataset("d", pools, "texts", "questions")


def test_pooling_keeps_every_conversation_apart_by_name() -> None:
    (pool,) = pooled(two_pools()).pools
    assert [text.key for text in pool.texts] == ["a/1", "a/2", "b/1", "b/2"]
    assert [text.session for text in pool.texts] == ["a/s", None, "b/s", None]
    assert pool.texts[3].supersedes == "b/1"
    assert [question.answers for question in pool.questions] == [("a/1",), (), ("b/1",), ()]
    assert pool.questions[2].fresh == ("b/2",)
    assert pool.questions[3].sessions == ("b/s",)
    # Intervals still draw the conversations that the questions are of.
    assert [question.group for question in pool.questions] == ["a", "a", "b", "b"]


def test_the_first_questions_leave_out_pools_that_are_not_asked() -> None:
    dataset = first_questions(two_pools(), 2)
    assert [(pool.name, len(pool.questions)) for pool in dataset.pools] == [("a", 2)]
    assert [len(pool.questions) for pool in first_questions(two_pools(), 3).pools] == [2, 1]
    assert first_questions(two_pools(), 99).n_questions == 4


def test_a_kept_directory_is_known_by_all_that_is_stored_in_it() -> None:
    (pool, other) = two_pools().pools
    assert pool.digest == other.digest
    changed = Pool("a", (*pool.texts[:1], Text("2", "bye", supersedes=None)), pool.questions)
    assert changed.digest != pool.digest


@pytest.mark.parametrize("name", public_sets.PUBLIC_SETS)
def test_missing_data_says_which_file_belongs_where(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataMissing) as caught:
        public_sets.load(name, tmp_path)
    assert str(tmp_path / name[:4]) in caught.value.message
    assert caught.value.hint is not None
    assert "--data" in caught.value.hint


def test_locomo_is_read_as_published(tmp_path: Path) -> None:
    sample = {
        "sample_id": "conv-1",
        "conversation": {
            "speaker_a": "Ann",
            "session_2_date_time": "1:56 pm on 8 May, 2023",
            "session_2": [{"speaker": "Ann", "dia_id": "D2:1", "text": "Look!", "blip_caption": "a dog"}],
            "session_1_date_time": "12:09 am on 13 September, 2022",
            "session_1": [{"speaker": "Ben", "dia_id": "D1:1", "text": "Hi"}],
        },
        "qa": [
            {"question": "what does Ann show?", "evidence": ["D2:1; D9:9"], "category": 4},
            {"question": "not asked: no such turn", "evidence": ["D9:9"], "category": 1},
            {"question": "what does Ben show?", "evidence": ["D2:1"], "category": 5},
        ],
    }
    (tmp_path / "locomo").mkdir()
    (tmp_path / "locomo" / "locomo10.json").write_text(json.dumps([sample]), encoding="utf-8")
    (pool,) = public_sets.load("locomo", tmp_path).pools
    assert [(text.key, text.text, text.speaker, text.session) for text in pool.texts] == [
        ("D1:1", "Hi", "Ben", "conv-1-1"),
        ("D2:1", "Look! [shares a dog]", "Ann", "conv-1-2"),
    ]
    assert pool.texts[0].occurred_at == datetime(2022, 9, 13, 0, 9, tzinfo=UTC)
    assert [(question.answers, question.type) for question in pool.questions] == [
        (("D2:1",), "single-hop"),
        ((), "adversarial"),
    ]


def test_beam_updates_name_what_is_true_now_and_what_was(tmp_path: Path) -> None:
    folder = tmp_path / "beam" / "100K" / "1"
    folder.mkdir(parents=True)
    turns = [
        {"role": "user", "id": 0, "time_anchor": "March-15-2024", "content": "It takes 3 s. ->-> 1,1"},
        {"role": "assistant", "id": 1, "content": "I see."},
        {"role": "user", "id": 2, "content": "It takes 1 s now."},
    ]
    (folder / "chat.json").write_text(json.dumps([{"batch_number": 1, "turns": [turns]}]), encoding="utf-8")
    named = {"original_info": [0], "updated_info": [2]}
    asked = {
        "knowledge_update": [{"question": "how long does it take?", "source_chat_ids": named}],
        "abstention": [{"question": "who?"}],
    }
    (folder / "probing_questions.json").write_text(json.dumps(asked), encoding="utf-8")
    (pool,) = public_sets.load("beam", tmp_path).pools
    assert pool.texts[0].text == "It takes 3 s."
    assert {text.occurred_at for text in pool.texts} == {datetime(2024, 3, 15, tzinfo=UTC)}
    update, none = pool.questions
    assert (update.answers, update.fresh, update.stale) == (("0", "2"), ("2",), ("0",))
    assert not none.is_answerable


@pytest.mark.parametrize(
    ("name", "n_pools", "n_texts", "n_answerable", "n_none"),
    [
        ("locomo", 5, 2760, 760, 237),
        ("beam", 10, 2734, 179, 20),
        ("prefeval", 1, 499, 505, 0),
        ("cosqa", 1, 6267, 500, 0),
        ("longmemeval", 1, 612, 16, 0),
    ],
)
def test_the_sets_beside_the_repository_are_read_whole(
    shared_data: Path, name: str, n_pools: int, n_texts: int, n_answerable: int, n_none: int
) -> None:
    dataset = public_sets.load(name, shared_data)
    questions = [question for pool in dataset.pools for question in pool.questions]
    assert (len(dataset.pools), dataset.n_texts) == (n_pools, n_texts)
    assert sum(question.is_answerable for question in questions) == n_answerable
    assert sum(not question.is_answerable for question in questions) == n_none
    for pool in dataset.pools:
        keys = [text.key for text in pool.texts]
        assert len(set(keys)) == len(keys)
        assert all(key in keys for question in pool.questions for key in question.answers)
