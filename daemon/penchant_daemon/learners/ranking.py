"""Learns to rank from outcomes: verdicts, what assistants used, and what had to be asked again.

    outcomes -> labels -> votes on each label -> Bayesian update of the prior's weights (from the first outcome)
                                              -> trees (from 300 recalls with outcomes), if they beat the weights
             -> the newest outcomes compare what was learned with the prior; what loses no longer ranks

Nothing learned replaces what ranks unless it is better on outcomes that it has not seen, or, with too few of them to
tell, unless it is the cautious update. Each decision is recorded with its numbers and its reason.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

import penchant_ranker as ranker
from penchant_daemon.learners.use import UseDetector
from penchant_daemon.logs import logger
from penchant_daemon.rankers import Rankers
from penchant_daemon.relevances import Relevances, judged_relevance
from penchant_daemon.wire import Problem, RankerModelOut, RankerOut, utc_text
from penchant_store import Asked, Job, JudgedImpression, RankerModelRecord, Store

__all__ = ["JOB_KIND", "RankingLearner"]

JOB_KIND = "learn_ranking"

LEARN_FROM_DAYS = 60
KEEP_UNJUDGED_DAYS = 60
KEEP_JUDGED_DAYS = 365
MAX_IMPRESSIONS = 5_000
PAUSE_S = 10.0  # between two rounds of learning; with many outcomes a round takes seconds
PAUSE_MANY_S = 300.0
MANY_OUTCOMES = 200
PRUNE_EVERY_S = 86_400.0
#: A question so many seconds after another of the same words means that the first answer did not do. Sooner
#: than that it is the same one: a hook asks with the prompt, and the assistant asks again in the same breath.
REASKED_S = (30.0, 600.0)
#: A project ranks by weights of its own from so many of its recalls with outcomes.
MIN_PROJECT_LISTS = 5
MAX_PROJECTS = 20
#: Weights that differ less from those that rank are the same.
LEAST_CHANGE = 0.005
SEED = 7
_CODE = "code"  # in the name of the sum that ranks program text: nothing is learned about it yet

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class _Round:
    """What one round of learning found, for the status."""

    state: str = "waiting"
    detail: str | None = None
    n_outcomes: int = 0
    n_queries: int = 0
    shadow: Mapping[str, int | float | str] | None = None


class RankingLearner:
    """The job that learns, and what it says in the status.

    :param use: looked at first, since what was used is an outcome too.
    :param told: called with words when something that was learned begins to rank.
    :param relevances: recalibrated by what the person judged; None leaves the calibration alone.
    """

    def __init__(
        self,
        store: Store,
        rankers: Rankers,
        use: UseDetector,
        *,
        is_on: bool = True,
        clock: Callable[[], float] = time.time,
        told: Callable[[str], None],
        relevances: Relevances | None = None,
    ) -> None:
        self._store = store
        self._rankers = rankers
        self._relevances = relevances
        self._use = use
        self._is_on = is_on
        self._clock = clock
        self._told = told
        self._seen: tuple[int, str] | None = None
        self._learned_at = 0.0
        self._n_learned = 0
        self._pruned_at = 0.0
        self._round = _Round()
        self._tried_trees_at = 0

    # ---- the job

    def queue(self) -> int:
        """Look for use, and queue a round when there are new outcomes. Returns how many were queued."""
        if not self._is_on:
            return 0
        self._use.look()
        now = self._clock()
        self._prune(now)
        outcomes = self._store.outcomes()
        seen = (len(outcomes), outcomes[-1].id if outcomes else "")
        pause_s = PAUSE_MANY_S if len(outcomes) > MANY_OUTCOMES else PAUSE_S
        if seen == self._seen or (self._seen is not None and now - self._learned_at < pause_s):
            return 0
        if not outcomes and not self._rankers.learned():
            self._seen = seen
            return 0
        self._store.enqueue(JOB_KIND, {}, JOB_KIND).result()
        return 1

    async def run(self, job: Job) -> float:
        """One round of learning.

        :return: seconds of processor time that it took.
        """
        return await asyncio.to_thread(self.learn)

    def give_up(self, job: Job) -> None:
        """What ranks stays as it is; the next outcome tries again."""
        self._round = _Round("failed", "learning failed three times; the log says why", *self._counted())

    def learn(self) -> float:
        """One round of learning, blocking.

        :return: seconds of processor time that it took.
        """
        started = time.thread_time()
        now = self._clock()
        outcomes = self._store.outcomes()
        self._seen = (len(outcomes), outcomes[-1].id if outcomes else "")
        since = utc_text(datetime.fromtimestamp(now - LEARN_FROM_DAYS * 86_400, UTC))
        judged = [
            each
            for each in self._store.judged_impressions(since, MAX_IMPRESSIONS)
            if _CODE not in each.impression.model and any(item.features for item in each.impression.items)
        ]
        self._round = self._learned(judged, since, now)
        if self._relevances is not None:
            self._relevances.learn(judged_relevance(judged))
        self._learned_at = self._clock()
        self._n_learned = len(outcomes)
        log.info(
            "ranking_learned",
            state=self._round.state,
            n_outcomes=self._round.n_outcomes,
            n_queries=self._round.n_queries,
        )
        return time.thread_time() - started

    def _learned(self, judged: Sequence[JudgedImpression], since: str, now: float) -> _Round:
        projects = _Numbers()
        features = tuple(feature.name for feature in ranker.FEATURES)
        impressions = _as_training(judged, self._store.asked_since(since), projects)
        lists = ranker.labelled(features, impressions, now)
        counted = sum(len(each.outcomes) for each in judged), len(judged)
        prior = self._prior()
        votes = ranker.vote(lists, prior, np.random.default_rng(SEED))
        if votes.is_frozen:
            return _Round("frozen", votes.reason, *counted, self._round.shadow)
        told = votes.lists.where(votes.lists.is_informative)
        if not told.n_lists:
            self._retire_all("replaced", "no outcome is left that it could have been learned from")
            return _Round("waiting", "no outcome puts one result above another yet", *counted)
        older, newer = ranker.split_by_time(told)
        earlier = ranker.update(prior, older)
        before = earlier.model("learned-linear", _about(older))
        compared = ranker.shadow(before, prior, newer, np.random.default_rng(SEED))
        figures = _figures(compared.comparison)
        if compared.is_falling_back:
            self._retire_all("fell_back", compared.reason)
            return _Round("fell_back", compared.reason, *counted, figures)
        posterior = ranker.update(prior, told)
        self._learn_for_all(told, older, newer, earlier, posterior)
        self._learn_for_projects(told, posterior, projects)
        held = self._rankers.held_back(None, _about(told))
        state, detail = ("learned", votes.reason) if held is None else ("held", held)
        return _Round(state, detail, *counted, figures if newer.n_lists else None)

    def _learn_for_all(
        self,
        lists: ranker.LabelledLists,
        older: ranker.LabelledLists,
        newer: ranker.LabelledLists,
        earlier: ranker.Posterior,
        posterior: ranker.Posterior,
    ) -> None:
        """The weights for all projects; trees where there are enough lists and they do better."""
        about = _about(lists)
        chosen: ranker.LinearModel | ranker.TreeModel = posterior.model("learned-linear", about)
        reason = (
            f"learned from {lists.n_lists} recalls with outcomes, held to the prior"
            f" (belief that it needs no change: {posterior.unchanged:.0%})"
        )
        if lists.n_lists >= ranker.MIN_TREE_LISTS:
            trees = self._trees(older, earlier, 1)
            before = earlier.model("learned-linear", _about(older))
            decision = ranker.decide(trees, before, newer, np.random.default_rng(SEED))
            if decision.is_accepted:
                chosen, reason = self._trees(lists, posterior, ranker.MIN_TREE_LISTS), decision.reason
                about = {**about, **_figures(decision.comparison)}
            elif (
                lists.n_lists >= 1.1 * self._tried_trees_at
            ):  # said for each tenth more, not after each outcome
                self._tried_trees_at = lists.n_lists
                rejected = {**about, **_figures(decision.comparison)}
                self._rankers.add(trees, None, f"trees: {decision.reason}", rejected, is_active=False)
        if self._is_news(chosen, None) and self._rankers.held_back(None, about) is None:
            id = self._rankers.add(chosen, None, reason, about, is_active=True)
            self._told(f"ranker {id}: {reason}")

    def _trees(
        self, lists: ranker.LabelledLists, margin: ranker.Posterior, min_lists: int
    ) -> ranker.TreeModel:
        """Trees that correct the weights which the same lists gave."""
        return ranker.train_trees(lists, margin, "learned-trees", SEED, _about(lists), min_lists)

    def _learn_for_projects(
        self, lists: ranker.LabelledLists, general: ranker.Posterior, projects: _Numbers
    ) -> None:
        """Weights of their own for the projects with most outcomes, held to those of all projects."""
        numbers, counts = np.unique(lists.projects[lists.projects > 0], return_counts=True)
        order = np.argsort(-counts, kind="stable")[:MAX_PROJECTS]
        for number, count in zip(numbers[order].tolist(), counts[order].tolist(), strict=True):
            if count < MIN_PROJECT_LISTS:
                continue
            own = lists.where(lists.projects == number)
            model = ranker.update(general, own).model("learned-linear-project", _about(own))
            project = projects.name(number)
            if self._is_news(model, project) and self._rankers.held_back(project, _about(own)) is None:
                reason = (
                    f"learned from {own.n_lists} recalls in this project, held to what all projects taught"
                )
                self._rankers.add(model, project, reason, _about(own), is_active=True)

    def _is_news(self, model: ranker.LinearModel | ranker.TreeModel, project: str | None) -> bool:
        """Whether it ranks otherwise than what ranks already."""
        found = {record.project: active for record, active in self._rankers.learned()}.get(project)
        present: ranker.Model = found if found is not None else self._rankers.of(project)
        if isinstance(model, ranker.TreeModel) or not isinstance(present, ranker.LinearModel):
            return not isinstance(present, ranker.TreeModel) or model != present
        mine = dict(zip(model.features, model.weights, strict=True))
        theirs = dict(zip(present.features, present.weights, strict=True))
        names = mine.keys() | theirs.keys()
        return any(abs(mine.get(n, 0.0) - theirs.get(n, 0.0)) > LEAST_CHANGE for n in names)

    def _retire_all(self, status: str, reason: str) -> None:
        for record, _ in self._rankers.learned():
            self._rankers.retire(record.id, status, reason)
            self._told(reason)

    def _prior(self) -> ranker.LinearModel:
        prior = self._rankers.prior
        assert isinstance(prior, ranker.LinearModel)
        return prior

    # ---- what a person sees

    def status(self) -> RankerOut:
        """What ranks now, and how far learning is."""
        prior = self._prior()
        n_outcomes, n_queries = self._counted()
        last = self._round
        return RankerOut(
            prior=prior.name,
            prior_weights=dict(zip(prior.features, prior.weights, strict=True)),
            active=[self._model_out(record, model) for record, model in self._rankers.learned()],
            n_outcomes=n_outcomes,
            n_outcomes_learned=self._n_learned,
            n_queries=n_queries,
            n_queries_for_trees=ranker.MIN_TREE_LISTS,
            state=last.state if self._is_on else "off",
            detail=last.detail if self._is_on else "ranker.learn is false in config.toml",
            shadow=None if last.shadow is None else {k: float(v) for k, v in last.shadow.items()},
        )

    def history(self, limit: int) -> list[RankerModelOut]:
        """What was learned, the latest first."""
        return [self._model_out(record, None) for record in self._rankers.history(limit)]

    def problems(self) -> list[Problem]:
        """Learning that waits for the person, and models that were refused."""
        found = self._rankers.problems()
        if self._round.state in ("frozen", "failed", "fell_back"):
            message = f"ranking has not learned: {self._round.detail}"
            found.append(Problem(part="ranker", message=message, fix="penchant ranker status"))
        return found

    def _model_out(self, record: RankerModelRecord, model: ranker.Model | None) -> RankerModelOut:
        weights = None
        if isinstance(model, ranker.LinearModel):
            weights = {name: round(w, 4) for name, w in zip(model.features, model.weights, strict=True)}
        return RankerModelOut(
            id=record.id,
            kind=record.kind,
            project=record.project,
            status=record.status,
            reason=record.reason,
            created_at=record.created_at,
            changed_at=record.changed_at,
            trained_on=dict(record.trained_on),
            weights=weights,
        )

    def _counted(self) -> tuple[int, int]:
        outcomes = self._store.outcomes()
        return len(outcomes), len({each.impression_id for each in outcomes if each.impression_id})

    def _prune(self, now: float) -> None:
        if now - self._pruned_at < PRUNE_EVERY_S:
            return
        self._pruned_at = now

        def ago(days: int) -> str:
            return utc_text(datetime.fromtimestamp(now - days * 86_400, UTC))

        n_gone = self._store.prune_impressions(ago(KEEP_UNJUDGED_DAYS), ago(KEEP_JUDGED_DAYS)).result()
        if n_gone:
            log.info("impressions_pruned", n_impressions=n_gone)


class _Numbers:
    """Numbers for names, 0 for none."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._by_name: dict[str, int] = {}

    def of(self, name: str | None) -> int:
        if name is None:
            return 0
        if name not in self._by_name:
            self._names.append(name)
            self._by_name[name] = len(self._names)
        return self._by_name[name]

    def name(self, number: int) -> str:
        return self._names[number - 1]


def _about(lists: ranker.LabelledLists) -> dict[str, int | float | str]:
    newest = datetime.fromtimestamp(float(lists.at.max()), UTC) if lists.n_lists else None
    return {
        "queries": lists.n_lists,
        "outcomes": int((lists.agents != ranker.NOBODY).sum()),
        "newest": "" if newest is None else utc_text(newest),
        "seed": SEED,
    }


def _figures(comparison: ranker.Comparison) -> dict[str, int | float | str]:
    return {
        "compared_on": comparison.n_lists,
        "ndcg_10": round(comparison.ndcg[0], 4),
        "ndcg_10_before": round(comparison.ndcg[1], 4),
        "difference": round(comparison.difference, 4),
        "error": round(comparison.error, 4),
    }


def _as_training(
    judged: Sequence[JudgedImpression], asked: Sequence[Asked], projects: _Numbers
) -> list[ranker.Impression]:
    """Impressions and outcomes as the ranker takes them."""
    sessions, agents = _Numbers(), _Numbers()
    reasked = _reasked({each.impression.id for each in judged}, asked)
    found = []
    for each in judged:
        impression = each.impression
        items = [item for item in impression.items if item.features]
        names = tuple(items[0].features)
        row_of = {item.id: row for row, item in enumerate(items)}
        at = datetime.fromisoformat(impression.created_at).timestamp()
        outcomes = [
            ranker.Outcome(
                row=row_of[outcome.memory_id],
                kind=ranker.Kind(outcome.verdict),
                agent=ranker.PERSON if outcome.agent == "cli" else agents.of(outcome.agent),
                at=datetime.fromisoformat(outcome.created_at).timestamp(),
                strength=outcome.strength,
            )
            for outcome in each.outcomes
            if outcome.memory_id in row_of
        ]
        if impression.id in reasked:
            outcomes.append(ranker.Outcome(0, ranker.Kind.REASKED, agents.of(impression.agent), at))
        found.append(
            ranker.Impression(
                names=names,
                values=np.array([list(item.features.values()) for item in items], dtype=np.float32),
                is_shown=np.array([item.is_shown for item in items], dtype=np.bool_),
                propensity=np.array([item.propensity for item in items], dtype=np.float64),
                outcomes=tuple(outcomes),
                session=sessions.of(impression.session or impression.id),
                project=projects.of(impression.project),
                at=at,
            )
        )
    return found


def _reasked(wanted: set[str], asked: Sequence[Asked]) -> set[str]:
    """Which of the wanted impressions' questions the same agent asked again in other words."""
    by_agent: dict[str, list[Asked]] = defaultdict(list)
    for each in asked:
        by_agent[each.agent].append(each)
    found = set()
    soonest, latest = REASKED_S
    for questions in by_agent.values():
        times = [datetime.fromisoformat(each.created_at).timestamp() for each in questions]
        for i, each in enumerate(questions):
            if each.impression_id not in wanted:
                continue
            for j in range(i + 1, len(questions)):
                if times[j] - times[i] > latest:
                    break
                is_other_session = (
                    each.session and questions[j].session and each.session != questions[j].session
                )
                if times[j] - times[i] < soonest or is_other_session:
                    continue
                hashes = ranker.stem_hashes(each.query), ranker.stem_hashes(questions[j].query)
                if ranker.is_reasked(*hashes):
                    found.add(each.impression_id)
                    break
    return found
