"""`broadsheet plan` held against a run: what it says of an installation, and what that installation used.

python -m tests.benchmarks fit     measures what one of each costs and writes `services/domain/measured.py`
python -m tests.benchmarks plan    runs a hundredth of a large installation and compares
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from services.domain import capacity, measured
from services.domain.capacity import Load
from services.domain.matching import PaperSet
from services.domain.measured import Figures
from tests.benchmarks import bench_match, scale_run
from tests.benchmarks.harness import Options, Result
from tests.benchmarks.many_repos import simulate, world
from tests.benchmarks.scale_run import Part, Seen
from tests.factories import parse_query

MODULE = Path(measured.__file__)
LARGE = Load(papers=3_000_000, subscribers=1_000_000, feeds=100_000)
"""What the plan is for; the check runs a part of it."""
PART, PART_QUICK = 100, 30_000
WITHIN = 0.5
"""A prediction counts as right when the lesser of the two is at least so much of the other."""


def fit(options: Options, module: Path = MODULE) -> Figures:
    """Measure what one of each costs, and write the module. Raises RuntimeError without PostgreSQL."""
    seen = scale_run.run(papers=options.some(8_000, 60), subscribers=options.some(400, 6), polled=options.some(300, 6))
    if seen is None:
        raise RuntimeError("the figures are those of PostgreSQL: install the dev group or set BROADSHEET_TEST_POSTGRES")
    with world(count=options.some(5_000, 200), fresh_a_day=options.some(12, 4), days=1) as (rt, wire, clock):
        steady = simulate(rt, wire, clock, days=options.some(25, 5) / 100)
    found = Figures(
        **_each(seen), query_s=_query_s(options.some(1_000, 20)), sync_s=scale_run.sync_s(),
        requests_per_fifty=max(steady.per_fifty, 1.0), worker_mb=seen.rss_mb,
    )  # fmt: skip
    _write(module, found)
    return found


def _each(seen: Seen) -> dict[str, float]:
    papers, polls, editions, mails = seen.papers, seen.polls, seen.editions, seen.mails
    narrow_s = seen.narrow.seconds / seen.narrow.count
    return {
        "poll_s": polls.seconds / polls.count, "database_poll_s": polls.database_s / polls.count,
        "commits_a_poll": polls.commits / polls.count, "poll_bytes": polls.grown / polls.count,
        "paper_s": papers.seconds / papers.count, "database_paper_s": papers.database_s / papers.count,
        "paper_bytes": (papers.grown - seen.document_bytes) / papers.count,
        "document_bytes": seen.document_bytes / papers.count, "edition_s": editions.seconds / editions.count,
        "candidate_s": _further(seen.wide, narrow_s) / max(seen.wide_papers - scale_run.NEW, 1),
        "reading_s": _further(seen.whole, narrow_s) / seen.whole_papers,
        "mail_s": mails.seconds / mails.count,
        "database_mail_s": (editions.database_s + mails.database_s) / mails.count,
        "commits_a_mail": (editions.commits + mails.commits) / mails.count, "mail_wire_bytes": seen.mail_bytes,
        "delivery_bytes": max((editions.grown + mails.grown) / mails.count - 2 * seen.job_bytes, seen.message_bytes),
        "message_bytes": seen.message_bytes,
        "job_bytes": seen.job_bytes, "reader_bytes": seen.reader_bytes, "backup_share": seen.backup_share,
    }  # fmt: skip


def _further(part: Part, narrow_s: float) -> float:
    """What one edition of a part took longer, in seconds."""
    return max(part.seconds / part.count - narrow_s, 0.0)


def _query_s(number: int) -> float:
    papers, taken = bench_match.facts(500), 0.0
    for _ in range(2):  # the first time grammars are made and modules loaded
        start = time.process_time()
        together = PaperSet(papers)
        for text in bench_match.queries(number):
            sum(1 for _ in together.match(parse_query(text)))
        taken = time.process_time() - start
    return taken / number


def _write(module: Path, found: Figures) -> None:
    head, mark, _ = module.read_text().partition("MEASURED_ON = ")
    assert mark, f"{module} has no figures to be replaced"
    lines = [f"    {name}={float(f'{value:.4g}')!r}," for name, value in asdict(found).items()]
    module.write_text(
        f'{head}{mark}"{datetime.now(UTC):%Y-%m-%d}"\nMACHINE = "{scale_run.machine()}, shared; PostgreSQL beside it"\n'
        + "\n".join(["FIGURES = Figures(", *lines, ")", ""])
    )


def check(options: Options) -> Iterator[Result]:
    """Runs a part of the large installation for a day, all of whose papers are new, and compares with the plan."""
    part = options.some(PART, PART_QUICK)
    papers, subscribers = int(LARGE.papers / part), max(int(LARGE.subscribers / part), 5)
    polled = max(int(LARGE.feeds / part), 5)
    queries = options.some(1_000, 20)
    before = _query_s(queries)
    seen = scale_run.run(papers=papers, subscribers=subscribers, polled=polled)
    if seen is None:
        return
    # A processor that others use, too, is slower than it was when the figures were measured, or faster.
    pace = (before + _query_s(queries)) / 2 / measured.FIGURES.query_s
    load = Load(
        papers=papers, subscribers=subscribers, feeds=polled, papers_a_day=papers, polls_a_day=1, queries=1,
        candidates=500, deliveries_keep_days=1, messages_keep_days=1, jobs_keep_days=1, backfill_days=90,
    )  # fmt: skip
    said = capacity.plan(load, measured.FIGURES)
    by_stage = {stage.name: stage.seconds_a_day for stage in said.stages}
    database_s = sum(one.seconds_a_day for one in said.stages if one.where == "database")
    database = sum(one.database_s for one in (seen.papers, seen.polls, seen.editions, seen.mails))
    grown = sum(one.grown for one in (seen.papers, seen.editions, seen.mails)) - seen.document_bytes
    disk = said.disk_gb["papers"] + said.disk_gb["deliveries"] + said.disk_gb["jobs"]
    for name, said_of_it, was, unit in (
        ("processor of fetch", by_stage["fetch"], seen.polls.seconds, "s"),
        ("processor of parse and store", by_stage["parse and store"], seen.papers.seconds, "s"),
        ("processor of choose", by_stage["choose"], seen.editions.seconds, "s"),
        ("processor of render and send", by_stage["render and send"], seen.mails.seconds, "s"),
        ("processor of the database", database_s, database, "s"),
        ("disk of papers and deliveries", disk * 1_000, grown / 1e6, "MB"),
        ("disk of documents", said.disk_gb["documents"] * 1_000, seen.document_bytes / 1e6, "MB"),
        ("mail", said.mail["gb_a_day"] * 1_000, seen.mail_bytes * subscribers / 1e6, "MB"),
        ("memory of a worker", measured.FIGURES.worker_mb, seen.rss_mb, "MB"),
    ):
        predicted = said_of_it * (pace if unit == "s" else 1)
        low, high = sorted((max(predicted, 1e-9), max(was, 1e-9)))
        error = (predicted - was) / max(was, 1e-9)
        yield Result(
            name=f"plan at 1/{part:,}: {name}", ratio=low / high, target=WITHIN, spread=0.0, reference="the run",
            note=f"said {predicted:,.1f} {unit}, was {was:,.1f} ({error:+.0%})"
            + (f" at {pace:.2f} times the seconds of the figures" if unit == "s" else ""),
        )  # fmt: skip
