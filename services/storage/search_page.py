"""A page of a search: the newest or most noticed papers that match, by work that does not grow with the archive.

Words that few papers have are looked up in the index, and all those papers looked at. Where more have them, or nothing
in the query can be looked up, the newest papers are walked through, so many and no more; the answer says how far
back that was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from services.domain.papers import PaperFacts
from services.domain.queries import Query
from services.storage import archive
from services.storage.search_tree import Clause, Compiler, ids_with
from services.storage.sql import chunks
from services.storage.tables import Link, Paper, Repo, Sighting

RARE = 5_000
"""Papers with the words looked for up to which all of them are looked at."""
WALKED = 15_000
"""Papers walked through, the newest, where there are more."""
MOST = 1_000
"""Papers taken from one search."""

BY_DAY, BY_NOTICE, BY_STARS = "day", "notice", "stars"
"""Which papers are taken where more match: the newest, those with most votes and comments, those with most stars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Papers that match, or may match."""

    ids: tuple[int, ...]
    exact: bool
    """Each of them matches; else they are to be looked at in memory."""
    more: bool
    """There may be others."""
    reached: date | None = None
    """How far back was looked; `None`: all there is."""


def candidates(
    session: Session,
    query: Query,
    *,
    since: date | None = None,
    until: date | None = None,
    listed: bool = False,
    take: str = BY_DAY,
) -> Candidates:
    """The papers announced in a span of days (inclusive) that match, at most `MOST`, newest first.

    With `listed` those that a feed listed in it, which may have been announced before.
    """
    compiler = Compiler(session)
    needed = compiler.needed(query.root)
    if needed is not None:
        few = ids_with(session, needed).limit(RARE + 1)
        ids = [paper_id for (paper_id,) in session.execute(few)]
        if len(ids) <= RARE:
            return _of_few(session, compiler, query, ids, since, until, listed)
    return _of_newest(session, query, since, until, listed, take)


def _of_few(
    session: Session, compiler: Compiler, query: Query, ids: Sequence[int], since: date | None, until: date | None,
    listed: bool,
) -> Candidates:  # fmt: skip
    condition, exact = compiler.condition(query.root)
    statement = sa.select(col(Paper.id), col(Paper.announced_on)).where(condition, *_span(since, until, listed))
    rows: list[Any] = []
    for part in chunks(ids):
        rows += session.execute(statement.where(col(Paper.id).in_(part)))
    rows.sort(key=lambda row: (-(row[1].toordinal() if row[1] else 0), row[0]))
    return Candidates(ids=tuple(row[0] for row in rows[:MOST]), exact=exact, more=len(rows) > MOST)


def _span(since: date | None, until: date | None, listed: bool) -> list[Clause]:
    """As a condition on each paper of few."""
    if since is None and until is None:
        return []
    day = col(Sighting.day) if listed else col(Paper.announced_on)
    bounds: list[Clause] = [] if since is None else [day >= since]
    if until is not None:
        bounds.append(day <= until)
    if not listed:
        return bounds
    return [sa.select(col(Sighting.id)).where(col(Sighting.paper_id) == col(Paper.id), *bounds).exists()]


def _of_newest(
    session: Session, query: Query, since: date | None, until: date | None, listed: bool, take: str
) -> Candidates:
    announced, paper_id = col(Paper.announced_on), col(Paper.id)
    until = until or session.execute(sa.select(sa.func.max(announced))).scalar()
    if until is None:
        return Candidates(ids=(), exact=True, more=False)
    if listed:
        seen = sa.select(col(Sighting.paper_id)).where(col(Sighting.day) <= until)
        if since is not None:
            seen = seen.where(col(Sighting.day) >= since)
        seen = seen.order_by(col(Sighting.day).desc()).limit(WALKED)
        among: Any = sa.select(seen.subquery().c.paper_id)
        first_id, reached = session.execute(sa.select(sa.func.min(seen.subquery().c.paper_id))).scalar(), since
        where: list[Clause] = [paper_id.in_(among)]
    else:
        # The day on which the walk ends: it is counted in the index, the rows are left alone.
        last = sa.select(announced).where(announced <= until).order_by(announced.desc()).offset(WALKED).limit(1)
        if since is not None:
            last = last.where(announced >= since)
        reached = session.execute(last).scalar()
        where = [sa.and_(announced >= (reached or since or date.min), announced <= until)]
        # Of a bare id PostgreSQL takes the least in the table, and goes on from there until one is of these days.
        first_id = session.execute(sa.select(sa.func.min(paper_id + 0)).where(*where)).scalar()
    if first_id is None:
        return Candidates(ids=(), exact=True, more=False)
    condition, exact = Compiler(session, first_id=first_id).condition(query.root)
    statement = sa.select(paper_id).where(condition, *where)
    if take == BY_NOTICE:
        noticed = sa.func.coalesce(col(Paper.upvotes), 0) + sa.func.coalesce(col(Paper.comments_count), 0)
        statement = statement.order_by(noticed.desc())
    elif take == BY_STARS:
        statement = statement.order_by(sa.func.coalesce(_stars(), -1).desc())
    found = session.execute(statement.order_by(announced.desc(), paper_id).limit(MOST + 1))
    ids = tuple(one for (one,) in found)
    cut = len(ids) > MOST
    return Candidates(ids=ids[:MOST], exact=exact, more=cut or reached not in (None, since), reached=reached)


def _stars() -> Any:
    return (
        sa.select(sa.func.max(col(Repo.stars)))
        .join(Link, col(Link.repo_id) == col(Repo.id))
        .where(col(Link.paper_id) == col(Paper.id), col(Repo.kind) == "code")
        .scalar_subquery()
    )


def matching(session: Session, ids: Sequence[int], query: Query, *, now: datetime) -> Iterator[PaperFacts]:
    """Of candidates those that match, in the order given, read a part at a time as they are asked for."""
    start, size = 0, 64
    while start < len(ids):
        yield from (one for one in archive.load(session, ids[start : start + size], now=now) if query.matches(one))
        start += size


def count(session: Session, since: date | None, until: date | None) -> int:
    """How many papers were announced in a span of days (inclusive)."""
    number = sa.select(sa.func.count(col(Paper.announced_on)))
    return int(session.execute(number.where(*_span(since, until, listed=False))).scalar_one())
