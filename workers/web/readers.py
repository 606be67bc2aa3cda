"""Readers: subscribing with double opt-in. What they do by the links of their digests is in `links` and `feedback`."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Annotated

import structlog
from fastapi import BackgroundTasks, Form, Request
from sqlmodel import Session
from starlette.responses import HTMLResponse, Response

from services.domain.addresses import parse_address
from services.domain.errors import InvalidInput
from services.domain.schedule import period_length
from services.domain.tokens import make_token
from services.pipeline import drain
from services.pipeline.confirmation import CONFIRM_HOURS
from services.pipeline.opt_in import PENDING, name_of, opt_in_job
from services.pipeline.subscribe import first_edition_at
from services.runtime import Runtime
from services.storage import reports, subscribers
from workers.web.auth import guarded
from workers.web.kit import Web, WebKit
from workers.web.links import (
    CADENCE_NAMES,
    BadLink,
    Bearer,
    Wish,
    bearer,
    opened,
    own_form,
    reader_page,
    zones,
)
from workers.web.listing import LOOK_BACK, find
from workers.web.security import client_of

log = structlog.get_logger(__name__)

router = guarded(include_in_schema=False)

PREVIEWED = 60
"""Papers read of what a query would have brought, where only reading tells whether they match."""
LEAST_FORM_AGE_S = 1.0
"""Nobody fills in the form faster; programs do."""


# -- subscribing -----------------------------------------------------------------------------------------------


@router.get("/subscribe")
def subscribe_form(request: Request, web: WebKit, q: str = "") -> Response:
    """The form."""
    return _subscribe_page(request, web, Wish(query=q[:2_000]))


def _subscribe_page(
    request: Request, web: Web, wish: Wish, *, email: str = "", error: str = "", status: int = 200
) -> Response:
    return web.page(
        request, "subscribe.html", status=status, wish=wish, email=email, error=error, cadences=CADENCE_NAMES,
        zones=zones(), csrf=web.forms.mark("subscribe"),
    )  # fmt: skip


@router.get("/subscribe/preview")
def preview(request: Request, web: WebKit, query: str = "") -> Response:
    """What a query would have brought lately: a fragment for the form."""
    wait = web.searches.take(client_of(request))
    if wait:
        return HTMLResponse("", 429, {"Retry-After": str(int(wait) + 1)})
    try:
        with web.rt.reading() as session:
            until = reports.newest_day(session) or web.rt.now().astimezone(UTC).date()
            since = until - LOOK_BACK
            found = find(web.rt, session, q=query[:2_001], since=since, until=until, sort="newest", limit=PREVIEWED)
    except InvalidInput as error:
        return web.page(request, "_preview.html", problem=str(error), found=None, query=query, days=LOOK_BACK.days)
    return web.page(request, "_preview.html", problem="", found=found, query=query, days=LOOK_BACK.days)


@router.post("/subscribe")
def ask(
    request: Request, web: WebKit, tasks: BackgroundTasks, email: Annotated[str, Form()] = "",
    query: Annotated[str, Form()] = "", cadence: Annotated[str, Form()] = "daily", at: Annotated[str, Form()] = "08:00",
    timezone: Annotated[str, Form()] = "UTC", budget: Annotated[str, Form()] = "12", csrf: Annotated[str, Form()] = "",
    news_alone: Annotated[str, Form()] = "", website: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Keep the wish, to be written down as pending and confirmed. The answer says nothing about the address."""
    age = own_form(request, web, csrf, "subscribe")
    wish = Wish(query, cadence, at, timezone, budget, news_alone=bool(news_alone))
    try:
        wish = wish.checked(web.rt.now().date())
        address = parse_address(email)
        if address.channel != "email":
            raise InvalidInput("Write a mail address such as ada@example.org.")
    except InvalidInput as error:
        return _subscribe_page(request, web, wish, email=email[:254], error=str(error), status=400)
    client = client_of(request)
    wait = web.subscribes.take(client) or web.all_subscribes.take("all")
    if wait:
        answer = web.problem(
            request, 429, "Too many requests", f"Please try again in {max(1, round(wait / 60))} minutes."
        )
        answer.headers["Retry-After"] = str(int(wait) + 1)
        return answer
    if website or age < LEAST_FORM_AGE_S:
        log.info("subscribe.ignored", client=client)  # a program filled it in: it learns nothing from the answer
    else:
        kept = {"query": wish.query, "cadence": wish.cadence, "at": wish.at, "timezone": wish.timezone,
                "budget": int(wish.budget), "news_alone": wish.news_alone}  # fmt: skip
        for hint in web.rt.add_jobs([opt_in_job(web.rt, address.target, kept)]):
            tasks.add_task(drain.run_next, web.rt, job_id=hint.job_id)  # what a worker may have begun already
    answer = web.page(request, "asked.html", private=True, email=address.target, hours=CONFIRM_HOURS)
    answer.background = tasks  # the answer takes as long for an address that is known as for one that is not
    return answer


# -- confirming ------------------------------------------------------------------------------------------------


@router.get("/confirm/{token}")
def confirm_form(request: Request, web: WebKit, token: str) -> Response:
    """What was asked for, and a button."""
    return reader_page(web, request, "confirm.html", opened(web, "confirm", token), token, "confirm")


@router.post("/confirm/{token}")
def confirm(request: Request, web: WebKit, token: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Activate the subscription."""
    own_form(request, web, csrf, "confirm", token)
    with web.rt.writing() as session:
        who = activate(web.rt, session, bearer(web.rt, session, "confirm", token))
    preferences = make_token(web.rt.secret, "preferences", who.subscription.id or 0, who.subscriber.token_version)
    return reader_page(web, request, "confirmed.html", who, token, "confirm", preferences=preferences)


def activate(rt: Runtime, session: Session, who: Bearer) -> Bearer:
    """The reader has confirmed: a pending subscription becomes active, or changes the one there is for that query.

    Doing it again changes nothing. A link of before an unsubscribing does not undo it.
    """
    subscription, subscriber = who.subscription, who.subscriber
    name = name_of(subscription)
    present = subscribers.find_subscription(session, subscriber.id or 0, name)
    if subscription.state != PENDING:
        kept = present or subscription  # confirmed before: then it may have gone into the one there was
        if kept.state == "removed":
            raise BadLink("this subscription has ended; subscribe again")
        return Bearer(kept, subscriber)
    if subscriber.state == "suppressed":
        raise BadLink("nothing can be sent to this address; ask the people who run this service")
    now = rt.now()
    first = first_edition_at(now, subscription.cadence, subscription.at, subscription.timezone)
    if present is not None and present.id is not None:
        subscribers.update_subscription(
            session, present.id, name=name, query=subscription.query, cadence=subscription.cadence, at=subscription.at,
            timezone=subscription.timezone, budget=subscription.budget, news_alone=subscription.news_alone,
            state="active", paused_until=None, next_edition_at=first,
        )  # fmt: skip
        subscribers.update_subscription(session, subscription.id or 0, state="removed", next_edition_at=None)
        kept_id = present.id
    else:
        kept_id = subscription.id or 0
        subscribers.update_subscription(
            session, kept_id, state="active", name=name, next_edition_at=first,
            since_at=now - max(period_length(subscription.cadence), timedelta(days=1)),
        )  # fmt: skip
    if subscriber.state != "active":
        subscribers.set_state(session, subscriber.id or 0, "active", confirmed_at=now)
    session.expire_all()
    log.info("subscription.confirmed", subscription=kept_id)
    return Bearer(*subscribers.get_subscription(session, kept_id))
