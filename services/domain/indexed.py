"""A paper made ready for searching: its words and values in the form in which they are compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from services.domain.categories import with_twins
from services.domain.papers import PaperFacts
from services.domain.words import Words, fold, words_of

VALUE_FIELDS = ("category", "feed", "repo", "language", "license", "topic")
"""What is compared as a whole, not word by word."""

GONE = frozenset({"missing", "blocked"})
"""States of a repository that nobody can open."""


class Indexed:
    """A paper with its words cut once, when first asked for. Make one per paper to try many queries on it."""

    def __init__(self, paper: PaperFacts) -> None:
        self.paper = paper
        self._texts: dict[str, tuple[Words, ...]] = {}
        self._vocabularies: dict[tuple[str, ...], dict[str, None]] = {}

    def texts(self, place: str) -> tuple[Words, ...]:
        """The texts at one place: one title, one name per author, …"""
        found = self._texts.get(place)
        if found is None:
            found = self._texts[place] = tuple(words_of(text) for text in _texts(self.paper, place) if text)
        return found

    def strings(self, place: str) -> tuple[str, ...]:
        """The texts at one place as they are written."""
        return tuple(text for text in _texts(self.paper, place) if text)

    def vocabulary(self, places: tuple[str, ...]) -> dict[str, None]:
        """The different words at several places together."""
        known = self._vocabularies.get(places)
        if known is None:
            known = self._vocabularies[places] = dict.fromkeys(
                word for place in places for words in self.texts(place) for word in words.places
            )
        return known

    @cached_property
    def values(self) -> dict[str, dict[str, str]]:
        """For each of `VALUE_FIELDS` the values as compared, and as shown."""
        paper = self.paper
        repos = [repo for repo in paper.repos if repo.state not in GONE]
        links = [link.slug for link in paper.links if link.kind == "code" and link.slug]
        return {
            "category": _folded(with_twins(paper.categories)),
            "feed": _folded(paper.feeds),
            "repo": _folded([*(repo.slug for repo in paper.repos), *links]),
            "language": _folded(repo.language for repo in repos),
            "license": _folded([*(repo.license for repo in repos), paper.license]),
            "topic": {spaced(topic): topic for repo in repos for topic in repo.topics},
        }


def _texts(paper: PaperFacts, place: str) -> Iterator[str | None]:
    match place:
        case "title":
            yield paper.title
        case "abstract":
            yield paper.abstract
        case "author":
            yield from (author.name for author in paper.authors)
        case "organization":
            yield paper.organization
            yield from dict.fromkeys(author.affiliation for author in paper.authors)
        case "comment":
            yield paper.comment
        case "journal":
            yield paper.journal_ref


def _folded(values: Iterable[str | None]) -> dict[str, str]:
    return {fold(value): value for value in values if value}


def spaced(value: str) -> str:
    """A topic for comparing: `large-language-models` and `Large Language Models` are one."""
    return " ".join(re.split(r"[\s_-]+", fold(value).strip()))
