"""The service's own rows: schedule slots, gates between calls, heartbeats, quotas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from services.storage.sql import insert_ignore, upsert
from services.storage.tables import Gate, Heartbeat, Quota, Slot

ASK_AGAIN = timedelta(milliseconds=200)
"""How soon to look again whether a gate that somebody holds has been left."""


def ensure_slots(session: Session, every: Mapping[str, timedelta], *, now: datetime) -> None:
    """The schedule's entries, each first due now."""
    rows = [
        {"name": name, "every_s": int(length.total_seconds()), "next_at": now, "paused": False}
        for name, length in every.items()
    ]
    upsert(session, Slot, rows, ["name"], update=["every_s"])


def take_slot(session: Session, name: str, *, now: datetime, to: datetime) -> datetime | None:
    """Take a slot that is due and set the next; the time it was due, or `None` (not due, paused, or another was
    first)."""
    due = session.exec(select(Slot.next_at).where(Slot.name == name, col(Slot.paused).is_(False))).first()
    if due is None or due > now:
        return None
    moved = session.execute(
        update(Slot).where(col(Slot.name) == name, col(Slot.next_at) == due).values(last_at=now, next_at=to)
    )
    return due if moved.rowcount else None  # type: ignore[attr-defined]


def list_slots(session: Session) -> list[Slot]:
    """The schedule."""
    return list(session.exec(select(Slot).order_by(Slot.name)))


def enter_gate(
    session: Session, name: str, *, interval: timedelta, now: datetime, holder: str = "", hold: timedelta = timedelta(0)
) -> datetime | None:
    """Go through a gate, or learn when to ask again; `None` means: go.

    Whoever goes keeps others out for `interval`, and with `hold` until `leave_gate` as well (at most that long, so
    that a caller that dies does not close the gate for ever). One statement decides, whoever else is asking.
    """
    insert_ignore(session, Gate, [{"name": name, "free_at": now, "calls": 0, "holder": ""}], ["name"])
    entered = session.execute(
        update(Gate)
        .where(
            col(Gate.name) == name,
            col(Gate.free_at) <= now,
            sa.or_(col(Gate.held_until).is_(None), col(Gate.held_until) <= now),
        )
        .values(
            free_at=now + interval,
            calls=col(Gate.calls) + 1,
            holder=holder,
            held_until=now + hold if hold else None,
        )
        .returning(col(Gate.name))
    ).first()
    if entered is not None:
        return None
    gate = session.exec(select(Gate).where(Gate.name == name)).one()
    # Who holds the gate may leave any moment: ask again soon, but not before the interval is over.
    held_until = min(gate.held_until, now + ASK_AGAIN) if gate.held_until is not None else now
    return max(gate.free_at, held_until)


def leave_gate(session: Session, name: str, *, holder: str, free_at: datetime) -> None:
    """Let others in from `free_at`, unless the gate was closed for longer meanwhile."""
    session.execute(
        update(Gate)
        .where(col(Gate.name) == name, col(Gate.holder) == holder)
        .values(
            holder="",
            held_until=None,
            free_at=sa.case((col(Gate.free_at) < free_at, free_at), else_=col(Gate.free_at)),
        )
    )


def close_gate(session: Session, name: str, *, until: datetime) -> None:
    """Let nobody through before `until`: what a 429 asks for."""
    upsert(
        session, Gate, [{"name": name, "free_at": until, "calls": 0, "holder": ""}], ["name"], update=["free_at"],
        where=lambda table, new: table.c.free_at < new.free_at,
    )  # fmt: skip


def list_gates(session: Session) -> list[Gate]:
    """All gates."""
    return list(session.exec(select(Gate).order_by(Gate.name)))


def beat(session: Session, row: Mapping[str, Any]) -> None:
    """Record that a process is alive."""
    upsert(
        session, Heartbeat, [row], ["name"],
        update=["role", "host", "pid", "version", "started_at", "seen_at", "busy", "slots", "memory_mb"],
    )  # fmt: skip


def list_heartbeats(session: Session, *, since: datetime) -> list[Heartbeat]:
    """Processes seen since then."""
    return list(
        session.exec(select(Heartbeat).where(Heartbeat.seen_at >= since).order_by(Heartbeat.role, Heartbeat.name))
    )


def forget_heartbeats(session: Session, *, before: datetime) -> None:
    """Drop processes not seen since then."""
    session.execute(delete(Heartbeat).where(col(Heartbeat.seen_at) < before))


def record_quota(
    session: Session, name: str, *, limit: int, remaining: int, reset_at: datetime | None, now: datetime
) -> None:
    """What an upstream says is left of our allowance."""
    row = {"name": name, "limit": limit, "remaining": remaining, "reset_at": reset_at, "read_at": now}
    upsert(session, Quota, [row], ["name"], update=["limit", "remaining", "reset_at", "read_at"])


def list_quotas(session: Session) -> list[Quota]:
    """All quotas."""
    return list(session.exec(select(Quota).order_by(Quota.name)))
