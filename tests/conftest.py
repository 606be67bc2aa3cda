"""Fixtures for all tests. Servers start when a test first asks for one, and stop with the session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
from argon2 import PasswordHasher
from sqlalchemy import Dialect, Engine, event
from sqlalchemy.util import LRUCache

from config.settings import PREFIX, Settings
from services import runtime as composition
from services.domain.seals import Seals
from services.pipeline import accounts
from services.runtime import Runtime
from services.storage import schema
from services.storage.engine import make_engine
from tests import servers
from tests.fakes import Clock
from tests.servers import MailSink, PostgresServer, RedisServer
from workers.demo.replay import Replay

OURS = (f"{PREFIX}TEST_", f"{PREFIX}CORPORA")
"""Variables that speak to the tests, not to the program."""

MakeRuntime = Callable[..., Runtime]


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes do not name a case: packed ones hold the time, and processes that share the tests must agree on names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """No setting of the person who runs the tests leaks into them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(PREFIX) and not name.startswith(OURS):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Passwords are hashed as cheaply as argon2 can: what they cost in service is `accounts.HASHER`'s own test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_engines() -> Iterator[None]:
    """Runtimes with the same keys share what SQLAlchemy compiles for the first of them; SQLite waits for no disk."""
    dialects: dict[tuple[str, str], Dialect] = {}
    statements: Any = LRUCache(2000)

    def make(url: str, *, seals: Seals, **options: Any) -> Engine:
        engine = make_engine(url, seals=seals, **options)
        key = (engine.dialect.name, str(sorted(seals._boxes)))
        if key in dialects:
            engine.dialect = dialects[key]
        else:
            event.listen(engine, "first_connect", lambda *_: dialects.setdefault(key, engine.dialect))
        engine.update_execution_options(compiled_cache=statements)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composition, "make_engine", make)
        yield


@pytest.fixture(scope="session", autouse=True)
def _plain_tracebacks() -> None:
    """An error that is logged on purpose is not drawn with its code and its variables: that takes seconds."""
    *before, _ = structlog.get_config()["processors"]
    structlog.configure([*before, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)])


@pytest.fixture(scope="session", autouse=True)
def _session_ends() -> Iterator[None]:
    """What the tests share is given back."""
    with servers.SESSION:
        yield


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A real Redis, emptied by nobody but the tests themselves."""
    with servers.redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL; `database()` gives a fresh migrated database."""
    with servers.postgres_server() as server:
        yield server


@pytest.fixture
def mail() -> Iterator[MailSink]:
    """A recording mail server."""
    with MailSink() as sink:
        yield sink


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The data folder."""
    return tmp_path / "home"


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is advanced, or slept on."""
    return Clock()


@pytest.fixture
def replay(clock: Clock) -> Iterator[Replay]:
    """All upstreams on loopback, without faults, at the clock's day."""
    with Replay(today=clock.today, first_call_faults=False) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file of the newest schema, to be copied: quicker than to migrate for each test."""
    path = tmp_path_factory.mktemp("schema") / "broadsheet.db"
    engine = make_engine(f"sqlite:///{path}")
    schema.migrate(engine)
    engine.dispose()
    return path


def new_runtime(home: Path, migrated: Path, /, *, replay: Replay | None = None, **settings: Any) -> Runtime:
    """A runtime with open gates and leave to call the loopback, without `database_url` on a copy of `migrated`."""
    home.mkdir(exist_ok=True)
    values: dict[str, Any] = {
        "home": home, "gate_scale": 0, "retry_first_s": 0.1, "allowed_private_hosts": "127.0.0.1",
        "secret_key": "a key for tests only", "public_url": "https://papers.example",
        "mail_from": "Broadsheet <broadsheet@papers.example>",
    }  # fmt: skip
    if replay is not None:
        values |= {k.lower(): v for k, v in replay.urls().items() if k != "BLOG_FEED_URL"}
    values |= settings
    if not values.get("database_url") and not (home / "broadsheet.db").exists():
        shutil.copy(migrated, home / "broadsheet.db")
    rt = Runtime.from_settings(Settings(_env_file=None, **values))
    rt.worker = "test"
    return rt


@pytest.fixture
def make_runtime(home: Path, clock: Clock, migrated_sqlite: Path) -> Iterator[MakeRuntime]:
    """Make runtimes on the test's clock: `make_runtime(replay=…, **settings)`.

    Without `database_url` all of one test share a migrated SQLite file in `home`. Nothing waits for real:
    gates are open and sleeping moves the clock.
    """
    with ExitStack() as stack:

        def make(*, replay: Replay | None = None, real_time: bool = False, **settings: Any) -> Runtime:
            rt = new_runtime(home, migrated_sqlite, replay=replay, **settings)
            if not real_time:
                rt.clock, rt.sleep = clock.now, clock.sleep
            stack.callback(rt.close)
            return rt

        yield make


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a fresh database: each test runs on both (empty: SQLite in the data folder)."""
    if request.param == "sqlite":
        yield ""
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


@pytest.fixture
def rt(make_runtime: MakeRuntime, database_url: str) -> Runtime:
    """A runtime on each of the two databases."""
    return make_runtime(database_url=database_url)
