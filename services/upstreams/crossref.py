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

from services.domain.errors import MalformedDocument
from services.domain.lookups import Access, AskedPaper, LookupRequest
from services.domain.papers import AuthorData, PaperData
from services.domain.text import clean_html
from services.upstreams.catalogue_json import (
    MAX_AUTHORS,
    a_list,
    an_object,
    author,
    count_of,
    doi_identifier,
    first_words,
    present,
    venue_of,
    words,
)
from services.upstreams.documents import json_type, load_json

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
    found = load_json(body, expected="a list of works")
    items = an_object(an_object(found).get("message")).get("items")
    if not isinstance(items, list):
        raise MalformedDocument(f"expected a list of works under 'message.items', found {json_type(items)}")
    works = {paper.identifiers[0]: paper for item in items if (paper := read_work(item)) is not None}
    return [
        next((works[name] for name in paper.identifiers if name in works), None) for paper in asked
    ]  # fmt: skip


def read_work(item: object) -> PaperData | None:
    """One work as a paper, its own DOI first; `None` without DOI or title."""
    work = an_object(item)
    own = doi_identifier(work.get("DOI"))
    title = first_words([clean_html(one) for one in a_list(work.get("title")) if isinstance(one, str)], 2_000)
    if own is None or not title:
        return None
    relations = an_object(work.get("relation"))
    others = [
        doi_identifier(an_object(one).get("id"))
        for kind in SAME_WORK
        for one in a_list(relations.get(kind))[:10]
        if an_object(one).get("id-type") == "doi"
    ]
    abstract = work.get("abstract")
    people = (_author(an_object(one)) for one in a_list(work.get("author"))[:MAX_AUTHORS])
    return PaperData(
        identifiers=present(own, *others),
        title=title,
        abstract=clean_html(abstract) or None if isinstance(abstract, str) else None,
        authors=tuple(one for one in people if one is not None),
        journal_ref=_venue(work),
        citations=count_of(work.get("is-referenced-by-count")),
        withdrawn=True if _retracted(work) else None,
    )


def _author(person: Any) -> AuthorData | None:
    parts = [part for key in ("given", "family", "suffix") if (part := words(person.get(key), 150))]
    return author(
        " ".join(parts) or person.get("name"),
        places=[an_object(one).get("name") for one in a_list(person.get("affiliation"))],
        orcid=person.get("ORCID"),
    )


def _venue(work: Any) -> str | None:
    """`Journal of Tides 12(3), 2026`. What is posted, not published, has none."""
    if work.get("type") == "posted-content":
        return None
    name = venue_of(work.get("container-title"))
    if name is None:
        return None
    volume, issue = words(work.get("volume"), 30), words(work.get("issue"), 30)
    place = f" {volume}" + (f"({issue})" if issue else "") if volume else ""
    dates = a_list(an_object(work.get("published") or work.get("issued")).get("date-parts"))
    year = a_list(dates[0])[:1] if dates else []
    known = bool(year) and isinstance(year[0], int) and 1900 < year[0] < 2100
    return f"{name}{place}, {year[0]}" if known else f"{name}{place}"


def _retracted(work: Any) -> bool:
    """Whether a notice of retraction was registered for it. (`update-to` stands in the notice itself.)"""
    return any(an_object(one).get("type") in RETRACTIONS for one in a_list(work.get("updated-by")))
