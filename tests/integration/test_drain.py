"""Draining: every outcome of a job becomes a row, and a worker's end is never the work's end."""

from __future__ import annotations

import threading
from dataclasses import replace as replaced
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from services.domain.errors import (
    BroadsheetError,
    InvalidInput,
    LeaseLost,
    NotFound,
    RateLimited,
    UpstreamRejected,
    UpstreamUnavailable,
)
from services.domain.jobs import Claim, NewJob
from services.pipeline import by_hand, drain
from services.runtime import Runtime
from services.storage.tables import Attempt, Job, Paper
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows
from tests.fakes import Clock, Crash
from workers.demo.replay import Replay


class Scripted:
    """A handler that does, try after try, what it is told: an error is raised, `None` is done."""

    def __init__(self, *script: BaseException | None) -> None:
        self.script = list(script)
        self.runs: list[str] = []

    def __call__(self, rt: Runtime, claim: Claim) -> None:
        self.runs.append(claim.key)
        act = self.script.pop(0) if self.script else None
        if act is not None:
            raise act
        with rt.step(claim):
            pass


@pytest.fixture
def rt(make_runtime: MakeRuntime) -> Runtime:
    return make_runtime(retry_first_s=60)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stand in for the housekeeping handler."""

    def use(*acts: BaseException | None) -> Scripted:
        scripted = Scripted(*acts)
        policy = replaced(drain.HANDLERS["housekeeping"].policy, attempts=5)
        handler = replaced(drain.HANDLERS["housekeeping"], run=scripted, policy=policy)
        monkeypatch.setattr(drain, "HANDLERS", {**drain.HANDLERS, "housekeeping": handler})
        return scripted

    return use


def run(rt: Runtime, key: str = "k") -> str:
    """Run the job of that key once; the outcome."""
    rt.add_jobs([NewJob(kind="housekeeping", key=key)])
    claim = drain.claim_next(rt, stages=["enrich"])
    assert claim is not None
    return drain.run_job(rt, claim)


def the_job(rt: Runtime) -> Job:
    (job,) = all_rows(rt, Job)
    assert isinstance(job, Job)
    return job


@pytest.mark.parametrize(
    ("error", "outcome", "state", "spared"),
    [
        (None, "done", "done", 0),
        (UpstreamUnavailable("down", status=503), "retry", "ready", 0),
        (RateLimited("slower", retry_after=timedelta(seconds=90)), "waited", "ready", 1),
        (UpstreamRejected("no", status=404), "dead", "dead", 0),
        (InvalidInput("nonsense"), "dead", "dead", 0),
        (NotFound("gone"), "dead", "dead", 0),
        (ZeroDivisionError("a bug"), "retry", "ready", 0),
    ],
)
def test_every_outcome_is_a_row(
    rt: Runtime, script: Any, error: BaseException | None, outcome: str, state: str, spared: int
) -> None:
    script(error)
    assert run(rt) == outcome
    job = the_job(rt)
    assert (job.state, job.attempts, job.spared) == (state, 1, spared)
    (attempt,) = all_rows(rt, Attempt)
    assert attempt.outcome == outcome
    assert attempt.worker == "test"
    if error is not None:
        assert str(error) in (job.last_error or "")
        assert type(error).__name__ in (attempt.error or "")


def test_a_lease_lost_while_running_accounts_for_nothing(rt: Runtime, script: Any) -> None:
    script(LeaseLost("another has it"))
    assert run(rt) == "lost"
    assert the_job(rt).state == "running"


def test_retries_grow_apart_and_end(rt: Runtime, script: Any, clock: Clock) -> None:
    scripted = script(*[UpstreamUnavailable("down")] * 9)
    waits = []
    rt.add_jobs([NewJob(kind="housekeeping", key="k")])
    while the_job(rt).state == "ready":
        drain.run_until_idle(rt, stages=["enrich"], ticking=False)
        job = the_job(rt)
        waits.append((job.due_at - rt.now()).total_seconds())
        clock.advance(to=max(job.due_at, clock.now()))
    assert len(scripted.runs) == 5
    assert the_job(rt).state == "dead"
    assert all(early < late for early, late in pairwise(waits[:-1]))
    assert [a.outcome for a in all_rows(rt, Attempt)] == ["retry"] * 4 + ["dead"]
    assert all(a.traceback for a in all_rows(rt, Attempt))


def test_a_bug_is_tried_three_times(rt: Runtime, script: Any, clock: Clock) -> None:
    scripted = script(*[KeyError("x")] * 9)
    rt.add_jobs([NewJob(kind="housekeeping", key="k")])
    for _ in range(6):
        drain.run_until_idle(rt, stages=["enrich"], ticking=False)
        clock.advance(hours=2)
    assert len(scripted.runs) == 3
    assert the_job(rt).state == "dead"


def test_a_job_that_kills_its_worker_every_time_is_given_up(rt: Runtime, script: Any, clock: Clock) -> None:
    """Nobody reports the failures: they are counted when the job is claimed."""
    scripted = script(*[Crash()] * 20)
    rt.add_jobs([NewJob(kind="housekeeping", key="k")])
    for _ in range(5):
        claim = drain.claim_next(rt, stages=["enrich"])
        assert claim is not None
        with pytest.raises(Crash):
            drain.run_job(rt, claim)
        clock.advance(seconds=rt.settings.lease_s + 1)
    assert drain.run_until_idle(rt, stages=["enrich"], ticking=False) == {"dead": 1}
    assert len(scripted.runs) == 5
    assert "its worker died 5 times" in (the_job(rt).last_error or "")
    assert [a.outcome for a in all_rows(rt, Attempt)] == ["lost"] * 5 + ["dead"]


def test_waits_for_a_host_are_not_counted_among_the_deaths(rt: Runtime, script: Any, clock: Clock) -> None:
    script(*[RateLimited("slower")] * 30, None)
    rt.add_jobs([NewJob(kind="housekeeping", key="k")])
    for _ in range(31):
        drain.run_until_idle(rt, stages=["enrich"], ticking=False)
        clock.advance(hours=2)
    assert the_job(rt).state == "done"


def test_a_late_failure_of_a_lost_job_is_not_written(rt: Runtime, script: Any, clock: Clock) -> None:
    rt.add_jobs([NewJob(kind="housekeeping", key="k")])
    slow = drain.claim_next(rt)
    clock.advance(seconds=rt.settings.lease_s + 1)
    quick = drain.claim_next(rt)
    assert slow is not None
    assert quick is not None
    script(UpstreamRejected("no", status=404), None)
    assert drain.run_job(rt, slow) == "lost"
    assert the_job(rt).state == "running"
    assert drain.run_job(rt, quick) == "done"


def test_the_same_failure_has_the_same_signature(rt: Runtime, script: Any) -> None:
    script(UpstreamRejected("https://a.example/1 answered 404", status=404),
           UpstreamRejected("https://b.example/2 answered 404", status=404))  # fmt: skip
    run(rt, "a")
    run(rt, "b")
    assert len({j.signature for j in all_rows(rt, Job)}) == 1


def test_a_drain_waits_as_long_as_its_patience(rt: Runtime, script: Any, clock: Clock) -> None:
    script(RateLimited("slower", retry_after=timedelta(seconds=30)))
    rt.add_jobs([NewJob(kind="housekeeping", key="k")])
    assert drain.run_until_idle(rt, ticking=False) == {"waited": 1}
    clock.advance(minutes=5)
    script(RateLimited("slower", retry_after=timedelta(seconds=30)))
    outcome = drain.run_until_idle(rt, ticking=False, patience=timedelta(minutes=3))
    assert outcome == {"waited": 1, "done": 1}


def test_a_drain_stops_when_it_is_told_to(rt: Runtime, script: Any) -> None:
    script()
    rt.add_jobs([NewJob(kind="housekeeping", key=f"{n}") for n in range(5)])
    stop = threading.Event()
    outcome = drain.run_until_idle(rt, ticking=False, stop=stop, on_job=lambda *_: stop.set())
    assert outcome == {"done": 1}
    assert [j.state for j in all_rows(rt, Job)].count("ready") == 4


def test_a_drain_of_some_stages_leaves_the_others(rt: Runtime, script: Any) -> None:
    script()
    rt.add_jobs([NewJob(kind="housekeeping", key="k"), NewJob(kind="fetch_feed", key="f")])
    assert drain.run_until_idle(rt, stages=["enrich"], ticking=False) == {"done": 1}
    assert all_rows(rt, Job, kind="fetch_feed")[0].state == "ready"


def test_many_threads_drain_each_job_once(rt: Runtime, script: Any) -> None:
    scripted = script()
    rt.add_jobs([NewJob(kind="housekeeping", key=f"{n}") for n in range(40)])
    assert drain.run_until_idle(rt, ticking=False, threads=4) == {"done": 40}
    assert sorted(scripted.runs) == sorted(f"{n}" for n in range(40))


def test_one_drain_walks_a_paper_from_its_feed_to_its_repository(make_runtime: MakeRuntime, replay: Replay) -> None:
    rt = make_runtime(replay=replay)
    add_feed(rt, "daily-papers", history_days=6)
    outcomes = drain.run_until_idle(rt)
    assert set(outcomes) <= {"done", "waited"}  # without a token GitHub's hour may be spent
    announced = replay.announced()["daily-papers"]
    assert {p.key.removeprefix("arxiv:") for p in all_rows(rt, Paper)} == announced
    jobs = {j.id: j for j in all_rows(rt, Job)}
    for job in jobs.values():
        if job.kind in ("parse_document",):
            assert jobs[job.cause_id].kind == "fetch_feed"


def test_work_asked_for_by_hand_runs_with_what_follows_from_it(make_runtime: MakeRuntime, replay: Replay) -> None:
    from services.pipeline.fetch import page_job

    rt = make_runtime(replay=replay)
    feed = add_feed(rt, "blog", "rss", url=f"{replay.base_url}/blog/feed.xml")
    number = by_hand.ask(rt, page_job(feed.id or 0, feed.name, slot="s1"))
    left = by_hand.carry_out(rt, [number], kinds=by_hand.READING)
    assert [(j.kind, j.state) for j in left] == [("fetch_feed", "done"), ("parse_document", "done")]
    assert by_hand.ask(rt, page_job(feed.id or 0, feed.name, slot="s1")) == number
    assert [j.state for j in by_hand.carry_out(rt, [number], kinds=by_hand.SENDING)] == ["done"]
    assert replay.count("/blog") == 1
    by_hand.ask(rt, page_job(feed.id or 0, feed.name, slot="s1"), again=True)
    by_hand.carry_out(rt, [number], kinds=by_hand.READING)
    assert replay.count("/blog") == 2


def test_work_by_hand_takes_over_from_a_worker_that_died(make_runtime: MakeRuntime, clock: Clock, script: Any) -> None:
    rt = make_runtime(lease_s=5)
    script()
    number = by_hand.ask(rt, NewJob(kind="housekeeping", key="k"))
    assert drain.claim_next(rt, job_id=number) is not None  # and is never heard of again
    (job,) = by_hand.carry_out(rt, [number], kinds=[], patience=timedelta(seconds=rt.settings.lease_s + 60))
    assert (job.state, job.attempts) == ("done", 2)


def test_errors_say_whether_trying_again_helps() -> None:
    assert not BroadsheetError.passing
    assert not UpstreamRejected("x").passing
    assert UpstreamUnavailable("x").passing


def test_a_database_that_was_away_for_a_moment_hears_of_the_failure(
    rt: Runtime, script: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(UpstreamUnavailable("down"))
    away = iter([True] * 5)
    bury = drain._write_down

    def write(*said: Any) -> str:
        if next(away, False):
            raise OperationalError("UPDATE", {}, Exception("the connection was lost"))
        return bury(*said)

    monkeypatch.setattr(drain, "_write_down", write)
    assert run(rt) == "retry"
    assert the_job(rt).state == "ready"


def test_a_database_that_stays_away_is_not_waited_for_longer(
    rt: Runtime, script: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(UpstreamUnavailable("down"))

    def write(*_: Any) -> str:
        raise OperationalError("UPDATE", {}, Exception("the connection was lost"))

    monkeypatch.setattr(drain, "_write_down", write)
    began = clock.now()
    with pytest.raises(OperationalError):
        run(rt)
    assert clock.now() - began <= drain.DATABASE_BACK_WITHIN
