"""Explanation: what each feature added to a result's score, in words that a person reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .background import KINDS
from .encode import date_in_words
from .features import NAMES
from .query import Query
from .text import STOP_WORDS, stem, words

#: Contributions below this share of the score are not worth a sentence.
MIN_SHARE = 0.02
#: What stands around a text must bring its words so much nearer to the query's to be worth a sentence.
MIN_ADDED_NEARNESS = 0.02

#: Facts of a result's background, which are said however little they add.
_CIRCUMSTANCES = frozenset(
    ("helped", "same_project", "same_session", "same_agent", "recent", "importance", *KINDS)
)

_OWN_TOKENS = NAMES.index("tokens")


@dataclass(frozen=True, slots=True)
class Contribution:
    """One feature's part in a score.

    :param value: the raw feature.
    :param added: what it added to the score.
    :param text: the same in words.
    """

    feature: str
    value: float
    added: float
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What a sentence about a result may name.

    :param is_alone: no turns stand around it.
    :param now: when it is asked, seconds since 1970; None says nothing of its age.
    :param n_helped: how often it helped or was used when it was recalled before, `n_wrong` how often it was wrong or
        outdated; a use counts by its strength.
    """

    content: str
    speaker: str | None
    kind: str
    occurred_at: int
    is_alone: bool = False
    now: int | None = None
    n_helped: float = 0.0
    n_wrong: float = 0.0


def explain(
    query: Query, values: NDArray[np.float32], contributions: NDArray[np.float32], shown: Shown
) -> tuple[Contribution, ...]:
    """The contributions to one result, largest first; what says nothing about this result is left out.

    :param values: (len(FEATURES),) raw features.
    :param contributions: (len(FEATURES),) what each added.

    What says the same of the turns around a text that stands alone is left out.
    """
    total = float(np.abs(contributions).sum())
    found = []
    for i in np.argsort(-contributions, kind="stable"):
        added, value = float(contributions[i]), float(values[i])
        if added <= 0.0:
            break
        if added <= MIN_SHARE * total and NAMES[i] not in _CIRCUMSTANCES:
            continue
        if NAMES[i] in ("tokens_window", "tokens_answer", "tokens"):
            text = _about_tokens(NAMES[i], value, float(values[_OWN_TOKENS]), shown)
        else:
            text = _in_words(NAMES[i], value, query, shown)
        if text is not None:
            found.append(Contribution(NAMES[i], round(value, 4), round(added, 4), text))
    return tuple(found)


def rest(contributions: NDArray[np.float32], bias: float, named: Sequence[Contribution]) -> float:
    """What the score has besides the named contributions: with it they sum to the score."""
    return round(float(contributions.sum()) + bias - sum(each.added for each in named), 4)


def against(query: Query, values: NDArray[np.float32], relevance: float, shown: Shown) -> tuple[str, ...]:
    """What speaks against a result, in words, the weightiest first.

    :param values: (len(FEATURES),) raw features.
    :param relevance: the probability that it answers the question.
    """
    value = dict(zip(NAMES, values.tolist(), strict=True))
    found = []
    if value["speaker"] == 0.0:
        found.append(
            f"said by {shown.speaker or 'somebody else'}, who is not the one that the question is about"
        )
    if shown.n_wrong > 0.0:
        found.append(f"was wrong or outdated {_times(shown.n_wrong)} when it was recalled before")
    if query.ranges and value["date"] < 0.25:
        found.append(f"not from the time that the question names, but from {_day(shown.occurred_at)}")
    if value["same_project"] == 0.0:
        found.append("of another project")
    if query.stems and value["coverage"] < 0.34:
        found.append(f"covers only {value['coverage']:.0%} of the question's words")
    if value["meaning"] and value["meaning"] < 0.3:
        found.append(f"far from the question in meaning (cosine {value['meaning']:.2f})")
    if relevance < 0.5:
        found.append(f"more probably no answer than one (relevance {relevance:.0%})")
    return tuple(found)


def _in_words(name: str, value: float, query: Query, shown: Shown) -> str | None:
    """A sentence for one feature; None where its value says nothing."""
    if name in ("words_window", "words_answer", "words"):
        return _about_words(name, query, shown)
    match name:
        case "meaning":
            return f"close in meaning (cosine {value:.2f})" if value else None
        case "meaning_near" | "meaning_session" if shown.is_alone:
            return None
        case "meaning_near":
            return f"close in meaning to what was said around it (cosine {value:.2f})"
        case "meaning_session":
            return f"from a conversation about it (cosine {value:.2f})"
        case "speaker":
            return _about_speaker(value, query, shown)
        case "speaker_first_person":
            return f"{shown.speaker or 'you'} speaking of themselves" if value == 1.0 else None
        case "date":
            named = ", ".join(f"“{r.words.strip()}”" for r in query.ranges)
            when = _day(shown.occurred_at)
            if value >= 0.75 and query.ranges:
                near = "" if value == 1.0 else "near "
                return f"from {when}, {near}the time that the question names ({named})"
            return None
        case "when_time":
            return "holds a time, and the question asks for one"
        case "names_thing":
            return "holds a name, and the question asks for one"
        case "length":
            return "says more than most" if value > 0.6 else None
        case "statement":
            return "states rather than asks"
        case "after_question":
            return "answers a question"
        case "role_user":
            return "said by the person, not by the assistant" if value == 1.0 else None
        case "exact":
            return _about_letters(query, shown.content)
        case "kept":
            return f"kept on purpose, as a {shown.kind}"
        case "coverage":
            where = "it covers" if shown.is_alone else "it and the turns beside it cover"
            return f"{where} {value:.0%} of your question's words" if value else None
    return _about_circumstances(name, value, shown)


def _about_circumstances(name: str, value: float, shown: Shown) -> str | None:
    match name:
        case "helped" if shown.n_helped > 0.0 and value > 0.5:
            return f"helped {_times(shown.n_helped)} when it was recalled before"
        case "same_project" if value == 1.0:
            return "same project"
        case "same_session" if value == 1.0:
            return "said in this session"
        case "same_agent" if value == 1.0:
            return "written by the agent that asks"
        case "recent" if shown.now is not None and shown.occurred_at:
            return f"said {_ago(shown.now - shown.occurred_at)}"
        case "importance" if value > 0.5:
            return f"kept as important ({value:.0%})"
        case "decision" | "procedure" | "fact" | "note" if value == 1.0:
            return f"kept as a {name}"
    return None


def _times(n: float) -> str:
    whole = max(1, round(n))
    return {1: "once", 2: "twice"}.get(whole, f"{whole} times")


def _ago(seconds: int) -> str:
    """How long ago, in the unit in which a person would say it.

    >>> _ago(30), _ago(7_200), _ago(2 * 86_400), _ago(60 * 86_400)
    ('a moment ago', '2 hours ago', '2 days ago', '2 months ago')
    """
    for unit, size in (
        ("year", 31_557_600),
        ("month", 2_629_800),
        ("day", 86_400),
        ("hour", 3_600),
        ("minute", 60),
    ):
        n = int(seconds / size + 0.05)
        if n:
            return f"{n} {unit}{'' if n == 1 else 's'} ago"
    return "a moment ago"


def _day(occurred_at: int) -> str:
    return date_in_words(occurred_at).split(" on ")[1]


def _about_tokens(name: str, value: float, own: float, shown: Shown) -> str | None:
    """How near its words are: one sentence for the text, one for what stands around it where that adds something.

    :param own: the nearness of the text's own words.
    """
    if not value:
        return None
    adds = value - own >= MIN_ADDED_NEARNESS and not shown.is_alone
    if name == "tokens_answer":
        # The sentence on tokens_window says the rest.
        return (
            f"with the question that it answers, its words are near to yours ({value:.0%})" if adds else None
        )
    if name == "tokens_window" and adds:
        return f"its words and those of the turns around it are near to yours ({value:.0%})"
    return f"its words are near to yours ({value:.0%})"


def _about_words(name: str, query: Query, shown: Shown) -> str | None:
    """Which words it shares with the question: one sentence for the text, one for what stands around it."""
    wanted = set(query.stems)
    content = dict.fromkeys(words(shown.content))
    own = [w for w in content if w not in STOP_WORDS and stem(w) in wanted][:6]
    said = f"says {', '.join(f'“{w}”' for w in own)}" if own else ""
    if name == "words":
        return said or None
    if name == "words_answer":
        if shown.is_alone or own:
            return None  # the sentence on words_window names them
        return "the question just before it has words of yours"
    if shown.is_alone:
        return said or None
    return said or "the turns around it have words of your question"


def _about_letters(query: Query, content: str) -> str | None:
    """What of the query the text holds to the letter: identifiers and quotes, else words inside of its words."""
    low, own = content.lower(), set(words(content))
    parts = [w for w in query.words if len(w) > 3 and w not in own]
    found = [f for f in (*query.fragments, *parts) if f.lower() in low]
    return f"holds {', '.join(f'“{f}”' for f in found[:4])} to the letter" if found else None


def _about_speaker(value: float, query: Query, shown: Shown) -> str | None:
    if value != 1.0:
        return None
    if query.speakers:
        return f"said by {shown.speaker}, whom the question names"
    return (
        "said by the assistant, whom the question asks about"
        if query.is_about_you
        else "said by the person who asks"
    )
