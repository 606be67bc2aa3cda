"""The database's clock decides: a worker on a host whose own clock is wrong neither steals nor starves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import OperationalError

from services.domain.errors import RateLimited
from services.domain.jobs import NewJob
from services.pipeline import drain
from services.runtime import Runtime
from services.storage import clock as clocks
from services.storage import jobs
from services.storage.clock import ASK_AGAIN_S, ASK_SOONER_S, DatabaseClock, host_time
from tests.conftest import MakeRuntime
from tests.servers import PostgresServer

HOUR = timedelta(hours=1)


def a_job(key: str, due_in: timedelta) -> NewJob:
    return NewJob(kind="fetch_feed", key=key, due_at=host_time() + due_in)


@pytest.mark.parametrize("off", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_a_worker_whose_host_is_an_hour_off_neither_steals_nor_starves(
    make_runtime: MakeRuntime, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, off: timedelta
) -> None:
    with postgres.database() as url:
        good = make_runtime(database_url=url, real_time=True)
        good.add_jobs([a_job("held", timedelta(0))])
        held = drain.claim_next(good)
        assert held is not None
        good.add_jobs([a_job("later", HOUR / 2), a_job("long due", -HOUR / 2)])
        good.close_gate("blog.example", HOUR / 2)

        monkeypatch.setattr(clocks, "host_time", lambda: datetime.now(UTC) + off)
        wrong = make_runtime(database_url=url, real_time=True)
        assert abs(clocks.host_time() - good.now()) > HOUR * 0.9
        taken = drain.claim_next(wrong)
        assert taken is not None
        assert taken.key == "long due"
        assert abs(taken.lease_until - good.now() - wrong.lease()) < timedelta(seconds=5)
        assert drain.claim_next(wrong) is None
        with pytest.raises(RateLimited), wrong.gate("blog.example"):
            pytest.fail("the gate is closed")
        for rt, claim in ((good, held), (wrong, taken)):
            with rt.step(claim):
                pass

        good.add_jobs([a_job("left", -HOUR / 2)])
        left = drain.claim_next(good)
        assert left is not None
        with good.writing() as session:  # its worker is dead: by the database's clock the lease is over
            jobs.expire_workers(session, now=good.now(), is_dead=lambda _: True)
        again = drain.claim_next(wrong)
        assert again is not None
        assert (again.job_id, again.attempt) == (left.job_id, 2)


def test_on_sqlite_the_host_is_the_databases_own(make_runtime: MakeRuntime) -> None:
    rt = make_runtime(real_time=True)
    assert rt.clock is host_time


class Passing:
    """The time that passes, as the test says."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_the_database_is_asked_now_and_then_and_missed_for_a_while(
    make_runtime: MakeRuntime, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.database() as url:
        engine = make_runtime(database_url=url).engine
        asked: list[bool] = []
        connect = engine.connect

        def counted() -> object:
            asked.append(down)
            if down:
                raise OperationalError("SELECT", {}, Exception("the server is gone"))
            return connect()

        monkeypatch.setattr(engine, "connect", counted)
        passed = Passing()
        clock = DatabaseClock(engine, passed=passed)
        down = True
        with pytest.raises(OperationalError):
            clock.now()
        down = False
        first = clock.now()
        assert abs(first - host_time()) < timedelta(seconds=30)
        passed.seconds += ASK_AGAIN_S - 0.5
        assert clock.now() - first == timedelta(seconds=ASK_AGAIN_S - 0.5)
        assert asked == [True, False]
        down = True
        passed.seconds += 1
        assert clock.now() - first == timedelta(seconds=ASK_AGAIN_S + 0.5)
        clock.now()
        assert asked == [True, False, True]  # not again at once
        passed.seconds += ASK_SOONER_S
        down = False
        again = clock.now()
        assert asked == [True, False, True, False]
        assert abs(again - host_time()) < timedelta(seconds=30)  # what it says, not what was carried on


def test_whoever_asks_gets_aware_utc(rt: Runtime) -> None:
    assert clocks.clock_of(rt.engine)().tzinfo is UTC
