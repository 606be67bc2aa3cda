"""bioRxiv and medRxiv: their API of preprints by the day they were posted.

`/details/{server}/{from}/{to}/{cursor}/json` answers with `messages` (one, with status, count, total, cursor) and a
`collection` of one row for each *version*. Pages have been of 100 and of 30 rows, and numbers are sometimes text, so
the walk goes on by what was received. No limit on calls is stated; we keep to one a second.
"""

from __future__ import annotations

import re
from typing import Any

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, FeedRequest, UpstreamUrls
from services.domain.identifiers import Identifier, parse_doi
from services.domain.papers import AuthorData, PaperData, ParsedFeed, Rejected
from services.domain.text import clean, clean_html
from services.upstreams.documents import json_type, load_json
from services.upstreams.fields import author_from, name_entry, parse_day, parse_utc

INTERVAL_S = 1.0
SERVERS = ("biorxiv", "medrxiv")
EXPECTED = "an answer of the bioRxiv API (an object with messages and a collection)"

_NOTHING = re.compile(r"no (?:posts|articles|papers) found", re.IGNORECASE)
_LICENSES = {
    "cc0": "https://creativecommons.org/publicdomain/zero/1.0/", "cc_by": "https://creativecommons.org/licenses/by/4.0/",
    "cc_by_nc": "https://creativecommons.org/licenses/by-nc/4.0/",
    "cc_by_nd": "https://creativecommons.org/licenses/by-nd/4.0/",
    "cc_by_nc_nd": "https://creativecommons.org/licenses/by-nc-nd/4.0/",
}  # fmt: skip


# --- asking ------------------------------------------------------------------------------------------------


def request(feed: FeedInfo, urls: UpstreamUrls, *, batch: str = "", cursor: str | None = None) -> FeedRequest:
    """A page of what was posted on the `batch` day (empty: in the two days before it is asked, by the server's own
    count), from the `cursor`-th row on.

    `params`: `server` (`biorxiv` or `medrxiv`), `category` (`bioinformatics`; filtered by them). Raises
    `InvalidInput` for anything else.
    """
    server = feed.params.get("server", "biorxiv")
    if server not in SERVERS:
        raise InvalidInput(f"feed {feed.name!r}: server {server!r} is none of {', '.join(SERVERS)}")
    if cursor and not (cursor.isdecimal() and len(cursor) < 10):
        raise InvalidInput(f"cursor {cursor!r} is not a count of rows")
    span = "2d"
    if batch:
        day = parse_day(batch)
        if day is None:
            raise InvalidInput(f"feed {feed.name!r}: {batch!r} is not a day (2026-11-24)")
        span = f"{day}/{day}"
    category = re.sub(r"[\s+_]+", "_", feed.params.get("category", "").strip().lower())
    if category and not re.fullmatch(r"[a-z_-]{2,60}", category):
        raise InvalidInput(f"feed {feed.name!r}: category {category!r} is not a category of {server}")
    tail = f"?category={category}" if category else ""
    return FeedRequest(
        url=f"{urls.biorxiv}/details/{server}/{span}/{cursor or 0}/json{tail}",
        headers={"Accept": "application/json"},
        gate="api.biorxiv.org",
        interval_s=INTERVAL_S,
    )


# --- reading -----------------------------------------------------------------------------------------------


def parse(body: bytes, about: DocumentInfo) -> ParsedFeed:
    """One page. `announced` is the number of rows (versions) of the whole day; a day without posts is quiet.

    Raises `MalformedDocument` for what is no such answer, and for an error in its place, with their own words.
    """
    data = load_json(body, expected=EXPECTED)
    if not isinstance(data, dict):
        raise MalformedDocument(f"expected {EXPECTED}, found {json_type(data)}")
    rows = data.get("collection", [])
    message = _first(data.get("messages"))
    status = clean(str(message.get("status", "")), limit=300)
    if not isinstance(rows, list) or ("messages" not in data and "collection" not in data):
        raise MalformedDocument(f"expected {EXPECTED}, found an object without a collection")
    if not rows and status.lower() != "ok":
        if _NOTHING.search(status):
            return ParsedFeed(quiet=True)
        raise MalformedDocument(f"the server answered: {status or 'nothing it explains'}")
    start = _number(about.cursor) or 0
    papers: list[PaperData] = []
    rejected: list[Rejected] = []
    for position, row in enumerate(rows, 1):
        found = _paper(row, rank=start + position)
        if isinstance(found, PaperData):
            papers.append(found)
        else:
            rejected.append(Rejected(reason=found[0], entry=found[1], position=position))
    total = _number(message.get("total"))
    after = start + len(rows)
    return ParsedFeed(
        papers=tuple(papers),
        rejected=tuple(rejected),
        announced=total,
        next_cursor=str(after) if rows and total is not None and after < total else None,
        quiet=not rows,
    )


def _first(messages: object) -> dict[str, Any]:
    if isinstance(messages, list) and messages and isinstance(messages[0], dict):
        return messages[0]
    return {}


def _number(value: object) -> int | None:
    text = str(value).strip() if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _paper(row: object, *, rank: int) -> PaperData | tuple[str, str]:
    """A paper, or why there is none and what names the row."""
    if not isinstance(row, dict):
        return f"the row is {json_type(row)}, not an object", name_entry(row)
    texts = {name: value for name, value in row.items() if isinstance(value, str)}
    doi = parse_doi(texts.get("doi", ""))
    title = clean_html(texts.get("title", ""))
    if doi is None:
        return "no DOI", name_entry(texts.get("doi"), title)
    if not title:
        return "no title", name_entry(doi)
    version = _number(row.get("version"))
    posted = parse_day(texts.get("date", ""))
    published_as = parse_doi(texts.get("published", ""))
    identifiers = [Identifier("doi", doi)]
    if published_as and published_as != doi:
        identifiers.append(Identifier("doi", published_as))
    category = clean(texts.get("category", ""), limit=100).lower()
    return PaperData(
        identifiers=tuple(identifiers),
        title=title,
        abstract=clean_html(texts.get("abstract", "")) or None,
        authors=_authors(texts.get("authors", "")),
        published_at=parse_utc(texts.get("date")) if version in (None, 1) else None,
        updated_at=parse_utc(texts.get("date")),
        announced_on=posted,
        version=version,
        categories=(category,) if category else (),
        license=_LICENSES.get(texts.get("license", "").strip().lower()),
        withdrawn=True if "withdrawn" in texts.get("type", "").lower() else None,
        rank=rank,
    )


def _authors(line: str) -> tuple[AuthorData, ...]:
    """`Quill, A.; Osei, B. K.` as `A. Quill`, `B. K. Osei`."""
    found: list[AuthorData] = []
    for part in line.split(";"):
        family, comma, given = part.partition(",")
        author = author_from(f"{given.strip()} {family.strip()}" if comma else part, "")
        if author is not None:
            found.append(author)
    return tuple(found)
