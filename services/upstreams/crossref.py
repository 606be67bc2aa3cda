"""Crossref: what a publisher registered with a DOI: the journal, the authors with ORCID, what it is a preprint of,
and whether it was retracted.

One GET for up to 40 papers; repeated `doi` filters are joined by "or". arXiv's own DOIs are DataCite's (`datacite`).
With `mailto` calls go to the polite pool: ten a second, three at once.

Source: api.crossref.org, "REST API documentation", "Metadata: updates and relationships".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from services.domain.lookups import Access, AskedPaper, LookupRequest
from services.domain.papers import AuthorData, PaperData
from services.domain.text import clean_html
from services.upstreams.catalogue_json import (
    author,
    authors_of,
    doi_identifier,
    first_words,
    in_order,
    listed,
    present,
    venue_of,
    year_of,
)
from services.upstreams.json_values import as_count, as_list, as_object, as_text

NAME = "crossref"
BATCH = 40
SCHEMES = ("doi",)
SAME_WORK = ("is-preprint-of", "has-preprint", "is-version-of", "has-version")
"""Relations to another DOI of the same paper."""
RETRACTIONS = frozenset({"retraction", "withdrawal", "removal", "partial_retraction"})


def request(asked: Sequence[AskedPaper], access: Access) -> LookupRequest:
    """One request for these papers."""
    dois = [paper.values("doi")[0] for paper in asked]
    filters = ",".join(f"doi:{quote(doi, safe='/')}" for doi in dois)
    contact = f"&mailto={quote(access.contact, safe='@')}" if access.contact else ""
    return LookupRequest(url=f"{access.url}/works?filter={filters}&rows={len(dois)}{contact}")


def parse(body: bytes, asked: Sequence[AskedPaper]) -> list[PaperData | None]:
    """One answer for each paper asked, in their order; `None` for those not known."""
    items = listed(body, "message", "items", expected="a list of works")
    works = {paper.identifiers[0]: paper for item in items if (paper := read_work(item)) is not None}
    return in_order(asked, works)


def read_work(item: object) -> PaperData | None:
    """One work as a paper, its own DOI first; `None` without DOI or title."""
    work = as_object(item)
    own = doi_identifier(work.get("DOI"))
    title = first_words([clean_html(one) for one in as_list(work.get("title")) if isinstance(one, str)], 2_000)
    if own is None or not title:
        return None
    relations = as_object(work.get("relation"))
    others = [
        doi_identifier(as_object(one).get("id"))
        for kind in SAME_WORK
        for one in as_list(relations.get(kind))[:10]
        if as_object(one).get("id-type") == "doi"
    ]
    abstract = work.get("abstract")
    return PaperData(
        identifiers=present(own, *others),
        title=title,
        abstract=clean_html(abstract) or None if isinstance(abstract, str) else None,
        authors=authors_of(work.get("author"), lambda one: _author(as_object(one))),
        journal_ref=_venue(work),
        citations=as_count(work.get("is-referenced-by-count")),
        withdrawn=True if _retracted(work) else None,
    )


def _author(person: Any) -> AuthorData | None:
    parts = [part for key in ("given", "family", "suffix") if (part := as_text(person.get(key), 150))]
    return author(
        " ".join(parts) or person.get("name"),
        places=[as_object(one).get("name") for one in as_list(person.get("affiliation"))],
        orcid=person.get("ORCID"),
    )


def _venue(work: Any) -> str | None:
    """`Journal of Tides 12(3), 2026`. What is posted, not published, has none."""
    if work.get("type") == "posted-content":
        return None
    name = venue_of(work.get("container-title"))
    if name is None:
        return None
    volume, issue = as_text(work.get("volume"), 30), as_text(work.get("issue"), 30)
    place = f" {volume}" + (f"({issue})" if issue else "") if volume else ""
    dates = as_list(as_object(work.get("published") or work.get("issued")).get("date-parts"))
    year = next(map(year_of, as_list(dates[0])), None) if dates else None
    return f"{name}{place}, {year}" if year else f"{name}{place}"


def _retracted(work: Any) -> bool:
    """Whether a notice of retraction was registered for it. (`update-to` stands in the notice itself.)"""
    return any(as_object(one).get("type") in RETRACTIONS for one in as_list(work.get("updated-by")))
