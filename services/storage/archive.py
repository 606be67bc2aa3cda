"""The archive read back: papers with their sightings, links and repositories, a batch at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import func
from sqlmodel import Session, col, select

from services.domain.errors import NotFound
from services.domain.identifiers import Identifier as Ident
from services.domain.identifiers import identifiers_from_url, parse_arxiv, parse_doi
from services.domain.links import EVIDENCE, LinkData
from services.domain.momentum import Momentum, momentum
from services.domain.papers import AuthorData, PaperFacts, RepoFacts
from services.domain.repos import repo_url
from services.storage import repos as repo_rows
from services.storage import votes
from services.storage.sql import chunks
from services.storage.tables import EditionItem, Feed, Identifier, Link, Paper, Repo, Sighting


def load(session: Session, ids: Sequence[int], *, now: datetime) -> list[PaperFacts]:
    """The papers with these ids, in the order given; those that are gone are left out."""
    found: dict[int, PaperFacts] = {}
    for part in chunks(list(dict.fromkeys(ids))):
        for facts in _load_part(session, part, now):
            found[facts.id] = facts
    return [found[i] for i in ids if i in found]


def _load_part(session: Session, ids: Sequence[int], now: datetime) -> Iterator[PaperFacts]:
    identifiers: dict[int, list[Ident]] = defaultdict(list)
    for paper_id, scheme, value in session.exec(
        select(Identifier.paper_id, Identifier.scheme, Identifier.value)
        .where(col(Identifier.paper_id).in_(ids))
        .order_by(col(Identifier.scheme), col(Identifier.value))
    ):
        identifiers[paper_id].append(Ident(scheme, value))
    feeds: dict[int, list[str]] = defaultdict(list)
    for paper_id, name in session.exec(
        select(Sighting.paper_id, Feed.name)
        .join(Feed, col(Feed.id) == col(Sighting.feed_id))
        .where(col(Sighting.paper_id).in_(ids))
        .distinct()
        .order_by(col(Feed.name))
    ):
        feeds[paper_id].append(name)
    links: dict[int, list[Link]] = defaultdict(list)
    for link in session.exec(select(Link).where(col(Link.paper_id).in_(ids)).order_by(col(Link.id))):
        links[link.paper_id].append(link)
    repo_ids = sorted({link.repo_id for part in links.values() for link in part if link.repo_id})
    rows = {r.id: r for part in chunks(repo_ids) for r in repo_rows.list_by_ids(session, part)}
    stars = repo_rows.readings_with_first(session, repo_ids, since=now - timedelta(days=9))

    cast = votes.tally(session, ids)
    for paper in session.exec(select(Paper).where(col(Paper.id).in_(ids))):
        assert paper.id is not None
        mine = links.get(paper.id, [])
        repos: dict[int, RepoFacts] = {}
        for link in sorted(mine, key=lambda x: EVIDENCE.index(x.evidence) if x.evidence in EVIDENCE else 99):
            row = rows.get(link.repo_id) if link.repo_id else None
            if row is not None and row.id is not None and row.id not in repos:
                speed = momentum(stars.get(row.id, []), now, published_at=paper.published_at)
                repos[row.id] = _repo_facts(row, link.evidence, speed)
        yield PaperFacts(
            id=paper.id, key=paper.key, title=paper.title, abstract=paper.abstract,
            authors=tuple(AuthorData(**author) for author in paper.authors),
            authors_count=paper.authors_count, organization=paper.organization,
            published_at=paper.published_at, updated_at=paper.updated_at, announced_on=paper.announced_on,
            first_seen_at=paper.first_seen_at, version=paper.version, categories=tuple(paper.categories),
            comment=paper.comment, journal_ref=paper.journal_ref, license=paper.license,
            comments_count=paper.comments_count, upvotes=paper.upvotes, citations=paper.citations,
            ai_summary=paper.ai_summary,
            ai_keywords=tuple(paper.ai_keywords), thumbnail_url=paper.thumbnail_url, withdrawn=paper.withdrawn,
            identifiers=tuple(identifiers.get(paper.id, ())),
            links=tuple(LinkData(url=x.url, kind=x.kind, slug=x.slug, evidence=x.evidence) for x in mine),
            repos=tuple(r for r in repos.values() if r.kind == "code"),
            artifacts=tuple(r for r in repos.values() if r.kind != "code"), feeds=tuple(feeds.get(paper.id, ())),
            votes=cast.get(paper.id, (0, 0)),
        )  # fmt: skip


def _repo_facts(row: Repo, evidence: str, speed: Momentum) -> RepoFacts:
    return RepoFacts(
        slug=row.slug, url=repo_url(row.host, row.kind, row.slug), kind=row.kind, state=row.state, stars=row.stars,
        stars_gained_24h=speed.gained_24h, stars_gained_7d=speed.gained_7d, stars_gained_since=speed.gained_since,
        stars_per_day=speed.per_day,
        forks=row.forks, downloads=row.downloads, gated=row.gated, release=row.release, released_at=row.released_at,
        license=row.license, language=row.language, description=row.description,
        topics=tuple(row.topics), pushed_at=row.pushed_at, archived=row.archived, checked_at=row.checked_at,
        evidence=evidence,
    )  # fmt: skip


def find_id(session: Session, key: str) -> int | None:
    """The paper a key, identifier (`arxiv:…`, `doi:…`), bare arXiv id, DOI or address stands for."""
    key = key.strip()
    row = session.exec(select(Paper.id).where(Paper.key == key)).first()
    if row is not None:
        return row
    candidates: list[Ident] = []
    arxiv = parse_arxiv(key)
    if arxiv is not None:
        candidates.append(Ident("arxiv", arxiv.base))
    doi = parse_doi(key)
    if doi:
        candidates.append(Ident("doi", doi))
    if ":" in key:
        scheme, value = key.split(":", 1)
        candidates.append(Ident(scheme.lower(), value))
    if key.startswith(("http://", "https://")):
        candidates.extend(identifiers_from_url(key))
    for identifier in candidates:
        found = session.exec(
            select(Identifier.paper_id).where(
                Identifier.scheme == identifier.scheme, Identifier.value == identifier.value
            )
        ).first()
        if found is not None:
            return found
    return None


def get(session: Session, key: str, *, now: datetime) -> PaperFacts:
    """One paper by any of its names, or `NotFound`."""
    paper_id = find_id(session, key)
    if paper_id is None:
        raise NotFound(f"no paper is known as {key!r}; try `broadsheet papers search` with words of its title")
    return load(session, [paper_id], now=now)[0]


def ids(
    session: Session,
    *,
    since: date | None = None,
    until: date | None = None,
    first_seen_after: datetime | None = None,
    feeds: Sequence[str] = (),
    not_had_by: int | None = None,
) -> list[int]:
    """Ids of papers, newest day first.

    `since` and `until` (inclusive) are days of listing; with `feeds` only papers those feeds listed;
    `not_had_by` leaves out what that subscription has had.
    """
    query = sa.select(col(Paper.id), col(Paper.announced_on))
    if first_seen_after is not None:
        query = query.where(col(Paper.first_seen_at) > first_seen_after)
    query = query.where(*listed(since, until, feeds))
    if not_had_by is not None:
        query = query.where(
            ~select(EditionItem.id)
            .where(EditionItem.subscription_id == not_had_by, EditionItem.paper_id == Paper.id)
            .exists()
        )
    # Ordered here: asked for the order, SQLite walks the whole archive by day instead of what the conditions leave.
    rows = [(day.toordinal() if day else 0, paper_id) for paper_id, day in session.execute(query)]
    return [paper_id for _, paper_id in sorted(rows, key=lambda row: (-row[0], row[1]))]


def listed(since: date | None, until: date | None, feeds: Sequence[str]) -> list[sa.ColumnElement[bool]]:
    """The condition that one of these feeds (any, when none is named) listed a paper on one of these days."""
    if not feeds and since is None and until is None:
        return []
    seen = select(Sighting.paper_id)
    if since is not None:
        seen = seen.where(Sighting.day >= since)
    if until is not None:
        seen = seen.where(Sighting.day <= until)
    if feeds:
        seen = seen.join(Feed, col(Feed.id) == col(Sighting.feed_id)).where(col(Feed.name).in_(feeds))
    if since is None and until is None:
        return [seen.where(Sighting.paper_id == Paper.id).exists()]
    # Days leave few papers: their list is made once, where EXISTS would be asked anew for all of the archive.
    return [col(Paper.id).in_(seen)]


def count(session: Session) -> int:
    """How many papers there are."""
    return session.exec(select(func.count()).select_from(Paper)).one()


def days(session: Session, *, limit: int = 60) -> list[tuple[date, int]]:
    """The newest days with papers, and how many each has."""
    rows = session.execute(
        sa.select(col(Sighting.day), func.count(func.distinct(Sighting.paper_id)))
        .group_by(col(Sighting.day))
        .order_by(col(Sighting.day).desc())
        .limit(limit)
    )
    return [(day, number) for day, number in rows]


def sightings(session: Session, paper_id: int) -> list[tuple[str, date, int | None, datetime]]:
    """Which feed listed a paper when: (feed, day, rank, seen at), oldest first."""
    return [
        (name, day, rank, seen)
        for name, day, rank, seen in session.execute(
            sa.select(col(Feed.name), col(Sighting.day), col(Sighting.rank), col(Sighting.seen_at))
            .join(Feed, col(Feed.id) == col(Sighting.feed_id))
            .where(col(Sighting.paper_id) == paper_id)
            .order_by(col(Sighting.day), col(Sighting.seen_at))
        )
    ]
