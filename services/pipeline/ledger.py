"""Ledger: after every page, what its batch has come to; and the operators told of what fails and heals.

A batch that is not complete when its last page has been read brings its feed's next look forward: 20 minutes,
then twice as long each time, up to the feed's own interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import structlog
from sqlmodel import Session

from services.domain.batches import CLOSED, COMPLETE, Page, add_up, counts_as, is_stale, judge, look_again_in
from services.domain.papers import ParsedFeed
from services.domain.schedule import announcement_days, arxiv_day, expected_quiet
from services.storage import batches, feeds
from services.storage.tables import Batch, Feed, Fetch
from services.upstreams import kinds

log = structlog.get_logger(__name__)

HF_LATE_AFTER = timedelta(hours=12)
"""By noon (UTC) the Daily Papers of a weekday have begun to be listed."""
HF_GIVEN_UP_AFTER = timedelta(hours=48)
"""A weekday that is empty two days later had no papers."""
ARXIV_LATE_AFTER = timedelta(hours=1)
"""arXiv renders the day's announcement at midnight in New York."""

MADE_UP = "made up from arXiv's API: without replacements"


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What one page brought: its papers' rows, how many of them are new, what the document says of itself."""

    parsed: ParsedFeed
    paper_ids: Sequence[int]
    new: int


def sum_up(session: Session, feed: Feed, fetch_id: int, *, now: datetime, came: Came | None = None) -> str | None:
    """Bring the batch of a ledger row that was just completed up to date; returns its state.

    `came` is what a parsed page brought, `None` where it was what it had been (304). While further pages are to
    follow, what was known of an earlier look stays.
    """
    fetch = feeds.get_fetch(session, fetch_id)
    if fetch.slot == "import":
        return None  # a file brought papers of its own days, which says nothing of what the feed lists
    name, rows, new = _rows(session, feed, fetch, came)
    before = batches.find(session, feed.id or 0, name)
    figures = add_up([_page(row) for row in rows])
    walking = fetch.next_cursor is not None
    if walking and before is not None and before.state in COMPLETE:
        return before.state
    day = _day(name)
    quiet, overdue = _expects(feed, fetch, day, now)
    stale = _is_stale(session, feed, fetch, day, came, before)
    held = batches.held(session, feed.id or 0, day) if day and fetch.batch and figures.announced else None
    state, why = judge(figures, held=held, expected_quiet=quiet, overdue=overdue, stale=stale)
    if state in COMPLETE and fetch.via:
        why = MADE_UP
    tries = 0 if state in COMPLETE else (before.tries if before else 0) + (not walking)
    first = before.first_complete_at if before else None
    if before is not None and before.state in COMPLETE and not fetch.batch and state == "stale":
        return before.state
    batches.put(
        session,
        Batch(
            feed_id=feed.id or 0, batch=name, state=state, announced=figures.announced, seen=figures.seen,
            new=new + (before.new if before and not fetch.batch else 0), rejected=figures.rejected, note=why,
            tries=tries, first_complete_at=first or (now if state in COMPLETE else None), checked_at=now,
        ),
    )  # fmt: skip
    if why == MADE_UP and day is not None:
        _unmask(session, feed, day, now=now)
    if tries and not walking and (before is None or before.accepted_at is None):
        soon = now + look_again_in(tries, timedelta(minutes=feed.interval_minutes))
        feeds.check_sooner(session, feed.id or 0, soon)
        log.warning("batch.not_complete", feed=feed.name, batch=name, state=state, why=why, again_at=soon.isoformat())
    return state


def failed(session: Session, feed: Feed, batch: str, error: str, *, now: datetime) -> None:
    """A try at a batch ended in an error: the batch says so, unless it is known to be complete."""
    name = batch or _own_day(feed, now).isoformat()
    before = batches.find(session, feed.id or 0, name)
    if before is not None and before.state != "failed" and (before.state in COMPLETE or before.seen):
        return
    batches.put(
        session,
        Batch(
            feed_id=feed.id or 0, batch=name, state="failed", note=error[:500],
            tries=(before.tries if before else 0) + 1, checked_at=now,
        ),
    )  # fmt: skip


def _rows(session: Session, feed: Feed, fetch: Fetch, came: Came | None) -> tuple[str, list[Fetch], int]:
    """The batch's name, the ledger rows that make it up, and how many papers it brought that were new."""
    if fetch.batch:
        rows = batches.fetches(session, feed.id or 0, fetch.batch)
        return fetch.batch, [row for row in rows if row.slot == fetch.slot], sum(row.new for row in rows)
    stated = came.parsed.day if came else None
    return (stated or _own_day(feed, fetch.fetched_at)).isoformat(), [fetch], came.new if came else 0


def _page(row: Fetch) -> Page:
    return Page(
        state=row.state, cursor=row.cursor, next_cursor=row.next_cursor, announced=row.announced, seen=row.seen,
        rejected=row.rejected,
    )  # fmt: skip


def _own_day(feed: Feed, moment: datetime) -> date:
    return arxiv_day(moment) if feed.kind == "arxiv_rss" else moment.astimezone(UTC).date()


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None  # a week or a month


def _expects(feed: Feed, fetch: Fetch, day: date | None, now: datetime) -> tuple[bool, bool]:
    """Whether the batch may be empty by the calendar, and whether it should have come by now."""
    if day is None or fetch.via:
        return True, False
    age = now - datetime.combine(day, time(), UTC)
    if feed.kind == "arxiv_rss":
        midnight = timedelta(hours=5)  # New York's, in winter
        return expected_quiet(day), age >= midnight + ARXIV_LATE_AFTER
    if feed.kind == "hf_papers" and fetch.batch:
        return day.weekday() >= 5, HF_LATE_AFTER <= age < HF_GIVEN_UP_AFTER
    return True, False


def _is_stale(
    session: Session, feed: Feed, fetch: Fetch, day: date | None, came: Came | None, before: Batch | None
) -> bool:
    if day is None or feed.kind != "arxiv_rss" or fetch.via:
        return False
    if came is None:
        # Nothing has changed: what was no list of this day is none now, and what was another day's is not this one's.
        return not fetch.batch and bool(fetch.seen) and (before is None or before.state == "stale")
    if not came.parsed.papers:
        return False
    newest = max((p.announced_on for p in came.parsed.papers if p.announced_on), default=None)
    if newest is not None and newest < day:
        return True
    if not is_stale(came.paper_ids, batches.listed_before(session, feed.id or 0, day), new=came.new):
        return False
    batches.unsee(session, feed.id or 0, day, came.paper_ids)
    return True


def _unmask(session: Session, feed: Feed, made_up: date, *, now: datetime) -> None:
    """Once a lost day is made up, it shows when its list was served under the next day's date as well.

    While the day was not known, that list looked new. No paper is announced as new on two days: those that were are
    taken from the next day; where next to nothing is left of it (a cross-list that the API does not know of), its own
    list has never come, and it is asked for again.
    """
    following = next(iter(announcement_days(made_up + timedelta(days=1), made_up + timedelta(days=7))), None)
    if following is None:
        return
    repeated, own = batches.listed_twice(session, feed.id or 0, made_up, following)
    if not repeated:
        return
    row = batches.find(session, feed.id or 0, following.isoformat())
    if row is not None and row.state in COMPLETE and len(own) * 4 <= len(repeated):
        repeated = batches.listed_on(session, feed.id or 0, following)
        row.state, row.note, row.checked_at = "stale", f"it was the list of {made_up}", now
        batches.put(session, row)
        feeds.check_sooner(session, feed.id or 0, now)
    batches.unsee(session, feed.id or 0, following, sorted(repeated))
    log.warning("batch.was_stale", feed=feed.name, batch=following.isoformat(), papers=len(repeated))


def missed_days(session: Session, feed: Feed, *, now: datetime, back: int) -> list[date]:
    """Days since the feed is watched whose list it shows no longer, which we have not got whole, which another way can
    still bring and which nobody has accepted as they are."""
    if kinds.for_kind(feed.kind).elsewhere is None:
        return []
    today = _own_day(feed, now)
    first = max(today - timedelta(days=back), _own_day(feed, feed.created_at))
    known = batches.since(session, feed.id or 0, first.isoformat())
    days = (first + timedelta(days=number) for number in range((today - first).days))
    return [
        day
        for day in days
        if not expected_quiet(day)
        and ((row := known.get(day.isoformat())) is None or counts_as(row.state, row.accepted_at) not in CLOSED)
    ]
