"""A backfill through the real pipeline: whether an archive of a million papers slows it down, and what memory it takes.

`--papers N` says how many (30,000 without it); at 1,000,000 it runs for the better part of an hour.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.domain.jobs import Claim
from services.pipeline import drain
from services.pipeline.fetch import page_job
from services.storage import feeds
from tests.benchmarks import places
from tests.benchmarks.bench_pipeline import PAGE, resident_mb
from tests.benchmarks.harness import Options, Result
from tests.benchmarks.page_server import serving
from tests.factories import FeedSpec

MARKS = (10_000, 100_000, 1_000_000)
PAPERS, PAPERS_QUICK = 30_000, 600
FLAT_MB = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """One page: how many papers were there afterwards, the processor time it took, the memory held, and what was
    written to files."""

    papers: int
    seconds: float
    memory_mb: float
    written_mb: float


def fill(total: int, size: int) -> list[Step]:
    """Backfill `total` papers in pages of `size`; its steps."""
    steps: list[Step] = []
    with serving(total, size) as url, places.runtime(arxiv_api_url=url) as rt:
        spec = FeedSpec(name="archive", kind="arxiv_api", params={"query": "all:tides", "page_size": str(size)})
        with rt.writing() as session:
            feed = feeds.add(session, spec, now=rt.now())
        rt.add_jobs([page_job(feed.id or 0, feed.name, slot="backfill")])
        last, written = time.process_time(), written_mb()

        def look(claim: Claim, outcome: str) -> None:
            nonlocal last, written
            assert outcome == "done", f"{claim.kind} {claim.key}: {outcome}"
            if claim.kind == "parse_document":
                now, all_written = time.process_time(), written_mb()
                steps.append(Step(len(steps) * size + size, now - last, resident_mb(), all_written - written))
                last, written = now, all_written

        drain.run_until_idle(rt, ticking=False, stages=("fetch", "parse"), on_job=look)
    assert len(steps) * size >= total, f"{len(steps)} pages of {size} are not {total} papers"
    return steps


def grown(options: Options) -> Iterator[Result]:
    """Throughput at each mark beside that at the first, and the growth of memory after it."""
    total = options.papers or options.some(PAPERS, PAPERS_QUICK)
    size = min(PAGE, max(total // 12, 1))
    steps = fill(total, size)
    options.curves["backfill as the archive grows"] = [(one.papers, size / one.seconds) for one in steps]
    options.curves["memory as the archive grows"] = [(one.papers, one.memory_mb) for one in steps]
    options.units["memory as the archive grows"] = "MB"
    marks = [mark for mark in MARKS if mark < total] or [total // 3]
    first, near = marks[0], _near(steps, marks[0], size)
    reference, little = _seconds(near), _written(near)
    for mark in [*marks[1:], total]:
        near = _near(steps, mark, size)
        spent = _seconds(near)
        yield Result(
            name=f"backfill: throughput at {mark:,} papers", ratio=reference / spent, target=0.8, spread=0.0,
            reference=f"that at {first:,}", note=f"{size / spent:,.0f} papers/s of processor beside "
            f"{size / reference:,.0f}; {_written(near):,.1f} MB written a page beside {little:,.1f}",
        )  # fmt: skip
    early = next(one.memory_mb for one in steps if one.papers >= first)
    most = max(one.memory_mb for one in steps)
    yield Result(
        name=f"backfill: memory flat over {total:,} papers", ratio=FLAT_MB / max(most - early, 1.0), target=1.0,
        spread=0.0, reference=f"growth of at most {FLAT_MB:g} MB after the first {first:,}",
        note=f"{early:.0f} MB, at the most {most:.0f}",
    )  # fmt: skip


def _near(steps: list[Step], mark: int, size: int) -> list[Step]:
    """The five pages up to a mark; at the beginning those after the first."""
    return [one for one in steps[1:] if mark - 5 * size < one.papers <= mark] or [steps[-1]]


def _seconds(steps: list[Step]) -> float:
    return statistics.median(one.seconds for one in steps)


def _written(steps: list[Step]) -> float:
    return statistics.mean(one.written_mb for one in steps)


def written_mb() -> float:
    """What this process has written to files and sockets, in MB."""
    return int(Path("/proc/self/io").read_text().split("wchar:")[1].split()[0]) / 1e6
