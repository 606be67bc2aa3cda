"""Days of a query that are counted from today."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from services.domain.papers import PaperFacts
from services.domain.queries import Query
from services.domain.query_terms import DateTerm
from tests.factories import parse_query


def paper(announced_on: date) -> PaperFacts:
    """A paper of that day."""
    return PaperFacts(
        id=1, key="arxiv:2611.90001", title="Lanterns", announced_on=announced_on,
        first_seen_at=datetime(2026, 11, 24, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("today", "text", "day"),
    [
        (date(2026, 3, 31), "now-1m", date(2026, 2, 28)),
        (date(2028, 3, 31), "now-1m", date(2028, 2, 29)),
        (date(2028, 2, 29), "now-1y", date(2027, 2, 28)),
        (date(2026, 1, 15), "now-13m", date(2024, 12, 15)),
        (date(2026, 12, 31), "now+2m", date(2027, 2, 28)),
        (date(2026, 3, 2), "now-2w", date(2026, 2, 16)),
        (date(2026, 1, 1), "today-1d", date(2025, 12, 31)),
    ],
)
def test_days_are_counted_back_from_today(today: date, text: str, day: date) -> None:
    query = parse_query(f"announced:{text}", today)
    assert query == Query(query.text, DateTerm("announced", day, day))
    assert query.matches(paper(day))
    assert not query.matches(paper(day + timedelta(days=1)))


def test_the_same_words_mean_another_day_tomorrow() -> None:
    text, announced = "announced:>=now-4d", paper(date(2026, 11, 20))
    assert parse_query(text, date(2026, 11, 24)).matches(announced)
    assert not parse_query(text, date(2026, 11, 25)).matches(announced)
