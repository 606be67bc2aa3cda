"""Folding: two rows that turned out to be one paper become one.

What the rows were before is kept in `merges.folded`, so that a wrong merge is no loss (`storage.folding` takes it
back).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import delete, update
from sqlmodel import Session, SQLModel, col, select

from services.domain import merging
from services.domain.identifiers import Identifier as Ident
from services.domain.identifiers import canonical_key
from services.storage.identity import Group
from services.storage.paper_links import better_row
from services.storage.paper_rows import facts_of
from services.storage.sql import insert_ignore, table_of, upsert
from services.storage.statements import STATEMENT_COLUMNS, load_statements, statement_row
from services.storage.tables import (
    Duplicate,
    EditionItem,
    Event,
    Feedback,
    Identifier,
    Link,
    Merge,
    Paper,
    PaperCheck,
    Sighting,
    Statement,
    Title,
    TitleEntry,
    Vote,
)

MOVED: tuple[tuple[type[SQLModel], tuple[str, ...]], ...] = (
    (Sighting, ("feed_id", "day")),
    (TitleEntry, ("value", "source", "feed_id", "content_hash")),
    (EditionItem, ("subscription_id", "again")),
    (Title, ("title_key",)),
    (Event, ("kind", "key")),
    (PaperCheck, ("source",)),
    (Feedback, ("subscription_id", "act", "target")),
    (Vote, ("subscription_id", "voter")),
)
"""What points at a paper, and what makes it one of its kind there."""

_KEPT_OF: tuple[type[SQLModel], ...] = (Identifier, Statement, Link, *(model for model, _ in MOVED))


def fold(session: Session, group: Group, *, why: str, now: datetime) -> None:
    """Fold a group's later rows into its first: everything that pointed at them points at it."""
    kept, *losers = group.paper_ids
    statements = load_statements(session, group.paper_ids)
    rows = {row.id: row for row in session.exec(select(Paper).where(col(Paper.id).in_(group.paper_ids)))}
    best = str(canonical_key([Ident(*row.key.split(":", 1)) for row in rows.values()]))
    group.was = next(dict(statements.get(row.id or 0, {})) for row in rows.values() if row.key == best)
    for loser in losers:
        folded = {
            "kept": _rows_of(session, kept, (Statement, Link)) | {"paper": _plain_row(rows[kept].model_dump())},
            "gone": _rows_of(session, loser, _KEPT_OF) | {"paper": _plain_row(rows[loser].model_dump())},
        }
        for source, words in statements.get(loser, {}).items():
            mine = statements.setdefault(kept, {})
            mine[source] = merging.together(words, mine.get(source))
        _drop_by_title(session, kept, loser)
        for model, rest in MOVED:
            _repoint(session, model, loser, kept, rest)
        _repoint_links(session, loser, kept)
        _repoint_duplicates(session, loser, kept)
        session.execute(update(Identifier).where(col(Identifier.paper_id) == loser).values(paper_id=kept))
        session.execute(update(Merge).where(col(Merge.kept_paper_id) == loser).values(kept_paper_id=kept))
        session.execute(delete(Statement).where(col(Statement.paper_id) == loser))
        key = rows[loser].key
        session.execute(delete(Paper).where(col(Paper.id) == loser))
        session.add(Merge(kept_paper_id=kept, merged_key=key, reason=why, merged_at=now, folded=folded))
    # The entry that joins them may name neither the strongest key nor the first day.
    days = [row.announced_on for row in rows.values() if row.announced_on is not None]
    first_seen = min(row.first_seen_at for row in rows.values())
    for row in rows.values():
        session.expunge(row)
    session.execute(
        update(Paper)
        .where(col(Paper.id) == kept)
        .values(key=best, announced_on=min(days, default=None), first_seen_at=first_seen)
    )
    upsert(
        session, Statement, [statement_row(kept, words, now) for words in statements.get(kept, {}).values()],
        ["paper_id", "source"], update=STATEMENT_COLUMNS,
    )  # fmt: skip
    session.flush()
    group.paper_ids[:] = [kept]
    group.folded = True


def recompose(session: Session, paper_id: int, *, now: datetime) -> None:
    """A paper's facts and key from its statements and identifiers as they are now."""
    statements = load_statements(session, [paper_id]).get(paper_id, {})
    names = [
        Ident(scheme, value)
        for scheme, value in session.execute(
            sa.select(col(Identifier.scheme), col(Identifier.value)).where(col(Identifier.paper_id) == paper_id)
        )
    ]
    values: dict[str, Any] = {"changed_at": now}
    if names:
        values["key"] = str(canonical_key(names))
    if statements:
        values |= facts_of(statements)
    session.execute(update(Paper).where(col(Paper.id) == paper_id).values(**values))


def _rows_of(session: Session, paper_id: int, models: Sequence[type[SQLModel]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for model in models:
        table = table_of(model)
        found[table.name] = [
            _plain_row(dict(row._mapping))
            for row in session.execute(sa.select(table).where(table.c.paper_id == paper_id))
        ]
    return found


def _plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}


def _repoint(session: Session, model: Any, loser: int, kept: int, rest: Sequence[str]) -> None:
    """Move a loser's rows of `model`, dropping those the kept paper has already (`rest` completes its key)."""
    table = table_of(model)
    twin = table.alias()
    same = [twin.c[name] == table.c[name] for name in rest]
    session.execute(
        delete(table).where(table.c.paper_id == loser, select(twin.c.id).where(twin.c.paper_id == kept, *same).exists())
    )
    session.execute(update(table).where(table.c.paper_id == loser).values(paper_id=kept))


def _drop_by_title(session: Session, kept: int, loser: int) -> None:
    """Of two sightings of one day the one stays that an identifier brought."""
    mine, theirs = table_of(Sighting), table_of(Sighting).alias()
    session.execute(
        delete(mine).where(
            mine.c.paper_id == kept,
            mine.c.by_title,
            select(theirs.c.id)
            .where(theirs.c.paper_id == loser, theirs.c.feed_id == mine.c.feed_id, theirs.c.day == mine.c.day)
            .exists(),
        )
    )


def _repoint_links(session: Session, loser: int, kept: int) -> None:
    """Of two links to one thing the better evidence stays."""
    mine = {x.url_key: x for x in session.exec(select(Link).where(Link.paper_id == kept))}
    for theirs in session.exec(select(Link).where(Link.paper_id == loser)).all():
        own = mine.get(theirs.url_key)
        if own is not None and better_row(theirs, own):
            own.url, own.kind, own.slug = theirs.url, theirs.kind, theirs.slug
            own.evidence, own.repo_id, own.by_title = theirs.evidence, theirs.repo_id, theirs.by_title
        if own is not None:
            session.delete(theirs)
        else:
            theirs.paper_id = kept
    session.flush()


def _repoint_duplicates(session: Session, loser: int, kept: int) -> None:
    """Open questions about the row that goes are answered; what a person decided holds for the one that stays."""
    touching = sa.or_(col(Duplicate.paper_id) == loser, col(Duplicate.other_id) == loser)
    decided: list[dict[str, Any]] = []
    for row in session.exec(select(Duplicate).where(touching)):
        other = row.other_id if row.paper_id == loser else row.paper_id
        if row.state == "different" and other != kept:
            decided.append(
                {**row.model_dump(exclude={"id"}), "paper_id": min(kept, other), "other_id": max(kept, other)}
            )
    session.execute(delete(Duplicate).where(touching))
    insert_ignore(session, Duplicate, decided, ["paper_id", "other_id"])
