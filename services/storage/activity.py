"""Activity: how much work ended, hour by hour, and what came in between: what people did, what was started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from services.storage.tables import Attempt, Audit, Heartbeat

HOUR = timedelta(hours=1)
GOOD, BAD = ("done",), ("retry", "dead", "lost")
NO_CHANGES = ("login", "logout", "denied", "run.bundle")
"""Acts that change nothing of what the service does."""


@dataclass(frozen=True, slots=True)
class Hour:
    """What ended in one hour."""

    began_at: datetime
    good: int
    bad: int


@dataclass(frozen=True, slots=True)
class Change:
    """Something that may be why things are otherwise than before."""

    at: datetime
    who: str
    act: str
    subject: str
    outcome: str = "done"


def hours(session: Session, *, now: datetime, count: int) -> list[Hour]:
    """The last `count` hours of the clock (UTC), the present one last; tries that only waited are left out."""
    last = now.replace(minute=0, second=0, microsecond=0)
    first = last - (count - 1) * HOUR
    number = sa.cast(sa.func.floor(sa.extract("epoch", col(Attempt.started_at)) / 3600), sa.BigInteger)
    bad = sa.case((col(Attempt.outcome).in_(BAD), 1), else_=0)
    rows = session.execute(
        sa.select(number, sa.func.count(), sa.func.sum(bad))
        .where(col(Attempt.outcome).in_((*GOOD, *BAD)), col(Attempt.started_at) >= first)
        .group_by(number)
    )
    found = {int(hour): (int(all_ - wrong), int(wrong)) for hour, all_, wrong in rows}
    begins = [first + i * HOUR for i in range(count)]
    return [Hour(at, *found.get(int(at.timestamp()) // 3600, (0, 0))) for at in begins]


def changes(session: Session, *, since: datetime, limit: int) -> Sequence[Change]:
    """Acts that changed something, and processes that were started, newest first."""
    acts = session.exec(
        select(Audit)
        .where(Audit.at >= since, col(Audit.act).not_in(NO_CHANGES))
        .order_by(col(Audit.at).desc(), col(Audit.id).desc())
        .limit(limit)
    )
    found = [Change(a.at, a.who, a.act, a.subject, a.outcome) for a in acts]
    started = session.exec(
        select(Heartbeat).where(Heartbeat.started_at >= since).order_by(col(Heartbeat.started_at).desc()).limit(limit)
    )
    found += [Change(b.started_at, b.host, f"{b.role} started", f"version {b.version}") for b in started]
    return sorted(found, key=lambda change: change.at, reverse=True)[:limit]
