"""The pages for readers: what they show, what they escape, what they say when there is nothing."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

import pytest

from services.domain.identifiers import Identifier
from services.domain.links import LinkData
from services.domain.papers import AuthorData
from services.domain.queries import MAX_QUERY
from services.domain.repos import ReleaseData, RepoData
from services.pipeline import drain, schedule, views
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import repos, subscribers
from services.storage.tables import Edition, Link, Reading, Repo, Subscriber, Subscription
from tests.conftest import MakeRuntime
from tests.factories import DAY, add_feed, all_rows, code, entry, store
from tests.fakes import Clock
from tests.integration.web_site import PASSWORD, Elements, Site

YESTERDAY = DAY - timedelta(days=1)
HOSTILE = """</title><script>alert(1)</script><img src=x onerror=alert(2)> {{7*7}} "'><svg/onload=alert(3)>"""
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def site(rt: Runtime) -> Site:
    """Three papers on one day and one on the day before."""
    feed = add_feed(rt, "daily-papers", title="Daily Papers")
    store(
        rt,
        [
            entry(1, upvotes=40, comments_count=3, organization="Harbour Lab", links=(code("quill/lanterns"),)),
            entry(2, upvotes=90, ai_summary="Tides are read from lanterns."),
            entry(
                3, categories=("math.CO",), title="Counting knots without rope", abstract="Each knot is counted once."
            ),
        ],
        feed=feed,
    )
    store(rt, [entry(4, announced_on=YESTERDAY, title="An older lantern")], feed=feed, day=YESTERDAY)
    return Site(rt)


def test_the_front_page_shows_the_newest_day_with_its_papers_and_neighbours(site: Site) -> None:
    answer = site.get("/")
    assert answer.status_code == 200
    page = Elements(answer.text)
    assert "Tuesday, 24 November 2026" in page.text
    assert "Sparse lanterns for tidal inference, part 1" in page.text
    assert "Ada Quill, Bram Osei" in page.text
    assert "Harbour Lab" in page.text
    assert "quill/lanterns" in page.text
    assert "An older lantern" not in page.text
    links = {a.get("href") for a in page.named("a")}
    assert f"/?day={YESTERDAY}" in links
    assert "/papers/arxiv:2611.90001" in links


def test_a_machines_sentence_is_labelled(site: Site) -> None:
    assert "Tides are read from lanterns. [HF AI]" in " ".join(Elements(site.get("/").text).text.split())


@pytest.mark.parametrize(
    ("order", "first"), [("upvotes", "arxiv:2611.90002"), ("stars", "arxiv:2611.90001"), ("newest", "arxiv:2611.90001")]
)
def test_the_order_is_the_readers_choice(site: Site, order: str, first: str) -> None:
    with site.rt.writing() as session:
        row = session.get(Repo, all_rows(site.rt, Repo)[0].id)
        assert row is not None
        row.state, row.stars = "found", 512
    listed = re.findall(r'class="title" dir="auto"><a href="/papers/([^"]+)"', site.get(f"/?sort={order}").text)
    assert len(listed) == 3
    assert listed[0] == first


def test_a_past_day_is_ordered_as_it_stood_not_by_its_age(site: Site, clock: Clock) -> None:
    clock.advance(days=400)
    listed = re.findall(r'class="title" dir="auto"><a href="/papers/([^"]+)"', site.get(f"/?day={DAY}").text)
    assert listed[0] == "arxiv:2611.90002"


TITLES = r'class="title" dir="auto"><a href="/papers/([^"]+)"'


def test_a_query_without_a_day_searches_the_whole_archive_and_says_why(site: Site) -> None:
    long_ago = DAY - timedelta(days=900)
    store(site.rt, [entry(9, announced_on=long_ago)], feed=add_feed(site.rt, "old"), day=long_ago)
    page = Elements(site.get("/", params={"q": "lantern* -older"}).text)
    assert "3 papers" in page.text
    assert "part 9" in page.text
    assert "Counting knots" not in page.text
    assert "An older lantern" not in page.text
    assert "matches" in page.text


@pytest.mark.parametrize(
    ("path", "heading", "keys"),
    [
        ("/?span=week", "23 – 29 November 2026", 4),
        ("/?span=month", "November 2026", 4),
        ("/?span=trending", "Trending", 4),
        ("/?span=week&day=2026-11-16", "16 – 22 November 2026", 0),
        ("/?span=month&q=knots", "November 2026", 1),
        ("/?span=century", "Tuesday, 24 November 2026", 3),
    ],
)
def test_weeks_months_and_what_trends_are_listed(site: Site, path: str, heading: str, keys: int) -> None:
    text = site.get(path).text
    assert f"<h1>{heading}</h1>" in text
    assert len(re.findall(TITLES, text)) == keys
    if not keys:
        assert "/?span=week&amp;day=2026-11-23" in text


def test_the_best_of_a_week_are_not_its_last_days(site: Site) -> None:
    monday = DAY - timedelta(days=1)
    store(site.rt, [entry(8, upvotes=95, announced_on=monday)], feed=add_feed(site.rt, "more"), day=monday)
    assert re.findall(TITLES, site.get("/?span=week").text)[0] == "arxiv:2611.90008"


def test_a_list_is_narrowed_by_what_it_is_made_of(site: Site) -> None:
    text = site.get("/", params={"q": "counting OR lantern*"}).text
    links = {str(a.get("href")): a for a in Elements(text).named("a")}
    narrower = next(link for link in links if "cat%3Amath.CO" in link)
    assert re.findall(TITLES, site.get(narrower.replace("&amp;", "&")).text) == ["arxiv:2611.90003"]
    assert any("has%3Acode" in link for link in links)


@pytest.mark.parametrize("order", ["newest", "relevance", "trending", "upvotes", "stars"])
def test_what_is_found_can_be_ordered(site: Site, order: str) -> None:
    found = re.findall(TITLES, site.get("/", params={"q": "lantern*", "sort": order}).text)
    assert sorted(found) == ["arxiv:2611.90001", "arxiv:2611.90002", "arxiv:2611.90004"]
    if order == "relevance":
        assert site.get("/", params={"q": "part older", "sort": order}).status_code == 200


def test_words_side_by_side_are_found_though_only_memory_can_tell(site: Site) -> None:
    text = site.get("/", params={"q": '"tidal inference"'}).text
    assert sorted(re.findall(TITLES, text)) == ["arxiv:2611.90001", "arxiv:2611.90002"]
    assert "2 papers" in Elements(text).text


def test_a_query_with_a_day_stays_on_it(site: Site) -> None:
    page = Elements(site.get("/", params={"q": "lantern*", "day": str(YESTERDAY)}).text)
    assert "1 paper" in page.text
    assert "An older lantern" in page.text


def test_a_broken_query_is_shown_with_its_place(site: Site) -> None:
    answer = site.get("/", params={"q": 'title:"never closed'})
    assert answer.status_code == 400
    lines = Elements(answer.text).text.splitlines()
    place = next(n for n, line in enumerate(lines) if line.strip() == "^")
    assert "never closed" in lines[place - 1]
    assert lines[place - 1][lines[place].index("^")] == '"'


@pytest.mark.parametrize(
    "path", ["/?day=9999-12-31&span=month", "/?day=0001-01-01", "/?day=yesterday", "/?day=2026-13-01", "/?day=20261124"]
)
def test_a_day_that_is_none_is_refused_with_an_example(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 400
    assert "2026-11-24" in answer.text


def test_a_day_without_papers_names_the_nearest(site: Site) -> None:
    answer = site.get("/?day=2026-11-22")
    assert answer.status_code == 200
    assert "No papers on this day" in answer.text
    assert f"/?day={YESTERDAY}" in answer.text


def test_nothing_found_says_what_to_do(site: Site) -> None:
    page = site.get("/", params={"q": "submarine"}).text
    assert "Nothing matches" in page
    assert "/subscribe?q=submarine" in page


def test_an_empty_archive_says_how_to_fill_it(rt: Runtime) -> None:
    answer = Site(rt).get("/")
    assert answer.status_code == 200
    for command in ("broadsheet up", "broadsheet run --once", "broadsheet import"):
        assert command in answer.text


def test_a_long_day_is_cut_into_pages_that_hold_every_paper_once(rt: Runtime) -> None:
    feed = add_feed(rt, "arxiv", "arxiv_rss")
    store(rt, [entry(n) for n in range(1, 121)], feed=feed)
    site = Site(rt)
    found = [
        key
        for number in (1, 2, 3)
        for key in re.findall(r'class="title" dir="auto"><a href="/papers/([^"]+)"', site.get(f"/?page={number}").text)
    ]
    assert len(found) == 120
    assert len(set(found)) == 120


# -- escaping --------------------------------------------------------------------------------------------------


@pytest.fixture
def hostile(rt: Runtime) -> Site:
    """One paper all of whose texts attack."""
    feed = add_feed(rt, "daily-papers", title=HOSTILE)
    store(
        rt,
        [
            entry(
                1, title=HOSTILE, abstract=HOSTILE, authors=(AuthorData(name=HOSTILE, affiliation=HOSTILE),),
                organization=HOSTILE, comment=HOSTILE, journal_ref=HOSTILE, license=HOSTILE, ai_summary=HOSTILE,
                ai_keywords=(HOSTILE,), categories=(HOSTILE,),
            ),
            entry(2, title="A calm one"),
        ],
        feed=feed,
    )  # fmt: skip
    with rt.writing() as session:
        for url in ("javascript:alert(1)", "data:text/html,<script>", 'https://evil.example/"><script>'):
            session.add(
                Link(paper_id=1, url=url, url_key=url, kind="other", slug=HOSTILE, evidence=HOSTILE, found_at=rt.now())
            )
    return Site(rt)


@pytest.mark.parametrize(
    "path",
    ["/", "/papers/arxiv:2611.90001", "/?q=" + quote(HOSTILE.replace('"', "")), "/subscribe?q=" + quote(HOSTILE)],
)
def test_hostile_text_never_becomes_an_element_or_attribute(hostile: Site, path: str) -> None:
    page = Elements(hostile.get(path).text)
    assert [attrs.get("src", "").partition("?")[0] for attrs in page.named("script")] == ["/static/app.js"]  # type: ignore[union-attr]
    assert not page.named("img")
    for tag, attrs in page.found:
        assert not [name for name in attrs if name.startswith("on") or name == "style"], (tag, attrs)
        for name in ("href", "src", "action"):
            target = attrs.get(name)
            assert target is None or target.startswith(("/", "#", "https://", "http://")), (tag, attrs)
    assert "49" not in re.findall(r"\b49\b", page.text)


def test_hostile_text_is_shown_as_text(hostile: Site) -> None:
    assert "<script>alert(1)</script>" in Elements(hostile.get("/papers/arxiv:2611.90001").text).text


def test_hostile_text_leaves_the_atom_feed_well_formed(hostile: Site) -> None:
    root = ET.fromstring(hostile.get("/feeds/all.atom").content)
    titles = [title.text or "" for title in root.iter(f"{ATOM}title")]
    assert any("<script>alert(1)</script>" in title for title in titles)


def test_no_template_or_style_loads_anything_from_elsewhere() -> None:
    web = Path(__file__).parents[2] / "workers" / "web"
    files = [*web.glob("templates/**/*.html"), *web.glob("static/*.css"), *web.glob("static/*.js")]
    assert len(files) > 15
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not re.search(
            r"""(src|href)=["']?(https?:)?//|\burl\((?!repo|paper)|@import|\bstyle=|<style|\son\w+=""", text
        ), file
        assert "|safe" not in text.replace("' | safe if", ""), f"{file} lets text through unescaped"


# -- one paper -------------------------------------------------------------------------------------------------


def test_a_papers_page_tells_all_that_is_known(site: Site) -> None:
    page = Elements(site.get("/papers/arxiv:2611.90001").text)
    text = " ".join(page.text.split())
    for said in ("lanterns along a shore", "Harbour Lab", "quill/lanterns", "link from Hugging Face", "daily-papers"):
        assert said in text
    assert "@misc{quill2026sparse," in text
    assert "https://arxiv.org/abs/2611.90001" in {a.get("href") for a in page.named("a")}


def test_similar_papers_and_what_happened_since_are_told(site: Site) -> None:
    store(site.rt, [entry(1, version=2, abstract="Tides, anew.")], feed=add_feed(site.rt, "again"), source="again")
    text = site.get("/papers/arxiv:2611.90002").text
    assert "Similar papers" in text
    assert "/papers/arxiv:2611.90001" in {a.get("href") for a in Elements(text).named("a")}
    store(site.rt, [entry(2, withdrawn=True, version=3)], feed=add_feed(site.rt, "later"), source="hf_papers")
    assert "This paper was withdrawn" in site.get("/papers/arxiv:2611.90002").text


def test_stars_over_time_are_drawn(site: Site) -> None:
    row = all_rows(site.rt, Repo)[0]
    now = site.rt.now()
    with site.rt.writing() as session:
        data = RepoData(host="github.com", host_id="7", slug="quill/lanterns", stars=320, forks=3)
        repos.record_found(session, [repos.Found(repo_id=row.id, data=data, etag=None, next_check_at=now)], now=now)
        session.add(Reading(repo_id=row.id, read_at=now - timedelta(days=9), stars=120, forks=1))
    page = Elements(site.get("/papers/arxiv:2611.90001").text)
    charts = [attrs for attrs in page.named("svg") if attrs.get("class") == "spark"]
    assert [chart["aria-label"] for chart in charts] == ["120 stars on 16 Nov 2026, 320 on 25 Nov 2026"]


def test_models_are_shown_with_likes_and_downloads_and_code_with_its_release(site: Site) -> None:
    now = site.rt.now()
    slug = "quill/lantern-7b"
    model = LinkData(url=f"https://huggingface.co/{slug}", kind="model", slug=slug, evidence="hf")
    store(site.rt, [entry(1, links=(model,))], feed=add_feed(site.rt, "linked"))
    rows = {row.kind: row for row in all_rows(site.rt, Repo) if row.slug in ("quill/lanterns", "quill/lantern-7b")}
    with site.rt.writing() as session:
        facts = RepoData(
            host="huggingface.co", host_id="1", kind="model", slug="quill/lantern-7b", stars=41, downloads=9_876,
            gated=True, license="<b>mit</b>",
        )  # fmt: skip
        found = repos.Found(repo_id=rows["model"].id, data=facts, etag=None, next_check_at=now)
        repos.record_found(session, [found], now=now)
        release = ReleaseData(tag="v2 <i>", published_at=now - timedelta(days=2))
        repos.record_release(session, rows["code"].id, release)
    text = site.get("/papers/arxiv:2611.90001").text
    for words in ("♥ 41", "9,876 downloads in 30 days", "gated", "&lt;b&gt;mit&lt;/b&gt;", "v2 &lt;i&gt; released"):
        assert words in text


@pytest.mark.parametrize("name", ["2611.90001", "arXiv:2611.90001v3", "https://arxiv.org/abs/2611.90001"])
def test_other_names_of_a_paper_lead_to_its_page(site: Site, name: str) -> None:
    answer = site.get("/papers/" + quote(name, safe=":/"))
    assert answer.status_code == 308
    assert answer.headers["location"] == "/papers/arxiv:2611.90001"


def test_a_key_that_is_an_address_has_a_page_of_its_own(rt: Runtime) -> None:
    address = "https://lab.example/post?id=3&of=tides"
    feed = add_feed(rt, "lab-blog", "rss")
    store(rt, [entry(1, identifiers=(Identifier("url", address),))], feed=feed, source="rss:lab-blog")
    site = Site(rt)
    (path,) = re.findall(r'class="title" dir="auto"><a href="(/papers/[^"]+)"', site.get("/").text)
    answer = site.get(path)
    assert answer.status_code == 200
    assert address in {a.get("href") for a in Elements(answer.text).named("a")}


def test_an_unknown_paper_gets_a_page_that_helps(site: Site) -> None:
    answer = site.get("/papers/arxiv:2611.99999")
    assert answer.status_code == 404
    assert 'value="arxiv:2611.99999"' in answer.text
    assert 'role="search"' in answer.text


# -- an edition ------------------------------------------------------------------------------------------------


def test_a_sent_edition_is_readable_without_anybodys_own_links(site: Site, clock: Clock) -> None:
    rt = site.rt
    with rt.writing() as session:
        subscription, _ = subscribe(rt, session, to="ada@example.org", query="lantern*", confirmed=True)
    job = schedule.edition_job(subscription.id or 0, "daily", "UTC", rt.now())
    rt.add_jobs([type(job)(kind=job.kind, key=job.key, payload={**job.payload, "now": True})])
    drain.run_until_idle(rt, ticking=False, stages=["notify"])
    (edition,) = all_rows(rt, Edition)
    (reader,) = all_rows(rt, Subscriber)
    answer = site.get(views.edition_url(rt, edition.id or 0, reader).removeprefix(rt.settings.public_url))
    assert answer.status_code == 200
    page = Elements(answer.text)
    assert "Sparse lanterns for tidal inference, part 2" in page.text
    assert "Why" in page.text
    for secret in ("ada@example.org", "/unsubscribe/", "/preferences/", "/pause/"):
        assert secret not in answer.text
    assert answer.headers["x-robots-tag"] == "noindex"
    (matched, everything) = re.findall(r'href="(/\?q=[^"]*seen[^"]+)"', answer.text)
    assert f"<b>{edition.matched} paper" in site.get(matched).text
    assert f"<b>{edition.considered} paper" in site.get(everything).text
    with rt.writing() as session:  # as long as a query may be: what asks for its matches in these days is longer
        subscribers.update_subscription(session, subscription.id or 0, query="lantern* " * 222)
    answer = site.get(views.edition_url(rt, edition.id or 0, reader).removeprefix(rt.settings.public_url))
    (everything,) = re.findall(r'href="(/\?q=[^"]*seen[^"]+)"', answer.text)
    assert site.get(everything).status_code == 200


@pytest.mark.parametrize(
    ("query", "names", "asked"),
    [
        ("tide", ["blog"], "(tide) feed:(blog) seen:[2026-11-23 TO 2026-11-24]"),
        ("tide", [f"blog-{n}" for n in range(300)], "(tide) seen:[2026-11-23 TO 2026-11-24]"),
        ("", [f"blog-{n}" for n in range(300)], "seen:[2026-11-23 TO 2026-11-24]"),
        ("t" * MAX_QUERY, ["blog"], None),
    ],
)
def test_the_search_of_an_edition_is_never_longer_than_a_query_may_be(
    query: str, names: list[str], asked: str | None
) -> None:
    at = datetime(2026, 11, 24, 8, tzinfo=UTC)
    row = Subscription(subscriber_id=1, name="Daily", query=query, feeds=names, created_at=at, since_at=at)
    path = views.archive_path(row, at, None, query=query)
    assert path == (asked and f"/?{urlencode({'q': asked})}")


@pytest.mark.parametrize("number", ["999", "0", "-1", "one", "²", "9" * 30])
def test_an_edition_that_is_none_is_not_found(make_runtime: MakeRuntime, number: str) -> None:
    desk = Site(make_runtime(admin_password=PASSWORD))
    desk.login()
    assert desk.get(f"/editions/{number}").status_code == 404


# -- the API ---------------------------------------------------------------------------------------------------


def test_the_api_lists_papers_in_the_shape_of_the_command_line(site: Site) -> None:
    found = site.get("/api/v1/papers", params={"q": "lantern*", "sort": "upvotes", "limit": 2}).json()
    assert found["total"] == 3
    assert [paper["key"] for paper in found["papers"]] == ["arxiv:2611.90002", "arxiv:2611.90001"]
    paper = found["papers"][1]
    assert paper["authors"] == ["Ada Quill", "Bram Osei"]
    assert paper["identifiers"] == ["arxiv:2611.90001"]
    assert paper["links"][0]["slug"] == "quill/lanterns"
    assert paper["feeds"] == ["daily-papers"]


def test_the_api_gives_one_paper_with_its_listings(site: Site) -> None:
    paper = site.get("/api/v1/papers/2611.90001").json()
    assert paper["key"] == "arxiv:2611.90001"
    assert paper["sightings"][0]["day"] == str(DAY)
    assert site.get("/api/v1/papers/2611.99999").status_code == 404


def test_the_api_refuses_what_it_cannot_use_in_json(site: Site) -> None:
    for path, status in (("?q=(", 422), ("?sort=luck", 422), ("?day=soon", 422), ("?limit=0", 422)):
        answer = site.get(f"/api/v1/papers{path}")
        assert answer.status_code == status
        assert answer.json()["detail"]


def test_the_api_lists_feeds_with_their_state(site: Site) -> None:
    feeds = {feed["name"]: feed for feed in site.get("/api/v1/feeds").json()["items"]}
    feed = feeds["daily-papers"]
    assert feed["atom"] == "https://papers.example/feeds/daily-papers.atom"


def test_the_description_of_the_api_covers_it_and_nothing_else(site: Site) -> None:
    paths = set(json.loads(site.get("/openapi.json").text)["paths"])
    assert {"/api/v1/papers", "/api/v1/papers/{key}", "/api/v1/feeds", "/api/v1/runs", "/api/v1/deliveries"} <= paths
    assert not [path for path in paths if path.startswith(("/admin", "/unsubscribe", "/papers"))]


# -- health ----------------------------------------------------------------------------------------------------


def test_a_healthy_service_says_so(site: Site) -> None:
    answer = site.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert site.get("/readyz").json() == {"status": "ready"}


def test_a_database_that_is_gone_is_not_healthy(make_runtime: MakeRuntime, home: Path) -> None:
    site = Site(make_runtime())
    assert site.get("/healthz").status_code == 200
    for file in home.glob("broadsheet.db*"):
        file.unlink()
    answer = site.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["the database file is gone"]
    assert site.get("/readyz").status_code == 503


def test_a_database_without_tables_is_neither_healthy_nor_ready(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    site = Site(make_runtime(database_url=f"sqlite:///{empty}"))
    assert site.get("/healthz").status_code == 503
    assert site.get("/readyz").status_code == 503
    answer = site.get("/")
    assert answer.status_code == 503
    assert "content-security-policy" in answer.headers


def test_overdue_work_and_silent_workers_are_not_healthy(site: Site, clock: Clock) -> None:
    from services.domain.jobs import NewJob
    from services.storage import service

    rt = site.rt
    beat = {
        "name": "lab:7:worker", "role": "worker", "host": "lab", "pid": 7, "version": "0", "started_at": rt.now(),
        "seen_at": rt.now(), "busy": 0, "slots": 1, "memory_mb": 60.0,
    }  # fmt: skip
    with rt.writing() as session:
        service.beat(session, beat)
    rt.add_jobs([NewJob(kind="fetch_feed", key="daily-papers now")])
    assert site.get("/healthz").status_code == 200
    clock.advance(minutes=3)
    answer = site.get("/healthz")
    assert answer.status_code == 503
    assert "1 jobs are overdue" in answer.json()["reasons"][0]
    with rt.writing() as session:
        service.beat(session, {**beat, "seen_at": rt.now()})
    assert site.get("/healthz").status_code == 200
