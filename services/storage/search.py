"""Search: a query answered by the database, with the answer it has in memory.

The query's tree becomes conditions: words are looked up in the search index, facts in their tables. What a
database cannot decide exactly as `Query.matches` does (similar spellings, inner wildcards, words in a row where
hyphens play in) becomes a condition that lets at least those papers through, and they are looked at again in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlmodel import Session, col

from services.domain.interests import words_for
from services.domain.papers import PaperFacts
from services.domain.queries import Query
from services.storage import archive, search_page
from services.storage.engine import is_sqlite
from services.storage.search_index import TABLE, words_table
from services.storage.search_tree import Compiler, ids_with
from services.storage.search_words import AnyOf, Match, Word, fts5, tsquery
from services.storage.tables import Paper, Sighting

_PAGE = 200
_LOOKED_UP, _TELLING = 40, 12
_LOOKED_THROUGH = 4_000
"""Papers read for a feed of a query that only memory can answer."""
_COMMON = 3_000
"""A word of so many papers leads to no particular one."""
_SAMPLE = 1_000
"""Newest papers in which words are counted to tell which are surely common."""
_FTS_WEIGHTS = "10.0, 2.0, 4.0, 2.0, 1.0, 1.0, 0.0, 0.0"
"""By column of the index (title first): a word in the title says more than one in the abstract."""


def find(
    session: Session, query: Query, *, now: datetime, since: date | None = None, feeds: Sequence[str] = ()
) -> list[int]:
    """Ids of the papers that match, newest first; the other conditions are those of `archive.ids`."""
    statement, exact = _statement(session, query, since, None, feeds)
    if exact:
        return [paper_id for (paper_id,) in session.execute(statement)]
    return [paper.id for paper in _checked(session, statement, query, now)]


def find_papers(
    session: Session,
    query: Query,
    *,
    now: datetime,
    since: date | None = None,
    until: date | None = None,
    feeds: Sequence[str] = (),
) -> Iterator[PaperFacts]:
    """The papers that match, newest first, a page at a time as they are asked for."""
    statement, _ = _statement(session, query, since, until, feeds)
    return _checked(session, statement, query, now)


def latest(
    session: Session, query: Query, *, now: datetime, limit: int, feed_id: int | None = None
) -> list[PaperFacts]:
    """The last `limit` papers that match, those listed on the latest day first, of one day the last to come first.

    With `feed_id` the day is that feed's own. Words are looked up as for a page of a search; without any, and in one
    feed, it is read along an index, and no further than there are enough.
    """
    if feed_id is None:
        compiler = Compiler(session)
        newest_first = (col(Paper.announced_on).desc(), col(Paper.id).desc())
        if compiler.needed(query.root) is None:
            condition, exact = compiler.condition(query.root)
            # A day that may be unknown would keep PostgreSQL off the index; every paper that came by a feed has one.
            statement = sa.select(col(Paper.id)).where(condition, col(Paper.announced_on).is_not(None))
            statement = statement.order_by(*newest_first).limit(limit if exact else _LOOKED_THROUGH)
        else:
            ids = search_page.candidates(session, query).ids
            statement = sa.select(col(Paper.id)).where(col(Paper.id).in_(ids)).order_by(*newest_first)
    else:
        statement = sa.select(col(Sighting.paper_id)).where(col(Sighting.feed_id) == feed_id)
        if query.root != Query("").root:
            condition, _ = Compiler(session).condition(query.root)
            statement = statement.join(Paper, col(Paper.id) == col(Sighting.paper_id)).where(condition)
        statement = statement.order_by(col(Sighting.day).desc(), col(Sighting.id).desc())
    found: dict[int, PaperFacts] = {}
    for paper in _checked(session, statement, query, now):
        found.setdefault(paper.id, paper)  # a feed may list a paper on several days
        if len(found) == limit:
            break
    return list(found.values())


def _checked(session: Session, statement: Any, query: Query, now: datetime) -> Iterator[PaperFacts]:
    size = 25  # small at first: most who ask want the first few
    with session.execute(statement.execution_options(yield_per=_PAGE)) as rows:
        while ids := [paper_id for (paper_id, *_) in rows.fetchmany(size)]:
            for paper in archive.load(session, ids, now=now):
                if query.matches(paper):
                    yield paper
            size = min(size * 4, _PAGE)


def _statement(
    session: Session, query: Query, since: date | None, until: date | None, feeds: Sequence[str]
) -> tuple[Any, bool]:
    condition, exact = Compiler(session).condition(query.root)
    statement = sa.select(col(Paper.id)).where(condition, *archive.listed(since, until, feeds))
    return statement.order_by(col(Paper.announced_on).desc(), col(Paper.id)), exact


def relevance(session: Session, query: Query, ids: Sequence[int]) -> dict[int, float]:
    """How much each of these papers has of the words asked for: more is better, none is 0."""
    compiler = Compiler(session)
    compiler.condition(query.root)
    if not compiler.wanted or not ids:
        return {}
    wanted = set(ids)
    score = _score(session, AnyOf(tuple(compiler.wanted)), first_id=min(wanted))
    return {paper_id: value for paper_id, value in session.execute(score) if paper_id in wanted}


def _score(session: Session, match: Match, *, first_id: int = 0) -> Any:
    """(id, score) of the papers (from `first_id` on) that have some of the words: more is better."""
    if is_sqlite(session):
        score: Any = sa.literal_column(f"-bm25({TABLE}, {_FTS_WEIGHTS})")
        return sa.select(words_table.c.rowid.label("id"), score.label("score")).where(
            words_table.c[TABLE].op("MATCH")(fts5(match)), words_table.c.rowid >= first_id
        )
    asked = sa.cast(tsquery(match), TSQUERY)
    score = sa.func.ts_rank(words_table.c.words, asked)
    return sa.select(words_table.c.paper_id.label("id"), score.label("score")).where(
        words_table.c.words.op("@@")(asked), words_table.c.paper_id >= first_id
    )


# -- more like this ----------------------------------------------------------------------------------------------


def more_like(session: Session, paper_id: int, *, limit: int = 10) -> list[int]:
    """Ids of the papers most like this one, by the words that are frequent in it and rare in the archive."""
    row = session.execute(sa.select(col(Paper.title), col(Paper.abstract)).where(col(Paper.id) == paper_id)).first()
    if row is None:
        return []
    counted = words_for(row.title, row.abstract)
    frequent = [word for word, _ in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:_LOOKED_UP]]
    known = frequencies(session, frequent, most=_COMMON)
    number = session.execute(sa.select(sa.func.max(col(Paper.id)))).scalar_one()  # about how many there are
    telling = {
        word: (1 + math.log(counted[word])) * math.log((1 + number) / known[word])
        for word in frequent
        # A word of its own leads to nobody, a word of many to anybody (and costs the most).
        if 1 < known[word] < _COMMON
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


def frequencies(session: Session, words: Sequence[str], *, most: int) -> dict[str, int]:
    """In how many papers' title or abstract each of the words stands, counted up to `most`."""
    counted = dict.fromkeys(_surely_common(session, words, most), most)
    for word in words:
        if word not in counted:
            found = ids_with(session, _told_by(word)).limit(most).subquery()
            counted[word] = int(session.execute(sa.select(sa.func.count()).select_from(found)).scalar_one())
    return counted


def _told_by(word: str) -> Word:
    return Word(("title", "abstract"), word)


def _surely_common(session: Session, words: Sequence[str], most: int) -> list[str]:
    """Words that stand in many times `most` papers, by the newest ones.

    PostgreSQL reads the rows it counts, SQLite the index alone: there every word can be counted.
    """
    if is_sqlite(session) or not words:
        return []
    newest = sa.select(words_table.c.words).order_by(words_table.c.paper_id.desc()).limit(_SAMPLE).subquery()
    counts = [
        sa.func.count().filter(newest.c.words.op("@@")(sa.cast(tsquery(_told_by(word)), TSQUERY))) for word in words
    ]
    number = session.execute(sa.select(sa.func.max(words_table.c.paper_id))).scalar() or 0
    if number <= _SAMPLE:
        return []
    seen = session.execute(sa.select(*counts)).one()
    return [word for word, times in zip(words, seen, strict=True) if times * number > 4 * most * _SAMPLE]
