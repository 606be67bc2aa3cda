"""A whole installation run small: papers arrive, feeds are polled, readers get their mail; and what each part cost.

The run behind the figures of `broadsheet plan`, and behind the check that they hold at another size.
"""

from __future__ import annotations

import os
import platform
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, islice
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import event, func, text
from sqlmodel import col, select

from services.domain.jobs import Claim
from services.pipeline import drain
from services.pipeline.choose import MOST_KEPT
from services.pipeline.fetch import page_job
from services.pipeline.schedule import edition_job
from services.runtime import Runtime
from services.storage import deliveries, feeds
from services.storage.tables import Delivery, Paper
from tests.benchmarks import bench_digests, places
from tests.benchmarks.bench_pipeline import resident_mb
from tests.benchmarks.mail_sink import sink
from tests.benchmarks.page_server import serving
from tests.factories import FeedSpec

PAGE = 2_000
NEW = 500
"""Papers an edition is chosen from."""
WIDE, WHOLE = 20, 4
FIRST = 20
"""Readers before those that count: for the first of them templates are compiled and libraries loaded."""
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Part:
    """What one part of a run cost: processor here and in the database, by the clock, commits, bytes more on disk."""

    count: int
    seconds: float = 0.0
    database_s: float = 0.0
    clock_s: float = 0.0
    commits: int = 0
    grown: int = 0


@dataclass(slots=True, kw_only=True)
class Seen:
    """What a run came to. Polls are of feeds with nothing new."""

    papers: Part
    polls: Part
    editions: Part
    """Their jobs, from when they are due until what they make is there; chosen from `NEW` papers."""
    narrow: Part
    """Choosing alone, without a job."""
    wide: Part
    """The same from `wide_papers`."""
    wide_papers: int
    whole: Part
    """The same from `whole_papers`, all of the run: more than are kept ready, if there are so many."""
    whole_papers: int
    mails: Part
    document_bytes: int
    mail_bytes: int
    message_bytes: float
    job_bytes: float
    reader_bytes: float
    backup_share: float
    rss_mb: float


class Meter:
    """Looks at clock, processor, commits and disk before and after a part."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.commits = 0
        event.listen(rt.engine, "commit", self._count)

    def _count(self, _: object) -> None:
        self.commits += 1

    def size(self) -> int:
        """Bytes of the database's files."""
        with self.rt.reading() as session:
            if self.rt.engine.dialect.name == "postgresql":
                return int(session.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
            pages_held = session.execute(text("PRAGMA page_count")).scalar_one()
            return int(pages_held) * int(session.execute(text("PRAGMA page_size")).scalar_one())

    def database_s(self) -> float:
        """Processor time of the server's processes that work for us; SQLite works in ours."""
        if self.rt.engine.dialect.name != "postgresql":
            return 0.0
        with self.rt.reading() as session:
            ours = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            return float(sum(_processor_s(pid) for (pid,) in session.execute(text(ours))))

    @contextmanager
    def part(self, count: int) -> Iterator[Part]:
        """What happens within it is the part."""
        found = Part(count)
        size, database, commits = self.size(), self.database_s(), self.commits
        here, clock = time.process_time(), time.perf_counter()
        yield found
        found.seconds, found.clock_s = time.process_time() - here, time.perf_counter() - clock
        found.commits, found.grown = self.commits - commits, self.size() - size
        found.database_s = self.database_s() - database


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


@contextmanager
def runtime_on_postgresql(port: int, upstream: str) -> Iterator[Runtime | None]:
    """A runtime on PostgreSQL that asks `upstream` and mails to a local port; `None` where there is no PostgreSQL."""
    with places.postgresql() as make:
        if make is None:
            yield None
            return
        url = make().url.render_as_string(hide_password=False)
        mail = f"smtp://127.0.0.1:{port}"
        # Editions wait for no feed: nobody keeps the schedule here.
        with places.runtime(database_url=url, smtp_url=mail, arxiv_api_url=upstream, digest_wait_minutes=0) as rt:
            yield rt


def run(*, papers: int, subscribers: int, polled: int) -> Seen | None:
    """One run on PostgreSQL; `None` where there is none. Pages and mails are those of other processes."""
    with sink() as port, serving(papers, PAGE) as upstream, runtime_on_postgresql(port, upstream) as rt:
        if rt is None:
            return None
        meter = Meter(rt)
        with meter.part(papers) as stored:
            _fetch(rt, _add(rt, "archive", "arxiv_api", {"query": "all:tides", "page_size": str(PAGE)}))
        document_bytes = _documents(rt)
        first = [_add(rt, f"feed{n}", "rss", {}, url=f"{upstream}/{n}.xml") for n in range(min(polled, 50))]
        for feed in first:
            _fetch(rt, feed)
        with meter.part(polled) as polls:
            rt.add_jobs([page_job(*first[n % len(first)], slot=f"again {n}") for n in range(polled)])
            drain.run_until_idle(rt, ticking=False, stages=("fetch", "parse"))
        every = bench_digests.readers(rt, FIRST + subscribers, papers=NEW)
        reader_bytes = _row_bytes(rt, "subscribers", "subscriptions")
        _compose(rt, every[:FIRST])
        drain.run_until_idle(rt, ticking=False, stages=("notify",))
        with meter.part(subscribers) as editions:
            _compose(rt, every[FIRST:])
        with meter.part(subscribers) as mails:
            counted = drain.run_until_idle(rt, ticking=False, stages=("notify",))
        assert counted == {"done": subscribers}, counted
        with rt.reading() as session:
            sent = [one.edition_id for one, *_ in deliveries.list_all(session, states=["accepted"], limit=20)]
        message_bytes, job_bytes = _message_bytes(rt), _row_bytes(rt, "jobs", "attempts")
        rss_mb = resident_mb()
        numbers, today = count(len(every)), "2026-11-25"
        newest, since, wide_papers = _as_many_as_are_kept(rt)
        late = bench_digests.subscribed(rt, islice(numbers, WIDE), since=newest)
        with meter.part(WIDE) as narrow:
            bench_digests.compose(rt, late, today)
        late = bench_digests.subscribed(rt, islice(numbers, WIDE), since=since)
        with meter.part(WIDE) as wide:
            bench_digests.compose(rt, late, today)
        late = bench_digests.subscribed(rt, islice(numbers, WHOLE), since=rt.now() - timedelta(days=1))
        with meter.part(WHOLE) as whole:
            bench_digests.compose(rt, late, today)
        return Seen(
            papers=stored, polls=polls, editions=editions, narrow=narrow, wide=wide, wide_papers=wide_papers,
            whole=whole, whole_papers=_number(rt, "papers"), mails=mails, reader_bytes=reader_bytes,
            document_bytes=document_bytes, mail_bytes=_mail_bytes(rt, sent),
            message_bytes=message_bytes, job_bytes=job_bytes,
            backup_share=_compressed(rt) / meter.size(), rss_mb=rss_mb,
        )  # fmt: skip


def _compose(rt: Runtime, subscriptions: Sequence[int]) -> None:
    """Run the jobs that compose an edition for each, and none of those that follow: they come after."""
    rt.add_jobs([edition_job(one, "daily", "UTC", rt.now()) for one in subscriptions])
    enough = threading.Event()
    ran = count(1)

    def look(claim: Claim, outcome: str) -> None:
        assert (claim.kind, outcome) == ("compose_edition", "done"), f"{claim.kind} {claim.key}: {outcome}"
        if next(ran) == len(subscriptions):
            enough.set()

    drain.run_until_idle(rt, ticking=False, stages=("notify",), stop=enough, on_job=look)
    assert enough.is_set()


def _as_many_as_are_kept(rt: Runtime) -> tuple[datetime, datetime, int]:
    """Moments: since the first the newest page of papers came, since the second as many as are kept ready for editions.
    And the number of these."""
    moment = timedelta(microseconds=1)
    with rt.reading() as session:
        query = select(Paper.first_seen_at, func.count()).group_by(col(Paper.first_seen_at))
        pages = list(session.exec(query.order_by(col(Paper.first_seen_at).desc())))
    since, number = pages[0][0], 0
    for came_at, came in pages:
        if number + came > MOST_KEPT:
            break
        since, number = came_at, number + came
    return pages[0][0] - moment, since - moment, number


def _add(rt: Runtime, name: str, kind: str, params: dict[str, str], url: str = "") -> tuple[int, str]:
    with rt.writing() as session:
        feed = feeds.add(session, FeedSpec(name=name, kind=kind, params=params, url=url), now=rt.now())
        return feed.id or 0, feed.name


def _fetch(rt: Runtime, feed: tuple[int, str]) -> None:
    rt.add_jobs([page_job(*feed, slot="first")])
    drain.run_until_idle(rt, ticking=False, stages=("fetch", "parse"))


def _documents(rt: Runtime) -> int:
    with rt.reading() as session:
        return int(session.execute(text("SELECT coalesce(sum(length(body)), 0) FROM documents")).scalar_one())


def _row_bytes(rt: Runtime, *tables: str) -> float:
    """Bytes of a row of the first table with its indexes and what the other tables hold for it."""
    with rt.reading() as session:
        sizes = sum(
            int(session.execute(text("SELECT pg_total_relation_size(:name)"), {"name": table}).scalar_one())
            for table in tables
        )
    return sizes / max(_number(rt, tables[0]), 1)


def _number(rt: Runtime, table: str) -> int:
    with rt.reading() as session:
        return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def _mail_bytes(rt: Runtime, made: list[int]) -> int:
    return bench_digests.render(rt, made) // len(made)


def _message_bytes(rt: Runtime) -> float:
    """Of a mail as it is kept on its delivery."""
    with rt.reading() as session:
        return float(session.exec(select(func.avg(func.length(Delivery.message)))).one())


def _compressed(rt: Runtime) -> int:
    """Bytes of a backup of it all: rows without indexes, compressed as `pg_dump --format=custom` does."""
    size = 0
    url = rt.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            squeeze = zlib.compressobj(6)
            with cursor.copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as rows:
                size += sum(len(squeeze.compress(bytes(row))) for row in rows)
            size += len(squeeze.flush())
    return size


def sync_s(writes: int = 100) -> float:
    """By the clock, one small write until the disk has it; the fastest tenth, since others waited for a processor."""
    with tempfile.TemporaryFile() as file:
        taken: list[float] = []
        for _ in range(writes):
            start = time.perf_counter()
            file.write(b"x" * 8192)
            file.flush()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - start)
    return sorted(taken)[len(taken) // 10]


def machine() -> str:
    """What this machine is, in words."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} × {model or 'processor'}, {memory:.0f} GB, Python {platform.python_version()}"
