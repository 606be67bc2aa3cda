"""Re-checks: a young paper is read again ever more seldom, and never loses what was known of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.domain.identifiers import Identifier
from services.domain.papers import PaperData
from services.domain.rechecks import AGES, MOST_MISSES, after_miss, keep_said, next_recheck

SINCE = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_paper_is_looked_at_at_each_age_once() -> None:
    now, looks = SINCE, []
    while (due := next_recheck(SINCE, now)) is not None:
        looks.append(due - SINCE)
        now = due
    assert tuple(looks) == AGES


def test_looks_that_were_missed_are_not_made_up() -> None:
    assert next_recheck(SINCE, SINCE + timedelta(days=10)) == SINCE + timedelta(days=21)
    assert next_recheck(SINCE, SINCE + timedelta(days=61)) is None


def test_a_record_that_cannot_be_read_is_tried_again_before_the_next_age() -> None:
    now = SINCE + timedelta(days=7)
    waits = [after_miss(SINCE, now, misses) for misses in range(1, 8)]
    assert waits[:4] == [now + HOUR / 2, now + 3 * HOUR, now + 12 * HOUR, now + 24 * HOUR]
    assert waits[MOST_MISSES - 1] == SINCE + timedelta(days=21)
    assert after_miss(SINCE, SINCE + timedelta(hours=5), 3) == SINCE + timedelta(hours=6)
    old = SINCE + timedelta(days=70)
    assert after_miss(SINCE, old, 1) == old + HOUR / 2
    assert after_miss(SINCE, old, MOST_MISSES) is None


def test_what_the_record_leaves_out_is_not_taken_back() -> None:
    record = PaperData(identifiers=(Identifier("arxiv", "2611.00001"),), title="Lanterns", upvotes=9, ai_summary="New.")
    said = {
        "title": "Old", "comments_count": 4, "upvotes": 2, "organization": "Tidal Lab", "ai_summary": "Old.",
        "ai_keywords": ["tide"], "thumbnail_url": "https://cdn.example/t.png",
    }  # fmt: skip
    merged = keep_said(record, said)
    assert (merged.comments_count, merged.upvotes, merged.organization) == (4, 9, "Tidal Lab")
    assert (merged.title, merged.ai_summary, merged.ai_keywords) == ("Lanterns", "New.", ("tide",))
    assert keep_said(record, {}) == record
