"""General feeds: what an entry becomes, which names a paper gets, and what hostile documents may not do."""

from __future__ import annotations

import codecs
import contextlib
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, UpstreamUrls
from services.domain.papers import PaperData, ParsedFeed
from services.upstreams import feeds

SAMPLES = Path(__file__).parents[2] / "upstreams"
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def about(
    url: str = "https://blog.example.org/feed", content_type: str = "", as_of: date | None = None
) -> DocumentInfo:
    return DocumentInfo(feed="blog", kind="rss", url=url, content_type=content_type, fetched_at=NOW, as_of=as_of)


def rss(items: str) -> bytes:
    return (
        '<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:content="http://purl.org/rss/1.0/modules/content/" '
        'xmlns:feedburner="http://rssnamespace.org/feedburner/ext/1.0" '
        'xmlns:prism="http://prismstandard.org/namespaces/basic/2.0/"><channel><title>Blog</title>'
        f"<link>https://blog.example.org/</link>{items}</channel></rss>"
    ).encode()


def only(items: str, info: DocumentInfo | None = None) -> PaperData:
    parsed = feeds.parse(rss(items), info or about())
    assert not parsed.rejected
    (paper,) = parsed.papers
    return paper


def names(paper: PaperData) -> list[str]:
    return [str(one) for one in paper.identifiers]


# --- asking ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "gate", "interval"),
    [
        ("https://blog.example.org/feed", "blog.example.org", 0.0),
        ("http://rss.arxiv.org/rss/cs.CL", "arxiv.org", 3.0),
        ("https://export.arxiv.org/api/query?x=1", "arxiv.org", 3.0),
        ("https://notarxiv.org/feed", "notarxiv.org", 0.0),
    ],
)
def test_calls_are_spaced_by_host_and_arxivs_hosts_together(url: str, gate: str, interval: float) -> None:
    asked = feeds.request(FeedInfo(name="blog", kind="rss", url=url), UpstreamUrls(), batch="2026-11-24")
    assert (asked.url, asked.gate, asked.interval_s) == (url, gate, interval)
    assert "application/atom+xml" in asked.headers["Accept"]


@pytest.mark.parametrize(
    "url", ["", "file:///etc/passwd", "javascript:alert(1)", "https://user:pw@example.org/", "feed"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="feed 'blog'"):
        feeds.request(FeedInfo(name="blog", kind="rss", url=url), UpstreamUrls())


# --- entries -----------------------------------------------------------------------------------------------


def test_an_atom_entry_becomes_a_paper_in_plain_text() -> None:
    parsed = feeds.parse((SAMPLES / "blog.atom").read_bytes(), about("https://lab.example.org/feed.atom"))
    paper = parsed.papers[0]
    assert parsed.title == "Jar Lab & friends"
    assert paper.title == "Jars <i> at scale"  # the escaped <i> is text, the <b> was markup, the script is gone
    assert paper.abstract == "How we scaled jars."
    assert names(paper) == ["url:https://lab.example.org/posts/jars"]
    assert [one.name for one in paper.authors] == ["Ana Lima"]
    assert paper.published_at == datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
    assert paper.updated_at == datetime(2026, 11, 24, 7, tzinfo=UTC)
    assert paper.announced_on == date(2026, 11, 23)
    assert paper.categories == ("engineering",)
    assert paper.links == ()  # its own page is its name, not something it points at


def test_an_entry_that_leads_to_arxiv_is_that_paper() -> None:
    parsed = feeds.parse((SAMPLES / "blog.atom").read_bytes(), about())
    assert names(parsed.papers[1]) == ["arxiv:2611.08001"]


def test_an_entry_that_leads_to_a_repository_has_it_as_link() -> None:
    parsed = feeds.parse((SAMPLES / "blog.atom").read_bytes(), about())
    assert [(one.kind, one.slug, one.evidence) for one in parsed.papers[2].links] == [("code", "jarlab/jars", "feed")]


def test_a_repeated_guid_and_an_entry_that_says_nothing_are_rejected() -> None:
    parsed = feeds.parse((SAMPLES / "blog.atom").read_bytes(), about())
    assert [(one.reason, one.entry, one.position) for one in parsed.rejected] == [
        ("duplicate of entry 3", "tag:lab.example.org,2026:3", 4),
        ("no title", "tag:lab.example.org,2026:5", 5),
    ]


def test_a_preprint_servers_rdf_gives_the_doi_and_the_authors_in_order() -> None:
    parsed = feeds.parse((SAMPLES / "preprints.rdf").read_bytes(), about())
    (paper,) = parsed.papers
    assert names(paper) == ["doi:10.1101/2026.11.20.900001"]
    assert [one.name for one in paper.authors] == ["S. Kim", "D. A. van Dam"]
    assert (paper.title, paper.abstract) == ("Jars in E. coli", "Cells keep jars.")
    assert paper.announced_on == date(2026, 11, 21)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("<link>https://doi.org/10.1234/A.B</link>", ["doi:10.1234/a.b"]),
        ("<link>https://blog.example.org/1</link><guid>doi:10.1234/A.B</guid>", ["doi:10.1234/a.b", "url:https://blog.example.org/1"]),
        ("<link>https://blog.example.org/1</link><prism:doi>10.1234/A.B</prism:doi>", ["doi:10.1234/a.b", "url:https://blog.example.org/1"]),
        ("<guid isPermaLink='false'>oai:arXiv.org:2611.00001v2</guid>", ["arxiv:2611.00001"]),
        ("<guid>https://blog.example.org/?p=7</guid>", ["url:https://blog.example.org/?p=7"]),
        # A count of the blog's own may look like an arXiv identifier.
        ("<link>https://blog.example.org/1</link><guid isPermaLink='false'>2611.00001</guid>", ["url:https://blog.example.org/1"]),
        # One page is enough: a guid that is another address of it would only tie papers together by accident.
        ("<link>https://blog.example.org/1</link><guid>https://blog.example.org/?p=1</guid>", ["url:https://blog.example.org/1"]),
        ("<link>/posts/1?utm_campaign=x</link>", ["url:https://blog.example.org/posts/1"]),
        ("<link>https://t.example.net/r</link><feedburner:origLink>https://blog.example.org/2</feedburner:origLink>", ["url:https://blog.example.org/2"]),
        ("<link>javascript:alert(1)</link>", []),
        ("<link>http://[</link>", []),
        ("", []),
    ],
)  # fmt: skip
def test_a_paper_is_named_by_what_identifies_it(entry: str, expected: list[str]) -> None:
    assert names(only(f"<item><title>Jar</title>{entry}</item>")) == expected


def test_a_link_that_several_entries_share_names_none_of_them() -> None:
    parsed = feeds.parse(
        rss(
            "<item><title>A</title><link>https://x.org/all</link><guid isPermaLink='false'>1</guid></item>"
            "<item><title>B</title><link>https://x.org/all</link><guid isPermaLink='false'>2</guid></item>"
        ),
        about(),
    )
    assert [names(paper) for paper in parsed.papers] == [[], []]
    assert "2 entries share the link https://x.org/all" in parsed.notes[0]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("a &lt; b", "a < b"),
        ("Vec&lt;T&gt; in practice", "Vec<T> in practice"),
        ("AT&amp;amp;T", "AT&T"),
        ("&lt;b&gt;Bold&lt;/b&gt; claims", "Bold claims"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;Jar", "Jar"),
        ("Jar &lt;img src=x onerror=alert(1)&gt;", "Jar"),
        ("<![CDATA[Jar <i>x</i>]]>", "Jar x"),
        ("Jar\n\n  two", "Jar two"),
        ("abc\u202edef", "abcdef"),
    ],
)
def test_titles_become_plain_text(title: str, expected: str) -> None:
    assert only(f"<item><title>{title}</title></item>").title == expected


def test_without_a_title_the_summary_begins_it() -> None:
    paper = only(f"<item><description>{'word ' * 60}</description></item>")
    assert paper.title.startswith("word word")
    assert paper.title.endswith("…")
    assert len(paper.title) <= 120


@pytest.mark.parametrize(
    ("summary", "content", "expected"),
    [
        ("Teaser.", "", "Teaser."),
        ("Teaser.", "<p>The whole text.</p>", "The whole text."),
        ("", "<p>The whole text.</p>", "The whole text."),
        ("A summary that says enough. " * 10, "<p>Text</p>", ("A summary that says enough. " * 10).strip()),
        ("Teaser.", "<p>A long article.</p>" * 1_000, "Teaser."),
    ],
)
def test_the_abstract_is_the_summary_or_a_short_content(summary: str, content: str, expected: str) -> None:
    encoded = f"<content:encoded><![CDATA[{content}]]></content:encoded>" if content else ""
    assert only(f"<item><title>T</title><description>{summary}</description>{encoded}</item>").abstract == expected


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("Mon, 23 Nov 2026 10:00:00 +0100", datetime(2026, 11, 23, 9, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("Thu, 31 Feb 2026 25:61:00 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 GMT", None),
        ("Fri, 01 Jan 9999 00:00:00 GMT", None),
        ("last week", None),
    ],
)
def test_a_date_that_cannot_be_is_left_out(stamp: str, expected: datetime | None) -> None:
    assert only(f"<item><title>T</title><pubDate>{stamp}</pubDate></item>").published_at == expected


def test_an_undated_entry_of_a_saved_feed_takes_the_day_one_says_it_was_saved() -> None:
    paper = only("<item><title>T</title></item>", about(as_of=date(2020, 5, 4)))
    assert (paper.announced_on, paper.published_at) == (date(2020, 5, 4), None)


def test_an_address_is_no_authors_name() -> None:
    paper = only("<item><title>T</title><author>bot@example.org</author></item>")
    assert paper.authors == ()
    paper = only("<item><title>T</title><author>ana@example.org (Ana Lima)</author></item>")
    assert [one.name for one in paper.authors] == ["Ana Lima"]


# --- whole documents ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        rss(""),
        b'<feed xmlns="http://www.w3.org/2005/Atom"><title>Quiet</title></feed>',
        b'<CHANNEL HREF="http://example.org/"><TITLE>CDF</TITLE></CHANNEL>',
    ],
)
def test_a_feed_without_entries_is_quiet(body: bytes) -> None:
    parsed = feeds.parse(body, about())
    assert parsed.quiet
    assert parsed.seen == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty document"),
        (b" \n\x00 ", "an empty document"),
        (b"<!DOCTYPE html><html><body>Log in</body></html>", "an HTML page"),
        (b"<html><body>Log in</body></html>", "an HTML page"),
        (b"Not found.", "text that begins 'Not found.'"),
        (b'{"error": "x"}', "JSON"),
        (b"<opml version='2.0'><body/></opml>", "root element <opml>"),
        (b"%PDF-1.7 \xff", "a PDF"),
    ],
)
def test_another_document_is_refused_with_what_was_found(body: bytes, words: str) -> None:
    with pytest.raises(MalformedDocument, match="expected a feed") as refusal:
        feeds.parse(body, about())
    assert words in str(refusal.value)


def test_a_broken_feed_is_read_as_far_as_it_goes_and_noted() -> None:
    parsed = feeds.parse(rss("<item><title>Tea & jars</title></item><item><title>Two</title>")[:-16], about())
    assert [paper.title for paper in parsed.papers] == ["Tea & jars", "Two"]
    assert "not well-formed" in parsed.notes[0]


@pytest.mark.parametrize(
    ("encoding", "content_type"),
    [("utf-8", ""), ("iso-8859-1", ""), ("utf-16", ""), ("iso-8859-1", "text/xml; charset=iso-8859-1"), ("cp037", "")],
)
def test_encodings_are_understood(encoding: str, content_type: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + rss("<item><title>Grön jar</title></item>").decode()
    body = text.encode(encoding)
    if encoding == "cp037":
        content_type = "text/xml; charset=cp037"
    parsed = feeds.parse(body, about(content_type=content_type))
    assert [paper.title for paper in parsed.papers] == ["Grön jar"]


ENTITY = '<!DOCTYPE rss [<!ENTITY a "aaaa">]>'


@pytest.mark.parametrize(
    "body",
    [
        (ENTITY + rss("<item><title>&a;</title></item>").decode()).encode(),
        (b"<!-- <a> --><!DOCTYPE rss [<!-- > --> <!ENTITY a SYSTEM 'file:///etc/passwd'>]><rss/>"),
        codecs.BOM_UTF16_LE + (ENTITY + "<rss/>").encode("utf-16-le"),
        (ENTITY + "<rss/>").encode("utf-16-be"),
        (ENTITY + "<rss/>").encode("utf-32-le"),
        (ENTITY + "<rss/>").encode("cp037"),
        b'<?xml version="1.0" encoding="utf-7"?>' + ENTITY.encode("utf-7").replace(b"<", b"+ADw-") + b"<rss/>",
        (b"<!doctype rss [<!entity a 'x'>]><rss/>"),
    ],
)
def test_a_document_that_declares_entities_is_refused_in_any_encoding(body: bytes) -> None:
    with pytest.raises(MalformedDocument, match="declares XML entities"):
        feeds.parse(body, about())


def test_entity_declarations_quoted_in_an_article_are_no_declarations() -> None:
    body = rss("<item><title>On XML</title><description><![CDATA[Write <!ENTITY x 'y'> first]]></description></item>")
    assert len(feeds.parse(body, about()).papers) == 1


def test_a_text_is_never_taken_for_a_file_or_an_address(tmp_path: Path) -> None:
    secret = tmp_path / "feed.xml"
    secret.write_bytes(rss("<item><title>SECRET</title></item>"))
    for pointer in (str(secret), secret.as_uri(), "http://127.0.0.1:9/feed"):
        with pytest.raises(MalformedDocument):
            feeds.parse(pointer.encode(), about())


def test_only_the_first_two_thousand_entries_are_read() -> None:
    body = rss("".join(f"<item><title>T{number}</title></item>" for number in range(2_500)))
    parsed = feeds.parse(body, about())
    assert len(parsed.papers) == 2_000
    assert parsed.papers[-1].title == "T1999"
    assert parsed.notes == ("the feed holds 2500 entries; the first 2000 were read",)


def test_a_crash_inside_the_parser_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_args: object, **_kwargs: object) -> ParsedFeed:
        raise KeyError("where")

    monkeypatch.setattr("feedparser.parse", crash)
    with pytest.raises(MalformedDocument, match="KeyError"):
        feeds.parse(rss(""), about())


HOSTILE = {
    "many entries": rss("<item><title>abcdefghijkl</title></item>" * 90_000),
    "deep nesting": b"<a>" * 1_500_000,
    "nesting in a title": rss("<item><title>" + "<b>" * 30_000 + "</title></item>"),
    "attributes": rss("<item " + " ".join(f'a{n}="1"' for n in range(100_000)) + "><title>T</title></item>"),
    "unclosed comments": b"<!DOCTYPE x " + b"<!--" * 1_000_000,
    "unclosed quotes": b"<!DOCTYPE x " + b"\"'" * 2_000_000,
    "references": rss("<item><title>" + "&lt;a " * 800_000 + "</title></item>"),
    "a long byline": rss(("<item><title>T</title><author>" + "\\a," * 50_000 + "</author></item>") * 20),
    "wide": codecs.BOM_UTF16_LE + rss("<item><title>abc</title></item>" * 40_000).decode().encode("utf-16-le"),
    "too big": b" " * 5_000_001,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_are_read_or_refused_within_seconds(name: str) -> None:
    started = time.process_time()
    with contextlib.suppress(MalformedDocument):
        feeds.parse(HOSTILE[name], about())
    assert time.process_time() - started < 8


@pytest.mark.parametrize(
    ("inside", "minutes"),
    [
        ("<ttl>90</ttl>", 90),
        ("<ttl> 0 </ttl>", None),
        ("<ttl>soon</ttl>", None),
        ("<ttl>99999999999999</ttl>", 31 * 24 * 60),
        ("<sy:updatePeriod>daily</sy:updatePeriod><sy:updateFrequency>4</sy:updateFrequency>", 360),
        ("<sy:updatePeriod>hourly</sy:updatePeriod>", 60),
        ("<sy:updatePeriod>daily</sy:updatePeriod><sy:updateFrequency>0</sy:updateFrequency>", 1440),
        ("<sy:updatePeriod>now and then</sy:updatePeriod>", None),
        ("", None),
    ],
)
def test_a_feed_may_ask_to_be_left_alone(inside: str, minutes: int | None) -> None:
    body = (
        '<rss version="2.0" xmlns:sy="http://purl.org/rss/1.0/modules/syndication/"><channel><title>Moss</title>'
        f"{inside}</channel></rss>"
    ).encode()
    about = DocumentInfo(feed="moss", kind="rss", fetched_at=datetime(2026, 11, 24, tzinfo=UTC))
    ttl = feeds.parse(body, about).ttl
    assert ttl == (timedelta(minutes=minutes) if minutes else None)
