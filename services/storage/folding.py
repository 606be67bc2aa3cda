"""Folding: two rows that turned out to be one paper become one, and can be taken apart again.

What the rows were before is kept in `merges.folded`, so that a wrong merge is no loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import delete, update
from sqlmodel import Session, SQLModel, col, select

from services.domain import merging
from services.domain.errors import InvalidInput, NotFound
from services.domain.identifiers import Identifier as Ident
from services.domain.identifiers import canonical_key, title_fingerprint
from services.storage import search_index
from services.storage.identity import Group
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
    Vote,
)

_MOVED: tuple[tuple[type[SQLModel], tuple[str, ...]], ...] = (
    (Sighting, ("feed_id", "day")),
    (EditionItem, ("subscription_id", "again")),
    (Title, ("title_key",)),
    (Event, ("kind", "key")),
    (PaperCheck, ("source",)),
    (Feedback, ("subscription_id", "act", "target")),
    (Vote, ("subscription_id", "voter")),
)
"""What points at a paper, and what makes it one of its kind there."""

_GIVEN_BACK: tuple[tuple[type[SQLModel], tuple[str, ...]], ...] = ((Identifier, ("scheme", "value")), *_MOVED)
_KEPT_OF: tuple[type[SQLModel], ...] = (Identifier, Statement, Link, *(model for model, _ in _MOVED))


def fold(session: Session, group: Group, *, why: str, now: datetime) -> None:
    """Fold a group's later rows into its first: everything that pointed at them points at it."""
    kept, *losers = group.paper_ids
    statements = load_statements(session, group.paper_ids)
    rows = {row.id: row for row in session.exec(select(Paper).where(col(Paper.id).in_(group.paper_ids)))}
    for loser in losers:
        folded = {
            "kept": _rows_of(session, kept, (Statement, Link)) | {"paper": _plain_row(rows[kept].model_dump())},
            "gone": _rows_of(session, loser, _KEPT_OF) | {"paper": _plain_row(rows[loser].model_dump())},
        }
        for source, words in statements.get(loser, {}).items():
            mine = statements.setdefault(kept, {}).get(source)
            if mine is None or merging.supersedes(words, mine):
                statements[kept][source] = words
        for model, rest in _MOVED:
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
    key = str(canonical_key([Ident(*row.key.split(":", 1)) for row in rows.values()]))
    first_seen = min(row.first_seen_at for row in rows.values())
    for row in rows.values():
        session.expunge(row)
    session.execute(
        update(Paper)
        .where(col(Paper.id) == kept)
        .values(key=key, announced_on=min(days, default=None), first_seen_at=first_seen)
    )
    upsert(
        session, Statement, [statement_row(kept, words, now) for words in statements.get(kept, {}).values()],
        ["paper_id", "source"], update=STATEMENT_COLUMNS,
    )  # fmt: skip
    session.flush()
    group.paper_ids[:] = [kept]
    group.folded = True


def merge(session: Session, key: str, other_key: str, *, now: datetime) -> int:
    """Merge two papers because a person says they are one; returns the row kept. `NotFound` for an unknown key."""
    ids = [_by_key(session, one) for one in (key, other_key)]
    if ids[0] == ids[1]:
        raise InvalidInput(f"{key} and {other_key} are one paper already")
    kept, gone = sorted(ids)
    group = Group(paper_ids=[kept, gone])
    fold(session, group, why="a person said that both are one", now=now)
    _recompose(session, kept, now=now)
    search_index.refresh(session, [kept])
    return kept


def unmerge(session: Session, merge_id: int, *, now: datetime) -> int:
    """Take a merge back: the folded paper has a row of its own again, whose id is returned.

    Its identifiers, sightings and edition items go back to it, statements and links to what each of the two had;
    what sources said since stays with the paper that was kept, until they say it again. The pair is marked as
    different, so that an entry that names both does not merge them anew. Raises `NotFound`, or `InvalidInput` for
    a merge that was undone or that nothing was recorded of.
    """
    row = session.get(Merge, merge_id)
    if row is None:
        raise NotFound(f"there is no merge {merge_id}")
    if row.undone_at is not None or not row.folded:
        raise InvalidInput(f"merge {merge_id} " + ("was undone before" if row.undone_at else "has no record to undo"))
    kept, gone, had = row.kept_paper_id, row.folded["gone"], row.folded["kept"]
    old = _typed_row(Paper, gone["paper"])
    taken = session.execute(sa.select(col(Paper.id)).where(col(Paper.key) == old["key"])).scalar()
    if taken == kept:  # the key the merged paper took from the other
        session.execute(update(Paper).where(col(Paper.id) == kept).values(key=f"unmerging:{merge_id}"))
    elif taken is not None:
        raise InvalidInput(f"{old['key']} is the name of another paper by now")
    del old["id"]
    table = table_of(Paper)
    paper_id: int = session.execute(table.insert().values(old).returning(table.c.id)).scalar_one()
    for model, rest in _GIVEN_BACK:
        for saved in gone[table_of(model).name]:
            _give_back(session, model, _typed_row(model, saved), rest, paper_id)
    _statements_apart(session, kept, paper_id, had["statements"], gone["statements"])
    _links_apart(session, kept, paper_id, had["links"], gone["links"])
    for one in (kept, paper_id):
        _recompose(session, one, now=now)
    upsert(
        session, Duplicate,
        [{"paper_id": min(kept, paper_id), "other_id": max(kept, paper_id), "score": 1.0, "state": "different",
          "reason": "taken apart by a person", "found_at": now, "decided_at": now}],
        ["paper_id", "other_id"], update=["state", "reason", "decided_at"],
    )  # fmt: skip
    session.execute(update(Merge).where(col(Merge.id) == merge_id).values(undone_at=now))
    search_index.refresh(session, [kept, paper_id])
    session.expire_all()
    return paper_id


# -- rows as data ------------------------------------------------------------------------------------------------


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


def _typed_row(model: type[SQLModel], row: Mapping[str, Any]) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    for column in table_of(model).columns:
        value = row.get(column.name)
        if isinstance(value, str) and isinstance(column.type, sa.Date):
            value = date.fromisoformat(value)
        elif isinstance(value, str) and (
            isinstance(column.type, sa.DateTime)
            or (isinstance(column.type, sa.TypeDecorator) and isinstance(column.type.impl_instance, sa.DateTime))
        ):
            value = datetime.fromisoformat(value)
        typed[column.name] = value
    return typed


def _give_back(session: Session, model: type[SQLModel], saved: dict[str, Any], rest: Sequence[str], to: int) -> None:
    """A row that was moved goes back; one that was dropped as a double is written again."""
    table = table_of(model)
    moved = session.execute(
        update(model)
        .where(table.c.id == saved["id"], *(table.c[name] == saved[name] for name in rest))
        .values(paper_id=to)
    )
    if not moved.rowcount:  # type: ignore[attr-defined]
        key = [*rest] if model is Identifier else ["paper_id", *rest]
        row = {name: value for name, value in saved.items() if name != "id"} | {"paper_id": to}
        insert_ignore(session, model, [row], key)


def _statements_apart(session: Session, kept: int, apart: int, had: Sequence[Any], gone: Sequence[Any]) -> None:
    before = {row["source"]: _typed_row(Statement, row) for row in had}
    current = load_statements(session, [kept]).get(kept, {})
    rows: list[dict[str, Any]] = []
    for saved in gone:
        row, source = _typed_row(Statement, saved), saved["source"]
        rows.append({**row, "paper_id": apart})
        if source not in before:
            session.execute(delete(Statement).where(col(Statement.paper_id) == kept, col(Statement.source) == source))
        elif source in current and current[source].content_hash == row["content_hash"]:
            rows.append({**before[source], "paper_id": kept})
    for one in rows:
        del one["id"]
    upsert(session, Statement, rows, ["paper_id", "source"], update=STATEMENT_COLUMNS)


def _links_apart(session: Session, kept: int, apart: int, had: Sequence[Any], gone: Sequence[Any]) -> None:
    own = {row["url_key"]: _typed_row(Link, row) for row in had}
    for saved in gone:
        row = _typed_row(Link, saved)
        session.execute(delete(Link).where(col(Link.paper_id) == kept, col(Link.url_key) == row["url_key"]))
        del row["id"]
        insert_ignore(session, Link, [{**row, "paper_id": apart}], ["paper_id", "url_key"])
        if row["url_key"] in own:
            mine = own[row["url_key"]]
            mine.pop("id", None)
            insert_ignore(session, Link, [{**mine, "paper_id": kept}], ["paper_id", "url_key"])


def _recompose(session: Session, paper_id: int, *, now: datetime) -> None:
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
        facts = merging.compose({source: words.data for source, words in statements.items()})
        values |= {
            **facts, "title_key": title_fingerprint(facts["title"]), "content_hash": merging.meaning(facts),
        }  # fmt: skip
    session.execute(update(Paper).where(col(Paper.id) == paper_id).values(**values))


# -- moving what points at a paper ---------------------------------------------------------------------------------


def _repoint(session: Session, model: Any, loser: int, kept: int, rest: Sequence[str]) -> None:
    """Move a loser's rows of `model`, dropping those the kept paper has already (`rest` completes its key)."""
    table = table_of(model)
    twin = table.alias()
    same = [twin.c[name] == table.c[name] for name in rest]
    session.execute(
        delete(table).where(table.c.paper_id == loser, select(twin.c.id).where(twin.c.paper_id == kept, *same).exists())
    )
    session.execute(update(table).where(table.c.paper_id == loser).values(paper_id=kept))


def _repoint_links(session: Session, loser: int, kept: int) -> None:
    """Of two links to one thing the better evidence stays."""
    from services.storage.paper_links import better

    mine = {x.url_key: x for x in session.exec(select(Link).where(Link.paper_id == kept))}
    for theirs in session.exec(select(Link).where(Link.paper_id == loser)).all():
        own = mine.get(theirs.url_key)
        if own is not None and better(theirs, own):
            own.url, own.kind, own.slug = theirs.url, theirs.kind, theirs.slug
            own.evidence, own.repo_id = theirs.evidence, theirs.repo_id
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


def _by_key(session: Session, key: str) -> int:
    found = session.exec(select(Paper.id).where(Paper.key == key)).first()
    if found is None:
        raise NotFound(f"no paper has the key {key!r}")
    return found
