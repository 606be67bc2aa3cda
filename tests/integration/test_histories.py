"""Histories: each listing of a paper names the fetch that brought it, however many there are."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete

from services.runtime import Runtime
from services.storage import feeds, histories
from services.storage.tables import Paper, Sighting
from tests.factories import DAY, add_feed, all_rows, asked_of, entry, store


def test_a_listing_names_its_own_days_fetch_or_the_last_before_it(rt: Runtime) -> None:
    feed = add_feed(rt, "daily-papers")
    assert feed.id is not None
    store(rt, [entry(1)], feed=feed)
    now = rt.now()
    with rt.writing() as session:
        for number, (batch, hours) in enumerate([("2026-11-20", 5), ("2026-11-21", 4), ("", 2), ("2026-11-22", -1)]):
            feeds.record_fetch(
                session,
                {"feed_id": feed.id, "slot": f"s{number}", "batch": batch, "cursor": "", "state": "parsed",
                 "status": 200 if batch else None, "url": f"https://papers.example/{number}",
                 "fetched_at": now - timedelta(hours=hours)},
            )  # fmt: skip
        session.execute(delete(Sighting))
        (paper,) = all_rows(rt, Paper)
        for day in (20, 21, 22):
            seen = now - timedelta(hours=1) if day == 22 else now - timedelta(hours=3)
            session.add(Sighting(paper_id=paper.id, feed_id=feed.id, day=DAY.replace(day=day), seen_at=seen))
        early = now - timedelta(hours=9)
        session.add(Sighting(paper_id=paper.id, feed_id=feed.id, day=DAY.replace(day=19), seen_at=early, rank=3))
    with rt.reading() as session, asked_of(rt, "SELECT sightings") as asked:
        listed = [line for line in histories.of_paper(session, paper.id or 0) if line.kind == "listed"]
    assert len(asked) == 1
    brought = {
        line.words.removeprefix("listed by daily-papers for "): line.about.partition(" from ")[2] for line in listed
    }
    assert brought == {
        "2026-11-19 at rank 3": "",  # nothing is on record from before it
        "2026-11-20": "https://papers.example/0, HTTP 200",
        "2026-11-21": "https://papers.example/1, HTTP 200",
        "2026-11-22": "https://papers.example/2",  # its own day was fetched afterwards
    }
    assert {line.href for line in listed} == {"/admin/feeds/daily-papers"}
