"""The search index: every paper's words in the form in which queries compare them, kept by the database.

SQLite holds them in an FTS5 table, PostgreSQL in a `tsvector` with a GIN index. The words are cut by
`domain.words`, not by the database, so that both find what a query finds in memory. The index is derived data:
it is no part of the migrations, is made and filled where it is missing, and carries the version of its form in its
name. Searching in it is `storage.search`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlmodel import Session, col, select

from services.domain.indexed import category_values, strings
from services.domain.words import APART, in_order
from services.storage.engine import is_sqlite, to_json
from services.storage.sql import chunks
from services.storage.tables import Paper

VERSION = 2
"""Raised whenever the same paper would get other words: a new index is filled, the old one dropped."""
FAMILY = "paper_words_"
TABLE = f"{FAMILY}{VERSION}"

PLACES = {"title": "t", "abstract": "a", "author": "u", "organization": "o", "comment": "c", "journal": "j"}
"""Where words stand: a column each in FTS5, the letter before each lexeme in a tsvector."""
CATEGORY, JOINED = "category", "joined"
TAGS = {**PLACES, CATEGORY: "k", JOINED: "x"}
"""`joined` repeats the words that stand for several (`pretraining` of `pre-training`): they have no place of their
own in the row of words, which phrases must know."""
_COLUMN = {place: number for number, place in enumerate(TAGS)}

OVERFLOW, LOOSE = "#overflow", "#loose"
"""Marks among the joined words: too many words to be indexed; too many of one for the database to place them all."""

MAX_BYTES = 600_000
"""Words of one paper that are indexed; a tsvector ends at 1 MB."""
_SURELY_FEW = 5_000
"""Characters that cannot come to `MAX_BYTES`, however they fold and join."""
_MAX_POSITION, _MAX_POSITIONS = 16_000, 250
MAX_VALUE = 200
_ROWS = 500
_FTS_OPTIONS = {"hashsize": 8_000_000, "automerge": 8}
"""A page of 2,000 papers becomes one part of the index instead of three, and eight parts of a size are merged instead
of four: no more parts to look into than by default, and a third less to be written again."""

words_table = sa.table(TABLE, sa.column("rowid"), sa.column(TABLE), sa.column("paper_id"), sa.column("words"))
_TEXTS = ("title", "abstract", "authors", "organization", "comment", "journal_ref", "categories")


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
        for option, value in _FTS_OPTIONS.items():
            connection.execute(sa.text(f"INSERT INTO {TABLE} ({TABLE}, rank) VALUES ('{option}', {value})"))  # noqa: S608
    else:
        connection.execute(
            sa.text(
                f"CREATE TABLE {TABLE} (paper_id bigint PRIMARY KEY, digest text NOT NULL, words tsvector)"
                # A paper's words take 2 to 4 kB. Kept beside the table, as is usual from 2 kB on, they cost a look-up
                # each when they are compared or ranked, of which the planner knows nothing.
                " WITH (toast_tuple_target = 8160)"
            )
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


def add(session: Session, papers: Mapping[int, Mapping[str, Any]]) -> None:
    """Index papers that were just inserted: their facts by row id."""
    for part in chunks(list(papers.items()), _ROWS):
        _write(session, [_entry(paper_id, facts, _digest(facts)) for paper_id, facts in part])


def refresh(session: Session, paper_ids: Sequence[int]) -> int:
    """Index these papers, those that are new or whose texts have changed; returns how many were written."""
    written = 0
    for part in chunks(sorted(set(paper_ids)), _ROWS):
        held = _digests(session, part)
        rows = session.execute(
            sa.select(*(getattr(Paper, name) for name in ("id", *_TEXTS))).where(col(Paper.id).in_(part))
        )
        papers = {row.id: row._asdict() for row in rows}
        digests = {paper_id: _digest(facts) for paper_id, facts in papers.items()}
        fresh = [paper_id for paper_id, digest in digests.items() if digest != held.get(paper_id)]
        _write(session, [_entry(paper_id, papers[paper_id], digests[paper_id]) for paper_id in fresh])
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


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.blake2b(msgspec.json.encode([facts[name] for name in _TEXTS]), digest_size=12).hexdigest()


@dataclass(slots=True)
class _Entry:
    """One paper's words by place, in order, with `APART` between texts; and its joined words."""

    paper_id: int
    digest: str
    words: dict[str, str] = field(default_factory=dict)
    joins: dict[str, list[str]] = field(default_factory=dict)


def _entry(paper_id: int, facts: Mapping[str, Any], digest: str) -> _Entry:
    places = strings(
        title=facts["title"], abstract=facts["abstract"], names=[author["name"] for author in facts["authors"]],
        affiliations=[author.get("affiliation") for author in facts["authors"]], organization=facts["organization"],
        comment=facts["comment"], journal_ref=facts["journal_ref"],
    )  # fmt: skip
    entry = _Entry(paper_id, digest)
    letters = 0
    for place, texts in places.items():
        if not texts:
            continue
        entry.words[place], joined = in_order(*texts)
        if joined:
            entry.joins[place] = joined
        letters += sum(map(len, texts))
    values = _category_words(tuple(facts["categories"]))
    if letters > _SURELY_FEW and _size(entry) + len(values) > MAX_BYTES:
        return _Entry(paper_id, digest, joins={JOINED: [OVERFLOW]})
    entry.words[CATEGORY] = values
    if entry.joins:
        entry.joins[JOINED] = list(dict.fromkeys(word for joined in entry.joins.values() for word in joined))
    return entry


def _size(entry: _Entry) -> int:
    """Bytes these words take in the index, with what it needs beside each; joined words stand there twice."""
    listed = [words.split() for words in entry.words.values()] + 2 * list(entry.joins.values())
    return sum(len("".join(words).encode()) + 6 * len(words) for words in listed)


@lru_cache(maxsize=4_096)
def _category_words(categories: tuple[str, ...]) -> str:
    return " ".join(value_word(value) for value in category_values(categories))


def value_word(value: str) -> str:
    """A whole value as one word of the index, character by character, so that beginnings stay beginnings."""
    return "".join(c if not c.isascii() or c.isalnum() else f"#{ord(c):02x}" for c in value[:MAX_VALUE])


# -- writing -----------------------------------------------------------------------------------------------------


def _write(session: Session, entries: Sequence[_Entry]) -> None:
    if not entries:
        return
    connection = session.connection()
    if is_sqlite(session):
        names = ["rowid", "digest", *TAGS]
        marks = ", ".join("?" * len(names))
        connection.exec_driver_sql(
            f"INSERT OR REPLACE INTO {TABLE} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608
            [_columns(entry) for entry in entries],
        )
        return
    rows = [{"paper_id": entry.paper_id, "digest": entry.digest, "words": _vector(entry)} for entry in entries]
    connection.exec_driver_sql(
        f"INSERT INTO {TABLE} (paper_id, digest, words) "  # noqa: S608
        f"SELECT paper_id, digest, words FROM json_populate_recordset(NULL::{TABLE}, %s::json) "
        "ON CONFLICT (paper_id) DO UPDATE SET digest = excluded.digest, words = excluded.words",
        (to_json(rows),),
    )


def _columns(entry: _Entry) -> tuple[Any, ...]:
    columns = [entry.words.get(place, "") for place in TAGS]
    for place, joined in entry.joins.items():
        at = _COLUMN[place]
        columns[at] = APART.join(filter(None, (columns[at], " ".join(joined))))
    return (entry.paper_id, entry.digest, *columns)


def _vector(entry: _Entry) -> str:
    """A tsvector written out: each word with its places. What has none, or more than it can hold, has no place.

    Words are letters, digits and the signs `+` and `#`: there is nothing to quote in them.
    """
    written: list[str] = []
    loose = False
    for place, written_out in entry.words.items():
        at: dict[str, str] = {}
        tag, weight = TAGS[place], "A" if place == "title" else ""
        start = 1
        for words in map(str.split, written_out.split(APART)):
            for position, word in enumerate(words, start):
                at[word] = f"{at[word]},{position}{weight}" if word in at else f"{position}{weight}"
            start += len(words) + 2
        if start > _MAX_POSITIONS:
            for word, placed in at.items():
                places = placed.split(",")
                kept = [one for one in places[:_MAX_POSITIONS] if int(one.removesuffix(weight)) <= _MAX_POSITION]
                if len(kept) < len(places):
                    loose = True
                    at[word] = ",".join(kept)
        written += [f"'{tag}/{word}':{placed}" if placed else f"'{tag}/{word}'" for word, placed in at.items()]
    for place, joined in entry.joins.items():
        written += [f"'{TAGS[place]}/{word}'" for word in dict.fromkeys(joined)]
    if loose:
        written.append(f"'{TAGS[JOINED]}/{LOOSE}'")
    return " ".join(written)


def quoted(lexeme: str) -> str:
    """A lexeme as `tsvector` and `tsquery` read it."""
    doubled = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"
