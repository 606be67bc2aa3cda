"""Word searches: what a query asks of texts, as an expression of the search index.

An expression finds at least the papers that the query finds in memory; `exact` says that it finds no others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from services.domain.query_terms import TextTerm
from services.domain.words import Glob, Unit, WordTest, is_letter
from services.storage.search_index import JOINED, LOOSE, OVERFLOW, TAGS, quoted

_MOST_READINGS = 8


@dataclass(frozen=True, slots=True)
class Word:
    """A word (or its beginning) at one of the places."""

    places: tuple[str, ...]
    word: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Words one right after the other at one of the places."""

    places: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part."""

    parts: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some part."""

    parts: tuple[Match, ...]


Match = Word | Row | AllOf | AnyOf


def all_of(parts: Iterable[Match | None]) -> Match | None:
    """Every part; `None` is what holds for all papers."""
    kept = tuple(dict.fromkeys(part for part in parts if part is not None))
    return AllOf(kept) if len(kept) > 1 else kept[0] if kept else None


def any_of(parts: Iterable[Match | None]) -> Match | None:
    """Some part; where one holds for all papers, all."""
    kept = tuple(dict.fromkeys(parts))
    if any(part is None for part in kept):
        return None
    return AnyOf(tuple(p for p in kept if p)) if len(kept) > 1 else kept[0] if kept else None


def has_overflow(match: Match) -> Match:
    """`match`, or any paper whose words are too many to be indexed."""
    return AnyOf((match, Word((JOINED,), OVERFLOW)))


def text_match(term: TextTerm) -> tuple[Match | None, bool]:
    """The expression for a text term with words, and whether it is exact."""
    one_word = len(term.units) == 1 and all(len(way) == 1 for way in term.units[0])
    plain = tuple(place for place in term.places if place != "author")
    parts: list[Match | None] = []
    exact = one_word
    if plain:
        loose = _loose(plain, term.units)
        exact = exact and loose[1]
        parts.append(loose[0] if one_word or term.slop else _tight(plain, term.units, loose[0]))
    if "author" in term.places:
        named = _loose(("author",), term.units, name=True)
        exact = exact and named[1]
        parts.append(named[0])
    return any_of(parts), exact


def _loose(places: tuple[str, ...], units: Sequence[Unit], *, name: bool = False) -> tuple[Match | None, bool]:
    """All words, wherever they stand. Of a `name` of several words some may stand as their initials, and of three a
    middle initial need not stand at all (`has_name`)."""
    exact = True
    if name and len(units) > 2:
        units = [unit for unit in units if not is_letter(unit)] or units
    found: list[Match | None] = []
    for unit in units:
        ways: list[Match | None] = []
        for way in unit:
            words = [_word(places, word, letter=name and len(way) == 1) for word in way]
            if name and len(units) > 1:
                words = [(_or_its_initial(places, word, one), False) for word, (one, _) in zip(way, words, strict=True)]
            exact = exact and all(sure for _, sure in words)
            ways.append(all_of(match for match, _ in words))
        found.append(any_of(ways))
    return all_of(found), exact


def _or_its_initial(places: tuple[str, ...], word: WordTest, match: Match | None) -> Match | None:
    return any_of((match, Word(places, word[0]))) if isinstance(word, str) and len(word) > 1 else match


def _word(places: tuple[str, ...], word: WordTest, *, letter: bool) -> tuple[Match | None, bool]:
    if isinstance(word, str):
        return Word(places, word, prefix=letter and len(word) == 1), True
    if isinstance(word, Glob):
        start = word.pattern.partition("*")[0].partition("?")[0]
        return (Word(places, start, prefix=True) if start else None), word.pattern == f"{start}*" and bool(start)
    return None, False


def _tight(places: tuple[str, ...], units: Sequence[Unit], loose: Match | None) -> Match | None:
    """Words in a row. A word that stands for several in the text has no place of its own: then all words must do."""
    plain = all(isinstance(word, str) for unit in units for way in unit for word in way)
    if loose is None or not plain or math.prod(len(unit) for unit in units) > _MOST_READINGS:
        return loose
    readings: list[Match] = []
    words: set[str] = set()
    for ways in product(*units):
        row = tuple(str(word) for way in ways for word in way)
        words.update(row)
        readings.append(Row(places, row) if len(row) > 1 else Word(places, row[0]))
    unplaced = any_of([*(Word((JOINED,), word) for word in sorted(words)), Word((JOINED,), LOOSE)])
    return any_of([*readings, all_of([loose, unplaced])])


# -- as each database writes it ----------------------------------------------------------------------------------


def fts5(match: Match) -> str:
    """As SQLite's FTS5 reads it."""
    match match:
        case Word(places, word, prefix):
            return f'{{{" ".join(places)}}} : "{word}"' + (" *" if prefix else "")
        case Row(places, words):
            return f'{{{" ".join(places)}}} : "{" ".join(words)}"'
        case AllOf(parts):
            return "(" + " AND ".join(map(fts5, parts)) + ")"
    return "(" + " OR ".join(map(fts5, match.parts)) + ")"


def tsquery(match: Match) -> str:
    """As PostgreSQL's `tsquery` reads it."""
    match match:
        case Word(places, word, prefix):
            end = ":*" if prefix else ""
            return "(" + " | ".join(f"{quoted(f'{TAGS[place]}/{word}')}{end}" for place in places) + ")"
        case Row(places, words):
            rows = (" <-> ".join(quoted(f"{TAGS[place]}/{word}") for word in words) for place in places)
            return "(" + " | ".join(f"({row})" for row in rows) + ")"
        case AllOf(parts):
            return "(" + " & ".join(map(tsquery, parts)) + ")"
    return "(" + " | ".join(map(tsquery, match.parts)) + ")"
