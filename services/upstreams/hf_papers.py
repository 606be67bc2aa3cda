"""Hugging Face Daily Papers: `/api/daily_papers`, `/api/papers/search` and `/api/papers/{id}`.

The list is an array of wrappers `{"paper": {…}, "numComments": …}`; one paper alone is the inner object,
flat. `hf_items` reads a single one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, FeedRequest, UpstreamUrls
from services.domain.papers import PaperData, ParsedFeed, Rejected
from services.domain.text import clean
from services.upstreams.documents import json_type, load_json
from services.upstreams.fields import name_entry
from services.upstreams.hf_items import Unusable, name_item, read_item

GATE = "huggingface.co"
MAX_PAGE = 100
"""Most entries a page may ask for; more is answered with 400."""
SERVER_PAGE = 50
"""What the server sends where no limit is asked for."""

EXPECTED = "a Daily Papers listing (a JSON array of papers)"

_VIEWS = {
    "daily": ("date", re.compile(r"\d{4}-\d{2}-\d{2}")),
    "weekly": ("week", re.compile(r"\d{4}-W\d{2}")),
    "monthly": ("month", re.compile(r"\d{4}-\d{2}")),
}


# --- asking ------------------------------------------------------------------------------------------------


def request(feed: FeedInfo, urls: UpstreamUrls, *, batch: str = "", cursor: str | None = None) -> FeedRequest:
    """The page `cursor` (from 0) of a listing.

    `params`: `view` is `daily` (default, `batch` a day or empty for the newest), `weekly` (`2026-W47`),
    `monthly` (`2026-11`), `trending` (no batch: the server ignores dates there) or `search` (what is found for
    `query`, a list without pages); `limit` is 1 to 100.
    Raises `InvalidInput` for a view, batch or limit that the service does not have.
    """
    view = feed.params.get("view", "daily")
    query: dict[str, str] = {}
    path = "daily_papers"
    if view in ("trending", "search"):
        if batch:
            raise InvalidInput(f"feed {feed.name!r}: the {view} view is not by day, so it takes no {batch!r}")
        if view == "search":
            path, query["q"] = "papers/search", _words(feed)
        else:
            query["sort"] = "trending"
    elif view in _VIEWS:
        parameter, shape = _VIEWS[view]
        if batch:
            if not shape.fullmatch(batch):
                raise InvalidInput(f"feed {feed.name!r}: {batch!r} is not what the {view} view takes")
            query[parameter] = batch
    else:
        raise InvalidInput(f"feed {feed.name!r}: view {view!r} is none of daily, weekly, monthly, trending, search")
    query["limit"] = str(_limit(feed))
    if view != "search":
        query["p"] = str(_page(cursor))
    return FeedRequest(
        url=f"{urls.hf}/api/{path}?{urlencode(query)}",
        headers={"Accept": "application/json"},
        gate=GATE,
    )


def paper_request(arxiv_id: str, urls: UpstreamUrls) -> FeedRequest:
    """One paper's own record; answered with 404 where Hugging Face never listed it."""
    return FeedRequest(
        url=f"{urls.hf}/api/papers/{quote(arxiv_id, safe='')}",
        headers={"Accept": "application/json"},
        gate=GATE,
    )


def _words(feed: FeedInfo) -> str:
    words = clean(feed.params.get("query", ""), limit=300)
    if not words:
        raise InvalidInput(f"feed {feed.name!r}: a search needs words to look for; give query")
    return words


def _limit(feed: FeedInfo) -> int:
    given = feed.params.get("limit", str(MAX_PAGE))
    if not given.isdecimal() or not 1 <= int(given) <= MAX_PAGE:
        raise InvalidInput(f"feed {feed.name!r}: limit {given!r} is not a number from 1 to {MAX_PAGE}")
    return int(given)


def _page(cursor: str | None) -> int:
    if cursor is None or cursor == "":
        return 0
    if not cursor.isdecimal() or len(cursor) > 9:
        raise InvalidInput(f"cursor {cursor!r} is not a page number")
    return int(cursor)


# --- reading -----------------------------------------------------------------------------------------------


def parse(body: bytes, about: DocumentInfo) -> ParsedFeed:
    """A listing, or one paper's record as a listing of one.

    Raises `MalformedDocument` for anything but an array of objects or a single paper.
    """
    data = load_json(body, expected=EXPECTED)
    if isinstance(data, dict) and _is_paper(data):
        data = [data]
        page, limit = 0, None
    else:
        _check_list(data)
        page, limit = _place(about)
    papers: list[PaperData] = []
    rejected: list[Rejected] = []
    notes: list[str] = []
    first = page * limit if limit else 0
    for position, item in enumerate(data, 1):
        try:
            papers.append(read_item(item, about, rank=first + position, notes=notes))
        except Unusable as reason:
            rejected.append(Rejected(reason=str(reason), entry=name_item(item), position=position))
    return ParsedFeed(
        papers=tuple(papers),
        rejected=tuple(rejected),
        next_cursor=str(page + 1) if limit and len(data) >= limit else None,
        quiet=not data,
        notes=tuple(notes),
    )


def parse_paper(body: bytes, about: DocumentInfo) -> PaperData:
    """The record of one paper (`/api/papers/{id}`).

    Raises `MalformedDocument` when it is not one, an `{"error": …}` answer included.
    """
    expected = "one paper's record (a JSON object with id and title)"
    data = load_json(body, expected=expected)
    if not isinstance(data, dict):
        raise MalformedDocument(f"expected {expected}, found {json_type(data)}")
    if not _is_paper(data):
        raise MalformedDocument(f"expected {expected}, found {_describe_object(data)}")
    try:
        return read_item(data, about, rank=None, notes=[])
    except Unusable as reason:
        raise MalformedDocument(f"expected {expected}: {reason}") from reason


def _is_paper(data: Mapping[str, Any]) -> bool:
    return isinstance(data.get("paper"), dict) or ("id" in data and ("title" in data or "publishedAt" in data))


def _check_list(data: object) -> None:
    if isinstance(data, dict):
        raise MalformedDocument(f"expected {EXPECTED}, found {_describe_object(data)}")
    if not isinstance(data, list):
        raise MalformedDocument(f"expected {EXPECTED}, found {json_type(data)}")
    if data and not any(isinstance(item, dict) for item in data):
        what = json_type(data[0])
        written = isinstance(data[0], str) and data[0].lstrip().startswith("{'")
        more = " (dictionaries as Python prints them, not JSON objects)" if written else ""
        raise MalformedDocument(f"expected {EXPECTED}, found an array of {len(data)} whose entries are {what}{more}")


def _describe_object(data: Mapping[str, Any]) -> str:
    if "error" in data:
        return f"an error answer: {name_entry(data['error'])}"
    keys = ", ".join(clean(str(key), limit=30) for key in list(data)[:6])
    return f"an object with {keys}" if keys else "an empty object"


def _place(about: DocumentInfo) -> tuple[int, int | None]:
    """Which page this is, and how many entries make it a full one; no limit where no page follows.

    Only a listing of one day, week or month is read to its end: the newest and the trending list go back
    through everything there ever was.
    """
    query = parse_qs(urlsplit(about.url).query)
    page_text = about.cursor or query.get("p", ["0"])[0]
    page = int(page_text) if page_text.isdecimal() and len(page_text) < 10 else 0
    if not (about.batch or any(name in query for name in ("date", "week", "month"))) or "sort" in query:
        return page, None
    asked = query.get("limit", [""])[0]
    if asked.isdecimal() and 0 < int(asked) <= MAX_PAGE:
        return page, int(asked)
    return page, SERVER_PAGE if about.url else MAX_PAGE
