"""The plain way in full ends with the same facts as our own pipeline, of the same pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from services.domain.queries import parse_query
from services.pipeline import drain
from services.pipeline.fetch import page_job
from services.runtime import Runtime
from services.storage import feeds, search
from tests.benchmarks import pages, places, reference_full
from tests.benchmarks.bench_pipeline import by_start, pages_of
from tests.factories import FeedSpec

SIZE, COUNT = 60, 120
RECORDS = pages.records(COUNT)
RARE = max(re.findall("[a-z]+", RECORDS[0].title), key=len)


@dataclass(frozen=True, slots=True)
class Both:
    """The two databases the same pages went into, and how each is given them again."""

    ours: Runtime
    theirs: Engine
    again: Callable[[str], None]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    bodies = pages_of(RECORDS, SIZE)
    path = tmp_path_factory.mktemp("plain") / "full.db"
    with places.Pages(by_start(bodies)) as server, places.runtime(arxiv_api_url=server.url) as rt:
        rt.clock = lambda: places.NOW
        spec = FeedSpec(name="bench", kind="arxiv_api", params={"query": "all:tides", "page_size": str(SIZE)})
        with rt.writing() as session:
            feed = feeds.add(session, spec, now=rt.now())

        def take_in(slot: str) -> None:
            rt.add_jobs([page_job(feed.id or 0, feed.name, slot=slot)])
            drain.run_until_idle(rt, ticking=False, stages=("fetch", "parse"))
            reference_full.run([f"{server.url}?start={at}" for at in bodies], path, now=places.NOW)

        take_in("first")
        engine = create_engine(f"sqlite:///{path}")
        yield Both(rt, engine, take_in)
        engine.dispose()


def _rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(text(query)))


_SAME = {
    "papers": (
        "SELECT key, title, abstract, comment, journal_ref, published_at, updated_at, version, announced_on"
        " FROM papers",
        "SELECT (SELECT name FROM identifiers WHERE paper_id = id AND name LIKE 'arxiv:%'), title, abstract, comment,"
        " journal_ref, published_at, updated_at, version, announced_on FROM papers",
    ),
    "authors": (
        "SELECT p.key, a.key, json_extract(a.value, '$.name') FROM papers p, json_each(p.authors) a",
        "SELECT i.name, a.key, a.value FROM papers p, json_each(p.authors) a JOIN identifiers i ON i.paper_id = p.id"
        " WHERE i.name LIKE 'arxiv:%'",
    ),
    "identifiers": (
        "SELECT p.key, i.scheme || ':' || i.value FROM identifiers i JOIN papers p ON p.id = i.paper_id",
        "SELECT k.name, i.name FROM identifiers i JOIN identifiers k ON k.paper_id = i.paper_id"
        " WHERE k.name LIKE 'arxiv:%'",
    ),
    "sightings": (
        "SELECT p.key, f.name, s.day, s.rank FROM sightings s JOIN papers p ON p.id = s.paper_id"
        " JOIN feeds f ON f.id = s.feed_id",
        "SELECT k.name, f.name, s.day, s.rank FROM sightings s JOIN feeds f ON f.id = s.feed_id"
        " JOIN identifiers k ON k.paper_id = s.paper_id WHERE k.name LIKE 'arxiv:%'",
    ),
    "links": (
        "SELECT p.key, l.url, l.kind, l.evidence, r.host, r.kind, r.slug FROM links l"
        " JOIN papers p ON p.id = l.paper_id JOIN repos r ON r.id = l.repo_id",
        "SELECT k.name, l.url, l.kind, l.evidence, r.host, r.kind, r.slug FROM links l"
        " JOIN repositories r ON r.id = l.repository_id"
        " JOIN identifiers k ON k.paper_id = l.paper_id WHERE k.name LIKE 'arxiv:%'",
    ),
    "pages": ("SELECT seen, new, changed, known FROM fetches", "SELECT seen, new, changed, known FROM fetches"),
}  # fmt: skip


@pytest.mark.parametrize("what", _SAME)
def test_both_databases_hold_the_same(both: Both, what: str) -> None:
    mine, plain = _SAME[what]
    held = _rows(both.ours.engine, mine)
    assert held == _rows(both.theirs, plain)
    assert len(held) >= 2


def test_both_find_the_same_papers_by_words(both: Both) -> None:
    said: list[tuple[str, str, tuple[str, ...]]] = [
        (words, words, ("title", "abstract", "authors"))
        for words in (RARE, "harbour tide", "survey", "chloe", "moreau", "github", "reward agent")
    ]
    for asked, words, places_of in [*said, ("comment:(accepted workshop)", "accepted workshop", ("comment",))]:
        with both.ours.reading() as session:
            query = parse_query(asked, places.NOW.date())
            found = {paper.title for paper in search.find_papers(session, query, now=places.NOW)}
        assert found == reference_full.search(both.theirs, words, places=places_of), asked
        assert 0 < len(found) < COUNT, asked


def test_the_same_pages_again_are_known_to_both(both: Both) -> None:
    both.again("second")
    for engine in (both.ours.engine, both.theirs):
        assert _rows(engine, "SELECT seen, new, changed, known FROM fetches ORDER BY id DESC LIMIT 2") == [
            (SIZE, 0, 0, SIZE)
        ] * 2  # fmt: skip
        assert _rows(engine, "SELECT count(*), (SELECT count(*) FROM links) FROM papers")[0][0] == COUNT


def test_what_is_said_otherwise_is_changed_and_what_has_no_identifier_is_found_by_its_title(tmp_path: Path) -> None:
    engine = reference_full.prepare(tmp_path / "full.db")
    for titles in (("Tides of the lantern bay",), ("Tides of the harbour bay", "Tides of the HARBOUR Bay!")):
        fetch_id, (said,) = reference_full.open_page(
            engine, pages.atom_page(RECORDS[:1]), url="https://example.org/", now=places.NOW
        )
        reference_full.take_in(engine, said | {"title": titles[0]})
        for title in titles[1:]:
            reference_full.take_in(engine, said | {"title": title, "names": []})
        reference_full.close_page(engine, fetch_id)
    assert _rows(engine, "SELECT new, changed, known FROM fetches") == [(0, 1, 0), (1, 0, 0)]
    assert _rows(engine, "SELECT count(*), (SELECT count(*) FROM identifiers) FROM papers") == [(1, len(said["names"]))]
    assert not reference_full.search(engine, "lantern", places=("title",))
    assert reference_full.search(engine, "harbour", places=("title",))
    engine.dispose()
