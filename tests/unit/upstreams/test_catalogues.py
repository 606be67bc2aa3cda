"""Catalogues: what Semantic Scholar, OpenAlex, Crossref, DataCite and OpenReview are asked, and how they are read."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from services.domain.errors import MalformedDocument, UpstreamRejected
from services.domain.identifiers import Identifier
from services.domain.lookups import Access, AskedPaper
from services.domain.papers import PaperData
from services.upstreams import catalogue_json, openreview
from services.upstreams.lookups import SERVICES

ARXIV = AskedPaper(identifiers=(Identifier("arxiv", "2611.90001"),), title="Lanterns over a tide")
BOTH = AskedPaper(
    identifiers=(Identifier("arxiv", "2611.90002"), Identifier("doi", "10.5555/tide(2026)1")), title="Reading the tide"
)
FORUM = AskedPaper(identifiers=(Identifier("openreview", "Fo26119001"),), title="Lanterns over a tide")


def read(name: str, body: Any, *asked: AskedPaper) -> list[PaperData | None]:
    return SERVICES[name].parse(body if isinstance(body, bytes) else json.dumps(body).encode(), asked)


def one(name: str, body: Any, asked: AskedPaper) -> PaperData:
    (paper,) = read(name, body, asked)
    assert paper is not None
    return paper


def query(name: str, *asked: AskedPaper, **access: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(SERVICES[name].request(asked, Access(url="https://x.example", **access)).url).query)


# -- what they are asked -------------------------------------------------------------------------------------------


def test_each_asks_about_all_papers_at_once() -> None:
    access = Access(url="https://x.example", key="k&1", contact="a+b@example.org")
    s2 = SERVICES["semantic_scholar"].request([ARXIV, BOTH], access)
    assert s2.json == {"ids": ["ARXIV:2611.90001", "ARXIV:2611.90002"]}
    assert s2.headers == {"x-api-key": "k&1"}
    alex = query("openalex", ARXIV, BOTH, key="k&1")
    assert alex["filter"] == [
        "doi:10.48550/arxiv.2611.90001|10.5555/tide(2026)1|10.48550/arxiv.2611.90002"
    ]  # fmt: skip
    assert (alex["per_page"], alex["api_key"]) == (["3"], ["k&1"])
    cross = query("crossref", BOTH, contact="a+b@example.org")
    assert (cross["filter"], cross["rows"]) == (["doi:10.5555/tide(2026)1"], ["1"])
    assert cross["mailto"] == ["a+b@example.org"]
    data = query("datacite", ARXIV, BOTH)
    assert data["query"] == ['doi:("10.48550/arxiv.2611.90001" OR "10.48550/arxiv.2611.90002")']
    assert data["page[size]"] == ["2"]
    note = SERVICES["openreview"].request([FORUM], access)
    assert (note.json, note.headers["Authorization"]) == ({"ids": ["Fo26119001"]}, "Bearer k&1")


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        (Identifier("doi", "10.5555/x"), "DOI:10.5555/x"), (Identifier("pmid", "77"), "PMID:77"),
        (Identifier("pmcid", "PMC88"), "PMCID:88"), (Identifier("s2", "99"), "CorpusId:99"),
    ],
)  # fmt: skip
def test_semantic_scholar_takes_several_names(identifier: Identifier, name: str) -> None:
    asked = AskedPaper(identifiers=(identifier,), title="x")
    assert SERVICES["semantic_scholar"].request([asked], Access(url="")).json == {"ids": [name]}


def test_a_batch_of_any_size_makes_an_address_that_servers_take() -> None:
    for service in SERVICES.values():
        some = {
            "doi": Identifier("doi", "10.1234567/" + "9" * 40), "arxiv": Identifier("arxiv", "2611.90001"),
            "openreview": Identifier("openreview", "Fo2611900123"),
        }  # fmt: skip
        names = tuple(some[scheme] for scheme in service.schemes if scheme in some)
        asked = [AskedPaper(identifiers=names, title="x")] * service.batch
        assert len(service.request(asked, Access(url="https://x.example", key="k", contact="a@b.example")).url) < 8_000


# -- what they say -------------------------------------------------------------------------------------------------

S2 = {
    "paperId": "f" * 40, "title": "Lanterns over a\n tide", "abstract": "We light lanterns.",
    "venue": "Journal of Tides",
    "journal": {"name": "J. Tides", "volume": "12", "pages": "1-9"}, "publicationVenue": {"name": "Journal of Tides"},
    "year": 2026, "citationCount": 41,
    "externalIds": {
        "ArXiv": "2611.90001", "DOI": "10.5555/TIDE.1", "PubMed": "0123", "PubMedCentral": "456", "CorpusId": 789,
        "DBLP": "journals/x",
    },
    "authors": [{"authorId": None, "name": "Ada Quill"}, {"name": None}, 3],
}  # fmt: skip


def test_semantic_scholar_answers_in_the_order_asked_with_holes() -> None:
    hole, paper = read("semantic_scholar", [None, S2], BOTH, ARXIV)
    assert hole is None
    assert paper is not None
    assert {str(name) for name in paper.identifiers} == {
        "arxiv:2611.90001", "doi:10.5555/tide.1", "pmid:123", "pmcid:PMC456", "s2:789",
    }  # fmt: skip
    assert (paper.title, paper.journal_ref, paper.citations) == (
        "Lanterns over a tide", "Journal of Tides 12, 2026", 41,
    )  # fmt: skip
    assert [author.name for author in paper.authors] == ["Ada Quill"]
    assert paper.published_at is None, "a catalogue says nothing of when it was first listed"


@pytest.mark.parametrize(
    "venue",
    [
        {"venue": "arXiv.org", "journal": {"name": "ArXiv", "volume": "abs/2611.90001"}},
        {"venue": "", "journal": None},
        {"venue": "bioRxiv", "journal": {}}, {"venue": None, "journal": []}, {"venue": "CoRR", "journal": None},
    ],
)  # fmt: skip
def test_a_preprint_server_is_no_venue(venue: dict[str, Any]) -> None:
    assert one("semantic_scholar", [S2 | {"publicationVenue": None} | venue], ARXIV).journal_ref is None


WORK: dict[str, Any] = {
    "id": "https://openalex.org/W1", "doi": "https://doi.org/10.5555/tide(2026)1", "title": "Reading the tide",
    "ids": {"pmid": "https://pubmed.ncbi.nlm.nih.gov/321", "pmcid": "https://www.ncbi.nlm.nih.gov/pmc/articles/99"},
    "publication_year": 2026, "biblio": {"volume": "4"}, "cited_by_count": 7, "is_retracted": True,
    "primary_location": {"source": {"display_name": "Letters on Tides", "type": "journal"}},
    "locations": [{"landing_page_url": "http://arxiv.org/abs/2611.90002v3"}, {"landing_page_url": None}, None],
    "authorships": [
        {
            "author": {"display_name": "Ada Quill", "orcid": "https://orcid.org/0000-0002-1825-0097"},
            "institutions": [
                {"display_name": "Northlake Institute", "ror": "https://ror.org/03yrm5c26"},
                {"display_name": "Tide & Lantern Lab", "ror": None},
            ],
        },
        {
            "author": {"display_name": "Bram Osei", "orcid": "https://orcid.org/0000-0002-1825-0098"},
            "institutions": [], "raw_affiliation_strings": ["Dept. of Tides, Porto"],
        },
        {"author": None},
    ],
}  # fmt: skip


def test_openalex_names_people_and_where_they_work() -> None:
    paper = one("openalex", {"results": [WORK]}, BOTH)
    first, second = paper.authors
    assert (first.affiliation, first.orcid, first.ror) == (
        "Northlake Institute; Tide & Lantern Lab", "0000-0002-1825-0097", "03yrm5c26",
    )  # fmt: skip
    assert (second.affiliation, second.orcid) == ("Dept. of Tides, Porto", None), "its check digit is wrong"
    assert {str(name) for name in paper.identifiers} == {"doi:10.5555/tide(2026)1", "pmid:321", "pmcid:PMC99"}
    assert (paper.journal_ref, paper.citations, paper.withdrawn) == ("Letters on Tides 4, 2026", 7, True)


def test_openalex_finds_a_preprint_in_the_work_that_merges_it() -> None:
    preprint = AskedPaper(identifiers=(Identifier("arxiv", "2611.90002"),), title="Reading the tide")
    assert one("openalex", {"results": [WORK]}, preprint).citations == 7
    assert read("openalex", {"results": [WORK]}, ARXIV) == [None]


def test_openalex_believes_the_articles_record_before_the_preprints_own() -> None:
    own = WORK | {"doi": "https://doi.org/10.48550/arxiv.2611.90002", "cited_by_count": 1}
    assert one("openalex", {"results": [own, WORK]}, BOTH).citations == 7
    source = {"source": {"display_name": "arXiv (Cornell University)", "type": "repository"}}
    assert one("openalex", {"results": [own | {"primary_location": source}]}, ARXIV_2).journal_ref is None


ARXIV_2 = AskedPaper(identifiers=(Identifier("arxiv", "2611.90002"),), title="Reading the tide")
ITEM: dict[str, Any] = {
    "DOI": "10.5555/TIDE(2026)1", "title": ["Reading <i>the</i> tide"], "type": "journal-article",
    "container-title": ["Letters on Tides"], "volume": "4", "issue": "2", "published": {"date-parts": [[2026, 11]]},
    "abstract": "<jats:p>We read <b>it</b>.</jats:p>", "is-referenced-by-count": 3,
    "author": [
        {"given": "Ada", "family": "Quill", "ORCID": "http://orcid.org/0000-0002-1825-0097",
         "affiliation": [{"name": "Northlake Institute"}]},
        {"name": "The Lantern Collaboration"}, {},
    ],
    "relation": {"has-preprint": [{"id-type": "doi", "id": "10.48550/arXiv.2611.90002", "asserted-by": "subject"}],
                 "is-referenced-by": [{"id-type": "doi", "id": "10.5555/another"}]},
}  # fmt: skip


def test_crossref_says_where_it_was_published_and_what_else_it_is() -> None:
    paper = one("crossref", {"message": {"items": [ITEM]}}, BOTH)
    assert [str(name) for name in paper.identifiers] == ["doi:10.5555/tide(2026)1", "arxiv:2611.90002"]
    assert (paper.title, paper.abstract) == ("Reading the tide", "We read it.")
    assert (paper.journal_ref, paper.citations) == ("Letters on Tides 4(2), 2026", 3)
    assert [(a.name, a.orcid, a.affiliation) for a in paper.authors] == [
        ("Ada Quill", "0000-0002-1825-0097", "Northlake Institute"), ("The Lantern Collaboration", None, None),
    ]  # fmt: skip
    assert paper.withdrawn is None


@pytest.mark.parametrize(
    ("more", "withdrawn"),
    [
        ({"updated-by": [{"type": "retraction", "DOI": "10.5555/r"}]}, True),
        ({"updated-by": [{"type": "correction"}, {"type": "withdrawal"}]}, True),
        ({"updated-by": [{"type": "erratum"}]}, None),
        # The notice of a retraction is not itself retracted.
        ({"update-to": [{"type": "retraction", "DOI": "10.5555/other"}]}, None),
        ({"updated-by": "retraction"}, None),
    ],
)
def test_crossref_tells_of_retractions(more: dict[str, Any], withdrawn: bool | None) -> None:
    assert one("crossref", {"message": {"items": [ITEM | more]}}, BOTH).withdrawn is withdrawn


def test_what_is_posted_is_not_published() -> None:
    article = {"is-preprint-of": [{"id-type": "doi", "id": "10.5555/j.1"}]}
    posted = ITEM | {"type": "posted-content", "relation": article}
    paper = one("crossref", {"message": {"items": [posted]}}, BOTH)
    assert (paper.journal_ref, str(paper.identifiers[1])) == (None, "doi:10.5555/j.1")


def test_datacite_names_the_article_a_preprint_became() -> None:
    attributes = {
        "doi": "10.48550/arXiv.2611.90001", "titles": [{"title": None}, {"title": "Lanterns over a tide"}],
        "creators": [
            {"name": "Quill, Ada", "givenName": "Ada", "familyName": "Quill", "affiliation": ["Northlake Institute"],
             "nameIdentifiers": [{"nameIdentifier": "https://orcid.org/0000-0002-1825-0097",
                                  "nameIdentifierScheme": "ORCID"}]},
            {"name": "Osei, Bram", "affiliation": [{"name": "Porto"}], "nameIdentifiers": None},
        ],
        "relatedIdentifiers": [
            {"relationType": "IsVersionOf", "relatedIdentifier": "10.5555/TIDE.1", "relatedIdentifierType": "DOI"},
            {"relationType": "IsCitedBy", "relatedIdentifier": "10.5555/no", "relatedIdentifierType": "DOI"},
            {"relationType": "IsVersionOf", "relatedIdentifier": "https://x.example", "relatedIdentifierType": "URL"},
        ],
    }  # fmt: skip
    hole, paper = read("datacite", {"data": [{"attributes": attributes}, {"attributes": None}]}, BOTH, ARXIV)
    assert hole is None
    assert paper is not None
    assert [str(name) for name in paper.identifiers] == ["arxiv:2611.90001", "doi:10.5555/tide.1"]
    assert [(a.name, a.orcid, a.affiliation) for a in paper.authors] == [
        ("Ada Quill", "0000-0002-1825-0097", "Northlake Institute"), ("Osei, Bram", None, "Porto"),
    ]  # fmt: skip


def note(venue: str | None, venue_id: str, *, old: bool = False) -> dict[str, Any]:
    content: dict[str, Any] = {
        "title": "Lanterns over a tide", "authors": ["Ada Quill"], "venue": venue, "venueid": venue_id
    }  # fmt: skip
    if not old:
        content = {name: {"value": value} for name, value in content.items()}
    return {"notes": [{"id": "Fo26119001", "forum": "Fo26119001", "content": content}]}


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(
    ("venue", "venue_id", "taken"),
    [
        ("ICLR 2027 oral", "ICLR.cc/2027/Conference", True), ("TMLR", "TMLR", True),
        ("Submitted to ICLR 2027", "ICLR.cc/2027/Conference", False),
        ("ICLR 2027 Conference Submission", "ICLR.cc/2027/Conference/Submission", False),
        ("ICLR 2027", "ICLR.cc/2027/Conference/Rejected_Submission", False),
        ("ICLR 2027 Conference Withdrawn Submission", "ICLR.cc/2027/Conference/Withdrawn_Submission", False),
        ("ICLR 2027 Conference Desk Rejected Submission", "ICLR.cc/2027/Conference/Desk_Rejected_Submission", False),
        ("Under review for TMLR", "TMLR/Under_Review", False), (None, "ICLR.cc/2027/Conference", False),
    ],
)  # fmt: skip
def test_openreview_decisions(venue: str | None, venue_id: str, taken: bool, old: bool) -> None:
    paper = one("openreview", note(venue, venue_id, old=old), FORUM)
    assert paper.journal_ref == (venue if taken else None)
    assert paper.withdrawn is None, "to be withdrawn from a venue is not to be withdrawn"


def test_openreview_wants_a_login() -> None:
    login = openreview.login(Access(url="https://x.example", user="me", key="pass"))
    assert (login.url, login.json) == ("https://x.example/login", {"id": "me", "password": "pass"})
    assert openreview.read_token(b'{"token": "abcd.efgh"}') == "abcd.efgh"
    for body in (b"{}", b'{"token": 3}', b'{"token": "a b\\r\\nc: d.........."}'):
        with pytest.raises(UpstreamRejected, match="OPENREVIEW_USER"):
            openreview.read_token(body)


# -- what is none ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(SERVICES))
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b"3", b'"x"', b"{}", b"[]", b'{"results": null}', b"[" * 100_000]
)
def test_what_is_no_answer_is_refused_in_words(name: str, body: bytes) -> None:
    with pytest.raises(MalformedDocument, match="expected"):
        read(name, body, ARXIV)


def test_an_answer_of_another_length_says_nothing_of_anybody() -> None:
    with pytest.raises(MalformedDocument, match="expected 2 answers, found 1"):
        read("semantic_scholar", [S2], ARXIV, BOTH)


JUNK: list[Any] = [None, 3, "x", [], {}, True, -1, 1e400, [[]], {"a": 1}, "\ud800", "10.5555/x", [None], 2**80]


@pytest.mark.parametrize(
    ("name", "wrap", "whole"),
    [
        ("semantic_scholar", lambda x: [x], S2), ("openalex", lambda x: {"results": [x]}, WORK),
        ("crossref", lambda x: {"message": {"items": [x]}}, ITEM),
        ("openreview", lambda x: {"notes": [x]}, note("TMLR", "TMLR")["notes"][0]),
    ],
)  # fmt: skip
def test_any_field_may_be_of_any_type(name: str, wrap: Any, whole: dict[str, Any]) -> None:
    asked = {"semantic_scholar": ARXIV, "openreview": FORUM}.get(name, BOTH)
    for field in whole:
        for junk in JUNK:
            (paper,) = read(name, wrap(whole | {field: junk}), asked)
            assert paper is None or (paper.title and all(author.name for author in paper.authors)), (field, junk)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0000-0002-1825-0097", "0000-0002-1825-0097"),
        ("https://orcid.org/0000-0002-1694-233x", "0000-0002-1694-233X"),
        ("0000-0002-1825-0098", None), ("0000-0002-1825", None), (7, None), ("", None),
    ],
)  # fmt: skip
def test_an_orcid_has_a_check_digit(given: object, kept: str | None) -> None:
    assert catalogue_json.orcid_of(given) == kept
