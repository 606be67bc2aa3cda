"""Housekeeping: what has outlived its retention is pruned, a bounded piece at a time."""

from __future__ import annotations

from datetime import timedelta

import structlog

from services.domain.jobs import Claim
from services.runtime import Runtime
from services.storage import allowances, audit, documents, jobs, search_index, service, users

log = structlog.get_logger(__name__)


def keep_house(rt: Runtime, claim: Claim) -> None:
    """Prune finished jobs, old documents and processes long gone; index what the search does not know yet."""
    with rt.step(claim) as step:
        pruned_jobs = jobs.prune(step.session, before=step.now - timedelta(days=rt.settings.jobs_keep_days))
        pruned_documents = documents.prune(
            step.session, before=step.now - timedelta(days=rt.settings.documents_keep_days)
        )
        pruned_acts = audit.prune(step.session, before=step.now - timedelta(days=rt.settings.audit_keep_days))
        users.forget(step.session, now=step.now)
        allowances.forget(step.session, before=step.now)
        service.forget_heartbeats(step.session, before=step.now - timedelta(days=7))
        indexed, dropped = search_index.catch_up(step.session)
    log.info(
        "house.kept", jobs=pruned_jobs, documents=pruned_documents, acts=pruned_acts, indexed=indexed,
        index_dropped=dropped,
    )  # fmt: skip
