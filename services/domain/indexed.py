"""A paper made ready for searching: its words and values in the form in which they are compared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property, lru_cache

from services.domain.categories import with_twins
from services.domain.links import COUNTED
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
            found = self._texts[place] = tuple(words_of(text) for text in self._strings[place])
        return found

    @cached_property
    def _strings(self) -> dict[str, list[str]]:
        paper = self.paper
        return strings(
            title=paper.title, abstract=paper.abstract, names=[author.name for author in paper.authors],
            affiliations=[author.affiliation for author in paper.authors], organization=paper.organization,
            comment=paper.comment, journal_ref=paper.journal_ref,
        )  # fmt: skip

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
        links = [link.slug for link in paper.links if link.kind == "code" and link.evidence in COUNTED]
        return {
            "category": category_values(tuple(paper.categories)),
            "feed": _folded(paper.feeds),
            "repo": _folded([*(repo.slug for repo in paper.repos), *links]),
            "language": _folded(repo.language for repo in repos),
            "license": _folded([*(repo.license for repo in repos), paper.license]),
            "topic": {spaced(topic): topic for repo in repos for topic in repo.topics},
        }


def strings(
    *,
    title: str,
    abstract: str | None,
    names: Iterable[str],
    affiliations: Iterable[str | None],
    organization: str | None,
    comment: str | None,
    journal_ref: str | None,
) -> dict[str, list[str]]:
    """The texts at each place where words are looked for, as they are written: one title, one name per author, …"""
    return {
        "title": [title] if title else [],
        "abstract": [abstract] if abstract else [],
        "author": [name for name in names if name],
        "organization": [one for one in dict.fromkeys((organization, *affiliations)) if one],
        "comment": [comment] if comment else [],
        "journal": [journal_ref] if journal_ref else [],
    }


@lru_cache(maxsize=4_096)
def category_values(categories: tuple[str, ...]) -> dict[str, str]:
    """Categories with their twins, as compared and as shown; a source has few combinations of them."""
    return _folded(with_twins(categories))


def _folded(values: Iterable[str | None]) -> dict[str, str]:
    return {fold(value): value for value in values if value}


def spaced(value: str) -> str:
    """A topic for comparing: `large-language-models` and `Large Language Models` are one."""
    return " ".join(re.split(r"[\s_-]+", fold(value).strip()))
