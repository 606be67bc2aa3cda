"""Parse: kept bytes become papers, and the ledger row of their fetch is completed.

bytes → upstream.parse → entries and rejections → one transaction: papers, ledger, next page, enrich jobs
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError, StatementError
from sqlmodel import Session

from services.domain.feeds import DocumentInfo
from services.domain.jobs import Claim
from services.domain.papers import PaperData, ParsedFeed, Rejected
from services.pipeline import ledger, notices
from services.pipeline.fetch import feed_is_well, page_job
from services.pipeline.recheck import papers_to_recheck
from services.pipeline.repo_jobs import enrich_jobs
from services.runtime import Runtime
from services.storage import documents, feeds, papers
from services.storage.papers import Stored
from services.storage.tables import Feed, Fetch
from services.upstreams import kinds

log = structlog.get_logger(__name__)

REFUSED = (StatementError, ValueError, OverflowError)
"""What a database says of an entry that it cannot take.

A page is stored as it is first, and only when it was refused once more in savepoints: for these SQLite copies every
page of the database that changes, 30 MB for 2,000 papers in an archive of a million.
"""


def parse_document(rt: Runtime, claim: Claim) -> None:
    """Parse the document of one fetch: payload `fetch_id`."""
    with rt.reading() as session:
        fetch = feeds.get_fetch(session, claim.payload["fetch_id"])
        feed = feeds.by_id(session, fetch.feed_id)
        assert feed is not None
        assert fetch.document_id is not None
        body, content_type = documents.read(session, fetch.document_id)
    kind = fetch.via or feed.kind
    about = DocumentInfo(
        feed=feed.name, kind=kind, url=fetch.url, content_type=content_type, fetched_at=fetch.fetched_at,
        batch=fetch.batch, cursor=fetch.cursor or None,
    )  # fmt: skip
    rt.checkpoint("parse_document.read")
    parsed = kinds.for_kind(kind).parse(body, about)
    rt.checkpoint("parse_document.parsed")
    try:
        stored, rejected = _take_in(rt, claim, fetch, feed, parsed, about, halving=False)
    except REFUSED as error:
        if _is_databases_own(error):
            raise
        stored, rejected = _take_in(rt, claim, fetch, feed, parsed, about, halving=True)
    log.info(
        "document.parsed", feed=feed.name, batch=fetch.batch, seen=parsed.seen, new=stored.new,
        changed=stored.changed, known=stored.known, rejected=len(rejected),
    )  # fmt: skip


def _take_in(
    rt: Runtime, claim: Claim, fetch: Fetch, feed: Feed, parsed: ParsedFeed, about: DocumentInfo, *, halving: bool
) -> tuple[Stored, list[Rejected]]:
    """The one transaction of a page."""
    with rt.step(claim) as step:
        stored, rejected = store(
            step.session, parsed, feed=feed, day=day_of(about), now=step.now, source=fetch.via or None,
            read_on=fetch.fetched_at.date(), halving=halving,
        )  # fmt: skip
        record(step.session, fetch.id or 0, parsed, stored, rejected, now=step.now)
        if parsed.next_cursor and feed.id is not None:
            following = page_job(
                feed.id, feed.name, slot=fetch.slot, batch=fetch.batch, cursor=parsed.next_cursor, via=fetch.via
            )
            step.add([following])
        feed_is_well(rt, step.session, feed)
        ttl = round(parsed.ttl / timedelta(minutes=1)) if parsed.ttl else None
        if ttl != feed.ttl_minutes:
            feeds.update_feed(step.session, feed.id or 0, ttl_minutes=ttl)
        came = ledger.Came(parsed=parsed, paper_ids=stored.paper_ids, new=stored.new)
        ledger.sum_up(step.session, feed, fetch.id or 0, now=step.now, came=came)
        if about.kind == "hf_papers":
            papers_to_recheck(step.session, stored.paper_ids, feed_id=feed.id or 0, day=day_of(about), now=step.now)
        step.add(enrich_jobs(rt, step.session, stored.new_repo_ids, f"fetch {fetch.id}"))
    return stored, rejected


def parse_failed(session: Session, claim: Claim, error: BaseException, rt: Runtime, final: bool) -> None:
    """A document that cannot be parsed is a failed fetch: the ledger, the feed and the next slot know."""
    if not final:
        return
    words = rt.redact(str(error))[:2000]
    fetch = feeds.get_fetch(session, claim.payload["fetch_id"])
    feeds.complete_fetch(session, claim.payload["fetch_id"], [], state="failed", error=words)
    feed = feeds.by_id(session, fetch.feed_id)
    if feed is not None and feed.id is not None:
        failures = feed.failures + 1
        feeds.update_feed(session, feed.id, failures=failures, last_error=words)
        ledger.failed(session, feed, fetch.batch, words, now=rt.now())
        notices.feed_failed(rt, session, feed, failures=failures, error=words)
    log.warning("document.malformed", fetch=claim.payload["fetch_id"], error=words, at=rt.now().isoformat())


def day_of(about: DocumentInfo) -> date:
    """The day a document's entries belong to where they name none."""
    if about.batch:
        try:
            return date.fromisoformat(about.batch)
        except ValueError:
            pass  # a week or a month: the entries carry their days
    return about.as_of or about.fetched_at.date()


def source_of(feed: Feed) -> str:
    """Who speaks in this feed's documents: all arXiv API feeds are one voice, every feed of the wild its own."""
    return f"rss:{feed.name}" if feed.kind == "rss" else feed.kind


def store(
    session: Session,
    parsed: ParsedFeed,
    *,
    feed: Feed | None,
    day: date,
    now: datetime,
    source: str | None = None,
    read_on: date | None = None,
    halving: bool = True,
) -> tuple[Stored, list[Rejected]]:
    """Store a page. If the database refuses it, the page is halved until the entry it cannot take is alone; unless
    `halving`, one of `REFUSED` is raised and the transaction is lost.

    Without `feed` it is answers of `source` about papers we hold.

    `read_on` is the day the source itself was asked; a recording that is imported has none.
    """
    rejected = list(parsed.rejected)
    total = Stored()
    speaker = source or (source_of(feed) if feed is not None else "")

    def write(entries: Sequence[PaperData]) -> Stored:
        return papers.store_page(session, entries, feed=feed, source=speaker, day=day, now=now, read_on=read_on)

    if not halving:
        return write(parsed.papers), rejected
    left = [parsed.papers]
    while left:
        entries = left.pop()
        try:
            with session.begin_nested():
                done = write(entries)
        except REFUSED as error:
            if len(entries) > 1:
                middle = len(entries) // 2
                left += [entries[middle:], entries[:middle]]
                continue
            if _is_databases_own(error):
                raise
            entry = entries[0]
            position = entry.rank or parsed.papers.index(entry) + 1
            reason = f"the database refuses it: {str(error.__cause__ or error)[:200]}"
            rejected.append(Rejected(reason=reason, entry=entry.title[:500], position=position))
            continue
        for name in ("new", "changed", "known", "merged", "alike", "events"):
            setattr(total, name, getattr(total, name) + getattr(done, name))
        total.paper_ids += done.paper_ids
        total.new_repo_ids += done.new_repo_ids
    return total, rejected


def _is_databases_own(error: Exception) -> bool:
    """Whether the database is in trouble (lost, full, in a deadlock, of another schema): no fault of the entry's."""
    if not isinstance(error, (OperationalError, InterfaceError, ProgrammingError)):
        return False
    # PostgreSQL files what is too long for an index under its own limits (SQLSTATE class 54).
    return not str(getattr(error.orig, "sqlstate", None) or "").startswith("54")


def record(
    session: Session, fetch_id: int, parsed: ParsedFeed, stored: Stored, rejected: Sequence[Rejected], *, now: datetime
) -> None:
    """Complete a fetch's ledger row. `known` counts entries, too, that repeat a paper of the same page."""
    feeds.complete_fetch(
        session, fetch_id, rejected, state="parsed", parsed_at=now, announced=parsed.announced, seen=parsed.seen,
        new=stored.new, changed=stored.changed, known=parsed.seen - stored.new - stored.changed - len(rejected),
        rejected=len(rejected), next_cursor=parsed.next_cursor, error=None, notes=list(parsed.notes),
    )  # fmt: skip
