"""Parts of the fault plans that can be wrong by themselves: the clocks of hosts, and the figures of recovery."""

from __future__ import annotations

import faulthandler
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.storage import clock as clocks
from tests.faults import host, recovery
from tests.faults.host import HostClock


@pytest.fixture
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a process on such a host replaces is put back."""
    monkeypatch.setattr(time, "time", time.time)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(clocks, "host_time", clocks.host_time)
    yield
    faulthandler.unregister(signal.SIGUSR2)


@pytest.mark.usefixtures("_as_it_was")
def test_a_step_of_a_hosts_clock_befalls_what_runs_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.clock"
    shown: list[tuple[datetime, float, list[str]]] = []

    def broadsheet() -> None:
        for off_s in (0.0, -3600.0, 1800.0):
            HostClock(file).step(off_s)  # as the plan does, from outside
            shown.append((clocks.host_time(), time.time(), sys.argv))

    monkeypatch.setattr("workers.cli.main", broadsheet)
    began = datetime.now(UTC)
    host.main(str(file), "worker", "--concurrency", "2")
    for (at, seconds, arguments), off_s in zip(shown, (0, -3600, 1800), strict=True):
        assert timedelta(0) <= at - began - timedelta(seconds=off_s) < timedelta(seconds=30)
        assert abs(seconds - at.timestamp()) < 30
        assert arguments == ["broadsheet", "worker", "--concurrency", "2"]
    assert HostClock(tmp_path / "b.clock").off_s == 0


def test_recovery_is_told_by_median_ninetieth_percentile_and_most() -> None:
    assert recovery.figures([9, 1, 2, 3, 4, 5, 6, 7, 8, 100]) == {"times": 10, "median": 5.5, "p90": 9, "max": 100}
    assert recovery.figures([2.04]) == {"times": 1, "median": 2.0, "p90": 2.0, "max": 2.0}
    (_, _, line) = recovery.as_table({"SIGTERM": recovery.figures([1, 3])})
    assert line == "| SIGTERM | 2 | 2.0 s | 3 s | 3 s |"
