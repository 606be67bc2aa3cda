"""Dates, author lines, categories and withdrawal notices as the services write them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.upstreams.fields import (
    arxiv_categories,
    author_from,
    authors_from,
    name_entry,
    parse_day,
    parse_utc,
    says_withdrawn,
    split_byline,
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Ana Lima", [("Ana Lima", None)]),
        ("A B, C D and E F", [("A B", None), ("C D", None), ("E F", None)]),
        ("A B, C D, and E F", [("A B", None), ("C D", None), ("E F", None)]),
        ("A B; C D", [("A B", None), ("C D", None)]),
        ("Anders Sand, Andy Landry", [("Anders Sand", None), ("Andy Landry", None)]),
        ("A B (Lab, City), C D (Bergen (Norway))", [("A B", "Lab, City"), ("C D", "Bergen (Norway)")]),
        ("Eva Grand (X) and Bo Li (X and Y)", [("Eva Grand", "X"), ("Bo Li", "X and Y")]),
        ("HESS Collaboration: A. One, B. Two", [("HESS Collaboration", None), ("A. One", None), ("B. Two", None)]),
        ("A B (1), C D (1 and 2) ((1) Here, (2) There)", [("A B", "Here"), ("C D", "Here; There")]),
        ("A B (1), C D", [("A B", None), ("C D", None)]),
        ("C. Cohen, Jr., D. Diaz, III", [("C. Cohen, Jr.", None), ("D. Diaz, III", None)]),
        ("Kim, S., van Dam, D. A.", [("S. Kim", None), ("D. A. van Dam", None)]),
        (r"B. G\"oran Lind, M. F\"u{\ss}ling", [("B. Göran Lind", None), ("M. Füßling", None)]),
        ("A B (unclosed, C D", [("A B", "unclosed, C D")]),
        ("noreply@example.org, Ana Lima", [("Ana Lima", None)]),
        ("", []),
        (" , ; and ", []),
    ],
)  # fmt: skip
def test_an_author_line_becomes_authors(line: str, expected: list[tuple[str, str | None]]) -> None:
    assert [(one.name, one.affiliation) for one in split_byline(line)] == expected


@given(st.lists(st.text(alphabet="ABCDEFGHabcdefgh .-'é", min_size=3, max_size=20), max_size=30))
def test_names_joined_by_commas_come_apart_again(names: list[str]) -> None:
    plain = [" ".join(name.split()).strip() for name in names]
    usable = [f"X{name}y" for name in plain]
    assert [one.name for one in split_byline(", ".join(usable))] == usable


@given(st.text(max_size=300))
def test_any_text_is_an_author_line_of_clean_names(line: str) -> None:
    for author in split_byline(line):
        assert author.name == author.name.strip() != ""
        assert "\n" not in author.name
        assert "\x00" not in author.name


@given(st.lists(st.text(alphabet="Aé. -\n\\'@,", max_size=12)))
def test_a_list_of_names_becomes_what_each_name_becomes(names: list[str]) -> None:
    assert authors_from(names) == tuple(author for author in map(author_from, names) if author)


def test_a_line_break_within_a_name_parts_no_names() -> None:
    assert [author.name for author in authors_from(["Ada\nQuill", "Bo Li"])] == ["Ada Quill", "Bo Li"]
    assert [author.name for author in authors_from(["A" * 400, "Bo Li"])] == ["A" * 300, "Bo Li"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T10:00:00Z", datetime(2026, 11, 24, 10, tzinfo=UTC)),
        ("2026-11-24T10:00:00.123Z", datetime(2026, 11, 24, 10, 0, 0, 123000, tzinfo=UTC)),
        ("2003-07-07T13:46:39-04:00", datetime(2003, 7, 7, 17, 46, 39, tzinfo=UTC)),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        (" 2026-11-24T10:00:00 ", datetime(2026, 11, 24, 10, tzinfo=UTC)),
        ("Wed, 02 Feb 2011 17:31:28 GMT", datetime(2011, 2, 2, 17, 31, 28, tzinfo=UTC)),
        ("Thu, 03 Feb 2011 00:00:00 -0500", datetime(2011, 2, 3, 5, tzinfo=UTC)),
        ("0000-00-00", None),
        ("1899-12-31", None),
        ("2200-01-01", None),
        ("Wed, 02 Feb 2011 17:31:28 +9999", None),
        ("now", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_utc_or_none(text: str | None, expected: datetime | None) -> None:
    assert parse_utc(text) == expected


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading_of_times(text: str) -> None:
    moment = parse_utc(text)
    assert moment is None or moment.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2026-11-24", date(2026, 11, 24)), ("2026-W47", None), ("2026-11", None), ("2026-02-30", None)],
)
def test_only_a_day_is_a_day(text: str, expected: date | None) -> None:
    assert parse_day(text) == expected


def test_arxiv_categories_are_kept_once_and_in_order() -> None:
    terms = [
        "cs.CL",
        "cond-mat.stat-mech",
        "math-ph",
        "cs.CL",
        "physics.optics",
        "68T45",
        "I.2.10",
        "cs",
        "engineering",
    ]
    expected = ("cs.CL", "cond-mat.stat-mech", "math-ph", "physics.optics", "cs")
    assert arxiv_categories([*terms, ""]) == expected


@pytest.mark.parametrize(
    "comment",
    [
        "Withdrawn",
        "This paper has been withdrawn",
        "The paper has been withdrawn by the author due to an error",
        "5 pages. This paper has been withdrawn by the authors because of a flaw",
        "This submission has been withdrawn by arXiv administrators",
        "This paper is withdrawn",
        "Paper has been withdrawn by the author",
    ],
)
def test_a_withdrawal_notice_is_understood(comment: str) -> None:
    assert says_withdrawn(comment)


@pytest.mark.parametrize(
    "comment",
    ["12 pages", "", None, "Replaces the withdrawn arXiv:1234.56789", "Troops were withdrawn in 1990; 3 figures"],
)
def test_the_word_alone_is_no_notice(comment: str | None) -> None:
    assert not says_withdrawn(comment)


def test_an_abstract_that_begins_with_the_notice_counts_and_one_that_mentions_it_does_not() -> None:
    assert says_withdrawn(None, "This paper and abstract have been withdrawn.")
    assert not says_withdrawn(
        None, "We study why papers are retracted. " * 5 + "This paper has been withdrawn is a phrase."
    )


def test_a_rejected_entry_is_named_by_the_first_that_says_something() -> None:
    assert name_entry(None, "", " \n", "A Jar") == "A Jar"
    assert name_entry({"a": 1}) == "{'a': 1}"
    assert name_entry() == "(nothing to name it by)"
    assert len(name_entry("x" * 9_000)) == 500
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert name_entry(deep) == "(nested too deeply to show)"
    while deep:
        deep = deep[0]  # type: ignore[assignment]
