"""Hugging Face Daily Papers: what is asked for, what each era's answer becomes, what is refused and why."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, UpstreamUrls
from services.upstreams import hf_papers

SAMPLES = Path(__file__).parents[2] / "upstreams"
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
DAY_URL = "https://huggingface.co/api/daily_papers?date=2026-11-24&limit={limit}&p={page}"


def about(url: str = "", *, batch: str = "", cursor: str | None = None, as_of: date | None = None) -> DocumentInfo:
    return DocumentInfo(
        feed="daily-papers", kind="hf_papers", url=url, fetched_at=NOW, batch=batch, cursor=cursor, as_of=as_of
    )


def feed(**params: str) -> FeedInfo:
    return FeedInfo(name="daily-papers", kind="hf_papers", params=params)


def item(**paper: Any) -> dict[str, Any]:
    return {"paper": {"id": "2611.00001", "title": "One Jar", **paper}}


def listing(*items: object) -> bytes:
    return json.dumps(items).encode()


# --- asking ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "batch", "cursor", "query"),
    [
        ({}, "2026-11-24", None, "date=2026-11-24&limit=100&p=0"),
        ({}, "2026-11-24", "2", "date=2026-11-24&limit=100&p=2"),
        ({}, "", None, "limit=100&p=0"),
        ({"limit": "30"}, "", None, "limit=30&p=0"),
        ({"view": "weekly"}, "2026-W47", None, "week=2026-W47&limit=100&p=0"),
        ({"view": "monthly"}, "2026-11", None, "month=2026-11&limit=100&p=0"),
        ({"view": "trending"}, "", None, "sort=trending&limit=100&p=0"),
    ],
)
def test_each_view_asks_in_its_own_terms(params: dict[str, str], batch: str, cursor: str | None, query: str) -> None:
    asked = hf_papers.request(feed(**params), UpstreamUrls(hf="http://mirror:1"), batch=batch, cursor=cursor)
    assert asked.url == f"http://mirror:1/api/daily_papers?{query}"
    assert (asked.gate, asked.interval_s) == ("huggingface.co", 0)


def test_a_search_asks_for_its_words() -> None:
    asked = hf_papers.request(
        feed(view="search", query=" sparse  lanterns & tides"), UpstreamUrls(hf="http://mirror:1")
    )
    assert asked.url == "http://mirror:1/api/papers/search?q=sparse+lanterns+%26+tides&limit=100"
    found = hf_papers.parse(listing(*[item()] * 100), about(asked.url))
    assert (len(found.papers), found.next_cursor) == (100, None)


@pytest.mark.parametrize(
    ("params", "batch", "cursor"),
    [
        ({"view": "search"}, "", None),
        ({"view": "search", "query": " "}, "", None),
        ({"view": "search", "query": "tides"}, "2026-11-24", None),
        ({"view": "yearly"}, "", None),
        ({"view": "weekly"}, "2026-11-24", None),
        ({}, "2026-W47", None),
        ({"view": "trending"}, "2026-11-24", None),
        ({"limit": "101"}, "", None),
        ({"limit": "0"}, "", None),
        ({"limit": "many"}, "", None),
        ({}, "", "-1"),
    ],
)
def test_what_the_service_does_not_have_is_refused_before_asking(
    params: dict[str, str], batch: str, cursor: str | None
) -> None:
    with pytest.raises(InvalidInput):
        hf_papers.request(feed(**params), UpstreamUrls(), batch=batch, cursor=cursor)


def test_one_papers_record_has_its_own_address() -> None:
    assert hf_papers.paper_request("2611.04001", UpstreamUrls()).url == "https://huggingface.co/api/papers/2611.04001"


# --- a listing ---------------------------------------------------------------------------------------------


def test_a_listing_becomes_papers_with_all_that_it_says() -> None:
    parsed = hf_papers.parse((SAMPLES / "hf_daily.json").read_bytes(), about())
    first, second = parsed.papers
    assert parsed.rejected == ()
    assert parsed.notes == ()
    assert not parsed.quiet
    assert [str(one) for one in first.identifiers] == ["arxiv:2611.04001"]
    assert first.title == "Weather in a Jar: Small Models for Local Forecasts"
    assert first.abstract == "We shrink a forecast model to a jar. Code: https://github.com/lind/jar."
    assert first.published_at == datetime(2026, 11, 20, tzinfo=UTC)
    assert first.announced_on == date(2026, 11, 24)
    assert (first.upvotes, first.comments_count, first.rank) == (41, 3, 1)
    assert first.organization == "Jar Lab"
    assert first.ai_summary == "A small forecast model."
    assert first.ai_keywords == ("forecasting", "distillation")
    assert first.thumbnail_url == "https://cdn-thumbnails.huggingface.co/social-thumbnails/papers/2611.04001.png"
    assert [(one.kind, one.slug, one.evidence) for one in first.links] == [
        ("code", "lind/jar", "hf"),
        ("project", None, "hf"),
        ("video", None, "hf"),
    ]
    assert second.organization == "sato-lab"
    assert [str(one) for one in second.identifiers] == ["arxiv:2611.04002"]
    assert [(one.kind, one.slug) for one in second.links] == [("organization", "satolab")]
    assert second.rank == 2


def test_hidden_authors_stay_authors_but_keep_their_account_to_themselves() -> None:
    first = hf_papers.parse((SAMPLES / "hf_daily.json").read_bytes(), about()).papers[0]
    assert [(one.name, one.hf_user) for one in first.authors] == [
        ("Nora Lind", "nlind"),
        ("Tomás Reyes", None),
        ("Ada Okafor", None),
    ]


def test_a_day_without_papers_is_quiet() -> None:
    parsed = hf_papers.parse(b"[]", about(DAY_URL.format(limit=100, page=0), batch="2026-11-22"))
    assert parsed.quiet
    assert parsed.seen == 0
    assert parsed.next_cursor is None


@pytest.mark.parametrize(
    ("url", "batch", "count", "expected"),
    [
        (DAY_URL.format(limit=100, page=0), "2026-11-24", 100, "1"),
        (DAY_URL.format(limit=100, page=0), "2026-11-24", 99, None),
        (DAY_URL.format(limit=2, page=3), "2026-11-24", 2, "4"),
        ("https://huggingface.co/api/daily_papers?date=2026-11-24", "2026-11-24", 50, "1"),
        ("https://huggingface.co/api/daily_papers?limit=100", "", 100, None),
        ("https://huggingface.co/api/daily_papers?sort=trending&limit=100", "", 100, None),
        ("", "", 100, None),
        ("", "2026-11-24", 100, "1"),
    ],
)
def test_a_full_page_of_a_day_has_a_next_and_an_endless_list_has_none(
    url: str, batch: str, count: int, expected: str | None
) -> None:
    parsed = hf_papers.parse(listing(*[item()] * count), about(url, batch=batch))
    assert parsed.next_cursor == expected


def test_ranks_go_on_over_pages() -> None:
    parsed = hf_papers.parse(
        listing(item(), item()), about(DAY_URL.format(limit=2, page=3), batch="2026-11-24", cursor="3")
    )
    assert [paper.rank for paper in parsed.papers] == [7, 8]


@pytest.mark.parametrize(
    ("paper", "outer", "info", "expected"),
    [
        # Stated: nothing else counts.
        ({"submittedOnDailyAt": "2026-11-20T00:00:00.000Z"}, {}, about(batch="2026-11-24"), date(2026, 11, 20)),
        # Asked for, or said by the person who saved it.
        ({}, {}, about(batch="2026-11-24"), date(2026, 11, 24)),
        ({}, {}, about(as_of=date(2024, 6, 3)), date(2024, 6, 3)),
        ({}, {}, about(batch="2026-W47"), None),
        # Old listings: the outer time was the listing's.
        (
            {"publishedAt": "2024-05-24T17:00:00.000Z"},
            {"publishedAt": "2024-05-27T02:00:00.000Z"},
            about(),
            date(2024, 5, 27),
        ),
        # Since 2025-03-11 it is the paper's own time in a wrong zone.
        ({"publishedAt": "2025-03-09T17:00:00.000Z"}, {"publishedAt": "2025-03-09T13:00:00.000Z"}, about(), None),
        ({"publishedAt": "2025-03-09T17:00:00.000Z"}, {"publishedAt": "2025-03-11T12:00:00.000Z"}, about(), None),
    ],
)
def test_the_day_of_listing_comes_from_what_each_era_says(
    paper: dict[str, str], outer: dict[str, str], info: DocumentInfo, expected: date | None
) -> None:
    parsed = hf_papers.parse(listing({**item(**paper), **outer}), info)
    assert parsed.papers[0].announced_on == expected


def test_the_organization_of_autumn_2025_is_read_from_its_old_name() -> None:
    parsed = hf_papers.parse(
        listing({**item(), "submitterOrganization": {"name": "jarlab", "fullname": "Jar Lab"}}), about()
    )
    assert parsed.papers[0].organization == "Jar Lab"


# --- bad entries -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("just text", "the entry is text, not an object"),
        (None, "the entry is null, not an object"),
        ({"paper": ["a"]}, "'paper' is an array, not an object"),
        ({"paper": {"title": "No Id"}}, "no id"),
        ({"paper": {"id": 2611.00001, "title": "T"}}, "'id' is a number, not text"),
        ({"paper": {"id": "../../etc", "title": "T"}}, "the id names no paper"),
        ({"paper": {"id": "2611.00002"}}, "no title"),
        ({"paper": {"id": "2611.00002", "title": " \n "}}, "no title"),
        ({"paper": {"id": "2611.00002", "title": ["T"]}}, "'title' is an array, not text"),
        ({"paper": {"id": "2611.00002", "title": "T", "summary": 5}}, "'summary' is a number, not text"),
    ],
)
def test_a_bad_entry_is_rejected_with_its_reason_and_the_rest_goes_on(bad: object, reason: str) -> None:
    parsed = hf_papers.parse(listing(item(), bad, item(id="2611.00009")), about())
    assert [(one.reason, one.position) for one in parsed.rejected] == [(reason, 2)]
    assert [paper.rank for paper in parsed.papers] == [1, 3]
    assert parsed.rejected[0].entry


def test_an_optional_field_of_the_wrong_type_is_left_out_and_noted() -> None:
    parsed = hf_papers.parse(
        listing(item(upvotes="many", authors="A, B", ai_keywords={}, githubRepo=7, organization=[])), about()
    )
    paper = parsed.papers[0]
    assert (paper.upvotes, paper.authors, paper.ai_keywords, paper.links, paper.organization) == (
        None,
        (),
        (),
        (),
        None,
    )
    assert {note.split("'")[1] for note in parsed.notes} == {
        "upvotes",
        "authors",
        "ai_keywords",
        "githubRepo",
        "organization",
    }


@pytest.mark.parametrize("value", [-1, True, 2**31, 1.5])
def test_what_is_no_count_is_no_upvote_count(value: object) -> None:
    assert hf_papers.parse(listing(item(upvotes=value)), about()).papers[0].upvotes is None


# --- what is no listing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty document"),
        (b"<html><body>Bad gateway</body></html>", "an HTML page"),
        (b"[{", "not valid JSON"),
        (b'"text"', "found text"),
        (b"[\"{'paper': {'id': '2501.00001'}}\"]", "as Python prints them"),
        (b"[1, 2]", "whose entries are a number"),
        (b'{"status": "success", "data": []}', "an object with status, data"),
        (b'{"error": "Invalid date"}', "an error answer: Invalid date"),
        (b"{}", "an empty object"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_another_document_is_refused_with_what_was_found(body: bytes, words: str) -> None:
    with pytest.raises(MalformedDocument, match=r"expected a Daily Papers listing") as refusal:
        hf_papers.parse(body, about())
    assert words in str(refusal.value)


# --- one paper ---------------------------------------------------------------------------------------------

DETAIL = {
    "id": "2611.04001",
    "title": "Weather in a Jar",
    "authors": [{"name": "Nora Lind"}],
    "publishedAt": "2026-11-20T00:00:00.000Z",
    "upvotes": 50,
    "linkedModels": [{"id": "jarlab/jar-1b"}, {"id": "not a slug"}],
    "linkedDatasets": [{"id": "jarlab/jars"}],
    "linkedSpaces": [{"id": "jarlab/demo"}],
}


def test_the_flat_record_of_one_paper_names_its_models_datasets_and_spaces() -> None:
    paper = hf_papers.parse_paper(json.dumps(DETAIL).encode(), about())
    assert (paper.upvotes, paper.comments_count, paper.rank) == (50, None, None)
    assert [(one.kind, one.slug) for one in paper.links] == [
        ("model", "jarlab/jar-1b"),
        ("dataset", "jarlab/jars"),
        ("space", "jarlab/demo"),
    ]


def test_a_saved_record_of_one_paper_is_a_listing_of_one() -> None:
    parsed = hf_papers.parse(json.dumps(DETAIL).encode(), about())
    assert len(parsed.papers) == 1
    assert parsed.next_cursor is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "Paper not found"}', "Paper not found"),
        (b"[]", "an array"),
        (b'{"id": "x y", "title": "T"}', "the id names no paper"),
        (b"<html>", "an HTML page"),
    ],
)
def test_a_record_that_is_none_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(MalformedDocument, match=words):
        hf_papers.parse_paper(body, about())


def test_texts_lose_what_could_deceive_or_break_and_keep_their_words() -> None:
    parsed = hf_papers.parse(
        listing(item(title="A\u202e\x00 <script>x</script>\ud800 Jar", summary="\u200bJar\n\n  two")), about()
    )
    assert parsed.papers[0].title == "A <script>x</script> Jar"
    assert parsed.papers[0].abstract == "Jar two"
