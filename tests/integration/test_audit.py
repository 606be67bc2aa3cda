"""The audit: every act leaves a line, by page, API and command line; what fails and what is denied, too."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.domain.errors import NotFound
from services.domain.jobs import NewJob
from services.domain.users import Actor
from services.pipeline import accounts, drain, operate
from services.pipeline.acts import LONGEST, acting
from services.runtime import Runtime
from services.storage import audit
from services.storage.tables import Audit, Feed
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows
from tests.fakes import Clock
from tests.integration.command import Broadsheet
from tests.integration.test_cli import COMMANDS
from tests.integration.web_site import PASSWORD, Site
from workers.commands import audited

BOSS = Actor(name="boss", role="admin", origin="command", address="here")


@pytest.fixture
def site(make_runtime: MakeRuntime, database_url: str) -> Site:
    """A site with one feed."""
    rt = make_runtime(database_url=database_url, admin_password=PASSWORD)
    add_feed(rt, "daily-papers", title="Daily Papers")
    return Site(rt)


def acts(rt: Runtime, **wanted: Any) -> list[Audit]:
    with rt.reading() as session:
        return audit.find(session, **wanted)


def test_an_act_on_a_page_says_who_from_where_and_what_changed(site: Site) -> None:
    site.login()
    site.post("/admin/feeds/daily-papers/pause", csrf_from="/admin")
    (line,) = acts(site.rt, act="feed")
    assert (line.who, line.role, line.origin, line.address) == ("admin", "admin", "web", "203.0.113.9")
    assert (line.act, line.subject, line.outcome) == ("feed.pause", "daily-papers", "done")
    assert (line.before, line.after) == ({"paused": False}, {"paused": True})


def test_an_act_through_the_api_names_the_token(site: Site) -> None:
    assert site.ask("POST", "/feeds/daily-papers/pause", site.token("operate", "ci")).status_code == 200
    (line,) = acts(site.rt, act="feed.pause")
    assert (line.who, line.role, line.origin) == ("token:ci", "operator", "api")


def test_what_failed_and_what_was_denied_is_written_down(site: Site) -> None:
    assert site.ask("POST", "/feeds/nowhere/pause", site.token("operate")).status_code == 404
    assert site.ask("POST", "/feeds/daily-papers/pause", site.token("read")).status_code == 403
    site.login("wrong")
    login, denied, failed = (acts(site.rt, act=act)[0] for act in ("login", "denied", "feed.pause"))
    assert (failed.outcome, failed.subject) == ("failed", "nowhere")
    assert "there is no feed" in failed.detail
    assert (denied.outcome, denied.who) == ("denied", "token:a-read-program")
    assert denied.subject == "POST /api/v1/feeds/daily-papers/pause"
    assert (login.outcome, login.who) == ("denied", "admin")
    assert not all_rows(site.rt, Feed)[0].paused


def test_an_act_and_its_line_are_one_transaction(rt: Runtime) -> None:
    add_feed(rt, "daily-papers")
    with pytest.raises(RuntimeError), acting(rt, BOSS, "feed.pause", "daily-papers") as (session, _):
        feed = session.get(Feed, 1)
        assert feed is not None
        feed.paused = True
        raise RuntimeError
    assert not all_rows(rt, Feed)[0].paused
    assert acts(rt) == []
    with pytest.raises(NotFound):
        operate.pause_feed(rt, BOSS, "nowhere")
    assert [line.outcome for line in acts(rt)] == ["failed"]


def test_no_secret_is_kept(make_runtime: MakeRuntime) -> None:
    rt = make_runtime(github_token="canary-github-token", secret_key="canary-signing-key")
    with acting(rt, BOSS, "feed.add", "https://user:canary-in-address@example.org/f") as (_, said):
        said.after = {
            "password": "canary-password", "nested": {"token": "canary-token", "ok": ["canary-github-token"]},
            "text": "canary-signing-key " * 100, "url": "https://hooks.slack.com/services/T0/B0/canary-hook",
        }  # fmt: skip
    (line,) = acts(rt)
    assert "canary" not in str(line.model_dump())
    assert len(line.after["text"]) <= LONGEST


def test_the_page_filters_and_goes_on(site: Site) -> None:
    for n in range(120):
        accounts.make_token(site.rt, BOSS, f"t{n}", "read")
    site.login()
    seen, path = 0, "/admin/audit?act=token"
    while path:
        page = site.get(path).text
        seen += page.count("<td>token.add</td>")
        found = page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
        path = found if "before=" in found else ""
    assert seen == 120
    assert "token.add" not in site.get("/admin/audit?act=tok").text
    assert "token.add" not in site.get("/admin/audit?origin=web").text
    assert ">t7<" in site.get("/admin/audit?by=boss&text=t7").text


def test_old_lines_are_pruned(rt: Runtime, clock: Clock) -> None:
    operate_at = rt.now()
    add_feed(rt, "daily-papers")
    operate.pause_feed(rt, BOSS, "daily-papers")
    clock.advance(days=rt.settings.audit_keep_days, hours=1)
    operate.pause_feed(rt, BOSS, "daily-papers")
    rt.add_jobs([NewJob(kind="housekeeping", key="h")])
    drain.run_until_idle(rt, ticking=False)
    (line,) = acts(rt)
    assert line.at - operate_at > timedelta(days=1)


# -- the command line ------------------------------------------------------------------------------------------


def test_every_command_says_whether_it_is_an_act() -> None:
    leaves = {" ".join(path) for path, command in COMMANDS if path and not getattr(command, "commands", None)}
    said = [set(audited.ACTS), set(audited.BY_THEMSELVES), set(audited.NO_ACTS)]
    assert leaves == set().union(*said), "write them down in workers/commands/audited.py"
    assert sum(map(len, said)) == len(leaves)
    by_name = {" ".join(path): command for path, command in COMMANDS}
    for command, (_, subject) in audited.ACTS.items():
        assert subject in {parameter.name for parameter in by_name[command].params}, command


def test_acts_of_the_command_line_are_written_down(broadsheet: Broadsheet) -> None:
    broadsheet("feeds", "add", "https://example.org/feed.xml", "--no-check", "--name", "lab", code=0)
    broadsheet("feeds", "pause", "lab", code=0)
    broadsheet("feeds", "pause", "nowhere", code=1)
    broadsheet("users", "add", "ada", "--role", "operator", stdin="a lantern in the fog\n", code=0)
    broadsheet("users", "role", "ada", "admin", code=0)
    broadsheet("feeds", "list", code=0)
    lines = broadsheet.json("audit")
    assert [(line["act"], line["subject"], line["outcome"]) for line in lines] == [
        ("user.role", "ada", "done"), ("user.add", "ada", "done"), ("feed.pause", "nowhere", "failed"),
        ("feed.pause", "lab", "done"), ("feed.add", "lab", "done"),
    ]  # fmt: skip
    assert {line["origin"] for line in lines} == {"command"}
    assert lines[0]["before"] == {"role": "operator"}
    assert "lantern" not in str(lines)


def test_users_and_tokens_by_command(broadsheet: Broadsheet) -> None:
    assert broadsheet("users", "add", "ada", stdin="short\n").code == 1
    broadsheet("users", "add", "ada", stdin="a lantern in the fog\n", code=0)
    broadsheet("users", "disable", "ada", code=0)
    (user,) = broadsheet.json("users", "list")
    assert (user["name"], user["role"], user["disabled"]) == ("ada", "viewer", True)
    made = broadsheet.json("tokens", "add", "ci", "--scope", "operate", "--days", "9")
    assert made["token"].startswith("bst_")
    broadsheet("tokens", "revoke", "ci", code=0)
    (token,) = broadsheet.json("tokens", "list")
    assert token["revoked_at"]
    assert "token" not in token
