"""Queries: what a reader wants to see, in Lucene's syntax; filter, feed and alert are the same object.

    speculative decoding -survey            both words, without the third: a space means AND
    "speculative decoding" OR medusa        a phrase, or a word; AND, OR and NOT are written in capitals
    title:quant* author:"Kenji Itō"         fields, beginnings of words; accents and case do not matter
    cat:(cs.CL OR cs.LG) has:code           several values; things a paper may have
    stars:>=100 announced:[2026-11-01 TO *] ranges; days may also be months (2026-11) or years
    published:>now-7d date:[now-1m TO now]  days counted back from today: d, w, m, y

OR binds closer than a space, as in web search: `fast decoding OR sampling` is `fast AND (decoding OR
sampling)`. AND binds closer than OR. `+` changes nothing, since every word is required. Words match whole
(`transformer` is not `transformers`; write `transformer*`), hyphens do not matter (`pre-training` finds
`pretraining` and the other way round). Wildcards: `*` any characters, `?` one (at a word's end: at most one);
`word~` finds similar spellings, `"two words"~5` words near each other. Weights (`word^2`) are read and
ignored. There are no regular expressions: a `/` is a character like others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

from luqum.tree import (
    AndOperation,
    Boost,
    FieldGroup,
    Group,
    Item,
    Not,
    OrOperation,
    Plus,
    Prohibit,
    SearchField,
    UnknownOperation,
)

from services.domain.indexed import Indexed
from services.domain.papers import PaperFacts
from services.domain.query_fields import FIELDS, TermFactory, canonical_field
from services.domain.query_syntax import MAX_QUERY, Prepared, QueryError, parse_tree, prepare, query_error
from services.domain.query_terms import AnyTerm, Reason, Term

__all__ = ["FIELDS", "MAX_QUERY", "And", "Indexed", "Or", "Query", "QueryError", "Without", "parse_query"]


@dataclass(frozen=True, slots=True)
class And:
    """All parts must hold. Without parts: everything."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One part must hold."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Without:
    """The term must not hold. Only terms are negated: `-(a OR b)` is kept as `-a -b`."""

    term: Term


Node = And | Or | Without | Term


@dataclass(frozen=True, slots=True)
class Query:
    """A query ready to be tried. `root` is its tree, for those who translate it for a database."""

    text: str
    root: Node = field(default=And(()))

    def matches(self, paper: PaperFacts | Indexed) -> bool:
        """Whether the paper is wanted. Hand in an `Indexed` when several queries try the same paper."""
        return _holds(self.root, _indexed(paper))

    def explain(self, paper: PaperFacts | Indexed) -> tuple[str, ...]:
        """Why the paper is wanted, in plain words: `matches "speculative decoding" in the title`, `in cs.CL`.

        Empty when it is not wanted, and when the query asks for nothing but absence.
        """
        indexed = _indexed(paper)
        return _told(_reasons(self.root, indexed)) if _holds(self.root, indexed) else ()

    def excluded_by(self, paper: PaperFacts | Indexed) -> str | None:
        """What cut a paper that would be wanted but for an exclusion: `matches "survey" in the title`.

        `None` for a paper that is wanted, or that would not be wanted anyway.
        """
        indexed = _indexed(paper)
        if _holds(self.root, indexed) or not _would_hold(self.root, indexed):
            return None
        return " and ".join(_told(_blame(self.root, indexed)))


def _indexed(paper: PaperFacts | Indexed) -> Indexed:
    return paper if isinstance(paper, Indexed) else Indexed(paper)


def _holds(node: Node, paper: Indexed) -> bool:
    match node:
        case And(parts):
            return all(_holds(part, paper) for part in parts)
        case Or(parts):
            return any(_holds(part, paper) for part in parts)
        case Without(term):
            return not term.matches(paper)
    return node.matches(paper)


def _would_hold(node: Node, paper: Indexed) -> bool:
    """As `_holds`, all exclusions left out of account."""
    match node:
        case And(parts):
            return all(_would_hold(part, paper) for part in parts)
        case Or(parts):
            return any(_would_hold(part, paper) for part in parts)
        case Without():
            return True
    return node.matches(paper)


def _reasons(node: Node, paper: Indexed) -> Iterator[Reason]:
    match node:
        case And(parts):
            for part in parts:
                yield from _reasons(part, paper)
        case Or(parts):
            for part in parts:
                if _holds(part, paper):
                    yield from _reasons(part, paper)
        case Term():
            reason = node.first(paper)
            if reason:
                yield reason


def _blame(node: Node, paper: Indexed) -> Iterator[Reason]:
    match node:
        case And(parts) | Or(parts):
            for part in parts:
                if not _holds(part, paper) and _would_hold(part, paper):
                    yield from _blame(part, paper)
        case Without(term):
            reason = term.first(paper)
            if reason:
                yield reason


def _told(reasons: Iterable[Reason]) -> tuple[str, ...]:
    """Sentences, each once; words found at one place make one sentence, where the first of them was."""
    sentences: dict[str, list[str]] = {}
    for reason in reasons:
        said = sentences.setdefault(reason.place or reason.said, [])
        if reason.place and reason.said not in said:
            said.append(reason.said)
    return tuple(f"matches {_listed(said)} in the {key}" if said else key for key, said in sentences.items())


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


# --- from the text -------------------------------------------------------------------------------------


def parse_query(text: str, today: date) -> Query:
    """The query that `text` spells on the (UTC) day `today`, from which relative days are counted.

    Empty text wants every paper. Raises `QueryError`, showing the place.
    """
    if not text.strip() and len(text) <= MAX_QUERY:
        return Query(text)
    prepared = prepare(text)
    tree = parse_tree(prepared)
    root = _Compiler(prepared, today).compile(tree, None)
    if root is None:
        raise query_error(
            text,
            0,
            "there is no word in this query",
            "Write a word, or leave the query empty for all papers.",
        )
    return Query(text, root)


class _Compiler:
    def __init__(self, prepared: Prepared, today: date) -> None:
        self._prepared = prepared
        self._terms = TermFactory(prepared, today)

    def compile(self, item: Item, name: str | None, *, negated: bool = False) -> Node | None:
        """The node for luqum's `item` in the field `name`; `None` for mere punctuation (`&` in `R & D`)."""
        match item:
            case UnknownOperation() | AndOperation():
                return self._join(item.operands, name, negated, Or if negated else And)
            case OrOperation():
                return self._join(item.operands, name, negated, And if negated else Or)
            case Not() | Prohibit():
                return self.compile(item.a, name, negated=not negated)
            case Plus():
                return self.compile(item.a, name, negated=negated)
            case Group() | FieldGroup() | Boost():
                return self.compile(item.expr, name, negated=negated)
            case SearchField():
                return self._field(item, name, negated)
        term = self._terms.make(item, name)
        return Without(term) if term is not None and negated else term

    def _join(
        self,
        items: Iterable[Item],
        name: str | None,
        negated: bool,
        kind: Callable[[tuple[Node, ...]], And | Or],
    ) -> Node | None:
        parts: list[Node] = []
        for item in items:
            part = self.compile(item, name, negated=negated)
            if part is not None:
                parts.extend(part.parts if isinstance(part, And | Or) and type(part) is kind else [part])
        if not parts:
            return None
        once = tuple(dict.fromkeys(parts))
        return once[0] if len(once) == 1 else kind(once)

    def _field(self, item: SearchField, outer: str | None, negated: bool) -> Node | None:
        term: Node | None
        if outer == "key" or (outer is None and item.name == "*"):
            term = self._terms.key(f"{item.name}:{_plain(item.expr)}", item.pos) if outer == "key" else AnyTerm()
            return Without(term) if negated else term
        if outer is not None:
            raise self._prepared.error(
                item.pos,
                f"the field {item.name!r} cannot stand inside the field {outer!r}",
                "Write them side by side: title:word author:name.",
            )
        name = canonical_field(item.name, self._prepared, item.pos)
        node = self.compile(item.expr, name, negated=negated)
        if node is None:
            raise self._prepared.error(
                item.pos,
                f"there is nothing to look for after {item.name}:",
                "Write a word or a value after the colon.",
            )
        return node


def _plain(item: Item) -> str:
    return str(getattr(item, "unescaped_value", item)).strip('"')
