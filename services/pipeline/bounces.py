"""Bounces: what came back, and which addresses are written to no more for it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlmodel import Session

from services.domain.addresses import parse_address
from services.domain.bounces import Bounce, should_suppress
from services.runtime import Runtime
from services.storage import suppressions
from services.storage.tables import Bounce as BounceRow
from services.storage.tables import SuppressionEvent

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


def record_bounce(
    rt: Runtime, bounces: Sequence[Bounce], *, report: bytes, event: str = "", by: str = "report"
) -> list[Noted]:
    """Record what one report says, and suppress the addresses for which that is the end.

    `report` are the bytes it came in; the same ones count once, and where `event` names what they tell of, the same
    event. `by` says who told us.
    """
    digest = event or hashlib.sha256(report).hexdigest()
    noted = []
    with rt.writing() as session:
        now = rt.now()
        for bounce in bounces:
            key = suppressions.address_key(session, "email", bounce.address)
            fresh = suppressions.record(
                session, report=digest, key=key, kind=bounce.kind, code=bounce.code, detail=bounce.detail,
                message_id=bounce.message_id, now=now,
            )  # fmt: skip
            lifted_at = suppressions.lifted_at(session, key)
            since = max(filter(None, (now - SOFT_WITHIN, lifted_at)))
            soft = suppressions.count_soft(session, key, since=since)
            if fresh and should_suppress(bounce.kind, soft):
                said = " ".join(part for part in (bounce.code, bounce.detail) if part)
                suppressions.suppress(session, key, reason=bounce.kind, detail=said, by=by, now=now)
            suppressed = suppressions.find(session, key) is not None
            noted.append(Noted(bounce=bounce, known=not fresh, suppressed=suppressed))
            log.info("bounce.recorded", kind=bounce.kind, code=bounce.code, known=not fresh, suppressed=suppressed)
    return noted


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is known of one address: whether it is suppressed, every act, every report."""

    key: str
    suppressed: bool
    events: tuple[SuppressionEvent, ...]
    reports: tuple[BounceRow, ...]


def history(rt: Runtime, address: str) -> History:
    """What is known of an address, written as in `subscriptions add --to`. Raises `InvalidInput` for what is none."""
    with rt.writing() as session:  # a hash may have to be made for it
        key = key_of(rt, session, address)
        return History(
            key=key, suppressed=suppressions.find(session, key) is not None,
            events=tuple(suppressions.events(session, key)), reports=tuple(suppressions.reports(session, key)),
        )  # fmt: skip


def key_of(rt: Runtime, session: Session, address: str) -> str:
    """What rows about an address are called."""
    parsed = parse_address(address, allowed_hosts=rt.settings.private_hosts)
    return suppressions.address_key(session, parsed.channel, parsed.target)
