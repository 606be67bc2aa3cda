"""The arXiv query API: paging, both shapes of its answer, errors in the disguise of papers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, UpstreamUrls
from services.upstreams import arxiv_api

SAMPLES = Path(__file__).parents[2] / "upstreams"
HEAD = (
    '<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns:arxiv="http://arxiv.org/schemas/atom" '
    'xmlns="http://www.w3.org/2005/Atom"><title>arXiv Query: all:jar</title>'
)
ERROR = (
    "<entry><id>https://arxiv.org/api/errors#incorrect_id_format_for_abc</id><title>Error</title>"
    "<summary>incorrect id format for abc</summary><author><name>arXiv api core</name></author></entry>"
)
PAPER = "<entry><id>http://arxiv.org/abs/2611.00001v1</id><title>T</title>{}</entry>"


def about(cursor: str | None = None) -> DocumentInfo:
    return DocumentInfo(feed="jars", kind="arxiv_api", fetched_at=datetime(2026, 11, 24, tzinfo=UTC), cursor=cursor)


def page(*entries: str, total: int | None = 1, start: int | None = 0) -> bytes:
    counts = "" if total is None else f"<opensearch:totalResults>{total}</opensearch:totalResults>"
    counts += "" if start is None else f"<opensearch:startIndex>{start}</opensearch:startIndex>"
    return f"{HEAD}{counts}{''.join(entries)}</feed>".encode()


def feed(**params: str) -> FeedInfo:
    return FeedInfo(name="jars", kind="arxiv_api", params=params)


# --- asking ------------------------------------------------------------------------------------------------


def asked(feed: FeedInfo, **more: str) -> dict[str, str]:
    url = arxiv_api.request(feed, UpstreamUrls(), **more).url
    assert url.startswith("https://export.arxiv.org/api/query?")
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_a_query_asks_for_the_newest_first_two_hundred_at_a_time() -> None:
    assert asked(feed(query="cat:cs.CL")) == {
        "search_query": "cat:cs.CL",
        "start": "0",
        "max_results": "200",
        "sortBy": "submittedDate",
        "sortOrder": "descending",
    }


def test_a_day_is_asked_for_up_to_the_next_midnight() -> None:
    query = asked(feed(query="cat:cs.CL OR cat:cs.LG", sort="lastUpdatedDate asc"), batch="2026-11-30", cursor="400")
    assert query["search_query"] == "(cat:cs.CL OR cat:cs.LG) AND submittedDate:[202611300000 TO 202612010000]"
    assert (query["start"], query["sortBy"], query["sortOrder"]) == ("400", "lastUpdatedDate", "ascending")


def test_identifiers_alone_are_a_query_too() -> None:
    query = asked(feed(id_list="2611.00001,2611.00002", page_size="50"))
    assert "search_query" not in query
    assert (query["id_list"], query["max_results"]) == ("2611.00001,2611.00002", "50")


def test_calls_are_spaced_as_arxiv_asks() -> None:
    request = arxiv_api.request(feed(query="all:jar"), UpstreamUrls())
    assert (request.gate, request.interval_s) == ("arxiv.org", 3.0)


@pytest.mark.parametrize(
    ("params", "more"),
    [
        ({}, {}),
        ({"query": "  "}, {}),
        ({"query": "a", "page_size": "2001"}, {}),
        ({"query": "a", "page_size": "-5"}, {}),
        ({"query": "a", "sort": "citations"}, {}),
        ({"query": "a", "sort": "submittedDate upwards"}, {}),
        ({"query": "a"}, {"batch": "2026-W47"}),
        ({"query": "a"}, {"batch": "2026-02-30"}),
        ({"query": "a"}, {"cursor": "next"}),
    ],
)
def test_what_cannot_be_asked_is_refused(params: dict[str, str], more: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=r"jars|cursor"):
        arxiv_api.request(feed(**params), UpstreamUrls(), **more)


# --- reading -----------------------------------------------------------------------------------------------


def test_an_entry_becomes_a_paper_with_all_that_it_says() -> None:
    parsed = arxiv_api.parse((SAMPLES / "arxiv_api_page.xml").read_bytes(), about())
    paper = parsed.papers[0]
    assert [str(one) for one in paper.identifiers] == ["arxiv:2611.05001", "doi:10.1234/tea.2026.1"]
    assert paper.version == 3
    assert paper.title == "Tea Leaves & Transformers: a <mask> for $x^2$"
    assert paper.abstract == "We read leaves."
    assert [(one.name, one.affiliation) for one in paper.authors] == [
        ("Ines Duarte", "Tea Institute; Leaf University"),
        ("Bo Chen", None),
    ]
    assert paper.categories == ("cs.CL", "stat.ML")  # the primary first, MSC classes left out
    assert paper.published_at == datetime(2026, 11, 2, 17, 59, 59, tzinfo=UTC)
    assert paper.updated_at == datetime(2026, 11, 23, 8, tzinfo=UTC)
    assert paper.comment == "12 pages, code at https://github.com/o/leaves"
    assert paper.journal_ref == "J. Tea 4 (2026) 1-12"
    assert paper.withdrawn is False
    assert paper.announced_on is None  # the API knows submissions, not announcements
    assert paper.rank == 41


def test_ranks_count_from_the_start_of_the_page_wherever_it_is_told() -> None:
    told = "<opensearch:startIndex>400</opensearch:startIndex>"
    entries = [PAPER.format("") for _ in range(300)]
    for body in (page(*entries, start=400), page(*entries, told, start=None), page(*entries, start=None)):
        parsed = arxiv_api.parse(body, about(cursor="400"))
        assert [paper.rank for paper in parsed.papers] == list(range(401, 701))


def test_a_paper_titled_zero_is_a_paper_and_a_notice_means_withdrawn() -> None:
    paper = arxiv_api.parse((SAMPLES / "arxiv_api_page.xml").read_bytes(), about()).papers[1]
    assert (paper.title, paper.withdrawn) == ("0", True)
    assert [str(one) for one in paper.identifiers] == ["arxiv:math/0309136"]


def test_a_bad_entry_is_rejected_and_counted_in_the_paging() -> None:
    parsed = arxiv_api.parse((SAMPLES / "arxiv_api_page.xml").read_bytes(), about())
    assert [(one.reason, one.position) for one in parsed.rejected] == [("no title", 3)]
    assert (parsed.announced, parsed.next_cursor, parsed.seen) == (90, "43", 3)


def test_the_shape_of_2007_reads_the_same() -> None:
    parsed = arxiv_api.parse((SAMPLES / "arxiv_api_legacy.xml").read_bytes(), about())
    paper = parsed.papers[0]
    assert [str(one) for one in paper.identifiers] == ["arxiv:hep-ex/0301001"]
    assert (paper.title, paper.abstract, paper.version) == ("Jars at High Momenta", "Jars are studied.", None)
    assert paper.published_at == datetime(2003, 1, 8, 2, 46, 39, tzinfo=UTC)
    assert paper.categories == ("hep-ex",)
    assert parsed.next_cursor is None


@pytest.mark.parametrize(
    ("received", "total", "start", "expected"),
    [(3, 10, 0, "3"), (3, 3, 0, None), (3, 10, 7, None), (2, 10, 4, "6"), (3, None, 0, None)],
)
def test_the_next_page_starts_after_what_was_received(
    received: int, total: int | None, start: int, expected: str | None
) -> None:
    parsed = arxiv_api.parse(page(*[PAPER.format("")] * received, total=total, start=start), about())
    assert parsed.next_cursor == expected


def test_an_empty_page_amid_announced_entries_is_asked_for_again_and_is_no_quiet_day() -> None:
    parsed = arxiv_api.parse(page(total=500, start=400), about(cursor="400"))
    assert not parsed.quiet
    assert parsed.next_cursor == "400~1"
    assert "400 came back empty" in parsed.notes[0]


def test_a_page_that_stays_empty_ends_the_walk() -> None:
    assert arxiv_api.parse(page(total=500, start=400), about(cursor="400~3")).next_cursor is None


@pytest.mark.parametrize(
    ("cursor", "received", "expected"),
    [
        ("4", 2, "4~1"),  # three were owed
        ("4~1", 2, "4~2"),
        ("4~3", 2, "6"),  # asked often enough: on behind what did come
        ("4~1", 3, "7"),
        ("8", 1, "8~1"),  # the last page owes two
        ("8", 2, None),
    ],
)
def test_a_page_shorter_than_owed_is_asked_for_again_a_few_times(
    cursor: str, received: int, expected: str | None
) -> None:
    start = int(cursor.partition("~")[0])
    body = page(
        "<opensearch:itemsPerPage>3</opensearch:itemsPerPage>", *[PAPER.format("")] * received, total=10, start=start
    )
    parsed = arxiv_api.parse(body, about(cursor=cursor))
    assert (parsed.next_cursor, parsed.seen) == (expected, received)


def test_further_tries_ask_for_the_same_then_for_half_then_for_a_quarter_and_for_the_whole_answer() -> None:
    sizes = [asked(feed(query="cat:cs.CL"), cursor=c)["max_results"] for c in ("400", "400~1", "400~2", "400~3")]
    assert sizes == ["200", "200", "100", "50"]
    assert {asked(feed(query="cat:cs.CL"), cursor=c)["start"] for c in ("400", "400~2")} == {"400"}
    requests = [arxiv_api.request(feed(query="cat:cs.CL"), UpstreamUrls(), cursor=c) for c in ("400", "400~1")]
    assert [one.fresh for one in requests] == [False, True]


def test_a_missing_start_is_taken_from_the_request() -> None:
    parsed = arxiv_api.parse(page(PAPER.format(""), total=9, start=None), about(cursor="4"))
    assert (parsed.next_cursor, parsed.papers[0].rank) == ("5", 5)


def test_nothing_found_is_quiet() -> None:
    parsed = arxiv_api.parse(page(total=0), about())
    assert parsed.quiet
    assert parsed.announced == 0
    assert parsed.notes == ()


def test_an_answer_that_holds_only_an_error_is_refused_with_arxivs_words() -> None:
    with pytest.raises(MalformedDocument, match="incorrect id format for abc"):
        arxiv_api.parse(page(ERROR), about())


def test_an_error_among_papers_is_rejected_as_such() -> None:
    parsed = arxiv_api.parse(page(PAPER.format(""), ERROR, total=2), about())
    assert len(parsed.papers) == 1
    assert parsed.rejected[0].reason == "arXiv reports an error: incorrect id format for abc"


def test_an_entry_of_another_site_is_rejected() -> None:
    parsed = arxiv_api.parse(
        page("<entry><id>https://evil.example/abs/2611.00001</id><title>T</title></entry>"), about()
    )
    assert [(one.reason, one.entry) for one in parsed.rejected] == [
        ("no arXiv identifier", "https://evil.example/abs/2611.00001")
    ]


@pytest.mark.parametrize(
    ("extra", "years"),
    [
        ("<published>yesterday</published>", None),
        ("<published>0001-01-01T00:00:00Z</published>", None),
        ("<published>9999-12-31T23:59:59-14:00</published>", None),
        ("<published>2026-11-02T17:59:59Z</published>", 2026),
    ],
)
def test_an_impossible_date_is_no_date(extra: str, years: int | None) -> None:
    published = arxiv_api.parse(page(PAPER.format(extra)), about()).papers[0].published_at
    assert (published.year if published else None) == years


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty document"),
        (b"Rate exceeded.", "text that begins 'Rate exceeded.'"),
        (b"<html><body>503</body></html>", "root element <html>"),
        (b'<rss version="2.0"><channel/></rss>', "root element <rss>"),
        (page(PAPER.format(""))[:-20], "not well-formed"),
        (b"[1]", "JSON"),
    ],
)
def test_another_document_is_refused_with_what_was_found(body: bytes, words: str) -> None:
    with pytest.raises(MalformedDocument, match="expected an arXiv API answer") as refusal:
        arxiv_api.parse(body, about())
    assert words in str(refusal.value)
