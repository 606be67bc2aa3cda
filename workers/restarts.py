"""Restarts: a worker whose main process has failed, though nobody told it to end, begins anew in its own place.

Celery's main process gives up where its broker's client fails in a way that it does not expect, as when Redis dies at
the wrong moment, and where its children cannot start. What it holds may be in any state by then, so nothing of it is
used again: the program is loaded anew under the same pid, and whoever watches over it need not notice.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

import structlog
from celery.worker import state

from workers.embedded import wait_for_signal

log = structlog.get_logger(__name__)

FAILURES = "_BROADSHEET_WORKER_FAILURES"
"""The variable that tells the program loaded anew how often in a row it has failed; not set at a first start."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
STEADY_S = 300.0
"""Who ran for so long before it failed is not failing again and again."""


def keep_running(run: Callable[[], int]) -> int:
    """Call `run` and return its exit code, if that is 0 or the worker was told to end; else load the program anew.

    An error is raised at a first start, for whoever starts the worker to mend its cause; later it is one more failure.
    """
    began = time.monotonic()
    failures = int(os.environ.get(FAILURES, "0"))
    try:
        code = run()
    except Exception:
        if not failures:
            raise
        log.exception("worker.not_started")
        code = 1
    stop = threading.Event()
    wait_for_signal(stop)  # instead of Celery's handlers, which tell only a worker that still runs
    if not code or _told_to_end():
        return code
    failures = 1 if time.monotonic() - began >= STEADY_S else failures + 1
    wait_s = min(FIRST_WAIT_S * 2 ** min(failures - 1, 16), LONGEST_WAIT_S)
    log.error("worker.failed", failures=failures, starts_again_in_s=wait_s)
    if not stop.wait(wait_s):
        _load_anew(failures)
    return 0


def _load_anew(failures: int) -> NoReturn:
    """This program from its beginning, in place of this process."""
    os.environ[FAILURES] = str(failures)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the very command that we are


def _told_to_end() -> bool:
    """Whether a signal has told Celery's worker to end, gracefully or at once."""
    return any(getattr(state, flag) is not None for flag in ("should_stop", "should_terminate"))
