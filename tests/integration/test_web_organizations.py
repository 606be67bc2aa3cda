"""Organisations on a paper's page: where its authors work, who they are, what follows an organisation; and in mails."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest

from services.domain.papers import AuthorData
from services.pipeline import views
from services.pipeline.views import Pick
from services.runtime import Runtime
from services.storage import archive
from tests.conftest import MakeRuntime
from tests.factories import add_feed, arxiv, entry, store
from tests.integration.web_site import Elements, Site

HOSTILE = """</li><script>alert(1)</script> "Lake" Lab"""
PEOPLE = (
    AuthorData(name="Ada Quill", affiliation=f"Northlake Institute; {HOSTILE}", orcid="0000-0002-1825-0097",
               ror="03yrm5c26", hf_user="quill"),
    AuthorData(name="Bram Osei", affiliation="Northlake Institute"),
)  # fmt: skip


@pytest.fixture
def rt(make_runtime: MakeRuntime) -> Runtime:
    rt = make_runtime()
    feed = add_feed(rt, "arxiv", "arxiv_api", paused=True)
    store(rt, [entry(1, authors=PEOPLE, citations=1234, categories=("cs.NA", "math.NA")), entry(2)], feed=feed)
    return rt


def test_the_page_says_who_where_and_how_to_follow_them(rt: Runtime) -> None:
    answer = Site(rt).get(f"/papers/{arxiv(1)}")
    page = Elements(answer.text)
    assert "<script>alert" not in answer.text
    links = [link["href"] or "" for link in page.named("a")]
    assert "https://orcid.org/0000-0002-1825-0097" in links
    assert "https://ror.org/03yrm5c26" in links
    assert "https://huggingface.co/quill" in links
    follow = "/subscribe?q=" + quote('organization:"Northlake Institute"', safe="")
    assert follow in links
    assert "Numerical Analysis" in page.text
    assert "1,234 works" in page.text
    assert Site(rt).get(follow).status_code == 200


def test_each_organisation_leads_to_its_papers(rt: Runtime) -> None:
    site = Site(rt)
    page = Elements(site.get(f"/papers/{arxiv(1)}").text)
    searches = {href for link in page.named("a") if (href := link["href"] or "").startswith("/?q=organization")}
    assert len(searches) == 2
    for search in searches:
        found = Elements(site.get(search).text)
        assert "part 1" in found.text, unquote(search)
        assert "part 2" not in found.text, unquote(search)


def test_a_paper_of_nobody_knows_whom_says_nothing_of_it(rt: Runtime) -> None:
    page = Elements(Site(rt).get(f"/papers/{arxiv(2)}").text)
    assert "Organizations" not in page.text
    assert "Cited by" not in page.text


def test_a_list_and_a_digest_name_the_one_most_authors_wrote_for(rt: Runtime) -> None:
    assert "Northlake Institute" in Elements(Site(rt).get("/").text).text
    with rt.reading() as session:
        paper = archive.get(session, str(arxiv(1)), now=rt.now())
    item = views.edition_item(rt, Pick(paper=paper, why=("new",), late=False), rt.now())
    assert item.organization == "Northlake Institute"
    assert item.categories == ("cs.NA",), "one list, though it has two names"
