"""Processes: a worker ends, whatever becomes of its children."""

from __future__ import annotations

import signal
import subprocess
import time
from types import SimpleNamespace
from typing import Any

import pytest
from billiard import pool as billiard_pool

from workers.processes import UNHEARD_S, end_unheard, end_within


class Worker:
    """As much of a Celery worker as is needed to end it: it waits for its one child."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.pool, self._child = self, child
        self.exitcode: int | None = None
        self.info = {"processes": [child.pid]}

    def stop(self, exitcode: int | None = None) -> None:
        """End when the child has."""
        self.exitcode = exitcode
        self._child.wait()


def ended(program: str, seconds: float) -> tuple[Any, Any]:
    """The exit codes of a worker that is stopped while its child runs this program, and of the child."""
    with subprocess.Popen(["/bin/sh", "-c", program]) as child:
        worker = Worker(child)
        end_within(worker, seconds)
        worker.stop(exitcode=3)
        return worker.exitcode, child.returncode


def test_a_child_that_does_not_end_is_killed_when_its_lease_is_over() -> None:
    began = time.monotonic()
    assert ended("exec sleep 60", 0.05) == (3, -signal.SIGKILL)
    assert time.monotonic() - began < 20


def test_a_child_that_ends_is_let_finish() -> None:
    assert ended("sleep 0.05; exit 7", 30) == (3, 7)


def test_a_child_whose_last_result_nobody_reads_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    limit = "GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT"
    monkeypatch.setattr(billiard_pool, limit, getattr(billiard_pool, limit))  # put back in the end
    monkeypatch.setattr(billiard_pool, "time", SimpleNamespace(sleep=slept.append, time=time.time))
    end_unheard()
    child = SimpleNamespace(on_ready_counter=SimpleNamespace(value=2))  # it has done three tasks
    worker: Any = billiard_pool.Worker
    assert not worker._ensure_messages_consumed(child, completed=3)
    assert sum(slept) == pytest.approx(UNHEARD_S)
