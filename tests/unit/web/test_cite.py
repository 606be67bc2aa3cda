"""BibTeX: complete, and inert whatever the texts hold."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.cite import bibtex, cite_key
from services.domain.identifiers import Identifier
from services.domain.papers import AuthorData, PaperFacts


def paper(**changes: object) -> PaperFacts:
    values: dict[str, object] = {
        "id": 1, "key": "arxiv:2611.90001", "title": "The Lantern & the Tide: 50% of $x_i$",
        "authors": (AuthorData(name="Ada Quíll"), AuthorData(name="Bram Osei")), "authors_count": 2,
        "published_at": datetime(2026, 11, 23, tzinfo=UTC), "first_seen_at": datetime(2026, 11, 24, tzinfo=UTC),
        "categories": ("cs.CL",), "identifiers": (Identifier("arxiv", "2611.90001"), Identifier("doi", "10.5/ab_c")),
    }  # fmt: skip
    return PaperFacts(**{**values, **changes})  # type: ignore[arg-type]


def test_an_entry_is_complete() -> None:
    entry = bibtex(paper())
    assert entry.startswith("@misc{quill2026lantern,\n")
    assert "= {Ada Quíll and Bram Osei}" in entry
    assert r"\& the Tide: 50\% of" in entry
    for line in ("= {2026}", "= nov", "= {2611.90001}", "= {arXiv}", "= {cs.CL}", "= {10.5/ab_c}",
                 "= {https://arxiv.org/abs/2611.90001}"):  # fmt: skip
        assert line in entry


def test_a_published_one_is_an_article() -> None:
    entry = bibtex(paper(journal_ref="J. Tides 4 (2026)"))
    assert entry.startswith("@article{")
    assert "= {J. Tides 4 (2026)}" in entry


@pytest.mark.parametrize("name", ["Sand and Sea Group", "Quill, Ada"])
def test_names_that_hold_structure_are_held_together(name: str) -> None:
    assert f"= {{{{{name}}}}}" in bibtex(paper(authors=(AuthorData(name=name),), authors_count=1))


def test_authors_who_are_counted_but_not_named_are_others() -> None:
    assert "Bram Osei and others}" in bibtex(paper(authors_count=300))


def test_a_paper_of_which_little_is_known_has_a_key() -> None:
    bare = paper(title="A", authors=(), published_at=None, categories=(), key="title:a", identifiers=())
    assert cite_key(bare) == "anon"
    assert cite_key(paper(authors=(), published_at=None, announced_on=date(2025, 1, 2))) == "anon2025lantern"


@given(st.text(max_size=200), st.text(min_size=1, max_size=60))
def test_braces_balance_and_no_text_leaves_its_field(title: str, name: str) -> None:
    entry = bibtex(paper(title=title, authors=(AuthorData(name=name),), authors_count=1, comment=title))
    depth = 0
    plain = entry.replace("\\{", "").replace("\\}", "")
    for char in plain:
        depth += (char == "{") - (char == "}")
        assert depth >= 0
    assert depth == 0
    assert plain.rstrip().endswith("}")
    # One field a line, the first and the last aside: nothing inside broke out of its line.
    assert all(line.startswith("  ") for line in entry.splitlines()[1:-1])
