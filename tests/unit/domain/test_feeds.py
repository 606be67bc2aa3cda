"""When a day's batch needs no more asking, and what it came to."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from services.domain.feeds import batch_is_closed, batch_state

DAY = date(2026, 11, 24)
DURING = datetime(2026, 11, 24, 23, 59, tzinfo=UTC)
AFTER = datetime(2026, 11, 25, 0, 0, tzinfo=UTC)

Row = tuple[str, int | None, int, int, str | None, str]


@pytest.mark.parametrize(
    ("pages", "closed"),
    [
        ([], False),
        ([("parsed", DURING, None)], False),  # it may have grown since
        ([("parsed", AFTER, None)], True),
        ([("parsed", AFTER, "2")], False),  # another page follows
        ([("parsed", AFTER, "2"), ("parsed", AFTER, None)], True),
        ([("failed", AFTER, None)], False),
        ([("fetched", AFTER, None)], False),
        ([("parsed", DURING, None), ("parsed", AFTER, None)], True),
    ],
)
def test_a_day_is_closed_once_its_last_page_was_read_after_it(
    pages: list[tuple[str, datetime, str | None]], closed: bool
) -> None:
    assert batch_is_closed(DAY, pages) is closed


def test_sources_that_add_to_a_day_later_are_asked_for_longer() -> None:
    pages = [("parsed", AFTER, None)]
    assert batch_is_closed(DAY, pages, settles_days=0)
    assert not batch_is_closed(DAY, pages, settles_days=1)
    assert batch_is_closed(DAY, [("parsed", datetime(2026, 11, 26, tzinfo=UTC), None)], settles_days=1)


def row(
    state: str = "parsed", announced: int | None = None, seen: int = 5, rejected: int = 0, following: str | None = None,
    cursor: str = "",
) -> Row:  # fmt: skip
    return (state, announced, seen, rejected, following, cursor)


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        ([], "late"),
        ([row("fetched", seen=0)], "late"),
        ([row("failed", seen=0)], "failed"),
        ([row("failed", seen=0), row("fetched", seen=0, cursor="1")], "late"),
        ([row(seen=0)], "quiet"),
        ([row()], "complete"),
        ([row(announced=5)], "complete"),
        ([row(announced=5, rejected=2)], "complete"),  # refused with a reason is accounted for
        ([row(announced=6)], "partial"),
        ([row(following="1")], "partial"),
        ([row(following="1"), row(cursor="1")], "complete"),
        ([row(following="1", announced=10), row(cursor="1", announced=10)], "complete"),
        ([row(following="1", announced=11), row(cursor="1", announced=11)], "partial"),
        ([row(following="1"), row("failed", seen=0, cursor="1")], "partial"),
        ([row(following="1"), row("failed", seen=0, cursor="1"), row(cursor="1")], "complete"),  # the newest counts
    ],
)
def test_a_batch_comes_to_what_its_pages_add_up_to(rows: list[Row], state: str) -> None:
    assert batch_state(rows) == state
