"""Header lines that speak of an allowance."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.upstreams.headers import Allowance, parse_allowance


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"ratelimit": '"api";r=412;t=131', "ratelimit-policy": '"fixed window";"api";q=500;w=300'},
            Allowance(remaining=412, resets_in=timedelta(seconds=131), limit=500),
        ),
        ({"ratelimit": '"pages"; r=0; t=9'}, Allowance(remaining=0, resets_in=timedelta(seconds=9))),
        ({"ratelimit": '"api";t=131'}, None),
        ({"ratelimit": '"api";r=1.5;t=131'}, None),
        ({"ratelimit": '"api";r=1;t=99999999999'}, Allowance(remaining=1, resets_in=timedelta(days=7))),
        ({"x-ratelimit-remaining": "3"}, None),
        ({}, None),
    ],
)
def test_an_allowance_is_read_where_it_is_stated(headers: dict[str, str], expected: Allowance | None) -> None:
    assert parse_allowance(headers) == expected
