"""Charts hold numbers alone and keep to their frame."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.web.charts import HEIGHT, WIDTH, bar, sparkline

START = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize("readings", [[], [(START, 4)], [(START, 4), (START, 5)]])
def test_there_is_no_line_through_fewer_than_two_moments(readings: list[tuple[datetime, int]]) -> None:
    assert sparkline(readings) is None


@given(st.dictionaries(st.integers(0, 10_000), st.integers(0, 10**9), min_size=2, max_size=40))
def test_every_point_lies_inside_the_frame_and_time_runs_right(counts: dict[int, int]) -> None:
    chart = sparkline([(START + timedelta(hours=hour), number) for hour, number in counts.items()])
    assert chart is not None
    line = ET.fromstring(str(chart)).find("polyline")
    assert line is not None
    points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert len(points) == len(counts)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert [x for x, _ in points] == sorted(x for x, _ in points)


def test_more_stars_are_drawn_higher_and_said_in_words() -> None:
    chart = str(sparkline([(START, 1200), (START + timedelta(days=9), 1500)]))
    (first, last) = re.findall(r"[\d.]+,([\d.]+)", re.search(r'line" points="([^"]+)"', chart)[1])  # type: ignore[index]
    assert float(last) < float(first)
    assert 'aria-label="1,200 stars on 1 Nov 2026, 1,500 on 10 Nov 2026"' in chart
    assert "style=" not in chart


@pytest.mark.parametrize(
    ("number", "most", "height"), [(0, 10, "0.0"), (10, 10, "22.0"), (1, 10_000, "1.0"), (0, 0, "0.0")]
)
def test_a_bar_is_as_high_as_its_share_and_never_invisible_when_there_is_something(
    number: int, most: int, height: str
) -> None:
    assert f'height="{height}"' in str(bar(number, most)).split("<rect", 1)[1]
