"""Deliveries: one row for each edition, subscriber and channel, and every step it takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import and_, bindparam, func, literal_column, or_, update
from sqlmodel import Session, col, select

from services.domain.deliveries import SETTLED, STATES, may_move
from services.domain.errors import LeaseLost, NotFound
from services.storage.sql import insert_ignore, table_of
from services.storage.tables import SETTLED_AND_KEPT, Delivery, Edition, EditionItem, Paper, Subscriber

_ROWS = table_of(Delivery)


def add(session: Session, row: Mapping[str, Any]) -> int | None:
    """Plan a delivery; `None` when that edition has one to that subscriber by that channel."""
    added = insert_ignore(session, Delivery, [row], ["edition_id", "subscriber_id", "channel"], returning=["id"])
    return int(added[0].id) if added else None


def get(session: Session, delivery_id: int) -> tuple[Delivery, Subscriber, Edition]:
    """A delivery with its subscriber and edition, or `NotFound`."""
    row = session.exec(
        select(Delivery, Subscriber, Edition)
        .join(Subscriber, col(Subscriber.id) == col(Delivery.subscriber_id))
        .join(Edition, col(Edition.id) == col(Delivery.edition_id))
        .where(Delivery.id == delivery_id)
    ).first()
    if row is None:
        raise NotFound(f"there is no delivery {delivery_id}")
    return row[0], row[1], row[2]


def move(session: Session, delivery_id: int, to: str, *, now: datetime, **values: Any) -> None:
    """Change a delivery's state, by a legal move only; `LeaseLost` when somebody else has moved it elsewhere.

    Rows that the session has loaded are not updated.
    """
    values = {"delivery": delivery_id, "state": to, "updated_at": now, **values}
    if not session.connection().execute(_moving(to), values).rowcount:
        raise LeaseLost(f"delivery {delivery_id} can no longer become {to}")


@cache
def _moving(to: str) -> Any:
    """Sets what it is given, where the move is a legal one."""
    legal = _ROWS.c.state.in_([state for state in STATES if may_move(state, to)])
    return update(_ROWS).where(_ROWS.c.id == bindparam("delivery"), legal)


UNFINISHED = ("planned", "deferred", "sending")


def hold(session: Session, *, now: datetime, detail: str, edition_id: int | None = None) -> int:
    """Make unfinished deliveries (of one edition, or all) `unknown`, for a person to decide; returns how many."""
    held = update(Delivery).where(col(Delivery.state).in_(UNFINISHED))
    if edition_id is not None:
        held = held.where(col(Delivery.edition_id) == edition_id)
    done = session.execute(held.values(state="unknown", detail=detail, updated_at=now).returning(col(Delivery.id)))
    return len(done.all())


def expire_unfinished(session: Session, *, now: datetime) -> int:
    """Make unfinished deliveries that are too late by now `expired`; returns how many."""
    late = update(Delivery).where(col(Delivery.state).in_(UNFINISHED), col(Delivery.expires_at) <= now)
    return len(session.execute(late.values(state="expired", updated_at=now).returning(col(Delivery.id))).all())


def unsettled(session: Session, edition_id: int) -> list[int]:
    """The deliveries of an edition of which something more may come, the oldest first."""
    return list(session.connection().execute(_UNSETTLED, {"edition": edition_id}).scalars())


_UNSETTLED = (
    select(_ROWS.c.id)
    .where(_ROWS.c.edition_id == bindparam("edition"), _ROWS.c.state.not_in(sorted(SETTLED)))
    .order_by(_ROWS.c.id)
)


def drop_messages(session: Session, *, before: datetime, limit: int = 500) -> int:
    """Let go of the bytes of messages whose deliveries were settled before a moment; returns how many.

    Those that may still be sent with the same bytes (planned, deferred, sending, unknown) keep theirs.
    """
    old = (
        select(col(Delivery.id))
        .where(literal_column(SETTLED_AND_KEPT), col(Delivery.updated_at) < before)
        .order_by(col(Delivery.updated_at))
        .limit(limit)
    )
    return (
        session.connection()
        .execute(update(table_of(Delivery)).where(table_of(Delivery).c.id.in_(old)).values(message=None))
        .rowcount
    )


def list_all(
    session: Session, *, edition_id: int | None = None, states: Sequence[str] = (), limit: int | None = None
) -> list[tuple[Delivery, Subscriber, list[str]]]:
    """Deliveries with subscriber and paper keys, newest first."""
    query = select(Delivery, Subscriber).join(Subscriber, col(Subscriber.id) == col(Delivery.subscriber_id))
    if edition_id is not None:
        query = query.where(Delivery.edition_id == edition_id)
    if states:
        query = query.where(col(Delivery.state).in_(states))
    query = query.order_by(col(Delivery.id).desc())
    if limit is not None:
        query = query.limit(limit)
    rows = list(session.exec(query))
    keys: dict[int, list[str]] = defaultdict(list)
    wanted = sorted({d.edition_id for d, _ in rows})
    for start in range(0, len(wanted), 500):
        for edition, key in session.exec(
            select(EditionItem.edition_id, Paper.key)
            .join(Paper, col(Paper.id) == col(EditionItem.paper_id))
            .where(col(EditionItem.edition_id).in_(wanted[start : start + 500]))
            .order_by(col(EditionItem.edition_id), col(EditionItem.rank))
        ):
            keys[edition].append(key)
    return [(d, s, keys.get(d.edition_id, [])) for d, s in rows]


LONGEST_LIFE = timedelta(days=14)
"""No delivery leaves later than this after it was planned."""


def sent_since(session: Session, channel: str, since: datetime) -> list[datetime]:
    """When deliveries by a channel left since then, the oldest first; those on their way count from their last move."""
    left = session.exec(
        select(Delivery.sent_at, Delivery.updated_at).where(
            Delivery.channel == channel,
            col(Delivery.planned_at) > since - LONGEST_LIFE,
            or_(
                col(Delivery.sent_at) > since,
                and_(col(Delivery.state).in_(("sending", "unknown")), col(Delivery.updated_at) > since),
            ),
        )
    )
    return sorted(sent_at or updated_at for sent_at, updated_at in left)


def counts(session: Session, *, since: datetime) -> dict[tuple[str, str], int]:
    """Deliveries planned since then, by (channel, state)."""
    return {
        (channel, state): number
        for channel, state, number in session.exec(
            select(Delivery.channel, Delivery.state, func.count())
            .where(Delivery.planned_at >= since)
            .group_by(col(Delivery.channel), col(Delivery.state))
        )
    }
