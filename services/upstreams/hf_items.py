"""One paper as Hugging Face's API gives it: the wrapper of the Daily Papers list, or the flat record.

Fields are left out rather than null, came and went over the years, and none but id and title is relied on: an
optional one of the wrong type is left out with a note, the paper stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlsplit

from services.domain.feeds import DocumentInfo
from services.domain.identifiers import Identifier, identifiers_from_url, parse_arxiv
from services.domain.links import LinkData, link_from_url
from services.domain.papers import AuthorData, PaperData
from services.domain.text import clean, safe_url
from services.upstreams.documents import json_type
from services.upstreams.fields import name_entry, parse_day, parse_utc

_ID = re.compile(r"[\w.-]{1,80}")
_OUTER_DAY_UNTIL = date(2025, 3, 10)
_UPLOADS = ("cdn-uploads.huggingface.co", "cdn-thumbnails.huggingface.co")


class Unusable(Exception):
    """Why one item cannot be used."""


def name_item(item: object) -> str:
    """What names an item in a message: its id, else its title."""
    if not isinstance(item, dict):
        return name_entry(item)
    paper = item.get("paper")
    inner = paper if isinstance(paper, dict) else item
    return name_entry(inner.get("id"), inner.get("title"), item.get("title"), item)


def read_item(item: object, about: DocumentInfo, *, rank: int | None, notes: list[str]) -> PaperData:
    """The paper of one item; what was left out of it is appended to `notes`. Raises `Unusable`."""
    if not isinstance(item, dict):
        raise Unusable(f"the entry is {json_type(item)}, not an object")
    paper = item.get("paper", item)
    if not isinstance(paper, dict):
        raise Unusable(f"'paper' is {json_type(paper)}, not an object")
    identifier = _identifier(paper)
    title = _text(paper, "title") or _text(item, "title")
    if not title:
        raise Unusable("no title")
    reader = _Optional(identifier, notes)
    return PaperData(
        identifiers=(identifier,),
        title=title,
        abstract=_text(paper, "summary") or _text(item, "summary"),
        authors=_authors(paper, reader),
        organization=_organization(item, paper, reader),
        published_at=parse_utc(reader.text(paper, "publishedAt")),
        announced_on=_announced_on(item, paper, about, reader),
        comments_count=reader.count(item, "numComments"),
        upvotes=reader.count(paper, "upvotes"),
        links=_links(item, paper, reader),
        ai_summary=clean(reader.text(paper, "ai_summary") or "") or None,
        ai_keywords=_keywords(paper, reader),
        thumbnail_url=_thumbnail(item, paper, reader),
        withdrawn=True if paper.get("withdrawnAt") else None,
        rank=rank,
    )


def _identifier(paper: Mapping[str, Any]) -> Identifier:
    value = paper.get("id")
    if value is None:
        raise Unusable("no id")
    if not isinstance(value, str):
        raise Unusable(f"'id' is {json_type(value)}, not text")
    arxiv = parse_arxiv(value)
    if arxiv:
        return Identifier("arxiv", arxiv.base)
    # Every id so far was arXiv's. A paper known to Hugging Face alone would still have its page there.
    page = identifiers_from_url(f"https://huggingface.co/papers/{value}") if _ID.fullmatch(value) else ()
    if not page:
        raise Unusable("the id names no paper" if value.strip() else "no id")
    return page[0]


def _text(source: Mapping[str, Any], name: str) -> str | None:
    value = source.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Unusable(f"'{name}' is {json_type(value)}, not text")
    return clean(value) or None


class _Optional:
    """Reads fields one can do without: one of the wrong type is left out and noted, the paper stays."""

    def __init__(self, paper: Identifier, notes: list[str]) -> None:
        self.paper = paper
        self.notes = notes

    def note(self, name: str, value: object) -> None:
        self.notes.append(f"{self.paper}: '{name}' is {json_type(value)}, left out")

    def text(self, source: Mapping[str, Any], name: str) -> str | None:
        value = source.get(name)
        if value is None or isinstance(value, str):
            return value
        self.note(name, value)
        return None

    def count(self, source: Mapping[str, Any], name: str) -> int | None:
        value = source.get(name)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
            return value
        self.note(name, value)
        return None

    def items(self, source: Mapping[str, Any], name: str) -> list[Any]:
        value = source.get(name)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        self.note(name, value)
        return []


def _authors(paper: Mapping[str, Any], reader: _Optional) -> tuple[AuthorData, ...]:
    """All authors in order, those hidden on the site too, since they did write the paper.

    A hidden author's account is not taken, for that is what was hidden.
    """
    authors: list[AuthorData] = []
    for entry in reader.items(paper, "authors"):
        stated = entry.get("name") if isinstance(entry, dict) else None
        name = clean(stated, limit=300) if isinstance(stated, str) else ""
        if name:
            authors.append(AuthorData(name=name, hf_user=_account(entry)))
        else:
            reader.note("authors", entry)
    return tuple(authors)


def _account(author: Mapping[str, Any]) -> str | None:
    user = author.get("user")
    if not isinstance(user, dict) or author.get("hidden"):
        return None
    account = user.get("user") or user.get("name")
    return clean(account, limit=100) if isinstance(account, str) else None


def _organization(item: Mapping[str, Any], paper: Mapping[str, Any], reader: _Optional) -> str | None:
    for source, name in ((item, "organization"), (paper, "organization"), (item, "submitterOrganization")):
        value = source.get(name)
        if value is None:
            continue
        if isinstance(value, dict):
            value = value.get("fullname") or value.get("name")
        if isinstance(value, str):
            if cleaned := clean(value, limit=300):
                return cleaned
        else:
            reader.note(name, value)
    return None


def _announced_on(
    item: Mapping[str, Any], paper: Mapping[str, Any], about: DocumentInfo, reader: _Optional
) -> date | None:
    """The Daily Papers day: as stated, else the day asked for, else what old listings called `publishedAt`.

    The outer `publishedAt` was the time of listing up to 2025-03-10. Since then it is the paper's own date
    less four or five hours (Eastern time labelled UTC), which says nothing about the listing.
    """
    stated = parse_utc(reader.text(paper, "submittedOnDailyAt"))
    if stated:
        return stated.date()
    asked = about.as_of or parse_day(about.batch)
    if asked or item is paper:
        return asked
    outer, inner = parse_utc(reader.text(item, "publishedAt")), parse_utc(reader.text(paper, "publishedAt"))
    if outer is None or outer.date() > _OUTER_DAY_UNTIL:
        return None
    shifted = inner is not None and inner - outer in (timedelta(hours=4), timedelta(hours=5))
    return None if shifted else outer.date()


def _links(item: Mapping[str, Any], paper: Mapping[str, Any], reader: _Optional) -> tuple[LinkData, ...]:
    found: list[LinkData] = []

    def add(address: object, default_kind: str, evidence: str = "hf") -> None:
        link = (
            link_from_url(address, evidence=evidence, default_kind=default_kind) if isinstance(address, str) else None
        )
        if link and all(link.url != known.url for known in found):
            found.append(link)

    guessed = reader.text(paper, "githubRepoAddedBy") == "auto"
    add(reader.text(paper, "githubRepo"), "code", "hf_auto" if guessed else "hf")
    add(reader.text(paper, "projectPage"), "project")
    for address in reader.items(paper, "mediaUrls") or reader.items(item, "mediaUrls"):
        # Uploads to their own store are pictures for the list, not something the paper points at.
        if isinstance(address, str) and _host(address) not in _UPLOADS:
            add(address, "video")
    for name, prefix, kind in (
        ("linkedModels", "", "model"),
        ("linkedDatasets", "datasets/", "dataset"),
        ("linkedSpaces", "spaces/", "space"),
    ):
        for entry in reader.items(paper, name):
            slug = entry.get("id") if isinstance(entry, dict) else None
            if isinstance(slug, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", slug):
                add(f"https://huggingface.co/{prefix}{slug}", kind)
    return tuple(found)


def _host(address: str) -> str:
    """The host of an address; empty when it has none or cannot be read."""
    try:
        return urlsplit(address.strip()).hostname or ""
    except ValueError:
        return ""


def _keywords(paper: Mapping[str, Any], reader: _Optional) -> tuple[str, ...]:
    words = [clean(word, limit=200) for word in reader.items(paper, "ai_keywords") if isinstance(word, str)]
    return tuple(dict.fromkeys(word for word in words if word))


def _thumbnail(item: Mapping[str, Any], paper: Mapping[str, Any], reader: _Optional) -> str | None:
    for source, name in ((item, "thumbnail"), (item, "thumbnailUrl"), (paper, "thumbnail")):
        address = reader.text(source, name)
        if address and (url := safe_url(address)):
            return url
    return None
