"""What a person does with the pages, in a real browser: reading, subscribing, tuning, leaving, operating."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage

import pytest
from playwright.sync_api import Page, expect

from services.domain.users import Actor
from services.pipeline import drain, operate
from services.storage import subscribers
from services.storage.tables import Feedback
from tests.browser.conftest import Place, Window, send_edition
from tests.factories import all_rows
from tests.servers import wait_until

pytestmark = pytest.mark.timeout(240)


def _mails(place: Place, to: str) -> list[EmailMessage]:
    """What was sent to somebody, oldest first."""
    messages = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in sorted(place.rt.settings.outbox.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
    ]
    return [message for message in messages if to in str(message["to"])]


def _mail(place: Place, to: str, *, had: int = 0) -> str:
    """The plain text of the newest mail to somebody who had so many before; a page may be answered before its mail
    leaves."""
    wait_until(lambda: len(_mails(place, to)) > had, within_s=20, what=f"mail {had + 1} to {to}")
    newest = _mails(place, to)[-1]
    body = newest.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def _link(place: Place, text: str, purpose: str) -> str:
    found = re.search(rf"{re.escape(place.url)}/{purpose}/[^\s>)\]]+", text)
    assert found, f"no link to {purpose} in the mail"
    return found[0]


def _press(page: Page) -> None:
    with page.expect_navigation():
        page.locator("main form button").first.click()


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


def test_a_reader_subscribes_confirms_gets_a_digest_wants_less_of_a_paper_pauses_and_leaves(
    page: Page, place: Place
) -> None:
    rt, address = place.rt, "ada@example.org"

    def theirs() -> list[tuple[str, str]]:
        with rt.reading() as session:
            rows = subscribers.list_subscriptions(session)
        return [(person.state, wish.state) for wish, person in rows if person.address == address]

    page.goto(f"{place.url}/subscribe")
    page.locator("input[type=email]").fill(address)
    page.wait_for_timeout(2_100)  # a form sent quicker than a person types is taken for a machine's
    with page.expect_navigation():
        page.locator("main form button[type=submit], main form button:not([type])").last.click()
    expect(page.locator("main")).to_contain_text(re.compile("mail", re.IGNORECASE))

    page.goto(_link(place, _mail(place, address), "confirm"))
    assert theirs() == [("pending", "pending")]  # opening it changes nothing: mail scanners open links, too
    _press(page)
    assert theirs() == [("active", "active")]

    with rt.reading() as session:
        (wish,) = [wish for wish, person in subscribers.list_subscriptions(session) if person.address == address]
    had = len(_mails(place, address))
    send_edition(rt, wish.id or 0)
    digest = _mail(place, address, had=had)
    page.goto(_link(place, digest, "less"))
    said_before = len(all_rows(rt, Feedback))
    _press(page)
    assert len(all_rows(rt, Feedback)) == said_before + 1

    page.goto(_link(place, digest, "pause"))
    _press(page)
    with rt.reading() as session:
        kept, _ = subscribers.get_subscription(session, wish.id or 0)
        assert kept.state == "paused" or kept.paused_until is not None

    page.goto(_link(place, digest, "unsubscribe"))
    _press(page)
    assert theirs() == []


def test_an_operator_sees_a_broken_feed_re_drives_what_failed_and_sees_it_heal(window: Window, place: Place) -> None:
    rt = place.rt
    place.replay.is_down("/blog/feed.xml", 404)
    operate.fetch_feed(rt, Actor(name="test", role="admin", origin="command"), "northlake-blog")
    drain.run_until_idle(rt, ticking=False)

    page = window(inside=True)
    page.goto(f"{place.url}/admin")
    expect(page.locator("#verdict")).to_contain_text("given up")
    page.locator("#failures th a", has_text="blog/feed.xml").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("404")
    page.clock.install()
    page.get_by_role("button", name="Try one").click()
    drain.run_until_idle(rt, ticking=False)
    page.clock.run_for(6_000)  # it keeps itself fresh
    expect(page.locator("main")).to_contain_text("The cause still holds")

    place.replay.is_up("/blog/feed.xml")
    page.get_by_role("button", name="Try another one").click()
    drain.run_until_idle(rt, ticking=False)
    page.reload()
    expect(page.locator("main")).to_contain_text("Nothing is given up for this cause any more")
    page.goto(f"{place.url}/admin/feeds/northlake-blog")
    expect(page.locator("dl.facts")).to_contain_text("complete")
    expect(page.locator("main")).to_contain_text("304")


def test_the_operators_page_keeps_itself_fresh(window: Window, place: Place) -> None:
    page = window(inside=True)
    page.clock.install()
    page.goto(f"{place.url}/admin")
    row = page.locator("#sources tr", has_text="Daily Papers").first
    expect(row).to_contain_text("complete")
    boss = Actor(name="test", role="admin", origin="command")
    operate.pause_feed(place.rt, boss, "daily-papers")
    page.clock.run_for(6_000)
    expect(row).to_contain_text("paused")
    expect(page.locator("#changes")).to_contain_text("pause feed")
    operate.resume_feed(place.rt, boss, "daily-papers")


def test_an_operator_adds_a_feed_after_a_look_at_it_and_removes_it(window: Window, place: Place) -> None:
    page = window(inside=True)
    page.goto(f"{place.url}/admin/feeds")
    page.locator("#url").fill(f"{place.replay.base_url}/nothing/here.xml")
    page.get_by_role("button", name="Look at it first").click()
    expect(page.get_by_role("alert")).to_contain_text("404")
    page.locator("#url").fill(place.replay.urls()["BLOG_FEED_URL"] + "?again")
    page.locator("#feed-name").fill("another")
    page.get_by_role("button", name="Look at it first").click()
    expect(page.locator(".preview")).to_contain_text("papers in it now")
    page.get_by_role("button", name="Add another").click()
    expect(page.get_by_role("status")).to_contain_text("another is added")
    page.get_by_role("button", name="Remove another").click()
    expect(page.get_by_role("status")).to_contain_text("polled no more")


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "dark")])
def test_pages_fit_the_screen_in_both_schemes(window: Window, place: Place, width: int, scheme: str) -> None:
    page = window(inside=True, color_scheme=scheme, viewport={"width": width, "height": 800})
    for path in ("/", "/subscribe", "/admin", "/admin/runs", "/admin/feeds", "/admin/feeds/daily-papers"):
        page.goto(place.url + path)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 1, f"{path} is {wider} px wider than a screen of {width}"
