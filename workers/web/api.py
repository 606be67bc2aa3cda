"""API: the archive and the ledgers as JSON, in the shapes of the command line's `--json`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request

from services.domain.errors import InvalidInput, NotFound
from services.domain.export import paper_json
from services.pipeline import views
from services.storage import archive, feeds, jobs, reports
from services.storage.tables import Job
from workers.web.auth import require_operator_or_token
from workers.web.kit import WebKit
from workers.web.listing import find
from workers.web.security import client_of

router = APIRouter(prefix="/api/v1", tags=["archive"])
operators = APIRouter(
    prefix="/api/v1", tags=["operators"], dependencies=[Depends(require_operator_or_token)],
    responses={401: {"description": "no session and no token"}},
)  # fmt: skip


@router.get("/papers", summary="Papers of a day, or those a query finds", responses={400: {"description": "query"}})
def list_papers(
    request: Request, web: WebKit,
    q: Annotated[str, Query(max_length=2000, description="Lucene syntax; empty: all")] = "",
    day: Annotated[date | None, Query(description="Papers listed on this day")] = None,
    since: Annotated[date | None, Query(description="Listed on this day or later")] = None,
    until: Annotated[date | None, Query(description="Listed on this day or before")] = None,
    sort: Literal["trending", "newest", "upvotes", "stars"] = "trending",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> dict[str, Any]:  # fmt: skip
    """Without a day: the last 30 days with `q`, else the newest day. `total` counts what is beyond the limit, too."""
    if day is None and (q or since or until):
        wait = web.searches.take(client_of(request))
        if wait:
            raise HTTPException(429, "too many searches", {"Retry-After": str(int(wait) + 1)})
    try:
        with web.rt.reading() as session:
            found = find(web.rt, session, day=day, q=q, sort=sort, since=since, until=until)
    except InvalidInput as error:
        raise HTTPException(400, str(error)) from error
    return {
        "total": len(found.papers), "looked_at": found.looked_at, "complete": not found.cut,
        "since": found.since, "until": found.until,
        "papers": [paper_json(paper) for paper in found.papers[offset : offset + limit]],
    }  # fmt: skip


@router.get("/papers/{key:path}", summary="One paper", responses={404: {"description": "not in the archive"}})
def get_paper(web: WebKit, key: str) -> dict[str, Any]:
    """By its key, any identifier, a bare arXiv id, a DOI or an address; with its listings."""
    try:
        with web.rt.reading() as session:
            paper = archive.get(session, key[:2000], now=web.rt.now())
            seen = archive.sightings(session, paper.id)
    except NotFound as error:
        raise HTTPException(404, "no paper is known by that name") from error
    listed = [{"feed": feed, "day": day, "rank": rank, "seen_at": _time(at)} for feed, day, rank, at in seen]
    return {**paper_json(paper), "sightings": listed}


@router.get("/feeds", summary="Feeds, and what their newest batch came to")
def list_feeds(web: WebKit) -> list[dict[str, Any]]:
    """All feeds that are not retired."""
    now = web.rt.now()
    with web.rt.reading() as session:
        rows = [
            (feed, views.source_status(session, feed, since=now - timedelta(days=1)))
            for feed in feeds.list_all(session)
        ]
    return [
        {
            "name": feed.name, "title": feed.title, "kind": feed.kind, "paused": feed.paused, "state": status.state,
            "announced": status.announced, "stored": status.stored, "as_of": _time(status.as_of),
            "next_check_at": None if feed.paused else _time(feed.next_check_at),
            "last_success_at": _time(feed.last_success_at), "atom": web.rt.url(f"/feeds/{feed.name}.atom"),
        }
        for feed, status in rows
    ]  # fmt: skip


@operators.get("/runs", summary="Jobs with state, tries and last error, newest first")
def list_runs(
    web: WebKit,
    state: Literal["", "ready", "running", "done", "dead"] = "",
    stage: Literal["", "fetch", "parse", "enrich", "notify"] = "",
    kind: Annotated[str, Query(max_length=40)] = "",
    text: Annotated[str, Query(max_length=200, description="Part of the key or of the last error")] = "",
    before: Annotated[int | None, Query(ge=1, description="Go on from this id")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[dict[str, Any]]:
    """The ledger of work."""
    with web.rt.reading() as session:
        rows = reports.runs(session, state=state, stage=stage, kind=kind, text=text, before=before, limit=limit)
    return [run_json(job) for job in rows]


@operators.get("/runs/{run_id}", summary="One job with its tries", responses={404: {"description": "no such run"}})
def get_run(web: WebKit, run_id: int) -> dict[str, Any]:
    """Every try with outcome, worker and traceback."""
    try:
        with web.rt.reading() as session:
            job = jobs.get(session, run_id)
            tries = jobs.attempts(session, run_id)
    except NotFound as error:
        raise HTTPException(404, str(error)) from error
    return {
        **run_json(job),
        "tries": [
            {
                "number": t.number, "worker": t.worker, "started_at": _time(t.started_at),
                "finished_at": _time(t.finished_at), "outcome": t.outcome, "error": t.error, "traceback": t.traceback,
            }
            for t in tries
        ],
    }  # fmt: skip


@operators.get("/deliveries", summary="Deliveries, newest first")
def list_deliveries(
    web: WebKit,
    state: Annotated[str, Query(max_length=20)] = "",
    channel: Annotated[str, Query(max_length=20)] = "",
    before: Annotated[int | None, Query(ge=1, description="Go on from this id")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[dict[str, Any]]:
    """Each with its edition's papers."""
    with web.rt.reading() as session:
        rows = reports.list_deliveries(
            session, states=[state] if state else [], channel=channel, before=before, limit=limit
        )
        papers = reports.papers_of(session, [edition.id or 0 for _, _, edition, _ in rows])
    return [
        {
            "id": d.id, "edition": d.edition_id, "to": p.address, "channel": d.channel, "state": d.state,
            "message_id": d.message_id, "attempts": d.attempts, "code": d.code, "detail": d.detail,
            "subscription": s.name, "planned_at": _time(d.planned_at), "sent_at": _time(d.sent_at),
            "papers": list(papers.get(d.edition_id, ())),
        }
        for d, p, _, s in rows
    ]  # fmt: skip


def run_json(job: Job) -> dict[str, Any]:
    """One job."""
    return {
        "id": job.id, "kind": job.kind, "key": job.key, "stage": job.stage, "state": job.state,
        "attempts": job.attempts,
        "due_at": _time(job.due_at), "created_at": _time(job.created_at), "started_at": _time(job.started_at),
        "finished_at": _time(job.finished_at), "last_error": job.last_error, "signature": job.signature,
        "cause": job.cause_id, "payload": job.payload,
    }  # fmt: skip


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None
