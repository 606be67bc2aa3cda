"""Recovery: how long each kind of fault delays the work, one at a time, with the settings the service is shipped with.

In the middle of a day's work a fault happens; the time is taken until all that was announced has been fetched, parsed
and delivered. Beside each kind stands the same day without any fault.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import ceil
from statistics import median
from typing import Any

from tests.faults import mixed
from tests.faults.kill import Report

SHIPPED = {"lease_s": "300", "poll_s": "5", "retry_first_s": "60", "tick_s": "1"}
"""As shipped, but for a quicker schedule: the way back is measured, not the wait for the day's work to begin."""

SETTLES_WITHIN_S = 420.0


def run(world: Any, *, mode: str, times: int, seed: int, kinds: Collection[str] = ()) -> Report:
    """Each kind of fault (of `kinds`, or all) so many times; `extra["recovery_s"]`: kind -> times, median, p90, max."""
    report = Report(f"recovery, {mode}")
    began = time.monotonic()
    chance = random.Random(f"{seed} recovery {mode}")
    world.begin(window=False)
    with mixed.installed(world, report, chance, mode=mode, **SHIPPED) as (plan, setup):
        took: dict[str, list[float]] = {}
        for kind in ("no fault", *(kind for kind in setup.kinds if kind in kinds or not kinds)):
            for _ in range(1 if kind in mixed.RARE else times):
                plan.new_works()
                plan.new_day()
                time.sleep(chance.uniform(0.5, 2.0))
                at = time.monotonic()
                if kind != "no fault" and setup.inject(kind):
                    report.faults += 1
                    report.by_point[kind] += 1
                plan.settle(SETTLES_WITHIN_S)
                took.setdefault(kind, []).append(time.monotonic() - at)
        report.extra["recovery_s"] = {kind: figures(seconds) for kind, seconds in took.items()}
        mixed.end(plan, setup, report, "hold")
        if report.violations:
            report.extra["logs"] = mixed.keep_logs(plan.home)
    report.seconds = time.monotonic() - began
    return report


def figures(seconds: Sequence[float]) -> dict[str, float]:
    """How often it was measured, the median, the 90th percentile (by nearest rank) and the most."""
    ranked = sorted(seconds)
    p90 = ranked[ceil(len(ranked) * 0.9) - 1]
    return {"times": len(ranked), "median": round(median(ranked), 1), "p90": round(p90, 1), "max": round(ranked[-1], 1)}


def as_table(recovery_s: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """The figures of a mode, a line a kind, as Markdown."""
    yield "| fault | times | median | p90 | max |"
    yield "|---|---|---|---|---|"
    for kind, took in recovery_s.items():
        yield f"| {kind} | {took['times']} | {took['median']} s | {took['p90']} s | {took['max']} s |"
