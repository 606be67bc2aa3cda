"""Editions: who gets what, decided once and written with the deliveries in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, func, update
from sqlmodel import Session, col, select

from services.domain.errors import NotFound
from services.storage.sql import chunks, insert_ignore, table_of
from services.storage.tables import Delivery, Edition, EditionItem, Subscription


def add(session: Session, row: Mapping[str, Any]) -> int | None:
    """Add the edition of one period; `None` when that subscription has it already."""
    added = insert_ignore(session, Edition, [row], ["subscription_id", "period"], returning=["id"])
    return int(added[0].id) if added else None


def add_items(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add an edition's papers; a paper the subscription has had makes the whole transaction fail."""
    if rows:
        session.connection().execute(EditionItem.__table__.insert(), list(rows))  # type: ignore[attr-defined]


def get(session: Session, edition_id: int) -> Edition:
    """One edition, or `NotFound`."""
    row = session.get(Edition, edition_id)
    if row is None:
        raise NotFound(f"there is no edition {edition_id}; `broadsheet editions list` shows those there are")
    return row


def find(session: Session, subscription_id: int, period: str) -> Edition | None:
    """The edition of one period, or none."""
    return session.exec(
        select(Edition).where(Edition.subscription_id == subscription_id, Edition.period == period)
    ).first()


def had(session: Session, subscription_id: int, paper_ids: Collection[int]) -> list[tuple[int, int]]:
    """Which of these papers a subscription has had: (paper, how many snoozes of it had ended by then)."""
    found: list[tuple[int, int]] = []
    for part in chunks(sorted(paper_ids)):
        query = select(EditionItem.paper_id, EditionItem.again).where(
            EditionItem.subscription_id == subscription_id, col(EditionItem.paper_id).in_(part)
        )
        found += [(paper_id, again) for paper_id, again in session.exec(query)]
    return found


GIVEN_BACK = "expired"
"""Why an edition was not sent: it was too late, nobody has had it, and its papers are news again."""


def give_back(session: Session, edition_id: int) -> None:
    """Take an edition that has reached nobody as if it had not been composed: the next one tells of its papers."""
    session.execute(delete(EditionItem).where(col(EditionItem.edition_id) == edition_id))
    session.execute(update(Edition).where(col(Edition.id) == edition_id).values(skipped=GIVEN_BACK))


def last(session: Session, subscription_id: int) -> Edition | None:
    """The newest edition of a subscription up to which it has had what there was, or none."""
    own = col(Edition.subscription_id) == subscription_id
    kept = (
        select(Edition)
        .where(own, col(Edition.skipped).is_distinct_from(GIVEN_BACK))
        .order_by(col(Edition.composed_at).desc())
        .limit(1)
    )
    newest = session.exec(kept).first()
    if newest is None:
        return None
    # One that was given back when the newest had been composed already: its papers are still to be told.
    owed = (
        select(func.min(Edition.composed_at))
        .join(Delivery, col(Delivery.edition_id) == col(Edition.id))
        .where(own, Edition.skipped == GIVEN_BACK, col(Delivery.updated_at) >= newest.composed_at)
    )
    since = session.exec(owed).one()
    return newest if since is None else session.exec(kept.where(col(Edition.composed_at) < since)).first()


def sent_before(session: Session, subscription_id: int, moment: datetime) -> datetime | None:
    """Of when the newest edition of a subscription is that went out before a moment: until then the reader has read."""
    found: datetime | None = (
        session.connection().execute(_SENT_BEFORE, {"subscription": subscription_id, "moment": moment}).scalar()
    )
    return found


class Item(NamedTuple):
    """A paper in an edition."""

    paper_id: int
    rank: int
    why: tuple[str, ...]
    late: bool


def items(session: Session, edition_id: int) -> list[Item]:
    """An edition's papers by rank."""
    rows = session.connection().execute(_ITEMS_OF, {"edition": edition_id})
    return [Item(paper_id, rank, tuple(why), late) for paper_id, rank, why, late in rows]


# Run for every mail: put together once.
_ROWS, _ITEMS = table_of(Edition).c, table_of(EditionItem).c
_SENT_BEFORE = (
    select(_ROWS.composed_at)
    .where(
        _ROWS.subscription_id == bindparam("subscription"), _ROWS.composed_at < bindparam("moment"),
        _ROWS.skipped.is_(None),
    )
    .order_by(_ROWS.composed_at.desc())
    .limit(1)
)  # fmt: skip
_ITEMS_OF = (
    select(_ITEMS.paper_id, _ITEMS.rank, _ITEMS.why, _ITEMS.late)
    .where(_ITEMS.edition_id == bindparam("edition"))
    .order_by(_ITEMS.rank)
)


def list_recent(session: Session, *, limit: int = 100) -> list[tuple[Edition, Subscription]]:
    """The newest editions with their subscriptions."""
    return [
        (e, s)
        for e, s in session.exec(
            select(Edition, Subscription)
            .join(Subscription, col(Subscription.id) == col(Edition.subscription_id))
            .order_by(col(Edition.id).desc())
            .limit(limit)
        )
    ]
