"""Matching: new papers against everybody's queries."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence

from services.domain.indexed import Indexed
from services.domain.matching import PaperSet
from services.domain.papers import PaperFacts
from services.domain.queries import Query, parse_query
from tests.benchmarks import pages
from tests.benchmarks.bench_store import parsed
from tests.benchmarks.harness import Options, Result, ratio_of
from tests.benchmarks.places import NOW

PAPERS = 500


def facts(number: int) -> list[PaperFacts]:
    """New papers as they are read back."""
    return [
        PaperFacts(
            id=place, key=str(one.identifiers[0]), title=one.title, abstract=one.abstract, authors=one.authors,
            categories=one.categories, published_at=one.published_at, comment=one.comment, identifiers=one.identifiers,
            first_seen_at=NOW,
        )
        for place, one in enumerate(parsed(pages.records(number)))
    ]  # fmt: skip


def queries(number: int) -> list[Query]:
    """Different queries as people write them."""
    draw = random.Random(7)

    def word() -> str:
        return draw.choice(pages._WORDS)

    shapes: tuple[Callable[[], str], ...] = (
        lambda: f'"{word()} {word()}"',
        lambda: f"{word()} {word()}",
        lambda: f"cat:{draw.choice(pages._PRIMARY)} AND ({word()} OR {word()})",
        lambda: f"title:{word()} -{word()}",
        lambda: f"author:{draw.choice(pages._FAMILY.split())} {word()}",
        lambda: f"{word()[:5]}* AND {word()} AND NOT {word()}",
    )
    found: dict[str, None] = {}
    while len(found) < number:
        found[draw.choice(shapes)()] = None
    return [parse_query(text) for text in found]


def shared(options: Options) -> Iterator[Result]:
    """Subscriptions that share their queries, beside every query tried on every paper for every subscription."""
    papers = facts(options.some(PAPERS, 100))
    subscriptions, different, sample = options.some(10_000, 400), options.some(1_000, 100), options.some(100, 20)
    asked = queries(different)
    wanted = [asked[number % different] for number in range(subscriptions)]
    ours: list[float] = []
    nested: list[float] = []
    for _ in range(options.some(3, 1)):
        start = time.process_time()
        together = _together(papers, wanted)
        ours.append(time.process_time() - start)
        indexed = [Indexed(paper) for paper in papers]
        start = time.process_time()
        apart = [[one.paper.id for one in indexed if query.matches(one)] for query in wanted[:sample]]
        nested.append((time.process_time() - start) * subscriptions / sample)
        assert together[:sample] == apart
    ratio, spread = ratio_of(ours, nested)
    yield Result(
        name=f"match {len(papers)} papers, {subscriptions:,} subscriptions", ratio=ratio, target=50.0, spread=spread,
        reference="the nested loop",
        note=f"{different:,} different queries; {min(ours):.2f} s beside {min(nested):.0f} s",
    )  # fmt: skip


def _together(papers: Sequence[PaperFacts], wanted: Sequence[Query]) -> list[list[int]]:
    found = PaperSet(papers)
    answers: dict[str, list[int]] = {}
    for query in wanted:
        if query.text not in answers:
            answers[query.text] = [one.paper.id for one in found.match(query)]
    return [answers[query.text] for query in wanted]
