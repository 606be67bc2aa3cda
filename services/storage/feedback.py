"""Feedback: what readers said, kept by subscription."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete
from sqlmodel import Session, col, select

from services.storage.sql import insert_ignore
from services.storage.tables import Feedback


def record(
    session: Session,
    subscription_id: int,
    paper_id: int,
    act: str,
    *,
    target: str = "",
    opposite: str = "",
    now: datetime,
) -> bool:
    """Record one act, taking its opposite back; False when it was said before."""
    if opposite:
        forget(session, subscription_id, paper_id, opposite)
    row = {"subscription_id": subscription_id, "paper_id": paper_id, "act": act, "target": target, "at": now}
    key = ["subscription_id", "paper_id", "act", "target"]
    return bool(insert_ignore(session, Feedback, [row], key, returning=["id"]))


def forget(session: Session, subscription_id: int, paper_id: int, act: str, *, target: str = "") -> bool:
    """Take an act back; False when it had not been said."""
    gone = session.execute(
        delete(Feedback).where(
            col(Feedback.subscription_id) == subscription_id, col(Feedback.paper_id) == paper_id,
            col(Feedback.act) == act, col(Feedback.target) == target,
        )
    )  # fmt: skip
    return bool(gone.rowcount)  # type: ignore[attr-defined]


def forget_target(session: Session, subscription_id: int, act: str, target: str) -> None:
    """Take an act with that target back, at whatever papers it was said."""
    session.execute(
        delete(Feedback).where(
            col(Feedback.subscription_id) == subscription_id, col(Feedback.act) == act, col(Feedback.target) == target
        )
    )


def list_all(session: Session, subscription_id: int, *, acts: Sequence[str] = ()) -> list[Feedback]:
    """What was said for a subscription, the newest first."""
    query = select(Feedback).where(Feedback.subscription_id == subscription_id)
    if acts:
        query = query.where(col(Feedback.act).in_(acts))
    return list(session.exec(query.order_by(col(Feedback.at).desc(), col(Feedback.id).desc())))


def said_any(session: Session, subscription_id: int, *, acts: Sequence[str]) -> bool:
    """Whether one of these acts was ever said for a subscription."""
    found = select(Feedback.id).where(Feedback.subscription_id == subscription_id, col(Feedback.act).in_(acts))
    return session.exec(found.limit(1)).first() is not None
