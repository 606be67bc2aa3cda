"""Polls: what of all feeds is being read, or waits to be."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func, literal_column
from sqlmodel import Session, col, select

from services.domain.polls import Poll, Polls
from services.storage.tables import OPEN_BATCH, Batch, Feed, Fetch, Job

TOLD = timedelta(days=1)
"""A feed of whose failing the operators were told that long ago is not counted on."""


def look(session: Session, *, now: datetime) -> Polls:
    """All there is of polls now; what is due within a minute counts as due."""
    polled = (
        col(Feed.paused).is_(False),
        col(Feed.retired).is_(False),
        sa.or_(col(Feed.alerted_at).is_(None), col(Feed.alerted_at) > now - TOLD),
    )
    asked: Any = select(Feed.name, Job.payload["slot"].as_string(), Job.due_at).join(
        Feed, col(Feed.id) == Job.payload["feed_id"].as_integer()
    )
    under_way: dict[str, list[Poll]] = defaultdict(list)
    waiting = (Job.kind == "fetch_feed", col(Job.state).in_(("ready", "running")))
    for name, slot, try_at in session.execute(asked.where(*waiting, *polled)):
        _add(under_way, name, slot, try_at)
    unparsed = select(Feed.name, Fetch.slot, Fetch.fetched_at).join(Fetch, col(Fetch.feed_id) == col(Feed.id))
    for name, slot, fetched_at in session.exec(unparsed.where(Fetch.state == "fetched", col(Feed.retired).is_(False))):
        _add(under_way, name, slot, fetched_at)
    due = select(Feed.name, Feed.next_check_at).where(col(Feed.next_check_at) <= now + timedelta(minutes=1), *polled)
    for name, due_at in session.exec(due):
        under_way[name].append(Poll(slot_at=due_at, try_at=due_at))
    return Polls(
        feeds=session.exec(select(func.count()).select_from(Feed).where(*polled)).one(), under_way=under_way,
        looked_at_again=_not_complete(session, polled, now),
    )  # fmt: skip


def _add(found: dict[str, list[Poll]], name: str, slot: str | None, try_at: datetime) -> None:
    """A poll of the schedule, or one a person asked for: what is asked of the past has no moment for its slot."""
    try:
        found[name].append(Poll(slot_at=datetime.fromisoformat(slot or ""), try_at=try_at))
    except ValueError:
        return


def _not_complete(session: Session, polled: Any, now: datetime) -> dict[str, datetime]:
    """Feeds whose batch of today or yesterday was found not complete lately and that nobody has accepted."""
    rows = session.exec(
        select(Feed.name, Feed.next_check_at)
        .join(Batch, col(Batch.feed_id) == col(Feed.id))
        .where(
            literal_column(OPEN_BATCH),
            Batch.batch >= (now - timedelta(days=1)).date().isoformat(),
            Batch.checked_at >= now - timedelta(hours=12),
            *polled,
        )
    )
    return dict(rows.all())
