"""`broadsheet feeds`, `backfill`, `replay` and `run --once`, against a replay of the upstreams."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.command import Broadsheet
from workers.demo.replay import Replay

TODAY = datetime.now(UTC).date()


def a_day_with_papers(replay: Replay) -> date:
    """The newest past day on which the replay's Daily Papers list something."""
    return max(day for day in replay.content.days if day < TODAY)


# -- the list --------------------------------------------------------------------------------------------------


def test_a_feed_is_looked_at_before_it_is_added(online: Broadsheet, today_replay: Replay) -> None:
    blog = today_replay.urls()["BLOG_FEED_URL"]
    added = online.json("feeds", "add", blog, "--interval", "30")
    assert (added["name"], added["kind"], added["url"]) == ("northlake-notes", "rss", blog)
    assert added["interval_minutes"] == 30
    assert added["found"]["entries"] > 0
    assert len(added["found"]["titles"]) > 0
    assert online.json("papers", "list") == [], "looking writes nothing down"
    assert "already" in online("feeds", "add", blog, code=1).err


def test_a_wrong_address_is_found_out_unless_nobody_wants_to_know(online: Broadsheet, today_replay: Replay) -> None:
    wrong = f"{today_replay.base_url}/nowhere.xml"
    said = online("feeds", "add", wrong, "--name", "wrong", code=1)
    assert "404" in said.err
    assert "--no-check" in said.err
    assert [f["name"] for f in online.json("feeds", "list")] == ["daily-papers"]
    assert online.json("feeds", "add", wrong, "--name", "wrong", "--no-check")["found"] is None


def test_a_web_page_names_its_feeds(online: Broadsheet, today_replay: Replay) -> None:
    from workers.commands.feeds_add import feeds_named_by

    page = b"""<html><head><LINK rel='alternate' type="application/rss+xml" href='/feed.xml?a=1&amp;b=2'>
    <link rel="alternate" type="application/atom+xml" href="javascript:alert(1)"><link rel="stylesheet" href="x.css">
    <link rel="alternate" type="application/feed+json" href="https://other.example/feed.json"></head>"""
    assert feeds_named_by(page, "https://blog.example/posts/") == [
        "https://blog.example/feed.xml?a=1&b=2",
        "https://other.example/feed.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kind", "arxiv_api"], "query"),
        (["--kind", "arxiv_rss", "--category", "../etc"], "category"),
        (["--kind", "listing"], "broadsheet import"),
        (["--kind", "gopher", "https://a.example/"], "hf_papers"),
        (["ftp://a.example/feed"], "not an http or https address"),
        (["http://10.0.0.1/feed"], "10.0.0.1"),
    ],
)
def test_a_feed_that_cannot_be_asked_for_is_refused(online: Broadsheet, arguments: list[str], words: str) -> None:
    said = online("feeds", "add", *arguments, code=1)
    assert words in said.err
    assert len(online.json("feeds", "list")) == 1


def test_arxiv_feeds_are_added_by_query_category_or_address(online: Broadsheet, today_replay: Replay) -> None:
    by_query = online.json("feeds", "add", "--kind", "arxiv_api", "--query", "cat:cs.CL")
    assert (by_query["name"], by_query["params"]) == ("arxiv-cat-cs-cl", {"query": "cat:cs.CL"})
    by_address = online.json("feeds", "add", f"{today_replay.base_url}/arxiv/rss/cs.LG")
    assert (by_address["kind"], by_address["params"]) == ("arxiv_rss", {"category": "cs.LG"})


def test_pause_resume_and_remove(online: Broadsheet, today_replay: Replay) -> None:
    online("feeds", "add", today_replay.urls()["BLOG_FEED_URL"], "--name", "blog", code=0)
    assert [f["state"] for f in online.json("feeds", "pause", "blog")] == ["paused"]
    (resumed,) = online.json("feeds", "resume", "blog")
    assert (resumed["state"], resumed["paused"]) == ("new", False)
    assert [f["mute_alerts"] for f in online.json("feeds", "mute", "blog", "daily-papers")] == [True, True]
    assert [f["mute_alerts"] for f in online.json("feeds", "unmute", "blog")] == [False]
    assert "There is no terminal to ask on" in online("feeds", "remove", "blog", code=2).err
    online("feeds", "remove", "blog", "--yes", code=0)
    assert [f["name"] for f in online.json("feeds", "list")] == ["daily-papers"]
    assert [f["state"] for f in online.json("feeds", "list", "--all")] == ["removed", "paused"]
    again = online.json("feeds", "add", today_replay.urls()["BLOG_FEED_URL"], "--name", "blog")
    assert again["state"] == "new"


def test_a_feed_of_the_catalogue_is_not_removed_behind_its_back(online: Broadsheet, quiet_feeds: Path) -> None:
    said = online("feeds", "remove", "daily-papers", "--yes", code=1)
    assert "feeds.toml" in said.err
    assert "feeds pause daily-papers" in said.err


def test_opml_goes_out_and_comes_back(online: Broadsheet, today_replay: Replay, tmp_path: Path) -> None:
    online("feeds", "add", today_replay.urls()["BLOG_FEED_URL"], "--name", "blog", "--title", "Tide & Lantern", code=0)
    online("feeds", "add", "--kind", "arxiv_rss", "--category", "cs.LG", "--name", "lg", code=0)
    online("feeds", "export-opml", "--out", tmp_path / "feeds.opml", code=0)
    said = online("feeds", "export-opml", code=0)
    assert said.out.strip() == (tmp_path / "feeds.opml").read_text().strip() or "dateCreated" in said.out
    assert "daily-papers" in said.err, "what no reader can use is said to be left out"
    assert {r["state"] for r in online.json("feeds", "import-opml", tmp_path / "feeds.opml")} == {"known"}
    other = Broadsheet({**online.settings, "HOME": str(tmp_path / "other")})
    results = other.json("feeds", "import-opml", tmp_path / "feeds.opml")
    assert {r["name"] for r in results} == {"tide-lantern", "arxiv-cs-lg"}
    kinds = {f["name"]: (f["kind"], f["params"]) for f in other.json("feeds", "list")}
    assert kinds["arxiv-cs-lg"] == ("arxiv_rss", {"category": "cs.LG"})
    assert kinds["tide-lantern"][0] == "rss"


def test_an_address_is_shown_without_its_key_and_goes_out_with_it(broadsheet: Broadsheet, tmp_path: Path) -> None:
    address, shown = "https://lab.example/feed?day=1&api_key=hush", "https://lab.example/feed?day=1&api_key=***"
    (tmp_path / "f.opml").write_text(
        f'<opml version="1.0"><body><outline text="Lab" xmlUrl="{address.replace("&", "&amp;")}"/></body></opml>'
    )
    (added,) = broadsheet.json("feeds", "import-opml", tmp_path / "f.opml")
    assert added["url"] == shown
    (listed,) = [feed for feed in broadsheet.json("feeds", "list") if feed["name"] == added["name"]]
    assert listed["url"] == shown
    assert address.replace("&", "&amp;") in broadsheet("feeds", "export-opml", code=0).out
    assert "without its key" in broadsheet("feeds", "add", shown, "--no-check", code=1).err
    (tmp_path / "shown.opml").write_text(
        f'<opml version="1.0"><body><outline text="Shown" xmlUrl="{shown.replace("&", "&amp;")}"/></body></opml>'
    )
    (refused,) = broadsheet.json("feeds", "import-opml", tmp_path / "shown.opml", code=1)
    assert (refused["state"], "without its key" in refused["error"]) == ("refused", True)
    assert "hush" not in str(broadsheet.json("audit"))


def test_opml_with_unusable_entries_adds_the_others(broadsheet: Broadsheet, tmp_path: Path) -> None:
    (tmp_path / "f.opml").write_text(
        '<opml version="1.0"><body><outline text="Folder"><outline text="Good" xmlUrl="https://good.example/feed"/>'
        '<outline text="Good" xmlUrl="https://twin.example/feed"/><outline text="Bad" xmlUrl="file:///etc/passwd"/>'
        "</outline></body></opml>"
    )
    results = broadsheet.json("feeds", "import-opml", tmp_path / "f.opml", code=1)
    assert [(r["name"], r["state"]) for r in results] == [("good", "added"), ("good-2", "added"), (None, "refused")]
    (tmp_path / "bomb.opml").write_text('<!DOCTYPE o [<!ENTITY a "b">]><opml><body>&a;</body></opml>')
    assert broadsheet("feeds", "import-opml", tmp_path / "bomb.opml", code=1).err.startswith("Error: ")
    (tmp_path / "page.html").write_text("<html><body>no list</body></html>")
    assert "OPML" in broadsheet("feeds", "import-opml", tmp_path / "page.html", code=1).err


# -- fetching --------------------------------------------------------------------------------------------------


def test_fetch_shows_what_became_of_every_entry(online: Broadsheet, today_replay: Replay) -> None:
    ledger = online.json("feeds", "fetch", "daily-papers")
    assert ledger["feed"] == "daily-papers"
    assert ledger["seen"] == ledger["new"] + ledger["changed"] + ledger["known"] + len(ledger["rejected"])
    assert ledger["new"] == len(online.json("papers", "list", "--feed", "daily-papers")) > 0
    assert {p["state"] for p in ledger["pages"]} == {"parsed"}
    again = online.json("feeds", "fetch", "daily-papers")
    assert (again["new"], again["error"]) == (0, None)
    assert {p["status"] for p in again["pages"]} == {304}
    assert "not modified" in online("feeds", "fetch", "daily-papers", code=0).out


def test_a_fetch_that_fails_says_why_and_ends_with_1(online: Broadsheet, today_replay: Replay) -> None:
    today_replay.is_down("/hf")
    ledger = online.json("feeds", "fetch", "daily-papers", code=1)
    assert "503" in ledger["error"]
    said = online("feeds", "fetch", "daily-papers", code=1)
    assert "503" in said.err
    assert "Traceback" not in said.err
    today_replay.is_up()
    online("feeds", "fetch", "daily-papers", code=0)


# -- the past --------------------------------------------------------------------------------------------------


def test_a_backfill_fetches_what_is_missing_and_goes_on_where_it_was(online: Broadsheet, today_replay: Replay) -> None:
    last = a_day_with_papers(today_replay)
    first = last - timedelta(days=4)
    today_replay.is_down("/hf")
    broken = online.json("backfill", "daily-papers", "--from", last, "--to", last, code=1)
    assert (broken["complete"], broken["days"][0]["state"]) == (False, "failed")
    today_replay.is_up()
    done = online.json("backfill", "daily-papers", "--from", first, "--to", last)
    assert done["complete"] is True
    assert [d["state"] for d in done["days"]] == ["done"] * 5
    assert done["days"][-1]["new"] > 0
    before = today_replay.count("/hf")
    again = online.json("backfill", "daily-papers", "--from", first, "--to", last)
    assert [d["state"] for d in again["days"]] == ["skipped"] * 5
    assert again["days"][-1]["seen"] == done["days"][-1]["seen"]
    assert today_replay.count("/hf") == before, "complete days are not asked for again"
    online("backfill", "daily-papers", "--from", last, "--to", last, "--again", code=0)
    assert today_replay.count("/hf") > before


def test_a_day_read_while_it_still_ran_is_read_again(online: Broadsheet, today_replay: Replay) -> None:
    for _ in range(2):
        (day,) = online.json("backfill", "daily-papers", "--from", "today", "--to", "today")["days"]
        assert day["state"] == "done"


def test_a_backfill_stops_when_the_source_is_down_rather_than_the_day(online: Broadsheet, today_replay: Replay) -> None:
    today_replay.is_down("/hf")
    said = online("backfill", "daily-papers", "--from", TODAY - timedelta(days=20), "--to", "yesterday", code=1)
    assert "5 days in a row failed" in said.err
    assert "the same command goes on" in said.err


def test_a_source_without_a_past_cannot_be_backfilled(online: Broadsheet, today_replay: Replay) -> None:
    online("feeds", "add", today_replay.urls()["BLOG_FEED_URL"], "--name", "blog", code=0)
    said = online("backfill", "blog", "--from", "2026-11-01", code=1)
    assert "no past" in said.err
    assert "hf_papers" in said.err


def test_a_replay_parses_kept_documents_again_and_restores_what_was_lost(online: Broadsheet, home: Path) -> None:
    import sqlite3

    ledger = online.json("feeds", "fetch", "daily-papers")
    keys = {p["key"] for p in online.json("papers", "list")}
    unchanged = online.json("replay", "daily-papers")
    assert (unchanged["entries"], unchanged["new"], unchanged["changed"]) == (ledger["seen"], 0, 0)
    with sqlite3.connect(home / "broadsheet.db") as db:
        for table in ("papers", "identifiers", "statements", "sightings", "links"):
            db.execute(f"DELETE FROM {table}")
    db.close()
    assert online.json("papers", "list") == []
    restored = online.json("replay", "daily-papers")
    assert restored["new"] == len(keys)
    assert {p["key"] for p in online.json("papers", "list")} == keys
    assert online.json("replay", "daily-papers", "--since", TODAY + timedelta(days=1))["documents"] == 0


def test_a_replay_of_imported_files_takes_each_for_what_it_is(broadsheet: Broadsheet) -> None:
    from tests.integration.command import SAMPLES

    broadsheet("import", SAMPLES / "records.jsonl", "--feed", "files")
    broadsheet("import", SAMPLES / "blog.atom", "--feed", "files")
    before = broadsheet.json("papers", "list")
    report = broadsheet.json("replay", "files", code=1)  # some entries are rejected, as they were
    assert (report["documents"], report["new"], report["changed"], report["errors"]) == (2, 0, 0, [])
    assert broadsheet.json("papers", "list") == before


# -- once ------------------------------------------------------------------------------------------------------


def test_run_once_does_all_that_is_due_and_then_nothing(
    online: Broadsheet, today_replay: Replay, quiet_feeds: Path
) -> None:
    quiet_feeds.write_text(quiet_feeds.read_text().replace("paused = true", ""))
    did = online.json("run", "--once")
    assert did["fetches"]["parsed"] >= 3
    assert did["papers"]["new"] == len(online.json("papers", "list")) > 0
    assert did["jobs"].get("dead", 0) == 0
    assert did["dead"] == []
    assert online.json("run", "--once")["jobs"] == {}
    assert "Nothing was due" in online("run", "--once", code=0).out


def test_run_once_ends_with_1_when_something_was_given_up(
    online: Broadsheet, today_replay: Replay, quiet_feeds: Path
) -> None:
    quiet_feeds.write_text('[[feed]]\nname = "gone"\nkind = "rss"\ntitle = "Gone"\n'
                           f'url = "{today_replay.base_url}/nowhere.xml"\n')  # fmt: skip
    did = online.json("run", "--once", code=1)
    assert did["jobs"] == {"dead": 1, "done": did["jobs"]["done"]}
    assert "404" in did["dead"][0]["error"]
    failed = online.json("runs", "list", "--failed")
    assert [(r["kind"], r["state"]) for r in failed] == [("fetch_feed", "dead")]
    said = online("runs", "list", "--failed", code=0).out
    assert "404" in said
    assert "Came right" in said
    told = said + online("runs", "show", failed[0]["id"], code=0).out
    assert (told.count("given up"), "dead" in told) == (3, False)
    counted = {"cause": failed[0]["signature"], "step": "dry_run", "given_up": [failed[0]["id"]], "retried": []}
    assert online.json("runs", "redrive", failed[0]["signature"]) == counted
    assert online.json("runs", "redrive", str(failed[0]["id"])) == counted
    for unheard_of in ("unheard of", "404", "9" * 20):
        assert "runs list" in online("runs", "redrive", unheard_of, code=1).err
    assert online("runs", "redrive", failed[0]["signature"], "--one", "--force", code=2).err
    shown = online.json("runs", "show", failed[0]["id"])
    assert [t["outcome"] for t in shown["tries"]] == ["dead"]
    dry = online.json("runs", "retry", "--all-failed", "--dry-run")
    assert (dry["retried"], dry["dry_run"]) == ([failed[0]["id"]], True)
    assert online.json("runs", "list", "--failed") == failed
    assert online.json("runs", "retry", failed[0]["id"])["retried"] == [failed[0]["id"]]
    assert online.json("runs", "show", failed[0]["id"])["state"] == "ready"
    done = next(r["id"] for r in online.json("runs", "list") if r["state"] == "done")
    refused = online.json("runs", "retry", done, 4711, code=1)["refused"]
    assert [(r["id"], r["reason"]) for r in refused] == [(done, "it is done"), (4711, "there is no such run")]
