"""The content security policy, as a real browser sees it: no page of ours breaks it, and no page complains of
anything.
"""

# ruff: noqa: E501 (scripts of one line)

from __future__ import annotations

from playwright.sync_api import Browser

from tests.browser.conftest import Place, Window

LISTEN = """
window.refused = [];
document.addEventListener("securitypolicyviolation", e => refused.push(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
"""


def test_no_page_breaks_the_policy_or_complains(window: Window, place: Place) -> None:
    page = window(inside=True)
    page.context.add_init_script(LISTEN)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    page.on(
        "console",
        lambda said: (
            complaints.append(f"{page.url}: {said.text}")
            if said.type in {"error", "warning"} and "status of 4" not in said.text
            else None
        ),
    )
    page.on(
        "requestfailed",
        lambda asked: (
            None  # what was still on its way when we went on to the next page
            if "ERR_ABORTED" in (asked.failure or "")
            else complaints.append(f"{page.url}: {asked.url} failed")
        ),
    )
    seen = 0
    for path in place.pages():
        answer = page.goto(place.url + path)
        assert answer is not None
        assert answer.status < 500, path
        assert page.evaluate("window.refused") == [], path
        assert page.evaluate("document.querySelectorAll('[style],script:not([src]),style').length") == 0, path
        seen += answer.ok
    assert not complaints
    assert seen >= 20


def test_the_browser_refuses_what_a_page_of_ours_must_never_hold(browser: Browser, place: Place) -> None:
    context = browser.new_context()
    context.add_init_script(LISTEN)
    page = context.new_page()
    page.goto(place.url)
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.owned = 1\"><p style=\"color:red\">')"
    )
    page.wait_for_function("window.refused.length >= 2")
    assert page.evaluate("window.owned") is None
    context.close()
