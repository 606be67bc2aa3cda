"""Batches: complete by the source's own figures, or named for what they lack."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.batches import (
    Page,
    add_up,
    is_stale,
    judge,
    look_again_in,
    page_start,
    settled,
    worth_showing,
)

DAY = date(2026, 11, 24)


def page(
    cursor: str = "", seen: int = 10, following: str | None = None, *, of: int | None = None, state: str = "parsed",
    rejected: int = 0,
) -> Page:  # fmt: skip
    return Page(state=state, cursor=cursor, next_cursor=following, announced=of, seen=seen, rejected=rejected)


FAILED = page(seen=0, state="failed")


@pytest.mark.parametrize(
    ("pages", "state"),
    [
        ([], "late"),
        ([FAILED], "failed"),
        ([page(seen=0, state="fetched")], "late"),
        ([FAILED, page(seen=0, state="fetched")], "late"),
        ([page(seen=0)], "quiet"),
        ([page()], "complete"),
        ([page(of=10)], "complete"),
        ([page(of=10, rejected=3)], "complete"),
        ([page(of=11)], "partial"),
        ([page(following="10", of=20), page("10", of=20)], "complete"),
        ([page(following="10", of=20)], "partial"),
        ([page(following="10", of=20), page("10", 0, of=20, state="failed")], "partial"),
        ([page(following="1"), page("1", 3)], "complete"),
        # the same place asked for again
        ([page(seen=0, following="~1", of=10), page("~1", 0, "~2", of=10), page("~2", 10, of=10)], "complete"),
        ([page(seen=4, following="~1", of=10), page("~1", 10, of=10)], "complete"),
        ([page(seen=4, following="~1", of=10), page("~1", 6, "6", of=10), page("6", 4, of=10)], "complete"),
        ([page(seen=8, following="~1", of=10), page("~1", 5, of=10)], "partial"),
        ([page(seen=4, following="~1", of=10), page("~1", 0, of=10, state="failed")], "partial"),
        # the list moved while it was read
        ([page(following="10", of=20), page("10", 11, of=21)], "partial"),
    ],
)
def test_pages_add_up_to_a_state(pages: list[Page], state: str) -> None:
    assert judge(add_up(pages), expected_quiet=True, overdue=False)[0] == state


def test_a_page_tried_again_counts_by_its_newest_row() -> None:
    figures = add_up([page(seen=0, state="failed"), page(seen=7)])
    assert (figures.seen, figures.short) == (7, "")


def test_what_is_held_proves_a_list_complete_that_moved() -> None:
    moved = add_up([page(following="10", of=20), page("10", 11, of=21, rejected=1)])
    assert judge(moved, held=20, expected_quiet=True, overdue=False)[0] == "complete"
    assert judge(moved, held=19, expected_quiet=True, overdue=False)[0] == "partial"


def test_a_missing_page_is_proven_by_nothing() -> None:
    missing = add_up([page(following="10", of=10)])
    assert judge(missing, held=10, expected_quiet=True, overdue=False) == ("partial", "a page is still missing")


@pytest.mark.parametrize(
    ("expected_quiet", "overdue", "state"),
    [(True, False, "quiet"), (True, True, "quiet"), (False, False, "quiet"), (False, True, "late")],
)
def test_an_empty_list_is_quiet_by_the_calendar_or_late(expected_quiet: bool, overdue: bool, state: str) -> None:
    assert judge(add_up([page(seen=0)]), expected_quiet=expected_quiet, overdue=overdue)[0] == state


def test_a_batch_served_again_is_stale_whatever_its_pages_say() -> None:
    assert judge(add_up([page(of=10)]), expected_quiet=False, overdue=True, stale=True)[0] == "stale"


@pytest.mark.parametrize(
    ("ids", "before", "new", "stale"),
    [
        ({1, 2}, {1, 2}, 0, True),
        ({1}, {1}, 0, True),
        ({1, 2}, {1, 2, 3}, 0, False),  # so few may be chance
        (set(range(5)), set(range(9)), 0, True),
        (set(range(5)), set(range(9)), 1, False),
        (set(range(12)), set(range(1, 9)), 0, True),  # among replacements, which a batch that was made up lacks
        (set(range(12)), set(range(8, 24)), 0, False),
        (set(range(6)), set(range(4)), 0, False),
        (set(), {1}, 0, False),
        ({1}, set(), 0, False),
    ],
)
def test_a_list_is_stale_when_it_is_the_one_before(ids: set[int], before: set[int], new: int, stale: bool) -> None:
    assert is_stale(ids, before, new=new) is stale


def test_looks_at_a_batch_that_is_not_complete_come_ever_more_seldom() -> None:
    hours = timedelta(hours=6)
    waits = [look_again_in(n, hours) / timedelta(minutes=1) for n in range(1, 8)]
    assert waits == [20, 40, 80, 160, 320, 360, 360]
    assert look_again_in(0, hours) == timedelta(minutes=20)
    assert look_again_in(1, timedelta(minutes=5)) == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("state", "after_days", "settles", "closed"),
    [("complete", 1, 0, True), ("quiet", 1, 0, True), ("complete", 0, 0, False), ("partial", 9, 0, False),
     ("complete", 5, 5, False), ("complete", 6, 5, True)],
)  # fmt: skip
def test_a_day_is_settled_when_it_was_complete_after_its_end(
    state: str, after_days: int, settles: int, closed: bool
) -> None:
    checked_at = datetime(2026, 11, 24, 12, tzinfo=UTC) + timedelta(days=after_days)
    assert settled(state, checked_at, DAY, settles_days=settles) is closed


@pytest.mark.parametrize(
    ("batches", "shown"),
    [
        ([], None),
        ([("2026-11-23", "complete", 5), ("2026-11-24", "quiet", 0)], "2026-11-23"),
        ([("2026-11-23", "complete", 5), ("2026-11-24", "late", 0)], "2026-11-24"),
        ([("2026-11-22", "quiet", 0), ("2026-11-21", "quiet", 0)], "2026-11-22"),
    ],
)
def test_the_newest_batch_that_tells_something_is_shown(batches: list[tuple[str, str, int]], shown: str | None) -> None:
    assert worth_showing(batches) == shown


def test_a_further_try_stands_at_the_same_place() -> None:
    assert [page_start(cursor) for cursor in ("", "400", "400~2", "~1")] == ["0", "400", "400", "0"]


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=8), lost=st.integers(0, 400), data=st.data())
def test_a_walk_is_complete_exactly_when_nothing_is_lost(sizes: list[int], lost: int, data: st.DataObject) -> None:
    starts = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    total = starts[-1] + lost
    pages = [
        page(str(starts[n]) if n else "", size, str(starts[n + 1]) if n + 1 < len(sizes) else None, of=total)
        for n, size in enumerate(sizes)
    ]
    figures = add_up(data.draw(st.permutations(pages)))
    assert figures.seen == starts[-1]
    assert (figures.short == "") is (lost == 0)
