"""Terms: the single tests a query is made of, each of which can say in words why a paper passed it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date

from services.domain.indexed import GONE, Indexed
from services.domain.links import COUNTED
from services.domain.papers import PaperFacts
from services.domain.words import Unit, Words, compounds, glob, has_name, has_near, has_phrase, is_letter, may_have

TEXT_PLACES: dict[str, tuple[str, ...]] = {
    "text": ("title", "abstract", "author", "organization"),
    "title": ("title",),
    "abstract": ("abstract",),
    "author": ("author",),
    "organization": ("organization",),
    "comment": ("comment",),
    "venue": ("journal", "comment"),
}
"""Fields whose words are compared, and where each looks, first place first."""

NUMBER_FIELDS = ("upvotes", "comments", "citations", "stars", "authors_count")
DATE_FIELDS = ("date", "announced", "published", "updated", "seen")
THINGS = ("code", "model", "dataset", "space", "project", "stars", "abstract")
"""What `has:` knows."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a paper passed: a sentence (`in cs.CL`), or words found at a place, which are told together."""

    said: str
    place: str = ""


class Term:
    """One test. `first` is the reason when the paper passes, `None` when it does not."""

    __slots__ = ()

    def first(self, paper: Indexed) -> Reason | None:
        raise NotImplementedError

    def matches(self, paper: Indexed) -> bool:
        """Whether the paper passes."""
        return self.first(paper) is not None


@dataclass(frozen=True, slots=True)
class TextTerm(Term):
    """Words in a row at one of `places`; with `slop` near each other. No units: any text at all there."""

    places: tuple[str, ...]
    shown: str
    units: tuple[Unit, ...]
    slop: int = 0

    def first(self, paper: Indexed) -> Reason | None:
        # One look at all words together, since most terms are in few papers.
        if not may_have(paper.vocabulary(self.places), self.units) and not self._may_be_named(paper):
            return None
        for place in self.places:
            for words in paper.texts(place):
                if self._found(place, words):
                    return self._reason(place, words)
        return None

    def stands_at(self, place: str, paper: Indexed) -> bool:
        """Whether the paper passes by what stands at that place alone."""
        return any(self._found(place, words) for words in paper.texts(place))

    def _may_be_named(self, paper: Indexed) -> bool:
        """Whether an author may have the name with initials, which are in no vocabulary."""
        if "author" not in self.places:
            return False
        known, words = paper.vocabulary(("author",)), [unit for unit in self.units if not is_letter(unit)]
        return not words or any(may_have(known, (unit,)) for unit in words)

    def _found(self, place: str, words: Words) -> bool:
        if not self.units:
            return True
        if place == "author":
            return has_name(words, self.units)
        return has_near(words, self.units, self.slop) if self.slop else has_phrase(words, self.units)

    def _reason(self, place: str, words: Words) -> Reason:
        match place:
            case "author":
                return Reason(f"by {words.shown}")
            case "organization":
                return Reason(f"from {words.shown}")
        name = "journal reference" if place == "journal" else place
        return (
            Reason(f'"{self.shown}"', name) if self.units else Reason(f"has {'an' if name[0] in 'ao' else 'a'} {name}")
        )


_SAID = {
    "category": "in {}",
    "feed": "listed by {}",
    "repo": "code at {}",
    "language": "code in {}",
    "license": "licence {}",
    "topic": "topic {}",
}


@dataclass(frozen=True, slots=True)
class ValueTerm(Term):
    """A whole value (`cs.CL`, `Python`), or its form with `*` and `?`; `pattern` is folded as the values are.

    Some names stand for more: an archive for its categories (`cs`), an owner or a name for `owner/name`,
    a word for a licence (`apache` for `Apache-2.0`).
    """

    field: str
    pattern: str

    def first(self, paper: Indexed) -> Reason | None:
        for value, shown in paper.values[self.field].items():
            if self.fits(value):
                return Reason(_SAID[self.field].format(shown))
        return None

    def fits(self, value: str) -> bool:
        """Whether a folded value is the one asked for."""
        if value == self.pattern or (("*" in self.pattern or "?" in self.pattern) and glob(self.pattern, value)):
            return True
        match self.field:
            case "category":
                return "." not in self.pattern and value.startswith(self.pattern + ".")
            case "repo":
                return "/" not in self.pattern and self.pattern in value.split("/")
            case "license":
                wanted = [part for parts in compounds(self.pattern) for part in parts]
                held = [part for parts in compounds(value) for part in parts]
                return bool(wanted) and held[: len(wanted)] == wanted
        return False


@dataclass(frozen=True, slots=True)
class KeyTerm(Term):
    """One paper by any of its identifiers (`arxiv:2601.01234`), or several by their form (`arxiv:2601.*`)."""

    pattern: str

    def first(self, paper: Indexed) -> Reason | None:
        for name in (paper.paper.key, *map(str, paper.paper.identifiers)):
            if name == self.pattern or ("*" in self.pattern and glob(self.pattern.lower(), name.lower())):
                return Reason(f"is {name}")
        return None


@dataclass(frozen=True, slots=True)
class NumberTerm(Term):
    """A count between two bounds, both included; `None` leaves an end open. An unknown count never passes."""

    field: str
    low: int | None
    high: int | None

    def first(self, paper: Indexed) -> Reason | None:
        count = _count(paper.paper, self.field)
        if (
            count is None
            or (self.low is not None and count < self.low)
            or (self.high is not None and count > self.high)
        ):
            return None
        name = "authors" if self.field == "authors_count" else self.field
        return Reason(f"{count:,} {name[:-1] if count == 1 else name}")


def _count(paper: PaperFacts, field: str) -> int | None:
    match field:
        case "upvotes":
            return paper.upvotes
        case "comments":
            return paper.comments_count
        case "citations":
            return paper.citations
        case "stars":
            return max((repo.stars for repo in paper.repos if repo.stars is not None), default=None)
    return paper.authors_count if paper.authors_count is not None else len(paper.authors) or None


@dataclass(frozen=True, slots=True)
class DateTerm(Term):
    """A day between two, both included; `None` leaves an end open. Days are UTC; unknown ones never pass."""

    field: str
    low: date | None
    high: date | None

    def first(self, paper: Indexed) -> Reason | None:
        what, day = _day(paper.paper, self.field)
        if day is None or (self.low is not None and day < self.low) or (self.high is not None and day > self.high):
            return None
        return Reason(f"{what} {day.isoformat()}")


def _day(paper: PaperFacts, field: str) -> tuple[str, date | None]:
    published = paper.published_at.astimezone(UTC).date() if paper.published_at else None
    seen = paper.first_seen_at.astimezone(UTC).date()
    match field:
        case "announced":
            return "announced", paper.announced_on
        case "published":
            return "published", published
        case "updated":
            return "updated", paper.updated_at.astimezone(UTC).date() if paper.updated_at else None
        case "seen":
            return "first seen", seen
    if paper.announced_on:
        return "announced", paper.announced_on
    return ("published", published) if published else ("first seen", seen)


@dataclass(frozen=True, slots=True)
class HasTerm(Term):
    """Whether there is code, a model, … (`THINGS`)."""

    thing: str

    def first(self, paper: Indexed) -> Reason | None:
        facts = paper.paper
        match self.thing:
            case "code":
                gone = {repo.slug.lower() for repo in facts.repos if repo.state in GONE}
                found = any(repo.state not in GONE for repo in facts.repos) or any(
                    link.kind == "code" and link.evidence in COUNTED and (link.slug or "").lower() not in gone
                    for link in facts.links
                )
            case "stars":
                found = any(repo.stars is not None for repo in facts.repos)
            case "abstract":
                found = bool(facts.abstract)
            case _:
                found = any(link.kind == self.thing and link.evidence in COUNTED for link in facts.links)
        return Reason(f"has {_ARTICLES.get(self.thing, self.thing)}") if found else None


_ARTICLES = {
    "model": "a model",
    "dataset": "a dataset",
    "space": "a space",
    "project": "a project page",
    "stars": "a star count",
    "abstract": "an abstract",
}


@dataclass(frozen=True, slots=True)
class WithdrawnTerm(Term):
    """Whether its authors withdrew it."""

    wanted: bool

    def first(self, paper: Indexed) -> Reason | None:
        if paper.paper.withdrawn != self.wanted:
            return None
        return Reason("withdrawn" if self.wanted else "not withdrawn")


@dataclass(frozen=True, slots=True)
class AnyTerm(Term):
    """Every paper (`*`)."""

    def first(self, paper: Indexed) -> Reason | None:
        return Reason("every paper") if paper else None


@dataclass(frozen=True, slots=True)
class EitherTerm(Term):
    """The first of several readings of one word (`2601.01234` names a paper, and may stand in a text)."""

    readings: tuple[Term, ...]

    def first(self, paper: Indexed) -> Reason | None:
        return next((reason for reading in self.readings if (reason := reading.first(paper))), None)
