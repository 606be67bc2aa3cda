"""Completeness: after a month of every kind of trouble nothing is missing, and nobody had to lift a hand."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import select

from services.domain.batches import COMPLETE
from services.domain.schedule import announcement_days, expected_quiet
from services.pipeline import drain
from services.pipeline.ledger import MADE_UP
from services.runtime import Runtime
from services.storage.tables import Batch, Feed, Fetch, Identifier, Job, Rejection, Sighting
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows
from tests.fakes import Clock
from tests.fakes_sites import Sites

FIRST = date(2026, 8, 17)
DAYS = 30
LAST = FIRST + timedelta(days=DAYS - 1)
STEP = timedelta(hours=3)
READING = ("fetch", "parse")


@pytest.fixture
def sites(clock: Clock) -> Iterator[Sites]:
    clock.advance(to=datetime(FIRST.year, FIRST.month, FIRST.day, 13, tzinfo=UTC))
    with Sites(clock, FIRST - timedelta(days=3), LAST + timedelta(days=6)) as sites:
        yield sites


@pytest.fixture
def rt(make_runtime: MakeRuntime, sites: Sites) -> Runtime:
    rt = make_runtime(**sites.urls(), retry_first_s=60, fetch_deadline_s=1)
    rt.http._sleep = lambda _: None

    def careless(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # nobody pulls the plug here

    event.listen(rt.engine, "connect", careless)
    return rt


def live(rt: Runtime, clock: Clock, until: datetime) -> Counter[str]:
    """Let the service run, looking every three hours, until a moment; outcomes of jobs are counted."""
    outcomes: Counter[str] = Counter()
    while clock.now() < until:
        outcomes.update(drain.run_until_idle(rt, stages=READING))
        clock.advance(seconds=STEP.total_seconds())
    return outcomes


def disturb(sites: Sites, dice: random.Random, clock: Clock) -> None:
    """A day's troubles, drawn anew: each kind comes often within a month."""
    faults = sites.faults
    for prefix in ("/hf", "/api", "/rss"):
        match dice.choice(("none", "429", "503", "502", "drop", "truncate", "garbage", "hang")):
            case "429":
                faults.fail_next(prefix, 429, dice.randint(1, 6), {"Retry-After": "900"}, b"Rate exceeded.")
            case "503":
                faults.fail_next(prefix, 503, dice.randint(1, 8), {}, b"<h1>Backend fetch failed</h1>")
            case "502":
                faults.fail_next(prefix, 502, dice.randint(1, 3), {}, b"")
            case "drop":
                faults.drop_next(prefix, dice.randint(1, 7))
            case "truncate":
                faults.truncate_next(prefix, dice.randint(1, 7))
            case "garbage":  # half a document that claims to be whole
                faults.fail_next(prefix, 200, 1, {"Content-Type": "text/plain"}, b'[{"paper": {"id": "2608.0')
            case "hang":
                sites.hangs[prefix] = 1
    if dice.random() < 0.6:
        sites.short_pages += dice.randint(1, 5)
    if dice.random() < 0.25:
        sites.stale_until = clock.now() + timedelta(hours=dice.choice((7, 16)))


def end_of_trouble(sites: Sites) -> None:
    """What is still in store for the next calls is dropped."""
    for prefix in ("/hf", "/api", "/rss"):
        sites.faults.heal(prefix)


def ids_seen(rt: Runtime, feed: Feed, day: date) -> set[str]:
    with rt.reading() as session:
        return set(
            session.exec(
                select(Identifier.value)
                .join(Sighting, Sighting.paper_id == Identifier.paper_id)  # type: ignore[arg-type]
                .where(Identifier.scheme == "arxiv", Sighting.feed_id == feed.id, Sighting.day == day)
            )
        )


def batch_states(rt: Runtime, feed: Feed) -> dict[str, Batch]:
    return {row.batch: row for row in all_rows(rt, Batch, feed_id=feed.id)}


@pytest.mark.timeout(900)
def test_thirty_days_of_trouble_leave_nothing_out(rt: Runtime, sites: Sites, clock: Clock) -> None:
    hf = add_feed(rt, "daily-papers", "hf_papers", interval_minutes=360, history_days=0)
    api = add_feed(
        rt, "arxiv-api", "arxiv_api", interval_minutes=720, history_days=0,
        params={"query": "cat:cs.CL", "page_size": "20"},
    )  # fmt: skip
    rss = add_feed(rt, "arxiv-rss", "arxiv_rss", interval_minutes=360, history_days=0, params={"category": "cs.CL"})
    dice = random.Random(2026)
    lost = FIRST + timedelta(days=9)
    outcomes: Counter[str] = Counter()
    for number in range(DAYS):
        day = FIRST + timedelta(days=number)
        end_of_trouble(sites)
        if day == lost:  # nothing answers for a day and a half
            for prefix in ("/hf", "/api", "/rss"):
                sites.faults.down(prefix, 503)
            sites.met["lost day"] += 1
            outcomes += live(rt, clock, datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=37))
            continue
        disturb(sites, dice, clock)
        outcomes += live(rt, clock, datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=25))
    end_of_trouble(sites)
    sites.short_pages, sites.stale_until = 0, None
    outcomes += live(rt, clock, datetime(LAST.year, LAST.month, LAST.day, tzinfo=UTC) + timedelta(days=4))
    print("met", dict(sites.met), "jobs", dict(outcomes), "calls", len(sites.calls))
    for kind in ("429", "503", "dropped", "truncated", "stale", "short", "hung", "lost day"):
        assert sites.met[kind], f"no {kind} was met: the test proves less than it says"
    days = [FIRST + timedelta(days=number) for number in range(DAYS)]
    with rt.reading() as session:
        refused = Counter(
            session.exec(
                select(Fetch.batch, Rejection.entry)
                .join(Rejection, Rejection.fetch_id == Fetch.id)  # type: ignore[arg-type]
                .where(Fetch.feed_id == hf.id)
                .distinct()
            )
        )
    missing = []
    for day in days:
        items = sites.hf_days[day]
        announced = len(items)
        stored = ids_seen(rt, hf, day)
        rejected = sum(batch == day.isoformat() for batch, _ in refused)
        assert stored == {i["paper"]["id"] for i in items if "title" in i["paper"]}, day
        if announced != len(stored) + rejected:
            missing.append(("hf", day, announced, len(stored) + rejected))
        if ids_seen(rt, api, day) != sites.submitted(day):
            missing.append(("api", day, len(sites.submitted(day)), len(ids_seen(rt, api, day))))
    missing += [
        ("rss", day, len(sites.listed(day)), len(ids_seen(rt, rss, day)))
        for day in announcement_days(FIRST, LAST)
        if ids_seen(rt, rss, day) != sites.listed(day)
    ]
    assert missing == []
    for feed in (hf, api, rss):
        states = batch_states(rt, feed)
        for day in days:
            row = states.get(day.isoformat())
            if row is None:
                assert feed is rss
                assert expected_quiet(day)
                continue
            assert row.state in COMPLETE, (feed.name, row)
            assert row.announced is None or row.announced == row.seen
    assert any(row.note == MADE_UP for row in batch_states(rt, rss).values()), "the lost day was made up"
    assert all_rows(rt, Job, state="running") == []
