"""The service's own rows: slots taken by one, gates that space calls over all workers, heartbeats."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest

from services.domain.errors import RateLimited
from services.domain.feeds import FeedRequest
from services.runtime import Runtime
from services.storage import service
from services.storage.tables import Gate, Heartbeat, Slot
from tests.conftest import MakeRuntime
from tests.factories import all_rows
from tests.fakes import Clock
from workers.demo.replay import Replay

HOUR = timedelta(hours=1)


def test_a_slot_is_due_at_once_taken_by_one_and_then_due_an_hour_later(rt: Runtime, clock: Clock) -> None:
    began = rt.now()

    def take() -> datetime | None:
        with rt.writing() as session:
            service.ensure_slots(session, {"repos": HOUR}, now=rt.now())
            return service.take_slot(session, "repos", now=rt.now(), to=rt.now() + HOUR)

    assert take() == began
    assert take() is None
    clock.advance(hours=1)
    assert take() == began + HOUR
    (slot,) = all_rows(rt, Slot)
    assert (slot.every_s, slot.last_at, slot.next_at) == (3600, began + HOUR, began + 2 * HOUR)


def test_a_paused_slot_is_not_taken(rt: Runtime) -> None:
    with rt.writing() as session:
        service.ensure_slots(session, {"repos": HOUR}, now=rt.now())
        session.get_one(Slot, "repos").paused = True
    with rt.writing() as session:
        assert service.take_slot(session, "repos", now=rt.now(), to=rt.now() + HOUR) is None


def test_an_unknown_slot_is_not_taken(rt: Runtime) -> None:
    with rt.writing() as session:
        assert service.take_slot(session, "nothing", now=rt.now(), to=rt.now()) is None


def test_of_six_threads_one_takes_a_slot(rt: Runtime) -> None:
    with rt.writing() as session:
        service.ensure_slots(session, {"repos": HOUR}, now=rt.now())
    begin = threading.Barrier(6)
    taken: list[datetime | None] = []

    def take() -> None:
        begin.wait()
        with rt.writing() as session:
            taken.append(service.take_slot(session, "repos", now=rt.now(), to=rt.now() + HOUR))

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(t is not None for t in taken) == [False] * 5 + [True]


def test_calls_through_a_gate_are_spaced_over_all_workers(rt: Runtime) -> None:
    begin = threading.Barrier(6)
    again_at: list[datetime | None] = []

    def call() -> None:
        begin.wait()
        with rt.writing() as session:
            again_at.append(service.enter_gate(session, "arxiv.org", interval=timedelta(seconds=3), now=rt.now()))

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert again_at.count(None) == 1
    assert again_at.count(rt.now() + timedelta(seconds=3)) == 5
    assert all_rows(rt, Gate)[0].calls == 1


def test_an_idle_gate_saves_up_no_calls(rt: Runtime, clock: Clock) -> None:
    pause = timedelta(seconds=3)
    with rt.writing() as session:
        assert service.enter_gate(session, "g", interval=pause, now=rt.now()) is None
    clock.advance(hours=1)
    with rt.writing() as session:
        assert service.enter_gate(session, "g", interval=pause, now=rt.now()) is None
        assert service.enter_gate(session, "g", interval=pause, now=rt.now()) == rt.now() + pause


def test_a_gate_closed_for_longer_stays_closed(rt: Runtime) -> None:
    with rt.writing() as session:
        service.close_gate(session, "g", until=rt.now() + HOUR)
        service.close_gate(session, "g", until=rt.now() + HOUR / 2)
    assert all_rows(rt, Gate)[0].free_at == rt.now() + HOUR


def test_a_worker_waits_at_a_gate_and_hands_back_work_when_it_is_long(make_runtime: MakeRuntime, clock: Clock) -> None:
    rt = make_runtime(gate_scale=1)
    began = rt.now()
    for _ in range(3):
        with rt.gate("g", 3):
            pass
    assert rt.now() == began + timedelta(seconds=6)
    rt.close_gate("g", timedelta(minutes=10))
    calls = all_rows(rt, Gate)[0].calls
    with pytest.raises(RateLimited) as caught, rt.gate("g", 3):
        pytest.fail("the gate is closed")
    assert caught.value.retry_after == timedelta(minutes=10)
    assert all_rows(rt, Gate)[0].calls == calls  # the moment is not taken from others


def test_a_host_that_says_not_now_closes_its_gate_for_everybody(make_runtime: MakeRuntime, replay: Replay) -> None:
    rt = make_runtime(replay=replay)
    replay.fail_next("/blog", 429, headers={"Retry-After": "120"})
    request = FeedRequest(url=f"{replay.base_url}/blog/feed.xml", gate="blog")
    with pytest.raises(RateLimited):
        rt.get(request)
    with pytest.raises(RateLimited, match="gate of blog opens at"):
        rt.get(request)
    assert replay.count("/blog") == 1


def test_heartbeats_are_one_row_a_process_and_forgotten_in_time(rt: Runtime, clock: Clock) -> None:
    row = {
        "name": "host:1:web", "role": "web", "host": "host", "pid": 1, "version": "1", "started_at": rt.now(),
        "busy": 0, "slots": 0, "memory_mb": 1.5,
    }  # fmt: skip
    for _ in range(3):
        with rt.writing() as session:
            service.beat(session, {**row, "seen_at": rt.now()})
        clock.advance(seconds=10)
    (beat,) = all_rows(rt, Heartbeat)
    assert beat.seen_at == rt.now() - timedelta(seconds=10)
    with rt.reading() as session:
        assert len(service.list_heartbeats(session, since=rt.now() - timedelta(minutes=1))) == 1
        assert service.list_heartbeats(session, since=rt.now()) == []
    with rt.writing() as session:
        service.forget_heartbeats(session, before=rt.now())
    assert all_rows(rt, Heartbeat) == []
