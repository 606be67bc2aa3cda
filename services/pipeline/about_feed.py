"""About a feed: all that operators are told of one, the same on the pages, by the API and on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from services.domain.batches import look_again_in
from services.domain.digests import SourceStatus
from services.domain.schedule import why_next
from services.pipeline.schedule import interval_of
from services.pipeline.views import source_status
from services.storage import batches, notices, reports, runs_about, stages
from services.storage.tables import Batch, Feed, Fetch, Job, Notice, PausedStage, Rejection

FETCHES, REFUSALS, BATCHES, RUNS = 40, 50, 10, 20
"""How many of each are told of, newest first."""


@dataclass(frozen=True, slots=True)
class AboutFeed:
    """One feed, and all that belongs to it."""

    feed: Feed
    status: SourceStatus
    interval: timedelta
    """How often it is asked as things are; not its setting where it has a rhythm of its own."""
    next_at: datetime | None
    """`None` for one that is not asked."""
    why: str
    """Why then, or why never."""
    batches: tuple[Batch, ...]
    fetches: tuple[Fetch, ...]
    rejections: tuple[tuple[Rejection, Fetch], ...]
    notices: tuple[Notice, ...]
    waiting: tuple[Job, ...]
    """What is at work on it, and what waits to be."""
    given_up: tuple[Job, ...]
    resting: tuple[PausedStage, ...]
    """Stages it goes through that an operator has paused."""


def about_feed(session: Session, feed: Feed, now: datetime) -> AboutFeed:
    """All there is to tell of a feed."""
    feed_id = feed.id or 0
    recent = batches.newest(session, feed_id, limit=BATCHES)
    of_it = [runs_about.of_feed(session, feed.name)]
    running, ready, dead = (
        reports.runs(session, state=state, about=of_it, limit=RUNS) for state in ("running", "ready", "dead")
    )
    rests = stages.paused(session)
    interval = interval_of(session, feed, now)
    asked = not (feed.paused or feed.retired)
    return AboutFeed(
        feed=feed, status=source_status(session, feed, since=now - timedelta(days=1)), interval=interval,
        next_at=feed.next_check_at if asked else None, why=_why(feed, recent, interval, now),
        batches=tuple(recent), fetches=tuple(reports.recent_fetches(session, feed_id, limit=FETCHES)),
        rejections=tuple(reports.recent_rejections(session, feed_id, limit=REFUSALS)),
        notices=tuple(notices.about(session, feed.name)), waiting=(*running, *ready), given_up=tuple(dead),
        resting=tuple(rests[stage] for stage in ("fetch", "parse") if stage in rests),
    )  # fmt: skip


def _why(feed: Feed, recent: list[Batch], interval: timedelta, now: datetime) -> str:
    if feed.retired:
        return "it is gone or was removed; adding it again brings it back"
    if feed.paused:
        return "it is paused"
    return why_next(
        now=now, next_at=feed.next_check_at, asked_at=feed.last_fetched_at, interval=interval,
        fixed=feed.interval_fixed, own=interval != timedelta(minutes=feed.interval_minutes), failures=feed.failures,
        sooner_for=_looked_at_again(feed, recent),
    )  # fmt: skip


def _looked_at_again(feed: Feed, recent: list[Batch]) -> str:
    """The batch for which the next look comes sooner than usual (see `ledger.sum_up`)."""
    usual = timedelta(minutes=feed.interval_minutes)
    waited_for = (row for row in recent if row.tries and row.accepted_at is None)
    sooner = (row.batch for row in waited_for if feed.next_check_at == row.checked_at + look_again_in(row.tries, usual))
    return next(sooner, "")
