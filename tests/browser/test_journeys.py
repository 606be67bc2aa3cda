"""What a person does with the pages, in a real browser: reading, subscribing, tuning, leaving, operating."""

from __future__ import annotations

import email
import email.policy
import re

import pytest
from playwright.sync_api import Page, expect

from services.storage import subscribers
from tests.browser.conftest import PASSWORD, Place

pytestmark = pytest.mark.timeout(240)


def _mail(place: Place) -> str:
    newest = max(place.rt.settings.outbox.glob("*.eml"), key=lambda path: path.stat().st_mtime)
    message = email.message_from_bytes(newest.read_bytes(), policy=email.policy.default)
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def test_a_reader_finds_a_paper_by_search_and_opens_it(page: Page, place: Place) -> None:
    page.goto(place.url)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("speculative")
    page.keyboard.press("Enter")
    first = page.locator("main a[href*='/papers/']").first
    expect(first).to_be_visible()
    first.click()
    expect(page).to_have_url(re.compile(r"/papers/"))
    expect(page.get_by_text("@misc", exact=False).or_(page.get_by_text("@article", exact=False)).first).to_be_visible()


def test_a_query_that_cannot_be_read_points_at_its_fault(page: Page, place: Place) -> None:
    page.goto(f"{place.url}/?q=title:(foo")
    expect(page.get_by_text("^", exact=False).first).to_be_visible()
    expect(page.get_by_text("never closed", exact=False).first).to_be_visible()


def test_subscribe_confirm_and_unsubscribe(page: Page, place: Place) -> None:
    page.goto(f"{place.url}/subscribe")
    page.locator("input[type=email]").fill("ada@example.org")
    page.wait_for_timeout(2_500)  # a form sent quicker than a person types is taken for a machine's
    page.locator("main form button[type=submit], main form button:not([type])").last.click()
    expect(page.locator("main")).to_contain_text(re.compile("mail", re.IGNORECASE))
    link = re.search(rf"{re.escape(place.url)}/confirm/\S+", _mail(place))
    assert link, "the confirmation carries its link"

    page.goto(link[0])
    with place.rt.reading() as session:  # opening it has changed nothing: mail scanners open links, too
        assert {s.state for _, s in subscribers.list_subscriptions(session) if s.address == "ada@example.org"} == {
            "pending"
        }
    page.locator("main form button").first.click()
    with place.rt.reading() as session:
        found = [
            (wish, person)
            for wish, person in subscribers.list_subscriptions(session)
            if person.address == "ada@example.org"
        ]
    assert [(person.state, wish.state) for wish, person in found] == [("active", "active")]

    from services.pipeline.views import own_links

    page.goto(own_links(place.rt, *found[0])["unsubscribe"])
    page.locator("main form button").first.click()
    with place.rt.reading() as session:
        assert not [s for _, s in subscribers.list_subscriptions(session) if s.address == "ada@example.org"]


def test_an_operator_logs_in_sees_a_broken_feed_and_fetches_it_again(page: Page, place: Place) -> None:
    from services.pipeline import drain, schedule

    place.replay.is_down("/blog/feed.xml", 404)
    schedule.fetch_now(place.rt, "northlake-blog")
    drain.run_until_idle(place.rt, ticking=False)

    page.goto(f"{place.url}/admin")
    page.locator("input[name=password]").fill("wrong")
    page.locator("input[name=password]").press("Enter")
    expect(page).to_have_url(re.compile(r"/admin/login"))
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    expect(page).to_have_url(re.compile(r"/admin/?$"))
    expect(page.locator("main")).to_contain_text("404")

    place.replay.is_up("/blog/feed.xml")
    page.goto(f"{place.url}/admin/feeds/northlake-blog")
    page.get_by_role("button", name=re.compile("fetch now", re.IGNORECASE)).first.click()
    drain.run_until_idle(place.rt, ticking=False)
    page.goto(f"{place.url}/admin/feeds/northlake-blog")
    expect(page.locator("main")).to_contain_text("304")


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "dark")])
def test_pages_fit_the_screen_in_both_schemes(page: Page, place: Place, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 800})
    for path in ("/", "/subscribe", "/admin/login"):
        page.goto(place.url + path)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 1, f"{path} is {wider} px wider than a screen of {width}"


def test_the_keyboard_alone_is_enough(page: Page, place: Place) -> None:
    page.goto(place.url)
    page.keyboard.press("Tab")
    skip = page.evaluate("document.activeElement.textContent.trim()")
    assert "skip" in skip.lower()
    page.keyboard.press("Enter")
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.getAttribute('href') || document.activeElement.name || ''"))
    assert any("/papers/" in one for one in seen)
