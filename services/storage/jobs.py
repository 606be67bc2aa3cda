"""The jobs ledger: add, claim, finish, retry, bury. The database decides every race."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, literal_column, or_, update
from sqlmodel import Session, col, select

from services.domain.errors import LeaseLost, NotFound
from services.domain.jobs import STAGES, Claim, Hint, NewJob
from services.storage.engine import is_sqlite
from services.storage.sql import insert_ignore
from services.storage.tables import Attempt, Job


def add(session: Session, jobs: Iterable[NewJob], *, now: datetime, cause_id: int | None = None) -> list[Hint]:
    """Add jobs that are not there yet; the hints are for those added and due."""
    rows = [
        {
            "kind": job.kind,
            "key": job.key,
            "stage": job.stage,
            "payload": dict(job.payload),
            "state": "ready",
            "priority": job.priority,
            "due_at": job.due_at or now,
            "attempts": 0,
            "spared": 0,
            "cause_id": cause_id,
            "created_at": now,
        }
        for job in jobs
    ]
    if not rows:
        return []
    added = insert_ignore(session, Job, rows, ["kind", "key"], returning=["id", "stage", "due_at"])
    return [Hint(row.id, row.stage) for row in added if row.due_at <= now]


def claim(
    session: Session,
    *,
    now: datetime,
    lease: timedelta,
    worker: str = "",
    job_id: int | None = None,
    stages: Sequence[str] | None = None,
    overdue_since: datetime | None = None,
) -> Claim | None:
    """Take one job that is due, or whose worker's lease ran out; `None` when there is none.

    `job_id` asks for that very job, `stages` limits the choice, `overdue_since` leaves jobs alone that
    became due after it (a hint for them is under way). Attempts are counted here, at the claim, so that a job
    that kills its worker does not come back for ever.
    """
    if job_id is not None:
        due_now = (_READY & (col(Job.due_at) <= now)) | (_RUNNING & (col(Job.lease_until) < now))
        found = _first(session, select(Job.id).where(Job.id == job_id, due_now))
    else:
        found = _next(session, now=now, ready_at=overdue_since or now, stages=STAGES if stages is None else stages)
    if found is None:
        return None
    token = secrets.token_hex(8)
    row = session.execute(
        update(Job)
        .where(col(Job.id) == found)
        .values(
            state="running",
            token=token,
            lease_until=now + lease,
            started_at=now,
            attempts=col(Job.attempts) + 1,
        )
        .returning(*_CLAIM_COLUMNS)
    ).one()
    session.execute(
        update(Attempt)
        .where(col(Attempt.job_id) == row.id, col(Attempt.outcome) == "running")
        .values(outcome="lost", finished_at=now, error="the worker's lease ran out")
    )
    session.add(Attempt(job_id=row.id, number=row.attempts, worker=worker, started_at=now))
    session.flush()
    return Claim(
        job_id=row.id,
        kind=row.kind,
        key=row.key,
        stage=row.stage,
        payload=row.payload,
        token=token,
        attempt=row.attempts,
        tries=row.attempts - row.spared,
        lease_until=row.lease_until,
        due_at=row.due_at,
    )


# Written out, not bound: a database uses a partial index only where it can see that the condition is the index's.
_READY = col(Job.state) == literal_column("'ready'")
_RUNNING = col(Job.state) == literal_column("'running'")


def _next(session: Session, *, now: datetime, ready_at: datetime, stages: Sequence[str]) -> int | None:
    """The job to be claimed next: one whose worker is gone, else the most urgent of a stage, the stages in turn.

    Each question is answered by the first row of a partial index, however long the backlog; and a backlog of one
    stage leaves the others their share.
    """
    expired = select(Job.id).where(_RUNNING, col(Job.lease_until) < now, col(Job.stage).in_(stages))
    found = _first(session, expired.order_by(col(Job.lease_until)).limit(1))
    turn = int(now.timestamp() * 1000) % max(len(stages), 1)
    for stage in (*stages[turn:], *stages[:turn]):
        if found is not None:
            break
        ready = select(Job.id).where(_READY, Job.stage == stage, col(Job.due_at) <= ready_at)
        found = _first(session, ready.order_by(col(Job.priority), col(Job.due_at), col(Job.id)).limit(1))
    return found


def _first(session: Session, pick: Any) -> int | None:
    """The id a query finds first; on PostgreSQL it is locked, and what others have locked is passed over."""
    if not is_sqlite(session):
        pick = pick.with_for_update(skip_locked=True)
    found: int | None = session.exec(pick).first()
    return found


_CLAIM_COLUMNS: tuple[Any, ...] = (
    Job.id,
    Job.kind,
    Job.key,
    Job.stage,
    Job.payload,
    Job.attempts,
    Job.spared,
    Job.lease_until,
    Job.due_at,
)


def check(session: Session, claim: Claim) -> None:
    """Raise `LeaseLost` unless the claim still holds; on PostgreSQL the row stays locked until the commit."""
    query = select(Job.token).where(Job.id == claim.job_id, Job.state == "running")
    if not is_sqlite(session):
        query = query.with_for_update()
    if session.exec(query).first() != claim.token:
        raise LeaseLost(f"job {claim.job_id} ({claim.kind} {claim.key}) was taken over by another worker")


def finish(session: Session, claim: Claim, *, now: datetime) -> None:
    """Mark the job done, if the claim still holds."""
    _close(session, claim, now=now, outcome="done", state="done", finished_at=now, last_error=None, signature=None)


def retry(
    session: Session,
    claim: Claim,
    *,
    now: datetime,
    due_at: datetime,
    error: str,
    signature: str,
    traceback: str = "",
    counts: bool = True,
) -> None:
    """Hand the job back to be tried again at `due_at`; with `counts=False` the try is not held against it."""
    _close(
        session,
        claim,
        now=now,
        outcome="retry" if counts else "waited",
        state="ready",
        due_at=due_at,
        last_error=error,
        signature=signature if counts else None,
        traceback=traceback,
        spare=not counts,
    )


def bury(session: Session, claim: Claim, *, now: datetime, error: str, signature: str, traceback: str = "") -> None:
    """Give the job up: a dead letter, kept for a person."""
    _close(
        session,
        claim,
        now=now,
        outcome="dead",
        state="dead",
        finished_at=now,
        last_error=error,
        signature=signature,
        traceback=traceback,
    )


def release(session: Session, claim: Claim, *, now: datetime) -> None:
    """Hand the job back untouched, as a worker does that is told to stop."""
    _close(session, claim, now=now, outcome="released", state="ready", due_at=now, spare=True)


def _close(
    session: Session,
    claim: Claim,
    *,
    now: datetime,
    outcome: str,
    state: str,
    traceback: str = "",
    spare: bool = False,
    **values: Any,
) -> None:
    if spare:
        values["spared"] = col(Job.spared) + 1
    done = session.execute(
        update(Job)
        .where(col(Job.id) == claim.job_id, col(Job.token) == claim.token, col(Job.state) == "running")
        .values(state=state, token=None, lease_until=None, **values)
        .returning(col(Job.id))
    ).first()
    if done is None:
        raise LeaseLost(f"job {claim.job_id} ({claim.kind} {claim.key}) was taken over by another worker")
    session.execute(
        update(Attempt)
        .where(col(Attempt.job_id) == claim.job_id, col(Attempt.number) == claim.attempt)
        .values(outcome=outcome, finished_at=now, error=values.get("last_error"), traceback=traceback or None)
    )


def due(session: Session, *, now: datetime, stages: Sequence[str] | None = None, limit: int = 500) -> list[Hint]:
    """The jobs a worker could take now, most urgent first."""
    query = (
        select(Job.id, Job.stage)
        .where(
            or_(
                (col(Job.state) == "ready") & (col(Job.due_at) <= now),
                (col(Job.state) == "running") & (col(Job.lease_until) < now),
            )
        )
        .order_by(col(Job.priority), col(Job.due_at), col(Job.id))
        .limit(limit)
    )
    if stages is not None:
        query = query.where(col(Job.stage).in_(stages))
    return [Hint(row[0] or 0, row[1]) for row in session.exec(query)]


def next_due_at(session: Session, *, stages: Sequence[str] = STAGES) -> datetime | None:
    """When the earliest waiting job of these stages becomes due; `None` when nothing waits."""
    return session.exec(select(func.min(Job.due_at)).where(Job.state == "ready", col(Job.stage).in_(stages))).first()


def counts(session: Session) -> dict[str, dict[str, int]]:
    """Jobs by stage and state."""
    result: dict[str, dict[str, int]] = {}
    for stage, state, number in session.exec(
        select(Job.stage, Job.state, func.count()).group_by(col(Job.stage), col(Job.state))
    ):
        result.setdefault(stage, {})[state] = number
    return result


def get(session: Session, job_id: int) -> Job:
    """One job, or `NotFound`."""
    job = session.get(Job, job_id)
    if job is None:
        raise NotFound(f"there is no run {job_id}; `broadsheet runs list` shows those there are")
    return job


def attempts(session: Session, job_id: int) -> list[Attempt]:
    """All tries of one job, in order."""
    return list(session.exec(select(Attempt).where(Attempt.job_id == job_id).order_by(col(Attempt.number))))


def revive(session: Session, job_ids: Sequence[int], *, now: datetime) -> list[Hint]:
    """Make finished or dead jobs ready again with a fresh set of attempts, as a person asks."""
    rows = session.execute(
        update(Job)
        .where(col(Job.id).in_(job_ids), col(Job.state).in_(["dead", "done"]))
        .values(state="ready", due_at=now, finished_at=None, spared=col(Job.attempts))
        .returning(col(Job.id), col(Job.stage))
    ).all()
    return [Hint(row.id, row.stage) for row in rows]


def prune(session: Session, *, before: datetime, limit: int = 5000) -> int:
    """Delete finished jobs (not dead ones) and their attempts older than `before`; returns how many."""
    old = [
        i
        for i in session.exec(select(Job.id).where(Job.state == "done", col(Job.finished_at) < before).limit(limit))
        if i is not None
    ]
    if old:
        session.execute(Attempt.__table__.delete().where(Attempt.__table__.c.job_id.in_(old)))  # type: ignore[attr-defined]
        session.execute(Job.__table__.delete().where(Job.__table__.c.id.in_(old)))  # type: ignore[attr-defined]
    return len(old)


def expire_workers(session: Session, *, now: datetime, is_dead: Callable[[str], bool]) -> int:
    """End the leases of running jobs whose worker `is_dead`; returns how many became claimable."""
    running = session.exec(
        select(Job.id, Attempt.worker)
        .join(Attempt, (col(Attempt.job_id) == col(Job.id)) & (col(Attempt.number) == col(Job.attempts)))
        .where(Job.state == "running", col(Job.lease_until) >= now)
    ).all()
    verdicts = {worker: is_dead(worker) for _, worker in running}
    dead = [job_id for job_id, worker in running if verdicts[worker]]
    if dead:
        session.execute(
            update(Job)
            .where(col(Job.id).in_(dead), col(Job.state) == "running")
            .values(lease_until=now - timedelta(seconds=1))
        )
    return len(dead)
