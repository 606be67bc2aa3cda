"""What sources say becomes facts: the best wins field by field, and the order of arrival does not matter."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.domain.identifiers import Identifier
from services.domain.links import LinkData
from services.domain.merging import (
    FIELDS,
    PREFERRED,
    SOURCES,
    compose,
    fingerprint,
    meaning,
    state,
    supersedes,
    together,
)
from services.domain.papers import AuthorData, PaperData

DAY = date(2026, 11, 24)
PAPER = PaperData(
    identifiers=(Identifier("arxiv", "2611.90001"),), title="Lanterns", abstract="A tide.", version=2,
    authors=(AuthorData(name="Ada Quill", orcid="0000-0001"), AuthorData(name="Bram Osei")), upvotes=3,
    published_at=datetime(2026, 11, 20, tzinfo=UTC), updated_at=datetime(2026, 11, 22, tzinfo=UTC),
    categories=("cs.CL",), announced_on=date(2026, 11, 23),
)  # fmt: skip


def said(paper: PaperData = PAPER, source: str = "hf_papers", **changes: Any) -> Any:
    return state(replace(paper, **changes), source=source, fallback_day=DAY)


def test_the_same_words_again_change_nothing_but_their_days() -> None:
    old = said()
    assert together(said(), old) is old
    unread = replace(old, data={})  # of what is only said again nothing but the hash is read
    assert together(said(), unread) is unread
    later = replace(said(), as_of=f"{old.as_of} 2026-11-25")
    assert together(later, unread) == later
    earlier = replace(said(), as_of="0000", first_on=date(2026, 11, 1))
    assert together(earlier, unread) == replace(old, first_on=date(2026, 11, 1))


def test_every_field_of_a_fact_is_one_a_source_can_state() -> None:
    assert set(FIELDS) <= set(PaperData.__struct_fields__)
    assert set(PREFERRED) <= set(FIELDS)
    assert {source for order in PREFERRED.values() for source in order} <= set(SOURCES)


def test_silence_is_left_out_of_a_statement() -> None:
    words = state(PaperData(title="Lanterns"), source="rss:x", fallback_day=DAY)
    assert words.data == {"title": "Lanterns"}


def test_a_statement_is_plain_data() -> None:
    data = said().data
    assert data["authors"] == [{"name": "Ada Quill", "orcid": "0000-0001"}, {"name": "Bram Osei"}]
    assert data["published_at"] == "2026-11-20T00:00:00+00:00"
    assert data["categories"] == ["cs.CL"]
    assert "identifiers" not in data


@pytest.mark.parametrize(
    ("changes", "as_of"),
    [
        ({}, "0002 2026-11-23"),
        ({"announced_on": None}, "0002 2026-11-22"),
        ({"announced_on": None, "updated_at": None}, "0002 2026-11-24"),
        ({"version": None}, "0000 2026-11-23"),
        ({"version": 12}, "0012 2026-11-23"),
    ],
)
def test_statements_of_a_source_are_ordered_by_version_then_day(changes: dict[str, Any], as_of: str) -> None:
    assert said(**changes).as_of == as_of


def test_the_later_of_two_answers_about_one_day_counts() -> None:
    early = state(PAPER, source="hf_papers", fallback_day=DAY, read_on=date(2026, 11, 23))
    late = state(replace(PAPER, upvotes=1), source="hf_papers", fallback_day=DAY, read_on=date(2026, 11, 24))
    assert supersedes(late, early)
    assert not supersedes(early, late)


def test_what_is_of_an_earlier_day_replaces_nothing() -> None:
    assert not supersedes(said(announced_on=date(2026, 11, 20), upvotes=99), said())
    assert not supersedes(said(version=1, abstract="An older one."), said())


def test_the_same_words_of_a_later_day_count_as_the_latest() -> None:
    assert supersedes(said(announced_on=date(2026, 11, 25)), said())


def test_the_same_statement_does_not_replace_itself() -> None:
    assert not supersedes(said(), said())


def test_of_one_day_the_grown_count_stands_whichever_came_first() -> None:
    few, many = said(upvotes=3), said(upvotes=9)
    assert supersedes(many, few)
    assert not supersedes(few, many)


def test_a_link_is_news_though_it_is_kept_elsewhere() -> None:
    link = LinkData(url="https://github.com/quill/lanterns", kind="code", slug="quill/lanterns", evidence="hf")
    with_link = said(links=(link,))
    assert with_link.content_hash != said().content_hash
    assert with_link.data == said().data
    assert with_link.content_hash == said(links=(replace(link, evidence="feed"),)).content_hash


def test_the_order_of_links_is_no_news() -> None:
    links = tuple(LinkData(url=f"https://x.example/{n}", kind="other", evidence="hf") for n in range(3))
    assert said(links=links).content_hash == said(links=links[::-1]).content_hash


@given(st.permutations([said(upvotes=n % 3, announced_on=date(2026, 11, 20 + n % 4)) for n in range(12)]))
def test_the_last_word_of_a_source_is_the_same_in_any_order(statements: list[Any]) -> None:
    latest = statements[0]
    for words in statements[1:]:
        if supersedes(words, latest):
            latest = words
    assert (latest.as_of, latest.data["upvotes"]) == max((w.as_of, w.data["upvotes"]) for w in statements)


# -- facts ------------------------------------------------------------------------------------------------------


def test_facts_name_every_field_though_nobody_spoke_of_it() -> None:
    facts = compose({"rss:x": {"title": "Lanterns"}})
    assert set(facts) == set(FIELDS)
    assert (facts["abstract"], facts["authors"], facts["withdrawn"]) == (None, [], False)


def test_the_best_source_wins_field_by_field() -> None:
    facts = compose(
        {
            "rss:x": {"title": "lanterns!!", "abstract": "From the wild.", "license": "said once"},
            "hf_papers": {"title": "Lanterns", "abstract": "From HF."},
            "arxiv_api": {"title": "Lanterns: A Study"},
        }
    )
    assert facts["title"] == "Lanterns: A Study"
    assert facts["abstract"] == "From HF."
    assert facts["license"] == "said once"


def test_counts_and_summaries_are_hugging_faces_own() -> None:
    facts = compose(
        {"arxiv_api": {"upvotes": 1, "organization": "A"}, "hf_papers": {"upvotes": 9}, "listing": {"upvotes": 5}}
    )
    assert (facts["upvotes"], facts["organization"]) == (9, "A")


def test_two_feeds_of_the_wild_are_ordered_by_name_so_that_the_outcome_is_one() -> None:
    one, other = {"title": "One"}, {"title": "Other"}
    assert compose({"rss:b": other, "rss:a": one}) == compose({"rss:a": one, "rss:b": other})


def test_an_unknown_source_is_believed_last() -> None:
    assert compose({"zzz": {"title": "Z"}, "rss:x": {"title": "X"}})["title"] == "X"


def test_one_source_is_enough_for_a_withdrawal() -> None:
    assert compose({"arxiv_api": {"withdrawn": False}, "arxiv_oai": {"withdrawn": True}})["withdrawn"]


def test_authors_are_counted_where_they_are_named() -> None:
    assert compose({"listing": {"authors_count": 40}})["authors_count"] == 40
    named: dict[str, dict[str, Any]] = {"arxiv_api": {"authors": [{"name": "Ada"}]}, "listing": {"authors_count": 40}}
    assert compose(named)["authors_count"] == 1


def test_times_come_back_as_times() -> None:
    facts = compose({"hf_papers": dict(said().data)})
    assert facts["published_at"] == PAPER.published_at
    assert facts["updated_at"] == PAPER.updated_at


def test_counts_are_no_news_and_words_are() -> None:
    base = compose({"hf_papers": dict(said().data)})
    quiet: tuple[dict[str, Any], ...] = (
        {"upvotes": 4},
        {"comments_count": 1},
        {"ai_summary": "x"},
        {"updated_at": None},
    )
    for changes in quiet:
        assert meaning(compose({"hf_papers": dict(said(**changes).data)})) == meaning(base), changes
    news: tuple[dict[str, Any], ...] = (
        {"title": "Lamps"},
        {"abstract": None},
        {"version": 3},
        {"withdrawn": True},
        {"comment": "x"},
    )
    for changes in news:
        assert meaning(compose({"hf_papers": dict(said(**changes).data)})) != meaning(base), changes


SOURCE = st.sampled_from([*SOURCES[:-1], "rss:a", "rss:b"])
WORDS = st.fixed_dictionaries(
    {}, optional={"title": st.sampled_from("abc"), "upvotes": st.integers(0, 9), "withdrawn": st.booleans()}
)


@given(st.dictionaries(SOURCE, WORDS, min_size=1), st.randoms())
def test_facts_do_not_depend_on_the_order_of_statements(statements: dict[str, Any], chance: Any) -> None:
    mixed = list(statements.items())
    chance.shuffle(mixed)
    assert compose(dict(mixed)) == compose(statements)


def test_a_fingerprint_is_short_stable_and_blind_to_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
    assert len(fingerprint({})) == 32
    assert fingerprint({"a": "\ud800", "d": DAY})  # half a pair is still text that can be told apart


def test_a_fingerprint_of_what_is_no_data_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        fingerprint({"a": object()})


# -- catalogues and what they know of authors ----------------------------------------------------------------------


def test_citations_are_believed_of_whoever_joins_preprint_and_article() -> None:
    said = {"openalex": {"citations": 5}, "crossref": {"citations": 1}, "semantic_scholar": {"citations": 9}}
    assert compose(said)["citations"] == 9
    assert meaning(compose(said)) == meaning(compose({})), "a count is no news"


def test_a_venue_is_the_authors_word_first_then_the_publishers() -> None:
    said = {"semantic_scholar": {"journal_ref": "S2"}, "crossref": {"journal_ref": "Tides"}, "rss:x": {"title": "T"}}
    assert compose(said)["journal_ref"] == "Tides"
    assert compose({**said, "arxiv_api": {"journal_ref": "Tides 12"}})["journal_ref"] == "Tides 12"


def people(*authors: dict[str, str]) -> dict[str, Any]:
    return {"authors": list(authors)}


def test_what_is_known_of_an_author_is_gathered_under_the_best_sources_names() -> None:
    facts = compose({
        "hf_papers": people({"name": "Ada Quill", "hf_user": "quill"}, {"name": "Bram Osei"}),
        "arxiv_api": people({"name": "Ada Quill"}, {"name": "Bram Osei", "affiliation": "Porto"}),
        "openalex": people(
            {"name": "A. Quill", "orcid": "0000-0002-1825-0097", "affiliation": "Northlake", "ror": "03yrm5c26"},
            {"name": "Osei, Bram", "orcid": "0000-0002-1694-233X", "affiliation": "Univ. Porto", "ror": "043pwc612"},
        ),
    })  # fmt: skip
    assert facts["authors"] == [
        {"name": "Ada Quill", "hf_user": "quill", "orcid": "0000-0002-1825-0097", "affiliation": "Northlake",
         "ror": "03yrm5c26"},
        # The affiliation is arXiv's: OpenAlex's id of another wording does not go with it.
        {"name": "Bram Osei", "affiliation": "Porto", "orcid": "0000-0002-1694-233X"},
    ]  # fmt: skip


def test_of_two_people_of_one_name_nothing_is_guessed() -> None:
    facts = compose({
        "arxiv_api": people({"name": "Wei Zhang"}, {"name": "Wei Zhang"}, {"name": "Ada Quill"}),
        "openalex": people({"name": "W. Zhang", "orcid": "0000-0002-1825-0097"}, {"name": "Ada Quill", "orcid": "x"}),
    })  # fmt: skip
    assert facts["authors"] == [{"name": "Wei Zhang"}, {"name": "Wei Zhang"}, {"name": "Ada Quill", "orcid": "x"}]


def test_two_of_one_name_are_told_apart_by_their_places_in_lists_of_one_length() -> None:
    facts = compose({
        "arxiv_api": people({"name": "Wei Zhang"}, {"name": "Wei Zhang"}),
        "openalex": people({"name": "W. Zhang", "orcid": "a"}, {"name": "W. Zhang", "orcid": "b"}),
    })  # fmt: skip
    assert [author["orcid"] for author in facts["authors"]] == ["a", "b"]


def test_who_an_author_is_is_no_news_and_another_author_is() -> None:
    bare = compose({"arxiv_api": people({"name": "Ada Quill"})})
    told = people({"name": "Ada Quill", "orcid": "x"})
    known = compose({"arxiv_api": people({"name": "Ada Quill"}), "openalex": told})
    assert known["authors"][0]["orcid"] == "x"
    assert meaning(known) == meaning(bare)
    assert meaning(compose({"arxiv_api": people({"name": "Bram Osei"})})) != meaning(bare)


def test_composing_leaves_the_statements_as_they_are() -> None:
    said = {"arxiv_api": people({"name": "Ada Quill"}), "openalex": people({"name": "Ada Quill", "orcid": "x"})}
    compose(said)
    assert said["arxiv_api"]["authors"] == [{"name": "Ada Quill"}]
