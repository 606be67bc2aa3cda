from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from services.digests.entries import make_page
from services.domain.digests import EditionView, SourceStatus

from .sample_view import ITEMS, NOW, QUIET, VIEW, code, item


def only(view_item: object, **changes: object) -> EditionView:
    return replace(VIEW, items=(view_item,), matched=1, **changes)  # type: ignore[arg-type]


def test_an_entry_says_what_why_real_and_usable() -> None:
    entry = make_page(VIEW).entries[0]
    assert entry.title == "Speculative Decoding Without a Draft Model"
    assert entry.byline == "Ada Rossi, Bo Chen, … Kenji Ito (6) · ETH Zürich"
    assert entry.why == 'matches "speculative decoding"; near “Medusa”, which you saved'
    assert entry.label == "abstract"
    assert not entry.by_machine
    assert entry.meta == ("arXiv 2611.01234v1", "announced Tue 24 Nov", "cs.CL, cs.LG", "▲ 87", "12 comments")
    assert entry.code[0].stars == "★ 412 (+180/24 h)"
    assert entry.code[0].facts == (
        "Apache-2.0",
        "Python",
        "pushed 3 h ago",
        "link from the authors’ abstract",
        "checked 40 min ago",
    )
    assert entry.extras == ("1 model", "1 dataset")
    assert [link.label for link in entry.actions] == ["PDF", "abs", "code", "project", "details"]


def test_machine_written_text_is_known_as_such() -> None:
    assert make_page(VIEW).entries[2].label == "HF AI"
    assert make_page(VIEW).entries[2].by_machine


def test_a_paper_without_a_sentence_gets_the_authors_own() -> None:
    entry = make_page(VIEW).entries[9]
    assert entry.label == "abstract"
    assert entry.sentence.startswith("We propose to distil only the steps that change the answer")


def test_unknown_facts_are_left_out() -> None:
    entry = make_page(
        only(item("2611.00001", "T", announced_on=None, version=None, code=(code("a/b", None),)))
    ).entries[0]
    assert entry.byline == ""
    assert entry.sentence == ""
    assert entry.label == ""
    assert entry.meta == ("arXiv 2611.00001",)
    assert entry.code[0].stars == ""
    assert entry.stars == ""


def test_no_code_yet_is_said_only_where_there_is_no_link() -> None:
    said = {entry.number: "no code yet" in entry.meta for entry in make_page(VIEW).entries}
    assert said[1] is False
    assert said[2] is True
    assert said[8] is False, "a withdrawn paper is not waited for"
    assert said[12] is False, "nor is a blog post"


def test_dates_are_announced_in_the_readers_zone() -> None:
    blog = VIEW.items[-1]
    assert "published Tue 24 Nov" in make_page(only(blog)).entries[0].meta
    assert "published Mon 23 Nov" in make_page(only(blog, timezone="America/New_York")).entries[0].meta


def test_late_and_withdrawn_papers_are_marked() -> None:
    entries = make_page(VIEW).entries
    assert entries[2].marks == ("arrived late",)
    assert entries[7].marks == ("withdrawn",)


def test_latex_in_titles_is_legible() -> None:
    title = make_page(only(item("2611.00001", r"\emph{Na\"ive} $x^2$ -- a \textbf{Study}"))).entries[0].title
    assert "\\" not in title
    assert "{" not in title
    assert "Naïve" in title


@pytest.mark.parametrize(
    ("state", "facts", "said"),
    [
        ("complete", {"announced": 126, "stored": 126}, "Feed: 126 of 126"),
        ("complete", {"stored": 31}, "Feed: 31 papers"),
        ("complete", {}, "Feed: complete"),
        ("partial", {"announced": 126, "stored": 120}, "Feed: 120 of 126 so far, the rest will follow"),
        ("accepted", {"announced": 126, "stored": 120}, "Feed: 120 of 126, taken as it is"),
        ("late", {}, "Feed: late, will follow"),
        ("quiet", {"note": "holiday"}, "Feed: nothing announced (holiday)"),
        ("stale", {"as_of": NOW - timedelta(hours=7)}, "Feed: no answer for 7 h"),
        ("stale", {}, "Feed: no recent answer"),
        ("failed", {}, "Feed: could not be read, will be tried again"),
    ],
)
def test_sources_are_told_honestly(state: str, facts: dict[str, object], said: str) -> None:
    source = SourceStatus(feed="f", title="Feed", state=state, **facts)  # type: ignore[arg-type]
    line = make_page(replace(VIEW, sources=(source,), facts_checked_at=None)).sources[0]
    assert line.text == said
    assert line.troubled is (state not in ("complete", "quiet", "accepted"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "21 of 126 new papers match your search; the first 12 are here"),
        ({"query": "kv cache", "matched": 12}, "12 of 126 new papers match “kv cache”"),
        ({"query": None, "matched": 126}, "126 new papers; the first 12 are here"),
        ({"items": ITEMS[:1], "matched": 1, "query": "kv"}, "1 of 126 new papers matches “kv”"),
        ({"items": ITEMS[:1], "matched": 1, "considered": 1, "query": None}, "1 new paper"),
        (
            {"items": (), "matched": 0, "query": "kv"},
            "Nothing new for you so far: none of 126 new papers matches “kv”.",
        ),
        (
            {"items": (), "matched": 0, "query": "kv", "sources": ()},
            "Nothing new for you: none of 126 new papers matches “kv”.",
        ),
        ({"items": (), "matched": 0, "considered": 0}, "Nothing new so far."),
    ],
)  # fmt: skip
def test_the_counts_in_words(changes: dict[str, object], said: str) -> None:
    view = replace(VIEW, **changes)  # type: ignore[arg-type]
    assert make_page(view).summary_of(len(view.items)) == said


def test_what_stands_for_many_sources_counts_as_many() -> None:
    one = SourceStatus(feed="one", title="One", state="complete")
    rest = SourceStatus(feed="", title="4,950 others", state="failed", feeds=4950)
    line = make_page(replace(VIEW, sources=(*[one] * 14, rest), facts_checked_at=None)).sources[-1]
    assert (line.text, line.troubled) == ("4,952 more sources", True)


def test_a_quiet_day_with_all_sources_heard_is_said_plainly() -> None:
    page = make_page(QUIET)
    assert page.quiet
    assert not page.incomplete
    assert page.summary == "Nothing new: no new papers were announced."


def test_only_the_links_that_are_given_are_shown() -> None:
    bare = replace(VIEW, feed_url=None, preferences_url=None, pause_url=None, unsubscribe_url=None)
    assert [link.label for link in make_page(bare).controls] == []
    assert [link.label for link in make_page(bare).links] == ["all new papers", "in the browser"]
    by_mail = replace(VIEW, unsubscribe_url="mailto:leave@example.org?subject=leave")
    assert make_page(by_mail).controls[-1].url.startswith("mailto:")


def test_a_paper_with_thousands_of_authors_names_three() -> None:
    names = tuple(f"Author {n}" for n in range(3_000))
    entry = make_page(only(item("2611.00001", "T", authors=names, authors_count=3_000))).entries[0]
    assert entry.byline == "Author 0, Author 1, … Author 2999 (3000)"


def test_the_year_is_said_where_it_is_another() -> None:
    entry = make_page(only(item("2611.00001", "T", announced_on=date(2025, 12, 31)))).entries[0]
    assert "announced Wed 31 Dec 2025" in entry.meta
