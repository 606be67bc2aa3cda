"""Feeds out: papers as feed readers take them, in Atom (RFC 4287), RSS 2.0 and JSON Feed 1.1; one content, three forms.

The same items give the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape
from typing import Any
from xml.etree import ElementTree as ET

ATOM = "http://www.w3.org/2005/Atom"
DC = "http://purl.org/dc/elements/1.1/"
TTL_MINUTES = 15
"""How long a reader of RSS may keep what it has."""
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = "Broadsheet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One paper. `id` is its name for ever, `url` its page here; `related` is (address, media type) elsewhere."""

    id: str
    url: str
    title: str
    text: str
    published_at: datetime
    updated_at: datetime
    authors: Sequence[str]
    categories: Sequence[str] = ()
    related: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A feed: its own address, the page it belongs to, and its items, the latest first."""

    title: str
    own_url: str
    home_url: str
    updated_at: datetime
    items: Sequence[Item]


def atom(feed: Channel) -> bytes:
    """As Atom."""
    ET.register_namespace("", ATOM)
    root = ET.Element(_a("feed"), {"xml:lang": "en"})
    _add(root, _a("id"), feed.own_url)
    _add(root, _a("title"), feed.title)
    _add(root, _a("updated"), _time(feed.updated_at))
    _link(root, "self", "application/atom+xml", feed.own_url)
    _link(root, "alternate", "text/html", feed.home_url)
    _add(root, _a("generator"), _NAME)
    for item in feed.items:
        entry = ET.SubElement(root, _a("entry"))
        _add(entry, _a("id"), item.id)
        _add(entry, _a("title"), item.title)
        _add(entry, _a("updated"), _time(item.updated_at))
        _add(entry, _a("published"), _time(item.published_at))
        for name in item.authors:
            _add(ET.SubElement(entry, _a("author")), _a("name"), name)
        _link(entry, "alternate", "text/html", item.url)
        for url, kind in item.related:
            _link(entry, "related", kind, url)
        for category in item.categories:
            ET.SubElement(entry, _a("category"), {"term": _xml(category)})
        if item.text:
            _add(entry, _a("summary"), item.text)
    return _bytes(root)


def rss(feed: Channel) -> bytes:
    """As RSS 2.0, with the authors by Dublin Core: RSS itself knows authors by their mail addresses only."""
    ET.register_namespace("atom", ATOM)
    ET.register_namespace("dc", DC)
    root = ET.Element("rss", {"version": "2.0"})
    channel = ET.SubElement(root, "channel")
    _add(channel, "title", feed.title)
    _add(channel, "link", feed.home_url)
    _add(channel, "description", feed.title)
    _add(channel, "language", "en")
    _add(channel, "lastBuildDate", _mail_time(feed.updated_at))
    _add(channel, "generator", _NAME)
    _add(channel, "ttl", str(TTL_MINUTES))
    _link(channel, "self", "application/rss+xml", feed.own_url)
    for one in feed.items:
        item = ET.SubElement(channel, "item")
        _add(item, "title", one.title)
        _add(item, "link", one.url)
        ET.SubElement(item, "guid", {"isPermaLink": "false"}).text = _xml(one.id)
        _add(item, "pubDate", _mail_time(one.published_at))
        for name in one.authors:
            _add(item, f"{{{DC}}}creator", name)
        for category in one.categories:
            _add(item, "category", category)
        if one.text:
            _add(item, "description", escape(one.text, quote=False))  # it is read as HTML
    return _bytes(root)


def json_feed(feed: Channel) -> bytes:
    """As JSON Feed 1.1."""
    items: list[dict[str, Any]] = []
    for one in feed.items:
        item = {
            "id": one.id, "url": one.url, "title": one.title, "content_text": one.text or one.title,
            "date_published": _time(one.published_at), "date_modified": _time(one.updated_at),
            "authors": [{"name": name} for name in one.authors], "tags": list(one.categories),
        }  # fmt: skip
        if one.related:
            item["external_url"] = one.related[0][0]
        items.append(item)
    whole = {
        "version": "https://jsonfeed.org/version/1.1", "title": feed.title, "home_page_url": feed.home_url,
        "feed_url": feed.own_url, "language": "en", "items": items,
    }  # fmt: skip
    return (json.dumps(whole, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a feed by the ending of its address."""

    title: str
    media_type: str
    render: Callable[[Channel], bytes]


FORMS: dict[str, Form] = {
    "atom": Form("Atom", "application/atom+xml", atom),
    "rss": Form("RSS", "application/rss+xml", rss),
    "json": Form("JSON Feed", "application/feed+json", json_feed),
}
"""Every form, the one offered first before the others."""


def _a(name: str) -> str:
    return f"{{{ATOM}}}{name}"


def _add(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = _xml(text)


def _link(parent: ET.Element, rel: str, kind: str, url: str) -> None:
    ET.SubElement(parent, _a("link"), {"rel": rel, "type": kind, "href": _xml(url)})


def _xml(text: str) -> str:
    return _NOT_XML.sub("", text)


def _bytes(root: ET.Element) -> bytes:
    ET.indent(root, " ")
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _mail_time(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC).replace(microsecond=0), usegmt=True)
