"""Repositories: known by their host's id, found by any name they have had, counted over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy import delete, func, update
from sqlmodel import Session, col, select

from services.domain.links import LinkData
from services.domain.repos import RepoData
from services.storage.sql import chunks, insert_ignore, table_of, upsert
from services.storage.tables import Link, Paper, Reading, Repo, RepoName


def host_of(url: str) -> str:
    """The code host of a link: `github.com`."""
    return (urlsplit(url).hostname or "").removeprefix("www.")


def ensure(session: Session, links: Sequence[LinkData], *, now: datetime) -> tuple[dict[str, int], list[int]]:
    """Rows for the repositories the links name: (lower-cased url → row id, ids that are new)."""
    wanted = {(host_of(link.url), (link.slug or "").lower()): link for link in links}
    if not wanted:
        return {}, []
    found = _by_name(session, list(wanted))
    missing = {key: link for key, link in wanted.items() if key not in found}
    new: list[int] = []
    if missing:
        rows: list[dict[str, Any]] = [
            {
                "host": host,
                "slug": link.slug,
                "state": "new",
                "topics": [],
                "archived": False,
                "fork": False,
                "misses": 0,
                "next_check_at": now,
            }
            for (host, _), link in missing.items()
        ]
        table = table_of(Repo)
        made = session.connection().execute(table.insert().returning(table.c.id, table.c.host, table.c.slug), rows)
        names = [
            {"host": row.host, "slug_key": row.slug.lower(), "repo_id": row.id, "since_at": now} for row in made.all()
        ]
        added = insert_ignore(session, RepoName, names, ["host", "slug_key"], returning=["repo_id"])
        new = [row.repo_id for row in added]
        orphans = [name["repo_id"] for name in names if name["repo_id"] not in set(new)]
        if orphans:  # another page named them in the meantime
            session.execute(delete(Repo).where(col(Repo.id).in_(orphans)))
        found |= _by_name(session, list(missing))
    by_url = {link.url.lower(): found[(host_of(link.url), (link.slug or "").lower())] for link in links}
    return by_url, new


def _by_name(session: Session, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    by_host: dict[str, list[str]] = defaultdict(list)
    for host, slug_key in keys:
        by_host[host].append(slug_key)
    found: dict[tuple[str, str], int] = {}
    for host, slugs in by_host.items():
        for part in chunks(sorted(slugs)):
            for slug_key, repo_id in session.exec(
                select(RepoName.slug_key, RepoName.repo_id).where(
                    RepoName.host == host, col(RepoName.slug_key).in_(part)
                )
            ):
                found[(host, slug_key)] = repo_id
    return found


def list_by_ids(session: Session, ids: Sequence[int]) -> list[Repo]:
    """The rows with these ids, in no particular order; those that are gone are left out."""
    return list(session.exec(select(Repo).where(col(Repo.id).in_(ids))))


def list_due(session: Session, *, now: datetime, host: str = "github.com", limit: int = 500) -> list[int]:
    """Ids of repositories that want reading again, longest waiting first."""
    return [
        i
        for i in session.exec(
            select(Repo.id)
            .where(Repo.next_check_at <= now, Repo.host == host)
            .order_by(col(Repo.next_check_at))
            .limit(limit)
        )
        if i is not None
    ]


def youngest_paper_at(session: Session, repo_ids: Sequence[int]) -> dict[int, datetime]:
    """When the newest paper naming each repository was first seen."""
    return {
        repo_id: seen
        for repo_id, seen in session.exec(
            select(Link.repo_id, func.max(Paper.first_seen_at))
            .join(Paper, col(Paper.id) == col(Link.paper_id))
            .where(col(Link.repo_id).in_(repo_ids))
            .group_by(col(Link.repo_id))
        )
        if repo_id is not None
    }


def record_found(
    session: Session, repo_id: int, data: RepoData, *, etag: str | None, now: datetime, next_check_at: datetime
) -> int:
    """Write a repository's facts and a reading; returns its row id.

    When the host's id belongs to another row already (a rename we knew by two names), that row takes over this
    one's names and links.
    """
    other = session.exec(
        select(Repo.id).where(Repo.host == data.host, Repo.host_id == data.host_id, Repo.id != repo_id)
    ).first()
    if other is not None:
        session.execute(update(RepoName).where(col(RepoName.repo_id) == repo_id).values(repo_id=other))
        session.execute(update(Link).where(col(Link.repo_id) == repo_id).values(repo_id=other))
        session.execute(delete(Reading).where(col(Reading.repo_id) == repo_id))
        session.execute(delete(Repo).where(col(Repo.id) == repo_id))
        repo_id = other
    session.execute(
        update(Repo)
        .where(col(Repo.id) == repo_id)
        .values(
            host_id=data.host_id, slug=data.slug, state="found", description=data.description, homepage=data.homepage,
            stars=data.stars, forks=data.forks, open_issues=data.open_issues, language=data.language,
            license=data.license, topics=list(data.topics), archived=data.archived, fork=data.fork,
            created_at=data.created_at, pushed_at=data.pushed_at, etag=etag, checked_at=now,
            next_check_at=next_check_at, misses=0, error=None,
        )
    )  # fmt: skip
    upsert(
        session, RepoName,
        [{"host": data.host, "slug_key": data.slug.lower(), "repo_id": repo_id, "since_at": now}],
        ["host", "slug_key"], update=["repo_id"],
    )  # fmt: skip
    insert_ignore(
        session, Reading, [{"repo_id": repo_id, "read_at": now, "stars": data.stars, "forks": data.forks}],
        ["repo_id", "read_at"],
    )  # fmt: skip
    return repo_id


def record_unchanged(session: Session, repo: Repo, *, now: datetime, next_check_at: datetime) -> None:
    """A 304: the facts stand, and the counts were read once more."""
    session.execute(
        update(Repo)
        .where(col(Repo.id) == repo.id)
        .values(checked_at=now, next_check_at=next_check_at, misses=0, error=None)
    )
    if repo.stars is not None:
        insert_ignore(
            session, Reading,
            [{"repo_id": repo.id, "read_at": now, "stars": repo.stars, "forks": repo.forks or 0}],
            ["repo_id", "read_at"],
        )  # fmt: skip


def record_miss(
    session: Session, repo_id: int, *, state: str | None, error: str | None, now: datetime, next_check_at: datetime
) -> None:
    """It was not there (`state`), or could not be read now (`state=None`: what we held stands)."""
    values: dict[str, Any] = {"next_check_at": next_check_at, "error": error}
    if state is not None:
        again = sa.case((col(Repo.state) == state, col(Repo.misses) + 1), else_=1)
        values |= {"state": state, "checked_at": now, "misses": again}
    session.execute(update(Repo).where(col(Repo.id) == repo_id).values(**values))


def readings(session: Session, repo_ids: Sequence[int], *, since: datetime) -> Mapping[int, list[tuple[datetime, int]]]:
    """Stars over time, oldest first, per repository."""
    found: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
    for part in chunks(sorted(set(repo_ids))):
        for row in session.execute(
            select(Reading.repo_id, Reading.read_at, Reading.stars)
            .where(col(Reading.repo_id).in_(part), Reading.read_at >= since)
            .order_by(col(Reading.read_at))
        ):
            found[row.repo_id].append((row.read_at, row.stars))
    return found


def readings_with_first(
    session: Session, repo_ids: Sequence[int], *, since: datetime
) -> Mapping[int, list[tuple[datetime, int]]]:
    """As `readings`, and before them each repository's very first: what its whole gain is counted from."""
    found = {repo_id: list(stars) for repo_id, stars in readings(session, repo_ids, since=since).items()}
    for part in chunks(sorted(set(repo_ids))):
        first = (
            sa.select(col(Reading.repo_id).label("repo_id"), func.min(Reading.read_at).label("read_at"))
            .where(col(Reading.repo_id).in_(part))
            .group_by(col(Reading.repo_id))
            .subquery()
        )
        for row in session.execute(
            sa.select(col(Reading.repo_id), col(Reading.read_at), col(Reading.stars)).join(
                first, sa.and_(first.c.repo_id == Reading.repo_id, first.c.read_at == Reading.read_at)
            )
        ):
            known = found.setdefault(row.repo_id, [])
            if not known or known[0][0] > row.read_at:
                known.insert(0, (row.read_at, row.stars))
    return found
