"""API: papers of a day, papers that a query finds, one paper, the days there are. For everybody."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import HTTPException, Query, Request
from fastapi import Path as InPath
from pydantic import BeforeValidator, Field

from services.domain.errors import NotFound
from services.domain.export import paper_json
from services.storage import archive, reports
from workers.web.api.shape import Answer, Limit, part
from workers.web.kit import Web, WebKit
from workers.web.listing import find
from workers.web.security import client_of
from workers.web.spans import span_of

router = part("papers")

FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2200, 1, 1)


def _as_written(value: Any) -> Any:
    """A day is written 2026-11-24; what else could be read as one (a number of seconds) is none."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("write a day as 2026-11-24")
    return value


Day = Annotated[date, Field(ge=FIRST_DAY, le=LAST_DAY), BeforeValidator(_as_written)]


class Papers(Answer):
    """What was found, best first."""

    total: Annotated[int, Field(description="How many match; at least so many where `complete` is false")]
    looked_at: Annotated[int | None, Field(description="Papers of those days; null: all of the archive")]
    complete: bool
    since: date | None
    until: date | None
    papers: list[dict[str, Any]]
    next: int | None


class OneDay(Answer):
    """A day, and how many papers were listed on it."""

    day: date
    papers: int


class Days(Answer):
    """Some of the days, newest first."""

    items: list[OneDay]
    next: date | None


@router.get("/papers", summary="Papers of a day, or those a query finds")
def list_papers(
    request: Request, web: WebKit,
    q: Annotated[str, Query(max_length=2000, description="Lucene syntax; empty: all")] = "",
    day: Annotated[Day | None, Query(description="Papers listed on this day")] = None,
    since: Annotated[Day | None, Query(description="Announced on this day or later")] = None,
    until: Annotated[Day | None, Query(description="Announced on this day or before")] = None,
    sort: Literal["trending", "newest", "upvotes", "stars"] = "trending",
    limit: Limit = 100,
    cursor: Annotated[int, Query(ge=0, le=100_000, description="`next` of the page before")] = 0,
) -> Papers:  # fmt: skip
    """Without days: the whole archive with `q`, else the newest day. `total` counts what is beyond the limit, too."""
    return _find(request, web, q=q, day=day, since=since, until=until, sort=sort, limit=limit, cursor=cursor)


@router.get("/search", summary="Papers a query finds")
def search_papers(
    request: Request, web: WebKit,
    q: Annotated[str, Query(min_length=1, max_length=2000, description="Lucene syntax")],
    since: Annotated[Day | None, Query(description="Announced on this day or later")] = None,
    until: Annotated[Day | None, Query(description="Announced on this day or before")] = None,
    sort: Literal["trending", "newest", "upvotes", "stars"] = "trending",
    limit: Limit = 100,
    cursor: Annotated[int, Query(ge=0, le=100_000, description="`next` of the page before")] = 0,
) -> Papers:  # fmt: skip
    """As `/papers` with `q`."""
    return _find(request, web, q=q, day=None, since=since, until=until, sort=sort, limit=limit, cursor=cursor)


def _find(
    request: Request, web: Web, *, q: str, day: date | None, since: date | None, until: date | None, sort: str,
    limit: int, cursor: int,
) -> Papers:  # fmt: skip
    if day is None and (q or since or until):
        wait = web.searches.take(client_of(request))
        if wait:
            raise HTTPException(429, "too many searches", {"Retry-After": str(int(wait) + 1)})
    with web.rt.reading() as session:
        found = find(
            web.rt, session, span=span_of("day", day) if day else None, q=q, sort=sort, since=since, until=until,
            start=cursor, limit=limit,
        )  # fmt: skip
    after = cursor + limit
    return Papers(
        total=found.total, looked_at=found.looked_at, complete=not found.more, since=found.since,
        until=found.until, papers=[paper_json(paper) for paper in found.papers],
        next=after if after < found.within else None,
    )  # fmt: skip


@router.get("/papers/{key:path}", summary="One paper")
def get_paper(web: WebKit, key: Annotated[str, InPath(max_length=2000)]) -> dict[str, Any]:
    """By its key, any identifier, a bare arXiv id, a DOI or an address; with its listings."""
    try:
        with web.rt.reading() as session:
            paper = archive.get(session, key, now=web.rt.now())
            seen = archive.sightings(session, paper.id)
    except NotFound as error:
        raise NotFound("no paper is known by that name") from error
    listed = [{"feed": feed, "day": day, "rank": rank, "seen_at": _time(at)} for feed, day, rank, at in seen]
    return {**paper_json(paper), "sightings": listed}


@router.get("/days", summary="Days with papers, newest first")
def list_days(
    web: WebKit, cursor: Annotated[Day | None, Query(description="`next` of the page before: a day")] = None,
    limit: Annotated[int, Query(ge=1, le=366)] = 30,
) -> Days:  # fmt: skip
    """How many papers were listed on each of the days there are."""
    with web.rt.reading() as session:
        last = cursor or reports.newest_day(session)
        rows = reports.days(session, until=last, limit=limit + 1)[::-1] if last else []
    items = [OneDay(day=day, papers=number) for day, number in rows[:limit]]
    return Days(items=items, next=rows[limit][0] if len(rows) > limit else None)


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None
