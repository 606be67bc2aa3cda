"""Hostile strings in everything a site holds: what its pages, feeds and answers are made of once a browser
has read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.attacks.sites import CALM, fill, runtime
from tests.attacks.strings import EVALUATED, STRINGS, URLS, check_json, check_page, elements
from tests.integration.web_site import Site, routes

PAPER_PAGES = {name: f"/papers/arxiv:2611.{90001 + n}" for n, name in enumerate(STRINGS)}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[tuple[Site, Site]]:
    """The hostile site and its harmless twin, an operator logged in to both; they are only looked at."""
    folder = tmp_path_factory.mktemp("attacked")
    hostile, calm = runtime(folder / "hostile", migrated_sqlite), runtime(folder / "calm", migrated_sqlite)
    fill(hostile, list(STRINGS.values()), list(URLS))
    fill(calm, [CALM] * len(STRINGS), ["https://x.example/"])
    found = Site(hostile), Site(calm)
    for site in found:
        assert site.login().status_code == 303
    yield found
    hostile.close()
    calm.close()


@pytest.fixture(scope="module")
def allowed(sites: tuple[Site, Site]) -> set[tuple[str, str]]:
    """Every element and attribute that any page of the harmless site has."""
    found = set()
    for path in pages(sites[1]):
        answer = sites[1].get(path)
        if "html" in answer.headers.get("content-type", ""):
            found |= elements(answer.text)
    return found


def pages(site: Site) -> list[str]:
    """Every page there is to look at, parameters filled with what this site has."""
    found = [path for method, path in routes(site.app) if method == "GET" and "bundle" not in path]
    return [
        *found,
        *PAPER_PAGES.values(),
        "/admin/feeds/daily-papers",
        "/?page=2",
        "/?day=2026-11-24",
        "/?q=calm",
        "/feeds/all.atom",
        "/feeds/daily-papers.atom",
        "/editions/1",
        "/papers/arxiv:2611.90001",
        "/api/v1/papers?limit=100",
        "/api/v1/feeds",
    ]


def check_atom(body: bytes) -> None:
    """A feed of well-formed XML with texts only, and addresses one may follow."""
    assert EVALUATED.encode() not in body
    for element in ET.fromstring(body).iter():
        assert element.tag.startswith("{http://www.w3.org/2005/Atom}"), element.tag
        assert element.get("type") in {None, "text", "text/html", "application/atom+xml", "application/pdf"}
        assert re.match(r"https?://[^\s@]+\Z", element.get("href", "https://x")), element.attrib


def test_every_page_is_inert(sites: tuple[Site, Site], allowed: set[tuple[str, str]]) -> None:
    looked = 0
    for path in pages(sites[0]):
        answer = sites[0].get(path)
        kind = answer.headers.get("content-type", "")
        assert answer.status_code < 500, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        if "html" in kind:
            check_page(answer.text, allowed)
        elif "atom" in kind:
            check_atom(answer.content)
        elif "json" in kind and not path.startswith("/openapi"):
            check_json(answer.json(), raw=True)
        looked += answer.status_code == 200
    assert looked > 60


@pytest.mark.parametrize("name", STRINGS)
def test_a_papers_page(name: str, sites: tuple[Site, Site], allowed: set[tuple[str, str]]) -> None:
    answer = sites[0].get(PAPER_PAGES[name])
    assert answer.status_code == 200
    check_page(answer.text, allowed)


@pytest.mark.parametrize("name", STRINGS)
def test_what_a_stranger_types_is_shown_as_text(
    name: str, sites: tuple[Site, Site], allowed: set[tuple[str, str]]
) -> None:
    text = STRINGS[name].encode("utf-8", "ignore").decode()[:1_500]
    for path, field in (("/", "q"), ("/subscribe", "q"), ("/admin/runs", "state"), ("/feeds/all.atom", "q")):
        answer = sites[0].get(path, params={field: text})
        assert answer.status_code < 500, (path, answer.status_code)
        kind = answer.headers.get("content-type", "")
        if "html" in kind and answer.text.strip():
            check_page(answer.text, allowed)
        elif "atom" in kind:
            check_atom(answer.content)
        elif answer.text.strip():
            assert "html" not in kind
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_strangers_form_comes_back_as_text(sites: tuple[Site, Site], allowed: set[tuple[str, str]]) -> None:
    for text in list(STRINGS.values())[::3]:
        text = text.encode("utf-8", "ignore").decode()[:1_500]
        form = {"email": text, "query": text, "cadence": text, "at": text, "timezone": text, "budget": text}
        answer = sites[0].post("/subscribe", form, csrf_from="/subscribe")
        assert answer.status_code in {400, 429}
        check_page(answer.text, allowed)
        answer = sites[0].get(f"/papers/{text[:200]}") if not re.search(r"[\x00-\x20]", text) else answer
        assert answer.status_code < 500
        check_page(answer.text, allowed)
