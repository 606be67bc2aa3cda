"""Lookups: which papers a scholarly service is to be asked about, and what became of it.

They are rows of `paper_checks`, one for each paper and service, beside those of a paper's own source.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from services.domain.identifiers import Identifier as Ident
from services.domain.lookups import AskedPaper, first_lookup
from services.storage.rechecks import ensure
from services.storage.sql import chunks
from services.storage.tables import Identifier, Job, Paper, PaperCheck, Sighting

PLANNED_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DueLookup:
    """A paper that is to be asked about."""

    check_id: int
    paper_id: int
    since_at: datetime
    misses: int
    paper: AskedPaper


def plan(
    session: Session,
    source: str,
    schemes: Sequence[str],
    *,
    now: datetime,
    since: datetime | None = None,
    paper_ids: Sequence[int] | None = None,
) -> int:
    """Plan to ask `source` about papers it was never to be asked about and knows a name of; returns how many.

    Of the papers first seen after `since`, or of these `paper_ids`.
    """
    known = sa.select(col(PaperCheck.id)).where(
        col(PaperCheck.paper_id) == col(Paper.id), col(PaperCheck.source) == source
    )
    named = sa.select(col(Identifier.id)).where(
        col(Identifier.paper_id) == col(Paper.id), col(Identifier.scheme).in_(list(schemes))
    )
    feed_id = (
        sa.select(sa.func.min(col(Sighting.feed_id))).where(col(Sighting.paper_id) == col(Paper.id)).scalar_subquery()
    )
    query = sa.select(col(Paper.id), col(Paper.announced_on), col(Paper.first_seen_at), feed_id).where(
        ~known.exists(), named.exists()
    )
    if since is not None:
        query = query.where(col(Paper.first_seen_at) > since)
    rows: list[dict[str, Any]] = []
    for part in chunks(list(paper_ids)) if paper_ids is not None else [None]:
        some = query if part is None else query.where(col(Paper.id).in_(part))
        for paper_id, day, seen_at, feed in session.execute(some.order_by(col(Paper.id)).limit(PLANNED_AT_ONCE)):
            listed = datetime.combine(day, time(12), UTC) if day is not None else seen_at
            listed = min(listed, seen_at)
            rows.append({
                "paper_id": paper_id, "source": source, "feed_id": feed or 0, "since_at": listed,
                "next_check_at": first_lookup(listed, now), "misses": 0,
            })  # fmt: skip
    ensure(session, rows)
    return len(rows)


def is_waiting(session: Session, source: str) -> bool:
    """Whether lookups of this service are still under way: then no further ones are begun."""
    open_job = select(Job.id).where(
        Job.kind == "look_up_papers",
        col(Job.state).in_(("ready", "running")),
        col(Job.key).startswith(f"{source} ", autoescape=True),
    )
    return session.exec(open_job.limit(1)).first() is not None


def load(session: Session, ids: Sequence[int], schemes: Sequence[str], *, now: datetime) -> list[DueLookup]:
    """Of these checks those still due whose paper has a name of one of `schemes`."""
    found: list[DueLookup] = []
    for part in chunks(list(ids)):
        rows = session.execute(
            sa.select(PaperCheck, col(Paper.title), col(Paper.announced_on))
            .join(Paper, col(Paper.id) == col(PaperCheck.paper_id))
            .where(col(PaperCheck.id).in_(part), col(PaperCheck.next_check_at) <= now)
            .order_by(col(PaperCheck.id))
        ).all()
        names: dict[int, list[Ident]] = defaultdict(list)
        for paper_id, scheme, value in session.execute(
            sa.select(col(Identifier.paper_id), col(Identifier.scheme), col(Identifier.value))
            .where(col(Identifier.paper_id).in_([check.paper_id for check, _, _ in rows]))
            .order_by(col(Identifier.id))
        ):
            names[paper_id].append(Ident(scheme, value))
        for check, title, day in rows:
            own = tuple(names[check.paper_id])
            if any(name.scheme in schemes for name in own):
                found.append(
                    DueLookup(
                        check_id=check.id, paper_id=check.paper_id, since_at=check.since_at, misses=check.misses,
                        paper=AskedPaper(identifiers=own, title=title, announced_on=day),
                    )
                )  # fmt: skip
    return found


def still_there(session: Session, paper_ids: Sequence[int]) -> set[int]:
    """Those of these papers that are in the archive: others were folded or removed while we asked."""
    found: set[int] = set()
    for part in chunks(list(paper_ids)):
        found |= set(session.execute(sa.select(col(Paper.id)).where(col(Paper.id).in_(part))).scalars())
    return found
