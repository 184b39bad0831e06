"""Recall over a real store with the real embedder: what is found, what is kept apart, and what bad input gets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from penchant_daemon.config import Config
from penchant_daemon.errors import InvalidField, NotFound
from penchant_daemon.models import Embedder, Encodings, ModelMissing, QueryEncoding, open_embedder
from penchant_daemon.recall import Recall
from penchant_daemon.wire import RecallRequest, RecallResponse
from penchant_ranker import cues, embedded_text, stem_hashes
from penchant_store import IndexBatch, NewEvent, NewMemory, Ragged, Store

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return open_embedder(Config(), Path(tempfile.mkdtemp(prefix="pt-")))


@pytest.fixture
def store(short_path: Path) -> Iterator[Store]:
    opened = Store.open(short_path / "home", clock=lambda: NOW)
    yield opened
    opened.close()


@pytest.fixture
def recall(store: Store, embedder: Embedder) -> Iterator[Recall]:
    made = Recall(store, embedder, clock=lambda: NOW)
    yield made
    made.close()


def index(store: Store, embedder: Embedder | None, with_tokens: bool = True) -> None:
    """What the indexer does, at once; without token vectors as before there were any."""
    name = embedder.name if embedder else None
    while (items := store.unindexed(name, 500)).size:
        records = store.records(items)
        texts = [r.content for r in records]
        stems = [stem_hashes(t) for t in texts]
        flags = np.array([int(cues(t)) for t in texts], dtype=np.uint32)
        pooled, tokens = None, None
        if embedder is not None:
            prefixed = [
                embedded_text(
                    r.content,
                    speaker=(r.speaker or r.role) if r.is_event else None,
                    occurred_at=int(datetime.fromisoformat(r.occurred_at).timestamp()),
                    cues=int(flag),
                )
                for r, flag in zip(records, flags, strict=True)
            ]
            encoded = embedder.encode(prefixed)
            pooled = encoded.pooled
            if with_tokens:
                starts = np.concatenate(([0], np.cumsum([len(b) for b in encoded.bits]))).astype(np.int64)
                tokens = Ragged(np.concatenate(encoded.bits), starts)
        offsets = np.concatenate(([0], np.cumsum([len(s) for s in stems]))).astype(np.int64)
        batch = IndexBatch(
            items, pooled=pooled, stems=(np.concatenate(stems), offsets), cues=flags, tokens=tokens
        )
        store.write_index(name, batch).result()
        store.write_trigrams(items).result()


def remember(store: Store, *contents: str, **fields: str) -> list[str]:
    """Global facts, or with other fields; returns their ids."""
    fields = {"scope": "global", "agent": "cli", **fields}
    return [r.id for r in store.add_memories([NewMemory(c, **fields) for c in contents]).result()]  # type: ignore[arg-type]


def log(
    store: Store, turns: Sequence[tuple[str | None, str]], session: str, at: str, role: str = "user"
) -> list[str]:
    events = [
        NewEvent("message", role, text, session=session, speaker=speaker, occurred_at=at, agent="cli")
        for speaker, text in turns
    ]
    return [r.id for r in store.add_events(events).result()]


def unchecked(**fields: str | float) -> RecallRequest:
    """A request as it would be if the wire types let everything through."""
    return RecallRequest.model_construct(**{**RecallRequest(query="x").model_dump(), **fields})


def contents(answer: RecallResponse) -> list[str]:
    return [r.content for r in answer.results]


def first(recall: Recall, query: str, agent: str = "cli") -> str:
    return recall.recall(RecallRequest(query=query), agent).results[0].content


# ---- finding


def test_what_was_said_is_found_by_meaning_speaker_and_time(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    log(
        store,
        [
            ("Melanie", "Caroline, how was your weekend?"),
            ("Caroline", "I went to the adoption agency and filled in the forms."),
            ("Melanie", "I finished my pottery class yesterday, I made a bowl."),
        ],
        "s1",
        "2023-05-08T13:56:00Z",
    )
    log(
        store,
        [("Caroline", "I finished my pottery class too!"), ("Melanie", "Great news.")],
        "s2",
        "2023-07-12T10:00:00Z",
    )
    index(store, embedder)
    assert first(recall, "When did Melanie do ceramics?").startswith("I finished my pottery class yesterday")
    assert first(recall, "What pottery did Caroline do in July?") == "I finished my pottery class too!"
    assert first(recall, "Who wants to become a parent?").startswith("I went to the adoption agency")


CHAT = [
    ("Ann", "We spent the whole of Sunday in the workshop, sanding the old table."),
    ("Bo", "Sounds dusty! Was it the oak one?"),
    ("Ann", "Yes. Then I varnished it, twice, and my fingers still smell of it."),
    ("Bo", "The kids threw clay on the wheel and made three wobbly mugs."),
    ("Ann", "Lovely. Are they glazed yet?"),
    ("Bo", "Not before next week, the kiln is full."),
    ("Ann", "My mother flies in on Friday, so the guest room needs paint."),
    ("Bo", "Take the leftover blue from our hall, there is a full tin."),
]


def test_what_is_asked_in_other_words_is_found_by_token_vectors(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    log(store, CHAT, "chat", "2026-11-20T10:00:00Z")
    index(store, embedder)
    asked = RecallRequest(query="Who did ceramics with children?", limit=1, explain=True)
    found = recall.recall(asked, "cli").results[0]
    assert found.content.startswith("The kids threw clay")
    reasons = {r.feature: r for r in found.reasons or ()}
    assert "words" not in reasons  # none of the question's words is in it
    assert reasons["tokens_window"].text.startswith("its words ")
    assert reasons["tokens_window"].contribution > 1.0


def test_a_store_without_token_vectors_still_answers_by_words_and_vectors(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    log(store, CHAT, "chat", "2026-11-20T10:00:00Z")
    index(store, embedder, with_tokens=False)
    answer = recall.recall(RecallRequest(query="When is the kiln free?", limit=1), "cli")
    assert answer.results[0].content == "Not before next week, the kiln is full."
    assert answer.warnings == []


def test_a_turn_whose_token_vectors_are_still_to_come_is_found_beside_those_that_have_them(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    log(store, CHAT[:-2], "chat", "2026-11-20T10:00:00Z")
    index(store, embedder)
    log(store, CHAT[-2:], "chat", "2026-11-20T11:00:00Z")
    answer = recall.recall(RecallRequest(query="Which paint is left over, the blue?", limit=1), "cli")
    assert answer.results[0].content.startswith("Take the leftover blue")


def test_thirty_lookups_of_two_hundred_facts_each_put_the_right_one_first(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    said = [
        ("uses pnpm to install packages", "what package manager does {} use?"),
        ("keeps its logs in /var/log/app", "where are the logs of {}?"),
        ("is deployed to Frankfurt on Fridays", "when is {} deployed?"),
        ("has Dana as its on-call engineer", "who is on call for {}?"),
        ("stores its sessions in Redis", "where does project {} keep sessions?"),
    ]
    birds = ["falcon", "kestrel", "raven", "heron", "osprey", "plover", "siskin", "wigeon"]
    names = [f"{birds[i % 8].title()}{i}" for i in range(200)]
    remember(store, *(f"Project {name} {said[i % 5][0]}." for i, name in enumerate(names)))
    log(
        store,
        [(None, f"We talked about packages and logs, round {i}.") for i in range(30)],
        "chat",
        "2026-11-20T10:00:00Z",
    )
    index(store, embedder)
    for i in range(0, 180, 6):
        query = said[i % 5][1].format(names[i])
        answer = recall.recall(RecallRequest(query=query, session="lookups"), "cli")
        assert answer.results[0].content == f"Project {names[i]} {said[i % 5][0]}."


@pytest.mark.parametrize(
    ("query", "content"),
    [
        ("where is max_retries set", "client.toml sets max_retries to 5"),
        ("what does E0308 mean", "rustc E0308 was a mismatched type in parser.rs"),
        ("src/app/main.py", "the entry point moved to src/app/main.py"),
        ("getUserName", "getUserName returns null for guests"),
        ("数据库在哪里", "我们把数据库迁移到了法兰克福"),
        ("データベースの移行", "本番のデータベースを移行した"),
        ("데이터베이스", "운영 데이터베이스를 옮겼다"),
        ("Wo liegt die Datenbank?", "Die Datenbank liegt in Frankfurt"),
        ("¿Dónde está la contraseña?", "La contraseña está en el gestor de claves"),
    ],
)
@pytest.mark.parametrize("is_indexed", [True, False])
def test_identifiers_and_other_languages_are_found(
    store: Store, recall: Recall, embedder: Embedder, query: str, content: str, is_indexed: bool
) -> None:
    remember(
        store,
        "retries are limited",
        "the type system",
        "main ideas",
        "user stories",
        "今天天气很好",
        "Guten Tag",
    )
    index(store, embedder)
    remember(store, content)
    if is_indexed:
        index(store, embedder)
    assert first(recall, query) == content


def test_a_part_of_a_word_finds_the_compound(store: Store, recall: Recall, embedder: Embedder) -> None:
    remember(store, "Der Donaudampfschiffkapitän kommt um acht", "Das Wetter ist gut")
    index(store, embedder)
    assert first(recall, "dampfschiff").startswith("Der Donaudampf")


def test_what_the_asking_session_said_last_is_looked_at_whatever_it_says(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    """Two hundred equal answers, shown once, leave no place among the candidates for another text."""
    log(store, [(None, "Blue, then.")], "now", "2026-11-24T11:59:00Z")
    for i in range(200):
        log(store, [(None, "The release of the parts is planned.")], f"s{i}", "2026-11-01T10:00:00Z")
    index(store, embedder)

    def found(session: str) -> list[str]:
        request = RecallRequest(query="release of the parts", session=session)
        return contents(recall.recall(request, "cli"))

    assert found("s7") == ["The release of the parts is planned."]
    assert found("now") == ["The release of the parts is planned.", "Blue, then."]


def test_a_question_just_logged_by_its_own_session_is_not_its_answer(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    remember(store, "Releases happen on Thursdays.")
    log(store, [(None, "When do releases happen?")], "now", "2026-11-24T11:59:00Z")
    index(store, embedder)
    asked = recall.recall(RecallRequest(query="When do releases happen?", session="now"), "cli")
    assert contents(asked) == ["Releases happen on Thursdays."]
    elsewhere = recall.recall(RecallRequest(query="When do releases happen?"), "cli")
    assert len(elsewhere.results) == 2


def test_equal_texts_are_shown_once(store: Store, recall: Recall, embedder: Embedder) -> None:
    log(store, [(None, "Deploy with make ship.")], "a", "2026-11-01T10:00:00Z")
    log(store, [(None, "Deploy with  make ship.")], "b", "2026-11-02T10:00:00Z")
    remember(store, "Deploy with make ship.")
    index(store, embedder)
    assert len(recall.recall(RecallRequest(query="how do I deploy?"), "cli").results) == 1


def test_forgotten_is_never_recalled(store: Store, recall: Recall, embedder: Embedder) -> None:
    (id_,) = remember(store, "The vault code is turquoise.")
    remember(store, "The vault is in the cellar.")
    index(store, embedder)
    assert first(recall, "vault code turquoise").endswith("turquoise.")
    store.forget([id_]).result()
    asked = RecallRequest(query="vault code turquoise", min_relevance=0.0)
    assert contents(recall.recall(asked, "cli")) == ["The vault is in the cellar."]


def test_asking_twice_gives_the_same_answer(store: Store, recall: Recall, embedder: Embedder) -> None:
    remember(store, *(f"Server {i} runs nginx." for i in range(120)))
    index(store, embedder)
    answers = [
        recall.recall(RecallRequest(query="which server runs nginx?", limit=50), "cli") for _ in range(3)
    ]
    shown = [[(r.id, r.score) for r in a.results] for a in answers]
    assert shown[0] == shown[1] == shown[2]
    assert len({a.impression_id for a in answers}) == 3


def test_many_recall_at_once_while_others_write_and_forget(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    remember(store, "The lighthouse keeper is called Ida.")
    index(store, embedder)

    def ask(number: int) -> str:
        if number % 3 == 0:
            (id_,) = remember(store, f"Ship {number} passed the lighthouse.")
            store.forget([id_]).result()
        return first(recall, "What is the lighthouse keeper called?")

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(ask, range(60)))
    assert answers == {"The lighthouse keeper is called Ida."}


# ---- what may be seen


def test_a_project_shows_its_own_and_the_global(store: Store, recall: Recall, embedder: Embedder) -> None:
    remember(store, "Alpha builds with Bazel.", scope="project", project="/src/alpha")
    remember(store, "Beta builds with Gradle.", scope="project", project="/src/beta")
    remember(store, "Everything builds with a cache.")
    index(store, embedder)
    answer = recall.recall(RecallRequest(query="what builds with what?", project="/src/alpha"), "cli")
    assert set(contents(answer)) == {"Alpha builds with Bazel.", "Everything builds with a cache."}
    assert {r.project for r in answer.results} == {"/src/alpha", None}
    everywhere = recall.recall(RecallRequest(query="what builds with what?"), "cli")
    assert len(everywhere.results) == 3


def test_private_memories_are_seen_by_their_agent_alone(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    remember(store, "The plan is secret santa.", scope="private", agent="codex")
    remember(store, "The plan is public.", agent="codex")
    index(store, embedder)
    assert len(recall.recall(RecallRequest(query="what is the plan?"), "codex").results) == 2
    for other in ("cli", "nobody-has-this-name"):
        assert contents(recall.recall(RecallRequest(query="what is the plan?"), other)) == [
            "The plan is public."
        ]


def test_as_of_shows_what_was_said_and_valid_then(store: Store, recall: Recall, embedder: Embedder) -> None:
    (old,) = remember(store, "The port is 8000.", occurred_at="2026-01-10T00:00:00Z")
    remember(store, "The port is 9000.", occurred_at="2026-06-10T00:00:00Z", supersedes=old)
    index(store, embedder)
    ask = "which port is it?"
    assert contents(recall.recall(RecallRequest(query=ask), "cli")) == ["The port is 9000."]
    assert contents(recall.recall(RecallRequest(query=ask, as_of="2026-03-01"), "cli")) == [
        "The port is 8000."
    ]
    assert contents(recall.recall(RecallRequest(query=ask, as_of="2026-06-10"), "cli")) == [
        "The port is 9000."
    ]
    assert contents(recall.recall(RecallRequest(query=ask, as_of="2026-01-09T23:59:59+00:00"), "cli")) == []


def test_what_is_no_longer_valid_is_not_shown(store: Store, recall: Recall, embedder: Embedder) -> None:
    remember(
        store,
        "The demo runs on the blue host.",
        occurred_at="2026-05-01T00:00:00Z",
        valid_from="2026-05-01T00:00:00Z",
        valid_to="2026-06-01T00:00:00Z",
    )
    index(store, embedder)
    assert contents(recall.recall(RecallRequest(query="where does the demo run?"), "cli")) == []
    then = RecallRequest(query="where does the demo run?", as_of="2026-05-15")
    assert contents(recall.recall(then, "cli")) == ["The demo runs on the blue host."]


# ---- the answer


def test_a_result_carries_date_session_and_provenance(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    log(store, [("Ann", "I moved the wiki to Hugo.")], "s9", "2026-10-01T09:30:00Z")
    store.set_session_title("s9", "Wiki move", "host").result()
    index(store, embedder)
    (result,) = recall.recall(RecallRequest(query="where is the wiki?", explain=True), "cli").results
    assert result.occurred_at.startswith("2026-10-01T09:30:00")
    assert (result.session, result.session_title) == ("s9", "Wiki move")
    assert (result.speaker, result.role, result.source, result.agent) == ("Ann", "user", "episode", "cli")
    assert result.reasons is not None
    assert any(r.feature == "meaning" and r.value > 0.3 for r in result.reasons)


def test_explanations_are_in_words_and_only_when_asked(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    log(
        store,
        [("Ann", "Did you run today?"), ("Bo", "I ran ten miles in the park.")],
        "s1",
        "2023-05-08T10:00:00Z",
    )
    index(store, embedder)
    asked = RecallRequest(query="Where did Bo run in May?", explain=True)
    best = recall.recall(asked, "cli").results[0]
    assert best.speaker == "Bo"
    texts = {r.feature: r.text for r in best.reasons or []}
    assert texts["speaker"] == "said by Bo, whom the question names"
    assert texts["date"] == "from 8 May, 2023, the time that the question names (“in May”)"
    assert recall.recall(RecallRequest(query="Bo run"), "cli").results[0].reasons is None


def test_limit_and_budget_hold(store: Store, recall: Recall, embedder: Embedder) -> None:
    remember(store, *(f"Note {i} about bread and butter." for i in range(40)))
    index(store, embedder)
    assert len(recall.recall(RecallRequest(query="bread", limit=7), "cli").results) == 7
    assert len(recall.recall(RecallRequest(query="bread", limit=1000), "cli").results) == 40
    few = recall.recall(RecallRequest(query="bread", budget_tokens=25), "cli").results
    assert 0 < sum(-(-len(r.content) // 4) for r in few) <= 25
    assert recall.recall(RecallRequest(query="bread", budget_tokens=1), "cli").results == []


def test_each_recall_is_kept_as_an_impression(store: Store, recall: Recall, embedder: Embedder) -> None:
    remember(store, "Tabs are four spaces wide.")
    index(store, embedder)
    answer = recall.recall(RecallRequest(query="how wide are tabs?", session="s"), "codex")
    store.add_memories(
        [NewMemory("a later write, after which the impression is there", scope="global")]
    ).result()
    impression = store.impression(answer.impression_id)
    while impression is None:  # written behind
        impression = store.impression(answer.impression_id)
    assert (impression.agent, impression.session, impression.query) == ("codex", "s", "how wide are tabs?")
    assert [i.id for i in impression.items] == [answer.results[0].id]
    assert impression.items[0].features["meaning"] > 0.3


def test_an_empty_store_answers_nothing(recall: Recall) -> None:
    assert recall.recall(RecallRequest(query="anything at all?"), "cli").results == []


# ---- without vectors


class MissingEmbedder:
    """An embedder whose model is not here."""

    name = "missing"
    dim = 384

    def encode_query(self, text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        raise ModelMissing("there is no model here", "penchant models list")

    def encode_question(self, text: str) -> QueryEncoding:
        raise ModelMissing("there is no model here", "penchant models list")

    def encode(self, texts: Sequence[str], *, with_tokens: bool = False) -> Encodings:
        raise ModelMissing("there is no model here", "penchant models list")


@pytest.mark.parametrize("embedder_here", [None, MissingEmbedder()])
def test_without_a_model_words_answer_and_it_is_said(store: Store, embedder_here: Embedder | None) -> None:
    remember(store, "The heron nests by the lake.", "The raven steals bread.")
    index(store, None)
    recall = Recall(store, embedder_here, clock=lambda: NOW)
    answer = recall.recall(RecallRequest(query="where does the heron nest?"), "cli")
    assert answer.results[0].content == "The heron nests by the lake."
    assert len(answer.warnings) == 1
    assert answer.warnings[0].startswith("ranked by words alone")
    recall.close()


def test_what_was_written_a_moment_ago_is_found_before_it_is_indexed(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    remember(store, "The gate is open.", "Keys are in the drawer.", "Doors are locked at nine.")
    index(store, embedder)
    remember(store, "The gate key rotates on Mondays.")
    assert first(recall, "when does the gate key rotate?") == "The gate key rotates on Mondays."


# ---- bad input


@pytest.mark.parametrize("query", ["", "   ", "\x00", "?!…", "\ud800"])
def test_a_query_without_text_is_refused(recall: Recall, query: str) -> None:
    with pytest.raises(InvalidField, match="query") as caught:
        recall.recall(unchecked(query=query), "cli")
    assert caught.value.field == "body.query"


@pytest.mark.parametrize(
    "query",
    [
        'bread" OR "x',
        "bread*",
        "NEAR(bread butter)",
        "bread AND NOT butter",
        "^bread",
        "text:bread",
        "(bread",
        "bread\x00",
        "'; DROP TABLE items; -- bread",
        "{bread} + [butter]",
        "bread\ud800",
    ],
)
def test_operators_and_odd_bytes_are_data(
    store: Store, recall: Recall, embedder: Embedder, query: str
) -> None:
    remember(store, "We bake bread.", "We churn milk.")
    index(store, embedder)
    answer = recall.recall(unchecked(query=query, min_relevance=0.0), "cli")
    assert answer.results[0].content == "We bake bread."


def test_a_query_of_a_megabyte_is_ranked_by_its_beginning_and_it_is_said(
    store: Store, recall: Recall, embedder: Embedder
) -> None:
    remember(store, "We bake bread.", "We churn milk.")
    index(store, embedder)
    asked = RecallRequest(query="who bakes bread? " + "filler " * 142_000, min_relevance=0.0)
    answer = recall.recall(asked, "cli")
    assert answer.results[0].content == "We bake bread."
    assert "4000" in answer.warnings[0]


@pytest.mark.parametrize(
    "as_of", ["", "soon", "2026-13-01", "2026-02-30", "99999-01-01", "2026-11-24T99:00", "\x00"]
)
def test_a_bad_date_is_refused_by_name(recall: Recall, as_of: str) -> None:
    with pytest.raises(InvalidField) as caught:
        recall.recall(unchecked(query="bread", as_of=as_of), "cli")
    assert caught.value.field == "body.as_of"


def test_an_unknown_project_is_refused_with_similar_names(store: Store, recall: Recall) -> None:
    remember(store, "Alpha builds.", scope="project", project="/src/alpha")
    with pytest.raises(NotFound) as caught:
        recall.recall(RecallRequest(query="builds", project="alpah"), "cli")
    assert caught.value.field == "body.project"
    assert caught.value.hint == "did you mean alpha?"
