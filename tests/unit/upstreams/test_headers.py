"""Header lines that speak of an allowance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.domain.repos import Quota
from services.upstreams.headers import parse_quota

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def quota(limit: int, remaining: int, **wait: float) -> Quota:
    return Quota(limit=limit, remaining=remaining, reset_at=NOW + timedelta(**wait))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"ratelimit": '"api";r=412;t=131', "ratelimit-policy": '"fixed window";"api";q=500;w=300'},
            quota(500, 412, seconds=131),
        ),
        ({"ratelimit": '"pages"; r=0; t=9'}, quota(0, 0, seconds=9)),
        ({"ratelimit": '"api";t=131'}, None),
        ({"ratelimit": '"api";r=1.5;t=131'}, None),
        ({"ratelimit": '"api";r=1;t=99999999999'}, quota(1, 1, days=7)),
        ({"x-ratelimit-remaining": "3"}, None),
        (
            {
                "x-ratelimit-limit": "60",
                "x-ratelimit-remaining": "3",
                "x-ratelimit-reset": str(NOW.timestamp() + 90)[:-2],
            },
            quota(60, 3, seconds=90),
        ),
        (
            {"ratelimit-limit": "400", "ratelimit-remaining": "399", "ratelimit-reset": "41"},
            quota(400, 399, seconds=41),
        ),
        ({"ratelimit-limit": "400", "ratelimit-remaining": "many", "ratelimit-reset": "41"}, None),
        ({}, None),
    ],
)
def test_an_allowance_is_read_in_each_way_it_is_stated(headers: dict[str, str], expected: Quota | None) -> None:
    assert parse_quota(headers, now=NOW) == expected
