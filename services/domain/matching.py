"""Matching: many queries tried on many papers at once.

A query is a few tests joined by AND, OR and NOT, and queries share most of their tests. So each different test is
tried once, on the papers that have its words, and its answer is kept as a set of papers; a query is then a few
operations on sets. The answers are those of `Query.matches`, paper by paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.domain.indexed import Indexed
from services.domain.papers import PaperFacts
from services.domain.queries import And, Node, Or, Query, Without
from services.domain.query_terms import Term, TextTerm
from services.domain.words import WordTest

_Places = tuple[str, ...]


class PaperSet:
    """Papers made ready for many queries. A set of them is a number: bit `n` stands for the n-th paper."""

    def __init__(self, papers: Sequence[PaperFacts | Indexed]) -> None:
        self.papers = tuple(paper if isinstance(paper, Indexed) else Indexed(paper) for paper in papers)
        self._everything = (1 << len(self.papers)) - 1
        self._holders: dict[_Places, dict[str, int]] = {}
        self._tests: dict[tuple[_Places, WordTest], int] = {}
        self._terms: dict[Term, int] = {}
        self._queries: dict[Node, int] = {}

    def match(self, query: Query) -> list[Indexed]:
        """The papers the query wants, in the order they were given."""
        return [self.papers[number] for number in _numbers(self._wanted(query.root))]

    def _wanted(self, node: Node) -> int:
        known = self._queries.get(node)
        if known is None:
            known = self._queries[node] = self._evaluate(node)
        return known

    def _evaluate(self, node: Node) -> int:
        match node:
            case And(parts):
                found = self._everything
                for part in parts:
                    found &= self._wanted(part)
                    if not found:
                        break
                return found
            case Or(parts):
                found = 0
                for part in parts:
                    found |= self._wanted(part)
                return found
            case Without(term):
                return self._everything & ~self._passing(term)
        return self._passing(node)

    def _passing(self, term: Term) -> int:
        known = self._terms.get(term)
        if known is None:
            known = self._candidates(term)
            if not _is_one_word(term):
                for number in _numbers(known):
                    if not term.matches(self.papers[number]):
                        known ^= 1 << number
            self._terms[term] = known
        return known

    def _candidates(self, term: Term) -> int:
        """The papers that can pass: those that have the words, wherever they stand."""
        # An initial (`K. Ito`) stands for words that begin with it, so no list of words tells who has it.
        if not isinstance(term, TextTerm) or not term.units or _has_initial(term):
            return self._everything
        found = self._everything
        for unit in term.units:
            ways = 0
            for way in unit:
                holders = self._everything
                for word in way:
                    holders &= self._having(term.places, word)
                ways |= holders
            found &= ways
        return found

    def _having(self, places: _Places, word: WordTest) -> int:
        holders = self._words(places)
        if isinstance(word, str):
            return holders.get(word, 0)
        known = self._tests.get((places, word))
        if known is None:
            known = 0
            for other, papers in holders.items():
                if word.fits(other):
                    known |= papers
            self._tests[(places, word)] = known
        return known

    def _words(self, places: _Places) -> dict[str, int]:
        known = self._holders.get(places)
        if known is None:
            known = self._holders[places] = {}
            for number, paper in enumerate(self.papers):
                bit = 1 << number
                for word in paper.vocabulary(places):
                    known[word] = known.get(word, 0) | bit
        return known


def _has_initial(term: TextTerm) -> bool:
    letters = (isinstance(word := unit[0][0], str) and len(word) == 1 for unit in term.units)
    return "author" in term.places and any(letters)


def _is_one_word(term: Term) -> bool:
    """Whether a paper that has the word passes, wherever it stands: there is no order to be looked at."""
    if not isinstance(term, TextTerm) or len(term.units) != 1 or _has_initial(term):
        return False
    return all(len(way) == 1 for way in term.units[0])


def _numbers(papers: int) -> Iterator[int]:
    """The numbers of the papers in a set, in order."""
    while papers:
        lowest = papers & -papers
        yield lowest.bit_length() - 1
        papers ^= lowest
