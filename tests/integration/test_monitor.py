"""Monitor: what a process tells of itself, and how it finds what others left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError

from services.domain.jobs import NewJob
from services.pipeline import drain
from services.runtime import Runtime
from services.storage.tables import Heartbeat, Job
from tests.factories import all_rows
from tests.fakes import Clock
from tests.servers import wait_until
from workers import monitor


def name_of(pid: int) -> str:
    """What a worker of this host is called."""
    return monitor.process_name("worker").replace(f":{os.getpid()}:", f":{pid}:")


@pytest.fixture(scope="module")
def dead_pid() -> int:
    """The number of a process that was."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def held_by(rt: Runtime, worker: str) -> int:
    """A job that a worker has claimed."""
    rt.add_jobs([NewJob(kind="housekeeping", key=f"{worker} {len(all_rows(rt, Job))}")])
    rt.worker = worker
    claim = drain.claim_next(rt)
    assert claim is not None
    return claim.job_id


def while_it_runs(loop: monitor.Loop, check: Callable[[], bool], what: str) -> None:
    """Start a loop, wait until `check` holds, stop it."""
    loop.start()
    try:
        wait_until(check, within_s=5, what=what, every_s=0.01)
    finally:
        loop.stop()


def test_a_heartbeat_gives_back_what_dead_processes_of_its_host_held(rt: Runtime, dead_pid: int) -> None:
    lost = held_by(rt, name_of(dead_pid))
    kept = [
        held_by(rt, worker)
        for worker in (name_of(os.getpid()), name_of(os.getppid()), f"elsewhere:{dead_pid}:worker", "by hand")
    ]
    loop = monitor.heartbeat(rt, "worker", slots=3)

    def free() -> list[int]:
        return [job.id for job in all_rows(rt, Job) if job.lease_until is not None and job.lease_until < rt.now()]

    while_it_runs(loop, lambda: bool(free()), "the dead one's job is free")
    assert free() == [lost]
    (beat,) = all_rows(rt, Heartbeat)
    assert (beat.role, beat.pid, beat.slots, beat.seen_at) == ("worker", os.getpid(), 3, rt.now())
    rt.worker = "another"
    taken = drain.claim_next(rt)
    assert taken is not None
    assert (taken.job_id, taken.attempt) == (lost, 2)
    assert drain.claim_next(rt) is None
    assert {job.id for job in all_rows(rt, Job, state="running")} == {lost, *kept}


def test_a_heartbeat_tells_how_many_jobs_a_process_and_its_children_are_at(rt: Runtime, clock: Clock) -> None:
    own = monitor.process_name("worker")
    child = name_of(os.getppid()) + f":{os.getpid()}"  # alive, and a child as a forked worker names itself
    for worker in (own, own, child, name_of(os.getppid()), f"elsewhere:7:worker:{os.getpid()}"):
        held_by(rt, worker)

    def busy(said: int) -> None:
        while_it_runs(
            monitor.heartbeat(rt, "worker", slots=3),
            lambda: [beat.busy for beat in all_rows(rt, Heartbeat)] == [said],
            f"{said} jobs",
        )

    busy(3)
    clock.advance(seconds=rt.settings.lease_s + 1)
    busy(0)  # whoever holds them is held dead


def test_a_child_is_named_after_itself_and_its_parent() -> None:
    child = monitor.process_name("worker", parent=name_of(77))
    assert child == monitor.process_name("worker") + ":77"
    assert monitor.heart_of(child) == name_of(77)
    assert monitor.heart_of(name_of(77)) == name_of(77)
    assert monitor.heart_of("by hand") == "by hand"


def test_a_poller_leaves_what_became_due_just_now_to_its_hint(rt: Runtime, clock: Clock) -> None:
    grace = timedelta(seconds=rt.settings.poll_s)
    rt.add_jobs([NewJob(kind="housekeeping", key="overdue", due_at=rt.now() - 2 * grace)])
    rt.add_jobs([NewJob(kind="housekeeping", key="hinted")])
    loop = monitor.poller(rt)
    while_it_runs(loop, lambda: bool(all_rows(rt, Job, state="done")), "the overdue one is done")
    assert {job.key: job.state for job in all_rows(rt, Job)} == {"overdue": "done", "hinted": "ready"}
    clock.advance(to=rt.now() + 2 * grace)
    while_it_runs(monitor.poller(rt), lambda: len(all_rows(rt, Job, state="done")) == 2, "its hint was lost")


@pytest.mark.parametrize("error", [OperationalError("SELECT 1", {}, Exception("gone")), ZeroDivisionError("a bug")])
def test_a_loop_goes_on_after_an_error(error: Exception) -> None:
    steps: list[int] = []

    def step() -> None:
        steps.append(len(steps))
        if len(steps) < 3:
            raise error

    while_it_runs(monitor.Loop("a loop", step, 0.001), lambda: len(steps) >= 3, "three steps")
