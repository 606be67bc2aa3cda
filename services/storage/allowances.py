"""Allowances: how often something may be tried, counted for all processes together."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from services.storage.sql import insert_ignore
from services.storage.tables import Allowance


def take(session: Session, key: str, *, times: int, per: timedelta, now: datetime) -> timedelta:
    """Use one of `times` in `per`: nothing when that is allowed, else how long until the next is.

    What was used comes back evenly, one every `per / times`. The row is locked: two at once do not pass for one.
    """
    each = per / times
    insert_ignore(session, Allowance, [{"key": key, "free_at": now}], ["key"])
    kept = session.exec(select(Allowance.free_at).where(Allowance.key == key).with_for_update()).one()
    used_until = max(kept, now)  # one that nobody has used for long is full, and no fuller
    if used_until > now + per - each:
        return used_until - (now + per - each)
    session.execute(update(Allowance).where(col(Allowance.key) == key).values(free_at=used_until + each))
    return timedelta(0)


def forget(session: Session, *, before: datetime) -> None:
    """Drop those that have been full again since then."""
    session.execute(delete(Allowance).where(col(Allowance.free_at) < before))
