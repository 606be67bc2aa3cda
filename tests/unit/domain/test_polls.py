"""Which polls an edition waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.domain.polls import FEW, Poll, Polls, worth_waiting

DUE = datetime(2026, 11, 24, 8, tzinfo=UTC)
UNTIL = DUE + timedelta(minutes=90)
MINUTE = timedelta(minutes=1)


def waits(polls: Polls, *names: str) -> list[str]:
    return worth_waiting(polls, names, due_at=DUE, until=UNTIL)


@pytest.mark.parametrize(
    ("slot_after", "try_after", "waits_for_it"),
    [
        (-1, -1, True),  # meant to be before
        (0, 0, True),
        (1, 1, False),  # what it brings is the next edition's
        (-1, 89, True),  # tried again in time
        (-1, 90, False),  # too late to be of use
    ],
)
def test_a_poll_counts_that_was_meant_to_be_by_then_and_goes_on_in_time(
    slot_after: int, try_after: int, waits_for_it: bool
) -> None:
    poll = Poll(slot_at=DUE + slot_after * MINUTE, try_at=DUE + try_after * MINUTE)
    assert waits(Polls(feeds=5, under_way={"lab": [poll]})) == (["lab"] if waits_for_it else [])


def test_a_batch_that_is_not_complete_counts_while_another_look_comes_or_goes_on_in_time() -> None:
    later = Poll(slot_at=DUE + 20 * MINUTE, try_at=DUE + 20 * MINUTE)
    in_time, too_late = DUE + 20 * MINUTE, DUE + timedelta(hours=6)
    assert waits(Polls(feeds=5, looked_at_again={"lab": in_time})) == ["lab"]
    assert waits(Polls(feeds=5, looked_at_again={"lab": too_late})) == []
    assert waits(Polls(feeds=5, under_way={"lab": [later]}, looked_at_again={"lab": too_late})) == ["lab"]


def test_only_those_named_count() -> None:
    poll = Poll(slot_at=DUE, try_at=DUE)
    polls = Polls(feeds=5, under_way={"b": [poll], "a": [poll]})
    assert waits(polls) == ["a", "b"]
    assert waits(polls, "b", "c") == ["b"]
    assert waits(polls, "c") == []


@pytest.mark.parametrize(("feeds", "late", "number"), [(FEW, 1, 1), (FEW + 1, 1, 0), (1000, 9, 0), (1000, 10, 10)])
def test_of_many_feeds_the_last_few_are_not_waited_for(feeds: int, late: int, number: int) -> None:
    poll = Poll(slot_at=DUE, try_at=DUE)
    polls = Polls(feeds=feeds, under_way={f"feed{place}": [poll] for place in range(late)})
    assert len(waits(polls)) == number
    assert waits(polls, "feed0") == ["feed0"], "who reads one waits for it"


def test_what_is_known_to_be_missing_papers_is_waited_for_among_however_many() -> None:
    poll = Poll(slot_at=DUE, try_at=DUE)
    polls = Polls(feeds=1000, under_way={"slow": [poll]}, looked_at_again={"arxiv": DUE})
    assert waits(polls) == ["arxiv"]
