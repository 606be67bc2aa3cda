"""Plan 2: the service as it is run, under faults that are real.

`distributed`: two `broadsheet worker` and a `broadsheet beat` on Redis and PostgreSQL. `embedded`: `broadsheet up` on
SQLite. Time is real; the plan makes days pass by moving the due times of feeds and subscriptions. Every kind of fault
happens once, and then they come as fast as they can. `tests.faults.recovery` takes the time that each needs by itself.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from config.settings import Settings
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import schema
from tests.faults import backing
from tests.faults.audit import Archive, Expected, audit
from tests.faults.kill import Report
from tests.faults.processes import Service, children_of

LEASE_S = 6
CHILDREN = 3
BUDGET = 500
READERS = 4
SETTLES_WITHIN_S = 120.0
RARE = frozenset({"database locked 40 s", "SIGSTOP"})
"""Kinds in which all others wait so long that a short plan goes without: what it means to be stopped for longer than
the lease, the kill plan tells."""

DISTRIBUTED = {
    "child kill -9": 50, "FLUSHALL": 14, "CLIENT KILL": 10, "beat kill -9": 4, "second beat": 3, "worker kill -9": 2,
    "worker SIGTERM": 2, "redis kill -9": 3, "redis SIGSTOP": 1, "child SIGSTOP": 4, "PostgreSQL crash": 1,
    "upstream cut": 3, "clock step": 3,
}  # fmt: skip
"""Kinds of fault and how often each comes, in a hundred."""

EMBEDDED = {
    "kill -9": 40, "SIGTERM": 14, "SIGSTOP": 6, "database locked": 10, "database locked 40 s": 1, "disk full": 10,
    "upstream cut": 12, "clock step": 7,
}  # fmt: skip
MOST_OFF_S = 3600.0
"""A host's clock is never off by more."""
DISK_MB = 64
"""The disk of the embedded service, where one can be mounted: filled up, it says so to whoever writes."""


class NotUp(Exception):
    """The service did not start."""


class Plan:
    """One installation under faults: how days pass on it, and when it has settled."""

    def __init__(self, world: Any, home: Path, environment: Mapping[str, str], report: Report) -> None:
        self.world, self.home, self.report = world, home, report
        self.service = Service(home, environment)
        values = {k.removeprefix("BROADSHEET_").lower(): v for k, v in environment.items()}
        self.settings = Settings(_env_file=None, **values)  # type: ignore[arg-type]
        self.archive = Archive(self.settings.database)
        self.readers = [f"reader{n}@readers.example" for n in range(READERS)]
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.hung = self.announced = 0
        self.stop_s = min(self.settings.lease_s * 1.3, 20)
        self._day = date(2026, 1, 5)
        rt = Runtime.from_settings(self.settings)
        schema.migrate(rt.engine)
        with rt.writing() as session:
            for reader in self.readers:
                subscribe(rt, session, to=reader, budget=BUDGET, confirmed=True)
        rt.close()

    def now(self) -> datetime:
        """What time it is for the service: its database's. SQLite has its host's."""
        clocks = self.service.clocks
        return clocks["up"].now() if self.archive.is_sqlite and "up" in clocks else datetime.now(UTC)

    def step_clock(self, host: str, chance: random.Random) -> None:
        """Set the clock of a host; it may have been off before."""
        self.service.clocks[host].step(chance.uniform(-MOST_OFF_S, MOST_OFF_S))

    def new_works(self) -> None:
        """Works are announced, and all feeds are due."""
        self.announced += self.world.announce(self.now().date(), 4)
        self._try("UPDATE feeds SET next_check_at = :now", now=self._moment())

    def new_day(self) -> None:
        """Editions of another day are due."""
        self._day += timedelta(days=1)
        due_at = datetime(self._day.year, self._day.month, self._day.day, 8, 0, tzinfo=UTC)
        self._try("UPDATE subscriptions SET next_edition_at = :due", due=self._moment(due_at))
        self.report.rounds += 1

    def miss_no_repo(self) -> None:
        """Repositories whose host was cut off when they were asked for are due again, as they would be in an hour."""
        long_ago = self._moment(self.now() - timedelta(hours=2))
        self._try("UPDATE repos SET next_check_at = :at WHERE state = 'new'", at=long_ago)
        self._try("UPDATE gates SET free_at = :at, failures = 0", at=long_ago)
        self._try("UPDATE slots SET next_at = :at WHERE name = 'repos'", at=long_ago)
        backing.wait(lambda: not self._waits_for_repos(), 30, 0.1)

    def _waits_for_repos(self) -> int:
        with suppress(DBAPIError):
            return self.archive.number(
                "SELECT count(*) FROM slots WHERE name = 'repos' AND next_at <= :now", now=self._moment()
            )
        return 1

    def _try(self, statement: str, **values: Any) -> None:
        for _ in range(100):
            try:
                self.archive.change(statement, **values)
            except DBAPIError:
                time.sleep(0.2)  # the database is what we have just killed
            else:
                return

    def look(self) -> None:
        """Do what was put off until now."""
        now = time.monotonic()
        due = [act for at, act in self.later if at <= now]
        self.later = [(at, act) for at, act in self.later if at > now]
        for act in due:
            act()
        self.service.supervise()

    def put_off(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something later."""
        self.later.append((time.monotonic() + seconds, act))

    def let_end(self, name: str, within_s: float) -> None:
        """SIGTERM; whether it heeds it in time is looked at later, while others go on."""
        process = self.service.ask_to_end(name)
        limit = time.monotonic() + within_s

        def look() -> None:
            if process.poll() is None and time.monotonic() < limit:
                self.put_off(0.2, look)
            elif process.poll() is None:
                self.hung += 1
                for pid in (process.pid, *children_of(process.pid)):
                    os.kill(pid, signal.SIGUSR2)  # the log tells what they wait for

        self.put_off(0, look)

    def quiet(self) -> bool:
        """Whether nothing is left to be done."""
        self.look()
        if self.later:
            return False
        try:
            return not self.archive.number(
                "SELECT (SELECT count(*) FROM jobs WHERE (state = 'running' OR state = 'ready' AND due_at <= :soon) "
                "AND kind <> 'housekeeping') "
                "+ (SELECT count(*) FROM feeds WHERE next_check_at <= :now) "
                "+ (SELECT count(*) FROM subscriptions WHERE next_edition_at <= :now)", now=self._moment(),
                soon=self._moment(self.now() + timedelta(seconds=60)),
            )  # fmt: skip
        except DBAPIError:
            return False

    def _moment(self, at: datetime | None = None) -> str:
        """A time as the database keeps it: SQLite compares text, so it must be the very same."""
        offset = "" if self.archive.is_sqlite else "+00:00"
        return f"{at or self.now():%Y-%m-%d %H:%M:%S.%f}{offset}"

    def settle(self, within_s: float = SETTLES_WITHIN_S) -> float:
        """Wait until nothing is left to be done; returns the seconds, endless when it never was."""
        began = time.monotonic()
        if backing.wait(self.quiet, within_s, 0.05):
            return time.monotonic() - began
        return float("inf")


def _environment(world: Any, home: Path, **more: str) -> dict[str, str]:
    web_port, smtp_port = world.ports()
    base = f"http://127.0.0.1:{web_port}"
    (home / "feeds.toml").write_text(
        f'[[feed]]\nname = "daily"\nkind = "hf_papers"\ninterval_minutes = 1440\nhistory_days = 1\nlimit = 20\n'
        f'[[feed]]\nname = "blog"\nkind = "rss"\nurl = "{base}/blog.json"\ninterval_minutes = 1440\n'
        f'[[feed]]\nname = "lab"\nkind = "rss"\nurl = "{base}/lab.json"\ninterval_minutes = 1440\n'
    )
    values = {
        "home": str(home), "feeds": str(home / "feeds.toml"), "secret_key": "a key for fault plans only",
        "gate_scale": "0", "retry_first_s": "0.3", "lease_s": str(LEASE_S), "poll_s": "0.4", "tick_s": "0.3",
        "concurrency": "2", "allowed_private_hosts": f"127.0.0.1:{web_port}", "hf_url": f"{base}/hf",
        "github_api_url": f"{base}/github", "smtp_url": f"smtp://127.0.0.1:{smtp_port}",
        "mail_from": "Broadsheet <broadsheet@papers.example>", "public_url": "https://papers.example",
        "digest_wait_minutes": "0", "repo_recheck": "true", "log_format": "json", "web_port": "0", **more,
    }  # fmt: skip
    return {f"BROADSHEET_{name.upper()}": value for name, value in values.items()}


# -- distributed -----------------------------------------------------------------------------------------------


class Distributed:
    """Faults of workers, schedule, Redis and PostgreSQL."""

    kinds = DISTRIBUTED

    def __init__(self, plan: Plan, redis: backing.Redis, postgres: backing.Postgres, chance: random.Random) -> None:
        self._plan, self._redis, self._postgres, self._chance = plan, redis, postgres, chance

    def bring_up(self) -> None:
        """Start what does not run."""
        self._redis.start()
        for name in ("worker-1", "worker-2"):
            self._plan.service.start(name, "worker", "--concurrency", str(CHILDREN))
        self._plan.service.start("beat", "beat")

    def ready(self) -> bool:
        """Whether all workers have children."""
        processes = self._plan.service.processes
        return all(len(children_of(processes[n].pid)) >= CHILDREN for n in ("worker-1", "worker-2") if n in processes)

    def inject(self, kind: str) -> bool:
        """Let it happen; False when there was nothing for it to happen to."""
        service, plan = self._plan.service, self._plan
        worker = self._chance.choice(("worker-1", "worker-2"))
        children = children_of(service.processes[worker].pid) if worker in service.processes else []
        if kind.startswith("child"):
            if len(children) < CHILDREN:
                return False  # it is only just starting
            child = self._chance.choice(children)
            if kind == "child kill -9":
                os.kill(child, signal.SIGKILL)
            else:
                os.kill(child, signal.SIGSTOP)
                plan.put_off(plan.stop_s, lambda: _wake(child))
        elif kind.startswith("worker") and worker not in service.processes:
            return False
        elif kind == "worker kill -9":
            service.kill(worker)
            plan.put_off(0, self.bring_up)
        elif kind == "worker SIGTERM":
            plan.let_end(worker, 30)
            plan.put_off(0, self.bring_up)
        elif kind == "beat kill -9":
            if "beat" not in service.processes:
                return False
            service.kill("beat")
            plan.put_off(self._chance.random(), self.bring_up)
        elif kind == "second beat":
            service.start("beat-2", "beat")
            plan.put_off(3, lambda: service.kill("beat-2") if "beat-2" in service.processes else None)
        elif kind == "FLUSHALL":
            self._redis.flush()
        elif kind == "CLIENT KILL":
            self._redis.cut_clients()
        elif kind == "redis kill -9":
            self._redis.kill()
            plan.put_off(self._chance.uniform(0, 2), self._redis.start)
        elif kind == "redis SIGSTOP":
            self._redis.pause()
            plan.put_off(self._chance.uniform(1, 12), self._redis.go_on)
        elif kind == "clock step":
            plan.step_clock(self._chance.choice(("worker-1", "worker-2", "beat")), self._chance)
        elif kind == "PostgreSQL crash":
            self._postgres.crash()
            time.sleep(self._chance.random())
            self._postgres.start()
        else:
            plan.world.drop("/", self._chance.randint(1, 3))
        return True


def _wake(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


# -- embedded --------------------------------------------------------------------------------------------------


class Embedded:
    """Faults of the one process and its SQLite file."""

    kinds = EMBEDDED

    def __init__(self, plan: Plan, chance: random.Random) -> None:
        self._plan, self._chance = plan, chance

    def bring_up(self) -> None:
        """Start it when it does not run."""
        self._plan.service.start("up", "up")

    def ready(self) -> bool:
        """Whether it has said that it is up."""
        return self._plan.service.has_said("up", b"Broadsheet is up")

    def inject(self, kind: str) -> bool:
        """Let it happen; False when it is only just starting."""
        plan, service = self._plan, self._plan.service
        if not self.ready():
            return False
        if kind == "kill -9":
            service.kill("up")
            self.bring_up()
        elif kind == "SIGTERM":
            # Two at once would be no fault but a wrong use: the next is started when this one has ended.
            process = service.ask_to_end("up")
            plan.hung += not backing.wait(lambda: process.poll() is not None, 45)
            self.bring_up()
        elif kind == "SIGSTOP":
            pid = service.processes["up"].pid
            os.kill(pid, signal.SIGSTOP)
            time.sleep(plan.stop_s)
            _wake(pid)
        elif kind.startswith("database locked"):
            self._lock(40 if "40" in kind else self._chance.uniform(1, 4))
        elif kind == "clock step":
            plan.step_clock("up", self._chance)
        elif kind == "disk full":
            self._fill(self._chance.uniform(1, 3))
        else:
            plan.world.drop("/", self._chance.randint(1, 3))
        return True

    def _lock(self, seconds: float) -> None:
        """Somebody else writes for so long. Beyond 30 s who waits is refused."""
        lock = sqlite3.connect(self._plan.settings.home / "broadsheet.db", isolation_level=None, timeout=60)
        lock.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        lock.execute("ROLLBACK")
        lock.close()

    def _fill(self, seconds: float) -> None:
        """Nothing more can be written: the disk is full, or, where none could be mounted, files may not grow."""
        plan = self._plan
        if os.path.ismount(plan.home):
            filler = plan.home / "filler"
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            time.sleep(seconds)
            filler.unlink()
            return
        pid = plan.service.processes["up"].pid
        with suppress(ProcessLookupError):
            before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, before[1]))
            time.sleep(seconds)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


# -- the plan --------------------------------------------------------------------------------------------------


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder in memory; a disk of its own of `DISK_MB` where this user may mount one."""
    memory = Path("/dev/shm")
    home = Path(tempfile.mkdtemp(prefix="broadsheet-faults-", dir=memory if memory.is_dir() else None))
    mounted = False
    with suppress(OSError):
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(home)]
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield home
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(home)], check=False)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def installed(
    world: Any, report: Report, chance: random.Random, *, mode: str, ambiguity: str = "hold", **settings: str
) -> Iterator[tuple[Plan, Distributed | Embedded]]:
    """An installation that is up: `distributed` or `embedded`, with these settings beside the plan's own."""
    with ExitStack() as stack:
        home = stack.enter_context(_folder())
        more = {"smtp_ambiguity": ambiguity, **settings}
        setup: Distributed | Embedded
        if mode == "distributed":
            redis = stack.enter_context(backing.redis())
            postgres = stack.enter_context(backing.postgres())
            more |= {"broker_url": redis.url, "database_url": postgres.url}
            plan = Plan(world, home, _environment(world, home, **more), report)
            setup = Distributed(plan, redis, postgres, chance)
        else:
            plan = Plan(world, home, _environment(world, home, **more), report)
            setup = Embedded(plan, chance)
        stack.callback(plan.service.stop_all)
        setup.bring_up()
        if not backing.wait(setup.ready, 60):
            raise NotUp(f"the service did not come up; see {keep_logs(home)}")
        yield plan, setup


def run(
    world: Any, *, faults: int, seed: int, mode: str = "distributed", ambiguity: str = "hold", limit_s: float = 360
) -> Report:
    """Let `faults` faults happen, or as many as fit into `limit_s` seconds."""
    report = Report(f"{mode}, {ambiguity}")
    began = time.monotonic()
    chance = random.Random(f"{seed} {mode}")
    world.begin(window=False)
    try:
        with installed(world, report, chance, mode=mode, ambiguity=ambiguity) as (plan, setup):
            _storm(plan, setup, chance, faults, began + limit_s)
            end(plan, setup, report, ambiguity)
            if report.violations:
                report.extra["logs"] = keep_logs(plan.home)
    except NotUp as words:
        report.violations.append(str(words))
    report.seconds = time.monotonic() - began
    return report


def _storm(plan: Plan, setup: Distributed | Embedded, chance: random.Random, faults: int, until: float) -> None:
    # Every kind once, and then as often as it is meant to come.
    kinds = [kind for kind in setup.kinds if faults >= 40 or kind not in RARE]
    weights, first = [setup.kinds[kind] for kind in kinds], list(kinds)
    chance.shuffle(first)
    next_works = 0.0
    while plan.report.faults < faults and time.monotonic() < until:
        plan.look()
        if time.monotonic() > next_works:
            plan.new_works()
            plan.new_day()
            next_works = time.monotonic() + chance.uniform(2.0, 4.0)
        kind = first[-1] if first else chance.choices(kinds, weights)[0]
        if setup.inject(kind):
            _count(plan, kind)
            del first[-1:]
        time.sleep(chance.uniform(0.02, 0.25))


def end(plan: Plan, setup: Distributed | Embedded, report: Report, ambiguity: str) -> None:
    """Quiet: everything is brought up again, what is left is done, a last day passes, and the audit is made."""
    while plan.later:
        plan.look()
        time.sleep(0.1)
    setup.bring_up()
    for clock in plan.service.clocks.values():
        clock.step(max(clock.off_s, MOST_OFF_S))  # what was put off by a clock that was ahead is due in the end
    plan.world.heal()
    plan.new_works()
    quiet = plan.settle()
    plan.miss_no_repo()
    quiet += plan.settle()
    for _ in range(1 + plan.announced // BUDGET):  # a digest holds no more; what is left is in the next
        plan.new_day()
        quiet += plan.settle()
    report.extra |= {"quiet_after_s": round(quiet, 1), "term_hung": plan.hung, "restarted": plan.service.restarted}
    resend = ambiguity == "resend"
    world = plan.world
    report.findings = audit(
        plan.archive,
        Expected(
            announced=world.announced(), repos=world.repos(), mails=world.mails(), readers=plan.readers,
            ambiguity=ambiguity, unknown=(0, 0 if resend else report.faults),
            doubled=(0, report.faults if resend else 0),
        ),
    )  # fmt: skip
    if quiet == float("inf"):
        report.violations.append(f"not settled within {SETTLES_WITHIN_S:.0f} s")
    if plan.hung:
        report.violations.append(f"{plan.hung} processes did not end on SIGTERM")


def _count(plan: Plan, kind: str) -> None:
    plan.report.faults += 1
    plan.report.by_point[kind] += 1


def keep_logs(home: Path) -> str:
    """Where the logs of a plan that failed are kept."""
    kept = Path(tempfile.mkdtemp(prefix="broadsheet-faults-logs-"))
    for log in home.glob("*.log"):
        shutil.copy(log, kept)
    for database in home.glob("broadsheet.db*"):
        shutil.copy(database, kept)
    return str(kept)
