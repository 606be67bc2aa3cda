"""The content security policy, as a real browser sees it: no page of ours breaks it, and no page complains of
anything.
"""

# ruff: noqa: E501 (scripts of one line)

from __future__ import annotations

from playwright.sync_api import Browser

from services.domain.tokens import PAPER_PURPOSES, make_paper_token, make_token
from services.pipeline.subscribe import subscribe
from tests.browser.conftest import PASSWORD, Place
from tests.integration.web_site import routes
from workers.web.app import make_web

LISTEN = """
window.refused = [];
document.addEventListener("securitypolicyviolation", e => refused.push(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
"""
FILES = (
    "/favicon.ico",
    "/robots.txt",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/static",
    "/api/",
    "/feeds/",
)
"""What is no page."""


def pages(place: Place) -> list[str]:
    """Every page: of the public, of one reader, of an operator; parameters filled with what there is."""
    rt = place.rt
    with rt.writing() as session:
        subscription, subscriber = subscribe(rt, session, to="ada@example.org", query="", confirmed=True)
        row, version = subscription.id or 0, subscriber.token_version
    found = ["/?day=2020-01-01", "/?q=title:(", "/nowhere", "/papers/arxiv:2611.00001"]
    for method, path in routes(make_web(rt)):
        purpose = path.split("/")[1]
        if method != "GET" or path.startswith(FILES) or path.endswith("/bundle"):
            continue
        if path.count("/") == 2 and path.endswith("/1") and purpose in PAPER_PURPOSES:
            path = f"/{purpose}/{make_paper_token(rt.secret, purpose, row, version, 1)}"
        elif (
            path.count("/") == 2
            and path.endswith("/1")
            and purpose in {"confirm", "unsubscribe", "pause", "preferences", "saved"}
        ):
            path = f"/{purpose}/{make_token(rt.secret, purpose, row, version)}"
        found.append(path.replace("/admin/feeds/1", "/admin/feeds/daily-papers"))
    return found


def test_no_page_breaks_the_policy_or_complains(browser: Browser, place: Place) -> None:
    context = browser.new_context()
    context.add_init_script(LISTEN)
    window = context.new_page()
    complaints: list[str] = []
    window.on("pageerror", lambda error: complaints.append(f"{window.url}: {error}"))
    window.on(
        "console",
        lambda said: (
            complaints.append(f"{window.url}: {said.text}")
            if said.type in {"error", "warning"} and "status of 4" not in said.text
            else None
        ),
    )
    window.on("requestfailed", lambda asked: complaints.append(f"{window.url}: {asked.url} failed"))
    window.goto(f"{place.url}/admin/login")
    window.locator("input[name=password]").fill(PASSWORD)
    window.locator("input[name=password]").press("Enter")
    window.wait_for_url("**/admin")
    seen = 0
    for path in pages(place):
        answer = window.goto(place.url + path)
        assert answer is not None
        assert answer.status < 500, path
        assert window.evaluate("window.refused") == [], path
        assert window.evaluate("document.querySelectorAll('[style],script:not([src]),style').length") == 0, path
        seen += answer.ok
    assert not complaints
    assert seen >= 20

    # The listener hears: the same browser refuses what a page of ours must never hold.
    window.goto(place.url)
    window.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.owned = 1\"><p style=\"color:red\">')"
    )
    window.wait_for_function("window.refused.length >= 2")
    assert window.evaluate("window.owned") is None
    context.close()
