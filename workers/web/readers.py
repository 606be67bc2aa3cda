"""Readers: subscribing with double opt-in, and what a signed link from a digest lets its reader do.

A GET changes nothing here, whoever follows the link: mail scanners open every one of them. Only the POST of
the page's button acts. Readers get no cookie.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, available_timezones

import structlog
from fastapi import APIRouter, BackgroundTasks, Form, Request
from sqlmodel import Session
from starlette.responses import HTMLResponse, Response

from services.domain.addresses import parse_address
from services.domain.errors import BroadsheetError, InvalidInput, NotFound
from services.domain.queries import parse_query
from services.domain.schedule import CADENCES, parse_at, parse_timezone, period_length
from services.domain.text import clean
from services.domain.tokens import make_token, read_token
from services.pipeline.subscribe import first_edition_at, subscribe
from services.pipeline.views import CADENCE_WORDS
from services.runtime import Runtime
from services.storage import reports, service, subscribers
from services.storage.tables import Gate, Subscriber, Subscription
from workers.web.confirmation import CONFIRM_HOURS, confirmation_message
from workers.web.kit import Web, WebKit
from workers.web.listing import LOOK_BACK, find
from workers.web.security import client_of, from_own_page

log = structlog.get_logger(__name__)

router = APIRouter(include_in_schema=False)

MAIL_PAUSE = timedelta(hours=24)
"""At most one confirmation in this time to one address, and `MAILS_EVER` in all."""
MAILS_EVER = 3
PENDING = "pending"
"""A subscription that waits for its reader's confirmation; the schedule looks at `active` ones only."""
_WAITING = " · to be confirmed"
LONGEST_PAUSE = timedelta(days=366)
_PAUSES = (("a week", 7), ("two weeks", 14), ("a month", 30))
LEAST_FORM_AGE_S = 1.0
"""Nobody fills in the form faster; programs do."""

CADENCE_NAMES = {
    "daily": "Every day", "weekdays": "Monday to Friday", "weekly": "Every Monday",
    "monthly": "On the first of the month", "instant": "As soon as a paper matches",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wish:
    """What a form says a reader wants."""

    query: str = ""
    cadence: str = "daily"
    at: str = "08:00"
    timezone: str = "UTC"
    budget: str = "12"

    def checked(self) -> Wish:
        """The same, tidied; raises `InvalidInput` with what cannot be used."""
        tidy = replace(
            self, query=clean(self.query, limit=2_100), at=self.at.strip()[:5], timezone=self.timezone.strip(),
            budget=self.budget.strip(),
        )  # fmt: skip
        parse_query(tidy.query)
        if tidy.cadence not in CADENCES:
            raise InvalidInput("Choose how often the digest comes.")
        parse_at(tidy.at)
        parse_timezone(tidy.timezone)
        if not (tidy.budget.isdecimal() and tidy.budget.isascii() and 1 <= int(tidy.budget[:6]) <= 500):
            raise InvalidInput("The number of papers is from 1 to 500.")
        return tidy


@cache
def zones() -> Sequence[str]:
    """Time zones to choose from, as people know them."""
    unwanted = ("Etc/", "posix", "right", "SystemV/")
    return ["UTC", *sorted(z for z in available_timezones() if "/" in z and not z.startswith(unwanted))]


def _own_form(request: Request, web: Web, mark: str, purpose: str, bound_to: str = "") -> float | None:
    """The age in seconds of the form that was sent; `None` when it is not one of ours."""
    if not from_own_page(request, web.rt.settings.public_url):
        return None
    return web.forms.age(purpose, mark, bound_to)


def _stale(web: Web, request: Request) -> Response:
    return web.problem(
        request, 403, "This form has expired", "Load the page again and repeat what you did; nothing was changed."
    )


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
            found = find(web.rt, session, day=None, q=query[:2_001], since=since, until=until, sort="newest")
    except InvalidInput as error:
        return web.page(request, "_preview.html", problem=str(error), found=None, query=query, days=LOOK_BACK.days)
    return web.page(request, "_preview.html", problem="", found=found, query=query, days=LOOK_BACK.days)


@router.post("/subscribe")
def ask(
    request: Request, web: WebKit, tasks: BackgroundTasks, email: Annotated[str, Form()] = "",
    query: Annotated[str, Form()] = "", cadence: Annotated[str, Form()] = "daily", at: Annotated[str, Form()] = "08:00",
    timezone: Annotated[str, Form()] = "UTC", budget: Annotated[str, Form()] = "12", csrf: Annotated[str, Form()] = "",
    website: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Take the wish down as pending and send a confirmation. The answer says nothing about the address."""
    age = _own_form(request, web, csrf, "subscribe")
    if age is None:
        return _stale(web, request)
    wish = Wish(query, cadence, at, timezone, budget)
    try:
        wish = wish.checked()
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
        mail = take_down(web.rt, address.target, wish)
        if mail is not None:
            tasks.add_task(send_confirmation, web.rt, *mail)
    answer = web.page(request, "asked.html", private=True, email=address.target, hours=CONFIRM_HOURS)
    answer.background = tasks  # the answer takes as long whether there is something to send or not
    return answer


def take_down(rt: Runtime, address: str, wish: Wish) -> tuple[str, int, int] | None:
    """Write the wish as pending; returns (address, subscription, token version) when a mail may go out.

    What the address receives already stays as it is: anybody can type it.
    """
    with rt.writing() as session:
        now = rt.now()
        subscription, subscriber = subscribe(
            rt, session, to=address, name=(wish.query[:150] or "Daily Papers") + _WAITING, query=wish.query,
            cadence=wish.cadence, at=wish.at, timezone=wish.timezone, budget=int(wish.budget), confirmed=False,
            origin="web",
        )  # fmt: skip
        subscription.state = PENDING
        session.flush()
        if subscriber.state == "suppressed":
            log.info("subscribe.suppressed", subscriber=subscriber.id)
            return None
        name = confirmation_gate(rt, address)
        gate = session.get(Gate, name)
        if gate is not None and (gate.free_at > now or gate.calls >= MAILS_EVER):
            return None
        if service.enter_gate(session, name, interval=MAIL_PAUSE, now=now) is not None:
            return None
        assert subscription.id is not None
        return address, subscription.id, subscriber.token_version


def confirmation_gate(rt: Runtime, address: str) -> str:
    """The gate that spaces the confirmations to one address; it does not name the address."""
    return "confirm:" + hmac.new(rt.secret.encode(), address.lower().encode(), "sha256").hexdigest()[:24]


def send_confirmation(rt: Runtime, address: str, subscription_id: int, version: int) -> None:
    """Send the mail. When it could not be sent, asking again is allowed at once."""
    url = rt.url(f"/confirm/{quote(make_token(rt.secret, 'confirm', subscription_id, version), safe='')}")
    now = rt.now()
    try:
        message = confirmation_message(
            url=url, subscription_id=subscription_id, version=version, mail_from=rt.settings.mail_from,
            secret=rt.secret, now=now,
        )  # fmt: skip
        receipt = rt.channel("email", address).send(message, address, f"confirm-{subscription_id}-{now:%Y%m%d%H%M%S}")
    except BroadsheetError as error:
        log.warning("confirmation.failed", subscription=subscription_id, error=str(error))
        with rt.writing() as session:
            gate = session.get(Gate, confirmation_gate(rt, address))
            if gate is not None:
                gate.free_at, gate.calls = now, max(0, gate.calls - 1)
        return
    log.info("confirmation.sent", subscription=subscription_id, code=receipt.code)


# -- links from mails ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a link stands for."""

    subscription: Subscription
    subscriber: Subscriber

    @property
    def words(self) -> str:
        """How often and when."""
        s = self.subscription
        said = CADENCE_WORDS.get(s.cadence, s.cadence).format(at=s.at)
        return said if s.cadence == "instant" else f"{said}, {s.timezone}"


def _bearer(rt: Runtime, session: Session, purpose: str, token: str, *, max_age: timedelta | None = None) -> Bearer:
    """Whom a token stands for; `InvalidInput` when it is forged, too old, for another act, or no longer valid."""
    subscription_id, version = read_token(rt.secret, purpose, token[:500], max_age=max_age)
    try:
        subscription, subscriber = subscribers.get_subscription(session, subscription_id)
    except NotFound as error:
        raise InvalidInput("this link is not valid any more; what it was for is gone") from error
    if version != subscriber.token_version:
        raise InvalidInput("this link is not valid any more; use the one in the newest mail")
    return Bearer(subscription, subscriber)


def _bad_link(web: Web, request: Request, error: InvalidInput) -> Response:
    said = str(error)
    return web.problem(
        request, 404, "This link cannot be used", f"{said[:1].upper()}{said[1:]}. Copy it whole from your newest mail."
    )


@router.get("/confirm/{token}")
def confirm_form(request: Request, web: WebKit, token: str) -> Response:
    """What was asked for, and a button."""
    try:
        with web.rt.reading() as session:
            who = _bearer(web.rt, session, "confirm", token, max_age=timedelta(hours=CONFIRM_HOURS))
    except InvalidInput as error:
        return _bad_link(web, request, error)
    return _reader_page(web, request, "confirm.html", who, token, "confirm")


@router.post("/confirm/{token}")
def confirm(request: Request, web: WebKit, token: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Activate the subscription."""
    if _own_form(request, web, csrf, "confirm", token) is None:
        return _stale(web, request)
    try:
        with web.rt.writing() as session:
            who = _bearer(web.rt, session, "confirm", token, max_age=timedelta(hours=CONFIRM_HOURS))
            who = activate(web.rt, session, who)
    except InvalidInput as error:
        return _bad_link(web, request, error)
    preferences = make_token(web.rt.secret, "preferences", who.subscription.id or 0, who.subscriber.token_version)
    return _reader_page(web, request, "confirmed.html", who, token, "confirm", preferences=preferences)


def activate(rt: Runtime, session: Session, who: Bearer) -> Bearer:
    """The reader has confirmed: a pending subscription becomes active, or changes the one there is for that query.

    Doing it again changes nothing. A link of before an unsubscribing does not undo it.
    """
    subscription, subscriber = who.subscription, who.subscriber
    name = subscription.name.removesuffix(_WAITING)
    present = subscribers.find_subscription(session, subscriber.id or 0, name)
    if subscription.state != PENDING:
        kept = present or subscription  # confirmed before: then it may have gone into the one there was
        if kept.state == "removed":
            raise InvalidInput("this subscription has ended; subscribe again")
        return Bearer(kept, subscriber)
    if subscriber.state == "suppressed":
        raise InvalidInput("nothing can be sent to this address; ask the people who run this service")
    now = rt.now()
    first = first_edition_at(now, subscription.cadence, subscription.at, subscription.timezone)
    if present is not None and present.id is not None:
        subscribers.update_subscription(
            session, present.id, query=subscription.query, cadence=subscription.cadence, at=subscription.at,
            timezone=subscription.timezone, budget=subscription.budget, state="active", paused_until=None,
            next_edition_at=first,
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


@router.get("/unsubscribe/{token}")
def unsubscribe_form(request: Request, web: WebKit, token: str) -> Response:
    """What would end, and a button."""
    try:
        with web.rt.reading() as session:
            who = _bearer(web.rt, session, "unsubscribe", token)
    except InvalidInput as error:
        return _bad_link(web, request, error)
    done = who.subscription.state == "removed"
    return _reader_page(web, request, "unsubscribe.html", who, token, "unsubscribe", done=done)


@router.post("/unsubscribe/{token}")
def unsubscribe(request: Request, web: WebKit, token: str) -> Response:
    """End the subscription. Mail programs post here by themselves (RFC 8058), with no cookie and no form of ours:
    the token alone decides. Always the same answer, 200, however often."""
    try:
        with web.rt.writing() as session:
            who = _bearer(web.rt, session, "unsubscribe", token)
            remove(session, who)
    except InvalidInput as error:
        return _bad_link(web, request, error)
    return _reader_page(web, request, "unsubscribe.html", who, token, "unsubscribe", done=True)


def remove(session: Session, who: Bearer) -> None:
    """Nothing more comes of this subscription; after the last one nothing more goes to the address at all."""
    if who.subscription.state == "removed":
        return
    subscribers.update_subscription(session, who.subscription.id or 0, state="removed", next_edition_at=None)
    left = [
        s
        for s, p in subscribers.list_subscriptions(session)
        if p.id == who.subscriber.id and s.id != who.subscription.id and s.state != PENDING
    ]
    if not left and who.subscriber.state == "active":
        subscribers.set_state(session, who.subscriber.id or 0, "unsubscribed")
    log.info("subscription.removed", subscription=who.subscription.id, by="reader")


@router.get("/pause/{token}")
def pause_form(request: Request, web: WebKit, token: str) -> Response:
    """Until when, and a button."""
    try:
        with web.rt.reading() as session:
            who = _bearer(web.rt, session, "pause", token)
    except InvalidInput as error:
        return _bad_link(web, request, error)
    return _pause_page(web, request, who, token)


def _pause_page(
    web: Web, request: Request, who: Bearer, token: str, *, saved: bool = False, error: str = "", status: int = 200
) -> Response:
    today = local_today(web.rt.now(), who)
    until = who.subscription.paused_until
    return _reader_page(
        web, request, "pause.html", who, token, "pause", status=status, today=today, saved=saved, error=error,
        choices=[(words, today + timedelta(days=n)) for words, n in _PAUSES], latest=today + LONGEST_PAUSE,
        until=until if until and until > today else None,
    )  # fmt: skip


@router.post("/pause/{token}")
def pause(
    request: Request, web: WebKit, token: str, until: Annotated[str, Form()] = "", csrf: Annotated[str, Form()] = ""
) -> Response:
    """Pause until the day given, or go on at once when none is."""
    if _own_form(request, web, csrf, "pause", token) is None:
        return _stale(web, request)
    try:
        with web.rt.writing() as session:
            who = _bearer(web.rt, session, "pause", token)
            if who.subscription.state not in {"active", "paused"}:
                raise InvalidInput("this subscription has ended; there is nothing to pause")
            today = local_today(web.rt.now(), who)
            try:
                day = date.fromisoformat(until) if until else None
            except ValueError:
                day = today
            if day is not None and not today < day <= today + LONGEST_PAUSE:
                return _pause_page(
                    web, request, who, token, status=400, error="Choose a day after today, within a year from now."
                )
            subscribers.update_subscription(session, who.subscription.id or 0, paused_until=day, state="active")
            session.expire_all()
            who = Bearer(*subscribers.get_subscription(session, who.subscription.id or 0))
    except InvalidInput as error:
        return _bad_link(web, request, error)
    return _pause_page(web, request, who, token, saved=True)


def local_today(now: datetime, who: Bearer) -> date:
    """The reader's date."""
    return now.astimezone(ZoneInfo(who.subscription.timezone)).date()


@router.get("/preferences/{token}")
def preferences_form(request: Request, web: WebKit, token: str) -> Response:
    """The subscription as it is, to be changed."""
    try:
        with web.rt.reading() as session:
            who = _bearer(web.rt, session, "preferences", token)
    except InvalidInput as error:
        return _bad_link(web, request, error)
    s = who.subscription
    return _preferences_page(web, request, who, token, Wish(s.query, s.cadence, s.at, s.timezone, str(s.budget)))


def _preferences_page(
    web: Web, request: Request, who: Bearer, token: str, wish: Wish, *, saved: bool = False, error: str = "",
    status: int = 200,
) -> Response:  # fmt: skip
    secret, row, version = web.rt.secret, who.subscription.id or 0, who.subscriber.token_version
    return _reader_page(
        web, request, "preferences.html", who, token, "preferences", status=status, wish=wish, saved=saved, error=error,
        cadences=CADENCE_NAMES, zones=zones(), pause_token=make_token(secret, "pause", row, version),
        unsubscribe_token=make_token(secret, "unsubscribe", row, version),
    )  # fmt: skip


@router.post("/preferences/{token}")
def preferences(
    request: Request, web: WebKit, token: str, query: Annotated[str, Form()] = "",
    cadence: Annotated[str, Form()] = "daily", at: Annotated[str, Form()] = "08:00",
    timezone: Annotated[str, Form()] = "UTC", budget: Annotated[str, Form()] = "12", csrf: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Change what comes, and when."""
    if _own_form(request, web, csrf, "preferences", token) is None:
        return _stale(web, request)
    wish = Wish(query, cadence, at, timezone, budget)
    try:
        with web.rt.writing() as session:
            who = _bearer(web.rt, session, "preferences", token)
            if who.subscription.state not in {"active", "paused"}:
                raise InvalidInput("this subscription has ended; subscribe again")
            try:
                wish = wish.checked()
            except InvalidInput as error:
                return _preferences_page(web, request, who, token, wish, error=str(error), status=400)
            who = change(web.rt, session, who, wish)
    except InvalidInput as error:
        return _bad_link(web, request, error)
    return _preferences_page(web, request, who, token, replace(wish, query=who.subscription.query), saved=True)


def change(rt: Runtime, session: Session, who: Bearer, wish: Wish) -> Bearer:
    """Write a checked wish to a subscription; one named after its query is named after the new one."""
    s = who.subscription
    named_after_query = s.name in {s.query, "Daily Papers"} and s.origin != "catalogue"
    name = (wish.query[:150] or "Daily Papers") if named_after_query else s.name
    taken = subscribers.find_subscription(session, s.subscriber_id, name)
    if taken is not None and taken.id != s.id:
        name = s.name
    moved = (s.cadence, s.at, s.timezone) != (wish.cadence, wish.at, wish.timezone)
    following = first_edition_at(rt.now(), wish.cadence, wish.at, wish.timezone) if moved else s.next_edition_at
    subscribers.update_subscription(
        session, s.id or 0, name=name, query=wish.query, cadence=wish.cadence, at=wish.at, timezone=wish.timezone,
        budget=int(wish.budget), next_edition_at=following,
    )  # fmt: skip
    session.expire_all()
    return Bearer(*subscribers.get_subscription(session, s.id or 0))


def _reader_page(
    web: Web, request: Request, template: str, who: Bearer, token: str, purpose: str, *, status: int = 200,
    **values: Any,
) -> Response:  # fmt: skip
    """A page of one reader's own. Neither the address nor another link of theirs is in it, unless it must be."""
    return web.page(
        request, f"readers/{template}", status=status, private=True, subscription=who.subscription, words=who.words,
        token=token, csrf=web.forms.mark(purpose, token), **values,
    )  # fmt: skip
