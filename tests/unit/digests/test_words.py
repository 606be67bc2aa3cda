from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from services.digests import words

NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "said"),
    [
        (timedelta(seconds=30), "just now"),
        (timedelta(hours=-5), "just now"),
        (timedelta(minutes=1), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=3, minutes=50), "3 h ago"),
        (timedelta(hours=47), "47 h ago"),
        (timedelta(hours=48), "2 days ago"),
        (timedelta(days=59), "59 days ago"),
        (timedelta(days=60), "2 months ago"),
        (timedelta(days=729), "24 months ago"),
        (timedelta(days=730), "2 years ago"),
    ],
)
def test_ages(since: timedelta, said: str) -> None:
    assert words.age(NOW - since, NOW) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"), (999, "999"), (1_000, "1k"), (1_250, "1.2k"), (1_299, "1.2k"), (9_999, "9.9k"),
        (10_400, "10k"), (999_999, "999k"), (1_000_000, "1M"), (3_460_000, "3.4M"), (-1_200, "−1.2k"),
    ],
)  # fmt: skip
def test_counts_are_cut_never_rounded_up(number: int, said: str) -> None:
    assert words.count(number) == said


@pytest.mark.parametrize(
    ("names", "total", "said"),
    [
        ((), 0, ""),
        ((), 6, "6 authors"),
        (("Ada Rossi",), 1, "Ada Rossi"),
        (("A", "B", "C"), 3, "A, B, C"),
        (("A", "B", "C", "D"), 4, "A, B, … D (4)"),
        (("A",), 3, "A, … (3)"),
        (("A", "B"), 2, "A, B"),
    ],
)
def test_authors_first_two_and_last_with_the_count(names: tuple[str, ...], total: int, said: str) -> None:
    assert words.people(names, total) == said


def test_no_last_author_is_claimed_where_not_all_are_named() -> None:
    assert words.people(("A", "B", "C", "D"), 58, all_named=False) == "A, B, … (58)"


def test_dates_are_the_readers() -> None:
    late_evening = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
    assert words.local_date(late_evening, "Europe/Berlin") == date(2026, 11, 24)
    assert words.local_date(late_evening, "America/New_York") == date(2026, 11, 23)
    assert words.day(date(2026, 11, 24)) == "Tue 24 Nov"
    assert words.day(date(2025, 1, 2), today=date(2026, 11, 24)) == "Thu 2 Jan 2025"
    assert words.long_day(date(2026, 11, 24)) == "Tuesday, 24 November 2026"


@pytest.mark.parametrize("name", ["", "Nowhere/Else", "../../etc/passwd", "Europe", "x" * 5_000, "a\x00b", "/"])
def test_a_bad_time_zone_is_utc(name: str) -> None:
    assert words.local_date(NOW, name) == date(2026, 11, 24)
    assert words.zone_name(name) == "UTC"


@pytest.mark.parametrize(
    ("key", "version", "said"),
    [
        ("arxiv:2611.01234", 2, "arXiv 2611.01234v2"),
        ("arxiv:2611.01234", None, "arXiv 2611.01234"),
        ("doi:10.1000/x", 2, "DOI 10.1000/x"),
        ("url:https://example.org", None, ""),
        ("title:abc", None, ""),
        ("", None, ""),
    ],
)
def test_identifiers_as_readers_write_them(key: str, version: int | None, said: str) -> None:
    assert words.identifier(key, version) == said


def test_moments_within_a_text_are_told_to_the_minute() -> None:
    assert words.moments("lab 2026-11-24T08:00:31.523Z 2026-11-23") == "lab 2026-11-24 08:00 2026-11-23"


@pytest.mark.parametrize(
    ("code", "detail", "said"),
    [("404", "lab answered 404: gone", "lab answered 404: gone"), ("550", "no such user", "550 no such user"),
     ("250", "2.0.0 Ok: queued as 92501F", "250 2.0.0 Ok: queued as 92501F"), ("250", "250 2.0.0 Ok", "250 2.0.0 Ok"),
     ("ok", None, "ok"), (None, None, "")],
)  # fmt: skip
def test_an_answer_tells_its_code_once(code: str | None, detail: str | None, said: str) -> None:
    assert words.answer(code, detail) == said
