"""Quotas: what hosts allow us, what is left of it, and the account of calls that are on their way.

A call is put on the account before it is made (`spend`) and settled by the answer that tells what is left (`record`).
One that was never answered stays on it until the allowance is filled up again: we may use less than our share, and
never more.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlmodel import Session, col, select

from services.domain.repos import Quota as Told
from services.storage.engine import is_sqlite
from services.storage.sql import insert_ignore
from services.storage.tables import Quota

SAME_WINDOW = timedelta(seconds=30)
"""Resets told as seconds from now wander by this much at most; one that is later belongs to the next window."""


def usable(limit: int, share: float) -> int:
    """How many calls of an allowance are ours."""
    return math.floor(limit * share + 1e-9)


def is_known(session: Session, name: str, *, now: datetime) -> bool:
    """Whether a host has told what it allows until some time from now."""
    reset_at = session.exec(select(Quota.reset_at).where(Quota.name == name)).first()
    return reset_at is not None and reset_at > now


Assumed = tuple[int, timedelta]
"""Limit and window of an allowance of which nothing was told yet."""


def spend(
    session: Session, name: str, *, calls: int, share: float, now: datetime, assumed: Assumed | None = None
) -> datetime | None:
    """Put `calls` on the account of an allowance; `None`: go, else the time at which it is filled up again.

    `assumed` is the limit and the window where nothing was told yet, or not since it was last filled up.
    """
    row = _locked(session, name, now, assumed)
    if row is None or row.reset_at is None or (row.reset_at <= now and assumed is None):
        return None
    limit, remaining, reserved, reset_at = row.limit, row.remaining, row.reserved, row.reset_at
    if reset_at <= now and assumed is not None:
        remaining, reserved, reset_at = limit, 0, now + assumed[1]
    if limit - remaining + reserved + calls > usable(limit, share):
        return reset_at
    session.execute(
        update(Quota)
        .where(col(Quota.name) == name)
        .values(remaining=remaining, reserved=reserved + calls, reset_at=reset_at)
    )
    return None


def record(session: Session, name: str, told: Told, *, now: datetime, settled: int = 0) -> None:
    """What a host says is left of our allowance; `settled` calls of the account are contained in that.

    Answers may overtake one another: within a window the least that was told counts.
    """
    row = _locked(session, name, now, (told.limit, told.reset_at - now))
    assert row is not None
    remaining, reserved, reset_at = told.remaining, max(row.reserved - settled, 0), told.reset_at
    if row.reset_at is not None and row.limit == told.limit:
        if told.reset_at < row.reset_at - SAME_WINDOW and told.reset_at <= now:  # of a window that is over
            remaining, reset_at = row.remaining, row.reset_at
        elif told.reset_at <= row.reset_at + SAME_WINDOW and row.reset_at > now:
            remaining = min(row.remaining, told.remaining)
    session.execute(
        update(Quota)
        .where(col(Quota.name) == name)
        .values(limit=told.limit, remaining=remaining, reserved=reserved, reset_at=reset_at, read_at=now)
    )


def calls_left(session: Session, name: str, *, share: float, now: datetime) -> int | None:
    """How many calls are still ours until the allowance is filled up again; `None` when it is full, or unknown."""
    row = session.exec(select(Quota).where(Quota.name == name)).first()
    if row is None or row.reset_at is None or row.reset_at <= now:
        return None
    return max(usable(row.limit, share) - used(row), 0)


def used(row: Quota) -> int:
    """Calls of an allowance that are gone or on their way, by whomever."""
    return row.limit - row.remaining + row.reserved


def share_used(row: Quota, now: datetime) -> float:
    """The part of an allowance that is gone or on its way; 0 once it was filled up again."""
    if row.limit <= 0:
        return 1.0
    return 0.0 if row.reset_at is not None and row.reset_at <= now else used(row) / row.limit


def list_all(session: Session) -> list[Quota]:
    """All quotas."""
    return list(session.exec(select(Quota).order_by(Quota.name)))


def _locked(session: Session, name: str, now: datetime, assumed: Assumed | None) -> Quota | None:
    """The row, nobody else changing it meanwhile; made first where something is assumed."""
    if assumed is not None:
        limit, window = assumed
        full = {"limit": limit, "remaining": limit, "reserved": 0, "reset_at": now + window, "read_at": now}
        insert_ignore(session, Quota, [{"name": name, **full}], ["name"])
    query = select(Quota).where(Quota.name == name)
    found = session.exec(query if is_sqlite(session) else query.with_for_update()).first()
    if found is not None:
        session.refresh(found)
    return found
