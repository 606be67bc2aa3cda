"""The past: days of a source that are missing are fetched, documents that are kept are parsed again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from services.domain.batches import page_start, settled
from services.domain.errors import BroadsheetError, InvalidInput
from services.domain.feeds import DocumentInfo
from services.domain.papers import Rejected
from services.pipeline.by_hand import READING, ask, carry_out
from services.pipeline.fetch import info, page_job
from services.pipeline.parse import day_of, source_of, store
from services.pipeline.repo_jobs import enrich_jobs
from services.runtime import Runtime
from services.storage import batches, documents, feeds, jobs
from services.storage.tables import Feed, Fetch, Job, Rejection
from services.upstreams import kinds
from services.upstreams.detect import detect_kind

# -- backfill --------------------------------------------------------------------------------------------------

SLOT = "backfill"


@dataclass(slots=True)
class DayReport:
    """What one day of a backfill came to. `state`: done, skipped (complete already), failed, waiting."""

    day: date
    state: str
    announced: int | None = None
    seen: int = 0
    new: int = 0
    changed: int = 0
    known: int = 0
    rejected: int = 0
    error: str | None = None


def backfill(
    rt: Runtime, name: str, days: Sequence[date], *, again: bool = False, stop: threading.Event | None = None
) -> Iterator[DayReport]:
    """Fetch and parse these days of a feed one after the other, in this process.

    A day whose listing was read after it had ended is skipped unless `again`; a day that was begun is gone on
    with, so an interrupted backfill is resumed by asking for it once more. Raises `InvalidInput` for sources
    without a past.
    """
    with rt.reading() as session:
        feed = feeds.get(session, name)
    assert feed.id is not None
    upstream = kinds.for_kind(feed.kind)
    if not upstream.by_day:
        raise InvalidInput(
            f"{name} is a feed of kind {feed.kind}, which has no past to fetch: it shows only what is on it now. "
            f"Days can be asked of {', '.join(k for k, u in kinds.KINDS.items() if u.by_day)}; saved copies come in by "
            "`broadsheet import`."
        )
    upstream.request(info(feed), rt.urls, batch=days[0].isoformat() if days else "")
    stop = stop or threading.Event()
    for day in days:
        if stop.is_set():
            return
        yield _one_day(rt, feed, day, again, stop)


def _one_day(rt: Runtime, feed: Feed, day: date, again: bool, stop: threading.Event) -> DayReport:
    assert feed.id is not None
    batch = day.isoformat()
    with rt.reading() as session:
        pages = feeds.pages(session, feed.id, batch=batch)
        known = batches.find(session, feed.id, batch)
        if not again and known is not None and settled(known.state, known.checked_at, day):
            newest = [p for p in pages if p.slot == pages[-1].slot]
            return _day_report(day, "skipped", newest)
        slot = _slot(session, feed, batch, rt.now())
    job = replace(page_job(feed.id, feed.name, slot=slot, batch=batch), priority=5)
    left = carry_out(rt, [ask(rt, job)], kinds=READING, stop=stop)
    with rt.reading() as session:
        report = _day_report(day, "done", feeds.pages(session, feed.id, slot=slot, batch=batch))
    trouble = next((j for j in left if j.state != "done"), None)
    if trouble is not None:
        report.state = "failed" if trouble.state == "dead" or trouble.signature else "waiting"
        report.error = trouble.last_error or f"not finished; due again at {trouble.due_at:%H:%M:%S} UTC"
    return report


def _slot(session: Session, feed: Feed, batch: str, now: datetime) -> str:
    """The slot to ask for a day under: the one whose asking is not done yet, else a new one (a page of a slot is
    fetched once)."""
    unfinished = session.exec(
        select(Job)
        .where(
            Job.kind == "fetch_feed",
            col(Job.state) != "done",
            col(Job.key).startswith(f"{feed.name} {SLOT} ", autoescape=True),
            col(Job.key).endswith(f" {batch}"),
        )
        .order_by(col(Job.id).desc())
    ).first()
    return str(unfinished.payload["slot"]) if unfinished else f"{SLOT} {now:%Y-%m-%dT%H:%M:%S.%fZ}"


def _day_report(day: date, state: str, pages: Sequence[Fetch]) -> DayReport:
    """The sum of a day's pages (ledger rows, oldest first).

    Of a page that was asked for again (`400~2`) the last reading counts; but what is new was new on the first.
    """
    read = {page_start(page.cursor): page for page in pages}.values()
    seen, rejected = sum(page.seen for page in read), sum(page.rejected for page in read)
    new, changed = sum(page.new for page in pages), sum(page.changed for page in pages)
    return DayReport(
        day, state, announced=max((p.announced for p in pages if p.announced is not None), default=None), seen=seen,
        new=new, changed=changed, known=max(seen - new - changed - rejected, 0), rejected=rejected,
    )  # fmt: skip


# -- replay ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ReplayReport:
    """What parsing a feed's kept documents again brought. `errors` are (address, reason)."""

    documents: int = 0
    entries: int = 0
    new: int = 0
    changed: int = 0
    known: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)


def replay(
    rt: Runtime,
    name: str,
    *,
    since: date | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> ReplayReport:
    """Parse a feed's kept documents again, oldest first, each in a transaction of its own.

    A document that cannot be parsed leaves papers and ledger as they are and is named in the report. Nothing is
    fetched; doing it again changes nothing.
    """
    report = ReplayReport()
    with rt.reading() as session:
        feed = feeds.get(session, name)
        newest = (
            select(func.max(Fetch.id))
            .where(Fetch.feed_id == feed.id, col(Fetch.document_id).is_not(None), col(Fetch.state) != "fetched")
            .group_by(col(Fetch.document_id), col(Fetch.batch), col(Fetch.cursor))
        )
        if since is not None:
            newest = newest.where(Fetch.fetched_at >= datetime(since.year, since.month, since.day, tzinfo=UTC))
        wanted = sorted(i for i in session.exec(newest) if i is not None)
    for done, fetch_id in enumerate(wanted, 1):
        if stop is not None and stop.is_set():
            break
        try:
            _replay_one(rt, feed, fetch_id, report)
        except BroadsheetError as error:
            with rt.reading() as session:
                report.errors.append((feeds.get_fetch(session, fetch_id).url, str(error)))
        if progress is not None:
            progress(done, len(wanted))
    return report


def _replay_one(rt: Runtime, feed: Feed, fetch_id: int, report: ReplayReport) -> None:
    with rt.reading() as session:
        fetch = feeds.get_fetch(session, fetch_id)
        assert fetch.document_id is not None
        body, content_type = documents.read(session, fetch.document_id)
    imported = fetch.slot == "import"
    # An import feed takes files of several kinds: each says what it is.
    kind = detect_kind(body, fetch.url) if imported else fetch.via or feed.kind
    about = DocumentInfo(
        feed=feed.name, kind=kind, url=fetch.url, content_type=content_type, fetched_at=fetch.fetched_at,
        batch="" if imported else fetch.batch, cursor=None if imported else fetch.cursor or None,
        as_of=date.fromisoformat(fetch.batch) if imported and fetch.batch else None,
    )  # fmt: skip
    parsed = kinds.for_kind(kind).parse(body, about)
    source = source_of(feed) if kind == feed.kind else (f"rss:{feed.name}" if kind == "rss" else kind)
    with rt.writing() as session:
        now = rt.now()
        read_on = None if imported else fetch.fetched_at.date()
        stored, rejected = store(session, parsed, feed=feed, day=day_of(about), now=now, source=source, read_on=read_on)
        # The row goes on telling what became of each entry: new when it first came, not on the second reading.
        usable = parsed.seen - len(rejected)
        new = min(fetch.new + stored.new, usable)
        changed = min(fetch.changed + stored.changed, usable - new)
        session.execute(delete(Rejection).where(col(Rejection.fetch_id) == fetch_id))
        feeds.complete_fetch(
            session,
            fetch_id,
            rejected,
            state="parsed",
            parsed_at=fetch.parsed_at or now,
            announced=parsed.announced,
            seen=parsed.seen,
            new=new,
            changed=changed,
            known=usable - new - changed,
            rejected=len(rejected),
            error=None,
            notes=list(parsed.notes),
        )
        reason = f"replay {fetch_id} {now:%Y-%m-%dT%H:%M:%SZ}"
        hints = jobs.add(session, enrich_jobs(rt, session, stored.new_repo_ids, reason), now=now)
    rt.publish(hints)
    report.documents += 1
    report.entries += parsed.seen
    report.new += stored.new
    report.changed += stored.changed
    report.known += parsed.seen - stored.new - stored.changed - len(rejected)
    report.rejected += rejected
