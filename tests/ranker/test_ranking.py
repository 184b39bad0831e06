"""Features, the sum and its explanation, on pools of turns whose right answer is known by hand."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from penchant_ranker import (
    CHAT,
    CHAT_BY_WORDS,
    CODE,
    FEATURES,
    MAX_TOKENS,
    TOKEN_BITS,
    ContentTokens,
    HandSet,
    Pool,
    Query,
    QueryTokens,
    Ranking,
    Shown,
    SpeakerNames,
    TokenVectors,
    Weight,
    content_tokens,
    cues,
    explain,
    features,
    parse_query,
    rank,
    stem_hash,
    stem_hashes,
    stems,
)

NOW = 1_764_000_000
MAY_8 = 1_683_554_160
JUNE_8 = 1_686_232_560


@dataclass(frozen=True)
class Turn:
    text: str
    speaker: str | None = None
    session: int = 0
    role: int = 1
    occurred_at: int = MAY_8
    cosine: float = 0.0
    exact: float = 0.0
    has_tokens: bool = True


def speakers_of(turns: Sequence[Turn]) -> list[str]:
    """The speakers by number; 0 is none."""
    return ["", *sorted({t.speaker for t in turns if t.speaker})]


def ask(text: str, turns: Sequence[Turn], now: int = NOW) -> Query:
    return parse_query(text, names=SpeakerNames(speakers_of(turns)), now=now)


#: Made-up token vectors: every word has random bits of its own, except that these are near one another.
NEAR = {"ceramics": "pottery", "timber": "wood", "photographs": "pictures"}


def token_bits(word: str) -> NDArray[np.uint8]:
    """48 bytes for a word: near words differ in 60 of their 384 bits, a cosine of 0.88."""
    root = NEAR.get(word, word)
    bits = np.random.default_rng(stem_hash(root)).integers(0, 2, TOKEN_BITS, dtype=np.uint8)
    if root != word:
        bits[np.random.default_rng(stem_hash(word)).choice(TOKEN_BITS, 60, replace=False)] ^= 1
    return np.packbits(bits)


def tokens_of(text: str) -> tuple[NDArray[np.uint8], ContentTokens]:
    """The tokens of a text, a word each."""
    spans = [m.span() for m in re.finditer(r"\w+", text.lower())]
    content = content_tokens(text.lower(), spans, MAX_TOKENS)
    found = [token_bits(content.words[i]) for i in content.word_of]
    return np.array(found, dtype=np.uint8).reshape(-1, TOKEN_BITS // 8), content


def with_tokens(pool: Pool, query: Query, turns: Sequence[Turn]) -> Pool:
    """The pool with token vectors of all turns that have them."""
    bits, content = tokens_of(query.text)
    rows = [tokens_of(turns[i].text)[0] for i in (pool.items - 1).tolist()]
    rows = [
        row if turns[i].has_tokens else row[:0]
        for row, i in zip(rows, (pool.items - 1).tolist(), strict=True)
    ]
    offsets = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    return replace(
        pool,
        query_tokens=QueryTokens(bits, content.word_of, content.words),
        tokens=TokenVectors(np.concatenate(rows), offsets) if rows else None,
    )


def pool_of(query: Query, turns: Sequence[Turn], order: Sequence[int] | None = None) -> Pool:
    """A pool of all turns; item i + 1 is turn i, whatever the order of the rows."""
    order = list(range(len(turns))) if order is None else list(order)
    speakers = speakers_of(turns)
    stems = [stem_hashes(turns[i].text) for i in order]
    frequency = Counter(h for t in turns for h in set(stem_hashes(t.text).tolist()))
    row_of = {turn: row for row, turn in enumerate(order)}
    around = np.full((len(order), 5), -1, dtype=np.int64)
    for row, i in enumerate(order):
        for column, step in enumerate((-2, -1, 0, 1, 2)):
            j = i + step
            same = 0 <= j < len(turns) and turns[j].session == turns[i].session and turns[i].session > 0
            if step == 0 or same:
                around[row, column] = row_of[j]
    chosen = [turns[i] for i in order]
    return Pool(
        items=np.array(order, dtype=np.int64) + 1,
        candidates=np.arange(len(order), dtype=np.int64),
        around=around,
        session=np.array([t.session for t in chosen], dtype=np.int32),
        speaker=np.array([speakers.index(t.speaker or "") for t in chosen], dtype=np.int32),
        is_person=np.array([bool(t.speaker) for t in chosen], dtype=np.bool_),
        role=np.array([t.role for t in chosen], dtype=np.int8),
        is_kept=np.array([t.role == 0 for t in chosen], dtype=np.bool_),
        occurred_at=np.array([t.occurred_at for t in chosen], dtype=np.int64),
        n_chars=np.array([len(t.text) for t in chosen], dtype=np.int32),
        cues=np.array([int(cues(t.text)) for t in chosen], dtype=np.uint32),
        cosine=np.array([t.cosine for t in chosen], dtype=np.float32),
        exact=np.array([t.exact for t in chosen], dtype=np.float32),
        stems=np.concatenate(stems) if stems else np.zeros(0, dtype=np.uint32),
        offsets=np.concatenate(([0], np.cumsum([len(s) for s in stems]))).astype(np.int64),
        document_frequency=np.array([frequency[h] for h in query.hashes.tolist()], dtype=np.int64),
        n_documents=len(turns),
        mean_length=float(np.mean([len(s) for s in stems])) if stems else 1.0,
    )


NAMES = [f.name for f in FEATURES]


def column(query: Query, pool: Pool, name: str) -> list[float]:
    """One feature of all candidates, by turn."""
    values = features(query, pool)[:, NAMES.index(name)]
    return [float(v) for _, v in sorted(zip(pool.items.tolist(), values.tolist(), strict=True))]


def best(query: Query, turns: Sequence[Turn]) -> int:
    """The turn that comes first."""
    pool = pool_of(query, turns)
    return int(pool.items[rank(query, pool).rows[0]]) - 1


CONVERSATION = [
    Turn("Hey Melanie, how was your week?", "Caroline", 1, cosine=0.2),
    Turn("I painted a sunrise over the lake last year!", "Melanie", 1, cosine=0.6),
    Turn("Lovely. Did you ever paint people?", "Caroline", 1, cosine=0.5),
    Turn("Not yet, but I want to.", "Melanie", 1, cosine=0.3),
    Turn("The support group met again.", "Caroline", 2, occurred_at=JUNE_8, cosine=0.1),
    Turn("I am so proud of you.", "Melanie", 2, occurred_at=JUNE_8, cosine=0.1),
    Turn("", "Melanie", 2, occurred_at=JUNE_8, cosine=0.0),
    Turn("The sunrise paint is stored in the shed.", None, 0, role=0, cosine=0.4),
]
WAYS = pytest.mark.parametrize("has_tokens", [False, True], ids=["by words", "with tokens"])
QUESTIONS = [
    "When did Melanie paint a sunrise?",
    "What did Caroline say about the support group in June?",
    "paint",
    "Who is proud?",
    "zebra",
    "Melanie",
]


# ---- contracts that hold for every question


def pool_either(
    query: Query, turns: Sequence[Turn], has_tokens: bool, order: Sequence[int] | None = None
) -> Pool:
    pool = pool_of(query, turns, order)
    return with_tokens(pool, query, turns) if has_tokens else pool


@WAYS
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_order_of_the_input_changes_nothing(question: str, has_tokens: bool) -> None:
    query = ask(question, CONVERSATION)
    straight = pool_either(query, CONVERSATION, has_tokens)
    ranked = rank(query, straight)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(CONVERSATION)).tolist()
        shuffled = pool_either(query, CONVERSATION, has_tokens, order)
        other = rank(query, shuffled)
        assert shuffled.items[other.rows].tolist() == straight.items[ranked.rows].tolist()
        np.testing.assert_allclose(other.scores, ranked.scores, atol=1e-5)


@WAYS
@pytest.mark.parametrize("question", QUESTIONS)
def test_ranking_twice_gives_the_same_and_changes_no_input(question: str, has_tokens: bool) -> None:
    query = ask(question, CONVERSATION)
    pool = pool_either(query, CONVERSATION, has_tokens)
    before = {name: np.copy(getattr(pool, name)) for name in ("cosine", "stems", "around", "cues", "items")}
    first, second = rank(query, pool), rank(query, pool)
    assert first.rows.tolist() == second.rows.tolist()
    assert first.scores.tolist() == second.scores.tolist()
    for name, copy in before.items():
        np.testing.assert_array_equal(getattr(pool, name), copy)


@WAYS
@pytest.mark.parametrize("question", QUESTIONS)
def test_contributions_add_up_to_the_score(question: str, has_tokens: bool) -> None:
    query = ask(question, CONVERSATION)
    ranked = rank(query, pool_either(query, CONVERSATION, has_tokens))
    np.testing.assert_allclose(ranked.contributions.sum(axis=1), ranked.scores, atol=1e-4)
    assert ranked.scores.tolist() == sorted(ranked.scores.tolist(), reverse=True)


@WAYS
@pytest.mark.parametrize("question", QUESTIONS)
def test_every_feature_is_finite_and_flags_stay_between_0_and_1(question: str, has_tokens: bool) -> None:
    query = ask(question, CONVERSATION)
    values = features(query, pool_either(query, CONVERSATION, has_tokens))
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    for i, feature in enumerate(FEATURES):
        if feature.unit == "flag":
            assert values[:, i].max() <= 1.0


def test_an_empty_pool_ranks_nothing() -> None:
    query = ask("anything", [])
    ranked = rank(query, pool_of(query, []))
    assert isinstance(ranked, Ranking)
    assert ranked.rows.tolist() == []


def test_equal_scores_put_the_newer_item_first() -> None:
    turns = [Turn("same words", role=0)] * 3
    query = ask("same words", turns)
    pool = pool_of(query, turns)
    assert pool.items[rank(query, pool).rows].tolist() == [3, 2, 1]


def test_a_weight_of_an_unknown_feature_is_tolerated() -> None:
    query = ask("sunrise", CONVERSATION)
    pool = pool_of(query, CONVERSATION)
    model = HandSet("later", "best", (*CHAT.weights, Weight("of_a_later_version", 9.0, "unknown here")))
    assert rank(query, pool, model).rows.tolist() == rank(query, pool, CHAT).rows.tolist()


def test_every_weight_names_a_feature_and_every_feature_says_what_it_means() -> None:
    for model in (CHAT, CHAT_BY_WORDS, CODE):
        assert {w.feature for w in model.weights} <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)
    assert all(f.meaning and f.source for f in FEATURES)


# ---- the fast path against a slow plain twin


def slow_parts(query: Query, turns: Sequence[Turn]) -> list[list[float]]:
    """BM25 per turn and term, written as in the book."""
    documents = [stems(t.text) for t in turns]
    mean = sum(map(len, documents)) / len(documents)
    parts = []
    for turn, document in zip(turns, documents, strict=True):
        row = []
        for term, is_name in zip(query.stems, query.is_name.tolist(), strict=True):
            df = sum(term in d for d in documents)
            idf = math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
            tf = document.count(term)
            part = idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * len(document) / mean))
            row.append(0.0 if is_name and turn.speaker else part)
        parts.append(row)
    return parts


def slow_window(query: Query, turns: Sequence[Turn]) -> list[float]:
    parts = slow_parts(query, turns)
    out = []
    for i, turn in enumerate(turns):
        total = 0.0
        for t in range(len(query.stems)):
            choices = [parts[i][t]]
            for j, other in enumerate(turns):
                if other.session == turn.session and turn.session > 0:
                    discount = {0: 1.0, 1: 0.7, 2: 0.5}.get(abs(i - j), 0.35)
                    choices.append(discount * parts[j][t])
            total += max(choices)
        out.append(total)
    return out


def slow_answer(query: Query, turns: Sequence[Turn]) -> list[float]:
    parts = slow_parts(query, turns)
    out = []
    for i, turn in enumerate(turns):
        asked = i > 0 and turns[i - 1].session == turn.session > 0 and "?" in turns[i - 1].text
        before = parts[i - 1] if asked else [0.0] * len(query.stems)
        out.append(sum(max(a, 0.85 * b) for a, b in zip(parts[i], before, strict=True)))
    return out


@pytest.mark.parametrize("question", QUESTIONS)
def test_vectorised_words_equal_their_slow_twins(question: str) -> None:
    query = ask(question, CONVERSATION)
    pool = pool_of(query, CONVERSATION, [3, 1, 7, 0, 2, 6, 5, 4])
    np.testing.assert_allclose(
        column(query, pool, "words_window"), slow_window(query, CONVERSATION), rtol=1e-4
    )
    np.testing.assert_allclose(
        column(query, pool, "words_answer"), slow_answer(query, CONVERSATION), rtol=1e-4
    )
    own = [sum(row) for row in slow_parts(query, CONVERSATION)]
    np.testing.assert_allclose(column(query, pool, "words"), own, rtol=1e-4)


def test_random_conversations_equal_their_slow_twins() -> None:
    rng = np.random.default_rng(7)
    vocabulary = ["paint", "lake", "dog", "train", "bread", "music", "rain"]
    for _ in range(20):
        turns = [
            Turn(
                " ".join(rng.choice(vocabulary, size=rng.integers(0, 9))) + rng.choice(["", "?"]),
                str(rng.choice(["Ann", "Bo"])),
                int(session),
            )
            for session in sorted(rng.integers(0, 4, size=15))
        ]
        query = ask(" ".join(rng.choice(vocabulary, size=3)), turns)
        pool = pool_of(query, turns, rng.permutation(15).tolist())
        np.testing.assert_allclose(column(query, pool, "words_window"), slow_window(query, turns), rtol=1e-4)
        np.testing.assert_allclose(column(query, pool, "words_answer"), slow_answer(query, turns), rtol=1e-4)


def slow_tokens(query: Query, turns: Sequence[Turn], form: str) -> list[float]:
    """Token by token, turn by turn, as RANKING of the feature's meaning says it."""
    bits, content = tokens_of(query.text)
    df = Counter(h for t in turns for h in set(stem_hashes(t.text).tolist()))
    n = len(turns)
    weights = []
    for i in content.word_of.tolist():
        found = df[stem_hash(stems(content.words[i])[0])]
        weights.append(math.log(1 + (n - found + 0.5) / (found + 0.5)))
    total = sum(weights)

    def near(token: NDArray[np.uint8], turn: Turn) -> float:
        others, _ = tokens_of(turn.text)
        if not len(others):
            return 0.0
        fewest = min(int(np.bitwise_count(token ^ other).sum()) for other in others)
        chance = 0.07 * math.log(len(others))
        return max((math.cos(math.pi * fewest / TOKEN_BITS) - chance) / (1 - chance), 0.0)

    out = []
    for i, turn in enumerate(turns):
        score = 0.0
        for token, weight in zip(bits, weights, strict=True):
            choices = [near(token, turn)]
            for j, other in enumerate(turns):
                if other.session != turn.session or turn.session == 0:
                    continue
                if form == "window":
                    choices.append({0: 1.0, 1: 0.7, 2: 0.5}.get(abs(i - j), 0.35) * near(token, other))
                elif form == "answer" and j == i - 1 and "?" in other.text:
                    choices.append(0.85 * near(token, other))
            score += weight / total * max(choices)
        out.append(score)
    return out


def test_tokens_equal_their_slow_twins_in_random_conversations() -> None:
    rng = np.random.default_rng(11)
    vocabulary = ["pottery", "ceramics", "wood", "timber", "bread", "music", "rain"]
    for _ in range(10):
        turns = [
            Turn(
                " ".join(rng.choice(vocabulary, size=rng.integers(1, 7))) + rng.choice(["", "?"]),
                str(rng.choice(["Ann", "Bo"])),
                int(session),
            )
            for session in sorted(rng.integers(0, 4, size=12))
        ]
        query = ask(" ".join(rng.choice(vocabulary, size=3, replace=False)), turns)
        pool = with_tokens(pool_of(query, turns, rng.permutation(12).tolist()), query, turns)
        for name, form in (("tokens_window", "window"), ("tokens_answer", "answer"), ("tokens", "own")):
            np.testing.assert_allclose(
                column(query, pool, name), slow_tokens(query, turns, form), atol=1e-5, err_msg=name
            )


def test_meaning_looks_at_neighbours_and_the_session() -> None:
    query = ask("sunrise", CONVERSATION)
    pool = pool_of(query, CONVERSATION)
    np.testing.assert_allclose(column(query, pool, "meaning"), [t.cosine for t in CONVERSATION], atol=1e-6)
    near = column(query, pool, "meaning_near")
    np.testing.assert_allclose(near[:4], [0.6, 0.5, 0.6, 0.6], atol=1e-6)
    assert near[7] == pytest.approx(0.4)  # alone: its own
    session = column(query, pool, "meaning_session")
    np.testing.assert_allclose(session, [0.6] * 4 + [0.1] * 3 + [0.4], atol=1e-6)


# ---- what the features are for


def test_a_turn_of_the_person_asked_about_wins() -> None:
    turns = [
        Turn("I adopted a dog.", "Caroline", 1, cosine=0.5),
        Turn("I adopted a dog too.", "Melanie", 2, cosine=0.5),
    ]
    assert best(ask("Did Melanie adopt a dog?", turns), turns) == 1
    assert best(ask("Did Caroline adopt a dog?", turns), turns) == 0


def test_a_name_inside_a_turn_does_not_count_but_inside_a_memory_it_does() -> None:
    turns = [
        Turn("Melanie! Melanie! What news?", "Caroline", 1),
        Turn("My dog has a new bed.", "Melanie", 1),
        Turn("Melanie lives in Oslo.", None, 0, role=0),
        Turn("Bruno lives in Bergen.", None, 0, role=0),
    ]
    query = ask("Where does Melanie live?", turns)
    assert column(query, pool_of(query, turns), "words")[0] == 0.0
    assert best(query, turns) == 2


def test_the_named_month_wins() -> None:
    turns = [Turn("We met.", "Ann", 1), Turn("We met.", "Ann", 2, occurred_at=JUNE_8)]
    assert best(ask("Whom did Ann meet in May?", turns), turns) == 0
    assert best(ask("Whom did Ann meet in June?", turns), turns) == 1


def test_a_question_for_a_time_prefers_a_turn_that_holds_one() -> None:
    turns = [Turn("I ran the race gladly", "Ann", 1), Turn("I ran the race yesterday", "Ann", 2)]
    assert best(ask("When did Ann run the race?", turns), turns) == 1


def test_the_answer_after_a_question_is_found_by_the_question_s_words() -> None:
    turns = [
        Turn("Which editor do you use?", "Ann", 1),
        Turn("Helix, mostly.", "Bo", 1),
        Turn("Nice weather today.", "Ann", 2),
    ]
    query = ask("Which editor does Bo use?", turns)
    answer = column(query, pool_of(query, turns), "words_answer")
    assert answer[1] == pytest.approx(0.85 * answer[0])
    assert answer[2] == 0.0
    assert rank(query, pool_of(query, turns)).rows.tolist()[-1] == 2


def test_other_words_for_the_same_are_found_by_their_tokens() -> None:
    turns = [
        Turn("The kiln of our pottery class is hot.", "Ann", 1),
        Turn("The oven of our cooking class is hot.", "Ann", 2),
    ]
    query = ask("Who does ceramics?", turns)
    assert column(query, pool_of(query, turns), "words_window") == [0.0, 0.0]
    pool = with_tokens(pool_of(query, turns), query, turns)
    ranked = rank(query, pool)
    assert (ranked.model, int(pool.items[ranked.rows[0]])) == (CHAT.name, 1)
    near = column(query, pool, "tokens_window")
    assert near[0] > 0.8 > 0.1 > near[1]


def test_tokens_of_the_turn_before_count_less_and_of_its_question_more() -> None:
    turns = [
        Turn("Do you like ceramics?", "Ann", 1),
        Turn("Very much so.", "Bo", 1),
        Turn("We have ceramics.", "Ann", 2),
        Turn("Very much so.", "Bo", 2),
        Turn("Nothing here, really.", "Bo", 3),
    ]
    query = ask("ceramics", turns)
    pool = with_tokens(pool_of(query, turns), query, turns)
    window, answer = column(query, pool, "tokens_window"), column(query, pool, "tokens_answer")
    assert window[1] == pytest.approx(0.7 * window[0])
    assert answer[1] == pytest.approx(0.85 * answer[0])
    assert window[3] == pytest.approx(0.7 * window[2])
    assert answer[3] < 0.2  # nothing was asked


def test_a_fresh_text_without_tokens_stands_beside_those_that_have_them() -> None:
    turns = [
        Turn("The deploy key rotates on Mondays.", role=0, cosine=float("nan"), has_tokens=False),
        Turn("Keys and locks.", role=0, cosine=0.7),
        Turn("Deploy day.", role=0, cosine=0.6),
    ]
    query = ask("On which day does the deploy key rotate?", turns)
    pool = with_tokens(pool_of(query, turns), query, turns)
    ranked = rank(query, pool)
    assert int(pool.items[ranked.rows[0]]) == 1
    assert column(query, pool, "tokens")[0] > 0.0


def test_without_any_tokens_the_weights_are_those_for_words() -> None:
    turns = [Turn("bread and butter", role=0, has_tokens=False), Turn("a train", role=0, has_tokens=False)]
    query = ask("bread", turns)
    pool = with_tokens(pool_of(query, turns), query, turns)
    ranked = rank(query, pool)
    assert (ranked.model, int(pool.items[ranked.rows[0]])) == (CHAT_BY_WORDS.name, 1)
    assert column(query, pool, "tokens_window") == [0.0, 0.0]


def test_a_question_for_a_place_is_answered_by_a_name() -> None:
    turns = [
        Turn("We went hiking on a mountain for a week", "Ann", 1),
        Turn("We went hiking on Etna for a whole week", "Ann", 2),
    ]
    assert best(ask("Where did Ann go hiking?", turns), turns) == 1
    query = ask("When did Ann go hiking?", turns)
    assert column(query, pool_of(query, turns), "names_thing") == [0.0, 0.0]


def test_tell_me_does_not_ask_about_me() -> None:
    turns = [Turn("Use tabs.", session=1, role=2), Turn("Use tabs.", session=2, role=1)]
    query = ask("Tell me what was said about tabs", turns)
    assert not query.is_first_person
    assert column(query, pool_of(query, turns), "speaker") == [0.5, 0.5]
    assert ask("Tell me what I said about tabs", turns).is_first_person


def test_a_summary_draws_on_the_person_and_the_assistant() -> None:
    turns = [
        Turn("My budget tracker needs charts.", session=1, role=1),
        Turn("The budget tracker needs charts, so add them.", session=1, role=2),
    ]
    for question, values in (
        ("Summarize how my budget tracker went", [0.5, 0.5]),
        ("Can you give me an overview of my budget tracker?", [0.5, 0.5]),
        ("What does my budget tracker need?", [1.0, 0.0]),
        ("What does my résumé say of the budget tracker?", [1.0, 0.0]),
    ):
        query = ask(question, turns)
        pool = pool_of(query, turns)
        assert column(query, pool, "speaker") == column(query, pool, "role_user") == values


def test_you_said_asks_the_assistant_and_my_asks_the_person() -> None:
    turns = [
        Turn("Use pnpm for installs.", session=1, role=2),
        Turn("I use pnpm for installs.", session=2, role=1),
    ]
    assert best(ask("What did you suggest for installs with pnpm?", turns), turns) == 0
    assert best(ask("What do I use for installs, pnpm?", turns), turns) == 1


def test_a_fresh_text_without_a_vector_is_found_by_its_words() -> None:
    turns = [
        Turn("The deploy key rotates on Mondays.", role=0, cosine=float("nan")),
        Turn("Keys and locks.", role=0, cosine=0.7),
        Turn("Deploy day.", role=0, cosine=0.6),
    ]
    assert best(ask("On which day does the deploy key rotate?", turns), turns) == 0


def test_what_is_meant_to_the_letter_wins() -> None:
    turns = [
        Turn("max retries of the client", role=0, cosine=0.6),
        Turn("set max_retries in client.toml", role=0, cosine=0.5, exact=1.0),
    ]
    assert best(ask("Where is `max_retries` set?", turns), turns) == 1


def test_program_text_is_ranked_by_the_weights_for_code() -> None:
    turns = [
        Turn("def is_iterable(x):\n    return hasattr(x, '__iter__')", role=0, cosine=0.8),
        Turn("def check_variable(x):\n    return check(variable)", role=0, cosine=0.3),
        Turn("def add(a, b):\n    return a + b", role=0, cosine=0.1),
    ]
    query = ask("check if a variable can be looped over", turns)
    ranked = rank(query, pool_of(query, turns))
    assert ranked.model == CODE.name
    assert ranked.rows[0] == 0


def test_two_hundred_facts_are_told_apart_by_the_one_word_that_differs() -> None:
    turns = [
        Turn(f"Project Falcon{i} keeps its logs in folder number {i}.", role=0, cosine=0.5)
        for i in range(200)
    ]
    for i in range(0, 200, 7):
        assert best(ask(f"Where does project Falcon{i} keep its logs?", turns), turns) == i


# ---- explanation


def test_an_explanation_names_what_decided() -> None:
    query = ask("When did Melanie paint a sunrise in May?", CONVERSATION)
    pool = pool_of(query, CONVERSATION)
    ranked = rank(query, pool)
    turn = CONVERSATION[int(pool.items[ranked.rows[0]]) - 1]
    reasons = explain(
        query,
        ranked.values[0],
        ranked.contributions[0],
        Shown(turn.text, turn.speaker, "episode", turn.occurred_at),
    )
    said = {r.feature: r.text for r in reasons}
    assert said["speaker"] == "said by Melanie, whom the question names"
    assert said["date"] == "from 8 May, 2023, the time that the question names (“in May”)"
    assert "“painted”" in said["words_window"]
    assert [r.added for r in reasons] == sorted((r.added for r in reasons), reverse=True)


def test_an_explanation_says_that_other_words_are_near_and_where_they_stand() -> None:
    turns = [
        Turn("I love pottery.", "Ann", 1),
        Turn("Do you like pottery?", "Ann", 2),
        Turn("Certainly so.", "Bo", 2),
    ]
    query = ask("ceramics", turns)
    pool = with_tokens(pool_of(query, turns), query, turns)
    ranked = rank(query, pool)

    def said(turn: int) -> dict[str, str]:
        place = pool.items[ranked.rows].tolist().index(turn + 1)
        shown = Shown(turns[turn].text, turns[turn].speaker, "episode", MAY_8)
        reasons = explain(query, ranked.values[place], ranked.contributions[place], shown)
        return {r.feature: r.text for r in reasons if r.feature.startswith("tokens")}

    assert said(0) == {"tokens_window": "its words are near to yours (88%)"}
    assert said(2) == {
        "tokens_window": "its words and those of the turns around it are near to yours (61%)",
        "tokens_answer": "with the question that it answers, its words are near to yours (74%)",
    }


def test_an_explanation_leaves_out_what_says_nothing() -> None:
    turns = [Turn("Bread is baked.", role=0, cosine=0.4)]
    query = ask("bread", turns)
    ranked = rank(query, pool_of(query, turns))
    reasons = explain(
        query, ranked.values[0], ranked.contributions[0], Shown("Bread is baked.", None, "fact", 0)
    )
    assert {r.feature for r in reasons}.isdisjoint({"speaker", "date", "role_user", "length"})


def test_a_pool_may_be_replaced_in_part_without_touching_the_original() -> None:
    query = ask("sunrise", CONVERSATION)
    pool = pool_of(query, CONVERSATION)
    other = replace(pool, exact=np.ones(len(CONVERSATION), dtype=np.float32))
    assert column(query, other, "exact") == [1.0] * len(CONVERSATION)
    assert column(query, pool, "exact") == [0.0] * len(CONVERSATION)


def test_an_explanation_says_what_is_held_to_the_letter() -> None:
    turns = [Turn("the file client_settings.toml sets it", role=0, exact=1.0)]
    for question, said in [("client_settings.toml", "“client_settings.toml”"), ("ettings", "“ettings”")]:
        query = ask(question, turns)
        ranked = rank(query, pool_of(query, turns))
        shown = Shown(turns[0].text, None, "fact", 0, is_alone=True)
        reasons = {
            r.feature: r.text for r in explain(query, ranked.values[0], ranked.contributions[0], shown)
        }
        assert reasons["exact"].startswith("holds ") and said in reasons["exact"]
