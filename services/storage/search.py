"""Search: a query answered by the database, with the answer it has in memory.

The query's tree becomes conditions: words are looked up in the search index, facts in their tables. What a
database cannot decide exactly as `Query.matches` does (similar spellings, inner wildcards, words in a row where
hyphens play in) becomes a condition that lets at least those papers through, and they are looked at again in memory.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlmodel import Session, col

from services.domain.errors import InvalidInput
from services.domain.interests import words_for
from services.domain.papers import PaperFacts
from services.domain.queries import Query
from services.storage import archive
from services.storage.engine import is_sqlite
from services.storage.search_index import TABLE, words_table
from services.storage.search_tree import Compiler, has
from services.storage.search_words import AnyOf, Match, Word, fts5, tsquery
from services.storage.sql import chunks
from services.storage.tables import EditionItem, Feed, Paper, Sighting

ORDERS = ("newest", "oldest", "relevance")
_PAGE = 200
_LOOKED_UP, _TELLING = 40, 12
_FTS_WEIGHTS = "10.0, 2.0, 4.0, 2.0, 1.0, 1.0, 0.0, 0.0"
"""By column of the index (title first): a word in the title says more than one in the abstract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """How many of the found papers are of each category, feed and year, and how many have code."""

    total: int
    categories: dict[str, int]
    feeds: dict[str, int]
    years: dict[int, int]
    with_code: int


def find(
    session: Session,
    query: Query,
    *,
    now: datetime,
    since: date | None = None,
    until: date | None = None,
    feeds: Sequence[str] = (),
    first_seen_after: datetime | None = None,
    not_had_by: int | None = None,
    limit: int | None = None,
    order: str = "newest",
) -> list[int]:
    """Ids of the papers that match, in order (`ORDERS`); the other conditions are those of `archive.ids`."""
    statement, exact = _statement(session, query, since, until, feeds, first_seen_after, not_had_by, order)
    if exact:
        rows = session.execute(statement.limit(limit) if limit is not None else statement)
        return [paper_id for (paper_id, *_) in rows]
    return [paper.id for paper in islice(_checked(session, statement, query, now), limit)]


def find_papers(
    session: Session,
    query: Query,
    *,
    now: datetime,
    since: date | None = None,
    until: date | None = None,
    feeds: Sequence[str] = (),
    order: str = "newest",
) -> Iterator[PaperFacts]:
    """The papers that match, in order, a page at a time as they are asked for."""
    statement, _ = _statement(session, query, since, until, feeds, None, None, order)
    return _checked(session, statement, query, now)


def _checked(session: Session, statement: Any, query: Query, now: datetime) -> Iterator[PaperFacts]:
    ids = [paper_id for (paper_id, *_) in session.execute(statement)]
    size = 25  # small at first: most who ask want the first few
    start = 0
    while start < len(ids):
        for paper in archive.load(session, ids[start : start + size], now=now):
            if query.matches(paper):
                yield paper
        start, size = start + size, min(size * 4, _PAGE)


def count(session: Session, query: Query, *, now: datetime, since: date | None = None) -> int:
    """How many papers match."""
    statement, exact = _statement(session, query, since, None, (), None, None, "newest")
    if exact:
        return int(session.execute(sa.select(sa.func.count()).select_from(statement.subquery())).scalar_one())
    return sum(1 for _ in _checked(session, statement, query, now))


def _statement(
    session: Session,
    query: Query,
    since: date | None,
    until: date | None,
    feeds: Sequence[str],
    first_seen_after: datetime | None,
    not_had_by: int | None,
    order: str,
) -> tuple[Any, bool]:
    if order not in ORDERS:
        raise InvalidInput(f"there is no order {order[:40]!r}; use one of {', '.join(ORDERS)}")
    compiler = Compiler(session)
    condition, exact = compiler.condition(query.root)
    statement = sa.select(col(Paper.id)).where(condition, *archive.listed(since, until, feeds))
    if first_seen_after is not None:
        statement = statement.where(col(Paper.first_seen_at) > first_seen_after)
    if not_had_by is not None:
        statement = statement.where(
            ~sa.select(col(EditionItem.id))
            .where(col(EditionItem.subscription_id) == not_had_by, col(EditionItem.paper_id) == col(Paper.id))
            .exists()
        )
    newest = (col(Paper.announced_on).desc(), col(Paper.id))
    if order == "relevance" and compiler.wanted:
        score = _score(session, AnyOf(tuple(compiler.wanted))).subquery()
        statement = statement.join(score, score.c.id == col(Paper.id), isouter=True)
        return statement.order_by(sa.func.coalesce(score.c.score, 0).desc(), *newest), exact
    if order == "oldest":
        return statement.order_by(col(Paper.announced_on), col(Paper.id)), exact
    return statement.order_by(*newest), exact


def _score(session: Session, match: Match) -> Any:
    """(id, score) of the papers that have some of the words: more is better."""
    if is_sqlite(session):
        score: Any = sa.literal_column(f"-bm25({TABLE}, {_FTS_WEIGHTS})")
        return sa.select(words_table.c.rowid.label("id"), score.label("score")).where(
            words_table.c[TABLE].op("MATCH")(fts5(match))
        )
    asked = sa.cast(tsquery(match), TSQUERY)
    score = sa.func.ts_rank(words_table.c.words, asked)
    return sa.select(words_table.c.paper_id.label("id"), score.label("score")).where(
        words_table.c.words.op("@@")(asked)
    )


# -- counts by kind ----------------------------------------------------------------------------------------------


def facets(session: Session, query: Query, *, now: datetime, since: date | None = None) -> Facets:
    """What the papers that match are made of; the most frequent first."""
    ids = find(session, query, now=now, since=since)
    categories: Counter[str] = Counter()
    years: Counter[int] = Counter()
    feeds: Counter[str] = Counter()
    with_code = 0
    code = has("code")
    for part in chunks(ids):
        for names, published, announced, has_code in session.execute(
            sa.select(col(Paper.categories), col(Paper.published_at), col(Paper.announced_on), code).where(
                col(Paper.id).in_(part)
            )
        ):
            categories.update(dict.fromkeys(names, 1))
            day = published or announced
            if day is not None:
                years[day.year] += 1
            with_code += bool(has_code)
        for name, number in session.execute(
            sa.select(col(Feed.name), sa.func.count(sa.distinct(col(Sighting.paper_id))))
            .join(Sighting, col(Sighting.feed_id) == col(Feed.id))
            .where(col(Sighting.paper_id).in_(part))
            .group_by(col(Feed.name))
        ):
            feeds[name] += number
    return Facets(
        total=len(ids), categories=dict(categories.most_common()), feeds=dict(feeds.most_common()),
        years=dict(sorted(years.items(), reverse=True)), with_code=with_code,
    )  # fmt: skip


# -- more like this ----------------------------------------------------------------------------------------------


def more_like(session: Session, paper_id: int, *, limit: int = 10) -> list[int]:
    """Ids of the papers most like this one, by the words that are frequent in it and rare in the archive."""
    row = session.execute(sa.select(col(Paper.title), col(Paper.abstract)).where(col(Paper.id) == paper_id)).first()
    if row is None:
        return []
    counted = words_for(row.title, row.abstract)
    frequent = [word for word, _ in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:_LOOKED_UP]]
    known = frequencies(session, frequent)
    number = archive.count(session)
    telling = {
        word: (1 + math.log(counted[word])) * math.log((1 + number) / known[word])
        for word in frequent
        if known[word] > 1  # a word of its own leads to nobody
    }
    best = sorted(telling, key=lambda word: (-telling[word], word))[:_TELLING]
    return similar(session, best, but=paper_id, limit=limit)


def similar(session: Session, words: Sequence[str], *, but: int, limit: int = 10) -> list[int]:
    """Ids of the papers that share most of these words (folded, most telling first), best first, without `but`."""
    if not words:
        return []
    found = _score(session, AnyOf(tuple(Word(("title", "abstract"), word) for word in words))).subquery()
    rows = session.execute(
        sa.select(found.c.id)
        .join(Paper, col(Paper.id) == found.c.id)
        .where(found.c.id != but, col(Paper.withdrawn).is_(False))
        .order_by(found.c.score.desc(), found.c.id)
        .limit(limit)
    )
    return [paper_id for (paper_id,) in rows]


def frequencies(session: Session, words: Sequence[str]) -> dict[str, int]:
    """In how many papers' title or abstract each of the words stands (for telling rare ones from common)."""
    counted = {}
    for word in words:
        match = Word(("title", "abstract"), word)
        where = (
            words_table.c[TABLE].op("MATCH")(fts5(match))
            if is_sqlite(session)
            else words_table.c.words.op("@@")(sa.cast(tsquery(match), TSQUERY))
        )
        counted[word] = int(
            session.execute(sa.select(sa.func.count()).select_from(words_table).where(where)).scalar_one()
        )
    return counted
