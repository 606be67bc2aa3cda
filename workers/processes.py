"""Processes: worker and schedule as programs of their own, on one broker and one database.

A worker is Celery's, on processes or threads. Its children share nothing with it: each has its own connections
and looks for overdue work itself, so that a lost message costs a few seconds and nothing else.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from billiard import pool as billiard_pool
from celery import Celery, signals
from celery.exceptions import SecurityWarning

from config.settings import Settings
from services.domain.jobs import Hint
from services.runtime import Runtime, no_hints
from workers import app as celery_app
from workers import monitor
from workers.app import StageTask
from workers.embedded import keep_what_is_loaded, wait_for_signal

log = structlog.get_logger(__name__)

UNHEARD_S = 2.0
"""How long a child that ends waits until its last results have been read."""


def has_broker(settings: Settings) -> bool:
    """Whether there is a broker that separate processes can share."""
    return bool(settings.broker_url) and not settings.broker_url.startswith("memory:")


def publisher_for(settings: Settings) -> Callable[[Sequence[Hint]], None]:
    """Hints over the broker; without one, work is found by those who look for it."""
    if not has_broker(settings):
        return no_hints
    return celery_app.make_publisher(celery_app.make_app(settings))


# -- the schedule ----------------------------------------------------------------------------------------------


def run_beat(rt: Runtime) -> None:
    """Add what has become due, until SIGINT or SIGTERM. `has_broker` has been asked before."""
    from services.pipeline import schedule

    rt.worker = monitor.process_name("beat")
    rt.publish = publisher_for(rt.settings)

    def tick() -> None:
        schedule.tick(rt)

    wait = wait_for_signal()
    loops = [monitor.heartbeat(rt, "beat", slots=0), monitor.Loop("tick", tick, rt.settings.tick_s)]
    for loop in loops:
        loop.start()
    log.info("beat.started", every_s=rt.settings.tick_s)
    wait()
    for loop in reversed(loops):
        loop.stop()
    log.info("beat.stopped")


# -- workers ---------------------------------------------------------------------------------------------------


def run_worker(rt: Runtime, *, stages: Sequence[str], pool: str) -> int:
    """Work on the stages' queues until told to stop; returns the exit code.

    SIGTERM and the first SIGINT finish what runs and take no more. `pool` is `prefork` or `threads`. `has_broker`
    has been asked before.
    """
    app = celery_app.make_app(rt.settings)
    rt.worker = monitor.process_name("worker")
    rt.publish = celery_app.make_publisher(app)
    celery_app.use_runtime(rt)
    monitor.recover(rt)
    # Celery warns who runs it as root, as containers do, of messages that could run code: ours are JSON.
    warnings.simplefilter("ignore", SecurityWarning)
    parts = _Parts(rt, app, stages, forks=pool == "prefork")
    parts.connect()
    try:
        # `argv` is ours: Celery must not read it.
        worker = app.Worker(
            pool=pool, concurrency=rt.settings.concurrency, queues=list(stages), quiet=True, optimization="fair",
            hostname=f"worker@{rt.worker.replace(':', '-')}", without_mingle=True, without_gossip=True,
            loglevel=rt.settings.log_level.upper(),
        )  # fmt: skip
        end_within(worker, rt.settings.lease_s)
        end_unheard()
        keep_what_is_loaded()  # before the children are forked, who share it
        log.info("worker.started", stages=list(stages), pool=pool, concurrency=rt.settings.concurrency)
        worker.start()
    finally:
        parts.stop()
        celery_app.use_runtime(None)
    log.info("worker.stopped")
    return int(worker.exitcode or 0)


def end_within(worker: Any, seconds: float) -> None:
    """Let a Celery worker that ends wait for its children no longer than that, and then kill those that are left.

    Celery waits without end, and a child may be stuck (forked from a process with threads, it inherits their locks).
    After a lease nothing is lost by it: what the child was doing is anybody's by then.
    """
    stop = worker.stop

    def kill() -> None:
        for pid in worker.pool.info.get("processes", ()):
            log.warning("worker.child_killed", pid=pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop_in_time(*positional: Any, **named: Any) -> None:
        late = threading.Timer(seconds, kill)
        late.daemon = True
        late.start()
        try:
            stop(*positional, **named)
        finally:
            late.cancel()

    worker.stop = stop_in_time


def end_unheard(seconds: float = UNHEARD_S) -> None:
    """Let children of this process that end wait no longer than that for the main process to read their last results.

    They wait for 30 seconds (`billiard.pool.Worker._ensure_messages_consumed`), in vain where it reads no more: told to
    end, it forgets what its children had been handed and not yet begun (`celery.concurrency.asynpool`, `flush`), and
    once nothing is left that it remembers, it only waits for them. Of results we keep none.
    """
    every_s = billiard_pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_INTERVAL
    billiard_pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = round(seconds / every_s)


class _Parts:
    """What goes on beside Celery's own work: heartbeat in the parent, the search for overdue work in each child."""

    def __init__(self, rt: Runtime, app: Celery[StageTask], stages: Sequence[str], *, forks: bool) -> None:
        self._rt = rt
        self._app = app
        self._stages = tuple(stages)
        self._forks = forks
        self._loops: list[monitor.Loop] = []
        self._lock = threading.Lock()

    def connect(self) -> None:
        """Listen to Celery's signals; the methods are kept alive by this object's life in `run_worker`."""
        signals.setup_logging.connect(self._keep_logging)
        signals.worker_ready.connect(self._ready)
        if self._forks:
            signals.worker_process_init.connect(self._child_began)
            signals.worker_process_shutdown.connect(self._child_ends)

    def _keep_logging(self, **_: Any) -> None:
        """Logging is configured already: a receiver of this signal tells Celery to leave it alone."""

    def _ready(self, **_: Any) -> None:
        # After the first children were forked: a thread does not survive a fork, its locks do.
        self._begin(monitor.heartbeat(self._rt, "worker", slots=self._rt.settings.concurrency))
        if not self._forks:
            self._begin(monitor.poller(self._rt, stages=self._stages))

    def _child_began(self, **_: Any) -> None:
        self._loops = []
        # What was inherited belongs to the parent: forgotten here, not closed.
        self._rt.engine.dispose(close=False)
        own = Runtime.from_settings(self._rt.settings)
        own.worker = monitor.process_name("worker", parent=self._rt.worker)
        own.publish = celery_app.make_publisher(self._app)
        celery_app.use_runtime(own)
        self._rt = own
        self._begin(monitor.poller(own, stages=self._stages))

    def _child_ends(self, **_: Any) -> None:
        self.stop()
        self._rt.close()

    def _begin(self, loop: monitor.Loop) -> None:
        with self._lock:
            self._loops.append(loop.start())

    def stop(self) -> None:
        """End the loops of this process; running work is finished."""
        with self._lock:
            loops, self._loops = self._loops, []
        for loop in reversed(loops):
            loop.stop()
        sys.stderr.flush()
