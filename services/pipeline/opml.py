"""OPML: lists of feeds as readers exchange them, in and out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import quoteattr

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import FeedInfo, UpstreamUrls
from services.domain.text import clean, safe_url
from services.domain.urls import whole
from services.pipeline.fetch import info
from services.storage.tables import Feed
from services.upstreams import kinds
from services.upstreams.documents import load_xml, tag_of

MAX_FEEDS = 5000
READABLE = ("rss", "arxiv_rss", "arxiv_api")
"""Kinds whose address a feed reader can use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """One feed of a list. `problem` says why it cannot be used."""

    title: str
    url: str
    kind: str = "rss"
    params: dict[str, str] = field(default_factory=dict)
    problem: str | None = None


def read_opml(body: bytes, urls: UpstreamUrls) -> list[Outline]:
    """The feeds of an OPML document, each address once; raises `InvalidInput` for anything else."""
    try:
        root = load_xml(body, expected="an OPML list of feeds")
    except MalformedDocument as error:
        raise InvalidInput(str(error)) from error
    if tag_of(root).lower() != "opml":
        raise InvalidInput(f"expected an OPML list of feeds, found the root element <{clean(tag_of(root), limit=60)}>")
    found: dict[str, Outline] = {}
    for outline in _outlines(root):
        given = {str(name).lower(): str(value) for name, value in outline.attrib.items()}
        if "xmlurl" not in given:
            continue  # a folder
        url = given["xmlurl"].strip()
        title = clean(given.get("title") or given.get("text") or "", limit=200)
        if len(found) >= MAX_FEEDS:
            raise InvalidInput(f"the list holds more than {MAX_FEEDS} feeds; split it")
        found.setdefault(url, _outline(title, url, urls))
    return list(found.values())


def _outlines(root: Any) -> Iterator[Any]:
    return (element for element in root.iter() if isinstance(element.tag, str) and tag_of(element).lower() == "outline")


def _outline(title: str, url: str, urls: UpstreamUrls) -> Outline:
    if safe_url(url) is None:
        return Outline(title=title, url=clean(url, limit=200), problem="not an http or https address")
    try:
        kind, address, params = recognise(whole(url), urls)
    except InvalidInput as error:
        return Outline(title=title, url=url, problem=str(error))
    return Outline(title=title, url=address, kind=kind, params=params)


def recognise(url: str, urls: UpstreamUrls) -> tuple[str, str, dict[str, str]]:
    """What an address is a feed of: (kind, url, params). arXiv's own are known, all others are general feeds."""
    parts = urlsplit(url)
    path = f"{parts.scheme}://{parts.netloc}{parts.path}"
    for form in ("rss", "atom"):
        start = f"{urls.arxiv_rss}/{form}/"
        if path.startswith(start):
            return (
                "arxiv_rss",
                "",
                {"category": path.removeprefix(start), **({"format": form} if form == "atom" else {})},
            )
    if path == f"{urls.arxiv_api}/query":
        asked = parse_qs(parts.query)
        params = {
            ours: asked[theirs][0]
            for theirs, ours in (("search_query", "query"), ("id_list", "id_list"))
            if asked.get(theirs)
        }
        if params:
            return "arxiv_api", "", params
    return "rss", url, {}


def write_opml(feeds: Iterable[Feed], urls: UpstreamUrls, *, now: datetime) -> str:
    """The feeds that a reader can use, as an OPML 2.0 document."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<opml version="2.0">',
        f"  <head><title>Broadsheet feeds</title><dateCreated>{now:%a, %d %b %Y %H:%M:%S GMT}</dateCreated></head>",
        "  <body>",
    ]
    for feed in feeds:
        address = readable_address(info(feed), urls)
        if address is not None:
            title = quoteattr(clean(feed.title, limit=200) or feed.name)
            lines.append(f'    <outline type="rss" text={title} title={title} xmlUrl={quoteattr(address)}/>')
    return "\n".join([*lines, "  </body>", "</opml>", ""])


def readable_address(feed: FeedInfo, urls: UpstreamUrls) -> str | None:
    """Where any reader finds this feed; `None` for kinds that are ours alone, and for feeds of imported files."""
    if feed.kind not in READABLE:
        return None
    try:
        return kinds.for_kind(feed.kind).request(feed, urls).url
    except InvalidInput:
        return None
