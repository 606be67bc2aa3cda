"""Runs about: which jobs have to do with one feed, one reader, one paper, as conditions to be joined to others."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, or_
from sqlmodel import Session, col, select

from services.storage import archive, subscribers
from services.storage.tables import Edition, EditionItem, Feed, Fetch, Job, Sighting, Subscription

MOST = 200
"""Of so many of the newest editions, or fetches, the jobs are found."""

NONE: ColumnElement[bool] = sa.false()


def of_feed(session: Session, name: str) -> ColumnElement[bool]:
    """Its fetches, and what was read from them; for a name nobody has, none."""
    if session.exec(select(Feed.id).where(Feed.name == name)).first() is None:
        return NONE
    fetches = and_(col(Job.kind) == "fetch_feed", col(Job.key).startswith(f"{name} ", autoescape=True))
    caused = col(Job.cause_id).in_(sa.select(col(Job.id)).where(fetches))
    return or_(fetches, and_(col(Job.kind) == "parse_document", caused))


def of_reader(session: Session, who: str) -> ColumnElement[bool]:
    """The editions of a subscription (its number), or of all of an address, and how they were sent."""
    if who.isdecimal() and who.isascii() and len(who) < 16:
        ids = [int(who)]
    else:
        found = subscribers.ids_of(session, who)
        ids = [i for i in session.exec(select(Subscription.id).where(col(Subscription.subscriber_id).in_(found))) if i]
    editions = select(Edition.id).where(col(Edition.subscription_id).in_(ids))
    newest = session.exec(editions.order_by(col(Edition.id).desc()).limit(MOST))
    composed = or_(NONE, *(col(Job.key).startswith(f"{i} ", autoescape=True) for i in ids))
    return or_(and_(col(Job.kind) == "compose_edition", composed), _sent(newest))


def of_paper(session: Session, key: str) -> ColumnElement[bool]:
    """The documents that brought it, with their fetches, and the editions it is in."""
    paper_id = archive.find_id(session, key)
    if paper_id is None:
        return NONE
    brought = session.exec(
        select(Fetch.id)
        .join(Sighting, col(Sighting.feed_id) == col(Fetch.feed_id))
        .where(
            Sighting.paper_id == paper_id,
            or_(col(Fetch.batch) == sa.cast(col(Sighting.day), sa.Text), col(Fetch.parsed_at) == col(Sighting.seen_at)),
        )
        .order_by(col(Fetch.id).desc())
        .limit(MOST)
    )
    keys = [col(Job.key).startswith(f"fetch {i} try ", autoescape=True) for i in brought]
    parsed = and_(col(Job.kind) == "parse_document", or_(NONE, *keys))
    editions = list(
        session.exec(
            select(Edition)
            .join(EditionItem, col(EditionItem.edition_id) == col(Edition.id))
            .where(EditionItem.paper_id == paper_id)
            .order_by(col(Edition.id).desc())
            .limit(MOST)
        )
    )
    composed = and_(
        col(Job.kind) == "compose_edition", col(Job.key).in_([f"{e.subscription_id} {e.period}" for e in editions])
    )
    causes = sa.select(col(Job.cause_id)).where(parsed)
    return or_(parsed, col(Job.id).in_(causes), composed, _sent(e.id for e in editions))


def _sent(edition_ids: Iterable[int | None]) -> ColumnElement[bool]:
    ids = [i for i in edition_ids if i is not None]
    again = [col(Job.key).startswith(f"edition {i} ", autoescape=True) for i in ids]
    named = col(Job.key).in_([f"edition {i}" for i in ids])
    return and_(col(Job.kind) == "send_deliveries", or_(named, *again))
