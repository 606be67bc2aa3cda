"""The arXiv query API: Atom with arXiv's own extensions, in today's shape and that of old mirrors.

Facts from arXiv's user manual: at most 2,000 entries a page, start plus page within 30,000, one request every
three seconds over all of a user's machines.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from msgspec import structs

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, FeedRequest, UpstreamUrls
from services.domain.identifiers import Identifier, parse_arxiv, parse_doi
from services.domain.papers import AuthorData, PaperData, ParsedFeed, Rejected
from services.domain.text import clean
from services.upstreams.documents import LOCAL_NAME, children_at, text_of
from services.upstreams.fields import (
    arxiv_categories,
    author_from,
    authors_from,
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
MAX_TRIES = 3
"""How often a page that came short is asked for again: once as it was, then half of it, then a quarter."""

EXPECTED = "an arXiv API answer (an Atom feed)"

_SORTS = {"submitteddate": "submittedDate", "lastupdateddate": "lastUpdatedDate", "relevance": "relevance"}
_ORDERS = {"desc": "descending", "descending": "descending", "asc": "ascending", "ascending": "ascending"}
_ATOM = "{http://www.w3.org/2005/Atom}"
_NUMBER = re.compile(r"\d{1,9}")


# --- asking ------------------------------------------------------------------------------------------------


def request(feed: FeedInfo, urls: UpstreamUrls, *, batch: str = "", cursor: str | None = None) -> FeedRequest:
    """The page of a query that starts at `cursor` (a count of entries, from 0; `400~2`: the second further try).

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
    start, again = _place(cursor)
    parameters = {
        "search_query": query,
        "id_list": ids,
        "start": str(start),
        "max_results": str(max(_page_size(feed) >> max(again - 1, 0), 1)),
        "sortBy": sort_by,
        "sortOrder": order,
    }
    given = {name: value for name, value in parameters.items() if value}
    return FeedRequest(
        url=f"{urls.arxiv_api}/query?{urlencode(given)}",
        gate=GATE,
        interval_s=INTERVAL_S,
        alone=True,
        fresh=again > 0,
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


def _place(cursor: str | None) -> tuple[int, int]:
    """Where a page starts, and which further try at it this is (0: the first)."""
    start, tilde, again = (cursor or "0").partition("~")
    if not _NUMBER.fullmatch(start) or (tilde and not re.fullmatch(r"[1-9]", again)):
        raise InvalidInput(f"cursor {cursor!r} is not a count of entries")
    return int(start), int(again or 0)


# --- reading -----------------------------------------------------------------------------------------------


def parse(body: bytes, about: DocumentInfo) -> ParsedFeed:
    """One page. `announced` is the total of the whole query. The service is known to send pages that are empty or
    short of it by mistake: then the next page is the same once more (`400~1`), up to `MAX_TRIES` times; after that
    the walk goes on behind the entries that did come.

    Raises `MalformedDocument` for what is no Atom feed, and for an answer that holds only an error, with
    arXiv's own words.
    """
    title: str | None = None
    total = start = page_size = None
    papers: list[PaperData] = []
    rejected: list[Rejected] = []
    received = 0
    children = children_at(body, (f"{_ATOM}feed",), expected=EXPECTED)
    next(children)  # the feed itself
    for child in children:
        match LOCAL_NAME[child.tag]:
            case "entry":
                received += 1
                found = _entry(child, rank=received)
                if isinstance(found, PaperData):
                    papers.append(found)
                else:
                    rejected.append(Rejected(reason=found[0], entry=found[1], position=received))
            case "title":
                title = clean(text_of(child), limit=500) or None
            case "totalResults":
                total = _number(text_of(child))
            case "startIndex":
                start = _number(text_of(child))
            case "itemsPerPage":
                page_size = _number(text_of(child))
            case _:
                continue
    try:
        place, again = _place(about.cursor)
    except InvalidInput:
        place, again = 0, 0  # a file that was imported
    start = place if start is None else start
    if start:
        papers = [structs.replace(paper, rank=start + (paper.rank or 0)) for paper in papers]
    errors = [one for one in rejected if one.reason.startswith(_ERROR)]
    if errors and not papers:
        raise MalformedDocument(f"arXiv answered with an error: {errors[0].reason.removeprefix(_ERROR)}")
    after = start + received
    following = str(after) if received and total is not None and after < total else None
    notes: tuple[str, ...] = ()
    owed = 0 if total is None else min(total - start, page_size or received or 1)
    if total is not None and received < owed:
        what = "empty" if not received else f"with {received} of {owed} entries"
        notes = (f"the page at {start} came back {what} although {total} entries are announced; ask again",)
        following = f"{start}~{again + 1}" if again < MAX_TRIES else following
    return ParsedFeed(
        papers=tuple(papers),
        rejected=tuple(rejected),
        announced=total,
        next_cursor=following,
        title=title,
        quiet=not received and not notes,
        notes=notes,
    )


_ERROR = "arXiv reports an error: "


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if _NUMBER.fullmatch(text) else None


def _entry(entry: Any, *, rank: int) -> PaperData | tuple[str, str]:
    """A paper, or why there is none and what names the entry."""
    texts: dict[str, str] = {}
    people: list[Any] = []
    terms: list[str] = []
    primary: list[str] = []
    for child in entry:
        name = LOCAL_NAME[child.tag]
        if name == "author":
            people.append(child)
        elif name == "category":
            terms.append(child.get("term") or "")
        elif name == "primary_category":
            primary.append(child.get("term") or "")
        elif name != "link" and name not in texts:
            texts[name] = text_of(child) if len(child) else child.text or ""
    address = texts.get("id", "")
    title = clean(texts.get("title", ""))
    arxiv = parse_arxiv(address)
    if arxiv is None:
        if "/api/errors" in address:
            return _ERROR + (clean(texts.get("summary", ""), limit=300) or "(no words)"), name_entry(address)
        return "no arXiv identifier", name_entry(address, title)
    if not title:
        return "no title", name_entry(address)
    comment = clean(texts["comment"]) or None if "comment" in texts else None
    abstract = clean(texts.get("summary", "")) or None
    identifiers: tuple[Identifier, ...] = (Identifier("arxiv", arxiv.base),)
    for doi in texts.get("doi", "").split():
        identifiers = with_identifier(identifiers, "doi", parse_doi(doi))
    return PaperData(
        identifiers=identifiers,
        title=title,
        abstract=abstract,
        authors=_authors(people),
        published_at=parse_utc(texts.get("published")),
        updated_at=parse_utc(texts.get("updated")),
        version=arxiv.version,
        categories=arxiv_categories([*primary, *terms]),
        comment=comment,
        journal_ref=clean(texts["journal_ref"], limit=1_000) or None if "journal_ref" in texts else None,
        withdrawn=says_withdrawn(comment, abstract),
        rank=rank,
    )


def _authors(people: list[Any]) -> tuple[AuthorData, ...]:
    names = [name for name in map(_name_alone, people) if name is not None]
    if len(names) == len(people):
        return authors_from(names)
    return tuple([author for author in map(_author, people) if author])


def _name_alone(element: Any) -> str | None:
    """The name of an author of whom nothing else is said, as is usual; `None` of any other."""
    if len(element) != 1:
        return None
    only = element[0]
    return only.text if LOCAL_NAME[only.tag] == "name" and not len(only) else None


def _author(element: Any) -> AuthorData | None:
    name = ""
    places: list[str] = []
    for child in element:
        tag = LOCAL_NAME[child.tag]
        if tag == "name":
            name = text_of(child)
        elif tag == "affiliation":
            places.append(clean(text_of(child), limit=500))
    return author_from(name, "; ".join(place for place in places if place))
