"""Notify: an edition is composed once, and its delivery planned with it.

    due → its feeds' batches are in, or the deadline has come → match, rank, budget
        → one transaction: edition, items, delivery, the job that sends            (who gets what: decided)

Sending is `pipeline.send`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlmodel import Session

from services.digests import render
from services.domain.deliveries import expires_at, message_id
from services.domain.errors import NotYet
from services.domain.feedback import shut_out
from services.domain.indexed import Indexed
from services.domain.jobs import Claim
from services.domain.messages import Message
from services.domain.papers import PaperFacts
from services.domain.queries import parse_query
from services.domain.ranking import reasons
from services.domain.schedule import period_length
from services.pipeline import feedback
from services.pipeline.messages import PREVIEW_ID, list_id, mail_domain, status_to_json
from services.pipeline.send import send_job
from services.pipeline.views import Pick, edition_view, local_day, since_you_read, source_statuses
from services.runtime import Runtime
from services.storage import archive, deliveries, editions, feeds, subscribers
from services.storage.tables import Subscriber, Subscription

log = structlog.get_logger(__name__)

OVERLAP = timedelta(hours=1)
"""How far a new edition looks back behind the last one: papers stored while that was composed are not lost."""

LATE = timedelta(days=2)
"""A paper announced this long before the last edition should have been in it, and is marked late."""

LOOK_AGAIN = timedelta(minutes=2)
"""How soon an edition that waits for its feeds looks again."""

MOST_REASONS = 4


def compose_edition(rt: Runtime, claim: Claim) -> None:
    """Compose one period of one subscription: payload `subscription_id`, `period`, `due_at`, and `now` when a
    person asked for it at once (then nothing is waited for)."""
    due_at = datetime.fromisoformat(claim.payload["due_at"])
    patience = timedelta(minutes=rt.settings.digest_wait_minutes)
    hurry = bool(claim.payload.get("now")) or rt.now() >= due_at + patience
    with rt.reading() as session:
        subscription, subscriber = subscribers.get_subscription(session, claim.payload["subscription_id"])
        waiting = [] if hurry else feeds.busy(session, subscription.feeds, now=rt.now())
    if waiting:
        raise NotYet(f"waiting for {', '.join(waiting)}", retry_after=LOOK_AGAIN)
    rt.checkpoint("compose_edition.ready")
    with rt.step(claim) as step:
        if subscription.state in {"removed", "pending"} or subscriber.state != "active":
            log.info("edition.skipped", why=f"{subscription.state}/{subscriber.state}")
            return
        if subscribers.is_paused(subscription, local_day(subscription.timezone, step.now)):
            log.info("edition.skipped", why="paused")
            return
        edition_id, items = plan_edition(rt, step.session, subscription, subscriber, claim.payload["period"], due_at)
        if edition_id is not None and items:
            step.add([send_job(edition_id)])


def plan_edition(
    rt: Runtime, session: Session, subscription: Subscription, subscriber: Subscriber, period: str, due_at: datetime
) -> tuple[int | None, int]:
    """Decide who gets what, and write it: the edition, its items, its delivery. Returns (edition id, items).

    The id is `None` when that period has its edition already. An edition without papers is recorded as skipped.
    """
    now = rt.now()
    picks, matched, considered = choose(rt, session, subscription)
    statuses = source_statuses(session, subscription.feeds, since=now - period_length(subscription.cadence))
    edition_id = editions.add(
        session,
        {
            "subscription_id": subscription.id,
            "period": period,
            "composed_at": now,
            "due_at": due_at,
            "matched": matched,
            "considered": considered,
            "sources": [status_to_json(status) for status in statuses],
            "skipped": None if picks else "empty",
        },
    )
    if edition_id is None:
        log.info("edition.known", subscription=subscription.id, period=period)
        return None, 0
    if not picks:
        log.info("edition.empty", subscription=subscription.id, period=period, considered=considered)
        return edition_id, 0
    editions.add_items(
        session,
        [
            {
                "edition_id": edition_id,
                "subscription_id": subscription.id,
                "paper_id": pick.paper.id,
                "rank": number,
                "why": list(pick.why),
                "late": pick.late,
            }
            for number, pick in enumerate(picks, 1)
        ],
    )
    plan_delivery(rt, session, edition_id, subscription, subscriber, due_at)
    log.info("edition.composed", subscription=subscription.id, edition=edition_id, period=period, items=len(picks))
    return edition_id, len(picks)


def plan_delivery(
    rt: Runtime, session: Session, edition_id: int, subscription: Subscription, subscriber: Subscriber, due_at: datetime
) -> int | None:
    """Plan the delivery of an edition to one subscriber; `None` when there is one."""
    now = rt.now()
    name = f"{edition_id} {subscriber.id} {subscriber.channel}"
    return deliveries.add(
        session,
        {
            "edition_id": edition_id,
            "subscriber_id": subscriber.id,
            "channel": subscriber.channel,
            "state": "planned",
            "message_id": message_id(name, rt.secret, mail_domain(rt)),
            "attempts": 0,
            "planned_at": now,
            # An edition that waited for its feeds, or that a person asked for, is given its own half day.
            "expires_at": max(expires_at(due_at, subscription.cadence), now + timedelta(hours=12)),
            "updated_at": now,
        },
    )


def choose(rt: Runtime, session: Session, subscription: Subscription) -> tuple[list[Pick], int, int]:
    """The papers for a subscription's next edition: (picks within the budget, matched, considered).

    Considered is what came since the last edition and the subscription has not had, whatever day it is dated.
    """
    now = rt.now()
    last = editions.last(session, subscription.id or 0)
    after = max(last.composed_at - OVERLAP, subscription.since_at) if last else subscription.since_at
    ids = archive.ids(session, first_seen_after=after, feeds=subscription.feeds, not_had_by=subscription.id)
    query = parse_query(subscription.query)
    papers = [Indexed(paper) for paper in archive.load(session, ids, now=now) if not paper.withdrawn]
    muted = feedback.mutes(session, subscription.id or 0)
    matching = {
        indexed.paper.id: indexed for indexed in papers if query.matches(indexed) and not shut_out(indexed, muted)
    }
    late_before = last.composed_at.date() - LATE if last else None
    ordered = feedback.order(
        session, subscription.id or 0, [indexed.paper for indexed in matching.values()], query, now=now
    )
    picks = [
        Pick(
            paper=choice.paper,
            why=why(choice.paper, (*choice.why, *query.explain(matching[choice.paper.id])), now),
            late=(
                late_before is not None
                and choice.paper.announced_on is not None
                and choice.paper.announced_on < late_before
            ),
        )
        for choice in ordered[: subscription.budget]
    ]
    return picks, len(matching), len(papers)


def why(paper: PaperFacts, matched: Sequence[str], now: datetime) -> tuple[str, ...]:
    """The reasons an item carries, at least one."""
    found = (*matched, *reasons(paper, now))
    return found[:MOST_REASONS] or (f"new in {', '.join(paper.feeds) or 'the archive'}",)


def preview(rt: Runtime, subscription_id: int) -> Message:
    """What the subscription's next edition would be, now; nothing is written."""
    with rt.reading() as session:
        subscription, subscriber = subscribers.get_subscription(session, subscription_id)
        now = rt.now()
        picks, matched, considered = choose(rt, session, subscription)
        view = edition_view(
            rt,
            subscription,
            subscriber,
            picks=picks,
            matched=matched,
            considered=considered,
            sources=source_statuses(session, subscription.feeds, since=now - timedelta(days=1)),
            composed_at=now,
            edition_id=None,
            since_you_read=since_you_read(session, subscription_id, now),
        )
        return render(view, message_id=PREVIEW_ID, list_id=list_id(rt, subscription))
