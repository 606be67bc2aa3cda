"""Batch statements both databases share. Lists of rows go to SQLite as such (an executemany), to PostgreSQL as one
document; never into `values(…)`, which compiles a new statement for every page and is eight times slower."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Dialect, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine
from sqlmodel import AutoString, Session, SQLModel
from sqlmodel.sql.sqltypes import UTCDateTime

from services.storage.engine import is_sqlite, to_json

T = TypeVar("T")
IN_LIMIT = 500
"""Values in one IN list: well below SQLite's and PostgreSQL's limits, and a plan that is cached."""


def table_of(model: type[SQLModel]) -> Table:
    """The Core table behind a model."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


def chunks(items: Sequence[T], size: int = IN_LIMIT) -> Iterator[Sequence[T]]:
    """`items` in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def among(session: Session, column: sa.ColumnElement[T], values: Collection[T]) -> sa.ColumnElement[bool]:
    """Whether a column has one of `values`, numbers or texts, however many: all of them go as one parameter.

    With a parameter each, as `in_` has it, most of a look-up by many keys is the writing of the statement.
    """
    if is_sqlite(session):
        listed = sa.func.json_each(to_json(list(values))).table_valued("value")
        return column.in_(sa.select(listed.c.value))
    return column == sa.any_(sa.bindparam(None, list(values), type_=postgresql.ARRAY(column.type)))


def take_ids(session: Session, model: type[SQLModel], count: int) -> Sequence[int]:
    """The ids that the next `count` rows of a table get, in order, so that nobody has to ask for them afterwards.

    Nobody else can get them: SQLite has one writer, and PostgreSQL gives each number of a sequence out once.
    """
    table = table_of(model)
    if is_sqlite(session):
        last = session.execute(sa.select(sa.func.max(table.c.id))).scalar() or 0
        return range(last + 1, last + 1 + count)
    number = sa.func.nextval(sa.literal_column(f"'{table.name}_id_seq'"))
    return list(session.execute(sa.select(number).select_from(sa.func.generate_series(1, count))).scalars())


FEW = 50
"""Up to so many rows Core's own loop costs less than to write the statement out, which it remembers."""

_PLAIN = (AutoString, UTCDateTime, sa.String, sa.Integer, sa.Float, sa.Boolean, sa.Date, sa.JSON)
"""Types whose values a driver, or JSON, can take as they are; nothing of them is sealed."""


def execute_many(session: Session, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run an INSERT for each of `rows`, which have the same names.

    The rows are made ready for the driver here: what is the same for all of a column is looked up once, and texts
    and numbers are passed on as they are. Core's own loop calls three functions for each value; few rows go that way.
    PostgreSQL gets all of them as one document, since each row sent by itself costs it more than to store the row.
    """
    connection = session.connection()
    kinds = {name: statement.table.c[name].type for name in rows[0]}
    if len(rows) <= FEW or not all(isinstance(kind, _PLAIN) for kind in kinds.values()):
        connection.execute(statement, list(rows))
    elif is_sqlite(session):
        compiled = statement.compile(dialect=connection.dialect, column_keys=list(kinds))
        if set(compiled.params) != set(kinds):  # the statement brings values of its own
            connection.execute(statement, list(rows))
            return
        columns: list[list[Any]] = []
        for name in compiled.positiontup or ():
            process = _made_ready(kinds[name], connection.dialect)
            values = [row[name] for row in rows]
            columns.append(values if process is None else _processed(process, values))
        connection.exec_driver_sql(compiled.string, list(zip(*columns, strict=True)))
    else:
        for name, kind in kinds.items():
            if isinstance(kind, UTCDateTime):
                for time in {row[name] for row in rows} - {None}:
                    _utc(kind, time, connection.dialect)
        row = f"NULL::{connection.dialect.identifier_preparer.format_table(statement.table)}"
        document = sa.cast(sa.literal(to_json(rows), sa.Text), sa.JSON)
        listed = sa.func.json_populate_recordset(sa.literal_column(row), document)
        connection.execute(statement.from_select(list(kinds), sa.select(*listed.table_valued(*kinds).c)))


def _processed(process: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    """Each value made ready; the time of writing, say, is one object for all rows, and is made ready once."""
    made: list[Any] = []
    last: Any = None
    ready = process(None)
    for value in values:
        if value is not last:
            last, ready = value, process(value)
        made.append(ready)
    return made


def _made_ready(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """What makes values ready for SQLite: as its dialect does, in a quarter of the time."""
    if isinstance(kind, UTCDateTime):
        return lambda time: time and _utc(kind, time, dialect).isoformat(" ", "microseconds")[:26]
    if isinstance(kind, sa.Date):
        return lambda day: day and day.isoformat()
    return to_json if isinstance(kind, sa.JSON) else None


def _utc(kind: UTCDateTime, time: datetime, dialect: Dialect) -> datetime:
    """Raises ValueError for a time without its zone."""
    found = kind.process_bind_param(time, dialect)
    assert found is not None  # since there is a time
    return found


def _insert(session: Session, table: Table) -> Any:
    return sqlite.insert(table) if is_sqlite(session) else postgresql.insert(table)


def insert_ignore(
    session: Session,
    model: type[SQLModel],
    rows: Sequence[Mapping[str, Any]],
    key: Sequence[str],
    *,
    returning: Sequence[str] = (),
) -> list[Any]:
    """Insert the rows whose `key` is not there yet; with `returning`, those columns of the rows inserted."""
    if not rows:
        return []
    table = table_of(model)
    statement = _insert(session, table).on_conflict_do_nothing(index_elements=list(key))
    if not returning:
        execute_many(session, statement, rows)
        return []
    statement = statement.returning(*(table.c[name] for name in returning))
    return list(session.connection().execute(statement, list(rows)).all())


def upsert(
    session: Session,
    model: type[SQLModel],
    rows: Sequence[Mapping[str, Any]],
    key: Sequence[str],
    *,
    update: Iterable[str],
    where: Any = None,
) -> None:
    """Insert the rows, or update the named columns of those there; `where(table, excluded)` may hold rows back."""
    if not rows:
        return
    table = table_of(model)
    statement = _insert(session, table)
    condition = where(table, statement.excluded) if where is not None else None
    statement = statement.on_conflict_do_update(
        index_elements=list(key),
        set_={name: statement.excluded[name] for name in update},
        where=condition,
    )
    execute_many(session, statement, rows)
