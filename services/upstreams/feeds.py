"""General feeds: RSS 0.9x to 2.0, RDF, Atom and CDF, as they occur in the wild, read by feedparser.

feedparser forgives much and is trusted with little: it sees bytes only (given a string it may open a file or
an address), never entity declarations, never more than it can read in seconds, and its answer is cleaned
here.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from time import struct_time
from typing import Any
from urllib.parse import urljoin, urlsplit

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, FeedRequest, UpstreamUrls
from services.domain.papers import AuthorData, ParsedFeed, Rejected
from services.domain.text import clean, safe_url
from services.upstreams.articles import Article, plain, read_articles
from services.upstreams.documents import decode, describe, local_name, refuse_entities, root_tag
from services.upstreams.feed_limits import with_plain_tags, within_limits
from services.upstreams.fields import FIRST_YEAR, LAST_YEAR, name_entry, split_byline

EXPECTED = "a feed (RSS, RDF, Atom or CDF)"
ACCEPT = (
    "application/atom+xml, application/rss+xml, application/rdf+xml, application/feed+json, "
    "application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"
)

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.I)
_ROOTS = ("rss", "rdf", "feed", "channel")
_HTML_TYPES = ("text/html", "application/xhtml+xml")


# --- asking ------------------------------------------------------------------------------------------------


def request(feed: FeedInfo, urls: UpstreamUrls, *, batch: str = "", cursor: str | None = None) -> FeedRequest:
    """The feed's own address; a feed has no pages and no past, so `batch` and `cursor` change nothing.

    Calls are spaced per host; arXiv's hosts share arXiv's own gate. Raises `InvalidInput` without a usable
    `url`.
    """
    del urls, batch, cursor
    url = safe_url(feed.url)
    if url is None:
        raise InvalidInput(f"feed {feed.name!r}: {feed.url[:200]!r} is not an http or https address")
    host = urlsplit(url).hostname or ""
    if host == "arxiv.org" or host.endswith(".arxiv.org"):
        return FeedRequest(url=url, headers={"Accept": ACCEPT}, gate="arxiv.org", interval_s=3.0, alone=True)
    return FeedRequest(url=url, headers={"Accept": ACCEPT}, gate=host)


# --- reading -----------------------------------------------------------------------------------------------


def parse(body: bytes, about: DocumentInfo) -> ParsedFeed:
    """The entries of a feed. A feed without entries is `quiet`.

    Raises `MalformedDocument` for what holds no feed (saying what it is), for documents over the limits or
    with entity declarations, and where the parser gives up.
    """
    if not body.strip(b"\x00 \t\r\n"):
        raise MalformedDocument(f"expected {EXPECTED}, found an empty document")
    found = _CHARSET.search(about.content_type)
    charset = found[1] if found else ""
    refuse_entities(body, charset=charset)
    plain_body = with_plain_tags(body, charset=charset)
    # What was transcoded is no longer in the encoding that its header names.
    content_type = about.content_type if plain_body is body else ""
    part, cut = within_limits(plain_body)
    result = _feedparser(part, url=about.url, content_type=content_type)
    entries = result.get("entries") or []
    if not entries and not result.get("version") and local_name(root_tag(decode(body))).lower() not in _ROOTS:
        raise MalformedDocument(f"expected {EXPECTED}, found {describe(body)}")
    notes = [cut] if cut else []
    trouble = result.get("bozo_exception") if result.get("bozo") else None
    if trouble is not None and not _is_harmless(trouble):
        notes.append(f"the feed is not well-formed: {clean(str(trouble), limit=200)}")
    feed = result.get("feed") or {}
    base = about.url or _text(feed.get("link"))
    articles: list[Article | Rejected] = []
    for position, entry in enumerate(entries, 1):
        try:
            articles.append(_article(entry, base))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = f"the entry cannot be read: {clean(str(error), limit=200)}"
            articles.append(Rejected(reason=reason, entry=name_entry(_text(entry.get("id"))), position=position))
    parsed = read_articles(articles, title=_title(feed)[:500] or None, notes=notes, as_of=about.as_of)
    return replace(parsed, ttl=_ttl(feed))


_PERIODS = {"hourly": 1, "daily": 24, "weekly": 168, "monthly": 720, "yearly": 8760}
_MAX_TTL = timedelta(days=31)


def _ttl(feed: Any) -> timedelta | None:
    """How long the feed asks to be left alone: `ttl` in minutes, else `sy:updatePeriod` over `sy:updateFrequency`."""
    minutes = _text(feed.get("ttl")).strip()
    if minutes.isascii() and minutes.isdecimal() and int(minutes[:9]) > 0:
        return min(timedelta(minutes=int(minutes[:9])), _MAX_TTL)
    hours = _PERIODS.get(_text(feed.get("sy_updateperiod")).strip().lower())
    if hours is None:
        return None
    times = _text(feed.get("sy_updatefrequency")).strip()
    number = int(times[:4]) if times.isascii() and times[:4].isdecimal() else 1
    return min(timedelta(hours=hours) / max(number, 1), _MAX_TTL)


def _is_harmless(trouble: object) -> bool:
    """Wrong or missing headers, which concern the server and not the feed."""
    import feedparser

    return isinstance(trouble, feedparser.NonXMLContentType | feedparser.CharacterEncodingOverride)


def _feedparser(body: bytes, *, url: str, content_type: str) -> Any:
    import feedparser  # here: many installations follow no general feed

    headers = {"content-type": content_type, "content-location": url}
    try:
        # Its sanitiser and its rewriting of links inside texts are not needed: texts become plain here.
        return feedparser.parse(
            BytesIO(body),
            response_headers={name: value for name, value in headers.items() if value},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except Exception as error:  # it raises ValueError, KeyError, TypeError, … on some malformed documents
        reason = f"{type(error).__name__}: {clean(str(error), limit=200)}"
        raise MalformedDocument(
            f"expected {EXPECTED}, found {describe(body)} the parser gave up on ({reason})"
        ) from error


# --- one entry ---------------------------------------------------------------------------------------------


def _article(entry: Any, base: str) -> Article:
    content = [one for one in entry.get("content") or [] if isinstance(one, dict)]
    return Article(
        guid=clean(_text(entry.get("id")), limit=2_000),
        link=_link(entry, base),
        about=tuple(
            clean(_text(entry.get(name)), limit=500) for name in ("dc_identifier", "prism_doi") if entry.get(name)
        ),
        title=_title(entry),
        summary=_plain(entry, "summary"),
        content=max((_detail(one) for one in content), key=len, default=""),
        authors=_authors(entry),
        published_at=_time(entry, "published_parsed") or _time(entry, "created_parsed"),
        updated_at=_time(entry, "updated_parsed"),
        tags=tuple(_text(tag.get("term")) for tag in entry.get("tags") or [] if isinstance(tag, dict)),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _title(source: Any) -> str:
    return _plain(source, "title")


def _plain(source: Any, name: str) -> str:
    detail = source.get(f"{name}_detail")
    if isinstance(detail, dict) and isinstance(detail.get("value"), str):
        return _detail(detail)
    return plain(_text(source.get(name)), is_html=True)


def _detail(detail: Any) -> str:
    return plain(_text(detail.get("value")), is_html=_text(detail.get("type")) in _HTML_TYPES)


def _link(entry: Any, base: str) -> str:
    """The entry's page, absolute, FeedBurner's original where given; empty for `javascript:` and such."""
    for name in ("feedburner_origlink", "link"):
        address = _text(entry.get(name)).strip()
        if not address:
            continue
        try:
            url = safe_url(urljoin(base, address)) if base else safe_url(address)
        except ValueError:
            continue  # no address at all, such as `http://[`
        if url:
            return url
    return ""


def _authors(entry: Any) -> tuple[AuthorData, ...]:
    lines = [_text(one.get("name")) for one in entry.get("authors") or [] if isinstance(one, dict)]
    if not any(lines):
        lines = [_text(entry.get("author"))]
    found = {
        author.name: author
        for line in lines
        for author in split_byline(plain(line, is_html=False), limit=20_000, tex=False)
    }
    return tuple(found.values())


def _time(entry: Any, name: str) -> datetime | None:
    # `in` first: asked for a missing `updated`, feedparser answers with `published`.
    value = entry[name] if name in entry else None  # noqa: SIM401
    if not isinstance(value, struct_time) or not FIRST_YEAR <= value.tm_year <= LAST_YEAR:
        return None
    try:
        return datetime(*value[:5], min(value.tm_sec, 59), tzinfo=UTC)
    except ValueError:
        return None
