"""The API: every act an operator has, pages by cursor, problems with what to do, nothing unknown taken."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.domain.jobs import NewJob
from services.pipeline.bundle import bundle_name
from services.pipeline.subscribe import subscribe
from services.storage import documents, feeds, jobs, service
from services.storage.tables import Audit, Batch, Duplicate, Event, Job, Slot
from tests import scan
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, entry, store
from tests.integration.test_web_admin import bury, fill
from tests.integration.web_site import PASSWORD, Site
from workers.web import access
from workers.web.api.shape import MEDIA_TYPE


@pytest.fixture
def site(make_runtime: MakeRuntime, database_url: str) -> Site:
    """Something of everything."""
    rt = make_runtime(database_url=database_url, admin_password=PASSWORD)
    fill(rt)
    return Site(rt)


@pytest.fixture
def token(site: Site) -> str:
    """A token that may act."""
    return site.token("operate")


def items(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


# -- shape -----------------------------------------------------------------------------------------------------


def test_the_description_names_every_route_and_who_may(site: Site) -> None:
    told = site.browser.get("/openapi.json").json()
    for route, role in access.NEEDED.items():
        method, path = route.split()
        if not path.startswith("/api/"):
            continue
        operation = told["paths"][path.replace(":path}", "}")][method.lower()]
        assert operation["summary"], route
        assert ("security" in operation) == (role != access.PUBLIC), route
        assert "422" in operation["responses"], route


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/runs/999", None, 404), ("GET", "/runs/x", None, 422), ("GET", "/runs/0", None, 422),
        ("GET", "/runs/99999999999999999999", None, 422), ("GET", "/nowhere", None, 404),
        ("PUT", "/runs", None, 405), ("GET", "/runs?stat=dead", None, 422), ("GET", "/runs?state=lost", None, 422),
        ("GET", "/papers?q=title:(", None, 422), ("GET", "/papers/2611.99999", None, 404),
        ("POST", "/feeds/nowhere/pause", None, 404), ("POST", "/slots/nowhere/run", None, 404),
        ("POST", "/stages/nowhere/pause", None, 404), ("POST", "/stages/nowhere/resume", None, 404),
        ("POST", "/editions/999/resend", None, 404), ("POST", "/suppressions/lift", {"key": "email:a@b.example"}, 404),
        ("POST", "/feeds", {"url": "ftp://x", "check": False}, 422),
        ("POST", "/feeds", {"uri": "https://a.example"}, 422),
        ("POST", "/subscriptions", {"to": "ada@example.org", "state": "active"}, 422),
        ("POST", "/subscriptions", {"to": "ada@example.org", "timezone": "Moon"}, 422),
        ("POST", "/failures/redrive", {"signature": "unheard of"}, 404),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_as_a_problem_with_what_to_do(
    make_runtime: MakeRuntime, method: str, path: str, body: Any, status: int
) -> None:
    site = Site(make_runtime(admin_password=PASSWORD))
    answer = site.ask(method, path, site.token("operate"), json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    told = answer.json()
    assert told["status"] == status
    assert told["detail"]
    assert told["help"]


@pytest.mark.parametrize(
    "path", ["/runs", "/deliveries", "/audit", "/subscriptions", "/events", "/batches", "/duplicates"]
)
def test_pages_go_on_by_cursor_and_miss_nothing(site: Site, path: str) -> None:
    rt = site.rt
    rt.add_jobs([NewJob(kind="housekeeping", key=f"h{n}") for n in range(7)])
    with rt.writing() as session:
        for n in range(7):
            subscribe(rt, session, to="ada@example.org", name=f"s{n}", confirmed=True)
            session.add(Event(paper_id=1, kind="withdrawn", key=str(n), at=rt.now()))
            session.add(Batch(feed_id=1, batch=f"2026-11-0{n + 1}", state="complete", checked_at=rt.now()))
            session.add(
                Duplicate(paper_id=1, other_id=2 if n == 0 else 1, score=0.9, reason="alike", found_at=rt.now())
                if n == 0 else Audit(at=rt.now(), who="a", role="admin", origin="web", act="x")
            )  # fmt: skip
    token = site.token("admin")
    seen: list[int] = []
    cursor = ""
    while True:
        answer = site.ask("GET", f"{path}?limit=2{cursor}", token).json()
        seen += [item["id"] for item in answer["items"]]
        assert len(answer["items"]) <= 2
        if answer["next"] is None:
            break
        cursor = f"&cursor={answer['next']}"
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == len(items(site.ask("GET", f"{path}?limit=500", token)))
    assert len(seen) >= (7 if path not in {"/deliveries", "/duplicates"} else 1)


# -- feeds -----------------------------------------------------------------------------------------------------


def test_a_feed_is_added_fetched_paused_resumed_and_removed(site: Site, token: str) -> None:
    lab = {"url": "https://lab.example/feed.xml", "name": "lab", "check": False}
    answer = site.ask("POST", "/feeds", token, json=lab)
    assert answer.status_code == 201, answer.text
    assert answer.json()["kind"] == "rss"
    again = site.ask("POST", "/feeds", token, json={**lab, "name": "b"})
    assert again.status_code == 422
    assert "lab already" in again.json()["detail"]
    assert site.ask("POST", "/feeds/lab/fetch", token).json() == {"done": True, "about": "lab"}
    assert site.ask("POST", "/feeds/lab/pause", token).status_code == 200
    assert site.ask("GET", "/feeds/lab", token).json()["paused"] is True
    assert site.ask("POST", "/feeds/lab/resume", token).status_code == 200
    assert site.ask("DELETE", "/feeds/lab", token).status_code == 200
    assert site.ask("GET", "/feeds/lab", token).json()["retired"] is True
    assert [line.act for line in all_rows(site.rt, Audit) if line.subject == "lab"] == [
        "feed.add", "feed.fetch", "feed.pause", "feed.resume", "feed.remove",
    ]  # fmt: skip


# -- runs ------------------------------------------------------------------------------------------------------


def test_what_was_given_up_is_tried_again_first_counted_then_one_then_the_rest(site: Site, token: str) -> None:
    rt = site.rt
    for n in range(3):
        bury(rt, f"daily-papers more {n}")
    (group,) = items(site.ask("GET", "/failures", token))
    assert (group["dead"], group["trying"], group["solved"]) == (4, 0, 0)
    order = {"signature": group["signature"]}
    counted = site.ask("POST", "/failures/redrive", token, json=order).json()
    assert (len(counted["dead"]), counted["retried"]) == (4, [])
    assert len(all_rows(rt, Job, state="dead")) == 4

    unproved = site.ask("POST", "/failures/redrive", token, json={**order, "step": "rest"})
    assert unproved.status_code == 422
    (one,) = site.ask("POST", "/failures/redrive", token, json={**order, "step": "one"}).json()["retried"]
    rest = {**order, "step": "rest", "proof": one}
    assert "has not come right" in site.ask("POST", "/failures/redrive", token, json=rest).json()["detail"]
    done = next(job.id for job in all_rows(rt, Job, state="done"))
    assert site.ask("POST", "/failures/redrive", token, json={**rest, "proof": done}).status_code == 422
    assert len(all_rows(rt, Job, state="dead")) == 3

    with rt.writing() as session:
        claim = jobs.claim(session, now=rt.now(), lease=timedelta(minutes=5), job_id=one)
        assert claim is not None
        jobs.finish(session, claim, now=rt.now())
    (group,) = items(site.ask("GET", "/failures", token))
    assert (group["dead"], group["trying"], group["solved"]) == (3, 0, 1)
    assert len(site.ask("POST", "/failures/redrive", token, json=rest).json()["retried"]) == 3
    assert all_rows(rt, Job, state="dead") == []


def test_the_rest_goes_at_once_when_a_person_insists(site: Site, token: str) -> None:
    bury(site.rt, "daily-papers more")
    order = {"signature": "UpstreamRejected 404: gone", "step": "rest", "force": True}
    assert len(site.ask("POST", "/failures/redrive", token, json=order).json()["retried"]) == 2


def test_a_run_shows_its_chain_and_is_retried(site: Site, token: str) -> None:
    (dead,) = all_rows(site.rt, Job, state="dead")
    told = site.ask("GET", f"/runs/{dead.id}", token).json()
    assert [one["outcome"] for one in told["tries"]] == ["dead"]
    assert len(told["effects"]) == 1
    assert site.ask("POST", f"/runs/{dead.id}/retry", token).json()["done"] is True
    assert all_rows(site.rt, Job, id=dead.id)[0].state == "ready"


def test_a_bundle_holds_all_of_a_run_and_no_secret(make_runtime: MakeRuntime) -> None:
    rt = make_runtime(
        admin_password=PASSWORD, github_token="canary-github-token",
        smtp_url="smtp://user:canary-smtp-password@127.0.0.1:9",
    )  # fmt: skip
    feed = add_feed(rt, "daily-papers", url="https://user:canary-url@lab.example/feed?api_key=canary-query")
    body = b"<feed>ada@example.org canary-github-token \x00 \xff" + b"x" * 50_000
    with rt.writing() as session:
        document = documents.add(session, body, content_type="text/xml", now=rt.now())
        fetch = feeds.record_fetch(
            session,
            {"feed_id": feed.id, "slot": "s1", "batch": "", "cursor": "", "state": "failed", "document_id": document,
             "url": feed.url, "error": "canary-smtp-password", "fetched_at": rt.now()},
        )  # fmt: skip
    (hint,) = rt.add_jobs([NewJob(kind="parse_document", key="p", payload={"fetch_id": fetch})])
    site = Site(rt)
    answer = site.ask("GET", f"/runs/{hint.job_id}/bundle", site.token("operate"))
    assert answer.headers["content-type"] == "application/zip"
    assert f'filename="{bundle_name(hint.job_id)}"' in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert all("/" not in name and ".." not in name for name in packed.namelist())
        parts = {name: packed.read(name).decode() for name in packed.namelist()}
    everything = "\n".join(parts.values())
    for secret in ("canary", PASSWORD, "ada@example.org", "a key for tests only"):
        assert secret not in everything, secret
    assert json.loads(parts["run.json"])["payload"] == {"fetch_id": fetch}
    about = json.loads(parts["document.json"])
    assert (about["bytes"], about["replay"][:24]) == (len(body), "broadsheet replay daily-")
    assert json.loads(parts["settings.json"])["github_token"] == "set"
    assert len(parts["document.txt"]) < 20_000
    assert site.ask("GET", "/runs/999/bundle", site.token("admin")).status_code == 404


def test_a_bundle_is_made_by_command_into_a_folder(broadsheet: Any, tmp_path: Path) -> None:
    broadsheet("feeds", "add", "https://lab.example/feed.xml", "--no-check", "--name", "lab", code=0)
    broadsheet("feeds", "fetch", "lab")
    run = broadsheet.json("runs", "list")[0]["id"]
    told = broadsheet.json("runs", "bundle", run, "--to", tmp_path)
    assert Path(told["file"]) == tmp_path / f"broadsheet-run-{run}.zip"
    assert zipfile.is_zipfile(told["file"])
    assert broadsheet("runs", "bundle", "../1").code == 2
    assert broadsheet("runs", "bundle", "999", "--to", tmp_path).code == 1
    assert len(list(tmp_path.glob("*.zip"))) == 1


# -- the rest --------------------------------------------------------------------------------------------------


def test_a_subscription_lives_its_life(site: Site, token: str) -> None:
    wish: dict[str, Any] = {"to": "grace@example.org", "query": "cat:cs.CL", "timezone": "Europe/Berlin", "at": "07:30"}
    assert site.ask("POST", "/subscriptions", token, json={**wish, "ranking": "best"}).status_code == 422
    plain = site.ask("POST", "/subscriptions", token, json=wish).json()
    assert (plain["ranking"], plain["news_alone"]) == ("personal", False)
    wish |= {"ranking": "newest", "news_alone": True}
    made = site.ask("POST", "/subscriptions", token, json=wish).json()
    assert (made["id"], made["ranking"], made["news_alone"]) == (plain["id"], "newest", True)
    assert (made["state"], made["subscriber_state"], made["at"]) == ("active", "pending", "07:30")
    base = f"/subscriptions/{made['id']}"
    assert site.ask("POST", f"{base}/confirm", token).json()["subscriber_state"] == "active"
    until = (site.rt.now().date() + timedelta(days=9)).isoformat()
    assert site.ask("POST", f"{base}/pause", token, json={"until": until}).json()["paused_until"] == until
    assert site.ask("POST", f"{base}/pause", token, json={"until": "2020-01-01"}).status_code == 422
    assert site.ask("POST", f"{base}/pause", token, json={}).json()["state"] == "paused"
    assert site.ask("POST", f"{base}/resume", token).json()["state"] == "active"
    assert site.ask("DELETE", base, token).json()["state"] == "removed"
    assert site.ask("POST", f"{base}/resume", token).status_code == 422
    assert made["id"] not in [one["id"] for one in items(site.ask("GET", "/subscriptions", token))]


def test_an_address_is_suppressed_and_lifted(site: Site, token: str) -> None:
    key = site.ask("POST", "/suppressions", token, json={"to": "Ada@example.org", "detail": "asked us"}).json()["about"]
    assert [one["key"] for one in items(site.ask("GET", "/suppressions", token))] == [key] == ["email:ada@example.org"]
    site.login()
    assert "ada@example.org" in site.get("/admin/suppressions").text
    assert site.ask("POST", "/suppressions/lift", token, json={"key": key}).status_code == 200
    assert items(site.ask("GET", "/suppressions", token)) == []


def test_the_schedule_rests_goes_on_and_runs_at_once(site: Site, token: str) -> None:
    rt = site.rt
    with rt.writing() as session:
        service.ensure_slots(session, {"repos": timedelta(minutes=10)}, now=rt.now() + timedelta(hours=1))
    assert site.ask("POST", "/slots/repos/pause", token).json()["paused"] is True
    assert site.ask("POST", "/slots/repos/run", token).status_code == 422
    assert site.ask("POST", "/slots/repos/resume", token).json()["paused"] is False
    assert site.ask("POST", "/slots/repos/run", token).status_code == 202
    (slot,) = all_rows(rt, Slot, name="repos")
    assert slot.next_at == rt.now()
    site.login()
    assert site.post("/admin/slots/repos/pause", csrf_from="/admin/schedule").status_code == 303
    assert "Resume repos" in site.get("/admin/schedule").text


def test_a_pair_is_decided_merged_and_taken_apart(site: Site, token: str) -> None:
    with site.rt.writing() as session:
        session.add(Duplicate(paper_id=1, other_id=2, score=0.97, reason="alike", found_at=site.rt.now()))
    (pair,) = items(site.ask("GET", "/duplicates", token))
    assert len(pair["papers"]) == 2
    assert site.ask("POST", f"/duplicates/{pair['id']}", token, json={"state": "different"}).status_code == 200
    assert items(site.ask("GET", "/duplicates", token)) == []
    assert site.ask("POST", f"/duplicates/{pair['id']}", token, json={"state": "same"}).status_code == 200
    gone, kept = (site.browser.get(f"/api/v1/papers/{key}").json()["key"] for key in reversed(pair["papers"]))
    assert gone == kept
    assert site.ask("POST", "/merges/1/undo", token).status_code == 200
    assert site.ask("POST", "/merges/1/undo", token).status_code == 422


def test_users_and_tokens_are_the_admins_alone(site: Site, token: str) -> None:
    assert site.ask("GET", "/users", token).status_code == 403
    boss = site.token("admin")
    grace = {"name": "grace", "role": "viewer", "password": "four score lanterns"}
    assert site.ask("POST", "/users", boss, json={**grace, "disabled": False}).status_code == 422
    assert site.ask("POST", "/users", boss, json=grace).status_code == 201
    changed = site.ask("PATCH", "/users/grace", boss, json={"role": "operator", "disabled": True}).json()
    assert (changed["role"], changed["disabled"]) == ("operator", True)
    made = site.ask("POST", "/tokens", boss, json={"name": "ci", "scope": "read", "days": 3}).json()
    assert site.ask("GET", "/runs", made["token"]).status_code == 200
    assert site.ask("DELETE", "/tokens/ci", boss).json()["revoked_at"]
    assert site.ask("GET", "/runs", made["token"]).status_code == 401
    told = site.ask("GET", "/audit?act=user", boss).text
    assert "lanterns" not in told
    assert '"act":"user.add"' in told


def test_days_are_told_newest_first_and_go_on(make_runtime: MakeRuntime) -> None:
    rt = make_runtime()
    feed = add_feed(rt, "daily-papers")
    for n in range(5):
        on = date(2026, 11, 20 + n)
        store(rt, [entry(n, announced_on=on)], feed=feed, day=on)
    site = Site(rt)
    first = site.browser.get("/api/v1/days?limit=3").json()
    assert [one["day"] for one in first["items"]] == ["2026-11-24", "2026-11-23", "2026-11-22"]
    assert site.browser.get(f"/api/v1/days?limit=3&cursor={first['next']}").json()["next"] is None


# -- against its own description -------------------------------------------------------------------------------


def test_a_scan_finds_nothing(tmp_path: Path) -> None:
    with scan.site(tmp_path) as (app, token):
        assert list(scan.findings(app, token, examples=2)) == []


def test_a_scan_would_find_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(service, "list_slots", broken)
    with scan.site(tmp_path) as (app, token):
        found = list(scan.findings(app, token, examples=1, only="GET /api/v1/slots"))
    assert found
    assert "500" in found[0]
