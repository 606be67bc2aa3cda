"""API: feeds, and what an operator does to them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool

from services.domain.urls import without_keys
from services.pipeline import operate, views
from services.pipeline.add_feed import Wanted, add_feed
from services.storage import feeds
from services.storage.tables import Feed
from workers.web.api.shape import Answer, Done, Name, Order, Page, part
from workers.web.auth import Doer
from workers.web.kit import Web, WebKit

router = part("feeds")


class FeedOut(Answer):
    """A feed, and what its newest batch came to."""

    name: str
    title: str
    kind: str
    paused: bool
    state: str
    announced: int | None
    stored: int
    as_of: datetime | None
    next_check_at: datetime | None
    last_success_at: datetime | None
    atom: str
    rss: str
    json_feed: str


class FeedDetail(Answer):
    """A feed as operators see it."""

    name: str
    title: str
    kind: str
    url: Annotated[str, AfterValidator(without_keys)] = Field(description="Keys in its query are shown as ***")
    params: dict[str, str]
    origin: str
    paused: bool
    retired: bool
    interval_minutes: int
    history_days: int
    failures: int
    last_error: str | None
    last_fetched_at: datetime | None
    last_success_at: datetime | None
    next_check_at: datetime
    complete_until: date | None
    created_at: datetime


class NewFeed(Order):
    """A feed to be polled: an address, or a kind with its parameters."""

    url: Annotated[str, Field(max_length=2000)] = ""
    kind: Annotated[str, Field(max_length=40)] = ""
    name: Annotated[str, Field(max_length=50)] = ""
    title: Annotated[str, Field(max_length=200)] = ""
    params: dict[str, Annotated[str, Field(max_length=2000)]] = Field(default_factory=dict, max_length=20)
    interval_minutes: Annotated[int | None, Field(strict=True, ge=1, le=44_640)] = None
    history_days: Annotated[int, Field(strict=True, ge=0, le=3650)] = 3
    paused: StrictBool = False
    check: Annotated[StrictBool, Field(description="Fetch it once first, and refuse what is no feed")] = True


class AcceptBatch(Order):
    """Which batch."""

    batch: Annotated[str, Field(min_length=1, max_length=40, description="As GET /batches names it: 2026-11-24")]
    accepted: Annotated[StrictBool, Field(description="False takes it back")] = True


@router.get("/feeds", summary="Feeds, and what their newest batch came to")
def list_feeds(web: WebKit) -> Page[FeedOut]:
    """All feeds that are not removed, on one page."""
    now = web.rt.now()
    with web.rt.reading() as session:
        items = [
            _shown(web, feed, views.source_status(session, feed, since=now - timedelta(days=1)))
            for feed in feeds.list_all(session)
        ]
    return Page(items=items, next=None)


def _shown(web: Web, feed: Feed, status: Any) -> FeedOut:
    return FeedOut(
        name=feed.name, title=feed.title, kind=feed.kind, paused=feed.paused, state=status.state,
        announced=status.announced, stored=status.stored, as_of=status.as_of,
        next_check_at=None if feed.paused else feed.next_check_at, last_success_at=feed.last_success_at,
        atom=web.rt.url(f"/feeds/{feed.name}.atom"), rss=web.rt.url(f"/feeds/{feed.name}.rss"),
        json_feed=web.rt.url(f"/feeds/{feed.name}.json"),
    )  # fmt: skip


@router.get("/feeds/{name}", summary="One feed")
def get_feed(web: WebKit, name: Name) -> FeedDetail:
    """With its address, its failures and when it is read next."""
    with web.rt.reading() as session:
        return FeedDetail.model_validate(feeds.get(session, name))


@router.post("/feeds", status_code=201, summary="Add a feed")
def add(web: WebKit, me: Doer, wanted: NewFeed) -> FeedDetail:
    """It is fetched once first, unless `check` is false."""
    asked = Wanted(
        url=wanted.url, kind=wanted.kind, name=wanted.name, title=wanted.title, params=wanted.params,
        interval_minutes=wanted.interval_minutes, history_days=wanted.history_days, paused=wanted.paused,
    )  # fmt: skip
    feed, _ = add_feed(web.rt, me, asked, check=wanted.check)
    return FeedDetail.model_validate(feed)


@router.delete("/feeds/{name}", summary="Remove a feed; its papers stay")
def remove(web: WebKit, me: Doer, name: Name) -> Done:
    """Feeds of feeds.toml are taken out there."""
    operate.remove_feed(web.rt, me, name)
    return Done(done=True, about=name)


@router.post("/feeds/{name}/fetch", status_code=202, summary="Fetch a feed now")
def fetch(web: WebKit, me: Doer, name: Name) -> Done:
    """Whatever its schedule says. `done` is false where that made no job."""
    return Done(done=operate.fetch_feed(web.rt, me, name) > 0, about=name)


@router.post("/feeds/{name}/accept", summary="Take a batch that is not complete as it is")
def accept(web: WebKit, me: Doer, name: Name, order: AcceptBatch) -> Done:
    """Digests wait for it no longer. What comes of it all the same is stored. A complete one is refused."""
    operate.accept_batch(web.rt, me, name, order.batch, accepted=order.accepted)
    return Done(done=True, about=f"{name} {order.batch}")


@router.post("/feeds/{name}/pause", summary="Stop polling a feed")
def pause(web: WebKit, me: Doer, name: Name) -> Done:
    """What it brought stays."""
    operate.pause_feed(web.rt, me, name)
    return Done(done=True, about=name)


@router.post("/feeds/{name}/resume", summary="Poll a feed again")
def resume(web: WebKit, me: Doer, name: Name) -> Done:
    """Beginning now."""
    operate.resume_feed(web.rt, me, name)
    return Done(done=True, about=name)
