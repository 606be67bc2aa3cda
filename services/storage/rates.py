"""Rates: which channels an operator holds to fewer messages an hour, and what waits for that."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, delete, update
from sqlmodel import Session, col, select

from services.domain.jobs import Hint
from services.storage.sql import table_of, upsert
from services.storage.tables import Job, MailRate

_ROWS = table_of(MailRate)
_PER_HOUR = select(_ROWS.c.per_hour).where(_ROWS.c.channel == bindparam("channel"))


def per_hour(session: Session, channel: str) -> int | None:
    """What a channel is held to; `None` where nobody holds it."""
    return session.connection().execute(_PER_HOUR, {"channel": channel}).scalar()


def list_all(session: Session) -> dict[str, MailRate]:
    """The channels that are held to a rate."""
    return {row.channel: row for row in session.exec(select(MailRate).order_by(MailRate.channel))}


def put(session: Session, channel: str, *, per_hour: int, by: str, now: datetime) -> None:
    """Hold a channel to a rate, whatever it was held to before."""
    row = {"channel": channel, "per_hour": per_hour, "by": by, "at": now}
    upsert(session, MailRate, [row], ["channel"], update=["per_hour", "by", "at"])


def drop(session: Session, channel: str) -> bool:
    """Hold a channel no longer; `False` when nobody did."""
    gone = delete(MailRate).where(col(MailRate.channel) == channel).returning(col(MailRate.channel))
    return session.execute(gone).first() is not None


def hurry(session: Session, said: str, *, now: datetime) -> list[Hint]:
    """Make the sending that waits with these words in its last error due now."""
    waits = (col(Job.kind) == "send_deliveries", col(Job.state) == "ready", col(Job.due_at) > now)
    waiting = update(Job).where(*waits, col(Job.last_error).contains(said, autoescape=True)).values(due_at=now)
    return [Hint(row.id, row.stage) for row in session.execute(waiting.returning(col(Job.id), col(Job.stage)))]
