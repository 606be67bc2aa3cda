"""Stages that rest: nobody takes their jobs, nothing is lost, nobody forgets."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.domain.jobs import STAGE_OF, STAGES, NewJob
from services.domain.users import Actor
from services.pipeline import drain, operate, schedule
from services.runtime import Runtime
from services.storage import jobs, reports
from services.storage.tables import Audit, Job, Notice, PausedStage
from tests.conftest import MakeRuntime
from tests.factories import all_rows
from tests.fakes import Clock
from tests.integration.command import Broadsheet
from tests.integration.test_web_admin import fill
from tests.integration.web_site import PASSWORD, Site

BOSS = Actor(name="boss", role="admin", origin="command")
ONE_OF_EACH = {STAGE_OF[kind]: kind for kind in ("fetch_feed", "parse_document", "enrich_repos", "send_deliveries")}


def taken(rt: Runtime) -> list[str]:
    """The stages of all jobs that can be claimed now."""
    found = []
    while (claim := drain.claim_next(rt)) is not None:
        found.append(claim.stage)
    return sorted(found)


@pytest.mark.parametrize("stage", STAGES)
def test_jobs_of_a_paused_stage_wait_and_all_others_are_taken(rt: Runtime, stage: str) -> None:
    rt.add_jobs([NewJob(kind=kind, key="one") for kind in ONE_OF_EACH.values()])
    assert operate.pause_stage(rt, BOSS, stage) is True
    assert operate.pause_stage(rt, BOSS, stage) is False
    assert taken(rt) == sorted(set(STAGES) - {stage})
    (waiting,) = all_rows(rt, Job, state="ready")
    assert drain.claim_next(rt, job_id=waiting.id) is None  # a hint is no way around it
    with rt.reading() as session:
        assert jobs.due(session, now=rt.now()) == []
        assert jobs.next_due_at(session) is None
        assert reports.overdue(session, since=rt.now() + timedelta(hours=1)) == 3  # those taken, once their leases end
    assert operate.resume_stage(rt, BOSS, stage) is True
    assert operate.resume_stage(rt, BOSS, stage) is False
    assert taken(rt) == [stage]
    acts = [(act.act, act.subject, act.outcome) for act in all_rows(rt, Audit)]
    assert acts == [("stage.pause", stage, "done")] * 2 + [("stage.resume", stage, "done")] * 2


def test_a_lost_job_of_a_paused_stage_is_not_taken_over(rt: Runtime, clock: Clock) -> None:
    rt.add_jobs([NewJob(kind="fetch_feed", key="one")])
    claim = drain.claim_next(rt)
    assert claim is not None
    operate.pause_stage(rt, BOSS, "fetch")
    with rt.reading() as session:
        jobs.check(session, claim)  # what runs is finished
    clock.advance(seconds=rt.settings.lease_s + 1)
    assert taken(rt) == []
    assert drain.claim_next(rt, job_id=claim.job_id) is None
    operate.resume_stage(rt, BOSS, "fetch")
    assert taken(rt) == ["fetch"]


def test_what_operators_are_told_leaves_while_the_notify_stage_is_paused(
    make_runtime: MakeRuntime, database_url: str
) -> None:
    rt = make_runtime(alert_to="ops@example.org", database_url=database_url)
    rt.add_jobs([NewJob(kind="send_deliveries", key="edition 1", payload={"edition_id": 1}, priority=-1)])
    operate.pause_stage(rt, BOSS, "notify")
    with rt.reading() as session:
        assert reports.overdue(session, since=rt.now() + timedelta(hours=1)) == 1
        (hint,) = jobs.due(session, now=rt.now())
    told = drain.claim_next(rt)
    assert told is not None
    assert (told.kind, told.job_id) == ("send_notice", hint.job_id)
    assert drain.claim_next(rt) is None  # the digests wait
    assert drain.run_job(rt, told) == "done"
    (mail,) = rt.settings.outbox.glob("*.eml")
    assert "notify is paused" in mail.read_text()


def test_work_ends_where_all_that_is_left_is_paused(rt: Runtime) -> None:
    rt.add_jobs([NewJob(kind="fetch_feed", key="one"), NewJob(kind="housekeeping", key="h")])
    operate.pause_stage(rt, BOSS, "fetch")
    assert drain.run_until_idle(rt, ticking=False) == {"done": 1}


def test_who_looks_after_it_hears_of_a_pause_at_once_and_every_day(rt: Runtime, clock: Clock) -> None:
    def told() -> int:
        return sum("boss paused parse on 2026-11-25" in notice.text for notice in all_rows(rt, Notice))

    operate.pause_stage(rt, BOSS, "parse")
    assert told() == 1
    clock.advance(hours=23)
    schedule.tick(rt)
    assert told() == 1
    for days in (2, 3):
        clock.advance(hours=24)
        schedule.tick(rt)
        schedule.tick(rt)
        assert told() == days
    operate.resume_stage(rt, BOSS, "parse")
    clock.advance(hours=48)
    schedule.tick(rt)
    assert told() == 3


def test_a_stage_is_paused_on_the_page_and_seen_to_be(make_runtime: MakeRuntime) -> None:
    site = Site(make_runtime(admin_password=PASSWORD))
    fill(site.rt)
    site.login()
    assert site.post("/admin/stages/fetch/pause", csrf_from="/admin").status_code == 303
    page = site.get("/admin").text
    assert "Fetch is paused by " in page
    assert "Resume the stage fetch" in page
    assert 'broadsheet_stage_paused{stage="fetch"} 1.0' in site.get("/metrics").text
    assert site.post("/admin/stages/fetch/resume", csrf_from="/admin").status_code == 303
    assert "Pause the stage fetch" in site.get("/admin").text
    assert all_rows(site.rt, PausedStage) == []


def test_a_stage_is_paused_by_the_api(make_runtime: MakeRuntime) -> None:
    site = Site(make_runtime(admin_password=PASSWORD))
    token = site.token("operate")

    def resting() -> list[str]:
        rows = site.ask("GET", "/stages", token).json()["items"]
        assert [row["stage"] for row in rows] == list(STAGES)
        return [row["stage"] for row in rows if row["paused_at"] and row["paused_by"]]

    assert site.ask("POST", "/stages/enrich/pause", site.token("read")).status_code == 403
    assert site.ask("POST", "/stages/enrich/pause", token).json() == {"done": True, "about": "enrich"}
    assert site.ask("POST", "/stages/enrich/pause", token).json()["done"] is False
    assert resting() == ["enrich"]
    assert site.ask("POST", "/stages/enrich/resume", token).json()["done"] is True
    assert resting() == []


def test_a_stage_is_paused_by_the_command(broadsheet: Broadsheet) -> None:
    assert broadsheet.json("runs", "pause", "fetch") == {"stage": "fetch", "paused": True, "changed": True}
    assert "was paused already" in broadsheet("runs", "pause", "fetch").out
    ended = broadsheet("run", "--once")
    assert "broadsheet runs resume fetch" in ended.out + ended.err
    assert broadsheet.json("runs", "resume", "fetch") == {"stage": "fetch", "paused": False, "changed": True}
    assert "none of fetch" in broadsheet("runs", "pause", "nowhere", code=2).err
