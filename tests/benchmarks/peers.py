"""`python -m tests.benchmarks.peers NAME URL COUNT`: one way of taking in a feed of papers, in a process of its own.

| name | is |
|---|---|
| `broadsheet` | our pipeline: fetch, parse, store, index, through jobs |
| `plain` | feedparser and the ORM row by row: papers, authors and addresses alone (`reference_plain`) |
| `plain-full` | the same way to the same facts as ours, words for searching included (`reference_full`) |
| `reader` | the library of that name (PyPI), updating the feed into its SQLite |
| `reader-search` | the same, its index for searching brought up to date |
| `celery`, `celery-full` | `plain` and `plain-full` with a Celery task a paper through the Redis of `PEER_BROKER` |

Prints one line of JSON: seconds until all is stored, by the clock and of the processor (that of Celery's
one worker included, Redis left out), and the most memory held, in MB (of the worker, where there is one).
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from types import ModuleType

import structlog
from celery import Celery
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import DeclarativeBase

from tests.benchmarks import reference_full, reference_plain
from tests.benchmarks.reference_parse import by_feedparser

PAGE = 2_000
PATIENCE_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one peer took: seconds by the clock and of the processor, and the most memory held."""

    seconds: float
    processor_s: float
    rss_mb: float


class Watch:
    """Starts when it is made; `stop` tells what was spent since by this process and, where there is one, a worker."""

    def __init__(self, worker: int | None = None) -> None:
        self._worker = worker
        self._began, self._worked = time.perf_counter(), self._processor_s()

    def stop(self) -> Spent:
        """What was spent."""
        return Spent(
            seconds=time.perf_counter() - self._began, processor_s=self._processor_s() - self._worked,
            rss_mb=_most_mb(self._worker or "self"),
        )  # fmt: skip

    def _processor_s(self) -> float:
        if self._worker is None:
            return time.process_time()
        user, system = Path(f"/proc/{self._worker}/stat").read_text().rpartition(")")[2].split()[11:13]
        return time.process_time() + (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


app = Celery("peer", broker=os.environ.get("PEER_BROKER", "memory://"))
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=8, worker_hijack_root_logger=False)


@cache
def _engine(of: ModuleType) -> Engine:
    engine: Engine = of.prepare(Path(os.environ["PEER_DATABASE"]))
    return engine


@app.task(name="peer.add")
def add(row: dict[str, object]) -> None:
    """Add one paper."""
    reference_plain.add(_engine(reference_plain), row)


@app.task(name="peer.take_in")
def take_in(said: dict[str, object]) -> None:
    """Take in one paper, with all that is known of it."""
    reference_full.take_in(_engine(reference_full), said)


def broadsheet(url: str, count: int, _: Path) -> Spent:
    """Ours, page by page."""
    from services.pipeline import drain
    from services.pipeline.fetch import page_job
    from services.storage import feeds
    from services.storage.tables import Paper
    from tests.benchmarks import places
    from tests.factories import FeedSpec

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with places.runtime(arxiv_api_url=url) as rt:
        spec = FeedSpec(name="days", kind="arxiv_api", params={"query": "all:tides", "page_size": str(PAGE)})
        with rt.writing() as session:
            feed = feeds.add(session, spec, now=rt.now())
        watch = Watch()
        rt.add_jobs([page_job(feed.id or 0, feed.name, slot="bench")])
        drain.run_until_idle(rt, ticking=False, stages=("fetch", "parse"))
        spent = watch.stop()
        with rt.reading() as session:
            stored = session.execute(select(func.count()).select_from(Paper)).scalar_one()
        assert stored == count, f"{stored} of {count} papers arrived"
        return spent


def plain(url: str, count: int, folder: Path) -> Spent:
    """Feedparser and rows one by one."""
    watch = Watch()
    added = sum(reference_plain.run(body, folder / "plain.db") for body in map(reference_plain.get, _urls(url, count)))
    assert added == count, f"{added} of {count} papers arrived"
    return watch.stop()


def plain_full(url: str, count: int, folder: Path) -> Spent:
    """The same to the same facts as ours."""
    watch = Watch()
    added = reference_full.run(_urls(url, count), folder / "full.db", now=datetime.now(UTC))
    assert added == count, f"{added} of {count} papers arrived"
    return watch.stop()


def reader(url: str, count: int, folder: Path, *, search: bool = False) -> Spent:
    """The library `reader`, one feed a page."""
    # Its copy of feedparser looks for a module that is called otherwise today.
    sys.modules.setdefault("sgmllib", importlib.import_module("feedparser_sgmllib"))
    from reader import make_reader

    with make_reader(str(folder / "reader.db"), search_enabled=search) as shelf:
        for one in _urls(url, count):
            shelf.add_feed(one)
        watch = Watch()
        shelf.update_feeds()
        if search:
            shelf.update_search()
        spent = watch.stop()
        stored = shelf.get_entry_counts().total
        assert not search or shelf.search_entry_counts("the").total, "its index has no words"
    assert stored == count, f"{stored} of {count} papers arrived"
    return spent


def celery(url: str, count: int, folder: Path) -> Spent:
    """A message a paper; returns when the worker has stored the last."""
    path = folder / "celery.db"
    engine = reference_plain.prepare(path)
    with _worker(path) as pid:
        rows = by_feedparser(reference_plain.get(url))
        add.delay(_sendable(rows[0]))
        _wait(engine, reference_plain.Article, 1)  # the worker is up: what follows is work
        watch = Watch(pid)
        for body in map(reference_plain.get, _urls(url, count)):
            for row in by_feedparser(body):
                add.delay(_sendable(row))
        _wait(engine, reference_plain.Article, count)
        return watch.stop()


def celery_full(url: str, count: int, folder: Path) -> Spent:
    """The same to the same facts as ours."""
    path = folder / "celery.db"
    engine = reference_full.prepare(path)
    with _worker(path) as pid:
        _, messages = reference_full.open_page(engine, reference_plain.get(url), url=url, now=datetime.now(UTC))
        take_in.delay(messages[0])
        _wait(engine, reference_full.Paper, 1)
        watch = Watch(pid)
        done = 0
        for one in _urls(url, count):
            fetch_id, messages = reference_full.open_page(
                engine, reference_plain.get(one), url=one, now=datetime.now(UTC)
            )
            for message in messages:
                take_in.delay(message)
            done += len(messages)
            _wait(engine, reference_full.Paper, done)
            reference_full.close_page(engine, fetch_id)
        return watch.stop()


@contextmanager
def _worker(path: Path) -> Iterator[int]:
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "tests.benchmarks.peers", "worker", "--pool=solo", "--loglevel=ERROR",
         "--without-gossip", "--without-mingle", "--without-heartbeat"],
        env={**os.environ, "PEER_DATABASE": str(path)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield worker.pid
    finally:
        worker.terminate()
        worker.wait(30)


def _sendable(row: dict[str, object]) -> dict[str, object]:
    """As a message can carry it."""
    plain: dict[str, object] = json.loads(json.dumps(row, default=str))
    return plain


def _wait(engine: Engine, table: type[DeclarativeBase], count: int) -> None:
    limit = time.monotonic() + PATIENCE_S
    counted = select(func.count()).select_from(table)
    while True:
        with engine.connect() as connection:
            if connection.execute(counted).scalar_one() == count:
                return
        assert time.monotonic() < limit, "the worker does not get done"
        time.sleep(0.05)


def _urls(url: str, count: int) -> list[str]:
    return [f"{url}?start={at}" for at in range(0, count, PAGE)]


PEERS: dict[str, Callable[[str, int, Path], Spent]] = {
    "broadsheet": broadsheet, "plain": plain, "plain-full": plain_full, "reader": reader,
    "reader-search": partial(reader, search=True), "celery": celery, "celery-full": celery_full,
}  # fmt: skip


def main(name: str, url: str, count: int) -> None:
    """Run one and print what it came to."""
    with tempfile.TemporaryDirectory(prefix="broadsheet-bench-") as folder:
        print(json.dumps(asdict(PEERS[name](url, count, Path(folder)))))


def _most_mb(pid: int | str) -> float:
    """The most memory a process has held; what `getrusage` tells begins with that of its parent."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
