"""The commands that export papers, try a query, and read bounces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.command import Broadsheet
from tests.unit.domain.test_bounces import dsn, recipient

LINES = [
    {"title": "Tidal lanterns", "abstract": "Lanterns", "identifiers": ["arxiv:2611.90001"], "authors": ["Ada Quill"]},
    {"title": "Lanterns, a survey", "abstract": "Many", "identifiers": ["arxiv:2611.90002"], "authors": ["Bram Osei"]},
    {"title": "=Brass weather", "abstract": "None", "identifiers": ["arxiv:2611.90003"], "authors": []},
]


@pytest.fixture
def filled(broadsheet: Broadsheet, tmp_path: Path) -> Broadsheet:
    file = tmp_path / "papers.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    assert broadsheet("import", str(file)).code == 0
    return broadsheet


def test_papers_are_exported_to_stdout_or_a_file(filled: Broadsheet, tmp_path: Path) -> None:
    written = filled("papers", "export", "--format", "bibtex", "--query", "lanterns").out
    assert written.count("@misc{") == 2
    out = tmp_path / "all.csv"
    assert filled("papers", "export", "-f", "csv", "-o", str(out)).code == 0
    assert out.read_text().count("\n") == 4
    assert ",'=Brass weather," in out.read_text()
    assert filled("papers", "export", "-f", "word").code == 2
    lines = filled("papers", "export", "-f", "jsonl", "--limit", "1").out
    assert json.loads(lines)["key"].startswith("arxiv:2611.9000")


def test_a_query_is_tried_before_it_is_subscribed(filled: Broadsheet) -> None:
    tried = json.loads(filled("subscriptions", "preview", "--query", "lanterns -survey", "--json").out)
    assert tried["matched"] == 1
    assert tried["removed"] == [{"exclusion": "-survey", "removes": 1}]
    assert len(tried["by_day"]) == 30
    assert "1 match" in filled("subscriptions", "preview", "--query", "lanterns -survey").out
    assert "parenthesis" in filled("subscriptions", "preview", "--query", "(", code=1).err


def test_saved_bounces_are_read_and_the_address_suppressed(broadsheet: Broadsheet, tmp_path: Path) -> None:
    assert broadsheet("subscriptions", "add", "--to", "ada@shore.example", "--confirmed").code == 0
    bounce, other = tmp_path / "bounce.eml", tmp_path / "other.eml"
    bounce.write_bytes(dsn(recipient()))
    other.write_bytes(b"Subject: holiday\n\nAway.")
    (read,) = json.loads(broadsheet("deliveries", "bounce", str(bounce), str(other), "--json").out)
    assert (read["address"], read["kind"], read["suppressed"]) == ("ada@shore.example", "hard", True)
    assert "suppressed" in broadsheet("deliveries", "bounce", str(bounce)).out
    assert "No bounces" in broadsheet("deliveries", "bounce", str(other)).out
    assert broadsheet("deliveries", "bounce", str(tmp_path / "nowhere.eml")).code == 1
