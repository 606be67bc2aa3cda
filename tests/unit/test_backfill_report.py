"""A day's report after a backfill counts a page once, however often it was asked for."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from services.pipeline.past import _day_report
from services.storage.tables import Fetch

DAY = date(2026, 11, 24)


def page(cursor: str, **figures: Any) -> Fetch:
    return Fetch(
        feed_id=1, slot="backfill x", batch=DAY.isoformat(), cursor=cursor, state="parsed",
        fetched_at=datetime(2026, 11, 25, tzinfo=UTC), **figures,
    )  # fmt: skip


def test_a_page_read_twice_counts_once() -> None:
    report = _day_report(
        DAY, "done",
        [
            page("", announced=150, seen=100, new=90, changed=4, known=5, rejected=1),
            page("100", announced=150, seen=30, new=30),
            page("100~1", announced=150, seen=50, new=20, known=30),
        ],
    )  # fmt: skip
    assert (report.seen, report.new, report.changed, report.known, report.rejected) == (150, 140, 4, 5, 1)
    assert report.announced == report.seen == report.new + report.changed + report.known + report.rejected


def test_a_first_page_read_again_is_the_same_page() -> None:
    report = _day_report(DAY, "done", [page("", seen=0), page("0~1", seen=7, new=7)])
    assert (report.seen, report.new, report.known) == (7, 7, 0)


def test_a_day_without_pages_is_empty() -> None:
    report = _day_report(DAY, "skipped", [])
    assert (report.announced, report.seen, report.known) == (None, 0, 0)
