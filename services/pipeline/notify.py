"""Notify: an edition is composed once, and its delivery planned with it.

    due → its feeds' batches are in, or the deadline has come → match, rank, budget
        → one transaction: edition, items, delivery, the job that sends            (who gets what: decided)

Sending is `pipeline.send`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlmodel import Session

from services.digests import render
from services.domain.addresses import parse_address
from services.domain.deliveries import expires_at, message_id
from services.domain.errors import NotYet
from services.domain.jobs import Claim
from services.domain.messages import Message, Receipt
from services.domain.schedule import period_length
from services.pipeline.choose import Chosen, choose
from services.pipeline.messages import PREVIEW_ID, list_id, mail_domain, status_to_json
from services.pipeline.send import send_job
from services.pipeline.sentences import PATIENCE, ask_for, sentences_for
from services.pipeline.views import edition_view, local_day, since_you_read, source_statuses
from services.pipeline.waiting import in_words, waited_for
from services.runtime import Runtime
from services.storage import deliveries, editions, subscribers
from services.storage.tables import Subscriber, Subscription

log = structlog.get_logger(__name__)

HELD = "due before the database was put back from a backup: it may have been sent then"

LOOK_AGAIN = timedelta(minutes=2)
"""How soon an edition that waits for its feeds looks again."""


def compose_edition(rt: Runtime, claim: Claim) -> None:
    """Compose one period of one subscription: payload `subscription_id`, `period`, `due_at`, and `now` when a
    person asked for it at once (then nothing is waited for)."""
    due_at = datetime.fromisoformat(claim.payload["due_at"])
    held_at = claim.payload.get("held_at")  # see `restored`: composed to be known as told, not to be sent
    patience = timedelta(minutes=rt.settings.digest_wait_minutes)
    begun_at = datetime.fromisoformat(held_at) if held_at else due_at
    hurry = bool(claim.payload.get("now")) or rt.now() >= begun_at + patience
    with rt.reading() as session:
        subscription, subscriber = subscribers.get_subscription(session, claim.payload["subscription_id"])
    waiting = [] if hurry else waited_for(
        rt.engine, tuple(subscription.feeds), due_at=due_at, until=begun_at + patience, now=rt.now()
    )  # fmt: skip
    if waiting:
        raise NotYet(f"waiting for {in_words(waiting)}", retry_after=LOOK_AGAIN)
    rt.checkpoint("compose_edition.ready")
    chosen = _with_sentences(rt, claim, subscription)
    with rt.step(claim) as step:
        if subscription.state in {"removed", "pending"} or subscriber.state != "active":
            log.info("edition.skipped", why=f"{subscription.state}/{subscriber.state}")
            return
        if subscribers.is_paused(subscription, local_day(subscription.timezone, step.now)):
            log.info("edition.skipped", why="paused")
            return
        edition_id, items = plan_edition(
            rt, step.session, subscription, subscriber, claim.payload["period"], due_at, chosen=chosen
        )
        if edition_id is not None and items and held_at:
            deliveries.hold(step.session, now=step.now, detail=HELD, edition_id=edition_id)
        elif edition_id is not None and items:
            step.add([send_job(edition_id)])


def _with_sentences(rt: Runtime, claim: Claim, subscription: Subscription) -> Chosen | None:
    """What the edition will hold, once a language model was asked for a sentence of each paper, while no transaction is
    open; `None` where none is asked. What comes meanwhile is in the next edition, which looks back that far."""
    slow = timedelta(seconds=rt.settings.fetch_deadline_s) + PATIENCE
    if not rt.settings.llm_url or claim.lease_until - rt.now() < slow:
        return None
    with rt.reading() as session:
        chosen = choose(rt, session, subscription)
    ask_for(rt, [pick.paper for pick in chosen.picks])
    return chosen


def plan_edition(
    rt: Runtime, session: Session, subscription: Subscription, subscriber: Subscriber, period: str, due_at: datetime,
    *, chosen: Chosen | None = None,
) -> tuple[int | None, int]:  # fmt: skip
    """Decide who gets what, and write it: the edition, its items, its delivery. Returns (edition id, items).

    `chosen` is what was chosen a moment ago; without it that is done here. The id is `None` when that period has its
    edition already. An edition without papers is recorded as skipped, unless
    there is news of papers the subscription has had and its reader wants that alone: then the news are the items.
    """
    now = rt.now()
    chosen = chosen or choose(rt, session, subscription)
    news = () if chosen.picks else _news_alone(session, subscription, now)
    statuses = source_statuses(session, subscription.feeds, since=now - period_length(subscription.cadence), now=now)
    edition_id = editions.add(
        session,
        {
            "subscription_id": subscription.id,
            "period": period,
            "composed_at": now,
            "due_at": due_at,
            "since_at": chosen.since_at,
            "matched": chosen.matched,
            "considered": chosen.considered,
            "sources": [status_to_json(status) for status in statuses],
            "skipped": None if chosen.picks or news else "empty",
        },
    )
    if edition_id is None:
        log.info("edition.known", subscription=subscription.id, period=period)
        return None, 0
    if not chosen.picks and not news:
        log.info("edition.empty", subscription=subscription.id, period=period, considered=chosen.considered)
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
                "again": pick.again,
            }
            for number, pick in enumerate(chosen.picks, 1)
        ],
    )
    plan_delivery(rt, session, edition_id, subscription, subscriber, due_at)
    log.info(
        "edition.composed", subscription=subscription.id, edition=edition_id, period=period, items=len(chosen.picks),
        news=len(news),
    )  # fmt: skip
    return edition_id, len(chosen.picks) or len(news)


def _news_alone(session: Session, subscription: Subscription, now: datetime) -> tuple[str, ...]:
    """What became of papers the subscription had since its last edition, where that is worth an edition to its reader.

    An alert is about a new paper, so there is none without.
    """
    if not subscription.news_alone or subscription.cadence == "instant":
        return ()
    return since_you_read(session, subscription.id or 0, now)


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
            "parts": {},
            "planned_at": now,
            # An edition that waited for its feeds, or that a person asked for, is given its own half day.
            "expires_at": max(expires_at(due_at, subscription.cadence), now + timedelta(hours=12)),
            "updated_at": now,
        },
    )


def preview(rt: Runtime, subscription_id: int) -> Message:
    """What the subscription's next edition would be, now; nothing is written."""
    with rt.reading() as session:
        subscription, subscriber = subscribers.get_subscription(session, subscription_id)
        now = rt.now()
        chosen = choose(rt, session, subscription)
        said = sentences_for(rt, session, [pick.paper for pick in chosen.picks])
        view = edition_view(
            rt,
            subscription,
            subscriber,
            picks=[replace(pick, sentence=said.get(pick.paper.id)) for pick in chosen.picks],
            matched=chosen.matched,
            considered=chosen.considered,
            since_at=chosen.since_at,
            sources=source_statuses(session, subscription.feeds, since=now - timedelta(days=1), now=now),
            composed_at=now,
            edition_id=None,
            since_you_read=since_you_read(session, subscription_id, now),
        )
        folder = rt.settings.template_folder
        return render(view, message_id=PREVIEW_ID, list_id=list_id(rt, subscription), folder=folder)


def send_test(rt: Runtime, subscription_id: int, to: str) -> tuple[Message, Receipt]:
    """Send what the subscription's next edition would be to an address, marked as a test; nothing is written.

    The links in it are the reader's own, so only an operator may ask for it. Raises `InvalidInput` for an address that
    cannot be used, `DeliveryError` when it was not taken.
    """
    address = parse_address(to, allowed_hosts=rt.settings.private_hosts)
    message = preview(rt, subscription_id)
    now = rt.now()
    unique = message_id(f"test {subscription_id} {to} {now.isoformat()}", rt.secret, mail_domain(rt))
    # No unsubscribe header: a mail program's button must not end the subscription this is only a look at.
    kept = {name: value for name, value in message.headers.items() if not name.startswith("List-Unsubscribe")}
    test = replace(message, message_id=unique, subject=f"[Test] {message.subject}", headers=kept)
    channel = rt.channel(address.channel, address.target)
    return test, channel.send(test, address.target, f"test-{subscription_id}-{now:%Y%m%d%H%M%S}")
