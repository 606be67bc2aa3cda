"""Bounces: what came back, and which addresses are written to no more for it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.domain.bounces import Bounce, should_suppress
from services.runtime import Runtime
from services.storage import suppressions
from services.storage.suppressions import address_key

log = structlog.get_logger(__name__)

SOFT_WITHIN = timedelta(days=30)
"""Soft bounces older than this no longer count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What became of one bounce."""

    bounce: Bounce
    known: bool
    """Whether the same report was recorded before."""
    suppressed: bool
    """Whether the address is suppressed now."""


def record_bounce(rt: Runtime, bounces: Sequence[Bounce], *, report: bytes) -> list[Noted]:
    """Record what one report says, and suppress the addresses for which that is the end.

    `report` are the bytes it came in: the same ones count once.
    """
    digest = hashlib.sha256(report).hexdigest()
    noted = []
    with rt.writing() as session:
        now = rt.now()
        for bounce in bounces:
            key = address_key("email", bounce.address)
            fresh = suppressions.record(
                session, report=digest, key=key, kind=bounce.kind, code=bounce.code, detail=bounce.detail,
                message_id=bounce.message_id, now=now,
            )  # fmt: skip
            soft = suppressions.count_soft(session, key, since=now - SOFT_WITHIN)
            if fresh and should_suppress(bounce.kind, soft):
                said = " ".join(part for part in (bounce.code, bounce.detail) if part)
                suppressions.suppress(session, key, reason=bounce.kind, detail=said, now=now)
            suppressed = suppressions.find(session, key) is not None
            noted.append(Noted(bounce=bounce, known=not fresh, suppressed=suppressed))
            log.info("bounce.recorded", kind=bounce.kind, code=bounce.code, known=not fresh, suppressed=suppressed)
    return noted
