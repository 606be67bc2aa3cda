"""Peers beside us on the same days of papers, each in a process of its own: papers a second, and memory."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import parse_qs, urlsplit

import _pytest.outcomes

from tests import servers
from tests.benchmarks import pages, places
from tests.benchmarks.harness import Options, Result, rate, ratio_of
from tests.benchmarks.peers import PAGE

TARGETS = {"plain": 10.0, "reader": 10.0, "celery": 10.0}
WAYS = {
    "plain": "feedparser, ORM row by row", "reader": "reader (PyPI) into its SQLite",
    "celery": "a Celery task a paper, Redis, ORM",
}  # fmt: skip


def beside(options: Options) -> Iterator[Result]:
    """Each peer takes in the same pages; those that cannot run here are left out."""
    count = options.some(PAGE, 30)
    records = (pages.saved_records() or pages.records(count))[:count]
    count = len(records)
    with places.Pages(_page_of(records)) as upstream:
        ways = [name for name in TARGETS if name != "reader" or importlib.util.find_spec("reader")]
        ours: list[tuple[float, float]] = []
        theirs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(options.some(3, 1)):
            ours.append(_run("broadsheet", upstream.url, count, ""))
            for name in ways:
                if name != "celery":
                    theirs[name].append(_run(name, upstream.url, count, ""))
                    continue
                try:
                    with servers.redis_server() as redis:
                        theirs[name].append(_run(name, upstream.url, count, redis.url))
                except _pytest.outcomes.OutcomeException:
                    continue
    seconds = [spent for spent, _ in ours]
    for name in ways:
        if not theirs[name]:
            continue
        spent = [one for one, _ in theirs[name]]
        ratio, spread = ratio_of(seconds, spent)
        yield Result(
            name=f"peers: {name}", ratio=ratio, target=TARGETS[name], spread=spread, reference=WAYS[name],
            note=f"{rate(count, seconds)} papers/s in {max(rss for _, rss in ours):.0f} MB beside "
            f"{rate(count, spent)} in {max(rss for _, rss in theirs[name]):.0f} MB",
        )  # fmt: skip


def _page_of(records: Sequence[pages.Record]) -> Callable[[str], bytes]:
    bodies = {
        start: pages.atom_page(records[start : start + PAGE], start=start, total=len(records))
        for start in range(0, len(records), PAGE)
    }
    return lambda path: bodies[int(parse_qs(urlsplit(path).query).get("start", ["0"])[0])]


def _run(name: str, url: str, count: int, broker: str) -> tuple[float, float]:
    """(seconds, MB) of one peer."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.peers", name, url, str(count)], check=False, capture_output=True,
        text=True, env={**os.environ, "PEER_BROKER": broker or "memory://"},
    )  # fmt: skip
    assert done.returncode == 0, f"{name}: {done.stderr[-2000:]}"
    said = json.loads(done.stdout.splitlines()[-1])
    return float(said["seconds"]), float(said["rss_mb"])
