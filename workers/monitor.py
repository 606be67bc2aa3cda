"""Monitor: what a process tells of itself, and the loop by which it finds work nobody told it of."""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.domain.jobs import STAGES
from services.pipeline import drain
from services.runtime import Runtime
from services.storage import jobs, service

log = structlog.get_logger(__name__)

HOSTS_OWN = 0xEFFFFFFC
"""The number Linux gives to the first of its name spaces for processes."""

BEAT_S = 10
"""How often a process says that it is alive."""


def process_name(role: str, *, parent: str = "") -> str:
    """A name no other live process has: host, pid and role, and for a child of `parent` that one's pid as well."""
    return ":".join([_place(), str(os.getpid()), role, *parent.split(":")[1:2]])


def heart_of(worker: str) -> str:
    """The process whose heartbeats tell of a worker: itself, or of a child its parent."""
    parts = worker.split(":")
    return f"{parts[0]}:{parts[3]}:{parts[2]}" if len(parts) == 4 else worker


def _place() -> str:
    """Where a pid means what it means here: the host, and the container where there is one. Two containers may go by
    the same host name, and neither sees the other's processes."""
    try:
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        space = HOSTS_OWN
    return socket.gethostname() + (f"/{space}" if space != HOSTS_OWN else "")


class Loop:
    """A thread that calls `step` every `every_s` seconds until stopped; an error is logged and the loop goes on."""

    def __init__(self, name: str, step: Callable[[], None], every_s: float) -> None:
        self.name = name
        self._step = step
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> Loop:
        """Begin, with a first step at once."""
        self._thread.start()
        return self

    def stop(self, timeout: float = 30) -> None:
        """Ask the loop to end and wait for its present step."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    @property
    def stopping(self) -> threading.Event:
        """Set once the loop has been asked to end."""
        return self._stop

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._step()
            except SQLAlchemyError as error:
                log.warning("loop.database", loop=self.name, error=str(error).splitlines()[0])
            except Exception:
                log.exception("loop.failed", loop=self.name)
            self._stop.wait(self._every_s)


def heartbeat(rt: Runtime, role: str, *, slots: int) -> Loop:
    """A loop that records that this process is alive, and sees whether others of its host are not."""
    started_at = rt.now()
    row = {
        "name": process_name(role), "role": role, "host": socket.gethostname(), "pid": os.getpid(),
        "version": version("broadsheet"), "started_at": started_at, "slots": slots,
    }  # fmt: skip

    def step() -> None:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        with rt.writing() as session:
            now = rt.now()
            running = jobs.running_by(session, now=now)
            busy = sum(number for worker, number in running.items() if heart_of(worker) == row["name"])
            service.beat(session, {**row, "seen_at": now, "memory_mb": round(memory, 1), "busy": busy})
        recover(rt)

    return Loop(f"heartbeat-{role}", step, BEAT_S)


def poller(rt: Runtime, *, stages: Sequence[str] = STAGES) -> Loop:
    """A loop that claims and runs what is overdue: hints get there first, and where they are lost this does."""
    grace = timedelta(seconds=rt.settings.poll_s)

    def step() -> None:
        while not loop.stopping.is_set():
            if drain.run_next(rt, stages=stages, overdue_since=rt.now() - grace) is None:
                return

    loop = Loop("poller", step, rt.settings.poll_s)
    return loop


def recover(rt: Runtime) -> int:
    """Give back the jobs of processes of this host that are no more, without waiting for their leases.

    Safe in doubt: a lease runs out by itself, and a worker that lives after all finds its token void.
    """
    with rt.writing() as session:
        given = jobs.expire_workers(session, now=rt.now(), is_dead=_is_dead)
    if given:
        log.info("jobs.recovered", count=given)
    return given


def _is_dead(worker: str) -> bool:
    host, _, rest = worker.partition(":")
    pid = rest.partition(":")[0]
    if host != _place() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
