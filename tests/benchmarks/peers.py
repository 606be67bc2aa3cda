"""`python -m tests.benchmarks.peers NAME URL COUNT`: one way of taking in a feed of papers, in a process of its own.

| name | is |
|---|---|
| `broadsheet` | our pipeline: fetch, parse, store, index, through jobs |
| `plain` | feedparser and the ORM row by row (`reference_plain`) |
| `reader` | the library of that name (PyPI), updating the feed into its SQLite |
| `celery` | feedparser, a Celery task a paper through the Redis of `PEER_BROKER`, the ORM; one worker |

Prints one line of JSON: seconds until all is stored, and the most memory held, in MB (of the worker for `celery`).
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import structlog
from celery import Celery
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from tests.benchmarks import reference_plain
from tests.benchmarks.reference_parse import by_feedparser

PAGE = 2_000
PATIENCE_S = 600

Spent = tuple[float, float]
"""Seconds, and the memory of a worker beside this process in MB (0: there was none)."""

app = Celery("peer", broker=os.environ.get("PEER_BROKER", "memory://"))
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=8, worker_hijack_root_logger=False)
_engine = create_engine(f"sqlite:///{os.environ.get('PEER_DATABASE', ':memory:')}")


@app.task(name="peer.add")
def add(row: dict[str, object]) -> None:
    """Add one paper."""
    reference_plain.add(_engine, row)


def broadsheet(url: str, count: int, _: Path) -> Spent:
    """Ours, page by page."""
    from services.pipeline import drain
    from services.pipeline.fetch import page_job
    from services.storage import feeds
    from tests.benchmarks import places
    from tests.factories import FeedSpec

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with places.runtime(arxiv_api_url=url) as rt:
        spec = FeedSpec(name="days", kind="arxiv_api", params={"query": "all:tides", "page_size": str(PAGE)})
        with rt.writing() as session:
            feed = feeds.add(session, spec, now=rt.now())
        start = time.perf_counter()
        rt.add_jobs([page_job(feed.id or 0, feed.name, slot="bench")])
        drain.run_until_idle(rt, ticking=False, stages=("fetch", "parse"))
        spent = time.perf_counter() - start
        with rt.reading() as session:
            from services.storage.tables import Paper

            stored = session.execute(select(func.count()).select_from(Paper)).scalar_one()
        assert stored == count, f"{stored} of {count} papers arrived"
        return spent, 0.0


def plain(url: str, count: int, folder: Path) -> Spent:
    """Feedparser and rows one by one."""
    start = time.perf_counter()
    added = sum(reference_plain.run(_get(url, at), folder / "plain.db") for at in range(0, count, PAGE))
    assert added == count, f"{added} of {count} papers arrived"
    return time.perf_counter() - start, 0.0


def reader(url: str, count: int, folder: Path) -> Spent:
    """The library `reader`, one feed a page."""
    # Its copy of feedparser looks for a module that is called otherwise today.
    sys.modules.setdefault("sgmllib", importlib.import_module("feedparser_sgmllib"))
    from reader import make_reader

    with make_reader(str(folder / "reader.db")) as shelf:
        for at in range(0, count, PAGE):
            shelf.add_feed(f"{url}?start={at}")
        start = time.perf_counter()
        shelf.update_feeds()
        spent = time.perf_counter() - start
        stored = shelf.get_entry_counts().total
    assert stored == count, f"{stored} of {count} papers arrived"
    return spent, 0.0


def celery(url: str, count: int, folder: Path) -> Spent:
    """A message a paper; returns when the worker has stored the last."""
    path = folder / "celery.db"
    reference_plain.prepare(path)
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "tests.benchmarks.peers", "worker", "--pool=solo", "--loglevel=ERROR",
         "--without-gossip", "--without-mingle", "--without-heartbeat"],
        env={**os.environ, "PEER_DATABASE": str(path)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        engine = create_engine(f"sqlite:///{path}")
        rows = by_feedparser(_get(url, 0))
        add.delay(json.loads(json.dumps(rows[0], default=str)))
        _wait(engine, 1)  # the worker is up: what follows is work
        start = time.perf_counter()
        for at in range(0, count, PAGE):
            for row in by_feedparser(_get(url, at)):
                add.delay(json.loads(json.dumps(row, default=str)))
        _wait(engine, count)
        return time.perf_counter() - start, _most_mb(worker.pid)
    finally:
        worker.terminate()
        worker.wait(30)


def _wait(engine: object, count: int) -> None:
    limit = time.monotonic() + PATIENCE_S
    while True:
        with Session(engine) as session:  # type: ignore[arg-type]
            if session.scalar(select(func.count()).select_from(reference_plain.Article)) == count:
                return
        assert time.monotonic() < limit, "the worker does not get done"
        time.sleep(0.02)


def _get(url: str, start: int) -> bytes:
    with urllib.request.urlopen(f"{url}?start={start}", timeout=60) as answer:
        return bytes(answer.read())


PEERS: dict[str, Callable[[str, int, Path], Spent]] = {
    "broadsheet": broadsheet, "plain": plain, "reader": reader, "celery": celery,
}  # fmt: skip


def main(name: str, url: str, count: int) -> None:
    """Run one and print what it came to."""
    with tempfile.TemporaryDirectory(prefix="broadsheet-bench-") as folder:
        spent, worker_mb = PEERS[name](url, count, Path(folder))
    print(json.dumps({"seconds": spent, "rss_mb": worker_mb or _most_mb("self")}))


def _most_mb(pid: int | str) -> float:
    """The most memory a process has held; what `getrusage` tells begins with that of its parent."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
