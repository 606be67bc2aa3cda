"""The processes of an installation under faults, each on a host whose clock the plan sets, and their children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.faults import backing
from tests.faults.host import HostClock

ROOT = Path(__file__).parents[2]


class Service:
    """The processes of one installation."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self._home = home
        self.clocks: dict[str, HostClock] = {}
        """Each name is a host, and each host has a clock."""
        self._started: dict[str, tuple[str, ...]] = {}
        self._says_from: dict[str, int] = {}
        self.restarted = 0
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("BROADSHEET_")}, **environment,
            "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ending: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *arguments: str) -> None:
        """Start a command under a name, unless it runs."""
        running = self.processes.get(name)
        if running is not None and running.poll() is None:
            return
        self._started[name] = arguments
        clock = self._home / f"{name}.clock"
        self.clocks.setdefault(name, HostClock(clock))
        with (self._home / f"{name}.log").open("ab") as log:
            self._says_from[name] = log.tell()
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.host", str(clock), *arguments], cwd=self._home,
                env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def has_said(self, name: str, words: bytes) -> bool:
        """Whether it has said so since it was started."""
        with (self._home / f"{name}.log").open("rb") as log:
            log.seek(self._says_from[name])
            return words in log.read()

    def supervise(self) -> None:
        """Start again what has ended by itself, as whoever runs services does: what begins while its database is away
        says so and ends."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.restarted += 1
                self.start(name, *self._started[name])

    def kill(self, name: str) -> None:
        """kill -9 of a process alone: its children find out by themselves."""
        process = self.processes.pop(name)
        children = children_of(process.pid)
        process.kill()
        process.wait()
        for child in children:  # children of a dead pool end by themselves; those that hang would be a finding
            backing.wait(lambda child=child: not alive(child), 5)  # type: ignore[misc]
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def ask_to_end(self, name: str) -> subprocess.Popen[bytes]:
        """SIGTERM; another may be started under that name at once."""
        process = self.processes.pop(name)
        process.terminate()
        self.ending.append(process)
        return process

    def stop_all(self) -> None:
        """End what runs."""
        for process in (*self.processes.values(), *self.ending):
            for number in (signal.SIGCONT, signal.SIGKILL):
                with suppress(OSError):
                    os.killpg(process.pid, number)
            process.wait()
        self.processes = {}


def children_of(pid: int) -> list[int]:
    """The live children of a process."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                rest = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(rest[1]) == pid and rest[0] != "Z":
                    found.append(int(folder.name))
    return sorted(found)


def alive(pid: int) -> bool:
    """Whether a process is there (and no zombie)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False
