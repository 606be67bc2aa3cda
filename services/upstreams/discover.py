"""Discovery: which feeds a web page names, and where feeds usually are on a site that names none. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from urllib.parse import urljoin, urlsplit

from services.domain.text import clean, safe_url

MOST = 8
"""Feeds named for one page; a blog that names hundreds names its categories."""

COMMON_PATHS = (
    "feed.xml", "feed", "feed/", "rss.xml", "atom.xml", "index.xml", "rss", "feed.json", "feeds/posts/default",
)  # fmt: skip
"""Where generators of blogs put their feed, most usual first."""

_LOOKED_AT = 1_000_000
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_TAG = re.compile(rb"<(link|base)\b([^>]{1,4000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_FEED_TYPES = re.compile(r"application/(?:rss|atom|rdf)\+xml|application/feed\+json", re.IGNORECASE)
_HTML = re.compile(rb"<!doctype\s+html|<html\b|<head\b|<body\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NamedFeed:
    """A feed's address, and the title the page gives it."""

    url: str
    title: str = ""


def is_page(body: bytes, content_type: str) -> bool:
    """Whether a document is a web page rather than a feed, by what it holds or else is said to be."""
    return bool(_HTML.search(body[:2_000])) or content_type.lower().startswith(("text/html", "application/xhtml"))


def feeds_of_page(body: bytes, url: str) -> list[NamedFeed]:
    """The feeds a page at `url` names (`<link rel="alternate" type="application/rss+xml">`), in its order, each once.

    Feeds of comments come last, since hardly anybody means them. Broken markup names what can be read of it.
    """
    found: dict[str, NamedFeed] = {}
    base = url
    for tag, inside in _TAG.findall(_COMMENT.sub(b"", body[:_LOOKED_AT])):
        attributes = {
            name.lower(): unescape(a or b or c)
            for name, a, b, c in _ATTRIBUTE.findall(inside.decode("utf-8", "replace"))
        }
        if tag.lower() == b"base":
            base = _join(url, attributes.get("href", "")) or base
            continue
        if "alternate" not in attributes.get("rel", "").lower().split():
            continue
        if not _FEED_TYPES.match(attributes.get("type", "").strip()):
            continue
        address = _join(base, attributes.get("href", ""))
        if address is not None:
            found.setdefault(address, NamedFeed(address, clean(attributes.get("title", ""), limit=200)))
    return sorted(found.values(), key=_is_of_comments)[:MOST]


def usual_places(url: str) -> list[str]:
    """Addresses at which a site with a page at `url` may have its feed: below the page, then below its root."""
    parts = urlsplit(url)
    root = f"{parts.scheme}://{parts.netloc}/"
    page = root + parts.path.lstrip("/")
    folders = [page if page.endswith("/") else f"{page}/", root]
    places = [folder + path for folder in dict.fromkeys(folders) for path in COMMON_PATHS]
    return [place for place in places if safe_url(place)]


def _join(base: str, address: str) -> str | None:
    if not address.strip():
        return None
    try:
        return safe_url(urljoin(base, address.strip()))
    except ValueError:
        return None  # no address at all, such as `http://[`


def _is_of_comments(feed: NamedFeed) -> bool:
    return "comments" in urlsplit(feed.url).path.lower() or "comments" in feed.title.lower()
