"""Parsing: bytes become papers and a completed ledger row, in one transaction, again and again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlmodel import Session

from services.domain.feeds import DocumentInfo
from services.domain.jobs import NewJob
from services.domain.papers import PaperData
from services.pipeline import drain, parse
from services.pipeline.fetch import page_job
from services.runtime import Runtime
from services.storage import documents, feeds, papers
from services.storage.tables import Feed, Fetch, Job, Paper, Rejection, Repo, Sighting
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, dump
from tests.fakes import Clock
from workers.demo.replay import Replay


@pytest.fixture
def rt(make_runtime: MakeRuntime) -> Runtime:
    return make_runtime()


def item(number: int, **paper: object) -> dict[str, object]:
    """One entry of the Daily Papers, as small as it can be."""
    return {
        "paper": {
            "id": f"2611.9{number:04d}", "title": f"Lanterns along the shore, part {number}", "summary": "A summary.",
            "authors": [{"name": "Ada Quill"}], "publishedAt": "2026-11-23T00:00:00.000Z", "upvotes": 3, **paper,
        },
        "numComments": 0,
    }  # fmt: skip


def parsed(rt: Runtime, body: bytes, *, feed: Feed | None = None, slot: str = "s1", batch: str = "2026-11-24") -> Fetch:
    """Keep `body` as fetched, parse it by its job, return the ledger row."""
    feed = feed or add_feed(rt, "hf")
    with rt.writing() as session:
        document = documents.add(session, body, content_type="application/json", now=rt.now())
        fetch = feeds.record_fetch(
            session,
            {"feed_id": feed.id, "slot": slot, "batch": batch, "cursor": "", "state": "fetched",
             "document_id": document, "fetched_at": rt.now()},
        )  # fmt: skip
    rt.add_jobs([NewJob(kind="parse_document", key=f"fetch {fetch}", payload={"fetch_id": fetch})])
    drain.run_until_idle(rt, stages=["parse"], ticking=False)
    (row,) = all_rows(rt, Fetch, id=fetch)
    assert isinstance(row, Fetch)
    return row


def page(*items: object) -> bytes:
    return json.dumps(items).encode()


def test_every_entry_of_a_page_is_accounted_for(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    parsed(rt, page(item(1), item(2)), feed=feed)
    body = page(item(1), item(2, title="Lanterns along the shore, revised"), item(3), item(3), {"paper": {}}, "junk")
    row = parsed(rt, body, feed=feed, slot="s2")
    assert (row.seen, row.new, row.changed, row.known, row.rejected) == (6, 1, 1, 2, 2)
    assert row.seen == row.new + row.changed + row.known + row.rejected
    refused = all_rows(rt, Rejection, fetch_id=row.id)
    assert [r.position for r in refused] == [5, 6]
    assert all(r.reason for r in refused)


def test_papers_are_seen_on_the_day_that_was_asked_for(rt: Runtime) -> None:
    parsed(rt, page(item(1)))
    assert [s.day for s in all_rows(rt, Sighting)] == [date(2026, 11, 24)]


def test_an_empty_page_is_quiet_not_failed(rt: Runtime) -> None:
    row = parsed(rt, page())
    assert (row.state, row.seen, row.error) == ("parsed", 0, None)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"error":"overloaded"}', b"<html>", b"[1,", b"\xff\xfe\x00"])
def test_what_is_not_a_listing_fails_the_fetch_at_once_and_writes_no_paper(rt: Runtime, body: bytes) -> None:
    row = parsed(rt, body)
    assert row.state == "failed"
    assert row.error
    assert all_rows(rt, Paper) == []
    assert all_rows(rt, Job)[0].state == "dead"
    assert all_rows(rt, Feed)[0].failures == 1


def test_parsing_the_same_document_again_changes_nothing_but_the_ledger(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "hf")
    body = page(item(1, githubRepo="https://github.com/quill/lanterns"), item(2))
    parsed(rt, body, feed=feed)
    but = ("fetches", "batches", "jobs", "attempts")
    before = dump(rt, but=but)
    clock.advance(minutes=5)
    row = parsed(rt, body, feed=feed, slot="s2")
    assert (row.new, row.changed, row.known) == (0, 0, 2)
    assert dump(rt, but=but) == before
    assert len(all_rows(rt, Job, kind="enrich_repos")) == 1


def test_new_repositories_are_read_in_batches_of_fifty(rt: Runtime) -> None:
    items = [item(n, githubRepo=f"https://github.com/quill/lantern-{n}") for n in range(1, 71)]
    parsed(rt, page(*items))
    jobs = all_rows(rt, Job, kind="enrich_repos")
    assert sorted(len(j.payload["repo_ids"]) for j in jobs) == [20, 50]
    assert sorted(i for j in jobs for i in j.payload["repo_ids"]) == [r.id for r in all_rows(rt, Repo)]


def test_a_parser_that_breaks_is_tried_a_few_times_and_then_given_up_by_name(
    rt: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.upstreams import kinds

    def breaks(*_: object) -> object:
        raise KeyError("a bug")

    broken = type(kinds.for_kind("hf_papers"))(
        kind="hf_papers",
        title="",
        request=kinds.for_kind("hf_papers").request,
        parse=breaks,  # type: ignore[arg-type]
    )
    monkeypatch.setattr("services.pipeline.parse.kinds.for_kind", lambda _: broken)
    row = parsed(rt, page(item(1)))
    for _ in range(2):
        assert row.state == "fetched"  # it may be a passing trouble
        clock.advance(hours=2)
        drain.run_until_idle(rt, stages=["parse"], ticking=False)
        (row,) = all_rows(rt, Fetch)
    (job,) = all_rows(rt, Job)
    assert (job.state, job.attempts) == ("dead", 3)
    assert "KeyError" in (job.last_error or "")
    assert (row.state, "a bug" in (row.error or "")) == ("failed", True)


def test_a_document_no_longer_kept_fails_its_fetch(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    with rt.writing() as session:
        fetch = feeds.record_fetch(
            session,
            {"feed_id": feed.id, "slot": "s", "batch": "", "cursor": "", "state": "fetched", "document_id": 99,
             "fetched_at": rt.now()},
        )  # fmt: skip
    rt.add_jobs([NewJob(kind="parse_document", key=f"fetch {fetch}", payload={"fetch_id": fetch})])
    assert drain.run_until_idle(rt, stages=["parse"], ticking=False) == {"dead": 1}
    assert all_rows(rt, Fetch)[0].state == "failed"


def test_the_whole_walk_from_all_sources_makes_each_paper_once(make_runtime: MakeRuntime, replay: Replay) -> None:
    rt = make_runtime(replay=replay, github_token="t")
    for name, kind, params in (
        ("daily-papers", "hf_papers", {}),
        ("arxiv-cs-cl", "arxiv_api", {"query": "cat:cs.CL"}),
        ("arxiv-cs-lg-rss", "arxiv_rss", {"category": "cs.LG"}),
        ("arxiv-oai", "arxiv_oai", {"set": "cs"}),
    ):
        add_feed(rt, name, kind, params=params, history_days=8)
    add_feed(rt, "northlake-blog", "rss", url=f"{replay.base_url}/blog/feed.xml")
    add_feed(rt, "northlake-json", "rss", url=f"{replay.base_url}/blog/feed.json")
    outcomes = drain.run_until_idle(rt)
    assert set(outcomes) == {"done"}
    assert {f.state for f in all_rows(rt, Fetch)} == {"parsed"}
    assert sum(f.rejected for f in all_rows(rt, Fetch)) == 0
    papers = {p.key for p in all_rows(rt, Paper)}
    announced = set().union(*replay.announced().values())
    arxiv_ids = {a for a in announced if not a.startswith("http")}
    assert {k.removeprefix("arxiv:") for k in papers if k.startswith("arxiv:")} == arxiv_ids
    assert len(papers) == len(announced)


def test_the_day_of_a_document() -> None:
    about = DocumentInfo(feed="x", kind="hf_papers", fetched_at=datetime(2026, 11, 25, 1, tzinfo=UTC))
    assert parse.day_of(about) == date(2026, 11, 25)
    assert parse.day_of(_with(about, batch="2026-11-24")) == date(2026, 11, 24)
    assert parse.day_of(_with(about, batch="2026-11")) == date(2026, 11, 25)
    assert parse.day_of(_with(about, as_of=date(2024, 1, 2))) == date(2024, 1, 2)


def _with(about: DocumentInfo, **changes: object) -> DocumentInfo:
    from dataclasses import replace

    return replace(about, **changes)  # type: ignore[arg-type]


def test_every_feed_of_the_wild_is_a_voice_of_its_own() -> None:
    when = datetime(2026, 11, 25, tzinfo=UTC)
    for kind, source in (("rss", "rss:n"), ("arxiv_api", "arxiv_api"), ("hf_papers", "hf_papers")):
        assert parse.source_of(Feed(name="n", kind=kind, title="", next_check_at=when, created_at=when)) == source


def test_page_jobs_are_named_by_feed_slot_batch_and_cursor() -> None:
    assert page_job(1, "hf", slot="s", batch="2026-11-24", cursor="2").key == "hf s 2026-11-24 2"
    assert page_job(1, "hf", slot="s").key == "hf s"


def test_an_entry_the_database_refuses_is_rejected_and_the_page_goes_on(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parsers let no such entry through that we know of: here a store refuses one."""
    real = papers.store_page

    def refusing(session: Session, entries: Sequence[PaperData], **about: Any) -> papers.Stored:
        done = real(session, entries, **about)
        if any(entry.title.endswith("part 2") for entry in entries):
            raise OverflowError("int too large to convert")
        return done

    monkeypatch.setattr(papers, "store_page", refusing)
    row = parsed(rt, page(item(1), item(2), item(3)))
    assert (row.state, row.seen, row.new, row.rejected) == ("parsed", 3, 2, 1)
    (refused,) = all_rows(rt, Rejection, fetch_id=row.id)
    assert (refused.position, refused.reason) == (2, "the database refuses it: int too large to convert")
    assert {paper.key for paper in all_rows(rt, Paper)} == {"arxiv:2611.90001", "arxiv:2611.90003"}
    (job,) = all_rows(rt, Job, kind="parse_document")
    assert (job.state, job.attempts) == ("done", 1)
