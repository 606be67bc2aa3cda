"""The ground a plan with forked workers stands on: one installation on SQLite, a clock the plan turns, and workers
that run the real pipeline until a named step ends or stops them."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import smtplib
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any

import structlog
import structlog.testing

from config.settings import Settings
from services.channels.email import SmtpChannel
from services.channels.outbox_folder import OutboxFolder
from services.domain.jobs import STAGES
from services.pipeline import drain
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import feeds, schema
from services.storage.engine import make_engine
from services.upstreams.http import HttpClient
from tests.factories import FeedSpec
from tests.faults.audit import Archive
from workers import monitor

BEGIN = datetime(2026, 11, 2, 0, 30, tzinfo=UTC)
"""A Monday, after the day's first listing."""

PATIENCE = timedelta(hours=2)
"""Of the plan's clock: a worker waits this long for retries."""


class SharedClock:
    """A clock that all forked workers share. It moves a little whenever it is read, and as the plan turns it."""

    def __init__(self, start: datetime = BEGIN) -> None:
        self._seconds = RawArray("d", [start.timestamp()])

    def now(self) -> datetime:
        """The plan's present moment."""
        self._seconds[0] += 0.001
        return datetime.fromtimestamp(self._seconds[0], UTC)

    def sleep(self, seconds: float) -> None:
        """Let time pass at once, and faster than asked: a worker looks once a second while it waits."""
        self._seconds[0] += max(seconds, 0.0) * 60

    def advance(self, seconds: float) -> None:
        """Move on by so much."""
        self._seconds[0] += seconds

    def turn_to(self, moment: datetime) -> None:
        """Move on to a moment, never back."""
        self._seconds[0] = max(self._seconds[0], moment.timestamp())


@dataclass(frozen=True, slots=True)
class Fault:
    """End (`kill`) or stop (`pause`) a worker at the `passing`-th passing of a named step."""

    point: str
    passing: int = 1
    act: str = "kill"


class Ground:
    """One installation: its folder, database, settings and clock."""

    def __init__(
        self, home: Path, world: Any, *, ambiguity: str, readers: int, start: datetime = BEGIN, limit: int = 4,
        patch: Callable[[], None] | None = None, smtp_timeout_s: float = 10.0,
        smtp_accept_s: float = 10.0,
    ) -> None:  # fmt: skip
        web_port, smtp_port = world.ports()
        self.home, self.world, self.patch = home, world, patch
        self.clock = SharedClock(start)
        self.readers = [f"reader{n}@readers.example" for n in range(readers)]
        self.smtp_timeout_s, self.smtp_accept_s = smtp_timeout_s, smtp_accept_s
        base = f"http://127.0.0.1:{web_port}"
        values: dict[str, Any] = {
            "home": home, "gate_scale": 0, "retry_first_s": 1, "allowed_private_hosts": f"127.0.0.1:{web_port}",
            "secret_key": "a key for fault plans only", "public_url": "https://papers.example",
            "mail_from": "Broadsheet <broadsheet@papers.example>", "hf_url": f"{base}/hf",
            "github_api_url": f"{base}/github", "smtp_url": f"smtp://127.0.0.1:{smtp_port}",
            "smtp_ambiguity": ambiguity, "digest_wait_minutes": 0, "repo_recheck": False,
        }  # fmt: skip
        self.settings = Settings(_env_file=None, **values)
        self.archive = Archive(self.settings.database)
        # Made once, for what they load is slow to load; neither holds a connection when a worker is forked.
        self._engine = make_engine(self.settings.database, pool_size=2)
        self._http = self._new_http()
        self._set_up(base, limit)

    def _new_http(self) -> HttpClient:
        return HttpClient(
            user_agent="Broadsheet fault plans", allowed_private_hosts=self.settings.private_hosts,
            sleep=lambda _: None,
        )  # fmt: skip

    def warm_up(self) -> None:
        """Run what is due in this very process, so that templates and statements are ready in all workers."""
        rt = self.runtime()
        with structlog.testing.capture_logs():
            drain.run_until_idle(rt)
        rt.close()
        self._http = self._new_http()

    def _set_up(self, base: str, limit: int) -> None:
        rt = self.runtime()
        try:
            schema.migrate(rt.engine)
            with rt.writing() as session:
                now = rt.now()
                for spec in (
                    FeedSpec(name="daily", kind="hf_papers", interval_minutes=1440, history_days=1,
                             params={"limit": str(limit)}),
                    FeedSpec(name="blog", kind="rss", url=f"{base}/blog.json", interval_minutes=1440),
                    FeedSpec(name="lab", kind="rss", url=f"{base}/lab.json", interval_minutes=1440),
                ):  # fmt: skip
                    feeds.add(session, spec, now=now)
                for reader in self.readers:
                    subscribe(rt, session, to=reader, budget=500, at="08:00", timezone="UTC", confirmed=True)
        finally:
            rt.close()

    def runtime(self) -> Runtime:
        """A runtime with connections of its own, on the plan's clock."""
        settings = self.settings
        return Runtime(
            settings=settings, engine=self._engine, http=self._http,
            channels={
                "outbox": OutboxFolder(settings.outbox, settings.mail_from),
                "email": SmtpChannel(
                    settings.smtp_url.get_secret_value(), settings.mail_from, timeout_s=self.smtp_timeout_s,
                    accept_timeout_s=self.smtp_accept_s,
                ),
            },
            clock=self.clock.now, sleep=self.clock.sleep, worker=monitor.process_name("worker"),
            secret=settings.signing_key(),
        )  # fmt: skip

    # -- workers -------------------------------------------------------------------------------------------

    def work(self, fault: Fault | None = None, *, recover: bool = False, stages: Sequence[str] = STAGES) -> str:
        """Fork a worker that runs what is due: `idle` when it got to the end, else `killed`, or `paused`.

        A paused one is left stopped; see `go_on`. Any other end is an error of the worker and raised here.
        """
        pid = os.fork()
        if pid == 0:
            self._child(fault, recover, stages)
        return self._wait(pid)

    def go_on(self) -> str:
        """Wake the worker that was paused, and wait for its end."""
        pid, self._stopped = self._stopped, 0
        os.kill(pid, signal.SIGCONT)
        return self._wait(pid)

    _stopped = 0

    def _wait(self, pid: int) -> str:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            self._stopped = pid
            return "paused"
        if os.WIFSIGNALED(status):
            return "killed"
        code = os.waitstatus_to_exitcode(status)
        if code:
            raise RuntimeError(f"a worker ended with {code}; see {self.home / 'worker.log'}")
        return "idle"

    def _child(self, fault: Fault | None, recover: bool, stages: Sequence[str]) -> None:
        code = 1
        try:
            structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[_nothing])
            rt = self.runtime()
            rt.checkpoint = _trigger(fault)
            _watch_the_dot(rt.checkpoint)
            if self.patch is not None:
                self.patch()
            if recover:
                monitor.recover(rt)
            drain.run_until_idle(rt, stages=stages, patience=PATIENCE)
            code = 0
        except BaseException:
            with (self.home / "worker.log").open("a") as log:
                log.write(traceback.format_exc())
        finally:
            os._exit(code)


def _nothing(*_: Any) -> str:
    raise structlog.DropEvent


def _trigger(fault: Fault | None) -> Callable[[str], None]:
    left = fault.passing if fault is not None else 0

    def checkpoint(name: str) -> None:
        nonlocal left
        if fault is None or name != fault.point:
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL if fault.act == "kill" else signal.SIGSTOP)

    return checkpoint


def _watch_the_dot(checkpoint: Callable[[str], None]) -> None:
    """A step more: right after the final dot has been written, before its answer is read."""
    write = smtplib.SMTP.send

    def send(self: smtplib.SMTP, data: Any) -> None:
        write(self, data)
        if data == b".\r\n":
            checkpoint("send_deliveries.dotted")

    smtplib.SMTP.send = send  # type: ignore[method-assign, assignment]


@contextmanager
def ground(world: Any, **options: Any) -> Iterator[Ground]:
    """A fresh installation in memory (or on the disk for temporary files), removed afterwards."""
    memory = Path("/dev/shm")
    home = Path(tempfile.mkdtemp(prefix="broadsheet-faults-", dir=memory if memory.is_dir() else None))
    gc.freeze()  # what is there now is shared with all workers and never looked at by their collectors
    try:
        yield Ground(home, world, **options)
    finally:
        sys.stderr.flush()
        shutil.rmtree(home, ignore_errors=True)
