"""The plan that keeps repositories fresh, in a small world on the simulated clock: within its budget, and in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import structlog

from tests.benchmarks.bench_repositories import results
from tests.benchmarks.many_repos import simulate, world

MINUTES = 1 / (24 * 60)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.configure(**before)


def test_a_backlog_is_read_at_the_pace_of_our_share_and_not_a_point_beyond_it() -> None:
    # 4 of 5 points are ours: 200 repositories an hour.
    with world(count=300, fresh_a_day=1, days=1, limit=5, never_read=True) as (rt, wire, clock):
        first = simulate(rt, wire, clock, days=50 * MINUTES)
        assert (first.read, first.requests, max(first.spent.values())) == (200, 4, 4)
        second = simulate(rt, wire, clock, days=30 * MINUTES)
    assert (second.read, second.requests, second.refused) == (300, 6, 0)
    assert max(second.spent.values()) == 4


def test_what_is_due_is_read_in_full_requests_and_in_time() -> None:
    with world(count=600, fresh_a_day=48, days=1) as (rt, wire, clock):
        seen = simulate(rt, wire, clock, days=0.17)
    assert seen.read > 60
    missed = [one for one in results("small", seen, limit=5_000) if not one.ok and "per 50" not in one.name]
    assert missed == []
    assert seen.requests <= seen.read / 50 + 5  # so few wait for an hour at most to fill one
    assert min(seen.oldest.values()) < timedelta(hours=9)
