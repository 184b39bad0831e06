"""A person's own questions: what a file may say, and what is said of a wrong one."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from penchant_daemon.evaluation import question_file
from penchant_daemon.evaluation.errors import DataInvalid, DataMissing

ROOT = Path(__file__).resolve().parents[3]

GOOD: dict[str, Any] = {
    "name": "mine",
    "conversations": [
        {
            "id": "s1",
            "project": "orion",
            "turns": [
                {"id": "t1", "text": "We cut branches on Thursdays.", "at": "2026-11-16T09:00:00+01:00"},
                {"id": "t2", "text": "Noted.", "role": "assistant", "at": "2026-11-16T09:01:00Z"},
            ],
        }
    ],
    "memories": [
        {"id": "m1", "text": "Two nodes.", "at": "2026-11-01"},
        {"id": "m2", "text": "Three nodes.", "at": "2026-11-02", "supersedes": "m1"},
    ],
    "questions": [
        {"question": "when are branches cut?", "answers": ["t1"], "type": "decision"},
        {"question": "how many nodes?", "answer_texts": ["NODES"], "fresh": ["m2"], "stale": ["m1"]},
        {"question": "who?", "answers": []},
    ],
}


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_file_becomes_one_pool_of_texts_and_questions(tmp_path: Path) -> None:
    dataset = question_file.read(written(tmp_path, GOOD))
    (pool,) = dataset.pools
    assert [(text.key, text.session, text.role) for text in pool.texts] == [
        ("t1", "s1", "user"),
        ("t2", "s1", "assistant"),
        ("m1", None, "user"),
        ("m2", None, "user"),
    ]
    assert pool.texts[0].occurred_at == datetime(2026, 11, 16, 8, 0, tzinfo=UTC)
    assert pool.texts[3].supersedes == "m1"
    assert pool.asked_at == datetime(2026, 11, 17, 9, 1, tzinfo=UTC)
    assert [question.answers for question in pool.questions] == [("t1",), ("m1", "m2"), ()]
    assert [question.is_answerable for question in pool.questions] == [True, True, False]
    assert [question.type for question in pool.questions] == ["decision", "question", "question"]


def test_a_text_without_a_time_is_of_now_and_so_are_the_questions(tmp_path: Path) -> None:
    content = copy.deepcopy(GOOD)
    del content["memories"][0]["at"]
    (pool,) = question_file.read(written(tmp_path, content)).pools
    assert pool.asked_at is None


@pytest.mark.parametrize(
    ("path", "value", "field", "why"),
    [
        (("questions", 0, "answers"), ["t9"], "questions[0].answers[0]", "no turn or memory has the id 't9'"),
        (("questions", 1, "answer_texts"), ["x9"], "questions[1].answer_texts[0]", "contains 'x9'"),
        (("questions", 0, "answer_texts"), ["nodes"], "questions[0]", "either answers"),
        (("questions", 1, "stale"), [], "questions[1]", "fresh and stale belong together"),
        (("questions", 1, "stale"), ["t9"], "questions[1].stale[0]", "no turn or memory has the id 't9'"),
        (("questions", 0, "project"), "lyra", "questions[0].project", "nothing is stored"),
        (("questions", 0, "exact"), "yes", "questions[0].exact", "boolean"),
        (("questions", 0, "colour"), "red", "questions[0].colour", "not permitted"),
        (("questions", 0, "limit"), 0, "questions[0].limit", "greater than or equal to 1"),
        (("questions", 0, "min_relevance"), 2, "questions[0].min_relevance", "less than or equal to 1"),
        (("questions",), [], "questions", "at least 1 item"),
        (("memories", 0, "id"), "t1", "memories[0].id", "the id of conversations[0].turns[0] too"),
        (("memories", 0, "supersedes"), "m2", "memories[0].supersedes", "no memory before it"),
        (("memories", 1, "supersedes"), "t1", "memories[1].supersedes", "no memory before it"),
        (("memories", 0, "kind"), "opinion", "memories[0].kind", "fact"),
        (("memories", 0, "text"), "  ", "memories[0].text", "nothing but spaces"),
        (("memories", 0, "at"), "monday", "memories[0].at", "ISO-8601"),
        (("conversations", 0, "turns"), [], "conversations[0].turns", "at least 1 item"),
        (("conversations", 0, "turns", 1, "role"), "robot", "conversations[0].turns[1].role", "user"),
        (("conversations", 0, "turns", 1, "id"), "t1", "conversations[0].turns[1].id", "the id of"),
        (("name",), "", "name", "at least 1 character"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(
    tmp_path: Path, path: tuple[str | int, ...], value: Any, field: str, why: str
) -> None:
    content = copy.deepcopy(GOOD)
    place: Any = content
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    file = written(tmp_path, content)
    with pytest.raises(DataInvalid) as caught:
        question_file.read(file)
    assert caught.value.message.startswith(f"{file}: {field}: ")
    assert why in caught.value.message
    assert caught.value.hint == "docs/evaluation.md describes the format"


def test_a_file_that_stores_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="there is nothing to be found"):
        question_file.read(written(tmp_path, {"questions": [{"question": "who?", "answers": []}]}))


def test_two_conversations_of_one_id_are_refused(tmp_path: Path) -> None:
    content = copy.deepcopy(GOOD)
    content["conversations"] *= 2
    with pytest.raises(DataInvalid, match=r"conversations\[0\].id: 's1' is the id of two conversations"):
        question_file.read(written(tmp_path, content))


@pytest.mark.parametrize("content", ["", "{", "[1, 2", '{"questions": NaN}', "\ud83d".join("ab")[:1]])
def test_what_is_no_json_is_refused_with_its_place(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataInvalid, match=r"mine.json( is no JSON|: )"):
        question_file.read(written(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"none.json: No such file"):
        question_file.read(tmp_path / "none.json")


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*-questions.json")), ids=lambda path: path.name)
def test_the_files_that_we_ship_can_be_read(path: Path) -> None:
    dataset = question_file.read(path)
    assert dataset.n_questions > 10
    assert any(question.is_exact for question in dataset.pools[0].questions)


def test_the_file_in_the_documentation_can_be_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    (block,) = [part.split("```")[0] for part in page.split("```json\n")[1:]]
    dataset = question_file.read(written(tmp_path, block))
    assert dataset.n_questions == 4
