"""After a restore: what may have left since the backup was made does not leave again by itself.

A backup does not know what was sent after it. So its unfinished deliveries, and the editions that were due between
then and now, become `unknown`: composed and recorded as told, sent only where a person says so
(`broadsheet deliveries resend EDITION`). What is due from now on is sent as ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog

from services.domain.schedule import next_edition_at
from services.pipeline.schedule import edition_job
from services.runtime import Runtime
from services.storage import deliveries, jobs, subscribers

log = structlog.get_logger(__name__)

WHY = "the database was put back from a backup: it may have left since that was made"


@dataclass(frozen=True, slots=True)
class Held:
    """What a restore has kept from leaving."""

    deliveries: int
    """Unfinished ones that are `unknown` now."""
    expired: int
    """Unfinished ones that are too late by now."""
    editions: int
    """That were due between backup and restore, and are composed without being sent."""


def hold_what_may_have_left(rt: Runtime) -> Held:
    """Keep back everything that may have left after the backup was made. Nothing else is running."""
    with rt.writing() as session:
        now = rt.now()
        expired = deliveries.expire_unfinished(session, now=now)
        held = deliveries.hold(session, now=now, detail=WHY)
        jobs.call_off(session, ("send_deliveries", "send_notice"), now=now)
        held_at = {"held_at": now.isoformat()}
        jobs.amend(session, "compose_edition", held_at)
        editions = 0
        for subscription in subscribers.list_due(session, now=now):
            due_at = subscription.next_edition_at
            assert due_at is not None
            following = next_edition_at(
                cadence=subscription.cadence, at=subscription.at, timezone=subscription.timezone, after=now
            )
            if subscribers.advance(session, subscription, to=following):
                job = edition_job(subscription.id or 0, subscription.cadence, subscription.timezone, due_at)
                jobs.add(session, [replace(job, payload={**job.payload, **held_at})], now=now)
                editions += 1
    log.info("restore.held", deliveries=held, expired=expired, editions=editions)
    return Held(deliveries=held, expired=expired, editions=editions)
