"""Fetching: what each kind of answer means for the ledger, the feed and the next time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import text

from services.pipeline import drain
from services.pipeline.fetch import page_job
from services.runtime import Runtime
from services.storage import feeds
from services.storage.tables import Attempt, Document, Feed, Fetch, Job, Paper, Validator
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows
from tests.fakes import Clock
from workers.demo.replay import Replay


@pytest.fixture
def rt(make_runtime: MakeRuntime, replay: Replay) -> Runtime:
    return make_runtime(replay=replay, retry_first_s=60)


def blog(rt: Runtime, replay: Replay, path: str = "/blog/feed.xml", **changes: object) -> Feed:
    return add_feed(rt, "blog", "rss", url=f"{replay.base_url}{path}", **changes)


def drained(rt: Runtime, stages: Sequence[str] = ("fetch", "parse")) -> dict[str, int]:
    return drain.run_until_idle(rt, stages=stages, ticking=False)


def fetched(rt: Runtime, feed: Feed, *, slot: str = "s1", batch: str = "", cursor: str = "") -> Fetch:
    """Fetch one page (and parse it) and return its ledger row."""
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot=slot, batch=batch, cursor=cursor)])
    drained(rt)
    (row,) = all_rows(rt, Fetch, slot=slot, batch=batch, cursor=cursor)
    assert isinstance(row, Fetch)
    return row


def feed_row(rt: Runtime) -> Feed:
    (row,) = all_rows(rt, Feed)
    assert isinstance(row, Feed)
    return row


def test_a_200_is_kept_parsed_and_accounted_for(rt: Runtime, replay: Replay) -> None:
    row = fetched(rt, blog(rt, replay))
    posts = len(replay.content.blog.posts)
    assert (row.state, row.status, row.error) == ("parsed", 200, None)
    assert (row.seen, row.new, row.changed, row.known, row.rejected) == (posts, posts, 0, 0, 0)
    assert row.url == f"{replay.base_url}/blog/feed.xml"
    assert row.fetched_at == row.parsed_at == rt.now()
    assert len(all_rows(rt, Document)) == 1
    assert len(all_rows(rt, Paper)) == posts
    feed = feed_row(rt)
    assert (feed.failures, feed.last_error, feed.last_success_at) == (0, None, rt.now())


def test_the_key_in_an_address_is_used_and_is_nowhere_to_be_seen(
    make_runtime: MakeRuntime, database_url: str, replay: Replay
) -> None:
    rt = make_runtime(replay=replay, retry_first_s=60, database_url=database_url)
    one, other = (
        add_feed(rt, name, "rss", url=f"{replay.base_url}/blog/feed.xml?api_key={name}-hush&n=1") for name in ("a", "b")
    )
    rows = [fetched(rt, feed, slot=slot) for slot, feed in (("s1", one), ("s2", one), ("s3", other))]
    assert [row.status for row in rows] == [200, 304, 200], "another key may open another page"
    assert [target for target in replay.requests if "a-hush" in target.path]
    assert [feed.url.partition("?")[2] for feed in all_rows(rt, Feed)] == ["api_key=a-hush&n=1", "api_key=b-hush&n=1"]
    assert rows[0].url == rows[1].url != rows[2].url
    assert all(row.url.startswith(f"{replay.base_url}/blog/feed.xml?api_key=***&n=1#") for row in rows)
    with rt.reading() as session:
        kept = [
            str(session.execute(text(f"SELECT * FROM {name}")).all()) for name in ("feeds", "fetches", "validators")
        ]
    assert "hush" not in "".join(kept)
    assert kept[0].count("sealed:") == 2


def test_a_304_repeats_what_is_known_and_fetches_nothing(rt: Runtime, replay: Replay) -> None:
    feed = blog(rt, replay)
    first = fetched(rt, feed)
    second = fetched(rt, feed, slot="s2")
    assert replay.conditional_hits("/blog") == 1
    assert (second.state, second.status, second.document_id) == ("parsed", 304, first.document_id)
    assert (second.seen, second.new, second.known, second.rejected) == (first.seen, 0, first.seen, 0)
    assert len(all_rows(rt, Job, kind="parse_document")) == 1
    assert len(all_rows(rt, Document)) == 1


def test_a_304_is_only_asked_for_once_the_document_was_parsed(rt: Runtime, replay: Replay) -> None:
    feed = blog(rt, replay)
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot="s1")])
    drained(rt, ["fetch"])  # fetched, and the worker stops here
    assert len(all_rows(rt, Validator)) == 1
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot="s2")])
    drained(rt, ["fetch"])
    assert replay.conditional_hits() == 0
    drained(rt)
    fetched(rt, feed, slot="s3")
    assert replay.conditional_hits() == 1


def test_a_document_that_cannot_be_parsed_fails_its_fetch_and_the_next_is_unconditional(
    rt: Runtime, replay: Replay
) -> None:
    feed = blog(rt, replay)
    html = b"<!doctype html><title>Log in</title><p>Please log in to go on."
    replay.fail_next("/blog", 200, headers={"ETag": '"wall"', "Content-Type": "text/html"}, body=html)
    row = fetched(rt, feed)
    assert row.state == "failed"
    assert row.error
    assert (row.seen, row.new) == (0, 0)
    assert feed_row(rt).failures == 1
    (job,) = all_rows(rt, Job, kind="parse_document")
    assert (job.state, job.attempts) == ("dead", 1)  # the same bytes will not become better
    again = fetched(rt, feed, slot="s2")
    assert "if-none-match" not in replay.requests[-1].headers
    assert (again.state, again.status) == ("parsed", 200)
    assert feed_row(rt).failures == 0


def test_a_429_makes_the_job_wait_as_long_as_was_asked_and_is_no_failure(
    rt: Runtime, replay: Replay, clock: Clock
) -> None:
    feed = blog(rt, replay)
    replay.fail_next("/blog", 429, headers={"Retry-After": "600"})
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot="s1")])
    assert drained(rt) == {"waited": 1}
    assert all_rows(rt, Fetch) == []
    (job,) = all_rows(rt, Job)
    assert timedelta(seconds=600) <= job.due_at - rt.now() <= timedelta(seconds=660)
    assert (job.state, job.attempts, job.spared) == ("ready", 1, 1)
    assert feed_row(rt).failures == 0
    clock.advance(to=job.due_at)
    assert drained(rt) == {"done": 2}
    assert all_rows(rt, Fetch)[0].state == "parsed"
    assert [a.outcome for a in all_rows(rt, Attempt, job_id=job.id)] == ["waited", "done"]


def test_a_host_may_ask_for_patience_for_ever_without_the_job_being_given_up(
    rt: Runtime, replay: Replay, clock: Clock
) -> None:
    feed = blog(rt, replay)
    replay.is_down("/blog", 429)
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot="s1")])
    for _ in range(20):
        drained(rt)
        clock.advance(to=all_rows(rt, Job)[0].due_at)
    replay.is_up("/blog")
    clock.advance(hours=1)
    assert drained(rt) == {"done": 2}


def test_waiting_for_a_host_does_not_hide_why_a_feed_fails(rt: Runtime, replay: Replay, clock: Clock) -> None:
    feed = blog(rt, replay)
    replay.fail_next("/blog", 503)
    fetched(rt, feed)
    replay.fail_next("/blog", 429, headers={"Retry-After": "600"})
    clock.advance(to=all_rows(rt, Job)[0].due_at)
    assert drained(rt) == {"waited": 1}
    assert (feed_row(rt).failures, "503" in str(feed_row(rt).last_error)) == (1, True)


def test_a_503_is_tried_again_and_told_in_the_ledger_meanwhile(rt: Runtime, replay: Replay, clock: Clock) -> None:
    feed = blog(rt, replay)
    replay.fail_next("/blog", 503, headers={"Content-Type": "text/html"}, body=b"<h1>Backend fetch failed</h1>")
    row = fetched(rt, feed)
    assert (row.state, row.status) == ("failed", 503)
    (job,) = all_rows(rt, Job)
    assert job.state == "ready"
    assert timedelta(seconds=30) <= job.due_at - rt.now() <= timedelta(seconds=60)
    assert (feed_row(rt).failures, "503" in str(feed_row(rt).last_error)) == (1, True)
    clock.advance(to=job.due_at)
    drained(rt)
    (row,) = all_rows(rt, Fetch)
    assert (row.state, row.status, row.error) == ("parsed", 200, None)
    assert feed_row(rt).failures == 0


def test_a_host_that_stays_down_is_given_up_and_asked_again_at_its_next_slot(
    rt: Runtime, replay: Replay, clock: Clock
) -> None:
    feed = blog(rt, replay)
    replay.is_down("/blog")
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot="s1")])
    for _ in range(8):
        drained(rt)
        clock.advance(to=max(all_rows(rt, Job)[0].due_at, rt.now()))
    (job,) = all_rows(rt, Job)
    assert (job.state, job.attempts) == ("dead", 8)
    assert not feed_row(rt).retired
    replay.is_up("/blog")
    assert fetched(rt, feed, slot="s2").state == "parsed"


@pytest.mark.parametrize("trouble", ["drop", "truncate"])
def test_a_connection_that_breaks_is_tried_again_within_the_fetch(rt: Runtime, replay: Replay, trouble: str) -> None:
    getattr(replay, f"{trouble}_next")("/blog")
    assert fetched(rt, blog(rt, replay)).state == "parsed"
    assert all_rows(rt, Attempt)[0].outcome == "done"
    assert replay.count("/blog") == 2


def test_a_410_retires_the_feed_and_keeps_its_history(rt: Runtime, replay: Replay) -> None:
    feed = blog(rt, replay)
    fetched(rt, feed)
    replay.fail_next("/blog", 410)
    row = fetched(rt, feed, slot="s2")
    assert (row.state, row.status) == ("failed", 410)
    assert feed_row(rt).retired
    assert all_rows(rt, Job, key="blog s2")[0].state == "dead"
    assert len(all_rows(rt, Paper)) == len(replay.content.blog.posts)
    with rt.reading() as session:
        assert feeds.list_due(session, now=rt.now()) == []


def test_a_404_fails_at_once_but_does_not_retire_the_feed(rt: Runtime, replay: Replay) -> None:
    row = fetched(rt, blog(rt, replay, "/blog/elsewhere.xml"))
    assert (row.state, row.status) == ("failed", 404)
    assert all_rows(rt, Job)[0].state == "dead"
    assert not feed_row(rt).retired


def test_a_301_is_followed_and_remembered_a_302_only_followed(rt: Runtime, replay: Replay) -> None:
    feed = blog(rt, replay, "/blog/old.xml")
    there = {"Location": f"{replay.base_url}/blog/feed.xml"}
    replay.fail_next("/blog/old.xml", 302, headers=there)
    assert fetched(rt, feed).state == "parsed"
    assert feed_row(rt).url.endswith("/blog/old.xml")
    replay.fail_next("/blog/old.xml", 301, headers=there)
    assert fetched(rt, feed, slot="s2").state == "parsed"
    assert feed_row(rt).url == there["Location"]
    fetched(rt, feed_row(rt), slot="s3")
    assert replay.count("/blog/old.xml") == 2


def test_a_feed_says_how_long_its_answer_keeps(rt: Runtime, replay: Replay) -> None:
    """The replayed blog sends max-age=300: a feed of every minute is left alone for five."""
    feed = blog(rt, replay, interval_minutes=1)
    fetched(rt, feed)
    assert feed_row(rt).next_check_at >= rt.now() + timedelta(minutes=5)


def test_pages_follow_one_another_to_the_end(rt: Runtime, replay: Replay) -> None:
    feed = add_feed(rt, "api", "arxiv_api", params={"query": "cat:cs.CL", "page_size": "4"})
    announced = replay.announced()["arxiv-cs-cl"]
    assert len(announced) > 4
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot="s1")])
    drained(rt)
    pages = all_rows(rt, Fetch)
    assert len(pages) == -(-len(announced) // 4)
    assert {p.state for p in pages} == {"parsed"}
    assert {p.announced for p in pages} == {len(announced)}
    assert sum(p.seen for p in pages) == len(announced)
    assert [p.next_cursor is None for p in pages] == [False] * (len(pages) - 1) + [True]
    assert {p.key.removeprefix("arxiv:") for p in all_rows(rt, Paper)} == announced


def test_a_304_in_the_middle_of_pages_goes_on_to_the_next(rt: Runtime, replay: Replay) -> None:
    feed = add_feed(rt, "hf", params={"limit": "2"})
    day = replay.content.days[-1]
    featured = len(replay.content.featured_on(day))
    pages = featured // 2 + 1  # a full page may have another behind it
    for slot in ("s1", "s2"):
        rt.add_jobs([page_job(feed.id or 0, feed.name, slot=slot, batch=day.isoformat())])
        drained(rt)
        assert len(all_rows(rt, Fetch, slot=slot)) == pages
        assert sum(p.seen for p in all_rows(rt, Fetch, slot=slot)) == featured
    assert {p.status for p in all_rows(rt, Fetch, slot="s2")} == {304}


def test_a_page_of_a_slot_is_fetched_once_whoever_asks(rt: Runtime, replay: Replay) -> None:
    feed = blog(rt, replay)
    for _ in range(3):
        rt.add_jobs([page_job(feed.id or 0, feed.name, slot="s1")])
        drained(rt)
    assert replay.count("/blog") == 1


def test_a_feed_removed_meanwhile_is_not_fetched(rt: Runtime, replay: Replay) -> None:
    feed = blog(rt, replay)
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot="s1"), page_job(999, "ghost", slot="s1")])
    with rt.writing() as session:
        feeds.remove(session, feed)
    assert drained(rt) == {"done": 2}
    assert replay.requests == []


def test_nothing_is_kept_of_a_fetch_that_lost_its_lease(rt: Runtime, replay: Replay, clock: Clock) -> None:
    """It took so long that another worker took over: the late answer is thrown away."""
    feed = blog(rt, replay)
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot="s1")])
    claim = drain.claim_next(rt)
    assert claim is not None
    clock.advance(seconds=rt.settings.lease_s + 1)
    other = drain.claim_next(rt)
    assert other is not None
    assert drain.run_job(rt, claim) == "lost"
    assert all_rows(rt, Fetch) == all_rows(rt, Document) == all_rows(rt, Validator) == []
    assert drain.run_job(rt, other) == "done"
    assert len(all_rows(rt, Fetch)) == 1


def test_a_private_address_is_refused_unless_it_is_allowed(make_runtime: MakeRuntime, replay: Replay) -> None:
    rt = make_runtime(replay=replay, allowed_private_hosts="")
    row = fetched(rt, blog(rt, replay))
    assert row.state == "failed"
    assert replay.requests == []
