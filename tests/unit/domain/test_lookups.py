"""Lookups: when a catalogue is asked about a paper, and whether what it answers is about that paper."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from services.domain.identifiers import Identifier
from services.domain.lookups import AGES, AskedPaper, after_miss, agreed, first_lookup, next_lookup
from services.domain.papers import PaperData

SINCE = datetime(2026, 11, 24, 12, tzinfo=UTC)
ASKED = AskedPaper(
    identifiers=(Identifier("arxiv", "2611.90001"), Identifier("doi", "10.5555/a")),
    title="Lanterns over a tide: reading water by light", announced_on=date(2026, 11, 24),
)  # fmt: skip


def test_a_paper_is_asked_about_from_its_first_day_on_ever_more_seldom() -> None:
    looks, now = [first_lookup(SINCE, SINCE)], SINCE
    while (again := next_lookup(SINCE, looks[-1])) is not None:
        looks.append(again)
    assert [look - SINCE for look in looks] == list(AGES)
    gaps = [later - sooner for sooner, later in pairwise(looks)]
    assert gaps == sorted(gaps)
    assert first_lookup(now - timedelta(days=4000), now) == now, "an old paper is asked about once, at once"
    assert next_lookup(now - timedelta(days=4000), now) is None


def test_a_miss_is_tried_again_soon_and_then_at_the_next_age() -> None:
    now = SINCE + timedelta(days=2)
    assert after_miss(SINCE, now, 1) == now + timedelta(hours=1)
    assert after_miss(SINCE, now, 3) == now + timedelta(days=1)
    assert after_miss(SINCE, now, 4) == SINCE + AGES[1]
    assert after_miss(SINCE, SINCE + timedelta(days=3, hours=23, minutes=50), 1) == SINCE + AGES[1]
    assert after_miss(SINCE, SINCE + timedelta(days=999), 4) is None


def test_dois_of_a_paper_are_its_publishers_and_arxivs() -> None:
    assert ASKED.dois == ("10.5555/a", "10.48550/arxiv.2611.90001")


@pytest.mark.parametrize(
    ("title", "same"),
    [
        ("Lanterns over a tide: reading water by light", True),
        ("LANTERNS OVER A TIDE – Reading Water by Light", True),
        ("Lanterns over a tide", True),
        ("Lanterns Over the Tide: Reading Waters by Light", True),
        ("Grain prices of the Baltic", False),
        ("Lanterns over a tide: reading water by light, part 2", False),
        ("Editorial", False),
    ],
)
def test_an_answer_is_taken_where_the_titles_agree(title: str, same: bool) -> None:
    assert (agreed(ASKED, PaperData(title=title)) is not None) is same


def test_what_is_taken_bears_all_names_and_keeps_its_day() -> None:
    new = Identifier("pmid", "7")
    known = Identifier("doi", "10.5555/a")
    said = agreed(ASKED, PaperData(title=ASKED.title, identifiers=(known, new), announced_on=date(2020, 1, 1)))
    assert said is not None
    assert said.identifiers == (*ASKED.identifiers, new)
    assert said.announced_on == ASKED.announced_on
