"""End to end: pages served on loopback go through fetch, parse and store; what a poll and a job cost."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import event, func, select

from services.domain.feeds import DocumentInfo
from services.domain.jobs import NewJob
from services.pipeline import drain
from services.pipeline.fetch import page_job
from services.runtime import Runtime
from services.storage import feeds
from services.storage.tables import Job, Paper
from services.upstreams import kinds
from tests.benchmarks import pages, places, reference_full, reference_plain
from tests.benchmarks.bench_store import add_feed, store
from tests.benchmarks.harness import Options, Result, allowance, rate, ratio_of, rounds
from tests.benchmarks.pages import Record
from tests.factories import FeedSpec

PAGE = 2_000

Clock = Callable[[], float]


def resident_mb(pid: int | str = "self") -> float:
    """Memory a process holds, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def pages_of(records: Sequence[Record], size: int) -> dict[int, bytes]:
    """The API's answer by where it starts."""
    return {
        start: pages.atom_page(records[start : start + size], start=start, total=len(records))
        for start in range(0, len(records), size)
    }


def by_start(bodies: dict[int, bytes]) -> Callable[[str], bytes]:
    """Serves them."""
    return lambda path: bodies[int(parse_qs(urlsplit(path).query).get("start", ["0"])[0])]


def _through_the_pipeline(bodies: dict[int, bytes], size: int, expected: int, clock: Clock) -> float:
    with places.Pages(by_start(bodies)) as server, places.runtime(arxiv_api_url=server.url) as rt:
        spec = FeedSpec(name="tides", kind="arxiv_api", params={"query": "all:tides", "page_size": str(size)})
        with rt.writing() as session:
            feed = feeds.add(session, spec, now=rt.now())
        rt.add_jobs([page_job(feed.id or 0, feed.name, slot="bench")])
        start = clock()
        drain.run_until_idle(rt, ticking=False, stages=("fetch", "parse"))
        spent = clock() - start
        with rt.reading() as session:
            stored = session.execute(select(func.count()).select_from(Paper)).scalar_one()
        assert stored == expected, f"{stored} of {expected} papers arrived"
        return spent


def _by_hand(bodies: dict[int, bytes]) -> float:
    with places.sqlite() as make:
        engine = make()
        feed = add_feed(engine)
        about = DocumentInfo(feed="bench", kind="arxiv_api", fetched_at=places.NOW)
        parse = kinds.for_kind("arxiv_api").parse
        start = time.process_time()
        for body in bodies.values():
            store(engine, parse(body, about).papers, feed)
        return time.process_time() - start


def _plainly(bodies: dict[int, bytes], expected: int, *, full: bool) -> float:
    with places.Pages(by_start(bodies)) as server, tempfile.TemporaryDirectory(prefix="broadsheet-bench-") as folder:
        path, urls = Path(folder) / "plain.db", [f"{server.url}?start={at}" for at in bodies]
        start = time.process_time()
        if full:
            added = reference_full.run(urls, path, now=datetime.now(UTC))
        else:
            added = sum(reference_plain.run(reference_plain.get(url), path) for url in urls)
        spent = time.process_time() - start
        assert added == expected, f"{added} of {expected} papers arrived"
        return spent


def end_to_end(options: Options) -> Iterator[Result]:
    """The embedded pipeline beside the same done by hand, and beside the plain way; by the processor's time."""
    size = options.some(PAGE, 200)
    inputs: list[tuple[str, Sequence[Record]]] = [("", pages.records(options.some(3 * PAGE, 600)))]
    if (saved := pages.saved_records()) and not options.quick:
        inputs.append((", saved records", saved[: 3 * PAGE]))
    for source, records in inputs:
        bodies, count = pages_of(records, size), len(records)
        first = {0: bodies[0]}  # of the plain ways one page, since they take long
        sides = (
            partial(_through_the_pipeline, bodies, size, count, time.process_time), partial(_by_hand, bodies),
            partial(_plainly, first, size, full=True), partial(_plainly, first, size, full=False),
        )  # fmt: skip
        ours, hand, full, lean = rounds(sides, count=options.some(3, 1), warm=False)
        full, lean = ([spent * count / size for spent in one] for one in (full, lean))
        for what, target, theirs, reference in (
            ("by hand", 0.5, hand, "parse + store + index in one loop"),
            ("the plain way in full", 10.0, full, "the same facts by feedparser, ORM by row, a task a paper"),
            ("the plain way, lean", 0.0, lean, "papers, authors, addresses alone; for comparison"),
        ):
            ratio, spread = ratio_of(ours, theirs)
            yield Result(
                name=f"end to end beside {what}{source}", ratio=ratio, target=target, reference=reference,
                spread=spread, note=f"{rate(count, ours)} papers/s beside {rate(count, theirs)}",
            )  # fmt: skip


def idle_poll(options: Options) -> Iterator[Result]:
    """A poll that finds nothing new: requests, writing transactions, parse jobs, and what it costs."""
    body = pages.rss_page(pages.records(50))
    with places.Pages(lambda _: body) as server, places.runtime(arxiv_rss_url=server.url) as rt:
        with rt.writing() as session:
            feed = feeds.add(session, FeedSpec(name="news", kind="rss", url=f"{server.url}/feed.xml"), now=rt.now())

        def poll(slot: str) -> None:
            rt.add_jobs([page_job(feed.id or 0, feed.name, slot=slot)])
            drain.run_until_idle(rt, ticking=False, stages=("fetch", "parse"))

        poll("first")
        parses, calls = _jobs(rt, "parse_document"), server.calls
        writes = _count_writes(rt)
        polls = options.some(100, 10)
        rt.add_jobs([page_job(feed.id or 0, feed.name, slot=f"{n:04}") for n in range(polls)])
        writes.clear()
        start = time.process_time()
        drain.run_until_idle(rt, ticking=False, stages=("fetch", "parse"))
        spent = (time.process_time() - start) / polls
        assert server.not_modified == polls, f"{server.not_modified} of {polls} polls were answered with 304"
        assert _jobs(rt, "parse_document") == parses, "a poll that found nothing was parsed"
        yield allowance("idle poll: requests", used=(server.calls - calls) / polls, allowed=1, what="1 conditional GET")
        # The last look of the loop, which finds no job, is a transaction of its own and nobody's poll.
        yield allowance(
            "idle poll: writing transactions", used=round((len(writes) - 1) / polls, 2), allowed=2, what="2 a poll"
        )
        yield allowance(
            "idle poll: processor", used=spent * 10_000 / 3600, allowed=0.05,
            what="5 % of a core for 10,000 feeds an hour",
            note=f"{spent * 1000:.1f} ms a poll, the server's share included",
        )  # fmt: skip


def _jobs(rt: Runtime, kind: str) -> int:
    with rt.reading() as session:
        return int(session.execute(select(func.count()).select_from(Job).where(Job.kind == kind)).scalar_one())  # type: ignore[arg-type]


def _count_writes(rt: Runtime) -> list[bool]:
    begun: list[bool] = []

    @event.listens_for(rt.engine, "begin")
    def count(connection: Any) -> None:
        if not connection.get_execution_options().get("broadsheet_reads"):
            begun.append(True)

    return begun


def queue_cost(options: Options) -> Iterator[Result]:
    """Claim, step and finish of a job that does nothing, beside a page's whole time (two jobs)."""
    number = options.some(400, 50)
    records = pages.records(options.some(PAGE, 400))
    with places.runtime() as rt:
        rt.add_jobs([NewJob(kind="housekeeping", key=str(n)) for n in range(number)])
        start = time.perf_counter()
        for _ in range(number):
            claim = drain.claim_next(rt)
            assert claim is not None
            with rt.step(claim):
                pass
        each = (time.perf_counter() - start) / number
    bodies = pages_of(records, len(records))
    page = statistics.median(
        _through_the_pipeline(bodies, len(records), len(records), time.perf_counter) for _ in range(options.some(3, 1))
    )
    yield allowance(
        "queue: cost beside the work", used=2 * each / page, allowed=0.05, what="5 % of a page's time",
        note=f"{each * 1000:.2f} ms a job, two of a page's {page * 1000:.0f} ms",
    )  # fmt: skip


def processors() -> str:
    """What this machine is, for the table."""
    return f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
