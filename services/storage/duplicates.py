"""Near-duplicates: pairs of papers that may be one, flagged for a person when a paper is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import combinations
from typing import Any

import sqlalchemy as sa
from sqlalchemy import update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from services.domain.errors import InvalidInput, NotFound
from services.domain.nearness import gist, may_be_near, nearness
from services.storage.sql import among, chunks, insert_ignore, table_of, upsert
from services.storage.tables import Duplicate, Paper, Title

MOST_ALIKE = 12
"""A fingerprint more papers share than this is a phrase of the trade and tells nothing."""

STATES = ("open", "same", "different")


def apart(session: Session, rows: Iterable[int]) -> dict[int, set[int]]:
    """What a person said is another paper than these, both ways; rows of which nothing was said are left out."""
    found: dict[int, set[int]] = defaultdict(set)
    one, other = col(Duplicate.paper_id), col(Duplicate.other_id)
    for part in chunks(sorted(rows)):
        either = sa.or_(one.in_(part), other.in_(part))
        for pair in session.execute(sa.select(one, other).where(col(Duplicate.state) == "different", either)):
            found[pair[0]].add(pair[1])
            found[pair[1]].add(pair[0])
    return dict(found)


def flag(session: Session, titles: Sequence[Mapping[str, Any]], *, now: datetime) -> int:
    """Flag pairs among papers whose titles (paper_id, head_key, body_key) are new and all others; returns how many.

    Pairs that are flagged, or decided, already stay as they are.
    """
    pairs = {pair for name in ("head_key", "body_key") for pair in _meeting(session, titles, name)}
    if not pairs:
        return 0
    called = _read(session, pairs, "title")
    gists = {paper_id: gist(row.title) for paper_id, row in called.items()}
    close = sorted(
        (one, other)
        for one, other in pairs
        if one in gists and other in gists and may_be_near(gists[one], gists[other])
    )
    wrote = _read(session, close, "authors")
    rows = []
    for one, other in close:
        near = nearness(called[one].title, _names(wrote[one]), called[other].title, _names(wrote[other]))
        if near is not None:
            rows.append(
                {"paper_id": one, "other_id": other, "score": near.score, "reason": near.reason, "state": "open",
                 "found_at": now, "decided_at": None}
            )  # fmt: skip
    return len(insert_ignore(session, Duplicate, rows, ["paper_id", "other_id"], returning=["id"]))


def _meeting(session: Session, titles: Sequence[Mapping[str, Any]], name: str) -> Iterator[tuple[int, int]]:
    """Pairs of papers that share a key of that name, one of them among `titles`. A key that most titles have, as those
    that begin with "Large language models", is counted and not read."""
    new = {row["paper_id"] for row in titles}
    keys = {row[name] for row in titles} - {""}
    columns = table_of(Title).c
    key, paper_id = columns[name], columns.paper_id
    few = sa.func.count(paper_id.distinct()).between(2, MOST_ALIKE)
    telling = session.execute(sa.select(key).where(among(session, key, keys)).group_by(key).having(few)).scalars().all()
    alike: dict[str, set[int]] = defaultdict(set)
    for value, one in session.execute(sa.select(key, paper_id).where(among(session, key, telling))):
        alike[value].add(one)
    for ids in alike.values():
        yield from (pair for pair in combinations(sorted(ids), 2) if not new.isdisjoint(pair))


def _read(session: Session, pairs: Iterable[tuple[int, int]], name: str) -> dict[int, Any]:
    """A column of the papers of these pairs, by id."""
    wanted = {paper_id for pair in pairs for paper_id in pair}
    columns = table_of(Paper).c
    rows = session.execute(sa.select(columns.id, columns[name]).where(among(session, columns.id, wanted)))
    return {row.id: row for row in rows}


def _names(row: Any) -> list[str]:
    return [author["name"] for author in row.authors if author.get("name")]


def list_open(session: Session, *, limit: int = 100) -> list[Duplicate]:
    """Pairs that wait for a person, the most alike first."""
    return list(
        session.exec(
            select(Duplicate)
            .where(Duplicate.state == "open")
            .order_by(col(Duplicate.score).desc(), col(Duplicate.id))
            .limit(limit)
        )
    )


def page(
    session: Session, *, state: str, before: int | None = None, limit: int = 50
) -> list[tuple[Duplicate, Paper, Paper]]:
    """Pairs of a state with the two papers, newest first."""
    one, other = aliased(Paper), aliased(Paper)
    query = (
        select(Duplicate, one, other)
        .join(one, col(one.id) == col(Duplicate.paper_id))
        .join(other, col(other.id) == col(Duplicate.other_id))
        .where(Duplicate.state == state)
    )
    if before is not None:
        query = query.where(col(Duplicate.id) < before)
    return [(d, a, b) for d, a, b in session.exec(query.order_by(col(Duplicate.id).desc()).limit(limit))]


def keep_apart(session: Session, key: str, other: str, *, now: datetime) -> tuple[int, int]:
    """Record that two papers, by their keys, are different, for good; returns their rows. Raises `InvalidInput`,
    `NotFound`."""
    found = {row.key: row.id for row in session.exec(select(Paper).where(col(Paper.key).in_([key, other])))}
    missing = next((one for one in (key, other) if one not in found), None)
    if missing is not None:
        raise NotFound(f"no paper has the key {missing!r}")
    if key == other:
        raise InvalidInput(f"{key} is one paper, not two")
    one, two = sorted(i or 0 for i in found.values())
    row = {
        "paper_id": one, "other_id": two, "score": 0.0, "state": "different", "reason": "kept apart by a person",
        "found_at": now, "decided_at": now,
    }  # fmt: skip
    upsert(session, Duplicate, [row], ["paper_id", "other_id"], update=["state", "decided_at"])
    return one, two


def decide(session: Session, duplicate_id: int, state: str, *, now: datetime) -> None:
    """Record what a person says of a pair: `same`, `different`, or `open` again.

    `different` keeps the two apart for good, also when an entry names both. `same` is only recorded here:
    `folding.merge` makes them one. Raises `InvalidInput`, `NotFound`.
    """
    if state not in STATES:
        raise InvalidInput(f"no such state of a pair: {state!r}; there are {', '.join(STATES)}")
    done = session.execute(
        update(Duplicate)
        .where(col(Duplicate.id) == duplicate_id)
        .values(state=state, decided_at=None if state == "open" else now)
    )
    if not done.rowcount:  # type: ignore[attr-defined]
        raise NotFound(f"there is no pair {duplicate_id}")
