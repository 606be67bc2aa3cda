"""Organisations, citations and categories of two names are found alike in memory, by FTS5 and by PostgreSQL."""

from __future__ import annotations

import pytest

from services.domain.categories import ALIASES
from services.domain.indexed import Indexed
from services.domain.papers import AuthorData
from services.runtime import Runtime
from services.storage import archive, search
from services.storage.tables import Paper
from tests.factories import add_feed, all_rows, arxiv, entry, parse_query, store

NORTHLAKE, PORTO = "Northlake Institute of Tides", "Universidade do Porto"


@pytest.fixture
def held(rt: Runtime) -> Runtime:
    feed = add_feed(rt, "arxiv", "arxiv_api", paused=True)
    hub = add_feed(rt, "daily-papers", "hf_papers", paused=True)
    catalogues = [
        entry(1, authors=(AuthorData(name="A. Quill", affiliation=f"{NORTHLAKE}; {PORTO}", ror="03yrm5c26"),),
              citations=12),
        entry(2, authors=(AuthorData(name="Bram Osei", affiliation=PORTO),), citations=0),
    ]  # fmt: skip
    people = (AuthorData(name="Ada Quill"), AuthorData(name="Bram Osei"))
    store(rt, [entry(n, authors=people, categories=("stat.ML",)) for n in (1, 2, 3)], feed=feed)
    store(rt, [entry(3, organization=NORTHLAKE, authors=people)], feed=hub)
    store(
        rt,
        [entry(10 + n, categories=("stat.ML", name)) for n, name in enumerate((*ALIASES, *ALIASES.values()))],
        feed=feed,
    )
    store(rt, catalogues, feed=feed, source="openalex")
    return rt


def found(rt: Runtime, text: str) -> set[str]:
    """The keys a query finds: by the database, which must be what it finds in memory."""
    query = parse_query(text)
    with rt.reading() as session:
        by_database = {p.key for p in archive.load(session, search.find(session, query, now=rt.now()), now=rt.now())}
        every = archive.load(session, [row.id for row in all_rows(rt, Paper)], now=rt.now())
    in_memory = {paper.key for paper in every if query.matches(Indexed(paper))}
    assert by_database == in_memory, text
    return by_database


def keys(*numbers: int) -> set[str]:
    return {str(arxiv(number)) for number in numbers}


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (f'organization:"{NORTHLAKE}"', (1, 3)), ("org:northlake", (1, 3)), ('org:"do porto"', (1, 2)),
        ("affiliation:porto -org:northlake", (2,)), ("org:tides AND org:porto", (1,)), ('org:"tides porto"', ()),
        ("citations:>=1", (1,)), ("citations:0", (2,)), ("citations:[0 TO 12]", (1, 2)), ("citations>11", (1,)),
    ],
)  # fmt: skip
def test_organisations_and_citations(held: Runtime, query: str, numbers: tuple[int, ...]) -> None:
    assert found(held, query) == keys(*numbers)


def test_either_name_of_a_category_finds_the_papers_of_both(held: Runtime) -> None:
    for number, (one, other) in enumerate(ALIASES.items()):
        both = keys(10 + number, 10 + len(ALIASES) + number)
        assert found(held, f"category:{one}") == found(held, f"cat:{other}") == both
        assert found(held, f"cat:{one} -cat:{other}") == set()
