"""A year of readers: everybody due got exactly one at their hour, nobody one while paused or after leaving."""

from __future__ import annotations

import random

import pytest

from tests.benchmarks import year


def test_a_year_in_twenty_zones_has_no_violation() -> None:
    sent, wrong = year.run(number=100, seed=3)
    assert wrong == []
    assert sent > 15_000


@pytest.mark.parametrize("spoil", ["twice", "lost", "late", "paused", "left"])
def test_the_check_sees_each_kind_of_wrong(spoil: str) -> None:
    outages = year.Outages([])
    (reader,) = year.make_readers(1, random.Random(2))
    reader.subscription.cadence, reader.leaves_at, reader.paused_at = "daily", None, None
    year.live(reader, outages)
    assert year.violations(reader, outages, {}) == []
    period, due, sent_at = reader.got[100]
    match spoil:
        case "twice":
            reader.got.append(reader.got[100])
        case "lost":
            del reader.got[100]
        case "late":
            reader.got[100] = (period, due, sent_at + year.DAY)
        case "paused":
            reader.paused_at, reader.subscription.paused_until = sent_at, sent_at.date() + 2 * year.DAY
        case "left":
            reader.leaves_at = reader.got[-1][2]
    assert year.violations(reader, outages, {})
