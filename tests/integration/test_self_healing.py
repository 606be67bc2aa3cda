"""Sources that fail, fall silent, serve yesterday's list, or are gone: what we do by ourselves, and whom we tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlmodel import Session

from services.domain.polls import worth_waiting
from services.pipeline import drain, ledger, views
from services.pipeline.fetch import page_job
from services.pipeline.notices import ALERT_AFTER
from services.runtime import Runtime
from services.storage import feeds, freshness, polls
from services.storage.tables import Batch, Feed, Fetch, Job, Notice, Sighting
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows
from tests.fakes import Clock
from tests.fakes_sites import Sites
from workers.demo.replay import Replay

WEDNESDAY = date(2026, 9, 16)


def drained(rt: Runtime) -> dict[str, int]:
    return drain.run_until_idle(rt, stages=("fetch", "parse", "notify"), ticking=False)


def fetch(rt: Runtime, feed: Feed, slot: str, **more: str) -> dict[str, int]:
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot=slot, **more)])
    return drained(rt)


def feed_row(rt: Runtime, name: str) -> Feed:
    (row,) = all_rows(rt, Feed, name=name)
    assert isinstance(row, Feed)
    return row


def mails(rt: Runtime) -> list[str]:
    return [path.read_text() for path in sorted(rt.settings.outbox.glob("*.eml"))]


# --- failing, and well again -----------------------------------------------------------------------------------


def test_a_feed_that_keeps_failing_is_told_of_once_and_once_when_it_is_well(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = make_runtime(replay=replay, alert_to="ops@papers.example", retry_first_s=60)
    feed = add_feed(rt, "blog", "rss", url=f"{replay.base_url}/blog/feed.xml")
    replay.fail_next("/blog", 503, times=10_000)
    fetch(rt, feed, "s1")
    for failures in range(1, ALERT_AFTER + 3):
        assert feed_row(rt, "blog").failures == failures
        assert len(all_rows(rt, Notice)) == (failures >= ALERT_AFTER)
        clock.advance(days=1)
        drained(rt)
    assert [n.kind for n in all_rows(rt, Notice)] == ["failing"]
    (told,) = mails(rt)
    assert "To: ops@papers.example" in told
    assert "Broadsheet: blog keeps failing" in told
    replay.is_up("/blog")
    for slot in ("s2", "s3"):
        fetch(rt, feed, slot)
        clock.advance(hours=1)
    assert [n.kind for n in all_rows(rt, Notice)] == ["failing", "healed"]
    assert all(n.sent_at is not None for n in all_rows(rt, Notice))
    assert len(mails(rt)) == 2
    assert (feed_row(rt, "blog").failures, feed_row(rt, "blog").alerted_at) == (0, None)


def test_documents_that_cannot_be_read_are_told_of_too(make_runtime: MakeRuntime, replay: Replay) -> None:
    rt = make_runtime(replay=replay)
    feed = add_feed(rt, "blog", "rss", url=f"{replay.base_url}/blog/feed.xml")
    replay.fail_next("/blog", 200, times=ALERT_AFTER, body=b"<!doctype html><title>Log in</title>")
    for number in range(ALERT_AFTER):
        fetch(rt, feed, f"s{number}")
        assert feed_row(rt, "blog").failures == number + 1
    assert [n.kind for n in all_rows(rt, Notice)] == ["failing"]
    fetch(rt, feed, "well")
    assert [n.kind for n in all_rows(rt, Notice)] == ["failing", "healed"]


def test_a_muted_feed_is_written_down_and_nobody_is_woken(make_runtime: MakeRuntime, replay: Replay) -> None:
    rt = make_runtime(replay=replay, alert_to="ops@papers.example")
    noisy = add_feed(rt, "noisy", "rss", url=f"{replay.base_url}/blog/feed.xml")
    heard = add_feed(rt, "heard", "rss", url=f"{replay.base_url}/blog/feed.xml?heard")
    with rt.writing() as session:
        feeds.update_feed(session, noisy.id or 0, mute_alerts=True)
    replay.fail_next("/blog", 200, times=2 * ALERT_AFTER, body=b"<!doctype html><title>Log in</title>")
    for number in range(ALERT_AFTER):
        for feed in (noisy, heard):
            fetch(rt, feed, f"s{number}")
    for feed in (noisy, heard):
        fetch(rt, feed, "well")
    told = {(n.kind, n.subject): n.sent_at is not None for n in all_rows(rt, Notice)}
    assert told == {
        ("failing", "noisy"): False, ("healed", "noisy"): False, ("failing", "heard"): True, ("healed", "heard"): True,
    }  # fmt: skip
    assert len(mails(rt)) == 2


def test_waiting_for_a_host_is_no_failure(make_runtime: MakeRuntime, replay: Replay, clock: Clock) -> None:
    rt = make_runtime(replay=replay)
    feed = add_feed(rt, "blog", "rss", url=f"{replay.base_url}/blog/feed.xml")
    replay.fail_next("/blog", 429, times=9, headers={"Retry-After": "600"})
    fetch(rt, feed, "s1")
    for _ in range(9):
        clock.advance(minutes=15)
        drained(rt)
    assert all_rows(rt, Notice) == []
    assert [f.state for f in all_rows(rt, Fetch)] == ["parsed"]
    (job,) = all_rows(rt, Job, kind="fetch_feed")
    assert (job.state, job.attempts - job.spared) == ("done", 1)


def test_a_feed_that_is_gone_is_retired_with_a_notice(make_runtime: MakeRuntime, replay: Replay) -> None:
    rt = make_runtime(replay=replay)
    feed = add_feed(rt, "blog", "rss", url=f"{replay.base_url}/blog/feed.xml")
    replay.fail_next("/blog", 410)
    fetch(rt, feed, "s1")
    assert feed_row(rt, "blog").retired
    assert [(n.kind, n.subject, n.sent_at) for n in all_rows(rt, Notice)] == [("retired", "blog", None)]
    assert all_rows(rt, Job, kind="send_notice") == []  # nobody is named to be told: the table and the log know


def test_a_feed_whose_interval_nobody_chose_follows_its_own_rhythm(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = make_runtime(replay=replay)
    url = f"{replay.base_url}/blog/feed.xml"
    for name, fixed in (("chosen", True), ("free", False)):
        add_feed(rt, name, "rss", url=f"{url}?{name}", interval_minutes=60, interval_fixed=fixed)
    drain.run_until_idle(rt, stages=("fetch", "parse"))
    clock.advance(days=8)  # watched for long enough, and nothing new came
    drain.run_until_idle(rt, stages=("fetch", "parse"))
    waits = {name: feed_row(rt, name).next_check_at - rt.now() for name in ("chosen", "free")}
    assert waits["chosen"] <= timedelta(minutes=66)
    assert timedelta(hours=3) <= waits["free"] <= timedelta(hours=4, minutes=6)


# --- arXiv's announcements -------------------------------------------------------------------------------------


@pytest.fixture
def sites(clock: Clock) -> Iterator[Sites]:
    with Sites(clock, date(2026, 8, 31), date(2026, 9, 25)) as sites:
        yield sites


@pytest.fixture
def arxiv(make_runtime: MakeRuntime, sites: Sites) -> Runtime:
    return make_runtime(**sites.urls())


def at(clock: Clock, day: date, hour: int) -> None:
    clock.advance(to=datetime(day.year, day.month, day.day, hour, tzinfo=UTC))


def announcements(rt: Runtime, **changes: object) -> Feed:
    return add_feed(rt, "arxiv-rss", "arxiv_rss", interval_minutes=360, params={"category": "cs.CL"}, **changes)


def held_for(session: Session, now: datetime) -> list[str]:
    """The feeds that an edition of all, due now, is held for up to its deadline."""
    return worth_waiting(polls.look(session, now=now), (), due_at=now, until=now + timedelta(minutes=90))


def batch(rt: Runtime, feed: Feed, day: date) -> Batch:
    (row,) = all_rows(rt, Batch, feed_id=feed.id, batch=day.isoformat())
    assert isinstance(row, Batch)
    return row


def test_yesterdays_list_under_todays_date_is_stale_looked_at_soon_and_leaves_no_trace(
    arxiv: Runtime, sites: Sites, clock: Clock
) -> None:
    at(clock, WEDNESDAY - timedelta(days=1), 12)
    feed = announcements(arxiv)
    fetch(arxiv, feed, "tuesday")
    at(clock, WEDNESDAY, 6)
    with arxiv.writing() as session:
        feeds.update_feed(session, feed.id or 0, next_check_at=arxiv.now() + timedelta(hours=6))
    sites.stale_until = arxiv.now() + timedelta(hours=1)
    fetch(arxiv, feed, "wednesday")
    row = batch(arxiv, feed, WEDNESDAY)
    assert (row.state, row.tries, row.first_complete_at) == ("stale", 1, None)
    assert feed_row(arxiv, "arxiv-rss").next_check_at == arxiv.now() + timedelta(minutes=20)
    assert all_rows(arxiv, Sighting, feed_id=feed.id, day=WEDNESDAY) == []
    with arxiv.reading() as session:
        status = views.source_status(session, feed_row(arxiv, "arxiv-rss"), since=arxiv.now() - timedelta(days=1))
        assert held_for(session, arxiv.now()) == ["arxiv-rss"]
    assert status.state == "stale"
    clock.advance(hours=2)
    with arxiv.writing() as session:
        feeds.update_feed(session, feed.id or 0, next_check_at=arxiv.now() + timedelta(hours=6))
    fetch(arxiv, feed, "wednesday again")
    with arxiv.reading() as session:
        assert held_for(session, arxiv.now()) == []
    row = batch(arxiv, feed, WEDNESDAY)
    assert (row.state, row.tries, row.seen) == ("complete", 0, len(sites.listed(WEDNESDAY)))
    assert len(all_rows(arxiv, Sighting, feed_id=feed.id, day=WEDNESDAY)) == len(sites.listed(WEDNESDAY))


def test_the_list_of_a_day_that_was_lost_is_known_again_under_the_next_days_date(
    arxiv: Runtime, sites: Sites, clock: Clock
) -> None:
    """Nothing answers on Tuesday, and all Wednesday Tuesday's list is served: it looks new."""
    tuesday = WEDNESDAY - timedelta(days=1)
    at(clock, tuesday - timedelta(days=1), 12)
    feed = announcements(arxiv)
    fetch(arxiv, feed, "monday")
    at(clock, WEDNESDAY, 6)
    sites.stale_until = arxiv.now() + timedelta(hours=20)
    fetch(arxiv, feed, "wednesday")
    assert batch(arxiv, feed, WEDNESDAY).state == "complete"
    fetch(arxiv, feed, "missed", batch=tuesday.isoformat(), via="arxiv_api")
    assert (batch(arxiv, feed, tuesday).state, batch(arxiv, feed, WEDNESDAY).state) == ("complete", "stale")
    assert all_rows(arxiv, Sighting, feed_id=feed.id, day=WEDNESDAY) == []
    at(clock, WEDNESDAY + timedelta(days=1), 12)
    with arxiv.reading() as session:
        assert ledger.missed_days(session, feed_row(arxiv, "arxiv-rss"), now=arxiv.now(), back=9) == [WEDNESDAY]
    fetch(arxiv, feed, "missed again", batch=WEDNESDAY.isoformat(), via="arxiv_api")
    assert batch(arxiv, feed, WEDNESDAY).state == "complete"
    assert len(all_rows(arxiv, Sighting, feed_id=feed.id, day=WEDNESDAY)) == len(sites.listed(WEDNESDAY))
    assert len(all_rows(arxiv, Sighting, feed_id=feed.id, day=tuesday)) == len(sites.listed(tuesday))


def test_a_stale_list_that_has_not_changed_is_stale_still(arxiv: Runtime, sites: Sites, clock: Clock) -> None:
    """Lost on Tuesday, Tuesday's list is all that Wednesday and Thursday get, and on Thursday as unchanged (304)."""
    tuesday, thursday = WEDNESDAY - timedelta(days=1), WEDNESDAY + timedelta(days=1)
    at(clock, tuesday - timedelta(days=1), 12)
    feed = announcements(arxiv)
    fetch(arxiv, feed, "monday")
    at(clock, WEDNESDAY, 6)
    sites.stale_until = arxiv.now() + timedelta(days=2)
    fetch(arxiv, feed, "wednesday")
    fetch(arxiv, feed, "missed", batch=tuesday.isoformat(), via="arxiv_api")
    assert batch(arxiv, feed, WEDNESDAY).state == "stale"
    fetch(arxiv, feed, "wednesday again")
    assert all_rows(arxiv, Fetch, slot="wednesday again")[0].status == 304
    assert batch(arxiv, feed, WEDNESDAY).state == "stale"
    sites.still = True
    at(clock, thursday, 12)
    fetch(arxiv, feed, "thursday")
    assert all_rows(arxiv, Fetch, slot="thursday")[0].status == 304
    assert batch(arxiv, feed, thursday).state == "stale"


def test_an_empty_list_is_quiet_on_a_weekend_and_late_on_a_day_of_announcements(
    arxiv: Runtime, sites: Sites, clock: Clock
) -> None:
    saturday = WEDNESDAY + timedelta(days=3)
    at(clock, saturday, 12)
    feed = announcements(arxiv)
    fetch(arxiv, feed, "saturday")
    assert batch(arxiv, feed, saturday).state == "quiet"
    monday = saturday + timedelta(days=2)
    at(clock, monday, 12)
    sites.submissions = []
    fetch(arxiv, feed, "monday")
    assert batch(arxiv, feed, monday).state == "late"


def test_a_list_that_was_missed_is_made_up_from_the_api(arxiv: Runtime, sites: Sites, clock: Clock) -> None:
    at(clock, WEDNESDAY, 12)
    feed = announcements(arxiv)
    drain.run_until_idle(arxiv, stages=("fetch", "parse"))
    monday = WEDNESDAY + timedelta(days=5)
    at(clock, monday, 12)  # we slept over Thursday's and Friday's lists
    drain.run_until_idle(arxiv, stages=("fetch", "parse"))
    for day in (WEDNESDAY + timedelta(days=1), WEDNESDAY + timedelta(days=2)):
        row = batch(arxiv, feed, day)
        assert (row.state, row.note) == ("complete", ledger.MADE_UP)
        assert row.seen == row.announced == len(sites.listed(day))
        assert {f.via for f in all_rows(arxiv, Fetch, feed_id=feed.id, batch=day.isoformat())} == {"arxiv_api"}
        assert len(all_rows(arxiv, Sighting, feed_id=feed.id, day=day)) == len(sites.listed(day))
    assert batch(arxiv, feed, monday).note is None
    calls = len(sites.calls)
    clock.advance(hours=7)
    drain.run_until_idle(arxiv, stages=("fetch", "parse"))
    assert len(sites.calls) == calls + 1  # what was made up is not asked for again


def test_short_and_empty_pages_of_the_api_are_asked_for_again(arxiv: Runtime, sites: Sites, clock: Clock) -> None:
    day = WEDNESDAY - timedelta(days=2)
    at(clock, WEDNESDAY, 12)
    feed = add_feed(arxiv, "api", "arxiv_api", params={"query": "cat:cs.CL", "page_size": "20"})
    sites.short_pages = 4
    fetch(arxiv, feed, "s1", batch=day.isoformat())
    assert sites.met["short"] == 4
    row = batch(arxiv, feed, day)
    assert (row.state, row.seen) == ("complete", len(sites.submitted(day)))
    rows = all_rows(arxiv, Fetch, feed_id=feed.id)
    assert any("~" in f.cursor for f in rows)
    assert any("ask again" in note for f in rows for note in f.notes)


def test_pages_that_stay_short_leave_a_partial_batch_that_is_looked_at_soon(
    arxiv: Runtime, sites: Sites, clock: Clock
) -> None:
    day = WEDNESDAY - timedelta(days=2)
    at(clock, WEDNESDAY, 12)
    feed = add_feed(arxiv, "api", "arxiv_api", interval_minutes=720, params={"query": "cat:cs.CL", "page_size": "20"})
    with arxiv.writing() as session:
        feeds.update_feed(session, feed.id or 0, next_check_at=arxiv.now() + timedelta(hours=12))
    sites.empty_from = 20
    fetch(arxiv, feed, "s1", batch=day.isoformat())
    row = batch(arxiv, feed, day)
    assert row.state == "partial"
    assert row.note == f"20 of {len(sites.submitted(day))} announced entries came"
    assert [f.cursor for f in all_rows(arxiv, Fetch, feed_id=feed.id)] == ["", "20", "20~1", "20~2", "20~3"]
    assert feed_row(arxiv, "api").next_check_at == arxiv.now() + timedelta(minutes=20)
    sites.empty_from = None
    fetch(arxiv, feed, "s2", batch=day.isoformat())
    assert batch(arxiv, feed, day).state == "complete"


def test_a_failed_look_does_not_undo_what_is_known_to_be_complete(arxiv: Runtime, sites: Sites, clock: Clock) -> None:
    day = WEDNESDAY - timedelta(days=2)
    at(clock, WEDNESDAY, 12)
    feed = add_feed(arxiv, "api", "arxiv_api", params={"query": "cat:cs.CL"})
    fetch(arxiv, feed, "s1", batch=day.isoformat())
    first = batch(arxiv, feed, day)
    sites.faults.down("/api", 503)
    clock.advance(hours=1)
    fetch(arxiv, feed, "s2", batch=day.isoformat())
    fetch(arxiv, feed, "s2", batch=WEDNESDAY.isoformat())
    assert batch(arxiv, feed, day) == first
    assert batch(arxiv, feed, WEDNESDAY).state == "failed"


# --- Hugging Face's other lists --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "asked"), [("weekly", ["week=2026-W48"]), ("monthly", ["month=2026-11"]), ("trending", ["sort=trending"])]
)
def test_weeks_months_and_what_trends_are_lists_of_their_own(
    make_runtime: MakeRuntime, replay: Replay, view: str, asked: list[str]
) -> None:
    rt = make_runtime(replay=replay)
    feed = add_feed(rt, view, "hf_papers", params={"view": view})
    assert drain.run_until_idle(rt, stages=("fetch", "parse")).get("dead", 0) == 0
    for part in asked:
        assert any(part in request.path for request in replay.requests)
    (row,) = all_rows(rt, Batch, feed_id=feed.id)
    assert row.state == "complete"
    assert all_rows(rt, Sighting, feed_id=feed.id)


# --- objectives ------------------------------------------------------------------------------------------------


def test_freshness_is_the_age_of_what_was_last_known_to_be_complete(arxiv: Runtime, sites: Sites, clock: Clock) -> None:
    at(clock, WEDNESDAY, 12)
    feed = announcements(arxiv, fresh_minutes=90)
    add_feed(arxiv, "never", "arxiv_rss", params={"category": "cs.LG"}, fresh_minutes=60)
    add_feed(arxiv, "no-objective", "arxiv_rss", params={"category": "cs.CV"})
    fetch(arxiv, feed, "s1")
    clock.advance(minutes=60)
    with arxiv.reading() as session:
        found = {one.feed: one for one in freshness.list_freshness(session, now=arxiv.now())}
    assert (found["arxiv-rss"].age, found["arxiv-rss"].met) == (timedelta(minutes=60), True)
    assert found["arxiv-rss"].burn == pytest.approx(2 / 3)
    assert (found["never"].age, found["never"].met, found["never"].burn) == (None, False, None)
    assert (found["no-objective"].met, found["no-objective"].burn) == (True, None)
    clock.advance(minutes=31)
    with arxiv.reading() as session:
        late = {one.feed: one for one in freshness.list_freshness(session, now=arxiv.now())}["arxiv-rss"]
    assert not late.met
