"""The operators' pages: who gets in, what they show, and that every act is guarded."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from config.settings import Settings
from services.domain.jobs import NewJob
from services.domain.repos import Quota
from services.pipeline import drain, schedule
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import feeds, jobs, quotas, service
from services.storage.tables import Delivery, Feed, Job, Rejection
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, dump, entry, store
from tests.fakes import Clock
from tests.integration.web_site import OTHERS, PASSWORD, Elements, Site, routes
from workers.web.auth import ensure_admin_password
from workers.web.login import safe_next

PUBLIC = {
    "/", "/subscribe", "/subscribe/preview", "/unapi", "/healthz", "/readyz", "/openapi.json", "/robots.txt",
    "/api/v1/papers", "/api/v1/papers/1", "/api/v1/feeds", "/api/v1/days", "/admin/login", "/admin/oidc",
    "/admin/oidc/callback", "/static/style.css",
    "/papers/1",
}  # fmt: skip
"""What may answer 200 to somebody who has nothing: no session, no token, no form."""


@pytest.fixture
def site(make_runtime: MakeRuntime, database_url: str) -> Site:
    """A site with a password, a feed with papers, an edition sent, a run given up, a worker alive."""
    rt = make_runtime(database_url=database_url, admin_password=PASSWORD)
    fill(rt)
    return Site(rt)


def fill(rt: Runtime) -> None:
    """Something of everything."""
    feed = add_feed(rt, "daily-papers", title="Daily Papers")
    store(rt, [entry(1), entry(2)], feed=feed)
    with rt.writing() as session:
        subscription, _ = subscribe(rt, session, to="ada@example.org", confirmed=True)
        fetch_id = feeds.record_fetch(
            session,
            {"feed_id": feed.id, "slot": "s1", "batch": "2026-11-24", "cursor": "", "state": "parsed", "seen": 3,
             "new": 2,
             "rejected": 1, "announced": 3, "fetched_at": rt.now(), "parsed_at": rt.now()},
        )  # fmt: skip
        session.add(Rejection(fetch_id=fetch_id, position=3, reason="no title", entry="<b>an entry</b>"))
        service.beat(
            session,
            {"name": "lab:7:embedded", "role": "embedded", "host": "lab", "pid": 7, "version": "0.1.0", "busy": 3,
             "started_at": rt.now() - timedelta(hours=5), "seen_at": rt.now(), "slots": 4, "memory_mb": 84.0},
        )  # fmt: skip
        quotas.record(session, "github", Quota(limit=5000, remaining=77, reset_at=rt.now()), now=rt.now())
    job = schedule.edition_job(subscription.id or 0, "daily", "UTC", rt.now())
    rt.add_jobs([NewJob(kind=job.kind, key=job.key, payload={**job.payload, "now": True})])
    drain.run_until_idle(rt, ticking=False, stages=["notify"])
    bury(rt, "daily-papers lost")


def bury(rt: Runtime, key: str) -> int:
    """A fetch that was given up, with a parse that followed from it."""
    rt.add_jobs([NewJob(kind="fetch_feed", key=key, payload={"feed": "daily-papers"})])
    with rt.writing() as session:
        claim = jobs.claim(session, now=rt.now(), lease=timedelta(minutes=5), worker="lab:7", stages=["fetch"])
        assert claim is not None
        jobs.add(session, [NewJob(kind="parse_document", key=f"of {key}")], now=rt.now(), cause_id=claim.job_id)
        jobs.bury(
            session, claim, now=rt.now(), error="UpstreamRejected: 404 <i>gone</i>",
            signature="UpstreamRejected 404: gone",
            traceback="Traceback: line 7",
        )  # fmt: skip
    return claim.job_id


# -- getting in ------------------------------------------------------------------------------------------------


def test_nobody_is_let_in_but_to_the_public_pages(site: Site) -> None:
    seen = [*routes(site.app), *OTHERS]
    assert len(seen) > 40
    for method, path in seen:
        answer = site.browser.request(method, path, headers={"accept": "text/html"})
        if answer.status_code == 200:
            assert method == "GET", (method, path)
            assert path in PUBLIC, path
        elif path.startswith(("/admin", "/api/", "/metrics")) and path not in PUBLIC | {"/api/v1/search"}:
            assert answer.status_code in {303, 401}, (method, path, answer.status_code)


def test_no_form_is_taken_without_its_mark_save_the_one_click(site: Site) -> None:
    site.login()
    before = dump(site.rt)
    guarded = 0
    for method, path in routes(site.app):
        if method == "GET" or path == "/unsubscribe/1" or path.startswith("/hooks/"):
            continue
        if path.startswith("/api/"):  # programs send no forms: what a browser sends along must come from our pages
            assert site.browser.request(method, path, json={}).status_code in {403, 422}, path
            continue
        assert method == "POST"
        guarded += 1
        for form in ({}, {"csrf": "made up"}):
            answer = site.browser.post(path, data=form)
            assert answer.status_code == 403, (path, answer.status_code)
    assert guarded >= 10
    assert dump(site.rt) == before


def test_acts_from_another_site_are_refused_even_with_a_mark(site: Site) -> None:
    site.login()
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        answer = site.post("/admin/feeds/daily-papers/pause", csrf_from="/admin", headers=headers)
        assert answer.status_code == 403
    assert not all_rows(site.rt, Feed)[0].paused


def test_every_answer_carries_the_security_headers(site: Site) -> None:
    site.login()
    for method, path in [*routes(site.app), ("GET", "/nowhere"), ("PUT", "/"), ("GET", "/admin/runs/999")]:
        answer = site.browser.request(method, path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'"), path
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "strict-transport-security" in answer.headers


def test_an_error_nobody_foresaw_is_answered_inside_the_guard(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret words of a stack")

    monkeypatch.setattr("workers.web.public.find", broken)
    answer = site.get("/")
    assert answer.status_code == 500
    assert "content-security-policy" in answer.headers
    assert "secret words" not in answer.text


def test_a_large_body_is_not_read(site: Site) -> None:
    assert site.browser.post("/subscribe", data={"query": "x" * 100_000}).status_code == 413

    def drip() -> Any:
        for _ in range(100):
            yield b"x" * 1000

    answer = site.browser.post(
        "/subscribe", content=drip(), headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code in {400, 413}


def test_the_right_password_opens_a_session_and_a_wrong_one_does_not(site: Site) -> None:
    refused = site.login("wrong")
    assert refused.status_code == 401
    assert "set-cookie" not in refused.headers
    answer = site.login()
    assert answer.status_code == 303
    assert answer.headers["location"] == "/admin"
    (cookie,) = [c for c in answer.headers.get_list("set-cookie") if c.startswith("__Host-broadsheet=")]
    for part in ("HttpOnly", "SameSite=lax", "Secure", "Path=/"):
        assert part in cookie
    assert site.get("/admin").status_code == 200


def test_another_name_is_not_let_in(site: Site) -> None:
    answer = site.post("/admin/login", {"user": "root", "password": PASSWORD}, csrf_from="/admin/login")
    assert answer.status_code == 401


def test_logging_in_leads_to_the_page_that_was_asked_for_and_nowhere_else(site: Site) -> None:
    asked = site.get("/admin/runs?state=dead")
    assert asked.status_code == 303
    assert asked.headers["location"] == "/admin/login?next=%2Fadmin%2Fruns%3Fstate%3Ddead"
    answer = site.post(
        "/admin/login",
        {"user": "admin", "password": PASSWORD, "next": "https://evil.example"},
        csrf_from="/admin/login",
    )
    assert answer.headers["location"] == "/admin"


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil", "https://evil.example", "/admin//evil.example", "/adminx", "javascript:1",
               "/admin\r\nSet-Cookie: a=b", "", "/", "/admin/@evil", "/editions/1/..//evil.example"],
)  # fmt: skip
def test_no_redirect_leaves_the_operators_pages(target: str) -> None:
    assert safe_next(target) == "/admin"


def test_the_sixth_try_within_a_minute_waits_even_with_the_right_password(site: Site) -> None:
    assert [site.login(f"guess {n}").status_code for n in range(5)] == [401] * 5
    answer = site.login()
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert site.get("/admin").status_code == 303


def test_the_login_form_needs_its_own_cookie(site: Site) -> None:
    other = Site(site.rt)
    mark = re.search(r'name="csrf" value="([^"]*)"', other.get("/admin/login").text)
    assert mark
    answer = site.post("/admin/login", {"user": "admin", "password": PASSWORD, "csrf": mark[1]})
    assert answer.status_code == 403


def test_logging_out_ends_the_session_for_whoever_kept_its_cookie(site: Site) -> None:
    site.login()
    kept = dict(site.browser.cookies)
    assert site.post("/admin/logout", csrf_from="/admin").status_code == 303
    site.browser.cookies.update(kept)
    assert site.get("/admin").status_code == 303


def test_a_new_password_ends_all_sessions(site: Site, make_runtime: MakeRuntime, database_url: str) -> None:
    site.login()
    changed = Site(make_runtime(database_url=database_url, admin_password="another one"))
    changed.browser.cookies.update(dict(site.browser.cookies))
    assert changed.get("/admin").status_code == 303


def test_a_forged_session_is_none(site: Site) -> None:
    site.login()
    value = site.browser.cookies["__Host-broadsheet"]
    site.browser.cookies.clear()
    site.browser.cookies.set("__Host-broadsheet", value[:-2] + ("AA" if not value.endswith("AA") else "BB"))
    assert site.get("/admin").status_code == 303


# -- without a password of one's own ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "base_url", "headers", "status"),
    [
        ("127.0.0.1", "http://127.0.0.1:8100", {}, 200),
        ("::1", "http://localhost:8100", {}, 200),
        ("203.0.113.9", "http://127.0.0.1:8100", {}, 403),
        ("127.0.0.1", "http://rebound.example", {}, 403),
        ("127.0.0.1", "http://127.0.0.1:8100", {"x-forwarded-for": "203.0.113.9"}, 403),
        ("127.0.0.1", "http://127.0.0.1:8100", {"forwarded": "for=203.0.113.9"}, 403),
    ],
)
def test_without_a_password_only_this_machine_is_answered(
    make_runtime: MakeRuntime, client: str, base_url: str, headers: dict[str, str], status: int
) -> None:
    site = Site(make_runtime(), client=client, base_url=base_url)
    assert site.get("/admin/login", headers=headers).status_code == status
    assert site.get("/metrics", headers={**headers, "accept": "text/plain"}).status_code in {401, 403}


def test_a_generated_password_is_kept_private_and_lets_its_owner_in(make_runtime: MakeRuntime, home: Path) -> None:
    rt = make_runtime()
    password = ensure_admin_password(rt.settings)
    assert ensure_admin_password(rt.settings) == password
    assert len(password) >= 20
    assert (home / "admin_password").stat().st_mode & 0o077 == 0
    site = Site(rt, client="127.0.0.1", base_url="http://127.0.0.1:8100")
    assert site.login(password).status_code == 303
    assert site.get("/admin").status_code == 200


def test_a_password_that_is_set_is_not_written_down(home: Path) -> None:
    settings = Settings(_env_file=None, home=home, admin_password=PASSWORD)
    assert ensure_admin_password(settings) == PASSWORD
    assert not (home / "admin_password").exists()


# -- what is shown ---------------------------------------------------------------------------------------------


@pytest.fixture
def desk(site: Site) -> Site:
    """The same, logged in."""
    assert site.login().status_code == 303
    return site


def test_one_look_names_what_needs_a_person_and_what_there_is(desk: Site) -> None:
    text = " ".join(Elements(desk.get("/admin").text).text.split())
    assert "1 run was given up" in text.lower()
    for said in (
        "Daily Papers",
        "UpstreamRejected: 404 <i>gone</i>",
        "ada@example.org",
        "77 of 5,000 left",
        "84 MB",
        "accepted",
    ):
        assert said in text


def test_one_look_says_all_is_well_when_it_is(make_runtime: MakeRuntime) -> None:
    site = Site(make_runtime(admin_password=PASSWORD))
    site.login()
    assert "All is well" in site.get("/admin").text


def test_one_look_says_when_nobody_works_on_what_is_due(make_runtime: MakeRuntime, clock: Clock) -> None:
    rt = make_runtime(admin_password=PASSWORD)
    add_feed(rt, "daily-papers")
    clock.advance(minutes=5)
    site = Site(rt)
    site.login()
    assert "No worker is alive" in site.get("/admin").text


def test_the_fragment_is_what_the_page_holds(desk: Site) -> None:
    def sections(html: str) -> list[str | None]:
        return [a.get("id") for a in Elements(html).named("section")]

    fragment = desk.get("/admin/look", headers={"x-fragment": "1"})
    assert "<html" not in fragment.text
    assert sections(fragment.text) == sections(desk.get("/admin").text)
    desk.browser.cookies.clear()
    assert desk.get("/admin/look", headers={"x-fragment": "1"}).status_code == 401


def test_a_failure_that_came_right_is_no_longer_open(desk: Site) -> None:
    rt = desk.rt
    (dead,) = all_rows(rt, Job, state="dead")
    desk.post(f"/admin/runs/{dead.id}/retry", csrf_from="/admin")
    with rt.writing() as session:
        claim = jobs.claim(session, now=rt.now(), lease=timedelta(minutes=5), job_id=dead.id)
        assert claim is not None
        jobs.finish(session, claim, now=rt.now())
    text = " ".join(Elements(desk.get("/admin").text).text.split())
    assert "Nothing fails." in text
    assert "1 failed try of the last day came right" in text


def test_a_run_shows_its_tries_and_what_followed(desk: Site) -> None:
    (dead,) = all_rows(desk.rt, Job, state="dead")
    page = Elements(desk.get(f"/admin/runs/{dead.id}").text)
    for said in ("UpstreamRejected: 404 <i>gone</i>", "Traceback: line 7", "parse_document", '"feed": "daily-papers"'):
        assert said in page.text
    assert not page.named("i")
    (child,) = all_rows(desk.rt, Job, kind="parse_document")
    assert f"/admin/runs/{dead.id}" in {
        a.get("href") for a in Elements(desk.get(f"/admin/runs/{child.id}").text).named("a")
    }


@pytest.mark.parametrize(
    ("query", "shown", "hidden"),
    [
        ("state=dead", "fetch_feed", "send_deliveries"),
        ("stage=notify", "send_deliveries", "daily-papers lost"),
        ("kind=parse_document", "of daily-papers lost", "send_deliveries"),
        ("text=404", "daily-papers lost", "send_deliveries"),
        ("text=%25", "No runs", "daily-papers lost"),
    ],
)
def test_runs_are_filtered(desk: Site, query: str, shown: str, hidden: str) -> None:
    html = desk.get(f"/admin/runs?{query}").text
    listed = html[html.index("</form>", html.index("filters")) :]
    assert shown in listed
    assert hidden not in listed


def test_runs_are_paged_by_id(desk: Site) -> None:
    desk.rt.add_jobs([NewJob(kind="housekeeping", key=f"h{n}") for n in range(120)])
    seen: list[str] = []
    path = "/admin/runs?kind=housekeeping"
    while path:
        page = Elements(desk.get(path).text)
        seen += [str(a["href"]) for a in page.named("a") if re.fullmatch(r"/admin/runs/\d+", a.get("href") or "")]
        path = next((str(a["href"]) for a in page.named("a") if a.get("rel") == "next"), "")
    assert len(seen) == len(set(seen)) == 120


def test_a_feeds_page_shows_fetches_rejections_and_its_days(desk: Site) -> None:
    page = Elements(desk.get("/admin/feeds/daily-papers").text)
    assert "no title" in page.text
    assert "<b>an entry</b>" in page.text
    days = [a for a in page.named("td") if (a.get("class") or "").startswith("c-")]
    assert sum(a["class"] != "c-out" for a in days) == 30
    assert [a["class"] for a in days].count("c-complete") == 1
    assert desk.get("/admin/feeds/nowhere").status_code == 404


def test_deliveries_are_listed_and_filtered(desk: Site) -> None:
    assert "ada@example.org" in desk.get("/admin/deliveries").text
    assert "ada@example.org" not in desk.get("/admin/deliveries?state=failed").text
    assert "ada@example.org" in desk.get("/admin/deliveries?state=accepted&channel=email").text


def test_secrets_are_on_no_page(make_runtime: MakeRuntime) -> None:
    canaries = {"secret_key": "canary-signing-key", "github_token": "canary-github", "admin_password": PASSWORD,
                "smtp_url": "smtp://user:canary-smtp@127.0.0.1:9"}  # fmt: skip
    site = Site(make_runtime(**canaries))
    site.login()
    for method, path in routes(site.app):
        if method == "GET":
            text = site.browser.get(path).text
            assert "canary" not in text, path
            assert PASSWORD not in text, path


# -- acts ------------------------------------------------------------------------------------------------------


def test_fetch_now_adds_the_jobs_and_says_so(desk: Site) -> None:
    answer = desk.post("/admin/feeds/daily-papers/fetch", csrf_from="/admin")
    assert answer.status_code == 303
    assert [job.state for job in all_rows(desk.rt, Job, kind="fetch_feed")].count("ready") >= 1
    assert "daily-papers is being fetched." in desk.get(answer.headers["location"]).text


def test_a_feed_is_paused_and_resumed(desk: Site) -> None:
    desk.post("/admin/feeds/daily-papers/pause", csrf_from="/admin")
    assert all_rows(desk.rt, Feed)[0].paused
    desk.post("/admin/feeds/daily-papers/resume", csrf_from="/admin")
    assert not all_rows(desk.rt, Feed)[0].paused
    assert desk.post("/admin/feeds/nowhere/pause", csrf_from="/admin").status_code == 404


def test_retrying_a_run_makes_it_ready_and_hints_at_once(desk: Site) -> None:
    (dead,) = all_rows(desk.rt, Job, state="dead")
    hinted: list[int] = []
    desk.rt.publish = lambda hints: hinted.extend(hint.job_id for hint in hints)
    desk.post(f"/admin/runs/{dead.id}/retry", csrf_from="/admin")
    assert all_rows(desk.rt, Job, id=dead.id)[0].state == "ready"
    assert hinted == [dead.id]


def test_a_cause_is_tried_again_one_first_and_the_rest_when_that_came_right(desk: Site) -> None:
    signature = "UpstreamRejected 404: gone"
    more = [bury(desk.rt, f"daily-papers {word}") for word in ("again", "and again")]
    other = bury(desk.rt, "daily-papers other")
    with desk.rt.writing() as session:
        row = session.get(Job, other)
        assert row is not None
        row.signature = "UpstreamRejected 410: moved"
    page = f"/admin/failures?signature={quote(signature)}"
    html = desk.get(page).text
    assert "<b>3 runs</b> given up" in html
    assert "Traceback: line 7" in html
    act, rest = "/admin/failures/redrive", {"signature": signature, "step": "rest"}
    refused = desk.post(act, rest, csrf_from=page)
    assert (refused.status_code, "one of it first" in refused.text) == (400, True)
    one = desk.post(act, {"signature": signature, "step": "one"}, csrf_from=page).headers["location"]
    (first,) = all_rows(desk.rt, Job, kind="fetch_feed", state="ready")
    assert f"proof={first.id}" in one
    assert "has not come right" in desk.post(act, {**rest, "proof": str(first.id)}, csrf_from=page).text
    with desk.rt.writing() as session:
        claim = jobs.claim(session, now=desk.rt.now(), lease=timedelta(minutes=5), worker="lab:7", stages=["fetch"])
        assert claim is not None
        jobs.finish(session, claim, now=desk.rt.now())
    assert "It came right." in desk.get(one).text
    assert desk.post(act, {**rest, "proof": str(first.id)}, csrf_from=one).status_code == 303
    assert [job.id for job in all_rows(desk.rt, Job, state="dead")] == [other]
    assert {job.id for job in all_rows(desk.rt, Job, kind="fetch_feed", state="ready")} == set(more)
    assert desk.get("/admin/failures?signature=unheard-of").status_code == 404
    assert desk.post(act, {"signature": "unheard of"}, csrf_from=page).status_code == 404


def test_a_cause_whose_first_run_simply_came_right_has_a_page(desk: Site) -> None:
    (done, *_) = all_rows(desk.rt, Job, state="done")
    page = desk.get(f"/admin/failures?signature=unheard-of&proof={done.id}")
    assert (page.status_code, "Nothing is given up" in page.text) == (200, True)


def test_resending_reaches_only_those_who_did_not_get_it(desk: Site) -> None:
    before = len(all_rows(desk.rt, Job, kind="send_deliveries"))
    desk.post("/admin/editions/1/resend", csrf_from="/admin")
    assert len(all_rows(desk.rt, Job, kind="send_deliveries")) == before
    with desk.rt.writing() as session:
        row = session.get(Delivery, 1)
        assert row is not None
        row.state = "failed"
    desk.post("/admin/editions/1/resend", csrf_from="/admin")
    assert all_rows(desk.rt, Delivery)[0].state == "planned"
    assert len(all_rows(desk.rt, Job, kind="send_deliveries")) == before + 1


# -- for programs ----------------------------------------------------------------------------------------------


def test_the_token_opens_metrics_and_ledgers_and_a_wrong_one_nothing(site: Site) -> None:
    token = site.token("read")
    for path in ("/metrics", "/api/v1/runs", "/api/v1/runs/1", "/api/v1/deliveries"):
        assert site.browser.get(path).status_code == 401
        assert site.browser.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
        assert site.browser.get(path, headers={"authorization": f"Bearer {token}"}).status_code == 200


def test_metrics_say_what_the_tables_say(site: Site) -> None:
    text = site.browser.get("/metrics", headers={"authorization": f"Bearer {site.token('read')}"}).text
    for line in (
        "broadsheet_papers 2.0",
        'broadsheet_jobs{stage="fetch",state="dead"} 1.0',
        'broadsheet_oldest_ready_job_age_seconds{stage="parse"} 0.0',
        'broadsheet_fetches_24h{state="parsed"} 1.0',
        'broadsheet_deliveries_24h{channel="email",state="accepted"} 1.0',
        'broadsheet_heartbeat_age_seconds{process="lab:7:embedded",role="embedded"} 0.0',
        'broadsheet_worker_busy{process="lab:7:embedded",role="embedded"} 3.0',
        'broadsheet_worker_slots{process="lab:7:embedded",role="embedded"} 4.0',
        'broadsheet_quota_remaining{quota="github"} 77.0',
    ):
        assert line in text.splitlines()


def test_the_ledgers_come_as_json(desk: Site) -> None:
    (delivery,) = desk.browser.get("/api/v1/deliveries").json()["items"]
    assert (delivery["to"], delivery["state"], delivery["edition"]) == ("ada@example.org", "accepted", 1)
    assert sorted(delivery["papers"]) == ["arxiv:2611.90001", "arxiv:2611.90002"]
    (worker,) = desk.browser.get("/api/v1/workers").json()["items"]
    assert (worker["name"], worker["busy"], worker["slots"], worker["alive"]) == ("lab:7:embedded", 3, 4, True)
    assert '<td class="num">3 <span class="hint">4 slots</span></td>' in desk.get("/admin").text
    runs = desk.browser.get("/api/v1/runs", params={"state": "dead"}).json()["items"]
    assert [run["key"] for run in runs] == ["daily-papers lost"]
    tries = desk.browser.get(f"/api/v1/runs/{runs[0]['id']}").json()["tries"]
    assert [(t["number"], t["outcome"]) for t in tries] == [(1, "dead")]
