"""Links of papers: each thing once, by its best evidence, with its repository."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa
from sqlmodel import Session, col

from services.domain.events import EventData, code_appeared
from services.domain.identifiers import canonical_url
from services.domain.links import EVIDENCE, LINK_KINDS, LinkData, find_links, is_verified
from services.domain.papers import PaperData
from services.storage import repos as repo_rows
from services.storage.identity import Group
from services.storage.sql import chunks, upsert
from services.storage.tables import Link

_COMPARED: tuple[Any, ...] = (Link.paper_id, Link.url_key, Link.evidence, Link.kind, Link.url)


class _AnyLink(Protocol):
    """A link as data or as a row."""

    @property
    def url(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def evidence(self) -> str: ...


def write_links(
    session: Session, groups: Sequence[Group], *, known: Collection[int], now: datetime
) -> tuple[list[int], list[tuple[int, EventData]]]:
    """Write the links of papers of which something new was said.

    Returns the repositories never asked for yet, and for papers known before (`known`, row ids) that had no code
    the event that it appeared.
    """
    found: dict[tuple[int, str], LinkData] = {}
    for group in groups:
        for entry in group.entries:
            for link in links_of(entry):
                key = (group.paper_id, link_key(link))
                if key not in found or better(link, found[key]):
                    found[key] = link
    if not found:
        return [], []
    there: dict[tuple[int, str], Any] = {}
    for part in chunks(sorted({paper_id for paper_id, _ in found})):
        for row in session.execute(sa.select(*map(col, _COMPARED)).where(col(Link.paper_id).in_(part))):
            there[(row.paper_id, row.url_key)] = row
    fresh = {key: link for key, link in found.items() if key not in there or better(link, there[key])}
    repo_ids, new_repo_ids = repo_rows.ensure(
        session, [link for link in fresh.values() if link.kind == "code" and link.slug], now=now
    )
    rows = [
        {
            "paper_id": paper_id, "url": link.url, "url_key": url_key, "kind": link.kind, "slug": link.slug,
            "evidence": link.evidence, "repo_id": repo_ids.get(link.url.lower()), "found_at": now,
        }
        for (paper_id, url_key), link in fresh.items()
    ]  # fmt: skip
    upsert(session, Link, rows, ["paper_id", "url_key"], update=["url", "kind", "slug", "evidence", "repo_id"])
    had_code = {paper_id for (paper_id, _), row in there.items() if row.kind == "code"}
    appeared = [
        (paper_id, code_appeared(link))
        for (paper_id, _), link in fresh.items()
        if link.kind == "code" and is_verified(link.evidence) and paper_id in known and paper_id not in had_code
    ]
    return new_repo_ids, appeared


def links_of(entry: PaperData) -> tuple[LinkData, ...]:
    """Every link of an entry: those its source states, those its abstract and comment name."""
    found = list(entry.links)
    if entry.abstract:
        found += find_links(entry.abstract, evidence="abstract")
    if entry.comment:
        found += find_links(entry.comment, evidence="comment")
    return tuple(found)


def link_key(link: LinkData) -> str:
    """What makes two links one: the thing they name, whatever its case, tail or scheme."""
    if link.slug:
        host = link.url.partition("://")[2].partition("/")[0].removeprefix("www.")
        return f"{link.kind}:{host}/{link.slug}".lower()
    return canonical_url(link.url)


def better(one: _AnyLink, other: _AnyLink) -> bool:
    """Whether `one` tells more of the same thing: by its evidence, then its kind, then (so that it does not matter
    which was read first) its spelling."""
    return _rank(one) < _rank(other)


def _rank(link: _AnyLink) -> tuple[int, int, str]:
    return (_place(EVIDENCE, link.evidence), _place(LINK_KINDS, link.kind), link.url)


def _place(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else len(names)
