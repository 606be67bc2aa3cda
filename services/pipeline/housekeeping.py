"""Housekeeping: what has outlived its retention is pruned, a bounded piece at a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import structlog
from sqlmodel import Session

from services.domain.jobs import Claim, NewJob
from services.runtime import Runtime
from services.storage import allowances, audit, deliveries, documents, jobs, search_index, service, users

log = structlog.get_logger(__name__)

PIECE = 500
"""Rows that go in one transaction: other writers wait for it."""


class Prune(Protocol):
    """Lets go of rows older than a moment, `limit` at most; returns how many those were."""

    def __call__(self, session: Session, *, before: datetime, limit: int) -> int: ...


def keep_house(rt: Runtime, claim: Claim) -> None:
    """Prune what is old and processes long gone; index what the search does not know yet.

    What there is to prune goes piece by piece, for half of the lease; the rest is the next job's.
    """
    kept_days: dict[str, tuple[Prune, int]] = {
        "jobs": (jobs.prune, rt.settings.jobs_keep_days),
        "documents": (documents.prune, rt.settings.documents_keep_days),
        "messages": (deliveries.drop_messages, rt.settings.messages_keep_days),
        "acts": (audit.prune, rt.settings.audit_keep_days),
    }
    until = claim.lease_until - rt.lease() / 2
    pruned = {name: _prune(rt, claim, prune, days, until) for name, (prune, days) in kept_days.items()}
    with rt.step(claim) as step:
        users.forget(step.session, now=step.now)
        allowances.forget(step.session, before=step.now)
        service.forget_heartbeats(step.session, before=step.now - timedelta(days=7))
        indexed, dropped = search_index.catch_up(step.session)
        if not all(done for _, done in pruned.values()):
            step.add([NewJob(kind="housekeeping", key=f"{step.now:%Y-%m-%dT%H:%M:%S.%fZ}", priority=9)])
    log.info(
        "house.kept", **{name: count for name, (count, _) in pruned.items()}, indexed=indexed, index_dropped=dropped
    )


def _prune(rt: Runtime, claim: Claim, prune: Prune, days: int, until: datetime) -> tuple[int, bool]:
    """Prune what is older than so many days; how many rows, and whether that was all of them."""
    before, count = rt.now() - timedelta(days=days), 0
    while True:
        with rt.writing() as session:
            jobs.check(session, claim)
            piece = prune(session, before=before, limit=PIECE)
        count += piece
        if piece < PIECE:
            return count, True
        if rt.now() >= until:
            return count, False
