"""Housekeeping: what is past its retention goes, piece by piece, and what may still be wanted stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col

from services.domain.deliveries import STATES
from services.domain.jobs import NewJob
from services.pipeline import drain, housekeeping, notify, send
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import deliveries, subscribers
from services.storage.tables import SETTLED_AND_KEPT, Delivery, Edition, Job
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, entry, store
from tests.fakes import Clock, ScriptedChannel

KEPT = b"as it was sent"


@pytest.fixture
def rt(make_runtime: MakeRuntime, database_url: str) -> Runtime:
    return make_runtime(database_url=database_url, smtp_url="smtp://127.0.0.1:9")


@pytest.fixture
def channel(rt: Runtime) -> ScriptedChannel:
    scripted = ScriptedChannel()
    rt.channels = {**rt.channels, "email": scripted}
    return scripted


def an_edition(rt: Runtime, readers: int) -> Edition:
    """An edition with a planned delivery to each reader."""
    store(rt, [entry(1)], feed=add_feed(rt, "blog"))
    with rt.writing() as session:
        subscription, first = subscribe(rt, session, to="r0@x.example", confirmed=True)
        number, _ = notify.plan_edition(rt, session, subscription, first, "2026-11-25", rt.now())
        for reader in range(1, readers):
            other = subscribers.ensure(
                session, channel="email", address=f"r{reader}@x.example", confirmed=True, now=rt.now()
            )
            notify.plan_delivery(rt, session, number or 0, subscription, other, rt.now())
    (edition,) = all_rows(rt, Edition)
    assert isinstance(edition, Edition)
    return edition


def keep_house(rt: Runtime, key: str = "now") -> dict[str, int]:
    rt.add_jobs([NewJob(kind="housekeeping", key=key)])
    return drain.run_until_idle(rt, ticking=False, stages=["enrich"])


def test_messages_of_settled_deliveries_go_when_they_are_old(rt: Runtime, clock: Clock) -> None:
    an_edition(rt, len(STATES) + 1)
    with rt.writing() as session:
        for row, state in zip(all_rows(rt, Delivery), (*STATES, "accepted"), strict=True):
            session.execute(update(Delivery).where(col(Delivery.id) == row.id).values(state=state, message=KEPT))
    clock.advance(days=rt.settings.messages_keep_days, hours=1)
    with rt.writing() as session:  # and one that was settled a moment ago
        last = max(row.id for row in all_rows(rt, Delivery))
        session.execute(update(Delivery).where(col(Delivery.id) == last).values(updated_at=rt.now()))
    assert keep_house(rt) == {"done": 1}
    kept = [row.state for row in all_rows(rt, Delivery) if row.message == KEPT]
    assert sorted(kept) == ["accepted", "deferred", "planned", "sending", "unknown"]


def test_what_is_sent_again_after_that_is_rendered_anew(rt: Runtime, channel: ScriptedChannel, clock: Clock) -> None:
    edition = an_edition(rt, 1)
    rt.add_jobs([send.send_job(edition.id or 0)])
    channel.next("refuse")
    drain.run_until_idle(rt, ticking=False, stages=["notify"])
    (before,) = channel.seen
    clock.advance(days=rt.settings.messages_keep_days, hours=1)
    keep_house(rt)
    (row,) = all_rows(rt, Delivery)
    assert (row.state, row.message) == ("failed", None)
    assert send.resend(rt, edition.id or 0) == 1
    drain.run_until_idle(rt, ticking=False, stages=["notify"])
    ((again, _, _),) = channel.sent
    assert again.message_id == before.message_id
    assert "part 1" in again.text


def test_what_is_too_much_for_one_lease_is_left_to_the_next_job(
    rt: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "PIECE", 2)
    an_edition(rt, 7)
    with rt.writing() as session:
        session.execute(update(Delivery).values(state="accepted", message=KEPT))
    clock.advance(days=rt.settings.messages_keep_days, hours=1)
    dropped, begun_at = deliveries.drop_messages, rt.now()

    def slow(*args: object, **options: object) -> int:
        if rt.now() < begun_at + timedelta(hours=1):
            clock.advance(seconds=rt.settings.lease_s / 3)
        return dropped(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(deliveries, "drop_messages", slow)
    assert keep_house(rt)["done"] >= 2
    assert [row.message for row in all_rows(rt, Delivery)] == [None] * 7
    assert {job.state for job in all_rows(rt, Job)} == {"done"}


def test_old_messages_are_found_by_their_own_index(rt: Runtime) -> None:
    an_edition(rt, 1)
    explain = "EXPLAIN QUERY PLAN" if rt.engine.dialect.name == "sqlite" else "EXPLAIN"
    query = f"SELECT id FROM deliveries WHERE {SETTLED_AND_KEPT} AND updated_at < '2026-01-01' ORDER BY updated_at"
    with rt.writing() as session:
        connection = session.connection()
        if rt.engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        steps = "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {query} LIMIT 500"))
    assert "ix_deliveries_kept" in steps
