"""Repositories: known by their host's id, found by any name they have had, counted over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy import delete, func, update
from sqlmodel import Session, col, select

from services.domain.links import LinkData
from services.domain.repos import ReleaseData, RepoData, is_repo
from services.storage.sql import among, chunks, execute_many, insert_ignore, table_of, take_ids, upsert
from services.storage.tables import Link, Paper, Reading, Repo, RepoName

Key = tuple[str, str, str]
"""Host, kind and lower-cased slug: what names a repository."""


@lru_cache(maxsize=4_096)
def host_of(url: str) -> str:
    """The code host of a link: `github.com`."""
    return (urlsplit(url).hostname or "").removeprefix("www.")


def _key(link: LinkData) -> Key:
    return host_of(link.url), link.kind, (link.slug or "").lower()


def ensure(session: Session, links: Sequence[LinkData], *, now: datetime) -> tuple[dict[str, int], list[int]]:
    """Rows for the repositories the links name: (lower-cased url → row id, ids that are new)."""
    wanted = {_key(link): link for link in links if is_repo(link.kind, link.slug, host_of(link.url))}
    if not wanted:
        return {}, []
    found = _by_name(session, list(wanted))
    missing = {key: link for key, link in wanted.items() if key not in found}
    new: list[int] = []
    if missing:
        made = dict(zip(missing, take_ids(session, Repo, len(missing)), strict=True))
        rows: list[dict[str, Any]] = [
            {
                "id": repo_id, "host": host, "kind": kind, "slug": missing[host, kind, slug_key].slug, "state": "new",
                "topics": [], "archived": False, "fork": False, "gated": False, "misses": 0, "next_check_at": now,
            }
            for (host, kind, slug_key), repo_id in made.items()
        ]  # fmt: skip
        execute_many(session, table_of(Repo).insert(), rows)
        names = [
            {"host": host, "kind": kind, "slug_key": slug_key, "repo_id": repo_id, "since_at": now}
            for (host, kind, slug_key), repo_id in made.items()
        ]
        insert_ignore(session, RepoName, names, ["host", "kind", "slug_key"])
        named = _by_name(session, list(missing))
        found |= named
        ours = set(named.values())
        new = [repo_id for repo_id in made.values() if repo_id in ours]
        orphans = [repo_id for repo_id in made.values() if repo_id not in ours]
        if orphans:  # another page named them in the meantime
            session.execute(delete(Repo).where(col(Repo.id).in_(orphans)))
    by_url = {link.url.lower(): found[key] for key, link in wanted.items()}
    by_url |= {link.url.lower(): found[_key(link)] for link in links if _key(link) in found}
    return by_url, new


def _by_name(session: Session, keys: Sequence[Key]) -> dict[Key, int]:
    by_place: dict[tuple[str, str], list[str]] = defaultdict(list)
    for host, kind, slug_key in keys:
        by_place[host, kind].append(slug_key)
    columns = table_of(RepoName).c
    asked = sa.select(columns.slug_key, columns.repo_id)
    found: dict[Key, int] = {}
    for (host, kind), slugs in by_place.items():
        rows = asked.where(columns.host == host, columns.kind == kind, among(session, columns.slug_key, slugs))
        found |= {(host, kind, slug_key): repo_id for slug_key, repo_id in session.connection().execute(rows).all()}
    return found


def list_by_ids(session: Session, ids: Sequence[int]) -> list[Repo]:
    """The rows with these ids, in no particular order; those that are gone are left out."""
    return list(session.exec(select(Repo).where(col(Repo.id).in_(ids))))


def hosts_of(session: Session, ids: Sequence[int]) -> dict[str, list[int]]:
    """These repositories by their host, in the order given."""
    found: dict[int, str] = {}
    for part in chunks(sorted(set(ids))):
        found |= dict(session.execute(sa.select(col(Repo.id), col(Repo.host)).where(col(Repo.id).in_(part))).all())
    by_host: dict[str, list[int]] = defaultdict(list)
    for repo_id in ids:
        if repo_id in found:
            by_host[found[repo_id]].append(repo_id)
    return by_host


def due_hosts(session: Session, *, now: datetime) -> list[str]:
    """Hosts of which a repository wants reading again."""
    return list(session.exec(select(Repo.host).where(Repo.next_check_at <= now).distinct().order_by(col(Repo.host))))


def list_due(session: Session, *, now: datetime, host: str = "github.com", limit: int = 500) -> list[int]:
    """Ids of a host's repositories that want reading again: those never read first, then the longest waiting."""
    return [
        i
        for i in session.exec(
            select(Repo.id)
            .where(Repo.next_check_at <= now, Repo.host == host)
            .order_by(col(Repo.state) != "new", col(Repo.next_check_at))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a host said of the repository in row `repo_id`, and when to ask again."""

    repo_id: int
    data: RepoData
    etag: str | None
    next_check_at: datetime


def record_found(session: Session, found: Sequence[Found], *, now: datetime) -> dict[int, int]:
    """Write the facts of repositories and a reading each; returns the row each is kept in.

    When the host's id belongs to another row already (a rename we knew by two names), that row takes over this
    one's names and links.
    """
    kept = _kept_rows(session, found)
    for repo_id, other in kept.items():
        if repo_id != other:
            session.execute(update(RepoName).where(col(RepoName.repo_id) == repo_id).values(repo_id=other))
            session.execute(update(Link).where(col(Link.repo_id) == repo_id).values(repo_id=other))
            session.execute(delete(Reading).where(col(Reading.repo_id) == repo_id))
            session.execute(delete(Repo).where(col(Repo.id) == repo_id))
    by_row = {kept[one.repo_id]: one for one in found}
    if by_row:
        session.connection().execute(_UPDATE_FOUND, [_values(row, one, now) for row, one in by_row.items()])
    names = {(one.data.host, one.data.kind, one.data.slug.lower()): row for row, one in by_row.items()}
    upsert(
        session, RepoName,
        [{"host": host, "kind": kind, "slug_key": key, "repo_id": row, "since_at": now}
         for (host, kind, key), row in names.items()],
        ["host", "kind", "slug_key"], update=["repo_id"],
    )  # fmt: skip
    insert_ignore(
        session, Reading,
        [{"repo_id": row, "read_at": now, "stars": one.data.stars, "forks": one.data.forks}
         for row, one in by_row.items()],
        ["repo_id", "read_at"],
    )  # fmt: skip
    return kept


def _kept_rows(session: Session, found: Sequence[Found]) -> dict[int, int]:
    """The row that each host's id has, or gets."""
    ids = defaultdict(list)
    for one in found:
        ids[one.data.host].append(one.data.host_id)
    owner: dict[tuple[str, str], int] = {}
    for host, host_ids in ids.items():
        for part in chunks(sorted(set(host_ids))):
            rows = session.execute(
                sa.select(col(Repo.id), col(Repo.host_id)).where(col(Repo.host) == host, col(Repo.host_id).in_(part))
            )
            owner |= {(host, host_id): repo_id for repo_id, host_id in rows}
    return {one.repo_id: owner.setdefault((one.data.host, one.data.host_id), one.repo_id) for one in found}


_FACTS = (
    "host_id", "slug", "description", "homepage", "stars", "forks", "downloads", "gated", "open_issues", "language",
    "license", "archived", "fork", "created_at", "pushed_at",
)  # fmt: skip
_UPDATE_FOUND = (
    table_of(Repo)
    .update()
    .where(table_of(Repo).c.id == sa.bindparam("row"))
    .values({
        name: sa.bindparam(f"new_{name}", type_=table_of(Repo).c[name].type)
        for name in (*_FACTS, "topics", "state", "etag", "checked_at", "next_check_at", "misses", "error")
    })
)  # fmt: skip


def _values(row: int, one: Found, now: datetime) -> dict[str, Any]:
    values = {name: getattr(one.data, name) for name in _FACTS} | {
        "topics": list(one.data.topics), "state": "found", "etag": one.etag, "checked_at": now,
        "next_check_at": one.next_check_at, "misses": 0, "error": None,
    }  # fmt: skip
    return {"row": row} | {f"new_{name}": value for name, value in values.items()}


def record_release(session: Session, repo_id: int, release: ReleaseData | None, *, etag: str | None = None) -> None:
    """The newest release (`None`: no other than we knew), and what the feed of releases is asked again with."""
    values: dict[str, Any] = {"releases_etag": etag} if etag is not None else {}
    if release is not None:
        values |= {"release": release.tag, "released_at": release.published_at}
    if values:
        session.execute(update(Repo).where(col(Repo.id) == repo_id).values(**values))


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
