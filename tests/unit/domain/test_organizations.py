"""Organisations of a paper, from what is said of it and of its authors; categories by either of their names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.domain.categories import ALIASES, NAMES, label, once, with_twins
from services.domain.indexed import Indexed
from services.domain.organizations import Organization, main_organization, organizations_of
from services.domain.papers import AuthorData, PaperFacts
from tests.factories import parse_query


def paper(**changes: Any) -> PaperFacts:
    values: dict[str, Any] = {
        "id": 1, "key": "arxiv:2611.90001", "title": "Lanterns", "first_seen_at": datetime(2026, 11, 24, tzinfo=UTC)
    }  # fmt: skip
    return PaperFacts(**(values | changes))


def test_a_paper_without_any_has_none() -> None:
    assert organizations_of(paper(authors=(AuthorData(name="Ada"),))) == ()
    assert main_organization(paper()) is None


def test_they_are_counted_by_authors_and_the_one_it_is_listed_for_comes_first() -> None:
    found = organizations_of(
        paper(
            organization="Tide Lab",
            authors=(
                AuthorData(name="Ada", affiliation="Northlake Institute; Porto", ror="03yrm5c26"),
                AuthorData(name="Bram", affiliation="NORTHLAKE INSTITUTE ; "),
                AuthorData(name="Cleo", affiliation="tide lab"),
                AuthorData(name="Dara"),
            ),
        )
    )
    assert found == (
        Organization("Tide Lab", 1), Organization("Northlake Institute", 2, "03yrm5c26"), Organization("Porto", 1),
    )  # fmt: skip


def test_where_nobody_lists_it_for_one_most_of_its_authors_say() -> None:
    authors = (AuthorData(name="A", affiliation="Porto"), *(AuthorData(name=n, affiliation="Lake") for n in "BC"))
    assert main_organization(paper(authors=authors)) == "Lake"
    assert main_organization(paper(authors=authors, organization="Lab")) == "Lab"


@pytest.mark.parametrize("name", ['The "Lake" Institute', "A\\B: C (D)", "北京大学", "R&D * ? ~", "AND OR NOT"])
def test_the_query_of_an_organisation_finds_its_papers(name: str) -> None:
    query = parse_query(Organization(name, 1).query)
    assert query.matches(Indexed(paper(authors=(AuthorData(name="A", affiliation=f"X; {name}"),))))
    assert not query.matches(Indexed(paper(organization="Another place")))


# -- categories ----------------------------------------------------------------------------------------------------


def test_every_category_has_a_name_and_six_have_two() -> None:
    assert len(NAMES) == 155
    assert len(ALIASES) == 6
    assert set(ALIASES) | set(ALIASES.values()) <= set(NAMES)
    assert label("cs.LG") == "Machine Learning"
    assert label("cs.SY") == label("eess.SY") == "Systems and Control"
    assert label("no.SUCH") == ""


def test_two_names_of_one_list_are_shown_once_and_found_by_both() -> None:
    assert once(["cs.NA", "math.NA", "cs.LG", "cs.LG"]) == ["cs.NA", "cs.LG"]
    assert with_twins(["cs.LG", "cs.NA"]) == ["cs.LG", "cs.NA", "math.NA"]
    for one, other in ALIASES.items():
        for asked, held in ((one, other), (other, one)):
            assert parse_query(f"cat:{asked}").matches(Indexed(paper(categories=(held,)))), (asked, held)
            assert not parse_query(f"cat:{asked}").matches(Indexed(paper(categories=("cs.LG",))))
