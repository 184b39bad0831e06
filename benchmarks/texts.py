"""Texts as people and assistants write them, from a seed: for filling a store with any number of memories.

Words are the whole words of the embedder's vocabulary (over 20,000, ordered by frequency), drawn by Zipf's
law; names, identifiers, paths and versions are mixed in, and lengths vary as messages do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np

from penchant_daemon.models.registry import find_model

START = datetime(2025, 1, 6, 8, 0, tzinfo=UTC)
ZIPF_EXPONENT = 1.05
SHARE_WITH_CODE = 0.25
MEDIAN_WORDS = 22.0
SPREAD_OF_LENGTH = 0.8  # sigma of the logarithm
MESSAGES_A_SESSION = 40
N_PROJECTS = 12
FIRST = ("Ada", "Ben", "Chloe", "Dmitri", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kira", "Luis")
LAST = ("Abbas", "Brandt", "Costa", "Dahl", "Eriksen", "Fonseca", "Garza", "Haddad", "Ito", "Jansen", "Kovac")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a made-up session."""

    role: str
    content: str
    session: str
    project: str
    occurred_at: str


@cache
def vocabulary() -> tuple[str, ...]:
    """Over 20,000 English words, the frequent ones first."""
    file = Path(find_model("all-MiniLM-L6-v2", "embedder", Path("/nonexistent")).path) / "vocab.txt"
    return tuple(word for word in file.read_text("utf-8").split() if word.isalpha() and len(word) > 1)


class Writer:
    """An endless supply of varied text; the same seed gives the same text."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._words = np.array(vocabulary())
        weights = 1.0 / np.arange(1, len(self._words) + 1) ** ZIPF_EXPONENT
        self._cumulative = np.cumsum(weights / weights.sum())

    def words(self, n: int) -> list[str]:
        """`n` words by Zipf's law."""
        drawn = np.searchsorted(self._cumulative, self._random.random(n))
        return [str(word) for word in self._words[np.minimum(drawn, len(self._words) - 1)]]

    def text(self) -> str:
        """One message."""
        n = int(np.clip(self._random.lognormal(np.log(MEDIAN_WORDS), SPREAD_OF_LENGTH), 3, 250))
        words = self.words(n)
        if self._random.random() < SHARE_WITH_CODE:
            words.insert(int(self._random.integers(len(words))), self._code())
        if self._random.random() < 0.3:
            words.insert(0, f"{self._pick(FIRST)} {self._pick(LAST)} said")
        text, sentence = "", 0
        for word in words:
            text += (word.capitalize() if sentence == 0 else word) if not text else f" {word}"
            sentence += 1
            if sentence > 9 and self._random.random() < 0.15:
                text, sentence = text + ".", 1
        return text + "."

    def query(self, text: str) -> str:
        """A question about a text: some of its rarer words, in their order."""
        words = [word.strip(".") for word in text.split() if len(word) > 4] or text.split()
        n = min(len(words), int(self._random.integers(3, 8)))
        chosen = sorted(self._random.choice(len(words), size=n, replace=False))
        return "what did we say about " + " ".join(words[i] for i in chosen) + "?"

    def messages(self, n: int) -> Iterator[Message]:
        """`n` messages in sessions of a dozen projects over two years, oldest first."""
        step = timedelta(days=700) / max(1, n)
        for i in range(n):
            at = START + i * step
            session = i // MESSAGES_A_SESSION
            yield Message(
                role="user" if i % 2 == 0 else "assistant",
                content=self.text(),
                session=f"bench-{session}",
                project=f"/home/someone/projects/{self.word_of(session % N_PROJECTS)}",
                occurred_at=at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            )

    def word_of(self, number: int) -> str:
        """A fixed word for a number."""
        return str(self._words[1_000 + number])

    def _pick(self, names: tuple[str, ...]) -> str:
        return names[int(self._random.integers(len(names)))]

    def _code(self) -> str:
        first, second, third = self.words(3)
        kind = int(self._random.integers(5))
        number = int(self._random.integers(1, 500))
        return (
            f"{first}_{second}_{third}()",
            f"src/{first}/{second}_{number}.py:{number}",
            f"{first.capitalize()}{second.capitalize()}Error",
            f"{first}=={number % 9}.{number % 31}.{number % 7}",
            f"{first}-{second}#{number}",
        )[kind]
