"""Personal: all that is held of one person, to be given to them, and to be wiped.

What is wiped leaves behind a keyed hash of the address (`storage.seals`) and rows without words: so that nobody gets a
paper twice who comes back, and that nothing is sent to an address whose owner, or server, wanted nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import delete, func, or_, update
from sqlmodel import Session, SQLModel, col, select

from services.storage import seals, suppressions
from services.storage.deliveries import UNFINISHED
from services.storage.engine import is_sqlite
from services.storage.sql import chunks, table_of
from services.storage.tables import (
    Attempt,
    Audit,
    Bounce,
    Delivery,
    Edition,
    EditionItem,
    Feedback,
    Job,
    Paper,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionEvent,
    Vote,
)

WORDS_ABOUT = ((Job, "last_error"), (Attempt, "error"), (Attempt, "traceback"), (Audit, "detail"))
"""Where an address may be in a sentence of somebody's: a mail server's answer, an error."""
WIPED = "***"


def held(session: Session, *, channel: str, address: str) -> dict[str, Any]:
    """Everything kept of one address, by subject, as rows; empty lists where nothing is."""
    keys = seals.keys_of(session, channel, address)
    people = _rows(session, Subscriber, col(Subscriber.address_key).in_(keys))
    own = [person["id"] for person in people]
    subscriptions = _rows(session, Subscription, col(Subscription.subscriber_id).in_(own))
    theirs = [one["id"] for one in subscriptions]
    editions = _rows(session, Edition, col(Edition.subscription_id).in_(theirs))
    listed = session.execute(
        sa.select(col(EditionItem.edition_id), col(Paper.key), col(Paper.title), col(EditionItem.why))
        .join(Paper, col(Paper.id) == col(EditionItem.paper_id))
        .where(col(EditionItem.subscription_id).in_(theirs))
        .order_by(col(EditionItem.edition_id), col(EditionItem.rank))
    ).all()
    said = _rows(session, Feedback, col(Feedback.subscription_id).in_(theirs))
    named = dict(
        session.execute(
            sa.select(col(Paper.id), col(Paper.key)).where(col(Paper.id).in_([row["paper_id"] for row in said]))
        ).all()
    )
    return {
        "subscriber": people,
        "subscriptions": subscriptions,
        "editions": [
            edition | {"papers": [dict(paper._mapping) for paper in listed if paper.edition_id == edition["id"]]}
            for edition in editions
        ],
        "deliveries": _rows(session, Delivery, col(Delivery.subscriber_id).in_(own)),
        "feedback": [row | {"paper": named.get(row["paper_id"])} for row in said],
        "bounces": _rows(session, Bounce, col(Bounce.address_key).in_(keys)),
        "suppressions": _rows(session, Suppression, col(Suppression.address_key).in_(keys)),
        "suppression_events": _rows(session, SuppressionEvent, col(SuppressionEvent.address_key).in_(keys)),
        "audit": _rows(session, Audit, _about(address, theirs)),
    }  # fmt: skip


def _rows(session: Session, model: type[SQLModel], where: Any) -> list[dict[str, Any]]:
    table = table_of(model)
    return [dict(row._mapping) for row in session.execute(sa.select(table).where(where).order_by(*table.primary_key))]


def _about(address: str, subscription_ids: Sequence[int]) -> sa.ColumnElement[bool]:
    """Lines of the audit about an address, or about one of these subscriptions."""
    return or_(
        col(Audit.subject).icontains(address, autoescape=True),
        col(Audit.detail).icontains(address, autoescape=True),
        sa.and_(
            col(Audit.act).startswith("subscription."), col(Audit.subject).in_([str(one) for one in subscription_ids])
        ),
    )


def wipe(session: Session, *, channel: str, address: str, now: datetime) -> Mapping[str, int]:
    """Take everything out that tells who somebody is, or what they read; returns how many rows of each were changed."""
    if is_sqlite(session):
        session.connection().exec_driver_sql("PRAGMA secure_delete=ON")  # else the bytes stay in the file for a while
    keys = seals.keys_of(session, channel, address)
    name = seals.wiped_as(session, channel, address)
    people = session.exec(select(Subscriber).where(col(Subscriber.address_key).in_(keys))).all()
    own = [person.id or 0 for person in people]
    spelt = {address, *(person.address for person in people if person.address)}
    subscriptions = session.exec(select(Subscription).where(col(Subscription.subscriber_id).in_(own))).all()
    theirs = [one.id or 0 for one in subscriptions]
    done = {"subscribers": len(own), "subscriptions": len(theirs)}
    done["audit"] = _wipe_audit(session, address, theirs, name)
    for key in keys:
        suppressions.rename(session, key, name)
    for table in (Bounce, Suppression, SuppressionEvent):
        values: dict[str, Any] = {"detail": ""} | ({"message_id": ""} if table is Bounce else {})
        wiped = session.execute(update(table).where(col(table.address_key) == name).values(**values))
        done[table_of(table).name] = int(wiped.rowcount)  # type: ignore[attr-defined]
    for one in subscriptions:
        one.name = seals.hashed(session, "name", f"{one.subscriber_id} {one.name}")
        one.query, one.feeds, one.at, one.timezone, one.paused_until = "", [], "08:00", "UTC", None
        one.state, one.next_edition_at = "removed", None
    for person in people:
        person.address, person.address_key, person.confirmed_at = "", name, None
        person.token_version += 1  # every link in mails of before
        if person.state != "suppressed":
            person.state = "unsubscribed"
    session.flush()
    for part in chunks(theirs):
        session.execute(delete(Feedback).where(col(Feedback.subscription_id).in_(part)))
        session.execute(delete(Vote).where(col(Vote.subscription_id).in_(part)))
        session.execute(update(EditionItem).where(col(EditionItem.subscription_id).in_(part)).values(why=[]))
    _wipe_deliveries(session, own, done, now)
    for model, column in WORDS_ABOUT:
        text = col(getattr(model, column))
        for one_way in spelt:
            found = text.contains(one_way, autoescape=True)
            session.execute(update(model).where(found).values({column: func.replace(text, one_way, WIPED)}))
    return done


def _wipe_audit(session: Session, address: str, subscription_ids: Sequence[int], name: str) -> int:
    lines = session.exec(select(Audit).where(_about(address, subscription_ids))).all()
    for line in lines:
        if address.lower() in line.subject.lower():
            line.subject = name
        line.before, line.after, line.detail = {}, {}, ""
    return len(lines)


def _wipe_deliveries(session: Session, own: Sequence[int], done: dict[str, int], now: datetime) -> None:
    done["deliveries"] = 0
    for part in chunks(own):
        mine = col(Delivery.subscriber_id).in_(part)
        wiped = session.execute(update(Delivery).where(mine).values(message=None, detail=None, parts={}))
        done["deliveries"] += int(wiped.rowcount)  # type: ignore[attr-defined]
        # One that is being sent right now is settled by its sender.
        waiting = [state for state in (*UNFINISHED, "unknown") if state != "sending"]
        session.execute(
            update(Delivery).where(mine, col(Delivery.state).in_(waiting)).values(state="suppressed", updated_at=now)
        )
