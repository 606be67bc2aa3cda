"""No page reads a large table from end to end: what a page costs does not grow with the archive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.benchmarks.bench_pages import addresses, open_site
from tests.benchmarks.large_archive import build
from tests.factories import asked_of
from tests.integration.web_site import Site

PAPERS = 1_200
LARGE = {
    "papers", "identifiers", "statements", "sightings", "links", "repos", "readings", "events", "jobs", "attempts",
    "fetches", "batches", "documents", "editions", "edition_items", "deliveries", "audit", "rejections", "votes",
    "titles",
}  # fmt: skip

ALLOWED = {
    r"SELECT count\(\*\) AS count_1 FROM papers\b": "a count of all rows, from the smallest index: 10 ms a million",
    r"SELECT count\(\*\) AS count_1 FROM documents\b": "the same",
    r"SELECT coalesce\(sum\(documents\.size\)": "a sum read from an index of this column alone",
    r"SELECT count\(\*\) AS count_1 FROM repos\b": "the same",
}
"""Statements that do read all of a table, and why they may."""

FREQUENT = ("jobs.stage", "deliveries.channel")
"""What may be asked of rows walked through until a page is full: there are few of them, and each has its share."""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site on a small archive of the large kind: plans are the same, as nothing tells SQLite of sizes."""
    folder = tmp_path_factory.mktemp("plans")
    build(folder / "archive.db", PAPERS)
    site = open_site(folder / "archive.db", folder)
    yield site
    site.rt.close()


def scans(site: Site, path: str) -> set[str]:
    """The large tables that a page reads from end to end, each with the statement that does."""
    with asked_of(site.rt) as asked:
        answer = site.get(path)
    assert answer.status_code < 500, f"{path}: {answer.status_code}"
    found = set()
    with site.rt.reading() as session:
        for statement, parameters in dict(asked).items():
            if not statement.lstrip().startswith(("SELECT", "WITH")):
                continue
            rows = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            words = " ".join(statement.split())
            if any(re.match(allowed, words) for allowed in ALLOWED):
                continue
            named = dict(re.findall(r"\b(\w+) AS (\w+)", words))
            tables = {alias: table for table, alias in named.items()}
            for *_, step in rows:
                scanned = re.match(r"SCAN (\w+)(?! VIRTUAL)", step)
                if scanned and tables.get(scanned[1], scanned[1]) in LARGE and not ends_early(words, scanned[1], rows):
                    found.add(f"{step}: {words[:400]}")
    return found


def ends_early(words: str, table: str, plan: Sequence[Any]) -> bool:
    """Whether rows are read in the order asked for, whatever they are, until a page is full."""
    where = words.partition(" WHERE ")[2].partition(" ORDER BY ")[0]
    asked = [part for part in where.split(" AND ") if part and not part.strip("()").startswith(FREQUENT)]
    sorts = any("TEMP B-TREE" in step for *_, step in plan)
    return f"ORDER BY {table}.id DESC LIMIT" in words and not asked and not sorts


def test_no_page_reads_a_large_table_from_end_to_end(large: Site) -> None:
    paths = addresses(large, PAPERS)
    assert len(paths) > 50
    read = {path: found for path in paths if (found := scans(large, path))}
    assert not read


def test_a_scan_would_be_seen(large: Site) -> None:
    with large.rt.writing() as session:
        session.connection().exec_driver_sql("DROP INDEX ix_sightings_day")
    assert any("sightings" in found for found in scans(large, "/"))
