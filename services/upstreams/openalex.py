"""OpenAlex: the authors' ORCID and institutions, citations, the venue, retractions.

One GET for up to 50 papers, by their DOIs. The order of the answer is its own: what is asked for is found again by
DOI. A work that merges preprint and article carries the article's DOI and lists the preprint among its locations.

Source: developers.openalex.org, "Filter works", "Work object".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from services.domain.identifiers import Identifier, identifiers_from_url
from services.domain.lookups import Access, AskedPaper, LookupRequest
from services.domain.papers import AuthorData, PaperData
from services.upstreams.catalogue_json import (
    author,
    authors_of,
    digits_identifier,
    doi_identifier,
    listed,
    present,
    venue_of,
    year_of,
)
from services.upstreams.json_values import as_count, as_list, as_object, as_text, inside

NAME = "openalex"
BATCH = 50
"""Each may be asked for by two DOIs, and a filter takes a hundred values."""
SCHEMES = ("doi", "arxiv")
_SELECT = "id,doi,ids,title,publication_year,primary_location,locations,authorships,cited_by_count,is_retracted,biblio"


def request(asked: Sequence[AskedPaper], access: Access) -> LookupRequest:
    """One request for these papers."""
    # A comma or bar would end the value; neither is in a DOI that a publisher of ours registers.
    dois = [doi for paper in asked for doi in paper.dois[:2] if not set(doi) & set(",|")]
    values = quote("|".join(dois), safe="/|")
    # The key has no other place than the address; what is logged of an address is its path.
    key = f"&api_key={quote(access.key, safe='')}" if access.key else ""
    return LookupRequest(url=f"{access.url}/works?filter=doi:{values}&per_page={len(dois) or 1}&select={_SELECT}{key}")


def parse(body: bytes, asked: Sequence[AskedPaper]) -> list[PaperData | None]:
    """One answer for each paper asked, in their order; `None` for those not known."""
    works: dict[Identifier, PaperData] = {}
    for item in listed(body, "results", expected="a list of works"):
        work = as_object(item)
        paper = _paper(work)
        if paper is None:
            continue
        for name in (*paper.identifiers, *_places(work)):
            works.setdefault(name, paper)
    return [_answer(paper, works) for paper in asked]


def _answer(paper: AskedPaper, works: dict[Identifier, PaperData]) -> PaperData | None:
    """A publisher's record before the preprint's own: it names the venue."""
    names = sorted(paper.identifiers, key=lambda one: one.scheme != "doi")
    return next((works[name] for name in names if name in works), None)


def _paper(work: Any) -> PaperData | None:
    title = as_text(work.get("title"), 2_000)
    if not title:
        return None
    ids = as_object(work.get("ids"))
    return PaperData(
        identifiers=present(
            doi_identifier(work.get("doi")),
            digits_identifier("pmid", ids.get("pmid")),
            digits_identifier("pmcid", ids.get("pmcid")),
        ),
        title=title,
        authors=authors_of(work.get("authorships"), lambda one: _author(as_object(one))),
        journal_ref=_venue(work),
        citations=as_count(work.get("cited_by_count")),
        withdrawn=True if work.get("is_retracted") is True else None,
    )


def _author(authorship: Any) -> AuthorData | None:
    person = as_object(authorship.get("author"))
    places = [as_object(one) for one in as_list(authorship.get("institutions"))]
    return author(
        person.get("display_name"),
        places=[place.get("display_name") for place in places] or as_list(authorship.get("raw_affiliation_strings")),
        orcid=person.get("orcid"),
        ror=places[0].get("ror") if places else None,
    )


def _venue(work: Any) -> str | None:
    source = as_object(as_object(work.get("primary_location")).get("source"))
    if source.get("type") == "repository":
        return None
    name = venue_of(source.get("display_name"))
    if name is None:
        return None
    volume, year = as_text(inside(work, "biblio", "volume"), 30), year_of(work.get("publication_year"))
    name += f" {volume}" if volume else ""
    return f"{name}, {year}" if year else name


def _places(work: Any) -> tuple[Identifier, ...]:
    """The papers that a work's other locations are, such as the preprint it merges."""
    found: list[Identifier] = []
    for place in as_list(work.get("locations"))[:20]:
        address = as_object(place).get("landing_page_url")
        if isinstance(address, str):
            found += [one for one in identifiers_from_url(address) if one.scheme in SCHEMES]
    return tuple(found)
