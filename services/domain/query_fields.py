"""Fields: what can stand before a colon in a query, and how the value after it becomes a term."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from luqum.tree import From, Fuzzy, Item, Phrase, Proximity, To, Word

from services.domain.errors import InvalidInput
from services.domain.identifiers import SCHEMES, parse_arxiv, parse_key
from services.domain.indexed import VALUE_FIELDS, spaced
from services.domain.query_ranges import date_term, number_term
from services.domain.query_syntax import Prepared, QueryError, unescaped
from services.domain.query_terms import (
    DATE_FIELDS,
    NUMBER_FIELDS,
    TEXT_PLACES,
    THINGS,
    AnyTerm,
    EitherTerm,
    HasTerm,
    KeyTerm,
    Term,
    TextTerm,
    ValueTerm,
    WithdrawnTerm,
)
from services.domain.text import clean
from services.domain.words import Unit, fold, glob_units, near_units, units_of

FIELDS: Mapping[str, str] = {
    "text": "title, abstract, authors and organization: what is searched when no field is named",
    "title": "words of the title",
    "abstract": "words of the abstract",
    "author": "one author: words of the name in any order, single letters are initials",
    "organization": "words of the organization, or of an author's affiliation",
    "comment": "words of the authors' comment",
    "venue": "words of the journal reference or the comment",
    "category": "cs.CL, cs.*, or an archive: cs",
    "feed": "name of a feed that listed it",
    "key": "an identifier: 2601.01234, arxiv:2601.01234, doi:10.…, a URL; arxiv:2601.* for several",
    "repo": "its code repository: owner/name, owner, or name",
    "language": "main language of the code: Python",
    "license": "licence of the code: mit, Apache-2.0",
    "topic": "topic of the repository",
    "has": ", ".join(THINGS),
    "upvotes": "upvotes on Hugging Face: upvotes:>=10, upvotes:[10 TO 50]",
    "comments": "number of comments on Hugging Face",
    "citations": "works known to cite it: citations:>=10",
    "stars": "stars of its repository",
    "authors_count": "number of authors",
    "date": "day announced, else published, else first seen: 2026-11-24, 2026-11, >=now-7d, [2026 TO *]",
    "announced": "day a feed listed it",
    "published": "day its first version was published",
    "updated": "day its present version was submitted",
    "seen": "day we first saw it",
    "withdrawn": "true or false",
}
"""Every field, and what it takes. `arxiv:`, `doi:` and the other schemes are short for `key:`."""

_ALIASES = {
    "authors": "author",
    "org": "organization",
    "organisation": "organization",
    "affiliation": "organization",
    "journal": "venue",
    "cat": "category",
    "categories": "category",
    "feeds": "feed",
    "id": "key",
    "code": "repo",
    "slug": "repo",
    "lang": "language",
    "licence": "license",
    "topics": "topic",
    "comments_count": "comments",
    "ti": "title",
    "abs": "abstract",
    "au": "author",
    "by": "author",
}
_MAX_COSTLY = 20
_MAX_PHRASE = 50
_COMPARISON = re.compile(r"([a-z_]+)(>=|<=|>|<|=)(.+)")


def canonical_field(name: str, prepared: Prepared, at: int) -> str:
    """The field `name` stands for. Raises `QueryError`, with the known fields, for one there is not."""
    folded = name.lower()
    folded = _ALIASES.get(folded, folded)
    if folded in FIELDS or folded in SCHEMES:
        return folded
    near = difflib.get_close_matches(folded[:40], [*FIELDS, *_ALIASES], n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    raise prepared.error(
        at,
        f"there is no field {clean(name, limit=60)!r}",
        f"{meant}Fields: {', '.join(FIELDS)}. To search for the text itself, put it in quotes.",
    )


class TermFactory:
    """Makes the terms of one query as it is read on the day `today`, and keeps count of the costly ones."""

    def __init__(self, prepared: Prepared, today: date) -> None:
        self._prepared = prepared
        self._today = today
        self._costly = 0

    def make(self, item: Item, name: str | None) -> Term | None:
        """The term for one word, phrase or range in the field `name`. `None` when there is no word in it."""
        if name is None and isinstance(item, Word):
            special = self._special(item)
            if special:
                return special
        field = name or "text"
        if field in TEXT_PLACES:
            return self._text(item, field)
        if field in NUMBER_FIELDS:
            return number_term(self._prepared, item, field)
        if field in DATE_FIELDS:
            return date_term(self._prepared, item, field, self._today)
        value = self._value(item, field)
        if field in VALUE_FIELDS:
            return ValueTerm(field, spaced(value) if field == "topic" else fold(value)) if value else None
        match field:
            case "has":
                return self._has(value, item.pos)
            case "withdrawn":
                return self._withdrawn(value, item.pos)
            case "key":
                return self.key(value, item.pos)
        return self.key(f"{field}:{value}", item.pos)

    def key(self, value: str, at: int) -> Term:
        """The term for one identifier in any spelling. Raises `QueryError` for what is none."""
        if "*" in value:
            return KeyTerm(value if ":" in value else f"arxiv:{value}")
        try:
            return KeyTerm(str(parse_key(value)))
        except InvalidInput:
            raise self._prepared.error(
                at,
                f"{clean(value, limit=60)!r} names no paper",
                "Write arxiv:2601.01234, doi:10.1000/xyz, or a paper's URL.",
            ) from None

    def _special(self, item: Word) -> Term | None:
        """A bare word that is more than a word: `*`, an arXiv id or URL, `stars>10`."""
        text, wild = unescaped(item.value)
        if text == "*" and wild:
            return AnyTerm()
        compared = _COMPARISON.fullmatch(text)
        if compared:
            field = _ALIASES.get(compared[1], compared[1])
            bound = Word(compared[3], pos=item.pos)
            side = (
                bound
                if compared[2] == "="
                else (From if ">" in compared[2] else To)(bound, "=" in compared[2], pos=item.pos)
            )
            if field in NUMBER_FIELDS:
                return number_term(self._prepared, side, field)
            if field in DATE_FIELDS:
                return date_term(self._prepared, side, field, self._today)
        named = parse_arxiv(text)
        if named is None:
            return None
        words = self._text(item, "text")
        key = KeyTerm(f"arxiv:{named.base}")
        return EitherTerm((key, words)) if words else key

    # --- words

    def _text(self, item: Item, field: str) -> Term | None:
        slop = 0
        if isinstance(item, Proximity):
            item, slop = item.term, min(int(item.degree), 100)
        if isinstance(item, Fuzzy):
            text, _ = unescaped(item.term.value)
            units = near_units(text, _edits(item.degree, len(text)))
            self._count_costly(item)
        elif isinstance(item, Phrase):
            text, _ = unescaped(item.value[1:-1])
            units = units_of(text)
        elif isinstance(item, Word):
            text, wild = unescaped(item.value)
            if text == "*" and wild:
                return TextTerm(TEXT_PLACES[field], "*", ())
            units = glob_units(text) if wild else units_of(text)
            if wild:
                self._count_costly(item)
        else:
            raise self._no_range(item, field)
        return self._words(item, field, text, units, slop)

    def _words(self, item: Item, field: str, text: str, units: tuple[Unit, ...], slop: int) -> Term | None:
        if sum(len(unit[0]) for unit in units) > _MAX_PHRASE:
            raise self._prepared.error(
                item.pos,
                f"this phrase has more than {_MAX_PHRASE} words",
                "A few words in a row are enough to find a text.",
            )
        return TextTerm(TEXT_PLACES[field], clean(text, limit=120), units, slop) if units else None

    def _count_costly(self, item: Item) -> None:
        self._costly += 1
        if self._costly > _MAX_COSTLY:
            raise self._prepared.error(
                item.pos,
                f"more than {_MAX_COSTLY} words with ~, ? or *",
                "Use fewer of them, or split the query in two.",
            )

    def _no_range(self, item: Item, field: str) -> QueryError:
        fields = ", ".join((*NUMBER_FIELDS, *DATE_FIELDS))
        return self._prepared.error(
            item.pos,
            f"{field} has no order, so it takes no range"
            if field != "text"
            else "a comparison needs a field to compare",
            f"Ranges work on {fields}: stars:>10, date:[2026-11-01 TO *].",
        )

    # --- values

    def _value(self, item: Item, field: str) -> str:
        if isinstance(item, Phrase):
            return unescaped(item.value[1:-1])[0].strip()
        if isinstance(item, Word):
            return unescaped(item.value)[0]
        if isinstance(item, Fuzzy | Proximity):
            raise self._prepared.error(
                item.pos,
                f"{field} knows no similar spellings",
                "Use * and ? for parts of a value, as in cs.*.",
            )
        raise self._no_range(item, field)

    def _has(self, value: str, at: int) -> Term:
        thing = value.lower()
        thing = thing if thing in THINGS else thing.removesuffix("s")
        if thing not in THINGS:
            raise self._prepared.error(
                at,
                f"has:{clean(value, limit=40)} is not known",
                f"Write has: with one of {', '.join(THINGS)}.",
            )
        return HasTerm(thing)

    def _withdrawn(self, value: str, at: int) -> Term:
        meaning = {
            "true": True,
            "yes": True,
            "1": True,
            "*": True,
            "false": False,
            "no": False,
            "0": False,
        }.get(value.lower())
        if meaning is None:
            raise self._prepared.error(
                at,
                f"withdrawn is true or false, not {clean(value, limit=40)!r}",
                "Write withdrawn:true or withdrawn:false.",
            )
        return WithdrawnTerm(meaning)


def _edits(degree: Decimal, length: int) -> int | None:
    """How many letters may differ (below 1 a likeness, as in old Lucene). `None`: as the length is."""
    if degree == Decimal("0.5"):
        return None
    return min(2, int((1 - degree) * length)) if 0 < degree < 1 else min(2, int(degree))
