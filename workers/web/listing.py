"""Listing: the papers of some days, or those a query finds; the same for the pages, the files and the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice

from sqlmodel import Session

from services.domain.papers import PaperFacts
from services.domain.queries import Query, parse_query
from services.domain.ranking import ORDERS, rank
from services.runtime import Runtime
from services.storage import archive, reports, search, search_page
from services.storage.search_page import BY_DAY, BY_NOTICE, BY_STARS, MOST
from services.storage.standings import standings
from workers.web.spans import Span, span_of

LOOK_BACK = timedelta(days=30)
"""How far a query is tried for who asks what it would bring."""

RELEVANCE = "relevance"
_TAKE = {"newest": BY_DAY, RELEVANCE: BY_DAY, "stars": BY_STARS}
_LOOKED_THROUGH = 400
"""Papers read for one page of a query that only memory can answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of what was asked for, best first."""

    papers: tuple[PaperFacts, ...] = ()
    ids: tuple[int, ...] = ()
    """Of all that were found, best first; none where only memory can tell and not all were looked at."""
    total: int = 0
    """How many there are; at least so many where there are `more`."""
    within: int = 0
    """How many of them can be had, a page at a time."""
    more: bool = False
    """More match than were taken or looked at."""
    looked_at: int | None = None
    """Papers of those days, whether they match or not; `None` for all of the archive."""
    since: date | None = None
    until: date | None = None
    reached: date | None = None
    """How far back was looked, where not all of the archive was."""
    query: Query | None = None

    def why(self, paper: PaperFacts) -> tuple[str, ...]:
        """What of the query a paper matches, in words; nothing without a query."""
        return self.query.explain(paper) if self.query is not None else ()


def find(
    rt: Runtime, session: Session, *, span: Span | None = None, q: str, sort: str = "", since: date | None = None,
    until: date | None = None, start: int = 0, limit: int = MOST,
) -> Found:  # fmt: skip
    """The papers of `span`, or of the days from `since` to `until`; with a query and no days, those of the whole
    archive; else the newest day's. `limit` of them from `start` on.

    Raises `QueryError` for a query and `InvalidInput` for an order that cannot be used.
    """
    now = rt.now()
    query = parse_query(q, now.date()) if q.strip() else None
    everywhere = query is not None and span is None and since is None and until is None
    order = sort or ("newest" if everywhere else ORDERS[0])
    if order != RELEVANCE:
        rank((), now=now, order=order)  # an order that is none is refused in an empty archive, too
    if span is None and query is None and since is None and until is None:
        newest = reports.newest_day(session)
        if newest is None:
            return Found()
        span = span_of("day", newest)
    if span is not None:
        since, until = span.since, span.until
    wanted = query or Query("")
    taken = search_page.candidates(
        session, wanted, since=since, until=until, listed=span is not None and span.name == "day",
        take=_TAKE.get(order, BY_NOTICE),
    )  # fmt: skip
    # Days that have passed are ordered as they stood at their end, not by how long ago that was; the best of a long
    # time is what was noticed most in it.
    moment = min(now, datetime.combine(until + timedelta(days=1), time(), UTC)) if until else now
    ageing = span is None or span.name in {"day", "trending"}
    ids = _ordered(session, wanted, taken.ids, order, moment, ageing=ageing)
    if taken.exact:
        papers, total, more = archive.load(session, ids[start : start + limit], now=now), len(ids), taken.more
    else:
        looked = ids[: max(_LOOKED_THROUGH, start + limit + 1)]
        matching = list(islice(search_page.matching(session, looked, wanted, now=now), start + limit + 1))
        more = len(matching) > start + limit or len(looked) < len(ids) or taken.more
        papers, total = matching[start : start + limit], len(matching)
        ids = () if more else tuple(paper.id for paper in matching)
    looked_at = None
    if span is not None and span.name == "day":
        looked_at = reports.listed_on(session, span.since, span.until)
    elif since is not None or until is not None:
        looked_at = search_page.count(session, since, until)
    return Found(
        papers=tuple(papers), ids=ids, within=total, more=more, looked_at=looked_at, since=since, until=until,
        total=looked_at if query is None and looked_at is not None else total, reached=taken.reached, query=query,
    )  # fmt: skip


def _ordered(
    session: Session, query: Query, ids: Sequence[int], order: str, moment: datetime, *, ageing: bool
) -> tuple[int, ...]:
    if order == "newest":
        return tuple(ids)
    if order == RELEVANCE:
        scores = search.relevance(session, query, ids)
        return tuple(sorted(ids, key=lambda one: -scores.get(one, 0.0)))
    ranked = rank(standings(session, ids, now=moment), now=moment, order=order, ageing=ageing)
    return tuple(paper.id for paper in ranked)


__all__ = ["LOOK_BACK", "ORDERS", "RELEVANCE", "Found", "find"]
