"""Papers as files by the web, and as Zotero takes them from a page (unAPI)."""

from __future__ import annotations

import csv
import io
from xml.etree import ElementTree as ET

import pytest

from services.pipeline import feedback, views
from services.pipeline.subscribe import subscribe
from services.storage import subscribers
from tests.conftest import MakeRuntime
from tests.factories import add_feed, arxiv, entry, store
from tests.integration.web_site import Elements, Site

KEY = str(arxiv(1))


@pytest.fixture
def site(make_runtime: MakeRuntime) -> Site:
    rt = make_runtime()
    papers = [entry(1, journal_ref="J. Tides 7"), entry(2, title='=Moored "buoys"')]
    store(rt, papers, feed=add_feed(rt, "daily-papers"))
    return Site(rt)


def test_every_paper_of_a_page_can_be_taken_by_zotero(site: Site) -> None:
    """As its unAPI translator does: the server's address, the ids, the formats, then each in one of them."""
    page = Elements(site.get("/").text)
    (server,) = [link["href"] for link in page.named("link") if link.get("rel") == "unapi-server"]
    ids = [str(abbr["title"]) for abbr in page.named("abbr") if abbr.get("class") == "unapi-id"]
    assert ids == [KEY, str(arxiv(2))]
    known = {form.get("name"): form.get("type") for form in ET.fromstring(site.get(str(server)).content)}
    assert known == {
        "bibtex": "application/x-bibtex", "ris": "application/x-research-info-systems",
        "csl": "application/vnd.citationstyles.csl+json",
    }  # fmt: skip
    offered = site.get(str(server), params={"id": KEY})
    assert (offered.status_code, ET.fromstring(offered.content).get("id")) == (300, KEY)
    lines = site.get(str(server), params={"id": KEY, "format": "ris"}).text.split("\r\n")
    assert lines[0] == "TY  - JOUR"
    assert {"AU  - Quill, Ada", "AU  - Osei, Bram", "JO  - J. Tides 7", "PY  - 2026"} <= set(lines)


@pytest.mark.parametrize(
    ("query", "status"), [("?id=arxiv:2611.00000", 404), ("?id=x&format=ris", 404), (f"?id={KEY}&format=docx", 406),
                          ("?format=ris", 400)]
)  # fmt: skip
def test_unapi_refuses_as_its_specification_says(site: Site, query: str, status: int) -> None:
    assert site.get(f"/unapi{query}").status_code == status


def test_a_paper_page_says_how_it_is_cited_and_offers_files(site: Site) -> None:
    page = Elements(site.get(f"/papers/{KEY}").text)
    said = [(meta.get("name"), meta.get("content")) for meta in page.named("meta")]
    for tag in (
        ("citation_title", "Sparse lanterns for tidal inference, part 1"), ("citation_author", "Ada Quill"),
        ("citation_author", "Bram Osei"), ("citation_publication_date", "2026/11/23"),
        ("citation_journal_title", "J. Tides 7"), ("citation_arxiv_id", "2611.90001"),
        ("citation_pdf_url", "https://arxiv.org/pdf/2611.90001"),
    ):  # fmt: skip
        assert tag in said
    files = [str(a["href"]) for a in page.named("a") if str(a.get("href")).startswith("/export/")]
    assert len(files) == 3
    for path in files:
        answer = site.get(path)
        assert (answer.status_code, "Sparse lanterns" in answer.text) == (200, True)
        assert answer.headers["content-disposition"].startswith('attachment; filename="paper.')


def test_what_a_page_lists_comes_as_a_file_too(site: Site) -> None:
    rows = list(csv.DictReader(io.StringIO(site.get("/export/csv", params={"q": "buoys"}).text)))
    assert [row["title"] for row in rows] == ['\'=Moored "buoys"']  # no formula
    assert site.get("/export/bibtex?day=2026-11-24").text.count("@") == 2
    assert site.get("/export/csl?day=2026-11-01").json() == []


@pytest.mark.parametrize(
    ("path", "status"), [("docx", 404), ("ris?key=arxiv:2611.00000", 404), ("ris?q=(x", 400), ("ris?day=monday", 400)]
)
def test_a_file_that_cannot_be_made_is_refused(site: Site, path: str, status: int) -> None:
    assert site.get(f"/export/{path}").status_code == status


def test_what_a_reader_saved_is_theirs_as_a_file(site: Site) -> None:
    with site.rt.writing() as session:
        subscribe(site.rt, session, to="ada@example.org", confirmed=True)
    feedback.give(site.rt, 1, KEY, "save")
    with site.rt.reading() as session:
        path = views.own_links(site.rt, *subscribers.get_subscription(session, 1))["saved"]
    page = Elements(site.get(path).text)
    files = [str(a["href"]) for a in page.named("a") if str(a.get("href")).startswith("?file=")]
    assert files == ["?file=bibtex", "?file=ris", "?file=csl", "?file=csv"]
    for query in files:
        answer = site.get(path + query)
        assert "Sparse lanterns" in answer.text
        assert "buoys" not in answer.text
    assert site.get(f"{path}?file=docx").status_code == 400
