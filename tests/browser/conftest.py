"""A site on loopback with a day's papers in it, and a real browser to walk through it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from services.pipeline import drain
from services.pipeline.subscribe import sync_catalogue
from services.runtime import Runtime
from tests.conftest import MakeRuntime
from workers.demo.catalogue import demo_feeds_toml
from workers.demo.replay import Replay
from workers.embedded import WebServer
from workers.web.app import make_web

PASSWORD = "open lanterns at dusk"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass(frozen=True)
class Place:
    """The site under test."""

    rt: Runtime
    url: str
    replay: Replay


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
def page(browser: Browser) -> Iterator[Page]:
    """A fresh window that fails the test on a script error or a refused resource."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    unexpected = [problem for problem in problems if "status of 4" not in problem]
    assert not unexpected


@pytest.fixture
def place(make_runtime: MakeRuntime) -> Iterator[Place]:
    """The demo's papers, fetched for real from the replay, served on a free port."""
    with Replay(first_call_faults=False) as replay:
        rt = make_runtime(
            replay=replay, real_time=True, admin_password=PASSWORD, github_token="token", mail_from="b@papers.example"
        )
        feeds = rt.settings.home / "feeds.toml"
        feeds.write_text(demo_feeds_toml(replay.base_url), encoding="utf-8")
        with rt.writing() as session:
            sync_catalogue(rt, session, rt.catalogue())
        drain.run_until_idle(rt)
        server = WebServer(make_web(rt), host="127.0.0.1", port=0)
        server.start()
        object.__setattr__(rt.settings, "public_url", f"http://127.0.0.1:{server.port}")
        yield Place(rt=rt, url=f"http://127.0.0.1:{server.port}", replay=replay)
        server.stop()
