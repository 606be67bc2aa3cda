"""Matching: many queries tried on many papers at once.

A query is a few tests joined by AND, OR and NOT, and queries share most of their tests. So each different test is
tried once, on the papers that have its words, and its answer is kept as a set of papers; a query is then a few
operations on sets. The answers are those of `Query.matches`, paper by paper. A set may be used by several threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import pairwise
from operator import and_, or_

from services.domain.indexed import Indexed
from services.domain.papers import PaperFacts
from services.domain.queries import And, Node, Or, Query, Without
from services.domain.query_terms import Term, TextTerm
from services.domain.words import Unit, WordTest, is_letter

_Places = tuple[str, ...]


class PaperSet:
    """Papers made ready for many queries. A set of them is a number: bit `n` stands for the n-th paper."""

    def __init__(self, papers: Sequence[PaperFacts | Indexed]) -> None:
        self.papers = tuple(paper if isinstance(paper, Indexed) else Indexed(paper) for paper in papers)
        self._by_id = {indexed.paper.id: indexed for indexed in self.papers}
        self._everything = (1 << len(self.papers)) - 1
        self._holders: dict[_Places, dict[str, int]] = {}
        self._tests: dict[tuple[_Places, WordTest], int] = {}
        self._pairs: dict[str, dict[tuple[str, str], int]] = {}
        self._terms: dict[Term, int] = {}
        self._queries: dict[Node, int] = {}

    def __contains__(self, paper_id: int) -> bool:
        return paper_id in self._by_id

    def get(self, paper_id: int) -> Indexed:
        """One of the papers."""
        return self._by_id[paper_id]

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
            known = self._terms[term] = self._try(term)
        return known

    def _try(self, term: Term) -> int:
        if not isinstance(term, TextTerm) or not term.units:
            return sum(1 << number for number, paper in enumerate(self.papers) if term.matches(paper))
        found = 0
        for place in term.places:
            nearly = self._candidates(term, place) & ~found
            if _is_settled(term, place):
                found |= nearly
                continue
            for number in _numbers(nearly):
                if term.stands_at(place, self.papers[number]):
                    found |= 1 << number
        return found

    def _candidates(self, term: TextTerm, place: str) -> int:
        """The papers that can pass by what stands at one place: those that have the words there."""
        if place == "author" and len(term.units) > 1:
            # Given names may be initials (`K. Ito`), which no list of words tells; one word stands in full.
            words = [self._having_unit(place, unit) for unit in term.units if not is_letter(unit)]
            return reduce(or_, words) if words else self._everything
        if place == "author" and is_letter(term.units[0]):
            return self._everything
        found = reduce(and_, (self._having_unit(place, unit) for unit in term.units), self._everything)
        if found and place != "author" and not term.slop:
            for first, second in pairwise(term.units):
                one, other = _plain(first), _plain(second)
                if one and other:
                    found &= self._in_a_row(place).get((one, other), 0)
        return found

    def _having_unit(self, place: str, unit: Unit) -> int:
        """The papers that have all words of some way to read a unit at a place."""
        return reduce(or_, (reduce(and_, (self._having((place,), w) for w in way), self._everything) for way in unit))

    def _in_a_row(self, place: str) -> dict[tuple[str, str], int]:
        """Which papers have which two words one right after the other at a place."""
        known = self._pairs.get(place)
        if known is None:
            known = {}
            for number, paper in enumerate(self.papers):
                for words in paper.texts(place):
                    beginning: dict[int, list[str]] = {}
                    for word, spans in words.places.items():
                        for start, _ in spans:
                            beginning.setdefault(start, []).append(word)
                    for word, spans in words.places.items():
                        for _, end in spans:
                            for following in beginning.get(end, ()):
                                known[word, following] = known.get((word, following), 0) | 1 << number
            self._pairs[place] = known
        return known

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
            known = {}
            for number, paper in enumerate(self.papers):
                bit = 1 << number
                for word in paper.vocabulary(places):
                    known[word] = known.get(word, 0) | bit
            self._holders[places] = known  # only when it is whole: other threads look here too
        return known


def _plain(unit: Unit) -> str:
    """The unit's word when it is one word as it is written, else empty."""
    word = unit[0][0] if len(unit) == 1 and len(unit[0]) == 1 else ""
    return word if isinstance(word, str) else ""


def _is_settled(term: TextTerm, place: str) -> bool:
    """Whether the words (and which follows which) tell all: there is nothing left to be looked at."""
    if place == "author":
        return len(term.units) == 1 and not is_letter(term.units[0]) and all(len(way) == 1 for way in term.units[0])
    if len(term.units) == 1:
        return all(len(way) == 1 for way in term.units[0])
    return not term.slop and len(term.units) == 2 and all(map(_plain, term.units))


def _numbers(papers: int) -> Iterator[int]:
    """The numbers of the papers in a set, in order."""
    while papers:
        lowest = papers & -papers
        yield lowest.bit_length() - 1
        papers ^= lowest
