"""What a recall showed, what came of it, and the models fitted to that: kept whole, judged once, prunable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlcipher3 import dbapi2

from penchant_store import (
    FeatureTable,
    ImpressionItem,
    InvalidRecord,
    NewEvent,
    NewImpression,
    NewMemory,
    NewOutcome,
    NewRankerModel,
    Store,
    UnknownId,
)
from penchant_store.migrate import migrate, migrations

EARLY, LATE = "2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "home")
    yield opened
    opened.close()


def kept(store: Store, *texts: str) -> list[str]:
    memories = [NewMemory(text, agent="test", origin="user", channel="api") for text in texts]
    return [receipt.id for receipt in store.add_memories(memories).result()]


def shown(store: Store, ids: list[str], agent: str = "claude", query: str = "q", n_shown: int = 10) -> str:
    items = tuple(
        ImpressionItem(id, rank, 1.0 / rank, {"words": 0.5, "meaning": rank / 8}, rank <= n_shown, 1.0 / rank)
        for rank, id in enumerate(ids, 1)
    )
    id, written = store.add_impression(NewImpression(query, agent, "s", "orion", None, items, "prior"))
    written.result()
    return id


def test_candidates_keep_their_features_and_whether_they_were_shown(store: Store) -> None:
    ids = kept(store, "one", "two", "three")
    record = store.impression(shown(store, ids, n_shown=2))
    assert record is not None
    assert [(item.id, item.is_shown) for item in record.items] == list(
        zip(ids, (True, True, False), strict=True)
    )
    assert record.items[2].features == {"words": 0.5, "meaning": 0.375}
    assert record.items[1].propensity == 0.5


def test_only_judged_impressions_are_learned_from_oldest_first(store: Store) -> None:
    ids = kept(store, "one", "two")
    first, _, third = (shown(store, ids, query=f"q{n}") for n in range(3))
    for impression, verdict in ((third, "helped"), (first, "wrong"), (first, "helped")):
        store.add_outcome(NewOutcome(impression, ids[0], verdict, "claude")).result()
    judged = store.judged_impressions(EARLY)
    assert [(j.impression.query, [o.verdict for o in j.outcomes]) for j in judged] == [
        ("q0", ["wrong", "helped"]),
        ("q2", ["helped"]),
    ]
    assert store.judged_impressions(LATE) == []
    assert [j.impression.query for j in store.judged_impressions(EARLY, limit=1)] == ["q2"], "the latest"


def test_use_is_told_apart_from_what_was_said(store: Store) -> None:
    (id,) = kept(store, "one")
    impression = shown(store, [id])
    store.add_outcome(NewOutcome(impression, id, "used", "claude", source="use", strength=0.75)).result()
    (outcome,) = store.outcomes(id)
    assert (outcome.verdict, outcome.source, outcome.strength) == ("used", "use", 0.75)
    assert store.n_outcomes_since("claude", EARLY) == 1
    assert store.n_outcomes_since("claude", LATE) == store.n_outcomes_since("cursor", EARLY) == 0
    with pytest.raises(InvalidRecord, match="strength"):
        store.add_outcome(NewOutcome(impression, id, "used", "claude", source="use", strength=1.5))


def test_the_impression_that_showed_a_memory_is_found_by_agent(store: Store) -> None:
    one, two = kept(store, "one", "two")
    first = shown(store, [one], agent="claude")
    second = shown(store, [one, two], agent="cursor", n_shown=1)
    assert store.impression_that_showed(one) == second
    assert store.impression_that_showed(one, "claude") == first
    assert store.impression_that_showed(two) is None, "a candidate that was not returned"
    assert [i.id for i in store.latest_impressions(EARLY, session="s")] == [second, first]
    assert [i.id for i in store.latest_impressions(EARLY, agent="claude")] == [first]


def test_what_was_asked_is_listed_in_order_without_what_it_found(store: Store) -> None:
    (id,) = kept(store, "one")
    asked = [shown(store, [id], query=f"q{n}") for n in range(3)]
    assert [(a.impression_id, a.query, a.agent, a.session) for a in store.asked_since(EARLY, limit=2)] == [
        (asked[1], "q1", "claude", "s"),
        (asked[2], "q2", "claude", "s"),
    ]
    assert store.asked_since(LATE) == []


def test_events_are_read_on_from_where_the_last_look_ended(store: Store) -> None:
    def said(role: str, text: str) -> None:
        store.add_events([NewEvent("message", role, text, session="s", agent="a", channel="api")]).result()

    before = store.event_number(0.0)
    for n in range(3):
        said("user", f"question {n}")
        said("assistant", f"answer {n}")
    first, number = store.events_after(before, 2, ["assistant"])
    rest, end = store.events_after(number, 10, ["assistant"])
    assert [e.content for e in (*first, *rest)] == ["answer 0", "answer 1", "answer 2"]
    assert store.events_after(end, 10)[0] == []
    said("assistant", "answer 3")
    assert [e.content for e in store.events_after(end, 10)[0]] == ["answer 3"]
    assert store.event_number(4e9) == store.events_after(0, 1_000)[1]


def test_forgetting_a_memory_takes_its_candidatures_and_outcomes_along(store: Store) -> None:
    one, two = kept(store, "one", "two")
    impression = shown(store, [one, two], query="where is one", n_shown=1)
    store.add_outcome(NewOutcome(impression, two, "helped", "claude")).result()
    store.forget([two]).result()
    record = store.impression(impression)
    assert record is not None
    assert ([item.id for item in record.items], record.query) == ([one], "")
    assert store.judged_impressions(EARLY) == []


def test_old_impressions_go_and_judged_ones_stay_longer(store: Store) -> None:
    (id,) = kept(store, "one")
    judged, plain = shown(store, [id]), shown(store, [id])
    store.add_outcome(NewOutcome(judged, id, "helped", "claude")).result()
    assert store.prune_impressions(EARLY, EARLY).result() == 0
    assert store.prune_impressions(LATE, EARLY).result() == 1
    assert (store.impression(plain), store.impression(judged) is not None) == (None, True)
    assert store.prune_impressions(LATE, LATE).result() == 1


def test_items_with_different_features_are_refused(store: Store) -> None:
    items = (ImpressionItem("a", 1, 1.0, {"words": 1.0}), ImpressionItem("b", 2, 1.0, {"meaning": 1.0}))
    with pytest.raises(InvalidRecord, match="items"):
        store.add_impression(NewImpression("q", "a", None, None, None, items, "prior"))


def test_a_table_gives_the_features_of_all_items_and_must_fit_them(store: Store) -> None:
    ids = kept(store, "one", "two")
    items = tuple(ImpressionItem(id, rank, 1.0) for rank, id in enumerate(ids, 1))
    values = np.array([[0.5, 0.25], [1.0, 0.75]], dtype=np.float32)

    def add(table: FeatureTable) -> str:
        id, written = store.add_impression(
            NewImpression("q", "a", None, None, None, items, "prior", features=table)
        )
        written.result()
        return id

    record = store.impression(add(FeatureTable(("words", "meaning"), values)))
    assert record is not None
    assert [dict(item.features) for item in record.items] == [
        {"words": 0.5, "meaning": 0.25},
        {"words": 1.0, "meaning": 0.75},
    ]
    with pytest.raises(InvalidRecord, match="features"):
        add(FeatureTable(("words", "meaning"), values[:1]))
    with pytest.raises(InvalidRecord, match="features"):
        add(FeatureTable(("words,", "meaning"), values))


def model(status: str = "active", project: str | None = None) -> NewRankerModel:
    return NewRankerModel("linear", project, status, "better by 0.02", "ab" * 32, {"n_queries": 30})


def test_one_model_is_active_for_each_project_and_one_for_the_rest(store: Store) -> None:
    first, second, of_project = (
        store.add_ranker_model(new).result() for new in (model(), model(), model(project="p1"))
    )
    assert {m.id for m in store.ranker_models("active")} == {second, of_project}
    assert next(m for m in store.ranker_models() if m.id == first).reason == f"replaced by {second}"
    store.set_ranker_model_status(second, "rolled_back", "asked by the person").result()
    store.set_ranker_model_status(first, "active", "rolled back to").result()
    assert {m.id for m in store.ranker_models("active")} == {first, of_project}
    assert store.ranker_models()[-1].trained_on == {"n_queries": 30}
    with pytest.raises(UnknownId):
        store.set_ranker_model_status("nobody", "active", "").result()


def test_a_file_of_the_first_version_keeps_what_was_shown_and_said(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Store.open(home).close()
    path = home / "behaviour.db"
    for file in home.glob("behaviour.db*"):
        file.unlink()
    connection = dbapi2.connect(str(path), isolation_level=None)
    migrate(connection, "behaviour", path, EARLY, migrations("behaviour")[:1])
    connection.execute(
        "INSERT INTO impressions (id, created_at, query, agent, model) VALUES ('i1', ?, 'q', 'claude', 'm')",
        (EARLY,),
    )
    connection.execute("""INSERT INTO impression_items VALUES (1, 1, 'm1', 2.5, '{"words":1.0}')""")
    connection.execute(
        "INSERT INTO outcomes (id, created_at, impression_id, memory_id, verdict, agent)"
        " VALUES ('o1', ?, 'i1', 'm1', 'helped', 'claude')",
        (EARLY,),
    )
    connection.close()
    store = Store.open(home)
    (judged,) = store.judged_impressions(EARLY)
    store.close()
    assert [(i.id, i.score, i.is_shown, dict(i.features)) for i in judged.impression.items] == [
        ("m1", 2.5, True, {})
    ]
    assert [(o.verdict, o.source, o.strength) for o in judged.outcomes] == [("helped", "feedback", 1.0)]
