"""The ledger under any sequence of events: every move it makes is legal, and only who holds the token may move."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from services.domain.errors import LeaseLost
from services.domain.jobs import Claim, NewJob, may_move
from services.domain.retries import RetryPolicy
from services.pipeline import drain
from services.runtime import Runtime
from services.storage import jobs
from services.storage.engine import make_engine, reading, writing
from services.storage.tables import Attempt, Job
from tests.conftest import MakeRuntime
from tests.factories import all_rows
from tests.fakes import WEDNESDAY, Clock

LEASE = timedelta(seconds=60)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["add", "claim", "finish", "retry", "wait", "bury", "release", "revive", "time", "lease", "gone"]
        ),
        st.integers(0, 5),
    ),
    max_size=40,
)


@pytest.fixture(scope="module")
def engine(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One database for all examples; each begins with empty tables."""
    path = tmp_path_factory.mktemp("moves") / "broadsheet.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    made = make_engine(f"sqlite:///{path}")
    yield made
    made.dispose()


class Ledger:
    """The ledger, and what must be true of it."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.now = engine, WEDNESDAY
        self.claims: list[Claim] = []
        self.states: dict[int, str] = {}
        self.tokens: dict[int, str | None] = {}
        with writing(engine) as session:
            session.execute(delete(Attempt))
            session.execute(delete(Job))

    def do(self, event: str, number: int) -> None:
        claim = self.claims[number % len(self.claims)] if self.claims else None
        with writing(self.engine) as session:
            if event == "add":
                jobs.add(session, [NewJob(kind="fetch_feed", key=f"job {number % 3}")], now=self.now)
            elif event == "claim":
                taken = jobs.claim(session, now=self.now, lease=LEASE, worker=f"worker {number}")
                self.claims += [taken] if taken else []
            elif event == "revive":
                jobs.revive(session, list(self.states), now=self.now)
            elif event == "gone":
                jobs.expire_workers(session, now=self.now, is_dead=lambda worker: worker == f"worker {number}")
            elif event == "time":
                self.now += timedelta(seconds=7 * number)
            elif event == "lease":
                self.now += LEASE + timedelta(seconds=1)
        if claim is not None and event in {"finish", "retry", "wait", "bury", "release"}:
            self.close(event, claim)

    def close(self, event: str, claim: Claim) -> None:
        holds = self.states.get(claim.job_id) == "running" and self.tokens.get(claim.job_id) == claim.token
        try:
            with writing(self.engine) as session:
                if event == "finish":
                    jobs.finish(session, claim, now=self.now)
                elif event == "bury":
                    jobs.bury(session, claim, now=self.now, error="x", signature="x")
                elif event == "release":
                    jobs.release(session, claim, now=self.now)
                else:
                    jobs.retry(
                        session, claim, now=self.now, due_at=self.now + timedelta(seconds=5), error="x", signature="x",
                        counts=event == "retry",
                    )  # fmt: skip
        except LeaseLost:
            assert not holds, f"{event} was refused to who holds the token"
        else:
            assert holds, f"{event} was allowed to who does not hold the token"

    def look(self) -> None:
        with reading(self.engine) as session:
            rows = {job.id: job for job in session.exec(select(Job))}
            running = list(session.exec(select(Attempt).where(Attempt.outcome == "running")))
        for job_id, job in rows.items():
            assert job_id is not None
            before = self.states.get(job_id)
            taken_over = self.tokens.get(job_id) != job.token
            assert before is None or (before == job.state and not taken_over) or may_move(before, job.state)
            assert (job.token is not None) == (job.state == "running")
            assert 0 <= job.spared <= job.attempts
            self.states[job_id], self.tokens[job_id] = job.state, job.token
        # Each running job has exactly one try under way, and no other job has any.
        assert sorted(a.job_id for a in running) == sorted(i for i, j in rows.items() if i and j.state == "running")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS)
def test_every_move_is_legal_and_only_the_holder_of_the_token_moves(
    engine: Engine, events: list[tuple[str, int]]
) -> None:
    ledger = Ledger(engine)
    for event, number in events:
        ledger.do(event, number)
        ledger.look()


def test_a_job_that_kills_its_workers_ends_with_the_dead_letters(make_runtime: MakeRuntime, clock: Clock) -> None:
    """Nobody ever reports a failure: the tries are counted when they begin."""
    rt = make_runtime()
    rt.add_jobs([NewJob(kind="parse_document", key="poison"), NewJob(kind="housekeeping", key="later", priority=9)])
    tries = drain.HANDLERS["parse_document"].policy.attempts
    for _ in range(tries):
        assert drain.claim_next(rt, stages=["parse"]) is not None  # and its worker dies
        clock.advance(seconds=rt.settings.lease_s + 1)
    last = drain.claim_next(rt, stages=["parse"])
    assert last is not None
    assert drain.run_job(rt, last) == "dead"
    (job,) = all_rows(rt, Job, key="poison")
    assert job.state == "dead"
    assert f"died {tries} times" in (job.last_error or "")
    assert drain.claim_next(rt, stages=["parse"]) is None
    assert drain.claim_next(rt) is not None  # the others go on


def test_a_backlog_of_one_stage_leaves_the_others_their_share(rt: Runtime, clock: Clock) -> None:
    rt.add_jobs([NewJob(kind="fetch_feed", key=f"old {n}") for n in range(60)])
    clock.advance(hours=1)
    rt.add_jobs([NewJob(kind="parse_document", key=f"new {n}") for n in range(3)])
    taken = []
    for _ in range(30):
        clock.advance(milliseconds=7)
        claim = drain.claim_next(rt)
        assert claim is not None
        taken.append(claim.kind)
    assert taken.count("parse_document") == 3


def test_whose_worker_is_gone_comes_before_what_is_new(rt: Runtime, clock: Clock) -> None:
    rt.add_jobs([NewJob(kind="fetch_feed", key="left behind")])
    assert drain.claim_next(rt) is not None
    clock.advance(seconds=rt.settings.lease_s + 1)
    rt.add_jobs([NewJob(kind="send_deliveries", key="urgent", priority=-1)])
    claim = drain.claim_next(rt)
    assert claim is not None
    assert claim.key == "left behind"


def test_a_database_in_trouble_uses_up_a_jobs_tries_and_not_a_bugs_few(
    make_runtime: MakeRuntime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(rt: Runtime, claim: Claim) -> None:
        raise OperationalError("UPDATE", {}, sqlite3.OperationalError("database is locked"))

    handler = replace(drain.HANDLERS["housekeeping"], run=locked, policy=RetryPolicy(attempts=5))
    monkeypatch.setattr(drain, "HANDLERS", {**drain.HANDLERS, "housekeeping": handler})
    rt = make_runtime(retry_first_s=60)
    rt.add_jobs([NewJob(kind="housekeeping", key="locked")])
    outcomes, waits = [], []
    for _ in range(5):
        claim = drain.claim_next(rt)
        assert claim is not None
        outcomes.append(drain.run_job(rt, claim))
        waits.append((all_rows(rt, Job)[0].due_at - rt.now()).total_seconds())
        clock.advance(hours=1)
    assert outcomes == ["retry"] * 4 + ["dead"]
    assert waits[:4] == [1, 8, 64, 512]  # it is mostly back at once
