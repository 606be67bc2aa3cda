"""Fetch: one conditional GET of one page of one feed.

gate → GET with validators → 200: keep the bytes, add the parse job
                          → 304: repeat what is known of the page, go on to its next one
                          → error: the ledger and the feed say so, the job is tried again
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import structlog
from sqlmodel import Session

from services.domain.errors import RateLimited
from services.domain.feeds import FeedInfo, FeedRequest
from services.domain.jobs import Claim, NewJob
from services.domain.schedule import next_check_at
from services.pipeline import ledger, notices
from services.runtime import Runtime, Step
from services.storage import documents, feeds
from services.storage.tables import Feed
from services.upstreams import kinds
from services.upstreams.http import Fetched, NotModified, Validators

log = structlog.get_logger(__name__)


def fetch_feed(rt: Runtime, claim: Claim) -> None:
    """Fetch the page `claim` names: payload `feed_id`, `slot`, `batch` (a day or empty), `cursor`."""
    with rt.reading() as session:
        feed = feeds.by_id(session, claim.payload["feed_id"])
        if feed is None or feed.retired:
            feed = None
        else:
            request = _request(feed, rt, claim.payload)
            kept = None if request.fresh else documents.validators(session, request.url)
    if feed is None:
        with rt.step(claim):
            log.info("feed.gone", feed_id=claim.payload["feed_id"])
        return
    known = Validators(etag=kept.etag, last_modified=kept.last_modified) if kept else None
    rt.checkpoint("fetch_feed.asking")
    answer = rt.get(request, known)
    rt.checkpoint("fetch_feed.answered")
    with rt.step(claim) as step:
        if isinstance(answer, NotModified):
            fetch_id = _repeat_page(step, feed, request.url, kept.document_id if kept else None)
            _feed_answered(step, feed, answer, rt)
            feed_is_well(rt, step.session, feed)
            ledger.sum_up(step.session, feed, fetch_id, now=step.now)
        else:
            _keep_page(step, feed, request.url, answer)
            _feed_answered(step, feed, answer, rt)
    log.info(
        "feed.fetched", feed=feed.name, batch=claim.payload["batch"], cursor=claim.payload["cursor"],
        status=304 if isinstance(answer, NotModified) else answer.status,
        bytes=0 if isinstance(answer, NotModified) else len(answer.body),
    )  # fmt: skip


def _request(feed: Feed, rt: Runtime, payload: Mapping[str, Any]) -> FeedRequest:
    """What a page job asks for: of the feed's own kind, or by the way that still shows a day it no longer does."""
    asked, batch = info(feed), payload["batch"]
    if payload.get("via"):
        elsewhere = kinds.for_kind(feed.kind).elsewhere
        assert elsewhere is not None
        asked, batch = elsewhere(asked, date.fromisoformat(batch)), ""
    return kinds.for_kind(asked.kind).request(asked, rt.urls, batch=batch, cursor=payload["cursor"] or None)


def fetch_failed(session: Session, claim: Claim, error: BaseException, rt: Runtime, final: bool) -> None:
    """Write a failed try into the ledger and onto the feed. A host that asks for patience has not failed."""
    feed = feeds.by_id(session, claim.payload["feed_id"])
    if feed is None or feed.id is None:
        return
    waiting = isinstance(error, RateLimited)
    now = rt.now()
    words = rt.redact(str(error))[:2000]
    if final or not waiting:
        feeds.record_fetch(
            session, _ledger(feed, claim, state="failed", fetched_at=now, status=getattr(error, "status", None),
                             error=words)
        )  # fmt: skip
        ledger.failed(session, feed, claim.payload["batch"], words, now=now)
    failures = feed.failures + (not waiting)
    # That we wait does not make forgotten why the feed fails.
    said = feed.last_error if waiting and feed.failures else words
    feeds.update_feed(session, feed.id, failures=failures, last_error=said, last_fetched_at=now)
    if getattr(error, "status", None) == 410:
        # Gone is their word for "for ever": no more asking, but the history stays.
        feeds.update_feed(session, feed.id, retired=True)
        notices.feed_retired(rt, session, feed)
    elif not waiting:
        notices.feed_failed(rt, session, feed, failures=failures, error=words)


def feed_is_well(rt: Runtime, session: Session, feed: Feed) -> None:
    """An answer was read to its end: the count of failures begins anew, and whoever was told of them hears of it."""
    feeds.update_feed(session, feed.id or 0, failures=0, last_error=None)
    notices.feed_healed(rt, session, feed)


def info(feed: Feed) -> FeedInfo:
    """A feed row as upstream modules see it."""
    return FeedInfo(name=feed.name, kind=feed.kind, url=feed.url, params=feed.params)


def page_job(feed_id: int, feed_name: str, *, slot: str, batch: str = "", cursor: str = "", via: str = "") -> NewJob:
    """The job that fetches one page; its key makes a page of a slot one job, whoever adds it.

    `via` names the kind that is asked in place of the feed's own (see `Upstream.elsewhere`).
    """
    return NewJob(
        kind="fetch_feed",
        key=" ".join(part for part in (feed_name, slot, batch, cursor) if part),
        payload={"feed_id": feed_id, "slot": slot, "batch": batch, "cursor": cursor} | ({"via": via} if via else {}),
    )


def _ledger(feed: Feed, claim: Claim, **values: object) -> dict[str, object]:
    return {
        "feed_id": feed.id, "slot": claim.payload["slot"], "batch": claim.payload["batch"],
        "cursor": claim.payload["cursor"], "via": claim.payload.get("via", ""), **values,
    }  # fmt: skip


def _keep_page(step: Step, feed: Feed, url: str, answer: Fetched) -> None:
    content_type = answer.headers.get("content-type", "")
    document_id = documents.add(step.session, answer.body, content_type=content_type, now=step.now)
    fetch_id = feeds.record_fetch(
        step.session,
        _ledger(feed, step.claim, url=url, state="fetched", status=answer.status, document_id=document_id,
                fetched_at=step.now),
    )  # fmt: skip
    feeds.keep_validators(
        step.session, url, etag=answer.validators.etag, last_modified=answer.validators.last_modified,
        document_id=document_id, now=step.now,
    )  # fmt: skip
    # A slot that is fetched again has its old ledger row, and is parsed again.
    key = f"fetch {fetch_id} try {step.claim.attempt}"
    step.add([NewJob(kind="parse_document", key=key, payload={"fetch_id": fetch_id})])


def _repeat_page(step: Step, feed: Feed, url: str, document_id: int | None) -> int:
    """A 304 says the page is what it was: everything on it is known, and its next page is asked for."""
    before = feeds.last_parsed(step.session, document_id) if document_id is not None else None
    seen = before.seen if before else 0
    fetch_id = feeds.record_fetch(
        step.session,
        _ledger(
            feed, step.claim, url=url, state="parsed", status=304, document_id=document_id, fetched_at=step.now,
            parsed_at=step.now, announced=before.announced if before else None, seen=seen,
            known=seen - (before.rejected if before else 0), rejected=before.rejected if before else 0,
            next_cursor=before.next_cursor if before else None,
        ),
    )  # fmt: skip
    if before is not None and before.next_cursor and feed.id is not None:
        payload = step.claim.payload
        step.add(
            [
                page_job(
                    feed.id, feed.name, slot=payload["slot"], batch=payload["batch"], cursor=before.next_cursor,
                    via=payload.get("via", ""),
                )
            ]
        )  # fmt: skip
    return fetch_id


def _feed_answered(step: Step, feed: Feed, answer: Fetched | NotModified, rt: Runtime) -> None:
    values: dict[str, object] = {"last_fetched_at": step.now, "last_success_at": step.now}
    max_age = answer.max_age()
    interval = timedelta(minutes=feed.interval_minutes)
    if max_age is not None and step.now + max_age > feed.next_check_at and not kinds.for_kind(feed.kind).by_day:
        # They said how long their answer keeps: asking sooner would be impolite and bring nothing.
        values["next_check_at"] = next_check_at(
            now=step.now, last_slot=feed.next_check_at - interval, interval=interval, failures=0, retry_after=None,
            max_age=min(max_age, timedelta(days=1)), jitter=rt.jitter(),
        )  # fmt: skip
    moved = answer.permanent_url if feed.kind == "rss" and feed.url else None
    if moved and feeds.get(step.session, feed.name).url == feed.url:  # nobody gave it another one meanwhile
        values["url"] = moved
        log.info("feed.moved", feed=feed.name, to=moved)
    feeds.update_feed(step.session, feed.id or 0, **values)
