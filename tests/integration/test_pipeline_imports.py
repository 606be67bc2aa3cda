"""Imports: saved files become papers by the same parser and the same store, and a bad one stops no other."""

from __future__ import annotations

import gzip
import json
import lzma
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from services.pipeline.imports import import_file, read_file
from services.runtime import Runtime
from services.storage import archive
from services.storage.tables import Document, Feed, Fetch, Paper, Rejection, Sighting
from tests.conftest import MakeRuntime
from tests.factories import all_rows, dump
from tests.fakes import Clock

SAMPLES = Path(__file__).parents[1] / "upstreams"
ROOT = Path(__file__).parents[2]
CORPORA = Path(os.environ.get("BROADSHEET_CORPORA") or ROOT.parent / "shared" / "corpora")
SEED = CORPORA / "seed"


@pytest.fixture
def rt(make_runtime: MakeRuntime) -> Runtime:
    return make_runtime()


def written(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def listing(*numbers: int) -> bytes:
    items = [
        {"paper": {"id": f"2611.9{n:04d}", "title": f"Lanterns along the shore, part {n}", "summary": "x",
                   "publishedAt": "2026-11-23T00:00:00.000Z", "submittedOnDailyAt": "2026-11-24T00:00:00.000Z"}}
        for n in numbers
    ]  # fmt: skip
    return json.dumps(items).encode()


@pytest.mark.corpora
@pytest.mark.skipif(not SEED.is_dir(), reason=f"no saved listing below {SEED}; set BROADSHEET_CORPORA")
def test_the_seed_listing_brings_its_87_papers_and_nothing_the_second_time(rt: Runtime, clock: Clock) -> None:
    paths = sorted(p for p in SEED.iterdir() if p.is_file())
    first = [import_file(rt, path) for path in paths]
    assert [r.error for r in first] == [None] * len(paths)
    assert {r.kind for r in first} == {"listing"}
    assert sum(r.entries for r in first) == 87
    assert sum(len(r.rejected) for r in first) == 0
    assert len(all_rows(rt, Paper)) == sum(r.new for r in first) == 87
    assert all(r.entries == r.new + r.changed + r.known + len(r.rejected) for r in first)
    clock.advance(hours=1)
    but = ("fetches", "documents")
    before = dump(rt, but=but)
    second = [import_file(rt, path) for path in paths]
    assert [(r.new, r.changed, r.known) for r in second] == [(0, 0, r.entries) for r in first]
    assert dump(rt, but=but) == before
    assert len(all_rows(rt, Fetch)) == len(paths)


def test_a_file_is_kept_filed_and_accounted_for(rt: Runtime, tmp_path: Path) -> None:
    report = import_file(rt, written(tmp_path, "day.json", listing(1, 2, 2)))
    assert (report.kind, report.entries, report.new, report.known, report.error) == ("hf_papers", 3, 2, 1, None)
    (feed,) = all_rows(rt, Feed)
    assert (feed.name, feed.paused) == ("daily-papers", True)
    (fetch,) = all_rows(rt, Fetch)
    assert (fetch.slot, fetch.state, fetch.seen, fetch.new, fetch.url) == ("import", "parsed", 3, 2, "day.json")
    assert len(all_rows(rt, Document)) == 1
    assert {s.day for s in all_rows(rt, Sighting)} == {date(2026, 11, 24)}


def test_the_same_file_by_another_name_changes_nothing(rt: Runtime, tmp_path: Path) -> None:
    import_file(rt, written(tmp_path, "a.json", listing(1, 2)))
    before = dump(rt, but=("fetches",))
    report = import_file(rt, written(tmp_path, "b.json.gz", gzip.compress(listing(1, 2))))
    assert (report.new, report.changed, report.known) == (0, 0, 2)
    assert dump(rt, but=("fetches",)) == before


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_files_are_unpacked_by_what_they_are(rt: Runtime, tmp_path: Path, pack: Any) -> None:
    report = import_file(rt, written(tmp_path, "download", pack(listing(1, 2, 3))))
    assert (report.new, report.error) == (3, None)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("empty.json", b"", "empty"),
        ("blank.txt", b" \n\n", "empty"),
        ("cut.json.gz", gzip.compress(listing(1))[:-9], "damaged or cut short"),
        ("cut.xz", lzma.compress(listing(1))[:-9], "damaged or cut short"),
        ("not.gz", b"\x1f\x8b not at all", "damaged or cut short"),
        ("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(50), ""),
        ("cut.json", listing(1)[:-5], ""),
        ("note.txt", b"Milk, eggs, bread.", ""),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(
    rt: Runtime, tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    report = import_file(rt, written(tmp_path, name, data))
    assert report.error
    assert words in report.error
    assert (report.entries, report.new) == (0, 0)
    assert all_rows(rt, Paper) == []


def test_a_refused_file_does_not_stop_the_next(rt: Runtime, tmp_path: Path) -> None:
    paths = [tmp_path / "missing.json", written(tmp_path, "empty", b""), tmp_path, written(tmp_path, "d", listing(1))]
    reports = [import_file(rt, path) for path in paths]
    assert [bool(r.error) for r in reports] == [True, True, True, False]
    assert "there is no such file" in str(reports[0].error)
    assert "is a folder" in str(reports[2].error)
    assert reports[3].new == 1


def test_entries_that_cannot_be_used_are_named_and_the_others_stored(rt: Runtime, tmp_path: Path) -> None:
    items = json.loads(listing(1, 2))
    body = json.dumps([items[0], {"paper": {"id": "2611.90009"}}, items[1], 7]).encode()
    report = import_file(rt, written(tmp_path, "day.json", body))
    assert (report.entries, report.new, [r.position for r in report.rejected]) == (4, 2, [2, 4])
    assert [r.position for r in all_rows(rt, Rejection)] == [2, 4]


def test_a_date_may_be_given_for_a_listing_that_names_none(rt: Runtime, tmp_path: Path) -> None:
    body = json.dumps([{"paper": {"id": "2611.90001", "title": "Lanterns along the shore, once"}}]).encode()
    import_file(rt, written(tmp_path, "day.json", body), as_of=date(2024, 5, 6))
    assert [s.day for s in all_rows(rt, Sighting)] == [date(2024, 5, 6)]


def test_files_larger_than_a_transaction_are_stored_page_by_page(
    rt: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.pipeline import imports

    monkeypatch.setattr(imports, "PAGE", 4)
    told: list[tuple[int, int]] = []
    report = import_file(rt, written(tmp_path, "day.json", listing(*range(1, 11))), progress=lambda *a: told.append(a))
    assert (report.new, report.entries) == (10, 10)
    assert told == [(4, 10), (8, 10), (10, 10)]


@pytest.mark.parametrize(
    "name",
    ["arxiv_announcement.atom", "arxiv_announcement.rss", "arxiv_api_page.xml", "blog.atom", "blog.json",
     "hf_daily.json", "oai_arxiv.xml", "preprints.rdf", "records.jsonl"],
)  # fmt: skip
def test_every_kind_of_file_is_recognised_and_imported_twice_without_change(
    rt: Runtime, clock: Clock, name: str
) -> None:
    report = import_file(rt, SAMPLES / name)
    assert report.error is None
    assert report.new > 0
    assert report.entries == report.new + report.changed + report.known + len(report.rejected)
    with rt.reading() as session:
        assert archive.count(session) == report.new
    before = dump(rt, but=("fetches",))
    again = import_file(rt, SAMPLES / name)
    assert (again.new, again.changed) == (0, 0)
    assert dump(rt, but=("fetches",)) == before


def test_a_file_is_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.domain.errors import InvalidInput
    from services.pipeline import imports

    monkeypatch.setattr(imports, "MAX_BYTES", 1000)
    bomb = written(tmp_path, "bomb.gz", gzip.compress(b"a" * 100_000))
    with pytest.raises(InvalidInput, match="split it"):
        read_file(bomb)
