"""Subscribers and what each of them wants."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Text, or_, type_coerce, update
from sqlmodel import Session, col, select

from services.domain.addresses import CHANNELS
from services.domain.errors import NotFound
from services.storage import seals, suppressions
from services.storage.tables import Subscriber, Subscription


def ensure(
    session: Session, *, channel: str, address: str, confirmed: bool, now: datetime, comeback: bool = True
) -> Subscriber:
    """The subscriber with that address; made when new. `confirmed` activates one that was pending, and with
    `comeback` one that had left. One that was wiped is known again, and what it has had."""
    row = find(session, channel=channel, address=address)
    if row is None or not row.address:
        key = seals.new_key(session, channel, address)
        for old in seals.keys_of(session, channel, address):
            suppressions.rename(session, old, key)
        if row is None:
            row = Subscriber(channel=channel, address=address, address_key=key, created_at=now)
            session.add(row)
        row.address, row.address_key = address, key
        if suppressions.find(session, key) is not None:
            row.state = "suppressed"  # known from before: mail to it came back, or was complained of
    if confirmed and row.state in ({"pending", "unsubscribed"} if comeback else {"pending"}):
        row.state, row.confirmed_at = "active", now
    session.flush()
    return row


def find(session: Session, *, channel: str, address: str) -> Subscriber | None:
    """The subscriber with that address, or none; one that was wiped has none by now."""
    keys = seals.keys_of(session, channel, address)
    return session.exec(select(Subscriber).where(col(Subscriber.address_key).in_(keys))).first()


def ids_of(session: Session, address: str) -> list[int]:
    """Who has that address, written with or without its channel (`slack:C012AB3CD`, `you@example.org`)."""
    channel, _, rest = address.partition(":")
    asked = [(channel, rest)] if channel in CHANNELS else [(one, address) for one in CHANNELS]
    keys = [key for name, text in asked for key in seals.keys_of(session, name, text)]
    return [one for one in session.exec(select(Subscriber.id).where(col(Subscriber.address_key).in_(keys))) if one]


def get(session: Session, subscriber_id: int) -> Subscriber:
    """One subscriber, or `NotFound`."""
    row = session.get(Subscriber, subscriber_id)
    if row is None:
        raise NotFound(f"there is no subscriber {subscriber_id}")
    return row


def set_state(session: Session, subscriber_id: int, state: str, **values: Any) -> None:
    """Activate, unsubscribe or suppress a subscriber."""
    session.execute(update(Subscriber).where(col(Subscriber.id) == subscriber_id).values(state=state, **values))


def find_subscription(session: Session, subscriber_id: int, name: str) -> Subscription | None:
    """A subscriber's subscription of that name, or none; also one whose name was wiped."""
    names = [name, *seals.known_as(session, "name", f"{subscriber_id} {name}")]
    return session.exec(
        select(Subscription).where(Subscription.subscriber_id == subscriber_id, col(Subscription.name).in_(names))
    ).first()


def get_subscription(session: Session, subscription_id: int) -> tuple[Subscription, Subscriber]:
    """One subscription with its subscriber, or `NotFound`."""
    subscription = session.get(Subscription, subscription_id)
    subscriber = session.get(Subscriber, subscription.subscriber_id) if subscription else None
    if subscription is None or subscriber is None:
        raise NotFound(
            f"there is no subscription {subscription_id}; `broadsheet subscriptions list` shows those there are"
        )
    return subscription, subscriber


def list_subscriptions(session: Session, *, removed: bool = False) -> list[tuple[Subscription, Subscriber]]:
    """All subscriptions with their subscribers, by id."""
    query = (
        select(Subscription, Subscriber)
        .join(Subscriber, col(Subscriber.id) == col(Subscription.subscriber_id))
        .order_by(col(Subscription.id))
    )
    if not removed:
        query = query.where(Subscription.state != "removed")
    return [(s, p) for s, p in session.exec(query)]


def page(
    session: Session, *, text: str = "", in_addresses: bool = True, before: int | None = None, limit: int = 50
) -> list[tuple[Subscription, Subscriber]]:
    """Subscriptions that were not removed, newest first; `text` is looked for in name and query, and `in_addresses`.

    Of addresses that are sealed only the whole one is found.
    """
    query = (
        select(Subscription, Subscriber)
        .join(Subscriber, col(Subscriber.id) == col(Subscription.subscriber_id))
        .where(Subscription.state != "removed")
    )
    if text:
        found = [
            column.icontains(text, autoescape=True) for column in (col(Subscription.name), col(Subscription.query))
        ]
        if in_addresses:
            found.append(type_coerce(Subscriber.address, Text).icontains(text, autoescape=True))
            found.append(col(Subscriber.address_key).in_(seals.keys_of_whole(session, text)))
        query = query.where(or_(*found))
    if before is not None:
        query = query.where(col(Subscription.id) < before)
    return [(s, p) for s, p in session.exec(query.order_by(col(Subscription.id).desc()).limit(limit))]


def list_due(session: Session, *, now: datetime, limit: int = 1000) -> Sequence[Subscription]:
    """Active subscriptions of active subscribers whose next edition has come."""
    return list(
        session.exec(
            select(Subscription)
            .join(Subscriber, col(Subscriber.id) == col(Subscription.subscriber_id))
            .where(
                Subscription.state == "active", Subscriber.state == "active",
                col(Subscription.next_edition_at) <= now,
            )
            .order_by(col(Subscription.next_edition_at))
            .limit(limit)
        )
    )  # fmt: skip


def advance(session: Session, subscription: Subscription, *, to: datetime) -> bool:
    """Move the next edition; False when another scheduler was first."""
    moved = session.execute(
        update(Subscription)
        .where(
            col(Subscription.id) == subscription.id,
            col(Subscription.next_edition_at) == subscription.next_edition_at,
        )
        .values(next_edition_at=to)
    )
    return bool(moved.rowcount)  # type: ignore[attr-defined]


def update_subscription(session: Session, subscription_id: int, **values: Any) -> None:
    """Set columns of one subscription."""
    session.execute(update(Subscription).where(col(Subscription.id) == subscription_id).values(**values))


def is_paused(subscription: Subscription, today: date) -> bool:
    """Whether a pause holds on the reader's `today`."""
    if subscription.state == "paused":
        return True
    return subscription.paused_until is not None and today < subscription.paused_until
