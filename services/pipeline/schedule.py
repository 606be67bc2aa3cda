"""Schedule: what has become due turns into jobs. Any number of schedulers may run this at once; each slot is
taken by one of them, and a job's key makes two of the same one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import structlog
from sqlmodel import Session

from services.domain.batches import settled
from services.domain.jobs import Hint, NewJob
from services.domain.schedule import days_due, next_check_at, next_edition_at, own_interval, period_of, periods
from services.pipeline import enrich_papers, ledger, notices
from services.pipeline.fetch import page_job
from services.pipeline.recheck import recheck_jobs
from services.pipeline.repo_jobs import due_jobs
from services.runtime import Runtime
from services.storage import batches, feeds, jobs, rechecks, service, subscribers
from services.storage.tables import Feed
from services.upstreams import kinds

log = structlog.get_logger(__name__)

SLOTS = {
    "repos": timedelta(minutes=10), "papers": timedelta(minutes=10), "lookups": timedelta(minutes=10),
    "housekeeping": timedelta(hours=6),
}  # fmt: skip
"""Recurring work that is no feed's and no subscriber's, and how often it comes."""


def tick(rt: Runtime) -> list[Hint]:
    """Add the jobs that have become due since the last tick; returns the hints it published."""
    hints: list[Hint] = []
    with rt.writing() as session:
        now = rt.now()
        service.ensure_slots(session, SLOTS, now=now)
        notices.stages_still_paused(rt, session)
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
            new += due_jobs(rt, session, slot=due, now=now)
        due = service.take_slot(session, "papers", now=now, to=_after(now, SLOTS["papers"]))
        if due is not None and rt.settings.paper_recheck:
            new += recheck_jobs(rechecks.list_due(session, now=now), f"due {due:%Y-%m-%dT%H:%MZ}")
        due = service.take_slot(session, "lookups", now=now, to=_after(now, SLOTS["lookups"]))
        if due is not None and rt.settings.paper_recheck:
            new += enrich_papers.due_jobs(session, rt.settings, due, now=now)
        due = service.take_slot(session, "housekeeping", now=now, to=_after(now, SLOTS["housekeeping"]))
        if due is not None:
            new.append(NewJob(kind="housekeeping", key=f"{due:%Y-%m-%dT%H:%MZ}", priority=9))
        hints += jobs.add(session, new, now=now)
        rt.checkpoint("tick.written")
    rt.checkpoint("tick.committed")
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
        now=now, last_slot=slot, interval=interval_of(session, feed, now), failures=feed.failures,
        retry_after=None, max_age=None, jitter=rt.jitter(),
    )  # fmt: skip
    if not feeds.advance(session, feed, to=following):
        return []
    return _pages(session, feed, rt, slot=f"{slot:%Y-%m-%dT%H:%M:%S.%fZ}")


def _pages(session: Session, feed: Feed, rt: Runtime, *, slot: str) -> list[NewJob]:
    """The first pages of a slot: one, or one a day for sources that list by day and keep their past; beside them
    the days a source no longer shows and another way still does."""
    assert feed.id is not None
    if not kinds.for_kind(feed.kind).by_day:
        missed = ledger.missed_days(session, feed, now=rt.now(), back=rt.settings.backfill_days)
        return [
            page_job(feed.id, feed.name, slot=slot),
            *(page_job(feed.id, feed.name, slot=slot, batch=day.isoformat(), via="arxiv_api") for day in missed),
        ]
    today = rt.now().astimezone(UTC).date()
    view = feed.params.get("view", "daily") if feed.kind == "hf_papers" else "daily"
    if view != "daily":
        # Weeks and months are read while they run, and once more when they are over.
        spans = periods(view, [today - timedelta(days=1), today])
        return [page_job(feed.id, feed.name, slot=slot, batch=batch) for batch in spans]
    complete = _complete_until(session, feed, today)
    # Until its first days are whole they are asked for again, however long ago they are by now.
    since_begun = min((today - _begins_on(feed)).days, rt.settings.backfill_days)
    days = days_due(
        today=today, complete_until=complete, history_days=max(feed.history_days, since_begun),
        backfill_days=rt.settings.backfill_days,
    )  # fmt: skip
    return [page_job(feed.id, feed.name, slot=slot, batch=day.isoformat()) for day in days]


def interval_of(session: Session, feed: Feed, now: datetime) -> timedelta:
    """How often the feed is asked: as somebody chose, else by its own rhythm where it shows only what is on it now."""
    interval = timedelta(minutes=feed.interval_minutes)
    if feed.interval_fixed or feed.kind != "rss":
        return interval
    ttl = timedelta(minutes=feed.ttl_minutes) if feed.ttl_minutes else None
    return own_interval(interval, per_week=batches.per_week(session, feed.id or 0, now=now), ttl=ttl, fixed=False)


def _complete_until(session: Session, feed: Feed, today: date) -> date | None:
    """The last day up to which every day is known to be complete, or accepted as it is; written down as it advances."""
    known = feed.complete_until
    day = known + timedelta(days=1) if known else _begins_on(feed)
    found = known
    settles_days = kinds.for_kind(feed.kind).settles_days
    rows = batches.since(session, feed.id or 0, day.isoformat())
    while day < today:
        row = rows.get(day.isoformat())
        if row is None:
            break
        if row.accepted_at is None and not settled(row.state, row.checked_at, day, settles_days=settles_days):
            break
        found, day = day, day + timedelta(days=1)
    if found != known:
        feeds.update_feed(session, feed.id or 0, complete_until=found)
    return found


def _begins_on(feed: Feed) -> date:
    """The first day a feed that lists by day was ever meant to bring."""
    return feed.created_at.astimezone(UTC).date() - timedelta(days=max(feed.history_days, 0))


def _after(now: datetime, every: timedelta) -> datetime:
    """The next point of the epoch's grid, so that slots do not drift."""
    return datetime.fromtimestamp((now.timestamp() // every.total_seconds() + 1) * every.total_seconds(), tz=UTC)
