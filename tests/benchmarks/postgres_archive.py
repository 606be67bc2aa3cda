"""The large archive on PostgreSQL: the rows of `large_archive`, by COPY; the search index in the form it has there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import psycopg

from services.domain.words import APART, fold
from services.storage import schema, search_index
from services.storage.engine import make_engine
from services.storage.search_index import _Entry, _vector
from tests.benchmarks import large_archive

PREPARE = (
    "SET timezone = 'UTC'",
    "SET session_replication_role = replica",  # what rows refer to is not looked up
    "SET maintenance_work_mem = '1GB'",
)


def build(url: str, papers: int) -> None:
    """Fill an empty database, `postgresql://…`, of which the user is a superuser."""
    engine = make_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    schema.migrate(engine)
    engine.dispose()
    with closing(psycopg.connect(url)) as connection:
        for statement in PREPARE:
            connection.execute(statement.encode())
        # All in one transaction: rows copied into a table that was emptied in it are as if they had been vacuumed.
        indexes = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND NOT EXISTS"
            " (SELECT FROM pg_constraint WHERE conindid = format('%I.%I', schemaname, indexname)::regclass)"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f'DROP INDEX "{name}"'.encode())  # filled at the end in one go
        names = [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        connection.execute(f"TRUNCATE {', '.join(name for name in names if name != schema.VERSION.name)}".encode())
        for table, columns, rows in large_archive.tables(papers):
            if table == search_index.TABLE:
                _copy(connection, table, ["paper_id", "digest", "words"], _vectors(papers))
            else:
                _copy(connection, table, columns.split(), rows)
        for _, made in indexes:
            connection.execute(made.encode())
        connection.execute(
            "SELECT setval(pg_get_serial_sequence(quote_ident(table_name), 'id'), 1000000000)"
            " FROM information_schema.columns WHERE table_schema = 'public' AND column_default LIKE 'nextval%'"
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")


def _copy(connection: psycopg.Connection[Any], table: str, columns: Sequence[str], rows: large_archive.Rows) -> None:
    usual = large_archive.defaults(table, columns)
    last = tuple(usual.values())
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join([*columns, *usual])}) FROM STDIN WITH (FREEZE)".encode()) as copy,
    ):
        for row in rows:
            copy.write_row((*row, *last))


def _vectors(papers: int) -> Iterator[tuple[int, str, str]]:
    texts = large_archive.Texts(papers)
    cut = [search_index.value_word(fold(category)) for category in large_archive.CATEGORIES]
    for number in range(1, papers + 1):
        title, sentences, authors, categories = texts.paper(number)
        words = {
            "title": title.lower(),
            "abstract": " ".join(texts.cut[s] for s in sentences),
            "author": APART.join(texts.people[a][1] for a in authors),
            search_index.CATEGORY: " ".join(cut[c] for c in categories),
        }
        yield number, "", _vector(_Entry(number, "", words))
