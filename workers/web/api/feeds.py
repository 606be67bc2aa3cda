"""API: feeds, and what an operator does to them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool

from services.domain.urls import without_keys
from services.domain.users import Actor
from services.pipeline import operate, views
from services.pipeline.about_feed import about_feed
from services.pipeline.add_feed import Wanted, add_feed
from services.pipeline.edit_feed import edit_feed
from services.storage import feeds
from services.storage.tables import Feed, Job
from workers.web.api.shape import Answer, Done, Name, Order, Page, part
from workers.web.auth import Doer
from workers.web.kit import Web, WebKit, for_eyes

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


class FeedBatch(Answer):
    """What one day (week, month) of a feed came to."""

    batch: str
    state: str
    announced: int | None
    seen: int
    new: int
    rejected: int
    note: str | None
    checked_at: datetime
    accepted_at: datetime | None
    accepted_by: str | None


class FetchOut(Answer):
    """One answer of a feed."""

    fetched_at: datetime
    batch: str
    state: str
    status: int | None
    announced: int | None
    seen: int
    new: int
    changed: int
    known: int
    rejected: int
    error: str | None
    notes: list[str]


class RefusedEntry(Answer):
    """An entry that could not be used."""

    reason: str
    entry: str


class WaitingRun(Answer):
    """What is at work on a feed, waits to be, or was given up."""

    id: int
    kind: str
    key: str
    state: str
    due_at: datetime
    attempts: int
    last_error: str | None


class NoticeOut(Answer):
    """What operators were told of a feed."""

    kind: str
    text: str
    made_at: datetime
    sent_at: datetime | None


class FeedAbout(FeedDetail):
    """A feed with all that belongs to it, newest first."""

    state: Annotated[str, Field(description="Of its newest batch")]
    interval_now_s: Annotated[float, Field(description="How often it is asked as things are, in seconds")]
    interval_fixed: bool
    fresh_minutes: int | None
    mute_alerts: bool
    why: Annotated[str, Field(description="Why it is read next at next_check_at, or never")]
    batches: list[FeedBatch]
    fetches: list[FetchOut]
    rejected: list[RefusedEntry]
    notices: list[NoticeOut]
    waiting: list[WaitingRun]
    given_up: list[WaitingRun]
    resting: Annotated[list[str], Field(description="Stages it goes through that are paused")]


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


class EditFeed(Order):
    """Another address."""

    url: Annotated[str, Field(min_length=1, max_length=2000)]
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
def get_feed(web: WebKit, me: Doer, name: Name) -> FeedAbout:
    """With its address, its failures, its last batches and answers, what waits, when it is read next and why then."""
    with web.rt.reading() as session:
        feed = feeds.get(session, name)
        about = about_feed(session, feed, web.rt.now())
        return FeedAbout(
            **FeedDetail.model_validate(feed).model_dump(), state=about.status.state,
            interval_now_s=about.interval.total_seconds(), interval_fixed=feed.interval_fixed,
            fresh_minutes=feed.fresh_minutes, mute_alerts=feed.mute_alerts, why=about.why,
            batches=[FeedBatch.model_validate(one) for one in about.batches],
            fetches=[FetchOut.model_validate(one) for one in about.fetches],
            rejected=[RefusedEntry.model_validate(one) for one, _ in about.rejections],
            notices=[NoticeOut.model_validate(one) for one in about.notices],
            waiting=[_waiting(one, me) for one in about.waiting],
            given_up=[_waiting(one, me) for one in about.given_up],
            resting=[one.stage for one in about.resting],
        )  # fmt: skip


def _waiting(job: Job, me: Actor) -> WaitingRun:
    run = WaitingRun.model_validate(job)
    run.last_error = for_eyes(job.last_error or "", me) or None
    return run


@router.post("/feeds", status_code=201, summary="Add a feed")
def add(web: WebKit, me: Doer, wanted: NewFeed) -> FeedDetail:
    """It is fetched once first, unless `check` is false."""
    asked = Wanted(
        url=wanted.url, kind=wanted.kind, name=wanted.name, title=wanted.title, params=wanted.params,
        interval_minutes=wanted.interval_minutes, history_days=wanted.history_days, paused=wanted.paused,
    )  # fmt: skip
    feed, _ = add_feed(web.rt, me, asked, check=wanted.check)
    return FeedDetail.model_validate(feed)


@router.patch("/feeds/{name}", summary="Read a feed at another address")
def edit(web: WebKit, me: Doer, name: Name, order: EditFeed) -> FeedDetail:
    """Its name, papers and history stay. Feeds of feeds.toml are changed there."""
    feed, _ = edit_feed(web.rt, me, name, order.url, check=order.check)
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
