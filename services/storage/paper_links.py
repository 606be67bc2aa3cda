"""Links of papers: each thing once, by its best evidence, with its repository."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from sqlmodel import Session, col, select

from services.domain.events import EventData, code_appeared
from services.domain.identifiers import canonical_url
from services.domain.links import EVIDENCE, LINK_KINDS, LinkData, find_links, is_verified, standing
from services.domain.papers import PaperData
from services.storage import events
from services.storage import repos as repo_rows
from services.storage.identity import Group
from services.storage.sql import among, table_of, upsert
from services.storage.tables import Identifier, Link, Paper

_COMPARED = ("paper_id", "url_key", "evidence", "kind", "url", "by_title")
_REWRITTEN = ("url", "kind", "slug", "evidence", "repo_id", "by_title")


class _AnyLink(Protocol):
    """A link as data or as a row."""

    @property
    def url(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def evidence(self) -> str: ...


def write_links(
    session: Session, groups: Sequence[Group], *, known: Collection[int], by_title: bool, now: datetime
) -> tuple[list[int], list[tuple[int, EventData]]]:
    """Write the links of papers of which something new was said.

    Returns the repositories never asked for yet, and for papers known before (`known`, row ids) that had no code
    the event that it appeared. Links of entries known `by_title` never replace one that an identifier brought.
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
    if of_known := {paper_id for paper_id, _ in found} & set(known):
        columns = table_of(Link).c
        asked = sa.select(*(columns[name] for name in _COMPARED)).where(among(session, columns.paper_id, of_known))
        there = {(row.paper_id, row.url_key): row for row in session.connection().execute(asked).all()}
    fresh = {key: link for key, link in found.items() if key not in there or _replaces(link, by_title, there[key])}
    # What a paper only used is not looked after: its stars and releases say nothing of the paper.
    theirs = [link for link in fresh.values() if standing(link.evidence) != "unrelated"]
    repo_ids, new_repo_ids = repo_rows.ensure(session, theirs, now=now)
    rows = [
        {
            "paper_id": paper_id, "url": link.url, "url_key": url_key, "kind": link.kind, "slug": link.slug,
            "evidence": link.evidence, "found_at": now, "by_title": by_title,
            "repo_id": repo_ids.get(link.url.lower()) if standing(link.evidence) != "unrelated" else None,
        }
        for (paper_id, url_key), link in fresh.items()
    ]  # fmt: skip
    upsert(session, Link, rows, ["paper_id", "url_key"], update=_REWRITTEN)
    had_code = {
        paper_id for (paper_id, _), row in there.items() if row.kind == "code" and standing(row.evidence) != "unrelated"
    }
    appeared = [
        (paper_id, code_appeared(link))
        for (paper_id, _), link in fresh.items()
        if link.kind == "code" and is_verified(link.evidence) and paper_id in known and paper_id not in had_code
    ]
    return new_repo_ids, appeared


def claimed_repos(session: Session, repo_ids: Collection[int]) -> set[int]:
    """Those of these repositories that only a third party says are a paper's."""
    return {
        repo_id
        for repo_id, evidence in session.execute(
            sa.select(col(Link.repo_id), col(Link.evidence)).where(col(Link.repo_id).in_(sorted(repo_ids)))
        )
        if standing(evidence) == "claimed"
    }


def vouch(session: Session, mentions: Mapping[int, Collection[str]], *, now: datetime) -> int:
    """A README or card that names a paper makes the repository official for it; returns how many links became so.

    `mentions` are identifiers by repository row. Of a paper known since yesterday that had no official code it is
    news, as if the code had appeared.
    """
    named = {repo_id: set(names) for repo_id, names in mentions.items() if names}
    if not named:
        return 0
    links = [
        link
        for link in session.exec(select(Link).where(col(Link.repo_id).in_(sorted(named))))
        if standing(link.evidence) == "claimed"
    ]
    papers = sorted({link.paper_id for link in links})
    names_of: dict[int, set[str]] = defaultdict(set)
    for row in session.exec(select(Identifier).where(col(Identifier.paper_id).in_(papers))):
        names_of[row.paper_id].add(f"{row.scheme}:{row.value}")
    official = {
        paper_id
        for paper_id, evidence in session.execute(
            sa.select(col(Link.paper_id), col(Link.evidence)).where(
                col(Link.paper_id).in_(papers), col(Link.kind) == "code"
            )
        )
        if is_verified(evidence)
    }
    known_since = dict(
        session.execute(sa.select(col(Paper.id), col(Paper.first_seen_at)).where(col(Paper.id).in_(papers))).all()
    )
    vouched = [link for link in links if names_of[link.paper_id] & named[link.repo_id or 0]]
    appeared: list[tuple[int, EventData]] = []
    for link in vouched:
        link.evidence = "readme"
        session.add(link)
        late = now - known_since[link.paper_id] > timedelta(days=1)
        if link.kind == "code" and late and link.paper_id not in official:
            data = LinkData(url=link.url, kind=link.kind, slug=link.slug, evidence=link.evidence)
            appeared.append((link.paper_id, code_appeared(data)))
    session.flush()
    events.record(session, appeared, now=now)
    return len(vouched)


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


def _replaces(link: _AnyLink, by_title: bool, row: Any) -> bool:
    return better(link, row) if by_title == row.by_title else row.by_title


def better_row(one: Link, other: Link) -> bool:
    """Of two rows for one thing whether `one` is to be kept: what an identifier brought, then the better evidence."""
    return _replaces(one, one.by_title, other)


def _rank(link: _AnyLink) -> tuple[int, int, str]:
    return (_place(EVIDENCE, link.evidence), _place(LINK_KINDS, link.kind), link.url)


def _place(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else len(names)
