"""Papers merged by a person, and merges taken back.

What two rows were before they became one is kept in `merges.folded`, so that a wrong merge is no loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import delete, update
from sqlmodel import Session, SQLModel, col, select

from services.domain.errors import InvalidInput, NotFound
from services.storage import search_index, title_entries
from services.storage.identity import Group
from services.storage.repointing import MOVED, fold, recompose
from services.storage.sql import insert_ignore, table_of, upsert
from services.storage.statements import STATEMENT_COLUMNS, load_statements
from services.storage.tables import Duplicate, Identifier, Link, Merge, Paper, Statement, TitleEntry

_GIVEN_BACK: tuple[tuple[type[SQLModel], tuple[str, ...]], ...] = ((Identifier, ("scheme", "value")), *MOVED)


def merge(session: Session, key: str, other_key: str, *, now: datetime) -> int:
    """Merge two papers because a person says they are one; returns the row kept. `NotFound` for an unknown key."""
    ids = [_by_key(session, one) for one in (key, other_key)]
    if ids[0] == ids[1]:
        raise InvalidInput(f"{key} and {other_key} are one paper already")
    for one in ids:
        title_entries.vouch(session, one, now=now)
    kept, gone = sorted(ids)
    group = Group(paper_ids=[kept, gone])
    fold(session, group, why="a person said that both are one", now=now)
    recompose(session, kept, now=now)
    search_index.refresh(session, [kept])
    title_entries.settle(session, [kept], now=now)
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
        recompose(session, one, now=now)
    upsert(
        session, Duplicate,
        [{"paper_id": min(kept, paper_id), "other_id": max(kept, paper_id), "score": 1.0, "state": "different",
          "reason": "taken apart by a person", "found_at": now, "decided_at": now}],
        ["paper_id", "other_id"], update=["state", "reason", "decided_at"],
    )  # fmt: skip
    session.execute(update(Merge).where(col(Merge.id) == merge_id).values(undone_at=now))
    search_index.refresh(session, [kept, paper_id])
    title_entries.settle(session, [kept, paper_id], now=now)
    session.expire_all()
    return paper_id


# -- rows as data ------------------------------------------------------------------------------------------------


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
        key = [*rest] if model in (Identifier, TitleEntry) else ["paper_id", *rest]
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


def _by_key(session: Session, key: str) -> int:
    found = session.exec(select(Paper.id).where(Paper.key == key)).first()
    if found is None:
        raise NotFound(f"no paper has the key {key!r}")
    return found
