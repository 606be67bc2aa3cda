"""A query's tree as conditions of the database: each finds at least what the query finds in memory.

`exact` says that a condition finds nothing else; only such a one may be negated.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlmodel import Session, col

from services.domain.indexed import GONE
from services.domain.links import COUNTED
from services.domain.queries import And, Node, Or, Without
from services.domain.query_terms import (
    AnyTerm,
    DateTerm,
    EitherTerm,
    HasTerm,
    KeyTerm,
    NumberTerm,
    Term,
    TextTerm,
    ValueTerm,
    WithdrawnTerm,
)
from services.domain.words import fold
from services.storage.engine import is_sqlite
from services.storage.search_index import CATEGORY, JOINED, MAX_VALUE, OVERFLOW, TABLE, value_word, words_table
from services.storage.search_words import AnyOf, Match, Word, all_of, any_of, fts5, has_overflow, text_match, tsquery
from services.storage.tables import Feed, Identifier, Link, Paper, Repo, Sighting

Clause = sa.ColumnElement[bool]
_ALL: Clause = sa.true()
_DAY = timedelta(days=1)
_TEXT_COLUMNS = {"title": "title", "abstract": "abstract", "comment": "comment", "journal": "journal_ref"}


@dataclass(frozen=True, slots=True)
class Part:
    """A condition: an expression of the index, or a clause on facts. Neither: every paper."""

    match: Match | None = None
    clause: Clause | None = None
    exact: bool = True
    needs: Match | None = None
    """With a clause: what every paper it lets through has in the index, beside what else it asks."""

    @property
    def is_all(self) -> bool:
        """Whether it lets every paper through."""
        return self.match is None and self.clause is None


class Compiler:
    """Compiles one query for one database. `wanted` are the words asked for, for ordering by relevance.

    With `first_id` nothing is looked up in the index of papers before it: for who wants no others.
    """

    def __init__(self, session: Session, *, first_id: int | None = None) -> None:
        self._session = session
        self._sqlite = is_sqlite(session)
        self._first_id = first_id
        self.wanted: list[Match] = []
        self._overflowing: bool | None = None

    def condition(self, root: Node) -> tuple[Clause, bool]:
        """The condition on `papers`, and whether it is exact."""
        part = self._part(root)
        return self._clause(part), part.exact

    def needed(self, root: Node) -> Match | None:
        """What all that match have in the index; `None` where nothing can be said."""
        part = self._part(root)
        return part.needs if part.clause is not None else part.match

    # -- the tree ------------------------------------------------------------------------------------------------

    def _part(self, node: Node) -> Part:
        match node:
            case And(parts):
                return self._all([self._part(part) for part in parts])
            case Or(parts):
                return self._any([self._part(part) for part in parts])
            case Without(term):
                inner = self._term(term)
                return Part(clause=sa.not_(self._clause(inner))) if inner.exact else Part(exact=False)
        part = self._term(node)
        if part.match is not None:
            self.wanted.append(part.match)
        return part

    def _all(self, parts: list[Part]) -> Part:
        exact = all(part.exact for part in parts)
        match = all_of(part.match for part in parts)
        clauses = [part.clause for part in parts if part.clause is not None]
        if not clauses:
            return Part(match=match, exact=exact)
        needs = all_of([match, *(part.needs for part in parts)])
        if match is not None:
            clauses.insert(0, self._found(match))
        return Part(clause=sa.and_(*clauses), exact=exact, needs=needs)

    def _any(self, parts: list[Part]) -> Part:
        exact = all(part.exact for part in parts)
        if any(part.is_all for part in parts):
            return Part(exact=exact)
        match = any_of(part.match for part in parts if part.match is not None)
        clauses = [part.clause for part in parts if part.clause is not None]
        if not clauses:
            return Part(match=match, exact=exact)
        if match is not None:
            clauses.append(self._found(match))
        return Part(clause=sa.or_(*clauses), exact=exact)

    def _clause(self, part: Part) -> Clause:
        if part.clause is not None:
            return part.clause
        return self._found(part.match) if part.match is not None else _ALL

    def _found(self, match: Match) -> Clause:
        return col(Paper.id).in_(ids_with(self._session, match, first_id=self._first_id))

    # -- terms ---------------------------------------------------------------------------------------------------

    def _term(self, term: Term) -> Part:
        match term:
            case TextTerm():
                return self._text(term)
            case ValueTerm():
                return self._value(term)
            case KeyTerm(pattern):
                return self._key(pattern)
            case NumberTerm():
                return _number(term)
            case DateTerm():
                return Part(clause=_dates(term))
            case HasTerm(thing):
                return Part(clause=has(thing))
            case WithdrawnTerm(wanted):
                return Part(clause=col(Paper.withdrawn).is_(wanted))
            case EitherTerm(readings):
                return self._any([self._term(reading) for reading in readings])
            case AnyTerm():
                return Part()
        return Part(exact=False)  # a kind of term not known here: memory decides

    def _text(self, term: TextTerm) -> Part:
        if not term.units:
            if not all(place in _TEXT_COLUMNS for place in term.places):
                return Part(exact=False)
            columns = [getattr(Paper, _TEXT_COLUMNS[place]) for place in term.places]
            return Part(clause=sa.or_(*(sa.func.coalesce(column, "") != "" for column in columns)))
        match, exact = text_match(term)
        return self._indexed(match, exact)

    def _indexed(self, match: Match | None, exact: bool) -> Part:
        if match is None:
            return Part(exact=False)
        if self._overflows():
            return Part(match=has_overflow(match), exact=False)
        return Part(match=match, exact=exact)

    def _overflows(self) -> bool:
        if self._overflowing is None:
            some = sa.select(sa.func.count()).select_from(Paper).where(self._found(Word((JOINED,), OVERFLOW)))
            self._overflowing = bool(self._session.execute(some).scalar())
        return self._overflowing

    def _value(self, term: ValueTerm) -> Part:
        wild = "*" in term.pattern or "?" in term.pattern
        match term.field:
            case "category":
                return self._category(term.pattern, wild)
            case "feed":
                named = self._session.execute(sa.select(col(Feed.id), col(Feed.name)))
                ids = [feed_id for feed_id, name in named if _fits(term, name)]
                seen = sa.select(col(Sighting.id)).where(
                    col(Sighting.paper_id) == col(Paper.id), col(Sighting.feed_id).in_(ids)
                )
                return Part(clause=_there_is(seen) if ids else sa.false())
            case "language":
                return Part(clause=_repo_exists(col(Repo.language).in_(self._fitting(term, Repo.language)), alive=True))
            case "license":
                own = col(Paper.license).in_(self._fitting(term, Paper.license))
                theirs = _repo_exists(col(Repo.license).in_(self._fitting(term, Repo.license)), alive=True)
                return Part(clause=sa.or_(sa.and_(col(Paper.license).is_not(None), own), theirs))
            case "topic":
                return Part(clause=_repo_exists(alive=True), exact=False)
        return self._repo(term.pattern, wild)

    def _fitting(self, term: ValueTerm, column: Any) -> list[str]:
        return [
            value for (value,) in self._session.execute(sa.select(column).distinct()) if value and _fits(term, value)
        ]

    def _category(self, pattern: str, wild: bool) -> Part:
        if wild:
            start = pattern.partition("*")[0].partition("?")[0]
            if not start:
                return Part(exact=False)
            exact = pattern == f"{start}*" and len(start) < MAX_VALUE
            return self._indexed(Word((CATEGORY,), value_word(start), prefix=True), exact)
        match: Match = Word((CATEGORY,), value_word(pattern))
        if "." not in pattern:
            match = AnyOf((match, Word((CATEGORY,), value_word(f"{pattern}."), prefix=True)))
        return self._indexed(match, len(pattern) < MAX_VALUE - 1)

    def _repo(self, pattern: str, wild: bool) -> Part:
        def named(slug: Any) -> Clause:
            low = self._lower(slug)
            if wild:
                start = pattern.partition("*")[0].partition("?")[0] if "/" in pattern else ""
                return sa.or_(low.startswith(start, autoescape=True), self._beyond_ascii(slug))
            same = low == pattern
            if "/" not in pattern:
                same = sa.or_(same, (sa.literal("/") + low + "/").contains(f"/{pattern}/", autoescape=True))
            return sa.or_(same, self._beyond_ascii(slug))

        linked = sa.select(col(Link.id)).where(
            col(Link.paper_id) == col(Paper.id), col(Link.kind) == "code", col(Link.evidence).in_(COUNTED),
            named(col(Link.slug)),
        )  # fmt: skip
        return Part(clause=sa.or_(_repo_exists(named(col(Repo.slug))), _there_is(linked)), exact=False)

    def _key(self, pattern: str) -> Part:
        name = col(Identifier.scheme) + ":" + col(Identifier.value)
        own = sa.select(col(Identifier.id)).where(col(Identifier.paper_id) == col(Paper.id))
        if "*" not in pattern:
            scheme, _, value = pattern.partition(":")
            named = own.where(col(Identifier.scheme) == scheme, col(Identifier.value) == value)
            return Part(clause=sa.or_(col(Paper.key) == pattern, named.exists()))
        start = pattern.lower().partition("*")[0].partition("?")[0]

        def begins(of: Any) -> Clause:
            return sa.or_(self._lower(of).startswith(start, autoescape=True), self._beyond_ascii(of))

        return Part(clause=sa.or_(begins(col(Paper.key)), own.where(begins(name)).exists()), exact=False)

    # -- where the two databases differ --------------------------------------------------------------------------

    def _lower(self, text: Any) -> Any:
        """Lower case of ASCII letters, whatever the database's own language."""
        return sa.func.lower(text if self._sqlite else sa.collate(text, "C"), type_=sa.Text())

    def _beyond_ascii(self, text: Any) -> Clause:
        """Whether there is a character whose case the database may see otherwise than we do."""
        if self._sqlite:
            return sa.func.length(sa.cast(text, sa.LargeBinary)) != sa.func.length(text)
        return sa.func.octet_length(text) != sa.func.char_length(text)


def ids_with(session: Session, match: Match, *, first_id: int | None = None) -> Any:
    """The ids of the papers (from `first_id` on) that have this in the index, as a statement."""
    if is_sqlite(session):
        key, found = words_table.c.rowid, words_table.c[TABLE].op("MATCH")(fts5(match))
    else:
        key, found = words_table.c.paper_id, words_table.c.words.op("@@")(sa.cast(tsquery(match), TSQUERY))
    ids = sa.select(key).where(found)
    return ids if first_id is None else ids.where(key >= first_id)


def _fits(term: ValueTerm, value: str) -> bool:
    return term.fits(fold(value))


# -- facts -------------------------------------------------------------------------------------------------------


def _between(value: Any, low: Any, high: Any) -> Clause:
    """Known, and within the bounds that are given."""
    bounds = [value.is_not(None)]
    if low is not None:
        bounds.append(value >= low)
    if high is not None:
        bounds.append(value <= high)
    return sa.and_(*bounds)


_BIGGEST = 2**31 - 1


def _number(term: NumberTerm) -> Part:
    value: Any
    match term.field:
        case "upvotes":
            value = col(Paper.upvotes)
        case "comments":
            value = col(Paper.comments_count)
        case "citations":
            value = col(Paper.citations)
        case "stars":
            value = (
                sa.select(sa.func.max(col(Repo.stars)))
                .join(Link, col(Link.repo_id) == col(Repo.id))
                .where(col(Link.paper_id) == col(Paper.id), col(Repo.kind) == "code")
                .scalar_subquery()
            )
        case _:
            named = sa.func.json_array_length(col(Paper.authors), type_=sa.Integer())
            value = sa.func.coalesce(col(Paper.authors_count), sa.func.nullif(named, 0), type_=sa.Integer())
    if (term.low or 0) > _BIGGEST or (term.high is not None and term.high < -_BIGGEST):
        return Part(clause=sa.false())  # beyond every count there is
    low = max(term.low, -_BIGGEST) if term.low is not None else None
    high = min(term.high, _BIGGEST) if term.high is not None else None
    return Part(clause=_between(value, low, high))


def _dates(term: DateTerm) -> Clause:
    announced, published = col(Paper.announced_on), col(Paper.published_at)
    match term.field:
        case "announced":
            return _between(announced, term.low, term.high)
        case "published":
            return _moments(published, term)
        case "updated":
            return _moments(col(Paper.updated_at), term)
        case "seen":
            return _moments(col(Paper.first_seen_at), term)
    return sa.or_(
        _between(announced, term.low, term.high),
        sa.and_(announced.is_(None), _moments(published, term)),
        sa.and_(announced.is_(None), published.is_(None), _moments(col(Paper.first_seen_at), term)),
    )


def _moments(value: Any, term: DateTerm) -> Clause:
    bounds = [value.is_not(None)]
    if term.low is not None:
        bounds.append(value >= _midnight(term.low))
    if term.high is not None:
        bounds.append(value < _midnight(term.high + _DAY))
    return sa.and_(*bounds)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _repo_exists(*where: Clause, alive: bool = False) -> Clause:
    query = (
        sa.select(col(Link.id))
        .join(Repo, col(Repo.id) == col(Link.repo_id))
        .where(col(Link.paper_id) == col(Paper.id), col(Repo.kind) == "code")
    )
    if alive:
        query = query.where(col(Repo.state).not_in(GONE))
    return _there_is(query.where(*where))


def _there_is(query: Any) -> Clause:
    """Whether the query finds something for a paper. Without an offset PostgreSQL may find all papers for which it does
    first, to keep them in a list, though a page asks of few."""
    return query.offset(0).exists()  # type: ignore[no-any-return]


def has(thing: str) -> Clause:
    """Whether a paper has code, a model, … (`query_terms.THINGS`): what `has:` asks, and every count of it."""
    mine = sa.select(col(Link.id)).where(col(Link.paper_id) == col(Paper.id))
    match thing:
        case "code":
            other, gone = sa.alias(Link.__table__), sa.alias(Repo.__table__)  # type: ignore[attr-defined]
            lost = (
                sa.select(other.c.id)
                .join(gone, gone.c.id == other.c.repo_id)
                .where(
                    other.c.paper_id == col(Link.paper_id), gone.c.kind == "code", gone.c.state.in_(GONE),
                    sa.func.lower(gone.c.slug) == sa.func.lower(sa.func.coalesce(col(Link.slug), "")),
                )
            )  # fmt: skip
            named = mine.where(col(Link.kind) == "code", col(Link.evidence).in_(COUNTED), ~lost.exists())
            return sa.or_(_repo_exists(alive=True), _there_is(named))
        case "stars":
            return _repo_exists(col(Repo.stars).is_not(None))
        case "abstract":
            return sa.func.coalesce(col(Paper.abstract), "") != ""
    return _there_is(mine.where(col(Link.kind) == thing, col(Link.evidence).in_(COUNTED)))
