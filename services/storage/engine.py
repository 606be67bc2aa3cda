"""The engine: one database, two kinds of transaction.

SQLite: a transaction that will write must say so at its start. A deferred one that upgrades later is
refused at once when another writer was first, whatever the busy timeout; hence BEGIN IMMEDIATE for
`writing` and plain BEGIN for `reading` (WAL lets readers go on beside one writer).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlmodel import Session

from services.domain.errors import InvalidInput
from services.domain.seals import Seals
from services.storage.sealed import use_seals

BUSY_TIMEOUT_MS = 30_000


def make_engine(url: str, *, pool_size: int = 10, seals: Seals | None = None) -> Engine:
    """An engine for `sqlite:///…` or `postgresql+psycopg://…`; creates SQLite's folder.

    With `seals` it can read and write what is sealed.
    """
    engine = _engine(url, pool_size)
    if seals is not None:
        use_seals(engine, seals)
    return engine


def _engine(url: str, pool_size: int) -> Engine:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        raise InvalidInput(
            f"BROADSHEET_DATABASE_URL cannot be read ({error}); use postgresql:// or sqlite:///"
        ) from error
    json_coding: Any = {"json_serializer": to_json, "json_deserializer": msgspec.json.decode}
    if backend == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=20,
            # Each connection caches pages of its own: those in use do all the work, the others stay small.
            pool_use_lifo=True,
            **json_coding,
            connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
        )
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if backend == "postgresql":
        engine = create_engine(parsed, pool_size=pool_size, max_overflow=20, pool_pre_ping=True, **json_coding)
        event.listen(engine, "begin", _begin_postgresql)
        return engine
    raise InvalidInput(f"BROADSHEET_DATABASE_URL: {backend} is not supported; use postgresql:// or sqlite:///")


def to_json(value: object) -> str:
    """As columns of JSON hold it."""
    return msgspec.json.encode(value).decode()


def _tune_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver must not open transactions of its own
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    _use_wal(cursor)
    # FULL: a power cut must not undo the record of a message that has left.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA cache_size=-32000")
    # 32 MB instead of 4: what several pages of papers change, each again, goes into the file once.
    cursor.execute("PRAGMA wal_autocheckpoint=8000")
    cursor.execute("PRAGMA temp_store=MEMORY")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Turn on the write-ahead log. For a new file that takes a lock for which SQLite does not wait by itself."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Any) -> None:
    reads = connection.get_execution_options().get("broadsheet_reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


PLAN_FOR_VALUES = "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)"
"""The driver prepares what it sends often, and the server then plans it once for whatever values may come: a word that
a few papers have is looked for like one that all have. Compiling a plan costs more than any answer of ours."""


def _begin_postgresql(connection: Any) -> None:
    if connection.get_execution_options().get("broadsheet_reads"):
        connection.exec_driver_sql(PLAN_FOR_VALUES)


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """A session in a transaction that commits at the end, or rolls back on any error.

    It has begun when the block does: on SQLite the wait for other writers is over, and a clock read inside is
    not older than what the transaction sees.
    """
    with Session(engine, expire_on_commit=False) as session, session.begin():
        session.connection()
        yield session


@contextmanager
def reading(engine: Engine, **options: Any) -> Iterator[Session]:
    """A session for reads: a consistent snapshot on SQLite, never blocked by a writer, never writes."""
    connected = engine.connect().execution_options(broadsheet_reads=True, **options)
    with connected as connection, Session(connection) as session:
        yield session


def snapshot(engine: Engine) -> AbstractContextManager[Session]:
    """As `reading`; all its statements see the same moment, on PostgreSQL, too."""
    return reading(engine) if engine.dialect.name == "sqlite" else reading(engine, isolation_level="REPEATABLE READ")


def truncate_log(engine: Engine) -> None:
    """Bring SQLite's write-ahead log into the file and empty it: what was wiped is not to stay there."""
    if engine.dialect.name == "sqlite":
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


def is_sqlite(session: Session) -> bool:
    """Whether this session talks to SQLite."""
    return bool(session.get_bind().dialect.name == "sqlite")
