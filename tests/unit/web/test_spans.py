"""Spans: which days a week, a month and what trends are of."""

from __future__ import annotations

from datetime import date

import pytest

from workers.web.kit import parse_day
from workers.web.spans import SPANS, beside, span_of


@pytest.mark.parametrize(
    ("name", "on", "since", "until", "title"),
    [
        ("day", "2026-11-24", "2026-11-24", "2026-11-24", "Tuesday, 24 November 2026"),
        ("week", "2026-11-29", "2026-11-23", "2026-11-29", "23 – 29 November 2026"),
        ("week", "2026-12-02", "2026-11-30", "2026-12-06", "30 November – 6 December 2026"),
        ("week", "2027-01-01", "2026-12-28", "2027-01-03", "28 December 2026 – 3 January 2027"),
        ("month", "2028-02-29", "2028-02-01", "2028-02-29", "February 2028"),
        ("month", "2026-12-31", "2026-12-01", "2026-12-31", "December 2026"),
        ("trending", "2026-11-24", "2026-11-11", "2026-11-24", "Trending"),
        ("fortnight", "2026-11-24", "2026-11-24", "2026-11-24", "Tuesday, 24 November 2026"),
    ],
)
def test_a_span_holds_its_days(name: str, on: str, since: str, until: str, title: str) -> None:
    span = span_of(name, date.fromisoformat(on))
    assert (str(span.since), str(span.until), span.title) == (since, until, title)


@pytest.mark.parametrize("name", SPANS)
@pytest.mark.parametrize("day", ["1900-01-01", "2199-12-31"])
def test_the_first_and_last_days_that_can_be_asked_for_have_spans(name: str, day: str) -> None:
    on = parse_day(day)
    assert on is not None
    assert span_of(name, on).since <= on <= span_of(name, on).until


@pytest.mark.parametrize("text", ["0001-01-01", "1899-12-31", "2200-01-01", "9999-12-31", "2026-02-30", "26-11-24", ""])
def test_no_other_day_can_be_asked_for(text: str) -> None:
    assert parse_day(text) is None


def test_neighbours_go_as_far_as_the_archive() -> None:
    first, last = date(2026, 10, 5), date(2026, 11, 24)
    before, after = beside(span_of("month", last), first=first, last=last)
    assert before is not None
    assert (before.title, before.short, after) == ("October 2026", "October", None)
    week = span_of("week", first)
    before, after = beside(week, first=first, last=last)
    assert before is None
    assert after is not None
    assert (str(after.since), after.short) == ("2026-10-12", "Week of 12 Oct")
    assert beside(span_of("trending", last), first=first, last=last) == (None, None)
