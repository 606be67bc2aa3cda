"""What is told of one feed, by command, page and API, and another address for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from services.domain.batches import look_again_in
from services.domain.errors import InvalidInput
from services.domain.feeds import FeedRequest
from services.domain.jobs import NewJob
from services.domain.users import Actor
from services.pipeline import drain
from services.pipeline.about_feed import about_feed
from services.pipeline.edit_feed import edit_feed
from services.runtime import Runtime
from services.storage import batches, feeds, notices, stages
from services.storage.tables import Audit, Batch, Feed
from services.upstreams.http import Fetched, NotModified, Validators
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, entry, store
from tests.integration.command import Broadsheet
from tests.integration.test_web_admin import fill
from tests.integration.web_site import PASSWORD, Elements, Site
from workers.demo.replay import Replay

BOSS = Actor(name="boss", role="admin", origin="command")
KEYED = "https://lab.example/feed?api_key=hush"


# -- what is told ----------------------------------------------------------------------------------------------


def test_all_of_a_feed_is_told_in_words_and_as_json(online: Broadsheet, today_replay: Replay) -> None:
    online("feeds", "add", f"{today_replay.base_url}/nowhere.xml?token=hush", "--name", "lab", "--no-check", code=0)
    new = online("feeds", "show", "lab", code=0)
    assert "It has not been read yet." in new.out
    assert online.json("feeds", "show", "lab")["why"].startswith("it is due")
    online("feeds", "fetch", "lab", code=1)
    told = online.json("feeds", "show", "lab")
    assert told["url"] == f"{today_replay.base_url}/nowhere.xml?token=***"
    assert (told["state"], told["failures"], told["latest"]["state"]) == ("failing", 1, "failed")
    assert [(one["state"], one["status"]) for one in told["fetches"]] == [("failed", 404)]
    assert [(one["kind"], one["state"]) for one in told["given_up"]] == [("fetch_feed", "dead")]
    assert [one["state"] for one in told["batches"]] == ["failed"]
    said = online("feeds", "show", "lab", code=0)
    for words in ("rss, added", "token=***", "now: it is due", "404", "given up"):
        assert words in said.out, words
    assert "Last error" in said.err
    assert "runs retry" in said.err
    assert "hush" not in said.out + said.err + str(told)


def test_a_feed_nobody_has_is_answered_with_the_one_that_was_meant(broadsheet: Broadsheet) -> None:
    assert "did you mean daily-papers?" in broadsheet("feeds", "show", "daily-paper", code=1).err
    assert "did you mean" not in broadsheet("feeds", "show", "zzz", code=1).err


def test_the_page_and_the_api_tell_why_then_and_what_waits(make_runtime: MakeRuntime, database_url: str) -> None:
    rt = make_runtime(database_url=database_url, admin_password=PASSWORD)
    fill(rt)
    rt.add_jobs([NewJob(kind="fetch_feed", key="daily-papers later"), NewJob(kind="fetch_feed", key="other later")])
    with rt.writing() as session:
        stages.pause(session, "parse", by="ada", now=rt.now())
        notices.tell(session, kind="failing", subject="daily-papers", text="It fails.", now=rt.now(), send=False)
        notices.tell(session, kind="failing", subject="other", text="Other fails.", now=rt.now(), send=False)
        feeds.update_feed(session, 1, mute_alerts=True, fresh_minutes=90, next_check_at=rt.now() + timedelta(hours=1))
    site = Site(rt)
    told = site.ask("GET", "/feeds/daily-papers", site.token("read")).json()
    assert told["why"] == "as often as somebody chose"
    assert (told["interval_now_s"], told["fresh_minutes"], told["mute_alerts"]) == (3600, 90, True)
    assert [one["key"] for one in told["waiting"]] == ["daily-papers later", "of daily-papers lost"]
    assert [one["key"] for one in told["given_up"]] == ["daily-papers lost"]
    assert [one["text"] for one in told["notices"]] == ["It fails."]
    assert told["resting"] == ["parse"]
    assert (told["rejected"][0]["reason"], told["fetches"][0]["seen"]) == ("no title", 3)
    site.login()
    page = Elements(site.get("/admin/feeds/daily-papers").text).text
    for words in (told["why"], "parse is paused by ada", "none are sent", "daily-papers later", "It fails.", "2 h"):
        assert words in page, words
    assert "other later" not in page
    assert "Other fails." not in page


def test_why_a_feed_is_asked_sooner_or_never(rt: Runtime) -> None:
    feed = add_feed(rt, "lab", kind="rss", url="https://lab.example/feed", interval_fixed=False)
    hour = timedelta(hours=1)

    def why(**values: Any) -> str:
        with rt.writing() as session:
            feeds.update_feed(session, feed.id or 0, **values)
        with rt.reading() as session:
            return about_feed(session, feeds.get(session, "lab"), rt.now()).why

    with rt.writing() as session:
        row = Batch(feed_id=feed.id or 0, batch="2026-11-24", state="partial", tries=1, checked_at=rt.now())
        batches.put(session, row)
    assert why(next_check_at=rt.now() + look_again_in(1, hour)).startswith("2026-11-24 is not complete")
    assert why(next_check_at=rt.now() + hour) == "at its usual interval"
    assert why(ttl_minutes=240) == "by its own rhythm"
    assert why(paused=True) == "it is paused"
    assert why(retired=True).startswith("it is gone or was removed")


# -- another address -------------------------------------------------------------------------------------------


def test_a_feed_is_read_at_another_address_and_stays_the_feed_it_is(online: Broadsheet, today_replay: Replay) -> None:
    blog = today_replay.urls()["BLOG_FEED_URL"]
    online("feeds", "add", f"{today_replay.base_url}/nowhere.xml", "--name", "blog", "--no-check", code=0)
    online("feeds", "fetch", "blog", code=1)
    wrong = online("feeds", "edit", "blog", f"{today_replay.base_url}/nowhere2.xml", code=1).err
    assert "Nothing was changed. --no-check changes it all the same." in wrong
    edited = online.json("feeds", "edit", "blog", blog)
    assert (edited["name"], edited["url"], edited["failures"], edited["last_error"]) == ("blog", blog, 0, None)
    assert edited["found"]["entries"] > 0
    assert online.json("feeds", "fetch", "blog")["new"] > 0
    assert len(online.json("feeds", "show", "blog")["fetches"]) == 2, "its history stays"
    assert "blog already" in online("feeds", "edit", "blog", blog, code=1).err
    (line,) = [line for line in online.json("audit") if line["act"] == "feed.edit" and line["outcome"] == "done"]
    assert (line["before"]["url"], line["after"]["url"]) == (f"{today_replay.base_url}/nowhere.xml", blog)


@pytest.mark.parametrize(
    ("name", "url", "words"),
    [
        ("lab", "http://10.0.0.1/feed", "10.0.0.1"),
        ("lab", "ftp://a.example/feed", "not an http or https address"),
        ("lab", "https://rss.arxiv.org/rss/cs.CL", "feeds add https://rss.arxiv.org/rss/cs.CL"),
        ("lab", "https://lab.example/feed?api_key=***", "without its key"),
        ("lab", "https://other.example/feed", "other already"),
        ("lab", "", "new address"),
        ("gone", "https://a.example/feed", "add it again first"),
        ("shipped", "https://a.example/feed", "feeds.toml"),
    ],
)
def test_an_address_that_cannot_be_is_refused(rt: Runtime, name: str, url: str, words: str) -> None:
    for one in ("lab", "other", "gone", "shipped"):
        add_feed(rt, one, kind="rss", url=f"https://{one}.example/feed")
    with rt.writing() as session:
        feeds.update_feed(session, feeds.get(session, "gone").id or 0, retired=True)
        feeds.update_feed(session, feeds.get(session, "shipped").id or 0, origin="catalogue")
    with pytest.raises(InvalidInput, match=words.replace("?", r"\?")):
        edit_feed(rt, BOSS, name, url, check="10.0" in url)
    assert {feed.url for feed in all_rows(rt, Feed)} == {
        f"https://{one}.example/feed" for one in ("lab", "other", "gone", "shipped")
    }


def test_an_address_by_its_parameters_is_edited_by_them(rt: Runtime) -> None:
    add_feed(rt, "lg", kind="arxiv_rss", params={"category": "cs.LG", "format": "atom"})
    edited, _ = edit_feed(rt, BOSS, "lg", f"{rt.urls.arxiv_rss}/rss/cs.CL", check=False)
    assert (edited.url, edited.params) == ("", {"category": "cs.CL", "format": "atom"})


def test_another_question_takes_the_place_of_the_old_one(rt: Runtime) -> None:
    add_feed(rt, "two", kind="arxiv_api", params={"id_list": "2401.00001", "page_size": "50"})
    edited, _ = edit_feed(rt, BOSS, "two", f"{rt.urls.arxiv_api}/query?search_query=cat:cs.LG", check=False)
    assert edited.params == {"query": "cat:cs.LG", "page_size": "50"}


def test_an_edit_that_is_refused_is_in_the_audit(rt: Runtime) -> None:
    add_feed(rt, "two", kind="arxiv_api", params={"id_list": "2401.00001"})
    with pytest.raises(InvalidInput, match="is of the kind"):
        edit_feed(rt, BOSS, "two", "https://lab.example/feed", check=False)
    (line,) = all_rows(rt, Audit)
    assert (line.act, line.subject, line.outcome) == ("feed.edit", "two", "failed")


def test_a_new_key_is_sealed_and_on_no_page_and_in_no_audit(make_runtime: MakeRuntime) -> None:
    rt = make_runtime(admin_password=PASSWORD)
    add_feed(rt, "lab", kind="rss", url="https://lab.example/feed", paused=True)
    store(rt, [entry(1)], feed=all_rows(rt, Feed)[0])
    site = Site(rt)
    token = site.token("operate")
    answer = site.ask("PATCH", "/feeds/lab", token, json={"url": KEYED, "check": False})
    assert (answer.status_code, answer.json()["url"]) == (200, "https://lab.example/feed?api_key=***")
    assert site.ask("PATCH", "/feeds/lab", site.token("read"), json={"url": KEYED}).status_code == 403
    with rt.reading() as session:
        kept = session.execute(sa.text("SELECT url FROM feeds")).scalar_one()
        assert feeds.get(session, "lab").url == KEYED
    site.login()
    page = site.get("/admin/feeds/lab").text
    assert 'placeholder="https://lab.example/feed?api_key=***"' in page
    assert "hush" not in kept + page + "".join(line.model_dump_json() for line in all_rows(rt, Audit))


def test_the_page_looks_at_an_address_first(make_runtime: MakeRuntime, replay: Replay) -> None:
    rt = make_runtime(admin_password=PASSWORD, replay=replay)
    add_feed(rt, "lab", kind="rss", url="https://lab.example/feed")
    site = Site(rt)
    site.login()
    form = {"url": replay.urls()["BLOG_FEED_URL"]}
    looked = site.post("/admin/feeds/lab/edit", form, csrf_from="/admin/feeds/lab")
    assert looked.status_code == 200
    assert "in it now" in looked.text
    assert 'value="edit">Read it there</button>' in looked.text
    assert all_rows(rt, Feed)[0].url == "https://lab.example/feed"
    done = site.post("/admin/feeds/lab/edit", form | {"step": "edit"}, csrf_from="/admin/feeds/lab")
    assert done.headers["location"].startswith("/admin/feeds/lab?said=feed_edited")
    assert all_rows(rt, Feed)[0].url == form["url"]
    wrong = site.post("/admin/feeds/lab/edit", {"url": "http://10.0.0.1/"}, csrf_from="/admin/feeds/lab")
    assert (wrong.status_code, "10.0.0.1" in wrong.text) == (400, True)
    assert site.post("/admin/feeds/nowhere/edit", form, csrf_from="/admin/feeds").status_code == 404


@pytest.mark.parametrize(
    ("edited", "kept"), [("", "https://moved.example/feed"), ("https://new.example/feed", "https://new.example/feed")]
)
def test_an_answer_that_moves_the_old_address_does_not_undo_an_edit(
    make_runtime: MakeRuntime, replay: Replay, monkeypatch: pytest.MonkeyPatch, edited: str, kept: str
) -> None:
    rt = make_runtime(replay=replay)
    add_feed(rt, "lab", kind="rss", url=replay.urls()["BLOG_FEED_URL"])
    get = Runtime.get

    def moved(here: Runtime, request: FeedRequest, known: Validators | None = None) -> Fetched | NotModified:
        answer = get(here, request, known)
        if edited:
            edit_feed(rt, BOSS, "lab", edited, check=False)
        assert isinstance(answer, Fetched)
        return replace(answer, permanent_url="https://moved.example/feed")

    monkeypatch.setattr(Runtime, "get", moved)
    drain.run_until_idle(rt, stages=["fetch"])
    assert all_rows(rt, Feed)[0].url == kept
