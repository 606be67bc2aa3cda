"""Recovery: how long each kind of fault delays the work, one at a time, with the settings the service is shipped with.

In the middle of a day's work a fault happens; the time is taken until all that was announced has been fetched, parsed
and delivered. Beside each kind stands the same day without any fault.
"""

from __future__ import annotations

import random
import time
from statistics import median
from typing import Any

from tests.faults import mixed
from tests.faults.kill import Report

SHIPPED = {"lease_s": "300", "poll_s": "5", "retry_first_s": "60", "tick_s": "1"}
"""As shipped, but for a quicker schedule: the way back is measured, not the wait for the day's work to begin."""

SETTLES_WITHIN_S = 420.0


def run(world: Any, *, mode: str, times: int, seed: int) -> Report:
    """Each kind of fault so many times; `extra["recovery_s"]`: kind -> median, worst."""
    report = Report(f"recovery, {mode}")
    began = time.monotonic()
    chance = random.Random(f"{seed} recovery {mode}")
    world.begin(window=False)
    with mixed.installed(world, report, chance, mode=mode, **SHIPPED) as (plan, setup):
        took: dict[str, list[float]] = {}
        for kind in ("no fault", *setup.kinds):
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
        report.extra["recovery_s"] = {
            kind: {"median": round(median(seconds), 1), "worst": round(max(seconds), 1), "times": len(seconds)}
            for kind, seconds in took.items()
        }
        mixed.end(plan, setup, report, "hold")
        if report.violations:
            report.extra["logs"] = mixed.keep_logs(plan.home)
    report.seconds = time.monotonic() - began
    return report
