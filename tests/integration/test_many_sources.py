"""The honest header of an edition: exact for a few feeds, shared for a minute and summed up for many."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from services.domain.digests import SourceStatus
from services.pipeline import views
from services.runtime import Runtime
from services.storage import batches, feeds
from services.storage.tables import Batch
from tests.factories import FeedSpec
from tests.fakes import Clock

DAYS = ("2026-11-22", "2026-11-23", "2026-11-24")


def hold(rt: Runtime, number: int, *, late: Collection[int] = ()) -> None:
    """So many feeds, three days of each, the last of which is late where it says so."""
    with rt.writing() as session:
        for place in range(number):
            feed = feeds.add(session, FeedSpec(name=f"feed{place:02}", kind="rss"), now=rt.now())
            for day in DAYS:
                state = "late" if place in late and day == DAYS[-1] else "complete"
                batches.put(
                    session, Batch(feed_id=feed.id or 0, batch=day, state=state, seen=place, checked_at=rt.now())
                )


def told(rt: Runtime, names: Collection[str] = (), *, days: int = 1) -> list[SourceStatus]:
    with rt.reading() as session:
        return views.source_statuses(session, list(names), since=rt.now() - timedelta(days=days), now=rt.now())


def finish(rt: Runtime, place: int) -> None:
    with rt.writing() as session:
        feed = feeds.get(session, f"feed{place:02}")
        batches.put(session, Batch(feed_id=feed.id or 0, batch=DAYS[-1], state="complete", checked_at=rt.now()))


def test_of_many_feeds_those_in_trouble_are_told_of_and_the_others_counted(rt: Runtime) -> None:
    hold(rt, 53, late=(7, 52))
    found = told(rt)
    assert [(one.feed, one.state) for one in found[:3]] == [
        ("feed07", "late"),
        ("feed52", "late"),
        ("feed00", "complete"),
    ]
    assert len(found) == views.MOST_SOURCES + 1
    assert (found[-1].feeds, found[-1].state, found[-1].stored) == (3, "complete", 49 + 50 + 51)
    assert found[-1].as_of == rt.now()
    assert sum(one.feeds for one in found) == 53


def test_of_many_in_trouble_the_rest_are_told_of_apart_from_those_that_are_not(rt: Runtime) -> None:
    hold(rt, 53, late=range(51))
    rest = told(rt)[views.MOST_SOURCES :]
    assert [(one.title, one.state, one.feeds, one.stored) for one in rest] == [
        ("1 other", "late", 1, 50),
        ("2 others", "complete", 2, 51 + 52),
    ]
    assert {one.as_of for one in rest} == {rt.now()}


def test_no_look_outlives_its_minute_whoever_asks(rt: Runtime, clock: Clock) -> None:
    hold(rt, views.FEW_SOURCES + 1, late=(3,))
    assert told(rt)[0].state == "late"
    finish(rt, 3)
    clock.advance(days=6)
    assert {one.state for one in told(rt, days=7)} == {"complete"}  # since the same moment, six days on


def test_many_feeds_are_looked_at_once_a_minute(rt: Runtime, clock: Clock) -> None:
    hold(rt, views.FEW_SOURCES + 1, late=(3,))
    assert told(rt)[0].state == "late"
    finish(rt, 3)
    assert told(rt)[0].state == "late"
    clock.advance(minutes=1)
    assert {one.state for one in told(rt)} == {"complete"}


def test_a_few_feeds_are_looked_at_each_time(rt: Runtime) -> None:
    hold(rt, views.FEW_SOURCES + 1, late=(3,))
    named = [f"feed{place:02}" for place in range(views.FEW_SOURCES)]
    assert told(rt, named)[3].state == "late"
    finish(rt, 3)
    assert {one.state for one in told(rt, named)} == {"complete"}


def test_many_are_told_the_same_as_each_by_itself(rt: Runtime) -> None:
    hold(rt, views.FEW_SOURCES + 5, late=range(0, 25, 4))
    with rt.reading() as session:
        each = [
            views.source_status(session, feed, since=rt.now() - timedelta(days=1)) for feed in feeds.list_all(session)
        ]
    assert sorted(told(rt), key=lambda one: one.feed) == sorted(each, key=lambda one: one.feed)
