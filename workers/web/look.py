"""Look: everything an operator must know, on one page, most urgent first. Read from rows and heartbeats alone.

Each part is a question; each line a verdict, a number and one act.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlmodel import Session

from services.domain.batches import CLOSED, COMPLETE, counts_as
from services.domain.digests import SourceStatus
from services.domain.schedule import expected_quiet
from services.pipeline import views
from services.pipeline.rates import Rate, all_rates
from services.runtime import Runtime, disk_under
from services.storage import activity, batches, deliveries, feeds, quotas, reports, sentences, service
from services.storage.tables import (
    Batch,
    Delivery,
    Edition,
    Feed,
    Gate,
    Heartbeat,
    Quota,
    Slot,
    Subscriber,
    Subscription,
)
from workers.web.health import SILENT

STUCK = timedelta(minutes=10)
"""Due work that has waited for longer is worth a person's look."""
RECENT = timedelta(days=7)
FOLLOWED = timedelta(seconds=30)
"""A process may begin so long before the last sign of the one it follows, which is silent for as long."""

SHOWN_HOURS = 24
CHANGES = 8
HEAVY_DISK = 0.9
"""A disk so full wants a person."""

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
    to_accept: str = ""
    """Its newest batch that is not complete and that nobody has accepted."""


@dataclass(frozen=True, slots=True)
class Solved:
    """Failures of one kind that came right by themselves."""

    words: str
    kinds: tuple[str, ...]
    count: int
    last_at: datetime
    sample_id: int


@dataclass(frozen=True, slots=True)
class Limit:
    """Something of which there is only so much."""

    name: str
    used: float
    """The part that is used, 0 to 1."""
    left: str
    words: str
    rate: Rate | None = None
    """What of it an operator may change."""


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
    limits: tuple[Limit, ...]
    rates: tuple[Rate, ...]
    hours: tuple[activity.Hour, ...]
    changes: tuple[activity.Change, ...]
    totals: reports.Totals
    overdue: int

    @property
    def answers(self) -> dict[str, str]:
        """Each part's question answered in a few words with a number."""
        polled = [line for line in self.sources if line.state not in {"paused", "imported"}]
        whole = sum(line.state in CLOSED and not line.stale for line in polled)
        sent = {state: sum(counts[state] for _, counts in self.channels) for state in DELIVERY_STATES}
        due = sum(queue.due for queue in self.queues)
        alive = sum(living for _, living in self.workers)
        works = any(living and beat.role in service.WORKING for beat, living in self.workers)
        dead, trying = sum(g.dead for g in self.failures), sum(g.trying for g in self.failures)
        most = max(
            [(used, quota.name) for quota, used in self.quotas] + [(limit.used, limit.name) for limit in self.limits]
        )
        said = {
            "sources": f"{whole} of {len(polled)} complete" if polled else "none is polled",
            "deliveries": f"{sent['accepted']:,} of {sum(sent.values()):,} accepted" if self.channels else "none due",
            "queues": f"{due:,} due, {self.overdue:,} overdue" if due or self.overdue else "nothing waits",
            "workers": f"{alive} of {len(self.workers)} alive{'' if works else ', no worker among them'}"
            if self.workers
            else "none was heard of",
            "failures": f"{dead:,} given up, {trying:,} being tried" if dead or trying else "nothing fails",
            "limits": f"most used: {most[1]}, {most[0]:.0%}",
            "changes": _many(len(self.changes), "change", "changes") + " in a week",
        }
        if len(self.changes) == CHANGES:
            said["changes"] = f"the last {CHANGES}"
        return said


def look(rt: Runtime, session: Session) -> Look:
    """Read it all, in one transaction."""
    now = rt.now()
    sources = source_lines(session, now)
    today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    counted = deliveries.counts(session, since=today)
    channels = tuple(
        (name, {state: counted.get((name, state), 0) for state in DELIVERY_STATES})
        for name in sorted({channel for channel, _ in counted})
    )
    trouble = tuple(reports.list_deliveries(session, states=reports.TROUBLED, since=now - RECENT, limit=20))
    queues = tuple(reports.queues(session, now))
    failures = tuple(group for group in reports.failure_groups(session, since=now - RECENT) if group.open)
    workers = _processes(service.list_heartbeats(session, since=now - timedelta(days=1)), now)
    overdue = reports.overdue(session, since=now - SILENT)
    slots = tuple(service.list_slots(session))
    paces = tuple(all_rates(rt, session))
    limits = tuple(_limits(rt, session, paces, now))
    return Look(
        needs=tuple(_needs(sources, trouble, queues, failures, workers, slots, limits, overdue, now)),
        sources=sources, channels=channels, trouble=trouble, queues=queues, failures=failures,
        solved=tuple(_solved(session, now)), workers=workers, slots=slots,
        next_feeds=tuple(_next_feeds(sources)), next_editions=tuple(reports.next_editions(session)),
        quotas=tuple((quota, quotas.share_used(quota, now)) for quota in quotas.list_all(session)),
        quota_share=rt.settings.quota_share,
        gates=tuple(gate for gate in service.list_gates(session) if not gate.name.startswith("confirm:")),
        limits=limits, rates=paces, hours=tuple(activity.hours(session, now=now, count=SHOWN_HOURS)),
        changes=tuple(activity.changes(session, since=now - RECENT, limit=CHANGES)),
        totals=reports.totals(session), overdue=overdue,
    )  # fmt: skip


def _processes(beats: Sequence[Heartbeat], now: datetime) -> tuple[tuple[Heartbeat, bool], ...]:
    """The processes, and whether each is alive; without those that another of their role has followed on their host,
    as after a restart: each that is alive has followed one, the last that was seen before it began."""
    alive = [beat for beat in beats if now - beat.seen_at <= SILENT]
    followed: set[str] = set()
    for one in sorted(alive, key=lambda beat: beat.started_at):
        before = [beat for beat in beats if beat.name not in followed and _may_follow(one, beat, now)]
        if before:
            followed.add(max(before, key=lambda beat: beat.seen_at).name)
    return tuple((beat, beat in alive) for beat in beats if beat.name not in followed)


def _may_follow(one: Heartbeat, other: Heartbeat, now: datetime) -> bool:
    """Whether a process may have taken the place of another, which is silent: two that began together have not."""
    began = max(other.seen_at - FOLLOWED, min(other.seen_at, other.started_at + FOLLOWED))
    return (
        one.name != other.name
        and (one.role, one.host) == (other.role, other.host)
        and now - other.seen_at > FOLLOWED
        and one.started_at >= began
    )


def _limits(rt: Runtime, session: Session, paces: Sequence[Rate], now: datetime) -> list[Limit]:
    """What is ours to use up: the disk, the hour's messages, the day's words of a language model."""
    s = rt.settings
    free, total = disk_under(s.home)
    found = [Limit("disk", 1 - free / total, f"{free / 1e9:,.0f} GB free", f"where {s.home} is")]
    for rate in paces:
        if rate.per_hour:
            left = f"{max(rate.per_hour - rate.used, 0):,} of {rate.per_hour:,}"
            found.append(Limit(rate.what, rate.used / rate.per_hour, left, f"left of the hour’s {rate.what}", rate))
    if s.llm_url and s.llm_tokens_per_day:
        spent = sentences.spent(session, now=now)
        left = f"{max(s.llm_tokens_per_day - spent, 0):,} of {s.llm_tokens_per_day:,}"
        found.append(Limit("language model", spent / s.llm_tokens_per_day, left, "tokens left of the day’s"))
    return found


def source_line(session: Session, feed: Feed, now: datetime) -> SourceLine:
    """One feed as a line: what its newest batch came to, and whether it is read as often as it should be."""
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
    left = batches.newest_open(session, feed.id or 0) if state in {"partial", "late", "stale", "failed"} else None
    stale = not feed.paused and now - last > patience
    return SourceLine(feed, status, state, stale=stale, to_accept=left.batch if left else "")


def source_lines(session: Session, now: datetime) -> tuple[SourceLine, ...]:
    """All feeds as lines: those in trouble first, those that rest last, by name."""
    lines = (source_line(session, feed, now) for feed in feeds.list_all(session))
    return tuple(sorted(lines, key=lambda line: (_calm(line), line.feed.name)))


def _calm(line: SourceLine) -> int:
    if line.state in {"paused", "imported"}:
        return 3
    return 0 if line.state == "failed" or line.stale else 1 if line.state in {"partial", "late"} else 2


def _next_feeds(sources: Sequence[SourceLine]) -> Sequence[Feed]:
    running = [line.feed for line in sources if not line.feed.paused]
    return sorted(running, key=lambda feed: feed.next_check_at)[:5]


def _needs(
    sources: Sequence[SourceLine], trouble: Sequence[tuple[Delivery, Subscriber, Edition, Subscription]],
    queues: Sequence[reports.Queue], failures: Sequence[reports.FailureGroup],
    workers: Sequence[tuple[Heartbeat, bool]], slots: Sequence[Slot], limits: Sequence[Limit], overdue: int,
    now: datetime,
) -> list[Need]:  # fmt: skip
    needs: list[Need] = []
    alive = sum(living for beat, living in workers if beat.role in service.WORKING)
    waiting = any(queue.due or queue.later for queue in queues) or any(
        not line.feed.paused and line.feed.next_check_at < now - SILENT for line in sources
    )
    if not alive and (workers or waiting):
        needs.append(Need("no worker is alive", "workers", grave=True))
    late = [slot for slot in slots if not slot.paused and slot.next_at < now - STUCK]
    if late:
        needs.append(Need(f"the schedule stands still: {late[0].name} should have run", "schedule", grave=True))
    if overdue:
        needs.append(Need(f"{_many(overdue, 'job is', 'jobs are')} overdue", "queues", grave=not alive))
    down = [line for line in sources if line.state == "failed" or line.stale]
    if down:
        names = ", ".join(line.feed.name for line in down[:3]) + (f" and {len(down) - 3} more" if down[3:] else "")
        needs.append(Need(f"{_many(len(down), 'source', 'sources')} cannot be read: {names}", "sources", grave=True))
    partial = [line for line in sources if line.state == "partial"]
    if partial:
        needs.append(Need(f"{_many(len(partial), 'source is', 'sources are')} not complete yet", "sources"))
    for state, words in (("failed", "failed"), ("unknown", "nobody can say whether they arrived")):
        number = sum(delivery.state == state for delivery, *_ in trouble)
        if number:
            needs.append(Need(f"{_many(number, 'delivery', 'deliveries')} {words}", "deliveries", grave=True))
    for queue in queues:
        if queue.paused:
            rests = f"{queue.stage} is paused by {queue.paused.by}, {_many(queue.due, 'job waits', 'jobs wait')}"
            needs.append(Need(rests, "queues"))
    needs += [
        Need(f"{limit.name} are held to {limit.rate.per_hour:,} an hour by {limit.rate.lowered.by}", "limits")
        for limit in limits
        if limit.rate and limit.rate.held and limit.rate.lowered
    ]
    dead = sum(group.dead for group in failures)
    if dead:
        needs.append(Need(f"{_many(dead, 'run was', 'runs were')} given up", "failures", grave=True))
    old = [queue for queue in queues if not queue.paused and queue.oldest_due_at and now - queue.oldest_due_at > STUCK]
    if old and not overdue:
        needs.append(Need(f"{old[0].stage} is behind", "queues"))
    full = [limit for limit in limits if limit.used >= HEAVY_DISK and limit.name == "disk"]
    if full:
        needs.append(Need(f"the disk is nearly full, {full[0].left}", "limits", grave=True))
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
    """complete, partial, quiet, failed, late, stale, accepted; `none` where nothing was read and nothing listed."""
    papers: int
    inside: bool = True
    """Whether it belongs to the span shown."""
    batch: Batch | None = None

    @property
    def is_short(self) -> bool:
        """Whether it is not complete, accepted or not."""
        return self.batch is not None and self.batch.state not in COMPLETE


def calendar(session: Session, feed: Feed, *, today: date, days: int = 30) -> list[list[Day]]:
    """Weeks from Monday to Sunday covering the last `days` days, each day's batch as the ledger has it."""
    first = today - timedelta(days=days - 1)
    listed = feeds.papers_by_day(session, feed.id or 0, since=first)
    known = batches.since(session, feed.id or 0, first.isoformat())
    weeks: list[list[Day]] = []
    day = first - timedelta(days=first.weekday())
    while day <= today or day.weekday() != 0:
        if day.weekday() == 0:
            weeks.append([])
        inside = first <= day <= today
        papers = listed.get(day, 0)
        batch = known.get(day.isoformat()) if inside else None
        state = counts_as(batch.state, batch.accepted_at) if batch else "complete" if papers else "none"
        # A later look that found nothing new does not make a day with papers quiet.
        weeks[-1].append(Day(day, "complete" if state == "quiet" and papers else state, papers, inside, batch))
        day += timedelta(days=1)
    return weeks
