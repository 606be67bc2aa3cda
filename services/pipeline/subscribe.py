"""Subscribe: who receives, what, and when. The same for the command line, the catalogue and the web form."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlmodel import Session

from config.catalogue import CADENCES, Catalogue
from services.domain.addresses import parse_address
from services.domain.errors import InvalidInput
from services.domain.queries import parse_query
from services.domain.ranking import RANKINGS
from services.domain.schedule import next_edition_at, parse_at, parse_timezone, period_length
from services.runtime import Runtime
from services.storage import feeds, subscribers
from services.storage.tables import Subscriber, Subscription


def subscribe(
    rt: Runtime,
    session: Session,
    *,
    to: str,
    name: str | None = None,
    query: str = "",
    cadence: str = "daily",
    at: str = "08:00",
    timezone: str = "UTC",
    budget: int = 12,
    ranking: str = "personal",
    news_alone: bool = False,
    feed_names: tuple[str, ...] = (),
    confirmed: bool = False,
    origin: str = "added",
) -> tuple[Subscription, Subscriber]:
    """Add a subscription (or bring the one of that name up to date); `InvalidInput` says what cannot be used."""
    address = parse_address(to, allowed_hosts=rt.settings.private_hosts)
    parse_query(query, rt.now().date())
    if cadence not in CADENCES:
        raise InvalidInput(f"cadence {cadence!r} is none of {', '.join(CADENCES)}")
    parse_at(at)
    parse_timezone(timezone)
    if not 1 <= budget <= 500:
        raise InvalidInput("the budget is a number of papers from 1 to 500")
    if ranking not in RANKINGS:
        raise InvalidInput(f"ranking {ranking[:40]!r} is none of {', '.join(RANKINGS)}")
    for feed in feed_names:
        feeds.get(session, feed)
    now = rt.now()
    subscriber = subscribers.ensure(
        session, channel=address.channel, address=address.target, confirmed=confirmed, now=now,
        comeback=origin == "added",
    )  # fmt: skip
    assert subscriber.id is not None
    name = name or (query if query else "Daily Papers")
    wanted: dict[str, Any] = {
        "query": query, "feeds": list(feed_names), "cadence": cadence, "at": at, "timezone": timezone,
        "budget": budget, "ranking": ranking, "news_alone": news_alone,
    }  # fmt: skip
    subscription = subscribers.find_subscription(session, subscriber.id, name)
    if subscription is None:
        subscription = Subscription(
            subscriber_id=subscriber.id, name=name, origin=origin, created_at=now,
            since_at=now - max(period_length(cadence), timedelta(days=1)),
            next_edition_at=first_edition_at(now, cadence, at, timezone), **wanted,
        )  # fmt: skip
        session.add(subscription)
    else:
        moved = (subscription.cadence, subscription.at, subscription.timezone) != (cadence, at, timezone)
        subscription.name = name  # where it was wiped
        for key, value in wanted.items():
            setattr(subscription, key, value)
        if subscription.state == "removed" and (origin == "added" or subscription.origin == "retired"):
            subscription.state, subscription.origin = "active", origin
        if moved or subscription.next_edition_at is None:
            subscription.next_edition_at = first_edition_at(now, cadence, at, timezone)
    session.flush()
    return subscription, subscriber


def first_edition_at(now: datetime, cadence: str, at: str, timezone: str) -> datetime:
    """The first hour of delivery after now."""
    return next_edition_at(cadence=cadence, at=at, timezone=timezone, after=now)


def pausing(subscription: Subscription, until: date | None, now: datetime) -> dict[str, Any]:
    """What a pause changes: until that day, or until it is ended. `InvalidInput` for a day that is not to come."""
    _must_be_there(subscription)
    if until is not None and until <= now.date():
        raise InvalidInput(f"{until} is not in the future")
    return {"state": "active" if until else "paused", "paused_until": until}


def resuming(subscription: Subscription, now: datetime) -> dict[str, Any]:
    """What the end of a pause changes: the next edition comes at its usual hour."""
    _must_be_there(subscription)
    following = first_edition_at(now, subscription.cadence, subscription.at, subscription.timezone)
    return {"state": "active", "paused_until": None, "next_edition_at": following}


def _must_be_there(subscription: Subscription) -> None:
    if subscription.state == "removed":
        raise InvalidInput(f"subscription {subscription.id} was removed; add it again")


def sync_catalogue(rt: Runtime, session: Session, catalogue: Catalogue) -> None:
    """Make the rows of origin `catalogue` what the file says, feeds and digests alike.

    Whoever writes an address into the operator's own file vouches for it: no opt-in is asked for.
    """
    feeds.sync_catalogue(session, catalogue.feeds, now=rt.now())
    kept: set[int] = set()
    for spec in catalogue.digests:
        address = parse_address(spec.to, allowed_hosts=rt.settings.private_hosts)
        reader = subscribers.find(session, channel=address.channel, address=address.target)
        if reader is not None and not reader.address:
            continue  # wiped since: a line that was left in the file is no wish to come back
        subscription, _ = subscribe(
            rt, session, to=spec.to, name=spec.name, query=spec.query, cadence=spec.cadence, at=spec.at,
            timezone=spec.timezone, budget=spec.budget, ranking=spec.ranking, feed_names=spec.feeds, confirmed=True,
            origin="catalogue", news_alone=spec.news_alone,
        )  # fmt: skip
        kept.add(subscription.id or 0)
    for subscription, _ in subscribers.list_subscriptions(session):
        if subscription.origin == "catalogue" and subscription.id not in kept:
            # Told apart from one its reader left, which the file must not bring back.
            subscribers.update_subscription(session, subscription.id or 0, state="removed", origin="retired")
