"""Stages: which of them rest. A claim reads this table itself (`jobs.claim`), so a pause holds from its commit on."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from services.storage.sql import insert_ignore
from services.storage.tables import PausedStage


def pause(session: Session, stage: str, *, by: str, now: datetime) -> bool:
    """Let a stage rest; `False` when it does already."""
    row = {"stage": stage, "by": by, "at": now, "told_at": now}
    return bool(insert_ignore(session, PausedStage, [row], ["stage"], returning=["stage"]))


def resume(session: Session, stage: str) -> bool:
    """Let a stage go on; `False` when it did not rest."""
    gone = delete(PausedStage).where(col(PausedStage.stage) == stage).returning(col(PausedStage.stage))
    return session.execute(gone).first() is not None


def paused(session: Session) -> dict[str, PausedStage]:
    """The stages that rest."""
    return {row.stage: row for row in session.exec(select(PausedStage))}


def to_tell(session: Session, *, now: datetime, every: timedelta) -> list[PausedStage]:
    """Those that rest and of which nobody was told for so long; whoever asks first gets each."""
    taken = update(PausedStage).where(col(PausedStage.told_at) <= now - every).values(told_at=now)
    names = [row.stage for row in session.execute(taken.returning(col(PausedStage.stage)))]
    return [row for stage, row in sorted(paused(session).items()) if stage in names] if names else []
