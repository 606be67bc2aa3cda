"""Suppressions: reports about addresses, and the addresses nothing is sent to any more."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, or_, update
from sqlmodel import Session, col, select

from services.storage import seals
from services.storage.sql import insert_ignore
from services.storage.tables import Bounce, Subscriber, Suppression, SuppressionEvent


def address_key(session: Session, channel: str, address: str) -> str:
    """What rows about an address are called: as those there are, else as a new one would be."""
    keys = seals.keys_of(session, channel, address)
    for column in (Subscriber.address_key, Suppression.address_key):
        found = session.exec(select(column).where(col(column).in_(keys))).first()
        if found is not None:
            return found
    return seals.new_key(session, channel, address)


def rename(session: Session, old: str, new: str) -> None:
    """Call what is reported of an address otherwise."""
    if old != new:
        for table in (Bounce, Suppression, SuppressionEvent):
            session.execute(update(table).where(col(table.address_key) == old).values(address_key=new))


def record(
    session: Session, *, report: str, key: str, kind: str, code: str, detail: str, message_id: str, now: datetime
) -> bool:
    """Record one report about one address; False when the same report was recorded before."""
    row = {
        "report": report, "address_key": key, "kind": kind, "code": code, "detail": detail, "message_id": message_id,
        "at": now,
    }  # fmt: skip
    return bool(insert_ignore(session, Bounce, [row], ["report", "address_key"], returning=["id"]))


def count_soft(session: Session, key: str, *, since: datetime) -> int:
    """Soft bounces of an address since then."""
    return session.exec(
        select(func.count()).where(Bounce.address_key == key, Bounce.kind == "soft", Bounce.at > since)
    ).one()


def suppress(session: Session, key: str, *, reason: str, detail: str, by: str = "", now: datetime) -> bool:
    """Send nothing to an address any more; False when that was so already. Its subscriber is marked."""
    row = {"address_key": key, "reason": reason, "detail": detail, "at": now}
    added = bool(insert_ignore(session, Suppression, [row], ["address_key"], returning=["address_key"]))
    if added:
        session.add(SuppressionEvent(address_key=key, act="suppressed", reason=reason, detail=detail, by=by, at=now))
    session.execute(
        update(Subscriber)
        .where(col(Subscriber.address_key) == key, col(Subscriber.state) != "unsubscribed")
        .values(state="suppressed")
    )
    return added


def lift(session: Session, key: str, *, detail: str = "", by: str = "", now: datetime) -> bool:
    """Let an address be written to again; False when it was not suppressed. What was reported stays on record."""
    gone = session.execute(
        delete(Suppression).where(col(Suppression.address_key) == key).returning(col(Suppression.reason))
    ).first()
    if gone is not None:
        session.add(SuppressionEvent(address_key=key, act="lifted", reason=gone.reason, detail=detail, by=by, at=now))
    session.execute(
        update(Subscriber)
        .where(col(Subscriber.address_key) == key, col(Subscriber.state) == "suppressed")
        .values(state="active")
    )
    return gone is not None


def lifted_at(session: Session, key: str) -> datetime | None:
    """When an address was last let be written to again: reports from before count no more."""
    return session.exec(
        select(func.max(SuppressionEvent.at)).where(
            SuppressionEvent.address_key == key, SuppressionEvent.act == "lifted"
        )
    ).one()


def events(session: Session, key: str) -> list[SuppressionEvent]:
    """Every time an address was suppressed or lifted, the newest first."""
    own = select(SuppressionEvent).where(SuppressionEvent.address_key == key)
    return list(session.exec(own.order_by(col(SuppressionEvent.id).desc())))


def reports(session: Session, key: str) -> list[Bounce]:
    """What was reported of an address, the newest first."""
    return list(session.exec(select(Bounce).where(Bounce.address_key == key).order_by(col(Bounce.id).desc())))


def find(session: Session, key: str) -> Suppression | None:
    """Why nothing is sent to an address, or none."""
    return session.exec(select(Suppression).where(Suppression.address_key == key)).first()


def page(
    session: Session, *, text: str = "", in_addresses: bool = True, before: int | None = None, limit: int | None = None
) -> list[Suppression]:
    """Suppressed addresses, the newest first; `text` is looked for in why, and `in_addresses` in them and in what was
    said, which often names them.

    Of addresses that are sealed only the whole one is found.
    """
    query = select(Suppression)
    if text:
        found = [_reason_has(text)]
        if in_addresses:
            found.append(col(Suppression.detail).icontains(text, autoescape=True))
            found.append(col(Suppression.address_key).icontains(text, autoescape=True))
            found.append(col(Suppression.address_key).in_(seals.keys_of_whole(session, text)))
        query = query.where(or_(*found))
    if before is not None:
        query = query.where(col(Suppression.id) < before)
    return list(session.exec(query.order_by(col(Suppression.id).desc()).limit(limit)))


def _reason_has(text: str) -> ColumnElement[bool]:
    """As pages write it: `by hand`."""
    return func.replace(Suppression.reason, "_", " ").icontains(text, autoescape=True)


def count(session: Session) -> int:
    """How many addresses are suppressed."""
    return session.exec(select(func.count()).select_from(Suppression)).one()
