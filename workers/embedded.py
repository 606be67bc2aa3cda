"""Embedded: the whole service in one process. A Celery worker on threads with an in-process broker, the
schedule, the loop that finds overdue work, and the web pages.

Signals are ours: whoever else handles them ends the process before running work has finished.
"""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

import structlog
from celery import Celery
from celery.worker import WorkController

from services.domain.jobs import STAGES
from services.pipeline import schedule
from services.runtime import Runtime
from workers import app as celery_app
from workers import monitor

log = structlog.get_logger(__name__)


MADE_BETWEEN_LOOKS = 10_000
"""Objects that may be made before the collector looks for garbage: a page of papers is many times that, none of it
garbage before it is stored."""


def keep_what_is_loaded() -> None:
    """Tell the collector that what is loaded by now stays, and to look less often at what comes: it need not look at
    all of it again and again.

    Storing a page is a fifth faster for it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(MADE_BETWEEN_LOOKS, *gc.get_threshold()[1:])


class EmbeddedWorker:
    """A Celery worker on threads inside this process. Start it, and stop it: running work is finished first."""

    def __init__(self, app: Celery[Any], *, concurrency: int) -> None:
        self._controller = WorkController(
            app=app, pool="threads", concurrency=concurrency, queues=list(STAGES), without_heartbeat=True,
            without_mingle=True, without_gossip=True, quiet=True, loglevel="WARNING",
        )  # fmt: skip
        self._thread = threading.Thread(target=self._controller.start, name="celery-worker", daemon=True)

    def start(self) -> None:
        """Begin to consume."""
        self._thread.start()

    def stop(self) -> None:
        """Stop consuming, wait for what runs, end."""
        self._controller.stop(in_sighandler=False)
        self._thread.join(timeout=30)


class Service:
    """Worker, schedule, poller and heartbeat around one runtime; a context manager."""

    def __init__(self, rt: Runtime, *, ticking: bool = True) -> None:
        self.rt = rt
        self._app = celery_app.make_app(rt.settings)
        celery_app.use_runtime(rt)
        rt.worker = monitor.process_name("embedded")
        rt.publish = celery_app.make_publisher(self._app)
        self._worker = EmbeddedWorker(self._app, concurrency=rt.settings.concurrency)
        self._loops = [
            monitor.heartbeat(rt, "embedded", slots=rt.settings.concurrency),
            monitor.poller(rt),
        ]
        if ticking:
            self._loops.append(monitor.Loop("tick", lambda: _tick(rt), rt.settings.tick_s))

    def __enter__(self) -> Self:
        monitor.recover(self.rt)
        self._worker.start()
        for loop in self._loops:
            loop.start()
        keep_what_is_loaded()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for loop in self._loops:
            loop.stop()
        self._worker.stop()
        celery_app.use_runtime(None)
        log.info("service.stopped")


def _tick(rt: Runtime) -> None:
    schedule.tick(rt)


def wait_for_signal(wake: threading.Event | None = None) -> Callable[[], None]:
    """Take over SIGINT and SIGTERM; the returned function waits for either. A second signal ends at once."""
    stop = wake or threading.Event()

    def handle(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            raise SystemExit(128 + number)
        log.info("service.stopping", signal=signal.Signals(number).name)
        stop.set()

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)

    def wait() -> None:
        while not stop.wait(0.5):
            pass

    return wait


class WebServer:
    """uvicorn in a thread, without its signal handling; `port` is known once it has started."""

    def __init__(self, application: Any, *, host: str, port: int) -> None:
        import uvicorn

        self._server = uvicorn.Server(
            uvicorn.Config(application, host=host, port=port, log_config=None, access_log=False, lifespan="off")
        )
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)
        self._host = host
        self.port = port

    def start(self, timeout: float = 15) -> None:
        """Listen; raises OSError when the port is taken."""
        import socket
        import time

        with socket.socket() as probe:  # a clear error now instead of a log line from a thread
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((self._host, self.port))
        self._thread.start()
        limit = time.monotonic() + timeout
        while not self._server.started:
            if time.monotonic() > limit or not self._thread.is_alive():
                raise OSError(f"the web server did not start on {self._host}:{self.port}")
            time.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Answer what is under way, then close."""
        self._server.should_exit = True
        self._thread.join(timeout=10)
