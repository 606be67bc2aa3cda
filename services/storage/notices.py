"""Notices: what the operators are told, once each."""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy import update
from sqlmodel import Session, col, select

from services.domain.jobs import UNPAUSED, NewJob
from services.storage import jobs
from services.storage.sql import insert_ignore
from services.storage.tables import Notice

log = structlog.get_logger(__name__)


def tell(session: Session, *, kind: str, subject: str, text: str, now: datetime, send: bool) -> int | None:
    """Write a notice down, and with `send` add the job that sends it; `None` when this very one is there already."""
    row = {
        "key": f"{kind} {subject} {now.isoformat()}", "kind": kind, "subject": subject, "text": text[:4000],
        "made_at": now,
    }  # fmt: skip
    added = insert_ignore(session, Notice, [row], ["key"], returning=["id"])
    if not added:
        return None
    notice_id = int(added[0].id)
    log.warning("notice", notice=kind, subject=subject, text=text[:500])
    if send:
        jobs.add(
            session,
            [
                NewJob(
                    kind="send_notice", key=f"notice {notice_id}", payload={"notice_id": notice_id}, priority=UNPAUSED
                )
            ],
            now=now,
        )
    return notice_id


def get(session: Session, notice_id: int) -> Notice | None:
    """One notice, or none."""
    return session.get(Notice, notice_id)


def mark_sent(session: Session, notice_id: int, *, now: datetime) -> None:
    """It has left."""
    session.execute(update(Notice).where(col(Notice.id) == notice_id).values(sent_at=now))


def list_newest(session: Session, *, limit: int = 50) -> list[Notice]:
    """The newest notices, newest first."""
    return list(session.exec(select(Notice).order_by(col(Notice.id).desc()).limit(limit)))


def about(session: Session, subject: str, *, limit: int = 10) -> list[Notice]:
    """The newest notices about one thing, newest first."""
    query = select(Notice).where(Notice.subject == subject).order_by(col(Notice.id).desc()).limit(limit)
    return list(session.exec(query))
