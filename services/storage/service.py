"""The service's own rows: schedule slots, gates between calls, heartbeats, quotas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from services.storage.engine import is_sqlite
from services.storage.sql import insert_ignore, upsert
from services.storage.tables import Gate, Heartbeat, Quota, Slot


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


def pass_gate(session: Session, name: str, *, interval: timedelta, now: datetime) -> datetime:
    """Take the next free moment of a gate; calls over all workers come out at least `interval` apart.

    Returns when the caller may go (`now` or later). The moment is taken whether it is used or not.
    """
    insert_ignore(session, Gate, [{"name": name, "free_at": now, "calls": 0}], ["name"])
    query = select(Gate.free_at).where(Gate.name == name)
    if not is_sqlite(session):
        query = query.with_for_update()
    free_at = session.exec(query).one()
    go_at = max(free_at, now)
    session.execute(
        update(Gate).where(col(Gate.name) == name).values(free_at=go_at + interval, calls=col(Gate.calls) + 1)
    )
    return go_at


def close_gate(session: Session, name: str, *, until: datetime) -> None:
    """Let nobody through before `until`: what a 429 asks for."""
    upsert(
        session, Gate, [{"name": name, "free_at": until, "calls": 0}], ["name"], update=["free_at"],
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
