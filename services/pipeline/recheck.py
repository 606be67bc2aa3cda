"""Recheck: young papers are read again at Hugging Face, one by one, for what comes late: votes, comments, the
summary, linked models, datasets and spaces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import structlog
from sqlmodel import Session

from services.domain.errors import MalformedDocument, RateLimited, UpstreamError, UpstreamRejected
from services.domain.feeds import DocumentInfo
from services.domain.jobs import Claim, NewJob
from services.domain.papers import PaperData
from services.domain.rechecks import AGES, after_miss, keep_said, next_recheck
from services.pipeline.split import split
from services.runtime import Runtime
from services.storage import feeds, papers, rechecks
from services.storage.rechecks import DueCheck
from services.upstreams import hf_papers
from services.upstreams.http import Fetched

log = structlog.get_logger(__name__)

SOURCE = "hf_papers"
BATCH = 25
"""Papers one job reads."""
NEEDED = timedelta(seconds=75)
"""What must be left of the lease to ask for one more."""

Outcome = PaperData | UpstreamError


def papers_to_recheck(session: Session, paper_ids: Sequence[int], *, feed_id: int, day: date, now: datetime) -> None:
    """Plan the looks at papers just listed; those older than the last look are left alone."""
    first = rechecks.announced_on(session, paper_ids)
    rows = []
    for paper_id in paper_ids:
        # A day of the calendar has no hour; what was listed today is as old as our knowledge of it.
        listed = datetime.combine(first.get(paper_id, day), time(), UTC)
        since = max(listed, now) if listed.date() >= now.date() else listed + timedelta(hours=12)
        due = next_recheck(since, now)
        if due is not None:
            rows.append({
                "paper_id": paper_id, "source": SOURCE, "feed_id": feed_id, "since_at": since, "next_check_at": due,
                "misses": 0,
            })  # fmt: skip
    rechecks.ensure(session, rows)


def recheck_jobs(check_ids: Sequence[int], reason: str) -> list[NewJob]:
    """Jobs that read papers again, a batch each; `reason` makes their keys."""
    return [
        NewJob(
            kind="recheck_papers",
            key=f"{reason} {start}",
            payload={"check_ids": list(check_ids[start : start + BATCH])},
            priority=5,
        )
        for start in range(0, len(check_ids), BATCH)
    ]


def recheck_papers(rt: Runtime, claim: Claim) -> None:
    """Read up to 25 papers again: payload `check_ids`.

    What was read is written in one transaction. If the host asks for patience, or the lease runs out, the rest stays
    due and comes with a later job.
    """
    with rt.reading() as session:
        due = rechecks.load(session, claim.payload["check_ids"], now=rt.now())
        by_feed = {check.check.feed_id: feeds.by_id(session, check.check.feed_id) for check in due}
    outcomes: list[tuple[DueCheck, Outcome]] = []
    waiting: RateLimited | None = None
    for one in due:
        if outcomes and claim.lease_until - rt.now() < NEEDED:
            break
        try:
            outcomes.append((one, _read(rt, one)))
        except RateLimited as error:
            if not outcomes:
                raise
            waiting = error
            break
        except UpstreamError as error:
            outcomes.append((one, error))
    counted = {"read": 0, "changed": 0, "missed": 0}
    with rt.step(claim) as step:
        session = step.session
        for one, outcome in outcomes:
            check_id, since = one.check.id or 0, one.check.since_at
            feed = by_feed.get(one.check.feed_id)
            if isinstance(outcome, UpstreamError) or feed is None:
                misses = one.check.misses + 1
                gone = isinstance(outcome, UpstreamRejected) and outcome.status in (404, 410)
                again = next_recheck(since, step.now) if gone else after_miss(since, step.now, misses)
                rechecks.record(
                    session, check_id, next_check_at=again, checked_at=step.now, misses=misses,
                    error=str(outcome)[:500] if isinstance(outcome, UpstreamError) else "its feed is gone",
                )  # fmt: skip
                counted["missed"] += 1
                continue
            day = outcome.announced_on or since.date()
            stored = papers.store_page(
                session, [outcome], feed=feed, source=SOURCE, day=day, now=step.now, read_on=step.now.date()
            )
            rechecks.record(
                session, check_id, next_check_at=next_recheck(since, step.now), checked_at=step.now, misses=0,
                error=None,
            )  # fmt: skip
            counted["read"] += 1
            counted["changed"] += stored.changed
        later = [one.check.id for one in due[len(outcomes) :] if one.check.id is not None]
        for check_id in later:
            wait = waiting.retry_after if waiting and waiting.retry_after else timedelta(minutes=1)
            rechecks.record(session, check_id, next_check_at=step.now + wait)
        rechecks.end_due(session, claim.payload["check_ids"], now=step.now)
    log.info("papers.rechecked", asked=len(due), later=len(later), **counted)


def _read(rt: Runtime, one: DueCheck) -> PaperData:
    request = hf_papers.paper_request(one.value, rt.urls)
    answer = rt.get(request)
    if not isinstance(answer, Fetched):
        raise MalformedDocument("an answer without a document", url=request.url)
    about = DocumentInfo(
        feed="recheck", kind=SOURCE, url=request.url, content_type=answer.headers.get("content-type", ""),
        fetched_at=rt.now(), as_of=None,
    )  # fmt: skip
    record = hf_papers.parse_paper(answer.body, about)
    return keep_said(record, one.said)


def recheck_failed(session: Session, claim: Claim, error: BaseException, rt: Runtime, final: bool) -> None:
    """Papers whose job is given up are due again tomorrow, so that none is forgotten."""
    if not final or split(session, claim, error, "check_ids", now=rt.now()):
        return
    for check_id in claim.payload["check_ids"]:
        rechecks.record(session, check_id, next_check_at=rt.now() + AGES[1], error=str(error)[:500])
