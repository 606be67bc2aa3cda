"""Links: what a signed link from a digest lets its reader do: change what comes, pause it, end it.

A GET changes nothing here, whoever follows the link: mail scanners open every one of them. Only the POST of
the page's button acts. Readers get no cookie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

import structlog
from fastapi import Form, Request
from sqlmodel import Session
from starlette.responses import Response

from services.domain.errors import InvalidInput, NotFound
from services.domain.queries import parse_query
from services.domain.ranking import RANKINGS
from services.domain.schedule import CADENCES, parse_at, parse_timezone
from services.domain.text import clean
from services.domain.tokens import PAPER_PURPOSES, make_token, read_paper_token, read_token
from services.pipeline.confirmation import CONFIRM_HOURS
from services.pipeline.opt_in import PENDING
from services.pipeline.subscribe import first_edition_at
from services.pipeline.views import CADENCE_WORDS
from services.runtime import Runtime
from services.storage import subscribers
from services.storage.tables import Subscriber, Subscription
from workers.web.auth import guarded
from workers.web.kit import Web, WebKit
from workers.web.security import from_own_page

log = structlog.get_logger(__name__)

router = guarded(include_in_schema=False)

LONGEST_PAUSE = timedelta(days=366)
PAUSES = (("a week", 7), ("two weeks", 14), ("a month", 30))

LIFETIMES = {
    "confirm": timedelta(hours=CONFIRM_HOURS), "data": timedelta(days=1),
    **dict.fromkeys(PAPER_PURPOSES, timedelta(days=90)),
}  # fmt: skip
"""How long a link is good for, by its purpose; the others are as long as their reader does not make them void."""


class BadLink(InvalidInput):
    """A link that is forged, too old, for something else, or for what is gone."""


class StaleForm(InvalidInput):
    """A form that is not one of our own pages', or that was loaded too long ago."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a link stands for."""

    subscription: Subscription
    subscriber: Subscriber
    paper_id: int = 0
    """The paper it is about; 0 for none."""

    @property
    def words(self) -> str:
        """How often and when."""
        s = self.subscription
        said = CADENCE_WORDS.get(s.cadence, s.cadence).format(at=s.at)
        return said if s.cadence == "instant" else f"{said}, {s.timezone}"

    def today(self, now: datetime) -> date:
        """The reader's date."""
        return now.astimezone(ZoneInfo(self.subscription.timezone)).date()


GONE = "this link is not valid any more; what it was for is gone"


def signed(rt: Runtime, purpose: str, token: str) -> tuple[int, int, int]:
    """Row, version and paper (0: none) that a link was signed for; `BadLink` for one that is forged or too old."""
    max_age = LIFETIMES.get(purpose)
    try:
        if purpose in PAPER_PURPOSES:
            return read_paper_token(rt.secret, purpose, token[:500], max_age=max_age, old=rt.old_secrets)
        return *read_token(rt.secret, purpose, token[:500], max_age=max_age, old=rt.old_secrets), 0
    except InvalidInput as error:
        raise BadLink(str(error)) from error


def check_version(subscriber: Subscriber, version: int) -> None:
    """`BadLink` for a link of before its reader made all void."""
    if version != subscriber.token_version:
        raise BadLink("this link is not valid any more; use the one in the newest mail")


def bearer(rt: Runtime, session: Session, purpose: str, token: str, *, running: bool = False) -> Bearer:
    """Whom a token stands for; `BadLink` when it cannot be used; with `running` a subscription that ended is none."""
    subscription_id, version, paper_id = signed(rt, purpose, token)
    try:
        subscription, subscriber = subscribers.get_subscription(session, subscription_id)
    except NotFound as error:
        raise BadLink(GONE) from error
    check_version(subscriber, version)
    if running and subscription.state not in {"active", "paused"}:
        raise BadLink("this subscription has ended; subscribe again")
    return Bearer(subscription, subscriber, paper_id)


def opened(web: Web, purpose: str, token: str) -> Bearer:
    """Whom the link of a page that is only looked at stands for."""
    with web.rt.reading() as session:
        return bearer(web.rt, session, purpose, token)


def own_form(request: Request, web: Web, mark: str, purpose: str, bound_to: str = "") -> float:
    """The age in seconds of the form that was sent; `StaleForm` when it is not one of ours."""
    age = web.forms.age(purpose, mark, bound_to) if from_own_page(request, web.rt.settings.public_url) else None
    if age is None:
        raise StaleForm("the form has expired")
    return age


def refused(request: Request, error: Exception) -> Response:
    """The answer to a link or a form that cannot be used."""
    web: Web = request.app.state.web
    if isinstance(error, StaleForm):
        return web.problem(
            request, 403, "This form has expired", "Load the page again and repeat what you did; nothing was changed."
        )
    said = str(error)
    return web.problem(
        request, 404, "This link cannot be used", f"{said[:1].upper()}{said[1:]}. Copy it whole from your newest mail."
    )


def reader_page(
    web: Web, request: Request, template: str, who: Bearer, token: str, purpose: str, *, status: int = 200,
    **values: Any,
) -> Response:  # fmt: skip
    """A page of one reader's own. Neither the address nor another link of theirs is in it, unless it must be."""
    return web.page(
        request, f"readers/{template}", status=status, private=True, subscription=who.subscription, words=who.words,
        token=token, csrf=web.forms.mark(purpose, token), **values,
    )  # fmt: skip


# -- what a reader may wish ------------------------------------------------------------------------------------


CADENCE_NAMES = {
    "daily": "Every day", "weekdays": "Monday to Friday", "weekly": "Every Monday",
    "monthly": "On the first of the month", "instant": "As soon as a paper matches",
}  # fmt: skip

RANKING_NAMES = {
    "personal": "What you are likely to want", "trending": "What is noticed now", "newest": "The newest",
    "upvotes": "The most upvoted", "stars": "The most starred code",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wish:
    """What a form says a reader wants."""

    query: str = ""
    cadence: str = "daily"
    at: str = "08:00"
    timezone: str = "UTC"
    budget: str = "12"
    ranking: str = "personal"
    news_alone: bool = False

    def checked(self, today: date) -> Wish:
        """The same, tidied; raises `InvalidInput` with what cannot be used."""
        tidy = replace(
            self, query=clean(self.query, limit=2_100), at=self.at.strip()[:5], timezone=self.timezone.strip(),
            budget=self.budget.strip(),
        )  # fmt: skip
        parse_query(tidy.query, today)
        if tidy.cadence not in CADENCES:
            raise InvalidInput("Choose how often the digest comes.")
        parse_at(tidy.at)
        parse_timezone(tidy.timezone)
        if not (tidy.budget.isdecimal() and tidy.budget.isascii() and 1 <= int(tidy.budget[:6]) <= 500):
            raise InvalidInput("The number of papers is from 1 to 500.")
        if tidy.ranking not in RANKINGS:
            raise InvalidInput("Choose what comes first.")
        return tidy


@cache
def zones() -> Sequence[str]:
    """Time zones to choose from, as people know them."""
    unwanted = ("Etc/", "posix", "right", "SystemV/")
    return ["UTC", *sorted(z for z in available_timezones() if "/" in z and not z.startswith(unwanted))]


# -- what comes ------------------------------------------------------------------------------------------------


@router.get("/unsubscribe/{token}")
def unsubscribe_form(request: Request, web: WebKit, token: str) -> Response:
    """What would end, and a button."""
    who = opened(web, "unsubscribe", token)
    done = who.subscription.state == "removed"
    return reader_page(web, request, "unsubscribe.html", who, token, "unsubscribe", done=done)


@router.post("/unsubscribe/{token}")
def unsubscribe(request: Request, web: WebKit, token: str) -> Response:
    """End the subscription. Mail programs post here by themselves (RFC 8058), with no cookie and no form of ours:
    the token alone decides. Always the same answer, 200, however often."""
    with web.rt.writing() as session:
        who = bearer(web.rt, session, "unsubscribe", token)
        remove(session, who)
    return reader_page(web, request, "unsubscribe.html", who, token, "unsubscribe", done=True)


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
    return _pause_page(web, request, opened(web, "pause", token), token)


def _pause_page(
    web: Web, request: Request, who: Bearer, token: str, *, saved: bool = False, error: str = "", status: int = 200
) -> Response:
    today = who.today(web.rt.now())
    until = who.subscription.paused_until
    return reader_page(
        web, request, "pause.html", who, token, "pause", status=status, today=today, saved=saved, error=error,
        choices=[(words, today + timedelta(days=n)) for words, n in PAUSES], latest=today + LONGEST_PAUSE,
        until=until if until and until > today else None,
    )  # fmt: skip


@router.post("/pause/{token}")
def pause(
    request: Request, web: WebKit, token: str, until: Annotated[str, Form()] = "", csrf: Annotated[str, Form()] = ""
) -> Response:
    """Pause until the day given, or go on at once when none is."""
    own_form(request, web, csrf, "pause", token)
    with web.rt.writing() as session:
        who = bearer(web.rt, session, "pause", token, running=True)
        today = who.today(web.rt.now())
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
    return _pause_page(web, request, who, token, saved=True)


@router.get("/preferences/{token}")
def preferences_form(request: Request, web: WebKit, token: str) -> Response:
    """The subscription as it is, to be changed."""
    who = opened(web, "preferences", token)
    s = who.subscription
    wish = Wish(s.query, s.cadence, s.at, s.timezone, str(s.budget), s.ranking, s.news_alone)
    return _preferences_page(web, request, who, token, wish)


def _preferences_page(
    web: Web, request: Request, who: Bearer, token: str, wish: Wish, *, saved: bool = False, error: str = "",
    status: int = 200,
) -> Response:  # fmt: skip
    secret, row, version = web.rt.secret, who.subscription.id or 0, who.subscriber.token_version
    return reader_page(
        web, request, "preferences.html", who, token, "preferences", status=status, wish=wish, saved=saved, error=error,
        cadences=CADENCE_NAMES, rankings=RANKING_NAMES, zones=zones(),
        saved_token=make_token(secret, "saved", row, version), pause_token=make_token(secret, "pause", row, version),
        unsubscribe_token=make_token(secret, "unsubscribe", row, version),
        data_token=make_token(secret, "data", row, version),
    )  # fmt: skip


@router.post("/preferences/{token}")
def preferences(
    request: Request, web: WebKit, token: str, query: Annotated[str, Form()] = "",
    cadence: Annotated[str, Form()] = "daily", at: Annotated[str, Form()] = "08:00",
    timezone: Annotated[str, Form()] = "UTC", budget: Annotated[str, Form()] = "12",
    ranking: Annotated[str, Form()] = "", news_alone: Annotated[str, Form()] = "", csrf: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Change what comes, and when."""
    own_form(request, web, csrf, "preferences", token)
    with web.rt.writing() as session:
        who = bearer(web.rt, session, "preferences", token, running=True)
        wish = Wish(query, cadence, at, timezone, budget, ranking or who.subscription.ranking, bool(news_alone))
        try:
            wish = wish.checked(web.rt.now().date())
        except InvalidInput as error:
            return _preferences_page(web, request, who, token, wish, error=str(error), status=400)
        who = change(web.rt, session, who, wish)
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
        budget=int(wish.budget), ranking=wish.ranking, news_alone=wish.news_alone, next_edition_at=following,
    )  # fmt: skip
    session.expire_all()
    return Bearer(*subscribers.get_subscription(session, s.id or 0))
