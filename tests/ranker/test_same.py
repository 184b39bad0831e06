"""What says the same is merged; what differs in a number, a name, a path or a negation never is."""

from __future__ import annotations

import numpy as np
import pytest

from penchant_ranker import Statement, asks_what_is, is_same, merged, parse_query, refreshed
from penchant_ranker.query import Query, SpeakerNames

NEAR = np.ones((2, 4), dtype=np.float32)  # the same vector for all: as near as can be


def both(first: str, second: str, by: tuple[str | None, str | None] = (None, None)) -> list[int]:
    """Places of the first of each, for two texts that are as near in meaning as can be."""
    return merged([Statement(first, by[0], 0, 1), Statement(second, by[1], 0, 2)], NEAR)


@pytest.mark.parametrize(
    "template",
    [
        "The staging API listens on port {}.",
        "We pinned numpy to version 2.{}.",
        "The retention of raw events is {} days.",
        "Requests time out after {} seconds in production.",
        "Ticket OPS-{} describes the outage.",
    ],
)
def test_of_fifty_pairs_that_differ_in_one_number_none_is_merged(template: str) -> None:
    pairs = [(template.format(n), template.format(n + 1)) for n in range(20, 30)]
    assert [both(*pair) for pair in pairs] == [[0, 1]] * 10


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Priya owns the billing module.", "Jonas owns the billing module."),
        ("The config is in /etc/orion/app.toml.", "The config is in /etc/lyra/app.toml."),
        ("We use tabs in this project.", "We do not use tabs in this project."),
        ("Deploy on Tuesdays.", "Deploy on Thursdays."),
        ("Dark mode is enabled by default.", "Dark mode is disabled by default."),
        ("Set max_retries in the client.", "Set min_retries in the client."),
        ("The cache keeps two copies.", "The cache keeps three copies."),
        ("Run the tests before a merge.", "Run the tests after a merge."),
        ("The button is red.", "The button is green."),
    ],
)
def test_what_tells_two_statements_apart_keeps_them_apart(first: str, second: str) -> None:
    assert both(first, second) == [0, 1]
    assert not is_same(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("The API listens on port 8080.", "The API is listening on port 8080"),
        ("Use uv instead of pip.", "Please use uv instead of pip!"),
        ("Backups run at 02:30 every night.", "every night, backups are run at 02:30"),
    ],
)
def test_the_same_in_other_forms_is_merged(first: str, second: str) -> None:
    assert both(first, second) == [0, 0]


def test_what_is_far_in_meaning_is_merged_only_when_it_is_the_same_text() -> None:
    far = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    texts = ("The API listens on port 8080.", "The API is listening on port 8080")
    assert merged([Statement(text, None, 0, 0) for text in texts], far) == [0, 1]
    assert merged([Statement(texts[0], None, 0, 0)] * 2, far) == [0, 0]


def test_two_people_who_say_the_like_are_two_statements() -> None:
    texts = ("I finished my pottery class.", "I have finished my pottery class")
    assert both(*texts, by=("Ann", "Bo")) == [0, 1]
    assert both(*texts, by=("Ann", "Ann")) == [0, 0]


def test_a_note_and_a_decision_are_two_unless_they_are_one_text() -> None:
    texts = ("The app keeps its data in Postgres.", "The app keeps the data in Postgres.")
    kinds = ("note", "decision")
    said = [Statement(text, None, 0, 0, True, kind) for text, kind in zip(texts, kinds, strict=True)]
    assert merged(said, NEAR) == [0, 1]
    assert merged([Statement(texts[0], None, 0, 0, True, kind) for kind in kinds], NEAR) == [0, 0]


def test_what_was_superseded_is_not_merged_with_what_holds() -> None:
    said = [Statement("Staging has nodes.", None, 0, 1, False), Statement("Staging has nodes.", None, 0, 2)]
    assert merged(said, NEAR) == [0, 1]


# ---- freshness


def query(text: str) -> Query:
    return parse_query(text, names=SpeakerNames([]), now=1_764_000_000)


def order(text: str, *statements: Statement) -> list[int]:
    n = len(statements)
    asked = query(text)
    ones = np.ones(n, dtype=np.float32)
    return refreshed(asked, statements, np.ones((n, 4), np.float32), ones, ones)


OLD = Statement("We have 150 commits on main.", "user", 100, 1)
NEW = Statement("We now have 165 commits on main.", "user", 200, 2)


def test_of_two_values_of_the_same_thing_the_later_one_comes_first() -> None:
    assert order("How many commits are on main?", OLD, NEW) == [1, 0]
    assert order("How many commits are on main?", NEW, OLD) == [0, 1]


def test_a_question_about_the_past_keeps_the_order() -> None:
    assert order("How many commits were originally on main?", OLD, NEW) == [0, 1]
    assert not asks_what_is(query("How many days passed between the two releases?"))


def test_another_things_value_is_no_update() -> None:
    orion = Statement("orion listens on port 8080 in staging", None, 100, 1)
    lyra = Statement("lyra listens on port 9090 in staging", None, 200, 2)
    for question in ("which port does orion use?", "which port does the orion api use in staging?"):
        assert order(question, orion, lyra) == [0, 1]


def changed(text: str) -> Statement:
    return Statement(text, "user", 200, 2)


def test_who_says_that_something_changed_need_not_name_it_again_in_full() -> None:
    draft = Statement("We meet on Zoom on March 22 at 3 PM to review my draft.", "user", 100, 1)
    moved = "I'm worried that I miss the Zoom meeting, so can you remind me that it has been rescheduled to 4:30 PM?"
    question = "When do we meet on Zoom to review my draft?"
    n = np.array([1.0, 0.7], np.float32)

    def at(new: Statement) -> list[int]:
        return refreshed(query(question), [draft, new], np.ones((2, 4), np.float32), n, n)

    assert at(changed(moved)) == [1, 0]
    assert at(changed(moved.replace("has been rescheduled to", "is at"))) == [0, 1]
    assert at(changed("The Zoom meeting was rescheduled to 4:30 PM, not mine.")) == [0, 1]


def test_another_things_change_is_no_update() -> None:
    orion = Statement("orion listens on port 8080 in staging", "user", 100, 1)
    lyra = changed("lyra was moved to port 9090 in staging")
    assert order("which port does orion use in staging?", orion, lyra) == [0, 1]
    orion = Statement("Orion listens on port 8080 in staging", "user", 100, 1)
    lyra = changed(
        "can you have a look at the staging config, for the port of Lyra has changed to 9090 since last week"
    )
    assert order("which port does Orion use in staging?", orion, lyra) == [0, 1]


def test_that_a_time_has_changed_is_told_before_what_it_was_though_it_is_not_said_to_what() -> None:
    webinar = Statement("The webinar on AI ethics in hiring is on March 20.", "user", 100, 1)
    moved = changed("Remind me what date the webinar on AI ethics in hiring has been rescheduled to?")
    asks = changed("Remind me what the webinar on AI ethics in hiring is about?")
    assert order("When is the webinar on AI ethics in hiring?", webinar, moved) == [1, 0]
    assert order("When is the webinar on AI ethics in hiring?", webinar, asks) == [0, 1]


def test_what_the_assistant_said_later_updates_nothing() -> None:
    answer = Statement("You have 165 commits on main.", "assistant", 200, 2)
    assert order("How many commits are on main?", OLD, answer) == [0, 1]
