"""arXiv's daily announcements in both formats, their empty days and their errors."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, UpstreamUrls
from services.upstreams import arxiv_rss

SAMPLES = Path(__file__).parents[2] / "upstreams"
ABOUT = DocumentInfo(feed="announced", kind="arxiv_rss", fetched_at=datetime(2026, 11, 24, 6, tzinfo=UTC))
RSS = (SAMPLES / "arxiv_announcement.rss").read_bytes()
ATOM = (SAMPLES / "arxiv_announcement.atom").read_bytes()


def channel(title: str, description: str = "", items: str = "", day: str = "Sun, 22 Nov 2026 00:00:00 -0500") -> bytes:
    return (
        f'<rss version="2.0" xmlns:arxiv="http://arxiv.org/schemas/atom"><channel><title>{title}</title>'
        f"<description>{description}</description><pubDate>{day}</pubDate>{items}</channel></rss>"
    ).encode()


def item(number: int, day: str = "Tue, 24 Nov 2026 00:00:00 -0500") -> str:
    guid = f"oai:arXiv.org:2611.{number:05}v1"
    return f"<item><title>T</title><guid>{guid}</guid><pubDate>{day}</pubDate></item>"


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"category": "cs.CL"}, "rss/cs.CL"),
        ({"category": "cs.CL+q-bio.NC"}, "rss/cs.CL+q-bio.NC"),
        ({"category": "cs.CL, cs.LG"}, "rss/cs.CL+cs.LG"),
        ({"category": "astro-ph", "format": "atom"}, "atom/astro-ph"),
    ],
)
def test_categories_are_joined_in_one_address(params: dict[str, str], path: str) -> None:
    asked = arxiv_rss.request(FeedInfo(name="f", kind="arxiv_rss", params=params), UpstreamUrls(), batch="2026-11-24")
    assert asked.url == f"https://rss.arxiv.org/{path}"
    assert (asked.gate, asked.interval_s) == ("arxiv.org", 3.0)


@pytest.mark.parametrize(
    "params",
    [{}, {"category": ""}, {"category": "../status"}, {"category": "cs.CL?x=1"}, {"category": "cs", "format": "json"}],
)
def test_what_is_no_category_is_refused(params: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="feed 'f'"):
        arxiv_rss.request(FeedInfo(name="f", kind="arxiv_rss", params=params), UpstreamUrls())


def test_an_announcement_becomes_papers_with_version_and_type() -> None:
    parsed = arxiv_rss.parse(RSS, ABOUT)
    new, replaced = parsed.papers
    assert parsed.title == "cs.CL updates on arXiv.org"
    assert [str(one) for one in new.identifiers] == ["arxiv:2611.06001"]
    assert (new.version, new.announce_type, new.rank) == (1, "new", 1)
    assert new.abstract == "We bend jars. Announce Type: is also a phrase."
    assert [(one.name, one.affiliation) for one in new.authors] == [
        ("Ana Lima", None),
        ("Jo Park", "Jar Lab, Bergen"),
        ("Wei Zhou", None),
    ]
    assert new.announced_on == date(2026, 11, 24)
    assert new.published_at is None  # when it was submitted, the feed does not say
    assert new.categories == ("cs.CL", "cs.GR")
    assert new.license == "http://creativecommons.org/licenses/by/4.0/"
    assert [str(one) for one in replaced.identifiers] == ["arxiv:2203.01250", "doi:10.1234/old.jars"]
    assert (replaced.version, replaced.announce_type, replaced.journal_ref) == (
        3,
        "replace-cross",
        "Jar Lett. 7 (2025)",
    )


def test_an_item_without_arxiv_identifier_is_rejected_by_name() -> None:
    parsed = arxiv_rss.parse(RSS, ABOUT)
    assert [(one.reason, one.entry, one.position) for one in parsed.rejected] == [("no arXiv identifier", "ad-1", 3)]


def test_atom_says_the_same_as_rss() -> None:
    assert arxiv_rss.parse(ATOM, ABOUT).papers[0] == arxiv_rss.parse(RSS, ABOUT).papers[0]


@pytest.mark.parametrize(
    ("stamp", "day"),
    [
        ("Tue, 24 Nov 2026 00:00:00 -0500", date(2026, 11, 24)),
        ("Tue, 24 Nov 2026 05:00:00 +0000", date(2026, 11, 24)),
        ("Tue, 24 Nov 2026 04:59:00 GMT", date(2026, 11, 23)),
        ("Fri, 03 Jul 2026 00:00:00 -0400", date(2026, 7, 3)),
        ("2026-07-03T04:00:00Z", date(2026, 7, 3)),
        ("soon", None),
    ],
)
def test_the_day_is_counted_in_new_york(stamp: str, day: date | None) -> None:
    assert arxiv_rss.announcement_day(stamp) == day


def test_a_weekend_is_quiet() -> None:
    parsed = arxiv_rss.parse(channel("cs.CL updates on arXiv.org"), ABOUT)
    assert parsed.quiet
    assert parsed.seen == 0
    assert parsed.notes == ()


def test_an_error_feed_is_refused_with_arxivs_words() -> None:
    with pytest.raises(MalformedDocument, match="Bad archive 'foo'"):
        arxiv_rss.parse(channel("Feed error for query: x", "Bad archive 'foo'. Valid archive names are: cs"), ABOUT)


def test_a_truncated_feed_is_refused_rather_than_half_read() -> None:
    with pytest.raises(MalformedDocument, match="not well-formed"):
        arxiv_rss.parse(RSS[: len(RSS) // 2], ABOUT)


def test_an_earlier_batch_served_again_is_noted() -> None:
    parsed = arxiv_rss.parse(
        channel(
            "cs.AI updates", items=item(1, "Mon, 23 Nov 2026 00:00:00 -0500"), day="Tue, 24 Nov 2026 00:00:00 -0500"
        ),
        ABOUT,
    )
    assert len(parsed.papers) == 1
    assert "2026-11-23" in parsed.notes[0]


def test_a_feed_at_arxivs_own_limit_is_noted_as_cut() -> None:
    parsed = arxiv_rss.parse(
        channel("all", items="".join(map(item, range(1, 2_001))), day="Tue, 24 Nov 2026 00:00:00 -0500"), ABOUT
    )
    assert len(parsed.papers) == 2_000
    assert parsed.notes == ("the feed is cut at 2000 items; ask for fewer categories at once",)


@pytest.mark.parametrize("body", [b"", b"<html/>", b"{}", b"<rss/>", b"<rdf/>"])
def test_another_document_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedDocument, match="expected an arXiv announcement feed"):
        arxiv_rss.parse(body, ABOUT)


# --- a day it no longer shows --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "query"),
    [
        ("cs.CL", "(cat:cs.CL)"),
        ("cs.CL+cs.LG", "(cat:cs.CL OR cat:cs.LG)"),
        ("hep-th", "(cat:hep-th OR cat:hep-th.*)"),
    ],
)
def test_a_past_list_is_asked_of_the_query_api(category: str, query: str) -> None:
    asked = arxiv_rss.elsewhere(FeedInfo(name="f", kind="arxiv_rss", params={"category": category}), date(2026, 11, 25))
    assert asked.kind == "arxiv_api"
    assert asked.params["query"] == f"{query} AND submittedDate:[202611231900 TO 202611241859]"


def test_a_list_says_which_day_it_is_of() -> None:
    body = (
        b"<rss version='2.0'><channel><title>cs.CL</title>"
        b"<lastBuildDate>Wed, 25 Nov 2026 05:00:01 +0000</lastBuildDate>"
        b"</channel></rss>"
    )
    about = DocumentInfo(feed="f", kind="arxiv_rss", fetched_at=datetime(2026, 11, 26, tzinfo=UTC))
    assert arxiv_rss.parse(body, about).day == date(2026, 11, 25)
