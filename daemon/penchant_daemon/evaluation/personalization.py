"""Whether ranking learns a person's taste: recalls judged by people with a hidden one, then questions never judged.

person -> a daemon on a data directory of its own -> what they remember, by its routes -> index
       -> held-out questions (the prior ranks) -> recalls and feedback -> the daemon's own job learns
       -> the same held-out questions -> more feedback -> ...

Both arms, with true and with partly contradictory feedback, begin from copies of the same filled data directory.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from penchant_daemon.client import Client
from penchant_daemon.evaluation import front_door
from penchant_daemon.evaluation.errors import EvaluationError
from penchant_daemon.evaluation.personas import Persona, Statement, Topic, Trait, persona
from penchant_daemon.evaluation.recall import Progress
from penchant_daemon.wire import (
    EventIn,
    FeedbackRequest,
    MemoryIn,
    RecallRequest,
    RecallResponse,
    Verdict,
    utc_text,
)
from penchant_ranker import graded_ndcg_at, reciprocal_rank

__all__ = ["DEPTH", "Arm", "Plan", "Result", "Served", "evaluate"]

DEPTH = 5
N_RESULTS = 10
N_HELD_OUT = 24
#: After so many interactions of those that were asked for, the held-out questions are asked.
CHECKPOINTS = (0, 5, 10, 20, 50, 100)
MAX_INTERACTIONS = 52  # topics that are left for feedback
#: A person asks so many questions in one session.
PER_SESSION = 3
#: Daemons at once. Each waits most of its time: learning begins at most once in ten seconds.
N_AT_ONCE = 6
LEARN_TIMEOUT_S = 120.0
LOOK_S = 0.25
MAX_BATCH = 500

# As shipped, but for the share of the background, since somebody waits, and for titles, which no ranking reads.
CONFIG = """\
[limits]
background_cpu_percent = 100
pause_on_battery = false

[models]
language_model = ""
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    :param n_interactions: recalls with feedback, of each person.
    :param wrong: shares of contradictory feedback, one arm each.
    """

    n_users: int = 20
    n_interactions: int = 50
    wrong: tuple[float, ...] = (0.0, 0.2)
    seed: int = 0
    n_held_out: int = N_HELD_OUT

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """After how many interactions the held-out questions are asked."""
        before = [n for n in CHECKPOINTS if n < self.n_interactions]
        return (*before, self.n_interactions)


@dataclass(frozen=True, slots=True)
class Served:
    """How well a person was served after some interactions: means over their held-out questions.

    :param n_outcomes: verdicts that had been given by then.
    :param model: what ranked.
    """

    ndcg: float
    mrr: float
    n_outcomes: int
    model: str


@dataclass(frozen=True, slots=True)
class Arm:
    """One person under one share of contradictory feedback.

    :param served: by number of interactions.
    :param knowing_taste: NDCG of the ranking by the taste itself, without the luck in what is wanted.
    :param weights: of the model that ranks at the end, less the prior's, where they differ.
    :param state: of learning at the end, and what it says.
    """

    number: int
    traits: tuple[Trait, ...]
    wrong: float
    served: dict[int, Served]
    knowing_taste: float
    weights: dict[str, float]
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class Result:
    """All that was measured."""

    plan: Plan
    arms: tuple[Arm, ...]
    prior: str
    n_texts: int
    took_s: float


class _Ended(Exception):
    """Another person's run failed, or ours was ended."""


def evaluate(plan: Plan, progress: Progress) -> Result:
    """Run all people.

    :raises EvaluationError: the plan cannot be run, or a daemon does not do its part.
    """
    if not 1 <= plan.n_interactions <= MAX_INTERACTIONS:
        raise EvaluationError(
            f"{plan.n_interactions} interactions, where 1 to {MAX_INTERACTIONS} can be made without using a topic twice"
        )
    began = time.monotonic()
    people = [
        persona(plan.seed, number, plan.n_interactions, plan.n_held_out) for number in range(plan.n_users)
    ]
    progress.pool("people", 1, 1)
    is_ended = threading.Event()
    arms: list[Arm] = []
    # Short, because the path of a Unix socket ends at 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pe-"))
    try:
        with ThreadPoolExecutor(N_AT_ONCE, thread_name_prefix="person") as threads:
            try:
                waiting = [threads.submit(_Run(plan, who, folder, is_ended).arms) for who in people]
                for done in as_completed(waiting):
                    arms += done.result()
                    progress.step("served", len(arms), plan.n_users * len(plan.wrong))
            except BaseException:
                is_ended.set()
                threads.shutdown(cancel_futures=True)
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    arms.sort(key=lambda arm: (arm.wrong, arm.number))
    return Result(
        plan=plan,
        arms=tuple(arms),
        prior=arms[0].served[0].model,
        n_texts=len(people[0].statements),
        took_s=time.monotonic() - began,
    )


@dataclass(slots=True)
class _Run:
    """One person, on data directories of their own below a folder."""

    plan: Plan
    who: Persona
    folder: Path
    is_ended: threading.Event

    def arms(self) -> list[Arm]:
        """The person under each share of contradictory feedback."""
        home = self.folder / f"{self.who.number}"
        with front_door.daemon_on(home, CONFIG) as client:
            ids = self._fill(client)
            front_door.wait_for_index(client, self._on_step)
        found = []
        for i, wrong in enumerate(self.plan.wrong):
            copied = self.folder / f"{self.who.number}-{i}"
            shutil.copytree(home, copied)
            with front_door.daemon_on(copied, CONFIG) as client:
                front_door.wait_for_embedder(client, self.who.held_out[0].question)
                found.append(self._arm(client, ids, wrong))
            shutil.rmtree(copied)
        shutil.rmtree(home)
        return found

    def _on_step(self, what: str, done: int, total: int) -> None:
        if self.is_ended.is_set():
            raise _Ended

    # ---- what they remember

    def _fill(self, client: Client) -> dict[str, str]:
        """Send all statements, memories as memories and turns as a session file would; the id of each by its key."""
        now = time.time()
        ids: dict[str, str] = {}
        for batch in _batches(one for one in self.who.statements if one.kind is not None):
            kept = client.remember([_memory(one, now) for one in batch])
            ids |= {one.key: receipt.id for one, receipt in zip(batch, kept, strict=True)}
        for batch in _batches(one for one in self.who.statements if one.kind is None):
            logged = client.log_events([_event(one, now) for one in batch])
            ids |= {one.key: receipt.id for one, receipt in zip(batch, logged, strict=True)}
        if len(set(ids.values())) != len(ids):
            raise EvaluationError(f"some statements of person {self.who.number} were taken for one another")
        return ids

    # ---- one arm

    def _arm(self, client: Client, ids: dict[str, str], wrong: float) -> Arm:
        key_of = {id_: key for key, id_ in ids.items()}
        rng = np.random.default_rng([self.plan.seed, self.who.number, 2])
        served: dict[int, Served] = {}
        n_done = n_outcomes = 0
        for n in self.plan.checkpoints:
            for topic in self.who.training[n_done:n]:
                n_outcomes += self._interact(client, topic, key_of, n_done // PER_SESSION, wrong, rng)
                n_done += 1
            self._wait_until_learned(client, n_outcomes)
            served[n] = self._served(client, key_of, n_outcomes)
        ranks = client.ranker()
        learned = next((model.weights or {} for model in ranks.active if model.project is None), {})
        names = sorted(learned.keys() | ranks.prior_weights.keys()) if learned else []
        moved = {name: learned.get(name, 0.0) - ranks.prior_weights.get(name, 0.0) for name in names}
        return Arm(
            number=self.who.number,
            traits=self.who.traits,
            wrong=wrong,
            served=served,
            knowing_taste=float(
                np.mean([graded_ndcg_at(t.liked, t.gains, DEPTH) for t in self.who.held_out])
            ),
            weights={name: round(by, 3) for name, by in moved.items() if abs(by) >= 0.0005},
            state=ranks.state,
            detail=ranks.detail or "",
        )

    def _ask(self, client: Client, topic: Topic, session: str | None = None) -> RecallResponse:
        """The person's assistant asks, in the topic's project."""
        asked = RecallRequest(query=topic.question, limit=N_RESULTS, project=topic.project, session=session)
        answer = client.as_agent(self.who.agent).recall(asked)
        for warning in answer.warnings:
            if front_door.is_by_words(warning):
                raise EvaluationError(f"{topic.question!r} was {warning}", "penchant models list")
        return answer

    def _interact(
        self,
        client: Client,
        topic: Topic,
        key_of: dict[str, str],
        session: int,
        wrong: float,
        rng: np.random.Generator,
    ) -> int:
        """One recall, and what the person says of it: at most one verdict.

        :return: how many verdicts were given: none where nothing was shown that is wanted.
        """
        answer = self._ask(client, topic, f"asking-{session}")
        verdict = _verdict(topic, [key_of[one.id] for one in answer.results], wrong, rng)
        if verdict is None:
            return 0
        place, said = verdict
        # A person's own verdict on what their assistant was shown: `penchant feedback`.
        client.as_agent("cli").feedback(
            FeedbackRequest(
                memory_id=answer.results[place].id, verdict=said, impression_id=answer.impression_id
            )
        )
        return 1

    def _served(self, client: Client, key_of: dict[str, str], n_outcomes: int) -> Served:
        ranked = [[key_of[one.id] for one in self._ask(client, topic).results] for topic in self.who.held_out]
        gains = [topic.gains for topic in self.who.held_out]
        ranks = client.ranker()
        active = next((model.id for model in ranks.active if model.project is None), None)
        return Served(
            ndcg=float(np.mean([graded_ndcg_at(r, g, DEPTH) for r, g in zip(ranked, gains, strict=True)])),
            mrr=float(np.mean([reciprocal_rank(r, list(g)) for r, g in zip(ranked, gains, strict=True)])),
            n_outcomes=n_outcomes,
            model=active or ranks.prior,
        )

    def _wait_until_learned(self, client: Client, n_outcomes: int) -> None:
        """Return when the daemon's job has looked at all that was said.

        :raises EvaluationError: it does not get there.
        """
        deadline = time.monotonic() + LEARN_TIMEOUT_S
        while (ranks := client.ranker()).n_outcomes_learned < n_outcomes:
            if ranks.state in ("failed", "off") or time.monotonic() > deadline:
                raise EvaluationError(f"ranking did not learn: {ranks.state}, {ranks.detail}")
            if self.is_ended.wait(LOOK_S):
                raise _Ended


def _verdict(
    topic: Topic, shown: Sequence[str], wrong: float, rng: np.random.Generator
) -> tuple[int, Verdict] | None:
    """What is said of which place: that the best of what is wanted helped; or the contrary, in one of two ways.

    Draws the same random numbers whatever was shown and whatever the share is, so that arms differ by it alone.
    """
    luck, way, which = rng.random(3)
    wanted = [place for place, key in enumerate(shown) if key in topic.gains]
    if not wanted:
        return None
    best = max(wanted, key=lambda place: topic.gains[shown[place]])
    if luck >= wrong:
        return best, "helped"
    others = [place for place in range(len(shown)) if place not in wanted]
    if way < 0.5 or not others:
        return best, "wrong"
    return others[int(which * len(others))], "helped"


def _batches(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    every = list(statements)
    for first in range(0, len(every), MAX_BATCH):
        yield every[first : first + MAX_BATCH]


def _memory(statement: Statement, now: float) -> MemoryIn:
    assert statement.kind is not None
    return MemoryIn(
        content=statement.text,
        kind=statement.kind,
        project=statement.project,
        agent=statement.agent,
        occurred_at=_said_at(statement, now),
        importance=statement.importance,
    )


def _event(statement: Statement, now: float) -> EventIn:
    return EventIn(
        kind="message",
        role=statement.role,
        content=statement.text,
        session=statement.session,
        project=statement.project,
        agent=statement.agent,
        occurred_at=_said_at(statement, now),
        channel="transcript",
        source_key=statement.key,
    )


def _said_at(statement: Statement, now: float) -> str:
    return utc_text(datetime.fromtimestamp(now - statement.age_days * 86_400.0, UTC))
