"""The evaluation sets beside the repository, as conversations to log and questions to ask; never copied."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Turn:
    """One text of a set: a turn of a conversation, or (without a session) a memory.

    :param key: what the set calls it.
    :param speaker: a name; None leaves it to the role.
    """

    key: str
    text: str
    session: str | None = None
    role: str = "user"
    speaker: str | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the keys of the turns that hold the answer."""

    text: str
    answers: tuple[str, ...]
    category: str


@dataclass(frozen=True, slots=True)
class Pool:
    """What is searched together: a conversation, or a set of functions."""

    name: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]


def load(name: str) -> list[Pool]:
    """A set by name: locomo, beam or cosqa.

    :raises FileNotFoundError: the data is not beside the repository.
    """
    return list({"locomo": _locomo, "beam": _beam, "cosqa": _cosqa}[name]())


_LOCOMO_CATEGORIES = {1: "multi-hop", 2: "time", 3: "open", 4: "single-hop"}


def _locomo() -> Iterator[Pool]:
    """LoCoMo, categories 1 to 4 with evidence; the caption of a shared picture is part of its turn."""
    for sample in json.loads((DATA / "locomo" / "dev.json").read_text(encoding="utf-8")):
        conversation = sample["conversation"]
        numbers = [int(k[8:]) for k in conversation if re.fullmatch(r"session_\d+", k)]
        turns = []
        for n in sorted(numbers):
            at = datetime.strptime(conversation[f"session_{n}_date_time"], "%I:%M %p on %d %B, %Y")
            for turn in conversation[f"session_{n}"]:
                caption = turn.get("blip_caption")
                text = turn["text"] + (f" [shares {caption}]" if caption else "")
                when = at.replace(tzinfo=UTC)
                turns.append(
                    Turn(turn["dia_id"], text, f"{sample['sample_id']}-{n}", "user", turn["speaker"], when)
                )
        known = {turn.key for turn in turns}
        questions = []
        for question in sample["qa"]:
            named = [key for said in question.get("evidence", ()) for key in re.findall(r"D\d+:\d+", said)]
            answers = tuple(key for key in dict.fromkeys(named) if key in known)
            if answers and question["category"] in _LOCOMO_CATEGORIES:
                category = _LOCOMO_CATEGORIES[question["category"]]
                questions.append(Question(question["question"], answers, category))
        yield Pool(sample["sample_id"], tuple(turns), tuple(questions))


def _beam() -> Iterator[Pool]:
    """BEAM 100K: a person and an assistant; every question type that names its turns."""
    for folder in sorted((DATA / "beam" / "100K").iterdir(), key=lambda path: int(path.name)):
        turns: list[Turn] = []
        at: datetime | None = None
        for batch in json.loads((folder / "chat.json").read_text(encoding="utf-8")):
            for turn in (turn for group in batch["turns"] for turn in group):
                if turn.get("time_anchor"):
                    at = _anchor(turn["time_anchor"]) or at
                text = re.sub(r"\s*->->.*$", "", turn["content"])
                session = f"beam-{folder.name}-{batch['batch_number']}"
                turns.append(Turn(str(turn["id"]), text, session, turn["role"], None, at))
        known = {turn.key for turn in turns}
        questions = []
        asked = json.loads((folder / "probing_questions.json").read_text(encoding="utf-8"))
        for category, of_category in asked.items():
            for question in of_category:
                named = dict.fromkeys(map(str, _numbers(question.get("source_chat_ids", []))))
                answers = tuple(key for key in named if key in known)
                if answers and category != "abstention":
                    questions.append(Question(question["question"], answers, category))
        yield Pool(folder.name, tuple(turns), tuple(questions))


def _cosqa() -> Iterator[Pool]:
    """CoSQA: web queries for Python functions."""
    codes = json.loads((DATA / "cosqa" / "code_idx_map.txt").read_text(encoding="utf-8"))
    asked = json.loads((DATA / "cosqa" / "cosqa-retrieval-dev-500.json").read_text(encoding="utf-8"))
    yield Pool(
        "cosqa",
        tuple(Turn(str(number), code) for code, number in codes.items()),
        tuple(Question(q["doc"], (str(q["retrieval_idx"]),), "code") for q in asked),
    )


def _anchor(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%B-%d-%Y").replace(tzinfo=UTC)
    except ValueError:
        return None


def _numbers(value: Any) -> Iterator[int]:
    """All turn ids in a list, or in the lists of a dict."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _numbers(each)
    elif str(value).isdigit():
        yield int(value)
