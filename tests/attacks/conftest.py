"""Sites that the cases of one module share: none of them leaves a trace that another could see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.sites import runtime
from tests.factories import add_feed
from tests.integration.web_site import Site


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Site]:
    """One site with one feed, an operator logged in to it; its server's thread is kept from case to case."""
    rt = runtime(tmp_path_factory.mktemp("shared") / "home", migrated_sqlite)
    add_feed(rt, "daily-papers")
    site = Site(rt)
    with site.browser:
        assert site.login().status_code == 303
        yield site
    rt.close()


@pytest.fixture
def stranger(shared: Site, request: pytest.FixtureRequest) -> Iterator[Site]:
    """The same site as somebody sees it who has no cookie, at an address of their own."""
    number = abs(hash(request.node.nodeid)) % 60_000
    site = Site(shared.rt, client=f"198.18.{number // 250}.{number % 250 + 1}", app=shared.app)
    with site.browser:
        yield site
