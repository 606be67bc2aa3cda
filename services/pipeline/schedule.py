"""Schedule: what has become due turns into jobs. Any number of schedulers may run this at once; each slot is
taken by one of them, and a job's key makes two of the same one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import structlog
from sqlmodel import Session

from services.domain.feeds import batch_is_closed
from services.domain.jobs import Hint, NewJob
from services.domain.schedule import days_due, next_check_at, next_edition_at, period_of
from services.pipeline.fetch import page_job
from services.pipeline.parse import enrich_jobs
from services.runtime import Runtime
from services.storage import feeds, jobs, repos, service, subscribers
from services.storage.tables import Feed
from services.upstreams import kinds

log = structlog.get_logger(__name__)

SLOTS = {"repos": timedelta(minutes=10), "housekeeping": timedelta(hours=6)}
"""Recurring work that is no feed's and no subscriber's, and how often it comes."""


def tick(rt: Runtime) -> list[Hint]:
    """Add the jobs that have become due since the last tick; returns the hints it published."""
    hints: list[Hint] = []
    with rt.writing() as session:
        now = rt.now()
        service.ensure_slots(session, SLOTS, now=now)
        new: list[NewJob] = []
        for feed in feeds.list_due(session, now=now):
            new += _feed_jobs(session, feed, rt, now)
        for subscription in subscribers.list_due(session, now=now):
            due_at = subscription.next_edition_at
            assert due_at is not None
            following = next_edition_at(
                cadence=subscription.cadence, at=subscription.at, timezone=subscription.timezone, after=now
            )
            if not subscribers.advance(session, subscription, to=following):
                continue
            new.append(edition_job(subscription.id or 0, subscription.cadence, subscription.timezone, due_at))
        due = service.take_slot(session, "repos", now=now, to=_after(now, SLOTS["repos"]))
        if due is not None and rt.settings.repo_recheck:
            new += enrich_jobs(repos.list_due(session, now=now), f"due {due:%Y-%m-%dT%H:%MZ}")
        due = service.take_slot(session, "housekeeping", now=now, to=_after(now, SLOTS["housekeeping"]))
        if due is not None:
            new.append(NewJob(kind="housekeeping", key=f"{due:%Y-%m-%dT%H:%MZ}", priority=9))
        hints += jobs.add(session, new, now=now)
    rt.publish(hints)
    if hints:
        log.info("schedule.ticked", added=len(hints))
    return hints


def edition_job(subscription_id: int, cadence: str, timezone: str, due_at: datetime) -> NewJob:
    """The job that composes one edition; its key is the subscription and the reader's period."""
    period = period_of(cadence, due_at, timezone)
    return NewJob(
        kind="compose_edition",
        key=f"{subscription_id} {period}",
        payload={"subscription_id": subscription_id, "period": period, "due_at": due_at.isoformat()},
        priority=-1,
    )


def fetch_now(rt: Runtime, name: str) -> list[Hint]:
    """Fetch one feed at once, whatever its schedule; the slot is this moment."""
    with rt.writing() as session:
        feed = feeds.get(session, name)
        now = rt.now()
        hints = jobs.add(session, _pages(session, feed, rt, slot=f"{now:%Y-%m-%dT%H:%M:%S.%fZ}"), now=now)
    rt.publish(hints)
    return hints


def _feed_jobs(session: Session, feed: Feed, rt: Runtime, now: datetime) -> list[NewJob]:
    """The jobs of a due feed's slot, if this scheduler is the one to take it."""
    slot = feed.next_check_at
    following = next_check_at(
        now=now, last_slot=slot, interval=timedelta(minutes=feed.interval_minutes), failures=feed.failures,
        retry_after=None, max_age=None, jitter=rt.jitter(),
    )  # fmt: skip
    if not feeds.advance(session, feed, to=following):
        return []
    return _pages(session, feed, rt, slot=f"{slot:%Y-%m-%dT%H:%M:%S.%fZ}")


def _pages(session: Session, feed: Feed, rt: Runtime, *, slot: str) -> list[NewJob]:
    """The first pages of a slot: one, or one a day for sources that list by day and keep their past."""
    assert feed.id is not None
    if not kinds.for_kind(feed.kind).by_day:
        return [page_job(feed.id, feed.name, slot=slot)]
    today = rt.now().astimezone(UTC).date()
    complete = _complete_until(session, feed, today)
    days = days_due(
        today=today, complete_until=complete, history_days=feed.history_days, backfill_days=rt.settings.backfill_days
    )
    return [page_job(feed.id, feed.name, slot=slot, batch=day.isoformat()) for day in days]


def _complete_until(session: Session, feed: Feed, today: date) -> date | None:
    """The last day up to which every day is known to be complete; written down as it advances."""
    known = feed.complete_until
    day = known + timedelta(days=1) if known else today - timedelta(days=max(feed.history_days - 1, 0))
    found = known
    settles_days = kinds.for_kind(feed.kind).settles_days
    while day < today:
        rows = feeds.pages(session, feed.id or 0, batch=day.isoformat())
        if not batch_is_closed(
            day, [(row.state, row.fetched_at, row.next_cursor) for row in rows], settles_days=settles_days
        ):
            break
        found, day = day, day + timedelta(days=1)
    if found != known:
        feeds.update_feed(session, feed.id or 0, complete_until=found)
    return found


def _after(now: datetime, every: timedelta) -> datetime:
    """The next point of the epoch's grid, so that slots do not drift."""
    return datetime.fromtimestamp((now.timestamp() // every.total_seconds() + 1) * every.total_seconds(), tz=UTC)
