"""Scaled out: Redis, PostgreSQL and `broadsheet worker` processes; two of them beside one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import _pytest.outcomes
from sqlalchemy import func, select

from config.settings import Settings
from services.domain.jobs import NewJob
from services.pipeline import drain
from services.pipeline.fetch import page_job
from services.runtime import Runtime
from services.storage import feeds
from services.storage.tables import Heartbeat, Paper
from tests import servers
from tests.benchmarks import pages, places
from tests.benchmarks.harness import Options, Result, allowance, rate, ratio_of
from tests.factories import FeedSpec
from workers.app import make_app, make_publisher

SIZE, SIZE_QUICK = 500, 30


def scaled(options: Options) -> Iterator[Result]:
    """Two workers beside one on the same pages, and what a job costs beside a page's time."""
    size, count = options.some(SIZE, SIZE_QUICK), options.some(16, 4)
    bodies = [pages.atom_page(pages.records(size, start=n * size)) for n in range(count)]
    with ExitStack() as stack:
        try:
            redis = stack.enter_context(servers.redis_server())
        except _pytest.outcomes.OutcomeException:
            return
        make = stack.enter_context(places.postgresql())
        if make is None:
            return
        upstream = stack.enter_context(places.Pages(lambda path: bodies[int(urlsplit(path).path.strip("/")) % count]))
        one: list[float] = []
        two: list[float] = []
        for _ in range(options.some(3, 1)):
            for times, number in ((one, 1), (two, 2)):
                url = make().url.render_as_string(hide_password=False)
                redis.flush()
                times.append(_run(url, redis.url, upstream.url, workers=number, feeds_held=count, papers=count * size))
        ratio, spread = ratio_of(two, one)
        yield Result(
            name="two workers, Redis and PostgreSQL", ratio=ratio, target=1.6, spread=spread, reference="one worker",
            note=f"{rate(count * size, two)} papers/s beside {rate(count * size, one)}; {os.cpu_count()} processors, "
            "on which the database works, too",
        )  # fmt: skip
        url = make().url.render_as_string(hide_password=False)
        each = _job_s(url, redis.url, options.some(100, 10))
        page_s = min(one) / count
        yield allowance(
            "queue on Redis and PostgreSQL: cost beside the work", used=2 * each / page_s, allowed=0.05,
            what=f"5 % of a page of {size}",
            note=f"{each * 1000:.1f} ms a job, two of a page's {page_s * 1000:.0f} ms",
        )  # fmt: skip


@contextmanager
def _runtime(url: str, broker: str) -> Iterator[Runtime]:
    """A runtime that publishes hints to the broker."""
    with places.runtime(database_url=url, broker_url=broker) as rt:
        app = make_app(Settings(_env_file=None, home=rt.settings.home, broker_url=broker, secret_key="for measuring"))
        rt.publish = make_publisher(app)
        yield rt


def _run(url: str, broker: str, upstream: str, *, workers: int, feeds_held: int, papers: int) -> float:
    """Seconds by the clock from the first hint to the last paper."""
    with _runtime(url, broker) as rt, tempfile.TemporaryDirectory(prefix="broadsheet-bench-") as home:
        with rt.writing() as session:
            held = [
                feeds.add(session, FeedSpec(name=f"f{n}", kind="rss", url=f"{upstream}/{n}"), now=rt.now())
                for n in range(feeds_held)
            ]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BROADSHEET_")} | {
            "BROADSHEET_HOME": home, "BROADSHEET_DATABASE_URL": url, "BROADSHEET_BROKER_URL": broker,
            "BROADSHEET_SECRET_KEY": "for measuring only", "BROADSHEET_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
            "BROADSHEET_GATE_SCALE": "0", "BROADSHEET_FETCH_MAX_MB": "64", "PYTHONPATH": str(pages.ROOT),
        }  # fmt: skip
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "workers", "worker", "--concurrency", "1", "--stages", "fetch,parse"],
                env=environment, cwd=home, stdout=subprocess.DEVNULL, stderr=(Path(home) / f"{n}.log").open("wb"),
            )
            for n in range(workers)
        ]  # fmt: skip
        try:
            servers.wait_until(lambda: _count(rt, Heartbeat) >= workers, within_s=30, what="the workers are up")
            start = time.perf_counter()
            rt.add_jobs([page_job(feed.id or 0, feed.name, slot="bench") for feed in held])
            servers.wait_until(lambda: _count(rt, Paper) >= papers, within_s=200, what="all papers are stored")
            return time.perf_counter() - start
        finally:
            for process in running:
                process.terminate()
            for process in running:
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _count(rt: Runtime, model: type[Heartbeat] | type[Paper]) -> int:
    with rt.reading() as session:
        return int(session.execute(select(func.count()).select_from(model)).scalar_one())


def _job_s(url: str, broker: str, number: int) -> float:
    """Seconds of a job that does nothing: added, hinted, claimed by its id, finished."""
    with _runtime(url, broker) as rt:
        start = time.perf_counter()
        hints = rt.add_jobs([NewJob(kind="housekeeping", key=str(n)) for n in range(number)])
        for hint in hints:
            claim = drain.claim_next(rt, job_id=hint.job_id)
            assert claim is not None
            with rt.step(claim):
                pass
        return (time.perf_counter() - start) / number
