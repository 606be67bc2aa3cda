"""What an edition waits for, as the rows tell it; and that one look serves all editions of a minute."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from services.domain.jobs import NewJob
from services.domain.polls import worth_waiting
from services.pipeline.fetch import page_job
from services.pipeline.waiting import in_words, waited_for
from services.runtime import Runtime
from services.storage import feeds, polls
from services.storage.tables import Job
from tests.conftest import MakeRuntime
from tests.factories import add_feed, asked_of
from tests.fakes import Clock

HOUR = timedelta(hours=1)


@pytest.fixture
def rt(make_runtime: MakeRuntime, database_url: str) -> Runtime:
    """On both databases."""
    return make_runtime(database_url=database_url)


def waits(rt: Runtime, *names: str, due_at: datetime | None = None) -> list[str]:
    with rt.reading() as session:
        seen = polls.look(session, now=rt.now())
    return worth_waiting(seen, names, due_at=due_at or rt.now(), until=rt.now() + HOUR)


def slot(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"


def test_a_feed_is_waited_for_while_due_fetched_or_not_yet_parsed(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "hf")
    feed_id = feed.id or 0
    assert waits(rt) == waits(rt, "hf") == ["hf"]  # due
    assert waits(rt, due_at=rt.now() - HOUR) == []  # what was due before it
    with rt.writing() as session:
        feeds.advance(session, feed, to=rt.now() + HOUR)
    assert waits(rt) == []
    rt.add_jobs([page_job(feed_id, "hf", slot=slot(rt.now()))])
    assert waits(rt) == waits(rt, "hf") == ["hf"]  # being fetched
    assert waits(rt, "other") == []
    assert waits(rt, due_at=rt.now() - HOUR) == []
    with rt.writing() as session:
        session.execute(update(Job).values(state="done"))
    assert waits(rt) == []
    row = {"feed_id": feed_id, "batch": "", "cursor": "", "state": "fetched", "fetched_at": rt.now()}
    with rt.writing() as session:
        fetch = feeds.record_fetch(session, {**row, "slot": slot(rt.now())})
    assert waits(rt) == ["hf"]  # fetched, not parsed
    with rt.writing() as session:
        feeds.complete_fetch(session, fetch, [], state="failed")
    assert waits(rt) == []
    clock.advance(hours=1)
    assert waits(rt) == ["hf"]
    with rt.writing() as session:
        feeds.update_feed(session, feed_id, paused=True)
    assert waits(rt) == []


def test_what_is_asked_of_the_past_and_what_was_imported_hold_nobody(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    with rt.writing() as session:
        feeds.advance(session, feed, to=rt.now() + HOUR)
        row = {"feed_id": feed.id, "slot": "import", "batch": "", "cursor": "", "fetched_at": rt.now()}
        feeds.record_fetch(session, {**row, "state": "fetched"})
    rt.add_jobs([page_job(feed.id or 0, "hf", slot=f"backfill {slot(rt.now())}", batch="2026-01-02")])
    rt.add_jobs([NewJob(kind="fetch_feed", key="hf with nothing in it")])
    assert waits(rt) == []


@pytest.mark.parametrize(("told_ago", "waited"), [(None, ["hf"]), (2, ["hf"]), (25, [])])
def test_a_feed_that_has_been_failing_for_a_day_holds_nobody(
    rt: Runtime, told_ago: int | None, waited: list[str]
) -> None:
    feed = add_feed(rt, "hf")
    with rt.writing() as session:
        at = rt.now() - told_ago * HOUR if told_ago else None
        feeds.update_feed(session, feed.id or 0, failures=9, alerted_at=at)
    assert waits(rt) == waited


def test_one_look_serves_all_editions_of_a_minute(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "hf")
    due_at = rt.now()

    def held() -> list[str]:
        return waited_for(rt.engine, (), due_at=due_at, until=due_at + HOUR, now=rt.now())

    with asked_of(rt) as asked:
        assert held() == held() == ["hf"]
    assert sum("FROM jobs" in statement for statement, _ in asked) == 1
    with rt.writing() as session:
        feeds.advance(session, feed, to=rt.now() + HOUR)
    assert held() == ["hf"]
    clock.advance(minutes=1)
    assert held() == []


def test_what_is_waited_for_is_told_in_a_line() -> None:
    assert in_words(["a", "b"]) == "a, b"
    assert in_words([f"f{n}" for n in range(1005)]) == "f0, f1, f2, f3, f4 and 1,000 more"
