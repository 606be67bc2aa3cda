"""A host whose clock a plan sets: `python -m tests.faults.host FILE ARGUMENTS…` is `broadsheet ARGUMENTS…` on it.

The file holds by how many seconds that clock is off. It is looked at whenever the time is asked for, so that a step
befalls running processes and the children they forked, as when a person or NTP sets a real clock. What counts the time
that passes (`time.monotonic`) goes on, as it does there.
"""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import signal
import struct
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

_OFF = struct.Struct("d")


class HostClock:
    """How far the clock of a host is off, shared by all that run on it through a file."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_OFF.pack(0.0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _OFF.size)

    @property
    def off_s(self) -> float:
        """Seconds by which it is ahead; negative: behind."""
        (off,) = _OFF.unpack(self._shared[:])
        return float(off)

    def step(self, off_s: float) -> None:
        """Set it, to be off by so much."""
        self._shared[:] = _OFF.pack(off_s)

    def now(self) -> datetime:
        """What it shows, aware UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.off_s)


def give_back(*_: object) -> None:
    """Let the allocator return free pages to the system, so that what a process holds can be told from what it held
    once: other allocators than glibc's do by themselves."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def main(path: str, *arguments: str) -> None:
    """Run the command with the host's clock in place of the machine's, wherever the service asks for the time.

    SIGUSR2 makes a process say where all its threads are, SIGUSR1 lets `up` give back memory that it does not use.
    """
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    if arguments[:1] == ("up",):  # in workers Celery has it
        signal.signal(signal.SIGUSR1, give_back)
    clock, machine = HostClock(Path(path)), time.time
    time.time = lambda: machine() + clock.off_s
    from services.storage import clock as storage_clock

    storage_clock.host_time = clock.now
    from workers.cli import main as broadsheet

    sys.argv = ["broadsheet", *arguments]
    broadsheet()


if __name__ == "__main__":
    main(*sys.argv[1:])
