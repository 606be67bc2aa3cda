"""Rules looked at one exclusion at a time: what a query would find without each of the things it shuts out."""

from __future__ import annotations

from collections.abc import Iterator

from services.domain.queries import And, Node, Or, Query, Without
from services.domain.query_terms import HasTerm, KeyTerm, TextTerm, ValueTerm, WithdrawnTerm


def exclusions(query: Query) -> tuple[Without, ...]:
    """What the query shuts out, each once, in the order it is written."""
    return tuple(dict.fromkeys(_exclusions(query.root)))


def _exclusions(node: Node) -> Iterator[Without]:
    if isinstance(node, And | Or):
        for part in node.parts:
            yield from _exclusions(part)
    elif isinstance(node, Without):
        yield node


def allowing(query: Query, *allowed: Without) -> Query:
    """The query with these exclusions taken out."""
    return Query(query.text, _allowing(query.root, frozenset(allowed)))


def _allowing(node: Node, allowed: frozenset[Without]) -> Node:
    if isinstance(node, And | Or):
        return type(node)(tuple(_allowing(part, allowed) for part in node.parts))
    return And(()) if isinstance(node, Without) and node in allowed else node


def written(exclusion: Without) -> str:
    """An exclusion as one would write it: `-"survey"`, `-category:cs.cv`."""
    term = exclusion.term
    match term:
        case TextTerm(places, shown):
            field = f"{places[0]}:" if len(places) == 1 else ""
            return f"-{field}{shown if shown.isalnum() else chr(34) + shown + chr(34)}"
        case ValueTerm(field, pattern):
            return f"-{field}:{pattern}"
        case KeyTerm(pattern):
            return f"-{pattern}"
        case HasTerm(thing):
            return f"-has:{thing}"
        case WithdrawnTerm(wanted):
            return f"-withdrawn:{str(wanted).lower()}"
    field = str(getattr(term, "field", "")) or "this"
    low, high = getattr(term, "low", None), getattr(term, "high", None)
    return f"-{field}:[{'*' if low is None else low} TO {'*' if high is None else high}]"
