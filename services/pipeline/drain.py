"""Drain: claim, run, and account for the outcome of one job after another.

This is the only place where a job's failure becomes a retry or a dead letter, and the only loop there is:
Celery tasks, the embedded service, `run --once` and the tests all come through `run_jobs`.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session

from services.domain.errors import LeaseLost, NotFound
from services.domain.jobs import STAGES, Claim
from services.domain.retries import RetryPolicy, counts_as_attempt, error_signature, retry_in
from services.pipeline import (
    enrich,
    enrich_papers,
    fetch,
    housekeeping,
    notices,
    notify,
    opt_in,
    parse,
    recheck,
    schedule,
    send,
    votes,
)
from services.runtime import Runtime
from services.storage import jobs

log = structlog.get_logger(__name__)

GOES_ON_FOR = timedelta(seconds=1)
"""So long a worker goes from one job to the next that was claimed with its end, before it looks anew at what there is
to do."""

Failed = Callable[[Session, Claim, BaseException, Runtime, bool], None]


@dataclass(frozen=True, slots=True)
class Handler:
    """What a kind of job does, what else a failure means, and how often it is tried."""

    run: Callable[[Runtime, Claim], None]
    failed: Failed
    policy: RetryPolicy
    run_on: Callable[[Runtime, Claim, datetime], Claim | None] | None = None
    """As `run`; and until that moment it may claim the job that is next with its own outcome."""


def _nothing(_: Session, __: Claim, ___: BaseException, ____: Runtime, _____: bool) -> None:
    """A failure that means nothing beyond the job's own row."""


HOUR = timedelta(hours=1)
DATABASE_RETRY, DATABASE_FACTOR = timedelta(seconds=1), 8.0
"""A database is mostly back within seconds; where it is not, waits grow fast, so that the tries outlast it."""
DATABASE_BACK_WITHIN, ASK_DATABASE_AGAIN = timedelta(seconds=20), timedelta(seconds=1)

HANDLERS: Mapping[str, Handler] = {
    "fetch_feed": Handler(fetch.fetch_feed, fetch.fetch_failed, RetryPolicy(attempts=8, factor=3)),
    "parse_document": Handler(parse.parse_document, parse.parse_failed, RetryPolicy(attempts=5, max_wait=HOUR)),
    "enrich_repos": Handler(enrich.enrich_repos, enrich.enrich_failed, RetryPolicy(attempts=6, factor=3)),
    "compose_edition": Handler(notify.compose_edition, _nothing, RetryPolicy(attempts=8, max_wait=HOUR)),
    "send_deliveries": Handler(
        send.send_deliveries, send.send_failed, RetryPolicy(attempts=10, max_wait=2 * HOUR), send.send_on
    ),
    "send_notice": Handler(notices.send_notice, _nothing, RetryPolicy(attempts=10, max_wait=HOUR)),
    "ask_to_confirm": Handler(opt_in.ask_to_confirm, opt_in.opt_in_failed, RetryPolicy(attempts=10, max_wait=HOUR)),
    "recheck_papers": Handler(recheck.recheck_papers, recheck.recheck_failed, RetryPolicy(attempts=5, max_wait=HOUR)),
    "look_up_papers": Handler(
        enrich_papers.look_up_papers, enrich_papers.lookup_failed, RetryPolicy(attempts=5, max_wait=HOUR)
    ),
    "read_votes": Handler(votes.read_votes, _nothing, RetryPolicy(attempts=5, max_wait=HOUR)),
    "housekeeping": Handler(housekeeping.keep_house, _nothing, RetryPolicy(attempts=5, max_wait=HOUR)),
}
"""Every kind of job there is. The first wait is `BROADSHEET_RETRY_FIRST_S`."""


def claim_next(
    rt: Runtime,
    *,
    job_id: int | None = None,
    stages: Sequence[str] | None = None,
    overdue_since: datetime | None = None,
) -> Claim | None:
    """Claim a job: the one asked for, or the most urgent of the stages."""
    with rt.writing() as session:
        claim = jobs.claim(
            session, now=rt.now(), lease=rt.lease(), worker=rt.worker, job_id=job_id, stages=stages,
            overdue_since=overdue_since,
        )  # fmt: skip
        rt.checkpoint("claim.written")
    rt.checkpoint("claim.committed")
    return claim


def run_next(
    rt: Runtime,
    *,
    job_id: int | None = None,
    stages: Sequence[str] | None = None,
    overdue_since: datetime | None = None,
) -> str | None:
    """Claim a job as `claim_next` does, and run it and those that go with it; how it ended, or `None` when there is
    none."""
    claim = claim_next(rt, job_id=job_id, stages=stages, overdue_since=overdue_since)
    return run_jobs(rt, claim)[0][1] if claim is not None else None


def run_job(rt: Runtime, claim: Claim) -> str:
    """Run one claimed job and account for it; returns done, retry, waited, dead or lost."""
    return _run(rt, claim, until=None)[0]


def run_jobs(rt: Runtime, claim: Claim) -> list[tuple[Claim, str]]:
    """The same, and on to what is claimed with the end of one, for `GOES_ON_FOR`; how each ended, in order."""
    until = rt.now() + GOES_ON_FOR
    ran: list[tuple[Claim, str]] = []
    following: Claim | None = claim
    while following is not None:
        one = following
        outcome, following = _run(rt, one, until)
        ran.append((one, outcome))
    return ran


def _run(rt: Runtime, claim: Claim, until: datetime | None) -> tuple[str, Claim | None]:
    """How a job ended, and what was claimed with its end."""
    handler = HANDLERS[claim.kind]
    error: Exception | None = None
    following: Claim | None = None
    if not _used_up(claim):
        with structlog.contextvars.bound_contextvars(**claim.told):
            try:
                if until is not None and handler.run_on is not None:
                    following = handler.run_on(rt, claim, until)
                else:
                    handler.run(rt, claim)
            except Exception as caught:  # whatever it is, it becomes a row
                error = caught
    return _ended(rt, claim, error), following


def _used_up(claim: Claim) -> bool:
    """Whether nobody reported a failure, yet the tries are used up: it takes its workers down with it."""
    return claim.tries > HANDLERS[claim.kind].policy.attempts


def _ended(rt: Runtime, claim: Claim, error: Exception | None) -> str:
    """Account for a job that has ended: well, or of an error."""
    used_up = _used_up(claim)
    if error is None and not used_up:
        return "done"
    handler = HANDLERS[claim.kind]
    with structlog.contextvars.bound_contextvars(**claim.told):
        if used_up or error is None:
            return _account(rt, claim, handler, RuntimeError(f"its worker died {claim.tries - 1} times"), None)
        if isinstance(error, LeaseLost):
            log.warning("job.lost", why=str(error))
            return "lost"
        if isinstance(error, NotFound):
            log.info("job.gone", why=str(error))
            return _account(rt, claim, handler, error, None)
        policy = _policy(rt, handler)
        if isinstance(error, (OperationalError, InterfaceError)):
            # The database is in trouble, which says nothing of the job: it has all its tries, not a bug's few.
            soon = replace(policy, first_wait=min(policy.first_wait, DATABASE_RETRY), factor=DATABASE_FACTOR)
            wait = soon.backoff(claim.tries) if claim.tries < policy.attempts else None
        else:
            wait = retry_in(error, attempt=claim.tries, policy=policy, jitter=rt.jitter())
        return _account(rt, claim, handler, error, wait)


def _policy(rt: Runtime, handler: Handler) -> RetryPolicy:
    return replace(handler.policy, first_wait=timedelta(seconds=rt.settings.retry_first_s))


def _account(rt: Runtime, claim: Claim, handler: Handler, error: BaseException, wait: timedelta | None) -> str:
    """Write a failed try into the ledger. A database that is away for a moment is waited for: without a word from us
    the job would lie until its lease runs out."""
    until = min(rt.now() + DATABASE_BACK_WITHIN, claim.lease_until)
    while True:
        try:
            return _write_down(rt, claim, handler, error, wait)
        except (OperationalError, InterfaceError) as trouble:
            if rt.now() + ASK_DATABASE_AGAIN >= until:
                raise
            log.warning("job.not_accounted", error=str(trouble).splitlines()[0])
            rt.sleep(ASK_DATABASE_AGAIN.total_seconds())


def _write_down(rt: Runtime, claim: Claim, handler: Handler, error: BaseException, wait: timedelta | None) -> str:
    """A failed try with all it means, in one transaction."""
    words = rt.redact(f"{type(error).__name__}: {error}")[:2000]
    trace = rt.redact("".join(traceback.format_exception(error)))[-20_000:]
    counts = counts_as_attempt(error)
    try:
        with rt.writing() as session:
            jobs.check(session, claim)
            try:
                with session.begin_nested():
                    handler.failed(session, claim, error, rt, wait is None)
            except (LeaseLost, OperationalError, InterfaceError):
                raise
            except Exception:
                # What a failure means elsewhere could not be written. Without this the job would come back for ever.
                log.exception("job.failure_not_told")
            now, signature = rt.now(), error_signature(error)
            stopped = jobs.stop_revived(session, signature, now=now) if counts else 0
            if wait is None:
                jobs.bury(session, claim, now=now, error=words, signature=signature, traceback=trace)
            else:
                jobs.retry(
                    session, claim, now=now, due_at=now + wait, error=words, signature=signature,
                    traceback=trace if counts else "", counts=counts,
                )  # fmt: skip
            rt.checkpoint("failure.written")
        rt.checkpoint("failure.committed")
    except LeaseLost as lost:
        log.warning("job.lost", why=str(lost))
        return "lost"
    if stopped:
        log.warning("redrive.stopped", signature=signature, given_up_again=stopped)
    if wait is None:
        log.error("job.dead", error=words)
        return "dead"
    log.info("job.again", error=words, in_s=round(wait.total_seconds(), 1), counts=counts)
    return "retry" if counts else "waited"


def run_until_idle(
    rt: Runtime,
    *,
    threads: int = 1,
    patience: timedelta = timedelta(0),
    stages: Sequence[str] = STAGES,
    stop: threading.Event | None = None,
    on_job: Callable[[Claim, str], None] | None = None,
    ticking: bool = True,
) -> dict[str, int]:
    """Run every due job with no broker until none is due, or will be within `patience`; outcomes are counted.

    The schedule's tick is run first and again whenever the work seems done, since work makes work.
    """
    counted: dict[str, int] = {}
    lock = threading.Lock()
    stop = stop or threading.Event()

    def drain() -> None:
        while not stop.is_set():
            claim = claim_next(rt, stages=stages)
            if claim is None:
                return
            for ran, outcome in run_jobs(rt, claim):
                with lock:
                    counted[outcome] = counted.get(outcome, 0) + 1
                if on_job is not None:
                    on_job(ran, outcome)

    deadline = rt.now() + patience
    while not stop.is_set():
        if ticking:
            schedule.tick(rt)
        helpers = [threading.Thread(target=drain, name=f"drain-{n}", daemon=True) for n in range(threads - 1)]
        for helper in helpers:
            helper.start()
        drain()
        for helper in helpers:
            helper.join()
        with rt.reading() as session:
            next_at = jobs.next_due_at(session, stages=stages)
        now = rt.now()
        if next_at is None or next_at > deadline:
            return counted
        if next_at > now:
            rt.sleep(min((next_at - now).total_seconds() + 0.01, 1.0))
    return counted
