from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.repos import license_class, next_check, stars_gained

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize("state", ["found", "not_modified"])
@pytest.mark.parametrize(
    ("age", "stars", "wait"),
    [
        (timedelta(0), 0, 6 * HOUR),
        (-DAY, 0, 6 * HOUR),
        (47 * HOUR, 0, 6 * HOUR),
        (2 * DAY, 0, 12 * HOUR),
        (7 * DAY, 0, DAY),
        (30 * DAY, 0, 3 * DAY),
        (90 * DAY, 0, 7 * DAY),
        (4_000 * DAY, 0, 7 * DAY),
        (4_000 * DAY, 999, 7 * DAY),
        (4_000 * DAY, 1_000, DAY),
        (DAY, 80_000, 6 * HOUR),
        (None, None, DAY),
    ],
)
def test_found_repositories_are_looked_at_less_often_as_the_paper_ages(
    state: str, age: timedelta | None, stars: int | None, wait: timedelta
) -> None:
    assert next_check(state, now=NOW, age_of_paper=age, stars=stars, failures=0) == NOW + wait


@pytest.mark.parametrize(
    ("state", "failures", "wait"),
    [
        ("missing", 0, 6 * HOUR),
        ("missing", 1, 6 * HOUR),
        ("missing", 2, DAY),
        ("missing", 3, 3 * DAY),
        ("missing", 4, 7 * DAY),
        ("missing", 5, 21 * DAY),
        ("missing", 6, 60 * DAY),
        ("missing", 700, 60 * DAY),
        ("blocked", 1, 7 * DAY),
        ("blocked", 9, 60 * DAY),
        ("failed", 1, HOUR),
        ("failed", 9, DAY),
    ],
)
def test_repositories_that_are_not_there_fade(state: str, failures: int, wait: timedelta) -> None:
    assert next_check(state, now=NOW, age_of_paper=DAY, stars=None, failures=failures) == NOW + wait


def test_a_state_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="renamed"):
        next_check("renamed", now=NOW, age_of_paper=None, stars=None, failures=0)


@pytest.mark.parametrize(
    ("spdx", "expected"),
    [
        (None, "none"),
        ("", "none"),
        ("  ", "none"),
        ("NONE", "none"),
        ("MIT", "permissive"),
        ("mit", "permissive"),
        ("Apache-2.0", "permissive"),
        ("BSD-3-Clause", "permissive"),
        ("BSD-3-Clause-Clear", "permissive"),
        ("0BSD", "permissive"),
        ("Unlicense", "permissive"),
        ("CC0-1.0", "permissive"),
        ("CC-BY-4.0", "permissive"),
        ("BSL-1.0", "permissive"),
        ("GPL-3.0", "copyleft"),
        ("GPL-2.0-or-later", "copyleft"),
        ("LGPL-2.1+", "copyleft"),
        ("AGPL-3.0-only", "copyleft"),
        ("MPL-2.0", "copyleft"),
        ("EUPL-1.2", "copyleft"),
        ("CC-BY-SA-4.0", "copyleft"),
        ("CC-BY-NC-4.0", "other"),
        ("CC-BY-NC-SA-4.0", "other"),
        ("CC-BY-ND-4.0", "other"),
        ("BUSL-1.1", "other"),
        ("SSPL-1.0", "other"),
        ("NOASSERTION", "other"),
        ("LicenseRef-Llama", "other"),
        ("MIT OR Apache-2.0", "permissive"),
        ("GPL-3.0-only OR MIT", "permissive"),
        ("MIT AND GPL-3.0-only", "copyleft"),
        ("(MIT AND BSD-2-Clause) OR GPL-2.0", "permissive"),
        ("GPL-2.0 WITH Classpath-exception-2.0", "copyleft"),
        ("MIT AND CC-BY-NC-4.0", "other"),
    ],
)
def test_licences_fall_into_classes(spdx: str | None, expected: str) -> None:
    assert license_class(spdx) == expected


@given(st.text(max_size=60))
def test_any_licence_text_has_a_class(text: str) -> None:
    assert license_class(text) in {"permissive", "copyleft", "other", "none"}


def at(days_ago: float, stars: int) -> tuple[datetime, int]:
    return (NOW - days_ago * DAY, stars)


@pytest.mark.parametrize(
    ("readings", "window", "gained"),
    [
        ([], 7, None),
        ([at(0, 10)], 7, None),
        ([at(7, 10), at(0, 25)], 7, 15),
        ([at(0, 25), at(7, 10)], 7, 15),
        ([at(7, 25), at(0, 10)], 7, -15),
        ([at(7, 10), at(3, 900), at(0, 25)], 7, 15),
        # no reading at the start itself: read off the line between its neighbours
        ([at(8, 100), at(6, 120), at(0, 150)], 7, 40),
        ([at(14, 0), at(0, 140)], 7, 70),
        ([at(100, 0), at(0.5, 1000), at(0, 1010)], 1, 15),
        # nothing before the start: what is inside counts if it covers half of the window
        ([at(4, 10), at(0, 30)], 7, 20),
        ([at(3.5, 10), at(0, 30)], 7, 20),
        ([at(3, 10), at(0, 30)], 7, None),
        # nothing inside the window
        ([at(20, 10), at(9, 30)], 7, None),
        # readings of the future do not count
        ([at(7, 10), at(0, 25), at(-1, 99)], 7, 15),
        # two of one moment: the later one given counts
        ([at(7, 10), at(7, 12), at(0, 25)], 7, 13),
    ],
)
def test_stars_gained_over_a_window(readings: list[tuple[datetime, int]], window: float, gained: int | None) -> None:
    assert stars_gained(readings, NOW, window * DAY) == gained


@given(
    st.lists(st.tuples(st.integers(-5, 400), st.integers(0, 500_000)), max_size=30),
    st.integers(1, 400),
)
def test_gains_lie_within_what_was_read_and_do_not_depend_on_order(raw: list[tuple[int, int]], hours: int) -> None:
    readings = list({NOW - age * HOUR: stars for age, stars in raw}.items())
    gained = stars_gained(readings, NOW, hours * HOUR)
    assert gained == stars_gained(readings[::-1], NOW, hours * HOUR)
    if gained is not None:
        counts = [stars for _, stars in readings]
        assert abs(gained) <= max(counts) - min(counts)
