"""API: subscriptions, and the addresses nothing is sent to."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field, StrictBool

from services.domain.text import clean
from services.domain.users import Actor
from services.pipeline import operate, personal
from services.storage import subscribers, suppressions
from services.storage.tables import Suppression
from workers.web.api.papers import Day
from workers.web.api.shape import Answer, Cursor, Done, Id, Limit, Order, Page, page_of, part
from workers.web.auth import Doer
from workers.web.kit import WebKit, for_eyes, shown_address

router = part("readers")


class SubscriptionOut(Answer):
    """Who gets what, and when."""

    id: int
    name: str
    to: str
    channel: str
    state: str
    subscriber_state: str
    query: str
    feeds: list[str]
    cadence: str
    at: str
    timezone: str
    budget: int
    ranking: str
    news_alone: bool
    paused_until: date | None
    origin: str
    created_at: datetime
    since_at: datetime
    next_edition_at: datetime | None


class NewSubscription(Order):
    """Who is to get what, and when."""

    to: Annotated[str, Field(min_length=1, max_length=2000, description="EMAIL, slack:URL or webhook:URL")]
    name: Annotated[str, Field(max_length=150, description="What the reader sees; else the query")] = ""
    query: Annotated[str, Field(max_length=2000)] = ""
    cadence: Literal["instant", "daily", "weekdays", "weekly", "monthly"] = "daily"
    at: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "08:00"
    timezone: Annotated[str, Field(max_length=60)] = "UTC"
    budget: Annotated[int, Field(strict=True, ge=1, le=500)] = 12
    ranking: Annotated[
        Literal["personal", "trending", "newest", "upvotes", "stars"], Field(description="What comes first")
    ] = "personal"
    news_alone: Annotated[
        StrictBool, Field(description="Also without new papers, when there is news of papers that were in it before")
    ] = False
    feeds: list[Annotated[str, Field(max_length=200)]] = Field(default_factory=list, max_length=100)
    confirmed: Annotated[StrictBool, Field(description="The reader has agreed already")] = False


class Pause(Order):
    """For how long."""

    until: Annotated[Day | None, Field(description="First day with an edition again; else until resumed")] = None


class SuppressionOut(Answer):
    """An address nothing is sent to."""

    key: str
    reason: str
    detail: str
    at: datetime


class NewSuppression(Order):
    """An address nothing is to be sent to any more."""

    to: Annotated[str, Field(min_length=1, max_length=2000, description="EMAIL, slack:URL or webhook:URL")]
    detail: Annotated[str, Field(max_length=500, description="Why")] = ""


class Lift(Order):
    """A suppression, as the list names it."""

    key: Annotated[str, Field(min_length=1, max_length=2100)]


class Person(Order):
    """Whose data."""

    to: Annotated[str, Field(min_length=1, max_length=2000, description="EMAIL, slack:URL or webhook:URL")]


class WipedOut(Answer):
    """What a wipe came to."""

    rows: dict[str, int]
    files: int


def _shown(pair: Any, me: Actor) -> SubscriptionOut:
    s, p = pair
    return SubscriptionOut(
        id=s.id, name=s.name, to=shown_address(p, me), channel=p.channel, state=s.state, subscriber_state=p.state,
        query=s.query, feeds=list(s.feeds), cadence=s.cadence, at=s.at, timezone=s.timezone, budget=s.budget,
        ranking=s.ranking, news_alone=s.news_alone,
        paused_until=s.paused_until, origin=s.origin, created_at=s.created_at, since_at=s.since_at,
        next_edition_at=s.next_edition_at if s.state == "active" else None,
    )  # fmt: skip


@router.get("/subscriptions", summary="Who gets what, newest first")
def list_subscriptions(
    web: WebKit,
    me: Doer,
    text: Annotated[str, Query(max_length=200, description="Part of name or query; for operators, of address")] = "",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[SubscriptionOut]:
    """Removed ones are not listed."""
    with web.rt.reading() as session:
        rows = subscribers.page(
            session, text=clean(text), in_addresses=me.may("operator"), before=cursor, limit=limit + 1
        )
    return Page[SubscriptionOut](**page_of(rows, limit, lambda row: _shown(row, me), lambda row: row[0].id))


@router.get("/subscriptions/{subscription_id}", summary="One subscription")
def get_subscription(web: WebKit, me: Doer, subscription_id: Id) -> SubscriptionOut:
    """Removed ones, too."""
    with web.rt.reading() as session:
        return _shown(subscribers.get_subscription(session, subscription_id), me)


@router.post("/subscriptions", status_code=201, summary="Subscribe somebody")
def add_subscription(web: WebKit, me: Doer, wish: NewSubscription) -> SubscriptionOut:
    """A subscription of that address and name is brought up to date."""
    return _shown(
        operate.add_subscription(
            web.rt,
            me,
            to=wish.to,
            confirmed=wish.confirmed,
            name=wish.name.strip() or None,
            query=wish.query,
            cadence=wish.cadence,
            at=wish.at,
            timezone=wish.timezone,
            budget=wish.budget,
            ranking=wish.ranking,
            news_alone=wish.news_alone,
            feed_names=tuple(wish.feeds),
        ),
        me,
    )


@router.post("/subscriptions/{subscription_id}/pause", summary="Send nothing for a while")
def pause(web: WebKit, me: Doer, subscription_id: Id, order: Pause) -> SubscriptionOut:
    """What is missed is gathered for the edition after the pause."""
    return _shown(operate.pause_subscription(web.rt, me, subscription_id, until=order.until), me)


@router.post("/subscriptions/{subscription_id}/resume", summary="End a pause")
def resume(web: WebKit, me: Doer, subscription_id: Id) -> SubscriptionOut:
    """The next edition comes at its usual hour."""
    return _shown(operate.resume_subscription(web.rt, me, subscription_id), me)


@router.post("/subscriptions/{subscription_id}/confirm", summary="The owner of the address agreed")
def confirm(web: WebKit, me: Doer, subscription_id: Id) -> SubscriptionOut:
    """Nothing is sent to an address before."""
    return _shown(operate.confirm_subscription(web.rt, me, subscription_id), me)


@router.delete("/subscriptions/{subscription_id}", summary="Remove a subscription")
def remove(web: WebKit, me: Doer, subscription_id: Id) -> SubscriptionOut:
    """Its editions stay on record."""
    return _shown(operate.remove_subscription(web.rt, me, subscription_id), me)


@router.post("/subscribers/export", summary="All that is held of one person")
def export_person(web: WebKit, me: Doer, order: Person) -> dict[str, Any]:
    """Rows by subject: subscriptions, editions with their papers, deliveries, feedback, reports, acts."""
    return personal.export(web.rt, me, order.to)


@router.post("/subscribers/wipe", summary="Wipe all that tells who a person is, or what they read")
def wipe_person(web: WebKit, me: Doer, order: Person) -> WipedOut:
    """It cannot be taken back. A keyed hash of the address stays: nobody gets a paper twice who comes back."""
    return WipedOut.model_validate(personal.wipe(web.rt, me, order.to))


@router.get("/suppressions", summary="Addresses nothing is sent to, newest first")
def list_suppressions(
    web: WebKit,
    me: Doer,
    text: Annotated[str, Query(max_length=200, description="Part of reason; for operators, of address or report")] = "",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[SuppressionOut]:
    """Whoever may only look sees how addresses begin."""
    with web.rt.reading() as session:
        rows = suppressions.page(
            session, text=clean(text), in_addresses=me.may("operator"), before=cursor, limit=limit + 1
        )

    def item(row: Suppression) -> SuppressionOut:
        said = for_eyes(row.detail, me)
        return SuppressionOut(key=for_eyes(row.address_key, me), reason=row.reason, detail=said, at=row.at)

    return Page[SuppressionOut](**page_of(rows, limit, item, lambda row: row.id))


@router.post("/suppressions", status_code=201, summary="Send nothing to an address any more")
def suppress(web: WebKit, me: Doer, order: NewSuppression) -> Done:
    """Whoever subscribes it."""
    return Done(done=True, about=operate.suppress(web.rt, me, order.to, detail=order.detail))


@router.post("/suppressions/lift", summary="Write to an address again")
def lift(web: WebKit, me: Doer, order: Lift) -> Done:
    """Its reports are forgotten."""
    operate.lift(web.rt, me, order.key)
    return Done(done=True, about=order.key)
