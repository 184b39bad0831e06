"""What an evaluation stores and asks: texts, questions with their right answers, and pools of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from penchant_daemon.wire import MemoryKind, Role, Scope

__all__ = ["Dataset", "Pool", "Question", "Text", "Unit", "first_questions", "pooled"]

Unit = Literal["turn", "session"]

#: Questions are asked so long after the last turn that "last week" means the week before the conversation ended.
ASKED_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Text:
    """One text that is stored: a turn of a conversation, or (without a session) a memory.

    :param key: what the data set calls it; unique in its pool.
    :param session: the conversation's session; None remembers the text as a statement.
    :param speaker: a name; None leaves it to the role.
    :param occurred_at: UTC; None: when it is stored.
    :param kind: of a memory, as are `scope`, `agent`, `valid_from`, `valid_to` and `supersedes` (a key).
    """

    key: str
    text: str
    session: str | None = None
    role: Role = "user"
    speaker: str | None = None
    occurred_at: datetime | None = None
    project: str | None = None
    kind: MemoryKind = "fact"
    scope: Scope | None = None
    agent: str | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    supersedes: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and which texts hold the answer.

    :param answers: keys of the right texts; empty (with no sessions): nothing that is stored answers it.
    :param sessions: the right sessions, where the data set names them; else those of the answers are meant.
    :param type: what kind of question it is, by its data set.
    :param group: what is drawn as one when intervals are resampled: its conversation; None draws questions.
    :param fresh: of an update, the keys of what is true now; `stale` of what was.
    :param is_exact: `answers` are all that should be returned.
    :param project: asked within this project, `agent` by this agent, `as_of` this time (else a day after
        the last turn).
    :param limit: most results; None leaves it to the run.
    :param min_relevance: under which results are held back; None: what the daemon's config says.
    """

    text: str
    answers: tuple[str, ...]
    type: str
    sessions: tuple[str, ...] = ()
    group: str | None = None
    fresh: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    is_exact: bool = False
    project: str | None = None
    agent: str | None = None
    as_of: datetime | None = None
    limit: int | None = None
    min_relevance: float | None = None

    @property
    def is_answerable(self) -> bool:
        """Whether anything that is stored is right."""
        return bool(self.answers or self.sessions)


@dataclass(frozen=True, slots=True)
class Pool:
    """What is searched together, in one data directory."""

    name: str
    texts: tuple[Text, ...]
    questions: tuple[Question, ...]

    @property
    def asked_at(self) -> datetime | None:
        """A day after the last turn; None (now) when some text does not say when it was: it is of now."""
        times = [text.occurred_at for text in self.texts]
        known = [time for time in times if time is not None]
        return max(known) + ASKED_AFTER if known and len(known) == len(times) else None

    @property
    def digest(self) -> str:
        """Of the texts: a data directory that was kept is used again for these and no others."""
        plain = [asdict(text) for text in self.texts]
        written = json.dumps(plain, ensure_ascii=True, sort_keys=True, default=str)
        return hashlib.sha256(written.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Dataset:
    """Pools of one origin.

    :param texts_are: which texts are stored, in words, for the report; `questions_are` which are asked.
    :param unit: what is usually looked for in it.
    """

    name: str
    pools: tuple[Pool, ...]
    texts_are: str
    questions_are: str
    unit: Unit = "turn"

    @property
    def n_texts(self) -> int:
        return sum(len(pool.texts) for pool in self.pools)

    @property
    def n_questions(self) -> int:
        return sum(len(pool.questions) for pool in self.pools)


def pooled(dataset: Dataset) -> Dataset:
    """The same with all conversations in one pool; keys and sessions get their pool's name before them."""
    if len(dataset.pools) == 1:
        return dataset
    texts = [_moved(text, pool.name) for pool in dataset.pools for text in pool.texts]
    questions = [_asked_in_all(question, pool.name) for pool in dataset.pools for question in pool.questions]
    return replace(dataset, pools=(Pool("all", tuple(texts), tuple(questions)),))


def first_questions(dataset: Dataset, n: int) -> Dataset:
    """The same with its first `n` questions; pools without one are left out."""
    pools: list[Pool] = []
    for pool in dataset.pools:
        kept = pool.questions[: n - sum(len(one.questions) for one in pools)]
        if kept:
            pools.append(replace(pool, questions=kept))
    return replace(dataset, pools=tuple(pools), questions_are=f"the first {n} of: {dataset.questions_are}")


def _moved(text: Text, pool: str) -> Text:
    return replace(
        text,
        key=f"{pool}/{text.key}",
        session=None if text.session is None else f"{pool}/{text.session}",
        supersedes=None if text.supersedes is None else f"{pool}/{text.supersedes}",
    )


def _asked_in_all(question: Question, pool: str) -> Question:
    def moved(keys: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{pool}/{key}" for key in keys)

    return replace(
        question,
        answers=moved(question.answers),
        sessions=moved(question.sessions),
        fresh=moved(question.fresh),
        stale=moved(question.stale),
        group=question.group or pool,
    )
