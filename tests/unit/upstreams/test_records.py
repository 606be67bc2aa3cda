"""Records: JSON Lines of other tools, our own export, and lines that are neither."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, UpstreamUrls
from services.domain.papers import PaperData
from services.upstreams import records

SAMPLES = Path(__file__).parents[2] / "upstreams"
ABOUT = DocumentInfo(feed="saved", kind="records", fetched_at=datetime(2026, 11, 24, tzinfo=UTC))
LINES = (SAMPLES / "records.jsonl").read_bytes()


def one(**fields: Any) -> PaperData:
    parsed = records.parse(json.dumps({"id": "2611.00001", "title": "T", **fields}).encode(), ABOUT)
    assert not parsed.rejected
    return parsed.papers[0]


def rejected(**fields: Any) -> str:
    parsed = records.parse(json.dumps({"id": "2611.00001", "title": "T", **fields}).encode(), ABOUT)
    assert not parsed.papers
    return parsed.rejected[0].reason


def test_a_record_of_the_arxiv_api_becomes_a_paper() -> None:
    paper = records.parse(LINES, ABOUT).papers[0]
    assert [str(name) for name in paper.identifiers] == ["arxiv:2611.09001"]
    assert (paper.version, paper.title, paper.abstract, paper.comment) == (2, "Recorded Jars", "We record jars.", None)
    assert [author.name for author in paper.authors] == ["Ana Lima", "Jo Park"]
    assert paper.categories == ("cs.CV", "cs.AI")  # MSC and ACM classes are no categories


def test_our_own_export_comes_back_as_it_was() -> None:
    paper = records.parse(LINES, ABOUT).papers[1]
    assert [str(name) for name in paper.identifiers] == ["arxiv:2611.09003", "doi:10.1234/x"]
    assert (paper.organization, paper.upvotes, paper.comments_count, paper.authors_count) == ("Jar Lab", 30, 2, 1)
    assert paper.published_at == datetime(2026, 11, 20, tzinfo=UTC)
    assert [(link.url, link.kind, link.slug, link.evidence) for link in paper.links] == [
        ("https://github.com/jarlab/x", "code", "jarlab/x", "hf")
    ]


def test_bad_lines_are_rejected_with_their_line_number() -> None:
    parsed = records.parse(LINES, ABOUT)
    assert [(bad.reason.partition(":")[0], bad.position) for bad in parsed.rejected] == [
        ("line 2 is not JSON", 2),
        ("line 5", 4),
        ("line 6", 5),
        ("line 7", 6),
    ]
    assert parsed.rejected[1].reason == "line 5: 'title' is a number, not text"
    assert parsed.rejected[1].entry == "2611.09004"


def test_an_array_is_read_like_lines_and_counted_by_record() -> None:
    body = json.dumps([{"key": "doi:10.1234/y", "title": "Y"}, {"key": "doi:10.1234/z"}], indent=1).encode()
    parsed = records.parse(body, ABOUT)
    assert [str(paper.identifiers[0]) for paper in parsed.papers] == ["doi:10.1234/y"]
    assert parsed.rejected[0].reason == "record 2: no title"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["arxiv:2611.00001"]),
        ({"id": None, "key": "openreview:abcDEF123"}, ["openreview:abcDEF123"]),
        ({"id": 77}, None),
        ({"id": "77", "doi": "https://doi.org/10.1234/A"}, ["doi:10.1234/a"]),
        ({"id": "77", "abs": "https://arxiv.org/abs/2611.00002v1"}, ["arxiv:2611.00002"]),
        ({"id": "77", "url": "https://blog.example.org/x#y"}, ["url:https://blog.example.org/x"]),
        ({"id": None}, []),
        ({"id": "77"}, None),
    ],
)
def test_a_record_is_named_by_whatever_identifies_it(fields: dict[str, Any], expected: list[str] | None) -> None:
    if expected is None:
        assert rejected(**fields)
    else:
        assert [str(name) for name in one(**fields).identifiers] == expected


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"title": ""}, "line 1: no title"),
        ({"authors": 5}, "line 1: 'authors' is a number, not an array"),
        ({"categories": "cs.CL"}, "line 1: 'categories' is text, not an array"),
        ({"upvotes": "7"}, "line 1: 'upvotes' is not a count"),
        ({"upvotes": -7}, "line 1: 'upvotes' is not a count"),
        ({"links": {}}, "line 1: 'links' is an object, not an array"),
    ],
)
def test_a_field_of_the_wrong_type_rejects_the_record(fields: dict[str, Any], reason: str) -> None:
    assert rejected(**fields) == reason


def test_authors_may_be_names_or_objects() -> None:
    paper = one(authors=["Ana Lima", {"name": "Jo Park", "affiliation": "Jar Lab", "orcid": "0000-0001"}, 5, {"x": 1}])
    assert [(author.name, author.affiliation, author.orcid) for author in paper.authors] == [
        ("Ana Lima", None, None),
        ("Jo Park", "Jar Lab", "0000-0001"),
    ]


def test_a_link_of_an_unknown_kind_or_evidence_is_read_anew_and_a_hostile_one_dropped() -> None:
    paper = one(
        links=[
            {"url": "https://github.com/o/r/", "kind": "malware", "evidence": "trust me"},
            {"url": "javascript:alert(1)", "kind": "code"},
            "https://huggingface.co/datasets/o/d",
            7,
        ]
    )
    assert [(link.kind, link.slug, link.evidence) for link in paper.links] == [
        ("code", "o/r", "feed"),
        ("dataset", "o/d", "feed"),
    ]


def test_a_comment_that_says_withdrawn_is_believed_of_arxiv_papers() -> None:
    assert one(comment="This paper has been withdrawn by the author").withdrawn is True
    assert one(comment="12 pages").withdrawn is None
    assert one(id="77", doi="10.1234/a", comment="This paper has been withdrawn by the author").withdrawn is None


def test_as_of_dates_records_that_do_not_date_themselves() -> None:
    info = DocumentInfo(feed="saved", kind="records", fetched_at=ABOUT.fetched_at, as_of=date(2026, 1, 2))
    body = b'{"id": "2611.00001", "title": "T"}\n{"id": "2611.00002", "title": "U", "announced_on": "2026-01-01"}'
    assert [paper.announced_on for paper in records.parse(body, info).papers] == [date(2026, 1, 2), date(2026, 1, 1)]


@pytest.mark.parametrize("prefix", [b"\xef\xbb\xbf", b"\n\n", b"\r\n"])
def test_marks_and_blank_lines_before_the_first_record_are_skipped(prefix: bytes) -> None:
    assert len(records.parse(prefix + b'{"id": "2611.00001", "title": "T"}\r\n', ABOUT).papers) == 1


def test_a_line_separator_inside_a_text_is_no_end_of_line() -> None:
    assert one(title="One\u2028Jar").title == "One Jar"


@pytest.mark.parametrize("body", [b"hello\nworld", b"<rss/>", b"{\n", b"[" * 100_000])
def test_what_holds_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedDocument, match="expected records"):
        records.parse(body, ABOUT)


def test_an_empty_file_is_quiet() -> None:
    assert records.parse(b"\n", ABOUT).quiet


def test_a_file_of_records_can_be_polled() -> None:
    url = "https://data.example.org/papers.jsonl"
    asked = records.request(FeedInfo(name="f", kind="records", url=url), UpstreamUrls())
    assert (asked.url, asked.gate) == (url, "data.example.org")
    with pytest.raises(InvalidInput, match="feed 'f'"):
        records.request(FeedInfo(name="f", kind="records"), UpstreamUrls())
