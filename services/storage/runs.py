"""Runs: the jobs ledger as a person looks at it, and what was done since a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, update
from sqlmodel import Session, col, select

from services.domain.jobs import Hint
from services.storage.sql import chunks
from services.storage.tables import Delivery, Fetch, Job


def list_runs(
    session: Session,
    *,
    failed: bool = False,
    stage: str | None = None,
    states: Sequence[str] = (),
    limit: int | None = None,
) -> list[Job]:
    """Jobs, newest first. `failed` keeps those given up and those whose last try failed and that wait for another."""
    query = select(Job)
    if failed:
        query = query.where(
            or_(col(Job.state) == "dead", col(Job.state).in_(["ready", "running"]) & col(Job.signature).is_not(None))
        )
    if stage is not None:
        query = query.where(Job.stage == stage)
    if states:
        query = query.where(col(Job.state).in_(states))
    query = query.order_by(col(Job.id).desc())
    if limit is not None:
        query = query.limit(limit)
    return list(session.exec(query))


def find(session: Session, kind: str, key: str) -> Job | None:
    """The job of that kind and key, or none."""
    return session.exec(select(Job).where(Job.kind == kind, Job.key == key)).first()


def children(session: Session, job_ids: Sequence[int], *, kinds: Sequence[str] = ()) -> list[Job]:
    """The jobs that followed from these, oldest first."""
    found: list[Job] = []
    for part in chunks(job_ids):
        query = select(Job).where(col(Job.cause_id).in_(part))
        if kinds:
            query = query.where(col(Job.kind).in_(kinds))
        found += session.exec(query.order_by(col(Job.id)))
    return found


def hurry(session: Session, job_id: int, *, now: datetime, payload: Mapping[str, Any] | None = None) -> list[Hint]:
    """Make a waiting job due now, with this payload where one is given; nothing when it is not waiting."""
    values: dict[str, Any] = {"due_at": now}
    if payload is not None:
        values["payload"] = dict(payload)
    rows = session.execute(
        update(Job)
        .where(col(Job.id) == job_id, col(Job.state) == "ready")
        .values(**values)
        .returning(col(Job.id), col(Job.stage))
    ).all()
    return [Hint(row.id, row.stage) for row in rows]


@dataclass(slots=True)
class Outcome:
    """What came of the fetches and deliveries touched since a moment."""

    fetches: dict[str, int] = field(default_factory=dict)
    """By state: fetched (not parsed yet), parsed, failed."""
    seen: int = 0
    new: int = 0
    changed: int = 0
    known: int = 0
    rejected: int = 0
    deliveries: dict[str, int] = field(default_factory=dict)
    """By state."""


def outcome_since(session: Session, since: datetime) -> Outcome:
    """Sum up the ledgers from `since` on."""
    result = Outcome()
    counts = [func.sum(c) for c in (Fetch.seen, Fetch.new, Fetch.changed, Fetch.known, Fetch.rejected)]
    touched = or_(col(Fetch.fetched_at) >= since, col(Fetch.parsed_at) >= since)
    for state, number, *sums in session.execute(
        select(Fetch.state, func.count(), *counts).where(touched).group_by(col(Fetch.state))
    ):
        result.fetches[state] = number
        for name, total in zip(("seen", "new", "changed", "known", "rejected"), sums, strict=True):
            setattr(result, name, getattr(result, name) + (total or 0))
    for state, number in session.exec(
        select(Delivery.state, func.count()).where(Delivery.updated_at >= since).group_by(col(Delivery.state))
    ):
        result.deliveries[state] = number
    return result
