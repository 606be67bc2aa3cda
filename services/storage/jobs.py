"""The jobs ledger: add, claim, finish, retry, bury. The database decides every race."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import any_, bindparam, case, func, literal_column, or_, update
from sqlmodel import Session, col, select

from services.domain.errors import LeaseLost, NotFound
from services.domain.jobs import STAGES, UNPAUSED, Claim, Hint, NewJob
from services.storage.engine import is_sqlite
from services.storage.sql import insert_ignore, table_of
from services.storage.tables import Attempt, Job, PausedStage


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

    A paused stage's jobs are left alone, those of priority `UNPAUSED` aside. `job_id` asks for that very job,
    `stages` limits the choice, `overdue_since` leaves jobs alone that became due after it (a hint for them is under
    way). Attempts are counted here, at the claim, so that a job that kills its worker does not come back for ever.
    """
    values = {
        "token": secrets.token_hex(8), "now": now, "until": now + lease, "ready_at": overdue_since or now,
        "job_id": job_id,
    }  # fmt: skip
    if job_id is not None:
        taking = _taking_one(is_sqlite(session))
    else:
        stages = tuple(STAGES if stages is None else stages)
        turn = int(now.timestamp() * 1000) % max(len(stages), 1)
        taking = _taking_next(is_sqlite(session), stages[turn:] + stages[:turn])
    return _claimed(session, taking, values, worker)


def claim_behind(session: Session, before: Claim, *, now: datetime, lease: timedelta, worker: str = "") -> Claim | None:
    """Take a job of a claimed one's stage and kind that is among the most urgent; `None` when one of another kind has
    a higher priority, or none is due. What another worker has lost is left to `claim`."""
    values = {"token": secrets.token_hex(8), "now": now, "until": now + lease, "ready_at": now, "of_kind": before.kind}
    return _claimed(session, _taking_behind(is_sqlite(session), before.stage), values, worker)


def _claimed(session: Session, taking: Any, values: Mapping[str, Any], worker: str) -> Claim | None:
    row = session.connection().execute(taking, values).one_or_none()
    if row is None:
        return None
    now = values["now"]
    if row.attempts > 1:
        session.connection().execute(_LOST, {"job": row.id, "now": now})
    session.connection().execute(
        _TRY,
        {"job_id": row.id, "number": row.attempts, "worker": worker, "started_at": now, "outcome": "running"},
    )
    return Claim(
        job_id=row.id,
        kind=row.kind,
        key=row.key,
        stage=row.stage,
        payload=row.payload,
        token=values["token"],
        attempt=row.attempts,
        tries=row.attempts - row.spared,
        lease_until=row.lease_until,
        due_at=row.due_at,
    )


# The statements below are run for every job there is: they are put together once, and name no Python object.
# States are written out, not bound: a database uses a partial index only where it can see that the condition is the
# index's.

_JOBS, _ATTEMPTS = table_of(Job), table_of(Attempt)
WORKER_LOST = "the lease of its worker ran out"
"""The signature of a job that was taken over: nobody is left to tell of an error."""

_READY = _JOBS.c.state == literal_column("'ready'")
_RUNNING = _JOBS.c.state == literal_column("'running'")
# The table has a row for each stage that is paused, so mostly none: it is looked at once a statement.
_PAUSED = table_of(PausedStage)
_NEVER_PAUSED: Any = literal_column(str(UNPAUSED))
NOT_PAUSED = _JOBS.c.stage.not_in(select(_PAUSED.c.stage)) | (_JOBS.c.priority <= _NEVER_PAUSED)
_NOW = bindparam("now", type_=_JOBS.c.due_at.type)
_TRY = _ATTEMPTS.insert()
_HELD = (_JOBS.c.id == bindparam("job")) & (_JOBS.c.token == bindparam("held")) & _RUNNING
_LOST = (
    update(_ATTEMPTS)
    .where(_ATTEMPTS.c.job_id == bindparam("job"), _ATTEMPTS.c.outcome == "running")
    .values(outcome="lost", finished_at=_NOW, error="the worker's lease ran out")
)


@cache
def _taking_one(sqlite: bool) -> Any:
    """Take the job `job_id`, if it is due or its worker's lease ran out."""
    due = (_READY & (_JOBS.c.due_at <= _NOW)) | (_RUNNING & (_JOBS.c.lease_until < _NOW))
    return _taking(_first(select(_JOBS.c.id).where(_JOBS.c.id == bindparam("job_id"), due, NOT_PAUSED), sqlite))


@cache
def _taking_next(sqlite: bool, stages: tuple[str, ...]) -> Any:
    """Take one whose worker is gone, else the most urgent of the first stage that has any.

    One statement, whose questions are asked one after another until one has an answer. Each is answered by the first
    row of a partial index, however long the backlog; and as the stages take turns at being the first, a backlog of
    one leaves the others their share.
    """
    ids = select(_JOBS.c.id)
    of_stages = _JOBS.c.stage.in_([literal_column(f"'{stage}'") for stage in stages])
    lost = (_RUNNING, _JOBS.c.lease_until < _NOW, of_stages, NOT_PAUSED)
    expired = ids.where(*lost).order_by(_JOBS.c.lease_until).limit(1)
    found = [_first(pick, sqlite) for pick in (expired, *(_most_urgent(stage, sqlite) for stage in stages))]
    return _taking(func.coalesce(*found) if stages else found[0])


SEEN_BEHIND = 8
"""Among so many of the most urgent jobs one of a kind is looked for: workers that do so at once find each its own."""


@cache
def _taking_behind(sqlite: bool, stage: str) -> Any:
    """Take the first of the kind `of_kind` among the most urgent of a stage, unless another has a higher priority.

    Those of other kinds are only looked at: were one locked, whom a hint has sent to it would pass it over.
    """
    jobs, urgent = _JOBS.c, _most_urgent(stage, sqlite)
    near = urgent.limit(SEEN_BEHIND)
    # Whether it is ready and due is asked again, since another may have taken it, and put it off, between the look and
    # the lock. Nothing but the ids is to be looked up by: PostgreSQL, which hears late of thousands of new jobs, would
    # begin with all that are ready and of the kind, and look for the most urgent once for each (280 ms with 7,000 mails
    # waiting).
    of_kind = (
        select(jobs.id)
        .where(
            jobs.id.in_(near) if sqlite else jobs.id == any_(func.array(near.scalar_subquery())),
            jobs.kind.concat("") == bindparam("of_kind"),
            jobs.state.concat("") == literal_column("'ready'"),
            jobs.due_at <= bindparam("ready_at"),
        )
        .order_by(jobs.priority, jobs.due_at, jobs.id)
        .limit(1)
    )
    highest = urgent.with_only_columns(jobs.priority).scalar_subquery()
    return _taking(_first(of_kind, sqlite)).where(jobs.priority <= highest)


def _most_urgent(stage: str, sqlite: bool) -> Any:
    """Of those of a stage that were due at `ready_at`; while the stage is paused, of those that never are."""
    # The plus keeps SQLite from using the index for this, which it would pay for by sorting all that is due.
    due_at = literal_column("+jobs.due_at", _JOBS.c.due_at.type) if sqlite else _JOBS.c.due_at
    return (
        select(_JOBS.c.id)
        .where(
            _READY, _JOBS.c.stage == stage, due_at <= bindparam("ready_at"), _JOBS.c.priority <= _last_priority(stage)
        )
        .order_by(_JOBS.c.priority, _JOBS.c.due_at, _JOBS.c.id)
        .limit(1)
    )


def _last_priority(stage: str) -> Any:
    """Which priority of a stage is the last to be taken: any, or while it is paused the one that never is.

    It ends a range of the index, so that the backlog of a paused stage is not looked through again and again.
    """
    paused = select(_NEVER_PAUSED).where(_PAUSED.c.stage == literal_column(f"'{stage}'")).scalar_subquery()
    return func.coalesce(paused, literal_column(str(2**31 - 1)))


def _first(pick: Any, sqlite: bool) -> Any:
    """The id a query finds first; on PostgreSQL it is locked, and what others have locked is passed over."""
    return (pick if sqlite else pick.with_for_update(skip_locked=True)).scalar_subquery()


def _taking(found: Any) -> Any:
    jobs = _JOBS.c
    return (
        update(_JOBS)
        .where(jobs.id == found)
        .values(
            state="running",
            token=bindparam("token"),
            lease_until=bindparam("until", type_=jobs.lease_until.type),
            started_at=_NOW,
            attempts=jobs.attempts + 1,
            signature=case((_RUNNING, literal_column(f"'{WORKER_LOST}'")), else_=jobs.signature),
        )
        .returning(
            jobs.id, jobs.kind, jobs.key, jobs.stage, jobs.payload, jobs.attempts, jobs.spared, jobs.lease_until,
            jobs.due_at,
        )
    )  # fmt: skip


_HOLDS = {
    True: select(_JOBS.c.id).where(_HELD),
    False: select(_JOBS.c.id).where(_HELD).with_for_update(),
}


def check(session: Session, claim: Claim) -> None:
    """Raise `LeaseLost` unless the claim still holds; on PostgreSQL the row stays locked until the commit."""
    held = {"job": claim.job_id, "held": claim.token}
    if session.connection().execute(_HOLDS[is_sqlite(session)], held).first() is None:
        raise _taken_over(claim)


def _taken_over(claim: Claim) -> LeaseLost:
    return LeaseLost(f"job {claim.job_id} ({claim.kind} {claim.key}) was taken over by another worker")


def _write(session: Session, claim: Claim, *, spare: bool = False, **values: Any) -> None:
    """Write to the job, if the claim still holds; with `spare` the try is not held against it."""
    held = {"job": claim.job_id, "held": claim.token}
    if not session.connection().execute(_WRITING[spare], {**held, **values}).rowcount:
        raise _taken_over(claim)


_WRITING = {
    False: update(_JOBS).where(_HELD),
    True: update(_JOBS).where(_HELD).values(spared=_JOBS.c.spared + 1),
}
"""Both set what they are given, too."""
_TRIED = update(_ATTEMPTS).where(_ATTEMPTS.c.job_id == bindparam("job"), _ATTEMPTS.c.number == bindparam("nth"))


def finish(session: Session, claim: Claim, *, now: datetime) -> None:
    """Mark the job done, if the claim still holds (else `LeaseLost`). What it failed of before stays known by its
    signature."""
    _close(session, claim, now=now, outcome="done", state="done", finished_at=now, last_error=None)


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
    _write(session, claim, spare=spare, state=state, token=None, lease_until=None, **values)
    session.connection().execute(
        _TRIED,
        {
            "job": claim.job_id, "nth": claim.attempt, "outcome": outcome, "finished_at": now,
            "error": values.get("last_error"), "traceback": traceback or None,
        },
    )  # fmt: skip


def due(session: Session, *, now: datetime, stages: Sequence[str] | None = None, limit: int = 500) -> list[Hint]:
    """The jobs a worker could take now, most urgent first."""
    query = (
        select(Job.id, Job.stage)
        .where(
            or_(
                (col(Job.state) == "ready") & (col(Job.due_at) <= now),
                (col(Job.state) == "running") & (col(Job.lease_until) < now),
            ),
            NOT_PAUSED,
        )
        .order_by(col(Job.priority), col(Job.due_at), col(Job.id))
        .limit(limit)
    )
    if stages is not None:
        query = query.where(col(Job.stage).in_(stages))
    return [Hint(row[0] or 0, row[1]) for row in session.exec(query)]


def next_due_at(session: Session, *, stages: Sequence[str] = STAGES) -> datetime | None:
    """When the earliest waiting job of these stages becomes due, paused ones aside; `None` when nothing waits."""
    waiting = select(func.min(Job.due_at)).where(Job.state == "ready", col(Job.stage).in_(stages), NOT_PAUSED)
    return session.exec(waiting).first()


def any_open(session: Session, *, kind: str, key_begins: str) -> bool:
    """Whether a job of a kind whose key begins so is still to be done."""
    # A range, since LIKE uses no index on PostgreSQL in most locales.
    query = select(Job.id).where(
        Job.kind == kind, col(Job.key) >= key_begins, col(Job.key) < f"{key_begins}\U0010ffff",
        col(Job.state).in_(("ready", "running")),
    )  # fmt: skip
    return session.exec(query.limit(1)).first() is not None


def counts(session: Session) -> dict[str, dict[str, int]]:
    """Jobs by stage and state."""
    result: dict[str, dict[str, int]] = {}
    for states in ("('ready', 'running')", "('done', 'dead')"):  # written out, for the sake of a partial index
        some = select(Job.stage, Job.state, func.count()).where(literal_column(f"jobs.state IN {states}"))
        for stage, state, number in session.exec(some.group_by(col(Job.stage), col(Job.state))):
            result.setdefault(stage, {})[state] = number
    return result


def get(session: Session, job_id: int) -> Job:
    """One job, or `NotFound`."""
    job = find(session, job_id)
    if job is None:
        raise NotFound(f"there is no run {job_id}; `broadsheet runs list` shows those there are")
    return job


def find(session: Session, job_id: int) -> Job | None:
    """One job, or none."""
    return session.get(Job, job_id)


def attempts(session: Session, job_id: int) -> list[Attempt]:
    """All tries of one job, in order."""
    return list(session.exec(select(Attempt).where(Attempt.job_id == job_id).order_by(col(Attempt.number))))


def revive(session: Session, job_ids: Sequence[int], *, now: datetime, apart: timedelta = timedelta(0)) -> list[Hint]:
    """Make finished or dead jobs ready again with a fresh set of attempts, as a person asks.

    With `apart` they are due one after another, so that many do not fall upon whoever failed them, and those to come
    are stopped by the first that fails again (see `stop_revived`).
    """
    hints = []
    for place, some in enumerate([[job_id] for job_id in job_ids] if apart else [list(job_ids)]):
        due_at = now + place * apart
        rows = session.execute(
            update(Job)
            .where(col(Job.id).in_(some), col(Job.state).in_(["dead", "done"]))
            .values(
                state="ready",
                due_at=due_at,
                finished_at=None,
                spared=col(Job.attempts),
                signature=case((col(Job.state) == "dead", col(Job.signature)), else_=None),
            )
            .returning(col(Job.id), col(Job.stage))
        ).all()
        hints += [Hint(row.id, row.stage) for row in rows if due_at <= now]
    return hints


def stop_revived(session: Session, signature: str, *, now: datetime) -> int:
    """Give up again what was revived of one cause and has not begun yet: that cause still holds. How many those are."""
    waiting = (_JOBS.c.signature == signature) & _READY & (_JOBS.c.due_at > now)
    untried = (_JOBS.c.attempts > 0) & (_JOBS.c.attempts == _JOBS.c.spared)
    stopped = update(_JOBS).where(waiting, untried).values(state="dead", finished_at=now)
    return session.connection().execute(stopped).rowcount


def call_off(session: Session, kinds: Sequence[str], *, now: datetime) -> int:
    """Finish unfinished jobs of these kinds without their having run; returns how many."""
    off = update(_JOBS).where(_JOBS.c.kind.in_(kinds), _JOBS.c.state.in_(["ready", "running", "dead"]))
    done = session.connection().execute(off.values(state="done", token=None, lease_until=None, finished_at=now))
    return done.rowcount


def amend(session: Session, kind: str, payload: Mapping[str, Any]) -> int:
    """Put something into the payload of every unfinished job of a kind; returns how many."""
    rows = session.exec(select(Job).where(Job.kind == kind, col(Job.state).in_(["ready", "running", "dead"]))).all()
    for job in rows:
        job.payload = {**job.payload, **payload}
        session.add(job)
    session.flush()
    return len(rows)


def put_payload(session: Session, claim: Claim, payload: Mapping[str, Any]) -> None:
    """Replace what a claimed job is to do by what is left of it; `LeaseLost` when the claim no longer holds."""
    _write(session, claim, payload=dict(payload))


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


def running_by(session: Session, *, now: datetime) -> dict[str, int]:
    """How many jobs each worker has under a lease that holds, by the worker's name."""
    rows: Any = session.execute(
        select(Attempt.worker, func.count())
        .join(Job, (col(Job.id) == col(Attempt.job_id)) & (col(Job.attempts) == col(Attempt.number)))
        .where(Job.state == "running", col(Job.lease_until) >= now)
        .group_by(col(Attempt.worker))
    )
    return dict(rows.all())


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
