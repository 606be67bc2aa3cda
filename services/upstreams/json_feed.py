"""JSON Feed 1.0 and 1.1 (jsonfeed.org)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

from services.domain.errors import MalformedDocument
from services.domain.feeds import DocumentInfo
from services.domain.papers import AuthorData, ParsedFeed, Rejected
from services.domain.text import clean, clean_html, safe_url
from services.upstreams.articles import MAX_SOURCE, Article, read_articles
from services.upstreams.documents import json_type, load_json
from services.upstreams.feed_limits import MAX_ENTRIES
from services.upstreams.fields import name_entry, parse_utc, split_byline

MAX_BYTES = 20_000_000

EXPECTED = "a JSON Feed (an object with version and items)"


def parse(body: bytes, about: DocumentInfo) -> ParsedFeed:
    """The items of a JSON Feed. Of a paged feed this is the newest page, which is what a reader polls.

    Raises `MalformedDocument` for what is no JSON Feed.
    """
    if len(body) > MAX_BYTES:
        raise MalformedDocument(f"the document has {len(body):,} bytes; JSON Feeds are read up to {MAX_BYTES:,}")
    data = load_json(body, expected=EXPECTED)
    if not isinstance(data, dict) or not is_json_feed(data):
        raise MalformedDocument(f"expected {EXPECTED}, found {json_type(data)} that is none")
    items = data.get("items")
    if not isinstance(items, list):
        raise MalformedDocument(f"expected {EXPECTED}, found 'items' to be {json_type(items)}")
    base = about.url or _text(data, "feed_url") or _text(data, "home_page_url")
    articles = [_article(item, base, position) for position, item in enumerate(items[:MAX_ENTRIES], 1)]
    notes = (
        [f"the feed holds {len(items)} items; the first {MAX_ENTRIES} were read"] if len(items) > MAX_ENTRIES else []
    )
    return read_articles(articles, title=clean(_text(data, "title"), limit=500) or None, notes=notes, as_of=about.as_of)


def is_json_feed(data: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a JSON Feed by its `version`."""
    version = data.get("version")
    return isinstance(version, str) and "jsonfeed.org/version/" in version


def _article(item: object, base: str, position: int) -> Article | Rejected:
    if not isinstance(item, dict):
        reason = f"the item is {json_type(item)}, not an object"
        return Rejected(reason=reason, entry=name_entry(item), position=position)
    html, text = _text(item, "content_html"), _text(item, "content_text")
    external = _text(item, "external_url")
    return Article(
        # The standard wants text; numbers occur, and name the item as well.
        guid=clean(str(item["id"]), limit=2_000) if isinstance(item.get("id"), str | int) else "",
        link=_address(base, _text(item, "url")) or _address(base, external),
        about=(external,) if external else (),
        title=clean(_text(item, "title")),
        summary=clean(_text(item, "summary")),
        content=clean(text) if text else clean_html(html[:MAX_SOURCE]),
        authors=_authors(item),
        published_at=parse_utc(_text(item, "date_published")),
        updated_at=parse_utc(_text(item, "date_modified")),
        tags=tuple(tag for tag in item.get("tags") or [] if isinstance(tag, str))
        if isinstance(item.get("tags"), list)
        else (),
    )


def _text(source: Mapping[str, Any], name: str) -> str:
    value = source.get(name)
    return value if isinstance(value, str) else ""


def _address(base: str, address: str) -> str:
    if not address:
        return ""
    try:
        return safe_url(urljoin(base, address)) or ""
    except ValueError:
        return ""


def _authors(item: Mapping[str, Any]) -> tuple[AuthorData, ...]:
    given = item.get("authors") if isinstance(item.get("authors"), list) else [item.get("author")]
    lines = [_text(one, "name") for one in given or [] if isinstance(one, dict)]
    found = {author.name: author for line in lines for author in split_byline(line, limit=20_000, tex=False)}
    return tuple(found.values())
