"""A day that is not complete, taken as it is by a person: nobody waits for it, and what comes of it is stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from services.domain.errors import InvalidInput, NotFound
from services.domain.polls import worth_waiting
from services.domain.users import Actor
from services.pipeline import drain, ledger, operate, schedule, views
from services.pipeline.fetch import page_job
from services.runtime import Runtime
from services.storage import batches, feeds, polls
from services.storage.engine import make_engine, writing
from services.storage.tables import Audit, Batch, Feed, Sighting
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows
from tests.fakes import Clock
from tests.fakes_sites import Sites
from tests.integration.command import Broadsheet
from tests.integration.web_site import PASSWORD, Site

BOSS = Actor(name="boss", role="admin", origin="command")
TUESDAY = date(2026, 9, 15)
DAY = TUESDAY.isoformat()


@pytest.fixture
def sites(clock: Clock) -> Iterator[Sites]:
    """arXiv, of whose lists only the first twenty entries come."""
    with Sites(clock, date(2026, 8, 31), date(2026, 9, 25)) as sites:
        sites.empty_from = 20
        yield sites


@pytest.fixture
def short(make_runtime: MakeRuntime, database_url: str, sites: Sites, clock: Clock) -> Runtime:
    """A feed whose Tuesday is partial, on Wednesday."""
    clock.advance(to=datetime(2026, 9, 16, 12, tzinfo=UTC))
    rt = make_runtime(database_url=database_url, **sites.urls())
    add_feed(rt, "api", "arxiv_api", interval_minutes=720, params={"query": "cat:cs.CL", "page_size": "20"})
    look_again(rt)
    return rt


def look_again(rt: Runtime) -> None:
    """Read Tuesday once; the next look of the feed's own is half a day off, unless this one brings it forward."""
    (feed,) = all_rows(rt, Feed)
    with rt.writing() as session:
        feeds.update_feed(session, feed.id, next_check_at=rt.now() + timedelta(hours=12))
    rt.add_jobs([page_job(feed.id, feed.name, slot=rt.now().isoformat(), batch=DAY)])
    drain.run_until_idle(rt, stages=("fetch", "parse"), ticking=False)


def waited_for(rt: Runtime) -> list[str]:
    with rt.reading() as session:
        seen = polls.look(session, now=rt.now())
    return worth_waiting(seen, ["api"], due_at=rt.now(), until=rt.now() + timedelta(minutes=90))


def shown(rt: Runtime) -> str:
    """The state that readers and operators are told."""
    with rt.reading() as session:
        return views.source_status(session, feeds.get(session, "api"), since=rt.now() - timedelta(days=1)).state


def test_nobody_waits_for_an_accepted_day_and_what_comes_late_is_stored(
    short: Runtime, sites: Sites, clock: Clock
) -> None:
    whole = len(sites.submitted(TUESDAY))
    assert whole > 20
    assert (waited_for(short), shown(short)) == (["api"], "partial")
    (feed,) = all_rows(short, Feed)
    assert feed.next_check_at == short.now() + timedelta(minutes=20)
    operate.accept_batch(short, BOSS, "api", DAY)
    clock.advance(minutes=30)
    look_again(short)
    (row,) = all_rows(short, Batch)
    assert (row.state, row.accepted_by) == ("partial", "boss")
    assert (waited_for(short), shown(short)) == ([], "accepted")
    (feed,) = all_rows(short, Feed)
    assert feed.next_check_at == short.now() + timedelta(hours=12)  # nothing is looked for sooner on its account
    sites.empty_from = None
    clock.advance(minutes=30)
    look_again(short)
    assert len(all_rows(short, Sighting, day=TUESDAY)) == whole
    (row,) = all_rows(short, Batch)
    assert (row.state, row.accepted_by, shown(short)) == ("complete", "boss", "complete")


def test_an_accepted_day_is_waited_for_again_once_that_is_taken_back(short: Runtime) -> None:
    operate.accept_batch(short, BOSS, "api", DAY)
    operate.accept_batch(short, BOSS, "api", DAY, accepted=False)
    assert (waited_for(short), shown(short)) == (["api"], "partial")
    first, second = all_rows(short, Audit)
    assert (first.act, first.subject, first.after) == (
        "batch.accept", f"api {DAY}", {"state": "partial", "accepted_by": "boss"},
    )  # fmt: skip
    assert (second.act, second.before["accepted_by"], second.after["accepted_by"]) == ("batch.reopen", "boss", None)


def test_what_is_complete_or_unheard_of_is_not_accepted(short: Runtime, sites: Sites, clock: Clock) -> None:
    with pytest.raises(NotFound, match="nothing is known of '2020-01-01' of api"):
        operate.accept_batch(short, BOSS, "api", "2020-01-01")
    sites.empty_from = None
    clock.advance(minutes=30)
    look_again(short)
    with pytest.raises(InvalidInput, match="is complete; there is nothing to accept"):
        operate.accept_batch(short, BOSS, "api", DAY)
    assert [act.outcome for act in all_rows(short, Audit)] == ["failed", "failed"]


def test_days_before_an_accepted_one_are_not_asked_for_for_ever(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "daily-papers", history_days=3)
    today = rt.now().date()
    days = [today - timedelta(days=n) for n in (3, 2, 1)]
    with rt.writing() as session:
        for day, state in zip(days, ("complete", "partial", "complete"), strict=True):
            batches.put(session, Batch(feed_id=feed.id or 0, batch=day.isoformat(), state=state, checked_at=rt.now()))

    def settled_until() -> date | None:
        with rt.writing() as session:
            return schedule._complete_until(session, feeds.get(session, "daily-papers"), today)

    assert settled_until() == days[0]
    operate.accept_batch(rt, BOSS, "daily-papers", days[1].isoformat())
    assert settled_until() == days[2]


def test_an_accepted_list_is_not_made_up_another_way(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "arxiv-rss", "arxiv_rss", params={"category": "cs.CL"})
    clock.advance(to=datetime(2026, 12, 3, 12, tzinfo=UTC))
    missed = date(2026, 12, 2)
    with rt.writing() as session:
        batches.put(session, Batch(feed_id=feed.id or 0, batch=missed.isoformat(), state="late", checked_at=rt.now()))
        assert missed in ledger.missed_days(session, feed, now=rt.now(), back=2)
    operate.accept_batch(rt, BOSS, "arxiv-rss", missed.isoformat())
    with rt.reading() as session:
        assert missed not in ledger.missed_days(session, feed, now=rt.now(), back=2)


def test_a_day_is_accepted_on_the_page_and_by_the_api(make_runtime: MakeRuntime, sites: Sites, clock: Clock) -> None:
    clock.advance(to=datetime(2026, 9, 16, 12, tzinfo=UTC))
    rt = make_runtime(admin_password=PASSWORD, **sites.urls())
    add_feed(rt, "api", "arxiv_api", interval_minutes=720, params={"query": "cat:cs.CL", "page_size": "20"})
    look_again(rt)
    site = Site(rt)
    site.login()
    look = site.get("/admin").text
    assert f"Accept {DAY} of api as it is" in look
    assert "1 source is not complete yet" in look
    answer = site.post("/admin/feeds/api/accept", {"batch": DAY}, csrf_from="/admin")
    assert answer.status_code == 303
    assert "not complete yet" not in site.get("/admin").text
    page = site.get("/admin/feeds/api").text
    assert 'class="c-accepted"' in page
    assert 'title="accepted by ' in page
    assert f"Wait for {DAY} again" in page
    taken_back = {"batch": DAY, "step": "reopen"}
    assert site.post("/admin/feeds/api/accept", taken_back, csrf_from="/admin").status_code == 303
    assert "not complete yet" in site.get("/admin").text
    token = site.token("operate")
    asked = {"batch": DAY}
    assert site.ask("POST", "/feeds/api/accept", site.token("read"), json=asked).status_code == 403
    assert site.ask("POST", "/feeds/api/accept", token, json=asked).json()["done"] is True
    (told,) = site.ask("GET", "/batches", token).json()["items"]
    assert (told["state"], told["accepted_by"]) == ("partial", "token:a-operate-program")
    assert site.ask("POST", "/feeds/api/accept", token, json={"batch": "2020-01-01"}).status_code == 404
    assert "taken as it is" in site.get("/").text


def test_a_day_is_accepted_by_the_command(broadsheet: Broadsheet, home: object) -> None:
    broadsheet("feeds", "list", code=0)
    engine = make_engine(f"sqlite:///{home}/broadsheet.db")
    with writing(engine) as session:
        feed = feeds.get(session, "daily-papers")
        batches.put(
            session,
            Batch(feed_id=feed.id or 0, batch=DAY, state="partial", checked_at=datetime(2026, 9, 16, tzinfo=UTC)),
        )
    engine.dispose()
    said = broadsheet.json("feeds", "accept", "daily-papers", DAY)
    assert (said["state"], bool(said["accepted_by"])) == ("partial", True)
    assert "waited for again" in broadsheet("feeds", "accept", "daily-papers", DAY, "--undo", code=0).out
    assert "nothing is known" in broadsheet("feeds", "accept", "daily-papers", "2020-01-01", code=1).err
