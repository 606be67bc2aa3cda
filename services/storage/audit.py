"""Audit: who did what, from where, and how it ended. Rows are added and read, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_
from sqlmodel import Session, col, select

from services.domain.users import Actor
from services.storage.tables import Audit

OUTCOMES = ("done", "failed", "denied")
ORIGINS = ("web", "api", "command")


def record(
    session: Session, actor: Actor, act: str, subject: str, *, now: datetime,
    before: Mapping[str, Any] | None = None, after: Mapping[str, Any] | None = None, outcome: str = "done",
    detail: str = "",
) -> None:  # fmt: skip
    """Write one act down. `before` and `after` hold what changed, and no secrets (`pipeline.acts` sees to it)."""
    session.add(
        Audit(
            at=now,
            who=actor.name,
            role=actor.role,
            origin=actor.origin,
            address=actor.address,
            act=act,
            subject=subject[:500],
            before=dict(before or {}),
            after=dict(after or {}),
            outcome=outcome,
            detail=detail[:1000],
        )
    )


def find(
    session: Session, *, who: str = "", act: str = "", origin: str = "", outcome: str = "", text: str = "",
    since: datetime | None = None, before: int | None = None, limit: int = 50,
) -> list[Audit]:  # fmt: skip
    """Acts, newest first. `act` may be a group (`feed`); `text` is looked for in subject and detail."""
    query = select(Audit)
    for column, value in ((Audit.who, who), (Audit.origin, origin), (Audit.outcome, outcome)):
        if value:
            query = query.where(col(column) == value)
    if act:
        query = query.where(or_(col(Audit.act) == act, col(Audit.act).startswith(f"{act}.", autoescape=True)))
    if text:
        query = query.where(
            or_(col(Audit.subject).icontains(text, autoescape=True), col(Audit.detail).icontains(text, autoescape=True))
        )
    if since is not None:
        query = query.where(col(Audit.at) >= since)
    if before is not None:
        query = query.where(col(Audit.id) < before)
    return list(session.exec(query.order_by(col(Audit.id).desc()).limit(limit)))


def prune(session: Session, *, before: datetime, limit: int = 5000) -> int:
    """Delete acts older than `before`; returns how many."""
    old = list(session.exec(select(Audit.id).where(Audit.at < before).limit(limit)))
    if old:
        session.execute(delete(Audit).where(col(Audit.id).in_(old)))
    return len(old)
