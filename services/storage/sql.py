"""Batch statements both databases share. Lists of rows go to `execute` as such (an executemany), never into
`values(…)`, which compiles a new statement for every page and is eight times slower."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Dialect, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine
from sqlmodel import AutoString, Session, SQLModel

from services.storage.engine import is_sqlite

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


FEW = 50
"""Up to so many rows Core's own loop costs less than to write the statement out, which it remembers."""


def execute_many(session: Session, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run an INSERT for each of `rows`, which have the same names.

    The rows are made ready for the driver here: what is the same for all of a column is looked up once, and texts
    and numbers are passed on as they are. Core's own loop calls three functions for each value; few rows go that way.
    """
    connection = session.connection()
    if len(rows) <= FEW:
        connection.execute(statement, list(rows))
        return
    names = list(rows[0])
    compiled = statement.compile(dialect=connection.dialect, column_keys=names)
    if set(compiled.params) != set(names):  # the statement brings values of its own
        connection.execute(statement, list(rows))
        return
    ready = [_made_ready(statement.table.c[name].type, connection.dialect) for name in names]
    columns = [
        [row[name] for row in rows] if process is None else _processed(process, [row[name] for row in rows])
        for name, process in zip(names, ready, strict=True)
    ]
    if (order := compiled.positiontup) is not None:
        values: Any = list(zip(*(columns[names.index(name)] for name in order), strict=True))
    else:
        values = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    connection.exec_driver_sql(compiled.string, values)


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
    return None if isinstance(kind, AutoString) else kind.dialect_impl(dialect).bind_processor(dialect)


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
