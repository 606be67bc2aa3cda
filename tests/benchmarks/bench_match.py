"""Matching: new papers against everybody's queries."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable, Iterator, Sequence

from services.domain.indexed import Indexed
from services.domain.matching import PaperSet
from services.domain.papers import PaperFacts
from services.domain.queries import Query
from tests.benchmarks import pages
from tests.benchmarks.bench_store import parsed
from tests.benchmarks.harness import Options, Result, ratio_of
from tests.benchmarks.places import NOW
from tests.factories import parse_query

PAPERS = 500
SIZES = ((10_000, 50.0), (100_000, 50.0), (1_000_000, 50.0))
"""Subscriptions, and how much faster than the nested loop they must be."""
SIZES_QUICK = ((400, 1.0),)


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


def queries(number: int) -> list[str]:
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
    return list(found)


def shared(options: Options) -> Iterator[Result]:
    """Subscriptions that share their queries, beside every query tried on every paper for every subscription.

    Both sides have the queries read already, as a running service has; the note says what reading them takes. The
    nested loop is timed on a sample and multiplied.
    """
    papers = facts(options.some(PAPERS, 100))
    different, sample = options.some(10_000, 100), options.some(100, 20)
    start = time.process_time()
    asked = [parse_query(text) for text in queries(different)]
    reading = time.process_time() - start
    indexed = [Indexed(paper) for paper in papers]
    for subscriptions, target in SIZES_QUICK if options.quick else SIZES:
        wanted = [asked[number % different] for number in range(subscriptions)]
        ours: list[float] = []
        nested: list[float] = []
        for _ in range(options.some(2, 1) if subscriptions <= 100_000 else 1):
            start = time.process_time()
            together = _together(papers, wanted)
            ours.append(time.process_time() - start)
            start = time.process_time()
            apart = [[one.paper.id for one in indexed if query.matches(one)] for query in wanted[:sample]]
            nested.append((time.process_time() - start) * subscriptions / sample)
            assert [list(found) for found in together[:sample]] == apart
        ratio, spread = ratio_of(ours, nested)
        yield Result(
            name=f"match {len(papers)} papers, {subscriptions:,} subscriptions", ratio=ratio, target=target,
            spread=spread, reference="the nested loop",
            note=f"{different:,} different queries, read in {reading:.1f} s; "
            f"{min(ours):.1f} s beside {min(nested):,.0f} s; "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at the most",
        )  # fmt: skip


def _together(papers: Sequence[PaperFacts], wanted: Sequence[Query]) -> list[tuple[int, ...]]:
    """For each subscription its papers, as `pipeline.choose` finds them: one set, each query tried once."""
    found = PaperSet(papers)
    answers: dict[str, tuple[int, ...]] = {}
    for query in wanted:
        if query.text not in answers:
            answers[query.text] = tuple(one.paper.id for one in found.match(query))
    return [answers[query.text] for query in wanted]
