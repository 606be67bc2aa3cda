"""Reports: what the operators' pages, the health checks and the metrics read. Nothing here writes.

Everything is asked of the rows, never of a broker or a worker, so what is shown is true after any crash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func, or_
from sqlmodel import Session, col, select

from services.domain.jobs import STAGES
from services.storage.search_tree import has
from services.storage.sql import chunks
from services.storage.tables import (
    Attempt,
    Batch,
    Delivery,
    Document,
    Edition,
    EditionItem,
    Feed,
    Fetch,
    Heartbeat,
    Job,
    Link,
    Paper,
    Rejection,
    Repo,
    Sighting,
    Subscriber,
    Subscription,
)

# -- the archive -----------------------------------------------------------------------------------------------


def newest_day(session: Session) -> date | None:
    """The newest day with papers; `None` in an empty archive."""
    return session.exec(select(func.max(Sighting.day))).first()


def day_beside(session: Session, day: date, *, before: bool) -> date | None:
    """The nearest day with papers before or after `day`; `None` when there is none."""
    if before:
        return session.exec(select(func.max(Sighting.day)).where(Sighting.day < day)).first()
    return session.exec(select(func.min(Sighting.day)).where(Sighting.day > day)).first()


def days(session: Session, *, until: date, span: timedelta, limit: int) -> list[tuple[date, int]]:
    """Days with papers up to `until`, none more than `span` before it, and how many each has, oldest first."""
    rows: list[Any] = list(
        session.execute(
            sa.select(col(Sighting.day), func.count(func.distinct(Sighting.paper_id)))
            .where(col(Sighting.day) <= until, col(Sighting.day) > until - span)
            .group_by(col(Sighting.day))
            .order_by(col(Sighting.day).desc())
            .limit(limit)
        )
    )
    return [(day, number) for day, number in rows][::-1]


def listed_on(session: Session, since: date, until: date) -> int:
    """How many papers were listed on those days (inclusive)."""
    return session.exec(
        select(func.count(func.distinct(Sighting.paper_id))).where(Sighting.day >= since, Sighting.day <= until)
    ).one()


def listed_by(session: Session, since: date, until: date) -> list[tuple[str, str, int]]:
    """Which feeds listed papers on those days (inclusive): (name, title, papers), most first."""
    number = func.count(func.distinct(Sighting.paper_id))
    rows: list[Any] = list(
        session.exec(
            select(Feed.name, Feed.title, number)
            .join(Sighting, col(Sighting.feed_id) == col(Feed.id))
            .where(Sighting.day >= since, Sighting.day <= until)
            .group_by(col(Feed.name), col(Feed.title))
            .order_by(number.desc(), col(Feed.name))
        )
    )
    return [(name, title, count) for name, title, count in rows]


def repos_of(session: Session, paper_id: int) -> list[Repo]:
    """The repositories a paper links to, each once, in the order found."""
    links = session.exec(select(Link).where(Link.paper_id == paper_id).order_by(col(Link.id)))
    ids = list(dict.fromkeys(link.repo_id for link in links if link.repo_id is not None))
    rows = {row.id: row for row in session.exec(select(Repo).where(col(Repo.id).in_(ids)))}
    return [rows[i] for i in ids if i in rows]


@dataclass(frozen=True, slots=True)
class Totals:
    """How much there is."""

    papers: int
    with_code: int
    repos: int
    feeds: int
    subscriptions: int
    documents: int
    document_bytes: int
    """Before compression."""


def totals(session: Session) -> Totals:
    """Counts of the whole archive."""

    def number(query: Any) -> int:
        return int(session.exec(query).one() or 0)

    return Totals(
        papers=number(select(func.count()).select_from(Paper)),
        with_code=number(select(func.count()).select_from(Paper).where(has("code"))),
        repos=number(select(func.count()).select_from(Repo).where(Repo.kind == "code")),
        feeds=number(select(func.count()).select_from(Feed).where(Feed.retired == False)),  # noqa: E712
        subscriptions=number(
            select(func.count())
            .select_from(Subscription)
            .join(Subscriber, col(Subscriber.id) == col(Subscription.subscriber_id))
            .where(Subscription.state == "active", Subscriber.state == "active")
        ),
        documents=number(select(func.count()).select_from(Document)),
        document_bytes=number(select(func.coalesce(func.sum(Document.size), 0))),
    )


# -- feeds -----------------------------------------------------------------------------------------------------


def recent_fetches(session: Session, feed_id: int, *, limit: int = 40) -> list[Fetch]:
    """The feed's newest ledger rows, newest first."""
    return list(session.exec(select(Fetch).where(Fetch.feed_id == feed_id).order_by(col(Fetch.id).desc()).limit(limit)))


def fetches_since(session: Session, feed_id: int, since: datetime) -> list[Fetch]:
    """The feed's ledger rows of a span, oldest first."""
    return list(
        session.exec(select(Fetch).where(Fetch.feed_id == feed_id, Fetch.fetched_at >= since).order_by(col(Fetch.id)))
    )


def recent_rejections(session: Session, feed_id: int, *, limit: int = 50) -> list[tuple[Rejection, Fetch]]:
    """Entries of the feed that could not be used, newest first, with the fetch that brought them."""
    return [
        (rejection, fetch)
        for rejection, fetch in session.exec(
            select(Rejection, Fetch)
            .join(Fetch, col(Fetch.id) == col(Rejection.fetch_id))
            .where(Fetch.feed_id == feed_id)
            .order_by(col(Rejection.id).desc())
            .limit(limit)
        )
    ]


def fetch_states(session: Session, *, since: datetime) -> dict[str, int]:
    """Fetches since then, by state."""
    rows = session.exec(select(Fetch.state, func.count()).where(Fetch.fetched_at >= since).group_by(col(Fetch.state)))
    return dict(rows.all())


def batches(
    session: Session, *, feed_id: int | None = None, state: str = "", before: int | None = None, limit: int = 50
) -> list[tuple[Batch, str]]:
    """Batches with the names of their feeds, newest first."""
    query = select(Batch, Feed.name).join(Feed, col(Feed.id) == col(Batch.feed_id))
    if feed_id is not None:
        query = query.where(Batch.feed_id == feed_id)
    if state:
        query = query.where(Batch.state == state)
    if before is not None:
        query = query.where(col(Batch.id) < before)
    return [(batch, name) for batch, name in session.exec(query.order_by(col(Batch.id).desc()).limit(limit))]


# -- work ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Queue:
    """One stage's work."""

    stage: str
    due: int
    """Ready and due: waiting for a worker."""
    later: int
    """Ready, due later."""
    running: int
    lost: int
    """Running by name, its worker's lease run out."""
    dead: int
    oldest_due_at: datetime | None
    done_last_hour: int


def queues(session: Session, now: datetime) -> list[Queue]:
    """All stages, in pipeline order."""
    counted: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    oldest: dict[str, datetime] = {}
    due = (col(Job.state) == "ready") & (col(Job.due_at) <= now)
    for stage, number, first in session.exec(
        select(Job.stage, func.count(), func.min(Job.due_at)).where(due).group_by(col(Job.stage))
    ):
        counted[stage]["due"], oldest[stage] = number, first
    for name, condition in (
        ("later", (col(Job.state) == "ready") & (col(Job.due_at) > now)),
        ("running", (col(Job.state) == "running") & (col(Job.lease_until) >= now)),
        ("lost", (col(Job.state) == "running") & (col(Job.lease_until) < now)),
        ("dead", col(Job.state) == "dead"),
        ("done", (col(Job.state) == "done") & (col(Job.finished_at) >= now - timedelta(hours=1))),
    ):
        for stage, number in session.exec(select(Job.stage, func.count()).where(condition).group_by(col(Job.stage))):
            counted[stage][name] = number
    return [
        Queue(
            stage=stage, due=counted[stage]["due"], later=counted[stage]["later"], running=counted[stage]["running"],
            lost=counted[stage]["lost"], dead=counted[stage]["dead"], oldest_due_at=oldest.get(stage),
            done_last_hour=counted[stage]["done"],
        )
        for stage in STAGES
    ]  # fmt: skip


def overdue(session: Session, *, since: datetime) -> int:
    """Jobs that a worker should have taken before `since`."""
    return session.exec(
        select(func.count())
        .select_from(Job)
        .where(
            or_(
                (col(Job.state) == "ready") & (col(Job.due_at) < since),
                (col(Job.state) == "running") & (col(Job.lease_until) < since),
            )
        )
    ).one()


def newest_heartbeats(session: Session) -> list[Heartbeat]:
    """Every process there is a heartbeat of, the latest first."""
    return list(session.exec(select(Heartbeat).order_by(col(Heartbeat.seen_at).desc())))


@dataclass(slots=True)
class FailureGroup:
    """Failures of one cause."""

    signature: str
    kinds: set[str] = field(default_factory=set)
    dead: int = 0
    trying: int = 0
    """Failed, and will be tried again by itself."""
    solved: int = 0
    """Failed, and a later try was good."""
    first_at: datetime | None = None
    last_at: datetime | None = None
    sample_id: int = 0
    sample: str = ""

    @property
    def open(self) -> int:
        """Jobs that have not come right."""
        return self.dead + self.trying


def failure_groups(session: Session, *, since: datetime, limit: int = 5000) -> list[FailureGroup]:
    """Jobs whose last try failed, by signature: those given up and those being tried again; worst first.

    Given-up jobs are listed whatever their age, since a person has yet to decide on them.
    """
    groups: dict[str, FailureGroup] = {}
    rows = session.exec(
        select(Job)
        .where(
            or_(
                col(Job.state) == "dead",
                (col(Job.signature).is_not(None)) & (col(Job.state).in_(["ready", "running"])),
            )
        )
        .order_by(col(Job.id).desc())
        .limit(limit)
    )
    for job in rows:
        at = job.finished_at or job.started_at or job.created_at
        if job.state != "dead" and at < since:
            continue
        name = job.signature or "no error was recorded"
        group = groups.setdefault(name, FailureGroup(name))
        group.kinds.add(job.kind)
        if job.state == "dead":
            group.dead += 1
        else:
            group.trying += 1
        group.first_at = min(group.first_at or at, at)
        if group.last_at is None or at >= group.last_at:
            group.last_at, group.sample_id, group.sample = at, job.id or 0, job.last_error or ""
    return sorted(groups.values(), key=lambda g: (-g.dead, -g.trying, g.signature))


def solved_failures(session: Session, *, since: datetime, limit: int = 2000) -> list[tuple[Attempt, Job]]:
    """Failed tries since then whose job came right later, newest first."""
    return [
        (attempt, job)
        for attempt, job in session.exec(
            select(Attempt, Job)
            .join(Job, col(Job.id) == col(Attempt.job_id))
            .where(
                col(Attempt.outcome).in_(["retry", "dead", "lost"]), Attempt.started_at >= since, Job.state == "done"
            )
            .order_by(col(Attempt.id).desc())
            .limit(limit)
        )
    ]


def dead_ids(session: Session, signature: str, *, limit: int = 1000) -> list[int]:
    """Jobs given up for one cause, oldest first."""
    return [
        i
        for i in session.exec(
            select(Job.id).where(Job.state == "dead", Job.signature == signature).order_by(col(Job.id)).limit(limit)
        )
        if i is not None
    ]


def runs(
    session: Session,
    *,
    state: str = "",
    stage: str = "",
    kind: str = "",
    text: str = "",
    before: int | None = None,
    limit: int = 50,
) -> list[Job]:
    """Jobs, newest first; `text` is looked for in key and last error, `before` is the id to go on from."""
    query = select(Job)
    if state:
        query = query.where(Job.state == state)
    if stage:
        query = query.where(Job.stage == stage)
    if kind:
        query = query.where(Job.kind == kind)
    if text:
        query = query.where(
            or_(col(Job.key).icontains(text, autoescape=True), col(Job.last_error).icontains(text, autoescape=True))
        )
    if before is not None:
        query = query.where(col(Job.id) < before)
    return list(session.exec(query.order_by(col(Job.id).desc()).limit(limit)))


def causes(session: Session, job: Job, *, limit: int = 20) -> list[Job]:
    """The jobs that led to this one, the first cause first."""
    found: list[Job] = []
    seen = {job.id}
    parent_id = job.cause_id
    while parent_id is not None and parent_id not in seen and len(found) < limit:
        seen.add(parent_id)
        parent = session.get(Job, parent_id)
        if parent is None:
            break
        found.append(parent)
        parent_id = parent.cause_id
    return found[::-1]


def effects(session: Session, job_id: int, *, limit: int = 200) -> list[tuple[int, Job]]:
    """The jobs that followed from this one, as a tree in reading order: (depth from 1, job)."""
    children: dict[int, list[Job]] = defaultdict(list)
    level, seen = [job_id], {job_id}
    while level and len(seen) < limit:
        rows = list(
            session.exec(
                select(Job).where(col(Job.cause_id).in_(level)).order_by(col(Job.id)).limit(limit - len(seen) + 1)
            )
        )
        level = []
        for row in rows:
            if row.id is not None and row.id not in seen and row.cause_id is not None:
                seen.add(row.id)
                level.append(row.id)
                children[row.cause_id].append(row)
    found: list[tuple[int, Job]] = []
    stack = [(1, job) for job in reversed(children[job_id])]
    while stack:
        depth, job = stack.pop()
        found.append((depth, job))
        stack += [(depth + 1, child) for child in reversed(children.get(job.id or 0, []))]
    return found


# -- deliveries ------------------------------------------------------------------------------------------------

TROUBLED = ("failed", "expired", "unknown", "suppressed", "deferred")
"""States a person may want to look at."""


def list_deliveries(
    session: Session,
    *,
    states: Sequence[str] = (),
    channel: str = "",
    since: datetime | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[tuple[Delivery, Subscriber, Edition, Subscription]]:
    """Deliveries with all they belong to, newest first."""
    query = (
        select(Delivery, Subscriber, Edition, Subscription)
        .join(Subscriber, col(Subscriber.id) == col(Delivery.subscriber_id))
        .join(Edition, col(Edition.id) == col(Delivery.edition_id))
        .join(Subscription, col(Subscription.id) == col(Edition.subscription_id))
    )
    if states:
        query = query.where(col(Delivery.state).in_(states))
    if channel:
        query = query.where(Delivery.channel == channel)
    if since is not None:
        query = query.where(Delivery.planned_at >= since)
    if before is not None:
        query = query.where(col(Delivery.id) < before)
    return [(d, p, e, s) for d, p, e, s in session.exec(query.order_by(col(Delivery.id).desc()).limit(limit))]


def subscription_name(session: Session, subscription_id: int) -> str:
    """What a subscription is called; empty for one that is gone."""
    return session.exec(select(Subscription.name).where(Subscription.id == subscription_id)).first() or ""


def next_editions(session: Session, *, limit: int = 5) -> list[tuple[Subscription, Subscriber]]:
    """The editions that come next, soonest first."""
    return [
        (s, p)
        for s, p in session.exec(
            select(Subscription, Subscriber)
            .join(Subscriber, col(Subscriber.id) == col(Subscription.subscriber_id))
            .where(
                Subscription.state == "active", Subscriber.state == "active",
                col(Subscription.next_edition_at).is_not(None),
            )
            .order_by(col(Subscription.next_edition_at))
            .limit(limit)
        )
    ]  # fmt: skip


def papers_of(session: Session, edition_ids: Sequence[int]) -> Mapping[int, Sequence[str]]:
    """The keys of each edition's papers, by rank."""
    keys: dict[int, list[str]] = defaultdict(list)
    for part in chunks(sorted(set(edition_ids))):
        for edition_id, key in session.exec(
            select(EditionItem.edition_id, Paper.key)
            .join(Paper, col(Paper.id) == col(EditionItem.paper_id))
            .where(col(EditionItem.edition_id).in_(part))
            .order_by(col(EditionItem.edition_id), col(EditionItem.rank))
        ):
            keys[edition_id].append(key)
    return keys
