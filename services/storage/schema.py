"""The schema: migrations found inside the installed package, run under a lock so that many may start at once.

A new database is made of the tables in code and marked with the newest revision; migrations are for older ones. Alembic
is loaded where one is due: 5 MB and a tenth of a second that a start does without.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, insert, inspect, select, text
from sqlmodel import SQLModel

from services.domain.errors import InvalidInput
from services.storage import search_index, tables

FOLDER = Path(__file__).with_name("migrations")
VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's own table, which holds the revision."""
ADVISORY_LOCK = 0x62726F61647368  # "broadsh": one number for all processes that migrate


def migrate(engine: Engine) -> tuple[str | None, str]:
    """Bring the database to the newest schema in one transaction; returns (revision before, revision now)."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
        before = current(connection)
        newest = head()
        if before is not None and before not in _known():
            raise InvalidInput(
                f"the database has schema {before}, made by a newer Broadsheet; upgrade the program, not the database"
            )
        if before is None:
            _create(connection, newest)
        elif before != newest:
            upgrade(connection)
        search_index.ensure(connection)
    if before is None:
        _keep_private(engine)
    return before, newest


def _keep_private(engine: Engine) -> None:
    """A new SQLite file holds readers' addresses: its owner alone may read it."""
    if engine.dialect.name != "sqlite" or not engine.url.database or engine.url.database == ":memory:":
        return
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(engine.url.database + suffix).chmod(0o600)


def current(connection: Connection) -> str | None:
    """The schema revision the database has; `None` for an empty one."""
    if not inspect(connection).has_table(VERSION.name):
        return None
    revision: str | None = connection.execute(select(VERSION.c.version_num)).scalar_one_or_none()
    return revision


def is_current(engine: Engine) -> bool:
    """Whether the database has the newest schema, and the search index in its present form."""
    with engine.connect().execution_options(broadsheet_reads=True) as connection:
        return current(connection) == head() and search_index.is_there(connection)


def head() -> str:
    """The newest revision there is: files are named by their revisions, which go up."""
    return max(_known())


def difference(engine: Engine) -> list[object]:
    """What the tables in code have that the database has not, or the other way round; empty when they agree."""
    assert tables.Paper.__tablename__ in SQLModel.metadata.tables
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": search_index.include_object})
        return list(compare_metadata(context, SQLModel.metadata))


def _known() -> set[str]:
    return {path.name.partition("_")[0] for path in (FOLDER / "versions").glob("[0-9]*_*.py")}


def _create(connection: Connection, newest: str) -> None:
    assert tables.Paper.__tablename__ in SQLModel.metadata.tables
    SQLModel.metadata.create_all(connection, checkfirst=False)
    VERSION.create(connection)
    connection.execute(insert(VERSION).values(version_num=newest))


def upgrade(connection: Connection) -> None:
    """Run the migrations that the database lacks, from the first one on when it is empty."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
