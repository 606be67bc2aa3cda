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
from services.storage import deliveries, jobs, stages
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
    PausedStage,
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


def first_day(session: Session) -> date | None:
    """The oldest day with papers; `None` in an empty archive."""
    return session.exec(select(func.min(Sighting.day))).first()


def day_beside(session: Session, day: date, *, before: bool) -> date | None:
    """The nearest day with papers before or after `day`; `None` when there is none."""
    if before:
        return session.exec(select(func.max(Sighting.day)).where(Sighting.day < day)).first()
    return session.exec(select(func.min(Sighting.day)).where(Sighting.day > day)).first()


def days(session: Session, *, until: date, limit: int) -> list[tuple[date, int]]:
    """The newest days with papers up to `until`, and how many each has, oldest first."""
    last = sa.select(func.max(col(Sighting.day)).label("day")).where(col(Sighting.day) <= until).cte(recursive=True)
    before = sa.select(func.max(col(Sighting.day))).where(col(Sighting.day) < last.c.day).scalar_subquery()
    # From each day to the one before it by the index: what lies between is not read.
    each = last.union_all(sa.select(before).where(last.c.day.is_not(None)))
    found = [day for (day,) in session.execute(sa.select(each.c.day).limit(limit)) if day is not None]
    if not found:
        return []
    listed = (
        sa.select(col(Sighting.day), col(Sighting.paper_id))
        .where(col(Sighting.day) >= found[-1], col(Sighting.day) <= until)
        .distinct()
        .subquery()
    )
    rows = session.execute(sa.select(listed.c.day, func.count()).group_by(listed.c.day).order_by(listed.c.day))
    return [(day, number) for day, number in rows]


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


CODE_DAYS = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Totals:
    """How much there is."""

    papers: int
    with_code: int
    """Of those announced in the last `CODE_DAYS`: to look at all of them takes half a second in a million."""
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

    newest = session.exec(select(func.max(Paper.announced_on))).first()
    recent = newest - CODE_DAYS if newest else date.max
    return Totals(
        papers=number(select(func.count()).select_from(Paper)),
        with_code=number(select(func.count()).select_from(Paper).where(has("code"), col(Paper.announced_on) >= recent)),
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


FETCH_STATES = ("fetched", "parsed", "not_modified", "failed")


def fetch_states(session: Session, *, since: datetime) -> dict[str, int]:
    """Fetches since then, by state."""
    # The states by name: so each is a stretch of the index rather than all of it.
    recent = (col(Fetch.state).in_(FETCH_STATES), Fetch.fetched_at >= since)
    rows = session.exec(select(Fetch.state, func.count()).where(*recent).group_by(col(Fetch.state)))
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
    paused: PausedStage | None = None
    """By whom and since when it rests, if it does."""


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
    resting = stages.paused(session)
    return [
        Queue(
            stage=stage, due=counted[stage]["due"], later=counted[stage]["later"], running=counted[stage]["running"],
            lost=counted[stage]["lost"], dead=counted[stage]["dead"], oldest_due_at=oldest.get(stage),
            done_last_hour=counted[stage]["done"], paused=resting.get(stage),
        )
        for stage in STAGES
    ]  # fmt: skip


def overdue(session: Session, *, since: datetime) -> int:
    """Jobs that a worker should have taken before `since`; those of paused stages are meant to wait."""
    return session.exec(
        select(func.count())
        .select_from(Job)
        .where(
            or_(
                (col(Job.state) == "ready") & (col(Job.due_at) < since),
                (col(Job.state) == "running") & (col(Job.lease_until) < since),
            ),
            jobs.NOT_PAUSED,
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
    """The newest job that has not come right, else the newest of all."""
    sample: str = ""

    @property
    def open(self) -> int:
        """Jobs that have not come right."""
        return self.dead + self.trying


def failure_groups(session: Session, *, since: datetime) -> list[FailureGroup]:
    """What failed since then, by cause, worst first: jobs given up, jobs being tried again, and those that came right
    later. Given-up jobs count whatever their age, since a person has yet to decide on them.
    """
    at = func.coalesce(Job.finished_at, Job.started_at, Job.created_at)
    rows = session.execute(
        sa.select(
            col(Job.signature), col(Job.kind), col(Job.state), func.count(), func.min(at), func.max(at),
            func.max(Job.id),
        )
        # Of tens of millions of jobs few ever failed, and those have an index. SQLite uses it for a range alone.
        .where(col(Job.signature) > "", (col(Job.state) == "dead") | (at >= since))
        .group_by(col(Job.signature), col(Job.kind), col(Job.state))
    ).all()  # fmt: skip
    groups: dict[str, FailureGroup] = {}
    newest: dict[str, tuple[bool, int]] = {}
    for signature, kind, state, count, first_at, last_at, job_id in rows:
        group = groups.setdefault(signature, FailureGroup(signature))
        group.kinds.add(kind)
        if state == "dead":
            group.dead += count
        elif state == "done":
            group.solved += count
        else:
            group.trying += count
        group.first_at = min(group.first_at or first_at, first_at)
        group.last_at = max(group.last_at or last_at, last_at)
        newest[group.signature] = max(newest.get(group.signature, (False, 0)), (state != "done", job_id))
    errors = last_errors(session, [job_id for _, job_id in newest.values()])
    for group in groups.values():
        group.sample_id = newest[group.signature][1]
        group.sample = errors.get(group.sample_id) or group.signature
    return sorted(groups.values(), key=lambda g: (-g.dead, -g.trying, -g.solved, g.signature))


def last_errors(session: Session, job_ids: Sequence[int]) -> dict[int, str]:
    """What went wrong last in each of these jobs, as far as something did."""
    return {
        job_id: error
        for part in chunks(job_ids)
        for job_id, error in session.execute(
            sa.select(col(Job.id), col(Job.last_error)).where(col(Job.id).in_(part), col(Job.last_error).is_not(None))
        )
    }


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


SEARCHED = 20_000
"""Runs whose texts are looked through: no index helps with what stands anywhere in them."""


def runs(
    session: Session,
    *,
    state: str = "",
    stage: str = "",
    kind: str = "",
    text: str = "",
    in_texts: bool = True,
    about: Sequence[sa.ColumnElement[bool]] = (),
    before: int | None = None,
    limit: int = 50,
) -> list[Job]:
    """Jobs, newest first.

    `text` is looked for in kind and key of the newest `SEARCHED`, with `in_texts` in arguments and last error as well,
    which may hold addresses; `about` are conditions of `runs_about`, `before` is the id to go on from.
    """
    query = select(Job).where(*about)
    if state:
        query = query.where(Job.state == state)
    if stage:
        query = query.where(Job.stage == stage)
    if kind:
        query = query.where(Job.kind == kind)
    if text:
        columns: list[Any] = [col(Job.kind), col(Job.key)]
        if in_texts:
            columns += [col(Job.last_error), sa.cast(col(Job.payload), sa.Text)]
        query = query.where(or_(*(column.icontains(text, autoescape=True) for column in columns)))
        newest = before or (session.exec(select(func.max(Job.id))).one() or 0) + 1
        query = query.where(col(Job.id) >= newest - SEARCHED)
    if before is not None:
        query = query.where(col(Job.id) < before)
    return list(session.exec(query.order_by(col(Job.id).desc()).limit(limit)))


def runs_of_cause(session: Session, signature: str, *, limit: int) -> list[Job]:
    """Jobs whose last try failed for one cause, newest first: given up, waiting for another try, or at it."""
    query = select(Job).where(Job.signature == signature, col(Job.state) != "done")
    return list(session.exec(query.order_by(col(Job.id).desc()).limit(limit)))


def fetch_of(session: Session, job: Job) -> Fetch | None:
    """The ledger row a run, or the run before it, is about."""
    for one in (job, *reversed(causes(session, job))):
        fetch_id = one.payload.get("fetch_id")
        if isinstance(fetch_id, int):
            return session.get(Fetch, fetch_id)
        feed_id, slot = one.payload.get("feed_id"), one.payload.get("slot")
        if isinstance(feed_id, int) and isinstance(slot, str):
            batch, cursor = one.payload.get("batch", ""), one.payload.get("cursor", "")
            return session.exec(
                select(Fetch).where(
                    Fetch.feed_id == feed_id, Fetch.slot == slot, Fetch.batch == batch, Fetch.cursor == cursor
                )
            ).first()
    return None


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
    reader: str = "",
    since: datetime | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[tuple[Delivery, Subscriber, Edition, Subscription]]:
    """Deliveries with all they belong to, newest first; `reader` as `deliveries.of_reader` takes it."""
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
    if reader:
        query = query.where(*deliveries.of_reader(session, reader))
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
