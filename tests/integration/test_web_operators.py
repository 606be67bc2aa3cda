"""What the operators' pages answer: the eight questions, runs found by what they are about, who sees what."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col

from services.domain.jobs import NewJob
from services.domain.users import Actor
from services.pipeline import accounts, operate
from services.runtime import Runtime
from services.storage import activity, batches, jobs, service
from services.storage.tables import Batch, Delivery, Feed, Fetch, Heartbeat, Job
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows
from tests.integration.test_web_admin import bury, fill
from tests.integration.web_site import PASSWORD, Elements, Site
from workers.web import admin, admin_readers, charts
from workers.web.look import calendar, look

BOSS = Actor(name="boss", role="admin", origin="command")
ADAS = "a lantern in the fog"


def at_this_machine(rt: Runtime) -> Site:
    """The administrator at the desk, with the password made at the first start."""
    site = Site(rt, client="127.0.0.1", base_url="http://127.0.0.1")
    site.login((rt.settings.home / "admin_password").read_text().strip())
    return site


@pytest.fixture
def here(make_runtime: MakeRuntime) -> Site:
    """Something of everything, a viewer, and the administrator at the desk."""
    rt = make_runtime(admin_password=PASSWORD)
    accounts.add_user(rt, BOSS, "ada", ADAS, "viewer")
    fill(rt)
    site = Site(rt)
    site.login()
    return site


# -- runs by what they are about -------------------------------------------------------------------------------


def _kinds(site: Site, query: str) -> list[str]:
    """The kinds of the runs a filter leaves, newest first."""
    ids = [int(part.split('"')[0]) for part in site.get(f"/admin/runs?{query}").text.split('<a href="/admin/runs/')[1:]]
    return [all_rows(site.rt, Job, id=one)[0].kind for one in ids]


def test_the_ledger_leads_to_what_was_given_up_and_what_waits(here: Site) -> None:
    page = here.get("/admin/runs").text
    assert '<a href="/admin/runs?state=dead">given up <span class="n">1</span></a>' in page
    assert '<a href="/admin/runs?state=ready">waiting <span class="n">1</span></a>' in page
    assert 'href="/admin/runs?state=dead" aria-current="page"' in here.get("/admin/runs?state=dead").text


def _past(rt: Runtime) -> None:
    """A fetch and what was read from it, beside the edition and the lost fetch of `fill`."""
    fetch_id = all_rows(rt, Fetch)[0].id
    asked = {"feed_id": 1, "slot": "s1", "batch": "2026-11-24", "cursor": ""}
    hints = rt.add_jobs([NewJob(kind="fetch_feed", key="daily-papers s1 2026-11-24", payload=asked)])
    with rt.writing() as session:
        parse = NewJob(kind="parse_document", key=f"fetch {fetch_id} try 1", payload={"fetch_id": fetch_id})
        jobs.add(session, [parse], now=rt.now(), cause_id=hints[0].job_id)
    rt.add_jobs([NewJob(kind="fetch_feed", key="daily-papers-2 s1", payload={}), NewJob(kind="housekeeping", key="h")])


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("feed=daily-papers", {"fetch_feed", "parse_document"}),
        ("feed=unheard-of", set()),
        ("reader=1", {"compose_edition", "send_deliveries"}),
        ("reader=ada@example.org", {"compose_edition", "send_deliveries"}),
        ("reader=nobody@example.org", set()),
        ("paper=arxiv:2611.90001", {"parse_document", "fetch_feed", "compose_edition", "send_deliveries"}),
        ("paper=arxiv:9999.00001", set()),
        ("paper=arxiv:2611.90001&stage=notify", {"compose_edition", "send_deliveries"}),
        ("text=subscription_id", {"compose_edition"}),
    ],
)
def test_runs_are_found_by_what_they_are_about(rt: Runtime, query: str, kinds: set[str]) -> None:
    fill(rt)
    _past(rt)
    site = at_this_machine(rt)
    found = _kinds(site, query)
    assert set(found) == kinds
    if query == "feed=daily-papers":
        assert len(found) == 4  # the lost one with its own parse, and neither of another feed's


@pytest.mark.parametrize("path", ["subscriptions", "suppressions"])
def test_what_no_database_takes_finds_nothing(rt: Runtime, path: str) -> None:
    fill(rt)
    operate.suppress(rt, BOSS, "eve@example.org", detail="asked")
    site = at_this_machine(rt)
    found = site.get(f"/admin/{path}?text=%00example%00.org%20")
    assert (found.status_code, "@example.org" in found.text) == (200, True)
    assert 'value="example.org"' in found.text
    assert site.get("/admin/failures?signature=%00").status_code == 404
    assert site.post("/admin/failures/redrive", {"signature": "\0"}, csrf_from="/admin").status_code == 404


def test_a_subscription_is_removed_by_two_clicks(here: Site) -> None:
    page = here.get("/admin/subscriptions").text
    (folded,) = re.findall(r"<details><summary[^>]*>Remove</summary>(.*?)</details>", page, re.DOTALL)
    assert 'action="/admin/subscriptions/1/remove"' in folded
    assert page.count('/remove"') == 1


def test_a_run_tells_the_answer_it_got_and_how_long_it_waited(here: Site) -> None:
    _past(here.rt)
    run = all_rows(here.rt, Job, kind="parse_document", key="fetch 1 try 1")[0]
    page = here.get(f"/admin/runs/{run.id}").text
    assert "<dt>HTTP</dt>" in page
    assert "3 entries, 2 new" in page
    lost = all_rows(here.rt, Job, state="dead")[0]
    assert "before the first try" in here.get(f"/admin/runs/{lost.id}").text


# -- what a viewer sees ----------------------------------------------------------------------------------------


def test_people_read_of_runs_given_up_and_programs_of_dead_ones(here: Site) -> None:
    for path in ("/admin", "/admin/runs?state=dead", f"/admin/runs/{all_rows(here.rt, Job, state='dead')[0].id}"):
        words = Elements(here.get(path).text).text
        assert "given up" in words.lower(), path
        assert "dead" not in words.lower().replace("deadline", ""), path
    assert here.get("/api/v1/runs?state=dead").json()["items"][0]["state"] == "dead"


def test_a_viewer_sees_no_address_on_any_page_and_by_no_program(here: Site) -> None:
    with here.rt.writing() as session:
        delivery = session.get(Delivery, 1)
        assert delivery is not None
        delivery.state, delivery.detail = "failed", "<ada@example.org>: nobody of that name"
        session.add(delivery)
    operate.suppress(here.rt, BOSS, "eve@example.org", detail="eve@example.org asked for it")
    viewer = Site(here.rt)
    viewer.login(ADAS, "ada")
    for path in ("", "/deliveries", "/schedule", "/subscriptions", "/suppressions", "/runs?reader=ada@example.org"):
        assert "@example.org" in here.get(f"/admin{path}").text.replace("mail@example.org", ""), path
        seen = viewer.get(f"/admin{path}").text
        assert "ada@example.org" not in seen, path
        assert "eve@example.org" not in seen, path
    assert "a…@example.org" in viewer.get("/admin/deliveries").text
    token = here.token("read")
    for path in ("/deliveries", "/deliveries/1", "/subscriptions", "/subscriptions/1", "/suppressions"):
        answer = here.ask("GET", path, token)
        assert answer.status_code == 200
        assert "ada@example.org" not in answer.text, path
        assert "eve@example.org" not in answer.text, path
    assert "ada@example.org" in here.ask("GET", "/deliveries", here.token("operate")).text


def test_suppressed_addresses_are_paged_and_found_by_a_part(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_readers, "PER_PAGE", 2)
    monkeypatch.setattr(admin, "PER_PAGE", 2)
    for number in range(5):
        operate.suppress(here.rt, BOSS, f"reader{number}@example.org", detail=f"asked by letter {number}")
    operate.suppress(here.rt, BOSS, "webhook:https://hooks.example/secret", detail="gone")

    def listed(path: str) -> list[str]:
        return re.findall(r'name="key" value="([^"]+)"', here.get(path).text)

    assert "Suppressed addresses (6)" in here.get("/admin/subscriptions").text
    seen, path = [], "/admin/suppressions?text=READER"
    while path:
        seen += listed(path)
        following = [a["href"] for a in Elements(here.get(path).text).named("a") if a.get("rel") == "next"]
        path = following[0] or "" if following else ""
    assert seen == [f"email:reader{number}@example.org" for number in (4, 3, 2, 1, 0)]
    assert listed("/admin/suppressions?text=letter+2") == ["email:reader2@example.org"]
    assert len(listed("/admin/suppressions?text=by+hand")) == 2
    assert len(listed("/admin/suppressions?text=https://hooks.example/secret")) == 1
    assert listed("/admin/suppressions?text=hooks.example") == []
    assert "None fits" in here.get("/admin/suppressions?text=nobody").text
    token = here.token("read")
    page = here.ask("GET", "/suppressions?limit=4", token).json()
    rest = here.ask("GET", f"/suppressions?limit=4&cursor={page['next']}", token).json()
    assert (len(page["items"]), len(rest["items"]), rest["next"]) == (4, 2, None)
    assert here.ask("GET", "/suppressions?text=reader3", token).json()["items"] == []  # a viewer's program
    assert len(here.ask("GET", "/suppressions?text=reader3", here.token("operate")).json()["items"]) == 1


def test_a_viewer_finds_nobody_by_an_address(here: Site) -> None:
    viewer = Site(here.rt)
    viewer.login(ADAS, "ada")
    shown = "a…@example.org"
    assert shown in viewer.get("/admin/subscriptions").text
    assert shown not in viewer.get("/admin/subscriptions?text=ada@example").text
    assert "ada@example.org" in here.get("/admin/subscriptions?text=ada@example").text
    for scope, found in (("read", 0), ("operate", 1)):
        answer = here.ask("GET", "/subscriptions?text=ada@example", here.token(scope)).json()
        assert len(answer["items"]) == found, scope


def test_a_viewer_finds_no_run_by_an_address_and_reads_none_in_an_error(here: Site) -> None:
    refused, said = "eve@example.org", "550 <eve@example.org> is unknown"
    here.rt.add_jobs([NewJob(kind="send_deliveries", key="edition 77")])
    with here.rt.writing() as session:
        claim = jobs.claim(session, now=here.rt.now(), lease=timedelta(minutes=5), stages=["notify"])
        assert claim is not None
        jobs.bury(session, claim, now=here.rt.now(), error=said, signature="refused", traceback=f"Traceback: {said}")
    viewer = Site(here.rt)
    viewer.login(ADAS, "ada")
    one = f"/admin/runs/{claim.job_id}"
    assert one in here.get(f"/admin/runs?text={refused}").text
    assert one not in viewer.get(f"/admin/runs?text={refused}").text
    assert one in viewer.get("/admin/runs?text=edition 77").text
    assert one in viewer.get("/admin/runs?text=send_deliv").text
    for path in ("", "/runs", "/failures?signature=refused", f"/runs/{claim.job_id}"):
        assert refused not in viewer.get(f"/admin{path}").text, path
    assert "e…@example.org" in viewer.get(one).text
    for scope, found in (("read", []), ("operate", [claim.job_id])):
        token = here.token(scope)
        items = here.ask("GET", f"/runs?text={refused}", token).json()["items"]
        assert [item["id"] for item in items] == found, scope
        for path in ("/runs", f"/runs/{claim.job_id}", "/failures"):
            assert (refused in here.ask("GET", path, token).text) == (scope == "operate"), (scope, path)


# -- one look --------------------------------------------------------------------------------------------------


def _needs(rt: Runtime) -> list[str]:
    with rt.reading() as session:
        return [need.text for need in look(rt, session).needs]


def test_the_page_answers_where_the_data_folder_is_not_there_yet(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    make_runtime()
    elsewhere = f"sqlite:///{tmp_path / 'home' / 'broadsheet.db'}"
    site = Site(make_runtime(admin_password=PASSWORD, database_url=elsewhere, home=tmp_path / "not" / "there"))
    site.login()
    page = site.get("/admin")
    assert page.status_code == 200
    assert "GB free" in page.text
    with site.rt.reading() as session:
        assert 0 < next(limit.used for limit in look(site.rt, session).limits if limit.name == "disk") < 1


def test_a_schedule_that_lives_does_not_pass_for_a_worker(here: Site) -> None:
    rt = here.rt
    with rt.writing() as session:
        session.execute(update(Heartbeat).values(seen_at=rt.now() - timedelta(minutes=5)))
        alive = {
            "role": "beat",
            "name": "lab:8:beat",
            "host": "lab",
            "pid": 8,
            "version": "0.1.0",
            "busy": 0,
            "slots": 0,
        }
        service.beat(session, {**alive, "started_at": rt.now(), "seen_at": rt.now(), "memory_mb": 60.0})
        late = NewJob(kind="fetch_feed", key="late", due_at=rt.now() - timedelta(minutes=5))
        jobs.add(session, [late], now=rt.now())
    assert "no worker is alive" in _needs(rt)
    assert here.get("/healthz").status_code == 503
    assert "broadsheet_workers_alive 0.0" in here.get("/metrics").text


def test_a_process_that_another_has_followed_on_its_host_is_not_called_silent(here: Site) -> None:
    rt, now = here.rt, here.rt.now()
    with rt.writing() as session:
        session.execute(update(Heartbeat).values(seen_at=now - timedelta(minutes=5)))
        one = {"version": "0.1.0", "busy": 0, "slots": 4, "started_at": now, "seen_at": now, "memory_mb": 60.0}
        for host, expected in (("elsewhere", [(7, False)]), ("lab", [(9, True)])):
            service.beat(session, {**one, "role": "embedded", "name": f"{host}:9:embedded", "host": host, "pid": 9})
            shown = [(beat.pid, alive) for beat, alive in look(rt, session).workers if beat.host == "lab"]
            assert shown == expected


def _workers_seen(rt: Runtime, *spans: tuple[int, int]) -> list[tuple[int, bool]]:
    """What is shown of processes of one role and host, each given by the seconds since its start and last sign."""
    now = rt.now()
    with rt.writing() as session:
        for pid, (started, seen) in enumerate(spans, 1):
            service.beat(
                session,
                {"role": "worker", "name": f"lab:{pid}:worker", "host": "lab", "pid": pid, "version": "0.1.0",
                 "busy": 0, "slots": 4, "started_at": now - timedelta(seconds=started),
                 "seen_at": now - timedelta(seconds=seen), "memory_mb": 60.0},
            )  # fmt: skip
        return sorted((beat.pid, alive) for beat, alive in look(rt, session).workers if beat.role == "worker")


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(80, 60)], [(1, True)]),  # it stopped soon after its start: it has not followed itself
        ([(80, 60), (80, 0)], [(1, True), (2, True)]),  # nor has one that began with it
        ([(80, 60), (55, 0)], [(2, True)]),
        ([(900, 400), (900, 300), (200, 0)], [(1, False), (3, True)]),  # one restart stands for one that is gone
        ([(900, 400), (900, 300), (200, 0), (190, 0)], [(3, True), (4, True)]),
        ([(900, 300), (320, 0)], [(2, True)]),  # begun before the other had ended
    ],
)
def test_each_process_stands_for_one_that_is_gone(
    rt: Runtime, spans: list[tuple[int, int]], expected: list[tuple[int, bool]]
) -> None:
    assert _workers_seen(rt, *spans) == expected


def test_feeds_in_trouble_come_first(here: Site) -> None:
    add_feed(here.rt, name="zz-lab")
    with here.rt.writing() as session:
        session.execute(update(Feed).values(last_success_at=here.rt.now()))
        long_ago = here.rt.now() - timedelta(days=90)
        session.execute(update(Feed).where(col(Feed.name) == "zz-lab").values(last_success_at=long_ago))
        assert look(here.rt, session).sources[0].feed.name == "zz-lab"


def test_a_schedule_that_stands_still_wants_a_person(here: Site) -> None:
    rt = here.rt
    with rt.writing() as session:
        service.ensure_slots(session, {"housekeeping": timedelta(hours=6)}, now=rt.now() - timedelta(minutes=11))
    assert "the schedule stands still: housekeeping should have run" in _needs(rt)
    operate.pause_slot(rt, BOSS, "housekeeping")
    assert not any("stands still" in need for need in _needs(rt))


def test_each_question_is_answered_in_a_few_words_and_changes_are_told(here: Site) -> None:
    operate.pause_feed(here.rt, BOSS, "daily-papers")
    page = here.get("/admin").text
    for words in ("none is polled", "1 of 1 accepted", "1 due, 0 overdue", "1 of 1 alive", "1 given up", "most used: "):
        assert f'<span class="answer">{words}' in page, words
    assert 'pause feed <span class="key">daily-papers</span>' in page
    viewer = Site(here.rt)
    viewer.login(ADAS, "ada")
    assert "pause feed" in viewer.get("/admin").text
    assert 'pause feed <span class="key">' not in viewer.get("/admin").text


def test_work_is_counted_by_the_hour_on_both_databases(rt: Runtime) -> None:
    add_feed(rt, "daily-papers")
    bury(rt, "lost")
    rt.add_jobs([NewJob(kind="housekeeping", key="h")])
    with rt.writing() as session:
        claim = jobs.claim(session, now=rt.now(), lease=timedelta(minutes=5), worker="lab:7", stages=["enrich"])
        assert claim is not None
        jobs.finish(session, claim, now=rt.now())
        hours = activity.hours(session, now=rt.now(), count=24)
    assert [(hour.good, hour.bad) for hour in hours[:-1]] == [(0, 0)] * 23
    assert (hours[-1].good, hours[-1].bad) == (1, 1)
    assert hours[0].began_at == datetime(2026, 11, 24, 10, tzinfo=UTC)
    drawn = str(charts.hours([(h.began_at, h.good, h.bad) for h in hours], [rt.now()]))
    assert "The last 24 hours: 1 runs done, 1 tries failed, 1 changes" in drawn
    assert drawn.count("<rect") == 72


@pytest.mark.parametrize("state", ["complete", "partial", "late", "stale", "failed", "quiet"])
def test_a_day_in_the_calendar_is_what_its_batch_came_to(rt: Runtime, state: str) -> None:
    feed = add_feed(rt, "daily-papers")
    today = date(2026, 11, 25)
    with rt.writing() as session:
        batches.put(session, Batch(feed_id=feed.id or 0, batch="2026-11-20", state=state, checked_at=rt.now()))
        weeks = calendar(session, feed, today=today)
    days = {day.on: day for week in weeks for day in week}
    assert days[date(2026, 11, 20)].state == state
    assert days[date(2026, 11, 19)].state == "none"
    assert not days[date(2026, 11, 26)].inside
    assert all(len(week) == 7 for week in weeks)
