"""arXiv's search grammar, for a few dozen papers: text to a predicate.

Prefixes `ti au abs co jr cat rn id all`; `AND`, `OR`, `ANDNOT`; parentheses; phrases in double quotes;
`submittedDate:[YYYYMMDDHHMM TO YYYYMMDDHHMM]` and `lastUpdatedDate:[…]` in UTC; `*` at the end of a word.
`OR` binds weaker than the other two; words side by side must both occur.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from workers.demo.content import DemoPaper

Predicate = Callable[[DemoPaper], bool]

_TOKEN = re.compile(r'\s*([()]|(?:[A-Za-z]+:)?(?:"[^"]*"|\[[^\]]*\]|[^\s()"\[\]]+))')
_RANGE = re.compile(r"\[\s*(\d{8}(?:\d{4})?(?:\d{2})?|\*)\s+TO\s+(\d{8}(?:\d{4})?(?:\d{2})?|\*)\s*\]")
_EVER = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
_TEXTS: dict[str, Callable[[DemoPaper], str]] = {
    "ti": lambda paper: paper.title,
    "au": lambda paper: " ; ".join(paper.authors),
    "abs": lambda paper: paper.abstract,
    "co": lambda paper: paper.comment or "",
    "jr": lambda paper: paper.journal_ref or "",
    "rn": lambda _: "",
}
_DATES: dict[str, Callable[[DemoPaper], datetime]] = {
    "submittedDate": lambda paper: paper.published_at,
    "lastUpdatedDate": lambda paper: paper.updated_at,
}


class QueryError(ValueError):
    """The query does not follow the grammar; the text says where."""


def parse_query(text: str) -> Predicate:
    """A predicate for a search query; `QueryError` when it does not follow the grammar."""
    tokens, position = [], 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise QueryError(f"cannot read the query at: {text[position : position + 40]}")
        tokens.append(match[1])
        position = match.end()
    parser = _Parser(tokens)
    predicate = parser.either()
    if parser.peek() is not None:
        raise QueryError(f"unexpected: {parser.peek()}")
    return predicate


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._next = 0

    def peek(self) -> str | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def take(self) -> str | None:
        token = self.peek()
        self._next += 1
        return token

    def either(self) -> Predicate:
        options = [self.both()]
        while self.peek() == "OR":
            self.take()
            options.append(self.both())
        return lambda paper: any(option(paper) for option in options)

    def both(self) -> Predicate:
        wanted, unwanted = [self.one()], []
        while self.peek() not in (None, ")", "OR"):
            if self.peek() == "ANDNOT":
                self.take()
                unwanted.append(self.one())
                continue
            if self.peek() == "AND":
                self.take()
            wanted.append(self.one())
        return lambda paper: all(p(paper) for p in wanted) and not any(p(paper) for p in unwanted)

    def one(self) -> Predicate:
        piece = self.take()
        if piece == "(":
            inner = self.either()
            if self.take() != ")":
                raise QueryError("a parenthesis is not closed")
            return inner
        if piece is None or piece in (")", "AND", "OR", "ANDNOT"):
            raise QueryError(f"a term is missing before {piece or 'the end'}")
        return _term(piece)


def _term(token: str) -> Predicate:
    prefix, colon, value = token.partition(":")
    if not colon:
        prefix, value = "all", token
    if prefix in _DATES:
        return _date_range(_DATES[prefix], value)
    if value.startswith("[") or not value:
        raise QueryError(f"cannot read the term: {token}")
    if prefix == "cat":
        return _category(value)
    if prefix == "id":
        return lambda paper: paper.arxiv_id == value.partition("v")[0]
    if prefix == "all":
        return _words(lambda paper: " ; ".join(get(paper) for get in _TEXTS.values()), value)
    if prefix not in _TEXTS:
        raise QueryError(f"unknown field: {prefix}")
    return _words(_TEXTS[prefix], value)


def _category(value: str) -> Predicate:
    wanted = value.strip('"').lower()
    if wanted.endswith("*"):
        return lambda paper: any(category.lower().startswith(wanted[:-1]) for category in paper.categories)
    return lambda paper: any(category.lower() == wanted for category in paper.categories)


def _words(get: Callable[[DemoPaper], str], value: str) -> Predicate:
    open_end = value.rstrip('"').endswith("*")
    phrase = f" {_normal(value)}" + ("" if open_end else " ")
    return lambda paper: phrase in f" {_normal(get(paper))} "


def _normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _date_range(get: Callable[[DemoPaper], datetime], value: str) -> Predicate:
    match = _RANGE.fullmatch(value)
    if match is None:
        raise QueryError(f"cannot read the range: {value}")
    since, until = _moment(match[1], _EVER[0]), _moment(match[2], _EVER[1])
    return lambda paper: since <= get(paper) <= until


def _moment(digits: str, default: datetime) -> datetime:
    if digits == "*":
        return default
    form = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}[len(digits)]
    try:
        return datetime.strptime(digits, form).replace(tzinfo=UTC)
    except ValueError:
        raise QueryError(f"no such moment: {digits}") from None
