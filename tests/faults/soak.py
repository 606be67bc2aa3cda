"""Soak: the embedded service at low load for a long time. Does it grow, leak descriptors, or fall behind?

Every few seconds a day passes on the host's clock: works are announced, fetched, parsed and sent to the readers, and a
few pages are asked for; what a day brings is the same on the last as on the first. Memory, descriptors and the age of
the oldest job that could be done are read once a second from outside; before that the process gives back what it does
not use, since an allocator that keeps what has become free grows for long though nothing leaks.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from tests.faults import mixed
from tests.faults.kill import Report
from tests.faults.world import world
from tests.servers import free_port

DAY_S = 10.0
"""A day passes in so long."""
WARM_UP = 0.25
"""Of the time; what is loaded and cached in it is no leak."""
MOST_MB_AN_HOUR = 40.0
"""Of growth, seen over a quarter of an hour: the few MB of caches that still fill come to two thirds of that."""
LONG_S = 600.0
MOST_DESCRIPTORS = 20
"""More at the end than after warming up."""
OLDEST_S = 30.0
"""A job that could be done waits no longer."""
PAGES = ("/", "/healthz", "/metrics", "/api/v1/papers")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the process."""

    at_s: float
    memory_mb: float
    descriptors: int
    oldest_s: float


def main(seconds: float, *, say: Callable[[str], None], json_to: Path | None = None) -> int:
    """Run it, print what came of it; 1 when something grew or fell behind, or was lost."""
    report = Report("soak")
    port = free_port()
    with world() as outside:
        outside.begin()
        settings = {"web_port": str(port), "lease_s": "300"}
        with mixed.installed(outside, report, random.Random(1), mode="embedded", **settings) as (plan, setup):
            samples = _live(plan, seconds, f"http://127.0.0.1:{port}")
            mixed.end(plan, setup, report, "hold")
    figures = _figures(samples, report)
    say(
        f"soak {seconds / 60:.0f} min: {report.rounds} days, {report.findings.papers} papers, "
        f"{report.findings.deliveries} deliveries; memory {figures['memory_mb']} MB, {figures['mb_per_hour']:+} MB/h; "
        f"descriptors {figures['descriptors']} ({figures['descriptors_more']:+}); "
        f"oldest ready job {figures['oldest_s']} s, 99 % below {figures['oldest_99_s']} s"
    )
    for words in report.violations:
        say(f"VIOLATION {words}")
    say(f"verdict: {'FAIL' if report.violations else 'PASS'}")
    if json_to:
        json_to.write_text(json.dumps({**figures, "violations": report.violations}, indent=2) + "\n")
    return 1 if report.violations else 0


def _live(plan: mixed.Plan, seconds: float, base: str) -> list[Sample]:
    samples: list[Sample] = []
    pid, clock = plan.service.processes["up"].pid, plan.service.clocks["up"]
    began = time.monotonic()
    next_day = began
    while time.monotonic() < began + seconds:
        if time.monotonic() >= next_day and plan.quiet():
            next_day += DAY_S
            clock.step(clock.off_s + 86_400)
            plan.new_works()
            plan.new_day()
            for page in PAGES:
                with suppress(OSError), urllib.request.urlopen(base + page, timeout=5) as answer:
                    answer.read()
        os.kill(pid, signal.SIGUSR1)
        time.sleep(0.5)  # its main thread looks twice a second
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        samples.append(Sample(time.monotonic() - began, memory_mb(pid), descriptors, _oldest(plan)))
        time.sleep(0.5)
    return samples


def memory_mb(pid: int) -> float:
    """What a process holds in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _oldest(plan: mixed.Plan) -> float:
    """How long the job that has waited longest could have been done, in seconds."""
    with suppress(DBAPIError):
        for (due_at,) in plan.archive.rows("SELECT min(due_at) FROM jobs WHERE state = 'ready'"):
            if due_at is not None:
                due = datetime.fromisoformat(str(due_at))
                return max((plan.now() - due.replace(tzinfo=UTC)).total_seconds(), 0.0)
    return 0.0


def _figures(samples: Sequence[Sample], report: Report) -> dict[str, Any]:
    end = samples[-1].at_s
    warm = [s for s in samples if s.at_s >= end * WARM_UP]
    growth = slope([s.at_s / 3600 for s in warm], [s.memory_mb for s in warm])
    more = warm[-1].descriptors - warm[0].descriptors
    waits = sorted(s.oldest_s for s in samples)
    long = end >= LONG_S  # of a few minutes no slope can be told
    for wrong, words in (
        (long and growth > MOST_MB_AN_HOUR, f"memory grows by {growth:.0f} MB an hour"),
        (more > MOST_DESCRIPTORS, f"{more} descriptors more than after warming up"),
        (waits[-1] > OLDEST_S, f"a job that could be done waited {waits[-1]:.0f} s"),
    ):
        if wrong:
            report.violations.append(words)
    return {
        "seconds": round(end), "days": report.rounds, "memory_mb": round(warm[-1].memory_mb, 1),
        "mb_per_hour": round(growth, 1), "descriptors": warm[-1].descriptors, "descriptors_more": more,
        "oldest_s": round(waits[-1], 1), "oldest_99_s": round(waits[int(len(waits) * 0.99)], 1),
        "memory_mb_each_minute": [round(s.memory_mb, 1) for s in samples[:: max(int(60 * len(samples) / end), 1)]],
    }  # fmt: skip


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the straight line nearest to the points."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((a - x) ** 2 for a in xs)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / spread if spread else 0.0
