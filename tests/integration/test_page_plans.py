"""No page reads a large table from end to end: what a page costs does not grow with the archive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from services.storage.search_index import TABLE
from tests.benchmarks import postgres_archive
from tests.benchmarks.bench_pages import addresses, open_site
from tests.benchmarks.large_archive import build
from tests.factories import asked_of
from tests.integration.web_site import Site
from tests.servers import PostgresServer

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
    r"SELECT jobs.stage, jobs.state, count\(\*\) AS count_1 FROM jobs WHERE jobs.state IN": "all that ended, the same",
    r"SELECT anon_1.id FROM \(SELECT \w+.paper_id AS id, ts_rank\(": "words that a large part of a small archive has",
}
"""Statements that do read all of a table, and why they may."""

FREQUENT = ("jobs.stage", "deliveries.channel", "attempts.outcome")
"""What may be asked of rows walked through until a page is full: there are few of them, and each has its share."""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site on a small archive of the large kind: plans are the same, as nothing tells SQLite of sizes."""
    folder = tmp_path_factory.mktemp("plans")
    build(folder / "archive.db", PAPERS)
    site = open_site(f"sqlite:///{folder / 'archive.db'}", folder)
    yield site
    site.rt.close()


@pytest.fixture(scope="module")
def large_remote(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same on PostgreSQL, which is made to believe that its pages hold a thousand times as many rows."""
    with postgres.database(empty=True) as url:
        postgres_archive.build(url, PAPERS)
        site = open_site(url, tmp_path_factory.mktemp("plans"))
        with site.rt.writing() as session:
            session.execute(text("UPDATE pg_class SET reltuples = reltuples * 1000 WHERE relname = ANY(:names)"),
                            {"names": [*LARGE, TABLE]})  # fmt: skip
        yield site
        site.rt.close()


def asked_by(site: Site, path: str, known: set[str], *, by_values: bool = False) -> dict[str, tuple[str, Any]]:
    """The statements by which a page reads, and what was bound to them; not those that are allowed, or known by now.

    With `by_values` one with other values is another one: PostgreSQL plans it anew.
    """
    with asked_of(site.rt) as asked:
        answer = site.get(path)
    assert answer.status_code < 500, f"{path}: {answer.status_code}"
    fresh = {
        key: (statement, parameters)
        for statement, parameters in asked
        if statement.lstrip().startswith(("SELECT", "WITH"))
        and (key := f"{statement} {parameters!r}" if by_values else statement) not in known
        and not any(re.match(allowed, " ".join(statement.split())) for allowed in ALLOWED)
    }
    known |= fresh.keys()
    return fresh


def scans(site: Site, path: str, known: set[str]) -> set[str]:
    """The large tables that a page reads from end to end, each with the statement that does."""
    found = set()
    with site.rt.reading() as session:
        for statement, parameters in asked_by(site, path, known).values():
            rows = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            words = " ".join(statement.split())
            named = dict(re.findall(r"\b(\w+) AS (\w+)", words))
            tables = {alias: table for table, alias in named.items()}
            for *_, step in rows:
                scanned = re.match(r"SCAN (\w+)(?! VIRTUAL)", step)
                if scanned and tables.get(scanned[1], scanned[1]) in LARGE and not ends_early(words, scanned[1], rows):
                    found.add(f"{step}: {words[:400]}")
    return found


def scans_remote(site: Site, path: str, known: set[str]) -> set[str]:
    """The same on PostgreSQL. Scans are forbidden to it: the days of a small archive are all of it, read at once."""
    found = set()
    with site.rt.reading() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        for statement, parameters in asked_by(site, path, known, by_values=True).values():
            explained = session.connection().exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            (plan,) = explained.scalar_one()
            words = " ".join(statement.split())
            found |= {f"{step}: {words[:400]}" for step in whole_tables(plan["Plan"])}
    return found


def whole_tables(node: dict[str, Any], *, ends: bool = False) -> Iterator[str]:
    """Steps that read a large table, or an index of it, from end to end.

    With `ends` the step above stops once it has enough rows, which holds where no row is sorted out on the way.
    """
    kind, table, sorts_out = node["Node Type"], node.get("Relation Name", ""), node.get("Filter", "")
    reads_all = table in LARGE and ("Seq Scan" in kind or "Index" in kind) and "Index Cond" not in node
    rare = sorts_out and not any(name.partition(".")[2] in sorts_out for name in FREQUENT)
    if reads_all and (rare or not ends):
        yield f"{kind} on {table} {sorts_out}"
    passes_on = {"Nested Loop", "Incremental Sort", "Subquery Scan", "Result", "Unique"}
    ends = kind == "Limit" or (ends and kind in passes_on)
    for inner in node.get("Plans", ()):
        yield from whole_tables(inner, ends=ends)


def ends_early(words: str, table: str, plan: Sequence[Any]) -> bool:
    """Whether rows are read in the order asked for, whatever they are, until a page is full."""
    where = words.partition(" WHERE ")[2].partition(" ORDER BY ")[0]
    asked = [part for part in where.split(" AND ") if part and not part.strip("()").startswith(FREQUENT)]
    sorts = any("TEMP B-TREE" in step for *_, step in plan)
    return f"ORDER BY {table}.id DESC LIMIT" in words and not asked and not sorts


def test_no_page_reads_a_large_table_from_end_to_end(large: Site) -> None:
    paths = addresses(large, PAPERS)
    assert len(paths) > 50
    known: set[str] = set()
    read = {path: found for path in paths if (found := scans(large, path, known))}
    assert not read


def test_no_page_reads_a_large_table_from_end_to_end_on_postgresql(large_remote: Site) -> None:
    known: set[str] = set()
    paths = addresses(large_remote, PAPERS)
    read = {path: found for path in paths if (found := scans_remote(large_remote, path, known))}
    assert not read


def test_a_scan_would_be_seen(large: Site) -> None:
    with large.rt.writing() as session:
        session.connection().exec_driver_sql("DROP INDEX ix_sightings_day")
    assert any("sightings" in found for found in scans(large, "/", set()))


def test_a_scan_would_be_seen_on_postgresql(large_remote: Site) -> None:
    with large_remote.rt.writing() as session:
        session.connection().exec_driver_sql("DROP INDEX ix_sightings_day")
    assert any("sightings" in found for found in scans_remote(large_remote, "/", set()))


def test_reading_sessions_have_each_statement_planned_for_its_values(large_remote: Site) -> None:
    """A plan for any value takes a word of all papers for a rare one; who writes many rows wants one plan for all."""
    asked = "SELECT current_setting('plan_cache_mode'), current_setting('jit')"
    with large_remote.rt.writing() as session:
        usual = session.connection().exec_driver_sql(asked).one()
    with large_remote.rt.reading() as session:
        assert tuple(session.connection().exec_driver_sql(asked).one()) == ("force_custom_plan", "off")
    with large_remote.rt.writing() as session:
        assert session.connection().exec_driver_sql(asked).one() == usual != ("force_custom_plan", "off")
