"""DataCite: where an arXiv paper was published, by the DOI its authors gave to arXiv, and their ORCID.

arXiv registers a DOI (`10.48550/arXiv.…`) for each paper there, not with Crossref. One GET for up to 50 papers, as a
search for their DOIs; found again by DOI.

Source: support.datacite.org, "Queries and filtering"; DataCite Metadata Schema 4, `relatedIdentifiers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from services.domain.identifiers import Identifier
from services.domain.lookups import Access, AskedPaper, LookupRequest
from services.domain.papers import AuthorData, PaperData
from services.upstreams.catalogue_json import author, authors_of, doi_identifier, first_words, in_order, listed, present
from services.upstreams.json_values import as_list, as_object, as_text

NAME = "datacite"
BATCH = 50
SCHEMES = ("arxiv",)
SAME_WORK = frozenset({"IsVersionOf", "IsPreprintOf", "IsIdenticalTo", "IsVariantFormOf", "IsPreviousVersionOf"})


def request(asked: Sequence[AskedPaper], access: Access) -> LookupRequest:
    """One request for these papers."""
    names = " OR ".join(f'"10.48550/arxiv.{paper.values("arxiv")[0]}"' for paper in asked)
    contact = f"&mailto={quote(access.contact, safe='@')}" if access.contact else ""
    return LookupRequest(url=f"{access.url}/dois?query={quote(f'doi:({names})')}&page%5Bsize%5D={len(asked)}{contact}")


def parse(body: bytes, asked: Sequence[AskedPaper]) -> list[PaperData | None]:
    """One answer for each paper asked, in their order; `None` for those not known."""
    works: dict[Identifier, PaperData] = {}
    for item in listed(body, "data", expected="a list of DOIs"):
        paper = _paper(as_object(as_object(item).get("attributes")))
        if paper is not None:
            works[paper.identifiers[0]] = paper
    return in_order(asked, works)


def _paper(work: Any) -> PaperData | None:
    own = doi_identifier(work.get("doi"))
    title = first_words([as_object(one).get("title") for one in as_list(work.get("titles"))], 2_000)
    if own is None or not title:
        return None
    others = [
        doi_identifier(related.get("relatedIdentifier"))
        for related in map(as_object, as_list(work.get("relatedIdentifiers"))[:50])
        if related.get("relationType") in SAME_WORK and related.get("relatedIdentifierType") == "DOI"
    ]
    authors = authors_of(work.get("creators"), lambda one: _author(as_object(one)))
    return PaperData(identifiers=present(own, *others), title=title, authors=authors)


def _author(person: Any) -> AuthorData | None:
    given, family = as_text(person.get("givenName"), 150), as_text(person.get("familyName"), 150)
    names = (as_object(one) for one in as_list(person.get("nameIdentifiers")))
    # Affiliations are text, or objects where they were asked for with their ids.
    places = [one.get("name") if isinstance(one, dict) else one for one in as_list(person.get("affiliation"))]
    return author(
        f"{given} {family}" if given and family else person.get("name"),
        places=places,
        orcid=next((one.get("nameIdentifier") for one in names if one.get("nameIdentifierScheme") == "ORCID"), None),
    )
