"""Look: everything an operator must know, on one page, most urgent first. Read from rows and heartbeats alone.

Each part is a question; each line a verdict, a number and one act.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlmodel import Session

from services.domain.digests import SourceStatus
from services.domain.feeds import batch_state
from services.domain.schedule import expected_quiet
from services.pipeline import views
from services.runtime import Runtime
from services.storage import deliveries, feeds, quotas, reports, service
from services.storage.tables import Delivery, Edition, Feed, Gate, Heartbeat, Quota, Slot, Subscriber, Subscription

SILENT = timedelta(minutes=2)
STUCK = timedelta(minutes=10)
"""Due work that has waited for longer is worth a person's look."""
RECENT = timedelta(days=7)

DELIVERY_STATES = (
    "planned", "sending", "accepted", "deferred", "failed", "unknown", "suppressed", "expired",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that wants a person: what, and where on the page."""

    text: str
    anchor: str
    grave: bool = False


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One feed."""

    feed: Feed
    status: SourceStatus
    state: str
    """The status's, or `paused`, `imported` (nothing to poll), `new` (not read yet)."""
    stale: bool
    """Not read with success for three of its intervals."""


@dataclass(frozen=True, slots=True)
class Solved:
    """Failures of one kind that came right by themselves."""

    words: str
    kinds: tuple[str, ...]
    count: int
    last_at: datetime
    sample_id: int


@dataclass(frozen=True, slots=True)
class Look:
    """The whole page."""

    needs: tuple[Need, ...]
    sources: tuple[SourceLine, ...]
    channels: tuple[tuple[str, dict[str, int]], ...]
    trouble: tuple[tuple[Delivery, Subscriber, Edition, Subscription], ...]
    queues: tuple[reports.Queue, ...]
    failures: tuple[reports.FailureGroup, ...]
    solved: tuple[Solved, ...]
    workers: tuple[tuple[Heartbeat, bool], ...]
    """With whether it is alive."""
    slots: tuple[Slot, ...]
    next_feeds: tuple[Feed, ...]
    next_editions: tuple[tuple[Subscription, Subscriber], ...]
    quotas: tuple[tuple[Quota, float], ...]
    """With the part of each that is used."""
    quota_share: float
    """The part that we may use."""
    gates: tuple[Gate, ...]
    totals: reports.Totals
    overdue: int


def look(rt: Runtime, session: Session) -> Look:
    """Read it all, in one transaction."""
    now = rt.now()
    sources = tuple(_source(session, feed, now) for feed in feeds.list_all(session))
    today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    counted = deliveries.counts(session, since=today)
    channels = tuple(
        (name, {state: counted.get((name, state), 0) for state in DELIVERY_STATES})
        for name in sorted({channel for channel, _ in counted})
    )
    trouble = tuple(reports.list_deliveries(session, states=reports.TROUBLED, since=now - RECENT, limit=20))
    queues = tuple(reports.queues(session, now))
    failures = tuple(reports.failure_groups(session, since=now - RECENT))
    workers = tuple(
        (beat, now - beat.seen_at <= SILENT) for beat in service.list_heartbeats(session, since=now - timedelta(days=1))
    )
    overdue = reports.overdue(session, since=now - SILENT)
    return Look(
        needs=tuple(_needs(sources, trouble, queues, failures, workers, overdue, now)),
        sources=sources, channels=channels, trouble=trouble, queues=queues, failures=failures,
        solved=tuple(_solved(session, now)), workers=workers, slots=tuple(service.list_slots(session)),
        next_feeds=tuple(_next_feeds(sources)), next_editions=tuple(reports.next_editions(session)),
        quotas=tuple((quota, quotas.share_used(quota, now)) for quota in quotas.list_all(session)),
        quota_share=rt.settings.quota_share,
        gates=tuple(gate for gate in service.list_gates(session) if not gate.name.startswith("confirm:")),
        totals=reports.totals(session), overdue=overdue,
    )  # fmt: skip


def _source(session: Session, feed: Feed, now: datetime) -> SourceLine:
    status = views.source_status(session, feed, since=now - timedelta(days=1))
    state = status.state
    if feed.paused:
        state = "imported" if not feed.last_fetched_at and feed.origin == "added" and not feed.url else "paused"
    elif status.as_of is None and not feed.failures:
        state = "new"
    elif state == "quiet" and not feed.kind.startswith("arxiv"):
        state = "complete"
    elif state == "late" and feed.kind.startswith("arxiv") and expected_quiet(now.astimezone(UTC).date()):
        state = "quiet"
    patience = max(3 * timedelta(minutes=feed.interval_minutes), timedelta(hours=1))
    last = feed.last_success_at or feed.created_at
    return SourceLine(feed, status, state, stale=not feed.paused and now - last > patience)


def _next_feeds(sources: Sequence[SourceLine]) -> Sequence[Feed]:
    running = [line.feed for line in sources if not line.feed.paused]
    return sorted(running, key=lambda feed: feed.next_check_at)[:5]


def _needs(
    sources: Sequence[SourceLine], trouble: Sequence[tuple[Delivery, Subscriber, Edition, Subscription]],
    queues: Sequence[reports.Queue], failures: Sequence[reports.FailureGroup],
    workers: Sequence[tuple[Heartbeat, bool]], overdue: int, now: datetime,
) -> list[Need]:  # fmt: skip
    needs: list[Need] = []
    alive = sum(living for beat, living in workers if beat.role != "web")
    waiting = any(queue.due or queue.later for queue in queues) or any(
        not line.feed.paused and line.feed.next_check_at < now - SILENT for line in sources
    )
    if not alive and (workers or waiting):
        needs.append(Need("no worker is alive", "workers", grave=True))
    if overdue:
        needs.append(Need(f"{_many(overdue, 'job is', 'jobs are')} overdue", "queues", grave=not alive))
    down = [line for line in sources if line.state == "failed" or line.stale]
    if down:
        names = ", ".join(line.feed.name for line in down[:3]) + (" …" if len(down) > 3 else "")
        needs.append(Need(f"{_many(len(down), 'source', 'sources')} cannot be read: {names}", "sources", grave=True))
    partial = [line for line in sources if line.state == "partial"]
    if partial:
        needs.append(Need(f"{_many(len(partial), 'source is', 'sources are')} not complete yet", "sources"))
    for state, words in (("failed", "failed"), ("unknown", "nobody can say whether they arrived")):
        number = sum(delivery.state == state for delivery, *_ in trouble)
        if number:
            needs.append(Need(f"{_many(number, 'delivery', 'deliveries')} {words}", "deliveries", grave=True))
    dead = sum(group.dead for group in failures)
    if dead:
        needs.append(Need(f"{_many(dead, 'run was', 'runs were')} given up", "failures", grave=True))
    old = [queue for queue in queues if queue.oldest_due_at and now - queue.oldest_due_at > STUCK]
    if old and not overdue:
        needs.append(Need(f"{old[0].stage} is behind", "queues"))
    return sorted(needs, key=lambda need: not need.grave)


def _many(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


_VARYING = re.compile(r"https?://\S+|<[^>]*>|'[^']*'|\"[^\"]*\"|\b[0-9a-f]{8,}\b|\d+")


def _solved(session: Session, now: datetime) -> list[Solved]:
    """Failed tries of the last day whose job came right, the same words together."""
    groups: dict[str, Solved] = {}
    for attempt, job in reports.solved_failures(session, since=now - timedelta(days=1)):
        first = (attempt.error or attempt.outcome).partition("\n")[0][:300]
        words = " ".join(_VARYING.sub("…", first).split())[:160]
        known = groups.get(words)
        if known is None:
            groups[words] = Solved(words, (job.kind,), 1, attempt.started_at, job.id or 0)
        else:
            kinds = known.kinds if job.kind in known.kinds else (*known.kinds, job.kind)
            groups[words] = Solved(words, kinds, known.count + 1, known.last_at, known.sample_id)
    return sorted(groups.values(), key=lambda group: -group.count)


# -- the calendar of one feed ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a feed."""

    on: date
    state: str
    """complete, partial, quiet, failed, late; `none` where nothing was read and nothing listed."""
    papers: int
    inside: bool = True
    """Whether it belongs to the span shown."""


def calendar(session: Session, feed: Feed, *, today: date, days: int = 30) -> list[list[Day]]:
    """Weeks from Monday to Sunday covering the last `days` days, each day's batch summed up.

    Sources that list by day are judged by that day's batch; others by the fetches made on the day.
    """
    first = today - timedelta(days=days - 1)
    listed = feeds.papers_by_day(session, feed.id or 0, since=first)
    since = datetime.combine(first, time(), UTC)
    by_day: dict[date, list[tuple[str, int | None, int, int, str | None, str]]] = {}
    for fetch in reports.fetches_since(session, feed.id or 0, since):
        if fetch.slot == "import":
            continue  # a file brought papers of its own days
        try:
            on = date.fromisoformat(fetch.batch) if fetch.batch else fetch.fetched_at.astimezone(UTC).date()
        except ValueError:
            on = fetch.fetched_at.astimezone(UTC).date()
        row = (fetch.state, fetch.announced, fetch.seen, fetch.rejected, fetch.next_cursor, fetch.cursor)
        by_day.setdefault(on, []).append(row)
    start = first - timedelta(days=first.weekday())
    weeks: list[list[Day]] = []
    day = start
    while day <= today or day.weekday() != 0:
        if day.weekday() == 0:
            weeks.append([])
        inside = first <= day <= today
        papers = listed.get(day, 0)
        rows = by_day.get(day, [])
        state = batch_state(rows) if rows and inside else ("complete" if papers else "none")
        # A later fetch that found nothing new does not make a day with papers quiet.
        weeks[-1].append(Day(day, "complete" if state == "quiet" and papers else state, papers, inside))
        day += timedelta(days=1)
    return weeks
