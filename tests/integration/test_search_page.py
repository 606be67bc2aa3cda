"""A page of a search: the same papers as the whole search finds, newest first, by bounded work."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlmodel import Session, select

from services.runtime import Runtime
from services.storage import archive, search, search_page
from services.storage.search_page import BY_NOTICE, BY_STARS, Candidates
from services.storage.standings import standings
from services.storage.tables import Repo
from tests.factories import DAY, add_feed, code, entry, parse_query, store

QUERIES = (
    "lanterns", "title:lanterns -brass", '"lanterns along"', "has:code", "has:code lanterns", "cat:cs.CL upvotes:>20",
    "brass OR has:code", "nowhere", "", "stars:>=50", "lantrens~", "feed:second lanterns",
)  # fmt: skip


@pytest.fixture
def filled(rt: Runtime) -> Runtime:
    """Twelve papers on six days; every third has code, every fourth speaks of brass."""
    feed, second = add_feed(rt, "daily-papers"), add_feed(rt, "second")
    for number in range(1, 13):
        links = (code(f"quill/repo{number}"),) if number % 3 == 0 else ()
        more = {"title": f"Brass weather {number}"} if number % 4 == 0 else {}
        day = DAY - timedelta(days=number // 2)
        paper = entry(number, upvotes=number * 5, links=links, announced_on=day, **more)
        store(rt, [paper], feed=feed, day=day)
        if number == 9:
            store(rt, [entry(number, announced_on=DAY)], feed=second, source="second", day=DAY)
    with rt.writing() as session:
        for row in session.exec(select(Repo)):
            row.state, row.stars = "found", (row.id or 0) * 25
    return rt


def every(session: Session, query: str, rt: Runtime, found: Candidates) -> list[int]:
    """The candidates that do match."""
    parsed = parse_query(query)
    return [paper.id for paper in search_page.matching(session, found.ids, parsed, now=rt.now())]


@pytest.mark.parametrize("rare", [5_000, 0])
def test_candidates_are_what_the_whole_search_finds(
    filled: Runtime, monkeypatch: pytest.MonkeyPatch, rare: int
) -> None:
    monkeypatch.setattr(search_page, "RARE", rare)
    with filled.reading() as session:
        for query in QUERIES:
            found = search_page.candidates(session, parse_query(query))
            whole = search.find(session, parse_query(query), now=filled.now())
            assert every(session, query, filled, found) == whole, query
            assert (found.more, found.reached) == (False, None), query
            if found.exact:
                assert list(found.ids) == whole, query


@pytest.mark.parametrize("rare", [5_000, 0])
def test_days_narrow_by_what_was_announced_or_listed(
    filled: Runtime, monkeypatch: pytest.MonkeyPatch, rare: int
) -> None:
    monkeypatch.setattr(search_page, "RARE", rare)
    with filled.reading() as session:
        announced = search_page.candidates(session, parse_query("lanterns"), since=DAY, until=DAY)
        listed = search_page.candidates(session, parse_query("lanterns"), since=DAY, until=DAY, listed=True)
        assert len(announced.ids) == 1
        assert set(listed.ids) - set(announced.ids) == {archive.find_id(session, "arxiv:2611.90009")}
        assert search_page.count(session, DAY - timedelta(days=1), DAY) == 3
        assert search_page.count(session, DAY, None) == 1


def test_a_walk_ends_and_says_where(filled: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_page, "RARE", 0)
    monkeypatch.setattr(search_page, "WALKED", 4)
    with filled.reading() as session:
        found = search_page.candidates(session, parse_query("lanterns"))
        assert found.more
        assert found.reached == DAY - timedelta(days=2)
        held = archive.load(session, found.ids, now=filled.now())
    assert {paper.announced_on for paper in held} <= {DAY - timedelta(days=n) for n in range(3)}


@pytest.mark.parametrize(("take", "first"), [(BY_NOTICE, "arxiv:2611.90012"), (BY_STARS, "arxiv:2611.90012")])
def test_of_many_the_most_noticed_are_taken(
    filled: Runtime, monkeypatch: pytest.MonkeyPatch, take: str, first: str
) -> None:
    monkeypatch.setattr(search_page, "MOST", 2)
    with filled.reading() as session:
        found = search_page.candidates(session, parse_query(""), since=date(2026, 1, 1), until=DAY, take=take)
        assert (len(found.ids), found.more) == (2, True)
        assert archive.load(session, found.ids[:1], now=filled.now())[0].key == first


def test_an_empty_archive_has_no_candidates(rt: Runtime) -> None:
    with rt.reading() as session:
        for query in ("", "lanterns", "has:code"):
            assert search_page.candidates(session, parse_query(query)).ids == ()


def test_standings_rank_as_the_papers_do(filled: Runtime) -> None:
    from services.domain.ranking import ORDERS, rank

    now = filled.now()
    with filled.reading() as session:
        ids = search.find(session, parse_query(""), now=now)
        light, whole = standings(session, ids, now=now), archive.load(session, ids, now=now)
    for order in ORDERS:
        ranked = [paper.id for paper in rank(light, now=now, order=order)]
        assert ranked == [paper.id for paper in rank(whole, now=now, order=order)]
