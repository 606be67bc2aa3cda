"""Feeds out: three forms of one content, as a feed reader reads them, asked for no more than is new."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import feedparser
import pytest

from services.domain.papers import AuthorData
from services.pipeline.views import feed_path
from services.runtime import Runtime
from services.storage import search
from services.storage.tables import Subscription
from tests.conftest import MakeRuntime
from tests.factories import DAY, add_feed, asked_of, code, entry, parse_query, store
from tests.integration.web_site import Elements, Site

FORMS = ("atom", "rss", "json")
HOSTILE = "<script>alert(1)</script> & ]]> \x0b\x00 \ufffe “quoted” \u202e $x^2$"


@pytest.fixture
def site(make_runtime: MakeRuntime) -> Site:
    """Three papers by one feed on two days, one by another."""
    rt = make_runtime()
    daily, blog = add_feed(rt, "daily-papers", title="Daily Papers"), add_feed(rt, "harbour-blog", "rss")
    store(
        rt,
        [
            entry(1, links=(code("quill/lanterns"),)),
            entry(2, title="Counting knots without rope", abstract="Each knot is counted once."),
        ],
        feed=daily,
    )  # fmt: skip
    store(rt, [entry(3, announced_on=DAY - timedelta(days=1), title="An older lantern")], feed=daily,
          day=DAY - timedelta(days=1))  # fmt: skip
    store(rt, [entry(4, title="Harbour bells", abstract="They ring.")], feed=blog, source="rss:harbour-blog")
    return Site(rt)


def titles(site: Site, path: str) -> list[str]:
    """What a feed reader lists."""
    answer = site.get(path)
    assert answer.status_code == 200, answer.text
    if ".json" in path:
        return [item["title"] for item in answer.json()["items"]]
    return [one.title for one in parsed(answer).entries]


def parsed(answer: Any) -> Any:
    """An answer as feedparser reads it, without a complaint."""
    found = feedparser.parse(answer.content, response_headers={"content-type": answer.headers["content-type"]})
    assert not found.bozo, found.get("bozo_exception")
    return found


@pytest.mark.parametrize(("form", "version"), [("atom", "atom10"), ("rss", "rss20")])
def test_a_feed_reader_reads_all_of_it(site: Site, form: str, version: str) -> None:
    found = parsed(site.get(f"/feeds/daily-papers.{form}"))
    assert found.version == version
    assert found.feed.title == "Broadsheet · Daily Papers"
    assert found.feed.link == "https://papers.example/?q=feed%3Adaily-papers"
    assert [link.href for link in found.feed.links if link.rel == "self"] == [
        f"https://papers.example/feeds/daily-papers.{form}"
    ]
    (one,) = [e for e in found.entries if e.title.endswith("part 1")]
    assert one.id == "tag:papers.example,2026:papers/arxiv:2611.90001"
    assert one.link == "https://papers.example/papers/arxiv:2611.90001"
    assert "Ada Quill" in [author.name for author in one.authors] or one.author == "Ada Quill"
    assert [tag.term for tag in one.tags] == ["cs.CL", "cs.LG"]
    assert (
        one.summary
        == "We light 1 lanterns along a shore and read the tide from them. Code: https://github.com/quill/lanterns"
    )
    assert one.published_parsed[:5] == (2026, 11, 23, 17, 0)


def test_json_feed_has_what_its_specification_asks_for(site: Site) -> None:
    answer = site.get("/feeds/daily-papers.json")
    assert answer.headers["content-type"] == "application/feed+json; charset=utf-8"
    found = answer.json()
    assert found["version"] == "https://jsonfeed.org/version/1.1"
    assert found["feed_url"] == "https://papers.example/feeds/daily-papers.json"
    one = found["items"][-1]
    assert one["title"] == "An older lantern"
    assert one["id"] == "tag:papers.example,2026:papers/arxiv:2611.90003"
    assert one["external_url"] == "https://arxiv.org/abs/2611.90003"
    assert one["authors"] == [{"name": "Ada Quill"}, {"name": "Bram Osei"}]
    assert (one["date_published"], one["tags"]) == ("2026-11-23T17:00:00Z", ["cs.CL", "cs.LG"])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_one_source_or_one_query_the_latest_first(site: Site, form: str) -> None:
    part = "Sparse lanterns for tidal inference, part 1"
    assert titles(site, f"/feeds/daily-papers.{form}") == ["Counting knots without rope", part, "An older lantern"]
    assert titles(site, f"/feeds/harbour-blog.{form}") == ["Harbour bells"]
    assert titles(site, f"/feeds/all.{form}?q=lantern*") == [part, "An older lantern"]
    assert titles(site, f"/feeds/daily-papers.{form}?q=lantrens~1") == [part, "An older lantern"]
    assert titles(site, f"/feeds/all.{form}?limit=1") == ["Harbour bells"]
    assert titles(site, f"/feeds/all.{form}?q=nothing-like-it") == []


@pytest.mark.parametrize("form", FORMS)
def test_a_conditional_get_is_answered_by_304(site: Site, form: str) -> None:
    path = f"/feeds/all.{form}"
    first = site.get(path)
    tag, modified = first.headers["etag"], first.headers["last-modified"]
    assert site.get(path).content == first.content
    for headers in ({"if-none-match": f'"other", W/{tag}'}, {"if-none-match": "*"}, {"if-modified-since": modified}):
        answer = site.get(path, headers=headers)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    # The tag decides where there is one (RFC 9110, 13.1.3); a date that is none is not minded.
    for headers in (
        {"if-none-match": '"other"', "if-modified-since": modified},
        {"if-modified-since": "Mon, 23 Nov 2026 00:00:00 GMT"},
        {"if-modified-since": "yesterday"},
        {"if-modified-since": "Tue, 24 Nov 2099 00:00:00"},
    ):
        assert site.get(path, headers=headers).status_code == 200


@pytest.mark.parametrize("form", FORMS)
def test_hostile_text_leaves_every_form_well_formed(make_runtime: MakeRuntime, form: str) -> None:
    rt = make_runtime()
    store(rt, [entry(1, title=HOSTILE, abstract=HOSTILE, authors=(AuthorData(name=HOSTILE),))],
          feed=add_feed(rt, "daily-papers", title=HOSTILE))  # fmt: skip
    answer = Site(rt).get(f"/feeds/daily-papers.{form}")
    if form == "json":
        assert "<script>alert(1)</script> &" in json.loads(answer.content)["items"][0]["content_text"]
        return
    assert b"<script" not in answer.content
    (one,) = parsed(answer).entries
    assert "<script" not in one.summary or form == "atom"  # plain text there
    assert "alert(1)" in one.title


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/feeds/nowhere.rss", 404), ("/feeds/all.xml", 404), ("/feeds/all.json?q=(lantern", 400),
        ("/feeds/all.rss?limit=0", 400), ("/feeds/all.rss?limit=1001", 400), ("/feeds/all.rss?limit=ten", 400),
    ],
)  # fmt: skip
def test_what_there_is_not_is_said_plainly(site: Site, path: str, status: int) -> None:
    answer = site.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(("page", "query"), [("/", ""), ("/?q=lantern*", "?q=lantern%2A")])
def test_readers_find_every_form_by_the_page(site: Site, page: str, query: str) -> None:
    links = Elements(site.get(page).text).named("link")
    offered = {link["type"]: link["href"] for link in links if link.get("rel") == "alternate"}
    assert offered == {
        "application/atom+xml": f"/feeds/all.atom{query}", "application/rss+xml": f"/feeds/all.rss{query}",
        "application/feed+json": f"/feeds/all.json{query}",
    }  # fmt: skip
    for path in offered.values():
        assert titles(site, str(path))


@pytest.mark.parametrize(
    ("feeds", "query", "path"),
    [
        ([], "", "/feeds/all.atom"),
        (["daily-papers"], "", "/feeds/daily-papers.atom"),
        (["daily-papers"], "bells OR knots", "/feeds/daily-papers.atom?q=bells+OR+knots"),
        (["a", "b"], "", f"/feeds/all.atom?q={quote('feed:(a OR b)').replace('%20', '+')}"),
        (["a", "b"], "bells OR knots",
         f"/feeds/all.atom?q={quote('(bells OR knots) feed:(a OR b)').replace('%20', '+')}"),
    ],
)  # fmt: skip
def test_a_digest_names_the_feed_that_brings_the_same(feeds: list[str], query: str, path: str) -> None:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    own = Subscription(subscriber_id=1, name="A digest", feeds=feeds, query=query, created_at=at, since_at=at)
    assert feed_path(own) == path


def test_a_feed_reads_no_more_of_the_archive_than_it_shows(rt: Runtime) -> None:
    feed = add_feed(rt, "daily-papers")
    store(rt, [entry(n) for n in range(1, 1_101)], feed=feed)  # more on a day than a page of a search takes
    for text, feed_id in (
        ("", None),
        ("lantrens~", None),
        ("published:>now-9d", None),
        ("", feed.id),
        ("lanterns", feed.id),
    ):
        with rt.reading() as session, asked_of(rt) as asked:
            papers = search.latest(session, parse_query(text), now=rt.now(), limit=10, feed_id=feed_id)
        assert [paper.key for paper in papers] == [f"arxiv:2611.{90000 + n}" for n in range(1100, 1090, -1)], text
        assert sum("FROM papers" in one or "FROM sightings" in one for one, _ in asked) <= 6


def test_a_paper_listed_on_two_days_is_in_the_feed_once(rt: Runtime) -> None:
    feed = add_feed(rt, "daily-papers")
    for day in (DAY - timedelta(days=1), DAY):
        store(rt, [entry(1, announced_on=day), entry(2, announced_on=day)], feed=feed, day=day)
    with rt.reading() as session:
        for limit in (1, 2, 9):
            papers = search.latest(session, parse_query(""), now=rt.now(), limit=limit, feed_id=feed.id)
            assert [paper.key for paper in papers] == ["arxiv:2611.90002", "arxiv:2611.90001"][:limit]
