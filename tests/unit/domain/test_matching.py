"""Many queries on many papers: the same answers as one by one."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.domain.matching import PaperSet
from services.domain.papers import AuthorData, PaperFacts
from tests.factories import parse_query

WORDS = ("lantern", "tide", "pre-training", "K", "signal", "harbour")
PAPERS = [
    PaperFacts(
        id=number, key=f"arxiv:2611.{90000 + number}", title=f"{WORDS[number % 6]} {WORDS[number % 4]} {number}",
        abstract=f"We read the {WORDS[number % 5]} of a {WORDS[(number + 1) % 6]}.",
        authors=(AuthorData(name=("Kenji Ito", "Ada Quill", "Bram Osei")[number % 3]),),
        categories=(("cs.CL", "cs.LG", "math.OC")[number % 3],), upvotes=number,
        first_seen_at=datetime(2026, 11, 24, tzinfo=UTC),
    )
    for number in range(30)
]  # fmt: skip

TERMS = st.sampled_from(
    ['lantern', '"lantern tide"', "title:tid*", "author:K", 'author:"K Ito"', "pretraining", "lantren~", "cat:cs",
     "cat:cs.LG", "upvotes:>10", "*", '"read tide"~3', "arxiv:2611.90007", "has:abstract", "absent"]
)  # fmt: skip
QUERIES = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} AND {pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} OR {pair[1]})"),
        inner.map(lambda one: f"(NOT {one})"),
    ),
    max_leaves=6,
)


@given(st.lists(QUERIES, min_size=1, max_size=4))
def test_every_query_gets_the_papers_it_would_get_one_by_one(texts: list[str]) -> None:
    papers = PaperSet(PAPERS)
    for text in texts:
        query = parse_query(text)
        assert [one.paper.id for one in papers.match(query)] == [p.id for p in PAPERS if query.matches(p)], text


def test_the_empty_query_wants_every_paper_in_the_order_given() -> None:
    assert [one.paper.id for one in PaperSet(PAPERS[::-1]).match(parse_query(""))] == [p.id for p in PAPERS[::-1]]


def test_no_papers_match_nothing() -> None:
    assert PaperSet([]).match(parse_query("NOT lantern")) == []
