"""Listing: the papers of a day, or those a query finds; the same for the pages and the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice

from sqlmodel import Session

from services.domain.papers import PaperFacts
from services.domain.queries import Query, parse_query
from services.domain.ranking import ORDERS, rank
from services.runtime import Runtime
from services.storage import reports, search

LOOK_BACK = timedelta(days=30)
"""How far a query without a day looks."""

MOST = 2000
"""Papers taken from one search, the newest; it says so when there are more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was asked for, best first."""

    papers: tuple[PaperFacts, ...]
    looked_at: int
    """Papers listed on those days, whether they match or not."""
    cut: bool
    """More match than are taken."""
    since: date | None
    until: date | None
    query: Query | None = None

    def why(self, paper: PaperFacts) -> tuple[str, ...]:
        """What of the query a paper matches, in words; nothing without a query."""
        return self.query.explain(paper) if self.query is not None else ()


def find(
    rt: Runtime, session: Session, *, day: date | None, q: str, sort: str = "trending", since: date | None = None,
    until: date | None = None,
) -> Found:  # fmt: skip
    """The papers of `day`; with a query and no day those that match of the 30 days up to the newest; else the
    newest day's.

    Raises `QueryError` for a query and `InvalidInput` for an order that cannot be used.
    """
    now = rt.now()
    query = parse_query(q) if q.strip() else None
    order = sort or "trending"
    if day is not None:
        since = until = day
    elif since is None and until is None:
        until = reports.newest_day(session)
        since = until if query is None or until is None else until - LOOK_BACK
    else:
        until = until or now.astimezone(UTC).date() + timedelta(days=1)
        since = since or until - LOOK_BACK
    if since is None or until is None:
        rank((), now=now, order=order)  # an order that is none is refused in an empty archive, too
        return Found(papers=(), looked_at=0, cut=False, since=None, until=None, query=query)
    # A day that has passed is ordered as it stood at its end, not by how long ago that was.
    moment = min(now, datetime.combine(until + timedelta(days=1), time(), UTC))
    matching = search.find_papers(session, query or Query(""), now=now, since=since, until=until)
    taken = list(islice(matching, MOST + 1))
    return Found(
        papers=tuple(rank(taken[:MOST], now=moment, order=order)),
        looked_at=reports.listed_on(session, since, until) if query is not None else len(taken),
        cut=len(taken) > MOST,
        since=since,
        until=until,
        query=query,
    )


__all__ = ["LOOK_BACK", "ORDERS", "Found", "find"]
