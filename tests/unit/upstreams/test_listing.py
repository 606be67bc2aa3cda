from __future__ import annotations

import contextlib
import os
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, UpstreamUrls
from services.domain.identifiers import Identifier
from services.domain.papers import PaperData, ParsedFeed
from services.upstreams.listing import looks_like_listing, parse, request
from services.upstreams.listing_dates import WrittenDate, make_calendar, read_date
from services.upstreams.listing_lines import parse_count, read_organization

SAMPLES = Path(__file__).parents[2] / "upstreams" / "listing"
CORPORA = Path(os.environ.get("BROADSHEET_CORPORA") or Path(__file__).parents[4] / "shared" / "corpora")
BLOCK = "• 2 authors\n·\nNov 3\n"
HEAD = "Daily Papers\n\nbyAK and the research community\n\n"
PROSE = "We study something at length and in earnest. It turns out to be what nobody expected it to be."


def about(**changes: object) -> DocumentInfo:
    values = {"feed": "saved", "kind": "listing", "fetched_at": datetime(2026, 11, 25, 9, tzinfo=UTC), **changes}
    return DocumentInfo(**values)  # type: ignore[arg-type]


def read(text: str, **changes: object) -> ParsedFeed:
    return parse(text.encode(), about(**changes))


def titles(parsed: ParsedFeed) -> list[str]:
    return [paper.title for paper in parsed.papers]


def day(paper: PaperData) -> date | None:
    return paper.published_at.date() if paper.published_at else None


# --- the copied text ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page() -> ParsedFeed:
    return parse((SAMPLES / "page.txt").read_bytes(), about())


def test_every_entry_of_the_page_is_read_and_nothing_of_its_heading(page: ParsedFeed) -> None:
    assert titles(page) == [
        "Gardens of Attention: Pruning Transformers by Season",
        "Do Owls Read? A Benchmark for Nocturnal Document Understanding. And Other Questions About Reading in "
        "Low Light",
        "Technical Report of the Lighthouse Model",
        "Maps Without Borders",
        "Tides: A Survey of Periodic Losses",
    ]
    assert page.rejected == ()
    assert page.seen == 5
    assert [paper.rank for paper in page.papers] == [1, 2, 3, 4, 5]


def test_an_entry_has_what_its_lines_say(page: ParsedFeed) -> None:
    first = page.papers[0]
    assert first.abstract is not None
    assert first.abstract.startswith("Large models grow")
    assert first.abstract.endswith("https://github.com/garden-lab/seasons.")
    assert (first.authors_count, first.organization) == (6, None)
    assert first.published_at == datetime(2025, 3, 26, tzinfo=UTC)
    assert first.announced_on == date(2025, 11, 21)
    assert first.comments_count == 0
    assert first.identifiers == ()
    assert first.upvotes is None


def test_an_entry_without_closing_block_is_a_paper_of_which_nothing_more_is_known(page: ParsedFeed) -> None:
    bare = page.papers[1]
    assert bare.abstract is not None
    assert bare.abstract.endswith("squint more ...")
    assert (bare.authors_count, bare.organization, bare.published_at, bare.comments_count) == (None, None, None, None)
    assert bare.announced_on == date(2025, 11, 21)


def test_numbers_and_organizations_are_read(page: ParsedFeed) -> None:
    facts = [(p.authors_count, p.organization, day(p), p.comments_count) for p in page.papers[2:]]
    assert facts == [
        (1, None, date(2024, 12, 10), 2),
        (None, "ISLE-Lab", date(2025, 10, 29), 1),
        (1204, None, date(2024, 2, 29), 1200),
    ]


def test_the_page_by_day_has_upvotes_before_and_comments_after() -> None:
    parsed = parse((SAMPLES / "day.txt").read_bytes(), about())
    facts = [(p.title, p.upvotes, p.authors_count, p.comments_count, p.announced_on) for p in parsed.papers]
    assert facts == [
        ("Gardens of Attention: Pruning Transformers by Season", 94, 6, 5, date(2026, 1, 5)),
        ("Maps Without Borders", 17, 12, None, date(2026, 1, 5)),
    ]
    assert parsed.rejected == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "  \t\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("•", "·"),
        lambda text: text.replace("•", "*"),
        lambda text: text.replace("  •", "\u00a0\u00a0•\u00a0"),
        lambda text: "Models\n\nDatasets\n\nSpaces\n\nSign Up\n\n" + text,
        lambda text: text + "\n\nPrevious\n1\n2\n3\n...\n9\nNext\n\nCompany\n\nTOS\n\n© Hugging Face\n",
        lambda text: text + "\nPrevious / Next\n",
        lambda text: text.replace("\n·\nMar 26", " · Mar 26"),
        lambda text: text.replace("\n·\nMar 26", "\n· Mar 26"),
        lambda text: text.replace("Dec 10, 2024 2", "Dec 10, 2024 · 2"),
        lambda text: text.replace("Dec 10, 2024 2", "Dec 10, 2024\n·\n2"),
        lambda text: text.replace("Dec 10, 2024 2", "December 10, 2024 2"),
        lambda text: text.replace("ISLE-Lab ISLE-Lab\n·\nOct 29 1", "ISLE-Lab ISLE-Lab · Oct 29 1"),
        lambda text: text.encode("utf-16").decode("latin-1"),
    ],
    ids=[
        "windows line ends", "trailing blanks", "double spacing", "byte order mark", "other bullet", "asterisks",
        "hard blanks", "navigation", "pager and footer", "short footer", "one line", "two lines", "dotted count",
        "count below", "long month", "organization in line", "utf-16",
    ],
)  # fmt: skip
def test_the_shape_of_the_copy_does_not_matter(page: ParsedFeed, change: object) -> None:
    text = change((SAMPLES / "page.txt").read_text("utf-8"))  # type: ignore[operator]
    body = text.encode("latin-1") if text.startswith("ÿþ") else text.encode()
    parsed = parse(body, about())
    assert parsed.papers == page.papers
    assert parsed.rejected == ()


def test_lines_without_blanks_between_are_told_apart_by_what_they_look_like() -> None:
    text = (SAMPLES / "page.txt").read_text("utf-8")
    squeezed = "\n".join(line for line in text.splitlines() if line.strip())
    # Without blanks only what is clearly prose parts two entries: the short abstract joins no title.
    assert titles(read(squeezed))[0] == "Gardens of Attention: Pruning Transformers by Season"
    assert len(read(squeezed).papers) == 5


def test_a_wrapped_abstract_is_one_paragraph() -> None:
    text = (
        HEAD
        + "Nov 21\n\nA Wrapped Title That Goes\non and on\n\n"
        + f"We wrap our lines\nearly and often\nto the end.\n\n{BLOCK}"
    )
    (paper,) = read(text).papers
    assert paper.title == "A Wrapped Title That Goes on and on"
    assert paper.abstract == "We wrap our lines early and often to the end."


def test_an_abstract_of_several_paragraphs_is_kept_whole() -> None:
    text = f"{HEAD}A Title of Some Length\n\n{PROSE}\n\n{PROSE}\n\nCode: https://github.com/us/ours\n\n{BLOCK}"
    (paper,) = read(text).papers
    assert paper.abstract == f"{PROSE} {PROSE} Code: https://github.com/us/ours"


def test_entries_without_abstract_are_papers_by_their_closing_block() -> None:
    text = f"{HEAD}First Paper Title\n\n• 2 authors\n·\nNov 3 · 5\n\nSecond Paper Title\n\nus-lab Us Lab\n·\nNov 4\n\n"
    parsed = read(text)
    assert [(p.title, p.abstract, p.authors_count, p.organization, p.comments_count) for p in parsed.papers] == [
        ("First Paper Title", None, 2, None, 5),
        ("Second Paper Title", None, None, "Us Lab", 0),
    ]


def test_a_short_abstract_with_a_full_stop_is_an_abstract() -> None:
    (paper,) = read(f"{HEAD}A Title of Some Length\n\nWe do things.\n\n• 2 authors\n·\nNov 3\n").papers
    assert paper.abstract == "We do things."


@pytest.mark.parametrize(
    "title", ["May 5", "June 4, 1989", "2024-01-01", "Nov 21", "Learn", "Search", "3 authors and a cat", "1984"]
)
def test_a_title_that_looks_like_something_else_is_a_title(title: str) -> None:
    text = f"{HEAD}Nov 21\n\nA First Title of Some Length\n\n{PROSE}\n\n{BLOCK}\n{title}\n\n{PROSE}\n\n{BLOCK}"
    parsed = read(text, as_of=date(2025, 11, 21))
    if title == "1984":  # a number alone before prose is upvotes in one kind of page: here it is no title
        assert titles(parsed) == ["A First Title of Some Length"]
        assert parsed.rejected[0].reason == "an abstract without a title"
        return
    assert titles(parsed) == ["A First Title of Some Length", title]
    assert [paper.announced_on for paper in parsed.papers] == [date(2025, 11, 21)] * 2


def test_a_title_that_looks_like_a_date_may_come_first() -> None:
    parsed = read(f"{HEAD}Nov 21\n\nMay 5\n\n{PROSE}\n\n• 2 authors\n·\nNov 3, 2024\n")
    assert titles(parsed) == ["May 5"]
    assert parsed.papers[0].announced_on == date(2025, 11, 21)


def test_two_days_in_one_file_each_keep_their_day() -> None:
    entry = f"A Title of Some Length {{}}\n\n{PROSE}\n\n• 2 authors\n·\nNov 3\n\n"
    text = HEAD + "Nov 21\n\n" + entry.format(1) + HEAD + "Nov 20\n\n" + entry.format(2)
    parsed = read(text, as_of=date(2025, 11, 22))
    assert [paper.announced_on for paper in parsed.papers] == [date(2025, 11, 21), date(2025, 11, 20)]


def test_an_address_or_markdown_link_of_the_paper_is_its_identifier() -> None:
    text = (
        f"{HEAD}[A Linked Title of Length](https://huggingface.co/papers/2511.00001)\n\n{PROSE}\n\n{BLOCK}\n"
        f"A Plain Title of Length\n\nhttps://arxiv.org/abs/2511.00002\n\n{PROSE}\n\n{BLOCK}"
    )
    parsed = read(text)
    assert titles(parsed) == ["A Linked Title of Length", "A Plain Title of Length"]
    assert [p.identifiers for p in parsed.papers] == [
        (Identifier("arxiv", "2511.00001"),),
        (Identifier("arxiv", "2511.00002"),),
    ]
    assert [p.abstract for p in parsed.papers] == [PROSE, PROSE]


def test_a_title_too_short_to_stand_for_its_paper_gets_an_identifier_with_the_abstract() -> None:
    entry = "Moshi\n\n{}\n\n• 2 authors\n·\nNov 3\n\n"
    one, other = read(HEAD + entry.format(PROSE) + entry.format("Other words. " + PROSE)).papers
    assert [i.scheme for i in one.identifiers] == ["title"]
    assert one.identifiers != other.identifiers


def test_hostile_text_comes_out_plain() -> None:
    title = "Ti\u202etle\x00 of a <script>alert(1)</script> Paper"
    (paper,) = read(f"{HEAD}{title}\n\n{PROSE}\u200b\n\n• 2 authors\n·\nNov 3\n").papers
    assert paper.title == "Title of a <script>alert(1)</script> Paper"
    assert paper.abstract == PROSE


# --- what cannot be used -----------------------------------------------------------------------------------


def test_what_cannot_be_used_is_rejected_with_its_reason_and_the_rest_is_read() -> None:
    text = (
        f"{HEAD}Nov 21\n\nA First Title of Length\n\n{PROSE}\n\n• 2 authors\n·\nNov 3\n\n"
        f"{PROSE}\n\n• 3 authors\n·\nNov 3\n\n"
        "Sponsored by somebody kind\n\n"
        f"A Last Title of Length\n\n{PROSE}\n\n• 4 authors\n·\nNov 3\n\nStray words at the end"
    )
    parsed = read(text)
    assert titles(parsed) == ["A First Title of Length", "A Last Title of Length"]
    assert [(r.position, r.reason) for r in parsed.rejected] == [
        (2, "an abstract without a title"),
        (3, "a title with neither abstract nor authors and date"),
        (5, "a title with neither abstract nor authors and date"),
    ]
    assert parsed.rejected[1].entry.startswith("Sponsored by")
    assert parsed.seen == 5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n\x00\n",
        b"Rate exceeded.",
        b"Just a note\n\nwith two lines",
        f"# Readme\n\n{PROSE}\n\n## More\n\n{PROSE}\n".encode(),
        b"<html><body><h1>Log in</h1><p>Please log in to go on. It is free.</p></body></html>",
        b"<html></html>",
        b"<",
        b"Daily Papers\n\nbyAK and the research community\n\nNov 21\n",
        bytes(range(256)) * 10,
    ],
)
def test_a_document_without_entries_is_malformed_and_the_message_says_what_was_expected(body: bytes) -> None:
    with pytest.raises(MalformedDocument, match="expected a Daily Papers page"):
        parse(body, about())


def test_a_listing_cannot_be_fetched() -> None:
    with pytest.raises(InvalidInput, match="cannot be fetched"):
        request(FeedInfo(name="saved", kind="listing"), UpstreamUrls())


# --- years -------------------------------------------------------------------------------------------------


def listing(heading: str, *dates: str) -> str:
    entries = (f"A Title of Some Length {n}\n\n{PROSE}\n\n• 2 authors\n·\n{d}\n\n" for n, d in enumerate(dates))
    return HEAD + (heading + "\n\n" if heading else "") + "".join(entries)


@pytest.mark.parametrize(
    ("heading", "dates", "known", "expected_day", "expected"),
    [
        # The year after the newest one written out.
        ("Nov 21", ("Mar 26", "Nov 18, 2024"), {}, "2025-11-21", ["2025-03-26", "2024-11-18"]),
        ("Jan 5", ("Jan 2", "Dec 28, 2025"), {}, "2026-01-05", ["2026-01-02", "2025-12-28"]),
        ("Dec 30", ("Dec 28", "Jan 3", "Nov 3, 2024"), {}, "2025-12-30", ["2025-12-28", "2025-01-03", "2024-11-03"]),
        # A date later than the page is of the year before.
        ("Jan 5", ("Dec 28", "Nov 3, 2024"), {}, "2025-01-05", ["2024-12-28", "2024-11-03"]),
        # Known from outside.
        (
            "Nov 21",
            ("Mar 26", "May 1, 2020"),
            {"as_of": date(2025, 11, 25)},
            "2025-11-21",
            ["2025-03-26", "2020-05-01"],
        ),
        ("Dec 30", ("Dec 28",), {"as_of": date(2026, 1, 4)}, "2025-12-30", ["2025-12-28"]),
        ("", ("Mar 26", "Dec 28"), {"as_of": date(2026, 1, 4)}, "2026-01-04", ["2025-03-26", "2025-12-28"]),
        ("Nov 21, 2023", ("Mar 26", "Dec 28"), {}, "2023-11-21", ["2023-03-26", "2022-12-28"]),
        ("Nov 21", ("Mar 26",), {"batch": "2024-11-21"}, "2024-11-21", ["2024-03-26"]),
        # Nothing written at all: by the time it was read.
        ("Nov 21", ("Mar 26", "Nov 20"), {}, "2026-11-21", ["2026-03-26", "2026-11-20"]),
        ("Dec 30", ("Mar 26", "Dec 1"), {}, "2025-12-30", ["2025-03-26", "2025-12-01"]),
        # Never ahead of the time it was read.
        ("Nov 21", ("Mar 26", "Nov 1, 2026"), {}, "2026-11-21", ["2026-03-26", "2026-11-01"]),
        ("Nov 21", ("Mar 26", "Nov 1, 2099"), {}, "2026-11-21", ["2026-03-26", "2099-11-01"]),
        # Leap days.
        ("Nov 21", ("Feb 29", "Nov 1, 2024"), {}, "2025-11-21", ["2024-02-29", "2024-11-01"]),
    ],
)
def test_years_the_page_leaves_out_are_worked_out(
    heading: str, dates: tuple[str, ...], known: dict[str, object], expected_day: str, expected: list[str]
) -> None:
    parsed = read(listing(heading, *dates), **known)
    assert [str(day(paper)) for paper in parsed.papers] == expected
    assert {str(paper.announced_on) for paper in parsed.papers} == {expected_day}


def test_the_operator_is_told_how_years_were_read() -> None:
    assert read(listing("Nov 21", "Mar 26", "Nov 18, 2024")).notes == ("dates without a year were read as of 2025",)
    assert read(listing("Nov 21, 2025", "Mar 26, 2025")).notes == ()


def test_without_any_day_the_papers_have_none() -> None:
    assert [paper.announced_on for paper in read(listing("", "Mar 26")).papers] == [None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nov 21", WrittenDate(11, 21)),
        ("Nov. 21", WrittenDate(11, 21)),
        ("Friday, November 21, 2025", WrittenDate(11, 21, 2025)),
        ("21 Nov 2025", WrittenDate(11, 21, 2025)),
        ("2025-11-21", WrittenDate(11, 21, 2025)),
        ("Sept 1st", WrittenDate(9, 1)),
        ("Feb 29", WrittenDate(2, 29)),
        ("Feb 29, 2025", None),
        ("Feb 30", None),
        ("Nov 0", None),
        ("Foo 12", None),
        ("May", None),
        ("Nov 21 and more", None),
        ("Nov 21, 1066", None),
    ],
)
def test_a_date_is_read_as_a_whole_or_not_at_all(text: str, expected: WrittenDate | None) -> None:
    assert read_date(text) == expected


@given(
    st.dates(date(2023, 1, 1), date(2026, 11, 24)),
    st.lists(st.dates(date(2019, 1, 1), date(2026, 11, 24)), min_size=1, max_size=20),
)
def test_a_page_that_names_a_paper_of_last_year_is_dated_right(page_day: date, days: list[date]) -> None:
    days = [one for one in days if one <= page_day] + [date(page_day.year - 1, 6, 1)]
    written = [WrittenDate(d.month, d.day, None if d.year == page_day.year else d.year) for d in days]
    heading = WrittenDate(page_day.month, page_day.day)
    calendar = make_calendar(written, heading, about())
    assert calendar.resolve(heading) == page_day
    assert [calendar.resolve(one) for one in written] == days


# --- pieces ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("12", 12), ("1,204", 1204), ("1.204", 1204), ("1.2k", 1200), ("1.25K", 1250), ("2M", 2_000_000),
     ("12,34", None), ("1.2", None), ("x", None), ("", None), ("9" * 40, None)],
)  # fmt: skip
def test_counts_are_read_as_the_page_shortens_them(text: str, count: int | None) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("ISLE-Lab ISLE-Lab", "ISLE-Lab"),
        ("acme ACME", "ACME"),
        ("acme Research at Acme", "Research at Acme"),
        ("Stanford University Stanford University", "Stanford University"),
        ("Stanford University", "Stanford University"),
        ("stanfordnlp Stanford NLP", "Stanford NLP"),
        ("TUM Technical University of Munich", "Technical University of Munich"),
        ("AcmeAI Acme Studio", "Acme Studio"),
        ("The Institute of Things", "The Institute of Things"),
        ("One", "One"),
    ],
)
def test_an_organization_is_told_from_its_handle(line: str, name: str) -> None:
    assert read_organization(line) == name


# --- HTML --------------------------------------------------------------------------------------------------


def test_the_data_in_the_page_is_preferred_to_its_cards() -> None:
    parsed = parse((SAMPLES / "hydrated.html").read_bytes(), about())
    (paper,) = parsed.papers
    assert paper.identifiers == (Identifier("arxiv", "2603.00001"),)
    assert paper.abstract == "We prune. And we &amp; the owls wait."
    assert [author.name for author in paper.authors] == ["First Person", "Second Person"]
    assert (paper.upvotes, paper.comments_count, paper.announced_on) == (94, 5, date(2026, 3, 4))
    assert paper.published_at == datetime(2026, 3, 2, tzinfo=UTC)
    assert [link.slug for link in paper.links] == ["garden-lab/seasons"]
    assert [r.position for r in parsed.rejected] == [2]
    assert parsed.next_cursor is None


def test_cards_are_read_where_the_data_is_gone() -> None:
    parsed = parse((SAMPLES / "cards.html").read_bytes(), about())
    one, other = parsed.papers
    assert one.identifiers == (Identifier("arxiv", "2603.00001"),)
    assert one.title == "Gardens of Attention & Seasons: Pruning Transformers"
    assert (one.abstract, one.authors_count, one.upvotes, one.comments_count) == (None, 6, 94, 5)
    assert one.organization is None
    assert other.identifiers == (Identifier("arxiv", "2603.00002"),)
    assert other.abstract is not None
    assert other.abstract.startswith("We draw maps")
    assert (other.organization, day(other), other.upvotes) == ("ISLE Lab", date(2026, 3, 2), 1200)
    assert [(link.kind, link.slug) for link in other.links] == [("code", "isle-lab/maps")]
    assert {paper.announced_on for paper in parsed.papers} == {date(2026, 3, 4)}
    assert [(r.position, r.reason) for r in parsed.rejected] == [(3, "the card links to no paper")]


def test_cut_data_falls_back_to_the_cards() -> None:
    body = (SAMPLES / "hydrated.html").read_bytes().replace(b"&quot;periodType&quot;:", b"")
    (paper,) = parse(body, about()).papers
    assert paper.title == "Gardens of Attention"


def test_a_page_in_other_markup_is_read_as_its_text() -> None:
    lines = (SAMPLES / "page.txt").read_text("utf-8").splitlines()
    body = "<html><body>" + "".join(f"<div>{line}</div>" for line in lines if line.strip()) + "</body></html>"
    parsed = read(body)
    assert len(parsed.papers) == 5
    assert [p.organization for p in parsed.papers if p.organization] == ["ISLE-Lab"]


def test_headings_that_link_to_papers_are_cards_without_articles() -> None:
    card = (
        '<div><div><h3><a href="/papers/2603.0000{0}">A Title of Length {0}</a></h3></div>'
        "<p>{1}</p><span>{0} authors</span></div>"
    )
    parsed = read("<html><body><main>" + card.format(3, PROSE) + card.format(4, PROSE) + "</main></body></html>")
    assert [(p.identifiers[0].value, p.authors_count, p.abstract) for p in parsed.papers] == [
        ("2603.00003", 3, PROSE),
        ("2603.00004", 4, PROSE),
    ]


# --- what is a listing? ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["page.txt", "day.txt", "cards.html", "hydrated.html"])
def test_a_listing_is_known_by_its_looks(name: str) -> None:
    assert looks_like_listing((SAMPLES / name).read_bytes())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'[{"paper": {"id": "2601.01234"}}]',
        b"<?xml version='1.0'?><rss><channel><title>Papers</title></channel></rss>",
        b"<feed xmlns='http://www.w3.org/2005/Atom'><entry/></feed>",
        b"<html><body><p>Hello</p></body></html>",
        b"Some notes of mine\n\nThey are about papers. And about more.",
        b"\xff\xfe\x00",
    ],
)
def test_other_documents_are_not_taken_for_listings(body: bytes) -> None:
    assert not looks_like_listing(body)


# --- always ------------------------------------------------------------------------------------------------

_LINES = st.sampled_from(
    ["", "", "A Title of Some Length", PROSE, "• 6 authors", "·", "Mar 26", "Dec 10, 2024 2", "12", "1.2k",
     "Daily Papers",
     "Submitted by", "us-lab Us Lab", "Previous", "<b>", "[x](https://arxiv.org/abs/2601.00001)", "x" * 400]
)  # fmt: skip


@given(st.lists(_LINES, max_size=40).map("\n".join) | st.text(max_size=300))
def test_any_text_is_read_or_refused_and_nothing_is_lost_silently(text: str) -> None:
    body = text.encode("utf-8", "surrogatepass")
    looks_like_listing(body)
    try:
        parsed = parse(body, about())
    except MalformedDocument:
        return
    assert parsed.papers
    positions = [paper.rank for paper in parsed.papers] + [one.position for one in parsed.rejected]
    assert sorted(p for p in positions if p is not None) == list(range(1, parsed.seen + 1))
    for paper in parsed.papers:
        assert paper.title
        assert paper.abstract is None or paper.abstract


@given(st.binary(max_size=400).map(lambda tail: b"<html><article><h3><a href='/papers/2601.00001'>" + tail))
def test_any_markup_is_read_or_refused(body: bytes) -> None:
    looks_like_listing(body)
    try:
        parsed = parse(body, about())
    except MalformedDocument:
        return
    assert parsed.seen > 0


@pytest.mark.parametrize(
    "hostile",
    [
        b"<div>" * 60_000,
        b"<article><h3><a href='/papers/2601.00001'>" * 5_000,
        b"\xe2\x80\xa2 1 author\n" * 60_000,
        b"a\n\n" * 100_000,
        b"Daily Papers\n" + b"x. " * 300_000,
        b"<p data-props='" + b"[" * 100_000 + b"paper'>",
    ],
)
def test_hostile_documents_are_answered_in_time(hostile: bytes) -> None:
    begun = time.thread_time()
    looks_like_listing(hostile)
    with contextlib.suppress(MalformedDocument):
        parse(hostile, about())
    assert time.thread_time() - begun < 10


# --- a listing of the wild ---------------------------------------------------------------------------------


@pytest.mark.corpora
def test_the_saved_listing_is_read_whole() -> None:
    files = sorted((CORPORA / "seed").glob("*.txt"))
    if not files:
        pytest.skip("the recorded payloads are not here (BROADSHEET_CORPORA)")
    body = files[0].read_bytes()
    assert looks_like_listing(body)
    parsed = parse(body, about())
    assert (len(parsed.papers), parsed.rejected) == (87, ())
    assert {paper.announced_on for paper in parsed.papers} == {date(2025, 11, 21)}
    assert all(paper.abstract and len(paper.abstract) > 300 for paper in parsed.papers)
    by_title = {paper.title: paper for paper in parsed.papers}
    assert len(by_title) == 87
    assert [p.title for p in parsed.papers if p.organization == "UCSC-VLAA"] == [
        "MedVLSynther: Synthesizing High-Quality Visual Question Answering from Medical Documents with "
        "Generator-Verifier LMMs",
        "Discrete Diffusion Models with MLLMs for Unified Medical Multimodal Generation",
    ]
    without = [p.title.split(":")[0] for p in parsed.papers if p.comments_count is None]
    assert without == ["Unimedvl", "Lingshu", "M3Ret", "MedGemma Technical Report"]
    assert sum(1 for p in parsed.papers if p.authors_count) == 81
    lines = body.decode().splitlines()
    assert sum(p.authors_count or 0 for p in parsed.papers) == sum(
        int(line.split()[1]) for line in lines if line.startswith("  •")
    )
    assert by_title["Towards Generalist Biomedical AI"].published_at == datetime(2023, 7, 26, tzinfo=UTC)
    assert by_title["Vision Language Models in Medicine"].published_at == datetime(2025, 2, 24, tzinfo=UTC)
    for paper in parsed.papers:
        assert paper.title in lines
        assert paper.abstract in lines
