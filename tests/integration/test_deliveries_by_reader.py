"""Deliveries are found by their reader: on the page, by a program, by command."""

from __future__ import annotations

import re

import pytest

from services.domain.users import Actor
from services.pipeline import accounts, notify
from services.runtime import Runtime
from services.storage import feeds, subscribers
from tests.conftest import MakeRuntime
from tests.factories import entry, plan_edition, store
from tests.integration.command import Broadsheet
from tests.integration.test_web_admin import fill
from tests.integration.web_site import PASSWORD, Site
from workers.web import admin

HOOK = "https://hooks.slack.com/services/T0/B0/X"


@pytest.fixture
def site(make_runtime: MakeRuntime, database_url: str) -> Site:
    """An edition to a mail address (subscription 1), and one to a channel of Slack (2)."""
    rt = make_runtime(database_url=database_url, admin_password=PASSWORD)
    fill(rt)
    plan_edition(rt, f"slack:{HOOK}")
    site = Site(rt)
    site.login()
    return site


def found(site: Site, reader: str) -> set[str]:
    """The editions whose deliveries the page shows."""
    return set(re.findall(r'href="/editions/(\d+)"', site.get("/admin/deliveries", params={"reader": reader}).text))


def test_by_an_address_in_any_form_or_a_subscription(site: Site) -> None:
    token = site.token("operate")
    for reader, editions in {
        "ada@example.org": {"1"}, " email:ADA@example.org ": {"1"}, "1": {"1"}, "2": {"2"}, f"slack:{HOOK}": {"2"},
        HOOK: {"2"}, f"webhook:{HOOK}": set(), "nobody@example.org": set(), "9": set(), "9" * 30: set(),
        "\0": {"1", "2"}, "": {"1", "2"},
    }.items():  # fmt: skip
        assert found(site, reader) == editions, reader
        told = site.ask("GET", "/deliveries", token, params={"reader": reader}).json()["items"]
        assert {str(one["edition"]) for one in told} == editions, reader


def test_beside_other_filters_and_onto_the_next_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    _another(site.rt, subscription=1)
    monkeypatch.setattr(admin, "PER_PAGE", 1)
    page = site.get("/admin/deliveries?reader=ada@example.org&channel=email").text
    assert 'rel="next" href="/admin/deliveries?channel=email&amp;reader=ada%40example.org&amp;before=3"' in page
    older = site.get("/admin/deliveries?reader=ada@example.org&before=3").text
    assert set(re.findall(r'href="/editions/(\d+)"', older)) == {"1"}
    assert "None fits these filters" in site.get("/admin/deliveries?reader=1&channel=slack").text


def _another(rt: Runtime, *, subscription: int) -> None:
    with rt.reading() as session:
        feed = feeds.get(session, "daily-papers")
    store(rt, [entry(3)], feed=feed)
    with rt.writing() as session:
        row, person = subscribers.get_subscription(session, subscription)
        notify.plan_edition(rt, session, row, person, "2026-12-01", rt.now())


def test_whoever_may_not_see_addresses_finds_none_by_one(site: Site) -> None:
    reads = site.token("read")
    assert site.ask("GET", "/deliveries?reader=ada@example.org", reads).json()["items"] == []
    assert len(site.ask("GET", "/deliveries?reader=1", reads).json()["items"]) == 1
    accounts.add_user(site.rt, Actor(name="boss", role="admin", origin="command"), "ada", PASSWORD, "viewer")
    viewer = Site(site.rt, app=site.app)
    viewer.login(user="ada")
    assert found(viewer, "ada@example.org") == found(viewer, "nobody@example.org") == {"1", "2"}
    assert found(viewer, "2") == {"2"}


def test_by_command(broadsheet: Broadsheet) -> None:
    assert "there is no subscription 7" in broadsheet("deliveries", "list", "--reader", 7, code=1).err
    assert "No such deliveries." in broadsheet("deliveries", "list", "--reader", "nobody@example.org", code=0).out
    assert broadsheet.json("deliveries", "list", "--reader", "nobody@example.org") == []
