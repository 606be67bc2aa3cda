from __future__ import annotations

import csv
import os
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.momentum import Momentum, is_stale, momentum, steady

CORPORA = Path(os.environ.get("BROADSHEET_CORPORA") or Path(__file__).parents[4] / "shared" / "corpora")
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def daily(*stars: int) -> list[tuple[datetime, int]]:
    """One reading a day, the last one now."""
    return [(NOW - DAY * (len(stars) - 1 - n), count) for n, count in enumerate(stars)]


def test_a_steady_repository() -> None:
    readings = daily(100, 110, 120, 130, 140, 150, 160, 170, 180)
    got = momentum(readings, NOW, published_at=NOW - 8 * DAY)
    assert got == Momentum(gained_24h=10, gained_7d=70, gained_since=80, per_day=10.0)


def test_a_single_wild_reading_shows_nowhere() -> None:
    assert momentum(daily(100, 110, 9_000, 130, 140), NOW) == momentum(daily(100, 110, 120, 130, 140), NOW)
    assert momentum(daily(1_000, 1_010, 0, 1_030), NOW).gained_24h == 10  # 20 in the two days


def test_a_fall_is_told_as_one() -> None:
    assert momentum(daily(500, 500, 436), NOW).gained_24h == -64


def test_a_count_begun_anew_counts_from_there() -> None:
    got = momentum(daily(5_000, 5_010, 3, 9, 20), NOW, published_at=NOW - 4 * DAY)
    assert got.gained_24h == 11
    assert steady(daily(5_000, 5_010, 3, 9, 20), NOW)[0][1] == 3


def test_a_step_that_lasts_is_no_outlier() -> None:
    assert momentum(daily(100, 100, 2_000, 2_010), NOW).gained_24h == 10


def test_one_great_day_does_not_make_a_fast_repository() -> None:
    assert momentum(daily(100, 101, 102, 902, 903, 904, 905, 906), NOW).per_day == 1.0


def test_too_little_is_not_known() -> None:
    assert momentum([], NOW) == Momentum()
    assert momentum(daily(100), NOW) == Momentum()
    late = [(NOW - DAY, 400), (NOW, 410)]
    assert momentum(late, NOW, published_at=NOW - 30 * DAY).gained_since is None  # nobody looked when it came out


def test_a_gap_is_spread_evenly() -> None:
    got = momentum([(NOW - 10 * DAY, 100), (NOW, 200)], NOW)
    assert (got.gained_24h, got.gained_7d, got.per_day) == (10, 70, 10.0)


def test_readings_of_the_future_do_not_count() -> None:
    assert momentum([*daily(10, 20), (NOW + DAY, 900)], NOW).gained_24h == 10


def test_stale_is_a_year_without_a_push() -> None:
    assert is_stale(NOW - 366 * DAY, NOW)
    assert not is_stale(NOW - 364 * DAY, NOW)
    assert not is_stale(None, NOW)


@given(st.lists(st.tuples(st.integers(-2_000, 100), st.integers(-5, 10**6)), max_size=30), st.randoms())
def test_order_and_repeats_make_no_difference(points: list[tuple[int, int]], dice: object) -> None:
    readings = list({NOW + timedelta(hours=h): (NOW + timedelta(hours=h), n) for h, n in points}.values())
    expected = momentum(readings, NOW, published_at=NOW - 20 * DAY)
    dice.shuffle(readings)  # type: ignore[attr-defined]
    assert momentum(readings * 2, NOW, published_at=NOW - 20 * DAY) == expected


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the recorded payloads are not here (BROADSHEET_CORPORA)")
def test_recorded_stars_of_thousands_of_repositories() -> None:
    stars: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for path in sorted((CORPORA / "github" / "ranking_csv").glob("*.csv")):
        day = datetime.fromisoformat(path.stem[-10:]).replace(tzinfo=UTC)
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                name = row.get("repo_url") or row["repo_name"]
                stars[name].append((day, int(row["stars"])))
    now = max(day for found in stars.values() for day, _ in found)
    whole = {name: found for name, found in stars.items() if len({day for day, _ in found}) == 8}
    assert len(whole) > 2_000
    fell = 0
    for found in whole.values():
        got = momentum(found, now)
        counts = dict(found)
        assert got.gained_7d == counts[now] - counts[now - 7 * DAY]
        assert got.gained_24h == counts[now] - counts[now - DAY]
        assert got.per_day is not None
        steps = [counts[now - n * DAY] - counts[now - (n + 1) * DAY] for n in range(7)]
        assert min(steps) <= got.per_day <= max(steps)
        fell += got.gained_7d < 0
    assert fell > 100
