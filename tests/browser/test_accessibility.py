"""Who cannot see, or has no mouse: axe-core finds nothing serious on any page, and the keyboard alone is enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, Place, Window

pytestmark = pytest.mark.timeout(240)

GRAVE = {"serious", "critical"}
FRAGMENTS = ("/admin/look", "/subscribe/preview")
"""Parts of pages, put into them by script."""
FOCUS = """() => {
  const it = document.activeElement, box = it.getBoundingClientRect(), style = getComputedStyle(it);
  return {tag: it.tagName, name: (it.getAttribute("aria-label") || it.textContent || it.name || "").trim().slice(0, 60),
          seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.width > 0 && box.height > 0,
          top: box.top + scrollY, left: box.left, href: it.getAttribute("href") || ""};
}"""


def _violations(page: Page, options: Mapping[str, Any]) -> Iterator[str]:
    for found in Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]:
        if found["impact"] in GRAVE:
            for node in found["nodes"]:
                yield f"{found['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"


def test_no_page_has_a_serious_fault_in_light_or_dark(window: Window, place: Place) -> None:
    page = window(inside=True)
    faults: list[str] = []
    looked: set[str] = set()
    for path in place.pages():
        page.emulate_media(color_scheme="light")
        answer = page.goto(place.url + path)
        assert answer is not None
        kind = page.title() if answer.status < 400 else f"{answer.status}"  # one of each: they share their template
        if path in FRAGMENTS or kind in looked or not answer.headers["content-type"].startswith("text/html"):
            continue
        looked.add(kind)
        faults += [f"{path}, light: {fault}" for fault in _violations(page, {})]
        page.emulate_media(color_scheme="dark")  # the same page in other colours
        colours = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
        faults += [f"{path}, dark: {fault}" for fault in _violations(page, colours)]
    assert not faults, "\n".join(faults)
    assert len(looked) >= 30, sorted(looked)


@pytest.mark.parametrize("path", ["/", "/subscribe", "/admin", "/admin/runs"])
def test_the_tab_key_goes_through_a_page_in_reading_order_and_is_always_seen(
    window: Window, place: Place, path: str
) -> None:
    page = window(inside=path.startswith("/admin"))
    page.goto(place.url + path)
    page.keyboard.press("Tab")
    assert "skip" in page.evaluate(FOCUS)["name"].lower()
    stops = []
    for _ in range(25):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUS)
        if stop["tag"] == "BODY":  # past the end
            break
        stops.append(stop)
    assert len(stops) > 8
    assert all(stop["seen"] for stop in stops), [stop for stop in stops if not stop["seen"]]
    # Down the page, or along a line: a stop that jumps up by more than a line would lose the reader.
    rises = [(one["name"], two["name"]) for one, two in pairwise(stops) if two["top"] < one["top"] - 60]
    assert len(rises) <= 1, rises  # a second column begins at its top


def test_the_skip_link_skips(page: Page, place: Place) -> None:
    page.goto(place.url)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    inside = page.evaluate("document.querySelector('main').contains(document.activeElement)")
    assert inside


def test_an_operator_gets_in_and_acts_by_the_keyboard_alone(page: Page, place: Place) -> None:
    page.goto(f"{place.url}/admin/login")
    expect(page.locator("input[name=password]")).to_be_focused()  # from the beginning
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin")
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUS)["name"] == "Pause daily-papers":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("daily-papers is paused")
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUS)["name"] == "Resume daily-papers":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("daily-papers is polled again")
