"""A site on loopback with a day's papers in it, and a real browser to walk through it: one of each for all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from services.domain.jobs import NewJob
from services.domain.tokens import PAPER_PURPOSES, PURPOSES, make_paper_token, make_token
from services.pipeline import drain, schedule
from services.pipeline.subscribe import subscribe, sync_catalogue
from services.runtime import Runtime
from services.storage import jobs
from services.storage.tables import Delivery, Job
from tests.conftest import new_runtime
from tests.factories import all_rows
from tests.integration.web_site import routes
from workers.demo.catalogue import demo_feeds_toml
from workers.demo.replay import Replay
from workers.embedded import WebServer
from workers.web.app import make_web

PASSWORD = "open lanterns at dusk"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
NO_PAGES = (
    "/favicon.ico", "/robots.txt", "/healthz", "/readyz", "/metrics", "/openapi.json", "/static", "/api/", "/feeds/",
    "/export/", "/unapi",
)  # fmt: skip
"""What is no page."""

Window = Callable[..., Page]


@dataclass(frozen=True)
class Place:
    """The site under test."""

    rt: Runtime
    url: str
    replay: Replay
    inside: dict[str, Any] = field(default_factory=dict)
    """What the browser of somebody who has logged in as the administrator holds."""

    def pages(self) -> list[str]:
        """Every page: of the public, of one reader, of an operator; parameters filled with what there is."""
        rt = self.rt
        with rt.writing() as session:
            subscription, subscriber = subscribe(rt, session, to="page@example.org", query="", confirmed=True)
            row, version = subscription.id or 0, subscriber.token_version
        dead = all_rows(rt, Job, state="dead")
        found = ["/?day=2020-01-01", "/?q=title:(", "/nowhere", "/papers/arxiv:2611.00001"]
        if dead:
            found += [f"/admin/runs/{dead[0].id}", f"/admin/failures?signature={dead[0].signature}"]
        for method, path in routes(make_web(rt)):
            purpose = path.split("/")[1]
            if method != "GET" or path.startswith(NO_PAGES) or path.endswith("/bundle"):
                continue
            if path.endswith("/1") and purpose in PAPER_PURPOSES:
                path = f"/{purpose}/{make_paper_token(rt.secret, purpose, row, version, 1)}"
            elif path.endswith("/1") and purpose in PURPOSES:
                path = f"/{purpose}/{make_token(rt.secret, purpose, 1 if purpose == 'edition' else row, version)}"
            found.append(path.replace("/admin/feeds/1", "/admin/feeds/daily-papers"))
        return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless; without one the tests are skipped, in CI they fail."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        reason = "no Chromium on PATH (apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def window(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Window]:
    """Fresh windows; one that meets a script error or a refused resource fails the test. `inside`: logged in."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def open_one(*, inside: bool = False, **options: Any) -> Page:
        if inside:
            options["storage_state"] = request.getfixturevalue("place").inside
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not [problem for problem in problems if "status of 4" not in problem]


@pytest.fixture
def page(window: Window) -> Page:
    """A fresh window of somebody who has not logged in."""
    return window()


@pytest.fixture(scope="session")
def place(browser: Browser, tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Place]:
    """The demo's papers, fetched for real from the replay, served on a free port; an edition was sent, one of its
    deliveries failed, and a run was given up."""
    home = tmp_path_factory.mktemp("site")
    with Replay(first_call_faults=False) as replay, ExitStack() as stack:
        (home / "feeds.toml").write_text(demo_feeds_toml(replay.base_url), encoding="utf-8")
        rt = new_runtime(
            home, migrated_sqlite, replay=replay, admin_password=PASSWORD, github_token="token",
            mail_from="b@papers.example",
        )  # fmt: skip
        stack.callback(rt.close)
        with rt.writing() as session:
            sync_catalogue(rt, session, rt.catalogue())
        drain.run_until_idle(rt)
        server = WebServer(make_web(rt), host="127.0.0.1", port=0)
        server.start()
        stack.callback(server.stop)
        object.__setattr__(rt.settings, "public_url", f"http://127.0.0.1:{server.port}")
        _give_it_a_past(rt)
        place = Place(rt=rt, url=f"http://127.0.0.1:{server.port}", replay=replay)
        context = browser.new_context()
        log_in(context.new_page(), place)
        place.inside.update(context.storage_state())
        context.close()
        yield place


def log_in(page: Page, place: Place) -> None:
    """As the administrator."""
    page.goto(f"{place.url}/admin/login")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url("**/admin")


def send_edition(rt: Runtime, subscription_id: int) -> None:
    """Compose what there is for a subscription, and send it."""
    job = schedule.edition_job(subscription_id, "daily", "UTC", rt.now())
    rt.add_jobs([NewJob(kind=job.kind, key=job.key, payload={**job.payload, "now": True})])
    drain.run_until_idle(rt, ticking=False)


def _give_it_a_past(rt: Runtime) -> None:
    with rt.writing() as session:
        subscription, _ = subscribe(rt, session, to="past@example.org", query="", confirmed=True)
    send_edition(rt, subscription.id or 0)
    with rt.writing() as session:
        delivery = session.get(Delivery, all_rows(rt, Delivery)[-1].id)
        assert delivery is not None
        delivery.state, delivery.code, delivery.detail = "failed", "550", "5.1.1 nobody of that name"
        session.add(delivery)
    rt.add_jobs([NewJob(kind="fetch_feed", key="daily-papers lost", payload={"feed": "daily-papers"})])
    with rt.writing() as session:
        claim = jobs.claim(session, now=rt.now(), lease=timedelta(minutes=5), worker="lab:7", stages=["fetch"])
        assert claim is not None
        jobs.bury(
            session, claim, now=rt.now(), error="UpstreamRejected: 410 gone", signature="UpstreamRejected 410: gone",
            traceback="Traceback: line 7",
        )  # fmt: skip
