"""What a named time becomes: ranges, open ends, months of any year, and how memories fit them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant_ranker import TimeRange, match_ranges, time_ranges
from penchant_ranker.when_joins import joined_times
from penchant_ranker.when_tokens import MAX_READ_CHARS, may_hold_time, normal, read, windows
from penchant_ranker.when_whole import whole_times
from penchant_ranker.when_words import HEADS, PHRASES, WORDS

NOW = int(datetime(2026, 8, 12, 14, 30, tzinfo=UTC).timestamp())
DAY_S = 86_400
GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "data" / "temporal" / "golden.json"
EPOCH = datetime(1970, 1, 1)


def second(day: str) -> int:
    """The first second of a day."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


def fit(text: str, *days: str) -> list[float]:
    """How well memories of some days fit the times that a text names."""
    fitted = match_ranges(time_ranges(text, NOW), np.array([second(day) for day in days]))
    return [float(one) for one in fitted]


# ---- ranges


def test_times_come_in_the_order_of_the_text_with_their_words() -> None:
    found = time_ranges("Compare 2025-03-01 with LAST week, please", NOW)
    assert [r.words for r in found] == ["2025-03-01", "LAST week"]


def test_the_same_time_said_twice_is_one_range() -> None:
    assert len(time_ranges("上周 上周 and last week", NOW)) == 1


def test_no_word_counts_twice() -> None:
    found = time_ranges("between 3 March and 5 April 2024", NOW)
    assert [r.words for r in found] == ["between 3 March and 5 April 2024"]


def test_a_day_that_no_calendar_has_is_no_time_and_leaves_no_month_behind() -> None:
    assert time_ranges("31 february 2020", NOW) == ()
    assert time_ranges("2020-13-45", NOW) == ()
    assert time_ranges("十万年前", NOW) == ()


def test_a_month_without_a_year_recurs_and_resolves_to_the_latest_begun() -> None:
    (may,) = time_ranges("in May", NOW)
    assert (may.start, may.end, may.month) == (None, None, 5)
    assert may.resolved(NOW) == (second("2026-05-01"), second("2026-06-01"))
    (september,) = time_ranges("September", NOW)
    assert september.resolved(NOW) == (second("2025-09-01"), second("2025-10-01"))


def test_29_february_resolves_to_the_latest_leap_year() -> None:
    (day,) = time_ranges("on 29 February", NOW)
    assert day.resolved(NOW) == (second("2024-02-29"), second("2024-03-01"))


def test_weeks_ago_means_about_that_week_and_counts_to_one_day() -> None:
    (found,) = time_ranges("3 weeks ago", NOW)
    assert (found.start, found.end) == (second("2026-07-19"), second("2026-07-26"))
    assert found.resolved(NOW) == (second("2026-07-22"), second("2026-07-23"))


def test_part_of_a_month_of_any_year_keeps_recurring() -> None:
    (found,) = time_ranges("early May", NOW)
    assert found.month == 5
    assert found.resolved(NOW) == (second("2026-05-01"), second("2026-05-11"))


def test_full_width_digits_and_composed_accents_read_as_plain_ones() -> None:
    assert time_ranges("２０２４年３月", NOW)[0].resolved(NOW) == (second("2024-03-01"), second("2024-04-01"))
    assert time_ranges("la semaine dernie\u0300re", NOW) == (
        TimeRange("semaine dernière", second("2026-08-03"), second("2026-08-10")),
    )


def test_a_time_at_the_end_of_a_long_text_is_found() -> None:
    text = (
        "The chunk size of 2000 tokens stayed on the local model. " * 60
        + "It ran on 2026-06-10 without incident."
    )
    assert [r.words for r in time_ranges(text, NOW)] == ["2026-06-10"]


# ---- memories that fit


def test_since_fits_everything_later_and_before_everything_earlier() -> None:
    assert fit("since March 2026", "2026-02-28", "2026-03-01", "2031-01-01") == [0.0, 1.0, 1.0]
    assert fit("before 2024", "1999-05-05", "2023-12-31", "2024-01-01") == [1.0, 1.0, 0.0]


def test_a_memory_told_near_the_time_counted_from_fits_too() -> None:
    """People tell in August what happened two weeks before."""
    assert fit("two weeks before August 11, 2023", "2023-07-28", "2023-08-11", "2023-09-20") == [
        1.0,
        1.0,
        0.0,
    ]


def test_a_memory_of_unknown_time_is_neutral() -> None:
    assert match_ranges(time_ranges("since Monday", NOW), np.array([0])).tolist() == [0.5]


# ---- any text

_VOCABULARY = sorted(WORDS) + sorted(" ".join((a, *rest)) for a, ps in PHRASES.items() for rest, _ in ps)
_PIECES = st.sampled_from(
    [*_VOCABULARY, "2024", "0001", "9999", "31", "3rd", "3.", ",", "-", "第", "十二", "0", "foo"]
)
_TEXTS = st.lists(_PIECES, max_size=8).map(" ".join)
_TIMES = st.sampled_from([0, NOW, -60_000_000_000, 253_402_300_799])


@given(_TEXTS, _TIMES)
@settings(max_examples=300)
def test_whatever_is_said_ranges_are_whole_and_their_words_are_in_the_text(text: str, now: int) -> None:
    for found in time_ranges(text, now):
        start, end = found.resolved(now)
        assert start is None or end is None or start < end
        assert (found.month is None) == (found.start is not None or found.end is not None)
        assert found.words in normal(text)


@given(st.text(max_size=200))
def test_arbitrary_text_raises_nothing(text: str) -> None:
    assert time_ranges(text, NOW) == time_ranges(text, NOW)


@pytest.mark.parametrize(
    "word",
    ["week", "maggio", "прошлой неделе", "октябрём", "周一", "晩", "aujourd'hui", "Q3", "fin de semana"],
)
def test_words_that_can_name_a_time_pass_the_quick_look(word: str) -> None:
    assert may_hold_time(f"was {word}?")


@given(st.lists(st.sampled_from(sorted(set(WORDS) - HEADS)), max_size=4).map(" ".join))
@settings(max_examples=300)
def test_the_quick_look_loses_no_time_that_the_full_reading_finds(text: str) -> None:
    """Short names of weekdays in one language beside "last" in another are left out on purpose."""
    if may_hold_time(text) or any("brief" in WORDS.get(w, ()) or w in _RARE for w in text.split()):
        return
    tokens = read(normal(text))
    at = datetime.fromtimestamp(NOW, UTC)
    assert joined_times(tokens, whole_times(tokens, at), at) == []


#: Everyday words of one language that are units in another; only what stands beside them makes them a time.
_RARE = frozenset(("an", "ans", "fa", "sec", "second", "half"))


@given(st.integers(0, 4_000), st.integers(0, 4_000))
@settings(max_examples=50)
def test_no_more_of_a_long_text_is_read_than_the_bound(before: int, after: int) -> None:
    text = ("day " * 1_000)[:before] + " last week " + ("may " * 1_000)[:after]
    parts = windows(text)
    assert sum(map(len, parts)) <= MAX_READ_CHARS
    assert all(part in text for part in parts)


# ---- the golden set


@pytest.mark.skipif(not GOLDEN.exists(), reason="needs ../shared/data/temporal/golden.json")
def test_at_least_96_in_100_golden_answers_are_met_to_the_day() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    met = 0
    for key, answer in golden.items():
        at, _, text = key.partition("\x1f")
        now = (datetime.fromisoformat(at) - EPOCH) // timedelta(seconds=1)
        found = time_ranges(text, now)
        expected = None
        if answer is not None:
            start, end = ((datetime.fromisoformat(moment) - EPOCH).days * DAY_S for moment in answer)
            expected = start, end + DAY_S
        met += (found[0].resolved(now) if found else None) == expected
    assert met / len(golden) >= 0.96
