"""Notify: an edition is composed once, its deliveries planned with it, and each is sent.

    due → its feeds' batches are in, or the deadline has come → match, rank, budget
        → one transaction: edition, items, delivery, the job that sends            (who gets what: decided)
    send → render once and keep the bytes → connect … 354 → commit `sending` → the dot → commit the outcome

Between the commit of `sending` and that of the outcome lies the one window in which nobody can say whether a
message left. A delivery found `sending` by a later try was caught in it: `BROADSHEET_SMTP_AMBIGUITY` decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any

import structlog
import zstandard
from sqlmodel import Session

from services.digests import render
from services.domain.deliveries import SETTLED, expires_at, message_id, should_send
from services.domain.digests import SourceStatus
from services.domain.errors import (
    BroadsheetError,
    DeliveryDeferred,
    DeliveryError,
    DeliveryRefused,
    DeliveryUnknown,
    LeaseLost,
)
from services.domain.jobs import Claim, NewJob
from services.domain.messages import Message
from services.domain.papers import PaperFacts
from services.domain.queries import parse_query
from services.domain.ranking import rank, reasons
from services.domain.schedule import period_length
from services.pipeline.views import Pick, edition_view, local_day, source_statuses
from services.runtime import Runtime, Step
from services.storage import archive, deliveries, editions, feeds, subscribers
from services.storage.tables import Delivery, Edition, Subscriber, Subscription

log = structlog.get_logger(__name__)

OVERLAP = timedelta(hours=1)
"""How far a new edition looks back behind the last one: papers stored while that was composed are not lost."""

LEASE_FOR_A_SEND = timedelta(seconds=30)
"""A message is only handed over while at least this much of the lease is left."""

EXACT_WAIT = timedelta(minutes=2)
"""How soon an edition that waits for its feeds looks again."""


class BatchesOutstanding(BroadsheetError):
    """The feeds of an edition are still being read: look again soon."""

    passing = True

    def __init__(self, message: str, retry_after: timedelta = EXACT_WAIT) -> None:
        super().__init__(message)
        self.retry_after = retry_after


# -- composing -------------------------------------------------------------------------------------------------


def compose_edition(rt: Runtime, claim: Claim) -> None:
    """Compose one period of one subscription: payload `subscription_id`, `period`, `due_at`, and `now` when a
    person asked for it at once (then nothing is waited for)."""
    due_at = datetime.fromisoformat(claim.payload["due_at"])
    hurry = bool(claim.payload.get("now")) or rt.now() >= due_at + timedelta(minutes=rt.settings.digest_wait_minutes)
    with rt.reading() as session:
        subscription, subscriber = subscribers.get_subscription(session, claim.payload["subscription_id"])
        waiting = [] if hurry else _outstanding(session, subscription, rt.now())
    if waiting:
        raise BatchesOutstanding(f"waiting for {', '.join(waiting)}")
    with rt.step(claim) as step:
        if subscription.state == "removed" or subscriber.state != "active":
            log.info("edition.skipped", why=f"{subscription.state}/{subscriber.state}")
            return
        if subscribers.is_paused(subscription, local_day(subscription.timezone, step.now)):
            log.info("edition.skipped", why="paused")
            return
        edition_id, items = plan_edition(rt, step.session, subscription, subscriber, claim.payload["period"], due_at)
        if edition_id is not None and items:
            step.add([send_job(edition_id)])


def send_job(edition_id: int, again: str = "") -> NewJob:
    """The job that sends an edition's deliveries; `again` makes a further one, as a person asks."""
    key = f"edition {edition_id}" + (f" again {again}" if again else "")
    return NewJob(kind="send_deliveries", key=key, payload={"edition_id": edition_id}, priority=-1)


def plan_edition(
    rt: Runtime, session: Session, subscription: Subscription, subscriber: Subscriber, period: str, due_at: datetime
) -> tuple[int | None, int]:
    """Decide who gets what, and write it: the edition, its items, its delivery. Returns (edition id, items).

    The id is `None` when that period has its edition already. An edition without papers is recorded as skipped.
    """
    now = rt.now()
    picks, matched, considered = choose(rt, session, subscription)
    statuses = source_statuses(session, subscription.feeds, since=now - period_length(subscription.cadence), now=now)
    edition_id = editions.add(
        session,
        {
            "subscription_id": subscription.id, "period": period, "composed_at": now, "due_at": due_at,
            "matched": matched, "considered": considered, "sources": [_plain(s) for s in statuses],
            "skipped": None if picks else "empty",
        },
    )  # fmt: skip
    if edition_id is None:
        log.info("edition.known", subscription=subscription.id, period=period)
        return None, 0
    if not picks:
        log.info("edition.empty", subscription=subscription.id, period=period, considered=considered)
        return edition_id, 0
    editions.add_items(
        session,
        [
            {"edition_id": edition_id, "subscription_id": subscription.id, "paper_id": pick.paper.id, "rank": n,
             "why": list(pick.why), "late": pick.late}
            for n, pick in enumerate(picks, 1)
        ],
    )  # fmt: skip
    plan_delivery(rt, session, edition_id, subscription, subscriber, due_at)
    log.info(
        "edition.composed", subscription=subscription.id, edition=edition_id, period=period, matched=matched,
        items=len(picks),
    )  # fmt: skip
    return edition_id, len(picks)


def plan_delivery(
    rt: Runtime, session: Session, edition_id: int, subscription: Subscription, subscriber: Subscriber, due_at: datetime
) -> int | None:
    """Plan the delivery of an edition to one subscriber; `None` when there is one."""
    now = rt.now()
    domain = parseaddr(rt.settings.mail_from)[1].partition("@")[2] or "localhost"
    stable = abs(hash_of(f"{edition_id} {subscriber.id} {subscriber.channel}"))
    return deliveries.add(
        session,
        {
            "edition_id": edition_id, "subscriber_id": subscriber.id, "channel": subscriber.channel, "state": "planned",
            "message_id": message_id(stable, rt.secret, domain), "attempts": 0, "planned_at": now,
            "expires_at": max(expires_at(due_at, subscription.cadence), now + timedelta(hours=12)), "updated_at": now,
        },
    )  # fmt: skip


def hash_of(text: str) -> int:
    """A stable number for a text."""
    import hashlib

    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def choose(rt: Runtime, session: Session, subscription: Subscription) -> tuple[list[Pick], int, int]:
    """The papers for a subscription's next edition: (picks within the budget, matched, considered).

    Considered is what came since the last edition and the subscription has not had, whatever day it is dated.
    """
    now = rt.now()
    last = editions.last(session, subscription.id or 0)
    after = max(last.composed_at - OVERLAP, subscription.since_at) if last else subscription.since_at
    ids = archive.ids(
        session, first_seen_after=after - timedelta(microseconds=1), feeds=subscription.feeds, not_had_by=subscription.id
    )
    query = parse_query(subscription.query)
    papers = [p for p in archive.load(session, ids, now=now) if not p.withdrawn]
    matching = [p for p in papers if query.matches(p)]
    ranked = rank(matching, now=now, order="trending")[: subscription.budget]
    boundary = last.composed_at.date() if last else None
    return (
        [
            Pick(paper=p, why=why(p, query.explain(p), now),
                 late=boundary is not None and p.announced_on is not None and p.announced_on < boundary - timedelta(days=2))
            for p in ranked
        ],
        len(matching),
        len(papers),
    )  # fmt: skip


def why(paper: PaperFacts, matched: Sequence[str], now: datetime) -> tuple[str, ...]:
    """The reasons an item carries, at least one."""
    found = (*matched, *reasons(paper, now))
    return found[:4] or (f"new in {', '.join(paper.feeds) or 'the archive'}",)


def _outstanding(session: Session, subscription: Subscription, now: datetime) -> list[str]:
    """Feeds of the subscription whose newest slot is still being worked on, or has not been read today."""
    return feeds.busy(session, subscription.feeds, now=now)


def _plain(status: SourceStatus) -> dict[str, Any]:
    data = asdict(status)
    data["as_of"] = status.as_of.isoformat() if status.as_of else None
    return data


def _status(data: dict[str, Any]) -> SourceStatus:
    return SourceStatus(**{**data, "as_of": datetime.fromisoformat(data["as_of"]) if data["as_of"] else None})


# -- rendering -------------------------------------------------------------------------------------------------


def render_edition(rt: Runtime, session: Session, edition: Edition, delivery: Delivery | None) -> Message:
    """The message of an edition, from its rows."""
    subscription, subscriber = subscribers.get_subscription(session, edition.subscription_id)
    items = editions.items(session, edition.id or 0)
    papers = {p.id: p for p in archive.load(session, [i.paper_id for i in items], now=edition.composed_at)}
    picks = [
        Pick(paper=papers[i.paper_id], why=tuple(i.why), late=i.late) for i in items if i.paper_id in papers
    ]
    view = edition_view(
        rt, subscription, subscriber, picks=picks, matched=edition.matched, considered=edition.considered,
        sources=[_status(s) for s in edition.sources], composed_at=edition.composed_at, edition_id=edition.id,
    )  # fmt: skip
    return render(
        view, message_id=delivery.message_id if delivery else "<preview@localhost>", list_id=list_id(rt, subscription)
    )


def list_id(rt: Runtime, subscription: Subscription) -> str:
    """RFC 2919: a name and an id below our own domain."""
    domain = parseaddr(rt.settings.mail_from)[1].partition("@")[2] or "localhost"
    slug = re.sub(r"[^a-z0-9]+", "-", subscription.name.lower()).strip("-") or "digest"
    return f"{subscription.name} <{slug}.{domain}>"


def pack(message: Message) -> bytes:
    """A message as kept on its delivery."""
    data = {**asdict(message), "date": message.date.isoformat(), "headers": dict(message.headers)}
    return zstandard.ZstdCompressor(level=6).compress(json.dumps(data, ensure_ascii=False).encode())


def unpack(kept: bytes) -> Message:
    """A kept message, the same as was packed."""
    data = json.loads(zstandard.ZstdDecompressor().decompress(kept, max_output_size=64 * 1024 * 1024))
    return Message(**{**data, "date": datetime.fromisoformat(data["date"])})


# -- sending ---------------------------------------------------------------------------------------------------


def send_deliveries(rt: Runtime, claim: Claim) -> None:
    """Send what is left to send of one edition: payload `edition_id`. Each delivery keeps its own state."""
    with rt.reading() as session:
        rows = deliveries.list_all(session, edition_id=claim.payload["edition_id"])
    again: list[DeliveryError] = []
    for delivery, _, _ in reversed(rows):
        if delivery.state in SETTLED:
            continue
        try:
            _send(rt, claim, delivery.id or 0)
        except DeliveryDeferred as error:
            again.append(error)
    if again:
        raise max(again, key=lambda error: error.retry_after or timedelta(0))
    with rt.step(claim):
        pass


def _send(rt: Runtime, claim: Claim, delivery_id: int) -> None:
    with rt.reading() as session:
        delivery, subscriber, edition = deliveries.get(session, delivery_id)
    verdict = should_send(
        delivery.state, subscriber.state, rt.now(), delivery.expires_at, rt.settings.smtp_ambiguity
    )
    if verdict != "send":
        _settle(rt, claim, delivery, verdict)
        return
    if delivery.message is None:
        with rt.writing() as session:
            message = render_edition(rt, session, edition, delivery)
            deliveries.move(
                session, delivery_id, delivery.state, only_from=[delivery.state], now=rt.now(), message=pack(message)
            )
    else:
        message = unpack(delivery.message)

    def intent() -> None:
        rt.enough_lease(claim, LEASE_FOR_A_SEND)
        _move(rt, claim, delivery_id, "sending", only_from=["planned", "deferred", "sending"],
              attempts=delivery.attempts + 1)  # fmt: skip

    channel = rt.channel(subscriber.channel, subscriber.address)
    try:
        receipt = channel.send(message, subscriber.address, f"{edition.id}-{delivery_id}", commit_intent=intent)
    except DeliveryRefused as error:
        _move(rt, claim, delivery_id, "failed", code=error.code, detail=str(error)[:1000])
        log.warning("delivery.failed", delivery=delivery_id, code=error.code, error=str(error))
    except DeliveryUnknown as error:
        resend = rt.settings.smtp_ambiguity == "resend"
        _move(rt, claim, delivery_id, "deferred" if resend else "unknown", code=error.code, detail=str(error)[:1000])
        log.warning("delivery.unknown", delivery=delivery_id, error=str(error), resend=resend)
        if resend:
            raise DeliveryDeferred(str(error), code=error.code) from error
    except DeliveryDeferred as error:
        _move(rt, claim, delivery_id, "deferred", code=error.code, detail=str(error)[:1000])
        log.info("delivery.deferred", delivery=delivery_id, code=error.code, error=str(error))
        raise
    else:
        _move(rt, claim, delivery_id, "accepted", code=receipt.code, detail=receipt.detail[:1000], sent_at=rt.now())
        log.info("delivery.accepted", delivery=delivery_id, channel=channel.name, code=receipt.code)


OUTCOMES = {
    "suppress": ("suppressed", "the subscriber is not active"),
    "expire": ("expired", "too late to be of use"),
    "hold": ("unknown", "a worker stopped between handing the message over and hearing the answer"),
}


def _settle(rt: Runtime, claim: Claim, delivery: Delivery, verdict: str) -> None:
    if verdict in OUTCOMES:
        state, detail = OUTCOMES[verdict]
        _move(rt, claim, delivery.id or 0, state, detail=detail)
        log.info("delivery.settled", delivery=delivery.id, state=state)


def _move(
    rt: Runtime, claim: Claim, delivery_id: int, to: str,
    only_from: Sequence[str] = ("planned", "deferred", "sending"), **values: object,
) -> None:
    """One step of a delivery, in a transaction that holds only while the claim does."""
    from services.storage import jobs

    with rt.writing() as session:
        jobs.check(session, claim)
        deliveries.move(session, delivery_id, to, only_from=only_from, now=rt.now(), **values)


def send_failed(session: Session, claim: Claim, error: BaseException, rt: Runtime, final: bool) -> None:
    """When the job is given up, what is still deferred has failed: it is named, and a person may resend it."""
    if not final:
        return
    for delivery, _, _ in deliveries.list_all(session, edition_id=claim.payload["edition_id"]):
        if delivery.state in {"planned", "deferred"}:
            deliveries.move(
                session, delivery.id or 0, "failed", only_from=[delivery.state], now=rt.now(),
                detail=f"given up after {claim.attempt} tries: {error}"[:1000],
            )  # fmt: skip


# -- by hand ---------------------------------------------------------------------------------------------------


def preview(rt: Runtime, subscription_id: int) -> Message:
    """What the subscription's next edition would be, now; nothing is written."""
    with rt.reading() as session:
        subscription, subscriber = subscribers.get_subscription(session, subscription_id)
        now = rt.now()
        picks, matched, considered = choose(rt, session, subscription)
        statuses = source_statuses(session, subscription.feeds, since=now - timedelta(days=1), now=now)
        view = edition_view(
            rt, subscription, subscriber, picks=picks, matched=matched, considered=considered, sources=statuses,
            composed_at=now, edition_id=None,
        )  # fmt: skip
        return render(view, message_id="<preview@localhost>", list_id=list_id(rt, subscription))


def resend(rt: Runtime, edition_id: int) -> int:
    """Send an edition again to those who did not get it; returns how many. Nobody gets it twice.

    Failed, expired and unknown deliveries are planned anew with the same message; a person who asks this has
    decided that an unknown one did not arrive.
    """
    with rt.writing() as session:
        editions.get(session, edition_id)
        now = rt.now()
        count = 0
        for delivery, _, _ in deliveries.list_all(session, edition_id=edition_id):
            if delivery.state in {"failed", "expired", "unknown", "suppressed"}:
                deliveries.move(
                    session, delivery.id or 0, "planned", only_from=[delivery.state], now=now,
                    expires_at=now + timedelta(days=1), detail=None, code=None,
                )  # fmt: skip
                count += 1
    if count:
        rt.add_jobs([send_job(edition_id, again=f"{rt.now():%Y-%m-%dT%H:%M:%S.%fZ}")])
    return count


__all__ = [
    "BatchesOutstanding", "LeaseLost", "Step", "choose", "compose_edition", "pack", "plan_delivery", "plan_edition",
    "preview", "render_edition", "resend", "send_deliveries", "send_failed", "send_job", "unpack",
]  # fmt: skip
