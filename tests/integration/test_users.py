"""Users, roles and tokens: who gets in, what each may do, and that every route and command says what it needs."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher

from services.domain.errors import InvalidInput
from services.domain.users import Actor
from services.pipeline import accounts
from services.pipeline.accounts import Accounts
from services.runtime import Runtime
from services.storage import allowances, users
from services.storage.tables import ApiToken, Audit, Feed, Login, User
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows
from tests.fakes import Clock
from tests.integration.web_site import PASSWORD, Site, declared, routes
from workers.web import access

BOSS = Actor(name="boss", role="admin", origin="command", address="here")
ADAS = "a lantern in the fog"


@pytest.fixture
def site(make_runtime: MakeRuntime, database_url: str) -> Site:
    """A site with a feed, and a user of each role, all with the same password."""
    rt = make_runtime(database_url=database_url, admin_password=PASSWORD)
    add_feed(rt, "daily-papers", title="Daily Papers")
    for role in ("viewer", "operator", "admin"):
        accounts.add_user(rt, BOSS, f"ada-{role}", ADAS, role)
    return Site(rt)


# -- what each route needs -------------------------------------------------------------------------------------


def test_every_route_declares_what_it_needs_and_nothing_else_is_declared(make_runtime: MakeRuntime) -> None:
    there = {f"{method} {path}" for method, path in declared(Site(make_runtime()).app)}
    assert len(there) > 100
    assert there - set(access.NEEDED) == set(), "write these down in workers/web/access.py"
    assert set(access.NEEDED) - there == set(), "these routes are gone"


def test_a_route_that_declares_nothing_answers_nobody(make_runtime: MakeRuntime) -> None:
    site = Site(make_runtime(admin_password=PASSWORD))
    site.app.add_api_route("/forgotten", lambda: "come in")
    site.login()
    assert site.get("/forgotten").status_code == 403


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_a_role_may_what_its_routes_say_and_no_more(make_runtime: MakeRuntime, role: str) -> None:
    site = Site(make_runtime(admin_password=PASSWORD))
    scope = {"viewer": "read", "operator": "operate", "admin": "admin"}[role]
    token = site.token(scope)
    asked = refused = 0
    for (method, path), (_, template) in zip(routes(site.app), declared(site.app), strict=True):
        needed = access.needed(method, template)
        if needed in (None, access.PUBLIC, access.LOGIN):
            continue
        answer = site.browser.request(method, path, headers={"authorization": f"Bearer {token}"})
        may = ["viewer", "operator", "admin"].index(role) >= ["viewer", "operator", "admin"].index(needed)
        asked += 1
        refused += not may
        assert answer.status_code != 401, (method, path)
        if not may:
            assert answer.status_code == 403, (method, path, answer.status_code)
            assert f"This wants the role {needed}" in answer.text
        elif path.startswith("/api/"):
            assert answer.status_code != 403, (method, path, answer.text)
    assert asked > 60
    assert (refused > 0) == (role != "admin")


def test_a_viewer_sees_pages_without_buttons_and_an_operator_no_users(site: Site) -> None:
    assert site.login(ADAS, "ada-viewer").status_code == 303
    page = site.get("/admin").text
    assert "Daily Papers" in page
    assert "/fetch" not in page
    assert site.post("/admin/feeds/daily-papers/pause").status_code == 403
    assert site.get("/admin/users").status_code == 403
    other = Site(site.rt)
    other.login(ADAS, "ada-operator")
    assert "/admin/users" not in other.get("/admin").text
    assert other.get("/admin/audit").status_code == 403
    assert other.post("/admin/feeds/daily-papers/pause", csrf_from="/admin").status_code == 303
    assert all_rows(site.rt, Feed)[0].paused


# -- logging in ------------------------------------------------------------------------------------------------


def test_a_session_is_another_at_each_login_and_the_one_before_is_worth_nothing(site: Site) -> None:
    site.login(ADAS, "ada-admin")
    first = site.browser.cookies["__Host-broadsheet"]
    site.browser.cookies.delete("__Host-broadsheet")
    planted = "a" * 43
    site.browser.cookies.set("__Host-broadsheet", planted)
    answer = site.post("/admin/login", {"user": "ada-admin", "password": ADAS}, csrf_from="/admin/login")
    (second,) = re.findall(r"__Host-broadsheet=([^;]+)", str(answer.headers.get_list("set-cookie")))
    assert len({first, second, planted}) == 3
    assert first not in str([row.model_dump() for row in all_rows(site.rt, Login)])


def test_what_ends_a_session(site: Site) -> None:
    def still_in() -> bool:
        return bool(site.get("/admin").status_code == 200)

    site.login(ADAS, "ada-admin")
    assert still_in()
    accounts.set_password(site.rt, BOSS, "ada-admin", "another lantern")
    assert not still_in()
    site.login("another lantern", "ada-admin")
    assert still_in()
    accounts.set_disabled(site.rt, BOSS, "ada-admin", True)
    assert not still_in()
    assert site.login("another lantern", "ada-admin").status_code == 401
    accounts.set_disabled(site.rt, BOSS, "ada-admin", False)
    site.login("another lantern", "ada-admin")
    accounts.set_role(site.rt, BOSS, "ada-admin", "viewer")
    assert still_in()
    assert site.get("/admin/users").status_code == 403


def test_a_session_runs_out(site: Site, clock: Clock) -> None:
    site.login(ADAS, "ada-viewer")
    clock.advance(hours=11)
    assert site.get("/admin").status_code == 200
    clock.advance(hours=2)
    assert site.get("/admin").status_code == 303


def test_a_name_nobody_has_takes_as_long_as_a_wrong_password(
    make_runtime: MakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_service = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
    monkeypatch.setattr(accounts, "HASHER", in_service)
    rt = make_runtime()
    accounts.add_user(rt, BOSS, "ada", ADAS, "viewer")
    checks = Accounts(rt, PASSWORD)

    def cost(name: str) -> float:
        spent = []
        for _ in range(5):
            began = time.thread_time()
            assert checks.check(name, "not this one") is None
            spent.append(time.thread_time() - began)
        return min(spent)

    known, unknown, own = cost("ada"), cost("nobody-here"), cost("admin")
    assert max(known, unknown, own) < 2 * min(known, unknown, own)
    assert min(known, unknown, own) > 0.002


def test_tries_are_counted_over_all_processes(site: Site) -> None:
    other = Site(site.rt)
    assert [site.login("wrong", "ada-admin").status_code for _ in range(3)] == [401] * 3
    assert [other.login("wrong", "ada-admin").status_code for _ in range(2)] == [401] * 2
    assert site.login(ADAS, "ada-admin").status_code == 429
    assert Site(site.rt, client="203.0.113.77").login(ADAS, "ada-admin").status_code == 303


def test_an_allowance_comes_back_evenly(rt: Runtime, clock: Clock) -> None:
    def take() -> float:
        with rt.writing() as session:
            return allowances.take(
                session, "k", times=5, per=timedelta(minutes=1), now=rt.now()
            ).total_seconds()  # fmt: skip

    assert [take() for _ in range(5)] == [0.0] * 5
    assert take() == 12
    clock.advance(seconds=12)
    assert [take(), take()] == [0.0, 12.0]
    clock.advance(hours=5)
    assert [take() for _ in range(6)] == [0.0] * 5 + [12.0]


# -- users -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "password", "role"),
    [("admin", ADAS, "admin"), ("", ADAS, "viewer"), ("a b", ADAS, "viewer"), ("<i>", ADAS, "viewer"),
     ("grace", "short", "viewer"), ("grace-hopper", "grace-hopper", "viewer"), ("grace", "aaaaaaaaaaaa", "viewer"),
     ("grace", ADAS, "root"), ("ada-viewer", ADAS, "viewer")],
)  # fmt: skip
def test_what_no_user_can_be(site: Site, name: str, password: str, role: str) -> None:
    with pytest.raises(InvalidInput):
        accounts.add_user(site.rt, BOSS, name, password, role)
    assert len(all_rows(site.rt, User)) == 3


def test_a_password_is_nowhere_to_be_read(site: Site) -> None:
    kept = str([row.model_dump() for table in (User, Login, Audit) for row in all_rows(site.rt, table)])
    assert ADAS not in kept
    assert "$argon2id$" in kept


def test_an_admin_adds_and_changes_users_on_a_page(site: Site) -> None:
    site.login(ADAS, "ada-admin")
    form = {"name": "Grace", "role": "operator", "password": "four score lanterns"}
    assert site.post("/admin/users", form, csrf_from="/admin/users").status_code == 303
    assert "grace" in site.get("/admin/users").text
    assert Site(site.rt).login("four score lanterns", "grace").status_code == 303
    site.post("/admin/users/grace/role", {"role": "viewer"}, csrf_from="/admin/users")
    site.post("/admin/users/grace/disable", csrf_from="/admin/users")
    with site.rt.reading() as session:
        grace = users.get(session, "grace")
        assert (grace.role, grace.disabled) == ("viewer", True)
    assert site.post("/admin/users/ada-admin/disable", csrf_from="/admin/users").status_code == 400
    assert site.post("/admin/users", {**form, "name": "x y"}, csrf_from="/admin/users").status_code == 400


# -- tokens ----------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_kept_as_a_hash(site: Site) -> None:
    site.login(ADAS, "ada-admin")
    form = {"name": "ci", "scope": "read", "days": "30"}
    answer = site.post("/admin/tokens", form, csrf_from="/admin/tokens")
    (value,) = re.findall(r"Bearer (bst_[\w-]{40,})", answer.text)
    assert value not in site.get("/admin/tokens").text
    assert value not in str([row.model_dump() for table in (ApiToken, Audit) for row in all_rows(site.rt, table)])
    assert Site(site.rt).ask("GET", "/runs", value).status_code == 200


def test_a_token_is_worth_nothing_once_it_ran_out_or_was_revoked(site: Site, clock: Clock) -> None:
    value, _ = accounts.make_token(site.rt, BOSS, "ci", "read", days=2)
    assert site.ask("GET", "/runs", value).status_code == 200
    assert all_rows(site.rt, ApiToken)[0].last_used_at == site.rt.now()
    clock.advance(days=3)
    assert site.ask("GET", "/runs", value).status_code == 401
    other, _ = accounts.make_token(site.rt, BOSS, "cd", "read")
    accounts.revoke_token(site.rt, BOSS, "cd")
    assert site.ask("GET", "/runs", other).status_code == 401


def test_nobody_makes_a_token_that_may_more_than_they(site: Site) -> None:
    with pytest.raises(InvalidInput, match="may more"):
        accounts.make_token(site.rt, Actor(name="ada", role="operator", origin="web"), "ci", "admin")


def test_a_wrong_token_is_not_made_good_by_a_session(site: Site) -> None:
    site.login(ADAS, "ada-admin")
    assert site.browser.get("/api/v1/runs").status_code == 200
    assert site.ask("GET", "/runs", "bst_wrong").status_code == 401


def test_an_act_by_cookie_through_the_api_must_come_from_our_own_page(site: Site) -> None:
    site.login(ADAS, "ada-admin")
    path = "/api/v1/feeds/daily-papers/pause"
    assert site.browser.post(path).status_code == 403
    assert site.browser.post(path, headers={"origin": "https://evil.example"}).status_code == 403
    assert site.browser.post(path, headers={"origin": "https://papers.example"}).status_code == 200


# -- a proxy that logs people in -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        ("10.1.2.3", {"x-forwarded-user": "ada-operator"}, 200),
        ("10.1.2.3", {"x-forwarded-user": "stranger"}, 200),
        ("10.1.2.3", {"x-forwarded-user": "ada-disabled"}, 401),
        ("10.1.2.3", {"x-forwarded-user": "admin"}, 401),
        ("10.1.2.3", {"x-forwarded-user": "a\tb"}, 401),
        ("10.1.2.3", {}, 401),
        ("203.0.113.9", {"x-forwarded-user": "ada-operator"}, 401),
        ("203.0.113.9", {"x-forwarded-user": "ada-operator", "x-forwarded-for": "10.1.2.3"}, 401),
    ],
)
def test_only_a_trusted_proxy_says_who_somebody_is(
    make_runtime: MakeRuntime, client: str, headers: dict[str, str], status: int
) -> None:
    rt = make_runtime(
        admin_password=PASSWORD, login_header="X-Forwarded-User", login_proxies="10.0.0.0/8, ::1", login_role="viewer"
    )
    accounts.add_user(rt, BOSS, "ada-operator", ADAS, "operator")
    accounts.add_user(rt, BOSS, "ada-disabled", ADAS, "operator")
    accounts.set_disabled(rt, BOSS, "ada-disabled", True)
    site = Site(rt, client=client)
    assert site.browser.get("/api/v1/runs", headers=headers).status_code == status
    answer = site.browser.get("/api/v1/users", headers=headers)
    assert answer.status_code == (403 if status == 200 else 401)


def test_a_form_of_somebody_a_proxy_let_in_works_for_them_alone(make_runtime: MakeRuntime) -> None:
    rt = make_runtime(login_header="Remote-User", login_proxies="10.0.0.1", login_role="operator")
    add_feed(rt, "daily-papers")
    site = Site(rt, client="10.0.0.1")
    page = site.get("/admin", headers={"remote-user": "ada"}).text
    mark = re.search(r'name="csrf" value="([^"]+)"', page)
    assert mark
    path, form = "/admin/feeds/daily-papers/pause", {"csrf": mark[1]}
    assert site.post(path, form, headers={"remote-user": "grace"}).status_code == 403
    assert site.post(path, form, headers={"remote-user": "ada"}).status_code == 303


# -- first run -------------------------------------------------------------------------------------------------


def test_once_somebody_was_added_the_pages_answer_elsewhere_but_not_to_the_made_password(
    make_runtime: MakeRuntime,
) -> None:
    rt = make_runtime()
    assert Site(rt).get("/admin/login").status_code == 403
    accounts.add_user(rt, BOSS, "ada", ADAS, "admin")
    site = Site(rt)
    assert site.get("/admin/login").status_code == 200
    assert site.login(ADAS, "ada").status_code == 303
    made: Any = (rt.settings.home / "admin_password").read_text().strip()
    assert Site(rt).login(made).status_code == 401
