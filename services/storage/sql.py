"""Batch statements both databases share. Lists of rows go to `execute` as such (an executemany), never into
`values(…)`, which compiles a new statement for every page and is eight times slower."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel

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
        session.connection().execute(statement, list(rows))
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
    session.connection().execute(statement, list(rows))
