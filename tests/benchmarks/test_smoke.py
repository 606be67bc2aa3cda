"""The benchmarks run, and their output has the form scripts rely on. Nothing is said here of how fast we are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.storage import search_index
from tests.benchmarks import bench_store, pages, places, reference_store
from tests.benchmarks.__main__ import main
from tests.benchmarks.harness import Result, allowance, ratio_of
from tests.benchmarks.svg import curve


def test_cheap_benchmarks_run_and_write_their_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.json"
    assert main(["--quick", "--only", "poll", "--only", "match", "--json", str(file)]) in (0, 1)
    results = json.loads(file.read_text())
    assert {"name", "ratio", "target", "reference", "spread", "ok"} <= set(results[0])
    assert all(one["ok"] == (one["ratio"] >= one["target"]) for one in results)
    assert results[0] | {"note": ""} == {
        "name": "idle poll: requests", "ratio": 1.0, "target": 1.0, "reference": "1 conditional GET", "spread": 0.0,
        "ok": True, "note": "",
    }  # fmt: skip
    assert "idle poll" in capsys.readouterr().out


def test_the_ratio_is_the_median_of_the_rounds_and_the_spread_that_of_its_quartiles() -> None:
    ratio, spread = ratio_of([1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert ratio == 3.0
    assert spread == pytest.approx(2 / 3)


def test_an_allowance_is_kept_as_long_as_no_more_is_used() -> None:
    assert allowance("a", used=2, allowed=2, what="two").ok
    assert not allowance("a", used=2.1, allowed=2, what="two").ok
    assert Result(name="a", ratio=0.59, target=0.6, reference="r", spread=0).ok is False


def test_the_same_seed_draws_the_same_papers_and_other_places_have_other_ids() -> None:
    assert pages.records(20) == pages.records(20)
    assert not {one.id for one in pages.records(50)} & {one.id for one in pages.records(50, start=50)}


def test_the_script_beside_the_store_writes_the_very_same_rows() -> None:
    entries = bench_store.parsed(pages.records(40))
    written = []
    with places.sqlite() as make:
        for write in (bench_store.store, bench_store.write_by_hand):
            engine = make()
            write(engine, entries, bench_store.add_feed(engine))
            # Ids that nothing refers to are counted in the order of writing, which is free.
            counted = {one.table for one in reference_store.capture(engine)} - {"papers", "repos", search_index.TABLE}
            written.append({
                one.table: sorted(str(row[one.table in counted :]) for row in one.rows)
                for one in reference_store.capture(engine)
            })  # fmt: skip
    assert written[0] == written[1]
    assert len(written[0]["papers"]) == 40
    assert written[0]["links"]


def test_a_curve_is_drawn_from_its_points() -> None:
    assert 'points="320,' in curve("growth", [(1_000, 50.0), (2_000, 40.0)])
