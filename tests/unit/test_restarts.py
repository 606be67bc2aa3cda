"""A worker whose main process fails begins anew by itself, in its own place; one that is told to end ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from celery.worker import state

from workers import restarts


class Loaded(Exception):
    """The program would have been loaded anew."""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits before each start; nothing is waited for, no signal is taken, and no program is loaded."""
    waited: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0.0)
            return False

    def load(*_: Any) -> None:
        raise Loaded

    monkeypatch.setattr(threading, "Event", Stop)
    monkeypatch.setattr(restarts, "wait_for_signal", lambda _: None)
    monkeypatch.setattr(os, "execv", load)
    monkeypatch.delenv(restarts.FAILURES, raising=False)
    return waited


def broken() -> int:
    raise OSError("the database is away")


def fails(times: int, run: Callable[[], int] = lambda: 1) -> None:
    for _ in range(times):
        with pytest.raises(Loaded):
            restarts.keep_running(run)


def test_the_waits_between_failures_grow_up_to_a_minute(waits: list[float]) -> None:
    fails(9)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_failure_after_a_long_life_is_the_first_again(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    fails(3)
    monkeypatch.setattr(restarts, "STEADY_S", 0.0)
    fails(1)
    assert waits[-1] == 1


def test_who_never_ran_says_why_and_who_did_tries_again(waits: list[float]) -> None:
    with pytest.raises(OSError, match="away"):
        restarts.keep_running(broken)
    fails(1)
    fails(1, broken)
    assert waits == [1, 2]


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("told", ["should_stop", "should_terminate"])
def test_who_is_told_to_end_ends(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    assert restarts.keep_running(lambda: 0) == 0
    monkeypatch.setattr(state, told, 0)
    assert restarts.keep_running(lambda: 1) == 1
