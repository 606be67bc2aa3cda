"""The schedule: what is due becomes a job once, whoever ticks, and what was missed is made up where it can be."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.pipeline import drain, schedule
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import feeds, subscribers
from services.storage.tables import Feed, Fetch, Job, Slot, Subscription
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows
from tests.fakes import Clock
from workers.demo.replay import Replay


def fetch_jobs(rt: Runtime, feed: str) -> list[Job]:
    return [j for j in all_rows(rt, Job, kind="fetch_feed") if j.key.startswith(f"{feed} ")]


def batches(rt: Runtime, feed: str) -> list[str]:
    return [j.payload["batch"] for j in fetch_jobs(rt, feed)]


def read_all(rt: Runtime) -> None:
    """Let everything that is due be fetched and parsed."""
    drain.run_until_idle(rt, stages=("fetch", "parse"))


def a_subscription(rt: Runtime, **values: Any) -> Subscription:
    with rt.writing() as session:
        subscription, _ = subscribe(rt, session, to="ada@example.org", confirmed=True, **values)
        return subscription


def test_five_schedulers_at_once_add_each_slot_once(rt: Runtime, clock: Clock) -> None:
    for name, kind in (("blog", "rss"), ("arxiv", "arxiv_rss"), ("hf", "hf_papers")):
        add_feed(rt, name, kind)
    a_subscription(rt, at="09:30")
    clock.advance(minutes=30)
    for tick_number in range(3):
        begin = threading.Barrier(5)
        troubles: list[BaseException] = []

        def tick(begin: threading.Barrier = begin, troubles: list[BaseException] = troubles) -> None:
            begin.wait()
            try:
                schedule.tick(rt)
            except BaseException as error:
                troubles.append(error)

        threads = [threading.Thread(target=tick) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert troubles == []
        slots = tick_number + 1
        assert len(fetch_jobs(rt, "blog")) == len(fetch_jobs(rt, "arxiv")) == slots
        assert len({j.payload["slot"] for j in fetch_jobs(rt, "hf")}) == slots
        assert len(all_rows(rt, Job, kind="housekeeping")) == 1
        assert len(all_rows(rt, Job, kind="compose_edition")) == 1
        clock.advance(minutes=66)  # past the next slot and its jitter
    keys = [(j.kind, j.key) for j in all_rows(rt, Job)]
    assert len(keys) == len(set(keys))


def test_a_tick_with_nothing_due_adds_nothing(rt: Runtime) -> None:
    add_feed(rt, "blog", "rss")
    assert len(schedule.tick(rt)) == 2  # the feed, and housekeeping
    assert schedule.tick(rt) == []


def test_slots_keep_to_their_grid_however_late_the_tick(rt: Runtime, clock: Clock) -> None:
    add_feed(rt, "blog", "rss", interval_minutes=60)
    began = rt.now()
    schedule.tick(rt)
    clock.advance(minutes=200)
    schedule.tick(rt)
    (row,) = all_rows(rt, Feed)
    assert timedelta(0) <= row.next_check_at - (began + timedelta(hours=4)) <= timedelta(minutes=10)


def test_of_the_slots_a_feed_without_a_past_missed_only_the_newest_is_added(rt: Runtime, clock: Clock) -> None:
    add_feed(rt, "blog", "rss", interval_minutes=60)
    schedule.tick(rt)
    clock.advance(days=3)
    schedule.tick(rt)
    schedule.tick(rt)
    assert len(fetch_jobs(rt, "blog")) == 2
    assert batches(rt, "blog") == ["", ""]


def asked_anew(rt: Runtime, feed: str, *, since: int) -> list[str]:
    """The days asked for by jobs later than the first `since`."""
    schedule.tick(rt)
    return batches(rt, feed)[since:]


def test_a_source_that_keeps_its_past_is_asked_for_every_day_that_was_missed(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = make_runtime(replay=replay)
    add_feed(rt, "hf", history_days=2)
    for _ in range(3):  # three days of service
        read_all(rt)
        clock.advance(days=1)
    read_all(rt)
    clock.advance(days=7)  # and a week without
    before = len(fetch_jobs(rt, "hf"))
    missed = asked_anew(rt, "hf", since=before)
    assert missed[-7:] == ["2026-11-29", "2026-11-30", *(f"2026-12-0{n}" for n in range(1, 6))]
    assert missed == sorted(set(missed))


def test_no_more_days_are_made_up_than_the_setting_allows(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = make_runtime(replay=replay, backfill_days=3)
    add_feed(rt, "hf", history_days=1)
    read_all(rt)
    clock.advance(days=20)
    before = len(fetch_jobs(rt, "hf"))
    assert asked_anew(rt, "hf", since=before) == ["2026-12-12", "2026-12-13", "2026-12-14", "2026-12-15"]


def test_the_first_fetch_goes_back_as_far_as_the_feed_says(rt: Runtime) -> None:
    add_feed(rt, "hf", history_days=3)
    schedule.tick(rt)
    assert batches(rt, "hf") == ["2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25"]


def test_a_day_whose_last_page_is_missing_is_asked_for_until_it_comes(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = make_runtime(replay=replay)
    add_feed(rt, "hf", history_days=2, params={"limit": "2"})
    day = replay.content.days[-2].isoformat()
    replay.is_down(f"/hf/api/daily_papers?date={day}&limit=2&p=1", 404)
    read_all(rt)
    clock.advance(days=6)  # long past the days a fresh feed looks back
    before = len(fetch_jobs(rt, "hf"))
    assert day in asked_anew(rt, "hf", since=before)
    replay.is_up()
    read_all(rt)
    clock.advance(days=1)
    before = len(fetch_jobs(rt, "hf"))
    assert day not in asked_anew(rt, "hf", since=before)


def test_missed_days_are_really_fetched(make_runtime: MakeRuntime, replay: Replay, clock: Clock) -> None:
    rt = make_runtime(replay=replay, backfill_days=14)
    clock.advance(to=clock.now() - timedelta(days=8))
    add_feed(rt, "hf", history_days=1)
    drain.run_until_idle(rt)
    clock.advance(days=8)  # the service was off all that time
    drain.run_until_idle(rt)
    found = {f.batch for f in all_rows(rt, Fetch) if f.state == "parsed"}
    assert {day.isoformat() for day in replay.content.days} <= found


def test_paused_and_retired_feeds_add_nothing(rt: Runtime) -> None:
    add_feed(rt, "paused", "rss", paused=True)
    gone = add_feed(rt, "gone", "rss")
    with rt.writing() as session:
        feeds.remove(session, gone)
    schedule.tick(rt)
    assert all_rows(rt, Job, kind="fetch_feed") == []


def test_a_feed_that_failed_is_asked_sooner_then_ever_later(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "blog", "rss", interval_minutes=60)
    waits = []
    for failures in (1, 3, 8):
        with rt.writing() as session:
            feeds.update_feed(session, feed.id or 0, failures=failures, next_check_at=rt.now())
        schedule.tick(rt)
        waits.append(all_rows(rt, Feed)[0].next_check_at - rt.now())
        clock.advance(days=2)
    assert waits == sorted(waits)
    assert waits[0] < timedelta(minutes=20)
    assert timedelta(hours=20) < waits[2] <= timedelta(hours=25)


def test_fetching_at_once_does_not_touch_the_schedule(rt: Runtime, clock: Clock) -> None:
    add_feed(rt, "blog", "rss")
    schedule.tick(rt)
    clock.advance(seconds=1)
    (before,) = all_rows(rt, Feed)
    assert len(schedule.fetch_now(rt, "blog")) == 1
    assert all_rows(rt, Feed)[0].next_check_at == before.next_check_at
    assert len(fetch_jobs(rt, "blog")) == 2


def test_slots_of_the_service_are_on_the_grid_of_the_day(rt: Runtime, clock: Clock) -> None:
    clock.advance(minutes=7)
    schedule.tick(rt)
    nexts = {s.name: s.next_at for s in all_rows(rt, Slot)}
    assert nexts["repos"] == datetime(2026, 11, 25, 9, 10, tzinfo=UTC)
    assert nexts["housekeeping"] == datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


# -- editions and daylight saving --------------------------------------------------------------------------------


def due_times(rt: Runtime, clock: Clock, *, until: datetime) -> list[datetime]:
    """Tick a minute before and at every time an edition is due, until a moment; when each was."""
    while (due_at := all_rows(rt, Subscription)[0].next_edition_at) < until:
        clock.advance(to=due_at - timedelta(minutes=1))
        schedule.tick(rt)
        clock.advance(to=due_at)
        schedule.tick(rt)
    return [datetime.fromisoformat(j.payload["due_at"]) for j in all_rows(rt, Job, kind="compose_edition")]


@pytest.mark.parametrize(
    ("timezone", "at", "start", "expected"),
    [
        # Clocks go forward in Berlin on 2026-03-29: 08:00 comes an hour earlier in UTC.
        ("Europe/Berlin", "08:00", datetime(2026, 3, 27, tzinfo=UTC),
         [(27, 7), (28, 7), (29, 6), (30, 6)]),
        # 02:30 does not exist that day: the first moment after the gap.
        ("Europe/Berlin", "02:30", datetime(2026, 3, 27, 2, tzinfo=UTC),
         [(28, 1), (29, 1), (30, 0)]),
        # Clocks go back in Los Angeles on 2026-11-01: 01:30 comes twice and counts once.
        ("America/Los_Angeles", "01:30", datetime(2026, 10, 31, 0, tzinfo=UTC),
         [(31, 8), (1, 8), (2, 9)]),
    ],
)  # fmt: skip
def test_each_local_date_has_one_edition_through_changes_of_the_clock(
    make_runtime: MakeRuntime, clock: Clock, timezone: str, at: str, start: datetime, expected: list[tuple[int, int]]
) -> None:
    rt = make_runtime()
    clock.advance(to=start)
    a_subscription(rt, at=at, timezone=timezone)
    times = due_times(rt, clock, until=start + timedelta(days=len(expected)))
    assert [(t.day, t.hour) for t in times] == expected
    periods = [j.payload["period"] for j in all_rows(rt, Job, kind="compose_edition")]
    assert len(periods) == len(set(periods))


def test_after_an_outage_one_edition_is_made_up_not_one_a_day(rt: Runtime, clock: Clock) -> None:
    a_subscription(rt, at="08:00")
    clock.advance(days=6)
    schedule.tick(rt)
    schedule.tick(rt)
    (job,) = all_rows(rt, Job, kind="compose_edition")
    assert job.payload["period"] == "2026-11-26"
    assert all_rows(rt, Subscription)[0].next_edition_at == datetime(2026, 12, 2, 8, tzinfo=UTC)


def test_weekday_editions_leave_out_the_weekend(rt: Runtime, clock: Clock) -> None:
    a_subscription(rt, at="08:00", cadence="weekdays")
    due_times(rt, clock, until=clock.now() + timedelta(days=7))
    periods = [j.payload["period"] for j in all_rows(rt, Job, kind="compose_edition")]
    assert periods == ["2026-11-26", "2026-11-27", "2026-11-30", "2026-12-01", "2026-12-02"]


def test_who_has_unsubscribed_has_no_more_editions(rt: Runtime, clock: Clock) -> None:
    subscription = a_subscription(rt, at="10:00")
    with rt.writing() as session:
        subscribers.set_state(session, subscription.subscriber_id, "unsubscribed")
    clock.advance(days=2)
    schedule.tick(rt)
    assert all_rows(rt, Job, kind="compose_edition") == []
