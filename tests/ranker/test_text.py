"""Stems, cues, times and the reading of queries."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant_ranker import (
    MAX_QUERY_CHARS,
    Cue,
    SpeakerNames,
    clean,
    cues,
    embedded_text,
    match_ranges,
    parse_query,
    stem_hash,
    stem_hashes,
    stems,
    time_ranges,
    words,
)

NOBODY = SpeakerNames(())
NOW = int(datetime(2026, 11, 24, 10, tzinfo=UTC).timestamp())  # a Tuesday


# ---- stems


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("painting sunrises", "She painted a sunrise"),
        ("max retries", "maxRetries = 3"),
        ("max_retries", "MAX_RETRIES"),
        ("youtube", "a YouTube channel"),
        ("Grösse", "die GROESSE und die Größe"),
        ("migración", "la migracion de datos"),
        ("データベース", "本番データベースを移行した"),
        ("数据库", "我们迁移了数据库"),
        ("데이터베이스", "데이터베이스를 옮겼다"),
        ("ＡＰＩ", "the api"),
        ("这个药怎么吃", "药一天吃三次"),
        ("薬の飲み方", "食後に薬を二錠"),
        ("めがね", "メガネを直す"),
        ("バックアップ", "ﾊﾞｯｸｱｯﾌﾟ先は札幌"),
        ("Wer prüft die Rechnungen?", "Sie prüft jede Rechnung."),
        ("Wie oft werden die Fenster geputzt?", "Fensterputzer kommen alle drei Monate."),
        ("Wo sind die Reifen für den Winter?", "Die Winterreifen lagern beim Händler."),
        ("Wann ist die Datenbankmigration?", "Die Migration der Datenbank ist am Sonntag."),
        ("Wie viel hat die Vereinskasse?", "Der Verein hat kein Geld."),
        ("Wie komme ich nach Koeln?", "Der Zug nach Köln fährt um acht."),
        ("¿Qué ofertas he rechazado?", "Rechacé la oferta de la empresa."),
        ("¿Cada cuánto hay que regar las plantas?", "Regamos cada dos días."),
    ],
)
def test_question_and_document_share_stems(question: str, document: str) -> None:
    assert set(stems(question)) & set(stems(document))


def test_stop_words_are_left_out_and_order_is_kept() -> None:
    assert stems("The dog and the cat saw a dog") == ["dog", "cat", "saw", "dog"]


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("Wo ist der Schlüssel?", "Der Hund schläft."),
        ("Wann ist der Zahnarzt dran?", "Der Zahnriemen ist gerissen."),
        ("这是什么？", "那是谁的？"),
        ("何ですか", "誰ですよ"),
    ],
)
def test_small_words_and_scraps_join_nothing(question: str, document: str) -> None:
    shared = set(stems(question)) & set(stems(document))
    assert shared <= {"zahn", "です"}


@pytest.mark.parametrize(
    "text",
    [
        "The report of the configuration was submitted after a conversation about documentation",
        "configuration documentation internationalization",
        "im = Image.open(path); im.save(path) reads the documentation of the library",
        "def clear(): Clear all indexes in the es core",
        "What hat did her son wear in the war?",
    ],
)
def test_english_and_code_gain_no_words_of_other_languages(text: str) -> None:
    assert words(text) == [word.lower() for word in re.findall(r"\w+", text)]


def test_english_words_are_found_though_other_languages_have_them_for_small_words() -> None:
    assert stems("What hat did her son wear in the war?") == ["hat", "son", "wear", "war"]


def test_what_a_word_may_be_made_of_comes_after_the_text() -> None:
    assert words("Wo ist Anna Steinbrecher?")[:4] == ["wo", "ist", "anna", "steinbrecher"]
    names = SpeakerNames(["Anna Steinbrecher", "Anna Maier"])
    assert parse_query("Wo wohnt jetzt Anna Steinbrecher?", names=names, now=NOW).speakers == (0,)


def test_hashes_are_the_stems_hashes() -> None:
    text = "Melanie's getHTTPResponse of 数据库 in src/app_main.py, naïve Größe"
    assert stem_hashes(text).tolist() == [stem_hash(s) for s in stems(text)]
    assert stem_hashes("").dtype == np.uint32
    assert stem_hashes("").shape == (0,)


@given(st.text(max_size=200))
def test_any_text_has_stems_and_cues(text: str) -> None:
    assert stem_hashes(text).tolist() == [stem_hash(s) for s in stems(text)]
    assert Cue.SEEN in cues(text)
    assert all(w == w.lower() or not w.isascii() for w in words(text))


@given(st.text(max_size=300))
def test_any_text_can_be_a_query(text: str) -> None:
    query = parse_query(text, names=SpeakerNames(["", "Ann Lee", "user"]), now=NOW)
    assert len(query.stems) == len(query.hashes) == len(query.is_name)
    assert "\x00" not in query.text
    query.text.encode()


# ---- cues


def test_cues_of_conversation() -> None:
    assert Cue.ASKS in cues("Did you go?")
    assert Cue.FIRST_PERSON in cues("I've seen it")
    assert Cue.FIRST_PERSON not in cues("She has seen it")
    assert Cue.TIME in cues("We went there two weeks ago")
    assert Cue.TIME not in cues("You may march")


@pytest.mark.parametrize(
    "code",
    ["def f(x):\n    return x", "import os\nimport sys\n", "function a() { return 1; }", "SELECT a FROM b"],
)
def test_program_text_is_code(code: str) -> None:
    assert Cue.CODE in cues(code)


@pytest.mark.parametrize(
    "prose",
    [
        "Could you import the file?",
        "from here on we function well",
        "Use `foo` for that.",
        "",
        "class was dull",
    ],
)
def test_prose_is_no_code(prose: str) -> None:
    assert Cue.CODE not in cues(prose)


def test_embedded_text_names_speaker_and_date_but_not_for_code_or_memories() -> None:
    assert embedded_text("Hi", speaker="user", occurred_at=0) == "user: Hi"
    assert embedded_text("Hi", speaker="Ann", occurred_at=1683504060) == "Ann (12:01 am on 8 May, 2023): Hi"
    assert embedded_text("def f(): 1", speaker="Ann", occurred_at=1, cues=Cue.CODE) == "def f(): 1"
    assert embedded_text("A fact", speaker=None, occurred_at=1) == "A fact"


# ---- times


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("yesterday", "2026-11-23", "2026-11-24"),
        ("what did I say today?", "2026-11-24", "2026-11-25"),
        ("the day before yesterday", "2026-11-22", "2026-11-23"),
        ("last week", "2026-11-16", "2026-11-23"),
        ("this week", "2026-11-23", "2026-11-30"),
        ("last month", "2026-10-01", "2026-11-01"),
        ("last year", "2025-01-01", "2026-01-01"),
        ("last Friday", "2026-11-20", "2026-11-21"),
        ("last Tuesday", "2026-11-17", "2026-11-18"),
        ("3 days ago", "2026-11-21", "2026-11-22"),
        ("two months ago", "2026-09-01", "2026-10-01"),
        ("in the last 3 days", "2026-11-21", "2026-11-25"),
        ("8 May 2023", "2023-05-08", "2023-05-09"),
        ("May 8th, 2023", "2023-05-08", "2023-05-09"),
        ("2023-05-08", "2023-05-08", "2023-05-09"),
        ("in December 2023", "2023-12-01", "2024-01-01"),
        ("in 2022", "2022-01-01", "2023-01-01"),
        ("letzte Woche", "2026-11-16", "2026-11-23"),
        ("vor drei Tagen", "2026-11-21", "2026-11-22"),
        ("hace 2 semanas", "2026-11-07", "2026-11-14"),
        ("ayer", "2026-11-23", "2026-11-24"),
        ("上周", "2026-11-16", "2026-11-23"),
        ("昨日", "2026-11-23", "2026-11-24"),
    ],
)
def test_times_become_ranges(text: str, start: str, end: str) -> None:
    (found,) = time_ranges(text, NOW)
    assert found.start is not None
    assert found.end is not None
    day = [datetime.fromtimestamp(t, UTC).date().isoformat() for t in (found.start, found.end)]
    assert day == [start, end]


@pytest.mark.parametrize("text", ["they march on", "you may go", "version 2.2023.1", "a sec", "mar a lago"])
def test_what_is_no_time_gives_no_range(text: str) -> None:
    assert time_ranges(text, NOW) == ()


def test_a_time_without_a_year_recurs() -> None:
    may_2022 = int(datetime(2022, 5, 20, tzinfo=UTC).timestamp())
    june_2023 = int(datetime(2023, 6, 1, tzinfo=UTC).timestamp())
    assert match_ranges(time_ranges("in May", NOW), np.array([may_2022, june_2023])).tolist() == [1.0, 0.0]
    assert match_ranges(time_ranges("on May 20", NOW), np.array([may_2022, june_2023])).tolist() == [1.0, 0.0]


def test_days_near_a_named_day_count_in_part() -> None:
    days = [int(datetime(2023, 5, d, tzinfo=UTC).timestamp()) for d in (7, 11, 28)]
    assert match_ranges(time_ranges("on 7 May 2023", NOW), np.array(days)).tolist() == [1.0, 0.75, 0.0]


def test_without_a_named_time_every_time_is_neutral() -> None:
    assert match_ranges((), np.array([0, 5])).tolist() == [0.5, 0.5]


# ---- queries


def test_names_leave_the_words_unless_nothing_else_is_left() -> None:
    names = SpeakerNames(["", "Melanie", "Will", "user"])
    assert parse_query("What does Melanie paint?", names=names, now=NOW).words == ("paint",)
    assert parse_query("Melanie?", names=names, now=NOW).words == ("melanie",)
    assert parse_query("Did Will go?", names=names, now=NOW).speakers == (2,)
    assert parse_query("will it rain?", names=names, now=NOW).speakers == ()
    assert parse_query("what does the user want", names=names, now=NOW).speakers == ()


def test_a_full_name_means_one_person() -> None:
    names = SpeakerNames(["", "Ann Lee", "Ann Ray"])
    assert parse_query("When did Ann Ray call?", names=names, now=NOW).speakers == (2,)
    assert parse_query("When did Ann call?", names=names, now=NOW).speakers == (1, 2)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("where is max_retries set", "max_retries"),
        ("error E0308 in the build", "E0308"),
        ("what changed in src/app/main.py", "src/app/main.py"),
        ("/etc/hosts entry", "/etc/hosts"),
        ("os.path.join usage", "os.path.join"),
        ("ticket PROJ-1234", "PROJ-1234"),
        ('who said "to be or not"', "to be or not"),
        ("getUserName returns null", "getUserName"),
        ("upgrade to 5.3.0", "5.3.0"),
    ],
)
def test_identifiers_paths_and_quotes_are_fragments(text: str, fragment: str) -> None:
    assert fragment in parse_query(text, names=NOBODY, now=NOW).fragments


def test_plain_questions_have_no_fragments() -> None:
    assert (
        parse_query("When did she go to the well-known U.S. market?", names=NOBODY, now=NOW).fragments == ()
    )


def test_operators_are_words_or_nothing() -> None:
    query = parse_query('"NEAR(" AND * ^ OR paint:', names=NOBODY, now=NOW)
    assert "paint" in query.words
    assert all(w.isalnum() for w in query.words)


def test_a_megabyte_is_cut_and_said() -> None:
    query = parse_query("word " * 200_000, names=NOBODY, now=NOW)
    assert query.is_cut
    assert len(query.text) <= MAX_QUERY_CHARS
    assert not parse_query("word", names=NOBODY, now=NOW).is_cut


def test_nul_and_broken_unicode_are_cleaned() -> None:
    assert clean("a\x00b\ud800c\x1b[0m") == "a bc [0m"


def test_you_said_is_about_the_past() -> None:
    assert parse_query("What did you recommend?", names=NOBODY, now=NOW).is_about_you
    assert parse_query("the fix you suggested", names=NOBODY, now=NOW).is_about_you
    assert not parse_query("Can you recommend a book?", names=NOBODY, now=NOW).is_about_you
