"""Deliveries: one row for each edition, subscriber and channel, and every step it takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, func, literal_column, or_, update
from sqlmodel import Session, col, select

from services.domain.deliveries import SETTLED, STATES, may_move
from services.domain.errors import LeaseLost, NotFound
from services.storage import subscribers
from services.storage.sql import insert_ignore, table_of
from services.storage.tables import SETTLED_AND_KEPT, Delivery, Edition, EditionItem, Paper, Subscriber, Subscription

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


def _written_out(states: Iterable[str]) -> list[Any]:
    """States for a list in a statement that is put together once: bound ones are put into it each time."""
    return [literal_column(f"'{state}'") for state in states]


class Unsettled(NamedTuple):
    """A delivery of which something more may come, and whom and what it is for."""

    delivery: Delivery
    subscriber: Subscriber
    edition: Edition
    subscription: Subscription


def unsettled(session: Session, edition_id: int, *, after: int = 0, limit: int) -> list[Unsettled]:
    """The deliveries of an edition of which something more may come, the oldest first, from `after` a delivery on."""
    rows = session.exec(_UNSETTLED, params={"edition": edition_id, "after": after, "limit": limit})
    return [Unsettled(*row) for row in rows]


_UNSETTLED = (  # run for every mail: put together once
    select(Delivery, Subscriber, Edition, Subscription)
    .join(Subscriber, col(Subscriber.id) == col(Delivery.subscriber_id))
    .join(Edition, col(Edition.id) == col(Delivery.edition_id))
    .join(Subscription, col(Subscription.id) == col(Edition.subscription_id))
    .where(
        Delivery.edition_id == bindparam("edition"),
        col(Delivery.id) > bindparam("after"),
        col(Delivery.state).not_in(_written_out(sorted(SETTLED))),
    )
    .order_by(col(Delivery.id))
    .limit(bindparam("limit"))
)


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
    legal = _ROWS.c.state.in_(_written_out(state for state in STATES if may_move(state, to)))
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


def subscription_number(who: str) -> int | None:
    """The number of a subscription that a reader is named by; `None` for an address."""
    return int(who) if who.isdecimal() and who.isascii() and len(who) < 16 else None


def of_reader(session: Session, who: str) -> tuple[ColumnElement[bool], ...]:
    """The deliveries of a subscription (its number), or of all of an address, as conditions; none of one unknown."""
    if (number := subscription_number(who)) is not None:
        person = select(Subscription.subscriber_id).where(Subscription.id == number).scalar_subquery()
        its = select(Edition.id).where(Edition.subscription_id == number)
        return col(Delivery.subscriber_id) == person, col(Delivery.edition_id).in_(its)
    return (col(Delivery.subscriber_id).in_(subscribers.ids_of(session, who)),)


def list_all(
    session: Session, *, edition_id: int | None = None, states: Sequence[str] = (), reader: str = "",
    limit: int | None = None,
) -> list[tuple[Delivery, Subscriber, list[str]]]:  # fmt: skip
    """Deliveries with subscriber and paper keys, newest first; `reader` as `of_reader` takes it."""
    query = select(Delivery, Subscriber).join(Subscriber, col(Subscriber.id) == col(Delivery.subscriber_id))
    if edition_id is not None:
        query = query.where(Delivery.edition_id == edition_id)
    if states:
        query = query.where(col(Delivery.state).in_(states))
    if reader:
        query = query.where(*of_reader(session, reader))
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


def sent_since(session: Session, channel: str, since: datetime) -> list[datetime]:
    """When deliveries by a channel left since then, the oldest first; those on their way count from their last move."""
    by_it = col(Delivery.channel) == channel
    left = select(Delivery.sent_at).where(by_it, col(Delivery.sent_at) > since)
    on_their_way = select(Delivery.updated_at).where(
        by_it, col(Delivery.state).in_(("sending", "unknown")), col(Delivery.updated_at) > since,
        or_(col(Delivery.sent_at).is_(None), col(Delivery.sent_at) <= since),
    )  # fmt: skip
    return sorted([at for at in session.exec(left) if at is not None] + list(session.exec(on_their_way)))


def waiting(session: Session, channel: str) -> int:
    """How many deliveries by a channel are still to leave."""
    unsent = (col(Delivery.state).in_(("planned", "deferred")), col(Delivery.channel) == channel)
    return session.exec(select(func.count()).select_from(Delivery).where(*unsent)).one()


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
