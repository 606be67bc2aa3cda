"""Semantic Scholar: citations, the venue, and the other names of a paper (DOI, PubMed, its own corpus id).

One POST for up to 500 papers. The answer is an array in the order asked, with `null` for what is not known; day-old
papers mostly are not. 429 comes without `Retry-After`; with a key one call a second is allowed.

Source: api.semanticscholar.org, "Academic Graph API", `POST /paper/batch`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.domain.errors import MalformedDocument
from services.domain.lookups import Access, AskedPaper, LookupRequest
from services.domain.papers import PaperData
from services.upstreams.catalogue_json import (
    author,
    authors_of,
    digits_identifier,
    doi_identifier,
    present,
    venue_of,
    year_of,
)
from services.upstreams.documents import json_type, load_json
from services.upstreams.json_values import as_count, as_object, as_text

NAME = "semantic_scholar"
BATCH = 500
FIELDS = "title,abstract,venue,publicationVenue,journal,year,externalIds,citationCount,authors.name"

_PREFIXES = {"arxiv": "ARXIV:", "doi": "DOI:", "pmid": "PMID:", "pmcid": "PMCID:", "s2": "CorpusId:"}
SCHEMES = tuple(_PREFIXES)


def request(asked: Sequence[AskedPaper], access: Access) -> LookupRequest:
    """One request for these papers, each by the strongest of its names."""
    return LookupRequest(
        url=f"{access.url}/graph/v1/paper/batch?fields={FIELDS}",
        json={"ids": [_name(paper) for paper in asked]},
        headers={"x-api-key": access.key} if access.key else {},
    )


def _name(paper: AskedPaper) -> str:
    for scheme, prefix in _PREFIXES.items():
        for value in paper.values(scheme):
            return prefix + (value.removeprefix("PMC") if scheme == "pmcid" else value)
    raise ValueError(f"{paper.title[:80]!r} has no identifier to ask Semantic Scholar by")


def parse(body: bytes, asked: Sequence[AskedPaper]) -> list[PaperData | None]:
    """One answer for each paper asked, in their order; `None` for those not known."""
    found = load_json(body, expected="an array of papers")
    if not isinstance(found, list):
        raise MalformedDocument(f"expected an array of papers, found {json_type(found)}")
    if len(found) != len(asked):
        # Answers are told apart by their place alone: of another length, none can be trusted.
        raise MalformedDocument(f"expected {len(asked)} answers, found {len(found)}")
    return [_paper(one) for one in found]


def _paper(item: Any) -> PaperData | None:
    record = as_object(item)
    title = as_text(record.get("title"), 2_000)
    if not title:
        return None
    names = as_object(record.get("externalIds"))
    arxiv = names.get("ArXiv")
    return PaperData(
        identifiers=present(
            doi_identifier(f"10.48550/arXiv.{arxiv}") if isinstance(arxiv, str) else None,
            doi_identifier(names.get("DOI")),
            digits_identifier("pmid", names.get("PubMed")),
            digits_identifier("pmcid", names.get("PubMedCentral")),
            digits_identifier("s2", names.get("CorpusId")),
        ),
        title=title,
        abstract=as_text(record.get("abstract"), 20_000),
        authors=authors_of(record.get("authors"), lambda one: author(as_object(one).get("name"))),
        journal_ref=_venue(record),
        citations=as_count(record.get("citationCount")),
    )


def _venue(record: Any) -> str | None:
    """Where it appeared, with the year, as authors write it: `Journal of Tides 12, 2026`."""
    journal = as_object(record.get("journal"))
    name = venue_of(record.get("venue")) or venue_of(as_object(record.get("publicationVenue")).get("name"))
    name = name or venue_of(journal.get("name"))
    if name is None:
        return None
    volume, year = as_text(journal.get("volume"), 30), year_of(record.get("year"))
    # Semantic Scholar puts `abs/2611.00001` where a preprint would have a volume.
    name += f" {volume}" if volume and not volume.startswith("abs/") else ""
    return f"{name}, {year}" if year and str(year) not in name else name
