"""The database's clock, by which all workers live: leases, due times, gates and slots are compared with what others
wrote, and a host whose own clock is wrong must neither take what another holds nor wait for what is long due.

PostgreSQL is asked for its time now and then; in between, the time that has passed since is added, which no setting of
the host's clock changes. SQLite has no clock but its host's, and no other host.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

log = structlog.get_logger(__name__)

ASK_AGAIN_S = 15.0
"""How long the time of the database is carried on by ourselves: quartz drifts by a millisecond in that."""
ASK_SOONER_S = 1.0
"""After a question that was not answered."""
TELL_APART = timedelta(seconds=30)
"""A host's clock that is off by so much is told of, though it does no harm here."""


def clock_of(engine: Engine) -> Callable[[], datetime]:
    """The clock to live by with this database."""
    return DatabaseClock(engine).now if engine.dialect.name == "postgresql" else host_time


def host_time() -> datetime:
    """The time of this machine, aware UTC."""
    return datetime.now(UTC)


class DatabaseClock:
    """What time it is at the database, good to half a round trip. Any number of threads may ask."""

    def __init__(self, engine: Engine, *, passed: Callable[[], float] = time.monotonic) -> None:
        self._engine, self._passed = engine, passed
        self._lock = threading.Lock()
        self._known: tuple[datetime, float] | None = None
        self._ask_at = 0.0

    def now(self) -> datetime:
        """The present moment. Raises SQLAlchemy's error only where the database has never answered."""
        if self._known is None:
            with self._lock:  # everybody waits for the first answer
                if self._known is None:
                    self._ask()
        elif self._passed() >= self._ask_at and self._lock.acquire(blocking=False):
            try:
                self._ask()
            except SQLAlchemyError as error:
                self._ask_at = self._passed() + ASK_SOONER_S
                log.warning("clock.not_asked", error=str(error).splitlines()[0])
            finally:
                self._lock.release()
        assert self._known is not None
        told, at = self._known
        return told + timedelta(seconds=self._passed() - at)

    def _ask(self) -> None:
        before = self._passed()
        with self._engine.connect() as connection:
            told: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        after = self._passed()
        first = self._known is None
        self._known = told.astimezone(UTC), (before + after) / 2
        self._ask_at = after + ASK_AGAIN_S
        apart = told - host_time()
        if first and abs(apart) > TELL_APART:
            log.warning("clock.apart", host_is_off_by_s=round(-apart.total_seconds()))
