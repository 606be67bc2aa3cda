"""By hand: work that a person asked for is done in this process, whether or not a service is running.

It goes through the same ledger as all work: a job is added (or found), claimed, run and accounted for, and a
service beside us may well be quicker at one of its steps.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from services.domain.jobs import NewJob
from services.pipeline import drain
from services.runtime import Runtime
from services.storage import jobs, runs
from services.storage.tables import Job

PATIENCE = timedelta(seconds=40)
"""How long a person is kept waiting for a host that asks us to come back later."""

LOOK_S = 0.2
"""How often we look at a job that another process is running."""

READING = ("fetch_feed", "parse_document")
SENDING = ("compose_edition", "send_deliveries")


def ask(rt: Runtime, job: NewJob, *, again: bool = False) -> int:
    """Add a job, or make the one of its key due now; returns its id.

    One that waits takes the new payload. One that was given up gets a fresh set of tries; one that is done is
    run once more only with `again`.
    """
    with rt.writing() as session:
        now = rt.now()
        jobs.add(session, [job], now=now)
        row = runs.find(session, job.kind, job.key)
        assert row is not None
        assert row.id is not None
        if row.state == "dead" or (again and row.state == "done"):
            jobs.revive(session, [row.id], now=now)
        runs.hurry(session, row.id, now=now, payload=job.payload)
        return row.id


def carry_out(
    rt: Runtime,
    job_ids: Iterable[int],
    *,
    kinds: Sequence[str],
    patience: timedelta = PATIENCE,
    stop: threading.Event | None = None,
    on_job: Callable[[Job], None] | None = None,
) -> list[Job]:
    """Run these jobs and those that follow from them, as far as they are of `kinds`.

    Returns each as it was left: done, dead, or waiting for another try.
    """
    stop = stop or threading.Event()
    waiting = deque(job_ids)
    met = set(waiting)
    left: list[Job] = []
    while waiting and not stop.is_set():
        job = _settle(rt, waiting.popleft(), patience, stop)
        left.append(job)
        if on_job is not None:
            on_job(job)
        with rt.reading() as session:
            following = [j.id for j in runs.children(session, [job.id or 0], kinds=kinds) if j.id is not None]
        waiting.extend(i for i in following if i not in met)
        met.update(following)
    return left


def _settle(rt: Runtime, job_id: int, patience: timedelta, stop: threading.Event) -> Job:
    """Run one job, or see it run elsewhere, until it is done, dead, failed for now, or waits longer than we do."""
    deadline = rt.now() + patience
    while True:
        claim = drain.claim_next(rt, job_id=job_id)
        if claim is not None:
            drain.run_job(rt, claim)
        with rt.reading() as session:
            job = jobs.get(session, job_id)
        now = rt.now()
        failed = job.state == "ready" and job.signature is not None
        if job.state in {"done", "dead"} or failed or stop.is_set():
            return job
        if job.state == "running":
            if job.lease_until is not None and now > max(deadline, job.lease_until):
                return job
            rt.sleep(LOOK_S)
        elif job.due_at > deadline:
            return job
        else:
            rt.sleep(min(max((job.due_at - now).total_seconds(), 0.0) + 0.01, 0.5))
