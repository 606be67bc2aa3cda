"""Plan 4: days pass in one process and in no time; any step may be the last of its worker.

No sockets, no processes, no files: the world is asked directly, the database is in memory, the clock is turned by the
plan, forwards by uneven steps and now and then an hour forwards or back. It runs the real pipeline in small worlds: two
feeds, a few works, one or two readers, for two days and a half around a change of daylight saving time or a leap day.

Each world is first lived through undisturbed, and remembered after every job. A seed goes on from one of these
moments, by other steps of the clock and with workers that end, or stop for longer than their lease while another does
their work. The same seed makes the same run.
"""

from __future__ import annotations

import dataclasses
import logging
import random
import sqlite3
import time
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from config.settings import Settings
from services.channels import no_intent
from services.domain.jobs import STAGE_OF
from services.domain.messages import Message, Receipt
from services.pipeline import drain, schedule
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import feeds, schema
from services.storage.engine import _begin_sqlite, _tune_sqlite
from services.upstreams.http import Fetched, NotModified, Validators
from tests.factories import FeedSpec
from tests.fakes import Crash
from tests.faults.audit import Archive, Expected, audit
from tests.faults.kill import BEFORE_THE_DOT, WINDOW, Report
from tests.faults.world import Mail, Work, World, works_told
from workers.demo.exchange import Ask

BEGINNINGS = (
    datetime(2027, 3, 13, 20, tzinfo=UTC), datetime(2027, 11, 6, 20, tzinfo=UTC),  # New York's changes
    datetime(2027, 3, 27, 14, tzinfo=UTC), datetime(2026, 10, 24, 14, tzinfo=UTC),  # Europe's
    datetime(2027, 4, 3, 6, tzinfo=UTC), datetime(2026, 10, 3, 6, tzinfo=UTC),  # Lord Howe's: half an hour
    datetime(2028, 2, 28, 12, tzinfo=UTC), datetime(2026, 12, 31, 8, tzinfo=UTC),  # leap day, turn of the year
    datetime(2026, 6, 10, 20, tzinfo=UTC),
)  # fmt: skip
"""A day before something happens to a clock somewhere, but for the last."""

WISHES = (
    ("America/New_York", "02:30"), ("Europe/Berlin", "02:30"), ("Australia/Lord_Howe", "02:15"), ("UTC", "00:00"),
    ("America/Nuuk", "23:30"), ("Asia/Kathmandu", "08:00"), ("America/New_York", "01:30"), ("Europe/Berlin", "23:59"),
)  # fmt: skip
"""Time zones and hours of readers: those that a change skips, or shows twice."""

SOURCES = (("blog",), ("blog", "lab"), ("blog",), ("blog", "lab"), ("daily",))
"""Feeds of a world. One that lists by day costs five times as much as the others and is taken less often."""
LIFE, QUIET = timedelta(hours=28), timedelta(hours=19)
"""The time in which things happen; and how much is then slept over at once, three times: less than any reader's day is
long, more than it takes until the feeds are asked again, and together enough for both, one after the other."""

SLOTS = dict.fromkeys(schedule.SLOTS, timedelta(hours=36))
"""The house is kept once in a life."""

SEEDS_A_WORLD = 40
AFTER_A_JOB = frozenset(f"{kind}.committed" for kind in STAGE_OF) | {"send_deliveries.accepted_committed"}
FAULTS = (1, 1, 2, 2, 3)
"""How many faults a seed makes. More would, rightly, make the service give up a job whose workers die each time."""

INSIDE = WINDOW | {"send_deliveries.sending_committed"}
"""The window in which nobody can say: it begins where the intent has been committed."""

_NOT_LEFT = (BEFORE_THE_DOT, "send_deliveries.sending_committed")

NEXT_FAULT = 30
"""The next fault comes within so many steps."""
LIKELY_IN_WINDOW = 0.12


class Sky:
    """The plan's clock."""

    def __init__(self, start: datetime) -> None:
        self.at = start

    def now(self) -> datetime:
        """The present moment; it moves a little whenever it is read."""
        self.at += timedelta(milliseconds=1)
        return self.at

    def sleep(self, seconds: float) -> None:
        """Time passes at once."""
        self.at += timedelta(seconds=max(seconds, 0.0) * 60)


class Wire:
    """Stands in for the HTTP client: the world is asked without sockets."""

    def __init__(self, world: World, sky: Sky) -> None:
        self._world, self._sky = world, sky

    def get(
        self, url: str, *, validators: Validators | None = None, headers: Mapping[str, str] | None = None,
        expect_statuses: Any = (),
    ) -> Fetched | NotModified:  # fmt: skip
        """One answer."""
        del headers, expect_statuses
        parts = urlsplit(url)
        answer = self._world.answer(
            Ask(method="GET", path=parts.path, query=parse_qs(parts.query), headers={}, body=b"", base_url="",
                now=self._sky.at)
        )  # fmt: skip
        etag = answer.headers.get("ETag")
        shared: dict[str, Any] = {
            "url": url, "final_url": url, "headers": {k.lower(): v for k, v in answer.headers.items()},
            "validators": Validators(etag, None), "permanent_url": None,
        }  # fmt: skip
        if validators is not None and validators.etag == etag and etag is not None:
            not_modified: NotModified = _make(NotModified, {**shared, "status": 304})
            return not_modified
        fetched: Fetched = _make(Fetched, {**shared, "status": answer.status, "body": answer.body})
        return fetched

    def close(self) -> None:
        """Nothing is held."""


def _make(kind: Any, values: Mapping[str, Any]) -> Any:
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in names})


class Post:
    """Stands in for the mail server: takes every message, and may be a worker's last step twice over."""

    name = "email"

    def __init__(self, checkpoint: Callable[[str], None], sky: Sky) -> None:
        self.mails: list[Mail] = []
        self.checkpoint = checkpoint
        self._sky = sky

    def send(self, message: Message, to: str, key: str, *, commit_intent: Callable[[], None] = no_intent) -> Receipt:
        """See `channels.Channel.send`."""
        del key
        commit_intent()
        self.mails.append(Mail(to, message.message_id, str(hash(repr(message))), works_told(message.text)))
        self.checkpoint("send_deliveries.dotted")
        return Receipt(code="250 2.0.0", detail="taken", accepted_at=self._sky.at)


class Memory(Archive):
    """The database in memory, as the plan keeps it and puts it back, and as the audit reads it."""

    is_sqlite = True

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        self.engine: Engine = create_engine("sqlite://", poolclass=StaticPool, creator=lambda: self._connection)
        event.listen(self.engine, "connect", _tune_sqlite)
        event.listen(self.engine, "begin", _begin_sqlite)
        schema.migrate(self.engine)

    def keep(self) -> bytes:
        """What is committed."""
        return self._connection.serialize()

    def put_back(self, kept: bytes) -> None:
        """As it was when it was kept.

        In a connection of its own: SQLite 3.40 keeps what it knows of `json_each` beyond the database it read that of.
        """
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        self._connection.deserialize(kept)
        self.engine.dispose()  # the pool asks for the new one

    def rows(self, query: str, **values: Any) -> list[Any]:
        """All rows of a query."""
        cursor = self._connection.execute(query, values)
        row = namedtuple("row", [column[0] for column in cursor.description], rename=True)  # type: ignore[misc]
        return [row(*found) for found in cursor.fetchall()]


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """All there is to go on from."""

    database: bytes
    at: datetime
    day: date
    works: tuple[Work, ...]
    mails: tuple[Mail, ...]


class Life:
    """One small world and one service in it."""

    def __init__(self, number: int, memory: Memory, settings: Settings) -> None:
        chance = random.Random(f"world {number}")
        self.memory = memory
        self.start = chance.choice(BEGINNINGS) + timedelta(minutes=chance.randint(0, 600))
        self.sky = Sky(self.start)
        self.world = World(serve=False)
        self.sources = chance.choice(SOURCES)
        # Two of one hour get mails that follow one another.
        self.wishes = chance.sample(WISHES, chance.choice((1, 1, 2))) * chance.choice((1, 1, 2))
        self.readers = [f"reader{n}@readers.example" for n in range(len(self.wishes))]
        self.day = self.sky.at.date()
        self.begin(chance, ())
        self.post = Post(self.checkpoint, self.sky)
        self.rt = Runtime(
            settings=settings, engine=memory.engine, http=Wire(self.world, self.sky),  # type: ignore[arg-type]
            channels={"email": self.post}, clock=self.sky.now, sleep=self.sky.sleep, worker="simulated",
            secret="a key for fault plans only", checkpoint=self.checkpoint,
        )  # fmt: skip
        self.moments: list[Moment] = []
        self._remembering = True
        self.set_up()
        self.live()
        self._remembering = False

    def begin(self, chance: random.Random, faults: tuple[str, ...]) -> None:
        """Count anew."""
        self.chance, self.faults = chance, list(faults)
        self.crashes = self.pauses = self.window = self.left = self.steps = 0
        self._next = chance.randint(1, NEXT_FAULT)
        self._holding = False
        self._doubts: set[tuple[int, int]] = set()
        self._odd: list[str] = []
        random.seed(chance.random())  # spreads retries

    # -- faults --------------------------------------------------------------------------------------------

    def checkpoint(self, name: str) -> None:
        """Perhaps the end of this worker, or a stop while others go on."""
        self.steps += 1
        if self._remembering and name in AFTER_A_JOB:
            self._remember()
        if not self.faults or self._holding:
            return
        self._next -= 1
        if self._next > 0 and not (name in INSIDE and self.chance.random() < LIKELY_IN_WINDOW):
            return
        self._next = self.chance.randint(1, NEXT_FAULT)
        act = self.faults.pop()
        if name.endswith(("written", "begun")):
            act = "kill"  # inside a transaction everybody else would wait for who is stopped
        if act == "kill":
            self.crashes += 1
            self._ended_at = name
            raise Crash
        self.pauses += 1
        self._doubt(name, paused=True)
        self.sky.at += timedelta(seconds=self.rt.settings.lease_s + 1)
        self._holding = True  # nothing more befalls this worker
        drain.run_until_idle(self.rt)

    def _doubt(self, name: str, *, paused: bool = False) -> None:
        """Count the mail that is in the window where a worker has ended, or stopped."""
        doubts = self.memory.in_doubt() - self._doubts
        self._doubts |= doubts
        if len(doubts) != (name in INSIDE):
            self._odd.append(f"{len(doubts)} deliveries in doubt at {name}, {int(name in INSIDE)} must be")
        self.window += len(doubts)
        self.left += len(doubts) * (paused or name not in _NOT_LEFT)

    # -- the days ------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Feeds and readers."""
        with self.rt.writing() as session:
            now = self.rt.now()
            for name in self.sources:
                kind = {"kind": "hf_papers", "history_days": 1, "params": {"limit": "2"}} if name == "daily" else (
                    {"kind": "rss", "url": f"https://{name}.example/{name}.json"}
                )  # fmt: skip
                feeds.add(session, FeedSpec(name=name, interval_minutes=720, **kind), now=now)
            for reader, (zone, at) in zip(self.readers, self.wishes, strict=True):
                subscribe(self.rt, session, to=reader, budget=500, at=at, timezone=zone, confirmed=True)
        self.world.announce(self.day, 1, 2)

    def live(self) -> None:
        """The days with faults, then a quiet one in which everything must come right."""
        until = self.start + LIFE
        while self.sky.at < until and (self.faults or self._remembering):
            if self._remembering:
                self._remember()
            self.work()
            self.sky.at += timedelta(minutes=self.chance.randint(150, 560))
            if self.chance.random() < 0.1:
                self.sky.at += timedelta(hours=self.chance.choice((-1, 1)))
            if self.sky.at.date() > self.day:
                self.day = self.sky.at.date()
                self.world.announce(self.day, 1, 2)
        self.faults = []
        for _ in range(3):
            self.work()
            self.sky.at += QUIET
        self.work()

    def work(self) -> None:
        """A worker runs until it is idle, or is no more; then, perhaps, another takes its place at once."""
        while True:
            self._holding = False
            try:
                drain.run_until_idle(self.rt)
            except Crash:
                self._doubt(self._ended_at)
                if self.chance.random() < 0.5:
                    return
                self.sky.at += timedelta(seconds=self.rt.settings.lease_s + 1)
            else:
                return

    def _remember(self) -> None:
        if self.memory.in_doubt():
            return  # to go on from here would be as if the worker had ended in the window
        self.moments.append(
            Moment(self.memory.keep(), self.sky.at, self.day, self.world.works(), tuple(self.post.mails))
        )

    def go_on(self, seed: int) -> list[str]:
        """Live on from one of the moments of the undisturbed life, with faults; what was wrong."""
        chance = random.Random(seed)
        acts = [chance.choice(("kill", "kill", "pause")) for _ in range(chance.choice(FAULTS))]
        self.begin(chance, tuple(acts))
        moment = chance.choice(self.moments)
        self.memory.put_back(moment.database)
        self.sky.at, self.day = moment.at, moment.day
        self.world.go_back(moment.works)
        self.post.mails = list(moment.mails)
        self.live()
        return self.audit()

    # -- what must be true ---------------------------------------------------------------------------------

    def audit(self) -> list[str]:
        """Compare the world with the archive, and the editions with the clocks of their readers."""
        ambiguity = self.rt.settings.smtp_ambiguity
        hold = ambiguity == "hold"
        announced = {name: works for name, works in self.world.announced().items() if name in self.sources}
        slugs = {
            work.slug
            for work in self.world.works()
            # The feeds say nothing of a repository that the daily listing names.
            if work.slug and set(self.sources) & ({"daily"} if "daily" in work.feeds else set(work.feeds))
        }
        # What may have left and has become too old to be sent again stays in doubt, whatever the setting.
        late = self.memory.number("SELECT count(*) FROM deliveries WHERE state = 'unknown'")
        found = audit(
            self.memory,
            Expected(
                announced=announced, repos=slugs, mails=self.post.mails, readers=self.readers, ambiguity=ambiguity,
                unknown=(self.window, self.window) if hold else (0, self.window),
                doubled=(0, 0) if hold else (self.left - late, self.left), late=True,
            ),
        )  # fmt: skip
        found.violations += self._odd
        for reader, (zone, at) in zip(self.readers, self.wishes, strict=True):
            held = [
                row.period
                for row in self.memory.rows(
                    "SELECT e.period FROM editions e JOIN subscriptions s ON s.id = e.subscription_id "
                    "JOIN subscribers r ON r.id = s.subscriber_id WHERE r.address = :reader", reader=reader,
                )
            ]  # fmt: skip
            days = _editions_due(zone, at, self.start.date())
            due = {day for moment, day in days if self.start < moment <= self.sky.at}
            if set(held) != due or len(held) != len(due):
                found.violations.append(
                    f"{reader} ({zone} {at}): editions {sorted(set(held) ^ due)} are not as the clock says"
                )
        return found.violations


@cache
def _editions_due(zone: str, at: str, around: date) -> tuple[tuple[datetime, str], ...]:
    """When editions must be due in twelve days from the day before, found by looking at their clock each minute."""
    place, found = ZoneInfo(zone), []
    moment = datetime(around.year, around.month, around.day, tzinfo=UTC) - timedelta(days=1)
    hour, minute = int(at[:2]), int(at[3:])
    reached, day = True, moment.astimezone(place).date()
    for _ in range(12 * 24 * 60):
        local = moment.astimezone(place)
        if local.date() != day:
            if not reached:  # the hour was skipped by a change at midnight: the day's last minute
                found.append((moment, day.isoformat()))
            day, reached = local.date(), False
        if not reached and (local.hour, local.minute) >= (hour, minute):
            reached = True
            found.append((moment, day.isoformat()))
        moment += timedelta(minutes=1)
    return tuple(found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is logged, nor put into words to be logged."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def run(*, seeds: int, seed: int, limit_s: float = 600, stop_early: bool = False, processes: int = 1) -> Report:
    """Run so many seeds, from `seed` on, or as many as fit into `limit_s` seconds."""
    began = time.monotonic()
    worlds = sorted({number // SEEDS_A_WORLD for number in range(seed, seed + seeds)})
    if processes > 1 and len(worlds) > 1:
        shares = [worlds[n::processes] for n in range(processes)]
        # Says so when a process dies, for which a `Pool` waits for ever.
        with ProcessPoolExecutor(len(shares), mp_context=get_context("fork")) as pool:
            begun = [pool.submit(_run, share, seed, seeds, limit_s, stop_early) for share in shares]
            parts = [one.result() for one in begun]
    else:
        parts = [_run(worlds, seed, seeds, limit_s, stop_early)]
    report = Report("simulation")
    for part in parts:
        report.rounds += part.rounds
        report.faults += part.faults
        report.window += part.window
        report.by_point.update(part.by_point)
        report.violations.extend(part.violations)
    report.seconds = time.monotonic() - began
    cpu_s = sum(part.extra["cpu_s"] for part in parts)
    report.extra = {
        "seeds": report.rounds, "worlds": sum(part.extra["worlds"] for part in parts),
        "steps": sum(part.extra["steps"] for part in parts), "processes": len(parts),
        "seeds_per_s": round(report.rounds / max(report.seconds, 1e-9), 2),
        "seeds_per_cpu_s": round(report.rounds / max(cpu_s, 1e-9), 2),
    }  # fmt: skip
    return report


def _run(worlds: Sequence[int], seed: int, seeds: int, limit_s: float, stop_early: bool) -> Report:
    """The seeds of some worlds."""
    report = Report("simulation")
    began, used = time.monotonic(), time.thread_time()
    steps = lived = 0
    memory = Memory()
    empty = memory.keep()
    settings = {ambiguity: _settings(ambiguity) for ambiguity in ("hold", "resend")}
    with _quiet(), patch.dict(schedule.SLOTS, SLOTS):
        for world in worlds:
            memory.put_back(empty)
            life = Life(world, memory, settings["hold" if world % 3 else "resend"])
            lived += 1
            report.violations.extend(f"world {world}: {words}" for words in life.audit())
            first = world * SEEDS_A_WORLD
            for number in range(max(seed, first), min(seed + seeds, first + SEEDS_A_WORLD)):
                wrong = life.go_on(number)
                report.rounds += 1
                report.faults += life.crashes + life.pauses
                report.by_point.update({"kill": life.crashes, "pause": life.pauses})
                report.window += life.window
                steps += life.steps
                report.violations.extend(f"seed {number}: {words}" for words in wrong)
                if (wrong and stop_early) or time.monotonic() - began > limit_s:
                    break
            if (report.violations and stop_early) or len(report.violations) > 20 or time.monotonic() - began > limit_s:
                break
    report.extra = {"steps": steps, "worlds": lived, "cpu_s": time.thread_time() - used}
    return report


def _settings(ambiguity: str) -> Settings:
    values: dict[str, Any] = {
        "home": "/nowhere", "gate_scale": 0, "retry_first_s": 1, "secret_key": "a key", "repo_recheck": False,
        "hf_url": "https://hf.example/hf", "github_api_url": "https://api.example/github",
        "mail_from": "Broadsheet <broadsheet@papers.example>", "smtp_url": "smtp://mail.example",
        "smtp_ambiguity": ambiguity, "digest_wait_minutes": 0,
    }  # fmt: skip
    return Settings(_env_file=None, **values)
