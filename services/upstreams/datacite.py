"""DataCite: where an arXiv paper was published, by the DOI its authors gave to arXiv, and their ORCID.

arXiv registers a DOI (`10.48550/arXiv.…`) for each paper there, not with Crossref. One GET for up to 50 papers, as a
search for their DOIs; found again by DOI.

Source: support.datacite.org, "Queries and filtering"; DataCite Metadata Schema 4, `relatedIdentifiers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from services.domain.errors import MalformedDocument
from services.domain.identifiers import Identifier
from services.domain.lookups import Access, AskedPaper, LookupRequest
from services.domain.papers import AuthorData, PaperData
from services.upstreams.catalogue_json import (
    MAX_AUTHORS,
    a_list,
    an_object,
    author,
    doi_identifier,
    first_words,
    present,
    words,
)
from services.upstreams.documents import json_type, load_json

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
    found = load_json(body, expected="a list of DOIs")
    items = an_object(found).get("data")
    if not isinstance(items, list):
        raise MalformedDocument(f"expected a list of DOIs under 'data', found {json_type(items)}")
    works: dict[Identifier, PaperData] = {}
    for item in items:
        paper = _paper(an_object(an_object(item).get("attributes")))
        if paper is not None:
            works[paper.identifiers[0]] = paper
    return [
        next((works[name] for name in paper.identifiers if name in works), None) for paper in asked
    ]  # fmt: skip


def _paper(work: Any) -> PaperData | None:
    own = doi_identifier(work.get("doi"))
    title = first_words([an_object(one).get("title") for one in a_list(work.get("titles"))], 2_000)
    if own is None or not title:
        return None
    others = [
        doi_identifier(related.get("relatedIdentifier"))
        for related in map(an_object, a_list(work.get("relatedIdentifiers"))[:50])
        if related.get("relationType") in SAME_WORK and related.get("relatedIdentifierType") == "DOI"
    ]
    people = (_author(an_object(one)) for one in a_list(work.get("creators"))[:MAX_AUTHORS])
    return PaperData(
        identifiers=present(own, *others), title=title, authors=tuple(one for one in people if one is not None)
    )


def _author(person: Any) -> AuthorData | None:
    given, family = words(person.get("givenName"), 150), words(person.get("familyName"), 150)
    names = (an_object(one) for one in a_list(person.get("nameIdentifiers")))
    # Affiliations are text, or objects where they were asked for with their ids.
    places = [one.get("name") if isinstance(one, dict) else one for one in a_list(person.get("affiliation"))]
    return author(
        f"{given} {family}" if given and family else person.get("name"),
        places=places,
        orcid=next((one.get("nameIdentifier") for one in names if one.get("nameIdentifierScheme") == "ORCID"), None),
    )
