"""The search index: every paper's words in the form in which queries compare them, kept by the database.

SQLite holds them in an FTS5 table, PostgreSQL in a `tsvector` with a GIN index. The words are cut by
`domain.words`, not by the database, so that both find what a query finds in memory. The index is derived data:
it is no part of the migrations, is made and filled where it is missing, and carries the version of its form in its
name. Searching in it is `storage.search`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlmodel import Session, col, select

from services.domain.indexed import Indexed
from services.domain.papers import AuthorData, PaperFacts
from services.domain.words import in_order
from services.storage.engine import is_sqlite
from services.storage.sql import chunks
from services.storage.tables import Paper

VERSION = 1
"""Raised whenever the same paper would get other words: a new index is filled, the old one dropped."""
FAMILY = "paper_words_"
TABLE = f"{FAMILY}{VERSION}"

PLACES = {"title": "t", "abstract": "a", "author": "u", "organization": "o", "comment": "c", "journal": "j"}
"""Where words stand: a column each in FTS5, the letter before each lexeme in a tsvector."""
CATEGORY, JOINED = "category", "joined"
TAGS = {**PLACES, CATEGORY: "k", JOINED: "x"}
"""`joined` repeats the words that stand for several (`pretraining` of `pre-training`): they have no place of their
own in the row of words, which phrases must know."""

OVERFLOW, LOOSE = "#overflow", "#loose"
"""Marks among the joined words: too many words to be indexed; too many of one for the database to place them all."""

MAX_BYTES = 600_000
"""Words of one paper that are indexed; a tsvector ends at 1 MB."""
_MAX_POSITION, _MAX_POSITIONS = 16_000, 250
MAX_VALUE = 200
_APART = " # "
"""Between texts of one place: no phrase goes across it."""
_ROWS = 200

words_table = sa.table(TABLE, sa.column("rowid"), sa.column(TABLE), sa.column("paper_id"), sa.column("words"))
_TEXTS = ("id", "title", "abstract", "authors", "organization", "comment", "journal_ref", "categories")


# -- the table ---------------------------------------------------------------------------------------------------


def include_object(_: Any, name: str | None, kind: str, __: bool, ___: Any) -> bool:
    """For Alembic: the index is not its business."""
    return kind != "table" or not (name or "").startswith(FAMILY)


def is_there(connection: Connection) -> bool:
    """Whether the database has the index in its present form."""
    return TABLE in _tables(connection)


def ensure(connection: Connection) -> bool:
    """Make and fill the index where it is missing, drop those of older forms; returns whether it was made."""
    tables = _tables(connection)
    if TABLE in tables:
        return False
    for name in tables:
        connection.execute(sa.text(f'DROP TABLE "{name}"'))
    if connection.dialect.name == "sqlite":
        columns = ", ".join(TAGS)
        connection.execute(
            sa.text(
                f"CREATE VIRTUAL TABLE {TABLE} USING fts5({columns}, digest UNINDEXED, "
                "tokenize = \"ascii tokenchars '+#'\")"
            )
        )
    else:
        connection.execute(
            sa.text(f"CREATE TABLE {TABLE} (paper_id bigint PRIMARY KEY, digest text NOT NULL, words tsvector)")
        )
        connection.execute(sa.text(f"CREATE INDEX ix_{TABLE} ON {TABLE} USING gin (words)"))
    with Session(connection) as session:
        last = 0
        while ids := list(
            session.exec(select(Paper.id).where(col(Paper.id) > last).order_by(col(Paper.id)).limit(_ROWS))
        ):
            refresh(session, [i for i in ids if i is not None])
            last = ids[-1] or 0
    return True


def _tables(connection: Connection) -> list[str]:
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%' AND name LIKE :name"
        if connection.dialect.name == "sqlite"
        else "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE :name"
        " AND relnamespace = to_regnamespace(current_schema()::text)"
    )
    found = connection.execute(sa.text(query), {"name": f"{FAMILY}%"})
    return [str(name) for (name,) in found]


# -- its rows ----------------------------------------------------------------------------------------------------


def refresh(session: Session, paper_ids: Sequence[int]) -> int:
    """Index these papers, those that are new or whose texts have changed; returns how many were written."""
    written = 0
    for part in chunks(sorted(set(paper_ids)), _ROWS):
        held = _digests(session, part)
        rows = session.execute(
            sa.select(*(getattr(Paper, name) for name in _TEXTS)).where(col(Paper.id).in_(part))
        ).all()
        fresh = [(row, digest) for row in rows if (digest := _digest(row)) != held.get(row.id)]
        if fresh:
            _write(session, [_entry(row, digest) for row, digest in fresh])
            written += len(fresh)
    return written


def catch_up(session: Session, *, limit: int = 5_000) -> tuple[int, int]:
    """Index up to `limit` papers that are not, drop rows of papers that are gone; returns (indexed, dropped)."""
    key = "rowid" if is_sqlite(session) else "paper_id"
    gone = session.connection().execute(
        sa.text(f"DELETE FROM {TABLE} WHERE {key} NOT IN (SELECT id FROM papers)")  # noqa: S608 - our own names
    )
    missing = session.execute(
        sa.text(f"SELECT id FROM papers WHERE id NOT IN (SELECT {key} FROM {TABLE}) LIMIT :limit"),  # noqa: S608
        {"limit": limit},
    )
    return refresh(session, [paper_id for (paper_id,) in missing]), gone.rowcount


def _digests(session: Session, ids: Sequence[int]) -> dict[int, str]:
    key = "rowid" if is_sqlite(session) else "paper_id"
    query = sa.text(f"SELECT {key}, digest FROM {TABLE} WHERE {key} IN :ids").bindparams(  # noqa: S608
        sa.bindparam("ids", expanding=True)
    )
    return {row[0]: row[1] for row in session.execute(query, {"ids": list(ids)})}


def _digest(row: Any) -> str:
    texts = json.dumps([getattr(row, name) for name in _TEXTS[1:]], ensure_ascii=False)
    return hashlib.blake2b(texts.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


@dataclass(slots=True)
class _Entry:
    """One paper's words by place, each a list of texts, each a list of words in order; and its joined words."""

    paper_id: int
    digest: str
    words: dict[str, list[list[str]]] = field(default_factory=dict)
    joins: dict[str, list[str]] = field(default_factory=dict)


def _entry(row: Any, digest: str) -> _Entry:
    indexed = Indexed(
        PaperFacts(
            id=row.id, key="", title=row.title, abstract=row.abstract,
            authors=tuple(AuthorData(**author) for author in row.authors), organization=row.organization,
            comment=row.comment, journal_ref=row.journal_ref, categories=tuple(row.categories),
            first_seen_at=datetime.min.replace(tzinfo=UTC),
        )
    )  # fmt: skip
    entry, size = _Entry(row.id, digest), 0
    for place in PLACES:
        for text in indexed.strings(place):
            ordered, joined = in_order(text)
            entry.words.setdefault(place, []).append(ordered)
            entry.joins.setdefault(place, []).extend(joined)
            size += _size(ordered) + 2 * _size(joined)
    values = [value_word(value) for value in indexed.values["category"]]
    if size + sum(map(len, values)) > MAX_BYTES:
        return _Entry(row.id, digest, joins={JOINED: [OVERFLOW]})
    entry.words[CATEGORY] = [values]
    entry.joins[JOINED] = list(dict.fromkeys(word for joined in entry.joins.values() for word in joined))
    return entry


def _size(words: Sequence[str]) -> int:
    """Bytes these words take in the index, with what it needs beside each."""
    letters = "".join(words)
    return (len(letters) if letters.isascii() else len(letters.encode())) + 6 * len(words)


def value_word(value: str) -> str:
    """A whole value as one word of the index, character by character, so that beginnings stay beginnings."""
    return "".join(c if not c.isascii() or c.isalnum() else f"#{ord(c):02x}" for c in value[:MAX_VALUE])


# -- writing -----------------------------------------------------------------------------------------------------


def _write(session: Session, entries: Sequence[_Entry]) -> None:
    connection = session.connection()
    if is_sqlite(session):
        connection.execute(sa.text(f"DELETE FROM {TABLE} WHERE rowid = :id"), [{"id": e.paper_id} for e in entries])  # noqa: S608
        names = ["rowid", *TAGS, "digest"]
        connection.execute(
            sa.text(f"INSERT INTO {TABLE} ({', '.join(names)}) VALUES ({', '.join(':' + n for n in names)})"),  # noqa: S608
            [_columns(entry) for entry in entries],
        )
        return
    connection.execute(
        sa.text(
            f"INSERT INTO {TABLE} (paper_id, digest, words) VALUES (:id, :digest, CAST(:words AS tsvector)) "  # noqa: S608
            "ON CONFLICT (paper_id) DO UPDATE SET digest = excluded.digest, words = excluded.words"
        ),
        [{"id": entry.paper_id, "digest": entry.digest, "words": _vector(entry)} for entry in entries],
    )


def _columns(entry: _Entry) -> dict[str, Any]:
    row: dict[str, Any] = {"rowid": entry.paper_id, "digest": entry.digest}
    for place in TAGS:
        texts = [" ".join(words) for words in entry.words.get(place, ())]
        row[place] = _APART.join([*texts, " ".join(entry.joins.get(place, ()))])
    return row


def _vector(entry: _Entry) -> str:
    """A tsvector written out: each word with its places. What has none, or more than it can hold, has no place."""
    at: dict[str, list[int]] = {}
    loose = False
    for place, texts in entry.words.items():
        position = 1
        for words in texts:
            for word in words:
                positions = at.setdefault(f"{TAGS[place]}/{word}", [])
                if position > _MAX_POSITION or len(positions) >= _MAX_POSITIONS:
                    loose = True
                else:
                    positions.append(position)
                position += 1
            position += 2
    for place, joined in entry.joins.items():
        for word in joined:
            at.setdefault(f"{TAGS[place]}/{word}", [])
    if loose:
        at.setdefault(f"{TAGS[JOINED]}/{LOOSE}", [])
    return " ".join(_lexemes(at))


def _lexemes(at: dict[str, list[int]]) -> Iterator[str]:
    for word, positions in at.items():
        weight = "A" if word.startswith("t/") else ""
        placed = ",".join(f"{position}{weight}" for position in positions)
        yield quoted(word) + (f":{placed}" if placed else "")


def quoted(lexeme: str) -> str:
    """A lexeme as `tsvector` and `tsquery` read it."""
    doubled = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"
