"""Public evaluation sets, read from a folder beside the person's work; nothing of them is kept or shipped.

Each is read as its authors publish it (docs/evaluation.md says which file belongs where).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penchant_daemon.evaluation.datasets import Dataset, Pool, Question, Text
from penchant_daemon.evaluation.errors import DataMissing

__all__ = ["PUBLIC_SETS", "default_data_folder", "load"]

_LOCOMO_TYPES = {1: "multi-hop", 2: "time", 3: "open", 4: "single-hop", 5: "adversarial"}
_LOCOMO_TIME = "%I:%M %p on %d %B, %Y"
_LONGMEMEVAL_TIME = "%Y/%m/%d %H:%M"


def default_data_folder() -> Path:
    """`../shared/data`, as seen from the current directory."""
    return Path("..") / "shared" / "data"


def load(name: str, data: Path) -> Dataset:
    """A public set by its name.

    :param data: the folder that holds the sets, each in a folder of its own.
    :raises DataMissing: its files are not there; the hint names them.
    """
    return _LOADERS[name](data)


def _found(data: Path, pattern: str, what: str) -> list[Path]:
    paths = sorted(data.glob(pattern)) if data.is_dir() else []
    if not paths:
        raise DataMissing(
            f"{data / pattern}: no such file",
            f"put {what} there, or name the folder that holds it with --data",
        )
    return paths


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _jsonl(path: Path) -> Iterator[Any]:
    return (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


def _locomo(data: Path) -> Dataset:
    """LoCoMo: people talk over months; questions name their turns. Those of category 5 have no answer."""
    paths = _found(data, "locomo/*.json", "LoCoMo's conversations (locomo10.json)")
    pools = tuple(_locomo_pool(sample) for path in paths for sample in _json(path))
    return Dataset(
        "locomo",
        pools,
        "every turn with its speaker and time; the caption of a shared picture is part of its turn",
        "categories 1 to 4 whose evidence names turns; category 5 (nothing is the answer) for AUROC alone",
    )


def _locomo_pool(sample: Any) -> Pool:
    name, conversation = sample["sample_id"], sample["conversation"]
    texts: list[Text] = []
    for n in sorted(int(key[8:]) for key in conversation if re.fullmatch(r"session_\d+", key)):
        at = datetime.strptime(conversation[f"session_{n}_date_time"], _LOCOMO_TIME).replace(tzinfo=UTC)
        for turn in conversation[f"session_{n}"]:
            caption = turn.get("blip_caption")
            text = turn["text"] + (f" [shares {caption}]" if caption else "")
            texts.append(Text(turn["dia_id"], text, f"{name}-{n}", "user", turn["speaker"], at))
    known = {text.key for text in texts}
    questions: list[Question] = []
    for asked in sample["qa"]:
        type_ = _LOCOMO_TYPES[asked["category"]]
        named = [key for said in asked.get("evidence", ()) for key in re.findall(r"D\d+:\d+", said)]
        answers = tuple(key for key in dict.fromkeys(named) if key in known)
        if type_ == "adversarial":
            questions.append(Question(asked["question"], (), type_, group=name))
        elif answers:
            questions.append(Question(asked["question"], answers, type_, group=name))
    return Pool(name, tuple(texts), tuple(questions))


def _beam(data: Path) -> Dataset:
    """BEAM 100K: long chats of a person with an assistant; ten types of question that name their turns."""
    paths = _found(data, "beam/100K/*/chat.json", "BEAM's chats of 100K with their probing_questions.json")
    pools = tuple(_beam_pool(path.parent) for path in sorted(paths, key=lambda path: int(path.parent.name)))
    return Dataset(
        "beam",
        pools,
        "every turn of person and assistant at the day of its time anchor",
        "every type whose questions name turns; abstention (nothing is the answer) for AUROC alone",
    )


def _beam_pool(folder: Path) -> Pool:
    texts: list[Text] = []
    at: datetime | None = None
    for batch in _json(folder / "chat.json"):
        for turn in (turn for group in batch["turns"] for turn in group):
            if turn.get("time_anchor"):
                at = _beam_day(turn["time_anchor"]) or at
            # A turn ends in marks of the generator ("->-> 1,1"), which no person wrote.
            text = re.sub(r"\s*->->.*$", "", turn["content"])
            session = f"beam-{folder.name}-{batch['batch_number']}"
            texts.append(Text(str(turn["id"]), text, session, turn["role"], None, at))
    known = {text.key for text in texts}
    questions: list[Question] = []
    for type_, of_type in _json(folder / "probing_questions.json").items():
        for asked in of_type:
            named = asked.get("source_chat_ids") or {}
            answers = _known(named, known)
            is_update = type_ == "knowledge_update" and isinstance(named, dict)
            fresh = _known(named["updated_info"], known) if is_update else ()
            stale = _known(named["original_info"], known) if is_update else ()
            if type_ == "abstention":
                questions.append(Question(asked["question"], (), type_, group=folder.name))
            elif answers:
                questions.append(
                    Question(
                        asked["question"],
                        answers,
                        type_,
                        group=folder.name,
                        fresh=_less(fresh, stale),
                        stale=_less(stale, fresh),
                    )
                )
    return Pool(folder.name, tuple(texts), tuple(questions))


def _beam_day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%B-%d-%Y").replace(tzinfo=UTC)
    except ValueError:
        return None


def _known(named: Any, known: set[str]) -> tuple[str, ...]:
    return tuple(key for key in dict.fromkeys(map(str, _numbers(named))) if key in known)


def _less(keys: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(key for key in keys if key not in others)


def _numbers(value: Any) -> Iterator[int]:
    """All turn ids in a list, or in the lists of a dict."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _numbers(each)
    elif str(value).isdigit():
        yield int(value)


def _prefeval(data: Path) -> Dataset:
    """PrefEval: preferences that were stated once, and questions whose answer must keep to them."""
    paths = _found(data, "prefeval/explicit_preference/*.json", "PrefEval's explicit preferences")
    texts: dict[str, Text] = {}
    questions: list[Question] = []
    for path in paths:
        for number, asked in enumerate(_json(path)):
            said = asked["preference"]
            # The same preference is stated in several entries: one text, and each question is answered by it.
            key = texts.setdefault(said, Text(f"{path.stem}-{number}", said, f"{path.stem}-{number}")).key
            questions.append(Question(asked["question"], (key,), path.stem))
    return Dataset(
        "prefeval",
        (Pool("prefeval", tuple(texts.values()), tuple(questions)),),
        "every stated preference, as a message of the person in a session of its own",
        "each preference's question, asked among the preferences of all topics",
    )


def _cosqa(data: Path) -> Dataset:
    """CoSQA: web queries for Python functions."""
    (codes,) = _found(data, "cosqa/code_idx_map.txt", "CoSQA's functions")
    paths = _found(data, "cosqa/cosqa-retrieval-*.json", "CoSQA's queries")
    asked = [question for path in paths for question in _json(path)]
    return Dataset(
        "cosqa",
        (
            Pool(
                "cosqa",
                tuple(Text(str(number), code, kind="procedure") for code, number in _json(codes).items()),
                tuple(Question(q["doc"], (str(q["retrieval_idx"]),), "code") for q in asked),
            ),
        ),
        "every function, as a memory",
        "every query; one function is right",
    )


def _longmemeval(data: Path) -> Dataset:
    """A slice of LongMemEval-S: many sessions of one person, and questions that name theirs."""
    paths = _found(data, "longmemeval*/questions.jsonl", "LongMemEval's questions.jsonl and sessions.jsonl")
    texts: list[Text] = []
    questions: list[Question] = []
    for path in paths:
        right: dict[str, list[str]] = {}
        (sessions,) = _found(path.parent, "sessions.jsonl", "LongMemEval's sessions")
        for session in _jsonl(sessions):
            day_and_time = re.sub(r"\([^)]*\)\s*", "", session["timestamp"])  # without the weekday
            at = datetime.strptime(day_and_time, _LONGMEMEVAL_TIME).replace(tzinfo=UTC)
            for turn in session["turns"]:
                texts.append(Text(turn["id"], turn["content"], session["id"], turn["role"], None, at))
                if turn["metadata"].get("has_answer"):
                    right.setdefault(session["id"], []).append(turn["id"])
        for asked in _jsonl(path):
            named = asked["ground_truth"]["supporting_session_ids"]
            answers = tuple(key for session in named for key in right.get(session, ()))
            questions.append(Question(asked["question"], answers, asked["category"], tuple(named)))
    return Dataset(
        "longmemeval",
        (Pool("longmemeval", tuple(texts), tuple(questions)),),
        "every turn of person and assistant at its session's time",
        "every question, by the sessions that it names (turn by turn: those whose turns are marked)",
        unit="session",
    )


_LOADERS: dict[str, Callable[[Path], Dataset]] = {
    "locomo": _locomo,
    "beam": _beam,
    "prefeval": _prefeval,
    "cosqa": _cosqa,
    "longmemeval": _longmemeval,
}
PUBLIC_SETS = tuple(_LOADERS)
