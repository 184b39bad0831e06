"""A person's own questions: one JSON file with what is stored, what is asked and what is right.

The format is in docs/evaluation.md. A file is checked as a whole before anything is stored; what is wrong is
said with the path of its field, such as `questions[3].answers[0]`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penchant_daemon.evaluation.datasets import Dataset, Pool, Question, Text
from penchant_daemon.evaluation.errors import DataInvalid, DataMissing
from penchant_daemon.wire import MAX_LIMIT, AsOf, Content, Instant, MemoryKind, Name, Role, Scope

__all__ = ["QuestionFile", "read"]

_HINT = "docs/evaluation.md describes the format"
_MAX_BYTES = 200_000_000


class _Part(BaseModel):
    """Base of every object of the file: strict types, unknown fields refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class TurnIn(_Part):
    """One message of a conversation."""

    id: Name
    text: Content
    role: Role = "user"
    speaker: Name | None = None
    at: Instant | None = None


class ConversationIn(_Part):
    """A session and its messages, in order."""

    id: Name
    project: Name | None = None
    turns: Annotated[list[TurnIn], Field(min_length=1)]


class StatementIn(_Part):
    """One memory."""

    id: Name
    text: Content
    kind: MemoryKind = "fact"
    scope: Scope | None = None
    project: Name | None = None
    agent: Name | None = None
    speaker: Name | None = None
    at: Instant | None = None
    valid_from: Instant | None = None
    valid_to: Instant | None = None
    supersedes: Name | None = None


class QuestionIn(_Part):
    """What is asked, and what is right: ids, or texts of which each right one contains one."""

    question: Content
    answers: list[Name] | None = None
    answer_texts: Annotated[list[Content], Field(min_length=1)] | None = None
    exact: bool = False
    type: Name = "question"
    fresh: list[Name] = []
    stale: list[Name] = []
    project: Name | None = None
    agent: Name | None = None
    as_of: AsOf | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] | None = None
    min_relevance: Annotated[float, Field(ge=0.0, le=1.0, strict=False)] | None = None


class QuestionFile(_Part):
    """The whole file."""

    name: Name | None = None
    description: str = ""
    conversations: list[ConversationIn] = []
    memories: list[StatementIn] = []
    questions: Annotated[list[QuestionIn], Field(min_length=1)]


def read(path: Path) -> Dataset:
    """The data set that a file describes; all of it is one pool.

    :raises DataMissing: there is no such file, or it cannot be read.
    :raises DataInvalid: it is no JSON, or a field is wrong.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataMissing(f"{path}: {error.strerror or error}", _HINT) from error
    if len(content) > _MAX_BYTES:
        raise DataInvalid(f"{path} has {len(content):,} bytes; at most {_MAX_BYTES:,} are read")
    try:
        json.loads(content)  # its errors name line and column, pydantic's the field
        file = QuestionFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DataInvalid(
            f"{path}: {_path(first['loc'])}: {first['msg'][:1].lower()}{first['msg'][1:]}", _HINT
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataInvalid(f"{path} is no JSON: {error}", _HINT) from error
    try:
        pool = Pool(file.name or path.stem, _texts(file), _questions(file))
    except _Wrong as wrong:
        raise DataInvalid(f"{path}: {wrong.field}: {wrong.message}", _HINT) from wrong
    return Dataset(
        file.name or path.stem,
        (pool,),
        f"{sum(len(one.turns) for one in file.conversations):,} turns of {len(file.conversations):,} "
        f"conversations and {len(file.memories):,} memories",
        "all of the file; those with no answer for AUROC alone",
    )


class _Wrong(ValueError):
    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def _path(location: Sequence[int | str]) -> str:
    """`("questions", 3, "answers")` as `questions[3].answers`."""
    written = ""
    for part in location:
        written += f"[{part}]" if isinstance(part, int) else f".{part}" if written else part
    return written or "the file"


def _texts(file: QuestionFile) -> tuple[Text, ...]:
    texts: list[Text] = []
    fields: dict[str, str] = {}

    def add(text: Text, field: str) -> None:
        if text.key in fields:
            raise _Wrong(f"{field}.id", f"{text.key!r} is the id of {fields[text.key]} too")
        if not text.text.strip():
            raise _Wrong(f"{field}.text", "holds nothing but spaces")
        fields[text.key] = field
        texts.append(text)

    sessions = Counter(conversation.id for conversation in file.conversations)
    for i, conversation in enumerate(file.conversations):
        if sessions[conversation.id] > 1:
            raise _Wrong(f"conversations[{i}].id", f"{conversation.id!r} is the id of two conversations")
        for j, turn in enumerate(conversation.turns):
            text = Text(
                turn.id,
                turn.text,
                conversation.id,
                turn.role,
                turn.speaker,
                _time(turn.at),
                conversation.project,
            )
            add(text, f"conversations[{i}].turns[{j}]")
    for i, memory in enumerate(file.memories):
        field = f"memories[{i}]"
        if memory.supersedes is not None and not fields.get(memory.supersedes, "").startswith("memories"):
            raise _Wrong(f"{field}.supersedes", f"no memory before it has the id {memory.supersedes!r}")
        text = Text(
            memory.id,
            memory.text,
            speaker=memory.speaker,
            occurred_at=_time(memory.at),
            project=memory.project,
            kind=memory.kind,
            scope=memory.scope,
            agent=memory.agent,
            valid_from=_time(memory.valid_from),
            valid_to=_time(memory.valid_to),
            supersedes=memory.supersedes,
        )
        add(text, field)
    if not texts:
        raise _Wrong("conversations", "neither conversations nor memories: there is nothing to be found")
    return tuple(texts)


def _questions(file: QuestionFile) -> tuple[Question, ...]:
    by_key = {turn.id: turn.text for conversation in file.conversations for turn in conversation.turns}
    by_key |= {memory.id: memory.text for memory in file.memories}
    projects = {one.project for one in file.conversations} | {one.project for one in file.memories}
    questions = []
    for i, asked in enumerate(file.questions):
        field = f"questions[{i}]"
        if (asked.answers is None) == (asked.answer_texts is None):
            raise _Wrong(field, "needs either answers (ids, [] for none) or answer_texts")
        if bool(asked.fresh) != bool(asked.stale):
            raise _Wrong(field, "fresh and stale belong together")
        if asked.project is not None and asked.project not in projects:
            raise _Wrong(f"{field}.project", f"nothing is stored in a project {asked.project!r}")
        for name, keys in (("answers", asked.answers or ()), ("fresh", asked.fresh), ("stale", asked.stale)):
            for j, key in enumerate(keys):
                if key not in by_key:
                    raise _Wrong(f"{field}.{name}[{j}]", f"no turn or memory has the id {key!r}")
        answers = dict.fromkeys(asked.answers or ())
        for j, part in enumerate(asked.answer_texts or ()):
            found = [key for key, text in by_key.items() if part.casefold() in text.casefold()]
            if not found:
                raise _Wrong(f"{field}.answer_texts[{j}]", f"no turn or memory contains {part!r}")
            answers.update(dict.fromkeys(found))
        questions.append(
            Question(
                asked.question,
                tuple(answers),
                asked.type,
                fresh=tuple(asked.fresh),
                stale=tuple(asked.stale),
                is_exact=asked.exact,
                project=asked.project,
                agent=asked.agent,
                as_of=_time(asked.as_of),
                limit=asked.limit,
                min_relevance=asked.min_relevance,
            )
        )
    return tuple(questions)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
