"""The arXiv query API: Atom with arXiv's own extensions, in today's shape and that of old mirrors.

Facts from arXiv's user manual: at most 2,000 entries a page, start plus page within 30,000, one request every
three seconds over all of a user's machines.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, FeedRequest, UpstreamUrls
from services.domain.identifiers import Identifier, parse_arxiv, parse_doi
from services.domain.papers import AuthorData, PaperData, ParsedFeed, Rejected
from services.domain.text import clean
from services.upstreams.documents import load_xml, tag_of, text_of
from services.upstreams.fields import (
    arxiv_categories,
    author_from,
    name_entry,
    parse_day,
    parse_utc,
    says_withdrawn,
    with_identifier,
)

GATE = "arxiv.org"
INTERVAL_S = 3.0
MAX_PAGE = 2_000
DEFAULT_PAGE = 200

EXPECTED = "an arXiv API answer (an Atom feed)"

_SORTS = {"submitteddate": "submittedDate", "lastupdateddate": "lastUpdatedDate", "relevance": "relevance"}
_ORDERS = {"desc": "descending", "descending": "descending", "asc": "ascending", "ascending": "ascending"}
_ATOM = "{http://www.w3.org/2005/Atom}"
_ABS = re.compile(r"^https?://(?:export\.)?arxiv\.org/abs/")
_NUMBER = re.compile(r"\d{1,9}")


# --- asking ------------------------------------------------------------------------------------------------


def request(feed: FeedInfo, urls: UpstreamUrls, *, batch: str = "", cursor: str | None = None) -> FeedRequest:
    """The page of a query that starts at `cursor` (a count of entries, from 0).

    `params`: `query` (search_query), `id_list`, at least one of them; `page_size` (1 to 2,000), `sort`
    (`submittedDate desc`). A `batch` day keeps to papers submitted on it (GMT); its end is given as the next
    midnight, so that no minute falls between two days. Raises `InvalidInput` for anything else.
    """
    query, ids = feed.params.get("query", "").strip(), feed.params.get("id_list", "").strip()
    if not query and not ids:
        raise InvalidInput(f"feed {feed.name!r}: kind arxiv_api needs the parameter query or id_list")
    if batch:
        day = parse_day(batch)
        if day is None:
            raise InvalidInput(f"feed {feed.name!r}: {batch!r} is not a day (2026-11-24)")
        window = f"submittedDate:[{day:%Y%m%d}0000 TO {day + timedelta(days=1):%Y%m%d}0000]"
        query = f"({query}) AND {window}" if query else window
    sort_by, order = _sort(feed)
    parameters = {
        "search_query": query,
        "id_list": ids,
        "start": str(_start(cursor)),
        "max_results": str(_page_size(feed)),
        "sortBy": sort_by,
        "sortOrder": order,
    }
    given = {name: value for name, value in parameters.items() if value}
    return FeedRequest(
        url=f"{urls.arxiv_api}/query?{urlencode(given)}",
        gate=GATE,
        interval_s=INTERVAL_S,
        alone=True,
    )


def _sort(feed: FeedInfo) -> tuple[str, str]:
    given = feed.params.get("sort", "submittedDate desc")
    words = given.lower().split()
    if not 1 <= len(words) <= 2 or words[0] not in _SORTS or words[-1] not in {*_ORDERS, words[0]}:
        raise InvalidInput(
            f"feed {feed.name!r}: sort {given!r} is none of {', '.join(_SORTS.values())}, with asc or desc"
        )
    return _SORTS[words[0]], _ORDERS.get(words[-1], "descending")


def _page_size(feed: FeedInfo) -> int:
    given = feed.params.get("page_size", str(DEFAULT_PAGE))
    if not _NUMBER.fullmatch(given) or not 1 <= int(given) <= MAX_PAGE:
        raise InvalidInput(f"feed {feed.name!r}: page_size {given!r} is not a number from 1 to {MAX_PAGE}")
    return int(given)


def _start(cursor: str | None) -> int:
    if cursor is None or cursor == "":
        return 0
    if not _NUMBER.fullmatch(cursor):
        raise InvalidInput(f"cursor {cursor!r} is not a count of entries")
    return int(cursor)


# --- reading -----------------------------------------------------------------------------------------------


def parse(body: bytes, about: DocumentInfo) -> ParsedFeed:
    """One page. `announced` is the total of the whole query; an empty page short of it is noted, since the
    service is known to send such pages by mistake: the same page should be asked for again.

    Raises `MalformedDocument` for what is no Atom feed, and for an answer that holds only an error, with
    arXiv's own words.
    """
    root = load_xml(body, expected=EXPECTED)
    if root.tag != f"{_ATOM}feed":
        raise MalformedDocument(f"expected {EXPECTED}, found the root element <{clean(tag_of(root), limit=60)}>")
    title: str | None = None
    total = start = None
    papers: list[PaperData] = []
    rejected: list[Rejected] = []
    entries = [child for child in root if child.tag == f"{_ATOM}entry"]
    for child in root:
        match tag_of(child):
            case "title":
                title = clean(text_of(child), limit=500) or None
            case "totalResults":
                total = _number(text_of(child))
            case "startIndex":
                start = _number(text_of(child))
            case _:
                continue
    if start is None:
        start = _number(about.cursor or "") or 0
    for position, entry in enumerate(entries, 1):
        found = _entry(entry, rank=start + position)
        if isinstance(found, PaperData):
            papers.append(found)
        else:
            rejected.append(Rejected(reason=found[0], entry=found[1], position=position))
    errors = [one for one in rejected if one.reason.startswith(_ERROR)]
    if errors and not papers:
        raise MalformedDocument(f"arXiv answered with an error: {errors[0].reason.removeprefix(_ERROR)}")
    after = start + len(entries)
    more = bool(entries) and total is not None and after < total
    notes: tuple[str, ...] = ()
    if not entries and total is not None and start < total:
        notes = (f"the page at {start} came back empty although {total} entries are announced; ask again",)
    return ParsedFeed(
        papers=tuple(papers),
        rejected=tuple(rejected),
        announced=total,
        next_cursor=str(after) if more else None,
        title=title,
        quiet=not entries and not notes,
        notes=notes,
    )


_ERROR = "arXiv reports an error: "


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if _NUMBER.fullmatch(text) else None


def _entry(entry: Any, *, rank: int) -> PaperData | tuple[str, str]:
    """A paper, or why there is none and what names the entry."""
    texts: dict[str, str] = {}
    authors: list[AuthorData] = []
    terms: list[str] = []
    primary: list[str] = []
    for child in entry:
        match tag_of(child):
            case "author":
                author = _author(child)
                if author:
                    authors.append(author)
            case "category":
                terms.append(child.get("term") or "")
            case "primary_category":
                primary.append(child.get("term") or "")
            case "link":
                continue
            case name:
                texts.setdefault(name, text_of(child))
    address = clean(texts.get("id", ""), limit=500)
    title = clean(texts.get("title", ""))
    if "/api/errors" in address:
        return _ERROR + (clean(texts.get("summary", ""), limit=300) or "(no words)"), name_entry(address)
    # Without the address round it, the usual id is read in half the time.
    arxiv = parse_arxiv(_ABS.sub("", address))
    if arxiv is None:
        return "no arXiv identifier", name_entry(address, title)
    if not title:
        return "no title", name_entry(address)
    comment = clean(texts.get("comment", "")) or None
    abstract = clean(texts.get("summary", "")) or None
    identifiers: tuple[Identifier, ...] = (Identifier("arxiv", arxiv.base),)
    for doi in texts.get("doi", "").split():
        identifiers = with_identifier(identifiers, "doi", parse_doi(doi))
    return PaperData(
        identifiers=identifiers,
        title=title,
        abstract=abstract,
        authors=tuple(authors),
        published_at=parse_utc(texts.get("published")),
        updated_at=parse_utc(texts.get("updated")),
        version=arxiv.version,
        categories=arxiv_categories([*primary, *terms]),
        comment=comment,
        journal_ref=clean(texts.get("journal_ref", ""), limit=1_000) or None,
        withdrawn=says_withdrawn(comment, abstract),
        rank=rank,
    )


def _author(element: Any) -> AuthorData | None:
    name = ""
    places: list[str] = []
    for child in element:
        match tag_of(child):
            case "name":
                name = text_of(child)
            case "affiliation":
                places.append(clean(text_of(child), limit=500))
            case _:
                continue
    return author_from(name, "; ".join(place for place in places if place))
