"""The order of papers."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import InvalidInput
from services.domain.papers import PaperFacts, RepoFacts
from services.domain.ranking import ORDERS, rank, reasons, score

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def paper(key: str = "arxiv:2611.00001", **facts: Any) -> PaperFacts:
    known: dict[str, Any] = {
        "id": 1,
        "title": "A paper",
        "announced_on": date(2026, 11, 24),
        "first_seen_at": datetime(2026, 11, 24, 3, 0, tzinfo=UTC),
    }
    return PaperFacts(**{**known, **facts, "key": key})


def repo(stars: int | None, gained: int | None = None, state: str = "found") -> RepoFacts:
    return RepoFacts(slug="a/b", url="https://github.com/a/b", state=state, stars=stars, stars_gained_24h=gained)


counts = st.one_of(st.none(), st.integers(-5, 10**30))
papers = st.builds(
    lambda number, votes, comments, stars, gained, days, feeds, withdrawn: paper(
        f"arxiv:2611.{number:05}",
        upvotes=votes,
        comments_count=comments,
        repos=(repo(stars, gained),),
        announced_on=None if days is None else date(2026, 11, 24) - timedelta(days=days),
        feeds=tuple(f"f{n}" for n in range(feeds)),
        withdrawn=withdrawn,
    ),
    st.integers(0, 99_999),
    counts,
    counts,
    counts,
    counts,
    st.one_of(st.none(), st.integers(-3, 4_000)),
    st.integers(0, 5),
    st.booleans(),
)
many = st.lists(papers, max_size=12, unique_by=lambda one: one.key)


@given(many, st.sampled_from(ORDERS), st.randoms())
def test_the_same_papers_give_the_same_list_however_they_come(found: list[PaperFacts], order: str, random: Any) -> None:
    ranked = rank(found, now=NOW, order=order)
    shuffled = list(found)
    random.shuffle(shuffled)
    assert rank(shuffled, now=NOW, order=order) == ranked
    assert sorted(one.key for one in ranked) == sorted(one.key for one in found)


@given(many, st.sampled_from(ORDERS))
def test_withdrawn_papers_come_last_in_every_order(found: list[PaperFacts], order: str) -> None:
    flags = [one.withdrawn for one in rank(found, now=NOW, order=order)]
    assert flags == sorted(flags)


@given(papers)
def test_scores_are_finite_whatever_the_counts(one: PaperFacts) -> None:
    assert 0 <= score(one, NOW) < 1_000


def test_the_formula_is_the_documented_one() -> None:
    one = paper(
        upvotes=10, comments_count=3, repos=(repo(200, 40),), feeds=("a", "b", "c"), announced_on=date(2026, 11, 22)
    )
    interest = 1 + math.log(11) + 0.5 * math.log(4) + 0.7 * math.log(41) + 0.2 * math.log(201) + 0.5 * 2
    assert score(one, NOW) == pytest.approx(interest * 0.5 ** (2.5 / 2), abs=1e-8)


@given(papers, st.integers(0, 10**6), st.integers(1, 10**6))
def test_more_upvotes_never_rank_lower(one: PaperFacts, votes: int, more: int) -> None:
    few = paper(upvotes=votes, announced_on=one.announced_on)
    lots = paper(upvotes=votes + more, announced_on=one.announced_on)
    assert score(lots, NOW) >= score(few, NOW)


def test_gained_stars_weigh_more_than_old_fame() -> None:
    rising = paper("arxiv:1", repos=(repo(400, 180),))
    famous = paper("arxiv:2", repos=(repo(80_000, 0),))
    assert rank([famous, rising], now=NOW)[0] is rising


def test_interest_fades_and_unnoticed_papers_fade_too() -> None:
    fresh, old = paper("arxiv:1"), paper("arxiv:0", announced_on=date(2026, 11, 14))
    assert rank([old, fresh], now=NOW) == [fresh, old]
    assert score(fresh, NOW + timedelta(days=2)) == pytest.approx(score(fresh, NOW) / 2)


def test_dates_ahead_of_us_do_not_lift_a_paper() -> None:
    assert score(paper(announced_on=date(2030, 1, 1)), NOW) == score(
        paper(announced_on=NOW.date()), NOW - timedelta(hours=12)
    )


def test_repositories_that_are_gone_do_not_count() -> None:
    assert score(paper(repos=(repo(5_000, 500, "missing"),)), NOW) == score(paper(), NOW)
    assert not any("star" in reason for reason in reasons(paper(repos=(repo(5_000, 500, "blocked"),)), NOW))


def test_plain_orders_put_unknown_after_nothing_and_settle_ties_by_key() -> None:
    found = [paper("k:0", upvotes=None), paper("k:3", upvotes=0), paper("k:2", upvotes=9), paper("k:1", upvotes=9)]
    assert [one.key for one in rank(found, now=NOW, order="upvotes")] == ["k:1", "k:2", "k:3", "k:0"]
    stars = [paper("k:3"), paper("k:2", repos=(repo(1),)), paper("k:1", repos=(repo(7),))]
    assert [one.key for one in rank(stars, now=NOW, order="stars")] == ["k:1", "k:2", "k:3"]


def test_newest_goes_by_the_day_announced_then_by_publication() -> None:
    early = datetime(2026, 11, 1, tzinfo=UTC)
    a = paper("k:a", announced_on=date(2026, 11, 23), published_at=early + timedelta(days=9))
    b = paper("k:b", announced_on=date(2026, 11, 24), published_at=early)
    c = paper("k:c", announced_on=date(2026, 11, 24), published_at=early + timedelta(days=1))
    assert [one.key for one in rank([a, b, c], now=NOW, order="newest")] == ["k:c", "k:b", "k:a"]


def test_an_unknown_order_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="trending, newest, upvotes, stars"):
        rank([], now=NOW, order="best")


def test_reasons_are_plain_words() -> None:
    one = paper(upvotes=1_087, comments_count=1, repos=(repo(412, 180),), feeds=("daily-papers", "arxiv", "blog"))
    assert reasons(one, NOW) == ("▲ 1,087 on Hugging Face", "1 comment", "+180 stars in 24 h", "listed by 3 feeds")
    assert reasons(paper(feeds=("daily-papers",)), NOW) == ("listed by daily-papers",)


@pytest.mark.parametrize(("days", "said"), [(0, "new today"), (1, "new yesterday"), (9, "9 days old")])
def test_there_is_always_a_reason(days: int, said: str) -> None:
    assert reasons(paper(announced_on=NOW.date() - timedelta(days=days)), NOW) == (said,)


@given(papers)
def test_every_paper_has_a_reason_without_negative_figures(one: PaperFacts) -> None:
    told = reasons(one, NOW)
    assert told
    assert not any("-" in reason for reason in told)
