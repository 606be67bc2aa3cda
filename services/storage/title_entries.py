"""Entries that carry no identifier, and the papers they count for.

Such an entry is kept as it came. It counts for the one paper that bears its title, and for a row of its own where
there is none, or where two could be meant (`domain.title_names`). That answer is asked for again whenever entries of
the title come, or papers that bear it are new, folded or taken apart: so it does not depend on the order of arrival.
What the entries brought to a paper (statements, sightings, links) is marked, and can be taken from it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from msgspec import convert, structs, to_builtins
from sqlalchemy import bindparam, delete, update
from sqlmodel import Session, col

from services.domain import merging
from services.domain.identifiers import Identifier as Ident
from services.domain.identifiers import canonical_key, title_fingerprint
from services.domain.papers import PaperData
from services.domain.title_names import Bearer, TitleName, clusters, home
from services.storage import duplicates, search_index
from services.storage.identity import Group, find_identifiers
from services.storage.paper_rows import Stored, Telling, store_groups
from services.storage.repointing import fold, recompose
from services.storage.sql import among, chunks, insert_ignore, table_of, upsert
from services.storage.statements import STATEMENT_COLUMNS, load_statements, statement_row
from services.storage.tables import Identifier, Link, Merge, Paper, Sighting, Statement, Title, TitleEntry

_AS_TOLD = (
    TitleEntry.source, TitleEntry.feed_id, TitleEntry.day, TitleEntry.read_on, TitleEntry.seen_at, TitleEntry.value,
    TitleEntry.data,
)  # fmt: skip


@dataclass(slots=True)
class _Place:
    """Names that are one paper, and the row it has (none yet: it will be made)."""

    names: tuple[TitleName, ...]
    paper_ids: list[int] = field(default_factory=list)


def sort_out(session: Session, entries: Sequence[PaperData]) -> tuple[list[PaperData], list[PaperData]]:
    """Entries that name their paper, and those known by the title alone.

    A name that a person said is a certain paper's is as good as any other identifier (see `vouch`).
    """
    weak = [entry for entry in entries if all(i.scheme == "title" for i in entry.identifiers)]
    if not weak:
        return list(entries), []
    taken = set(find_identifiers(session, {i for entry in weak for i in entry.identifiers}))
    open_names: set[str] = set()
    for part in chunks(sorted(i.value for i in taken)):
        found = session.execute(sa.select(col(TitleEntry.value)).where(col(TitleEntry.value).in_(part)))
        open_names |= {value for (value,) in found}
    settled = {i for i in taken if i.value not in open_names}
    weak = [entry for entry in weak if not settled.intersection(entry.identifiers)]
    apart = {id(entry) for entry in weak}
    return [entry for entry in entries if id(entry) not in apart], weak


def adopt(session: Session, groups: Sequence[Group]) -> None:
    """A new paper takes the row that its title had until now: to those who know that row it is no new paper.

    `store` decides anew once the paper is stored, so a wrong guess here is put right there.
    """
    prints = {
        id(one): {fingerprint for entry in one.entries if (fingerprint := title_fingerprint(entry.title))}
        for one in groups
        if not one.paper_ids
    }
    names, at = _names(session, set().union(*prints.values())) if prints else ({}, {})
    if not names:
        return
    bearers = _bearers(session, names)
    new: dict[int, Group] = {}
    for one in groups:
        for fingerprint in prints.get(id(one), set()) & names.keys():
            key = canonical_key([i for entry in one.entries for i in entry.identifiers])
            year = next((entry.published_at.year for entry in one.entries if entry.published_at), None)
            bearers[fingerprint][Bearer(key, year)] = -id(one)
            new[-id(one)] = one
    own = _own_rows(session, sorted(set(at.values())))
    for title_key in sorted(names):
        for cluster in clusters(names[title_key]):
            meant = home(cluster, bearers[title_key])
            adopter = new.get(bearers[title_key][meant]) if meant is not None else None
            mine = sorted({at[name.value] for name in cluster} & own)
            if adopter is not None and not adopter.paper_ids and mine:
                adopter.paper_ids.append(mine[0])
                own.discard(mine[0])


def store(
    session: Session, entries: Sequence[PaperData], telling: Telling, result: Stored, *, touched: Collection[int]
) -> None:
    """Store the entries of a page that are known by their title; `touched` are the papers its others were about."""
    rows = []
    for entry in entries:
        data = to_builtins(entry)
        said = merging.fingerprint({"data": data, "day": telling.day, "read_on": telling.read_on})
        rows.append(
            {"paper_id": 0, "value": _name(entry), "title_key": title_fingerprint(entry.title) or _name(entry),
             "source": telling.source, "feed_id": telling.feed_id, "day": telling.day, "read_on": telling.read_on,
             "content_hash": said, "data": data, "seen_at": telling.now}
        )  # fmt: skip
    insert_ignore(session, TitleEntry, rows, ["value", "source", "feed_id", "content_hash"])
    places = _settle(session, touched, {row["title_key"] for row in rows}, now=telling.now, result=result)
    groups = _grouped((places[_name(entry)].paper_ids, entry) for entry in entries)
    if groups:
        store_groups(session, groups, replace(telling, by_title=True), result)
        _point(session, places.values())


def settle(session: Session, touched: Collection[int], *, now: datetime) -> None:
    """Ask again which papers are meant by the titles that these bear, after a person decided something about them.

    Where it follows from what a person said is another paper, it stays so (`vouch`).
    """
    _settle(session, touched, set(), now=now, result=Stored(), decided=True)


def vouch(session: Session, paper_id: int, *, now: datetime) -> None:
    """A person decided about a row known by its title: from now on its name is an identifier like any other."""
    key = session.execute(sa.select(col(Paper.key)).where(col(Paper.id) == paper_id)).scalar_one()
    if not key.startswith("title:"):
        return
    said = load_statements(session, [paper_id]).get(paper_id, {})
    plain: dict[str, merging.StatementData] = {}
    for source, words in said.items():
        name = source.removesuffix(merging.BY_TITLE)
        plain[name] = merging.together(structs.replace(words, source=name), plain.get(name))
    session.execute(delete(Statement).where(col(Statement.paper_id) == paper_id))
    rows = [statement_row(paper_id, words, now) for words in plain.values()]
    upsert(session, Statement, rows, ["paper_id", "source"], update=STATEMENT_COLUMNS)
    for model in (Sighting, Link):
        session.execute(update(model).where(col(model.paper_id) == paper_id).values(by_title=False))
    session.execute(delete(TitleEntry).where(col(TitleEntry.paper_id) == paper_id))


def _name(entry: PaperData) -> str:
    return min(i.value for i in entry.identifiers)


# -- who is meant ------------------------------------------------------------------------------------------------


def _settle(
    session: Session,
    touched: Collection[int],
    title_keys: set[str],
    *,
    now: datetime,
    result: Stored,
    decided: bool = False,
) -> dict[str, _Place]:
    """Bring every name of these titles to its paper; returns the places by name."""
    if touched:
        found = session.execute(
            sa.select(col(TitleEntry.title_key))
            .join(Title, col(Title.title_key) == col(TitleEntry.title_key))
            .where(among(session, table_of(Title).c.paper_id, touched))
            .distinct()
        )
        title_keys |= {key for (key,) in found}
    if not title_keys:
        return {}
    names, now_at = _names(session, title_keys)
    bearers = _bearers(session, title_keys)
    rows = sorted({row for row in now_at.values() if row})
    own = _own_rows(session, rows)
    apart = duplicates.apart(session, own)
    places: list[_Place] = []
    claimed: set[int] = set()
    gone: dict[int, int] = {}
    folded: set[int] = set()
    for title_key in sorted(names):
        for cluster in clusters(names[title_key]):
            mine = sorted({now_at[name.value] for name in cluster} & own - claimed)
            others = set().union(*(apart.get(row, set()) for row in mine))
            able = {one: row for one, row in bearers.get(title_key, {}).items() if row not in others}
            meant = home(cluster, able)
            together = [able[meant], *mine] if meant is not None else mine
            claimed.update(mine)
            if len(together) > 1:
                if decided and meant != home(cluster, bearers.get(title_key, {})):
                    for row in mine:
                        vouch(session, row, now=now)
                group = Group(paper_ids=list(together))
                fold(session, group, why="one title, and no other paper bears it", now=now)
                gone |= dict.fromkeys(together[1:], together[0])
                folded.add(together[0])
                result.merged += 1
            places.append(_Place(cluster, together[:1]))
    at = {value: gone.get(row, row) for value, row in now_at.items()}
    _move(session, places, at, folded, now=now)
    return {name.value: place for place in places for name in place.names}


def _names(session: Session, title_keys: Collection[str]) -> tuple[dict[str, list[TitleName]], dict[str, int]]:
    """The names of each title, and the row each counts for at present (0: none yet)."""
    years: dict[tuple[str, str], int | None] = {}
    at: dict[str, int] = {}
    for row in session.execute(
        sa.select(
            col(TitleEntry.title_key), col(TitleEntry.value), col(TitleEntry.paper_id), col(TitleEntry.data)
        ).where(among(session, table_of(TitleEntry).c.title_key, title_keys))
    ):
        published = row.data.get("published_at")
        year = int(published[:4]) if published else None
        known = years.setdefault((row.title_key, row.value), year)
        if year is not None:
            years[(row.title_key, row.value)] = min(year, known or year)
        at[row.value] = max(row.paper_id, at.get(row.value, 0))
    names: dict[str, list[TitleName]] = defaultdict(list)
    for (title_key, value), year in years.items():
        names[title_key].append(TitleName(value, year))
    return names, at


def _bearers(session: Session, title_keys: Iterable[str]) -> dict[str, dict[Bearer, int]]:
    """The papers with an identifier that bear, or bore, each title. What a title brought them does not date them."""
    found: list[tuple[str, int, str]] = []
    for part in chunks(sorted(title_keys)):
        found += [
            (row.title_key, row.id, row.key)
            for row in session.execute(
                sa.select(col(Title.title_key), col(Paper.id), col(Paper.key))
                .join(Paper, col(Paper.id) == col(Title.paper_id))
                .where(col(Title.title_key).in_(part), col(Paper.key).not_like("title:%"))
            )
        ]
    said = load_statements(session, [paper_id for _, paper_id, _ in found])
    bearers: dict[str, dict[Bearer, int]] = defaultdict(dict)
    for title_key, paper_id, key in found:
        own = {s: words.data for s, words in said[paper_id].items() if not s.endswith(merging.BY_TITLE)}
        published = merging.compose(own)["published_at"]
        bearer = Bearer(Ident(*key.split(":", 1)), published.year if published else None)
        bearers[title_key][bearer] = paper_id
    return bearers


def _own_rows(session: Session, rows: Sequence[int]) -> set[int]:
    """Those of the rows that are known by their title alone."""
    own: set[int] = set()
    for part in chunks(rows):
        found = session.execute(sa.select(col(Paper.id)).where(col(Paper.id).in_(part), col(Paper.key).like("title:%")))
        own |= {row for (row,) in found}
    return own


# -- taking and giving -------------------------------------------------------------------------------------------


def _move(
    session: Session, places: Sequence[_Place], at: Mapping[str, int], folded: Collection[int], *, now: datetime
) -> None:
    """Take what names brought from papers they no longer mean, and give it to those they do."""
    moved = [
        name.value for place in places for name in place.names if at[name.value] and [at[name.value]] != place.paper_ids
    ]
    left = sorted({at[value] for value in moved})
    staying = {value: row for value, row in _values_at(session, left).items() if value not in set(moved)}
    if moved:
        _take(session, left, moved, now=now)
    for paper_id in sorted({*left, *folded}):
        recompose(session, paper_id, now=now)
    search_index.refresh(session, sorted({*left, *folded}))
    if moved:
        of = {name.value: place.paper_ids for place in places for name in place.names}
        for value, row in staying.items():
            of.setdefault(value, [row])
        _give(session, sorted({*moved, *staying}), of)
    _point(session, places)


def _values_at(session: Session, rows: Sequence[int]) -> dict[str, int]:
    """The names that count for these rows, each with the first it counts for."""
    at: dict[str, int] = {}
    for part in chunks(rows):
        for value, row in session.execute(
            sa.select(col(TitleEntry.value), col(TitleEntry.paper_id)).where(col(TitleEntry.paper_id).in_(part))
        ):
            at[value] = min(row, at.get(value, row))
    return at


def _take(session: Session, rows: Sequence[int], moved: Sequence[str], *, now: datetime) -> None:
    """Everything that titles brought to these rows goes, and the names that move on."""
    for part in chunks(rows):
        for model in (Sighting, Link):
            session.execute(delete(model).where(col(model.paper_id).in_(part), col(model.by_title)))
        session.execute(
            delete(Statement).where(col(Statement.paper_id).in_(part), col(Statement.source).endswith(merging.BY_TITLE))
        )
    for values in chunks(moved):
        session.execute(delete(Identifier).where(col(Identifier.scheme) == "title", col(Identifier.value).in_(values)))
        session.execute(
            update(Merge)
            .where(
                col(Merge.kept_paper_id).in_(rows),
                col(Merge.merged_key).in_([f"title:{value}" for value in values]),
                col(Merge.undone_at).is_(None),
            )
            .values(undone_at=now)
        )


def _give(session: Session, values: Sequence[str], of: Mapping[str, list[int]]) -> None:
    """What the entries of these names say, told to the papers they mean (`of`), page by page as it came."""
    pages: dict[tuple[str, int, date, date | None, datetime], list[Any]] = defaultdict(list)
    for part in chunks(values):
        for row in session.execute(
            sa.select(*map(col, _AS_TOLD)).where(col(TitleEntry.value).in_(part)).order_by(col(TitleEntry.id))
        ):
            pages[(row.source, row.feed_id, row.day, row.read_on, row.seen_at)].append(row)
    for (source, feed_id, day, read_on, seen_at), rows in pages.items():
        groups = _grouped((of[row.value], convert(row.data, PaperData)) for row in rows)
        telling = Telling(source=source, feed_id=feed_id, day=day, read_on=read_on, now=seen_at, by_title=True)
        store_groups(session, groups, telling, Stored())


def _grouped(said: Iterable[tuple[list[int], PaperData]]) -> list[Group]:
    """Entries by the paper they count for: the row it has, or the one that will be put into the list it shares."""
    groups: dict[tuple[str, int], Group] = {}
    for paper_ids, entry in said:
        at = ("row", paper_ids[0]) if paper_ids else ("new", id(paper_ids))
        one = groups.setdefault(at, Group(paper_ids=paper_ids))
        one.entries.append(entry)
        one.unheld += entry.identifiers
    return list(groups.values())


def _point(session: Session, places: Iterable[_Place]) -> None:
    """Note where the names are now, where they were not before."""
    table = table_of(TitleEntry)
    rows = {name.value: place.paper_ids[0] for place in places if place.paper_ids for name in place.names}
    if rows:
        row: Any = bindparam("row")
        statement = table.update().where(table.c.value == bindparam("v"), table.c.paper_id != row).values(paper_id=row)
        session.connection().execute(statement, [{"v": value, "row": paper_id} for value, paper_id in rows.items()])
