"""People with a hidden taste, made from a seed: what they have in memory, what they ask, and which of it they want.

    vocabulary -> topics (a part of a program and something about it) -> statements on each, alike in their words
                                                   taste -> a wish for each statement -> the three that are wanted

Statements and their kind, age, agent, place, project, length and importance are drawn before the taste is, and by
another stream of random numbers: nothing is arranged so that a taste can be found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from penchant_daemon.wire import MemoryKind, Role

__all__ = ["GAINS", "N_STATEMENTS", "TRAITS", "Persona", "Statement", "Topic", "Trait", "persona"]

T = TypeVar("T")

#: Parts of programs and things to say about them. No two share a word (or stem), so that a topic that is asked about
#: for the measurement has no word in common with one that feedback was given on.
PARTS = (
    "invoice parser", "search crawler", "mail gateway", "photo resizer", "login page", "report exporter",
    "chat widget", "price scraper", "backup runner", "map renderer", "video encoder", "form builder",
    "news reader", "audit trail", "queue broker", "feature toggle", "rate limiter", "session cache",
    "label printer", "calendar sync", "push notifier", "theme editor", "address book", "usage meter",
    "coupon engine", "fraud detector", "ledger reconciler", "tax calculator", "warehouse picker", "route planner",
    "sensor collector", "firmware updater", "badge scanner", "ticket triager", "survey analyser", "playlist shuffler",
    "subtitle aligner", "glossary linter", "schema migrator", "webhook dispatcher", "cookie banner",
    "currency converter", "refund handler", "shipment tracker", "stock forecaster", "loan scorer", "claims intake",
    "patient registry", "dosage checker", "recipe importer", "fitness counter", "weather poller", "camera stitcher",
    "drone pilot", "battery monitor", "tide predictor", "crash symboliser", "log shipper", "metric aggregator",
    "alert pager", "secret vault", "certificate renewer", "container packer", "branch merger", "release drafter",
    "package mirror", "licence resolver", "diagram plotter", "formula evaluator", "font subsetter",
    "spreadsheet viewer", "voice recorder", "payroll ticker", "seat allocator", "visitor kiosk", "parcel locker",
)  # fmt: skip
MATTERS = (
    "retry budget", "request timeout", "batch size", "cleanup interval", "default locale", "thread count",
    "memory ceiling", "naming convention", "storage layout", "error wording", "cold start", "access policy",
    "rollout order", "sampling share", "colour palette", "write path", "fallback mode", "dependency pin",
    "owner rotation", "nightly window", "input validation", "checksum format", "idle behaviour", "hashing scheme",
)  # fmt: skip
N_TRAIN_MATTERS = 16

_BY_FORM: dict[str, tuple[str, ...]] = {
    "decision": (
        "We decided to keep the {m} of the {p} at {v}",
        "The {m} of the {p} will be {v} from now on",
        "Agreed in the review: {v} for the {m} of the {p}",
        "The {p} goes with {v} for its {m}",
    ),
    "procedure": (
        "To change the {m} of the {p}, edit {f} and run {c}",
        "Before a deploy, compare the {m} of the {p} with {f}",
        "When the {m} of the {p} misbehaves, restart it with {c}",
        "Look at the {m} of the {p} in {f} first, then run {c}",
    ),
    "fact": (
        "The {m} of the {p} is {v}",
        "The {p} reads its {m} from {f}",
        "In staging the {m} of the {p} stands at {v}",
        "The {p} has {v} as its {m}",
    ),
    "note": (
        "Saw the {m} of the {p} go wrong when {i}",
        "{w} asked about the {m} of the {p} because {i}",
        "The {m} of the {p} was {v} while {i}",
        "Worth another look: the {m} of the {p} when {i}",
    ),
    "user": (
        "Please set the {m} of the {p} to {v}",
        "Leave the {m} of the {p} alone while {i}",
        "I would rather have {v} as the {m} of the {p}",
        "The {m} of the {p} bothers me since {i}",
    ),
    "assistant": (
        "I set the {m} of the {p} to {v} in {f}",
        "The {m} of the {p} comes from {f}, and it is {v} there",
        "Done: the {p} now uses {v} for its {m}",
        "The {m} of the {p} is {v} now, and {c} passes",
    ),
}
#: What statements say of a topic: the first half of each is said of topics that feedback is given on, the second
#: half of those that the measurement asks about.
_DETAILS: dict[str, tuple[str, ...]] = {
    "v": (
        "the smallest one", "twice what it was", "what the vendor recommends", "the historical one",
        "half of theirs", "a provisional figure", "whatever the host offers", "something in between",
    ),
    "f": ("settings.toml", "deploy/values.yaml", "ops/README.md", "src/main.rs", "conf/base.ini", "infra/stack.tf"),
    "c": ("make verify", "just doctor", "the canary job", "the smoke suite", "bin/reload", "a dry run"),
    "i": (
        "traffic doubled", "the disk was full", "two nodes were down", "nobody was on call",
        "the clock went back", "a supplier moved", "the demo ran", "everyone was at the offsite",
    ),
    "w": ("Sam", "Priya", "Jonas", "Mei", "Ana", "Tariq"),
}  # fmt: skip
_TAILS = (
    "It took an afternoon to find out.",
    "Nobody has touched it since.",
    "That is also what the other team does, and they have had no trouble with it for a year.",
    "We can come back to it when there is time.",
    "The reasons are in the minutes, which are long, and mostly about who should have known.",
    "It is not pretty, but it holds.",
    "Measured twice, on the slow machine and on the fast one, with the same result within a percent.",
)
#: How it is asked, in training and in the measurement; and what a person without a taste adds.
_QUESTIONS = (
    ("the {m} of the {p}", "how is the {m} of the {p} set up?", "{p}: {m}"),
    ("what about the {m} of the {p}?", "{m} for the {p}", "which {m} does the {p} have?"),
)
_WITH_DETAIL = ("{q} The one about {d}", "{q} Something with {d}")

AGENTS = ("claude-code", "cursor", "codex")
PROJECTS = ("heron", "lantern")
OLDEST_DAYS = 400.0
#: Of one topic: two memories of each kind, two turns of the person, two of the assistant.
_FORMS = ("decision", "procedure", "fact", "note", "user", "assistant")
N_STATEMENTS = 2 * len(_FORMS)
#: What the statement is worth that somebody would have put first, second and third; all others nothing.
GAINS = (3, 2, 1)
#: Of a wish from 0 to 1, the part (standard deviation) that no trait explains.
LUCK = 0.1


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that is remembered on a topic.

    :param form: a kind of memory, or whose turn it is: `user`, `assistant`.
    :param age_days: of when it was said.
    :param agent: who wrote it.
    :param project: None where it belongs to none.
    :param importance: as whoever kept it said; 0.5 for turns.
    :param session: of turns alone.
    :param details: what it says of the topic, as a question can name it.
    """

    key: str
    text: str
    form: str
    age_days: float
    agent: str
    project: str | None
    importance: float
    session: str | None
    details: tuple[str, ...]

    @property
    def kind(self) -> MemoryKind | None:
        """Of a memory; None for a turn."""
        match self.form:
            case "decision" | "procedure" | "fact" | "note":
                return self.form
            case _:
                return None

    @property
    def role(self) -> Role:
        return "assistant" if self.form == "assistant" else "user"


@dataclass(frozen=True, slots=True)
class Topic:
    """What is asked about, and all that is remembered of it.

    :param question: of people without a taste it names a detail, which only some of the statements have.

    :param project: in which it is asked; its statements are of it or of none.
    :param gains: of each wanted statement, by key.
    :param liked: keys, best first, as one would order them who knows the taste but not the luck in it.
    """

    question: str
    project: str
    statements: tuple[Statement, ...]
    gains: Mapping[str, int]
    liked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trait:
    """Something by which a person likes one statement more than another.

    :param about: what it looks at; one person has at most one trait about the same.
    :param likes: which end of it they like.
    """

    about: str
    likes: str

    def __str__(self) -> str:
        return f"{self.about}: {self.likes}"

    def of(self, statement: Statement, own_agent: str) -> float:
        """How much of it a statement has, 0 to 1."""
        match self.about:
            case "kind" | "role":
                return float(statement.form == self.likes)
            case "place":
                return float((statement.kind is not None) == (self.likes == "kept"))
            case "agent":
                return float((statement.agent == own_agent) == (self.likes == "own"))
            case "project":
                return float((statement.project is not None) == (self.likes == "own"))
            case "importance":
                return statement.importance
            case "age":
                newness = 1.0 - math.log(statement.age_days) / math.log(OLDEST_DAYS)
                return newness if self.likes == "new" else 1.0 - newness
            case _:
                length = min(len(statement.text) / _LONG_CHARS, 1.0)
                return length if self.likes == "long" else 1.0 - length


#: A text of so many characters is as long as it gets.
_LONG_CHARS = 250.0
#: By what a trait is about.
TRAITS: dict[str, tuple[Trait, ...]] = {
    "kind": tuple(Trait("kind", kind) for kind in ("decision", "procedure", "fact", "note")),
    "age": (Trait("age", "new"), Trait("age", "old")),
    "agent": (Trait("agent", "own"), Trait("agent", "other")),
    "role": (Trait("role", "user"), Trait("role", "assistant")),
    "project": (Trait("project", "own"), Trait("project", "general")),
    "importance": (Trait("importance", "high"),),
    "place": (Trait("place", "kept"), Trait("place", "said")),
    "length": (Trait("length", "long"), Trait("length", "short")),
}
#: They say nearly the same, so that a person has at most one trait about them.
_ALIKE = frozenset(("kind", "role", "place"))
N_PEOPLE_A_ROUND = 5  # of so many, the last one has no taste


@dataclass(frozen=True, slots=True)
class Persona:
    """A person: their assistant, their taste, what they remember and ask.

    :param traits: none: what they want is luck alone.
    :param training: what feedback is given on, in the order in which it is asked.
    :param held_out: what the measurement asks, and nothing else does.
    """

    number: int
    agent: str
    traits: tuple[Trait, ...]
    training: tuple[Topic, ...]
    held_out: tuple[Topic, ...]

    @property
    def statements(self) -> list[Statement]:
        """All that is remembered, oldest first."""
        every = [one for topic in (*self.training, *self.held_out) for one in topic.statements]
        return sorted(every, key=lambda one: -one.age_days)


def persona(seed: int, number: int, n_training: int, n_held_out: int) -> Persona:
    """One person; the same for the same seed and number. Every fifth has no taste, the others have one to three
    traits.

    :param n_training: topics that feedback can be given on, at most 52 with 24 held out.
    """
    world = np.random.default_rng([seed, number, 0])
    person = np.random.default_rng([seed, number, 1])
    parts = [PARTS[i] for i in world.permutation(len(PARTS))]
    matters = [MATTERS[i] for i in world.permutation(len(MATTERS))]
    if n_training + n_held_out > len(parts):
        raise ValueError(f"{n_training} and {n_held_out} topics are more than there are: {len(parts)}")
    traits = _traits(number, person)
    agent = AGENTS[int(person.integers(len(AGENTS)))]
    topics = []
    for i in range(n_training + n_held_out):
        half = int(i >= n_training)
        about = matters[N_TRAIN_MATTERS:] if half else matters[:N_TRAIN_MATTERS]
        part, matter = parts[i], about[i % len(about)]
        project = PROJECTS[int(world.integers(len(PROJECTS)))]
        statements = _statements(part, matter, project, f"t{i}", half, world)
        question = _one_of(_QUESTIONS[half], world).format(p=part, m=matter)
        if traits:
            liking = [float(np.mean([trait.of(one, agent) for trait in traits])) for one in statements]
        else:
            detail = _one_of(_one_of(statements, person).details, person)
            liking = [float(detail in one.details) for one in statements]
            question = _WITH_DETAIL[half].format(q=question, d=detail)
        topics.append(_wanted(question, project, statements, np.array(liking), person))
    return Persona(number, agent, traits, tuple(topics[:n_training]), tuple(topics[n_training:]))


def _traits(number: int, rng: np.random.Generator) -> tuple[Trait, ...]:
    """The first is about each thing in turn, and then about the same with the other end liked, so that few people are
    enough to see them all and no end is favoured; the others are drawn."""
    round_, place = divmod(number, N_PEOPLE_A_ROUND)
    if place == N_PEOPLE_A_ROUND - 1:
        return ()
    nth = round_ * (N_PEOPLE_A_ROUND - 1) + place
    first = list(TRAITS.values())[nth % len(TRAITS)]
    found = [first[nth // len(TRAITS) % len(first)]]
    for about in (list(TRAITS)[i] for i in rng.permutation(len(TRAITS))):
        known = {trait.about for trait in found}
        is_alike = about in _ALIKE and not _ALIKE.isdisjoint(known)
        if len(found) < 1 + nth % 3 and about not in known and not is_alike:
            found.append(_one_of(TRAITS[about], rng))
    return tuple(found)


def _one_of(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]


def _statements(
    part: str, matter: str, project: str, key: str, half: int, rng: np.random.Generator
) -> tuple[Statement, ...]:
    """All that is remembered on one topic: each names part and matter once, and says something of them.

    :param half: 0 takes the details of training, 1 those of the measurement.
    """
    found: list[Statement] = []
    for form in _FORMS:
        for pattern in (_BY_FORM[form][i] for i in rng.permutation(len(_BY_FORM[form]))[:2]):
            details = {
                name: _one_of(said[half * len(said) // 2 :][: len(said) // 2], rng)
                for name, said in _DETAILS.items()
            }
            said = pattern.format(p=part, m=matter, **details)
            tails = [_TAILS[i] for i in rng.permutation(len(_TAILS))[: int(rng.integers(0, 3))]]
            age_days = float(OLDEST_DAYS ** rng.random())
            agent = _one_of(AGENTS, rng)
            of = project if rng.random() < 0.5 else None
            is_turn = form in ("user", "assistant")
            is_weighed = rng.random() < 0.5 and not is_turn
            importance = round(float(rng.random()), 2)
            found.append(
                Statement(
                    key=f"{key}-{len(found)}",
                    text=" ".join([f"{said}.", *tails]),
                    form=form,
                    age_days=age_days,
                    agent=agent,
                    project=of,
                    importance=importance if is_weighed else 0.5,
                    # What one agent and the person said within a week or so is one session.
                    session=f"{of or 'general'}-{agent}-{int(age_days / 7)}" if is_turn else None,
                    details=tuple(said for name, said in details.items() if f"{{{name}}}" in pattern),
                )
            )
    return tuple(found)


def _wanted(
    question: str,
    project: str,
    statements: tuple[Statement, ...],
    liking: NDArray[np.float64],
    rng: np.random.Generator,
) -> Topic:
    """The topic, with what its person wants of it: what they like, and luck.

    :param liking: of each statement, 0 to 1.
    """
    wish = liking + rng.normal(0.0, LUCK, len(statements))
    best = np.argsort(-wish, kind="stable")[: len(GAINS)]
    gains = {statements[int(i)].key: gain for i, gain in zip(best, GAINS, strict=True)}
    liked = tuple(statements[int(i)].key for i in np.lexsort((rng.random(len(statements)), -liking)))
    return Topic(question, project, statements, gains, liked)
