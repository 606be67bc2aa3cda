"""arXiv's daily announcements: `rss.arxiv.org`, as RSS 2.0 or Atom.

A feed holds one announcement day only and is empty on days without a mailing. It gives the announced version
and type, but neither the comment nor the time of submission (those come from the API).
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache
from itertools import chain
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, FeedRequest, UpstreamUrls
from services.domain.identifiers import Identifier, parse_arxiv, parse_doi
from services.domain.papers import AuthorData, PaperData, ParsedFeed, Rejected
from services.domain.schedule import submission_window
from services.domain.text import clean, safe_url
from services.upstreams.documents import LOCAL_NAME, children_at, tag_of, text_of
from services.upstreams.fields import (
    arxiv_categories,
    name_entry,
    parse_time,
    says_withdrawn,
    split_byline,
    with_identifier,
)

GATE = "arxiv.org"
INTERVAL_S = 3.0
MAX_ITEMS = 2_000
"""Where arXiv cuts a feed; replacements fall off first."""

EXPECTED = "an arXiv announcement feed (RSS or Atom)"

_EASTERN = ZoneInfo("America/New_York")
_CATEGORY = re.compile(r"[A-Za-z-]+(?:\.[A-Za-z-]+)?")
_PREFIX = re.compile(r"\s*arXiv:(?P<id>\S+)\s+Announce Type:\s*(?P<type>[a-z-]+)\s*(?:Abstract:\s*)?", re.I)
_TYPES = ("new", "cross", "replace", "replace-cross")


def request(feed: FeedInfo, urls: UpstreamUrls, *, batch: str = "", cursor: str | None = None) -> FeedRequest:
    """Today's announcement; there is no other page and no other day, so `batch` and `cursor` change nothing.

    `params`: `category` (`cs.CL`, or several as `cs.CL+cs.LG`), `format` (`rss` or `atom`).
    Raises `InvalidInput` when they cannot be used.
    """
    del batch, cursor
    category = re.sub(r"[\s,+]+", "+", feed.params.get("category", "").strip())
    if not category or not all(_CATEGORY.fullmatch(part) for part in category.split("+")):
        raise InvalidInput(
            f"feed {feed.name!r}: category {category!r} is not arXiv categories joined by + (cs.CL+cs.LG)"
        )
    form = feed.params.get("format", "rss")
    if form not in ("rss", "atom"):
        raise InvalidInput(f"feed {feed.name!r}: format {form!r} is neither rss nor atom")
    return FeedRequest(
        url=f"{urls.arxiv_rss}/{form}/{quote(category, safe='+.-')}", gate=GATE, interval_s=INTERVAL_S, alone=True
    )


def elsewhere(feed: FeedInfo, day: date) -> FeedInfo:
    """The list dated `day`, asked of the query API: what was submitted in its window, new and cross-listed.

    Replacements have no such window and are not in it. Raises `InvalidInput` for a day without a list.
    """
    since, until = submission_window(day)
    parts = re.split(r"[\s,+]+", feed.params.get("category", "").strip())
    wanted = " OR ".join(f"cat:{part}" if "." in part else f"cat:{part} OR cat:{part}.*" for part in parts)
    last = until - timedelta(minutes=1)
    window = f"submittedDate:[{since:%Y%m%d%H%M} TO {last:%Y%m%d%H%M}]"
    query = f"({wanted}) AND {window}"
    return FeedInfo(name=feed.name, kind="arxiv_api", params={"query": query, "sort": "submittedDate asc"})


def parse(body: bytes, about: DocumentInfo) -> ParsedFeed:
    """One announcement. Without items it is `quiet`: a weekend or a holiday.

    Raises `MalformedDocument` for what is no such feed, for a truncated one (its missing half would be lost
    for good), and for arXiv's error feeds, with arXiv's own words.
    """
    del about
    children = children_at(body, ("{*}feed",), ("{*}rss", "{*}channel"), expected=EXPECTED)
    atom = tag_of(next(children)) == "feed"
    entry_tag, words_tag = ("entry", "subtitle") if atom else ("item", "description")
    facts: dict[str, str] = {}
    papers: list[PaperData] = []
    rejected: list[Rejected] = []
    received = 0
    for child in children:
        tag = LOCAL_NAME[child.tag]
        if tag != entry_tag:
            facts.setdefault(tag, text_of(child))
            continue
        received += 1
        found = _item(child, rank=received)
        if isinstance(found, PaperData):
            papers.append(found)
        else:
            rejected.append(Rejected(reason=found[0], entry=found[1], position=received))
    title = clean(facts.get("title", ""), limit=500)
    if title.startswith("Feed error for query"):
        raise MalformedDocument(f"arXiv answered with an error: {clean(facts.get(words_tag, ''), limit=300)}")
    return ParsedFeed(
        papers=tuple(papers),
        rejected=tuple(rejected),
        title=title or None,
        day=announcement_day(facts.get("pubDate") or facts.get("lastBuildDate") or facts.get("updated")),
        quiet=not received,
        notes=_notes(papers, received, announcement_day(facts.get("pubDate"))),
    )


@lru_cache(maxsize=64)  # all items of an announcement bear the same time
def announcement_day(value: str | None) -> date | None:
    """The day of an announcement. Its time is midnight in New York, where arXiv's days begin."""
    moment = parse_time(value)
    return moment.astimezone(_EASTERN).date() if moment else None


def _notes(papers: list[PaperData], received: int, day: date | None) -> tuple[str, ...]:
    notes: list[str] = []
    if received >= MAX_ITEMS:
        notes.append(f"the feed is cut at {received} items; ask for fewer categories at once")
    newest = max((paper.announced_on for paper in papers if paper.announced_on), default=None)
    if newest and day and newest < day:
        notes.append(f"the feed is dated {day} but its newest item {newest}: an earlier batch was served again")
    return tuple(notes)


def _item(entry: Any, *, rank: int) -> PaperData | tuple[str, str]:
    """A paper, or why there is none and what names the item."""
    texts: dict[str, str] = {}
    terms: list[str] = []
    creators: list[str] = []
    for child in entry:
        name = LOCAL_NAME[child.tag]
        if name == "category":
            terms.append(child.get("term") or text_of(child))
        elif name == "creator":
            creators.append(text_of(child))
        elif name == "link":
            texts.setdefault("link", child.get("href") or text_of(child))
        elif name not in texts:
            texts[name] = text_of(child) if len(child) else child.text or ""
    guid, link = texts.get("guid") or texts.get("id") or "", texts.get("link", "")
    title = clean(texts.get("title", ""))
    arxiv = parse_arxiv(guid) or parse_arxiv(link)
    if arxiv is None:
        return "no arXiv identifier", name_entry(guid, link, title)
    if not title:
        return "no title", name_entry(guid, link)
    abstract, kind = _split_description(texts.get("description") or texts.get("summary") or "")
    kind = clean(texts.get("announce_type", ""), limit=40) or kind
    doi = texts.get("DOI") or texts.get("doi") or ""
    identifiers: tuple[Identifier, ...] = (Identifier("arxiv", arxiv.base),)
    for value in doi.split():
        identifiers = with_identifier(identifiers, "doi", parse_doi(value))
    return PaperData(
        identifiers=identifiers,
        title=title,
        abstract=abstract or None,
        authors=_authors(creators),
        announced_on=announcement_day(texts.get("pubDate") or texts.get("published")),
        version=arxiv.version,
        categories=arxiv_categories(terms),
        journal_ref=clean(texts.get("journal_reference", ""), limit=1_000) or None,
        license=safe_url(texts.get("rights", "")),
        withdrawn=True if says_withdrawn(None, abstract) else None,
        announce_type=kind if kind in _TYPES else None,
        rank=rank,
    )


def _split_description(text: str) -> tuple[str, str]:
    """`arXiv:2203.01250v3 Announce Type: new Abstract: …` as the abstract and the type."""
    prefix = _PREFIX.match(text)
    return (clean(text[prefix.end() :]), prefix["type"].lower()) if prefix else (clean(text), "")


def _authors(creators: list[str]) -> tuple[AuthorData, ...]:
    return tuple(chain.from_iterable(map(split_byline, creators)))
