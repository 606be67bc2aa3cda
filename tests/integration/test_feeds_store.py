"""Feeds, their ledger of fetches, and the documents these brought."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from config.catalogue import FeedSpec as Written
from services.domain.errors import InvalidInput, NotFound
from services.domain.papers import Rejected
from services.runtime import Runtime
from services.storage import documents, feeds
from services.storage.tables import Document, Feed, Fetch, Rejection, Validator
from tests.factories import FeedSpec, add_feed, all_rows
from tests.fakes import Clock


def a_fetch(rt: Runtime, feed: Feed, **values: object) -> int:
    row = {"feed_id": feed.id, "slot": "s1", "batch": "", "cursor": "", "state": "fetched", "fetched_at": rt.now()}
    with rt.writing() as session:
        return feeds.record_fetch(session, {**row, **values})


def a_document(rt: Runtime, body: bytes = b"<feed/>") -> int:
    with rt.writing() as session:
        return documents.add(session, body, content_type="application/xml", now=rt.now())


def due(rt: Runtime) -> list[str]:
    with rt.reading() as session:
        return [f.name for f in feeds.list_due(session, now=rt.now())]


def test_a_name_is_taken_once(rt: Runtime) -> None:
    add_feed(rt, "hf")
    with pytest.raises(InvalidInput, match="'hf' already"):
        add_feed(rt, "hf", "rss")


def test_an_unknown_feed_is_answered_with_the_names_there_are(rt: Runtime) -> None:
    with pytest.raises(NotFound, match="none yet"), rt.reading() as session:
        feeds.get(session, "x")
    add_feed(rt, "b")
    add_feed(rt, "a")
    with pytest.raises(NotFound, match="a, b"), rt.reading() as session:
        feeds.get(session, "x")


def test_feeds_are_due_by_their_time_unless_paused_or_retired(rt: Runtime, clock: Clock) -> None:
    for name in ("due", "later", "paused", "retired"):
        add_feed(rt, name, paused=name == "paused")
    with rt.writing() as session:
        feeds.update_feed(session, feeds.get(session, "later").id or 0, next_check_at=rt.now() + timedelta(hours=1))
        feeds.remove(session, feeds.get(session, "retired"))
    assert due(rt) == ["due"]
    clock.advance(hours=1)
    assert due(rt) == ["due", "later"]
    with rt.reading() as session:
        assert [f.name for f in feeds.list_all(session)] == ["due", "later", "paused"]
        assert len(feeds.list_all(session, retired=True)) == 4


def test_only_one_of_two_schedulers_advances_a_feed(rt: Runtime) -> None:
    add_feed(rt, "hf")
    (seen,) = all_rows(rt, Feed)
    with rt.writing() as session:
        assert feeds.advance(session, seen, to=rt.now() + timedelta(hours=1))
    with rt.writing() as session:
        assert not feeds.advance(session, seen, to=rt.now() + timedelta(hours=2))
    assert all_rows(rt, Feed)[0].next_check_at == rt.now() + timedelta(hours=1)


def test_a_fetch_tried_again_has_one_row_and_its_newest_state(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    first = a_fetch(rt, feed, state="failed", error="boom", status=503)
    second = a_fetch(rt, feed, status=200, document_id=a_document(rt))
    assert first == second
    (row,) = all_rows(rt, Fetch)
    assert (row.state, row.status, row.error) == ("fetched", 200, None)
    assert a_fetch(rt, feed, cursor="100") != first
    assert a_fetch(rt, feed, batch="2026-11-24") != first


def test_rejections_are_kept_with_their_fetch_and_not_doubled_by_a_second_parse(rt: Runtime) -> None:
    fetch = a_fetch(rt, add_feed(rt, "hf"))
    refused = [Rejected(reason="no title" * 200, entry="x" * 900, position=3)]
    for _ in range(2):
        with rt.writing() as session:
            feeds.complete_fetch(session, fetch, refused, state="parsed", rejected=1)
    (row,) = all_rows(rt, Rejection)
    assert (row.fetch_id, row.position, len(row.reason), len(row.entry)) == (fetch, 3, 500, 500)


def test_the_same_bytes_are_kept_once_and_come_back_as_they_were(rt: Runtime) -> None:
    body = bytes(range(256)) * 50
    first, second, other = a_document(rt, body), a_document(rt, body), a_document(rt, b"other")
    assert first == second != other
    with rt.reading() as session:
        assert documents.read(session, first) == (body, "application/xml")
    (row, _) = all_rows(rt, Document)
    assert (row.size, len(row.body) < row.size) == (len(body), True)


def test_an_empty_document_can_be_kept(rt: Runtime) -> None:
    document = a_document(rt, b"")
    with rt.reading() as session:
        assert documents.read(session, document)[0] == b""


def test_validators_are_used_only_when_their_document_was_parsed(rt: Runtime) -> None:
    feed, document = add_feed(rt, "hf"), a_document(rt)
    fetch = a_fetch(rt, feed, document_id=document)
    with rt.writing() as session:
        feeds.keep_validators(
            session, "https://x.example/f", etag='"1"', last_modified=None, document_id=document, now=rt.now()
        )
    with rt.reading() as session:
        assert documents.validators(session, "https://x.example/f") is None
    with rt.writing() as session:
        feeds.complete_fetch(session, fetch, [], state="parsed")
    with rt.reading() as session:
        kept = documents.validators(session, "https://x.example/f")
        assert kept is not None
        assert kept.etag == '"1"'
    with rt.writing() as session:
        feeds.complete_fetch(session, fetch, [], state="failed")
    with rt.reading() as session:
        assert documents.validators(session, "https://x.example/f") is None


def test_an_answer_without_validators_leaves_none(rt: Runtime) -> None:
    with rt.writing() as session:
        feeds.keep_validators(session, "u", etag=None, last_modified=None, document_id=1, now=rt.now())
    assert all_rows(rt, Validator) == []


def test_old_documents_are_pruned_but_not_those_still_to_be_parsed(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "hf")
    parsed, waiting = a_document(rt, b"parsed"), a_document(rt, b"waiting")
    a_fetch(rt, feed, slot="1", state="parsed", document_id=parsed)
    a_fetch(rt, feed, slot="2", document_id=waiting)
    with rt.writing() as session:
        feeds.keep_validators(session, "u", etag="1", last_modified=None, document_id=parsed, now=rt.now())
    clock.advance(days=91)
    fresh = a_document(rt, b"fresh")
    with rt.writing() as session:
        assert documents.prune(session, before=rt.now() - timedelta(days=90)) == 1
    assert {d.id for d in all_rows(rt, Document)} == {waiting, fresh}
    assert all_rows(rt, Validator) == []  # a 304 would repeat what is gone
    with pytest.raises(NotFound, match="DOCUMENTS_KEEP_DAYS"), rt.reading() as session:
        documents.read(session, parsed)


def test_imported_files_are_filed_under_a_feed_that_is_never_polled(rt: Runtime) -> None:
    for _ in range(2):
        with rt.writing() as session:
            feed = feeds.ensure_import_feed(session, name="import-rss", kind="rss", now=rt.now())
    assert feed.paused
    assert len(all_rows(rt, Feed)) == 1
    assert due(rt) == []


def test_a_catalogue_written_as_such_has_the_shape_storage_takes(rt: Runtime) -> None:
    written = Written(name="hf", kind="hf_papers", title="HF", params={"view": "daily"})
    with rt.writing() as session:
        feeds.sync_catalogue(session, [written], now=rt.now())
    (row,) = all_rows(rt, Feed)
    assert (row.name, row.origin, row.params) == ("hf", "catalogue", {"view": "daily"})
    assert FeedSpec(name="x").history_days == row.history_days


def test_papers_are_counted_by_day(rt: Runtime) -> None:
    from tests.factories import entry, store

    feed = add_feed(rt, "hf")
    store(rt, [entry(n, announced_on=date(2026, 11, 20 + n % 2)) for n in range(1, 6)], feed=feed)
    with rt.reading() as session:
        found = feeds.papers_by_day(session, feed.id or 0, since=date(2026, 11, 1))
        assert found == {date(2026, 11, 21): 3, date(2026, 11, 20): 2}
        assert feeds.papers_by_day(session, feed.id or 0, since=date(2026, 11, 21)) == {date(2026, 11, 21): 3}
