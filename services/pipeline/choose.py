"""Choose: which papers a subscription's next edition holds, and why each of them.

    what came since the last edition → matches the query, is not muted, not put off → ranked → cut to the budget

Of 10,000 editions that are composed within a minute, the papers are read and cut into words once, and each different
query is tried once: see `services/domain/matching.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlmodel import Session

from services.digests.words import day
from services.domain.feedback import shut_out
from services.domain.indexed import Indexed
from services.domain.interests import Choice
from services.domain.matching import PaperSet
from services.domain.papers import PaperFacts
from services.domain.queries import Query, parse_query
from services.domain.ranking import reasons
from services.domain.schedule import LONG, LONGEST_GAP, is_catch_up
from services.pipeline import feedback
from services.pipeline.views import Pick, local_day
from services.runtime import Runtime
from services.storage import archive, editions
from services.storage.tables import Edition, Subscription

OVERLAP = timedelta(hours=1)
"""How far a new edition looks back behind the last one: papers stored while that was composed are not lost."""

LATE = timedelta(days=2)
"""A paper announced this long before the last edition should have been in it, and is marked late."""

MOST_REASONS = 4
MOST_BACK = 20
"""Papers of one edition that come back from being put off."""

KEPT_FOR = timedelta(seconds=30)
"""How old facts may be by which papers are matched."""
MOST_ORDERS = 64
MOST_KEPT = 5_000
"""Papers kept ready in a process; an edition that covers more gets them for itself."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an edition will hold, best first, of how many that matched, of how many there were."""

    picks: tuple[Pick, ...]
    matched: int
    considered: int
    since_at: datetime | None = None
    """From when on, where that is longer than the usual time between two editions."""


_query = lru_cache(maxsize=10_000)(parse_query)
"""Queries as read, since the same ones come again every day."""


def window(subscription: Subscription, last: Edition | None, now: datetime) -> datetime:
    """From when on papers are news to a subscription whose last edition before `now` was `last`."""
    if last is None:
        return subscription.since_at
    return max(last.composed_at - OVERLAP, subscription.since_at, now - LONGEST_GAP)


def choose(rt: Runtime, session: Session, subscription: Subscription) -> Chosen:
    """The papers for a subscription's next edition.

    Considered is what came since the last edition and the subscription has not had, whatever day it is dated. After a
    pause (and in a weekly or monthly edition) the best of all that time come first, not the latest.
    """
    now = rt.now()
    own = subscription.id or 0
    last = editions.last(session, own)
    after = window(subscription, last, now)
    ids = archive.ids(session, first_seen_after=after, feeds=subscription.feeds, not_had_by=own)
    query = _query(subscription.query, now.date())
    put_off = feedback.snoozes(session, own, local_day(subscription.timezone, now))
    muted = feedback.mutes(session, own, now.date())
    ready = _ready(rt, session, ids, now)
    wanted = frozenset(ids)
    considered = sum(not ready.get(paper_id).paper.withdrawn for paper_id in wanted if paper_id in ready)
    matching = [
        indexed for indexed in ready.match(query)
        if indexed.paper.id in wanted and not indexed.paper.withdrawn and not shut_out(indexed, muted)
        and indexed.paper.id not in put_off.held and indexed.paper.id not in put_off.back
    ]  # fmt: skip
    span = now - after
    ordered = _ordered(session, subscription, ready, matching, query, now, ageing=span < LONG)
    by_id = {indexed.paper.id: indexed for indexed in matching}
    late_before = last.composed_at.date() - LATE if last and span < LONG else None
    returned = [
        Pick(paper=paper, why=why(paper, (f"you put it off until {day(put_off.back[paper.id][1])}",), now),
             again=put_off.back[paper.id][0])
        for paper in archive.load(session, sorted(put_off.back)[:MOST_BACK], now=now)
    ]  # fmt: skip
    picks = [
        Pick(
            paper=choice.paper,
            why=why(choice.paper, (*choice.why, *query.explain(by_id[choice.paper.id])), now),
            late=(
                late_before is not None
                and choice.paper.announced_on is not None
                and choice.paper.announced_on < late_before
            ),
        )
        for choice in ordered[: subscription.budget]
    ]
    makes_up = last is not None and is_catch_up(subscription.cadence, span)
    return Chosen(
        picks=(*returned, *picks), matched=len(matching) + len(returned), considered=considered + len(returned),
        since_at=after if makes_up else None,
    )  # fmt: skip


def why(paper: PaperFacts, matched: Sequence[str], now: datetime) -> tuple[str, ...]:
    """The reasons an item carries, at least one: its reader's own, else how much it is noticed, which its facts say
    anyway."""
    return (tuple(matched) or reasons(paper, now))[:MOST_REASONS]


def _ordered(
    session: Session, subscription: Subscription, ready: PaperSet, matching: Sequence[Indexed], query: Query,
    now: datetime, *, ageing: bool,
) -> list[Choice]:  # fmt: skip
    """`feedback.order`, worked out once a minute for all who ask for the same and have no taste of their own."""
    if feedback.has_taste(session, subscription):
        return feedback.order(session, subscription, matching, query, now=now, ageing=ageing)
    key = (
        query.text,
        subscription.ranking,
        ageing,
        now.replace(second=0, microsecond=0),
        tuple(indexed.paper.id for indexed in matching),
    )
    with _keeping:
        known = _orders.setdefault(ready, {})
        found = known.get(key)
    if found is None:
        found = feedback.order(session, subscription, matching, query, now=now, ageing=ageing)
        with _keeping:
            if len(known) >= MOST_ORDERS:
                known.clear()
            known[key] = found
    return found


# -- papers kept ready ---------------------------------------------------------------------------------------------


_kept: WeakKeyDictionary[Engine, tuple[datetime, PaperSet]] = WeakKeyDictionary()
_orders: WeakKeyDictionary[PaperSet, dict[tuple[object, ...], list[Choice]]] = WeakKeyDictionary()
"""Orders by what they depend on, as long as the set of papers is kept."""
_keeping = threading.Lock()


def _ready(rt: Runtime, session: Session, ids: Sequence[int], now: datetime) -> PaperSet:
    """A set that holds these papers, ready for queries: the one of a moment ago, if it does."""
    if len(ids) > MOST_KEPT:
        return PaperSet(archive.load(session, ids, now=now))
    with _keeping:
        made_at, held = _kept.get(rt.engine, (now, PaperSet(())))
        if not timedelta(0) <= now - made_at < KEPT_FOR:
            made_at, held = now, PaperSet(())
        missing = [paper_id for paper_id in ids if paper_id not in held]
        if missing:
            known = held.papers if len(held.papers) + len(missing) <= MOST_KEPT else ()
            loaded = archive.load(session, missing if known else ids, now=now)
            held = PaperSet((*known, *loaded))
            _kept[rt.engine] = (made_at, held)
    return held
