"""The jobs ledger on both databases: added once, claimed by one, finished by who holds it."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError

from services.domain.errors import LeaseLost, NotFound
from services.domain.jobs import Claim, NewJob
from services.pipeline import drain
from services.runtime import Runtime
from services.storage import jobs, runs
from services.storage.tables import Attempt, Feed, Job
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows
from tests.fakes import Clock


def a_job(key: str = "one", **values: object) -> NewJob:
    return NewJob(kind="fetch_feed", key=key, **values)  # type: ignore[arg-type]


def claimed(rt: Runtime, **choice: object) -> Claim:
    claim = drain.claim_next(rt, **choice)  # type: ignore[arg-type]
    assert claim is not None
    return claim


def job_of(rt: Runtime, claim: Claim) -> Job:
    (job,) = all_rows(rt, Job, id=claim.job_id)
    assert isinstance(job, Job)
    return job


def outcomes(rt: Runtime) -> list[str]:
    return [attempt.outcome for attempt in all_rows(rt, Attempt)]


def test_a_job_of_a_kind_and_key_is_added_once(rt: Runtime) -> None:
    assert len(rt.add_jobs([a_job(), a_job("two")])) == 2
    assert rt.add_jobs([a_job(payload={"other": 1}), a_job("two")]) == []
    assert [(j.key, j.payload) for j in all_rows(rt, Job)] == [("one", {}), ("two", {})]


def test_the_same_key_twice_in_one_call_is_one_job(rt: Runtime) -> None:
    assert len(rt.add_jobs([a_job(), a_job()])) == 1
    assert len(all_rows(rt, Job)) == 1


def test_only_due_jobs_are_hinted(rt: Runtime) -> None:
    later = rt.now() + timedelta(hours=1)
    hints = rt.add_jobs([a_job("now"), a_job("later", due_at=later)])
    assert [h.job_id for h in hints] == [j.id for j in all_rows(rt, Job, key="now")]


def test_a_claim_counts_an_attempt_and_takes_the_job_from_others(rt: Runtime) -> None:
    rt.add_jobs([a_job()])
    claim = claimed(rt)
    assert (claim.attempt, claim.tries) == (1, 1)
    assert drain.claim_next(rt) is None
    assert drain.claim_next(rt, job_id=claim.job_id) is None
    job = job_of(rt, claim)
    assert (job.state, job.attempts, job.token) == ("running", 1, claim.token)
    assert outcomes(rt) == ["running"]


def test_nothing_is_claimed_before_it_is_due(rt: Runtime, clock: Clock) -> None:
    rt.add_jobs([a_job(due_at=rt.now() + timedelta(minutes=5))])
    assert drain.claim_next(rt) is None
    clock.advance(minutes=5)
    assert claimed(rt).attempt == 1


def test_the_most_urgent_job_of_the_asked_stages_is_claimed_first(rt: Runtime, clock: Clock) -> None:
    rt.add_jobs([a_job("old")])
    clock.advance(minutes=1)
    rt.add_jobs([a_job("new"), a_job("alert", priority=-1), NewJob(kind="parse_document", key="fetch 1")])
    assert claimed(rt, stages=["parse"]).key == "fetch 1"
    assert [claimed(rt).key for _ in range(3)] == ["alert", "old", "new"]


def test_what_became_due_just_now_is_left_to_its_hint(rt: Runtime, clock: Clock) -> None:
    rt.add_jobs([a_job()])
    assert drain.claim_next(rt, overdue_since=rt.now() - timedelta(seconds=5)) is None
    clock.advance(seconds=5)
    assert claimed(rt, overdue_since=rt.now() - timedelta(seconds=5)).key == "one"


def test_an_expired_lease_is_taken_over_and_the_try_counted_as_lost(rt: Runtime, clock: Clock) -> None:
    rt.add_jobs([a_job()])
    first = claimed(rt)
    clock.advance(seconds=rt.settings.lease_s)
    assert drain.claim_next(rt) is None  # it holds to its last moment
    clock.advance(seconds=1)
    second = claimed(rt)
    assert (second.job_id, second.attempt, second.tries) == (first.job_id, 2, 2)
    assert second.token != first.token
    assert outcomes(rt) == ["lost", "running"]


def test_a_worker_that_lost_its_lease_can_neither_finish_nor_retry_nor_bury(rt: Runtime, clock: Clock) -> None:
    rt.add_jobs([a_job()])
    old = claimed(rt)
    clock.advance(seconds=rt.settings.lease_s + 1)
    new = claimed(rt)
    now = rt.now()
    with pytest.raises(LeaseLost), rt.writing() as session:
        jobs.finish(session, old, now=now)
    with pytest.raises(LeaseLost), rt.writing() as session:
        jobs.retry(session, old, now=now, due_at=now, error="x", signature="x")
    with pytest.raises(LeaseLost), rt.writing() as session:
        jobs.bury(session, old, now=now, error="x", signature="x")
    with pytest.raises(LeaseLost), rt.writing() as session:
        jobs.release(session, old, now=now)
    assert job_of(rt, new).token == new.token
    with rt.writing() as session:
        jobs.finish(session, new, now=now)
    assert job_of(rt, new).state == "done"


def test_a_step_of_a_lost_lease_writes_nothing_and_adds_no_jobs(rt: Runtime, clock: Clock) -> None:
    rt.add_jobs([a_job()])
    old = claimed(rt)
    clock.advance(seconds=rt.settings.lease_s + 1)
    claimed(rt)
    with pytest.raises(LeaseLost), rt.step(old) as step:
        step.session.add(_a_feed(rt))
        step.add([NewJob(kind="parse_document", key="fetch 1")])
    assert all_rows(rt, Feed) == []
    assert all_rows(rt, Job, kind="parse_document") == []


def test_a_lease_lost_in_the_middle_of_a_step_undoes_all_of_it(make_runtime: MakeRuntime, clock: Clock) -> None:
    """On SQLite the writer's lock keeps others out; the token is checked again by the finish all the same."""
    rt = make_runtime()
    published: list[object] = []
    rt.publish = published.append
    rt.add_jobs([a_job()])
    published.clear()
    claim = claimed(rt)
    with pytest.raises(LeaseLost), rt.step(claim) as step:
        step.session.add(_a_feed(rt))
        step.add([NewJob(kind="parse_document", key="fetch 1")])
        step.session.execute(Job.__table__.update().values(token="another's"))  # type: ignore[attr-defined]
    assert all_rows(rt, Feed) == []
    assert all_rows(rt, Job, kind="parse_document") == []
    assert published == []


def _a_feed(rt: Runtime) -> Feed:
    return Feed(name="never", kind="rss", title="never", next_check_at=rt.now(), created_at=rt.now())


def test_a_step_that_raises_leaves_the_job_running_and_writes_nothing(rt: Runtime) -> None:
    rt.add_jobs([a_job()])
    claim = claimed(rt)
    with pytest.raises(ZeroDivisionError), rt.step(claim) as step:
        step.session.add(_a_feed(rt))
        step.session.flush()
        step.add([NewJob(kind="parse_document", key="fetch 1")])
        raise ZeroDivisionError
    assert all_rows(rt, Feed) == []
    assert all_rows(rt, Job, kind="parse_document") == []
    assert job_of(rt, claim).state == "running"


def test_a_step_finishes_the_job_and_hints_at_what_follows_after_the_commit(rt: Runtime) -> None:
    rt.add_jobs([a_job()])
    claim = claimed(rt)
    seen: list[tuple[list[str], list[int]]] = []
    rt.publish = lambda hints: seen.append(([j.state for j in all_rows(rt, Job)], [h.job_id for h in hints]))
    with rt.step(claim) as step:
        step.add([NewJob(kind="parse_document", key="fetch 1")])
    (child,) = all_rows(rt, Job, kind="parse_document")
    assert child.cause_id == claim.job_id
    assert seen == [(["done", "ready"], [child.id])]
    assert outcomes(rt) == ["done"]


def test_a_retry_waits_and_keeps_the_error(rt: Runtime, clock: Clock) -> None:
    rt.add_jobs([a_job()])
    claim = claimed(rt)
    due_at = rt.now() + timedelta(minutes=3)
    with rt.writing() as session:
        jobs.retry(session, claim, now=rt.now(), due_at=due_at, error="boom", signature="Boom", traceback="trace")
    job = job_of(rt, claim)
    assert (job.state, job.due_at, job.last_error, job.signature) == ("ready", due_at, "boom", "Boom")
    (attempt,) = all_rows(rt, Attempt)
    assert (attempt.outcome, attempt.error, attempt.traceback) == ("retry", "boom", "trace")
    clock.advance(minutes=3)
    again = claimed(rt)
    assert (again.attempt, again.tries) == (2, 2)


def test_a_try_that_does_not_count_is_spared(rt: Runtime) -> None:
    rt.add_jobs([a_job()])
    for _ in range(3):
        claim = claimed(rt)
        with rt.writing() as session:
            jobs.retry(session, claim, now=rt.now(), due_at=rt.now(), error="wait", signature="W", counts=False)
    claim = claimed(rt)
    assert (claim.attempt, claim.tries) == (4, 1)
    assert outcomes(rt) == ["waited", "waited", "waited", "running"]
    assert job_of(rt, claim).signature is None  # waiting for a host is no failure


def test_a_released_job_is_ready_at_once_and_nothing_is_held_against_it(rt: Runtime) -> None:
    rt.add_jobs([a_job()])
    with rt.writing() as session:
        jobs.release(session, claimed_in(session, rt), now=rt.now())
    again = claimed(rt)
    assert (again.attempt, again.tries) == (2, 1)
    assert outcomes(rt) == ["released", "running"]


def claimed_in(session: object, rt: Runtime) -> Claim:
    claim = jobs.claim(session, now=rt.now(), lease=rt.lease())  # type: ignore[arg-type]
    assert claim is not None
    return claim


def test_a_buried_job_is_not_claimed_and_a_revived_one_has_all_its_tries_again(rt: Runtime) -> None:
    rt.add_jobs([a_job()])
    claim = claimed(rt)
    with rt.writing() as session:
        jobs.bury(session, claim, now=rt.now(), error="gone", signature="Gone")
    assert job_of(rt, claim).state == "dead"
    assert drain.claim_next(rt) is None
    assert drain.claim_next(rt, job_id=claim.job_id) is None
    with rt.writing() as session:
        assert [h.job_id for h in jobs.revive(session, [claim.job_id], now=rt.now())] == [claim.job_id]
    again = claimed(rt)
    assert (again.attempt, again.tries) == (2, 1)


def test_a_waiting_or_running_job_is_not_revived(rt: Runtime) -> None:
    rt.add_jobs([a_job("waiting"), a_job("running")])
    running = claimed(rt, job_id=all_rows(rt, Job, key="running")[0].id)
    with rt.writing() as session:
        assert jobs.revive(session, [j.id for j in all_rows(rt, Job)], now=rt.now()) == []
    assert job_of(rt, running).token == running.token


def test_jobs_of_dead_workers_become_claimable_at_once(rt: Runtime) -> None:
    rt.add_jobs([a_job("theirs"), a_job("ours")])
    rt.worker = "a dead one"
    theirs = claimed(rt)
    rt.worker = "a live one"
    ours = claimed(rt)
    with rt.writing() as session:
        assert jobs.expire_workers(session, now=rt.now(), is_dead=lambda name: name == "a dead one") == 1
    assert claimed(rt).job_id == theirs.job_id
    assert job_of(rt, ours).token == ours.token


def test_pruning_takes_old_done_jobs_with_their_attempts_and_leaves_dead_ones(rt: Runtime, clock: Clock) -> None:
    rt.add_jobs([a_job("done"), a_job("dead"), a_job("waiting", due_at=rt.now() + timedelta(days=90))])
    with rt.step(claimed(rt)):
        pass
    with rt.writing() as session:
        jobs.bury(session, claimed_in(session, rt), now=rt.now(), error="gone", signature="Gone")
    clock.advance(days=31)
    with rt.writing() as session:
        assert jobs.prune(session, before=rt.now() - timedelta(days=30)) == 1
    assert {j.key for j in all_rows(rt, Job)} == {"dead", "waiting"}
    assert outcomes(rt) == ["dead"]


def test_an_unknown_job_is_told_by_name(rt: Runtime) -> None:
    with pytest.raises(NotFound, match="no run 77"), rt.reading() as session:
        jobs.get(session, 77)


def test_failed_runs_are_those_given_up_and_those_that_failed_and_wait(rt: Runtime) -> None:
    rt.add_jobs([a_job("given up"), a_job("again"), a_job("waits for a host"), a_job("fresh")])
    for verb in ("bury", "retry", "wait"):
        claim = claimed(rt)
        with rt.writing() as session:
            now = rt.now()
            if verb == "bury":
                jobs.bury(session, claim, now=now, error="x", signature="X")
            else:
                due_at = now + timedelta(hours=1)
                jobs.retry(session, claim, now=now, due_at=due_at, error="x", signature="X", counts=verb == "retry")
    with rt.reading() as session:
        assert {j.key for j in runs.list_runs(session, failed=True)} == {"given up", "again"}


@pytest.mark.timeout(120)
def test_eight_threads_claim_each_of_100_jobs_exactly_once(rt: Runtime) -> None:
    rt.add_jobs([a_job(f"number {n}") for n in range(100)])
    taken: Counter[int] = Counter()
    troubles: list[BaseException] = []
    lock = threading.Lock()
    begin = threading.Barrier(8)

    def work() -> None:
        begin.wait()
        try:
            while (claim := drain.claim_next(rt)) is not None:
                with lock:
                    taken[claim.job_id] += 1
                with rt.step(claim):
                    pass
        except BaseException as error:
            troubles.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
    assert len(taken) == 100
    assert set(taken.values()) == {1}
    assert {(j.state, j.attempts) for j in all_rows(rt, Job)} == {("done", 1)}
    assert len(outcomes(rt)) == 100


@pytest.mark.timeout(120)
def test_eight_threads_that_add_the_same_jobs_add_each_once(rt: Runtime) -> None:
    hinted: list[int] = []
    begin = threading.Barrier(8)

    def add() -> None:
        begin.wait()
        for n in range(20):
            hinted.extend(h.job_id for h in rt.add_jobs([a_job(f"number {n}")]))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(all_rows(rt, Job)) == 20
    assert sorted(hinted) == sorted(j.id for j in all_rows(rt, Job))


@pytest.mark.timeout(120)
def test_eight_writers_never_meet_a_locked_sqlite_database(make_runtime: MakeRuntime) -> None:
    """Each has an engine of its own, as separate processes do, and reads before it writes."""
    runtimes = [make_runtime() for _ in range(8)]
    add_feed(runtimes[0], "counter", interval_minutes=1)
    locked: list[OperationalError] = []
    begin = threading.Barrier(8)

    def work(rt: Runtime) -> None:
        begin.wait()
        try:
            for _ in range(12):
                with rt.writing() as session:
                    feed = session.get_one(Feed, 1)
                    feed.failures += 1
        except OperationalError as error:
            locked.append(error)

    threads = [threading.Thread(target=work, args=(rt,)) for rt in runtimes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert locked == []
    assert all_rows(runtimes[0], Feed)[0].failures == 96
