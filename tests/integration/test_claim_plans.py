"""A claim costs the same however many rows there are: both databases answer it from the partial indexes alone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import text

from services.pipeline import drain
from services.runtime import Runtime
from services.storage import jobs, reports, stages
from services.storage.tables import Job
from tests.conftest import MakeRuntime
from tests.factories import all_rows, asked_of

DONE, WAITING = 10_000, 1_000

FILL = """
    INSERT INTO jobs (kind, key, stage, payload, state, priority, due_at, attempts, spared, created_at, finished_at)
    SELECT 'fetch_feed', prefix || n, 'fetch', '{}', state, 0, :at, 1, 0, :at, :at FROM (
"""
NUMBERS = {
    "sqlite": "WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < {most}) SELECT n FROM up",
    "postgresql": "SELECT generate_series(1, {most}) AS n",
}


@pytest.fixture
def full(make_runtime: MakeRuntime, database_url: str) -> Runtime:
    """A service with a long past and a backlog."""
    rt = make_runtime(database_url=database_url)
    at = "2026-11-20 00:00:00.000000" if not database_url else "2026-11-20 00:00:00+00:00"
    with rt.writing() as session:
        for state, prefix, most in (("done", "old ", DONE), ("ready", "new ", WAITING)):
            numbers = NUMBERS[rt.engine.dialect.name].format(most=most)
            columns = f"SELECT n, '{state}' AS state, '{prefix}' AS prefix FROM ({numbers}) numbers"
            session.execute(text(FILL.replace(":at", f"'{at}'") + columns + ") rows"))
        session.execute(text("ANALYZE"))
    return rt


def claim_statement(rt: Runtime, **choice: Any) -> tuple[str, Any]:
    """What a claim asks of the database."""
    with asked_of(rt, "UPDATE jobs") as asked:
        assert drain.claim_next(rt, **choice) is not None
    ((statement, parameters),) = asked  # one statement, whatever it finds
    return statement, parameters


def plan(rt: Runtime, statement: str, parameters: Any) -> list[str]:
    explain = "EXPLAIN QUERY PLAN " if rt.engine.dialect.name == "sqlite" else "EXPLAIN "
    with rt.writing() as session:
        rows = session.connection().exec_driver_sql(explain + statement, parameters).all()
    return [str(row[-1]).strip() for row in rows]


def pages_read(rt: Runtime, statement: str, parameters: Any) -> int:
    """How many pages PostgreSQL looks at."""
    with rt.writing() as session:
        rows = session.connection().exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
        (document,) = rows.one()
    top = document[0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


def test_the_next_job_is_found_by_partial_indexes(full: Runtime) -> None:
    steps = plan(full, *claim_statement(full))
    words = "\n".join(steps)
    assert sum("ix_jobs_ready" in step for step in steps) == 4, words
    # What runs is never much: PostgreSQL may look it up by its state as well, and sort the few there are.
    by_state = [name for name in ("ix_jobs_state", "ix_jobs_finished") if name in words]
    assert sum(any(name in step for name in ("ix_jobs_leased", *by_state)) for step in steps) == 1, words
    assert sum("Sort" in step for step in steps) <= 2 * len(by_state), words
    for costly in ("Seq Scan on jobs", "SCAN jobs\n", "TEMP B-TREE"):
        assert costly not in words + "\n", words


def test_a_paused_stages_backlog_is_not_looked_through(full: Runtime) -> None:
    statement, parameters = claim_statement(full)
    with full.writing() as session:
        stages.pause(session, "fetch", by="boss", now=full.now())
    assert drain.claim_next(full) is None
    steps = plan(full, statement, parameters)
    ranges = [step for step in steps if re.search(r"^(Index Cond|SEARCH jobs).*priority ?<", step)]
    assert len(ranges) == 4, "\n".join(steps)


def test_the_job_behind_one_is_found_among_the_most_urgent(full: Runtime) -> None:
    claim = drain.claim_next(full, stages=["fetch"])
    assert claim is not None
    with asked_of(full, "UPDATE jobs") as asked, full.writing() as session:
        behind = jobs.claim_behind(session, claim, now=full.now(), lease=full.lease())
    assert behind is not None
    assert (behind.kind, behind.stage) == (claim.kind, "fetch")
    steps = plan(full, *asked[0])
    words = "\n".join(steps)
    assert sum("ix_jobs_ready" in step for step in steps) == 2, words
    assert "Seq Scan on jobs" not in words
    assert "SCAN jobs\n" not in words + "\n"


def test_thousands_of_mails_the_database_has_not_counted_yet_are_claimed_as_fast(full: Runtime) -> None:
    if full.engine.dialect.name == "sqlite":
        return  # it keeps to the order that is written
    now = full.now()
    with full.writing() as session:
        rows = (
            f"SELECT n, 'ready' AS state, 'mail ' AS prefix FROM ({NUMBERS['postgresql'].format(most=5_000)}) numbers"
        )
        mails = FILL.replace("'fetch_feed'", "'send_deliveries'").replace("'fetch'", "'notify'")
        session.execute(text(mails.replace(":at", f"'{now:%Y-%m-%d %H:%M:%S}+00'") + rows + ") rows"))
    claim = drain.claim_next(full, stages=["notify"])
    assert claim is not None
    with asked_of(full, "UPDATE jobs") as asked, full.writing() as session:
        assert jobs.claim_behind(session, claim, now=now, lease=full.lease()) is not None
    assert pages_read(full, *asked[0]) < 200


def test_the_hinted_job_is_found_by_its_id(full: Runtime) -> None:
    waiting = next(job for job in all_rows(full, Job, key="new 7"))
    steps = plan(full, *claim_statement(full, job_id=waiting.id))
    words = "\n".join(steps)
    assert not any(costly in words + "\n" for costly in ("Seq Scan on jobs", "SCAN jobs\n")), words
    assert "PRIMARY KEY" in words or "jobs_pkey" in words or "pk_jobs" in words, words


def test_failures_are_summed_up_without_a_look_at_what_went_well(full: Runtime) -> None:
    with asked_of(full, "SELECT jobs.signature") as asked, full.reading() as session:
        assert reports.failure_groups(session, since=full.now()) == []
    ((statement, parameters),) = asked
    words = "\n".join(plan(full, statement, parameters))
    assert "ix_jobs_signature" in words, words
    assert "Seq Scan" not in words, words


def test_a_claim_reads_a_few_pages_of_a_long_table(full: Runtime) -> None:
    """PostgreSQL counts the pages it looks at; SQLite's plan above says as much."""
    if full.engine.dialect.name == "sqlite":
        return
    assert pages_read(full, *claim_statement(full)) < 100
