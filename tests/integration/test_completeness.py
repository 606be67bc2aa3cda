"""Completeness: after days of every kind of trouble nothing is missing, and nobody had to lift a hand.

`python -m tests.completeness` does the same for a year.
"""

from __future__ import annotations

import pytest

from services.storage.tables import Feed
from tests import completeness
from tests.completeness import MET, START
from tests.conftest import MakeRuntime
from tests.factories import all_rows
from tests.fakes import Clock

DAYS = 8


@pytest.mark.timeout(300)
def test_days_of_trouble_leave_nothing_out(make_runtime: MakeRuntime, clock: Clock) -> None:
    with completeness.sites_for(clock, START, DAYS) as sites:
        rt = make_runtime(**sites.urls(), **completeness.settings())
        completeness.hasten(rt)
        report = completeness.run(rt, sites, clock, first=START, days=DAYS)
    print(completeness.table(report))
    assert report.wrong == []
    assert all(source.announced > 100 for source in report.sources)
    assert any(source.made_up for source in report.sources), "the lost day was made up"
    assert set(MET) <= set(report.met)
    (rss,) = all_rows(rt, Feed, name="arxiv-rss")
    told = completeness.compare(rt, rss, {START: sites.listed(START) | {"2609.99999"}})
    assert told.missing, "a paper that is missing is found out"
