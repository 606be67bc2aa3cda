"""Repositories kept fresh within one token's hourly quota: requests, points and ages, counted rather than timed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from tests.benchmarks.harness import Options, Result, allowance
from tests.benchmarks.many_repos import CLASSES, HOUR, POPULAR, Seen, simulate, world

POINTS = 5_000
PER_FIFTY = 1.1
"""Requests for each 50 repositories that are due."""
LATE = timedelta(hours=2)
"""How much older than planned a reading may get: an hour to fill a request, the ticks, and what we look at."""


def kept_fresh(options: Options) -> Iterator[Result]:
    """100,000 repositories over two days, then as many that nobody has read yet."""
    count, fresh = options.some(100_000, 2_000), options.some(250, 10)
    days = options.some(2, 1)
    with world(count=count, fresh_a_day=fresh, days=days) as (rt, wire, clock):
        steady = simulate(rt, wire, clock, days=days)
    yield from results(f"{count:,} repositories", steady, limit=POINTS)
    with world(count=count, fresh_a_day=fresh, days=1, never_read=True) as (rt, wire, clock):
        begun = simulate(rt, wire, clock, days=0.25)
    yield _budget(f"{count:,} never read", begun, POINTS)
    yield allowance(f"{count:,} never read: requests per 50", used=begun.per_fifty, allowed=PER_FIFTY, what="1.1")


def results(name: str, seen: Seen, *, limit: int) -> Iterator[Result]:
    """What a simulation came to, each number against what it may be."""
    note = f"{seen.requests:,} requests for {seen.read:,} readings, {seen.per_fifty:.3f} per 50"
    yield allowance(
        f"{name}: requests per 50", used=seen.per_fifty, allowed=PER_FIFTY, what=f"{PER_FIFTY:g}", note=note
    )
    yield _budget(name, seen, limit)
    planned = {n: wait for n, _, wait in CLASSES} | {POPULAR: 24 * HOUR}
    for kind, age in sorted(seen.oldest.items(), key=lambda one: planned[one[0]]):
        allowed = planned[kind] + LATE
        yield allowance(
            f"{name}: oldest reading, {kind}", used=age / HOUR, allowed=allowed / HOUR, what=f"{allowed / HOUR:g} h",
            note=f"{age / HOUR:.1f} h, planned {planned[kind] / HOUR:g} h",
        )  # fmt: skip


def _budget(name: str, seen: Seen, limit: int) -> Result:
    assert not seen.refused, f"GitHub said {seen.refused} times that the quota is spent"
    most = max(seen.spent.values(), default=0)
    assert most <= limit * 0.8, f"{most} of {limit} points an hour: more than our share"
    return allowance(
        f"{name}: points an hour", used=most, allowed=limit * 0.8, what=f"{limit * 0.8:g} of {limit:,}",
        note=f"{most:,} in the fullest of {len(seen.spent)} hours",
    )  # fmt: skip
