"""The loopback replay, asked over real sockets."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import feedparser
import httpx
import pytest
from lxml import etree

from workers.demo.catalogue import demo_feeds_toml
from workers.demo.content import load_content
from workers.demo.replay import Replay

# One for all clients: building it is slower than most of these tests.
TLS = ssl.create_default_context()
ROOT = Path(__file__).resolve().parents[3]
WEDNESDAY = date(2026, 11, 25)
MONDAY = date(2026, 11, 30)
SUNDAY = date(2026, 11, 29)
NEW_YEAR = date(2027, 1, 1)
SIGNED = {"authorization": "bearer a-token"}
ATOM = {
    "a": "http://www.w3.org/2005/Atom",
    "o": "http://a9.com/-/spec/opensearch/1.1/",
    "x": "http://arxiv.org/schemas/atom",
}
RSS_TYPE = "{http://arxiv.org/schemas/atom}announce_type"
OAI = {"o": "http://www.openarchives.org/OAI/2.0/", "x": "http://arxiv.org/OAI/arXiv/"}


@pytest.fixture
def replay() -> Iterator[Replay]:
    with Replay(today=WEDNESDAY, first_call_faults=False) as running:
        yield running


@pytest.fixture
def client(replay: Replay) -> Iterator[httpx.Client]:
    with make_client(replay) as opened:
        yield opened


def make_client(replay: Replay) -> httpx.Client:
    return httpx.Client(base_url=replay.base_url, timeout=10, trust_env=False, verify=TLS)


def hf_day(client: httpx.Client, day: date, **params: Any) -> list[dict[str, Any]]:
    answer = client.get("/hf/api/daily_papers", params={"date": day.isoformat(), **params})
    assert answer.status_code == 200
    items: list[dict[str, Any]] = answer.json()
    return items


def atom(answer: httpx.Response) -> tuple[etree._Element, list[etree._Element]]:
    feed = etree.fromstring(answer.content)
    return feed, feed.findall("a:entry", ATOM)


def entry_ids(entries: list[etree._Element]) -> list[str]:
    return [(entry.findtext("a:id", "", ATOM)).rpartition("/")[2] for entry in entries]


# -- content ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("today", "first", "last"),
    [
        (WEDNESDAY, date(2026, 11, 20), WEDNESDAY),
        (SUNDAY, date(2026, 11, 24), date(2026, 11, 27)),
        (MONDAY, date(2026, 11, 25), MONDAY),
        (NEW_YEAR, date(2026, 12, 29), NEW_YEAR),
    ],
)
def test_papers_are_of_the_four_weekdays_that_end_at_today(today: date, first: date, last: date) -> None:
    content = load_content(today)
    assert len(content.days) == 4
    assert all(day.weekday() < 5 for day in content.days)
    assert (content.days[0], content.days[-1]) == (first, last)
    assert {paper.announced_on for paper in content.papers} == set(content.days)
    for paper in content.papers:
        assert re.fullmatch(rf"{paper.announced_on:%y%m}\.[7-9]\d{{4}}", paper.arxiv_id)
        assert paper.published_at <= paper.updated_at < datetime(today.year, today.month, today.day, tzinfo=UTC)
        assert paper.published_at.date() < paper.announced_on


def test_content_is_the_same_for_the_same_day_and_moves_with_the_day() -> None:
    assert load_content(WEDNESDAY) == load_content(WEDNESDAY)
    ids = {paper.arxiv_id for paper in load_content(WEDNESDAY).papers}
    assert len(ids) == 66
    assert ids.isdisjoint(paper.arxiv_id for paper in load_content(date(2026, 10, 7)).papers)


def test_no_two_papers_share_an_id_on_any_day_of_a_year() -> None:
    for ordinal in range(date(2026, 1, 1).toordinal(), date(2027, 1, 1).toordinal()):
        content = load_content(date.fromordinal(ordinal))
        assert len(content.papers_by_id) == len(content.papers)


def test_texts_are_distinct_readable_and_of_the_promised_length() -> None:
    content = load_content(WEDNESDAY)
    assert len({paper.title for paper in content.papers}) == len(content.papers)
    assert len({paper.abstract for paper in content.papers}) == len(content.papers)
    for paper in content.papers:
        assert 80 <= len(paper.abstract.split()) <= 140, paper.title
        assert len(set(paper.authors)) == len(paper.authors) >= 2
    linked = [p for p in content.papers if "github.com/" in f"{p.abstract} {p.comment} {p.github_repo}"]
    assert len(content.papers) * 0.4 < len(linked) < len(content.papers) * 0.75


def test_every_linked_repository_is_known_or_meant_to_be_missing() -> None:
    content = load_content(WEDNESDAY)
    linked = {
        slug.removesuffix(".git").rstrip(".").lower()
        for paper in content.papers
        for slug in re.findall(
            r"github\.com/([\w.-]+/[\w.-]+)", f"{paper.abstract} {paper.comment} {paper.github_repo}"
        )
    }
    missing = {slug for slug in linked if slug not in content.repos_by_slug}
    assert missing == {"tarn-vision/coming-soon", "opaline-nlp/honest-clock", "hinterland-ml/private-eval"}
    assert len(content.repos) == 25
    assert {repo.slug for repo in content.repos if repo.slug in linked or set(repo.former) & linked} == {
        repo.slug for repo in content.repos
    }


def test_sources_overlap_so_that_deduplication_has_work() -> None:
    announced = load_content(WEDNESDAY).announced()
    hf, arxiv = announced["daily-papers"], announced["arxiv-oai"]
    assert (len(hf), len(arxiv), len(hf & arxiv)) == (50, 40, 24)
    assert announced["arxiv-cs-cl"] <= arxiv
    assert announced["arxiv-cs-lg-rss"] <= arxiv
    assert announced["arxiv-cs-lg-rss"] & hf
    assert len(announced["northlake-blog"]) == 6
    assert len(announced["northlake-blog"] & (hf | arxiv)) == 4


# -- Daily Papers -----------------------------------------------------------------------------------


def test_daily_papers_of_all_days_are_what_is_announced(replay: Replay, client: httpx.Client) -> None:
    by_day = {day: [item["paper"]["id"] for item in hf_day(client, day)] for day in replay.content.days}
    assert [len(ids) for ids in by_day.values()] == [12, 13, 14, 12]
    everything = [paper_id for ids in by_day.values() for paper_id in ids]
    assert set(everything) == replay.announced()["daily-papers"]
    assert len(everything) == len(set(everything)) + 1, "one paper is featured on two days"


def test_daily_papers_items_have_the_real_shape(replay: Replay, client: httpx.Client) -> None:
    for day in replay.content.days:
        items = hf_day(client, day)
        upvotes = [item["paper"]["upvotes"] for item in items]
        assert upvotes == sorted(upvotes, reverse=True)
        for item in items:
            paper = item["paper"]
            assert {
                "title",
                "summary",
                "thumbnail",
                "numComments",
                "submittedBy",
                "publishedAt",
            } <= item.keys()
            assert {"id", "authors", "title", "summary", "upvotes", "discussionId"} <= paper.keys()
            assert "numComments" not in paper
            assert "upvotes" not in item
            assert paper["submittedOnDailyAt"] == f"{day}T00:00:00.000Z"
            inner = datetime.fromisoformat(paper["publishedAt"])
            outer = datetime.fromisoformat(item["publishedAt"])
            assert (inner - outer).total_seconds() == 5 * 3600
            assert None not in [*item.values(), *paper.values()]
    items = [item["paper"] for day in replay.content.days for item in hf_day(client, day)]
    for name in ("githubRepo", "githubStars", "projectPage", "organization", "ai_summary"):
        assert 0 < sum(name in paper for paper in items) < len(items), name
    assert any("\n  " in paper["summary"] for paper in items)
    assert any(author["hidden"] for paper in items for author in paper["authors"])
    assert any("user" in author for paper in items for author in paper["authors"])
    assert any(len(paper["authors"]) > 30 for paper in items)


def test_daily_papers_pages_by_limit_and_p(replay: Replay, client: httpx.Client) -> None:
    day = replay.content.days[2]
    whole = [item["paper"]["id"] for item in hf_day(client, day, limit=100)]
    pages = [[item["paper"]["id"] for item in hf_day(client, day, limit=5, p=page)] for page in range(4)]
    assert [len(page) for page in pages] == [5, 5, 4, 0]
    assert [paper_id for page in pages for paper_id in page] == whole
    first = client.get("/hf/api/daily_papers", params={"date": day.isoformat(), "limit": 5})
    following = first.links["next"]["url"]
    assert [item["paper"]["id"] for item in client.get(following).json()] == pages[1]
    last = client.get("/hf/api/daily_papers", params={"date": day.isoformat(), "limit": 5, "p": 2})
    assert "next" not in last.links


def test_daily_papers_without_a_date_are_cut_at_fifty_and_newest_first(client: httpx.Client) -> None:
    items = client.get("/hf/api/daily_papers").json()
    assert len(items) == 50
    days = [item["paper"]["submittedOnDailyAt"] for item in items]
    assert days == sorted(days, reverse=True)
    week = client.get("/hf/api/daily_papers", params={"week": "2026-W48", "limit": 100}).json()
    assert len(week) == 13 + 14 + 12
    month = client.get("/hf/api/daily_papers", params={"month": "2026-11", "limit": 100}).json()
    assert len(month) == 51


def test_daily_papers_of_a_weekend_are_an_empty_list(client: httpx.Client) -> None:
    assert hf_day(client, date(2026, 11, 21)) == []
    assert hf_day(client, date(2026, 11, 22)) == []
    assert hf_day(client, date(2026, 1, 5)) == []


@pytest.mark.parametrize(
    "params",
    [
        {"date": "2025-13-40"},
        {"date": "20261125"},
        {"date": "yesterday"},
        {"date": "2999-01-01"},
        {"date": "2026-11-25", "limit": "101"},
        {"limit": "0"},
        {"limit": "many"},
        {"p": "-1"},
    ],
)
def test_daily_papers_refuses_what_the_real_service_refuses(client: httpx.Client, params: dict[str, str]) -> None:
    answer = client.get("/hf/api/daily_papers", params=params)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_date_after_the_replayed_day_is_refused_until_it_comes() -> None:
    with Replay(today=date(2999, 1, 1), first_call_faults=False) as replay, make_client(replay) as client:
        assert client.get("/hf/api/daily_papers", params={"date": "2999-01-01"}).status_code == 200
        assert client.get("/hf/api/daily_papers", params={"date": "2999-01-02"}).status_code == 400


def test_daily_papers_answers_304_to_its_own_tag(replay: Replay, client: httpx.Client) -> None:
    url = f"/hf/api/daily_papers?date={WEDNESDAY}"
    first = client.get(url)
    again = client.get(url, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "content-length" not in again.headers
    assert client.get(url, headers={"if-none-match": '"another"'}).status_code == 200
    assert replay.conditional_hits("/hf") == 1
    paper_id = first.json()[0]["paper"]["id"]
    replay.update_paper(paper_id, upvotes=999)
    changed = client.get(url, headers={"if-none-match": first.headers["etag"]})
    assert changed.status_code == 200
    assert (changed.json()[0]["paper"]["id"], changed.json()[0]["paper"]["upvotes"]) == (paper_id, 999)


def test_paper_details_are_flat(replay: Replay, client: httpx.Client) -> None:
    item = hf_day(client, WEDNESDAY)[0]
    detail = client.get(f"/hf/api/papers/{item['paper']['id']}").json()
    assert item["paper"].items() <= detail.items()
    assert detail["linkedModels"] == []
    only_arxiv = (replay.announced()["arxiv-oai"] - replay.announced()["daily-papers"]).pop()
    for missing in (only_arxiv, "2601.00001", "nonsense"):
        assert client.get(f"/hf/api/papers/{missing}").status_code == 404


# -- arXiv's API ------------------------------------------------------------------------------------


def test_arxiv_pages_hold_every_announced_paper_once(replay: Replay, client: httpx.Client) -> None:
    seen: list[str] = []
    while True:
        answer = client.get(
            "/arxiv/api/query",
            params={
                "search_query": "cat:cs.CL",
                "start": len(seen),
                "max_results": 7,
                "sortBy": "submittedDate",
                "sortOrder": "descending",
            },
        )
        feed, entries = atom(answer)
        assert feed.findtext("o:totalResults", "", ATOM) == str(len(replay.announced()["arxiv-cs-cl"]))
        assert feed.findtext("o:startIndex", "", ATOM) == str(len(seen))
        assert feed.findtext("o:itemsPerPage", "", ATOM) == "7"
        if not entries:
            break
        dates = [entry.findtext("a:published", "", ATOM) for entry in entries]
        assert dates == sorted(dates, reverse=True)
        seen += [name.partition("v")[0] for name in entry_ids(entries)]
    assert len(seen) == len(set(seen))
    assert set(seen) == replay.announced()["arxiv-cs-cl"]


def test_arxiv_entries_have_the_shape_of_2026(replay: Replay, client: httpx.Client) -> None:
    answer = client.get("/arxiv/api/query", params={"search_query": "cat:cs.*", "max_results": 100})
    assert answer.headers["content-type"].startswith("application/atom+xml")
    _, entries = atom(answer)
    for entry in entries:
        name = entry_ids([entry])[0]
        assert entry.findtext("a:id", "", ATOM) == f"http://arxiv.org/abs/{name}"
        links = {link.get("rel"): link for link in entry.findall("a:link", ATOM) if link.get("title") != "doi"}
        assert links["alternate"].get("href") == f"https://arxiv.org/abs/{name}"
        assert links["related"].get("href") == f"https://arxiv.org/pdf/{name}"
        categories = [element.get("term") for element in entry.findall("a:category", ATOM)]
        primary = entry.find("x:primary_category", ATOM)
        assert primary is not None
        assert primary.get("term") == categories[0]
        assert entry.findall("a:author/a:name", ATOM)
    held = {paper.arxiv_id: paper for paper in replay.content.arxiv}
    by_base = {name.partition("v")[0]: name for name in entry_ids(entries)}
    assert {base for base, name in by_base.items() if name.endswith("v2")} == {
        base for base, paper in held.items() if paper.version == 2 and base in by_base
    }
    assert answer.text.count("<arxiv:doi>") == 1
    assert "withdrawn by the authors" in answer.text


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("cat:cs.CL OR cat:cs.LG", lambda p: {"cs.CL", "cs.LG"} & set(p.categories)),
        ("cat:cs.CL AND cat:cs.LG", lambda p: {"cs.CL", "cs.LG"} <= set(p.categories)),
        ("(cat:cs.CL OR cat:cs.RO) ANDNOT cat:cs.LG", lambda p: {"cs.CL", "cs.RO"} & set(p.categories)
         and "cs.LG" not in p.categories),
        ("cat:CS.cl", lambda p: "cs.CL" in p.categories),
        ("ti:inference", lambda p: "inference" in p.title.lower()),
        ('abs:"language models"', lambda p: "language models" in p.abstract.lower()),
        ("submittedDate:[202611240000 TO 202611242359]",
         lambda p: p.published_at.date() == date(2026, 11, 24)),
        ("cat:cs.CL AND submittedDate:[20261120 TO *]",
         lambda p: "cs.CL" in p.categories and p.published_at.date() >= date(2026, 11, 20)),
        ("lastUpdatedDate:[202611240000 TO 202611250000]",
         lambda p: p.updated_at.date() == date(2026, 11, 24)),
    ],
)  # fmt: skip
def test_arxiv_queries_are_filtered_truly(replay: Replay, client: httpx.Client, query: str, wanted: Any) -> None:
    _, entries = atom(client.get("/arxiv/api/query", params={"search_query": query, "max_results": 100}))
    expected = {paper.arxiv_id for paper in replay.content.arxiv if wanted(paper)}
    assert {name.partition("v")[0] for name in entry_ids(entries)} == expected
    assert 0 < len(expected) < 40


def test_arxiv_query_and_ids_together_filter(replay: Replay, client: httpx.Client) -> None:
    wanted = sorted(replay.announced()["arxiv-oai"])
    params = {"search_query": "cat:cs.CL", "id_list": ",".join(wanted), "max_results": "100"}
    _, entries = atom(client.get("/arxiv/api/query", params=params))
    assert {name.partition("v")[0] for name in entry_ids(entries)} == replay.announced()["arxiv-cs-cl"]
    _, posted = atom(client.post("/arxiv/api/query", data=params))
    assert entry_ids(posted) == entry_ids(entries)


def test_unknown_arxiv_ids_are_left_out_without_an_error(replay: Replay, client: httpx.Client) -> None:
    held = min(replay.announced()["arxiv-cs-cl"])
    answer = client.get("/arxiv/api/query", params={"id_list": f"{held},2601.00001,cs/0501001"})
    feed, entries = atom(answer)
    assert answer.status_code == 200
    assert [name.partition("v")[0] for name in entry_ids(entries)] == [held]
    assert feed.findtext("o:totalResults", "", ATOM) == "1"
    for params in ({"id_list": "2601.00001"}, {}):
        answer = client.get("/arxiv/api/query", params=params)
        assert (answer.status_code, atom(answer)[1]) == (200, [])


def test_an_arxiv_id_with_a_version_brings_that_version(replay: Replay, client: httpx.Client) -> None:
    paper = next(paper for paper in replay.content.arxiv if paper.version == 2)
    ids = [f"{paper.arxiv_id}v{version}" for version in (1, 2, 3)]
    _, entries = atom(client.get("/arxiv/api/query", params={"id_list": ",".join(ids)}))
    assert sorted(entry_ids(entries)) == ids[:2]
    updated = {entry_ids([entry])[0]: entry.findtext("a:updated", "", ATOM) for entry in entries}
    assert updated[ids[0]] < updated[ids[1]]


@pytest.mark.parametrize(
    "params",
    [
        {"id_list": "abc"},
        {"id_list": "2611.70001,abc"},
        {"search_query": "cat:cs.CL AND"},
        {"search_query": "(cat:cs.CL"},
        {"search_query": "cat:cs.CL)"},
        {"search_query": "colour:blue"},
        {"search_query": "submittedDate:[202613450000 TO *]"},
        {"search_query": "cat:cs.CL", "max_results": "2001"},
        {"search_query": "cat:cs.CL", "start": "-1"},
        {"search_query": "cat:cs.CL", "sortBy": "beauty"},
    ],
)
def test_arxiv_answers_nonsense_with_an_error_feed(client: httpx.Client, params: dict[str, str]) -> None:
    answer = client.get("/arxiv/api/query", params=params)
    assert answer.status_code == 400
    feed, entries = atom(answer)
    assert feed.findtext("o:totalResults", "", ATOM) == "1"
    assert len(entries) == 1
    assert entries[0].findtext("a:title", "", ATOM) == "Error"
    assert entries[0].findtext("a:id", "", ATOM).startswith("https://arxiv.org/api/errors#")
    assert entries[0].find("a:published", ATOM) is None


# -- arXiv's announcement feeds ---------------------------------------------------------------------


def test_arxiv_rss_lists_the_days_announcement(replay: Replay, client: httpx.Client) -> None:
    answer = client.get("/arxiv/rss/cs.LG")
    items = etree.fromstring(answer.content).findall("channel/item")
    links = [item.findtext("link", "").rpartition("/")[2] for item in items]
    assert len(links) == len(set(links))
    assert set(links) == replay.announced()["arxiv-cs-lg-rss"]
    order = ["new", "cross", "replace", "replace-cross"]
    kinds = [item.findtext(RSS_TYPE, "") for item in items]
    assert set(kinds) == set(order)
    assert kinds == sorted(kinds, key=order.index)
    for item, kind, link in zip(items, kinds, links, strict=True):
        paper = replay.content.papers_by_id[link]
        head = f"arXiv:{link}v{paper.version} Announce Type: {kind} \nAbstract: "
        assert item.findtext("description", "") == head + paper.abstract
        assert item.findtext("guid") == f"oai:arXiv.org:{link}v{paper.version}"
        assert ("replace" in kind) == (paper.version == 2)
        assert ("cross" in kind) == (paper.categories[0] != "cs.LG")
        assert item.findtext("pubDate") == "Wed, 25 Nov 2026 00:00:00 -0500"


def test_arxiv_rss_joins_categories_and_archives_in_any_case(replay: Replay, client: httpx.Client) -> None:
    def ids(path: str) -> set[str]:
        answer = client.get(path)
        assert answer.status_code == 200
        return {entry["link"].rpartition("/")[2] for entry in feedparser.parse(answer.content)["entries"]}

    both = ids("/arxiv/rss/cs.cl+STAT.ml")
    assert both == ids("/arxiv/rss/cs.CL") | ids("/arxiv/rss/stat.ML")
    assert both <= ids("/arxiv/rss/cs+stat")
    assert ids("/arxiv/atom/cs.LG") == replay.announced()["arxiv-cs-lg-rss"]


def test_arxiv_rss_has_an_unquoted_tag_that_is_taken_back(replay: Replay, client: httpx.Client) -> None:
    first = client.get("/arxiv/rss/cs.LG")
    tag = first.headers["etag"]
    assert re.fullmatch(r"[0-9a-f]{64}", tag)
    assert "last-modified" not in first.headers
    assert client.get("/arxiv/rss/cs.LG", headers={"if-none-match": tag}).status_code == 304
    assert client.get("/arxiv/rss/cs.CL", headers={"if-none-match": tag}).status_code == 200
    assert replay.conditional_hits("/arxiv/rss") == 1


@pytest.mark.parametrize("category", ["cs.ZZ", "alchemy", "cs.LG+cs.ZZ"])
def test_arxiv_rss_answers_an_unknown_category_with_a_valid_empty_channel(client: httpx.Client, category: str) -> None:
    answer = client.get(f"/arxiv/rss/{category}")
    assert answer.status_code == 400
    parsed = feedparser.parse(answer.content)
    assert parsed["feed"]["title"].startswith("Feed error for query:")
    assert (parsed["bozo"], parsed["entries"]) == (False, [])


def test_arxiv_rss_of_a_weekend_is_empty_and_says_so() -> None:
    with Replay(today=SUNDAY, first_call_faults=False) as replay, make_client(replay) as client:
        channel = etree.fromstring(client.get("/arxiv/rss/cs.LG").content).find("channel")
        assert channel is not None
        assert {day.text for day in channel.findall("skipDays/day")} == {"Saturday", "Sunday"}
        assert channel.findall("item") == []
        assert replay.announced()["arxiv-cs-lg-rss"] == set()
        assert len(replay.announced()["daily-papers"]) == 50


# -- OAI-PMH ----------------------------------------------------------------------------------------


def test_oai_records_are_harvested_page_by_page(replay: Replay, client: httpx.Client) -> None:
    url, seen, pages = "/arxiv/oai?verb=ListRecords&metadataPrefix=arXiv", [], 0
    while True:
        root = etree.fromstring(client.get(url).content)
        seen += [element.text for element in root.iterfind(".//x:id", OAI)]
        pages += 1
        token = root.findtext(".//o:resumptionToken", None, OAI)
        if not token:
            break
        url = f"/arxiv/oai?verb=ListRecords&resumptionToken={quote(token, safe='')}"
    assert pages == 3
    assert len(seen) == len(set(seen))
    assert set(seen) == replay.announced()["arxiv-oai"]


def test_oai_filters_by_day_and_set(replay: Replay, client: httpx.Client) -> None:
    base = "/arxiv/oai?verb=ListRecords&metadataPrefix=arXiv"
    root = etree.fromstring(client.get(f"{base}&from=2026-11-25&until=2026-11-25").content)
    expected = {
        paper.arxiv_id for paper in replay.content.arxiv if (paper.revised_on or paper.announced_on) == WEDNESDAY
    }
    found = {element.text for element in root.iterfind(".//x:id", OAI)}
    assert found
    assert found <= expected
    root = etree.fromstring(client.get(f"{base}&set=stat:stat:ML").content)
    assert {element.text for element in root.iterfind(".//x:id", OAI)} == {
        paper.arxiv_id for paper in replay.content.arxiv if "stat.ML" in paper.categories
    }
    one = next(iter(expected))
    record = client.get(f"/arxiv/oai?verb=GetRecord&metadataPrefix=arXiv&identifier=oai:arXiv.org:{one}")
    assert etree.fromstring(record.content).findtext(".//x:id", None, OAI) == one


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("verb=Nonsense", "badVerb"),
        ("verb=ListRecords", "badArgument"),
        ("verb=ListRecords&metadataPrefix=marc", "cannotDisseminateFormat"),
        ("verb=ListRecords&metadataPrefix=arXiv&set=cs.LG", "badArgument"),
        ("verb=ListRecords&metadataPrefix=arXiv&from=1999-01-01", "badArgument"),
        ("verb=ListRecords&metadataPrefix=arXiv&from=2026-11-02&until=2026-11-01", "badArgument"),
        ("verb=ListRecords&metadataPrefix=arXiv&until=2010-01-01", "noRecordsMatch"),
        ("verb=ListRecords&metadataPrefix=arXiv&metadataPrefix=arXiv", "badArgument"),
        ("verb=ListRecords&resumptionToken=rubbish", "badResumptionToken"),
        ("verb=ListRecords&resumptionToken=verb%3DListRecords%26metadataPrefix%3DarXiv%26skip%3D15",
         "badResumptionToken"),
        ("verb=GetRecord&metadataPrefix=arXiv&identifier=oai:arXiv.org:2601.00001", "idDoesNotExist"),
    ],
)  # fmt: skip
def test_oai_errors_are_http_200(client: httpx.Client, query: str, code: str) -> None:
    answer = client.get(f"/arxiv/oai?{query}")
    error = etree.fromstring(answer.content).find("o:error", OAI)
    assert answer.status_code == 200
    assert error is not None
    assert error.get("code") == code


# -- the blog ---------------------------------------------------------------------------------------


def paper_or_page(link: str) -> str:
    match = re.search(r"arxiv\.org/abs/(\d{4}\.\d{5})", link)
    return match[1] if match else link


def test_blog_feed_announces_papers_and_pages(replay: Replay, client: httpx.Client) -> None:
    parsed = feedparser.parse(client.get("/blog/feed.xml").content)
    assert not parsed["bozo"]
    assert {paper_or_page(entry["link"]) for entry in parsed["entries"]} == replay.announced()["northlake-blog"]
    for entry in parsed["entries"]:
        assert entry["id"].startswith("https://northlake.example/notes/")
        assert parsedate_to_datetime(entry["published"]).date() <= WEDNESDAY
    feed = client.get("/blog/feed.json")
    assert feed.headers["content-type"].startswith("application/feed+json")
    items = feed.json()["items"]
    assert {paper_or_page(item.get("external_url", item["url"])) for item in items} == replay.announced()[
        "northlake-json"
    ]


@pytest.mark.parametrize("path", ["/blog/feed.xml", "/blog/feed.json"])
def test_blog_feeds_answer_either_validator(client: httpx.Client, path: str) -> None:
    first = client.get(path)
    tag, modified = first.headers["etag"], first.headers["last-modified"]
    assert tag.startswith('"')
    assert parsedate_to_datetime(modified).date() == WEDNESDAY
    assert client.get(path, headers={"if-none-match": tag}).status_code == 304
    assert client.get(path, headers={"if-none-match": f'"old", {tag}'}).status_code == 304
    assert client.get(path, headers={"if-modified-since": modified}).status_code == 304
    earlier = "Mon, 02 Nov 2026 00:00:00 GMT"
    assert client.get(path, headers={"if-modified-since": earlier}).status_code == 200
    assert client.get(path, headers={"if-modified-since": "some day"}).status_code == 200
    both = {"if-none-match": '"old"', "if-modified-since": modified}
    assert client.get(path, headers=both).status_code == 200


# -- GitHub, REST -----------------------------------------------------------------------------------


def test_github_repositories_have_the_real_fields(replay: Replay, client: httpx.Client) -> None:
    for repo in replay.content.repos:
        found = client.get(f"/github/repos/{repo.slug}").json()
        assert (found["id"], found["full_name"], found["stargazers_count"]) == (
            repo.id,
            repo.slug,
            repo.stars,
        )
        assert found["watchers_count"] == found["stargazers_count"]
        assert found["html_url"] == f"https://github.com/{repo.slug}"
        assert found["archived"] is repo.archived
        assert (found["license"] or {}).get("spdx_id") == repo.license
        assert datetime.fromisoformat(found["pushed_at"]).date() <= WEDNESDAY
        assert found["language"] == repo.language
    repos = replay.content.repos
    assert sum(repo.archived for repo in repos) == 2
    assert sum(repo.license is None for repo in repos) == 1
    assert len({repo.id for repo in repos}) == len(repos)
    upper = client.get(f"/github/repos/{repos[0].slug.upper()}")
    assert upper.json()["full_name"] == repos[0].slug


def test_github_answers_304_which_is_free_only_with_a_token(replay: Replay, client: httpx.Client) -> None:
    url = "/github/repos/northlake-ai/specdraft"
    first = client.get(url, headers=SIGNED)
    assert first.headers["x-ratelimit-limit"] == "5000"
    assert first.headers["x-ratelimit-remaining"] == "4999"
    assert first.headers["etag"].startswith('W/"')
    again = client.get(url, headers={**SIGNED, "if-none-match": first.headers["etag"]})
    assert (again.status_code, again.headers["x-ratelimit-remaining"]) == (304, "4999")
    anonymous = client.get(url)
    assert anonymous.headers["etag"] != first.headers["etag"]
    assert anonymous.headers["x-ratelimit-remaining"] == "59"
    again = client.get(url, headers={"if-none-match": anonymous.headers["etag"]})
    assert (again.status_code, again.headers["x-ratelimit-remaining"]) == (304, "58")
    replay.update_repo("northlake-ai/specdraft", stars=2000)
    changed = client.get(url, headers={**SIGNED, "if-none-match": first.headers["etag"]})
    assert (changed.status_code, changed.json()["stargazers_count"]) == (200, 2000)
    assert replay.conditional_hits("/github") == 2


def test_github_redirects_a_former_name_to_the_id(replay: Replay, client: httpx.Client) -> None:
    moved = client.get("/github/repos/lumen-lab/tide-pool")
    assert moved.status_code == 301
    target = moved.headers["location"]
    assert target == moved.json()["url"]
    assert target.startswith(f"{replay.base_url}/github/repositories/")
    assert client.get(target).json()["full_name"] == "lumen-lab/tidepool"


def test_github_refuses_what_it_should(client: httpx.Client) -> None:
    missing = client.get("/github/repos/opaline-nlp/honest-clock")
    assert (missing.status_code, missing.json()["message"]) == (404, "Not Found")
    assert client.get("/github/repositories/1").status_code == 404
    nameless = client.build_request("GET", "/github/repos/northlake-ai/specdraft")
    del nameless.headers["user-agent"]
    answer = client.send(nameless)
    assert (answer.status_code, "User Agent" in answer.text) == (403, True)
    revoked = client.get("/github/repos/northlake-ai/specdraft", headers={"authorization": "token revoked"})
    assert revoked.status_code == 401


def test_github_without_a_token_ends_at_its_quota() -> None:
    with (
        Replay(today=WEDNESDAY, first_call_faults=False, anonymous_limit=2) as replay,
        make_client(replay) as client,
    ):
        answers = [client.get("/github/repos/polder-ai/quantdyke") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 403]
        assert answers[2].headers["x-ratelimit-remaining"] == "0"
        assert int(answers[2].headers["x-ratelimit-reset"]) > time.time()
        assert client.get("/github/repos/polder-ai/quantdyke", headers=SIGNED).status_code == 200


# -- GitHub, GraphQL --------------------------------------------------------------------------------

FIELDS = """
fragment F on Repository { databaseId nameWithOwner url description homepageUrl stargazerCount forkCount
  isArchived isDisabled isFork isEmpty createdAt pushedAt updatedAt primaryLanguage { name }
  licenseInfo { spdxId } repositoryTopics(first: 20) { nodes { topic { name } } }
  languages(first: 5, orderBy: {field: SIZE, direction: DESC}) { totalSize edges { size node { name } } } }
"""


def graphql(client: httpx.Client, query: str, variables: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    body = {"query": query, "variables": variables or {}, **more}
    answer = client.post("/github/graphql", json=body, headers=SIGNED)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def batch_query(slugs: list[str], alias: str, owner: str, name: str) -> tuple[str, dict[str, str]]:
    head, parts, variables = [], [], {}
    for index, slug in enumerate(slugs):
        head.append(f"${owner}{index}: String!, ${name}{index}: String!")
        parts.append(f"{alias}{index}: repository(owner: ${owner}{index}, name: ${name}{index}) {{ ...F }}")
        variables[f"{owner}{index}"], variables[f"{name}{index}"] = slug.split("/")
    query = f"query Batch({', '.join(head)}) {{ {' '.join(parts)} rateLimit {{ cost limit remaining resetAt }} }}"
    return query + FIELDS, variables


@pytest.mark.parametrize(("alias", "owner", "name"), [("r", "o", "n"), ("repo_", "theOwner", "itsName")])
def test_graphql_answers_a_whole_batch(replay: Replay, client: httpx.Client, alias: str, owner: str, name: str) -> None:
    slugs = [repo.slug for repo in replay.content.repos]
    result = graphql(client, *batch_query(slugs, alias, owner, name))
    assert "errors" not in result
    for index, repo in enumerate(replay.content.repos):
        found = result["data"][f"{alias}{index}"]
        assert (found["databaseId"], found["nameWithOwner"]) == (repo.id, repo.slug)
        assert (found["stargazerCount"], found["isArchived"]) == (repo.stars, repo.archived)
        assert (found["licenseInfo"] or {}).get("spdxId") == repo.license
        assert [node["topic"]["name"] for node in found["repositoryTopics"]["nodes"]] == list(repo.topics)
        assert found["languages"]["edges"][0]["node"]["name"] == repo.language
        assert "id" not in found, "only what was asked for"
    limit = result["data"]["rateLimit"]
    assert (limit["limit"], limit["cost"], limit["remaining"]) == (5000, 1, 4999)
    assert datetime.fromisoformat(limit["resetAt"]) > datetime.now(UTC)


def test_graphql_names_the_missing_and_answers_the_rest(client: httpx.Client) -> None:
    slugs = [
        "northlake-ai/kvfold",
        "opaline-nlp/honest-clock",
        "birch-lab/foldlight",
        "tarn-vision/coming-soon",
    ]
    result = graphql(client, *batch_query(slugs, "r", "o", "n"))
    data = result["data"]
    assert data["r0"]["nameWithOwner"] == "northlake-ai/kvfold"
    assert data["r2"]["nameWithOwner"] == "birch-bio/foldlight", "a former name leads to the present one"
    assert (data["r1"], data["r3"]) == (None, None)
    assert [(error["type"], error["path"]) for error in result["errors"]] == [
        ("NOT_FOUND", ["r1"]),
        ("NOT_FOUND", ["r3"]),
    ]
    assert result["errors"][0]["message"] == (
        "Could not resolve to a Repository with the name 'opaline-nlp/honest-clock'."
    )


def test_graphql_understands_literals_inline_fragments_and_conditions(client: httpx.Client) -> None:
    query = """
    query($big: Boolean = false) {  # a comment
      it: repository(owner: "northlake-ai", name: "kvfold", followRenames: true) {
        __typename ... on Repository { stars: stargazerCount } ... { forkCount @include(if: $big) }
        repositoryTopics(first: 1) { nodes { topic { name } } totalCount }
      }
    }"""
    assert graphql(client, query)["data"] == {
        "it": {
            "__typename": "Repository",
            "stars": 612,
            "repositoryTopics": {"nodes": [{"topic": {"name": "kv-cache"}}], "totalCount": 2},
        }
    }
    assert graphql(client, query, {"big": True})["data"]["it"]["forkCount"] == 38


@pytest.mark.parametrize(
    ("query", "variables", "message"),
    [
        ("query { repository(", {}, "Unexpected end"),
        ('query { repository(owner: "a", name: ~) { name } }', {}, "Parse error on '~'"),
        ('query { repository(owner: "northlake-ai", name: "kvfold") { starCount } }', {}, "'starCount'"),
        ('query { repository(owner: "northlake-ai", name: "kvfold") }', {}, "must have selections"),
        ('query { repository(owner: "northlake-ai", name: "kvfold") { url { x } } }', {}, "is a scalar"),
        ('query { repository(owner: "northlake-ai") { name } }', {}, "missing required arguments"),
        ('query { repository(owner: "northlake-ai", name: "kvfold") { ...G } }', {}, "Fragment G"),
        ("query($o: String!) { repository(owner: $o, name: $o) { name } }", {}, "$o of a required type"),
        ("query { repository(owner: $o, name: $o) { name } }", {"o": "x"}, "$o is used but not declared"),
        ("query { viewer { login } }", {}, "'viewer' doesn't exist"),
        ("mutation { addStar }", {}, "Expected 'query'"),
    ],
)
def test_graphql_refuses_what_it_cannot_carry_out(
    client: httpx.Client, query: str, variables: dict[str, Any], message: str
) -> None:
    result = graphql(client, query, variables)
    assert "data" not in result
    assert message in result["errors"][0]["message"]


def test_graphql_needs_a_token_and_json(client: httpx.Client) -> None:
    body = {"query": "query { rateLimit { limit } }"}
    assert client.post("/github/graphql", json=body).status_code == 401
    assert client.post("/github/graphql", content=b"{", headers=SIGNED).status_code == 400
    assert client.post("/github/graphql", json=[1], headers=SIGNED).status_code == 400


# -- receivers --------------------------------------------------------------------------------------


def test_slack_webhook_records_what_it_accepts(replay: Replay, client: httpx.Client) -> None:
    payload = {"text": "Papers of the day: café", "blocks": [{"type": "divider"}]}
    answer = client.post(replay.slack_url, json=payload)
    assert (answer.status_code, answer.text) == (200, "ok")
    refused = [
        client.post(replay.slack_url, content=b"not json"),
        client.post(replay.slack_url, json={}),
        client.post(replay.slack_url, json={"text": "x", "blocks": [{"type": "divider"}] * 51}),
        client.post("/slack/services/T000/B000/other", json=payload),
    ]
    assert [(answer.status_code, answer.text) for answer in refused] == [
        (400, "invalid_payload"),
        (400, "no_text"),
        (400, "invalid_blocks"),
        (404, "no_service"),
    ]
    assert replay.slack_payloads == [payload]


def test_plain_webhook_records_body_and_headers(replay: Replay, client: httpx.Client) -> None:
    client.post(replay.webhook_url, content=b"{}", headers={"x-idempotency-key": "edition-7"})
    (posted,) = replay.webhook_bodies
    assert (posted.body, posted.headers["x-idempotency-key"]) == (b"{}", "edition-7")


# -- faults -----------------------------------------------------------------------------------------


def test_a_fresh_replay_fails_the_first_arxiv_and_blog_calls_and_heals() -> None:
    with Replay(today=WEDNESDAY) as replay, make_client(replay) as client:
        limited = client.get("/arxiv/api/query", params={"search_query": "cat:cs.CL"})
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")
        broken = client.get("/blog/feed.xml")
        assert broken.status_code == 503
        for _ in range(2):
            assert client.get("/arxiv/api/query", params={"search_query": "cat:cs.CL"}).status_code == 200
            assert client.get("/blog/feed.xml").status_code == 200
        assert client.get("/blog/feed.json").status_code == 200
        assert [replay.count(status=status) for status in (429, 503, 200)] == [1, 1, 5]


def test_fail_next_answers_as_told_and_only_as_often(replay: Replay, client: httpx.Client) -> None:
    replay.fail_next("/hf", status=500, times=2, headers={"X-Reason": "test"}, body=b"<h1>oops</h1>")
    answers = [client.get("/hf/api/daily_papers") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500, 500, 200]
    assert (answers[0].headers["x-reason"], answers[0].content) == ("test", b"<h1>oops</h1>")
    replay.fail_next("/hf/api/daily_papers?date=2026-11-25")
    assert client.get("/hf/api/daily_papers?date=2026-11-24").status_code == 200
    assert client.get("/hf/api/daily_papers?date=2026-11-25").status_code == 503


def test_a_service_can_be_down_and_up_again_while_others_work(replay: Replay, client: httpx.Client) -> None:
    replay.is_down("/github")
    assert [client.get("/github/repos/polder-ai/quantdyke").status_code for _ in range(3)] == [503] * 3
    assert client.get("/blog/feed.xml").status_code == 200
    replay.is_up("/github")
    assert client.get("/github/repos/polder-ai/quantdyke").status_code == 200


def test_hang_makes_answers_late_until_healed(replay: Replay, client: httpx.Client) -> None:
    replay.hang("/hf", 0.3)
    started = time.monotonic()
    assert client.get("/hf/api/daily_papers").status_code == 200
    assert time.monotonic() - started >= 0.3
    replay.hang("/hf", 60)
    with pytest.raises(httpx.ReadTimeout):
        client.get("/hf/api/daily_papers", timeout=0.05)
    replay.is_up("/hf")
    assert client.get("/hf/api/daily_papers", timeout=30).status_code == 200


def test_a_truncated_answer_breaks_off_and_the_next_is_whole(replay: Replay, client: httpx.Client) -> None:
    replay.truncate_next("/arxiv/rss")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/arxiv/rss/cs.LG")
    assert etree.fromstring(client.get("/arxiv/rss/cs.LG").content).tag == "rss"


def test_a_dropped_connection_brings_no_answer(replay: Replay, client: httpx.Client) -> None:
    replay.drop_next("/slack")
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(replay.slack_url, json={"text": "x"})
    assert replay.slack_payloads == []
    assert replay.requests[-1].status == 0
    assert client.post(replay.slack_url, json={"text": "x"}).text == "ok"


# -- the server -------------------------------------------------------------------------------------


def test_requests_are_recorded_without_their_secrets(replay: Replay, client: httpx.Client) -> None:
    client.get("/hf/api/daily_papers?limit=1", headers={"user-agent": "reader/1", "if-none-match": '"x"'})
    client.get("/github/repos/a/b", headers={"authorization": "Bearer hush-hush"})
    first, second = replay.requests
    assert (first.method, first.path, first.status) == ("GET", "/hf/api/daily_papers?limit=1", 200)
    assert (first.headers["user-agent"], first.headers["if-none-match"]) == ("reader/1", '"x"')
    assert abs((datetime.now(UTC) - first.at).total_seconds()) < 10
    assert second.headers["authorization"] == "Bearer"
    assert "hush" not in repr(second)


def test_one_connection_serves_many_requests_and_compresses_when_asked(client: httpx.Client) -> None:
    streams = set()
    for _ in range(5):
        with client.stream("GET", f"/hf/api/daily_papers?date={WEDNESDAY}") as answer:
            answer.read()
            streams.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
            assert answer.headers["content-encoding"] == "gzip"
    assert len(streams) == 1
    plain = client.get(f"/hf/api/daily_papers?date={WEDNESDAY}", headers={"accept-encoding": "identity"})
    assert int(plain.headers["content-length"]) == len(plain.content)
    head = client.head("/blog/feed.xml", headers={"accept-encoding": "identity"})
    whole = client.get("/blog/feed.xml", headers={"accept-encoding": "identity"})
    assert head.content == b""
    assert head.headers["content-length"] == str(len(whole.content))


def test_stop_cuts_idle_connections_and_start_takes_the_same_port(replay: Replay, client: httpx.Client) -> None:
    assert client.get("/blog/feed.xml").status_code == 200
    port = replay.port
    replay.stop()
    with pytest.raises(httpx.TransportError):
        client.get("/blog/feed.xml")
    replay.start()
    assert replay.port == port
    assert client.get("/blog/feed.xml").status_code == 200


def test_unknown_paths_are_404(client: httpx.Client) -> None:
    for path in ("/", "/hf", "/hf/api/models", "/hfx/api/daily_papers", "/blog", "/arxiv/api", "/arxiv/list"):
        assert client.get(path).status_code == 404, path


def test_urls_lead_to_each_service(replay: Replay, client: httpx.Client) -> None:
    urls = replay.urls()
    paths = {
        "HF_URL": "/api/daily_papers",
        "ARXIV_API_URL": "/query?search_query=cat:cs.CL",
        "ARXIV_RSS_URL": "/rss/cs.LG",
        "ARXIV_OAI_URL": "?verb=Identify",
        "GITHUB_API_URL": "/repos/polder-ai/quantdyke",
        "GITHUB_URL": "/northlake-ai/specdraft/releases.atom",
        "GITLAB_URL": "/api/v4/projects/hydra-lab%2Frivers%2Fsimulator",
        "CODEBERG_URL": "/api/v1/repos/spindle/saturation",
        "SLACK_API_URL": "/reactions.get",
        "BLOG_FEED_URL": "",
        "OPENALEX_URL": "/works?filter=doi:10.5555/x&api_key=k",
        "CROSSREF_URL": "/works?filter=doi:10.5555/x",
        "DATACITE_URL": "/dois?query=doi:x",
    }
    posted = {"SEMANTIC_SCHOLAR_URL": "/graph/v1/paper/batch", "OPENREVIEW_URL": "/login"}
    assert urls.keys() == paths.keys() | posted.keys()
    for name, path in paths.items():
        assert client.get(urls[name] + path).status_code == 200, name
    for name, path in posted.items():
        answer = client.post(urls[name] + path, json={"ids": ["ARXIV:1"]}, headers={"x-api-key": "k"})
        assert answer.status_code == 200, name


def test_the_replay_runs_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "workers.demo.replay", "--today", "2026-11-25", "--no-faults"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(6)]
        urls = dict(line.removeprefix("export BROADSHEET_").strip().split("=", 1) for line in lines)
        answer = httpx.get(f"{urls['HF_URL']}/api/daily_papers?date=2026-11-25", trust_env=False, verify=TLS)
        assert len(answer.json()) == 12
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_the_replay_needs_the_standard_library_only() -> None:
    # Without `site` there is no site-packages, so that any other import would fail.
    code = "import workers.demo.replay, workers.demo.catalogue as c; print(c.demo_feeds_toml('http://x')[:1])"
    shown = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stdout.strip()) == (0, "#"), shown.stderr


# -- the catalogue ----------------------------------------------------------------------------------


def test_catalogue_is_toml_that_names_the_replayed_feeds(replay: Replay) -> None:
    catalogue = tomllib.loads(demo_feeds_toml(f"{replay.base_url}/"))
    feeds = {feed["name"]: feed for feed in catalogue["feed"]}
    assert list(feeds) == ["daily-papers", "arxiv-cs-cl", "arxiv-cs-lg-rss", "northlake-blog"]
    assert feeds.keys() <= replay.announced().keys()
    assert feeds["northlake-blog"]["url"] == replay.urls()["BLOG_FEED_URL"]
    assert feeds["arxiv-cs-cl"]["query"] == "cat:cs.CL"
    assert [digest["name"] for digest in catalogue["digest"]] == ["Daily Papers", "Efficient inference"]


@pytest.mark.parametrize("today", [date.fromordinal(MONDAY.toordinal() + step) for step in range(7)])
def test_the_history_that_the_catalogue_asks_for_holds_every_day_of_papers(today: date) -> None:
    feed = tomllib.loads(demo_feeds_toml("http://127.0.0.1:1"))["feed"][0]
    oldest = load_content(today).days[0]
    assert (today - oldest).days < feed["history_days"]


def test_the_efficiency_digest_finds_something_in_every_source(replay: Replay) -> None:
    pattern = re.compile(r"\b(inference|quantization)\b", re.IGNORECASE)
    matching = {p.arxiv_id for p in replay.content.papers if pattern.search(f"{p.title} {p.abstract}")}
    assert len(matching) >= 8
    announced = replay.announced()
    for feed in ("daily-papers", "arxiv-cs-cl", "arxiv-cs-lg-rss", "northlake-blog"):
        assert matching & announced[feed], feed
