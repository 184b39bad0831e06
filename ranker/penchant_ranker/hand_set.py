"""The hand-set weights: what the daemon ranks by on day one. Fitted on nothing.

Each weight multiplies its feature, after "bm25" and "cosine" features are divided by the best candidate's
value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Weight:
    """One term of the sum.

    :param feature: a name of `features.FEATURES`.
    :param weight: how much the best value of the feature adds to the score.
    :param reason: why it is there.
    """

    feature: str
    weight: float
    reason: str


@dataclass(frozen=True, slots=True)
class HandSet:
    """A sum of weighed features.

    :param name: what impressions record as the model.
    :param scaling: "best" divides each scaled feature by its best value, "spread" takes its z-score over
        the candidates.
    """

    name: str
    scaling: Literal["best", "spread"]
    weights: tuple[Weight, ...]


_CUES = (
    Weight("meaning", 0.75, "finds what is said in other words"),
    Weight("meaning_near", 0.4, "the turn before or after is about it"),
    Weight("meaning_session", 0.2, "the session is about it"),
    Weight("speaker", 0.4, "a question about someone is mostly answered by them"),
    Weight("speaker_first_person", 0.3, "and in the first person"),
    Weight("date", 0.4, "the query names the time"),
    Weight("when_time", 0.3, "a question for a time is answered by one"),
    Weight("names_thing", 0.3, "a question for a thing, place or person is answered by a name"),
    Weight("length", 0.25, "longer turns say more"),
    Weight("statement", 0.2, "a question holds no answer"),
    Weight("after_question", 0.1, "what follows a question is an answer"),
    Weight(
        "role_user", 0.5, "what the person said is what is asked for, more than the assistant's long answers"
    ),
    Weight("exact", 0.75, "an identifier or a quote is meant to the letter"),
    Weight("kept", 0.3, "it was worth keeping to someone"),
    Weight("helped", 0.6, "what helped before helps again; what was wrong sinks"),
    Weight("same_project", 0.1, "before what belongs to no project"),
    Weight("same_session", 0.02, "breaks ties, and no more"),
)

CHAT = HandSet(
    name="hand-set-chat-2",
    scaling="best",
    weights=(
        Weight(
            "tokens_window", 1.5, "the strongest single signal: word by word, also where other words are used"
        ),
        Weight("tokens_answer", 0.75, "an answer seldom repeats the words of its question"),
        Weight("words_window", 0.75, "the same words, the rare ones most"),
        *_CUES,
    ),
)

#: For pools without token vectors: no embedder, or vectors that are being made anew.
CHAT_BY_WORDS = HandSet(
    name="hand-set-chat-by-words-2",
    scaling="best",
    weights=(
        Weight("words_window", 1.5, "the strongest single signal without token vectors"),
        Weight("words_answer", 0.75, "an answer seldom repeats the words of its question"),
        *_CUES,
    ),
)

CODE = HandSet(
    name="hand-set-code-2",
    scaling="spread",
    weights=(
        Weight("meaning", 1.0, "for code the vector is the signal"),
        Weight("tokens", 0.4, "a name that says the same in other words"),
        Weight("words", 0.2, "names split at underscores and humps"),
        Weight("exact", 0.5, "an identifier is meant to the letter"),
    ),
)
