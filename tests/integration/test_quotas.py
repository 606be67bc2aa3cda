"""Allowances: spent before calls are made, never beyond our share, settled by what the host says."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from services.domain.errors import RateLimited
from services.domain.repos import Quota as Told
from services.runtime import Runtime
from services.storage import quotas
from services.storage.tables import Quota
from tests.conftest import MakeRuntime
from tests.factories import all_rows
from tests.fakes import Clock

HOUR = timedelta(hours=1)
NAME = "api.github.com"
ASSUMED = (10, HOUR)


def row(rt: Runtime) -> Quota:
    (found,) = all_rows(rt, Quota, name=NAME)
    assert isinstance(found, Quota)
    return found


def told(rt: Runtime, remaining: int, *, limit: int = 10, resets_in: timedelta = HOUR, settled: int = 0) -> None:
    with rt.writing() as session:
        said = Told(limit=limit, remaining=remaining, reset_at=rt.now() + resets_in)
        quotas.record(session, NAME, said, now=rt.now(), settled=settled)


def test_calls_are_counted_before_they_are_made_and_stop_at_our_share(rt: Runtime, clock: Clock) -> None:
    for _ in range(8):
        rt.spend(NAME, assumed=ASSUMED)
    with pytest.raises(RateLimited) as stopped:
        rt.spend(NAME, assumed=ASSUMED)
    assert stopped.value.retry_after == HOUR
    assert (row(rt).remaining, row(rt).reserved) == (10, 8)
    clock.advance(hours=1)
    rt.spend(NAME, assumed=ASSUMED)  # filled up again
    assert (row(rt).remaining, row(rt).reserved) == (10, 1)


def test_what_others_use_of_it_counts_as_well(rt: Runtime) -> None:
    rt.spend(NAME, assumed=ASSUMED)
    told(rt, 3, settled=1)
    assert (row(rt).remaining, row(rt).reserved) == (3, 0)
    rt.spend(NAME, assumed=ASSUMED)
    with pytest.raises(RateLimited):
        rt.spend(NAME, assumed=ASSUMED)


def test_a_call_that_was_never_answered_stays_on_the_account(rt: Runtime) -> None:
    rt.spend(NAME, 5, assumed=ASSUMED)
    told(rt, 9, settled=1)
    with rt.reading() as session:
        assert quotas.calls_left(session, NAME, share=0.8, now=rt.now()) == 8 - 1 - 4


def test_answers_may_overtake_one_another(rt: Runtime, clock: Clock) -> None:
    told(rt, 4)
    told(rt, 6)  # older, and later to arrive
    assert row(rt).remaining == 4
    told(rt, 9, resets_in=2 * HOUR)  # the next window
    assert row(rt).remaining == 9
    told(rt, 4999, limit=5000, resets_in=2 * HOUR)  # another token's worth
    assert (row(rt).limit, row(rt).remaining) == (5000, 4999)
    clock.advance(hours=3)
    with rt.reading() as session:
        assert quotas.calls_left(session, NAME, share=0.8, now=rt.now()) is None
        assert quotas.share_used(row(rt), rt.now()) == 0


def test_an_allowance_nobody_told_of_has_no_end(rt: Runtime) -> None:
    for _ in range(20):
        rt.spend("blog.example")
    assert all_rows(rt, Quota) == []


def test_many_at_once_never_go_beyond_it_together(make_runtime: MakeRuntime, database_url: str) -> None:
    rt = make_runtime(database_url=database_url, quota_share=0.5)
    gone: list[bool] = []

    def call() -> None:
        for _ in range(5):
            try:
                rt.spend(NAME, assumed=(20, HOUR))
                gone.append(True)
            except RateLimited:
                gone.append(False)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (gone.count(True), gone.count(False), row(rt).reserved) == (10, 10, 10)
