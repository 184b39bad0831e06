"""What ranking learns from outcomes, what it refuses to learn, and that what it learned can be undone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

import penchant_ranker as ranker
from penchant_daemon.errors import Conflict, NotFound
from penchant_daemon.learners.ranking import RankingLearner
from penchant_daemon.learners.use import UseDetector
from penchant_daemon.rankers import Rankers
from penchant_store import ImpressionItem, NewImpression, NewMemory, NewOutcome, Store

NOW = 1_790_000_000.0
NAMES = [feature.name for feature in ranker.FEATURES]
N_SHOWN = 10


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class House:
    """A store with its rankers and the learner, and a person with a hidden taste who judges recalls."""

    def __init__(self, home: Path, is_on: bool = True) -> None:
        self.home = home
        self.clock = Clock()
        self.store = Store.open(home, clock=self.clock)
        self.rankers = Rankers(self.store, home)
        self.told: list[str] = []
        self.learner = self.new_learner(is_on)
        texts = [NewMemory(f"memory {n}", agent="a", origin="user") for n in range(40)]
        self.ids = [receipt.id for receipt in self.store.add_memories(texts).result()]
        self.random = np.random.default_rng(3)

    def new_learner(self, is_on: bool = True) -> RankingLearner:
        use = UseDetector(self.store, clock=self.clock, told=lambda agent, count: None)
        return RankingLearner(
            self.store, self.rankers, use, is_on=is_on, clock=self.clock, told=self.told.append
        )

    def recalled(self, values: np.ndarray, agent: str = "claude", project: str | None = None) -> list[str]:
        """An impression of candidates with these features, best by the prior first; the ids in that order."""
        self.clock.now += 300.0
        order = np.argsort(-self.rankers.prior.score(values, NAMES), kind="stable")
        ids = [self.ids[i] for i in self.random.permutation(len(self.ids))[: len(values)]]
        items = tuple(
            ImpressionItem(
                id,
                rank,
                0.0,
                dict(zip(NAMES, values[row].tolist(), strict=True)),
                rank <= N_SHOWN,
                float(ranker.propensity(np.array([rank]))[0]),
            )
            for rank, (id, row) in enumerate(zip(ids, order.tolist(), strict=True), 1)
        )
        query = f"question {self.clock.now}"
        self.last, written = self.store.add_impression(
            NewImpression(query, agent, f"session {self.clock.now}", project, None, items, "prior")
        )
        written.result()
        return ids

    def values(self, n: int = 20) -> np.ndarray:
        return self.random.random((n, len(NAMES))).astype(np.float32)

    def judge(self, memory_id: str, verdict: str, agent: str = "cli", impression: str | None = None) -> None:
        self.store.add_outcome(NewOutcome(impression or self.last, memory_id, verdict, agent)).result()

    def judge_by(
        self, taste: Mapping[str, float], n: int, wrong: float = 0.0, project: str | None = None
    ) -> None:
        """So many recalls, each judged: of what was shown, the one that the taste likes best helped."""
        liking = np.array([taste.get(name, 0.0) for name in NAMES])
        for _ in range(n):
            values = self.values()
            order = np.argsort(-self.rankers.prior.score(values, NAMES), kind="stable")
            ids = self.recalled(values, project=project)
            by_taste = np.argsort(-(values[order[:N_SHOWN]] @ liking))
            helped = int(self.random.integers(N_SHOWN)) if self.random.random() < wrong else int(by_taste[0])
            self.judge(ids[helped], "helped")

    def active(self) -> ranker.Model:
        return self.rankers.of(None)

    def weight(self, name: str) -> float:
        model = self.active()
        assert isinstance(model, ranker.LinearModel)
        return dict(zip(model.features, model.weights, strict=True)).get(name, 0.0)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "home")
    yield made
    made.store.close()


def test_before_any_outcome_the_prior_ranks_and_nothing_is_queued(house: House) -> None:
    house.recalled(house.values())
    assert house.learner.queue() == 0
    assert house.active() is house.rankers.prior
    assert house.learner.status().state == "waiting"


def test_a_clear_taste_is_followed_and_shows_in_status_and_history(house: House) -> None:
    house.judge_by({"date": 1.0}, 60)
    assert house.learner.queue() == 1
    house.learner.learn()
    assert house.weight("date") > 2.0 * _prior_weight("date")
    status = house.learner.status()
    assert (status.state, status.n_outcomes, status.n_queries) == ("learned", 60, 60)
    [model] = status.active
    assert model.trained_on["queries"] == 60
    assert model.weights is not None
    assert model.weights["date"] > status.prior_weights["date"]
    assert [m.status for m in house.learner.history(10)] == ["active"]
    assert house.told, "whoever listens is told"


def test_what_was_learned_ranks_after_a_restart_too(house: House) -> None:
    house.judge_by({"date": 1.0}, 60)
    house.learner.learn()
    again = Rankers(house.store, house.home).of(None)
    assert again == house.active()
    assert again.name != house.rankers.prior.name


def test_learning_the_same_again_adds_nothing(house: House) -> None:
    house.judge_by({"date": 1.0}, 30)
    house.learner.learn()
    house.learner.learn()
    assert len(house.learner.history(10)) == 1
    house.clock.now += 3_600
    assert house.learner.queue() == 0


def test_a_person_who_agrees_with_the_prior_changes_next_to_nothing(house: House) -> None:
    prior = house.rankers.prior
    assert isinstance(prior, ranker.LinearModel)
    house.judge_by(dict(zip(prior.features, prior.weights, strict=True)), 40)
    house.learner.learn()
    fresh = np.random.default_rng(9).random((200, len(NAMES))).astype(np.float32)
    same = np.corrcoef(prior.score(fresh, NAMES), house.active().score(fresh, NAMES))[0, 1]
    assert same > 0.97


@pytest.mark.parametrize("verdict", ["helped", "wrong"])
def test_outcomes_that_are_all_equal_teach_nothing(house: House, verdict: str) -> None:
    for _ in range(10):
        for id in house.recalled(house.values(5)):
            house.judge(id, verdict)
    house.learner.learn()
    assert house.active() is house.rankers.prior
    assert house.learner.status().state == "waiting"


def test_one_recall_alone_moves_no_weight_far(house: House) -> None:
    house.judge_by({"length": 1.0}, 1)
    house.learner.learn()
    prior = house.rankers.prior
    assert isinstance(prior, ranker.LinearModel)
    for name, weight in zip(prior.features, prior.weights, strict=True):
        assert abs(house.weight(name) - weight) < 0.3


def test_contradictory_outcomes_leave_the_order_as_it_was(house: House) -> None:
    house.judge_by({}, 60, wrong=1.0)
    house.learner.learn()
    prior = house.rankers.prior
    fresh = np.random.default_rng(9).random((200, len(NAMES))).astype(np.float32)
    same = np.corrcoef(prior.score(fresh, NAMES), house.active().score(fresh, NAMES))[0, 1]
    assert same > 0.85


def test_a_thousand_outcomes_of_one_agent_in_a_minute_do_not_buy_the_ranking(house: House) -> None:
    house.judge_by({"date": 1.0}, 40)
    house.learner.learn()
    fresh = np.random.default_rng(9).random((200, len(NAMES))).astype(np.float32)
    before = house.active().score(fresh, NAMES)
    column = NAMES.index("length")
    at = house.clock.now
    for _ in range(50):
        values = house.values()
        ids = house.recalled(values, agent="mallory")
        house.clock.now = at
        order = np.argsort(-house.rankers.prior.score(values, NAMES), kind="stable")
        longest = int(np.argmax(values[order[:N_SHOWN], column]))
        for _ in range(20):
            house.judge(ids[longest], "helped", agent="mallory")
    house.learner.learn()
    after = house.active().score(fresh, NAMES)
    assert np.corrcoef(before, after)[0, 1] > 0.97


def test_a_project_gets_weights_of_its_own_and_others_keep_the_general_ones(house: House) -> None:
    house.judge_by({"date": 1.0}, 60)
    house.judge_by({"length": 1.0}, 60, project="p1")
    house.learner.learn()
    own, general = house.rankers.of("p1"), house.rankers.of("p2")
    assert isinstance(own, ranker.LinearModel)
    assert isinstance(general, ranker.LinearModel)
    share = {
        name: [dict(zip(m.features, m.weights, strict=True))[name] for m in (own, general)]
        for name in ("length", "date")
    }
    assert share["length"][0] > share["length"][1]
    assert share["date"][0] < share["date"][1]
    assert general == house.active()


def test_what_was_forgotten_is_no_longer_learned_from(house: House) -> None:
    house.judge_by({"date": 1.0}, 30)
    house.learner.learn()
    assert house.active() is not house.rankers.prior
    house.store.forget(house.ids).result()
    house.clock.now += 3_600
    assert house.learner.queue() == 1
    house.learner.learn()
    assert house.active() is house.rankers.prior


def test_rolling_back_takes_the_model_before_and_then_the_prior(house: House) -> None:
    with pytest.raises(Conflict):
        house.rankers.roll_back(None, None)
    house.judge_by({"date": 1.0}, 30)
    house.learner.learn()
    first = house.rankers.learned()[0][0].id
    house.judge_by({"length": 1.0}, 60)
    house.learner.learn()
    second = house.rankers.learned()[0][0].id
    back = house.rankers.roll_back(None, None)
    assert back is not None
    assert back.id == first
    assert house.rankers.roll_back(None, None) is None
    assert house.active() is house.rankers.prior
    forward = house.rankers.roll_back(second, None)
    assert forward is not None
    assert house.rankers.learned()[0][0].id == second
    with pytest.raises(NotFound, match="does not exist"):
        house.rankers.roll_back("01NOBODY", None)


def test_after_a_rollback_nothing_new_ranks_until_there_is_more_to_learn_from(house: House) -> None:
    house.judge_by({"date": 1.0}, 30)
    house.learner.learn()
    house.rankers.roll_back(None, None)
    house.judge_by({"date": 1.0}, 3)
    house.learner.learn()
    assert house.active() is house.rankers.prior
    assert house.learner.status().state == "held"
    assert "rolled back" in (house.learner.status().detail or "")
    house.judge_by({"date": 1.0}, 30)
    house.learner.learn()
    assert house.active() is not house.rankers.prior
    assert house.learner.status().state == "learned"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[: len(text) // 2], "SHA-256"),
        (lambda text: text.replace("date = ", "date = 9"), "SHA-256"),
        (lambda text: "tree\nversion=v4\n", "SHA-256"),
        (lambda text: "\0" * 100, "SHA-256"),
        (None, "cannot be read"),
    ],
)
def test_a_damaged_model_file_is_refused_with_the_reason_and_the_prior_ranks(
    house: House, damage: object, says: str
) -> None:
    house.judge_by({"date": 1.0}, 30)
    house.learner.learn()
    [path] = (house.home / "ranker").iterdir()
    assert path.stat().st_mode & 0o077 == 0
    if callable(damage):
        path.write_text(damage(path.read_text()))
    else:
        path.unlink()
    rankers = Rankers(house.store, house.home)
    assert rankers.of(None) is rankers.prior
    [problem] = rankers.problems()
    assert says in problem.message
    [record] = rankers.history()
    assert (record.status, says in record.reason) == ("refused", True)


def test_switched_off_it_learns_nothing_and_says_so(tmp_path: Path) -> None:
    house = House(tmp_path / "home", is_on=False)
    house.judge_by({"date": 1.0}, 10)
    assert house.learner.queue() == 0
    assert house.learner.status().state == "off"
    house.store.close()


def _prior_weight(name: str) -> float:
    return next(weight.weight for weight in ranker.CHAT.weights if weight.feature == name)
