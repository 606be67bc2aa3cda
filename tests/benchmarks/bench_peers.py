"""Peers beside us on the same days of papers, each in a process of its own: papers a second, and memory.

By the clock, since some work in several processes; the note says what it is by the processor.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import _pytest.outcomes

from tests import servers
from tests.benchmarks import pages, places
from tests.benchmarks.bench_pipeline import by_start, pages_of
from tests.benchmarks.harness import Options, Result, rate, ratio_of
from tests.benchmarks.peers import PAGE, Spent

KEPT_BY_READER = "no identifiers, repositories, sightings or ledger"
WAYS = {
    "plain": (0.0, "feedparser, ORM row by row: papers, authors, addresses alone; for comparison"),
    "plain-full": (1.0, "the same facts by feedparser, ORM row by row"),
    "reader": (0.0, f"reader (PyPI) into its SQLite: {KEPT_BY_READER}, no words for searching; for comparison"),
    "reader-search": (1.0, f"reader (PyPI), its index for searching brought up to date: {KEPT_BY_READER}"),
    "celery": (0.0, "the lean plain way, a Celery task a paper, Redis; for comparison"),
    "celery-full": (1.0, "the same facts by the plain way, a Celery task a paper, Redis"),
}
"""Target and reference of each: nobody who keeps as much is to be faster (by how much the plain way is to be slower is
said in `end-to-end`). Those that keep far less than ours, and none of the words, have no target."""


def beside(options: Options) -> Iterator[Result]:
    """Each peer takes in the same pages; those that cannot run here are left out."""
    count = options.some(PAGE, 30)
    records = (pages.saved_records() or pages.records(count))[:count]
    with ExitStack() as stack:
        upstream = stack.enter_context(places.Pages(by_start(pages_of(records, PAGE))))
        ways = [name for name in WAYS if not name.startswith("reader") or importlib.util.find_spec("reader")]
        broker = ""
        try:
            broker = stack.enter_context(servers.redis_server()).url
        except _pytest.outcomes.OutcomeException:
            ways = [name for name in ways if not name.startswith("celery")]
        ours: list[Spent] = []
        theirs: dict[str, list[Spent]] = {name: [] for name in ways}
        for _ in range(options.some(3, 1)):
            ours.append(_run("broadsheet", upstream.url, count, broker))
            for name in ways:
                theirs[name].append(_run(name, upstream.url, count, broker))
    seconds = [one.seconds for one in ours]
    for name in ways:
        target, reference = WAYS[name]
        spent = [one.seconds for one in theirs[name]]
        ratio, spread = ratio_of(seconds, spent)
        by_processor, _ = ratio_of([one.processor_s for one in ours], [one.processor_s for one in theirs[name]])
        yield Result(
            name=f"peers: {name}", ratio=ratio, target=target, spread=spread, reference=reference,
            note=f"{rate(count, seconds)} papers/s in {max(one.rss_mb for one in ours):.0f} MB beside "
            f"{rate(count, spent)} in {max(one.rss_mb for one in theirs[name]):.0f} MB; "
            f"{by_processor:.1f} by the processor",
        )  # fmt: skip


def _run(name: str, url: str, count: int, broker: str) -> Spent:
    """What one peer spent."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.peers", name, url, str(count)], check=False, capture_output=True,
        text=True, env={**os.environ, "PEER_BROKER": broker or "memory://"},
    )  # fmt: skip
    assert done.returncode == 0, f"{name}: {done.stderr[-2000:]}"
    return Spent(**json.loads(done.stdout.splitlines()[-1]))
