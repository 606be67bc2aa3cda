"""The service's own rows: schedule slots, gates between calls, heartbeats."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from services.storage.engine import is_sqlite
from services.storage.sql import insert_ignore, upsert
from services.storage.tables import Gate, Heartbeat, Slot

WORKING = ("worker", "embedded")
"""Roles of processes that take work."""
BREAKER_AFTER = 5
"""Calls in a row without any answer after which a host is left alone for a while."""
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=30)
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
    """Go through a gate, or learn when to ask again; `None` means: go. See `try_gate`."""
    return try_gate(session, name, interval=interval, now=now, holder=holder, hold=hold)[1]


def try_gate(
    session: Session,
    name: str,
    *,
    interval: timedelta,
    now: datetime,
    holder: str = "",
    hold: timedelta = timedelta(0),
    probe: timedelta = timedelta(0),
) -> tuple[int, datetime | None]:
    """Go through a gate, or learn when to ask again (`None` means: go), beside the host's silences in a row.

    Whoever goes keeps others out for `interval`, and with `hold` until `leave_gate` as well (at most that long, so
    that a caller that dies does not close the gate for ever). A host that was silent too often is tried by one
    caller alone, for `probe` at most. One statement decides, whoever else is asking.
    """  # fmt: skip
    insert_ignore(session, Gate, [_gate(name, now)], ["name"])
    held_until: Any = now + hold if hold else None
    if probe:
        held_until = sa.case((col(Gate.failures) >= BREAKER_AFTER, now + max(hold, probe)), else_=held_until)
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
            held_until=held_until,
        )
        .returning(col(Gate.failures))
    ).first()
    if entered is not None:
        return int(entered[0]), None
    gate = session.exec(select(Gate).where(Gate.name == name)).one()
    # Who holds the gate may leave any moment: ask again soon, but not before the interval is over.
    held_until = min(gate.held_until, now + ASK_AGAIN) if gate.held_until is not None else now
    return gate.failures, max(gate.free_at, held_until)


def stands_open(session: Session, name: str, *, now: datetime) -> bool:
    """Whether anybody may go through a gate now, its host having been heard from when it was last called."""
    gate = session.exec(select(Gate.free_at, Gate.held_until, Gate.failures).where(Gate.name == name)).first()
    if gate is None:
        return True
    free_at, held_until, failures = gate
    return failures == 0 and free_at <= now and (held_until is None or held_until <= now)


def _gate(name: str, free_at: datetime) -> dict[str, Any]:
    return {"name": name, "free_at": free_at, "calls": 0, "holder": "", "failures": 0}


def count_silence(session: Session, name: str, *, silent: bool, now: datetime, jitter: float = 0.0) -> tuple[int, int]:
    """Count a call that got no answer, or begin anew after one that did; how many there were before and are now.

    From `BREAKER_AFTER` on the gate is closed for a minute, doubled by each further silence up to half an hour, with
    up to a tenth on top (`jitter` is from 0 to 1).
    """
    insert_ignore(session, Gate, [_gate(name, now)], ["name"])
    query = select(Gate.failures).where(Gate.name == name)
    before = session.exec(query if is_sqlite(session) else query.with_for_update()).first() or 0
    failures = before + 1 if silent else 0
    session.execute(update(Gate).where(col(Gate.name) == name).values(failures=failures))
    if failures >= BREAKER_AFTER:
        pause = min(FIRST_PAUSE * (1 << min(failures - BREAKER_AFTER, 10)), LONGEST_PAUSE)
        close_gate(session, name, until=now + pause * (1 + jitter / 10))
    return before, failures


def keep_gate(session: Session, name: str, *, holder: str, until: datetime) -> None:
    """Stay alone inside until then, as who is inside says again and again while alive."""
    session.execute(update(Gate).where(col(Gate.name) == name, col(Gate.holder) == holder).values(held_until=until))


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
        session, Gate, [_gate(name, until)], ["name"], update=["free_at"],
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
