"""Rule previews: what a query would have brought, and what each of its exclusions removes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.domain.queries import QueryError
from services.domain.rules import allowing, exclusions, written
from services.pipeline.rules import preview_rule
from services.runtime import Runtime
from tests.factories import DAY, add_feed, entry, parse_query, store


def test_the_last_days_are_counted_and_each_exclusion_by_itself(rt: Runtime) -> None:
    papers = [
        entry(n, title=f"Lanterns {'survey' if n % 3 == 0 else 'measured'}", announced_on=DAY - timedelta(days=n % 10),
              categories=("cs.CV",) if n % 5 == 0 else ("cs.CL",))
        for n in range(1, 31)
    ]  # fmt: skip
    papers.append(entry(31, announced_on=DAY - timedelta(days=90)))
    papers.append(entry(32, title="Else", abstract="Else"))
    papers.append(entry(33, title="Lanterns withdrawn", withdrawn=True))
    store(rt, papers, feed=add_feed(rt, "daily-papers"))
    with rt.reading() as session:
        tried = preview_rule(session, "lanterns -title:survey -cat:cs.CV", now=rt.now(), limit=3)
    # Of 30: 10 surveys, 6 of cs.CV, 2 of them both.
    assert tried.matched == 16
    assert tried.removed == (("-title:survey", 8), ("-category:cs.cv", 4))
    assert tried.considered == 32
    assert len(tried.papers) == 3
    assert sum(number for _, number in tried.by_day) == 16
    assert len(tried.by_day) == 30
    assert tried.sentence() == "last 30 days: 16 matches, 0.5 a day; -title:survey removes 8; -category:cs.cv removes 4"


def test_a_query_that_finds_nothing_says_so(rt: Runtime) -> None:
    with rt.reading() as session:
        tried = preview_rule(session, "nowhere", now=rt.now())
    assert tried.sentence() == "last 30 days: 0 matches, 0 a day"


def test_a_query_that_cannot_be_read_is_refused(rt: Runtime) -> None:
    with rt.reading() as session, pytest.raises(QueryError):
        preview_rule(session, "(lanterns", now=rt.now())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a -survey", ["-survey"]), ('a -"position paper"', ['-"position paper"']),
        ("a NOT (b OR cat:cs.*)", ["-b", "-category:cs.*"]),
        ("(a -b) OR (c -b)", ["-b"]), ("-has:code -upvotes:>=5", ["-has:code", "-upvotes:[5 TO *]"]), ("a", []),
        ("-arxiv:2601.01234 -withdrawn:true", ["-arxiv:2601.01234", "-withdrawn:true"]),
    ],
)  # fmt: skip
def test_exclusions_are_found_wherever_they_stand(text: str, shown: list[str]) -> None:
    query = parse_query(text)
    found = exclusions(query)
    assert [written(one) for one in found] == shown
    assert exclusions(allowing(query, *found)) == ()
