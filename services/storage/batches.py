"""Batches: what each day of each feed has come to, summed up from its ledger rows as they are written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from services.domain.batches import COMPLETE
from services.storage.sql import chunks, table_of, upsert
from services.storage.tables import Batch, Fetch, Sighting


def find(session: Session, feed_id: int, batch: str) -> Batch | None:
    """One batch of a feed, or none."""
    return session.exec(select(Batch).where(Batch.feed_id == feed_id, Batch.batch == batch)).first()


def since(session: Session, feed_id: int, batch: str) -> dict[str, Batch]:
    """A feed's batches of that name and later ones."""
    found = session.exec(select(Batch).where(Batch.feed_id == feed_id, col(Batch.batch) >= batch))
    return {row.batch: row for row in found}


def newest(session: Session, feed_id: int, *, limit: int = 10) -> list[Batch]:
    """A feed's newest batches, newest first."""
    query = select(Batch).where(Batch.feed_id == feed_id).order_by(col(Batch.batch).desc()).limit(limit)
    return list(session.exec(query))


def newest_of(session: Session, feed_ids: Collection[int], *, limit: int = 10) -> dict[int, list[Batch]]:
    """The newest batches of each of many feeds that have any, newest first."""
    place = func.row_number().over(partition_by=col(Batch.feed_id), order_by=col(Batch.batch).desc()).label("place")
    found: dict[int, list[Batch]] = {}
    for some in chunks(list(feed_ids)):
        ranked = select(Batch.id, place).where(col(Batch.feed_id).in_(some)).subquery()
        query = select(Batch).join(ranked, col(Batch.id) == ranked.c.id).where(ranked.c.place <= limit)
        for row in session.exec(query.order_by(col(Batch.batch).desc())):
            found.setdefault(row.feed_id, []).append(row)
    return found


KEPT = frozenset({"feed_id", "batch", "accepted_at", "accepted_by"})
"""What bringing a batch up to date leaves alone: its name, and a person's word."""


def put(session: Session, row: Batch) -> None:
    """Write a batch, or bring the one there up to date. When it was first complete is kept."""
    values = {name: value for name, value in row.model_dump().items() if name != "id"}
    upsert(session, Batch, [values], ["feed_id", "batch"], update=[n for n in values if n not in KEPT])


def newest_open(session: Session, feed_id: int) -> Batch | None:
    """A feed's newest batch that is not complete and that nobody has accepted."""
    still = (col(Batch.state).not_in(COMPLETE), col(Batch.accepted_at).is_(None))
    query = select(Batch).where(Batch.feed_id == feed_id, *still).order_by(col(Batch.batch).desc())
    return session.exec(query.limit(1)).first()


def fetches(session: Session, feed_id: int, batch: str) -> list[Fetch]:
    """The ledger rows of a batch, oldest first."""
    query = select(Fetch).where(Fetch.feed_id == feed_id, Fetch.batch == batch).order_by(col(Fetch.id))
    return list(session.exec(query))


def held(session: Session, feed_id: int, day: date) -> int:
    """How many papers are stored as listed by the feed on that day."""
    return session.exec(
        select(func.count()).select_from(Sighting).where(Sighting.feed_id == feed_id, Sighting.day == day)
    ).one()


def listed_before(session: Session, feed_id: int, day: date) -> set[int]:
    """The papers of the feed's last day before `day`; empty when there is none within ten days."""
    last = session.exec(
        select(func.max(Sighting.day)).where(
            Sighting.feed_id == feed_id, Sighting.day < day, Sighting.day >= day - timedelta(days=10)
        )
    ).first()
    if last is None:
        return set()
    return listed_on(session, feed_id, last)


def listed_on(session: Session, feed_id: int, day: date) -> set[int]:
    """The papers the feed listed on a day."""
    return set(session.exec(select(Sighting.paper_id).where(Sighting.feed_id == feed_id, Sighting.day == day)))


def listed_twice(session: Session, feed_id: int, day: date, following: date) -> tuple[set[int], set[int]]:
    """The papers a feed announced as new (or cross-listed) on the later of two days: those it had listed on the
    earlier one, and the others."""
    before = listed_on(session, feed_id, day)
    later = set(
        session.exec(
            select(Sighting.paper_id).where(
                Sighting.feed_id == feed_id,
                Sighting.day == following,
                col(Sighting.announce_type).in_(["new", "cross"]),
            )
        )
    )
    return later & before, later - before


def unsee(session: Session, feed_id: int, day: date, paper_ids: Sequence[int]) -> None:
    """Take back that the feed listed these papers on that day: it had served an earlier day's list under it."""
    for part in chunks(list(paper_ids)):
        session.execute(
            delete(Sighting).where(
                col(Sighting.feed_id) == feed_id, col(Sighting.day) == day, col(Sighting.paper_id).in_(part)
            )
        )


def per_week(session: Session, feed_id: int, *, now: datetime, weeks: int = 4) -> float | None:
    """How many papers a week the feed listed that it had not before; `None` while it is watched for less than one."""
    first = session.exec(select(func.min(Sighting.seen_at)).where(Sighting.feed_id == feed_id)).first()
    if first is None or now - first < timedelta(days=7):
        return None
    span = min(timedelta(weeks=weeks), now - first)
    before = sa.alias(table_of(Sighting))
    start = now - span
    # What the first fetch brought is the feed's past, not its rhythm.
    number = session.execute(
        sa.select(func.count(func.distinct(Sighting.paper_id))).where(
            col(Sighting.feed_id) == feed_id,
            col(Sighting.seen_at) >= start,
            col(Sighting.seen_at) > first,
            ~sa.exists().where(
                before.c.paper_id == col(Sighting.paper_id),
                before.c.feed_id == feed_id,
                sa.or_(before.c.seen_at < start, before.c.seen_at <= first),
            ),
        )
    ).scalar_one()
    return float(number) / (span / timedelta(weeks=1))


def last_complete(session: Session, feed_ids: Collection[int], states: Iterable[str]) -> dict[int, datetime]:
    """When each feed was last known to be complete."""
    rows: Any = session.execute(
        sa.select(col(Batch.feed_id), func.max(col(Batch.checked_at)))
        .where(col(Batch.feed_id).in_(list(feed_ids)), col(Batch.state).in_(list(states)))
        .group_by(col(Batch.feed_id))
    )
    return dict(rows.all())
