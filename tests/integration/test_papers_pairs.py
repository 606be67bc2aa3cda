"""Suspected duplicates and merges, by command and by the operators' pages; and what became of a paper."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.domain.papers import AuthorData
from services.runtime import Runtime
from services.storage.tables import Audit, Duplicate, Merge, Paper
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, arxiv, entry, store
from tests.integration.command import Broadsheet
from tests.integration.web_site import PASSWORD, Site

TITLE = "Sparse lanterns: reading the tide from a shore of lights"
ALIKE = "Sparse Lanterns: Reading the Tide from the Shore of Lights"
PEOPLE = ["Ada Quill", "Bram Osei"]


# -- by command ------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(broadsheet: Broadsheet, tmp_path: Path) -> Broadsheet:
    """Two papers that look like one, a third, and a code link that came later."""
    file = tmp_path / "papers.jsonl"

    def imported(*lines: dict[str, Any]) -> None:
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        broadsheet("import", file, code=0)

    imported(
        {"title": TITLE, "abstract": "A", "identifiers": ["arxiv:2611.90001"], "authors": PEOPLE, "version": 1},
        {"title": ALIKE, "abstract": "A", "identifiers": ["doi:10.1234/lanterns"], "authors": PEOPLE},
        {"title": "Brass weather", "abstract": "B", "identifiers": ["arxiv:2611.90003"], "authors": []},
    )
    imported(
        {"title": TITLE, "abstract": "A", "identifiers": ["arxiv:2611.90001"], "authors": PEOPLE, "version": 2,
         "links": [{"url": "https://github.com/quill/lanterns", "kind": "code", "evidence": "abstract"}]},
    )  # fmt: skip
    return broadsheet


def test_pairs_that_may_be_one_are_listed_with_how_alike_and_why(filled: Broadsheet) -> None:
    (pair,) = filled.json("papers", "duplicates")
    assert {p["key"] for p in pair["papers"]} == {"arxiv:2611.90001", "doi:10.1234/lanterns"}
    assert 0.5 < pair["score"] <= 1
    assert pair["reason"]
    said = filled("papers", "duplicates", code=0).out
    assert f"{pair['score']:.2f}" in said
    assert "--merge" in said
    assert filled.json("papers", "duplicates", "--state", "different") == []


def test_a_pair_is_merged_by_any_spelling_of_its_names_and_taken_apart_again(filled: Broadsheet) -> None:
    done = filled.json("papers", "duplicates", "--merge", "https://doi.org/10.1234/LANTERNS", "2611.90001v2")
    assert (done["kept"], done["merged"]) == ("arxiv:2611.90001", "doi:10.1234/lanterns")
    assert len(filled.json("papers", "list")) == 2
    assert filled.json("papers", "duplicates") == []
    (merge,) = filled.json("papers", "merges")
    assert (merge["id"], merge["merged"], merge["title"]) == (done["merge"], "doi:10.1234/lanterns", ALIKE)
    assert "a person said" in filled("papers", "merges", code=0).out
    apart = filled.json("papers", "unmerge", done["merge"])
    assert set(apart["papers"]) == {"arxiv:2611.90001", "doi:10.1234/lanterns"}
    assert len(filled.json("papers", "list")) == 3
    assert filled.json("papers", "merges")[0]["undone_at"]
    assert "taken back" in filled("papers", "merges", code=0).out
    assert "was undone before" in filled("papers", "unmerge", done["merge"], code=1).err


def test_a_pair_is_dismissed_for_good_and_two_papers_never_flagged_can_be_merged(filled: Broadsheet) -> None:
    said = filled("papers", "duplicates", "--dismiss", "2611.90001", "10.1234/lanterns", code=0).out
    assert "stay two papers" in said
    assert filled.json("papers", "duplicates") == []
    (pair,) = filled.json("papers", "duplicates", "--state", "different")
    assert pair["decided_at"]
    assert filled.json("papers", "duplicates", "--merge", "2611.90001", "2611.90003")["kept"] == "arxiv:2611.90001"


def test_each_decision_is_one_line_of_the_audit(filled: Broadsheet) -> None:
    number = filled.json("papers", "duplicates", "--merge", "2611.90001", "10.1234/lanterns")["merge"]
    filled("papers", "unmerge", number, code=0)
    filled("papers", "duplicates", "--dismiss", "2611.90001", "2611.90003", code=0)
    filled("papers", "duplicates", "--dismiss", "2611.90001", "2611.99999", code=1)
    filled("papers", "duplicates", code=0)
    lines = [(line["act"], line["outcome"]) for line in filled.json("audit") if line["act"].startswith("pair.")]
    assert lines == [
        ("pair.keep_apart", "failed"), ("pair.keep_apart", "done"), ("pair.unmerge", "done"), ("pair.merge", "done"),
    ]  # fmt: skip


def test_what_cannot_be_done_is_refused_and_changes_nothing(filled: Broadsheet) -> None:
    refused: list[tuple[str, int]] = [
        ("duplicates --merge 2611.90001 2611.90001", 1),
        ("duplicates --merge 2611.90001 2611.99999", 1),
        ("duplicates --merge 2611.90001 nonsense", 1),
        ("duplicates --dismiss 2611.90001 2611.90001", 1),
        ("duplicates --merge 2611.90001", 2),
        ("duplicates --merge a b --dismiss a b", 2),
        ("duplicates --state same", 2),
        ("unmerge 77", 1),
        ("events 2611.99999", 1),
    ]
    for arguments, code in refused:
        assert filled("papers", *arguments.split()).code == code, arguments
    assert len(filled.json("papers", "list")) == 3


def test_what_became_of_a_paper_is_listed_in_order(filled: Broadsheet) -> None:
    found = filled.json("papers", "events", "2611.90001")
    assert {event["kind"] for event in found} >= {"code_appeared", "new_version"}
    assert [event["at"] for event in found] == sorted(event["at"] for event in found)
    assert "quill/lanterns" in filled("papers", "events", "2611.90001", code=0).out
    assert filled.json("papers", "events", "2611.90003") == []
    assert "Nothing new was heard" in filled("papers", "events", "2611.90003", code=0).out


def test_empty_archives_say_so(broadsheet: Broadsheet) -> None:
    assert "No pairs wait" in broadsheet("papers", "duplicates", code=0).out
    assert "Nothing was merged" in broadsheet("papers", "merges", code=0).out


# -- by the operators' pages -----------------------------------------------------------------------------------


@pytest.fixture
def site(make_runtime: MakeRuntime, database_url: str) -> Site:
    rt = make_runtime(database_url=database_url, admin_password=PASSWORD)
    feed = add_feed(rt, "daily-papers")
    people = tuple(AuthorData(name=name) for name in PEOPLE)
    year = datetime(2026, 11, 1, tzinfo=UTC)
    store(rt, [entry(1, title=TITLE + " <b>&", authors=people, published_at=year)], feed=feed)
    store(rt, [entry(2, title=ALIKE, authors=people, published_at=year)], feed=feed)
    return Site(rt)


def pair_id(rt: Runtime) -> int:
    (pair,) = all_rows(rt, Duplicate)
    return int(pair.id)


def test_an_operator_sees_a_pair_merges_it_and_takes_it_back(site: Site) -> None:
    site.login()
    page = site.get("/admin/duplicates").text
    assert ALIKE in page
    assert "&lt;b&gt;&amp;" in page
    number = pair_id(site.rt)
    done = site.post(f"/admin/duplicates/{number}/merge", csrf_from="/admin/duplicates")
    assert done.status_code == 303
    assert "are one paper now" in site.get(done.headers["location"]).text
    assert len(all_rows(site.rt, Paper)) == 1
    (merge,) = all_rows(site.rt, Merge)
    page = site.get("/admin/merges").text
    assert "Take back" in page
    assert str(arxiv(2)) in page
    undone = site.post(f"/admin/merges/{merge.id}/undo", csrf_from="/admin/merges")
    assert "is taken back" in site.get(undone.headers["location"]).text
    assert len(all_rows(site.rt, Paper)) == 2
    assert "Take back" not in site.get("/admin/merges").text
    assert [row.act for row in all_rows(site.rt, Audit) if row.act.startswith("pair.")] == [
        "pair.decide", "pair.unmerge",
    ]  # fmt: skip


def test_an_operator_dismisses_a_pair_and_asks_again(site: Site) -> None:
    site.login()
    number = pair_id(site.rt)
    site.post(f"/admin/duplicates/{number}/dismiss", csrf_from="/admin/duplicates")
    assert "wait for a decision" in site.get("/admin/duplicates").text
    kept_apart = site.get("/admin/duplicates?state=different").text
    assert ALIKE in kept_apart
    site.post(f"/admin/duplicates/{number}/reopen", csrf_from="/admin/duplicates?state=different")
    assert [row.state for row in all_rows(site.rt, Duplicate)] == ["open"]


def test_acts_on_pairs_need_the_forms_mark_and_a_pair_that_is_there(site: Site) -> None:
    number = pair_id(site.rt)
    assert site.post(f"/admin/duplicates/{number}/merge").status_code in {303, 401, 403}
    site.login()
    for path in (f"duplicates/{number}/merge", f"duplicates/{number}/dismiss", "merges/1/undo"):
        assert site.post(f"/admin/{path}", {"csrf": "made up"}).status_code == 403
    assert len(all_rows(site.rt, Paper)) == 2
    assert site.post("/admin/duplicates/999/merge", csrf_from="/admin/duplicates").status_code == 404
    assert site.post("/admin/merges/x/undo", csrf_from="/admin/duplicates").status_code == 404
    assert "No two rows" in site.get("/admin/merges").text
