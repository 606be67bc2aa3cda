"""What storing is measured against: the very rows our own store wrote, put back by the driver's executemany.

Nothing is looked up, compared or decided: the rows are known beforehand, ids included. One transaction, the same
tables with their indexes, the same settings of the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from services.storage import search_index

TABLES = (
    "papers", "identifiers", "statements", "titles", "sightings", "repos", "repo_names", "links", "duplicates",
    "events", search_index.TABLE,
)  # fmt: skip
"""Every table a page of new papers is written to."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one table as the driver gives them."""

    table: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]

    def insert(self, mark: str) -> str:
        """The statement that puts one row back."""
        names = ", ".join(f'"{name}"' for name in self.columns)
        ignore = "" if self.table == search_index.TABLE else " ON CONFLICT DO NOTHING"
        return f"INSERT INTO {self.table} ({names}) VALUES ({', '.join([mark] * len(self.columns))}){ignore}"


def capture(engine: Engine) -> list[Rows]:
    """All rows our store wrote."""
    found: list[Rows] = []
    lite = engine.dialect.name == "sqlite"
    for table in TABLES:
        columns = _columns(engine, table)
        shown = ", ".join(f'"{c}"' if lite else f'"{c}"::text' for c in columns)
        with engine.connect() as connection:
            cursor: Any = connection.connection.cursor()
            cursor.execute(f"SELECT {shown} FROM {table}")
            found.append(Rows(table, columns, [tuple(row) for row in cursor.fetchall()]))
    return found


def _columns(engine: Engine, table: str) -> tuple[str, ...]:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            names = [row[1] for row in connection.execute(text(f"PRAGMA table_info({table})"))]
            return ("rowid", *names) if table == search_index.TABLE else tuple(names)
        rows = connection.execute(
            text("SELECT column_name FROM information_schema.columns WHERE table_name = :t ORDER BY ordinal_position"),
            {"t": table},
        )
        return tuple(row[0] for row in rows)


def put_back(engine: Engine, captured: Sequence[Rows]) -> None:
    """All rows in one transaction by executemany."""
    lite = engine.dialect.name == "sqlite"
    with engine.begin() as connection:
        cursor: Any = connection.connection.cursor()
        for one in captured:
            if one.rows:
                cursor.executemany(one.insert("?" if lite else "%s"), one.rows)
