"""The schema: migrations and code agree, on both databases, however many processes start at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text
from sqlmodel import SQLModel

from services.domain.errors import InvalidInput
from services.storage import schema, search_index
from services.storage.engine import make_engine, reading, writing
from services.storage.tables import Feed, Gate
from tests.fakes import WEDNESDAY
from tests.servers import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database with nothing in it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database(empty=True) as url:
        yield url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def engine(empty: str) -> Iterator[Engine]:
    made = make_engine(empty)
    yield made
    made.dispose()


def test_migrating_an_empty_database_gives_what_the_code_says(engine: Engine) -> None:
    assert not schema.is_current(engine)
    assert schema.migrate(engine) == (None, schema.head())
    assert schema.is_current(engine)
    assert schema.difference(engine) == []


def test_migrations_end_where_a_new_database_begins(engine: Engine) -> None:
    with engine.begin() as connection:
        schema.upgrade(connection)
    assert schema.difference(engine) == []
    by_migrations = described(engine)
    assert schema.migrate(engine) == (schema.head(), schema.head())
    with engine.begin() as connection:
        SQLModel.metadata.drop_all(connection)
        schema.VERSION.drop(connection)
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {search_index.TABLE}"))
    assert schema.migrate(engine) == (None, schema.head())
    assert described(engine) == by_migrations


def described(engine: Engine) -> dict[str, list[str]]:
    """Every table's columns, keys, constraints and indexes as the database tells them."""
    seen = inspect(engine)
    kinds = (
        seen.get_columns, seen.get_pk_constraint, seen.get_foreign_keys, seen.get_unique_constraints, seen.get_indexes,
    )  # fmt: skip
    return {
        table: sorted(_plain(one) for kind in kinds for one in _listed(kind(table)))
        for table in seen.get_table_names()
        if table in SQLModel.metadata.tables
    }


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _plain(one: dict[str, Any]) -> str:
    options = {name: str(value) for name, value in one.get("dialect_options", {}).items()}
    return str({**one, "dialect_options": options})


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    schema.migrate(engine)
    assert schema.migrate(engine) == (schema.head(), schema.head())


def test_four_processes_may_migrate_at_once(empty: str) -> None:
    results: list[object] = []
    begin = threading.Barrier(4)

    def start() -> None:
        engine = make_engine(empty)
        begin.wait()
        try:
            results.append(schema.migrate(engine))
        except Exception as error:
            results.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, results)) == sorted(map(str, [(None, schema.head()), *[(schema.head(), schema.head())] * 3]))


def test_a_database_of_a_newer_program_is_refused(engine: Engine) -> None:
    schema.migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InvalidInput, match="newer Broadsheet"):
        schema.migrate(engine)


def test_times_come_back_aware_and_in_utc(engine: Engine) -> None:
    schema.migrate(engine)
    with writing(engine) as session:
        session.add(Gate(name="x", free_at=WEDNESDAY))
    with reading(engine) as session:
        found = session.get_one(Gate, "x").free_at
    assert found == WEDNESDAY
    assert found.utcoffset() is not None


def test_sqlite_connections_that_have_read_most_are_used_first(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'new.db'}")
    with engine.connect() as first, engine.connect() as second:
        last = second.connection.dbapi_connection
        assert first.connection.dbapi_connection is not last
        first.close()
    for _ in range(3):  # the pages it has cached are of use, and no other connection caches them, too
        with engine.connect() as connection:
            assert connection.connection.dbapi_connection is last
    engine.dispose()


def test_a_reader_sees_one_moment_while_others_write(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'new.db'}")
    schema.migrate(engine)
    with reading(engine) as session:
        assert session.connection().execute(text("SELECT count(*) FROM feeds")).scalar() == 0
        with writing(engine) as other:
            other.add(Feed(name="n", kind="rss", title="n", next_check_at=WEDNESDAY, created_at=WEDNESDAY))
        assert session.connection().execute(text("SELECT count(*) FROM feeds")).scalar() == 0
    with reading(engine) as session:
        assert session.connection().execute(text("SELECT count(*) FROM feeds")).scalar() == 1
    engine.dispose()


@pytest.mark.parametrize("url", ["mysql://host/name", "nonsense", "oracle://x"])
def test_other_databases_are_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidInput, match="BROADSHEET_DATABASE_URL"):
        make_engine(url)


def test_sqlite_takes_in_large_pages_with_few_rewrites(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'new.db'}")
    schema.migrate(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar() == 8_000
        options = connection.exec_driver_sql(f"SELECT k, v FROM {search_index.TABLE}_config").all()
    assert {("hashsize", 8_000_000), ("automerge", 8)} <= {tuple(row) for row in options}
    engine.dispose()


def test_sqlite_keeps_what_was_committed_through_a_power_cut(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'new.db'}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    engine.dispose()
